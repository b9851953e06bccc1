//! Scenarios of the driver on the cycle-accurate hardware: a group changes hands while its device never stops.
//!
//! Given, when, then: a stage with engines that hammer, one call of the driver, and what may be reached meanwhile and
//! afterwards. Whatever else is reached, and every breach of the protocol on the bus, fails the test.

use portcullis::DefaultDomainType::{Blocked, Dma, Identity};
use portcullis::{AttachError, DeviceId, DeviceInfo, Error, Mode, NotHitless, Status};
use portcullis_regmap::Config;
use portcullis_regmap::config::{LINUX, TINY};
use portcullis_sim::own::load::Habits;
use portcullis_sim::own::stage::Setting;
use portcullis_tests::ownership::*;

fn kept(config: &'static Config, seed: u64) -> Setting {
    Setting {
        keep: true,
        ..setting(config, seed)
    }
}

/// claim, attach red, detach, free, attach blue, replace by red, release.
fn transitions(config: &'static Config, seed: u64, habits: Habits) {
    let stage = stage(Setting {
        habits,
        ..setting(config, seed)
    });
    let (iommu, dev) = begin(&stage, driver(Blocked));
    stage.call("add", &[dev], BLOCKED, BLOCKED, || {
        iommu.add_device(DEV.into()).unwrap()
    });
    let group = iommu.group(DEV).unwrap();
    for round in 0..2 {
        let owned = stage.call("claim", &[dev], BLOCKED, BLOCKED, || {
            group.claim(&owner(1)).unwrap()
        });
        let (red, is_red) = coloured(&stage, &iommu, &format!("red {round}"));
        let owned = stage.call("attach red", &[dev], [BLOCKED, is_red], is_red, || {
            owned.attach(red).unwrap()
        });
        run(&stage, 300);
        assert!(stage.count(dev, is_red) > 0, "the device reaches red");
        let (owned, red) = stage.call("detach red", &[dev], [is_red, BLOCKED], BLOCKED, || {
            owned.detach()
        });
        // Red's frames get another use, and its tables are freed.
        stage.give_back(is_red);
        drop(red);
        run(&stage, 300);
        let (blue, is_blue) = coloured(&stage, &iommu, &format!("blue {round}"));
        let owned = stage.call("attach blue", &[dev], [BLOCKED, is_blue], is_blue, || {
            owned.attach(blue).unwrap()
        });
        run(&stage, 300);
        let (red, is_red) = coloured(&stage, &iommu, &format!("red again {round}"));
        let (owned, blue) = stage.call(
            "replace blue by red",
            &[dev],
            [is_blue, is_red],
            is_red,
            || owned.replace(red).unwrap(),
        );
        stage.give_back(is_blue);
        drop(blue);
        run(&stage, 300);
        stage.call("release", &[dev], [is_red, BLOCKED], BLOCKED, || {
            owned.release()
        });
        stage.give_back(is_red);
        run(&stage, 300);
    }
    // The bystander's attach; then in each round attach, detach, attach, replace and the blocking half of release. What
    // is published after a SYNC of blocked contexts is counted by that SYNC.
    let syncs = stage.with(|_, scene| scene.monitor.syncs());
    assert_eq!(syncs, 1 + 2 * 5, "SYNCs that the watcher saw");
    end(&stage, iommu);
}

#[test]
fn t_17_18_19_23_26_transitions() {
    for (config, seed) in [(&TINY, 1), (&LINUX, 3)] {
        transitions(config, seed, Habits::default());
    }
}

/// Rows "claim" and "attach" of the table of traces: one BLOCK, one publication, in this order on the bus.
#[test]
fn t_01_07_10_traces_on_the_bus() {
    let stage = stage(kept(&TINY, 1));
    let (iommu, dev) = begin(&stage, driver(Dma));
    // The default domain is empty: every access faults.
    stage.call("add", &[dev], BLOCKED, BLOCKED, || {
        iommu.add_device(DEV.into()).unwrap()
    });
    let group = iommu.group(DEV).unwrap();
    let owned = stage.call("claim", &[dev], BLOCKED, BLOCKED, || {
        group.claim(&owner(1)).unwrap()
    });
    let block = [&["tc.V=0"][..], &SYNC, &["fsc"]].concat();
    let publish = [&["fsc"][..], &SYNC, &["tc.V=1"]].concat();
    assert_eq!(bus(&stage, "claim"), block);
    assert_eq!(group.status(), Status::Owned(owner(1)));
    let (red, is_red) = coloured(&stage, &iommu, "red");
    let owned = stage.call("attach", &[dev], [BLOCKED, is_red], is_red, || {
        owned.attach(red).unwrap()
    });
    assert_eq!(bus(&stage, "attach"), publish);
    // T07: another claim, another user: refused, and nothing happens on the bus.
    stage.call("refused", &[dev], is_red, is_red, || {
        assert_eq!(group.claim(&owner(3)).err(), Some(Error::NotPermitted));
        assert_eq!(group.use_default_domain().err(), Some(Error::Busy));
        run(&stage, 300);
    });
    assert_eq!(bus(&stage, "refused"), [""; 0]);
    let (blue, is_blue) = coloured(&stage, &iommu, "blue");
    let (owned, red) = stage.call("replace", &[dev], [is_red, is_blue], is_blue, || {
        owned.replace(blue).unwrap()
    });
    assert_eq!(bus(&stage, "replace"), [&["fsc"][..], &SYNC].concat());
    stage.give_back(is_red);
    drop(red);
    // T10: by way of blocked, then the default domain.
    stage.call("release", &[dev], [is_blue, BLOCKED], BLOCKED, || {
        owned.release()
    });
    assert_eq!(bus(&stage, "release"), [block, publish].concat());
    end(&stage, iommu);
}

/// A group in use cannot be claimed, and its DMA is not disturbed by the attempt.
#[test]
fn t_02_14_claim_of_a_group_in_use() {
    let stage = stage(kept(&TINY, 1));
    let (iommu, dev) = begin(&stage, driver(Blocked));
    iommu.add_device(DEV.into()).unwrap();
    let group = iommu.group(DEV).unwrap();
    let user = group.use_default_domain().unwrap();
    let (red, is_red) = coloured(&stage, &iommu, "red");
    let managed = stage.call(
        "attach by a driver",
        &[dev],
        [BLOCKED, is_red],
        is_red,
        || user.attach(red).unwrap(),
    );
    stage.call("claim", &[dev], is_red, is_red, || {
        run(&stage, 300);
        assert_eq!(group.claim(&owner(1)).err(), Some(Error::NotPermitted));
        run(&stage, 300);
    });
    assert_eq!(bus(&stage, "claim"), [""; 0]);
    assert!(stage.count(dev, is_red) > 0);
    // T14: dropping the guard detaches, frees the domain, ends the use.
    stage.call("drop", &[dev], [is_red, BLOCKED], BLOCKED, || drop(managed));
    stage.give_back(is_red);
    run(&stage, 300);
    assert_eq!(group.status(), Status::Idle);
    stage
        .call("claim", &[dev], BLOCKED, BLOCKED, || {
            group.claim(&owner(1)).unwrap()
        })
        .release();
    end(&stage, iommu);
}

/// attach and detach without end: the same trace each time.
#[test]
fn t_08_rounds() {
    let stage = stage(kept(&TINY, 8));
    let (iommu, dev) = begin(&stage, driver(Blocked));
    iommu.add_device(DEV.into()).unwrap();
    let mut owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    let (mut red, is_red) = coloured(&stage, &iommu, "red");
    for _ in 0..rounds(20) {
        let attached = stage.call("attach", &[dev], [BLOCKED, is_red], is_red, || {
            owned.attach(red).unwrap()
        });
        assert_eq!(
            bus(&stage, "attach"),
            [&["fsc"][..], &SYNC, &["tc.V=1"]].concat()
        );
        stage.run(40).expect("no hang");
        (owned, red) = stage.call("detach", &[dev], [BLOCKED, is_red], BLOCKED, || {
            attached.detach()
        });
        assert_eq!(
            bus(&stage, "detach"),
            [&["tc.V=0"][..], &SYNC, &["fsc"]].concat()
        );
    }
    assert!(stage.count(dev, is_red) > 0);
    drop((owned, red));
    end(&stage, iommu);
}

/// Hitless replacements under full load: not one access is refused.
fn hitless(config: &'static Config, seed: u64, replacements: u64) {
    let stage = stage(setting(config, seed));
    let (iommu, dev) = begin(&stage, driver(Blocked));
    iommu.add_device(DEV.into()).unwrap();
    let (mut next, mut is_next) = coloured(&stage, &iommu, "red");
    let (blue, mut is_now) = coloured(&stage, &iommu, "blue");
    let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    let mut owned = stage.call("attach", &[dev], [BLOCKED, is_now], is_now, || {
        owned.attach(blue).unwrap()
    });
    stage.run(1000).expect("no hang");
    let refused = stage.count(dev, BLOCKED);
    let waits = iommu.stats().fence_waits;
    for n in 0..replacements {
        let name = format!("replacement {n}");
        (owned, next) = stage.call(&name, &[dev], [is_now, is_next], is_next, || {
            owned.replace_hitless(next).expect("hitless")
        });
        std::mem::swap(&mut is_now, &mut is_next);
        stage.run(20 + n % 50).expect("no hang");
    }
    assert_eq!(
        stage.count(dev, BLOCKED) - refused,
        0,
        "refused during {replacements} replacements"
    );
    assert_eq!(
        iommu.stats().fence_waits - waits,
        replacements,
        "one wait each"
    );
    let reached = [is_now, is_next].map(|colour| stage.count(dev, colour));
    println!(
        "{}: {replacements} hitless replacements, accesses {reached:?}, refused 0",
        config.name
    );
    assert!(reached.iter().all(|count| *count >= replacements / 2));
    stage.call("release", &[dev], [is_now, BLOCKED], BLOCKED, || {
        owned.release()
    });
    drop(next);
    end(&stage, iommu);
}

#[test]
fn t_20_hitless_replacements_refuse_nothing() {
    hitless(&TINY, 20, rounds(200));
    hitless(&LINUX, 21, rounds(40));
}

/// Identity is reached before and after, because it was chosen, and never in between.
#[test]
fn t_21_identity_is_never_in_between() {
    let stage = stage(setting(&TINY, 21));
    let (iommu, dev) = begin(&stage, driver(Identity(token())));
    let identity = stage.identity();
    stage.call("add", &[dev], [BLOCKED, identity], identity, || {
        iommu.add_device(DEV.into()).unwrap()
    });
    run(&stage, 300);
    assert!(!iommu.isolation());
    let group = iommu.group(DEV).unwrap();
    let owned = stage.call("claim", &[dev], [identity, BLOCKED], BLOCKED, || {
        group.claim(&owner(1)).unwrap()
    });
    assert!(iommu.isolation());
    run(&stage, 300);
    let (red, is_red) = coloured(&stage, &iommu, "red");
    let owned = stage.call("attach", &[dev], [BLOCKED, is_red], is_red, || {
        owned.attach(red).unwrap()
    });
    run(&stage, 300);
    let (owned, red) = stage.call("detach", &[dev], [is_red, BLOCKED], BLOCKED, || {
        owned.detach()
    });
    let owned = stage.call("attach again", &[dev], [BLOCKED, is_red], is_red, || {
        owned.attach(red).unwrap()
    });
    run(&stage, 300);
    let both = [is_red, BLOCKED, identity];
    stage.call("release", &[dev], both, identity, || owned.release());
    stage.give_back(is_red);
    run(&stage, 300);
    stage.call("remove", &[dev], [identity, BLOCKED], BLOCKED, || {
        iommu.remove_device(DEV).unwrap()
    });
    assert!(stage.count(dev, identity) > 0);
    end(&stage, iommu);
}

/// A group of four devices, all hammering, is replaced as one. So is one whose commands fill the queue many times over
/// (T47).
#[test]
fn t_22_47_groups_of_devices() {
    for (command_queue, devices) in [(256, 4), (4, 8)] {
        let stage = stage(setting(&TINY, 22));
        let config = portcullis::Config {
            command_queue,
            ..driver(Blocked)
        };
        let (iommu, first) = begin(&stage, config);
        let mut engines = vec![first];
        let group = iommu.add_device(DEV.into()).unwrap();
        for number in 1..devices {
            let device = DeviceId(0x40 + number);
            engines.push(stage.engine(device.0, BLOCKED));
            let info = DeviceInfo {
                group: Some(group),
                ..device.into()
            };
            assert_eq!(iommu.add_device(info), Ok(group));
        }
        let owned = iommu.group(group).unwrap().claim(&owner(1)).unwrap();
        let (red, is_red) = coloured(&stage, &iommu, "red");
        let (blue, is_blue) = coloured(&stage, &iommu, "blue");
        let owned = stage.call("attach", &engines, [BLOCKED, is_red], is_red, || {
            owned.attach(red).unwrap()
        });
        stage.run(1500).expect("no hang");
        let refused: u64 = engines.iter().map(|e| stage.count(*e, BLOCKED)).sum();
        let (owned, red) = stage.call("replace", &engines, [is_red, is_blue], is_blue, || {
            owned.replace(blue).unwrap()
        });
        stage.give_back(is_red);
        drop(red);
        stage.run(1500).expect("no hang");
        let after: u64 = engines.iter().map(|e| stage.count(*e, BLOCKED)).sum();
        assert_eq!(after, refused, "hitless for each of them");
        for engine in &engines {
            assert!(stage.count(*engine, is_red) > 0 && stage.count(*engine, is_blue) > 0);
        }
        stage.call("detach", &engines, [is_blue, BLOCKED], BLOCKED, || {
            owned.release()
        });
        end(&stage, iommu);
    }
}

/// Another page-table format: not by one store. `replace_hitless` refuses and stores nothing; `replace` goes by way of
/// blocked, with eight commands and two waits.
#[test]
fn t_25_replacement_by_way_of_blocked() {
    let stage = stage(kept(&LINUX, 25));
    let (iommu, dev) = begin(&stage, driver(Blocked));
    iommu.add_device(DEV.into()).unwrap();
    let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    let (red, is_red) = coloured(&stage, &iommu, "red");
    let (deep, is_deep) = stage.domain(&iommu, "deep", Mode::Sv48).unwrap();
    let owned = stage.call("attach", &[dev], [BLOCKED, is_red], is_red, || {
        owned.attach(red).unwrap()
    });
    run(&stage, 300);
    assert_eq!(owned.hitless(&deep), Err(NotHitless::Format));
    let AttachError {
        guard,
        target,
        error,
    } = stage.call("refused", &[dev], is_red, is_red, || {
        owned.replace_hitless(deep).expect_err("two formats")
    });
    assert_eq!(
        (error, bus(&stage, "refused")),
        (Error::NotSupported, vec![])
    );
    run(&stage, 300);
    let both = [is_red, BLOCKED, is_deep];
    let (owned, red) = stage.call("replace", &[dev], both, is_deep, || {
        guard.replace(target).unwrap()
    });
    stage.give_back(is_red);
    drop(red);
    let block = [&["tc.V=0"][..], &SYNC, &["fsc"]].concat();
    let publish = [&["fsc"][..], &SYNC, &["tc.V=1"]].concat();
    assert_eq!(bus(&stage, "replace"), [block, publish].concat());
    run(&stage, 300);
    assert!(stage.count(dev, is_deep) > 0);
    stage.call("release", &[dev], [is_deep, BLOCKED], BLOCKED, || {
        owned.release()
    });
    end(&stage, iommu);
}

/// Granted writes that land late: detach waits for them, and what the owner writes into its memory afterwards stays.
#[test]
fn t_26_late_writes() {
    for seed in 0..rounds(2) {
        let late = Habits {
            delay: 200,
            writes: 255,
            ..Habits::default()
        };
        transitions(&TINY, seed, late);
    }
}
