//! What an unmap has taken out and the hardware may still have cached.

use portcullis_regmap::PAGE_SHIFT;
use portcullis_regmap::PAGE_SIZE;
use portcullis_regmap::command::Command;

use crate::Error;
use crate::hw::{Fail, Hw};
use crate::platform::Platform;
use crate::pool::PageList;
use crate::space::AddressSpace;
use crate::types::Iova;

/// Ranges kept apart; more than that are invalidated as the whole address space.
const RANGES: usize = 8;
/// IOTINVAL commands per call; beyond that the whole address space is cheaper.
const COMMANDS: usize = 64;

/// Ranges of cleared leaves.
#[derive(Default)]
pub(crate) struct Ranges {
    items: [(u64, u64); RANGES],
    used: usize,
    /// There were more than fit.
    overflow: bool,
}

impl Ranges {
    pub(crate) fn add(&mut self, start: u64, bytes: u64) {
        if let Some(last) = self.items[..self.used]
            .last_mut()
            .filter(|last| last.0 + last.1 == start)
        {
            last.1 += bytes;
        } else if let Some(item) = self.items.get_mut(self.used) {
            *item = (start, bytes);
            self.used += 1;
        } else {
            self.overflow = true;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Start and log2 of the length of each command's reach: a page, or a naturally aligned block if the hardware takes
    /// ranges.
    fn reaches(&self, blocks: bool) -> impl Iterator<Item = (u64, u32)> + '_ {
        let (mut at, mut end, mut next) = (0, 0, self.items[..self.used].iter());
        core::iter::from_fn(move || {
            if at >= end {
                let &(start, bytes) = next.next()?;
                (at, end) = (start, start + bytes);
            }
            let widest = (end - at).ilog2().min(at.trailing_zeros());
            let shift = if blocks { widest } else { PAGE_SHIFT };
            let reach = (at, shift);
            at += 1 << shift;
            Some(reach)
        })
    }
}

/// Cleared leaves and unlinked tables, to be invalidated before anything of it is used again.
#[derive(Default)]
pub(crate) struct Gone {
    pub(crate) ranges: Ranges,
    pub(crate) tables: PageList,
}

impl Gone {
    /// Nothing was cleared and nothing unlinked. Unlinking a table without leaves counts: the walker may hold it.
    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty() && self.tables.is_empty()
    }
}

impl<P: Platform> Hw<P> {
    /// Whether commands for the ranges purge all that is gone, and are not too many.
    #[inline(never)]
    pub(crate) fn by_address(&self, gone: &Gone) -> bool {
        // Invalidation by address need not reach cached non-leaf entries (INV-20), and these lead to the tables.
        gone.tables.is_empty()
            && !gone.ranges.overflow
            && gone.ranges.reaches(self.caps.s()).nth(COMMANDS).is_none()
    }

    /// Commands that purge what is gone from the caches of one slot.
    #[inline(never)]
    pub(crate) fn push_gone(
        &mut self,
        gone: &Gone,
        pscid: u32,
        by_address: bool,
    ) -> Result<(), Fail> {
        if !by_address {
            return self.push(Command::iotinval_vma_pscid(pscid));
        }
        for (at, shift) in gone.ranges.reaches(self.caps.s()) {
            self.push(match shift {
                PAGE_SHIFT => Command::iotinval_vma_page(pscid, at),
                _ => Command::iotinval_vma_range(pscid, at, shift),
            })?;
        }
        Ok(())
    }
}

/// A [`Gather`] that does not borrow its domain meanwhile, for callers that keep both in tables, like the interface for C.
///
/// Dropping it invalidates nothing: the memory must not be used again before the domain has been detached, and tables that
/// the unmaps took out are given back when the IOMMU stops.
#[must_use = "dropping it leaves the unmaps without their invalidation"]
pub struct Suspended {
    gone: Gone,
    fsc: u64,
}

impl<'i, P: Platform, const DEVICES: usize> AddressSpace<'i, P, DEVICES> {
    /// Goes on with a collection of unmaps of this domain, and leaves an empty one.
    ///
    /// # Errors
    /// [`Error::Invalid`]: it belongs to another domain, and stays as it is.
    pub fn resume(&self, suspended: &mut Suspended) -> Result<Gather<'_, 'i, P, DEVICES>, Error> {
        if suspended.fsc != self.table.fsc() {
            return Err(Error::Invalid);
        }
        let mut gather = self.gather();
        gather.gone = core::mem::take(&mut suspended.gone);
        Ok(gather)
    }

    /// As [`AddressSpace::unmap_gather`], into a collection where it lies.
    ///
    /// # Errors
    /// As there.
    pub fn unmap_suspended(
        &self,
        iova: Iova,
        len: usize,
        suspended: &mut Suspended,
    ) -> Result<usize, Error> {
        let len = self.check(iova, len)?;
        if suspended.fsc != self.table.fsc() {
            return Err(Error::Invalid);
        }
        let gone = &mut suspended.gone;
        self.iommu
            .with(|i| i.clear(self.table, iova.0, len, 0, gone))
            .map(|bytes| bytes as usize)
    }
}

/// Unmapped ranges of one domain, invalidated together by [`Gather::sync`] or when dropped.
///
/// Until then devices may still reach the memory, and neither it nor the addresses may be used for anything else.
#[must_use = "dropping it waits for the hardware"]
pub struct Gather<'d, 'i, P: Platform, const DEVICES: usize> {
    domain: &'d AddressSpace<'i, P, DEVICES>,
    pub(crate) gone: Gone,
}

impl<'d, 'i, P: Platform, const DEVICES: usize> Gather<'d, 'i, P, DEVICES> {
    pub(crate) fn new(domain: &'d AddressSpace<'i, P, DEVICES>) -> Self {
        Gather {
            domain,
            gone: Gone::default(),
        }
    }

    /// Whether it was made for this domain.
    pub(crate) fn is_of(&self, domain: &AddressSpace<'i, P, DEVICES>) -> bool {
        core::ptr::eq(self.domain, domain)
    }

    /// Invalidates what was gathered. On return no device reaches it, and nothing granted before is still on the way.
    ///
    /// # Errors
    /// [`Error::Io`]: the hardware does not answer; devices may still reach the memory.
    pub fn sync(mut self) -> Result<(), Error> {
        self.finish()
    }

    /// Ends the borrow of the domain, but not the collection: [`AddressSpace::resume`] goes on with it.
    pub fn suspend(mut self) -> Suspended {
        Suspended {
            gone: core::mem::take(&mut self.gone),
            fsc: self.domain.table.fsc(),
        }
    }

    fn finish(&mut self) -> Result<(), Error> {
        let mut gone = core::mem::take(&mut self.gone);
        self.domain
            .iommu
            .with(|i| i.invalidate(self.domain.table, &mut gone))
    }
}

impl<P: Platform, const DEVICES: usize> Drop for Gather<'_, '_, P, DEVICES> {
    fn drop(&mut self) {
        // A failure shows in the health of the IOMMU.
        let _ = self.finish();
    }
}

const _: () = assert!(PAGE_SIZE == 1 << PAGE_SHIFT);
