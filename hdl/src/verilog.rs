//! Verilog of the named configurations.

use crate::emit::{Header, emit_with_header};
use portcullis_regmap::config::Config;
use rust_hdl::prelude::Block;

/// Name of the module of a configuration.
#[must_use]
pub fn module_name(config: &Config) -> String {
    format!("portcullis_{}", config.name)
}

/// The core of `config` as one Verilog-2001 file, top module [`module_name`].
///
/// # Errors
/// A configuration without hardware yet, or kernels that break a rule of the lint.
pub fn emit(config: &Config) -> Result<String, String> {
    let mut uut: Box<dyn Block> = match config.name {
        "tiny" => Box::new(crate::Tiny::new()),
        "linux" => Box::new(crate::Linux::new()),
        other => return Err(format!("configuration {other} has no hardware yet")),
    };
    uut.connect_all();
    let header = Header {
        title: format!("Portcullis RISC-V IOMMU, configuration {}", config.name),
        version: env!("CARGO_PKG_VERSION").into(),
        licence: env!("CARGO_PKG_LICENSE").into(),
        generator: format!("portcullis verilog --config {}", config.name),
    };
    emit_with_header(uut.as_ref(), &module_name(config), Some(&header))
}
