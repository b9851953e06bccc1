//! Figures of invalidations, from the doorbell to the index that has passed the last command.
//!
//! A register read takes two cycles, so polling alone would miss half of the cycles. Each batch therefore runs on two
//! machines, on the second with the polls a cycle later, and the earlier of both moments counts.

use portcullis_regmap::command::Command;
use portcullis_regmap::pte::level_shift;

use super::rig::{Measured, Rig};
use super::{Bench, GIB, PAGE, REGION};

const DEVICE: u32 = 5;
/// Cycles of a register access.
const PERIOD: u64 = 2;

/// Earliest cycle, over all alignments of the polls, in which cqh has passed what `ring` told the hardware of; from
/// the cycle in which that write was offered.
fn earliest(mut run: impl FnMut(u64) -> Measured<u64>) -> Measured<f64> {
    let mut best = u64::MAX;
    for delay in 0..PERIOD {
        best = best.min(run(delay)?);
    }
    Ok(best as f64)
}

pub(super) fn inval_command(bench: &Bench<'_>, latency: u64) -> Measured<f64> {
    const COMMANDS: u64 = 32;
    let cycles = earliest(|delay| {
        let mut rig = bench.rig(latency, 1)?;
        for page in 0..COMMANDS {
            rig.push(Command::iotinval_vma_page(
                Rig::pscid(DEVICE),
                GIB + page * PAGE,
            ));
        }
        let start = rig.ring()?;
        rig.advance(delay)?;
        Ok(rig.drained()? - start)
    })?;
    Ok(cycles / COMMANDS as f64)
}

/// How 512 pages are invalidated.
#[derive(Clone, Copy, PartialEq)]
enum Unmap {
    Single,
    Range,
    NonLeaf,
}

/// Cycles from the doorbell until a fence behind the invalidations of 512 pages is complete.
fn unmap(bench: &Bench<'_>, latency: u64, how: Unmap) -> Measured<f64> {
    let pages = || (0..REGION / PAGE).map(|page| GIB + page * PAGE);
    earliest(|delay| {
        // Given 512 pages that are mapped, of which one of each line of entries was used
        let mut rig = bench.rig(latency, 1)?;
        rig.device(DEVICE, 1);
        for page in pages() {
            rig.map(DEVICE, page, 0);
        }
        let used: Vec<_> = pages().step_by(8).map(|page| (DEVICE, page)).collect();
        rig.stream(&used)?;
        rig.settle()?;
        // When their entries are cleared and invalidated
        let pscid = Rig::pscid(DEVICE);
        let range = Command::iotinval_vma_range(pscid, GIB, level_shift(1));
        let mut commands: Vec<Command> = match how {
            Unmap::Single => pages()
                .map(|page| Command::iotinval_vma_page(pscid, page))
                .collect(),
            Unmap::Range => vec![range],
            Unmap::NonLeaf => vec![range.with_non_leaf()],
        };
        if how == Unmap::NonLeaf {
            rig.unmap(DEVICE, GIB, 1);
        } else {
            for page in pages() {
                rig.unmap(DEVICE, page, 0);
            }
        }
        commands.push(Command::iofence(true, true));
        let first = commands.len().min(rig.queue_room() as usize);
        for command in &commands[..first] {
            rig.push(*command);
        }
        let start = rig.ring()?;
        for command in &commands[first..] {
            rig.room()?;
            rig.push(*command);
            rig.ring()?;
        }
        rig.advance(delay)?;
        let cycles = rig.drained()? - start;
        // Then none of them is reached any more
        for page in pages().step_by(40) {
            rig.ask(DEVICE, page)?;
        }
        Ok(cycles)
    })
}

pub(super) fn unmap_512_pages(bench: &Bench<'_>, latency: u64) -> Measured<f64> {
    unmap(bench, latency, Unmap::Range)
}

pub(super) fn unmap_512_single(bench: &Bench<'_>, latency: u64) -> Measured<f64> {
    unmap(bench, latency, Unmap::Single)
}

pub(super) fn unmap_512_table(bench: &Bench<'_>, latency: u64) -> Measured<f64> {
    unmap(bench, latency, Unmap::NonLeaf)
}
