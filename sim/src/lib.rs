//! Cycle-accurate simulator of the Portcullis RISC-V IOMMU.

pub mod backend;
pub mod core;
pub mod harness;
pub mod memory;
pub mod output;
pub mod plan;
pub mod play;
pub mod trace;
