//! The generated Verilog with AXI ports under the bus models of cocotbext-axi, in Icarus.

use crate::python::environment;
use crate::report::Report;
use crate::root;
use crate::tools::{make_dir, run_within};
use portcullis_board::tools::target;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(600);

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
    let log = build.join("log.txt");
    let mut command = Command::new(python);
    command
        .arg(root().join("tests/cocotb/run.py"))
        .arg("--verilog")
        .arg(verilog.join(format!("portcullis_{config}_axi.v")))
        .arg("--header")
        .arg(verilog.join("portcullis.h"))
        .args(["--config", config, "--seed", &seed.to_string(), "--build"])
        .arg(&build)
        // The bus models use names of cocotb that its next release will drop.
        .env("PYTHONWARNINGS", "ignore::DeprecationWarning")
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let outcome = run_within(&mut command, LIMIT, &log);
    let text = std::fs::read_to_string(&log).unwrap_or_default();
    let failure = text
        .lines()
        .find(|l| l.contains("AssertionError") || l.contains("Error:"));
    match outcome {
        Ok(()) => Ok(text.lines().last().unwrap_or_default().into()),
        Err(e) => Err(format!(
            "{e}, seed {seed}: {}; see {}",
            failure.unwrap_or("no test says why"),
            log.display()
        )),
    }
}
