//! Address spaces: what paging domains, shared domains and default domains have in common.

use portcullis_regmap::{PAGE_SHIFT, PAGE_SIZE, PPN_BITS};

use crate::gather::{Gather, Gone};
use crate::hw::Fail;
use crate::iommu::{Inner, Iommu};
use crate::platform::Platform;
use crate::table::{Request, Table};
use crate::types::{DeviceRegion, GroupId, Iova, Mode, Perm, RegionKind};
use crate::{Error, PhysAddr};

/// What a [`PagingDomain`](crate::PagingDomain) or a [`SharedDomain`](crate::SharedDomain) holds: IOVA to physical
/// address, with permissions.
///
/// It may be mapped and unmapped at any time, attached or not. While attached it lives inside a guard, so all methods
/// take `&self`.
pub struct AddressSpace<'i, P: Platform, const DEVICES: usize = 16> {
    pub(crate) iommu: &'i Iommu<P, DEVICES>,
    pub(crate) table: Table,
}

/// A deferred unmap: memory and addresses become free when [`AddressSpace::reusable`] says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the memory is not free before the flush"]
pub struct Deferred {
    /// Bytes unmapped.
    pub bytes: usize,
    /// The driver's clock after the entries were cleared.
    stamp: u64,
}

impl<'i, P: Platform, const DEVICES: usize> AddressSpace<'i, P, DEVICES> {
    pub(crate) fn fsc_for(&self, iommu: &Iommu<P, DEVICES>) -> Result<u64, Error> {
        if core::ptr::eq(self.iommu, iommu) {
            Ok(self.table.fsc())
        } else {
            Err(Error::Invalid)
        }
    }

    /// Format of its tables.
    pub fn mode(&self) -> Mode {
        self.table.mode
    }

    /// Maps `len` bytes, by the largest pages that fit where nothing else has been. Issues no command: entries that
    /// become valid need no invalidation. All or nothing.
    ///
    /// # Errors
    /// [`Error::Invalid`]: nothing to map, not multiples of 4096, no permission, memory of the IOMMU itself, or a
    /// [`DeviceRegion`](crate::DeviceRegion) of a device that is attached. [`Error::Overflow`]: an address wraps.
    /// [`Error::OutOfRange`]: beyond the domain, or beyond what a page table can name. [`Error::AddressInUse`]:
    /// something is mapped there; it stays. [`Error::NoMemory`]. [`Error::Io`]: the memory could not be written;
    /// translation is off, or, with [`Health::Wedged`](crate::Health::Wedged), part of it may be mapped all the same.
    ///
    /// # Safety
    /// Devices of the groups this domain is or will be attached to may read and write the memory as `perm` says, until
    /// an unmap of it has returned, for a deferred or gathered one until it is flushed or synced. Until then the memory
    /// must not be used in a way that such accesses would break.
    pub unsafe fn map(
        &self,
        iova: Iova,
        pa: PhysAddr,
        len: usize,
        perm: Perm,
    ) -> Result<(), Error> {
        let len = self.check(iova, len)?;
        let request = Request {
            iova: iova.0,
            pa: pa.0,
            len,
            perm,
        };
        self.iommu.with(|i| i.map(self.table, &request))
    }

    /// Unmaps what lies in the range, strictly: on return no device reaches it, nothing granted before is still on the
    /// way, and addresses and memory may be used again. A page that lies in the range only in part stays; holes are
    /// skipped. Answers the number of bytes unmapped.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::Overflow`], [`Error::OutOfRange`] as for [`AddressSpace::map`]. [`Error::Io`]: the
    /// hardware failed. Unless [`Health`](crate::Health) is `Wedged`, translation is off, and no device reaches
    /// anything.
    pub fn unmap(&self, iova: Iova, len: usize) -> Result<usize, Error> {
        let len = self.check(iova, len)?;
        let mut gone = Gone::default();
        self.iommu.with(|i| {
            let bytes = i.clear(self.table, iova.0, len, 0, &mut gone)?;
            i.invalidate(self.table, &mut gone)?;
            Ok(bytes as usize)
        })
    }

    /// An empty collection for [`AddressSpace::unmap_gather`].
    pub fn gather(&self) -> Gather<'_, 'i, P, DEVICES> {
        Gather::new(self)
    }

    /// As [`AddressSpace::unmap`], but the invalidation is left to [`Gather::sync`].
    ///
    /// # Errors
    /// As [`AddressSpace::unmap`]; [`Error::Invalid`] also if the collection belongs to another domain.
    pub fn unmap_gather(
        &self,
        iova: Iova,
        len: usize,
        gather: &mut Gather<'_, 'i, P, DEVICES>,
    ) -> Result<usize, Error> {
        let len = self.check(iova, len)?;
        if !gather.is_of(self) {
            return Err(Error::Invalid);
        }
        self.iommu
            .with(|i| i.clear(self.table, iova.0, len, 0, &mut gather.gone))
            .map(|bytes| bytes as usize)
    }

    /// As [`AddressSpace::unmap`], but issues no command: devices may reach the memory until a flush, by
    /// [`AddressSpace::flush`], by [`Iommu::poll`] after a while, or here when too many are pending. Strict where the
    /// domain is attached for a process id, and where tables of a domain that several groups share go.
    ///
    /// # Errors
    /// As [`AddressSpace::unmap`].
    pub fn unmap_deferred(&self, iova: Iova, len: usize) -> Result<Deferred, Error> {
        let len = self.check(iova, len)?;
        self.iommu.with(|i| {
            i.flush_if_full(self.table)?;
            let mut gone = Gone::default();
            let bytes = i.clear(self.table, iova.0, len, 0, &mut gone)? as usize;
            let stamp = i.defer(self.table, &mut gone)?;
            Ok(Deferred { bytes, stamp })
        })
    }

    /// Ends all deferred unmaps so far with one purge per group it is attached to. Nothing to do if there are none.
    ///
    /// # Errors
    /// [`Error::Io`]: the hardware does not answer; devices may still reach the memory.
    pub fn flush(&self) -> Result<(), Error> {
        self.iommu.with(|i| i.flush_space(self.table))
    }

    /// Whether the addresses and the memory of a deferred unmap of this domain may be used again.
    pub fn reusable(&self, deferred: &Deferred) -> bool {
        self.iommu.with(|i| i.reusable(self.table, deferred.stamp))
    }

    /// Where an address leads, and what may be done there; `None` if nowhere, or if the memory cannot be read.
    pub fn translate(&self, iova: Iova) -> Option<(PhysAddr, Perm)> {
        if iova.0 >= self.table.mode.aperture_end() {
            return None;
        }
        self.iommu.with(|i| match i.hw.wedged() {
            true => None,
            false => i.hw.translate(self.table, iova.0).ok().flatten(),
        })
    }

    /// The length, if the range is one that this domain can map.
    pub(crate) fn check(&self, iova: Iova, len: usize) -> Result<u64, Error> {
        let len = u64::try_from(len).map_err(|_| Error::Overflow)?;
        if len == 0 || !(iova.0 | len).is_multiple_of(PAGE_SIZE) {
            return Err(Error::Invalid);
        }
        let end = iova.0.checked_add(len).ok_or(Error::Overflow)?;
        if end > self.table.mode.aperture_end() {
            Err(Error::OutOfRange)
        } else {
            Ok(len)
        }
    }
}

impl<P: Platform, const DEVICES: usize> Inner<P, DEVICES> {
    /// Groups whose own traffic goes to a table.
    fn groups_at(&self, fsc: u64) -> impl Iterator<Item = GroupId> + '_ {
        let groups = (0u16..).zip(&self.groups);
        groups.filter_map(move |(slot, state)| {
            let state = state.as_ref().filter(|s| s.fsc() == Some(fsc))?;
            Some(state.id(slot))
        })
    }

    /// Maps a range that is checked to lie in the aperture.
    #[inline(never)]
    pub(crate) fn map(&mut self, table: Table, request: &Request) -> Result<(), Error> {
        self.check_map(table, request)?;
        self.hw.map(table, request)?;
        // A failure that ends in Off is told by it; where even that fails, nothing more can be done.
        self.notify(table, request)
    }

    #[inline(never)]
    pub(crate) fn check_map(&self, table: Table, request: &Request) -> Result<(), Error> {
        let pa = PhysAddr(request.pa);
        if !pa.0.is_multiple_of(PAGE_SIZE) || request.perm == Perm::NONE {
            return Err(Error::Invalid);
        }
        let end = pa.0.checked_add(request.len).ok_or(Error::Overflow)?;
        if end > 1 << (PPN_BITS + PAGE_SHIFT) {
            return Err(Error::OutOfRange);
        }
        if self.hw.wedged() {
            return Err(Error::Io);
        }
        if self.hw.pool.overlaps(pa, request.len) || self.forbidden(table, request) {
            return Err(Error::Invalid);
        }
        Ok(())
    }

    /// Lets the host of an emulated IOMMU know of a mapping.
    pub(crate) fn notify(&mut self, table: Table, request: &Request) -> Result<(), Error> {
        if self.hw.config.notify_on_map {
            self.invalidate_made(table, request)
        } else {
            Ok(())
        }
    }

    #[inline(never)]
    fn invalidate_made(&mut self, table: Table, request: &Request) -> Result<(), Error> {
        let mut made = Gone::default();
        made.ranges.add(request.iova, request.len);
        self.invalidate(table, &mut made)
    }

    /// Whether a device that can reach the table by now must not see such a mapping.
    #[inline(never)]
    fn forbidden(&self, table: Table, request: &Request) -> bool {
        let fsc = table.fsc();
        self.devices
            .iter()
            .flatten()
            .any(|d| forbids(d.regions, request) && self.reaches(d.group, fsc))
    }

    /// Whether a group leads to a table, or one of its processes does.
    #[inline(never)]
    fn reaches(&self, id: GroupId, fsc: u64) -> bool {
        self.state(id).is_some_and(|s| s.fsc() == Some(fsc))
            || self.process_groups(fsc).any(|group| group == id)
    }

    /// Clears leaves, putting `mark` in their places; answers the bytes.
    #[inline(never)]
    pub(crate) fn clear(
        &mut self,
        table: Table,
        iova: u64,
        len: u64,
        mark: u64,
        gone: &mut Gone,
    ) -> Result<u64, Error> {
        if self.hw.wedged() {
            return Err(Error::Io);
        }
        match self.hw.unmap(table, &(iova..iova + len), mark, gone) {
            Ok(bytes) => Ok(bytes),
            Err(fail) => {
                self.hw.settle(Err(fail))?;
                Err(Error::Io)
            }
        }
    }

    /// Purges what is gone from every slot that leads to the table, and frees its tables; at once if none does.
    #[inline(never)]
    pub(crate) fn invalidate(&mut self, table: Table, gone: &mut Gone) -> Result<(), Error> {
        if gone.is_empty() {
            return if self.hw.wedged() {
                Err(Error::Io)
            } else {
                Ok(())
            };
        }
        let fsc = table.fsc();
        if self.hw.usable().is_ok() && self.leads_to(fsc) {
            let result = self.purge_gone(fsc, gone);
            // A failure that ends in Off purges even better.
            let _ = self.hw.settle(result);
        }
        if self.hw.wedged() {
            // The tables leak: the walker may still read them.
            return Err(Error::Io);
        }
        self.hw.free_list(&mut gone.tables);
        Ok(())
    }

    /// Purges what is gone from the caches of every slot that leads there, and waits until what was granted before has
    /// landed.
    fn purge_gone(&mut self, fsc: u64, gone: &Gone) -> Result<(), Fail> {
        let by_address = self.hw.by_address(gone);
        for slot in 0..DEVICES {
            let group = self.groups[slot].as_ref();
            if group.is_some_and(|g| g.fsc() == Some(fsc)) {
                let pscid = Self::slot_pscid(slot as u16);
                self.hw.push_gone(gone, pscid, by_address)?;
            }
            if self.processes[slot].is_some_and(|p| p.fsc == fsc) {
                let pscid = Self::process_pscid(slot);
                self.hw.push_gone(gone, pscid, by_address)?;
            }
        }
        self.hw.finish()
    }

    fn leads_to(&self, fsc: u64) -> bool {
        self.groups_at(fsc).next().is_some() || self.process_groups(fsc).next().is_some()
    }

    /// Makes room for one more deferred unmap.
    #[inline(never)]
    pub(crate) fn flush_if_full(&mut self, table: Table) -> Result<(), Error> {
        let most = self.hw.config.flush_queue;
        let full = |id| self.state(id).is_some_and(|s| s.flush.pending >= most);
        if self.groups_at(table.fsc()).any(full) {
            self.flush_space(table)?;
        }
        Ok(())
    }

    /// Ends all deferred unmaps of a table.
    #[inline(never)]
    pub(crate) fn flush_space(&mut self, table: Table) -> Result<(), Error> {
        if self.hw.wedged() {
            return Err(Error::Io);
        }
        for slot in 0..DEVICES {
            let state = self.groups[slot].as_ref();
            let state = state.filter(|s| s.fsc() == Some(table.fsc()));
            if let Some(id) = state.map(|s| s.id(slot as u16)) {
                self.flush(id)?;
            }
        }
        Ok(())
    }

    /// Notes a deferred unmap, or does it strictly where deferring is not worth its bookkeeping; answers its stamp.
    /// A stamp is the clock of the last purge that began before: only a purge of the slot that begins later has covered
    /// what was cleared.
    #[inline(never)]
    pub(crate) fn defer(&mut self, table: Table, gone: &mut Gone) -> Result<u64, Error> {
        let fsc = table.fsc();
        let mut at = self.groups_at(fsc);
        let (first, several) = (at.next(), at.next().is_some());
        drop(at);
        let processes = self.process_groups(fsc).next().is_some();
        let simple = !processes && (!several || gone.tables.is_empty());
        let Some(first) = first.filter(|_| simple && !self.hw.closed()) else {
            self.invalidate(table, gone)?;
            return Ok(0);
        };
        let clock = self.flush_clock;
        if gone.is_empty() {
            // Nothing was mapped there by now, but an earlier deferred unmap of the range may still be pending.
            let pending = |id| self.state(id).is_some_and(|s| s.flush.pending > 0);
            return Ok(if self.groups_at(fsc).any(pending) {
                clock
            } else {
                0
            });
        }
        let now = self.hw.p.now_us();
        for state in self.groups.iter_mut().flatten() {
            if state.fsc() != Some(fsc) {
                continue;
            }
            if state.flush.pending == 0 {
                state.flush.oldest_us = now;
            }
            state.flush.pending += 1;
        }
        let Inner { hw, groups, .. } = self;
        if let Some(state) = groups
            .get_mut(usize::from(first.slot))
            .and_then(Option::as_mut)
        {
            let result = state.flush.tables.append(hw, &mut gone.tables);
            hw.settle(result)?;
        }
        Ok(clock)
    }

    /// The reuse rule of deferred unmaps: every slot that leads to the table was purged by a purge that began later.
    pub(crate) fn reusable(&self, table: Table, stamp: u64) -> bool {
        let covered = |id| self.state(id).is_none_or(|s| s.flush.done > stamp);
        !self.hw.wedged() && (self.hw.closed() || self.groups_at(table.fsc()).all(covered))
    }
}

/// Whether a device with such regions must not see such a mapping.
#[inline(never)]
fn forbids(regions: &[DeviceRegion], request: &Request) -> bool {
    let (start, end) = (request.iova, request.iova + request.len);
    let mut met = regions.iter().filter(|r| r.overlaps(start, end));
    met.any(|r| match r.kind {
        RegionKind::Reserved => true,
        RegionKind::Direct(_) => request.iova != request.pa,
        RegionKind::DirectRelaxable(_) => false,
    })
}
