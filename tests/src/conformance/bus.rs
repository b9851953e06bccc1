//! An unruly but legal bus in front of a core: stalled writes and bubbles between the beats of a read.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::rc::Rc;

use portcullis_sim::core::{Core, Inputs, Outputs, ReadBeat, WriteBeat};

/// What the test turns while the machine runs.
#[derive(Clone, Default)]
pub struct Knobs {
    /// The memory takes no write beats.
    pub stall_writes: Rc<Cell<bool>>,
    /// Empty cycles after every beat of read data.
    pub bubbles: Rc<Cell<u64>>,
}

/// The core behind such a bus.
pub struct Unruly {
    core: Box<dyn Core>,
    knobs: Knobs,
    late: VecDeque<ReadBeat>,
    pause: u64,
    held: Option<WriteBeat>,
}

impl Unruly {
    /// Puts the bus in front of `core`.
    #[must_use]
    pub fn new(core: Box<dyn Core>, knobs: Knobs) -> Self {
        Self {
            core,
            knobs,
            late: VecDeque::new(),
            pause: 0,
            held: None,
        }
    }
}

impl Core for Unruly {
    fn settle(&mut self, inputs: &Inputs) -> Outputs {
        let mut seen = *inputs;
        self.late.extend(seen.r.take());
        if inputs.reset {
            self.late.clear();
            self.pause = 0;
        }
        if self.pause > 0 {
            self.pause -= 1;
        } else if let Some(beat) = self.late.pop_front() {
            seen.r = Some(beat);
            self.pause = self.knobs.bubbles.get();
        }
        let stalled = self.knobs.stall_writes.get();
        seen.w_ready &= !stalled;
        let mut out = self.core.settle(&seen);
        if self.held.is_some() && !inputs.reset {
            assert_eq!(out.w, self.held, "a write beat changed before it was taken");
        }
        self.held = None;
        if stalled {
            self.held = out.w.take();
        }
        out
    }

    fn clock(&mut self) {
        self.core.clock();
    }

    fn record_waves(&mut self, path: &Path) -> io::Result<()> {
        self.core.record_waves(path)
    }
}
