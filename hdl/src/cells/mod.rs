//! Memory and tag arrays: a small Rust model beside a few lines of Verilog, co-simulated against each other.
//! They store and compare; everything that decides is kernel code in the blocks.

pub mod command_buffer;
pub mod context_tags;
pub mod fifo_mem;
pub mod iotlb_sets;
pub mod iotlb_tags;
pub mod line_store;
pub mod line_wait;
pub mod pointer_cache;
pub mod slot_mem;
pub mod sync_ram;
pub mod walk_slots;

pub use command_buffer::CommandBuffer;
pub use context_tags::ContextTags;
pub use fifo_mem::FifoMem;
pub use iotlb_sets::IotlbSets;
pub use iotlb_tags::IotlbTags;
pub use line_store::LineStore;
pub use line_wait::LineWait;
pub use pointer_cache::PointerCache;
pub use slot_mem::SlotMem;
pub use sync_ram::SyncRam;
pub use walk_slots::WalkSlots;
