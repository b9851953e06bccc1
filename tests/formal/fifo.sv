// A queue neither loses nor invents an entry, and keeps their order.
// Any one entry is followed from its push to its pop. The user keeps to the queue's rules.
`include "contract.svh"
module monitor (
  input wire clock,
  input wire reset,
  input wire push,
  input wire [1:0] data_in,
  input wire pop,
  input wire [1:0] data_out,
  input wire [2:0] level
);
  `START
  reg [2:0] count = 0;
  always @(*) begin
    if (count == 4) assume (!push);
    if (count == 0) assume (!pop);
  end
  always @(posedge clock) begin
    if (reset) count <= 0;
    else count <= count + push - pop;
  end

  // The followed entry: chosen freely; `ahead` entries are in front of it.
  (* anyseq *) wire follow;
  reg followed = 0;
  reg [1:0] value;
  reg [2:0] ahead;
  always @(posedge clock) begin
    if (reset) followed <= 0;
    else if (!followed && push && follow) begin
      followed <= 1;
      value <= data_in;
      ahead <= count - pop;
    end else if (followed && pop) begin
      if (ahead == 0) followed <= 0;
      else ahead <= ahead - 1;
    end
  end
  always @(*)
    if (running) begin
      assert (level == count);
      if (followed) assert (ahead < level);
      if (followed && ahead == 0) assert (data_out == value);
    end
endmodule
