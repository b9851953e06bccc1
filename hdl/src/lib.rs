//! The Portcullis RISC-V IOMMU in Rust HDL.
//!
//! Dependency levels, bottom up; nothing reaches upward:
//!
//! | level | files |
//! |---|---|
//! | shapes | [`types`], [`widen`] and the crate `portcullis-regmap` |
//! | leaves | [`cells`], [`fifo`] |
//! | blocks | [`lookup`], [`walker`], [`command_queue`], [`fault_queue`], [`drain`], [`memory_port`], [`registers`] |
//! | top | [`top`] |
//! | products | [`emit`]: Verilog of any of them |

// The derives of rust-hdl make public items without documentation.
#![allow(missing_docs)]

pub mod cells;
pub mod command_queue;
pub mod cosim;
pub mod drain;
pub mod emit;
pub mod fault_queue;
pub mod fifo;
pub mod lookup;
pub mod memory_port;
pub mod registers;
pub mod top;
pub mod types;
pub mod verilog;
pub mod walker;
pub mod widen;

/// The core in the sizes of the configuration `tiny`.
pub type Tiny = top::Iommu<8, 3, 4, 2, 7, 2, 3, 8, 1, 2>;

/// The core of configuration `tiny`.
#[must_use]
pub fn tiny() -> Tiny {
    Tiny::new(&portcullis_regmap::config::TINY)
}
