//! Choice of addresses in default domains. The page table itself is the record: a page is taken if its entry is valid,
//! or held if the entry carries the stamp of a deferred unmap that no flush has covered yet. So nothing is stored
//! besides, nothing can get out of step, and a flush gives all held addresses back without touching them.

use portcullis_regmap::PAGE_SIZE;
use portcullis_regmap::pte::Pte;

use crate::Error;
use crate::hw::{Fail, Hw};
use crate::iommu::Inner;
use crate::platform::Platform;
use crate::table::{Cursor, NAPOT_SIZE, Table, entry, next_table, span};
use crate::types::GroupId;

/// Marks a held entry; V=0, so that for hardware it is an invalid one.
const HELD: u64 = 0b10;

/// Entry that holds an address until a purge after `stamp`.
pub(crate) fn held(stamp: u64) -> u64 {
    stamp << 2 | HELD
}

fn stamp_of(bits: u64) -> Option<u64> {
    (bits & HELD != 0).then_some(bits >> 2)
}

/// What is in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Obstacle {
    /// First address of its entry, and first beyond it.
    start: u64,
    end: u64,
    /// A flush would remove it.
    held: bool,
}

impl<P: Platform> Hw<P> {
    /// First valid entry in a range.
    #[inline(never)]
    pub(crate) fn occupied(
        &mut self,
        table: Table,
        start: u64,
        end: u64,
    ) -> Result<Option<u64>, Fail> {
        let end = end.min(table.mode.aperture_end());
        let mut cursor = Cursor::new(table);
        let found = self.obstacle(&mut cursor, start, end, u64::MAX)?;
        Ok(found.map(|o| o.start))
    }

    /// First entry in a range that is valid or held by a stamp that `done` does not cover. Ranges asked of one cursor
    /// must ascend.
    #[inline(never)]
    fn obstacle(
        &mut self,
        cursor: &mut Cursor,
        start: u64,
        end: u64,
        done: u64,
    ) -> Result<Option<Obstacle>, Fail> {
        let mut at = start;
        while at < end {
            let mut level = cursor.level(at);
            loop {
                let table = cursor.table(level).ok_or(Fail::Platform)?;
                let bits = self.load(entry(table, at, level))?;
                let pte = Pte::from_bits(bits);
                let below = pte.v() && !pte.leaf() && level > 0;
                if below {
                    level -= 1;
                    cursor.enter(level, Some(next_table(pte)), at);
                    continue;
                }
                let size = if level == 0 && pte.v() && pte.n() {
                    NAPOT_SIZE
                } else {
                    span(level)
                };
                let (start, end) = (at & !(size - 1), (at & !(size - 1)) + size);
                let held = !pte.v() && stamp_of(bits).is_some_and(|stamp| done <= stamp);
                if pte.v() || held {
                    return Ok(Some(Obstacle { start, end, held }));
                }
                at = end;
                break;
            }
        }
        Ok(None)
    }
}

impl<P: Platform, const DEVICES: usize> Inner<P, DEVICES> {
    /// Addresses for `len` bytes at `pa` in the default domain of a group, such that the largest pages fit: lowest
    /// first, never page 0, never a region of a device, nothing mapped or held.
    pub(crate) fn find_iova(
        &mut self,
        id: GroupId,
        table: Table,
        pa: u64,
        len: u64,
    ) -> Result<u64, Error> {
        match self.search(id, table, pa, len)? {
            Some(found) => Ok(found),
            // What is held comes free by a flush.
            None if self.state(id).is_some_and(|s| s.flush.pending > 0) => {
                self.flush(id)?;
                self.search(id, table, pa, len)?.ok_or(Error::NoSpace)
            }
            None => Err(Error::NoSpace),
        }
    }

    // A frame of its own, so that its locals do not add to those of the caller's other steps.
    #[inline(never)]
    fn search(
        &mut self,
        id: GroupId,
        table: Table,
        pa: u64,
        len: u64,
    ) -> Result<Option<u64>, Error> {
        let state = self.state(id).ok_or(Error::NoDevice)?;
        let (low, done) = (u64::from(state.low).max(1) * PAGE_SIZE, state.flush.done);
        let sizes = [span(2), span(1), NAPOT_SIZE];
        let napot = self.hw.config.napot;
        let largest = sizes
            .into_iter()
            .find(|&size| len >= size && (size != NAPOT_SIZE || napot));
        let align = largest.unwrap_or(PAGE_SIZE);
        // The next address that a large page can hold in the same place as the memory.
        let fit = |at: u64| at + (pa.wrapping_sub(at) & (align - 1));
        let (mut cursor, mut lowest_held) = (Cursor::new(table), u64::MAX);
        let mut at = fit(low);
        loop {
            let end = at.saturating_add(len);
            if end > table.mode.aperture_end() {
                return Ok(None);
            }
            let region = self.regions(id).find(|r| r.overlaps(at, end));
            if let Some(region) = region {
                at = fit(region.end().min(table.mode.aperture_end()));
                continue;
            }
            match self.hw.obstacle(&mut cursor, at, end, done)? {
                None => break,
                Some(obstacle) => {
                    if obstacle.held {
                        lowest_held = lowest_held.min(obstacle.start);
                    }
                    at = fit(obstacle.end);
                }
            }
        }
        // One page, or no gap: everything below the end is in use. What is held must be found again after a flush.
        let dense = len == PAGE_SIZE || at == low;
        if dense && let Ok(state) = self.state_mut(id) {
            state.low = ((at + len).min(lowest_held) / PAGE_SIZE) as u32;
        }
        Ok(Some(at))
    }

    /// Addresses from here on may be free again.
    pub(crate) fn lower(&mut self, id: GroupId, iova: u64) {
        if let Ok(state) = self.state_mut(id) {
            state.low = state.low.min((iova / PAGE_SIZE) as u32);
        }
    }
}
