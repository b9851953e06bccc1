//! Random directories, page tables and addresses: most of them good, the others wrong in one way each.

use std::collections::BTreeMap;

use portcullis_regmap::Config;

use super::rng::Rng;

/// Two places for the command queue, aligned to the largest size (CQB-02).
pub const COMMAND_QUEUES: [u64; 2] = [0x1000_0000, 0x1002_0000];
/// Two places for the fault queue, aligned likewise.
pub const FAULT_QUEUES: [u64; 2] = [0x1004_0000, 0x1008_0000];
/// Where fences store.
pub const FENCES: u64 = 0x100c_0000;
/// Bytes of the fences' page that are compared.
pub const FENCE_BYTES: u64 = 0x80;
/// Where interrupt messages go.
pub const MESSAGES: u64 = 0x100d_0000;
/// Directories and page tables start here: errors may be planted in them while they are in use.
pub const TABLES: u64 = 0x1010_0000;
/// End of everything that a machine is made of.
pub const END: u64 = TABLES + 0x10_0000;
/// Pages of non-leaf directory entries, pages of contexts.
const POINTER_PAGES: [u64; 2] = [TABLES + 0x8000, TABLES + 0x9000];
const CONTEXT_PAGES: [u64; 3] = [TABLES + 0xa000, TABLES + 0xb000, TABLES + 0xc000];
/// First page table.
const PAGE_TABLES: u64 = TABLES + 0x1_0000;
/// Number of page tables for each level, 0 first.
const POOL: [u64; 5] = [4, 3, 2, 1, 1];

/// tc of the simplest good context.
const TC_V: u64 = 1;
/// PTE bits: V, R, W, X, U, A, D.
const GOOD: u64 = 0xdf;
const PPN: u64 = (1 << 44) - 1;

/// A page that ddtp may name, and the levels of the directory in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Directory {
    /// Address.
    pub root: u64,
    /// 1, 2 or 3.
    pub levels: u8,
}

/// What a random machine's tables look like.
#[derive(Clone, Debug)]
pub struct World {
    /// Devices that have a context.
    pub devices: Vec<u32>,
    /// Soft-context ids in use.
    pub pscids: Vec<u64>,
    /// Directories.
    pub directories: Vec<Directory>,
    /// Table indices in use for each level, 0 first.
    indices: [Vec<u64>; 5],
    /// Page-table modes: iosatp.MODE and levels.
    modes: Vec<(u64, usize)>,
    /// Widest physical address of the IOMMU.
    pas: u32,
    /// Memory as software has written it.
    memory: BTreeMap<u64, u64>,
}

fn few(rng: &mut Rng, fixed: &[u64], n: u64) -> Vec<u64> {
    let mut list: Vec<u64> = (0..n).map(|_| rng.below(512)).collect();
    list.extend([rng.one(fixed), rng.one(fixed)]);
    list.sort_unstable();
    list.dedup();
    list
}

impl World {
    /// Chooses devices and the addresses around which everything happens.
    pub fn new(rng: &mut Rng, config: &Config) -> Self {
        let page = |n: u64, levels: u8| Directory {
            root: TABLES + 0x1000 * n,
            levels,
        };
        let many = config.ddt_levels == 3;
        let directories = if many {
            vec![page(0, 3), page(1, 2), page(2, 1), page(3, 3)]
        } else {
            vec![page(0, 1), page(1, 1)]
        };
        // With more levels, ids that share some of the pages on the way.
        let (high, middle) = (rng.below(256) as u32, rng.below(512) as u32);
        let mut devices = Vec::new();
        for at in 0..rng.range(2, 5) {
            let low = if at == 0 {
                rng.one(&[0, 1, 63, 64, 127])
            } else {
                rng.below(128) as u32
            };
            let upper = if many {
                rng.one(&[0, high]) << 16 | rng.one(&[0, middle]) << 7
            } else {
                0
            };
            devices.push(upper | low);
        }
        let mut low = few(rng, &[0, 15, 16, 511], 2);
        // A neighbour, so that NAPOT groups and adjacent pages are met.
        low.push(low[0] ^ 1);
        // And one in the same set of a cache that goes by the lowest bits.
        low.push(low[0] ^ 0x40);
        low.sort_unstable();
        low.dedup();
        let capabilities = config.capabilities;
        let modes = [(8, 3), (9, 4), (10, 5)];
        let modes = modes
            .into_iter()
            .filter(|(mode, _)| capabilities >> (mode + 1) & 1 == 1);
        Self {
            devices,
            pscids: (0..rng.range(2, 4)).map(|_| rng.below(1 << 20)).collect(),
            directories,
            indices: [
                low,
                few(rng, &[0, 1, 511], 1),
                few(rng, &[0, 255, 256, 511], 1),
                few(rng, &[0, 255, 256, 511], 0),
                few(rng, &[0, 255, 256, 511], 0),
            ],
            modes: modes.collect(),
            pas: config.pas_bits(),
            memory: BTreeMap::new(),
        }
    }

    /// Remembers what software writes.
    pub fn note(&mut self, addr: u64, words: &[u64]) {
        for (i, word) in words.iter().enumerate() {
            self.memory.insert(addr + 8 * i as u64, *word);
        }
    }

    fn word(&self, addr: u64) -> u64 {
        self.memory.get(&addr).copied().unwrap_or(0)
    }

    /// A table of a level.
    fn table(rng: &mut Rng, level: usize) -> u64 {
        let before: u64 = POOL[..level].iter().sum();
        PAGE_TABLES + 0x1000 * (before + rng.below(POOL[level]))
    }

    /// A page number that the IOMMU cannot reach.
    fn far(&self, rng: &mut Rng) -> u64 {
        1 << rng.range(u64::from(self.pas) - 12, 43) | rng.below(1 << 20)
    }

    /// A page number of memory behind the IOMMU: anything of 44 bits, for PAS does not bound it.
    fn page(rng: &mut Rng) -> u64 {
        if rng.chance(70) {
            rng.below(1 << 20)
        } else {
            rng.below(1 << 44)
        }
    }

    /// A device context: base format, four doublewords.
    pub fn context(&self, rng: &mut Rng) -> [u64; 4] {
        let (mode, levels) = rng.one(&self.modes);
        let root = Self::table(rng, levels - 1) >> 12;
        // Mostly one id for each root: else any of the tables under the id may be used (DC-13).
        let pscid = if rng.chance(88) {
            self.pscids[root as usize % self.pscids.len()]
        } else {
            rng.one(&self.pscids)
        };
        let dtf = if rng.chance(15) { 1 << 4 } else { 0 };
        // Bits that may have any value (DCM-42, DC-04).
        let free = if rng.chance(20) {
            rng.below(256) << 24
        } else {
            0
        };
        let iohgatp = if rng.chance(20) {
            rng.below(1 << 60)
        } else {
            0
        };
        let pscid = pscid << 12;
        let good = [TC_V | dtf | free, iohgatp, pscid, mode << 60 | root];
        let bare = [TC_V | dtf | free, iohgatp, pscid, rng.below(1 << 44)];
        match rng.below(100) {
            0..70 => good,
            70..76 => bare,
            // PDTV with a Bare pdtp, with or without DPE (TRN-15, DCM-28).
            76..81 => [
                bare[0] | 1 << 5 | rng.below(2) << 9,
                bare[1],
                bare[2],
                bare[3],
            ],
            81..84 => [rng.word() & !1, good[1], good[2], good[3]],
            84..86 => [good[0], good[1], good[2], mode << 60 | self.far(rng)],
            86..94 => Self::misconfigured(rng, good),
            // Any mode with any PDTV.
            94..96 => {
                let pdtv = rng.below(2) << 5;
                [good[0] | pdtv, good[1], good[2], rng.below(16) << 60 | root]
            }
            96..98 => [good[0], rng.below(16) << 60, good[2], good[3]],
            _ => [rng.word(), rng.word(), rng.word(), rng.word()],
        }
    }

    /// A good context with one or two bits set that must be 0.
    fn misconfigured(rng: &mut Rng, good: [u64; 4]) -> [u64; 4] {
        let mut words = good;
        for _ in 0..rng.range(1, 2) {
            let (word, bit) = match rng.below(10) {
                0 => (0, rng.range(12, 23)),
                1 => (0, rng.range(32, 63)),
                2..5 => (0, rng.one(&[1, 2, 3, 6, 7, 8, 9, 10, 11])),
                5 => (2, rng.below(12)),
                6 => (2, rng.range(32, 39)),
                7 => (2, rng.range(40, 63)),
                8 => (3, rng.range(44, 59)),
                _ => (1, rng.range(60, 63)),
            };
            words[word] |= 1 << bit;
        }
        words
    }

    /// A non-leaf directory entry whose table has `level` (DDT-09..13).
    fn directory_entry(&self, rng: &mut Rng, level: u8) -> u64 {
        let page = if level == 0 {
            rng.one(&CONTEXT_PAGES)
        } else {
            rng.one(&POINTER_PAGES)
        };
        let good = page >> 12 << 10 | 1;
        match rng.below(100) {
            0..88 => good,
            88..91 => rng.word() & !1,
            91..94 => good | 1 << rng.range(1, 9),
            94..96 => good | 1 << rng.range(54, 63),
            96..99 => self.far(rng) << 10 | 1,
            _ => rng.word(),
        }
    }

    /// An entry for a table of `level`.
    pub fn entry(&self, rng: &mut Rng, level: usize) -> u64 {
        let pointer = |rng: &mut Rng| match level {
            0 => Self::table(rng, 0) >> 12 << 10 | 1,
            _ => Self::table(rng, level - 1) >> 12 << 10 | 1,
        };
        let pointers = [0, 75, 88, 92, 94];
        if rng.chance(pointers[level]) {
            let global = if rng.chance(3) { 1 << 5 } else { 0 };
            return pointer(rng) | global;
        }
        let low = (1u64 << (9 * level)) - 1;
        let good = (Self::page(rng) & !low) << 10 | GOOD | rng.below(4) << 8;
        match rng.below(100) {
            0..58 => good,
            // Any permissions; W without R among them (S1-12).
            58..70 => good & !0xe | rng.below(8) << 1,
            70..73 => good & !(1 << 6),
            73..78 => good & !(1 << 7),
            78..80 => good & !(1 << 4),
            80..83 => good | 1 << 5,
            83..85 => rng.word() & !1,
            85..87 => good | 1 << rng.range(54, 62),
            // N: good at level 0 only with PPN[3:0] = 8 (S1-25, S1-26).
            87..91 => 1 << 63 | good & !(0xf << 10) | 8 << 10,
            91..92 => 1 << 63 | good & !(0xf << 10) | rng.below(16) << 10,
            92..94 => good | (rng.below(1 << 18) & low) << 10,
            // A pointer with a bit that must be 0 (S1-17, S1-18), or at level 0 (S1-16).
            94..96 => pointer(rng) | 1 << rng.one(&[4, 6, 7, 54, 59, 61, 62, 63]),
            96..97 => pointer(rng),
            97..99 => self.far(rng) << 10 | 1,
            _ => rng.word(),
        }
    }

    /// Everything that is written before the machine starts.
    pub fn stores(&self, rng: &mut Rng) -> Vec<(u64, Vec<u64>)> {
        let mut stores = Vec::new();
        let part = |device: u32, level: u8| {
            u64::from([device & 0x7f, device >> 7 & 0x1ff, device >> 16][usize::from(level)])
        };
        let mut pages = CONTEXT_PAGES.to_vec();
        for directory in &self.directories {
            match directory.levels {
                1 => pages.push(directory.root),
                levels => {
                    for device in &self.devices {
                        let addr = directory.root + part(*device, levels - 1) * 8;
                        stores.push((addr, vec![self.directory_entry(rng, levels - 2)]));
                    }
                }
            }
        }
        if self
            .directories
            .iter()
            .any(|directory| directory.levels == 3)
        {
            for page in POINTER_PAGES {
                for device in &self.devices {
                    let entry = self.directory_entry(rng, 0);
                    stores.push((page + part(*device, 1) * 8, vec![entry]));
                }
            }
        }
        for page in pages {
            for device in &self.devices {
                let context = self.context(rng).to_vec();
                stores.push((page + part(*device, 0) * 32, context));
            }
        }
        let levels = self
            .modes
            .iter()
            .map(|(_, levels)| *levels)
            .max()
            .unwrap_or(3);
        let mut table = PAGE_TABLES;
        for (level, count) in POOL.iter().enumerate().take(levels) {
            for _ in 0..*count {
                for index in &self.indices[level] {
                    let entry = self.entry(rng, level);
                    stores.push((table + index * 8, vec![entry]));
                    // Mostly the whole group of a 64 KiB page, as software writes it.
                    if level == 0 && entry >> 63 == 1 && rng.chance(70) {
                        stores.push((table + (index & !0xf) * 8, vec![entry; 16]));
                    }
                }
                table += 0x1000;
            }
        }
        stores
    }

    /// Where the context of a device is, by the directory as software has written it.
    pub fn context_slot(&self, directory: Directory, device: u32) -> Option<u64> {
        let mut table = directory.root;
        if device >> [0, 7, 16, 24][usize::from(directory.levels)] != 0 {
            return None;
        }
        for level in (1..directory.levels).rev() {
            let index = if level == 2 {
                device >> 16
            } else {
                device >> 7 & 0x1ff
            };
            let entry = self.word(table + u64::from(index) * 8);
            table = (entry >> 10 & PPN) << 12;
            if entry & 1 == 0 || !(TABLES..PAGE_TABLES).contains(&table) {
                return None;
            }
        }
        Some(table + u64::from(device & 0x7f) * 32)
    }

    /// The entries, with their levels, that translate an address of a device, if that goes well.
    pub fn path(&self, context: u64, iova: u64) -> Option<Vec<(u64, usize)>> {
        let fsc = self.word(context + 24);
        if self.word(context) & 0x21 != 1 {
            return None;
        }
        let (_, levels) = self.modes.iter().find(|(mode, _)| *mode == fsc >> 60)?;
        let mut table = (fsc & PPN) << 12;
        let mut path = Vec::new();
        for level in (0..*levels).rev() {
            if !(PAGE_TABLES..PAGE_TABLES + 0x10_0000).contains(&table) {
                return None;
            }
            let slot = table + (iova >> (12 + 9 * level) & 0x1ff) * 8;
            let entry = self.word(slot);
            path.push((slot, level));
            match entry & 0xf {
                1 => table = (entry >> 10 & PPN) << 12,
                _ if entry & 0xd3 == 0xd3 => return Some(path),
                _ => return None,
            }
        }
        None
    }

    /// Some entry of some table, and its level.
    pub fn slot(&self, rng: &mut Rng) -> (u64, usize) {
        let level = rng.weighted(&[(60, 0), (25, 1), (15, 2)]);
        let index = rng.one(&self.indices[level]);
        (Self::table(rng, level) + index * 8, level)
    }

    /// A device: nearly always one with a context.
    pub fn device(&self, rng: &mut Rng) -> u32 {
        match rng.below(100) {
            0..96 => rng.one(&self.devices),
            96..98 => rng.below(128) as u32,
            _ => 1 << rng.range(7, 23) | rng.one(&self.devices),
        }
    }

    /// An address: nearly always one that the tables know something about.
    pub fn iova(&self, rng: &mut Rng) -> u64 {
        let (_, levels) = rng.one(&self.modes);
        let mut known = rng.below(4096);
        for level in 0..levels {
            known |= rng.one(&self.indices[level]) << (12 + 9 * level);
        }
        let unused = 52 - 9 * levels;
        let canonical = ((known << unused) as i64 >> unused) as u64;
        match rng.below(100) {
            0..94 => canonical,
            // Not canonical (S1-05).
            94..96 => canonical ^ 1 << rng.range(39, 63),
            96..98 => canonical ^ 1 << rng.range(12, 38),
            98..99 => known,
            _ => rng.word(),
        }
    }
}
