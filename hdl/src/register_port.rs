//! Decodes accesses of the register port into what registers need to know. Registers itself holds no address logic.
//!
//! Port: `valid` with `write`, `offset`, `wide` and `wdata` is held until `done`; `rdata` is valid with `done`, in the
//! cycle after the access took effect (`access`). Two cycles per access.
//! Access rules: 8-byte accesses to 8-byte registers, 4-byte ones to either half and to 4-byte registers; anything else
//! touches nothing and reads 0 (REG-03, REG-04, A-26).

use crate::widen::unsigned_cast_to;
use rust_hdl::prelude::*;

/// See the module.
#[derive(LogicBlock, Default)]
pub struct RegisterPort {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Forgets an access.
    pub reset: Signal<In, Bit>,
    /// An access is offered.
    pub valid: Signal<In, Bit>,
    /// It writes.
    pub write: Signal<In, Bit>,
    /// Byte offset.
    pub offset: Signal<In, Bits<12>>,
    /// 8 bytes.
    pub wide: Signal<In, Bit>,
    /// Data; a 4-byte access uses the low half.
    pub wdata: Signal<In, Bits<64>>,
    /// It ends with this cycle.
    pub done: Signal<Out, Bit>,
    /// What it read; a 4-byte access uses the low half.
    pub rdata: Signal<Out, Bits<64>>,

    /// An access takes effect in this cycle.
    pub access: Signal<Out, Bit>,
    /// Doubleword of the register page.
    pub row: Signal<Out, Bits<9>>,
    /// It touches the low half of an 8-byte register ...
    pub low: Signal<Out, Bit>,
    /// ... the high half ...
    pub high: Signal<Out, Bit>,
    /// ... the first 4-byte register ...
    pub first: Signal<Out, Bit>,
    /// ... the second.
    pub second: Signal<Out, Bit>,
    /// Low half of the data.
    pub wlo: Signal<Out, Bits<32>>,
    /// High half of the data, or the data of a 4-byte access.
    pub whi: Signal<Out, Bits<32>>,
    /// What the doubleword's low half holds, for reads.
    pub value: Signal<In, Bits<32>>,
    /// What its high half holds.
    pub value_hi: Signal<In, Bits<32>>,

    acked: DFF<Bit>,
    read_lo: DFF<Bits<32>>,
    read_hi: DFF<Bits<32>>,
    narrow: Signal<Local, Bit>,
}

impl Logic for RegisterPort {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, acked, read_lo, read_hi);
        self.access.next = self.valid.val() & !self.acked.q.val();
        self.acked.d.next = self.access.val();
        self.row.next = self.offset.val().get_bits::<9>(3);
        self.narrow.next =
            !self.wide.val() & !(self.offset.val().get_bit(0) | self.offset.val().get_bit(1));
        self.first.next = self.narrow.val() & !self.offset.val().get_bit(2);
        self.second.next = self.narrow.val() & self.offset.val().get_bit(2);
        self.low.next = self.first.val()
            | (self.wide.val()
                & !(self.offset.val().get_bit(0)
                    | self.offset.val().get_bit(1)
                    | self.offset.val().get_bit(2)));
        self.high.next = self.second.val() | (self.wide.val() & self.low.val());
        self.wlo.next = self.wdata.val().get_bits::<32>(0);
        self.whi.next = self.wlo.val();
        if self.wide.val() {
            self.whi.next = self.wdata.val().get_bits::<32>(32);
        }

        self.read_lo.d.next = 0.into();
        self.read_hi.d.next = 0.into();
        if self.access.val() & !self.write.val() {
            if self.low.val() {
                self.read_lo.d.next = self.value.val();
            }
            if self.second.val() {
                self.read_lo.d.next = self.value_hi.val();
            }
            if self.wide.val() & self.high.val() {
                self.read_hi.d.next = self.value_hi.val();
            }
        }
        self.done.next = self.acked.q.val();
        self.rdata.next = (unsigned_cast_to::<64, 32>(self.read_hi.q.val()) << 32)
            | unsigned_cast_to::<64, 32>(self.read_lo.q.val());

        if self.reset.val() {
            self.acked.d.next = false;
        }
    }
}
