//! Start and stop of one IOMMU.

use portcullis_regmap::PAGE_SHIFT;
use portcullis_regmap::PAGE_SIZE;
use portcullis_regmap::ddt::Format;
use portcullis_regmap::regs::{
    Capabilities, Cqcsr, Ddtp, Fctl, Fqcsr, QueueBase, VERSION_1_0, igs, iommu_mode, offset,
};
use portcullis_regmap::{command, fault};

use crate::hw::{Fail, Hw};
use crate::platform::{Barrier, Platform};
use crate::pool::Pool;
use crate::types::Health;
use crate::{Error, PhysAddr};

impl From<Fail> for Error {
    fn from(fail: Fail) -> Self {
        match fail {
            Fail::Stuck => Error::TimedOut,
            Fail::Stopped | Fail::Lost | Fail::Platform => Error::Io,
        }
    }
}

impl<P: Platform> Hw<P> {
    /// From whatever firmware left to a directory in use in which every device is blocked.
    ///
    /// A failure leaves it to [`Hw::stop`] to undo what was done.
    pub(crate) fn start(&mut self) -> Result<(), Error> {
        self.caps = Capabilities::from_bits(self.read64(offset::CAPABILITIES)?);
        // The low nibble counts compatible additions.
        if self.caps.version() >> 4 != VERSION_1_0 >> 4 || !self.caps.sv39() {
            return Err(Error::NotSupported);
        }
        self.pool = Pool::new(self.config.table_chunk, self.caps.pas().into());
        self.leave_translation()?;
        self.quiet_queues()?;
        self.features()?;
        self.empty = self.zeroed_frame()?;
        self.publish(self.empty, PAGE_SIZE)?;
        self.command_queue()?;
        self.fault_queue()?;
        self.write64(offset::ICVEC, 0)?;
        self.directory()?;
        // Caches may hold leftovers of whoever used the IOMMU before (DDTP-10).
        let result = self.blanket();
        self.settle(result)
    }

    /// An IOMMU found translating is somebody's; changing one directory for another must go through Off (DDTP-06).
    fn leave_translation(&mut self) -> Result<(), Error> {
        let ddtp = Ddtp::from_bits(self.wait64(offset::DDTP, |v| !Ddtp::from_bits(v).busy())?);
        let translating = !matches!(ddtp.iommu_mode(), iommu_mode::OFF | iommu_mode::BARE);
        if !translating {
            return Ok(());
        }
        if !self.config.take_over {
            return Err(Error::Busy);
        }
        self.ddtp = ddtp.into_bits();
        Ok(self.ddtp_off()?)
    }

    /// Queues must be off while their base or fctl changes (CQB-03, FCTL-05).
    pub(crate) fn quiet_queues(&mut self) -> Result<(), Fail> {
        let cqcsr = Cqcsr::from_bits(self.read32(offset::CQCSR)?);
        if cqcsr.cqen() || cqcsr.cqon() || cqcsr.busy() {
            self.queue_off()?;
        }
        let fqcsr = Fqcsr::from_bits(self.read32(offset::FQCSR)?);
        if fqcsr.fqen() || fqcsr.fqon() || fqcsr.busy() {
            self.faults_off()?;
        }
        Ok(())
    }

    /// Little-endian, 64-bit formats, wires if there are any.
    pub(crate) fn features(&mut self) -> Result<(), Error> {
        let wanted = Fctl::new().with_wsi(self.caps.igs() != igs::MSI);
        let found = Fctl::from_bits(self.read32(offset::FCTL)?);
        let differs = found.be() || found.gxl() || found.wsi() != wanted.wsi();
        if differs {
            self.ddtp = self.read64(offset::DDTP)?;
            self.ddtp_off()?;
            self.write32(offset::FCTL, wanted.into_bits())?;
            let now = Fctl::from_bits(self.read32(offset::FCTL)?);
            if now.be() || now.gxl() {
                return Err(Error::NotSupported);
            }
        }
        // Messages would need the vectors' addresses; without wires the queues are polled.
        self.config.interrupts &= wanted.wsi();
        Ok(())
    }

    /// log2 of the entries of a queue: what was asked for, within what the hardware has.
    fn queue_log2(&mut self, base: u16, wanted: u32) -> Result<u32, Error> {
        self.write64(base, QueueBase::new().with_log2sz_minus_1(31).into_bits())?;
        let widest = QueueBase::from_bits(self.read64(base)?);
        if widest.ppn() != 0 {
            // A queue at a fixed place (CQB-05).
            return Err(Error::NotSupported);
        }
        let wanted = wanted
            .clamp(2, 1 << 16)
            .next_power_of_two()
            .trailing_zeros();
        Ok(wanted.min(u32::from(widest.log2sz_minus_1()) + 1))
    }

    /// Memory for a queue, and its base register.
    fn queue_base(&mut self, base: u16, log2: u32, entry: u64) -> Result<(PhysAddr, u64), Error> {
        let bytes = (entry << log2).max(PAGE_SIZE);
        let pa = self
            .pool
            .take(&mut self.p, bytes, bytes)
            .ok_or(Error::NoMemory)?;
        let value = QueueBase::new()
            .with_log2sz_minus_1(log2 as u8 - 1)
            .with_ppn(pa.0 >> PAGE_SHIFT);
        self.write64(base, value.into_bits())?;
        if self.read64(base)? != value.into_bits() {
            return Err(Error::NotSupported);
        }
        Ok((pa, value.into_bits()))
    }

    fn command_queue(&mut self) -> Result<(), Error> {
        self.ring.log2 = self.queue_log2(offset::CQB, self.config.command_queue)?;
        (self.ring.base, self.ring.cqb) =
            self.queue_base(offset::CQB, self.ring.log2, command::BYTES)?;
        Ok(self.queue_on()?)
    }

    fn fault_queue(&mut self) -> Result<(), Error> {
        self.faults.log2 = self.queue_log2(offset::FQB, self.config.fault_queue)?;
        (self.faults.base, self.faults.fqb) =
            self.queue_base(offset::FQB, self.faults.log2, fault::BYTES)?;
        Ok(self.faults_on()?)
    }

    /// The deepest directory the hardware takes. Its root page is empty when ddtp names it: all devices are blocked.
    fn directory(&mut self) -> Result<(), Error> {
        let root = self.zeroed_frame()?;
        for levels in [3, 2, 1] {
            if levels == 1 {
                self.fill_contexts(root, Format::of(self.caps.msi_flat()).dc_bytes())?;
            }
            self.publish(root, PAGE_SIZE)?;
            self.barrier(Barrier::MemToReg);
            let wanted = Ddtp::new()
                .with_iommu_mode(levels + 1)
                .with_ppn(root.0 >> PAGE_SHIFT);
            self.ddtp = wanted.into_bits();
            self.levels = levels;
            self.write64(offset::DDTP, self.ddtp)?;
            let now = Ddtp::from_bits(self.wait64(offset::DDTP, |v| !Ddtp::from_bits(v).busy())?);
            if now == wanted {
                return Ok(());
            }
            if !matches!(now.iommu_mode(), iommu_mode::OFF | iommu_mode::BARE) {
                break;
            }
        }
        Err(Error::NotSupported)
    }

    /// Switches everything off and gives all memory back, or nothing if the hardware might still use it.
    pub(crate) fn stop(&mut self) {
        if self.wedged() {
            return;
        }
        let quiet = self.switch_off();
        if quiet.is_ok() {
            // SAFETY: translation and both queues are off, as the hardware confirmed.
            unsafe { self.pool.free_all(&mut self.p) };
        }
    }

    fn switch_off(&mut self) -> Result<(), Fail> {
        // Off and never Bare: the way from a directory to Bare is unspecified (DDTP-08).
        if self.levels != 0 && self.health != Health::Closed {
            self.ddtp_off()?;
        }
        if self.ring.on {
            self.queue_off()?;
        }
        if self.faults.on {
            self.faults_off()?;
        }
        Ok(())
    }
}
