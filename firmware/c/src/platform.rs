//! The machine as functions of the caller.

#![allow(
    non_camel_case_types,
    reason = "names of the C header, and the header is made of this"
)]

use core::ffi::{c_int, c_void};

use portcullis::PhysAddr;
use portcullis::platform::{Barrier, Barriers, Clock, DmaMemory, Event, Registers, StoreWidth};

use crate::library::number_events;

/// What the driver needs of the machine. The functions get `context` and must not call the driver; where they answer an
/// `int`, 0 is success. `publish`, `acquire` and `relax` may be null. Addresses are the IOMMU's view of physical memory.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct portcullis_platform {
    /// Given to every function.
    pub context: *mut c_void,
    /// Reads a register of 4 bytes.
    pub read32:
        Option<unsafe extern "C" fn(context: *mut c_void, offset: u16, value: *mut u32) -> c_int>,
    /// Writes a register of 4 bytes.
    pub write32:
        Option<unsafe extern "C" fn(context: *mut c_void, offset: u16, value: u32) -> c_int>,
    /// Takes `bytes` of memory, a multiple of 4096, aligned to `align`. Not 0 if there is none.
    pub alloc: Option<
        unsafe extern "C" fn(
            context: *mut c_void,
            bytes: usize,
            align: usize,
            address: *mut u64,
        ) -> c_int,
    >,
    /// Gives memory back.
    pub free: Option<unsafe extern "C" fn(context: *mut c_void, address: u64, bytes: usize)>,
    /// Reads an aligned doubleword.
    pub load64:
        Option<unsafe extern "C" fn(context: *mut c_void, address: u64, value: *mut u64) -> c_int>,
    /// Writes an aligned doubleword: on a 64-bit processor by one store, on a 32-bit one by two in any order.
    pub store64:
        Option<unsafe extern "C" fn(context: *mut c_void, address: u64, value: u64) -> c_int>,
    /// Writes an aligned word.
    pub store32:
        Option<unsafe extern "C" fn(context: *mut c_void, address: u64, value: u32) -> c_int>,
    /// Makes stores visible to an IOMMU that does not see the caches.
    pub publish:
        Option<unsafe extern "C" fn(context: *mut c_void, address: u64, bytes: usize) -> c_int>,
    /// Makes visible to loads what such an IOMMU wrote.
    pub acquire:
        Option<unsafe extern "C" fn(context: *mut c_void, address: u64, bytes: usize) -> c_int>,
    /// Orders: 0 memory stores before later memory stores (`fence w,w`), 1 memory stores before later register writes
    /// (`fence w,o`), 2 register reads before later memory accesses (`fence i,rw`).
    pub barrier: Option<unsafe extern "C" fn(context: *mut c_void, kind: u32)>,
    /// Microseconds from any origin; never runs backwards, and does not stand still for ever.
    pub now_us: Option<unsafe extern "C" fn(context: *mut c_void) -> u64>,
    /// Called between two polls of a register.
    pub relax: Option<unsafe extern "C" fn(context: *mut c_void)>,
}

/// A platform all of whose necessary functions are there, and the place of the IOMMU that it belongs to.
pub struct Platform(portcullis_platform, u8);

/// What a function of the platform answered, or that there is none.
#[derive(Debug)]
pub struct Refused(#[allow(dead_code, reason = "shown when the driver prints a failure")] c_int);

const MISSING: Refused = Refused(-crate::PORTCULLIS_EINVAL);

fn judge(answer: c_int) -> Result<(), Refused> {
    if answer == 0 {
        Ok(())
    } else {
        Err(Refused(answer))
    }
}

impl Platform {
    /// `None` if a necessary function is missing.
    ///
    /// # Safety
    /// The functions keep what [`portcullis_platform`] says, with this context, as long as the result lives. Memory that
    /// `alloc` gives is real, at that address for the IOMMU, and used by nobody else until freed.
    pub unsafe fn new(table: portcullis_platform, iommu: u8) -> Option<Self> {
        let complete = table.read32.is_some()
            && table.write32.is_some()
            && table.alloc.is_some()
            && table.free.is_some()
            && table.load64.is_some()
            && table.store64.is_some()
            && table.store32.is_some()
            && table.barrier.is_some()
            && table.now_us.is_some();
        complete.then_some(Platform(table, iommu))
    }
}

impl Registers for Platform {
    type Error = Refused;

    fn read32(&mut self, offset: u16) -> Result<u32, Refused> {
        let mut value = 0;
        let call = self.0.read32.ok_or(MISSING)?;
        // SAFETY: contract of `new`; the pointer is good for the call.
        judge(unsafe { call(self.0.context, offset, &mut value) })?;
        Ok(value)
    }

    fn write32(&mut self, offset: u16, value: u32) -> Result<(), Refused> {
        let call = self.0.write32.ok_or(MISSING)?;
        // SAFETY: contract of `new`.
        judge(unsafe { call(self.0.context, offset, value) })
    }
}

// SAFETY: contract of `new`.
unsafe impl DmaMemory for Platform {
    const STORE: StoreWidth = if usize::BITS >= 64 {
        StoreWidth::W8
    } else {
        StoreWidth::W4
    };

    fn alloc(&mut self, bytes: usize, align: usize) -> Option<PhysAddr> {
        let mut address = 0;
        let call = self.0.alloc?;
        // SAFETY: contract of `new`; the pointer is good for the call.
        let answer = unsafe { call(self.0.context, bytes, align, &mut address) };
        let usable = answer == 0 && address & (align as u64 - 1) == 0;
        usable.then_some(PhysAddr(address))
    }

    unsafe fn free(&mut self, pa: PhysAddr, bytes: usize) {
        if let Some(call) = self.0.free {
            // SAFETY: contract of `new`; the caller gives back what it took.
            unsafe { call(self.0.context, pa.0, bytes) };
        }
    }

    fn load64(&mut self, pa: PhysAddr) -> Result<u64, Refused> {
        let mut value = 0;
        let call = self.0.load64.ok_or(MISSING)?;
        // SAFETY: contract of `new`; the pointer is good for the call.
        judge(unsafe { call(self.0.context, pa.0, &mut value) })?;
        Ok(value)
    }

    fn store64(&mut self, pa: PhysAddr, value: u64) -> Result<(), Refused> {
        let call = self.0.store64.ok_or(MISSING)?;
        // SAFETY: contract of `new`.
        judge(unsafe { call(self.0.context, pa.0, value) })
    }

    fn store32(&mut self, pa: PhysAddr, value: u32) -> Result<(), Refused> {
        let call = self.0.store32.ok_or(MISSING)?;
        // SAFETY: contract of `new`.
        judge(unsafe { call(self.0.context, pa.0, value) })
    }

    fn publish(&mut self, pa: PhysAddr, bytes: usize) -> Result<(), Refused> {
        match self.0.publish {
            // SAFETY: contract of `new`.
            Some(call) => judge(unsafe { call(self.0.context, pa.0, bytes) }),
            None => Ok(()),
        }
    }

    fn acquire(&mut self, pa: PhysAddr, bytes: usize) -> Result<(), Refused> {
        match self.0.acquire {
            // SAFETY: contract of `new`.
            Some(call) => judge(unsafe { call(self.0.context, pa.0, bytes) }),
            None => Ok(()),
        }
    }
}

impl Barriers for Platform {
    fn barrier(&mut self, barrier: Barrier) {
        let kind = match barrier {
            Barrier::MemToMem => 0,
            Barrier::MemToReg => 1,
            Barrier::RegToMem => 2,
        };
        if let Some(call) = self.0.barrier {
            // SAFETY: contract of `new`.
            unsafe { call(self.0.context, kind) };
        }
    }
}

impl Clock for Platform {
    fn now_us(&mut self) -> u64 {
        // SAFETY: contract of `new`.
        self.0
            .now_us
            .map_or(u64::MAX, |call| unsafe { call(self.0.context) })
    }

    fn event(&mut self, event: Event) {
        number_events(self.1, |events| events.add(event));
    }

    fn relax(&mut self) {
        if let Some(call) = self.0.relax {
            // SAFETY: contract of `new`.
            unsafe { call(self.0.context) };
        }
    }
}
