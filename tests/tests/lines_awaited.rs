//! Walks that begin while the line of their entry is on its way: they wait for it instead of reading, and what it brings is
//! judged as if they had read it. Behind an invalidation nobody waits for a line that was read before it (HW2).

use portcullis_regmap::Config;
use portcullis_sim::core::{Access, MemStatus, Purpose};
use portcullis_sim::harness::Finished;
use portcullis_sim::memory::{FaultOn, Timing};
use portcullis_tests::under_test::LINES;
use portcullis_tests::*;

const DEV: u32 = 5;
const PSCID: u64 = 7;
const PAGE: u64 = 0x4000_0000;
const OLD: u64 = 0x8_0000_0000;
const NEW: u64 = 0x9_0000_0000;
/// Cycles after a page has been asked for in which its line is on its way, with a memory that takes 30.
const ON_ITS_WAY: std::ops::Range<u64> = 10..46;

fn build() -> &'static Config {
    under_test::with(under_test::linux(), LINES)
}

fn steady(latency: u64) -> Timing {
    Timing {
        latency,
        ..Timing::default()
    }
}

fn page(n: u64) -> u64 {
    PAGE + 0x1000 * n
}

/// A device with 64 pages, of which one far from the first has been read.
fn machine(timing: Timing) -> (Machine, u64) {
    let mut m = Machine::with_config(build(), timing);
    m.start();
    let root = m.sv39(DEV, PSCID);
    for n in 0..64 {
        m.map(root, page(n), OLD + 0x1000 * n, RWX, 0);
    }
    assert_eq!(m.read(DEV, page(32)), Some(OLD + 0x2_0000));
    m.h.advance(100).expect("quiet machine");
    (m, root)
}

fn answers(m: &mut Machine) -> Vec<Finished> {
    m.h.finish_requests().expect("no hang");
    let mut all: Vec<Finished> = std::iter::from_fn(|| m.h.take_finished()).collect();
    all.sort_by_key(|f| f.id);
    all
}

fn reads(m: &Machine) -> u64 {
    m.h.counters().traffic.reads(Purpose::Pte)
}

#[test]
fn a_neighbour_of_a_page_that_is_being_read_comes_with_its_line() {
    for delay in ON_ITS_WAY {
        for n in [1, 4, 7] {
            // Given a page that is read, whose line follows
            let (mut m, _) = machine(steady(30));
            let before = reads(&m);
            m.h.submit(request(DEV, Access::Read, page(0)));
            m.h.advance(delay).expect("no hang");
            // When a neighbour is asked for
            m.h.submit(request(DEV, Access::Read, page(n)));
            // Then it is there when the line is, without a read
            let all = answers(&mut m);
            assert_eq!(all[1].response.pa, OLD + 0x1000 * n);
            let took = all[1].answered - all[0].issued;
            assert!(took < 52, "delay {delay}, page {n}: {took} cycles");
            assert_eq!(reads(&m), before + 1, "delay {delay}, page {n}");
        }
    }
}

/// Whoever begins in the cycle in which memory brings what another waits for reads for itself.
#[test]
fn all_who_wait_for_a_line_get_their_own_entry() {
    for delay in ON_ITS_WAY {
        let (mut m, _) = machine(steady(30));
        let before = reads(&m);
        m.h.submit(request(DEV, Access::Read, page(0)));
        m.h.advance(delay).expect("no hang");
        let asked = [6, 1, 7, 3, 2, 5, 4];
        for n in asked {
            m.h.submit(request(DEV, Access::Read, page(n)));
        }
        for (f, n) in answers(&mut m).iter().zip([0].into_iter().chain(asked)) {
            assert_eq!(f.response.pa, OLD + 0x1000 * n, "delay {delay}");
        }
        let own = reads(&m) - before - 1;
        assert!(own <= 3, "delay {delay}: {own} reads");
    }
}

/// HW5, S1-11 to S1-27: entries that do not plainly allow are read again, and memory says why.
#[test]
fn what_a_line_brings_is_judged() {
    let good = RWX | (OLD + 0x3000) >> 12 << 10;
    let cases: [(&str, u64, Access, Option<u64>); 9] = [
        ("plain", good, Access::Write, None),
        ("with RSW", good | 3 << 8, Access::Write, None),
        ("not valid", good & !1, Access::Read, Some(13)),
        ("not for writing", good & !4, Access::Write, Some(15)),
        ("clean", good & !0x80, Access::Write, Some(15)),
        ("not accessed", good & !0x40, Access::Read, Some(13)),
        ("reserved bit", good | 1 << 54, Access::Read, Some(13)),
        ("PBMT", good | 1 << 61, Access::Read, Some(13)),
        ("bad NAPOT", good | 1 << 63, Access::Read, Some(13)),
    ];
    for (name, entry, access, cause) in cases {
        for delay in [12, 30, 40, 200] {
            // Given such an entry beside a page that is being read, or has been
            let (mut m, root) = machine(steady(30));
            let slot = m.pte(root, page(3), 0);
            m.h.memory_mut().store64(slot, entry);
            m.h.submit(request(DEV, Access::Read, page(0)));
            m.h.advance(delay).expect("no hang");
            let before = reads(&m);
            // When it is asked for
            m.h.submit(request(DEV, access, page(3)));
            let asked = answers(&mut m).pop().expect("an answer");
            // Then it counts as in memory
            assert_eq!(asked.response.fault, cause.is_some(), "{name}, {delay}");
            let told = m.faults().last().map(FaultRecord::cause);
            assert_eq!(told, cause, "{name}, delay {delay}");
            let own = reads(&m) - before;
            assert_eq!(own, u64::from(cause.is_some()), "{name}, delay {delay}");
        }
    }
}

#[test]
fn an_entry_of_a_far_page_is_read_by_whoever_asks_for_it() {
    // Given an entry whose page lies beyond what the IOMMU itself can address
    let (mut m, root) = machine(steady(30));
    let slot = m.pte(root, page(3), 0);
    let far = 1u64 << 55;
    m.h.memory_mut().store64(slot, far >> 12 << 10 | RWX);
    assert_eq!(m.read(DEV, page(0)), Some(OLD));
    m.h.advance(100).expect("quiet machine");
    // When its line has come and it is asked for, Then the answer is that page
    let before = reads(&m);
    assert_eq!(m.read(DEV, page(3)), Some(far));
    assert_eq!(reads(&m), before + 1);
}

#[test]
fn an_entry_that_cannot_be_read_is_refused_to_who_waits_for_it() {
    for (status, cause) in [(MemStatus::Access, 5), (MemStatus::Corrupt, 274)] {
        for delay in ON_ITS_WAY.step_by(3) {
            let (mut m, root) = machine(steady(30));
            let slot = m.pte(root, page(3), 0);
            m.h.memory_mut().set_fault(slot, 8, FaultOn::Read, status);
            m.h.submit(request(DEV, Access::Read, page(0)));
            m.h.advance(delay).expect("no hang");
            for n in [3, 2] {
                m.h.submit(request(DEV, Access::Read, page(n)));
            }
            let faults: Vec<bool> = answers(&mut m).iter().map(|f| f.response.fault).collect();
            let expected = [false, true, false];
            assert_eq!(faults, expected, "delay {delay}");
            let told: Vec<u64> = m.faults().iter().map(FaultRecord::cause).collect();
            assert_eq!(told, [cause], "delay {delay}");
        }
    }
}

/// The request comes at any moment after the IOTINVAL, and before the fence; a memory with jitter brings the line late.
#[test]
fn hw2_behind_an_invalidation_nobody_waits_for_a_line_that_was_read_before_it() {
    let calm = [(12, 0, 0), (30, 0, 0)];
    let uneasy = (0..3).map(|seed| (4, 80, seed));
    for (latency, jitter, seed) in calm.into_iter().chain(uneasy) {
        let timing = Timing {
            latency,
            jitter,
            seed,
            ..Timing::default()
        };
        for delay in (6..latency + jitter + 12).step_by(9) {
            for wait in [0, 7, 30] {
                // Given a page that is being read, whose line is on its way
                let (mut m, root) = machine(timing);
                m.h.submit(request(DEV, Access::Read, page(0)));
                m.h.advance(delay).expect("no hang");
                // When a neighbour changes, with IOTINVAL, is asked for, and the fence follows
                m.map(root, page(1), NEW, RWX, 0);
                m.command(cmd::VMA_ADDR, cmd::addr(page(1)));
                m.h.advance(wait).expect("no hang");
                m.h.submit(request(DEV, Access::Read, page(1)));
                m.h.finish_requests().expect("no hang");
                m.fence();
                while m.h.take_finished().is_some() {}
                // Then the new one counts
                let got = m.read(DEV, page(1));
                assert_eq!(got, Some(NEW), "{timing:?} delay={delay} wait={wait}");
            }
        }
    }
}
