//! The core in other people's build systems: FuseSoC lints and synthesises it, LiteX builds a SoC around it that is linted
//! and simulated.

use crate::python::{LIMIT, bench, environment};
use crate::report::Report;
use crate::root;
use crate::tools::{make_dir, portcullis, run as tool, run_within};
use portcullis_board::tools::{read, target};
use portcullis_regmap::config::CONFIGS;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Configuration, standard and width of the SoC's bus.
const SOCS: [(&str, &str, &str); 4] = [
    ("tiny", "wishbone", "32"),
    ("tiny", "axi", "64"),
    ("linux", "wishbone", "64"),
    ("linux", "axi-lite", "32"),
];

/// Both.
pub fn run(report: &mut Report, seed: u64) {
    let dir = target().join("cores");
    if !report.step("cores: files", || files(&dir)) {
        return;
    }
    if let Some(bin) = python(report, "fusesoc", "fusesoc, edalize") {
        for config in CONFIGS {
            for bus in ["", "_axi"] {
                let top = format!("portcullis_{}{bus}", config.name);
                report.step(&format!("fusesoc lint {}{bus}", config.name), || {
                    fusesoc(&bin, &dir, &top, "lint").map(|_| "no warnings".into())
                });
            }
        }
        report.step("fusesoc synth tiny_axi", || {
            synthesised(&fusesoc(&bin, &dir, "portcullis_tiny_axi", "synth")?)
        });
    }
    if let Some(bin) = python(report, "litex", "litex, cocotb") {
        for (config, bus, width) in SOCS {
            report.step(&format!("litex {config}: {bus}, {width} bits"), || {
                litex(&bin.join("python"), &dir, (config, bus, width), seed)
            });
        }
    }
}

fn python(report: &mut Report, name: &str, what: &str) -> Option<PathBuf> {
    let mut bin = None;
    report.step(&format!("{name}: tools"), || {
        let list = root().join(format!("tests/{name}/requirements.txt"));
        bin = Some(environment(&format!("{name}-venv"), &list)?);
        Ok(what.into())
    });
    bin
}

/// As a user asks for them.
fn files(dir: &Path) -> Result<String, String> {
    let _ = std::fs::remove_dir_all(dir);
    make_dir(dir)?;
    for config in CONFIGS {
        let verilog = |options: &[&str]| {
            let mut command = portcullis();
            command.args(["verilog", "--config", config.name, "--fusesoc"]);
            tool(command.args(options).arg("-o").arg(dir))
        };
        verilog(&[])?;
        verilog(&["--bus", "axi", "--litex"])?;
    }
    tool(portcullis().args(["registers", "--c", "-o"]).arg(dir))?;
    let count = std::fs::read_dir(dir).map_or(0, Iterator::count);
    Ok(format!("{count} files"))
}

/// Runs a target of the core `top`; returns what FuseSoC and the tools said.
fn fusesoc(bin: &Path, dir: &Path, top: &str, goal: &str) -> Result<String, String> {
    let log = dir.join(format!("{top}-{goal}.log"));
    // FuseSoC looks for what it starts on the path.
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths(
        [bin.to_path_buf()]
            .into_iter()
            .chain(env::split_paths(&path)),
    );
    let mut command = Command::new(bin.join("fusesoc"));
    command
        .current_dir(dir)
        .env("PATH", path.map_err(|e| e.to_string())?)
        .args(["--cores-root", ".", "run", "--target", goal])
        .arg(format!("portcullis:iommu:{top}"));
    let outcome = run_within(&mut command, LIMIT, &log);
    let text = read(&log).unwrap_or_default();
    let complaint = text
        .lines()
        .find(|l| l.contains("%Warning") || l.contains("%Error") || l.starts_with("ERROR"));
    match (outcome, complaint) {
        (Ok(()), None) => Ok(text),
        (_, Some(line)) => Err(format!("{line}; see {}", log.display())),
        (Err(e), None) => Err(format!("{e}; see {}", log.display())),
    }
}

/// The cells that Yosys counted.
fn synthesised(text: &str) -> Result<String, String> {
    let cells = text.lines().rfind(|l| l.contains("Number of cells:"));
    cells
        .and_then(|l| l.split_whitespace().last())
        .filter(|n| n.parse::<u64>().is_ok_and(|n| n > 1000))
        .map(|n| format!("{n} cells"))
        .ok_or("Yosys counts no cells of the core".into())
}

/// A SoC: made, linted by Verilator, and run.
fn litex(python: &Path, dir: &Path, soc: (&str, &str, &str), seed: u64) -> Result<String, String> {
    let (config, bus, width) = soc;
    let build = make_dir(&dir.join(format!("litex-{config}-{bus}-{width}")))?;
    let wrapper = dir.join(format!("portcullis_{config}_axi.py"));
    let wrapper = wrapper.to_string_lossy();
    let passed = bench(
        python,
        "litex/run.py",
        &[
            ("--wrapper", &wrapper),
            ("--config", config),
            ("--bus", bus),
            ("--width", width),
        ],
        &dir.join("portcullis.h"),
        &build,
        seed,
    )?;
    let sources = read(&build.join("sources.txt"))?;
    // LiteX's own style is not -Wall clean; what Verilator refuses, it refuses here too.
    let mut verilator = Command::new("verilator");
    verilator
        .args([
            "--lint-only",
            "-Wno-fatal",
            "--top-module",
            "portcullis_soc",
        ])
        .current_dir(&build)
        .args(sources.lines());
    let said = tool(&mut verilator)?;
    let pins = said.lines().find(|l| {
        ["PINMISSING", "PINNOTFOUND", "MULTIDRIVEN", "UNOPTFLAT"]
            .iter()
            .any(|rule| l.contains(rule))
    });
    match pins {
        Some(line) => Err(format!("verilator: {line}")),
        None => Ok(passed),
    }
}
