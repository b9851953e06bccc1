//! Holds a leaf for a cycle on its way from the walker to the IOTLB.
//!
//! The walker knows late in a cycle that a leaf is good; its place in the IOTLB and its tag come after that. The leaf waits
//! here for a cycle, so that the judgement ends in a register and the IOTLB begins with one.
//!
//! ```text
//! cycle   0                          1                        2
//!         walker answers: `found` ─► `fill`: is stored   ──►  is found by lookups
//! ```
//!
//! * A maintenance operation that is in stage 1 in cycle 1 acts in the cycle in which the leaf is stored, and would not
//!   meet it: the leaf is dropped (HW2). Later ones find it stored; for earlier ones the walker does not offer it.
//! * A lookup in cycle 0 or 1 does not see the leaf (`raced`): if it misses, it must look up again before it is walked.
//! * A context that is stored in cycle 1 in the leaf's slot goes before it: the caches see to that.

use crate::types::*;
use rust_hdl::prelude::*;

/// `I` index bits of the entries for pages of any size, context slots of `S` bits.
#[derive(LogicBlock, Default)]
pub struct IotlbFill<const I: usize, const S: usize> {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Forgets the leaf.
    pub reset: Signal<In, Bit>,

    /// The walker has a leaf to be stored ...
    pub found: Signal<In, Bit>,
    /// ... for this request ...
    pub found_req: Signal<In, Req>,
    /// ... this one ...
    pub found_leaf: Signal<In, Leaf>,
    /// ... of this size ...
    pub found_size: Signal<In, Bits<3>>,
    /// ... if it is not for the sets, in this entry ...
    pub found_index: Signal<In, Bits<I>>,
    /// ... global ...
    pub found_global: Signal<In, Bit>,
    /// ... of the context in this slot.
    pub found_slot: Signal<In, Bits<S>>,

    /// A maintenance operation is in stage 1.
    pub maintenance: Signal<In, Bit>,
    /// IOVA[20:12] of the lookup in stage 1.
    pub ask_vpn0: Signal<In, Bits<9>>,
    /// It may not see a leaf that it should.
    pub raced: Signal<Out, Bit>,

    /// Store, as the `found_*` of the cycle before.
    pub fill: Signal<Out, Bit>,
    /// For this request.
    pub req: Signal<Out, Req>,
    /// The leaf.
    pub leaf: Signal<Out, Leaf>,
    /// What it allows.
    pub rights: Signal<Out, Rights>,
    /// Its size.
    pub size: Signal<Out, Bits<3>>,
    /// Its entry, if it is not for the sets.
    pub index: Signal<Out, Bits<I>>,
    /// It is global.
    pub is_global: Signal<Out, Bit>,
    /// Its context.
    pub slot: Signal<Out, Bits<S>>,

    pending: DFF<Bit>,
    kept_req: DFF<Req>,
    kept_leaf: DFF<Leaf>,
    kept_size: DFF<Bits<3>>,
    kept_index: DFF<Bits<I>>,
    kept_global: DFF<Bit>,
    kept_slot: DFF<Bits<S>>,
    found_vpn0: Signal<Local, Bits<9>>,
    kept_vpn0: Signal<Local, Bits<9>>,
}

impl<const I: usize, const S: usize> Logic for IotlbFill<I, S> {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            pending,
            kept_req,
            kept_leaf,
            kept_size,
            kept_index,
            kept_global,
            kept_slot
        );
        self.pending.d.next = self.found.val() & !self.reset.val();
        self.kept_req.d.next = self.found_req.val();
        self.kept_leaf.d.next = self.found_leaf.val();
        self.kept_size.d.next = self.found_size.val();
        self.kept_index.d.next = self.found_index.val();
        self.kept_global.d.next = self.found_global.val();
        self.kept_slot.d.next = self.found_slot.val();

        self.fill.next = self.pending.q.val() & !self.maintenance.val();
        self.req.next = self.kept_req.q.val();
        self.leaf.next = self.kept_leaf.q.val();
        self.rights.next.r = self.kept_leaf.q.val().r;
        self.rights.next.w = self.kept_leaf.q.val().w;
        self.rights.next.x = self.kept_leaf.q.val().x;
        self.size.next = self.kept_size.q.val();
        self.index.next = self.kept_index.q.val();
        self.is_global.next = self.kept_global.q.val();
        self.slot.next = self.kept_slot.q.val();

        // Of a page of 4 KiB the lowest part of the number tells most others apart; a larger one may be anybody's.
        self.found_vpn0.next = self.found_req.val().vpn0;
        self.kept_vpn0.next = self.kept_req.q.val().vpn0;
        self.raced.next = (self.found.val()
            & ((self.found_size.val() != 0) | (self.found_vpn0.val() == self.ask_vpn0.val())))
            | (self.pending.q.val()
                & ((self.kept_size.q.val() != 0) | (self.kept_vpn0.val() == self.ask_vpn0.val())));
    }
}
