// Reset at power-up: lasts until what it is given has been good for 16 cycles. `good` may come from anywhere.
`default_nettype none

module board_start(
  input wire clock,
  input wire good,
  output wire reset
);
  reg [1:0] steady = 0;
  reg [4:0] settled = 0;
  always @(posedge clock) begin
    steady <= {steady[0], good};
    if (!steady[1]) settled <= 0;
    else if (!settled[4]) settled <= settled + 1;
  end
  assign reset = !settled[4];
endmodule

`default_nettype wire
