//! Figures of the recorded logs, replayed with the driver: what a whole machine feels.

use super::rig::Measured;
use super::{Bench, Figure, rounded};
use crate::memory::{PURPOSES, Timing};
use crate::recorded::LOGS;
use crate::replay::{Options, Outcome, check, replay};

/// Names of the figures of a replay, and their units.
const FIGURES: [(&str, &str); 3] = [
    ("trace_cycles", "cycles"),
    ("trace_stall", "cycles/touch"),
    ("trace_reads", "reads/touch"),
];

/// Names of the figures of a replay.
pub const NAMES: [&str; 3] = [FIGURES[0].0, FIGURES[1].0, FIGURES[2].0];

/// What the figures of a replay mean, in the order of [`NAMES`].
pub const MEANINGS: [&str; 3] = [
    "Simulated cycles of the whole replay, from reset to the last answer. The driver's computing takes none.",
    "Cycles between the issue of a request and its answer beyond the 2 of a hit, summed over all touches and divided by \
     their number. Requests that follow one another without an unmap in between are issued back to back, so the time in \
     the miss queue counts.",
    "Read requests at the memory port for anything but commands, divided by the number of touches. A burst is one.",
];

/// Replays a recorded log.
///
/// # Errors
/// The replay could not be finished, or an address was wrong.
pub fn outcome(bench: &Bench<'_>, log: usize, latency: u64) -> Measured<Outcome> {
    let recorded = &LOGS[log];
    let named = |error: crate::trace::TraceError| error.describe(recorded.name);
    let (trace, plan) = recorded.plan().map_err(named)?;
    check(&trace, &plan, bench.config).map_err(named)?;
    let options = Options {
        config: bench.config,
        timing: Timing {
            latency,
            ..Timing::default()
        },
        waves: None,
    };
    let outcome = replay(
        recorded.stem(),
        &trace,
        &plan,
        &options,
        bench.factory,
        &|_| {},
    )?;
    match outcome.examples.first() {
        Some(example) => Err(format!("wrong address: {example}")),
        None => Ok(outcome),
    }
}

/// The figures of a log.
///
/// # Errors
/// See [`outcome`].
pub fn measure(bench: &Bench<'_>, log: usize, latency: u64) -> Measured<Vec<Figure>> {
    let outcome = outcome(bench, log, latency)?;
    let touches = outcome.touches as f64;
    let reads: u64 = PURPOSES
        .iter()
        .filter(|purpose| **purpose != crate::core::Purpose::Command)
        .map(|purpose| outcome.counters.traffic.reads(*purpose))
        .sum();
    let values = [
        outcome.cycles as f64,
        outcome.stall_cycles as f64 / touches,
        reads as f64 / touches,
    ];
    let figures = FIGURES.iter().zip(values);
    Ok(figures
        .map(|((name, unit), value)| Figure {
            name: (*name).to_owned(),
            trace: Some(LOGS[log].stem().to_owned()),
            latency,
            value: rounded(value),
            unit: (*unit).to_owned(),
            bound: None,
            peer: None,
        })
        .collect())
}
