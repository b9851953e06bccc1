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

use crate::canonical::Canonical;
use crate::context_check::ContextCheck;
use crate::entry_check::EntryCheck;
use crate::record_of::RecordOf;
use crate::types::*;
use crate::widen::unsigned_cast_to;
use portcullis_regmap::config::Config;
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
    /// Waits for a non-leaf directory entry.
    DdtWait,
    /// Judges it and asks for the next level.
    Ddt,
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
    /// ddtp.iommu_mode at its lookup: 0 Off, 1 Bare, 2 1LVL, 3 2LVL, 4 3LVL.
    pub mode: Signal<In, Bits<3>>,
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
    /// It is the directory.
    pub ar_ddt: Signal<Out, Bit>,
    /// It is a device context: four doublewords instead of one.
    pub ar_dc: Signal<Out, Bit>,
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
    pub res_size: Signal<Out, Bits<3>>,
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

    /// Event: a directory entry is asked for.
    pub ev_ddt: Signal<Out, Bit>,
    /// Event: a page-table entry is asked for.
    pub ev_pte: Signal<Out, Bit>,
    /// Event: a page-table walk begins.
    pub ev_miss: Signal<Out, Bit>,

    canonical: Canonical,
    check: ContextCheck,
    entry: EntryCheck,
    record_of: RecordOf,
    state: DFF<WalkState>,
    request: DFF<Req>,
    ddtp_mode: DFF<Bits<3>>,
    dir_level: DFF<Bits<2>>,
    dir_frame: DFF<Bits<28>>,
    is_wide: DFF<Bit>,
    have: DFF<Bit>,
    fresh: DFF<Bit>,
    ctx: DFF<Context>,
    pscid: DFF<Bits<20>>,
    ctx_slot: DFF<Bits<S>>,
    ctx_victim: DFF<Bits<S>>,
    tlb_victim: DFF<Bits<I>>,
    level: DFF<Bits<3>>,
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

    page_fault: Signal<Local, Bits<9>>,
    access_fault: Signal<Local, Bits<9>>,
    did: Signal<Local, Bits<24>>,
    ddi0: Signal<Local, Bits<7>>,
    ddi1: Signal<Local, Bits<9>>,
    ddi2: Signal<Local, Bits<8>>,
    dc_off: Signal<Local, Bits<12>>,
    access: Signal<Local, Bits<2>>,
    now_refused: Signal<Local, Bit>,
    now_poisoned: Signal<Local, Bit>,
    next_vpn: Signal<Local, Bits<9>>,
    may_fill: Signal<Local, Bit>,
    recorded: Signal<Local, Bit>,

    has_levels: Constant<Bit>,
    cause_ddt_access: Constant<Bits<9>>,
    cause_ddt_poison: Constant<Bits<9>>,
    cause_ddt_invalid: Constant<Bits<9>>,
    cause_ddt_bad: Constant<Bits<9>>,
    cause_off: Constant<Bits<9>>,
    cause_type: Constant<Bits<9>>,
    cause_pt_poison: Constant<Bits<9>>,
}

impl<const I: usize, const S: usize> Walker<I, S> {
    /// The walker of a configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            ddt_root: Default::default(),
            start: Default::default(),
            idle: Default::default(),
            req: Default::default(),
            mode: Default::default(),
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
            ar_dc: Default::default(),
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
            ev_ddt: Default::default(),
            ev_pte: Default::default(),
            ev_miss: Default::default(),
            canonical: Default::default(),
            check: ContextCheck::new(config),
            entry: EntryCheck::new(config),
            record_of: Default::default(),
            state: Default::default(),
            request: Default::default(),
            ddtp_mode: Default::default(),
            dir_level: Default::default(),
            dir_frame: Default::default(),
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
            page_fault: Default::default(),
            access_fault: Default::default(),
            did: Default::default(),
            ddi0: Default::default(),
            ddi1: Default::default(),
            ddi2: Default::default(),
            dc_off: Default::default(),
            access: Default::default(),
            now_refused: Default::default(),
            now_poisoned: Default::default(),
            next_vpn: Default::default(),
            may_fill: Default::default(),
            recorded: Default::default(),
            has_levels: Constant::new(config.accepts_mode(3)),
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
            self, clock, state, request, ddtp_mode, dir_level, dir_frame, is_wide, have, fresh,
            ctx, pscid, ctx_slot, ctx_victim, tlb_victim, level, globally, old, raw, raw_status,
            beat, fetched, refused, poisoned, dc_valid, dc_bad, cause
        );

        // What the request alone decides.
        self.canonical.req.next = self.request.q.val();
        self.canonical.extra.next = self.ctx.q.val().extra;
        self.access.next = self.request.q.val().access;
        self.page_fault.next = 13.into();
        self.access_fault.next = 5.into();
        if self.access.val().get_bit(0) {
            self.page_fault.next = 15.into();
            self.access_fault.next = 7.into();
        }
        if self.request.q.val().access == 2 {
            self.page_fault.next = 12.into();
            self.access_fault.next = 1.into();
        }
        self.did.next = self.request.q.val().did;
        self.ddi0.next = self.did.val().get_bits::<7>(0);
        self.ddi1.next = self.did.val().get_bits::<9>(7);
        self.ddi2.next = self.did.val().get_bits::<8>(16);
        self.dc_off.next = unsigned_cast_to::<12, 7>(self.ddi0.val()) << 5;

        // What the doubleword in `raw` means in each place where it may have been read.
        self.check.word.next = self.raw.q.val();
        self.check.pdtv.next = self.ctx.q.val().pdtv;
        self.entry.word.next = self.raw.q.val();
        self.entry.level.next = self.level.q.val();
        self.entry.access.next = self.request.q.val().access;
        self.now_refused.next = self.refused.q.val() | (self.raw_status.q.val() == 1);
        self.now_poisoned.next = self.poisoned.q.val() | (self.raw_status.q.val() == 2);
        self.next_vpn.next = self.request.q.val().vpn0;
        if self.level.q.val() == 2 {
            self.next_vpn.next = self.request.q.val().vpn1;
        }
        if self.level.q.val() == 3 {
            self.next_vpn.next = self.request.q.val().vpn2;
        }
        if self.level.q.val() == 4 {
            self.next_vpn.next = self.request.q.val().vpn3;
        }

        // Outputs at rest.
        self.idle.next = false;
        self.stale.next = self.old.q.val();
        self.ar_valid.next = false;
        self.ar_ddt.next = false;
        self.ar_frame.next = self.ctx.q.val().root;
        self.ar_dc.next = false;
        self.ar_off.next = unsigned_cast_to::<12, 9>(self.canonical.root_vpn.val()) << 3;
        self.ev_ddt.next = false;
        self.ev_pte.next = false;
        self.ev_miss.next = false;
        self.res_valid.next = false;
        self.res_fault.next = false;
        self.res_identity.next = false;
        self.res_req.next = self.request.q.val();
        self.res_leaf.next = self.entry.leaf.val();
        self.res_size.next = self.entry.size.val();
        self.may_fill.next = !self.old.q.val() & !self.mark_stale.val() & !self.block_fill.val();
        self.ctx_fill.next = false;
        self.ctx_fill_slot.next = self.ctx_victim.q.val();
        self.ctx_fill_pscid.next = self.pscid.q.val();
        self.ctx_fill_info.next = self.ctx.q.val();
        self.tlb_fill.next = false;
        self.tlb_fill_index.next = self.tlb_victim.q.val();
        self.tlb_fill_global.next = self.globally.q.val() | self.entry.is_global.val();
        self.tlb_fill_slot.next = self.ctx_slot.q.val();
        self.tlb_drop.next = false;
        self.record_valid.next = false;

        self.record_of.req.next = self.request.q.val();
        self.record_of.cause.next = self.cause.q.val();
        self.record.next = self.record_of.record.val();
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
                self.ddtp_mode.d.next = self.mode.val();
                self.dir_frame.d.next = self.ddt_root.val();
                self.dir_level.d.next = 0.into();
                if (self.mode.val() == 3) & self.has_levels.val() {
                    self.dir_level.d.next = 1.into();
                }
                if (self.mode.val() == 4) & self.has_levels.val() {
                    self.dir_level.d.next = 2.into();
                }
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
                self.level.d.next = unsigned_cast_to::<3, 2>(self.info.val().extra) + 2;
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
                if self.ddtp_mode.q.val() == 0 {
                    self.cause.d.next = self.cause_off.val();
                } else if (self.ddtp_mode.q.val() != 1) & !self.is_wide.q.val() {
                    if !self.have.q.val() {
                        self.ar_valid.next = true;
                        self.ar_ddt.next = true;
                        self.ar_frame.next = self.dir_frame.q.val();
                        self.ar_dc.next = self.dir_level.q.val() == 0;
                        self.ar_off.next = self.dc_off.val();
                        if self.dir_level.q.val() == 1 {
                            self.ar_off.next = unsigned_cast_to::<12, 9>(self.ddi1.val()) << 3;
                        }
                        if self.dir_level.q.val() == 2 {
                            self.ar_off.next = unsigned_cast_to::<12, 8>(self.ddi2.val()) << 3;
                        }
                        self.state.d.next = WalkState::Begin;
                        if self.ar_ready.val() {
                            self.ev_ddt.next = true;
                            self.state.d.next = WalkState::DdtWait;
                            if self.dir_level.q.val() == 0 {
                                self.state.d.next = WalkState::Dc;
                            }
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
                        } else if !self.canonical.canonical.val() {
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
                                self.ev_pte.next = true;
                                self.ev_miss.next = true;
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
                        self.dc_valid.d.next = self.raw.q.val().get_bit(0);
                        self.dc_bad.d.next = self.check.tc_bad.val();
                        self.ctx.d.next.dtf = self.raw.q.val().get_bit(4);
                        self.ctx.d.next.pdtv = self.raw.q.val().get_bit(5);
                    }
                    if self.beat.q.val() == 1 {
                        // DCM-29, DCM-31: no second stage here.
                        self.dc_bad.d.next = self.dc_bad.q.val() | self.check.iohgatp_bad.val();
                    }
                    if self.beat.q.val() == 2 {
                        self.dc_bad.d.next = self.dc_bad.q.val() | self.check.ta_bad.val();
                        self.pscid.d.next = self.check.pscid.val();
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
                } else if self.dc_bad.q.val() | self.check.fsc_bad.val() {
                    self.cause.d.next = self.cause_ddt_bad.val();
                } else {
                    self.have.d.next = true;
                    self.fresh.d.next = true;
                    self.ctx_slot.d.next = self.ctx_victim.q.val();
                    self.ctx.d.next.paged = self.check.paged.val();
                    self.ctx.d.next.extra = self.check.extra.val();
                    self.level.d.next = unsigned_cast_to::<3, 2>(self.check.extra.val()) + 2;
                    self.ctx.d.next.far = self.check.far.val();
                    self.ctx.d.next.root = self.check.root.val();
                    self.state.d.next = WalkState::Begin;
                }
            }
            WalkState::DdtWait => {
                if self.r_valid.val() {
                    self.raw.d.next = self.r_data.val();
                    self.raw_status.d.next = self.r_status.val();
                    self.state.d.next = WalkState::Ddt;
                }
            }
            WalkState::Ddt => {
                self.state.d.next = WalkState::Fault;
                if self.raw_status.q.val() == 1 {
                    self.cause.d.next = self.cause_ddt_access.val();
                } else if self.raw_status.q.val() == 2 {
                    self.cause.d.next = self.cause_ddt_poison.val();
                } else if !self.entry.valid.val() {
                    self.cause.d.next = self.cause_ddt_invalid.val();
                } else if self.entry.directory_bad.val() {
                    self.cause.d.next = self.cause_ddt_bad.val();
                } else if self.entry.far.val() {
                    self.cause.d.next = self.cause_ddt_access.val();
                } else {
                    self.ar_valid.next = true;
                    self.ar_ddt.next = true;
                    self.ar_frame.next = self.entry.frame.val();
                    self.ar_dc.next = self.dir_level.q.val() == 1;
                    self.ar_off.next = self.dc_off.val();
                    if self.dir_level.q.val() == 2 {
                        self.ar_off.next = unsigned_cast_to::<12, 9>(self.ddi1.val()) << 3;
                    }
                    self.state.d.next = WalkState::Ddt;
                    if self.ar_ready.val() {
                        self.ev_ddt.next = true;
                        self.dir_level.d.next = self.dir_level.q.val() - 1;
                        self.state.d.next = WalkState::DdtWait;
                        if self.dir_level.q.val() == 1 {
                            self.state.d.next = WalkState::Dc;
                        }
                    }
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
                } else if self.entry.leaf_good.val() {
                    self.res_valid.next = true;
                    self.state.d.next = WalkState::Pte;
                    if self.res_ready.val() {
                        self.state.d.next = WalkState::Idle;
                        if self.may_fill.val() {
                            self.tlb_fill.next = true;
                            self.tlb_victim.d.next = self.tlb_victim.q.val() + 1;
                        }
                    }
                } else if self.entry.table_good.val() {
                    if self.entry.far.val() {
                        self.cause.d.next = self.access_fault.val();
                    } else {
                        self.ar_valid.next = true;
                        self.ar_frame.next = self.entry.frame.val();
                        self.ar_off.next = unsigned_cast_to::<12, 9>(self.next_vpn.val()) << 3;
                        self.state.d.next = WalkState::Pte;
                        if self.ar_ready.val() {
                            self.ev_pte.next = true;
                            self.globally.d.next =
                                self.globally.q.val() | self.entry.is_global.val();
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
