//! The command queue, and what to do when it fails.

use portcullis_regmap::command::{self, Command, opcode};
use portcullis_regmap::regs::{Cqcsr, Ddtp, Ipsr, iommu_mode, offset};

use crate::hw::{Fail, Hw};
use crate::platform::{Barrier, Event, Platform};
use crate::types::Health;
use crate::{Error, PhysAddr};

/// Polls of `cqh` between two looks at `cqcsr`: errors are rare, and each register read costs a bus round trip.
const POLLS_PER_STATUS: u32 = 16;
/// Resets of the queue before translation is switched off.
const RESETS: u32 = 2;

/// Producer side of the command queue. Counts run in 64 bits and never wrap; the slot is the count modulo the size.
///
/// A slot is used again as soon as `cqh` has passed it: nothing is ever resubmitted, because recovery invalidates
/// everything instead.
#[derive(Default)]
pub(crate) struct Ring {
    pub(crate) base: PhysAddr,
    pub(crate) log2: u32,
    /// Enabled, as the driver left it.
    pub(crate) on: bool,
    /// Value of cqb.
    pub(crate) cqb: u64,
    /// Commands written.
    tail: u64,
    /// Commands the hardware was told of.
    rung: u64,
    /// Commands the hardware has passed.
    head: u64,
}

impl Ring {
    pub(crate) fn entries(&self) -> u64 {
        1 << self.log2
    }

    fn mask(&self) -> u64 {
        self.entries() - 1
    }

    fn slot(&self, count: u64) -> PhysAddr {
        PhysAddr(self.base.0 + (count & self.mask()) * command::BYTES)
    }
}

impl<P: Platform> Hw<P> {
    /// Ends a batch with IOFENCE.C and executes it: one doorbell and one wait, unless the queue is too small for it. What
    /// was granted before has landed.
    pub(crate) fn finish(&mut self) -> Result<(), Fail> {
        self.push(Command::iofence(true, true))?;
        self.execute()
    }

    // Steps have frames of their own, here and elsewhere: what one needs is not held while another runs. That is most of
    // what keeps calls within their stack.
    #[inline(never)]
    fn execute(&mut self) -> Result<(), Fail> {
        self.doorbell()?;
        let begin = self.p.now_us();
        self.stats.fence_waits += 1;
        let waiting = (self.ring.tail - self.ring.head) as u32;
        self.p.event(Event::FenceBegin { commands: waiting });
        let polls = self.stats.fence_polls;
        let result = self.wait_head(self.ring.tail);
        self.p.event(Event::FenceEnd {
            polls: (self.stats.fence_polls - polls) as u32,
        });
        self.stats.fence_wait_us += self.p.now_us().saturating_sub(begin);
        // What follows may free memory the IOMMU has read until now.
        self.barrier(Barrier::RegToMem);
        result
    }

    /// Adds a command to the batch that [`Hw::finish`] executes.
    #[inline(never)]
    pub(crate) fn push(&mut self, command: Command) -> Result<(), Fail> {
        // One slot stays empty: equal indices mean an empty queue (CQ-12).
        while self.ring.tail - self.ring.head >= self.ring.mask() {
            self.doorbell()?;
            self.wait_head(self.ring.head + 1)?;
            // The slot was read before it is written again.
            self.barrier(Barrier::RegToMem);
        }
        let slot = self.ring.slot(self.ring.tail);
        self.store(slot, command.dw0)?;
        self.store(PhysAddr(slot.0 + 8), command.dw1)?;
        self.ring.tail += 1;
        self.stats.commands += 1;
        if command.dw0 & 0x7f == u64::from(opcode::IOFENCE) {
            self.stats.fences += 1;
        }
        Ok(())
    }

    #[inline(never)]
    fn doorbell(&mut self) -> Result<(), Fail> {
        let (from, to) = (self.ring.rung, self.ring.tail);
        if from == to {
            return Ok(());
        }
        let (first, end) = (
            from & self.ring.mask(),
            (from & self.ring.mask()) + (to - from),
        );
        let before_wrap = end.min(self.ring.entries()) - first;
        self.publish(self.ring.slot(from), before_wrap * command::BYTES)?;
        if end > self.ring.entries() {
            self.publish(self.ring.base, (end - self.ring.entries()) * command::BYTES)?;
        }
        self.barrier(Barrier::MemToReg);
        self.write32(offset::CQT, (to & self.ring.mask()) as u32)?;
        self.ring.rung = to;
        Ok(())
    }

    /// Waits until the hardware has passed `count` commands; it may take as long as it makes progress.
    #[inline(never)]
    fn wait_head(&mut self, count: u64) -> Result<(), Fail> {
        let mut since = self.p.now_us();
        let mut polls = 0;
        loop {
            let now = self.p.now_us();
            let late = now.saturating_sub(since) > self.config.timeouts.command_us;
            let progress = self.poll_head()?;
            if self.ring.head >= count {
                return Ok(());
            }
            polls += 1;
            if late || polls % POLLS_PER_STATUS == 0 {
                self.queue_running()?;
            }
            if progress {
                since = now;
            } else if late {
                return Err(Fail::Stuck);
            }
            self.p.relax();
        }
    }

    /// Reads how far the hardware is; whether it is farther than before.
    #[inline(never)]
    fn poll_head(&mut self) -> Result<bool, Fail> {
        let index = u64::from(self.read32(offset::CQH)?);
        self.stats.fence_polls += 1;
        let passed = index.wrapping_sub(self.ring.head) & self.ring.mask();
        if index > self.ring.mask() || passed > self.ring.rung - self.ring.head {
            return Err(Fail::Stopped);
        }
        self.ring.head += passed;
        Ok(passed > 0)
    }

    /// Fails if an error has stopped the queue.
    #[inline(never)]
    pub(crate) fn queue_running(&mut self) -> Result<(), Fail> {
        let cqcsr = Cqcsr::from_bits(self.read32(offset::CQCSR)?);
        let error = cqcsr.cqmf() || cqcsr.cmd_to() || cqcsr.cmd_ill() || !cqcsr.cqon();
        if error { Err(Fail::Stopped) } else { Ok(()) }
    }

    /// Switches the command queue on, empty. Error bits are cleared by that (CQCSR-02).
    #[inline(never)]
    pub(crate) fn queue_on(&mut self) -> Result<(), Fail> {
        (self.ring.tail, self.ring.rung, self.ring.head) = (0, 0, 0);
        self.write32(offset::CQT, 0)?;
        let enable = Cqcsr::new()
            .with_cqen(true)
            .with_cie(self.config.interrupts);
        self.ring.on = true;
        self.write32(offset::CQCSR, enable.into_bits())?;
        self.wait32(offset::CQCSR, |v| {
            Cqcsr::from_bits(v).cqon() && !Cqcsr::from_bits(v).busy()
        })?;
        Ok(())
    }

    /// Switches the command queue off; afterwards it accesses no memory (CQCSR-03).
    #[inline(never)]
    pub(crate) fn queue_off(&mut self) -> Result<(), Fail> {
        self.wait32(offset::CQCSR, |v| !Cqcsr::from_bits(v).busy())?;
        self.write32(offset::CQCSR, 0)?;
        self.wait32(offset::CQCSR, |v| {
            !Cqcsr::from_bits(v).cqon() && !Cqcsr::from_bits(v).busy()
        })?;
        self.ring.on = false;
        Ok(())
    }

    /// Brings the driver to a state in which the caller's wish holds or translation is off.
    ///
    /// A queue that stopped or got stuck is reset, and everything cached is invalidated, which includes whatever the
    /// lost commands were meant to invalidate: then the answer is `Ok`. Two attempts; then `ddtp` goes Off; if even
    /// that is not confirmed, the hardware is given up. A transport that fails twice in a row, or hardware that reads
    /// all ones, gets no attempt.
    pub(crate) fn settle(&mut self, result: Result<(), Fail>) -> Result<(), Error> {
        result.or_else(|fail| self.make_good(fail))
    }

    // Cold, with a frame of its own: failures do not cost stack where nothing fails.
    #[cold]
    #[inline(never)]
    fn make_good(&mut self, fail: Fail) -> Result<(), Error> {
        if matches!(fail, Fail::Stuck | Fail::Stopped) {
            for _ in 0..RESETS {
                if self.reset_queue().is_ok() {
                    self.health = Health::Degraded;
                    return Ok(());
                }
            }
        }
        self.close();
        Err(Error::Io)
    }

    #[inline(never)]
    pub(crate) fn reset_queue(&mut self) -> Result<(), Fail> {
        self.stats.queue_resets += 1;
        let (cqcsr, cqh) = (self.read32(offset::CQCSR)?, self.read32(offset::CQH)?);
        self.p.event(Event::QueueReset { cqcsr, cqh });
        self.queue_off()?;
        if self.read64(offset::CQB)? != self.ring.cqb {
            self.write64(offset::CQB, self.ring.cqb)?;
        }
        self.queue_on()?;
        self.write32(offset::IPSR, Ipsr::new().with_cip(true).into_bits())?;
        self.blanket()
    }

    /// Fails closed: translation off, which works while the command queue is dead (HW9) and waits for what was granted
    /// (DDTP-07).
    #[inline(never)]
    pub(crate) fn close(&mut self) {
        if matches!(self.health, Health::Closed | Health::Wedged) {
            return;
        }
        match self.ddtp_off() {
            Ok(()) => {
                self.health = Health::Closed;
                self.p.event(Event::Closed);
            }
            Err(_) => self.wedge(),
        }
    }

    /// Writes mode Off with the PPN in use and waits.
    #[inline(never)]
    pub(crate) fn ddtp_off(&mut self) -> Result<(), Fail> {
        // A write while busy is unspecified (DDTP-05).
        self.wait64(offset::DDTP, |v| !Ddtp::from_bits(v).busy())?;
        let off = Ddtp::from_bits(self.ddtp).with_iommu_mode(iommu_mode::OFF);
        self.write64(offset::DDTP, off.into_bits())?;
        let now = Ddtp::from_bits(self.wait64(offset::DDTP, |v| !Ddtp::from_bits(v).busy())?);
        if now.iommu_mode() == iommu_mode::OFF {
            Ok(())
        } else {
            Err(Fail::Stuck)
        }
    }

    /// Gives the hardware up.
    pub(crate) fn wedge(&mut self) {
        if self.health != Health::Wedged {
            self.health = Health::Wedged;
            self.p.event(Event::Wedged);
        }
    }
}
