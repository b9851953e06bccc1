//! The failures that measurements of an existing open IOMMU brought to light, second part: permissions and ranges, records
//! and the command queue. See `peer.rs`.

use portcullis_sim::core::{Access, Kind};
use portcullis_sim::memory::Timing;
use portcullis_tests::conformance::bus::{Knobs, Unruly};
use portcullis_tests::conformance::*;
use portcullis_tests::*;

/// Memories: a fast one, a slow one, and one that takes and answers reads irregularly.
const TIMINGS: [Timing; 3] = [timing(1, 1, 0), timing(10, 1, 0), timing(3, 4, 9)];
const fn timing(latency: u64, interval: u64, jitter: u64) -> Timing {
    Timing {
        latency,
        interval,
        jitter,
        seed: 1,
    }
}

/// Cycles by which one thing is moved over the other.
const ALIGNMENTS: std::ops::Range<u64> = 0..40;

/// A running machine with device [`DEV`] and page [`PAGE`], and its root.
fn machine(timing: Timing) -> (Rig<Rtl>, u64) {
    let mut m = Rig::rtl_with(under_test::any(), timing);
    m.start();
    let root = m.device_with_page();
    (m, root)
}

/// The same behind an unruly bus.
fn unruly(timing: Timing) -> (Rig<Rtl>, Knobs) {
    let knobs = Knobs::default();
    let core = under_test::core(under_test::any());
    let mut m = Rig::rtl_around(
        under_test::any(),
        Box::new(Unruly::new(core, knobs.clone())),
        timing,
    );
    m.start();
    m.device_with_page();
    (m, knobs)
}

/// Failure 10: a store to a clean page passes if a load has brought the page into the cache.
#[test]
fn peer_10_a_store_to_a_clean_page_faults_after_a_load() {
    for timing in TIMINGS {
        let (mut m, root) = machine(timing);
        for (level, iova, pa, n) in [
            (0, PAGE, FRAME, 0),
            (0, 0x4001_0000, 0x8004_8000, pte::N),
            (1, 0x8020_0000, 0xa020_0000, 0),
            (2, 0xc000_0000, 0xc000_0000, 0),
        ] {
            // Given a page of any size with W=1 and D=0 that loads have brought into the cache
            m.map(root, iova, pa, (RWX & !pte::D) | n, level);
            let to = if n == 0 { pa } else { pa & !0xffff };
            for _ in 0..2 {
                m.grants(request(DEV, Access::Read, iova), to);
            }
            // Then a store is refused, as often as it comes
            m.refuses(request(DEV, Access::Write, iova), 15);
            m.refuses(request(DEV, Access::Write, iova + 8), 15);
            m.grants(request(DEV, Access::Read, iova), to);
        }
    }
}

/// Failure 11: addresses are cut to what the page table translates. (There is no second stage whose width could matter.)
#[test]
fn peer_11_an_address_that_is_not_canonical_is_not_cut() {
    for timing in TIMINGS {
        let (mut m, _) = machine(timing);
        for bit in 38..64 {
            let bad = request(DEV, Access::Read, PAGE | (1 << bit));
            // Given that the page it would be cut to is not cached, Then it faults; and again while it is
            m.invalidate(Cmd::VMA);
            m.refuses(bad, 13);
            m.grants(request(DEV, Access::Read, PAGE), FRAME);
            m.refuses(bad, 13);
        }
    }
}

/// Failure 12: a first-stage page beyond 2^41 is refused as if there were a second stage. Here no page is beyond what the
/// first stage may name.
#[test]
fn peer_12_a_page_may_lead_anywhere_in_56_bits() {
    for timing in TIMINGS {
        let (mut m, root) = machine(timing);
        for bit in 32..56 {
            let iova = PAGE + (bit - 31) * 0x1000;
            m.map(root, iova, 1 << bit, RWX, 0);
            // Then a page there is reached, cold and cached
            for access in ACCESSES {
                m.grants(request(DEV, access, iova + 0x123), (1 << bit) + 0x123);
            }
        }
        m.map(root, 0xc000_0000, 0x00ff_ffff_c000_0000, RWX, 2);
        m.grants(
            request(DEV, Access::Read, 0xffff_ffff),
            0x00ff_ffff_ffff_ffff,
        );
        m.no_faults();
    }
}

/// Failure 13: the base format's directory is indexed with the widths of the extended one.
#[test]
fn peer_13_all_seven_bits_of_device_id_are_directory_index() {
    for timing in TIMINGS {
        let mut m = Rig::rtl_with(under_test::any(), timing);
        m.start();
        // Given a context for each device of 64 to 127, with a page of its own
        let mut cases = vec![];
        for did in 64..128 {
            let root = m.sv39(did, u64::from(did));
            m.map(root, PAGE, FRAME + u64::from(did) * 0x1000, RWX, 0);
            cases.push((
                request(did, Access::Read, PAGE),
                FRAME + u64::from(did) * 0x1000,
            ));
        }
        // Then each is used; and what is wider is refused
        m.grants_each(&cases);
        m.refuses_each(
            &[0x80, 0x8005, 0x80_0064].map(|did| (request(did, Access::Read, PAGE), 260)),
        );
    }
}

/// Failure 14: a fault found on a cache hit is recorded with another iotval2 than one found by a walk. Without a second
/// stage iotval2 is always 0; what must be equal is the whole record.
#[test]
fn peer_14_a_fault_on_a_cached_page_is_recorded_like_one_of_a_walk() {
    for timing in TIMINGS {
        let (mut m, root) = machine(timing);
        m.map(root, PAGE, FRAME, RWX & !pte::W & !pte::X, 0);
        for access in [Access::Write, Access::Exec] {
            let r = request(DEV, access, PAGE + 0x40);
            // Given the fault of a walk, and the same while the page is cached
            m.invalidate(Cmd::VMA);
            m.invalidate(Cmd::INVAL_DDT);
            assert!(m.ask(r).fault);
            let cold = m.faults();
            m.grants(request(DEV, Access::Read, PAGE), FRAME);
            assert!(m.ask(r).fault);
            let cached = m.faults();
            // Then the records are the same, and iotval2 is 0
            assert_eq!(cold, cached);
            assert_eq!(cold.len(), 1);
            assert_eq!((cold[0].cause(), cold[0].dw[3]), (page_fault(access), 0));
        }
    }
}

/// Failure 15: a request without process_id that asks for privilege reads a supervisor page.
#[test]
fn peer_15_privilege_without_process_id_is_none() {
    for timing in TIMINGS {
        let (mut m, root) = machine(timing);
        m.map(root, PAGE + 0x1000, OTHER, RWX & !pte::U, 0);
        for access in ACCESSES {
            let mut r = request(DEV, access, PAGE + 0x1000);
            r.privileged = true;
            // Then a page with U=0 is refused, cold and after the context is known
            m.refuses(request(DEV, access, PAGE + 0x1000), page_fault(access));
            assert!(m.ask(r).fault);
            let records = m.faults();
            assert_eq!(records.len(), 1);
            assert_eq!(
                (records[0].cause(), (records[0].dw[0] >> 33) & 1),
                (page_fault(access), 0)
            );
            r.iova = PAGE;
            m.grants(r, FRAME);
        }
    }
}

/// Failure 16: cqh passes an illegal command. It is watched in every cycle.
#[test]
fn peer_16_cqh_never_passes_an_illegal_command() {
    for timing in TIMINGS {
        for good in [0, 1, 4, 9] {
            // Given an illegal command behind some good ones, and more good ones behind it
            let (mut m, _) = machine(timing);
            for _ in 0..good {
                m.push(Cmd::VMA);
            }
            m.push(Cmd(0x3f, 0));
            for _ in 0..3 {
                m.push(Cmd::FENCE.store(SCRATCH, 1));
            }
            m.ring();
            // When time passes, Then cqh never exceeds its index, and nothing behind it happens
            let mut cqh = 0;
            for _ in 0..20 * (timing.latency + timing.jitter + 3) {
                cqh = m.read32(reg::CQH);
                assert!(cqh <= good, "{timing:?}: cqh {cqh} behind {good}");
            }
            assert_eq!(cqh, good);
            assert_eq!(m.read32(reg::CQCSR), csr::EN | csr::ON | csr::CMD_ILL);
            assert_eq!(m.load(SCRATCH), 0);
        }
    }
}

/// Failure 17: cqh passes an IOFENCE.C whose data is not stored yet.
#[test]
fn peer_17_cqh_passes_a_fence_only_with_its_data_in_memory() {
    // Given memory that takes no write for 500 cycles
    for timing in TIMINGS {
        let (mut m, knobs) = unruly(timing);
        knobs.stall_writes.set(true);
        m.push(Cmd::FENCE.with(Cmd::PR | Cmd::PW).store(SCRATCH, 0x55));
        m.push(Cmd::VMA);
        m.ring();
        for _ in 0..250 {
            assert_eq!(m.read32(reg::CQH), 0, "{timing:?}");
        }
        assert_eq!(m.load(SCRATCH), 0);
        knobs.stall_writes.set(false);
        m.finish();
        assert_eq!(m.load(SCRATCH), 0x55);
    }
    // Given memory that answers late
    for latency in [1, 10, 80] {
        let (mut m, _) = machine(timing(latency, 1, 0));
        for i in 1..=4u32 {
            m.push(Cmd::FENCE.store(SCRATCH, i));
            m.ring();
            // Then whenever cqh has passed the fence its word is there
            for _ in 0..4 * latency + 40 {
                let passed = m.read32(reg::CQH) == u64::from(i);
                assert!(!passed || m.load(SCRATCH) == u64::from(i), "L={latency}");
                if passed {
                    break;
                }
            }
            assert_eq!(m.load(SCRATCH), u64::from(i));
        }
    }
}

/// Failure 18: IOFENCE.C with PR and PW completes while an earlier access is still on its way.
#[test]
fn peer_18_a_fence_waits_for_accesses_granted_before_it() {
    const ON_ITS_WAY: u64 = 120;
    for timing in TIMINGS {
        let (mut m, root) = machine(timing);
        m.dut.h.set_dma_latency(ON_ITS_WAY, ON_ITS_WAY);
        for delay in ALIGNMENTS {
            let access = [Access::Read, Access::Write][delay as usize % 2];
            let bits = [Cmd::PR, Cmd::PW][delay as usize % 2]
                | if delay % 3 == 0 { Cmd::PR | Cmd::PW } else { 0 };
            // Given a walk or a hit, rung in after or before its grant by `delay` cycles
            m.map(root, PAGE, FRAME, RWX, 0);
            m.dut.h.submit(request(DEV, access, PAGE));
            m.dut.step(delay);
            m.push(Cmd::FENCE.with(bits));
            m.ring();
            let rung = m.dut.h.cycle();
            m.finish();
            let passed = m.dut.h.cycle();
            m.dut.h.finish_requests().expect("an answer");
            let f = m.dut.h.take_finished().expect("one");
            assert!(!f.response.fault);
            // Then, if it was granted before the fence was rung in, it has arrived
            if f.answered < rung - 2 {
                assert!(
                    passed >= f.answered + ON_ITS_WAY,
                    "{timing:?} delay={delay}"
                );
            }
            m.dut.step(ON_ITS_WAY);
            m.invalidate(Cmd::VMA);
        }
    }
}

/// Translated and ATS requests meet none of the caches above; they are refused in the middle of everything.
#[test]
fn peer_18_requests_that_are_refused_hold_up_no_fence() {
    let (mut m, _) = machine(TIMINGS[0]);
    m.dut.h.set_dma_latency(100_000, 100_000);
    for kind in [Kind::Translated, Kind::Ats] {
        m.refuses(as_kind(request(DEV, Access::Read, PAGE), kind), 260);
    }
    // Given only refused accesses, When a fence waits for accesses, Then it has none to wait for
    let before = m.dut.h.cycle();
    m.fence();
    assert!(m.dut.h.cycle() - before < 200);
}
