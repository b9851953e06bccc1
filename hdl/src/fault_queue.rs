//! The fault queue: a small FIFO of records, and the writer that puts them into memory.
//!
//! Timing: a record is written as one burst of four doublewords, the first in the cycle after it was handed over at the
//! earliest; `fqt` moves when the memory has answered it (FQ-01), and the next record follows two cycles later. Whether
//! there is a place is compared a cycle before, so a write of `fqh` counts from the cycle after.
//! Records are taken while the queue is enabled and has no error bit, and dropped otherwise (FQ-04, A-11): `ready` then
//! is always true, so a fault never waits for software. A full FIFO makes the walker wait, and only for the memory.
//! Invariants: each record taken is written, or sets fqof (FQ-02) or fqmf (FQ-03); none is lost silently.

use crate::fifo::Fifo;
use crate::types::*;
use crate::widen::unsigned_cast_to;
use rust_hdl::prelude::*;

/// States of the writer.
#[derive(LogicState, Debug, Copy, Clone, PartialEq)]
pub enum FaultState {
    /// Looks for a record, and offers its first doubleword.
    Idle,
    /// Writes the rest.
    Write,
    /// Waits for the answer.
    Answer,
}

/// `X` queue index bits, `2^F` records in the FIFO (`F1` = `F` + 1).
#[derive(LogicBlock)]
pub struct FaultQueue<const X: usize, const F: usize, const F1: usize> {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Empties the FIFO.
    pub reset: Signal<In, Bit>,
    /// fqcsr.fqen.
    pub enabled: Signal<In, Bit>,
    /// fqcsr.fqof or fqcsr.fqmf.
    pub failed: Signal<In, Bit>,
    /// fqb.PPN.
    pub base: Signal<In, Bits<28>>,
    /// fqh.
    pub head: Signal<In, Bits<X>>,
    /// fqt.
    pub tail: Signal<In, Bits<X>>,
    /// Index mask of the queue's size.
    pub mask: Signal<In, Bits<X>>,
    /// Records wait or are being written: the queue is not off yet (FQCSR-03).
    pub active: Signal<Out, Bit>,
    /// A record is in memory: fqt moves on.
    pub advance: Signal<Out, Bit>,
    /// Set fqcsr.fqof.
    pub overflow: Signal<Out, Bit>,
    /// Set fqcsr.fqmf.
    pub memory_fault: Signal<Out, Bit>,

    /// A record is handed over (only while `ready`).
    pub record_valid: Signal<In, Bit>,
    /// It can be.
    pub ready: Signal<Out, Bit>,
    /// The record.
    pub record: Signal<In, Record>,

    /// Write wanted.
    pub w_valid: Signal<Out, Bit>,
    /// It is taken.
    pub w_ready: Signal<In, Bit>,
    /// Page number.
    pub w_frame: Signal<Out, Bits<28>>,
    /// Offset in the page.
    pub w_off: Signal<Out, Bits<12>>,
    /// The doubleword.
    pub w_data: Signal<Out, Bits<64>>,
    /// The last of four.
    pub w_last: Signal<Out, Bit>,
    /// The write's answer.
    pub b_valid: Signal<In, Bit>,
    /// It failed.
    pub b_error: Signal<In, Bit>,

    records: Fifo<Record, F, F1>,
    state: DFF<FaultState>,
    beat: DFF<Bits<2>>,
    // Compared in the cycle before: the queue is full, unless the tail has moved since.
    no_place: DFF<Bit>,
    moved: DFF<Bit>,
    accepts: Signal<Local, Bit>,
    next_tail: Signal<Local, Bits<X>>,
    next_index: Signal<Local, Bits<X>>,
    tail_wide: Signal<Local, Bits<28>>,
    row: Signal<Local, Bits<7>>,
    waiting: Signal<Local, Bit>,
    item: Signal<Local, Record>,
    head_word: Signal<Local, RecordHead>,
    no_head: Constant<RecordHead>,
    full: Constant<Bits<F1>>,
}

impl<const X: usize, const F: usize, const F1: usize> Default for FaultQueue<X, F, F1> {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            enabled: Default::default(),
            failed: Default::default(),
            base: Default::default(),
            head: Default::default(),
            tail: Default::default(),
            mask: Default::default(),
            active: Default::default(),
            advance: Default::default(),
            overflow: Default::default(),
            memory_fault: Default::default(),
            record_valid: Default::default(),
            ready: Default::default(),
            record: Default::default(),
            w_valid: Default::default(),
            w_ready: Default::default(),
            w_frame: Default::default(),
            w_off: Default::default(),
            w_data: Default::default(),
            w_last: Default::default(),
            b_valid: Default::default(),
            b_error: Default::default(),
            records: Default::default(),
            state: Default::default(),
            beat: Default::default(),
            no_place: Default::default(),
            moved: Default::default(),
            accepts: Default::default(),
            next_tail: Default::default(),
            next_index: Default::default(),
            tail_wide: Default::default(),
            row: Default::default(),
            waiting: Default::default(),
            item: Default::default(),
            head_word: Default::default(),
            no_head: Constant::new(RecordHead::default()),
            full: Constant::new((1u64 << F).into()),
        }
    }
}

impl<const X: usize, const F: usize, const F1: usize> Logic for FaultQueue<X, F, F1> {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, state, beat, no_place, moved);
        clock!(self, clock, records);
        self.records.reset.next = self.reset.val();

        self.accepts.next = self.enabled.val() & !self.failed.val();
        self.ready.next = (self.records.level.val() != self.full.val()) | !self.accepts.val();
        self.records.push.next = self.record_valid.val() & self.accepts.val();
        self.records.data_in.next = self.record.val();
        self.records.pop.next = false;
        self.waiting.next = self.records.level.val() != 0;
        self.active.next = self.waiting.val() | (self.state.q.val() != FaultState::Idle);

        self.next_tail.next = self.tail.val() + 1;
        self.next_index.next = self.next_tail.val() & self.mask.val();
        self.no_place.d.next = self.next_index.val() == self.head.val();
        self.advance.next = false;
        self.overflow.next = false;
        self.memory_fault.next = false;

        // Where: 128 records to a page.
        self.tail_wide.next = unsigned_cast_to::<28, X>(self.tail.val());
        self.row.next = self.tail_wide.val().get_bits::<7>(0);
        self.w_frame.next = self.base.val() | (self.tail_wide.val() >> 7);
        self.w_off.next = (unsigned_cast_to::<12, 7>(self.row.val()) << 5)
            | (unsigned_cast_to::<12, 2>(self.beat.q.val()) << 3);

        // What: the record is laid out only while it is written.
        self.item.next = self.records.data_out.val();
        self.w_valid.next = false;
        self.w_last.next = self.beat.q.val() == 3;
        self.head_word.next = self.no_head.val();
        self.head_word.next.cause = self.item.val().cause;
        self.head_word.next.pid = self.item.val().pid;
        self.head_word.next.pv = self.item.val().pv;
        self.head_word.next.sup = self.item.val().sup;
        self.head_word.next.ttyp = self.item.val().ttyp;
        self.head_word.next.did = self.item.val().did;
        self.w_data.next = 0.into();
        if self.beat.q.val() == 0 {
            self.w_data.next = self.head_word.val().into();
        }
        if self.beat.q.val() == 2 {
            self.w_data.next = self.item.val().iova;
        }

        match self.state.q.val() {
            FaultState::Idle => {
                if self.waiting.val() & !self.moved.q.val() {
                    if self.failed.val() {
                        self.records.pop.next = true;
                    } else if self.no_place.q.val() {
                        self.overflow.next = true;
                        self.records.pop.next = true;
                    } else {
                        self.w_valid.next = true;
                        self.state.d.next = FaultState::Write;
                        if self.w_ready.val() {
                            self.beat.d.next = 1.into();
                        }
                    }
                }
            }
            FaultState::Write => {
                self.w_valid.next = true;
                if self.w_ready.val() {
                    self.beat.d.next = self.beat.q.val() + 1;
                    if self.beat.q.val() == 3 {
                        self.state.d.next = FaultState::Answer;
                    }
                }
            }
            FaultState::Answer => {
                if self.b_valid.val() {
                    self.records.pop.next = true;
                    self.memory_fault.next = self.b_error.val();
                    self.advance.next = !self.b_error.val();
                    self.state.d.next = FaultState::Idle;
                }
            }
            _ => {
                self.state.d.next = FaultState::Idle;
            }
        }

        self.moved.d.next = self.advance.val();

        if self.reset.val() {
            self.moved.d.next = false;
            self.state.d.next = FaultState::Idle;
            self.beat.d.next = 0.into();
        }
    }
}
