//! Unmaps whose invalidation comes later: gathered ones, and deferred ones that are waited for one by one.

use core::ffi::c_int;

use portcullis::{AddressSpace, Deferred, Gather, Health, Iova, Suspended};

use crate::domain::{length, space};
use crate::handle::{Handle, Kind};
use crate::library::{Call, DEVICES, Errno, Objects, Out, decode, enter, errno};
use crate::platform::Platform;
use crate::types::*;

/// A collection of unmaps of a domain.
pub struct Gathering {
    /// The domain's handle.
    pub domain: portcullis_domain,
    /// What is gathered.
    held: Suspended,
}

/// A deferred unmap of a domain.
pub struct Waiting {
    domain: portcullis_domain,
    deferred: Deferred,
}

/// What a collection holds, and the address space it is of.
fn gathering(
    objects: &mut Objects,
    gather: Handle,
) -> Result<(&AddressSpace<'static, Platform, DEVICES>, &mut Suspended), Errno> {
    let found = objects.gathers.get(gather.slot, gather.generation);
    let Gathering { domain, held } = found.ok_or(errno(PORTCULLIS_EBADF))?;
    let domain = decode(*domain, Kind::Domain)?;
    let Objects {
        domains,
        guards,
        processes,
        ..
    } = objects;
    Ok((space(domains, guards, processes, domain)?, held))
}

impl Call {
    /// Place of a deferred unmap, its domain, and the unmap.
    fn waiting(
        &mut self,
        deferred: portcullis_deferred,
    ) -> Result<(u8, u16, portcullis_domain, Deferred), Errno> {
        let handle = decode(deferred, Kind::Deferred)?;
        let waiting = &mut self.running(handle.iommu)?.objects.deferred;
        let found = waiting.get(handle.slot, handle.generation);
        let found = found.ok_or(errno(PORTCULLIS_EBADF))?;
        Ok((handle.iommu, handle.slot, found.domain, found.deferred))
    }

    /// Whether its memory and addresses are free. Those of a domain that has gone are, since it was detached before; but
    /// nothing is after hardware that does not answer.
    fn is_over(&mut self, domain: portcullis_domain, deferred: Deferred) -> Result<bool, Errno> {
        let running = self.running(decode(domain, Kind::Domain)?.iommu)?;
        if running.unit.health() == Health::Wedged {
            return Ok(false);
        }
        let reusable = self.with(domain, |domain| Ok(domain.reusable(&deferred)));
        Ok(reusable.unwrap_or(true))
    }
}

/// A collection for unmaps of a domain that are invalidated together, by `portcullis_gather_sync`. While it is there, the
/// domain cannot be freed, and the IOMMU cannot be stopped.
///
/// `PORTCULLIS_ENOSPC`: `PORTCULLIS_GATHERS` exist. `PORTCULLIS_EINVAL`: null, or the domain is identity. `PORTCULLIS_EBADF`.
///
/// # Safety
/// `gather` is null, which is refused, or good for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn portcullis_gather_new(
    domain: portcullis_domain,
    gather: *mut portcullis_gather,
) -> c_int {
    enter(|call| {
        // SAFETY: the caller's contract.
        let out = unsafe { Out::needed(gather)? };
        let handle = decode(domain, Kind::Domain)?;
        let running = call.running(handle.iommu)?;
        let Objects {
            domains,
            guards,
            processes,
            gathers,
            ..
        } = &mut *running.objects;
        let held = space(domains, guards, processes, handle)?
            .gather()
            .suspend();
        let place = gathers.insert(Gathering { domain, held });
        out.set(running.handle(Kind::Gather, place)?);
        Ok(0)
    })
}

/// As `portcullis_unmap`, of the domain that the collection was made for; but devices may reach the memory until
/// `portcullis_gather_sync`, and neither it nor the addresses may be used before. Issues no command.
///
/// As there.
///
/// # Safety
/// `unmapped` is null or good for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn portcullis_unmap_gather(
    gather: portcullis_gather,
    iova: u64,
    bytes: u64,
    unmapped: *mut u64,
) -> c_int {
    enter(|call| {
        // SAFETY: the caller's contract.
        let out = unsafe { Out::wanted(unmapped)? };
        let bytes = length(bytes)?;
        let handle = decode(gather, Kind::Gather)?;
        let (domain, held) = gathering(call.running(handle.iommu)?.objects, handle)?;
        out.set(domain.unmap_suspended(Iova(iova), bytes, held)? as u64);
        Ok(0)
    })
}

/// Invalidates what was gathered, and ends the collection. On return no device reaches any of it, and nothing granted before
/// is on the way.
///
/// `PORTCULLIS_EBADF`. `PORTCULLIS_EIO`: the hardware does not answer, and devices may still reach the memory; the collection has
/// ended all the same.
#[unsafe(no_mangle)]
pub extern "C" fn portcullis_gather_sync(gather: portcullis_gather) -> c_int {
    enter(|call| {
        let handle = decode(gather, Kind::Gather)?;
        let objects = &mut *call.running(handle.iommu)?.objects;
        let (domain, held) = gathering(objects, handle)?;
        let synced = domain.resume(held).and_then(Gather::sync);
        objects.gathers.discard(handle.slot);
        synced?;
        Ok(0)
    })
}

/// As `portcullis_unmap_deferred`, with a name for this unmap: its memory and addresses are free when
/// `portcullis_deferred_ready` answers 1 or `portcullis_deferred_wait` answers 0, which end the name.
///
/// As there; `PORTCULLIS_ENOSPC`: `PORTCULLIS_DEFERRED` exist, and nothing was unmapped. `PORTCULLIS_EINVAL`: `deferred` is null.
///
/// # Safety
/// `unmapped` is null or good for writing; `deferred` is null, which is refused, or good for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn portcullis_unmap_named(
    domain: portcullis_domain,
    iova: u64,
    bytes: u64,
    unmapped: *mut u64,
    deferred: *mut portcullis_deferred,
) -> c_int {
    enter(|call| {
        // SAFETY: the caller's contract.
        let (out, name) = unsafe { (Out::wanted(unmapped)?, Out::needed(deferred)?) };
        let iommu = decode(domain, Kind::Domain)?.iommu;
        if call.running(iommu)?.objects.deferred.is_full() {
            return Err(errno(PORTCULLIS_ENOSPC));
        }
        let deferred = call.with(domain, |domain| {
            Ok(domain.unmap_deferred(Iova(iova), length(bytes)?)?)
        })?;
        let running = call.running(iommu)?;
        let place = running
            .objects
            .deferred
            .insert(Waiting { domain, deferred });
        name.set(running.handle(Kind::Deferred, place)?);
        out.set(deferred.bytes as u64);
        Ok(0)
    })
}

/// Whether a flush has covered a deferred unmap: 1, and its name is gone; or 0. Issues no command. `PORTCULLIS_EBADF`.
#[unsafe(no_mangle)]
pub extern "C" fn portcullis_deferred_ready(deferred: portcullis_deferred) -> c_int {
    enter(|call| {
        let (number, slot, domain, unmap) = call.waiting(deferred)?;
        if !call.is_over(domain, unmap)? {
            return Ok(0);
        }
        call.running(number)?.objects.deferred.remove(slot);
        Ok(1)
    })
}

/// Waits for a deferred unmap, by a flush if none has covered it: 0, and its name is gone. `PORTCULLIS_EBADF`.
/// `PORTCULLIS_EIO`: the hardware does not answer, and devices may still reach the memory; the name stays.
#[unsafe(no_mangle)]
pub extern "C" fn portcullis_deferred_wait(deferred: portcullis_deferred) -> c_int {
    enter(|call| {
        let (number, slot, domain, unmap) = call.waiting(deferred)?;
        if !call.is_over(domain, unmap)? {
            let flushed = call.with(domain, |domain| Ok(domain.flush()?));
            flushed.map_err(|_| errno(PORTCULLIS_EIO))?;
        }
        call.running(number)?.objects.deferred.remove(slot);
        Ok(0)
    })
}
