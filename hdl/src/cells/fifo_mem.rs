//! Storage of a small queue: written on the clock, read in the same cycle (registers or distributed RAM).

use rust_hdl::prelude::*;

/// `2^N` words of type `T`.
#[derive(LogicBlock)]
pub struct FifoMem<T: Synth, const N: usize> {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Read address.
    pub ra: Signal<In, Bits<N>>,
    /// The word at `ra`.
    pub rd: Signal<Out, T>,
    /// Write enable.
    pub we: Signal<In, Bit>,
    /// Write address.
    pub wa: Signal<In, Bits<N>>,
    /// Word to write.
    pub wd: Signal<In, T>,
    _mem: Vec<T>,
}

impl<T: Synth, const N: usize> Default for FifoMem<T, N> {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            ra: Default::default(),
            rd: Default::default(),
            we: Default::default(),
            wa: Default::default(),
            wd: Default::default(),
            _mem: vec![T::default(); 1 << N],
        }
    }
}

impl<T: Synth, const N: usize> Logic for FifoMem<T, N> {
    fn update(&mut self) {
        if self.clock.pos_edge() && self.we.val() {
            self._mem[self.wa.val().index()] = self.wd.val();
        }
        self.rd.next = self._mem[self.ra.val().index()];
    }
    fn connect(&mut self) {
        self.rd.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom(format!(
            "reg [{w}:0] mem[{hi}:0];
integer k;
initial for (k = 0; k <= {hi}; k = k + 1) mem[k] = 0;
always @(posedge clock) if (we) mem[wa] <= wd;
always @(*) rd = mem[ra];
",
            w = T::BITS - 1,
            hi = (1usize << N) - 1
        ))
    }
}
