//! Races between software and walks, one test per guarantee HW1 to HW9.
//!
//! Each test slides one event over the other cycle by cycle, so that every stage of a walk is hit. A failure names the
//! delay. `docs/verification.md` says which guarantee is which; `cargo xtask mutants` shows that each test can fail.

use portcullis_sim::core::{Access, Core, Inputs, Outputs};
use portcullis_sim::harness::Finished;
use portcullis_sim::memory::Timing;
use portcullis_tests::*;
use std::cell::Cell;
use std::io;
use std::path::Path;
use std::rc::Rc;

/// Device under test.
const DEV: u32 = 5;
/// Its page.
const IOVA: u64 = 0x4000_3000;
/// Where it leads before ...
const OLD: u64 = 0x8000_5000;
/// ... and after a change.
const NEW: u64 = 0x9000_7000;
/// Memory latencies that the sweeps use.
const LATENCIES: [u64; 2] = [1, 7];

/// Cycles of a cold walk, with a margin on both sides.
fn sweep(latency: u64) -> std::ops::Range<u64> {
    0..4 * latency + 16
}

/// Queues commands and an IOFENCE.C behind them, rings, and steps until cqh has passed the fence.
/// Returns the cycle in which software sees it.
fn invalidate(m: &mut Machine, commands: &[(u64, u64)]) -> u64 {
    for (dw0, dw1) in commands {
        m.queue(*dw0, *dw1);
    }
    m.command(0x3002, 0);
    m.h.cycle()
}

/// All answers so far.
fn answers(m: &mut Machine) -> Vec<Finished> {
    std::iter::from_fn(|| m.h.take_finished()).collect()
}

/// A request is in flight, memory changes, an invalidation with its fence follows after `delay` cycles.
/// Then the request got the old page before the fence was passed, or the new one; and whoever asks later gets the new.
fn race(
    latency: u64,
    delay: u64,
    warm: bool,
    change: impl Fn(&mut Machine, u64),
    commands: &[(u64, u64)],
) {
    let timing = Timing {
        latency,
        ..Timing::default()
    };
    race_in(timing, delay, warm, change, commands);
}

/// The same in a memory with any timing.
fn race_in(
    timing: Timing,
    delay: u64,
    warm: bool,
    change: impl Fn(&mut Machine, u64),
    commands: &[(u64, u64)],
) {
    let mut m = Machine::with_timing(timing);
    m.start();
    let root = m.sv39(DEV, 7);
    m.map(root, IOVA, OLD, RWX, 0);
    m.map(root, IOVA + 0x1000, OLD + 0x1000, RWX, 0);
    if warm {
        // The context and a neighbour are cached; the page itself is not.
        assert_eq!(m.read(DEV, IOVA + 0x1000), Some(OLD + 0x1000));
    }
    m.h.submit(request(DEV, Access::Read, IOVA));
    m.h.advance(delay).expect("no hang");
    change(&mut m, root);
    let passed = invalidate(&mut m, commands);
    m.h.finish_requests().expect("no hang");
    let first = answers(&mut m)[0];
    if first.response.pa != NEW {
        assert_eq!(
            first.response.pa, OLD,
            "{timing:?} delay={delay}: neither old nor new"
        );
        assert!(
            first.answered < passed,
            "{timing:?} delay={delay}: old page granted after the fence"
        );
    }
    assert_eq!(
        m.read(DEV, IOVA),
        Some(NEW),
        "{timing:?} delay={delay}: stale after the fence"
    );
}

fn new_context(m: &mut Machine, _root: u64) {
    let root = m.page();
    m.map(root, IOVA, NEW, RWX, 0);
    m.dc(DEV, [TC_V, 0, 7 << 12, SV39 | (root >> 12)]);
}

fn new_leaf(m: &mut Machine, root: u64) {
    m.map(root, IOVA, NEW, RWX, 0);
}

#[test]
fn hw1_inval_ddt_during_every_stage_of_a_walk() {
    for latency in LATENCIES {
        for delay in sweep(latency) {
            for warm in [false, true] {
                let both = [(cmd::inval_ddt(DEV.into()), 0), (cmd::vma_pscid(7), 0)];
                race(latency, delay, warm, new_context, &both);
            }
        }
    }
}

#[test]
fn hw1_inval_ddt_of_all_devices_during_every_stage_of_a_walk() {
    for delay in sweep(3) {
        race(
            3,
            delay,
            false,
            new_context,
            &[(cmd::INVAL_DDT_ALL, 0), (cmd::VMA_ALL, 0)],
        );
    }
}

#[test]
fn hw1_context_made_invalid_is_refused_after_the_fence() {
    for delay in sweep(3) {
        // Given a request in flight
        let mut m = Machine::started(3);
        let root = m.sv39(DEV, 7);
        m.map(root, IOVA, OLD, RWX, 0);
        m.h.submit(request(DEV, Access::Read, IOVA));
        m.h.advance(delay).expect("no hang");
        // When its context becomes invalid, with INVAL_DDT and fence
        m.dc(DEV, [0, 0, 7 << 12, SV39 | (root >> 12)]);
        let passed = invalidate(&mut m, &[(cmd::inval_ddt(DEV.into()), 0)]);
        m.h.finish_requests().expect("no hang");
        let first = answers(&mut m)[0];
        // Then nothing is granted from the passing of the fence on
        assert!(
            first.response.fault || first.answered < passed,
            "delay={delay}"
        );
        assert_eq!(m.read(DEV, IOVA), None, "delay={delay}");
    }
}

#[test]
fn hw2_iotinval_of_an_address_during_every_stage_of_a_walk() {
    for latency in LATENCIES {
        for delay in sweep(latency) {
            for warm in [false, true] {
                race(
                    latency,
                    delay,
                    warm,
                    new_leaf,
                    &[(cmd::VMA_ADDR, cmd::addr(IOVA))],
                );
            }
        }
    }
}

#[test]
fn hw2_iotinval_while_a_slow_read_of_the_leaf_is_under_way() {
    // What a memory with jitter read before the change may come after the invalidation has passed.
    for seed in 0..60 {
        let timing = Timing {
            latency: 2,
            jitter: 60,
            seed,
            ..Timing::default()
        };
        for delay in [20, 60, 100] {
            race_in(
                timing,
                delay,
                true,
                new_leaf,
                &[(cmd::VMA_ADDR, cmd::addr(IOVA))],
            );
        }
    }
}

#[test]
fn hw2_iotinval_of_a_pscid_during_every_stage_of_a_walk() {
    for delay in sweep(4) {
        race(4, delay, true, new_leaf, &[(cmd::vma_pscid(7), 0)]);
    }
}

#[test]
fn hw2_a_miss_that_waits_for_the_walker_sees_the_new_page() {
    for delay in sweep(5) {
        // Given a walk of one device and a miss of another waiting behind it
        let mut m = Machine::started(5);
        let root = m.sv39(DEV, 7);
        m.map(root, IOVA, OLD, RWX, 0);
        let other = m.sv39(6, 8);
        m.map(other, IOVA, OLD, RWX, 0);
        m.h.submit(request(6, Access::Read, IOVA));
        m.h.submit(request(DEV, Access::Read, IOVA));
        m.h.advance(delay).expect("no hang");
        new_leaf(&mut m, root);
        let passed = invalidate(&mut m, &[(cmd::VMA_ADDR, cmd::addr(IOVA))]);
        m.h.finish_requests().expect("no hang");
        for f in answers(&mut m) {
            let new = if f.request.device_id == DEV { NEW } else { OLD };
            assert!(f.response.pa == new || f.answered < passed, "delay={delay}");
        }
        assert_eq!(m.read(DEV, IOVA), Some(NEW), "delay={delay}");
    }
}

#[test]
fn hw2_a_response_that_nobody_takes_holds_the_fence() {
    // Given a hit whose answer is not taken
    let mut m = Machine::started(2);
    let root = m.sv39(DEV, 7);
    m.map(root, IOVA, OLD, RWX, 0);
    assert_eq!(m.read(DEV, IOVA), Some(OLD));
    m.h.hold_responses(true);
    m.h.submit(request(DEV, Access::Read, IOVA));
    m.h.advance(6).expect("no hang");
    // When the page changes, with IOTINVAL and fence
    new_leaf(&mut m, root);
    let before = m.read32(reg::CQH);
    m.queue(cmd::VMA_ADDR, cmd::addr(IOVA));
    m.queue(0x3002, 0);
    m.doorbell();
    m.h.advance(200).expect("no hang");
    // Then the fence is not passed, and the answer is still the one that was offered
    assert!(m.read32(reg::CQH) <= before + 1);
    m.h.hold_responses(false);
    m.h.finish_requests().expect("no hang");
    assert_eq!(answers(&mut m)[0].response.pa, OLD);
    m.wait(reg::CQH, u64::MAX, before + 2);
    assert_eq!(m.read(DEV, IOVA), Some(NEW));
}

#[test]
fn hw3_a_fence_waits_for_granted_accesses() {
    for (access, fence, waits) in [
        (Access::Read, 0x1002, true),
        (Access::Write, 0x2002, true),
        (Access::Read, 0x3002, true),
        (Access::Write, 0x3002, true),
        (Access::Read, 0x0002, false),
    ] {
        // Given an access granted a moment ago, on its way for 300 cycles
        let mut m = Machine::started(2);
        let root = m.sv39(DEV, 7);
        m.map(root, IOVA, OLD, RWX, 0);
        assert_eq!(m.read(DEV, IOVA), Some(OLD));
        m.h.set_dma_latency(300, 300);
        let granted = m.ask(request(DEV, access, IOVA)).answered;
        // When a fence asks for its kind
        m.command(fence | 1 << 10 | 0xcafe << 32, 0x2000_0000 >> 2);
        // Then it is passed, and its data stored, only when the access has landed
        let passed = m.h.cycle();
        assert_eq!(
            passed >= granted + 300,
            waits,
            "{access:?} {fence:#x}: passed after {}",
            passed - granted
        );
        assert_eq!(m.h.memory().load64(0x2000_0000), 0xcafe);
    }
}

#[test]
fn hw5_what_was_invalid_is_read_again_without_invalidation() {
    // Given a device without a context, and a page without a mapping
    let mut m = Machine::started(2);
    assert_eq!(m.read(DEV, IOVA), None);
    let root = m.sv39(DEV, 7);
    // When they become valid, then they work at once
    assert_eq!(m.read(DEV, IOVA), None);
    m.map(root, IOVA, OLD, RWX, 0);
    assert_eq!(m.read(DEV, IOVA), Some(OLD));
    assert_eq!(
        m.faults()
            .iter()
            .map(FaultRecord::cause)
            .collect::<Vec<_>>(),
        [258, 13]
    );
}

#[test]
fn hw6_nothing_behind_a_fence_is_fetched_before_it_completes() {
    // Given a fence that waits for 400 cycles, and commands behind it
    let mut m = Machine::started(2);
    let root = m.sv39(DEV, 7);
    m.map(root, IOVA, OLD, RWX, 0);
    m.h.set_dma_latency(400, 400);
    assert_eq!(m.read(DEV, IOVA), Some(OLD));
    let fetched = |m: &Machine| {
        m.h.counters()
            .traffic
            .reads(portcullis_sim::core::Purpose::Command)
    };
    let before = fetched(&m);
    m.queue(0x1002, 0);
    m.queue(0x0002 | 1 << 10 | 0x11 << 32, 0x2000_0000 >> 2);
    m.queue(0x0002 | 1 << 10 | 0x22 << 32, 0x2000_0000 >> 2);
    m.doorbell();
    // When it waits, then cqh names it and nothing behind it has been fetched
    for _ in 0..50 {
        assert_eq!(m.read32(reg::CQH), 0);
        assert_eq!(fetched(&m), before + 1);
    }
    m.wait(reg::CQH, u64::MAX, 3);
    assert_eq!(m.h.memory().load64(0x2000_0000), 0x22);
}

#[test]
fn hw8_registers_answer_in_two_cycles_whatever_goes_on() {
    // Given walks, faults, commands and a fence all under way
    let mut m = Machine::started(9);
    let root = m.sv39(DEV, 7);
    m.map(root, IOVA, OLD, RWX, 0);
    m.queue(cmd::VMA_ALL, 0);
    m.queue(0x3002, 0);
    for i in 0..16 {
        m.h.submit(request(DEV, Access::Read, IOVA + 0x1000 * (i % 3)));
    }
    m.doorbell();
    // When software reads without pause
    for i in 0..120 {
        let at = [reg::CQH, reg::CQCSR, reg::FQCSR, reg::FQT][i % 4];
        let before = m.h.cycle();
        m.read32(at);
        // Then every read takes two cycles
        assert_eq!(m.h.cycle() - before, 2, "access {i}");
    }
    m.h.finish_requests().expect("no hang");
}

#[test]
fn hw8_an_overflow_is_not_lost_to_a_register_access() {
    for delay in 0..80 {
        // Given a fault queue with room for one record, and two faults on their way
        let mut m = Machine::started(3);
        m.write32(reg::FQCSR, 0);
        m.wait(reg::FQCSR, csr::ON | csr::BUSY, 0);
        m.queues(7, 0);
        m.h.submit(request(DEV, Access::Read, IOVA));
        m.h.submit(request(DEV, Access::Read, IOVA));
        m.h.advance(delay).expect("no hang");
        // When software reads a register in any cycle
        m.read32(reg::FQT);
        m.h.finish_requests().expect("no hang");
        m.h.advance(60).expect("no hang");
        // Then the record that was lost has left its mark
        let state = m.read32(reg::FQCSR);
        assert_eq!(m.read32(reg::FQT), 1, "delay={delay}");
        assert_eq!(state & csr::FQOF, csr::FQOF, "delay={delay}");
    }
}

#[test]
fn hw8_an_error_is_not_lost_to_its_clearing() {
    for delay in 0..24 {
        // Given an illegal command on its way
        let mut m = Machine::started(3);
        m.queue(0x7f, 0);
        m.doorbell();
        m.h.advance(delay).expect("no hang");
        // When software clears the error bit in any cycle
        m.write32(reg::CQCSR, csr::EN | csr::CMD_ILL);
        m.h.advance(60).expect("no hang");
        // Then it is set in the end: the same command has been found again
        assert_eq!(
            m.read32(reg::CQCSR) & csr::CMD_ILL,
            csr::CMD_ILL,
            "delay={delay}"
        );
        assert_eq!(m.read32(reg::CQH), 0);
    }
}

#[test]
fn hw8_a_pending_bit_is_not_lost_to_its_clearing() {
    for delay in 0..60 {
        // Given a fault on its way into the queue, interrupts enabled, on wires
        let risen = Rc::new(Cell::new(false));
        let core = Box::new(Wired {
            core: under_test::core(under_test::any()),
            risen: risen.clone(),
        });
        let timing = Timing {
            latency: 3,
            ..Timing::default()
        };
        let mut m = Machine::with_core(core, timing);
        m.write32(reg::FCTL, 2);
        m.start();
        m.write32(reg::FQCSR, csr::EN | csr::IE);
        m.h.submit(request(DEV, Access::Read, IOVA));
        m.h.advance(delay).expect("no hang");
        // When software clears fip in any cycle and only then looks at fqt
        m.write32(reg::IPSR, 2);
        let after = m.read32(reg::FQT);
        m.h.advance(60).expect("no hang");
        // Then a record that it did not see raises fip, and the wire has told of it in any case
        let fip = m.read32(reg::IPSR) & 2 != 0;
        assert!(fip || after == 1, "delay={delay}: {after}, fip {fip}");
        assert!(risen.get(), "delay={delay}: nobody was told");
        assert_eq!(m.read32(reg::FQT), 1);
    }
}

/// A core that tells whether an interrupt wire has been high.
struct Wired {
    core: Box<dyn Core>,
    risen: Rc<Cell<bool>>,
}

impl Core for Wired {
    fn settle(&mut self, inputs: &Inputs) -> Outputs {
        let out = self.core.settle(inputs);
        self.risen.set(self.risen.get() || out.irq != 0);
        out
    }
    fn clock(&mut self) {
        self.core.clock();
    }
    fn record_waves(&mut self, path: &Path) -> io::Result<()> {
        self.core.record_waves(path)
    }
}

#[test]
fn hw9_ddtp_off_while_the_command_queue_is_dead() {
    for delay in sweep(4) {
        // Given a command queue stopped by an error, and a walk in flight
        let mut m = Machine::started(4);
        let root = m.sv39(DEV, 7);
        m.map(root, IOVA, OLD, RWX, 0);
        m.queue(0x7f, 0);
        m.doorbell();
        m.wait(reg::CQCSR, csr::CMD_ILL, csr::CMD_ILL);
        m.h.submit(request(DEV, Access::Read, IOVA));
        m.h.advance(delay).expect("no hang");
        // When ddtp goes to Off
        m.ddtp(0);
        let off = m.h.cycle();
        m.h.finish_requests().expect("no hang");
        // Then busy has cleared, and nothing is granted any more
        let first = answers(&mut m)[0];
        assert!(
            first.response.fault || first.answered < off,
            "delay={delay}"
        );
        assert_eq!(m.read(DEV, IOVA), None, "delay={delay}");
        assert_eq!(m.faults().last().map(FaultRecord::cause), Some(256));
    }
}

#[test]
fn hw9_no_walk_begins_at_a_root_that_came_with_another_mode() {
    for config in [under_test::any(), under_test::linux()] {
        for delay in 0..12 {
            // Given a directory and one at another address that leads elsewhere
            let mut m = Machine::with_config(config, Timing::default());
            m.start();
            let root = m.sv39(DEV, 7);
            m.map(root, IOVA, OLD, RWX, 0);
            let other = m.page();
            let elsewhere = m.page();
            m.map(elsewhere, IOVA, NEW, RWX, 0);
            let context = [TC_V, 0, 8 << 12, SV39 | (elsewhere >> 12)];
            for (at, word) in (other + 32 * u64::from(DEV)..).step_by(8).zip(context) {
                m.h.memory_mut().store64(at, word);
            }
            // When ddtp goes to Off with the second address, a few cycles from the lookup of a request
            m.h.submit(request(DEV, Access::Read, IOVA));
            m.h.advance(delay).expect("no hang");
            m.write64(reg::DDTP, other >> 12 << 10);
            m.h.finish_requests().expect("no hang");
            // Then the request was walked in the first directory, or refused
            let last = answers(&mut m).pop().expect("an answer");
            assert!(
                last.response.fault || last.response.pa == OLD,
                "{} delay={delay}: {last:x?}",
                config.name
            );
        }
    }
}

#[test]
fn hw9_ddtp_off_waits_for_granted_accesses() {
    let mut m = Machine::started(2);
    let root = m.sv39(DEV, 7);
    m.map(root, IOVA, OLD, RWX, 0);
    m.h.set_dma_latency(250, 10);
    let granted = m.ask(request(DEV, Access::Read, IOVA)).answered;
    m.ddtp(0);
    assert!(m.h.cycle() >= granted + 250);
}

#[test]
fn fault_queue_off_means_no_record_later() {
    for delay in 0..60 {
        // Given a stream of faults
        let mut m = Machine::started(5);
        for i in 0..12 {
            m.h.submit(request(DEV, Access::Read, 0x1000 * i));
        }
        m.h.advance(delay).expect("no hang");
        // When software disables the queue and has seen fqon = 0
        m.write32(reg::FQCSR, 0);
        m.wait(reg::FQCSR, csr::ON | csr::BUSY, 0);
        let tail = m.read32(reg::FQT);
        let image: Vec<u64> = (0..64).map(|i| m.h.memory().load64(FQ + 8 * i)).collect();
        m.h.finish_requests().expect("no hang");
        m.h.advance(100).expect("no hang");
        // Then the memory of the queue and fqt stand still, and every record below fqt is complete
        assert_eq!(m.read32(reg::FQT), tail, "delay={delay}");
        for (i, w) in image.iter().enumerate() {
            assert_eq!(
                m.h.memory().load64(FQ + 8 * i as u64),
                *w,
                "delay={delay} doubleword {i}"
            );
        }
        for r in 0..tail {
            assert_eq!(
                image[4 * r as usize] & 0xfff,
                258,
                "delay={delay} record {r}"
            );
            assert_eq!(
                image[4 * r as usize + 2],
                0x1000 * r,
                "delay={delay} record {r}"
            );
        }
    }
}

#[test]
fn command_queue_off_means_no_fetch_later() {
    for delay in 0..40 {
        // Given commands under way
        let mut m = Machine::started(5);
        for _ in 0..6 {
            m.queue(cmd::VMA_ALL, 0);
        }
        m.doorbell();
        m.h.advance(delay).expect("no hang");
        // When software disables the queue and has seen cqon = 0
        m.write32(reg::CQCSR, 0);
        m.wait(reg::CQCSR, csr::ON | csr::BUSY, 0);
        let fetched = |m: &Machine| {
            m.h.counters()
                .traffic
                .reads(portcullis_sim::core::Purpose::Command)
        };
        let before = fetched(&m);
        // Then nothing is fetched any more, and cqh stands still
        let head = m.read32(reg::CQH);
        m.h.advance(100).expect("no hang");
        assert_eq!(fetched(&m), before, "delay={delay}");
        assert_eq!(m.read32(reg::CQH), head, "delay={delay}");
    }
}

#[test]
fn replacing_a_context_under_requests_never_mixes_devices() {
    // Given more devices than the context cache holds, all on the same virtual page
    for latency in LATENCIES {
        let mut m = Machine::started(latency);
        for d in 0..9 {
            let root = m.sv39(d, 20 + u64::from(d));
            m.map(root, IOVA, OLD + u64::from(d) * 0x1000, RWX, 0);
        }
        // When they ask in a changing order without pause
        let mut x = 12345u32;
        for _ in 0..400 {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            m.h.submit(request((x >> 16) % 9, Access::Read, IOVA));
        }
        m.h.finish_requests().expect("no hang");
        // Then each reaches its own page
        for f in answers(&mut m) {
            assert_eq!(f.response.pa, OLD + u64::from(f.request.device_id) * 0x1000);
        }
    }
}

#[test]
fn a_response_that_is_offered_stays_until_it_is_taken() {
    // Given a granted request that answers while the walker is about to refuse another, in any order
    for first in 0..4 {
        let mut m = Machine::new(2);
        m.ddtp(1);
        m.h.hold_responses(true);
        let mut refused = request(0, Access::Read, 0x1000);
        refused.kind = portcullis_sim::core::Kind::Ats;
        // When nobody takes the answers for a while (the harness watches that what is offered does not change)
        for i in 0..4 {
            m.h.submit(if i == first {
                refused
            } else {
                request(0, Access::Exec, 0x1001 + i)
            });
        }
        m.h.advance(20).expect("an offer that stands");
        m.h.hold_responses(false);
        m.h.finish_requests().expect("no hang");
        // Then each is answered once
        assert_eq!(answers(&mut m).len(), 4);
    }
}
