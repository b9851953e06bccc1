//! Steps whose tools come from PyPI: virtual environments under the target directory, and what runs in them.

use crate::root;
use crate::tools::run_within;
use portcullis_board::tools::{read, target};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A simulation that hangs ends.
pub const LIMIT: Duration = Duration::from_secs(600);

/// The `bin` folder of the environment `name`, with what the file `requirements` lists, one package a line.
pub fn environment(name: &str, requirements: &Path) -> Result<PathBuf, String> {
    let wanted = read(requirements)?;
    let packages: Vec<&str> = wanted.split_whitespace().collect();
    portcullis_board::python::environment(&target().join(name), &packages)
}

/// A bench of cocotb, `script` below tests/ with these arguments and the seed; returns the last line that it prints.
/// What it builds and its log go into `build`.
pub fn bench(
    python: &Path,
    script: &str,
    arguments: &[(&str, &str)],
    header: &Path,
    build: &Path,
    seed: u64,
) -> Result<String, String> {
    let log = build.join("log.txt");
    let mut command = Command::new(python);
    command
        .arg(root().join("tests").join(script))
        .args(arguments.iter().flat_map(|(name, value)| [name, value]))
        .arg("--header")
        .arg(header)
        .args(["--seed", &seed.to_string(), "--build"])
        .arg(build)
        // The bus models use names of cocotb that its next release will drop.
        .env("PYTHONWARNINGS", "ignore::DeprecationWarning")
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let outcome = run_within(&mut command, LIMIT, &log);
    let text = read(&log).unwrap_or_default();
    let failure = text
        .lines()
        .find(|l| l.contains("AssertionError") || l.contains("Error:"));
    outcome.map_err(|e| {
        let why = failure.unwrap_or("no test says why");
        format!("{e}, seed {seed}: {}; see {}", why.trim(), log.display())
    })?;
    Ok(text.lines().last().unwrap_or_default().into())
}
