//! Block RAM with byte enables: one read and one write port of 64 bits on one clock.
//!
//! `rd` holds the word at `ra` of the last cycle. A word read in the cycle that writes it is undefined in the chip: the
//! user keeps the two apart.

use super::map;
use rust_hdl::prelude::*;

/// Words.
pub const WORDS: usize = (map::PIECES * map::PIECE / 8) as usize;

/// See the module.
#[derive(LogicBlock)]
pub struct Ram {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Read address, below [`WORDS`].
    pub ra: Signal<In, Bits<11>>,
    /// Word read.
    pub rd: Signal<Out, Bits<64>>,
    /// Write address, below [`WORDS`].
    pub wa: Signal<In, Bits<11>>,
    /// Word to write.
    pub wd: Signal<In, Bits<64>>,
    /// Bytes of it to write.
    pub we: Signal<In, Bits<8>>,
    _mem: Vec<u64>,
}

impl Default for Ram {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            ra: Default::default(),
            rd: Default::default(),
            wa: Default::default(),
            wd: Default::default(),
            we: Default::default(),
            _mem: vec![0; WORDS],
        }
    }
}

impl Logic for Ram {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            let ra = self.ra.val().index();
            self.rd.next = self._mem.get(ra).copied().unwrap_or(0).into();
            let we = self.we.val().to_u64();
            if we != 0
                && let Some(word) = self._mem.get_mut(self.wa.val().index())
            {
                let mask = (0..8).filter(|b| (we >> b) & 1 == 1);
                let mask = mask.fold(0u64, |m, b| m | (0xff << (8 * b)));
                *word = (*word & !mask) | (self.wd.val().to_u64() & mask);
            }
        }
    }
    fn connect(&mut self) {
        self.rd.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom(format!(
            "(* no_rw_check *) reg [63:0] mem[{hi}:0];
integer k;
initial for (k = 0; k <= {hi}; k = k + 1) mem[k] = 0;
always @(posedge clock) begin
  rd <= mem[ra];
  for (k = 0; k < 8; k = k + 1) if (we[k]) mem[wa][8*k +: 8] <= wd[8*k +: 8];
end
",
            hi = WORDS - 1
        ))
    }
}
