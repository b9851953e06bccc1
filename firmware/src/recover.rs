//! Back to work after translation was closed, or after a reset of hardware that had stopped answering.

use portcullis_regmap::regs::{Capabilities, Ddtp, iommu_mode, offset};

use crate::Error;
use crate::hw::{Fail, Hw};
use crate::iommu::{Inner, Iommu};
use crate::platform::{Barrier, Event, Platform};
use crate::types::{GroupId, Health};

impl<P: Platform, const DEVICES: usize> Iommu<P, DEVICES> {
    /// Leaves [`Health::Closed`]: every context is written anew from what the driver has on record, the command queue
    /// is reset, everything cached is invalidated, and translation goes on. Nothing to do if it never stopped.
    ///
    /// # Errors
    /// [`Error::Io`]: the hardware still fails, and DMA stays off; or it is wedged, see [`Iommu::assume_reset`].
    ///
    /// # Safety
    /// The failure is over: the registers and the memory that the driver reaches are those of the IOMMU it started, and
    /// nobody else has changed the driver's memory meanwhile.
    pub unsafe fn recover(&self) -> Result<(), Error> {
        self.with(|i| match i.hw.health {
            Health::Good | Health::Degraded => Ok(()),
            Health::Wedged => Err(Error::Io),
            Health::Closed => i.resume(Hw::reset_queue),
        })
    }

    /// Leaves [`Health::Wedged`] or [`Health::Closed`] after the IOMMU was reset from outside. What was quarantined
    /// before stays so.
    ///
    /// # Errors
    /// [`Error::Invalid`]: it works. [`Error::Io`]: it is not in the state that a reset leaves, or fails again.
    ///
    /// # Safety
    /// The IOMMU has been reset since it stopped answering: translation and queues are off, and no access from before is
    /// still on the way. The driver's memory is as the driver left it.
    pub unsafe fn assume_reset(&self) -> Result<(), Error> {
        self.with(|i| match i.hw.health {
            Health::Good | Health::Degraded => Err(Error::Invalid),
            Health::Closed | Health::Wedged => {
                if i.hw.check_reset().is_err() {
                    return Err(Error::Io);
                }
                i.resume(Hw::program)
            }
        })
    }
}

impl<P: Platform, const DEVICES: usize> Inner<P, DEVICES> {
    #[inline(never)]
    fn resume(&mut self, queues: fn(&mut Hw<P>) -> Result<(), Fail>) -> Result<(), Error> {
        // Whatever goes wrong from here on is judged anew.
        self.hw.health = Health::Degraded;
        let result = self.rewrite_contexts().and_then(|()| queues(&mut self.hw));
        if result.and_then(|()| self.hw.translate_again()).is_err() {
            self.hw.close();
            return Err(Error::Io);
        }
        for slot in 0..DEVICES {
            let generation = self.groups[slot].as_ref().map(|g| g.generation);
            if let Some(generation) = generation {
                let slot = slot as u16;
                self.purged(GroupId { slot, generation });
            }
        }
        self.hw.p.event(Event::Recovered);
        Ok(())
    }

    /// Every context as the state on record wants it. Translation is off, so the order of stores does not matter.
    #[inline(never)]
    fn rewrite_contexts(&mut self) -> Result<(), Fail> {
        // What was given up in the middle may have left contexts of devices and processes that are not on record.
        self.hw.clear_contexts()?;
        for slot in 0..DEVICES {
            let Some(device) = self.devices[slot].as_mut() else {
                continue;
            };
            (device.quiet, device.storms) = (false, 0);
            let device = *device;
            let wanted = self.wanted_of(&device);
            let (pscid, idle) = (Self::pscid(device.group), self.idle_fsc(device.group));
            self.hw
                .rewrite_context(device.context, pscid, idle, wanted)?;
        }
        for slot in 0..DEVICES {
            let id = self.groups[slot].as_ref().map(|g| g.id(slot as u16));
            if let Some(id) = id {
                if let Some(root) = self.directory(id) {
                    self.hw.clear_processes(root)?;
                }
                self.rewrite_processes(id)?;
            }
        }
        self.hw.barrier(Barrier::MemToReg);
        Ok(())
    }
}

impl<P: Platform> Hw<P> {
    /// Hardware after a reset has nothing switched on, and is the one that was there before.
    fn check_reset(&mut self) -> Result<(), Fail> {
        let caps = Capabilities::from_bits(self.read64(offset::CAPABILITIES)?);
        let ddtp = Ddtp::from_bits(self.read64(offset::DDTP)?);
        let off = matches!(ddtp.iommu_mode(), iommu_mode::OFF | iommu_mode::BARE);
        if caps == self.caps && off && !ddtp.busy() {
            Ok(())
        } else {
            Err(Fail::Platform)
        }
    }

    /// Features and queues of hardware after a reset.
    fn program(&mut self) -> Result<(), Fail> {
        let ddtp = self.ddtp;
        self.quiet_queues()?;
        let features = self.features();
        self.ddtp = ddtp;
        features.map_err(|_| Fail::Platform)?;
        for (base, value) in [(offset::CQB, self.ring.cqb), (offset::FQB, self.faults.fqb)] {
            self.write64(base, value)?;
            if self.read64(base)? != value {
                return Err(Fail::Platform);
            }
        }
        self.write64(offset::ICVEC, 0)?;
        self.faults_on()?;
        self.queue_on()?;
        self.blanket()
    }

    fn translate_again(&mut self) -> Result<(), Fail> {
        self.write64(offset::DDTP, self.ddtp)?;
        let now = self.wait64(offset::DDTP, |v| !Ddtp::from_bits(v).busy())?;
        if now != self.ddtp {
            return Err(Fail::Platform);
        }
        self.blanket()
    }
}
