//! The register file: what software sees, and the state bits behind it.
//!
//! Port: `valid` with `write`, `offset`, `wide` and `wdata` is held until `done`; `rdata` is valid with `done`, in the
//! cycle after the access took effect. Two cycles per access, in every state of the rest (HW8).
//! Access rules: 8-byte accesses to 8-byte registers, 4-byte ones to either half and to 4-byte registers; anything else
//! is dropped and reads 0, as do offsets without a register (REG-06, REG-07).
//! Events from the queues win over software's clearing of the same bit, so none is lost.

use crate::register_port::RegisterPort;
use crate::widen::unsigned_cast_to;
use portcullis_regmap::config::Config;
use rust_hdl::prelude::*;

/// `X` queue index bits.
#[derive(LogicBlock)]
pub struct Registers<const X: usize> {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Reset values of group 6.
    pub reset: Signal<In, Bit>,

    /// An access is offered.
    pub valid: Signal<In, Bit>,
    /// It writes.
    pub write: Signal<In, Bit>,
    /// Byte offset.
    pub offset: Signal<In, Bits<12>>,
    /// 8 bytes.
    pub wide: Signal<In, Bit>,
    /// Data; a 4-byte access uses the low half.
    pub wdata: Signal<In, Bits<64>>,
    /// It ends with this cycle.
    pub done: Signal<Out, Bit>,
    /// What it read; a 4-byte access uses the low half.
    pub rdata: Signal<Out, Bits<64>>,

    /// ddtp.iommu_mode.
    pub ddtp_mode: Signal<Out, Bits<3>>,
    /// ddtp.PPN.
    pub ddtp_frame: Signal<Out, Bits<28>>,
    /// ddtp.busy: a drain is wanted.
    pub ddtp_busy: Signal<Out, Bit>,
    /// It is complete.
    pub ddtp_done: Signal<In, Bit>,

    /// A command may be fetched.
    pub cq_go: Signal<Out, Bit>,
    /// cqb.PPN.
    pub cq_frame: Signal<Out, Bits<28>>,
    /// cqh.
    pub cq_head: Signal<Out, Bits<X>>,
    /// cqt.
    pub cq_tail: Signal<Out, Bits<X>>,
    /// Index mask.
    pub cq_mask: Signal<Out, Bits<X>>,
    /// A command is in work.
    pub cq_active: Signal<In, Bit>,
    /// cqh moves on.
    pub cq_advance: Signal<In, Bit>,
    /// Set cqmf.
    pub cq_memory_fault: Signal<In, Bit>,
    /// Set cmd_ill.
    pub cq_illegal: Signal<In, Bit>,
    /// Set fence_w_ip.
    pub cq_fence_wire: Signal<In, Bit>,

    /// fqcsr.fqen.
    pub fq_enabled: Signal<Out, Bit>,
    /// fqof or fqmf.
    pub fq_failed: Signal<Out, Bit>,
    /// fqb.PPN.
    pub fq_frame: Signal<Out, Bits<28>>,
    /// fqh.
    pub fq_head: Signal<Out, Bits<X>>,
    /// fqt.
    pub fq_tail: Signal<Out, Bits<X>>,
    /// Index mask.
    pub fq_mask: Signal<Out, Bits<X>>,
    /// Records are on their way.
    pub fq_active: Signal<In, Bit>,
    /// fqt moves on.
    pub fq_advance: Signal<In, Bit>,
    /// Set fqof.
    pub fq_overflow: Signal<In, Bit>,
    /// Set fqmf.
    pub fq_memory_fault: Signal<In, Bit>,

    /// ipsr.cip.
    pub cip: Signal<Out, Bit>,
    /// ipsr.fip.
    pub fip: Signal<Out, Bit>,
    /// ipsr.pmip.
    pub pmip: Signal<Out, Bit>,
    /// cip becomes 1, also in the very cycle that clears it (INT-06).
    pub cip_edge: Signal<Out, Bit>,
    /// Likewise fip.
    pub fip_edge: Signal<Out, Bit>,
    /// Likewise pmip.
    pub pmip_edge: Signal<Out, Bit>,
    /// Set pmip: a counter has overflowed.
    pub overflow: Signal<In, Bit>,
    /// fctl.WSI: interrupts are wires.
    pub wires: Signal<Out, Bit>,

    /// The access as other register blocks see it: it takes place in this cycle ...
    pub bus_access: Signal<Out, Bit>,
    /// ... and writes ...
    pub bus_write: Signal<Out, Bit>,
    /// ... in this doubleword ...
    pub bus_row: Signal<Out, Bits<9>>,
    /// ... the low half of an 8-byte register ...
    pub bus_low: Signal<Out, Bit>,
    /// ... its high half ...
    pub bus_high: Signal<Out, Bit>,
    /// ... the first 4-byte register ...
    pub bus_first: Signal<Out, Bit>,
    /// ... the second ...
    pub bus_second: Signal<Out, Bit>,
    /// ... with this low half ...
    pub bus_wlo: Signal<Out, Bits<32>>,
    /// ... and this high half.
    pub bus_whi: Signal<Out, Bits<32>>,
    /// What the other blocks read there: an 8-byte register's low half, or the first 4-byte register.
    pub ext_lo: Signal<In, Bits<32>>,
    /// Its high half, or the second 4-byte register.
    pub ext_hi: Signal<In, Bits<32>>,
    /// The doubleword holds 4-byte registers.
    pub ext_narrow: Signal<In, Bit>,

    port: RegisterPort,
    mode: DFF<Bits<3>>,
    busy: DFF<Bit>,
    ddt_lo: DFF<Bits<22>>,
    ddt_hi: DFF<Bits<6>>,
    cqb_size: DFF<Bits<5>>,
    cqb_lo: DFF<Bits<22>>,
    cqb_hi: DFF<Bits<6>>,
    cqh: DFF<Bits<X>>,
    cqt: DFF<Bits<X>>,
    cqen: DFF<Bit>,
    cie: DFF<Bit>,
    cqmf: DFF<Bit>,
    cmd_ill: DFF<Bit>,
    fence_w_ip: DFF<Bit>,
    fqb_size: DFF<Bits<5>>,
    fqb_lo: DFF<Bits<22>>,
    fqb_hi: DFF<Bits<6>>,
    fqh: DFF<Bits<X>>,
    fqt: DFF<Bits<X>>,
    fqen: DFF<Bit>,
    fie: DFF<Bit>,
    fqmf: DFF<Bit>,
    fqof: DFF<Bit>,
    command_ip: DFF<Bit>,
    fault_ip: DFF<Bit>,
    monitor_ip: DFF<Bit>,
    wsi: DFF<Bit>,

    access: Signal<Local, Bit>,
    low: Signal<Local, Bit>,
    high: Signal<Local, Bit>,
    first: Signal<Local, Bit>,
    second: Signal<Local, Bit>,
    row: Signal<Local, Bits<9>>,
    wlo: Signal<Local, Bits<32>>,
    whi: Signal<Local, Bits<32>>,
    new_mode: Signal<Local, Bits<4>>,
    new_size: Signal<Local, Bits<5>>,
    new_lo: Signal<Local, Bits<22>>,
    new_hi: Signal<Local, Bits<6>>,
    new_index: Signal<Local, Bits<X>>,
    cq_index_mask: DFF<Bits<X>>,
    cq_span: Signal<Local, Bits<X>>,
    cq_next: Signal<Local, Bits<X>>,
    fq_span: Signal<Local, Bits<X>>,
    fq_index_mask: DFF<Bits<X>>,
    fq_next: Signal<Local, Bits<X>>,
    cq_on: Signal<Local, Bit>,
    cq_off_busy: Signal<Local, Bit>,
    fq_off_busy: Signal<Local, Bit>,
    cq_error: Signal<Local, Bit>,
    fq_on: Signal<Local, Bit>,
    fq_error: Signal<Local, Bit>,
    cip_set: Signal<Local, Bit>,
    fip_set: Signal<Local, Bit>,
    ip_clear: Signal<Local, Bits<3>>,
    value: Signal<Local, Bits<32>>,
    value_hi: Signal<Local, Bits<32>>,

    capabilities_lo: Constant<Bits<32>>,
    capabilities_hi: Constant<Bits<32>>,
    wsi_reset: Constant<Bit>,
    wsi_writable: Constant<Bit>,
    modes: Constant<Bits<4>>,
    lo_mask: Constant<Bits<22>>,
    hi_mask: Constant<Bits<6>>,
    largest: Constant<Bits<5>>,
    two: Constant<Bits<X>>,
    one: Constant<Bits<X>>,
}

impl<const X: usize> Registers<X> {
    /// The registers of a configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let capabilities = config.capabilities;
        let frame_mask = (1u64 << (config.pas_bits() - 12)) - 1;
        Self {
            clock: Default::default(),
            reset: Default::default(),
            valid: Default::default(),
            write: Default::default(),
            offset: Default::default(),
            wide: Default::default(),
            wdata: Default::default(),
            done: Default::default(),
            rdata: Default::default(),
            ddtp_mode: Default::default(),
            ddtp_frame: Default::default(),
            ddtp_busy: Default::default(),
            ddtp_done: Default::default(),
            cq_go: Default::default(),
            cq_frame: Default::default(),
            cq_head: Default::default(),
            cq_tail: Default::default(),
            cq_mask: Default::default(),
            cq_active: Default::default(),
            cq_advance: Default::default(),
            cq_memory_fault: Default::default(),
            cq_illegal: Default::default(),
            cq_fence_wire: Default::default(),
            fq_enabled: Default::default(),
            fq_failed: Default::default(),
            fq_frame: Default::default(),
            fq_head: Default::default(),
            fq_tail: Default::default(),
            fq_mask: Default::default(),
            fq_active: Default::default(),
            fq_advance: Default::default(),
            fq_overflow: Default::default(),
            fq_memory_fault: Default::default(),
            cip: Default::default(),
            fip: Default::default(),
            pmip: Default::default(),
            cip_edge: Default::default(),
            fip_edge: Default::default(),
            pmip_edge: Default::default(),
            overflow: Default::default(),
            wires: Default::default(),
            bus_access: Default::default(),
            bus_write: Default::default(),
            bus_row: Default::default(),
            bus_low: Default::default(),
            bus_high: Default::default(),
            bus_first: Default::default(),
            bus_second: Default::default(),
            bus_wlo: Default::default(),
            bus_whi: Default::default(),
            ext_lo: Default::default(),
            ext_hi: Default::default(),
            ext_narrow: Default::default(),
            port: Default::default(),
            mode: Default::default(),
            busy: Default::default(),
            ddt_lo: Default::default(),
            ddt_hi: Default::default(),
            cqb_size: Default::default(),
            cqb_lo: Default::default(),
            cqb_hi: Default::default(),
            cqh: Default::default(),
            cqt: Default::default(),
            cqen: Default::default(),
            cie: Default::default(),
            cqmf: Default::default(),
            cmd_ill: Default::default(),
            fence_w_ip: Default::default(),
            fqb_size: Default::default(),
            fqb_lo: Default::default(),
            fqb_hi: Default::default(),
            fqh: Default::default(),
            fqt: Default::default(),
            fqen: Default::default(),
            fie: Default::default(),
            fqmf: Default::default(),
            fqof: Default::default(),
            command_ip: Default::default(),
            fault_ip: Default::default(),
            monitor_ip: Default::default(),
            wsi: Default::default(),
            access: Default::default(),
            low: Default::default(),
            high: Default::default(),
            first: Default::default(),
            second: Default::default(),
            row: Default::default(),
            wlo: Default::default(),
            whi: Default::default(),
            new_mode: Default::default(),
            new_size: Default::default(),
            new_lo: Default::default(),
            new_hi: Default::default(),
            new_index: Default::default(),
            cq_index_mask: Default::default(),
            cq_span: Default::default(),
            cq_next: Default::default(),
            fq_span: Default::default(),
            fq_index_mask: Default::default(),
            fq_next: Default::default(),
            cq_on: Default::default(),
            cq_off_busy: Default::default(),
            fq_off_busy: Default::default(),
            cq_error: Default::default(),
            fq_on: Default::default(),
            fq_error: Default::default(),
            cip_set: Default::default(),
            fip_set: Default::default(),
            ip_clear: Default::default(),
            value: Default::default(),
            value_hi: Default::default(),
            capabilities_lo: Constant::new((capabilities & 0xffff_ffff).into()),
            capabilities_hi: Constant::new((capabilities >> 32).into()),
            wsi_reset: Constant::new(config.fctl().wsi()),
            wsi_writable: Constant::new(config.fctl_writable & 2 != 0),
            modes: Constant::new((2 + u64::from(config.ddt_levels)).into()),
            lo_mask: Constant::new((frame_mask & 0x3f_ffff).into()),
            hi_mask: Constant::new((frame_mask >> 22).into()),
            largest: Constant::new((X as u64 - 1).into()),
            two: Constant::new(2u64.into()),
            one: Constant::new(1u64.into()),
        }
    }
}

impl<const X: usize> Logic for Registers<X> {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            cq_index_mask,
            fq_index_mask,
            mode,
            busy,
            ddt_lo,
            ddt_hi,
            cqb_size,
            cqb_lo,
            cqb_hi,
            cqh,
            cqt,
            cqen,
            cie,
            cqmf,
            cmd_ill,
            fence_w_ip,
            fqb_size,
            fqb_lo,
            fqb_hi,
            fqh,
            fqt,
            fqen,
            fie,
            fqmf,
            fqof,
            command_ip,
            fault_ip,
            monitor_ip,
            wsi
        );

        self.port.clock.next = self.clock.val();
        self.port.reset.next = self.reset.val();
        self.port.valid.next = self.valid.val();
        self.port.write.next = self.write.val();
        self.port.offset.next = self.offset.val();
        self.port.wide.next = self.wide.val();
        self.port.wdata.next = self.wdata.val();
        self.done.next = self.port.done.val();
        self.rdata.next = self.port.rdata.val();
        self.access.next = self.port.access.val();
        self.row.next = self.port.row.val();
        self.low.next = self.port.low.val();
        self.high.next = self.port.high.val();
        self.first.next = self.port.first.val();
        self.second.next = self.port.second.val();
        self.wlo.next = self.port.wlo.val();
        self.whi.next = self.port.whi.val();

        // Legal values of what is written (REG-11).
        self.new_mode.next = self.wlo.val().get_bits::<4>(0);
        self.new_size.next = self.wlo.val().get_bits::<5>(0);
        if self.new_size.val() > self.largest.val() {
            self.new_size.next = self.largest.val();
        }
        self.new_lo.next = self.wlo.val().get_bits::<22>(10) & self.lo_mask.val();
        self.new_hi.next = self.whi.val().get_bits::<6>(0) & self.hi_mask.val();
        self.new_index.next = self.wlo.val().get_bits::<X>(0);

        // Queue state.
        self.cq_span.next = self.two.val() << self.cqb_size.q.val();
        // Registers of their own, a cycle later: an access takes two, so none meets the mask of the size before.
        self.cq_index_mask.d.next = self.cq_span.val() - self.one.val();
        self.cq_next.next = self.cqh.q.val() + self.one.val();
        self.fq_span.next = self.two.val() << self.fqb_size.q.val();
        self.fq_index_mask.d.next = self.fq_span.val() - self.one.val();
        self.fq_next.next = self.fqt.q.val() + self.one.val();
        self.cq_on.next = self.cqen.q.val() | self.cq_active.val();
        self.fq_on.next = self.fqen.q.val() | self.fq_active.val();
        self.cq_off_busy.next = !self.cqen.q.val() & self.cq_active.val();
        self.fq_off_busy.next = !self.fqen.q.val() & self.fq_active.val();
        self.cq_error.next = self.cqmf.q.val() | self.cmd_ill.q.val();
        self.fq_error.next = self.fqmf.q.val() | self.fqof.q.val();

        // To the blocks.
        self.ddtp_mode.next = self.mode.q.val();
        self.ddtp_frame.next = (unsigned_cast_to::<28, 6>(self.ddt_hi.q.val()) << 22)
            | unsigned_cast_to::<28, 22>(self.ddt_lo.q.val());
        self.ddtp_busy.next = self.busy.q.val();
        self.cq_go.next =
            self.cqen.q.val() & !self.cq_error.val() & (self.cqh.q.val() != self.cqt.q.val());
        self.cq_frame.next = (unsigned_cast_to::<28, 6>(self.cqb_hi.q.val()) << 22)
            | unsigned_cast_to::<28, 22>(self.cqb_lo.q.val());
        self.cq_head.next = self.cqh.q.val();
        self.cq_tail.next = self.cqt.q.val();
        self.cq_mask.next = self.cq_index_mask.q.val();
        self.fq_enabled.next = self.fqen.q.val();
        self.fq_failed.next = self.fq_error.val();
        self.fq_frame.next = (unsigned_cast_to::<28, 6>(self.fqb_hi.q.val()) << 22)
            | unsigned_cast_to::<28, 22>(self.fqb_lo.q.val());
        self.fq_head.next = self.fqh.q.val();
        self.fq_tail.next = self.fqt.q.val();
        self.fq_mask.next = self.fq_index_mask.q.val();
        self.cip.next = self.command_ip.q.val();
        self.fip.next = self.fault_ip.q.val();
        self.pmip.next = self.monitor_ip.q.val();
        self.wires.next = self.wsi.q.val();
        self.bus_access.next = self.access.val();
        self.bus_write.next = self.access.val() & self.write.val();
        self.bus_row.next = self.row.val();
        self.bus_low.next = self.low.val();
        self.bus_high.next = self.high.val();
        self.bus_first.next = self.first.val();
        self.bus_second.next = self.second.val();
        self.bus_wlo.next = self.wlo.val();
        self.bus_whi.next = self.whi.val();

        // Reads and writes by doubleword. Offsets are those of REG-01, divided by 8.
        self.value.next = self.ext_lo.val();
        self.value_hi.next = self.ext_hi.val();
        if self.wide.val() & self.ext_narrow.val() {
            self.value.next = 0.into();
            self.value_hi.next = 0.into();
        }
        match self.row.val().index() {
            0 => {
                self.value.next = self.capabilities_lo.val();
                self.value_hi.next = self.capabilities_hi.val();
            }
            1 => {
                if !self.wide.val() {
                    self.value.next = unsigned_cast_to::<32, 1>(self.wsi.q.val().into()) << 1;
                }
            }
            2 => {
                self.value.next = (unsigned_cast_to::<32, 22>(self.ddt_lo.q.val()) << 10)
                    | (unsigned_cast_to::<32, 1>(self.busy.q.val().into()) << 4)
                    | unsigned_cast_to::<32, 3>(self.mode.q.val());
                self.value_hi.next = unsigned_cast_to::<32, 6>(self.ddt_hi.q.val());
            }
            3 => {
                self.value.next = (unsigned_cast_to::<32, 22>(self.cqb_lo.q.val()) << 10)
                    | unsigned_cast_to::<32, 5>(self.cqb_size.q.val());
                self.value_hi.next = unsigned_cast_to::<32, 6>(self.cqb_hi.q.val());
            }
            4 => {
                if !self.wide.val() {
                    self.value.next = unsigned_cast_to::<32, X>(self.cqh.q.val());
                    self.value_hi.next = unsigned_cast_to::<32, X>(self.cqt.q.val());
                }
            }
            5 => {
                self.value.next = (unsigned_cast_to::<32, 22>(self.fqb_lo.q.val()) << 10)
                    | unsigned_cast_to::<32, 5>(self.fqb_size.q.val());
                self.value_hi.next = unsigned_cast_to::<32, 6>(self.fqb_hi.q.val());
            }
            6 => {
                if !self.wide.val() {
                    self.value.next = unsigned_cast_to::<32, X>(self.fqh.q.val());
                    self.value_hi.next = unsigned_cast_to::<32, X>(self.fqt.q.val());
                }
            }
            9 => {
                if !self.wide.val() {
                    self.value.next = unsigned_cast_to::<32, 1>(self.cqen.q.val().into())
                        | (unsigned_cast_to::<32, 1>(self.cie.q.val().into()) << 1)
                        | (unsigned_cast_to::<32, 1>(self.cqmf.q.val().into()) << 8)
                        | (unsigned_cast_to::<32, 1>(self.cmd_ill.q.val().into()) << 10)
                        | (unsigned_cast_to::<32, 1>(self.fence_w_ip.q.val().into()) << 11)
                        | (unsigned_cast_to::<32, 1>(self.cq_on.val().into()) << 16)
                        | (unsigned_cast_to::<32, 1>(self.cq_off_busy.val().into()) << 17);
                    self.value_hi.next = unsigned_cast_to::<32, 1>(self.fqen.q.val().into())
                        | (unsigned_cast_to::<32, 1>(self.fie.q.val().into()) << 1)
                        | (unsigned_cast_to::<32, 1>(self.fqmf.q.val().into()) << 8)
                        | (unsigned_cast_to::<32, 1>(self.fqof.q.val().into()) << 9)
                        | (unsigned_cast_to::<32, 1>(self.fq_on.val().into()) << 16)
                        | (unsigned_cast_to::<32, 1>(self.fq_off_busy.val().into()) << 17);
                }
            }
            10 => {
                if !self.wide.val() {
                    self.value_hi.next = unsigned_cast_to::<32, 1>(self.command_ip.q.val().into())
                        | (unsigned_cast_to::<32, 1>(self.fault_ip.q.val().into()) << 1)
                        | (unsigned_cast_to::<32, 1>(self.monitor_ip.q.val().into()) << 2);
                }
            }
            _ => {}
        }
        self.port.value.next = self.value.val();
        self.port.value_hi.next = self.value_hi.val();

        self.ip_clear.next = 0.into();
        if self.access.val() & self.write.val() {
            match self.row.val().index() {
                1 => {
                    // FCTL-03, FCTL-05: only while everything is off.
                    if self.first.val()
                        & self.wsi_writable.val()
                        & (self.mode.q.val() == 0)
                        & !self.cq_on.val()
                        & !self.fq_on.val()
                    {
                        self.wsi.d.next = self.wlo.val().get_bit(1);
                    }
                }
                2 => {
                    // DDTP-04..DDTP-06: an unsupported mode, a write while busy and one directory over another change
                    // nothing.
                    if !self.busy.q.val() {
                        if self.low.val()
                            & (self.new_mode.val() < self.modes.val())
                            & !((self.new_mode.val() > 1) & (self.mode.q.val() > 1))
                        {
                            self.mode.d.next = self.new_mode.val().get_bits::<3>(0);
                            self.ddt_lo.d.next = self.new_lo.val();
                            self.busy.d.next = true;
                            if self.high.val() {
                                self.ddt_hi.d.next = self.new_hi.val();
                            }
                        }
                        if self.second.val() & (self.mode.q.val() < 2) {
                            self.ddt_hi.d.next = self.new_hi.val();
                        }
                    }
                }
                3 => {
                    if !self.cq_on.val() {
                        if self.low.val() {
                            self.cqb_size.d.next = self.new_size.val();
                            self.cqb_lo.d.next = self.new_lo.val();
                            self.cqt.d.next = 0.into();
                        }
                        if self.high.val() {
                            self.cqb_hi.d.next = self.new_hi.val();
                        }
                    }
                }
                4 => {
                    if self.second.val() {
                        self.cqt.d.next = self.new_index.val() & self.cq_index_mask.q.val();
                    }
                }
                5 => {
                    if !self.fq_on.val() {
                        if self.low.val() {
                            self.fqb_size.d.next = self.new_size.val();
                            self.fqb_lo.d.next = self.new_lo.val();
                            self.fqh.d.next = 0.into();
                        }
                        if self.high.val() {
                            self.fqb_hi.d.next = self.new_hi.val();
                        }
                    }
                }
                6 => {
                    if self.first.val() {
                        self.fqh.d.next = self.new_index.val() & self.fq_index_mask.q.val();
                    }
                }
                9 => {
                    // CQCSR-01, CQCSR-02, CQCSR-04; FQCSR likewise.
                    if self.first.val() & !self.cq_off_busy.val() {
                        self.cqen.d.next = self.wlo.val().get_bit(0);
                        self.cie.d.next = self.wlo.val().get_bit(1);
                        if self.wlo.val().get_bit(8) {
                            self.cqmf.d.next = false;
                        }
                        if self.wlo.val().get_bit(10) {
                            self.cmd_ill.d.next = false;
                        }
                        if self.wlo.val().get_bit(11) {
                            self.fence_w_ip.d.next = false;
                        }
                        if self.wlo.val().get_bit(0) & !self.cqen.q.val() {
                            self.cqh.d.next = 0.into();
                            self.cqmf.d.next = false;
                            self.cmd_ill.d.next = false;
                            self.fence_w_ip.d.next = false;
                        }
                    }
                    if self.second.val() & !self.fq_off_busy.val() {
                        self.fqen.d.next = self.wlo.val().get_bit(0);
                        self.fie.d.next = self.wlo.val().get_bit(1);
                        if self.wlo.val().get_bit(8) {
                            self.fqmf.d.next = false;
                        }
                        if self.wlo.val().get_bit(9) {
                            self.fqof.d.next = false;
                        }
                        if self.wlo.val().get_bit(0) & !self.fqen.q.val() {
                            self.fqt.d.next = 0.into();
                            self.fqmf.d.next = false;
                            self.fqof.d.next = false;
                        }
                    }
                }
                10 => {
                    if self.second.val() {
                        self.ip_clear.next = self.wlo.val().get_bits::<3>(0);
                    }
                }
                _ => {}
            }
        }

        // Events of the queues.
        if self.ddtp_done.val() {
            self.busy.d.next = false;
        }
        if self.cq_advance.val() {
            self.cqh.d.next = self.cq_next.val() & self.cq_index_mask.q.val();
        }
        if self.cq_memory_fault.val() {
            self.cqmf.d.next = true;
        }
        if self.cq_illegal.val() {
            self.cmd_ill.d.next = true;
        }
        if self.cq_fence_wire.val() {
            self.fence_w_ip.d.next = true;
        }
        if self.fq_advance.val() {
            self.fqt.d.next = self.fq_next.val() & self.fq_index_mask.q.val();
        }
        if self.fq_memory_fault.val() {
            self.fqmf.d.next = true;
        }
        if self.fq_overflow.val() {
            self.fqof.d.next = true;
        }
        // Pending bits follow their conditions (INT-02, INT-03, INT-05..INT-07): a condition that still holds, or comes
        // in the very cycle of the clearing, sets its bit anew.
        self.cip_set.next = self.cie.q.val() & (self.cq_error.val() | self.fence_w_ip.q.val());
        self.fip_set.next = self.fie.q.val() & (self.fq_error.val() | self.fq_advance.val());
        if self.ip_clear.val().get_bit(0) {
            self.command_ip.d.next = false;
        }
        if self.ip_clear.val().get_bit(1) {
            self.fault_ip.d.next = false;
        }
        if self.ip_clear.val().get_bit(2) {
            self.monitor_ip.d.next = false;
        }
        if self.cip_set.val() {
            self.command_ip.d.next = true;
        }
        if self.fip_set.val() {
            self.fault_ip.d.next = true;
        }
        if self.overflow.val() {
            self.monitor_ip.d.next = true;
        }
        self.cip_edge.next =
            self.cip_set.val() & (!self.command_ip.q.val() | self.ip_clear.val().get_bit(0));
        self.fip_edge.next =
            self.fip_set.val() & (!self.fault_ip.q.val() | self.ip_clear.val().get_bit(1));
        self.pmip_edge.next =
            self.overflow.val() & (!self.monitor_ip.q.val() | self.ip_clear.val().get_bit(2));

        if self.reset.val() {
            self.monitor_ip.d.next = false;
            self.wsi.d.next = self.wsi_reset.val();
            self.mode.d.next = 0.into();
            self.busy.d.next = false;
            self.cqh.d.next = 0.into();
            self.cqt.d.next = 0.into();
            self.cqen.d.next = false;
            self.cie.d.next = false;
            self.cqmf.d.next = false;
            self.cmd_ill.d.next = false;
            self.fence_w_ip.d.next = false;
            self.fqh.d.next = 0.into();
            self.fqt.d.next = 0.into();
            self.fqen.d.next = false;
            self.fie.d.next = false;
            self.fqmf.d.next = false;
            self.fqof.d.next = false;
            self.command_ip.d.next = false;
            self.fault_ip.d.next = false;
        }
    }
}
