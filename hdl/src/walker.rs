//! The walker: decides every request that the hit path could not plainly allow, from memory.
//!
//! It reads the device context (one burst of four doublewords, `tc` first: HW4), checks it, walks the page table of
//! the first stage, answers, and fills the caches. Every fault of the design is found and recorded here, in the order
//! of FLT-01.
//!
//! ```text
//! cycle   0      1             L+1    L+2           (L cycles from read request to first data)
//!         start  Begin: read   data   Pte: check ─► next read in this very cycle, or the answer
//! ```
//!
//! A level costs L+1 cycles; a 4 KiB page with its context known is answered 3L+4 cycles after `start`, a cold one
//! 4L+9 after it. The registers of the request hold still until the answer is taken.
//!
//! Invalidation: `mark_stale` says that a maintenance operation has passed since this walk began to read. The walk
//! still answers its request (that is what the fence behind the invalidation waits for, through `stale`), but fills
//! nothing. It is not restarted, so a stream of invalidations cannot keep a request from its answer.

use crate::types::*;
use crate::widen::unsigned_cast_to;
use rust_hdl::prelude::*;

/// States of the walker.
#[derive(LogicState, Debug, Copy, Clone, PartialEq)]
pub enum WalkState {
    /// Waits for a request.
    Idle,
    /// Judges what needs no memory, then asks for the context or the root entry.
    Begin,
    /// Takes the doublewords of the context; the first three are judged one cycle after they came.
    Dc,
    /// Judges the last doubleword and the context as a whole.
    DcEnd,
    /// Waits for a page-table entry.
    PteWait,
    /// Judges it: next level, answer or fault.
    Pte,
    /// Answers with a fault and hands over its record.
    Fault,
}

/// `I` IOTLB index bits, `S` context slot bits.
#[derive(LogicBlock)]
pub struct Walker<const I: usize, const S: usize> {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Back to Idle.
    pub reset: Signal<In, Bit>,
    /// ddtp.PPN.
    pub ddt_root: Signal<In, Bits<28>>,

    /// Take a request; only while `idle`.
    pub start: Signal<In, Bit>,
    /// It can be taken.
    pub idle: Signal<Out, Bit>,
    /// The request.
    pub req: Signal<In, Req>,
    /// ddtp was Off.
    pub off: Signal<In, Bit>,
    /// ddtp was Bare.
    pub bare: Signal<In, Bit>,
    /// The device_id is too wide.
    pub wide: Signal<In, Bit>,
    /// The context is known ...
    pub found: Signal<In, Bit>,
    /// ... in this slot ...
    pub slot: Signal<In, Bits<S>>,
    /// ... as this.
    pub info: Signal<In, Context>,

    /// A maintenance operation leaves the pipeline.
    pub mark_stale: Signal<In, Bit>,
    /// One is in the pipeline.
    pub block_fill: Signal<In, Bit>,
    /// The walk in flight began before a maintenance operation that has left the pipeline.
    pub stale: Signal<Out, Bit>,

    /// Memory read wanted ...
    pub ar_valid: Signal<Out, Bit>,
    /// ... and taken.
    pub ar_ready: Signal<In, Bit>,
    /// Page number.
    pub ar_frame: Signal<Out, Bits<28>>,
    /// Offset in the page.
    pub ar_off: Signal<Out, Bits<12>>,
    /// It is the directory: four doublewords instead of one.
    pub ar_ddt: Signal<Out, Bit>,
    /// Read data for the walker.
    pub r_valid: Signal<In, Bit>,
    /// The doubleword.
    pub r_data: Signal<In, Bits<64>>,
    /// Its status.
    pub r_status: Signal<In, Bits<2>>,
    /// The last of the burst.
    pub r_last: Signal<In, Bit>,

    /// An answer.
    pub res_valid: Signal<Out, Bit>,
    /// It is taken.
    pub res_ready: Signal<In, Bit>,
    /// Refused.
    pub res_fault: Signal<Out, Bit>,
    /// SPA = IOVA.
    pub res_identity: Signal<Out, Bit>,
    /// The leaf.
    pub res_leaf: Signal<Out, Leaf>,
    /// Its size.
    pub res_size: Signal<Out, Bits<2>>,
    /// The request.
    pub res_req: Signal<Out, Req>,

    /// Store the context.
    pub ctx_fill: Signal<Out, Bit>,
    /// In this slot.
    pub ctx_fill_slot: Signal<Out, Bits<S>>,
    /// Its PSCID.
    pub ctx_fill_pscid: Signal<Out, Bits<20>>,
    /// Its content.
    pub ctx_fill_info: Signal<Out, Context>,
    /// Store the leaf.
    pub tlb_fill: Signal<Out, Bit>,
    /// In this entry.
    pub tlb_fill_index: Signal<Out, Bits<I>>,
    /// It is global.
    pub tlb_fill_global: Signal<Out, Bit>,
    /// For this context.
    pub tlb_fill_slot: Signal<Out, Bits<S>>,
    /// Drop that entry now.
    pub tlb_drop: Signal<Out, Bit>,

    /// A record is handed over.
    pub record_valid: Signal<Out, Bit>,
    /// The fault queue has room for it (or drops it).
    pub record_ready: Signal<In, Bit>,
    /// The record.
    pub record: Signal<Out, Record>,

    state: DFF<WalkState>,
    request: DFF<Req>,
    is_off: DFF<Bit>,
    is_bare: DFF<Bit>,
    is_wide: DFF<Bit>,
    have: DFF<Bit>,
    fresh: DFF<Bit>,
    ctx: DFF<Context>,
    pscid: DFF<Bits<20>>,
    ctx_slot: DFF<Bits<S>>,
    ctx_victim: DFF<Bits<S>>,
    tlb_victim: DFF<Bits<I>>,
    level: DFF<Bits<2>>,
    globally: DFF<Bit>,
    old: DFF<Bit>,
    raw: DFF<Bits<64>>,
    raw_status: DFF<Bits<2>>,
    beat: DFF<Bits<2>>,
    fetched: DFF<Bit>,
    refused: DFF<Bit>,
    poisoned: DFF<Bit>,
    dc_valid: DFF<Bit>,
    dc_bad: DFF<Bit>,
    cause: DFF<Bits<9>>,

    // Judgement of the request itself.
    vpn2: Signal<Local, Bits<9>>,
    canonical: Signal<Local, Bit>,
    page_fault: Signal<Local, Bits<9>>,
    access_fault: Signal<Local, Bits<9>>,
    did: Signal<Local, Bits<24>>,
    ddi: Signal<Local, Bits<7>>,

    // Judgement of a doubleword of the context.
    word: Signal<Local, Bits<64>>,
    mode: Signal<Local, Bits<4>>,
    tc_bad: Signal<Local, Bit>,
    fsc_bad: Signal<Local, Bit>,
    now_refused: Signal<Local, Bit>,
    now_poisoned: Signal<Local, Bit>,
    ppn: Signal<Local, Bits<44>>,
    root_far: Signal<Local, Bit>,

    // Judgement of a page-table entry.
    pte: Signal<Local, Pte>,
    pte_far: Signal<Local, Bit>,
    is_leaf: Signal<Local, Bit>,
    bad: Signal<Local, Bit>,
    bad_table: Signal<Local, Bit>,
    bad_leaf: Signal<Local, Bit>,
    forbidden: Signal<Local, Bit>,
    misaligned: Signal<Local, Bit>,
    bad_napot: Signal<Local, Bit>,
    napot_bits: Signal<Local, Bits<4>>,
    leaf_p0: Signal<Local, Bits<9>>,
    next_vpn: Signal<Local, Bits<9>>,
    pte_frame: Signal<Local, Bits<28>>,
    pte_p2_low: Signal<Local, Bits<10>>,
    pte_p2: Signal<Local, Bits<26>>,

    may_fill: Signal<Local, Bit>,
    recorded: Signal<Local, Bit>,
    ttyp: Signal<Local, Bits<4>>,
    iova: Signal<Local, Iova>,

    tc_reserved: Constant<Bits<64>>,
    ta_reserved: Constant<Bits<64>>,
    fsc_reserved: Constant<Bits<64>>,
    far_mask: Constant<Bits<26>>,
    frame_mask: Constant<Bits<28>>,
    fsc_far_mask: Constant<Bits<44>>,
    bare_mode: Constant<Bits<4>>,
    sv39_mode: Constant<Bits<4>>,
    napot_code: Constant<Bits<4>>,
    cause_ddt_access: Constant<Bits<9>>,
    cause_ddt_poison: Constant<Bits<9>>,
    cause_ddt_invalid: Constant<Bits<9>>,
    cause_ddt_bad: Constant<Bits<9>>,
    cause_off: Constant<Bits<9>>,
    cause_type: Constant<Bits<9>>,
    cause_pt_poison: Constant<Bits<9>>,
}

/// Constants of the kernel, from the register map.
fn constants(pas: u32) -> (Bits<26>, Bits<28>, Bits<44>) {
    let frame = pas - 12;
    let all_p2 = (1u64 << 26) - 1;
    let far_p2 = all_p2 & !((1u64 << (frame - 18)) - 1);
    let far = ((1u64 << 44) - 1) & !((1u64 << frame) - 1);
    (
        far_p2.into(),
        ((1u64 << frame) - 1).into(),
        far.into(),
    )
}

impl<const I: usize, const S: usize> Walker<I, S> {
    /// A walker for physical addresses of `pas` bits (30 to 40).
    #[must_use]
    pub fn new(pas: u32) -> Self {
        let (far_mask, frame_mask, fsc_far_mask) = constants(pas);
        Self {
            clock: Default::default(),
            reset: Default::default(),
            ddt_root: Default::default(),
            start: Default::default(),
            idle: Default::default(),
            req: Default::default(),
            off: Default::default(),
            bare: Default::default(),
            wide: Default::default(),
            found: Default::default(),
            slot: Default::default(),
            info: Default::default(),
            mark_stale: Default::default(),
            block_fill: Default::default(),
            stale: Default::default(),
            ar_valid: Default::default(),
            ar_ready: Default::default(),
            ar_frame: Default::default(),
            ar_off: Default::default(),
            ar_ddt: Default::default(),
            r_valid: Default::default(),
            r_data: Default::default(),
            r_status: Default::default(),
            r_last: Default::default(),
            res_valid: Default::default(),
            res_ready: Default::default(),
            res_fault: Default::default(),
            res_identity: Default::default(),
            res_leaf: Default::default(),
            res_size: Default::default(),
            res_req: Default::default(),
            ctx_fill: Default::default(),
            ctx_fill_slot: Default::default(),
            ctx_fill_pscid: Default::default(),
            ctx_fill_info: Default::default(),
            tlb_fill: Default::default(),
            tlb_fill_index: Default::default(),
            tlb_fill_global: Default::default(),
            tlb_fill_slot: Default::default(),
            tlb_drop: Default::default(),
            record_valid: Default::default(),
            record_ready: Default::default(),
            record: Default::default(),
            state: Default::default(),
            request: Default::default(),
            is_off: Default::default(),
            is_bare: Default::default(),
            is_wide: Default::default(),
            have: Default::default(),
            fresh: Default::default(),
            ctx: Default::default(),
            pscid: Default::default(),
            ctx_slot: Default::default(),
            ctx_victim: Default::default(),
            tlb_victim: Default::default(),
            level: Default::default(),
            globally: Default::default(),
            old: Default::default(),
            raw: Default::default(),
            raw_status: Default::default(),
            beat: Default::default(),
            fetched: Default::default(),
            refused: Default::default(),
            poisoned: Default::default(),
            dc_valid: Default::default(),
            dc_bad: Default::default(),
            cause: Default::default(),
            vpn2: Default::default(),
            canonical: Default::default(),
            page_fault: Default::default(),
            access_fault: Default::default(),
            did: Default::default(),
            ddi: Default::default(),
            word: Default::default(),
            mode: Default::default(),
            tc_bad: Default::default(),
            fsc_bad: Default::default(),
            now_refused: Default::default(),
            now_poisoned: Default::default(),
            ppn: Default::default(),
            root_far: Default::default(),
            pte: Default::default(),
            pte_far: Default::default(),
            is_leaf: Default::default(),
            bad: Default::default(),
            bad_table: Default::default(),
            bad_leaf: Default::default(),
            forbidden: Default::default(),
            misaligned: Default::default(),
            bad_napot: Default::default(),
            napot_bits: Default::default(),
            leaf_p0: Default::default(),
            next_vpn: Default::default(),
            pte_frame: Default::default(),
            pte_p2_low: Default::default(),
            pte_p2: Default::default(),
            may_fill: Default::default(),
            recorded: Default::default(),
            ttyp: Default::default(),
            iova: Default::default(),
            // DCM-01, 02, 13..18, 35, 36, 38: reserved bits, and features that no configuration here has.
            // DTF (4), PDTV (5) and the custom bits 31:24 are free; DPE (9) is judged with PDTV.
            tc_reserved: Constant::new(0xffff_ffff_00ff_fdceu64.into()),
            // DCM-03, 04, 11: only PSCID may be set.
            ta_reserved: Constant::new(0xffff_ffff_0000_0fffu64.into()),
            // DCM-05, 06.
            fsc_reserved: Constant::new(0x0fff_f000_0000_0000u64.into()),
            far_mask: Constant::new(far_mask),
            frame_mask: Constant::new(frame_mask),
            fsc_far_mask: Constant::new(fsc_far_mask),
            bare_mode: Constant::new(0u64.into()),
            sv39_mode: Constant::new(8u64.into()),
            napot_code: Constant::new(8u64.into()),
            cause_ddt_access: Constant::new(257u64.into()),
            cause_ddt_poison: Constant::new(268u64.into()),
            cause_ddt_invalid: Constant::new(258u64.into()),
            cause_ddt_bad: Constant::new(259u64.into()),
            cause_off: Constant::new(256u64.into()),
            cause_type: Constant::new(260u64.into()),
            cause_pt_poison: Constant::new(274u64.into()),
        }
    }
}

impl<const I: usize, const S: usize> Logic for Walker<I, S> {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self, clock, state, request, is_off, is_bare, is_wide, have, fresh, ctx, pscid,
            ctx_slot, ctx_victim, tlb_victim, level, globally, old, raw, raw_status, beat, fetched,
            refused, poisoned, dc_valid, dc_bad, cause
        );

        // What the request alone decides.
        self.vpn2.next = self.request.q.val().vpn2;
        self.canonical.next = ((self.request.q.val().hi == 0) & !self.vpn2.val().get_bit(8))
            | (self.request.q.val().hi.all() & self.vpn2.val().get_bit(8));
        self.page_fault.next = 13.into();
        self.access_fault.next = 5.into();
        if self.request.q.val().access == 1 {
            self.page_fault.next = 15.into();
            self.access_fault.next = 7.into();
        }
        if self.request.q.val().access == 2 {
            self.page_fault.next = 12.into();
            self.access_fault.next = 1.into();
        }
        self.did.next = self.request.q.val().did;
        self.ddi.next = self.did.val().get_bits::<7>(0);

        // What the doubleword in `raw` means as part of a context.
        self.word.next = self.raw.q.val();
        self.mode.next = self.word.val().get_bits::<4>(60);
        self.now_refused.next = self.refused.q.val() | (self.raw_status.q.val() == 1);
        self.now_poisoned.next = self.poisoned.q.val() | (self.raw_status.q.val() == 2);
        self.tc_bad.next = ((self.word.val() & self.tc_reserved.val()) != 0)
            | (self.word.val().get_bit(9) & !self.word.val().get_bit(5));
        self.ppn.next = self.word.val().get_bits::<44>(0);
        self.root_far.next = (self.ppn.val() & self.fsc_far_mask.val()) != 0;
        self.fsc_bad.next = ((self.word.val() & self.fsc_reserved.val()) != 0)
            | ((self.mode.val() != self.bare_mode.val())
                & ((self.mode.val() != self.sv39_mode.val()) | self.ctx.q.val().pdtv));

        // What it means as a page-table entry.
        self.pte.next = self.raw.q.val().into();
        self.pte_p2.next = self.pte.val().p2;
        self.pte_p2_low.next = self.pte_p2.val().get_bits::<10>(0);
        self.pte_frame.next = (bit_cast::<28, 10>(self.pte_p2_low.val()) << 18)
            | (unsigned_cast_to::<28, 9>(self.pte.val().p1) << 9)
            | unsigned_cast_to::<28, 9>(self.pte.val().p0);
        self.pte_far.next = (self.pte.val().p2 & self.far_mask.val()) != 0;
        self.leaf_p0.next = self.pte.val().p0;
        self.napot_bits.next = self.leaf_p0.val().get_bits::<4>(0);
        self.is_leaf.next = self.pte.val().r | self.pte.val().x;
        self.bad.next =
            !self.pte.val().v | (self.pte.val().w & !self.pte.val().r) | (self.pte.val().resv != 0);
        self.bad_table.next = (self.level.q.val() == 0)
            | self.pte.val().a
            | self.pte.val().d
            | self.pte.val().u
            | self.pte.val().n;
        self.forbidden.next = !self.pte.val().u
            | !self.pte.val().a
            | ((self.request.q.val().access == 0) & !self.pte.val().r)
            | ((self.request.q.val().access == 1) & !(self.pte.val().w & self.pte.val().d))
            | ((self.request.q.val().access == 2) & !self.pte.val().x);
        self.misaligned.next = ((self.level.q.val() != 0) & (self.pte.val().p0 != 0))
            | ((self.level.q.val() == 2) & (self.pte.val().p1 != 0));
        self.bad_napot.next = self.pte.val().n
            & ((self.level.q.val() != 0) | (self.napot_bits.val() != self.napot_code.val()));
        self.bad_leaf.next =
            self.forbidden.val() | self.misaligned.val() | self.bad_napot.val();
        self.next_vpn.next = self.request.q.val().vpn1;
        if self.level.q.val() == 1 {
            self.next_vpn.next = self.request.q.val().vpn0;
        }

        // Outputs at rest.
        self.idle.next = false;
        self.stale.next = self.old.q.val();
        self.ar_valid.next = false;
        self.ar_ddt.next = false;
        self.ar_frame.next = self.ctx.q.val().root;
        self.ar_off.next = unsigned_cast_to::<12, 9>(self.vpn2.val()) << 3;
        self.res_valid.next = false;
        self.res_fault.next = false;
        self.res_identity.next = false;
        self.res_req.next = self.request.q.val();
        self.res_leaf.next.p0 = self.pte.val().p0;
        self.res_leaf.next.p1 = self.pte.val().p1;
        self.res_leaf.next.p2 = self.pte.val().p2;
        self.res_leaf.next.r = self.pte.val().r;
        self.res_leaf.next.w = self.pte.val().w & self.pte.val().d;
        self.res_leaf.next.x = self.pte.val().x;
        self.res_size.next = 0.into();
        if self.level.q.val() == 2 {
            self.res_size.next = 3.into();
        } else if self.level.q.val() == 1 {
            self.res_size.next = 2.into();
        } else if self.pte.val().n {
            self.res_size.next = 1.into();
        }
        self.may_fill.next =
            !self.old.q.val() & !self.mark_stale.val() & !self.block_fill.val();
        self.ctx_fill.next = false;
        self.ctx_fill_slot.next = self.ctx_victim.q.val();
        self.ctx_fill_pscid.next = self.pscid.q.val();
        self.ctx_fill_info.next = self.ctx.q.val();
        self.tlb_fill.next = false;
        self.tlb_fill_index.next = self.tlb_victim.q.val();
        self.tlb_fill_global.next = self.globally.q.val() | self.pte.val().g;
        self.tlb_fill_slot.next = self.ctx_slot.q.val();
        self.tlb_drop.next = false;
        self.record_valid.next = false;

        // The record: FLT-07..FLT-11.
        self.iova.next.off = self.request.q.val().off;
        self.iova.next.vpn0 = self.request.q.val().vpn0;
        self.iova.next.vpn1 = self.request.q.val().vpn1;
        self.iova.next.vpn2 = self.request.q.val().vpn2;
        self.iova.next.hi = self.request.q.val().hi;
        self.ttyp.next = 2.into();
        if self.request.q.val().access == 1 {
            self.ttyp.next = 3.into();
        }
        if self.request.q.val().access == 2 {
            self.ttyp.next = 1.into();
        }
        self.record.next.ttyp = self.ttyp.val();
        if self.request.q.val().kind == 1 {
            self.record.next.ttyp = self.ttyp.val() | 4;
        }
        if self.request.q.val().kind == 2 {
            self.record.next.ttyp = 8.into();
        }
        self.record.next.cause = self.cause.q.val();
        self.record.next.did = self.request.q.val().did;
        self.record.next.pv = self.request.q.val().pv;
        self.record.next.sup = self.request.q.val().pv & self.request.q.val().sup;
        self.record.next.pid = 0.into();
        if self.request.q.val().pv {
            self.record.next.pid = self.request.q.val().pid;
        }
        self.record.next.iova = self.iova.val().into();
        // FLT-03, FLT-04: the causes that DTF cannot suppress are those found before there is a context.
        self.recorded.next = !(self.have.q.val() & self.ctx.q.val().dtf);

        // Marked from the cycle after, in which the fence begins to look.
        if self.mark_stale.val() {
            self.old.d.next = true;
        }

        match self.state.q.val() {
            WalkState::Idle => {
                self.idle.next = true;
                self.request.d.next = self.req.val();
                self.is_off.d.next = self.off.val();
                self.is_bare.d.next = self.bare.val();
                self.is_wide.d.next = self.wide.val();
                self.have.d.next = self.found.val();
                self.ctx_slot.d.next = self.slot.val();
                self.ctx.d.next = self.info.val();
                self.fresh.d.next = false;
                self.old.d.next = false;
                self.globally.d.next = false;
                self.fetched.d.next = false;
                self.beat.d.next = 0.into();
                self.refused.d.next = false;
                self.poisoned.d.next = false;
                self.dc_bad.d.next = false;
                self.level.d.next = 2.into();
                if self.start.val() {
                    self.state.d.next = WalkState::Begin;
                }
            }
            WalkState::Begin => {
                if self.fresh.q.val() {
                    self.fresh.d.next = false;
                    if self.may_fill.val() {
                        self.ctx_fill.next = true;
                        self.ctx_victim.d.next = self.ctx_victim.q.val() + 1;
                    } else {
                        // No slot holds this context, so no leaf may be filled for it either.
                        self.old.d.next = true;
                    }
                }
                self.state.d.next = WalkState::Fault;
                self.cause.d.next = self.cause_type.val();
                if self.is_off.q.val() {
                    self.cause.d.next = self.cause_off.val();
                } else if !self.is_bare.q.val() & !self.is_wide.q.val() {
                    if !self.have.q.val() {
                        self.ar_valid.next = true;
                        self.ar_ddt.next = true;
                        self.ar_frame.next = self.ddt_root.val();
                        self.ar_off.next = unsigned_cast_to::<12, 7>(self.ddi.val()) << 5;
                        self.state.d.next = WalkState::Begin;
                        if self.ar_ready.val() {
                            self.state.d.next = WalkState::Dc;
                        }
                    } else if (self.request.q.val().kind == 0)
                        & (!self.request.q.val().pv | self.ctx.q.val().pdtv)
                    {
                        if !self.ctx.q.val().paged {
                            self.res_valid.next = true;
                            self.res_identity.next = true;
                            self.state.d.next = WalkState::Begin;
                            if self.res_ready.val() {
                                self.state.d.next = WalkState::Idle;
                            }
                        } else if !self.canonical.val() {
                            self.cause.d.next = self.page_fault.val();
                        } else if self.ctx.q.val().far {
                            self.cause.d.next = self.access_fault.val();
                        } else {
                            self.ar_valid.next = true;
                            self.state.d.next = WalkState::Begin;
                            if self.ar_ready.val() {
                                // The victim goes before its data is overwritten, so that no hit reads
                                // the word being written.
                                self.tlb_drop.next = true;
                                self.state.d.next = WalkState::PteWait;
                            }
                        }
                    }
                }
            }
            WalkState::Dc => {
                self.fetched.d.next = false;
                if self.r_valid.val() {
                    self.raw.d.next = self.r_data.val();
                    self.raw_status.d.next = self.r_status.val();
                    self.fetched.d.next = true;
                    if self.r_last.val() {
                        self.state.d.next = WalkState::DcEnd;
                    }
                }
                if self.fetched.q.val() {
                    self.beat.d.next = self.beat.q.val() + 1;
                    self.refused.d.next = self.now_refused.val();
                    self.poisoned.d.next = self.now_poisoned.val();
                    if self.beat.q.val() == 0 {
                        self.dc_valid.d.next = self.word.val().get_bit(0);
                        self.dc_bad.d.next = self.tc_bad.val();
                        self.ctx.d.next.dtf = self.word.val().get_bit(4);
                        self.ctx.d.next.pdtv = self.word.val().get_bit(5);
                    }
                    if self.beat.q.val() == 1 {
                        // DCM-29, DCM-31: no second stage here.
                        self.dc_bad.d.next =
                            self.dc_bad.q.val() | (self.mode.val() != self.bare_mode.val());
                    }
                    if self.beat.q.val() == 2 {
                        self.dc_bad.d.next = self.dc_bad.q.val()
                            | ((self.word.val() & self.ta_reserved.val()) != 0);
                        self.pscid.d.next = self.word.val().get_bits::<20>(12);
                    }
                }
            }
            WalkState::DcEnd => {
                self.state.d.next = WalkState::Fault;
                if self.now_refused.val() {
                    self.cause.d.next = self.cause_ddt_access.val();
                } else if self.now_poisoned.val() {
                    self.cause.d.next = self.cause_ddt_poison.val();
                } else if !self.dc_valid.q.val() {
                    self.cause.d.next = self.cause_ddt_invalid.val();
                } else if self.dc_bad.q.val() | self.fsc_bad.val() {
                    self.cause.d.next = self.cause_ddt_bad.val();
                } else {
                    self.have.d.next = true;
                    self.fresh.d.next = true;
                    self.ctx_slot.d.next = self.ctx_victim.q.val();
                    self.ctx.d.next.paged = self.mode.val() == self.sv39_mode.val();
                    self.ctx.d.next.far = self.root_far.val();
                    self.ctx.d.next.root =
                        self.word.val().get_bits::<28>(0) & self.frame_mask.val();
                    self.state.d.next = WalkState::Begin;
                }
            }
            WalkState::PteWait => {
                if self.r_valid.val() {
                    self.raw.d.next = self.r_data.val();
                    self.raw_status.d.next = self.r_status.val();
                    self.state.d.next = WalkState::Pte;
                }
            }
            WalkState::Pte => {
                self.state.d.next = WalkState::Fault;
                self.cause.d.next = self.page_fault.val();
                if self.raw_status.q.val() == 1 {
                    self.cause.d.next = self.access_fault.val();
                } else if self.raw_status.q.val() == 2 {
                    self.cause.d.next = self.cause_pt_poison.val();
                } else if !self.bad.val() & self.is_leaf.val() & !self.bad_leaf.val() {
                    self.res_valid.next = true;
                    self.state.d.next = WalkState::Pte;
                    if self.res_ready.val() {
                        self.state.d.next = WalkState::Idle;
                        if self.may_fill.val() {
                            self.tlb_fill.next = true;
                            self.tlb_victim.d.next = self.tlb_victim.q.val() + 1;
                        }
                    }
                } else if !self.bad.val() & !self.is_leaf.val() & !self.bad_table.val() {
                    if self.pte_far.val() {
                        self.cause.d.next = self.access_fault.val();
                    } else {
                        self.ar_valid.next = true;
                        self.ar_frame.next = self.pte_frame.val();
                        self.ar_off.next = unsigned_cast_to::<12, 9>(self.next_vpn.val()) << 3;
                        self.state.d.next = WalkState::Pte;
                        if self.ar_ready.val() {
                            self.globally.d.next = self.globally.q.val() | self.pte.val().g;
                            self.level.d.next = self.level.q.val() - 1;
                            self.state.d.next = WalkState::PteWait;
                        }
                    }
                }
            }
            WalkState::Fault => {
                self.res_fault.next = true;
                self.res_valid.next = self.record_ready.val() | !self.recorded.val();
                if self.res_ready.val() & (self.record_ready.val() | !self.recorded.val()) {
                    self.record_valid.next = self.recorded.val();
                    self.state.d.next = WalkState::Idle;
                }
            }
            _ => {
                self.state.d.next = WalkState::Idle;
            }
        }

        if self.reset.val() {
            self.state.d.next = WalkState::Idle;
            self.ctx_victim.d.next = 0.into();
            self.tlb_victim.d.next = 0.into();
        }
    }
}
