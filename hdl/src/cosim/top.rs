//! Random life for the whole core: devices that ask, software that writes registers, a memory that answers.
//!
//! The memory has no contents. It answers by purpose with what is plausible there, most of it valid, so that the
//! walker gets far and everything else is reached too. Whether the answers make sense together does not matter here:
//! only that the Verilog does the same as the kernels.

use super::{Case, Files, Recorder, Rng, settle};
use crate::ports::{Ports, Top};
use crate::{Linux, Tiny};
use portcullis_regmap::command::Command;
use portcullis_regmap::config::TINY;
use portcullis_regmap::regs::offset;
use std::collections::VecDeque;

/// Pages that configuration `tiny` can address.
const PAGES: u64 = 1 << TINY.ppn_bits();

/// Cycles that reset lasts.
pub(super) const RESET: u64 = 2;

/// The configurations.
pub(super) fn cases() -> Vec<Case> {
    // Before reset the read register of the IOTLB's data has no value, and without a valid answer nobody looks.
    vec![
        Case::new("portcullis_tiny", |cycles, seed| {
            run(Tiny::new(), "portcullis_tiny", cycles, seed)
        })
        .warm_up(RESET as usize),
        Case::new("portcullis_linux", |cycles, seed| {
            run(Linux::new(), "portcullis_linux", cycles, seed)
        })
        .warm_up(RESET as usize),
    ]
}

/// A page-table entry, valid in most cases.
pub(super) fn entry(rng: &mut Rng) -> u64 {
    let stray = if rng.one_in(32) { rng.bits() } else { 0 };
    // V, R, W, U, A and D; X or G besides.
    let leaf = 0xd7 | rng.pick(&[0x08, 0x28, 0x00, 0x00]);
    let (frame, flags, napot) = match rng.below(16) {
        0..=5 => (rng.below(PAGES), 0x01, 0),
        // Aligned for a leaf of any level.
        6..=9 => (rng.below(PAGES >> 18) << 18, leaf, 0),
        10 | 11 => (rng.below(PAGES >> 9) << 9, leaf, 0),
        12 => (rng.below(PAGES), leaf, 0),
        13 => ((rng.below(PAGES) & !0xf) | 0x8, leaf, 1),
        14 => (rng.below(PAGES), 0x51 | (rng.bits() & 0x8e), 0),
        _ => (rng.below(PAGES), rng.bits() & 0xff, rng.below(2)),
    };
    stray | (napot << 63) | (frame << 10) | flags
}

/// A doubleword of a device context, valid in most cases.
pub(super) fn context_word(rng: &mut Rng, index: u64) -> u64 {
    let stray = if rng.one_in(32) { rng.bits() } else { 0 };
    stray
        | match index {
            0 => 1 | (rng.below(2) << 4),
            2 => rng.below(4) << 12,
            3 if rng.one_in(4) => 0,
            // Sv39 always, Sv48 and Sv57 where they exist.
            3 => (rng.pick(&[8, 8, 8, 9, 10]) << 60) | rng.below(PAGES),
            _ => 0,
        }
}

/// An entry of an upper directory level, valid in most cases.
pub(super) fn directory_word(rng: &mut Rng) -> u64 {
    let stray = if rng.one_in(16) { rng.bits() } else { 0 };
    stray | (rng.below(PAGES) << 10) | u64::from(!rng.one_in(16))
}

pub(super) fn command(rng: &mut Rng) -> Command {
    let pscid = rng.below(4) as u32;
    let mut c = match rng.below(64) {
        0..=7 => Command::inval_ddt(None),
        8..=15 => Command::inval_ddt(Some(rng.below(8) as u32)),
        16..=19 => Command::iotinval_vma_all(),
        20..=27 => Command::iotinval_vma_pscid(pscid),
        28..=41 => Command::iotinval_vma_page(pscid, iova(rng)),
        42..=49 => Command::iofence(rng.one_in(2), rng.one_in(2)),
        50..=61 => {
            // Now and then beyond what the core can address.
            let at = rng.bits() >> rng.pick(&[32, 32, 32, 32, 32, 32, 32, 24]);
            Command::iofence_store(rng.one_in(2), false, at, rng.bits() as u32)
        }
        62 => Command::inval_pdt(rng.below(8) as u32, 0),
        _ => Command::iotinval_gvma(None),
    };
    if rng.one_in(256) {
        c.dw0 ^= 1 << rng.below(64);
    }
    if rng.one_in(256) {
        c.dw1 ^= 1 << rng.below(64);
    }
    c
}

/// Either doubleword of a command.
pub(super) fn command_word(rng: &mut Rng) -> u64 {
    let c = command(rng);
    rng.pick(&[c.dw0, c.dw1])
}

/// The offset of a register, or of a place without one.
pub(super) fn register(rng: &mut Rng) -> u64 {
    if rng.one_in(16) {
        return rng.below(1024) << 2;
    }
    if rng.one_in(4) {
        return optional_register(rng);
    }
    u64::from(rng.pick(&[
        offset::CAPABILITIES,
        offset::FCTL,
        offset::DDTP,
        offset::CQB,
        offset::CQB + 4,
        offset::CQH,
        offset::CQT,
        offset::FQB,
        offset::FQB + 4,
        offset::FQH,
        offset::FQT,
        offset::CQCSR,
        offset::FQCSR,
        offset::IPSR,
        offset::ICVEC,
    ]))
}

/// The offset of a register that only some configurations have.
fn optional_register(rng: &mut Rng) -> u64 {
    let table = offset::MSI_CFG_TBL + 4 * rng.below(16) as u16;
    let counter = 8 * rng.below(4) as u16;
    u64::from(rng.pick(&[
        table,
        table,
        table,
        offset::IOCOUNTOVF,
        offset::IOCOUNTINH,
        offset::IOHPMCYCLES,
        offset::IOHPMCTR1 + counter,
        offset::IOHPMEVT1 + counter,
        offset::TR_REQ_IOVA,
        offset::TR_REQ_CTL,
        offset::TR_RESPONSE,
    ]))
}

/// A write that makes the optional parts work: message table, monitor, debug interface.
fn optional_write(rng: &mut Rng) -> Access {
    let entry = offset::MSI_CFG_TBL + 16 * rng.below(4) as u16;
    let counter = 8 * rng.below(4) as u16;
    match rng.below(8) {
        0 => Access::write(entry, true, rng.below(1 << 28) << 2),
        1 => Access::write(entry + 8, true, rng.bits() & 0xffff_ffff),
        2 => Access::write(offset::ICVEC, true, rng.bits() & 0x3333),
        3 => Access::write(offset::FCTL, false, rng.pick(&[0, 2])),
        4 => Access::write(offset::IOHPMEVT1 + counter, true, rng.below(9)),
        5 => Access::write(offset::IOHPMCTR1 + counter, true, u64::MAX - rng.below(16)),
        6 => Access::write(offset::TR_REQ_IOVA, true, iova(rng) & !0xfff),
        _ => {
            let go = 1 | (rng.below(8) << 1) | (rng.below(3) << 40);
            Access::write(offset::TR_REQ_CTL, true, go)
        }
    }
}

pub(super) fn iova(rng: &mut Rng) -> u64 {
    let page = (rng.below(2) << 18) | (rng.below(2) << 9) | rng.pick(&[0, 0, 1, 5]);
    let high = if rng.one_in(32) { rng.bits() << 38 } else { 0 };
    high | (page << 12) | rng.below(4096)
}

/// An access to a register.
#[derive(Clone, Copy)]
pub(super) struct Access {
    pub(super) offset: u64,
    pub(super) wide: bool,
    pub(super) write: bool,
    pub(super) data: u64,
}

impl Access {
    pub(super) fn write(at: u16, wide: bool, data: u64) -> Self {
        Access {
            offset: u64::from(at),
            wide,
            write: true,
            data,
        }
    }
}

/// Queues and directory, switched on.
pub(super) fn first_steps() -> VecDeque<Access> {
    [
        Access::write(offset::CQB, true, (0x100 << 10) | 3),
        Access::write(offset::FQB, true, (0x200 << 10) | 2),
        Access::write(offset::CQCSR, false, 0x3),
        Access::write(offset::FQCSR, false, 0x3),
        Access::write(offset::DDTP, true, (0x300 << 10) | 2),
    ]
    .into()
}

/// What software does later, most of it sensible.
pub(super) fn any_access(rng: &mut Rng) -> Access {
    match rng.below(64) {
        0 | 44 | 45 => {
            let mode = rng.pick(&[2, 2, 2, 3, 4, 4, 0, 1]);
            Access::write(offset::DDTP, true, (0x300 << 10) | mode)
        }
        1 => Access {
            offset: register(rng),
            wide: rng.one_in(2),
            write: true,
            data: rng.bits(),
        },
        2..=4 => Access::write(offset::CQT, false, rng.below(32)),
        5..=14 => Access::write(offset::FQH, false, rng.below(16)),
        15..=20 => Access::write(offset::CQCSR, false, 0xf03),
        21..=26 => Access::write(offset::FQCSR, false, 0x303),
        27..=38 => Access::write(offset::IPSR, false, 0xf),
        39..=43 => optional_write(rng),
        _ => Access {
            offset: register(rng),
            wide: rng.one_in(2),
            write: false,
            data: 0,
        },
    }
}

struct Burst {
    id: u64,
    purpose: u64,
    beat: u64,
    beats: u64,
    start: u64,
    command: Command,
}

/// Everything around the core.
struct World {
    rng: Rng,
    reset: u64,
    script: VecDeque<Access>,
    access: Option<Access>,
    bursts: VecDeque<Burst>,
    answers: u64,
    tags: u64,
    asking: bool,
    syncing: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        World {
            rng: Rng::new(seed),
            reset: RESET,
            script: VecDeque::new(),
            access: None,
            bursts: VecDeque::new(),
            answers: 0,
            tags: 0,
            asking: false,
            syncing: false,
        }
    }

    /// Power-up or reset: nothing is in flight, software starts over.
    fn restart(&mut self) {
        self.bursts.clear();
        self.access = None;
        (self.answers, self.tags) = (0, 0);
        (self.asking, self.syncing) = (false, false);
        self.script = first_steps();
    }

    fn next_access(&mut self) -> Option<Access> {
        if let Some(a) = self.script.pop_front() {
            return Some(a);
        }
        let rng = &mut self.rng;
        rng.one_in(8).then(|| any_access(rng))
    }

    /// Sets the inputs of the coming cycle.
    fn drive(&mut self, u: &mut Ports<'_>) {
        if self.rng.one_in(3000) {
            self.reset = RESET;
        }
        let reset = self.reset > 0;
        if reset {
            self.restart();
            self.reset -= 1;
        }
        u.reset.next = reset;
        if !self.asking {
            self.ask(u, reset);
        }
        if self.access.is_none() && !reset {
            self.access = self.next_access();
        }
        u.reg_valid.next = self.access.is_some();
        if let Some(a) = self.access {
            u.reg_write.next = a.write;
            u.reg_offset.next = a.offset.into();
            u.reg_wide.next = a.wide;
            u.reg_wdata.next = a.data.into();
        }
        let rng = &mut self.rng;
        u.rsp_ready.next = !rng.one_in(4);
        u.mem_ar_ready.next = !rng.one_in(4);
        u.mem_w_ready.next = !rng.one_in(4);
        u.sync_ack.next = self.syncing && rng.one_in(4);
        u.mem_b_valid.next = self.answers > 0 && rng.one_in(3);
        u.mem_b_error.next = rng.one_in(32);
        self.answers -= u64::from(u.mem_b_valid.next);
        self.beat(u);
    }

    fn ask(&mut self, u: &mut Ports<'_>, reset: bool) {
        let rng = &mut self.rng;
        let tag = rng.below(64);
        self.asking = !reset && !rng.one_in(3) && (self.tags >> tag) & 1 == 0;
        u.req_valid.next = self.asking;
        u.req_tag.next = tag.into();
        u.req_device_id.next = (rng.below(3) | ((rng.below(256) / 255) << 9)).into();
        u.req_process_valid.next = rng.one_in(32);
        u.req_process_id.next = rng.below(4).into();
        u.req_privileged.next = rng.one_in(2);
        u.req_access.next = rng.pick(&[0u64, 0, 1, 1, 2]).into();
        u.req_kind.next = rng.pick(&[0u64, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]).into();
        u.req_iova.next = iova(rng).into();
    }

    /// One doubleword of any burst, or none.
    fn beat(&mut self, u: &mut Ports<'_>) {
        let rng = &mut self.rng;
        u.mem_r_valid.next = false;
        if self.bursts.is_empty() || rng.one_in(2) {
            return;
        }
        let chosen = rng.below(self.bursts.len() as u64) as usize;
        let b = &mut self.bursts[chosen];
        let data = match b.purpose {
            0 if b.beats == 1 => directory_word(rng),
            0 => context_word(rng, (b.start + b.beat) & 3),
            1 | 6 => entry(rng),
            _ if (b.start + b.beat) & 1 == 0 => {
                b.command = command(rng);
                b.command.dw0
            }
            _ => b.command.dw1,
        };
        u.mem_r_valid.next = true;
        u.mem_r_data.next = data.into();
        u.mem_r_id.next = b.id.into();
        u.mem_r_last.next = b.beat + 1 == b.beats;
        u.mem_r_status.next = if rng.one_in(24) { rng.below(3) } else { 0 }.into();
        b.beat += 1;
        if b.beat == b.beats {
            self.bursts.remove(chosen);
        }
    }

    /// Takes down what the coming clock edge hands over.
    fn observe(&mut self, u: &Ports<'_>) {
        if u.reset.val() {
            return;
        }
        if self.asking && u.req_ready.val() {
            self.asking = false;
            self.tags |= 1 << u.req_tag.val().index();
        }
        if u.rsp_valid.val() && u.rsp_ready.val() {
            self.tags &= !(1 << u.rsp_tag.val().index());
        }
        if u.reg_done.val() {
            self.access = None;
        }
        if u.mem_ar_valid.val() && u.mem_ar_ready.val() {
            self.bursts.push_back(Burst {
                id: u.mem_ar_id.val().index() as u64,
                purpose: u.mem_ar_purpose.val().index() as u64,
                beat: 0,
                beats: u.mem_ar_len.val().index() as u64 + 1,
                start: u64::from(u.mem_ar_addr.val()) >> 3,
                command: Command::default(),
            });
        }
        if u.mem_w_valid.val() && u.mem_w_ready.val() && u.mem_w_last.val() {
            self.answers += 1;
        }
        self.syncing = (u.sync_reads.val() || u.sync_writes.val()) && !u.sync_ack.val();
    }
}

fn run<T: Top>(top: T, name: &str, cycles: usize, seed: u64) -> Result<Files, String> {
    let mut uut = Box::new(top);
    uut.connect_all();
    let mut recorder = Recorder::new(uut.as_ref(), name)?;
    let mut world = World::new(seed);
    let mut seen = Seen::default();
    settle(uut.as_mut())?;
    for _ in 0..cycles {
        world.drive(&mut uut.ports());
        settle(uut.as_mut())?;
        recorder.sample(uut.as_ref());
        seen.note(&uut.ports());
        world.observe(&uut.ports());
        uut.ports().clock.next.clk = true;
        settle(uut.as_mut())?;
        uut.ports().clock.next.clk = false;
        settle(uut.as_mut())?;
    }
    seen.check()?;
    Ok(recorder.finish())
}

/// What a run must have reached to be worth comparing.
#[derive(Default)]
struct Seen {
    answers: u64,
    faults: u64,
    hits: u64,
    walks: u64,
    records: u64,
    commands: u64,
    fences: u64,
    interrupts: u64,
}

impl Seen {
    fn note(&mut self, u: &Ports<'_>) {
        let answered = u.rsp_valid.val() && u.rsp_ready.val();
        self.answers += u64::from(answered && !u.rsp_fault.val());
        self.faults += u64::from(answered && u.rsp_fault.val());
        self.hits += u64::from(u.ev_iotlb_hit.val());
        self.walks += u64::from(u.ev_walk.val());
        let write = u.mem_w_valid.val() && u.mem_w_ready.val() && u.mem_w_last.val();
        self.records += u64::from(write && u.mem_w_purpose.val().index() == 3);
        self.fences += u64::from(write && u.mem_w_purpose.val().index() == 4);
        self.commands += u64::from(
            u.mem_ar_valid.val() && u.mem_ar_ready.val() && u.mem_ar_purpose.val().index() == 2,
        );
        self.interrupts +=
            u64::from(u.irq.val().any()) + u64::from(write && u.mem_w_purpose.val().index() == 5);
    }

    fn check(&self) -> Result<(), String> {
        let all = [
            ("answers", self.answers),
            ("faults", self.faults),
            ("IOTLB hits", self.hits),
            ("walks", self.walks),
            ("fault records", self.records),
            ("commands", self.commands),
            ("fence stores", self.fences),
            ("interrupts", self.interrupts),
        ];
        super::reached(&all)
    }
}
