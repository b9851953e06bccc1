//! The figures: how many cycles what takes, on which configuration, beside the bound and beside another open IOMMU.
//!
//! Every figure is a count of simulated cycles on a machine that [`rig`] sets up, so it is the same on every computer
//! and on every back end that is exact to the cycle. [`figures`] defines them in words, `translations` and `commands`
//! take them, [`traces`] takes those of the recorded logs. [`sweep`] takes the curves, [`record`] keeps what was reached,
//! so that nothing changes unseen, and [`page`] writes docs/performance.md from that.

mod commands;
pub mod figures;
pub mod ideal;
pub mod page;
mod plot;
pub mod record;
pub mod rig;
pub mod sweep;
pub mod table;
mod tap;
pub mod traces;
mod translations;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use portcullis_regmap::Config;
use portcullis_regmap::pte::level_shift;
use serde::{Deserialize, Serialize};

use crate::backend::Factory;
use figures::Definition;
use rig::{Measured, Rig};

/// Memory latencies at which every figure is taken.
pub const LATENCIES: [u64; 3] = [1, 10, 50];

const PAGE: u64 = 1 << level_shift(0);
const REGION: u64 = 1 << level_shift(1);
const GIB: u64 = 1 << level_shift(2);

/// What is measured: a configuration, and what simulates it.
#[derive(Clone, Copy)]
pub struct Bench<'a> {
    /// Configuration of the hardware.
    pub config: &'static Config,
    /// Makes cores of it.
    pub factory: Factory<'a>,
}

impl Bench<'_> {
    fn rig(&self, latency: u64, levels: u8) -> Measured<Rig> {
        Rig::new(self.config, self.factory, latency, levels)
    }
}

/// A figure that was taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Its name.
    pub name: String,
    /// The log that was replayed, of figures of a replay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// Memory latency.
    #[serde(rename = "L")]
    pub latency: u64,
    /// What was found, rounded to [`DIGITS`] behind the point.
    pub value: f64,
    /// Of what.
    pub unit: String,
    /// What it may be at most.
    pub bound: Option<f64>,
    /// What the other IOMMU takes for the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<f64>,
}

/// Digits behind the point of every value: more than any figure is exact to, and the same text everywhere.
pub const DIGITS: i32 = 4;

/// Rounds to [`DIGITS`].
#[must_use]
pub fn rounded(value: f64) -> f64 {
    let scale = 10_f64.powi(DIGITS);
    (value * scale).round() / scale
}

impl Figure {
    /// Whether it is within its bound; `None` without one.
    #[must_use]
    pub fn met(&self) -> Option<bool> {
        self.bound.map(|bound| self.value <= bound)
    }

    /// Name with what tells it from others of the same name.
    #[must_use]
    pub fn title(&self) -> String {
        match &self.trace {
            Some(trace) => format!("{} of {trace} at L = {}", self.name, self.latency),
            None => format!("{} at L = {}", self.name, self.latency),
        }
    }

    fn of(definition: &Definition, config: &Config, latency: u64, value: f64) -> Self {
        Self {
            name: definition.name.to_owned(),
            trace: None,
            latency,
            value: rounded(value),
            unit: definition.unit.to_owned(),
            bound: definition.bound_of(config, latency).map(rounded),
            peer: definition.peer_at(latency).map(rounded),
        }
    }
}

/// What is to be measured.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// What to do.
    pub task: Task,
    /// Memory latency.
    pub latency: u64,
}

/// One piece of work; its figures come from one machine.
#[derive(Clone, Copy, Debug)]
pub enum Task {
    /// A figure.
    Figure(&'static Definition),
    /// The replay of a recorded log, by its number.
    Replay(usize),
}

impl Job {
    fn run(&self, bench: &Bench<'_>) -> Measured<Vec<Figure>> {
        match self.task {
            Task::Figure(definition) => {
                let value = (definition.measure)(bench, self.latency)
                    .map_err(|error| format!("{}: {error}", definition.name))?;
                Ok(vec![Figure::of(
                    definition,
                    bench.config,
                    self.latency,
                    value,
                )])
            }
            Task::Replay(log) => traces::measure(bench, log, self.latency),
        }
    }
}

/// The jobs that yield the named figures (all if none is named) at these latencies.
///
/// # Errors
/// A name that no figure has, or that the configuration cannot have.
pub fn jobs(config: &Config, only: &[String], latencies: &[u64]) -> Result<Vec<Job>, String> {
    for name in only {
        let definition = figures::FIGURES.iter().find(|one| one.name == name);
        if definition.is_none() && !traces::NAMES.contains(&name.as_str()) {
            return Err(format!(
                "there is no figure {name}: --only takes {}",
                figures::names().join(", ")
            ));
        }
        if definition.is_some_and(|one| !(one.has)(config)) {
            return Err(format!(
                "configuration {} does not have what {name} measures",
                config.name
            ));
        }
    }
    let wanted = |name: &str| only.is_empty() || only.iter().any(|one| one == name);
    let definitions = figures::FIGURES
        .iter()
        .filter(|one| wanted(one.name) && (one.has)(config))
        .map(Task::Figure);
    let replays = (0..crate::recorded::LOGS.len())
        .filter(|_| traces::NAMES.iter().any(|name| wanted(name)))
        .map(Task::Replay);
    let each = |task| latencies.iter().map(move |latency| (task, *latency));
    let all = definitions.chain(replays).flat_map(each);
    Ok(all.map(|(task, latency)| Job { task, latency }).collect())
}

/// Runs jobs, as many at a time as there are processors. Results come in the order of the jobs; so does the error, if
/// several fail.
///
/// # Errors
/// A core that answers wrongly or not at all.
pub fn run(bench: &Bench<'_>, jobs: &[Job], progress: &(dyn Fn() + Sync)) -> Measured<Vec<Figure>> {
    let results = parallel(jobs, |job| {
        let result = job.run(bench);
        progress();
        result
    });
    let figures = results.into_iter().collect::<Measured<Vec<_>>>()?;
    Ok(figures.into_iter().flatten().collect())
}

/// Applies `work` to every item, as many at a time as there are processors.
fn parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    let workers = thread::available_parallelism().map_or(1, Into::into);
    thread::scope(|scope| {
        for _ in 0..workers.min(items.len()) {
            scope.spawn(|| {
                while let Some((at, item)) = {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    items.get(at).map(|item| (at, item))
                } {
                    let result = work(item);
                    if let Ok(mut results) = results.lock() {
                        results.push((at, result));
                    }
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_default();
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Numbers that look random and are the same everywhere (splitmix64).
struct Sequence(u64);

impl Sequence {
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            let other = self.below(at as u64 + 1) as usize;
            items.swap(at, other);
        }
    }
}
