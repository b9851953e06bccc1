//! Domains: made, mapped, unmapped, freed.

use core::ffi::c_int;

use portcullis::{DomainConfig, Iova, Mode, Perm, PhysAddr};

use crate::handle::{Handle, Kind};
use crate::library::{Call, Domain, Errno, Guard, Out, Place, decode, enter, errno};
use crate::types::*;

impl Call {
    /// Does something with a domain, wherever it is.
    fn with<R>(
        &mut self,
        domain: portcullis_domain,
        work: impl FnOnce(&Domain) -> Result<R, Errno>,
    ) -> Result<R, Errno> {
        let handle = decode(domain, Kind::Domain)?;
        let objects = self.running(handle.iommu)?.objects;
        match objects.domains.get(handle.slot, handle.generation) {
            Some(Place::Free(domain)) => work(domain),
            Some(Place::In(guard)) => match objects.guards.at(*guard) {
                Some(Guard::Managed(guard, _)) => work(guard.domain()),
                Some(Guard::Attached(guard, _)) => work(guard.domain()),
                _ => Err(errno(PORTCULLIS_EBADF)),
            },
            None => Err(errno(PORTCULLIS_EBADF)),
        }
    }
}

fn length(bytes: u64) -> Result<usize, Errno> {
    usize::try_from(bytes).map_err(|_| errno(PORTCULLIS_EOVERFLOW))
}

fn permission(bits: u32) -> Result<Perm, Errno> {
    let known = [
        (PORTCULLIS_READ, Perm::READ),
        (PORTCULLIS_WRITE, Perm::WRITE),
        (PORTCULLIS_EXEC, Perm::EXEC),
    ];
    let all = known.iter().fold(0, |all, (bit, _)| all | bit);
    if bits & !all != 0 {
        return Err(errno(PORTCULLIS_EINVAL));
    }
    Ok(known
        .iter()
        .filter(|(bit, _)| bits & bit != 0)
        .fold(Perm::NONE, |perm, (_, one)| perm | *one))
}

/// A new, empty domain with page tables of this format: `PORTCULLIS_SV39`, `PORTCULLIS_SV48`, `PORTCULLIS_SV57`.
///
/// `PORTCULLIS_EINVAL`: no such format. `PORTCULLIS_ENODEV`: not in this hardware. `PORTCULLIS_ENOSPC`: `PORTCULLIS_DOMAINS` exist.
/// `PORTCULLIS_ENOMEM`, `PORTCULLIS_EIO`.
///
/// # Safety
/// `domain` is null, which is refused, or good for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn portcullis_domain_new(
    iommu: portcullis_iommu,
    format: u32,
    domain: *mut portcullis_domain,
) -> c_int {
    enter(|call| {
        // SAFETY: the caller's contract.
        let out = unsafe { Out::needed(domain)? };
        let mode = match format {
            PORTCULLIS_SV39 => Mode::Sv39,
            PORTCULLIS_SV48 => Mode::Sv48,
            PORTCULLIS_SV57 => Mode::Sv57,
            _ => return Err(errno(PORTCULLIS_EINVAL)),
        };
        let running = call.iommu(iommu)?;
        let domains = &mut running.objects.domains;
        if domains.is_full() {
            return Err(errno(PORTCULLIS_ENOSPC));
        }
        #[allow(
            clippy::needless_update,
            reason = "settings without a number in C have their defaults"
        )]
        let config = DomainConfig {
            mode,
            ..DomainConfig::default()
        };
        let domain = running.unit.paging_domain(config)?;
        let (slot, generation) = domains
            .insert(Place::Free(domain))
            .ok_or(errno(PORTCULLIS_ENOSPC))?;
        let handle = Handle {
            kind: Kind::Domain,
            iommu: running.number,
            slot,
            generation,
        };
        out.set(handle.bits());
        Ok(0)
    })
}

/// Frees a domain, with whatever is mapped in it.
///
/// `PORTCULLIS_EBUSY`: it is attached. `PORTCULLIS_EBADF`: there is no such domain, or not any more.
#[unsafe(no_mangle)]
pub extern "C" fn portcullis_domain_free(domain: portcullis_domain) -> c_int {
    enter(|call| {
        let handle = decode(domain, Kind::Domain)?;
        let domains = &mut call.running(handle.iommu)?.objects.domains;
        match domains.get(handle.slot, handle.generation) {
            Some(Place::Free(_)) => {
                drop(domains.remove(handle.slot));
                Ok(0)
            }
            Some(Place::In(_)) => Err(errno(PORTCULLIS_EBUSY)),
            None => Err(errno(PORTCULLIS_EBADF)),
        }
    })
}

/// Maps `bytes` bytes of memory from `address` at `iova`, for `PORTCULLIS_READ`, `PORTCULLIS_WRITE`, `PORTCULLIS_EXEC` or several. All
/// or nothing; issues no command.
///
/// `PORTCULLIS_EINVAL`: nothing to map, not multiples of 4096, no or unknown permission, or memory of the IOMMU itself.
/// `PORTCULLIS_EOVERFLOW`, `PORTCULLIS_ERANGE`: an address wraps, or is beyond the domain. `PORTCULLIS_EADDRINUSE`: something is mapped
/// there; it stays. `PORTCULLIS_ENOMEM`, `PORTCULLIS_EBADF`, `PORTCULLIS_EIO`.
///
/// # Safety
/// Devices may use the memory as allowed until it is unmapped; for a deferred unmap, until it is flushed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn portcullis_map(
    domain: portcullis_domain,
    iova: u64,
    address: u64,
    bytes: u64,
    permissions: u32,
) -> c_int {
    enter(|call| {
        call.with(domain, |domain| {
            let (bytes, perm) = (length(bytes)?, permission(permissions)?);
            // SAFETY: the caller's contract.
            unsafe { domain.map(Iova(iova), PhysAddr(address), bytes, perm)? };
            Ok(0)
        })
    })
}

/// Unmaps what lies in the range: on return no device reaches it, and nothing granted before is on the way. A page that
/// lies in the range only in part stays; holes are skipped. `unmapped`, which may be null, gets the number of bytes.
///
/// `PORTCULLIS_EINVAL`, `PORTCULLIS_EOVERFLOW`, `PORTCULLIS_ERANGE`, `PORTCULLIS_EBADF` as for `portcullis_map`. `PORTCULLIS_EIO`: the hardware
/// failed; unless it is wedged, no device reaches anything.
///
/// # Safety
/// `unmapped` is null or good for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn portcullis_unmap(
    domain: portcullis_domain,
    iova: u64,
    bytes: u64,
    unmapped: *mut u64,
) -> c_int {
    enter(|call| {
        // SAFETY: the caller's contract.
        let out = unsafe { Out::wanted(unmapped)? };
        let bytes = call.with(domain, |domain| {
            Ok(domain.unmap(Iova(iova), length(bytes)?)?)
        })?;
        out.set(bytes as u64);
        Ok(0)
    })
}

/// As `portcullis_unmap`, but issues no command: devices may reach the memory until `portcullis_flush` of the domain has answered
/// 0.
///
/// # Safety
/// `unmapped` is null or good for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn portcullis_unmap_deferred(
    domain: portcullis_domain,
    iova: u64,
    bytes: u64,
    unmapped: *mut u64,
) -> c_int {
    enter(|call| {
        // SAFETY: the caller's contract.
        let out = unsafe { Out::wanted(unmapped)? };
        let deferred = call.with(domain, |domain| {
            Ok(domain.unmap_deferred(Iova(iova), length(bytes)?)?)
        })?;
        out.set(deferred.bytes as u64);
        Ok(0)
    })
}

/// Ends all deferred unmaps of the domain so far. `PORTCULLIS_EIO`: devices may still reach the memory. `PORTCULLIS_EBADF`.
#[unsafe(no_mangle)]
pub extern "C" fn portcullis_flush(domain: portcullis_domain) -> c_int {
    enter(|call| call.with(domain, |domain| Ok(domain.flush().map(|()| 0)?)))
}

/// Where an address leads, and what may be done there. `PORTCULLIS_ENOENT`: nowhere. `PORTCULLIS_EBADF`.
///
/// # Safety
/// `address` and `permissions` are null, or good for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn portcullis_translate(
    domain: portcullis_domain,
    iova: u64,
    address: *mut u64,
    permissions: *mut u32,
) -> c_int {
    enter(|call| {
        // SAFETY: the caller's contract.
        let (address, permissions) = unsafe { (Out::wanted(address)?, Out::wanted(permissions)?) };
        let found = call.with(domain, |domain| Ok(domain.translate(Iova(iova))))?;
        let (pa, perm) = found.ok_or(errno(PORTCULLIS_ENOENT))?;
        let bit = |bit, of| if perm.contains(of) { bit } else { 0 };
        address.set(pa.0);
        permissions.set(
            bit(PORTCULLIS_READ, Perm::READ)
                | bit(PORTCULLIS_WRITE, Perm::WRITE)
                | bit(PORTCULLIS_EXEC, Perm::EXEC),
        );
        Ok(0)
    })
}
