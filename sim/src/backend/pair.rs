//! Two cores in lock step: each gets the same inputs, and they must answer with the same outputs in every cycle.

use std::io;
use std::path::Path;

use crate::core::{Core, Inputs, Outputs};

/// Two cores that must not differ. To the outside it is the first.
pub struct Pair {
    first: Box<dyn Core>,
    second: Box<dyn Core>,
    cycle: u64,
}

impl Pair {
    /// Two cores, both at power-up.
    #[must_use]
    pub fn new(first: Box<dyn Core>, second: Box<dyn Core>) -> Self {
        Self {
            first,
            second,
            cycle: 0,
        }
    }
}

impl Core for Pair {
    /// # Panics
    /// The outputs differ. Cycles count from power-up here, so they include those of reset.
    fn settle(&mut self, inputs: &Inputs) -> Outputs {
        let first = self.first.settle(inputs);
        let second = self.second.settle(inputs);
        assert!(
            first == second,
            "the two cores differ in cycle {} from power-up\ninputs: {inputs:?}\nfirst:  {first:?}\nsecond: {second:?}",
            self.cycle
        );
        first
    }

    fn clock(&mut self) {
        self.first.clock();
        self.second.clock();
        self.cycle += 1;
    }

    /// Records the first core; the second with `-second` before the extension.
    fn record_waves(&mut self, path: &Path) -> io::Result<()> {
        let mut name = path.file_stem().unwrap_or_default().to_owned();
        name.push("-second");
        if let Some(extension) = path.extension() {
            name.push(".");
            name.push(extension);
        }
        self.first.record_waves(path)?;
        self.second.record_waves(&path.with_file_name(name))
    }
}
