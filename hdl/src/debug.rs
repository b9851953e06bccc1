//! The debug translation interface (tr_req_iova, tr_req_ctl, tr_response): asks the core as a device would.
//!
//! Go puts an untranslated request of software's choosing into the lookup pipeline; its answer comes back here instead
//! of to the response port, and Busy falls (DBG-03, DBG-04). Faults are recorded like a device's (DBG-07). The answer
//! always speaks of the 4 KiB page around the address (DBG-06, A-16). While Busy the registers do not change.

use crate::types::{Iova, Req, Spa};
use crate::widen::unsigned_cast_to;
use rust_hdl::prelude::*;

/// States of the interface.
#[derive(LogicState, Debug, Copy, Clone, PartialEq)]
pub enum DebugState {
    /// Waits for Go.
    Idle,
    /// Offers the request.
    Ask,
    /// Waits for the answer.
    Wait,
}

/// See the module.
#[derive(LogicBlock)]
pub struct Debug {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Back to Idle.
    pub reset: Signal<In, Bit>,
    /// It writes.
    pub bus_write: Signal<In, Bit>,
    /// Doubleword of the register page.
    pub bus_row: Signal<In, Bits<9>>,
    /// Low half of an 8-byte register.
    pub bus_low: Signal<In, Bit>,
    /// High half of an 8-byte register.
    pub bus_high: Signal<In, Bit>,
    /// Low half of the data.
    pub bus_wlo: Signal<In, Bits<32>>,
    /// High half of the data.
    pub bus_whi: Signal<In, Bits<32>>,
    /// Low half read.
    pub read_lo: Signal<Out, Bits<32>>,
    /// High half read.
    pub read_hi: Signal<Out, Bits<32>>,
    /// A request is offered.
    pub valid: Signal<Out, Bit>,
    /// It is taken.
    pub ready: Signal<In, Bit>,
    /// The request.
    pub req: Signal<Out, Req>,
    /// Its answer is there.
    pub done: Signal<In, Bit>,
    /// Refused.
    pub fault: Signal<In, Bit>,
    /// Physical address.
    pub spa: Signal<In, Spa>,

    state: DFF<DebugState>,
    iova_lo: DFF<Bits<20>>,
    iova_hi: DFF<Bits<32>>,
    ctl_lo: DFF<Bits<32>>,
    ctl_hi: DFF<Bits<32>>,
    rsp_fault: DFF<Bit>,
    rsp_spa: DFF<Spa>,
    ctl: Signal<Local, Bits<32>>,
    busy: Signal<Local, Bit>,
    iova_word: Signal<Local, Bits<64>>,
    iova: Signal<Local, Iova>,
    ppn: Signal<Local, Bits<64>>,
    answer: Signal<Local, Bits<64>>,
    no_req: Constant<Req>,
    lo_mask: Constant<Bits<32>>,
    hi_mask: Constant<Bits<32>>,
}

impl Default for Debug {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            bus_write: Default::default(),
            bus_row: Default::default(),
            bus_low: Default::default(),
            bus_high: Default::default(),
            bus_wlo: Default::default(),
            bus_whi: Default::default(),
            read_lo: Default::default(),
            read_hi: Default::default(),
            valid: Default::default(),
            ready: Default::default(),
            req: Default::default(),
            done: Default::default(),
            fault: Default::default(),
            spa: Default::default(),
            state: Default::default(),
            iova_lo: Default::default(),
            iova_hi: Default::default(),
            ctl_lo: Default::default(),
            ctl_hi: Default::default(),
            rsp_fault: Default::default(),
            rsp_spa: Default::default(),
            ctl: Default::default(),
            busy: Default::default(),
            iova_word: Default::default(),
            iova: Default::default(),
            ppn: Default::default(),
            answer: Default::default(),
            no_req: Constant::new(Req::default()),
            // DBG-02: Priv 1, Exe 2, NW 3, PID 31:12; PV 32, DID 63:40. Go is not stored.
            lo_mask: Constant::new(0xffff_f00eu64.into()),
            hi_mask: Constant::new(0xffff_ff01u64.into()),
        }
    }
}

impl Logic for Debug {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self, clock, state, iova_lo, iova_hi, ctl_lo, ctl_hi, rsp_fault, rsp_spa
        );
        self.busy.next = self.state.q.val() != DebugState::Idle;
        self.ctl.next = self.ctl_lo.q.val();

        // The request.
        self.iova_word.next = (unsigned_cast_to::<64, 32>(self.iova_hi.q.val()) << 32)
            | (unsigned_cast_to::<64, 20>(self.iova_lo.q.val()) << 12);
        self.iova.next = self.iova_word.val().into();
        self.req.next = self.no_req.val();
        self.req.next.vpn0 = self.iova.val().vpn0;
        self.req.next.vpn1 = self.iova.val().vpn1;
        self.req.next.vpn2 = self.iova.val().vpn2;
        self.req.next.vpn3 = self.iova.val().vpn3;
        self.req.next.vpn4 = self.iova.val().vpn4;
        self.req.next.hi = self.iova.val().hi;
        self.req.next.did = self.ctl_hi.q.val().get_bits::<24>(8);
        self.req.next.pv = self.ctl_hi.q.val().get_bit(0);
        self.req.next.pid = self.ctl.val().get_bits::<20>(12);
        self.req.next.sup = self.ctl.val().get_bit(1);
        self.req.next.access = 1.into();
        if self.ctl.val().get_bit(3) {
            self.req.next.access = 0.into();
            if self.ctl.val().get_bit(2) {
                self.req.next.access = 2.into();
            }
        }
        self.req.next.debug = true;
        self.valid.next = false;

        // The registers.
        self.ppn.next = (unsigned_cast_to::<64, 8>(self.rsp_spa.q.val().p4) << 46)
            | (unsigned_cast_to::<64, 9>(self.rsp_spa.q.val().p3) << 37)
            | (unsigned_cast_to::<64, 9>(self.rsp_spa.q.val().p2) << 28)
            | (unsigned_cast_to::<64, 9>(self.rsp_spa.q.val().p1) << 19)
            | (unsigned_cast_to::<64, 9>(self.rsp_spa.q.val().p0) << 10);
        self.answer.next =
            self.ppn.val() | unsigned_cast_to::<64, 1>(self.rsp_fault.q.val().into());
        self.read_lo.next = 0.into();
        self.read_hi.next = 0.into();
        match self.bus_row.val().index() {
            75 => {
                self.read_lo.next = unsigned_cast_to::<32, 20>(self.iova_lo.q.val()) << 12;
                self.read_hi.next = self.iova_hi.q.val();
                if self.bus_write.val() & !self.busy.val() {
                    if self.bus_low.val() {
                        self.iova_lo.d.next = self.bus_wlo.val().get_bits::<20>(12);
                    }
                    if self.bus_high.val() {
                        self.iova_hi.d.next = self.bus_whi.val();
                    }
                }
            }
            76 => {
                self.read_lo.next =
                    self.ctl.val() | unsigned_cast_to::<32, 1>(self.busy.val().into());
                self.read_hi.next = self.ctl_hi.q.val();
                if self.bus_write.val() & !self.busy.val() {
                    if self.bus_low.val() {
                        self.ctl_lo.d.next = self.bus_wlo.val() & self.lo_mask.val();
                        if self.bus_wlo.val().get_bit(0) {
                            self.state.d.next = DebugState::Ask;
                        }
                    }
                    if self.bus_high.val() {
                        self.ctl_hi.d.next = self.bus_whi.val() & self.hi_mask.val();
                    }
                }
            }
            77 => {
                self.read_lo.next = self.answer.val().get_bits::<32>(0);
                self.read_hi.next = self.answer.val().get_bits::<32>(32);
            }
            _ => {}
        }

        match self.state.q.val() {
            DebugState::Ask => {
                self.valid.next = true;
                if self.ready.val() {
                    self.state.d.next = DebugState::Wait;
                }
            }
            DebugState::Wait => {
                if self.done.val() {
                    self.rsp_fault.d.next = self.fault.val();
                    self.rsp_spa.d.next = self.spa.val();
                    self.state.d.next = DebugState::Idle;
                }
            }
            _ => {}
        }

        if self.reset.val() {
            self.state.d.next = DebugState::Idle;
            self.ctl_lo.d.next = 0.into();
            self.ctl_hi.d.next = 0.into();
        }
    }
}
