//! The machine that figures are taken on: a core, its memory, and the tables and registers that a driver would set up.
//!
//! Tables are written around the memory port and cost no cycles. Every answer is compared with what the tables say, so a
//! figure of a core that answers wrongly does not exist. Page frames are scattered, so that no figure profits from pages
//! that happen to be neighbours in physical memory.

use std::cell::{Ref, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use portcullis_regmap::command::{self, Command};
use portcullis_regmap::ddt::{Format, Iosatp, NonLeaf, Ta, Tc, dc, iosatp_mode};
use portcullis_regmap::pte::{Pte, SV39_LEVELS, level_shift, vpn};
use portcullis_regmap::regs::{Cqcsr, Ddtp, Fqcsr, QueueBase, iommu_mode, offset};
use portcullis_regmap::{Config, PAGE_SHIFT, PAGE_SIZE};

use super::tap::{Log, Tap};
use crate::backend::Factory;
use crate::core::{Access, Kind, RegAccess, Request};
use crate::failure::Failure;
use crate::harness::{Finished, Harness};
use crate::memory::{Memory, Timing};

/// Directory root; the tables follow it.
const TABLES: u64 = 0x1000_0000;
/// Command queue.
const CQ: u64 = 0x2000_0000;
/// Fault queue.
const FQ: u64 = 0x2100_0000;
/// log2 of the entries of both queues, if the configuration holds as many.
const QUEUE_LOG2: u8 = 10;
/// Page frames lie from here, below 4 GiB: every configuration reaches them.
const FRAMES: u64 = 0x8000_0000 >> PAGE_SHIFT;
/// Frames there are; a power of two.
const FRAME_COUNT: u64 = 1 << 19;
/// Odd, so that multiples of it modulo [`FRAME_COUNT`] visit every frame.
const SCATTER: u64 = 0x2_545f;
/// Polls of a register after which something will not happen any more.
const POLLS: u64 = 1_000_000;

/// What a measurement returns: the value, or one line that says what went wrong.
pub type Measured<T> = Result<T, String>;

/// Core, memory and tables.
pub struct Rig {
    harness: Harness,
    log: Rc<RefCell<Log>>,
    config: &'static Config,
    latency: u64,
    next_table: u64,
    next_frame: u64,
    tail: u32,
    roots: HashMap<u32, u64>,
    /// Address of each mapped page by device, level and page number of that level.
    pages: HashMap<(u32, u8, u64), u64>,
}

impl Rig {
    /// A core after reset with both queues on, ddtp at a directory of `levels` levels, memory latency `latency`.
    ///
    /// # Errors
    /// There is no such core, or it does not come up.
    pub fn new(
        config: &'static Config,
        factory: Factory<'_>,
        latency: u64,
        levels: u8,
    ) -> Measured<Self> {
        let (tap, log) = Tap::new(factory(config)?);
        let timing = Timing {
            latency,
            ..Timing::default()
        };
        let mut rig = Self {
            harness: Harness::new(Box::new(tap), Memory::new(timing)),
            log,
            config,
            latency,
            next_table: TABLES + PAGE_SIZE,
            next_frame: 0,
            tail: 0,
            roots: HashMap::new(),
            pages: HashMap::new(),
        };
        let queue = |base: u64, most: u8| {
            QueueBase::new()
                .with_ppn(base >> PAGE_SHIFT)
                .with_log2sz_minus_1(most.min(QUEUE_LOG2 - 1))
                .into_bits()
        };
        rig.write(offset::CQB, true, queue(CQ, config.cq_log2sz_minus_1))?;
        rig.write(offset::FQB, true, queue(FQ, config.fq_log2sz_minus_1))?;
        rig.write(offset::CQT, false, 0)?;
        rig.write(offset::FQH, false, 0)?;
        let cqcsr = Cqcsr::new().with_cqen(true);
        rig.write(offset::CQCSR, false, cqcsr.into_bits().into())?;
        rig.poll(offset::CQCSR, |value| Cqcsr::from_bits(value).cqon())?;
        let fqcsr = Fqcsr::new().with_fqen(true);
        rig.write(offset::FQCSR, false, fqcsr.into_bits().into())?;
        rig.poll(offset::FQCSR, |value| Fqcsr::from_bits(value).fqon())?;
        let ddtp = Ddtp::new()
            .with_iommu_mode(iommu_mode::LVL1 + levels - 1)
            .with_ppn(TABLES >> PAGE_SHIFT);
        rig.write(offset::DDTP, true, ddtp.into_bits())?;
        rig.poll(offset::DDTP, |value| !Ddtp::from_bits(value.into()).busy())?;
        rig.settle()?;
        Ok(rig)
    }

    /// Memory latency.
    #[must_use]
    pub fn latency(&self) -> u64 {
        self.latency
    }

    /// Commands that can be queued at once.
    #[must_use]
    pub fn queue_room(&self) -> u32 {
        self.queue_entries() - 1
    }

    fn queue_entries(&self) -> u32 {
        1 << (self.config.cq_log2sz_minus_1 + 1).min(QUEUE_LOG2)
    }

    /// PSCID of a device's address space.
    #[must_use]
    pub fn pscid(device: u32) -> u32 {
        device + 1
    }

    fn table(&mut self) -> u64 {
        let at = self.next_table;
        self.next_table += PAGE_SIZE;
        at
    }

    /// Gives a device a context with an empty Sv39 table, in a directory of `levels` levels.
    pub fn device(&mut self, device: u32, levels: u8) {
        let format = self.config.dc_format();
        let mut page = TABLES;
        for level in (1..levels).rev() {
            let slot = page + 8 * u64::from(format.ddi(device, level));
            let entry = NonLeaf::from_bits(self.harness.memory().load64(slot));
            page = if entry.v() {
                entry.ppn() << PAGE_SHIFT
            } else {
                let next = self.table();
                let entry = NonLeaf::new().with_v(true).with_ppn(next >> PAGE_SHIFT);
                self.store(slot, entry.into_bits());
                next
            };
        }
        let root = self.table();
        self.roots.insert(device, root);
        let at = page + format.dc_bytes() * u64::from(format.ddi(device, 0));
        let ta = Ta::new().with_pscid(Self::pscid(device));
        let fsc = Iosatp::new()
            .with_mode(iosatp_mode::SV39)
            .with_ppn(root >> PAGE_SHIFT);
        self.store(at + dc::TA, ta.into_bits());
        self.store(at + dc::FSC, fsc.into_bits());
        if format == Format::Extended {
            self.store(at + dc::MSIPTP, 0);
        }
        self.store(at + dc::TC, Tc::new().with_v(true).into_bits());
    }

    fn store(&mut self, addr: u64, value: u64) {
        self.harness.memory_mut().store64(addr, value);
    }

    /// Address of the entry for `iova` in the table of `level`; tables on the way are made.
    fn entry(&mut self, device: u32, iova: u64, level: u8) -> u64 {
        let mut page = self.roots[&device];
        for above in (level + 1..SV39_LEVELS).rev() {
            let slot = page + 8 * u64::from(vpn(iova, above));
            let pte = Pte::from_bits(self.harness.memory().load64(slot));
            page = if pte.v() {
                pte.ppn() << PAGE_SHIFT
            } else {
                let next = self.table();
                let pte = Pte::new().with_v(true).with_ppn(next >> PAGE_SHIFT);
                self.store(slot, pte.into_bits());
                next
            };
        }
        page + 8 * u64::from(vpn(iova, level))
    }

    /// Maps the page of 2^12, 2^21 or 2^30 bytes (`level` 0, 1 or 2) around `iova` to a frame of its own.
    pub fn map(&mut self, device: u32, iova: u64, level: u8) {
        let slot = self.entry(device, iova, level);
        let mut frame = FRAMES + (self.next_frame.wrapping_mul(SCATTER) & (FRAME_COUNT - 1));
        self.next_frame += 1;
        frame &= !((1 << (level_shift(level) - PAGE_SHIFT)) - 1);
        let pte = Pte::new()
            .with_v(true)
            .with_r(true)
            .with_w(true)
            .with_u(true)
            .with_a(true)
            .with_d(true)
            .with_ppn(frame);
        self.store(slot, pte.into_bits());
        self.pages.insert(
            (device, level, iova >> level_shift(level)),
            frame << PAGE_SHIFT,
        );
    }

    /// Makes the tables down to the last level, but no page.
    pub fn hole(&mut self, device: u32, iova: u64) {
        self.entry(device, iova, 0);
    }

    /// Clears the entry for `iova` in the table of `level`: everything below it is gone.
    pub fn unmap(&mut self, device: u32, iova: u64, level: u8) {
        let slot = self.entry(device, iova, level);
        self.store(slot, 0);
        self.pages.retain(|(owner, of, page), _| {
            let base = *page << level_shift(*of);
            *owner != device || base >> level_shift(level) != iova >> level_shift(level)
        });
    }

    /// Where the tables lead.
    fn target(&self, device: u32, iova: u64) -> Option<u64> {
        (0..SV39_LEVELS).find_map(|level| {
            let shift = level_shift(level);
            let base = self.pages.get(&(device, level, iova >> shift))?;
            Some(base | (iova & ((1 << shift) - 1)))
        })
    }

    /// The current cycle.
    #[must_use]
    pub fn cycle(&self) -> u64 {
        self.harness.cycle()
    }

    /// What went over the memory port.
    #[must_use]
    pub fn log(&self) -> Ref<'_, Log> {
        self.log.borrow()
    }

    /// Steps until nothing of what went before can still be under way.
    ///
    /// # Errors
    /// The hardware failed.
    pub fn settle(&mut self) -> Measured<()> {
        self.advance(16 * (self.latency + 8))
    }

    /// Steps `cycles` cycles.
    ///
    /// # Errors
    /// The hardware failed.
    pub fn advance(&mut self, cycles: u64) -> Measured<()> {
        self.harness.advance(cycles).map_err(hang)
    }

    /// Queues a read by `device`; it is offered in this cycle if none waits.
    pub fn submit(&mut self, device: u32, iova: u64) -> u64 {
        self.harness.submit(Request {
            tag: 0,
            device_id: device,
            process_id: None,
            privileged: false,
            access: Access::Read,
            kind: Kind::Untranslated,
            iova,
        })
    }

    /// Steps until all is answered. The answers in their order, each compared with the tables.
    ///
    /// # Errors
    /// The hardware failed, or an answer is not what the tables say.
    pub fn finish(&mut self) -> Measured<Vec<Finished>> {
        self.harness.finish_requests().map_err(hang)?;
        let mut all = Vec::new();
        while let Some(finished) = self.harness.take_finished() {
            let Request {
                device_id, iova, ..
            } = finished.request;
            let response = finished.response;
            let got = (!response.fault).then_some(response.pa);
            let expected = self.target(device_id, iova);
            if got != expected {
                return Err(format!(
                    "device {device_id} got {got:x?} for {iova:#x}, the tables say {expected:x?}"
                ));
            }
            all.push(finished);
        }
        Ok(all)
    }

    /// One request at an idle port: cycles from its offer to its answer.
    ///
    /// # Errors
    /// See [`Rig::finish`].
    pub fn ask(&mut self, device: u32, iova: u64) -> Measured<u64> {
        let offered = self.cycle();
        self.submit(device, iova);
        let all = self.finish()?;
        let last = all.last().ok_or("a request without an answer")?;
        Ok(last.answered - offered)
    }

    /// Requests back to back, as fast as the port takes them. The cycles of the answers, in their order.
    ///
    /// # Errors
    /// See [`Rig::finish`].
    pub fn stream(&mut self, requests: &[(u32, u64)]) -> Measured<Vec<u64>> {
        for (device, iova) in requests {
            self.submit(*device, *iova);
        }
        let all = self.finish()?;
        Ok(all.iter().map(|finished| finished.answered).collect())
    }

    fn write(&mut self, offset: u16, wide: bool, data: u64) -> Measured<()> {
        let access = RegAccess {
            write: true,
            offset,
            wide,
            data,
        };
        self.harness.register(access).map(|_| ()).map_err(hang)
    }

    /// Reads a 4-byte register until the value is right. Returns the cycle in which the read that shows it was offered.
    fn poll(&mut self, offset: u16, right: impl Fn(u32) -> bool) -> Measured<u64> {
        let access = RegAccess {
            write: false,
            offset,
            wide: false,
            data: 0,
        };
        for _ in 0..POLLS {
            let offered = self.cycle();
            if right(self.harness.register(access).map_err(hang)? as u32) {
                return Ok(offered);
            }
        }
        Err(format!(
            "the register at offset {offset} never gets the value that it must"
        ))
    }

    /// Writes a command into the queue; the hardware is told by [`Rig::ring`].
    pub fn push(&mut self, command: Command) {
        let at = CQ + command::BYTES * u64::from(self.tail);
        self.store(at, command.dw0);
        self.store(at + 8, command.dw1);
        self.tail = (self.tail + 1) % self.queue_entries();
    }

    /// Writes cqt. Returns the cycle in which that write is offered.
    ///
    /// # Errors
    /// The hardware failed.
    pub fn ring(&mut self) -> Measured<u64> {
        let offered = self.cycle();
        self.write(offset::CQT, false, self.tail.into())?;
        Ok(offered)
    }

    /// Waits until cqh has passed every command. Returns the cycle in which the read that shows it was offered.
    ///
    /// # Errors
    /// The hardware failed.
    pub fn drained(&mut self) -> Measured<u64> {
        let tail = self.tail;
        self.poll(offset::CQH, move |head| head == tail)
    }

    /// Waits until there is room for another command.
    ///
    /// # Errors
    /// The hardware failed.
    pub fn room(&mut self) -> Measured<()> {
        let full = (self.tail + 1) % self.queue_entries();
        self.poll(offset::CQH, move |head| head != full).map(|_| ())
    }

    /// Executes commands and a fence, then waits until nothing is under way.
    ///
    /// # Errors
    /// The hardware failed.
    pub fn run(&mut self, commands: &[Command]) -> Measured<()> {
        for command in commands {
            self.push(*command);
        }
        self.push(Command::iofence(true, true));
        self.ring()?;
        self.drained()?;
        self.settle()
    }
}

fn hang(failure: Failure) -> String {
    failure.to_string()
}
