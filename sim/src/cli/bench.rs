//! `portcullis bench`.

use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget};
use portcullis_regmap::{CONFIGS, Config, VARIANTS};

use super::{Stop, bad_input, failed, print};
use crate::backend::Backend;
use crate::bench::record::Record;
use crate::bench::{Bench, Figure, LATENCIES, jobs, page, run, sweep, table};
use crate::output::AtomicFile;
use crate::play::named_variant;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Configuration of the hardware
    #[arg(long, value_name = "NAME", default_value = "linux")]
    config: String,
    /// Keep what was reached in this file; what it holds of other configurations and figures stays
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Keep what was reached under this name, as a variant that the page compares with `linux`
    #[arg(long = "as", value_name = "NAME", requires_all = ["record", "note"], conflicts_with_all = ["page", "unchanged"])]
    variant: Option<String>,
    /// What the variant of --as is
    #[arg(long, value_name = "TEXT", requires = "variant")]
    note: Option<String>,
    /// Write nothing, but exit with status 1 if a figure is not what the file of --record holds
    #[arg(long, requires = "record", conflicts_with = "page")]
    unchanged: bool,
    /// Measure every configuration, also the curves, and write the page with its plots; needs --record
    #[arg(
        long,
        value_name = "FILE.md",
        requires = "record",
        conflicts_with_all = ["config", "only", "latency", "json", "check"]
    )]
    page: Option<PathBuf>,
    /// What simulates the hardware; the figures are the same
    #[arg(long, value_enum, default_value_t = Backend::Rtl)]
    backend: Backend,
    /// Take this figure only; may be given several times
    #[arg(long, value_name = "FIGURE")]
    only: Vec<String>,
    /// Take figures at this memory latency only; may be given several times. Without it: 1, 10 and 50
    #[arg(long, value_name = "L", value_parser = clap::value_parser!(u64).range(1..=1000))]
    latency: Vec<u64>,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
    /// Exit with status 1 if a figure exceeds its bound
    #[arg(long)]
    check: bool,
}

pub(super) fn bench(args: &Args) -> Result<u8, Stop> {
    args.backend.available().map_err(bad_input)?;
    let mut store = args.record.as_deref().map(Store::open).transpose()?;
    if let (Some(page), Some(store)) = (&args.page, &mut store) {
        everything(args, page, store)?;
        return Ok(0);
    }
    let config = named_variant(&args.config).map_err(bad_input)?;
    let kept_as = args.variant.as_deref().unwrap_or(config.name);
    if args.variant.is_some() && portcullis_regmap::variant(kept_as).is_some() {
        return Err(bad_input(format!(
            "--as {kept_as}: is a configuration, choose another name for a variant"
        )));
    }
    let mut latencies = args.latency.clone();
    if latencies.is_empty() {
        latencies.extend(LATENCIES);
    }
    latencies.sort_unstable();
    latencies.dedup();
    let figures = measure(args.backend, config, &args.only, &latencies)?;
    let backend = name(args.backend);
    if args.json {
        let object = table::json(config.name, &backend, &figures);
        print(&format!("{object:#}\n"))?;
    } else {
        let title = format!("{} on {backend}", config.name);
        print(&table::table(&title, &figures))?;
    }
    if let Some(store) = &mut store {
        let reached = store.record.0.entry(kept_as.to_owned()).or_default();
        if let Some(note) = &args.note {
            reached.note.clone_from(note);
        }
        if args.unchanged {
            let differences = reached.differences(&figures);
            if !differences.is_empty() {
                return Err(failed(format!(
                    "{}: {}: write it again with {}",
                    store.path.display(),
                    differences.join("; "),
                    page::COMMAND
                )));
            }
        } else {
            reached.take(&figures, &[]);
            store.write()?;
        }
    }
    check(args, &figures)
}

fn measure(
    backend: Backend,
    config: &'static Config,
    only: &[String],
    latencies: &[u64],
) -> Result<Vec<Figure>, Stop> {
    let jobs = jobs(config, only, latencies).map_err(bad_input)?;
    let factory = |config: &'static Config| backend.core(config);
    let bench = Bench {
        config,
        factory: &factory,
    };
    let bar = progress(jobs.len());
    let figures = run(&bench, &jobs, &|| bar.inc(1)).map_err(failed)?;
    bar.finish_and_clear();
    Ok(figures)
}

/// Measures all that the page shows, and writes it.
fn everything(args: &Args, path: &Path, store: &mut Store) -> Result<(), Stop> {
    // Opened before the long run, so that a path that cannot be written is known now.
    let open = |path: &Path| AtomicFile::create(path).map_err(|error| bad_input(error.to_string()));
    let file = open(path)?;
    let directory = path.with_extension("");
    fs::create_dir_all(&directory)
        .map_err(|error| bad_input(format!("{}: {error}", directory.display())))?;
    // Others stay: what they were measured on is not here any more.
    store
        .record
        .0
        .retain(|name, _| portcullis_regmap::variant(name).is_none());
    for config in CONFIGS {
        let figures = measure(args.backend, config, &[], &LATENCIES)?;
        let factory = |config: &'static Config| args.backend.core(config);
        let bench = Bench {
            config,
            factory: &factory,
        };
        let points = sweep::curves(&bench).map_err(failed)?;
        let reached = store.record.0.entry(config.name.to_owned()).or_default();
        reached.take(&figures, &points);
        let title = format!("{} on {}", config.name, name(args.backend));
        print(&table::table(&title, &figures))?;
    }
    for config in VARIANTS {
        let names = page::ABLATION.map(|(name, _)| name.to_owned());
        let figures = measure(args.backend, config, &names, &[page::ABLATED_AT])?;
        let reached = store.record.0.entry(config.name.to_owned()).or_default();
        reached.take(&figures, &[]);
        let title = format!("{} on {}", config.name, name(args.backend));
        print(&table::table(&title, &figures))?;
    }
    let write = |file: AtomicFile, text: &str| {
        file.commit(text.as_bytes())
            .map_err(|error| failed(error.to_string()))
    };
    for picture in page::pictures(&store.record).map_err(failed)? {
        write(open(&directory.join(picture.name))?, &picture.svg)?;
    }
    write(file, &page::page(&store.record))?;
    store.write()
}

/// The file of `--record`.
struct Store {
    path: PathBuf,
    record: Record,
}

impl Store {
    /// What the file holds; nothing if there is none yet.
    fn open(path: &Path) -> Result<Self, Stop> {
        let bad = |error: String| bad_input(format!("{}: {error}", path.display()));
        let record = match fs::read_to_string(path) {
            Ok(text) => Record::parse(&text).map_err(bad)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Record::default(),
            Err(error) => return Err(bad(error.to_string())),
        };
        // That it can be written is to be known before the long run.
        AtomicFile::create(path).map_err(|error| bad_input(error.to_string()))?;
        Ok(Self {
            path: path.to_owned(),
            record,
        })
    }

    fn write(&self) -> Result<(), Stop> {
        let text = self.record.print().map_err(failed)?;
        let file = AtomicFile::create(&self.path).map_err(|error| failed(error.to_string()))?;
        file.commit(text.as_bytes())
            .map_err(|error| failed(error.to_string()))
    }
}

fn check(args: &Args, figures: &[Figure]) -> Result<u8, Stop> {
    let good = figures.iter().all(|figure| figure.met() != Some(false));
    if args.check && !good {
        return Err(failed(table::summary(figures)));
    }
    Ok(0)
}

fn name(backend: Backend) -> String {
    let value = backend.to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}

fn progress(jobs: usize) -> ProgressBar {
    let target = if io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    ProgressBar::with_draw_target(Some(jobs as u64), target)
}
