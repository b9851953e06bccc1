//! Interrupts: by message (MSI) or by wire, for the sources cip (0), fip (1) and pmip (2).
//!
//! Registers: icvec and msi_cfg_tbl with `V` = 4 vectors, decoded here from the register file's bus.
//! A source whose pending bit rises owes one message of the vector that icvec names at that moment (INT-09), whatever
//! icvec says later; it is sent as soon as that vector is not masked (INT-15), one write at a time, low vectors first. A write that fails becomes fault 273 (INT-16). With fctl.WSI the same bits drive wires, level,
//! OR-ed when they share a vector (INT-08), and nothing is owed.
//! Timing: the write is offered two cycles after the edge, memory permitting.

use crate::cells::FifoMem;
use crate::types::Record;
use crate::widen::unsigned_cast_to;
use portcullis_regmap::config::Config;
use rust_hdl::prelude::*;

/// States of the sender.
#[derive(LogicState, Debug, Copy, Clone, PartialEq)]
pub enum MsiState {
    /// Looks for a message that is owed.
    Idle,
    /// Reads the vector's entry.
    Look,
    /// Writes the message.
    Send,
    /// Waits for the answer.
    Answer,
    /// Hands over the record of a failed write.
    Report,
}

/// See the module.
#[derive(LogicBlock)]
pub struct Msi {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Forgets what is owed, unmasks nothing.
    pub reset: Signal<In, Bit>,
    /// fctl.WSI.
    pub wires: Signal<In, Bit>,
    /// ipsr.cip.
    pub cip: Signal<In, Bit>,
    /// ipsr.fip.
    pub fip: Signal<In, Bit>,
    /// ipsr.pmip.
    pub pmip: Signal<In, Bit>,
    /// cip rises.
    pub cip_edge: Signal<In, Bit>,
    /// fip rises.
    pub fip_edge: Signal<In, Bit>,
    /// pmip rises.
    pub pmip_edge: Signal<In, Bit>,
    /// The interrupt wires.
    pub irq: Signal<Out, Bits<4>>,

    /// Register access takes place.
    pub bus_access: Signal<In, Bit>,
    /// It writes.
    pub bus_write: Signal<In, Bit>,
    /// Doubleword of the register page.
    pub bus_row: Signal<In, Bits<9>>,
    /// Low half of an 8-byte register.
    pub bus_low: Signal<In, Bit>,
    /// High half of an 8-byte register.
    pub bus_high: Signal<In, Bit>,
    /// First 4-byte register.
    pub bus_first: Signal<In, Bit>,
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

    /// Write wanted.
    pub w_valid: Signal<Out, Bit>,
    /// Taken.
    pub w_ready: Signal<In, Bit>,
    /// Page number.
    pub w_frame: Signal<Out, Bits<28>>,
    /// Offset.
    pub w_off: Signal<Out, Bits<12>>,
    /// Data.
    pub w_data: Signal<Out, Bits<32>>,
    /// Answered.
    pub b_valid: Signal<In, Bit>,
    /// With an error.
    pub b_error: Signal<In, Bit>,

    /// A record is handed over.
    pub record_valid: Signal<Out, Bit>,
    /// It is taken.
    pub record_ready: Signal<In, Bit>,
    /// The record.
    pub record: Signal<Out, Record>,

    state: DFF<MsiState>,
    civ: DFF<Bits<2>>,
    fiv: DFF<Bits<2>>,
    pmiv: DFF<Bits<2>>,
    masked: DFF<Bits<4>>,
    owed_c: DFF<Bits<4>>,
    owed_f: DFF<Bits<4>>,
    owed_p: DFF<Bits<4>>,
    vector: DFF<Bits<2>>,
    addr_lo: DFF<Bits<30>>,
    addr_hi: DFF<Bits<24>>,
    data: DFF<Bits<32>>,
    table_lo: FifoMem<Bits<30>, 2>,
    table_hi: FifoMem<Bits<24>, 2>,
    table_data: FifoMem<Bits<32>, 2>,

    in_table: Signal<Local, Bit>,
    odd: Signal<Local, Bit>,
    entry: Signal<Local, Bits<2>>,
    index: Signal<Local, Bits<2>>,
    made_c: Signal<Local, Bits<4>>,
    made_f: Signal<Local, Bits<4>>,
    made_p: Signal<Local, Bits<4>>,
    free: Signal<Local, Bits<4>>,
    ready_c: Signal<Local, Bits<4>>,
    ready_f: Signal<Local, Bits<4>>,
    ready_p: Signal<Local, Bits<4>>,
    ready: Signal<Local, Bits<4>>,
    chosen: Signal<Local, Bits<4>>,
    left_c: Signal<Local, Bits<4>>,
    left_f: Signal<Local, Bits<4>>,
    left_p: Signal<Local, Bits<4>>,
    wires_c: Signal<Local, Bits<4>>,
    wires_f: Signal<Local, Bits<4>>,
    wires_p: Signal<Local, Bits<4>>,
    far: Signal<Local, Bit>,
    addr_hi_low: Signal<Local, Bits<8>>,
    addr_lo_page: Signal<Local, Bits<20>>,
    addr_lo_off: Signal<Local, Bits<10>>,
    low_part: Signal<Local, Bits<32>>,
    iotval: Signal<Local, Bits<64>>,
    one: Constant<Bits<4>>,
    far_mask: Constant<Bits<24>>,
    icvec_row: Constant<Bits<9>>,
    cause: Constant<Bits<9>>,
    no_record: Constant<Record>,
}

impl Msi {
    /// The interrupt block of a configuration with messages.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let high_bits = config.pas_bits() - 32;
        Self {
            clock: Default::default(),
            reset: Default::default(),
            wires: Default::default(),
            cip: Default::default(),
            fip: Default::default(),
            pmip: Default::default(),
            cip_edge: Default::default(),
            fip_edge: Default::default(),
            pmip_edge: Default::default(),
            irq: Default::default(),
            bus_access: Default::default(),
            bus_write: Default::default(),
            bus_row: Default::default(),
            bus_low: Default::default(),
            bus_high: Default::default(),
            bus_first: Default::default(),
            bus_second: Default::default(),
            bus_wlo: Default::default(),
            bus_whi: Default::default(),
            read_lo: Default::default(),
            read_hi: Default::default(),
            narrow: Default::default(),
            w_valid: Default::default(),
            w_ready: Default::default(),
            w_frame: Default::default(),
            w_off: Default::default(),
            w_data: Default::default(),
            b_valid: Default::default(),
            b_error: Default::default(),
            record_valid: Default::default(),
            record_ready: Default::default(),
            record: Default::default(),
            state: Default::default(),
            civ: Default::default(),
            fiv: Default::default(),
            pmiv: Default::default(),
            masked: Default::default(),
            owed_c: Default::default(),
            owed_f: Default::default(),
            owed_p: Default::default(),
            vector: Default::default(),
            addr_lo: Default::default(),
            addr_hi: Default::default(),
            data: Default::default(),
            table_lo: Default::default(),
            table_hi: Default::default(),
            table_data: Default::default(),
            in_table: Default::default(),
            odd: Default::default(),
            entry: Default::default(),
            index: Default::default(),
            made_c: Default::default(),
            made_f: Default::default(),
            made_p: Default::default(),
            free: Default::default(),
            ready_c: Default::default(),
            ready_f: Default::default(),
            ready_p: Default::default(),
            ready: Default::default(),
            chosen: Default::default(),
            left_c: Default::default(),
            left_f: Default::default(),
            left_p: Default::default(),
            wires_c: Default::default(),
            wires_f: Default::default(),
            wires_p: Default::default(),
            far: Default::default(),
            addr_hi_low: Default::default(),
            addr_lo_page: Default::default(),
            addr_lo_off: Default::default(),
            low_part: Default::default(),
            iotval: Default::default(),
            one: Constant::new(1u64.into()),
            far_mask: Constant::new((0xff_ffffu64 >> high_bits << high_bits).into()),
            icvec_row: Constant::new(95u64.into()),
            cause: Constant::new(273u64.into()),
            no_record: Constant::new(Record::default()),
        }
    }
}

impl Logic for Msi {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self, clock, state, civ, fiv, pmiv, masked, owed_c, owed_f, owed_p, vector, addr_lo,
            addr_hi, data
        );
        clock!(self, clock, table_lo, table_hi, table_data);

        // Rows 96 to 103 of the register page are the four entries of msi_cfg_tbl.
        self.in_table.next = self.bus_row.val().get_bits::<6>(3) == 12;
        self.odd.next = self.bus_row.val().get_bit(0);
        self.entry.next = self.bus_row.val().get_bits::<2>(1);
        self.index.next = self.vector.q.val();
        if self.bus_access.val() {
            self.index.next = self.entry.val();
        }
        self.table_lo.ra.next = self.index.val();
        self.table_hi.ra.next = self.index.val();
        self.table_data.ra.next = self.index.val();
        self.table_lo.wa.next = self.index.val();
        self.table_hi.wa.next = self.index.val();
        self.table_data.wa.next = self.index.val();
        self.table_lo.wd.next = self.bus_wlo.val().get_bits::<30>(2);
        self.table_hi.wd.next = self.bus_whi.val().get_bits::<24>(0);
        self.table_data.wd.next = self.bus_wlo.val();
        self.table_lo.we.next =
            self.bus_write.val() & self.in_table.val() & !self.odd.val() & self.bus_low.val();
        self.table_hi.we.next =
            self.bus_write.val() & self.in_table.val() & !self.odd.val() & self.bus_high.val();
        self.table_data.we.next =
            self.bus_write.val() & self.in_table.val() & self.odd.val() & self.bus_first.val();

        self.narrow.next = self.in_table.val() & self.odd.val();
        self.read_lo.next = 0.into();
        self.read_hi.next = 0.into();
        self.low_part.next = unsigned_cast_to::<32, 30>(self.table_lo.rd.val()) << 2;
        if self.in_table.val() {
            self.read_lo.next = self.low_part.val();
            self.read_hi.next = unsigned_cast_to::<32, 24>(self.table_hi.rd.val());
            if self.odd.val() {
                self.read_lo.next = self.table_data.rd.val();
                self.read_hi.next = 0.into();
                for i in 0..4 {
                    if self.entry.val().index() == i {
                        self.read_hi.next =
                            unsigned_cast_to::<32, 1>(self.masked.q.val().get_bit(i).into());
                        if self.bus_write.val() & self.bus_second.val() {
                            self.masked.d.next = self
                                .masked
                                .q
                                .val()
                                .replace_bit(i, self.bus_wlo.val().get_bit(0));
                        }
                    }
                }
            }
        }
        if self.bus_row.val() == self.icvec_row.val() {
            self.read_lo.next = unsigned_cast_to::<32, 2>(self.civ.q.val())
                | (unsigned_cast_to::<32, 2>(self.fiv.q.val()) << 4)
                | (unsigned_cast_to::<32, 2>(self.pmiv.q.val()) << 8);
            if self.bus_write.val() & self.bus_low.val() {
                self.civ.d.next = self.bus_wlo.val().get_bits::<2>(0);
                self.fiv.d.next = self.bus_wlo.val().get_bits::<2>(4);
                self.pmiv.d.next = self.bus_wlo.val().get_bits::<2>(8);
            }
        }

        // Wires.
        self.wires_c.next = 0.into();
        self.wires_f.next = 0.into();
        self.wires_p.next = 0.into();
        if self.wires.val() & self.cip.val() {
            self.wires_c.next = self.one.val() << self.civ.q.val();
        }
        if self.wires.val() & self.fip.val() {
            self.wires_f.next = self.one.val() << self.fiv.q.val();
        }
        if self.wires.val() & self.pmip.val() {
            self.wires_p.next = self.one.val() << self.pmiv.q.val();
        }
        self.irq.next = self.wires_c.val() | self.wires_f.val() | self.wires_p.val();

        // Messages. A vector may be masked between choice and sending: it was not when the choice fell.
        self.made_c.next = 0.into();
        self.made_f.next = 0.into();
        self.made_p.next = 0.into();
        if self.cip_edge.val() & !self.wires.val() {
            self.made_c.next = self.one.val() << self.civ.q.val();
        }
        if self.fip_edge.val() & !self.wires.val() {
            self.made_f.next = self.one.val() << self.fiv.q.val();
        }
        if self.pmip_edge.val() & !self.wires.val() {
            self.made_p.next = self.one.val() << self.pmiv.q.val();
        }
        self.free.next = !self.masked.q.val();
        self.ready_c.next = self.owed_c.q.val() & self.free.val();
        self.ready_f.next = self.owed_f.q.val() & self.free.val();
        self.ready_p.next = self.owed_p.q.val() & self.free.val();
        self.ready.next = self.ready_c.val() | self.ready_f.val() | self.ready_p.val();
        self.chosen.next = self.one.val() << self.vector.q.val();
        self.left_c.next = self.owed_c.q.val();
        self.left_f.next = self.owed_f.q.val();
        self.left_p.next = self.owed_p.q.val();
        self.far.next = (self.addr_hi.q.val() & self.far_mask.val()) != 0;
        self.addr_hi_low.next = self.addr_hi.q.val().get_bits::<8>(0);
        self.addr_lo_page.next = self.addr_lo.q.val().get_bits::<20>(10);
        self.addr_lo_off.next = self.addr_lo.q.val().get_bits::<10>(0);
        self.iotval.next = (unsigned_cast_to::<64, 24>(self.addr_hi.q.val()) << 32)
            | (unsigned_cast_to::<64, 30>(self.addr_lo.q.val()) << 2);
        self.w_valid.next = false;
        self.w_frame.next = (unsigned_cast_to::<28, 8>(self.addr_hi_low.val()) << 20)
            | unsigned_cast_to::<28, 20>(self.addr_lo_page.val());
        self.w_off.next = unsigned_cast_to::<12, 10>(self.addr_lo_off.val()) << 2;
        self.w_data.next = self.data.q.val();
        self.record_valid.next = false;
        self.record.next = self.no_record.val();
        match self.state.q.val() {
            MsiState::Idle => {
                if self.ready.val().any() {
                    self.vector.d.next = 3.into();
                    if self.ready.val().get_bit(2) {
                        self.vector.d.next = 2.into();
                    }
                    if self.ready.val().get_bit(1) {
                        self.vector.d.next = 1.into();
                    }
                    if self.ready.val().get_bit(0) {
                        self.vector.d.next = 0.into();
                    }
                    self.state.d.next = MsiState::Look;
                }
            }
            MsiState::Look => {
                // The table has one read port, and the register access goes first.
                if !self.bus_access.val() {
                    self.addr_lo.d.next = self.table_lo.rd.val();
                    self.addr_hi.d.next = self.table_hi.rd.val();
                    self.data.d.next = self.table_data.rd.val();
                    self.state.d.next = MsiState::Send;
                    // One message is paid, even if several sources owe one of this vector.
                    if (self.owed_c.q.val() & self.chosen.val()).any() {
                        self.left_c.next = self.owed_c.q.val() ^ self.chosen.val();
                    } else if (self.owed_f.q.val() & self.chosen.val()).any() {
                        self.left_f.next = self.owed_f.q.val() ^ self.chosen.val();
                    } else {
                        self.left_p.next = self.owed_p.q.val() ^ self.chosen.val();
                    }
                }
            }
            MsiState::Send => {
                if self.far.val() {
                    self.state.d.next = MsiState::Report;
                } else {
                    self.w_valid.next = true;
                    if self.w_ready.val() {
                        self.state.d.next = MsiState::Answer;
                    }
                }
            }
            MsiState::Answer => {
                if self.b_valid.val() {
                    self.state.d.next = MsiState::Idle;
                    if self.b_error.val() {
                        self.state.d.next = MsiState::Report;
                    }
                }
            }
            MsiState::Report => {
                self.record_valid.next = true;
                self.record.next.cause = self.cause.val();
                self.record.next.iova = self.iotval.val();
                if self.record_ready.val() {
                    self.state.d.next = MsiState::Idle;
                }
            }
            _ => {
                self.state.d.next = MsiState::Idle;
            }
        }
        self.owed_c.d.next = self.left_c.val() | self.made_c.val();
        self.owed_f.d.next = self.left_f.val() | self.made_f.val();
        self.owed_p.d.next = self.left_p.val() | self.made_p.val();

        if self.reset.val() {
            self.state.d.next = MsiState::Idle;
            self.owed_c.d.next = 0.into();
            self.owed_f.d.next = 0.into();
            self.owed_p.d.next = 0.into();
            self.masked.d.next = 0.into();
            self.civ.d.next = 0.into();
            self.fiv.d.next = 0.into();
            self.pmiv.d.next = 0.into();
        }
    }
}
