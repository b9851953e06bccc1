//! The device directory: from a device id to the place of its context.

use portcullis_regmap::PAGE_SHIFT;
use portcullis_regmap::PAGE_SIZE;
use portcullis_regmap::ddt::{Format, NonLeaf, Ta, Tc, dc};
use portcullis_regmap::regs::Ddtp;

use crate::hw::{Fail, Hw};
use crate::platform::{Barrier, Platform};
use crate::{Error, PhysAddr};

/// Pages of a directory that are complete, but not linked.
#[derive(Clone, Copy)]
pub(crate) struct Unlinked {
    /// The entry that shall lead to the upper one.
    at: PhysAddr,
    page: PhysAddr,
    /// The lower one: the same if only that is missing.
    leaf: PhysAddr,
}

fn link_to(page: PhysAddr) -> u64 {
    let entry = NonLeaf::new().with_v(true);
    entry.with_ppn(page.0 >> PAGE_SHIFT).into_bits()
}

impl<P: Platform> Hw<P> {
    fn format(&self) -> Format {
        Format::of(self.caps.msi_flat())
    }

    /// Device-id bits that the directory in use covers.
    pub(crate) fn device_id_bits(&self) -> u32 {
        self.format().device_id_bits(self.levels)
    }

    /// Where a device's context is or will be. Directory pages that it lacks are complete, but not linked yet, so that
    /// the device can still be refused without a trace: [`Hw::link_place`] must follow.
    #[inline(never)]
    pub(crate) fn place(&mut self, device_id: u32) -> Result<PhysAddr, Error> {
        let format = self.format();
        let at = |table: PhysAddr, level| {
            PhysAddr(table.0 + u64::from(format.ddi(device_id, level)) * 8)
        };
        let mut table = PhysAddr(Ddtp::from_bits(self.ddtp).ppn() << PAGE_SHIFT);
        for level in (1..self.levels).rev() {
            let entry = at(table, level);
            let found = NonLeaf::from_bits(self.load(entry)?);
            if !found.v() {
                let leaf = self.context_page()?;
                let page = match level {
                    1 => leaf,
                    _ => self.page_above(leaf, format.ddi(device_id, 1).into())?,
                };
                let at = entry;
                self.unlinked = Some(Unlinked { at, page, leaf });
                table = leaf;
                break;
            }
            table = PhysAddr(found.ppn() << PAGE_SHIFT);
        }
        Ok(PhysAddr(
            table.0 + u64::from(format.ddi(device_id, 0)) * format.dc_bytes(),
        ))
    }

    /// A page of idle contexts, linked nowhere.
    fn context_page(&mut self) -> Result<PhysAddr, Error> {
        let page = self.zeroed_frame()?;
        let filled = self.fill_contexts(page, self.format().dc_bytes());
        if filled.and_then(|()| self.publish(page, PAGE_SIZE)).is_err() {
            self.free_frame(page);
            return Err(Error::Io);
        }
        Ok(page)
    }

    /// A page with one entry, which leads to `leaf`; linked nowhere. If there is none, `leaf` goes too.
    fn page_above(&mut self, leaf: PhysAddr, index: u32) -> Result<PhysAddr, Error> {
        let made = self.zeroed_frame().and_then(|page| {
            let stored = self.store(PhysAddr(page.0 + u64::from(index) * 8), link_to(leaf));
            stored.map(|()| page).map_err(|_| {
                self.free_frame(page);
                Error::Io
            })
        });
        if made.is_err() {
            self.free_frame(leaf);
        }
        made
    }

    /// Links what the last place lacked, which moves no other context, if everything else is `ready`; V goes from 0 to 1,
    /// so nothing needs to be invalidated (SW-18). If not, these pages go.
    #[inline(never)]
    pub(crate) fn link_place(&mut self, ready: Result<(), Error>) -> Result<(), Error> {
        let Some(Unlinked { at, page, leaf }) = self.unlinked.take() else {
            return ready;
        };
        if ready.is_err() {
            self.free_frame(leaf);
            if page != leaf {
                self.free_frame(page);
            }
            return ready;
        }
        let result = self.link(page, at, link_to(page));
        // The store may have happened although it failed: then the pages must stay what they are.
        self.settle(result)
    }

    /// Makes a finished page reachable through the entry at `at`: its content is visible before the entry is.
    #[inline(never)]
    pub(crate) fn link(&mut self, page: PhysAddr, at: PhysAddr, entry: u64) -> Result<(), Fail> {
        self.publish(page, PAGE_SIZE)?;
        self.barrier(Barrier::MemToMem);
        self.store(at, entry)?;
        self.publish(at, 8)
    }

    /// Takes V from every device context there is, while translation is off.
    pub(crate) fn clear_contexts(&mut self) -> Result<(), Fail> {
        let root = PhysAddr(Ddtp::from_bits(self.ddtp).ppn() << PAGE_SHIFT);
        self.clear_directory(root, self.levels, self.format().dc_bytes())
    }

    /// Takes V from everything in the leaves of a directory. V of a context, of a process context and of a link is bit 0
    /// of the first doubleword.
    #[cold]
    #[inline(never)]
    pub(crate) fn clear_directory(
        &mut self,
        root: PhysAddr,
        levels: u8,
        leaf_bytes: u64,
    ) -> Result<(), Fail> {
        // Table and next entry of each level on the way down.
        let mut path = [(root, 0); 3];
        let mut depth = 0u8;
        loop {
            let level = levels - 1 - depth;
            let bytes = if level == 0 { leaf_bytes } else { 8 };
            let (table, next) = path[usize::from(depth)];
            if next == PAGE_SIZE {
                let Some(up) = depth.checked_sub(1) else {
                    return Ok(());
                };
                depth = up;
                continue;
            }
            path[usize::from(depth)].1 += bytes;
            let at = PhysAddr(table.0 + next);
            let entry = NonLeaf::from_bits(self.load(at)?);
            if !entry.v() {
                continue;
            }
            if level > 0 {
                depth += 1;
                path[usize::from(depth)] = (PhysAddr(entry.ppn() << PAGE_SHIFT), 0);
            } else {
                self.clear_valid(at, 0)?;
                self.publish(at, leaf_bytes)?;
            }
        }
    }

    /// A context while translation is off: idle, or valid with these words.
    pub(crate) fn rewrite_context(
        &mut self,
        context: PhysAddr,
        pscid: u32,
        idle: u64,
        wanted: Option<(Tc, u64)>,
    ) -> Result<(), Fail> {
        self.idle_context(context, pscid, idle)?;
        if let Some((tc, fsc)) = wanted {
            self.store(PhysAddr(context.0 + dc::FSC), fsc)?;
            self.store(PhysAddr(context.0 + dc::TC), tc.into_bits())?;
            self.publish(context, self.format().dc_bytes())?;
        }
        Ok(())
    }

    /// An idle context: V=0, the slot's PSCID, and as `fsc` the empty root or a process directory, because a zeroed one
    /// read together with a later V=1 would be identity.
    #[inline(never)]
    pub(crate) fn idle_context(
        &mut self,
        context: PhysAddr,
        pscid: u32,
        fsc: u64,
    ) -> Result<(), Fail> {
        self.clear_valid(PhysAddr(context.0 + dc::TC), 0)?;
        self.store(PhysAddr(context.0 + dc::IOHGATP), 0)?;
        self.store(
            PhysAddr(context.0 + dc::TA),
            Ta::new().with_pscid(pscid).into_bits(),
        )?;
        self.store(PhysAddr(context.0 + dc::FSC), fsc)?;
        self.publish(context, self.format().dc_bytes())?;
        self.barrier(Barrier::MemToMem);
        Ok(())
    }
}
