//! The transactions of one direction that are on their way: order, state and who waits for whom.
//!
//! ```text
//! free ─► asking ─► granted ─► issued ─► free (its last answer has come)
//!            └────► refused ────────────► free (its error answer has been given)
//! ```
//!
//! Each slot remembers which older slots have its id. Granted slots may be issued once all of those are issued;
//! refused ones may be answered once all of those are gone. So the answers of one id come in order, and ids do not
//! wait for one another. An answer from memory belongs to the oldest issued slot of its id.
//! `sync` takes down which slots are granted or issued; `waiting` holds until all of those are free.
//! Timing: everything that is told in a cycle counts from the next.

use rust_hdl::prelude::*;

/// See the module. `N` = `2^A` slots.
#[derive(LogicBlock)]
pub struct Slots<const N: usize, const A: usize> {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Frees all.
    pub reset: Signal<In, Bit>,
    /// Give `slot` to a transaction; not while `full`.
    pub alloc: Signal<In, Bit>,
    /// Its id.
    pub alloc_id: Signal<In, Bits<4>>,
    /// It is refused at once.
    pub alloc_bad: Signal<In, Bit>,
    /// No slot is free.
    pub full: Signal<Out, Bit>,
    /// The slot that is given.
    pub slot: Signal<Out, Bits<A>>,
    /// A translation has come.
    pub rsp_valid: Signal<In, Bit>,
    /// For this slot.
    pub rsp_slot: Signal<In, Bits<A>>,
    /// It is refused.
    pub rsp_fault: Signal<In, Bit>,
    /// Slots that may be issued.
    pub can_issue: Signal<Out, Bits<N>>,
    /// This one is; 0: none.
    pub issue: Signal<In, Bits<N>>,
    /// Slots that are refused.
    pub refused: Signal<Out, Bits<N>>,
    /// Refused slots whose turn to be answered has come.
    pub can_refuse: Signal<Out, Bits<N>>,
    /// This one has been answered; 0: none.
    pub refuse: Signal<In, Bits<N>>,
    /// The last answer of a transaction has come from memory.
    pub done: Signal<In, Bit>,
    /// Its id.
    pub done_id: Signal<In, Bits<4>>,
    /// Take down what is granted.
    pub sync: Signal<In, Bit>,
    /// Some of it is still on its way.
    pub waiting: Signal<Out, Bit>,

    valid: DFF<Bits<N>>,
    granted: DFF<Bits<N>>,
    denied: DFF<Bits<N>>,
    issued: DFF<Bits<N>>,
    watched: DFF<Bits<N>>,
    ids: [DFF<Bits<4>>; N],
    older: [DFF<Bits<N>>; N],

    free: Signal<Local, Bits<N>>,
    bump: Signal<Local, Bits<N>>,
    given: Signal<Local, Bits<N>>,
    same: Signal<Local, Bits<N>>,
    answered: Signal<Local, Bits<N>>,
    yes_to: Signal<Local, Bits<N>>,
    no_to: Signal<Local, Bits<N>>,
    not_issued: Signal<Local, Bits<N>>,
    ended: Signal<Local, Bits<N>>,
    keep: Signal<Local, Bits<N>>,
    yes: Constant<Bit>,
    one: Constant<Bits<N>>,
    number: [Constant<Bits<A>>; N],
}

impl<const N: usize, const A: usize> Default for Slots<N, A> {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            alloc: Default::default(),
            alloc_id: Default::default(),
            alloc_bad: Default::default(),
            full: Default::default(),
            slot: Default::default(),
            rsp_valid: Default::default(),
            rsp_slot: Default::default(),
            rsp_fault: Default::default(),
            can_issue: Default::default(),
            issue: Default::default(),
            refused: Default::default(),
            can_refuse: Default::default(),
            refuse: Default::default(),
            done: Default::default(),
            done_id: Default::default(),
            sync: Default::default(),
            waiting: Default::default(),
            valid: Default::default(),
            granted: Default::default(),
            denied: Default::default(),
            issued: Default::default(),
            watched: Default::default(),
            ids: std::array::from_fn(|_| Default::default()),
            older: std::array::from_fn(|_| Default::default()),
            free: Default::default(),
            bump: Default::default(),
            given: Default::default(),
            same: Default::default(),
            answered: Default::default(),
            yes_to: Default::default(),
            no_to: Default::default(),
            not_issued: Default::default(),
            ended: Default::default(),
            keep: Default::default(),
            yes: Constant::new(true),
            one: Constant::new(1u64.into()),
            number: std::array::from_fn(|i| Constant::new((i as u64).into())),
        }
    }
}

impl<const N: usize, const A: usize> Logic for Slots<N, A> {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, valid, granted, denied, issued, watched);
        for i in 0..N {
            self.ids[i].clock.next = self.clock.val();
            self.ids[i].d.next = self.ids[i].q.val();
            self.older[i].clock.next = self.clock.val();
        }

        // What ends: the oldest issued slot of an answer's id, or the refused one that has been answered.
        self.ended.next = self.refuse.val();
        for i in 0..N {
            if self.done.val()
                & self.issued.q.val().get_bit(i)
                & (self.ids[i].q.val() == self.done_id.val())
                & !self.older[i].q.val().any()
            {
                self.ended.next = self.ended.val().replace_bit(i, self.yes.val());
            }
        }
        self.keep.next = !self.ended.val();

        // A new transaction: the lowest free slot (x & -x), behind all that have its id.
        self.free.next = !self.valid.q.val();
        self.bump.next = self.valid.q.val() + 1;
        self.given.next = self.free.val() & self.bump.val();
        self.full.next = !self.free.val().any();
        self.slot.next = 0.into();
        for i in 0..N {
            if self.given.val().get_bit(i) {
                self.slot.next = self.number[i].val();
            }
        }
        if !self.alloc.val() {
            self.given.next = 0.into();
        }
        self.same.next = 0.into();
        for i in 0..N {
            if self.ids[i].q.val() == self.alloc_id.val() {
                self.same.next = self.same.val().replace_bit(i, self.yes.val());
            }
        }
        for i in 0..N {
            self.older[i].d.next = self.older[i].q.val() & self.keep.val();
            if self.given.val().get_bit(i) {
                self.older[i].d.next = self.same.val() & self.valid.q.val() & self.keep.val();
                self.ids[i].d.next = self.alloc_id.val();
            }
        }

        // States.
        self.answered.next = 0.into();
        if self.rsp_valid.val() {
            self.answered.next = self.one.val() << self.rsp_slot.val();
        }
        self.valid.d.next = (self.valid.q.val() & self.keep.val()) | self.given.val();
        self.yes_to.next = self.answered.val();
        self.no_to.next = 0.into();
        if self.rsp_fault.val() {
            self.yes_to.next = 0.into();
            self.no_to.next = self.answered.val();
        }
        if self.alloc_bad.val() {
            self.no_to.next = self.no_to.val() | self.given.val();
        }
        self.granted.d.next = (self.granted.q.val() & self.keep.val()) | self.yes_to.val();
        self.denied.d.next = (self.denied.q.val() & self.keep.val()) | self.no_to.val();
        self.issued.d.next = (self.issued.q.val() | self.issue.val()) & self.keep.val();

        // Whose turn it is.
        self.not_issued.next = !self.issued.q.val();
        self.refused.next = self.denied.q.val();
        self.can_issue.next = 0.into();
        self.can_refuse.next = 0.into();
        for i in 0..N {
            if self.granted.q.val().get_bit(i)
                & self.not_issued.val().get_bit(i)
                & !(self.older[i].q.val() & self.not_issued.val()).any()
            {
                self.can_issue.next = self.can_issue.val().replace_bit(i, self.yes.val());
            }
            if self.denied.q.val().get_bit(i) & !self.older[i].q.val().any() {
                self.can_refuse.next = self.can_refuse.val().replace_bit(i, self.yes.val());
            }
        }

        self.watched.d.next = self.watched.q.val() & self.keep.val();
        if self.sync.val() {
            self.watched.d.next = self.granted.q.val() & self.keep.val();
        }
        self.waiting.next = self.watched.q.val().any();

        if self.reset.val() {
            self.valid.d.next = 0.into();
            self.granted.d.next = 0.into();
            self.denied.d.next = 0.into();
            self.issued.d.next = 0.into();
            self.watched.d.next = 0.into();
        }
    }
}
