//! Devices: how they come, go, and stand aside for a while.

use crate::context::{IDENTITY, Manner};
use crate::group::{Current, DefaultDomain};
use crate::hw::Hw;
use crate::iommu::{Inner, Iommu};
use crate::platform::{Event, Path, Platform};
use crate::types::{DefaultDomainType, DeviceId, DeviceInfo, DeviceRegion, GroupId, Policy};
use crate::{Error, PhysAddr};

/// A device: where its context lies is found out once, so that blocking it later cannot fail for want of anything.
#[derive(Clone, Copy)]
pub(crate) struct Device {
    pub(crate) id: DeviceId,
    pub(crate) group: GroupId,
    pub(crate) context: PhysAddr,
    pub(crate) regions: &'static [DeviceRegion],
    pub(crate) policy: Policy,
    pub(crate) untrusted: bool,
    pub(crate) standing: Standing,
    /// Its last reset: a guard left over from an earlier one, or from before a removal, ends nothing.
    reset: u32,
    /// A record of it was delivered since the last poll, and polls in a row that found one.
    pub(crate) faulted: bool,
    pub(crate) storms: u8,
    /// Its faults are not reported; if its group is blocked, its context is valid and leads to the empty table.
    pub(crate) quiet: bool,
}

/// Whether a device's context does what its group does. If not, it is idle, or as it was before the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Normal,
    /// The default domain is attached at the first use, anything else at once.
    Deferred {
        /// Until then its context is identity, as the device had it in Bare.
        boot: bool,
    },
    /// Deferred until now: takes part in the change at hand, and is deferred again if that fails.
    Joining {
        /// As before.
        boot: bool,
    },
    /// Being reset.
    Resetting {
        /// Deferred when the reset began, and nothing has ended that since.
        deferred: bool,
    },
}

impl Standing {
    /// Whether its context does what its group's do.
    pub(crate) fn follows(self) -> bool {
        matches!(self, Standing::Normal | Standing::Joining { .. })
    }

    fn is_deferred(self) -> bool {
        matches!(
            self,
            Standing::Deferred { .. } | Standing::Resetting { deferred: true }
        )
    }

    /// Whether its context is identity, whatever its group does: a change of that begins with an entry in use.
    pub(crate) fn has_boot(self) -> bool {
        matches!(
            self,
            Standing::Deferred { boot: true } | Standing::Joining { boot: true }
        )
    }

    fn is_resetting(self) -> bool {
        matches!(self, Standing::Resetting { .. })
    }
}

/// A device that is being added.
struct Joining<'d> {
    info: &'d DeviceInfo,
    group: GroupId,
    /// Its place among the devices.
    slot: usize,
    /// The group begins with it.
    fresh: bool,
}

/// A device is being reset: it is blocked, and nothing new can be attached to its group. Dropping it ends that, and the
/// device goes where its group goes by then.
#[must_use = "dropping it ends the reset"]
pub struct DeviceReset<'i, P: Platform, const DEVICES: usize = 16> {
    iommu: &'i Iommu<P, DEVICES>,
    device: DeviceId,
    serial: u32,
}

impl<P: Platform, const DEVICES: usize> DeviceReset<'_, P, DEVICES> {
    /// The device works again.
    pub fn done(self) {}
}

impl<P: Platform, const DEVICES: usize> Drop for DeviceReset<'_, P, DEVICES> {
    fn drop(&mut self) {
        // A failure shows in the health of the IOMMU; then translation is off.
        let _ = self.iommu.with(|i| i.end_reset(self.device, self.serial));
    }
}

impl<P: Platform, const DEVICES: usize> core::fmt::Debug for DeviceReset<'_, P, DEVICES> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("DeviceReset")
            .field("device", &self.device)
            .finish_non_exhaustive()
    }
}

impl<P: Platform, const DEVICES: usize> Iommu<P, DEVICES> {
    /// Blocks a device while it is reset: what it sends meanwhile is noise. Until the guard is dropped, attaching to its
    /// group answers [`Error::Busy`]; detaching and releasing work.
    ///
    /// # Errors
    /// [`Error::NoDevice`]. [`Error::Busy`]: it is being reset already. [`Error::Io`].
    pub fn reset_device(&self, device: DeviceId) -> Result<DeviceReset<'_, P, DEVICES>, Error> {
        let serial = self.with(|i| i.begin_reset(device))?;
        Ok(DeviceReset {
            iommu: self,
            device,
            serial,
        })
    }
}

impl<P: Platform, const DEVICES: usize> Inner<P, DEVICES> {
    pub(crate) fn device(&self, id: DeviceId) -> Option<&Device> {
        self.devices.iter().flatten().find(|d| d.id == id)
    }

    fn device_mut(&mut self, id: DeviceId) -> Option<&mut Device> {
        self.devices.iter_mut().flatten().find(|d| d.id == id)
    }

    pub(crate) fn devices_of(&self, group: GroupId) -> impl Iterator<Item = &Device> {
        self.devices
            .iter()
            .flatten()
            .filter(move |d| d.group == group)
    }

    pub(crate) fn has_devices(&self, id: GroupId) -> bool {
        self.devices_of(id).next().is_some()
    }

    /// Adds a device to the group that it joins, or to one of its own.
    #[inline(never)]
    pub(crate) fn add_device(
        &mut self,
        info: &DeviceInfo,
        joins: Option<GroupId>,
    ) -> Result<GroupId, Error> {
        self.hw.usable()?;
        if info
            .id
            .0
            .checked_shr(self.hw.device_id_bits())
            .is_some_and(|high| high != 0)
        {
            return Err(Error::OutOfRange);
        }
        if self.device(info.id).is_some() {
            return Err(Error::Exists);
        }
        Self::check_regions(info.regions)?;
        let slot = self
            .devices
            .iter()
            .position(Option::is_none)
            .ok_or(Error::NoSpace)?;
        let (group, fresh) = match joins {
            Some(id) => (self.state(id).map(|_| id).ok_or(Error::NotFound)?, false),
            None => (self.new_group(self.first_type(info)?)?, true),
        };
        if fresh
            && info.process_ids
            && let Err(error) = self.add_process_directory(group)
        {
            self.remove_group(group);
            return Err(error);
        }
        let result = self.join(&Joining {
            info,
            group,
            slot,
            fresh,
        });
        if result.is_err() {
            self.devices[slot] = None;
            if fresh {
                self.remove_group(group);
            }
        }
        result.map(|()| group)
    }

    #[inline(always)]
    fn join(&mut self, joining: &Joining<'_>) -> Result<(), Error> {
        // Whatever the group has against the device comes before anything is stored.
        let wanted = if joining.fresh {
            None
        } else {
            self.needed_type(joining.group, joining.info)?
        };
        let context = self.hw.place(joining.info.id.0)?;
        let ready = self.ready_default(joining, wanted);
        self.hw.link_place(ready)?;
        self.new_context(context, joining.group, joining.fresh)?;
        self.add_to_group(joining, context)
    }

    /// The default domain becomes one that the device can have.
    #[inline(always)]
    fn ready_default(
        &mut self,
        joining: &Joining<'_>,
        wanted: Option<DefaultDomainType>,
    ) -> Result<(), Error> {
        let regions = joining.info.regions;
        if let Some(kind) = wanted {
            self.exchange_default(joining.group, kind, regions)?;
        }
        self.map_direct(joining.group, regions)
    }

    /// An idle context for a device that is not there yet, and what a fresh group needs besides.
    #[inline(never)]
    fn new_context(&mut self, context: PhysAddr, group: GroupId, fresh: bool) -> Result<(), Error> {
        let idle = self.idle_fsc(group);
        let mut result = self.hw.idle_context(context, Self::pscid(group), idle);
        if fresh && result.is_ok() {
            result = self.rewrite_processes(group);
        }
        self.hw.settle(result)
    }

    #[inline(never)]
    fn add_to_group(&mut self, joining: &Joining<'_>, context: PhysAddr) -> Result<(), Error> {
        let Joining {
            info, group, slot, ..
        } = *joining;
        let conflict = self.conflicts(group, info);
        let current = self.state(group).map(|s| s.current);
        let defer = info.deferred
            && current == Some(Current::Default)
            && !self.is_blocked(group)
            && self.directory(group).is_none();
        self.devices[slot] = Some(Device {
            id: info.id,
            group,
            context,
            regions: info.regions,
            policy: info.policy,
            untrusted: info.untrusted,
            standing: if defer {
                Standing::Deferred { boot: false }
            } else {
                Standing::Normal
            },
            reset: 0,
            faulted: false,
            storms: 0,
            quiet: false,
        });
        let result = if defer {
            Ok(())
        } else {
            self.follow(group, info.id)
        };
        if result.is_err() {
            self.idle_while_off(context, group);
        } else if conflict {
            let device = info.id;
            self.hw.p.event(Event::PolicyConflict { group, device });
        }
        result
    }

    /// Takes back what a context of a device that is not there may say, so that it does not come back with translation.
    #[inline(never)]
    fn idle_while_off(&mut self, context: PhysAddr, group: GroupId) {
        if !self.hw.closed() {
            return;
        }
        let (pscid, idle) = (Self::pscid(group), self.idle_fsc(group));
        if self.hw.idle_context(context, pscid, idle).is_err() {
            self.hw.wedge();
        }
    }

    /// Orderly removal. The last device stays while somebody relies on its group.
    pub(crate) fn remove_device(&mut self, id: DeviceId) -> Result<(), Error> {
        self.hw.usable()?;
        let device = *self.device(id).ok_or(Error::NoDevice)?;
        let state = self.state(device.group).ok_or(Error::NoDevice)?;
        if state.users > 0 && self.is_last(&device) {
            return Err(Error::Busy);
        }
        if self.is_live(&device) {
            self.block_device(&device)?;
        }
        self.forget(device);
        Ok(())
    }

    /// Surprise removal: cannot be refused.
    pub(crate) fn device_gone(&mut self, id: DeviceId) -> Result<(), Error> {
        let device = *self.device(id).ok_or(Error::NoDevice)?;
        if self.hw.usable().is_ok() && self.is_live(&device) {
            // The hardware's failure shows in its health; the device is gone all the same.
            let _ = self.block_device(&device);
        }
        self.forget(device);
        Ok(())
    }

    /// Whether its context is valid.
    fn is_live(&self, device: &Device) -> bool {
        let follows = device.standing.follows() && self.is_open(device.group);
        follows || device.quiet || device.standing.has_boot()
    }

    fn is_last(&self, device: &Device) -> bool {
        self.devices_of(device.group).count() == 1
    }

    /// Forgets a device that is blocked, or would be if the hardware worked. A group that loses its last device goes
    /// too, unless somebody owns it.
    #[inline(never)]
    pub(crate) fn forget(&mut self, device: Device) {
        let (group, last) = (device.group, self.is_last(&device));
        self.idle_while_off(device.context, group);
        if let Some(slot) = self
            .devices
            .iter_mut()
            .find(|d| d.is_some_and(|d| d.id == device.id))
        {
            *slot = None;
        }
        if last {
            self.idle_processes(group);
        }
        if last && let Ok(state) = self.state_mut(group) {
            state.current = Current::Blocked;
            if state.owner.is_none() {
                self.purged(group);
                self.remove_group(group);
            }
        }
    }

    pub(crate) fn has_deferred(&self, group: GroupId) -> bool {
        self.devices_of(group).any(|d| d.standing.is_deferred())
    }

    /// Deferred devices take part in a change; their contexts are still idle, or in use.
    #[inline(never)]
    pub(crate) fn end_deferral(&mut self, group: GroupId) {
        for device in self.devices.iter_mut().flatten() {
            if let Standing::Deferred { boot } = device.standing
                && device.group == group
            {
                device.standing = Standing::Joining { boot };
            }
        }
    }

    /// They follow their group from now on, or are deferred as before if the change has failed. One that is being reset
    /// follows when that ends.
    #[inline(never)]
    pub(crate) fn deferral_ended(&mut self, group: GroupId, done: bool) {
        for device in self.devices.iter_mut().flatten() {
            device.standing = match device.standing {
                _ if device.group != group => continue,
                Standing::Joining { .. } if done => Standing::Normal,
                Standing::Joining { boot } => Standing::Deferred { boot },
                Standing::Resetting { .. } if done => Standing::Resetting { deferred: false },
                other => other,
            };
        }
    }

    /// First use: devices whose attach was deferred get the default domain now.
    #[inline(never)]
    pub(crate) fn attach_deferred(&mut self, group: GroupId) -> Result<(), Error> {
        if !self.has_deferred(group) {
            return Ok(());
        }
        self.end_deferral(group);
        let mut result = Ok(());
        for slot in 0..DEVICES {
            let joins =
                |d: &Device| d.group == group && matches!(d.standing, Standing::Joining { .. });
            if let Some(device) = self.devices[slot].filter(joins) {
                result = result.and_then(|()| match device.standing.has_boot() {
                    true => self.leave_boot(&device),
                    false => self.follow(group, device.id),
                });
            }
        }
        self.deferral_ended(group, result.is_ok());
        result
    }

    /// Lets a device reach what it reaches in Bare until its first use, in a directory that is not in use yet.
    pub(crate) fn keep_boot(&mut self, group: GroupId, id: DeviceId) -> Result<(), Error> {
        self.publish_identity(group, id)?;
        if let Some(device) = self.device_mut(id) {
            device.standing = Standing::Deferred { boot: true };
        }
        Ok(())
    }

    /// From what a device had in Bare to where its group is: by one store if possible, so that it drops nothing that both
    /// translate alike.
    #[inline(never)]
    fn leave_boot(&mut self, device: &Device) -> Result<(), Error> {
        let (group, only) = (device.group, Some(device.id));
        let Some((_, fsc)) = self.wanted(group) else {
            return self.block_device(device);
        };
        if fsc == IDENTITY {
            return Ok(());
        }
        let waited = self.hw.stats.fence_wait_us;
        if Hw::<P>::swappable(IDENTITY, fsc).is_err() {
            self.block_device(device)?;
            return self.follow(group, device.id);
        }
        self.swap(group, only, IDENTITY, fsc)?;
        let old = Some(IDENTITY);
        self.changed(group, only, old, Some(fsc), Path::Swap, waited);
        Ok(())
    }

    pub(crate) fn is_resetting(&self, group: GroupId) -> bool {
        self.devices_of(group).any(|d| d.standing.is_resetting())
    }

    /// Answers its serial number.
    fn begin_reset(&mut self, id: DeviceId) -> Result<u32, Error> {
        self.hw.usable()?;
        let device = *self.device(id).ok_or(Error::NoDevice)?;
        if device.standing.is_resetting() {
            return Err(Error::Busy);
        }
        if self.is_live(&device) {
            self.block_device(&device)?;
        }
        self.generations = self.generations.wrapping_add(1);
        let serial = self.generations;
        if let Some(device) = self.device_mut(id) {
            let deferred = device.standing.is_deferred();
            (device.standing, device.reset) = (Standing::Resetting { deferred }, serial);
        }
        Ok(serial)
    }

    fn end_reset(&mut self, id: DeviceId, serial: u32) -> Result<(), Error> {
        let Some(device) = self
            .device_mut(id)
            .filter(|d| d.standing.is_resetting() && d.reset == serial)
        else {
            return Ok(());
        };
        if device.standing.is_deferred() {
            device.standing = Standing::Deferred { boot: false };
            return Ok(());
        }
        device.standing = Standing::Normal;
        let group = device.group;
        // While translation is off, what the context says is put right by `recover`.
        self.hw.usable()?;
        self.follow(group, id)
    }

    /// Brings a group to another default domain, whose old one is freed.
    #[inline(always)]
    pub(crate) fn exchange_default(
        &mut self,
        id: GroupId,
        kind: DefaultDomainType,
        regions: &[DeviceRegion],
    ) -> Result<(), Error> {
        let new = self.new_default(kind)?;
        let prepared = match new.table() {
            Some(table) => self.map_direct_of_group(table, id, regions),
            None => Ok(()),
        };
        if let Err(error) = prepared {
            self.free_default(new);
            return Err(error);
        }
        self.adopt_default(id, new)
    }

    /// One that is complete takes the place of the group's default domain, or is freed.
    #[inline(always)]
    fn adopt_default(&mut self, id: GroupId, new: DefaultDomain) -> Result<(), Error> {
        if let Err(error) = self.set(id, new.fsc(), Manner::ToDefault) {
            self.free_default(new);
            return Err(error);
        }
        let state = self.state_mut(id)?;
        let old = core::mem::replace(&mut state.default, new);
        (state.serial, state.low) = (state.serial.wrapping_add(1), 0);
        self.free_default(old);
        Ok(())
    }
}
