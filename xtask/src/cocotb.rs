//! The generated Verilog with AXI ports under the bus models of cocotbext-axi, in Icarus.

use crate::python::{bench, environment};
use crate::report::Report;
use crate::root;
use crate::tools::make_dir;
use portcullis_board::tools::target;
use std::path::Path;

/// Each configuration, after its Verilog has been made.
pub fn run(report: &mut Report, seed: u64) {
    let mut python = None;
    report.step("cocotb: tools", || {
        let bin = environment("cocotb-venv", &root().join("tests/cocotb/requirements.txt"))?;
        python = Some(bin.join("python"));
        Ok("cocotb, cocotbext-axi".into())
    });
    let Some(python) = python else { return };
    for config in portcullis_regmap::config::CONFIGS {
        report.step(&format!("cocotb {}", config.name), || {
            tests(&python, config.name, seed)
        });
    }
}

fn tests(python: &Path, config: &str, seed: u64) -> Result<String, String> {
    let verilog = target().join("verilog");
    let build = make_dir(&target().join("cocotb").join(config))?;
    let core = verilog.join(format!("portcullis_{config}_axi.v"));
    let core = core.to_string_lossy();
    bench(
        python,
        "cocotb/run.py",
        &[("--verilog", &core), ("--config", config)],
        &verilog.join("portcullis.h"),
        &build,
        seed,
    )
}
