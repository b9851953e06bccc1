//! The context cache: `N` device contexts, found by device_id in the cycle of the question.
//!
//! Timing: `hit`, `slot` and `info` answer `did` combinationally; `same_pscid` answers `pscid` likewise. `fill`,
//! `kill` and `reset` act at the clock edge; `fill` wins over `kill` of the same slot, so who fills must not fill
//! what is being killed.
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
    /// device_id asked for.
    pub did: Signal<In, Bits<24>>,
    /// It is here ...
    pub hit: Signal<Out, Bit>,
    /// ... in this slot ...
    pub slot: Signal<Out, Bits<I>>,
    /// ... which this one-hot vector names too ...
    pub slots: Signal<Out, Bits<N>>,
    /// ... with this content (0 without a hit).
    pub info: Signal<Out, Context>,
    /// ... and this PSCID (0 without a hit).
    pub held_pscid: Signal<Out, Bits<20>>,
    /// PSCID asked for.
    pub pscid: Signal<In, Bits<20>>,
    /// Valid slots that hold it.
    pub same_pscid: Signal<Out, Bits<N>>,
    /// Slots whose content goes away at the coming edge by `kill` or `kill_all`; that of `fill_slot` goes with `fill`.
    pub gone: Signal<Out, Bits<N>>,
    /// Drop the slot that holds `did`.
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
            did: Default::default(),
            hit: Default::default(),
            slot: Default::default(),
            slots: Default::default(),
            info: Default::default(),
            held_pscid: Default::default(),
            pscid: Default::default(),
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
        }
    }
}

impl<const N: usize, const I: usize, const D: usize> ContextTags<N, I, D> {
    fn key(did: Bits<24>) -> u32 {
        did.index() as u32 & ((1 << D) - 1)
    }
}

impl<const N: usize, const I: usize, const D: usize> Logic for ContextTags<N, I, D> {
    fn update(&mut self) {
        let key = Self::key(self.did.val());
        if self.clock.pos_edge() {
            for e in &mut self._entries {
                if self.reset.val()
                    || self.kill_all.val()
                    || (self.kill.val() && e.valid && e.did == key)
                {
                    e.valid = false;
                }
            }
            if self.fill.val() && !self.reset.val() {
                self._entries[self.fill_slot.val().index()] = Entry {
                    valid: true,
                    did: Self::key(self.fill_did.val()),
                    pscid: self.fill_pscid.val(),
                    info: self.fill_info.val(),
                };
            }
        }
        let pscid = self.pscid.val();
        let (mut hit, mut slot, mut slots, mut same) = (false, 0, 0u64, 0u64);
        let (mut info, mut held) = (Context::default(), Bits::default());
        for (i, e) in self._entries.iter().enumerate() {
            if e.valid && e.did == key {
                (hit, slot, slots, info) = (true, i as u64, 1 << i, e.info);
                held = e.pscid;
            }
            same |= u64::from(e.valid && e.pscid == pscid) << i;
        }
        self.hit.next = hit;
        self.slot.next = slot.into();
        self.slots.next = slots.into();
        self.info.next = info;
        self.held_pscid.next = held;
        self.same_pscid.next = same.into();
        let mut gone = 0;
        if self.kill_all.val() {
            gone |= (1 << N) - 1;
        }
        if self.kill.val() {
            gone |= slots;
        }
        self.gone.next = gone.into();
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
reg [{d1}:0] tag_did[{n1}:0];
reg [19:0] tag_pscid[{n1}:0];
reg [{w1}:0] data[{n1}:0];
reg [{w1}:0] held;
integer k;
initial begin
  valid = 0;
  for (k = 0; k < {N}; k = k + 1) begin
    tag_did[k] = 0; tag_pscid[k] = 0; data[k] = 0;
  end
end
always @(posedge clock) begin
  for (k = 0; k < {N}; k = k + 1)
    if (kill & (tag_did[k] == did[{d1}:0])) valid[k] <= 1'b0;
  if (kill_all) valid <= 0;
  if (fill) begin
    valid[fill_slot] <= 1'b1;
    tag_did[fill_slot] <= fill_did[{d1}:0];
    tag_pscid[fill_slot] <= fill_pscid;
    data[fill_slot] <= {{fill_pscid, fill_info}};
  end
  if (reset) valid <= 0;
end
always @(*) begin
  slot = 0;
  info = 0;
  held_pscid = 0;
  for (k = 0; k < {N}; k = k + 1) begin
    slots[k] = valid[k] & (tag_did[k] == did[{d1}:0]);
    same_pscid[k] = valid[k] & (tag_pscid[k] == pscid);
    slot = slot | ({{{I}{{slots[k]}}}} & k[{i1}:0]);
    gone[k] = kill_all | (kill & slots[k]);
  end
  hit = |slots;
  held = data[slot];
  if (hit) {{held_pscid, info}} = held;
end
",
            n1 = N - 1,
            d1 = D - 1,
            i1 = I - 1,
            w1 = Context::BITS + 20 - 1,
        ))
    }
}
