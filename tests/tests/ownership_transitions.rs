//! Scenarios of the driver on the cycle-accurate hardware: a group changes hands while its device never stops.
//!
//! Given, when, then: a stage with engines that hammer, one call of the driver, and what may be reached meanwhile and
//! afterwards. Whatever else is reached, and every breach of the protocol on the bus, fails the test.

use portcullis::{DefaultDomainType, Iommu, Mode, PagingDomain};
use portcullis_regmap::Config;
use portcullis_regmap::config::{LINUX, TINY};
use portcullis_sim::own::load::Habits;
use portcullis_sim::own::paint::Colour;
use portcullis_sim::own::stage::{Bus, Setting, Stage};
use portcullis_tests::ownership::*;

const BLOCKED: Colour = Colour::BLOCKED;

fn coloured<'i>(
    stage: &Stage,
    iommu: &'i Iommu<Bus>,
    name: &str,
) -> (PagingDomain<'i, Bus>, Colour) {
    stage.domain(iommu, name, Mode::Sv39).expect("a domain")
}

fn run(stage: &Stage) {
    stage.run(300).expect("no hang");
}

/// Both devices are there; the bystander reaches a domain of its own and nothing else, always.
fn begin(stage: &Stage, default_domain: DefaultDomainType) -> (Iommu<Bus>, usize) {
    let iommu = stage
        .start(portcullis::Config {
            default_domain,
            ..Stage::driver_config()
        })
        .expect("starts");
    let victim = stage.engine(DEV.0, BLOCKED);
    let bystander = stage.engine(BYSTANDER.0, BLOCKED);
    stage
        .call("add bystander", &[bystander], BLOCKED, BLOCKED, || {
            iommu.add_device(BYSTANDER.into())
        })
        .expect("added");
    {
        let owned = iommu.group(BYSTANDER).unwrap().claim(&owner(2)).unwrap();
        let (domain, green) = coloured(stage, &iommu, "green");
        let owned = stage.call(
            "attach bystander",
            &[bystander],
            [BLOCKED, green],
            green,
            || owned.attach(domain).unwrap(),
        );
        // For good: it is owned until the IOMMU goes.
        core::mem::forget(owned);
    }
    (iommu, victim)
}

/// claim, attach red, detach, free, attach blue, replace by red, release.
fn transitions(config: &'static Config, seed: u64, habits: Habits) {
    let stage = stage(Setting {
        habits,
        ..setting(config, seed)
    });
    let (iommu, dev) = begin(&stage, DefaultDomainType::Blocked);
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
        run(&stage);
        assert!(stage.count(dev, is_red) > 0, "the device reaches red");
        let (owned, red) = stage.call("detach red", &[dev], [is_red, BLOCKED], BLOCKED, || {
            owned.detach()
        });
        // Red's frames get another use, and its tables are freed.
        stage.give_back(is_red);
        drop(red);
        run(&stage);
        let (blue, is_blue) = coloured(&stage, &iommu, &format!("blue {round}"));
        let owned = stage.call("attach blue", &[dev], [BLOCKED, is_blue], is_blue, || {
            owned.attach(blue).unwrap()
        });
        run(&stage);
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
        run(&stage);
        stage.call("release", &[dev], [is_red, BLOCKED], BLOCKED, || {
            owned.release()
        });
        stage.give_back(is_red);
        run(&stage);
    }
    stage.drain().expect("no hang");
    stage.verdict();
    // The bystander's attach; then in each round attach, detach, attach, replace and the blocking half of release. What
    // is published after a SYNC of blocked contexts is counted by that SYNC.
    let syncs = stage.with(|_, scene| scene.monitor.syncs());
    assert_eq!(syncs, 1 + 2 * 5, "SYNCs that the watcher saw");
    drop(iommu);
    stage.verdict();
}

#[test]
fn t_17_18_19_23_26_transitions() {
    for (config, seed) in [(&TINY, 1), (&TINY, 2), (&LINUX, 3)] {
        transitions(config, seed, Habits::default());
    }
}
