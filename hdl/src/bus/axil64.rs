//! AXI4-Lite registers, 64 bits wide.
//!
//! AXI4-Lite reads do not say how many bytes are wanted. An 8-byte register is read whole; of a pair of 4-byte
//! registers both are read, one after the other: reading has no side effect. Writes go by their byte enables: all
//! eight make an 8-byte access, exactly one half a 4-byte access, and anything else touches nothing (REG-04) and is
//! answered OKAY like any other. Reads and writes take turns.
//! Timing: address and data are taken together; four cycles from there to the answer's `valid`, six for a pair.

use crate::bus::shapes::AxiLite;
use crate::widen::unsigned_cast_to;
use portcullis_regmap::regs::REGISTERS;
use rust_hdl::prelude::*;

/// What the bridge does.
#[derive(LogicState, Debug, Copy, Clone, PartialEq)]
pub enum Lite64State {
    /// Waits for an address.
    Idle,
    /// The register port is asked, of a pair for the first.
    Access,
    /// It is asked for the second of a pair.
    Second,
    /// The answer is offered.
    Answer,
}

/// See the module.
#[derive(LogicBlock)]
pub struct AxiLite64 {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Forgets an access.
    pub reset: Signal<In, Bit>,
    /// The bus.
    pub s_axil: AxiLite<64, 8>,
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

    state: DFF<Lite64State>,
    write: DFF<Bit>,
    wide: DFF<Bit>,
    offset: DFF<Bits<12>>,
    data: DFF<Bits<64>>,
    writes: Signal<Local, Bit>,
    reads: Signal<Local, Bit>,
    pair: Signal<Local, Bit>,
    row: Signal<Local, Bits<9>>,
    low_strobe: Signal<Local, Bits<4>>,
    high_strobe: Signal<Local, Bits<4>>,
    first: Signal<Local, Bits<32>>,
    row_mask: Constant<Bits<12>>,
    four: Constant<Bits<12>>,
    pairs: Vec<Constant<Bits<9>>>,
    _pairs: usize,
}

/// Doublewords of the register page that hold 4-byte registers.
fn pairs() -> Vec<u64> {
    let narrow = REGISTERS.iter().filter(|r| r.width == 4);
    let offsets = narrow.flat_map(|r| (0..u16::from(r.count)).map(|i| r.offset + i * r.stride));
    let mut rows: Vec<u64> = offsets.map(|o| u64::from(o / 8)).collect();
    rows.sort_unstable();
    rows.dedup();
    rows
}

impl Default for AxiLite64 {
    fn default() -> Self {
        let pairs = pairs();
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
            wide: Default::default(),
            offset: Default::default(),
            data: Default::default(),
            writes: Default::default(),
            reads: Default::default(),
            pair: Default::default(),
            row: Default::default(),
            low_strobe: Default::default(),
            high_strobe: Default::default(),
            first: Default::default(),
            row_mask: Constant::new(0xff8u64.into()),
            four: Constant::new(4u64.into()),
            _pairs: pairs.len(),
            pairs: pairs
                .iter()
                .map(|row| Constant::new((*row).into()))
                .collect(),
        }
    }
}

impl Logic for AxiLite64 {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, state, write, wide, offset, data);
        self.writes.next = self.s_axil.awvalid.val() & self.s_axil.wvalid.val();
        self.reads.next = self.s_axil.arvalid.val();
        if self.writes.val() & self.reads.val() {
            // The other kind than last time.
            self.writes.next = !self.write.q.val();
            self.reads.next = self.write.q.val();
        }
        self.low_strobe.next = self.s_axil.wstrb.val().get_bits::<4>(0);
        self.high_strobe.next = self.s_axil.wstrb.val().get_bits::<4>(4);
        self.row.next = self.s_axil.araddr.val().get_bits::<9>(3);
        self.pair.next = false;
        for i in 0..self._pairs {
            if self.row.val() == self.pairs[i].val() {
                self.pair.next = true;
            }
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
        self.reg_wide.next = self.wide.q.val();
        self.reg_wdata.next = self.data.q.val();
        self.first.next = self.data.q.val().get_bits::<32>(0);
        match self.state.q.val() {
            Lite64State::Idle => {
                if self.writes.val() {
                    self.s_axil.awready.next = true;
                    self.s_axil.wready.next = true;
                    self.write.d.next = true;
                    self.wide.d.next = self.s_axil.wstrb.val().all();
                    self.offset.d.next = self.s_axil.awaddr.val() & self.row_mask.val();
                    self.data.d.next = self.s_axil.wdata.val();
                    self.state.d.next = Lite64State::Answer;
                    if self.s_axil.wstrb.val().all()
                        | (self.low_strobe.val().all() & !self.high_strobe.val().any())
                    {
                        self.state.d.next = Lite64State::Access;
                    }
                    if self.high_strobe.val().all() & !self.low_strobe.val().any() {
                        self.offset.d.next =
                            (self.s_axil.awaddr.val() & self.row_mask.val()) | self.four.val();
                        self.data.d.next = self.s_axil.wdata.val() >> 32;
                        self.state.d.next = Lite64State::Access;
                    }
                }
                if self.reads.val() {
                    self.s_axil.arready.next = true;
                    self.write.d.next = false;
                    self.wide.d.next = !self.pair.val();
                    self.offset.d.next = self.s_axil.araddr.val() & self.row_mask.val();
                    self.state.d.next = Lite64State::Access;
                }
            }
            Lite64State::Access => {
                self.reg_valid.next = true;
                if self.reg_done.val() {
                    self.data.d.next = self.reg_rdata.val();
                    self.state.d.next = Lite64State::Answer;
                    if !self.write.q.val() & !self.wide.q.val() {
                        self.offset.d.next = self.offset.q.val() | self.four.val();
                        self.state.d.next = Lite64State::Second;
                    }
                }
            }
            Lite64State::Second => {
                self.reg_valid.next = true;
                if self.reg_done.val() {
                    self.data.d.next =
                        (self.reg_rdata.val() << 32) | unsigned_cast_to::<64, 32>(self.first.val());
                    self.state.d.next = Lite64State::Answer;
                }
            }
            Lite64State::Answer => {
                self.s_axil.bvalid.next = self.write.q.val();
                self.s_axil.rvalid.next = !self.write.q.val();
                if (self.write.q.val() & self.s_axil.bready.val())
                    | (!self.write.q.val() & self.s_axil.rready.val())
                {
                    self.state.d.next = Lite64State::Idle;
                }
            }
            _ => {
                self.state.d.next = Lite64State::Idle;
            }
        }
        if self.reset.val() {
            self.state.d.next = Lite64State::Idle;
        }
    }
}
