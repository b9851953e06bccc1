//! Groups: who uses or owns their DMA, and where it goes.

use crate::claim::DeviceClaim;
use crate::context::{IDENTITY, Manner};
use crate::iommu::{Inner, Iommu};
use crate::kernel::KernelUse;
use crate::own::{Blocked, OwnedGroup};
use crate::platform::Platform;
use crate::pool::PageList;
use crate::table::Table;
use crate::types::{AdminToken, DefaultDomainType, DeviceId, DeviceRegion, GroupId, Mode, Owner};
use crate::{Error, PhysAddr};

/// Where a group's DMA goes, as far as the caller is concerned. The hardware does the same, unless the IOMMU is closed
/// or wedged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Current {
    /// To the default domain.
    Default,
    /// Nowhere.
    Blocked,
    /// To a domain that somebody attached, by its `fsc`.
    User(u64),
}

/// Default domain of a group, with what it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DefaultDomain {
    Blocked,
    Identity,
    Dma {
        root: PhysAddr,
        /// Of type DMA-FQ.
        queued: bool,
    },
}

impl DefaultDomain {
    pub(crate) fn fsc(self) -> Option<u64> {
        match self {
            DefaultDomain::Blocked => None,
            DefaultDomain::Identity => Some(IDENTITY),
            DefaultDomain::Dma { .. } => self.table().map(Table::fsc),
        }
    }

    /// Its page table, if it has one.
    pub(crate) fn table(self) -> Option<Table> {
        let mode = Mode::Sv39;
        match self {
            DefaultDomain::Dma { root, .. } => Some(Table { root, mode }),
            DefaultDomain::Blocked | DefaultDomain::Identity => None,
        }
    }

    /// Whether its unmaps are deferred.
    pub(crate) fn is_queued(self) -> bool {
        matches!(self, DefaultDomain::Dma { queued: true, .. })
    }

    /// Whether it is of a type.
    pub(crate) fn is(self, kind: DefaultDomainType) -> bool {
        match kind {
            DefaultDomainType::Auto => self.table().is_some(),
            DefaultDomainType::Blocked => self == DefaultDomain::Blocked,
            DefaultDomainType::Identity(_) => self == DefaultDomain::Identity,
            DefaultDomainType::Dma => self.table().is_some() && !self.is_queued(),
            DefaultDomainType::DmaFq => self.is_queued(),
        }
    }
}

/// Deferred unmaps of the domain in a slot.
#[derive(Default)]
pub(crate) struct Flush {
    /// Clock of the last purge of the slot. An unmap is safe once this is greater than its stamp, the clock when it was
    /// made: only a purge that began later has covered it.
    pub(crate) done: u64,
    /// Unmaps since then, and when the first of them was.
    pub(crate) pending: u32,
    pub(crate) oldest_us: u64,
    /// Table pages they took out, which the walker may still read.
    pub(crate) tables: PageList,
}

/// One group. It exists while it has a device or an owner.
pub(crate) struct GroupState {
    pub(crate) generation: u32,
    pub(crate) owner: Option<Owner>,
    /// Kernel users without an owner, claims with one.
    pub(crate) users: u32,
    /// Counts ownerships, so that a claim left over from an earlier one counts nothing in a later one.
    pub(crate) epoch: u32,
    /// An [`OwnedGroup`] exists.
    pub(crate) guarded: bool,
    pub(crate) current: Current,
    pub(crate) default: DefaultDomain,
    /// Counts default domains, so that what was mapped in an earlier one is not looked for in a later one.
    pub(crate) serial: u32,
    /// Pages of the default domain below this one are in use.
    pub(crate) low: u32,
    pub(crate) flush: Flush,
}

impl GroupState {
    pub(crate) fn new(generation: u32, default: DefaultDomain) -> Self {
        GroupState {
            generation,
            owner: None,
            users: 0,
            epoch: 0,
            guarded: false,
            current: Current::Default,
            default,
            serial: 0,
            low: 0,
            flush: Flush::default(),
        }
    }

    /// Its name, given its slot.
    pub(crate) fn id(&self, slot: u16) -> GroupId {
        GroupId {
            slot,
            generation: self.generation,
        }
    }

    /// `fsc` the contexts should have; `None` if they should be invalid.
    pub(crate) fn fsc(&self) -> Option<u64> {
        match self.current {
            Current::Default => self.default.fsc(),
            Current::Blocked => None,
            Current::User(fsc) => Some(fsc),
        }
    }
}

/// State of a group, for diagnosis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// S0: no device is left. A name kept from before means this for ever.
    Empty,
    /// S1: nobody uses or owns it; its DMA goes to the default domain.
    Idle,
    /// S2: drivers use the default domain; their number.
    Kernel(u32),
    /// S3: a driver attached a domain of its own; number of drivers.
    DriverManaged(u32),
    /// S4: owned; its DMA is blocked.
    Owned(Owner),
    /// S5: owned; its DMA goes to a domain of the owner.
    Attached(Owner),
    /// S6: owned, but all devices have vanished.
    Orphan(Owner),
}

/// Handle to a group, without rights.
pub struct Group<'i, P: Platform, const DEVICES: usize = 16> {
    iommu: &'i Iommu<P, DEVICES>,
    id: GroupId,
}

impl<P: Platform, const DEVICES: usize> Clone for Group<'_, P, DEVICES> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P: Platform, const DEVICES: usize> Copy for Group<'_, P, DEVICES> {}

impl<'i, P: Platform, const DEVICES: usize> Group<'i, P, DEVICES> {
    pub(crate) fn new(iommu: &'i Iommu<P, DEVICES>, id: GroupId) -> Self {
        Group { iommu, id }
    }

    /// Its name.
    pub fn id(&self) -> GroupId {
        self.id
    }

    /// Registers a driver that relies on the default domain: until the guard is dropped nobody can own the group.
    ///
    /// # Errors
    /// [`Error::Busy`]: the group is owned, or a driver attached a domain of its own. [`Error::NoDevice`]: no device is
    /// left. [`Error::Io`]: translation is off after a failure.
    pub fn use_default_domain(&self) -> Result<KernelUse<'i, P, DEVICES>, Error> {
        self.iommu.with(|i| i.use_default(self.id))?;
        Ok(KernelUse::new(self.iommu, self.id))
    }

    /// Takes the DMA of all its devices. On return nothing they send reaches memory, and nothing sent before is still
    /// on the way.
    ///
    /// # Errors
    /// [`Error::NotPermitted`]: somebody owns or uses it, this owner included. [`Error::NoDevice`]: no device is left.
    /// [`Error::Invalid`]: a device cannot be blocked, see [`RegionKind::Direct`](crate::RegionKind::Direct).
    /// [`Error::Io`]: the hardware failed; nobody owns it, and translation is off.
    pub fn claim(&self, owner: &Owner) -> Result<OwnedGroup<'i, P, DEVICES, Blocked>, Error> {
        self.iommu.with(|i| i.claim(self.id, *owner, true))?;
        Ok(OwnedGroup::new(self.iommu, self.id))
    }

    /// Changes the type of the default domain. From [`DefaultDomainType::Dma`] to [`DefaultDomainType::DmaFq`] it works
    /// in every state and touches no hardware; any other change needs a group that nobody uses or owns.
    ///
    /// # Errors
    /// [`Error::NotPermitted`]: somebody uses or owns the group. [`Error::Invalid`]: no device is left, or a device must
    /// not have it: its [`Policy`](crate::Policy), it is untrusted, or it needs a direct region.
    /// [`Error::NoMemory`]. [`Error::Io`]: the hardware failed; the type is as before.
    pub fn set_default_domain_type(
        &self,
        kind: DefaultDomainType,
        _: &AdminToken,
    ) -> Result<(), Error> {
        self.iommu.with(|i| i.set_type(self.id, kind))
    }

    /// State of the group.
    pub fn status(&self) -> Status {
        self.iommu.with(|i| {
            let Some(state) = i.state(self.id) else {
                return Status::Empty;
            };
            match (state.owner, state.current) {
                (Some(owner), _) if !i.has_devices(self.id) => Status::Orphan(owner),
                (Some(owner), Current::User(_)) => Status::Attached(owner),
                (Some(owner), _) => Status::Owned(owner),
                (None, Current::User(_)) => Status::DriverManaged(state.users),
                (None, _) if state.users > 0 => Status::Kernel(state.users),
                (None, _) => Status::Idle,
            }
        })
    }

    /// How many drivers use it, or how many claims its owner has.
    pub fn users(&self) -> u32 {
        self.iommu.with(|i| i.state(self.id).map_or(0, |s| s.users))
    }
}

impl<P: Platform, const DEVICES: usize> Iommu<P, DEVICES> {
    /// Claims the group of a device. The same owner may claim any number of times, also by different devices of one
    /// group; the group is given back when the last claim is dropped.
    ///
    /// # Errors
    /// [`Error::NoDevice`]: no such device. Otherwise as [`Group::claim`], except for claims of the same owner.
    pub fn claim_device(
        &self,
        device: DeviceId,
        owner: &Owner,
    ) -> Result<DeviceClaim<'_, P, DEVICES>, Error> {
        self.with(|i| {
            let id = i.device(device).map(|d| d.group).ok_or(Error::NoDevice)?;
            i.claim_again(id, *owner)?;
            i.state(id).map(|s| (id, s.epoch)).ok_or(Error::NoDevice)
        })
        .map(|(id, epoch)| DeviceClaim::new(self, device, id, epoch))
    }
}

impl<P: Platform, const DEVICES: usize> Inner<P, DEVICES> {
    pub(crate) fn state(&self, id: GroupId) -> Option<&GroupState> {
        let state = self.groups.get(usize::from(id.slot))?.as_ref();
        state.filter(|s| s.generation == id.generation)
    }

    pub(crate) fn state_mut(&mut self, id: GroupId) -> Result<&mut GroupState, Error> {
        self.groups
            .get_mut(usize::from(id.slot))
            .and_then(Option::as_mut)
            .filter(|s| s.generation == id.generation)
            .ok_or(Error::NoDevice)
    }

    pub(crate) fn is_blocked(&self, id: GroupId) -> bool {
        self.state(id).is_none_or(|s| s.fsc().is_none())
    }

    #[inline(never)]
    fn use_default(&mut self, id: GroupId) -> Result<(), Error> {
        self.hw.usable()?;
        let state = self.state(id).ok_or(Error::NoDevice)?;
        if state.owner.is_some() || state.current != Current::Default {
            return Err(Error::Busy);
        }
        if state.users > 0 && self.has_processes(id) {
            return Err(Error::Busy);
        }
        self.attach_deferred(id)?;
        let state = self.state_mut(id)?;
        state.users = state.users.checked_add(1).ok_or(Error::Overflow)?;
        Ok(())
    }

    /// One driver less. Nothing to do if the group has gone meanwhile.
    pub(crate) fn unuse(&mut self, id: GroupId) {
        if let Ok(state) = self.state_mut(id) {
            state.users = state.users.saturating_sub(1);
        }
    }

    #[inline(never)]
    fn claim(&mut self, id: GroupId, owner: Owner, guarded: bool) -> Result<(), Error> {
        self.hw.usable()?;
        let state = self.state(id).ok_or(Error::NoDevice)?;
        if state.owner.is_some() || state.users > 0 {
            return Err(Error::NotPermitted);
        }
        if self.regions(id).any(DeviceRegion::must_stay) {
            return Err(Error::Invalid);
        }
        if self.has_processes(id) {
            return Err(Error::Busy);
        }
        self.set(id, None, Manner::Plain)?;
        let state = self.state_mut(id)?;
        (state.owner, state.users, state.current) = (Some(owner), 1, Current::Blocked);
        (state.epoch, state.guarded) = (state.epoch.wrapping_add(1), guarded);
        Ok(())
    }

    fn claim_again(&mut self, id: GroupId, owner: Owner) -> Result<(), Error> {
        self.hw.usable()?;
        let state = self.state_mut(id)?;
        if state.owner == Some(owner) {
            state.users = state.users.checked_add(1).ok_or(Error::Overflow)?;
            return Ok(());
        }
        self.claim(id, owner, false)
    }

    /// Claim number `epoch` ends; the last one gives the group back.
    pub(crate) fn release_device(&mut self, id: GroupId, epoch: u32) {
        let Ok(state) = self.state_mut(id) else {
            return;
        };
        if state.owner.is_none() || state.epoch != epoch {
            return;
        }
        if state.users > 1 {
            state.users -= 1;
        } else {
            self.release(id);
        }
    }

    /// The guard of a group that is owned by device-level claims only.
    pub(crate) fn guard(&mut self, id: GroupId, epoch: u32) -> Result<(), Error> {
        let state = self.state_mut(id)?;
        if state.owner.is_none() || state.epoch != epoch {
            return Err(Error::NotPermitted);
        }
        if state.guarded {
            return Err(Error::Busy);
        }
        state.guarded = true;
        Ok(())
    }

    /// Gives a guard up and keeps the other claims, or gives the group back if there are none.
    pub(crate) fn unguard(&mut self, id: GroupId) {
        let Ok(state) = self.state_mut(id) else {
            return;
        };
        state.guarded = false;
        let epoch = state.epoch;
        self.release_device(id, epoch);
    }

    /// To a domain of the guard's holder, by one store if possible; `hitless` allows no other way. What is attached
    /// already stays, with neither store nor command. Nothing changes if it fails.
    #[inline(never)]
    pub(crate) fn replace(&mut self, id: GroupId, fsc: u64, hitless: bool) -> Result<(), Error> {
        self.hw.usable()?;
        if !self.has_devices(id) {
            return Err(Error::NoDevice);
        }
        let same = self.state(id).is_some_and(|s| s.fsc() == Some(fsc));
        if !same && self.is_resetting(id) {
            return Err(Error::Busy);
        }
        self.regions_allow(id, fsc)?;
        let manner = if hitless {
            Manner::Hitless
        } else {
            Manner::Plain
        };
        self.set(id, Some(fsc), manner)?;
        self.state_mut(id)?.current = Current::User(fsc);
        Ok(())
    }

    /// As [`Inner::replace`], but only if nobody attached anything.
    #[inline(never)]
    pub(crate) fn attach(&mut self, id: GroupId, fsc: u64, hitless: bool) -> Result<(), Error> {
        self.hw.usable()?;
        if matches!(self.state_mut(id)?.current, Current::User(_)) {
            return Err(Error::Busy);
        }
        self.replace(id, fsc, hitless)
    }

    /// Whatever is attached, away: to blocked if the group is owned, to the default domain if not. Cannot fail: either
    /// the hardware lets go of it, or everything is off, or the hardware is given up, and then nothing of it is freed.
    #[inline(never)]
    pub(crate) fn detach(&mut self, id: GroupId) {
        let Some(state) = self.state(id) else { return };
        let next = match state.owner {
            Some(_) => Current::Blocked,
            None => Current::Default,
        };
        self.go(id, next);
    }

    /// Back to the default domain, always by way of blocked: the old tables are free even if publishing the default
    /// fails. Cannot fail either. A group without devices is gone after that.
    #[inline(never)]
    pub(crate) fn release(&mut self, id: GroupId) {
        self.detach_processes(id);
        self.go(id, Current::Blocked);
        let Ok(state) = self.state_mut(id) else {
            return;
        };
        (state.owner, state.users, state.guarded) = (None, 0, false);
        if self.has_devices(id) {
            self.go(id, Current::Default);
        } else {
            self.remove_group(id);
        }
    }

    /// A change that must not fail. If the hardware does, it has closed translation already, and the wish stays on
    /// record.
    #[inline(never)]
    fn go(&mut self, id: GroupId, next: Current) {
        let Some(state) = self.state(id) else { return };
        let target = match next {
            Current::Default => state.default.fsc(),
            Current::Blocked => None,
            Current::User(fsc) => Some(fsc),
        };
        let manner = match next {
            Current::Default => Manner::ToDefault,
            Current::Blocked | Current::User(_) => Manner::Plain,
        };
        let _ = self.set(id, target, manner);
        if let Ok(state) = self.state_mut(id) {
            state.current = next;
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::GroupState;
    use crate::device::Device;

    /// Requirement R-82: state per group and device, contexts aside.
    #[test]
    fn r82_state_per_group() {
        let (group, device) = (size_of::<Option<GroupState>>(), size_of::<Option<Device>>());
        std::println!("driver state: {group} bytes per group, {device} bytes per device");
        assert!(group + device <= 144, "{group} + {device} bytes");
        assert!(group <= 128, "{group} bytes");
    }
}
