//! The memory port: brings the accesses of the walker and the queues to one read and one write channel.
//!
//! Reads: the walker goes before the command queue, but not twice while that one waits, and lines of page-table entries
//! go when neither wants anything; a request that has been offered stays until it is taken. Data comes back with the
//! requester's id: 0 to 7 a walk, 8 the command queue; in a build that fetches lines 0 to 3 a walk, 4 to 7 and 12 to 15 a
//! line. Each id has one read in flight at most; those of different ids may come back in any order, doubleword by doubleword.
//! Writes: one burst at a time, from its first beat to its answer; the fence goes before MSIs and these before fault
//! records, so that a storm of faults cannot hold up an IOFENCE.C. Timing: everything here is combinational; the
//! registers only remember who was promised the port.

use crate::types::MemAddr;
use crate::widen::unsigned_cast_to;
use portcullis_regmap::config::Config;
use rust_hdl::prelude::*;

/// See the module.
#[derive(LogicBlock)]
pub struct MemoryPort {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Forgets promises.
    pub reset: Signal<In, Bit>,

    /// Walker: read wanted.
    pub walk_valid: Signal<In, Bit>,
    /// Taken.
    pub walk_ready: Signal<Out, Bit>,
    /// Page number.
    pub walk_frame: Signal<In, Bits<28>>,
    /// Offset.
    pub walk_off: Signal<In, Bits<12>>,
    /// It is the directory.
    pub walk_ddt: Signal<In, Bit>,
    /// It is a device context: four doublewords.
    pub walk_dc: Signal<In, Bit>,
    /// For this walk.
    pub walk_id: Signal<In, Bits<3>>,
    /// Data for a walk ...
    pub walk_r_valid: Signal<Out, Bit>,
    /// ... this one.
    pub walk_r_id: Signal<Out, Bits<3>>,

    /// Line of page-table entries: read of eight doublewords wanted.
    pub line_valid: Signal<In, Bit>,
    /// Taken.
    pub line_ready: Signal<Out, Bit>,
    /// Page number.
    pub line_frame: Signal<In, Bits<28>>,
    /// Offset.
    pub line_off: Signal<In, Bits<12>>,
    /// For this line.
    pub line_place: Signal<In, Bits<3>>,
    /// Data for a line ...
    pub line_r_valid: Signal<Out, Bit>,
    /// ... this one.
    pub line_r_place: Signal<Out, Bits<3>>,

    /// Command queue: read wanted.
    pub cmd_valid: Signal<In, Bit>,
    /// Taken.
    pub cmd_ready: Signal<Out, Bit>,
    /// Page number.
    pub cmd_frame: Signal<In, Bits<28>>,
    /// Offset.
    pub cmd_off: Signal<In, Bits<12>>,
    /// Doublewords, less one.
    pub cmd_len: Signal<In, Bits<3>>,
    /// Data for the command queue.
    pub cmd_r_valid: Signal<Out, Bit>,

    /// Fence: write of one word wanted.
    pub fence_valid: Signal<In, Bit>,
    /// Taken.
    pub fence_ready: Signal<Out, Bit>,
    /// Page number.
    pub fence_frame: Signal<In, Bits<28>>,
    /// Offset, 8-byte aligned.
    pub fence_off: Signal<In, Bits<12>>,
    /// Data.
    pub fence_data: Signal<In, Bits<64>>,
    /// It is the upper word.
    pub fence_upper: Signal<In, Bit>,
    /// Answer for the fence.
    pub fence_b_valid: Signal<Out, Bit>,

    /// Interrupts: write of one word wanted (an MSI).
    pub msi_valid: Signal<In, Bit>,
    /// Taken.
    pub msi_ready: Signal<Out, Bit>,
    /// Page number.
    pub msi_frame: Signal<In, Bits<28>>,
    /// Offset, 4-byte aligned.
    pub msi_off: Signal<In, Bits<12>>,
    /// Data.
    pub msi_data: Signal<In, Bits<32>>,
    /// Answer for the MSI.
    pub msi_b_valid: Signal<Out, Bit>,

    /// Fault queue: write wanted.
    pub fault_valid: Signal<In, Bit>,
    /// Taken.
    pub fault_ready: Signal<Out, Bit>,
    /// Page number.
    pub fault_frame: Signal<In, Bits<28>>,
    /// Offset.
    pub fault_off: Signal<In, Bits<12>>,
    /// Data.
    pub fault_data: Signal<In, Bits<64>>,
    /// Last doubleword.
    pub fault_last: Signal<In, Bit>,
    /// Answer for the fault queue.
    pub fault_b_valid: Signal<Out, Bit>,

    /// Read request.
    pub ar_valid: Signal<Out, Bit>,
    /// Taken.
    pub ar_ready: Signal<In, Bit>,
    /// Byte address.
    pub ar_addr: Signal<Out, Bits<56>>,
    /// Doublewords, less one.
    pub ar_len: Signal<Out, Bits<3>>,
    /// 0 to 7 a walk, 8 the command queue.
    pub ar_id: Signal<Out, Bits<4>>,
    /// 0 directory, 1 page table, 2 command, 6 line of page-table entries.
    pub ar_purpose: Signal<Out, Bits<3>>,
    /// Read data.
    pub r_valid: Signal<In, Bit>,
    /// Whose.
    pub r_id: Signal<In, Bits<4>>,

    /// Write beat.
    pub w_valid: Signal<Out, Bit>,
    /// Taken.
    pub w_ready: Signal<In, Bit>,
    /// Byte address of the beat.
    pub w_addr: Signal<Out, Bits<56>>,
    /// Data.
    pub w_data: Signal<Out, Bits<64>>,
    /// Byte enables.
    pub w_strobe: Signal<Out, Bits<8>>,
    /// Last beat.
    pub w_last: Signal<Out, Bit>,
    /// 3 fault record, 4 fence, 5 MSI.
    pub w_purpose: Signal<Out, Bits<3>>,
    /// Answer to the burst.
    pub b_valid: Signal<In, Bit>,

    read_held: DFF<Bit>,
    read_cmd: DFF<Bit>,
    read_line: DFF<Bit>,
    walk_last: DFF<Bit>,
    writing: DFF<Bit>,
    writer: DFF<Bits<2>>,
    answering: DFF<Bit>,

    choose_cmd: Signal<Local, Bit>,
    choose_line: Signal<Local, Bit>,
    walk_first: Signal<Local, Bit>,
    of_line: Signal<Local, Bit>,
    has_lines: Constant<Bit>,
    choose: Signal<Local, Bits<2>>,
    msi_wide: Signal<Local, Bits<64>>,
    write_open: Signal<Local, Bit>,
    ar: Signal<Local, MemAddr>,
    w: Signal<Local, MemAddr>,
    no_address: Constant<MemAddr>,
    cmd_id: Constant<Bits<4>>,
    line_id: Constant<Bits<4>>,
    all_bytes: Constant<Bits<8>>,
    low_bytes: Constant<Bits<8>>,
    high_bytes: Constant<Bits<8>>,
    quad_mask: Constant<Bits<12>>,
}

impl MemoryPort {
    /// The port of a configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            walk_valid: Default::default(),
            walk_ready: Default::default(),
            walk_frame: Default::default(),
            walk_off: Default::default(),
            walk_ddt: Default::default(),
            walk_dc: Default::default(),
            walk_id: Default::default(),
            walk_r_valid: Default::default(),
            walk_r_id: Default::default(),
            line_valid: Default::default(),
            line_ready: Default::default(),
            line_frame: Default::default(),
            line_off: Default::default(),
            line_place: Default::default(),
            line_r_valid: Default::default(),
            line_r_place: Default::default(),
            cmd_valid: Default::default(),
            cmd_ready: Default::default(),
            cmd_frame: Default::default(),
            cmd_off: Default::default(),
            cmd_len: Default::default(),
            cmd_r_valid: Default::default(),
            fence_valid: Default::default(),
            fence_ready: Default::default(),
            fence_frame: Default::default(),
            fence_off: Default::default(),
            fence_data: Default::default(),
            fence_upper: Default::default(),
            fence_b_valid: Default::default(),
            msi_valid: Default::default(),
            msi_ready: Default::default(),
            msi_frame: Default::default(),
            msi_off: Default::default(),
            msi_data: Default::default(),
            msi_b_valid: Default::default(),
            fault_valid: Default::default(),
            fault_ready: Default::default(),
            fault_frame: Default::default(),
            fault_off: Default::default(),
            fault_data: Default::default(),
            fault_last: Default::default(),
            fault_b_valid: Default::default(),
            ar_valid: Default::default(),
            ar_ready: Default::default(),
            ar_addr: Default::default(),
            ar_len: Default::default(),
            ar_id: Default::default(),
            ar_purpose: Default::default(),
            r_valid: Default::default(),
            r_id: Default::default(),
            w_valid: Default::default(),
            w_ready: Default::default(),
            w_addr: Default::default(),
            w_data: Default::default(),
            w_strobe: Default::default(),
            w_last: Default::default(),
            w_purpose: Default::default(),
            b_valid: Default::default(),
            read_held: Default::default(),
            read_cmd: Default::default(),
            read_line: Default::default(),
            walk_last: Default::default(),
            writing: Default::default(),
            writer: Default::default(),
            answering: Default::default(),
            choose_cmd: Default::default(),
            choose_line: Default::default(),
            walk_first: Default::default(),
            of_line: Default::default(),
            has_lines: Constant::new(config.pte_lines != 0),
            choose: Default::default(),
            msi_wide: Default::default(),
            write_open: Default::default(),
            ar: Default::default(),
            w: Default::default(),
            no_address: Constant::new(MemAddr::default()),
            cmd_id: Constant::new(crate::types::read_id::COMMAND.into()),
            line_id: Constant::new(crate::types::read_id::LINE.into()),
            all_bytes: Constant::new(0xffu64.into()),
            low_bytes: Constant::new(0x0fu64.into()),
            high_bytes: Constant::new(0xf0u64.into()),
            quad_mask: Constant::new(0xff8u64.into()),
        }
    }
}

impl Logic for MemoryPort {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self, clock, read_held, read_cmd, read_line, walk_last, writing, writer, answering
        );

        // Reads.
        // The walker's turn does not wait for its request, behind which lies the judgement of an entry.
        self.walk_first.next = !(self.cmd_valid.val() & self.walk_last.q.val());
        self.choose_line.next =
            self.has_lines.val() & !self.walk_valid.val() & !self.cmd_valid.val();
        if self.read_held.q.val() {
            self.walk_first.next = !self.read_cmd.q.val() & !self.read_line.q.val();
            self.choose_line.next = self.read_line.q.val();
        }
        self.choose_cmd.next = !self.walk_first.val() | !self.walk_valid.val();
        self.ar_valid.next = self.walk_valid.val()
            | self.cmd_valid.val()
            | (self.line_valid.val() & self.has_lines.val());
        self.ar.next = self.no_address.val();
        self.ar.next.frame = self.walk_frame.val();
        self.ar.next.off = self.walk_off.val();
        self.ar_len.next = 0.into();
        self.ar_purpose.next = 1.into();
        if self.walk_dc.val() {
            self.ar_len.next = 3.into();
        }
        if self.walk_ddt.val() {
            self.ar_purpose.next = 0.into();
        }
        self.walk_ready.next = self.ar_ready.val() & self.walk_first.val();
        self.cmd_ready.next = self.ar_ready.val() & self.choose_cmd.val() & !self.choose_line.val();
        self.line_ready.next = self.ar_ready.val() & self.choose_line.val();
        if self.choose_cmd.val() {
            self.ar.next.frame = self.cmd_frame.val();
            self.ar.next.off = self.cmd_off.val();
            self.ar_len.next = self.cmd_len.val();
            self.ar_purpose.next = 2.into();
        }
        self.ar_id.next = unsigned_cast_to::<4, 3>(self.walk_id.val());
        if self.choose_cmd.val() {
            self.ar_id.next = self.cmd_id.val();
        }
        if self.choose_line.val() {
            self.ar.next.frame = self.line_frame.val();
            self.ar.next.off = self.line_off.val();
            self.ar_len.next = 7.into();
            self.ar_purpose.next = 6.into();
            self.ar_id.next = unsigned_cast_to::<4, 2>(self.line_place.val().get_bits::<2>(0))
                | (unsigned_cast_to::<4, 1>(self.line_place.val().get_bit(2).into()) << 3)
                | self.line_id.val();
        }
        if self.ar_valid.val() & self.ar_ready.val() & !self.choose_line.val() {
            self.walk_last.d.next = !self.choose_cmd.val();
        }
        self.read_line.d.next = self.choose_line.val();
        self.ar_addr.next = self.ar.val().into();
        self.read_held.d.next = self.ar_valid.val() & !self.ar_ready.val();
        self.read_cmd.d.next = self.choose_cmd.val();
        // Ids that nobody uses are nobody's data.
        self.of_line.next = self.has_lines.val() & self.r_id.val().get_bit(2);
        self.walk_r_valid.next =
            self.r_valid.val() & !self.r_id.val().get_bit(3) & !self.of_line.val();
        self.line_r_valid.next = self.r_valid.val() & self.of_line.val();
        self.line_r_place.next = (unsigned_cast_to::<3, 1>(self.r_id.val().get_bit(3).into()) << 2)
            | unsigned_cast_to::<3, 2>(self.r_id.val().get_bits::<2>(0));
        self.walk_r_id.next = self.r_id.val().get_bits::<3>(0);
        self.cmd_r_valid.next = self.r_valid.val() & (self.r_id.val() == self.cmd_id.val());

        // Writes. Writer 0 is the fence, 1 an MSI, 2 the fault queue.
        self.choose.next = 2.into();
        if self.msi_valid.val() {
            self.choose.next = 1.into();
        }
        if self.fence_valid.val() {
            self.choose.next = 0.into();
        }
        if self.writing.q.val() | self.answering.q.val() {
            self.choose.next = self.writer.q.val();
        }
        self.write_open.next = !self.answering.q.val();
        self.w_valid.next = self.write_open.val() & self.fence_valid.val();
        self.w.next = self.no_address.val();
        self.w.next.frame = self.fence_frame.val();
        self.w.next.off = self.fence_off.val();
        self.w_data.next = self.fence_data.val();
        self.w_last.next = true;
        self.w_purpose.next = 4.into();
        self.w_strobe.next = self.low_bytes.val();
        if self.fence_upper.val() {
            self.w_strobe.next = self.high_bytes.val();
        }
        self.msi_wide.next = unsigned_cast_to::<64, 32>(self.msi_data.val());
        if self.choose.val() == 1 {
            self.w_valid.next = self.write_open.val() & self.msi_valid.val();
            self.w.next.frame = self.msi_frame.val();
            self.w.next.off = self.msi_off.val() & self.quad_mask.val();
            self.w_data.next = (self.msi_wide.val() << 32) | self.msi_wide.val();
            self.w_purpose.next = 5.into();
            self.w_strobe.next = self.low_bytes.val();
            if self.msi_off.val().get_bit(2) {
                self.w_strobe.next = self.high_bytes.val();
            }
        }
        if self.choose.val() == 2 {
            self.w_valid.next = self.write_open.val() & self.fault_valid.val();
            self.w.next.frame = self.fault_frame.val();
            self.w.next.off = self.fault_off.val();
            self.w_data.next = self.fault_data.val();
            self.w_last.next = self.fault_last.val();
            self.w_purpose.next = 3.into();
            self.w_strobe.next = self.all_bytes.val();
        }
        self.w_addr.next = self.w.val().into();
        self.fence_ready.next =
            self.write_open.val() & self.w_ready.val() & (self.choose.val() == 0);
        self.msi_ready.next = self.write_open.val() & self.w_ready.val() & (self.choose.val() == 1);
        self.fault_ready.next =
            self.write_open.val() & self.w_ready.val() & (self.choose.val() == 2);
        if self.w_valid.val() {
            self.writing.d.next = true;
            self.writer.d.next = self.choose.val();
            if self.w_ready.val() & self.w_last.val() {
                self.writing.d.next = false;
                self.answering.d.next = true;
            }
        }
        if self.answering.q.val() & self.b_valid.val() {
            self.answering.d.next = false;
        }
        self.fence_b_valid.next =
            self.answering.q.val() & self.b_valid.val() & (self.writer.q.val() == 0);
        self.msi_b_valid.next =
            self.answering.q.val() & self.b_valid.val() & (self.writer.q.val() == 1);
        self.fault_b_valid.next =
            self.answering.q.val() & self.b_valid.val() & (self.writer.q.val() == 2);

        if self.reset.val() {
            self.read_held.d.next = false;
            self.walk_last.d.next = false;
            self.writing.d.next = false;
            self.answering.d.next = false;
        }
    }
}
