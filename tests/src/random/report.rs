//! What to do with a machine that fails: make it small, and print it so that it can be played.

use std::fmt;

use portcullis_regmap::Config;
use portcullis_sim::core::Core;

use super::generate::generate;
use super::op::{Op, Plan, Script};
use super::runner::{Difference, Summary, run};

/// Makes fresh cores.
pub type MakeCore<'a> = &'a dyn Fn() -> Box<dyn Core>;

/// A machine on which hardware and model differ.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// The first difference of the whole machine.
    pub difference: Difference,
    /// The shortened machine.
    pub plan: Plan,
    /// Its first difference.
    pub short: Difference,
    /// Whether it fails without anything racing, so that the script shows it exactly.
    pub serial: bool,
    /// Lines for `portcullis play`.
    pub script: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {}", self.seed, self.difference)?;
        writeln!(
            f,
            "shortened to {} operations: {}",
            self.plan.ops.len(),
            self.short
        )?;
        writeln!(
            f,
            "memory {:x?}, accesses in flight for {:?}",
            self.plan.timing, self.plan.dma
        )?;
        for op in &self.plan.ops {
            writeln!(f, "  {op:x?}")?;
        }
        let exact = if self.serial {
            "shows it"
        } else {
            "needs a race that the protocol cannot say"
        };
        writeln!(f, "as a script for `portcullis play` ({exact}):")?;
        f.write_str(&self.script)
    }
}

/// Runs the machine of a seed; if it fails, shortens it.
///
/// # Errors
/// Hardware and model differ.
pub fn examine(seed: u64, config: &Config, core: MakeCore<'_>) -> Result<Summary, Box<Failure>> {
    let plan = generate(seed, config);
    let mut script = Script::default();
    match run(&plan, config, core(), &mut script) {
        Ok(summary) => Ok(summary),
        Err(difference) => Err(Box::new(shorten(&plan, difference, config, core))),
    }
}

/// The same machine with a rest after everything that starts something.
fn serialised(plan: &Plan) -> Plan {
    let mut ops = Vec::new();
    for op in &plan.ops {
        ops.push(op.clone());
        if matches!(op, Op::Submit(_) | Op::Ring | Op::Write { .. }) {
            ops.push(Op::Quiesce);
        }
    }
    Plan {
        ops,
        ..plan.clone()
    }
}

/// The first words of a difference, without where and when: a shorter machine must fail in the same way.
fn kind(difference: &str) -> String {
    let what = difference
        .split_once(": ")
        .map_or(difference, |(_, what)| what);
    let letters = what.chars().filter(|c| c.is_alphabetic());
    letters.take(12).collect()
}

/// Drops operations as long as the machine still fails.
pub fn shorten(
    plan: &Plan,
    difference: Difference,
    config: &Config,
    core: MakeCore<'_>,
) -> Failure {
    let fails = |plan: &Plan| {
        let other = run(plan, config, core(), &mut Script::default()).err();
        other.filter(|other| kind(other) == kind(&difference))
    };
    let serial = serialised(plan);
    let is_serial = fails(&serial).is_some();
    let mut best = if is_serial { serial } else { plan.clone() };
    let mut chunk = best.ops.len().div_ceil(2);
    while chunk > 0 {
        let mut at = 0;
        let mut dropped = false;
        while at < best.ops.len() {
            let mut shorter = best.clone();
            shorter.ops.drain(at..(at + chunk).min(best.ops.len()));
            if fails(&shorter).is_some() {
                best = shorter;
                dropped = true;
            } else {
                at += chunk;
            }
        }
        if chunk > 1 || !dropped {
            chunk /= 2;
        }
    }
    thin_requests(&mut best, &fails);
    let mut script = Script::default();
    let short = run(&best, config, core(), &mut script).err();
    Failure {
        seed: plan.seed,
        difference,
        plan: best,
        short: short.unwrap_or_else(|| "does not fail again".to_owned()),
        serial: is_serial,
        script: script.text().to_owned(),
    }
}

/// Drops requests from the lists that are left.
fn thin_requests(best: &mut Plan, fails: &dyn Fn(&Plan) -> Option<Difference>) {
    for at in 0..best.ops.len() {
        let mut request = 0;
        loop {
            let mut shorter = best.clone();
            let Some(Op::Submit(requests)) = shorter.ops.get_mut(at) else {
                break;
            };
            if request >= requests.len() || requests.len() == 1 {
                break;
            }
            requests.remove(request);
            if fails(&shorter).is_some() {
                *best = shorter;
            } else {
                request += 1;
            }
        }
    }
}
