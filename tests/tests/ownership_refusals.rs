//! What is refused changes nothing: while devices hammer, a call that answers an error stores nothing, writes no
//! register, takes no memory, and leaves every context, state and colour as it was; on the cycle-accurate hardware
//! (scenarios T03, T05, T06, T07, T09, T11, T16, T67, T71).

use portcullis::DefaultDomainType::{Blocked, Dma};
use portcullis::{AttachError, DeviceInfo, Error, Expected, Identity, Mode, Pasid, Status};
use portcullis_regmap::config::{LINUX, TINY};
use portcullis_sim::own::paint::Colour;
use portcullis_sim::own::stage::{Bus, Stage};
use portcullis_tests::ownership::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// The group of [`DEV`] with [`SECOND`] in it, and the engine of that.
fn two_devices<'i>(
    stage: &Stage,
    iommu: &'i portcullis::Iommu<Bus>,
) -> (portcullis::Group<'i, Bus>, usize) {
    let second = stage.engine(SECOND.0, BLOCKED);
    let id = iommu.add_device(DEV.into()).unwrap();
    iommu.add_device(joining(SECOND, id)).unwrap();
    (iommu.group(id).unwrap(), second)
}

/// Given a group that is owned, blocked (S4) or attached (S5); when the owner or somebody else claims it again, or a
/// driver wants its default domain; then EPERM and EBUSY, and nothing happens.
#[test]
fn t_03_05_claim_and_use_of_an_owned_group() {
    let stage = small(&TINY, 3);
    let (iommu, dev) = begin(&stage, driver(Dma));
    let (group, second) = two_devices(&stage, &iommu);
    let both = [dev, second];
    let owned = stage.call("claim", &both, BLOCKED, BLOCKED, || {
        group.claim(&owner(1)).unwrap()
    });
    let refuse = |reached: Colour| {
        for who in [1, 3] {
            nothing_changes(&stage, &iommu, "claim again", &both, reached, || {
                assert_eq!(group.claim(&owner(who)).err(), Some(Error::NotPermitted));
            });
        }
        nothing_changes(&stage, &iommu, "claim by device", &both, reached, || {
            let refused = iommu.claim_device(SECOND, &owner(3)).err();
            assert_eq!(refused, Some(Error::NotPermitted));
        });
        nothing_changes(&stage, &iommu, "use", &both, reached, || {
            assert_eq!(group.use_default_domain().err(), Some(Error::Busy));
        });
    };
    refuse(BLOCKED);
    assert_eq!(
        (group.status(), group.users()),
        (Status::Owned(owner(1)), 1)
    );
    let (red, is_red) = coloured(&stage, &iommu, "red");
    let owned = stage.call("attach", &both, [BLOCKED, is_red], is_red, || {
        owned.attach(red).unwrap()
    });
    run(&stage, 300);
    refuse(is_red);
    stage.call("release", &both, [is_red, BLOCKED], BLOCKED, || {
        owned.release()
    });
    end(&stage, iommu);
}

/// Given a driver that attached a domain of its own (S3); when a sibling wants the default domain, or attaches another
/// domain, or a clone of the very same one; then EBUSY each time, and nothing happens.
#[test]
fn t_06_07_siblings_of_a_driver_with_a_domain() {
    let stage = small(&TINY, 6);
    let (iommu, dev) = begin(&stage, driver(Dma));
    let (group, second) = two_devices(&stage, &iommu);
    let both = [dev, second];
    let user = group.use_default_domain().unwrap();
    let sibling = group.use_default_domain().unwrap();
    let (red, is_red) = coloured(&stage, &iommu, "red");
    let shared = red.into_shared().expect("room");
    let managed = stage.call("attach", &both, [BLOCKED, is_red], is_red, || {
        user.attach(shared.clone()).unwrap()
    });
    run(&stage, 300);
    nothing_changes(&stage, &iommu, "use", &both, is_red, || {
        assert_eq!(group.use_default_domain().err(), Some(Error::Busy));
    });
    let (blue, _) = coloured(&stage, &iommu, "blue");
    let AttachError {
        guard: sibling,
        target: blue,
        error,
    } = nothing_changes(&stage, &iommu, "attach another", &both, is_red, || {
        sibling.attach(blue).expect_err("red is attached")
    });
    assert_eq!(error, Error::Busy);
    let AttachError {
        guard: sibling,
        target: clone,
        error,
    } = nothing_changes(&stage, &iommu, "attach the same", &both, is_red, || {
        sibling.attach(shared.clone()).expect_err("red is attached")
    });
    assert_eq!(error, Error::Busy);
    assert_eq!(group.status(), Status::DriverManaged(2));
    drop((blue, clone));
    // The sibling's end does not end the other's use.
    nothing_but_users(&stage, &both, is_red, || sibling.unuse());
    assert_eq!(group.status(), Status::DriverManaged(1));
    stage.call("drop", &both, [is_red, BLOCKED], BLOCKED, || drop(managed));
    drop(shared);
    stage.give_back(is_red);
    run(&stage, 300);
    end(&stage, iommu);
}

/// A count changes, and no more: the hardware sees nothing of it.
fn nothing_but_users(stage: &Stage, engines: &[usize], reached: Colour, call: impl FnOnce()) {
    let before = stage.with(|_, scene| scene.monitor.footprint());
    stage.call("count", engines, reached, reached, call);
    assert_eq!(stage.with(|_, scene| scene.monitor.footprint()), before);
}

/// Given a group with a domain (S5); when it is replaced by itself, hitless or not; then 0, without a store or a
/// command. What can be named twice is a clone of a shared domain, and identity.
#[test]
fn t_09_replacement_by_the_current_domain() {
    let stage = small(&TINY, 9);
    let (iommu, dev) = begin(&stage, driver(Blocked));
    iommu.add_device(DEV.into()).unwrap();
    let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    let (red, is_red) = coloured(&stage, &iommu, "red");
    let shared = red.into_shared().expect("room");
    let owned = stage.call("attach", &[dev], [BLOCKED, is_red], is_red, || {
        owned.attach(shared.clone()).unwrap()
    });
    run(&stage, 300);
    let owned = nothing_changes(&stage, &iommu, "replace", &[dev], is_red, || {
        owned.replace(shared.clone()).unwrap().0
    });
    let owned = nothing_changes(&stage, &iommu, "hitless", &[dev], is_red, || {
        owned.replace_hitless(shared.clone()).unwrap().0
    });
    let (token, identity) = (token(), stage.identity());
    let (owned, last) = stage.call("identity", &[dev], [is_red, identity], identity, || {
        owned.replace(Identity(&token)).unwrap()
    });
    drop((last, shared));
    stage.give_back(is_red);
    run(&stage, 300);
    let owned = nothing_changes(&stage, &iommu, "identity again", &[dev], identity, || {
        let (owned, _) = owned.replace(Identity(&token)).unwrap();
        owned.replace_hitless(Identity(&token)).unwrap().0
    });
    stage.call("release", &[dev], [identity, BLOCKED], BLOCKED, || {
        owned.release()
    });
    end(&stage, iommu);
}

/// Given two threads that contend for a group. The type keeps them from calling at the same time ("Use from two threads
/// at once" does not compile), so what is left of the race is who comes first, and when: exactly one gets the group,
/// the other EPERM, and DMA goes where the winner wants.
#[test]
fn t_11_two_contenders() {
    let stage = small(&TINY, 11);
    let (iommu, dev) = begin(&stage, driver(Blocked));
    iommu.add_device(DEV.into()).unwrap();
    let group = iommu.group(DEV).unwrap();
    let (red, is_red) = coloured(&stage, &iommu, "red");
    let (blue, is_blue) = coloured(&stage, &iommu, "blue");
    let (mut domains, colours) = ([Some(red), Some(blue)], [is_red, is_blue]);
    let mut wins = [0; 2];
    for seed in 0..rounds(12) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let first = (rng.next_u32() % 2) as usize;
        let mut guard = None;
        for who in [first, 1 - first] {
            run(&stage, u64::from(rng.next_u32() % 300));
            let claim = || group.claim(&owner(10 + who as u64));
            if who == first {
                let won = stage.call("claim", &[dev], BLOCKED, BLOCKED, claim);
                guard = Some(won.unwrap_or_else(|e| panic!("seed {seed}: {e}")));
                continue;
            }
            let lost = nothing_changes(&stage, &iommu, "late claim", &[dev], BLOCKED, claim);
            assert_eq!(lost.err(), Some(Error::NotPermitted), "seed {seed}");
        }
        let (guard, colour) = (guard.expect("the first"), colours[first]);
        assert_eq!(group.status(), Status::Owned(owner(10 + first as u64)));
        let domain = domains[first].take().expect("his");
        let guard = stage.call("attach", &[dev], [BLOCKED, colour], colour, || {
            guard.attach(domain).unwrap()
        });
        run(&stage, 60);
        let (guard, domain) = stage.call("detach", &[dev], [BLOCKED, colour], BLOCKED, || {
            guard.detach()
        });
        domains[first] = Some(domain);
        guard.release();
        wins[first] += 1;
    }
    assert!(wins.iter().all(|n| *n > 0), "{wins:?}");
    drop(domains);
    end(&stage, iommu);
}

/// Given a blocked or attached group; when a domain of another IOMMU is attached, or its hitless fitness is asked, or
/// one in a mode that the hardware lacks is wanted; then EINVAL and ENODEV, guard and domain come back, and nothing
/// happens to either IOMMU.
#[test]
fn t_16_unfit_domains() {
    let stage = small(&TINY, 16);
    let (iommu, dev) = begin(&stage, driver(Blocked));
    let elsewhere = small(&TINY, 17);
    let other = elsewhere.start(driver(Blocked)).unwrap();
    iommu.add_device(DEV.into()).unwrap();
    let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    for mode in [Mode::Sv48, Mode::Sv57] {
        nothing_changes(&stage, &iommu, "mode", &[dev], BLOCKED, || {
            let refused = stage.domain(&iommu, "deep", mode).map(|_| ());
            assert_eq!(refused, Err(Error::NoDevice));
        });
    }
    let (foreign, _) = coloured(&elsewhere, &other, "foreign");
    let there = elsewhere.with(|_, scene| scene.monitor.footprint());
    let AttachError {
        guard: owned,
        target: foreign,
        error,
    } = nothing_changes(&stage, &iommu, "attach", &[dev], BLOCKED, || {
        owned.attach(foreign).expect_err("another IOMMU's")
    });
    assert_eq!(error, Error::Invalid);
    let (red, is_red) = coloured(&stage, &iommu, "red");
    let owned = stage.call("attach red", &[dev], [BLOCKED, is_red], is_red, || {
        owned.attach(red).unwrap()
    });
    run(&stage, 300);
    let AttachError {
        guard: owned,
        target: foreign,
        error,
    } = nothing_changes(&stage, &iommu, "replace", &[dev], is_red, || {
        assert!(owned.hitless(&foreign).is_err());
        owned.replace(foreign).expect_err("another IOMMU's")
    });
    assert_eq!(error, Error::Invalid);
    assert_eq!(elsewhere.with(|_, scene| scene.monitor.footprint()), there);
    drop(foreign);
    stage.call("release", &[dev], [is_red, BLOCKED], BLOCKED, || {
        owned.release()
    });
    end(&stage, iommu);
    end(&elsewhere, other);
}

/// Given an IOMMU that is not ready, or does not know the device yet, which hammers since power-on; when its driver
/// comes; then EPROBE_DEFER, and the device stays blocked; later it gets a DMA API that works at once.
#[test]
fn t_67_device_before_its_iommu() {
    let stage = small(&TINY, 67);
    let dev = stage.engine(DEV.0, BLOCKED);
    let expected: Expected<'_, Bus> = Expected::new();
    run(&stage, 300);
    let early = expected.use_default_domain(DEV).err();
    assert_eq!(early, Some(Error::ProbeDefer));
    let iommu = stage.call("start", &[dev], BLOCKED, BLOCKED, || {
        stage.start(driver(Dma)).unwrap()
    });
    let expected = Expected::new();
    nothing_changes(&stage, &iommu, "not announced", &[dev], BLOCKED, || {
        let early = expected.use_default_domain(DEV).err();
        assert_eq!(early, Some(Error::ProbeDefer));
    });
    expected.ready(&iommu);
    nothing_changes(&stage, &iommu, "not added", &[dev], BLOCKED, || {
        let early = expected.use_default_domain(DEV).err();
        assert_eq!(early, Some(Error::ProbeDefer));
    });
    stage.call("add", &[dev], BLOCKED, BLOCKED, || {
        iommu.add_device(DEV.into()).unwrap()
    });
    let user = expected.use_default_domain(DEV).unwrap();
    assert_eq!(iommu.group(DEV).unwrap().status(), Status::Kernel(1));
    let (buffers, red) = map_buffers(&stage, &user, dev, "red");
    run(&stage, 300);
    assert!(stage.count(dev, red) > 0);
    stage.call("unmap", &[dev], [red, BLOCKED], BLOCKED, || drop(buffers));
    stage.give_back(red);
    run(&stage, 300);
    drop(user);
    end(&stage, iommu);
}

/// Given hardware without process directories; when a domain is attached for a process id, whichever; then EOPNOTSUPP,
/// the domain comes back, and traffic without a process id is not disturbed.
#[test]
fn t_71_process_ids_without_directories() {
    for (config, seed) in [(&TINY, 71), (&LINUX, 72)] {
        let stage = small(config, seed);
        let (iommu, dev) = begin(&stage, driver(Blocked));
        assert_eq!(iommu.limits().process_id_bits, 0);
        // The wish of a device that has process ids is granted as far as the hardware goes: without.
        let info = DeviceInfo {
            process_ids: true,
            ..DEV.into()
        };
        stage.call("add", &[dev], BLOCKED, BLOCKED, || {
            iommu.add_device(info).unwrap()
        });
        let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
        let (red, is_red) = coloured(&stage, &iommu, "red");
        let owned = stage.call("attach", &[dev], [BLOCKED, is_red], is_red, || {
            owned.attach(red).unwrap()
        });
        run(&stage, 300);
        let (mut blue, _) = coloured(&stage, &iommu, "blue");
        for pasid in [0, 1, 5, 1 << 20] {
            let refused = nothing_changes(&stage, &iommu, "attach", &[dev], is_red, || {
                owned.attach_pasid(Pasid(pasid), blue).expect_err("refused")
            });
            assert_eq!(refused.error, Error::NotSupported, "{pasid}");
            blue = refused.target;
        }
        drop(blue);
        stage.call("release", &[dev], [is_red, BLOCKED], BLOCKED, || {
            owned.release()
        });
        end(&stage, iommu);
    }
}
