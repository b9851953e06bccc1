//! Calls that concern a whole IOMMU.

use core::ffi::c_int;

use portcullis::{
    Config, DefaultDomainType, DeviceId, GroupId, Health, Status, Timeouts, TrustToken,
};

use crate::boot::portcullis_start_with;
use crate::handle::{Handle, Kind};
use crate::library::{Errno, Out, Records, Running, decode, enter, errno};
use crate::platform::portcullis_platform;
use crate::types::*;

impl Running {
    /// The group of this handle. One that has gone is no device any more, rather than no handle.
    pub fn group(&mut self, handle: Handle) -> Result<GroupId, Errno> {
        let groups = &mut self.objects.groups;
        if groups.is_past(handle.slot, handle.generation) {
            return Err(errno(PORTCULLIS_ENODEV));
        }
        let id = groups
            .get(handle.slot, handle.generation)
            .ok_or(errno(PORTCULLIS_EBADF))?;
        Ok(self.unit.group(*id)?.id())
    }

    /// The handle of a group, always the same one.
    pub fn name(&mut self, id: GroupId) -> portcullis_group {
        let unit = self.unit;
        let groups = &mut self.objects.groups;
        let found = groups.find(|g| *g == id).or_else(|| {
            // As many places as groups: one of those on record has gone if all are taken.
            if groups.is_full()
                && let Some((slot, _)) = groups.find(|g| unit.group(*g).is_err())
            {
                groups.remove(slot);
            }
            groups.insert(id)
        });
        self.handle(Kind::Group, found).unwrap_or(PORTCULLIS_NONE)
    }
}

/// What `portcullis_start` uses without a configuration.
///
/// # Safety
/// `config` is null, which is refused, or good for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn portcullis_config_default(config: *mut portcullis_config) -> c_int {
    // SAFETY: the caller's contract.
    let Ok(out) = (unsafe { Out::needed(config) }) else {
        return -PORTCULLIS_EINVAL;
    };
    let config = Config::default();
    out.set(portcullis_config {
        default_domain: PORTCULLIS_DEFAULT_BLOCKED,
        command_queue: config.command_queue,
        fault_queue: config.fault_queue,
        flush_queue: config.flush_queue,
        table_chunk: config.table_chunk,
        storm_polls: config.storm_polls.into(),
        flush_age_us: config.flush_age_us,
        command_timeout_us: config.timeouts.command_us,
        register_timeout_us: config.timeouts.register_us,
        deferred_flush: config.deferred_flush.into(),
        napot: config.napot.into(),
        notify_on_map: config.notify_on_map.into(),
        interrupts: config.interrupts.into(),
        take_over: config.take_over.into(),
    });
    0
}

fn default_type(number: u32) -> Result<DefaultDomainType, Errno> {
    Ok(match number {
        PORTCULLIS_DEFAULT_BLOCKED => DefaultDomainType::Blocked,
        PORTCULLIS_DEFAULT_DMA => DefaultDomainType::Dma,
        PORTCULLIS_DEFAULT_DMA_FQ => DefaultDomainType::DmaFq,
        PORTCULLIS_DEFAULT_AUTO => DefaultDomainType::Auto,
        // SAFETY: whoever asks for this number vouches for the devices; the header says so.
        PORTCULLIS_DEFAULT_IDENTITY => DefaultDomainType::Identity(unsafe { TrustToken::new() }),
        _ => return Err(errno(PORTCULLIS_EINVAL)),
    })
}

impl portcullis_config {
    #[allow(
        clippy::needless_update,
        reason = "settings without a number in C have their defaults"
    )]
    pub(crate) fn settings(&self) -> Result<Config, Errno> {
        Ok(Config {
            default_domain: default_type(self.default_domain)?,
            command_queue: self.command_queue,
            fault_queue: self.fault_queue,
            flush_queue: self.flush_queue,
            table_chunk: self.table_chunk,
            storm_polls: u8::try_from(self.storm_polls).map_err(|_| errno(PORTCULLIS_EINVAL))?,
            flush_age_us: self.flush_age_us,
            timeouts: Timeouts {
                command_us: self.command_timeout_us,
                register_us: self.register_timeout_us,
            },
            deferred_flush: self.deferred_flush != 0,
            napot: self.napot != 0,
            notify_on_map: self.notify_on_map != 0,
            interrupts: self.interrupts != 0,
            take_over: self.take_over != 0,
            ..Config::default()
        })
    }
}

/// Starts an IOMMU: every device is blocked until it is added. `config` may be null for the defaults; `admin`, which may
/// be null too, gets the handle that allows `portcullis_set_default_domain_type`.
///
/// `PORTCULLIS_EINVAL`: a null pointer, a missing function, a wrong number. `PORTCULLIS_ENOSPC`: `PORTCULLIS_IOMMUS` run.
/// `PORTCULLIS_EOPNOTSUPP`: this hardware is beyond the driver. `PORTCULLIS_EBUSY`: it translates already, and `take_over` is 0.
/// `PORTCULLIS_ENOMEM`, `PORTCULLIS_ETIMEDOUT`, `PORTCULLIS_EIO`.
///
/// # Safety
/// The pointers are null or good. The functions of the platform do what `struct portcullis_platform` says until the IOMMU is
/// stopped; the structure itself is copied.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn portcullis_start(
    platform: *const portcullis_platform,
    config: *const portcullis_config,
    iommu: *mut portcullis_iommu,
    admin: *mut portcullis_admin,
) -> c_int {
    // SAFETY: the caller's contract; an empty list needs no pointer.
    unsafe { portcullis_start_with(platform, config, core::ptr::null(), 0, iommu, admin) }
}

/// Switches translation off, which blocks all DMA, and gives all memory back.
///
/// `PORTCULLIS_EBUSY`: there are guards, domains, gathers, mappings or resets; end them first. `PORTCULLIS_EBADF`.
#[unsafe(no_mangle)]
pub extern "C" fn portcullis_stop(iommu: portcullis_iommu) -> c_int {
    enter(|call| {
        call.stop(iommu, |unit| {
            *unit = None;
            Ok(())
        })
        .map(|()| 0)
    })
}

/// The group of a device. `PORTCULLIS_ENODEV`: there is no such device. `PORTCULLIS_EPROBE_DEFER`: there is no IOMMU yet.
///
/// # Safety
/// `group` is null, which is refused, or good for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn portcullis_group_of(
    iommu: portcullis_iommu,
    device: u32,
    group: *mut portcullis_group,
) -> c_int {
    enter(|call| {
        // SAFETY: the caller's contract.
        let out = unsafe { Out::needed(group)? };
        let mut running = call.iommu(iommu)?;
        let id = running.unit.group(DeviceId(device))?.id();
        out.set(running.name(id));
        Ok(0)
    })
}

/// State of a group. `PORTCULLIS_ENODEV`: its last device has left.
///
/// # Safety
/// `status` is null, which is refused, or good for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn portcullis_group_status(
    group: portcullis_group,
    status: *mut portcullis_status,
) -> c_int {
    enter(|call| {
        // SAFETY: the caller's contract.
        let out = unsafe { Out::needed(status)? };
        let handle = decode(group, Kind::Group)?;
        let mut running = call.running(handle.iommu)?;
        let id = running.group(handle)?;
        let group = running.unit.group(id)?;
        let (state, owner) = match group.status() {
            Status::Idle => (PORTCULLIS_IDLE, None),
            Status::Kernel(_) => (PORTCULLIS_KERNEL, None),
            Status::DriverManaged(_) => (PORTCULLIS_MANAGED, None),
            Status::Owned(owner) => (PORTCULLIS_OWNED, Some(owner)),
            Status::Attached(owner) => (PORTCULLIS_ATTACHED, Some(owner)),
            Status::Orphan(owner) => (PORTCULLIS_ORPHAN, Some(owner)),
            _ => return Err(errno(PORTCULLIS_ENODEV)),
        };
        out.set(portcullis_status {
            owner: owner.map_or(0, |o| o.number()),
            state,
            users: group.users(),
        });
        Ok(0)
    })
}

/// Changes the type of a group's default domain. From `PORTCULLIS_DEFAULT_DMA` to `PORTCULLIS_DEFAULT_DMA_FQ` it works in every
/// state and touches no hardware; any other change needs a group that nobody uses or owns.
///
/// `PORTCULLIS_EACCES`: `admin` is not the handle from starting this IOMMU. `PORTCULLIS_EPERM`: somebody uses or owns the group.
/// `PORTCULLIS_EINVAL`: no such type, or no device is left. `PORTCULLIS_ENOMEM`, `PORTCULLIS_EIO`.
#[unsafe(no_mangle)]
pub extern "C" fn portcullis_set_default_domain_type(
    group: portcullis_group,
    default_domain: u32,
    admin: portcullis_admin,
) -> c_int {
    enter(|call| {
        let handle = decode(group, Kind::Group)?;
        let mut running = call.running(handle.iommu)?;
        let right = Handle {
            kind: Kind::Admin,
            iommu: running.number,
            slot: 0,
            generation: running.objects.generation,
        };
        if admin != right.bits() {
            return Err(errno(PORTCULLIS_EACCES));
        }
        let kind = default_type(default_domain)?;
        let id = running.group(handle)?;
        let token = running
            .objects
            .admin
            .as_ref()
            .ok_or(errno(PORTCULLIS_EACCES))?;
        running
            .unit
            .group(id)?
            .set_default_domain_type(kind, token)?;
        Ok(0)
    })
}

/// What has to be done from time to time: repairs a stopped command queue, flushes deferred unmaps that are old enough,
/// quiets devices that fault all the time. `polled` may be null. `PORTCULLIS_EIO`.
///
/// # Safety
/// `polled` is null or good for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn portcullis_poll(
    iommu: portcullis_iommu,
    polled: *mut portcullis_polled,
) -> c_int {
    enter(|call| {
        // SAFETY: the caller's contract.
        let out = unsafe { Out::wanted(polled)? };
        let found = call.iommu(iommu)?.unit.poll()?;
        out.set(portcullis_polled {
            flushed: found.flushed as u32,
            quieted: found.quieted as u32,
            faults: found.faults.into(),
        });
        Ok(0)
    })
}

/// Takes note of the pending interrupts. Answers 1 if fault records wait for `portcullis_faults`, else 0. `PORTCULLIS_EIO`.
#[unsafe(no_mangle)]
pub extern "C" fn portcullis_on_interrupt(iommu: portcullis_iommu) -> c_int {
    enter(|call| {
        let events = call.iommu(iommu)?.unit.on_interrupt()?;
        Ok(events.faults.into())
    })
}

/// Writes at most `room` fault records to `faults`, oldest first. `drained` may be null.
///
/// `PORTCULLIS_EIO`: the queue cannot be read; `drained` tells how many records were read before.
///
/// # Safety
/// `faults` is good for writing `room` elements, or null with `room` 0. `drained` is null or good for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn portcullis_faults(
    iommu: portcullis_iommu,
    faults: *mut portcullis_fault,
    room: usize,
    drained: *mut portcullis_drained,
) -> c_int {
    enter(|call| {
        // SAFETY: the caller's contract.
        let mut records = unsafe { Records::new(faults, room, drained)? };
        let mut running = call.iommu(iommu)?;
        let result = running.unit.faults().drain(room, |fault| {
            let info = fault.record.info();
            records.add(portcullis_fault {
                record: fault.record.dw,
                group: fault.group.map_or(PORTCULLIS_NONE, |id| running.name(id)),
                device: fault.device().0,
                cause: info.cause().into(),
                stale: fault.stale.into(),
            });
        });
        let found = result.unwrap_or_default();
        records.end(found.lost, found.more);
        result?;
        Ok(0)
    })
}

/// How the IOMMU fares: `PORTCULLIS_GOOD` and the following.
#[unsafe(no_mangle)]
pub extern "C" fn portcullis_health(iommu: portcullis_iommu) -> c_int {
    enter(|call| {
        Ok(match call.iommu(iommu)?.unit.health() {
            Health::Good => PORTCULLIS_GOOD,
            Health::Degraded => PORTCULLIS_DEGRADED,
            Health::Closed => PORTCULLIS_CLOSED,
            Health::Wedged => PORTCULLIS_WEDGED,
        })
    })
}

/// 1 if every device is confined to what its group's domain maps; 0 while any is translated by identity, and while the
/// hardware does not answer.
#[unsafe(no_mangle)]
pub extern "C" fn portcullis_isolation(iommu: portcullis_iommu) -> c_int {
    enter(|call| Ok(call.iommu(iommu)?.unit.isolation().into()))
}

/// Leaves `PORTCULLIS_CLOSED`: contexts are written anew, everything cached is invalidated, translation goes on.
/// `PORTCULLIS_EIO`: the hardware still fails.
///
/// # Safety
/// The failure is over: registers and memory are those of the IOMMU that was started, and nobody else has changed the
/// driver's memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn portcullis_recover(iommu: portcullis_iommu) -> c_int {
    enter(|call| {
        let running = call.iommu(iommu)?;
        // SAFETY: the caller's contract.
        unsafe { running.unit.recover()? };
        Ok(0)
    })
}

/// Leaves `PORTCULLIS_WEDGED` or `PORTCULLIS_CLOSED` after the IOMMU was reset from outside. `PORTCULLIS_EINVAL`: it works.
/// `PORTCULLIS_EIO`: it is not as a reset leaves it.
///
/// # Safety
/// The IOMMU has been reset, no access from before is on the way, and the driver's memory is as the driver left it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn portcullis_assume_reset(iommu: portcullis_iommu) -> c_int {
    enter(|call| {
        let running = call.iommu(iommu)?;
        // SAFETY: the caller's contract.
        unsafe { running.unit.assume_reset()? };
        Ok(0)
    })
}

/// What the hardware can do. `PORTCULLIS_EPROBE_DEFER`, `PORTCULLIS_EBADF`.
///
/// # Safety
/// `limits` is null, which is refused, or good for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn portcullis_hardware(
    iommu: portcullis_iommu,
    limits: *mut portcullis_limits,
) -> c_int {
    enter(|call| {
        // SAFETY: the caller's contract.
        let out = unsafe { Out::needed(limits)? };
        let found = call.iommu(iommu)?.unit.limits();
        out.set(portcullis_limits {
            capabilities: found.capabilities.into_bits(),
            device_id_bits: found.device_id_bits,
            process_id_bits: found.process_id_bits,
            command_queue: found.command_queue,
            fault_queue: found.fault_queue,
        });
        Ok(0)
    })
}
