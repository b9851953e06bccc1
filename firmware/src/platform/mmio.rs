//! Registers and memory in the address space of the processor that runs the driver.

use super::{Barrier, Barriers, Clock, DmaMemory, Region, Registers, StoreWidth};
use crate::PhysAddr;
use portcullis_regmap::PAGE_SIZE;

/// A processor beside the IOMMU: volatile accesses to the register page, and to one piece of memory that holds tables
/// and queues.
///
/// Memory must be coherent: there is no cache between processor and IOMMU, or the IOMMU sees it. On RISC-V the barriers
/// are `fence` instructions; elsewhere they are the strongest fence the language has. Stores are as wide as pointers.
///
/// `now` answers microseconds; on a soft core it reads the `time` CSR or a timer's register.
pub struct Mmio<F> {
    registers: *mut u8,
    memory: *mut u8,
    physical: u64,
    region: Region,
    now: F,
}

/// Error of [`Mmio`]: an access outside of the register page or of the memory, or a misaligned one. It did not happen.
/// The driver only makes one after something else has overwritten a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outside {
    /// Offset in the register page, or physical address.
    pub at: u64,
}

impl<F: FnMut() -> u64> Mmio<F> {
    /// `registers` points to the register page. The memory is `bytes` bytes from `memory`, which the IOMMU sees from
    /// `physical` on; only the whole pages in it are used.
    ///
    /// # Safety
    /// As long as the result lives, or the IOMMU runs: `registers` points to the 4096 bytes of an IOMMU's register page,
    /// 8-byte aligned, and nobody else uses them; the memory is RAM at the given address for the IOMMU, aligned there as
    /// it is here, and used by nobody else.
    pub const unsafe fn new(
        registers: *mut u8,
        memory: *mut u8,
        physical: PhysAddr,
        bytes: usize,
        now: F,
    ) -> Self {
        Mmio {
            registers,
            memory,
            physical: physical.0,
            region: Region::new(physical, bytes as u64),
            now,
        }
    }

    fn register(&self, offset: u16) -> Result<*mut u32, Outside> {
        if u64::from(offset) < PAGE_SIZE && offset.is_multiple_of(4) {
            Ok(self.registers.wrapping_add(offset.into()).cast())
        } else {
            Err(Outside { at: offset.into() })
        }
    }

    fn word<T>(&self, pa: PhysAddr) -> Result<*mut T, Outside> {
        let bytes = size_of::<T>() as u64;
        if self.region.contains(pa, bytes) && pa.0.is_multiple_of(bytes) {
            let offset = (pa.0 - self.physical) as usize;
            Ok(self.memory.wrapping_add(offset).cast())
        } else {
            Err(Outside { at: pa.0 })
        }
    }
}

impl<F: FnMut() -> u64> Registers for Mmio<F> {
    type Error = Outside;

    fn read32(&mut self, offset: u16) -> Result<u32, Outside> {
        let register = self.register(offset)?;
        // SAFETY: aligned and in the register page, which is there by the contract of `new`.
        Ok(unsafe { register.read_volatile() })
    }

    fn write32(&mut self, offset: u16, value: u32) -> Result<(), Outside> {
        let register = self.register(offset)?;
        // SAFETY: as for reading.
        unsafe { register.write_volatile(value) };
        Ok(())
    }
}

// SAFETY: `Region` gives no piece out twice before it is freed; every access is checked to lie in the memory, which is
// this object's by the contract of `new`.
unsafe impl<F: FnMut() -> u64> DmaMemory for Mmio<F> {
    const STORE: StoreWidth = if usize::BITS >= 64 {
        StoreWidth::W8
    } else {
        StoreWidth::W4
    };

    fn alloc(&mut self, bytes: usize, align: usize) -> Option<PhysAddr> {
        self.region.take(bytes, align)
    }

    unsafe fn free(&mut self, pa: PhysAddr, _: usize) {
        self.region.give_back(pa);
    }

    fn load64(&mut self, pa: PhysAddr) -> Result<u64, Outside> {
        let word = self.word::<u64>(pa)?;
        // SAFETY: aligned and in the memory.
        Ok(unsafe { word.read_volatile() })
    }

    fn store64(&mut self, pa: PhysAddr, value: u64) -> Result<(), Outside> {
        let word = self.word::<u64>(pa)?;
        // SAFETY: aligned and in the memory.
        unsafe { word.write_volatile(value) };
        Ok(())
    }

    fn store32(&mut self, pa: PhysAddr, value: u32) -> Result<(), Outside> {
        let word = self.word::<u32>(pa)?;
        // SAFETY: aligned and in the memory.
        unsafe { word.write_volatile(value) };
        Ok(())
    }
}

impl<F> Barriers for Mmio<F> {
    fn barrier(&mut self, barrier: Barrier) {
        #[cfg(any(target_arch = "riscv32", target_arch = "riscv64"))]
        // SAFETY: orders accesses and nothing else. Without the option `nomem` the compiler keeps them in place too.
        unsafe {
            match barrier {
                Barrier::MemToMem => core::arch::asm!("fence w, w", options(nostack)),
                Barrier::MemToReg => core::arch::asm!("fence w, o", options(nostack)),
                Barrier::RegToMem => core::arch::asm!("fence i, rw", options(nostack)),
            }
        }
        #[cfg(not(any(target_arch = "riscv32", target_arch = "riscv64")))]
        {
            let _ = barrier;
            core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
        }
    }
}

impl<F: FnMut() -> u64> Clock for Mmio<F> {
    fn now_us(&mut self) -> u64 {
        (self.now)()
    }

    fn relax(&mut self) {
        core::hint::spin_loop();
    }
}
