//! Configuration `tiny`: the core alone, one interrupt wire.

use crate::core::Core;
use crate::types::{Record, Req};
use portcullis_regmap::config::TINY;
use rust_hdl::prelude::*;

/// Sizes: 8 IOTLB entries, 4 contexts, 1 walk, 7 device_id bits, 27 page number bits, 4 queued misses, queues of 256 entries,
/// 2 records on their way.
#[derive(LogicBlock)]
pub struct Tiny {
    /// Clock; everything happens at its rising edge.
    pub clock: Signal<In, Clock>,
    /// Synchronous reset.
    pub reset: Signal<In, Bit>,
    /// Translation port: a request is offered; hold it until `req_ready`.
    pub req_valid: Signal<In, Bit>,
    /// It is taken at the end of this cycle.
    pub req_ready: Signal<Out, Bit>,
    /// Returned with the response; unique among the requests in flight.
    pub req_tag: Signal<In, Bits<6>>,
    /// device_id.
    pub req_device_id: Signal<In, Bits<24>>,
    /// A process_id is valid.
    pub req_process_valid: Signal<In, Bit>,
    /// process_id.
    pub req_process_id: Signal<In, Bits<20>>,
    /// Supervisor privilege asked for.
    pub req_privileged: Signal<In, Bit>,
    /// 0 read, 1 write, 2 execute.
    pub req_access: Signal<In, Bits<2>>,
    /// 0 untranslated, 1 translated, 2 ATS translation request.
    pub req_kind: Signal<In, Bits<2>>,
    /// IOVA.
    pub req_iova: Signal<In, Bits<64>>,
    /// Response port: an answer is offered, and stays until `rsp_ready`.
    pub rsp_valid: Signal<Out, Bit>,
    /// It is taken at the end of this cycle.
    pub rsp_ready: Signal<In, Bit>,
    /// Tag of the request; answers overtake one another.
    pub rsp_tag: Signal<Out, Bits<6>>,
    /// Refused: answer the device with an error.
    pub rsp_fault: Signal<Out, Bit>,
    /// Page size: 0 4 KiB, 1 64 KiB, 2 2 MiB, 3 1 GiB, 4 512 GiB, 5 256 TiB.
    pub rsp_size: Signal<Out, Bits<3>>,
    /// System physical address; 0 with a fault.
    pub rsp_pa: Signal<Out, Bits<64>>,
    /// Register port: an access is offered; hold it until `reg_done`.
    pub reg_valid: Signal<In, Bit>,
    /// It writes.
    pub reg_write: Signal<In, Bit>,
    /// Byte offset in the register page.
    pub reg_offset: Signal<In, Bits<12>>,
    /// 8 bytes instead of 4.
    pub reg_wide: Signal<In, Bit>,
    /// Data; a 4-byte access uses the low half.
    pub reg_wdata: Signal<In, Bits<64>>,
    /// The access ends with this cycle.
    pub reg_done: Signal<Out, Bit>,
    /// What it read; a 4-byte access uses the low half.
    pub reg_rdata: Signal<Out, Bits<64>>,
    /// Memory port: a read is asked for, and stays until `mem_ar_ready`.
    pub mem_ar_valid: Signal<Out, Bit>,
    /// It is taken.
    pub mem_ar_ready: Signal<In, Bit>,
    /// Byte address, 8-byte aligned; a burst never crosses 4 KiB.
    pub mem_ar_addr: Signal<Out, Bits<56>>,
    /// Doublewords wanted, less one.
    pub mem_ar_len: Signal<Out, Bits<3>>,
    /// Returned with the data: 0 to 7 a walk, 8 the command queue; in `linux` 4 to 7 and 12 to 15 a line of page-table
    /// entries. One read in flight for each.
    pub mem_ar_id: Signal<Out, Bits<4>>,
    /// 0 device directory, 1 page table, 2 command.
    pub mem_ar_purpose: Signal<Out, Bits<3>>,
    /// Read data; always taken. Reads of different ids may be answered in any order, also interleaved.
    pub mem_r_valid: Signal<In, Bit>,
    /// The doubleword.
    pub mem_r_data: Signal<In, Bits<64>>,
    /// Whose.
    pub mem_r_id: Signal<In, Bits<4>>,
    /// Last of the burst.
    pub mem_r_last: Signal<In, Bit>,
    /// 0 good, 1 access fault, 2 poisoned.
    pub mem_r_status: Signal<In, Bits<2>>,
    /// A doubleword is to be written; stays until `mem_w_ready`.
    pub mem_w_valid: Signal<Out, Bit>,
    /// It is taken.
    pub mem_w_ready: Signal<In, Bit>,
    /// Byte address of this doubleword.
    pub mem_w_addr: Signal<Out, Bits<56>>,
    /// Data.
    pub mem_w_data: Signal<Out, Bits<64>>,
    /// Byte enables.
    pub mem_w_strobe: Signal<Out, Bits<8>>,
    /// Last of the burst; one answer follows.
    pub mem_w_last: Signal<Out, Bit>,
    /// 3 fault record, 4 IOFENCE.C data, 5 MSI.
    pub mem_w_purpose: Signal<Out, Bits<3>>,
    /// The burst has been written, visibly to all; always taken.
    pub mem_b_valid: Signal<In, Bit>,
    /// It has not: access fault.
    pub mem_b_error: Signal<In, Bit>,
    /// Device reads granted so far are to become globally visible; held until `sync_ack`.
    pub sync_reads: Signal<Out, Bit>,
    /// Likewise device writes.
    pub sync_writes: Signal<Out, Bit>,
    /// They are, as asked.
    pub sync_ack: Signal<In, Bit>,
    /// Interrupt wires, level.
    pub irq: Signal<Out, Bits<4>>,
    /// Event: a request found its context in the cache.
    pub ev_context_hit: Signal<Out, Bit>,
    /// Event: it did not.
    pub ev_context_miss: Signal<Out, Bit>,
    /// Event: a request found its page in the IOTLB.
    pub ev_iotlb_hit: Signal<Out, Bit>,
    /// Event: it did not.
    pub ev_iotlb_miss: Signal<Out, Bit>,
    /// Event: a walk started.
    pub ev_walk: Signal<Out, Bit>,
    core: Core<8, 3, 0, 8, 4, 2, 1, 1, 2, 1, 0, 1, 7, 27, 2, 3, 8, 1, 1, 2>,
    no_record: Constant<Record>,
    no_req: Constant<Req>,
}

impl Tiny {
    /// The core of the configuration.
    #[must_use]
    pub fn new() -> Self {
        let config = &TINY;
        Self {
            clock: Default::default(),
            reset: Default::default(),
            req_valid: Default::default(),
            req_ready: Default::default(),
            req_tag: Default::default(),
            req_device_id: Default::default(),
            req_process_valid: Default::default(),
            req_process_id: Default::default(),
            req_privileged: Default::default(),
            req_access: Default::default(),
            req_kind: Default::default(),
            req_iova: Default::default(),
            rsp_valid: Default::default(),
            rsp_ready: Default::default(),
            rsp_tag: Default::default(),
            rsp_fault: Default::default(),
            rsp_size: Default::default(),
            rsp_pa: Default::default(),
            reg_valid: Default::default(),
            reg_write: Default::default(),
            reg_offset: Default::default(),
            reg_wide: Default::default(),
            reg_wdata: Default::default(),
            reg_done: Default::default(),
            reg_rdata: Default::default(),
            mem_ar_valid: Default::default(),
            mem_ar_ready: Default::default(),
            mem_ar_addr: Default::default(),
            mem_ar_len: Default::default(),
            mem_ar_id: Default::default(),
            mem_ar_purpose: Default::default(),
            mem_r_valid: Default::default(),
            mem_r_data: Default::default(),
            mem_r_id: Default::default(),
            mem_r_last: Default::default(),
            mem_r_status: Default::default(),
            mem_w_valid: Default::default(),
            mem_w_ready: Default::default(),
            mem_w_addr: Default::default(),
            mem_w_data: Default::default(),
            mem_w_strobe: Default::default(),
            mem_w_last: Default::default(),
            mem_w_purpose: Default::default(),
            mem_b_valid: Default::default(),
            mem_b_error: Default::default(),
            sync_reads: Default::default(),
            sync_writes: Default::default(),
            sync_ack: Default::default(),
            irq: Default::default(),
            ev_context_hit: Default::default(),
            ev_context_miss: Default::default(),
            ev_iotlb_hit: Default::default(),
            ev_iotlb_miss: Default::default(),
            ev_walk: Default::default(),
            core: Core::new(config),
            no_record: Constant::new(Record::default()),
            no_req: Constant::new(Req::default()),
        }
    }
}

impl Default for Tiny {
    fn default() -> Self {
        Self::new()
    }
}

impl Logic for Tiny {
    #[hdl_gen]
    fn update(&mut self) {
        self.core.clock.next = self.clock.val();
        self.core.reset.next = self.reset.val();
        self.core.req_valid.next = self.req_valid.val();
        self.req_ready.next = self.core.req_ready.val();
        self.core.req_tag.next = self.req_tag.val();
        self.core.req_device_id.next = self.req_device_id.val();
        self.core.req_process_valid.next = self.req_process_valid.val();
        self.core.req_process_id.next = self.req_process_id.val();
        self.core.req_privileged.next = self.req_privileged.val();
        self.core.req_access.next = self.req_access.val();
        self.core.req_kind.next = self.req_kind.val();
        self.core.req_iova.next = self.req_iova.val();
        self.rsp_valid.next = self.core.rsp_valid.val();
        self.core.rsp_ready.next = self.rsp_ready.val();
        self.rsp_tag.next = self.core.rsp_tag.val();
        self.rsp_fault.next = self.core.rsp_fault.val();
        self.rsp_size.next = self.core.rsp_size.val();
        self.rsp_pa.next = self.core.rsp_pa.val();
        self.core.reg_valid.next = self.reg_valid.val();
        self.core.reg_write.next = self.reg_write.val();
        self.core.reg_offset.next = self.reg_offset.val();
        self.core.reg_wide.next = self.reg_wide.val();
        self.core.reg_wdata.next = self.reg_wdata.val();
        self.reg_done.next = self.core.reg_done.val();
        self.reg_rdata.next = self.core.reg_rdata.val();
        self.mem_ar_valid.next = self.core.mem_ar_valid.val();
        self.core.mem_ar_ready.next = self.mem_ar_ready.val();
        self.mem_ar_addr.next = self.core.mem_ar_addr.val();
        self.mem_ar_len.next = self.core.mem_ar_len.val();
        self.mem_ar_id.next = self.core.mem_ar_id.val();
        self.mem_ar_purpose.next = self.core.mem_ar_purpose.val();
        self.core.mem_r_valid.next = self.mem_r_valid.val();
        self.core.mem_r_data.next = self.mem_r_data.val();
        self.core.mem_r_id.next = self.mem_r_id.val();
        self.core.mem_r_last.next = self.mem_r_last.val();
        self.core.mem_r_status.next = self.mem_r_status.val();
        self.mem_w_valid.next = self.core.mem_w_valid.val();
        self.core.mem_w_ready.next = self.mem_w_ready.val();
        self.mem_w_addr.next = self.core.mem_w_addr.val();
        self.mem_w_data.next = self.core.mem_w_data.val();
        self.mem_w_strobe.next = self.core.mem_w_strobe.val();
        self.mem_w_last.next = self.core.mem_w_last.val();
        self.mem_w_purpose.next = self.core.mem_w_purpose.val();
        self.core.mem_b_valid.next = self.mem_b_valid.val();
        self.core.mem_b_error.next = self.mem_b_error.val();
        self.sync_reads.next = self.core.sync_reads.val();
        self.sync_writes.next = self.core.sync_writes.val();
        self.core.sync_ack.next = self.sync_ack.val();
        self.ev_context_hit.next = self.core.ev_context_hit.val();
        self.ev_context_miss.next = self.core.ev_context_miss.val();
        self.ev_iotlb_hit.next = self.core.ev_iotlb_hit.val();
        self.ev_iotlb_miss.next = self.core.ev_iotlb_miss.val();
        self.ev_walk.next = self.core.ev_walk.val();

        // INT-08, INT-10: one vector, so one wire. Nothing is attached to the core's other connections.
        self.irq.next = 0.into();
        if self.core.wires.val() & (self.core.cip.val() | self.core.fip.val()) {
            self.irq.next = 1.into();
        }
        self.core.overflow.next = false;
        self.core.ext_lo.next = 0.into();
        self.core.ext_hi.next = 0.into();
        self.core.ext_narrow.next = false;
        self.core.lines_off.next = false;
        self.core.msi_valid.next = false;
        self.core.msi_frame.next = 0.into();
        self.core.msi_off.next = 0.into();
        self.core.msi_data.next = 0.into();
        self.core.msi_record_valid.next = false;
        self.core.msi_record.next = self.no_record.val();
        self.core.debug_valid.next = false;
        self.core.debug_req.next = self.no_req.val();
    }
}
