//! The demonstration system: a core of configuration `tiny`, memory, a DMA engine, and a serial line to a host.
//!
//! ```text
//! uart_rx ─► UartRx ─► FrameRx ─► Bridge ─► FrameTx ─► UartTx ─► uart_tx
//!                                  │  │
//!                     registers ◄──┘  └──► Memory ◄── walks, queues, faults ── Tiny
//!                                  Dma ──► Memory                              ▲
//!                                   └──────── requests, answers ───────────────┘
//! ```
//!
//! The host's frames are those of `docs/serial-bridge.md`, so the driver's platform `Bridge` talks to it.

pub mod bridge;
pub mod crc;
pub mod dma;
pub mod frame_rx;
pub mod frame_tx;
pub mod line;
pub mod memory;
pub mod ram;
pub mod system;
pub mod uart_rx;
pub mod uart_tx;

pub use system::System;

/// Addresses on the board, and what `identify` says.
pub mod map {
    /// First byte of the memory.
    pub const MEMORY: u64 = 0x8000_0000;
    /// Bits of an address within it: 32 pages.
    pub const MEMORY_BITS: usize = 17;
    /// Bytes in which the RAM behind it is given out.
    pub const PIECE: u64 = 512;
    /// How many there are: 12 KiB.
    pub const PIECES: u64 = 24;
    /// First byte of the DMA engine's registers, each 8 bytes. A running engine refuses writes.
    pub const DMA: u64 = 0x9000_0000;
    /// IOVA of the next access.
    pub const DMA_IOVA: u64 = DMA;
    /// Writing starts: device_id in bits 23:0, write in bit 24, accesses less one in bits 39:32. Reading: busy in bit
    /// 0, refused in bit 1, no memory in bit 2.
    pub const DMA_CONTROL: u64 = DMA + 8;
    /// Written by the first write access, plus one by each further one; result of the last read access.
    pub const DMA_DATA: u64 = DMA + 16;
    /// Physical address of the last access.
    pub const DMA_ADDRESS: u64 = DMA + 24;
    /// [`DMA_CONTROL`]: an access is a write.
    pub const CONTROL_WRITE: u64 = 1 << 24;
    /// [`DMA_CONTROL`]: not done yet.
    pub const STATUS_BUSY: u64 = 1;
    /// [`DMA_CONTROL`]: the IOMMU refused.
    pub const STATUS_REFUSED: u64 = 2;
    /// [`DMA_CONTROL`]: the IOMMU granted an address where no memory is.
    pub const STATUS_NOWHERE: u64 = 4;
}

/// Name of the system's module.
pub const TOP: &str = "portcullis_demo";

/// The system as Verilog, top module [`TOP`].
///
/// # Errors
/// Kernels that break a rule of the lint.
pub fn verilog(hertz: u64, divider: u16) -> Result<String, String> {
    let mut system = System::new(hertz, divider);
    rust_hdl::prelude::Block::connect_all(&mut system);
    portcullis_hdl::emit::emit(&system, TOP)
}

#[cfg(test)]
mod tests {
    #[test]
    fn kernels_keep_the_rules() {
        let text = super::verilog(48_000_000, 48).expect("verilog");
        assert!(text.contains("module portcullis_demo ("));
    }
}
