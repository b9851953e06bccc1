//! One IOMMU: its devices, its groups, and the calls that concern all of it.

use core::cell::RefCell;
use core::fmt;

use portcullis_regmap::PAGE_SHIFT;
use portcullis_regmap::ddt::Iosatp;

use crate::domain::PagingDomain;
use crate::fault::Faults;
use crate::group::{Current, DefaultDomain, Group, GroupState};
use crate::hw::Hw;
use crate::platform::Platform;
use crate::table::Table;
use crate::types::*;
use crate::{Error, PhysAddr};

/// One IOMMU with room for `DEVICES` devices in as many groups.
///
/// All methods take `&self`, and the guards and domains borrow it: state and platform lie in a [`RefCell`]. So the
/// driver is for one thread at a time (the type is not `Sync`), and a platform or a [`Trace`](crate::platform::Trace)
/// must not call back into the driver. Closures given to [`Faults::drain`] may.
///
/// Dropping it switches translation off before any memory goes back to the platform.
pub struct Iommu<P: Platform, const DEVICES: usize = 16> {
    inner: RefCell<Inner<P, DEVICES>>,
}

pub(crate) struct Inner<P: Platform, const DEVICES: usize> {
    pub(crate) hw: Hw<P>,
    pub(crate) devices: [Option<Device>; DEVICES],
    pub(crate) groups: [Option<GroupState>; DEVICES],
    /// Counts purges of any slot. It only grows, so that stamps of one domain stay comparable when it moves from slot
    /// to slot.
    pub(crate) flush_clock: u64,
    /// Groups made since start.
    pub(crate) generations: u32,
}

/// A device: where its context lies is found out once, so that blocking it later cannot fail for want of anything.
#[derive(Clone, Copy)]
pub(crate) struct Device {
    pub(crate) id: DeviceId,
    pub(crate) group: GroupId,
    pub(crate) context: PhysAddr,
    /// A record of it was delivered since the last poll, and polls in a row that found one.
    pub(crate) faulted: bool,
    pub(crate) storms: u8,
    /// Its faults are not reported; if its group is blocked, its context is valid and leads to the empty table.
    pub(crate) quiet: bool,
}

/// A failed start: the platform comes back.
pub struct InitError<P> {
    /// What [`Iommu::new`] was given.
    pub platform: P,
    /// Why.
    pub error: Error,
}

impl<P> fmt::Debug for InitError<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InitError")
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

impl<P> fmt::Display for InitError<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IOMMU does not start: {}", self.error)
    }
}

impl<P> core::error::Error for InitError<P> {}

/// Result of [`Iommu::poll`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Polled {
    /// Groups whose deferred unmaps were old enough and are flushed now.
    pub flushed: usize,
    /// Fault records wait for [`Faults::drain`].
    pub faults: bool,
    /// Devices whose faults are not reported any more, see [`Config::storm_polls`].
    pub quieted: usize,
}

impl<P: Platform> Iommu<P> {
    /// Starts an IOMMU with room for 16 devices; every device is blocked until it is added.
    ///
    /// # Errors
    /// [`Error::NotSupported`]: version, features or queues of this hardware are beyond the driver; it needs Sv39.
    /// [`Error::Busy`]: it translates already, and [`Config::take_over`] is not set. [`Error::NoMemory`],
    /// [`Error::TimedOut`], [`Error::Io`].
    pub fn new(platform: P, config: Config) -> Result<Self, InitError<P>> {
        Self::with_capacity(platform, config)
    }
}

impl<P: Platform, const DEVICES: usize> Iommu<P, DEVICES> {
    /// As [`Iommu::new`], with room for `DEVICES` devices.
    ///
    /// # Errors
    /// As [`Iommu::new`].
    pub fn with_capacity(platform: P, config: Config) -> Result<Self, InitError<P>> {
        const {
            assert!(
                DEVICES > 0 && DEVICES < 1 << 16,
                "group numbers and PSCIDs must fit"
            )
        };
        let mut hw = Hw::new(platform, config);
        if let Err(error) = hw.start() {
            hw.stop();
            return Err(InitError {
                platform: hw.p,
                error,
            });
        }
        let inner = Inner {
            hw,
            devices: [None; DEVICES],
            groups: [const { None }; DEVICES],
            flush_clock: 0,
            generations: 0,
        };
        Ok(Iommu {
            inner: RefCell::new(inner),
        })
    }

    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut Inner<P, DEVICES>) -> R) -> R {
        f(&mut self.inner.borrow_mut())
    }

    /// Adds a device. Until now it was blocked; on return its DMA goes where its group's goes.
    ///
    /// # Errors
    /// [`Error::OutOfRange`]: the id is wider than the hardware's directory. [`Error::Exists`]: it is there already.
    /// [`Error::NotFound`]: no such group. [`Error::NoSpace`]: no free slot. [`Error::NoMemory`], [`Error::Io`].
    pub fn add_device(&self, info: DeviceInfo) -> Result<GroupId, Error> {
        self.with(|i| i.add_device(info))
    }

    /// Removes a device: it is blocked on return. With the last device its group goes, and the default domain with it.
    ///
    /// # Errors
    /// [`Error::Busy`]: it is the last device of a group that somebody uses or owns. [`Error::NoDevice`].
    /// [`Error::Io`]: the hardware failed.
    pub fn remove_device(&self, device: DeviceId) -> Result<(), Error> {
        self.with(|i| i.remove_device(device))
    }

    /// A device has vanished. It is blocked, whoever uses or owns its group. Without devices, a group that is owned stays
    /// with its owner until the guard is dropped; guards of other groups answer [`Error::NoDevice`] from now on.
    ///
    /// # Errors
    /// [`Error::NoDevice`]: there is no such device.
    pub fn device_gone(&self, device: DeviceId) -> Result<(), Error> {
        self.with(|i| i.device_gone(device))
    }

    /// Right to change default domains. Whoever can borrow the IOMMU exclusively, before anything else refers to it,
    /// decides who gets one.
    pub fn admin_token(&mut self) -> AdminToken {
        AdminToken(())
    }

    /// A handle to a group: without rights, until it is claimed.
    ///
    /// # Errors
    /// [`Error::NoDevice`]: no such group or device.
    pub fn group(&self, key: impl Into<GroupKey>) -> Result<Group<'_, P, DEVICES>, Error> {
        let key = key.into();
        let id = self.with(|i| match key {
            GroupKey::Group(id) => i.state(id).map(|_| id),
            GroupKey::Device(id) => i.device(id).map(|d| d.group),
        });
        id.map(|id| Group::new(self, id)).ok_or(Error::NoDevice)
    }

    /// A new, empty domain.
    ///
    /// # Errors
    /// [`Error::NoDevice`]: the hardware lacks the page-table format. [`Error::NoMemory`], [`Error::Io`].
    pub fn paging_domain(
        &self,
        config: DomainConfig,
    ) -> Result<PagingDomain<'_, P, DEVICES>, Error> {
        let root = self.with(|i| i.new_root(config.mode))?;
        Ok(PagingDomain::new(self, root, config.mode))
    }

    /// What the hardware can do.
    pub fn limits(&self) -> Limits {
        self.with(|i| Limits {
            capabilities: i.hw.caps,
            device_id_bits: i.hw.device_id_bits(),
            command_queue: i.hw.ring.entries() as u32,
            fault_queue: 1 << i.hw.faults.log2,
        })
    }

    /// How it fares.
    pub fn health(&self) -> Health {
        self.with(|i| i.hw.health)
    }

    /// Counts since start.
    pub fn stats(&self) -> Stats {
        self.with(|i| i.hw.stats)
    }

    /// Whether every device is confined to what its group's domain maps. False while any device is translated by
    /// identity, since it could rewrite the IOMMU's own tables, and while the hardware does not answer.
    pub fn isolation(&self) -> bool {
        self.with(|i| {
            let identity = |g: &GroupState| {
                g.fsc()
                    .is_some_and(|fsc| Iosatp::from_bits(fsc).mode() == 0)
            };
            !i.hw.wedged() && (i.hw.closed() || !i.groups.iter().flatten().any(identity))
        })
    }

    /// What has to be done from time to time: repairs a stopped command queue, flushes deferred unmaps that are old
    /// enough, quiets devices that fault all the time. Bounded by the number of groups and devices.
    ///
    /// # Errors
    /// [`Error::Io`]: the hardware failed, now or before.
    pub fn poll(&self) -> Result<Polled, Error> {
        self.with(Inner::poll)
    }

    /// The fault queue.
    pub fn faults(&self) -> Faults<'_, P, DEVICES> {
        Faults::new(self)
    }
}

impl<P: Platform, const DEVICES: usize> Drop for Iommu<P, DEVICES> {
    fn drop(&mut self) {
        self.inner.get_mut().hw.stop();
    }
}

impl<P: Platform, const DEVICES: usize> Inner<P, DEVICES> {
    pub(crate) fn device(&self, id: DeviceId) -> Option<&Device> {
        self.devices.iter().flatten().find(|d| d.id == id)
    }

    pub(crate) fn new_root(&mut self, mode: Mode) -> Result<PhysAddr, Error> {
        self.hw.usable()?;
        if !mode.in_hardware(self.hw.caps) {
            return Err(Error::NoDevice);
        }
        let root = self.hw.zeroed_frame()?;
        if self.hw.publish(root, 1 << PAGE_SHIFT).is_err() {
            self.hw.free_frame(root);
            return Err(Error::Io);
        }
        Ok(root)
    }

    fn add_device(&mut self, info: DeviceInfo) -> Result<GroupId, Error> {
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
        let slot = self
            .devices
            .iter()
            .position(Option::is_none)
            .ok_or(Error::NoSpace)?;
        let (group, fresh) = match info.group {
            Some(id) => (self.state(id).map(|_| id).ok_or(Error::NotFound)?, false),
            None => (self.new_group()?, true),
        };
        let result = self.add_to_group(info.id, group, slot);
        if result.is_err() {
            self.devices[slot] = None;
            if fresh {
                self.remove_group(group);
            }
        }
        result.map(|()| group)
    }

    fn add_to_group(&mut self, id: DeviceId, group: GroupId, slot: usize) -> Result<(), Error> {
        let context = self.hw.context(id.0)?;
        let result = self.hw.idle_context(context, Self::pscid(group));
        self.hw.settle(result)?;
        self.devices[slot] = Some(Device {
            id,
            group,
            context,
            faulted: false,
            storms: 0,
            quiet: false,
        });
        let result = match self.state(group).and_then(GroupState::fsc) {
            Some(fsc) => self.publish(group, fsc, Some(id)),
            None => Ok(()),
        };
        if result.is_err() {
            self.idle_while_off(context, group);
        }
        result
    }

    /// Takes back what a context of a device that is not there may say, so that it does not come back with translation.
    fn idle_while_off(&mut self, context: PhysAddr, group: GroupId) {
        if self.hw.closed() && self.hw.idle_context(context, Self::pscid(group)).is_err() {
            self.hw.wedge();
        }
    }

    /// Translations of a group are tagged by the group's slot and not by its domain: nothing cached for one domain can
    /// ever be hit through another group. 0 is left to nobody.
    pub(crate) fn pscid(group: GroupId) -> u32 {
        u32::from(group.slot) + 1
    }

    /// What a new group starts with.
    fn new_group(&mut self) -> Result<GroupId, Error> {
        let slot = self
            .groups
            .iter()
            .position(Option::is_none)
            .ok_or(Error::NoSpace)?;
        let default = self.new_default(self.hw.config.default_domain)?;
        self.generations = self.generations.wrapping_add(1);
        let id = GroupId {
            slot: slot as u16,
            generation: self.generations,
        };
        self.groups[slot] = Some(GroupState::new(self.generations, default));
        Ok(id)
    }

    pub(crate) fn new_default(&mut self, kind: DefaultDomainType) -> Result<DefaultDomain, Error> {
        Ok(match kind {
            DefaultDomainType::Blocked => DefaultDomain::Blocked,
            DefaultDomainType::Identity(_) => DefaultDomain::Identity,
            DefaultDomainType::Dma | DefaultDomainType::DmaFq => DefaultDomain::Dma {
                root: self.new_root(Mode::Sv39)?,
                queued: matches!(kind, DefaultDomainType::DmaFq),
            },
        })
    }

    /// Frees a default domain that no context leads to any more; a wedged IOMMU may still read it.
    pub(crate) fn free_default(&mut self, default: DefaultDomain) {
        if let DefaultDomain::Dma { root, .. } = default
            && !self.hw.wedged()
        {
            let mode = Mode::Sv39;
            let _ = self.hw.free_table(Table { root, mode });
        }
    }

    /// Forgets a group that has neither devices nor an owner.
    pub(crate) fn remove_group(&mut self, id: GroupId) {
        if self.state(id).is_none() {
            return;
        }
        if let Some(state) = self
            .groups
            .get_mut(usize::from(id.slot))
            .and_then(Option::take)
        {
            self.free_default(state.default);
        }
    }

    /// Orderly removal. The last device stays while somebody relies on its group.
    fn remove_device(&mut self, id: DeviceId) -> Result<(), Error> {
        self.hw.usable()?;
        let device = *self.device(id).ok_or(Error::NoDevice)?;
        let state = self.state(device.group).ok_or(Error::NoDevice)?;
        if state.users > 0 && self.is_last(&device) {
            return Err(Error::Busy);
        }
        if !self.is_blocked(device.group) || device.quiet {
            self.block(device.group, Some(device.id))?;
        }
        self.forget(device);
        Ok(())
    }

    /// Surprise removal: cannot be refused.
    fn device_gone(&mut self, id: DeviceId) -> Result<(), Error> {
        let device = *self.device(id).ok_or(Error::NoDevice)?;
        if self.hw.usable().is_ok() && (!self.is_blocked(device.group) || device.quiet) {
            // The hardware's failure shows in its health; the device is gone all the same.
            let _ = self.block(device.group, Some(device.id));
        }
        self.forget(device);
        Ok(())
    }

    fn is_last(&self, device: &Device) -> bool {
        let of_group = |d: &&Device| d.group == device.group;
        self.devices.iter().flatten().filter(of_group).count() == 1
    }

    /// Forgets a device that is blocked, or would be if the hardware worked. A group that loses its last device goes
    /// too, unless somebody owns it.
    fn forget(&mut self, device: Device) {
        let (group, last) = (device.group, self.is_last(&device));
        self.idle_while_off(device.context, group);
        if let Some(slot) = self
            .devices
            .iter_mut()
            .find(|d| d.is_some_and(|d| d.id == device.id))
        {
            *slot = None;
        }
        if last && let Ok(state) = self.state_mut(group) {
            state.current = Current::Blocked;
            if state.owner.is_none() {
                self.purged(group);
                self.remove_group(group);
            }
        }
    }
}
