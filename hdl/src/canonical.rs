//! Is an IOVA one of the page-table mode, and where does its walk begin? Combinational.
//!
//! S1-05: the bits above the virtual address repeat its highest one. Sv39 has 39 bits, Sv48 and Sv57 nine and eighteen
//! more; the root table is indexed by the highest nine of them (S1-02..S1-04).

use crate::types::Req;
use rust_hdl::prelude::*;

/// See the module.
#[derive(LogicBlock)]
pub struct Canonical {
    /// The request.
    pub req: Signal<In, Req>,
    /// Levels beyond three: 0 Sv39, 1 Sv48, 2 Sv57.
    pub extra: Signal<In, Bits<2>>,
    /// Its IOVA is canonical.
    pub canonical: Signal<Out, Bit>,
    /// Index into the root table.
    pub root_vpn: Signal<Out, Bits<9>>,
    vpn2: Signal<Local, Bits<9>>,
    vpn3: Signal<Local, Bits<9>>,
    vpn4: Signal<Local, Bits<9>>,
    zeros: Signal<Local, Bit>,
    ones: Signal<Local, Bit>,
    sign: Signal<Local, Bit>,
    hi_ones: Constant<Bits<7>>,
    vpn_ones: Constant<Bits<9>>,
}

impl Default for Canonical {
    fn default() -> Self {
        Self {
            req: Default::default(),
            extra: Default::default(),
            canonical: Default::default(),
            root_vpn: Default::default(),
            vpn2: Default::default(),
            vpn3: Default::default(),
            vpn4: Default::default(),
            zeros: Default::default(),
            ones: Default::default(),
            sign: Default::default(),
            hi_ones: Constant::new(0x7fu64.into()),
            vpn_ones: Constant::new(0x1ffu64.into()),
        }
    }
}

impl Logic for Canonical {
    #[hdl_gen]
    fn update(&mut self) {
        self.vpn2.next = self.req.val().vpn2;
        self.vpn3.next = self.req.val().vpn3;
        self.vpn4.next = self.req.val().vpn4;
        self.zeros.next = self.req.val().hi == 0;
        self.ones.next = self.req.val().hi == self.hi_ones.val();
        self.sign.next = self.vpn4.val().get_bit(8);
        self.root_vpn.next = self.vpn4.val();
        if self.extra.val() < 2 {
            self.zeros.next = (self.req.val().hi == 0) & (self.vpn4.val() == 0);
            self.ones.next = (self.req.val().hi == self.hi_ones.val())
                & (self.vpn4.val() == self.vpn_ones.val());
            self.sign.next = self.vpn3.val().get_bit(8);
            self.root_vpn.next = self.vpn3.val();
        }
        if self.extra.val() == 0 {
            self.zeros.next =
                (self.req.val().hi == 0) & (self.vpn4.val() == 0) & (self.vpn3.val() == 0);
            self.ones.next = (self.req.val().hi == self.hi_ones.val())
                & (self.vpn4.val() == self.vpn_ones.val())
                & (self.vpn3.val() == self.vpn_ones.val());
            self.sign.next = self.vpn2.val().get_bit(8);
            self.root_vpn.next = self.vpn2.val();
        }
        self.canonical.next =
            (self.zeros.val() & !self.sign.val()) | (self.ones.val() & self.sign.val());
    }
}
