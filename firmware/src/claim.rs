//! Claims by device: several holders with the same owner share a group.

use core::fmt;

use crate::Error;
use crate::iommu::Iommu;
use crate::own::{Blocked, OwnedGroup};
use crate::platform::Platform;
use crate::types::{DeviceId, GroupId};

/// One claim of a group, made by [`Iommu::claim_device`]. Dropping the last one gives the group back.
///
/// It keeps others away from the group; moving domains in and out takes the group's only guard, which
/// [`DeviceClaim::guard`] gives out.
#[must_use = "dropping it ends the claim"]
pub struct DeviceClaim<'i, P: Platform, const DEVICES: usize = 16> {
    iommu: &'i Iommu<P, DEVICES>,
    device: DeviceId,
    group: GroupId,
    /// The ownership it belongs to. After [`OwnedGroup::release`] it is over, and this claim counts nothing.
    epoch: u32,
}

impl<'i, P: Platform, const DEVICES: usize> DeviceClaim<'i, P, DEVICES> {
    pub(crate) fn new(
        iommu: &'i Iommu<P, DEVICES>,
        device: DeviceId,
        group: GroupId,
        epoch: u32,
    ) -> Self {
        DeviceClaim {
            iommu,
            device,
            group,
            epoch,
        }
    }

    /// The device it was made for.
    pub fn device(&self) -> DeviceId {
        self.device
    }

    /// The group claimed.
    pub fn group(&self) -> GroupId {
        self.group
    }

    /// Turns the claim into the group's guard.
    ///
    /// # Errors
    /// [`Error::Busy`]: somebody has it already. [`Error::NotPermitted`]: the ownership is over. The claim comes back.
    pub fn guard(self) -> Result<OwnedGroup<'i, P, DEVICES, Blocked>, (Self, Error)> {
        match self.iommu.with(|i| i.guard(self.group, self.epoch)) {
            Ok(()) => {
                let (iommu, group) = (self.iommu, self.group);
                // The guard holds its count from now on.
                core::mem::forget(self);
                Ok(OwnedGroup::new(iommu, group))
            }
            Err(error) => Err((self, error)),
        }
    }

    /// Ends the claim.
    pub fn release_device(self) {}
}

impl<P: Platform, const DEVICES: usize> Drop for DeviceClaim<'_, P, DEVICES> {
    fn drop(&mut self) {
        self.iommu
            .with(|i| i.release_device(self.group, self.epoch));
    }
}

impl<P: Platform, const DEVICES: usize> fmt::Debug for DeviceClaim<'_, P, DEVICES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceClaim")
            .field("device", &self.device)
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}
