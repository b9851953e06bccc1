//! Lock-step: every operation goes to the hardware and to the golden model, every answer is compared.

use std::collections::BTreeMap;

use portcullis_model as model;
use portcullis_model::{History, Invalidation, Life, Model, Outcome, Versions};
use portcullis_regmap::Config;
use portcullis_sim::core::{Access, Core, Kind, MemStatus, RegAccess, Request};
use portcullis_sim::harness::Harness;
use portcullis_sim::memory::{FaultOn, Memory};

use super::faults::Pending;
use super::monitor::Monitor;
use super::op::{Op, Plan, Script};
use super::tables::{FENCE_BYTES, FENCES, TABLES};
use crate::reg;

/// cqcsr and fqcsr bits.
pub(super) const EN: u64 = 1;
pub(super) const IE: u64 = 1 << 1;
pub(super) const CQ_STOP: u64 = 1 << 8 | 1 << 10;
pub(super) const CQ_EVENTS: u64 = CQ_STOP | 1 << 11;
pub(super) const ON: u64 = 1 << 16;
pub(super) const BUSY: u64 = 1 << 17;
pub(super) const DDTP_BUSY: u64 = 1 << 4;
/// ipsr bits.
pub(super) const CIP: u64 = 1;
pub(super) const FIP: u64 = 2;
/// Cycles after which a wait is a hang.
pub(super) const PATIENCE: u64 = 50_000;

/// The first difference between hardware and model, in words.
pub type Difference = String;
pub(super) type Check = Result<(), Difference>;

/// What a machine did, for the statistics of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Cycles simulated.
    pub cycles: u64,
    /// Requests answered.
    pub requests: u64,
    /// ... of which with more than one legal outcome.
    pub free: u64,
    /// ... and refused.
    pub refused: u64,
    /// Fault records compared.
    pub records: u64,
    /// Commands executed.
    pub commands: u64,
}

impl Summary {
    /// Adds another machine's.
    pub fn add(&mut self, other: &Self) {
        self.cycles += other.cycles;
        self.requests += other.requests;
        self.free += other.free;
        self.refused += other.refused;
        self.records += other.records;
        self.commands += other.commands;
    }
}

/// A granted access of a device: in flight until `done`.
#[derive(Clone, Copy)]
pub(super) struct Grant {
    answered: u64,
    done: u64,
    write: bool,
}

pub(super) struct Runner {
    pub h: Harness,
    pub model: Model,
    pub memory: Versions,
    pub history: History,
    pub dma: (u64, u64),
    /// Cycles without memory traffic after which the queues are at rest.
    pub calm: u64,
    /// Slot behind the last command.
    pub tail: u32,
    /// When each slot of the command queue was handed over.
    pub kicks: Vec<u64>,
    /// Invalidations executed, not yet behind a fence.
    pub executed: Vec<(Invalidation, u64)>,
    /// Requests in flight, by the harness's id.
    pub flights: BTreeMap<u64, u64>,
    pub grants: Vec<Grant>,
    pub faults: Vec<Pending>,
    /// When the fault queue went off or on, or was cleared, last: a record leaves before its answer, so who was in flight
    /// may have met the queue as it was before.
    pub queue_changed: u64,
    /// Pending bits that a write of software may have met or missed.
    pub open_ipsr: u64,
    /// Error bits of cqcsr, likewise.
    pub open_cqcsr: u64,
    /// Whether fqof may have been set just before fqh moved.
    pub open_overflow: bool,
    /// Whether it is uncertain which messages are held back by masks.
    pub doubt: bool,
    /// capabilities.
    pub features: model::Features,
    /// What counters should have counted.
    pub monitor: Monitor,
    /// Records of messages that could not be written, since messages were compared last.
    pub lost_messages: Vec<u64>,
    /// Since then every such record has had its place in the fault queue.
    pub all_recorded: bool,
    /// The write to ddtp that selected Off, while it is not known to be complete.
    pub off: Option<u64>,
    pub script: Script,
    pub summary: Summary,
}

/// Runs a plan on a core and the model.
///
/// # Errors
/// The first difference.
pub fn run(
    plan: &Plan,
    config: &Config,
    core: Box<dyn Core>,
    script: &mut Script,
) -> Result<Summary, Difference> {
    let mut runner = Runner::new(plan, config, core)?;
    let mut result = Ok(());
    for (at, op) in plan.ops.iter().enumerate() {
        result = runner.op(op).map_err(|what| {
            format!(
                "op {at} of {}, cycle {}: {what}",
                plan.ops.len(),
                runner.h.cycle()
            )
        });
        if result.is_err() {
            break;
        }
    }
    if result.is_ok() {
        result = runner
            .quiesce()
            .map_err(|what| format!("at the end, cycle {}: {what}", runner.h.cycle()));
    }
    runner.summary.cycles = runner.h.cycle();
    *script = std::mem::take(&mut runner.script);
    result.map(|()| runner.summary)
}

fn hang(failure: impl std::fmt::Display) -> Difference {
    format!("harness: {failure}")
}

pub(super) fn convert(request: &Request) -> model::Request {
    model::Request {
        device_id: request.device_id,
        process_id: request.process_id,
        privileged: request.privileged,
        access: match request.access {
            Access::Read => model::Access::Read,
            Access::Write => model::Access::Write,
            Access::Exec => model::Access::Exec,
        },
        kind: match request.kind {
            Kind::Untranslated => model::Kind::Untranslated,
            Kind::Translated => model::Kind::Translated,
            Kind::Ats => model::Kind::Ats,
        },
        iova: request.iova,
    }
}

impl Runner {
    fn new(plan: &Plan, config: &Config, core: Box<dyn Core>) -> Result<Self, Difference> {
        let mut h = Harness::new(core, Memory::new(plan.timing));
        h.set_dma_latency(plan.dma.0, plan.dma.1);
        h.set_watchdog(PATIENCE);
        let model = Model::new(config).map_err(|error| error.to_string())?;
        let mut script = Script::default();
        script.reset(config.name, &plan.timing);
        let slots = 2 << config.cq_log2sz_minus_1;
        Ok(Self {
            h,
            memory: Versions::default(),
            history: History::new(),
            dma: plan.dma,
            calm: plan.timing.latency + plan.timing.jitter + 24,
            tail: 0,
            kicks: vec![0; slots],
            executed: Vec::new(),
            flights: BTreeMap::new(),
            grants: Vec::new(),
            faults: Vec::new(),
            queue_changed: 0,
            open_ipsr: 0,
            open_cqcsr: 0,
            open_overflow: false,
            off: None,
            monitor: Monitor::default(),
            lost_messages: Vec::new(),
            all_recorded: false,
            doubt: false,
            features: *model.features(),
            model,
            script,
            summary: Summary::default(),
        })
    }

    fn op(&mut self, op: &Op) -> Check {
        self.memory.at(self.h.cycle());
        match op {
            Op::Store { addr, words } => self.store(*addr, words),
            Op::Plant {
                addr,
                len,
                on,
                status,
            } => self.plant(*addr, *len, *on, *status)?,
            Op::Write {
                offset,
                wide,
                value,
            } => self.write(*offset, *wide, *value)?,
            Op::Read { offset, wide } => self.look(*offset, *wide)?,
            Op::Submit(requests) => {
                let now = self.h.cycle();
                for request in requests {
                    self.history.device(request.device_id);
                    let id = self.h.submit(*request);
                    self.flights.insert(id, now);
                }
                self.script.translate(requests);
                // The first of them are on their way when the next operation comes.
                self.advance(2)?;
            }
            Op::Step(cycles) => {
                self.script.step(*cycles);
                self.advance(*cycles)?;
            }
            Op::Hold(cycles) => {
                self.h.hold_responses(true);
                self.advance(*cycles)?;
                self.h.hold_responses(false);
            }
            Op::Command(words) => self.command(*words)?,
            Op::Ring => self.write(reg::CQT, false, u64::from(self.tail))?,
            Op::Repair(words) => self.repair(*words)?,
            Op::Debug(request) => self.debug(request)?,
            Op::Consume => {
                let tail = self.read(reg::FQT, false)?;
                self.write(reg::FQH, false, tail)?;
            }
            Op::Settle => self.settle()?,
            Op::Quiesce => self.quiesce()?,
        }
        self.absorb()
    }

    pub fn advance(&mut self, cycles: u64) -> Check {
        self.h.advance(cycles).map_err(hang)
    }

    pub fn store(&mut self, addr: u64, words: &[u64]) {
        for (i, word) in words.iter().enumerate() {
            let at = addr.wrapping_add(8 * i as u64);
            self.h.memory_mut().store64(at, *word);
            self.memory.set(at, *word);
        }
        self.script.mem_write(addr, words);
    }

    fn access(&mut self, access: RegAccess) -> Result<u64, Difference> {
        let value = self.h.register(access).map_err(hang)?;
        self.memory.at(self.h.cycle());
        Ok(value)
    }

    pub fn read(&mut self, offset: u16, wide: bool) -> Result<u64, Difference> {
        self.access(RegAccess {
            write: false,
            offset,
            wide,
            data: 0,
        })
    }

    pub fn poke(&mut self, offset: u16, wide: bool, data: u64) -> Check {
        let access = RegAccess {
            write: true,
            offset,
            wide,
            data,
        };
        self.script.register(&access);
        self.access(access).map(|_| ())
    }

    pub fn wait(&mut self, offset: u16, mask: u64) -> Check {
        self.script.wait(offset, mask);
        let start = self.h.cycle();
        while self.read(offset, false)? & mask != 0 {
            if self.h.cycle() - start > PATIENCE {
                return Err(format!("register {offset:#x}: bits {mask:#x} stay 1"));
            }
        }
        Ok(())
    }

    /// Takes what has been answered, and judges it.
    pub fn absorb(&mut self) -> Check {
        while let Some(finished) = self.h.take_finished() {
            let from = self.flights.remove(&finished.id).unwrap_or(0);
            let to = finished.answered;
            let request = convert(&finished.request);
            let life = Life { from, to };
            let legal = self.legal(&request, life)?;
            let seen = finished.response;
            let fits = |outcome: &&Outcome| match outcome {
                Outcome::Granted { pa, page_shift } => {
                    !seen.fault && seen.pa == *pa && seen.page_shift == *page_shift
                }
                Outcome::Refused(_) => seen.fault && seen.pa == 0,
            };
            let fitting: Vec<Outcome> = legal.iter().filter(fits).copied().collect();
            if fitting.is_empty() {
                return Err(format!(
                    "{:x?}, submitted in cycle {from}, answered in {to}: got {seen:x?}, legal are {legal:x?}",
                    finished.request
                ));
            }
            self.tally(&request);
            self.summary.requests += 1;
            self.summary.free += u64::from(legal.len() > 1);
            if seen.fault {
                self.summary.refused += 1;
                let records = fitting.iter().filter_map(|outcome| match outcome {
                    Outcome::Refused(fault) => Some(fault.record(&request)),
                    Outcome::Granted { .. } => None,
                });
                let unsure = from < self.queue_changed;
                self.faults.push(Pending::new(&request, records, unsure));
            } else if request.kind != model::Kind::Ats {
                let write = request.access == model::Access::Write;
                let latency = if write { self.dma.1 } else { self.dma.0 };
                self.grants.push(Grant {
                    answered: to,
                    done: to + latency,
                    write,
                });
            }
        }
        Ok(())
    }

    /// A device sends a request.
    pub fn note_device(&mut self, device: u32) {
        self.history.device(device);
    }

    pub fn legal(&self, request: &model::Request, life: Life) -> Result<Vec<Outcome>, Difference> {
        model::allowed(&self.features, &self.memory, &self.history, request, life)
            .map_err(|_| "too many combinations: the generator is too wild".to_owned())
    }

    /// Whether accesses granted before `kick` are all done (FEN-03, FEN-04, DDTP-07).
    pub fn visible(&self, kick: u64, reads: bool, writes: bool, what: &str) -> Check {
        let now = self.h.cycle();
        let late = self.grants.iter().find(|grant| {
            grant.answered < kick && grant.done > now && if grant.write { writes } else { reads }
        });
        match late {
            Some(grant) => Err(format!(
                "{what} issued in cycle {kick} is complete while an access granted in {} is in flight until {}",
                grant.answered, grant.done
            )),
            None => Ok(()),
        }
    }

    fn plant(&mut self, addr: u64, len: u64, on: FaultOn, status: MemStatus) -> Check {
        // Whether a queue meets the error must not be a matter of a few cycles.
        let tables = addr >= TABLES;
        if !tables {
            self.rest()?;
        }
        self.memory.at(self.h.cycle());
        self.h.memory_mut().set_fault(addr, len, on, status);
        let error = match status {
            MemStatus::Ok => None,
            MemStatus::Access => Some(model::MemError::Access),
            MemStatus::Corrupt => Some(model::MemError::Corrupt),
        };
        self.memory
            .plant(addr, len, on != FaultOn::Write, on != FaultOn::Read, error);
        self.script.mem_fault(addr, len, on, status);
        Ok(())
    }

    /// Waits until nothing is in flight.
    pub fn rest(&mut self) -> Check {
        self.h.finish_requests().map_err(hang)?;
        self.absorb()?;
        self.drain()?;
        self.settle()?;
        self.script.step(2 * self.calm);
        let mut traffic = self.h.counters().traffic;
        let start = self.h.cycle();
        loop {
            self.advance(self.calm)?;
            let now = self.h.counters().traffic;
            if now == traffic {
                break;
            }
            traffic = now;
            if self.h.cycle() - start > PATIENCE {
                return Err("memory traffic without end".to_owned());
            }
        }
        self.memory.at(self.h.cycle());
        self.check_faults()?;
        let open = self.open_ipsr != 0 || self.open_cqcsr != 0;
        self.resolve()?;
        self.check_messages(open)
    }

    /// Waits until nothing is in flight, and compares everything.
    fn quiesce(&mut self) -> Check {
        self.rest()?;
        self.check_monitor()?;
        for (offset, wide) in [
            (reg::DDTP, true),
            (reg::CQB, true),
            (reg::FQB, true),
            (reg::CQH, false),
            (reg::CQT, false),
            (reg::FQH, false),
            (reg::FQT, false),
            (reg::CQCSR, false),
            (reg::FQCSR, false),
            (reg::IPSR, false),
        ] {
            let off = |csr: u16| self.told(csr) & ON == 0;
            // Unspecified until the queue is switched on (RST-04, CQCSR-02, FQCSR-02).
            if offset == reg::CQH && off(reg::CQCSR) || offset == reg::FQT && off(reg::FQCSR) {
                continue;
            }
            let seen = self.read(offset, wide)?;
            let want = self.model.read(offset, wide);
            if seen != want {
                return Err(format!(
                    "at rest, register {offset:#x} is {seen:#x} instead of {want:#x}"
                ));
            }
        }
        if self.h.irq() != self.model.irq() {
            return Err(format!(
                "at rest, the wires are {:#x} instead of {:#x}",
                self.h.irq(),
                self.model.irq()
            ));
        }
        for at in (FENCES..FENCES + FENCE_BYTES).step_by(8) {
            let (seen, want) = (self.h.memory().load64(at), self.memory.get(at));
            if seen != want {
                return Err(format!(
                    "at rest, memory at {at:#x} is {seen:#x} instead of {want:#x}"
                ));
            }
        }
        Ok(())
    }

    /// Bits that may be either way, because a write of software raced with an event, become what they are.
    fn resolve(&mut self) -> Check {
        if self.open_cqcsr != 0 {
            let seen = self.read(reg::CQCSR, false)?;
            self.model
                .adopt_cqcsr(self.open_cqcsr as u32 & !(CQ_STOP as u32), seen as u32);
            self.open_cqcsr = 0;
        }
        if self.open_ipsr != 0 {
            let seen = self.read(reg::IPSR, false)?;
            self.model.adopt_ipsr(self.open_ipsr as u32, seen as u32);
            self.open_ipsr = 0;
        }
        Ok(())
    }
}
