//! Paging domains: an address space that groups can be attached to.

use core::fmt;
use core::ops::Deref;

use crate::Error;
use crate::iommu::{Inner, Iommu};
use crate::platform::Platform;
use crate::space::AddressSpace;
use crate::table::Table;

/// An address space that is attached at one place at most: attaching moves it.
///
/// Everything that maps and unmaps is in [`AddressSpace`]. Dropping it gives its tables back, except after
/// [`Health::Wedged`](crate::Health::Wedged).
pub struct PagingDomain<'i, P: Platform, const DEVICES: usize = 16> {
    space: AddressSpace<'i, P, DEVICES>,
}

impl<P: Platform, const DEVICES: usize> fmt::Debug for PagingDomain<'_, P, DEVICES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PagingDomain")
            .field("mode", &self.mode())
            .finish_non_exhaustive()
    }
}

impl<'i, P: Platform, const DEVICES: usize> Deref for PagingDomain<'i, P, DEVICES> {
    type Target = AddressSpace<'i, P, DEVICES>;

    fn deref(&self) -> &Self::Target {
        &self.space
    }
}

impl<'i, P: Platform, const DEVICES: usize> PagingDomain<'i, P, DEVICES> {
    pub(crate) fn new(iommu: &'i Iommu<P, DEVICES>, table: Table) -> Self {
        PagingDomain {
            space: AddressSpace { iommu, table },
        }
    }

    /// Makes it one that can be attached in several places at once. Each place costs an invalidation per unmap.
    ///
    /// # Errors
    /// [`Error::NoSpace`]: as many domains as this IOMMU has room for devices are shared already; the domain comes back.
    pub fn into_shared(self) -> Result<SharedDomain<'i, P, DEVICES>, (Self, Error)> {
        let AddressSpace { iommu, table } = self.space;
        match iommu.with(|i| i.share()) {
            Some(slot) => {
                // The tables are the share's from now on.
                core::mem::forget(self);
                let space = AddressSpace { iommu, table };
                Ok(SharedDomain { space, slot })
            }
            None => Err((self, Error::NoSpace)),
        }
    }
}

impl<P: Platform, const DEVICES: usize> Drop for PagingDomain<'_, P, DEVICES> {
    fn drop(&mut self) {
        // By now nothing leads here: a guard lets the hardware go of the domain before it drops it.
        self.space
            .iommu
            .with(|i| i.free_unreachable(self.space.table));
    }
}

/// An address space that several groups may be attached to: each attach moves a clone in. The tables go with the last
/// clone, so forgetting a guard leaks them and frees nothing.
pub struct SharedDomain<'i, P: Platform, const DEVICES: usize = 16> {
    space: AddressSpace<'i, P, DEVICES>,
    slot: usize,
}

impl<P: Platform, const DEVICES: usize> fmt::Debug for SharedDomain<'_, P, DEVICES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedDomain")
            .field("mode", &self.mode())
            .finish_non_exhaustive()
    }
}

impl<'i, P: Platform, const DEVICES: usize> Deref for SharedDomain<'i, P, DEVICES> {
    type Target = AddressSpace<'i, P, DEVICES>;

    fn deref(&self) -> &Self::Target {
        &self.space
    }
}

impl<P: Platform, const DEVICES: usize> Clone for SharedDomain<'_, P, DEVICES> {
    fn clone(&self) -> Self {
        let AddressSpace { iommu, table } = self.space;
        iommu.with(|i| i.share_again(self.slot));
        SharedDomain {
            space: AddressSpace { iommu, table },
            slot: self.slot,
        }
    }
}

impl<P: Platform, const DEVICES: usize> Drop for SharedDomain<'_, P, DEVICES> {
    fn drop(&mut self) {
        self.space.iommu.with(|i| {
            if i.unshare(self.slot) {
                i.free_unreachable(self.space.table);
            }
        });
    }
}

impl<P: Platform, const DEVICES: usize> Inner<P, DEVICES> {
    /// Gives the tables of a domain back that nothing leads to. A wedged IOMMU may still read them; a table that cannot
    /// be read to the end leaks in part.
    #[inline(never)]
    pub(crate) fn free_unreachable(&mut self, table: Table) {
        if !self.hw.wedged() {
            let _ = self.hw.free_table(table);
        }
    }

    fn share(&mut self) -> Option<usize> {
        let slot = self.shares.iter().position(|clones| *clones == 0)?;
        self.shares[slot] = 1;
        Some(slot)
    }

    /// One clone more. Saturates: then clones were forgotten by the billion, and the tables are never freed.
    fn share_again(&mut self, slot: usize) {
        if let Some(clones) = self.shares.get_mut(slot) {
            *clones = clones.saturating_add(1);
        }
    }

    /// One clone less; whether it was the last.
    fn unshare(&mut self, slot: usize) -> bool {
        match self.shares.get_mut(slot) {
            Some(clones) if *clones != u32::MAX => {
                *clones -= 1;
                *clones == 0
            }
            _ => false,
        }
    }
}
