// The demonstration system on a ULX3S-85F: 25 MHz oscillator, 50 MHz system clock.
`default_nettype none

module board(
  input wire clock,
  input wire reset_n,
  input wire uart_rx,
  output wire uart_tx,
  output wire [7:0] leds,
  output wire wifi_gpio0
);
  wire core_clock;
  wire locked;
  wire reset;

  // As in the examples of the board: low, it reboots.
  assign wifi_gpio0 = 1'b1;

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
