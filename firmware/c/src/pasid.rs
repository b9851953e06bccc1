//! Domains for process ids: named by a guard of the group and the process id.

use core::ffi::c_int;

use portcullis::{GroupId, Pasid, Status};

use crate::library::{Call, Errno, Guard, Place, Process, Running, Unit, enter, errno};
use crate::types::*;

fn has_devices(unit: &Unit, group: GroupId) -> bool {
    let status = unit.group(group).map(|group| group.status());
    status.is_ok_and(|status| !matches!(status, Status::Empty | Status::Orphan(_)))
}

impl Running {
    fn process(&self, group: GroupId, pasid: u32) -> Option<u16> {
        let found = self
            .objects
            .processes
            .find(|p| p.group == group && p.pasid == pasid);
        found.map(|(slot, _)| slot)
    }

    /// Detaches one; its domain is with the caller again.
    fn end_process(&mut self, slot: u16) {
        if let Some(process) = self.objects.processes.remove(slot) {
            self.domain_back(process.domain, process.guard.detach());
        }
    }

    fn end_processes(&mut self, ends: impl Fn(&Process) -> bool) {
        while let Some((slot, _)) = self.objects.processes.find(&ends) {
            self.end_process(slot);
        }
    }

    /// Before the group of a guard is given back.
    pub fn detach_all_pasids(&mut self, guard: u16) {
        if let Some(group) = self.objects.guards.at(guard).map(|g| g.group().0) {
            self.end_processes(|p| p.group == group);
        }
    }

    /// After devices have gone: a group without devices has no processes any more.
    pub fn sweep_processes(&mut self) {
        let unit = self.unit;
        self.end_processes(|p| !has_devices(unit, p.group));
    }

    /// After a claim has ended: if that gave its group back, the driver has blocked its process ids.
    pub fn sweep_released(&mut self, group: GroupId) {
        let status = self.unit.group(group).map(|group| group.status());
        let owned = |s| {
            matches!(
                s,
                Status::Owned(_) | Status::Attached(_) | Status::Orphan(_)
            )
        };
        if !status.is_ok_and(owned) {
            self.end_processes(|p| p.group == group);
        }
    }
}

impl Call {
    /// The IOMMU, the group of a guard that may move domains, and the guard's place.
    fn mover(&mut self, guard: portcullis_guard) -> Result<(Running, GroupId, u16), Errno> {
        let (running, slot) = self.guard(guard)?;
        match running.objects.guards.at(slot).map(|g| g.group()) {
            Some((group, true)) => Ok((running, group, slot)),
            Some((_, false)) => Err(errno(PORTCULLIS_EPERM)),
            None => Err(errno(PORTCULLIS_EBADF)),
        }
    }
}

/// Lets DMA of the guard's group with a process id go to a domain. What the group sends without one is not disturbed.
///
/// `PORTCULLIS_EOPNOTSUPP`: no process directories in the hardware, or none for this group. `PORTCULLIS_EINVAL`: process id 0, or
/// one beyond `process_id_bits`; or the domain is of another IOMMU. `PORTCULLIS_EBUSY`: the process id is taken, a device is being
/// reset, or the domain is attached elsewhere. `PORTCULLIS_ENOSPC`: `PORTCULLIS_PROCESSES` are attached. `PORTCULLIS_EPERM`: no guard
/// that moves domains. `PORTCULLIS_ENODEV`, `PORTCULLIS_ENOMEM`, `PORTCULLIS_EBADF`, `PORTCULLIS_EIO`.
#[unsafe(no_mangle)]
pub extern "C" fn portcullis_attach_pasid(
    guard: portcullis_guard,
    pasid: u32,
    domain: portcullis_domain,
) -> c_int {
    enter(|call| {
        let pair = call.pair(guard, domain)?;
        let (mut running, slot) = (pair.running, pair.domain);
        let group = running.objects.guards.at(pair.guard).map(|g| g.group().0);
        let group = group.ok_or(errno(PORTCULLIS_EBADF))?;
        if running.objects.processes.is_full() {
            return Err(errno(PORTCULLIS_ENOSPC));
        }
        let target = running.lift_domain(slot)?;
        let attached = match running.objects.guards.at(pair.guard) {
            Some(Guard::Use(guard)) => guard.attach_pasid(Pasid(pasid), target),
            Some(Guard::Managed(guard, _)) => guard.attach_pasid(Pasid(pasid), target),
            Some(Guard::Blocked(guard)) => guard.attach_pasid(Pasid(pasid), target),
            Some(Guard::Attached(guard, _)) => guard.attach_pasid(Pasid(pasid), target),
            Some(Guard::Claim(_)) | None => {
                running.domain_back(slot, target);
                return Err(errno(PORTCULLIS_EPERM));
            }
        };
        match attached {
            Ok(guard) => {
                let process = Process {
                    group,
                    pasid,
                    guard,
                    domain: slot,
                };
                let place = running.objects.processes.insert(process);
                let (place, _) = place.ok_or(errno(PORTCULLIS_ENOSPC))?;
                running.domain_moved(slot, Place::For(place));
                Ok(0)
            }
            Err(refused) => {
                running.domain_back(slot, refused.target);
                Err(refused.error.into())
            }
        }
    })
}

/// As `portcullis_attach_pasid`, but takes the place of what is attached for the process id; the old domain stays with the
/// caller. If it is attached already, nothing is done. `PORTCULLIS_EINVAL` also if nothing is attached for it.
#[unsafe(no_mangle)]
pub extern "C" fn portcullis_replace_pasid(
    guard: portcullis_guard,
    pasid: u32,
    domain: portcullis_domain,
) -> c_int {
    enter(|call| {
        let pair = call.pair(guard, domain)?;
        let (mut running, slot) = (pair.running, pair.domain);
        let group = running.objects.guards.at(pair.guard).map(|g| g.group().0);
        let group = group.ok_or(errno(PORTCULLIS_EBADF))?;
        if !has_devices(running.unit, group) {
            return Err(errno(PORTCULLIS_ENODEV));
        }
        let place = running
            .process(group, pasid)
            .ok_or(errno(PORTCULLIS_EINVAL))?;
        if running
            .objects
            .processes
            .at(place)
            .is_some_and(|p| p.domain == slot)
        {
            return running.working();
        }
        let mut target = running.lift_domain(slot)?;
        let Some(process) = running.objects.processes.at(place) else {
            running.domain_back(slot, target);
            return Err(errno(PORTCULLIS_EINVAL));
        };
        if let Err(error) = process.guard.swap(&mut target) {
            running.domain_back(slot, target);
            return Err(error.into());
        }
        let old = core::mem::replace(&mut process.domain, slot);
        running.domain_moved(slot, Place::For(place));
        running.domain_back(old, target);
        Ok(0)
    })
}

/// Blocks the process id; the domain stays with the caller. On return the IOMMU reads no table of it, and no write through it
/// is on the way. Nothing to do if nothing is attached for it. `PORTCULLIS_EPERM`, `PORTCULLIS_EBADF`.
#[unsafe(no_mangle)]
pub extern "C" fn portcullis_detach_pasid(guard: portcullis_guard, pasid: u32) -> c_int {
    enter(|call| {
        let (mut running, group, _) = call.mover(guard)?;
        if let Some(slot) = running.process(group, pasid) {
            running.end_process(slot);
        }
        Ok(0)
    })
}
