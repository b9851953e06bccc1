//! A model with its memory, and the tables of one device.
#![allow(dead_code)]

use portcullis_model::{Access, Kind, MemError, Model, Outcome, Request, Versions};
use portcullis_regmap::Config;
use portcullis_regmap::config::TINY;

pub const DDT: u64 = 0x1000_0000;
pub const CQ: u64 = 0x1000_2000;
pub const FQ: u64 = 0x1000_4000;
pub const ROOT: u64 = 0x1001_0000;
/// A readable, writable, executable user leaf with A and D set.
pub const RWX: u64 = 0xdf;
pub const SV39: u64 = 8 << 60;
pub const IOVA: u64 = 0x4000_3123;

pub struct Bench {
    pub m: Model,
    pub mem: Versions,
}

pub fn request(device_id: u32, access: Access, iova: u64) -> Request {
    Request {
        device_id,
        process_id: None,
        privileged: false,
        access,
        kind: Kind::Untranslated,
        iova,
    }
}

impl Bench {
    /// Queues of 256 entries on, ddtp with a directory of one level.
    pub fn new(config: &Config) -> Self {
        let mut bench = Self::off(config);
        bench.queues(7, 7);
        bench.m.write(16, true, DDT >> 12 << 10 | 2);
        bench
    }

    pub fn tiny() -> Self {
        Self::new(&TINY)
    }

    pub fn off(config: &Config) -> Self {
        Self {
            m: Model::new(config).expect("supported"),
            mem: Versions::default(),
        }
    }

    pub fn queues(&mut self, cq: u64, fq: u64) {
        self.m.write(24, true, CQ >> 12 << 10 | cq);
        self.m.write(40, true, FQ >> 12 << 10 | fq);
        self.m.write(72, false, 1);
        self.m.write(76, false, 1);
    }

    pub fn context(&mut self, device: u32, words: [u64; 4]) {
        for (i, word) in words.into_iter().enumerate() {
            self.mem
                .set(DDT + u64::from(device) * 32 + 8 * i as u64, word);
        }
    }

    /// A good Sv39 context for device 5, PSCID 7, with tables down to the level above `level`; returns the slot of the
    /// entry for `IOVA` at that level.
    pub fn sv39(&mut self, level: u32) -> u64 {
        self.context(5, [1, 0, 7 << 12, SV39 | ROOT >> 12]);
        self.tables(ROOT, 3, level)
    }

    pub fn tables(&mut self, root: u64, levels: u32, level: u32) -> u64 {
        let mut table = root;
        for l in (level..levels).rev() {
            let slot = table + (IOVA >> (12 + 9 * l) & 0x1ff) * 8;
            if l == level {
                return slot;
            }
            table += 0x1000;
            self.mem.set(slot, table >> 12 << 10 | 1);
        }
        unreachable!("level below levels")
    }

    pub fn ask(&mut self, access: Access) -> Outcome {
        self.m.translate(&mut self.mem, &request(5, access, IOVA))
    }

    /// Outcome of a read through the one entry `pte` at `level`.
    pub fn through(level: u32, pte: u64, access: Access) -> Outcome {
        let mut bench = Self::tiny();
        let slot = bench.sv39(level);
        bench.mem.set(slot, pte);
        bench.ask(access)
    }

    /// Puts a command at `index`.
    pub fn command(&mut self, index: u64, words: [u64; 2]) {
        self.mem.set(CQ + 16 * index, words[0]);
        self.mem.set(CQ + 16 * index + 8, words[1]);
    }

    /// Runs one command in a queue of its own; returns (cqh, cqcsr error bits).
    pub fn run(&mut self, words: [u64; 2]) -> (u64, u64) {
        self.m.write(72, false, 0);
        self.m.write(72, false, 3);
        self.command(0, words);
        self.m.write(36, false, 1);
        self.m.work(&mut self.mem);
        self.m.write(36, false, self.m.read(32, false));
        (self.m.read(32, false), self.m.read(72, false) & 0xf00)
    }

    /// A record of the fault queue.
    pub fn record(&self, index: u64) -> [u64; 4] {
        [0, 8, 16, 24].map(|at| self.mem.get(FQ + 32 * index + at))
    }

    pub fn plant(&mut self, addr: u64, len: u64, error: MemError) {
        self.mem.plant(addr, len, true, true, Some(error));
    }
}

pub fn granted(outcome: Outcome) -> (u64, u8) {
    match outcome {
        Outcome::Granted { pa, page_shift } => (pa, page_shift),
        Outcome::Refused(fault) => panic!("refused with cause {}", fault.cause),
    }
}

pub fn cause(outcome: Outcome) -> u16 {
    match outcome {
        Outcome::Granted { pa, .. } => panic!("granted {pa:#x}"),
        Outcome::Refused(fault) => fault.cause,
    }
}

pub const MISCONFIGURED: u16 = 259;
