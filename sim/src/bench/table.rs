//! What `portcullis bench` prints: one line per figure, one column per memory latency; and the same as JSON.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::Figure;

/// A number without zeros behind the point that say nothing.
#[must_use]
pub fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    text.to_owned()
}

/// Figures of one name and log, in the order in which the first of each comes.
fn rows(figures: &[Figure]) -> Vec<Vec<&Figure>> {
    let mut rows: Vec<Vec<&Figure>> = Vec::new();
    for figure in figures {
        let same = |row: &&mut Vec<&Figure>| {
            (&row[0].name, &row[0].trace) == (&figure.name, &figure.trace)
        };
        match rows.iter_mut().find(same) {
            Some(row) => row.push(figure),
            None => rows.push(vec![figure]),
        }
    }
    rows
}

/// The table. A value above its bound has a `!` behind it.
#[must_use]
pub fn table(title: &str, figures: &[Figure]) -> String {
    let latencies: BTreeSet<u64> = figures.iter().map(|one| one.latency).collect();
    let mut lines = vec![vec![title.to_owned(), "unit".to_owned()]];
    for latency in &latencies {
        lines[0].extend([
            format!("L = {latency}"),
            "at most".to_owned(),
            "peer".to_owned(),
        ]);
    }
    let optional = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), number);
    for row in rows(figures) {
        let first = row[0];
        let name = match &first.trace {
            Some(trace) => format!("{} {trace}", first.name),
            None => first.name.clone(),
        };
        let mut cells = vec![name, first.unit.clone()];
        for latency in &latencies {
            let figure = row.iter().find(|one| one.latency == *latency);
            let value = figure.map(|one| {
                let mark = if one.met() == Some(false) { "!" } else { " " };
                number(one.value) + mark
            });
            cells.extend([
                value.unwrap_or_else(|| "-".to_owned()),
                optional(figure.and_then(|one| one.bound)),
                optional(figure.and_then(|one| one.peer)),
            ]);
        }
        lines.push(cells);
    }
    let columns = lines[0].len();
    let width = |at: usize| lines.iter().map(|line| line[at].chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|at| width(at).unwrap_or(0)).collect();
    let mut text = String::new();
    for line in &lines {
        for (at, (cell, width)) in line.iter().zip(&widths).enumerate() {
            // Writing to a string cannot fail.
            let _ = match at {
                0 | 1 => write!(text, "{cell:width$}  "),
                _ => write!(text, "{cell:>width$}  "),
            };
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text.push_str(&summary(figures));
    text.push('\n');
    text
}

/// How many bounds are met, and which are not.
#[must_use]
pub fn summary(figures: &[Figure]) -> String {
    let bounded = figures.iter().filter(|one| one.bound.is_some()).count();
    let rows = rows(figures);
    let over: Vec<String> = rows.iter().filter_map(|row| excess(row)).collect();
    let count = figures
        .iter()
        .filter(|one| one.met() == Some(false))
        .count();
    match count {
        0 => format!("all {bounded} figures with a bound are within it"),
        _ => format!(
            "{count} of {bounded} figures exceed their bound: {}",
            over.join(", ")
        ),
    }
}

/// A figure and the memory latencies at which it exceeds its bound.
fn excess(row: &[&Figure]) -> Option<String> {
    let over = row.iter().filter(|one| one.met() == Some(false));
    let latencies: Vec<String> = over.map(|one| one.latency.to_string()).collect();
    let name = &row.first()?.name;
    (!latencies.is_empty()).then(|| format!("{name} (L = {})", latencies.join(", ")))
}

/// The object of `--json`.
#[must_use]
pub fn json(config: &str, backend: &str, figures: &[Figure]) -> Value {
    let list = figures.iter().map(|figure| {
        let mut object = json!({
            "name": figure.name,
            "L": figure.latency,
            "value": figure.value,
            "unit": figure.unit,
            "bound": figure.bound,
            "met": figure.met(),
            "peer": figure.peer,
        });
        if let Some(trace) = &figure.trace {
            object["trace"] = trace.clone().into();
        }
        object
    });
    json!({
        "config": config,
        "backend": backend,
        "figures": list.collect::<Vec<_>>(),
    })
}
