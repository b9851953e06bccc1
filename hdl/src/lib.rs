//! The Portcullis RISC-V IOMMU in Rust HDL.
//!
//! Dependency levels, bottom up; nothing reaches upward:
//!
//! | level | files |
//! |---|---|
//! | shapes | [`types`], [`widen`] and the crate `portcullis-regmap` |
//! | leaves | [`cells`], [`fifo`]; combinational: [`canonical`], [`answer`], [`entry_check`], [`entry_fields`], [`context_check`], [`record_of`], [`causes`] |
//! | blocks | [`lookup`], [`iotlb_fill`], [`context_fill`], [`miss_queue`], [`walker`] with its [`walk_start`], [`context_reader`] and [`pointers`], [`command_queue`], [`fault_queue`], [`drain`], [`memory_port`], [`register_port`], [`registers`] |
//! | around the core | [`msi`], [`hpm`], [`hpm_counter`], [`debug`] |
//! | core | [`core`]: the blocks and their wires |
//! | configurations | [`tiny`], [`linux`]; [`ports`]: what they have in common |
//! | wrappers | [`bus`]: AXI4, AXI4-Lite and Wishbone around the core |
//! | products | [`verilog`]: the Verilog of a configuration; [`emit`]: of any block; [`cosim`]: both compared |

// The derives of rust-hdl make public items without documentation.
#![allow(missing_docs)]
// What clippy wants instead is a match guard, which rust-hdl drops from the Verilog.
#![allow(clippy::collapsible_match)]

pub mod answer;
pub mod bus;
pub mod canonical;
pub mod causes;
pub mod cells;
pub mod command_queue;
pub mod context_check;
pub mod context_fill;
pub mod context_reader;
pub mod core;
pub mod cosim;
pub mod debug;
pub mod drain;
pub mod emit;
pub mod entry_check;
pub mod entry_fields;
pub mod fault_queue;
pub mod fifo;
pub mod hpm;
pub mod hpm_counter;
pub mod iotlb_fill;
pub mod line_control;
pub mod line_fetch;
pub mod linux;
pub mod lookup;
pub mod memory_port;
pub mod miss_queue;
pub mod msi;
pub mod pointers;
pub mod ports;
pub mod record_of;
pub mod register_port;
pub mod registers;
pub mod tiny;
pub mod types;
pub mod variants;
pub mod verilog;
pub mod walk_start;
pub mod walker;
pub mod widen;

pub use linux::Linux;
pub use tiny::Tiny;
