//! Holds a device context for a cycle on its way from the walker to the context cache.
//!
//! The walker knows late in a cycle that a context is good; the cache compares it with the requests that come. It waits here
//! for a cycle, as leaves do ([`crate::iotlb_fill`]).
//!
//! ```text
//! cycle   0                          1                        2
//!         walker reads on: `found` ─► `fill`: is stored  ──►  is found by stage 1
//! ```
//!
//! * A maintenance operation that is in stage 1 in cycle 1 acts in the cycle in which the context is stored, and would not
//!   meet it: the context is dropped (HW1). Later ones find it stored; for earlier ones the walker does not offer it.
//! * None comes into stage 1 at the end of cycle 1 (`waits`): it would be compared with the contexts before.
//! * A lookup in cycle 0 or 1 does not see the context (`raced`): if it misses, it must look up again before it is walked, or
//!   a second walk would fetch the same context.
//! * What belongs to the context that had the slot goes in cycle 1: until then lookups find both, and from then on neither.

use crate::types::Context;
use rust_hdl::prelude::*;

/// Context slots of `S` bits.
#[derive(LogicBlock, Default)]
pub struct ContextFill<const S: usize> {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Forgets the context.
    pub reset: Signal<In, Bit>,

    /// The walker has a context to be stored ...
    pub found: Signal<In, Bit>,
    /// ... in this slot ...
    pub found_slot: Signal<In, Bits<S>>,
    /// ... of this device_id ...
    pub found_did: Signal<In, Bits<24>>,
    /// ... with this PSCID ...
    pub found_pscid: Signal<In, Bits<20>>,
    /// ... this one.
    pub found_info: Signal<In, Context>,

    /// A maintenance operation is in stage 1.
    pub maintenance: Signal<In, Bit>,
    /// The lookup in stage 1 may not see a context that it should.
    pub raced: Signal<Out, Bit>,

    /// A context is about to be stored: no maintenance operation may come into stage 1, as it would not see it.
    pub waits: Signal<Out, Bit>,
    /// Store, as the `found_*` of the cycle before.
    pub fill: Signal<Out, Bit>,
    /// In this slot.
    pub slot: Signal<Out, Bits<S>>,
    /// For this device_id.
    pub did: Signal<Out, Bits<24>>,
    /// Its PSCID.
    pub pscid: Signal<Out, Bits<20>>,
    /// Its content.
    pub info: Signal<Out, Context>,

    pending: DFF<Bit>,
    kept_slot: DFF<Bits<S>>,
    kept_did: DFF<Bits<24>>,
    kept_pscid: DFF<Bits<20>>,
    kept_info: DFF<Context>,
}

impl<const S: usize> Logic for ContextFill<S> {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self, clock, pending, kept_slot, kept_did, kept_pscid, kept_info
        );
        self.pending.d.next = self.found.val() & !self.reset.val();
        self.kept_slot.d.next = self.found_slot.val();
        self.kept_did.d.next = self.found_did.val();
        self.kept_pscid.d.next = self.found_pscid.val();
        self.kept_info.d.next = self.found_info.val();

        self.waits.next = self.pending.q.val();
        self.fill.next = self.pending.q.val() & !self.maintenance.val();
        self.slot.next = self.kept_slot.q.val();
        self.did.next = self.kept_did.q.val();
        self.pscid.next = self.kept_pscid.q.val();
        self.info.next = self.kept_info.q.val();
        self.raced.next = self.found.val() | self.pending.q.val();
    }
}
