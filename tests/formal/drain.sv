// A fence is over only after its turn in the pipeline, after every older walk, and after the bus has confirmed what it asks for.
`include "contract.svh"
module monitor (
  input wire clock,
  input wire reset,
  input wire ddtp_valid,
  input wire ddtp_done,
  input wire fence_valid,
  input wire fence_reads,
  input wire fence_writes,
  input wire fence_done,
  input wire op_valid,
  input wire op_ready,
  input wire passed,
  input wire stale,
  input wire sync_reads,
  input wire sync_writes,
  input wire sync_ack
);
  `START
  // How far the fence in progress has come.
  reg turned = 0, left = 0, walked = 0, confirmed = 0;
  always @(posedge clock) begin
    if (op_valid && op_ready) turned <= 1;
    if (turned && passed) left <= 1;
    if (left && !stale) walked <= 1;
    if (walked && sync_ack && (sync_reads || !want_reads) && (sync_writes || !want_writes)) confirmed <= 1;
    if (reset || ddtp_done || fence_done) begin
      turned <= 0;
      left <= 0;
      walked <= 0;
      confirmed <= 0;
    end
  end
  wire want_reads = fence_reads;
  wire want_writes = fence_writes;
  always @(posedge clock) begin
    // Its users hold what they want until they are told.
    `ASSUME_HOLDS(ddtp_valid, ddtp_done, 1'b0)
    `ASSUME_HOLDS(fence_valid, fence_done, {fence_reads, fence_writes})
    `ASSERT_HOLDS(op_valid, op_ready, 1'b0)
    `ASSERT_HOLDS(sync_reads || sync_writes, sync_ack, {sync_reads, sync_writes})
  end
  always @(*)
    if (running) begin
      assert (!(ddtp_done && fence_done));
      if (fence_done) begin
        assert (fence_valid);
        assert (turned && left && walked);
        if (fence_reads || fence_writes) assert (confirmed);
      end
      if (ddtp_done) assert (ddtp_valid && turned && left && walked && confirmed_all);
      if (sync_reads || sync_writes) assert (turned && left && walked);
    end
  // A change of ddtp waits for both kinds.
  reg confirmed_all = 0;
  always @(posedge clock) begin
    if (walked && sync_ack && sync_reads && sync_writes) confirmed_all <= 1;
    if (reset || ddtp_done || fence_done) confirmed_all <= 0;
  end
endmodule
