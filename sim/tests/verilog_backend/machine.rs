//! A core under software and devices that do whatever comes to their mind, all from one seed.

use std::path::Path;

use portcullis_regmap::command::Command as Operation;
use portcullis_regmap::regs::offset;
use portcullis_sim::core::{Access, Core, Kind, MemStatus, RegAccess, Request};
use portcullis_sim::harness::{Counters, Harness};
use portcullis_sim::memory::{FaultOn, Memory, Timing};

/// Long before a test's patience ends.
const WATCHDOG: u64 = 20_000;

const DIRECTORY: u64 = 0x10_0000;
const TABLES: u64 = 0x20_0000;
const COMMANDS: u64 = 0x30_0000;
const FAULTS: u64 = 0x31_0000;
const FENCES: u64 = 0x32_0000;
/// Register offset of the messages of interrupts, 16 bytes each.
const MESSAGES: u16 = 768;
/// Both queues have 16 entries: small enough to wrap and to fill up.
const LOG2_ENTRIES: u64 = 4;
/// Contexts in the directory; requests come from one more device.
const DEVICES: u64 = 6;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

/// The core and all around it.
pub struct Machine {
    /// The core and its memory.
    pub harness: Harness,
    random: Random,
    tail: u64,
    refused: u64,
    granted: u64,
}

impl Machine {
    /// Reset is over, queues and directory are on.
    pub fn new(core: Box<dyn Core>, seed: u64) -> Self {
        Self::with_waves(core, seed, None)
    }

    /// The same with waves from the reset on.
    pub fn with_waves(core: Box<dyn Core>, seed: u64, waves: Option<&Path>) -> Self {
        let mut random = Random(seed);
        let timing = Timing {
            latency: 1 + random.below(20),
            interval: 1 + random.below(3),
            jitter: random.below(8),
            seed,
        };
        let mut machine = Self {
            harness: Harness::new(core, Memory::new(timing)),
            random,
            tail: 0,
            refused: 0,
            granted: 0,
        };
        if let Some(path) = waves {
            machine.harness.record_waves(path).expect("waves");
        }
        machine.harness.set_watchdog(WATCHDOG);
        machine.harness.set_dma_latency(30, 50);
        for device in 0..DEVICES {
            machine.context(device);
        }
        for table in 0..8 {
            for slot in 0..16 {
                machine.entry(table, slot);
            }
        }
        machine.bring_up();
        machine
    }

    fn access(&mut self, write: bool, offset: u16, wide: bool, data: u64) -> u64 {
        let access = RegAccess {
            write,
            offset,
            wide,
            data,
        };
        self.harness
            .register(access)
            .unwrap_or_else(|failure| panic!("{failure}"))
    }

    fn advance(&mut self, cycles: u64) {
        self.harness
            .advance(cycles)
            .unwrap_or_else(|failure| panic!("{failure}"));
    }

    /// Queues and directory as software sets them up.
    fn bring_up(&mut self) {
        let queue = |base: u64| base >> 12 << 10 | (LOG2_ENTRIES - 1);
        self.access(true, offset::CQCSR, false, 0);
        self.access(true, offset::FQCSR, false, 0);
        self.advance(60);
        self.access(true, offset::CQB, true, queue(COMMANDS));
        self.access(true, offset::FQB, true, queue(FAULTS));
        self.access(true, offset::FQH, false, 0);
        self.access(true, offset::CQT, false, 0);
        self.tail = 0;
        // Messages go to where fences store; `tiny` has none and ignores this.
        for vector in 0..4 {
            let addr = FENCES + 8 * self.random.below(64);
            self.access(true, MESSAGES + 16 * vector, true, addr);
            self.access(true, MESSAGES + 16 * vector + 8, true, vector.into());
        }
        self.access(true, offset::ICVEC, true, self.random.0 & 0x333);
        self.access(true, offset::CQCSR, false, 0xf03);
        self.access(true, offset::FQCSR, false, 0x303);
        self.access(true, offset::DDTP, true, DIRECTORY >> 12 << 10 | 2);
        self.advance(60);
    }

    /// A new device context: mostly valid and paged, sometimes anything.
    fn context(&mut self, device: u64) {
        let random = &mut self.random;
        let mode = random.pick(&[8, 8, 8, 8, 8, 8, 8, 8, 8, 9, 10, 0, 3]);
        let root = (TABLES >> 12) + random.below(2);
        let mut context = [1, 0, random.below(4) << 12, mode << 60 | root];
        if random.one_in(20) {
            let at = random.below(4) as usize;
            context[at] ^= 1 << random.below(64);
        }
        for (at, word) in context.into_iter().enumerate() {
            let addr = DIRECTORY + 32 * device + 8 * at as u64;
            self.harness.memory_mut().store64(addr, word);
        }
    }

    /// A new page-table entry: a pointer, a leaf of any size, or something wrong. The eight tables are two roots, three
    /// of the middle level and three of the lowest, mostly.
    fn entry(&mut self, table: u64, slot: u64) {
        let random = &mut self.random;
        let level = match table {
            0..2 => 2,
            2..5 => 1,
            _ => 0,
        };
        let next = [random.below(8), 5 + random.below(3), 2 + random.below(3)][level];
        let pointer = ((TABLES >> 12) + next) << 10 | 1;
        let aligned = random.below(1 << 20) >> (9 * level) << (9 * level);
        let leaf = aligned << 10 | random.pick(&[0xd7, 0xdf, 0xdf, 0x5b]);
        let entry = match random.below(24) {
            0..20 if level > 0 => pointer,
            0..22 => leaf,
            22 => leaf ^ 1 << random.below(64),
            _ => random.next(),
        };
        let addr = TABLES + 4096 * table + 8 * slot;
        self.harness.memory_mut().store64(addr, entry);
    }

    /// An address that the tables know about, or a wild one.
    fn iova(&mut self) -> u64 {
        let random = &mut self.random;
        if random.one_in(12) {
            return random.next();
        }
        let slots = random.pick(&[2, 2, 2, 16]);
        [30, 21, 12, 3].iter().fold(random.below(8), |iova, shift| {
            iova | random.below(slots) << shift
        })
    }

    fn request(&mut self) -> Request {
        let iova = self.iova();
        let random = &mut self.random;
        Request {
            tag: 0,
            device_id: if random.one_in(30) {
                random.next() as u32 & 0xff_ffff
            } else {
                random.below(DEVICES + 1) as u32
            },
            process_id: random.one_in(20).then_some(random.0 as u32 & 0xf_ffff),
            privileged: random.one_in(4),
            access: random.pick(&[Access::Read, Access::Read, Access::Write, Access::Exec]),
            kind: if random.one_in(12) {
                random.pick(&[Kind::Translated, Kind::Ats])
            } else {
                Kind::Untranslated
            },
            iova,
        }
    }

    fn command(&mut self) {
        let iova = self.iova();
        let random = &mut self.random;
        let (pscid, device) = (random.below(4) as u32, random.below(DEVICES) as u32);
        let fence = FENCES + 8 * random.below(16);
        let command = match random.below(24) {
            0..3 => Operation::iotinval_vma_all(),
            3..6 => Operation::iotinval_vma_pscid(pscid),
            6..10 => Operation::iotinval_vma_page(pscid, iova),
            10..14 => Operation::inval_ddt(Some(device)),
            14..16 => Operation::inval_ddt(None),
            16 => Operation::iotinval_gvma(None),
            17..23 => {
                Operation::iofence_store(random.one_in(2), random.one_in(2), fence, random.0 as u32)
            }
            _ => Operation {
                dw0: random.next(),
                dw1: random.next(),
            },
        };
        let entries = 1 << LOG2_ENTRIES;
        let addr = COMMANDS + 16 * self.tail;
        self.harness.memory_mut().store64(addr, command.dw0);
        self.harness.memory_mut().store64(addr + 8, command.dw1);
        self.tail = (self.tail + 1) % entries;
        self.access(true, offset::CQT, false, self.tail);
    }

    /// Software looks after errors, as an interrupt handler does.
    fn handle(&mut self) {
        let pending = self.access(false, offset::IPSR, false, 0);
        self.access(true, offset::IPSR, false, pending);
        let fqt = self.access(false, offset::FQT, false, 0);
        self.access(true, offset::FQH, false, fqt);
        for csr in [offset::CQCSR, offset::FQCSR] {
            let value = self.access(false, csr, false, 0);
            self.access(true, csr, false, value);
        }
    }

    /// Whatever comes next.
    pub fn act(&mut self) {
        match self.random.below(100) {
            0..45 if self.harness.outstanding() < 20 => {
                let mut request = self.request();
                for _ in 0..=self.random.below(16) {
                    self.harness.submit(request);
                    // Mostly the next piece of the same page.
                    request.iova ^= 1 << self.random.below(12);
                    if self.random.one_in(6) {
                        request = self.request();
                    }
                }
            }
            ..60 => self.command(),
            60..68 => {
                let (table, slot) = (self.random.below(8), self.random.below(16));
                self.entry(table, slot);
            }
            68..72 => {
                let device = self.random.below(DEVICES);
                self.context(device);
            }
            72..80 => self.handle(),
            80..82 => {
                let on = self
                    .random
                    .pick(&[FaultOn::Read, FaultOn::Write, FaultOn::Both]);
                let bases = [DIRECTORY, TABLES, COMMANDS, FAULTS, FENCES];
                let addr = self.random.pick(&bases) + 8 * self.random.below(64);
                let status = self.random.pick(&[MemStatus::Access, MemStatus::Corrupt]);
                self.harness.memory_mut().set_fault(addr, 16, on, status);
            }
            82..87 => {
                let memory = self.harness.memory_mut();
                memory.set_fault(0, u64::MAX, FaultOn::Both, MemStatus::Ok);
            }
            87..92 => {
                self.harness.hold_responses(true);
                let cycles = self.random.below(80);
                self.advance(cycles);
                self.harness.hold_responses(false);
            }
            92..98 => {
                let offset = 4 * self.random.below(1024) as u16;
                let wide = offset & 4 == 0 && self.random.one_in(2);
                self.access(false, offset, wide, 0);
            }
            _ => {
                // Anything anywhere, then as it should be.
                let (offset, data) = (8 * self.random.below(100) as u16, self.random.next());
                self.access(true, offset, true, data);
                let cycles = self.random.below(50);
                self.advance(cycles);
                self.bring_up();
            }
        }
        let cycles = self.random.below(30);
        self.advance(cycles);
        while let Some(finished) = self.harness.take_finished() {
            if finished.response.fault {
                self.refused += 1;
            } else {
                self.granted += 1;
            }
        }
    }

    /// Acts until cycle `cycles`, and until the last request is answered.
    pub fn live_for(&mut self, cycles: u64) {
        while self.harness.cycle() < cycles {
            self.act();
        }
        self.harness
            .finish_requests()
            .unwrap_or_else(|failure| panic!("{failure}"));
    }

    /// What the life was: to see that there was one, and that two were the same.
    pub fn summary(&self) -> (u64, u64, u64, Counters) {
        (
            self.harness.cycle(),
            self.granted,
            self.refused,
            self.harness.counters(),
        )
    }
}
