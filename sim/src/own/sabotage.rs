//! A platform between driver and hardware that breaks the protocol on purpose, to see that it is noticed.

use portcullis::PhysAddr;
use portcullis::platform::{Barrier, Barriers, Clock, DmaMemory, Event, Registers, StoreWidth};
use portcullis_regmap::command::{self, Command, Op};
use portcullis_regmap::regs::{QueueBase, offset};

use super::paint::PAGE;
use super::stage::Shared;

/// What to break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Sabotage {
    /// The driver is told that its fences have been passed when they have not.
    NoWait,
    /// The last fence loses PR and PW.
    NoVisibility,
    /// The fence between IODIR.INVAL_DDT and IOTINVAL.VMA is missing.
    NoMiddleFence,
    /// IODIR.INVAL_DDT is missing.
    NoInvalDdt,
    /// IOTINVAL.VMA is missing.
    NoIotinval,
    /// IOTINVAL.VMA comes before IODIR.INVAL_DDT.
    Reordered,
    /// V of a context is cleared after the invalidation instead of before it.
    LateBlock,
    /// V of a context is set before its fields are stored.
    EarlyValid,
    /// A context in use goes to its new table by way of 0, which means identity.
    TornSwap,
    /// IOTINVAL.VMA is IOTINVAL.GVMA, which needs a second stage.
    SecondStage,
}

/// The platform.
pub struct Saboteur<P> {
    inner: P,
    scene: Shared,
    kind: Option<Sabotage>,
    ring: u64,
    end: u64,
    tail: u32,
    /// Slot and first doubleword of the last IODIR.INVAL_DDT.
    inval_ddt: Option<(PhysAddr, u64)>,
    /// A store that is still to come.
    late: Option<(PhysAddr, u64)>,
}

impl<P> Saboteur<P> {
    /// Around a platform; harmless without a kind.
    pub(super) fn new(inner: P, scene: Shared, kind: Option<Sabotage>) -> Self {
        Self {
            inner,
            scene,
            kind,
            ring: 0,
            end: 0,
            tail: 0,
            inval_ddt: None,
            late: None,
        }
    }

    fn is(&self, kind: Sabotage) -> bool {
        self.kind == Some(kind)
    }

    fn is_word(&self, pa: PhysAddr, word: usize) -> bool {
        self.scene.borrow().monitor.is_word(pa.0, word)
    }
}

impl<P: DmaMemory> Saboteur<P> {
    /// The first doubleword of a command.
    fn command(&mut self, pa: PhysAddr, dw0: u64) -> Result<u64, P::Error> {
        let op = Command { dw0, dw1: 0 }.decode();
        let nothing = Command::iofence(false, false).dw0;
        Ok(match (self.kind, op) {
            (Some(Sabotage::NoVisibility), Ok(Op::Iofence { .. })) => nothing,
            (Some(Sabotage::NoInvalDdt), Ok(Op::InvalDdt { .. })) => nothing,
            (Some(Sabotage::NoIotinval), Ok(Op::Iotinval { .. })) => nothing,
            (Some(Sabotage::SecondStage), Ok(Op::Iotinval { .. })) => {
                Command::iotinval_gvma(None).dw0
            }
            // A command that finds nothing, so that the number of commands stays the same.
            (Some(Sabotage::NoMiddleFence), Ok(Op::Iofence { pr: false, .. })) => {
                Command::iotinval_vma_pscid(0).dw0
            }
            (Some(Sabotage::Reordered), Ok(Op::InvalDdt { .. })) => {
                self.inval_ddt = Some((pa, dw0));
                dw0
            }
            (Some(Sabotage::Reordered), Ok(Op::Iotinval { .. })) => match self.inval_ddt.take() {
                Some((slot, inval_ddt)) => {
                    self.inner.store64(slot, dw0)?;
                    inval_ddt
                }
                None => dw0,
            },
            _ => dw0,
        })
    }
}

impl<P: Registers> Registers for Saboteur<P> {
    type Error = P::Error;

    fn read32(&mut self, at: u16) -> Result<u32, P::Error> {
        let value = self.inner.read32(at)?;
        let lie = at == offset::CQH && self.is(Sabotage::NoWait);
        Ok(if lie { self.tail } else { value })
    }

    fn write32(&mut self, at: u16, value: u32) -> Result<(), P::Error> {
        if at == offset::CQT {
            self.tail = value;
        }
        self.inner.write32(at, value)
    }

    fn read64(&mut self, at: u16) -> Result<u64, P::Error> {
        self.inner.read64(at)
    }

    fn write64(&mut self, at: u16, value: u64) -> Result<(), P::Error> {
        if at == offset::CQB {
            let base = QueueBase::from_bits(value);
            self.ring = base.ppn() * PAGE;
            self.end = self.ring + (command::BYTES << (base.log2sz_minus_1() + 1));
        }
        self.inner.write64(at, value)
    }
}

// SAFETY: memory is the wrapped platform's; what is broken is the meaning of what is stored, and that memory is
// simulated.
unsafe impl<P: DmaMemory> DmaMemory for Saboteur<P> {
    const STORE: StoreWidth = P::STORE;

    fn alloc(&mut self, bytes: usize, align: usize) -> Option<PhysAddr> {
        self.inner.alloc(bytes, align)
    }

    unsafe fn free(&mut self, pa: PhysAddr, bytes: usize) {
        // SAFETY: the caller keeps the same contract.
        unsafe { self.inner.free(pa, bytes) }
    }

    fn load64(&mut self, pa: PhysAddr) -> Result<u64, P::Error> {
        self.inner.load64(pa)
    }

    fn store64(&mut self, pa: PhysAddr, value: u64) -> Result<(), P::Error> {
        if (self.ring..self.end).contains(&pa.0) {
            let first = pa.0.is_multiple_of(command::BYTES);
            let value = if first {
                self.command(pa, value)?
            } else {
                value
            };
            return self.inner.store64(pa, value);
        }
        let (tc, fsc) = (self.is_word(pa, 0), self.is_word(pa, 3));
        if self.is(Sabotage::LateBlock) && tc && value & 1 == 0 {
            self.late = Some((pa, value));
            return Ok(());
        }
        if self.is(Sabotage::EarlyValid) && fsc && self.inner.load64(PhysAddr(pa.0 - 24))? & 1 == 0
        {
            self.inner.store64(PhysAddr(pa.0 - 24), 1)?;
        }
        if self.is(Sabotage::TornSwap) && fsc {
            self.inner.store64(pa, 0)?;
        }
        self.inner.store64(pa, value)
    }

    fn store32(&mut self, pa: PhysAddr, value: u32) -> Result<(), P::Error> {
        self.inner.store32(pa, value)
    }

    fn publish(&mut self, pa: PhysAddr, bytes: usize) -> Result<(), P::Error> {
        self.inner.publish(pa, bytes)
    }

    fn acquire(&mut self, pa: PhysAddr, bytes: usize) -> Result<(), P::Error> {
        self.inner.acquire(pa, bytes)
    }
}

impl<P: DmaMemory + Barriers> Barriers for Saboteur<P> {
    fn barrier(&mut self, barrier: Barrier) {
        if barrier == Barrier::RegToMem
            && let Some((pa, value)) = self.late.take()
        {
            // The simulated memory takes every store.
            let _ = self.inner.store64(pa, value);
        }
        self.inner.barrier(barrier);
    }
}

impl<P: Clock> Clock for Saboteur<P> {
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
