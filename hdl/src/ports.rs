//! The ports that every configuration has, under one type, so that a test bench drives any of them.

use crate::Tiny;
use crate::linux::LinuxOf;
use rust_hdl::prelude::*;

/// The ports of a configuration, borrowed.
pub struct Ports<'a> {
    /// Clock; everything happens at its rising edge.
    pub clock: &'a mut Signal<In, Clock>,
    /// Synchronous reset.
    pub reset: &'a mut Signal<In, Bit>,
    /// Translation port: a request is offered; hold it until `req_ready`.
    pub req_valid: &'a mut Signal<In, Bit>,
    /// It is taken at the end of this cycle.
    pub req_ready: &'a mut Signal<Out, Bit>,
    /// Returned with the response; unique among the requests in flight.
    pub req_tag: &'a mut Signal<In, Bits<6>>,
    /// device_id.
    pub req_device_id: &'a mut Signal<In, Bits<24>>,
    /// A process_id is valid.
    pub req_process_valid: &'a mut Signal<In, Bit>,
    /// process_id.
    pub req_process_id: &'a mut Signal<In, Bits<20>>,
    /// Supervisor privilege asked for.
    pub req_privileged: &'a mut Signal<In, Bit>,
    /// 0 read, 1 write, 2 execute.
    pub req_access: &'a mut Signal<In, Bits<2>>,
    /// 0 untranslated, 1 translated, 2 ATS translation request.
    pub req_kind: &'a mut Signal<In, Bits<2>>,
    /// IOVA.
    pub req_iova: &'a mut Signal<In, Bits<64>>,
    /// Response port: an answer is offered, and stays until `rsp_ready`.
    pub rsp_valid: &'a mut Signal<Out, Bit>,
    /// It is taken at the end of this cycle.
    pub rsp_ready: &'a mut Signal<In, Bit>,
    /// Tag of the request; answers overtake one another.
    pub rsp_tag: &'a mut Signal<Out, Bits<6>>,
    /// Refused: answer the device with an error.
    pub rsp_fault: &'a mut Signal<Out, Bit>,
    /// Page size: 0 4 KiB, 1 64 KiB, 2 2 MiB, 3 1 GiB, 4 512 GiB, 5 256 TiB.
    pub rsp_size: &'a mut Signal<Out, Bits<3>>,
    /// System physical address; 0 with a fault.
    pub rsp_pa: &'a mut Signal<Out, Bits<64>>,
    /// Register port: an access is offered; hold it until `reg_done`.
    pub reg_valid: &'a mut Signal<In, Bit>,
    /// It writes.
    pub reg_write: &'a mut Signal<In, Bit>,
    /// Byte offset in the register page.
    pub reg_offset: &'a mut Signal<In, Bits<12>>,
    /// 8 bytes instead of 4.
    pub reg_wide: &'a mut Signal<In, Bit>,
    /// Data; a 4-byte access uses the low half.
    pub reg_wdata: &'a mut Signal<In, Bits<64>>,
    /// The access ends with this cycle.
    pub reg_done: &'a mut Signal<Out, Bit>,
    /// What it read; a 4-byte access uses the low half.
    pub reg_rdata: &'a mut Signal<Out, Bits<64>>,
    /// Memory port: a read is asked for, and stays until `mem_ar_ready`.
    pub mem_ar_valid: &'a mut Signal<Out, Bit>,
    /// It is taken.
    pub mem_ar_ready: &'a mut Signal<In, Bit>,
    /// Byte address, 8-byte aligned; a burst never crosses 4 KiB.
    pub mem_ar_addr: &'a mut Signal<Out, Bits<56>>,
    /// Doublewords wanted, less one.
    pub mem_ar_len: &'a mut Signal<Out, Bits<3>>,
    /// Returned with the data: 0 to 7 a walk, 8 the command queue; in `linux` 4 to 7 and 12 to 15 a line of page-table
    /// entries. One read in flight for each.
    pub mem_ar_id: &'a mut Signal<Out, Bits<4>>,
    /// 0 device directory, 1 page table, 2 command, 6 line of page-table entries.
    pub mem_ar_purpose: &'a mut Signal<Out, Bits<3>>,
    /// Read data; always taken. Reads of different ids may be answered in any order, also interleaved.
    pub mem_r_valid: &'a mut Signal<In, Bit>,
    /// The doubleword.
    pub mem_r_data: &'a mut Signal<In, Bits<64>>,
    /// Whose.
    pub mem_r_id: &'a mut Signal<In, Bits<4>>,
    /// Last of the burst.
    pub mem_r_last: &'a mut Signal<In, Bit>,
    /// 0 good, 1 access fault, 2 poisoned.
    pub mem_r_status: &'a mut Signal<In, Bits<2>>,
    /// A doubleword is to be written; stays until `mem_w_ready`.
    pub mem_w_valid: &'a mut Signal<Out, Bit>,
    /// It is taken.
    pub mem_w_ready: &'a mut Signal<In, Bit>,
    /// Byte address of this doubleword.
    pub mem_w_addr: &'a mut Signal<Out, Bits<56>>,
    /// Data.
    pub mem_w_data: &'a mut Signal<Out, Bits<64>>,
    /// Byte enables.
    pub mem_w_strobe: &'a mut Signal<Out, Bits<8>>,
    /// Last of the burst; one answer follows.
    pub mem_w_last: &'a mut Signal<Out, Bit>,
    /// 3 fault record, 4 IOFENCE.C data, 5 MSI.
    pub mem_w_purpose: &'a mut Signal<Out, Bits<3>>,
    /// The burst has been written, visibly to all; always taken.
    pub mem_b_valid: &'a mut Signal<In, Bit>,
    /// It has not: access fault.
    pub mem_b_error: &'a mut Signal<In, Bit>,
    /// Device reads granted so far are to become globally visible; held until `sync_ack`.
    pub sync_reads: &'a mut Signal<Out, Bit>,
    /// Likewise device writes.
    pub sync_writes: &'a mut Signal<Out, Bit>,
    /// They are, as asked.
    pub sync_ack: &'a mut Signal<In, Bit>,
    /// Interrupt wires, level.
    pub irq: &'a mut Signal<Out, Bits<4>>,
    /// Event: a request found its context in the cache.
    pub ev_context_hit: &'a mut Signal<Out, Bit>,
    /// Event: it did not.
    pub ev_context_miss: &'a mut Signal<Out, Bit>,
    /// Event: a request found its page in the IOTLB.
    pub ev_iotlb_hit: &'a mut Signal<Out, Bit>,
    /// Event: it did not.
    pub ev_iotlb_miss: &'a mut Signal<Out, Bit>,
    /// Event: a walk started.
    pub ev_walk: &'a mut Signal<Out, Bit>,
}

/// A configuration's top block.
pub trait Top: Block {
    /// Its ports.
    fn ports(&mut self) -> Ports<'_>;
}

macro_rules! top {
    ($([$($sizes:tt)*] $top:ty),+) => {$(
        impl<$($sizes)*> Top for $top {
            fn ports(&mut self) -> Ports<'_> {
                Ports {
                    clock: &mut self.clock,
                    reset: &mut self.reset,
                    req_valid: &mut self.req_valid,
                    req_ready: &mut self.req_ready,
                    req_tag: &mut self.req_tag,
                    req_device_id: &mut self.req_device_id,
                    req_process_valid: &mut self.req_process_valid,
                    req_process_id: &mut self.req_process_id,
                    req_privileged: &mut self.req_privileged,
                    req_access: &mut self.req_access,
                    req_kind: &mut self.req_kind,
                    req_iova: &mut self.req_iova,
                    rsp_valid: &mut self.rsp_valid,
                    rsp_ready: &mut self.rsp_ready,
                    rsp_tag: &mut self.rsp_tag,
                    rsp_fault: &mut self.rsp_fault,
                    rsp_size: &mut self.rsp_size,
                    rsp_pa: &mut self.rsp_pa,
                    reg_valid: &mut self.reg_valid,
                    reg_write: &mut self.reg_write,
                    reg_offset: &mut self.reg_offset,
                    reg_wide: &mut self.reg_wide,
                    reg_wdata: &mut self.reg_wdata,
                    reg_done: &mut self.reg_done,
                    reg_rdata: &mut self.reg_rdata,
                    mem_ar_valid: &mut self.mem_ar_valid,
                    mem_ar_ready: &mut self.mem_ar_ready,
                    mem_ar_addr: &mut self.mem_ar_addr,
                    mem_ar_len: &mut self.mem_ar_len,
                    mem_ar_id: &mut self.mem_ar_id,
                    mem_ar_purpose: &mut self.mem_ar_purpose,
                    mem_r_valid: &mut self.mem_r_valid,
                    mem_r_data: &mut self.mem_r_data,
                    mem_r_id: &mut self.mem_r_id,
                    mem_r_last: &mut self.mem_r_last,
                    mem_r_status: &mut self.mem_r_status,
                    mem_w_valid: &mut self.mem_w_valid,
                    mem_w_ready: &mut self.mem_w_ready,
                    mem_w_addr: &mut self.mem_w_addr,
                    mem_w_data: &mut self.mem_w_data,
                    mem_w_strobe: &mut self.mem_w_strobe,
                    mem_w_last: &mut self.mem_w_last,
                    mem_w_purpose: &mut self.mem_w_purpose,
                    mem_b_valid: &mut self.mem_b_valid,
                    mem_b_error: &mut self.mem_b_error,
                    sync_reads: &mut self.sync_reads,
                    sync_writes: &mut self.sync_writes,
                    sync_ack: &mut self.sync_ack,
                    irq: &mut self.irq,
                    ev_context_hit: &mut self.ev_context_hit,
                    ev_context_miss: &mut self.ev_context_miss,
                    ev_iotlb_hit: &mut self.ev_iotlb_hit,
                    ev_iotlb_miss: &mut self.ev_iotlb_miss,
                    ev_walk: &mut self.ev_walk,
                }
            }
        }
    )+};
}

top!(
    [] Tiny,
    [const N: usize, const I: usize, const K: usize, const T: usize, const C: usize, const S: usize, const W: usize, const B: usize, const P: usize, const PA: usize, const L: usize, const LA: usize, const Q: usize, const Q1: usize, const E: usize]
    LinuxOf<N, I, K, T, C, S, W, B, P, PA, L, LA, Q, Q1, E>
);
