//! Ownership of a group's DMA as a value: what may be done follows from its type.

use core::fmt;

use crate::Error;
use crate::context::{IDENTITY, NotHitless};
use crate::domain::{PagingDomain, SharedDomain};
use crate::hw::Hw;
use crate::iommu::Iommu;
use crate::platform::Platform;
use crate::process::{self, PasidGuard};
use crate::types::{GroupId, Pasid, TrustToken};

/// State of an [`OwnedGroup`]: nothing passes.
#[derive(Debug)]
pub struct Blocked(());

/// State of an [`OwnedGroup`]: DMA goes to the domain, which lives in here until it is detached.
pub struct Attached<D> {
    domain: D,
}

/// Ownership of a group's DMA.
///
/// [`OwnedGroup::attach`] moves a domain in, [`OwnedGroup::detach`] moves it out; in between there is no way to free it
/// or to exchange it. Dropping the value releases the group first and frees a domain inside after that.
#[must_use = "dropping it releases the group"]
pub struct OwnedGroup<'i, P: Platform, const DEVICES: usize, S> {
    // Order matters: fields are dropped in order of declaration, so the hardware lets go of the domain before its
    // tables are freed. A `Drop` of OwnedGroup itself would forbid moving the domain out.
    lease: Lease<'i, P, DEVICES>,
    state: S,
}

/// The part of ownership that must end in a release.
struct Lease<'i, P: Platform, const DEVICES: usize> {
    iommu: &'i Iommu<P, DEVICES>,
    group: GroupId,
}

impl<P: Platform, const DEVICES: usize> Drop for Lease<'_, P, DEVICES> {
    fn drop(&mut self) {
        self.iommu.with(|i| i.release(self.group));
    }
}

impl<P: Platform, const DEVICES: usize, S> fmt::Debug for OwnedGroup<'_, P, DEVICES, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedGroup")
            .field("group", &self.lease.group)
            .finish_non_exhaustive()
    }
}

/// A refused attach: guard and target come back.
pub struct AttachError<G, D> {
    /// The guard, as it was.
    pub guard: G,
    /// What should have been attached.
    pub target: D,
    /// Why.
    pub error: Error,
}

impl<G, D> fmt::Debug for AttachError<G, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttachError")
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

impl<G, D> fmt::Display for AttachError<G, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "attach refused: {}", self.error)
    }
}

impl<G, D> core::error::Error for AttachError<G, D> {}

pub(crate) mod sealed {
    use crate::Error;
    use crate::iommu::Iommu;
    use crate::platform::Platform;

    /// What the group layer needs of a target.
    pub trait Target<P: Platform, const DEVICES: usize> {
        /// `fsc` of contexts that lead to it.
        fn fsc(&self, iommu: &Iommu<P, DEVICES>) -> Result<u64, Error>;
    }
}

/// What can be attached: [`PagingDomain`], [`SharedDomain`] and [`Identity`]. Sealed, since the group layer relies on what it does.
pub trait Attach<P: Platform, const DEVICES: usize>: sealed::Target<P, DEVICES> {}

impl<P: Platform, const DEVICES: usize> sealed::Target<P, DEVICES>
    for PagingDomain<'_, P, DEVICES>
{
    fn fsc(&self, iommu: &Iommu<P, DEVICES>) -> Result<u64, Error> {
        self.fsc_for(iommu)
    }
}

impl<P: Platform, const DEVICES: usize> Attach<P, DEVICES> for PagingDomain<'_, P, DEVICES> {}

impl<P: Platform, const DEVICES: usize> sealed::Target<P, DEVICES>
    for SharedDomain<'_, P, DEVICES>
{
    fn fsc(&self, iommu: &Iommu<P, DEVICES>) -> Result<u64, Error> {
        self.fsc_for(iommu)
    }
}

impl<P: Platform, const DEVICES: usize> Attach<P, DEVICES> for SharedDomain<'_, P, DEVICES> {}

/// A first stage inside a second one, `D`. Refused with [`Error::NotSupported`]: this release drives no second stage.
#[derive(Clone, Copy, Debug)]
pub struct Nested<D>(pub D);

impl<P: Platform, const DEVICES: usize, D> sealed::Target<P, DEVICES> for Nested<D> {
    fn fsc(&self, _: &Iommu<P, DEVICES>) -> Result<u64, Error> {
        Err(Error::NotSupported)
    }
}

impl<P: Platform, const DEVICES: usize, D> Attach<P, DEVICES> for Nested<D> {}

/// IOVA = physical address. Possible only with a [`TrustToken`].
#[derive(Clone, Copy, Debug)]
pub struct Identity<'t>(pub &'t TrustToken);

impl<P: Platform, const DEVICES: usize> sealed::Target<P, DEVICES> for Identity<'_> {
    fn fsc(&self, _: &Iommu<P, DEVICES>) -> Result<u64, Error> {
        Ok(IDENTITY)
    }
}

impl<P: Platform, const DEVICES: usize> Attach<P, DEVICES> for Identity<'_> {}

/// Any of them, for callers that know the kind only at run time, like the interface for C.
#[derive(Debug)]
pub enum AnyTarget<'i, P: Platform, const DEVICES: usize = 16> {
    /// As [`PagingDomain`].
    Paging(PagingDomain<'i, P, DEVICES>),
    /// As [`SharedDomain`].
    Shared(SharedDomain<'i, P, DEVICES>),
    /// As [`Identity`].
    Identity(TrustToken),
}

impl<P: Platform, const DEVICES: usize> sealed::Target<P, DEVICES> for AnyTarget<'_, P, DEVICES> {
    fn fsc(&self, iommu: &Iommu<P, DEVICES>) -> Result<u64, Error> {
        match self {
            AnyTarget::Paging(domain) => domain.fsc_for(iommu),
            AnyTarget::Shared(domain) => domain.fsc_for(iommu),
            AnyTarget::Identity(token) => sealed::Target::fsc(&Identity(token), iommu),
        }
    }
}

impl<P: Platform, const DEVICES: usize> Attach<P, DEVICES> for AnyTarget<'_, P, DEVICES> {}

impl<'i, P: Platform, const DEVICES: usize> OwnedGroup<'i, P, DEVICES, Blocked> {
    pub(crate) fn new(iommu: &'i Iommu<P, DEVICES>, group: GroupId) -> Self {
        OwnedGroup {
            lease: Lease { iommu, group },
            state: Blocked(()),
        }
    }

    /// Lets DMA of the group go to a domain. Until the call returns it is blocked, or goes there already.
    ///
    /// # Errors
    /// [`Error::Invalid`]: the domain belongs to another IOMMU, or maps a reserved [`DeviceRegion`](crate::DeviceRegion) of a device.
    /// [`Error::Busy`]: a device is being reset. [`Error::NotSupported`]: [`Nested`]. [`Error::Io`]: the hardware failed; the group stays
    /// owned, and nothing passes.
    pub fn attach<D: Attach<P, DEVICES>>(
        self,
        domain: D,
    ) -> Result<OwnedGroup<'i, P, DEVICES, Attached<D>>, AttachError<Self, D>> {
        let (iommu, group) = (self.lease.iommu, self.lease.group);
        let result = domain
            .fsc(iommu)
            .and_then(|fsc| iommu.with(|i| i.attach(group, fsc, false)));
        match result {
            Ok(()) => Ok(OwnedGroup {
                lease: self.lease,
                state: Attached { domain },
            }),
            Err(error) => Err(AttachError {
                guard: self,
                target: domain,
                error,
            }),
        }
    }

    /// Gives up the guard but not the claims made by [`Iommu::claim_device`]: while there are any, the group stays
    /// owned and blocked. Without them this is [`OwnedGroup::release`].
    pub fn release_device(self) {
        let (iommu, group) = (self.lease.iommu, self.lease.group);
        // Dropping the lease would end all claims.
        core::mem::forget(self);
        iommu.with(|i| i.unguard(group));
    }
}

/// What a successful replacement answers: the guard with the new domain, and the old domain.
pub type Replaced<'i, P, const DEVICES: usize, D, E> = (OwnedGroup<'i, P, DEVICES, Attached<E>>, D);

/// Lets the DMA of a group that has a domain go to another.
pub(crate) fn swap<P: Platform, const DEVICES: usize>(
    iommu: &Iommu<P, DEVICES>,
    group: GroupId,
    domain: &impl Attach<P, DEVICES>,
    hitless: bool,
) -> Result<(), Error> {
    let fsc = domain.fsc(iommu)?;
    iommu.with(|i| i.replace(group, fsc, hitless))
}

/// Whether a group could go to this domain without dropping DMA.
pub(crate) fn hitless<P: Platform, const DEVICES: usize>(
    iommu: &Iommu<P, DEVICES>,
    group: GroupId,
    domain: &impl Attach<P, DEVICES>,
) -> Result<(), NotHitless> {
    let fsc = domain.fsc(iommu).map_err(NotHitless::Unfit)?;
    let old = iommu.with(|i| i.state(group).and_then(|s| s.fsc()));
    match old {
        None => Err(NotHitless::Blocked),
        Some(old) => Hw::<P>::swappable(old, fsc),
    }
}

impl<'i, P: Platform, const DEVICES: usize, D: Attach<P, DEVICES>>
    OwnedGroup<'i, P, DEVICES, Attached<D>>
{
    /// The domain, to be mapped and unmapped while attached.
    pub fn domain(&self) -> &D {
        &self.state.domain
    }

    /// Exchanges the domain for another and gives the old one back. In between DMA reaches the old one, the new one, or
    /// nothing; [`OwnedGroup::hitless`] tells whether nothing can happen. Attaching what is attached already is free.
    ///
    /// # Errors
    /// As [`OwnedGroup::attach`]; [`Error::NoDevice`] if all devices have vanished. The old domain stays.
    pub fn replace<E: Attach<P, DEVICES>>(
        self,
        domain: E,
    ) -> Result<Replaced<'i, P, DEVICES, D, E>, AttachError<Self, E>> {
        self.exchange(domain, false)
    }

    /// As [`OwnedGroup::replace`], but no DMA is dropped on the way, provided that both domains translate alike what
    /// devices use.
    ///
    /// # Errors
    /// As [`OwnedGroup::replace`]; [`Error::NotSupported`] if that is impossible, and then nothing has changed.
    pub fn replace_hitless<E: Attach<P, DEVICES>>(
        self,
        domain: E,
    ) -> Result<Replaced<'i, P, DEVICES, D, E>, AttachError<Self, E>> {
        self.exchange(domain, true)
    }

    /// As [`OwnedGroup::replace`] with a domain of the same type, which gives its place to the old one. Nothing else
    /// is moved, so that it takes less stack.
    ///
    /// # Errors
    /// As there; guard and domain are as they were.
    pub fn swap(&mut self, domain: &mut D) -> Result<(), Error> {
        swap(self.lease.iommu, self.lease.group, domain, false)?;
        core::mem::swap(&mut self.state.domain, domain);
        Ok(())
    }

    /// As [`OwnedGroup::swap`], but as [`OwnedGroup::replace_hitless`] does it.
    ///
    /// # Errors
    /// As there; guard and domain are as they were.
    pub fn swap_hitless(&mut self, domain: &mut D) -> Result<(), Error> {
        swap(self.lease.iommu, self.lease.group, domain, true)?;
        core::mem::swap(&mut self.state.domain, domain);
        Ok(())
    }

    /// Whether [`OwnedGroup::replace_hitless`] with this domain can work.
    ///
    /// # Errors
    /// Why not.
    pub fn hitless<E: Attach<P, DEVICES>>(&self, domain: &E) -> Result<(), NotHitless> {
        hitless(self.lease.iommu, self.lease.group, domain)
    }

    fn exchange<E: Attach<P, DEVICES>>(
        self,
        domain: E,
        hitless: bool,
    ) -> Result<Replaced<'i, P, DEVICES, D, E>, AttachError<Self, E>> {
        let result = swap(self.lease.iommu, self.lease.group, &domain, hitless);
        if let Err(error) = result {
            return Err(AttachError {
                guard: self,
                target: domain,
                error,
            });
        }
        let OwnedGroup {
            lease,
            state: Attached { domain: old },
        } = self;
        Ok((
            OwnedGroup {
                lease,
                state: Attached { domain },
            },
            old,
        ))
    }

    /// Blocks the group and gives the domain back. On return the IOMMU reads no table of it, and no write through it
    /// is still on the way. Cannot fail: if the hardware does, nothing passes any more; if the hardware does not even
    /// confirm that ([`Health::Wedged`](crate::Health::Wedged)), the domain never frees its tables.
    pub fn detach(self) -> (OwnedGroup<'i, P, DEVICES, Blocked>, D) {
        let OwnedGroup {
            lease,
            state: Attached { domain },
        } = self;
        lease.iommu.with(|i| i.detach(lease.group));
        (
            OwnedGroup {
                lease,
                state: Blocked(()),
            },
            domain,
        )
    }
}

impl<'i, P: Platform, const DEVICES: usize, S> OwnedGroup<'i, P, DEVICES, S> {
    /// Lets DMA of the group with a process id go to a domain. What the group sends without one is not disturbed.
    ///
    /// # Errors
    /// [`Error::NotSupported`]: the hardware has no process directories, or the group none. [`Error::Invalid`]: 0, or
    /// beyond [`Limits::process_id_bits`](crate::Limits::process_id_bits). [`Error::Busy`]: it is taken, or a device is
    /// being reset. [`Error::NoSpace`]: as many are attached as this IOMMU has room for devices. [`Error::NoMemory`].
    /// Otherwise as attaching. The domain comes back.
    pub fn attach_pasid<E: Attach<P, DEVICES>>(
        &self,
        pasid: Pasid,
        domain: E,
    ) -> Result<PasidGuard<'i, P, DEVICES, E>, AttachError<(), E>> {
        process::attach(self.lease.iommu, self.lease.group, pasid, domain)
    }

    /// Gives the group back: blocked first, then the default domain. A domain still attached is freed after that.
    pub fn release(self) {}

    /// Its name.
    pub fn id(&self) -> GroupId {
        self.lease.group
    }
}
