//! Configuration `linux`: the core with message interrupts, performance monitor and debug interface.

use crate::core::Core;
use crate::debug::Debug;
use crate::hpm::Hpm;
use crate::line_control::LineControl;
use crate::msi::Msi;
use portcullis_regmap::config::{Config, LINUX};
use rust_hdl::prelude::*;

/// The configuration: 8 IOTLB entries of any size beside 256 pages, 8 contexts, 4 walks, 16 table pointers, 6 lines of
/// page-table entries, 8 queued misses, bursts of 4 commands.
pub type Linux = LinuxOf<8, 3, 4, 9, 8, 3, 4, 2, 16, 4, 6, 3, 3, 4, 4>;

/// The same with other sizes: `N` IOTLB entries of any size (`I` index bits) beside 64 sets of `K` ways (`T` bits address
/// both), `C` contexts (`S` slot bits), `W` walks (`B` slot bits), `P` = `2^PA` table pointers, `L` lines of page-table
/// entries (numbered with `LA` bits), `2^Q` queued misses (`Q1` = `Q` + 1), bursts of up to `E` commands. All have 24 device_id bits, 45
/// page number bits, queues of 8,192 entries, 4 records on their way.
#[derive(LogicBlock)]
pub struct LinuxOf<
    const N: usize,
    const I: usize,
    const K: usize,
    const T: usize,
    const C: usize,
    const S: usize,
    const W: usize,
    const B: usize,
    const P: usize,
    const PA: usize,
    const L: usize,
    const LA: usize,
    const Q: usize,
    const Q1: usize,
    const E: usize,
> {
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
    /// 0 device directory, 1 page table, 2 command, 6 line of page-table entries.
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
    core: Core<N, I, K, T, C, S, W, B, P, PA, L, LA, 24, 45, Q, Q1, 13, E, 2, 3>,
    msi: Msi,
    hpm: Hpm,
    line_control: LineControl,
    debug: Debug,
}

impl<
    const N: usize,
    const I: usize,
    const K: usize,
    const T: usize,
    const C: usize,
    const S: usize,
    const W: usize,
    const B: usize,
    const P: usize,
    const PA: usize,
    const L: usize,
    const LA: usize,
    const Q: usize,
    const Q1: usize,
    const E: usize,
> LinuxOf<N, I, K, T, C, S, W, B, P, PA, L, LA, Q, Q1, E>
{
    /// The core of a variant of the configuration, whose sizes the type must repeat.
    ///
    /// # Panics
    /// It does not.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let sizes = [
            config.iotlb_entries,
            config.iotlb_pages,
            config.context_entries,
            config.walkers.into(),
            // A cache that keeps nothing has places for two.
            config.table_pointers.max(2),
            config.pte_lines.into(),
            config.miss_queue.into(),
            config.command_burst.into(),
        ];
        let of_type = [N, K * 64, C, W, P, L, 1 << Q, E];
        assert_eq!(sizes.map(usize::from), of_type, "{}", config.name);
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
            msi: Msi::new(config),
            hpm: Hpm::default(),
            line_control: LineControl::default(),
            debug: Debug::default(),
        }
    }
}

impl Linux {
    /// The core of the configuration.
    #[must_use]
    pub fn new() -> Self {
        Self::of(&LINUX)
    }
}

impl Default for Linux {
    fn default() -> Self {
        Self::new()
    }
}

impl<
    const N: usize,
    const I: usize,
    const K: usize,
    const T: usize,
    const C: usize,
    const S: usize,
    const W: usize,
    const B: usize,
    const P: usize,
    const PA: usize,
    const L: usize,
    const LA: usize,
    const Q: usize,
    const Q1: usize,
    const E: usize,
> Logic for LinuxOf<N, I, K, T, C, S, W, B, P, PA, L, LA, Q, Q1, E>
{
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

        clock!(self, clock, msi, hpm, line_control, debug);
        self.msi.reset.next = self.reset.val();
        self.hpm.reset.next = self.reset.val();
        self.line_control.reset.next = self.reset.val();
        self.debug.reset.next = self.reset.val();

        // Registers of the blocks around the core.
        self.msi.bus_access.next = self.core.bus_access.val();
        self.msi.bus_write.next = self.core.bus_write.val();
        self.msi.bus_row.next = self.core.bus_row.val();
        self.msi.bus_low.next = self.core.bus_low.val();
        self.msi.bus_high.next = self.core.bus_high.val();
        self.msi.bus_first.next = self.core.bus_first.val();
        self.msi.bus_second.next = self.core.bus_second.val();
        self.msi.bus_wlo.next = self.core.bus_wlo.val();
        self.msi.bus_whi.next = self.core.bus_whi.val();
        self.hpm.bus_write.next = self.core.bus_write.val();
        self.hpm.bus_row.next = self.core.bus_row.val();
        self.hpm.bus_low.next = self.core.bus_low.val();
        self.hpm.bus_high.next = self.core.bus_high.val();
        self.hpm.bus_second.next = self.core.bus_second.val();
        self.hpm.bus_wlo.next = self.core.bus_wlo.val();
        self.hpm.bus_whi.next = self.core.bus_whi.val();
        self.debug.bus_write.next = self.core.bus_write.val();
        self.debug.bus_row.next = self.core.bus_row.val();
        self.debug.bus_low.next = self.core.bus_low.val();
        self.debug.bus_high.next = self.core.bus_high.val();
        self.debug.bus_wlo.next = self.core.bus_wlo.val();
        self.debug.bus_whi.next = self.core.bus_whi.val();
        self.line_control.bus_write.next = self.core.bus_write.val();
        self.line_control.bus_row.next = self.core.bus_row.val();
        self.line_control.bus_first.next = self.core.bus_first.val();
        self.line_control.bus_wlo.next = self.core.bus_wlo.val();
        self.core.lines_off.next = self.line_control.off.val();
        self.core.ext_lo.next = self.msi.read_lo.val()
            | self.hpm.read_lo.val()
            | self.debug.read_lo.val()
            | self.line_control.read_lo.val();
        self.core.ext_hi.next =
            self.msi.read_hi.val() | self.hpm.read_hi.val() | self.debug.read_hi.val();
        self.core.ext_narrow.next =
            self.msi.narrow.val() | self.hpm.narrow.val() | self.line_control.narrow.val();

        // Interrupts.
        self.msi.wires.next = self.core.wires.val();
        self.msi.cip.next = self.core.cip.val();
        self.msi.fip.next = self.core.fip.val();
        self.msi.pmip.next = self.core.pmip.val();
        self.msi.cip_edge.next = self.core.cip_edge.val();
        self.msi.fip_edge.next = self.core.fip_edge.val();
        self.msi.pmip_edge.next = self.core.pmip_edge.val();
        self.irq.next = self.msi.irq.val();
        self.core.overflow.next = self.hpm.overflow.val();
        self.core.msi_valid.next = self.msi.w_valid.val();
        self.core.msi_frame.next = self.msi.w_frame.val();
        self.core.msi_off.next = self.msi.w_off.val();
        self.core.msi_data.next = self.msi.w_data.val();
        self.core.msi_record_valid.next = self.msi.record_valid.val();
        self.core.msi_record.next = self.msi.record.val();
        self.msi.w_ready.next = self.core.msi_ready.val();
        self.msi.b_valid.next = self.core.msi_b_valid.val();
        self.msi.record_ready.next = self.core.msi_record_ready.val();
        self.msi.b_error.next = self.mem_b_error.val();

        // Monitor.
        self.hpm.ev_request.next = self.core.ev_request.val();
        self.hpm.req.next = self.core.ev_req.val();
        self.hpm.ev_miss.next = self.core.ev_miss.val();
        self.hpm.ev_ddt.next = self.core.ev_ddt.val();
        self.hpm.ev_pte.next = self.core.ev_pte.val();
        self.hpm.walk_req.next = self.core.ev_walk_req.val();
        self.hpm.walk_pscid.next = self.core.ev_walk_pscid.val();

        // Debug interface.
        self.core.debug_valid.next = self.debug.valid.val();
        self.core.debug_req.next = self.debug.req.val();
        self.debug.ready.next = self.core.debug_ready.val();
        self.debug.done.next = self.core.debug_done.val();
        self.debug.fault.next = self.core.debug_fault.val();
        self.debug.spa.next = self.core.debug_spa.val();
    }
}
