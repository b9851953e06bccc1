//! One IOMMU: its devices, its groups, and the calls that concern all of it.

use core::cell::RefCell;
use core::fmt;

use portcullis_regmap::PAGE_SHIFT;
use portcullis_regmap::ddt::Iosatp;

use crate::domain::PagingDomain;
use crate::fault::Faults;
use crate::group::{Current, Group, GroupState};
use crate::hw::Hw;
use crate::platform::Platform;
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
}

/// A device: where its context lies is found out once, so that blocking it later cannot fail for want of anything.
#[derive(Clone, Copy)]
pub(crate) struct Device {
    pub(crate) id: DeviceId,
    pub(crate) group: GroupId,
    pub(crate) context: PhysAddr,
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
    /// enough. Bounded by the number of groups.
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

    pub(crate) fn state(&self, id: GroupId) -> Option<&GroupState> {
        self.groups.get(usize::from(id.0))?.as_ref()
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
        self.devices[slot] = Some(Device { id, group, context });
        match self.state(group).and_then(GroupState::fsc) {
            Some(fsc) => self.publish(group, fsc, Some(id)),
            None => Ok(()),
        }
    }

    fn poll(&mut self) -> Result<Polled, Error> {
        self.hw.usable()?;
        let result = self.hw.queue_running();
        self.hw.settle(result)?;
        let mut polled = Polled::default();
        let (now, age) = (self.hw.p.now_us(), self.hw.config.flush_age_us);
        for n in 0..DEVICES {
            let due = |g: &GroupState| {
                g.flush.pending > 0 && now.saturating_sub(g.flush.oldest_us) >= age
            };
            if self.groups[n].as_ref().is_some_and(due) {
                self.flush(GroupId(n as u16))?;
                polled.flushed += 1;
            }
        }
        polled.faults = self.hw.faults_pending()? > 0;
        Ok(polled)
    }

    /// Translations of a group are tagged by the group's slot and not by its domain: nothing cached for one domain can
    /// ever be hit through another group. 0 is left to nobody.
    pub(crate) fn pscid(group: GroupId) -> u32 {
        u32::from(group.0) + 1
    }

    /// What a new group starts with.
    fn new_group(&mut self) -> Result<GroupId, Error> {
        let slot = self
            .groups
            .iter()
            .position(Option::is_none)
            .ok_or(Error::NoSpace)?;
        let (default, default_root) = match self.hw.config.default_domain {
            DefaultDomainType::Blocked => (None, None),
            DefaultDomainType::Identity(_) => (Some(Iosatp::new().into_bits()), None),
            DefaultDomainType::Dma => {
                let root = self.new_root(Mode::Sv39)?;
                (Some(Hw::<P>::fsc(root, Mode::Sv39)), Some(root))
            }
        };
        let id = GroupId(slot as u16);
        self.groups[slot] = Some(GroupState::new(Current::Default, default, default_root));
        Ok(id)
    }

    /// Undoes [`Inner::new_group`] for a group whose only device was not added after all.
    fn remove_group(&mut self, id: GroupId) {
        let state = self
            .groups
            .get_mut(usize::from(id.0))
            .and_then(Option::take);
        // A root that was published stays, if the hardware may still read it.
        if let Some(root) = state
            .and_then(|s| s.default_root)
            .filter(|_| !self.hw.wedged())
        {
            self.hw.free_frame(root);
        }
    }
}
