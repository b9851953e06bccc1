//! From Verilog to FPGAs with open tools, every exit status checked.
//!
//! * [`soc`] is the system that demonstrates the core on a board, [`selftest`] the driver's test of it, and [`boards`]
//!   lists the boards.
//! * [`device`] says what an FPGA is called by each tool, [`tools`] finds and runs the tools ([`python`] installs those of
//!   PyPI), [`flow`] synthesises, places, routes and packs.
//! * [`out_of_context`] surrounds a core with registers so that its clock frequency can be measured without a board
//!   ([`area`]), and [`budget`] holds the results against `constraints/budgets.toml`;
//!   [`figures`] keeps them in `constraints/synthesis.json` and makes the README's table of them.

pub mod area;
pub mod boards;
pub mod budget;
pub mod device;
pub mod figures;
pub mod flow;
pub mod out_of_context;
pub mod python;
pub mod selftest;
pub mod soc;
pub mod tools;
