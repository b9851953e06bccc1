//! What was reached, as a file: from it comes docs/performance.md, and tests hold new measurements against it.
//!
//! Values only; names, units, bounds and the peer come from [`super::figures`]. Everything is sorted, one number a line, so
//! that a change shows in the history as the change of one figure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Figure;
use super::sweep::Point;

/// Values by what they depend on: memory latency, pages or devices.
pub type Series = BTreeMap<u64, f64>;

/// What was reached on one configuration, or on a variant of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reached {
    /// What was measured, of a variant: what it lacks, and where it is to be found.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// By name of the figure, with the log if there is one, and memory latency.
    pub figures: BTreeMap<String, Series>,
    /// By name of the curve and point.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub curves: BTreeMap<String, Series>,
}

impl Reached {
    /// Takes figures and curves over.
    pub fn take(&mut self, figures: &[Figure], points: &[Point]) {
        for figure in figures {
            let series = self.figures.entry(key(figure)).or_default();
            series.insert(figure.latency, figure.value);
        }
        for point in points {
            let series = self.curves.entry(point.curve.to_owned()).or_default();
            series.insert(point.x, point.y);
        }
    }

    /// Value of a figure.
    #[must_use]
    pub fn value(&self, key: &str, latency: u64) -> Option<f64> {
        self.figures.get(key)?.get(&latency).copied()
    }

    /// What is not as it was, in words.
    #[must_use]
    pub fn differences(&self, figures: &[Figure]) -> Vec<String> {
        let differences = figures.iter().filter_map(|figure| {
            let now = figure.value;
            let what = match self.value(&key(figure), figure.latency) {
                None => format!("{now} and was not recorded"),
                Some(before) if now > before => format!("{now}, slower than {before}"),
                Some(before) if now < before => format!("{now}, faster than {before}"),
                Some(_) => return None,
            };
            Some(format!("{} is {what}", figure.title()))
        });
        differences.collect()
    }

    /// Those of `figures` that are slower than they were.
    #[must_use]
    pub fn slower(&self, figures: &[Figure]) -> Vec<Figure> {
        let slower = figures.iter().filter(|figure| {
            let before = self.value(&key(figure), figure.latency);
            before.is_some_and(|before| figure.value > before)
        });
        slower.cloned().collect()
    }
}

/// What a figure is filed under.
fn key(figure: &Figure) -> String {
    match &figure.trace {
        Some(trace) => trace_key(&figure.name, trace),
        None => figure.name.clone(),
    }
}

/// What a figure of a replay is filed under.
#[must_use]
pub fn trace_key(name: &str, trace: &str) -> String {
    format!("{name} {trace}")
}

/// The file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record(pub BTreeMap<String, Reached>);

impl Record {
    /// Reads a file.
    ///
    /// # Errors
    /// One line: it is not such a file.
    pub fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| format!("is not a record of figures: {error}"))
    }

    /// As text.
    ///
    /// # Errors
    /// A value that is no number.
    pub fn print(&self) -> Result<String, String> {
        let text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        Ok(text + "\n")
    }
}
