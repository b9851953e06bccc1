//! The harness can fail: each way to break the protocol between driver and hardware is noticed on the bus, and those
//! that hurt on this hardware are seen in where the accesses go as well.

use portcullis::DefaultDomainType::{Blocked, Dma};
use portcullis::DomainConfig;
use portcullis_regmap::config::TINY;
use portcullis_sim::own::load::Habits;
use portcullis_sim::own::sabotage::Sabotage::{self, *};
use portcullis_sim::own::show::{Show, perform};
use portcullis_sim::own::stage::Setting;
use portcullis_tests::ownership::*;

fn show(sabotage: Option<Sabotage>, seed: u64) -> Show {
    let core = backend().core(&TINY).expect("a core");
    let setting = Setting {
        sabotage,
        pages: 4,
        // Granted accesses land late, so that a fence has something to wait for.
        habits: Habits {
            delay: 200,
            ..Habits::default()
        },
        keep: true,
        ..setting(&TINY, seed)
    };
    perform(core, setting, None).expect("performed")
}

#[test]
fn nothing_broken_nothing_found() {
    let show = show(None, 1);
    assert_eq!(show.wrong, None);
    assert_eq!(show.refused_while_hitless(), 0);
}

/// Accesses go astray.
#[test]
fn seen_in_the_colours() {
    for kind in [NoWait, NoVisibility, NoInvalDdt, LateBlock] {
        let found = (1..=3).find_map(|seed| show(Some(kind), seed).wrong_colour);
        println!("{kind:?}: {found:?}");
        assert!(found.is_some(), "{kind:?}: no access went astray");
    }
}

/// Harmless on hardware that executes commands in order and has the context cached or reads it in one piece, but not
/// within the specification: seen on the bus.
#[test]
fn seen_on_the_bus() {
    for kind in [NoMiddleFence, NoIotinval, Reordered, EarlyValid, TornSwap] {
        let wrong = show(Some(kind), 1).wrong;
        println!("{kind:?}: {wrong:?}");
        assert!(
            wrong.is_some_and(|wrong| wrong.contains("context of device")),
            "{kind:?}"
        );
    }
}

/// A command that the hardware lacks stops the queue; it is seen before the driver has noticed.
#[test]
fn seen_in_the_queue() {
    let wrong = show(Some(SecondStage), 1).wrong;
    println!("SecondStage: {wrong:?}");
    assert!(wrong.is_some_and(|wrong| wrong.contains("a command that this hardware lacks")));
}

/// The rule for refused calls can fail: a claim of what is blocked already touches no hardware, but the state.
#[test]
#[should_panic(expected = "claim that is not refused")]
fn state_changes() {
    let stage = small(&TINY, 1);
    let (iommu, dev) = begin(&stage, driver(Blocked));
    iommu.add_device(DEV.into()).unwrap();
    let group = iommu.group(DEV).unwrap();
    nothing_changes(
        &stage,
        &iommu,
        "claim that is not refused",
        &[dev],
        BLOCKED,
        || {
            std::mem::forget(group.claim(&owner(1)).unwrap());
        },
    );
}

/// ... memory that is kept,
#[test]
#[should_panic(expected = "a page is kept")]
fn memory_changes() {
    let stage = small(&TINY, 1);
    let (iommu, dev) = begin(&stage, driver(Blocked));
    nothing_changes(&stage, &iommu, "a page is kept", &[dev], BLOCKED, || {
        std::mem::forget(iommu.paging_domain(DomainConfig::default()).unwrap());
    });
}

/// ... and a BLOCK that is taken back again.
#[test]
#[should_panic(expected = "claimed and released")]
fn hardware_changes() {
    let stage = small(&TINY, 1);
    let (iommu, dev) = begin(&stage, driver(Dma));
    iommu.add_device(DEV.into()).unwrap();
    let group = iommu.group(DEV).unwrap();
    nothing_changes(
        &stage,
        &iommu,
        "claimed and released",
        &[dev],
        BLOCKED,
        || {
            group.claim(&owner(1)).unwrap().release();
        },
    );
}
