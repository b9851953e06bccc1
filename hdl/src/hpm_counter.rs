//! One event counter of the performance monitor: iohpmctr and iohpmevt with their filters.
//!
//! Timing: an event of cycle t is counted at the end of cycle t+1, so that nothing waits for the counters; software's write
//! of the counter wins over an event of its cycle and of the one before.
//! Filters: HPM-08..HPM-10; an event that does not know the ids a filter asks for is not counted (HPM-11).

use crate::types::Req;
use crate::widen::unsigned_cast_to;
use rust_hdl::prelude::*;

/// See the module.
#[derive(LogicBlock)]
pub struct HpmCounter {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Clears counter and event.
    pub reset: Signal<In, Bit>,
    /// iocountinh: stand still.
    pub inhibit: Signal<In, Bit>,
    /// Write the counter's low half.
    pub write_count: Signal<In, Bit>,
    /// Write the event's low half.
    pub write_lo: Signal<In, Bit>,
    /// Write the event's high half.
    pub write_hi: Signal<In, Bit>,
    /// Low half of the data.
    pub wlo: Signal<In, Bits<32>>,
    /// High half of the data.
    pub whi: Signal<In, Bits<32>>,
    /// The counter; 32 bits are implemented (HPM-01).
    pub count: Signal<Out, Bits<32>>,
    /// The event's low half.
    pub event_lo: Signal<Out, Bits<32>>,
    /// The event's high half.
    pub event_hi: Signal<Out, Bits<32>>,
    /// OF.
    pub overflowed: Signal<Out, Bit>,
    /// OF becomes 1 by overflow.
    pub overflow: Signal<Out, Bit>,

    /// A request leaves its first lookup ...
    pub ev_request: Signal<In, Bit>,
    /// ... this one.
    pub req: Signal<In, Req>,
    /// A page-table walk begins.
    pub ev_miss: Signal<In, Bit>,
    /// A directory entry is read.
    pub ev_ddt: Signal<In, Bit>,
    /// A page-table entry is read.
    pub ev_pte: Signal<In, Bit>,
    /// The request that is walked for.
    pub walk_req: Signal<In, Req>,
    /// PSCID of that walk.
    pub walk_pscid: Signal<In, Bits<20>>,

    counter: DFF<Bits<32>>,
    event_id: DFF<Bits<4>>,
    dmask: DFF<Bit>,
    pid_lo: DFF<Bits<16>>,
    pid_hi: DFF<Bits<4>>,
    pid: Signal<Local, Bits<20>>,
    did: DFF<Bits<24>>,
    pv: DFF<Bit>,
    dv: DFF<Bit>,
    idt: DFF<Bit>,
    of: DFF<Bit>,
    happens: Signal<Local, Bit>,
    from_walk: Signal<Local, Bit>,
    has_pscid: Signal<Local, Bit>,
    seen_pv: Signal<Local, Bit>,
    seen_pid: Signal<Local, Bits<20>>,
    seen_did: Signal<Local, Bits<24>>,
    did_plus: Signal<Local, Bits<24>>,
    did_range: Signal<Local, Bits<24>>,
    did_kept: DFF<Bits<24>>,
    pid_ok: Signal<Local, Bit>,
    did_ok: Signal<Local, Bit>,
    kind_ok: Signal<Local, Bit>,
    happened: DFF<Bit>,
    matched: DFF<Bit>,
    counted: Signal<Local, Bit>,
    new_event: Signal<Local, Bits<15>>,
    one24: Constant<Bits<24>>,
    one32: Constant<Bits<32>>,
}

impl Default for HpmCounter {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            inhibit: Default::default(),
            write_count: Default::default(),
            write_lo: Default::default(),
            write_hi: Default::default(),
            wlo: Default::default(),
            whi: Default::default(),
            count: Default::default(),
            event_lo: Default::default(),
            event_hi: Default::default(),
            overflowed: Default::default(),
            overflow: Default::default(),
            ev_request: Default::default(),
            req: Default::default(),
            ev_miss: Default::default(),
            ev_ddt: Default::default(),
            ev_pte: Default::default(),
            walk_req: Default::default(),
            walk_pscid: Default::default(),
            counter: Default::default(),
            event_id: Default::default(),
            dmask: Default::default(),
            pid_lo: Default::default(),
            pid_hi: Default::default(),
            pid: Default::default(),
            did: Default::default(),
            pv: Default::default(),
            dv: Default::default(),
            idt: Default::default(),
            of: Default::default(),
            happens: Default::default(),
            from_walk: Default::default(),
            has_pscid: Default::default(),
            seen_pv: Default::default(),
            seen_pid: Default::default(),
            seen_did: Default::default(),
            did_plus: Default::default(),
            did_range: Default::default(),
            did_kept: Default::default(),
            pid_ok: Default::default(),
            did_ok: Default::default(),
            kind_ok: Default::default(),
            happened: Default::default(),
            matched: Default::default(),
            counted: Default::default(),
            new_event: Default::default(),
            one24: Constant::new(1u64.into()),
            one32: Constant::new(1u64.into()),
        }
    }
}

impl Logic for HpmCounter {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self, clock, did_kept, happened, matched, counter, event_id, dmask, pid_lo, pid_hi,
            did, pv, dv, idt, of
        );
        self.pid.next = (unsigned_cast_to::<20, 4>(self.pid_hi.q.val()) << 16)
            | unsigned_cast_to::<20, 16>(self.pid_lo.q.val());
        self.happens.next = false;
        self.kind_ok.next = true;
        self.from_walk.next = false;
        self.has_pscid.next = false;
        match self.event_id.q.val().index() {
            1 => {
                self.happens.next = self.ev_request.val();
                self.kind_ok.next = self.req.val().kind == 0;
            }
            2 => {
                self.happens.next = self.ev_request.val();
                self.kind_ok.next = self.req.val().kind == 1;
            }
            3 => {
                self.happens.next = self.ev_request.val();
                self.kind_ok.next = self.req.val().kind == 2;
            }
            4 => {
                self.happens.next = self.ev_miss.val();
                self.from_walk.next = true;
                self.has_pscid.next = true;
            }
            5 => {
                self.happens.next = self.ev_ddt.val();
                self.from_walk.next = true;
            }
            7 => {
                self.happens.next = self.ev_pte.val();
                self.from_walk.next = true;
                self.has_pscid.next = true;
            }
            _ => {}
        }
        self.seen_pv.next = self.req.val().pv;
        self.seen_pid.next = self.req.val().pid;
        self.seen_did.next = self.req.val().did;
        if self.from_walk.val() {
            self.seen_pv.next = self.walk_req.val().pv;
            self.seen_pid.next = self.walk_req.val().pid;
            self.seen_did.next = self.walk_req.val().did;
        }

        // HPM-10: with DMASK the bits up to the lowest 0 do not count.
        self.did_plus.next = self.did.q.val() + self.one24.val();
        self.did_range.next = 0.into();
        if self.dmask.q.val() {
            self.did_range.next = self.did.q.val() ^ self.did_plus.val();
        }
        self.did_kept.d.next = !self.did_range.val();
        self.pid_ok.next =
            !self.pv.q.val() | (self.seen_pv.val() & (self.seen_pid.val() == self.pid.val()));
        self.did_ok.next = !self.dv.q.val()
            | (((self.seen_did.val() ^ self.did.q.val()) & self.did_kept.q.val()) == 0);
        if self.idt.q.val() {
            // No context here has a GSCID.
            self.pid_ok.next = self.has_pscid.val()
                & (!self.pv.q.val() | (self.walk_pscid.val() == self.pid.val()));
            self.did_ok.next = !self.dv.q.val();
        }
        // That it happens is known late in a cycle, for whom early: they meet behind registers.
        self.happened.d.next = self.happens.val() & !self.reset.val();
        self.matched.d.next = self.kind_ok.val()
            & self.pid_ok.val()
            & self.did_ok.val()
            & !self.inhibit.val()
            & !self.write_count.val();
        self.counted.next = self.happened.q.val() & self.matched.q.val();

        self.overflow.next = false;
        if self.counted.val() {
            self.counter.d.next = self.counter.q.val() + self.one32.val();
            if self.counter.q.val().all() {
                self.of.d.next = true;
                self.overflow.next = !self.of.q.val();
            }
        }
        self.new_event.next = self.wlo.val().get_bits::<15>(0);
        if self.write_count.val() {
            self.counter.d.next = self.wlo.val();
        }
        if self.write_lo.val() {
            // WARL: eventID is one of 0 to 8.
            self.event_id.d.next = 0.into();
            if self.new_event.val() < 9 {
                self.event_id.d.next = self.new_event.val().get_bits::<4>(0);
            }
            self.dmask.d.next = self.wlo.val().get_bit(15);
            self.pid_lo.d.next = self.wlo.val().get_bits::<16>(16);
        }
        if self.write_hi.val() {
            self.pid_hi.d.next = self.whi.val().get_bits::<4>(0);
            self.did.d.next = self.whi.val().get_bits::<24>(4);
            self.pv.d.next = self.whi.val().get_bit(28);
            self.dv.d.next = self.whi.val().get_bit(29);
            self.idt.d.next = self.whi.val().get_bit(30);
            self.of.d.next = self.whi.val().get_bit(31);
        }
        self.count.next = self.counter.q.val();
        self.event_lo.next = unsigned_cast_to::<32, 4>(self.event_id.q.val())
            | (unsigned_cast_to::<32, 1>(self.dmask.q.val().into()) << 15)
            | (unsigned_cast_to::<32, 16>(self.pid_lo.q.val()) << 16);
        self.event_hi.next = unsigned_cast_to::<32, 4>(self.pid_hi.q.val())
            | (unsigned_cast_to::<32, 24>(self.did.q.val()) << 4)
            | (unsigned_cast_to::<32, 1>(self.pv.q.val().into()) << 28)
            | (unsigned_cast_to::<32, 1>(self.dv.q.val().into()) << 29)
            | (unsigned_cast_to::<32, 1>(self.idt.q.val().into()) << 30)
            | (unsigned_cast_to::<32, 1>(self.of.q.val().into()) << 31);
        self.overflowed.next = self.of.q.val();

        if self.reset.val() {
            self.counter.d.next = 0.into();
            self.event_id.d.next = 0.into();
            self.of.d.next = false;
        }
    }
}
