//! The demonstration system: its self-test through the simulated serial line, and bitstreams for the boards.

use crate::report::Report;
use crate::target;
use crate::tools::{portcullis, run as tool};
use portcullis_board::boards::BOARDS;
use portcullis_board::tools::Tools;

/// The command of a user, on the generated Verilog.
pub fn self_test(report: &mut Report) {
    report.step("self-test of the board", || {
        let text = tool(portcullis().args(["board", "--simulate", "self-test"]))?;
        let steps = text.lines().filter(|l| l.starts_with("passed:")).count();
        Ok(format!("{steps} steps, every byte through the UART"))
    });
}

/// Synthesises, places, routes and packs for every board; a design slower than the board's clock fails.
pub fn bitstreams(report: &mut Report, tools: &Tools) {
    for board in &BOARDS {
        report.step(&format!("bitstream {}", board.name), || {
            let dir = target().join(format!("boards/{}", board.name));
            let built = board.build(tools, board.seed, &dir)?;
            let bytes = board.pack(tools, &dir, &dir.join(format!("{}.bin", board.name)))?;
            let lut4 = built.cells.get("lut4").copied().unwrap_or(0);
            Ok(format!(
                "{lut4} lut4, {:.1} MHz of {}, {bytes} bytes",
                built.routed.fmax_mhz,
                board.mhz()
            ))
        });
    }
}
