//! Brings lines of page-table entries before they are asked for.
//!
//! A leaf entry lies in a 64-byte line with those of seven neighbours. When a walk reads one from memory, its line is read
//! as well, behind it; a request for a neighbour then finds its entry here ([`LineStore`]) and is walked without a read.
//! When entries are found in ascending order, the lines behind come too, one ahead at first and all but the one in use
//! as the run goes on, until the end of the table; in the next table it goes on as it was.
//!
//! ```text
//! walk reads an entry ──► want ──► read of its line, with the lowest priority of all ──► store ──► found at a walk's start
//! an entry is found   ──► run ──► want the next lines
//! ```
//!
//! * A line is read when nobody else wants to read, and no walk waits for that. A walk that begins when the memory has
//!   the line's request already waits for the line, which was asked for before it could ask itself ([`LineWait`]). What
//!   does not plainly allow a request is read as ever, so faults come from memory alone.
//! * Any maintenance operation, and any context that is stored, empties the store (`drop`, `renew`) and forgets what is
//!   wanted; a line on its way is dropped when it comes, and a fence waits for that (`stale`). `renew` acts a cycle later,
//!   as behind it lies the judgement of a context: who asks in that cycle was looked up before the context was stored, and
//!   what is found for it is of the context that it was looked up with.
//! * Lines that are replaced before anything of them was used make the block doubt; it then reads only lines near the last
//!   one, until they are of use again. A device that jumps about costs a few reads.
//!
//! Timing: `hit`, `word` and `is_global` answer `ask` combinationally; a read is offered at the earliest three cycles after
//! the walk's own.

use crate::cells::{LineStore, LineWait};
use crate::types::Req;
use crate::widen::unsigned_cast_to;
use rust_hdl::prelude::*;

/// `L` lines, at most 8, numbered with `A` bits (or 0, with `A` = 1), context slots of `S` bits, `W` walks with slots of `B`
/// bits.
#[derive(LogicBlock)]
pub struct LineFetch<const L: usize, const A: usize, const S: usize, const W: usize, const B: usize>
{
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Forgets everything.
    pub reset: Signal<In, Bit>,
    /// Off: nothing is read and nothing found.
    pub off: Signal<In, Bit>,
    /// The caches may change: what is here goes.
    pub drop: Signal<In, Bit>,
    /// A context is stored: what is here goes in the next cycle.
    pub renew: Signal<In, Bit>,

    /// A request that may ask in the next cycle.
    pub look: Signal<In, Req>,
    /// Slot of its context, if that is known.
    pub look_slot: Signal<In, Bits<S>>,
    /// A request whose context is known, and that was `look` in the cycle before ...
    pub ask: Signal<In, Req>,
    /// ... in this slot: its entry ...
    pub ask_slot: Signal<In, Bits<S>>,
    /// ... is here ...
    pub hit: Signal<Out, Bit>,
    /// ... this one ...
    pub word: Signal<Out, Bits<64>>,
    /// ... a good leaf ...
    pub leaf: Signal<Out, Bit>,
    /// ... to which a global pointer leads.
    pub is_global: Signal<Out, Bit>,
    /// Or it comes in this very cycle ...
    pub arrives: Signal<Out, Bit>,
    /// ... or will come.
    pub comes: Signal<Out, Bit>,
    /// If it will come, it is waited for by the walk in slot `used_walk`.
    pub asks: Signal<In, Bit>,
    /// It is used, or waited for ...
    pub used: Signal<In, Bit>,
    /// ... by the walk in this slot.
    pub used_walk: Signal<In, Bits<B>>,
    /// Memory brings what a walk waits for ...
    pub brings: Signal<Out, Bit>,
    /// ... this one.
    pub brings_walk: Signal<Out, Bits<B>>,

    /// A walk reads a leaf entry from memory ...
    pub near: Signal<In, Bit>,
    /// ... for this request ...
    pub near_req: Signal<In, Req>,
    /// ... whose context is in this slot ...
    pub near_slot: Signal<In, Bits<S>>,
    /// ... from this table ...
    pub near_frame: Signal<In, Bits<28>>,
    /// ... to which a global pointer leads ...
    pub near_global: Signal<In, Bit>,
    /// ... although its line was here.
    pub near_again: Signal<In, Bit>,

    /// Read of eight doublewords wanted.
    pub ar_valid: Signal<Out, Bit>,
    /// Taken.
    pub ar_ready: Signal<In, Bit>,
    /// Page number.
    pub ar_frame: Signal<Out, Bits<28>>,
    /// Offset.
    pub ar_off: Signal<Out, Bits<12>>,
    /// Returned with the data.
    pub ar_place: Signal<Out, Bits<A>>,
    /// Read data for a line ...
    pub r_valid: Signal<In, Bit>,
    /// ... this one.
    pub r_place: Signal<In, Bits<A>>,
    /// The doubleword.
    pub r_data: Signal<In, Bits<64>>,
    /// Its status.
    pub r_status: Signal<In, Bits<2>>,
    /// It is a good leaf entry.
    pub r_leaf: Signal<In, Bit>,
    /// The last of the line.
    pub r_last: Signal<In, Bit>,
    /// A line that was dropped still comes.
    pub stale: Signal<Out, Bit>,

    store: LineStore<L, A, S>,
    waits: LineWait<W, B, A>,

    renewed: DFF<Bit>,
    drops: Signal<Local, Bit>,

    // The line wanted.
    want: DFF<Bit>,
    asked: DFF<Bit>,
    want_table: DFF<Bits<36>>,
    want_line: DFF<Bits<6>>,
    want_slot: DFF<Bits<S>>,
    want_frame: DFF<Bits<28>>,
    want_global: DFF<Bit>,
    want_again: DFF<Bit>,
    want_place: DFF<Bits<A>>,

    // Where a device was last: in the cycle before (`now`), from memory (`now_read`), in spite of a line (`now_again`), or
    // from one; in the table of the time before (`follows`), or from the end of a table to a beginning (`crosses`).
    run: DFF<Bit>,
    now: DFF<Bit>,
    now_read: DFF<Bit>,
    now_again: DFF<Bit>,
    follows: DFF<Bit>,
    crosses: DFF<Bit>,
    at_table: DFF<Bits<36>>,
    at_line: DFF<Bits<6>>,
    at_slot: DFF<Bits<S>>,
    at_frame: DFF<Bits<28>>,
    at_global: DFF<Bit>,

    // The run: how far ahead lines have been wanted, and how often it has been confirmed.
    run_next: DFF<Bits<7>>,
    run_length: DFF<Bits<6>>,
    doubt: DFF<Bits<3>>,

    soon: Signal<Local, Bit>,
    look_table: Signal<Local, Bits<36>>,
    look_vpn0: Signal<Local, Bits<9>>,
    ask_table: Signal<Local, Bits<36>>,
    ask_vpn0: Signal<Local, Bits<9>>,
    near_table: Signal<Local, Bits<36>>,
    near_vpn0: Signal<Local, Bits<9>>,
    after: Signal<Local, Bits<7>>,
    line_wide: Signal<Local, Bits<7>>,
    along: Signal<Local, Bit>,
    ahead: Signal<Local, Bits<7>>,
    reach: Signal<Local, Bits<7>>,
    near_line: Signal<Local, Bits<6>>,
    ask_line: Signal<Local, Bits<6>>,
    at_end: Signal<Local, Bit>,
    ask_goes_with: Signal<Local, Bit>,
    ask_turns: Signal<Local, Bit>,
    turns: Signal<Local, Bit>,
    goes_with: Signal<Local, Bit>,
    moved: Signal<Local, Bit>,
    new_table: Signal<Local, Bits<36>>,
    new_line: Signal<Local, Bits<6>>,
    new_slot: Signal<Local, Bits<S>>,
    will_line: Signal<Local, Bits<6>>,
    demand: Signal<Local, Bit>,
    goes_on: Signal<Local, Bit>,

    present: Constant<Bit>,
    furthest: Constant<Bits<7>>,
    longest: Constant<Bits<6>>,
    certain: Constant<Bits<3>>,
    one: Constant<Bits<7>>,
    last_line: Constant<Bits<6>>,
}

impl<const L: usize, const A: usize, const S: usize, const W: usize, const B: usize> Default
    for LineFetch<L, A, S, W, B>
{
    fn default() -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            off: Default::default(),
            drop: Default::default(),
            renew: Default::default(),
            look: Default::default(),
            look_slot: Default::default(),
            ask: Default::default(),
            ask_slot: Default::default(),
            hit: Default::default(),
            word: Default::default(),
            leaf: Default::default(),
            is_global: Default::default(),
            arrives: Default::default(),
            comes: Default::default(),
            asks: Default::default(),
            used: Default::default(),
            used_walk: Default::default(),
            brings: Default::default(),
            brings_walk: Default::default(),
            near: Default::default(),
            near_req: Default::default(),
            near_slot: Default::default(),
            near_frame: Default::default(),
            near_global: Default::default(),
            near_again: Default::default(),
            ar_valid: Default::default(),
            ar_ready: Default::default(),
            ar_frame: Default::default(),
            ar_off: Default::default(),
            ar_place: Default::default(),
            r_valid: Default::default(),
            r_place: Default::default(),
            r_data: Default::default(),
            r_status: Default::default(),
            r_leaf: Default::default(),
            r_last: Default::default(),
            stale: Default::default(),
            store: Default::default(),
            waits: Default::default(),
            renewed: Default::default(),
            drops: Default::default(),
            want: Default::default(),
            asked: Default::default(),
            want_table: Default::default(),
            want_line: Default::default(),
            want_slot: Default::default(),
            want_frame: Default::default(),
            want_global: Default::default(),
            want_again: Default::default(),
            want_place: Default::default(),
            run: Default::default(),
            now: Default::default(),
            now_read: Default::default(),
            now_again: Default::default(),
            follows: Default::default(),
            crosses: Default::default(),
            at_table: Default::default(),
            at_line: Default::default(),
            at_slot: Default::default(),
            at_frame: Default::default(),
            at_global: Default::default(),
            run_next: Default::default(),
            run_length: Default::default(),
            doubt: Default::default(),
            soon: Default::default(),
            look_table: Default::default(),
            look_vpn0: Default::default(),
            ask_table: Default::default(),
            ask_vpn0: Default::default(),
            near_table: Default::default(),
            near_vpn0: Default::default(),
            after: Default::default(),
            line_wide: Default::default(),
            along: Default::default(),
            ahead: Default::default(),
            reach: Default::default(),
            near_line: Default::default(),
            ask_line: Default::default(),
            at_end: Default::default(),
            ask_goes_with: Default::default(),
            ask_turns: Default::default(),
            turns: Default::default(),
            goes_with: Default::default(),
            moved: Default::default(),
            new_table: Default::default(),
            new_line: Default::default(),
            new_slot: Default::default(),
            will_line: Default::default(),
            demand: Default::default(),
            goes_on: Default::default(),
            present: Constant::new(L > 0),
            // All lines but the one in use.
            furthest: Constant::new((L.saturating_sub(1) as u64).into()),
            // Eight confirmations for each further line.
            longest: Constant::new((8 * L.saturating_sub(2) as u64 + 7).into()),
            certain: Constant::new(7u64.into()),
            one: Constant::new(1u64.into()),
            last_line: Constant::new(63u64.into()),
        }
    }
}

impl<const L: usize, const A: usize, const S: usize, const W: usize, const B: usize> Logic
    for LineFetch<L, A, S, W, B>
{
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            renewed,
            want,
            asked,
            want_table,
            want_line,
            want_slot,
            want_frame,
            want_global,
            want_again,
            want_place,
            run,
            now,
            now_read,
            now_again,
            follows,
            crosses,
            at_table,
            at_line,
            at_slot,
            at_frame,
            at_global,
            run_next,
            run_length,
            doubt
        );
        clock!(self, clock, store, waits);

        self.renewed.d.next = self.renew.val();
        self.drops.next = self.drop.val() | self.renewed.q.val();

        // The question.
        self.look_table.next = (unsigned_cast_to::<36, 9>(self.look.val().vpn4) << 27)
            | (unsigned_cast_to::<36, 9>(self.look.val().vpn3) << 18)
            | (unsigned_cast_to::<36, 9>(self.look.val().vpn2) << 9)
            | unsigned_cast_to::<36, 9>(self.look.val().vpn1);
        self.look_vpn0.next = self.look.val().vpn0;
        self.store.look_table.next = self.look_table.val();
        self.store.look_line.next = self.look_vpn0.val().get_bits::<6>(3);
        self.ask_table.next = (unsigned_cast_to::<36, 9>(self.ask.val().vpn4) << 27)
            | (unsigned_cast_to::<36, 9>(self.ask.val().vpn3) << 18)
            | (unsigned_cast_to::<36, 9>(self.ask.val().vpn2) << 9)
            | unsigned_cast_to::<36, 9>(self.ask.val().vpn1);
        self.ask_vpn0.next = self.ask.val().vpn0;
        self.store.ask_at.next = self.ask_vpn0.val().get_bits::<3>(0);
        self.store.look_slot.next = self.look_slot.val();
        self.hit.next = self.store.hit.val();
        self.word.next = self.store.word.val();
        self.leaf.next = self.store.leaf.val();
        self.is_global.next = self.store.is_global.val();
        self.store.touch.next = self.used.val();
        // A line that is not asked for yet may still have to wait, and nobody waits with it.
        self.soon.next = self.store.soon.val()
            & !(self.asked.q.val() & (self.want_place.q.val() == self.store.soon_place.val()));
        self.arrives.next = self.soon.val()
            & self.store.soon_next.val()
            & self.r_valid.val()
            & (self.r_place.val() == self.store.soon_place.val());
        self.comes.next = self.soon.val() & !self.arrives.val();
        self.waits.reset.next = self.reset.val();
        self.waits.start.next = self.asks.val() & self.comes.val();
        self.waits.start_walk.next = self.used_walk.val();
        self.waits.start_place.next = self.store.soon_place.val();
        self.waits.start_at.next = self.ask_vpn0.val().get_bits::<3>(0);
        self.waits.r_valid.next = self.r_valid.val();
        self.waits.r_place.next = self.r_place.val();
        self.waits.beats.next = self.store.beats.val();
        self.brings.next = self.waits.arrive.val();
        self.brings_walk.next = self.waits.walk.val();
        self.near_table.next = (unsigned_cast_to::<36, 9>(self.near_req.val().vpn4) << 27)
            | (unsigned_cast_to::<36, 9>(self.near_req.val().vpn3) << 18)
            | (unsigned_cast_to::<36, 9>(self.near_req.val().vpn2) << 9)
            | unsigned_cast_to::<36, 9>(self.near_req.val().vpn1);
        self.near_vpn0.next = self.near_req.val().vpn0;

        // Where a device is: an entry was found, or is read. What follows from that has a cycle of its own.
        self.moved.next = (self.used.val() | self.near.val()) & self.present.val();
        self.new_table.next = self.near_table.val();
        self.near_line.next = self.near_vpn0.val().get_bits::<6>(3);
        self.ask_line.next = self.ask_vpn0.val().get_bits::<6>(3);
        self.new_line.next = self.near_line.val();
        self.new_slot.next = self.near_slot.val();
        if self.used.val() {
            self.new_table.next = self.ask_table.val();
            self.new_line.next = self.ask_line.val();
            self.new_slot.next = self.ask_slot.val();
        }
        // Compared for both before it is known which of the two counts.
        self.at_end.next = self.run.q.val() & (self.at_line.q.val() == self.last_line.val());
        self.goes_with.next = self.run.q.val()
            & (self.near_slot.val() == self.at_slot.q.val())
            & (self.near_table.val() == self.at_table.q.val());
        self.turns.next = self.at_end.val()
            & (self.near_slot.val() == self.at_slot.q.val())
            & (self.near_line.val() == 0);
        self.ask_goes_with.next = self.run.q.val()
            & (self.ask_slot.val() == self.at_slot.q.val())
            & (self.ask_table.val() == self.at_table.q.val());
        self.ask_turns.next = self.at_end.val()
            & (self.ask_slot.val() == self.at_slot.q.val())
            & (self.ask_line.val() == 0);
        if self.used.val() {
            self.goes_with.next = self.ask_goes_with.val();
            self.turns.next = self.ask_turns.val();
        }
        self.now.d.next = self.moved.val();
        if self.moved.val() {
            self.now_read.d.next = !self.used.val();
            self.now_again.d.next = self.near_again.val();
            self.follows.d.next = self.goes_with.val();
            self.crosses.d.next = self.turns.val();
            self.at_table.d.next = self.new_table.val();
            self.at_line.d.next = self.new_line.val();
            self.at_slot.d.next = self.new_slot.val();
            if self.used.val() {
                // Whoever goes on in a table knows where it is; where another one is, a line does not say.
                self.run.d.next = self.goes_with.val();
            } else {
                self.run.d.next = true;
                self.at_frame.d.next = self.near_frame.val();
                self.at_global.d.next = self.near_global.val();
            }
        }
        self.line_wide.next = unsigned_cast_to::<7, 6>(self.at_line.q.val());
        self.after.next = self.line_wide.val() + 1;
        self.ahead.next = self.run_next.q.val() - self.line_wide.val();
        self.along.next =
            self.follows.q.val() & (self.ahead.val() <= (self.furthest.val() + self.one.val()));
        if self.now.q.val() {
            if !self.along.val() {
                self.run_next.d.next = self.after.val();
                // A run that has come to the end of its table goes on in the next one.
                if !self.crosses.q.val() {
                    self.run_length.d.next = 0.into();
                }
            } else {
                if self.ahead.val() == 0 {
                    self.run_next.d.next = self.after.val();
                }
                if self.run_length.q.val() != self.longest.val() {
                    self.run_length.d.next = self.run_length.q.val() + 1;
                }
            }
        }

        // The line of what is read, or the next one of the run.
        self.demand.next = self.now.q.val()
            & self.now_read.q.val()
            & ((self.along.val() & (self.run_length.q.val() != 0))
                | (self.doubt.q.val() != self.certain.val()));
        self.reach.next = unsigned_cast_to::<7, 6>(self.run_length.q.val() >> 3) + self.one.val();
        self.goes_on.next = self.run.q.val()
            & !(self.now.q.val() & (!self.along.val() | (self.ahead.val() == 0)))
            & (self.run_length.q.val() > 1)
            & (self.ahead.val() <= self.reach.val())
            & !self.run_next.q.val().get_bit(6);
        self.will_line.next = self.at_line.q.val();
        if !self.demand.val() {
            self.will_line.next = self.run_next.q.val().get_bits::<6>(0);
        }
        self.store.wants.next = !self.want.q.val();
        self.store.will_table.next = self.at_table.q.val();
        self.store.will_line.next = self.will_line.val();
        self.store.will_slot.next = self.at_slot.q.val();
        if !self.want.q.val() {
            self.want_again.d.next = self.demand.val() & self.now_again.q.val();
            self.want_table.d.next = self.at_table.q.val();
            self.want_line.d.next = self.will_line.val();
            self.want_slot.d.next = self.at_slot.q.val();
            self.want_frame.d.next = self.at_frame.q.val();
            self.want_global.d.next = self.at_global.q.val();
            if self.demand.val() {
                self.want.d.next = true;
            } else if self.goes_on.val() {
                self.want.d.next = true;
                self.run_next.d.next = self.run_next.q.val() + 1;
            }
        }

        // It is read, unless it is there already. One that did not have what was asked for is read anew.
        self.store.want_table.next = self.want_table.q.val();
        self.store.want_line.next = self.want_line.q.val();
        self.store.want_slot.next = self.want_slot.q.val();
        self.store.want_global.next = self.want_global.q.val();
        self.store.start.next = false;
        if self.want.q.val() & !self.asked.q.val() {
            if self.store.coming.val() | (self.store.there.val() & !self.want_again.q.val()) {
                self.want.d.next = false;
            } else if self.store.room.val() & !self.drops.val() & !self.off.val() {
                self.store.start.next = true;
                self.asked.d.next = true;
                self.want_place.d.next = self.store.place.val();
            }
        }
        self.ar_valid.next = self.asked.q.val();
        self.ar_frame.next = self.want_frame.q.val();
        self.ar_off.next = unsigned_cast_to::<12, 6>(self.want_line.q.val()) << 6;
        self.ar_place.next = self.want_place.q.val();
        if self.asked.q.val() & self.ar_ready.val() {
            self.want.d.next = false;
            self.asked.d.next = false;
        }
        self.store.r_valid.next = self.r_valid.val();
        self.store.r_place.next = self.r_place.val();
        self.store.r_data.next = self.r_data.val();
        self.store.r_good.next = self.r_status.val() == 0;
        self.store.r_leaf.next = self.r_leaf.val();
        self.store.r_last.next = self.r_last.val();
        self.stale.next = self.store.stale.val();

        // Of what use the lines are.
        if self.store.start.val() & self.store.wasted.val() & (self.doubt.q.val() != 7) {
            self.doubt.d.next = self.doubt.q.val() + 1;
        }
        if self.used.val() & self.store.fresh.val() {
            self.doubt.d.next = 0.into();
            if self.doubt.q.val() > 2 {
                self.doubt.d.next = self.doubt.q.val() - 2;
            }
        }

        // What is offered stays until it is taken; the rest goes.
        self.store.reset.next = self.reset.val();
        self.store.drop.next = self.drops.val() | self.off.val();
        if self.drops.val() | self.off.val() {
            self.now.d.next = false;
            self.run.d.next = false;
            if !self.asked.q.val() {
                self.want.d.next = false;
            }
        }
        if self.reset.val() {
            self.now.d.next = false;
            self.want.d.next = false;
            self.asked.d.next = false;
            self.run.d.next = false;
            self.doubt.d.next = 0.into();
        }
    }
}
