//! Block RAM with one read and one write port on one clock.
//!
//! `rd` holds the word at `ra` of the last cycle with `re`. A word read in the cycle that writes it is undefined in
//! the chip, so the user must not use it: a lookup of the IOTLB that meets a fill of the same word counts as a miss.

use rust_hdl::prelude::*;

/// `2^N` words of type `T`.
#[derive(LogicBlock)]
pub struct SyncRam<T: Synth, const N: usize> {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Read enable; `rd` keeps its value without it.
    pub re: Signal<In, Bit>,
    /// Read address.
    pub ra: Signal<In, Bits<N>>,
    /// Word read.
    pub rd: Signal<Out, T>,
    /// Write enable.
    pub we: Signal<In, Bit>,
    /// Write address.
    pub wa: Signal<In, Bits<N>>,
    /// Word to write.
    pub wd: Signal<In, T>,
    _mem: Vec<T>,
}

impl<T: Synth, const N: usize> Default for SyncRam<T, N> {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            re: Default::default(),
            ra: Default::default(),
            rd: Default::default(),
            we: Default::default(),
            wa: Default::default(),
            wd: Default::default(),
            _mem: vec![T::default(); 1 << N],
        }
    }
}

impl<T: Synth, const N: usize> Logic for SyncRam<T, N> {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            if self.re.val() {
                self.rd.next = self._mem[self.ra.val().index()];
            }
            if self.we.val() {
                self._mem[self.wa.val().index()] = self.wd.val();
            }
        }
    }
    fn connect(&mut self) {
        self.rd.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom(format!(
            "(* no_rw_check *) reg [{w}:0] mem[{hi}:0];
integer k;
initial for (k = 0; k <= {hi}; k = k + 1) mem[k] = 0;
always @(posedge clock) begin
  if (re) rd <= mem[ra];
  if (we) mem[wa] <= wd;
end
",
            w = T::BITS - 1,
            hi = (1usize << N) - 1
        ))
    }
}
