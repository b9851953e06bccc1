//! The failures that measurements of an existing open IOMMU brought to light: none of them may happen here.
//!
//! Each test repeats the scenario, moved cycle by cycle over the machine's work where timing matters, with fast and slow
//! memory. Where this configuration cannot fail in the same way (it has no second stage and one level of directory) the
//! test says what it looks at instead.

use portcullis_sim::core::{Access, MemStatus, Response};
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

/// The answers that are there, in the order of the requests.
fn answers(m: &mut Rig<Rtl>) -> Vec<Response> {
    m.dut
        .h
        .finish_requests()
        .expect("an answer to every request");
    let mut done: Vec<_> = std::iter::from_fn(|| m.dut.h.take_finished()).collect();
    done.sort_by_key(|f| f.id);
    done.iter().map(|f| f.response).collect()
}

/// The one answer that is there: granted, and where.
fn answer(m: &mut Rig<Rtl>) -> Option<u64> {
    let all = answers(m);
    assert_eq!(all.len(), 1);
    (!all[0].fault).then_some(all[0].pa)
}

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

/// Failure 1: an invalidation decoded in the cycle in which a walk fills the cache stops both for ever.
#[test]
fn peer_01_an_invalidation_at_any_moment_of_a_walk_stops_nothing() {
    let unrelated = [
        Cmd::VMA.pscid(99),
        Cmd::VMA.at(0x7000).pscid(99),
        Cmd::GVMA.gscid(3),
        Cmd::INVAL_DDT.did(77),
    ];
    for timing in TIMINGS {
        let (mut m, root) = machine(timing);
        m.map(root, PAGE + 0x1000, OTHER, RWX, 0);
        for delay in ALIGNMENTS {
            for cold in [Cmd::VMA, Cmd::INVAL_DDT] {
                // Given a walk, with its context known or not
                m.invalidate(cold);
                m.dut.h.submit(request(DEV, Access::Read, PAGE));
                m.dut.step(delay);
                // When a command that concerns something else comes `delay` cycles later
                m.push(unrelated[delay as usize % 4]);
                m.ring();
                // Then the request is answered, the command is passed, and both ports go on
                assert_eq!(answer(&mut m), Some(FRAME), "{timing:?} delay={delay}");
                m.finish();
                assert_eq!(m.read(DEV, PAGE + 0x1000), Some(OTHER));
            }
        }
        m.no_faults();
    }
}

#[test]
fn peer_01_a_stream_of_invalidations_starves_no_walk() {
    for timing in TIMINGS {
        // Given 240 commands that concern something else
        let (mut m, root) = machine(timing);
        for _ in 0..240 {
            m.push(Cmd::VMA.pscid(99));
        }
        for i in 0..30 {
            m.map(root, PAGE + i * 0x1000, FRAME + i * 0x1000, RWX, 0);
            m.dut
                .h
                .submit(request(DEV, Access::Read, PAGE + i * 0x1000));
        }
        // When they run while 30 pages are walked
        m.ring();
        let all = answers(&mut m);
        // Then all are translated, and all commands are passed
        for (i, a) in (0..).zip(all) {
            assert!(!a.fault && a.pa == FRAME + i * 0x1000, "{timing:?}: {a:x?}");
        }
        m.finish();
        m.no_faults();
    }
}

/// Failure 2: faults that cannot be recorded pile up until nothing is answered any more.
#[test]
fn peer_02_faults_are_answered_with_the_fault_queue_off() {
    for timing in TIMINGS {
        // Given a machine after reset: ddtp Off, no fault queue
        let mut m = Rig::rtl_with(under_test::any(), timing);
        for did in 0..20 {
            m.dut.h.submit(request(did, Access::Read, PAGE));
        }
        // Then each request gets an error
        assert!(answers(&mut m).iter().all(|a| a.fault));
        // And so does each of a machine that runs without one
        m.command_queue_at(CQ, 7);
        m.ddtp(2);
        let root = m.device_with_page();
        for i in 0..20 {
            m.dut
                .h
                .submit(request(DEV, Access::Read, PAGE + i * 0x1000));
        }
        let all = answers(&mut m);
        assert!(!all[0].fault && all[1..].iter().all(|a| a.fault));
        // When the queue is switched on, Then it records new faults and none of the old ones
        m.fault_queue_at(FQ, 7);
        m.map(root, PAGE + 0x1000, OTHER, RWX, 0);
        m.grants(request(DEV, Access::Read, PAGE + 0x1000), OTHER);
        m.refuses(request(DEV, Access::Read, PAGE + 0x2000), 13);
    }
}

#[test]
fn peer_02_faults_are_answered_while_fqof_is_set() {
    for timing in TIMINGS {
        // Given a fault queue of two entries
        let mut m = Rig::rtl_with(under_test::any(), timing);
        m.queues(7, 0);
        m.ddtp(2);
        m.device_with_page();
        // When 20 faults follow each other, with good requests between them
        for i in 1..=20 {
            m.dut
                .h
                .submit(request(DEV, Access::Read, PAGE + i * 0x1000));
            m.dut.h.submit(request(DEV, Access::Read, PAGE));
        }
        // Then all are answered
        for (i, a) in answers(&mut m).into_iter().enumerate() {
            assert_eq!(a.fault, i % 2 == 0);
        }
        m.dut.settle();
        assert_eq!(m.read32(reg::FQCSR), csr::EN | csr::ON | csr::FQOF);
        assert_eq!(m.read32(reg::FQT), 1);
    }
}

#[test]
fn peer_02_faults_are_answered_after_memory_took_no_writes_for_a_while() {
    for timing in TIMINGS {
        // Given memory that takes no writes
        let (mut m, knobs) = unruly(timing);
        m.grants(request(DEV, Access::Read, PAGE), FRAME);
        knobs.stall_writes.set(true);
        // When eight faults happen, and time passes
        for i in 1..=8 {
            m.dut
                .h
                .submit(request(DEV, Access::Read, PAGE + i * 0x1000));
        }
        m.dut.step(400);
        // Then all of them are answered once it takes writes again, and all are recorded
        knobs.stall_writes.set(false);
        let all = answers(&mut m);
        assert!(all.len() == 8 && all.iter().all(|a| a.fault));
        let want: Vec<_> = (1..=8)
            .map(|i| record_of(request(DEV, Access::Read, PAGE + i * 0x1000), 13))
            .collect();
        let got: Vec<_> = m.faults().into_iter().map(comparable).collect();
        assert_eq!(got, want);
        m.grants(request(DEV, Access::Read, PAGE), FRAME);
        assert_eq!(m.read32(reg::FQCSR), csr::EN | csr::ON);
    }
}

/// Failure 3: records are lost, without fqof, when memory answers writes slowly.
#[test]
fn peer_03_no_record_is_lost_with_slow_writes() {
    for latency in [1, 2, 5, 10, 50] {
        // Given memory that answers a write after `latency` cycles
        let (mut m, _) = machine(timing(latency, 1, 0));
        // When 20 faults follow each other as fast as the port takes them, without and with a walk
        for i in 0..10 {
            m.dut.h.submit(request(0x80 + i, Access::Read, PAGE));
            m.dut.h.submit(request(
                DEV,
                Access::Write,
                PAGE + 0x1000 + u64::from(i) * 0x1000,
            ));
        }
        answers(&mut m);
        m.dut.step(20 * (latency + 10));
        // Then there are 20 records, and no error bit
        assert_eq!(m.read32(reg::FQT), 20, "L={latency}");
        assert_eq!(m.read32(reg::FQCSR), csr::EN | csr::ON);
        let records = m.faults();
        assert_eq!(records.iter().filter(|r| r.cause() == 260).count(), 10);
        assert_eq!(records.iter().filter(|r| r.cause() == 15).count(), 10);
    }
}

/// Failure 4: the address of an access that waits to be taken changes when its page is invalidated. The harness fails the
/// run when an offered response changes; here its address is checked too.
#[test]
fn peer_04_an_invalidation_does_not_change_an_answer_that_waits() {
    for timing in TIMINGS {
        let (mut m, _) = machine(timing);
        for delay in ALIGNMENTS {
            for c in [
                Cmd::VMA.at(PAGE).pscid(PSCID),
                Cmd::VMA,
                Cmd::INVAL_DDT.did(DEV.into()),
            ] {
                // Given a hit, or every other time the end of a walk, whose answer is not taken
                m.grants(request(DEV, Access::Read, PAGE), FRAME);
                if delay % 2 == 1 {
                    m.invalidate(Cmd::VMA);
                }
                m.dut.h.hold_responses(true);
                m.dut.h.submit(request(DEV, Access::Read, PAGE + 0x10));
                m.dut.step(delay);
                // When its page or its context is invalidated, unchanged
                m.push(c);
                m.ring();
                m.dut.step(3 * (timing.latency + timing.jitter) + 12);
                m.dut.h.hold_responses(false);
                // Then the answer is the address of the page
                assert_eq!(
                    answer(&mut m),
                    Some(FRAME + 0x10),
                    "{timing:?} delay={delay}"
                );
                m.finish();
            }
        }
        m.no_faults();
    }
}

/// Failure 5: a walk that read the old entry fills the cache after the invalidation and its fence.
#[test]
fn peer_05_no_old_translation_is_used_after_the_fence() {
    for timing in TIMINGS {
        let (mut m, root) = machine(timing);
        for delay in ALIGNMENTS {
            // Given a walk of a page that software changes `delay` cycles later
            let (old, new) = if delay % 2 == 0 {
                (FRAME, OTHER)
            } else {
                (OTHER, FRAME)
            };
            m.dut.h.submit(request(DEV, Access::Read, PAGE));
            m.dut.step(delay);
            m.map(root, PAGE, new, RWX, 0);
            // When it is invalidated, with a fence that stores
            m.push(Cmd::VMA.at(PAGE).pscid(PSCID));
            m.push(
                Cmd::FENCE
                    .with(Cmd::PR | Cmd::PW)
                    .store(SCRATCH, delay as u32 + 1),
            );
            m.finish();
            assert_eq!(m.load(SCRATCH), delay + 1);
            // Then a request made after the fence uses the new one; the one in flight may have used either
            m.dut.h.submit(request(DEV, Access::Read, PAGE));
            let all = answers(&mut m);
            assert!([old, new].contains(&all[0].pa));
            assert_eq!(all[1].pa, new, "{timing:?} delay={delay}");
            m.invalidate(Cmd::VMA);
        }
    }
}

#[test]
fn peer_05_no_old_context_is_used_after_the_fence() {
    for timing in TIMINGS {
        let (mut m, root) = machine(timing);
        let good = [TC_V, 0, PSCID << 12, SV39 | (root >> 12)];
        for delay in ALIGNMENTS {
            // Given a cold translation whose context becomes invalid `delay` cycles later
            m.dc(DEV, good);
            m.invalidate(Cmd::INVAL_DDT);
            m.invalidate(Cmd::VMA);
            m.dut.h.submit(request(DEV, Access::Read, PAGE));
            m.dut.step(delay);
            m.dc(DEV, [0, good[1], good[2], good[3]]);
            // When it is invalidated and fenced
            m.invalidate(Cmd::INVAL_DDT.did(DEV.into()));
            // Then a request made after the fence is refused
            m.dut.h.submit(request(DEV, Access::Read, PAGE));
            let all = answers(&mut m);
            assert!(all[0].fault || all[0].pa == FRAME);
            assert!(
                all[1].fault,
                "{timing:?} delay={delay}: passed to {:#x}",
                all[1].pa
            );
            assert!(m.faults().iter().all(|r| r.cause() == 258));
        }
    }
}

/// Failure 6: a device whose context is invalidated, unchanged, during its own walk gets an error.
#[test]
fn peer_06_invalidating_a_context_that_is_in_use_makes_no_fault() {
    for timing in TIMINGS {
        let (mut m, _) = machine(timing);
        for delay in ALIGNMENTS {
            for c in [Cmd::INVAL_DDT.did(DEV.into()), Cmd::INVAL_DDT] {
                for cold in [Cmd::VMA, Cmd::INVAL_DDT] {
                    // Given a walk, with its context known or not
                    m.invalidate(cold);
                    m.dut.h.submit(request(DEV, Access::Write, PAGE));
                    m.dut.step(delay);
                    // When its context is invalidated `delay` cycles later
                    m.push(c);
                    m.ring();
                    // Then it is translated
                    assert_eq!(answer(&mut m), Some(FRAME), "{timing:?} delay={delay}");
                    m.finish();
                }
            }
        }
        m.no_faults();
    }
}

/// Failure 7: an error in a burst whose beats come with gaps leaves the rest of it for the next request.
#[test]
fn peer_07_gaps_in_a_burst_that_fails_do_not_hurt_the_next_request() {
    for timing in TIMINGS {
        for bubbles in [0, 1, 2, 5] {
            let (mut m, knobs) = unruly(timing);
            knobs.bubbles.set(bubbles);
            for word in 0..4 {
                for status in [MemStatus::Access, MemStatus::Corrupt] {
                    // Given a context of which one doubleword fails, read with gaps between the beats
                    let at = DDT + 6 * 32 + 8 * word;
                    m.break_reads(at, 8, status);
                    m.dut.h.submit(request(6, Access::Read, PAGE));
                    // When another device's cold translation follows at once
                    m.dut.h.submit(request(DEV, Access::Read, PAGE));
                    // Then that one passes, and the first is refused for what it is
                    let all = answers(&mut m);
                    assert!(all[0].fault);
                    assert_eq!(
                        (all[1].fault, all[1].pa),
                        (false, FRAME),
                        "gaps {bubbles} word {word}"
                    );
                    let cause = if status == MemStatus::Access {
                        257
                    } else {
                        268
                    };
                    let records = m.faults();
                    assert_eq!(records.len(), 1);
                    assert_eq!((records[0].did(), records[0].cause()), (6, cause));
                    m.break_reads(at, 8, MemStatus::Ok);
                    m.invalidate(Cmd::VMA);
                    m.invalidate(Cmd::INVAL_DDT);
                }
            }
        }
    }
}

/// Failure 8: an IOFENCE.C to the upper half of a doubleword stores zeros.
#[test]
fn peer_08_a_fence_stores_to_either_half_of_a_doubleword() {
    for timing in TIMINGS {
        let (mut m, _) = machine(timing);
        for (n, data) in (0..).zip([0xdead_beef, 1, 0x8000_0000, 0]) {
            for upper in [false, true] {
                // Given a doubleword
                let old = 0x1122_3344_5566_7788;
                m.store(SCRATCH + 8 * n, old);
                // When a fence stores into one half, Then that half is DATA and the other as it was
                m.run(Cmd::FENCE.store(SCRATCH + 8 * n + 4 * u64::from(upper), data));
                let want = if upper {
                    (u64::from(data) << 32) | (old & 0xffff_ffff)
                } else {
                    u64::from(data) | (old & !0xffff_ffff)
                };
                assert_eq!(m.load(SCRATCH + 8 * n), want, "{timing:?} upper={upper}");
            }
        }
    }
}

/// Failure 9: a fault queue that is full across its wrap overwrites its oldest records.
#[test]
fn peer_09_a_full_fault_queue_is_noticed_across_its_wrap() {
    for start in [0, 1, 5, 62, 63] {
        // Given an empty queue of 64 entries with fqh = fqt = `start`
        let mut m = Rig::rtl(under_test::any(), 1);
        m.queues(7, 5);
        for i in 0..start {
            m.dut.h.submit(request(i, Access::Read, PAGE));
        }
        answers(&mut m);
        m.faults();
        let start = u64::from(start);
        assert_eq!((m.read32(reg::FQH), m.read32(reg::FQT)), (start, start));
        // When 70 faults follow
        for did in 0..70 {
            m.dut.h.submit(request(100 + did, Access::Read, PAGE));
        }
        assert!(answers(&mut m).iter().all(|a| a.fault));
        m.dut.settle();
        // Then 63 are recorded, each once, and fqof says that there were more; walks in flight may pass each other
        assert_eq!(m.read32(reg::FQCSR), csr::EN | csr::ON | csr::FQOF);
        assert_eq!(m.read32(reg::FQT), (start + 63) % 64);
        let config = m.config();
        let ahead = if config.walkers > 1 {
            u64::from(config.walkers) + u64::from(config.miss_queue)
        } else {
            0
        };
        let mut seen = std::collections::BTreeSet::new();
        for i in 0..63 {
            let did = m.record((start + i) % 64).did();
            assert!(seen.insert(did), "start {start}: two records of {did}");
            let late = did.abs_diff(100 + i);
            assert!(late <= ahead, "start {start}: {did} is record {i}");
        }
    }
}
