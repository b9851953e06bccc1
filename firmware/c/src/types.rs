//! Numbers and structures of the interface.

#![allow(
    non_camel_case_types,
    reason = "names of the C header, and the header is made of this"
)]

/// Names nothing.
pub const PORTCULLIS_NONE: u64 = 0;

/// Not entitled, or somebody else is.
pub const PORTCULLIS_EPERM: i32 = 1;
/// Nothing of that name.
pub const PORTCULLIS_ENOENT: i32 = 2;
/// The hardware failed, or translation is closed after a failure.
pub const PORTCULLIS_EIO: i32 = 5;
/// A handle that names nothing, or nothing any more.
pub const PORTCULLIS_EBADF: i32 = 9;
/// No memory for tables.
pub const PORTCULLIS_ENOMEM: i32 = 12;
/// The handle from `portcullis_start` is missing that allows this.
pub const PORTCULLIS_EACCES: i32 = 13;
/// Something else is attached or in use.
pub const PORTCULLIS_EBUSY: i32 = 16;
/// It is there already.
pub const PORTCULLIS_EEXIST: i32 = 17;
/// No such device, or not in this hardware.
pub const PORTCULLIS_ENODEV: i32 = 19;
/// An argument is wrong whatever the state: null pointers, objects of another IOMMU.
pub const PORTCULLIS_EINVAL: i32 = 22;
/// No free place in a table of fixed size.
pub const PORTCULLIS_ENOSPC: i32 = 28;
/// Outside of what the hardware or the domain covers.
pub const PORTCULLIS_ERANGE: i32 = 34;
/// Address plus length wraps.
pub const PORTCULLIS_EOVERFLOW: i32 = 75;
/// This driver or hardware does not do it.
pub const PORTCULLIS_EOPNOTSUPP: i32 = 95;
/// The range holds a mapping already.
pub const PORTCULLIS_EADDRINUSE: i32 = 98;
/// The hardware did not answer in time.
pub const PORTCULLIS_ETIMEDOUT: i32 = 110;
/// The IOMMU has not been started yet: the handle is `PORTCULLIS_NONE`.
pub const PORTCULLIS_EPROBE_DEFER: i32 = 517;

/// IOMMUs at the same time.
pub const PORTCULLIS_IOMMUS: usize = 2;
/// Devices, and groups, of one IOMMU.
pub const PORTCULLIS_DEVICES: usize = 16;
/// Guards of one IOMMU.
pub const PORTCULLIS_GUARDS: usize = 32;
/// Domains of one IOMMU.
pub const PORTCULLIS_DOMAINS: usize = 64;

/// Buffers of drivers mapped by `portcullis_dma_map`, of one IOMMU.
pub const PORTCULLIS_MAPPINGS: usize = 128;

/// Domains attached for process ids, of one IOMMU.
pub const PORTCULLIS_PROCESSES: usize = PORTCULLIS_DEVICES;
/// Gathered unmaps of one IOMMU at the same time.
pub const PORTCULLIS_GATHERS: usize = 16;
/// Deferred unmaps of one IOMMU that are waited for one by one.
pub const PORTCULLIS_DEFERRED: usize = 64;
/// Events of one IOMMU that wait for `portcullis_events`; what comes after them is lost.
pub const PORTCULLIS_EVENTS: usize = 32;
/// Regions of one device.
pub const PORTCULLIS_REGIONS: usize = 8;

/// Names an IOMMU.
pub type portcullis_iommu = u64;
/// Names a group of devices. Gives no rights.
pub type portcullis_group = u64;
/// Names the right to use or to own a group, from `portcullis_use_default`, `portcullis_claim`, `portcullis_claim_device`.
pub type portcullis_guard = u64;
/// Names an address space.
pub type portcullis_domain = u64;
/// Names a buffer that a driver has mapped.
pub type portcullis_mapping = u64;
/// Names a collection of unmaps that are invalidated together.
pub type portcullis_gather = u64;
/// Names a deferred unmap.
pub type portcullis_deferred = u64;
/// Names the reset of a device.
pub type portcullis_reset = u64;
/// Names the right to change default domains.
pub type portcullis_admin = u64;

/// Unowned devices reach nothing.
pub const PORTCULLIS_DEFAULT_BLOCKED: u32 = 0;
/// Unowned devices reach what their group's own paging domain maps.
pub const PORTCULLIS_DEFAULT_DMA: u32 = 1;
/// The same; unmaps are meant to be deferred.
pub const PORTCULLIS_DEFAULT_DMA_FQ: u32 = 2;
/// Unowned devices reach all of memory, the IOMMU's tables included. Whoever asks for it vouches for them.
pub const PORTCULLIS_DEFAULT_IDENTITY: u32 = 3;

/// As `PORTCULLIS_DEFAULT_DMA_FQ` where deferring pays, else as `PORTCULLIS_DEFAULT_DMA`.
pub const PORTCULLIS_DEFAULT_AUTO: u32 = 4;

/// Devices may read.
pub const PORTCULLIS_READ: u32 = 1;
/// Devices may write; page tables cannot express that without reading.
pub const PORTCULLIS_WRITE: u32 = 2;
/// Devices may read for execute.
pub const PORTCULLIS_EXEC: u32 = 4;

/// Page tables of three levels.
pub const PORTCULLIS_SV39: u32 = 39;
/// Page tables of four levels.
pub const PORTCULLIS_SV48: u32 = 48;
/// Page tables of five levels.
pub const PORTCULLIS_SV57: u32 = 57;

/// Nobody uses or owns the group.
pub const PORTCULLIS_IDLE: u32 = 1;
/// Drivers use the default domain.
pub const PORTCULLIS_KERNEL: u32 = 2;
/// A driver attached a domain of its own.
pub const PORTCULLIS_MANAGED: u32 = 3;
/// Owned and blocked.
pub const PORTCULLIS_OWNED: u32 = 4;
/// Owned, with a domain of the owner.
pub const PORTCULLIS_ATTACHED: u32 = 5;
/// Owned, but all devices have vanished.
pub const PORTCULLIS_ORPHAN: u32 = 6;

/// No failure so far.
pub const PORTCULLIS_GOOD: i32 = 0;
/// The command queue had to be reset at least once; everything works.
pub const PORTCULLIS_DEGRADED: i32 = 1;
/// Translation is off after a failure: no device reaches memory.
pub const PORTCULLIS_CLOSED: i32 = 2;
/// The hardware does not answer. What devices reach is unknown; nothing they might reach is given back.
pub const PORTCULLIS_WEDGED: i32 = 3;

/// Settings of `portcullis_start`; begin with `portcullis_config_default`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct portcullis_config {
    /// Where DMA of unowned groups goes: `PORTCULLIS_DEFAULT_...`.
    pub default_domain: u32,
    /// Commands the command queue should hold.
    pub command_queue: u32,
    /// Records the fault queue should hold.
    pub fault_queue: u32,
    /// Deferred unmaps of one domain before a flush happens by itself.
    pub flush_queue: u32,
    /// Table pages taken from the platform at a time, 1 to 64.
    pub table_chunk: u32,
    /// Polls in a row that each found faults of a device after which its faults are no longer reported; 0: never; at most
    /// 255.
    pub storm_polls: u32,
    /// Age in microseconds of the oldest deferred unmap at which `portcullis_poll` flushes.
    pub flush_age_us: u64,
    /// How long the command queue may make no progress.
    pub command_timeout_us: u64,
    /// How long registers may be busy.
    pub register_timeout_us: u64,
    /// Not 0: deferring flushes pays on this machine.
    pub deferred_flush: u8,
    /// Not 0: use 64 KiB NAPOT leaves.
    pub napot: u8,
    /// Not 0: invalidate what was mapped, for emulated IOMMUs.
    pub notify_on_map: u8,
    /// Not 0: let the queues raise the interrupt wire.
    pub interrupts: u8,
    /// Not 0: take over an IOMMU that translates already.
    pub take_over: u8,
}

/// The device asks for nothing: `default_domain` of the configuration decides.
pub const PORTCULLIS_POLICY_ANY: u32 = 0;
/// Its group's default domain must be `PORTCULLIS_DEFAULT_DMA` or `PORTCULLIS_DEFAULT_DMA_FQ`.
pub const PORTCULLIS_POLICY_DMA: u32 = 1;
/// It must be `PORTCULLIS_DEFAULT_IDENTITY`. Whoever asks for it vouches for the device.
pub const PORTCULLIS_POLICY_IDENTITY: u32 = 2;

/// Never mapped.
pub const PORTCULLIS_REGION_RESERVED: u32 = 0;
/// Mapped to itself in the default domain, always: such a device cannot be blocked, and nobody can own its group.
pub const PORTCULLIS_REGION_DIRECT: u32 = 1;
/// Mapped to itself in the default domain; the device does without when it is owned.
pub const PORTCULLIS_REGION_RELAXABLE: u32 = 2;

/// Addresses with a meaning of their own for a device.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct portcullis_region {
    /// First address; a multiple of 4096.
    pub start: u64,
    /// Length; a multiple of 4096.
    pub bytes: u64,
    /// `PORTCULLIS_REGION_...`.
    pub kind: u32,
    /// `PORTCULLIS_READ` and the following, for direct regions.
    pub permissions: u32,
}

/// What there is to know of a device. All zeros but for the id is a device without peculiarities.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct portcullis_device {
    /// The group it joins; `PORTCULLIS_NONE` for one of its own.
    pub join: portcullis_group,
    /// Its regions, copied; may be null if there are none.
    pub regions: *const portcullis_region,
    /// How many; at most `PORTCULLIS_REGIONS`.
    pub region_count: usize,
    /// Its id on the bus.
    pub id: u32,
    /// `PORTCULLIS_POLICY_...`.
    pub policy: u32,
    /// Not 0: it may attack; its group never gets an identity default domain.
    pub untrusted: u8,
    /// Not 0: it sends process ids. Its group gets a process directory, if it begins with this device and the hardware
    /// has them.
    pub process_ids: u8,
    /// Not 0: the default domain is attached at the first use only.
    pub deferred: u8,
}

/// What the hardware can do.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct portcullis_limits {
    /// The capabilities register.
    pub capabilities: u64,
    /// Device-id bits that the directory in use covers.
    pub device_id_bits: u32,
    /// Process-id bits; 0 if the hardware has no process directories.
    pub process_id_bits: u32,
    /// Entries of the command queue; one less can be in use.
    pub command_queue: u32,
    /// Entries of the fault queue; one less can be in use.
    pub fault_queue: u32,
}

/// State of a group.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct portcullis_status {
    /// Its owner; 0 for none.
    pub owner: u64,
    /// `PORTCULLIS_IDLE` and the following.
    pub state: u32,
    /// Drivers that use it, or claims of its owner.
    pub users: u32,
}

/// What `portcullis_poll` found.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct portcullis_polled {
    /// Groups whose deferred unmaps were flushed.
    pub flushed: u32,
    /// Devices whose faults are not reported any more.
    pub quieted: u32,
    /// 1 if fault records wait for `portcullis_faults`.
    pub faults: u32,
}

/// One fault.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct portcullis_fault {
    /// The record as the hardware wrote it.
    pub record: [u64; 4],
    /// Group of the device, or `PORTCULLIS_NONE`.
    pub group: portcullis_group,
    /// Device id in the record.
    pub device: u32,
    /// Cause in the record.
    pub cause: u32,
    /// 1 if the group is blocked by now, so that the record may be older than that.
    pub stale: u32,
}

/// How `portcullis_faults` or `portcullis_events` ended.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct portcullis_drained {
    /// Records written.
    pub records: u32,
    /// 1 if records were lost since the last call.
    pub lost: u32,
    /// 1 if there are more.
    pub more: u32,
}

/// A device that works already when the IOMMU starts.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct portcullis_known {
    /// The device; its `join` must be `PORTCULLIS_NONE`.
    pub device: portcullis_device,
    /// 0: it has a group of its own. n: it joins the group of the n-th device of the list, which is before it.
    pub joins: usize,
    /// Other than 0, for a device whose attach is deferred, and hardware found in Bare: until its first use the device keeps what
    /// it has there. It can read and write every byte: the caller vouches for it.
    pub keeps: u32,
}

/// Counts since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct portcullis_stats {
    /// Commands queued, fences included.
    pub commands: u64,
    /// Fences queued.
    pub fences: u64,
    /// Waits for a fence.
    pub fence_waits: u64,
    /// Reads of `cqh` in these waits.
    pub fence_polls: u64,
    /// Time spent in these waits, in microseconds.
    pub fence_wait_us: u64,
    /// Resets of the command queue.
    pub queue_resets: u64,
    /// Fault records delivered.
    pub faults: u64,
    /// Of these, records of devices the driver does not know.
    pub unknown_faults: u64,
    /// Times that records were lost.
    pub fault_losses: u64,
}

/// DMA of `group` reaches something else now: `from`, `to`, `path`, `process`, `wait_us`; of one `device`, or of all.
pub const PORTCULLIS_EVENT_CHANGED: u32 = 1;
/// `device` reported too many faults: they are no longer recorded.
pub const PORTCULLIS_EVENT_QUIETED: u32 = 2;
/// `device` joined `group`, which has another default domain than it asked for, or another device asked for.
pub const PORTCULLIS_EVENT_POLICY_CONFLICT: u32 = 3;
/// Translation is on again.
pub const PORTCULLIS_EVENT_RECOVERED: u32 = 4;
/// The command queue stopped and was reset: `cqcsr` and `cqh` as found.
pub const PORTCULLIS_EVENT_QUEUE_RESET: u32 = 5;
/// Translation was switched off after a failure.
pub const PORTCULLIS_EVENT_CLOSED: u32 = 6;
/// The hardware does not answer.
pub const PORTCULLIS_EVENT_WEDGED: u32 = 7;

/// To blocked.
pub const PORTCULLIS_PATH_BLOCK: u32 = 1;
/// From blocked.
pub const PORTCULLIS_PATH_PUBLISH: u32 = 2;
/// By one store: no DMA was dropped.
pub const PORTCULLIS_PATH_SWAP: u32 = 3;
/// By way of blocked.
pub const PORTCULLIS_PATH_SLOW: u32 = 4;

/// All devices of the group.
pub const PORTCULLIS_ALL_DEVICES: u32 = 0xffffffff;
/// Nothing passes.
pub const PORTCULLIS_BLOCKED: u64 = 0xffffffffffffffff;

/// Something that the driver did or found. Fields that its kind does not name are 0.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct portcullis_event {
    /// The group; `PORTCULLIS_NONE` if it has gone.
    pub group: portcullis_group,
    /// Fourth doubleword of the contexts before, or `PORTCULLIS_BLOCKED`.
    pub from: u64,
    /// The same since then.
    pub to: u64,
    /// Time that the fences of the change took, in microseconds.
    pub wait_us: u64,
    /// `PORTCULLIS_EVENT_...`.
    pub kind: u32,
    /// `PORTCULLIS_PATH_...`.
    pub path: u32,
    /// The device, or `PORTCULLIS_ALL_DEVICES`.
    pub device: u32,
    /// The process id; 0 is the traffic without one.
    pub process: u32,
    /// Register `cqcsr`.
    pub cqcsr: u32,
    /// Register `cqh`.
    pub cqh: u32,
}
