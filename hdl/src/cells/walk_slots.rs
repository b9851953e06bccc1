//! The walks in flight: which are there, whose turn it is, and what they must not do any more.
//!
//! A walk holds one of `W` slots from `start` to `finish`. It is *ready* when it has something to judge: after its
//! start, and when its memory read has come back (`arrive`). `serve` says that the walker works for slot `sel` in
//! this cycle; the walker answers in the same cycle: `finish` (the slot is free), `wait_read` (until `arrive`),
//! `hold` (what it offers must stay: the same slot again), or none of them (another slot's turn, then again).
//! `judged` says that the walk has come further.
//!
//! Fairness: the slot after the one served comes first, so every ready slot is served within `W` services.
//!
//! * `marked`: a maintenance operation has passed since the walk began (`mark_stale`). A fence waits for these walks, and
//!   for no other, so that it never waits for one that began behind it.
//! * `old`: that, or the slot of its context now holds another (`evict`), or its own was not stored. Such a walk
//!   answers, but fills nothing.
//! * `first`: no older walk of the same device is in flight, so the walk may record its fault.
//! * `ask_busy`, `head_busy`: a request must wait for a walk of the same page, or for one that is fetching the
//!   context of the same device. Compared are 16 bits of the device_id and 18 of the page: more waits than necessary,
//!   never less. What asks is compared in the cycle before (`look_*`), also with what starts then; a walk that ends in that
//!   cycle still counts.
//!
//! Timing: all outputs are registers or read behind them, but for `head_busy`, which is compared in the cycle of the question.

use rust_hdl::prelude::*;

/// `W` slots (a power of two), addressed by `B` bits; contexts in slots of `S` bits.
#[derive(LogicBlock)]
pub struct WalkSlots<const W: usize, const B: usize, const S: usize> {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Frees all slots.
    pub reset: Signal<In, Bit>,

    /// device_id of a request that may want to be walked in the next cycle ...
    pub look_did: Signal<In, Bits<16>>,
    /// ... and its page: `vpn1`, `vpn0`.
    pub look_page: Signal<In, Bits<18>>,
    /// device_id of a request that wants to be walked, and was looked at in the cycle before ...
    pub ask_did: Signal<In, Bits<16>>,
    /// ... and its page.
    pub ask_page: Signal<In, Bits<18>>,
    /// It must wait.
    pub ask_busy: Signal<Out, Bit>,
    /// The same for the oldest request in the queue.
    pub head_did: Signal<In, Bits<16>>,
    /// See `head_did`.
    pub head_page: Signal<In, Bits<18>>,
    /// See `ask_busy`.
    pub head_busy: Signal<Out, Bit>,

    /// At least two slots are free, and no walk fetches a context.
    pub idle_two: Signal<Out, Bit>,
    /// At least three are, likewise.
    pub idle_three: Signal<Out, Bit>,
    /// A slot is free ...
    pub idle: Signal<Out, Bit>,
    /// ... this one.
    pub free: Signal<Out, Bits<B>>,
    /// The request asked about takes it (only while `idle`) ...
    pub start: Signal<In, Bit>,
    /// ... must fetch its context first ...
    pub start_fetch: Signal<In, Bit>,
    /// It waits for memory from the beginning.
    pub start_waits: Signal<In, Bit>,
    /// ... or has it in this slot of the context cache ...
    pub start_context: Signal<In, Bits<S>>,
    /// ... and is `old` from the start.
    pub start_old: Signal<In, Bit>,

    /// Something has come for a slot ...
    pub arrive: Signal<In, Bit>,
    /// ... this one.
    pub arrive_slot: Signal<In, Bits<B>>,

    /// A slot is served ...
    pub serve: Signal<Out, Bit>,
    /// ... this one ...
    pub sel: Signal<Out, Bits<B>>,
    /// ... for the first time ...
    pub sel_new: Signal<Out, Bit>,
    /// ... whose `old` is set ...
    pub sel_old: Signal<Out, Bit>,
    /// ... and whose context is in this slot ...
    pub sel_context: Signal<Out, Bits<S>>,
    /// ... and is the oldest of its device.
    pub sel_first: Signal<Out, Bit>,
    /// What the walk was served for is done.
    pub judged: Signal<In, Bit>,
    /// The slot served is free.
    pub finish: Signal<In, Bit>,
    /// It waits for memory.
    pub wait_read: Signal<In, Bit>,
    /// It offers something that has not been taken.
    pub hold: Signal<In, Bit>,
    /// It has its context, in this slot of the context cache, and fetches no more; its own `old` is `own_old`.
    pub got_context: Signal<In, Bit>,
    /// See `got_context`.
    pub new_context: Signal<In, Bits<S>>,
    /// The context has not been stored.
    pub own_old: Signal<In, Bit>,
    /// The slot `new_context` of the context cache is overwritten: other walks that use it become old.
    pub evict: Signal<In, Bit>,

    /// A maintenance operation passes: all walks in flight began before it, and become old.
    pub mark_stale: Signal<In, Bit>,
    /// A walk is in flight that began before the last such operation.
    pub stale: Signal<Out, Bit>,
    _walks: Vec<Walk>,
    _sel: usize,
    _serve: bool,
    _ask_busy: bool,
}

#[derive(Clone, Copy, Default)]
struct Walk {
    busy: bool,
    ready: bool,
    new: bool,
    marked: bool,
    old: bool,
    fetch: bool,
    context: u32,
    did: u32,
    page: u32,
    older: u32,
    /// Of the device that was looked at in the cycle before.
    looked: bool,
}

impl<const W: usize, const B: usize, const S: usize> Default for WalkSlots<W, B, S> {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            look_did: Default::default(),
            look_page: Default::default(),
            ask_did: Default::default(),
            ask_page: Default::default(),
            ask_busy: Default::default(),
            head_did: Default::default(),
            head_page: Default::default(),
            head_busy: Default::default(),
            idle_two: Default::default(),
            idle_three: Default::default(),
            idle: Default::default(),
            free: Default::default(),
            start: Default::default(),
            start_fetch: Default::default(),
            start_waits: Default::default(),
            start_context: Default::default(),
            start_old: Default::default(),
            arrive: Default::default(),
            arrive_slot: Default::default(),
            serve: Default::default(),
            sel: Default::default(),
            sel_new: Default::default(),
            sel_old: Default::default(),
            sel_context: Default::default(),
            sel_first: Default::default(),
            judged: Default::default(),
            finish: Default::default(),
            wait_read: Default::default(),
            hold: Default::default(),
            got_context: Default::default(),
            new_context: Default::default(),
            own_old: Default::default(),
            evict: Default::default(),
            mark_stale: Default::default(),
            stale: Default::default(),
            _walks: vec![Walk::default(); W],
            _sel: 0,
            _serve: false,
            _ask_busy: false,
        }
    }
}

impl<const W: usize, const B: usize, const S: usize> WalkSlots<W, B, S> {
    /// The lowest free slot, or 0.
    fn vacant(&self) -> usize {
        self._walks.iter().position(|w| !w.busy).unwrap_or(0)
    }

    /// A walk of the same page is in flight, or one that fetches the context of the same device.
    fn busy(&self, did: Bits<16>, page: Bits<18>) -> bool {
        let (did, page) = (did.index() as u32, page.index() as u32);
        let meets = |w: &Walk| w.busy && w.did == did && (w.fetch || w.page == page);
        self._walks.iter().any(meets)
    }

    fn edge(&mut self) {
        let starts = self.start.val()
            && self.ask_did.val() == self.look_did.val()
            && (self.start_fetch.val() || self.ask_page.val() == self.look_page.val());
        let busy = starts || self.busy(self.look_did.val(), self.look_page.val());
        self._ask_busy = busy && !self.reset.val();
        let free = self.vacant();
        let (sel, serve) = (self._sel, self._serve);
        let did = self.ask_did.val().index() as u32;
        let look_did = self.look_did.val().index() as u32;
        let mut older = 0;
        for (i, w) in self._walks.iter_mut().enumerate() {
            let gone = serve && self.finish.val() && i == sel;
            older |= u32::from(w.busy && w.looked && !gone) << i;
            let starts = self.start.val() && i == free;
            w.looked = look_did == if starts { did } else { w.did };
        }
        let mut others = 0u32;
        for (i, w) in self._walks.iter().enumerate() {
            let comes = self.arrive.val() && w.busy && self.arrive_slot.val().index() == i
                || self.start.val() && !self.start_waits.val() && i == free;
            others |= u32::from(comes || w.ready && !(serve && i == sel)) << i;
        }
        let context = self.new_context.val().index() as u32;
        for (i, w) in self._walks.iter_mut().enumerate() {
            let own = serve && i == sel;
            let asked = w.busy;
            if serve && self.evict.val() && !own && !w.fetch && w.context == context {
                w.old = true;
            }
            if self.mark_stale.val() {
                w.marked = true;
                w.old = true;
            }
            if serve && self.finish.val() {
                w.older &= !(1 << sel);
            }
            if own {
                if self.got_context.val() {
                    w.fetch = false;
                    w.context = context;
                    if self.own_old.val() {
                        w.old = true;
                    }
                }
                if self.wait_read.val() || self.finish.val() {
                    w.ready = false;
                }
                if self.judged.val() {
                    w.new = false;
                }
                if self.finish.val() {
                    w.busy = false;
                    w.fetch = false;
                }
            }
            if self.arrive.val() && asked && self.arrive_slot.val().index() == i {
                w.ready = true;
            }
            if self.start.val() && i == free {
                *w = Walk {
                    busy: true,
                    ready: !self.start_waits.val(),
                    new: true,
                    marked: false,
                    old: self.start_old.val(),
                    fetch: self.start_fetch.val(),
                    context: self.start_context.val().index() as u32,
                    did,
                    page: self.ask_page.val().index() as u32,
                    older,
                    looked: w.looked,
                };
            }
            if self.reset.val() {
                (w.busy, w.ready, w.fetch) = (false, false, false);
            }
        }
        if !(serve && self.hold.val()) {
            let again = serve && !self.wait_read.val() && !self.finish.val();
            let next = (1..=W)
                .map(|k| (sel + k) % W)
                .find(|i| others >> i & 1 == 1);
            self._sel = next.unwrap_or(sel);
            self._serve = next.is_some() || again;
        }
        if self.reset.val() {
            (self._sel, self._serve) = (0, false);
        }
    }
}

impl<const W: usize, const B: usize, const S: usize> Logic for WalkSlots<W, B, S> {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            self.edge();
        }
        self.ask_busy.next = self._ask_busy;
        self.head_busy.next = self.busy(self.head_did.val(), self.head_page.val());
        let idle = self._walks.iter().filter(|w| !w.busy).count();
        self.idle.next = idle > 0;
        let fetching = self._walks.iter().any(|w| w.fetch);
        self.idle_two.next = idle > 1 && !fetching;
        self.idle_three.next = idle > 2 && !fetching;
        self.free.next = (self.vacant() as u64).into();
        let w = self._walks[self._sel];
        self.serve.next = self._serve;
        self.sel.next = (self._sel as u64).into();
        self.sel_new.next = w.new;
        self.sel_old.next = w.old;
        self.sel_context.next = u64::from(w.context).into();
        self.sel_first.next = w.older == 0;
        self.stale.next = self._walks.iter().any(|w| w.busy && w.marked);
    }
    fn connect(&mut self) {
        self.ask_busy.connect();
        self.head_busy.connect();
        self.idle_two.connect();
        self.idle_three.connect();
        self.idle.connect();
        self.free.connect();
        self.serve.connect();
        self.sel.connect();
        self.sel_new.connect();
        self.sel_old.connect();
        self.sel_context.connect();
        self.sel_first.connect();
        self.stale.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom(format!(
            "reg [{w1}:0] busy;
reg [{w1}:0] ready;
reg [{w1}:0] fresh;
reg [{w1}:0] marked;
reg [{w1}:0] old;
reg [{w1}:0] fetch;
(* mem2reg *) reg [{s1}:0] used[{w1}:0];
(* mem2reg *) reg [15:0] walk_did[{w1}:0];
(* mem2reg *) reg [17:0] walk_page[{w1}:0];
(* mem2reg *) reg [{w1}:0] older[{w1}:0];
reg asked_busy;
reg look_busy;
reg [{w1}:0] look_same;
reg [{w1}:0] looked_same;
reg [{w1}:0] own;
reg [{w1}:0] comes;
reg [{w1}:0] starts;
reg [{w1}:0] others;
reg [{w1}:0] same;
reg [{w1}:0] ended;
reg [{b1}:0] now;
reg serving;
reg sel_fresh;
reg [{b1}:0] next;
reg next_fresh;
reg found;
{place}integer k;
initial begin
  busy = 0; ready = 0; fresh = 0; marked = 0; old = 0; fetch = 0; now = 0; serving = 0; sel_fresh = 0; asked_busy = 0; looked_same = 0;
  for (k = 0; k < {W}; k = k + 1) begin
    used[k] = 0; walk_did[k] = 0; walk_page[k] = 0; older[k] = 0;
  end
end
always @(*) begin
  free = 0;
  for (k = {w1}; k >= 0; k = k - 1)
    if (~busy[k]) free = k[{b1}:0];
  idle = 0;
  idle_two = 0;
  idle_three = 0;
  for (k = 0; k < {W}; k = k + 1)
    if (~busy[k]) begin
      idle_three = idle_two;
      idle_two = idle;
      idle = 1'b1;
    end
  if (|fetch) begin
    idle_two = 0;
    idle_three = 0;
  end
  ask_busy = asked_busy;
  look_busy = start & (ask_did == look_did) & (start_fetch | (ask_page == look_page));
  head_busy = 0;
  for (k = 0; k < {W}; k = k + 1) begin
    same[k] = busy[k] & looked_same[k];
    look_busy = look_busy | (busy[k] & (walk_did[k] == look_did) & (fetch[k] | (walk_page[k] == look_page)));
    head_busy = head_busy | (busy[k] & (walk_did[k] == head_did) & (fetch[k] | (walk_page[k] == head_page)));
    own[k] = serving & (now == k[{b1}:0]);
    starts[k] = start & (free == k[{b1}:0]);
    look_same[k] = starts[k] ? ask_did == look_did : walk_did[k] == look_did;
    comes[k] = (starts[k] & ~start_waits) | (arrive & busy[k] & (arrive_slot == k[{b1}:0]));
    others[k] = comes[k] | (ready[k] & ~own[k]);
    ended[k] = own[k] & finish;
  end
  next = now;
  next_fresh = starts[now] | (sel_fresh & ~(serving & judged));
  found = |others;
{pick}  serve = serving;
  sel = now;
  sel_new = sel_fresh;
  sel_old = old[now];
  sel_context = used[now];
  sel_first = ~|older[now];
  stale = |(busy & marked);
end
always @(posedge clock) begin
  for (k = 0; k < {W}; k = k + 1) begin
    if (mark_stale) marked[k] <= 1'b1;
    if (mark_stale
        | (serving & evict & ~own[k] & ~fetch[k] & (used[k] == new_context))
        | (own[k] & got_context & own_old)) old[k] <= 1'b1;
    older[k] <= older[k] & ~ended;
    if (own[k] & got_context) begin
      fetch[k] <= 1'b0;
      used[k] <= new_context;
    end
    if (own[k] & (wait_read | finish)) begin
      ready[k] <= 1'b0;
    end
    if (own[k] & judged) fresh[k] <= 1'b0;
    if (ended[k]) begin
      busy[k] <= 1'b0;
      fetch[k] <= 1'b0;
    end
    if (comes[k]) ready[k] <= 1'b1;
    if (starts[k]) begin
      busy[k] <= 1'b1;
      ready[k] <= ~start_waits;
      fresh[k] <= 1'b1;
      marked[k] <= 1'b0;
      old[k] <= start_old;
      fetch[k] <= start_fetch;
      used[k] <= start_context;
      walk_did[k] <= ask_did;
      walk_page[k] <= ask_page;
      older[k] <= same & ~ended;
    end
  end
  if (serving & hold) sel_fresh <= starts[now] | (sel_fresh & ~judged);
  else begin
    now <= next;
    sel_fresh <= next_fresh;
    serving <= found | (serving & ~wait_read & ~finish);
  end
  asked_busy <= look_busy & ~reset;
  looked_same <= look_same;
  if (reset) begin
    busy <= 0;
    ready <= 0;
    fetch <= 0;
    now <= 0;
    sel_fresh <= starts[0] | (fresh[0] & ~(own[0] & judged));
    serving <= 1'b0;
  end
end
",
            w1 = W - 1,
            b1 = B - 1,
            s1 = S - 1,
            pick = pick::<W, B>(),
            place = if W == 1 {
                String::new()
            } else {
                format!("reg [{}:0] place;\n", B - 1)
            },
        ))
    }
}

/// The first slot after `now` that is ready: the nearest one is looked at last.
fn pick<const W: usize, const B: usize>() -> String {
    if W == 1 {
        return String::new();
    }
    format!(
        "  for (k = {W}; k >= 1; k = k - 1) begin
    place = now + k[{b1}:0];
    if (others[place]) begin
      next = place;
      next_fresh = starts[place] | (fresh[place] & ~(own[place] & judged));
    end
  end
",
        b1 = B - 1
    )
}
