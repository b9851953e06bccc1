//! A first-word-fall-through queue of `2^A` words in registers.
//!
//! Ports: `push` stores `data_in`; `data_out` is the oldest word while `level` is not 0; `pop` drops it.
//! Timing: a word pushed in cycle t is at `data_out` in t + 1. Push and pop may meet in one cycle.
//! The user neither pushes a full queue nor pops an empty one; `level` counts exactly.

use crate::cells::FifoMem;
use rust_hdl::prelude::*;

/// `A1` = `A` + 1.
#[derive(LogicBlock, Default)]
pub struct Fifo<T: Synth, const A: usize, const A1: usize> {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Empties the queue.
    pub reset: Signal<In, Bit>,
    /// Store `data_in`.
    pub push: Signal<In, Bit>,
    /// Word to store.
    pub data_in: Signal<In, T>,
    /// Drop the oldest word.
    pub pop: Signal<In, Bit>,
    /// The oldest word.
    pub data_out: Signal<Out, T>,
    /// Number of words held.
    pub level: Signal<Out, Bits<A1>>,
    mem: FifoMem<T, A>,
    wptr: DFF<Bits<A>>,
    rptr: DFF<Bits<A>>,
    count: DFF<Bits<A1>>,
}

impl<T: Synth, const A: usize, const A1: usize> Logic for Fifo<T, A, A1> {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, wptr, rptr, count);
        clock!(self, clock, mem);
        self.mem.ra.next = self.rptr.q.val();
        self.mem.wa.next = self.wptr.q.val();
        self.mem.wd.next = self.data_in.val();
        self.mem.we.next = self.push.val();
        self.data_out.next = self.mem.rd.val();
        self.level.next = self.count.q.val();
        if self.push.val() {
            self.wptr.d.next = self.wptr.q.val() + 1;
        }
        if self.pop.val() {
            self.rptr.d.next = self.rptr.q.val() + 1;
        }
        if self.push.val() & !self.pop.val() {
            self.count.d.next = self.count.q.val() + 1;
        }
        if self.pop.val() & !self.push.val() {
            self.count.d.next = self.count.q.val() - 1;
        }
        if self.reset.val() {
            self.wptr.d.next = 0.into();
            self.rptr.d.next = 0.into();
            self.count.d.next = 0.into();
        }
    }
}
