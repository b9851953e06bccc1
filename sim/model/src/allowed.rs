//! Every outcome that the specification allows for a request, whatever caches there are.
//!
//! A translation is a path of reads: directory entries, the context, page-table entries. Caches may have made each
//! read earlier, and the path may have been put together over time. The rules (MEM-02, MEM-04, HW1, HW2) come down
//! to one question: is there a moment `tf` at which the last read of the path was made, such that
//!
//! * the last entry had its value at `tf`, and no invalidation that covers it was issued after `tf` and known to be
//!   complete before the answer;
//! * each pointer on the way had been written by `tf`, and was not replaced before an invalidation of pointers that
//!   was complete at `tf`;
//! * if the path ends in a fault, `tf` lies within the life of the request: what is not valid is never cached, and a
//!   cached translation that does not permit an access is read again (AD-11).
//!
//! Every combination of versions is tried, and the latest `tf` computed for each: a later one never allows less.

use std::collections::BTreeSet;

use crate::command::Invalidation;
use crate::context::Context;
use crate::explore::{Choices, Explorer, Fixed};
use crate::memory::Versions;
use crate::translate::{Features, Root, find_context, translate};
use crate::types::{Outcome, Request};

/// Combinations tried for one request before it counts as too free to be judged.
const LIMIT: usize = 200_000;
/// The end of time.
pub(crate) const NEVER: u64 = u64::MAX;

/// Moments between which a request was in flight: submitted, answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// When it was submitted.
    pub from: u64,
    /// When it was answered.
    pub to: u64,
}

/// The request has more combinations of versions than [`allowed()`] tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

/// A setting of ddtp, from its write on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub mode: u8,
    pub ppn: u64,
    pub start: u64,
    /// When the switch was known to be complete.
    settled: u64,
}

/// An invalidation: issued at `kick`, known to be complete at `done`.
#[derive(Clone, Copy, Debug)]
struct Issued {
    what: Invalidation,
    kick: u64,
    done: u64,
}

/// What happened to the IOMMU that bears on the freedom of its caches.
#[derive(Clone, Debug)]
pub struct History {
    pub(crate) spans: Vec<Span>,
    issued: Vec<Issued>,
    devices: BTreeSet<u32>,
}

impl Default for History {
    fn default() -> Self {
        Self::new()
    }
}

impl History {
    /// After reset: ddtp is Off (RST-02), no cache holds anything (RST-03).
    #[must_use]
    pub fn new() -> Self {
        let off = Span {
            mode: 0,
            ppn: 0,
            start: 0,
            settled: 0,
        };
        Self {
            spans: vec![off],
            issued: Vec::new(),
            devices: BTreeSet::new(),
        }
    }

    /// ddtp is written at `time`; until [`History::settled`] both settings count (DDTP-05, DDTP-07).
    pub fn switch(&mut self, time: u64, mode: u8, ppn: u64) {
        self.spans.push(Span {
            mode,
            ppn,
            start: time,
            settled: NEVER,
        });
    }

    /// ddtp.busy was seen to be 0 just before `time`.
    pub fn settled(&mut self, time: u64) {
        for span in &mut self.spans {
            span.settled = span.settled.min(time);
        }
    }

    /// Whether a switch is not known to be complete.
    #[must_use]
    pub fn switching(&self) -> bool {
        self.spans.iter().any(|span| span.settled == NEVER)
    }

    /// An invalidation that was issued at `kick` and is complete at `done`, because a fence behind it is (FEN-02).
    pub fn invalidated(&mut self, what: Invalidation, kick: u64, done: u64) {
        if what != Invalidation::Nothing {
            self.issued.push(Issued { what, kick, done });
        }
    }

    /// A device sends requests: its contexts may be cached from now on.
    pub fn device(&mut self, device_id: u32) {
        self.devices.insert(device_id);
    }

    /// When the setting stopped to count: the next one had settled.
    pub(crate) fn end(&self, span: usize) -> Deadline {
        Deadline::at(self.spans.get(span + 1).map_or(NEVER, |next| next.settled))
    }

    /// When what was read before `deadline` is dropped by an invalidation that `covers` it.
    pub(crate) fn dropped(
        &self,
        deadline: Deadline,
        covers: impl Fn(&Invalidation) -> bool,
    ) -> Deadline {
        let after =
            |order: usize, issued: &Issued| issued.kick >= deadline.time || order >= deadline.order;
        let hit = self
            .issued
            .iter()
            .enumerate()
            .find(|(order, issued)| after(*order, issued) && covers(&issued.what));
        hit.map_or(Deadline::at(NEVER), |(order, issued)| Deadline {
            time: issued.done,
            order,
        })
    }
}

/// The first moment at which something can no longer be read, and the first invalidation that finds it so: the one
/// that dropped it also drops what was made from it, and so do those behind it in the queue (SW-08).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline {
    pub time: u64,
    pub order: usize,
}

impl Deadline {
    /// A moment that no invalidation set.
    pub fn at(time: u64) -> Self {
        Self {
            time,
            order: usize::MAX,
        }
    }

    /// Both deadlines hold.
    pub fn min(self, other: Self) -> Self {
        Self {
            time: self.time.min(other.time),
            order: self.order.min(other.order),
        }
    }
}

/// A page table that was in use under a tag from `start` until just before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Space {
    pub root: Root,
    pub start: u64,
    pub end: Deadline,
}

/// Every page table that any device's context named, with the time in which translations may have come from it.
fn spaces(
    features: &Features,
    memory: &Versions,
    history: &History,
    life: Life,
) -> Result<Vec<Space>, TooMany> {
    let mut spaces: Vec<Space> = Vec::new();
    let mut tried = 0;
    for device in &history.devices {
        for span in 0..history.spans.len() {
            let Span { mode, ppn, .. } = history.spans[span];
            if mode < 2 || history.spans[span].start > life.to {
                continue;
            }
            let mut choices = Choices::default();
            loop {
                let mut explorer = Explorer::new(memory, history, life, &[], &mut choices, *device);
                explorer.directory = span;
                let mut fixed = Fixed(&mut explorer);
                let found = find_context(features, *device, mode - 1, ppn, &mut fixed);
                if let Ok(Context {
                    root: Some(root), ..
                }) = found
                    && let Some(reach) = explorer.directory_reach()
                {
                    let space = Space {
                        root,
                        start: reach.first,
                        end: explorer.context_gone(reach.end),
                    };
                    if !spaces.contains(&space) {
                        spaces.push(space);
                    }
                }
                tried += 1;
                if tried > LIMIT {
                    return Err(TooMany);
                }
                if !choices.next() {
                    break;
                }
            }
        }
    }
    Ok(spaces)
}

/// Every outcome that a request which lived that long may have, given the past.
///
/// # Errors
/// There are too many combinations to try.
pub fn allowed(
    features: &Features,
    memory: &Versions,
    history: &History,
    request: &Request,
    life: Life,
) -> Result<Vec<Outcome>, TooMany> {
    let spaces = spaces(features, memory, history, life)?;
    let mut outcomes: Vec<Outcome> = Vec::new();
    let mut choices = Choices::default();
    for _ in 0..LIMIT {
        let device = request.device_id;
        let mut explorer = Explorer::new(memory, history, life, &spaces, &mut choices, device);
        let outcome = translate(features, request, &mut explorer);
        if explorer.directory_legal(&outcome)
            && explorer.table_legal(&outcome)
            && !outcomes.contains(&outcome)
        {
            outcomes.push(outcome);
        }
        if !choices.next() {
            return Ok(outcomes);
        }
    }
    Err(TooMany)
}
