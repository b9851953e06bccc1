//! Devices come and go while others hammer, on the cycle-accurate hardware (scenarios T04, T24, T28, T59 to T62, T65,
//! T77).

use std::collections::BTreeSet;

use portcullis::DefaultDomainType::{Blocked, Dma, Identity};
use portcullis::{DeviceId, DeviceInfo, Error, Status};
use portcullis_regmap::config::{LINUX, TINY};
use portcullis_tests::ownership::*;

/// Claims by device: the group stays blocked until the last of them ends.
#[test]
fn t_04_claims_by_device() {
    let stage = stage(setting(&TINY, 4));
    let (iommu, dev) = begin(&stage, driver(Identity(token())));
    let identity = stage.identity();
    let second = stage.engine(SECOND.0, BLOCKED);
    let both = [dev, second];
    let any = [identity, BLOCKED];
    let group = stage.call("add", &[dev], any, identity, || {
        iommu.add_device(DEV.into()).unwrap()
    });
    let info = DeviceInfo {
        group: Some(group),
        ..SECOND.into()
    };
    stage.call("add second", &[second], any, identity, || {
        iommu.add_device(info).unwrap()
    });
    run(&stage, 300);
    let first = stage.call("claim first", &both, any, BLOCKED, || {
        iommu.claim_device(DEV, &owner(1)).unwrap()
    });
    let last = iommu.claim_device(SECOND, &owner(1)).unwrap();
    assert_eq!(iommu.group(group).unwrap().users(), 2);
    assert_eq!(
        iommu.claim_device(SECOND, &owner(3)).err(),
        Some(Error::NotPermitted)
    );
    run(&stage, 300);
    stage.call("release first", &both, BLOCKED, BLOCKED, || {
        first.release_device()
    });
    assert_eq!(iommu.group(group).unwrap().users(), 1);
    run(&stage, 300);
    stage.call("release last", &both, any, identity, || {
        last.release_device()
    });
    assert_eq!(iommu.group(group).unwrap().status(), Status::Idle);
    run(&stage, 300);
    for (device, engine) in [(DEV, dev), (SECOND, second)] {
        stage.call("remove", &[engine], any, BLOCKED, || {
            iommu.remove_device(device).unwrap()
        });
    }
    end(&stage, iommu);
}

/// A device that has hammered since power-on joins a group: blocked before, then what the group reaches. One of two is
/// taken away again: it is blocked, the other does not notice.
#[test]
fn t_59_60_61_joining_and_leaving() {
    let stage = stage(setting(&TINY, 59));
    let (iommu, dev) = begin(&stage, driver(Blocked));
    let second = stage.engine(SECOND.0, BLOCKED);
    run(&stage, 300);
    let group = iommu.add_device(DEV.into()).unwrap();
    let owned = iommu.group(group).unwrap().claim(&owner(1)).unwrap();
    let info = || DeviceInfo {
        group: Some(group),
        ..SECOND.into()
    };
    // T60: an owned, blocked group.
    stage.call("join blocked", &[second], BLOCKED, BLOCKED, || {
        iommu.add_device(info()).unwrap()
    });
    stage.call("leave", &[second], BLOCKED, BLOCKED, || {
        iommu.remove_device(SECOND).unwrap()
    });
    let (red, is_red) = coloured(&stage, &iommu, "red");
    let owned = stage.call("attach", &[dev], [BLOCKED, is_red], is_red, || {
        owned.attach(red).unwrap()
    });
    run(&stage, 300);
    // T59: a group with a domain.
    stage.call("join", &[second], [BLOCKED, is_red], is_red, || {
        iommu.add_device(info()).unwrap()
    });
    run(&stage, 300);
    assert!(stage.count(second, is_red) > 0);
    assert_eq!(
        iommu.group(group).unwrap().status(),
        Status::Attached(owner(1))
    );
    // T61.
    stage.call(
        "remove second",
        &[second],
        [is_red, BLOCKED],
        BLOCKED,
        || iommu.remove_device(SECOND).unwrap(),
    );
    run(&stage, 300);
    assert_eq!(
        iommu.remove_device(DEV),
        Err(Error::Busy),
        "the last one of an owned group"
    );
    // Surprise: the device has gone, its owner keeps an empty group and the domain.
    stage.call("gone", &[dev], [is_red, BLOCKED], BLOCKED, || {
        iommu.device_gone(DEV).unwrap()
    });
    run(&stage, 300);
    let (owned, red) = owned.detach();
    stage.give_back(is_red);
    drop((owned, red));
    assert_eq!(iommu.group(group).err(), Some(Error::NoDevice));
    end(&stage, iommu);
}

/// Given an idle group (S1) of one or two devices, with buffers mapped in its default domain or none; when the last device
/// is removed; then it is blocked before the call returns, the group is gone (S0), its default domain is freed, and the
/// driver holds as many pages as before the device came. A buffer that was still mapped comes back afterwards.
#[test]
fn t_62_last_device_takes_the_group_along() {
    for (config, seed) in [(&TINY, 62), (&LINUX, 63)] {
        let stage = small(config, seed);
        let (iommu, dev) = begin(&stage, driver(Dma));
        let second = stage.engine(SECOND.0, BLOCKED);
        // Directory pages stay; the first device brings them.
        iommu.add_device(SECOND.into()).unwrap();
        iommu.remove_device(SECOND).unwrap();
        let before = held(&stage);
        for round in 0..rounds(4) {
            let group = stage.call("add", &[dev], BLOCKED, BLOCKED, || {
                iommu.add_device(DEV.into()).unwrap()
            });
            assert!(held(&stage) > before, "a default domain");
            let user = iommu.group(group).unwrap().use_default_domain().unwrap();
            let (buffers, red) = map_buffers(&stage, &user, dev, &format!("red {round}"));
            user.unuse();
            let either = [red, BLOCKED];
            if round % 2 == 1 {
                stage.call("join", &[second], BLOCKED, BLOCKED, || {
                    assert_eq!(iommu.add_device(joining(SECOND, group)), Ok(group));
                });
                stage.call("remove one of two", &[second], BLOCKED, BLOCKED, || {
                    iommu.remove_device(SECOND).unwrap()
                });
                stage.call("the other goes on", &[dev], red, red, || run(&stage, 200));
            }
            let kept = if round % 4 < 2 {
                stage.call("unmap", &[dev], either, BLOCKED, || drop(buffers));
                stage.give_back(red);
                None
            } else {
                Some(buffers)
            };
            let handle = iommu.group(group).unwrap();
            assert_eq!((handle.status(), handle.users()), (Status::Idle, 0));
            let during = if kept.is_some() { either } else { [BLOCKED; 2] };
            stage.call("remove", &[dev], during, BLOCKED, || {
                iommu.remove_device(DEV).unwrap()
            });
            assert_eq!(bus(&stage, "remove"), block());
            assert_eq!(handle.status(), Status::Empty);
            assert_eq!(iommu.group(group).err(), Some(Error::NoDevice));
            assert_eq!(iommu.group(DEV).err(), Some(Error::NoDevice));
            assert_eq!(held(&stage), before, "round {round}");
            if let Some(buffers) = kept {
                buffers.into_iter().for_each(|buffer| {
                    buffer.unmap().expect("the buffer");
                });
                stage.give_back(red);
                assert_eq!(held(&stage), before);
            }
            run(&stage, 300);
        }
        end(&stage, iommu);
    }
}

/// A device id that the directory in use does not cover reaches nothing, nor does one that nobody added, nor does a
/// process id, since no context has a process directory: cause 260 (transaction type disallowed), also for a device
/// that is translated by identity or has a domain. What the same device sends without a process id is not disturbed.
#[test]
fn t_65_ids_beyond_the_directory() {
    for (config, wide) in [(&TINY, 0x80), (&LINUX, 0x7f_ffff)] {
        let stage = stage(setting(config, 65));
        let (iommu, dev) = begin(&stage, driver(Identity(token())));
        let identity = stage.identity();
        let stranger = stage.engine(wide, BLOCKED);
        let unknown = stage.engine(0x11, BLOCKED);
        let process = stage.engine(DEV.0, BLOCKED);
        stage.with(|_, scene| scene.load.engine_mut(process).process = Some(5));
        let narrow = wide >> iommu.limits().device_id_bits != 0;
        if narrow {
            let refused = iommu.add_device(DeviceId(wide).into()).err();
            assert_eq!(refused, Some(Error::OutOfRange));
        }
        stage.call("add", &[dev], [BLOCKED, identity], identity, || {
            iommu.add_device(DEV.into()).unwrap()
        });
        let causes = |device: u32| {
            run(&stage, 400);
            iommu.faults().drain(1000, |_| ()).unwrap();
            run(&stage, 600);
            let mut causes = BTreeSet::new();
            let all = iommu.faults().drain(1000, |record| {
                if record.device() == DeviceId(device) {
                    causes.insert(record.record.cause().0);
                }
            });
            all.expect("drained");
            causes
        };
        assert_eq!(causes(DEV.0), BTreeSet::from([260]), "identity");
        assert_eq!(causes(0x11), BTreeSet::from([258]));
        let of_stranger = if narrow { 260 } else { 258 };
        assert_eq!(causes(wide), BTreeSet::from([of_stranger]));
        let owned = stage.call("claim", &[dev], [identity, BLOCKED], BLOCKED, || {
            iommu.group(DEV).unwrap().claim(&owner(1)).unwrap()
        });
        let (red, is_red) = coloured(&stage, &iommu, "red");
        let owned = stage.call("attach", &[dev], [BLOCKED, is_red], is_red, || {
            owned.attach(red).unwrap()
        });
        assert_eq!(causes(DEV.0), BTreeSet::from([260]), "a domain");
        assert!(
            [stranger, unknown, process]
                .iter()
                .all(|e| stage.count(*e, BLOCKED) > 0)
        );
        assert!(stage.count(dev, identity) > 0 && stage.count(dev, is_red) > 0);
        let any = [is_red, BLOCKED, identity];
        stage.call("release", &[dev], any, identity, || owned.release());
        stage.call("remove", &[dev], [identity, BLOCKED], BLOCKED, || {
            iommu.remove_device(DEV).unwrap()
        });
        end(&stage, iommu);
    }
}

/// A guard was forgotten and the IOMMU is dropped under full load: translation is off before the tables go.
#[test]
fn t_77_drop_under_load() {
    let stage = stage(setting(&TINY, 77));
    let (iommu, dev) = begin(&stage, driver(Blocked));
    iommu.add_device(DEV.into()).unwrap();
    let (red, is_red) = coloured(&stage, &iommu, "red");
    let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    let owned = stage.call("attach", &[dev], [BLOCKED, is_red], is_red, || {
        owned.attach(red).unwrap()
    });
    std::mem::forget(owned);
    stage.run(600).expect("no hang");
    let bystander = 1;
    let of_bystander =
        stage.with(|_, scene| scene.load.engine_mut(bystander).timeline.at(u64::MAX));
    stage.call(
        "drop",
        &[dev, bystander],
        of_bystander.or(is_red).or(BLOCKED),
        BLOCKED,
        || drop(iommu),
    );
    stage.give_back(is_red);
    run(&stage, 300);
    assert!(stage.count(dev, is_red) > 0);
    stage.drain().expect("no hang");
    stage.verdict();
}
