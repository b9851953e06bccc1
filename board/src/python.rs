//! Virtual environments for tools that come from PyPI.

use crate::tools::{at, make_dir, run_within};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The `bin` folder of the environment `dir`, which has `packages` and what they need. It is made, or made again, unless
/// it is there with exactly these.
///
/// # Errors
/// Python or PyPI refuse; the message names the log.
pub fn environment(dir: &Path, packages: &[&str]) -> Result<PathBuf, String> {
    let wanted = packages.join("\n");
    // Written last: an environment whose installation broke off is made again.
    let stamp = dir.join("installed.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|there| there == wanted) {
        return Ok(dir.join("bin"));
    }
    make_dir(dir.parent().unwrap_or(Path::new(".")))?;
    let log = dir.with_extension("log");
    let see = |what: &str, e: String| format!("{what}: {e}; see {}", log.display());
    let mut make = Command::new("python3");
    make.args(["-m", "venv", "--clear"]).arg(dir);
    run_within(&mut make, Duration::from_secs(120), &log).map_err(|e| {
        see(
            "python3 makes no virtual environment, is python3-venv there?",
            e,
        )
    })?;
    let mut pip = Command::new(dir.join("bin/python"));
    pip.args(["-m", "pip", "install", "-q", "--no-input"]);
    run_within(pip.args(packages), Duration::from_secs(600), &log)
        .map_err(|e| see(&format!("pip cannot install {}", packages.join(", ")), e))?;
    std::fs::write(&stamp, wanted).map_err(|e| at(&stamp, &e))?;
    Ok(dir.join("bin"))
}
