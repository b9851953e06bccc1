//! Of which page-table modes is an IOVA? Combinational.
//!
//! S1-05: the bits above the virtual address repeat its highest one. Sv39 has 39 bits, Sv48 and Sv57 nine and eighteen
//! more (S1-02..S1-04). All three are asked at once: the mode comes with the context, later than the request.

use crate::types::Req;
use rust_hdl::prelude::*;

/// See the module.
#[derive(LogicBlock)]
pub struct Canonical {
    /// The request.
    pub req: Signal<In, Req>,
    /// Its IOVA is one of Sv39 ...
    pub sv39: Signal<Out, Bit>,
    /// ... of Sv48 ...
    pub sv48: Signal<Out, Bit>,
    /// ... of Sv57.
    pub sv57: Signal<Out, Bit>,
    vpn2: Signal<Local, Bits<9>>,
    vpn3: Signal<Local, Bits<9>>,
    vpn4: Signal<Local, Bits<9>>,
    zeros57: Signal<Local, Bit>,
    ones57: Signal<Local, Bit>,
    zeros48: Signal<Local, Bit>,
    ones48: Signal<Local, Bit>,
    zeros39: Signal<Local, Bit>,
    ones39: Signal<Local, Bit>,
    hi_ones: Constant<Bits<7>>,
    vpn_ones: Constant<Bits<9>>,
}

impl Default for Canonical {
    fn default() -> Self {
        Self {
            req: Default::default(),
            sv39: Default::default(),
            sv48: Default::default(),
            sv57: Default::default(),
            vpn2: Default::default(),
            vpn3: Default::default(),
            vpn4: Default::default(),
            zeros57: Default::default(),
            ones57: Default::default(),
            zeros48: Default::default(),
            ones48: Default::default(),
            zeros39: Default::default(),
            ones39: Default::default(),
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
        self.zeros57.next = self.req.val().hi == 0;
        self.ones57.next = self.req.val().hi == self.hi_ones.val();
        self.zeros48.next = self.zeros57.val() & (self.vpn4.val() == 0);
        self.ones48.next = self.ones57.val() & (self.vpn4.val() == self.vpn_ones.val());
        self.zeros39.next = self.zeros48.val() & (self.vpn3.val() == 0);
        self.ones39.next = self.ones48.val() & (self.vpn3.val() == self.vpn_ones.val());
        self.sv57.next = (self.zeros57.val() & !self.vpn4.val().get_bit(8))
            | (self.ones57.val() & self.vpn4.val().get_bit(8));
        self.sv48.next = (self.zeros48.val() & !self.vpn3.val().get_bit(8))
            | (self.ones48.val() & self.vpn3.val().get_bit(8));
        self.sv39.next = (self.zeros39.val() & !self.vpn2.val().get_bit(8))
            | (self.ones39.val() & self.vpn2.val().get_bit(8));
    }
}
