//! Golden behavioural model of the IOMMU, written from the requirement matrix and from nothing else.
//!
//! It shares only `portcullis-regmap` with the hardware, and of that only the configurations and the register
//! offsets: formats, checks and commands are coded here a second time, so that a slip in the shared crate shows up
//! as a difference. Row ids such as `DCM-13` and points such as `A-38` are those of the matrix.
//!
//! * [`Model`] is an IOMMU without caches and without time: registers, commands, fault records, interrupts and
//!   translations, one thing after the other. Where the specification is deterministic, so is this.
//! * [`allowed()`] answers with *sets*: every outcome that the specification permits for a request which was in flight
//!   for some time, given the [`Versions`] that each doubleword of memory has had and the [`History`] of mode changes
//!   and invalidations. Caches may keep any value that a field has had since the last subsuming invalidation
//!   (MEM-04), and nothing else.
//!
//! Both run the same translation, [`translate()`], over a [`Source`] that supplies what is read: the model's source
//! reads memory, the exploring one tries every version.
//!
//! Covered: every row of profile `cu39` and of the `base` superset. What a configuration has beyond that (second
//! stage, process directories, MSI tables, ATS, both byte orders, hardware A/D) is refused by [`Model::new`].

#![forbid(unsafe_code)]

mod allowed;
mod command;
mod context;
mod counters;
mod explore;
mod interrupts;
mod memory;
mod model;
mod registers;
mod translate;
mod types;

pub use allowed::{History, Life, TooMany, allowed};
pub use command::{Command, Invalidation, NotLegal, decode};
pub use context::{Context, check_context};
pub use memory::{Burst, Checked, Flat, MemError, Memory, Version, Versions};
pub use model::{Model, Step, Unsupported};
pub use translate::{DdtRead, Features, PteRead, Root, Source, translate};
pub use types::{Access, Fault, Kind, Outcome, Record, Request, cause};
