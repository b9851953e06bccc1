//! Configuration `linux` with AXI: the core and the wrappers, and nothing else.

use crate::Linux;
use crate::bus::axil64::AxiLite64;
use crate::bus::ptw::AxiPtw;
use crate::bus::shapes::{AxiDevice, AxiLite, AxiMaster};
use crate::bus::translate::AxiTranslate;
use rust_hdl::prelude::*;

/// Eight reads and eight writes of devices on their way; registers 64 bits wide.
#[derive(LogicBlock, Default)]
pub struct LinuxAxi {
    /// Clock; everything happens at its rising edge.
    pub clock: Signal<In, Clock>,
    /// Synchronous reset.
    pub reset: Signal<In, Bit>,
    /// AXI4 of the devices: addresses are IOVAs.
    pub s_axi: AxiDevice,
    /// The devices' bursts with system physical addresses.
    pub m_axi: AxiMaster,
    /// AXI4 master for walks, queues and interrupt messages.
    pub m_axi_ptw: AxiMaster,
    /// AXI4-Lite of the registers.
    pub s_axil: AxiLite<64, 8>,
    /// Interrupt wires, level.
    pub irq: Signal<Out, Bits<4>>,
    core: Linux,
    translate: AxiTranslate<8, 3, 4>,
    ptw: AxiPtw,
    registers: AxiLite64,
}

impl Logic for LinuxAxi {
    #[hdl_gen]
    fn update(&mut self) {
        clock!(self, clock, core, translate, ptw, registers);
        self.core.reset.next = self.reset.val();
        self.translate.reset.next = self.reset.val();
        self.ptw.reset.next = self.reset.val();
        self.registers.reset.next = self.reset.val();
        AxiDevice::link(&mut self.s_axi, &mut self.translate.s_axi);
        AxiMaster::link(&mut self.m_axi, &mut self.translate.m_axi);
        AxiMaster::link(&mut self.m_axi_ptw, &mut self.ptw.m_axi);
        AxiLite::<64, 8>::link(&mut self.s_axil, &mut self.registers.s_axil);
        self.irq.next = self.core.irq.val();

        // Translation port.
        self.core.req_valid.next = self.translate.req_valid.val();
        self.translate.req_ready.next = self.core.req_ready.val();
        self.core.req_tag.next = self.translate.req_tag.val();
        self.core.req_device_id.next = self.translate.req_device_id.val();
        self.core.req_process_valid.next = self.translate.req_process_valid.val();
        self.core.req_process_id.next = self.translate.req_process_id.val();
        self.core.req_privileged.next = self.translate.req_privileged.val();
        self.core.req_access.next = self.translate.req_access.val();
        self.core.req_kind.next = self.translate.req_kind.val();
        self.core.req_iova.next = self.translate.req_iova.val();
        self.translate.rsp_valid.next = self.core.rsp_valid.val();
        self.core.rsp_ready.next = self.translate.rsp_ready.val();
        self.translate.rsp_tag.next = self.core.rsp_tag.val();
        self.translate.rsp_fault.next = self.core.rsp_fault.val();
        self.translate.rsp_pa.next = self.core.rsp_pa.val();
        self.translate.sync_reads.next = self.core.sync_reads.val();
        self.translate.sync_writes.next = self.core.sync_writes.val();
        self.core.sync_ack.next = self.translate.sync_ack.val();

        // Register port.
        self.core.reg_valid.next = self.registers.reg_valid.val();
        self.core.reg_write.next = self.registers.reg_write.val();
        self.core.reg_offset.next = self.registers.reg_offset.val();
        self.core.reg_wide.next = self.registers.reg_wide.val();
        self.core.reg_wdata.next = self.registers.reg_wdata.val();
        self.registers.reg_done.next = self.core.reg_done.val();
        self.registers.reg_rdata.next = self.core.reg_rdata.val();

        // Memory port.
        self.ptw.ar_valid.next = self.core.mem_ar_valid.val();
        self.core.mem_ar_ready.next = self.ptw.ar_ready.val();
        self.ptw.ar_addr.next = self.core.mem_ar_addr.val();
        self.ptw.ar_len.next = self.core.mem_ar_len.val();
        self.ptw.ar_id.next = self.core.mem_ar_id.val();
        self.core.mem_r_valid.next = self.ptw.r_valid.val();
        self.core.mem_r_data.next = self.ptw.r_data.val();
        self.core.mem_r_id.next = self.ptw.r_id.val();
        self.core.mem_r_last.next = self.ptw.r_last.val();
        self.core.mem_r_status.next = self.ptw.r_status.val();
        self.ptw.w_valid.next = self.core.mem_w_valid.val();
        self.core.mem_w_ready.next = self.ptw.w_ready.val();
        self.ptw.w_addr.next = self.core.mem_w_addr.val();
        self.ptw.w_data.next = self.core.mem_w_data.val();
        self.ptw.w_strobe.next = self.core.mem_w_strobe.val();
        self.ptw.w_last.next = self.core.mem_w_last.val();
        self.core.mem_b_valid.next = self.ptw.b_valid.val();
        self.core.mem_b_error.next = self.ptw.b_error.val();
    }
}
