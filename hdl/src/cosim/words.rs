//! A block that uses every construct the Verilog printer knows, so that the printer itself is under test.

use crate::widen::unsigned_cast_to;
use rust_hdl::prelude::*;

/// Two halves of a byte.
#[derive(LogicStruct, Debug, Copy, Clone, PartialEq, Default)]
pub struct Halves {
    /// Bits 3:0.
    pub lo: Bits<4>,
    /// Bits 7:4.
    pub hi: Bits<4>,
}

/// Three states in two bits.
#[derive(LogicState, Debug, Copy, Clone, PartialEq)]
pub enum Turn {
    /// Before `f`.
    First,
    /// After it.
    Second,
    /// And last.
    Third,
}

/// One output per construct.
#[derive(LogicBlock)]
pub struct Words {
    pub clock: Signal<In, Clock>,
    pub a: Signal<In, Bits<8>>,
    pub b: Signal<In, Bits<8>>,
    pub n: Signal<In, Bits<3>>,
    pub wide: Signal<In, Bits<40>>,
    pub f: Signal<In, Bit>,
    pub carry_dropped: Signal<Out, Bits<16>>,
    pub cut: Signal<Out, Bits<4>>,
    pub shifted: Signal<Out, Bits<8>>,
    pub moved: Signal<Out, Bits<40>>,
    pub joined: Signal<Out, Bits<24>>,
    pub reduced: Signal<Out, Bit>,
    pub compared: Signal<Out, Bit>,
    pub part: Signal<Out, Bits<8>>,
    pub inserted: Signal<Out, Bits<40>>,
    pub flipped: Signal<Out, Bits<8>>,
    pub nested: Signal<Out, Bit>,
    pub count: Signal<Out, Bits<4>>,
    pub bytes: Signal<Out, Bits<8>>,
    pub halves: Signal<Out, Halves>,
    pub chosen: Signal<Out, Bits<8>>,
    pub turn: Signal<Out, Turn>,
    pub long: Signal<Out, Bits<100>>,
    sum: Signal<Local, Bits<8>>,
    bits: [Signal<Local, Bits<4>>; 9],
    state: DFF<Turn>,
    total: DFF<Bits<100>>,
    mask: Constant<Bits<8>>,
}

impl Default for Words {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            a: Default::default(),
            b: Default::default(),
            n: Default::default(),
            wide: Default::default(),
            f: Default::default(),
            carry_dropped: Default::default(),
            cut: Default::default(),
            shifted: Default::default(),
            moved: Default::default(),
            joined: Default::default(),
            reduced: Default::default(),
            compared: Default::default(),
            part: Default::default(),
            inserted: Default::default(),
            flipped: Default::default(),
            nested: Default::default(),
            count: Default::default(),
            bytes: Default::default(),
            halves: Default::default(),
            chosen: Default::default(),
            turn: Default::default(),
            long: Default::default(),
            sum: Default::default(),
            bits: Default::default(),
            state: Default::default(),
            total: Default::default(),
            mask: Constant::new(0x5a.into()),
        }
    }
}

impl Logic for Words {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, state, total);
        self.sum.next = self.a.val() + self.b.val();
        self.carry_dropped.next = unsigned_cast_to::<16, 8>(self.a.val() + self.b.val());
        self.cut.next = bit_cast::<4, 8>((self.a.val() ^ self.mask.val()) - self.b.val());
        self.shifted.next = self.a.val() >> self.n.val();
        self.moved.next = (self.wide.val() << 7) ^ (self.wide.val() >> 33);
        self.joined.next = (bit_cast::<24, 8>(self.sum.val()) << 16)
            | (bit_cast::<24, 8>(self.b.val()) << 8)
            | bit_cast::<24, 1>(self.f.val().into());
        self.reduced.next = self.a.val().any() & !self.b.val().all() & self.sum.val().xor();
        self.compared.next =
            ((self.a.val() & self.mask.val()) < self.b.val()) | (self.sum.val() >= 0x7f);
        self.part.next = self.wide.val().get_bits::<8>(self.n.val().index());
        self.inserted.next = self
            .wide
            .val()
            .replace_bit(self.n.val().index(), self.f.val());
        self.flipped.next = self.a.val().replace_bit(3, self.f.val());
        self.nested.next = self.f.val() && (self.n.val() == 3 || !self.f.val());
        self.bits[0].next = 0.into();
        for i in 0..8 {
            self.bits[i + 1].next = self.bits[i].val();
            if self.a.val().get_bit(i) {
                self.bits[i + 1].next = self.bits[i].val() + 1;
            }
        }
        self.count.next = self.bits[8].val();
        self.bytes.next = 0.into();
        for i in 0..5 {
            self.bytes.next = self.bytes.val() ^ self.wide.val().get_bits::<8>(8 * i);
        }
        self.halves.next.lo = self.a.val().get_bits::<4>(4);
        self.halves.next.hi = self.b.val().get_bits::<4>(0);
        if self.f.val() {
            self.halves.next.hi = self.halves.val().lo;
        }
        self.chosen.next = self.a.val();
        match self.n.val().index() {
            0 => {
                self.chosen.next = self.b.val();
            }
            5 => {
                self.chosen.next = !self.b.val();
            }
            _ => {
                if self.f.val() {
                    self.chosen.next = self.mask.val();
                } else if self.a.val() == self.b.val() {
                    self.chosen.next = 0xff.into();
                }
            }
        }
        self.turn.next = self.state.q.val();
        match self.state.q.val() {
            Turn::First => {
                if self.f.val() {
                    self.state.d.next = Turn::Second;
                }
            }
            Turn::Second => {
                self.total.d.next = self.total.q.val() + bit_cast::<100, 40>(self.wide.val());
                self.state.d.next = Turn::Third;
            }
            _ => {
                self.total.d.next = self.total.q.val() << 3;
                self.state.d.next = Turn::First;
            }
        }
        self.long.next = self.total.q.val();
    }
}
