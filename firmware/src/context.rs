//! The one code path that changes contexts: whatever a group's DMA shall reach next, [`Inner::set`] brings the
//! hardware there by BLOCK, PUB, SWAP or SLOW.

use portcullis_regmap::command::Command;
use portcullis_regmap::ddt::{Iosatp, Tc, dc};

use crate::device::Device;
use crate::group::GroupState;
use crate::hw::{Fail, Hw};
use crate::iommu::Inner;
use crate::platform::{Barrier, Change, Event, Path, Platform, StoreWidth};
use crate::pool::PageList;
use crate::types::{DeviceId, GroupId, Pasid};
use crate::{Error, PhysAddr};

/// `fsc` of a context that passes every address as it is.
pub(crate) const IDENTITY: u64 = Iosatp::new().into_bits();

/// Why a change would interrupt DMA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotHitless {
    /// The group is blocked: there is nothing to keep.
    Blocked,
    /// The two page-table formats differ, and caches may hold entries of both.
    Format,
    /// More changes than one store of this platform can cover.
    StoreWidth,
    /// The target cannot be attached at all.
    Unfit(Error),
}

/// How [`Inner::set`] may go about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Any way.
    Plain,
    /// Without dropping DMA, or not at all.
    Hitless,
    /// To the default domain: devices whose attach is deferred stay as they are.
    ToDefault,
}

impl<P: Platform> Hw<P> {
    /// Whether one store changes a context in use from `old` to `new`, such that hardware sees either of them.
    pub(crate) fn swappable(old: u64, new: u64) -> Result<(), NotHitless> {
        let (from, to) = (Iosatp::from_bits(old).mode(), Iosatp::from_bits(new).mode());
        // The PSCID is the slot's, and is preset while the first stage is Bare.
        if from != to && from != 0 && to != 0 {
            return Err(NotHitless::Format);
        }
        let one_half = (old ^ new) >> 32 == 0 || (old ^ new) as u32 == 0;
        if P::STORE == StoreWidth::W8 || one_half {
            Ok(())
        } else {
            Err(NotHitless::StoreWidth)
        }
    }

    /// Everything cached of one address space is gone, and what was granted has landed.
    #[inline(never)]
    pub(crate) fn purge(&mut self, pscid: u32) -> Result<(), Fail> {
        self.push(Command::iotinval_vma_pscid(pscid))?;
        self.finish()
    }
}

impl<P: Platform, const DEVICES: usize> Inner<P, DEVICES> {
    /// Lets the DMA of a group reach `target` and nothing else; `None` is blocked. Does nothing if that is so already
    /// . In between DMA reaches old, new, or nothing; with `hitless`, old or new.
    ///
    /// The caller records the new state. An error from the hardware means that translation is off by now, or that the
    /// hardware is given up.
    pub(crate) fn set(
        &mut self,
        id: GroupId,
        target: Option<u64>,
        manner: Manner,
    ) -> Result<(), Error> {
        if self.directory(id).is_some() {
            self.set_in_directory(id, target, manner)
        } else {
            self.set_contexts(id, target, manner)
        }
    }

    /// With a process directory, what a group's devices send without a process id is process id 0 of it. No such device is
    /// deferred.
    #[inline(never)]
    fn set_in_directory(
        &mut self,
        id: GroupId,
        target: Option<u64>,
        manner: Manner,
    ) -> Result<(), Error> {
        let old = self.state(id).ok_or(Error::NoDevice)?.fsc();
        if old == target {
            return Ok(());
        }
        if self.hw.usable().is_err() {
            return self.purged_by_off(id);
        }
        let kept = old.zip(target);
        if manner == Manner::Hitless
            && kept.is_none_or(|(from, to)| Hw::<P>::swappable(from, to).is_err())
        {
            return Err(Error::NotSupported);
        }
        self.set_process(id, 0, Self::pscid(id), old, target)
    }

    /// Off is a stronger purge than any; what the contexts say is put right by `recover`.
    fn purged_by_off(&mut self, id: GroupId) -> Result<(), Error> {
        self.purged(id);
        Err(Error::Io)
    }

    #[inline(never)]
    fn set_contexts(
        &mut self,
        id: GroupId,
        target: Option<u64>,
        manner: Manner,
    ) -> Result<(), Error> {
        let old = self.state(id).ok_or(Error::NoDevice)?.fsc();
        let waited = self.hw.stats.fence_wait_us;
        let hitless = manner == Manner::Hitless;
        let idle = manner != Manner::ToDefault && self.has_deferred(id);
        if idle && hitless {
            // Devices that are blocked by now cannot be brought along without a wait.
            return Err(Error::NotSupported);
        }
        if old == target && !idle {
            return Ok(());
        }
        if self.hw.usable().is_err() {
            return self.purged_by_off(id);
        }
        if manner == Manner::ToDefault
            && self.has_deferred(id)
            && self.of(id, None).next().is_none()
        {
            // Nobody follows the group yet: there is neither a context to change nor anything cached.
            return Ok(());
        }
        if idle {
            self.end_deferral(id);
        }
        let result = self.bring(id, old, target, hitless, idle);
        if idle {
            self.deferral_ended(id, result.is_ok());
        }
        self.changed(id, None, old, target, result?, waited);
        Ok(())
    }

    #[inline(never)]
    fn bring(
        &mut self,
        id: GroupId,
        old: Option<u64>,
        target: Option<u64>,
        hitless: bool,
        idle: bool,
    ) -> Result<Path, Error> {
        match (old, target) {
            (_, None) => self.block(id, None).map(|()| Path::Block),
            (None, Some(_)) if hitless => Err(Error::NotSupported),
            (None, Some(fsc)) => {
                let valid = |d: &Device| d.quiet || d.standing.has_boot();
                if self.of(id, None).any(valid) {
                    // Fields change only under V=0.
                    self.block(id, None)?;
                }
                self.publish(id, fsc).map(|()| Path::Publish)
            }
            (Some(old), Some(fsc)) => match Hw::<P>::swappable(old, fsc) {
                Ok(()) if !idle => self.swap(id, None, old, fsc).map(|()| Path::Swap),
                Err(_) if hitless => Err(Error::NotSupported),
                _ => {
                    self.block(id, None)?;
                    self.publish(id, fsc).map(|()| Path::Slow)
                }
            },
        }
    }

    /// Tells of a change that is done and began when `waited` was the time spent in waits.
    #[inline(never)]
    pub(crate) fn changed(
        &mut self,
        group: GroupId,
        device: Option<DeviceId>,
        old: Option<u64>,
        new: Option<u64>,
        path: Path,
        waited: u64,
    ) {
        if !self.hw.in_use {
            // Nobody goes there yet.
            return;
        }
        let wait_us = self.hw.stats.fence_wait_us - waited;
        self.hw.p.event(Event::Changed(Change {
            group,
            device,
            pasid: Pasid(0),
            old,
            new,
            path,
            wait_us,
        }));
    }

    /// Devices of a group, or one of them.
    fn of(&self, id: GroupId, only: Option<DeviceId>) -> impl Iterator<Item = &Device> {
        select(&self.devices, id, only)
    }

    /// BLOCK: V=0 everywhere, then SYNC; only then is what the contexts led to out of reach.
    #[inline(never)]
    fn block(&mut self, id: GroupId, only: Option<DeviceId>) -> Result<(), Error> {
        let stored = self.invalidate_contexts(id, only);
        let result = self.sync_stored(id, only, stored);
        self.purged(id);
        result?;
        let result = self.scrub_contexts(id, only);
        self.hw.settle(result)?;
        let blocked = self.devices.iter_mut().flatten();
        for device in blocked.filter(|d| selected(d, id, only)) {
            device.quiet = false;
        }
        Ok(())
    }

    /// BLOCK of one device, whose group stays where it is.
    #[inline(never)]
    pub(crate) fn block_device(&mut self, device: &Device) -> Result<(), Error> {
        let (id, waited) = (device.group, self.hw.stats.fence_wait_us);
        let old = self.wanted_of(device).map(|(_, fsc)| fsc);
        self.block(id, Some(device.id))?;
        self.changed(id, Some(device.id), old, None, Path::Block, waited);
        Ok(())
    }

    #[inline(never)]
    fn invalidate_contexts(&mut self, id: GroupId, only: Option<DeviceId>) -> Result<(), Fail> {
        let Inner { hw, devices, .. } = self;
        for device in select(devices, id, only) {
            let at = PhysAddr(device.context.0 + dc::TC);
            let tc = Tc::from_bits(hw.load(at)?);
            hw.clear_valid(at, tc.with_v(false).into_bits())?;
            hw.publish(at, 8)?;
        }
        Ok(())
    }

    /// SYNC after stores to contexts, if these have worked.
    fn sync_stored(
        &mut self,
        id: GroupId,
        only: Option<DeviceId>,
        stored: Result<(), Fail>,
    ) -> Result<(), Error> {
        let result = match stored {
            Ok(()) => self.sync_contexts(id, only),
            Err(fail) => Err(fail),
        };
        self.hw.settle(result)
    }

    /// SYNC: everything cached of these contexts and of their address space is gone, and what was granted has landed.
    /// Contexts that lead to a process directory have several address spaces.
    ///
    /// The fence in the middle keeps IOTINVAL behind INVAL_DDT: executed first, it would be undone by a walk that
    /// still uses the old context.
    #[inline(never)]
    pub(crate) fn sync_contexts(
        &mut self,
        id: GroupId,
        only: Option<DeviceId>,
    ) -> Result<(), Fail> {
        self.hw.barrier(Barrier::MemToMem);
        if !self.hw.in_use {
            // Nothing of a directory is cached before the hardware was told of it.
            return Ok(());
        }
        if self.of(id, only).count() as u64 > self.hw.ring.entries() / 2 {
            self.hw.push(Command::inval_ddt(None))?;
        } else {
            for slot in 0..DEVICES {
                let device = self.devices[slot].as_ref();
                if let Some(device) = device.filter(|d| selected(d, id, only)) {
                    self.hw.push(Command::inval_ddt(Some(device.id.0)))?;
                }
            }
        }
        self.hw.push(Command::iofence(false, false))?;
        self.hw.push(match self.directory(id) {
            Some(_) => Command::iotinval_vma_all(),
            None => Command::iotinval_vma_pscid(Self::pscid(id)),
        })?;
        self.hw.finish()
    }

    /// `fsc` of contexts of a group while they are idle.
    pub(crate) fn idle_fsc(&self, id: GroupId) -> u64 {
        match self.directory(id) {
            Some(root) => self.hw.pdtp(root),
            None => self.hw.empty_fsc(),
        }
    }

    /// `tc` and `fsc` of contexts of a group that leads to a table; `None` if they should be invalid.
    pub(crate) fn wanted(&self, id: GroupId) -> Option<(Tc, u64)> {
        match self.directory(id) {
            Some(root) => self
                .is_open(id)
                .then(|| (Self::directory_tc(), self.hw.pdtp(root))),
            None => {
                let fsc = self.state(id).and_then(GroupState::fsc)?;
                Some((Tc::new().with_v(true), fsc))
            }
        }
    }

    /// The same of one device.
    pub(crate) fn wanted_of(&self, device: &Device) -> Option<(Tc, u64)> {
        if device.standing.has_boot() {
            return Some((Tc::new().with_v(true), IDENTITY));
        }
        let follows = device.standing.follows();
        self.wanted(device.group).filter(|_| follows)
    }

    /// PUB of one device that reaches everything.
    pub(crate) fn publish_identity(&mut self, id: GroupId, device: DeviceId) -> Result<(), Error> {
        self.publish_as(id, IDENTITY, Some(device), Tc::new().with_v(true))
    }

    /// Brings one device where its group is.
    #[inline(never)]
    pub(crate) fn follow(&mut self, id: GroupId, device: DeviceId) -> Result<(), Error> {
        let Some((tc, fsc)) = self.wanted(id) else {
            return Ok(());
        };
        let waited = self.hw.stats.fence_wait_us;
        self.publish_as(id, fsc, Some(device), tc)?;
        self.changed(id, Some(device), None, Some(fsc), Path::Publish, waited);
        Ok(())
    }

    #[inline(never)]
    fn scrub_contexts(&mut self, id: GroupId, only: Option<DeviceId>) -> Result<(), Fail> {
        let fsc = self.idle_fsc(id);
        let Inner { hw, devices, .. } = self;
        select(devices, id, only).try_for_each(|d| {
            let at = PhysAddr(d.context.0 + dc::FSC);
            hw.store(at, fsc)?;
            hw.publish(at, 8)
        })
    }

    /// PUB: everything but V, then SYNC, then V=1, for all devices of the group.
    ///
    /// The SYNC comes first because contexts may be read in any order: a read begun before the fields were stored must
    /// be over before V can be seen. It also purges the PSCID, so nothing older than the publication is ever hit.
    fn publish(&mut self, id: GroupId, fsc: u64) -> Result<(), Error> {
        self.publish_as(id, fsc, None, Tc::new().with_v(true))
    }

    #[inline(never)]
    fn publish_as(
        &mut self,
        id: GroupId,
        fsc: u64,
        only: Option<DeviceId>,
        tc: Tc,
    ) -> Result<(), Error> {
        let stored = self.write_contexts(id, fsc, only);
        self.sync_stored(id, only, stored)?;
        self.purged(id);
        let result = self.validate_contexts(id, only, tc);
        self.hw.settle(result)
    }

    #[inline(never)]
    fn write_contexts(
        &mut self,
        id: GroupId,
        fsc: u64,
        only: Option<DeviceId>,
    ) -> Result<(), Fail> {
        let Inner { hw, devices, .. } = self;
        for device in select(devices, id, only) {
            let at = PhysAddr(device.context.0 + dc::FSC);
            hw.store(at, fsc)?;
            hw.publish(at, 8)?;
        }
        Ok(())
    }

    #[inline(never)]
    fn validate_contexts(
        &mut self,
        id: GroupId,
        only: Option<DeviceId>,
        tc: Tc,
    ) -> Result<(), Fail> {
        let Inner { hw, devices, .. } = self;
        for device in select(devices, id, only) {
            let at = PhysAddr(device.context.0 + dc::TC);
            hw.store(at, tc.into_bits())?;
            hw.publish(at, 8)?;
        }
        // The caller's next register write may start the device.
        hw.barrier(Barrier::MemToReg);
        Ok(())
    }

    /// SWAP: one store per context, then SYNC. The new tables are complete before a context in use leads to them.
    #[inline(never)]
    pub(crate) fn swap(
        &mut self,
        id: GroupId,
        only: Option<DeviceId>,
        old: u64,
        fsc: u64,
    ) -> Result<(), Error> {
        let stored = self.swap_contexts(id, only, old, fsc);
        let result = self.sync_stored(id, only, stored);
        self.purged(id);
        result
    }

    #[inline(never)]
    fn swap_contexts(
        &mut self,
        id: GroupId,
        only: Option<DeviceId>,
        old: u64,
        fsc: u64,
    ) -> Result<(), Fail> {
        let Inner { hw, devices, .. } = self;
        hw.barrier(Barrier::MemToMem);
        for device in select(devices, id, only) {
            let at = PhysAddr(device.context.0 + dc::FSC);
            hw.store_live(at, old, fsc)?;
            hw.publish(at, 8)?;
        }
        Ok(())
    }

    /// Stops the fault records of one device without changing what it reaches: a blocked one gets a valid context that
    /// leads to the empty table (a context with V=0 reports whatever its DTF says), another one gets DTF.
    #[inline(never)]
    pub(crate) fn hush(&mut self, device: Device) -> Result<(), Error> {
        let (id, only) = (device.group, Some(device.id));
        let tc = Tc::new().with_v(true).with_dtf(true);
        if self.is_blocked(id) {
            let empty = self.hw.empty_fsc();
            self.publish_as(id, empty, only, tc)?;
        } else {
            let at = PhysAddr(device.context.0 + dc::TC);
            let result = self.hush_in_use(at, device, tc);
            self.hw.settle(result)?;
            self.purged(id);
        }
        let found = self.devices.iter_mut().flatten();
        for d in found.filter(|d| d.id == device.id) {
            (d.quiet, d.storms) = (true, 0);
        }
        self.hw.p.event(Event::Quieted { device: device.id });
        Ok(())
    }

    #[inline(never)]
    fn hush_in_use(&mut self, at: PhysAddr, device: Device, tc: Tc) -> Result<(), Fail> {
        let old = self.hw.load(at)?;
        self.hw.store_live(at, old, tc.into_bits())?;
        self.hw.publish(at, 8)?;
        self.sync_contexts(device.group, Some(device.id))
    }

    /// Everything cached under the slot's PSCID is gone, or translation is off: what was unmapped before is safe.
    #[inline(never)]
    pub(crate) fn purged(&mut self, id: GroupId) {
        self.flush_clock += 1;
        let clock = self.flush_clock;
        let wedged = self.hw.wedged();
        let Inner { hw, groups, .. } = self;
        let Some(state) = groups
            .get_mut(usize::from(id.slot))
            .and_then(Option::as_mut)
        else {
            return;
        };
        state.flush.pending = 0;
        if wedged {
            // Leaked on purpose: the walker may still read them.
            state.flush.tables = PageList::default();
            return;
        }
        state.flush.done = clock;
        hw.free_list(&mut state.flush.tables);
    }

    /// One purge for all deferred unmaps of the slot so far.
    #[inline(never)]
    pub(crate) fn flush(&mut self, id: GroupId) -> Result<(), Error> {
        if self.state_mut(id)?.flush.pending == 0 {
            return Ok(());
        }
        self.purge_slot(id)
    }

    /// Everything cached under the slot's PSCID goes, whatever it was.
    #[inline(never)]
    pub(crate) fn purge_slot(&mut self, id: GroupId) -> Result<(), Error> {
        if self.hw.usable().is_ok() {
            let result = self.hw.purge(Self::pscid(id));
            // A failure that ends in Off purges even better.
            let _ = self.hw.settle(result);
        }
        self.purged(id);
        if self.hw.wedged() {
            Err(Error::Io)
        } else {
            Ok(())
        }
    }
}

/// A device by its name, or those of a group whose contexts do what the group does.
pub(crate) fn selected(device: &Device, group: GroupId, only: Option<DeviceId>) -> bool {
    let named = match only {
        Some(id) => device.id == id,
        None => device.standing.follows(),
    };
    device.group == group && named
}

pub(crate) fn select<const N: usize>(
    devices: &[Option<Device>; N],
    group: GroupId,
    only: Option<DeviceId>,
) -> impl Iterator<Item = &Device> + Clone {
    devices
        .iter()
        .flatten()
        .filter(move |d| selected(d, group, only))
}
