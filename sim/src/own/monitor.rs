//! The protocol between driver and hardware, watched on the bus: stores to contexts, commands as the core fetches them,
//! fences, `cqh` as the core answers it.
//!
//! A SYNC of a context is, in this order: IODIR.INVAL_DDT of its device, IOFENCE.C, IOTINVAL.VMA of its PSCID without an
//! address, IOFENCE.C with PR and PW, and an answer of `cqh` beyond that fence. The rules:
//! * a context in use changes by one store: V to 0, or one doubleword; the next change comes after a SYNC;
//! * while V=0, other doublewords change only after the SYNC that followed the clearing of V;
//! * V becomes 1 only after a SYNC that followed the last other change;
//! * a call returns only after the SYNC of everything it changed, stores that set V aside;
//! * commands are those that the hardware has, so none of a second stage where there is none;
//! * before a fence with PR or PW is passed the core asks for visibility, and is answered;
//! * the core reads no memory that the driver has given back.

use std::collections::{BTreeSet, HashSet, VecDeque};

use portcullis::platform::Op;
use portcullis_regmap::Config;
use portcullis_regmap::command::{self, Command, Op as Decoded};
use portcullis_regmap::ddt::{NonLeaf, Ta, Tc, dc};
use portcullis_regmap::regs::{Ddtp, QueueBase, iommu_mode, offset};

use super::paint::PAGE;
use crate::core::{Inputs, Outputs, Purpose};
use crate::memory::Memory;

/// Device ids have at most so many.
const DEVICE_ID_BITS: u32 = 24;

/// How far the SYNC of a context has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Nothing that helps.
    None,
    /// INVAL_DDT fetched.
    Invalidated,
    /// ... and a fence behind it.
    Fenced,
    /// ... and IOTINVAL behind that.
    Purged,
    /// ... and the fence with PR and PW; done when `cqh` is beyond it.
    Closed,
}

#[derive(Clone, Debug)]
struct Context {
    device: u32,
    at: u64,
    /// As the memory has it.
    words: [u64; 4],
    stage: Stage,
    /// Hardware may still use what was valid before.
    lingering: bool,
    /// A field changed that no SYNC has followed.
    unsettled: bool,
}

/// A command that the core fetched and that `cqh` has not passed yet.
#[derive(Clone, Copy, Debug)]
struct Fetched {
    slot: u64,
    op: Option<Decoded>,
    /// The visibility handshake with these wires has taken place since.
    seen: (bool, bool),
    /// It is the end of a SYNC.
    closes: bool,
}

impl Fetched {
    /// A fence whose visibility the core has not asked for yet.
    fn waits(&self) -> bool {
        let (reads, writes) = self.seen;
        matches!(self.op, Some(Decoded::Iofence { pr, pw, .. }) if (pr && !reads) || (pw && !writes))
    }
}

/// Something on the bus, for pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusEvent {
    /// A store to a context: device, byte offset in it, value.
    Store(u32, u8, u64),
    /// The doorbell.
    Doorbell,
    /// The core fetched a command.
    Command(Option<Decoded>),
    /// The core told the driver that it has passed the fence at the end of a SYNC.
    Synced,
}

/// The watcher.
#[derive(Debug)]
pub struct Monitor {
    config: &'static Config,
    ddtp: Ddtp,
    ring: u64,
    slots: u64,
    devices: Vec<u32>,
    contexts: Vec<Context>,
    fetched: VecDeque<Fetched>,
    freed: HashSet<u64>,
    taken: BTreeSet<u64>,
    stores: u64,
    writes: u64,
    keep: bool,
    events: Vec<(u64, BusEvent)>,
    syncs: u64,
    found: Vec<(u64, String)>,
}

/// What the driver has done to the machine so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Stores to memory.
    pub stores: u64,
    /// Register writes.
    pub writes: u64,
    /// Pages that it has taken and not given back.
    pub pages: usize,
}

impl Monitor {
    /// A watcher. `keep` keeps the events.
    #[must_use]
    pub fn new(config: &'static Config, keep: bool) -> Self {
        Self {
            config,
            ddtp: Ddtp::default(),
            ring: 0,
            slots: 0,
            devices: Vec::new(),
            contexts: Vec::new(),
            fetched: VecDeque::new(),
            freed: HashSet::new(),
            taken: BTreeSet::new(),
            stores: 0,
            writes: 0,
            keep,
            events: Vec::new(),
            syncs: 0,
            found: Vec::new(),
        }
    }

    /// Watches the context of a device from its first use on.
    pub fn watch(&mut self, device: u32) {
        self.devices.push(device);
    }

    /// What happened, if it is kept.
    #[must_use]
    pub fn events(&self) -> &[(u64, BusEvent)] {
        &self.events
    }

    /// First address of the command queue.
    #[must_use]
    pub fn ring(&self) -> u64 {
        self.ring
    }

    /// Pages that the driver has given back and not taken again.
    #[must_use]
    pub fn pages_given_back(&self) -> usize {
        self.freed.len()
    }

    /// Numbers of the pages that the driver has taken and not given back.
    pub fn pages_taken(&self) -> impl Iterator<Item = u64> + '_ {
        self.taken.iter().copied()
    }

    /// What the driver has done so far.
    #[must_use]
    pub fn footprint(&self) -> Footprint {
        Footprint {
            stores: self.stores,
            writes: self.writes,
            pages: self.taken.len(),
        }
    }

    /// The context of a device as it lies in memory, if the directory in use reaches that far.
    #[must_use]
    pub fn context(&self, device: u32, memory: &Memory) -> Option<[u64; 4]> {
        let at = self.find(device, memory)?;
        Some(words(at, memory))
    }

    /// SYNCs that were completed, counted by context.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.syncs
    }

    /// What was wrong since the last call of this.
    pub fn take_found(&mut self) -> Vec<(u64, String)> {
        std::mem::take(&mut self.found)
    }

    fn note(&mut self, cycle: u64, event: BusEvent) {
        if self.keep {
            self.events.push((cycle, event));
        }
    }

    /// Something that the driver did, with the memory after it.
    pub fn driver(&mut self, cycle: u64, op: Op, memory: &Memory) {
        self.stores += u64::from(matches!(op, Op::Store(..)));
        self.writes += u64::from(matches!(op, Op::Write(..)));
        match op {
            Op::Store(pa, _, _) => self.store(cycle, pa.0, memory),
            Op::Write(offset::DDTP, _, value) => self.directory(Ddtp::from_bits(value), memory),
            // Hardware may refuse what was written, a directory of that depth for one.
            Op::Read(offset::DDTP, _, value)
                if !Ddtp::from_bits(value).busy() && Ddtp::from_bits(value) != self.ddtp =>
            {
                self.directory(Ddtp::from_bits(value), memory);
            }
            Op::Write(offset::CQB, _, value) => {
                let base = QueueBase::from_bits(value);
                self.ring = base.ppn() * PAGE;
                self.slots = 2 << base.log2sz_minus_1();
            }
            Op::Write(offset::CQCSR, ..) => {
                // A queue that stopped may have aborted what it had fetched: every SYNC under way begins anew.
                self.fetched.clear();
                for context in &mut self.contexts {
                    context.stage = Stage::None;
                }
            }
            Op::Alloc(Some(pa), bytes) => {
                for page in pages(pa.0, bytes as u64) {
                    self.freed.remove(&page);
                    self.taken.insert(page);
                }
            }
            Op::Free(pa, bytes) => {
                for page in pages(pa.0, bytes as u64) {
                    self.taken.remove(&page);
                    self.freed.insert(page);
                }
            }
            _ => {}
        }
    }

    /// Another directory, or none: then what follows until the next one is start, stop or recovery, and nothing translates.
    fn directory(&mut self, ddtp: Ddtp, memory: &Memory) {
        self.ddtp = ddtp;
        self.contexts.clear();
        self.learn(memory);
    }

    /// Where the context of a device lies, if its directory reaches that far.
    fn find(&self, device: u32, memory: &Memory) -> Option<u64> {
        let levels = self.ddtp.iommu_mode().checked_sub(iommu_mode::BARE)?;
        if levels == 0 {
            return None;
        }
        let format = self.config.dc_format();
        let mut table = self.ddtp.ppn() * PAGE;
        for level in (1..levels).rev() {
            let entry = table + 8 * u64::from(format.ddi(device, level));
            let entry = NonLeaf::from_bits(memory.load64(entry));
            table = entry.v().then(|| entry.ppn() * PAGE)?;
        }
        Some(table + format.dc_bytes() * u64::from(format.ddi(device, 0)))
    }

    /// Finds the contexts that have got a place in the directory since the last look.
    fn learn(&mut self, memory: &Memory) {
        if self.contexts.len() == self.devices.len() {
            return;
        }
        for &device in &self.devices {
            if self.contexts.iter().any(|context| context.device == device) {
                continue;
            }
            let Some(at) = self.find(device, memory) else {
                continue;
            };
            let words = words(at, memory);
            self.contexts.push(Context {
                device,
                at,
                words,
                stage: Stage::None,
                lingering: false,
                unsettled: !Tc::from_bits(words[0]).v(),
            });
        }
    }

    /// Context and number of the doubleword that lies at an address.
    fn place(&self, pa: u64) -> Option<(usize, usize)> {
        self.contexts.iter().enumerate().find_map(|(at, context)| {
            let word = pa.checked_sub(context.at)? / 8;
            (word < 4).then_some((at, word as usize))
        })
    }

    /// Whether a context lies there.
    #[must_use]
    pub fn is_context(&self, pa: u64) -> bool {
        self.place(pa).is_some()
    }

    /// Whether a context has its doubleword `word` there.
    #[must_use]
    pub fn is_word(&self, pa: u64, word: usize) -> bool {
        self.place(pa).is_some_and(|(_, found)| found == word)
    }

    fn store(&mut self, cycle: u64, pa: u64, memory: &Memory) {
        let Some((at, word)) = self.place(pa) else {
            // Perhaps a page was linked into the directory.
            self.learn(memory);
            return;
        };
        let value = memory.load64(self.contexts[at].at + 8 * word as u64);
        let device = self.contexts[at].device;
        self.note(cycle, BusEvent::Store(device, 8 * word as u8, value));
        if let Some(wrong) = self.contexts[at].store(word, value) {
            self.found
                .push((cycle, format!("context of device {device:#x}: {wrong}")));
        }
    }

    /// The pins of a cycle.
    pub fn cycle(&mut self, cycle: u64, memory: &Memory, inputs: &Inputs, outputs: &Outputs) {
        if outputs.reg_done.is_some()
            && inputs
                .reg
                .is_some_and(|access| access.write && access.offset == offset::CQT)
        {
            self.note(cycle, BusEvent::Doorbell);
        }
        if let Some(read) = outputs.ar
            && inputs.ar_ready
        {
            let bytes = 8 * u64::from(read.beats);
            for page in pages(read.addr, bytes) {
                if self.freed.contains(&page) {
                    self.found.push((
                        cycle,
                        format!(
                            "the core read {:#x} ({:?}), memory that the driver had given back",
                            read.addr, read.purpose
                        ),
                    ));
                }
            }
            if read.purpose == Purpose::Command {
                for at in (read.addr..read.addr + bytes).step_by(command::BYTES as usize) {
                    self.fetch(cycle, at, memory);
                }
            }
        }
        if let Some(sync) = outputs.sync
            && inputs.sync_ack
            && let Some(fence) = self.fetched.iter_mut().find(|fetched| fetched.waits())
        {
            fence.seen.0 |= sync.reads;
            fence.seen.1 |= sync.writes;
        }
        if let (Some(data), Some(access)) = (outputs.reg_done, inputs.reg)
            && !access.write
            && access.offset == offset::CQH
        {
            self.head(cycle, data & 0xffff_ffff);
        }
    }

    fn fetch(&mut self, cycle: u64, at: u64, memory: &Memory) {
        let command = Command {
            dw0: memory.load64(at),
            dw1: memory.load64(at + 8),
        };
        let op = command.decode().ok();
        self.note(cycle, BusEvent::Command(op));
        let caps = self.config.capabilities();
        let second_stage = caps.sv32x4() || caps.sv39x4() || caps.sv48x4() || caps.sv57x4();
        let has = |op: Decoded| {
            let gvma = matches!(op, Decoded::Iotinval { gvma: true, .. });
            // Interrupts by wire may be chosen, and are not this rule's business.
            op.supported(caps, true, DEVICE_ID_BITS) && (second_stage || !gvma)
        };
        if !op.is_some_and(has) {
            let what = format!("a command that this hardware lacks: {:#x}", command.dw0);
            self.found.push((cycle, what));
        }
        let mut closes = false;
        for context in &mut self.contexts {
            let before = context.stage;
            context.command(op);
            closes |= before != Stage::Closed && context.stage == Stage::Closed;
        }
        self.fetched.push_back(Fetched {
            slot: at.wrapping_sub(self.ring) / command::BYTES,
            op,
            seen: (false, false),
            closes,
        });
    }

    /// The core says which command it will fetch next.
    fn head(&mut self, cycle: u64, head: u64) {
        while let Some(done) = self.fetched.front().copied()
            && done.slot != head
        {
            self.fetched.pop_front();
            if done.waits() {
                self.found.push((
                    cycle,
                    "the core passed a fence without asking for visibility".to_owned(),
                ));
            }
            if !done.closes {
                continue;
            }
            self.note(cycle, BusEvent::Synced);
            for context in &mut self.contexts {
                if context.stage == Stage::Closed {
                    context.stage = Stage::None;
                    (context.lingering, context.unsettled) = (false, false);
                    self.syncs += 1;
                }
            }
        }
    }

    /// A call of the driver returned.
    pub fn returned(&mut self, cycle: u64) {
        for context in &self.contexts {
            if context.lingering {
                self.found.push((
                    cycle,
                    format!(
                        "the call returned before what it took from device {:#x} was invalidated",
                        context.device
                    ),
                ));
            }
        }
    }
}

impl Context {
    /// A store of the driver; says what is wrong with it.
    fn store(&mut self, word: usize, value: u64) -> Option<&'static str> {
        let old = std::mem::replace(&mut self.words[word], value);
        if old == value {
            return None;
        }
        let (was, is) = (
            Tc::from_bits(if word == 0 { old } else { self.words[0] }).v(),
            Tc::from_bits(self.words[0]).v(),
        );
        let synced = !self.lingering;
        let settled = !self.unsettled;
        self.stage = Stage::None;
        match (was, is) {
            (false, true) => {
                if !settled || !synced {
                    return Some("V was set before the change of its fields was synchronised");
                }
            }
            (true, false) => self.lingering = true,
            (true, true) => {
                let wrong = self.lingering;
                (self.lingering, self.unsettled) = (true, true);
                if wrong {
                    return Some(
                        "in use, and changed again before its last change was synchronised",
                    );
                }
            }
            (false, false) => {
                self.unsettled = true;
                if !synced {
                    return Some("a field changed before the clearing of V was synchronised");
                }
            }
        }
        None
    }

    /// A command that the core fetched.
    fn command(&mut self, op: Option<Decoded>) {
        if !self.lingering && !self.unsettled {
            return;
        }
        let pscid = Ta::from_bits(self.words[2]).pscid();
        self.stage = match (op, self.stage) {
            (Some(Decoded::InvalDdt { did }), _) if did.is_none_or(|did| did == self.device) => {
                self.stage.max(Stage::Invalidated)
            }
            (Some(Decoded::Iofence { .. }), Stage::Invalidated) => Stage::Fenced,
            (
                Some(Decoded::Iotinval {
                    gvma: false,
                    addr: None,
                    pscid: of,
                    ..
                }),
                Stage::Fenced,
            ) if of.is_none_or(|of| of == pscid) => Stage::Purged,
            (
                Some(Decoded::Iofence {
                    pr: true, pw: true, ..
                }),
                Stage::Purged,
            ) => Stage::Closed,
            (_, stage) => stage,
        };
    }
}

/// The doublewords of the context at an address that every format has.
fn words(at: u64, memory: &Memory) -> [u64; 4] {
    [dc::TC, dc::IOHGATP, dc::TA, dc::FSC].map(|word| memory.load64(at + word))
}

/// Numbers of the pages that a range touches.
fn pages(start: u64, bytes: u64) -> impl Iterator<Item = u64> {
    start / PAGE..=(start + bytes.max(1) - 1) / PAGE
}
