//! The physical address of an answer: page number by page size, offset and inner page bits from the IOVA.
//! Combinational.
//!
//! Invariant: a refused request shows address 0 and size 0, so that no address leaves with a fault.

use crate::types::{Leaf, Req, Spa};
use crate::widen::unsigned_cast_to;
use rust_hdl::prelude::*;

/// See the module.
#[derive(LogicBlock)]
pub struct Answer {
    /// The request.
    pub req: Signal<In, Req>,
    /// The leaf.
    pub leaf: Signal<In, Leaf>,
    /// Its size: 0 4 KiB, 1 64 KiB, 2 2 MiB, 3 1 GiB, 4 512 GiB, 5 256 TiB.
    pub leaf_size: Signal<In, Bits<3>>,
    /// No leaf: SPA = IOVA (TRN-19).
    pub identity: Signal<In, Bit>,
    /// Refused.
    pub fault: Signal<In, Bit>,
    /// Physical address.
    pub spa: Signal<Out, Spa>,
    /// Page size; an identity speaks of 4 KiB.
    pub size: Signal<Out, Bits<3>>,
    hi: Signal<Local, Bits<7>>,
    vpn4: Signal<Local, Bits<9>>,
    napot_kept: Constant<Bits<9>>,
    napot_free: Constant<Bits<9>>,
    nowhere: Constant<Spa>,
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            req: Default::default(),
            leaf: Default::default(),
            leaf_size: Default::default(),
            identity: Default::default(),
            fault: Default::default(),
            spa: Default::default(),
            size: Default::default(),
            hi: Default::default(),
            vpn4: Default::default(),
            // S1-25: the low four bits of a NAPOT page number come from the IOVA.
            napot_kept: Constant::new(0x1f0u64.into()),
            napot_free: Constant::new(0x00fu64.into()),
            nowhere: Constant::new(Spa::default()),
        }
    }
}

impl Logic for Answer {
    #[hdl_gen]
    fn update(&mut self) {
        self.hi.next = self.req.val().hi;
        self.vpn4.next = self.req.val().vpn4;
        self.spa.next.off = self.req.val().off;
        self.spa.next.p0 = self.leaf.val().p0;
        self.spa.next.p1 = self.leaf.val().p1;
        self.spa.next.p2 = self.leaf.val().p2;
        self.spa.next.p3 = self.leaf.val().p3;
        self.spa.next.p4 = self.leaf.val().p4;
        self.spa.next.hi = 0.into();
        if self.leaf_size.val() == 1 {
            self.spa.next.p0 = (self.leaf.val().p0 & self.napot_kept.val())
                | (self.req.val().vpn0 & self.napot_free.val());
        }
        if self.identity.val() | (self.leaf_size.val() > 1) {
            self.spa.next.p0 = self.req.val().vpn0;
        }
        if self.identity.val() | (self.leaf_size.val() > 2) {
            self.spa.next.p1 = self.req.val().vpn1;
        }
        if self.identity.val() | (self.leaf_size.val() > 3) {
            self.spa.next.p2 = self.req.val().vpn2;
        }
        if self.identity.val() | (self.leaf_size.val() > 4) {
            self.spa.next.p3 = self.req.val().vpn3;
        }
        if self.identity.val() {
            self.spa.next.p4 = self.vpn4.val().get_bits::<8>(0);
            self.spa.next.hi = (unsigned_cast_to::<8, 7>(self.hi.val()) << 1)
                | unsigned_cast_to::<8, 1>(self.vpn4.val().get_bit(8).into());
        }
        self.size.next = self.leaf_size.val();
        if self.identity.val() | self.fault.val() {
            self.size.next = 0.into();
        }
        if self.fault.val() {
            self.spa.next = self.nowhere.val();
        }
    }
}
