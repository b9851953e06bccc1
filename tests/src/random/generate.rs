//! From a seed to a machine.

use portcullis_regmap::Config;
use portcullis_sim::core::{Access, Kind, MemStatus, Request};
use portcullis_sim::memory::{FaultOn, Timing};

use super::op::{Op, Plan};
use super::rng::Rng;
use super::tables::{COMMAND_QUEUES, Directory, END, FAULT_QUEUES, FENCES, MESSAGES, World};
use crate::reg;

/// cqcsr and fqcsr: enable, interrupt enable.
const EN: u64 = 1;
const IE: u64 = 2;

pub(super) struct Generator {
    pub rng: Rng,
    pub world: World,
    pub ops: Vec<Op>,
    /// ddtp's page number does not change in the write that selects Off (DDTP-09).
    pub directory: Directory,
    /// Bits of capabilities: NL, S, DBG, HPM, and interrupts by message.
    pub non_leaf: bool,
    pub ranges: bool,
    debug: bool,
    monitor: bool,
    messages: bool,
}

/// The machine of a seed.
#[must_use]
pub fn generate(seed: u64, config: &Config) -> Plan {
    let mut rng = Rng::new(seed);
    let latency = rng.weighted(&[(4, 1), (4, 3), (3, 8), (2, 20), (1, 45)]);
    let timing = Timing {
        latency,
        interval: rng.weighted(&[(6, 1), (2, 2), (1, 5)]),
        jitter: rng.weighted(&[(5, 0), (3, 3), (2, 15)]),
        seed: rng.word() >> 32,
    };
    let dma = (rng.one(&[0, 0, 10, 60]), rng.one(&[0, 5, 40, 90]));
    let world = World::new(&mut rng, config);
    let directory = world.directories[0];
    let mut generator = Generator {
        rng,
        world,
        ops: Vec::new(),
        directory,
        non_leaf: config.capabilities >> 42 & 1 == 1,
        ranges: config.capabilities >> 43 & 1 == 1,
        debug: config.capabilities >> 31 & 1 == 1,
        monitor: config.capabilities >> 30 & 1 == 1,
        messages: config.capabilities >> 28 & 3 != 1,
    };
    generator.prepare();
    let steps = generator.rng.range(14, 34);
    for _ in 0..steps {
        generator.step();
    }
    Plan {
        seed,
        timing,
        dma,
        ops: generator.ops,
    }
}

impl Generator {
    pub fn write32(&mut self, offset: u16, value: u64) {
        self.ops.push(Op::Write {
            offset,
            wide: false,
            value,
        });
    }

    pub fn write64(&mut self, offset: u16, value: u64) {
        if self.rng.chance(85) {
            self.ops.push(Op::Write {
                offset,
                wide: true,
                value,
            });
            return;
        }
        // Two halves, high first (REG-03).
        self.write32(offset + 4, value >> 32);
        self.write32(offset, value & 0xffff_ffff);
    }

    /// Memory, queues, ddtp.
    fn prepare(&mut self) {
        for (addr, words) in self.world.stores(&mut self.rng) {
            self.store(addr, words);
        }
        if self.messages {
            self.interrupts();
        }
        if self.monitor {
            for counter in 0..4 {
                self.counter(counter);
            }
        }
        if self.rng.chance(95) {
            self.fault_queue();
        }
        self.command_queue();
        if self.rng.chance(10) {
            self.submit();
        }
        self.choose_directory();
        match self.rng.below(100) {
            0..92 => self.directory_on(),
            92..97 => self.ddtp(1),
            _ => self.ddtp(0),
        }
        self.ops.push(Op::Settle);
    }

    pub fn store(&mut self, addr: u64, words: Vec<u64>) {
        self.world.note(addr, &words);
        self.ops.push(Op::Store { addr, words });
    }

    fn ddtp(&mut self, mode: u64) {
        let value = self.directory.root >> 12 << 10 | mode;
        self.write64(reg::DDTP, value);
    }

    fn directory_on(&mut self) {
        self.ddtp(u64::from(self.directory.levels) + 1);
    }

    /// Mostly the first: the caches must keep apart what they know from several.
    fn choose_directory(&mut self) {
        self.directory = if self.rng.chance(50) {
            self.world.directories[0]
        } else {
            self.rng.one(&self.world.directories)
        };
    }

    /// A counter, far from its end, and what it counts (HPM-06).
    fn counter(&mut self, counter: u16) {
        let start = self.rng.word() & 0x7fff_ffff;
        self.write32(104 + 8 * counter, start);
        let event = self.rng.weighted(&[
            (3, 1),
            (1, 2),
            (1, 3),
            (2, 4),
            (2, 5),
            (3, 7),
            (1, 0),
            (1, 8),
        ]);
        let device = u64::from(self.world.device(&mut self.rng));
        let process = self.rng.below(3);
        let mut selector = event | process << 16 | device << 36;
        // DMASK, PV, DV, IDT
        for (bit, chance) in [(15, 25), (60, 15), (61, 40), (62, 20)] {
            selector |= u64::from(self.rng.chance(chance)) << bit;
        }
        self.write64(352 + 8 * counter, selector);
    }

    /// fctl.WSI, vectors and message table (INT-08..16), before anything is on.
    fn interrupts(&mut self) {
        if self.rng.chance(50) {
            self.write32(reg::FCTL, 2);
        }
        let vectors = self.rng.word() & 0xffff;
        self.write64(reg::ICVEC, vectors);
        for vector in 0..4 {
            self.message(vector);
        }
    }

    /// One entry of msi_cfg_tbl.
    fn message(&mut self, vector: u16) {
        let at = 768 + 16 * vector;
        let addr = match self.rng.below(20) {
            0 => 1 << self.rng.range(40, 55),
            _ => MESSAGES + 4 * self.rng.below(8),
        };
        self.write64(at, addr);
        let data = self.rng.word() & 0xffff_ffff;
        self.write32(at + 8, data);
        let masked = u64::from(self.rng.chance(25));
        self.write32(at + 12, masked);
    }

    fn size(&mut self) -> u64 {
        self.rng
            .weighted(&[(3, 0), (4, 1), (4, 2), (3, 3), (2, 5), (1, 7), (1, 31)])
    }

    fn command_queue(&mut self) {
        let base = self.rng.one(&COMMAND_QUEUES) >> 12 << 10;
        let size = self.size();
        self.write64(reg::CQB, base | size);
        let enable = EN | if self.rng.chance(60) { IE } else { 0 };
        self.write32(reg::CQCSR, enable);
    }

    fn fault_queue(&mut self) {
        let base = self.rng.one(&FAULT_QUEUES) >> 12 << 10;
        let size = self.size();
        self.write64(reg::FQB, base | size);
        let enable = EN | if self.rng.chance(60) { IE } else { 0 };
        self.write32(reg::FQCSR, enable);
    }

    fn step(&mut self) {
        let step: fn(&mut Self) = self.rng.weighted(&[
            (34, Self::submit as fn(&mut Self)),
            (6, Self::change_entry),
            (5, Self::change_context),
            (14, Self::remap),
            (10, Self::commands),
            (6, Self::illegal_command),
            (6, Self::plant),
            (4, Self::queues),
            (4, Self::awkward_write),
            (3, Self::reads),
            (3, Self::switch),
            (7, Self::acknowledge),
            (4, Self::pass),
            (8, |g| g.ops.push(Op::Quiesce)),
            (4, Self::extras),
        ]);
        step(self);
    }

    pub fn request(&mut self) -> Request {
        let (rng, world) = (&mut self.rng, &self.world);
        Request {
            tag: 0,
            device_id: world.device(rng),
            process_id: rng.chance(9).then(|| rng.below(1 << 20) as u32),
            privileged: rng.chance(30),
            access: rng.weighted(&[(5, Access::Read), (4, Access::Write), (2, Access::Exec)]),
            kind: rng.weighted(&[
                (95, Kind::Untranslated),
                (2, Kind::Translated),
                (3, Kind::Ats),
            ]),
            iova: world.iova(rng),
        }
    }

    pub fn submit(&mut self) {
        let count = self.rng.weighted(&[(4, 1), (4, 3), (3, 6), (1, 12)]);
        let mut requests: Vec<Request> = Vec::new();
        for _ in 0..count {
            let mut request = self.request();
            // Often the same page again, so that caches are hit.
            if let Some(last) = requests.last()
                && self.rng.chance(35)
            {
                request.device_id = last.device_id;
                request.process_id = last.process_id;
                request.iova = last.iova ^ self.rng.below(4096);
            }
            requests.push(request);
        }
        self.ops.push(Op::Submit(requests));
        if self.rng.chance(35) {
            let cycles = self.rng.below(60);
            let hold = self.rng.chance(15);
            self.ops.push(if hold {
                Op::Hold(cycles)
            } else {
                Op::Step(cycles)
            });
        }
    }

    /// What only some configurations have.
    fn extras(&mut self) {
        if self.monitor && self.rng.chance(10) {
            let counter = self.rng.below(4) as u16;
            if self.rng.chance(40) {
                let stopped = self.rng.below(32);
                self.write32(92, stopped);
            } else {
                self.counter(counter);
            }
            return;
        }
        if self.messages && self.rng.chance(50) {
            let vector = self.rng.below(4) as u16;
            match self.rng.below(5) {
                0 | 1 => {
                    let masked = self.rng.below(2);
                    self.write32(768 + 16 * vector + 12, masked);
                }
                2 => {
                    let vectors = self.rng.word() & 0x333;
                    self.write64(reg::ICVEC, vectors);
                }
                _ => self.message(vector),
            }
        } else if self.debug {
            let request = self.request();
            self.ops.push(Op::Debug(Request {
                kind: Kind::Untranslated,
                ..request
            }));
        } else {
            self.submit();
        }
    }

    fn plant(&mut self) {
        let rng = &mut self.rng;
        let status = rng.weighted(&[
            (2, MemStatus::Access),
            (2, MemStatus::Corrupt),
            (3, MemStatus::Ok),
        ]);
        let (addr, len, on) = match rng.below(10) {
            0..4 => (self.world.slot(rng).0, 8, FaultOn::Read),
            4..6 => {
                let device = rng.one(&self.world.devices);
                let Some(slot) = self.world.context_slot(self.directory, device) else {
                    return;
                };
                (slot + rng.below(4) * 8, 8, FaultOn::Read)
            }
            6..7 => (
                rng.one(&COMMAND_QUEUES) + 16 * rng.below(8),
                16,
                FaultOn::Read,
            ),
            7..8 if self.messages && rng.chance(40) => {
                (MESSAGES + 4 * rng.below(8), 4, FaultOn::Write)
            }
            7..8 => (FENCES + 8 * rng.below(8), 8, FaultOn::Write),
            8..9 => (
                rng.one(&FAULT_QUEUES) + 32 * rng.below(6),
                32,
                FaultOn::Write,
            ),
            // Takes everything back.
            _ => {
                self.ops.push(Op::Plant {
                    addr: COMMAND_QUEUES[0],
                    len: END - COMMAND_QUEUES[0],
                    on: FaultOn::Both,
                    status: MemStatus::Ok,
                });
                return;
            }
        };
        self.ops.push(Op::Plant {
            addr,
            len,
            on,
            status,
        });
    }

    /// Queues go off and on, at any moment.
    fn queues(&mut self) {
        if self.rng.chance(40) {
            self.ops.push(Op::Quiesce);
        }
        let fault = self.rng.chance(50);
        let offset = if fault { reg::FQCSR } else { reg::CQCSR };
        let ie = self.rng.below(2) * IE;
        match self.rng.below(10) {
            0..6 => {
                self.write32(offset, ie);
                if self.rng.chance(40) {
                    self.submit();
                }
                if fault {
                    self.fault_queue();
                } else {
                    self.command_queue();
                }
            }
            // Interrupt enable, and error bits written in any way.
            6..8 => {
                let events = self.rng.below(16) << 8;
                self.write32(offset, EN | ie | events);
            }
            _ => {
                let base = self.rng.word();
                let offset = if fault { reg::FQB } else { reg::CQB };
                self.write64(offset, base);
            }
        }
    }

    /// Writes that change nothing, or little, by the access rules (REG-03..11).
    fn awkward_write(&mut self) {
        let rng = &mut self.rng;
        let value = rng.word();
        let (offset, wide) = match rng.below(8) {
            0 => (rng.below(4096) as u16, rng.chance(50)),
            1 => (reg::CAPABILITIES, true),
            2 => (reg::FCTL, false),
            3 => (rng.one(&[reg::CQH, reg::FQT]), false),
            4 => (rng.one(&[reg::CQH, reg::FQH, reg::CQCSR]), true),
            5 => (
                rng.one(&[56, 64, 68, 80, 88, 92, 96, 104, 352, 600, 608, 616, 624]),
                false,
            ),
            6 => (reg::ICVEC, true),
            _ => (rng.one(&[reg::DDTP, reg::CQB, reg::FQB]) + 2, false),
        };
        let value = if wide { value } else { value & 0xffff_ffff };
        self.ops.push(Op::Write {
            offset,
            wide,
            value,
        });
    }

    fn reads(&mut self) {
        for _ in 0..self.rng.range(1, 4) {
            let wide = self.rng.chance(40);
            let offset = if self.rng.chance(60) {
                4 * self.rng.below(28) as u16
            } else {
                self.rng.below(4096) as u16
            };
            self.ops.push(Op::Read { offset, wide });
        }
    }

    /// ddtp: Off, on again, perhaps with another directory; unsupported modes (DDTP-04).
    fn switch(&mut self) {
        if self.rng.chance(20) {
            let mode = self.rng.range(2, 15);
            let page = self.rng.below(1 << 44) << 10;
            self.write64(reg::DDTP, page | mode);
            return;
        }
        self.ddtp(0);
        if self.rng.chance(50) {
            self.ops.push(Op::Settle);
        }
        if self.rng.chance(40) {
            self.submit();
        }
        if self.rng.chance(30) {
            self.choose_directory();
        }
        if self.rng.chance(15) {
            self.ddtp(1);
            self.submit();
            self.ddtp(0);
        }
        self.directory_on();
        if self.rng.chance(60) {
            self.ops.push(Op::Settle);
        }
    }

    /// What a driver does in its interrupt handler (SW-21), or a part of it.
    fn acknowledge(&mut self) {
        if self.rng.chance(60) {
            self.ops.push(Op::Quiesce);
        }
        match self.rng.below(6) {
            0 => self.write32(reg::IPSR, 0xf),
            5 => {
                // A driver clears what has happened first, then the pending bits: the wires fall.
                self.write32(reg::CQCSR, EN | IE | 0xf00);
                self.ops.push(Op::Consume);
                self.write32(reg::FQCSR, EN | IE | 0x300);
                self.ops.push(Op::Quiesce);
                self.write32(reg::IPSR, 3);
                self.ops.push(Op::Quiesce);
            }
            1 => self.write32(reg::FQCSR, EN | IE | 0x300),
            2 => {
                self.write32(reg::CQCSR, EN | IE | 0xf00);
                self.ops.push(Op::Ring);
            }
            3 => {
                self.ops.push(Op::Consume);
                self.write32(reg::FQCSR, EN | IE | 0x300);
            }
            _ => {
                self.ops.push(Op::Consume);
                self.write32(reg::IPSR, 2);
            }
        }
    }

    pub fn pass(&mut self) {
        let cycles = self.rng.below(120);
        self.ops.push(Op::Step(cycles));
    }
}
