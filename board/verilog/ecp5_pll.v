// 50 MHz from 25 MHz on an ECP5: 25 MHz * 2 * 12 = 600 MHz in the oscillator, / 12 at its output, which is fed back.
`default_nettype none

module board_pll(
  input wire clock_25,
  output wire clock_50,
  output wire locked
);
  // What Lattice's tools ask for beside the dividers: charge pump and loop filter of this range.
  (* FREQUENCY_PIN_CLKI="25", FREQUENCY_PIN_CLKOP="50" *)
  (* ICP_CURRENT="12", LPF_RESISTOR="8", MFG_ENABLE_FILTEROPAMP="1", MFG_GMCREF_SEL="2" *)
  EHXPLLL #(
    .CLKI_DIV(1),
    .CLKFB_DIV(2),
    .CLKOP_DIV(12),
    .CLKOP_CPHASE(5),
    .CLKOP_FPHASE(0),
    .CLKOP_ENABLE("ENABLED"),
    .FEEDBK_PATH("CLKOP"),
    .PLLRST_ENA("DISABLED"),
    .INTFB_WAKE("DISABLED"),
    .STDBY_ENABLE("DISABLED"),
    .DPHASE_SOURCE("DISABLED"),
    .OUTDIVIDER_MUXA("DIVA"),
    .OUTDIVIDER_MUXB("DIVB"),
    .OUTDIVIDER_MUXC("DIVC"),
    .OUTDIVIDER_MUXD("DIVD")
  ) pll (
    .CLKI(clock_25),
    .CLKFB(clock_50),
    .CLKOP(clock_50),
    .LOCK(locked),
    .RST(1'b0),
    .STDBY(1'b0),
    .PHASESEL0(1'b0),
    .PHASESEL1(1'b0),
    .PHASEDIR(1'b1),
    .PHASESTEP(1'b1),
    .PHASELOADREG(1'b1),
    .PLLWAKESYNC(1'b0),
    .ENCLKOP(1'b0)
  );
endmodule

`default_nettype wire
