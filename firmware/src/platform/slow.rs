//! A platform on which everything takes its time.

use super::{Barrier, Barriers, Clock, DmaMemory, Event, Registers, StoreWidth};
use crate::PhysAddr;

/// Lets time pass before every access of registers and memory and every barrier: at least so many microseconds of the
/// wrapped platform's clock, during which it is told to [`Clock::relax`]. What runs beside the driver (devices, the IOMMU
/// itself) gets that much further between two steps of the driver.
///
/// The driver's waits end by the same clock: [`Timeouts`](crate::Timeouts) must leave room for a few accesses.
pub struct Slow<P> {
    inner: P,
    latency_us: u64,
}

impl<P: Clock> Slow<P> {
    /// Wraps a platform.
    pub const fn new(inner: P, latency_us: u64) -> Self {
        Slow { inner, latency_us }
    }

    /// The wrapped platform.
    pub fn into_inner(self) -> P {
        self.inner
    }

    fn after(&mut self) -> &mut P {
        let end = self.inner.now_us().saturating_add(self.latency_us);
        while self.inner.now_us() < end {
            self.inner.relax();
        }
        &mut self.inner
    }
}

impl<P: Registers + Clock> Registers for Slow<P> {
    type Error = P::Error;

    fn read32(&mut self, offset: u16) -> Result<u32, P::Error> {
        self.after().read32(offset)
    }

    fn write32(&mut self, offset: u16, value: u32) -> Result<(), P::Error> {
        self.after().write32(offset, value)
    }

    fn read64(&mut self, offset: u16) -> Result<u64, P::Error> {
        self.after().read64(offset)
    }

    fn write64(&mut self, offset: u16, value: u64) -> Result<(), P::Error> {
        self.after().write64(offset, value)
    }
}

// SAFETY: memory is the wrapped platform's, which keeps the contract.
unsafe impl<P: DmaMemory + Clock> DmaMemory for Slow<P> {
    const STORE: StoreWidth = P::STORE;

    fn alloc(&mut self, bytes: usize, align: usize) -> Option<PhysAddr> {
        self.after().alloc(bytes, align)
    }

    unsafe fn free(&mut self, pa: PhysAddr, bytes: usize) {
        // SAFETY: the caller keeps the same contract.
        unsafe { self.after().free(pa, bytes) }
    }

    fn load64(&mut self, pa: PhysAddr) -> Result<u64, P::Error> {
        self.after().load64(pa)
    }

    fn store64(&mut self, pa: PhysAddr, value: u64) -> Result<(), P::Error> {
        self.after().store64(pa, value)
    }

    fn store32(&mut self, pa: PhysAddr, value: u32) -> Result<(), P::Error> {
        self.after().store32(pa, value)
    }

    fn publish(&mut self, pa: PhysAddr, bytes: usize) -> Result<(), P::Error> {
        self.after().publish(pa, bytes)
    }

    fn acquire(&mut self, pa: PhysAddr, bytes: usize) -> Result<(), P::Error> {
        self.after().acquire(pa, bytes)
    }
}

impl<P: Barriers + Clock> Barriers for Slow<P> {
    fn barrier(&mut self, barrier: Barrier) {
        self.after().barrier(barrier);
    }
}

impl<P: Clock> Clock for Slow<P> {
    fn now_us(&mut self) -> u64 {
        self.inner.now_us()
    }

    fn relax(&mut self) {
        self.inner.relax();
    }

    fn event(&mut self, event: Event) {
        self.inner.event(event);
    }
}
