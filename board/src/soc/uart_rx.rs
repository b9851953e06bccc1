//! Receives bytes from a serial line: 8 bits, no parity, one stop bit, least significant bit first.
//!
//! The line is sampled in the middle of each bit. `valid` is there for one cycle per byte, in the middle of its stop
//! bit; a byte with a wrong stop bit is dropped.

use rust_hdl::prelude::*;

/// See the module.
#[derive(LogicBlock)]
pub struct UartRx {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Forgets a byte.
    pub reset: Signal<In, Bit>,
    /// The line, asynchronous.
    pub line: Signal<In, Bit>,
    /// A byte has come.
    pub valid: Signal<Out, Bit>,
    /// It.
    pub data: Signal<Out, Bits<8>>,
    // Kept inverted: registers start at 0, and an idle line is high.
    low1: DFF<Bit>,
    low2: DFF<Bit>,
    busy: DFF<Bit>,
    timer: DFF<Bits<10>>,
    count: DFF<Bits<4>>,
    shift: DFF<Bits<8>>,
    whole: Constant<Bits<10>>,
    half: Constant<Bits<10>>,
    high_bit: Constant<Bits<8>>,
}

impl UartRx {
    /// `divider` clocks per bit, from 4 to 1023.
    #[must_use]
    pub fn new(divider: u16) -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            line: Default::default(),
            valid: Default::default(),
            data: Default::default(),
            low1: Default::default(),
            low2: Default::default(),
            busy: Default::default(),
            timer: Default::default(),
            count: Default::default(),
            shift: Default::default(),
            whole: Constant::new(u64::from(divider - 1).into()),
            half: Constant::new(u64::from(divider / 2 - 1).into()),
            high_bit: Constant::new(0x80u64.into()),
        }
    }
}

impl Logic for UartRx {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, low1, low2, busy, timer, count, shift);
        self.low1.d.next = !self.line.val();
        self.low2.d.next = self.low1.q.val();
        self.valid.next = false;
        self.data.next = self.shift.q.val();
        self.timer.d.next = self.timer.q.val() - 1;
        if !self.busy.q.val() {
            self.timer.d.next = self.half.val();
            self.count.d.next = 0.into();
            self.busy.d.next = self.low2.q.val();
        } else if self.timer.q.val() == 0 {
            self.timer.d.next = self.whole.val();
            self.count.d.next = self.count.q.val() + 1;
            if self.count.q.val() == 0 {
                // Not a start bit but a glitch, if the line is high again.
                self.busy.d.next = self.low2.q.val();
            } else if self.count.q.val() == 9 {
                self.busy.d.next = false;
                self.valid.next = !self.low2.q.val();
            } else {
                self.shift.d.next = self.shift.q.val() >> 1;
                if !self.low2.q.val() {
                    self.shift.d.next = (self.shift.q.val() >> 1) | self.high_bit.val();
                }
            }
        }
        if self.reset.val() {
            self.busy.d.next = false;
        }
    }
}
