//! AXI4 in front of the translation port: `s_axi` in with IOVAs, `m_axi` out with system physical addresses.
//!
//! * One translation per burst, for no burst crosses 4 KiB ([`super::burst_check`]). AxPROT[0] asks for privilege,
//!   ARPROT[2] makes a read an instruction fetch, everything else is a read or a write.
//! * A refused burst is answered SLVERR with its id and length; its write data is swallowed.
//! * Answers of one id come in order; reads of different ids overtake one another ([`super::reads`]), writes are issued in
//!   order ([`super::writes`]).
//! * `sync` is acknowledged when every granted read or write that was on its way at its beginning has had its last
//!   answer from memory. A device that does not take its read data, or does not bring its write data, holds that up:
//!   AXI4 has no way to take a burst back.
//! * Tags: bit 5 tells writes from reads, the rest is the slot.
//!
//! Timing: a hit adds five cycles to an address and one to data and answers; nothing is combinational from side to side.

use crate::bus::reads::Reads;
use crate::bus::shapes::{Address, Ask, AxiDevice, AxiMaster, ReadBeat, WriteAnswer, WriteBeat};
use crate::bus::writes::Writes;
use crate::widen::unsigned_cast_to;
use rust_hdl::prelude::*;

/// What the fence does.
#[derive(LogicState, Debug, Copy, Clone, PartialEq)]
pub enum SyncState {
    /// Nothing.
    Idle,
    /// Takes down what is on its way.
    Note,
    /// Waits for it.
    Wait,
    /// Tells the core.
    Tell,
}

/// See the module. `N` = `2^A` reads and as many writes on their way, `A1` = `A` + 1; `A` is at most 5.
#[derive(LogicBlock)]
pub struct AxiTranslate<const N: usize, const A: usize, const A1: usize> {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Forgets all.
    pub reset: Signal<In, Bit>,
    /// The devices.
    pub s_axi: AxiDevice,
    /// The memory.
    pub m_axi: AxiMaster,
    /// A request is offered.
    pub req_valid: Signal<Out, Bit>,
    /// It is taken.
    pub req_ready: Signal<In, Bit>,
    /// Returned with the response.
    pub req_tag: Signal<Out, Bits<6>>,
    /// device_id.
    pub req_device_id: Signal<Out, Bits<24>>,
    /// A process_id is valid.
    pub req_process_valid: Signal<Out, Bit>,
    /// process_id.
    pub req_process_id: Signal<Out, Bits<20>>,
    /// Supervisor privilege asked for.
    pub req_privileged: Signal<Out, Bit>,
    /// 0 read, 1 write, 2 execute.
    pub req_access: Signal<Out, Bits<2>>,
    /// Always 0, untranslated.
    pub req_kind: Signal<Out, Bits<2>>,
    /// IOVA.
    pub req_iova: Signal<Out, Bits<64>>,
    /// A response.
    pub rsp_valid: Signal<In, Bit>,
    /// Always taken.
    pub rsp_ready: Signal<Out, Bit>,
    /// Tag of the request.
    pub rsp_tag: Signal<In, Bits<6>>,
    /// Refused.
    pub rsp_fault: Signal<In, Bit>,
    /// System physical address.
    pub rsp_pa: Signal<In, Bits<64>>,
    /// Granted reads are to become visible.
    pub sync_reads: Signal<In, Bit>,
    /// Granted writes are to become visible.
    pub sync_writes: Signal<In, Bit>,
    /// They are.
    pub sync_ack: Signal<Out, Bit>,

    reads: Reads<N, A>,
    writes: Writes<N, A, A1>,
    sync: DFF<SyncState>,
    held: DFF<Bit>,
    held_write: DFF<Bit>,
    turn_write: DFF<Bit>,

    ar: Signal<Local, Ask>,
    ar_from: Signal<Local, Address>,
    aw: Signal<Local, Ask>,
    aw_from: Signal<Local, Address>,
    r: Signal<Local, ReadBeat>,
    w: Signal<Local, WriteBeat>,
    b: Signal<Local, WriteAnswer>,
    choose_write: Signal<Local, Bit>,
    ask: Signal<Local, Ask>,
    iova: Signal<Local, Address>,
    pa: Signal<Local, Address>,
    tag: Signal<Local, Bits<6>>,
    read_prot: Signal<Local, Bits<3>>,
    prot: Signal<Local, Bits<3>>,
    write_tag: Constant<Bits<6>>,
}

impl<const N: usize, const A: usize, const A1: usize> Default for AxiTranslate<N, A, A1> {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            s_axi: Default::default(),
            m_axi: Default::default(),
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
            rsp_pa: Default::default(),
            sync_reads: Default::default(),
            sync_writes: Default::default(),
            sync_ack: Default::default(),
            reads: Default::default(),
            writes: Default::default(),
            sync: Default::default(),
            held: Default::default(),
            held_write: Default::default(),
            turn_write: Default::default(),
            ar: Default::default(),
            ar_from: Default::default(),
            aw: Default::default(),
            aw_from: Default::default(),
            r: Default::default(),
            w: Default::default(),
            b: Default::default(),
            choose_write: Default::default(),
            ask: Default::default(),
            iova: Default::default(),
            pa: Default::default(),
            tag: Default::default(),
            read_prot: Default::default(),
            prot: Default::default(),
            write_tag: Constant::new(0x20u64.into()),
        }
    }
}

impl<const N: usize, const A: usize, const A1: usize> Logic for AxiTranslate<N, A, A1> {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, sync, held, held_write, turn_write);
        clock!(self, clock, reads, writes);
        self.reads.reset.next = self.reset.val();
        self.writes.reset.next = self.reset.val();

        // Addresses of the devices.
        self.ar_from.next = self.s_axi.araddr.val().into();
        self.ar.next.id = self.s_axi.arid.val();
        self.ar.next.off = self.ar_from.val().off;
        self.ar.next.page = self.ar_from.val().page;
        self.ar.next.len = self.s_axi.arlen.val();
        self.ar.next.size = self.s_axi.arsize.val();
        self.ar.next.burst = self.s_axi.arburst.val();
        self.ar.next.lock = self.s_axi.arlock.val();
        self.ar.next.cache = self.s_axi.arcache.val();
        self.ar.next.prot = self.s_axi.arprot.val();
        self.ar.next.qos = self.s_axi.arqos.val();
        self.ar.next.did = self.s_axi.armmusid.val();
        self.ar.next.pid = self.s_axi.armmussid.val();
        self.ar.next.pv = self.s_axi.armmussidv.val();
        self.reads.s_arvalid.next = self.s_axi.arvalid.val();
        self.reads.s_ar.next = self.ar.val();
        self.s_axi.arready.next = self.reads.s_arready.val();
        self.aw_from.next = self.s_axi.awaddr.val().into();
        self.aw.next.id = self.s_axi.awid.val();
        self.aw.next.off = self.aw_from.val().off;
        self.aw.next.page = self.aw_from.val().page;
        self.aw.next.len = self.s_axi.awlen.val();
        self.aw.next.size = self.s_axi.awsize.val();
        self.aw.next.burst = self.s_axi.awburst.val();
        self.aw.next.lock = self.s_axi.awlock.val();
        self.aw.next.cache = self.s_axi.awcache.val();
        self.aw.next.prot = self.s_axi.awprot.val();
        self.aw.next.qos = self.s_axi.awqos.val();
        self.aw.next.did = self.s_axi.awmmusid.val();
        self.aw.next.pid = self.s_axi.awmmussid.val();
        self.aw.next.pv = self.s_axi.awmmussidv.val();
        self.writes.s_awvalid.next = self.s_axi.awvalid.val();
        self.writes.s_aw.next = self.aw.val();
        self.s_axi.awready.next = self.writes.s_awready.val();

        // Data and answers.
        self.w.next.data = self.s_axi.wdata.val();
        self.w.next.strobe = self.s_axi.wstrb.val();
        self.writes.s_wvalid.next = self.s_axi.wvalid.val();
        self.writes.s_w.next = self.w.val();
        self.s_axi.wready.next = self.writes.s_wready.val();
        self.m_axi.wvalid.next = self.writes.m_wvalid.val();
        self.m_axi.wdata.next = self.writes.m_w.val().data;
        self.m_axi.wstrb.next = self.writes.m_w.val().strobe;
        self.m_axi.wlast.next = self.writes.m_wlast.val();
        self.writes.m_wready.next = self.m_axi.wready.val();
        self.b.next.id = self.m_axi.bid.val();
        self.b.next.resp = self.m_axi.bresp.val();
        self.writes.m_bvalid.next = self.m_axi.bvalid.val();
        self.writes.m_b.next = self.b.val();
        self.m_axi.bready.next = self.writes.m_bready.val();
        self.s_axi.bvalid.next = self.writes.s_bvalid.val();
        self.s_axi.bid.next = self.writes.s_b.val().id;
        self.s_axi.bresp.next = self.writes.s_b.val().resp;
        self.writes.s_bready.next = self.s_axi.bready.val();
        self.r.next.id = self.m_axi.rid.val();
        self.r.next.data = self.m_axi.rdata.val();
        self.r.next.resp = self.m_axi.rresp.val();
        self.r.next.last = self.m_axi.rlast.val();
        self.reads.m_rvalid.next = self.m_axi.rvalid.val();
        self.reads.m_r.next = self.r.val();
        self.m_axi.rready.next = self.reads.m_rready.val();
        self.s_axi.rvalid.next = self.reads.s_rvalid.val();
        self.s_axi.rid.next = self.reads.s_r.val().id;
        self.s_axi.rdata.next = self.reads.s_r.val().data;
        self.s_axi.rresp.next = self.reads.s_r.val().resp;
        self.s_axi.rlast.next = self.reads.s_r.val().last;
        self.reads.s_rready.next = self.s_axi.rready.val();

        // Translated addresses.
        self.m_axi.arvalid.next = self.reads.m_arvalid.val();
        self.m_axi.araddr.next = self.reads.m_araddr.val().into();
        self.m_axi.arid.next = self.reads.m_ar.val().id;
        self.m_axi.arlen.next = self.reads.m_ar.val().len;
        self.m_axi.arsize.next = self.reads.m_ar.val().size;
        self.m_axi.arburst.next = self.reads.m_ar.val().burst;
        self.m_axi.arlock.next = self.reads.m_ar.val().lock;
        self.m_axi.arcache.next = self.reads.m_ar.val().cache;
        self.m_axi.arprot.next = self.reads.m_ar.val().prot;
        self.m_axi.arqos.next = self.reads.m_ar.val().qos;
        self.reads.m_arready.next = self.m_axi.arready.val();
        self.m_axi.awvalid.next = self.writes.m_awvalid.val();
        self.m_axi.awaddr.next = self.writes.m_awaddr.val().into();
        self.m_axi.awid.next = self.writes.m_aw.val().id;
        self.m_axi.awlen.next = self.writes.m_aw.val().len;
        self.m_axi.awsize.next = self.writes.m_aw.val().size;
        self.m_axi.awburst.next = self.writes.m_aw.val().burst;
        self.m_axi.awlock.next = self.writes.m_aw.val().lock;
        self.m_axi.awcache.next = self.writes.m_aw.val().cache;
        self.m_axi.awprot.next = self.writes.m_aw.val().prot;
        self.m_axi.awqos.next = self.writes.m_aw.val().qos;
        self.writes.m_awready.next = self.m_axi.awready.val();

        // The translation port: reads and writes take turns; a request that is offered stays.
        self.choose_write.next =
            self.writes.req_valid.val() & (self.turn_write.q.val() | !self.reads.req_valid.val());
        if self.held.q.val() {
            self.choose_write.next = self.held_write.q.val();
        }
        self.req_valid.next = self.reads.req_valid.val() | self.writes.req_valid.val();
        self.held.d.next = self.req_valid.val() & !self.req_ready.val();
        self.held_write.d.next = self.choose_write.val();
        if self.req_valid.val() & self.req_ready.val() {
            self.turn_write.d.next = !self.choose_write.val();
        }
        self.reads.req_ready.next = self.req_ready.val() & !self.choose_write.val();
        self.writes.req_ready.next = self.req_ready.val() & self.choose_write.val();
        self.ask.next = self.reads.req.val();
        self.tag.next = unsigned_cast_to::<6, A>(self.reads.req_slot.val());
        self.req_access.next = 0.into();
        self.read_prot.next = self.reads.req.val().prot;
        if self.read_prot.val().get_bit(2) {
            self.req_access.next = 2.into();
        }
        if self.choose_write.val() {
            self.ask.next = self.writes.req.val();
            self.tag.next =
                unsigned_cast_to::<6, A>(self.writes.req_slot.val()) | self.write_tag.val();
            self.req_access.next = 1.into();
        }
        self.req_tag.next = self.tag.val();
        self.req_device_id.next = self.ask.val().did;
        self.req_process_valid.next = self.ask.val().pv;
        self.req_process_id.next = self.ask.val().pid;
        self.prot.next = self.ask.val().prot;
        self.req_privileged.next = self.prot.val().get_bit(0);
        self.req_kind.next = 0.into();
        self.iova.next.off = self.ask.val().off;
        self.iova.next.page = self.ask.val().page;
        self.req_iova.next = self.iova.val().into();

        self.rsp_ready.next = true;
        self.pa.next = self.rsp_pa.val().into();
        self.reads.rsp_valid.next = self.rsp_valid.val() & !self.rsp_tag.val().get_bit(5);
        self.reads.rsp_slot.next = self.rsp_tag.val().get_bits::<A>(0);
        self.reads.rsp_fault.next = self.rsp_fault.val();
        self.reads.rsp_page.next = self.pa.val().page;
        self.writes.rsp_valid.next = self.rsp_valid.val() & self.rsp_tag.val().get_bit(5);
        self.writes.rsp_slot.next = self.rsp_tag.val().get_bits::<A>(0);
        self.writes.rsp_fault.next = self.rsp_fault.val();
        self.writes.rsp_page.next = self.pa.val().page;

        // The fence. A translation that is answered in the cycle in which the fence begins is taken down with the rest.
        self.reads.sync.next = false;
        self.writes.sync.next = false;
        self.sync_ack.next = false;
        match self.sync.q.val() {
            SyncState::Idle => {
                if self.sync_reads.val() | self.sync_writes.val() {
                    self.sync.d.next = SyncState::Note;
                }
            }
            SyncState::Note => {
                self.reads.sync.next = self.sync_reads.val();
                self.writes.sync.next = self.sync_writes.val();
                self.sync.d.next = SyncState::Wait;
            }
            SyncState::Wait => {
                if !(self.reads.waiting.val() | self.writes.waiting.val()) {
                    self.sync.d.next = SyncState::Tell;
                }
            }
            SyncState::Tell => {
                self.sync_ack.next = true;
                self.sync.d.next = SyncState::Idle;
            }
            _ => {
                self.sync.d.next = SyncState::Idle;
            }
        }

        if self.reset.val() {
            self.sync.d.next = SyncState::Idle;
            self.held.d.next = false;
        }
    }
}
