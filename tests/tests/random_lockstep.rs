//! Random machines on the rtl against the golden model.

use portcullis_regmap::config::TINY;
use portcullis_sim::backend::Backend;
use portcullis_sim::core::Core;
use portcullis_tests::random::{Summary, examine};

fn rtl() -> Box<dyn Core> {
    Backend::Rtl.core(&TINY).expect("back end rtl")
}

/// Seeds from PORTCULLIS_RANDOM_SEEDS=first..end, or PORTCULLIS_RANDOM_N=count from 0, or the fixed 500.
fn seeds() -> std::ops::Range<u64> {
    if let Ok(range) = std::env::var("PORTCULLIS_RANDOM_SEEDS") {
        let (first, end) = range
            .split_once("..")
            .expect("PORTCULLIS_RANDOM_SEEDS is first..end");
        return first.parse().expect("first seed")..end.parse().expect("end of the seeds");
    }
    let count = std::env::var("PORTCULLIS_RANDOM_N")
        .map_or(500, |n| n.parse().expect("number of machines"));
    0..count
}

#[test]
fn random_lockstep_500() {
    let mut total = Summary::default();
    let mut failures = Vec::new();
    for seed in seeds() {
        match examine(seed, &TINY, &rtl) {
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
    println!("{total:?}");
    assert!(
        failures.is_empty(),
        "{} machines differ: {failures:#?}",
        failures.len()
    );
}
