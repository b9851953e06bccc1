//! Random machines on the rtl against the golden model.

use portcullis_regmap::Config;
use portcullis_regmap::config::{LINUX, TINY, variant};
use portcullis_sim::core::Core;
use portcullis_tests::random::{Summary, examine};
use portcullis_tests::under_test::backend;

/// Seeds from PORTCULLIS_RANDOM_SEEDS=first..end, or PORTCULLIS_RANDOM_N=count from 0, or `default`.
fn seeds(default: u64) -> std::ops::Range<u64> {
    if let Ok(range) = std::env::var("PORTCULLIS_RANDOM_SEEDS") {
        let (first, end) = range
            .split_once("..")
            .expect("PORTCULLIS_RANDOM_SEEDS is first..end");
        return first.parse().expect("first seed")..end.parse().expect("end of the seeds");
    }
    let count = std::env::var("PORTCULLIS_RANDOM_N")
        .map_or(default, |n| n.parse().expect("number of machines"));
    0..count
}

/// Cycles after which no further machine is begun: PORTCULLIS_RANDOM_CYCLES, or no limit but that of the seeds.
fn enough_cycles() -> u64 {
    std::env::var("PORTCULLIS_RANDOM_CYCLES")
        .map_or(u64::MAX, |n| n.parse().expect("a number of cycles"))
}

fn lockstep(config: &'static Config, default: u64) {
    // `verilog` is fifty times faster, `both` also compares it with `rtl` in every cycle.
    let (backend, enough) = (backend("PORTCULLIS_RANDOM_BACKEND"), enough_cycles());
    let core = || -> Box<dyn Core> { backend.core(config).expect("a core") };
    let mut total = Summary::default();
    let mut failures = Vec::new();
    for (done, seed) in seeds(default).enumerate() {
        if total.cycles >= enough {
            break;
        }
        if done % 1000 == 0 && done > 0 {
            println!("{}: {done} machines, {total:?}", config.name);
        }
        match examine(seed, config, &core) {
            Ok(summary) => total.add(&summary),
            Err(failure) => {
                println!("{failure}\n");
                failures.push((failure.seed, failure.difference));
                if failures.len() == 5 {
                    break;
                }
            }
        }
    }
    println!("{}: {total:?}", config.name);
    assert!(
        failures.is_empty(),
        "{} machines differ: {failures:#?}",
        failures.len()
    );
}

#[test]
fn random_lockstep_500() {
    lockstep(&TINY, 500);
}

#[test]
fn random_lockstep_linux_100() {
    lockstep(&LINUX, 100);
}

#[test]
fn random_lockstep_with_the_smallest_caches_25() {
    lockstep(variant("linux-smallest").expect("a variant"), 25);
}

#[test]
fn random_lockstep_with_the_largest_caches_25() {
    lockstep(variant("linux-largest").expect("a variant"), 25);
}
