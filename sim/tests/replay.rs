//! The main job on the behavioural core: whole logs, and defects that it must find.

mod support;

use portcullis_regmap::{Config, config};
use portcullis_sim::core::Core;
use portcullis_sim::memory::Timing;
use portcullis_sim::plan::plan;
use portcullis_sim::replay::{Options, Outcome, check, replay};
use portcullis_sim::report::{Figures, Latency, Run};
use portcullis_sim::trace::parse;
use portcullis_sim::{backend, html};
use support::{Defects, broken, fake};

const STRICT: &[u8] = include_bytes!("../../traces/linux-vtd-nvme-e1000e-strict.log");
const LAZY: &[u8] = include_bytes!("../../traces/linux-vtd-nvme-e1000e-lazy.log");
const RISCV: &[u8] = include_bytes!("../../traces/linux-riscv-iommu-identity.log");

fn tiny() -> &'static Config {
    config("tiny").expect("tiny")
}

fn on(log: &[u8], factory: backend::Factory<'_>) -> Result<Outcome, String> {
    let trace = parse(log).expect("a good log");
    let plan = plan(&trace);
    check(&trace, &plan, tiny()).expect("fits");
    let options = Options {
        config: tiny(),
        timing: Timing::default(),
        waves: None,
    };
    replay("log", &trace, &plan, &options, factory, &|_| {})
}

/// The first `lines` lines.
fn head(log: &[u8], lines: usize) -> Vec<u8> {
    log.split_inclusive(|byte| *byte == b'\n')
        .take(lines)
        .collect::<Vec<_>>()
        .concat()
}

#[test]
fn whole_logs_reach_the_addresses_of_the_log() {
    let strict = on(STRICT, &fake).expect("a replay");
    assert_eq!(
        (strict.touches, strict.wrong, &strict.examples[..]),
        (6880, 0, &[][..])
    );
    assert_eq!(
        (
            strict.strict_unmaps + strict.empty_invalidations,
            strict.deferred_unmaps
        ),
        (1063, 0)
    );
    let lazy = on(LAZY, &fake).expect("a replay");
    assert_eq!((lazy.touches, lazy.wrong, lazy.strict_unmaps), (6976, 0, 0));
    // 79 drains of one device each, and the global one of both.
    assert_eq!(
        (lazy.flushes, lazy.extra_flushes, lazy.maps),
        (79 + 2, 0, 648 + 623)
    );
    let riscv = on(RISCV, &fake).expect("a replay");
    assert_eq!((riscv.touches, riscv.wrong), (4086, 0));

    for outcome in [&strict, &lazy, &riscv] {
        assert_eq!(outcome.latencies.len() as u64, outcome.touches);
        assert!(outcome.fence_wait_cycles > 0 && outcome.fence_wait_cycles < outcome.cycles);
        assert!(outcome.commands > 0 && outcome.stall_cycles > 0);
        assert!(!outcome.samples.is_empty());
        let counters = outcome.counters;
        assert_eq!(
            counters.context_hits + counters.context_misses,
            outcome.touches
        );
    }
    // A strict unmap waits for each fence; the flush queue is there to avoid that.
    assert!(strict.fence_wait_cycles > 5 * lazy.fence_wait_cycles);
    let total = Figures::of(&[&strict, &lazy], 2.0);
    assert_eq!(
        (total.touches, total.cycles),
        (6880 + 6976, strict.cycles + lazy.cycles)
    );
    assert_eq!(
        total.latency.max,
        strict
            .latencies
            .iter()
            .chain(&lazy.latencies)
            .copied()
            .max()
            .expect("some")
    );
}

#[test]
fn the_same_log_takes_the_same_cycles() {
    let log = head(LAZY, 2000);
    let first = on(&log, &fake).expect("a replay");
    let second = on(&log, &fake).expect("a replay");
    assert_eq!(
        (first.cycles, first.latencies),
        (second.cycles, second.latencies)
    );
}

#[test]
fn invalidations_without_effect_are_found() {
    for log in [STRICT, LAZY] {
        let stale = |_: &'static Config| {
            let defects = Defects {
                keeps_stale: true,
                ..Defects::default()
            };
            Ok::<Box<dyn Core>, String>(broken(defects))
        };
        let outcome = on(log, &stale).expect("a replay");
        assert!(outcome.wrong > 100, "{}", outcome.wrong);
        assert_eq!(outcome.examples.len(), 5);
        assert!(
            outcome.examples[0].starts_with("log:") && outcome.examples[0].contains("the log says")
        );
    }
}

#[test]
fn hangs_end_with_one_line() {
    let cases = [
        (
            Defects {
                mute: true,
                ..Defects::default()
            },
            "no answer to the translation request",
        ),
        (
            Defects {
                frozen_registers: true,
                ..Defects::default()
            },
            "no answer to the register",
        ),
        (
            Defects {
                no_commands: true,
                ..Defects::default()
            },
            "a fence not done",
        ),
        (
            Defects {
                wrong_tag: true,
                ..Defects::default()
            },
            "broke the contract",
        ),
    ];
    for (defects, cause) in cases {
        let factory = move |_: &'static Config| Ok::<Box<dyn Core>, String>(broken(defects));
        let error = on(&head(STRICT, 100), &factory).expect_err(cause);
        assert!(
            error.starts_with("log: ") && error.contains(cause) && !error.contains('\n'),
            "{error}"
        );
    }
}

#[test]
fn a_core_that_cannot_be_built_is_an_error() {
    let none = |_: &'static Config| Err::<Box<dyn Core>, String>("no core".to_owned());
    assert_eq!(on(&head(STRICT, 100), &none).expect_err("none"), "no core");
}

#[test]
fn what_a_configuration_cannot_hold_is_refused_before_the_run() {
    let dma = |device: &str, iova: u64, target: u64| {
        format!("vtd_dmar_translate dev {device} iova {iova:#x} -> gpa {target:#x} mask 0xfff\n")
    };
    let cases = [
        (dma("00:0f.7", 0x1000, 0x1000), None),
        (dma("00:10.0", 0x1000, 0x1000), Some("7 bits")),
        (dma("00:01.0", 0x1000, 0xffff_f000), None),
        (
            dma("00:01.0", 0x1000, 0x1_0000_0000),
            Some("32 address bits"),
        ),
        (dma("00:01.0", 0x3f_ffff_f000, 0x1000), None),
        (dma("00:01.0", 0x40_0000_0000, 0x1000), Some("beyond")),
        (
            dma("00:01.0", 0xffff_ffff_ffff_f000, 0x1000),
            Some("beyond"),
        ),
        (
            "riscv_iommu_dma (null): translate 0000:01.0 #5 RO 0x0 -> 0x0\n".to_owned(),
            Some("process 5"),
        ),
    ];
    for (line, expected) in cases {
        let log = format!("something else\n{line}");
        let trace = parse(log.as_bytes()).expect("a good log");
        match (check(&trace, &plan(&trace), tiny()), expected) {
            (Ok(()), None) => {
                assert_eq!(
                    on(log.as_bytes(), &fake).expect("a replay").wrong,
                    0,
                    "{line}"
                );
            }
            (Err(error), Some(cause)) => {
                assert_eq!(error.line, Some(2));
                assert!(error.cause.contains(cause), "{}", error.cause);
            }
            (got, _) => panic!("{line}: {got:?}"),
        }
    }
}

#[test]
fn large_pages_are_mapped_as_the_log_says() {
    let log = b"vtd_dmar_translate dev 00:01.0 iova 0x40200000 -> gpa 0x80200000 mask 0x1fffff\n\
        vtd_dmar_translate dev 00:01.0 iova 0x403ff000 -> gpa 0x803ff000 mask 0x1fffff\n\
        vtd_inv_desc_iotlb_pages iotlb invalidate domain 0x1 addr 0x40200000 mask 0x9\n\
        vtd_dmar_translate dev 00:01.0 iova 0x40300000 -> gpa 0x9000 mask 0xfff\n";
    let outcome = on(log, &fake).expect("a replay");
    assert_eq!(
        (outcome.wrong, outcome.maps, outcome.strict_unmaps),
        (0, 2, 1)
    );
}

#[test]
fn percentiles_are_by_nearest_rank() {
    let latency = Latency::of((1..=200).rev().collect());
    assert_eq!(
        (latency.p50, latency.p95, latency.p99, latency.max),
        (100, 190, 198, 200)
    );
    assert_eq!(
        Latency::of(vec![7]),
        Latency {
            p50: 7,
            p95: 7,
            p99: 7,
            max: 7
        }
    );
    assert_eq!(Latency::of(vec![]), Latency::default());
}

#[test]
fn reports_hold_every_figure_and_nothing_from_elsewhere() {
    let mut outcome = on(&head(STRICT, 500), &fake).expect("a replay");
    outcome.name = "a <b> & \"c\"".to_owned();
    outcome.examples.push("<script>".to_owned());
    let one = Run {
        config: "tiny",
        timing: Timing::default(),
        outcomes: vec![outcome.clone()],
        seconds: 1.0,
    };
    assert_eq!(one.columns().len(), 1);
    let run = Run {
        outcomes: vec![outcome.clone(), outcome],
        ..one
    };
    let page = html::page(&run).expect("a page");
    assert_eq!(page.matches("<svg").count(), 4);
    assert!(page.contains("a &lt;b&gt; &amp; &quot;c&quot;") && !page.contains("<script>"));
    for outside in ["href=", "src=", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    let json = run.json();
    for key in [
        "touches",
        "wrong",
        "traces",
        "cycles",
        "stall_cycles",
        "latency",
        "hit_rate",
        "reads",
        "commands",
        "fence_wait_cycles",
        "cycles_per_second",
    ] {
        assert!(!json[key].is_null(), "{key}");
    }
    assert_eq!(json["touches"], 2 * run.outcomes[0].touches);
    assert_eq!(json["traces"].as_array().map(Vec::len), Some(2));
    let table = run.table();
    let rows: Vec<&str> = table.lines().collect();
    assert_eq!(rows[1].chars().count(), rows[0].chars().count());
    for word in [
        "touches",
        "wrong addresses",
        "p50",
        "p95",
        "p99",
        "max",
        "IOTLB",
        "commands",
        "fences",
        "stall",
    ] {
        assert!(table.contains(word), "{word}");
    }
}
