//! Pointers that walks have found good: to tables of 4 KiB leaves, to tables of 2 MiB entries, and to pages of device
//! contexts. The next walk on the same way begins there.
//!
//! Pointers to page tables belong to the slot of the context that they were found under, and go with it; those of the
//! directory belong to ddtp.
//!
//! ```text
//! cycle   0                        1                        2
//!         walker reads on from it: `found` ─► is stored ──►  `near` to those who ask
//! ```
//!
//! Timing: a request is looked for (`look`) in stage 1, as its long key is compared then, and asks in stage 2: `near` and what
//! belongs to it are made of registers. The walker knows late in a cycle that it goes on, so the pointer waits here for a
//! cycle, and the judgement ends in registers.
//!
//! * A maintenance operation that is in the pipeline in cycle 1 may act in that cycle, and would not meet the pointer:
//!   it is not stored (HW2). Later ones find it stored; for earlier ones the walker does not offer it.
//! * A context that takes a slot (`renew` in cycle 0) must not meet pointers of the one before. They go in cycle 1,
//!   and what goes is not found by who looks in that cycle; the new one is stored in cycle 1 ([`crate::context_fill`]), so its
//!   first request looks in cycle 2. One of the context before may wait here in cycle 0, and is stored before they go; none
//!   can be found later, as the walk slots know (`evict`).

use crate::cells::PointerCache;
use crate::types::*;
use crate::widen::unsigned_cast_to;
use rust_hdl::prelude::*;

/// `C` contexts (`S` slot bits), `P` = `2^PA` pointers to tables of leaves.
#[derive(LogicBlock)]
pub struct Pointers<const C: usize, const S: usize, const P: usize, const PA: usize> {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Forgets all.
    pub reset: Signal<In, Bit>,

    /// A request that may ask in the next cycle ...
    pub look: Signal<In, Req>,
    /// ... whose context, if it is known, is in this slot.
    pub look_slot: Signal<In, Bits<S>>,
    /// Where may the request begin that was `look` in the cycle before: its context is known.
    pub ask_found: Signal<In, Bit>,
    /// There is a shorter way: with a context a page table, without one a page of contexts ...
    pub near: Signal<Out, Bit>,
    /// ... here ...
    pub near_frame: Signal<Out, Bits<28>>,
    /// ... of this level ...
    pub near_level: Signal<Out, Bits<3>>,
    /// ... to which a global pointer leads (S1-29).
    pub near_global: Signal<Out, Bit>,

    /// A walk reads on from a good pointer ...
    pub found: Signal<In, Bit>,
    /// ... to a page of contexts ...
    pub found_contexts: Signal<In, Bit>,
    /// ... to a table of 2 MiB entries ...
    pub found_upper: Signal<In, Bit>,
    /// ... or of 4 KiB leaves ...
    pub found_leaves: Signal<In, Bit>,
    /// ... for this request ...
    pub found_req: Signal<In, Req>,
    /// ... whose context is in this slot.
    pub found_slot: Signal<In, Bits<S>>,
    /// It leads here ...
    pub found_frame: Signal<In, Bits<28>>,
    /// ... and it, or one before it, is global.
    pub found_global: Signal<In, Bit>,

    /// A maintenance operation is in the pipeline.
    pub maintenance: Signal<In, Bit>,
    /// Pointers to page tables of these context slots go.
    pub drop_tables: Signal<In, Bits<C>>,
    /// Pointers of the device directory go.
    pub drop_directory: Signal<In, Bit>,
    /// A context takes a slot ...
    pub renew: Signal<In, Bit>,
    /// ... this one.
    pub renew_slot: Signal<In, Bits<S>>,

    leaves: PointerCache<P, PA, 36, C, S>,
    upper: PointerCache<4, 2, 27, C, S>,
    contexts: PointerCache<4, 2, 17, 2, 1>,

    pending: DFF<Bit>,
    kept_contexts: DFF<Bit>,
    kept_upper: DFF<Bit>,
    kept_leaves: DFF<Bit>,
    kept_key: DFF<Bits<36>>,
    kept_did: DFF<Bits<17>>,
    kept_slot: DFF<Bits<S>>,
    kept_frame: DFF<Bits<28>>,
    kept_global: DFF<Bit>,
    renewed: DFF<Bit>,
    renewed_slot: DFF<Bits<S>>,

    leaves_found: DFF<Bit>,
    leaves_frame: DFF<Bits<28>>,
    leaves_global: DFF<Bit>,
    upper_found: DFF<Bit>,
    upper_frame: DFF<Bits<28>>,
    upper_global: DFF<Bit>,
    contexts_found: DFF<Bit>,
    contexts_frame: DFF<Bits<28>>,

    look_did: Signal<Local, Bits<24>>,
    look_key: Signal<Local, Bits<36>>,
    slot_kept: Signal<Local, Bit>,
    found_did: Signal<Local, Bits<24>>,
    stores: Signal<Local, Bit>,
    gone: Signal<Local, Bits<C>>,
    no_slot: Constant<Bits<1>>,
    both: Constant<Bits<2>>,
}

impl<const C: usize, const S: usize, const P: usize, const PA: usize> Default
    for Pointers<C, S, P, PA>
{
    fn default() -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            look: Default::default(),
            look_slot: Default::default(),
            ask_found: Default::default(),
            near: Default::default(),
            near_frame: Default::default(),
            near_level: Default::default(),
            near_global: Default::default(),
            found: Default::default(),
            found_contexts: Default::default(),
            found_upper: Default::default(),
            found_leaves: Default::default(),
            found_req: Default::default(),
            found_slot: Default::default(),
            found_frame: Default::default(),
            found_global: Default::default(),
            maintenance: Default::default(),
            drop_tables: Default::default(),
            drop_directory: Default::default(),
            renew: Default::default(),
            renew_slot: Default::default(),
            leaves: Default::default(),
            upper: Default::default(),
            contexts: Default::default(),
            pending: Default::default(),
            kept_contexts: Default::default(),
            kept_upper: Default::default(),
            kept_leaves: Default::default(),
            kept_key: Default::default(),
            kept_did: Default::default(),
            kept_slot: Default::default(),
            kept_frame: Default::default(),
            kept_global: Default::default(),
            renewed: Default::default(),
            renewed_slot: Default::default(),
            leaves_found: Default::default(),
            leaves_frame: Default::default(),
            leaves_global: Default::default(),
            upper_found: Default::default(),
            upper_frame: Default::default(),
            upper_global: Default::default(),
            contexts_found: Default::default(),
            contexts_frame: Default::default(),
            look_did: Default::default(),
            look_key: Default::default(),
            slot_kept: Default::default(),
            found_did: Default::default(),
            stores: Default::default(),
            gone: Default::default(),
            no_slot: Constant::new(0u64.into()),
            both: Constant::new(3u64.into()),
        }
    }
}

impl<const C: usize, const S: usize, const P: usize, const PA: usize> Logic
    for Pointers<C, S, P, PA>
{
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            pending,
            kept_contexts,
            kept_upper,
            kept_leaves,
            kept_key,
            kept_did,
            kept_slot,
            kept_frame,
            kept_global,
            renewed,
            renewed_slot,
            leaves_found,
            leaves_frame,
            leaves_global,
            upper_found,
            upper_frame,
            upper_global,
            contexts_found,
            contexts_frame
        );
        clock!(self, clock, leaves, upper, contexts);
        self.leaves.reset.next = self.reset.val();
        self.upper.reset.next = self.reset.val();
        self.contexts.reset.next = self.reset.val();

        // Who will ask. What is about to go is not found.
        self.look_did.next = self.look.val().did;
        self.look_key.next = (unsigned_cast_to::<36, 9>(self.look.val().vpn4) << 27)
            | (unsigned_cast_to::<36, 9>(self.look.val().vpn3) << 18)
            | (unsigned_cast_to::<36, 9>(self.look.val().vpn2) << 9)
            | unsigned_cast_to::<36, 9>(self.look.val().vpn1);
        self.leaves.ask_key.next = self.look_key.val();
        self.leaves.ask_slot.next = self.look_slot.val();
        self.upper.ask_key.next = self.look_key.val().get_bits::<27>(9);
        self.upper.ask_slot.next = self.look_slot.val();
        self.contexts.ask_key.next = self.look_did.val().get_bits::<17>(7);
        self.contexts.ask_slot.next = self.no_slot.val();
        self.slot_kept.next =
            !(self.renewed.q.val() & (self.renewed_slot.q.val() == self.look_slot.val()));
        self.leaves_found.d.next = self.leaves.hit.val() & self.slot_kept.val();
        self.leaves_frame.d.next = self.leaves.frame.val();
        self.leaves_global.d.next = self.leaves.is_global.val();
        self.upper_found.d.next = self.upper.hit.val() & self.slot_kept.val();
        self.upper_frame.d.next = self.upper.frame.val();
        self.upper_global.d.next = self.upper.is_global.val();
        self.contexts_found.d.next = self.contexts.hit.val() & !self.drop_directory.val();
        self.contexts_frame.d.next = self.contexts.frame.val();
        self.near.next = self.contexts_found.q.val();
        self.near_frame.next = self.contexts_frame.q.val();
        self.near_level.next = 0.into();
        self.near_global.next = false;
        if self.ask_found.val() {
            self.near.next = self.leaves_found.q.val() | self.upper_found.q.val();
            self.near_frame.next = self.upper_frame.q.val();
            self.near_level.next = 1.into();
            self.near_global.next = self.upper_global.q.val();
            if self.leaves_found.q.val() {
                self.near_frame.next = self.leaves_frame.q.val();
                self.near_level.next = 0.into();
                self.near_global.next = self.leaves_global.q.val();
            }
        }

        // What has been found waits for a cycle, and so does that a slot is another's.
        self.found_did.next = self.found_req.val().did;
        self.pending.d.next = self.found.val() & !self.reset.val();
        self.kept_contexts.d.next = self.found_contexts.val();
        self.kept_upper.d.next = self.found_upper.val();
        self.kept_leaves.d.next = self.found_leaves.val();
        self.kept_key.d.next = (unsigned_cast_to::<36, 9>(self.found_req.val().vpn4) << 27)
            | (unsigned_cast_to::<36, 9>(self.found_req.val().vpn3) << 18)
            | (unsigned_cast_to::<36, 9>(self.found_req.val().vpn2) << 9)
            | unsigned_cast_to::<36, 9>(self.found_req.val().vpn1);
        self.kept_did.d.next = self.found_did.val().get_bits::<17>(7);
        self.kept_slot.d.next = self.found_slot.val();
        self.kept_frame.d.next = self.found_frame.val();
        self.kept_global.d.next = self.found_global.val();
        self.renewed.d.next = self.renew.val() & !self.reset.val();
        self.renewed_slot.d.next = self.renew_slot.val();

        self.stores.next = self.pending.q.val() & !self.maintenance.val();
        self.leaves.fill.next = self.stores.val() & self.kept_leaves.q.val();
        self.leaves.fill_key.next = self.kept_key.q.val();
        self.leaves.fill_slot.next = self.kept_slot.q.val();
        self.leaves.fill_frame.next = self.kept_frame.q.val();
        self.leaves.fill_global.next = self.kept_global.q.val();
        self.upper.fill.next = self.stores.val() & self.kept_upper.q.val();
        self.upper.fill_key.next = self.kept_key.q.val().get_bits::<27>(9);
        self.upper.fill_slot.next = self.kept_slot.q.val();
        self.upper.fill_frame.next = self.kept_frame.q.val();
        self.upper.fill_global.next = self.kept_global.q.val();
        self.contexts.fill.next = self.stores.val() & self.kept_contexts.q.val();
        self.contexts.fill_key.next = self.kept_did.q.val();
        self.contexts.fill_slot.next = self.no_slot.val();
        self.contexts.fill_frame.next = self.kept_frame.q.val();
        self.contexts.fill_global.next = false;

        self.gone.next = self.drop_tables.val();
        if self.renewed.q.val() {
            self.gone.next = self
                .drop_tables
                .val()
                .replace_bit(self.renewed_slot.q.val().index(), true);
        }
        self.leaves.drop.next = self.gone.val();
        self.upper.drop.next = self.gone.val();
        self.contexts.drop.next = 0.into();
        if self.drop_directory.val() {
            self.contexts.drop.next = self.both.val();
        }
    }
}
