//! One word per walk: written on the clock, read in the same cycle (registers or distributed RAM).

use rust_hdl::prelude::*;

/// `W` words of type `T`, addressed by `B` bits; with `W` = 1 the addresses do not count.
#[derive(LogicBlock)]
pub struct SlotMem<T: Synth, const W: usize, const B: usize> {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Read address.
    pub ra: Signal<In, Bits<B>>,
    /// The word at `ra`.
    pub rd: Signal<Out, T>,
    /// Write enable.
    pub we: Signal<In, Bit>,
    /// Write address.
    pub wa: Signal<In, Bits<B>>,
    /// Word to write.
    pub wd: Signal<In, T>,
    _mem: Vec<T>,
}

impl<T: Synth, const W: usize, const B: usize> Default for SlotMem<T, W, B> {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            ra: Default::default(),
            rd: Default::default(),
            we: Default::default(),
            wa: Default::default(),
            wd: Default::default(),
            _mem: vec![T::default(); W],
        }
    }
}

impl<T: Synth, const W: usize, const B: usize> Logic for SlotMem<T, W, B> {
    fn update(&mut self) {
        if self.clock.pos_edge() && self.we.val() {
            self._mem[self.wa.val().index() % W] = self.wd.val();
        }
        self.rd.next = self._mem[self.ra.val().index() % W];
    }
    fn connect(&mut self) {
        self.rd.connect();
    }
    fn hdl(&self) -> Verilog {
        let w = T::BITS - 1;
        Verilog::Custom(if W == 1 {
            // Every port is read, or the address would dangle.
            format!(
                "reg [{w}:0] mem;
wire unused_address = &{{1'b0, ra, wa}};
initial mem = 0;
always @(posedge clock) if (we) mem <= wd;
always @(*) rd = mem;
"
            )
        } else {
            format!(
                "reg [{w}:0] mem[{hi}:0];
integer k;
initial for (k = 0; k <= {hi}; k = k + 1) mem[k] = 0;
always @(posedge clock) if (we) mem[wa] <= wd;
always @(*) rd = mem[ra];
",
                hi = W - 1
            )
        })
    }
}
