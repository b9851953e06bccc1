//! Proofs with SymbiYosys on the generated Verilog with AXI ports, and defects that they must find.

use crate::python::environment;
use crate::report::Report;
use crate::root;
use crate::tools::{make_dir, run_within};
use portcullis_board::tools::target;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(900);

/// Every proof of tests/formal/proofs.toml, after the Verilog has been made.
pub fn run(report: &mut Report) {
    let mut python = None;
    report.step("proofs: tools", || {
        let bin = environment("proof-venv", &root().join("tests/formal/requirements.txt"))?;
        python = Some(bin.join("python"));
        Ok("pyosys, SymbiYosys".into())
    });
    if let Some(python) = python {
        report.step("proofs", || prove(&python));
    }
}

fn prove(python: &Path) -> Result<String, String> {
    let build = make_dir(&target().join("proofs"))?;
    let log = build.join("log.txt");
    let mut command = Command::new(python);
    command
        .arg(root().join("tests/formal/run.py"))
        .arg("--verilog")
        .arg(target().join("verilog/portcullis_tiny_axi.v"))
        .arg("--build")
        .arg(&build)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let outcome = run_within(&mut command, LIMIT, &log);
    let text = std::fs::read_to_string(&log).unwrap_or_default();
    match outcome {
        Ok(()) => Ok(text.lines().last().unwrap_or_default().into()),
        Err(e) => Err(format!("{e}; see {}\n    {}", log.display(), text.trim())),
    }
}
