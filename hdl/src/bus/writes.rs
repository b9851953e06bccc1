//! Writes of the devices: translated together, issued in the order in which their data comes.
//!
//! AXI4 write data has no id, so the data of a write can only go on once the write before it has all of its own. The
//! oldest write is issued and its data passed, or, if it is refused, its data swallowed; then comes the next.
//! Error answers wait for the answers of older writes of the same id, and for their own data.
//! The number of data beats is the one that the address channel said: a device that counts wrongly confuses itself,
//! not the memory. An address reaches `m_aw` only from the page that the translation port has answered for the slot.
//! Timing: five cycles from `s_aw` to `m_aw` on a hit; a write of n beats occupies the data channel for n + 1 cycles.

use crate::bus::burst_check::BurstCheck;
use crate::bus::pick::Pick;
use crate::bus::shapes::{Address, Ask, Burst, WriteAnswer, WriteBeat};
use crate::bus::slots::Slots;
use crate::cells::FifoMem;
use crate::fifo::Fifo;
use rust_hdl::prelude::*;

/// What the data channel does.
#[derive(LogicState, Debug, Copy, Clone, PartialEq)]
pub enum WriteState {
    /// Waits for the oldest write's translation.
    Wait,
    /// Passes its data.
    Pass,
    /// Swallows its data.
    Swallow,
}

/// See the module. `N` = `2^A` writes on their way, `A1` = `A` + 1.
#[derive(LogicBlock)]
pub struct Writes<const N: usize, const A: usize, const A1: usize> {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Forgets all.
    pub reset: Signal<In, Bit>,
    /// A device's write.
    pub s_awvalid: Signal<In, Bit>,
    /// It is taken.
    pub s_awready: Signal<Out, Bit>,
    /// The write.
    pub s_aw: Signal<In, Ask>,
    /// A device's data.
    pub s_wvalid: Signal<In, Bit>,
    /// It is taken.
    pub s_wready: Signal<Out, Bit>,
    /// The data.
    pub s_w: Signal<In, WriteBeat>,
    /// Answer for the device.
    pub s_bvalid: Signal<Out, Bit>,
    /// It is taken.
    pub s_bready: Signal<In, Bit>,
    /// The answer.
    pub s_b: Signal<Out, WriteAnswer>,
    /// A translated write.
    pub m_awvalid: Signal<Out, Bit>,
    /// It is taken.
    pub m_awready: Signal<In, Bit>,
    /// Its address.
    pub m_awaddr: Signal<Out, Address>,
    /// The rest of it.
    pub m_aw: Signal<Out, Burst>,
    /// Data for memory.
    pub m_wvalid: Signal<Out, Bit>,
    /// It is taken.
    pub m_wready: Signal<In, Bit>,
    /// The data.
    pub m_w: Signal<Out, WriteBeat>,
    /// Last of the burst.
    pub m_wlast: Signal<Out, Bit>,
    /// Answer from memory.
    pub m_bvalid: Signal<In, Bit>,
    /// It is taken.
    pub m_bready: Signal<Out, Bit>,
    /// The answer.
    pub m_b: Signal<In, WriteAnswer>,
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
    order: Fifo<Bits<A>, A, A1>,
    bursts: FifoMem<Burst, A>,
    pages: FifoMem<Bits<52>, A>,
    names: FifoMem<Bits<4>, A>,
    refuse: Pick<N, A>,
    data: Fifo<WriteBeat, 1, 2>,
    answers: Fifo<WriteAnswer, 1, 2>,

    state: DFF<WriteState>,
    left: DFF<Bits<8>>,
    swallowed: DFF<Bits<N>>,
    placed: DFF<Bit>,
    place: DFF<Bits<A>>,
    out_valid: DFF<Bit>,
    out_page: DFF<Bits<52>>,
    out: DFF<Burst>,

    ask: Signal<Local, Ask>,
    have: Signal<Local, Bit>,
    room: Signal<Local, Bit>,
    burst: Signal<Local, Burst>,
    head: Signal<Local, Bits<N>>,
    head_granted: Signal<Local, Bit>,
    head_refused: Signal<Local, Bit>,
    some: Signal<Local, Bit>,
    moved: Signal<Local, Bit>,
    finished: Signal<Local, Bit>,
    dropped: Signal<Local, Bits<N>>,
    not_refused: Signal<Local, Bits<N>>,
    answer: Signal<Local, WriteAnswer>,
    from_memory: Signal<Local, Bit>,
    address: Signal<Local, Address>,
    one: Constant<Bits<N>>,
    depth: Constant<Bits<A1>>,
    slverr: Constant<Bits<2>>,
}

impl<const N: usize, const A: usize, const A1: usize> Default for Writes<N, A, A1> {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            s_awvalid: Default::default(),
            s_awready: Default::default(),
            s_aw: Default::default(),
            s_wvalid: Default::default(),
            s_wready: Default::default(),
            s_w: Default::default(),
            s_bvalid: Default::default(),
            s_bready: Default::default(),
            s_b: Default::default(),
            m_awvalid: Default::default(),
            m_awready: Default::default(),
            m_awaddr: Default::default(),
            m_aw: Default::default(),
            m_wvalid: Default::default(),
            m_wready: Default::default(),
            m_w: Default::default(),
            m_wlast: Default::default(),
            m_bvalid: Default::default(),
            m_bready: Default::default(),
            m_b: Default::default(),
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
            order: Default::default(),
            bursts: Default::default(),
            pages: Default::default(),
            names: Default::default(),
            refuse: Default::default(),
            data: Default::default(),
            answers: Default::default(),
            state: Default::default(),
            left: Default::default(),
            swallowed: Default::default(),
            placed: Default::default(),
            place: Default::default(),
            out_valid: Default::default(),
            out_page: Default::default(),
            out: Default::default(),
            ask: Default::default(),
            have: Default::default(),
            room: Default::default(),
            burst: Default::default(),
            head: Default::default(),
            head_granted: Default::default(),
            head_refused: Default::default(),
            some: Default::default(),
            moved: Default::default(),
            finished: Default::default(),
            dropped: Default::default(),
            not_refused: Default::default(),
            answer: Default::default(),
            from_memory: Default::default(),
            address: Default::default(),
            one: Constant::new(1u64.into()),
            depth: Constant::new((N as u64).into()),
            slverr: Constant::new(2u64.into()),
        }
    }
}

impl<const N: usize, const A: usize, const A1: usize> Logic for Writes<N, A, A1> {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self, clock, state, left, swallowed, placed, place, out_valid, out_page, out
        );
        clock!(
            self, clock, asks, slots, order, bursts, pages, names, refuse, data, answers
        );
        self.asks.reset.next = self.reset.val();
        self.slots.reset.next = self.reset.val();
        self.order.reset.next = self.reset.val();
        self.refuse.reset.next = self.reset.val();
        self.data.reset.next = self.reset.val();
        self.answers.reset.next = self.reset.val();

        // Requests: a slot is given when one is first offered to the translation port, and kept until it is taken.
        self.s_awready.next = !self.asks.level.val().get_bit(1);
        self.asks.push.next = self.s_awvalid.val() & self.s_awready.val();
        self.asks.data_in.next = self.s_aw.val();
        self.ask.next = self.asks.data_out.val();
        self.have.next = self.asks.level.val().any();
        self.check.ask.next = self.ask.val();
        self.room.next = self.placed.q.val()
            | !(self.slots.full.val() | (self.order.level.val() == self.depth.val()));
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
        self.order.push.next = self.slots.alloc.val();
        self.order.data_in.next = self.slots.slot.val();

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
        self.names.we.next = self.slots.alloc.val();
        self.names.wa.next = self.slots.slot.val();
        self.names.wd.next = self.ask.val().id;

        // Translations.
        self.slots.rsp_valid.next = self.rsp_valid.val();
        self.slots.rsp_slot.next = self.rsp_slot.val();
        self.slots.rsp_fault.next = self.rsp_fault.val();
        self.pages.we.next = self.rsp_valid.val();
        self.pages.wa.next = self.rsp_slot.val();
        self.pages.wd.next = self.rsp_page.val();

        // The oldest write.
        self.head.next = 0.into();
        if self.order.level.val().any() {
            self.head.next = self.one.val() << self.order.data_out.val();
        }
        self.head_granted.next = (self.slots.can_issue.val() & self.head.val()).any();
        self.head_refused.next = (self.slots.refused.val() & self.head.val()).any();
        self.bursts.ra.next = self.order.data_out.val();
        self.pages.ra.next = self.order.data_out.val();
        self.slots.issue.next = 0.into();
        if self.m_awready.val() {
            self.out_valid.d.next = false;
        }
        self.some.next = self.data.level.val().any();
        self.m_wvalid.next = false;
        self.moved.next = false;
        self.dropped.next = 0.into();
        self.finished.next = false;
        match self.state.q.val() {
            WriteState::Wait => {
                self.left.d.next = self.bursts.rd.val().len;
                if self.head_refused.val() {
                    self.state.d.next = WriteState::Swallow;
                }
                if self.head_granted.val() & (!self.out_valid.q.val() | self.m_awready.val()) {
                    self.state.d.next = WriteState::Pass;
                    self.slots.issue.next = self.head.val();
                    self.out_valid.d.next = true;
                    self.out_page.d.next = self.pages.rd.val();
                    self.out.d.next = self.bursts.rd.val();
                }
            }
            WriteState::Pass => {
                self.m_wvalid.next = self.some.val();
                self.moved.next = self.some.val() & self.m_wready.val();
                self.finished.next = self.moved.val() & !self.left.q.val().any();
            }
            WriteState::Swallow => {
                self.moved.next = self.some.val();
                self.finished.next = self.moved.val() & !self.left.q.val().any();
                if self.finished.val() {
                    self.dropped.next = self.head.val();
                }
            }
            _ => {
                self.state.d.next = WriteState::Wait;
            }
        }
        if self.moved.val() {
            self.left.d.next = self.left.q.val() - 1;
        }
        if self.finished.val() {
            self.state.d.next = WriteState::Wait;
        }
        self.order.pop.next = self.finished.val();
        self.m_wlast.next = !self.left.q.val().any();
        self.m_w.next = self.data.data_out.val();
        self.m_awvalid.next = self.out_valid.q.val();
        self.m_aw.next = self.out.q.val();
        self.address.next.page = self.out_page.q.val();
        self.address.next.off = self.out.q.val().off;
        self.m_awaddr.next = self.address.val();
        self.s_wready.next = !self.data.level.val().get_bit(1);
        self.data.push.next = self.s_wvalid.val() & self.s_wready.val();
        self.data.data_in.next = self.s_w.val();
        self.data.pop.next = self.moved.val();

        // Answers. An error takes one cycle and goes before those from memory; it has cost at least one beat of data,
        // which takes two, so it cannot hold them up for ever.
        self.refuse.ask.next = self.slots.can_refuse.val() & self.swallowed.q.val();
        self.refuse.take.next = self.refuse.any.val() & !self.answers.level.val().get_bit(1);
        self.names.ra.next = self.refuse.index.val();
        self.slots.refuse.next = 0.into();
        if self.refuse.take.val() {
            self.slots.refuse.next = self.refuse.one.val();
        }
        self.not_refused.next = !self.slots.refuse.val();
        self.swallowed.d.next =
            (self.swallowed.q.val() & self.not_refused.val()) | self.dropped.val();
        self.m_bready.next = !self.answers.level.val().get_bit(1) & !self.refuse.any.val();
        self.from_memory.next = self.m_bvalid.val() & self.m_bready.val();
        self.slots.done.next = self.from_memory.val();
        self.slots.done_id.next = self.m_b.val().id;
        self.answer.next = self.m_b.val();
        if self.refuse.any.val() {
            self.answer.next.id = self.names.rd.val();
            self.answer.next.resp = self.slverr.val();
        }
        self.answers.push.next = self.from_memory.val() | self.refuse.take.val();
        self.answers.data_in.next = self.answer.val();
        self.answers.pop.next = self.s_bready.val() & self.answers.level.val().any();
        self.s_bvalid.next = self.answers.level.val().any();
        self.s_b.next = self.answers.data_out.val();

        self.slots.sync.next = self.sync.val();
        self.waiting.next = self.slots.waiting.val();

        if self.reset.val() {
            self.state.d.next = WriteState::Wait;
            self.swallowed.d.next = 0.into();
            self.placed.d.next = false;
            self.out_valid.d.next = false;
        }
    }
}
