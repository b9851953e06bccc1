// The demonstration system on a Colorlight i5 (on its extension board): 25 MHz oscillator, 50 MHz system clock.
`default_nettype none

module board(
  input wire clock,
  input wire reset_n,
  input wire uart_rx,
  output wire uart_tx,
  output wire led_n
);
  wire core_clock;
  wire locked;
  wire reset;
  wire [7:0] leds;

  // There is one lamp, lit by 0: the clock runs.
  assign led_n = !leds[0];

  board_pll pll(.clock_25(clock), .clock_50(core_clock), .locked(locked));
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
