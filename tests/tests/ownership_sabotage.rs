//! The harness can fail: each way to break the protocol between driver and hardware is noticed on the bus, and those
//! that hurt on this hardware are seen in where the accesses go as well.

use portcullis_regmap::config::TINY;
use portcullis_sim::own::load::Habits;
use portcullis_sim::own::sabotage::Sabotage::{self, *};
use portcullis_sim::own::show::{Show, perform};
use portcullis_sim::own::stage::Setting;
use portcullis_tests::ownership::{backend, setting};

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
