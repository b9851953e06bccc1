//! Default domains, regions and devices with wishes of their own, hammering all the while, on the cycle-accurate
//! hardware (scenarios T28, T63, T64, T66, T68, T72).

use std::cell::RefCell;
use std::rc::Rc;

use portcullis::DefaultDomainType::{self, Blocked, Dma, DmaFq, Identity};
use portcullis::platform::{Event, Op, Trace};
use portcullis::{
    AttachError, DeviceInfo, DeviceRegion, Direction, Error, Iova, Perm, Policy, RegionKind, Status,
};
use portcullis_regmap::config::{LINUX, TINY};
use portcullis_tests::ownership::*;

/// The whole probe window of [`small`]: where identity has its colour.
const WINDOW: u64 = 0x2000_0000;
const WINDOW_BYTES: u64 = 9 * PAGE as u64;

static RELAXABLE: [DeviceRegion; 1] = [DeviceRegion {
    start: WINDOW,
    bytes: WINDOW_BYTES,
    kind: RegionKind::DirectRelaxable(Perm::READ_WRITE),
}];
static DIRECT: [DeviceRegion; 1] = [DeviceRegion {
    start: WINDOW,
    bytes: WINDOW_BYTES,
    kind: RegionKind::Direct(Perm::READ_WRITE),
}];
/// Where the allocator would begin.
static RESERVED: [DeviceRegion; 1] = [DeviceRegion {
    start: 0x2000,
    bytes: 2 * PAGE as u64,
    kind: RegionKind::Reserved,
}];

/// A context is made, and neither used nor invalidated.
fn idle(words: &[&str]) -> bool {
    let fields = ["tc.V=0", "fsc", "other field"];
    words.iter().all(|word| fields.contains(word))
}

/// Given a default domain of type Blocked; when its group is claimed, attached, detached, released; then the codes are
/// the usual ones, claim and release change ownership only, and hardware steps surround the owner's domains alone.
#[test]
fn t_28_default_type_blocked() {
    for (config, seed) in [(&TINY, 28), (&LINUX, 29)] {
        let stage = small(config, seed);
        let (iommu, dev) = begin(&stage, driver(Blocked));
        let none = [""; 0];
        stage.call("add", &[dev], BLOCKED, BLOCKED, || {
            iommu.add_device(DEV.into()).unwrap()
        });
        assert!(idle(&bus(&stage, "add")));
        let group = iommu.group(DEV).unwrap();
        // In use, it is blocked just the same, and nothing can be mapped.
        let user = group.use_default_domain().unwrap();
        nothing_changes(&stage, &iommu, "map", &[dev], BLOCKED, || {
            let refused = user.map(Buffer(0x8000_0000), Direction::Both);
            assert_eq!(refused.expect_err("blocked").1, Error::NotSupported);
        });
        user.unuse();
        for round in 0..2 {
            let owned = stage.call("claim", &[dev], BLOCKED, BLOCKED, || {
                group.claim(&owner(1)).unwrap()
            });
            assert_eq!(bus(&stage, "claim"), none);
            assert_eq!(group.status(), Status::Owned(owner(1)));
            let (red, is_red) = coloured(&stage, &iommu, &format!("red {round}"));
            let owned = stage.call("attach", &[dev], [BLOCKED, is_red], is_red, || {
                owned.attach(red).unwrap()
            });
            assert_eq!(bus(&stage, "attach"), publish());
            run(&stage, 300);
            let (owned, red) = stage.call("detach", &[dev], [is_red, BLOCKED], BLOCKED, || {
                owned.detach()
            });
            assert_eq!(bus(&stage, "detach"), block());
            let owned = stage.call("again", &[dev], [BLOCKED, is_red], is_red, || {
                owned.attach(red).unwrap()
            });
            run(&stage, 300);
            // From S5 it is BLOCK alone: default and blocked coincide.
            stage.call("release", &[dev], [is_red, BLOCKED], BLOCKED, || {
                owned.release()
            });
            assert_eq!(bus(&stage, "release"), block());
            stage.give_back(is_red);
            run(&stage, 300);
            let owned = group.claim(&owner(2)).unwrap();
            stage.call("release blocked", &[dev], BLOCKED, BLOCKED, || {
                owned.release()
            });
            assert_eq!(bus(&stage, "release blocked"), none);
            assert_eq!(group.status(), Status::Idle);
        }
        end(&stage, iommu);
    }
}

/// Given a device with a relaxable direct region, which it reaches from the moment it is added; when its group is
/// claimed; then 0, and the region is as blocked as everything else; an owner's domain has it elsewhere; after the
/// release it is back. A region that must stay prevents the claim, and nothing changes.
#[test]
fn t_63_relaxable_and_direct_regions() {
    let stage = small(&TINY, 63);
    let (iommu, dev) = begin(&stage, driver(Dma));
    let direct = stage.identity();
    let info = DeviceInfo {
        regions: &RELAXABLE,
        ..DEV.into()
    };
    let group = stage.call("add", &[dev], [BLOCKED, direct], direct, || {
        iommu.add_device(info).unwrap()
    });
    let group = iommu.group(group).unwrap();
    run(&stage, 300);
    assert!(stage.count(dev, direct) > 0);
    for round in 0..2 {
        let owned = stage.call("claim", &[dev], [direct, BLOCKED], BLOCKED, || {
            group.claim(&owner(1)).unwrap()
        });
        assert_eq!(bus(&stage, "claim"), block());
        run(&stage, 300);
        let (red, is_red) = coloured(&stage, &iommu, &format!("red {round}"));
        let owned = stage.call("attach", &[dev], [BLOCKED, is_red], is_red, || {
            owned.attach(red).unwrap()
        });
        run(&stage, 300);
        let any = [is_red, BLOCKED, direct];
        stage.call("release", &[dev], any, direct, || owned.release());
        stage.give_back(is_red);
        run(&stage, 300);
    }
    stage.call("remove", &[dev], [direct, BLOCKED], BLOCKED, || {
        iommu.remove_device(DEV).unwrap()
    });
    let info = DeviceInfo {
        regions: &DIRECT,
        ..DEV.into()
    };
    stage.call("add", &[dev], [BLOCKED, direct], direct, || {
        iommu.add_device(info).unwrap()
    });
    let group = iommu.group(DEV).unwrap();
    nothing_changes(&stage, &iommu, "claim", &[dev], direct, || {
        assert_eq!(group.claim(&owner(1)).err(), Some(Error::Invalid));
        let refused = iommu.claim_device(DEV, &owner(1)).err();
        assert_eq!(refused, Some(Error::Invalid));
    });
    stage.call("remove", &[dev], [direct, BLOCKED], BLOCKED, || {
        iommu.remove_device(DEV).unwrap()
    });
    end(&stage, iommu);
}

/// Given a reserved region that the device hammers; when it is mapped by hand, or a domain that maps it is attached;
/// then EINVAL and nothing changes; when buffers are mapped all around; then none lies there: the device never gets an
/// answer from the region.
#[test]
fn t_64_reserved_region() {
    let stage = small(&TINY, 64);
    let (iommu, dev) = begin(&stage, driver(Dma));
    let prober = stage.engine(DEV.0, BLOCKED);
    let (reserved, after) = (RESERVED[0].start, RESERVED[0].start + RESERVED[0].bytes);
    stage.with(|_, scene| {
        let pages = (reserved..after).step_by(PAGE).collect();
        scene.load.engine_mut(prober).pages = pages;
    });
    let info = DeviceInfo {
        regions: &RESERVED,
        ..DEV.into()
    };
    let group = iommu.add_device(info).unwrap();
    let group = iommu.group(group).unwrap();
    let owned = group.claim(&owner(1)).unwrap();
    let (red, is_red) = coloured(&stage, &iommu, "red");
    let spare = 0x9000_0000;
    map(&red, reserved + PAGE as u64, spare, PAGE, Perm::READ).unwrap();
    let AttachError {
        guard: owned,
        target: red,
        error,
    } = nothing_changes(&stage, &iommu, "attach", &[dev, prober], BLOCKED, || {
        owned.attach(red).expect_err("maps the region")
    });
    assert_eq!(error, Error::Invalid);
    red.unmap(Iova(reserved + PAGE as u64), PAGE).unwrap();
    let owned = stage.call("attach", &[dev], [BLOCKED, is_red], is_red, || {
        owned.attach(red).unwrap()
    });
    run(&stage, 300);
    for (iova, bytes) in [
        (reserved, PAGE),
        (after - PAGE as u64, 2 * PAGE),
        (reserved - PAGE as u64, 2 * PAGE),
        (0, 2 << 20),
    ] {
        nothing_changes(&stage, &iommu, "map", &[dev], is_red, || {
            let refused = map(owned.domain(), iova, spare, bytes, Perm::READ_WRITE);
            assert_eq!(refused, Err(Error::Invalid), "{iova:#x} {bytes:#x}");
        });
    }
    stage.call("release", &[dev], [is_red, BLOCKED], BLOCKED, || {
        owned.release()
    });
    stage.give_back(is_red);
    run(&stage, 300);
    // The allocator begins at the lowest address.
    let user = group.use_default_domain().unwrap();
    let mapped: Vec<_> = (0..20)
        .map(|n| user.map(Buffer(spare + n * PAGE as u64), Direction::Both))
        .map(|buffer| buffer.expect("room"))
        .collect();
    let mut at: Vec<u64> = mapped.iter().map(|buffer| buffer.iova().0).collect();
    assert!(
        at.iter()
            .all(|iova| *iova != 0 && !(reserved..after).contains(iova))
    );
    assert!(
        at.contains(&(reserved - PAGE as u64)) && at.contains(&after),
        "{at:x?}"
    );
    at.dedup();
    assert_eq!(at.len(), mapped.len(), "nothing twice");
    let refused = stage.count(prober, BLOCKED);
    run(&stage, 300);
    assert!(stage.count(prober, BLOCKED) > refused);
    drop((mapped, user));
    end(&stage, iommu);
}

/// Given devices whose wishes conflict; when they come into one group; then identity wins for both, and an event says
/// so. An untrusted device that asks for identity gets EINVAL and stays blocked, and so does one that would join.
#[test]
fn t_66_conflicting_policies() {
    let stage = small(&TINY, 66);
    let events = Rc::new(RefCell::new(Vec::new()));
    let log = events.clone();
    let tell = move |op| {
        if let Op::Event(event @ Event::PolicyConflict { .. }) = op {
            log.borrow_mut().push(event);
        }
    };
    let (iommu, dev) = begin_on(&stage, Trace::new(stage.platform(), tell), driver(Dma));
    let (identity, must) = (stage.identity(), Policy::Identity(token()));
    let second = stage.engine(SECOND.0, BLOCKED);
    let both = [dev, second];
    let untrusted = DeviceInfo {
        policy: must,
        untrusted: true,
        ..DEV.into()
    };
    nothing_changes(&stage, &iommu, "untrusted", &both, BLOCKED, || {
        assert_eq!(iommu.add_device(untrusted), Err(Error::Invalid));
    });
    let wants_dma = DeviceInfo {
        policy: Policy::Dma,
        ..DEV.into()
    };
    let group = stage.call("add", &[dev], BLOCKED, BLOCKED, || {
        iommu.add_device(wants_dma).unwrap()
    });
    let wants_identity = DeviceInfo {
        policy: must,
        ..joining(SECOND, group)
    };
    let any = [BLOCKED, identity];
    let user = iommu.group(group).unwrap().use_default_domain().unwrap();
    stage.call("join under a driver", &both, BLOCKED, BLOCKED, || {
        run(&stage, 200);
        assert_eq!(iommu.add_device(wants_identity), Err(Error::Busy));
        run(&stage, 200);
    });
    user.unuse();
    assert_eq!(*events.borrow(), []);
    stage.call("join", &both, any, identity, || {
        assert_eq!(iommu.add_device(wants_identity), Ok(group));
    });
    run(&stage, 300);
    assert!(both.iter().all(|engine| stage.count(*engine, identity) > 0));
    let conflict = Event::PolicyConflict {
        group,
        device: SECOND,
    };
    assert_eq!(*events.borrow(), [conflict]);
    let third = stage.engine(0x28, BLOCKED);
    let stranger = DeviceInfo {
        untrusted: true,
        ..joining(portcullis::DeviceId(0x28), group)
    };
    stage.call("untrusted joins", &[third], BLOCKED, BLOCKED, || {
        run(&stage, 200);
        assert_eq!(iommu.add_device(stranger), Err(Error::Invalid));
        run(&stage, 200);
    });
    nothing_changes(&stage, &iommu, "others go on", &both, identity, || {});
    for (device, engine) in [(DEV, dev), (SECOND, second)] {
        stage.call("remove", &[engine], any, BLOCKED, || {
            iommu.remove_device(device).unwrap()
        });
    }
    end(&stage, iommu);
}

/// Given a device whose attach is deferred; when it is added, its default type changes, or it is removed; then no
/// hardware, and it stays blocked; when a driver uses it, or an owner attaches; then it follows at once.
#[test]
fn t_68_deferred_attach() {
    let stage = small(&TINY, 68);
    let mut iommu = stage.start(driver(Identity(token()))).expect("starts");
    let admin = iommu.admin_token();
    let dev = stage.engine(DEV.0, BLOCKED);
    let identity = stage.identity();
    let deferred = DeviceInfo {
        deferred: true,
        ..DEV.into()
    };
    let none = [""; 0];
    let add = || {
        let id = stage.call("add", &[dev], BLOCKED, BLOCKED, || {
            let id = iommu.add_device(deferred).unwrap();
            run(&stage, 200);
            id
        });
        assert!(idle(&bus(&stage, "add")));
        iommu.group(id).unwrap()
    };
    let set = |group: &portcullis::Group<'_, _>, kind: DefaultDomainType| {
        stage.call("set type", &[dev], BLOCKED, BLOCKED, || {
            assert_eq!(group.set_default_domain_type(kind, &admin), Ok(()));
            run(&stage, 200);
        });
        assert_eq!(
            bus(&stage, "set type"),
            none,
            "attaching the default is no hardware"
        );
    };
    // Removed before any use.
    let group = add();
    set(&group, DmaFq);
    set(&group, Identity(token()));
    stage.call("remove", &[dev], BLOCKED, BLOCKED, || {
        iommu.remove_device(DEV).unwrap()
    });
    assert_eq!(bus(&stage, "remove"), none);
    // First use.
    let group = add();
    let any = [BLOCKED, identity];
    let user = stage.call("use", &[dev], any, identity, || {
        group.use_default_domain().unwrap()
    });
    assert_eq!(bus(&stage, "use"), publish());
    run(&stage, 300);
    assert!(stage.count(dev, identity) > 0);
    user.unuse();
    stage.call("remove", &[dev], any, BLOCKED, || {
        iommu.remove_device(DEV).unwrap()
    });
    // An owner: the claim acts, although there is nothing to block, and clears the flag.
    let group = add();
    let owned = stage.call("claim", &[dev], BLOCKED, BLOCKED, || {
        group.claim(&owner(1)).unwrap()
    });
    let (red, is_red) = coloured(&stage, &iommu, "red");
    let owned = stage.call("attach", &[dev], [BLOCKED, is_red], is_red, || {
        owned.attach(red).unwrap()
    });
    run(&stage, 300);
    let all = [is_red, BLOCKED, identity];
    stage.call("release", &[dev], all, identity, || owned.release());
    stage.give_back(is_red);
    run(&stage, 300);
    stage.call("remove", &[dev], any, BLOCKED, || {
        iommu.remove_device(DEV).unwrap()
    });
    end(&stage, iommu);
}

/// Given a group of two, of which one is being reset; then that one is blocked; when a domain is attached or replaced;
/// then EBUSY, and nothing changes; detach and release work around it; when the reset is over; then it goes where its
/// group goes by then.
#[test]
fn t_72_device_reset() {
    let stage = small(&TINY, 72);
    let (iommu, dev) = begin(&stage, driver(Identity(token())));
    let identity = stage.identity();
    let second = stage.engine(SECOND.0, BLOCKED);
    let both = [dev, second];
    let any = [identity, BLOCKED];
    let id = stage.call("add", &[dev], any, identity, || {
        iommu.add_device(DEV.into()).unwrap()
    });
    stage.call("join", &[second], any, identity, || {
        iommu.add_device(joining(SECOND, id)).unwrap()
    });
    let group = iommu.group(id).unwrap();
    let owned = stage.call("claim", &both, any, BLOCKED, || {
        group.claim(&owner(1)).unwrap()
    });
    let (red, is_red) = coloured(&stage, &iommu, "red");
    let (blue, is_blue) = coloured(&stage, &iommu, "blue");
    let owned = stage.call("attach", &both, [BLOCKED, is_red], is_red, || {
        owned.attach(red).unwrap()
    });
    run(&stage, 300);
    let reset = stage.call("reset", &[dev], [is_red, BLOCKED], BLOCKED, || {
        iommu.reset_device(DEV).unwrap()
    });
    assert_eq!(bus(&stage, "reset"), block());
    let AttachError {
        guard: owned,
        target: blue,
        error,
    } = nothing_changes(&stage, &iommu, "replace", &[second], is_red, || {
        assert_eq!(iommu.reset_device(DEV).err(), Some(Error::Busy));
        owned.replace(blue).expect_err("a reset")
    });
    assert_eq!(error, Error::Busy);
    let (owned, red) = stage.call("detach", &[second], [is_red, BLOCKED], BLOCKED, || {
        owned.detach()
    });
    stage.give_back(is_red);
    drop(red);
    let AttachError {
        guard: owned,
        target: blue,
        error,
    } = nothing_changes(&stage, &iommu, "attach", &both, BLOCKED, || {
        owned.attach(blue).expect_err("a reset")
    });
    assert_eq!(error, Error::Busy);
    // The reset ends in a blocked group; the next one in one that is released meanwhile.
    stage.call("done", &[dev], BLOCKED, BLOCKED, || reset.done());
    let owned = stage.call("attach", &both, [BLOCKED, is_blue], is_blue, || {
        owned.attach(blue).unwrap()
    });
    run(&stage, 300);
    let reset = stage.call("reset", &[dev], [is_blue, BLOCKED], BLOCKED, || {
        iommu.reset_device(DEV).unwrap()
    });
    let all = [is_blue, BLOCKED, identity];
    stage.call("release", &[second], all, identity, || owned.release());
    stage.give_back(is_blue);
    run(&stage, 300);
    stage.call("done", &[dev], any, identity, || reset.done());
    run(&stage, 300);
    assert!(both.iter().all(|engine| stage.count(*engine, identity) > 0));
    for (device, engine) in [(DEV, dev), (SECOND, second)] {
        stage.call("remove", &[engine], any, BLOCKED, || {
            iommu.remove_device(device).unwrap()
        });
    }
    end(&stage, iommu);
}
