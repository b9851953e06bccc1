//! Back end `verilog`: the generated Verilog under Verilator is the hardware that `rtl` simulates, in every cycle.
//!
//! Verilator and a C++ compiler are no part of what `cargo test` needs. So these tests do nothing unless the
//! environment says `PORTCULLIS_VERILATOR=1`, as `cargo xtask verify` does; with it a missing tool is a failure. Only
//! the message about missing tools is always tested, for nothing is needed to see it.

#[path = "verilog_backend/machine.rs"]
mod machine;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;
use std::{env, fs, io, thread};

use machine::Machine;
use portcullis_regmap::{CONFIGS, Config, config};
use portcullis_sim::backend::Backend;
use portcullis_sim::backend::pair::Pair;
use portcullis_sim::backend::verilog::HISTORY;
use portcullis_sim::core::{Core, Inputs, Outputs, Purpose};
use portcullis_sim::harness::Harness;
use portcullis_sim::memory::{Memory, Timing};

/// Cycles of a comparison.
const CYCLES: u64 = 20_000;
/// Whether these tests are wanted.
fn wanted() -> bool {
    let wanted = env::var("PORTCULLIS_VERILATOR").is_ok_and(|value| value == "1");
    if !wanted {
        eprintln!("skipped: PORTCULLIS_VERILATOR=1 is not set");
    }
    wanted
}

fn tiny() -> &'static Config {
    config("tiny").expect("tiny")
}

fn core(backend: Backend, config: &'static Config) -> Box<dyn Core> {
    backend
        .core(config)
        .unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn rtl_and_verilog_agree_in_every_cycle() {
    if !wanted() {
        return;
    }
    for config in CONFIGS {
        let pair = Pair::new(core(Backend::Rtl, config), core(Backend::Verilog, config));
        let mut machine = Machine::new(Box::new(pair), 1);
        machine.live_for(CYCLES);
        let (cycles, granted, refused, counters) = machine.summary();
        println!(
            "{}: {cycles} cycles, {granted} granted, {refused} refused, {counters:?}",
            config.name
        );
        // The comparison is worth nothing if nothing happens.
        let traffic = counters.traffic;
        for (what, count) in [
            ("granted", granted),
            ("refused", refused),
            ("context hits", counters.context_hits),
            ("context misses", counters.context_misses),
            ("IOTLB hits", counters.iotlb_hits),
            ("IOTLB misses", counters.iotlb_misses),
            ("walks", counters.walks),
            ("commands", traffic.reads(Purpose::Command)),
            ("fences", traffic.writes(Purpose::Fence)),
            ("records", traffic.writes(Purpose::Fault)),
        ] {
            assert!(count >= 20, "{}: {count} {what}", config.name);
        }
    }
}

/// What `rtl` is too slow for: the harness watches every handshake and every wait.
#[test]
fn long_lives_break_no_contract() {
    if !wanted() {
        return;
    }
    for config in CONFIGS {
        for seed in 0..20 {
            println!("{} seed {seed}", config.name);
            Machine::new(core(Backend::Verilog, config), seed).live_for(20 * CYCLES);
        }
    }
}

/// A core whose interrupt wires lie in the cycle `at`.
struct Liar {
    core: Box<dyn Core>,
    at: u64,
}

impl Core for Liar {
    fn settle(&mut self, inputs: &Inputs) -> Outputs {
        let mut outputs = self.core.settle(inputs);
        outputs.irq ^= u32::from(self.at == 0);
        outputs
    }
    fn clock(&mut self) {
        self.core.clock();
        self.at = self.at.wrapping_sub(1);
    }
    fn record_waves(&mut self, path: &Path) -> io::Result<()> {
        self.core.record_waves(path)
    }
}

#[test]
#[should_panic(expected = "the two cores differ in cycle 17 ")]
fn a_difference_is_found() {
    let liar = Liar {
        core: core(Backend::Rtl, tiny()),
        at: 17,
    };
    let pair = Pair::new(core(Backend::Rtl, tiny()), Box::new(liar));
    let mut harness = Harness::new(Box::new(pair), Memory::new(Timing::default()));
    harness.advance(30).expect("no hang");
}

#[test]
fn cores_are_independent_and_may_live_on_several_threads() {
    if !wanted() {
        return;
    }
    let live = |seed| {
        let mut machine = Machine::new(core(Backend::Verilog, tiny()), seed);
        machine.live_for(CYCLES);
        machine.summary()
    };
    let alone: Vec<_> = (0..4).map(live).collect();
    assert_ne!(alone[0], alone[1]);
    let threads: Vec<_> = (0..4)
        .map(|seed| thread::spawn(move || live(seed)))
        .collect();
    let together: Vec<_> = threads
        .into_iter()
        .map(|thread| thread.join().expect("a life"))
        .collect();
    assert_eq!(alone, together);

    // Two in one thread, step by step in turn.
    let mut turns: Vec<_> = (0..2)
        .map(|seed| Machine::new(core(Backend::Verilog, tiny()), seed))
        .collect();
    while turns.iter().any(|machine| machine.harness.cycle() < CYCLES) {
        for machine in &mut turns {
            if machine.harness.cycle() < CYCLES {
                machine.act();
            }
        }
    }
    for (machine, alone) in turns.iter_mut().zip(&alone) {
        machine.live_for(CYCLES);
        assert_eq!(machine.summary(), *alone);
    }
}

/// A directory of one test, empty at its start.
fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).expect("a directory");
    path
}

#[test]
fn waves_start_early_and_change_nothing() {
    if !wanted() {
        return;
    }
    let directory = directory("verilog-waves");
    let path = directory.join("core.vcd");
    // The core with waves is another one than the core of the reset, and it agrees with `rtl` as well.
    let pair = Pair::new(core(Backend::Verilog, tiny()), core(Backend::Rtl, tiny()));
    let mut machine = Machine::with_waves(Box::new(pair), 3, Some(&path));
    machine.live_for(1000);
    let cycles = machine.harness.cycle();
    let late = directory.join("late.vcd");
    let error = machine.harness.record_waves(&late).expect_err("too late");
    let words = format!("within {HISTORY} cycles");
    assert!(error.to_string().contains(&words), "{error}");
    assert!(!late.exists());
    drop(machine);

    let waves = fs::read_to_string(&path).expect("a VCD");
    assert!(waves.contains("$enddefinitions"));
    for signal in ["clock", "reset", "req_valid", "mem_ar_addr"] {
        assert!(waves.contains(&format!(" {signal} ")), "{signal}");
    }
    // Two times per cycle, one for each edge.
    let times = waves.lines().filter(|line| line.starts_with('#')).count() as u64;
    assert!(times >= 2 * cycles, "{times} times in {cycles} cycles");
    let second = fs::metadata(directory.join("core-second.vcd"));
    assert!(second.expect("the second core's waves").len() > 1000);
}

#[test]
fn waves_that_cannot_be_written_are_an_error() {
    if !wanted() {
        return;
    }
    let directory = directory("verilog-no-waves");
    let mut harness = Harness::new(
        core(Backend::Verilog, tiny()),
        Memory::new(Timing::default()),
    );
    for path in [&directory, &directory.join("no/such/place")] {
        assert!(harness.record_waves(path).is_err(), "{}", path.display());
    }
    harness.advance(10).expect("the core is as before");
}

#[test]
fn verilog_is_much_faster_than_rtl() {
    if !wanted() {
        return;
    }
    for config in CONFIGS {
        let speed = |backend: Backend, cycles: u64| {
            let start = Instant::now();
            let mut machine = Machine::new(core(backend, config), 5);
            let built = start.elapsed();
            let start = Instant::now();
            machine.live_for(cycles);
            let speed = cycles as f64 / start.elapsed().as_secs_f64();
            println!(
                "{} {backend:?}: {speed:.0} cycles/s, a new core in {built:?}",
                config.name
            );
            speed
        };
        speed(Backend::Verilog, 1);
        let verilog = speed(Backend::Verilog, 100_000);
        let rtl = speed(Backend::Rtl, 5_000);
        assert!(verilog > 10.0 * rtl, "{verilog} {rtl}");
    }
}

/// The command with a script as its input.
fn portcullis(args: &[&str], path: Option<&str>, script: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    if let Some(path) = path {
        command.env("PATH", path);
    }
    let command = command.args(args).arg(script);
    command.output().expect("the command")
}

const SCRIPT: &str = r#"{"op":"reset","mem":{"latency":7}}
{"op":"mem_write","addr":"0x100020","data":"0100000000000000000000000000000000000000000000000000000000000000"}
{"op":"reg_write","offset":16,"size":8,"value":"0x40002"}
{"op":"translate","reqs":[{"device_id":1,"access":"r","kind":"untranslated","iova":"0x5123"},{"device_id":2,"access":"w","kind":"untranslated","iova":4096}]}
{"op":"stats"}
"#;

#[test]
fn play_answers_as_with_rtl() {
    if !wanted() {
        return;
    }
    let script = directory("verilog-play").join("script.jsonl");
    fs::write(&script, SCRIPT).expect("a script");
    let play = |backend| portcullis(&["play", "--backend", backend], None, &script);
    let (rtl, verilog) = (play("rtl"), play("verilog"));
    assert!(verilog.status.success(), "{verilog:?}");
    assert_eq!(rtl.stdout, verilog.stdout);
    let text = String::from_utf8_lossy(&rtl.stdout);
    assert!(text.contains(r#""pa":"0x0000000000005123""#), "{text}");
    assert!(text.contains(r#""status":"fault""#), "{text}");
}

#[test]
fn a_missing_verilator_is_one_clear_line() {
    let directory = directory("verilog-missing");
    let script = directory.join("script.jsonl");
    fs::write(&script, SCRIPT).expect("a script");
    let empty = directory.display().to_string();
    for args in [
        &["play", "--backend", "verilog"][..],
        &["run", "--backend", "verilog", "--trace"],
    ] {
        let output = portcullis(args, Some(&empty), &script);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert_eq!(output.stdout, b"");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(text.lines().count(), 1, "{text}");
        let words = "apt-get install -y --no-install-recommends verilator g++";
        assert!(text.contains(words), "{text}");
    }
}
