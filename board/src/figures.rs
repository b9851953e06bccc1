//! `constraints/synthesis.json`: what the designs took when it was last recorded, and the table of it.
//!
//! `portcullis area` and `synth` write the file (`--record`), `cargo xtask verify` measures again and refuses a file that
//! has become wrong, and the README has the table between two markers ([`between`]).

use crate::area::design;
use crate::boards::BOARDS;
use crate::device::device;
use crate::flow::Counts;
use portcullis_hdl::verilog::{BUSES, Bus};
use portcullis_regmap::Config;
use portcullis_regmap::config::{CONFIGS, TINY};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Where the file is, from the root of the project.
pub const PATH: &str = "constraints/synthesis.json";

/// One design on one device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Cells after synthesis.
    pub cells: Counts,
    /// Clock frequency in MHz that it was routed for, if it was.
    pub fmax_mhz: Option<f64>,
}

/// Figures by design, then by device or board: the names of `constraints/budgets.toml`.
pub type Stored = BTreeMap<String, BTreeMap<String, Figures>>;

/// How far a figure may be from what is stored. Every change of a netlist moves the clock by some MHz.
const CELLS: f64 = 0.05;
const CLOCK: f64 = 0.15;

/// Reads the file's text.
///
/// # Errors
/// It is not JSON of this shape.
pub fn parse(text: &str) -> Result<Stored, String> {
    serde_json::from_str(text).map_err(|e| format!("{PATH}: {e}"))
}

/// The text of the file.
///
/// # Errors
/// A figure is not a number.
pub fn text(stored: &Stored) -> Result<String, String> {
    let text = serde_json::to_string_pretty(stored).map_err(|e| format!("{PATH}: {e}"))?;
    Ok(text + "\n")
}

/// Compares what has been measured with what is stored of it.
///
/// # Errors
/// Nothing is stored, or a figure is too far off; the message names it.
pub fn agree(
    stored: &Stored,
    design: &str,
    place: &str,
    cells: &Counts,
    fmax_mhz: Option<f64>,
) -> Result<(), String> {
    let again = "record it with `portcullis area` or `synth` and --record";
    let old = stored.get(design).and_then(|d| d.get(place));
    let old = old.ok_or(format!(
        "{PATH} has nothing of {design} on {place}: {again}"
    ))?;
    let mut pairs: Vec<(&str, f64, f64, f64)> = vec![];
    for name in ["lut4", "ff", "bram"] {
        let (new, old) = (cells.get(name), old.cells.get(name));
        let number = |n: Option<&u64>| n.copied().unwrap_or(0) as f64;
        pairs.push((name, number(new), number(old), CELLS));
    }
    if let (Some(new), Some(old)) = (fmax_mhz, old.fmax_mhz) {
        pairs.push(("MHz", new, old, CLOCK));
    }
    match pairs
        .iter()
        .find(|(_, new, old, far)| (new - old).abs() > old * far)
    {
        None => Ok(()),
        Some((name, new, old, _)) => Err(format!(
            "{design} on {place}: {name} is {new}, {PATH} says {old}: {again}"
        )),
    }
}

/// `2`, `3L+6` or `L+4`: the straight line through the cycles at each latency L.
fn cycles(performance: &Value, config: &Config, figure: &str) -> Result<String, String> {
    let missing = || {
        let name = config.name;
        format!(
            "constraints/performance.json: {figure} of {name} is not a straight line over the latency"
        )
    };
    let points = performance[config.name]["figures"][figure].as_object();
    let points = points.ok_or_else(missing)?.iter();
    let points: Option<Vec<(f64, f64)>> = points
        .map(|(l, n)| Some((l.parse().ok()?, n.as_f64()?)))
        .collect();
    let points = points.ok_or_else(missing)?;
    let [(l0, n0), (l1, n1), ..] = points[..] else {
        return Err(missing());
    };
    let slope = (n1 - n0) / (l1 - l0);
    let start = n0 - slope * l0;
    if points
        .iter()
        .any(|(l, n)| (slope * l + start - n).abs() > 0.01)
    {
        return Err(missing());
    }
    let slope = match slope {
        0.0 => return Ok(start.to_string()),
        1.0 => String::new(),
        slope => slope.to_string(),
    };
    Ok(format!("{slope}L+{start}"))
}

/// 1234567 as 1,234,567.
fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let groups = digits.as_bytes().rchunks(3).rev();
    let groups: Vec<String> = groups.map(|g| String::from_utf8_lossy(g).into()).collect();
    groups.join(",")
}

/// The table: configuration, where, cells, clock, cycles.
///
/// # Errors
/// A figure of `performance` is missing or not a straight line.
pub fn table(stored: &Stored, performance: &Value) -> Result<String, String> {
    let mut text = String::from(
        "| design | on | LUT4 / FF / block RAM | MHz | hit | 4 KiB miss | in a warm region | cold |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    let mut row = |name: &str, config: &Config, place: &str, on: &str, with: &str| {
        let Some(figures) = stored.get(name).and_then(|d| d.get(place)) else {
            return Ok(());
        };
        let count = |kind| thousands(figures.cells.get(kind).copied().unwrap_or(0));
        let mhz = figures.fmax_mhz.map_or("-".into(), |m| format!("{m:.1}"));
        let mut line = format!(
            "| `{}`{with} | {on} | {} / {} / {} | {mhz} |",
            config.name,
            count("lut4"),
            count("ff"),
            count("bram"),
        );
        for figure in ["hit_latency", "miss_4k", "miss_4k_walk_cached", "cold_1lvl"] {
            line += &format!(" {} |", cycles(performance, config, figure)?);
        }
        text += &line;
        text.push('\n');
        Ok::<(), String>(())
    };
    for bus in BUSES {
        let with = if bus == Bus::Axi {
            " with AXI ports"
        } else {
            ""
        };
        for config in CONFIGS {
            let name = design(config, bus);
            for place in stored.get(&name).into_iter().flat_map(BTreeMap::keys) {
                row(&name, config, place, device(place)?.title, with)?;
            }
        }
    }
    for board in &BOARDS {
        let on = format!("`{}`, clock {} MHz", board.name, board.mhz());
        row("demo", &TINY, board.name, &on, ", demonstration system")?;
    }
    Ok(text)
}

/// Lines before and after the table in the README.
const MARKERS: [&str; 2] = ["<!-- portcullis area --table -->\n", "<!-- end of it -->\n"];

/// What `page` has between the markers.
#[must_use]
pub fn between(page: &str) -> Option<&str> {
    let (_, rest) = page.split_once(MARKERS[0])?;
    rest.split_once(MARKERS[1]).map(|(table, _)| table)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORED: &str = include_str!("../../constraints/synthesis.json");
    const PERFORMANCE: &str = include_str!("../../constraints/performance.json");
    const README: &str = include_str!("../../README.md");

    fn performance() -> Value {
        serde_json::from_str(PERFORMANCE).expect("figures")
    }

    #[test]
    fn the_readme_has_the_table_of_what_is_stored() {
        let stored = parse(STORED).expect("figures");
        assert_eq!(text(&stored).expect("text"), STORED, "the file's own form");
        let table = table(&stored, &performance()).expect("a table");
        assert_eq!(
            between(README),
            Some(&table[..]),
            "put this there:\n{table}"
        );
        for board in &BOARDS {
            assert!(table.contains(board.name), "{}", board.name);
        }
        for config in CONFIGS {
            for bus in BUSES {
                assert!(stored.contains_key(&design(config, bus)), "{}", config.name);
            }
        }
    }

    #[test]
    fn cycles_are_straight_lines_or_refused() {
        let mut figures = performance();
        let mut one = |points: &str| {
            figures["tiny"]["figures"]["x"] = serde_json::from_str(points).expect("points");
            cycles(&figures, &TINY, "x")
        };
        assert_eq!(one(r#"{"1": 2, "10": 2, "50": 2}"#), Ok("2".into()));
        assert_eq!(one(r#"{"1": 9, "10": 36, "50": 156}"#), Ok("3L+6".into()));
        assert_eq!(one(r#"{"1": 5, "10": 14, "50": 54}"#), Ok("L+4".into()));
        assert!(one(r#"{"1": 5, "10": 14, "50": 55}"#).is_err());
        assert!(one("3").is_err());
        assert_eq!(
            [thousands(7), thousands(1234), thousands(1_000_000)],
            ["7", "1,234", "1,000,000"]
        );
    }

    #[test]
    fn figures_that_have_become_wrong_are_named() {
        let figures =
            r#"{"a": {"b": {"cells": {"bram": 3, "ff": 100, "lut4": 1000}, "fmax_mhz": 50.0}}}"#;
        let stored = parse(figures).expect("figures");
        let cells = |lut4| {
            Counts::from([
                ("lut4".into(), lut4),
                ("ff".into(), 100),
                ("bram".into(), 3),
            ])
        };
        assert_eq!(agree(&stored, "a", "b", &cells(1049), Some(43.0)), Ok(()));
        assert_eq!(agree(&stored, "a", "b", &cells(951), None), Ok(()));
        for (cells, mhz, word) in [
            (cells(1051), 50.0, "lut4 is 1051"),
            (cells(949), 50.0, "lut4"),
            (cells(1000), 42.0, "MHz is 42"),
            (cells(1000), 58.0, "MHz"),
            (Counts::new(), 50.0, "lut4"),
        ] {
            let error = agree(&stored, "a", "b", &cells, Some(mhz)).expect_err("off");
            assert!(
                error.contains(word) && error.contains("--record"),
                "{error}"
            );
        }
        assert!(agree(&stored, "a", "c", &cells(1000), None).is_err());
    }
}
