//! Guards: using and owning groups, and moving domains in and out.

use core::ffi::c_int;

use portcullis::{DeviceId, Error, Health, NotHitless, Owner};

use crate::handle::Kind;
use crate::library::{Call, Domain, Errno, Guard, Out, Place, Running, decode, enter, errno};
use crate::types::*;

/// A guard and, for calls that name one, a domain: both checked.
pub(crate) struct Pair {
    pub(crate) running: Running,
    pub(crate) guard: u16,
    pub(crate) domain: u16,
}

impl Call {
    /// The IOMMU and the place of a guard. A group is no guard, which is a matter of rights and not of handles.
    pub fn guard(&mut self, guard: portcullis_guard) -> Result<(Running, u16), Errno> {
        if let Ok(handle) = decode(guard, Kind::Group) {
            self.running(handle.iommu)?.group(handle)?;
            return Err(errno(PORTCULLIS_EPERM));
        }
        let handle = decode(guard, Kind::Guard)?;
        let running = self.running(handle.iommu)?;
        if running
            .objects
            .guards
            .get(handle.slot, handle.generation)
            .is_none()
        {
            return Err(errno(PORTCULLIS_EBADF));
        }
        Ok((running, handle.slot))
    }

    /// A guard that may move domains, and a domain of the same IOMMU.
    pub(crate) fn pair(
        &mut self,
        guard: portcullis_guard,
        domain: portcullis_domain,
    ) -> Result<Pair, Errno> {
        let domain = decode(domain, Kind::Domain)?;
        let of_domain = self.running(domain.iommu)?.objects;
        if of_domain
            .domains
            .get(domain.slot, domain.generation)
            .is_none()
        {
            return Err(errno(PORTCULLIS_EBADF));
        }
        let (running, guard) = self.guard(guard)?;
        if running.number != domain.iommu {
            return Err(errno(PORTCULLIS_EINVAL));
        }
        if let Some(Guard::Claim(_)) = running.objects.guards.at(guard) {
            return Err(errno(PORTCULLIS_EPERM));
        }
        Ok(Pair {
            running,
            guard,
            domain: domain.slot,
        })
    }
}

impl Running {
    fn hand_out(&mut self, place: (u16, u32), guard: Guard) -> Result<portcullis_guard, Errno> {
        self.objects.guards.put(place.0, guard);
        self.handle(Kind::Guard, Some(place))
    }

    /// Refuses before anything is done for a guard that has no place.
    fn room_for_guard(&self) -> Result<(u16, u32), Errno> {
        self.objects.guards.free().ok_or(errno(PORTCULLIS_ENOSPC))
    }

    /// Success, unless the hardware is out of use.
    pub fn working(&self) -> Result<c_int, Errno> {
        match self.unit.health() {
            Health::Good | Health::Degraded => Ok(0),
            Health::Closed | Health::Wedged => Err(errno(PORTCULLIS_EIO)),
        }
    }

    fn attached(&mut self, guard: u16) -> Option<u16> {
        self.objects.guards.at(guard)?.attached()
    }

    /// Moves a domain into a guard that has none.
    fn attach(&mut self, guard: u16, domain: u16, hitless: bool) -> Result<c_int, Errno> {
        match self.objects.guards.at(guard) {
            Some(Guard::Use(_)) => self.attach_used(guard, domain, hitless),
            Some(Guard::Blocked(_)) if !hitless => self.attach_owned(guard, domain),
            Some(Guard::Blocked(_)) => Err(errno(PORTCULLIS_EOPNOTSUPP)),
            Some(_) => Err(errno(PORTCULLIS_EBUSY)),
            None => Err(errno(PORTCULLIS_EBADF)),
        }
    }

    /// Of a driver's guard.
    #[inline(never)]
    fn attach_used(&mut self, guard: u16, domain: u16, hitless: bool) -> Result<c_int, Errno> {
        let target = self.lift_domain(domain)?;
        let guards = &mut self.objects.guards;
        let value = match guards.lift(guard) {
            Some(Guard::Use(value)) => value,
            other => {
                other.into_iter().for_each(|other| guards.put(guard, other));
                return self.refused(domain, target, Error::NotPermitted);
            }
        };
        let attached = if hitless {
            value.attach_hitless(target)
        } else {
            value.attach(target)
        };
        match attached {
            Ok(value) => {
                self.objects
                    .guards
                    .put(guard, Guard::Managed(value, domain));
                self.domain_moved(domain, Place::In(guard));
                Ok(0)
            }
            Err(e) => {
                self.objects.guards.put(guard, Guard::Use(e.guard));
                self.refused(domain, e.target, e.error)
            }
        }
    }

    /// Of an owner's guard.
    #[inline(never)]
    fn attach_owned(&mut self, guard: u16, domain: u16) -> Result<c_int, Errno> {
        let target = self.lift_domain(domain)?;
        let guards = &mut self.objects.guards;
        let value = match guards.lift(guard) {
            Some(Guard::Blocked(value)) => value,
            other => {
                other.into_iter().for_each(|other| guards.put(guard, other));
                return self.refused(domain, target, Error::NotPermitted);
            }
        };
        match value.attach(target) {
            Ok(value) => {
                self.objects
                    .guards
                    .put(guard, Guard::Attached(value, domain));
                self.domain_moved(domain, Place::In(guard));
                Ok(0)
            }
            Err(e) => {
                self.objects.guards.put(guard, Guard::Blocked(e.guard));
                self.refused(domain, e.target, e.error)
            }
        }
    }

    /// A domain that was taken out stays outside.
    fn refused(&mut self, slot: u16, domain: Domain, error: Error) -> Result<c_int, Errno> {
        self.domain_back(slot, domain);
        Err(error.into())
    }

    /// Exchanges the domain in a guard for another.
    fn exchange(&mut self, guard: u16, domain: u16, hitless: bool) -> Result<c_int, Errno> {
        let mut target = self.lift_domain(domain)?;
        let (result, slot) = match self.objects.guards.at(guard) {
            Some(Guard::Managed(value, slot)) => match hitless {
                true => (value.swap_hitless(&mut target), slot),
                false => (value.swap(&mut target), slot),
            },
            Some(Guard::Attached(value, slot)) => match hitless {
                true => (value.swap_hitless(&mut target), slot),
                false => (value.swap(&mut target), slot),
            },
            _ => return self.refused(domain, target, Error::NotSupported),
        };
        if let Err(error) = result {
            return self.refused(domain, target, error);
        }
        let old = core::mem::replace(slot, domain);
        self.domain_moved(domain, Place::In(guard));
        self.domain_back(old, target);
        Ok(0)
    }

    /// Moves the domain out of a guard, if it has one.
    fn detach(&mut self, guard: u16) {
        let (value, slot, domain) = match self.objects.guards.lift(guard) {
            Some(Guard::Managed(value, slot)) => {
                let (value, domain) = value.detach();
                (Guard::Use(value), slot, domain)
            }
            Some(Guard::Attached(value, slot)) => {
                let (value, domain) = value.detach();
                (Guard::Blocked(value), slot, domain)
            }
            Some(other) => return self.objects.guards.put(guard, other),
            None => return,
        };
        self.objects.guards.put(guard, value);
        self.domain_back(slot, domain);
    }
}

/// Registers a driver that relies on the group's default domain: nobody can own the group until `portcullis_unuse`.
///
/// `PORTCULLIS_EBUSY`: it is owned, or a driver attached a domain of its own. `PORTCULLIS_ENODEV`: no device is left.
/// `PORTCULLIS_ENOSPC`: `PORTCULLIS_GUARDS` exist. `PORTCULLIS_EIO`.
///
/// # Safety
/// `guard` is null, which is refused, or good for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn portcullis_use_default(
    group: portcullis_group,
    guard: *mut portcullis_guard,
) -> c_int {
    enter(|call| {
        // SAFETY: the caller's contract.
        let out = unsafe { Out::needed(guard)? };
        let handle = decode(group, Kind::Group)?;
        let mut running = call.running(handle.iommu)?;
        let place = running.room_for_guard()?;
        let id = running.group(handle)?;
        let user = running.unit.group(id)?.use_default_domain()?;
        out.set(running.hand_out(place, Guard::Use(user))?);
        Ok(0)
    })
}

/// Ends a use. A domain that is attached is detached first and stays with the caller. Domains attached for process ids
/// stay attached: while one is, nobody can claim the group.
///
/// `PORTCULLIS_EPERM`: the guard is an owner's. `PORTCULLIS_EBADF`.
#[unsafe(no_mangle)]
pub extern "C" fn portcullis_unuse(guard: portcullis_guard) -> c_int {
    enter(|call| {
        let (mut running, slot) = call.guard(guard)?;
        if !matches!(
            running.objects.guards.at(slot),
            Some(Guard::Use(_) | Guard::Managed(..))
        ) {
            return Err(errno(PORTCULLIS_EPERM));
        }
        running.detach(slot);
        running.objects.guards.discard(slot);
        Ok(0)
    })
}

/// Takes the DMA of all devices of a group for an owner, whom a number other than 0 names. On return nothing they send
/// reaches memory, and nothing sent before is on the way. Takes no memory.
///
/// `PORTCULLIS_EINVAL`: owner 0. `PORTCULLIS_EPERM`: somebody owns or uses it, this owner included. `PORTCULLIS_ENODEV`: no device is
/// left. `PORTCULLIS_ENOSPC`: `PORTCULLIS_GUARDS` exist. `PORTCULLIS_EIO`: nobody owns it, and translation is off.
///
/// # Safety
/// `guard` is null, which is refused, or good for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn portcullis_claim(
    group: portcullis_group,
    owner: u64,
    guard: *mut portcullis_guard,
) -> c_int {
    enter(|call| {
        // SAFETY: the caller's contract.
        let out = unsafe { Out::needed(guard)? };
        let owner = Owner::new(owner)?;
        let handle = decode(group, Kind::Group)?;
        let mut running = call.running(handle.iommu)?;
        let place = running.room_for_guard()?;
        let id = running.group(handle)?;
        let owned = running.unit.group(id)?.claim(&owner)?;
        out.set(running.hand_out(place, Guard::Blocked(owned))?);
        Ok(0)
    })
}

/// Gives a group back: blocked first, then the default domain. Domains that are attached, also for process ids, are
/// detached first and stay with the caller. Ends the claims by device too.
///
/// `PORTCULLIS_EPERM`: the guard is a driver's, or a claim by device. `PORTCULLIS_EBADF`.
#[unsafe(no_mangle)]
pub extern "C" fn portcullis_release(guard: portcullis_guard) -> c_int {
    enter(|call| {
        let (mut running, slot) = call.guard(guard)?;
        if !matches!(
            running.objects.guards.at(slot),
            Some(Guard::Blocked(_) | Guard::Attached(..))
        ) {
            return Err(errno(PORTCULLIS_EPERM));
        }
        running.detach_all_pasids(slot);
        running.detach(slot);
        running.objects.guards.discard(slot);
        Ok(0)
    })
}

/// Claims the group of a device. The same owner may do so any number of times; the last `portcullis_release_device` gives the
/// group back. The guard keeps others away and moves no domains until `portcullis_claim_guard`.
///
/// As `portcullis_claim`, except for claims of the same owner. `PORTCULLIS_EPROBE_DEFER`: there is no IOMMU yet.
///
/// # Safety
/// `guard` is null, which is refused, or good for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn portcullis_claim_device(
    iommu: portcullis_iommu,
    device: u32,
    owner: u64,
    guard: *mut portcullis_guard,
) -> c_int {
    enter(|call| {
        // SAFETY: the caller's contract.
        let out = unsafe { Out::needed(guard)? };
        let owner = Owner::new(owner)?;
        let mut running = call.iommu(iommu)?;
        let place = running.room_for_guard()?;
        let claim = running.unit.claim_device(DeviceId(device), &owner)?;
        out.set(running.hand_out(place, Guard::Claim(claim))?);
        Ok(0)
    })
}

/// Turns a claim by device into the group's only guard that moves domains; the handle stays the same.
///
/// `PORTCULLIS_EBUSY`: another claim is that guard. `PORTCULLIS_EPERM`: it is no claim by device, or the ownership is over.
#[unsafe(no_mangle)]
pub extern "C" fn portcullis_claim_guard(guard: portcullis_guard) -> c_int {
    enter(|call| {
        let (running, slot) = call.guard(guard)?;
        let guards = &mut running.objects.guards;
        let (value, answer) = match guards.lift(slot) {
            Some(Guard::Claim(claim)) => match claim.guard() {
                Ok(owned) => (Guard::Blocked(owned), Ok(0)),
                Err((claim, error)) => (Guard::Claim(claim), Err(error.into())),
            },
            Some(other) => (other, Err(errno(PORTCULLIS_EPERM))),
            None => return Err(errno(PORTCULLIS_EBADF)),
        };
        guards.put(slot, value);
        answer
    })
}

/// Ends one claim by device, or the guard that was made of it. A domain that is attached is detached first.
///
/// `PORTCULLIS_EPERM`: the guard is a driver's. `PORTCULLIS_EBADF`.
#[unsafe(no_mangle)]
pub extern "C" fn portcullis_release_device(guard: portcullis_guard) -> c_int {
    enter(|call| {
        let (mut running, slot) = call.guard(guard)?;
        if let Some(Guard::Use(_) | Guard::Managed(..)) = running.objects.guards.at(slot) {
            return Err(errno(PORTCULLIS_EPERM));
        }
        let group = running.objects.guards.at(slot).map(|g| g.group().0);
        running.detach(slot);
        match running.objects.guards.remove(slot) {
            Some(Guard::Blocked(owned)) => owned.release_device(),
            rest => drop(rest),
        }
        if let Some(group) = group {
            running.sweep_released(group);
        }
        Ok(0)
    })
}

/// Whether `portcullis_replace_hitless` with this domain can work. `PORTCULLIS_EOPNOTSUPP`: DMA would be dropped on the way, or
/// the group is blocked. `PORTCULLIS_EINVAL`, `PORTCULLIS_EPERM`, `PORTCULLIS_EBADF` as there.
#[unsafe(no_mangle)]
pub extern "C" fn portcullis_hitless(guard: portcullis_guard, domain: portcullis_domain) -> c_int {
    enter(|call| {
        let mut pair = call.pair(guard, domain)?;
        if pair.running.attached(pair.guard) == Some(pair.domain) {
            return Ok(0);
        }
        let target = pair.running.lift_domain(pair.domain)?;
        let answer = match pair.running.objects.guards.at(pair.guard) {
            Some(Guard::Use(guard)) => guard.hitless(&target),
            Some(Guard::Managed(guard, _)) => guard.hitless(&target),
            Some(Guard::Attached(guard, _)) => guard.hitless(&target),
            _ => Err(NotHitless::Blocked),
        };
        pair.running.domain_back(pair.domain, target);
        match answer {
            Ok(()) => Ok(0),
            Err(NotHitless::Unfit(error)) => Err(error.into()),
            Err(_) => Err(errno(PORTCULLIS_EOPNOTSUPP)),
        }
    })
}

/// Lets DMA of the guard's group go to a domain. Until the call returns it goes where it went, to the domain, or nowhere.
///
/// `PORTCULLIS_EPERM`: a group instead of a guard, or a claim by device. `PORTCULLIS_EBUSY`: something is attached already, this
/// domain included, or the domain is attached elsewhere. `PORTCULLIS_EINVAL`: the domain is of another IOMMU. `PORTCULLIS_ENODEV`: no
/// device is left. `PORTCULLIS_EBADF`, `PORTCULLIS_EIO`.
#[unsafe(no_mangle)]
pub extern "C" fn portcullis_attach(guard: portcullis_guard, domain: portcullis_domain) -> c_int {
    enter(|call| {
        let mut pair = call.pair(guard, domain)?;
        pair.running.attach(pair.guard, pair.domain, false)
    })
}

/// As `portcullis_attach`, but takes the place of what is attached; the old domain stays with the caller. If it is attached
/// already, nothing is done.
#[unsafe(no_mangle)]
pub extern "C" fn portcullis_replace(guard: portcullis_guard, domain: portcullis_domain) -> c_int {
    enter(|call| {
        let mut pair = call.pair(guard, domain)?;
        match pair.running.attached(pair.guard) {
            Some(same) if same == pair.domain => pair.running.working(),
            Some(_) => pair.running.exchange(pair.guard, pair.domain, false),
            None => pair.running.attach(pair.guard, pair.domain, false),
        }
    })
}

/// As `portcullis_replace`, but no DMA is dropped on the way, provided that both domains translate alike what devices use.
///
/// From a driver's default domain too. `PORTCULLIS_EOPNOTSUPP`: that is impossible, and nothing has changed; also if the
/// group is blocked.
#[unsafe(no_mangle)]
pub extern "C" fn portcullis_replace_hitless(
    guard: portcullis_guard,
    domain: portcullis_domain,
) -> c_int {
    enter(|call| {
        let mut pair = call.pair(guard, domain)?;
        match pair.running.attached(pair.guard) {
            Some(same) if same == pair.domain => pair.running.working(),
            Some(_) => pair.running.exchange(pair.guard, pair.domain, true),
            None => pair.running.attach(pair.guard, pair.domain, true),
        }
    })
}

/// Moves the domain out: to blocked if the group is owned, to the default domain if not. On return the IOMMU reads no table
/// of it, and no write through it is on the way. With `PORTCULLIS_NONE`: whatever is attached, or nothing.
///
/// `PORTCULLIS_EINVAL`: another domain is attached, or none; nothing has changed. `PORTCULLIS_EPERM`, `PORTCULLIS_EBADF`. The hardware's
/// failure is no error here: then nothing passes any more, see `portcullis_health`.
#[unsafe(no_mangle)]
pub extern "C" fn portcullis_detach(guard: portcullis_guard, domain: portcullis_domain) -> c_int {
    enter(|call| {
        if domain == PORTCULLIS_NONE {
            let (mut running, guard) = call.guard(guard)?;
            if let Some(Guard::Claim(_)) = running.objects.guards.at(guard) {
                return Err(errno(PORTCULLIS_EPERM));
            }
            running.detach(guard);
            return Ok(0);
        }
        let mut pair = call.pair(guard, domain)?;
        if pair.running.attached(pair.guard) != Some(pair.domain) {
            return Err(errno(PORTCULLIS_EINVAL));
        }
        pair.running.detach(pair.guard);
        Ok(0)
    })
}
