//! The command line: `run`, `bench`, `own`, `play`, `verilog` and `area`.
//!
//! Exit status 0: done. 1: done and something is wrong (wrong addresses, a figure
//! above its bound), or the simulated hardware or the machine
//! failed on the way. 2: bad input. Every error is one line on standard error.

mod bench;

use std::fs;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use clap::{Args, Parser, Subcommand, ValueEnum};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use portcullis_hdl::verilog::{Bus, emit, module_name};
use portcullis_regmap::Config;

use crate::backend::{Backend, Factory};
use crate::board::{self, BoardArgs};
use crate::cores;
use crate::fpga::{self, AreaArgs, SynthArgs};
use crate::html;
use crate::memory::Timing;
use crate::output::AtomicFile;
use crate::own::command::{OwnArgs, own};
use crate::plan::{Plan, plan};
use crate::play::{PlayError, named_config, named_variant, play, play_model};
use crate::recorded::LOGS;
use crate::registers;
use crate::replay::{Options, Outcome, check, replay};
use crate::report::Run;
use crate::trace::{Trace, parse};

#[derive(Parser)]
#[command(
    name = "portcullis",
    version,
    about = "Portcullis, an open RISC-V IOMMU: cycle-accurate simulation of the hardware under its driver",
    args_conflicts_with_subcommands = true
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Replay DMA traces of real machines through driver and hardware, every address checked (the default)
    Run(RunArgs),
    /// Let a device change hands while it never stops, and see what it reaches
    Own(OwnArgs),
    /// Count the cycles of hits, misses, invalidations and replays, beside bounds and another open IOMMU
    Bench(bench::Args),
    /// Hold a conversation with the hardware: one JSON object per line in, one out
    Play(PlayArgs),
    /// Write the Verilog of the core
    Verilog(VerilogArgs),
    /// Synthesise, place and route the core alone: cells and clock frequency on an FPGA
    Area(AreaArgs),
    /// Write the register page for other tools
    Registers(RegistersArgs),
    /// Make a bitstream of the demonstration system for a board
    Synth(SynthArgs),
    /// Talk to the demonstration system on a board, or to its simulation
    Board(BoardArgs),
}

#[derive(Args)]
struct RunArgs {
    /// Log of QEMU's IOMMU trace events; may be given several times. Without it: two recorded logs of Linux
    #[arg(long, value_name = "FILE")]
    trace: Vec<PathBuf>,
    /// Configuration of the hardware
    #[arg(long, value_name = "NAME", default_value = "tiny")]
    config: String,
    /// What simulates the hardware
    #[arg(long, value_enum, default_value_t = Backend::Rtl)]
    backend: Backend,
    /// Memory latency: cycles from a read request to its first data
    #[arg(long, value_name = "L", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    latency: u64,
    /// Record every signal as VCD; of a second trace and on in FILE-2 and on
    #[arg(long, value_name = "FILE")]
    waves: Option<PathBuf>,
    /// Write a report as one HTML page
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// Write the figures as one JSON object
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Args)]
struct PlayArgs {
    /// What simulates the hardware
    #[arg(long, value_enum, default_value_t = Backend::Rtl)]
    backend: Backend,
    /// Script; standard input if missing or `-`
    file: Option<PathBuf>,
}

#[derive(Args)]
struct VerilogArgs {
    /// Configuration of the hardware
    #[arg(long, value_name = "NAME")]
    config: String,
    /// What its ports are
    #[arg(long, value_enum, default_value_t = Ports::Core)]
    bus: Ports,
    /// Also a FuseSoC core, with Verilator's waivers
    #[arg(long)]
    fusesoc: bool,
    /// Also a LiteX module; needs --bus axi
    #[arg(long)]
    litex: bool,
    /// Directory to write to; made if missing
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
}

#[derive(Args)]
struct RegistersArgs {
    /// A C header with all registers: portcullis.h
    #[arg(long, required_unless_present = "svd")]
    c: bool,
    /// A CMSIS-SVD file with the registers of a configuration: portcullis_NAME.svd
    #[arg(long, requires = "config")]
    svd: bool,
    /// Configuration of the hardware, for --svd
    #[arg(long, value_name = "NAME")]
    config: Option<String>,
    /// Directory to write to; made if missing
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
}

/// What the ports of the generated Verilog are.
#[derive(Clone, Copy, ValueEnum)]
pub enum Ports {
    /// The core's own
    Core,
    /// AXI4 for devices, memory and walks, AXI4-Lite for registers
    Axi,
}

impl From<Ports> for Bus {
    fn from(ports: Ports) -> Self {
        match ports {
            Ports::Core => Bus::Core,
            Ports::Axi => Bus::Axi,
        }
    }
}

/// Why a command ends without success.
pub(crate) struct Stop {
    status: u8,
    message: String,
}

/// The input is at fault.
pub(crate) fn bad_input(message: impl Into<String>) -> Stop {
    Stop {
        status: 2,
        message: message.into(),
    }
}

/// The hardware, the driver or the machine is at fault.
pub(crate) fn failed(message: impl Into<String>) -> Stop {
    Stop {
        status: 1,
        message: message.into(),
    }
}

/// The whole command.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command.unwrap_or(Command::Run(cli.run)) {
        Command::Run(args) => run(&args),
        Command::Own(args) => own(&args),
        Command::Bench(args) => bench::bench(&args),
        Command::Play(args) => conversation(&args),
        Command::Verilog(args) => verilog(&args),
        Command::Area(args) => area(&args),
        Command::Registers(args) => registers(&args),
        Command::Synth(args) => printed(fpga::synth(&args)),
        Command::Board(args) => talk(&args),
    };
    match result {
        Ok(status) => status.into(),
        Err(stop) => {
            // Without standard error there is nobody left to tell.
            let _ = writeln!(io::stderr(), "portcullis: {}", stop.message);
            stop.status.into()
        }
    }
}

/// A log that is ready to be replayed.
struct Job {
    name: String,
    trace: Trace,
    plan: Plan,
    waves: Option<PathBuf>,
}

fn run(args: &RunArgs) -> Result<u8, Stop> {
    args.backend.available().map_err(bad_input)?;
    let config = named_config(&args.config).map_err(bad_input)?;
    let jobs = jobs(args, config)?;
    // Opened before the long run, so that a path that cannot be written is known now.
    let output = |path: &Option<PathBuf>| {
        let file = path.as_deref().map(AtomicFile::create).transpose();
        file.map_err(|error| bad_input(error.to_string()))
    };
    if args.json.is_some() && args.json == args.report {
        return Err(bad_input(
            "--json and --report name the same file: give two names",
        ));
    }
    let json_file = output(&args.json)?;
    let report_file = output(&args.report)?;
    for path in jobs.iter().filter_map(|job| job.waves.as_deref()) {
        File::create(path).map_err(|error| bad_input(format!("{}: {error}", path.display())))?;
    }

    let timing = Timing {
        latency: args.latency,
        ..Timing::default()
    };
    let start = Instant::now();
    let factory = |config: &'static Config| args.backend.core(config);
    let outcomes = replay_all(&jobs, config, timing, &factory).map_err(failed)?;
    let run = Run {
        config: config.name,
        timing,
        outcomes,
        seconds: start.elapsed().as_secs_f64(),
    };

    if let Some(file) = json_file {
        let json = format!("{:#}\n", run.json());
        file.commit(json.as_bytes())
            .map_err(|error| failed(error.to_string()))?;
    }
    if let Some(file) = report_file {
        let page = html::page(&run).map_err(failed)?;
        file.commit(page.as_bytes())
            .map_err(|error| failed(error.to_string()))?;
    }
    print(&run.table())?;
    let examples = run.outcomes.iter().flat_map(|outcome| &outcome.examples);
    for example in examples {
        let _ = writeln!(io::stderr(), "portcullis: wrong address: {example}");
    }
    Ok(u8::from(run.wrong() > 0))
}

/// Reads, parses and checks every log before the first is replayed.
fn jobs(args: &RunArgs, config: &'static Config) -> Result<Vec<Job>, Stop> {
    let mut jobs = Vec::new();
    let mut add = |shown: &str, log: &[u8]| {
        let trace = parse(log).map_err(|error| bad_input(error.describe(shown)))?;
        let plan = plan(&trace);
        check(&trace, &plan, config).map_err(|error| bad_input(error.describe(shown)))?;
        let name = Path::new(shown)
            .file_stem()
            .map_or(shown.into(), |stem| stem.to_string_lossy());
        jobs.push(Job {
            name: name.into_owned(),
            trace,
            plan,
            waves: args
                .waves
                .as_deref()
                .map(|path| numbered(path, jobs.len() + 1)),
        });
        Ok(())
    };
    if args.trace.is_empty() {
        for recorded in LOGS {
            add(recorded.name, recorded.log)?;
        }
    }
    for path in &args.trace {
        let shown = path.display().to_string();
        let log = fs::read(path).map_err(|error| {
            bad_input(format!(
                "{shown}: {error}: --trace needs a log of QEMU's IOMMU trace events"
            ))
        })?;
        add(&shown, &log)?;
    }
    Ok(jobs)
}

/// `waves.vcd`, `waves-2.vcd` and so on: one per trace.
fn numbered(path: &Path, number: usize) -> PathBuf {
    if number == 1 {
        return path.to_owned();
    }
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{number}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

/// Replays every log, as many at a time as there are processors. Results come in the order of the logs; so does the
/// error, if several fail.
fn replay_all(
    jobs: &[Job],
    config: &'static Config,
    timing: Timing,
    factory: Factory<'_>,
) -> Result<Vec<Outcome>, String> {
    let target = if io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bars = MultiProgress::with_draw_target(target);
    let style = ProgressStyle::with_template("{prefix:>32} [{wide_bar}] {pos}/{len} {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ");
    let bars: Vec<ProgressBar> = jobs
        .iter()
        .map(|job| {
            let bar = bars.add(ProgressBar::new(job.plan.touches));
            bar.set_style(style.clone());
            bar.set_prefix(job.name.clone());
            bar
        })
        .collect();
    let results: Vec<Mutex<Option<Result<Outcome, String>>>> =
        jobs.iter().map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    let workers = thread::available_parallelism()
        .map_or(1, Into::into)
        .min(jobs.len());
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let (Some(job), Some(bar), Some(slot)) =
                        (jobs.get(at), bars.get(at), results.get(at))
                    else {
                        return;
                    };
                    let options = Options {
                        config,
                        timing,
                        waves: job.waves.clone(),
                    };
                    let progress = |done| bar.set_position(done);
                    let result = replay(
                        &job.name, &job.trace, &job.plan, &options, factory, &progress,
                    );
                    bar.finish_and_clear();
                    if let Ok(mut slot) = slot.lock() {
                        *slot = Some(result);
                    }
                }
            });
        }
    });
    let results = results.into_iter().zip(jobs).map(|(slot, job)| {
        let result = slot.into_inner().ok().flatten();
        result.unwrap_or_else(|| Err(format!("{}: the replay ended without a result", job.name)))
    });
    results.collect()
}

/// Writes to standard output.
pub(crate) fn print(text: &str) -> Result<(), Stop> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| failed(format!("standard output: {error}")))
}

fn conversation(args: &PlayArgs) -> Result<u8, Stop> {
    if args.backend != Backend::Model {
        args.backend.available().map_err(bad_input)?;
    }
    let input: Box<dyn BufRead> = match args.file.as_deref().filter(|path| *path != Path::new("-"))
    {
        None => Box::new(io::stdin().lock()),
        Some(path) => {
            let named = |error: io::Error| bad_input(format!("{}: {error}", path.display()));
            let file = File::open(path).map_err(named)?;
            if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
                return Err(bad_input(format!(
                    "{}: is a directory, not a script",
                    path.display()
                )));
            }
            Box::new(BufReader::new(file))
        }
    };
    let output = BufWriter::new(io::stdout().lock());
    let result = if args.backend == Backend::Model {
        play_model(input, output)
    } else {
        play(input, output, &|config| args.backend.core(config))
    };
    match result {
        Ok(()) => Ok(0),
        // The partner hung up: nobody is left to tell.
        Err(PlayError::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(1),
        Err(error) => Err(failed(error.to_string())),
    }
}

fn verilog(args: &VerilogArgs) -> Result<u8, Stop> {
    let config = named_config(&args.config).map_err(bad_input)?;
    let bus = args.bus.into();
    let mut files = vec![];
    if args.litex {
        files.push(cores::litex(config, bus).map_err(bad_input)?);
    }
    if args.fusesoc {
        files.extend(cores::fusesoc(config, bus).map_err(failed)?);
    }
    let text = emit(config, bus).map_err(failed)?;
    files.insert(0, (format!("{}.v", module_name(config, bus)), text));
    for (name, text) in &files {
        write_whole(&args.output, name, text)?;
    }
    Ok(0)
}

fn registers(args: &RegistersArgs) -> Result<u8, Stop> {
    let config = args.config.as_deref().map(named_config).transpose();
    let config = config.map_err(bad_input)?;
    if args.c {
        write_whole(&args.output, "portcullis.h", &registers::header())?;
    }
    if let (true, Some(config)) = (args.svd, config) {
        let text = registers::svd(config).map_err(failed)?;
        write_whole(
            &args.output,
            &format!("portcullis_{}.svd", config.name),
            &text,
        )?;
    }
    Ok(0)
}

/// Writes a file into `directory` and prints its path. Nothing is left half written.
fn write_whole(directory: &Path, name: &str, text: &str) -> Result<u8, Stop> {
    let named = |error: io::Error| bad_input(format!("{}: {error}", directory.display()));
    fs::create_dir_all(directory).map_err(named)?;
    let path = directory.join(name);
    let file = AtomicFile::create(&path).map_err(|error| bad_input(error.to_string()))?;
    file.commit(text.as_bytes())
        .map_err(|error| failed(error.to_string()))?;
    print(&format!("{}\n", path.display()))?;
    Ok(0)
}

fn area(args: &AreaArgs) -> Result<u8, Stop> {
    let Some(config) = &args.config else {
        return printed(fpga::table());
    };
    let config = named_variant(config).map_err(bad_input)?;
    printed(fpga::area(args, config))
}

fn talk(args: &BoardArgs) -> Result<u8, Stop> {
    // A reader that has gone away is no reason to leave the board half-way.
    let mut line = |text: &str| {
        let _ = writeln!(io::stdout(), "{text}");
    };
    printed(board::board(args, &mut line).map(|()| String::new()))
}

/// Prints the result of a command that says whether its input is at fault.
fn printed(result: Result<String, (bool, String)>) -> Result<u8, Stop> {
    let text = result.map_err(|(input, message)| match input {
        true => bad_input(message),
        false => failed(message),
    })?;
    print(&text)?;
    Ok(0)
}
