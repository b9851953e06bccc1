//! What can be wrong with simulated hardware so that a simulation cannot go on, each in one line.

use std::fmt;

use crate::core::{RegAccess, Request};

/// Why a simulation cannot go on: always a defect of the simulated hardware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A translation request got no answer.
    Request {
        /// The request.
        request: Request,
        /// Cycle in which it was first offered.
        offered: u64,
        /// Cycle in which the port took it, if it did.
        issued: Option<u64>,
        /// Now.
        cycle: u64,
    },
    /// A register access got no answer.
    Register {
        /// The access.
        access: RegAccess,
        /// Cycle in which it was first offered.
        since: u64,
        /// Now.
        cycle: u64,
    },
    /// The core waits for visibility of device accesses that do not end.
    Sync {
        /// Cycle in which it first asked.
        since: u64,
        /// Now.
        cycle: u64,
    },
    /// A fence does not end although every single access does.
    Fence {
        /// Cycle of the doorbell.
        since: u64,
        /// Now.
        cycle: u64,
    },
    /// The core broke the contract of a port.
    Contract {
        /// What it did.
        what: String,
        /// Now.
        cycle: u64,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request {
                request,
                offered,
                issued,
                cycle,
            } => {
                write!(
                    f,
                    "hang: no answer to the translation request of device {:#x} for {:#x} {} cycles after it was \
                     offered in cycle {offered}",
                    request.device_id,
                    request.iova,
                    cycle - offered
                )?;
                match issued {
                    Some(issued) => write!(f, " (taken in cycle {issued})"),
                    None => write!(f, " (never taken)"),
                }
            }
            Self::Register {
                access,
                since,
                cycle,
            } => write!(
                f,
                "hang: no answer to the register {} at {:#x} {} cycles after it was offered in cycle {since}",
                if access.write { "write" } else { "read" },
                access.offset,
                cycle - since
            ),
            Self::Sync { since, cycle } => write!(
                f,
                "hang: device accesses not visible {} cycles after the core asked in cycle {since}",
                cycle - since
            ),
            Self::Fence { since, cycle } => write!(
                f,
                "hang: a fence not done {} cycles after the doorbell in cycle {since}",
                cycle - since
            ),
            Self::Contract { what, cycle } => {
                write!(
                    f,
                    "the core broke the contract of a port in cycle {cycle}: {what}"
                )
            }
        }
    }
}

impl std::error::Error for Failure {}
