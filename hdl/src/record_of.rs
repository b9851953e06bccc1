//! The fault record of a request (FLT-07..FLT-11). Combinational.

use crate::types::{Iova, Record, Req};
use rust_hdl::prelude::*;

/// See the module.
#[derive(LogicBlock, Default)]
pub struct RecordOf {
    /// The request.
    pub req: Signal<In, Req>,
    /// CAUSE.
    pub cause: Signal<In, Bits<9>>,
    /// The record.
    pub record: Signal<Out, Record>,
    access: Signal<Local, Bits<2>>,
    ttyp: Signal<Local, Bits<4>>,
    iova: Signal<Local, Iova>,
}

impl Logic for RecordOf {
    #[hdl_gen]
    fn update(&mut self) {
        self.iova.next.off = self.req.val().off;
        self.iova.next.vpn0 = self.req.val().vpn0;
        self.iova.next.vpn1 = self.req.val().vpn1;
        self.iova.next.vpn2 = self.req.val().vpn2;
        self.iova.next.vpn3 = self.req.val().vpn3;
        self.iova.next.vpn4 = self.req.val().vpn4;
        self.iova.next.hi = self.req.val().hi;
        self.access.next = self.req.val().access;
        // FLT-09: execute 1, read 2, write 3; the same with 4 added for translated requests; 8 for ATS.
        self.ttyp.next = 2.into();
        if self.access.val().get_bit(0) {
            self.ttyp.next = 3.into();
        }
        if self.access.val() == 2 {
            self.ttyp.next = 1.into();
        }
        self.record.next.ttyp = self.ttyp.val();
        if self.req.val().kind == 1 {
            self.record.next.ttyp = self.ttyp.val() | 4;
        }
        if self.req.val().kind == 2 {
            self.record.next.ttyp = 8.into();
        }
        self.record.next.cause = self.cause.val();
        self.record.next.did = self.req.val().did;
        self.record.next.pv = self.req.val().pv;
        // FLT-08.
        self.record.next.sup = self.req.val().pv & self.req.val().sup;
        self.record.next.pid = 0.into();
        if self.req.val().pv {
            self.record.next.pid = self.req.val().pid;
        }
        self.record.next.iova = self.iova.val().into();
    }
}
