//! Simulated cycles of the figures of docs/performance.md, so that criterion compares them with the last run.
//!
//! The numbers are exact and the same on every machine: criterion's statistics find no spread in them, and any change it
//! reports is a change of the hardware.

use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter};
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use portcullis_regmap::Config;
use portcullis_regmap::config::{LINUX, TINY};
use portcullis_sim::backend::Backend;
use portcullis_sim::bench::Bench;
use portcullis_sim::bench::figures::FIGURES;

/// Memory latency.
const LATENCY: u64 = 10;
/// Figures that one machine of a few thousand cycles yields.
const NAMES: [&str; 9] = [
    "hit_latency",
    "hit_interval",
    "miss_4k",
    "miss_4k_walk_cached",
    "cold_1lvl",
    "random_page",
    "hit_under_miss_delay",
    "fault_latency",
    "inval_command",
];

/// Counts simulated cycles instead of time.
struct Cycles;

impl Measurement for Cycles {
    type Intermediate = ();
    type Value = f64;

    /// Only [`criterion::Bencher::iter_custom`] yields values: a stopwatch has nothing to read here.
    fn start(&self) {}
    fn end(&self, (): ()) -> f64 {
        0.0
    }
    fn add(&self, a: &f64, b: &f64) -> f64 {
        a + b
    }
    fn zero(&self) -> f64 {
        0.0
    }
    fn to_f64(&self, value: &f64) -> f64 {
        *value
    }
    fn formatter(&self) -> &dyn ValueFormatter {
        &Format
    }
}

struct Format;

impl ValueFormatter for Format {
    fn scale_values(&self, _: f64, _: &mut [f64]) -> &'static str {
        "cycles"
    }
    fn scale_throughputs(&self, _: f64, _: &Throughput, _: &mut [f64]) -> &'static str {
        "cycles"
    }
    fn scale_for_machines(&self, _: &mut [f64]) -> &'static str {
        "cycles"
    }
}

fn cycles(criterion: &mut Criterion<Cycles>) {
    let factory = |config: &'static Config| Backend::Rtl.core(config);
    for config in [&TINY, &LINUX] {
        let mut group = criterion.benchmark_group(format!("{}, L = {LATENCY}", config.name));
        group
            .sample_size(10)
            .sampling_mode(SamplingMode::Flat)
            .warm_up_time(Duration::from_millis(1))
            .measurement_time(Duration::from_millis(1));
        let bench = Bench {
            config,
            factory: &factory,
        };
        for figure in FIGURES.iter().filter(|one| NAMES.contains(&one.name)) {
            group.bench_function(figure.name, |bencher| {
                bencher.iter_custom(|times| {
                    let one = |_| (figure.measure)(&bench, LATENCY).expect("a figure");
                    // Criterion divides by zero if a benchmark takes nothing: a delay of 0 shows as next to nothing.
                    (0..times).map(one).sum::<f64>().max(f64::MIN_POSITIVE)
                });
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(Cycles).without_plots();
    targets = cycles
}
criterion_main!(benches);
