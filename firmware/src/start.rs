//! Start and stop of one IOMMU.

use core::fmt;

use portcullis_regmap::PAGE_SHIFT;
use portcullis_regmap::PAGE_SIZE;
use portcullis_regmap::ddt::Format;
use portcullis_regmap::regs::{
    Capabilities, Cqcsr, Ddtp, Fctl, Fqcsr, QueueBase, VERSION_1_0, igs, iommu_mode, offset,
};
use portcullis_regmap::{command, fault};

use crate::hw::{Fail, Hw};
use crate::iommu::{InitError, Inner, Iommu};
use crate::platform::{Barrier, Path, Platform};
use crate::types::{Config, DeviceId, DeviceInfo, Health, TrustToken};
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
    /// From whatever firmware left to queues in use. Translation stays as it was found, Off or Bare, unless features must
    /// change, which they can in Off only.
    ///
    /// Answers whether it was found in Bare. A failure leaves it to [`Hw::stop`] to undo what was done.
    #[inline(never)]
    pub(crate) fn prepare(&mut self) -> Result<bool, Error> {
        self.caps = Capabilities::from_bits(self.read64(offset::CAPABILITIES)?);
        // The low nibble counts compatible additions.
        if self.caps.version() >> 4 != VERSION_1_0 >> 4 || !self.caps.sv39() {
            return Err(Error::NotSupported);
        }
        self.pool.reach(self.caps.pas().into());
        let bare = self.leave_translation()?;
        self.quiet_queues()?;
        self.features()?;
        self.empty = self.zeroed_frame()?;
        self.publish(self.empty, PAGE_SIZE)?;
        self.command_queue()?;
        self.fault_queue()?;
        self.write64(offset::ICVEC, 0)?;
        // Caches may hold leftovers of whoever used the IOMMU before (DDTP-10). Nothing fills them while no directory is in
        // use, so that none is left when the first request is translated.
        let result = self.blanket();
        self.settle(result).map(|()| bare)
    }

    /// Answers whether every device reaches all of memory. An IOMMU found translating is somebody's; changing one directory
    /// for another must go through Off (DDTP-06).
    fn leave_translation(&mut self) -> Result<bool, Error> {
        let ddtp = Ddtp::from_bits(self.wait64(offset::DDTP, |v| !Ddtp::from_bits(v).busy())?);
        let translating = !matches!(ddtp.iommu_mode(), iommu_mode::OFF | iommu_mode::BARE);
        if !translating {
            return Ok(ddtp.iommu_mode() == iommu_mode::BARE);
        }
        if !self.config.take_over {
            return Err(Error::Busy);
        }
        self.ddtp = ddtp.into_bits();
        self.ddtp_off()?;
        Ok(false)
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

    /// An empty directory that is not in use yet: every device is blocked in it.
    pub(crate) fn new_directory(&mut self, levels: u8) -> Result<(), Error> {
        let root = self.zeroed_frame()?;
        if levels == 1 {
            self.fill_contexts(root, Format::of(self.caps.msi_flat()).dc_bytes())?;
        }
        self.publish(root, PAGE_SIZE)?;
        self.levels = levels;
        self.ddtp = Ddtp::new()
            .with_iommu_mode(levels + 1)
            .with_ppn(root.0 >> PAGE_SHIFT)
            .into_bits();
        Ok(())
    }

    /// Lets ddtp name the directory: in one step every request goes from where it went to its context. Whether the hardware
    /// takes one that deep; if not, ddtp is as it was.
    #[inline(never)]
    pub(crate) fn use_directory(&mut self) -> Result<bool, Error> {
        self.barrier(Barrier::MemToReg);
        self.in_use = true;
        self.write64(offset::DDTP, self.ddtp)?;
        let now = self.wait64(offset::DDTP, |v| !Ddtp::from_bits(v).busy())?;
        if now == self.ddtp {
            // Once more: a request may have met Bare or Off on its way.
            let result = self.blanket();
            return self.settle(result).map(|()| true);
        }
        if !matches!(
            Ddtp::from_bits(now).iommu_mode(),
            iommu_mode::OFF | iommu_mode::BARE
        ) {
            return Err(Error::NotSupported);
        }
        self.in_use = false;
        self.free_directory(
            PhysAddr(Ddtp::from_bits(self.ddtp).ppn() << PAGE_SHIFT),
            self.levels,
        );
        Ok(false)
    }

    /// Switches everything off and gives all memory back, or nothing if the hardware might still use it. A start that did
    /// not come far enough to change translation leaves it as it was found.
    ///
    /// An error: the hardware did not confirm it.
    pub(crate) fn stop(&mut self) -> Result<(), Error> {
        if self.wedged() {
            return Err(Error::Io);
        }
        self.switch_off()?;
        // SAFETY: neither directory nor queues are in use, as the hardware confirmed.
        unsafe { self.pool.free_all(&mut self.p) };
        Ok(())
    }

    fn stop_in_bare(&mut self) -> Result<(), Error> {
        self.stop()?;
        self.bare()
    }

    /// From Off to Bare: every device reaches all of memory.
    fn bare(&mut self) -> Result<(), Error> {
        let bare = Ddtp::new().with_iommu_mode(iommu_mode::BARE);
        self.write64(offset::DDTP, bare.into_bits())?;
        let now = Ddtp::from_bits(self.wait64(offset::DDTP, |v| !Ddtp::from_bits(v).busy())?);
        if now.iommu_mode() == iommu_mode::BARE {
            Ok(())
        } else {
            Err(Error::NotSupported)
        }
    }

    fn switch_off(&mut self) -> Result<(), Fail> {
        // Off and never Bare: the way from a directory to Bare is unspecified (DDTP-08).
        if self.in_use && self.health != Health::Closed {
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

/// A device that is known before the IOMMU starts, see [`Iommu::with_devices`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootDevice {
    /// The device. There are no groups yet: [`DeviceInfo::group`] must be `None`.
    pub info: DeviceInfo,
    /// A device before it in the list, whose group it joins.
    pub with: Option<DeviceId>,
    /// For a device with [`DeviceInfo::deferred`], and hardware found in Bare: until its first use the device keeps what it
    /// has there, all of memory, and so the promise of a [`TrustToken`]. Its first use takes that away by one store, where
    /// the platform's stores are wide enough; whatever else is attached to its group, its removal and its reset take it
    /// away by blocking. Meanwhile [`Iommu::isolation`] is false.
    pub keeps: Option<TrustToken>,
}

impl From<DeviceInfo> for BootDevice {
    fn from(info: DeviceInfo) -> Self {
        BootDevice {
            info,
            with: None,
            keeps: None,
        }
    }
}

/// A failed stop: the platform comes back.
pub struct StopError<P> {
    /// What [`Iommu::new`](crate::Iommu::new) was given.
    pub platform: P,
    /// Why.
    pub error: Error,
}

impl<P> StopError<P> {
    fn or(platform: P, result: Result<(), Error>) -> Result<P, Self> {
        match result {
            Ok(()) => Ok(platform),
            Err(error) => Err(StopError { platform, error }),
        }
    }
}

impl<P> fmt::Debug for StopError<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StopError")
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

impl<P> fmt::Display for StopError<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IOMMU does not stop: {}", self.error)
    }
}

impl<P> core::error::Error for StopError<P> {}

impl<P: Platform, const DEVICES: usize> Iommu<P, DEVICES> {
    /// As [`Iommu::with_capacity`], for an IOMMU that devices already work behind. Their contexts are complete before the
    /// directory is in use, so an IOMMU found in Bare goes from there to the default domains in one step: a device with
    /// direct regions reaches them before, during and after, and nobody passes untranslated afterwards. Found in Off,
    /// everything is blocked until that step. (Hardware whose `fctl` must be changed goes through Off.)
    ///
    /// Deferred devices are blocked from that step on unless they keep what they have in Bare ([`BootDevice::keeps`]), and so
    /// are all that are not in the list.
    ///
    /// # Errors
    /// As [`Iommu::new`] and [`Iommu::add_device`]; [`Error::Invalid`] also for a device with a [`DeviceInfo::group`], and for
    /// one with [`BootDevice::keeps`] that is not deferred, or in a group with an untrusted one; [`Error::NotSupported`] for one
    /// with that in a group with a process directory; [`Error::NotFound`] for one that joins a device that is not before it in
    /// the list. Unless the hardware failed, DMA goes where it went before.
    pub fn with_devices(
        platform: P,
        config: Config,
        devices: &[BootDevice],
    ) -> Result<Self, InitError<P>> {
        let mut inner = Inner::new(Hw::new(platform, config));
        match inner.begin(devices) {
            Ok(()) => Ok(Iommu::from(inner)),
            Err(error) => Err(InitError {
                platform: inner.hw.p,
                error,
            }),
        }
    }

    /// As [`Iommu::with_devices`], in a place of the caller's, such as a static: with room for many devices an IOMMU is too
    /// large to be moved there over a small stack. An IOMMU that is there is dropped, and thereby stopped, before.
    ///
    /// # Errors
    /// As [`Iommu::with_devices`]; then the place is empty.
    pub fn start_in(
        place: &mut Option<Self>,
        platform: P,
        config: Config,
        devices: &[BootDevice],
    ) -> Result<(), InitError<P>> {
        Self::idle_in(place, platform, config);
        let result = match place {
            Some(iommu) => iommu.inner().begin(devices),
            None => Ok(()),
        };
        result.or_else(|error| Self::not_started(place, error))
    }

    #[cold]
    #[inline(never)]
    fn not_started(place: &mut Option<Self>, error: Error) -> Result<(), InitError<P>> {
        match Self::empty(place) {
            Some(platform) => Err(InitError { platform, error }),
            None => Ok(()),
        }
    }

    /// One that has not touched the hardware yet.
    #[inline(never)]
    fn idle_in(place: &mut Option<Self>, platform: P, config: Config) {
        *place = None;
        // SAFETY: good for writing, and nothing is overwritten. An assignment would make the new value on the stack,
        // because it might have to drop an old one.
        unsafe {
            core::ptr::write(
                place,
                Some(Self::from(Inner::new(Hw::new(platform, config)))),
            )
        };
    }

    /// Empties the place of an IOMMU that was stopped, and answers its platform.
    fn empty(place: &mut Option<Self>) -> Option<P> {
        let platform = place.as_mut().map(|iommu| {
            // SAFETY: overwritten in the next line, without being dropped.
            unsafe { iommu.platform() }
        });
        // SAFETY: nothing but the platform would have to be dropped.
        unsafe { core::ptr::write(place, None) };
        platform
    }

    /// Switches translation off, which blocks all DMA, and gives all memory back.
    ///
    /// As dropping it, but the platform comes back, and a failure is told.
    ///
    /// # Errors
    /// [`Error::TimedOut`], [`Error::Io`]: the hardware did not confirm it; what it may still use is not given back.
    pub fn stop(mut self) -> Result<P, StopError<P>> {
        let result = self.inner().hw.stop();
        // SAFETY: forgotten in the next line.
        let platform = unsafe { self.platform() };
        core::mem::forget(self);
        StopError::or(platform, result)
    }

    /// As [`Iommu::stop`], and then to Bare: the next kernel finds devices that reach memory without translation. Guards,
    /// domains and mappings are over by then, since they borrow the IOMMU. DMA is blocked in between: the way from a
    /// directory to Bare leads through Off.
    ///
    /// # Errors
    /// As [`Iommu::stop`], and [`Error::NotSupported`] if the hardware does not take Bare; then DMA stays off.
    pub fn stop_in_bare(mut self, _: &TrustToken) -> Result<P, StopError<P>> {
        let result = self.inner().hw.stop_in_bare();
        // SAFETY: forgotten in the next line.
        let platform = unsafe { self.platform() };
        core::mem::forget(self);
        StopError::or(platform, result)
    }

    /// As [`Iommu::stop`], or [`Iommu::stop_in_bare`] with a token, of an IOMMU in a place of the caller's. Answers no
    /// platform if the place is empty; it is empty afterwards.
    ///
    /// # Errors
    /// As there.
    pub fn stop_in(
        place: &mut Option<Self>,
        bare: Option<&TrustToken>,
    ) -> Result<Option<P>, StopError<P>> {
        let Some(iommu) = place else {
            return Ok(None);
        };
        let hw = &mut iommu.inner().hw;
        let result = match bare {
            Some(_) => hw.stop_in_bare(),
            None => hw.stop(),
        };
        match Self::empty(place) {
            Some(platform) => StopError::or(platform, result).map(Some),
            None => Ok(None),
        }
    }

    /// The platform of an IOMMU that is over.
    ///
    /// # Safety
    /// The IOMMU is neither used nor dropped any more.
    unsafe fn platform(&mut self) -> P {
        // SAFETY: by contract this is the only copy that is used.
        unsafe { core::ptr::read(&self.inner().hw.p) }
    }
}

impl<P: Platform, const DEVICES: usize> Inner<P, DEVICES> {
    /// Starts, or stops what was begun.
    #[inline(always)]
    fn begin(&mut self, devices: &[BootDevice]) -> Result<(), Error> {
        let result = self.boot(devices);
        if result.is_err() {
            // What the hardware does not confirm shows in nothing but memory that is not given back.
            let _ = self.hw.stop();
        }
        result
    }

    /// With the deepest directory that the hardware takes.
    #[inline(always)]
    fn boot(&mut self, devices: &[BootDevice]) -> Result<(), Error> {
        let bare = self.hw.prepare()?;
        for levels in (1..=3).rev() {
            self.hw.new_directory(levels)?;
            for device in devices {
                self.add_known(device)?;
            }
            // Once all are there: groups are complete.
            for device in devices.iter().filter(|d| d.keeps.is_some()) {
                self.keep(device.info.id, bare)?;
            }
            if self.hw.use_directory()? {
                self.tell_of_boot();
                return Ok(());
            }
            self.forget_all();
        }
        Err(Error::NotSupported)
    }

    /// Their contexts went with the directory.
    #[inline(never)]
    fn forget_all(&mut self) {
        while let Some(device) = self.devices.iter().flatten().next().copied() {
            self.forget(device);
        }
    }

    fn add_known(&mut self, device: &BootDevice) -> Result<(), Error> {
        if device.info.group.is_some() || (device.keeps.is_some() && !device.info.deferred) {
            return Err(Error::Invalid);
        }
        let group = match device.with {
            None => None,
            Some(id) => Some(self.device(id).ok_or(Error::NotFound)?.group),
        };
        self.add_device(&device.info, group).map(drop)
    }

    #[inline(never)]
    fn keep(&mut self, id: DeviceId, bare: bool) -> Result<(), Error> {
        let group = self.device(id).ok_or(Error::NoDevice)?.group;
        if self.devices_of(group).any(|d| d.untrusted) {
            return Err(Error::Invalid);
        }
        if self.directory(group).is_some() {
            return Err(Error::NotSupported);
        }
        if bare {
            self.keep_boot(group, id)?;
        }
        Ok(())
    }

    /// One event per device whose DMA reaches something since the directory is in use.
    #[inline(never)]
    fn tell_of_boot(&mut self) {
        for slot in 0..DEVICES {
            if let Some(device) = self.devices[slot]
                && let Some((_, fsc)) = self.wanted_of(&device)
            {
                let (only, waited) = (Some(device.id), self.hw.stats.fence_wait_us);
                self.changed(device.group, only, None, Some(fsc), Path::Publish, waited);
            }
        }
    }
}
