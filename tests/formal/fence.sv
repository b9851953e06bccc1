// A fence is confirmed only when every read or write that was granted before it has had its last answer from memory.
// One write and one read of any id, the only ones with that id, are followed among all others.
`include "contract.svh"
module monitor (
  input wire clock,
  input wire reset,
  input wire s_axi_arvalid,
  input wire s_axi_arready,
  input wire [3:0] s_axi_arid,
  input wire [23:0] s_axi_armmusid,
  input wire s_axi_awvalid,
  input wire s_axi_awready,
  input wire [3:0] s_axi_awid,
  input wire [23:0] s_axi_awmmusid,
  input wire m_axi_rvalid,
  input wire m_axi_rready,
  input wire [3:0] m_axi_rid,
  input wire m_axi_rlast,
  input wire m_axi_bvalid,
  input wire m_axi_bready,
  input wire [3:0] m_axi_bid,
  input wire req_valid,
  input wire req_ready,
  input wire [5:0] req_tag,
  input wire [23:0] req_device_id,
  input wire rsp_valid,
  input wire [5:0] rsp_tag,
  input wire rsp_fault,
  input wire sync_reads,
  input wire sync_writes,
  input wire sync_ack
);
  `START
  (* anyconst *) wire [3:0] id;
  // Of a tag, bit 5 and the slot count: four slots here.
  wire [2:0] req_place = {req_tag[5], req_tag[1:0]};
  wire [2:0] rsp_place = {rsp_tag[5], rsp_tag[1:0]};
  reg [7:0] asked = 0, marked = 0;
  reg read_sent = 0, write_sent = 0;
  reg read_granted = 0, write_granted = 0;
  reg read_before = 0, write_before = 0;
  reg fencing = 0;
  wire read_ends = m_axi_rvalid && m_axi_rready && m_axi_rlast && m_axi_rid == id;
  wire write_ends = m_axi_bvalid && m_axi_bready && m_axi_bid == id;
  always @(*) begin
    assume (s_axi_armmusid[0] == (s_axi_arid == id));
    assume (s_axi_awmmusid[0] == (s_axi_awid == id));
    if (read_sent) assume (!(s_axi_arvalid && s_axi_arid == id));
    if (write_sent) assume (!(s_axi_awvalid && s_axi_awid == id));
    if (rsp_valid) assume (asked[rsp_place]);
  end
  always @(posedge clock) begin
    if (s_axi_arvalid && s_axi_arready && s_axi_arid == id) read_sent <= 1;
    if (s_axi_awvalid && s_axi_awready && s_axi_awid == id) write_sent <= 1;
    if (rsp_valid) asked[rsp_place] <= 0;
    if (req_valid && req_ready) begin
      asked[req_place] <= 1;
      marked[req_place] <= req_device_id[0];
    end
    if (rsp_valid && !rsp_fault && marked[rsp_place]) begin
      if (rsp_tag[5]) write_granted <= 1;
      else read_granted <= 1;
    end
    if (read_ends) read_granted <= 0;
    if (write_ends) write_granted <= 0;
    // The fence begins: what is granted now has to end first.
    if (!fencing && (sync_reads || sync_writes)) begin
      fencing <= 1;
      read_before <= sync_reads && read_granted && !read_ends;
      write_before <= sync_writes && write_granted && !write_ends;
    end else begin
      if (read_ends) read_before <= 0;
      if (write_ends) write_before <= 0;
    end
    if (sync_ack) fencing <= 0;
    if (reset) begin
      asked <= 0;
      fencing <= 0;
    end
    `ASSUME_HOLDS(sync_reads || sync_writes, sync_ack, {sync_reads, sync_writes})
  end
  always @(*) if (running && sync_ack) assert (!read_before && !write_before);
endmodule
