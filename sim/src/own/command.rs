//! `portcullis own`: the demonstration from the command line.

use std::fs::File;
use std::path::{Path, PathBuf};

use clap::Args;
use portcullis_regmap::Config;

use super::page::page;
use super::sabotage::Sabotage;
use super::show::perform;
use super::stage::Setting;
use crate::backend::Backend;
use crate::cli::{Stop, bad_input, failed, print};
use crate::memory::Timing;
use crate::output::AtomicFile;
use crate::play::named_config;

/// What the command line says.
#[derive(Args)]
pub struct OwnArgs {
    /// Configuration of the hardware
    #[arg(long, value_name = "NAME", default_value = "linux")]
    config: String,
    /// What simulates the hardware
    #[arg(long, value_enum, default_value_t = Backend::Rtl)]
    backend: Backend,
    /// Seed of the devices' accesses
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Memory latency: cycles from a read request to its first data
    #[arg(long, value_name = "L", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1000))]
    latency: u64,
    /// Write a picture of it as one HTML page
    #[arg(long, value_name = "FILE.html")]
    html: Option<PathBuf>,
    /// Record every signal as VCD
    #[arg(long, value_name = "FILE")]
    wave: Option<PathBuf>,
    /// Write the timeline as one JSON object
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Break the protocol between driver and hardware on purpose, to see that it is noticed
    #[arg(long, value_enum, value_name = "HOW")]
    sabotage: Option<Sabotage>,
}

/// Runs the command.
///
/// # Errors
/// Bad input, or something that must not be was seen.
pub(crate) fn own(args: &OwnArgs) -> Result<u8, Stop> {
    args.backend.available().map_err(bad_input)?;
    let config: &'static Config = named_config(&args.config).map_err(bad_input)?;
    let files = [&args.html, &args.wave, &args.json];
    let mut named = files.iter().filter_map(|file| file.as_deref());
    while let Some(name) = named.next() {
        if named.clone().any(|other| other == name) {
            return Err(bad_input(format!(
                "{} is named for two outputs: give each a file of its own",
                name.display()
            )));
        }
    }
    // Opened before the run, so that a path that cannot be written is known now.
    let output = |path: Option<&Path>| {
        let file = path.map(AtomicFile::create).transpose();
        file.map_err(|error| bad_input(error.to_string()))
    };
    let (html, json) = (output(args.html.as_deref())?, output(args.json.as_deref())?);
    if let Some(path) = &args.wave {
        File::create(path).map_err(|error| bad_input(format!("{}: {error}", path.display())))?;
    }
    let setting = Setting {
        timing: Timing {
            latency: args.latency,
            seed: args.seed,
            ..Timing::default()
        },
        // Half of what the IOTLB holds for each device: hits and misses are both to be seen.
        pages: u64::from(config.iotlb_entries) / 2,
        keep: true,
        sabotage: args.sabotage,
        ..Setting::new(config, args.seed)
    };
    let core = args.backend.core(config).map_err(failed)?;
    let show = perform(core, setting, args.wave.as_deref()).map_err(failed)?;
    let write = |file: Option<AtomicFile>, text: String| match file {
        Some(file) => file
            .commit(text.as_bytes())
            .map_err(|error| failed(error.to_string())),
        None => Ok(()),
    };
    write(html, page(&show))?;
    write(json, format!("{:#}\n", show.json()))?;
    print(&show.text())?;
    match show.wrong {
        Some(wrong) => Err(failed(wrong)),
        None => Ok(0),
    }
}
