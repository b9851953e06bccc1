//! Constrained-random lock-step of the hardware against the golden model.
//!
//! A seed becomes a [`Plan`]: tables with every kind of right and wrong entry, planted memory errors, commands legal
//! and illegal, queues that overflow, stop and start, requests in flight all the while. [`run`] does it on a core and
//! on `portcullis-model` and compares every answer, fault record, register, interrupt and stored word. What the
//! specification leaves open (cached values before an invalidation, races with software's writes) the model answers
//! with sets. A plan that fails is shortened ([`shorten`]) and printed as a script for `portcullis play`.

mod commands;
mod extras;
mod faults;
mod generate;
mod generate_commands;
mod monitor;
mod op;
mod registers;
mod report;
mod rng;
mod runner;
mod sabotage;
mod tables;

pub use generate::generate;
pub use op::{Op, Plan, Script};
pub use report::{Failure, MakeCore, examine, shorten};
pub use rng::Rng;
pub use runner::{Difference, Summary, run};
pub use sabotage::{Sabotage, Saboteur};
