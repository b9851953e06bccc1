//! What can simulate the core, by name.

pub mod model;
pub mod pair;
pub mod rtl;
pub mod verilog;

use portcullis_regmap::Config;

use crate::core::Core;

/// A way to simulate the core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Backend {
    /// The Rust HDL itself, cycle by cycle.
    #[default]
    Rtl,
    /// The golden behavioural model.
    Model,
    /// The generated Verilog under Verilator.
    Verilog,
    /// `rtl` and `verilog` at once, every output compared in every cycle; ends at the first difference.
    Both,
}

/// Makes cores of one back end. Tests put their own behind the commands.
pub type Factory<'a> = &'a (dyn Fn(&'static Config) -> Result<Box<dyn Core>, String> + Sync);

impl Backend {
    /// Whether this version has the back end as a simulated core.
    ///
    /// # Errors
    /// One line that says what is missing and what to do.
    pub fn available(self) -> Result<(), String> {
        match self {
            Self::Rtl => Ok(()),
            Self::Model => Err(NO_CLOCK.to_owned()),
            Self::Verilog | Self::Both => verilog::available(),
        }
    }

    /// A new core.
    ///
    /// # Errors
    /// One line that says why there is none.
    pub fn core(self, config: &'static Config) -> Result<Box<dyn Core>, String> {
        match self {
            Self::Rtl => rtl::core(config),
            Self::Model => Err(NO_CLOCK.to_owned()),
            Self::Verilog => Ok(Box::new(verilog::Verilog::new(config)?)),
            Self::Both => Ok(Box::new(pair::Pair::new(
                Self::Rtl.core(config)?,
                Self::Verilog.core(config)?,
            ))),
        }
    }
}

/// The model answers scripts; it has no pins and no cycles.
const NO_CLOCK: &str =
    "back end model has no clock to simulate: use it with `play`, or --backend rtl here";
