//! Walks that wait for an entry of a line which is on its way.
//!
//! A walk that begins while the line of its entry comes would read the same entry again, later. It waits for the line's own
//! doubleword instead (`start`), and has it in the cycle in which memory brings it (`arrive`).
//!
//! Timing: `arrive` and `walk` answer `r_*` combinationally: whether what comes next of its line is what a walk waits for is
//! known before, from `beats`. `start` acts at the clock edge. Invariant: no two walks wait for
//! one doubleword, as two requests of one page of one device are never walked at the same time.

use rust_hdl::prelude::*;

/// `W` walks whose slots have `B` bits, places of lines of `A` bits.
#[derive(LogicBlock)]
pub struct LineWait<const W: usize, const B: usize, const A: usize> {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Forgets who waits.
    pub reset: Signal<In, Bit>,
    /// A walk begins to wait ...
    pub start: Signal<In, Bit>,
    /// ... this one ...
    pub start_walk: Signal<In, Bits<B>>,
    /// ... for the line in this place ...
    pub start_place: Signal<In, Bits<A>>,
    /// ... for this doubleword.
    pub start_at: Signal<In, Bits<3>>,
    /// A doubleword of a line has come ...
    pub r_valid: Signal<In, Bit>,
    /// ... in this place ...
    pub r_place: Signal<In, Bits<A>>,
    /// For each place, three bits: which doubleword of the line comes next.
    pub beats: Signal<In, Bits<24>>,
    /// Somebody has waited for it ...
    pub arrive: Signal<Out, Bit>,
    /// ... this walk.
    pub walk: Signal<Out, Bits<B>>,
    _waits: Vec<Option<(usize, usize)>>,
}

impl<const W: usize, const B: usize, const A: usize> Default for LineWait<W, B, A> {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            start: Default::default(),
            start_walk: Default::default(),
            start_place: Default::default(),
            start_at: Default::default(),
            r_valid: Default::default(),
            r_place: Default::default(),
            beats: Default::default(),
            arrive: Default::default(),
            walk: Default::default(),
            _waits: vec![None; W],
        }
    }
}

impl<const W: usize, const B: usize, const A: usize> LineWait<W, B, A> {
    fn come(&self) -> Option<(usize, usize)> {
        let place = self.r_place.val().index();
        let at = (u64::from(self.beats.val()) >> (3 * place)) as usize & 7;
        self.r_valid.val().then_some((place, at))
    }
}

impl<const W: usize, const B: usize, const A: usize> Logic for LineWait<W, B, A> {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            let come = self.come();
            for (i, wait) in self._waits.iter_mut().enumerate() {
                if wait.is_some() && *wait == come {
                    *wait = None;
                }
                if self.start.val() && i == self.start_walk.val().index() {
                    *wait = Some((self.start_place.val().index(), self.start_at.val().index()));
                }
                if self.reset.val() {
                    *wait = None;
                }
            }
        }
        let come = self.come();
        let walk = self._waits.iter().position(|w| w.is_some() && *w == come);
        self.arrive.next = walk.is_some();
        self.walk.next = (walk.unwrap_or(0) as u64).into();
    }
    fn connect(&mut self) {
        self.arrive.connect();
        self.walk.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom(format!(
            "reg [{w1}:0] waits;
(* mem2reg *) reg [{a1}:0] place[{w1}:0];
(* mem2reg *) reg [2:0] at[{w1}:0];
reg [{w1}:0] own;
reg [2:0] ahead;
integer k;
integer j;
initial begin
  waits = 0;
  for (k = 0; k < {W}; k = k + 1) begin
    place[k] = 0; at[k] = 0;
  end
end
always @(*) begin
  walk = 0;
  for (k = {w1}; k >= 0; k = k - 1) begin
    ahead = 0;
    for (j = 0; j < {places}; j = j + 1)
      if (place[k] == j[{a1}:0]) ahead = beats[3 * j +: 3];
    own[k] = r_valid & waits[k] & (r_place == place[k]) & (ahead == at[k]);
    if (own[k]) walk = k[{b1}:0];
  end
  arrive = |own;
end
always @(posedge clock) begin
  for (k = 0; k < {W}; k = k + 1) begin
    if (own[k]) waits[k] <= 1'b0;
    if (start & (start_walk == k[{b1}:0])) begin
      waits[k] <= 1'b1;
      place[k] <= start_place;
      at[k] <= start_at;
    end
  end
  if (reset) waits <= 0;
end
",
            w1 = W - 1,
            b1 = B - 1,
            a1 = A - 1,
            places = 1 << A,
        ))
    }
}
