//! Outside tools: found, installed, run, and their exit status checked.

use crate::report::Report;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A program and the Debian package it comes in.
const PACKAGES: [(&str, &str); 6] = [
    ("verilator", "verilator"),
    ("iverilog", "iverilog"),
    ("vvp", "iverilog"),
    ("yosys", "yosys"),
    ("python3", "python3-venv"),
    ("c++", "g++"),
];

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

/// Sees to the tools of the chosen steps: installs what is missing if that is possible here. Says whether all are
/// there now.
pub fn provide(report: &mut Report, wants: impl Fn(&str) -> bool) -> bool {
    let mut wanted = vec![];
    if wants("lint") {
        wanted.extend(["verilator", "iverilog", "yosys"]);
    }
    if wants("synth") {
        wanted.extend(["yosys", "python3"]);
    }
    if wants("cosim") {
        wanted.extend(["iverilog", "vvp"]);
    }
    if wants("backend") || wants("random") {
        wanted.extend(["verilator", "c++"]);
    }
    report.step("tools", || install(&wanted))
}

fn missing(wanted: &[&str]) -> Vec<&'static str> {
    let mut packages = vec![];
    for (program, package) in PACKAGES {
        if wanted.contains(&program) && !exists(program) && !packages.contains(&package) {
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

/// What a command printed, standard output and standard error together.
fn text_of(o: &Output) -> String {
    String::from_utf8_lossy(&o.stdout).into_owned() + &String::from_utf8_lossy(&o.stderr)
}

fn name_of(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    name.to_string_lossy().into_owned()
}

/// The lines of `text` that say what went wrong.
fn essence(text: &str) -> String {
    let is_bad = |l: &&str| {
        let l = l.to_lowercase();
        ["error", "warning", "panicked", "differ"]
            .iter()
            .any(|w| l.contains(w))
    };
    let mut lines: Vec<&str> = text.lines().filter(is_bad).take(5).collect();
    if lines.is_empty() {
        lines = text.lines().filter(|l| !l.trim().is_empty()).collect();
        lines = lines[lines.len().saturating_sub(3)..].to_vec();
    }
    lines.join("\n    ")
}

/// Runs `command` and returns what it printed; a failure is an error that quotes it.
pub fn run(command: &mut Command) -> Result<String, String> {
    let name = name_of(command);
    let o = command
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("cannot run {name}: {e}"))?;
    let text = text_of(&o);
    if o.status.success() {
        Ok(text)
    } else {
        Err(format!("{name}: {}\n    {}", o.status, essence(&text)))
    }
}

/// [`run`], stopped when it takes longer than `limit`. The output goes to `log`.
pub fn run_within(command: &mut Command, limit: Duration, log: &Path) -> Result<(), String> {
    let name = name_of(command);
    let file = std::fs::File::create(log).map_err(|e| format!("{}: {e}", log.display()))?;
    let err = file.try_clone().map_err(|e| e.to_string())?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(err)
        .spawn()
        .map_err(|e| format!("cannot run {name}: {e}"))?;
    let start = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("{name}: {status}")),
            Ok(None) if start.elapsed() > limit => {
                // It may have ended in between; then there is nothing to stop.
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("{name} took longer than {} s", limit.as_secs()));
            }
            Ok(None) => std::thread::sleep(Duration::from_millis(100)),
            Err(e) => return Err(format!("{name}: {e}")),
        }
    }
}

/// Makes `dir`, or names it in the error.
pub fn make_dir(dir: &Path) -> Result<PathBuf, String> {
    std::fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    Ok(dir.to_path_buf())
}

/// Writes a file, or names it in the error.
pub fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}
