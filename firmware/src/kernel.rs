//! Drivers of the kernel: they rely on the default domain, or bring a domain of their own, and own nothing.

use core::fmt;

use crate::Error;
use crate::context::NotHitless;
use crate::iommu::Iommu;
use crate::own::{Attach, AttachError, hitless, swap};
use crate::platform::Platform;
use crate::process::{self, PasidGuard};
use crate::types::{GroupId, Pasid};

/// A driver uses the group: while it does, nobody can own the group. Made by
/// [`Group::use_default_domain`](crate::Group::use_default_domain), ended by dropping it.
#[must_use = "dropping it ends the use"]
pub struct KernelUse<'i, P: Platform, const DEVICES: usize = 16> {
    iommu: &'i Iommu<P, DEVICES>,
    group: GroupId,
}

/// A driver's own domain is attached: [`DriverManaged::detach`] goes back to the default domain. Dropping it does so
/// first, then ends the use, then frees the domain.
#[must_use = "dropping it detaches the domain and ends the use"]
pub struct DriverManaged<'i, P: Platform, const DEVICES: usize, D> {
    // Order matters: the hardware lets go of the domain, then the use ends, then the domain may be freed.
    lease: Lease<'i, P, DEVICES>,
    hold: KernelUse<'i, P, DEVICES>,
    domain: D,
}

/// What a successful replacement answers: the guard with the new domain, and the old domain.
pub type Managed<'i, P, const DEVICES: usize, D, E> = (DriverManaged<'i, P, DEVICES, E>, D);

/// The part that must end in a detach.
struct Lease<'i, P: Platform, const DEVICES: usize> {
    iommu: &'i Iommu<P, DEVICES>,
    group: GroupId,
}

impl<P: Platform, const DEVICES: usize> Drop for Lease<'_, P, DEVICES> {
    fn drop(&mut self) {
        self.iommu.with(|i| i.detach(self.group));
    }
}

impl<P: Platform, const DEVICES: usize> Drop for KernelUse<'_, P, DEVICES> {
    fn drop(&mut self) {
        self.iommu.with(|i| i.unuse(self.group));
    }
}

impl<P: Platform, const DEVICES: usize> fmt::Debug for KernelUse<'_, P, DEVICES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KernelUse")
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}

impl<P: Platform, const DEVICES: usize, D> fmt::Debug for DriverManaged<'_, P, DEVICES, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DriverManaged")
            .field("group", &self.hold.group)
            .finish_non_exhaustive()
    }
}

impl<'i, P: Platform, const DEVICES: usize> KernelUse<'i, P, DEVICES> {
    pub(crate) fn new(iommu: &'i Iommu<P, DEVICES>, group: GroupId) -> Self {
        KernelUse { iommu, group }
    }

    /// Name of the group.
    pub fn id(&self) -> GroupId {
        self.group
    }

    pub(crate) fn iommu(&self) -> &'i Iommu<P, DEVICES> {
        self.iommu
    }

    /// Lets DMA of the group go to a domain of the driver. In between it reaches the default domain, the new one, or
    /// nothing.
    ///
    /// # Errors
    /// [`Error::Busy`](crate::Error::Busy): another driver of the group has attached one. Otherwise as
    /// [`OwnedGroup::attach`](crate::OwnedGroup::attach).
    pub fn attach<D: Attach<P, DEVICES>>(
        self,
        domain: D,
    ) -> Result<DriverManaged<'i, P, DEVICES, D>, AttachError<Self, D>> {
        self.enter(domain, false)
    }

    /// As [`KernelUse::attach`], but no DMA is dropped on the way, provided that the default domain translates alike what
    /// devices use.
    ///
    /// # Errors
    /// As [`KernelUse::attach`]; [`Error::NotSupported`](crate::Error::NotSupported) if that is impossible, and then
    /// nothing has changed.
    pub fn attach_hitless<D: Attach<P, DEVICES>>(
        self,
        domain: D,
    ) -> Result<DriverManaged<'i, P, DEVICES, D>, AttachError<Self, D>> {
        self.enter(domain, true)
    }

    /// Whether [`KernelUse::attach_hitless`] with this domain can work.
    ///
    /// # Errors
    /// Why not.
    pub fn hitless<D: Attach<P, DEVICES>>(&self, domain: &D) -> Result<(), NotHitless> {
        hitless(self.iommu, self.group, domain)
    }

    fn enter<D: Attach<P, DEVICES>>(
        self,
        domain: D,
        hitless: bool,
    ) -> Result<DriverManaged<'i, P, DEVICES, D>, AttachError<Self, D>> {
        let (iommu, group) = (self.iommu, self.group);
        let result = domain
            .fsc(iommu)
            .and_then(|fsc| iommu.with(|i| i.attach(group, fsc, hitless)));
        match result {
            Ok(()) => Ok(DriverManaged {
                lease: Lease { iommu, group },
                hold: self,
                domain,
            }),
            Err(error) => Err(AttachError {
                guard: self,
                target: domain,
                error,
            }),
        }
    }

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
        process::attach(self.iommu, self.group, pasid, domain)
    }

    /// Ends the use. Domains attached for process ids stay: while one does, nobody can claim the group.
    pub fn unuse(self) {}
}

impl<'i, P: Platform, const DEVICES: usize, D: Attach<P, DEVICES>>
    DriverManaged<'i, P, DEVICES, D>
{
    /// Name of the group.
    pub fn id(&self) -> GroupId {
        self.hold.group
    }

    /// The domain, to be mapped and unmapped while attached.
    pub fn domain(&self) -> &D {
        &self.domain
    }

    /// Back to the default domain. On return the IOMMU reads no table of the domain, and no write through it is still
    /// on the way. Cannot fail, as [`OwnedGroup::detach`](crate::OwnedGroup::detach).
    pub fn detach(self) -> (KernelUse<'i, P, DEVICES>, D) {
        let DriverManaged {
            lease,
            hold,
            domain,
        } = self;
        drop(lease);
        (hold, domain)
    }

    /// As [`OwnedGroup::replace`](crate::OwnedGroup::replace).
    ///
    /// # Errors
    /// As there.
    pub fn replace<E: Attach<P, DEVICES>>(
        self,
        domain: E,
    ) -> Result<Managed<'i, P, DEVICES, D, E>, AttachError<Self, E>> {
        self.exchange(domain, false)
    }

    /// As [`OwnedGroup::replace_hitless`](crate::OwnedGroup::replace_hitless).
    ///
    /// # Errors
    /// As there.
    pub fn replace_hitless<E: Attach<P, DEVICES>>(
        self,
        domain: E,
    ) -> Result<Managed<'i, P, DEVICES, D, E>, AttachError<Self, E>> {
        self.exchange(domain, true)
    }

    /// As [`OwnedGroup::swap`](crate::OwnedGroup::swap).
    ///
    /// # Errors
    /// As there.
    pub fn swap(&mut self, domain: &mut D) -> Result<(), Error> {
        swap(self.hold.iommu, self.hold.group, domain, false)?;
        core::mem::swap(&mut self.domain, domain);
        Ok(())
    }

    /// As [`OwnedGroup::swap_hitless`](crate::OwnedGroup::swap_hitless).
    ///
    /// # Errors
    /// As there.
    pub fn swap_hitless(&mut self, domain: &mut D) -> Result<(), Error> {
        swap(self.hold.iommu, self.hold.group, domain, true)?;
        core::mem::swap(&mut self.domain, domain);
        Ok(())
    }

    /// Whether [`DriverManaged::replace_hitless`] with this domain can work.
    ///
    /// # Errors
    /// Why not.
    pub fn hitless<E: Attach<P, DEVICES>>(&self, domain: &E) -> Result<(), NotHitless> {
        hitless(self.hold.iommu, self.hold.group, domain)
    }

    /// As [`KernelUse::attach_pasid`].
    ///
    /// # Errors
    /// As there.
    pub fn attach_pasid<E: Attach<P, DEVICES>>(
        &self,
        pasid: Pasid,
        domain: E,
    ) -> Result<PasidGuard<'i, P, DEVICES, E>, AttachError<(), E>> {
        self.hold.attach_pasid(pasid, domain)
    }

    fn exchange<E: Attach<P, DEVICES>>(
        self,
        domain: E,
        hitless: bool,
    ) -> Result<Managed<'i, P, DEVICES, D, E>, AttachError<Self, E>> {
        let result = swap(self.hold.iommu, self.hold.group, &domain, hitless);
        if let Err(error) = result {
            return Err(AttachError {
                guard: self,
                target: domain,
                error,
            });
        }
        let DriverManaged {
            lease,
            hold,
            domain: old,
        } = self;
        Ok((
            DriverManaged {
                lease,
                hold,
                domain,
            },
            old,
        ))
    }
}
