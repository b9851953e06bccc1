//! The drain: "everything processed so far is finished and visible", for IOFENCE.C and for a change of ddtp.
//!
//! ```text
//! Idle ─► Pipe: a fence takes its turn in the lookup pipeline ─► Walk: until no walk older than it is in flight
//!      ─► Sync: the bus confirms the device accesses granted so far (PR, PW) ─► Done
//! ```
//!
//! Both users hold their request until `done`. ddtp goes first, because it must get through while the command queue is
//! stopped (HW9); a fence that is already being drained finishes before it. Every step ends by itself: walks are not
//! restarted, and the bus answers.

use crate::types::PipeOp;
use rust_hdl::prelude::*;

/// States of the drain.
#[derive(LogicState, Debug, Copy, Clone, PartialEq)]
pub enum DrainState {
    /// Looks for a request.
    Idle,
    /// Offers the fence to the pipeline.
    Pipe,
    /// Waits until it comes out.
    Leave,
    /// Waits for older walks.
    Walk,
    /// Waits for device accesses.
    Sync,
    /// Tells the user.
    Done,
}

/// See the module.
#[derive(LogicBlock, Default)]
pub struct Drain {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Back to Idle.
    pub reset: Signal<In, Bit>,
    /// ddtp has been written.
    pub ddtp_valid: Signal<In, Bit>,
    /// Its drain is complete.
    pub ddtp_done: Signal<Out, Bit>,
    /// IOFENCE.C waits ...
    pub fence_valid: Signal<In, Bit>,
    /// ... for device reads (PR) ...
    pub fence_reads: Signal<In, Bit>,
    /// ... for device writes (PW) ...
    pub fence_writes: Signal<In, Bit>,
    /// ... and may go on.
    pub fence_done: Signal<Out, Bit>,
    /// The fence wants into the pipeline.
    pub op_valid: Signal<Out, Bit>,
    /// It is taken.
    pub op_ready: Signal<In, Bit>,
    /// The kind of operation it is.
    pub op: Signal<Out, PipeOp>,
    /// It has left the pipeline.
    pub passed: Signal<In, Bit>,
    /// An older walk is in flight.
    pub stale: Signal<In, Bit>,
    /// Device reads granted so far are to become visible.
    pub sync_reads: Signal<Out, Bit>,
    /// Device writes granted so far are to become visible.
    pub sync_writes: Signal<Out, Bit>,
    /// They are.
    pub sync_ack: Signal<In, Bit>,
    state: DFF<DrainState>,
    for_ddtp: DFF<Bit>,
    reads: DFF<Bit>,
    writes: DFF<Bit>,
}

impl Logic for Drain {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, state, for_ddtp, reads, writes);
        self.op.next = PipeOp::Fence;
        self.op_valid.next = false;
        self.ddtp_done.next = false;
        self.fence_done.next = false;
        self.sync_reads.next = false;
        self.sync_writes.next = false;
        match self.state.q.val() {
            DrainState::Idle => {
                self.for_ddtp.d.next = self.ddtp_valid.val();
                self.reads.d.next = self.fence_reads.val() | self.ddtp_valid.val();
                self.writes.d.next = self.fence_writes.val() | self.ddtp_valid.val();
                if self.ddtp_valid.val() | self.fence_valid.val() {
                    self.state.d.next = DrainState::Pipe;
                }
            }
            DrainState::Pipe => {
                self.op_valid.next = true;
                if self.op_ready.val() {
                    self.state.d.next = DrainState::Leave;
                }
            }
            DrainState::Leave => {
                if self.passed.val() {
                    self.state.d.next = DrainState::Walk;
                }
            }
            DrainState::Walk => {
                if !self.stale.val() {
                    self.state.d.next = DrainState::Done;
                    if self.reads.q.val() | self.writes.q.val() {
                        self.state.d.next = DrainState::Sync;
                    }
                }
            }
            DrainState::Sync => {
                self.sync_reads.next = self.reads.q.val();
                self.sync_writes.next = self.writes.q.val();
                if self.sync_ack.val() {
                    self.state.d.next = DrainState::Done;
                }
            }
            DrainState::Done => {
                self.ddtp_done.next = self.for_ddtp.q.val();
                self.fence_done.next = !self.for_ddtp.q.val();
                self.state.d.next = DrainState::Idle;
            }
            _ => {
                self.state.d.next = DrainState::Idle;
            }
        }
        if self.reset.val() {
            self.state.d.next = DrainState::Idle;
        }
    }
}
