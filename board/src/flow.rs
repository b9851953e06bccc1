//! Synthesis, place and route, packing.

use crate::device::{Device, Family};
use crate::tools::{Tools, make_dir, read, run, write};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names and numbers, such as `lut4` and 2,664.
pub type Counts = BTreeMap<String, u64>;

/// What Yosys only mentions but nobody wants in a bitstream.
const UNWANTED: [&str; 6] = [
    "is implicitly declared",
    "Latch inferred",
    "is used but has no driver",
    "multiple conflicting drivers",
    "NOT EQUIVALENT",
    "UNDECIDED",
];

/// What ABC does, a comma for each space: as Yosys has it, but `&syn3` rebuilds the logic first, and the mapper looks at more
/// cuts (`-C`) and recovers area more often (`-F`, `-A`). The networks come out flatter and smaller than those of `&dch` alone;
/// `abc9` proves each equal to what it was.
const MAPPER: &str = "\"+&scorr;&sweep;&dc2;&dc2;&st;&syn3;&syn3;&syn3;&syn3;&dch,-f,-C,2000;&ps;&if,{W},{D},-C,16,-F,3,-A,5,-v;&mfs\"";

/// A design on its way to a device.
#[derive(Clone, Debug)]
pub struct Job {
    /// Verilog files.
    pub sources: Vec<PathBuf>,
    /// Top module; files made on the way are named after it.
    pub top: String,
    /// Where they go.
    pub dir: PathBuf,
    /// Target.
    pub device: &'static Device,
}

/// Result of place and route.
#[derive(Clone, Debug, Serialize)]
pub struct Routed {
    /// Highest clock frequency in MHz that nextpnr's timing analysis allows.
    pub fmax_mhz: f64,
    /// Cells used and available, by nextpnr's names; kinds of which none is used are left out.
    pub used: BTreeMap<String, Used>,
}

/// How many there are of a kind of cell.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Used {
    /// In the design.
    pub used: u64,
    /// On the device.
    pub available: u64,
}

/// The parts of nextpnr's report that are used.
#[derive(Deserialize)]
struct Report {
    fmax: BTreeMap<String, Fmax>,
    utilization: BTreeMap<String, Used>,
}

#[derive(Deserialize)]
struct Fmax {
    achieved: f64,
}

impl Job {
    fn file(&self, extension: &str) -> PathBuf {
        self.dir.join(self.name(extension))
    }

    fn name(&self, extension: &str) -> String {
        format!("{}.{extension}", self.top)
    }

    /// A program of the flow, run in `dir`: what is built to WebAssembly does not see every path of the system, but
    /// always its current directory. So it is given names, not paths.
    fn program(&self, tools: &Tools, name: &str) -> Command {
        let mut program = tools.program(name);
        program.current_dir(&self.dir);
        program
    }

    /// Maps the design to the device's cells and counts them. The netlist stays in `dir`.
    ///
    /// # Errors
    /// What Yosys says; also latches, undriven or multiply driven signals and combinational loops.
    pub fn synthesise(&self, tools: &Tools) -> Result<Counts, String> {
        make_dir(&self.dir)?;
        let sources: Vec<String> = self
            .sources
            .iter()
            .map(|s| s.display().to_string())
            .collect();
        let top = &self.top;
        let family = self.device.family;
        // The loop check must see the design before it is mapped: afterwards it sees no loops.
        let commands = [
            family.library().into(),
            format!("read_verilog {}", sources.join(" ")),
            format!("hierarchy -check -top {top}"),
            "proc".into(),
            "flatten".into(),
            "opt_clean".into(),
            "check -assert".into(),
            format!("scratchpad -set abc9.script {MAPPER}"),
            format!("{} -top {top}", family.synthesis()),
            "stat".into(),
            format!("write_json -noscopeinfo {}", self.file("json").display()),
        ];
        let log = tools.yosys(&commands)?;
        write(&self.file("yosys.log"), &log)?;
        let unwanted = |l: &&str| UNWANTED.iter().any(|u| l.contains(u));
        if let Some(line) = log.lines().find(unwanted) {
            return Err(format!("yosys: {line}"));
        }
        count(&log, family)
    }

    /// Places and routes the netlist of [`Job::synthesise`] for a clock of `mhz`. `pins` is the board's constraint
    /// file; without it signals are placed anywhere. Missing `mhz` is not an error here: compare
    /// [`Routed::fmax_mhz`].
    ///
    /// # Errors
    /// nextpnr cannot place or route the design.
    pub fn route(
        &self,
        tools: &Tools,
        pins: Option<&Path>,
        mhz: f64,
        seed: u64,
    ) -> Result<Routed, String> {
        let family = self.device.family;
        let (pins_option, out_option) = match family {
            Family::Ice40 => ("--pcf", "--asc"),
            Family::Ecp5 => ("--lpf", "--textcfg"),
        };
        let mut nextpnr = self.program(tools, family.router());
        nextpnr
            .args(self.device.place)
            .args(["--quiet", "--timing-allow-fail"])
            .args(["--freq", &mhz.to_string(), "--seed", &seed.to_string()])
            .args(["--json", &self.name("json")])
            .args(["--report", &self.name("report.json")])
            .args(["--log", &self.name("nextpnr.log")])
            .args([out_option, &self.name("routed")]);
        match pins {
            Some(file) => {
                write(&self.file("pins"), &read(file)?)?;
                nextpnr.args([pins_option, &self.name("pins")])
            }
            None => nextpnr.arg(family.unconstrained()),
        };
        run(&mut nextpnr)?;
        let path = self.file("report.json");
        let report: Report = serde_json::from_str(&read(&path)?)
            .map_err(|e| format!("{}: not nextpnr's report: {e}", path.display()))?;
        // The slowest clock counts; a design without one is not what anybody wants to measure.
        let fmax = report.fmax.values().map(|f| f.achieved);
        let fmax_mhz = fmax.reduce(f64::min).ok_or("nextpnr found no clock")?;
        let mut used = report.utilization;
        used.retain(|_, cell| cell.used > 0);
        Ok(Routed { fmax_mhz, used })
    }

    /// Packs the routed design into a bitstream; complete at `to` or not there.
    ///
    /// # Errors
    /// The packer refuses, or the file cannot be written.
    pub fn pack(&self, tools: &Tools, to: &Path) -> Result<u64, String> {
        let half = self.file("bitstream");
        let mut packer = match self.device.family {
            Family::Ice40 => self.program(tools, "icepack"),
            Family::Ecp5 => {
                let mut p = self.program(tools, "ecppack");
                p.arg("--compress");
                p
            }
        };
        run(packer.args([self.name("routed"), self.name("bitstream")]))?;
        // Beside its place first: only a move within one file system is all or nothing.
        let near = to.with_extension("part");
        let placed = fs::copy(&half, &near).and_then(|n| fs::rename(&near, to).map(|()| n));
        placed.map_err(|e| {
            // It may not be there.
            let _ = fs::remove_file(&near);
            format!("{}: {e}", to.display())
        })
    }
}

/// Cells by the names that budgets use, from the last `stat` in a log.
fn count(log: &str, family: Family) -> Result<Counts, String> {
    let stat = match log.rfind("Printing statistics") {
        Some(at) => &log[at..],
        None => return Err("yosys printed no statistics".into()),
    };
    let mut counts = Counts::new();
    for (_, name) in family.cells() {
        counts.insert(name.to_string(), 0);
    }
    for line in stat.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some(n) = words.iter().find_map(|w| w.parse::<u64>().ok()) else {
            continue;
        };
        let kind = |w: &&str| family.cells().iter().find(|(cell, _)| w.starts_with(cell));
        if let Some((_, name)) = words.iter().find_map(kind) {
            *counts.entry(name.to_string()).or_default() += n;
        }
    }
    if counts["lut4"] == 0 {
        return Err("yosys counted no LUTs".into());
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_of_the_last_statistics() {
        let stat = "\n3. Printing statistics.\n      12 cells\n      2   SB_CARRY\n      5   SB_DFFE\n      1   SB_DFF\n      4   SB_LUT4\n      3   SB_RAM40_4K\n";
        let log = format!("\n2. Printing statistics.\n  99 SB_LUT4\n{stat}");
        let c = count(&log, Family::Ice40).expect("counts");
        assert_eq!((c["lut4"], c["ff"], c["bram"], c["carry"]), (4, 6, 3, 2));
        assert!(count("nothing", Family::Ice40).is_err());
    }
}
