//! Starting behind devices that work already, and handing over to the next kernel.

use core::ffi::c_int;

use portcullis::{BootDevice, Config, DeviceId, Iommu, TrustToken};

use crate::library::{Errno, Known, Out, enter, errno, write_regions};
use crate::platform::{Platform, portcullis_platform};
use crate::types::*;

/// Devices with the regions that they have in the seat of an IOMMU.
fn boot_devices<'b>(
    number: u8,
    known: &[portcullis_known],
    room: &'b mut Known,
) -> Result<&'b [BootDevice], Errno> {
    for (at, device) in known.iter().enumerate() {
        let with = match device.joins {
            0 => None,
            n if n <= at => Some(DeviceId(known[n - 1].device.id)),
            _ => return Err(errno(PORTCULLIS_ENOENT)),
        };
        if device.device.join != PORTCULLIS_NONE {
            return Err(errno(PORTCULLIS_EINVAL));
        }
        let mut info = device.device.info()?;
        // SAFETY: by the contract of `portcullis_start_with` they are good for reading.
        let regions = unsafe { device.device.regions()? };
        info.regions = write_regions(number, at, regions)?;
        // SAFETY: whoever asks for it vouches for the device; the header says so.
        let keeps = (device.keeps != 0).then(|| unsafe { TrustToken::new() });
        room[at] = BootDevice { info, with, keeps };
    }
    Ok(&room[..known.len()])
}

/// As `portcullis_start`, for an IOMMU that devices already work behind: their contexts, direct regions included, are
/// complete before translation begins. An IOMMU found in Bare goes from there to the default domains in one step; found in
/// Off, everything is blocked until that step.
///
/// As `portcullis_start` and `portcullis_add_device_as`; `PORTCULLIS_EINVAL` also for a device whose `join` is not
/// `PORTCULLIS_NONE`, and for one that keeps what it has and is not deferred, or has an untrusted device in its group;
/// `PORTCULLIS_EOPNOTSUPP` for one with that in a group with a process directory; `PORTCULLIS_ENOENT` for one that joins no
/// device before it, `PORTCULLIS_ENOSPC` for more than `PORTCULLIS_DEVICES`. Unless the hardware failed, DMA goes where it went
/// before.
///
/// # Safety
/// As `portcullis_start`. `devices` is good for reading `count` elements, or null with `count` 0, and so are the regions they
/// name; both are copied.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn portcullis_start_with(
    platform: *const portcullis_platform,
    config: *const portcullis_config,
    devices: *const portcullis_known,
    count: usize,
    iommu: *mut portcullis_iommu,
    admin: *mut portcullis_admin,
) -> c_int {
    enter(|call| {
        // SAFETY: the caller's contract.
        let (iommu, admin) = unsafe { (Out::needed(iommu)?, Out::wanted(admin)?) };
        let aligned = platform.is_aligned() && config.is_aligned() && devices.is_aligned();
        if platform.is_null() || !aligned || (devices.is_null() && count > 0) {
            return Err(errno(PORTCULLIS_EINVAL));
        }
        if count > PORTCULLIS_DEVICES {
            return Err(errno(PORTCULLIS_ENOSPC));
        }
        let known = match count {
            0 => &[],
            // SAFETY: the caller's contract.
            _ => unsafe { core::slice::from_raw_parts(devices, count) },
        };
        // SAFETY: the caller's contract.
        let settings = match unsafe { config.as_ref() } {
            Some(config) => config.settings()?,
            None => Config::default(),
        };
        let started = call.start(|number, place, room| {
            // SAFETY: the caller's contract.
            let platform = unsafe { Platform::new(*platform, number) };
            let platform = platform.ok_or(errno(PORTCULLIS_EINVAL))?;
            let devices = boot_devices(number, known, room)?;
            Ok(Iommu::start_in(place, platform, settings, devices).map_err(|e| e.error)?)
        })?;
        let kept = call.iommu(started.0)?.objects;
        for (place, device) in kept.with_regions.iter_mut().zip(known) {
            *place = (device.device.region_count > 0).then_some(device.device.id);
        }
        iommu.set(started.0);
        admin.set(started.1);
        Ok(0)
    })
}

/// As `portcullis_stop`, and then to Bare: the next kernel finds devices that reach memory without translation. DMA is blocked
/// in between.
///
/// `PORTCULLIS_EBUSY`, `PORTCULLIS_EBADF` as there. `PORTCULLIS_EOPNOTSUPP`: the hardware does not take Bare.
/// `PORTCULLIS_ETIMEDOUT`, `PORTCULLIS_EIO`: it does not confirm it. After these three it is stopped and DMA is off, unless the
/// hardware does not even confirm that.
///
/// # Safety
/// Every device can read and write every byte afterwards: the caller vouches for them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn portcullis_stop_in_bare(iommu: portcullis_iommu) -> c_int {
    enter(|call| {
        call.stop(iommu, |unit| {
            // SAFETY: the caller's contract.
            let token = unsafe { TrustToken::new() };
            Iommu::stop_in(unit, Some(&token)).map_err(|e| e.error)?;
            Ok(())
        })
        .map(|()| 0)
    })
}
