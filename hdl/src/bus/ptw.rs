//! AXI4 master in front of the core's memory port: walks, commands, fault records, fences, interrupt messages.
//!
//! Reads pass with their id, so that as many are on their way as the core has ids. Every write burst of the core is one
//! AXI burst: one doubleword, or the four of a fault record; the core starts the next when the answer has come.
//! Bursts are INCR with full beats, non-cacheable and non-bufferable, so that an answer to a write means that it has reached
//! memory. SLVERR and DECERR are access faults; AXI4 has no sign for poisoned data.
//! Timing: reads pass in the same cycle in both directions; a write's address leaves one cycle after it is offered, its data with it.

use crate::bus::shapes::AxiMaster;
use crate::widen::unsigned_cast_to;
use rust_hdl::prelude::*;

/// See the module.
#[derive(LogicBlock)]
pub struct AxiPtw {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Forgets a write.
    pub reset: Signal<In, Bit>,
    /// The memory.
    pub m_axi: AxiMaster,
    /// Memory port of the core: a read is asked for.
    pub ar_valid: Signal<In, Bit>,
    /// It is taken.
    pub ar_ready: Signal<Out, Bit>,
    /// Byte address.
    pub ar_addr: Signal<In, Bits<56>>,
    /// Doublewords, less one.
    pub ar_len: Signal<In, Bits<3>>,
    /// Returned with the data.
    pub ar_id: Signal<In, Bits<4>>,
    /// Read data.
    pub r_valid: Signal<Out, Bit>,
    /// The doubleword.
    pub r_data: Signal<Out, Bits<64>>,
    /// Whose.
    pub r_id: Signal<Out, Bits<4>>,
    /// Last of the burst.
    pub r_last: Signal<Out, Bit>,
    /// 0 good, 1 access fault.
    pub r_status: Signal<Out, Bits<2>>,
    /// A doubleword is to be written.
    pub w_valid: Signal<In, Bit>,
    /// It is taken.
    pub w_ready: Signal<Out, Bit>,
    /// Its byte address.
    pub w_addr: Signal<In, Bits<56>>,
    /// Data.
    pub w_data: Signal<In, Bits<64>>,
    /// Byte enables.
    pub w_strobe: Signal<In, Bits<8>>,
    /// Last of the burst.
    pub w_last: Signal<In, Bit>,
    /// The burst has been written.
    pub b_valid: Signal<Out, Bit>,
    /// It has not.
    pub b_error: Signal<Out, Bit>,

    aw_valid: DFF<Bit>,
    aw_addr: DFF<Bits<56>>,
    aw_len: DFF<Bits<2>>,
    open: DFF<Bit>,
    beats: Constant<Bits<2>>,
    doubleword: Constant<Bits<3>>,
    incr: Constant<Bits<2>>,
    to_memory: Constant<Bits<4>>,
}

impl Default for AxiPtw {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            m_axi: Default::default(),
            ar_valid: Default::default(),
            ar_ready: Default::default(),
            ar_addr: Default::default(),
            ar_len: Default::default(),
            ar_id: Default::default(),
            r_valid: Default::default(),
            r_data: Default::default(),
            r_id: Default::default(),
            r_last: Default::default(),
            r_status: Default::default(),
            w_valid: Default::default(),
            w_ready: Default::default(),
            w_addr: Default::default(),
            w_data: Default::default(),
            w_strobe: Default::default(),
            w_last: Default::default(),
            b_valid: Default::default(),
            b_error: Default::default(),
            aw_valid: Default::default(),
            aw_addr: Default::default(),
            aw_len: Default::default(),
            open: Default::default(),
            beats: Constant::new(3u64.into()),
            doubleword: Constant::new(3u64.into()),
            incr: Constant::new(1u64.into()),
            to_memory: Constant::new(2u64.into()),
        }
    }
}

impl Logic for AxiPtw {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, aw_valid, aw_addr, aw_len, open);

        // Reads.
        self.m_axi.arvalid.next = self.ar_valid.val();
        self.ar_ready.next = self.m_axi.arready.val();
        self.m_axi.araddr.next = unsigned_cast_to::<64, 56>(self.ar_addr.val());
        self.m_axi.arlen.next = unsigned_cast_to::<8, 3>(self.ar_len.val());
        self.m_axi.arid.next = self.ar_id.val();
        self.m_axi.arsize.next = self.doubleword.val();
        self.m_axi.arburst.next = self.incr.val();
        self.m_axi.arlock.next = false;
        self.m_axi.arcache.next = self.to_memory.val();
        self.m_axi.arprot.next = 0.into();
        self.m_axi.arqos.next = 0.into();
        self.m_axi.rready.next = true;
        self.r_valid.next = self.m_axi.rvalid.val();
        self.r_data.next = self.m_axi.rdata.val();
        self.r_id.next = self.m_axi.rid.val();
        self.r_last.next = self.m_axi.rlast.val();
        self.r_status.next = 0.into();
        if self.m_axi.rresp.val().get_bit(1) {
            self.r_status.next = 1.into();
        }

        // Writes: the first beat's address is kept, for the beats may be gone before the address is taken.
        if self.w_valid.val() & !self.open.q.val() {
            self.aw_valid.d.next = true;
            self.open.d.next = true;
            self.aw_addr.d.next = self.w_addr.val();
            self.aw_len.d.next = 0.into();
            if !self.w_last.val() {
                self.aw_len.d.next = self.beats.val();
            }
        }
        if self.aw_valid.q.val() & self.m_axi.awready.val() {
            self.aw_valid.d.next = false;
        }
        if self.open.q.val() & self.w_valid.val() & self.m_axi.wready.val() & self.w_last.val() {
            self.open.d.next = false;
        }
        self.m_axi.awvalid.next = self.aw_valid.q.val();
        self.m_axi.awaddr.next = unsigned_cast_to::<64, 56>(self.aw_addr.q.val());
        self.m_axi.awlen.next = unsigned_cast_to::<8, 2>(self.aw_len.q.val());
        self.m_axi.awid.next = 0.into();
        self.m_axi.awsize.next = self.doubleword.val();
        self.m_axi.awburst.next = self.incr.val();
        self.m_axi.awlock.next = false;
        self.m_axi.awcache.next = self.to_memory.val();
        self.m_axi.awprot.next = 0.into();
        self.m_axi.awqos.next = 0.into();
        self.m_axi.wvalid.next = self.open.q.val() & self.w_valid.val();
        self.w_ready.next = self.open.q.val() & self.m_axi.wready.val();
        self.m_axi.wdata.next = self.w_data.val();
        self.m_axi.wstrb.next = self.w_strobe.val();
        self.m_axi.wlast.next = self.w_last.val();
        self.m_axi.bready.next = true;
        // Every write has id 0; an answer to another is nobody's.
        self.b_valid.next = self.m_axi.bvalid.val() & !self.m_axi.bid.val().any();
        self.b_error.next = self.m_axi.bresp.val().get_bit(1);

        if self.reset.val() {
            self.aw_valid.d.next = false;
            self.open.d.next = false;
        }
    }
}
