//! The miss queue: who is walked next.
//!
//! A request that the hit path could not plainly allow comes here in stage 2. If the walker has room and nothing
//! waits, it is walked at once (`start`); else it waits. When the walker has room the oldest one goes through the
//! pipeline again (`replay`), for a walk before it may have brought its page; only then is it walked. The next one follows
//! at once if it will find room too, is of another page (no lookup meets the fill of its own page), and the contexts of
//! those before it are known: none of them makes it wait for a context, which would cost it its place in the queue.
//!
//! A request of a page that is being walked waits until that walk has ended, and finds the page then: one walk serves
//! them all, and no 4 KiB page is walked into two entries. Likewise one walk fetches a context for all requests of
//! its device (`walk_busy`, `head_busy`).
//!
//! Fairness: first in, first out, whoever asks. A device whose requests all miss delays another's by the walks before
//! it, never for ever.
//!
//! Room is reserved on acceptance (`credit`), so stage 2 never waits for the queue.
//!
//! Timing: everything but the queue itself is combinational; a miss stays one cycle in stage 2.

use crate::fifo::Fifo;
use crate::types::Req;
use rust_hdl::prelude::*;

/// `2^Q` queued misses (`Q1` = `Q` + 1).
#[derive(LogicBlock)]
pub struct MissQueue<const Q: usize, const Q1: usize> {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Empties the queue.
    pub reset: Signal<In, Bit>,

    /// A request misses in stage 2.
    pub miss: Signal<In, Bit>,
    /// It ...
    pub miss_req: Signal<In, Req>,
    /// ... came from here.
    pub miss_replayed: Signal<In, Bit>,
    /// ... was looked up in a cycle that filled a cache.
    pub miss_raced: Signal<In, Bit>,
    /// It is walked now; otherwise it has been queued.
    pub start: Signal<Out, Bit>,
    /// The walker can take a request ...
    pub walk_idle: Signal<In, Bit>,
    /// ... two, and fetches no context ...
    pub walk_idle_two: Signal<In, Bit>,
    /// ... three, and fetches none.
    pub walk_idle_three: Signal<In, Bit>,
    /// The one that misses must wait for a walk in flight.
    pub walk_busy: Signal<In, Bit>,
    /// The oldest one in the queue (`replay_req`) must.
    pub head_busy: Signal<In, Bit>,

    /// The oldest miss wants to be looked up again.
    pub replay: Signal<Out, Bit>,
    /// It.
    pub replay_req: Signal<Out, Req>,
    /// It enters stage 1.
    pub replay_taken: Signal<In, Bit>,
    /// One is in stage 1 ...
    pub s1_replay: Signal<In, Bit>,
    /// ... of this IOVA[20:12] ...
    pub s1_vpn0: Signal<In, Bits<9>>,
    /// ... whose context is known.
    pub s1_known: Signal<In, Bit>,
    /// One is in stage 2 ...
    pub s2_replay: Signal<In, Bit>,
    /// ... of this IOVA[20:12] ...
    pub s2_vpn0: Signal<In, Bits<9>>,
    /// ... whose context is known.
    pub s2_known: Signal<In, Bit>,

    /// Something is in stage 1.
    pub s1_valid: Signal<In, Bit>,
    /// Something is in stage 2.
    pub s2_valid: Signal<In, Bit>,
    /// There is room for one more request that may miss.
    pub credit: Signal<Out, Bit>,

    misses: Fifo<Req, Q, Q1>,
    // The oldest one, so that what depends on it begins with registers, and how many there are with it.
    head: DFF<Req>,
    head_valid: DFF<Bit>,
    count: DFF<Bits<Q1>>,
    head_moves: Signal<Local, Bit>,
    behind: Signal<Local, Bit>,
    push: Signal<Local, Bit>,
    replaying: Signal<Local, Bit>,
    enough: Signal<Local, Bit>,
    meets: Signal<Local, Bit>,
    known: Signal<Local, Bit>,
    queued: Signal<Local, Bit>,
    level_two_left: Constant<Bits<Q1>>,
    level_one_left: Constant<Bits<Q1>>,
}

impl<const Q: usize, const Q1: usize> Default for MissQueue<Q, Q1> {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            miss: Default::default(),
            miss_req: Default::default(),
            miss_replayed: Default::default(),
            miss_raced: Default::default(),
            start: Default::default(),
            walk_idle: Default::default(),
            walk_idle_two: Default::default(),
            walk_idle_three: Default::default(),
            walk_busy: Default::default(),
            head_busy: Default::default(),
            replay: Default::default(),
            replay_req: Default::default(),
            replay_taken: Default::default(),
            s1_replay: Default::default(),
            s1_vpn0: Default::default(),
            s1_known: Default::default(),
            s2_replay: Default::default(),
            s2_vpn0: Default::default(),
            s2_known: Default::default(),
            s1_valid: Default::default(),
            s2_valid: Default::default(),
            credit: Default::default(),
            misses: Default::default(),
            head: Default::default(),
            head_valid: Default::default(),
            count: Default::default(),
            head_moves: Default::default(),
            behind: Default::default(),
            push: Default::default(),
            replaying: Default::default(),
            enough: Default::default(),
            meets: Default::default(),
            known: Default::default(),
            queued: Default::default(),
            level_two_left: Constant::new(((1u64 << Q) - 2).into()),
            level_one_left: Constant::new(((1u64 << Q) - 1).into()),
        }
    }
}

impl<const Q: usize, const Q1: usize> Logic for MissQueue<Q, Q1> {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, head, head_valid, count);
        clock!(self, clock, misses);
        self.misses.reset.next = self.reset.val();
        self.queued.next = self.head_valid.q.val();
        self.replaying.next = self.s1_replay.val() | self.s2_replay.val();

        // A miss whose lookup a fill may have overtaken looks up again, in its turn.
        self.start.next = self.miss.val()
            & self.walk_idle.val()
            & !self.walk_busy.val()
            & (self.miss_replayed.val()
                | (!self.queued.val() & !self.replaying.val() & !self.miss_raced.val()));
        self.push.next = self.miss.val() & !self.start.val();
        self.misses.data_in.next = self.miss_req.val();

        // Every one on its way finds a walk free for it, no two are of one page, and none fetches a context before another.
        self.replay_req.next = self.head.q.val();
        self.enough.next = self.walk_idle.val();
        if self.replaying.val() {
            self.enough.next = self.walk_idle_two.val();
        }
        if self.s1_replay.val() & self.s2_replay.val() {
            self.enough.next = self.walk_idle_three.val();
        }
        self.meets.next = (self.s1_replay.val()
            & (self.s1_vpn0.val() == self.replay_req.val().vpn0))
            | (self.s2_replay.val() & (self.s2_vpn0.val() == self.replay_req.val().vpn0));
        self.known.next = (self.s1_known.val() | !self.s1_replay.val())
            & (self.s2_known.val() | !self.s2_replay.val());
        self.replay.next = self.queued.val()
            & self.enough.val()
            & self.known.val()
            & !self.head_busy.val()
            & !self.meets.val();

        // The next one moves up when the oldest leaves; one that finds nobody before it is the oldest at once.
        self.behind.next = (self.count.q.val() != 0) & (self.count.q.val() != 1);
        self.head_moves.next = self.replay_taken.val() | !self.head_valid.q.val();
        self.misses.pop.next = self.head_moves.val() & self.behind.val();
        self.misses.push.next = self.push.val() & (self.behind.val() | !self.head_moves.val());
        if self.head_moves.val() {
            self.head_valid.d.next = self.behind.val() | self.push.val();
            self.head.d.next = self.miss_req.val();
            if self.behind.val() {
                self.head.d.next = self.misses.data_out.val();
            }
        }
        if self.push.val() & !self.replay_taken.val() {
            self.count.d.next = self.count.q.val() + 1;
        }
        if self.replay_taken.val() & !self.push.val() {
            self.count.d.next = self.count.q.val() - 1;
        }
        if self.reset.val() {
            self.head_valid.d.next = false;
            self.count.d.next = 0.into();
        }

        self.credit.next = true;
        if self.count.q.val() == self.level_two_left.val() {
            self.credit.next = !(self.s1_valid.val() & self.s2_valid.val());
        }
        if self.count.q.val() == self.level_one_left.val() {
            self.credit.next = !(self.s1_valid.val() | self.s2_valid.val());
        }
        if self.count.q.val() > self.level_one_left.val() {
            self.credit.next = false;
        }
    }
}
