//! Puts device contexts together while their doublewords arrive, one for each walk in flight.
//!
//! A context comes as one burst of four doublewords, `tc` first (HW4); bursts of different walks may be interleaved.
//! Each is judged in the cycle in which it comes, together with what is known of its slot; with the last one `verdict` says
//! what the context means for its request, in that cycle. The other outputs speak of slot `sel`, from the next cycle on.
//!
//! Other reads pass through here too: they are bursts of one doubleword, and nobody looks at what becomes of them.

use crate::cells::SlotMem;
use crate::context_check::ContextCheck;
use crate::types::{Context, Fits, Partial, Verdict};
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
    /// What counts of the request of this walk.
    pub fits: Signal<In, Fits>,
    /// If it is the last of a context: what that means for the request.
    pub verdict: Signal<Out, Verdict>,

    /// The walk asked about.
    pub sel: Signal<In, Bits<B>>,
    /// The last doubleword that came for it.
    pub last: Signal<In, Bits<64>>,
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
    /// The request is of a type that it does not allow ...
    pub wrong_type: Signal<Out, Bit>,
    /// ... or its IOVA is not one of its first stage's mode.
    pub outside: Signal<Out, Bit>,

    check: ContextCheck,
    known: SlotMem<Partial, W, B>,
    shown: SlotMem<Partial, W, B>,
    beats: [DFF<Bits<2>>; W],
    beat: Signal<Local, Bits<2>>,
    past: Signal<Local, Partial>,
    after: Signal<Local, Partial>,
    fit: Signal<Local, Bit>,
    asked: Signal<Local, Partial>,
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
            verdict: Default::default(),
            sel: Default::default(),
            last: Default::default(),
            refused: Default::default(),
            poisoned: Default::default(),
            valid: Default::default(),
            bad: Default::default(),
            ctx: Default::default(),
            pscid: Default::default(),
            wrong_type: Default::default(),
            outside: Default::default(),
            check: ContextCheck::new(config),
            known: Default::default(),
            shown: Default::default(),
            beats: std::array::from_fn(|_| Default::default()),
            beat: Default::default(),
            past: Default::default(),
            after: Default::default(),
            fit: Default::default(),
            asked: Default::default(),
            frame_mask: Constant::new(((1u64 << (config.pas_bits() - 12)) - 1).into()),
        }
    }
}

impl<const W: usize, const B: usize> Logic for ContextReader<W, B> {
    #[hdl_gen]
    fn update(&mut self) {
        clock!(self, clock, known, shown);

        self.beat.next = 0.into();
        for i in 0..W {
            self.beats[i].clock.next = self.clock.val();
            self.beats[i].d.next = self.beats[i].q.val();
            if self.r_slot.val().index() == i {
                self.beat.next = self.beats[i].q.val();
                if self.r_valid.val() {
                    self.beats[i].d.next = self.beats[i].q.val() + 1;
                    if self.r_last.val() {
                        self.beats[i].d.next = 0.into();
                    }
                }
            }
            if self.reset.val() {
                self.beats[i].d.next = 0.into();
            }
        }

        // What the doubleword adds to what is known.
        self.check.word.next = self.r_data.val();
        self.known.ra.next = self.r_slot.val();
        self.past.next = self.known.rd.val();
        self.after.next = self.past.val();
        self.after.next.refused = self.past.val().refused | (self.r_status.val() == 1);
        self.after.next.poisoned = self.past.val().poisoned | (self.r_status.val() == 2);
        if self.beat.val() == 0 {
            self.after.next.refused = self.r_status.val() == 1;
            self.after.next.poisoned = self.r_status.val() == 2;
            self.after.next.valid = self.r_data.val().get_bit(0);
            self.after.next.dtf = self.r_data.val().get_bit(4);
            self.after.next.pdtv = self.r_data.val().get_bit(5);
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
        self.fit.next = self.fits.val().sv39;
        if self.check.extra.val() == 1 {
            self.fit.next = self.fits.val().sv48;
        }
        if self.check.extra.val() == 2 {
            self.fit.next = self.fits.val().sv57;
        }
        if self.beat.val() == 3 {
            // DCM-20: with PDTV it is pdtp, of which only Bare is supported.
            self.after.next.bad = self.past.val().bad
                | self.check.fsc_bad.val()
                | (self.check.paged.val() & self.past.val().pdtv);
            self.after.next.paged = self.check.paged.val();
            self.after.next.extra = self.check.extra.val();
            self.after.next.far = self.check.far.val();
            self.after.next.wrong_type =
                self.fits.val().special | (self.fits.val().pv & !self.past.val().pdtv);
            self.after.next.outside = self.check.paged.val() & !self.fit.val();
        }
        self.known.we.next = self.r_valid.val();
        self.known.wa.next = self.r_slot.val();
        self.known.wd.next = self.after.val();
        self.shown.we.next = self.r_valid.val();
        self.shown.wa.next = self.r_slot.val();
        self.shown.wd.next = self.after.val();
        self.verdict.next.good = !self.after.val().refused
            & !self.after.val().poisoned
            & self.after.val().valid
            & !self.after.val().bad;
        self.verdict.next.table = self.verdict.val().good
            & !self.after.val().wrong_type
            & self.after.val().paged
            & !self.after.val().outside
            & !self.after.val().far;
        self.verdict.next.identity =
            self.verdict.val().good & !self.after.val().wrong_type & !self.after.val().paged;

        // What was found.
        self.shown.ra.next = self.sel.val();
        self.asked.next = self.shown.rd.val();
        self.refused.next = self.asked.val().refused;
        self.poisoned.next = self.asked.val().poisoned;
        self.valid.next = self.asked.val().valid;
        self.bad.next = self.asked.val().bad;
        self.pscid.next = self.asked.val().pscid;
        self.wrong_type.next = self.asked.val().wrong_type;
        self.outside.next = self.asked.val().outside;
        self.ctx.next.dtf = self.asked.val().dtf;
        self.ctx.next.pdtv = self.asked.val().pdtv;
        self.ctx.next.paged = self.asked.val().paged;
        self.ctx.next.extra = self.asked.val().extra;
        self.ctx.next.far = self.asked.val().far;
        self.ctx.next.root = self.last.val().get_bits::<28>(0) & self.frame_mask.val();
    }
}
