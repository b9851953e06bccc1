//! Wishbone B4 registers, classic cycles, 32 bits wide; `adr` counts 4-byte words.
//!
//! A write that does not select all four bytes touches nothing (REG-04) and is acknowledged.
//! Timing: `ack` comes in the second cycle of an access; it is not an error to end the cycle before.

use crate::widen::unsigned_cast_to;
use rust_hdl::prelude::*;

/// The bus.
#[derive(LogicInterface, Clone, Debug, Default)]
pub struct Wishbone {
    /// A cycle is in progress.
    pub cyc: Signal<In, Bit>,
    /// An access is offered.
    pub stb: Signal<In, Bit>,
    /// It writes.
    pub we: Signal<In, Bit>,
    /// Address, in words of 4 bytes.
    pub adr: Signal<In, Bits<10>>,
    /// Bytes selected.
    pub sel: Signal<In, Bits<4>>,
    /// Data to write.
    pub dat_w: Signal<In, Bits<32>>,
    /// The access ends.
    pub ack: Signal<Out, Bit>,
    /// Data read.
    pub dat_r: Signal<Out, Bits<32>>,
}

/// See the module.
#[derive(LogicBlock, Default)]
pub struct WishboneRegisters {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Forgets an access.
    pub reset: Signal<In, Bit>,
    /// The bus.
    pub s_wb: Wishbone,
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
    dropped: DFF<Bit>,
    active: Signal<Local, Bit>,
    partial: Signal<Local, Bit>,
}

impl Logic for WishboneRegisters {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, dropped);
        self.active.next = self.s_wb.cyc.val() & self.s_wb.stb.val();
        self.partial.next = self.s_wb.we.val() & !self.s_wb.sel.val().all();
        self.reg_valid.next = self.active.val() & !self.partial.val();
        self.reg_write.next = self.s_wb.we.val();
        self.reg_offset.next = unsigned_cast_to::<12, 10>(self.s_wb.adr.val()) << 2;
        self.reg_wide.next = false;
        self.reg_wdata.next = unsigned_cast_to::<64, 32>(self.s_wb.dat_w.val());
        self.dropped.d.next = self.active.val() & self.partial.val() & !self.dropped.q.val();
        self.s_wb.ack.next = self.active.val()
            & ((self.partial.val() & self.dropped.q.val())
                | (!self.partial.val() & self.reg_done.val()));
        self.s_wb.dat_r.next = self.reg_rdata.val().get_bits::<32>(0);
        if self.reset.val() {
            self.dropped.d.next = false;
        }
    }
}
