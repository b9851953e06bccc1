//! Memory and tag arrays: a small Rust model beside a few lines of Verilog, co-simulated against each other.
//! They store and compare; everything that decides is kernel code in the blocks.

pub mod command_buffer;
pub mod context_tags;
pub mod fifo_mem;
pub mod iotlb_tags;
pub mod sync_ram;

pub use command_buffer::CommandBuffer;
pub use context_tags::ContextTags;
pub use fifo_mem::FifoMem;
pub use iotlb_tags::IotlbTags;
pub use sync_ram::SyncRam;
