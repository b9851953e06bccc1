//! Finds frames in the bytes of the serial line (docs/serial-bridge.md) and offers their content.
//!
//! A frame with a right checksum is offered as `content`, first byte lowest, aligned to the low end, with `size` bytes
//! including the two of the checksum; it stays until `taken`. Bytes that come meanwhile are lost, and so is the frame
//! they belong to: the host waits for an answer before it goes on.

use super::crc::Crc;
use portcullis::platform::frame::{ESCAPE, FLAG, FLIP, LONGEST};
use portcullis_hdl::widen::unsigned_cast_to;
use rust_hdl::prelude::*;

/// States of the receiver.
#[derive(LogicState, Debug, Copy, Clone, PartialEq)]
pub enum RxState {
    /// Bytes come in at the top of the register.
    Fill,
    /// They move down to its low end.
    Align,
    /// They are offered.
    Offer,
}

/// See the module.
#[derive(LogicBlock)]
pub struct FrameRx {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Forgets everything.
    pub reset: Signal<In, Bit>,
    /// A byte has come.
    pub octet_valid: Signal<In, Bit>,
    /// It.
    pub octet: Signal<In, Bits<8>>,
    /// A frame is offered.
    pub valid: Signal<Out, Bit>,
    /// It is not needed any more.
    pub taken: Signal<In, Bit>,
    /// Its bytes.
    pub content: Signal<Out, Bits<160>>,
    /// Number of them, checksum included.
    pub size: Signal<Out, Bits<5>>,
    state: DFF<RxState>,
    crc: Crc,
    bytes: DFF<Bits<160>>,
    count: DFF<Bits<5>>,
    whole: DFF<Bits<5>>,
    escaped: DFF<Bit>,
    spoilt: DFF<Bit>,
    plain: Signal<Local, Bits<8>>,
    incoming: Signal<Local, Bits<8>>,
    shift: Signal<Local, Bit>,
    flag: Constant<Bits<8>>,
    escape: Constant<Bits<8>>,
    flip: Constant<Bits<8>>,
    longest: Constant<Bits<5>>,
}

impl Default for FrameRx {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            octet_valid: Default::default(),
            octet: Default::default(),
            valid: Default::default(),
            taken: Default::default(),
            content: Default::default(),
            size: Default::default(),
            state: Default::default(),
            crc: Default::default(),
            bytes: Default::default(),
            count: Default::default(),
            whole: Default::default(),
            escaped: Default::default(),
            spoilt: Default::default(),
            plain: Default::default(),
            incoming: Default::default(),
            shift: Default::default(),
            flag: Constant::new(u64::from(FLAG).into()),
            escape: Constant::new(u64::from(ESCAPE).into()),
            flip: Constant::new(u64::from(FLIP).into()),
            longest: Constant::new((LONGEST as u64).into()),
        }
    }
}

impl Logic for FrameRx {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, state, bytes, count, whole, escaped, spoilt);
        clock!(self, clock, crc);
        self.plain.next = self.octet.val();
        if self.escaped.q.val() {
            self.plain.next = self.octet.val() ^ self.flip.val();
        }
        self.crc.clear.next = false;
        self.crc.valid.next = false;
        self.crc.data.next = self.plain.val();
        self.valid.next = false;
        self.content.next = self.bytes.q.val();
        self.size.next = self.whole.q.val();
        self.shift.next = false;
        self.incoming.next = self.plain.val();

        if self.octet_valid.val() {
            if self.octet.val() == self.flag.val() {
                self.crc.clear.next = true;
                self.escaped.d.next = false;
                self.spoilt.d.next = false;
            } else if self.state.q.val() != RxState::Fill {
                self.spoilt.d.next = true;
            }
        }
        match self.state.q.val() {
            RxState::Fill => {
                if self.octet_valid.val() {
                    if self.octet.val() == self.flag.val() {
                        self.count.d.next = 0.into();
                        if !self.spoilt.q.val()
                            & !self.escaped.q.val()
                            & (self.count.q.val() > 3)
                            & (self.crc.crc.val() == 0)
                        {
                            self.whole.d.next = self.count.q.val();
                            self.count.d.next = self.count.q.val();
                            self.state.d.next = RxState::Align;
                        }
                    } else if self.octet.val() == self.escape.val() {
                        self.escaped.d.next = true;
                    } else if self.count.q.val() == self.longest.val() {
                        self.spoilt.d.next = true;
                    } else {
                        self.escaped.d.next = false;
                        self.shift.next = true;
                        self.crc.valid.next = true;
                    }
                }
            }
            RxState::Align => {
                self.incoming.next = 0.into();
                if self.count.q.val() == self.longest.val() {
                    self.state.d.next = RxState::Offer;
                } else {
                    self.shift.next = true;
                }
            }
            RxState::Offer => {
                self.valid.next = true;
                if self.taken.val() {
                    self.count.d.next = 0.into();
                    self.state.d.next = RxState::Fill;
                }
            }
            _ => {
                self.state.d.next = RxState::Fill;
            }
        }
        if self.shift.val() {
            self.bytes.d.next = (self.bytes.q.val() >> 8)
                | (unsigned_cast_to::<160, 8>(self.incoming.val()) << 152);
            self.count.d.next = self.count.q.val() + 1;
        }
        if self.reset.val() {
            self.state.d.next = RxState::Fill;
            self.count.d.next = 0.into();
            // Until the first flag nothing counts.
            self.spoilt.d.next = true;
        }
    }
}
