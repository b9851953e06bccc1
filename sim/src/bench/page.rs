//! docs/performance.md: definitions, tables and plots, all from a [`Record`].

use std::fmt::Write as _;

use plotters::prelude::SeriesLabelPosition;
use portcullis_board::figures::{self as areas, Figures};
use portcullis_regmap::config::{CONFIGS, VARIANTS};

use super::figures::{Definition, FIGURES, Formula};
use super::plot::{Axes, Line, plot};
use super::record::{Reached, Record, Series, trace_key};
use super::sweep::{self, DEVICES_NAME, PAGES_NAME};
use super::table::number;
use super::{LATENCIES, ideal, traces};
use crate::recorded::LOGS;

/// How the page is made.
pub const COMMAND: &str =
    "cargo run --release -- bench --record constraints/performance.json --page docs/performance.md";

/// What the designs take.
const STORED: &str = include_str!("../../../constraints/synthesis.json");

/// The configuration that the plots of latency show.
const SHOWN: &str = "linux";

/// Figures that tell what a technique gains, with what heads their column.
pub const ABLATION: [(&str, &str); 7] = [
    ("miss_4k_walk_cached", "miss in a warm region"),
    ("stream_page", "ascending pages"),
    ("random_page", "random pages"),
    ("inval_command", "IOTINVAL"),
    ("unmap_512_single", "512 IOTINVAL"),
    ("trace_cycles", "cycles"),
    ("trace_stall", "stall cycles a touch"),
];
/// At this memory latency.
pub const ABLATED_AT: u64 = LATENCIES[LATENCIES.len() - 1];

/// Random pages of so many, L = 10, 16 entries, measured on the peer: cycles per translation.
const PEER_PAGES: [(f64, f64); 8] = [
    (1.0, 3.0),
    (8.0, 3.0),
    (16.0, 3.0),
    (17.0, 4.96),
    (20.0, 9.57),
    (24.0, 14.1),
    (32.0, 19.8),
    (64.0, 27.8),
];
/// Devices in turn, a page each, L = 10, 8 contexts: likewise.
const PEER_DEVICES: [(f64, f64); 4] = [(1.0, 3.0), (8.0, 3.0), (9.0, 19.0), (16.0, 19.0)];

/// A plot beside the page.
#[derive(Clone, Debug)]
pub struct Picture {
    /// File name.
    pub name: &'static str,
    /// Contents.
    pub svg: String,
}

/// The page. Its pictures lie in a directory beside it, named as the page without `.md`.
#[must_use]
pub fn page(record: &Record) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "# Performance\n\n\
         Written by `{COMMAND}`, which measures everything again (with `--backend verilog`, about twenty times faster, the numbers \
         are the same). `portcullis bench` prints the tables, `--json` as JSON; `--check` fails if a bound is exceeded. \
         `cargo test` fails if one is slower \
         than here (at L = 10, the longest at L = 1), and `.ci/run` if one of L = 10 is not the same.\n\n\
         L is the memory latency: cycles from the cycle in which a read request is accepted to the one with its first data; one \
         doubleword a cycle follows, any number of reads may be outstanding. The peer is zero-day-labs/riscv-iommu, commit \
         18ad30a, 16 IOTLB entries and 8 contexts, measured in simulation with the same definitions.\n"
    );
    for config in CONFIGS {
        if let Some(reached) = record.0.get(config.name) {
            let _ = write!(text, "\n## `{}`\n\n", config.name);
            figures(&mut text, config, reached);
            replays(&mut text, reached);
        }
    }
    ablation(&mut text, record);
    variants(&mut text, record);
    at_best(&mut text);
    curves(&mut text);
    definitions(&mut text);
    text
}

fn figures(text: &mut String, config: &portcullis_regmap::Config, reached: &Reached) {
    let _ = writeln!(
        text,
        "| figure | L = 1 | L = 10 | L = 50 | at most | peer | peer / this, L = 50 |\n|---|---|---|---|---|---|---|"
    );
    let mut over = 0;
    let mut bounded = 0;
    for definition in FIGURES.iter().filter(|one| (one.has)(config)) {
        let _ = write!(text, "| {}", definition.title);
        for latency in LATENCIES {
            let value = reached.value(definition.name, latency);
            let bound = definition.bound_of(config, latency);
            let cell = match (value, bound) {
                (None, _) => "-".to_owned(),
                (Some(value), Some(bound)) if value > bound => {
                    over += 1;
                    format!("**{}** (> {})", number(value), number(bound))
                }
                (Some(value), _) => number(value),
            };
            bounded += usize::from(value.is_some() && bound.is_some());
            let _ = write!(text, " | {cell}");
        }
        let formula = |formula: Option<Formula>| formula.map_or("-", |formula| formula.text);
        let _ = writeln!(
            text,
            " | {} | {} | {} |",
            formula(definition.bound_for(config)),
            formula(definition.peer),
            factor(definition, reached)
        );
    }
    let _ = writeln!(
        text,
        "\nCycles, per request, page or command as defined below. {} of {bounded} are within their bound; **bold**: above it.",
        bounded - over
    );
}

fn factor(definition: &Definition, reached: &Reached) -> String {
    let latency = LATENCIES[LATENCIES.len() - 1];
    let value = reached.value(definition.name, latency);
    match (definition.peer_at(latency), value) {
        (Some(peer), Some(value)) if value > 0.0 => format!("{:.1}", peer / value),
        _ => "-".to_owned(),
    }
}

fn replays(text: &mut String, reached: &Reached) {
    let rows = LOGS.iter().flat_map(|log| {
        traces::NAMES
            .iter()
            .map(move |name| (log.stem(), *name, trace_key(name, log.stem())))
    });
    let rows: Vec<_> = rows
        .filter(|(.., key)| reached.figures.contains_key(key))
        .collect();
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(
        text,
        "\n| recorded log | figure | L = 1 | L = 10 | L = 50 |\n|---|---|---|---|---|"
    );
    for (log, name, key) in rows {
        let _ = write!(text, "| {log} | `{name}`");
        for latency in LATENCIES {
            let value = reached.value(&key, latency);
            let _ = write!(text, " | {}", value.map_or_else(|| "-".to_owned(), number));
        }
        text.push_str(" |\n");
    }
}

/// What the columns of an ablation are filed under.
fn ablation_keys() -> Vec<String> {
    let keys = |(name, _): &(&str, &str)| match traces::NAMES.contains(name) {
        true => LOGS.iter().map(|log| trace_key(name, log.stem())).collect(),
        false => vec![(*name).to_owned()],
    };
    ABLATION.iter().flat_map(keys).collect()
}

/// The configuration without one technique after the other: cycles and cells.
fn ablation(text: &mut String, record: &Record) {
    let stored = areas::parse(STORED).unwrap_or_default();
    let _ = write!(
        text,
        "\n## What each technique gains and costs\n\n\
         `{SHOWN}`, and builds of it that lack one technique, that walk one at a time without kept pointers and lines (`{SHOWN}-plain`), \
         or that have the smallest or the largest sizes of all. Cycles at L = {ABLATED_AT}, by the definitions below; cells after synthesis for an ECP5, without routing (`portcullis area --config NAME \
         --no-route`). `portcullis bench --config NAME` measures one of them. A touch waits from the cycle in which its request is taken: \
         where fewer requests fit in, as in the smallest build, more of them wait outside, where it does not count.\n\n| build | LUT4 / FF / block RAM"
    );
    for (name, title) in ABLATION {
        let _ = match traces::NAMES.contains(&name) {
            true => LOGS
                .iter()
                .try_for_each(|log| write!(text, " | {title}, {}", log.stem())),
            false => write!(text, " | {title}"),
        };
    }
    let keys = ablation_keys();
    let _ = writeln!(text, " |\n|---|---|{}", "---|".repeat(keys.len()));
    let shown = CONFIGS.iter().filter(|config| config.name == SHOWN);
    for config in shown.chain(VARIANTS) {
        let cells = |figures: &Figures| {
            ["lut4", "ff", "bram"]
                .map(|kind| figures.cells.get(kind).unwrap_or(&0).to_string())
                .join(" / ")
        };
        let area = stored.get(config.name).and_then(|one| one.get("ecp5"));
        let area = area.map_or_else(|| "-".to_owned(), cells);
        let _ = write!(text, "| `{}` | {area}", config.name);
        for key in &keys {
            let value = record.0.get(config.name);
            let value = value.and_then(|reached| reached.value(key, ABLATED_AT));
            let _ = write!(text, " | {}", value.map_or_else(|| "-".to_owned(), number));
        }
        text.push_str(" |\n");
    }
}

/// Variants beside the configuration that the plots show: what its techniques gain.
fn variants(text: &mut String, record: &Record) {
    let latency = LATENCIES[LATENCIES.len() - 1];
    let Some(shown) = record.0.get(SHOWN) else {
        return;
    };
    let configured = |name: &str| portcullis_regmap::variant(name).is_some();
    let variants = record.0.iter().filter(|(name, _)| !configured(name));
    for (name, variant) in variants {
        let _ = write!(
            text,
            "\n## `{SHOWN}` against `{name}`\n\n{}\n\n| figure, L = {latency} | `{name}` | `{SHOWN}` | gain |\n|---|---|---|---|\n",
            variant.note
        );
        for key in ablation_keys() {
            let (before, now) = (variant.value(&key, latency), shown.value(&key, latency));
            if let (Some(before), Some(now)) = (before, now) {
                let _ = writeln!(
                    text,
                    "| `{key}` | {} | {} | {:.1} |",
                    number(before),
                    number(now),
                    before / now
                );
            }
        }
    }
}

/// Where the cycles of the replays go: how many touches must walk.
fn at_best(text: &mut String) {
    const ENTRIES: [usize; 5] = [8, 16, 64, 256, usize::MAX];
    let _ = write!(
        text,
        "\n## What the recorded logs allow\n\n\
         Touches that must walk with an ideal IOTLB (fully associative, least recently used out first, exact invalidation), computed \
         from the logs alone; in brackets, if a walk also brings the other mapped pages of its 64-byte line of entries. What is left \
         with an unlimited one are first touches after a map. Walks times reads per walk are the reads of the replays above.\n\n\
         | recorded log | touches"
    );
    for entries in ENTRIES {
        let _ = match entries {
            usize::MAX => write!(text, " | unlimited"),
            _ => write!(text, " | {entries} entries"),
        };
    }
    let _ = writeln!(text, " |\n|---|{}", "---|".repeat(ENTRIES.len() + 1));
    for log in &LOGS {
        let Ok((_, plan)) = log.plan() else { continue };
        let _ = write!(text, "| {} | {}", log.stem(), plan.touches);
        for entries in ENTRIES {
            let walks = |line_fill| ideal::walks(&plan, entries, line_fill);
            let _ = write!(text, " | {} ({})", walks(false), walks(true));
        }
        text.push_str(" |\n");
    }
}

fn curves(text: &mut String) {
    let latency = sweep::LATENCY;
    let _ = write!(
        text,
        "\n## Curves\n\n\
         ![latency against memory latency](performance/latency.svg)\n\n\
         ![throughput against pages](performance/pages.svg)\n\n\
         Random pages of so many 4 KiB pages of one device that were all read before, back to back, L = {latency}.\n\n\
         ![throughput against devices](performance/devices.svg)\n\n\
         So many devices in turn, a page each, all read before, back to back, directory of one level, L = {latency}.\n"
    );
}

fn definitions(text: &mut String) {
    let _ = write!(
        text,
        "\n## Definitions\n\n\
         Cycles are those between two rising edges of `clock`; a figure from A to B is the number of the cycle of B less that of A.\n\
         A request is *offered* in the first cycle with `req_valid`, *issued* in the first with `req_ready` too, and *answered* in the \
         cycle with `rsp_valid` and `rsp_ready`. Measured requests are offered at an idle port, and answers are always taken.\n\
         Commands start in the cycle in which the write of cqt is offered at the register port, and end in the first cycle in which a \
         read of cqh may be offered that returns the new index.\n\
         Where nothing else is said: one device, one request, a read without process id, Sv39, directory of one level, tables and frames \
         scattered, memory in order, no other traffic, and everything before has come to rest.\n\n\
         | name | figure | from where to where |\n|---|---|---|\n"
    );
    for definition in FIGURES {
        let _ = writeln!(
            text,
            "| `{}` | {} | {} |",
            definition.name, definition.title, definition.what
        );
    }
    for (name, what) in traces::NAMES.iter().zip(traces::MEANINGS) {
        let _ = writeln!(text, "| `{name}` | replay of a recorded log | {what} |");
    }
}

/// The plots.
///
/// # Errors
/// One could not be drawn.
pub fn pictures(record: &Record) -> Result<Vec<Picture>, String> {
    let points = |series: &Series| -> Vec<(f64, f64)> {
        series.iter().map(|(x, y)| (*x as f64, *y)).collect()
    };
    // Translations per cycle instead of cycles per translation.
    let inverse = |points: Vec<(f64, f64)>| -> Vec<(f64, f64)> {
        points.into_iter().map(|(x, y)| (x, 1.0 / y)).collect()
    };
    let mut latency = Vec::new();
    if let Some(reached) = record.0.get(SHOWN) {
        for (at, name) in sweep::OVER_LATENCY.iter().enumerate() {
            let Some(series) = reached.curves.get(*name) else {
                continue;
            };
            let definition = FIGURES.iter().find(|one| one.name == *name);
            latency.push(Line {
                name: definition.map_or(*name, |one| one.title).to_owned(),
                points: points(series),
                colour: Some(at),
            });
            let Some(peer) = definition.and_then(|one| one.peer) else {
                continue;
            };
            // Its miss is the same whether the region was walked before or not.
            if matches!(*name, "miss_4k" | "cold_1lvl") {
                latency.push(Line {
                    name: format!("peer: {}", definition.map_or(*name, |one| one.title)),
                    points: series
                        .keys()
                        .map(|x| (*x as f64, (peer.at)(*x as f64)))
                        .collect(),
                    colour: None,
                });
            }
        }
    }
    let over = |curve: &str, peer: &[(f64, f64)], of: &str| -> Vec<Line> {
        let mut lines = Vec::new();
        for (at, config) in CONFIGS.iter().enumerate() {
            let reached = record.0.get(config.name);
            if let Some(series) = reached.and_then(|reached| reached.curves.get(curve)) {
                lines.push(Line {
                    name: config.name.to_owned(),
                    points: inverse(points(series)),
                    colour: Some(at),
                });
            }
        }
        lines.push(Line {
            name: format!("peer, {of}"),
            points: inverse(peer.to_vec()),
            colour: None,
        });
        lines
    };
    Ok(vec![
        Picture {
            name: "latency.svg",
            svg: plot(
                Axes {
                    x: "memory latency L, cycles",
                    y: "cycles",
                    doubling: false,
                    legend: SeriesLabelPosition::UpperLeft,
                },
                &latency,
            )?,
        },
        Picture {
            name: "pages.svg",
            svg: plot(
                Axes {
                    x: "pages in use",
                    y: "translations per cycle",
                    doubling: true,
                    legend: SeriesLabelPosition::UpperRight,
                },
                &over(PAGES_NAME, &PEER_PAGES, "16 entries"),
            )?,
        },
        Picture {
            name: "devices.svg",
            svg: plot(
                Axes {
                    x: "devices in use",
                    y: "translations per cycle",
                    doubling: true,
                    legend: SeriesLabelPosition::UpperRight,
                },
                &over(DEVICES_NAME, &PEER_DEVICES, "8 contexts"),
            )?,
        },
    ])
}
