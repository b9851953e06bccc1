//! Devices: how they come, with what, how they go, and stand aside while they are reset.

use core::ffi::c_int;

use portcullis::{DeviceId, DeviceInfo, DeviceRegion, Policy, RegionKind, TrustToken};

use crate::domain::permission;
use crate::handle::Kind;
use crate::library::{Errno, Out, Running, decode, enter, errno};
use crate::types::*;

impl portcullis_region {
    pub(crate) fn region(&self) -> Result<DeviceRegion, Errno> {
        let kind = match self.kind {
            PORTCULLIS_REGION_RESERVED => RegionKind::Reserved,
            PORTCULLIS_REGION_DIRECT => RegionKind::Direct(permission(self.permissions)?),
            PORTCULLIS_REGION_RELAXABLE => {
                RegionKind::DirectRelaxable(permission(self.permissions)?)
            }
            _ => return Err(errno(PORTCULLIS_EINVAL)),
        };
        let (start, bytes) = (self.start, self.bytes);
        Ok(DeviceRegion { start, bytes, kind })
    }
}

fn policy(number: u32) -> Result<Policy, Errno> {
    Ok(match number {
        PORTCULLIS_POLICY_ANY => Policy::Any,
        PORTCULLIS_POLICY_DMA => Policy::Dma,
        // SAFETY: whoever asks for this number vouches for the device; the header says so.
        PORTCULLIS_POLICY_IDENTITY => Policy::Identity(unsafe { TrustToken::new() }),
        _ => return Err(errno(PORTCULLIS_EINVAL)),
    })
}

impl portcullis_device {
    /// Without group and regions.
    pub(crate) fn info(&self) -> Result<DeviceInfo, Errno> {
        Ok(DeviceInfo {
            policy: policy(self.policy)?,
            untrusted: self.untrusted != 0,
            process_ids: self.process_ids != 0,
            deferred: self.deferred != 0,
            ..DeviceInfo::from(DeviceId(self.id))
        })
    }

    /// Its regions.
    ///
    /// # Safety
    /// The regions it names are good for reading as long as the device is.
    pub(crate) unsafe fn regions(&self) -> Result<&[portcullis_region], Errno> {
        match self.region_count {
            0 => Ok(&[]),
            n if n > PORTCULLIS_REGIONS || self.regions.is_null() || !self.regions.is_aligned() => {
                Err(errno(PORTCULLIS_EINVAL))
            }
            // SAFETY: the caller's contract.
            n => Ok(unsafe { core::slice::from_raw_parts(self.regions, n) }),
        }
    }
}

impl Running {
    fn add(
        &mut self,
        device: &portcullis_device,
        regions: &[portcullis_region],
    ) -> Result<portcullis_group, Errno> {
        let group = match device.join {
            PORTCULLIS_NONE => None,
            handle => {
                let handle = decode(handle, Kind::Group)?;
                if handle.iommu != self.number {
                    return Err(errno(PORTCULLIS_EINVAL));
                }
                Some(self.group(handle)?)
            }
        };
        let mut info = DeviceInfo {
            group,
            ..device.info()?
        };
        let mut place = None;
        if !regions.is_empty() {
            let kept = self.keep_regions(regions)?;
            (place, info.regions) = (Some(kept.0), kept.1);
        }
        let id = self.unit.add_device(info)?;
        if let Some(place) = place {
            let kept = &mut self.objects.with_regions;
            // Others are left over from earlier devices of this name.
            kept.iter_mut()
                .filter(|of| **of == Some(device.id))
                .for_each(|of| *of = None);
            self.objects.with_regions[place] = Some(device.id);
        }
        Ok(self.name(id))
    }
}

/// Adds a device: to the group `join`, or to one of its own if that is `PORTCULLIS_NONE`. On return its DMA goes where its
/// group's goes. `group`, which may be null, gets the group.
///
/// `PORTCULLIS_ERANGE`: the id is wider than the hardware's directory. `PORTCULLIS_EEXIST`. `PORTCULLIS_ENODEV`: that group has gone.
/// `PORTCULLIS_EINVAL`: it is of another IOMMU. `PORTCULLIS_ENOSPC`, `PORTCULLIS_ENOMEM`, `PORTCULLIS_EIO`.
///
/// # Safety
/// `group` is null or good for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn portcullis_add_device(
    iommu: portcullis_iommu,
    device: u32,
    join: portcullis_group,
    group: *mut portcullis_group,
) -> c_int {
    enter(|call| {
        // SAFETY: the caller's contract.
        let out = unsafe { Out::wanted(group)? };
        let mut running = call.iommu(iommu)?;
        let plain = portcullis_device {
            join,
            regions: core::ptr::null(),
            region_count: 0,
            id: device,
            policy: PORTCULLIS_POLICY_ANY,
            untrusted: 0,
            process_ids: 0,
            deferred: 0,
        };
        out.set(running.add(&plain, &[])?);
        Ok(0)
    })
}

/// As `portcullis_add_device`, for a device with peculiarities. The structure and its regions are copied.
///
/// As there; `PORTCULLIS_EINVAL` also: null, an unknown number, more than `PORTCULLIS_REGIONS`, a region that is no whole number of
/// pages, one that the domain attached to the group maps otherwise, a device that cannot be blocked and a group that is, an
/// untrusted device that asks for identity. `PORTCULLIS_EADDRINUSE`: a region is mapped otherwise in the default domain.
/// `PORTCULLIS_EBUSY`: the policy would change the default domain of a group in use.
///
/// # Safety
/// `device` is null, which is refused, or good for reading, and so are the regions it names. `group` is null or good for
/// writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn portcullis_add_device_as(
    iommu: portcullis_iommu,
    device: *const portcullis_device,
    group: *mut portcullis_group,
) -> c_int {
    enter(|call| {
        // SAFETY: the caller's contract.
        let out = unsafe { Out::wanted(group)? };
        if device.is_null() || !device.is_aligned() {
            return Err(errno(PORTCULLIS_EINVAL));
        }
        // SAFETY: the caller's contract.
        let device = unsafe { *device };
        // SAFETY: the caller's contract.
        let regions = unsafe { device.regions()? };
        let mut running = call.iommu(iommu)?;
        out.set(running.add(&device, regions)?);
        Ok(0)
    })
}

/// Removes a device: it is blocked on return. Domains attached for process ids are with the caller again if it was the last
/// one.
///
/// `PORTCULLIS_EBUSY`: it is the last one of a group that somebody uses or owns. `PORTCULLIS_ENODEV`, `PORTCULLIS_EIO`.
#[unsafe(no_mangle)]
pub extern "C" fn portcullis_remove_device(iommu: portcullis_iommu, device: u32) -> c_int {
    enter(|call| {
        let mut running = call.iommu(iommu)?;
        running.unit.remove_device(DeviceId(device))?;
        running.sweep_processes();
        Ok(0)
    })
}

/// A device has vanished; it is blocked, whoever uses or owns its group. `PORTCULLIS_ENODEV`: there is no such device.
#[unsafe(no_mangle)]
pub extern "C" fn portcullis_device_gone(iommu: portcullis_iommu, device: u32) -> c_int {
    enter(|call| {
        let mut running = call.iommu(iommu)?;
        running.unit.device_gone(DeviceId(device))?;
        running.sweep_processes();
        Ok(0)
    })
}

/// Blocks a device while it is reset: what it sends meanwhile is noise. Until `portcullis_reset_end`, attaching to its group is
/// `PORTCULLIS_EBUSY`; detaching and releasing work.
///
/// `PORTCULLIS_ENODEV`. `PORTCULLIS_EBUSY`: it is being reset already. `PORTCULLIS_ENOSPC`: `PORTCULLIS_DEVICES` resets have not ended.
/// `PORTCULLIS_EIO`.
///
/// # Safety
/// `reset` is null, which is refused, or good for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn portcullis_reset_begin(
    iommu: portcullis_iommu,
    device: u32,
    reset: *mut portcullis_reset,
) -> c_int {
    enter(|call| {
        // SAFETY: the caller's contract.
        let out = unsafe { Out::needed(reset)? };
        let running = call.iommu(iommu)?;
        let resets = &mut running.objects.resets;
        if resets.is_full() {
            return Err(errno(PORTCULLIS_ENOSPC));
        }
        let place = resets.insert(running.unit.reset_device(DeviceId(device))?);
        out.set(running.handle(Kind::Reset, place)?);
        Ok(0)
    })
}

/// The device works again, and goes where its group goes by now. Nothing to do if it has gone meanwhile.
///
/// `PORTCULLIS_EBADF`. The hardware's failure is no error here: then nothing passes any more, see `portcullis_health`.
#[unsafe(no_mangle)]
pub extern "C" fn portcullis_reset_end(reset: portcullis_reset) -> c_int {
    enter(|call| {
        let handle = decode(reset, Kind::Reset)?;
        let resets = &mut call.running(handle.iommu)?.objects.resets;
        if resets.get(handle.slot, handle.generation).is_none() {
            return Err(errno(PORTCULLIS_EBADF));
        }
        resets.discard(handle.slot);
        Ok(0)
    })
}
