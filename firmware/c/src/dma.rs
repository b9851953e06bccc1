//! DMA for drivers: buffers in the default domain, at addresses that the driver of the IOMMU chooses.

use core::ffi::c_int;

use portcullis::{Direction, DmaBuffer, Mapped, Pending, PhysAddr};

use crate::handle::Kind;
use crate::library::{Call, DEVICES, Errno, Guard, Out, Running, decode, enter, errno};
use crate::platform::Platform;
use crate::types::*;

/// Memory of the caller.
pub struct Memory {
    address: u64,
    bytes: usize,
}

// SAFETY: by the contract of `portcullis_dma_map` the memory belongs to the mapping until that is gone.
unsafe impl DmaBuffer for Memory {
    fn address(&self) -> PhysAddr {
        PhysAddr(self.address)
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}

/// A buffer that devices may reach.
pub enum Buffer {
    Mapped(Mapped<'static, Platform, DEVICES, Memory>),
    /// Unmapped, but not flushed.
    Pending(Pending<'static, Platform, DEVICES, Memory>),
}

fn direction(permissions: u32) -> Result<Direction, Errno> {
    const BOTH: u32 = PORTCULLIS_READ | PORTCULLIS_WRITE;
    match permissions {
        PORTCULLIS_READ => Ok(Direction::ToDevice),
        PORTCULLIS_WRITE => Ok(Direction::FromDevice),
        BOTH => Ok(Direction::Both),
        _ => Err(errno(PORTCULLIS_EINVAL)),
    }
}

impl Call {
    fn mapping(&mut self, mapping: portcullis_mapping) -> Result<(Running, u16), Errno> {
        let handle = decode(mapping, Kind::Mapping)?;
        let running = self.running(handle.iommu)?;
        let found = running
            .objects
            .mappings
            .get(handle.slot, handle.generation)
            .is_some();
        if found {
            Ok((running, handle.slot))
        } else {
            Err(errno(PORTCULLIS_EBADF))
        }
    }
}

/// Maps a buffer in the group's default domain, wherever there is room: devices find it at `iova`. `permissions` is
/// `PORTCULLIS_READ` for what devices only read, `PORTCULLIS_WRITE`, or both. The mapping stays when the use ends, and while
/// somebody owns the group; then it works again.
///
/// `PORTCULLIS_EPERM`: the guard is no driver's. `PORTCULLIS_EBUSY`: the driver has attached a domain of its own.
/// `PORTCULLIS_EOPNOTSUPP`: the default domain is of type Blocked. `PORTCULLIS_EINVAL`: not whole pages, memory of the IOMMU itself,
/// or no such permission. `PORTCULLIS_ENOSPC`: no free addresses, or `PORTCULLIS_MAPPINGS` exist. `PORTCULLIS_ENOMEM`,
/// `PORTCULLIS_ENODEV`, `PORTCULLIS_EOVERFLOW`, `PORTCULLIS_ERANGE`, `PORTCULLIS_EBADF`. `PORTCULLIS_EIO`: if
/// `portcullis_health` answers `PORTCULLIS_WEDGED` now, devices may reach the memory all the same, and it must not be used
/// for anything else.
///
/// # Safety
/// The memory is the mapping's until unmapping it has answered 0, and for good after `PORTCULLIS_EIO` of hardware that is
/// given up. `mapping` and `iova` are null, which is refused, or good
/// for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn portcullis_dma_map(
    guard: portcullis_guard,
    address: u64,
    bytes: u64,
    permissions: u32,
    mapping: *mut portcullis_mapping,
    iova: *mut u64,
) -> c_int {
    enter(|call| {
        // SAFETY: the caller's contract.
        let (out, found) = unsafe { (Out::needed(mapping)?, Out::needed(iova)?) };
        let direction = direction(permissions)?;
        let bytes = usize::try_from(bytes).map_err(|_| errno(PORTCULLIS_EOVERFLOW))?;
        let (running, slot) = call.guard(guard)?;
        let user = match running.objects.guards.at(slot) {
            Some(Guard::Use(user)) => user,
            Some(Guard::Managed(..)) => return Err(errno(PORTCULLIS_EBUSY)),
            _ => return Err(errno(PORTCULLIS_EPERM)),
        };
        if running.objects.mappings.is_full() {
            return Err(errno(PORTCULLIS_ENOSPC));
        }
        let mapped = user
            .map(Memory { address, bytes }, direction)
            .map_err(|(_, error)| error)?;
        let at = mapped.iova().0;
        let place = running.objects.mappings.insert(Buffer::Mapped(mapped));
        out.set(running.handle(Kind::Mapping, place)?);
        found.set(at);
        Ok(0)
    })
}

/// Takes a buffer back: on return no device reaches it, and nothing granted before is on the way.
///
/// `PORTCULLIS_EBADF`. `PORTCULLIS_EIO`: the hardware does not answer, and devices may still reach the buffer: the mapping stays.
#[unsafe(no_mangle)]
pub extern "C" fn portcullis_dma_unmap(mapping: portcullis_mapping) -> c_int {
    enter(|call| {
        let (running, slot) = call.mapping(mapping)?;
        let mappings = &mut running.objects.mappings;
        let result = match mappings.lift(slot) {
            Some(Buffer::Mapped(mapped)) => mapped.unmap().map_err(|(m, e)| (Buffer::Mapped(m), e)),
            Some(Buffer::Pending(pending)) => {
                pending.wait().map_err(|(p, e)| (Buffer::Pending(p), e))
            }
            None => return Err(errno(PORTCULLIS_EBADF)),
        };
        match result {
            Ok(_) => {
                mappings.remove(slot);
                Ok(0)
            }
            Err((buffer, error)) => {
                mappings.put(slot, buffer);
                Err(error.into())
            }
        }
    })
}

/// Unmaps a buffer without waiting, where the default domain is of type DMA-FQ; with type DMA it is as strict as
/// `portcullis_dma_unmap`. Answers 0 if no device reaches the buffer any more: then the mapping is gone. Answers 1 if devices may
/// still reach it: asking again later, or `portcullis_dma_unmap`, ends that.
///
/// `PORTCULLIS_EBADF`, `PORTCULLIS_EIO`.
#[unsafe(no_mangle)]
pub extern "C" fn portcullis_dma_unmap_later(mapping: portcullis_mapping) -> c_int {
    enter(|call| {
        let (running, slot) = call.mapping(mapping)?;
        let mappings = &mut running.objects.mappings;
        let pending = match mappings.lift(slot) {
            Some(Buffer::Pending(pending)) => pending,
            Some(Buffer::Mapped(mapped)) => match mapped.unmap_later() {
                Ok(pending) => pending,
                Err((mapped, error)) => {
                    mappings.put(slot, Buffer::Mapped(mapped));
                    return Err(error.into());
                }
            },
            None => return Err(errno(PORTCULLIS_EBADF)),
        };
        match pending.take() {
            Ok(_) => {
                mappings.remove(slot);
                Ok(0)
            }
            Err(pending) => {
                mappings.put(slot, Buffer::Pending(pending));
                Ok(1)
            }
        }
    })
}
