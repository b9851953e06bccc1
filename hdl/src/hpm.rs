//! The performance monitor: iocountovf, iocountinh, iohpmcycles and four event counters.
//!
//! Decodes its registers from the register file's bus. `overflow` sets ipsr.pmip when an OF bit rises (HPM-12, INT-05).

use crate::hpm_counter::HpmCounter;
use crate::types::Req;
use crate::widen::unsigned_cast_to;
use rust_hdl::prelude::*;

/// See the module.
#[derive(LogicBlock)]
pub struct Hpm {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Clears the counters.
    pub reset: Signal<In, Bit>,
    /// It writes.
    pub bus_write: Signal<In, Bit>,
    /// Doubleword of the register page.
    pub bus_row: Signal<In, Bits<9>>,
    /// Low half of an 8-byte register.
    pub bus_low: Signal<In, Bit>,
    /// High half of an 8-byte register.
    pub bus_high: Signal<In, Bit>,
    /// Second 4-byte register.
    pub bus_second: Signal<In, Bit>,
    /// Low half of the data.
    pub bus_wlo: Signal<In, Bits<32>>,
    /// High half of the data.
    pub bus_whi: Signal<In, Bits<32>>,
    /// Low half read.
    pub read_lo: Signal<Out, Bits<32>>,
    /// High half read.
    pub read_hi: Signal<Out, Bits<32>>,
    /// The doubleword holds 4-byte registers.
    pub narrow: Signal<Out, Bit>,
    /// An OF bit rises by overflow.
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

    came: DFF<Bit>,
    came_req: DFF<Req>,
    missed: DFF<Bit>,
    read_ddt: DFF<Bit>,
    read_pte: DFF<Bit>,
    walk: DFF<Req>,
    pscid: DFF<Bits<20>>,
    counters: [HpmCounter; 4],
    inhibit: DFF<Bits<5>>,
    cycles_lo: DFF<Bits<32>>,
    cycles_hi: DFF<Bits<31>>,
    cycles_of: DFF<Bit>,
    ctr_row: Signal<Local, Bits<9>>,
    evt_row: Signal<Local, Bits<9>>,
    over: Signal<Local, Bits<5>>,
    risen: Signal<Local, Bits<5>>,
    carry: Signal<Local, Bit>,
    first_ctr: Constant<Bits<9>>,
    first_evt: Constant<Bits<9>>,
    one32: Constant<Bits<32>>,
    one31: Constant<Bits<31>>,
}

impl Default for Hpm {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            bus_write: Default::default(),
            bus_row: Default::default(),
            bus_low: Default::default(),
            bus_high: Default::default(),
            bus_second: Default::default(),
            bus_wlo: Default::default(),
            bus_whi: Default::default(),
            read_lo: Default::default(),
            read_hi: Default::default(),
            narrow: Default::default(),
            overflow: Default::default(),
            ev_request: Default::default(),
            req: Default::default(),
            ev_miss: Default::default(),
            ev_ddt: Default::default(),
            ev_pte: Default::default(),
            walk_req: Default::default(),
            walk_pscid: Default::default(),
            came: Default::default(),
            came_req: Default::default(),
            missed: Default::default(),
            read_ddt: Default::default(),
            read_pte: Default::default(),
            walk: Default::default(),
            pscid: Default::default(),
            counters: Default::default(),
            inhibit: Default::default(),
            cycles_lo: Default::default(),
            cycles_hi: Default::default(),
            cycles_of: Default::default(),
            ctr_row: Default::default(),
            evt_row: Default::default(),
            over: Default::default(),
            risen: Default::default(),
            carry: Default::default(),
            first_ctr: Constant::new(13u64.into()),
            first_evt: Constant::new(44u64.into()),
            one32: Constant::new(1u64.into()),
            one31: Constant::new(1u64.into()),
        }
    }
}

impl Logic for Hpm {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self, clock, came, came_req, missed, read_ddt, read_pte, walk, pscid, inhibit,
            cycles_lo, cycles_hi, cycles_of
        );
        // What happens is known late in a cycle, and compared with the filters in the next one.
        self.came.d.next = self.ev_request.val() & !self.reset.val();
        self.came_req.d.next = self.req.val();
        self.missed.d.next = self.ev_miss.val() & !self.reset.val();
        self.read_ddt.d.next = self.ev_ddt.val() & !self.reset.val();
        self.read_pte.d.next = self.ev_pte.val() & !self.reset.val();
        self.walk.d.next = self.walk_req.val();
        self.pscid.d.next = self.walk_pscid.val();

        self.ctr_row.next = self.bus_row.val() - self.first_ctr.val();
        self.evt_row.next = self.bus_row.val() - self.first_evt.val();

        // iohpmcycles: 63 bits and OF (HPM-04).
        self.over.next = 0.into();
        self.risen.next = 0.into();
        self.carry.next = self.cycles_lo.q.val().all();
        self.over.next = self.over.val().replace_bit(0, self.cycles_of.q.val());
        if !self.inhibit.q.val().get_bit(0) {
            self.cycles_lo.d.next = self.cycles_lo.q.val() + self.one32.val();
            if self.carry.val() {
                self.cycles_hi.d.next = self.cycles_hi.q.val() + self.one31.val();
                if self.cycles_hi.q.val().all() {
                    self.cycles_of.d.next = true;
                    self.risen.next = self.risen.val().replace_bit(0, true);
                }
            }
        }
        if self.cycles_of.q.val() {
            self.risen.next = 0.into();
        }

        self.read_lo.next = 0.into();
        self.read_hi.next = 0.into();
        for i in 0..4 {
            self.counters[i].clock.next = self.clock.val();
            self.counters[i].reset.next = self.reset.val();
            self.counters[i].inhibit.next = self.inhibit.q.val().get_bit(i + 1);
            self.counters[i].wlo.next = self.bus_wlo.val();
            self.counters[i].whi.next = self.bus_whi.val();
            self.counters[i].ev_request.next = self.came.q.val();
            self.counters[i].req.next = self.came_req.q.val();
            self.counters[i].ev_miss.next = self.missed.q.val();
            self.counters[i].ev_ddt.next = self.read_ddt.q.val();
            self.counters[i].ev_pte.next = self.read_pte.q.val();
            self.counters[i].walk_req.next = self.walk.q.val();
            self.counters[i].walk_pscid.next = self.pscid.q.val();
            self.counters[i].write_count.next = false;
            self.counters[i].write_lo.next = false;
            self.counters[i].write_hi.next = false;
            if self.ctr_row.val().index() == i {
                self.counters[i].write_count.next = self.bus_write.val() & self.bus_low.val();
                self.read_lo.next = self.counters[i].count.val();
            }
            if self.evt_row.val().index() == i {
                self.counters[i].write_lo.next = self.bus_write.val() & self.bus_low.val();
                self.counters[i].write_hi.next = self.bus_write.val() & self.bus_high.val();
                self.read_lo.next = self.counters[i].event_lo.val();
                self.read_hi.next = self.counters[i].event_hi.val();
            }
            self.over.next = self
                .over
                .val()
                .replace_bit(i + 1, self.counters[i].overflowed.val());
            self.risen.next = self
                .risen
                .val()
                .replace_bit(i + 1, self.counters[i].overflow.val());
        }
        self.overflow.next = self.risen.val().any();

        self.narrow.next = false;
        match self.bus_row.val().index() {
            11 => {
                self.narrow.next = true;
                self.read_lo.next = unsigned_cast_to::<32, 5>(self.over.val());
                self.read_hi.next = unsigned_cast_to::<32, 5>(self.inhibit.q.val());
                if self.bus_write.val() & self.bus_second.val() {
                    self.inhibit.d.next = self.bus_wlo.val().get_bits::<5>(0);
                }
            }
            12 => {
                self.read_lo.next = self.cycles_lo.q.val();
                self.read_hi.next = (unsigned_cast_to::<32, 1>(self.cycles_of.q.val().into())
                    << 31)
                    | unsigned_cast_to::<32, 31>(self.cycles_hi.q.val());
                if self.bus_write.val() & self.bus_low.val() {
                    self.cycles_lo.d.next = self.bus_wlo.val();
                }
                if self.bus_write.val() & self.bus_high.val() {
                    self.cycles_hi.d.next = self.bus_whi.val().get_bits::<31>(0);
                    self.cycles_of.d.next = self.bus_whi.val().get_bit(31);
                }
            }
            _ => {}
        }

        if self.reset.val() {
            self.inhibit.d.next = 0.into();
            self.cycles_lo.d.next = 0.into();
            self.cycles_hi.d.next = 0.into();
            self.cycles_of.d.next = false;
        }
    }
}
