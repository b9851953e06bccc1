//! Registers and in-memory formats of the RISC-V IOMMU, defined once.
//!
//! The HDL decode, the driver, the SVD file, the C header and the register page of the book all come from here.
//! Names are the specification's (version 20260222); row ids such as `CAP-03` are those of the requirement matrix.
//!
//! * [`regs`]: the register table and the typed value of every register;
//! * [`ddt`], [`pdt`], [`pte`]: directories, contexts and page-table entries;
//! * [`command`], [`fault`]: the 16-byte commands and the 32-byte fault records;
//! * [`mod@config`]: the named configurations of the hardware.
//!
//! Every typed value is made by one declaration that yields the accessors (`field()`, `with_field()`), the bit
//! positions (`FIELD_OFFSET`, `FIELD_BITS`), the list `FIELDS` for generators, and the mask `RESERVED`.

#![no_std]
#![forbid(unsafe_code)]
#![allow(
    clippy::result_unit_err,
    reason = "the checked setters made by bitfield-struct return it"
)]

#[macro_use]
mod layout;

pub mod command;
pub mod config;
pub mod ddt;
pub mod fault;
pub mod pdt;
pub mod pte;
pub mod regs;

pub use config::{CONFIGS, Config, VARIANTS, config, variant};
pub use layout::{Access, Field};

/// Bytes of a page: the unit of every PPN.
pub const PAGE_SIZE: u64 = 4096;
/// log2 of [`PAGE_SIZE`].
pub const PAGE_SHIFT: u32 = 12;
/// Width of a PPN field in registers, contexts and 8-byte PTEs.
pub const PPN_BITS: u32 = 44;
