//! Lock-step: every operation goes to the hardware and to the golden model, every answer is compared.

use std::collections::BTreeMap;

use portcullis_model as model;
use portcullis_model::{Command, History, Invalidation, Life, Model, Outcome, Step, Versions};
use portcullis_regmap::Config;
use portcullis_sim::core::{Access, Core, Kind, MemStatus, RegAccess, Request};
use portcullis_sim::harness::Harness;
use portcullis_sim::memory::{FaultOn, Memory};

use super::faults::Pending;
use super::op::{Op, Plan, Script};
use super::tables::{FENCE_BYTES, FENCES};
use crate::reg;

/// cqcsr and fqcsr bits.
pub(super) const EN: u64 = 1;
const IE: u64 = 1 << 1;
const CQ_STOP: u64 = 1 << 8 | 1 << 10;
const CQ_EVENTS: u64 = CQ_STOP | 1 << 11;
pub(super) const ON: u64 = 1 << 16;
pub(super) const BUSY: u64 = 1 << 17;
const DDTP_BUSY: u64 = 1 << 4;
/// ipsr bits.
const CIP: u64 = 1;
pub(super) const FIP: u64 = 2;
/// Cycles after which a wait is a hang.
const PATIENCE: u64 = 50_000;

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
struct Grant {
    answered: u64,
    done: u64,
    write: bool,
}

pub(super) struct Runner {
    pub h: Harness,
    pub model: Model,
    pub memory: Versions,
    history: History,
    dma: (u64, u64),
    /// Cycles without memory traffic after which the queues are at rest.
    calm: u64,
    /// Slot behind the last command.
    tail: u32,
    /// When each slot of the command queue was handed over.
    kicks: Vec<u64>,
    /// Invalidations executed, not yet behind a fence.
    executed: Vec<(Invalidation, u64)>,
    /// Requests in flight, by the harness's id.
    flights: BTreeMap<u64, u64>,
    grants: Vec<Grant>,
    pub faults: Vec<Pending>,
    /// Pending bits that a write of software may have met or missed.
    pub open_ipsr: u64,
    /// Error bits of cqcsr, likewise.
    open_cqcsr: u64,
    /// Whether fqof may have been set just before fqh moved.
    pub open_overflow: bool,
    /// The write to ddtp that selected Off, while it is not known to be complete.
    off: Option<u64>,
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
            model,
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
            open_ipsr: 0,
            open_cqcsr: 0,
            open_overflow: false,
            off: None,
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
            Op::Consume => {
                let tail = self.read(reg::FQT, false)?;
                self.write(reg::FQH, false, tail)?;
            }
            Op::Settle => self.settle()?,
            Op::Quiesce => self.quiesce()?,
        }
        self.absorb()
    }

    // --- primitives -------------------------------------------------------------------------------------------

    fn advance(&mut self, cycles: u64) -> Check {
        self.h.advance(cycles).map_err(hang)
    }

    fn store(&mut self, addr: u64, words: &[u64]) {
        for (i, word) in words.iter().enumerate() {
            let at = addr.wrapping_add(8 * i as u64);
            self.h.memory_mut().store64(at, *word);
            self.memory.set(at, *word);
        }
        self.script.mem_write(addr, words);
    }

    fn access(&mut self, access: RegAccess) -> Result<u64, Difference> {
        self.script.register(&access);
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
        self.access(access).map(|_| ())
    }

    pub fn wait(&mut self, offset: u16, mask: u64) -> Check {
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
            let features = *self.model.features();
            let legal = model::allowed(&features, &self.memory, &self.history, &request, life)
                .map_err(|_| "too many combinations: the generator is too wild".to_owned())?;
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
            self.summary.requests += 1;
            self.summary.free += u64::from(legal.len() > 1);
            if seen.fault {
                self.summary.refused += 1;
                let records = fitting.iter().filter_map(|outcome| match outcome {
                    Outcome::Refused(fault) => Some(fault.record(&request)),
                    Outcome::Granted { .. } => None,
                });
                self.faults.push(Pending::new(&request, records));
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

    /// Whether accesses granted before `kick` are all done (FEN-03, FEN-04, DDTP-07).
    fn visible(&self, kick: u64, reads: bool, writes: bool, what: &str) -> Check {
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

    // --- command queue ----------------------------------------------------------------------------------------

    /// The model as its registers tell.
    pub fn told(&self, offset: u16) -> u64 {
        self.model.read(offset, false)
    }

    /// Whether the hardware may be executing commands.
    fn running(&self) -> bool {
        self.model.has_command()
    }

    /// Executes in the model what the hardware has executed.
    fn sync(&mut self) -> Check {
        if self.told(reg::CQCSR) & ON == 0 {
            return Ok(());
        }
        let head = self.read(reg::CQH, false)?;
        self.absorb()?;
        self.follow(head)
    }

    /// Executes commands until cqh is `head`.
    fn follow(&mut self, head: u64) -> Check {
        let mut stored = Vec::new();
        while self.told(reg::CQH) != head {
            let at = self.told(reg::CQH);
            let slot = self.model.cq_slot();
            let words = [self.memory.get(slot), self.memory.get(slot + 8)];
            let kick = self.kicks.get(at as usize).copied().unwrap_or(0);
            match self.model.step_command(&mut self.memory) {
                Step::Done(command) => {
                    self.executed(command, kick)?;
                    if let Command::Fence {
                        store: Some((addr, _)),
                        ..
                    } = command
                    {
                        stored.push(addr);
                    }
                }
                Step::Idle | Step::Stopped => {
                    return Err(format!(
                        "cqh is {head}, but the command at {at}, {words:x?}, stops the queue (cqcsr {:#x})",
                        self.told(reg::CQCSR)
                    ));
                }
            }
        }
        stored
            .into_iter()
            .try_for_each(|addr| self.check_fence(addr))
    }

    fn executed(&mut self, command: Command, kick: u64) -> Check {
        self.summary.commands += 1;
        match command {
            Command::Invalidate(what) => self.executed.push((what, kick)),
            Command::Fence { reads, writes, .. } => {
                self.visible(kick, reads, writes, "a fence")?;
                let now = self.h.cycle();
                for (what, kick) in self.executed.drain(..) {
                    self.history.invalidated(what, kick, now);
                }
            }
        }
        Ok(())
    }

    /// FEN-06: the data is there once cqh has moved on; the next fence may already have stored its own.
    fn check_fence(&self, addr: u64) -> Check {
        let shift = 8 * (addr & 4);
        let half = |word: u64| word >> shift & 0xffff_ffff;
        let (seen, want) = (self.h.memory().load64(addr & !7), self.memory.get(addr));
        let slot = self.model.cq_slot();
        let next = (self.memory.get(slot), self.memory.get(slot + 8));
        let by_next = next.0 & 0x7ff == 0x402 && next.1 << 2 == addr && next.0 >> 32 == half(seen);
        if half(seen) == half(want) || by_next {
            return Ok(());
        }
        Err(format!(
            "a fence is complete, but its data {:#x} is not at {addr:#x}: {:#x}",
            half(want),
            half(seen)
        ))
    }

    /// Waits until the command queue has nothing to do, and the model neither.
    fn drain(&mut self) -> Check {
        let start = self.h.cycle();
        while self.running() {
            let csr = self.read(reg::CQCSR, false)?;
            self.sync()?;
            if csr & CQ_STOP != 0 && self.running() {
                // It stands at a command that cannot be executed: the model must see that too.
                let at = self.told(reg::CQH);
                if self.model.step_command(&mut self.memory) != Step::Stopped {
                    return Err(format!(
                        "cqcsr is {csr:#x}, but nothing is wrong with the command at {at}"
                    ));
                }
            } else if self.running() {
                self.advance(8)?;
                self.absorb()?;
            }
            if self.h.cycle() - start > PATIENCE {
                return Err(format!(
                    "the command queue hangs at {} (cqcsr {csr:#x})",
                    self.told(reg::CQH)
                ));
            }
        }
        Ok(())
    }

    /// A slot that the hardware does not own.
    fn free_slot(&self, slot: u32) -> bool {
        let (size, _) = self.model.queue_sizes();
        let (head, tail) = (self.told(reg::CQH) as u32, self.told(reg::CQT) as u32);
        self.told(reg::CQCSR) & ON == 0
            || slot.wrapping_sub(head) % size >= tail.wrapping_sub(head) % size
    }

    fn command(&mut self, words: [u64; 2]) -> Check {
        self.sync()?;
        let (size, _) = self.model.queue_sizes();
        let next = (self.tail + 1) % size;
        let on = self.told(reg::CQCSR) & ON != 0;
        let full = on && u64::from(next) == self.told(reg::CQH);
        if full || self.tail >= size || !self.free_slot(self.tail) {
            return Ok(());
        }
        let base = self.model.read(reg::CQB, true) >> 10 << 12;
        self.store(base + 16 * u64::from(self.tail), &words);
        self.tail = next;
        Ok(())
    }

    /// Writes cqt; the slots up to it are handed over now.
    fn ring(&mut self, offset: u16, wide: bool, value: u64) -> Check {
        self.sync()?;
        let now = self.h.cycle();
        let (head, old) = (self.told(reg::CQH), self.told(reg::CQT));
        self.poke(offset, wide, value)?;
        self.model.write(offset, wide, value);
        let tail = self.told(reg::CQT);
        let size = u64::from(self.model.queue_sizes().0);
        let distance = |to: u64| to.wrapping_sub(head) % size;
        for at in 0..size {
            if at >= distance(old) && at < distance(tail) {
                self.hand_over((head + at) % size, now);
            }
        }
        self.tail = tail as u32;
        Ok(())
    }

    fn hand_over(&mut self, slot: u64, now: u64) {
        if let Some(kick) = self.kicks.get_mut(slot as usize) {
            *kick = now;
        }
    }

    fn repair(&mut self, words: [u64; 2]) -> Check {
        self.drain()?;
        let csr = self.told(reg::CQCSR);
        if csr & ON == 0 || csr & CQ_STOP == 0 {
            return Ok(());
        }
        self.store(self.model.cq_slot(), &words);
        self.hand_over(self.told(reg::CQH), self.h.cycle());
        self.write(reg::CQCSR, false, csr & (EN | IE) | CQ_EVENTS)
    }

    fn write_cqcsr(&mut self, offset: u16, value: u64) -> Check {
        self.wait(reg::CQCSR, BUSY)?;
        self.sync()?;
        let was_on = self.told(reg::CQCSR) & ON != 0;
        let raced = self.running();
        let now = self.h.cycle();
        self.poke(offset, false, value)?;
        if raced {
            self.open_ipsr |= CIP;
            self.open_cqcsr |= value & CQ_EVENTS;
        }
        if was_on && value & EN == 0 {
            // The hardware stops somewhere: the model stops there too (CQCSR-03).
            self.wait(reg::CQCSR, BUSY | ON)?;
            let head = self.read(reg::CQH, false)?;
            let csr = self.read(reg::CQCSR, false)?;
            self.absorb()?;
            self.follow(head)?;
            self.adopt_fence();
            if csr & CQ_STOP != 0
                && self.running()
                && self.model.step_command(&mut self.memory) != Step::Stopped
            {
                return Err(format!(
                    "cqcsr is {csr:#x}, but nothing is wrong with the command at {head}"
                ));
            }
        }
        self.model.write(offset, false, value);
        if was_on && value & EN == 0 && raced {
            // Error bits were set before the write or after it; follow() has shown that they are due.
            let seen = self.read(reg::CQCSR, false)?;
            self.model.adopt_cqcsr(CQ_EVENTS as u32, seen as u32);
        }
        if !was_on && value & EN != 0 {
            for slot in 0..self.told(reg::CQT) {
                self.hand_over(slot, now);
            }
        }
        Ok(())
    }

    /// The queue was switched off while a fence was under way: its store may have been done (FEN-06 says nothing).
    fn adopt_fence(&mut self) {
        if !self.running() {
            return;
        }
        let slot = self.model.cq_slot();
        let (dw0, addr) = (self.memory.get(slot), self.memory.get(slot + 8) << 2);
        if dw0 & 0x3ff == 2 && dw0 >> 10 & 1 == 1 {
            let seen = self.h.memory().load64(addr & !7);
            if seen >> (8 * (addr & 4)) & 0xffff_ffff == dw0 >> 32 {
                self.memory.set(addr, seen);
            }
        }
    }

    // --- registers --------------------------------------------------------------------------------------------

    fn write(&mut self, offset: u16, wide: bool, value: u64) -> Check {
        let aligned = offset % if wide { 8 } else { 4 } == 0;
        let double = wide && matches!(offset, reg::DDTP | reg::CQB | reg::FQB);
        match offset {
            reg::DDTP..24 if aligned => self.write_ddtp(offset, wide, value),
            reg::CQB..32 if aligned && (double || !wide) => {
                self.wait(reg::CQCSR, BUSY)?;
                self.sync()?;
                self.poke(offset, wide, value)?;
                self.model.write(offset, wide, value);
                // CQB-04; dropped while the queue is on (CQB-03).
                if self.told(reg::CQCSR) & ON == 0 {
                    self.tail = self.told(reg::CQT) as u32;
                }
                Ok(())
            }
            reg::CQT if !wide => self.ring(offset, wide, value),
            reg::FQB..48 if aligned && (double || !wide) => {
                self.wait(reg::FQCSR, BUSY)?;
                self.write_fault_queue(offset, wide, value)
            }
            reg::FQH | reg::FQCSR if !wide => {
                self.wait(reg::FQCSR, BUSY)?;
                self.write_fault_queue(offset, wide, value)
            }
            reg::CQCSR if !wide => self.write_cqcsr(offset, value),
            reg::IPSR if !wide => {
                self.sync()?;
                if self.running() {
                    self.open_ipsr |= CIP;
                }
                self.absorb()?;
                if self.h.outstanding() > 0 || !self.faults.is_empty() {
                    self.open_ipsr |= FIP;
                }
                self.poke(offset, wide, value)?;
                self.model.write(offset, wide, value);
                Ok(())
            }
            _ => {
                self.poke(offset, wide, value)?;
                self.model.write(offset, wide, value);
                Ok(())
            }
        }
    }

    fn write_ddtp(&mut self, offset: u16, wide: bool, value: u64) -> Check {
        self.settle_ddtp()?;
        let before = self.model.read(reg::DDTP, true);
        let mut next = self.model.clone();
        next.write(offset, wide, value);
        let after = next.read(reg::DDTP, true);
        let (old, new) = (before & 0xf, after & 0xf);
        // DDTP-08: to Bare only from Off. DDTP-09: the page number stays while Off is selected.
        let unspecified = old != 0 && new == 1 && before != after
            || old != 0 && new == 0 && before >> 10 != after >> 10;
        if unspecified {
            return Ok(());
        }
        let now = self.h.cycle();
        self.poke(offset, wide, value)?;
        self.model = next;
        if before != after {
            self.history.switch(now, new as u8, after >> 10);
            self.off = (new == 0).then_some(now);
        }
        Ok(())
    }

    fn settle_ddtp(&mut self) -> Check {
        self.wait(reg::DDTP, DDTP_BUSY)?;
        self.absorb()?;
        if self.history.switching() {
            self.history.settled(self.h.cycle());
        }
        if let Some(kick) = self.off.take() {
            self.visible(kick, true, true, "ddtp Off")?;
        }
        Ok(())
    }

    fn settle(&mut self) -> Check {
        self.settle_ddtp()?;
        self.wait(reg::CQCSR, BUSY)?;
        self.wait(reg::FQCSR, BUSY)
    }

    /// A read at any moment: what can be in motion is not compared.
    fn look(&mut self, offset: u16, wide: bool) -> Check {
        let seen = self.read(offset, wide)?;
        let aligned = offset & !3;
        let moving = match (aligned, wide) {
            (reg::DDTP, _) => DDTP_BUSY,
            (reg::CQH | reg::FQT, false) => 0xff,
            (reg::CQCSR, false) => CQ_EVENTS | ON | BUSY,
            (reg::FQCSR, false) => 0x300 | ON | BUSY,
            (reg::IPSR, false) => CIP | FIP,
            _ => 0,
        };
        let want = self.model.read(offset, wide);
        if (seen ^ want) & !moving != 0 {
            return Err(format!(
                "register {offset:#x}: {seen:#x} instead of {want:#x}"
            ));
        }
        Ok(())
    }

    fn plant(&mut self, addr: u64, len: u64, on: FaultOn, status: MemStatus) -> Check {
        // Whether a queue meets the error must not be a matter of a few cycles.
        let tables = addr >= super::tables::TABLES;
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

    // --- rest -------------------------------------------------------------------------------------------------

    /// Waits until nothing is in flight.
    pub fn rest(&mut self) -> Check {
        self.h.finish_requests().map_err(hang)?;
        self.absorb()?;
        self.drain()?;
        self.settle()?;
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
        self.check_faults()
    }

    /// Waits until nothing is in flight, and compares everything.
    fn quiesce(&mut self) -> Check {
        self.rest()?;
        self.resolve()?;
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
