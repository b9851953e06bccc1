//! Verification with outside tools. `cargo xtask verify` generates the Verilog, lints it with Verilator, Icarus and
//! Yosys, synthesises it within a budget, and compares it with the Rust simulation cycle by cycle; it also builds the driver for
//! machines without an operating system, bounds its stack on RISC-V, and puts the core into FuseSoC and LiteX. `cargo xtask mutants` plants defects and sees that the tests find them.

mod backend;
mod boards;
mod cocotb;
mod cores;
mod cosim;
mod firmware;
mod lint;
mod mutants;
mod proofs;
mod python;
mod report;
mod riscv;
mod rules;
mod synth;
mod tools;

use portcullis_board::boards::{BOARDS, board};
use portcullis_board::tools::target;
use report::Report;
use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask verify [--only STEP[,STEP...]] [--cycles N] [--seed N] [--equal N] [--random N]
                          [--replacements N] [--boards NAME[,NAME...]]
       cargo xtask mutants [PART OF THE NAME OF A DEFECT OR OF ITS TEST]
       cargo xtask tools

steps of verify: firmware, riscv, lint, synth, cosim, backend, rules, random, ownership, boards, cocotb, cores, proofs (all of them without --only)
--cycles N   cycles of co-simulation of the core (default 30000; a third of it for each block)
--seed N     seed of the random inputs (default 1)
--equal N    cycles for which kernels and Verilog are compared on random machines, for each configuration (default 50000)
--random N   random machines of each configuration against the golden model, on the generated Verilog (default 1000)
--replacements N  hitless replacements of a domain under full load, of each configuration, on the generated Verilog
             (default 20000)
--boards NAME,NAME  boards to make bitstreams for, or `all` (default alchitry-cu,ulx3s-85f)

tools installs Yosys and nextpnr from PyPI for `portcullis area`.";

/// The steps of `verify`.
const STEPS: [&str; 13] = [
    "firmware",
    "riscv",
    "lint",
    "synth",
    "cosim",
    "backend",
    "rules",
    "random",
    "ownership",
    "boards",
    "cocotb",
    "cores",
    "proofs",
];

/// What to do.
enum Job {
    Verify(Options),
    Mutants(String),
    Tools,
}

struct Options {
    steps: Vec<String>,
    cycles: usize,
    seed: u64,
    equal: u64,
    random: usize,
    replacements: usize,
    boards: Vec<String>,
}

fn parse(args: &[String]) -> Result<Job, String> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        [] => Err("a command is missing".into()),
        ["verify", ..] => parse_verify(&args[1..]).map(Job::Verify),
        ["mutants"] => Ok(Job::Mutants(String::new())),
        ["mutants", filter] => Ok(Job::Mutants(filter.to_string())),
        ["tools"] => Ok(Job::Tools),
        ["tools", ..] => Err("tools takes no argument".into()),
        ["mutants", ..] => Err("mutants takes one name".into()),
        [command, ..] => Err(format!("unknown command `{command}`")),
    }
}

fn parse_verify(rest: &[String]) -> Result<Options, String> {
    let mut options = Options {
        steps: STEPS.map(str::to_string).to_vec(),
        cycles: 30_000,
        seed: 1,
        equal: 50_000,
        random: 1000,
        replacements: 20_000,
        boards: boards::EVERY_TIME.map(str::to_string).to_vec(),
    };
    for pair in rest.chunks(2) {
        let [name, value] = pair else {
            return Err(format!("`{}` wants a value", pair[0]));
        };
        let number = || {
            let n: Result<usize, _> = value.parse();
            n.map_err(|_| format!("`{name} {value}` is not a number"))
        };
        match name.as_str() {
            "--only" => options.steps = value.split(',').map(str::to_string).collect(),
            "--cycles" => options.cycles = number()?.max(10_000),
            "--seed" => options.seed = number()? as u64,
            "--equal" => options.equal = number()? as u64,
            "--random" => options.random = number()?,
            "--replacements" => options.replacements = number()?,
            "--boards" => options.boards = chosen_boards(value)?,
            _ => return Err(format!("unknown option `{name}`")),
        }
    }
    match options.steps.iter().find(|s| !STEPS.contains(&s.as_str())) {
        Some(s) => Err(format!("unknown step `{s}`")),
        None => Ok(options),
    }
}

fn chosen_boards(value: &str) -> Result<Vec<String>, String> {
    if value == "all" {
        return Ok(BOARDS.iter().map(|b| b.name.to_string()).collect());
    }
    let named = value
        .split(',')
        .map(|name| board(name).map(|b| b.name.to_string()));
    named.collect()
}

impl Options {
    fn wants(&self, step: &str) -> bool {
        self.steps.iter().any(|s| s == step)
    }
}

/// Root of the workspace.
fn root() -> PathBuf {
    let mut dir = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    dir.pop();
    dir
}

/// Generates the Verilog of a configuration with these ports, and lints it.
fn verilog(report: &mut Report, options: &Options, config: &str, bus: &str) {
    let name = match bus {
        "core" => config.to_string(),
        bus => format!("{config}_{bus}"),
    };
    let file = target().join(format!("verilog/portcullis_{name}.v"));
    let made = report.step(&format!("verilog {name}"), || {
        lint::generate(config, bus, &file)
    });
    if made && options.wants("lint") {
        lint::run(report, &name, &file);
    }
}

fn verify(options: &Options) -> Report {
    let mut report = Report::new();
    let wants = |s: &str| options.wants(s);
    if !tools::provide(&mut report, |s| wants(s)) {
        return report;
    }
    if wants("firmware") {
        firmware::check(&mut report, &root(), &target());
    }
    if wants("riscv") {
        riscv::check(&mut report, &root(), &target());
    }
    if STEPS
        .iter()
        .all(|s| ["firmware", "riscv"].contains(s) || !wants(s))
    {
        return report;
    }
    let fpga = if wants("synth") || wants("boards") {
        synth::provide(&mut report)
    } else {
        None
    };
    for config in portcullis_regmap::config::CONFIGS {
        for bus in ["core", "axi"] {
            verilog(&mut report, options, config.name, bus);
        }
        if let Some(tools) = fpga.as_ref().filter(|_| wants("synth")) {
            for bus in portcullis_hdl::verilog::BUSES {
                synth::run(&mut report, tools, config, bus);
            }
        }
    }
    if wants("cosim") {
        cosim::run(&mut report, options.cycles, options.seed);
    }
    if wants("backend") {
        backend::works(&mut report);
        backend::equal(&mut report, options.equal);
    }
    if wants("rules") {
        rules::builds(&mut report);
        rules::equal(&mut report);
    }
    if wants("random") {
        backend::random(&mut report, options.random);
    }
    if wants("ownership") {
        backend::ownership(&mut report, options.replacements);
    }
    if wants("boards") {
        boards::self_test(&mut report);
        if let Some(tools) = &fpga {
            boards::bitstreams(&mut report, tools, &options.boards);
        }
    }
    if wants("lint") || wants("cocotb") {
        report.step("registers", lint::registers);
    }
    if wants("cocotb") {
        cocotb::run(&mut report, options.seed);
    }
    if wants("cores") {
        cores::run(&mut report, options.seed);
    }
    if wants("proofs") {
        proofs::run(&mut report);
    }
    report
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match parse(&args) {
        Ok(Job::Verify(options)) => verify(&options).finish(),
        Ok(Job::Mutants(filter)) => {
            let mut report = Report::new();
            mutants::run(&mut report, &root(), &target(), &filter);
            report.finish()
        }
        Ok(Job::Tools) => {
            let mut report = Report::new();
            synth::provide(&mut report);
            report.finish()
        }
        Err(e) => {
            eprintln!("xtask: {e}\n\n{USAGE}");
            ExitCode::from(2)
        }
    }
}
