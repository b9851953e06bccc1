//! `constraints/budgets.toml`: what a design may take of a device, and how fast it has to be.

use crate::flow::Counts;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Limits of one design on one device.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Budget {
    /// Lowest clock frequency in MHz, after routing.
    pub fmax_mhz: Option<f64>,
    /// Highest number of cells of a kind.
    #[serde(flatten)]
    pub cells: Counts,
}

/// Limits by design, then by device.
pub type Budgets = BTreeMap<String, BTreeMap<String, Budget>>;

/// Reads the file's text.
///
/// # Errors
/// It is not TOML of this shape; the message names the line.
pub fn parse(text: &str) -> Result<Budgets, String> {
    toml::from_str(text).map_err(|e| format!("constraints/budgets.toml: {e}"))
}

impl Budget {
    /// One line about the counts and their limits.
    ///
    /// # Errors
    /// A limit is exceeded, or limits something that is not counted.
    pub fn area(&self, counts: &Counts) -> Result<String, String> {
        for (name, limit) in &self.cells {
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
        let text = |(name, n): (&String, &u64)| match self.cells.get(name) {
            Some(limit) => format!("{n} {name} of {limit}"),
            None => format!("{n} {name}"),
        };
        Ok(counts.iter().map(text).collect::<Vec<_>>().join(", "))
    }

    /// One line about the clock frequency and its limit.
    ///
    /// # Errors
    /// It is too low.
    pub fn clock(&self, fmax_mhz: f64) -> Result<String, String> {
        match self.fmax_mhz {
            Some(least) if fmax_mhz < least => {
                Err(format!("{fmax_mhz:.1} MHz, the budget is {least} or more"))
            }
            Some(least) => Ok(format!("{fmax_mhz:.1} MHz, {least} or more wanted")),
            None => Ok(format!("{fmax_mhz:.1} MHz")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold() {
        let text = "[tiny.hx8k]\nlut4 = 4 # of 8\nff = 6\nfmax_mhz = 48\n[big.ecp5]\nlut4 = 9\n";
        let all = parse(text).expect("budgets");
        let tiny = &all["tiny"]["hx8k"];
        let mut counts: Counts = [("lut4".to_string(), 4), ("ff".to_string(), 6)].into();
        assert_eq!(tiny.area(&counts).expect("fits"), "6 ff of 6, 4 lut4 of 4");
        counts.insert("lut4".into(), 5);
        let e = tiny.area(&counts).expect_err("too many");
        assert_eq!(e, "lut4: 5, the budget is 4");
        counts.remove("lut4");
        assert!(tiny.area(&counts).is_err(), "not counted");
        assert!(tiny.clock(48.0).is_ok());
        assert!(tiny.clock(47.9).is_err());
        assert!(all["big"]["ecp5"].clock(1.0).is_ok());
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "[tiny.hx8k]\nlut4 4\n",
            "[tiny]\nlut4 = 4\n",
            "[tiny.hx8k]\nlut4 = -1\n",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
