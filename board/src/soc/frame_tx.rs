//! Sends frames (docs/serial-bridge.md), and keeps the last one so that it can be sent again.
//!
//! `load` replaces the kept content (first byte lowest) of `size` bytes; `send`, in the same cycle or later, while not
//! `busy`, sends it with flags, escapes and checksum. The content rotates while it is sent and ends where it began.

use super::crc::Crc;
use portcullis::platform::frame::{ESCAPE, FLAG, FLIP};
use portcullis_hdl::widen::unsigned_cast_to;
use rust_hdl::prelude::*;

/// States of the sender.
#[derive(LogicState, Debug, Copy, Clone, PartialEq)]
pub enum TxState {
    /// Nothing to send.
    Rest,
    /// The first flag.
    Open,
    /// The content.
    Body,
    /// First byte of the checksum.
    Low,
    /// Second byte.
    High,
    /// The last flag.
    Close,
    /// The content is turned back.
    Turn,
}

/// See the module.
#[derive(LogicBlock)]
pub struct FrameTx {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Stops sending.
    pub reset: Signal<In, Bit>,
    /// Keep `content` and `size`.
    pub load: Signal<In, Bit>,
    /// The bytes.
    pub content: Signal<In, Bits<88>>,
    /// How many, at least 1.
    pub size: Signal<In, Bits<4>>,
    /// Send what is kept.
    pub send: Signal<In, Bit>,
    /// Something is being sent.
    pub busy: Signal<Out, Bit>,
    /// A byte is offered.
    pub octet_valid: Signal<Out, Bit>,
    /// It is taken.
    pub octet_ready: Signal<In, Bit>,
    /// It.
    pub octet: Signal<Out, Bits<8>>,
    state: DFF<TxState>,
    crc: Crc,
    bytes: DFF<Bits<88>>,
    length: DFF<Bits<4>>,
    place: DFF<Bits<4>>,
    escaping: DFF<Bit>,
    plain: Signal<Local, Bits<8>>,
    is_flag: Signal<Local, Bit>,
    special: Signal<Local, Bit>,
    accepted: Signal<Local, Bit>,
    complete: Signal<Local, Bit>,
    turn: Signal<Local, Bit>,
    next_place: Signal<Local, Bits<4>>,
    flag: Constant<Bits<8>>,
    escape: Constant<Bits<8>>,
    flip: Constant<Bits<8>>,
}

impl Default for FrameTx {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            load: Default::default(),
            content: Default::default(),
            size: Default::default(),
            send: Default::default(),
            busy: Default::default(),
            octet_valid: Default::default(),
            octet_ready: Default::default(),
            octet: Default::default(),
            state: Default::default(),
            crc: Default::default(),
            bytes: Default::default(),
            length: Default::default(),
            place: Default::default(),
            escaping: Default::default(),
            plain: Default::default(),
            is_flag: Default::default(),
            special: Default::default(),
            accepted: Default::default(),
            complete: Default::default(),
            turn: Default::default(),
            next_place: Default::default(),
            flag: Constant::new(u64::from(FLAG).into()),
            escape: Constant::new(u64::from(ESCAPE).into()),
            flip: Constant::new(u64::from(FLIP).into()),
        }
    }
}

impl Logic for FrameTx {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, state, bytes, length, place, escaping);
        clock!(self, clock, crc);

        // Which byte it is ...
        self.plain.next = self.bytes.q.val().get_bits::<8>(0);
        self.is_flag.next = false;
        self.busy.next = true;
        self.octet_valid.next = true;
        match self.state.q.val() {
            TxState::Rest => {
                self.busy.next = false;
                self.octet_valid.next = false;
            }
            TxState::Open => {
                self.is_flag.next = true;
            }
            TxState::Low => {
                self.plain.next = self.crc.crc.val().get_bits::<8>(0);
            }
            TxState::High => {
                self.plain.next = self.crc.crc.val().get_bits::<8>(8);
            }
            TxState::Close => {
                self.is_flag.next = true;
            }
            TxState::Turn => {
                self.octet_valid.next = false;
            }
            _ => {}
        }
        // ... and in which form it goes out.
        self.special.next = !self.is_flag.val()
            & ((self.plain.val() == self.flag.val()) | (self.plain.val() == self.escape.val()));
        self.octet.next = self.plain.val();
        if self.special.val() {
            self.octet.next = self.escape.val();
            if self.escaping.q.val() {
                self.octet.next = self.plain.val() ^ self.flip.val();
            }
        }
        if self.is_flag.val() {
            self.octet.next = self.flag.val();
        }
        self.accepted.next = self.octet_valid.val() & self.octet_ready.val();
        self.complete.next = self.accepted.val() & (!self.special.val() | self.escaping.q.val());
        if self.accepted.val() {
            self.escaping.d.next = self.special.val() & !self.escaping.q.val();
        }

        self.crc.clear.next = self.state.q.val() == TxState::Open;
        self.crc.valid.next = false;
        self.crc.data.next = self.plain.val();
        self.turn.next = false;
        self.next_place.next = self.place.q.val() + 1;
        match self.state.q.val() {
            TxState::Rest => {
                self.place.d.next = 0.into();
                self.escaping.d.next = false;
                if self.send.val() {
                    self.state.d.next = TxState::Open;
                }
            }
            TxState::Open => {
                if self.complete.val() {
                    self.state.d.next = TxState::Body;
                }
            }
            TxState::Body => {
                if self.complete.val() {
                    self.crc.valid.next = true;
                    self.turn.next = true;
                    if self.next_place.val() == self.length.q.val() {
                        self.state.d.next = TxState::Low;
                    }
                }
            }
            TxState::Low => {
                if self.complete.val() {
                    self.state.d.next = TxState::High;
                }
            }
            TxState::High => {
                if self.complete.val() {
                    self.state.d.next = TxState::Close;
                }
            }
            TxState::Close => {
                if self.complete.val() {
                    self.state.d.next = TxState::Turn;
                }
            }
            TxState::Turn => {
                if self.place.q.val() == 11 {
                    self.state.d.next = TxState::Rest;
                } else {
                    self.turn.next = true;
                }
            }
            _ => {
                self.state.d.next = TxState::Rest;
            }
        }
        if self.turn.val() {
            self.bytes.d.next = (self.bytes.q.val() >> 8)
                | (unsigned_cast_to::<88, 8>(self.bytes.q.val().get_bits::<8>(0)) << 80);
            self.place.d.next = self.next_place.val();
        }
        if self.load.val() {
            self.bytes.d.next = self.content.val();
            self.length.d.next = self.size.val();
        }
        if self.reset.val() {
            self.state.d.next = TxState::Rest;
        }
    }
}
