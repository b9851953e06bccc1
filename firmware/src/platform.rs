//! What the driver needs from the machine it runs on: five traits, implemented by one object.
//!
//! [`Mmio`] is the platform of a processor beside the IOMMU, [`Bridge`] that of a host at the other end of a serial line.
//! [`Trace`], [`Faulty`] and [`Slow`] wrap any platform, to record, to disturb or to delay what the driver does.

mod bridge;
mod mmio;
mod region;
mod slow;
mod wrap;

pub use bridge::{Bridge, BridgeError, ByteStream, ConnectError, Line, Refusal, frame};
pub use mmio::Mmio;
pub use region::Region;
pub use slow::Slow;
pub use wrap::{Faulty, FaultyError, Op, Trace};

use core::fmt::Debug;

use crate::PhysAddr;
use crate::types::{DeviceId, GroupId, Pasid};

/// The IOMMU's register page. Offsets are bytes in the page.
pub trait Registers {
    /// Why an access failed; [`core::convert::Infallible`] where it cannot.
    type Error: Debug;

    /// Reads 4 bytes.
    ///
    /// # Errors
    /// The transport failed.
    fn read32(&mut self, offset: u16) -> Result<u32, Self::Error>;

    /// Writes 4 bytes.
    ///
    /// # Errors
    /// The transport failed; the write may have happened.
    fn write32(&mut self, offset: u16, value: u32) -> Result<(), Self::Error>;

    /// Reads 8 bytes. As two halves: high, low, and high again, since the low half of a counter may carry in between;
    /// then low is read once more.
    ///
    /// # Errors
    /// The transport failed.
    fn read64(&mut self, offset: u16) -> Result<u64, Self::Error> {
        let before = self.read32(offset + 4)?;
        let low = self.read32(offset)?;
        let high = self.read32(offset + 4)?;
        let low = if before == high {
            low
        } else {
            self.read32(offset)?
        };
        Ok(u64::from(high) << 32 | u64::from(low))
    }

    /// Writes 8 bytes. As two halves: high first, because the low halves hold the mode, size and go bits that act.
    ///
    /// # Errors
    /// The transport failed; the write may have happened.
    fn write64(&mut self, offset: u16, value: u64) -> Result<(), Self::Error> {
        self.write32(offset + 4, (value >> 32) as u32)?;
        self.write32(offset, value as u32)
    }
}

/// Widest aligned store that the IOMMU sees as one access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreWidth {
    /// 4 bytes: an 8-byte entry changes in two steps.
    W4,
    /// 8 bytes.
    W8,
}

/// Memory that driver and IOMMU share: directory, page tables, queues. Addresses are the IOMMU's view of physical
/// memory.
///
/// # Safety
/// Memory returned by [`DmaMemory::alloc`] is aligned, real, used by nobody else until freed, and at the same address
/// for the IOMMU. Accesses outside of such memory are refused with an error or at least harmless to Rust's memory.
pub unsafe trait DmaMemory: Registers {
    /// Widest store seen as one access.
    const STORE: StoreWidth;

    /// Takes `bytes` (a multiple of 4096) of memory aligned to `align` (a power of two, at least 4096), content
    /// arbitrary. `None` if there is none.
    fn alloc(&mut self, bytes: usize, align: usize) -> Option<PhysAddr>;

    /// Gives memory back.
    ///
    /// # Safety
    /// `pa` and `bytes` are those of one earlier [`DmaMemory::alloc`]; neither software nor the IOMMU uses the memory
    /// any more.
    unsafe fn free(&mut self, pa: PhysAddr, bytes: usize);

    /// Reads an aligned doubleword.
    ///
    /// # Errors
    /// The transport failed.
    fn load64(&mut self, pa: PhysAddr) -> Result<u64, Self::Error>;

    /// Writes an aligned doubleword; with [`StoreWidth::W4`] as two words in any order.
    ///
    /// # Errors
    /// The transport failed; the write may have happened.
    fn store64(&mut self, pa: PhysAddr, value: u64) -> Result<(), Self::Error>;

    /// Writes an aligned word.
    ///
    /// # Errors
    /// The transport failed; the write may have happened.
    fn store32(&mut self, pa: PhysAddr, value: u32) -> Result<(), Self::Error>;

    /// Makes stores to the range visible to an IOMMU that does not see the caches: a cache clean.
    ///
    /// # Errors
    /// The transport failed.
    fn publish(&mut self, pa: PhysAddr, bytes: usize) -> Result<(), Self::Error> {
        let _ = (pa, bytes);
        Ok(())
    }

    /// Makes what such an IOMMU wrote visible to loads: a cache invalidation.
    ///
    /// # Errors
    /// The transport failed.
    fn acquire(&mut self, pa: PhysAddr, bytes: usize) -> Result<(), Self::Error> {
        let _ = (pa, bytes);
        Ok(())
    }
}

/// The orderings the driver relies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Barrier {
    /// Earlier memory stores before later ones, as the IOMMU sees them (`fence w,w`).
    MemToMem,
    /// Earlier memory stores before later register writes (`fence w,o`).
    MemToReg,
    /// Earlier register reads before later memory accesses (`fence i,rw`).
    RegToMem,
}

/// Memory ordering.
pub trait Barriers {
    /// Returns when the ordering holds.
    fn barrier(&mut self, barrier: Barrier);
}

/// Time, and the moments worth timing.
pub trait Clock {
    /// Microseconds from any origin. Never runs backwards and does not stand still for ever: waits end by it.
    fn now_us(&mut self) -> u64;

    /// Called between two polls of a register.
    fn relax(&mut self) {}

    /// Something worth recording happened.
    fn event(&mut self, event: Event) {
        let _ = event;
    }
}

/// What [`Clock::event`] is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The driver rang the doorbell and now waits for the fence behind `commands` commands.
    FenceBegin {
        /// Commands not yet fetched when the wait began, the fence included.
        commands: u32,
    },
    /// The wait that [`Event::FenceBegin`] began is over, well or not.
    FenceEnd {
        /// Reads of `cqh` it took.
        polls: u32,
    },
    /// DMA of a group reaches something else now; one event per change. A change that failed is none: then
    /// [`Event::Closed`] or [`Event::Wedged`] came.
    Changed(Change),
    /// A device reported too many faults: they are no longer recorded. What it reaches is as before.
    Quieted {
        /// The device.
        device: DeviceId,
    },
    /// Two devices of a group want different default domains; identity wins.
    PolicyConflict {
        /// The group.
        group: GroupId,
        /// The device that joined it.
        device: DeviceId,
    },
    /// Translation is on again after [`Event::Closed`] or a reset.
    Recovered,
    /// The command queue stopped and was reset; everything cached was invalidated.
    QueueReset {
        /// `cqcsr` as found.
        cqcsr: u32,
        /// `cqh` as found: the culprit if an error bit is set.
        cqh: u32,
    },
    /// Translation was switched off after a failure: no device reaches memory.
    Closed,
    /// The hardware does not answer: what it does is unknown.
    Wedged,
}

/// What [`Event::Changed`] tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The group.
    pub group: GroupId,
    /// The only device that it concerns, as it comes, goes, or is reset; `None`: all of them.
    pub device: Option<DeviceId>,
    /// The process id that it concerns; 0 is the traffic without one.
    pub pasid: Pasid,
    /// Fourth doubleword of the contexts before, a process context's for a process id; `None`: blocked.
    pub old: Option<u64>,
    /// The same by now.
    pub new: Option<u64>,
    /// How it was done.
    pub path: Path,
    /// Time that the fences of the change took, in microseconds: all of it but for a few stores.
    pub wait_us: u64,
}

/// Ways to change what DMA reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Path {
    /// To blocked: nothing that came before can still land.
    Block,
    /// From blocked.
    Publish,
    /// From one translation to another by one store: no DMA was dropped.
    Swap,
    /// From one translation to another by way of blocked.
    Slow,
}

/// Everything together; implemented for whatever has the parts.
pub trait Platform: DmaMemory + Barriers + Clock {}

impl<T: DmaMemory + Barriers + Clock> Platform for T {}
