// The demonstration system on an Alchitry Cu: 100 MHz oscillator, 48.4375 MHz system clock.
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

  // 100 MHz / (3 + 1) * (30 + 1) / 2^4 = 48.4375 MHz, the lowest from 48 on that it makes; filter range for a 25 MHz phase
  // detector.
  SB_PLL40_CORE #(
    .FEEDBACK_PATH("SIMPLE"),
    .DIVR(4'd3),
    .DIVF(7'd30),
    .DIVQ(3'd4),
    .FILTER_RANGE(3'd2)
  ) pll (
    .REFERENCECLK(clock),
    .PLLOUTGLOBAL(core_clock),
    .LOCK(locked),
    .RESETB(1'b1),
    .BYPASS(1'b0)
  );

  // Reset lasts until clock and button have been good for 16 cycles. Both are asynchronous.
  reg [1:0] good = 0;
  reg [4:0] settled = 0;
  always @(posedge core_clock) begin
    good <= {good[0], locked & reset_n};
    if (!good[1]) settled <= 0;
    else if (!settled[4]) settled <= settled + 1;
  end

  portcullis_demo system (
    .clock(core_clock),
    .reset(!settled[4]),
    .uart_rx(uart_rx),
    .uart_tx(uart_tx),
    .leds(leds)
  );
endmodule

`default_nettype wire
