//! Sends bytes over a serial line: 8 bits, no parity, one stop bit, least significant bit first.
//!
//! A byte is taken in a cycle with `valid` and `ready`; `ready` comes back when its stop bit is over.

use portcullis_hdl::widen::unsigned_cast_to;
use rust_hdl::prelude::*;

/// See the module.
#[derive(LogicBlock)]
pub struct UartTx {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Drops a byte, line idle.
    pub reset: Signal<In, Bit>,
    /// A byte is offered.
    pub valid: Signal<In, Bit>,
    /// It is taken.
    pub ready: Signal<Out, Bit>,
    /// The byte.
    pub data: Signal<In, Bits<8>>,
    /// The line.
    pub line: Signal<Out, Bit>,
    timer: DFF<Bits<10>>,
    left: DFF<Bits<4>>,
    // Inverted bits: what is shifted in at the top is an idle line.
    shift: DFF<Bits<9>>,
    whole: Constant<Bits<10>>,
    ones: Constant<Bits<9>>,
}

impl UartTx {
    /// `divider` clocks per bit, from 4 to 1023.
    #[must_use]
    pub fn new(divider: u16) -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            valid: Default::default(),
            ready: Default::default(),
            data: Default::default(),
            line: Default::default(),
            timer: Default::default(),
            left: Default::default(),
            shift: Default::default(),
            whole: Constant::new(u64::from(divider - 1).into()),
            ones: Constant::new(0x1ffu64.into()),
        }
    }
}

impl Logic for UartTx {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, timer, left, shift);
        self.ready.next = self.left.q.val() == 0;
        self.line.next = !self.shift.q.val().get_bit(0);
        self.timer.d.next = self.timer.q.val() - 1;
        if self.left.q.val() == 0 {
            self.timer.d.next = self.whole.val();
            if self.valid.val() {
                self.shift.d.next =
                    (unsigned_cast_to::<9, 8>(self.data.val()) << 1) ^ self.ones.val();
                self.left.d.next = 10.into();
            }
        } else if self.timer.q.val() == 0 {
            self.timer.d.next = self.whole.val();
            self.shift.d.next = self.shift.q.val() >> 1;
            self.left.d.next = self.left.q.val() - 1;
        }
        if self.reset.val() {
            self.left.d.next = 0.into();
            self.shift.d.next = 0.into();
        }
    }
}
