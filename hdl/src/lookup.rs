//! The hit path: a request is accepted every cycle and answered two cycles later.
//!
//! ```text
//! cycle        0            1                              2
//!         req ──► stage 1: context cache, IOTLB tags ──► stage 2: IOTLB data, address ──► rsp
//!                          and rights                    └─ miss ──► walker, or the miss queue while it is busy
//! ```
//!
//! * **Stage 1** begins with the context that the cache has found while the request came, and asks the IOTLB tags (which are
//!   tagged by context slot).
//! * **Stage 2** answers, or hands the request to the miss path. It judges nothing but "plainly allowed": whatever
//!   else it may be — a permission that the cached leaf lacks, a mode that refuses, an unknown device — the walker
//!   decides from memory. Faults therefore have one source, and a cached leaf can only ever allow (AD-11, MEM-05).
//! * **Miss queue** ([`crate::miss_queue`]): requests that must wait for a walk; they come back for another lookup.
//! * **Fills** ([`crate::iotlb_fill`], [`crate::context_fill`]) come a cycle after the walker has found them.
//! * **Maintenance** (`op`): invalidations and fences take a turn in the pipeline. An invalidation acts on the
//!   caches in stage 1; requests before it have passed, requests behind it see its effect. While one is in the
//!   pipeline `block_fill` keeps the walker from filling, and when it leaves, `mark_stale` tells the walker that the
//!   walk in flight must not fill at all (HW2).
//!
//! The response port goes to stage 2 first: whether it answers is known from registers, while behind the walker's answer lies
//! the judgement of an entry, which must not decide whether the pipeline moves. A walker that has had to wait goes first in
//! the next cycle, so hits cannot starve it. What is offered stays until it is taken.

use crate::answer::Answer;
use crate::canonical::Canonical;
use crate::cells::{ContextTags, IotlbSets, IotlbTags, SyncRam};
use crate::context_fill::ContextFill;
use crate::iotlb_fill::IotlbFill;
use crate::miss_queue::MissQueue;
use crate::types::*;
use crate::widen::unsigned_cast_to;
use rust_hdl::prelude::*;

/// An IOTLB of `N` entries for pages of any size (`I` index bits) and 64 sets of `K` ways for 4 KiB pages (`K` 0 or 4), with
/// `T` bits to address their data; `C` contexts (`S` slot bits), `D` device_id bits, `V` virtual page number bits,
/// `2^Q` queued misses (`Q1` = `Q` + 1).
#[derive(LogicBlock)]
pub struct Lookup<
    const N: usize,
    const I: usize,
    const K: usize,
    const T: usize,
    const C: usize,
    const S: usize,
    const D: usize,
    const V: usize,
    const Q: usize,
    const Q1: usize,
> {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Empties pipeline, queue and caches.
    pub reset: Signal<In, Bit>,
    /// ddtp.iommu_mode: 0 Off, 1 Bare, 2 1LVL, 3 2LVL, 4 3LVL.
    pub mode: Signal<In, Bits<3>>,

    /// Translation port: a request is offered.
    pub req_valid: Signal<In, Bit>,
    /// The request.
    pub req: Signal<In, Req>,
    /// It is taken at the end of this cycle.
    pub req_ready: Signal<Out, Bit>,

    /// A maintenance operation is offered.
    pub op_valid: Signal<In, Bit>,
    /// Which.
    pub op: Signal<In, PipeOp>,
    /// Its operands.
    pub op_arg: Signal<In, Req>,
    /// It is taken at the end of this cycle.
    pub op_ready: Signal<Out, Bit>,
    /// A fence leaves the pipeline.
    pub fence_done: Signal<Out, Bit>,
    /// The walk in flight must not fill.
    pub mark_stale: Signal<Out, Bit>,
    /// Nothing may be filled in this cycle.
    pub block_fill: Signal<Out, Bit>,
    /// Pointers to page tables of these context slots go, beside those of `ctx_fill_slot` with `ctx_fill`.
    pub drop_tables: Signal<Out, Bits<C>>,
    /// Pointers of the device directory go.
    pub drop_directory: Signal<Out, Bit>,

    /// Response port: an answer is offered.
    pub rsp_valid: Signal<Out, Bit>,
    /// It is taken.
    pub rsp_ready: Signal<In, Bit>,
    /// Tag of the request.
    pub rsp_tag: Signal<Out, Bits<6>>,
    /// Refused.
    pub rsp_fault: Signal<Out, Bit>,
    /// Page size: 0 4 KiB, 1 64 KiB, 2 2 MiB, 3 1 GiB, 4 512 GiB, 5 256 TiB.
    pub rsp_size: Signal<Out, Bits<3>>,
    /// Physical address, 0 with a fault.
    pub rsp_spa: Signal<Out, Spa>,

    /// The debug interface offers a request.
    pub debug_valid: Signal<In, Bit>,
    /// The request.
    pub debug_req: Signal<In, Req>,
    /// It is taken at the end of this cycle.
    pub debug_ready: Signal<Out, Bit>,
    /// The answer in `rsp_fault`, `rsp_size` and `rsp_spa` is for the debug interface, which takes it at once.
    pub debug_done: Signal<Out, Bit>,

    /// The walker takes a request (only while `walk_idle`).
    pub walk_start: Signal<Out, Bit>,
    /// It can.
    pub walk_idle: Signal<In, Bit>,
    /// It can take two, and fetches no context.
    pub walk_idle_two: Signal<In, Bit>,
    /// It can take three, and fetches none.
    pub walk_idle_three: Signal<In, Bit>,
    /// `walk_req` must wait for a walk in flight.
    pub walk_busy: Signal<In, Bit>,
    /// The request that has waited longest ...
    pub walk_head: Signal<Out, Req>,
    /// ... must wait for a walk in flight.
    pub walk_head_busy: Signal<In, Bit>,
    /// What is in stage 1, and may miss in the next cycle ...
    pub walk_look: Signal<Out, Req>,
    /// ... with its context, if it was found, in this slot.
    pub walk_look_slot: Signal<Out, Bits<S>>,
    /// The request.
    pub walk_req: Signal<Out, Req>,
    /// ddtp.iommu_mode when it was looked up.
    pub walk_mode: Signal<Out, Bits<3>>,
    /// Its device_id is wider than the directory (DDT-04).
    pub walk_wide: Signal<Out, Bit>,
    /// Its context was found ...
    pub walk_hit: Signal<Out, Bit>,
    /// ... in this slot ...
    pub walk_slot: Signal<Out, Bits<S>>,
    /// ... with this content ...
    pub walk_info: Signal<Out, Context>,
    /// ... and this PSCID.
    pub walk_pscid: Signal<Out, Bits<20>>,
    /// A context has been stored in the cycle of its lookup.
    pub walk_raced: Signal<Out, Bit>,

    /// The walker offers an answer.
    pub res_valid: Signal<In, Bit>,
    /// It is taken.
    pub res_ready: Signal<Out, Bit>,
    /// Refused.
    pub res_fault: Signal<In, Bit>,
    /// SPA = IOVA.
    pub res_identity: Signal<In, Bit>,
    /// The leaf found.
    pub res_leaf: Signal<In, Leaf>,
    /// Its size.
    pub res_size: Signal<In, Bits<3>>,
    /// The request that it answers.
    pub res_req: Signal<In, Req>,

    /// Store a context.
    pub ctx_fill: Signal<In, Bit>,
    /// Where.
    pub ctx_fill_slot: Signal<In, Bits<S>>,
    /// Its PSCID; its device_id is that of `res_req`.
    pub ctx_fill_pscid: Signal<In, Bits<20>>,
    /// Its content.
    pub ctx_fill_info: Signal<In, Context>,
    /// Store `res_leaf` for the page of `res_req`.
    pub tlb_fill: Signal<In, Bit>,
    /// Where, unless it goes into a set.
    pub tlb_fill_index: Signal<In, Bits<I>>,
    /// It is global.
    pub tlb_fill_global: Signal<In, Bit>,
    /// Slot of its context.
    pub tlb_fill_slot: Signal<In, Bits<S>>,

    /// Event: a new request leaves its first lookup ...
    pub ev_request: Signal<Out, Bit>,
    /// ... this one.
    pub ev_req: Signal<Out, Req>,
    /// Event: a new request found its context.
    pub ev_context_hit: Signal<Out, Bit>,
    /// Event: a new request did not find its context.
    pub ev_context_miss: Signal<Out, Bit>,
    /// Event: a new request found its page.
    pub ev_iotlb_hit: Signal<Out, Bit>,
    /// Event: a new request did not find its page.
    pub ev_iotlb_miss: Signal<Out, Bit>,

    contexts: ContextTags<C, S, D>,
    tags: IotlbTags<N, I, C, S, V>,
    sets: IotlbSets<K, C, S, V, 6>,
    data: SyncRam<Leaf, T>,
    misses: MissQueue<Q, Q1>,
    incoming: IotlbFill<I, S>,
    arriving: ContextFill<S>,
    canonical: Canonical,
    answer: Answer,

    // Stage 1
    s1_valid: DFF<Bit>,
    s1_free: DFF<Bit>,
    s1_op: DFF<PipeOp>,
    s1_replay: DFF<Bit>,
    s1: DFF<Req>,
    s1_maint: Signal<Local, Bit>,
    s1_flags: Signal<Local, Bits<6>>,
    s1_directory: Signal<Local, Bit>,
    s1_wide: Signal<Local, Bit>,
    s1_untranslated: Signal<Local, Bit>,
    s1_bare: Signal<Local, Bit>,
    s1_found: Signal<Local, Bit>,
    s1_usable: Signal<Local, Bit>,
    s1_canonical: Signal<Local, Bit>,
    s1_stays: Signal<Local, Bit>,
    s1_index: Signal<Local, Bits<T>>,
    s1_large_overwritten: Signal<Local, Bit>,
    s1_place: Signal<Local, Bits<8>>,
    s1_vpn0: Signal<Local, Bits<9>>,
    s1_set: Signal<Local, Bits<6>>,

    // Stage 2
    s2_valid: DFF<Bit>,
    s2_op: DFF<PipeOp>,
    s2_replay: DFF<Bit>,
    s2: DFF<Req>,
    s2_mode: DFF<Bits<3>>,
    s2_wide: DFF<Bit>,
    s2_plain: DFF<Bit>,
    s2_pages: DFF<Bit>,
    s2_hit: DFF<Bit>,
    s2_large_allows: DFF<Bit>,
    s2_set_allows: DFF<Bit>,
    s2_found_page: Signal<Local, Bit>,
    s2_allows: Signal<Local, Bit>,
    s2_raced: DFF<Bit>,
    s2_moved: DFF<Bit>,
    s2_pscid: DFF<Bits<20>>,
    s2_found: DFF<Bit>,
    s2_slot: DFF<Bits<S>>,
    s2_info: DFF<Context>,
    s2_index: DFF<Bits<T>>,
    s2_in_set: DFF<Bit>,
    s2_size: DFF<Bits<3>>,
    s2_vpn0: Signal<Local, Bits<9>>,
    fill_vpn0: Signal<Local, Bits<9>>,
    s2_translate: Signal<Local, Bit>,
    s2_maint: Signal<Local, Bit>,
    s2_allowed: Signal<Local, Bit>,
    s2_answers: Signal<Local, Bit>,
    s2_misses: Signal<Local, Bit>,
    s2_counts: Signal<Local, Bit>,

    // Acceptance
    owed: DFF<Bit>,
    from_walker: Signal<Local, Bit>,
    offers: Signal<Local, Bit>,
    advance: Signal<Local, Bit>,
    take: Signal<Local, Bit>,
    room: Signal<Local, Bit>,
    op_enters: Signal<Local, Bit>,
    enters: Signal<Local, Req>,
    enters_vpn0: Signal<Local, Bits<9>>,
    enters_free: Signal<Local, Bit>,

    // Fills
    fill_in_set: Signal<Local, Bit>,
    fill_index: Signal<Local, Bits<T>>,
    fill_place: Signal<Local, Bits<8>>,
    fill_set: Signal<Local, Bits<6>>,

    // Answer
    out_leaf: Signal<Local, Leaf>,
    out_size: Signal<Local, Bits<3>>,
    out_identity: Signal<Local, Bit>,
    out_req: Signal<Local, Req>,
    out_fault: Signal<Local, Bit>,

    all_slots: Constant<Bits<C>>,
    has_sets: Constant<Bit>,
    first_large: Constant<Bits<T>>,
    one_level_mask: Constant<Bits<24>>,
    two_levels_mask: Constant<Bits<24>>,
}

impl<
    const N: usize,
    const I: usize,
    const K: usize,
    const T: usize,
    const C: usize,
    const S: usize,
    const D: usize,
    const V: usize,
    const Q: usize,
    const Q1: usize,
> Default for Lookup<N, I, K, T, C, S, D, V, Q, Q1>
{
    fn default() -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            mode: Default::default(),
            req_valid: Default::default(),
            req: Default::default(),
            req_ready: Default::default(),
            op_valid: Default::default(),
            op: Default::default(),
            op_arg: Default::default(),
            op_ready: Default::default(),
            fence_done: Default::default(),
            mark_stale: Default::default(),
            block_fill: Default::default(),
            drop_tables: Default::default(),
            drop_directory: Default::default(),
            rsp_valid: Default::default(),
            rsp_ready: Default::default(),
            rsp_tag: Default::default(),
            rsp_fault: Default::default(),
            rsp_size: Default::default(),
            rsp_spa: Default::default(),
            debug_valid: Default::default(),
            debug_req: Default::default(),
            debug_ready: Default::default(),
            debug_done: Default::default(),
            walk_start: Default::default(),
            walk_idle: Default::default(),
            walk_idle_two: Default::default(),
            walk_idle_three: Default::default(),
            walk_busy: Default::default(),
            walk_head: Default::default(),
            walk_head_busy: Default::default(),
            walk_look: Default::default(),
            walk_look_slot: Default::default(),
            walk_req: Default::default(),
            walk_mode: Default::default(),
            walk_wide: Default::default(),
            walk_hit: Default::default(),
            walk_slot: Default::default(),
            walk_info: Default::default(),
            walk_pscid: Default::default(),
            walk_raced: Default::default(),
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
            ev_request: Default::default(),
            ev_req: Default::default(),
            ev_context_hit: Default::default(),
            ev_context_miss: Default::default(),
            ev_iotlb_hit: Default::default(),
            ev_iotlb_miss: Default::default(),
            contexts: Default::default(),
            tags: Default::default(),
            sets: Default::default(),
            data: Default::default(),
            misses: Default::default(),
            incoming: Default::default(),
            arriving: Default::default(),
            canonical: Default::default(),
            answer: Default::default(),
            s1_valid: Default::default(),
            s1_free: Default::default(),
            s1_op: Default::default(),
            s1_replay: Default::default(),
            s1: Default::default(),
            s1_maint: Default::default(),
            s1_flags: Default::default(),
            s1_directory: Default::default(),
            s1_wide: Default::default(),
            s1_untranslated: Default::default(),
            s1_bare: Default::default(),
            s1_found: Default::default(),
            s1_usable: Default::default(),
            s1_canonical: Default::default(),
            s1_stays: Default::default(),
            s1_index: Default::default(),
            s1_large_overwritten: Default::default(),
            s1_place: Default::default(),
            s1_vpn0: Default::default(),
            s1_set: Default::default(),
            s2_valid: Default::default(),
            s2_op: Default::default(),
            s2_replay: Default::default(),
            s2: Default::default(),
            s2_mode: Default::default(),
            s2_wide: Default::default(),
            s2_plain: Default::default(),
            s2_pages: Default::default(),
            s2_hit: Default::default(),
            s2_large_allows: Default::default(),
            s2_set_allows: Default::default(),
            s2_found_page: Default::default(),
            s2_allows: Default::default(),
            s2_raced: Default::default(),
            s2_moved: Default::default(),
            s2_pscid: Default::default(),
            s2_found: Default::default(),
            s2_slot: Default::default(),
            s2_info: Default::default(),
            s2_index: Default::default(),
            s2_in_set: Default::default(),
            s2_size: Default::default(),
            s2_vpn0: Default::default(),
            fill_vpn0: Default::default(),
            s2_translate: Default::default(),
            s2_maint: Default::default(),
            s2_allowed: Default::default(),
            s2_answers: Default::default(),
            s2_misses: Default::default(),
            s2_counts: Default::default(),
            owed: Default::default(),
            from_walker: Default::default(),
            offers: Default::default(),
            advance: Default::default(),
            take: Default::default(),
            room: Default::default(),
            op_enters: Default::default(),
            enters: Default::default(),
            enters_vpn0: Default::default(),
            enters_free: Default::default(),
            fill_in_set: Default::default(),
            fill_index: Default::default(),
            fill_place: Default::default(),
            fill_set: Default::default(),
            out_leaf: Default::default(),
            out_size: Default::default(),
            out_identity: Default::default(),
            out_req: Default::default(),
            out_fault: Default::default(),
            all_slots: Constant::new(((1u64 << C) - 1).into()),
            // DDT-02, DDT-04: a base-format directory has 7, 16 or 24 device_id bits.
            has_sets: Constant::new(K > 0),
            // The sets have the first 256 words, if there are any.
            first_large: Constant::new((if K > 0 { 256u64 } else { 0 }).into()),
            one_level_mask: Constant::new(0xff_ff80u64.into()),
            two_levels_mask: Constant::new(0xff_0000u64.into()),
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
    const D: usize,
    const V: usize,
    const Q: usize,
    const Q1: usize,
> Logic for Lookup<N, I, K, T, C, S, D, V, Q, Q1>
{
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            s1_valid,
            s1_free,
            s1_op,
            s1_replay,
            s1,
            s2_valid,
            s2_op,
            s2_replay,
            s2,
            s2_mode,
            s2_wide,
            s2_plain,
            s2_pages,
            s2_hit,
            s2_large_allows,
            s2_set_allows,
            s2_raced,
            s2_moved,
            s2_pscid,
            s2_found,
            s2_slot,
            s2_info,
            s2_index,
            s2_in_set,
            s2_size,
            owed
        );
        clock!(
            self, clock, contexts, tags, sets, data, misses, incoming, arriving
        );
        self.contexts.reset.next = self.reset.val();
        self.tags.reset.next = self.reset.val();
        self.sets.reset.next = self.reset.val();
        self.misses.reset.next = self.reset.val();
        self.incoming.reset.next = self.reset.val();
        self.arriving.reset.next = self.reset.val();

        // Stage 1: what the caches know of the request.
        self.s1_directory.next = self.mode.val() > 1;
        self.s1_wide.next = false;
        if self.mode.val() == 2 {
            self.s1_wide.next = (self.s1.q.val().did & self.one_level_mask.val()) != 0;
        }
        if self.mode.val() == 3 {
            self.s1_wide.next = (self.s1.q.val().did & self.two_levels_mask.val()) != 0;
        }
        self.canonical.req.next = self.s1.q.val();
        self.s1_canonical.next = self.canonical.sv39.val();
        if self.contexts.info.val().extra == 1 {
            self.s1_canonical.next = self.canonical.sv48.val();
        }
        if self.contexts.info.val().extra == 2 {
            self.s1_canonical.next = self.canonical.sv57.val();
        }
        self.s1_untranslated.next = self.s1.q.val().kind == 0;
        self.s1_bare.next = self.mode.val() == 1;
        self.contexts.did.next = self.s1.q.val().did;
        self.tags.vpn4.next = self.s1.q.val().vpn4;
        self.tags.vpn3.next = self.s1.q.val().vpn3;
        self.tags.vpn2.next = self.s1.q.val().vpn2;
        self.tags.vpn1.next = self.s1.q.val().vpn1;
        self.tags.vpn0.next = self.s1.q.val().vpn0;
        self.s1_vpn0.next = self.s1.q.val().vpn0;
        self.fill_vpn0.next = self.incoming.req.val().vpn0;
        self.tags.access.next = self.s1.q.val().access;
        self.tags.slots.next = self.contexts.slots.val();
        self.tags.inval_slots.next = self.contexts.same_pscid.val();
        self.sets.inval_slots.next = self.contexts.same_pscid.val();
        self.sets.access.next = self.s1.q.val().access;
        self.sets.ask.next = self.s1_valid.q.val() & (self.s1_op.q.val() == PipeOp::Translate);
        self.sets.vpn4.next = self.s1.q.val().vpn4;
        self.sets.vpn3.next = self.s1.q.val().vpn3;
        self.sets.vpn2.next = self.s1.q.val().vpn2;
        self.sets.vpn1.next = self.s1.q.val().vpn1;
        self.sets.vpn0.next = self.s1.q.val().vpn0;
        self.sets.slots.next = self.contexts.slots.val();
        self.s1_found.next =
            self.s1_directory.val() & self.contexts.hit.val() & !self.s1_wide.val();
        // TRN-06, TRN-07: no context here has EN_ATS, so only untranslated requests are usable.
        self.s1_usable.next = self.s1_found.val()
            & self.s1_untranslated.val()
            & (!self.s1.q.val().pv | self.contexts.info.val().pdtv);

        // Maintenance acts on the caches while it is in stage 1, as often as it stays there; a range stays until the one
        // before has left all sets.
        self.s1_maint.next = self.s1_valid.q.val() & (self.s1_op.q.val() != PipeOp::Translate);
        self.contexts.kill.next = false;
        self.contexts.kill_all.next = false;
        self.tags.inval.next = false;
        self.tags.inval_av.next = self.s1.q.val().kind == 1;
        self.tags.inval_coarse.next = self.s1.q.val().access;
        self.tags.inval_pv.next = self.s1.q.val().pv;
        self.sets.inval.next = false;
        self.sets.inval_av.next = self.s1.q.val().kind == 1;
        self.sets.inval_range.next = self.s1.q.val().access != 0;
        self.sets.inval_pv.next = self.s1.q.val().pv;
        // What is known of page tables goes with its context. DIR-10: directory pointers go with DV=0 only.
        self.s1_flags.next = self.s1.q.val().tag;
        self.drop_tables.next = self.contexts.gone.val();
        self.drop_directory.next = false;
        if self.s1_valid.q.val() {
            match self.s1_op.q.val() {
                PipeOp::InvalDdt => {
                    self.contexts.kill.next = self.s1.q.val().sup;
                    self.contexts.kill_all.next = !self.s1.q.val().sup;
                    self.drop_directory.next = !self.s1.q.val().sup;
                }
                PipeOp::InvalVma => {
                    self.tags.inval.next = true;
                    self.sets.inval.next = true;
                    // INV-20, INV-24: pointers go without AV, or with NL; wherever they lead (INV-16).
                    if (self.s1.q.val().kind != 1) | self.s1_flags.val().get_bit(0) {
                        self.drop_tables.next = self.all_slots.val();
                        if self.s1.q.val().pv {
                            self.drop_tables.next =
                                self.contexts.gone.val() | self.contexts.same_pscid.val();
                        }
                    }
                }
                _ => {}
            }
        }

        // Where a page goes.
        self.incoming.found.next = self.tlb_fill.val();
        self.incoming.found_req.next = self.res_req.val();
        self.incoming.found_leaf.next = self.res_leaf.val();
        self.incoming.found_size.next = self.res_size.val();
        self.incoming.found_index.next = self.tlb_fill_index.val();
        self.incoming.found_global.next = self.tlb_fill_global.val();
        self.incoming.found_slot.next = self.tlb_fill_slot.val();
        self.incoming.maintenance.next = self.s1_maint.val();
        self.incoming.ask_vpn0.next = self.s1_vpn0.val();
        self.fill_in_set.next = self.has_sets.val() & (self.incoming.size.val() == 0);
        self.fill_set.next = self.fill_vpn0.val().get_bits::<6>(0);
        self.fill_place.next = (unsigned_cast_to::<8, 2>(self.sets.fill_way.val()) << 6)
            | unsigned_cast_to::<8, 6>(self.fill_set.val());
        self.fill_index.next =
            self.first_large.val() | unsigned_cast_to::<T, I>(self.incoming.index.val());
        if self.fill_in_set.val() {
            self.fill_index.next = unsigned_cast_to::<T, 8>(self.fill_place.val());
        }

        // Where a page was found: in its set, or among the pages of any size.
        self.s1_stays.next = self.sets.stays.val();
        self.s1_set.next = self.s1_vpn0.val().get_bits::<6>(0);
        self.s1_place.next = (unsigned_cast_to::<8, 2>(self.sets.way.val()) << 6)
            | unsigned_cast_to::<8, 6>(self.s1_set.val());
        // A page of any size goes before, as it is known earlier (SW-16: both may be there, and either may answer).
        self.s1_index.next =
            self.first_large.val() | unsigned_cast_to::<T, I>(self.tags.index.val());
        if self.has_sets.val() & !self.tags.hit.val() {
            self.s1_index.next = unsigned_cast_to::<T, 8>(self.s1_place.val());
        }
        self.s1_large_overwritten.next = self.incoming.fill.val()
            & !self.fill_in_set.val()
            & (self.tags.index.val() == self.incoming.index.val());

        // Stage 2: allowed, or a miss.
        self.s2_translate.next = self.s2_valid.q.val() & (self.s2_op.q.val() == PipeOp::Translate);
        self.s2_maint.next = self.s2_valid.q.val() & (self.s2_op.q.val() != PipeOp::Translate);
        self.s2_found_page.next = self.s2_pages.q.val() & self.s2_hit.q.val();
        self.s2_allows.next =
            self.s2_pages.q.val() & (self.s2_large_allows.q.val() | self.s2_set_allows.q.val());
        self.s2_allowed.next = self.s2_plain.q.val() | self.s2_allows.val();
        self.s2_answers.next = self.s2_translate.val() & self.s2_allowed.val();
        self.s2_misses.next = self.s2_translate.val() & !self.s2_allowed.val();
        self.s2_vpn0.next = self.s2.q.val().vpn0;
        self.misses.miss.next = self.s2_misses.val();
        self.misses.miss_req.next = self.s2.q.val();
        self.misses.miss_replayed.next = self.s2_replay.q.val();
        self.misses.miss_raced.next = self.s2_raced.q.val();
        // The walker takes the root from ddtp when it starts: it must be the one that came with the mode looked up.
        self.misses.walk_idle.next =
            self.walk_idle.val() & (self.s2_mode.q.val() == self.mode.val());
        self.misses.walk_busy.next = self.walk_busy.val();
        self.misses.head_busy.next = self.walk_head_busy.val();
        self.walk_head.next = self.misses.replay_req.val();
        self.misses.s1_valid.next = self.s1_valid.q.val();
        self.misses.s2_valid.next = self.s2_valid.q.val();
        self.misses.s1_replay.next = self.s1_replay.q.val();
        self.misses.s2_replay.next = self.s2_replay.q.val();
        self.misses.s1_vpn0.next = self.s1_vpn0.val();
        self.misses.s2_vpn0.next = self.s2_vpn0.val();
        // Without one it fetches a context, or is refused; with one it does neither of the two.
        self.misses.s1_known.next = self.contexts.hit.val();
        self.misses.s2_known.next = self.s2_found.q.val();
        self.misses.walk_idle_two.next = self.walk_idle_two.val();
        self.misses.walk_idle_three.next = self.walk_idle_three.val();
        self.walk_start.next = self.misses.start.val();
        self.walk_look.next = self.s1.q.val();
        self.walk_look_slot.next = self.contexts.slot.val();
        self.walk_req.next = self.s2.q.val();
        self.walk_mode.next = self.s2_mode.q.val();
        self.walk_wide.next = self.s2_wide.q.val();
        self.walk_hit.next = self.s2_found.q.val();
        self.walk_slot.next = self.s2_slot.q.val();
        self.walk_info.next = self.s2_info.q.val();
        self.walk_pscid.next = self.s2_pscid.q.val();
        self.walk_raced.next = self.s2_moved.q.val();
        self.tags.kill.next =
            self.s2_misses.val() & self.s2_found_page.val() & !self.s2_in_set.q.val();
        self.tags.kill_index.next = self.s2_index.q.val().get_bits::<I>(0);
        self.sets.kill.next =
            self.s2_misses.val() & self.s2_found_page.val() & self.s2_in_set.q.val();
        self.sets.kill_set.next = self.s2_vpn0.val().get_bits::<6>(0);
        self.sets.kill_way.next = self.s2_index.q.val().get_bits::<2>(6);
        self.sets.choose.next = self.s2_misses.val();
        self.sets.choose_way.next = self.sets.victim.val();
        self.fence_done.next = self.s2_valid.q.val() & (self.s2_op.q.val() == PipeOp::Fence);
        self.mark_stale.next = self.s2_maint.val();
        self.block_fill.next = self.s1_maint.val() | self.s2_maint.val();

        // The pipeline moves unless stage 2 has an answer that is not taken. Stage 2 goes first, for it knows early in the
        // cycle that it has one; a walker that has had to wait goes first in the next cycle. What is offered stays.
        self.from_walker.next = self.owed.q.val() | !self.s2_answers.val();
        self.res_ready.next =
            self.from_walker.val() & (self.rsp_ready.val() | self.res_req.val().debug);
        self.advance.next = !self.s2_answers.val()
            | (!self.owed.q.val() & (self.rsp_ready.val() | self.s2.q.val().debug));
        self.owed.d.next =
            self.res_valid.val() & !self.res_ready.val() & (self.owed.q.val() | self.advance.val());

        // Stage 1 can stay while stage 2 moves.
        self.take.next = self.advance.val() & !self.s1_stays.val();
        self.sets.inval_leaves.next = self.take.val();

        // Acceptance: maintenance, then the oldest queued miss, the debug interface, the port.
        // Which of them it is is known late: the context cache compares for the port (or the debug interface) and for the
        // others before that.
        self.contexts.ask.next = self.take.val();
        self.contexts.ask_op.next = self.op_valid.val();
        self.contexts.ask_again.next = self.misses.replay.val();
        self.contexts.ask_did.next = self.req.val().did;
        if self.debug_valid.val() {
            self.contexts.ask_did.next = self.debug_req.val().did;
        }
        self.contexts.again_did.next = self.misses.replay_req.val().did;
        self.contexts.op_did.next = self.op_arg.val().did;
        self.contexts.op_pscid.next = self.op_arg.val().pid;
        self.op_enters.next = self.take.val() & !self.arriving.waits.val();
        self.op_ready.next = self.op_enters.val();
        self.room.next = self.take.val()
            & !self.op_valid.val()
            & !self.misses.replay.val()
            & self.misses.credit.val()
            & !self.sets.pause.val();
        self.debug_ready.next = self.room.val();
        self.req_ready.next = self.room.val() & !self.debug_valid.val();
        self.misses.replay_taken.next = false;
        self.enters_free.next = self.s1_free.q.val();
        self.enters.next = self.s1.q.val();
        if self.take.val() {
            self.s1_valid.d.next = false;
            self.enters_free.next = true;
            self.s1_replay.d.next = false;
            self.s1_op.d.next = PipeOp::Translate;
            self.enters.next = self.req.val();
            if self.op_valid.val() {
                self.s1_valid.d.next = self.op_enters.val();
                self.s1_op.d.next = self.op.val();
                self.enters.next = self.op_arg.val();
                // A range that stays in stage 1 waits for the one before it, which needs the sets.
                self.enters_free.next =
                    (self.op.val() != PipeOp::InvalVma) | (self.op_arg.val().access != 0);
            } else if self.misses.replay.val() {
                self.s1_valid.d.next = true;
                self.s1_replay.d.next = true;
                self.enters_free.next = false;
                self.enters.next = self.misses.replay_req.val();
                self.misses.replay_taken.next = true;
            } else if self.debug_valid.val() {
                self.enters.next = self.debug_req.val();
                if self.room.val() {
                    self.s1_valid.d.next = true;
                    self.enters_free.next = false;
                }
            } else if self.req_valid.val() & self.room.val() {
                self.s1_valid.d.next = true;
                self.enters_free.next = false;
            }
        }
        self.s1.d.next = self.enters.val();
        self.s1_free.d.next = self.enters_free.val();
        self.enters_vpn0.next = self.enters.val().vpn0;
        self.sets.next_free.next = self.enters_free.val();
        self.sets.next_set.next = self.enters_vpn0.val().get_bits::<6>(0);
        if self.advance.val() {
            // A range that stays passes here again and again, which blocks fills, no more.
            self.s2_valid.d.next = self.s1_valid.q.val();
            self.s2_op.d.next = self.s1_op.q.val();
            self.s2_replay.d.next = self.s1_replay.q.val();
            self.s2.d.next = self.s1.q.val();
            self.s2_mode.d.next = self.mode.val();
            self.s2_wide.d.next = self.s1_wide.val();
            self.s2_plain.d.next = (self.s1_bare.val() & self.s1_untranslated.val())
                | (self.s1_usable.val() & !self.contexts.info.val().paged);
            // What the context and the caches say meets in stage 2. A word that is being overwritten cannot be read: then it is
            // a miss, and looks up again.
            self.s2_pages.d.next =
                self.s1_usable.val() & self.contexts.info.val().paged & self.s1_canonical.val();
            self.s2_hit.d.next = (self.tags.hit.val() & !self.s1_large_overwritten.val())
                | (self.sets.hit.val() & !self.sets.overwritten.val() & !self.tags.hit.val());
            self.s2_raced.d.next = self.arriving.raced.val() | self.incoming.raced.val();
            self.s2_moved.d.next = self.arriving.raced.val();
            self.s2_pscid.d.next = self.contexts.held_pscid.val();
            self.s2_found.d.next = self.s1_found.val();
            self.s2_slot.d.next = self.contexts.slot.val();
            self.s2_info.d.next = self.contexts.info.val();
            self.s2_index.d.next = self.s1_index.val();
            // The rights lie beside the tags: the word itself comes late in stage 2, before which a miss must start.
            self.s2_large_allows.d.next =
                self.tags.permitted.val() & !self.s1_large_overwritten.val();
            self.s2_set_allows.d.next = self.sets.permitted.val()
                & self.sets.hit.val()
                & !self.sets.overwritten.val()
                & !self.tags.hit.val();
            self.s2_in_set.d.next = self.has_sets.val() & !self.tags.hit.val();
            self.s2_size.d.next = self.tags.size.val();
        }
        self.data.re.next = self.advance.val();
        self.data.ra.next = self.s1_index.val();

        // Fills.
        self.tags.fill_rights.next = self.incoming.rights.val();
        self.sets.fill_rights.next = self.incoming.rights.val();
        self.arriving.found.next = self.ctx_fill.val();
        self.arriving.found_slot.next = self.ctx_fill_slot.val();
        self.arriving.found_did.next = self.res_req.val().did;
        self.arriving.found_pscid.next = self.ctx_fill_pscid.val();
        self.arriving.found_info.next = self.ctx_fill_info.val();
        self.arriving.maintenance.next = self.s1_maint.val();
        self.contexts.fill.next = self.arriving.fill.val();
        self.contexts.fill_slot.next = self.arriving.slot.val();
        self.contexts.fill_did.next = self.arriving.did.val();
        self.contexts.fill_pscid.next = self.arriving.pscid.val();
        self.contexts.fill_info.next = self.arriving.info.val();
        self.tags.flush.next = self.contexts.gone.val();
        self.tags.renew.next = self.arriving.fill.val();
        self.tags.renew_slot.next = self.arriving.slot.val();
        self.tags.fill.next = self.incoming.fill.val() & !self.fill_in_set.val();
        self.tags.fill_index.next = self.incoming.index.val();
        self.tags.fill_vpn4.next = self.incoming.req.val().vpn4;
        self.tags.fill_vpn3.next = self.incoming.req.val().vpn3;
        self.tags.fill_vpn2.next = self.incoming.req.val().vpn2;
        self.tags.fill_vpn1.next = self.incoming.req.val().vpn1;
        self.tags.fill_vpn0.next = self.incoming.req.val().vpn0;
        self.tags.fill_size.next = self.incoming.size.val();
        self.tags.fill_global.next = self.incoming.is_global.val();
        self.tags.fill_slot.next = self.incoming.slot.val();
        self.sets.flush.next = self.contexts.gone.val();
        self.sets.renew.next = self.arriving.fill.val();
        self.sets.renew_slot.next = self.arriving.slot.val();
        self.sets.fill.next = self.incoming.fill.val() & self.fill_in_set.val();
        self.sets.fill_vpn4.next = self.incoming.req.val().vpn4;
        self.sets.fill_vpn3.next = self.incoming.req.val().vpn3;
        self.sets.fill_vpn2.next = self.incoming.req.val().vpn2;
        self.sets.fill_vpn1.next = self.incoming.req.val().vpn1;
        self.sets.fill_vpn0.next = self.incoming.req.val().vpn0;
        self.sets.fill_global.next = self.incoming.is_global.val();
        self.sets.fill_slot.next = self.incoming.slot.val();
        self.data.we.next = self.incoming.fill.val();
        self.data.wa.next = self.fill_index.val();
        self.data.wd.next = self.incoming.leaf.val();

        // The answer.
        self.out_leaf.next = self.data.rd.val();
        self.out_size.next = self.s2_size.q.val();
        self.out_identity.next = self.s2_plain.q.val();
        self.out_req.next = self.s2.q.val();
        self.out_fault.next = false;
        if self.from_walker.val() {
            self.out_leaf.next = self.res_leaf.val();
            self.out_size.next = self.res_size.val();
            self.out_identity.next = self.res_identity.val();
            self.out_req.next = self.res_req.val();
            self.out_fault.next = self.res_fault.val();
        }
        self.answer.req.next = self.out_req.val();
        self.answer.leaf.next = self.out_leaf.val();
        self.answer.leaf_size.next = self.out_size.val();
        self.answer.identity.next = self.out_identity.val();
        self.answer.fault.next = self.out_fault.val();
        self.rsp_spa.next = self.answer.spa.val();
        self.rsp_size.next = self.answer.size.val();
        self.offers.next = !self.from_walker.val() | self.res_valid.val();
        self.debug_done.next = self.offers.val() & self.out_req.val().debug;
        self.rsp_valid.next = self.offers.val() & !self.out_req.val().debug;
        self.rsp_tag.next = self.out_req.val().tag;
        self.rsp_fault.next = self.out_fault.val();

        // Events count each request once, when its first lookup leaves.
        self.s2_counts.next = self.s2_translate.val()
            & self.advance.val()
            & !self.s2_replay.q.val()
            & (self.s2_mode.q.val() > 1)
            & !self.s2_wide.q.val();
        self.ev_request.next =
            self.s2_translate.val() & self.advance.val() & !self.s2_replay.q.val();
        self.ev_req.next = self.s2.q.val();
        self.ev_context_hit.next = self.s2_counts.val() & self.s2_found.q.val();
        self.ev_context_miss.next = self.s2_counts.val() & !self.s2_found.q.val();
        self.ev_iotlb_hit.next = self.s2_counts.val() & self.s2_allows.val();
        self.ev_iotlb_miss.next = self.s2_counts.val() & !self.s2_allowed.val();

        if self.reset.val() {
            self.s1_valid.d.next = false;
            self.s1_replay.d.next = false;
            self.s2_valid.d.next = false;
            self.s2_replay.d.next = false;
            self.owed.d.next = false;
        }
    }
}
