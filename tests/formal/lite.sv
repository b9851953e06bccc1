// AXI4-Lite registers: answers hold, one for each access and none besides, and an access is one access of the core.
`include "contract.svh"
module monitor (
  input wire clock,
  input wire reset,
  input wire s_axil_awvalid,
  input wire s_axil_awready,
  input wire [11:0] s_axil_awaddr,
  input wire s_axil_wvalid,
  input wire s_axil_wready,
  input wire [31:0] s_axil_wdata,
  input wire [3:0] s_axil_wstrb,
  input wire s_axil_bvalid,
  input wire s_axil_bready,
  input wire [1:0] s_axil_bresp,
  input wire s_axil_arvalid,
  input wire s_axil_arready,
  input wire [11:0] s_axil_araddr,
  input wire s_axil_rvalid,
  input wire s_axil_rready,
  input wire [31:0] s_axil_rdata,
  input wire [1:0] s_axil_rresp,
  input wire reg_valid,
  input wire reg_write,
  input wire [11:0] reg_offset,
  input wire [63:0] reg_wdata,
  input wire reg_done
);
  `START
  // What has been taken and not answered.
  reg writing = 0;
  reg reading = 0;
  reg [11:0] address;
  reg [31:0] data;
  reg [3:0] strobe;
  always @(posedge clock) begin
    if (s_axil_awvalid && s_axil_awready) begin
      writing <= 1;
      address <= s_axil_awaddr;
      data <= s_axil_wdata;
      strobe <= s_axil_wstrb;
    end
    if (s_axil_bvalid && s_axil_bready) writing <= 0;
    if (s_axil_arvalid && s_axil_arready) begin
      reading <= 1;
      address <= s_axil_araddr;
    end
    if (s_axil_rvalid && s_axil_rready) reading <= 0;
    if (reset) begin
      writing <= 0;
      reading <= 0;
    end
  end
  always @(posedge clock) begin
    `ASSUME_HOLDS(s_axil_awvalid, s_axil_awready, s_axil_awaddr)
    `ASSUME_HOLDS(s_axil_wvalid, s_axil_wready, {s_axil_wdata, s_axil_wstrb})
    `ASSUME_HOLDS(s_axil_arvalid, s_axil_arready, s_axil_araddr)
    `ASSERT_HOLDS(s_axil_bvalid, s_axil_bready, s_axil_bresp)
    `ASSERT_HOLDS(s_axil_rvalid, s_axil_rready, {s_axil_rdata, s_axil_rresp})
    // The register port's rule: an access that is offered stays until it is done.
    `ASSERT_HOLDS(reg_valid, reg_done, {reg_write, reg_offset, reg_wdata})
  end
  always @(*)
    if (running) begin
      assert ((s_axil_awvalid && s_axil_awready) == (s_axil_wvalid && s_axil_wready));
      if (s_axil_bvalid) assert (writing);
      if (s_axil_rvalid) assert (reading);
      if (writing || reading) assert (!(s_axil_awvalid && s_axil_awready) && !(s_axil_arvalid && s_axil_arready));
      assert (!(writing && reading));
      if (reg_valid) begin
        assert (reg_write ? writing : reading);
        assert (reg_offset == {address[11:2], 2'b00});
        if (reg_write) assert (strobe == 4'hf && reg_wdata == {32'b0, data});
      end
    end
endmodule
