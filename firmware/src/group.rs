//! Groups: who owns their DMA, where it goes, and the one code path that changes contexts.

use portcullis_regmap::ddt::{Tc, dc};

use crate::hw::{Fail, Hw};
use crate::iommu::{Inner, Iommu};
use crate::own::{Blocked, OwnedGroup};
use crate::platform::{Barrier, Event, Platform};
use crate::pool::PageList;
use crate::types::{DeviceId, GroupId, Owner};
use crate::{Error, PhysAddr};

/// Where a group's DMA goes, as far as the caller is concerned. The hardware does the same, unless the IOMMU is closed
/// or wedged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Current {
    /// To the default domain.
    Default,
    /// Nowhere.
    Blocked,
    /// To a domain that the owner attached, by its `fsc`.
    User(u64),
}

/// Deferred unmaps of the domain in a slot.
pub(crate) struct Flush {
    /// Clock of the last purge that began, and of the last one that was completed. An unmap made at `started` is safe
    /// once `done` is greater: only a purge that began later has covered it.
    pub(crate) started: u64,
    pub(crate) done: u64,
    /// Unmaps since then, and when the first of them was.
    pub(crate) pending: u32,
    pub(crate) oldest_us: u64,
    /// Table pages they took out, which the walker may still read.
    pub(crate) tables: PageList,
}

/// One group.
pub(crate) struct GroupState {
    pub(crate) owner: Option<Owner>,
    pub(crate) current: Current,
    /// `fsc` of the default domain; `None` if that is blocked.
    default: Option<u64>,
    pub(crate) default_root: Option<PhysAddr>,
    pub(crate) flush: Flush,
}

impl GroupState {
    pub(crate) fn new(
        current: Current,
        default: Option<u64>,
        default_root: Option<PhysAddr>,
    ) -> Self {
        let flush = Flush {
            started: 0,
            done: 0,
            pending: 0,
            oldest_us: 0,
            tables: PageList::default(),
        };
        GroupState {
            owner: None,
            current,
            default,
            default_root,
            flush,
        }
    }

    /// `fsc` the contexts should have; `None` if they should be invalid.
    pub(crate) fn fsc(&self) -> Option<u64> {
        match self.current {
            Current::Default => self.default,
            Current::Blocked => None,
            Current::User(fsc) => Some(fsc),
        }
    }
}

/// State of a group, for diagnosis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Nobody owns it; its DMA goes to the default domain.
    Idle,
    /// Owned; its DMA is blocked.
    Owned(Owner),
    /// Owned; its DMA goes to a domain of the owner.
    Attached(Owner),
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

    /// Takes the DMA of all its devices. On return nothing they send reaches memory, and nothing sent before is still
    /// on the way.
    ///
    /// # Errors
    /// [`Error::NotPermitted`]: somebody owns it, this owner included. [`Error::Io`]: the hardware failed; nobody owns
    /// it, and translation is off.
    pub fn claim(&self, owner: &Owner) -> Result<OwnedGroup<'i, P, DEVICES, Blocked>, Error> {
        self.iommu.with(|i| i.claim(self.id, *owner))?;
        Ok(OwnedGroup::new(self.iommu, self.id))
    }

    /// State of the group.
    pub fn status(&self) -> Status {
        self.iommu
            .with(|i| match i.state(self.id).map(|s| (s.owner, s.current)) {
                Some((Some(owner), Current::User(_))) => Status::Attached(owner),
                Some((Some(owner), _)) => Status::Owned(owner),
                _ => Status::Idle,
            })
    }
}

impl<P: Platform, const DEVICES: usize> Inner<P, DEVICES> {
    fn state_mut(&mut self, id: GroupId) -> Result<&mut GroupState, Error> {
        self.groups
            .get_mut(usize::from(id.0))
            .and_then(Option::as_mut)
            .ok_or(Error::NoDevice)
    }

    pub(crate) fn is_blocked(&self, id: GroupId) -> bool {
        self.state(id).is_none_or(|s| s.fsc().is_none())
    }

    fn claim(&mut self, id: GroupId, owner: Owner) -> Result<(), Error> {
        if self.state_mut(id)?.owner.is_some() {
            return Err(Error::NotPermitted);
        }
        self.hw.usable()?;
        if self.state_mut(id)?.fsc().is_some() {
            self.block(id);
            self.hw.usable()?;
        }
        let state = self.state_mut(id)?;
        (state.owner, state.current) = (Some(owner), Current::Blocked);
        Ok(())
    }

    /// Blocked group to a domain. Nothing changes if it fails.
    pub(crate) fn attach(&mut self, id: GroupId, fsc: u64) -> Result<(), Error> {
        self.hw.usable()?;
        if self.state_mut(id)?.current != Current::Blocked {
            return Err(Error::Busy);
        }
        self.publish(id, fsc, None)?;
        self.state_mut(id)?.current = Current::User(fsc);
        Ok(())
    }

    /// Whatever is attached, away. Cannot fail: either the hardware lets go of it, or everything is off, or the
    /// hardware is given up, and then nothing of it is freed.
    pub(crate) fn detach(&mut self, id: GroupId) {
        if self.state(id).is_some_and(|s| s.fsc().is_some()) {
            self.block(id);
        }
        if let Ok(state) = self.state_mut(id) {
            state.current = Current::Blocked;
        }
    }

    /// Back to the default domain, always by way of blocked: the old tables are free even if publishing the default
    /// fails. Cannot fail either.
    pub(crate) fn release(&mut self, id: GroupId) {
        self.detach(id);
        let Ok(state) = self.state_mut(id) else {
            return;
        };
        (state.owner, state.current) = (None, Current::Default);
        if let Some(fsc) = state.fsc() {
            // A failure has closed translation already; the wish stays on record.
            let _ = self.publish(id, fsc, None);
        }
    }

    /// BLOCK: V=0 everywhere, then SYNC; only then is what the contexts led to out of reach.
    fn block(&mut self, id: GroupId) {
        if self.hw.usable().is_ok() {
            let result = self.invalidate_contexts(id);
            if self.hw.settle(result).is_ok() {
                let result = self.scrub_contexts(id);
                if self.hw.settle(result).is_ok() {
                    self.hw.p.event(Event::Blocked { group: id });
                }
            }
        }
        self.purged(id);
    }

    fn invalidate_contexts(&mut self, id: GroupId) -> Result<(), Fail> {
        let Inner { hw, devices, .. } = self;
        for device in devices.iter().flatten().filter(|d| d.group == id) {
            let at = PhysAddr(device.context.0 + dc::TC);
            let tc = Tc::from_bits(hw.load(at)?);
            hw.clear_valid(at, tc.with_v(false).into_bits())?;
            hw.publish(at, 8)?;
        }
        hw.barrier(Barrier::MemToMem);
        hw.sync(ids(devices, id), Self::pscid(id))
    }

    fn scrub_contexts(&mut self, id: GroupId) -> Result<(), Fail> {
        let Inner { hw, devices, .. } = self;
        let fsc = hw.empty_fsc();
        devices
            .iter()
            .flatten()
            .filter(|d| d.group == id)
            .try_for_each(|d| {
                let at = PhysAddr(d.context.0 + dc::FSC);
                hw.store(at, fsc)?;
                hw.publish(at, 8)
            })
    }

    /// PUB: everything but V, then SYNC, then V=1, for all devices of the group or one of them.
    ///
    /// The SYNC comes first because contexts may be read in any order: a read begun before the fields were stored must
    /// be over before V can be seen. It also purges the PSCID, so nothing older than the publication is ever hit.
    pub(crate) fn publish(
        &mut self,
        id: GroupId,
        fsc: u64,
        only: Option<DeviceId>,
    ) -> Result<(), Error> {
        let result = self.write_contexts(id, fsc, only);
        self.hw.settle(result)?;
        self.purged(id);
        let result = self.validate_contexts(id, only);
        self.hw.settle(result)?;
        self.hw.p.event(Event::Published { group: id, fsc });
        Ok(())
    }

    fn write_contexts(
        &mut self,
        id: GroupId,
        fsc: u64,
        only: Option<DeviceId>,
    ) -> Result<(), Fail> {
        let Inner { hw, devices, .. } = self;
        for device in devices
            .iter()
            .flatten()
            .filter(|d| d.group == id && only.is_none_or(|o| d.id == o))
        {
            let at = PhysAddr(device.context.0 + dc::FSC);
            hw.store(at, fsc)?;
            hw.publish(at, 8)?;
        }
        hw.barrier(Barrier::MemToMem);
        hw.sync(
            ids(devices, id).filter(|did| only.is_none_or(|o| o.0 == *did)),
            Self::pscid(id),
        )
    }

    fn validate_contexts(&mut self, id: GroupId, only: Option<DeviceId>) -> Result<(), Fail> {
        let Inner { hw, devices, .. } = self;
        for device in devices
            .iter()
            .flatten()
            .filter(|d| d.group == id && only.is_none_or(|o| d.id == o))
        {
            let at = PhysAddr(device.context.0 + dc::TC);
            hw.store(at, Tc::new().with_v(true).into_bits())?;
            hw.publish(at, 8)?;
        }
        // The caller's next register write may start the device.
        hw.barrier(Barrier::MemToReg);
        Ok(())
    }

    /// Everything cached under the slot's PSCID is gone, or translation is off: what was unmapped before is safe.
    fn purged(&mut self, id: GroupId) {
        self.flush_clock += 1;
        let clock = self.flush_clock;
        let wedged = self.hw.wedged();
        let Inner { hw, groups, .. } = self;
        let Some(state) = groups.get_mut(usize::from(id.0)).and_then(Option::as_mut) else {
            return;
        };
        state.flush.pending = 0;
        if wedged {
            // Leaked on purpose: the walker may still read them.
            state.flush.tables = PageList::default();
            return;
        }
        (state.flush.started, state.flush.done) = (clock, clock);
        hw.free_list(&mut state.flush.tables);
    }

    /// One purge for all deferred unmaps of the slot so far.
    pub(crate) fn flush(&mut self, id: GroupId) -> Result<(), Error> {
        let state = self.state_mut(id)?;
        if state.flush.pending == 0 {
            return Ok(());
        }
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

fn ids<const N: usize>(
    devices: &[Option<crate::iommu::Device>; N],
    group: GroupId,
) -> impl Iterator<Item = u32> + Clone {
    devices
        .iter()
        .flatten()
        .filter(move |d| d.group == group)
        .map(|d| d.id.0)
}

impl<P: Platform> Hw<P> {
    /// Everything cached of one address space is gone, and what was granted has landed.
    pub(crate) fn purge(&mut self, pscid: u32) -> Result<(), Fail> {
        use portcullis_regmap::command::Command;
        self.run(
            [
                Command::iotinval_vma_pscid(pscid),
                Command::iofence(true, true),
            ]
            .into_iter(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::GroupState;
    use crate::iommu::Device;

    /// Requirement R-82: state per group and device, contexts aside.
    #[test]
    fn r82_state_per_group() {
        let (group, device) = (size_of::<Option<GroupState>>(), size_of::<Option<Device>>());
        assert!(group + device <= 144, "{group} + {device} bytes");
        assert!(group <= 128, "{group} bytes");
    }
}
