//! Judges whether a burst keeps to AXI4, so that one translation covers it. Combinational.
//!
//! Refused are: INCR bursts that cross 4 KiB, WRAP bursts of other than 2, 4, 8 or 16 beats, FIXED bursts of more than
//! 16 beats, the reserved burst type, and beats wider than the bus. AXI4 forbids all of them to the master; passed on,
//! the first would reach a page that nobody has translated.

use crate::bus::shapes::Ask;
use crate::widen::unsigned_cast_to;
use rust_hdl::prelude::*;

/// See the module.
#[derive(LogicBlock)]
pub struct BurstCheck {
    /// The burst.
    pub ask: Signal<In, Ask>,
    /// It is to be refused.
    pub bad: Signal<Out, Bit>,
    size: Signal<Local, Bits<3>>,
    start: Signal<Local, Bits<13>>,
    beats: Signal<Local, Bits<13>>,
    span: Signal<Local, Bits<13>>,
    last: Signal<Local, Bits<13>>,
    sixteen: Constant<Bits<8>>,
}

impl Default for BurstCheck {
    fn default() -> Self {
        Self {
            ask: Default::default(),
            bad: Default::default(),
            size: Default::default(),
            start: Default::default(),
            beats: Default::default(),
            span: Default::default(),
            last: Default::default(),
            sixteen: Constant::new(0xf0u64.into()),
        }
    }
}

impl Logic for BurstCheck {
    #[hdl_gen]
    fn update(&mut self) {
        self.start.next = unsigned_cast_to::<13, 12>(self.ask.val().off);
        self.beats.next = unsigned_cast_to::<13, 8>(self.ask.val().len);
        self.span.next = self.beats.val();
        if self.ask.val().size == 1 {
            self.span.next = self.beats.val() << 1;
        }
        if self.ask.val().size == 2 {
            self.span.next = self.beats.val() << 2;
        }
        if self.ask.val().size == 3 {
            self.span.next = self.beats.val() << 3;
        }
        // Start of the last beat, not aligned: the low bits carry nothing into bit 12.
        self.last.next = self.start.val() + self.span.val();
        self.size.next = self.ask.val().size;
        self.bad.next = self.size.val().get_bit(2);
        match self.ask.val().burst.index() {
            0 => {
                if (self.ask.val().len & self.sixteen.val()).any() {
                    self.bad.next = true;
                }
            }
            1 => {
                if self.last.val().get_bit(12) {
                    self.bad.next = true;
                }
            }
            2 => {
                if !((self.ask.val().len == 1)
                    | (self.ask.val().len == 3)
                    | (self.ask.val().len == 7)
                    | (self.ask.val().len == 15))
                {
                    self.bad.next = true;
                }
            }
            _ => {
                self.bad.next = true;
            }
        }
    }
}
