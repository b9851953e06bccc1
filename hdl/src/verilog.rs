//! Verilog of the named configurations.

use crate::bus::{LinuxAxi, TinyAxi};
use crate::emit::{Header, Pin, emit_with_header, pins};
use crate::variants;
use portcullis_regmap::config::Config;
use rust_hdl::prelude::Block;

/// What the outside of a configuration looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bus {
    /// The core's own ports ([`crate::ports`]).
    Core,
    /// AXI4 and AXI4-Lite ([`crate::bus`]).
    Axi,
}

/// Both, for whoever goes through all files.
pub const BUSES: [Bus; 2] = [Bus::Core, Bus::Axi];

/// Name of the module of a configuration.
#[must_use]
pub fn module_name(config: &Config, bus: Bus) -> String {
    match bus {
        Bus::Core => format!("portcullis_{}", config.name.replace('-', "_")),
        Bus::Axi => format!("portcullis_{}_axi", config.name),
    }
}

/// The block of a configuration.
fn block(config: &Config, bus: Bus) -> Result<Box<dyn Block>, String> {
    match (config.name, bus) {
        ("tiny", Bus::Core) => Ok(Box::new(crate::Tiny::new())),
        ("linux", Bus::Core) => Ok(Box::new(crate::Linux::new())),
        ("tiny", Bus::Axi) => Ok(Box::new(TinyAxi::default())),
        ("linux-one-walk", Bus::Core) => Ok(Box::new(variants::OneWalk::of(config))),
        ("linux-no-pointers", Bus::Core) => Ok(Box::new(variants::NoPointers::of(config))),
        ("linux-no-lines", Bus::Core) => Ok(Box::new(variants::NoLines::of(config))),
        ("linux-no-sets", Bus::Core) => Ok(Box::new(variants::NoSets::of(config))),
        ("linux-no-bursts", Bus::Core) => Ok(Box::new(variants::NoBursts::of(config))),
        ("linux-plain", Bus::Core) => Ok(Box::new(variants::Plain::of(config))),
        ("linux-smallest", Bus::Core) => Ok(Box::new(variants::Smallest::of(config))),
        ("linux-largest", Bus::Core) => Ok(Box::new(variants::Largest::of(config))),
        ("linux", Bus::Axi) => Ok(Box::new(LinuxAxi::default())),
        (other, _) => Err(format!("configuration {other} has no hardware yet")),
    }
}

/// What is said of `config` in front of its files.
#[must_use]
pub fn header(config: &Config, bus: Bus) -> Header {
    let (ports, option) = match bus {
        Bus::Core => ("core ports", ""),
        Bus::Axi => ("AXI ports", " --bus axi"),
    };
    Header {
        title: format!(
            "Portcullis RISC-V IOMMU, configuration {}, {ports}",
            config.name
        ),
        version: env!("CARGO_PKG_VERSION").into(),
        licence: env!("CARGO_PKG_LICENSE").into(),
        generator: format!("portcullis verilog --config {}{option}", config.name),
    }
}

/// The ports of `config`'s module, in its order.
///
/// # Errors
/// A configuration without hardware yet.
pub fn ports(config: &Config, bus: Bus) -> Result<Vec<Pin>, String> {
    let mut uut = block(config, bus)?;
    uut.connect_all();
    pins(uut.as_ref(), &module_name(config, bus))
}

/// `config` as one Verilog-2001 file, top module [`module_name`].
///
/// # Errors
/// A configuration without hardware yet, or kernels that break a rule of the lint.
pub fn emit(config: &Config, bus: Bus) -> Result<String, String> {
    let mut uut = block(config, bus)?;
    uut.connect_all();
    let header = header(config, bus);
    emit_with_header(uut.as_ref(), &module_name(config, bus), Some(&header))
}
