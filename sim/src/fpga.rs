//! The commands `area` (what a configuration takes of an FPGA, and how fast it runs there) and `synth` (a bitstream).

use crate::cli::Ports;
use crate::output::AtomicFile;
use clap::Args;
use portcullis_board::area::{AIM_MHZ, design, home, measure};
use portcullis_board::boards::board;
use portcullis_board::device::device;
use portcullis_board::figures::{self, Figures, Stored};
use portcullis_board::flow::Counts;
use portcullis_board::tools::{Tools, make_dir, read, target};
use portcullis_regmap::Config;
use std::env;
use std::path::{Path, PathBuf};

const SYNTHESIS: &str = include_str!("../../constraints/synthesis.json");
const PERFORMANCE: &str = include_str!("../../constraints/performance.json");

/// Arguments of `area`.
#[derive(Args)]
pub struct AreaArgs {
    /// Configuration of the hardware
    #[arg(long, value_name = "NAME", required_unless_present = "table")]
    pub config: Option<String>,
    /// What its ports are
    #[arg(long, value_enum, default_value_t = Ports::Core)]
    pub bus: Ports,
    /// Print the table of what is stored in constraints/synthesis.json and constraints/performance.json, measure nothing
    #[arg(long, conflicts_with_all = ["config", "bus", "device", "aim", "seed", "no_route", "json", "record"])]
    pub table: bool,
    /// hx8k, ecp5 (LFE5U-85F, speed grade 6) or ecp5-25; without it the device the configuration is made for
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Clock frequency in MHz that place and route aims at
    #[arg(long, value_name = "MHZ", default_value_t = AIM_MHZ)]
    pub aim: f64,
    /// Seed of place and route
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Count cells only: no place and route
    #[arg(long)]
    pub no_route: bool,
    /// Write the figures as one JSON object
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Put the figures in a file like constraints/synthesis.json
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
}

/// Arguments of `synth`.
#[derive(Args)]
pub struct SynthArgs {
    /// alchitry-cu, ulx3s-85f, orangecrab-25f or colorlight-i5
    #[arg(long, value_name = "BOARD")]
    pub board: String,
    /// Directory for bitstream and report; made if missing
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// Seed of place and route; without it one with which the clock is met
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Put the figures in a file like constraints/synthesis.json
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
}

/// The virtual environment with Yosys and nextpnr.
#[must_use]
pub fn tools_dir() -> PathBuf {
    env::var_os("PORTCULLIS_TOOLS").map_or_else(|| target().join("fpga-tools"), PathBuf::from)
}

/// A file of stored figures, read before the long run and written after it.
struct Record {
    stored: Stored,
    file: AtomicFile,
}

impl Record {
    fn open(path: Option<&Path>) -> Result<Option<Self>, String> {
        let Some(path) = path else { return Ok(None) };
        let stored = figures::parse(&read(path)?)?;
        let file = AtomicFile::create(path).map_err(|e| e.to_string())?;
        Ok(Some(Self { stored, file }))
    }

    fn put(
        mut self,
        design: &str,
        place: &str,
        cells: &Counts,
        fmax: Option<f64>,
    ) -> Result<(), String> {
        let figures = Figures {
            cells: cells.clone(),
            fmax_mhz: fmax.map(|mhz| (mhz * 10.0).round() / 10.0),
        };
        let of_design = self.stored.entry(design.into()).or_default();
        of_design.insert(place.into(), figures);
        let text = figures::text(&self.stored)?;
        self.file.commit(text.as_bytes()).map_err(|e| e.to_string())
    }
}

/// The table of the stored figures.
///
/// # Errors
/// As [`area`].
pub fn table() -> Result<String, (bool, String)> {
    let bad = |e| (true, e);
    let performance = serde_json::from_str(PERFORMANCE)
        .map_err(|e| bad(format!("constraints/performance.json: {e}")))?;
    let stored = figures::parse(SYNTHESIS).map_err(bad)?;
    figures::table(&stored, &performance).map_err(bad)
}

/// Runs `area` and returns what it prints.
///
/// # Errors
/// Whether the input is at fault (or else a tool), and one sentence.
pub fn area(args: &AreaArgs, config: &'static Config) -> Result<String, (bool, String)> {
    let bad = |e| (true, e);
    let failed = |e| (false, e);
    let device = device(args.device.as_deref().unwrap_or(home(config))).map_err(bad)?;
    if !(args.aim.is_finite() && (1.0..=1000.0).contains(&args.aim)) {
        return Err(bad(format!(
            "--aim {} is not a clock frequency between 1 and 1000 MHz",
            args.aim
        )));
    }
    let json = args.json.as_deref().map(AtomicFile::create).transpose();
    let json = json.map_err(|e| bad(e.to_string()))?;
    let record = Record::open(args.record.as_deref()).map_err(bad)?;
    let tools = Tools::find(&tools_dir()).map_err(bad)?;
    let bus = args.bus.into();
    let name = design(config, bus);
    let dir = target().join(format!("area/{name}-{}", device.name));
    let aim = (!args.no_route).then_some(args.aim);
    let area = measure(&tools, config, bus, device, aim, args.seed, &dir).map_err(failed)?;
    if let Some(file) = json {
        let text = format!("{:#}\n", area.json());
        file.commit(text.as_bytes())
            .map_err(|e| failed(e.to_string()))?;
    }
    if let Some(record) = record {
        let fmax = area.routed.as_ref().map(|routed| routed.fmax_mhz);
        record
            .put(&name, device.name, &area.cells, fmax)
            .map_err(failed)?;
    }
    Ok(area.table())
}

/// Runs `synth` and returns what it prints.
///
/// # Errors
/// Whether the input is at fault (or else a tool), and one sentence.
pub fn synth(args: &SynthArgs) -> Result<String, (bool, String)> {
    let bad = |e| (true, e);
    let failed = |e| (false, e);
    let board = board(&args.board).map_err(bad)?;
    let tools = Tools::find(&tools_dir()).map_err(bad)?;
    make_dir(&args.output).map_err(bad)?;
    let extension = board.device().map_err(bad)?.family.bitstream();
    let bitstream = args.output.join(format!("{}.{extension}", board.name));
    let report = args.output.join(format!("{}.json", board.name));
    let report = AtomicFile::create(&report).map_err(|e| bad(e.to_string()))?;
    let record = Record::open(args.record.as_deref()).map_err(bad)?;
    let dir = target().join(format!("boards/{}", board.name));
    let built = board
        .build(&tools, args.seed.unwrap_or(board.seed), &dir)
        .map_err(failed)?;
    let bytes = board.pack(&tools, &dir, &bitstream).map_err(failed)?;
    let text = format!("{:#}\n", built.json());
    report
        .commit(text.as_bytes())
        .map_err(|e| failed(e.to_string()))?;
    if let Some(record) = record {
        let fmax = Some(built.routed.fmax_mhz);
        record
            .put("demo", board.name, &built.cells, fmax)
            .map_err(failed)?;
    }
    Ok(format!(
        "{}{}: {bytes} bytes\n",
        built.table(),
        bitstream.display()
    ))
}
