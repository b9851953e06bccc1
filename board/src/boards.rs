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
    /// Bits per second of the serial line: as many as the board's own adapter is good for, or any adapter.
    pub baud: u64,
    /// Seed of place and route with which the clock is met.
    pub seed: u64,
    /// Verilog of the top level, whose module is called [`TOP`], and of what it is made of beside the system.
    pub verilog: &'static [&'static str],
}

/// Name of every board's top module.
pub const TOP: &str = "board";

const START: &str = include_str!("../verilog/start.v");
const ECP5_PLL: &str = include_str!("../verilog/ecp5_pll.v");

/// The boards there are.
pub const BOARDS: [Board; 4] = [
    Board {
        name: "alchitry-cu",
        device: "hx8k",
        pins: include_str!("../../constraints/alchitry-cu.pcf"),
        hertz: 48_437_500,
        baud: 1_000_000,
        seed: 5,
        verilog: &[include_str!("../verilog/alchitry_cu.v")],
    },
    Board {
        name: "ulx3s-85f",
        device: "ecp5",
        pins: include_str!("../../constraints/ulx3s-85f.lpf"),
        hertz: 50_000_000,
        baud: 1_000_000,
        seed: 1,
        verilog: &[include_str!("../verilog/ulx3s_85f.v"), START, ECP5_PLL],
    },
    Board {
        name: "orangecrab-25f",
        device: "ecp5-25-mg285",
        pins: include_str!("../../constraints/orangecrab-25f.lpf"),
        hertz: 48_000_000,
        baud: 115_200,
        seed: 1,
        verilog: &[include_str!("../verilog/orangecrab_25f.v"), START],
    },
    Board {
        name: "colorlight-i5",
        device: "ecp5-25",
        pins: include_str!("../../constraints/colorlight-i5.lpf"),
        hertz: 50_000_000,
        baud: 115_200,
        seed: 1,
        verilog: &[include_str!("../verilog/colorlight_i5.v"), START, ECP5_PLL],
    },
];

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
    /// The line's receiver cannot be set to that, or would be off by more than one part in 100.
    pub fn divider(&self) -> Result<u16, String> {
        let nearest = (self.hertz + self.baud / 2) / self.baud;
        let off = (nearest * self.baud).abs_diff(self.hertz);
        u16::try_from(nearest)
            .ok()
            .filter(|d| (4..1024).contains(d) && off * 100 <= self.hertz)
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
        write(&top, &self.verilog.join("\n"))?;
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
        let budgets = include_str!("../../constraints/budgets.toml");
        let budgets = crate::budget::parse(budgets).expect("budgets");
        for board in &BOARDS {
            assert!(
                board.device().is_ok() && board.divider().is_ok(),
                "{}",
                board.name
            );
            let text = board.verilog.join("\n");
            assert!(text.contains("module board("), "{}", board.name);
            let budget = &budgets["demo"][board.name];
            assert!(budget.fmax_mhz >= Some(board.mhz()), "{}", board.name);
            assert!(budget.cells.contains_key("lut4"), "{}", board.name);
        }
    }

    #[test]
    fn an_unknown_board_is_named_with_those_there_are() {
        let error = super::board("none").expect_err("there is none");
        for name in [
            "`none`",
            "alchitry-cu",
            "ulx3s-85f",
            "orangecrab-25f",
            "colorlight-i5",
        ] {
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn a_line_that_would_be_off_is_refused() {
        let slow = Board {
            baud: 38_400,
            ..BOARDS[1]
        };
        assert!(slow.divider().is_err());
        let off = Board {
            hertz: 10_000_000,
            baud: 2_200_000,
            ..BOARDS[1]
        };
        assert!(off.divider().is_err());
    }

    /// Signals with a pin, and the pins.
    fn located(board: &Board) -> Vec<(String, String)> {
        let located = board.pins.lines().filter_map(|line| {
            let line = line.replace([';', '"'], "");
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["set_io", signal, pin, ..] | ["LOCATE", "COMP", signal, "SITE", pin, ..] => {
                    Some((signal.to_string(), pin.to_string()))
                }
                _ => None,
            }
        });
        located.collect()
    }

    #[test]
    fn every_port_has_a_pin_of_its_own() {
        for board in &BOARDS {
            let located = located(board);
            let mut ports = vec![];
            let list = board.verilog[0].split("module board(").nth(1);
            let list = list.and_then(|l| l.split(");").next()).expect("ports");
            for line in list.lines().filter(|l| !l.trim().is_empty()) {
                let words: Vec<&str> = line.trim().trim_end_matches(',').split(' ').collect();
                match words[..] {
                    [_, "wire", name] => ports.push(name.to_string()),
                    [_, "wire", range, name] => {
                        let high = range.trim_start_matches('[').split(':').next();
                        let high: usize = high.and_then(|h| h.parse().ok()).expect("a range");
                        ports.extend((0..=high).map(|i| format!("{name}[{i}]")));
                    }
                    _ => panic!("{}: {line}", board.name),
                }
            }
            let mut signals: Vec<String> = located.iter().map(|(s, _)| s.clone()).collect();
            signals.sort();
            ports.sort();
            assert_eq!(signals, ports, "{}", board.name);
            let mut pins: Vec<&String> = located.iter().map(|(_, p)| p).collect();
            pins.sort();
            pins.dedup();
            assert_eq!(pins.len(), located.len(), "{}", board.name);
        }
    }
}
