//! What differs from one system to the next: addresses, the console, the clock, the DMA engine. Change this file and
//! `link.x` for yours.

use core::arch::asm;

use portcullis::PhysAddr;

/// The IOMMU's register page.
pub const IOMMU: *mut u8 = 0x1000_0000 as *mut u8;
/// A transmit register that takes a byte at any time.
const CONSOLE: *mut u32 = 0x1001_0000 as *mut u32;
/// RAM for tables and queues, beyond what `link.x` uses; the IOMMU sees it at the same address.
pub const TABLES: *mut u8 = 0x8004_0000 as *mut u8;
pub const TABLES_BYTES: usize = 0x4_0000;
/// RAM that the device may use.
pub const BUFFER: PhysAddr = PhysAddr(0x8008_0000);
pub const BUFFER_BYTES: usize = 0x1_0000;
/// Clock of the core.
const MHZ: u64 = 50;

/// A DMA engine behind the IOMMU as device 5: address, length; a write of 1 starts it, and it reads 0 when it is done,
/// 2 when the IOMMU refused.
const ENGINE: *mut u32 = 0x1002_0000 as *mut u32;
/// Its id at the IOMMU.
pub const ENGINE_ID: u32 = 5;

/// Sends text.
pub fn print(text: &str) {
    for byte in text.bytes() {
        // SAFETY: the console's register, of which nobody else knows.
        unsafe { CONSOLE.write_volatile(byte.into()) };
    }
}

/// Microseconds since reset. `rdcycle` is what the smallest cores have; one with a `time` CSR can use that.
pub fn now_us() -> u64 {
    #[cfg(target_arch = "riscv32")]
    let cycles = loop {
        let (before, low, high): (u32, u32, u32);
        // SAFETY: reads counters and nothing else.
        unsafe {
            asm!("rdcycleh {}", out(reg) before, options(nomem, nostack));
            asm!("rdcycle {}", out(reg) low, options(nomem, nostack));
            asm!("rdcycleh {}", out(reg) high, options(nomem, nostack));
        }
        if before == high {
            break u64::from(high) << 32 | u64::from(low);
        }
    };
    #[cfg(target_arch = "riscv64")]
    let cycles = {
        let cycles: u64;
        // SAFETY: as above.
        unsafe { asm!("rdcycle {}", out(reg) cycles, options(nomem, nostack)) };
        cycles
    };
    cycles / MHZ
}

/// Lets the engine write `bytes` bytes at an I/O virtual address, and tells whether the IOMMU let it.
pub fn dma(iova: u64, bytes: u32) -> bool {
    // SAFETY: the engine's four registers, of which nobody else knows.
    unsafe {
        ENGINE.write_volatile(iova as u32);
        ENGINE.add(1).write_volatile((iova >> 32) as u32);
        ENGINE.add(2).write_volatile(bytes);
        ENGINE.add(3).write_volatile(1);
        loop {
            match ENGINE.add(3).read_volatile() {
                0 => return true,
                2 => return false,
                _ => core::hint::spin_loop(),
            }
        }
    }
}
