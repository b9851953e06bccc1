//! The comparison notices what is planted: a core that does one thing wrong is found out within a few machines.

use portcullis_regmap::config::TINY;
use portcullis_sim::backend::Backend;
use portcullis_sim::core::Core;
use portcullis_tests::random::{Sabotage, Saboteur, Script, generate, run};

/// Machines after which the saboteur must have been caught.
const MACHINES: u64 = 40;

fn caught(how: Sabotage) -> Option<u64> {
    (0..MACHINES).find(|seed| {
        let rtl = Backend::Rtl.core(&TINY).expect("back end rtl");
        let core: Box<dyn Core> = Box::new(Saboteur::new(rtl, how));
        run(&generate(*seed, &TINY), &TINY, core, &mut Script::default()).is_err()
    })
}

fn notices(list: &[Sabotage]) {
    for how in list {
        let seed = caught(*how);
        println!("{how:?}: {seed:?}");
        assert!(
            seed.is_some(),
            "{how:?} is not noticed by {MACHINES} machines"
        );
    }
}

#[test]
fn random_notices_wrong_responses() {
    notices(&[
        Sabotage::FlipAddress(0),
        Sabotage::FlipAddress(12),
        Sabotage::FlipAddress(55),
        Sabotage::Grant,
        Sabotage::Refuse,
        Sabotage::PageSize,
    ]);
}

#[test]
fn random_notices_wrong_memory() {
    notices(&[
        Sabotage::DropRecord,
        Sabotage::FlipRecord(33),
        Sabotage::DropFence,
        Sabotage::HideReadErrors,
    ]);
}

#[test]
fn random_notices_wrong_interrupts_and_registers() {
    notices(&[
        Sabotage::MuteWires,
        Sabotage::StuckWires,
        Sabotage::Register(32),
        Sabotage::Register(36),
        Sabotage::Register(48),
        Sabotage::Register(52),
        Sabotage::Register(76),
        Sabotage::Register(84),
    ]);
}

#[test]
fn random_notices_wrong_commands() {
    notices(&[
        Sabotage::IgnoreInvalidations,
        Sabotage::SkipVisibility,
        Sabotage::IgnoreReserved,
    ]);
}
