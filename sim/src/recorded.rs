//! The recorded logs that are replayed if none is named.

use crate::plan::{Plan, plan};
use crate::trace::{Trace, TraceError, parse};

/// A log that comes with the program.
#[derive(Clone, Copy, Debug)]
pub struct Recorded {
    /// File name.
    pub name: &'static str,
    /// Contents.
    pub log: &'static [u8],
}

/// Two recordings of Linux: unmapping with a flush each, and with deferred flushes.
pub const LOGS: [Recorded; 2] = [
    Recorded {
        name: "linux-vtd-nvme-e1000e-strict.log",
        log: include_bytes!("../../traces/linux-vtd-nvme-e1000e-strict.log"),
    },
    Recorded {
        name: "linux-vtd-nvme-e1000e-lazy.log",
        log: include_bytes!("../../traces/linux-vtd-nvme-e1000e-lazy.log"),
    },
];

impl Recorded {
    /// File name without extension.
    #[must_use]
    pub fn stem(&self) -> &'static str {
        self.name.strip_suffix(".log").unwrap_or(self.name)
    }

    /// The log, read and planned.
    ///
    /// # Errors
    /// The log is damaged.
    pub fn plan(&self) -> Result<(Trace, Plan), TraceError> {
        let trace = parse(self.log)?;
        let plan = plan(&trace);
        Ok((trace, plan))
    }
}
