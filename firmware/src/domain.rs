//! Paging domains: an address space that groups can be attached to.

use core::cell::Cell;
use core::fmt;

use portcullis_regmap::pte::NAPOT_ORDER;
use portcullis_regmap::{PAGE_SHIFT, PAGE_SIZE, PPN_BITS};

use crate::gather::{Gather, Gone};
use crate::hw::root_fsc;
use crate::iommu::{Inner, Iommu};
use crate::platform::Platform;
use crate::table::{Request, Table};
use crate::types::{GroupId, Iova, Mode, Perm};
use crate::{Error, PhysAddr};

/// An address space: IOVA to physical address, with permissions.
///
/// It may be mapped and unmapped at any time, attached or not. While attached it lives inside the group's guard, so all
/// methods take `&self`. Dropping it gives its tables back, except after [`Health::Wedged`](crate::Health::Wedged).
pub struct PagingDomain<'i, P: Platform, const DEVICES: usize = 16> {
    iommu: &'i Iommu<P, DEVICES>,
    table: Table,
    /// The group whose contexts lead here.
    group: Cell<Option<GroupId>>,
}

impl<P: Platform, const DEVICES: usize> fmt::Debug for PagingDomain<'_, P, DEVICES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PagingDomain")
            .field("mode", &self.table.mode)
            .finish_non_exhaustive()
    }
}

/// A deferred unmap: memory and addresses become free when [`PagingDomain::reusable`] says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the memory is not free before the flush"]
pub struct Deferred {
    /// Bytes unmapped.
    pub bytes: usize,
    /// The slot's clock after the entries were cleared.
    stamp: u64,
}

impl<'i, P: Platform, const DEVICES: usize> PagingDomain<'i, P, DEVICES> {
    pub(crate) fn new(iommu: &'i Iommu<P, DEVICES>, root: PhysAddr, mode: Mode) -> Self {
        PagingDomain {
            iommu,
            table: Table { root, mode },
            group: Cell::new(None),
        }
    }

    pub(crate) fn fsc_for(&self, iommu: &Iommu<P, DEVICES>) -> Option<u64> {
        core::ptr::eq(self.iommu, iommu).then(|| root_fsc(self.table.root, self.table.mode))
    }

    pub(crate) fn place(&self, group: Option<GroupId>) {
        self.group.set(group);
    }

    /// The group it is behind, if that still has contexts. A group whose devices all vanished has none: blocking them
    /// purged whatever led here.
    fn slot(&self) -> Option<GroupId> {
        let group = self.group.get()?;
        self.iommu.with(|i| i.state(group).map(|_| group))
    }

    /// Format of its tables.
    pub fn mode(&self) -> Mode {
        self.table.mode
    }

    /// Maps `len` bytes, by the largest pages that fit where nothing else has been. Issues no command: entries that
    /// become valid need no invalidation. All or nothing.
    ///
    /// # Errors
    /// [`Error::Invalid`]: nothing to map, not multiples of 4096, no permission, or memory of the IOMMU itself.
    /// [`Error::Overflow`]: an address wraps. [`Error::OutOfRange`]: beyond the domain, or beyond what a page table can
    /// name. [`Error::AddressInUse`]: something is mapped there; it stays. [`Error::NoMemory`]. [`Error::Io`]: the
    /// memory could not be written; translation is off.
    ///
    /// # Safety
    /// Devices of the group this domain is or will be attached to may read and write the memory as `perm` says, until
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
        if !pa.0.is_multiple_of(PAGE_SIZE) || perm == Perm::NONE {
            return Err(Error::Invalid);
        }
        let end = pa.0.checked_add(len).ok_or(Error::Overflow)?;
        if end > 1 << (PPN_BITS + PAGE_SHIFT) {
            return Err(Error::OutOfRange);
        }
        self.iommu.with(|i| {
            if i.hw.wedged() {
                return Err(Error::Io);
            }
            if i.hw.pool.overlaps(pa, len) {
                return Err(Error::Invalid);
            }
            i.hw.map(
                self.table,
                &Request {
                    iova: iova.0,
                    pa: pa.0,
                    len,
                    perm,
                },
            )
        })
    }

    /// Unmaps what lies in the range, strictly: on return no device reaches it, nothing granted before is still on the
    /// way, and addresses and memory may be used again. A page that lies in the range only in part stays; holes are
    /// skipped. Answers the number of bytes unmapped.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::Overflow`], [`Error::OutOfRange`] as for [`PagingDomain::map`]. [`Error::Io`]: the
    /// hardware failed. Unless [`Health`](crate::Health) is `Wedged`, translation is off, and no device reaches
    /// anything.
    pub fn unmap(&self, iova: Iova, len: usize) -> Result<usize, Error> {
        let len = self.check(iova, len)?;
        let mut gone = Gone::default();
        let bytes = self.clear(iova, len, &mut gone)?;
        self.invalidate(&mut gone)?;
        Ok(bytes)
    }

    /// An empty collection for [`PagingDomain::unmap_gather`].
    pub fn gather(&self) -> Gather<'_, 'i, P, DEVICES> {
        Gather::new(self)
    }

    /// As [`PagingDomain::unmap`], but the invalidation is left to [`Gather::sync`].
    ///
    /// # Errors
    /// As [`PagingDomain::unmap`]; [`Error::Invalid`] also if the collection belongs to another domain.
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
        self.clear(iova, len, &mut gather.gone)
    }

    /// As [`PagingDomain::unmap`], but issues no command: devices may reach the memory until a flush, by
    /// [`PagingDomain::flush`], by [`Iommu::poll`] after a while, or here when too many are pending.
    ///
    /// # Errors
    /// As [`PagingDomain::unmap`].
    pub fn unmap_deferred(&self, iova: Iova, len: usize) -> Result<Deferred, Error> {
        let len = self.check(iova, len)?;
        let most = self.iommu.with(|i| i.hw.config.flush_queue);
        if self.with_flush(|f| f.pending >= most) == Some(true) {
            self.flush()?;
        }
        let mut gone = Gone::default();
        let bytes = self.clear(iova, len, &mut gone)?;
        let stamp = match self.slot() {
            Some(group) if !gone.is_empty() => self.iommu.with(|i| i.defer(group, &mut gone))?,
            // Nothing was mapped there by now, but an earlier deferred unmap of the range may still be pending.
            Some(_) => self
                .with_flush(|f| if f.pending > 0 { f.started } else { 0 })
                .unwrap_or(0),
            None => {
                self.invalidate(&mut gone)?;
                0
            }
        };
        Ok(Deferred { bytes, stamp })
    }

    /// Ends all deferred unmaps so far with one purge of the address space. Nothing to do if there are none.
    ///
    /// # Errors
    /// [`Error::Io`]: the hardware does not answer; devices may still reach the memory.
    pub fn flush(&self) -> Result<(), Error> {
        match self.slot() {
            Some(group) => self.iommu.with(|i| i.flush(group)),
            None => Ok(()),
        }
    }

    /// Whether the addresses and the memory of a deferred unmap of this domain may be used again.
    pub fn reusable(&self, deferred: &Deferred) -> bool {
        let (closed, wedged) = self.iommu.with(|i| (i.hw.closed(), i.hw.wedged()));
        !wedged && (closed || self.with_flush(|f| f.done > deferred.stamp).unwrap_or(true))
    }

    /// Where an address leads, and what may be done there; `None` if nowhere.
    pub fn translate(&self, iova: Iova) -> Option<(PhysAddr, Perm)> {
        if iova.0 >= self.table.mode.aperture_end() {
            return None;
        }
        self.iommu
            .with(|i| i.hw.translate(self.table, iova.0))
            .ok()
            .flatten()
    }

    /// The length, if the range is one that this domain can map.
    fn check(&self, iova: Iova, len: usize) -> Result<u64, Error> {
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

    fn clear(&self, iova: Iova, len: u64, gone: &mut Gone) -> Result<usize, Error> {
        self.iommu.with(|i| {
            if i.hw.wedged() {
                return Err(Error::Io);
            }
            match i.hw.unmap(self.table, iova.0, len, gone) {
                Ok(bytes) => Ok(bytes as usize),
                Err(fail) => {
                    i.hw.settle(Err(fail))?;
                    Err(Error::Io)
                }
            }
        })
    }

    /// Purges what is gone and frees its tables; at once if no hardware leads here.
    pub(crate) fn invalidate(&self, gone: &mut Gone) -> Result<(), Error> {
        if gone.is_empty() {
            return Ok(());
        }
        let group = self.slot();
        self.iommu.with(|i| {
            if let (Some(group), Ok(())) = (group, i.hw.usable()) {
                let result = i.hw.invalidate(gone, Inner::<P, DEVICES>::pscid(group));
                // A failure that ends in Off purges even better.
                let _ = i.hw.settle(result);
            }
            if i.hw.wedged() {
                // The tables leak: the walker may still read them.
                return Err(Error::Io);
            }
            i.hw.free_list(&mut gone.tables);
            Ok(())
        })
    }

    fn with_flush<R>(&self, f: impl FnOnce(&crate::group::Flush) -> R) -> Option<R> {
        let group = self.slot()?;
        self.iommu.with(|i| i.state(group).map(|s| f(&s.flush)))
    }
}

impl<P: Platform, const DEVICES: usize> Inner<P, DEVICES> {
    /// Notes a deferred unmap; answers its stamp.
    fn defer(&mut self, group: GroupId, gone: &mut Gone) -> Result<u64, Error> {
        let now = self.hw.p.now_us();
        let Inner { hw, groups, .. } = self;
        let state = groups
            .get_mut(usize::from(group.slot))
            .and_then(Option::as_mut)
            .ok_or(Error::NoDevice)?;
        if hw.closed() {
            hw.free_list(&mut gone.tables);
            return Ok(0);
        }
        if state.flush.pending == 0 {
            state.flush.oldest_us = now;
        }
        state.flush.pending += 1;
        let result = state.flush.tables.append(hw, &mut gone.tables);
        let stamp = state.flush.started;
        hw.settle(result)?;
        Ok(stamp)
    }
}

impl<P: Platform, const DEVICES: usize> Drop for PagingDomain<'_, P, DEVICES> {
    fn drop(&mut self) {
        // By now nothing leads here: the guard releases the group before it drops the domain. A table that cannot be
        // read to the end leaks in part.
        self.iommu.with(|i| {
            if !i.hw.wedged() {
                let _ = i.hw.free_table(self.table);
            }
        });
    }
}

const _: () = assert!(NAPOT_ORDER == 4);
