//! Everything that exists: IOMMUs with their guards and domains; and the gate that lets one call in at a time.

use core::cell::UnsafeCell;
use core::ffi::c_int;
use core::sync::atomic::{AtomicBool, Ordering};

use portcullis::{
    AdminToken, AnyTarget, Attached, Blocked, BootDevice, DeviceClaim, DeviceId, DeviceInfo,
    DeviceRegion, DeviceReset, DriverManaged, Error, GroupId, Iommu, KernelUse, OwnedGroup,
    PasidGuard, Policy, RegionKind,
};

use crate::dma::Buffer;
use crate::events::Events;
use crate::gather::{Gathering, Waiting};
use crate::handle::{Handle, Kind, Table};
use crate::platform::Platform;
use crate::types::*;

pub const DEVICES: usize = PORTCULLIS_DEVICES;

pub type Unit = Iommu<Platform, DEVICES>;
pub type Domain = AnyTarget<'static, Platform, DEVICES>;

/// A right to use or own a group, as the type that Rust gives it. With a domain inside comes that domain's place.
pub enum Guard {
    Use(KernelUse<'static, Platform, DEVICES>),
    Managed(DriverManaged<'static, Platform, DEVICES, Domain>, u16),
    Claim(DeviceClaim<'static, Platform, DEVICES>),
    Blocked(OwnedGroup<'static, Platform, DEVICES, Blocked>),
    Attached(
        OwnedGroup<'static, Platform, DEVICES, Attached<Domain>>,
        u16,
    ),
}

impl Guard {
    /// The group, and whether the guard may move domains.
    pub fn group(&self) -> (GroupId, bool) {
        match self {
            Guard::Use(guard) => (guard.id(), true),
            Guard::Managed(guard, _) => (guard.id(), true),
            Guard::Claim(claim) => (claim.group(), false),
            Guard::Blocked(guard) => (guard.id(), true),
            Guard::Attached(guard, _) => (guard.id(), true),
        }
    }

    /// The attached domain's place.
    pub fn attached(&self) -> Option<u16> {
        match self {
            Guard::Managed(_, slot) | Guard::Attached(_, slot) => Some(*slot),
            Guard::Use(_) | Guard::Claim(_) | Guard::Blocked(_) => None,
        }
    }
}

/// Where a domain is.
pub enum Place {
    /// Here, attached to nothing.
    Free(Domain),
    /// In the guard of this place.
    In(u16),
    /// Attached for a process id: in this place among the processes.
    For(u16),
    /// Shared or identity: a copy of it is attached in so many places.
    Many(Domain, u32),
}

/// A domain attached for a process id.
pub struct Process {
    pub group: GroupId,
    pub pasid: u32,
    pub guard: PasidGuard<'static, Platform, DEVICES, Domain>,
    /// The domain's place.
    pub domain: u16,
}

/// Regions of one device.
pub type Regions = [DeviceRegion; PORTCULLIS_REGIONS];

const NO_REGION: DeviceRegion = DeviceRegion {
    start: 0,
    bytes: 0,
    kind: RegionKind::Reserved,
};

/// Devices that are known before an IOMMU starts.
pub type Known = [BootDevice; PORTCULLIS_DEVICES];

/// None, with room for all.
const NO_REGIONS: Regions = [NO_REGION; PORTCULLIS_REGIONS];

const NOT_KNOWN: BootDevice = BootDevice {
    info: DeviceInfo {
        id: DeviceId(0),
        group: None,
        regions: &[],
        policy: Policy::Any,
        untrusted: false,
        process_ids: false,
        deferred: false,
    },
    with: None,
    keeps: None,
};

pub type Guards = Table<Guard, PORTCULLIS_GUARDS>;
pub type Domains = Table<Place, PORTCULLIS_DOMAINS>;
pub type Processes = Table<Process, PORTCULLIS_PROCESSES>;

/// What belongs to one IOMMU.
pub struct Objects {
    /// While the IOMMU runs.
    pub admin: Option<AdminToken>,
    pub groups: Table<GroupId, PORTCULLIS_DEVICES>,
    pub guards: Guards,
    pub domains: Domains,
    pub mappings: Table<Buffer, PORTCULLIS_MAPPINGS>,
    pub processes: Processes,
    pub resets: Table<DeviceReset<'static, Platform, DEVICES>, PORTCULLIS_DEVICES>,
    pub gathers: Table<Gathering, PORTCULLIS_GATHERS>,
    pub deferred: Table<Waiting, PORTCULLIS_DEFERRED>,
    /// Devices whose regions are in these places.
    pub with_regions: [Option<u32>; PORTCULLIS_DEVICES],
    /// IOMMUs that had this place before.
    pub generation: u32,
}

/// One place for an IOMMU. The objects refer to it, so it lies beside them and not among them.
struct Seat {
    unit: UnsafeCell<Option<Unit>>,
    objects: UnsafeCell<Objects>,
    /// Regions of devices, to which the IOMMU refers.
    regions: [UnsafeCell<Regions>; PORTCULLIS_DEVICES],
    /// What its platform was told.
    events: UnsafeCell<Events>,
}

struct Library {
    entered: AtomicBool,
    /// Of the call that starts an IOMMU: too many for its stack.
    known: UnsafeCell<Known>,
    seats: [Seat; PORTCULLIS_IOMMUS],
}

// SAFETY: the seats are reached only by `enter`, which lets one call in at a time.
unsafe impl Sync for Library {}

static LIBRARY: Library = Library {
    entered: AtomicBool::new(false),
    known: UnsafeCell::new([NOT_KNOWN; PORTCULLIS_DEVICES]),
    seats: [const {
        Seat {
            unit: UnsafeCell::new(None),
            objects: UnsafeCell::new(Objects {
                admin: None,
                groups: Table::new(),
                guards: Table::new(),
                domains: Table::new(),
                mappings: Table::new(),
                processes: Table::new(),
                resets: Table::new(),
                gathers: Table::new(),
                deferred: Table::new(),
                with_regions: [None; PORTCULLIS_DEVICES],
                generation: 0,
            }),
            regions: [const { UnsafeCell::new(NO_REGIONS) }; PORTCULLIS_DEVICES],
            events: UnsafeCell::new(Events::new()),
        }
    }; PORTCULLIS_IOMMUS],
};

/// A negative error number.
pub struct Errno(pub c_int);

impl From<Error> for Errno {
    fn from(error: Error) -> Self {
        Errno(-error.errno())
    }
}

/// An error number.
pub const fn errno(number: c_int) -> Errno {
    Errno(-number)
}

/// A place with an IOMMU in it.
pub struct Running {
    pub number: u8,
    pub unit: &'static Unit,
    pub objects: &'static mut Objects,
}

/// The call that is in the library.
pub struct Call(());

impl Call {
    /// The IOMMU that a handle of any kind belongs to.
    ///
    /// One result at a time: it holds the objects exclusively.
    pub fn running(&mut self, number: u8) -> Result<Running, Errno> {
        let seat = LIBRARY
            .seats
            .get(usize::from(number))
            .ok_or(errno(PORTCULLIS_EBADF))?;
        // SAFETY: nobody else is in the library, and the IOMMU is replaced only by `start` and `stop`, when no guard, no
        // domain and no mapping refers to it.
        let unit = unsafe { (*seat.unit.get()).as_ref() }.ok_or(errno(PORTCULLIS_EBADF))?;
        // SAFETY: nobody else is in the library, and every call asks for one IOMMU once.
        let objects = unsafe { &mut *seat.objects.get() };
        Ok(Running {
            number,
            unit,
            objects,
        })
    }

    /// The IOMMU itself.
    pub fn iommu(&mut self, handle: portcullis_iommu) -> Result<Running, Errno> {
        if handle == PORTCULLIS_NONE {
            return Err(errno(PORTCULLIS_EPROBE_DEFER));
        }
        let handle = decode(handle, Kind::Iommu)?;
        let running = self.running(handle.iommu)?;
        if running.objects.generation == handle.generation {
            Ok(running)
        } else {
            Err(errno(PORTCULLIS_EBADF))
        }
    }

    /// A place without an IOMMU, in which `make` starts one.
    pub fn start(
        &mut self,
        make: impl FnOnce(u8, &mut Option<Unit>, &mut Known) -> Result<(), Errno>,
    ) -> Result<(portcullis_iommu, portcullis_admin), Errno> {
        let found = LIBRARY.seats.iter().zip(0u8..).find(|(seat, _)| {
            // SAFETY: nobody else is in the library.
            unsafe { (*seat.unit.get()).is_none() }
        });
        let (seat, number) = found.ok_or(errno(PORTCULLIS_ENOSPC))?;
        number_events(number, Events::clear);
        // SAFETY: nobody else is in the library; without an IOMMU nothing refers to the place.
        let (unit, objects) = unsafe { (&mut *seat.unit.get(), &mut *seat.objects.get()) };
        // SAFETY: as above; the list is used by this call only.
        make(number, unit, unsafe { &mut *LIBRARY.known.get() })?;
        objects.admin = unit.as_mut().map(Unit::admin_token);
        let handle = |kind| {
            let generation = objects.generation;
            Handle {
                kind,
                iommu: number,
                slot: 0,
                generation,
            }
            .bits()
        };
        Ok((handle(Kind::Iommu), handle(Kind::Admin)))
    }

    /// Stops an IOMMU to which nothing refers any more; `end` is how, and leaves its place empty.
    pub fn stop(
        &mut self,
        handle: portcullis_iommu,
        end: impl FnOnce(&mut Option<Unit>) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let Running {
            number, objects, ..
        } = self.iommu(handle)?;
        let free = objects.guards.is_empty() && objects.domains.is_empty();
        let free = free && objects.mappings.is_empty() && objects.gathers.is_empty();
        if !free || !objects.resets.is_empty() {
            return Err(errno(PORTCULLIS_EBUSY));
        }
        objects.admin = None;
        objects.groups.clear();
        objects.deferred.clear();
        objects.generation = objects.generation.wrapping_add(1);
        objects.with_regions = [None; PORTCULLIS_DEVICES];
        // SAFETY: nobody else is in the library, and there is no guard, no domain and no mapping: nothing refers to the IOMMU.
        end(unsafe { &mut *LIBRARY.seats[usize::from(number)].unit.get() })
    }
}

/// Does something with the events of an IOMMU.
pub fn number_events<R>(number: u8, work: impl FnOnce(&mut Events) -> R) -> R {
    let events = &LIBRARY.seats[usize::from(number)].events;
    // SAFETY: nobody else is in the library; the driver, which tells of events, runs while nobody reads them.
    work(unsafe { &mut *events.get() })
}

/// Writes the regions of a device to a place of its own.
///
/// The caller makes sure that no device refers to the place, and that nobody else is in the library.
pub fn write_regions(
    number: u8,
    at: usize,
    regions: &[portcullis_region],
) -> Result<&'static [DeviceRegion], Errno> {
    let cell = &LIBRARY.seats[usize::from(number)].regions[at];
    // SAFETY: the caller's promise.
    let place = unsafe { &mut *cell.get() };
    let places = place.get_mut(..regions.len());
    for (place, region) in places
        .ok_or(errno(PORTCULLIS_EINVAL))?
        .iter_mut()
        .zip(regions)
    {
        *place = region.region()?;
    }
    // SAFETY: the place is written again only when the device is gone.
    let place: &'static Regions = unsafe { &*cell.get() };
    Ok(&place[..regions.len()])
}

impl Running {
    /// What names an object in this place; `None` if there was none.
    pub fn handle(&self, kind: Kind, place: Option<(u16, u32)>) -> Result<u64, Errno> {
        let (slot, generation) = place.ok_or(errno(PORTCULLIS_ENOSPC))?;
        let iommu = self.number;
        Ok(Handle {
            kind,
            iommu,
            slot,
            generation,
        }
        .bits())
    }

    /// A place for the regions of a device that is not there, and its number.
    pub fn keep_regions(
        &mut self,
        regions: &[portcullis_region],
    ) -> Result<(usize, &'static [DeviceRegion]), Errno> {
        let unit = self.unit;
        let gone =
            |of: &Option<u32>| of.is_none_or(|id| unit.group(portcullis::DeviceId(id)).is_err());
        // As many places as devices.
        let at = self.objects.with_regions.iter().position(gone);
        let at = at.ok_or(errno(PORTCULLIS_ENOSPC))?;
        Ok((at, write_regions(self.number, at, regions)?))
    }
}

/// A handle of this kind.
pub fn decode(bits: u64, kind: Kind) -> Result<Handle, Errno> {
    Handle::from_bits(bits)
        .filter(|h| h.kind == kind)
        .ok_or(errno(PORTCULLIS_EBADF))
}

#[cfg(target_has_atomic = "8")]
fn first() -> bool {
    LIBRARY
        .entered
        .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
        .is_ok()
}

/// A processor without atomic instructions is the only one, and an interrupt between the two lines returns before the
/// second: it finds the gate as it was and leaves it so.
#[cfg(not(target_has_atomic = "8"))]
fn first() -> bool {
    let first = !LIBRARY.entered.load(Ordering::Acquire);
    LIBRARY.entered.store(true, Ordering::Relaxed);
    first
}

/// Opens the gate again, also after a panic.
struct Leave;

impl Drop for Leave {
    fn drop(&mut self) {
        LIBRARY.entered.store(false, Ordering::Release);
    }
}

/// Runs a call unless another is running, and keeps panics inside.
pub fn enter(work: impl FnOnce(&mut Call) -> Result<c_int, Errno>) -> c_int {
    if !first() {
        return -PORTCULLIS_EBUSY;
    }
    let _leave = Leave;
    let answer = guarded(|| work(&mut Call(())));
    answer.unwrap_or_else(|Errno(number)| number)
}

#[cfg(feature = "std")]
fn guarded(work: impl FnOnce() -> Result<c_int, Errno>) -> Result<c_int, Errno> {
    // What unwinds drops its guards on the way, as any Rust value: groups are released, and nothing is left half-way.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work))
        .unwrap_or(Err(errno(PORTCULLIS_EIO)))
}

#[cfg(not(feature = "std"))]
fn guarded(work: impl FnOnce() -> Result<c_int, Errno>) -> Result<c_int, Errno> {
    work()
}

/// Where a result goes: checked before anything is done.
pub struct Out<T>(*mut T);

impl<T> Out<T> {
    /// # Safety
    /// The pointer is null, or good for writing until the call is over.
    pub unsafe fn needed(pointer: *mut T) -> Result<Self, Errno> {
        if pointer.is_null() || !pointer.is_aligned() {
            return Err(errno(PORTCULLIS_EINVAL));
        }
        Ok(Out(pointer))
    }

    /// As [`Out::needed`], but null means that nobody wants the result.
    ///
    /// # Safety
    /// As there.
    pub unsafe fn wanted(pointer: *mut T) -> Result<Self, Errno> {
        if pointer.is_null() {
            return Ok(Out(pointer));
        }
        // SAFETY: the caller's contract.
        unsafe { Self::needed(pointer) }
    }

    pub fn set(self, value: T) {
        if !self.0.is_null() {
            // SAFETY: contract of the constructors; aligned.
            unsafe { self.0.write(value) };
        }
    }
}

/// Room for records that a caller wants, and what the caller is told of them.
pub struct Records<T> {
    to: *mut T,
    room: usize,
    used: usize,
    told: Out<portcullis_drained>,
}

impl<T> Records<T> {
    /// # Safety
    /// `to` is good for writing `room` elements until the call is over, or null with `room` 0; `drained` is null or good
    /// for writing.
    pub unsafe fn new(
        to: *mut T,
        room: usize,
        drained: *mut portcullis_drained,
    ) -> Result<Self, Errno> {
        // SAFETY: the caller's contract.
        let told = unsafe { Out::wanted(drained)? };
        if (room > 0 && to.is_null()) || !to.is_aligned() {
            return Err(errno(PORTCULLIS_EINVAL));
        }
        let used = 0;
        Ok(Records {
            to,
            room,
            used,
            told,
        })
    }

    pub fn is_full(&self) -> bool {
        self.used == self.room
    }

    pub fn add(&mut self, record: T) {
        if !self.is_full() {
            // SAFETY: within the room, by the contract of the constructor.
            unsafe { self.to.add(self.used).write(record) };
            self.used += 1;
        }
    }

    pub fn end(self, lost: bool, more: bool) {
        self.told.set(portcullis_drained {
            records: self.used as u32,
            lost: lost.into(),
            more: more.into(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_and_the_gate_opens_again() {
        assert_eq!(enter(|_| panic!("on purpose")), -PORTCULLIS_EIO);
        assert_eq!(enter(|_| Ok(enter(|_| Ok(1)))), -PORTCULLIS_EBUSY);
        assert_eq!(enter(|_| Ok(7)), 7);
    }
}
