//! Puts device contexts together while their doublewords arrive, one for each walk in flight.
//!
//! A context comes as one burst of four doublewords, `tc` first (HW4); bursts of different walks may be interleaved.
//! Each of the first three is judged in the cycle after it came and added to what is known of its slot. The last one
//! is judged in the cycle in which it comes, so that both are there when the walk is served, which may be the next one: the
//! outputs speak of slot `sel`.
//!
//! Other reads pass through here too: they are bursts of one doubleword, and nobody looks at what becomes of them.

use crate::cells::SlotMem;
use crate::context_check::ContextCheck;
use crate::types::{Context, Fits, Partial, Stage};
use portcullis_regmap::config::Config;
use rust_hdl::prelude::*;

/// `W` walks, whose slots have `B` bits.
#[derive(LogicBlock)]
pub struct ContextReader<const W: usize, const B: usize> {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Forgets what has come.
    pub reset: Signal<In, Bit>,
    /// A doubleword has come ...
    pub r_valid: Signal<In, Bit>,
    /// ... for this walk ...
    pub r_slot: Signal<In, Bits<B>>,
    /// ... this one ...
    pub r_data: Signal<In, Bits<64>>,
    /// ... with this status ...
    pub r_status: Signal<In, Bits<2>>,
    /// ... the last of its burst.
    pub r_last: Signal<In, Bit>,
    /// The modes that the request of this walk fits into.
    pub fits: Signal<In, Fits>,

    /// The walk asked about.
    pub sel: Signal<In, Bits<B>>,
    /// The last doubleword that came for it ...
    pub last: Signal<In, Bits<64>>,
    /// ... and its status.
    pub last_status: Signal<In, Bits<2>>,
    /// A doubleword was refused.
    pub refused: Signal<Out, Bit>,
    /// A doubleword was poisoned.
    pub poisoned: Signal<Out, Bit>,
    /// V.
    pub valid: Signal<Out, Bit>,
    /// Misconfigured.
    pub bad: Signal<Out, Bit>,
    /// What the translation needs of it.
    pub ctx: Signal<Out, Context>,
    /// Its PSCID.
    pub pscid: Signal<Out, Bits<20>>,
    /// The first stage is not Bare, and the request's IOVA is not one of its mode.
    pub outside: Signal<Out, Bit>,

    check: ContextCheck,
    known: SlotMem<Partial, W, B>,
    shown: SlotMem<Partial, W, B>,
    stages: SlotMem<Stage, W, B>,
    beats: [DFF<Bits<2>>; W],
    beat: Signal<Local, Bits<2>>,
    came: DFF<Bit>,
    slot: DFF<Bits<B>>,
    word: DFF<Bits<64>>,
    status: DFF<Bits<2>>,
    ends: DFF<Bit>,
    past: Signal<Local, Partial>,
    after: Signal<Local, Partial>,
    asked: Signal<Local, Partial>,
    fit: Signal<Local, Bit>,
    stage: Signal<Local, Stage>,
    frame_mask: Constant<Bits<28>>,
}

impl<const W: usize, const B: usize> ContextReader<W, B> {
    /// For the capabilities of a configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            r_valid: Default::default(),
            r_slot: Default::default(),
            r_data: Default::default(),
            r_status: Default::default(),
            r_last: Default::default(),
            fits: Default::default(),
            sel: Default::default(),
            last: Default::default(),
            last_status: Default::default(),
            refused: Default::default(),
            poisoned: Default::default(),
            valid: Default::default(),
            bad: Default::default(),
            ctx: Default::default(),
            pscid: Default::default(),
            outside: Default::default(),
            fit: Default::default(),
            check: ContextCheck::new(config),
            known: Default::default(),
            shown: Default::default(),
            stages: Default::default(),
            beats: std::array::from_fn(|_| Default::default()),
            beat: Default::default(),
            came: Default::default(),
            slot: Default::default(),
            word: Default::default(),
            status: Default::default(),
            ends: Default::default(),
            past: Default::default(),
            after: Default::default(),
            asked: Default::default(),
            stage: Default::default(),
            frame_mask: Constant::new(((1u64 << (config.pas_bits() - 12)) - 1).into()),
        }
    }
}

impl<const W: usize, const B: usize> Logic for ContextReader<W, B> {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, came, slot, word, status, ends);
        clock!(self, clock, known, shown, stages);
        self.came.d.next = self.r_valid.val() & !self.reset.val();
        self.slot.d.next = self.r_slot.val();
        self.word.d.next = self.r_data.val();
        self.status.d.next = self.r_status.val();
        self.ends.d.next = self.r_last.val();

        self.beat.next = 0.into();
        for i in 0..W {
            self.beats[i].clock.next = self.clock.val();
            self.beats[i].d.next = self.beats[i].q.val();
            if self.slot.q.val().index() == i {
                self.beat.next = self.beats[i].q.val();
                if self.came.q.val() {
                    self.beats[i].d.next = self.beats[i].q.val() + 1;
                    if self.ends.q.val() {
                        self.beats[i].d.next = 0.into();
                    }
                }
            }
            if self.reset.val() {
                self.beats[i].d.next = 0.into();
            }
        }

        // What the doubleword that has come adds.
        self.check.word.next = self.word.q.val();
        self.known.ra.next = self.slot.q.val();
        self.past.next = self.known.rd.val();
        self.after.next = self.past.val();
        self.after.next.refused = self.past.val().refused | (self.status.q.val() == 1);
        self.after.next.poisoned = self.past.val().poisoned | (self.status.q.val() == 2);
        if self.beat.val() == 0 {
            self.after.next.refused = self.status.q.val() == 1;
            self.after.next.poisoned = self.status.q.val() == 2;
            self.after.next.valid = self.word.q.val().get_bit(0);
            self.after.next.dtf = self.word.q.val().get_bit(4);
            self.after.next.pdtv = self.word.q.val().get_bit(5);
            self.after.next.bad = self.check.tc_bad.val();
        }
        if self.beat.val() == 1 {
            // DCM-29, DCM-31: no second stage here.
            self.after.next.bad = self.past.val().bad | self.check.iohgatp_bad.val();
        }
        if self.beat.val() == 2 {
            self.after.next.bad = self.past.val().bad | self.check.ta_bad.val();
            self.after.next.pscid = self.check.pscid.val();
        }
        if self.ends.q.val() {
            // The last one is judged below.
            self.after.next = self.past.val();
        }
        self.known.we.next = self.came.q.val();
        self.known.wa.next = self.slot.q.val();
        self.known.wd.next = self.after.val();
        self.shown.we.next = self.came.q.val();
        self.shown.wa.next = self.slot.q.val();
        self.shown.wd.next = self.after.val();

        // The last one.
        self.check.fsc.next = self.r_data.val();
        self.stages.we.next = self.r_valid.val();
        self.stages.wa.next = self.r_slot.val();
        self.stages.wd.next.bad = self.check.fsc_bad.val();
        self.stages.wd.next.paged = self.check.paged.val();
        self.stages.wd.next.extra = self.check.extra.val();
        self.stages.wd.next.far = self.check.far.val();
        self.fit.next = self.fits.val().sv39;
        if self.check.extra.val() == 1 {
            self.fit.next = self.fits.val().sv48;
        }
        if self.check.extra.val() == 2 {
            self.fit.next = self.fits.val().sv57;
        }
        self.stages.wd.next.outside = self.check.paged.val() & !self.fit.val();

        // The verdict.
        self.shown.ra.next = self.sel.val();
        self.stages.ra.next = self.sel.val();
        self.asked.next = self.shown.rd.val();
        self.stage.next = self.stages.rd.val();
        self.refused.next = self.asked.val().refused | (self.last_status.val() == 1);
        self.poisoned.next = self.asked.val().poisoned | (self.last_status.val() == 2);
        self.valid.next = self.asked.val().valid;
        // DCM-20: with PDTV the doubleword is pdtp, and only Bare is supported.
        self.bad.next = self.asked.val().bad
            | self.stage.val().bad
            | (self.stage.val().paged & self.asked.val().pdtv);
        self.pscid.next = self.asked.val().pscid;
        self.outside.next = self.stage.val().outside;
        self.ctx.next.dtf = self.asked.val().dtf;
        self.ctx.next.pdtv = self.asked.val().pdtv;
        self.ctx.next.paged = self.stage.val().paged;
        self.ctx.next.extra = self.stage.val().extra;
        self.ctx.next.far = self.stage.val().far;
        self.ctx.next.root = self.last.val().get_bits::<28>(0) & self.frame_mask.val();
    }
}
