//! The curves: latency against memory latency, throughput against the number of pages and of devices in use.

use super::rig::Measured;
use super::{Bench, figures::FIGURES, parallel, rounded, translations};

/// Memory latency of the curves over pages and devices.
pub const LATENCY: u64 = 10;
/// Memory latencies of the curves of latency.
const LATENCIES: [u64; 7] = [1, 5, 10, 20, 35, 50, 100];
/// Figures that have a curve of latency.
pub const OVER_LATENCY: [&str; 4] = ["hit_latency", "miss_4k_walk_cached", "miss_4k", "cold_1lvl"];
/// Numbers of pages.
const PAGES: [u64; 13] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096];
/// Numbers of devices.
const DEVICES: [u64; 7] = [1, 2, 4, 8, 16, 32, 64];

/// Name of the curves over the number of pages: cycles per translation, a random one of so many pages.
pub const PAGES_NAME: &str = "pages";
/// Name of the curves over the number of devices: cycles per translation, so many devices in turn, a page each.
pub const DEVICES_NAME: &str = "devices";

/// A point of a curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Which curve: a figure of [`OVER_LATENCY`], [`PAGES_NAME`] or [`DEVICES_NAME`].
    pub curve: &'static str,
    /// Memory latency, pages or devices.
    pub x: u64,
    /// Cycles, or cycles per translation.
    pub y: f64,
}

/// The points of every curve of a configuration.
///
/// # Errors
/// A core that answers wrongly or not at all.
pub fn curves(bench: &Bench<'_>) -> Measured<Vec<Point>> {
    let mut wanted: Vec<(&'static str, u64)> = Vec::new();
    for name in OVER_LATENCY {
        wanted.extend(LATENCIES.map(|latency| (name, latency)));
    }
    wanted.extend(PAGES.map(|pages| (PAGES_NAME, pages)));
    wanted.extend(DEVICES.map(|devices| (DEVICES_NAME, devices)));
    // The longest first, so that none is left over at the end.
    wanted.reverse();
    let mut points = parallel(&wanted, |(curve, x)| point(bench, curve, *x))
        .into_iter()
        .collect::<Measured<Vec<_>>>()?;
    points.reverse();
    Ok(points)
}

fn point(bench: &Bench<'_>, curve: &'static str, x: u64) -> Measured<Point> {
    let y = match curve {
        PAGES_NAME => translations::working_set(bench, LATENCY, x),
        DEVICES_NAME => translations::devices(bench, LATENCY, x),
        _ => {
            let figure = FIGURES.iter().find(|one| one.name == curve);
            let figure = figure.ok_or_else(|| format!("there is no figure {curve}"))?;
            (figure.measure)(bench, x)
        }
    };
    let y = rounded(y.map_err(|error| format!("{curve} at {x}: {error}"))?);
    Ok(Point { curve, x, y })
}
