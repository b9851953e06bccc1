//! Picks one of several askers, so that each gets its turn.
//!
//! Askers are served in rounds: who has been picked waits until the round is over, and the round is over when nobody
//! of it asks any more. An asker waits for at most two picks of each other one.
//! Timing: `any`, `one` and `index` follow `ask` in the same cycle; `take` ends the turn of the picked one.

use rust_hdl::prelude::*;

/// See the module. `N` = `2^A` askers.
#[derive(LogicBlock)]
pub struct Pick<const N: usize, const A: usize> {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Starts a round.
    pub reset: Signal<In, Bit>,
    /// Who asks.
    pub ask: Signal<In, Bits<N>>,
    /// The picked one is served in this cycle.
    pub take: Signal<In, Bit>,
    /// Somebody asks.
    pub any: Signal<Out, Bit>,
    /// The picked one, as a bit.
    pub one: Signal<Out, Bits<N>>,
    /// The picked one, as a number.
    pub index: Signal<Out, Bits<A>>,
    round: DFF<Bits<N>>,
    now: Signal<Local, Bits<N>>,
    flipped: Signal<Local, Bits<N>>,
    minus: Signal<Local, Bits<N>>,
    others: Signal<Local, Bits<N>>,
    number: [Constant<Bits<A>>; N],
}

impl<const N: usize, const A: usize> Default for Pick<N, A> {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            ask: Default::default(),
            take: Default::default(),
            any: Default::default(),
            one: Default::default(),
            index: Default::default(),
            round: Default::default(),
            now: Default::default(),
            flipped: Default::default(),
            minus: Default::default(),
            others: Default::default(),
            number: std::array::from_fn(|i| Constant::new((i as u64).into())),
        }
    }
}

impl<const N: usize, const A: usize> Logic for Pick<N, A> {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, round);
        self.any.next = self.ask.val().any();
        self.now.next = self.ask.val() & self.round.q.val();
        if !self.now.val().any() {
            self.now.next = self.ask.val();
        }
        // x & -x is the lowest bit of x.
        self.flipped.next = !self.now.val();
        self.minus.next = self.flipped.val() + 1;
        self.one.next = self.now.val() & self.minus.val();
        self.others.next = !self.one.val();
        self.index.next = 0.into();
        for i in 0..N {
            if self.one.val().get_bit(i) {
                self.index.next = self.number[i].val();
            }
        }
        if self.take.val() {
            self.round.d.next = self.now.val() & self.others.val();
        }
        if self.reset.val() {
            self.round.d.next = 0.into();
        }
    }
}
