//! Tags of the IOTLB's 4 KiB pages: 64 sets of `K` ways in distributed RAM, read in the cycle of the question.
//!
//! The low six bits of the virtual page number choose the set. An entry is tagged by the slot of its context, as in
//! [`crate::cells::IotlbTags`], and by the *generation* of that slot: each slot has a counter for its global pages and
//! one for the others. What drops all pages of a slot (the slot's context goes away, IOTINVAL.VMA without an address)
//! counts the generation up, so it acts at once however many entries there are. A counter that comes round would
//! bring old entries back to life; so from its last value on all sets are cleared, one a cycle, as after a reset. Nothing is
//! found in a set that this has not come to yet, and what is stored there meanwhile is cleared with it.
//!
//! IOTINVAL.VMA of one page visits the page's set. A range (S) is kept: what lies in it is not found from the next cycle
//! on, and leaves its set while no request is looked up. Until that is done (`pause` asks for a free cycle now and then; at
//! most 64 are needed), what is filled for a page of the range is not found either, and the next range waits in stage 1.
//!
//! Of what is found, the way and the rights do not look at the range nor at the clearing, which only keep it from being a
//! `hit`: the way addresses the block RAM of the data in the same cycle.
//!
//! Timing: `hit`, `permitted` and `way` answer `vpn*` and `slots` combinationally, `victim` does so a cycle later; the set is chosen in the cycle
//! before (`next_set`), so that the memories are addressed by a register. Everything else acts at the clock edge.
//! There is one write port. An address that is being invalidated goes before `fill`, that before `kill`, that before the
//! clearing, and that before the range: a fill must not meet an invalidation (HW2); a `kill` that is lost leaves an entry
//! that allows too little, which is asked again; and the clearing and a range have time.
//!
//! Replacement: an empty way, or the next in turn; but a slot that holds three ways of a set or more replaces its own.
//! A device with any number of pages therefore leaves a quarter of the sets to the others.
//!
//! With `K` = 0 there is nothing here, and nothing is found.

mod verilog;

use crate::types::Rights;
use rust_hdl::prelude::*;

/// Sets: a power of two that six bits of the virtual page number reach.
const SETS: usize = 64;
/// Bits of the page number that choose the set.
const SET_BITS: u32 = 6;

/// `K` ways (0 or 4), contexts in `C` slots addressed by `S` bits, `V` virtual page number bits, generations of `G` bits.
#[derive(LogicBlock)]
pub struct IotlbSets<const K: usize, const C: usize, const S: usize, const V: usize, const G: usize>
{
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Empties the sets.
    pub reset: Signal<In, Bit>,
    /// A request is looked up.
    pub ask: Signal<In, Bit>,
    /// In the next cycle neither a request nor an invalidated page needs its set: one of the range may be looked at.
    pub next_free: Signal<In, Bit>,
    /// IOVA[17:12] of what is in stage 1 then.
    pub next_set: Signal<In, Bits<6>>,
    /// IOVA[56:48] asked for.
    pub vpn4: Signal<In, Bits<9>>,
    /// IOVA[47:39] asked for.
    pub vpn3: Signal<In, Bits<9>>,
    /// IOVA[38:30] asked for.
    pub vpn2: Signal<In, Bits<9>>,
    /// IOVA[29:21] asked for.
    pub vpn1: Signal<In, Bits<9>>,
    /// IOVA[20:12] asked for.
    pub vpn0: Signal<In, Bits<9>>,
    /// Slots that may match, one bit each; at most one for `hit`.
    pub slots: Signal<In, Bits<C>>,
    /// The same for an invalidation.
    pub inval_slots: Signal<In, Bits<C>>,
    /// Access asked for: 0 read, 1 or 3 write, 2 execute.
    pub access: Signal<In, Bits<2>>,
    /// The page is found.
    pub hit: Signal<Out, Bit>,
    /// If so, it allows the access ...
    pub permitted: Signal<Out, Bit>,
    /// ... in this way ...
    pub way: Signal<Out, Bits<2>>,
    /// ... which is being filled with another page.
    pub overwritten: Signal<Out, Bit>,
    /// The way that an entry for the page and the slot asked for in the cycle before should take.
    pub victim: Signal<Out, Bits<2>>,
    /// IOTINVAL.VMA with the operands `vpn*`, `inval_slots` and the next three.
    pub inval: Signal<In, Bit>,
    /// AV: only pages in the range of the address.
    pub inval_av: Signal<In, Bit>,
    /// S: the range ends at the lowest 0 of the address (INV-27); otherwise it is one page.
    pub inval_range: Signal<In, Bit>,
    /// PSCV: only entries of `inval_slots`, and no global ones (INV-03).
    pub inval_pv: Signal<In, Bit>,
    /// It ends with this cycle; not while it `stays`.
    pub inval_leaves: Signal<In, Bit>,
    /// The range before it is not done yet.
    pub stays: Signal<Out, Bit>,
    /// No request should be looked up in the next cycle.
    pub pause: Signal<Out, Bit>,
    /// Drop every entry of these slots ...
    pub flush: Signal<In, Bits<C>>,
    /// ... and, with this, ...
    pub renew: Signal<In, Bit>,
    /// ... of this one: known early, while `renew` comes late in the cycle.
    pub renew_slot: Signal<In, Bits<S>>,
    /// Drop the entry in this set ...
    pub kill: Signal<In, Bit>,
    /// ... number ...
    pub kill_set: Signal<In, Bits<6>>,
    /// ... and way.
    pub kill_way: Signal<In, Bits<2>>,
    /// The next fill of set `kill_set` goes to ...
    pub choose: Signal<In, Bit>,
    /// ... this way.
    pub choose_way: Signal<In, Bits<2>>,
    /// Store an entry.
    pub fill: Signal<In, Bit>,
    /// Its IOVA[56:48].
    pub fill_vpn4: Signal<In, Bits<9>>,
    /// Its IOVA[47:39].
    pub fill_vpn3: Signal<In, Bits<9>>,
    /// Its IOVA[38:30].
    pub fill_vpn2: Signal<In, Bits<9>>,
    /// Its IOVA[29:21].
    pub fill_vpn1: Signal<In, Bits<9>>,
    /// Its IOVA[20:12].
    pub fill_vpn0: Signal<In, Bits<9>>,
    /// What it allows.
    pub fill_rights: Signal<In, Rights>,
    /// It is a global mapping (S1-29).
    pub fill_global: Signal<In, Bit>,
    /// Its slot.
    pub fill_slot: Signal<In, Bits<S>>,
    /// Where it goes.
    pub fill_way: Signal<Out, Bits<2>>,
    _entries: Vec<[Entry; 4]>,
    _chosen: [usize; SETS],
    _generation: Vec<[u32; 2]>,
    _turn: usize,
    _range: Option<Range>,
    _clearing: bool,
    _clear_at: usize,
    _free: bool,
    _set: usize,
    _own: [(bool, bool); 4],
}

#[derive(Clone, Copy, Default)]
struct Entry {
    valid: bool,
    page: u64,
    slot: u32,
    rights: Rights,
    global: bool,
    generation: u32,
}

/// A range that is being dropped.
#[derive(Clone, Copy)]
struct Range {
    page: u64,
    /// Page-number bits that it leaves free.
    span: u64,
    slots: u32,
    pv: bool,
    /// The next of its sets.
    at: u64,
}

impl Range {
    fn set(&self) -> usize {
        set_of((self.page & !self.span) | (self.at & self.span))
    }

    fn last(&self) -> bool {
        let sets = self.span & (SETS as u64 - 1);
        self.at & sets == sets
    }

    fn has(&self, e: &Entry) -> bool {
        (e.page ^ self.page) & !self.span == 0
            && (!self.pv || ((self.slots >> e.slot) & 1 == 1 && !e.global))
    }
}

impl<const K: usize, const C: usize, const S: usize, const V: usize, const G: usize> Default
    for IotlbSets<K, C, S, V, G>
{
    fn default() -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            ask: Default::default(),
            next_free: Default::default(),
            next_set: Default::default(),
            vpn4: Default::default(),
            vpn3: Default::default(),
            vpn2: Default::default(),
            vpn1: Default::default(),
            vpn0: Default::default(),
            slots: Default::default(),
            inval_slots: Default::default(),
            access: Default::default(),
            hit: Default::default(),
            permitted: Default::default(),
            way: Default::default(),
            overwritten: Default::default(),
            victim: Default::default(),
            inval: Default::default(),
            inval_av: Default::default(),
            inval_range: Default::default(),
            inval_pv: Default::default(),
            inval_leaves: Default::default(),
            stays: Default::default(),
            pause: Default::default(),
            flush: Default::default(),
            renew: Default::default(),
            renew_slot: Default::default(),
            kill: Default::default(),
            kill_set: Default::default(),
            kill_way: Default::default(),
            choose: Default::default(),
            choose_way: Default::default(),
            fill: Default::default(),
            fill_vpn4: Default::default(),
            fill_vpn3: Default::default(),
            fill_vpn2: Default::default(),
            fill_vpn1: Default::default(),
            fill_vpn0: Default::default(),
            fill_rights: Default::default(),
            fill_global: Default::default(),
            fill_slot: Default::default(),
            fill_way: Default::default(),
            _entries: vec![[Entry::default(); 4]; SETS],
            _chosen: [0; SETS],
            _generation: vec![[0; 2]; C],
            _turn: 0,
            _range: None,
            _clearing: false,
            _clear_at: 0,
            _free: false,
            _set: 0,
            _own: [(false, false); 4],
        }
    }
}

fn vpn<const V: usize>(fields: [Bits<9>; 5]) -> u64 {
    let all = fields.iter().fold(0, |v, f| (v << 9) | f.index() as u64);
    all & ((1 << V) - 1)
}

fn set_of(page: u64) -> usize {
    page as usize & (SETS - 1)
}

impl<const K: usize, const C: usize, const S: usize, const V: usize, const G: usize>
    IotlbSets<K, C, S, V, G>
{
    fn key(&self) -> u64 {
        vpn::<V>([
            self.vpn4.val(),
            self.vpn3.val(),
            self.vpn2.val(),
            self.vpn1.val(),
            self.vpn0.val(),
        ])
    }

    /// One page is invalidated.
    fn one_page(&self) -> bool {
        self.inval.val() && self.inval_av.val() && !self.inval_range.val()
    }

    /// A range is.
    fn inval_of_range(&self) -> bool {
        self.inval.val() && self.inval_av.val() && self.inval_range.val()
    }

    /// The set that is looked at in the next cycle.
    fn next_set(&self) -> usize {
        match self._range {
            Some(range) if self.next_free.val() => range.set(),
            _ => self.next_set.val().index(),
        }
    }

    /// Of each way of the set that is looked at: it is of the slot asked for, and may not be taken by anybody.
    fn own(&self) -> [(bool, bool); 4] {
        let slots = self.slots.val().index() as u32;
        let mut wanted = [0; 2];
        for (slot, counters) in self._generation.iter().enumerate() {
            if (slots >> slot) & 1 == 1 {
                wanted = [wanted[0] | counters[0], wanted[1] | counters[1]];
            }
        }
        self._entries[self._set].map(|e| {
            let alive = e.generation == wanted[usize::from(e.global)];
            let asked = (slots >> e.slot) & 1 == 1;
            (e.valid && asked && alive, e.valid && (alive || !asked))
        })
    }

    fn edge(&mut self) {
        self._own = self.own();
        let key = self.key();
        let slots = self.inval_slots.val().index() as u32;
        let set = self._set;
        let inval = self.inval.val();
        let of = |e: &Entry| (slots >> e.slot) & 1 == 1;
        let spared = |e: &Entry| self.inval_pv.val() && (!of(e) || e.global);

        // The write port.
        let clears = self._clearing && !self.one_page() && !self.fill.val() && !self.kill.val();
        if self.one_page() {
            let mut ways = self._entries[set];
            for e in &mut ways {
                if (e.page ^ key) >> SET_BITS == 0 && !spared(e) {
                    e.valid = false;
                }
            }
            self._entries[set] = ways;
        } else if self.fill.val() {
            let page = self.fill_page();
            let slot = self.fill_slot.val().index();
            let global = self.fill_global.val();
            self._entries[set_of(page)][self._chosen[set_of(page)]] = Entry {
                valid: true,
                page,
                slot: slot as u32,
                rights: self.fill_rights.val(),
                global,
                generation: self._generation[slot][usize::from(global)],
            };
        } else if self.kill.val() {
            self._entries[self.kill_set.val().index()][self.kill_way.val().index()].valid = false;
        } else if clears {
            for e in &mut self._entries[self._clear_at] {
                e.valid = false;
            }
        } else if let Some(mut range) = self._range
            && self._free
        {
            for e in &mut self._entries[set] {
                if range.has(e) {
                    e.valid = false;
                }
            }
            self._range = if range.last() {
                None
            } else {
                range.at += 1;
                Some(range)
            };
        }
        if self.choose.val() {
            self._chosen[self.kill_set.val().index()] = self.choose_way.val().index();
            self._turn = (self._turn + 1) % 4;
        }
        if self.inval_of_range() && self.inval_leaves.val() {
            self._range = Some(Range {
                page: key,
                span: (key ^ (key + 1)) & ((1 << V) - 1),
                slots,
                pv: self.inval_pv.val(),
                at: 0,
            });
        }

        // Generations.
        let flush = self.flush.val().index() as u32;
        let space = inval && !self.inval_av.val() && self.inval_leaves.val();
        let mut round = false;
        for (slot, counters) in self._generation.iter_mut().enumerate() {
            let asked = (slots >> slot) & 1 == 1;
            let renewed = self.renew.val() && self.renew_slot.val().index() == slot;
            let gone = (flush >> slot) & 1 == 1 || renewed;
            let bump = [
                gone || (space && (asked || !self.inval_pv.val())),
                gone || (space && !self.inval_pv.val()),
            ];
            for (counter, bump) in counters.iter_mut().zip(bump) {
                // The last value leaves by itself, with its entries and all others.
                let last = *counter == (1 << G) - 1;
                round |= last;
                if bump || last {
                    *counter = (*counter + 1) % (1 << G);
                }
            }
        }
        if clears || !self._clearing {
            self._clear_at = (self._clear_at + 1) % SETS;
        }
        if clears && self._clear_at == 0 {
            self._clearing = false;
        }
        if round {
            (self._clearing, self._clear_at) = (true, 0);
        }
        if self.reset.val() {
            (self._clearing, self._clear_at, self._range) = (true, 0, None);
        }
        self._free = self.next_free.val();
        self._set = self.next_set();
    }

    fn fill_page(&self) -> u64 {
        vpn::<V>([
            self.fill_vpn4.val(),
            self.fill_vpn3.val(),
            self.fill_vpn2.val(),
            self.fill_vpn1.val(),
            self.fill_vpn0.val(),
        ])
    }

    fn ask(&mut self) {
        let key = self.key();
        let ways = &self._entries[self._set];
        let own = self.own();
        let matched = |w: usize| own[w].0 && (ways[w].page ^ key) >> SET_BITS == 0;
        let covered = |w: usize| self._range.is_some_and(|r| r.has(&ways[w]));
        let found = (0..4).find(|w| matched(*w));
        let cleared = !self._clearing || set_of(key) < self._clear_at;
        let open = self.ask.val() && cleared;
        self.hit.next = open && found.is_some() && !(0..4).any(|w| matched(w) && covered(w));
        self.permitted.next = found.is_some_and(|w| ways[w].rights.allow(self.access.val()));
        self.way.next = (found.unwrap_or(0) as u64).into();
        let filled = set_of(self.fill_page());
        self.overwritten.next =
            self.fill.val() && filled == set_of(key) && matched(self._chosen[filled]);
        let turn = self._turn;
        let own = self._own;
        let victim = match own.iter().position(|o| !o.1) {
            Some(empty) => empty,
            None if own.iter().filter(|o| o.0).count() < 3 || own[turn].0 => turn,
            None => (turn + 1) % 4,
        };
        self.victim.next = (victim as u64).into();
        self.fill_way.next = (self._chosen[filled] as u64).into();
        self.stays.next = self.inval_of_range() && self._range.is_some();
        self.pause.next = self._range.is_some() && self._clear_at % 2 == 1;
    }
}

impl<const K: usize, const C: usize, const S: usize, const V: usize, const G: usize> Logic
    for IotlbSets<K, C, S, V, G>
{
    fn update(&mut self) {
        if K == 0 {
            return;
        }
        if self.clock.pos_edge() {
            self.edge();
        }
        self.ask();
    }
    fn connect(&mut self) {
        self.hit.connect();
        self.permitted.connect();
        self.way.connect();
        self.overwritten.connect();
        self.victim.connect();
        self.stays.connect();
        self.pause.connect();
        self.fill_way.connect();
    }
    fn hdl(&self) -> Verilog {
        verilog::verilog::<K, C, S, V, G>()
    }
}
