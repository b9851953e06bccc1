//! The IOMMU without caches and without time.

use std::fmt;

use portcullis_regmap::Config;

use crate::command::{Command, Invalidation, decode};
use crate::counters::{Counters, Event};
use crate::interrupts::{Entry, FIP, Interrupts, PMIP};
use crate::memory::{Checked, MemError, Memory};
use crate::registers::{CMD_ILL, CQ_EVENTS, EN, FENCE_W_IP, FQ_EVENTS, FQOF, IE, MF, ON};
use crate::translate::{DdtRead, Features, PteRead, Root, Source, translate};
use crate::types::{Access, Kind, Outcome, Record, Request};

/// Performance counters of a configuration with HPM; at least one is mandatory (HPM-01).
const COUNTERS: usize = 4;

/// Why [`Model::new`] refuses a configuration: its capabilities that the model does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsupported(pub u64);

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the golden model does not know all features of capabilities {:#018x}",
            self.0
        )
    }
}

impl std::error::Error for Unsupported {}

/// A queue's registers. `csr` is cqcsr or fqcsr.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    pub ppn: u64,
    pub log2sz_minus_1: u8,
    pub largest: u8,
    pub head: u32,
    pub tail: u32,
    pub csr: u32,
}

/// What [`Model::step_command`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing to do: the queue is off or empty, or an error bit stops it (CQ-02, CQ-04).
    Idle,
    /// The command at cqh was executed, and cqh moved on.
    Done(Command),
    /// The command at cqh could not be fetched, is illegal, or its store failed: an error bit is set, cqh stays.
    Stopped,
}

/// The IOMMU.
#[derive(Clone, Debug)]
pub struct Model {
    pub(crate) config: Config,
    pub(crate) features: Features,
    pub(crate) fctl: u32,
    /// iommu_mode and PPN.
    pub(crate) ddtp: (u8, u64),
    pub(crate) cq: Queue,
    pub(crate) fq: Queue,
    pub(crate) interrupts: Interrupts,
    pub(crate) counters: Counters,
    pub(crate) tr_iova: u64,
    pub(crate) linectl: u32,
    pub(crate) tr_ctl: u64,
    pub(crate) tr_response: u64,
}

impl Model {
    /// An IOMMU after reset (RST-01, RST-02).
    ///
    /// # Errors
    /// The configuration has features that the model does not know.
    pub fn new(config: &Config) -> Result<Self, Unsupported> {
        let features = Features::of(config);
        if !features.supported() {
            return Err(Unsupported(config.capabilities));
        }
        let queue = |largest: u8| Queue {
            largest,
            ..Queue::default()
        };
        // INT-13: with IGS=WSI there is no message table; INT-14: else an entry for each vector.
        let messages = config.capabilities >> 28 & 3 != 1;
        let vectors = if messages { 1 << config.icvec_bits } else { 0 };
        Ok(Self {
            config: *config,
            features,
            fctl: config.fctl,
            ddtp: (0, 0),
            cq: queue(config.cq_log2sz_minus_1),
            fq: queue(config.fq_log2sz_minus_1),
            interrupts: Interrupts {
                table: vec![Entry::default(); vectors],
                ..Interrupts::default()
            },
            counters: Counters::new(if features.has(30) { COUNTERS } else { 0 }),
            tr_iova: 0,
            linectl: 0,
            tr_ctl: 0,
            tr_response: 0,
        })
    }

    /// What the rules depend on.
    #[must_use]
    pub fn features(&self) -> &Features {
        &self.features
    }

    /// fctl.WSI: interrupts by wire.
    pub(crate) fn wired(&self) -> bool {
        self.fctl & 2 != 0
    }

    /// The interrupt wires, bit n = wire n (INT-08).
    #[must_use]
    pub fn irq(&self) -> u32 {
        if self.wired() {
            self.interrupts.wires()
        } else {
            0
        }
    }

    /// Lets clock cycles pass for iohpmcycles (HPM-04).
    pub fn tick(&mut self, cycles: u64) {
        if self.counters.tick(cycles) {
            self.raise(PMIP);
        }
    }

    /// Translates a request with what memory holds now, and writes a fault record if it is due.
    pub fn translate(&mut self, memory: &mut impl Memory, request: &Request) -> Outcome {
        let mut source = Current {
            memory,
            ddtp: self.ddtp,
            directory_reads: 0,
            table_reads: 0,
            pscid: None,
        };
        let outcome = translate(&self.features, request, &mut source);
        let (directory, table, pscid) = (source.directory_reads, source.table_reads, source.pscid);
        self.count(request, directory, table, pscid);
        if let Outcome::Refused(fault) = outcome
            && let Some(record) = fault.record(request)
        {
            self.report(memory, &record);
        }
        outcome
    }

    /// Whether the event counter at `index`, from 0, counts the arrival of this request (HPM-07, events 1 to 3).
    #[must_use]
    pub fn counts_request(&self, index: usize, request: &Request) -> bool {
        let event = Event {
            id: kind_event(request),
            times: 1,
            request,
            pscid: None,
        };
        self.counters.takes(index, &event)
    }

    /// HPM-07: a model without caches misses on every walk; one walk event per entry read.
    fn count(&mut self, request: &Request, directory: u64, table: u64, pscid: Option<u32>) {
        let kind = kind_event(request);
        let misses = u64::from(pscid.is_some());
        for (id, times) in [(kind, 1), (4, misses), (5, directory), (7, table)] {
            let event = Event {
                id,
                times,
                request,
                pscid,
            };
            if times != 0 && self.counters.happened(&event) {
                self.raise(PMIP);
            }
        }
    }

    /// Writes a fault record, or drops it (group 22).
    pub fn report(&mut self, memory: &mut impl Memory, record: &Record) {
        // FQCSR-03, FQ-04, A-11.
        if self.fq.csr & ON == 0 || self.fq.csr & (MF | FQOF) != 0 {
            return;
        }
        let next = (self.fq.tail + 1) & self.fq.mask();
        // FQ-02, FQ-07.
        if next == self.fq.head {
            self.fq.csr |= FQOF;
            return self.level();
        }
        let addr = self.fq_slot();
        let bytes: Vec<u8> = record
            .0
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        // FQ-03.
        if !self.features.reaches(addr) || memory.store(addr, &bytes).is_err() {
            self.fq.csr |= MF;
            return self.level();
        }
        self.fq.tail = next;
        // FQ-05, INT-03.
        if self.fq.csr & IE != 0 {
            self.raise(FIP);
        }
    }

    /// Where the next fault record goes (FQ-01).
    #[must_use]
    pub fn fq_slot(&self) -> u64 {
        (self.fq.ppn << 12).wrapping_add(u64::from(self.fq.tail) * 32)
    }

    /// Where the next command is fetched from (CQ-02).
    #[must_use]
    pub fn cq_slot(&self) -> u64 {
        (self.cq.ppn << 12).wrapping_add(u64::from(self.cq.head) * 16)
    }

    /// Number of entries of the command queue, and of the fault queue (CQB-01, FQB-01).
    #[must_use]
    pub fn queue_sizes(&self) -> (u32, u32) {
        (self.cq.mask() + 1, self.fq.mask() + 1)
    }

    /// Whether commands are left that nothing stops (CQ-02, CQ-04).
    #[must_use]
    pub fn has_command(&self) -> bool {
        self.cq.csr & ON != 0 && self.cq.csr & (MF | CMD_ILL) == 0 && self.cq.head != self.cq.tail
    }

    /// Executes the command at cqh (groups 17 to 21).
    pub fn step_command(&mut self, memory: &mut impl Memory) -> Step {
        if !self.has_command() {
            return Step::Idle;
        }
        let stop = |model: &mut Self, bit: u32| {
            model.cq.csr |= bit;
            model.level();
            Step::Stopped
        };
        let addr = self.cq_slot();
        // CQ-05, A-46.
        let fetched = if self.features.reaches(addr) {
            let first = memory.load(addr);
            first.and_then(|first| memory.load(addr + 8).map(|second| [first, second]))
        } else {
            Err(MemError::Access)
        };
        let Ok(words) = fetched else {
            return stop(self, MF);
        };
        let bits = self.config.device_id_bits();
        let Ok(command) = decode(&self.features, bits, self.wired(), words) else {
            return stop(self, CMD_ILL);
        };
        if let Command::Fence {
            interrupt, store, ..
        } = command
        {
            if let Some((addr, data)) = store {
                // FEN-07, A-24.
                let stored =
                    self.features.reaches(addr) && memory.store(addr, &data.to_le_bytes()).is_ok();
                if !stored {
                    return stop(self, MF);
                }
            }
            // FEN-08, CQCSR-05.
            if interrupt {
                self.cq.csr |= FENCE_W_IP;
                self.level();
            }
        }
        self.cq.head = (self.cq.head + 1) & self.cq.mask();
        Step::Done(command)
    }

    /// Takes over error bits of cqcsr that software's write may have met or missed: bits of `mask` become those of
    /// `seen`. For comparisons with something that has time.
    pub fn adopt_cqcsr(&mut self, mask: u32, seen: u32) {
        let mask = mask & CQ_EVENTS;
        self.cq.csr = self.cq.csr & !mask | seen & mask;
        self.level();
    }

    /// The same for fqcsr.
    pub fn adopt_fqcsr(&mut self, mask: u32, seen: u32) {
        let mask = mask & FQ_EVENTS;
        self.fq.csr = self.fq.csr & !mask | seen & mask;
        self.level();
    }

    /// The same for ipsr; a bit whose condition holds is set all the same (INT-06).
    pub fn adopt_ipsr(&mut self, mask: u32, seen: u32) {
        self.interrupts.ipsr = self.interrupts.ipsr & !mask | seen & mask;
        self.level();
    }

    /// Does everything that is due: commands, a debug translation, interrupt messages. Returns the invalidations.
    pub fn work(&mut self, memory: &mut impl Memory) -> Vec<Invalidation> {
        let mut invalidations = Vec::new();
        self.debug(memory);
        loop {
            match self.step_command(memory) {
                Step::Idle | Step::Stopped => break,
                Step::Done(Command::Invalidate(what)) => invalidations.push(what),
                Step::Done(Command::Fence { .. }) => {}
            }
        }
        self.send_messages(memory);
        invalidations
    }

    /// Writes the interrupt messages that are due (INT-09); returns each address, its data, and whether it was written.
    pub fn deliver(&mut self, memory: &mut impl Memory) -> Vec<(u64, u32, bool)> {
        let mut sent = Vec::new();
        while let Some((addr, data)) = self.interrupts.next_message() {
            let done =
                self.features.reaches(addr) && memory.store(addr, &data.to_le_bytes()).is_ok();
            sent.push((addr, data, done));
        }
        sent
    }

    /// INT-09, INT-16: a record of a message that failed may raise fip, and so the next message.
    fn send_messages(&mut self, memory: &mut impl Memory) {
        loop {
            let sent = self.deliver(memory);
            if sent.is_empty() {
                return;
            }
            for (addr, _, _) in sent.into_iter().filter(|message| !message.2) {
                self.report(memory, &Record::msi_write(addr));
            }
        }
    }

    /// Group 27.
    fn debug(&mut self, memory: &mut impl Memory) {
        let bit = |at: u32| self.tr_ctl >> at & 1 == 1;
        if !bit(0) {
            return;
        }
        // DBG-03: NW=0 asks for read and write, and W implies R.
        let access = match (bit(3), bit(2)) {
            (true, true) => Access::Exec,
            (true, false) => Access::Read,
            (false, _) => Access::Write,
        };
        let request = Request {
            device_id: (self.tr_ctl >> 40) as u32,
            process_id: bit(32).then_some((self.tr_ctl >> 12 & 0xf_ffff) as u32),
            privileged: bit(1),
            access,
            kind: Kind::Untranslated,
            iova: self.tr_iova,
        };
        // DBG-05; DBG-06: 4 KiB is always an answer.
        self.tr_response = match self.translate(memory, &request) {
            Outcome::Granted { pa, .. } => pa >> 12 << 10 & 0x003f_ffff_ffff_fc00,
            Outcome::Refused(_) => 1,
        };
        self.tr_ctl &= !u64::from(EN);
    }
}

/// The event that a request of this kind is (HPM-07).
fn kind_event(request: &Request) -> u64 {
    match request.kind {
        Kind::Untranslated => 1,
        Kind::Translated => 2,
        Kind::Ats => 3,
    }
}

/// Reads memory as it is: no cache holds anything (MEM-01).
struct Current<'a, M> {
    memory: &'a mut M,
    ddtp: (u8, u64),
    directory_reads: u64,
    table_reads: u64,
    pscid: Option<u32>,
}

impl<M: Memory> Source for Current<'_, M> {
    fn ddtp(&mut self) -> (u8, u64) {
        self.ddtp
    }
    fn directory(&mut self, own: (u8, u64)) -> (u8, u64) {
        own
    }
    fn ddt_entry(&mut self, read: &DdtRead) -> Checked {
        self.directory_reads += 1;
        self.memory.load(read.addr)
    }
    fn context(&mut self, read: &DdtRead) -> [Checked; 4] {
        self.directory_reads += 1;
        [0, 8, 16, 24].map(|at| self.memory.load(read.addr + at))
    }
    fn far_is_misconfigured(&mut self) -> bool {
        // the access fault.
        false
    }
    fn root(&mut self, own: Root) -> Root {
        self.pscid = Some(own.pscid);
        own
    }
    fn pte(&mut self, read: &PteRead) -> Checked {
        self.table_reads += 1;
        self.memory.load(read.addr)
    }
}
