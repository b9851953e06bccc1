//! Process ids: a group whose devices have them gets a process directory, and a domain can be attached per process id.
//! Traffic without one is process id 0 (PDTV=1, DPE=1), so that attaching elsewhere never disturbs it, and that it is
//! never untranslated.
//!
//! All devices of a group share one directory, made with the group. While nothing is attached, the device contexts are
//! invalid, the strongest form of blocked; while something is, a blocked slot is an invalid process context.

use core::fmt;

use crate::Error;
use crate::iommu::{Inner, Iommu};
use crate::own::{Attach, AttachError};
use crate::pdt::bits;
use crate::platform::Platform;
use crate::types::{GroupId, Pasid};

/// A domain attached for a process id of a group.
#[derive(Clone, Copy)]
pub(crate) struct Process {
    pub(crate) group: GroupId,
    pub(crate) pasid: u32,
    pub(crate) fsc: u64,
    /// Counts attachments, so that a guard left over from a release does nothing to a successor.
    serial: u32,
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

impl<P: Platform, const DEVICES: usize> Lease<'_, P, DEVICES> {
    fn lead_to(&self, domain: &impl Attach<P, DEVICES>) -> Result<(), Error> {
        let fsc = domain.fsc(self.iommu)?;
        self.iommu
            .with(|i| i.replace_process(self.group, self.pasid, self.serial, fsc))
    }
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

    /// As [`PasidGuard::replace`], and as [`OwnedGroup::swap`](crate::OwnedGroup::swap).
    ///
    /// # Errors
    /// As there; guard and domain are as they were.
    pub fn swap(&mut self, domain: &mut D) -> Result<(), Error> {
        self.lease.lead_to(domain)?;
        core::mem::swap(&mut self.domain, domain);
        Ok(())
    }

    /// Exchanges the domain for another and gives the old one back, as
    /// [`OwnedGroup::replace`](crate::OwnedGroup::replace).
    ///
    /// # Errors
    /// [`Error::NotPermitted`]: nobody uses or owns the group any more. [`Error::Invalid`]: it was released meanwhile and
    /// has another user or owner, so that nothing is attached. [`Error::NoDevice`]: the devices have vanished.
    /// [`Error::Busy`]: a device is being reset. Otherwise as attaching. The old domain stays.
    pub fn replace<E: Attach<P, DEVICES>>(
        self,
        domain: E,
    ) -> Result<ReplacedPasid<'i, P, DEVICES, D, E>, AttachError<Self, E>> {
        match self.lease.lead_to(&domain) {
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

impl<P: Platform, const DEVICES: usize> Inner<P, DEVICES> {
    pub(crate) fn process_pscid(slot: usize) -> u32 {
        (DEVICES + 1 + slot) as u32
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

    #[inline(never)]
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
        self.hw.add_process_context(root, pasid)?;
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

    #[inline(never)]
    fn replace_process(
        &mut self,
        id: GroupId,
        pasid: u32,
        serial: u32,
        fsc: u64,
    ) -> Result<(), Error> {
        self.hw.usable()?;
        if !self.has_devices(id) {
            return Err(Error::NoDevice);
        }
        if self.state(id).is_none_or(|s| s.users == 0) {
            return Err(Error::NotPermitted);
        }
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
    #[inline(never)]
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
    #[inline(never)]
    fn idle_process_while_off(&mut self, id: GroupId, pasid: u32) {
        if let (true, Some(root)) = (self.hw.closed(), self.directory(id))
            && self.rewrite_process(root, pasid, 0, None).is_err()
        {
            self.hw.wedge();
        }
    }

    /// Every slot idle, of a group whose last device has gone and is blocked.
    #[inline(never)]
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
    #[inline(never)]
    pub(crate) fn detach_processes(&mut self, id: GroupId) {
        while let Some(process) = self.processes.iter().flatten().find(|p| p.group == id) {
            let pasid = process.pasid;
            self.detach_process(id, pasid);
        }
    }
}
