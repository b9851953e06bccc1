//! Lines of page-table entries: `N` times the eight leaf entries of one 64-byte line, found by what leads to them.
//!
//! A line is tagged by the slot of the context that it was read for, the table's place in the address space (IOVA[56:21])
//! and its place in the table. It *comes* from `start` to the last doubleword, which makes it *there*, unless `drop` has
//! passed meanwhile: then nothing of it is ever found, and `stale` holds until its last doubleword has gone by. While it
//! comes, what has come of it is found, and what has not is announced (`soon`). Lines are replaced in turn; a line that is
//! read anew leaves its old place.
//!
//! Of an entry are kept whether it is a good leaf, V to D, N, and the bits of the page number that the IOMMU can address. RSW is software's. With any
//! other bit set the entry is as if it were not there: memory says what it is.
//!
//! Timing: a line is looked for (`look_*`) in the cycle before it is asked for (`ask_*`), as its long tag is compared then. A line
//! that is asked for from memory between the two is not found. Likewise
//! a line that will be wanted is compared when that is decided (`wants`), and `there` and `coming` speak of it until the next. `hit`, `word` and what comes with them answer `ask_*`
//! combinationally, everything else acts at the clock edge. `drop` goes before all.
//!
//! With `N` = 0 there is nothing here, and nothing is found.

use rust_hdl::prelude::*;

/// Entries of a line.
const WORDS: usize = 8;

/// Bits of an entry that are kept: V to D, page number, N.
const FLAGS: u64 = 0xff;
const FRAME: u64 = 0x0fff_ffff << 10;
const NAPOT: u64 = 1 << 63;
/// Bits that may be set and are not kept: RSW.
const SOFTWARE: u64 = 3 << 8;

/// `N` lines, numbered with `A` bits (or 0, with `A` = 1), context slots of `S` bits.
#[derive(LogicBlock)]
pub struct LineStore<const N: usize, const A: usize, const S: usize> {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Empties the store, and forgets what comes.
    pub reset: Signal<In, Bit>,
    /// Empties the store; reads that are on their way still come.
    pub drop: Signal<In, Bit>,

    /// IOVA[56:21] of the page that is asked for in the next cycle.
    pub look_table: Signal<In, Bits<36>>,
    /// Its IOVA[20:15].
    pub look_line: Signal<In, Bits<6>>,
    /// Slot of its context.
    pub look_slot: Signal<In, Bits<S>>,
    /// IOVA[14:12] of the page asked for, which was looked for in the cycle before.
    pub ask_at: Signal<In, Bits<3>>,
    /// Its entry is there ...
    pub hit: Signal<Out, Bit>,
    /// ... this one ...
    pub word: Signal<Out, Bits<64>>,
    /// ... a good leaf ...
    pub leaf: Signal<Out, Bit>,
    /// ... and a pointer that leads to it is global (S1-29).
    pub is_global: Signal<Out, Bit>,
    /// It is not there, but comes ...
    pub soon: Signal<Out, Bit>,
    /// ... to this place ...
    pub soon_place: Signal<Out, Bits<A>>,
    /// ... and is what comes next there.
    pub soon_next: Signal<Out, Bit>,
    /// It is the first of its line that is used.
    pub fresh: Signal<Out, Bit>,
    /// It is used.
    pub touch: Signal<In, Bit>,

    /// The next three are of the line that is wanted from the next cycle on.
    pub wants: Signal<In, Bit>,
    /// Its table, as `look_table`.
    pub will_table: Signal<In, Bits<36>>,
    /// As `look_line`.
    pub will_line: Signal<In, Bits<6>>,
    /// As `look_slot`.
    pub will_slot: Signal<In, Bits<S>>,
    /// The line wanted, once more.
    pub want_table: Signal<In, Bits<36>>,
    /// As `look_line`.
    pub want_line: Signal<In, Bits<6>>,
    /// As `look_slot`.
    pub want_slot: Signal<In, Bits<S>>,
    /// As `is_global`.
    pub want_global: Signal<In, Bit>,
    /// It is there.
    pub there: Signal<Out, Bit>,
    /// It comes.
    pub coming: Signal<Out, Bit>,
    /// The next place is free to be read into (only then `start`) ...
    pub room: Signal<Out, Bit>,
    /// ... this one ...
    pub place: Signal<Out, Bits<A>>,
    /// ... and holds a line of which nothing was used.
    pub wasted: Signal<Out, Bit>,
    /// The line wanted is read into it.
    pub start: Signal<In, Bit>,

    /// A doubleword has come ...
    pub r_valid: Signal<In, Bit>,
    /// ... for this place ...
    pub r_place: Signal<In, Bits<A>>,
    /// ... this one ...
    pub r_data: Signal<In, Bits<64>>,
    /// ... which is good ...
    pub r_good: Signal<In, Bit>,
    /// ... a good leaf entry ...
    pub r_leaf: Signal<In, Bit>,
    /// ... the last of its line.
    pub r_last: Signal<In, Bit>,
    /// For each place, three bits: which doubleword of the line comes next.
    pub beats: Signal<Out, Bits<24>>,
    /// A line still comes that has been dropped.
    pub stale: Signal<Out, Bit>,
    _lines: Vec<Line>,
    _next: usize,
}

#[derive(Clone, Copy, Default)]
struct Word {
    kept: u64,
    good: bool,
    leaf: bool,
}

#[derive(Clone, Copy, Default)]
struct Line {
    there: bool,
    comes: bool,
    dropped: bool,
    used: bool,
    slot: u64,
    tag: (u64, u64),
    looked: bool,
    wanted: bool,
    global: bool,
    beat: usize,
    words: [Word; WORDS],
}

impl<const N: usize, const A: usize, const S: usize> Default for LineStore<N, A, S> {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            drop: Default::default(),
            look_table: Default::default(),
            look_line: Default::default(),
            look_slot: Default::default(),
            ask_at: Default::default(),
            hit: Default::default(),
            word: Default::default(),
            leaf: Default::default(),
            is_global: Default::default(),
            soon: Default::default(),
            soon_place: Default::default(),
            soon_next: Default::default(),
            fresh: Default::default(),
            touch: Default::default(),
            wants: Default::default(),
            will_table: Default::default(),
            will_line: Default::default(),
            will_slot: Default::default(),
            want_table: Default::default(),
            want_line: Default::default(),
            want_slot: Default::default(),
            want_global: Default::default(),
            there: Default::default(),
            coming: Default::default(),
            room: Default::default(),
            place: Default::default(),
            wasted: Default::default(),
            start: Default::default(),
            r_valid: Default::default(),
            r_place: Default::default(),
            r_data: Default::default(),
            r_good: Default::default(),
            r_leaf: Default::default(),
            r_last: Default::default(),
            beats: Default::default(),
            stale: Default::default(),
            _lines: vec![Line::default(); N],
            _next: 0,
        }
    }
}

impl Line {
    /// What has come of it may be found.
    fn open(&self) -> bool {
        self.there || (self.comes && !self.dropped)
    }
}

impl<const N: usize, const A: usize, const S: usize> LineStore<N, A, S> {
    fn edge(&mut self) {
        let looked = (self.look_table.val().into(), self.look_line.val().into());
        let look_slot: u64 = self.look_slot.val().into();
        let will = (self.will_table.val().into(), self.will_line.val().into());
        let will_slot: u64 = self.will_slot.val().into();
        let dropped = self.drop.val();
        let place = self.r_place.val().index();
        for (i, line) in self._lines.iter_mut().enumerate() {
            if self.touch.val() && line.looked {
                line.used = true;
            }
            if self.start.val() && line.wanted {
                line.there = false;
            }
            let starts = self.start.val() && i == self._next;
            line.looked = line.tag == looked && line.slot == look_slot && !starts;
            if self.wants.val() {
                line.wanted = line.slot == will_slot && line.tag == will;
            }
            if self.r_valid.val() && i == place {
                let data: u64 = self.r_data.val().into();
                let kept = data & (FLAGS | FRAME | NAPOT);
                let plain = data & !SOFTWARE == kept;
                line.words[line.beat] = Word {
                    kept,
                    good: self.r_good.val() && plain,
                    leaf: self.r_leaf.val(),
                };
                line.beat = (line.beat + 1) % WORDS;
                if self.r_last.val() && line.comes {
                    (line.there, line.comes) = (!line.dropped, false);
                }
            }
            if starts {
                *line = Line {
                    comes: true,
                    slot: self.want_slot.val().into(),
                    tag: (self.want_table.val().into(), self.want_line.val().into()),
                    global: self.want_global.val(),
                    words: line.words,
                    wanted: line.wanted,
                    ..Line::default()
                };
            }
            if dropped {
                (line.there, line.dropped) = (false, true);
            }
            if self.reset.val() {
                (line.there, line.comes) = (false, false);
            }
            line.looked &= line.open();
        }
        if self.start.val() {
            self._next = (self._next + 1) % N;
        }
    }

    fn answer(&mut self) {
        let at = self.ask_at.val().index();
        let found = self._lines.iter().position(|l| l.looked);
        let line = self._lines[found.unwrap_or(0)];
        let come = line.there || at < line.beat;
        self.hit.next = found.is_some() && come && line.words[at].good;
        self.word.next = line.words[at].kept.into();
        self.leaf.next = line.words[at].leaf;
        self.soon.next = found.is_some() && !come;
        self.soon_place.next = (found.unwrap_or(0) as u64).into();
        self.soon_next.next = at == line.beat;
        let beats = self._lines.iter().enumerate();
        self.beats.next = beats
            .fold(0, |all, (i, l)| all | ((l.beat as u64) << (3 * i)))
            .into();
        self.is_global.next = line.global;
        self.fresh.next = found.is_none() || !line.used;
        let mut same = self._lines.iter().filter(|l| l.wanted);
        self.there.next = same.clone().any(|l| l.there);
        self.coming.next = same.any(|l| l.comes && !l.dropped);
        let next = self._lines[self._next];
        self.room.next = !next.comes;
        self.place.next = (self._next as u64).into();
        self.wasted.next = next.there && !next.used;
        self.stale.next = self._lines.iter().any(|l| l.comes && l.dropped);
    }
}

impl<const N: usize, const A: usize, const S: usize> Logic for LineStore<N, A, S> {
    fn update(&mut self) {
        if N == 0 {
            return;
        }
        if self.clock.pos_edge() {
            self.edge();
        }
        self.answer();
    }
    fn connect(&mut self) {
        self.hit.connect();
        self.word.connect();
        self.leaf.connect();
        self.is_global.connect();
        self.soon.connect();
        self.soon_place.connect();
        self.soon_next.connect();
        self.beats.connect();
        self.fresh.connect();
        self.there.connect();
        self.coming.connect();
        self.room.connect();
        self.place.connect();
        self.wasted.connect();
        self.stale.connect();
    }
    fn hdl(&self) -> Verilog {
        if N == 0 {
            return Verilog::Custom(
                "wire unused = &{1'b0, clock, reset, look_table, look_line, look_slot, ask_at, touch, wants, will_table, will_line, will_slot, want_table, want_line, want_slot,
  want_global, start, r_valid, r_place, r_data, r_good, r_leaf, r_last};
always @(*) begin
  hit = 1'b0 & drop;
  word = {64{hit}};
  leaf = hit;
  is_global = hit;
  soon = hit;
  soon_place = hit;
  soon_next = hit;
  beats = {24{hit}};
  fresh = hit;
  there = hit;
  coming = hit;
  room = hit;
  place = hit;
  wasted = hit;
  stale = hit;
end
"
                .into(),
            );
        }
        Verilog::Custom(format!(
            "reg [{n1}:0] is_there;
reg [{n1}:0] comes;
reg [{n1}:0] dropped;
reg [{n1}:0] was_used;
(* mem2reg *) reg [{t1}:0] tag[{n1}:0];
(* mem2reg *) reg [{s1}:0] tag_slot[{n1}:0];
reg [{n1}:0] looked;
reg [{n1}:0] same;
(* mem2reg *) reg [2:0] beat[{n1}:0];
reg [38:0] words[{w1}:0];
reg [{n1}:0] global_there;
reg [{a1}:0] next;
reg [{a1}:0] found;
reg [{n1}:0] stays_open;
reg come;
reg [2:0] r_at;
reg good;
reg napot;
reg [27:0] page;
reg [7:0] flags;
wire [{t1}:0] look = {{look_table, look_line}};
wire [{t1}:0] wanted = {{want_table, want_line}};
wire [{t1}:0] will = {{will_table, will_line}};
integer k;
initial begin
  is_there = 0; comes = 0; dropped = 0; was_used = 0; global_there = 0; next = 0; looked = 0; same = 0;
  for (k = 0; k < {N}; k = k + 1) begin
    tag[k] = 0; tag_slot[k] = 0; beat[k] = 0;
  end
  for (k = 0; k < {all}; k = k + 1) words[k] = 0;
end
always @(*) begin
  found = 0;
  for (k = {n1}; k >= 0; k = k - 1) begin
    stays_open[k] = (is_there[k] | (comes[k] & ~dropped[k])) & ~drop & ~reset
      & ~(start & ((next == k[{a1}:0]) | (same[k] & is_there[k])));
    if (looked[k]) found = k[{a1}:0];
  end
  {{leaf, good, napot, page, flags}} = words[{{found, ask_at}}];
  come = is_there[found] | (ask_at < beat[found]);
  hit = (|looked) & come & good;
  soon = (|looked) & ~come;
  soon_place = found;
  soon_next = ask_at == beat[found];
  r_at = 0;
  beats = 0;
  for (k = 0; k < {N}; k = k + 1)
    begin
      if (r_place == k[{a1}:0]) r_at = beat[k];
      beats[3 * k +: 3] = beat[k];
    end
  word = {{napot, 25'd0, page, 2'd0, flags}};
  is_global = global_there[found];
  fresh = ~|looked | ~was_used[found];
  there = |(same & is_there);
  coming = |(same & comes & ~dropped);
  room = ~comes[next];
  place = next;
  wasted = is_there[next] & ~was_used[next];
  stale = |(comes & dropped);
end
always @(posedge clock) begin
  for (k = 0; k < {N}; k = k + 1) begin
    if (touch & looked[k]) was_used[k] <= 1'b1;
    if (start & same[k]) is_there[k] <= 1'b0;
    if (wants) same[k] <= (tag[k] == will) & (tag_slot[k] == will_slot);
    looked[k] <= stays_open[k] & (tag[k] == look) & (tag_slot[k] == look_slot);
    if (start & (next == k[{a1}:0])) begin
      is_there[k] <= 1'b0;
      comes[k] <= 1'b1;
      dropped[k] <= 1'b0;
      was_used[k] <= 1'b0;
      tag[k] <= wanted;
      tag_slot[k] <= want_slot;
      beat[k] <= 0;
    end else if (r_valid & (r_place == k[{a1}:0])) begin
      beat[k] <= beat[k] + 1'b1;
      if (r_last & comes[k]) begin
        is_there[k] <= ~dropped[k];
        comes[k] <= 1'b0;
      end
    end
    if (drop) begin
      is_there[k] <= 1'b0;
      dropped[k] <= 1'b1;
    end
  end
  if (reset) begin
    is_there <= 0;
    comes <= 0;
  end
  if (start) begin
    global_there[next] <= want_global;
    next <= (next == {n1}) ? 0 : next + 1'b1;
  end
  if (r_valid) words[{{r_place, r_at}}] <= {{r_leaf, r_good & ~|r_data[62:38], r_data[63], r_data[37:10], r_data[7:0]}};
end
",
            n1 = N - 1,
            a1 = A - 1,
            t1 = 36 + 6 - 1,
            s1 = S - 1,
            w1 = N * WORDS - 1,
            all = N * WORDS,
        ))
    }
}
