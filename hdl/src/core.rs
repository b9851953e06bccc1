//! The core: the blocks that every configuration has, and the wires between them.
//!
//! ```text
//!  translation port ─► lookup ─────────────────────────────► response port
//!                        │ ▲ fills, answers
//!                 misses ▼ │
//!                       walker ─────► memory port ◄───── command queue ◄─┐
//!                        │ records        ▲                   │ invalidations, fences
//!                        └──► fault queue ┘       drain ◄─────┤
//!  register port ─► registers ◄─► all                └────────┴──► lookup
//! ```
//!
//! This file decides nothing: it names the ports, joins the blocks and gives the pipeline's maintenance turn to the
//! drain before the command queue (HW9: a change of ddtp gets through whatever the command queue does).

use crate::command_queue::CommandQueue;
use crate::drain::Drain;
use crate::fault_queue::FaultQueue;
use crate::line_fetch::LineFetch;
use crate::lookup::Lookup;
use crate::memory_port::MemoryPort;
use crate::registers::Registers;
use crate::types::*;
use crate::walker::Walker;
use crate::widen::unsigned_cast_to;
use portcullis_regmap::config::Config;
use rust_hdl::prelude::*;

/// The core. `N` IOTLB entries (`I` index bits) beside 64 sets of `K` ways (`T` bits address both), `C` contexts (`S`
/// slot bits), `W` walks (`B` slot bits), `P` = `2^PA` table pointers, `L` = `2^LA` lines of page-table entries (or 0),
/// `D` device_id bits, `V` virtual page number bits, `2^Q` queued misses (`Q1` = `Q` + 1), queues of up to `2^X` entries,
/// bursts of up to `E` commands, `2^F` records between walker and memory (`F1` = `F` + 1).
#[derive(LogicBlock)]
pub struct Core<
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
    const D: usize,
    const V: usize,
    const Q: usize,
    const Q1: usize,
    const X: usize,
    const E: usize,
    const F: usize,
    const F1: usize,
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

    /// fctl.WSI.
    pub wires: Signal<Out, Bit>,
    /// ipsr.cip.
    pub cip: Signal<Out, Bit>,
    /// ipsr.fip.
    pub fip: Signal<Out, Bit>,
    /// ipsr.pmip.
    pub pmip: Signal<Out, Bit>,
    /// cip rises.
    pub cip_edge: Signal<Out, Bit>,
    /// fip rises.
    pub fip_edge: Signal<Out, Bit>,
    /// pmip rises.
    pub pmip_edge: Signal<Out, Bit>,
    /// Set pmip.
    pub overflow: Signal<In, Bit>,
    /// Register bus: an access takes place.
    pub bus_access: Signal<Out, Bit>,
    /// It writes.
    pub bus_write: Signal<Out, Bit>,
    /// Doubleword of the register page.
    pub bus_row: Signal<Out, Bits<9>>,
    /// Low half of an 8-byte register.
    pub bus_low: Signal<Out, Bit>,
    /// High half of an 8-byte register.
    pub bus_high: Signal<Out, Bit>,
    /// First 4-byte register.
    pub bus_first: Signal<Out, Bit>,
    /// Second 4-byte register.
    pub bus_second: Signal<Out, Bit>,
    /// Low half of the data.
    pub bus_wlo: Signal<Out, Bits<32>>,
    /// High half of the data.
    pub bus_whi: Signal<Out, Bits<32>>,
    /// Low half read by the blocks outside.
    pub ext_lo: Signal<In, Bits<32>>,
    /// High half read by the blocks outside.
    pub ext_hi: Signal<In, Bits<32>>,
    /// The doubleword holds 4-byte registers of a block outside.
    pub ext_narrow: Signal<In, Bit>,
    /// linectl.off.
    pub lines_off: Signal<In, Bit>,
    /// Interrupts: write wanted.
    pub msi_valid: Signal<In, Bit>,
    /// Taken.
    pub msi_ready: Signal<Out, Bit>,
    /// Page number.
    pub msi_frame: Signal<In, Bits<28>>,
    /// Offset.
    pub msi_off: Signal<In, Bits<12>>,
    /// Data.
    pub msi_data: Signal<In, Bits<32>>,
    /// Answered.
    pub msi_b_valid: Signal<Out, Bit>,
    /// A record of a failed MSI.
    pub msi_record_valid: Signal<In, Bit>,
    /// It is taken.
    pub msi_record_ready: Signal<Out, Bit>,
    /// The record.
    pub msi_record: Signal<In, Record>,
    /// Debug interface: a request.
    pub debug_valid: Signal<In, Bit>,
    /// Taken.
    pub debug_ready: Signal<Out, Bit>,
    /// The request.
    pub debug_req: Signal<In, Req>,
    /// Its answer.
    pub debug_done: Signal<Out, Bit>,
    /// Refused.
    pub debug_fault: Signal<Out, Bit>,
    /// Physical address.
    pub debug_spa: Signal<Out, Spa>,
    /// Event: a request leaves its first lookup ...
    pub ev_request: Signal<Out, Bit>,
    /// ... this one.
    pub ev_req: Signal<Out, Req>,
    /// Event: a page-table walk begins.
    pub ev_miss: Signal<Out, Bit>,
    /// Event: a directory entry is read.
    pub ev_ddt: Signal<Out, Bit>,
    /// Event: a page-table entry is read.
    pub ev_pte: Signal<Out, Bit>,
    /// The request that is walked for.
    pub ev_walk_req: Signal<Out, Req>,
    /// PSCID of that walk.
    pub ev_walk_pscid: Signal<Out, Bits<20>>,

    lookup: Lookup<N, I, K, T, C, S, D, V, Q, Q1>,
    walker: Walker<W, B, I, C, S, P, PA>,
    lines: LineFetch<L, LA, S, W, B>,
    commands: CommandQueue<X, E>,
    faults: FaultQueue<X, F, F1>,
    registers: Registers<X>,
    memory: MemoryPort,
    drain: Drain,
    iova: Signal<Local, Iova>,
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
    const D: usize,
    const V: usize,
    const Q: usize,
    const Q1: usize,
    const X: usize,
    const E: usize,
    const F: usize,
    const F1: usize,
> Core<N, I, K, T, C, S, W, B, P, PA, L, LA, D, V, Q, Q1, X, E, F, F1>
{
    /// The core of a configuration, whose sizes the type must repeat (see [`crate::Tiny`]).
    #[must_use]
    pub fn new(config: &Config) -> Self {
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
            ev_context_hit: Default::default(),
            ev_context_miss: Default::default(),
            ev_iotlb_hit: Default::default(),
            ev_iotlb_miss: Default::default(),
            ev_walk: Default::default(),
            wires: Default::default(),
            cip: Default::default(),
            fip: Default::default(),
            pmip: Default::default(),
            cip_edge: Default::default(),
            fip_edge: Default::default(),
            pmip_edge: Default::default(),
            overflow: Default::default(),
            bus_access: Default::default(),
            bus_write: Default::default(),
            bus_row: Default::default(),
            bus_low: Default::default(),
            bus_high: Default::default(),
            bus_first: Default::default(),
            bus_second: Default::default(),
            bus_wlo: Default::default(),
            bus_whi: Default::default(),
            ext_lo: Default::default(),
            ext_hi: Default::default(),
            ext_narrow: Default::default(),
            lines_off: Default::default(),
            msi_valid: Default::default(),
            msi_ready: Default::default(),
            msi_frame: Default::default(),
            msi_off: Default::default(),
            msi_data: Default::default(),
            msi_b_valid: Default::default(),
            msi_record_valid: Default::default(),
            msi_record_ready: Default::default(),
            msi_record: Default::default(),
            debug_valid: Default::default(),
            debug_ready: Default::default(),
            debug_req: Default::default(),
            debug_done: Default::default(),
            debug_fault: Default::default(),
            debug_spa: Default::default(),
            ev_request: Default::default(),
            ev_req: Default::default(),
            ev_miss: Default::default(),
            ev_ddt: Default::default(),
            ev_pte: Default::default(),
            ev_walk_req: Default::default(),
            ev_walk_pscid: Default::default(),
            lookup: Default::default(),
            walker: Walker::new(config),
            lines: Default::default(),
            commands: CommandQueue::new(config),
            faults: Default::default(),
            registers: Registers::new(config),
            memory: MemoryPort::new(config),
            drain: Default::default(),
            iova: Default::default(),
        }
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
    const D: usize,
    const V: usize,
    const Q: usize,
    const Q1: usize,
    const X: usize,
    const E: usize,
    const F: usize,
    const F1: usize,
> Logic for Core<N, I, K, T, C, S, W, B, P, PA, L, LA, D, V, Q, Q1, X, E, F, F1>
{
    #[hdl_gen]
    fn update(&mut self) {
        clock!(
            self, clock, lookup, walker, lines, commands, faults, registers, memory, drain
        );
        self.lookup.reset.next = self.reset.val();
        self.walker.reset.next = self.reset.val();
        self.lines.reset.next = self.reset.val();
        self.commands.reset.next = self.reset.val();
        self.faults.reset.next = self.reset.val();
        self.registers.reset.next = self.reset.val();
        self.memory.reset.next = self.reset.val();
        self.drain.reset.next = self.reset.val();

        // Translation and response ports.
        self.iova.next = self.req_iova.val().into();
        self.lookup.req.next.off = self.iova.val().off;
        self.lookup.req.next.vpn0 = self.iova.val().vpn0;
        self.lookup.req.next.vpn1 = self.iova.val().vpn1;
        self.lookup.req.next.vpn2 = self.iova.val().vpn2;
        self.lookup.req.next.vpn3 = self.iova.val().vpn3;
        self.lookup.req.next.vpn4 = self.iova.val().vpn4;
        self.lookup.req.next.hi = self.iova.val().hi;
        self.lookup.req.next.tag = self.req_tag.val();
        self.lookup.req.next.did = self.req_device_id.val();
        self.lookup.req.next.pv = self.req_process_valid.val();
        self.lookup.req.next.pid = self.req_process_id.val();
        self.lookup.req.next.sup = self.req_privileged.val();
        self.lookup.req.next.access = self.req_access.val();
        self.lookup.req.next.kind = self.req_kind.val();
        self.lookup.req.next.debug = false;
        self.lookup.req_valid.next = self.req_valid.val();
        self.req_ready.next = self.lookup.req_ready.val();
        self.rsp_valid.next = self.lookup.rsp_valid.val();
        self.lookup.rsp_ready.next = self.rsp_ready.val();
        self.rsp_tag.next = self.lookup.rsp_tag.val();
        self.rsp_fault.next = self.lookup.rsp_fault.val();
        self.rsp_size.next = self.lookup.rsp_size.val();
        self.rsp_pa.next = self.lookup.rsp_spa.val().into();
        self.lookup.mode.next = self.registers.ddtp_mode.val();

        // Misses and answers.
        self.walker.start.next = self.lookup.walk_start.val();
        self.walker.look.next = self.lookup.walk_look.val();
        self.walker.look_slot.next = self.lookup.walk_look_slot.val();
        self.walker.req.next = self.lookup.walk_req.val();
        self.walker.mode.next = self.lookup.walk_mode.val();
        self.walker.wide.next = self.lookup.walk_wide.val();
        self.walker.found.next = self.lookup.walk_hit.val();
        self.walker.slot.next = self.lookup.walk_slot.val();
        self.walker.info.next = self.lookup.walk_info.val();
        self.walker.mark_stale.next = self.lookup.mark_stale.val();
        self.walker.block_fill.next = self.lookup.block_fill.val();
        self.walker.drop_tables.next = self.lookup.drop_tables.val();
        // Another directory has other pointers (DDTP-10).
        self.walker.drop_directory.next =
            self.lookup.drop_directory.val() | self.registers.ddtp_busy.val();
        self.walker.res_ready.next = self.lookup.res_ready.val();
        self.walker.pscid.next = self.lookup.walk_pscid.val();
        self.walker.raced.next = self.lookup.walk_raced.val();
        self.walker.head.next = self.lookup.walk_head.val();
        self.lookup.walk_idle.next = self.walker.idle.val();
        self.lookup.walk_idle_two.next = self.walker.idle_two.val();
        self.lookup.walk_idle_three.next = self.walker.idle_three.val();
        self.lookup.walk_busy.next = self.walker.req_busy.val();
        self.lookup.walk_head_busy.next = self.walker.head_busy.val();
        self.lookup.res_valid.next = self.walker.res_valid.val();
        self.lookup.res_fault.next = self.walker.res_fault.val();
        self.lookup.res_identity.next = self.walker.res_identity.val();
        self.lookup.res_leaf.next = self.walker.res_leaf.val();
        self.lookup.res_size.next = self.walker.res_size.val();
        self.lookup.res_req.next = self.walker.res_req.val();
        self.lookup.ctx_fill.next = self.walker.ctx_fill.val();
        self.lookup.ctx_fill_slot.next = self.walker.ctx_fill_slot.val();
        self.lookup.ctx_fill_pscid.next = self.walker.ctx_fill_pscid.val();
        self.lookup.ctx_fill_info.next = self.walker.ctx_fill_info.val();
        self.lookup.tlb_fill.next = self.walker.tlb_fill.val();
        self.lookup.tlb_fill_index.next = self.walker.tlb_fill_index.val();
        self.lookup.tlb_fill_global.next = self.walker.tlb_fill_global.val();
        self.lookup.tlb_fill_slot.next = self.walker.tlb_fill_slot.val();
        self.lines.off.next = self.lines_off.val();
        self.lines.drop.next = self.lookup.mark_stale.val() | self.lookup.block_fill.val();
        self.lines.renew.next = self.walker.ctx_fill.val();
        self.lines.look.next = self.lookup.walk_look.val();
        self.lines.look_slot.next = self.lookup.walk_look_slot.val();
        self.lines.ask.next = self.lookup.walk_req.val();
        self.lines.ask_slot.next = self.lookup.walk_slot.val();
        self.walker.line_hit.next = self.lines.hit.val();
        self.walker.line_word.next = self.lines.word.val();
        self.walker.line_leaf.next = self.lines.leaf.val();
        self.lines.r_leaf.next = self.walker.r_leaf.val();
        self.walker.line_global.next = self.lines.is_global.val();
        self.walker.line_arrives.next = self.lines.arrives.val();
        self.walker.line_comes.next = self.lines.comes.val();
        self.walker.line_brings.next = self.lines.brings.val();
        self.walker.line_brings_walk.next = self.lines.brings_walk.val();
        self.lines.asks.next = self.walker.line_asks.val();
        self.lines.used.next = self.walker.line_used.val();
        self.lines.used_walk.next = self.walker.line_walk.val();
        self.lines.near.next = self.walker.near.val();
        self.lines.near_req.next = self.walker.res_req.val();
        self.lines.near_slot.next = self.walker.tlb_fill_slot.val();
        self.lines.near_frame.next = self.walker.ar_frame.val();
        self.lines.near_global.next = self.walker.near_global.val();
        self.lines.near_again.next = self.walker.near_again.val();
        self.walker.ddt_root.next = self.registers.ddtp_frame.val();

        // Fault records.
        self.faults.record_valid.next = self.walker.record_valid.val();
        self.faults.record.next = self.walker.record.val();
        // A message's record goes first, unless the walker has offered one: messages fail rarely, and which of the two it is
        // must be known before the walker has judged.
        self.msi_record_ready.next = self.faults.ready.val() & !self.walker.record_turn.val();
        self.walker.record_ready.next = self.faults.ready.val();
        self.walker.record_free.next = self.faults.ready.val() & !self.msi_record_valid.val();
        if self.msi_record_valid.val() & self.msi_record_ready.val() {
            self.faults.record_valid.next = true;
            self.faults.record.next = self.msi_record.val();
        }
        self.faults.enabled.next = self.registers.fq_enabled.val();
        self.faults.failed.next = self.registers.fq_failed.val();
        self.faults.base.next = self.registers.fq_frame.val();
        self.faults.head.next = self.registers.fq_head.val();
        self.faults.tail.next = self.registers.fq_tail.val();
        self.faults.mask.next = self.registers.fq_mask.val();
        self.registers.fq_active.next = self.faults.active.val();
        self.registers.fq_advance.next = self.faults.advance.val();
        self.registers.fq_overflow.next = self.faults.overflow.val();
        self.registers.fq_memory_fault.next = self.faults.memory_fault.val();

        // Commands.
        self.commands.go.next = self.registers.cq_go.val();
        self.commands.base.next = self.registers.cq_frame.val();
        self.commands.head.next = self.registers.cq_head.val();
        self.commands.tail.next = self.registers.cq_tail.val();
        self.commands.mask.next = self.registers.cq_mask.val();
        self.commands.wires.next = self.registers.wires.val();
        self.registers.cq_active.next = self.commands.active.val();
        self.registers.cq_advance.next = self.commands.advance.val();
        self.registers.cq_memory_fault.next = self.commands.memory_fault.val();
        self.registers.cq_illegal.next = self.commands.illegal.val();
        self.registers.cq_fence_wire.next = self.commands.fence_wire.val();

        // Fences and changes of ddtp.
        self.drain.ddtp_valid.next = self.registers.ddtp_busy.val();
        self.registers.ddtp_done.next = self.drain.ddtp_done.val();
        self.drain.fence_valid.next = self.commands.drain_valid.val();
        self.drain.fence_reads.next = self.commands.drain_reads.val();
        self.drain.fence_writes.next = self.commands.drain_writes.val();
        self.commands.drain_done.next = self.drain.fence_done.val();
        self.drain.passed.next = self.lookup.fence_done.val();
        self.drain.stale.next = self.walker.stale.val() | self.lines.stale.val();
        self.sync_reads.next = self.drain.sync_reads.val();
        self.sync_writes.next = self.drain.sync_writes.val();
        self.drain.sync_ack.next = self.sync_ack.val();

        // The maintenance turn of the pipeline.
        self.lookup.op_valid.next = self.drain.op_valid.val() | self.commands.op_valid.val();
        self.lookup.op.next = self.commands.op.val();
        self.lookup.op_arg.next = self.commands.op_arg.val();
        self.drain.op_ready.next = self.lookup.op_ready.val();
        self.commands.op_ready.next = self.lookup.op_ready.val();
        if self.drain.op_valid.val() {
            self.lookup.op.next = self.drain.op.val();
            self.commands.op_ready.next = false;
        }

        // Register port.
        self.registers.valid.next = self.reg_valid.val();
        self.registers.write.next = self.reg_write.val();
        self.registers.offset.next = self.reg_offset.val();
        self.registers.wide.next = self.reg_wide.val();
        self.registers.wdata.next = self.reg_wdata.val();
        self.reg_done.next = self.registers.done.val();
        self.reg_rdata.next = self.registers.rdata.val();

        // Memory port.
        self.memory.walk_valid.next = self.walker.ar_valid.val();
        self.memory.walk_frame.next = self.walker.ar_frame.val();
        self.memory.walk_off.next = self.walker.ar_off.val();
        self.memory.walk_ddt.next = self.walker.ar_ddt.val();
        self.memory.walk_dc.next = self.walker.ar_dc.val();
        self.walker.ar_ready.next = self.memory.walk_ready.val();
        self.memory.walk_id.next = unsigned_cast_to::<3, B>(self.walker.ar_slot.val());
        self.walker.r_valid.next = self.memory.walk_r_valid.val();
        self.walker.r_slot.next = bit_cast::<B, 3>(self.memory.walk_r_id.val());
        self.memory.line_valid.next = self.lines.ar_valid.val();
        self.memory.line_frame.next = self.lines.ar_frame.val();
        self.memory.line_off.next = self.lines.ar_off.val();
        self.memory.line_place.next = unsigned_cast_to::<3, LA>(self.lines.ar_place.val());
        self.lines.ar_ready.next = self.memory.line_ready.val();
        self.lines.r_valid.next = self.memory.line_r_valid.val();
        self.lines.r_place.next = bit_cast::<LA, 3>(self.memory.line_r_place.val());
        self.lines.r_data.next = self.mem_r_data.val();
        self.lines.r_status.next = self.mem_r_status.val();
        self.lines.r_last.next = self.mem_r_last.val();
        self.memory.cmd_valid.next = self.commands.ar_valid.val();
        self.memory.cmd_frame.next = self.commands.ar_frame.val();
        self.memory.cmd_off.next = self.commands.ar_off.val();
        self.memory.cmd_len.next = self.commands.ar_len.val();
        self.memory.fence_valid.next = self.commands.w_valid.val();
        self.memory.fence_frame.next = self.commands.w_frame.val();
        self.memory.fence_off.next = self.commands.w_off.val();
        self.memory.fence_data.next = self.commands.w_data.val();
        self.memory.fence_upper.next = self.commands.w_upper.val();
        self.commands.ar_ready.next = self.memory.cmd_ready.val();
        self.commands.r_valid.next = self.memory.cmd_r_valid.val();
        self.commands.w_ready.next = self.memory.fence_ready.val();
        self.commands.b_valid.next = self.memory.fence_b_valid.val();
        self.memory.fault_valid.next = self.faults.w_valid.val();
        self.memory.fault_frame.next = self.faults.w_frame.val();
        self.memory.fault_off.next = self.faults.w_off.val();
        self.memory.fault_data.next = self.faults.w_data.val();
        self.memory.fault_last.next = self.faults.w_last.val();
        self.faults.w_ready.next = self.memory.fault_ready.val();
        self.faults.b_valid.next = self.memory.fault_b_valid.val();
        self.walker.r_data.next = self.mem_r_data.val();
        self.walker.r_status.next = self.mem_r_status.val();
        self.walker.r_last.next = self.mem_r_last.val();
        self.commands.r_data.next = self.mem_r_data.val();
        self.commands.r_status.next = self.mem_r_status.val();
        self.commands.r_last.next = self.mem_r_last.val();
        self.commands.b_error.next = self.mem_b_error.val();
        self.faults.b_error.next = self.mem_b_error.val();
        self.mem_ar_valid.next = self.memory.ar_valid.val();
        self.mem_ar_addr.next = self.memory.ar_addr.val();
        self.mem_ar_len.next = self.memory.ar_len.val();
        self.mem_ar_id.next = self.memory.ar_id.val();
        self.mem_ar_purpose.next = self.memory.ar_purpose.val();
        self.mem_w_valid.next = self.memory.w_valid.val();
        self.mem_w_addr.next = self.memory.w_addr.val();
        self.mem_w_data.next = self.memory.w_data.val();
        self.mem_w_strobe.next = self.memory.w_strobe.val();
        self.mem_w_last.next = self.memory.w_last.val();
        self.mem_w_purpose.next = self.memory.w_purpose.val();
        self.memory.ar_ready.next = self.mem_ar_ready.val();
        self.memory.r_valid.next = self.mem_r_valid.val();
        self.memory.r_id.next = self.mem_r_id.val();
        self.memory.w_ready.next = self.mem_w_ready.val();
        self.memory.b_valid.next = self.mem_b_valid.val();

        // Events.
        self.ev_context_hit.next = self.lookup.ev_context_hit.val();
        self.ev_context_miss.next = self.lookup.ev_context_miss.val();
        self.ev_iotlb_hit.next = self.lookup.ev_iotlb_hit.val();
        self.ev_iotlb_miss.next = self.lookup.ev_iotlb_miss.val();
        self.ev_walk.next = self.lookup.walk_start.val();

        // What the configurations add outside: interrupts, monitor, debug interface.
        self.wires.next = self.registers.wires.val();
        self.cip.next = self.registers.cip.val();
        self.fip.next = self.registers.fip.val();
        self.pmip.next = self.registers.pmip.val();
        self.cip_edge.next = self.registers.cip_edge.val();
        self.fip_edge.next = self.registers.fip_edge.val();
        self.pmip_edge.next = self.registers.pmip_edge.val();
        self.bus_access.next = self.registers.bus_access.val();
        self.bus_write.next = self.registers.bus_write.val();
        self.bus_row.next = self.registers.bus_row.val();
        self.bus_low.next = self.registers.bus_low.val();
        self.bus_high.next = self.registers.bus_high.val();
        self.bus_first.next = self.registers.bus_first.val();
        self.bus_second.next = self.registers.bus_second.val();
        self.bus_wlo.next = self.registers.bus_wlo.val();
        self.bus_whi.next = self.registers.bus_whi.val();
        self.registers.overflow.next = self.overflow.val();
        self.registers.ext_lo.next = self.ext_lo.val();
        self.registers.ext_hi.next = self.ext_hi.val();
        self.registers.ext_narrow.next = self.ext_narrow.val();
        self.memory.msi_valid.next = self.msi_valid.val();
        self.memory.msi_frame.next = self.msi_frame.val();
        self.memory.msi_off.next = self.msi_off.val();
        self.memory.msi_data.next = self.msi_data.val();
        self.msi_ready.next = self.memory.msi_ready.val();
        self.msi_b_valid.next = self.memory.msi_b_valid.val();
        self.lookup.debug_valid.next = self.debug_valid.val();
        self.lookup.debug_req.next = self.debug_req.val();
        self.debug_ready.next = self.lookup.debug_ready.val();
        self.debug_done.next = self.lookup.debug_done.val();
        self.debug_fault.next = self.lookup.rsp_fault.val();
        self.debug_spa.next = self.lookup.rsp_spa.val();
        self.ev_request.next = self.lookup.ev_request.val();
        self.ev_req.next = self.lookup.ev_req.val();
        self.ev_miss.next = self.walker.ev_miss.val();
        self.ev_ddt.next = self.walker.ev_ddt.val();
        self.ev_pte.next = self.walker.ev_pte.val();
        self.ev_walk_req.next = self.walker.res_req.val();
        self.ev_walk_pscid.next = self.walker.ev_pscid.val();
    }
}
