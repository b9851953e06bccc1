//! What the driver does from time to time, and when the IOMMU raises an interrupt.

use portcullis_regmap::regs::{Ipsr, offset};

use crate::Error;
use crate::hw::{Fail, Hw};
use crate::iommu::{Inner, Iommu, Polled};
use crate::platform::Platform;
use crate::types::GroupId;

/// Result of [`Iommu::on_interrupt`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// The command queue raised it; if it had stopped, it was repaired.
    pub commands: bool,
    /// Fault records wait for [`Faults::drain`](crate::Faults::drain), or some were lost.
    pub faults: bool,
}

impl<P: Platform, const DEVICES: usize> Iommu<P, DEVICES> {
    /// Takes note of the pending interrupts. Their bits are cleared before the queues are looked at: what arrives later
    /// raises them again. Waits for nothing, unless the command queue must be repaired.
    ///
    /// # Errors
    /// [`Error::Io`]: the hardware failed, now or before.
    pub fn on_interrupt(&self) -> Result<Events, Error> {
        self.with(|i| {
            i.hw.usable()?;
            let result = i.hw.take_interrupts();
            let pending = match result {
                Ok(pending) => pending,
                Err(fail) => return i.hw.settle(Err(fail)).map(|()| Events::default()),
            };
            if pending.cip() {
                let result = i.hw.queue_running();
                i.hw.settle(result)?;
            }
            Ok(Events {
                commands: pending.cip(),
                faults: pending.fip() || i.hw.faults_pending()? > 0,
            })
        })
    }
}

impl<P: Platform> Hw<P> {
    #[inline(never)]
    fn take_interrupts(&mut self) -> Result<Ipsr, Fail> {
        let pending = Ipsr::from_bits(self.read32(offset::IPSR)?);
        if pending.cip() || pending.fip() {
            let clear = Ipsr::new().with_cip(pending.cip()).with_fip(pending.fip());
            self.write32(offset::IPSR, clear.into_bits())?;
        }
        Ok(pending)
    }
}

impl<P: Platform, const DEVICES: usize> Inner<P, DEVICES> {
    pub(crate) fn poll(&mut self) -> Result<Polled, Error> {
        self.hw.usable()?;
        let result = self.hw.queue_running();
        self.hw.settle(result)?;
        let mut polled = Polled::default();
        let (now, age) = (self.hw.p.now_us(), self.hw.config.flush_age_us);
        for slot in 0..DEVICES {
            let due = self.groups[slot]
                .as_ref()
                .filter(|g| g.flush.pending > 0 && now.saturating_sub(g.flush.oldest_us) >= age);
            if let Some(generation) = due.map(|g| g.generation) {
                let slot = slot as u16;
                self.flush(GroupId { slot, generation })?;
                polled.flushed += 1;
            }
        }
        polled.quieted = self.count_storms()?;
        polled.faults = self.hw.faults_pending()? > 0;
        Ok(polled)
    }

    /// A device whose records were found by many polls in a row is quieted: the queue is for the others too.
    #[inline(never)]
    fn count_storms(&mut self) -> Result<usize, Error> {
        let limit = self.hw.config.storm_polls;
        let mut quieted = 0;
        for slot in 0..DEVICES {
            let Some(device) = self.devices[slot].as_mut() else {
                continue;
            };
            let faulted = core::mem::take(&mut device.faulted);
            device.storms = if faulted {
                device.storms.saturating_add(1)
            } else {
                0
            };
            let device = *device;
            // Where a directory is, DTF would be shared by all process ids.
            let may = device.standing.follows() && self.directory(device.group).is_none();
            if limit > 0 && device.storms >= limit && !device.quiet && may {
                self.hush(device)?;
                quieted += 1;
            }
        }
        Ok(quieted)
    }
}
