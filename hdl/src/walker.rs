//! The walker: decides every request that the hit path could not plainly allow, from memory.
//!
//! It reads the device context (one burst of four doublewords, `tc` first: HW4), checks it, walks the page table of
//! the first stage, answers, and fills the caches. Every fault of the design is found and recorded here, in the order
//! of FLT-01.
//!
//! Non-leaf entries that a walk has found good are kept ([`Pointers`]). The next walk on the same way begins there: a
//! 4 KiB page in a region that is known costs one read, and is answered L+2 cycles after `start`. What was found there
//! is judged as ever; only good pointers are kept. The request's lookup asks these caches (`start`), so an invalidation
//! that has passed the pipeline is not missed.
//!
//! Up to `W` walks are in flight, each waiting for a read of its own; a walk is its slot's words in small memories.
//! There is one set of logic, which serves one walk in a cycle: the memory port brings one doubleword a cycle, so
//! more would have nothing to do. [`WalkSlots`] says whose turn it is.
//!
//! ```text
//! cycle   0      1             L+1             L+2           (L cycles from read request to first data)
//!         start  read          data, judged    next read in this very cycle, or the answer
//! ```
//!
//! A level costs L+1 cycles; a 4 KiB page with its context known is answered 3L+4 cycles after `start`, a cold one
//! 4L+8 after it. While the logic offers a read or an answer that is not taken it serves no other walk.
//!
//! Invalidation: `mark_stale` says that a maintenance operation has passed since these walks began to read. They
//! still answer (that is what the fence behind the invalidation waits for, through `stale`), but fill nothing. They
//! are not restarted, so a stream of invalidations cannot keep a request from its answer. The same holds for walks
//! whose context loses its slot in the context cache: what they find can no longer be tagged.
//!
//! Faults of one device are recorded in the order in which its walks began. The record of a fault that a page-table entry
//! shows is handed over as it is judged, a cycle before the answer, if it is this walk's turn and the queue has room.

use crate::causes::Causes;
use crate::cells::{SlotMem, WalkSlots};
use crate::context_reader::ContextReader;
use crate::entry_check::EntryCheck;
use crate::entry_fields::EntryFields;
use crate::pointers::Pointers;
use crate::record_of::RecordOf;
use crate::types::*;
use crate::walk_start::WalkStart;
use crate::widen::unsigned_cast_to;
use portcullis_regmap::config::Config;
use rust_hdl::prelude::*;

/// What a walk does when it is served again.
#[derive(LogicState, Debug, Copy, Clone, PartialEq)]
pub enum WalkStep {
    /// Judges its context, and begins with the page table.
    Dc,
    /// Judges a non-leaf directory entry and asks for the next level.
    Ddt,
    /// Judges a page-table entry: next level, answer or fault.
    Pte,
    /// Answers with a fault and hands over its record.
    Fault,
}

/// `W` walks, whose slots have `B` bits; `I` IOTLB index bits, `C` contexts (`S` slot bits), `P` = `2^PA` pointers to
/// tables of leaves.
#[derive(LogicBlock)]
pub struct Walker<
    const W: usize,
    const B: usize,
    const I: usize,
    const C: usize,
    const S: usize,
    const P: usize,
    const PA: usize,
> {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Forgets all walks.
    pub reset: Signal<In, Bit>,
    /// ddtp.PPN.
    pub ddt_root: Signal<In, Bits<28>>,

    /// Take a request; only while `idle`.
    pub start: Signal<In, Bit>,
    /// One can be taken ...
    pub idle: Signal<Out, Bit>,
    /// ... two, and no context is being fetched ...
    pub idle_two: Signal<Out, Bit>,
    /// ... three, likewise.
    pub idle_three: Signal<Out, Bit>,
    /// The request.
    pub req: Signal<In, Req>,
    /// A request that may be `req` in the next cycle ...
    pub look: Signal<In, Req>,
    /// ... whose context, if it is known, is in this slot.
    pub look_slot: Signal<In, Bits<S>>,
    /// It must wait for a walk in flight: of the same page, or that fetches the context of the same device.
    pub req_busy: Signal<Out, Bit>,
    /// A request that waits.
    pub head: Signal<In, Req>,
    /// See `req_busy`.
    pub head_busy: Signal<Out, Bit>,
    /// ddtp.iommu_mode at its lookup: 0 Off, 1 Bare, 2 1LVL, 3 2LVL, 4 3LVL.
    pub mode: Signal<In, Bits<3>>,
    /// The device_id is too wide.
    pub wide: Signal<In, Bit>,
    /// The context is known ...
    pub found: Signal<In, Bit>,
    /// ... in this slot ...
    pub slot: Signal<In, Bits<S>>,
    /// ... with this PSCID ...
    pub pscid: Signal<In, Bits<20>>,
    /// ... as this.
    pub info: Signal<In, Context>,
    /// The caches may have changed since its lookup.
    pub raced: Signal<In, Bit>,

    /// The leaf entry of `req` is known, if its context is: ...
    pub line_hit: Signal<In, Bit>,
    /// ... this one ...
    pub line_word: Signal<In, Bits<64>>,
    /// ... a good leaf ...
    pub line_leaf: Signal<In, Bit>,
    /// ... to which a global pointer leads.
    pub line_global: Signal<In, Bit>,
    /// Or memory brings it in this cycle, in `r_data` ...
    pub line_arrives: Signal<In, Bit>,
    /// ... or will bring it.
    pub line_comes: Signal<In, Bit>,
    /// A walk starts whose context is known, and which waits for its entry if that will come.
    pub line_asks: Signal<Out, Bit>,
    /// The walk that starts begins with it ...
    pub line_used: Signal<Out, Bit>,
    /// ... in this slot.
    pub line_walk: Signal<Out, Bits<B>>,
    /// Memory brings, in `r_data`, what a walk waits for that began with it ...
    pub line_brings: Signal<In, Bit>,
    /// ... in this slot.
    pub line_brings_walk: Signal<In, Bits<B>>,
    /// A leaf entry is read, from page `ar_frame`, for `res_req` with its context in `tlb_fill_slot` ...
    pub near: Signal<Out, Bit>,
    /// ... to which a global pointer leads ...
    pub near_global: Signal<Out, Bit>,
    /// ... although it was known, but did not allow the request.
    pub near_again: Signal<Out, Bit>,

    /// A maintenance operation leaves the pipeline.
    pub mark_stale: Signal<In, Bit>,
    /// One is in the pipeline.
    pub block_fill: Signal<In, Bit>,
    /// Pointers to page tables of these context slots go.
    pub drop_tables: Signal<In, Bits<C>>,
    /// Pointers of the device directory go.
    pub drop_directory: Signal<In, Bit>,
    /// A walk in flight began before a maintenance operation that has left the pipeline.
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
    /// For the walk in this slot.
    pub ar_slot: Signal<Out, Bits<B>>,
    /// Read data for a walk ...
    pub r_valid: Signal<In, Bit>,
    /// ... in this slot.
    pub r_slot: Signal<In, Bits<B>>,
    /// The doubleword.
    pub r_data: Signal<In, Bits<64>>,
    /// Its status.
    pub r_status: Signal<In, Bits<2>>,
    /// The last of the burst.
    pub r_last: Signal<In, Bit>,
    /// The doubleword is a good leaf entry, if it is for a line (it may not be for a walk, then).
    pub r_leaf: Signal<Out, Bit>,

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

    /// A record is handed over.
    pub record_valid: Signal<Out, Bit>,
    /// One may be, with an answer: the queue is kept for it.
    pub record_turn: Signal<Out, Bit>,
    /// The fault queue has room for it (or drops it).
    pub record_ready: Signal<In, Bit>,
    /// ... and nobody else has one.
    pub record_free: Signal<In, Bit>,
    /// The record.
    pub record: Signal<Out, Record>,

    /// Event: a directory entry is asked for.
    pub ev_ddt: Signal<Out, Bit>,
    /// Event: a page-table entry is asked for.
    pub ev_pte: Signal<Out, Bit>,
    /// Event: a page-table walk begins.
    pub ev_miss: Signal<Out, Bit>,
    /// PSCID of the walk that an event is about; its request is `res_req`.
    pub ev_pscid: Signal<Out, Bits<20>>,

    slots: WalkSlots<W, B, S>,
    reader: ContextReader<W, B>,
    pointers: Pointers<C, S, P, PA>,
    first: WalkStart,
    causes: Causes,
    check: EntryCheck,
    entry: EntryFields,
    record_of: RecordOf,
    requests: SlotMem<Req, W, B>,
    beginnings: SlotMem<Started, W, B>,
    walks: SlotMem<Walk, W, B>,
    steps: SlotMem<WalkStep, W, B>,
    fits: SlotMem<Fits, W, B>,
    levels: SlotMem<Bits<3>, W, B>,
    words: SlotMem<Raw, W, B>,
    told: SlotMem<Bit, W, B>,
    ctx_victim: DFF<Bits<S>>,
    tlb_victim: DFF<Bits<I>>,
    evicted: DFF<Bit>,

    // The walk served.
    request: Signal<Local, Req>,
    begun: Signal<Local, Started>,
    walk: Signal<Local, Walk>,
    raw: Signal<Local, Raw>,
    word: Signal<Local, Bits<64>>,
    in_context: Signal<Local, Bit>,
    in_directory: Signal<Local, Bit>,
    in_table: Signal<Local, Bit>,
    in_fault: Signal<Local, Bit>,
    allowed: Signal<Local, Bit>,
    verdict: Signal<Local, Verdict>,
    from_entry: Signal<Local, Bit>,
    begins_table: Signal<Local, Bit>,
    deny: Signal<Local, Bit>,
    owes: Signal<Local, Bit>,
    tells: Signal<Local, Bit>,
    answers_fault: Signal<Local, Bit>,
    ends: Signal<Local, Bit>,
    moves: Signal<Local, Bit>,
    reads: Signal<Local, Bit>,
    may_fill: Signal<Local, Bit>,
    line_read: Signal<Local, Bit>,
    new_did: Signal<Local, Bits<24>>,
    look_did: Signal<Local, Bits<24>>,
    head_did: Signal<Local, Bits<24>>,
    did: Signal<Local, Bits<24>>,
    dir_level: Signal<Local, Bits<2>>,
    next_vpn: Signal<Local, Bits<9>>,

    has_pointers: Constant<Bit>,
    cause_ddt_access: Constant<Bits<9>>,
    cause_ddt_poison: Constant<Bits<9>>,
    cause_ddt_invalid: Constant<Bits<9>>,
    cause_ddt_bad: Constant<Bits<9>>,
    cause_type: Constant<Bits<9>>,
    cause_pt_poison: Constant<Bits<9>>,
}

impl<
    const W: usize,
    const B: usize,
    const I: usize,
    const C: usize,
    const S: usize,
    const P: usize,
    const PA: usize,
> Walker<W, B, I, C, S, P, PA>
{
    /// The walker of a configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            ddt_root: Default::default(),
            start: Default::default(),
            idle: Default::default(),
            idle_two: Default::default(),
            idle_three: Default::default(),
            req: Default::default(),
            look: Default::default(),
            look_slot: Default::default(),
            req_busy: Default::default(),
            head: Default::default(),
            head_busy: Default::default(),
            mode: Default::default(),
            wide: Default::default(),
            found: Default::default(),
            slot: Default::default(),
            pscid: Default::default(),
            info: Default::default(),
            raced: Default::default(),
            line_hit: Default::default(),
            line_word: Default::default(),
            line_leaf: Default::default(),
            line_global: Default::default(),
            line_arrives: Default::default(),
            line_comes: Default::default(),
            line_asks: Default::default(),
            line_used: Default::default(),
            line_walk: Default::default(),
            line_brings: Default::default(),
            line_brings_walk: Default::default(),
            near: Default::default(),
            near_global: Default::default(),
            near_again: Default::default(),
            mark_stale: Default::default(),
            drop_tables: Default::default(),
            drop_directory: Default::default(),
            block_fill: Default::default(),
            stale: Default::default(),
            ar_valid: Default::default(),
            ar_ready: Default::default(),
            ar_frame: Default::default(),
            ar_off: Default::default(),
            ar_ddt: Default::default(),
            ar_dc: Default::default(),
            ar_slot: Default::default(),
            r_valid: Default::default(),
            r_slot: Default::default(),
            r_data: Default::default(),
            r_status: Default::default(),
            r_last: Default::default(),
            r_leaf: Default::default(),
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
            record_valid: Default::default(),
            record_turn: Default::default(),
            record_ready: Default::default(),
            record_free: Default::default(),
            record: Default::default(),
            ev_ddt: Default::default(),
            ev_pte: Default::default(),
            ev_miss: Default::default(),
            ev_pscid: Default::default(),
            reader: ContextReader::new(config),
            pointers: Default::default(),
            check: EntryCheck::new(config),
            entry: Default::default(),
            slots: Default::default(),
            first: WalkStart::new(config),
            causes: Default::default(),
            record_of: Default::default(),
            requests: Default::default(),
            beginnings: Default::default(),
            walks: Default::default(),
            steps: Default::default(),
            fits: Default::default(),
            levels: Default::default(),
            words: Default::default(),
            told: Default::default(),
            ctx_victim: Default::default(),
            tlb_victim: Default::default(),
            evicted: Default::default(),
            request: Default::default(),
            begun: Default::default(),
            walk: Default::default(),
            raw: Default::default(),
            word: Default::default(),
            in_context: Default::default(),
            in_directory: Default::default(),
            in_table: Default::default(),
            in_fault: Default::default(),
            allowed: Default::default(),
            verdict: Default::default(),
            from_entry: Default::default(),
            begins_table: Default::default(),
            deny: Default::default(),
            owes: Default::default(),
            tells: Default::default(),
            answers_fault: Default::default(),
            ends: Default::default(),
            moves: Default::default(),
            reads: Default::default(),
            may_fill: Default::default(),
            line_read: Default::default(),
            new_did: Default::default(),
            look_did: Default::default(),
            head_did: Default::default(),
            did: Default::default(),
            dir_level: Default::default(),
            next_vpn: Default::default(),
            has_pointers: Constant::new(config.table_pointers != 0),
            cause_ddt_access: Constant::new(257u64.into()),
            cause_ddt_poison: Constant::new(268u64.into()),
            cause_ddt_invalid: Constant::new(258u64.into()),
            cause_ddt_bad: Constant::new(259u64.into()),
            cause_type: Constant::new(260u64.into()),
            cause_pt_poison: Constant::new(274u64.into()),
        }
    }
}

impl<
    const W: usize,
    const B: usize,
    const I: usize,
    const C: usize,
    const S: usize,
    const P: usize,
    const PA: usize,
> Logic for Walker<W, B, I, C, S, P, PA>
{
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, ctx_victim, tlb_victim, evicted);
        clock!(
            self, clock, slots, reader, requests, beginnings, walks, steps, fits, levels, words,
            told, pointers
        );
        self.slots.reset.next = self.reset.val();
        self.reader.reset.next = self.reset.val();

        // A new walk.
        self.new_did.next = self.req.val().did;
        self.head_did.next = self.head.val().did;
        self.slots.ask_did.next = self.new_did.val().get_bits::<16>(0);
        self.slots.ask_page.next = (unsigned_cast_to::<18, 9>(self.req.val().vpn1) << 9)
            | unsigned_cast_to::<18, 9>(self.req.val().vpn0);
        self.look_did.next = self.look.val().did;
        self.slots.look_did.next = self.look_did.val().get_bits::<16>(0);
        self.slots.look_page.next = (unsigned_cast_to::<18, 9>(self.look.val().vpn1) << 9)
            | unsigned_cast_to::<18, 9>(self.look.val().vpn0);
        self.slots.head_did.next = self.head_did.val().get_bits::<16>(0);
        self.slots.head_page.next = (unsigned_cast_to::<18, 9>(self.head.val().vpn1) << 9)
            | unsigned_cast_to::<18, 9>(self.head.val().vpn0);
        self.req_busy.next = self.slots.ask_busy.val();
        self.head_busy.next = self.slots.head_busy.val();
        self.idle.next = self.slots.idle.val();
        self.idle_two.next = self.slots.idle_two.val();
        self.idle_three.next = self.slots.idle_three.val();
        self.slots.start.next = self.start.val();
        self.slots.start_fetch.next = !self.found.val();
        self.slots.start_context.next = self.slot.val();
        self.requests.we.next = self.start.val();
        self.requests.wa.next = self.slots.free.val();
        self.requests.wd.next = self.req.val();
        self.beginnings.we.next = self.start.val();
        self.beginnings.wa.next = self.slots.free.val();
        self.first.req.next = self.req.val();
        self.first.mode.next = self.mode.val();
        self.first.ddt_root.next = self.ddt_root.val();
        self.first.wide.next = self.wide.val();
        self.first.found.next = self.found.val();
        self.first.pscid.next = self.pscid.val();
        self.first.info.next = self.info.val();
        self.pointers.look.next = self.look.val();
        self.pointers.look_slot.next = self.look_slot.val();
        self.pointers.ask_found.next = self.found.val();
        self.first.near.next = self.pointers.near.val() & self.has_pointers.val();
        self.first.near_frame.next = self.pointers.near_frame.val();
        self.first.near_level.next = self.pointers.near_level.val();
        self.first.near_global.next = self.pointers.near_global.val();
        self.beginnings.wd.next = self.first.begins.val();
        self.fits.we.next = self.start.val();
        self.fits.wa.next = self.slots.free.val();
        self.fits.wd.next = self.first.fits.val();

        // An entry that is known, or comes, is to the walk as if it had read it; there is one place to write to.
        self.line_read.next = self.line_hit.val() & !self.r_valid.val() & !self.line_brings.val();
        self.line_asks.next = self.start.val() & self.found.val();
        self.line_used.next = self.line_asks.val()
            & (self.line_read.val() | self.line_arrives.val() | self.line_comes.val());
        self.line_walk.next = self.slots.free.val();
        self.slots.start_waits.next = self.found.val() & self.line_comes.val();
        self.beginnings.wd.next.in_line = self.line_used.val();
        self.beginnings.wd.next.line_global = self.line_global.val();
        self.pointers.reset.next = self.reset.val();
        self.pointers.maintenance.next = self.block_fill.val();
        self.pointers.drop_tables.next = self.drop_tables.val();
        self.pointers.drop_directory.next = self.drop_directory.val();

        // What has come from memory.
        // Memory brings one doubleword in a cycle: for a walk, or for a line and whoever waits for that.
        self.words.we.next = self.r_valid.val() | self.line_brings.val() | self.line_used.val();
        self.words.wa.next = self.slots.free.val();
        self.slots.arrive.next = (self.r_valid.val() & self.r_last.val()) | self.line_brings.val();
        self.slots.arrive_slot.next = self.r_slot.val();
        if self.r_valid.val() {
            self.words.wa.next = self.r_slot.val();
        }
        if self.line_brings.val() {
            self.words.wa.next = self.line_brings_walk.val();
            self.slots.arrive_slot.next = self.line_brings_walk.val();
        }
        // It is judged as it comes, so that the cycle in which its walk is served begins with the judgement. What a line
        // brings is the last entry of a walk.
        self.levels.ra.next = self.r_slot.val();
        self.check.word.next = self.r_data.val();
        self.check.status.next = self.r_status.val();
        self.check.level.next = 0.into();
        if self.r_valid.val() {
            self.check.level.next = self.levels.rd.val();
        }
        self.r_leaf.next = self.check.leaf_good.val();
        self.words.wd.next.data = self.r_data.val();
        self.words.wd.next.status = self.r_status.val();
        self.words.wd.next.leaf = self.check.leaf_good.val();
        self.words.wd.next.size = self.check.size.val();
        self.words.wd.next.table = self.check.table_good.val();
        self.words.wd.next.far = self.check.far.val();
        self.words.wd.next.directory_bad = self.check.directory_bad.val();
        self.words.wd.next.directory = self.check.directory_good.val();
        self.words.wd.next.context = self.reader.verdict.val();
        if self.line_read.val() {
            self.words.wd.next.data = self.line_word.val();
            self.words.wd.next.leaf = self.line_leaf.val();
            self.words.wd.next.size =
                unsigned_cast_to::<3, 1>(self.line_word.val().get_bit(63).into());
        }
        self.reader.r_valid.next = self.r_valid.val();
        self.reader.r_slot.next = self.r_slot.val();
        self.reader.r_data.next = self.r_data.val();
        self.reader.r_status.next = self.r_status.val();
        self.reader.r_last.next = self.r_last.val();
        self.fits.ra.next = self.r_slot.val();
        self.reader.fits.next = self.fits.rd.val();

        // The walk served.
        self.ar_slot.next = self.slots.sel.val();
        self.requests.ra.next = self.slots.sel.val();
        self.beginnings.ra.next = self.slots.sel.val();
        self.walks.ra.next = self.slots.sel.val();
        self.steps.ra.next = self.slots.sel.val();
        self.words.ra.next = self.slots.sel.val();
        self.told.ra.next = self.slots.sel.val();
        self.reader.sel.next = self.slots.sel.val();
        self.request.next = self.requests.rd.val();
        self.begun.next = self.beginnings.rd.val();
        self.walk.next = self.walks.rd.val();
        self.raw.next = self.words.rd.val();
        self.word.next = self.raw.val().data;
        self.reader.last.next = self.raw.val().data;
        self.verdict.next = self.raw.val().context;
        self.in_context.next = !self.slots.sel_new.val() & (self.steps.rd.val() == WalkStep::Dc);
        self.in_directory.next = !self.slots.sel_new.val() & (self.steps.rd.val() == WalkStep::Ddt);
        self.in_table.next = !self.slots.sel_new.val() & (self.steps.rd.val() == WalkStep::Pte);
        self.in_fault.next = !self.slots.sel_new.val() & (self.steps.rd.val() == WalkStep::Fault);

        // What its doubleword means for it.
        self.causes.access.next = self.request.val().access;
        self.entry.word.next = self.raw.val().data;
        self.entry.access.next = self.request.val().access;
        self.allowed.next = self.raw.val().leaf & self.entry.granted.val();

        // What it does. Each follows from what was judged before, by itself: the next read, the answer and the refusal do not
        // wait for one another.
        self.from_entry.next = self.slots.serve.val()
            & self.allowed.val()
            & (self.in_table.val()
                | (self.slots.sel_new.val() & self.begun.val().table & self.begun.val().in_line));
        self.res_identity.next = self.slots.serve.val()
            & ((self.slots.sel_new.val() & self.begun.val().identity)
                | (self.in_context.val() & self.verdict.val().identity));
        self.begins_table.next =
            self.slots.serve.val() & self.in_context.val() & self.verdict.val().table;
        self.ar_ddt.next = self.slots.serve.val()
            & ((self.slots.sel_new.val() & self.begun.val().directory)
                | (self.in_directory.val() & self.raw.val().directory));
        self.ar_valid.next = self.ar_ddt.val()
            | self.begins_table.val()
            | (self.slots.serve.val()
                & self.slots.sel_new.val()
                & self.begun.val().table
                & !(self.begun.val().in_line & self.allowed.val()))
            | (self.slots.serve.val()
                & self.in_table.val()
                & self.raw.val().table
                & !self.raw.val().far);
        self.deny.next = self.slots.serve.val()
            & ((self.slots.sel_new.val() & self.begun.val().denied)
                | (self.in_context.val()
                    & !self.verdict.val().table
                    & !self.verdict.val().identity)
                | (self.in_directory.val() & !self.raw.val().directory)
                | (self.in_table.val()
                    & !self.allowed.val()
                    & !(self.raw.val().table & !self.raw.val().far)));

        // FLT-03, FLT-04: the causes that DTF cannot suppress are those found before there is a context.
        self.owes.next = !self.walk.val().dtf & !self.told.rd.val();
        self.res_fault.next = self.slots.serve.val() & self.in_fault.val();
        self.answers_fault.next = self.res_fault.val()
            & self.slots.sel_first.val()
            & (self.record_ready.val() | !self.owes.val());
        self.res_valid.next =
            self.from_entry.val() | self.res_identity.val() | self.answers_fault.val();
        self.res_req.next = self.request.val();
        self.res_leaf.next = self.entry.leaf.val();
        self.res_size.next = self.raw.val().size;

        // The read.
        self.did.next = self.request.val().did;
        self.next_vpn.next = self.request.val().vpn0;
        if self.walk.val().level == 2 {
            self.next_vpn.next = self.request.val().vpn1;
        }
        if self.walk.val().level == 3 {
            self.next_vpn.next = self.request.val().vpn2;
        }
        if self.walk.val().level == 4 {
            self.next_vpn.next = self.request.val().vpn3;
        }
        self.dir_level.next = self.walk.val().dir_level - 1;
        self.ar_frame.next = self.entry.frame.val();
        self.ar_off.next = unsigned_cast_to::<12, 9>(self.next_vpn.val()) << 3;
        if self.in_directory.val() {
            self.ar_off.next = unsigned_cast_to::<12, 9>(self.did.val().get_bits::<9>(7)) << 3;
            if self.dir_level.val() == 0 {
                self.ar_off.next = unsigned_cast_to::<12, 7>(self.did.val().get_bits::<7>(0)) << 5;
            }
        }
        if self.in_context.val() {
            self.ar_frame.next = self.reader.ctx.val().root;
            self.ar_off.next = unsigned_cast_to::<12, 9>(self.request.val().vpn2) << 3;
            if self.reader.ctx.val().extra == 1 {
                self.ar_off.next = unsigned_cast_to::<12, 9>(self.request.val().vpn3) << 3;
            }
            if self.reader.ctx.val().extra == 2 {
                self.ar_off.next = unsigned_cast_to::<12, 9>(self.request.val().vpn4) << 3;
            }
        }
        if self.slots.sel_new.val() {
            self.dir_level.next = self.begun.val().dir_level;
            self.ar_frame.next = self.begun.val().frame;
            self.ar_off.next = self.begun.val().off;
        }
        self.ar_dc.next = self.ar_ddt.val() & (self.dir_level.val() == 0);

        // What the walk will be.
        self.walks.wd.next = self.walk.val();
        self.walks.wd.next.dir_level = self.dir_level.val();
        self.walks.wd.next.level = self.walk.val().level - 1;
        self.walks.wd.next.cause = self.causes.page_fault.val();
        if self.in_table.val() {
            self.walks.wd.next.globally = self.walk.val().globally | self.entry.is_global.val();
            if self.raw.val().status == 2 {
                self.walks.wd.next.cause = self.cause_pt_poison.val();
            } else if (self.raw.val().status == 1) | self.raw.val().table {
                // A good pointer that is refused leads beyond capabilities.PAS.
                self.walks.wd.next.cause = self.causes.access_fault.val();
            }
        }
        if self.in_directory.val() {
            if self.raw.val().status == 1 {
                self.walks.wd.next.cause = self.cause_ddt_access.val();
            } else if self.raw.val().status == 2 {
                self.walks.wd.next.cause = self.cause_ddt_poison.val();
            } else if !self.word.val().get_bit(0) {
                self.walks.wd.next.cause = self.cause_ddt_invalid.val();
            } else if self.raw.val().directory_bad {
                self.walks.wd.next.cause = self.cause_ddt_bad.val();
            } else {
                self.walks.wd.next.cause = self.cause_ddt_access.val();
            }
        }
        if self.in_context.val() {
            self.walks.wd.next.pscid = self.reader.pscid.val();
            self.walks.wd.next.dtf = self.verdict.val().good & self.reader.ctx.val().dtf;
            self.walks.wd.next.level = unsigned_cast_to::<3, 2>(self.reader.ctx.val().extra) + 2;
            if self.reader.refused.val() {
                self.walks.wd.next.cause = self.cause_ddt_access.val();
            } else if self.reader.poisoned.val() {
                self.walks.wd.next.cause = self.cause_ddt_poison.val();
            } else if !self.reader.valid.val() {
                self.walks.wd.next.cause = self.cause_ddt_invalid.val();
            } else if self.reader.bad.val() {
                self.walks.wd.next.cause = self.cause_ddt_bad.val();
            } else if self.reader.wrong_type.val() {
                self.walks.wd.next.cause = self.cause_type.val();
            } else if !self.reader.outside.val() {
                self.walks.wd.next.cause = self.causes.access_fault.val();
            }
        }
        if self.slots.sel_new.val() {
            self.walks.wd.next.pscid = self.begun.val().pscid;
            self.walks.wd.next.dtf = self.begun.val().dtf;
            self.walks.wd.next.level = self.begun.val().level;
            self.walks.wd.next.globally = self.begun.val().globally;
            self.walks.wd.next.cause = self.begun.val().cause;
        }
        self.steps.wd.next = WalkStep::Pte;
        if self.ar_ddt.val() {
            self.steps.wd.next = WalkStep::Ddt;
        }
        if self.ar_dc.val() {
            self.steps.wd.next = WalkStep::Dc;
        }
        if self.deny.val() {
            self.steps.wd.next = WalkStep::Fault;
        }

        // Its record goes with the answer, unless it could go before. That it went has a memory of its own: `walks` is
        // written where the judgement is made that this follows from.
        self.tells.next = self.deny.val()
            & self.in_table.val()
            & self.slots.sel_first.val()
            & self.record_free.val()
            & self.owes.val();
        self.told.wd.next = self.tells.val();
        self.record_of.req.next = self.request.val();
        self.record_of.cause.next = self.walks.wd.val().cause;
        if self.in_fault.val() {
            self.record_of.cause.next = self.walk.val().cause;
        }
        self.record.next = self.record_of.record.val();
        self.record_turn.next = self.res_fault.val();
        self.record_valid.next =
            self.tells.val() | (self.answers_fault.val() & self.res_ready.val() & self.owes.val());

        // How the service ends. The ready inputs come in here and not above, where the valid outputs are made, so that no bus
        // can close a ring through both.
        self.stale.next = self.slots.stale.val();
        self.reads.next = self.ar_valid.val() & self.ar_ready.val();
        self.ends.next = self.res_valid.val() & self.res_ready.val();
        self.moves.next = self.deny.val() | self.reads.val() | self.ends.val();
        self.walks.we.next = self.deny.val() | self.reads.val();
        self.walks.wa.next = self.slots.sel.val();
        self.told.we.next = self.walks.we.val();
        self.told.wa.next = self.slots.sel.val();
        self.levels.we.next = self.walks.we.val();
        self.levels.wa.next = self.slots.sel.val();
        self.levels.wd.next = self.walks.wd.val().level;
        self.steps.we.next = self.walks.we.val();
        self.steps.wa.next = self.slots.sel.val();
        self.slots.finish.next = self.ends.val();
        self.slots.wait_read.next = self.reads.val();
        self.slots.judged.next = self.moves.val();
        self.slots.hold.next = (self.ar_valid.val() & !self.ar_ready.val())
            | (self.res_valid.val() & !self.res_ready.val());

        // What is stored. A context that was fetched gets its slot when the walk goes on; without a slot no leaf may be filled
        // either.
        self.may_fill.next =
            !self.slots.sel_old.val() & !self.mark_stale.val() & !self.block_fill.val();
        self.tlb_fill.next = self.from_entry.val() & self.res_ready.val() & self.may_fill.val();
        self.tlb_fill_index.next = self.tlb_victim.q.val();
        self.tlb_fill_global.next = self.walk.val().globally | self.entry.is_global.val();
        if self.slots.sel_new.val() {
            self.tlb_fill_global.next = self.begun.val().line_global | self.entry.is_global.val();
        }
        self.tlb_fill_slot.next = self.slots.sel_context.val();
        self.ctx_fill.next = self.slots.serve.val()
            & self.in_context.val()
            & self.verdict.val().good
            & (!self.res_identity.val() | self.res_ready.val())
            & (!self.begins_table.val() | self.ar_ready.val())
            & self.may_fill.val();
        self.ctx_fill_slot.next = self.ctx_victim.q.val();
        self.ctx_fill_pscid.next = self.reader.pscid.val();
        self.ctx_fill_info.next = self.reader.ctx.val();
        self.slots.got_context.next =
            self.in_context.val() & self.slots.serve.val() & self.moves.val();
        self.slots.new_context.next = self.ctx_victim.q.val();
        self.slots.own_old.next = !self.may_fill.val();
        self.slots.evict.next = self.ctx_fill.val();
        self.near.next = self.reads.val()
            & !self.ar_ddt.val()
            & (self.walks.wd.val().level == 0)
            & self.may_fill.val();
        self.near_global.next = self.walks.wd.val().globally;
        self.near_again.next = self.slots.sel_new.val() & self.begun.val().in_line;
        // Pointers go with the context that they were found under.
        self.pointers.renew.next = self.ctx_fill.val();
        self.pointers.renew_slot.next = self.ctx_fill_slot.val();
        // A pointer that was good is kept when the walk goes on from it.
        self.pointers.found.next = self.reads.val() & self.may_fill.val() & self.has_pointers.val();
        self.pointers.found_contexts.next =
            self.in_directory.val() & (self.walk.val().dir_level == 1);
        self.pointers.found_upper.next = self.in_table.val() & (self.walk.val().level == 2);
        self.pointers.found_leaves.next = self.in_table.val() & (self.walk.val().level == 1);
        self.pointers.found_req.next = self.request.val();
        self.pointers.found_slot.next = self.slots.sel_context.val();
        self.pointers.found_frame.next = self.entry.frame.val();
        self.pointers.found_global.next = self.tlb_fill_global.val();

        if self.ctx_fill.val() {
            self.ctx_victim.d.next = self.ctx_victim.q.val() + 1;
        }
        if self.tlb_fill.val() {
            self.tlb_victim.d.next = self.tlb_victim.q.val() + 1;
        }
        // A lookup that a fill has overtaken may not fill: its slot may be another's by now.
        self.evicted.d.next = self.ctx_fill.val();
        self.slots.start_old.next = self.raced.val() | self.ctx_fill.val() | self.evicted.q.val();
        // Marked from the cycle after, in which the fence begins to look.
        self.slots.mark_stale.next = self.mark_stale.val();

        self.ev_ddt.next = self.reads.val() & self.ar_ddt.val();
        self.ev_pte.next = self.reads.val() & !self.ar_ddt.val();
        self.ev_miss.next = self.reads.val() & !self.ar_ddt.val() & !self.in_table.val();
        self.ev_pscid.next = self.walk.val().pscid;
        if self.slots.sel_new.val() {
            self.ev_pscid.next = self.begun.val().pscid;
        }
        if self.in_context.val() {
            self.ev_pscid.next = self.reader.pscid.val();
        }

        if self.reset.val() {
            self.ctx_victim.d.next = 0.into();
            self.tlb_victim.d.next = 0.into();
        }
    }
}
