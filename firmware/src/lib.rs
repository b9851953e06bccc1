//! Driver of the Portcullis RISC-V IOMMU: DMA ownership, domains, attach and detach.
#![no_std]
#![deny(missing_docs)]
mod error;
pub mod platform;
mod types;
pub use error::Error;
pub use types::*;
