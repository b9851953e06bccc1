//! Synthesis for the iCE40 HX8K, and the budgets in constraints/budgets.toml.

use crate::report::Report;
use crate::tools::{make_dir, run as tool, run_within, write};
use crate::{root, target};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The release of pyosys that the budgets were set with.
const PYOSYS: &str = "pyosys==0.70";

/// A small command line around the library: runs the script in its first argument.
const WRAPPER: &str = "\
import sys
from pyosys import libyosys as ys

design = ys.Design()
for command in sys.argv[1].split(';'):
    ys.run_pass(command.strip(), design)
";

/// Synthesises `file` and holds the result against the budget of `config`.
pub fn run(report: &mut Report, config: &str, file: &Path) {
    let mut flow = None;
    report.step("synth: yosys", || {
        let (found, text) = Flow::find()?;
        flow = Some(found);
        Ok(text)
    });
    let Some(flow) = flow else { return };
    report.step(&format!("synth {config}: hx8k"), || {
        let counts = flow.synthesise(config, file)?;
        let text = std::fs::read_to_string(root().join("constraints/budgets.toml"))
            .map_err(|e| format!("constraints/budgets.toml: {e}"))?;
        within(&counts, &budget(&text, config)?)
    });
}

enum Flow {
    /// Yosys 0.70 as a Python library, in a virtual environment of its own.
    Python { python: PathBuf, script: PathBuf },
    /// Whatever Yosys the system has.
    System,
}

impl Flow {
    /// The newest Yosys to be had here, and which it is.
    fn find() -> Result<(Self, String), String> {
        match Self::python() {
            Ok(flow) => Ok((flow, format!("{PYOSYS} (reference)"))),
            Err(why) => {
                let version = tool(Command::new("yosys").arg("-V"))?;
                let version: Vec<&str> = version.split_whitespace().take(2).collect();
                let text = format!("{} of the system, for: {why}", version.join(" "));
                Ok((Flow::System, text))
            }
        }
    }

    fn python() -> Result<Self, String> {
        let venv = target().join("venv");
        let python = venv.join("bin/python");
        let probe = || Command::new(&python).args(["-c", "import pyosys"]).output();
        if !probe().is_ok_and(|o| o.status.success()) {
            make_dir(&target())?;
            let log = target().join("venv.log");
            let minute = Duration::from_secs(60);
            let mut make = Command::new("python3");
            run_within(make.args(["-m", "venv"]).arg(&venv), minute, &log)?;
            let mut pip = Command::new(&python);
            let pip = pip.args(["-m", "pip", "install", "-q", "--no-input", PYOSYS]);
            run_within(pip, minute, &log)?;
        }
        let script = venv.join("yosys.py");
        write(&script, WRAPPER)?;
        Ok(Flow::Python { python, script })
    }

    fn synthesise(&self, config: &str, file: &Path) -> Result<BTreeMap<&'static str, u64>, String> {
        let dir = make_dir(&target().join("synth"))?;
        let top = file.file_stem().unwrap_or_default().to_string_lossy();
        let script = format!(
            "read_verilog {}; synth_ice40 -top {top}; stat",
            file.display()
        );
        let mut command = match self {
            Flow::Python { python, script } => {
                let mut c = Command::new(python);
                c.arg(script);
                c
            }
            Flow::System => {
                let mut c = Command::new("yosys");
                c.arg("-p");
                c
            }
        };
        let log = tool(command.arg(&script))?;
        write(&dir.join(format!("{config}.log")), &log)?;
        count(&log)
    }
}

/// Cells by the names that budgets use, from the last `stat` in a log.
fn count(log: &str) -> Result<BTreeMap<&'static str, u64>, String> {
    let stat = match log.rfind("Printing statistics") {
        Some(at) => &log[at..],
        None => return Err("yosys printed no statistics".into()),
    };
    let mut counts = BTreeMap::from([("lut4", 0), ("ff", 0), ("bram", 0), ("carry", 0)]);
    for line in stat.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some(cell) = words.iter().find(|w| w.starts_with("SB_")) else {
            continue;
        };
        let Some(n) = words.iter().find_map(|w| w.parse::<u64>().ok()) else {
            continue;
        };
        let name = match *cell {
            "SB_LUT4" => "lut4",
            "SB_CARRY" => "carry",
            c if c.starts_with("SB_DFF") => "ff",
            c if c.starts_with("SB_RAM40") => "bram",
            _ => continue,
        };
        *counts.entry(name).or_default() += n;
    }
    if counts["lut4"] == 0 {
        return Err("yosys counted no LUTs".into());
    }
    Ok(counts)
}

/// The limits in section `[config]` of a budget file: lines `name = number`.
fn budget(text: &str, config: &str) -> Result<BTreeMap<String, u64>, String> {
    let mut limits = BTreeMap::new();
    let mut here = false;
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or("").trim();
        let bad = || format!("constraints/budgets.toml:{}: `{line}`", number + 1);
        if line.is_empty() {
            continue;
        }
        if let Some(section) = line.strip_prefix('[') {
            here = section.strip_suffix(']').ok_or_else(bad)? == config;
            continue;
        }
        let (name, limit) = line.split_once('=').ok_or_else(bad)?;
        let limit = limit.trim().parse().map_err(|_| bad())?;
        if here {
            limits.insert(name.trim().to_string(), limit);
        }
    }
    if limits.is_empty() {
        return Err(format!(
            "constraints/budgets.toml has no section [{config}]"
        ));
    }
    Ok(limits)
}

fn within(
    counts: &BTreeMap<&'static str, u64>,
    limits: &BTreeMap<String, u64>,
) -> Result<String, String> {
    for (name, limit) in limits {
        match counts.get(name.as_str()) {
            None => {
                return Err(format!(
                    "budgets.toml limits `{name}`, which is not counted"
                ));
            }
            Some(n) if n > limit => return Err(format!("{name}: {n}, the budget is {limit}")),
            Some(_) => {}
        }
    }
    let of = |name: &str| {
        let n = counts.get(name).copied().unwrap_or(0);
        match limits.get(name) {
            Some(limit) => format!("{n} {name} of {limit}"),
            None => format!("{n} {name}"),
        }
    };
    Ok(["lut4", "ff", "bram", "carry"].map(of).join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "\n3. Printing statistics.\n   Number of cells: 12\n     SB_CARRY   2\n     SB_DFFE   5\n     SB_DFF  1\n     SB_LUT4  4\n     SB_RAM40_4K   3\n";
    const NEW: &str = "\n3. Printing statistics.\n      12 cells\n      2   SB_CARRY\n      5   SB_DFFE\n      1   SB_DFF\n      4   SB_LUT4\n      3   SB_RAM40_4K\n";

    #[test]
    fn both_forms_of_statistics() {
        for log in [OLD, NEW] {
            let c = count(log).expect("counts");
            assert_eq!((c["lut4"], c["ff"], c["bram"], c["carry"]), (4, 6, 3, 2));
        }
        assert!(count("nothing").is_err());
    }

    #[test]
    fn budgets() {
        let text = "# limits\n[tiny]\nlut4 = 4 # of 8\nff=6\n[big]\nlut4 = 9\n";
        let tiny = budget(text, "tiny").expect("a section");
        assert_eq!(tiny.len(), 2);
        let mut counts = count(NEW).expect("counts");
        assert!(within(&counts, &tiny).is_ok());
        counts.insert("lut4", 5);
        let e = within(&counts, &tiny).expect_err("too many");
        assert_eq!(e, "lut4: 5, the budget is 4");
        assert!(budget(text, "other").is_err());
        assert!(budget("[tiny]\nlut4 4\n", "tiny").is_err());
    }
}
