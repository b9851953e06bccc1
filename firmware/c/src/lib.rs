//! The driver for C: `include/portcullis.h`, which a test keeps equal to this source.
//!
//! * Every function answers 0 or a count, or a negative error number of Linux (`PORTCULLIS_E...`: other systems number them
//!   otherwise). A call that answers an error has changed nothing, unless it is `PORTCULLIS_EIO`: then the hardware failed.
//! * Objects are named by handles: numbers with a generation. A handle of an object that is gone is refused with
//!   `PORTCULLIS_EBADF` for ever, also after its place has been taken by another. 0 names nothing.
//! * What does not compile in Rust is refused here: freeing a domain that is attached (`PORTCULLIS_EBUSY`), attaching without a
//!   guard (`PORTCULLIS_EPERM`), detaching what is not attached (`PORTCULLIS_EINVAL`).
//! * Objects live in the library, in tables of fixed size: no memory is taken but by the platform's `alloc`.
//! * One call at a time: a call from the platform's functions, or from another thread while one runs, answers
//!   `PORTCULLIS_EBUSY`.
//! * No panic leaves the library. With the feature `std` it is caught and answered by `PORTCULLIS_EIO`; without it, it stops the
//!   processor in `portcullis_panicked`.

#![no_std]
#![forbid(clippy::undocumented_unsafe_blocks)]

#[cfg(feature = "std")]
extern crate std;

mod boot;
mod device;
mod dma;
mod domain;
mod events;
mod gather;
mod group;
mod handle;
mod iommu;
mod library;
#[cfg(not(feature = "std"))]
mod panic;
mod pasid;
mod platform;
mod types;

pub use boot::{portcullis_start_with, portcullis_stop_in_bare};
pub use device::*;
pub use dma::{portcullis_dma_map, portcullis_dma_unmap, portcullis_dma_unmap_later};
pub use domain::{
    portcullis_domain_free, portcullis_domain_identity, portcullis_domain_new,
    portcullis_domain_share, portcullis_flush, portcullis_map, portcullis_translate,
    portcullis_unmap, portcullis_unmap_deferred,
};
pub use events::{portcullis_events, portcullis_statistics};
pub use gather::{
    portcullis_deferred_ready, portcullis_deferred_wait, portcullis_gather_new,
    portcullis_gather_sync, portcullis_unmap_gather, portcullis_unmap_named,
};
pub use group::*;
pub use iommu::*;
pub use pasid::*;
pub use platform::portcullis_platform;
pub use types::*;
