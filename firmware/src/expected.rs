//! Waiting for an IOMMU that has not started yet.

use core::cell::Cell;

use crate::Error;
use crate::iommu::Iommu;
use crate::kernel::KernelUse;
use crate::platform::Platform;
use crate::types::DeviceId;

/// Where drivers look for their IOMMU. Before [`Expected::ready`], and while their device has not been added, they are
/// asked to come again; nobody gets a DMA API that does not work yet.
pub struct Expected<'i, P: Platform, const DEVICES: usize = 16> {
    iommu: Cell<Option<&'i Iommu<P, DEVICES>>>,
}

impl<P: Platform, const DEVICES: usize> Default for Expected<'_, P, DEVICES> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'i, P: Platform, const DEVICES: usize> Expected<'i, P, DEVICES> {
    /// Not there yet.
    pub const fn new() -> Self {
        Expected {
            iommu: Cell::new(None),
        }
    }

    /// It has started.
    pub fn ready(&self, iommu: &'i Iommu<P, DEVICES>) {
        self.iommu.set(Some(iommu));
    }

    /// The IOMMU.
    ///
    /// # Errors
    /// [`Error::ProbeDefer`]: it has not started.
    pub fn iommu(&self) -> Result<&'i Iommu<P, DEVICES>, Error> {
        self.iommu.get().ok_or(Error::ProbeDefer)
    }

    /// As [`Group::use_default_domain`](crate::Group::use_default_domain), for the group of a device.
    ///
    /// # Errors
    /// [`Error::ProbeDefer`]: the IOMMU has not started, or does not know the device yet. Otherwise as there.
    pub fn use_default_domain(&self, device: DeviceId) -> Result<KernelUse<'i, P, DEVICES>, Error> {
        let group = self.iommu()?.group(device);
        group.map_err(|_| Error::ProbeDefer)?.use_default_domain()
    }
}
