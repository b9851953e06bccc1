//! Cycle-accurate simulator of the Portcullis RISC-V IOMMU, and everything behind the command `portcullis`.
//!
//! [`harness`] steps a [`core::Core`] beside its [`memory`]; [`backend`] makes cores. [`trace`], [`plan`] and
//! [`replay`] are the main job, with the driver on [`platform`]; [`play`] is the scripting interface; [`own`] proves the
//! driver under DMA; [`bench`] counts cycles.

pub mod backend;
pub mod bench;
pub mod board;
pub mod cli;
pub mod core;
pub mod cores;
pub mod failure;
pub mod fpga;
pub mod harness;
pub mod html;
pub mod memory;
pub mod output;
pub mod own;
pub mod plan;
pub mod platform;
pub mod play;
pub mod recorded;
pub mod registers;
pub mod replay;
pub mod report;
pub mod trace;
