//! Wrappers around a platform, for tests and diagnosis.

use super::{Barrier, Barriers, Clock, DmaMemory, Event, Registers, StoreWidth};
use crate::PhysAddr;

/// One thing the driver did to its platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Op {
    /// Register read: offset, bytes, value.
    Read(u16, u8, u64),
    /// Register write: offset, bytes, value.
    Write(u16, u8, u64),
    /// Memory read: address, value.
    Load(PhysAddr, u64),
    /// Memory write: address, bytes, value.
    Store(PhysAddr, u8, u64),
    /// Memory taken: address if there was any, bytes.
    Alloc(Option<PhysAddr>, usize),
    /// Memory given back: address, bytes.
    Free(PhysAddr, usize),
    /// Made visible to the IOMMU: address, bytes.
    Publish(PhysAddr, usize),
    /// Made visible to the driver: address, bytes.
    Acquire(PhysAddr, usize),
    /// Ordering.
    Barrier(Barrier),
    /// Event.
    Event(Event),
}

/// Tells a closure everything the driver does. Failed accesses are not told. The closure must not call the driver.
pub struct Trace<P, F> {
    inner: P,
    tell: F,
}

impl<P, F: FnMut(Op)> Trace<P, F> {
    /// Wraps a platform.
    pub fn new(inner: P, tell: F) -> Self {
        Trace { inner, tell }
    }

    /// The wrapped platform.
    pub fn into_inner(self) -> P {
        self.inner
    }
}

impl<P: Registers, F: FnMut(Op)> Registers for Trace<P, F> {
    type Error = P::Error;

    fn read32(&mut self, offset: u16) -> Result<u32, P::Error> {
        let value = self.inner.read32(offset)?;
        (self.tell)(Op::Read(offset, 4, value.into()));
        Ok(value)
    }

    fn write32(&mut self, offset: u16, value: u32) -> Result<(), P::Error> {
        self.inner.write32(offset, value)?;
        (self.tell)(Op::Write(offset, 4, value.into()));
        Ok(())
    }

    fn read64(&mut self, offset: u16) -> Result<u64, P::Error> {
        let value = self.inner.read64(offset)?;
        (self.tell)(Op::Read(offset, 8, value));
        Ok(value)
    }

    fn write64(&mut self, offset: u16, value: u64) -> Result<(), P::Error> {
        self.inner.write64(offset, value)?;
        (self.tell)(Op::Write(offset, 8, value));
        Ok(())
    }
}

// SAFETY: memory is the wrapped platform's, which keeps the contract.
unsafe impl<P: DmaMemory, F: FnMut(Op)> DmaMemory for Trace<P, F> {
    const STORE: StoreWidth = P::STORE;

    fn alloc(&mut self, bytes: usize, align: usize) -> Option<PhysAddr> {
        let pa = self.inner.alloc(bytes, align);
        (self.tell)(Op::Alloc(pa, bytes));
        pa
    }

    unsafe fn free(&mut self, pa: PhysAddr, bytes: usize) {
        // SAFETY: the caller keeps the same contract.
        unsafe { self.inner.free(pa, bytes) };
        (self.tell)(Op::Free(pa, bytes));
    }

    fn load64(&mut self, pa: PhysAddr) -> Result<u64, P::Error> {
        let value = self.inner.load64(pa)?;
        (self.tell)(Op::Load(pa, value));
        Ok(value)
    }

    fn store64(&mut self, pa: PhysAddr, value: u64) -> Result<(), P::Error> {
        self.inner.store64(pa, value)?;
        (self.tell)(Op::Store(pa, 8, value));
        Ok(())
    }

    fn store32(&mut self, pa: PhysAddr, value: u32) -> Result<(), P::Error> {
        self.inner.store32(pa, value)?;
        (self.tell)(Op::Store(pa, 4, value.into()));
        Ok(())
    }

    fn publish(&mut self, pa: PhysAddr, bytes: usize) -> Result<(), P::Error> {
        self.inner.publish(pa, bytes)?;
        (self.tell)(Op::Publish(pa, bytes));
        Ok(())
    }

    fn acquire(&mut self, pa: PhysAddr, bytes: usize) -> Result<(), P::Error> {
        self.inner.acquire(pa, bytes)?;
        (self.tell)(Op::Acquire(pa, bytes));
        Ok(())
    }
}

impl<P: Barriers, F: FnMut(Op)> Barriers for Trace<P, F> {
    fn barrier(&mut self, barrier: Barrier) {
        self.inner.barrier(barrier);
        (self.tell)(Op::Barrier(barrier));
    }
}

impl<P: Clock, F: FnMut(Op)> Clock for Trace<P, F> {
    fn now_us(&mut self) -> u64 {
        self.inner.now_us()
    }

    fn relax(&mut self) {
        self.inner.relax();
    }

    fn event(&mut self, event: Event) {
        self.inner.event(event);
        (self.tell)(Op::Event(event));
    }
}

/// Error of [`Faulty`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultyError<E> {
    /// The access was chosen to fail and did not happen.
    Injected,
    /// The wrapped platform failed.
    Platform(E),
}

/// Fails chosen accesses of registers and memory, counted from 0; an allocation counts and fails with `None`.
pub struct Faulty<P, F> {
    inner: P,
    fails: F,
    calls: u64,
}

impl<P, F: FnMut(u64) -> bool> Faulty<P, F> {
    /// Fails access `n` if `fails(n)`.
    pub fn new(inner: P, fails: F) -> Self {
        Faulty {
            inner,
            fails,
            calls: 0,
        }
    }

    fn injected(&mut self) -> bool {
        let n = self.calls;
        self.calls += 1;
        (self.fails)(n)
    }

    fn run<T, E>(
        &mut self,
        access: impl FnOnce(&mut P) -> Result<T, E>,
    ) -> Result<T, FaultyError<E>> {
        if self.injected() {
            return Err(FaultyError::Injected);
        }
        access(&mut self.inner).map_err(FaultyError::Platform)
    }
}

impl<P: Registers, F: FnMut(u64) -> bool> Registers for Faulty<P, F> {
    type Error = FaultyError<P::Error>;

    fn read32(&mut self, offset: u16) -> Result<u32, Self::Error> {
        self.run(|p| p.read32(offset))
    }

    fn write32(&mut self, offset: u16, value: u32) -> Result<(), Self::Error> {
        self.run(|p| p.write32(offset, value))
    }

    fn read64(&mut self, offset: u16) -> Result<u64, Self::Error> {
        self.run(|p| p.read64(offset))
    }

    fn write64(&mut self, offset: u16, value: u64) -> Result<(), Self::Error> {
        self.run(|p| p.write64(offset, value))
    }
}

// SAFETY: memory is the wrapped platform's, which keeps the contract; refusing an access is allowed.
unsafe impl<P: DmaMemory, F: FnMut(u64) -> bool> DmaMemory for Faulty<P, F> {
    const STORE: StoreWidth = P::STORE;

    fn alloc(&mut self, bytes: usize, align: usize) -> Option<PhysAddr> {
        if self.injected() {
            None
        } else {
            self.inner.alloc(bytes, align)
        }
    }

    unsafe fn free(&mut self, pa: PhysAddr, bytes: usize) {
        // SAFETY: the caller keeps the same contract.
        unsafe { self.inner.free(pa, bytes) }
    }

    fn load64(&mut self, pa: PhysAddr) -> Result<u64, Self::Error> {
        self.run(|p| p.load64(pa))
    }

    fn store64(&mut self, pa: PhysAddr, value: u64) -> Result<(), Self::Error> {
        self.run(|p| p.store64(pa, value))
    }

    fn store32(&mut self, pa: PhysAddr, value: u32) -> Result<(), Self::Error> {
        self.run(|p| p.store32(pa, value))
    }

    fn publish(&mut self, pa: PhysAddr, bytes: usize) -> Result<(), Self::Error> {
        self.run(|p| p.publish(pa, bytes))
    }

    fn acquire(&mut self, pa: PhysAddr, bytes: usize) -> Result<(), Self::Error> {
        self.run(|p| p.acquire(pa, bytes))
    }
}

impl<P: Barriers, F> Barriers for Faulty<P, F> {
    fn barrier(&mut self, barrier: Barrier) {
        self.inner.barrier(barrier);
    }
}

impl<P: Clock, F> Clock for Faulty<P, F> {
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
