//! What the walker takes from an entry that has been judged ([`crate::entry_check`]): page number, leaf, and whether the
//! leaf grants what the request wants. Combinational, and little more than wires: it is asked when a walk is served.

use crate::types::{Leaf, Pte};
use rust_hdl::prelude::*;

/// See the module.
#[derive(LogicBlock, Default)]
pub struct EntryFields {
    /// The doubleword.
    pub word: Signal<In, Bits<64>>,
    /// What the request wants: 0 read, 1 or 3 write, 2 execute.
    pub access: Signal<In, Bits<2>>,
    /// As a leaf it grants that.
    pub granted: Signal<Out, Bit>,
    /// The leaf, as the IOTLB holds it.
    pub leaf: Signal<Out, Leaf>,
    /// The page number, as far as the IOMMU can address it.
    pub frame: Signal<Out, Bits<28>>,
    /// G.
    pub is_global: Signal<Out, Bit>,
    pte: Signal<Local, Pte>,
}

impl Logic for EntryFields {
    #[hdl_gen]
    fn update(&mut self) {
        self.pte.next = self.word.val().into();
        self.frame.next = self.word.val().get_bits::<28>(10);
        self.is_global.next = self.pte.val().g;
        self.granted.next = ((self.access.val() != 0) | self.pte.val().r)
            & (!self.access.val().get_bit(0) | (self.pte.val().w & self.pte.val().d))
            & ((self.access.val() != 2) | self.pte.val().x);
        self.leaf.next.p0 = self.pte.val().p0;
        self.leaf.next.p1 = self.pte.val().p1;
        self.leaf.next.p2 = self.pte.val().p2;
        self.leaf.next.p3 = self.pte.val().p3;
        self.leaf.next.p4 = self.pte.val().p4;
        self.leaf.next.r = self.pte.val().r;
        self.leaf.next.w = self.pte.val().w & self.pte.val().d;
        self.leaf.next.x = self.pte.val().x;
    }
}
