//! The custom register `linectl` (REG-08): software may do without lines of page-table entries.

use crate::widen::unsigned_cast_to;
use portcullis_regmap::regs::offset;
use rust_hdl::prelude::*;

/// See the module.
#[derive(LogicBlock)]
pub struct LineControl {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Lines are on.
    pub reset: Signal<In, Bit>,
    /// It writes.
    pub bus_write: Signal<In, Bit>,
    /// Doubleword of the register page.
    pub bus_row: Signal<In, Bits<9>>,
    /// First 4-byte register of a doubleword.
    pub bus_first: Signal<In, Bit>,
    /// Data.
    pub bus_wlo: Signal<In, Bits<32>>,
    /// What is read.
    pub read_lo: Signal<Out, Bits<32>>,
    /// The doubleword holds 4-byte registers.
    pub narrow: Signal<Out, Bit>,
    /// linectl.off.
    pub off: Signal<Out, Bit>,
    stays_off: DFF<Bit>,
    row: Constant<Bits<9>>,
}

impl Default for LineControl {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            bus_write: Default::default(),
            bus_row: Default::default(),
            bus_first: Default::default(),
            bus_wlo: Default::default(),
            read_lo: Default::default(),
            narrow: Default::default(),
            off: Default::default(),
            stays_off: Default::default(),
            row: Constant::new(u64::from(offset::LINECTL / 8).into()),
        }
    }
}

impl Logic for LineControl {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, stays_off);
        self.off.next = self.stays_off.q.val();
        self.read_lo.next = 0.into();
        self.narrow.next = false;
        if self.bus_row.val() == self.row.val() {
            self.narrow.next = true;
            self.read_lo.next = unsigned_cast_to::<32, 1>(self.stays_off.q.val().into());
            if self.bus_write.val() & self.bus_first.val() {
                self.stays_off.d.next = self.bus_wlo.val().get_bit(0);
            }
        }
        if self.reset.val() {
            self.stays_off.d.next = false;
        }
    }
}
