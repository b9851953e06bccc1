//! Who owns the DMA: the driver proven on the cycle-accurate hardware, under devices that never stop.
//!
//! * [`paint`]: memory has colours, one per domain, so that each access says which domain it reached;
//! * [`load`]: engines hammer the translation port, and each access is judged: old, new or blocked while a call of the
//!   driver changes the domain, only new after it has returned;
//! * [`monitor`]: the protocol of stores, commands and fences is watched on the bus;
//! * [`stage`]: all of it together around one driver;
//! * [`sabotage`]: a platform that breaks the protocol, to see that all of this notices;
//! * [`show`], [`page`] and [`command`]: a demonstration, `portcullis own`.

pub mod command;
pub mod load;
pub mod monitor;
pub mod page;
pub mod paint;
pub mod sabotage;
pub mod show;
pub mod stage;
