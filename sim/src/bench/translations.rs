//! Figures of translations: how long one takes, and how far apart many follow one another.

use super::rig::{Measured, Rig};
use super::{Bench, GIB, PAGE, REGION, Sequence};
use crate::core::Purpose;
use crate::replay::HIT_CYCLES;
use portcullis_regmap::command::Command;

/// The device whose requests are measured.
const DEVICE: u32 = 5;
/// Another one.
const NEIGHBOUR: u32 = 6;
/// A page far from those that are measured, in another entry of the root table.
const ELSEWHERE: u64 = 3 * GIB;
/// Where measured pages lie: not first in its table, line or region.
const HERE: u64 = GIB + 100 * PAGE;

/// A machine that knows the device's context and nothing else of it.
fn context_cached(bench: &Bench<'_>, latency: u64) -> Measured<Rig> {
    let mut rig = bench.rig(latency, 1)?;
    rig.device(DEVICE, 1);
    rig.map(DEVICE, ELSEWHERE, 0);
    rig.ask(DEVICE, ELSEWHERE)?;
    rig.settle()?;
    rig.run(&[Command::iotinval_vma_all()])?;
    Ok(rig)
}

pub(super) fn hit_latency(bench: &Bench<'_>, latency: u64) -> Measured<f64> {
    let mut rig = context_cached(bench, latency)?;
    rig.map(DEVICE, HERE, 0);
    rig.ask(DEVICE, HERE)?;
    rig.settle()?;
    Ok(rig.ask(DEVICE, HERE)? as f64)
}

pub(super) fn hit_interval(bench: &Bench<'_>, latency: u64) -> Measured<f64> {
    const REQUESTS: usize = 1000;
    const PAGES: u64 = 4;
    let mut rig = context_cached(bench, latency)?;
    for page in 0..PAGES {
        rig.map(DEVICE, HERE + page * PAGE, 0);
        rig.ask(DEVICE, HERE + page * PAGE)?;
    }
    rig.settle()?;
    let requests: Vec<_> = (0..REQUESTS as u64)
        .map(|at| (DEVICE, HERE + at % PAGES * PAGE + 8 * at % PAGE))
        .collect();
    let answers = rig.stream(&requests)?;
    Ok(interval(&answers, 1))
}

/// Mean distance of the answers behind the first `warm`.
fn interval(answers: &[u64], warm: usize) -> f64 {
    match (answers.get(warm - 1), answers.last()) {
        (Some(first), Some(last)) => (last - first) as f64 / (answers.len() - warm) as f64,
        _ => f64::NAN,
    }
}

/// A miss of a page of 2^12, 2^21 or 2^30 bytes with only the context cached.
fn miss(bench: &Bench<'_>, latency: u64, level: u8) -> Measured<f64> {
    let mut rig = context_cached(bench, latency)?;
    rig.map(DEVICE, HERE, level);
    Ok(rig.ask(DEVICE, HERE)? as f64)
}

pub(super) fn miss_4k(bench: &Bench<'_>, latency: u64) -> Measured<f64> {
    miss(bench, latency, 0)
}

pub(super) fn miss_2m(bench: &Bench<'_>, latency: u64) -> Measured<f64> {
    miss(bench, latency, 1)
}

pub(super) fn miss_1g(bench: &Bench<'_>, latency: u64) -> Measured<f64> {
    miss(bench, latency, 2)
}

pub(super) fn miss_4k_walk_cached(bench: &Bench<'_>, latency: u64) -> Measured<f64> {
    const FAR_IN_TABLE: u64 = 200 * PAGE;
    let mut rig = context_cached(bench, latency)?;
    rig.map(DEVICE, HERE, 0);
    rig.map(DEVICE, HERE + FAR_IN_TABLE, 0);
    rig.ask(DEVICE, HERE)?;
    rig.settle()?;
    Ok(rig.ask(DEVICE, HERE + FAR_IN_TABLE)? as f64)
}

fn cold(bench: &Bench<'_>, latency: u64, levels: u8) -> Measured<f64> {
    let mut rig = bench.rig(latency, levels)?;
    rig.device(DEVICE, levels);
    rig.map(DEVICE, HERE, 0);
    Ok(rig.ask(DEVICE, HERE)? as f64)
}

pub(super) fn cold_1lvl(bench: &Bench<'_>, latency: u64) -> Measured<f64> {
    cold(bench, latency, 1)
}

pub(super) fn cold_2lvl(bench: &Bench<'_>, latency: u64) -> Measured<f64> {
    cold(bench, latency, 2)
}

pub(super) fn cold_3lvl(bench: &Bench<'_>, latency: u64) -> Measured<f64> {
    cold(bench, latency, 3)
}

/// Pages in ascending order, `each` requests to each, back to back; cycles per request once it runs steadily.
fn sequential(bench: &Bench<'_>, latency: u64, pages: u64, each: u64) -> Measured<f64> {
    const WARM: u64 = 64;
    let mut rig = context_cached(bench, latency)?;
    for page in 0..WARM + pages {
        rig.map(DEVICE, GIB + page * PAGE, 0);
    }
    let requests: Vec<_> = (0..(WARM + pages) * each)
        .map(|at| (DEVICE, GIB + at / each * PAGE + at % each * (PAGE / each)))
        .collect();
    let answers = rig.stream(&requests)?;
    Ok(interval(&answers, (WARM * each) as usize))
}

pub(super) fn stream_page(bench: &Bench<'_>, latency: u64) -> Measured<f64> {
    sequential(bench, latency, 512, 1)
}

pub(super) fn stream_page_16(bench: &Bench<'_>, latency: u64) -> Measured<f64> {
    sequential(bench, latency, 64, 16)
}

pub(super) fn random_page(bench: &Bench<'_>, latency: u64) -> Measured<f64> {
    const REGIONS: u64 = 4;
    const PER_LINE: u64 = 8;
    const LINES: u64 = REGION / PAGE / PER_LINE;
    const WARM: usize = 32;
    let mut rig = context_cached(bench, latency)?;
    let mut random = Sequence::new(4);
    let mut requests = Vec::new();
    for region in 0..REGIONS {
        let base = GIB + region * REGION;
        rig.map(DEVICE, base, 0);
        rig.ask(DEVICE, base)?;
        // One page of each 64-byte line of entries: nothing is gained from entries that came along with another.
        for line in 1..LINES {
            let page = base + (line * PER_LINE + random.below(PER_LINE)) * PAGE;
            rig.map(DEVICE, page, 0);
            requests.push((DEVICE, page));
        }
    }
    rig.settle()?;
    random.shuffle(&mut requests);
    let answers = rig.stream(&requests)?;
    Ok(interval(&answers, WARM))
}

pub(super) fn hit_under_miss_delay(bench: &Bench<'_>, latency: u64) -> Measured<f64> {
    const LATER: u64 = 3;
    let mut rig = context_cached(bench, latency)?;
    rig.map(DEVICE, HERE, 0);
    rig.device(NEIGHBOUR, 1);
    rig.map(NEIGHBOUR, HERE, 0);
    rig.ask(NEIGHBOUR, HERE)?;
    rig.settle()?;
    rig.submit(DEVICE, HERE);
    rig.advance(LATER)?;
    let offered = rig.cycle();
    rig.submit(NEIGHBOUR, HERE);
    let all = rig.finish()?;
    let hit = all.iter().find(|one| one.request.device_id == NEIGHBOUR);
    let hit = hit.ok_or("a request without an answer")?;
    Ok((hit.answered - offered) as f64 - HIT_CYCLES as f64)
}

/// A fault at the end of a walk: the cycles of its answer and of its record's last doubleword, from the offer.
fn fault(bench: &Bench<'_>, latency: u64) -> Measured<(u64, u64)> {
    let mut rig = context_cached(bench, latency)?;
    rig.hole(DEVICE, HERE);
    let offered = rig.cycle();
    let answered = rig.ask(DEVICE, HERE)?;
    rig.settle()?;
    let log = rig.log();
    let record = log.writes.iter().find(|(_, what)| *what == Purpose::Fault);
    let (written, _) = record.ok_or("no fault record")?;
    Ok((answered, written - offered))
}

pub(super) fn fault_latency(bench: &Bench<'_>, latency: u64) -> Measured<f64> {
    fault(bench, latency).map(|(answered, _)| answered as f64)
}

pub(super) fn fault_record(bench: &Bench<'_>, latency: u64) -> Measured<f64> {
    fault(bench, latency).map(|(_, written)| written as f64)
}

/// Cycles per translation, random pages of `pages`, all of which were used before.
pub(super) fn working_set(bench: &Bench<'_>, latency: u64, pages: u64) -> Measured<f64> {
    const REQUESTS: usize = 1024;
    let mut rig = context_cached(bench, latency)?;
    let all: Vec<_> = (0..pages).map(|at| (DEVICE, GIB + at * PAGE)).collect();
    for (_, page) in &all {
        rig.map(DEVICE, *page, 0);
    }
    rig.stream(&all)?;
    rig.settle()?;
    let mut random = Sequence::new(pages);
    let requests: Vec<_> = (0..REQUESTS)
        .map(|_| (DEVICE, GIB + random.below(pages) * PAGE))
        .collect();
    Ok(interval(&rig.stream(&requests)?, 1))
}

/// Cycles per translation, `devices` that take turns, a page each, all of which were used before.
pub(super) fn devices(bench: &Bench<'_>, latency: u64, devices: u64) -> Measured<f64> {
    const REQUESTS: u64 = 512;
    let mut rig = bench.rig(latency, 1)?;
    let all: Vec<_> = (0..devices as u32)
        .map(|device| (device, HERE + u64::from(device) * PAGE))
        .collect();
    for (device, page) in &all {
        rig.device(*device, 1);
        rig.map(*device, *page, 0);
    }
    rig.stream(&all)?;
    rig.settle()?;
    let requests: Vec<_> = all
        .iter()
        .copied()
        .cycle()
        .take(REQUESTS as usize)
        .collect();
    Ok(interval(&rig.stream(&requests)?, 1))
}
