//! The generated Verilog, and what three tools say about it.

use crate::report::Report;
use crate::root;
use crate::tools::{make_dir, portcullis, run as tool};
use portcullis_board::tools::target;
use std::path::Path;
use std::process::Command;

/// Asks the command `portcullis` for the Verilog of a configuration with these ports.
pub fn generate(config: &str, bus: &str, file: &Path) -> Result<String, String> {
    let dir = make_dir(&target().join("verilog"))?;
    if file.exists() {
        std::fs::remove_file(file).map_err(|e| format!("{}: {e}", file.display()))?;
    }
    tool(
        portcullis()
            .args(["verilog", "--config", config, "--bus", bus, "-o"])
            .arg(&dir),
    )?;
    let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let lines = text.lines().count();
    let modules = text.matches("\nendmodule").count();
    Ok(format!("{lines} lines, {modules} modules"))
}

/// Asks the command `portcullis` for the registers as C header and SVD file, and sees that C compilers take the header.
pub fn registers() -> Result<String, String> {
    let dir = make_dir(&target().join("verilog"))?;
    for config in portcullis_regmap::config::CONFIGS {
        tool(
            portcullis()
                .args(["registers", "--c", "--svd", "--config", config.name, "-o"])
                .arg(&dir),
        )?;
    }
    let text = tool(
        Command::new("cc")
            .args([
                "-std=c99",
                "-Wall",
                "-Wextra",
                "-pedantic",
                "-fsyntax-only",
                "-x",
                "c",
            ])
            .arg(dir.join("portcullis.h")),
    )?;
    quiet(&text, "cc")
}

/// Lints `file`, whose top module has its name.
pub fn run(report: &mut Report, name: &str, file: &Path) {
    report.step(&format!("lint {name}: verilator"), || verilator(file));
    report.step(&format!("lint {name}: iverilog"), || iverilog(file));
    report.step(&format!("lint {name}: yosys"), || yosys(file));
}

fn top(file: &Path) -> String {
    file.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into()
}

fn quiet(text: &str, command: &str) -> Result<String, String> {
    match text.lines().find(|l| !l.trim().is_empty()) {
        None => Ok("no warnings".into()),
        Some(line) => Err(format!("{command}: {line}")),
    }
}

fn verilator(file: &Path) -> Result<String, String> {
    let text = tool(
        Command::new("verilator")
            .args(["--lint-only", "-Wall", "--top-module", &top(file)])
            .arg(root().join("hdl/lint/verilator.vlt"))
            .arg(file),
    )?;
    quiet(&text, "verilator")
}

fn iverilog(file: &Path) -> Result<String, String> {
    // The tag arrays compare every entry at once: sensitivity to the whole array is what is meant.
    let text = tool(
        Command::new("iverilog")
            .args(["-g2005", "-Wall", "-Wno-sensitivity-entire-array"])
            .args(["-s", &top(file), "-o", "/dev/null"])
            .arg(file),
    )?;
    quiet(&text, "iverilog")
}

/// What Yosys only mentions but nobody wants.
const UNWANTED: [&str; 4] = [
    "is implicitly declared",
    "Latch inferred",
    "is used but has no driver",
    "multiple conflicting drivers",
];

fn yosys(file: &Path) -> Result<String, String> {
    // The loop check must see the design before it is mapped: afterwards it sees no loops.
    let script = format!(
        "read_verilog {}; hierarchy -check -top {}; proc; flatten; opt_clean; check -assert",
        file.display(),
        top(file)
    );
    let log = tool(Command::new("yosys").args(["-e", "implicitly declared", "-p", &script]))?;
    for line in log.lines() {
        if UNWANTED.iter().any(|u| line.contains(u)) {
            return Err(format!("yosys: {line}"));
        }
        if line.starts_with("Warning:") {
            return Err(format!("yosys: {line}"));
        }
    }
    Ok("no latch, no loop, nothing undriven".into())
}
