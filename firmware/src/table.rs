//! Edits of first-stage page tables.
//!
//! No recursion: a [`Cursor`] remembers the tables on the way to the current address, and each is closed when the
//! address leaves it.

use core::ops::Range;

use portcullis_regmap::ddt::Iosatp;
use portcullis_regmap::pte::{
    self, ENTRIES, NAPOT_ORDER, NAPOT_PPN_LOW, NAPOT_PPN_MASK, Pte, level_shift, vpn,
};
use portcullis_regmap::{PAGE_SHIFT, PAGE_SIZE};

use crate::gather::Gone;
use crate::hw::{Fail, Hw};
use crate::platform::{Barrier, Platform};
use crate::pool::PageList;
use crate::types::{DeviceRegion, Mode, Perm};
use crate::{Error, PhysAddr};

/// Levels of the deepest format.
const LEVELS: usize = pte::SV57_LEVELS as usize;
/// Highest level with leaves: 1 GiB.
const LEAF_LEVEL: usize = 2;
/// Bytes of a NAPOT leaf.
pub(crate) const NAPOT_SIZE: u64 = PAGE_SIZE << NAPOT_ORDER;

/// Root and format of a page table.
#[derive(Clone, Copy)]
pub(crate) struct Table {
    pub(crate) root: PhysAddr,
    pub(crate) mode: Mode,
}

impl Table {
    /// `fsc` of contexts that lead to it.
    pub(crate) fn fsc(self) -> u64 {
        Iosatp::new()
            .with_ppn(self.root.0 >> PAGE_SHIFT)
            .with_mode(self.mode.iosatp())
            .into_bits()
    }

    /// The table that contexts with this `fsc` lead to; `None` for identity.
    pub(crate) fn of(fsc: u64) -> Option<Self> {
        let fsc = Iosatp::from_bits(fsc);
        let root = PhysAddr(fsc.ppn() << PAGE_SHIFT);
        let modes = [Mode::Sv39, Mode::Sv48, Mode::Sv57];
        let mode = modes.into_iter().find(|m| m.iosatp() == fsc.mode())?;
        Some(Table { root, mode })
    }
}

/// What [`Hw::map`] shall do; addresses and length are checked.
pub(crate) struct Request {
    pub(crate) iova: u64,
    pub(crate) pa: u64,
    pub(crate) len: u64,
    pub(crate) perm: Perm,
}

impl Request {
    /// A region to itself.
    pub(crate) fn direct(region: &DeviceRegion, perm: Perm) -> Self {
        Request {
            iova: region.start,
            pa: region.start,
            len: region.bytes,
            perm,
        }
    }
}

/// Bytes an entry at a level covers.
pub(crate) fn span(level: usize) -> u64 {
    1 << level_shift(level as u8)
}

/// Address of the entry for `iova` in a table at a level.
pub(crate) fn entry(table: PhysAddr, iova: u64, level: usize) -> PhysAddr {
    PhysAddr(table.0 + u64::from(vpn(iova, level as u8)) * 8)
}

pub(crate) fn next_table(entry: Pte) -> PhysAddr {
    PhysAddr(entry.ppn() << PAGE_SHIFT)
}

fn non_leaf(table: PhysAddr) -> u64 {
    Pte::new()
        .with_v(true)
        .with_ppn(table.0 >> PAGE_SHIFT)
        .into_bits()
}

/// A: without it the hardware faults, as it does not set it. D likewise for writes. U: requests without process id are
/// user requests. Never G: purging a PSCID would miss the mapping.
fn leaf(perm: Perm) -> Pte {
    let write = perm.contains(Perm::WRITE);
    Pte::new()
        .with_v(true)
        .with_r(write || perm.contains(Perm::READ))
        .with_w(write)
        .with_x(perm.contains(Perm::EXEC))
        .with_u(true)
        .with_a(true)
        .with_d(write)
}

/// The tables on the way to an address. Small, since it lies on the stack of most edits.
pub(crate) struct Cursor {
    top: u8,
    /// Levels whose table was made by this edit and is not linked yet.
    fresh: u8,
    /// Entries stored and not published: the first, and the first beyond the last one.
    dirty: [(u16, u16); LEVELS],
    /// Table per level; [`NO_TABLE`] while planning, where there is none yet.
    at: [u64; LEVELS],
    /// First address beyond the table of a level; 0 if none is open.
    end: [u64; LEVELS],
}

/// No address of a page.
const NO_TABLE: u64 = 1;
const CLEAN: (u16, u16) = (u16::MAX, 0);

impl Cursor {
    // Made in place, and not made and moved.
    #[inline(always)]
    pub(crate) fn new(table: Table) -> Self {
        let mut cursor = Cursor {
            top: cursor_top(table) as u8,
            fresh: 0,
            dirty: [CLEAN; LEVELS],
            at: [NO_TABLE; LEVELS],
            end: [0; LEVELS],
        };
        let top = cursor.top();
        (cursor.at[top], cursor.end[top]) = (table.root.0, u64::MAX);
        cursor
    }

    fn top(&self) -> usize {
        usize::from(self.top)
    }

    /// The table of a level.
    pub(crate) fn table(&self, level: usize) -> Option<PhysAddr> {
        let at = *self.at.get(level)?;
        (at != NO_TABLE).then_some(PhysAddr(at))
    }

    /// Lowest level with an open table for the address.
    #[inline(never)]
    pub(crate) fn level(&self, iova: u64) -> usize {
        (0..self.top())
            .find(|&l| iova < self.end[l])
            .unwrap_or(self.top())
    }

    #[inline(never)]
    pub(crate) fn enter(&mut self, level: usize, table: Option<PhysAddr>, iova: u64) {
        self.at[level] = table.map_or(NO_TABLE, |t| t.0);
        self.end[level] = (iova & !(span(level + 1) - 1)) + span(level + 1);
    }

    fn is_fresh(&self, level: usize) -> bool {
        self.fresh >> level & 1 != 0
    }

    fn set_fresh(&mut self, level: usize, fresh: bool) {
        self.fresh = self.fresh & !(1 << level) | u8::from(fresh) << level;
    }

    /// First address of the open table of a level.
    fn start(&self, level: usize) -> u64 {
        self.end[level] - span(level + 1)
    }

    /// Lowest open table below the root that ends at or before the address: children close before parents.
    #[inline(never)]
    fn leaving(&self, iova: u64) -> Option<usize> {
        (0..self.top()).find(|&l| self.end[l] != 0 && iova >= self.end[l])
    }

    fn touch(&mut self, level: usize, at: PhysAddr) {
        let entry = (at.0 % PAGE_SIZE / 8) as u16;
        let dirty = &mut self.dirty[level];
        *dirty = (dirty.0.min(entry), dirty.1.max(entry + 1));
    }
}

impl<P: Platform> Hw<P> {
    /// Maps a range in which nothing is mapped. Everything that can be refused is refused before the first store.
    pub(crate) fn map(&mut self, table: Table, request: &Request) -> Result<(), Error> {
        let mut spare = self.take_spare(table, request)?;
        let result = self.fill(table, request, &mut spare);
        // Half a mapping that the caller believes absent must not stay reachable: this closes translation.
        let settled = self.settle(result);
        if settled.is_err() {
            self.take_back(table, request, &mut spare);
        }
        settled
    }

    /// ... and it must not be there when translation comes back.
    #[cold]
    #[inline(never)]
    fn take_back(&mut self, table: Table, request: &Request, spare: &mut PageList) {
        if !self.closed() {
            return;
        }
        if self.erase_range(table, request.iova, request.len).is_err() {
            return self.wedge();
        }
        self.free_list(spare);
    }

    /// Clears every leaf in a range that begins and ends where leaves do. The tables stay; the caller invalidates.
    ///
    /// For what is given up deep in a call: small on the stack rather than fast, as each walk begins at the root.
    #[cold]
    #[inline(never)]
    pub(crate) fn erase_range(&mut self, table: Table, iova: u64, len: u64) -> Result<(), Fail> {
        let (mut at, end) = (iova, iova + len);
        while at < end {
            let size = self.erase_at(table, at)?;
            at = (at & !(size - 1)) + size;
        }
        self.barrier(Barrier::MemToMem);
        Ok(())
    }

    /// Clears the entry where the walk for an address ends; answers what it covers.
    #[cold]
    #[inline(never)]
    fn erase_at(&mut self, table: Table, iova: u64) -> Result<u64, Fail> {
        let (mut page, mut level) = (table.root, cursor_top(table));
        loop {
            let at = entry(page, iova, level);
            let found = Pte::from_bits(self.load(at)?);
            if found.v() && !found.leaf() && level > 0 {
                (page, level) = (next_table(found), level - 1);
                continue;
            }
            if found.v() {
                self.clear_valid(at, 0)?;
                self.publish(at, 8)?;
            }
            return Ok(span(level));
        }
    }

    /// The tables that a mapping needs.
    #[inline(never)]
    fn take_spare(&mut self, table: Table, request: &Request) -> Result<PageList, Error> {
        let tables = self.plan(table, request)?;
        let mut spare = PageList::default();
        for _ in 0..tables {
            if let Err(error) = self.add_spare(&mut spare) {
                self.free_list(&mut spare);
                return Err(error);
            }
        }
        Ok(spare)
    }

    #[inline(never)]
    fn add_spare(&mut self, spare: &mut PageList) -> Result<(), Error> {
        let page = self.zeroed_frame()?;
        let pushed = spare.push(self, page);
        if pushed.is_err() {
            self.free_frame(page);
        }
        Ok(pushed?)
    }

    /// Whether the range is free, and how many tables it lacks.
    #[inline(never)]
    fn plan(&mut self, table: Table, request: &Request) -> Result<u64, Error> {
        let mut cursor = Cursor::new(table);
        let (mut iova, end, mut missing) = (request.iova, request.iova + request.len, 0);
        while iova < end {
            let mut level = cursor.level(iova);
            loop {
                let found = match cursor.table(level) {
                    Some(table) => Pte::from_bits(self.load(entry(table, iova, level))?),
                    None => Pte::new(),
                };
                if found.v() && (found.leaf() || level == 0) {
                    return Err(Error::AddressInUse);
                }
                if !found.v() && fits(request, iova, level) {
                    break;
                }
                level -= 1;
                missing += u64::from(!found.v());
                cursor.enter(level, found.v().then(|| next_table(found)), iova);
            }
            iova += span(level);
        }
        Ok(missing)
    }

    /// Stores the leaves. New tables are filled first and linked when they are left, so the walker never sees one that
    /// is not complete.
    #[inline(never)]
    fn fill(&mut self, table: Table, request: &Request, spare: &mut PageList) -> Result<(), Fail> {
        let mut cursor = Cursor::new(table);
        let (mut iova, end) = (request.iova, request.iova + request.len);
        while iova < end {
            while let Some(level) = cursor.leaving(iova) {
                self.close_filled(&mut cursor, level)?;
            }
            let level = self.descend(&mut cursor, request, iova, spare)?;
            iova += self.store_leaf(&mut cursor, request, iova, level)?;
        }
        while let Some(level) = cursor.leaving(u64::MAX) {
            self.close_filled(&mut cursor, level)?;
        }
        self.publish_dirty(&mut cursor, cursor_top(table))?;
        self.barrier(Barrier::MemToMem);
        Ok(())
    }

    /// Goes down to the level of the leaf for an address, through new tables where there are none; answers the level.
    #[inline(never)]
    fn descend(
        &mut self,
        cursor: &mut Cursor,
        request: &Request,
        iova: u64,
        spare: &mut PageList,
    ) -> Result<usize, Fail> {
        let mut level = cursor.level(iova);
        loop {
            let table = cursor.table(level).ok_or(Fail::Platform)?;
            // Planning has found every place of a leaf empty; a new table is empty anyway.
            let known_empty = level == 0 || cursor.is_fresh(level);
            let found = if known_empty {
                Pte::new()
            } else {
                Pte::from_bits(self.load(entry(table, iova, level))?)
            };
            if !found.v() && fits(request, iova, level) {
                return Ok(level);
            }
            level -= 1;
            let next = if found.v() {
                Some(next_table(found))
            } else {
                spare.pop(self)?
            };
            cursor.set_fresh(level, !found.v());
            cursor.enter(level, next, iova);
        }
    }

    /// Stores one leaf, or those of a NAPOT range; answers the bytes.
    #[inline(never)]
    fn store_leaf(
        &mut self,
        cursor: &mut Cursor,
        request: &Request,
        iova: u64,
        level: usize,
    ) -> Result<u64, Fail> {
        let table = cursor.table(level).ok_or(Fail::Platform)?;
        let pa = request.pa + (iova - request.iova);
        let napot = level == 0
            && self.config.napot
            && (iova | pa).is_multiple_of(NAPOT_SIZE)
            && request.iova + request.len - iova >= NAPOT_SIZE;
        let (leaf, ppn) = (leaf(request.perm), pa >> PAGE_SHIFT);
        let (value, size) = if napot {
            let ppn = ppn & !NAPOT_PPN_MASK | NAPOT_PPN_LOW;
            (leaf.with_ppn(ppn).with_n(true), NAPOT_SIZE)
        } else {
            (leaf.with_ppn(ppn), span(level))
        };
        for n in 0..size >> level_shift(level as u8) {
            let at = entry(table, iova + n * span(level), level);
            self.store(at, value.into_bits())?;
            cursor.touch(level, at);
        }
        Ok(size)
    }

    #[inline(never)]
    fn close_filled(&mut self, cursor: &mut Cursor, level: usize) -> Result<(), Fail> {
        if let (true, Some(table), Some(parent)) = (
            cursor.is_fresh(level),
            cursor.table(level),
            cursor.table(level + 1),
        ) {
            let at = entry(parent, cursor.start(level), level + 1);
            self.link(table, at, non_leaf(table))?;
        } else {
            self.publish_dirty(cursor, level)?;
        }
        cursor.set_fresh(level, false);
        (cursor.end[level], cursor.dirty[level]) = (0, CLEAN);
        Ok(())
    }

    #[inline(never)]
    fn publish_dirty(&mut self, cursor: &mut Cursor, level: usize) -> Result<(), Fail> {
        let (from, to) = core::mem::replace(&mut cursor.dirty[level], CLEAN);
        match cursor.table(level) {
            Some(table) if from < to => {
                let at = PhysAddr(table.0 + u64::from(from) * 8);
                self.publish(at, u64::from(to - from) * 8)
            }
            _ => Ok(()),
        }
    }

    /// Clears every leaf that lies in the range as a whole, and unlinks every table whose whole reach does. What was
    /// cleared is noted in `gone`; the caller invalidates. `mark`, an invalid entry, is put in its place.
    #[inline(never)]
    pub(crate) fn unmap(
        &mut self,
        table: Table,
        range: &Range<u64>,
        mark: u64,
        gone: &mut Gone,
    ) -> Result<u64, Fail> {
        let mut cursor = Cursor::new(table);
        let (mut bytes, mut iova) = (0, range.start);
        while iova < range.end {
            while let Some(level) = cursor.leaving(iova) {
                self.close_cleared(&mut cursor, level, range, mark, gone)?;
            }
            let (level, size, valid) = self.find_leaf(&mut cursor, iova)?;
            let start = iova & !(size - 1);
            if valid && start >= range.start && start + size <= range.end {
                self.erase_leaf(&mut cursor, level, start, size, mark)?;
                gone.ranges.add(start, size);
                bytes += size;
            }
            iova = start + size;
        }
        while let Some(level) = cursor.leaving(u64::MAX) {
            self.close_cleared(&mut cursor, level, range, mark, gone)?;
        }
        self.publish_dirty(&mut cursor, cursor_top(table))?;
        self.barrier(Barrier::MemToMem);
        Ok(bytes)
    }

    /// Goes down to the leaf for an address, or to where one is missing: its level, what it covers, and whether it is
    /// there.
    #[inline(never)]
    fn find_leaf(&mut self, cursor: &mut Cursor, iova: u64) -> Result<(usize, u64, bool), Fail> {
        let mut level = cursor.level(iova);
        loop {
            let table = cursor.table(level).ok_or(Fail::Platform)?;
            let found = Pte::from_bits(self.load(entry(table, iova, level))?);
            if !found.v() || found.leaf() || level == 0 {
                let napot = level == 0 && found.v() && found.n();
                let size = if napot { NAPOT_SIZE } else { span(level) };
                return Ok((level, size, found.v()));
            }
            level -= 1;
            cursor.enter(level, Some(next_table(found)), iova);
        }
    }

    #[inline(never)]
    fn erase_leaf(
        &mut self,
        cursor: &mut Cursor,
        level: usize,
        start: u64,
        size: u64,
        mark: u64,
    ) -> Result<(), Fail> {
        let table = cursor.table(level).ok_or(Fail::Platform)?;
        for n in 0..size >> level_shift(level as u8) {
            let at = entry(table, start + n * span(level), level);
            self.erase(at, mark)?;
            cursor.touch(level, at);
        }
        Ok(())
    }

    #[inline(never)]
    fn close_cleared(
        &mut self,
        cursor: &mut Cursor,
        level: usize,
        range: &Range<u64>,
        mark: u64,
        gone: &mut Gone,
    ) -> Result<(), Fail> {
        self.publish_dirty(cursor, level)?;
        let covered = cursor.start(level) >= range.start && cursor.end[level] <= range.end;
        if let (true, Some(table), Some(parent)) =
            (covered, cursor.table(level), cursor.table(level + 1))
        {
            let at = entry(parent, cursor.start(level), level + 1);
            self.erase(at, mark)?;
            cursor.touch(level + 1, at);
            gone.tables.push(self, table)?;
        }
        cursor.end[level] = 0;
        Ok(())
    }

    fn erase(&mut self, at: PhysAddr, mark: u64) -> Result<(), Fail> {
        match mark {
            0 => self.clear_valid(at, 0),
            _ => self.store_invalid(at, mark),
        }
    }

    /// Where an address leads, and what may be done there.
    #[inline(never)]
    pub(crate) fn translate(
        &mut self,
        table: Table,
        iova: u64,
    ) -> Result<Option<(PhysAddr, Perm)>, Fail> {
        let mut at = table.root;
        for level in (0..usize::from(table.mode.levels())).rev() {
            let found = Pte::from_bits(self.load(entry(at, iova, level))?);
            if !found.v() {
                break;
            }
            if found.leaf() {
                let (size, ppn) = match found.n() {
                    true => (NAPOT_SIZE, found.ppn() & !NAPOT_PPN_MASK),
                    false => (span(level), found.ppn()),
                };
                let allowed = |bit: bool, perm| if bit { perm } else { Perm::NONE };
                let perm = allowed(found.r(), Perm::READ)
                    | allowed(found.w(), Perm::WRITE)
                    | allowed(found.x(), Perm::EXEC);
                return Ok(Some((
                    PhysAddr((ppn << PAGE_SHIFT) + (iova & (size - 1))),
                    perm,
                )));
            }
            at = next_table(found);
        }
        Ok(None)
    }

    /// Gives all pages of a table back that the IOMMU cannot reach any more.
    #[inline(never)]
    pub(crate) fn free_table(&mut self, table: Table) -> Result<(), Fail> {
        let mut cursor = Cursor::new(table);
        let (mut iova, end) = (0, table.mode.aperture_end());
        while iova < end {
            self.free_left(&mut cursor, iova);
            let level = cursor.level(iova);
            let at = cursor.table(level).ok_or(Fail::Platform)?;
            let found = Pte::from_bits(self.load(entry(at, iova, level))?);
            let child = found.v() && !found.leaf();
            if child && level > 1 {
                cursor.enter(level - 1, Some(next_table(found)), iova);
                continue;
            }
            if child {
                // A table of 4 KiB leaves has no tables below it.
                self.free_frame(next_table(found));
            }
            iova += span(level);
        }
        self.free_left(&mut cursor, end);
        self.free_frame(table.root);
        Ok(())
    }

    fn free_left(&mut self, cursor: &mut Cursor, iova: u64) {
        while let Some(level) = cursor.leaving(iova) {
            if let Some(table) = cursor.table(level) {
                self.free_frame(table);
            }
            (cursor.at[level], cursor.end[level]) = (NO_TABLE, 0);
        }
    }
}

fn cursor_top(table: Table) -> usize {
    usize::from(table.mode.levels()) - 1
}

/// Whether one leaf at this level fits here.
#[inline(never)]
fn fits(request: &Request, iova: u64, level: usize) -> bool {
    let pa = request.pa + (iova - request.iova);
    let left = request.iova + request.len - iova;
    level <= LEAF_LEVEL && (iova | pa).is_multiple_of(span(level)) && left >= span(level)
}

const _: () = assert!(ENTRIES * 8 == PAGE_SIZE);
