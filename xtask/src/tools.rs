//! Programs of the system: found, or installed with the system's package manager.

use crate::report::Report;
use crate::root;
pub use portcullis_board::tools::{make_dir, run, run_within, write};
use std::process::Command;

/// A program and the Debian package it comes in.
const PACKAGES: [(&str, &str); 10] = [
    ("verilator", "verilator"),
    ("iverilog", "iverilog"),
    ("vvp", "iverilog"),
    ("yosys", "yosys"),
    ("python3", "python3-venv"),
    ("c++", "g++"),
    ("make", "make"),
    ("qemu-riscv64", "qemu-user"),
    ("riscv64-linux-gnu-gcc", "gcc-riscv64-linux-gnu"),
    (RISCV_LIBC, "libc6-dev-riscv64-cross"),
];
/// A file of the package by its path.
const RISCV_LIBC: &str = "/usr/riscv64-linux-gnu/lib/crt1.o";

/// The command `portcullis` as a user builds it, with arguments still to come.
pub fn portcullis() -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["run", "--release", "--locked", "-q", "--"])
        .current_dir(root());
    command
}

fn is_root() -> bool {
    Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|o| String::from_utf8_lossy(&o.stdout).trim() == "0")
}

/// Whether `program` is on the path.
fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

/// Whether `program` is there with all that is used of it: Debian's Python comes without what virtual environments need.
fn works(program: &str) -> bool {
    if program != "python3" {
        return exists(program);
    }
    Command::new(program)
        .args(["-c", "import ensurepip, venv"])
        .output()
        .is_ok_and(|o| o.status.success())
}

/// Sees to the tools of the chosen steps: installs what is missing if that is possible here. Says whether all are
/// there now.
pub fn provide(report: &mut Report, wants: impl Fn(&str) -> bool) -> bool {
    let mut wanted = vec![];
    if wants("lint") {
        wanted.extend(["verilator", "iverilog", "yosys"]);
    }
    if wants("synth") || wants("boards") {
        wanted.push("python3");
    }
    if wants("cosim") {
        wanted.extend(["iverilog", "vvp"]);
    }
    if wants("cocotb") {
        wanted.extend(["iverilog", "vvp", "python3"]);
    }
    if wants("cores") {
        wanted.extend(["verilator", "iverilog", "vvp", "yosys", "python3", "make"]);
    }
    if wants("riscv") {
        wanted.extend(["qemu-riscv64", "riscv64-linux-gnu-gcc", RISCV_LIBC]);
    }
    if wants("proofs") {
        wanted.push("python3");
    }
    if ["backend", "rules", "random", "ownership", "boards"]
        .iter()
        .any(|s| wants(s))
    {
        wanted.extend(["verilator", "c++"]);
    }
    report.step("tools", || install(&wanted))
}

fn missing(wanted: &[&str]) -> Vec<&'static str> {
    let mut packages = vec![];
    for (program, package) in PACKAGES {
        if wanted.contains(&program) && !works(program) && !packages.contains(&package) {
            packages.push(package);
        }
    }
    packages
}

fn install(wanted: &[&str]) -> Result<String, String> {
    let packages = missing(wanted);
    if packages.is_empty() {
        return Ok("all present".into());
    }
    let list = packages.join(" ");
    let command = format!("apt-get install -y --no-install-recommends {list}");
    if !is_root() || !exists("apt-get") {
        return Err(format!("missing tools; run: sudo {command}"));
    }
    let script = format!("apt-get update && DEBIAN_FRONTEND=noninteractive {command}");
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(&script);
    run(&mut shell).map_err(|e| format!("could not install {list}: {e}"))?;
    match missing(wanted)[..] {
        [] => Ok(format!("installed {list}")),
        _ => Err(format!("`{command}` ran, but tools are still missing")),
    }
}
