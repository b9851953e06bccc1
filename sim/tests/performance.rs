//! Figures: what was reached is still reached, the page says so, and a core that answers wrongly has none.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use portcullis_regmap::{CONFIGS, Config, VARIANTS, config};
use portcullis_sim::backend::{Backend, Factory};
use portcullis_sim::bench::figures::FIGURES;
use portcullis_sim::bench::record::Record;
use portcullis_sim::bench::{Bench, Figure, Job, Task, page, run};
use portcullis_sim::core::Core;
use support::{Defects, broken, fake};

const LATENCY: u64 = 10;
/// These step through so many walks or commands that the shortest latency has to do.
const LONG: [&str; 4] = [
    "stream_page",
    "stream_page_16",
    "random_page",
    "unmap_512_single",
];

fn file(path: &str) -> (PathBuf, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    (path, text)
}

fn record() -> Record {
    let (path, text) = file("constraints/performance.json");
    Record::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn figures(
    config: &'static Config,
    factory: Factory<'_>,
    names: &[&str],
) -> Result<Vec<Figure>, String> {
    let wanted = FIGURES
        .iter()
        .filter(|one| (one.has)(config) && (names.is_empty() || names.contains(&one.name)));
    let jobs: Vec<Job> = wanted
        .map(|one| Job {
            task: Task::Figure(one),
            latency: if LONG.contains(&one.name) { 1 } else { LATENCY },
        })
        .collect();
    assert!(!jobs.is_empty());
    run(&Bench { config, factory }, &jobs, &|| ())
}

/// The budget. That nothing gets faster without the page telling is seen to by `bench --unchanged` in `.ci/run`.
#[test]
fn no_figure_is_slower_than_recorded() {
    let record = record();
    let factory = |config: &'static Config| Backend::Rtl.core(config);
    let mut slower = Vec::new();
    for config in CONFIGS {
        let now = figures(config, &factory, &[]).expect("figures");
        let reached = record.0.get(config.name).cloned().unwrap_or_default();
        let differences = reached.differences(&reached.slower(&now));
        slower.extend(
            differences
                .iter()
                .map(|one| format!("{}: {one}", config.name)),
        );
    }
    assert!(
        slower.is_empty(),
        "{}\nif that is meant, record it: {} (add --backend verilog to be quicker)",
        slower.join("\n"),
        page::COMMAND
    );
}

#[test]
fn every_variant_has_a_core_that_answers_hits_as_fast() {
    let factory = |config: &'static Config| Backend::Rtl.core(config);
    for variant in VARIANTS {
        let figures = figures(variant, &factory, &["hit_latency"]).expect("a figure");
        assert!(figures.iter().all(|one| one.value == 2.0), "{figures:?}");
    }
}

#[test]
fn the_page_and_its_plots_are_those_of_the_record() {
    let record = record();
    assert!(
        file("docs/performance.md").1 == page::page(&record),
        "{}",
        page::COMMAND
    );
    for picture in page::pictures(&record).expect("plots") {
        let committed = file(&format!("docs/performance/{}", picture.name)).1;
        assert!(
            committed == picture.svg,
            "{}: {}",
            picture.name,
            page::COMMAND
        );
    }
    // And the record is printed as it is read.
    assert_eq!(
        file("constraints/performance.json").1,
        record.print().expect("text")
    );
}

#[test]
fn a_slower_and_a_faster_core_differ_from_the_record() {
    let mut record = record();
    let tiny = config("tiny").expect("tiny");
    let now = figures(tiny, &fake, &["hit_latency", "miss_4k"]).expect("figures");
    let reached = record.0.entry("tiny".to_owned()).or_default();
    reached.take(&now, &[]);
    assert_eq!(reached.differences(&now), [""; 0]);
    for (change, word) in [(1.0, "faster"), (-1.0, "slower")] {
        let mut other = reached.clone();
        for series in other.figures.values_mut() {
            for value in series.values_mut() {
                *value += change;
            }
        }
        let differences = other.differences(&now);
        assert_eq!(differences.len(), 2);
        let slower = other.slower(&now).len();
        assert_eq!(slower, if word == "slower" { 2 } else { 0 });
        assert!(
            differences.iter().all(|one| one.contains(word)),
            "{differences:?}"
        );
    }
}

#[test]
fn a_core_that_answers_wrongly_has_no_figures() {
    let tiny = config("tiny").expect("tiny");
    let stale = |_: &'static Config| -> Result<Box<dyn Core>, String> {
        Ok(broken(Defects {
            keeps_stale: true,
            ..Defects::default()
        }))
    };
    let good = figures(tiny, &fake, &["unmap_512_single"]);
    assert!(good.is_ok(), "{good:?}");
    let error = figures(tiny, &stale, &["unmap_512_single"]).expect_err("a stale entry");
    assert!(error.contains("the tables say None"), "{error}");
    let mute = |_: &'static Config| -> Result<Box<dyn Core>, String> {
        Ok(broken(Defects {
            mute: true,
            ..Defects::default()
        }))
    };
    assert!(figures(tiny, &mute, &["hit_latency"]).is_err());
}

/// Bounds are those of the other IOMMU at most: whoever meets them is not slower.
#[test]
fn no_bound_is_above_the_peer() {
    for config in CONFIGS {
        for figure in FIGURES {
            for latency in [1, 10, 50] {
                let (bound, peer) = (figure.bound_of(config, latency), figure.peer_at(latency));
                assert!(bound <= peer, "{} at L = {latency}", figure.name);
            }
        }
    }
}
