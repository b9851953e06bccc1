//! The commands of one burst: written a doubleword at a time on the clock, read whole in the same cycle.
//!
//! Distributed RAM where the device has it; with `E` = 1 plain registers, which ignore the addresses.

use rust_hdl::prelude::*;

/// `E` commands, 1 to 4.
#[derive(LogicBlock)]
pub struct CommandBuffer<const E: usize> {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Write enable.
    pub we: Signal<In, Bit>,
    /// Which command is written.
    pub wa: Signal<In, Bits<2>>,
    /// Its second doubleword.
    pub second: Signal<In, Bit>,
    /// The doubleword.
    pub wd: Signal<In, Bits<64>>,
    /// Which command is read.
    pub ra: Signal<In, Bits<2>>,
    /// Its first doubleword.
    pub word0: Signal<Out, Bits<64>>,
    /// Its second doubleword.
    pub word1: Signal<Out, Bits<64>>,
    _mem: [Vec<Bits<64>>; 2],
}

impl<const E: usize> Default for CommandBuffer<E> {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            we: Default::default(),
            wa: Default::default(),
            second: Default::default(),
            wd: Default::default(),
            ra: Default::default(),
            word0: Default::default(),
            word1: Default::default(),
            _mem: [vec![0.into(); E], vec![0.into(); E]],
        }
    }
}

impl<const E: usize> Logic for CommandBuffer<E> {
    fn update(&mut self) {
        if self.clock.pos_edge() && self.we.val() {
            let half = usize::from(self.second.val());
            self._mem[half][self.wa.val().index() % E] = self.wd.val();
        }
        let at = self.ra.val().index() % E;
        self.word0.next = self._mem[0][at];
        self.word1.next = self._mem[1][at];
    }
    fn connect(&mut self) {
        self.word0.connect();
        self.word1.connect();
    }
    fn hdl(&self) -> Verilog {
        assert!(matches!(E, 1 | 4), "a burst is one command or four");
        let at = |port: &'static str| if E == 1 { "1'd0" } else { port };
        let ignored = if E == 1 {
            "wire unused_address = &{1'b0, wa, ra};"
        } else {
            ""
        };
        Verilog::Custom(format!(
            "{ignored}
{registers}reg [63:0] mem0[{hi}:0];
{registers}reg [63:0] mem1[{hi}:0];
integer k;
initial for (k = 0; k < {E}; k = k + 1) begin
  mem0[k] = 0; mem1[k] = 0;
end
always @(posedge clock) begin
  if (we & ~second) mem0[{wa}] <= wd;
  if (we & second) mem1[{wa}] <= wd;
end
always @(*) begin
  word0 = mem0[{ra}];
  word1 = mem1[{ra}];
end
",
            hi = E - 1,
            registers = if E == 1 { "(* mem2reg *) " } else { "" },
            wa = at("wa"),
            ra = at("ra"),
        ))
    }
}
