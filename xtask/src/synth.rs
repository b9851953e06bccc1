//! Synthesis for the boards' devices, and the budgets in constraints/budgets.toml.

use crate::report::Report;
use crate::tools::{make_dir, run as tool, run_within, write};
use crate::{root, target};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The release of pyosys that the budgets were set with.
const PYOSYS: &str = "pyosys==0.70";

/// Succeeds if that release is installed.
const PROBE: &str = "\
import importlib.metadata as m, sys
from pyosys import libyosys
sys.exit(m.version('pyosys') != sys.argv[1].split('==')[1])
";

/// A small command line around the library: runs the script in its first argument.
const WRAPPER: &str = "\
import sys
from pyosys import libyosys as ys

design = ys.Design()
for command in sys.argv[1].split(';'):
    ys.run_pass(command.strip(), design)
";

/// Finds a Yosys, as a step of its own.
pub fn find(report: &mut Report) -> Option<Flow> {
    let mut flow = None;
    report.step("synth: yosys", || {
        let (found, text) = Flow::find()?;
        flow = Some(found);
        Ok(text)
    });
    flow
}

/// Synthesises `file` for its devices and holds the results against the budgets of `config`.
pub fn run(report: &mut Report, flow: &Flow, config: &str, file: &Path) {
    let path = root().join("constraints/budgets.toml");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let limits = match budgets(&text, config) {
        Ok(limits) => limits,
        Err(e) => {
            report.step(&format!("synth {config}"), || Err(e));
            return;
        }
    };
    for (device, limits) in limits {
        report.step(&format!("synth {config}: {device}"), || {
            let family = Family::of(&device)?;
            within(&flow.synthesise(config, file, &family)?, &limits)
        });
    }
}

/// Names and numbers, such as `lut4` and 2,664.
type Counts = BTreeMap<String, u64>;

/// What Yosys calls things of a family of devices.
struct Family {
    command: &'static str,
    /// Beginnings of cell names, and what budgets call those cells.
    cells: &'static [(&'static str, &'static str)],
}

impl Family {
    fn of(device: &str) -> Result<Self, String> {
        match device {
            "hx8k" => Ok(Family {
                command: "synth_ice40",
                cells: &[
                    ("SB_LUT4", "lut4"),
                    ("SB_DFF", "ff"),
                    ("SB_RAM40", "bram"),
                    ("SB_CARRY", "carry"),
                ],
            }),
            "ecp5" => Ok(Family {
                command: "synth_ecp5",
                cells: &[
                    ("LUT4", "lut4"),
                    ("TRELLIS_FF", "ff"),
                    ("DP16KD", "bram"),
                    ("CCU2C", "carry"),
                    ("TRELLIS_DPR16X4", "dram"),
                ],
            }),
            _ => Err(format!("no synthesis for the device `{device}`")),
        }
    }
}

/// A Yosys.
pub enum Flow {
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
        let probe = || Command::new(&python).args(["-c", PROBE, PYOSYS]).output();
        if !probe().is_ok_and(|o| o.status.success()) {
            make_dir(&target())?;
            let log = target().join("venv.log");
            let minute = Duration::from_secs(60);
            let mut make = Command::new("python3");
            run_within(make.args(["-m", "venv"]).arg(&venv), minute, &log)?;
            let mut pip = Command::new(&python);
            let pip = pip.args(["-m", "pip", "install", "-q", "--no-input", PYOSYS]);
            run_within(pip, minute, &log)
                .map_err(|e| format!("pip cannot install {PYOSYS} ({e})"))?;
        }
        let script = venv.join("yosys.py");
        write(&script, WRAPPER)?;
        Ok(Flow::Python { python, script })
    }

    fn synthesise(&self, config: &str, file: &Path, family: &Family) -> Result<Counts, String> {
        let dir = make_dir(&target().join("synth"))?;
        let top = file.file_stem().unwrap_or_default().to_string_lossy();
        let script = format!(
            "read_verilog {}; {} -top {top}; stat",
            file.display(),
            family.command
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
        let name = format!("{config}_{}.log", family.command);
        write(&dir.join(name), &log)?;
        count(&log, family)
    }
}

/// Cells by the names that budgets use, from the last `stat` in a log.
fn count(log: &str, family: &Family) -> Result<Counts, String> {
    let stat = match log.rfind("Printing statistics") {
        Some(at) => &log[at..],
        None => return Err("yosys printed no statistics".into()),
    };
    let mut counts = Counts::new();
    for (_, name) in family.cells {
        counts.insert(name.to_string(), 0);
    }
    for line in stat.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some(n) = words.iter().find_map(|w| w.parse::<u64>().ok()) else {
            continue;
        };
        let kind = |w: &&str| family.cells.iter().find(|(cell, _)| w.starts_with(cell));
        if let Some((_, name)) = words.iter().find_map(kind) {
            *counts.entry(name.to_string()).or_default() += n;
        }
    }
    if counts["lut4"] == 0 {
        return Err("yosys counted no LUTs".into());
    }
    Ok(counts)
}

/// The limits of the sections `[config.device]`, by device; their lines are `name = number`.
fn budgets(text: &str, config: &str) -> Result<BTreeMap<String, Counts>, String> {
    let mut all: BTreeMap<String, Counts> = BTreeMap::new();
    let mut device = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or("").trim();
        let bad = || format!("constraints/budgets.toml:{}: `{line}`", number + 1);
        if line.is_empty() {
            continue;
        }
        if let Some(section) = line.strip_prefix('[') {
            let section = section.strip_suffix(']').ok_or_else(bad)?;
            let (name, of) = section.split_once('.').ok_or_else(bad)?;
            device = (name == config).then(|| of.to_string());
            continue;
        }
        let (name, limit) = line.split_once('=').ok_or_else(bad)?;
        let limit = limit.trim().parse().map_err(|_| bad())?;
        if let Some(device) = &device {
            let limits = all.entry(device.clone()).or_default();
            limits.insert(name.trim().to_string(), limit);
        }
    }
    if all.is_empty() {
        return Err(format!(
            "constraints/budgets.toml has no section [{config}.DEVICE]"
        ));
    }
    Ok(all)
}

fn within(counts: &Counts, limits: &Counts) -> Result<String, String> {
    for (name, limit) in limits {
        match counts.get(name) {
            None => {
                return Err(format!(
                    "budgets.toml limits `{name}`, which is not counted"
                ));
            }
            Some(n) if n > limit => return Err(format!("{name}: {n}, the budget is {limit}")),
            Some(_) => {}
        }
    }
    let texts: Vec<String> = counts
        .iter()
        .map(|(name, n)| match limits.get(name) {
            Some(limit) => format!("{n} {name} of {limit}"),
            None => format!("{n} {name}"),
        })
        .collect();
    Ok(texts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "\n3. Printing statistics.\n   Number of cells: 12\n     SB_CARRY   2\n     SB_DFFE   5\n     SB_DFF  1\n     SB_LUT4  4\n     SB_RAM40_4K   3\n";
    const NEW: &str = "\n3. Printing statistics.\n      12 cells\n      2   SB_CARRY\n      5   SB_DFFE\n      1   SB_DFF\n      4   SB_LUT4\n      3   SB_RAM40_4K\n";

    fn ice40(log: &str) -> Result<Counts, String> {
        count(log, &Family::of("hx8k").expect("a family"))
    }

    #[test]
    fn both_forms_of_statistics() {
        for log in [OLD, NEW] {
            let c = ice40(log).expect("counts");
            assert_eq!((c["lut4"], c["ff"], c["bram"], c["carry"]), (4, 6, 3, 2));
        }
        assert!(ice40("nothing").is_err());
    }

    #[test]
    fn limits() {
        let text = "# limits\n[tiny.hx8k]\nlut4 = 4 # of 8\nff=6\n[big.ecp5]\nlut4 = 9\n";
        let all = budgets(text, "tiny").expect("a section");
        assert_eq!(all.keys().collect::<Vec<_>>(), ["hx8k"]);
        let tiny = &all["hx8k"];
        assert_eq!(tiny.len(), 2);
        let mut counts = ice40(NEW).expect("counts");
        assert!(within(&counts, tiny).is_ok());
        counts.insert("lut4".into(), 5);
        let e = within(&counts, tiny).expect_err("too many");
        assert_eq!(e, "lut4: 5, the budget is 4");
        assert!(budgets(text, "other").is_err());
        assert!(budgets("[tiny.hx8k]\nlut4 4\n", "tiny").is_err());
        assert!(budgets("[tiny]\nlut4 = 4\n", "tiny").is_err());
    }

    #[test]
    fn every_configuration_has_a_budget() {
        let text = include_str!("../../constraints/budgets.toml");
        for config in portcullis_regmap::config::CONFIGS {
            for device in budgets(text, config.name).expect("a budget").keys() {
                assert!(Family::of(device).is_ok(), "{device}");
            }
        }
    }
}
