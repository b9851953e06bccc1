//! Pointers to tables, found by what leads to the table: a direct-mapped cache of non-leaf entries.
//!
//! An entry is tagged by the slot of the context that it was walked for, as those of the IOTLB are, and goes with
//! that slot. Where an entry lies follows from the low bits of its key and from its slot, so that devices that use
//! the same addresses do not meet in one place.
//!
//! Timing: `hit`, `frame` and `is_global` answer `ask_key` and `ask_slot` combinationally. `fill`, `drop` and `reset`
//! act at the clock edge; `fill` wins over `drop`, so who fills must not fill what is being dropped.

use rust_hdl::prelude::*;

/// `E` = `2^A` entries, keys of `K` bits, contexts in `C` slots addressed by `S` bits.
#[derive(LogicBlock)]
pub struct PointerCache<
    const E: usize,
    const A: usize,
    const K: usize,
    const C: usize,
    const S: usize,
> {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Empties the cache.
    pub reset: Signal<In, Bit>,
    /// Which table.
    pub ask_key: Signal<In, Bits<K>>,
    /// In which context.
    pub ask_slot: Signal<In, Bits<S>>,
    /// It is known ...
    pub hit: Signal<Out, Bit>,
    /// ... to lie in this page ...
    pub frame: Signal<Out, Bits<28>>,
    /// ... and a pointer that leads to it is global (S1-29).
    pub is_global: Signal<Out, Bit>,
    /// Drop the entries of these contexts.
    pub drop: Signal<In, Bits<C>>,
    /// Store an entry.
    pub fill: Signal<In, Bit>,
    /// See `ask_key`.
    pub fill_key: Signal<In, Bits<K>>,
    /// See `ask_slot`.
    pub fill_slot: Signal<In, Bits<S>>,
    /// See `frame`.
    pub fill_frame: Signal<In, Bits<28>>,
    /// See `is_global`.
    pub fill_global: Signal<In, Bit>,
    _entries: Vec<Entry>,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    valid: bool,
    slot: usize,
    key: u64,
    frame: Bits<28>,
    global: bool,
}

impl<const E: usize, const A: usize, const K: usize, const C: usize, const S: usize> Default
    for PointerCache<E, A, K, C, S>
{
    fn default() -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            ask_key: Default::default(),
            ask_slot: Default::default(),
            hit: Default::default(),
            frame: Default::default(),
            is_global: Default::default(),
            drop: Default::default(),
            fill: Default::default(),
            fill_key: Default::default(),
            fill_slot: Default::default(),
            fill_frame: Default::default(),
            fill_global: Default::default(),
            _entries: vec![Entry::default(); E],
        }
    }
}

impl<const E: usize, const A: usize, const K: usize, const C: usize, const S: usize>
    PointerCache<E, A, K, C, S>
{
    /// Places that the slot is moved up by before it changes the index.
    const UP: usize = A.saturating_sub(S);

    fn place(key: u64, slot: usize) -> usize {
        (key as usize ^ (slot << Self::UP)) & (E - 1)
    }
}

impl<const E: usize, const A: usize, const K: usize, const C: usize, const S: usize> Logic
    for PointerCache<E, A, K, C, S>
{
    fn update(&mut self) {
        if self.clock.pos_edge() {
            let dropped = self.drop.val().index();
            for e in &mut self._entries {
                if self.reset.val() || (dropped >> e.slot) & 1 == 1 {
                    e.valid = false;
                }
            }
            if self.fill.val() && !self.reset.val() {
                let key = u64::from(self.fill_key.val());
                let slot = self.fill_slot.val().index();
                self._entries[Self::place(key, slot)] = Entry {
                    valid: true,
                    slot,
                    key,
                    frame: self.fill_frame.val(),
                    global: self.fill_global.val(),
                };
            }
        }
        let key = u64::from(self.ask_key.val());
        let slot = self.ask_slot.val().index();
        let e = self._entries[Self::place(key, slot)];
        self.hit.next = e.valid && e.slot == slot && e.key == key;
        self.frame.next = e.frame;
        self.is_global.next = e.global;
    }
    fn connect(&mut self) {
        self.hit.connect();
        self.frame.connect();
        self.is_global.connect();
    }
    fn hdl(&self) -> Verilog {
        // The slot as wide as the index, moved to its top.
        let moved = |slot: &str| {
            if S == A {
                slot.into()
            } else if S > A {
                format!("{slot}[{}:0]", A - 1)
            } else {
                format!("{{{slot}, {}'d0}}", Self::UP)
            }
        };
        Verilog::Custom(format!(
            "reg [{e1}:0] valid;
reg [{s1}:0] tag_slot[{e1}:0];
reg [{w1}:0] mem[{e1}:0];
reg [{k1}:0] tag_key;
wire [{a1}:0] ask_at = ask_key[{a1}:0] ^ {ask};
wire [{a1}:0] fill_at = fill_key[{a1}:0] ^ {fill};
integer k;
initial begin
  valid = 0;
  for (k = 0; k < {E}; k = k + 1) begin
    tag_slot[k] = 0; mem[k] = 0;
  end
end
always @(posedge clock) begin
  for (k = 0; k < {E}; k = k + 1)
    if (drop[tag_slot[k]]) valid[k] <= 1'b0;
  if (fill & ~reset) begin
    valid[fill_at] <= 1'b1;
    tag_slot[fill_at] <= fill_slot;
    mem[fill_at] <= {{fill_key, fill_global, fill_frame}};
  end
  if (reset) valid <= 0;
end
always @(*) begin
  {{tag_key, is_global, frame}} = mem[ask_at];
  hit = valid[ask_at] & (tag_slot[ask_at] == ask_slot) & (tag_key == ask_key);
end
",
            e1 = E - 1,
            s1 = S - 1,
            k1 = K - 1,
            a1 = A - 1,
            w1 = K + 28,
            ask = moved("ask_slot"),
            fill = moved("fill_slot"),
        ))
    }
}
