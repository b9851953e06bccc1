//! The demonstration system: its self-test through the simulated serial line, and bitstreams for the boards.

use crate::report::Report;
use crate::synth::{budgets, stored};
use crate::tools::{portcullis, run as tool};
use portcullis_board::boards::board;
use portcullis_board::figures;
use portcullis_board::tools::{Tools, target};

/// The command of a user, on the generated Verilog.
pub fn self_test(report: &mut Report) {
    report.step("self-test of the board", || {
        let text = tool(portcullis().args(["board", "--simulate", "self-test"]))?;
        let steps = text.lines().filter(|l| l.starts_with("passed:")).count();
        Ok(format!("{steps} steps, every byte through the UART"))
    });
}

/// Boards that are built every time: one of each family.
pub const EVERY_TIME: [&str; 2] = ["alchitry-cu", "ulx3s-85f"];

/// Synthesises, places, routes and packs for these boards; a design slower than the board's clock fails, and one above
/// its budget.
pub fn bitstreams(report: &mut Report, tools: &Tools, names: &[String]) {
    for name in names {
        report.step(&format!("bitstream {name}"), || {
            let board = board(name)?;
            let limits = budgets()?.remove("demo").and_then(|mut b| b.remove(name));
            let limits = limits.ok_or(format!("budgets.toml has no section [demo.{name}]"))?;
            let dir = target().join(format!("boards/{name}"));
            let built = board.build(tools, board.seed, &dir)?;
            let extension = board.device()?.family.bitstream();
            let to = dir.join(format!("{name}.{extension}"));
            let bytes = board.pack(tools, &dir, &to)?;
            let area = limits.area(&built.cells)?;
            let clock = limits.clock(built.routed.fmax_mhz)?;
            let mhz = Some(built.routed.fmax_mhz);
            figures::agree(&stored()?, "demo", name, &built.cells, mhz)?;
            Ok(format!("{area}, {clock}, {bytes} bytes"))
        });
    }
}
