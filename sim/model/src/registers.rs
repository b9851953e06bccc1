//! The register page: access rules and effects (groups 1 to 6, 25 to 27).

use portcullis_regmap::config::TINY;
use portcullis_regmap::regs::offset;

use crate::interrupts::{CIP, FIP, PMIP};
use crate::model::{Model, Queue};

/// xqcsr: enable, interrupt enable, on (CQCSR-01, FQCSR-01).
pub(crate) const EN: u32 = 1;
pub(crate) const IE: u32 = 1 << 1;
pub(crate) const ON: u32 = 1 << 16;
/// cqmf and fqmf.
pub(crate) const MF: u32 = 1 << 8;
/// fqof.
pub(crate) const FQOF: u32 = 1 << 9;
/// cmd_ill.
pub(crate) const CMD_ILL: u32 = 1 << 10;
/// fence_w_ip.
pub(crate) const FENCE_W_IP: u32 = 1 << 11;
/// Error bits of cqcsr that raise cip; cmd_to needs ATS and is hardwired 0 (REG-10).
pub(crate) const CQ_EVENTS: u32 = MF | CMD_ILL | FENCE_W_IP;
/// Error bits of fqcsr.
pub(crate) const FQ_EVENTS: u32 = MF | FQOF;

const PPN: u64 = ((1 << 44) - 1) << 10;
/// tr_req_ctl: everything but the reserved bits (DBG-02).
const TR_CTL: u64 = 0xffff_ff01_ffff_f00f;

/// What lies at an offset that is aligned to its width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Reserved, custom or absent: reads 0, ignores writes (REG-06, REG-07, REG-08).
    Nothing,
    Word(Word),
    Double(Double),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Fctl,
    Cqh,
    Cqt,
    Fqh,
    Fqt,
    Cqcsr,
    Fqcsr,
    Ipsr,
    Overflow,
    Inhibit,
    Lines,
    MsiData(usize),
    MsiMask(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Double {
    Capabilities,
    Ddtp,
    Cqb,
    Fqb,
    Count(usize),
    Event(usize),
    TrIova,
    TrCtl,
    TrResponse,
    Icvec,
    MsiAddr(usize),
}

fn place(offset: u16) -> Place {
    use Place::{Double as D, Word as W};
    let index = |base: u16, stride: u16| usize::from((offset - base) / stride);
    match offset {
        offset::CAPABILITIES..8 => D(Double::Capabilities),
        offset::FCTL => W(Word::Fctl),
        offset::DDTP..24 => D(Double::Ddtp),
        offset::CQB..32 => D(Double::Cqb),
        offset::CQH => W(Word::Cqh),
        offset::CQT => W(Word::Cqt),
        offset::FQB..48 => D(Double::Fqb),
        offset::FQH => W(Word::Fqh),
        offset::FQT => W(Word::Fqt),
        offset::CQCSR => W(Word::Cqcsr),
        offset::FQCSR => W(Word::Fqcsr),
        offset::IPSR => W(Word::Ipsr),
        offset::IOCOUNTOVF => W(Word::Overflow),
        offset::IOCOUNTINH => W(Word::Inhibit),
        offset::IOHPMCYCLES..offset::IOHPMEVT1 => D(Double::Count(index(offset::IOHPMCYCLES, 8))),
        offset::IOHPMEVT1..offset::TR_REQ_IOVA => D(Double::Event(index(offset::IOHPMEVT1, 8) + 1)),
        offset::LINECTL => W(Word::Lines),
        offset::TR_REQ_IOVA..608 => D(Double::TrIova),
        offset::TR_REQ_CTL..616 => D(Double::TrCtl),
        offset::TR_RESPONSE..624 => D(Double::TrResponse),
        offset::ICVEC..768 => D(Double::Icvec),
        offset::MSI_CFG_TBL..1024 => {
            let entry = index(offset::MSI_CFG_TBL, offset::MSI_ENTRY_BYTES);
            match offset & 15 {
                0..8 => D(Double::MsiAddr(entry)),
                8 => W(Word::MsiData(entry)),
                12 => W(Word::MsiMask(entry)),
                _ => Place::Nothing,
            }
        }
        _ => Place::Nothing,
    }
}

impl Model {
    /// Reads 4 bytes, or 8 if `wide`. Misaligned accesses and those across a register boundary read 0 (REG-04, A-26).
    #[must_use]
    pub fn read(&self, offset: u16, wide: bool) -> u64 {
        match (place(offset), wide) {
            (Place::Double(double), true) if offset.is_multiple_of(8) => self.double(double),
            (Place::Double(double), false) if offset.is_multiple_of(4) => {
                self.double(double) >> (8 * (offset & 4)) & 0xffff_ffff
            }
            (Place::Word(word), false) => u64::from(self.word(word)),
            _ => 0,
        }
    }

    /// Writes 4 bytes, or 8 if `wide`; see [`Model::read`] for accesses that do nothing.
    pub fn write(&mut self, offset: u16, wide: bool, value: u64) {
        match (place(offset), wide) {
            (Place::Double(double), true) if offset.is_multiple_of(8) => {
                self.set_double(double, value)
            }
            (Place::Double(double), false) if offset.is_multiple_of(4) => {
                // A write of one half leaves the other as it reads; Go/Busy reads 0 between accesses.
                let shift = 8 * (offset & 4);
                let kept = self.double(double) & !(0xffff_ffff << shift);
                self.set_double(double, kept | (value & 0xffff_ffff) << shift);
            }
            (Place::Word(word), false) => self.set_word(word, value as u32),
            _ => {}
        }
    }

    fn double(&self, double: Double) -> u64 {
        match double {
            Double::Capabilities => self.config.capabilities,
            Double::Ddtp => self.ddtp.1 << 10 | u64::from(self.ddtp.0),
            Double::Cqb => self.cq.base(),
            Double::Fqb => self.fq.base(),
            Double::Count(index) => self.counters.count(index),
            Double::Event(index) => self.counters.event(index),
            Double::TrIova => self.tr_iova,
            Double::TrCtl => self.tr_ctl,
            Double::TrResponse => self.tr_response,
            Double::Icvec => u64::from(self.interrupts.icvec),
            Double::MsiAddr(entry) => self
                .interrupts
                .table
                .get(entry)
                .map_or(0, |entry| entry.addr),
        }
    }

    fn word(&self, word: Word) -> u32 {
        let entry = |at: usize| self.interrupts.table.get(at);
        match word {
            Word::Fctl => self.fctl,
            Word::Cqh => self.cq.head,
            Word::Cqt => self.cq.tail,
            Word::Fqh => self.fq.head,
            Word::Fqt => self.fq.tail,
            Word::Cqcsr => self.cq.csr,
            Word::Fqcsr => self.fq.csr,
            Word::Ipsr => self.interrupts.ipsr,
            Word::Overflow => self.counters.overflows(),
            Word::Inhibit => self.counters.inhibit(),
            Word::Lines => self.linectl,
            Word::MsiData(at) => entry(at).map_or(0, |entry| entry.data),
            Word::MsiMask(at) => entry(at).map_or(0, |entry| u32::from(entry.masked)),
        }
    }

    fn set_double(&mut self, double: Double, value: u64) {
        match double {
            Double::Capabilities | Double::TrResponse => {}
            Double::Ddtp => self.set_ddtp(value),
            // CQB-03: dropped while the queue is on. CQB-04: the index that software owns starts again.
            Double::Cqb if self.cq.csr & ON == 0 => {
                self.cq.set_base(value & self.ppn_mask());
                self.cq.tail = 0;
            }
            Double::Fqb if self.fq.csr & ON == 0 => {
                self.fq.set_base(value & self.ppn_mask());
                self.fq.head = 0;
            }
            Double::Cqb | Double::Fqb => {}
            Double::Count(index) => self.counters.set_count(index, value),
            Double::Event(index) => self.counters.set_event(index, value),
            Double::TrIova => {
                if self.features.has(31) {
                    self.tr_iova = value & !0xfff;
                }
            }
            Double::TrCtl => {
                if self.features.has(31) {
                    self.tr_ctl = value & TR_CTL;
                }
            }
            // INT-10, INT-11: pmiv needs HPM, piv ATS; all fields have the same number of bits.
            Double::Icvec => {
                let bits = (1u32 << self.config.icvec_bits) - 1;
                let fields = if self.features.has(30) { 0x111 } else { 0x011 };
                self.interrupts.icvec = value as u32 & (bits * fields);
            }
            Double::MsiAddr(at) => {
                if let Some(entry) = self.interrupts.table.get_mut(at) {
                    entry.addr = value & 0x00ff_ffff_ffff_fffc;
                }
            }
        }
    }

    fn set_word(&mut self, word: Word, value: u32) {
        match word {
            Word::Cqh | Word::Fqt | Word::Overflow => {}
            // FCTL-05: unspecified while anything is on; dropped.
            Word::Fctl => {
                let quiet = self.ddtp.0 == 0 && (self.cq.csr | self.fq.csr) & (ON | EN) == 0;
                if quiet {
                    let writable = self.config.fctl_writable;
                    self.fctl = self.fctl & !writable | value & writable;
                }
            }
            // CQT-01, FQH-01.
            Word::Cqt => self.cq.tail = value & self.cq.mask(),
            Word::Fqh => self.fq.head = value & self.fq.mask(),
            Word::Cqcsr => self.set_cqcsr(value),
            Word::Fqcsr => self.set_fqcsr(value),
            Word::Ipsr => {
                self.interrupts.ipsr &= !(value & (CIP | FIP | PMIP));
                self.level();
            }
            Word::Inhibit => self.counters.set_inhibit(value),
            // The model has no caches: only the bit is there. Variants of `linux` have it, with lines or without.
            Word::Lines => self.linectl = value & u32::from(self.config != TINY),
            Word::MsiData(at) => {
                if let Some(entry) = self.interrupts.table.get_mut(at) {
                    entry.data = value;
                }
            }
            Word::MsiMask(at) => self.interrupts.set_mask(at, value & 1 == 1),
        }
    }

    /// Bits of a base register that exist: PPN up to PAS (DDTP-11) and LOG2SZ-1.
    fn ppn_mask(&self) -> u64 {
        let pages = ((1u64 << (self.config.capabilities >> 32 & 0x3f)) - 1) >> 12;
        (pages << 10) & PPN | 0x1f
    }

    /// DDTP-03..06: a write that is not taken is dropped whole.
    fn set_ddtp(&mut self, value: u64) {
        let mode = (value & 0xf) as u8;
        let supported = match mode {
            0 | 1 => true,
            2..=4 => {
                let levels = mode - 1;
                levels == self.config.ddt_levels
                    || levels < self.config.ddt_levels && self.config.ddt_all_levels
            }
            _ => false,
        };
        if supported && !(mode >= 2 && self.ddtp.0 >= 2) {
            self.ddtp = (mode, (value & self.ppn_mask()) >> 10);
        }
    }

    /// CQCSR-01..05.
    fn set_cqcsr(&mut self, value: u32) {
        let (was_on, enable) = (self.cq.csr & ON != 0, value & EN != 0);
        let mut events = self.cq.csr & CQ_EVENTS & !value;
        if enable && !was_on {
            self.cq.head = 0;
            events = 0;
        }
        self.cq.csr = value & (EN | IE) | events | if enable { ON } else { 0 };
        self.level();
    }

    /// FQCSR-01..03.
    fn set_fqcsr(&mut self, value: u32) {
        let (was_on, enable) = (self.fq.csr & ON != 0, value & EN != 0);
        let mut events = self.fq.csr & FQ_EVENTS & !value;
        if enable && !was_on {
            self.fq.tail = 0;
            events = 0;
        }
        self.fq.csr = value & (EN | IE) | events | if enable { ON } else { 0 };
        self.level();
    }

    /// Sets the pending bits whose condition holds (INT-02, INT-03, INT-06, INT-07).
    pub(crate) fn level(&mut self) {
        let pending = |csr: u32, events: u32, bit: u32| {
            if csr & IE != 0 && csr & events != 0 {
                bit
            } else {
                0
            }
        };
        let bits = pending(self.cq.csr, CQ_EVENTS, CIP) | pending(self.fq.csr, FQ_EVENTS, FIP);
        self.raise(bits);
    }

    /// Sets pending bits.
    pub(crate) fn raise(&mut self, bits: u32) {
        let wires = self.wired();
        self.interrupts.raise(bits, wires);
    }
}

impl Queue {
    fn base(&self) -> u64 {
        self.ppn << 10 | u64::from(self.log2sz_minus_1)
    }

    /// CQB-01, CQB-05: a size beyond the largest clamps.
    fn set_base(&mut self, value: u64) {
        self.ppn = value >> 10;
        self.log2sz_minus_1 = self.largest.min((value & 0x1f) as u8);
    }

    /// Number of entries minus 1.
    pub(crate) fn mask(&self) -> u32 {
        (2 << self.log2sz_minus_1) - 1
    }
}
