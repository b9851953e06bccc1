//! Verilog of the named configurations.

use crate::bus::{LinuxAxi, TinyAxi};
use crate::emit::{Header, Pin, emit_with_header, pins};
use crate::ports::Top;
use crate::variants::{WithTop, with_top};
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

/// As a block of any type.
struct Boxed;

impl WithTop for Boxed {
    type Output = Box<dyn Block>;
    fn with<T: Top + 'static>(self, top: T) -> Box<dyn Block> {
        Box::new(top)
    }
}

/// The block of a configuration.
fn block(config: &Config, bus: Bus) -> Result<Box<dyn Block>, String> {
    let block = match (config.name, bus) {
        (_, Bus::Core) => with_top(config, Boxed),
        ("tiny", Bus::Axi) => Some(Box::new(TinyAxi::default()) as _),
        ("linux", Bus::Axi) => Some(Box::new(LinuxAxi::default()) as _),
        _ => None,
    };
    block.ok_or_else(|| format!("configuration {} has no hardware yet", config.name))
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
