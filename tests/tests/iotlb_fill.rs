//! A leaf that a walk has found is stored a cycle later: what may come in between.

use portcullis_regmap::config::LINUX;
use portcullis_sim::core::Access;
use portcullis_sim::harness::Finished;
use portcullis_sim::memory::Timing;
use portcullis_tests::*;

const PAGE: u64 = 0x4000_0000;
const LARGE: u64 = 1 << 21;
const OLD: u64 = 0x8_0000_0000;
const NEW: u64 = 0x9_0000_0000;
const LATENCY: u64 = 6;
/// Cycles from a request to its answer, and some more, if its walk takes one read.
const OF_A_WALK: std::ops::Range<u64> = 0..LATENCY + 12;

fn own(did: u32) -> u64 {
    OLD + (u64::from(did) << 28)
}

/// Without lines, so that each entry that is needed is read by a walk.
fn machine() -> Machine {
    let timing = Timing {
        latency: LATENCY,
        ..Timing::default()
    };
    let mut m = Machine::with_config(&LINUX, timing).without_lines();
    m.start();
    m
}

fn answers(m: &mut Machine) -> Vec<Finished> {
    m.h.finish_requests().expect("no hang");
    let mut all: Vec<Finished> = std::iter::from_fn(|| m.h.take_finished()).collect();
    all.sort_by_key(|f| f.id);
    all
}

/// One of each size: 4 KiB, which goes to a set, and 2 MiB, which does not.
fn sizes() -> [(u32, u64); 2] {
    [(0, 0x1000), (1, LARGE)]
}

#[test]
fn a_page_is_walked_once_for_all_who_ask_for_it() {
    for (level, size) in sizes() {
        for distance in OF_A_WALK {
            // Given a page whose region has been walked
            let mut m = machine();
            let root = m.sv39(1, 21);
            for n in 0..2 {
                m.map(root, PAGE + n * size, OLD + n * size, RWX, level);
            }
            assert_eq!(m.read(1, PAGE), Some(OLD));
            let before = m.pte_reads();
            // When it is asked for twice
            for wait in [distance, 0] {
                m.h.submit(request(1, Access::Read, PAGE + size));
                m.h.advance(wait).expect("no hang");
            }
            // Then one read has brought it
            for f in answers(&mut m) {
                assert_eq!(f.response.pa, OLD + size);
            }
            let reads = m.pte_reads() - before;
            assert_eq!(reads, 1, "level {level}, distance {distance}");
        }
    }
}

/// HW2: the invalidation passes at any moment around the one in which the leaf is stored.
#[test]
fn hw2_no_leaf_is_stored_behind_an_invalidation_that_covers_it() {
    for (level, size) in sizes() {
        for delay in OF_A_WALK {
            // Given a page in a region that has been walked
            let mut m = machine();
            let root = m.sv39(1, 21);
            for n in 0..2 {
                m.map(root, PAGE + n * size, OLD + n * size, RWX, level);
            }
            assert_eq!(m.read(1, PAGE), Some(OLD));
            // When it is asked for, and changes behind the read of its entry, while the command that invalidates it is read
            m.h.submit(request(1, Access::Read, PAGE + size));
            m.h.advance(delay).expect("no hang");
            m.queue(cmd::VMA_ADDR, cmd::addr(PAGE + size));
            m.doorbell();
            m.h.advance(3).expect("no hang");
            m.map(root, PAGE + size, NEW, RWX, level);
            answers(&mut m);
            m.fence();
            // Then nobody finds the old one
            let got = m.read(1, PAGE + size);
            assert_eq!(got, Some(NEW), "level {level}, delay {delay}");
        }
    }
}

/// The context of another device is stored in its slot at any moment around the one in which the leaf is.
#[test]
fn a_leaf_of_a_context_that_is_replaced_is_nobody_elses() {
    let contexts = u32::from(LINUX.context_entries);
    for (level, size) in sizes() {
        for distance in 0..6 * LATENCY {
            // Given as many devices as there are contexts, and one more
            let mut m = machine();
            for did in 1..=contexts + 1 {
                let root = m.sv39(did, 20 + u64::from(did));
                for n in 0..2 {
                    m.map(root, PAGE + n * size, own(did) + n * size, RWX, level);
                }
            }
            for did in 1..=contexts {
                assert_eq!(m.read(did, PAGE), Some(own(did)));
            }
            // When the one more takes the first one's place while that asks for a page
            let heir = contexts + 1;
            m.h.submit(request(heir, Access::Read, PAGE));
            m.h.advance(distance).expect("no hang");
            m.h.submit(request(1, Access::Read, PAGE + size));
            answers(&mut m);
            // Then each has its own
            for did in [heir, 1, heir] {
                let got = m.read(did, PAGE + size);
                let expected = own(did) + size;
                assert_eq!(got, Some(expected), "level {level}, distance {distance}");
            }
        }
    }
}
