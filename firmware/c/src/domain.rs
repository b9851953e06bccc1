//! Domains: made, mapped, unmapped, freed.

use core::ffi::c_int;

use portcullis::{AddressSpace, AnyTarget, DomainConfig, Iova, Mode, Perm, PhysAddr, TrustToken};

use crate::handle::{Handle, Kind};
use crate::library::{
    Call, DEVICES, Domain, Domains, Errno, Guard, Guards, Objects, Out, Place, Processes, Running,
    decode, enter, errno,
};
use crate::platform::Platform;
use crate::types::*;

impl Call {
    /// Does something with the address space of a domain, wherever it is. Identity has none.
    pub(crate) fn with<R>(
        &mut self,
        domain: portcullis_domain,
        work: impl FnOnce(&AddressSpace<'static, Platform, DEVICES>) -> Result<R, Errno>,
    ) -> Result<R, Errno> {
        let handle = decode(domain, Kind::Domain)?;
        let Objects {
            domains,
            guards,
            processes,
            ..
        } = self.running(handle.iommu)?.objects;
        work(space(domains, guards, processes, handle)?)
    }
}

/// The address space of a domain, wherever it is.
pub(crate) fn space<'o>(
    domains: &'o mut Domains,
    guards: &'o mut Guards,
    processes: &'o mut Processes,
    domain: Handle,
) -> Result<&'o AddressSpace<'static, Platform, DEVICES>, Errno> {
    let found = match domains.get(domain.slot, domain.generation) {
        Some(Place::Free(domain) | Place::Many(domain, _)) => Some(&*domain),
        Some(Place::In(guard)) => match guards.at(*guard) {
            Some(Guard::Managed(guard, _)) => Some(guard.domain()),
            Some(Guard::Attached(guard, _)) => Some(guard.domain()),
            _ => None,
        },
        Some(Place::For(process)) => {
            let process = processes.at(*process);
            process.map(|process| process.guard.domain())
        }
        None => None,
    };
    match found.ok_or(errno(PORTCULLIS_EBADF))? {
        AnyTarget::Paging(domain) => Ok(domain),
        AnyTarget::Shared(domain) => Ok(domain),
        AnyTarget::Identity(_) => Err(errno(PORTCULLIS_EINVAL)),
    }
}

impl Running {
    fn name_domain(&mut self, place: Place) -> Result<portcullis_domain, Errno> {
        let place = self.objects.domains.insert(place);
        self.handle(Kind::Domain, place)
    }

    /// Takes a domain out to be attached, or a copy of one that may be attached in several places.
    pub fn lift_domain(&mut self, slot: u16) -> Result<Domain, Errno> {
        match self.objects.domains.lift(slot) {
            Some(Place::Free(domain)) => Ok(domain),
            Some(Place::Many(domain, copies)) => {
                let copy = match &domain {
                    AnyTarget::Shared(shared) => AnyTarget::Shared(shared.clone()),
                    // SAFETY: whoever made the domain vouches for the devices; the header says so.
                    _ => AnyTarget::Identity(unsafe { TrustToken::new() }),
                };
                let place = Place::Many(domain, copies + 1);
                self.objects.domains.put(slot, place);
                Ok(copy)
            }
            Some(place) => {
                self.objects.domains.put(slot, place);
                Err(errno(PORTCULLIS_EBUSY))
            }
            None => Err(errno(PORTCULLIS_EBADF)),
        }
    }

    /// Notes that the domain taken out is attached there.
    pub fn domain_moved(&mut self, slot: u16, place: Place) {
        // Of one that may be attached in several places, a copy is.
        if self.objects.domains.at(slot).is_none() {
            self.objects.domains.put(slot, place);
        }
    }

    /// Puts back what was taken out.
    pub fn domain_back(&mut self, slot: u16, domain: Domain) {
        if let Some(Place::Many(_, copies)) = self.objects.domains.at(slot) {
            *copies -= 1;
        } else {
            self.objects.domains.put(slot, Place::Free(domain));
        }
    }
}

pub(crate) fn length(bytes: u64) -> Result<usize, Errno> {
    usize::try_from(bytes).map_err(|_| errno(PORTCULLIS_EOVERFLOW))
}

pub fn permission(bits: u32) -> Result<Perm, Errno> {
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
        let mut running = call.iommu(iommu)?;
        if running.objects.domains.is_full() {
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
        out.set(running.name_domain(Place::Free(AnyTarget::Paging(domain)))?);
        Ok(0)
    })
}

/// A domain that leads every address to the same address of memory, the IOMMU's tables included. It may be attached in
/// several places; nothing can be mapped in it.
///
/// `PORTCULLIS_ENOSPC`: `PORTCULLIS_DOMAINS` exist. `PORTCULLIS_EBADF`.
///
/// # Safety
/// Devices that it is attached to can read and write every byte: the caller vouches for them. `domain` is null, which is
/// refused, or good for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn portcullis_domain_identity(
    iommu: portcullis_iommu,
    domain: *mut portcullis_domain,
) -> c_int {
    enter(|call| {
        // SAFETY: the caller's contract.
        let out = unsafe { Out::needed(domain)? };
        let mut running = call.iommu(iommu)?;
        // SAFETY: the caller vouches for the devices.
        let identity = AnyTarget::Identity(unsafe { TrustToken::new() });
        out.set(running.name_domain(Place::Many(identity, 0))?);
        Ok(0)
    })
}

/// Lets a domain be attached in several places at once, from now on. Each place costs an invalidation per unmap.
///
/// `PORTCULLIS_EBUSY`: it is attached. `PORTCULLIS_EINVAL`: it is shared or identity already. `PORTCULLIS_ENOSPC`:
/// `PORTCULLIS_DEVICES` domains are shared. `PORTCULLIS_EBADF`.
#[unsafe(no_mangle)]
pub extern "C" fn portcullis_domain_share(domain: portcullis_domain) -> c_int {
    enter(|call| {
        let handle = decode(domain, Kind::Domain)?;
        let running = call.running(handle.iommu)?;
        let domains = &mut running.objects.domains;
        match domains.get(handle.slot, handle.generation) {
            Some(Place::Free(_)) => {}
            Some(Place::Many(..)) => return Err(errno(PORTCULLIS_EINVAL)),
            Some(Place::In(_) | Place::For(_)) => return Err(errno(PORTCULLIS_EBUSY)),
            None => return Err(errno(PORTCULLIS_EBADF)),
        }
        let (place, answer) = match domains.lift(handle.slot) {
            Some(Place::Free(AnyTarget::Paging(domain))) => match domain.into_shared() {
                Ok(shared) => (Place::Many(AnyTarget::Shared(shared), 0), Ok(0)),
                Err((domain, error)) => (Place::Free(AnyTarget::Paging(domain)), Err(error.into())),
            },
            Some(place) => (place, Err(errno(PORTCULLIS_EINVAL))),
            None => return Err(errno(PORTCULLIS_EBADF)),
        };
        domains.put(handle.slot, place);
        answer
    })
}

/// Frees a domain, with whatever is mapped in it.
///
/// `PORTCULLIS_EBUSY`: it is attached, or unmaps of it are gathered. `PORTCULLIS_EBADF`: there is no such domain, or not any more.
#[unsafe(no_mangle)]
pub extern "C" fn portcullis_domain_free(domain: portcullis_domain) -> c_int {
    enter(|call| {
        let handle = decode(domain, Kind::Domain)?;
        let objects = call.running(handle.iommu)?.objects;
        if objects.gathers.find(|g| g.domain == domain).is_some() {
            return Err(errno(PORTCULLIS_EBUSY));
        }
        let domains = &mut objects.domains;
        match domains.get(handle.slot, handle.generation) {
            Some(Place::Free(_) | Place::Many(_, 0)) => {
                domains.discard(handle.slot);
                Ok(0)
            }
            Some(_) => Err(errno(PORTCULLIS_EBUSY)),
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
