//! Virtual environments under the target directory, for steps whose tools come from PyPI.

use crate::target;
use crate::tools::{make_dir, run_within};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The `bin` folder of the environment `name`, with what the file `requirements` lists.
pub fn environment(name: &str, requirements: &Path) -> Result<PathBuf, String> {
    let wanted = std::fs::read_to_string(requirements)
        .map_err(|e| format!("{}: {e}", requirements.display()))?;
    let dir = target().join(name);
    // Written last: an environment whose installation broke off is made again.
    let stamp = dir.join("installed.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|there| there == wanted) {
        return Ok(dir.join("bin"));
    }
    make_dir(&target())?;
    let log = target().join(format!("{name}.log"));
    let mut make = Command::new("python3");
    make.args(["-m", "venv", "--clear"]).arg(&dir);
    run_within(&mut make, Duration::from_secs(120), &log)
        .map_err(|e| format!("{e}; is python3-venv installed? see {}", log.display()))?;
    let mut pip = Command::new(dir.join("bin/python"));
    pip.args(["-m", "pip", "install", "-q", "--no-input", "-r"])
        .arg(requirements);
    run_within(&mut pip, Duration::from_secs(600), &log).map_err(|e| {
        format!(
            "pip cannot install {}: {e}, see {}",
            requirements.display(),
            log.display()
        )
    })?;
    std::fs::write(&stamp, wanted).map_err(|e| format!("{}: {e}", stamp.display()))?;
    Ok(dir.join("bin"))
}
