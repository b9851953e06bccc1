//! CRC-16/MCRF4XX, a bit each cycle.
//!
//! `clear` starts over; `valid` adds `data`, and `crc` is right eight cycles later. Bytes of a serial line are further
//! apart than that.

use portcullis_hdl::widen::unsigned_cast_to;
use rust_hdl::prelude::*;

/// See the module.
#[derive(LogicBlock)]
pub struct Crc {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Start over.
    pub clear: Signal<In, Bit>,
    /// Add a byte.
    pub valid: Signal<In, Bit>,
    /// It.
    pub data: Signal<In, Bits<8>>,
    /// The checksum.
    pub crc: Signal<Out, Bits<16>>,
    sum: DFF<Bits<16>>,
    left: DFF<Bits<4>>,
    start: Constant<Bits<16>>,
    polynomial: Constant<Bits<16>>,
}

impl Default for Crc {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            clear: Default::default(),
            valid: Default::default(),
            data: Default::default(),
            crc: Default::default(),
            sum: Default::default(),
            left: Default::default(),
            start: Constant::new(0xffffu64.into()),
            polynomial: Constant::new(0x8408u64.into()),
        }
    }
}

impl Logic for Crc {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, sum, left);
        self.crc.next = self.sum.q.val();
        if self.left.q.val() != 0 {
            self.left.d.next = self.left.q.val() - 1;
            self.sum.d.next = self.sum.q.val() >> 1;
            if self.sum.q.val().get_bit(0) {
                self.sum.d.next = (self.sum.q.val() >> 1) ^ self.polynomial.val();
            }
        }
        if self.valid.val() {
            self.sum.d.next = self.sum.q.val() ^ unsigned_cast_to::<16, 8>(self.data.val());
            self.left.d.next = 8.into();
        }
        if self.clear.val() {
            self.sum.d.next = self.start.val();
            self.left.d.next = 0.into();
        }
    }
}
