//! DMA for drivers: buffers mapped in the default domain, at addresses the driver of the IOMMU chooses.

use core::fmt;

use portcullis_regmap::PAGE_SIZE;

use crate::gather::Gone;
use crate::group::DefaultDomain;
use crate::iommu::{Inner, Iommu};
use crate::iova;
use crate::kernel::KernelUse;
use crate::platform::Platform;
use crate::table::{Request, Table};
use crate::types::{GroupId, Iova, Perm};
use crate::{Error, PhysAddr};

/// Memory that devices may access while a [`Mapped`] owns it: whole pages, contiguous for the IOMMU.
///
/// # Safety
/// From [`DmaBuffer::address`] on, [`DmaBuffer::bytes`] bytes of memory belong to the value, always the same ones. They
/// stay what they are while the value exists, also when it is moved or forgotten, and while the value is owned by
/// somebody else nobody accesses them. A platform whose devices do not see the processor's caches needs them cleaned
/// before the value is mapped and invalidated after it came back.
pub unsafe trait DmaBuffer: 'static {
    /// Its first byte, as the IOMMU sees memory.
    fn address(&self) -> PhysAddr;

    /// Its length.
    fn bytes(&self) -> usize;
}

/// Which way data go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Devices read.
    ToDevice,
    /// Devices write. Page tables cannot express it alone: they may read too.
    FromDevice,
    /// Both.
    Both,
}

impl Direction {
    fn perm(self) -> Perm {
        match self {
            Direction::ToDevice => Perm::READ,
            Direction::FromDevice | Direction::Both => Perm::READ_WRITE,
        }
    }
}

/// The page of an interrupt controller that devices write their messages to. There is no way around translation for
/// them: without a mapping, and while the group is blocked, messages are blocked too.
#[derive(Debug)]
pub struct Doorbell(PhysAddr);

impl Doorbell {
    /// The doorbell page at an address.
    ///
    /// # Safety
    /// What devices write into this page does what interrupts do, and nothing worse.
    pub const unsafe fn new(page: PhysAddr) -> Self {
        Doorbell(page)
    }
}

// SAFETY: the page is no memory of Rust's; whoever made the value vouches for it.
unsafe impl DmaBuffer for Doorbell {
    fn address(&self) -> PhysAddr {
        self.0
    }

    fn bytes(&self) -> usize {
        PAGE_SIZE as usize
    }
}

/// Where a buffer is mapped.
#[derive(Clone, Copy)]
struct Place {
    group: GroupId,
    /// The default domain it is mapped in; `None` if that is identity, where nothing is mapped.
    serial: Option<u32>,
    iova: u64,
    bytes: u64,
}

/// A buffer that devices may access at [`Mapped::iova`]. It owns the buffer: dropping it unmaps, waits and frees;
/// forgetting it frees nothing. It may outlive the [`KernelUse`] it was made by: the mapping stays while somebody owns
/// the group, and works again afterwards.
#[must_use = "dropping it unmaps the buffer"]
pub struct Mapped<'i, P: Platform, const DEVICES: usize, B: DmaBuffer> {
    iommu: &'i Iommu<P, DEVICES>,
    place: Place,
    /// Taken when it goes back.
    buffer: Option<B>,
}

/// A buffer that was unmapped, but that devices may access until a flush. Dropping it flushes and frees.
#[must_use = "dropping it waits for the hardware"]
pub struct Pending<'i, P: Platform, const DEVICES: usize, B: DmaBuffer> {
    iommu: &'i Iommu<P, DEVICES>,
    place: Place,
    stamp: u64,
    buffer: Option<B>,
}

impl<P: Platform, const DEVICES: usize, B: DmaBuffer> fmt::Debug for Mapped<'_, P, DEVICES, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapped")
            .field("iova", &self.iova())
            .field("bytes", &self.place.bytes)
            .finish_non_exhaustive()
    }
}

impl<P: Platform, const DEVICES: usize, B: DmaBuffer> fmt::Debug for Pending<'_, P, DEVICES, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending")
            .field("bytes", &self.place.bytes)
            .finish_non_exhaustive()
    }
}

impl<'i, P: Platform, const DEVICES: usize> KernelUse<'i, P, DEVICES> {
    /// Maps a buffer in the default domain, wherever there is room; devices of the group find it at [`Mapped::iova`].
    /// Issues no command. Where the default domain is identity there is nothing to map: devices find the buffer at its
    /// own address, and could reach it all along.
    ///
    /// # Errors
    /// [`Error::Invalid`]: the buffer is not made of whole pages, or is memory of the IOMMU itself.
    /// [`Error::NotSupported`]: the default domain is of type Blocked. [`Error::NoSpace`]: no free addresses.
    /// [`Error::NoMemory`]: none for tables. [`Error::NoDevice`]: the devices have vanished. [`Error::Overflow`],
    /// [`Error::OutOfRange`]: page tables cannot name such an address. [`Error::Io`].
    ///
    /// The buffer comes back, unless the hardware was given up meanwhile ([`Health::Wedged`](crate::Health::Wedged)): an
    /// entry that leads there may have been stored, and nobody can say that devices do not use it. Then it is forgotten.
    pub fn map<B: DmaBuffer>(
        &self,
        buffer: B,
        direction: Direction,
    ) -> Result<Mapped<'i, P, DEVICES, B>, (Option<B>, Error)> {
        let (pa, bytes) = (buffer.address(), buffer.bytes());
        let (iommu, group) = (self.iommu(), self.id());
        let was_wedged = iommu.with(|i| i.hw.wedged());
        match iommu.with(|i| i.map_buffer(group, pa, bytes, direction.perm())) {
            Ok(place) => Ok(Mapped {
                iommu,
                place,
                buffer: Some(buffer),
            }),
            Err(error) if !was_wedged && iommu.with(|i| i.hw.wedged()) => {
                core::mem::forget(buffer);
                Err((None, error))
            }
            Err(error) => Err((Some(buffer), error)),
        }
    }
}

impl<'i, P: Platform, const DEVICES: usize, B: DmaBuffer> Mapped<'i, P, DEVICES, B> {
    /// Where devices find it.
    pub fn iova(&self) -> Iova {
        Iova(self.place.iova)
    }

    /// Its length.
    pub fn bytes(&self) -> u64 {
        self.place.bytes
    }

    /// Takes the buffer back: on return no device reaches it, and nothing granted before is still on the way. Where the
    /// default domain is identity, devices reach all of memory before and after: the buffer comes back at once, without
    /// a command, and only the device's driver can know that the device has finished with it.
    ///
    /// # Errors
    /// [`Error::Io`]: the hardware does not answer, and devices may still reach the buffer. It stays mapped.
    pub fn unmap(mut self) -> Result<B, (Self, Error)> {
        let result = self.iommu.with(|i| i.unmap_buffer(&self.place));
        match (result, self.buffer.take()) {
            (Ok(()), Some(buffer)) => Ok(buffer),
            (result, buffer) => {
                self.buffer = buffer;
                Err((self, result.err().unwrap_or(Error::Io)))
            }
        }
    }

    /// Takes the buffer back when a flush has made sure that no device reaches it. With a default domain of type DMA-FQ
    /// this issues no command; with one of type DMA it is as strict as [`Mapped::unmap`].
    ///
    /// # Errors
    /// As [`Mapped::unmap`].
    pub fn unmap_later(mut self) -> Result<Pending<'i, P, DEVICES, B>, (Self, Error)> {
        let (iommu, place) = (self.iommu, self.place);
        match iommu.with(|i| i.unmap_buffer_later(&place)) {
            Ok(stamp) => Ok(Pending {
                iommu,
                place,
                stamp,
                buffer: self.buffer.take(),
            }),
            Err(error) => Err((self, error)),
        }
    }

    /// As [`Mapped::unmap_later`], but the buffer comes back at once.
    ///
    /// # Safety
    /// Devices may read and write the buffer until a flush, which the caller cannot see: nothing that matters may be in
    /// it, or come into it, before that.
    ///
    /// # Errors
    /// As [`Mapped::unmap`].
    pub unsafe fn unmap_lazy(mut self) -> Result<B, (Self, Error)> {
        let result = self.iommu.with(|i| i.unmap_buffer_later(&self.place));
        match (result, self.buffer.take()) {
            (Ok(_), Some(buffer)) => Ok(buffer),
            (result, buffer) => {
                self.buffer = buffer;
                Err((self, result.err().unwrap_or(Error::Io)))
            }
        }
    }
}

impl<P: Platform, const DEVICES: usize, B: DmaBuffer> Drop for Mapped<'_, P, DEVICES, B> {
    fn drop(&mut self) {
        if let Some(buffer) = self.buffer.take()
            && self.iommu.with(|i| i.unmap_buffer(&self.place)).is_err()
        {
            // Devices may still reach it.
            core::mem::forget(buffer);
        }
    }
}

impl<P: Platform, const DEVICES: usize, B: DmaBuffer> Pending<'_, P, DEVICES, B> {
    /// Whether a flush has come.
    pub fn ready(&self) -> bool {
        self.iommu.with(|i| i.is_over(&self.place, self.stamp))
    }

    /// The buffer, if a flush has come; else this again.
    ///
    /// # Errors
    /// No flush has come.
    pub fn take(mut self) -> Result<B, Self> {
        match self.buffer.take_if(|_| {
            let (place, stamp) = (&self.place, self.stamp);
            self.iommu.with(|i| i.is_over(place, stamp))
        }) {
            Some(buffer) => Ok(buffer),
            None => Err(self),
        }
    }

    /// The buffer, after a flush if none has come.
    ///
    /// # Errors
    /// [`Error::Io`]: the hardware does not answer, and devices may still reach the buffer.
    pub fn wait(mut self) -> Result<B, (Self, Error)> {
        let result = self.iommu.with(|i| i.finish(&self.place, self.stamp));
        match (result, self.buffer.take()) {
            (Ok(()), Some(buffer)) => Ok(buffer),
            (result, buffer) => {
                self.buffer = buffer;
                Err((self, result.err().unwrap_or(Error::Io)))
            }
        }
    }
}

impl<P: Platform, const DEVICES: usize, B: DmaBuffer> Drop for Pending<'_, P, DEVICES, B> {
    fn drop(&mut self) {
        if let Some(buffer) = self.buffer.take()
            && self
                .iommu
                .with(|i| i.finish(&self.place, self.stamp))
                .is_err()
        {
            // Devices may still reach it.
            core::mem::forget(buffer);
        }
    }
}

impl<P: Platform, const DEVICES: usize> Inner<P, DEVICES> {
    #[inline(never)]
    fn map_buffer(
        &mut self,
        group: GroupId,
        pa: PhysAddr,
        bytes: usize,
        perm: Perm,
    ) -> Result<Place, Error> {
        let bytes = u64::try_from(bytes).map_err(|_| Error::Overflow)?;
        if bytes == 0 || !(pa.0 | bytes).is_multiple_of(PAGE_SIZE) {
            return Err(Error::Invalid);
        }
        let state = self.state(group).ok_or(Error::NoDevice)?;
        let (default, serial) = (state.default, state.serial);
        if self.hw.usable().is_ok() {
            self.attach_deferred(group)?;
        }
        let (iova, serial) = match default {
            DefaultDomain::Blocked => return Err(Error::NotSupported),
            DefaultDomain::Identity if self.hw.wedged() => return Err(Error::Io),
            DefaultDomain::Identity => (pa.0, None),
            DefaultDomain::Dma { .. } => {
                let table = default.table().ok_or(Error::NotSupported)?;
                if self.hw.wedged() {
                    return Err(Error::Io);
                }
                let iova = self.find_iova(group, table, pa.0, bytes)?;
                let request = Request {
                    iova,
                    pa: pa.0,
                    len: bytes,
                    perm,
                };
                let result = self.map(table, &request);
                if result.is_err() {
                    self.lower(group, iova);
                }
                (iova, result.map(|()| Some(serial))?)
            }
        };
        Ok(Place {
            group,
            serial,
            iova,
            bytes,
        })
    }

    /// Whether a mapping is still in the default domain it was made in. If that has gone, so have its tables, after the
    /// hardware had let go of them.
    fn is_there(&self, place: &Place) -> bool {
        let state = self.state(place.group);
        place.serial.is_some() && state.map(|s| s.serial) == place.serial
    }

    // A frame of its own, so that its locals do not add to those of the caller's other steps.
    #[inline(never)]
    fn unmap_buffer(&mut self, place: &Place) -> Result<(), Error> {
        if self.hw.wedged() {
            return Err(Error::Io);
        }
        let table = self.state(place.group).and_then(|s| s.default.table());
        let Some(table) = table.filter(|_| self.is_there(place)) else {
            return Ok(());
        };
        let mut gone = Gone::default();
        self.clear(table, place.iova, place.bytes, 0, &mut gone)?;
        self.invalidate(table, &mut gone)?;
        self.lower(place.group, place.iova);
        Ok(())
    }

    /// Answers a stamp.
    fn unmap_buffer_later(&mut self, place: &Place) -> Result<u64, Error> {
        let default = self.state(place.group).map(|s| s.default);
        match default.and_then(DefaultDomain::table) {
            Some(table) if default.is_some_and(|d| d.is_queued()) && self.is_there(place) => {
                self.queue_buffer(table, place)
            }
            _ => self.unmap_buffer(place).map(|()| 0),
        }
    }

    #[inline(never)]
    fn queue_buffer(&mut self, table: Table, place: &Place) -> Result<u64, Error> {
        if self.hw.wedged() {
            return Err(Error::Io);
        }
        self.flush_if_full(table)?;
        let led = self.state(place.group).and_then(|s| s.fsc()) == Some(table.fsc());
        let mark = match self.hw.usable() {
            Ok(()) if led => iova::held(self.flush_clock),
            // No hardware leads there: free at once.
            _ => 0,
        };
        let mut gone = Gone::default();
        self.clear(table, place.iova, place.bytes, mark, &mut gone)?;
        let stamp = self.defer(table, &mut gone)?;
        self.lower(place.group, place.iova);
        Ok(stamp)
    }

    fn is_over(&self, place: &Place, stamp: u64) -> bool {
        let covered = |s: &crate::group::GroupState| s.flush.done > stamp;
        let over = !self.is_there(place) || self.state(place.group).is_none_or(covered);
        !self.hw.wedged() && (over || self.hw.closed())
    }

    fn finish(&mut self, place: &Place, stamp: u64) -> Result<(), Error> {
        if !self.is_over(place, stamp) && !self.hw.wedged() {
            self.flush(place.group)?;
        }
        if self.is_over(place, stamp) {
            Ok(())
        } else {
            Err(Error::Io)
        }
    }
}
