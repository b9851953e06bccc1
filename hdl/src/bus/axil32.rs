//! AXI4-Lite registers, 32 bits wide: every access is a 4-byte access of the register port.
//!
//! A write that does not set all four byte enables touches nothing (REG-04) and is answered OKAY like any other: a bus
//! error would stop the machine for what the specification leaves open. Reads and writes take turns.
//! Timing: address and data are taken together; four cycles from there to the answer's `valid`.

use crate::bus::shapes::AxiLite;
use crate::widen::unsigned_cast_to;
use rust_hdl::prelude::*;

/// What the bridge does.
#[derive(LogicState, Debug, Copy, Clone, PartialEq)]
pub enum Lite32State {
    /// Waits for an address.
    Idle,
    /// The register port is asked.
    Access,
    /// The answer is offered.
    Answer,
}

/// See the module.
#[derive(LogicBlock)]
pub struct AxiLite32 {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Forgets an access.
    pub reset: Signal<In, Bit>,
    /// The bus.
    pub s_axil: AxiLite<32, 4>,
    /// Register port: an access is offered.
    pub reg_valid: Signal<Out, Bit>,
    /// It writes.
    pub reg_write: Signal<Out, Bit>,
    /// Byte offset.
    pub reg_offset: Signal<Out, Bits<12>>,
    /// 8 bytes.
    pub reg_wide: Signal<Out, Bit>,
    /// Data.
    pub reg_wdata: Signal<Out, Bits<64>>,
    /// The access ends.
    pub reg_done: Signal<In, Bit>,
    /// What it read.
    pub reg_rdata: Signal<In, Bits<64>>,

    state: DFF<Lite32State>,
    write: DFF<Bit>,
    offset: DFF<Bits<12>>,
    data: DFF<Bits<32>>,
    writes: Signal<Local, Bit>,
    reads: Signal<Local, Bit>,
    word: Constant<Bits<12>>,
}

impl Default for AxiLite32 {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            s_axil: Default::default(),
            reg_valid: Default::default(),
            reg_write: Default::default(),
            reg_offset: Default::default(),
            reg_wide: Default::default(),
            reg_wdata: Default::default(),
            reg_done: Default::default(),
            reg_rdata: Default::default(),
            state: Default::default(),
            write: Default::default(),
            offset: Default::default(),
            data: Default::default(),
            writes: Default::default(),
            reads: Default::default(),
            word: Constant::new(0xffcu64.into()),
        }
    }
}

impl Logic for AxiLite32 {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, state, write, offset, data);
        self.writes.next = self.s_axil.awvalid.val() & self.s_axil.wvalid.val();
        self.reads.next = self.s_axil.arvalid.val();
        if self.writes.val() & self.reads.val() {
            // The other kind than last time.
            self.writes.next = !self.write.q.val();
            self.reads.next = self.write.q.val();
        }
        self.s_axil.awready.next = false;
        self.s_axil.wready.next = false;
        self.s_axil.arready.next = false;
        self.s_axil.bvalid.next = false;
        self.s_axil.rvalid.next = false;
        self.s_axil.bresp.next = 0.into();
        self.s_axil.rresp.next = 0.into();
        self.s_axil.rdata.next = self.data.q.val();
        self.reg_valid.next = false;
        self.reg_write.next = self.write.q.val();
        self.reg_offset.next = self.offset.q.val();
        self.reg_wide.next = false;
        self.reg_wdata.next = unsigned_cast_to::<64, 32>(self.data.q.val());
        match self.state.q.val() {
            Lite32State::Idle => {
                if self.writes.val() {
                    self.s_axil.awready.next = true;
                    self.s_axil.wready.next = true;
                    self.write.d.next = true;
                    self.offset.d.next = self.s_axil.awaddr.val() & self.word.val();
                    self.data.d.next = self.s_axil.wdata.val();
                    self.state.d.next = Lite32State::Answer;
                    if self.s_axil.wstrb.val().all() {
                        self.state.d.next = Lite32State::Access;
                    }
                }
                if self.reads.val() {
                    self.s_axil.arready.next = true;
                    self.write.d.next = false;
                    self.offset.d.next = self.s_axil.araddr.val() & self.word.val();
                    self.state.d.next = Lite32State::Access;
                }
            }
            Lite32State::Access => {
                self.reg_valid.next = true;
                if self.reg_done.val() {
                    self.data.d.next = self.reg_rdata.val().get_bits::<32>(0);
                    self.state.d.next = Lite32State::Answer;
                }
            }
            Lite32State::Answer => {
                self.s_axil.bvalid.next = self.write.q.val();
                self.s_axil.rvalid.next = !self.write.q.val();
                if (self.write.q.val() & self.s_axil.bready.val())
                    | (!self.write.q.val() & self.s_axil.rready.val())
                {
                    self.state.d.next = Lite32State::Idle;
                }
            }
            _ => {
                self.state.d.next = Lite32State::Idle;
            }
        }
        if self.reset.val() {
            self.state.d.next = Lite32State::Idle;
        }
    }
}
