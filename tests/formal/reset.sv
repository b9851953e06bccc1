// After reset, before software has written a register, nothing passes: whatever the devices and the memory do.
`include "contract.svh"
module monitor (
  input wire clock,
  input wire reset,
  input wire s_axil_awvalid,
  input wire m_axi_arvalid,
  input wire m_axi_awvalid,
  input wire m_axi_wvalid,
  input wire m_axi_ptw_arvalid,
  input wire m_axi_ptw_awvalid,
  input wire m_axi_ptw_wvalid,
  input wire [3:0] irq
);
  `START
  always @(*) assume (!s_axil_awvalid);
  always @(*)
    if (running) begin
      assert (!m_axi_arvalid && !m_axi_awvalid && !m_axi_wvalid);
      assert (!m_axi_ptw_arvalid && !m_axi_ptw_awvalid && !m_axi_ptw_wvalid);
      assert (irq == 0);
    end
endmodule
