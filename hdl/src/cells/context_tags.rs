//! The context cache: `N` device contexts, found by device_id.
//!
//! The compare is made in the cycle in which a request comes into stage 1 (`ask`), for all places that it can come from at
//! once, since which of them it is is known late; stage 1 begins with what was found. While it stays there, what is found
//! follows what is stored and dropped.
//!
//! Timing: `hit`, `slot`, `slots`, `info`, `held_pscid` and `same_pscid` speak of the request asked for in the last cycle
//! with `ask`; slots are registers, the content is read behind them. `fill`, `kill` and `reset` act at the clock edge, at
//! which a request that comes is already compared with what they leave behind; `fill` wins over `kill` of the same slot, so
//! who fills must not fill what is being killed.
//!
//! Invariant: at most one slot holds a device_id, because a context is filled only after a lookup that missed.

use crate::types::Context;
use rust_hdl::prelude::*;

/// `N` entries, addressed by `I` bits; device ids of `D` bits.
#[derive(LogicBlock)]
pub struct ContextTags<const N: usize, const I: usize, const D: usize> {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Empties the cache.
    pub reset: Signal<In, Bit>,
    /// A request comes into stage 1 ...
    pub ask: Signal<In, Bit>,
    /// ... with this device_id ...
    pub ask_did: Signal<In, Bits<24>>,
    /// ... or it is one that comes again ...
    pub ask_again: Signal<In, Bit>,
    /// ... with this ...
    pub again_did: Signal<In, Bits<24>>,
    /// ... or, before all, an invalidation (not in the cycle of a `fill`, which it does not see) ...
    pub ask_op: Signal<In, Bit>,
    /// ... with this device_id ...
    pub op_did: Signal<In, Bits<24>>,
    /// ... and this PSCID.
    pub op_pscid: Signal<In, Bits<20>>,
    /// device_id of what is in stage 1.
    pub did: Signal<In, Bits<24>>,
    /// The device_id is here ...
    pub hit: Signal<Out, Bit>,
    /// ... in this slot ...
    pub slot: Signal<Out, Bits<I>>,
    /// ... which this one-hot vector names too ...
    pub slots: Signal<Out, Bits<N>>,
    /// ... with this content (anything without a hit).
    pub info: Signal<Out, Context>,
    /// ... and this PSCID (anything without a hit).
    pub held_pscid: Signal<Out, Bits<20>>,
    /// Valid slots that hold the PSCID.
    pub same_pscid: Signal<Out, Bits<N>>,
    /// Slots whose content goes away at the coming edge by `kill` or `kill_all`; that of `fill_slot` goes with `fill`.
    pub gone: Signal<Out, Bits<N>>,
    /// Drop the slot of the request in stage 1.
    pub kill: Signal<In, Bit>,
    /// Drop all.
    pub kill_all: Signal<In, Bit>,
    /// Store a context.
    pub fill: Signal<In, Bit>,
    /// Where.
    pub fill_slot: Signal<In, Bits<I>>,
    /// Its device_id.
    pub fill_did: Signal<In, Bits<24>>,
    /// Its PSCID.
    pub fill_pscid: Signal<In, Bits<20>>,
    /// Its content.
    pub fill_info: Signal<In, Context>,
    _entries: Vec<Entry>,
    _slots: u64,
    _same: u64,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    valid: bool,
    did: u32,
    pscid: Bits<20>,
    info: Context,
}

impl<const N: usize, const I: usize, const D: usize> Default for ContextTags<N, I, D> {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            ask: Default::default(),
            ask_did: Default::default(),
            ask_again: Default::default(),
            again_did: Default::default(),
            ask_op: Default::default(),
            op_did: Default::default(),
            op_pscid: Default::default(),
            did: Default::default(),
            hit: Default::default(),
            slot: Default::default(),
            slots: Default::default(),
            info: Default::default(),
            held_pscid: Default::default(),
            same_pscid: Default::default(),
            gone: Default::default(),
            kill: Default::default(),
            kill_all: Default::default(),
            fill: Default::default(),
            fill_slot: Default::default(),
            fill_did: Default::default(),
            fill_pscid: Default::default(),
            fill_info: Default::default(),
            _entries: vec![Entry::default(); N],
            _slots: 0,
            _same: 0,
        }
    }
}

impl<const N: usize, const I: usize, const D: usize> ContextTags<N, I, D> {
    fn key(did: Bits<24>) -> u32 {
        did.index() as u32 & ((1 << D) - 1)
    }

    fn gone_now(&self) -> u64 {
        if self.kill_all.val() {
            (1 << N) - 1
        } else if self.kill.val() {
            self._slots
        } else {
            0
        }
    }

    fn edge(&mut self) {
        let gone = self.gone_now();
        let place = self.fill_slot.val().index();
        for (i, e) in self._entries.iter_mut().enumerate() {
            if (gone >> i) & 1 == 1 {
                e.valid = false;
            }
            if self.fill.val() && i == place {
                *e = Entry {
                    valid: true,
                    did: Self::key(self.fill_did.val()),
                    pscid: self.fill_pscid.val(),
                    info: self.fill_info.val(),
                };
            }
            if self.reset.val() {
                e.valid = false;
            }
        }
        let that = |of: &dyn Fn(&Entry) -> bool| {
            let bits = self._entries.iter().enumerate();
            bits.fold(0, |all, (i, e)| all | (u64::from(e.valid && of(e)) << i))
        };
        let filled = if self.fill.val() { 1 << place } else { 0 };
        let (slots, same) = if self.ask.val() {
            let asked = if self.ask_op.val() {
                &self.op_did
            } else if self.ask_again.val() {
                &self.again_did
            } else {
                &self.ask_did
            };
            let (did, pscid) = (Self::key(asked.val()), self.op_pscid.val());
            let unseen = if self.ask_op.val() { filled } else { 0 };
            (
                that(&|e| e.did == did) & !unseen,
                that(&|e| e.pscid == pscid) & !filled,
            )
        } else {
            // What was found stays, but for the slot that is filled.
            let did = Self::key(self.did.val());
            (
                (self._slots & !gone & !filled) | (that(&|e| e.did == did) & filled),
                self._same & !gone,
            )
        };
        let here = if self.reset.val() { 0 } else { u64::MAX };
        (self._slots, self._same) = (slots & here, same & here);
    }
}

impl<const N: usize, const I: usize, const D: usize> Logic for ContextTags<N, I, D> {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            self.edge();
        }
        let found = (0..N).find(|i| (self._slots >> i) & 1 == 1);
        let e = self._entries[found.unwrap_or(0)];
        self.hit.next = found.is_some();
        self.slot.next = (found.unwrap_or(0) as u64).into();
        self.slots.next = self._slots.into();
        self.info.next = e.info;
        self.held_pscid.next = e.pscid;
        self.same_pscid.next = self._same.into();
        self.gone.next = self.gone_now().into();
    }
    fn connect(&mut self) {
        self.hit.connect();
        self.slot.connect();
        self.slots.connect();
        self.info.connect();
        self.held_pscid.connect();
        self.same_pscid.connect();
        self.gone.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom(format!(
            "reg [{n1}:0] valid;
reg [{n1}:0] asked;
reg [{n1}:0] asked_pscid;
(* mem2reg *) reg [{d1}:0] tag_did[{n1}:0];
(* mem2reg *) reg [19:0] tag_pscid[{n1}:0];
reg [{w1}:0] data[{n1}:0];
reg [{n1}:0] put;
reg [{n1}:0] stays;
reg [{n1}:0] found_ask;
reg [{n1}:0] found_again;
reg [{n1}:0] found_op;
reg [{n1}:0] found_here;
reg [{n1}:0] found_pscid;
wire put_ask = fill_did[{d1}:0] == ask_did[{d1}:0];
wire put_again = fill_did[{d1}:0] == again_did[{d1}:0];
wire put_here = fill_did[{d1}:0] == did[{d1}:0];
integer k;
initial begin
  valid = 0; asked = 0; asked_pscid = 0;
  for (k = 0; k < {N}; k = k + 1) begin
    tag_did[k] = 0; tag_pscid[k] = 0; data[k] = 0;
  end
end
always @(*) begin
  slots = asked;
  same_pscid = asked_pscid;
  slot = 0;
  for (k = 0; k < {N}; k = k + 1) begin
    slot = slot | ({{{I}{{slots[k]}}}} & k[{i1}:0]);
    gone[k] = kill_all | (kill & asked[k]);
  end
  hit = |slots;
  {{held_pscid, info}} = data[slot];
end
always @(*) begin
  for (k = 0; k < {N}; k = k + 1) begin
    put[k] = fill & (fill_slot == k[{i1}:0]);
    stays[k] = valid[k] & ~gone[k];
    found_ask[k] = put[k] ? put_ask : stays[k] & (tag_did[k] == ask_did[{d1}:0]);
    found_op[k] = stays[k] & ~put[k] & (tag_did[k] == op_did[{d1}:0]);
    found_again[k] = put[k] ? put_again : stays[k] & (tag_did[k] == again_did[{d1}:0]);
    found_here[k] = put[k] ? put_here : asked[k] & ~gone[k];
    found_pscid[k] = stays[k] & ~put[k] & (tag_pscid[k] == op_pscid);
  end
end
always @(posedge clock) begin
  asked <= ask ? (ask_op ? found_op : ask_again ? found_again : found_ask) : found_here;
  asked_pscid <= ask ? found_pscid : asked_pscid & ~gone;
  valid <= stays | put;
  if (fill) begin
    tag_did[fill_slot] <= fill_did[{d1}:0];
    tag_pscid[fill_slot] <= fill_pscid;
    data[fill_slot] <= {{fill_pscid, fill_info}};
  end
  if (reset) begin
    valid <= 0;
    asked <= 0;
    asked_pscid <= 0;
  end
end
",
            n1 = N - 1,
            d1 = D - 1,
            i1 = I - 1,
            w1 = Context::BITS + 20 - 1,
        ))
    }
}
