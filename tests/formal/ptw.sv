// The master of walks and queues: its channels hold, and a burst has the address and the number of beats of the core's.
`include "contract.svh"
module monitor (
  input wire clock,
  input wire reset,
  input wire m_axi_awvalid,
  input wire m_axi_awready,
  input wire [63:0] m_axi_awaddr,
  input wire [7:0] m_axi_awlen,
  input wire m_axi_wvalid,
  input wire m_axi_wready,
  input wire [63:0] m_axi_wdata,
  input wire [7:0] m_axi_wstrb,
  input wire m_axi_wlast,
  input wire m_axi_bvalid,
  input wire [3:0] m_axi_bid,
  input wire m_axi_arvalid,
  input wire m_axi_arready,
  input wire [63:0] m_axi_araddr,
  input wire [7:0] m_axi_arlen,
  input wire [3:0] m_axi_arid,
  input wire ar_valid,
  input wire ar_ready,
  input wire [55:0] ar_addr,
  input wire [2:0] ar_len,
  input wire [3:0] ar_id,
  input wire w_valid,
  input wire w_ready,
  input wire [55:0] w_addr,
  input wire [63:0] w_data,
  input wire [7:0] w_strobe,
  input wire w_last,
  input wire b_valid
);
  `START
  // The core: bursts of one or four beats, the next one only after the answer.
  reg [2:0] beat = 0;
  reg [2:0] beats = 0;
  reg answering = 0;
  reg sent = 0;
  reg addressed = 0;
  reg [55:0] first;
  always @(*) begin
    if (answering) assume (!w_valid);
    if (w_valid && beat == 1 || w_valid && beat == 2) assume (!w_last);
    if (w_valid && beat == 3) assume (w_last);
    // Memory answers what it has been given whole.
    if (m_axi_bvalid && m_axi_bid == 0) assume (answering && addressed);
  end
  always @(posedge clock) begin
    if (w_valid && w_ready) begin
      beat <= w_last ? 0 : beat + 1;
      if (beat == 0) first <= w_addr;
      if (w_last) begin
        answering <= 1;
        beats <= beat;
      end
    end
    if (m_axi_awvalid && m_axi_awready) addressed <= 1;
    if (b_valid) begin
      answering <= 0;
      addressed <= 0;
    end
    if (reset) begin
      beat <= 0;
      answering <= 0;
      addressed <= 0;
    end
  end
  reg [7:0] said;
  always @(posedge clock) if (m_axi_awvalid && m_axi_awready) said <= m_axi_awlen;
  always @(posedge clock) begin
    `ASSUME_HOLDS(ar_valid, ar_ready, {ar_addr, ar_len, ar_id})
    `ASSUME_HOLDS(w_valid, w_ready, {w_addr, w_data, w_strobe, w_last})
    `ASSERT_HOLDS(m_axi_arvalid, m_axi_arready, {m_axi_araddr, m_axi_arlen, m_axi_arid})
    `ASSERT_HOLDS(m_axi_awvalid, m_axi_awready, {m_axi_awaddr, m_axi_awlen})
    `ASSERT_HOLDS(m_axi_wvalid, m_axi_wready, {m_axi_wdata, m_axi_wstrb, m_axi_wlast})
  end
  always @(*)
    if (running) begin
      // One address for each burst: that of its first beat, with its number of beats.
      if (m_axi_awvalid) assert (!addressed);
      if (m_axi_awvalid && beat != 0) assert (m_axi_awaddr == first && m_axi_awlen == 3);
      if (m_axi_awvalid && answering) assert (m_axi_awaddr == first && m_axi_awlen == beats);
      if (addressed && answering) assert (said == beats);
      if (m_axi_wvalid) assert (m_axi_awvalid || addressed);
    end
endmodule
