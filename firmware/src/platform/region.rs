//! Memory set aside for the driver: one piece of the address space, given out in pages.

use crate::PhysAddr;
use portcullis_regmap::PAGE_SIZE;

/// Pieces in use at the same time: as many as the driver keeps on record.
const PIECES: usize = 64;

/// Gives out page-aligned pieces of one range, the lowest that fits first. What it knows lies beside the memory and not
/// inside, so the memory may be far away.
#[derive(Clone, Debug)]
pub struct Region {
    start: u64,
    end: u64,
    /// Start and end of the pieces in use, ascending.
    used: [(u64, u64); PIECES],
    count: usize,
}

impl Region {
    /// The whole pages in `bytes` bytes from `start`.
    pub const fn new(start: PhysAddr, bytes: u64) -> Self {
        let end = start.0.saturating_add(bytes) / PAGE_SIZE * PAGE_SIZE;
        let start = match start.0.checked_next_multiple_of(PAGE_SIZE) {
            Some(start) if start < end => start,
            _ => end,
        };
        Region {
            start,
            end,
            used: [(0, 0); PIECES],
            count: 0,
        }
    }

    /// Bytes it holds, in use or not.
    pub const fn bytes(&self) -> u64 {
        self.end - self.start
    }

    /// Whether `bytes` bytes from `pa` lie in the range.
    pub const fn contains(&self, pa: PhysAddr, bytes: u64) -> bool {
        self.start <= pa.0 && pa.0 <= self.end && bytes <= self.end - pa.0
    }

    /// As [`DmaMemory::alloc`](super::DmaMemory::alloc).
    pub fn take(&mut self, bytes: usize, align: usize) -> Option<PhysAddr> {
        let bytes = u64::try_from(bytes).ok()?;
        let align = u64::try_from(align).ok()?.max(PAGE_SIZE);
        if bytes == 0 || self.count == PIECES {
            return None;
        }
        let mut from = self.start;
        for at in 0..=self.count {
            let limit = if at < self.count {
                self.used[at].0
            } else {
                self.end
            };
            let pa = from.checked_next_multiple_of(align)?;
            if let Some(end) = pa.checked_add(bytes).filter(|end| *end <= limit) {
                self.used.copy_within(at..self.count, at + 1);
                self.used[at] = (pa, end);
                self.count += 1;
                return Some(PhysAddr(pa));
            }
            if at < self.count {
                from = self.used[at].1;
            }
        }
        None
    }

    /// As [`DmaMemory::free`](super::DmaMemory::free). What was not given out is left alone.
    pub fn give_back(&mut self, pa: PhysAddr) {
        if let Some(at) = self.used[..self.count].iter().position(|u| u.0 == pa.0) {
            self.used.copy_within(at + 1..self.count, at);
            self.count -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    #[test]
    fn only_whole_pages() {
        let region = Region::new(PhysAddr(0x1001), 0x2fff);
        assert_eq!((region.bytes(), region.start), (0x2000, 0x2000));
        for (start, bytes) in [(0x1001, 0xfff), (u64::MAX, 4096), (u64::MAX - 10, u64::MAX)] {
            let mut region = Region::new(PhysAddr(start), bytes);
            assert_eq!((region.bytes(), region.take(4096, 4096)), (0, None));
        }
    }

    #[test]
    fn gaps_are_used_again() {
        let mut region = Region::new(PhysAddr(0x1000), 0x5000);
        let take = |r: &mut Region, bytes, align| r.take(bytes, align).map(|pa| pa.0);
        assert_eq!(take(&mut region, 0x1000, 0x1000), Some(0x1000));
        assert_eq!(take(&mut region, 0x1000, 0x4000), Some(0x4000));
        assert_eq!(take(&mut region, 0x2000, 0x1000), Some(0x2000));
        assert_eq!(take(&mut region, 0x2000, 0x1000), None);
        assert_eq!(take(&mut region, 0x1000, 0x1000), Some(0x5000));
        assert_eq!(take(&mut region, 0x1000, 0x1000), None);
        region.give_back(PhysAddr(0x2000));
        region.give_back(PhysAddr(0x3000));
        assert_eq!(take(&mut region, 0x1000, 0x1000), Some(0x2000));
        assert_eq!(take(&mut region, 0x1000, 0x1000), Some(0x3000));
    }

    /// Whatever is taken and given back: pieces never overlap, and nothing is lost.
    #[test]
    fn pieces_never_overlap() {
        let mut region = Region::new(PhysAddr(0x10_0000), 0x10_0000);
        let mut live: std::vec::Vec<(u64, u64)> = std::vec::Vec::new();
        let mut seed = 0x9e37_79b9_7f4a_7c15u64;
        for _ in 0..20_000 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let (bytes, align) = ((1 + seed % 8) * 4096, 4096 << (seed >> 8 & 3));
            if seed >> 20 & 1 == 0 && !live.is_empty() {
                let (pa, _) = live.swap_remove((seed >> 32) as usize % live.len());
                region.give_back(PhysAddr(pa));
            } else if let Some(pa) = region.take(bytes as usize, align as usize) {
                assert!(pa.0 % align == 0 && region.contains(pa, bytes));
                assert!(
                    live.iter()
                        .all(|&(p, b)| p + b <= pa.0 || pa.0 + bytes <= p)
                );
                live.push((pa.0, bytes));
            }
        }
        live.iter().for_each(|l| region.give_back(PhysAddr(l.0)));
        assert_eq!(region.take(0x10_0000, 4096), Some(PhysAddr(0x10_0000)));
    }
}
