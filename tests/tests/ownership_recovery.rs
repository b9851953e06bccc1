//! The hardware fails while devices hammer, on the cycle-accurate hardware (scenarios T48 to T51, T56): old,
//! new or blocked holds all the same.

use portcullis::DefaultDomainType::Blocked;
use portcullis::{AttachError, Config, DeviceId, Error, Health, Timeouts};
use portcullis_regmap::config::TINY;
use portcullis_sim::core::MemStatus;
use portcullis_sim::memory::FaultOn;
use portcullis_sim::own::load::Habits;
use portcullis_sim::own::stage::{Setting, Stage};
use portcullis_tests::ownership::*;

/// Short timeouts: 100 microseconds are 5,000 cycles.
fn impatient() -> Config {
    Config {
        timeouts: Timeouts {
            command_us: 100,
            register_us: 100,
        },
        ..driver(Blocked)
    }
}

/// Where the command queue lies.
fn ring(stage: &Stage) -> u64 {
    stage.with(|_, scene| scene.monitor.ring())
}

/// A granted access that takes long to land holds a fence up for less than the timeout: nothing fails.
#[test]
fn t_48_slow_hardware() {
    let stage = stage(Setting {
        habits: Habits {
            delay: 3000,
            ..Habits::default()
        },
        ..setting(&TINY, 48)
    });
    let (iommu, dev) = begin(&stage, impatient());
    iommu.add_device(DEV.into()).unwrap();
    let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    let (red, is_red) = coloured(&stage, &iommu, "red");
    let owned = stage.call("attach", &[dev], [BLOCKED, is_red], is_red, || {
        owned.attach(red).unwrap()
    });
    run(&stage, 400);
    let (owned, red) = stage.call("detach", &[dev], [is_red, BLOCKED], BLOCKED, || {
        owned.detach()
    });
    stage.give_back(is_red);
    drop((owned, red));
    run(&stage, 400);
    assert_eq!(iommu.health(), Health::Good);
    end(&stage, iommu);
}

/// The core cannot fetch one command: the queue is reset, everything is invalidated, the call succeeds.
#[test]
fn t_51_one_fetch_fault() {
    for call in ["attach", "detach"] {
        let stage = stage(Setting {
            keep: true,
            ..setting(&TINY, 51)
        });
        let (iommu, dev) = begin(&stage, impatient());
        iommu.add_device(DEV.into()).unwrap();
        let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
        let (red, is_red) = coloured(&stage, &iommu, "red");
        // Slots that the queue reaches only before the reset, which starts it at slot 0 again.
        let break_slots = |from: u64| {
            stage.with(|harness, scene| {
                let at = scene.monitor.ring() + 16 * from;
                harness.memory_mut().set_fault(
                    at,
                    4096 - 16 * from,
                    FaultOn::Read,
                    MemStatus::Access,
                );
            });
        };
        let used = iommu.stats().commands;
        if call == "attach" {
            break_slots(used + 2);
        }
        let owned = stage.call("attach", &[dev], [BLOCKED, is_red], is_red, || {
            owned.attach(red).unwrap()
        });
        run(&stage, 400);
        if call == "detach" {
            break_slots(iommu.stats().commands + 1);
        }
        let (owned, red) = stage.call("detach", &[dev], [is_red, BLOCKED], BLOCKED, || {
            owned.detach()
        });
        stage.give_back(is_red);
        run(&stage, 400);
        assert_eq!(
            (iommu.health(), iommu.stats().queue_resets),
            (Health::Degraded, 1),
            "{call}"
        );
        let words = bus(&stage, call);
        let blanket = words.windows(4).any(|four| four == BLANKET);
        assert!(blanket, "{call}: {words:?}");
        drop((owned, red));
        end(&stage, iommu);
    }
}

/// The core can fetch no command at all any more: translation goes off, which blocks everybody, and calls answer EIO.
/// Tables and memory of the domain are free. After recovery the state on record is back.
#[test]
fn t_49_51_no_fetch_works() {
    let stage = stage(setting(&TINY, 49));
    let (iommu, dev) = begin(&stage, impatient());
    let bystander = 1;
    iommu.add_device(DEV.into()).unwrap();
    let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    let (red, is_red) = coloured(&stage, &iommu, "red");
    let (blue, is_blue) = coloured(&stage, &iommu, "blue");
    let owned = stage.call("attach", &[dev], [BLOCKED, is_red], is_red, || {
        owned.attach(red).unwrap()
    });
    run(&stage, 400);
    let at = ring(&stage);
    let fault = |status| {
        stage.with(|harness, _| {
            harness
                .memory_mut()
                .set_fault(at, 4096, FaultOn::Read, status)
        })
    };
    fault(MemStatus::Access);
    let own = stage.with(|_, scene| scene.load.engine_mut(bystander).timeline.at(u64::MAX));
    let all = own.or(is_red).or(BLOCKED);
    let (owned, red) = stage.call("detach", &[dev, bystander], all, BLOCKED, || owned.detach());
    assert_eq!(iommu.health(), Health::Closed);
    stage.give_back(is_red);
    drop(red);
    run(&stage, 400);
    let AttachError {
        guard: owned,
        target: blue,
        error,
    } = owned.attach(blue).expect_err("translation is off");
    assert_eq!(error, Error::Io);
    run(&stage, 400);
    fault(MemStatus::Ok);
    // SAFETY: the fault is gone.
    stage.call("recover", &[bystander], own.or(BLOCKED), own, || {
        unsafe { iommu.recover() }.unwrap()
    });
    run(&stage, 400);
    let owned = stage.call("attach again", &[dev], [BLOCKED, is_blue], is_blue, || {
        owned.attach(blue).unwrap()
    });
    run(&stage, 400);
    assert!(stage.count(dev, is_blue) > 0);
    stage.call("release", &[dev], [is_blue, BLOCKED], BLOCKED, || {
        owned.release()
    });
    end(&stage, iommu);
}

/// A granted write never lands, so no fence ends and ddtp stays busy: the hardware is given up, and what it may still
/// use is never freed.
#[test]
fn t_50_stuck_hardware() {
    let stage = stage(Setting {
        habits: Habits {
            delay: u64::from(u32::MAX),
            ..Habits::default()
        },
        ..setting(&TINY, 50)
    });
    let (iommu, dev) = begin(&stage, impatient());
    iommu.add_device(DEV.into()).unwrap();
    let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    let (red, is_red) = coloured(&stage, &iommu, "red");
    // Nobody may be told that red is out of reach.
    let either = [BLOCKED, is_red];
    let owned = stage.call("attach and detach", &[dev], either, either, || {
        // Perhaps an access of the bystander has been granted already; then this is refused.
        let owned = owned.attach(red).map_err(|refused| refused.guard);
        run(&stage, 400);
        owned.map_or_else(|guard| guard, |attached| attached.detach().0)
    });
    assert_eq!(iommu.health(), Health::Wedged);
    let freed = stage.with(|_, scene| scene.monitor.pages_given_back());
    drop(owned);
    assert!(!iommu.isolation());
    drop(iommu);
    assert_eq!(
        stage.with(|_, scene| scene.monitor.pages_given_back()),
        freed,
        "nothing is freed"
    );
}

/// A blocked device that faults all the time is quieted: still blocked, no records any more, and it can be attached
/// afterwards.
#[test]
fn t_56_storm() {
    let stage = stage(setting(&TINY, 56));
    let config = Config {
        storm_polls: 3,
        ..driver(Blocked)
    };
    let (iommu, dev) = begin(&stage, config);
    iommu.add_device(DEV.into()).unwrap();
    let mut polls = 0;
    while iommu.poll().unwrap().quieted == 0 {
        run(&stage, 400);
        iommu.faults().drain(64, |_| ()).unwrap();
        polls += 1;
        assert!(polls < 10, "still not quieted");
    }
    iommu.faults().drain(1000, |_| ()).unwrap();
    run(&stage, 400);
    iommu.faults().drain(1000, |_| ()).unwrap();
    let delivered = iommu.stats().faults;
    let refused = stage.count(dev, BLOCKED);
    run(&stage, 400);
    iommu.faults().drain(1000, |_| ()).unwrap();
    assert_eq!(iommu.stats().faults, delivered, "no record any more");
    assert!(stage.count(dev, BLOCKED) > refused, "but still blocked");
    let owned = iommu
        .group(DeviceId(DEV.0))
        .unwrap()
        .claim(&owner(1))
        .unwrap();
    let (red, is_red) = coloured(&stage, &iommu, "red");
    let owned = stage.call("attach", &[dev], [BLOCKED, is_red], is_red, || {
        owned.attach(red).unwrap()
    });
    run(&stage, 400);
    assert!(stage.count(dev, is_red) > 0);
    stage.call("release", &[dev], [is_red, BLOCKED], BLOCKED, || {
        owned.release()
    });
    end(&stage, iommu);
}
