//! The core of a configuration alone on a device: cells and clock frequency.

use crate::device::Device;
use crate::flow::{Counts, Job, Routed};
use crate::out_of_context;
use crate::tools::{Tools, make_dir, write};
use portcullis_hdl::verilog::{self, Bus};
use portcullis_regmap::Config;
use serde_json::{Value, json};
use std::path::Path;

/// Clock frequency in MHz that place and route aims at unless told. Higher than what is reached: nextpnr rests when its
/// aim is met.
pub const AIM_MHZ: f64 = 80.0;

/// What a configuration takes of a device.
pub struct Area {
    /// Configuration.
    pub config: &'static Config,
    /// Its ports.
    pub bus: Bus,
    /// Device.
    pub device: &'static Device,
    /// The core alone, as Yosys maps it.
    pub cells: Counts,
    /// The core among registers, placed and routed.
    pub routed: Option<Routed>,
}

/// The device that `config` is made for.
#[must_use]
pub fn home(config: &Config) -> &'static str {
    if config.name == "tiny" {
        "hx8k"
    } else {
        "ecp5"
    }
}

/// What budgets and tables call `config` with these ports.
#[must_use]
pub fn design(config: &Config, bus: Bus) -> String {
    match bus {
        Bus::Core => config.name.into(),
        Bus::Axi => format!("{}_axi", config.name),
    }
}

/// Synthesises the core of `config` with these ports for `device`, and routes it with `seed` if `aim` says for how many MHz. Everything
/// made on the way is left in `dir`.
///
/// # Errors
/// A tool is missing or refuses; the message names it.
pub fn measure(
    tools: &Tools,
    config: &'static Config,
    bus: Bus,
    device: &'static Device,
    aim: Option<f64>,
    seed: u64,
    dir: &Path,
) -> Result<Area, String> {
    make_dir(dir)?;
    let text = verilog::emit(config, bus)?;
    let top = verilog::module_name(config, bus);
    let core = dir.join(format!("{top}.v"));
    write(&core, &text)?;
    let job = |sources, top: &str| Job {
        sources,
        top: top.into(),
        dir: dir.to_path_buf(),
        device,
    };
    let cells = job(vec![core.clone()], &top).synthesise(tools)?;
    let routed = match aim {
        None => None,
        Some(mhz) => {
            let frame = dir.join(format!("{}.v", out_of_context::TOP));
            write(&frame, &out_of_context::surround(&text, &top)?)?;
            let job = job(vec![core, frame], out_of_context::TOP);
            job.synthesise(tools)?;
            Some(job.route(tools, None, mhz, seed)?)
        }
    };
    Ok(Area {
        config,
        bus,
        device,
        cells,
        routed,
    })
}

impl Area {
    /// The figures as one object.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "design": design(self.config, self.bus),
            "device": self.device.name,
            "cells": self.cells,
            "routed": self.routed,
        })
    }

    /// The figures as lines of name and number.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = format!(
            "{} on {}\n",
            design(self.config, self.bus),
            self.device.name
        );
        for (name, n) in &self.cells {
            text += &format!("{name:>8} {n:>7}\n");
        }
        if let Some(routed) = &self.routed {
            text += &format!("{:>8} {:>7.1}\n", "MHz", routed.fmax_mhz);
        }
        text
    }
}
