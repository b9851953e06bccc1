//! One IOMMU: its devices, its groups, and the calls that concern all of it.

use core::cell::RefCell;
use core::fmt;

use portcullis_regmap::PAGE_SHIFT;
use portcullis_regmap::ddt::Iosatp;

use crate::device::Device;
use crate::domain::PagingDomain;
use crate::fault::Faults;
use crate::group::{DefaultDomain, Group, GroupState};
use crate::hw::Hw;
use crate::platform::Platform;
use crate::process::Process;
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
    /// Domains attached for process ids.
    pub(crate) processes: [Option<Process>; DEVICES],
    /// Process directories, by slot of the group.
    pub(crate) directories: [Option<PhysAddr>; DEVICES],
    /// Clones of each shared domain; 0 if the place is free.
    pub(crate) shares: [u32; DEVICES],
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
        Self::with_devices(platform, config, &[])
    }

    #[inline(always)]
    pub(crate) fn from(inner: Inner<P, DEVICES>) -> Self {
        Iommu {
            inner: RefCell::new(inner),
        }
    }

    pub(crate) fn inner(&mut self) -> &mut Inner<P, DEVICES> {
        self.inner.get_mut()
    }

    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut Inner<P, DEVICES>) -> R) -> R {
        f(&mut self.inner.borrow_mut())
    }

    /// Adds a device. Until now it was blocked; on return its DMA goes where its group's goes.
    ///
    /// # Errors
    /// [`Error::OutOfRange`]: the id is wider than the hardware's directory. [`Error::Exists`]: it is there already.
    /// [`Error::NotFound`]: no such group. [`Error::NoSpace`]: no free slot. [`Error::Invalid`]: a region is no whole
    /// number of pages; it is mapped otherwise in the domain attached to the group; the device cannot be blocked and
    /// the group is, or lacks its direct region; an untrusted device asks for identity. [`Error::AddressInUse`]: a
    /// region is mapped otherwise in the default domain. [`Error::Busy`]: the device's policy would change the default
    /// domain of a group in use. [`Error::NoMemory`], [`Error::Io`].
    pub fn add_device(&self, info: DeviceInfo) -> Result<GroupId, Error> {
        self.with(|i| i.add_device(&info, info.group))
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
        let mode = config.mode;
        Ok(PagingDomain::new(self, Table { root, mode }))
    }

    /// What the hardware can do.
    pub fn limits(&self) -> Limits {
        self.with(|i| Limits {
            capabilities: i.hw.caps,
            device_id_bits: i.hw.device_id_bits(),
            command_queue: i.hw.ring.entries() as u32,
            fault_queue: 1 << i.hw.faults.log2,
            deferred_flush: i.hw.config.deferred_flush,
            process_id_bits: crate::pdt::bits(i.hw.caps),
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
    /// identity, since it could rewrite the IOMMU's own tables, one that keeps its boot translation
    /// ([`BootDevice::keeps`](crate::BootDevice::keeps)) included, and while the hardware does not answer.
    pub fn isolation(&self) -> bool {
        self.with(|i| {
            let identity = |fsc: u64| Iosatp::from_bits(fsc).mode() == 0;
            let groups = i.groups.iter().flatten().filter_map(GroupState::fsc);
            let processes = i.processes.iter().flatten().map(|p| p.fsc);
            let boot = i.devices.iter().flatten().any(|d| d.standing.has_boot());
            let open = boot || groups.chain(processes).any(identity);
            !i.hw.wedged() && (i.hw.closed() || !open)
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
        // What the hardware does not confirm is not given back.
        let _ = self.inner.get_mut().hw.stop();
    }
}

impl<P: Platform, const DEVICES: usize> Inner<P, DEVICES> {
    #[inline(always)]
    pub(crate) fn new(hw: Hw<P>) -> Self {
        Inner {
            hw,
            // Constants are copied to where they belong, without a stop on the stack.
            devices: const { [None; DEVICES] },
            groups: const { [const { None }; DEVICES] },
            flush_clock: 0,
            generations: 0,
            processes: const { [None; DEVICES] },
            directories: const { [None; DEVICES] },
            shares: const { [0; DEVICES] },
        }
    }

    #[inline(never)]
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

    /// Translations of a group are tagged by the group's slot and not by its domain: nothing cached for one domain can
    /// ever be hit through another group. 0 is left to nobody.
    pub(crate) fn pscid(group: GroupId) -> u32 {
        Self::slot_pscid(group.slot)
    }

    pub(crate) fn slot_pscid(slot: u16) -> u32 {
        u32::from(slot) + 1
    }

    /// What a new group starts with.
    pub(crate) fn new_group(&mut self, kind: DefaultDomainType) -> Result<GroupId, Error> {
        let slot = self
            .groups
            .iter()
            .position(Option::is_none)
            .ok_or(Error::NoSpace)?;
        let default = self.new_default(kind)?;
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
            DefaultDomainType::Dma | DefaultDomainType::DmaFq | DefaultDomainType::Auto => {
                DefaultDomain::Dma {
                    root: self.new_root(Mode::Sv39)?,
                    queued: matches!(kind, DefaultDomainType::DmaFq),
                }
            }
        })
    }

    /// Frees a default domain that no context leads to any more; a wedged IOMMU may still read it.
    pub(crate) fn free_default(&mut self, default: DefaultDomain) {
        if let Some(table) = default.table() {
            self.free_unreachable(table);
        }
    }

    /// Forgets a group that has neither devices nor an owner.
    #[inline(never)]
    pub(crate) fn remove_group(&mut self, id: GroupId) {
        if self.state(id).is_none() {
            return;
        }
        if let Some(state) = self
            .groups
            .get_mut(usize::from(id.slot))
            .and_then(Option::take)
        {
            self.remove_process_directory(id);
            self.free_default(state.default);
        }
    }
}
