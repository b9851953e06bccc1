//! Boards: device, pins, clock, and the top level that puts the demonstration system on them.

use crate::area::AIM_MHZ;
use crate::device::{Device, device};
use crate::flow::{Counts, Job, Routed};
use crate::soc;
use crate::tools::{Tools, make_dir, write};
use serde_json::{Value, json};
use std::path::Path;

/// A board.
#[derive(Clone, Copy, Debug)]
pub struct Board {
    /// Its name on the command line.
    pub name: &'static str,
    /// Name of its device.
    pub device: &'static str,
    /// Pins, in the format of the device's router.
    pub pins: &'static str,
    /// Clock of the system, made from the board's oscillator by its top level.
    pub hertz: u64,
    /// Bits per second of the serial line.
    pub baud: u64,
    /// Seed of place and route with which the clock is met.
    pub seed: u64,
    /// Verilog of the top level; its module is called [`TOP`].
    pub top: &'static str,
}

/// Name of every board's top module.
pub const TOP: &str = "board";

/// The boards there are.
pub const BOARDS: [Board; 1] = [Board {
    name: "alchitry-cu",
    device: "hx8k",
    pins: include_str!("../../constraints/alchitry-cu.pcf"),
    hertz: 40_000_000,
    baud: 1_000_000,
    seed: 1,
    top: include_str!("../verilog/alchitry_cu.v"),
}];

/// The board of that name.
///
/// # Errors
/// There is none; the message lists those there are.
pub fn board(name: &str) -> Result<&'static Board, String> {
    let found = BOARDS.iter().find(|b| b.name == name);
    found.ok_or_else(|| {
        let names: Vec<&str> = BOARDS.iter().map(|b| b.name).collect();
        format!(
            "no board is called `{name}`: choose one of {}",
            names.join(", ")
        )
    })
}

/// What became of a board's design.
#[derive(Clone, Debug)]
pub struct Built {
    board: &'static Board,
    /// Cells after synthesis.
    pub cells: Counts,
    /// After place and route.
    pub routed: Routed,
}

impl Board {
    /// Its device.
    ///
    /// # Errors
    /// The table above names one that is not known.
    pub fn device(&self) -> Result<&'static Device, String> {
        device(self.device)
    }

    /// Clock in MHz.
    #[must_use]
    pub fn mhz(&self) -> f64 {
        self.hertz as f64 / 1e6
    }

    /// Clocks per bit of the serial line.
    ///
    /// # Errors
    /// The line's receiver cannot be set to that.
    pub fn divider(&self) -> Result<u16, String> {
        u16::try_from(self.hertz / self.baud)
            .ok()
            .filter(|d| (4..1024).contains(d))
            .ok_or(format!("{}: {} baud cannot be made", self.name, self.baud))
    }

    /// Synthesises, places and routes the system for the board in `dir`.
    ///
    /// # Errors
    /// A tool refuses, or the design is slower than the board's clock.
    pub fn build(&'static self, tools: &Tools, seed: u64, dir: &Path) -> Result<Built, String> {
        make_dir(dir)?;
        let system = dir.join(format!("{}.v", soc::TOP));
        write(&system, &soc::verilog(self.hertz, self.divider()?)?)?;
        let top = dir.join("top.v");
        write(&top, self.top)?;
        let pins = dir.join("pins");
        write(&pins, self.pins)?;
        let job = self.job(dir, vec![system, top])?;
        let cells = job.synthesise(tools)?;
        let routed = job.route(tools, Some(&pins), AIM_MHZ.max(self.mhz()), seed)?;
        if routed.fmax_mhz < self.mhz() {
            return Err(format!(
                "{}: routed for {:.1} MHz, the board's clock has {}: no bitstream; another seed may do",
                self.name,
                routed.fmax_mhz,
                self.mhz()
            ));
        }
        Ok(Built {
            board: self,
            cells,
            routed,
        })
    }

    fn job(&self, dir: &Path, sources: Vec<std::path::PathBuf>) -> Result<Job, String> {
        Ok(Job {
            sources,
            top: TOP.into(),
            dir: dir.to_path_buf(),
            device: self.device()?,
        })
    }

    /// Packs what [`Board::build`] has left in `dir` into the bitstream `to`; returns its bytes.
    ///
    /// # Errors
    /// The packer refuses, or the file cannot be written.
    pub fn pack(&self, tools: &Tools, dir: &Path, to: &Path) -> Result<u64, String> {
        self.job(dir, vec![])?.pack(tools, to)
    }
}

impl Built {
    /// The figures as one object.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "board": self.board.name,
            "clock_mhz": self.board.mhz(),
            "cells": self.cells,
            "routed": self.routed,
        })
    }

    /// The figures as lines of name and number.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = format!("{} at {} MHz\n", self.board.name, self.board.mhz());
        for (name, n) in &self.cells {
            text += &format!("{name:>14} {n:>6}\n");
        }
        for (name, cell) in &self.routed.used {
            let percent = 100 * cell.used / cell.available.max(1);
            text += &format!(
                "{name:>14} {:>6} of {} ({percent} %)\n",
                cell.used, cell.available
            );
        }
        text += &format!("{:>14} {:>6.1}\n", "MHz", self.routed.fmax_mhz);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_board_can_be_made() {
        for board in &BOARDS {
            assert!(
                board.device().is_ok() && board.divider().is_ok(),
                "{}",
                board.name
            );
            assert!(board.top.contains("module board("), "{}", board.name);
        }
        assert!(super::board("none").is_err());
    }
}
