//! Random device contexts, page tables and addresses of the configuration `tiny`: most of them good, the others wrong
//! in one way each.

use portcullis_regmap::Config;

use super::rng::Rng;

/// Two pages that ddtp may name.
pub const DIRECTORIES: [u64; 2] = [0x1000_0000, 0x1000_1000];
/// Two places for the command queue.
pub const COMMAND_QUEUES: [u64; 2] = [0x1000_2000, 0x1000_3000];
/// Two places for the fault queue, 8 KiB aligned (CQB-02).
pub const FAULT_QUEUES: [u64; 2] = [0x1000_4000, 0x1000_6000];
/// Where fences store.
pub const FENCES: u64 = 0x1000_8000;
/// Bytes of the fences' page that are compared.
pub const FENCE_BYTES: u64 = 0x80;
/// Page tables.
pub const TABLES: u64 = 0x1001_0000;
/// Number of tables for each level, 0 first.
const POOL: [u64; 3] = [4, 3, 2];

/// tc of the simplest good context.
const TC_V: u64 = 1;
/// PTE bits: V, R, W, X, U, A, D.
const GOOD: u64 = 0xdf;

/// What a random machine's tables look like.
#[derive(Clone, Debug)]
pub struct World {
    /// Devices that have a context.
    pub devices: Vec<u32>,
    /// Soft-context ids in use.
    pub pscids: Vec<u64>,
    /// Table indices in use for each level, 0 first.
    indices: [Vec<u64>; 3],
    /// Widest physical address of the IOMMU.
    pas: u32,
}

impl World {
    /// Chooses devices and the addresses around which everything happens.
    pub fn new(rng: &mut Rng, config: &Config) -> Self {
        let mut devices = vec![rng.one(&[0, 1, 63, 64, 127])];
        for _ in 0..rng.range(1, 4) {
            devices.push(rng.below(128) as u32);
        }
        let pscids = (0..rng.range(2, 3)).map(|_| rng.below(1 << 20)).collect();
        let few = |rng: &mut Rng, fixed: &[u64], n: u64| -> Vec<u64> {
            let mut list: Vec<u64> = (0..n).map(|_| rng.below(512)).collect();
            list.extend([rng.one(fixed), rng.one(fixed)]);
            list.sort_unstable();
            list.dedup();
            list
        };
        let mut low = few(rng, &[0, 15, 16, 511], 2);
        // A neighbour, so that NAPOT groups and adjacent pages are met.
        low.push(low[0] ^ 1);
        low.sort_unstable();
        low.dedup();
        let middle = few(rng, &[0, 1, 511], 1);
        let high = few(rng, &[0, 255, 256, 511], 1);
        Self {
            devices,
            pscids,
            indices: [low, middle, high],
            pas: config.pas_bits(),
        }
    }

    /// A table of a level.
    fn table(rng: &mut Rng, level: usize) -> u64 {
        let before: u64 = POOL[..level].iter().sum();
        TABLES + 0x1000 * (before + rng.below(POOL[level]))
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
        let root = Self::table(rng, 2) >> 12;
        // Mostly one id for each root: else any of the tables under the id may be used (DC-13).
        let pscid = if rng.chance(85) {
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
        let sv39 = [TC_V | dtf | free, iohgatp, pscid, 8 << 60 | root];
        let bare = [TC_V | dtf | free, iohgatp, pscid, rng.below(1 << 44)];
        match rng.below(100) {
            0..64 => sv39,
            64..71 => bare,
            // PDTV with a Bare pdtp, with or without DPE (TRN-15, DCM-28).
            71..77 => [bare[0] | 1 << 5 | rng.below(2) << 9, bare[1], bare[2], bare[3]],
            77..81 => {
                let mut invalid = sv39;
                invalid[0] = rng.word() & !1;
                invalid
            }
            81..84 => [sv39[0], sv39[1], sv39[2], 8 << 60 | self.far(rng)],
            84..93 => Self::misconfigured(rng, sv39),
            // Any mode with any PDTV.
            93..96 => {
                let pdtv = rng.below(2) << 5;
                [sv39[0] | pdtv, sv39[1], sv39[2], rng.below(16) << 60 | root]
            }
            96..98 => [sv39[0], rng.below(16) << 60, sv39[2], sv39[3]],
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

    /// An entry for a table of `level`.
    pub fn entry(&self, rng: &mut Rng, level: usize) -> u64 {
        let pointer = |rng: &mut Rng| match level {
            0 => Self::table(rng, 0) >> 12 << 10 | 1,
            _ => Self::table(rng, level - 1) >> 12 << 10 | 1,
        };
        if level > 0 && rng.chance(if level == 2 { 85 } else { 70 }) {
            let global = if rng.chance(4) { 1 << 5 } else { 0 };
            return pointer(rng) | global;
        }
        let low = (1u64 << (9 * level)) - 1;
        let leaf = |rng: &mut Rng| (Self::page(rng) & !low) << 10 | GOOD;
        let good = leaf(rng) | rng.below(4) << 8;
        match rng.below(100) {
            0..50 => good,
            // Any permissions; W without R among them (S1-12).
            50..64 => good & !0xe | rng.below(8) << 1,
            64..68 => good & !(1 << 6),
            68..73 => good & !(1 << 7),
            73..76 => good & !(1 << 4),
            76..79 => good | 1 << 5,
            79..82 => rng.word() & !1,
            82..84 => good | 1 << rng.range(54, 62),
            // N: good at level 0 only with PPN[3:0] = 8 (S1-25, S1-26).
            84..88 => 1 << 63 | good & !(0xf << 10) | 8 << 10,
            88..90 => 1 << 63 | good & !(0xf << 10) | rng.below(16) << 10,
            90..92 => good | (rng.below(1 << 18) & low) << 10,
            // A pointer with a bit that must be 0 (S1-17, S1-18), or at level 0 (S1-16).
            92..95 => pointer(rng) | 1 << rng.one(&[4, 6, 7, 54, 59, 61, 62, 63]),
            95..97 => pointer(rng),
            97..99 => self.far(rng) << 10 | 1,
            _ => rng.word(),
        }
    }

    /// Everything that is written before the machine starts.
    pub fn stores(&self, rng: &mut Rng) -> Vec<(u64, Vec<u64>)> {
        let mut stores = Vec::new();
        for directory in DIRECTORIES {
            for device in &self.devices {
                if directory == DIRECTORIES[0] || rng.chance(60) {
                    let context = self.context(rng).to_vec();
                    stores.push((directory + u64::from(*device) * 32, context));
                }
            }
        }
        let mut table = TABLES;
        for (level, count) in POOL.iter().enumerate() {
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

    /// Some entry of some table, and its level.
    pub fn slot(&self, rng: &mut Rng) -> (u64, usize) {
        let level = rng.weighted(&[(60, 0), (25, 1), (15, 2)]);
        let index = rng.one(&self.indices[level]);
        (Self::table(rng, level) + index * 8, level)
    }

    /// A device: nearly always one with a context.
    pub fn device(&self, rng: &mut Rng) -> u32 {
        match rng.below(100) {
            0..95 => rng.one(&self.devices),
            95..97 => rng.below(128) as u32,
            _ => 1 << rng.range(7, 23) | rng.one(&self.devices),
        }
    }

    /// An address: nearly always one that the tables know something about.
    pub fn iova(&self, rng: &mut Rng) -> u64 {
        let part = |rng: &mut Rng, level: usize| rng.one(&self.indices[level]) << (12 + 9 * level);
        let known = part(rng, 2) | part(rng, 1) | part(rng, 0) | rng.below(4096);
        let canonical = ((known << 25) as i64 >> 25) as u64;
        match rng.below(100) {
            0..92 => canonical,
            // Not canonical (S1-05).
            92..95 => canonical ^ 1 << rng.range(39, 63),
            95..97 => canonical ^ 1 << rng.range(12, 38),
            97..99 => known,
            _ => rng.word(),
        }
    }
}
