//! What a run prints: the figures of each log and of all together, as a table and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::harness::Counters;
use crate::memory::{PURPOSES, Timing, purpose_name};
use crate::platform::MHZ;
use crate::replay::{HIT_CYCLES, Outcome};

/// Latencies in cycles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// Half of the touches took at most this.
    pub p50: u64,
    /// 95 %.
    pub p95: u64,
    /// 99 %.
    pub p99: u64,
    /// All.
    pub max: u64,
}

impl Latency {
    /// Percentiles by nearest rank; zeros of nothing.
    #[must_use]
    pub fn of(mut samples: Vec<u64>) -> Self {
        samples.sort_unstable();
        let rank = |percent: usize| {
            let at = (samples.len() * percent).div_ceil(100).saturating_sub(1);
            samples.get(at).copied().unwrap_or(0)
        };
        Self {
            p50: rank(50),
            p95: rank(95),
            p99: rank(99),
            max: rank(100),
        }
    }
}

/// Share of hits; `None` without look-ups.
#[must_use]
pub fn ratio(hits: u64, misses: u64) -> Option<f64> {
    let lookups = hits + misses;
    (lookups > 0).then(|| hits as f64 / lookups as f64)
}

/// The figures of one log, or of several together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// DMA page touches.
    pub touches: u64,
    /// Of these, wrong.
    pub wrong: u64,
    /// Cycles from request to answer.
    pub latency: Latency,
    /// Hit rate of the context cache.
    pub context_hit_rate: Option<f64>,
    /// Hit rate of the IOTLB.
    pub iotlb_hit_rate: Option<f64>,
    /// Memory reads by purpose.
    pub reads: BTreeMap<&'static str, u64>,
    /// Commands.
    pub commands: u64,
    /// Cycles the driver waited for fences.
    pub fence_wait_cycles: u64,
    /// Cycles between request and answer beyond a hit's.
    pub stall_cycles: u64,
    /// Simulated cycles.
    pub cycles: u64,
    /// Simulated cycles per second of real time.
    pub cycles_per_second: f64,
}

impl Figures {
    /// Figures of some logs that took `seconds` together.
    #[must_use]
    pub fn of(outcomes: &[&Outcome], seconds: f64) -> Self {
        let sum = |of: fn(&Outcome) -> u64| outcomes.iter().map(|outcome| of(outcome)).sum::<u64>();
        let count = |of: fn(&Counters) -> u64| {
            outcomes
                .iter()
                .map(|outcome| of(&outcome.counters))
                .sum::<u64>()
        };
        let latencies = outcomes
            .iter()
            .flat_map(|outcome| outcome.latencies.iter().copied());
        let reads = PURPOSES.iter().map(|purpose| {
            let reads = outcomes
                .iter()
                .map(|outcome| outcome.counters.traffic.reads(*purpose));
            (purpose_name(*purpose), reads.sum())
        });
        let cycles = sum(|outcome| outcome.cycles);
        Self {
            touches: sum(|outcome| outcome.touches),
            wrong: sum(|outcome| outcome.wrong),
            latency: Latency::of(latencies.collect()),
            context_hit_rate: ratio(
                count(|counters| counters.context_hits),
                count(|counters| counters.context_misses),
            ),
            iotlb_hit_rate: ratio(
                count(|counters| counters.iotlb_hits),
                count(|counters| counters.iotlb_misses),
            ),
            reads: reads.collect(),
            commands: sum(|outcome| outcome.commands),
            fence_wait_cycles: sum(|outcome| outcome.fence_wait_cycles),
            stall_cycles: sum(|outcome| outcome.stall_cycles),
            cycles,
            cycles_per_second: if seconds > 0.0 {
                cycles as f64 / seconds
            } else {
                0.0
            },
        }
    }

    fn json(&self) -> Value {
        json!({
            "touches": self.touches,
            "wrong": self.wrong,
            "cycles": self.cycles,
            "stall_cycles": self.stall_cycles,
            "latency": {
                "p50": self.latency.p50,
                "p95": self.latency.p95,
                "p99": self.latency.p99,
                "max": self.latency.max,
            },
            "hit_rate": { "context": self.context_hit_rate, "iotlb": self.iotlb_hit_rate },
            "reads": self.reads,
            "commands": self.commands,
            "fence_wait_cycles": self.fence_wait_cycles,
            "cycles_per_second": self.cycles_per_second.round(),
        })
    }
}

/// Everything that a run found.
#[derive(Clone, Debug)]
pub struct Run {
    /// Configuration of the hardware.
    pub config: &'static str,
    /// The memory.
    pub timing: Timing,
    /// The logs, in the order of the command line.
    pub outcomes: Vec<Outcome>,
    /// Seconds for all of them.
    pub seconds: f64,
}

/// One row of the table: a name and one cell per column.
pub type Row = (&'static str, Vec<String>);

impl Run {
    /// Figures of all logs together.
    #[must_use]
    pub fn total(&self) -> Figures {
        Figures::of(&self.outcomes.iter().collect::<Vec<_>>(), self.seconds)
    }

    /// Touches answered wrongly.
    #[must_use]
    pub fn wrong(&self) -> u64 {
        self.outcomes.iter().map(|outcome| outcome.wrong).sum()
    }

    /// Names of the columns: the logs, and the total if there is more than one.
    #[must_use]
    pub fn columns(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .outcomes
            .iter()
            .map(|outcome| outcome.name.as_str())
            .collect();
        if names.len() > 1 {
            names.push("total");
        }
        names
    }

    /// The rows of the table.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        let mut columns: Vec<Figures> = self
            .outcomes
            .iter()
            .map(|outcome| Figures::of(&[outcome], outcome.seconds))
            .collect();
        if columns.len() > 1 {
            columns.push(self.total());
        }
        let row = |name: &'static str, of: &dyn Fn(&Figures) -> String| {
            (name, columns.iter().map(of).collect())
        };
        let mut rows: Vec<Row> = vec![
            row("touches", &|f| f.touches.to_string()),
            row("wrong addresses", &|f| f.wrong.to_string()),
            row("latency p50, cycles", &|f| f.latency.p50.to_string()),
            row("latency p95, cycles", &|f| f.latency.p95.to_string()),
            row("latency p99, cycles", &|f| f.latency.p99.to_string()),
            row("latency max, cycles", &|f| f.latency.max.to_string()),
            row("context cache hits", &|f| percent(f.context_hit_rate)),
            row("IOTLB hits", &|f| percent(f.iotlb_hit_rate)),
        ];
        for purpose in PURPOSES {
            let name = purpose_name(purpose);
            let title = match name {
                "ddt" => "reads of device directory",
                "pte" => "reads of page tables",
                "command" => "reads of commands",
                "fault" => "reads of fault records",
                _ => "reads for fences",
            };
            let cells: Vec<String> = columns
                .iter()
                .map(|f| f.reads.get(name).map_or(0, |n| *n).to_string())
                .collect();
            // Fault records and fences are written, not read: their rows would always be 0.
            if cells.iter().any(|cell| cell != "0") {
                rows.push((title, cells));
            }
        }
        rows.extend([
            row("commands", &|f| f.commands.to_string()),
            row("cycles waiting for fences", &|f| {
                f.fence_wait_cycles.to_string()
            }),
            row("stall cycles", &|f| f.stall_cycles.to_string()),
            row("simulated cycles", &|f| f.cycles.to_string()),
            row("simulated cycles per second", &|f| {
                format!("{:.0}", f.cycles_per_second)
            }),
        ]);
        rows
    }

    /// The table as text, with a note per log.
    #[must_use]
    pub fn table(&self) -> String {
        let columns = self.columns();
        let rows = self.rows();
        let first = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let widths: Vec<usize> = columns
            .iter()
            .enumerate()
            .map(|(at, name)| {
                let cells = rows.iter().filter_map(|(_, cells)| cells.get(at));
                cells
                    .map(String::len)
                    .max()
                    .unwrap_or(0)
                    .max(name.chars().count())
            })
            .collect();
        let mut text = String::new();
        let mut line = |name: &str, cells: &mut dyn Iterator<Item = &str>| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{name:first$}");
            for (cell, width) in cells.zip(&widths) {
                let _ = write!(text, "  {cell:>width$}");
            }
            text.push('\n');
        };
        line(&self.title(), &mut columns.iter().copied());
        for (name, cells) in &rows {
            line(name, &mut cells.iter().map(String::as_str));
        }
        for note in self.notes() {
            text.push_str(&note);
            text.push('\n');
        }
        text
    }

    /// Configuration and memory in short.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{}, L = {}", self.config, self.timing.latency)
    }

    /// One line per log: what was inferred and what was done.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let notes = self.outcomes.iter().map(|outcome| {
            let mut parts = outcome.devices.clone();
            parts.push(format!("maps {}", outcome.maps));
            let mut count = |number: u64, what: &str| {
                if number > 0 {
                    parts.push(format!("{what} {number}"));
                }
            };
            count(outcome.strict_unmaps, "strict unmaps");
            count(outcome.deferred_unmaps, "deferred unmaps");
            count(outcome.flushes, "flushes");
            count(outcome.extra_flushes, "flushes that the log lacks");
            count(
                outcome.empty_invalidations,
                "invalidations of pages that no DMA touched",
            );
            count(
                outcome.foreign_invalidations,
                "invalidations of domains without DMA",
            );
            count(outcome.lines.skipped, "skipped lines of other kinds");
            format!("{}: {}", outcome.name, parts.join(", "))
        });
        notes.collect()
    }

    /// The object of `--json`.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut object = self.total().json();
        let per_trace = self.outcomes.iter().map(|outcome| {
            let mut figures = Figures::of(&[outcome], outcome.seconds).json();
            figures["name"] = outcome.name.clone().into();
            figures["devices"] = outcome.devices.clone().into();
            figures["maps"] = outcome.maps.into();
            figures["strict_unmaps"] = outcome.strict_unmaps.into();
            figures["deferred_unmaps"] = outcome.deferred_unmaps.into();
            figures["flushes"] = outcome.flushes.into();
            figures["extra_flushes"] = outcome.extra_flushes.into();
            figures["empty_invalidations"] = outcome.empty_invalidations.into();
            figures["lines_skipped"] = outcome.lines.skipped.into();
            figures["wrong_examples"] = outcome.examples.clone().into();
            figures
        });
        object["per_trace"] = per_trace.collect::<Vec<_>>().into();
        object["traces"] = self
            .outcomes
            .iter()
            .map(|outcome| outcome.name.clone())
            .collect::<Vec<_>>()
            .into();
        object["config"] = self.config.into();
        object["memory_latency"] = self.timing.latency.into();
        object["seconds"] = self.seconds.into();
        object
    }
}

fn percent(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{:.2} %", 100.0 * ratio))
}

/// What the figures mean, for readers of a report.
#[must_use]
pub fn definitions() -> Vec<(&'static str, String)> {
    vec![
        (
            "touch",
            "one DMA access of the log, issued as one translation request. Wrong: refused, or answered with another \
             address than the log's."
                .to_owned(),
        ),
        (
            "latency",
            "cycles from the request (first cycle with valid and ready) to its answer (valid and ready). Percentiles \
             by nearest rank. Requests that follow one another without an unmap in between are issued back to back, \
             so a miss delays those behind it as it would in the machine."
                .to_owned(),
        ),
        (
            "stall cycles",
            format!("cycles between request and answer beyond the {HIT_CYCLES} of a hit, summed over all touches."),
        ),
        (
            "hits",
            "look-ups that found their entry, divided by all look-ups of that cache.".to_owned(),
        ),
        (
            "reads",
            "read requests of the IOMMU itself at its memory port, by purpose; a burst counts once.".to_owned(),
        ),
        (
            "L",
            "memory latency: cycles from an accepted read request to its first data.".to_owned(),
        ),
        (
            "waiting for fences",
            "cycles from the driver's doorbell to the poll that shows the fence done.".to_owned(),
        ),
        (
            "simulated cycles",
            format!(
                "from reset to the last touch; the driver's own computing takes none, its register accesses do. The \
                 driver's clock counts {MHZ} cycles as a microsecond."
            ),
        ),
        (
            "cycles per second",
            "simulated cycles by real time; in the total, of all logs together, each of which has a thread."
                .to_owned(),
        ),
    ]
}
