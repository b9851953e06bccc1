// The demonstration system on an OrangeCrab 25F (r0.2): its 48 MHz oscillator is the system clock.
`default_nettype none

module board(
  input wire clock,
  input wire reset_n,
  input wire uart_rx,
  output wire uart_tx,
  output wire [2:0] rgb_n
);
  wire reset;
  wire [7:0] leds;

  // Three lamps, lit by 0. Red: the last DMA was refused; green: the clock runs; blue: an answer goes out.
  assign rgb_n = ~{leds[2], leds[0], leds[4]};

  board_start start(.clock(clock), .good(reset_n), .reset(reset));

  portcullis_demo system (
    .clock(clock),
    .reset(reset),
    .uart_rx(uart_rx),
    .uart_tx(uart_tx),
    .leds(leds)
  );
endmodule

`default_nettype wire
