//! The invalidation queue (the specification's command queue): fetches commands in bursts, checks and executes them in
//! order.
//!
//! ```text
//! Idle: read up to E commands ─► Work ─┬─► invalidation: takes its turn in the lookup pipeline ─┐
//!                                      ├─► Drain ─► Store ─► Answer: IOFENCE.C ─────────────────┴─► next one, or Idle
//!                                      └─► illegal, or fetch failed: error bit, `cqh` stays ─► Drop ─► Idle
//! ```
//!
//! A burst ends at cqt, at the end of the queue, or at the end of a 4 KiB page, whichever comes first, and the next one
//! is asked for when all its commands have been executed. Commands are executed while the rest of their burst
//! arrives, and what a command is was decided when its doublewords came: the buffer is read for operands only, which
//! keeps the decoding out of the path through the lookup pipeline. A command of the burst that was not begun when the queue stopped (an error, cqen=0, cqt moved back) is
//! dropped: it is fetched again if the queue goes on, so software may rewrite it (CQ-09).
//!
//! Timing: an invalidation acts 2 cycles after its second doubleword; four take L+9 cycles (L cycles from read request
//! to first data), one alone L+3.
//! Invariants: `advance` (cqh) is given only for a command that is complete, or that is certain to act before anything
//! later; an IOFENCE.C is passed only when its effects are visible, and nothing behind it is executed before
//! (FEN-02, HW6); a command that fails stays at cqh, whatever became of those fetched with it (CQ-05, CQ-09).

use crate::cells::CommandBuffer;
use crate::types::*;
use crate::widen::unsigned_cast_to;
use portcullis_regmap::config::Config;
use rust_hdl::prelude::*;

/// States of the command queue.
#[derive(LogicState, Debug, Copy, Clone, PartialEq)]
pub enum CommandState {
    /// Asks for the next commands while there are some.
    Idle,
    /// Checks a command and executes what needs no waiting.
    Work,
    /// IOFENCE.C: waits for everything before it.
    Drain,
    /// Stores DATA.
    Store,
    /// Waits for the store's answer.
    Answer,
    /// Lets the rest of the burst go by.
    Drop,
}

/// `X` queue index bits, bursts of up to `E` commands (1 or 4).
#[derive(LogicBlock)]
pub struct CommandQueue<const X: usize, const E: usize> {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Back to Idle.
    pub reset: Signal<In, Bit>,
    /// There is a command and nothing forbids its fetch (CQ-02, CQ-04).
    pub go: Signal<In, Bit>,
    /// cqb.PPN.
    pub base: Signal<In, Bits<28>>,
    /// cqh.
    pub head: Signal<In, Bits<X>>,
    /// cqt.
    pub tail: Signal<In, Bits<X>>,
    /// Mask of an index into the queue.
    pub mask: Signal<In, Bits<X>>,
    /// fctl.WSI: interrupts are wires, so a fence may raise one (FEN-09).
    pub wires: Signal<In, Bit>,
    /// A command is in work: the queue is not off yet (CQCSR-03).
    pub active: Signal<Out, Bit>,
    /// cqh moves on.
    pub advance: Signal<Out, Bit>,
    /// Set cqcsr.cqmf.
    pub memory_fault: Signal<Out, Bit>,
    /// Set cqcsr.cmd_ill.
    pub illegal: Signal<Out, Bit>,
    /// Set cqcsr.fence_w_ip.
    pub fence_wire: Signal<Out, Bit>,

    /// Memory read wanted.
    pub ar_valid: Signal<Out, Bit>,
    /// It is taken.
    pub ar_ready: Signal<In, Bit>,
    /// Page number.
    pub ar_frame: Signal<Out, Bits<28>>,
    /// Offset in the page.
    pub ar_off: Signal<Out, Bits<12>>,
    /// Doublewords, less one.
    pub ar_len: Signal<Out, Bits<3>>,
    /// Read data for this block.
    pub r_valid: Signal<In, Bit>,
    /// The doubleword.
    pub r_data: Signal<In, Bits<64>>,
    /// Its status.
    pub r_status: Signal<In, Bits<2>>,
    /// The last one of the burst.
    pub r_last: Signal<In, Bit>,

    /// An invalidation wants into the pipeline.
    pub op_valid: Signal<Out, Bit>,
    /// It is taken.
    pub op_ready: Signal<In, Bit>,
    /// Which.
    pub op: Signal<Out, PipeOp>,
    /// Its operands.
    pub op_arg: Signal<Out, Req>,

    /// IOFENCE.C: everything before it is to be finished ...
    pub drain_valid: Signal<Out, Bit>,
    /// ... device reads too (PR) ...
    pub drain_reads: Signal<Out, Bit>,
    /// ... device writes too (PW) ...
    pub drain_writes: Signal<Out, Bit>,
    /// ... and is.
    pub drain_done: Signal<In, Bit>,

    /// Store wanted.
    pub w_valid: Signal<Out, Bit>,
    /// It is taken.
    pub w_ready: Signal<In, Bit>,
    /// Page number.
    pub w_frame: Signal<Out, Bits<28>>,
    /// Offset in the page, 8-byte aligned.
    pub w_off: Signal<Out, Bits<12>>,
    /// DATA, in both halves.
    pub w_data: Signal<Out, Bits<64>>,
    /// It goes to the upper half.
    pub w_upper: Signal<Out, Bit>,
    /// The store's answer.
    pub b_valid: Signal<In, Bit>,
    /// It failed.
    pub b_error: Signal<In, Bit>,

    state: DFF<CommandState>,
    buffer: CommandBuffer<E>,
    asked: DFF<Bit>,
    len: DFF<Bits<3>>,
    beats: DFF<Bits<4>>,
    arriving: DFF<Bit>,
    bad: DFF<Bits<4>>,
    invals: DFF<Bits<4>>,
    fences: DFF<Bits<4>>,
    dirs: DFF<Bits<4>>,
    fars: DFF<Bits<4>>,
    at: DFF<Bits<2>>,

    left: Signal<Local, Bits<X>>,
    left_here: Signal<Local, Bits<X>>,
    behind: Signal<Local, Bits<X>>,
    behind_here: Signal<Local, Bits<X>>,
    behind_page: Signal<Local, Bits<8>>,
    room: Signal<Local, Bits<9>>,
    count: Signal<Local, Bits<3>>,
    doubled: Signal<Local, Bits<3>>,
    new_len: Signal<Local, Bits<3>>,
    beat_command: Signal<Local, Bits<2>>,
    whole: Signal<Local, Bits<3>>,
    here: Signal<Local, Bit>,
    last: Signal<Local, Bit>,
    stopped: Signal<Local, Bit>,
    head_wide: Signal<Local, Bits<28>>,
    row: Signal<Local, Bits<8>>,
    w0: Signal<Local, Bits<64>>,
    w1: Signal<Local, Bits<64>>,
    word: Signal<Local, Bits<64>>,
    word_opcode: Signal<Local, Bits<7>>,
    word_func3: Signal<Local, Bits<3>>,
    word_inval: Signal<Local, Bit>,
    word_fence: Signal<Local, Bit>,
    word_dir: Signal<Local, Bit>,
    func3: Signal<Local, Bits<3>>,
    address: Signal<Local, Iova>,
    address_word: Signal<Local, Bits<64>>,
    inval: Signal<Local, Bit>,
    fence: Signal<Local, Bit>,
    dir: Signal<Local, Bit>,
    did_wide: Signal<Local, Bit>,
    has_effect: Signal<Local, Bit>,
    done: Signal<Local, Bit>,
    store_far: Signal<Local, Bit>,
    data_low: Signal<Local, Bits<32>>,
    data_wide: Signal<Local, Bits<64>>,
    store_off: Signal<Local, Bits<10>>,
    store_off_wide: Signal<Local, Bits<12>>,

    bursts: Constant<Bit>,
    most: Constant<Bits<3>>,
    one: Constant<Bits<3>>,
    inval_reserved0: Constant<Bits<64>>,
    inval_reserved1: Constant<Bits<64>>,
    fence_reserved0: Constant<Bits<64>>,
    fence_reserved1: Constant<Bits<64>>,
    dir_reserved0: Constant<Bits<64>>,
    pid_mask: Constant<Bits<64>>,
    pid_wide_mask: Constant<Bits<64>>,
    did_wide_mask: Constant<Bits<64>>,
    store_far_mask: Constant<Bits<64>>,
    frame_mask: Constant<Bits<28>>,
    quad_mask: Constant<Bits<12>>,
}

impl<const X: usize, const E: usize> CommandQueue<X, E> {
    /// The command queue of a configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let pas = config.pas_bits();
        let frame_mask = (1u64 << (pas - 12)) - 1;
        let caps = config.capabilities();
        let no_nl = u64::from(!caps.nl()) << 34;
        let no_s = u64::from(!caps.s()) << 9;
        // DIR-07: by the largest directory, not the current mode (A-21).
        let no_did = u64::MAX
            .checked_shl(40 + config.device_id_bits())
            .unwrap_or(0);
        Self {
            clock: Default::default(),
            reset: Default::default(),
            go: Default::default(),
            base: Default::default(),
            head: Default::default(),
            tail: Default::default(),
            mask: Default::default(),
            wires: Default::default(),
            active: Default::default(),
            advance: Default::default(),
            memory_fault: Default::default(),
            illegal: Default::default(),
            fence_wire: Default::default(),
            ar_valid: Default::default(),
            ar_ready: Default::default(),
            ar_frame: Default::default(),
            ar_off: Default::default(),
            ar_len: Default::default(),
            r_valid: Default::default(),
            r_data: Default::default(),
            r_status: Default::default(),
            r_last: Default::default(),
            op_valid: Default::default(),
            op_ready: Default::default(),
            op: Default::default(),
            op_arg: Default::default(),
            drain_valid: Default::default(),
            drain_reads: Default::default(),
            drain_writes: Default::default(),
            drain_done: Default::default(),
            w_valid: Default::default(),
            w_ready: Default::default(),
            w_frame: Default::default(),
            w_off: Default::default(),
            w_data: Default::default(),
            w_upper: Default::default(),
            b_valid: Default::default(),
            b_error: Default::default(),
            state: Default::default(),
            buffer: Default::default(),
            asked: Default::default(),
            len: Default::default(),
            beats: Default::default(),
            arriving: Default::default(),
            bad: Default::default(),
            invals: Default::default(),
            fences: Default::default(),
            dirs: Default::default(),
            fars: Default::default(),
            at: Default::default(),
            left: Default::default(),
            left_here: Default::default(),
            behind: Default::default(),
            behind_here: Default::default(),
            behind_page: Default::default(),
            room: Default::default(),
            count: Default::default(),
            doubled: Default::default(),
            new_len: Default::default(),
            beat_command: Default::default(),
            whole: Default::default(),
            here: Default::default(),
            last: Default::default(),
            stopped: Default::default(),
            head_wide: Default::default(),
            row: Default::default(),
            w0: Default::default(),
            w1: Default::default(),
            word: Default::default(),
            word_opcode: Default::default(),
            word_func3: Default::default(),
            word_inval: Default::default(),
            word_fence: Default::default(),
            word_dir: Default::default(),
            func3: Default::default(),
            address: Default::default(),
            address_word: Default::default(),
            inval: Default::default(),
            fence: Default::default(),
            dir: Default::default(),
            did_wide: Default::default(),
            has_effect: Default::default(),
            done: Default::default(),
            store_far: Default::default(),
            data_low: Default::default(),
            data_wide: Default::default(),
            store_off: Default::default(),
            store_off_wide: Default::default(),
            // Of one command, none is behind the first.
            bursts: Constant::new(E > 1),
            most: Constant::new((E as u64).into()),
            one: Constant::new(1u64.into()),
            // INV-01; NL (34) and S (dw1 bit 9) are reserved without their capability (INV-23, INV-26).
            inval_reserved0: Constant::new((0xf000_0ff8_0000_0800u64 | no_nl).into()),
            inval_reserved1: Constant::new((0xc000_0000_0000_01ffu64 | no_s).into()),
            // FEN-01.
            fence_reserved0: Constant::new(0x0000_0000_ffff_c000u64.into()),
            fence_reserved1: Constant::new(0xc000_0000_0000_0000u64.into()),
            // DIR-01.
            dir_reserved0: Constant::new(0x0000_00fd_0000_0c00u64.into()),
            pid_mask: Constant::new(0x0000_0000_ffff_f000u64.into()),
            // A-22: without PD17 and PD20 a PID has 8 bits.
            pid_wide_mask: Constant::new(0x0000_0000_fff0_0000u64.into()),
            did_wide_mask: Constant::new(no_did.into()),
            // Bit n of the doubleword is bit n + 2 of the address; 63:62 are reserved anyway.
            store_far_mask: Constant::new((u64::MAX << (pas - 2)).into()),
            frame_mask: Constant::new(frame_mask.into()),
            quad_mask: Constant::new(0xff8u64.into()),
        }
    }
}

impl<const X: usize, const E: usize> Logic for CommandQueue<X, E> {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self, clock, state, asked, len, beats, arriving, bad, invals, fences, dirs, fars, at
        );
        clock!(self, clock, buffer);

        // What a burst brings: up to cqt, and no further than the end of the queue or of the page.
        self.left.next = self.tail.val() - self.head.val();
        self.left_here.next = self.left.val() & self.mask.val();
        self.behind.next = !self.head.val();
        self.behind_here.next = self.behind.val() & self.mask.val();
        self.behind_page.next = self.behind_here.val().get_bits::<8>(0);
        self.count.next = self.most.val();
        self.room.next = unsigned_cast_to::<9, 8>(self.behind_page.val()) + 1;
        if self.room.val() < unsigned_cast_to::<9, 3>(self.most.val()) {
            self.count.next = self.room.val().get_bits::<3>(0);
        }
        if self.left_here.val() < unsigned_cast_to::<X, 3>(self.count.val()) {
            self.count.next = self.left_here.val().get_bits::<3>(0);
        }
        self.doubled.next = self.count.val() << 1;
        self.new_len.next = self.doubled.val() - self.one.val();

        // The burst arrives while its first commands are executed.
        self.beat_command.next = self.beats.q.val().get_bits::<2>(1);
        self.buffer.we.next = self.r_valid.val();
        self.buffer.wa.next = self.beat_command.val();
        self.buffer.second.next = self.beats.q.val().get_bit(0);
        self.buffer.wd.next = self.r_data.val();
        self.buffer.ra.next = self.at.q.val();
        // Each doubleword is judged as it arrives, a cycle before anything waits for it; what stays in the buffer is read
        // for operands. The masks are tested on whole doublewords; the kernel has no cheaper way.
        self.word.next = self.r_data.val();
        self.word_opcode.next = self.word.val().get_bits::<7>(0);
        self.word_func3.next = self.word.val().get_bits::<3>(7);
        self.word_inval.next = (self.word_opcode.val() == 1)
            & ((self.word.val() & self.inval_reserved0.val()) == 0)
            & ((self.word_func3.val() == 0)
                | ((self.word_func3.val() == 1) & !self.word.val().get_bit(32)));
        self.word_fence.next = (self.word_opcode.val() == 2)
            & ((self.word.val() & self.fence_reserved0.val()) == 0)
            & (self.word_func3.val() == 0);
        self.did_wide.next =
            self.word.val().get_bit(33) & ((self.word.val() & self.did_wide_mask.val()) != 0);
        self.word_dir.next = (self.word_opcode.val() == 3)
            & ((self.word.val() & self.dir_reserved0.val()) == 0)
            & !self.did_wide.val()
            & (((self.word_func3.val() == 0) & ((self.word.val() & self.pid_mask.val()) == 0))
                | ((self.word_func3.val() == 1)
                    & self.word.val().get_bit(33)
                    & ((self.word.val() & self.pid_wide_mask.val()) == 0)));
        if self.beats.q.val().get_bit(0) {
            self.word_inval.next = self.invals.q.val().get_bit(self.beat_command.val().index())
                & ((self.word.val() & self.inval_reserved1.val()) == 0);
            self.word_fence.next = self.fences.q.val().get_bit(self.beat_command.val().index())
                & ((self.word.val() & self.fence_reserved1.val()) == 0);
            self.word_dir.next =
                self.dirs.q.val().get_bit(self.beat_command.val().index()) & (self.word.val() == 0);
        }
        if self.r_valid.val() {
            self.beats.d.next = self.beats.q.val() + 1;
            self.invals.d.next = self
                .invals
                .q
                .val()
                .replace_bit(self.beat_command.val().index(), self.word_inval.val());
            self.fences.d.next = self
                .fences
                .q
                .val()
                .replace_bit(self.beat_command.val().index(), self.word_fence.val());
            self.dirs.d.next = self
                .dirs
                .q
                .val()
                .replace_bit(self.beat_command.val().index(), self.word_dir.val());
            self.fars.d.next = self.fars.q.val().replace_bit(
                self.beat_command.val().index(),
                (self.word.val() & self.store_far_mask.val()) != 0,
            );
            if self.r_last.val() {
                self.arriving.d.next = false;
            }
            if self.r_status.val() != 0 {
                self.bad.d.next = self
                    .bad
                    .q
                    .val()
                    .replace_bit(self.beat_command.val().index(), true);
            }
        }
        self.whole.next = self.beats.q.val().get_bits::<3>(1);
        self.here.next = self.whole.val() > unsigned_cast_to::<3, 2>(self.at.q.val());
        self.last.next = self.len.q.val().get_bits::<2>(1) == self.at.q.val();
        // The first command of a burst is executed whatever happens meanwhile; those behind it only if the queue goes on.
        self.stopped.next = self.bursts.val() & (self.at.q.val() != 0) & !self.go.val();

        // Fields that are left for later.
        self.w0.next = self.buffer.word0.val();
        self.w1.next = self.buffer.word1.val();
        self.inval.next = self.invals.q.val().get_bit(self.at.q.val().index());
        self.fence.next = self.fences.q.val().get_bit(self.at.q.val().index())
            & (!self.w0.val().get_bit(11) | self.wires.val());
        self.dir.next = self.dirs.q.val().get_bit(self.at.q.val().index());
        self.func3.next = self.w0.val().get_bits::<3>(7);
        // Without second stage and process contexts GVMA, VMA of a guest and INVAL_PDT find nothing (A-22, A-48).
        self.has_effect.next =
            (self.func3.val() == 0) & (self.dir.val() | !self.w0.val().get_bit(33));

        // Operands of an invalidation. ADDR[63:12] stands at 61:10: two places up it is an address.
        self.address_word.next = self.w1.val() << 2;
        self.address.next = self.address_word.val().into();
        self.op.next = PipeOp::InvalVma;
        self.op_arg.next.off = 0.into();
        self.op_arg.next.vpn0 = self.address.val().vpn0;
        self.op_arg.next.vpn1 = self.address.val().vpn1;
        self.op_arg.next.vpn2 = self.address.val().vpn2;
        self.op_arg.next.vpn3 = self.address.val().vpn3;
        self.op_arg.next.vpn4 = self.address.val().vpn4;
        self.op_arg.next.hi = 0.into();
        self.op_arg.next.tag = unsigned_cast_to::<6, 1>(self.w0.val().get_bit(34).into());
        self.op_arg.next.did = self.w0.val().get_bits::<24>(40);
        self.op_arg.next.pv = self.w0.val().get_bit(32);
        self.op_arg.next.pid = self.w0.val().get_bits::<20>(12);
        self.op_arg.next.sup = self.w0.val().get_bit(33);
        self.op_arg.next.access = 0.into();
        self.op_arg.next.kind = 0.into();
        self.op_arg.next.debug = false;
        if self.w0.val().get_bit(10) {
            self.op_arg.next.kind = 1.into();
            // INV-27: a range ends at the lowest 0 of ADDR. Entries of superpages see no more than these three (INV-16).
            if self.w1.val().get_bit(9) {
                self.op_arg.next.access = 1.into();
                if self.address.val().vpn0.all() {
                    self.op_arg.next.access = 2.into();
                    if self.address.val().vpn1.all() {
                        self.op_arg.next.access = 3.into();
                    }
                }
            }
        }
        if self.dir.val() {
            self.op.next = PipeOp::InvalDdt;
        }
        self.op_valid.next = false;

        // Operands of IOFENCE.C.
        self.drain_valid.next = false;
        self.drain_reads.next = self.w0.val().get_bit(12);
        self.drain_writes.next = self.w0.val().get_bit(13);
        self.store_far.next = self.fars.q.val().get_bit(self.at.q.val().index());
        self.store_off.next = self.w1.val().get_bits::<10>(0);
        self.store_off_wide.next = unsigned_cast_to::<12, 10>(self.store_off.val()) << 2;
        self.data_low.next = self.w0.val().get_bits::<32>(32);
        self.data_wide.next = unsigned_cast_to::<64, 32>(self.data_low.val());
        self.w_valid.next = false;
        self.w_frame.next = self.w1.val().get_bits::<28>(10) & self.frame_mask.val();
        self.w_off.next = self.store_off_wide.val() & self.quad_mask.val();
        self.w_data.next = (self.data_wide.val() << 32) | self.data_wide.val();
        self.w_upper.next = self.store_off.val().get_bit(0);

        self.active.next = true;
        self.advance.next = false;
        self.memory_fault.next = false;
        self.illegal.next = false;
        self.fence_wire.next = false;
        self.done.next = false;
        self.ar_valid.next = false;
        self.head_wide.next = unsigned_cast_to::<28, X>(self.head.val());
        self.row.next = self.head_wide.val().get_bits::<8>(0);
        self.ar_frame.next = self.base.val() | (self.head_wide.val() >> 8);
        self.ar_off.next = unsigned_cast_to::<12, 8>(self.row.val()) << 4;
        self.ar_len.next = self.new_len.val();

        match self.state.q.val() {
            CommandState::Idle => {
                self.active.next = false;
                self.at.d.next = 0.into();
                self.beats.d.next = 0.into();
                self.bad.d.next = 0.into();
                // Once asked for, a burst is fetched as it was asked for, whatever software does meanwhile.
                self.asked.d.next = false;
                if self.asked.q.val() {
                    self.ar_len.next = self.len.q.val();
                }
                if self.go.val() | self.asked.q.val() {
                    self.active.next = true;
                    self.ar_valid.next = true;
                    self.asked.d.next = !self.ar_ready.val();
                    self.len.d.next = self.ar_len.val();
                    if self.ar_ready.val() {
                        self.arriving.d.next = true;
                        self.state.d.next = CommandState::Work;
                    }
                }
            }
            CommandState::Work => {
                if self.stopped.val() {
                    self.state.d.next = CommandState::Drop;
                } else if self.here.val() {
                    if self.bad.q.val().get_bit(self.at.q.val().index()) {
                        self.memory_fault.next = true;
                        self.state.d.next = CommandState::Drop;
                    } else if self.inval.val() | self.dir.val() {
                        self.op_valid.next = self.has_effect.val();
                        self.done.next = self.op_ready.val() | !self.has_effect.val();
                    } else if self.fence.val() {
                        self.state.d.next = CommandState::Drain;
                    } else {
                        self.illegal.next = true;
                        self.state.d.next = CommandState::Drop;
                    }
                }
            }
            CommandState::Drain => {
                self.drain_valid.next = true;
                if self.drain_done.val() {
                    if self.w0.val().get_bit(10) {
                        self.state.d.next = CommandState::Store;
                    } else {
                        self.done.next = true;
                        self.fence_wire.next = self.w0.val().get_bit(11);
                    }
                }
            }
            CommandState::Store => {
                if self.store_far.val() {
                    self.memory_fault.next = true;
                    self.state.d.next = CommandState::Drop;
                } else {
                    self.w_valid.next = true;
                    if self.w_ready.val() {
                        self.state.d.next = CommandState::Answer;
                    }
                }
            }
            CommandState::Answer => {
                if self.b_valid.val() {
                    if self.b_error.val() {
                        self.memory_fault.next = true;
                        self.state.d.next = CommandState::Drop;
                    } else {
                        self.done.next = true;
                        self.fence_wire.next = self.w0.val().get_bit(11);
                    }
                }
            }
            CommandState::Drop => {
                if !self.arriving.q.val() {
                    self.state.d.next = CommandState::Idle;
                }
            }
            _ => {
                self.state.d.next = CommandState::Idle;
            }
        }
        self.advance.next = self.done.val();
        if self.done.val() {
            self.at.d.next = self.at.q.val() + 1;
            self.state.d.next = CommandState::Work;
            if self.last.val() {
                self.state.d.next = CommandState::Idle;
            }
        }

        if self.reset.val() {
            self.state.d.next = CommandState::Idle;
            self.asked.d.next = false;
        }
    }
}
