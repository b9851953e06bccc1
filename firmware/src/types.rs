//! Addresses, names, permissions and the settings of the driver.

use core::fmt;
use core::ops::BitOr;

use portcullis_regmap::ddt::iosatp_mode;
use portcullis_regmap::pte;
use portcullis_regmap::regs::Capabilities;

use crate::Error;

/// Physical address as the IOMMU sees memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PhysAddr(pub u64);

/// I/O virtual address: what a device puts on the bus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Iova(pub u64);

/// Device id as the IOMMU sees it on the bus; 24 bits at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId(pub u32);

/// A group of devices that only can be isolated together; given out by [`Iommu::add_device`](crate::Iommu::add_device).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId {
    pub(crate) slot: u16,
    /// A slot is used again after its last device has left; a name kept from before must not reach the successor.
    pub(crate) generation: u32,
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.slot.fmt(f)
    }
}

/// Names a group: by itself or by one of its devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupKey {
    /// The group.
    Group(GroupId),
    /// The group of this device.
    Device(DeviceId),
}

impl From<GroupId> for GroupKey {
    fn from(id: GroupId) -> Self {
        GroupKey::Group(id)
    }
}

impl From<DeviceId> for GroupKey {
    fn from(id: DeviceId) -> Self {
        GroupKey::Device(id)
    }
}

/// What the driver has to know of a device. `DeviceInfo { group, ..id.into() }` sets what matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Its id on the bus.
    pub id: DeviceId,
    /// The group it joins because the bus cannot tell it from the others there; `None` for a group of its own.
    pub group: Option<GroupId>,
    /// Addresses with a meaning of their own for this device.
    pub regions: &'static [DeviceRegion],
    /// What its group's default domain must be.
    pub policy: Policy,
    /// It may attack: its group never gets an identity default domain.
    pub untrusted: bool,
    /// It sends process ids: its group gets a process directory, if the hardware has them and the group begins with this
    /// device.
    pub process_ids: bool,
    /// The default domain is not attached before the first use: until then the device stays blocked, as it was, or keeps what
    /// it had before the start ([`BootDevice::keeps`](crate::BootDevice::keeps)). Has no effect on groups with a process
    /// directory.
    pub deferred: bool,
}

impl From<DeviceId> for DeviceInfo {
    fn from(id: DeviceId) -> Self {
        DeviceInfo {
            id,
            group: None,
            regions: &[],
            policy: Policy::Any,
            untrusted: false,
            process_ids: false,
            deferred: false,
        }
    }
}

/// Process id of DMA: its address space within a device. 0 is the traffic without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pasid(pub u32);

/// Addresses that cannot be used like others: what a device sends there does not go to memory, or must go to the same
/// address of memory whatever happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceRegion {
    /// First address; a multiple of 4096.
    pub start: u64,
    /// Length; a multiple of 4096.
    pub bytes: u64,
    /// Why.
    pub kind: RegionKind,
}

/// Kinds of [`DeviceRegion`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegionKind {
    /// Never mapped: a window of a bridge, the doorbell of another interrupt controller.
    Reserved,
    /// Mapped to the same address of memory in the default domain, always: the device, or firmware behind it, relies on
    /// it. Such a device cannot be blocked, so nobody can own its group.
    Direct(Perm),
    /// As [`RegionKind::Direct`] while the default domain is in use; the device does without when it is owned.
    DirectRelaxable(Perm),
}

impl DeviceRegion {
    /// First address beyond it.
    pub(crate) const fn end(&self) -> u64 {
        self.start + self.bytes
    }

    pub(crate) const fn overlaps(&self, start: u64, end: u64) -> bool {
        self.start < end && start < self.end()
    }

    /// Whether the device cannot do without.
    pub(crate) const fn must_stay(&self) -> bool {
        matches!(self.kind, RegionKind::Direct(_))
    }

    /// What a direct region allows.
    pub(crate) const fn direct(&self) -> Option<Perm> {
        match self.kind {
            RegionKind::Direct(perm) | RegionKind::DirectRelaxable(perm) => Some(perm),
            RegionKind::Reserved => None,
        }
    }
}

/// What a device asks of its group's default domain. Of conflicting wishes in a group, identity wins, and the conflict
/// is reported by [`Event::PolicyConflict`](crate::platform::Event::PolicyConflict).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Nothing: [`Config::default_domain`] decides.
    #[default]
    Any,
    /// [`DefaultDomainType::Dma`] or [`DefaultDomainType::DmaFq`].
    Dma,
    /// [`DefaultDomainType::Identity`].
    Identity(TrustToken),
}

/// What devices may do with a mapping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Perm(u8);

impl Perm {
    /// Nothing; no mapping can have it.
    pub const NONE: Perm = Perm(0);
    /// Read.
    pub const READ: Perm = Perm(1);
    /// Write. Page tables cannot express it alone: the mapping is readable too.
    pub const WRITE: Perm = Perm(2);
    /// Read and write.
    pub const READ_WRITE: Perm = Perm(3);
    /// Read for execute.
    pub const EXEC: Perm = Perm(4);

    /// Whether everything in `other` is allowed.
    pub const fn contains(self, other: Perm) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Perm {
    type Output = Perm;

    fn bitor(self, other: Perm) -> Perm {
        Perm(self.0 | other.0)
    }
}

/// Who holds the DMA of a group. Equal values are the same owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner(core::num::NonZeroU64);

impl Owner {
    /// An owner with a number that the caller keeps unique.
    ///
    /// # Errors
    /// [`Error::Invalid`] for 0, which stands for nobody.
    pub fn new(number: u64) -> Result<Self, Error> {
        core::num::NonZeroU64::new(number)
            .map(Owner)
            .ok_or(Error::Invalid)
    }

    /// The number; never 0.
    pub const fn number(self) -> u64 {
        self.0.get()
    }
}

/// Proof that somebody took responsibility for a device that reaches all of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustToken(());

impl TrustToken {
    /// Takes that responsibility.
    ///
    /// # Safety
    /// Devices translated by identity can read and write every byte, the IOMMU's tables included. The caller vouches
    /// for every device the token is used for.
    pub const unsafe fn new() -> Self {
        TrustToken(())
    }
}

/// Where DMA of a group goes while nobody owns the group.
#[derive(Clone, Copy, Debug, Default)]
pub enum DefaultDomainType {
    /// Nowhere.
    #[default]
    Blocked,
    /// A paging domain of the group itself. What is not mapped there is as good as blocked, but reported as page faults.
    Dma,
    /// The same domain; its unmaps are meant to be deferred.
    DmaFq,
    /// [`DefaultDomainType::DmaFq`] where deferring pays ([`Limits::deferred_flush`]) and no device of the group is
    /// untrusted, else [`DefaultDomainType::Dma`].
    Auto,
    /// IOVA = physical address.
    Identity(TrustToken),
}

/// Right to change what unowned groups may do; see [`Iommu::admin_token`](crate::Iommu::admin_token).
#[derive(Debug)]
pub struct AdminToken(pub(crate) ());

/// How long the driver waits, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For the command queue to make progress.
    pub command_us: u64,
    /// For `busy` and `on` bits of registers.
    pub register_us: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            command_us: 100_000,
            register_us: 100_000,
        }
    }
}

/// Settings of [`Iommu::new`](crate::Iommu::new).
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Where DMA of unowned groups goes.
    pub default_domain: DefaultDomainType,
    /// Commands the command queue should hold; rounded up to a power of two and down to what the hardware has.
    pub command_queue: u32,
    /// Records the fault queue should hold; rounded likewise.
    pub fault_queue: u32,
    /// Waiting times.
    pub timeouts: Timeouts,
    /// Deferred unmaps of one domain before a flush happens by itself; the largest value means never.
    pub flush_queue: u32,
    /// Deferring flushes pays on this machine, as it does where a fence takes long: [`DefaultDomainType::Auto`] looks at
    /// it, and an explicit [`DefaultDomainType::DmaFq`] does not.
    pub deferred_flush: bool,
    /// Age in microseconds of the oldest deferred unmap at which [`Iommu::poll`](crate::Iommu::poll) flushes.
    pub flush_age_us: u64,
    /// Table pages taken from the platform at a time, 1 to 64. Fewer are taken when memory is short.
    pub table_chunk: u32,
    /// Polls in a row that each found faults of a device after which its faults are no longer reported; 0 means never.
    pub storm_polls: u8,
    /// Invalidate what was mapped: for emulated IOMMUs, whose host learns of a mapping by that. Hardware does not need it,
    /// since it caches no invalid entries.
    pub notify_on_map: bool,
    /// Use 64 KiB NAPOT leaves. They spare cache entries; without `capabilities.S`, unmapping one takes 16 commands.
    pub napot: bool,
    /// Let the queues raise the interrupt wire.
    pub interrupts: bool,
    /// Take over an IOMMU that translates already: it is switched off first, so DMA is blocked in between.
    pub take_over: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            default_domain: DefaultDomainType::default(),
            command_queue: 256,
            fault_queue: 256,
            timeouts: Timeouts::default(),
            flush_queue: 256,
            deferred_flush: true,
            flush_age_us: 10_000,
            table_chunk: 16,
            storm_polls: 10,
            notify_on_map: false,
            napot: false,
            interrupts: true,
            take_over: false,
        }
    }
}

/// Page-table format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Three levels; IOVAs below 2^38.
    #[default]
    Sv39,
    /// Four levels; IOVAs below 2^47.
    Sv48,
    /// Five levels; IOVAs below 2^56.
    Sv57,
}

impl Mode {
    pub(crate) const fn levels(self) -> u8 {
        match self {
            Mode::Sv39 => pte::SV39_LEVELS,
            Mode::Sv48 => pte::SV48_LEVELS,
            Mode::Sv57 => pte::SV57_LEVELS,
        }
    }

    pub(crate) const fn iosatp(self) -> u8 {
        match self {
            Mode::Sv39 => iosatp_mode::SV39,
            Mode::Sv48 => iosatp_mode::SV48,
            Mode::Sv57 => iosatp_mode::SV57,
        }
    }

    pub(crate) const fn in_hardware(self, caps: Capabilities) -> bool {
        match self {
            Mode::Sv39 => caps.sv39(),
            Mode::Sv48 => caps.sv48(),
            Mode::Sv57 => caps.sv57(),
        }
    }

    /// First IOVA beyond the domain: only the lower canonical half is used.
    pub const fn aperture_end(self) -> u64 {
        1 << (pte::level_shift(self.levels()) - 1)
    }
}

/// Settings of a paging domain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DomainConfig {
    /// Page-table format.
    pub mode: Mode,
}

/// What the hardware can do, as far as a user of the driver cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The capabilities register.
    pub capabilities: Capabilities,
    /// Device-id bits that the directory in use covers.
    pub device_id_bits: u32,
    /// Entries of the command queue; one less can be in use.
    pub command_queue: u32,
    /// Entries of the fault queue; one less can be in use.
    pub fault_queue: u32,
    /// Deferring flushes pays, see [`Config::deferred_flush`].
    pub deferred_flush: bool,
    /// Process-id bits of the widest process directory; 0 if the hardware has none.
    pub process_id_bits: u32,
}

/// How the IOMMU fares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// No failure so far.
    #[default]
    Good,
    /// The command queue had to be reset at least once; everything works.
    Degraded,
    /// Translation is off after a failure: no device reaches memory, fallible calls answer [`Error::Io`].
    Closed,
    /// The hardware does not answer. What devices reach is unknown; nothing they might reach is given back.
    Wedged,
}

/// Counts since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
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
    /// Times that records were lost because the queue was full or could not be written.
    pub fault_losses: u64,
}
