//! Commands fetched in bursts (configuration `linux`): what a burst may bring, and what becomes of the commands that came
//! with one that failed, or with the one at which software switched the queue off.

use portcullis_regmap::Config;
use portcullis_sim::core::{Core, Inputs, MemStatus, Outputs, Purpose};
use portcullis_sim::memory::{FaultOn, Timing};
use portcullis_tests::conformance::bus::{Knobs, Unruly};
use portcullis_tests::under_test::BURSTS;
use portcullis_tests::*;
use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::rc::Rc;

/// Where fences store.
const SCRATCH: u64 = 0x2000_0000;
/// IOFENCE.C with AV.
const FENCE_STORE: u64 = 0x002 | (1 << 10);
/// IODIR.INVAL_DDT of all devices.
const INVAL_DDT: u64 = 0x003;
/// An opcode that does not exist.
const ILLEGAL: u64 = 0x7f;

/// Commands read from memory, as (index of the first, how many).
type Bursts = Rc<RefCell<Vec<(u64, u64)>>>;

/// A core whose command fetches are written down.
struct Watched {
    core: Box<dyn Core>,
    bursts: Bursts,
}

impl Core for Watched {
    fn settle(&mut self, inputs: &Inputs) -> Outputs {
        let out = self.core.settle(inputs);
        if let Some(ar) = out.ar
            && inputs.ar_ready
            && ar.purpose == Purpose::Command
        {
            let burst = ((ar.addr - CQ) / 16, u64::from(ar.beats) / 2);
            self.bursts.borrow_mut().push(burst);
        }
        out
    }
    fn clock(&mut self) {
        self.core.clock();
    }
    fn record_waves(&mut self, path: &Path) -> io::Result<()> {
        self.core.record_waves(path)
    }
}

fn machine(config: &'static Config, latency: u64, log2sz_minus_1: u64) -> (Machine, Bursts) {
    let bursts = Bursts::default();
    let core = Box::new(Watched {
        core: under_test::core(config),
        bursts: bursts.clone(),
    });
    let timing = Timing {
        latency,
        ..Timing::default()
    };
    let mut m = Machine::with_core(core, timing);
    m.queues(log2sz_minus_1, 7);
    (m, bursts)
}

/// A fence that stores `value` at doubleword `n` of [`SCRATCH`].
fn store(n: u64, value: u64) -> (u64, u64) {
    (FENCE_STORE | (value << 32), (SCRATCH + 8 * n) >> 2)
}

/// Writes command `index` of the queue.
fn put(m: &mut Machine, index: u64, (dw0, dw1): (u64, u64)) {
    m.h.memory_mut().store64(CQ + 16 * index, dw0);
    m.h.memory_mut().store64(CQ + 16 * index + 8, dw1);
}

fn stored(m: &Machine, n: u64) -> u64 {
    m.h.memory().load64(SCRATCH + 8 * n)
}

/// Lets `cqh` come to rest.
fn settle(m: &mut Machine) {
    m.h.advance(300).expect("no hang");
}

#[test]
fn invalidations_in_a_batch_share_their_bursts() {
    for latency in [1, 10, 50] {
        // Given 33 invalidations, the first of which takes the pipeline's measure
        let (mut m, bursts) = machine(under_test::with(under_test::linux(), BURSTS), latency, 7);
        for _ in 0..33 {
            m.queue(cmd::VMA_ADDR, cmd::addr(0x4000_0000));
        }
        m.write32(reg::CQT, 1);
        m.wait(reg::CQH, u64::MAX, 1);
        // When 32 are published at once
        let before = m.h.cycle();
        m.write32(reg::CQT, 33);
        m.wait(reg::CQH, u64::MAX, 33);
        // Then each takes at most (L+8)/4 + 1 cycles; polling and the doorbell add less than ten.
        let took = m.h.cycle() - before;
        let bound = 32 * (latency + 8 + 4) / 4 + 10;
        assert!(took <= bound, "L={latency}: {took} cycles, bound {bound}");
        // And no burst brings more than 64 bytes.
        let bursts = bursts.borrow();
        assert_eq!(bursts.iter().map(|b| b.1).sum::<u64>(), 33);
        assert_eq!(bursts.len(), 1 + 8, "{bursts:?}");
    }
}

#[test]
fn a_burst_brings_only_what_lies_between_cqh_and_cqt() {
    for log2sz_minus_1 in [0, 1, 2, 3, 8] {
        let size = 2 << log2sz_minus_1;
        let (mut m, bursts) = machine(under_test::linux(), 3, log2sz_minus_1);
        let (mut head, mut value) = (0, 0);
        // Given any number of commands that the queue holds, from any place; or a queue of two pages
        let small = (0..2 * size).map(|round| 1 + (round * 5 + round / size) % (size - 1));
        let large = [250, 2, 7, 251, 9];
        let numbers: Vec<u64> = match size {
            512 => large.to_vec(),
            _ => small.collect(),
        };
        for n in numbers {
            for i in 0..n {
                let at = (head + i) % size;
                put(&mut m, at, store(at, value + i));
            }
            bursts.borrow_mut().clear();
            // When they are published
            let tail = (head + n) % size;
            m.write32(reg::CQT, tail);
            m.wait(reg::CQH, u64::MAX, tail);
            // Then each is read once, in order, no burst crosses a page, and nothing else is read.
            let mut read = vec![];
            for (first, count) in bursts.borrow().iter() {
                assert!(*count <= 4, "size {size}: {first}+{count}");
                assert!(first % 256 + count <= 256, "size {size}: {first}+{count}");
                read.extend(*first..first + count);
            }
            let published: Vec<u64> = (0..n).map(|i| (head + i) % size).collect();
            assert_eq!(read, published, "size {size}, from {head}");
            // And each has been executed.
            for i in 0..n {
                assert_eq!(stored(&m, (head + i) % size), value + i);
            }
            (head, value) = (tail, value + n);
        }
    }
}

/// Ways for a command to fail, and the bit that says so.
#[derive(Clone, Copy, Debug)]
enum Failure {
    Illegal,
    FirstHalfRefused,
    SecondHalfPoisoned,
    StoreRefused,
}

impl Failure {
    const ALL: [Self; 4] = [
        Self::Illegal,
        Self::FirstHalfRefused,
        Self::SecondHalfPoisoned,
        Self::StoreRefused,
    ];
    fn bit(self) -> u64 {
        match self {
            Self::Illegal => csr::CMD_ILL,
            _ => csr::MF,
        }
    }
    /// Makes command `at` fail, or takes that back.
    fn plant(self, m: &mut Machine, at: u64, on: bool) {
        let status = |s| if on { s } else { MemStatus::Ok };
        let memory = m.h.memory_mut();
        match self {
            Self::Illegal => {
                if on {
                    put(m, at, (ILLEGAL, 0));
                }
            }
            Self::FirstHalfRefused => {
                memory.set_fault(CQ + 16 * at, 8, FaultOn::Read, status(MemStatus::Access));
            }
            Self::SecondHalfPoisoned => {
                let second = CQ + 16 * at + 8;
                memory.set_fault(second, 8, FaultOn::Read, status(MemStatus::Corrupt));
            }
            Self::StoreRefused => {
                let word = SCRATCH + 8 * at;
                memory.set_fault(word, 8, FaultOn::Write, status(MemStatus::Access));
            }
        }
    }
}

#[test]
fn cq_05_cq_09_a_failed_command_stays_at_cqh_wherever_its_burst_has_it() {
    for failure in Failure::ALL {
        for latency in [1, 5] {
            for place in 0..6 {
                // Given eight fences that store, one of which cannot be executed
                let (mut m, _) = machine(under_test::linux(), latency, 7);
                for i in 0..8 {
                    put(&mut m, i, store(i, 1));
                }
                failure.plant(&mut m, place, true);
                m.write32(reg::CQT, 8);
                settle(&mut m);
                // Then cqh names it, those before it are done and those behind it are not
                let what = format!("{failure:?} L={latency} at {place}");
                assert_eq!(m.read32(reg::CQH), place, "{what}");
                let state = m.read32(reg::CQCSR);
                assert_eq!(state & (csr::MF | csr::CMD_ILL), failure.bit(), "{what}");
                assert_eq!(state & (csr::ON | csr::BUSY), csr::ON, "{what}");
                for i in 0..8 {
                    assert_eq!(stored(&m, i), u64::from(i < place), "{what}: {i}");
                }
                // When software writes it and those behind it anew, and clears the error
                failure.plant(&mut m, place, false);
                for i in place..8 {
                    put(&mut m, i, store(i, 2));
                }
                m.write32(reg::CQCSR, failure.bit() | csr::EN);
                m.wait(reg::CQH, u64::MAX, 8);
                // Then the new ones are executed, not the ones that had come with the burst
                for i in 0..8 {
                    assert_eq!(stored(&m, i), if i < place { 1 } else { 2 }, "{what}: {i}");
                }
            }
        }
    }
}

#[test]
fn cq_07_a_command_counts_as_what_it_is_wherever_its_burst_has_it() {
    // Given bursts of four: invalidations, fences that store, and one that would be good with the opcode of another
    for mix in 0..256u64 {
        let kinds: Vec<u64> = (0..4).map(|place| (mix >> (2 * place)) & 3).collect();
        if kinds.iter().filter(|k| **k == 3).count() > 1 {
            continue;
        }
        let (mut m, _) = machine(under_test::linux(), 1 + mix % 3, 7);
        for (place, kind) in (0..4).zip(&kinds) {
            let command = match kind {
                0 => (cmd::VMA_ADDR, cmd::addr(0x4000_0000)),
                1 => (INVAL_DDT, 0),
                2 => store(place, 1),
                _ => (INVAL_DDT, cmd::addr(0x4000_0000)),
            };
            put(&mut m, place, command);
        }
        // When they are executed
        m.write32(reg::CQT, 4);
        m.h.advance(120).expect("no hang");
        // Then all are done up to the one that is none
        let end = kinds.iter().position(|k| *k == 3).unwrap_or(4);
        assert_eq!(m.read32(reg::CQH), end as u64, "{kinds:?}");
        let illegal = m.read32(reg::CQCSR) & csr::CMD_ILL != 0;
        assert_eq!(illegal, end < 4, "{kinds:?}");
        for (place, kind) in (0..).zip(&kinds) {
            let done = *kind == 2 && place < end as u64;
            assert_eq!(stored(&m, place), u64::from(done), "{kinds:?}: {place}");
        }
    }
}

#[test]
fn cq_09_words_that_come_after_a_failure_do_not_reach_the_next_burst() {
    // Given four fences that store, the first of which is illegal, and a memory that takes its time between words
    let knobs = Knobs::default();
    knobs.bubbles.set(30);
    let core = under_test::core(under_test::linux());
    let mut m = Machine::with_core(Box::new(Unruly::new(core, knobs)), Timing::default());
    m.queues(7, 7);
    put(&mut m, 0, (ILLEGAL, 0));
    for i in 1..4 {
        put(&mut m, i, store(i, 1));
    }
    m.write32(reg::CQT, 4);
    // When software writes others and clears the error while the rest of the burst is on its way
    m.wait(reg::CQCSR, csr::CMD_ILL, csr::CMD_ILL);
    for i in 0..4 {
        put(&mut m, i, store(i, 2));
    }
    m.write32(reg::CQCSR, csr::CMD_ILL | csr::EN);
    m.wait(reg::CQH, u64::MAX, 4);
    // Then those are executed
    for i in 0..4 {
        assert_eq!(stored(&m, i), 2, "{i}");
    }
}

#[test]
fn cqcsr_03_a_queue_switched_off_in_a_burst_stops_between_two_commands() {
    for latency in [1, 5, 20] {
        for delay in (0..8 * latency + 50).step_by(1 + latency as usize / 10) {
            // Given eight fences that store
            let (mut m, _) = machine(under_test::linux(), latency, 7);
            for i in 0..8 {
                put(&mut m, i, store(i, 1));
            }
            m.write32(reg::CQT, 8);
            // When the queue is switched off in the middle
            m.h.advance(delay).expect("no hang");
            let before = m.read32(reg::CQH);
            m.write32(reg::CQCSR, 0);
            m.wait(reg::CQCSR, csr::ON | csr::BUSY, 0);
            // Then it stops behind the one that was in work, or had begun when cqh was read
            let head = m.read32(reg::CQH);
            assert!(
                head <= before + 2,
                "L={latency} delay={delay}: {before} to {head}"
            );
            // And exactly those before cqh are done, and nothing comes any more
            if delay % 2 == 0 {
                m.h.advance(4 * latency).expect("no hang");
                assert_eq!(m.read32(reg::CQH), head);
            }
            for i in 0..8 {
                let done = u64::from(i < head);
                assert_eq!(stored(&m, i), done, "L={latency} delay={delay}: {i}");
            }
            // When it is used again from the beginning, at once or later, with other commands
            for i in 0..8 {
                put(&mut m, i, store(i, 2));
            }
            m.write32(reg::CQCSR, csr::EN);
            m.wait(reg::CQH, u64::MAX, 8);
            // Then those are executed
            for i in 0..8 {
                assert_eq!(stored(&m, i), 2, "L={latency} delay={delay}: {i}");
            }
        }
    }
}
