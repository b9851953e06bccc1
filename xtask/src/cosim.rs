//! Co-simulation: recordings of the Rust simulation, replayed on the Verilog in Icarus.

use crate::report::Report;
use crate::tools::{make_dir, run as tool, run_within, write};
use portcullis_board::tools::target;
use portcullis_hdl::cosim::{Case, cells, top_cases};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// A ring of signals that never comes to rest shows as a simulation that never ends.
const LIMIT: Duration = Duration::from_secs(600);

/// Every cell and block, and the core. The core's Verilog is the file that `portcullis verilog` wrote.
pub fn run(report: &mut Report, cycles: usize, seed: u64) {
    for case in cells::cases() {
        report.step(&format!("cosim {}", case.name), || {
            replay(&case, cycles / 3, seed, None)
        });
    }
    for core in top_cases() {
        let file = target().join(format!("verilog/{}.v", core.name));
        report.step(&format!("cosim {}", core.name), || {
            replay(&core, cycles, seed, Some(&file))
        });
    }
}

fn replay(case: &Case, cycles: usize, seed: u64, verilog: Option<&Path>) -> Result<String, String> {
    let files = case.run(cycles, seed)?;
    let dir = make_dir(&target().join("cosim").join(case.name))?;
    let text = match verilog {
        Some(file) => {
            std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?
        }
        None => files.verilog,
    };
    write(&dir.join("dut.v"), &text)?;
    write(&dir.join("tb.v"), &files.testbench)?;
    write(&dir.join("rows.hex"), &files.rows)?;
    tool(
        Command::new("iverilog")
            .args(["-g2005", "-s", "tb", "-o", "sim.vvp", "tb.v", "dut.v"])
            .current_dir(&dir),
    )?;
    let path = dir.join("vvp.log");
    let mut vvp = Command::new("vvp");
    run_within(vvp.args(["-n", "sim.vvp"]).current_dir(&dir), LIMIT, &path)?;
    let log = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let last = log.lines().rfind(|l| !l.trim().is_empty()).unwrap_or("");
    if last.trim() == format!("EQUAL {}", files.cycles) {
        return Ok(format!("{cycles} cycles equal, seed {seed}"));
    }
    let first = log
        .lines()
        .find(|l| !l.trim().is_empty())
        .unwrap_or("no output");
    Err(format!("seed {seed}, {last}, first: {first}"))
}
