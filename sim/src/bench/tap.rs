//! Listens at the memory port: the cycle of every accepted read and of every accepted last beat of a write.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::rc::Rc;

use crate::core::{Core, Inputs, Outputs, Purpose};

/// What went over the port, oldest first. Cycles count from the end of reset, as the harness counts them.
#[derive(Debug, Default)]
pub struct Log {
    /// Read requests.
    pub reads: Vec<(u64, Purpose)>,
    /// Last beats of writes.
    pub writes: Vec<(u64, Purpose)>,
}

/// A core with a listener.
pub struct Tap {
    core: Box<dyn Core>,
    log: Rc<RefCell<Log>>,
    cycle: u64,
    resetting: bool,
}

impl Tap {
    /// Listens to `core`; what it hears is in the second value.
    #[must_use]
    pub fn new(core: Box<dyn Core>) -> (Self, Rc<RefCell<Log>>) {
        let log = Rc::<RefCell<Log>>::default();
        let tap = Self {
            core,
            log: Rc::clone(&log),
            cycle: 0,
            resetting: true,
        };
        (tap, log)
    }
}

impl Core for Tap {
    fn settle(&mut self, inputs: &Inputs) -> Outputs {
        let out = self.core.settle(inputs);
        self.resetting = inputs.reset;
        if !inputs.reset {
            let mut log = self.log.borrow_mut();
            if let Some(read) = out.ar.filter(|_| inputs.ar_ready) {
                log.reads.push((self.cycle, read.purpose));
            }
            if let Some(beat) = out.w.filter(|beat| inputs.w_ready && beat.last) {
                log.writes.push((self.cycle, beat.purpose));
            }
        }
        out
    }

    fn clock(&mut self) {
        self.core.clock();
        self.cycle = if self.resetting { 0 } else { self.cycle + 1 };
    }

    fn record_waves(&mut self, path: &Path) -> io::Result<()> {
        self.core.record_waves(path)
    }
}
