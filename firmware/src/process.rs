//! Process ids: a group whose devices have them gets a process directory, and a domain can be attached per process id.
//! Traffic without one is process id 0 (PDTV=1, DPE=1), so that attaching elsewhere never disturbs it, and that it is
//! never untranslated.
//!
//! All devices of a group share one directory, made with the group. While nothing is attached, the device contexts are
//! invalid, the strongest form of blocked; while something is, a blocked slot is an invalid process context.

use core::fmt;

use portcullis_regmap::command::Command;
use portcullis_regmap::ddt::{NonLeaf, Pdtp, Tc, pdtp_mode};
use portcullis_regmap::pdt::{PcTa, pc, pdi};
use portcullis_regmap::regs::Capabilities;
use portcullis_regmap::{PAGE_SHIFT, PAGE_SIZE};

use crate::context::{ids, select};
use crate::group::GroupState;
use crate::hw::{Fail, Hw};
use crate::iommu::{Inner, Iommu};
use crate::own::{Attach, AttachError};
use crate::platform::{Barrier, Event, Platform};
use crate::types::{GroupId, Pasid};
use crate::{Error, PhysAddr};

/// A domain attached for a process id of a group.
#[derive(Clone, Copy)]
pub(crate) struct Process {
    pub(crate) group: GroupId,
    pasid: u32,
    pub(crate) fsc: u64,
    /// Counts attachments, so that a guard left over from a release does nothing to a successor.
    serial: u32,
}

/// A slot of a group with a directory, as one change needs it.
struct Slot {
    group: GroupId,
    pasid: u32,
    pscid: u32,
    /// Its process context.
    at: PhysAddr,
    /// Other slots are attached: they keep the device contexts valid.
    others: bool,
}

/// A domain attached for a process id. Dropping it detaches the domain, then frees it.
#[must_use = "dropping it detaches the domain"]
pub struct PasidGuard<'i, P: Platform, const DEVICES: usize, D> {
    // Order matters: the hardware lets go of the domain before it is freed.
    lease: Lease<'i, P, DEVICES>,
    domain: D,
}

/// What a successful replacement answers: the guard with the new domain, and the old domain.
pub type ReplacedPasid<'i, P, const DEVICES: usize, D, E> = (PasidGuard<'i, P, DEVICES, E>, D);

struct Lease<'i, P: Platform, const DEVICES: usize> {
    iommu: &'i Iommu<P, DEVICES>,
    group: GroupId,
    pasid: u32,
    serial: u32,
}

impl<P: Platform, const DEVICES: usize> Drop for Lease<'_, P, DEVICES> {
    fn drop(&mut self) {
        self.iommu.with(|i| {
            if i.process(self.group, self.pasid, Some(self.serial))
                .is_some()
            {
                i.detach_process(self.group, self.pasid);
            }
        });
    }
}

impl<P: Platform, const DEVICES: usize, D> fmt::Debug for PasidGuard<'_, P, DEVICES, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasidGuard")
            .field("group", &self.lease.group)
            .field("pasid", &self.lease.pasid)
            .finish_non_exhaustive()
    }
}

/// Attaches a domain for a process id of a group; the caller has a right to the group.
pub(crate) fn attach<P: Platform, const DEVICES: usize, D: Attach<P, DEVICES>>(
    iommu: &Iommu<P, DEVICES>,
    group: GroupId,
    Pasid(pasid): Pasid,
    domain: D,
) -> Result<PasidGuard<'_, P, DEVICES, D>, AttachError<(), D>> {
    let result = domain
        .fsc(iommu)
        .and_then(|fsc| iommu.with(|i| i.attach_process(group, pasid, fsc)));
    match result {
        Ok(serial) => Ok(PasidGuard {
            lease: Lease {
                iommu,
                group,
                pasid,
                serial,
            },
            domain,
        }),
        Err(error) => Err(AttachError {
            guard: (),
            target: domain,
            error,
        }),
    }
}

impl<'i, P: Platform, const DEVICES: usize, D: Attach<P, DEVICES>> PasidGuard<'i, P, DEVICES, D> {
    /// The domain, to be mapped and unmapped while attached.
    pub fn domain(&self) -> &D {
        &self.domain
    }

    /// Blocks the process id and gives the domain back. On return the IOMMU reads no table of it, and no write through
    /// it is still on the way. Cannot fail. Nothing to do if the group was released meanwhile.
    pub fn detach(self) -> D {
        let PasidGuard { lease, domain } = self;
        drop(lease);
        domain
    }

    /// Exchanges the domain for another and gives the old one back, as
    /// [`OwnedGroup::replace`](crate::OwnedGroup::replace).
    ///
    /// # Errors
    /// [`Error::Invalid`]: the group was released meanwhile, so that nothing is attached. [`Error::Busy`]: a device is
    /// being reset. Otherwise as attaching. The old domain stays.
    pub fn replace<E: Attach<P, DEVICES>>(
        self,
        domain: E,
    ) -> Result<ReplacedPasid<'i, P, DEVICES, D, E>, AttachError<Self, E>> {
        let Lease {
            iommu,
            group,
            pasid,
            serial,
        } = self.lease;
        let result = domain
            .fsc(iommu)
            .and_then(|fsc| iommu.with(|i| i.replace_process(group, pasid, serial, fsc)));
        match result {
            Ok(()) => {
                let PasidGuard { lease, domain: old } = self;
                Ok((PasidGuard { lease, domain }, old))
            }
            Err(error) => Err(AttachError {
                guard: self,
                target: domain,
                error,
            }),
        }
    }
}

/// Process-id bits of the widest directory the hardware has; 0 without any.
pub(crate) fn bits(caps: Capabilities) -> u32 {
    match (caps.pd20(), caps.pd17(), caps.pd8()) {
        (true, ..) => 20,
        (_, true, _) => 17,
        (_, _, true) => 8,
        _ => 0,
    }
}

/// Levels of that directory, and its mode.
fn shape(caps: Capabilities) -> (u8, u8) {
    match bits(caps) {
        20 => (3, pdtp_mode::PD20),
        17 => (2, pdtp_mode::PD17),
        _ => (1, pdtp_mode::PD8),
    }
}

fn valid(pscid: u32) -> u64 {
    PcTa::new().with_v(true).with_pscid(pscid).into_bits()
}

impl<P: Platform> Hw<P> {
    /// `fsc` of contexts that lead to a process directory.
    pub(crate) fn pdtp(&self, root: PhysAddr) -> u64 {
        Pdtp::new()
            .with_ppn(root.0 >> PAGE_SHIFT)
            .with_mode(shape(self.caps).1)
            .into_bits()
    }

    /// A page of process contexts or of links to them, filled, published.
    fn directory_page(&mut self, level: u8) -> Result<PhysAddr, Error> {
        let page = self.zeroed_frame()?;
        let (fsc, mut result) = (self.empty_fsc(), Ok(()));
        if level == 0 {
            for context in (0..PAGE_SIZE).step_by(pc::BYTES as usize) {
                result =
                    result.and_then(|()| self.store(PhysAddr(page.0 + context + pc::FSC), fsc));
            }
        }
        if let Err(fail) = result.and_then(|()| self.publish(page, PAGE_SIZE)) {
            self.free_frame(page);
            return Err(fail.into());
        }
        self.barrier(Barrier::MemToMem);
        Ok(page)
    }

    /// Place of a process context; pages on the way are added if `create`, which moves no other context (PDT-06).
    fn process_context(
        &mut self,
        root: PhysAddr,
        pasid: u32,
        create: bool,
    ) -> Result<PhysAddr, Error> {
        let mut table = root;
        for level in (1..shape(self.caps).0).rev() {
            let at = PhysAddr(table.0 + u64::from(pdi(pasid, level)) * 8);
            let link = NonLeaf::from_bits(self.load(at)?);
            table = if link.v() {
                PhysAddr(link.ppn() << PAGE_SHIFT)
            } else if create {
                let page = self.directory_page(level - 1)?;
                let link = NonLeaf::new()
                    .with_v(true)
                    .with_ppn(page.0 >> PAGE_SHIFT)
                    .into_bits();
                let result = self.link(page, at, link);
                // The store may have happened although it failed: then the page must stay what it is.
                self.settle(result)?;
                page
            } else {
                return Err(Error::NotFound);
            };
        }
        Ok(PhysAddr(table.0 + u64::from(pdi(pasid, 0)) * pc::BYTES))
    }

    /// An idle process context, as [`Hw::idle_context`].
    fn idle_process(&mut self, at: PhysAddr) -> Result<(), Fail> {
        let empty = self.empty_fsc();
        self.clear_valid(at, 0)?;
        self.store(PhysAddr(at.0 + pc::FSC), empty)?;
        self.publish(at, pc::BYTES)
    }

    /// Gives the pages of a directory back that no context leads to any more.
    fn free_directory(&mut self, root: PhysAddr) {
        let levels = shape(self.caps).0;
        let links = |hw: &mut Self, page: PhysAddr, n: u64| {
            let link = hw.load(PhysAddr(page.0 + n * 8)).map(NonLeaf::from_bits);
            let link = link.ok().filter(|link| link.v());
            link.map(|link| PhysAddr(link.ppn() << PAGE_SHIFT))
        };
        for n in 0..if levels > 1 { PAGE_SIZE / 8 } else { 0 } {
            let Some(middle) = links(self, root, n) else {
                continue;
            };
            for m in 0..if levels > 2 { PAGE_SIZE / 8 } else { 0 } {
                if let Some(leaf) = links(self, middle, m) {
                    self.free_frame(leaf);
                }
            }
            self.free_frame(middle);
        }
        self.free_frame(root);
    }

    /// SYNC for one process context of these devices.
    fn sync_process(
        &mut self,
        devices: impl Iterator<Item = u32>,
        pasid: u32,
        pscid: u32,
    ) -> Result<(), Fail> {
        let contexts = devices.map(|did| Command::inval_pdt(did, pasid));
        self.run(contexts.chain([
            Command::iofence(false, false),
            Command::iotinval_vma_pscid(pscid),
            Command::iofence(true, true),
        ]))
    }

    /// SYNC for device contexts that lead to a directory: what is cached may be of any of its address spaces.
    pub(crate) fn sync_directory(
        &mut self,
        devices: impl Iterator<Item = u32>,
    ) -> Result<(), Fail> {
        let contexts = devices.map(|did| Command::inval_ddt(Some(did)));
        self.run(contexts.chain([
            Command::iofence(false, false),
            Command::iotinval_vma_all(),
            Command::iofence(true, true),
        ]))
    }
}

impl<P: Platform, const DEVICES: usize> Inner<P, DEVICES> {
    pub(crate) fn process_pscid(slot: usize) -> u32 {
        (DEVICES + 1 + slot) as u32
    }

    pub(crate) fn directory(&self, id: GroupId) -> Option<PhysAddr> {
        self.directories
            .get(usize::from(id.slot))
            .copied()
            .flatten()
    }

    /// A directory for a new group, with the context of process id 0, so that attaching there never allocates.
    pub(crate) fn add_process_directory(&mut self, id: GroupId) -> Result<(), Error> {
        if bits(self.hw.caps) == 0 {
            return Ok(());
        }
        let root = self.hw.directory_page(shape(self.hw.caps).0 - 1)?;
        if let Err(error) = self.hw.process_context(root, 0, true) {
            self.hw.free_directory(root);
            return Err(error);
        }
        self.directories[usize::from(id.slot)] = Some(root);
        Ok(())
    }

    /// With the group; nothing leads there any more.
    pub(crate) fn remove_process_directory(&mut self, id: GroupId) {
        for process in &mut self.processes {
            if process.is_some_and(|p| p.group == id) {
                *process = None;
            }
        }
        let root = self.directories.get_mut(usize::from(id.slot));
        if let Some(root) = root.and_then(Option::take)
            && !self.hw.wedged()
        {
            self.hw.free_directory(root);
        }
    }

    /// Slot of the domain attached for a process id, if it is that one.
    fn process(&self, id: GroupId, pasid: u32, serial: Option<u32>) -> Option<usize> {
        let found = |p: &Process| {
            p.group == id && p.pasid == pasid && serial.is_none_or(|serial| p.serial == serial)
        };
        self.processes
            .iter()
            .position(|p| p.as_ref().is_some_and(found))
    }

    pub(crate) fn has_processes(&self, id: GroupId) -> bool {
        self.processes.iter().flatten().any(|p| p.group == id)
    }

    /// Groups with a process whose domain has this `fsc`.
    pub(crate) fn process_groups(&self, fsc: u64) -> impl Iterator<Item = GroupId> + '_ {
        let processes = self.processes.iter().flatten();
        processes.filter(move |p| p.fsc == fsc).map(|p| p.group)
    }

    /// Whether contexts of the group's devices are valid.
    pub(crate) fn is_open(&self, id: GroupId) -> bool {
        !self.is_blocked(id) || self.has_processes(id)
    }

    fn attach_process(&mut self, id: GroupId, pasid: u32, fsc: u64) -> Result<u32, Error> {
        self.hw.usable()?;
        if !self.has_devices(id) {
            return Err(Error::NoDevice);
        }
        let root = self.directory(id).ok_or(Error::NotSupported)?;
        if pasid == 0 || pasid >> bits(self.hw.caps) != 0 {
            return Err(Error::Invalid);
        }
        if self.process(id, pasid, None).is_some() || self.is_resetting(id) {
            return Err(Error::Busy);
        }
        self.regions_allow(id, fsc)?;
        let free = self.processes.iter().position(Option::is_none);
        let slot = free.ok_or(Error::NoSpace)?;
        self.attach_deferred(id)?;
        self.hw.process_context(root, pasid, true)?;
        let result = self.set_process(id, pasid, Self::process_pscid(slot), None, Some(fsc));
        if result.is_err() {
            self.idle_process_while_off(id, pasid);
        }
        result?;
        self.generations = self.generations.wrapping_add(1);
        let serial = self.generations;
        self.processes[slot] = Some(Process {
            group: id,
            pasid,
            fsc,
            serial,
        });
        Ok(serial)
    }

    fn replace_process(
        &mut self,
        id: GroupId,
        pasid: u32,
        serial: u32,
        fsc: u64,
    ) -> Result<(), Error> {
        self.hw.usable()?;
        let slot = self
            .process(id, pasid, Some(serial))
            .ok_or(Error::Invalid)?;
        let old = self.processes[slot].map(|p| p.fsc);
        if old == Some(fsc) {
            return Ok(());
        }
        if self.is_resetting(id) {
            return Err(Error::Busy);
        }
        self.regions_allow(id, fsc)?;
        self.set_process(id, pasid, Self::process_pscid(slot), old, Some(fsc))?;
        if let Some(process) = &mut self.processes[slot] {
            process.fsc = fsc;
        }
        Ok(())
    }

    /// Cannot fail, as [`Inner::detach`].
    fn detach_process(&mut self, id: GroupId, pasid: u32) {
        let Some(slot) = self.process(id, pasid, None) else {
            return;
        };
        // Not among those that keep the device contexts valid any more.
        let old = self.processes[slot].take().map(|p| p.fsc);
        if self.hw.usable().is_ok() {
            let _ = self.set_process(id, pasid, Self::process_pscid(slot), old, None);
        }
        self.idle_process_while_off(id, pasid);
    }

    /// Takes back what a process context that is not on record may say, so that it does not come back with translation.
    fn idle_process_while_off(&mut self, id: GroupId, pasid: u32) {
        if let (true, Some(root)) = (self.hw.closed(), self.directory(id))
            && self.rewrite_process(root, pasid, 0, None).is_err()
        {
            self.hw.wedge();
        }
    }

    /// Every slot idle, of a group whose last device has gone and is blocked.
    pub(crate) fn idle_processes(&mut self, id: GroupId) {
        let Some(root) = self.directory(id).filter(|_| !self.hw.wedged()) else {
            return;
        };
        let mut result = self.rewrite_process(root, 0, 0, None);
        for slot in 0..DEVICES {
            if let Some(process) = self.processes[slot].take_if(|p| p.group == id) {
                result = result.and(self.rewrite_process(root, process.pasid, 0, None));
            }
        }
        let _ = self.hw.settle(result);
    }

    /// Before a group is given back.
    pub(crate) fn detach_processes(&mut self, id: GroupId) {
        while let Some(process) = self.processes.iter().flatten().find(|p| p.group == id) {
            let pasid = process.pasid;
            self.detach_process(id, pasid);
        }
    }

    /// As [`Inner::set`] for the slot of one process id; the caller knows that `old` and `new` differ. Other slots keep
    /// the device contexts valid if any of them is attached.
    pub(crate) fn set_process(
        &mut self,
        id: GroupId,
        pasid: u32,
        pscid: u32,
        old: Option<u64>,
        new: Option<u64>,
    ) -> Result<(), Error> {
        let root = self.directory(id).ok_or(Error::NotSupported)?;
        let others = if pasid == 0 {
            self.has_processes(id)
        } else {
            let other = |p: &Process| p.group == id && p.pasid != pasid;
            !self.is_blocked(id) || self.processes.iter().flatten().any(other)
        };
        let at = self.hw.process_context(root, pasid, false)?;
        let slot = Slot {
            group: id,
            pasid,
            pscid,
            at,
            others,
        };
        match (old, new) {
            (Some(from), Some(to)) if Hw::<P>::swappable(from, to).is_ok() => {
                let result = self.swap_process(&slot, from, to);
                self.settle_slot(&slot, result)?;
                self.hw.p.event(Event::Swapped { group: id, fsc: to });
            }
            _ => {
                if old.is_some() {
                    self.block_process(&slot)?;
                }
                if let Some(fsc) = new {
                    self.publish_process(&slot, fsc)?;
                }
            }
        }
        Ok(())
    }

    /// After a SYNC, also one that was lost and made good by a reset of the queue.
    fn settle_slot(&mut self, slot: &Slot, result: Result<(), Fail>) -> Result<(), Error> {
        let result = self.hw.settle(result);
        if slot.pasid == 0 {
            self.purged(slot.group);
        }
        result
    }

    /// SWAP of one slot.
    fn swap_process(&mut self, slot: &Slot, from: u64, to: u64) -> Result<(), Fail> {
        let fsc = PhysAddr(slot.at.0 + pc::FSC);
        self.hw.barrier(Barrier::MemToMem);
        self.hw.store_live(fsc, from, to)?;
        self.hw.publish(fsc, 8)?;
        self.sync_slot(slot)
    }

    /// BLOCK of one slot: its process context, or the device contexts if nothing else is attached.
    fn block_process(&mut self, slot: &Slot) -> Result<(), Error> {
        let result = if slot.others {
            self.invalidate_process(slot)
        } else {
            self.edit_contexts(slot.group, |hw, at| hw.clear_valid(at, 0))
                .and_then(|()| self.sync_devices(slot.group))
        };
        self.settle_slot(slot, result)?;
        let result = self.hw.idle_process(slot.at);
        self.hw.settle(result)?;
        self.hw.p.event(Event::Blocked { group: slot.group });
        Ok(())
    }

    fn invalidate_process(&mut self, slot: &Slot) -> Result<(), Fail> {
        self.hw.clear_valid(slot.at, 0)?;
        self.hw.publish(slot.at, 8)?;
        self.sync_slot(slot)
    }

    /// PUB of one slot; with the device contexts if nothing else is attached.
    fn publish_process(&mut self, slot: &Slot, fsc: u64) -> Result<(), Error> {
        let result = self.write_process(slot, fsc);
        self.settle_slot(slot, result)?;
        let result = self.validate_process(slot);
        self.hw.settle(result)?;
        let group = slot.group;
        self.hw.p.event(Event::Published { group, fsc });
        Ok(())
    }

    fn write_process(&mut self, slot: &Slot, fsc: u64) -> Result<(), Fail> {
        self.hw.store(PhysAddr(slot.at.0 + pc::FSC), fsc)?;
        self.hw.publish(slot.at, pc::BYTES)?;
        if slot.others {
            self.sync_slot(slot)
        } else {
            self.hw.barrier(Barrier::MemToMem);
            self.sync_devices(slot.group)
        }
    }

    fn validate_process(&mut self, slot: &Slot) -> Result<(), Fail> {
        self.hw.store(slot.at, valid(slot.pscid))?;
        self.hw.publish(slot.at, 8)?;
        if !slot.others {
            self.hw.barrier(Barrier::MemToMem);
            let tc = Self::directory_tc().into_bits();
            self.edit_contexts(slot.group, |hw, at| hw.store(at, tc))?;
        }
        self.hw.barrier(Barrier::MemToReg);
        Ok(())
    }

    /// `tc` of contexts that lead to a directory.
    pub(crate) fn directory_tc() -> Tc {
        Tc::new().with_v(true).with_pdtv(true).with_dpe(true)
    }

    fn edit_contexts(
        &mut self,
        id: GroupId,
        mut edit: impl FnMut(&mut Hw<P>, PhysAddr) -> Result<(), Fail>,
    ) -> Result<(), Fail> {
        let Inner { hw, devices, .. } = self;
        for device in select(devices, id, None) {
            edit(hw, device.context)?;
            hw.publish(device.context, 8)?;
        }
        hw.barrier(Barrier::MemToMem);
        Ok(())
    }

    fn sync_slot(&mut self, slot: &Slot) -> Result<(), Fail> {
        let Inner { hw, devices, .. } = self;
        hw.barrier(Barrier::MemToMem);
        hw.sync_process(ids(devices, slot.group, None), slot.pasid, slot.pscid)
    }

    fn sync_devices(&mut self, id: GroupId) -> Result<(), Fail> {
        let Inner { hw, devices, .. } = self;
        hw.sync_directory(ids(devices, id, None))
    }

    /// Process contexts of a group as the state on record wants them, while translation is off.
    pub(crate) fn rewrite_processes(&mut self, id: GroupId) -> Result<(), Fail> {
        let Some(root) = self.directory(id) else {
            return Ok(());
        };
        let own = self.state(id).and_then(GroupState::fsc);
        self.rewrite_process(root, 0, Self::pscid(id), own)?;
        for slot in 0..DEVICES {
            if let Some(process) = self.processes[slot].filter(|p| p.group == id) {
                let pscid = Self::process_pscid(slot);
                self.rewrite_process(root, process.pasid, pscid, Some(process.fsc))?;
            }
        }
        Ok(())
    }

    fn rewrite_process(
        &mut self,
        root: PhysAddr,
        pasid: u32,
        pscid: u32,
        fsc: Option<u64>,
    ) -> Result<(), Fail> {
        let at = self.hw.process_context(root, pasid, false);
        let at = at.map_err(|_| Fail::Platform)?;
        self.hw.idle_process(at)?;
        if let Some(fsc) = fsc {
            self.hw.store(PhysAddr(at.0 + pc::FSC), fsc)?;
            self.hw.store(at, valid(pscid))?;
            self.hw.publish(at, pc::BYTES)?;
        }
        Ok(())
    }
}
