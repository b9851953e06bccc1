//! Fault records: draining the queue, within a budget.

use portcullis_regmap::fault::{self, Record, ttyp};
use portcullis_regmap::regs::{Fqcsr, Ipsr, offset};

use crate::hw::{Fail, Hw};
use crate::iommu::Iommu;
use crate::platform::{Barrier, Platform};
use crate::types::{DeviceId, GroupId, Health};
use crate::{Error, PhysAddr};

/// A fault, with what the driver knows about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultRecord {
    /// What the hardware wrote. Any value may occur, reserved ones included.
    pub record: Record,
    /// Group of the device; `None` if the driver does not know the device, or the fault is not of a device.
    pub group: Option<GroupId>,
    /// The group is blocked by now, so the record may be older than that.
    pub stale: bool,
}

impl FaultRecord {
    /// Device id in the record.
    pub fn device(&self) -> DeviceId {
        DeviceId(self.record.info().did())
    }
}

/// Result of [`Faults::drain`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Records delivered.
    pub records: usize,
    /// Records were lost since the last drain: the queue was full, or could not be written.
    pub lost: bool,
    /// The budget ended before the records did.
    pub more: bool,
}

/// The fault queue of an IOMMU.
pub struct Faults<'i, P: Platform, const DEVICES: usize> {
    iommu: &'i Iommu<P, DEVICES>,
}

impl<'i, P: Platform, const DEVICES: usize> Faults<'i, P, DEVICES> {
    pub(crate) fn new(iommu: &'i Iommu<P, DEVICES>) -> Self {
        Faults { iommu }
    }

    /// Hands over at most `budget` records, oldest first. The closure may call the driver.
    ///
    /// # Errors
    /// [`Error::Io`] if the registers or the queue cannot be read; what was delivered until then stays delivered.
    pub fn drain(
        &self,
        budget: usize,
        mut deliver: impl FnMut(&FaultRecord),
    ) -> Result<Drained, Error> {
        let mut drained = Drained::default();
        loop {
            let pending = self.iommu.with(|i| i.hw.faults_pending())?;
            drained.more = pending > 0;
            if pending == 0 || drained.records == budget {
                break;
            }
            for _ in 0..pending.min(budget - drained.records) {
                // One by one, so that the closure runs while the driver is not borrowed.
                let record = self.iommu.with(|i| {
                    let record = i.hw.next_fault()?;
                    Ok::<_, Error>(i.attribute(record))
                })?;
                drained.records += 1;
                deliver(&record);
            }
            self.iommu.with(|i| i.hw.release_faults())?;
        }
        // Without room nothing is gained: the next fault would be lost like the last one.
        if drained.records > 0 || !drained.more {
            drained.lost = self.iommu.with(|i| i.hw.clear_fault_errors())?;
        }
        Ok(drained)
    }
}

/// Consumer side of the fault queue.
#[derive(Default)]
pub(crate) struct FaultQueue {
    pub(crate) base: PhysAddr,
    pub(crate) log2: u32,
    /// Enabled, as the driver left it.
    pub(crate) on: bool,
    /// Value of fqb.
    pub(crate) fqb: u64,
    /// Next record to read.
    head: u32,
}

impl FaultQueue {
    fn mask(&self) -> u32 {
        (1 << self.log2) - 1
    }
}

impl<P: Platform> Hw<P> {
    /// Errors of the fault queue do not touch isolation, so they do not close translation; a lost IOMMU does.
    fn fault_result<T>(&mut self, result: Result<T, Fail>) -> Result<T, Error> {
        result.map_err(|fail| {
            if fail == Fail::Lost {
                let _ = self.settle(Err(fail));
            }
            Error::Io
        })
    }

    /// Records between what was read and what the hardware has written.
    pub(crate) fn faults_pending(&mut self) -> Result<usize, Error> {
        if self.health == Health::Wedged {
            return Err(Error::Io);
        }
        let result = self.read_fault_tail();
        let tail = self.fault_result(result)?;
        Ok((tail.wrapping_sub(self.faults.head) & self.faults.mask()) as usize)
    }

    #[inline(never)]
    fn read_fault_tail(&mut self) -> Result<u32, Fail> {
        // Cleared before the tail is read: a record that arrives in between raises it again (INT-06).
        let ipsr = Ipsr::from_bits(self.read32(offset::IPSR)?);
        if ipsr.fip() {
            self.write32(offset::IPSR, Ipsr::new().with_fip(true).into_bits())?;
        }
        let tail = self.read32(offset::FQT)?;
        if tail > self.faults.mask() {
            return Err(Fail::Stopped);
        }
        // The records are written before the index that covers them (FQ-01); read them in that order too.
        self.barrier(Barrier::RegToMem);
        Ok(tail)
    }

    /// The next record; only as many as were pending.
    pub(crate) fn next_fault(&mut self) -> Result<Record, Error> {
        let at = PhysAddr(self.faults.base.0 + u64::from(self.faults.head) * fault::BYTES);
        let result = self.read_record(at);
        let record = self.fault_result(result)?;
        self.faults.head = (self.faults.head + 1) & self.faults.mask();
        Ok(record)
    }

    #[inline(never)]
    fn read_record(&mut self, at: PhysAddr) -> Result<Record, Fail> {
        self.acquire(at, fault::BYTES)?;
        let mut record = Record::default();
        for (n, dw) in (0..).zip(&mut record.dw) {
            *dw = self.load(PhysAddr(at.0 + n * 8))?;
        }
        Ok(record)
    }

    /// Gives the slots of the records read back to the hardware.
    pub(crate) fn release_faults(&mut self) -> Result<(), Error> {
        let result = self.write32(offset::FQH, self.faults.head);
        self.fault_result(result)
    }

    /// Lets reporting go on after records were lost, and tells whether they were. There is room by now.
    pub(crate) fn clear_fault_errors(&mut self) -> Result<bool, Error> {
        let result = self.clear_fqcsr();
        self.fault_result(result)
    }

    #[inline(never)]
    fn clear_fqcsr(&mut self) -> Result<bool, Fail> {
        let fqcsr = Fqcsr::from_bits(self.wait32(offset::FQCSR, |v| !Fqcsr::from_bits(v).busy())?);
        let lost = fqcsr.fqof() || fqcsr.fqmf();
        if lost {
            self.stats.fault_losses += 1;
            let clear = self
                .fault_enable()
                .with_fqof(fqcsr.fqof())
                .with_fqmf(fqcsr.fqmf());
            self.write32(offset::FQCSR, clear.into_bits())?;
        }
        Ok(lost)
    }

    fn fault_enable(&self) -> Fqcsr {
        Fqcsr::new()
            .with_fqen(self.faults.on)
            .with_fie(self.config.interrupts)
    }

    /// Switches the fault queue on, empty.
    pub(crate) fn faults_on(&mut self) -> Result<(), Fail> {
        self.faults.head = 0;
        self.write32(offset::FQH, 0)?;
        self.faults.on = true;
        self.write32(offset::FQCSR, self.fault_enable().into_bits())?;
        self.wait32(offset::FQCSR, |v| {
            Fqcsr::from_bits(v).fqon() && !Fqcsr::from_bits(v).busy()
        })?;
        Ok(())
    }

    /// Switches the fault queue off; afterwards it writes no memory (FQCSR-03).
    pub(crate) fn faults_off(&mut self) -> Result<(), Fail> {
        self.wait32(offset::FQCSR, |v| !Fqcsr::from_bits(v).busy())?;
        self.write32(offset::FQCSR, 0)?;
        self.wait32(offset::FQCSR, |v| {
            !Fqcsr::from_bits(v).fqon() && !Fqcsr::from_bits(v).busy()
        })?;
        self.faults.on = false;
        Ok(())
    }
}

impl<P: Platform, const DEVICES: usize> crate::iommu::Inner<P, DEVICES> {
    #[inline(never)]
    fn attribute(&mut self, record: Record) -> FaultRecord {
        self.hw.stats.faults += 1;
        let info = record.info();
        let of_device = info.ttyp() != ttyp::NONE;
        let group = if of_device {
            self.device(DeviceId(info.did())).map(|d| d.group)
        } else {
            None
        };
        if of_device && group.is_none() {
            self.hw.stats.unknown_faults += 1;
        }
        if let Some(device) = self
            .devices
            .iter_mut()
            .flatten()
            .find(|d| of_device && d.id.0 == info.did())
        {
            device.faulted = true;
        }
        let stale = group.is_some_and(|g| self.is_blocked(g));
        FaultRecord {
            record,
            group,
            stale,
        }
    }
}
