//! The simulation as one of the driver's platforms.
//!
//! Register accesses drive the register port and step the clock until the answer; memory accesses of the driver go
//! around the memory port and take no time, so that cycles are those of the hardware. One cycle stands for
//! 1/[`MHZ`] microseconds. Table memory comes from a piece of the address space that the replayed log does not use.

use std::cell::{RefCell, RefMut};
use std::rc::Rc;

use portcullis::PhysAddr;
use portcullis::platform::{Barrier, Barriers, Clock, DmaMemory, Event, Registers, StoreWidth};

use crate::core::RegAccess;
use crate::failure::Failure;
use crate::harness::{Harness, WATCHDOG};

/// Nominal clock frequency in MHz: that of the smallest board.
pub const MHZ: u64 = 50;
/// Cycles between two polls of a register: the driver's loop costs a soft core at least as much.
const RELAX_CYCLES: u64 = 2;

/// Physical memory that the driver may use: never given out twice, freed pieces are reused by size.
#[derive(Debug)]
pub struct Frames {
    next: u64,
    end: u64,
    freed: Vec<(u64, usize)>,
    /// Bytes that may still be given out.
    left: usize,
}

impl Frames {
    /// The memory from `start`, `bytes` long.
    #[must_use]
    pub fn new(start: u64, bytes: u64) -> Self {
        Self {
            next: start,
            end: start.saturating_add(bytes),
            freed: Vec::new(),
            left: usize::MAX,
        }
    }

    fn take(&mut self, bytes: usize, align: usize) -> Option<u64> {
        let left = self.left.checked_sub(bytes)?;
        let pa = self.find(bytes, align)?;
        self.left = left;
        Some(pa)
    }

    fn give_back(&mut self, pa: u64, bytes: usize) {
        self.freed.push((pa, bytes));
        self.left = self.left.saturating_add(bytes);
    }

    fn find(&mut self, bytes: usize, align: usize) -> Option<u64> {
        let mask = (align as u64).checked_sub(1)?;
        let reuse = self
            .freed
            .iter()
            .position(|(pa, size)| *size == bytes && pa & mask == 0);
        if let Some(at) = reuse {
            return Some(self.freed.swap_remove(at).0);
        }
        let pa = self.next.checked_add(mask)? & !mask;
        let end = pa
            .checked_add(bytes as u64)
            .filter(|end| *end <= self.end)?;
        self.next = end;
        Some(pa)
    }
}

/// What the driver's platform and the replay share.
pub struct World {
    /// The simulation.
    pub harness: Harness,
    frames: Frames,
    failure: Option<Failure>,
    /// Runs on when the simulation does not, because the driver's waits end by the clock.
    dead_us: u64,
    fence_began: Option<u64>,
    fence_wait_cycles: u64,
}

impl World {
    /// A failure of the hardware that the driver met, if any. It is final: nothing is simulated after it.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Cycles that the driver spent waiting for fences, from the doorbell to the poll that saw the end.
    #[must_use]
    pub fn fence_wait_cycles(&self) -> u64 {
        self.fence_wait_cycles
    }

    /// From now on the driver gets at most so many bytes more, and those that it gives back.
    pub fn limit_frames(&mut self, bytes: usize) {
        self.frames.left = bytes;
    }

    /// Runs something that steps the simulation; a failure is remembered and stops everything after it.
    ///
    /// # Errors
    /// This failure or the one before.
    pub fn run<T>(
        &mut self,
        work: impl FnOnce(&mut Harness) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        work(&mut self.harness).inspect_err(|failure| self.failure = Some(failure.clone()))
    }
}

/// Handle of a simulation: the driver owns one, the replay another.
#[derive(Clone)]
pub struct SimPlatform(Rc<RefCell<World>>);

impl SimPlatform {
    /// A simulation whose driver takes its memory from `frames`.
    #[must_use]
    pub fn new(harness: Harness, frames: Frames) -> Self {
        Self(Rc::new(RefCell::new(World {
            harness,
            frames,
            failure: None,
            dead_us: 0,
            fence_began: None,
            fence_wait_cycles: 0,
        })))
    }

    /// The simulation. The driver must not be called while the result lives.
    pub fn world(&self) -> RefMut<'_, World> {
        self.0.borrow_mut()
    }

    fn access(&self, write: bool, offset: u16, wide: bool, data: u64) -> Result<u64, Failure> {
        self.world().run(|harness| {
            harness.register(RegAccess {
                write,
                offset,
                wide,
                data,
            })
        })
    }
}

impl Registers for SimPlatform {
    type Error = Failure;

    fn read32(&mut self, offset: u16) -> Result<u32, Failure> {
        // The port answers 4-byte reads in the low half.
        self.access(false, offset, false, 0).map(|data| data as u32)
    }

    fn write32(&mut self, offset: u16, value: u32) -> Result<(), Failure> {
        self.access(true, offset, false, value.into()).map(|_| ())
    }

    fn read64(&mut self, offset: u16) -> Result<u64, Failure> {
        self.access(false, offset, true, 0)
    }

    fn write64(&mut self, offset: u16, value: u64) -> Result<(), Failure> {
        self.access(true, offset, true, value).map(|_| ())
    }
}

// SAFETY: the memory is simulated: no address of it is one of this program's, `Frames` gives no piece out twice before
// it is freed, and the core sees it at the same addresses.
unsafe impl DmaMemory for SimPlatform {
    const STORE: StoreWidth = StoreWidth::W8;

    fn alloc(&mut self, bytes: usize, align: usize) -> Option<PhysAddr> {
        self.world().frames.take(bytes, align).map(PhysAddr)
    }

    unsafe fn free(&mut self, pa: PhysAddr, bytes: usize) {
        self.world().frames.give_back(pa.0, bytes);
    }

    fn load64(&mut self, pa: PhysAddr) -> Result<u64, Failure> {
        Ok(self.world().harness.memory().load64(pa.0))
    }

    fn store64(&mut self, pa: PhysAddr, value: u64) -> Result<(), Failure> {
        self.world().harness.memory_mut().store64(pa.0, value);
        Ok(())
    }

    fn store32(&mut self, pa: PhysAddr, value: u32) -> Result<(), Failure> {
        self.world()
            .harness
            .memory_mut()
            .write(pa.0, &value.to_le_bytes());
        Ok(())
    }
}

impl Barriers for SimPlatform {
    /// Stores of the driver are visible at once and register accesses are done when they return: always ordered.
    fn barrier(&mut self, _: Barrier) {}
}

impl Clock for SimPlatform {
    fn now_us(&mut self) -> u64 {
        let mut world = self.world();
        if world.failure.is_some() {
            world.dead_us += 1000;
        }
        world.harness.cycle() / MHZ + world.dead_us
    }

    fn relax(&mut self) {
        let mut world = self.world();
        let began = world.fence_began;
        // A failure is remembered; the driver meets it at its next access.
        let _ = world.run(|harness| {
            let cycle = harness.cycle();
            match began {
                Some(since) if cycle - since >= WATCHDOG => Err(Failure::Fence { since, cycle }),
                _ => harness.advance(RELAX_CYCLES),
            }
        });
    }

    fn event(&mut self, event: Event) {
        let mut world = self.world();
        let now = world.harness.cycle();
        match event {
            Event::FenceBegin { .. } => world.fence_began = Some(now),
            Event::FenceEnd { .. } => {
                let began = world.fence_began.take();
                world.fence_wait_cycles += now - began.unwrap_or(now);
            }
            _ => {}
        }
    }
}
