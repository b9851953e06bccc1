// The demonstration system on an Alchitry Cu: 100 MHz oscillator, 40 MHz system clock.
`default_nettype none

module board(
  input wire clock,
  input wire reset_n,
  input wire uart_rx,
  output wire uart_tx,
  output wire [7:0] leds
);
  wire core_clock;
  wire locked;
  wire reset;

  // 100 MHz / (4 + 1) * (31 + 1) / 2^4 = 40 MHz; filter range for a 20 MHz phase detector.
  SB_PLL40_CORE #(
    .FEEDBACK_PATH("SIMPLE"),
    .DIVR(4'd4),
    .DIVF(7'd31),
    .DIVQ(3'd4),
    .FILTER_RANGE(3'd2)
  ) pll (
    .REFERENCECLK(clock),
    .PLLOUTGLOBAL(core_clock),
    .LOCK(locked),
    .RESETB(1'b1),
    .BYPASS(1'b0)
  );

  board_start start(.clock(core_clock), .good(locked & reset_n), .reset(reset));

  portcullis_demo system (
    .clock(core_clock),
    .reset(reset),
    .uart_rx(uart_rx),
    .uart_tx(uart_tx),
    .leds(leds)
  );
endmodule

`default_nettype wire
