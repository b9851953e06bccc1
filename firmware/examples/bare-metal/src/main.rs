//! Portcullis without an operating system: a soft core starts the IOMMU, takes a DMA engine for itself, shows it a buffer,
//! and takes the buffer away again.

#![no_std]
#![no_main]

mod board;

use core::arch::global_asm;

use portcullis::platform::{Mmio, Platform};
use portcullis::{Config, DeviceId, DomainConfig, Error, Iommu, Iova, Owner, Perm, PhysAddr};

/// Groups and devices: one of each is enough here, and two leave room for another.
const DEVICES: usize = 2;
const IOVA: Iova = Iova(0x4000_0000);

global_asm!(
    ".section .text.start, \"ax\"",
    ".globl _start",
    "_start:",
    "    la sp, __stack_top",
    "    la a0, __bss_start",
    "    la a1, __bss_end",
    "1:  bgeu a0, a1, 2f",
    "    sw zero, 0(a0)",
    "    addi a0, a0, 4",
    "    j 1b",
    "2:  call main",
    "3:  j 3b",
);

fn check(what: &str, is: bool) -> Result<(), Error> {
    board::print(if is { "  ok    " } else { "  WRONG " });
    board::print(what);
    board::print("\r\n");
    if is { Ok(()) } else { Err(Error::Io) }
}

fn work<P: Platform>(iommu: &Iommu<P, DEVICES>) -> Result<(), Error> {
    let engine = DeviceId(board::ENGINE_ID);
    let reaches = || board::dma(IOVA.0, 64);
    check("nobody passes before it is added", !reaches())?;
    iommu.add_device(engine.into())?;
    let owned = iommu.group(engine)?.claim(&Owner::new(1)?)?;
    check("nor while it is owned and blocked", !reaches())?;

    let domain = iommu.paging_domain(DomainConfig::default())?;
    // SAFETY: the buffer is the engine's until it is unmapped; nothing else here uses it.
    unsafe { domain.map(IOVA, board::BUFFER, board::BUFFER_BYTES, Perm::READ_WRITE)? };
    let owned = owned.attach(domain).map_err(|e| e.error)?;
    check("attached: the buffer is reached", reaches())?;
    check(
        "and nothing beside it",
        !board::dma(IOVA.0 + board::BUFFER_BYTES as u64, 64),
    )?;
    owned.domain().unmap(IOVA, board::BUFFER_BYTES)?;
    check("unmapped: the buffer is ours again", !reaches())?;
    let (owned, domain) = owned.detach();
    drop(domain);
    owned.release();
    let faults = iommu.faults().drain(64, |_| {})?;
    check("every refused access left a record", faults.records >= 4)
}

#[unsafe(no_mangle)]
extern "C" fn main() {
    board::print("portcullis: starting\r\n");
    // SAFETY: these addresses are the IOMMU's and RAM that nothing else uses, by `board.rs` and `link.x`.
    let platform = unsafe {
        Mmio::new(
            board::IOMMU,
            board::TABLES,
            PhysAddr(board::TABLES as u64),
            board::TABLES_BYTES,
            board::now_us,
        )
    };
    let config = Config {
        command_queue: 32,
        fault_queue: 16,
        table_chunk: 4,
        ..Config::default()
    };
    let done = match Iommu::<_, DEVICES>::with_capacity(platform, config) {
        Ok(iommu) => work(&iommu),
        Err(failed) => Err(failed.error),
    };
    board::print(match done {
        Ok(()) => "portcullis: all is as it should be\r\n",
        Err(_) => "portcullis: failed\r\n",
    });
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    board::print("portcullis: panic\r\n");
    loop {
        core::hint::spin_loop();
    }
}
