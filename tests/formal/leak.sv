// No address leaves on m_axi that was not produced by a completed translation for that request.
//
// Ids stand for requests. The translation port answers only what it has been asked, refuses every request whose id has
// bit 1, and grants the others pages whose bits 12, 38 and 63 repeat bit 0 of the id. Then nothing with bit 1 leaves,
// and every page that leaves repeats bit 0 of its id: it was granted, and to a request of this id.
`include "contract.svh"
module monitor (
  input wire clock,
  input wire reset,
  input wire [3:0] s_axi_arid,
  input wire [23:0] s_axi_armmusid,
  input wire [3:0] s_axi_awid,
  input wire [23:0] s_axi_awmmusid,
  input wire m_axi_arvalid,
  input wire [63:0] m_axi_araddr,
  input wire [3:0] m_axi_arid,
  input wire m_axi_awvalid,
  input wire [63:0] m_axi_awaddr,
  input wire [3:0] m_axi_awid,
  input wire m_axi_wvalid,
  input wire req_valid,
  input wire req_ready,
  input wire [5:0] req_tag,
  input wire [23:0] req_device_id,
  input wire rsp_valid,
  input wire [5:0] rsp_tag,
  input wire rsp_fault,
  input wire [63:0] rsp_pa
);
  `START
  // The device_id carries the id to the translation port.
  always @(*) begin
    assume (s_axi_armmusid[1:0] == s_axi_arid[1:0]);
    assume (s_axi_awmmusid[1:0] == s_axi_awid[1:0]);
  end
  // Of a tag, bit 5 and the slot count: four slots here.
  wire [2:0] req_place = {req_tag[5], req_tag[1:0]};
  wire [2:0] rsp_place = {rsp_tag[5], rsp_tag[1:0]};
  reg [7:0] asked = 0, outcast = 0, colour = 0;
  reg any_write = 0;
  always @(posedge clock) begin
    if (rsp_valid) asked[rsp_place] <= 0;
    if (req_valid && req_ready) begin
      asked[req_place] <= 1;
      outcast[req_place] <= req_device_id[1];
      colour[req_place] <= req_device_id[0];
    end
    if (rsp_valid && !rsp_fault && rsp_tag[5]) any_write <= 1;
    if (reset) asked <= 0;
  end
  always @(*)
    if (rsp_valid) begin
      assume (asked[rsp_place]);
      if (outcast[rsp_place]) assume (rsp_fault);
      if (!rsp_fault) assume ({rsp_pa[63], rsp_pa[38], rsp_pa[12]} == {3{colour[rsp_place]}});
    end
  always @(*)
    if (running) begin
      if (m_axi_arvalid) begin
        assert (!m_axi_arid[1]);
        assert ({m_axi_araddr[63], m_axi_araddr[38], m_axi_araddr[12]} == {3{m_axi_arid[0]}});
      end
      if (m_axi_awvalid) begin
        assert (!m_axi_awid[1]);
        assert ({m_axi_awaddr[63], m_axi_awaddr[38], m_axi_awaddr[12]} == {3{m_axi_awid[0]}});
      end
      if (m_axi_wvalid) assert (any_write);
    end
endmodule
