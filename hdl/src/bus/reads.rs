//! Reads of the devices: translated, issued as soon as they may, and answered in order for each id.
//!
//! ```text
//! s_ar ─► queue ─► check ─► translation port        slots: who is where
//!                    │            │ answer               │
//!                    └─ refused ──┴─► SLVERR beats ─┐    └─► pick ─► m_ar
//!                                        m_r ───────┴─► queue ─► s_r
//! ```
//!
//! An address reaches `m_ar` only from the page that the translation port has answered for the same slot.
//! An error burst has the length of its request and is not mixed with a burst from memory.
//! Timing: five cycles from `s_ar` to `m_ar` on a hit (queue, lookup of two cycles, slot, register); one read every cycle.

use crate::bus::burst_check::BurstCheck;
use crate::bus::pick::Pick;
use crate::bus::shapes::{Address, Ask, Burst, ReadBeat, Refusal};
use crate::bus::slots::Slots;
use crate::cells::FifoMem;
use crate::fifo::Fifo;
use rust_hdl::prelude::*;

/// See the module. `N` = `2^A` reads on their way.
#[derive(LogicBlock)]
pub struct Reads<const N: usize, const A: usize> {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Forgets all.
    pub reset: Signal<In, Bit>,
    /// A device's read.
    pub s_arvalid: Signal<In, Bit>,
    /// It is taken.
    pub s_arready: Signal<Out, Bit>,
    /// The read.
    pub s_ar: Signal<In, Ask>,
    /// Data for the device.
    pub s_rvalid: Signal<Out, Bit>,
    /// It is taken.
    pub s_rready: Signal<In, Bit>,
    /// The data.
    pub s_r: Signal<Out, ReadBeat>,
    /// A translated read.
    pub m_arvalid: Signal<Out, Bit>,
    /// It is taken.
    pub m_arready: Signal<In, Bit>,
    /// Its address.
    pub m_araddr: Signal<Out, Address>,
    /// The rest of it.
    pub m_ar: Signal<Out, Burst>,
    /// Data from memory.
    pub m_rvalid: Signal<In, Bit>,
    /// It is taken.
    pub m_rready: Signal<Out, Bit>,
    /// The data.
    pub m_r: Signal<In, ReadBeat>,
    /// A translation is asked for.
    pub req_valid: Signal<Out, Bit>,
    /// It is taken.
    pub req_ready: Signal<In, Bit>,
    /// What for.
    pub req: Signal<Out, Ask>,
    /// Returned with the answer.
    pub req_slot: Signal<Out, Bits<A>>,
    /// An answer of the translation port.
    pub rsp_valid: Signal<In, Bit>,
    /// To this slot.
    pub rsp_slot: Signal<In, Bits<A>>,
    /// Refused.
    pub rsp_fault: Signal<In, Bit>,
    /// SPA[63:12].
    pub rsp_page: Signal<In, Bits<52>>,
    /// Take down what is granted.
    pub sync: Signal<In, Bit>,
    /// Some of it is still on its way.
    pub waiting: Signal<Out, Bit>,

    asks: Fifo<Ask, 1, 2>,
    check: BurstCheck,
    slots: Slots<N, A>,
    bursts: FifoMem<Burst, A>,
    pages: FifoMem<Bits<52>, A>,
    refusals: FifoMem<Refusal, A>,
    issue: Pick<N, A>,
    refuse: Pick<N, A>,
    beats: Fifo<ReadBeat, 1, 2>,

    placed: DFF<Bit>,
    place: DFF<Bits<A>>,
    out_valid: DFF<Bit>,
    out_page: DFF<Bits<52>>,
    out: DFF<Burst>,
    in_burst: DFF<Bit>,
    erring: DFF<Bit>,
    err: DFF<Refusal>,
    err_one: DFF<Bits<N>>,

    ask: Signal<Local, Ask>,
    have: Signal<Local, Bit>,
    room: Signal<Local, Bit>,
    burst: Signal<Local, Burst>,
    refusal: Signal<Local, Refusal>,
    err_start: Signal<Local, Bit>,
    from_memory: Signal<Local, Bit>,
    memory_last: Signal<Local, Bit>,
    err_push: Signal<Local, Bit>,
    err_last: Signal<Local, Bit>,
    beat: Signal<Local, ReadBeat>,
    address: Signal<Local, Address>,
    left: Signal<Local, Bits<8>>,
    slverr: Constant<Bits<2>>,
}

impl<const N: usize, const A: usize> Default for Reads<N, A> {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            s_arvalid: Default::default(),
            s_arready: Default::default(),
            s_ar: Default::default(),
            s_rvalid: Default::default(),
            s_rready: Default::default(),
            s_r: Default::default(),
            m_arvalid: Default::default(),
            m_arready: Default::default(),
            m_araddr: Default::default(),
            m_ar: Default::default(),
            m_rvalid: Default::default(),
            m_rready: Default::default(),
            m_r: Default::default(),
            req_valid: Default::default(),
            req_ready: Default::default(),
            req: Default::default(),
            req_slot: Default::default(),
            rsp_valid: Default::default(),
            rsp_slot: Default::default(),
            rsp_fault: Default::default(),
            rsp_page: Default::default(),
            sync: Default::default(),
            waiting: Default::default(),
            asks: Default::default(),
            check: Default::default(),
            slots: Default::default(),
            bursts: Default::default(),
            pages: Default::default(),
            refusals: Default::default(),
            issue: Default::default(),
            refuse: Default::default(),
            beats: Default::default(),
            placed: Default::default(),
            place: Default::default(),
            out_valid: Default::default(),
            out_page: Default::default(),
            out: Default::default(),
            in_burst: Default::default(),
            erring: Default::default(),
            err: Default::default(),
            err_one: Default::default(),
            ask: Default::default(),
            have: Default::default(),
            room: Default::default(),
            burst: Default::default(),
            refusal: Default::default(),
            err_start: Default::default(),
            from_memory: Default::default(),
            memory_last: Default::default(),
            err_push: Default::default(),
            err_last: Default::default(),
            beat: Default::default(),
            address: Default::default(),
            left: Default::default(),
            slverr: Constant::new(2u64.into()),
        }
    }
}

impl<const N: usize, const A: usize> Logic for Reads<N, A> {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self, clock, placed, place, out_valid, out_page, out, in_burst, erring, err, err_one
        );
        clock!(
            self, clock, asks, slots, bursts, pages, refusals, issue, refuse, beats
        );
        self.asks.reset.next = self.reset.val();
        self.slots.reset.next = self.reset.val();
        self.issue.reset.next = self.reset.val();
        self.refuse.reset.next = self.reset.val();
        self.beats.reset.next = self.reset.val();

        // Requests: a slot is given when one is first offered to the translation port, and kept until it is taken.
        self.s_arready.next = !self.asks.level.val().get_bit(1);
        self.asks.push.next = self.s_arvalid.val() & self.s_arready.val();
        self.asks.data_in.next = self.s_ar.val();
        self.ask.next = self.asks.data_out.val();
        self.have.next = self.asks.level.val().any();
        self.check.ask.next = self.ask.val();
        self.room.next = self.placed.q.val() | !self.slots.full.val();
        self.req.next = self.ask.val();
        self.req_slot.next = self.slots.slot.val();
        if self.placed.q.val() {
            self.req_slot.next = self.place.q.val();
        }
        self.req_valid.next = self.have.val() & self.room.val() & !self.check.bad.val();
        self.asks.pop.next =
            self.have.val() & self.room.val() & (self.check.bad.val() | self.req_ready.val());
        self.placed.d.next = self.req_valid.val() & !self.req_ready.val();
        self.place.d.next = self.req_slot.val();
        self.slots.alloc.next = self.have.val() & self.room.val() & !self.placed.q.val();
        self.slots.alloc_id.next = self.ask.val().id;
        self.slots.alloc_bad.next = self.check.bad.val();

        self.burst.next.id = self.ask.val().id;
        self.burst.next.off = self.ask.val().off;
        self.burst.next.len = self.ask.val().len;
        self.burst.next.size = self.ask.val().size;
        self.burst.next.burst = self.ask.val().burst;
        self.burst.next.lock = self.ask.val().lock;
        self.burst.next.cache = self.ask.val().cache;
        self.burst.next.prot = self.ask.val().prot;
        self.burst.next.qos = self.ask.val().qos;
        self.bursts.we.next = self.slots.alloc.val();
        self.bursts.wa.next = self.slots.slot.val();
        self.bursts.wd.next = self.burst.val();
        self.refusal.next.id = self.ask.val().id;
        self.refusal.next.len = self.ask.val().len;
        self.refusals.we.next = self.slots.alloc.val();
        self.refusals.wa.next = self.slots.slot.val();
        self.refusals.wd.next = self.refusal.val();

        // Translations.
        self.slots.rsp_valid.next = self.rsp_valid.val();
        self.slots.rsp_slot.next = self.rsp_slot.val();
        self.slots.rsp_fault.next = self.rsp_fault.val();
        self.pages.we.next = self.rsp_valid.val();
        self.pages.wa.next = self.rsp_slot.val();
        self.pages.wd.next = self.rsp_page.val();

        // Granted reads.
        self.issue.ask.next = self.slots.can_issue.val();
        self.issue.take.next =
            self.issue.any.val() & (!self.out_valid.q.val() | self.m_arready.val());
        self.bursts.ra.next = self.issue.index.val();
        self.pages.ra.next = self.issue.index.val();
        self.slots.issue.next = 0.into();
        if self.m_arready.val() {
            self.out_valid.d.next = false;
        }
        if self.issue.take.val() {
            self.slots.issue.next = self.issue.one.val();
            self.out_valid.d.next = true;
            self.out_page.d.next = self.pages.rd.val();
            self.out.d.next = self.bursts.rd.val();
        }
        self.m_arvalid.next = self.out_valid.q.val();
        self.m_ar.next = self.out.q.val();
        self.address.next.page = self.out_page.q.val();
        self.address.next.off = self.out.q.val().off;
        self.m_araddr.next = self.address.val();

        // Answers: an error burst begins between two bursts from memory, and holds those up until it has ended.
        self.refuse.ask.next = self.slots.can_refuse.val();
        self.refusals.ra.next = self.refuse.index.val();
        self.err_start.next = self.refuse.any.val() & !self.erring.q.val() & !self.in_burst.q.val();
        self.refuse.take.next = self.err_start.val();
        self.m_rready.next =
            !self.beats.level.val().get_bit(1) & !self.erring.q.val() & !self.err_start.val();
        self.from_memory.next = self.m_rvalid.val() & self.m_rready.val();
        self.memory_last.next = self.from_memory.val() & self.m_r.val().last;
        self.err_push.next = self.erring.q.val() & !self.beats.level.val().get_bit(1);
        self.err_last.next = self.err_push.val() & !self.err.q.val().len.any();
        self.left.next = self.err.q.val().len - 1;
        if self.from_memory.val() {
            self.in_burst.d.next = !self.m_r.val().last;
        }
        if self.err_start.val() {
            self.erring.d.next = true;
            self.err.d.next = self.refusals.rd.val();
            self.err_one.d.next = self.refuse.one.val();
        }
        self.slots.refuse.next = 0.into();
        if self.err_push.val() {
            self.err.d.next.len = self.left.val();
            if self.err_last.val() {
                self.erring.d.next = false;
                self.slots.refuse.next = self.err_one.q.val();
            }
        }
        self.slots.done.next = self.memory_last.val();
        self.slots.done_id.next = self.m_r.val().id;
        self.beat.next = self.m_r.val();
        if self.erring.q.val() {
            self.beat.next.id = self.err.q.val().id;
            self.beat.next.data = 0.into();
            self.beat.next.resp = self.slverr.val();
            self.beat.next.last = self.err_last.val();
        }
        self.beats.push.next = self.from_memory.val() | self.err_push.val();
        self.beats.data_in.next = self.beat.val();
        self.beats.pop.next = self.s_rready.val() & self.beats.level.val().any();
        self.s_rvalid.next = self.beats.level.val().any();
        self.s_r.next = self.beats.data_out.val();

        self.slots.sync.next = self.sync.val();
        self.waiting.next = self.slots.waiting.val();

        if self.reset.val() {
            self.placed.d.next = false;
            self.out_valid.d.next = false;
            self.in_burst.d.next = false;
            self.erring.d.next = false;
        }
    }
}
