// AXI in front of the translation port: every channel of both sides, and the translation port, holds.
// Nothing is assumed about the translation port or the memory.
`include "contract.svh"
module monitor (
  input wire clock,
  input wire reset,
  input wire s_axi_rvalid,
  input wire s_axi_rready,
  input wire [3:0] s_axi_rid,
  input wire [63:0] s_axi_rdata,
  input wire [1:0] s_axi_rresp,
  input wire s_axi_rlast,
  input wire s_axi_bvalid,
  input wire s_axi_bready,
  input wire [3:0] s_axi_bid,
  input wire [1:0] s_axi_bresp,
  input wire m_axi_arvalid,
  input wire m_axi_arready,
  input wire [63:0] m_axi_araddr,
  input wire [3:0] m_axi_arid,
  input wire [7:0] m_axi_arlen,
  input wire [2:0] m_axi_arsize,
  input wire [1:0] m_axi_arburst,
  input wire m_axi_awvalid,
  input wire m_axi_awready,
  input wire [63:0] m_axi_awaddr,
  input wire [3:0] m_axi_awid,
  input wire [7:0] m_axi_awlen,
  input wire [2:0] m_axi_awsize,
  input wire [1:0] m_axi_awburst,
  input wire m_axi_wvalid,
  input wire m_axi_wready,
  input wire [63:0] m_axi_wdata,
  input wire [7:0] m_axi_wstrb,
  input wire m_axi_wlast,
  input wire req_valid,
  input wire req_ready,
  input wire [5:0] req_tag,
  input wire [23:0] req_device_id,
  input wire [1:0] req_access,
  input wire [63:0] req_iova
);
  `START
  always @(posedge clock) begin
    `ASSERT_HOLDS(s_axi_rvalid, s_axi_rready, {s_axi_rid, s_axi_rdata, s_axi_rresp, s_axi_rlast})
    `ASSERT_HOLDS(s_axi_bvalid, s_axi_bready, {s_axi_bid, s_axi_bresp})
    `ASSERT_HOLDS(m_axi_arvalid, m_axi_arready, {m_axi_araddr, m_axi_arid, m_axi_arlen, m_axi_arsize, m_axi_arburst})
    `ASSERT_HOLDS(m_axi_awvalid, m_axi_awready, {m_axi_awaddr, m_axi_awid, m_axi_awlen, m_axi_awsize, m_axi_awburst})
    `ASSERT_HOLDS(m_axi_wvalid, m_axi_wready, {m_axi_wdata, m_axi_wstrb, m_axi_wlast})
    `ASSERT_HOLDS(req_valid, req_ready, {req_tag, req_device_id, req_access, req_iova})
  end
  always @(*)
    if (running && !begun) assert (!s_axi_rvalid && !s_axi_bvalid && !m_axi_arvalid && !m_axi_awvalid && !m_axi_wvalid && !req_valid);
endmodule
