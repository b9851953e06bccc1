//! The performance monitor: what counters must say at rest.
//!
//! How often caches miss is free (MEM-01), so the model's own counts are not comparable. What is exact is compared
//! exactly: requests (events 1 to 3) one by one through the model's filters, and entries read (events 5 and 7, one for
//! each, A-45) against the reads that the memory port has seen. With a filter those, and misses (event 4) always, are
//! bounded by the same reads. Counters start far from their end: overflows have their own conformance tests.

use portcullis_model as model;
use portcullis_sim::core::Purpose;

use super::runner::{Check, Runner};

const INHIBIT: u16 = 92;
const COUNTER: u16 = 104;
const EVENT: u16 = 352;
const COUNTERS: u16 = 4;

/// What has happened since the counters were compared last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Monitor {
    /// Requests that each counter counts.
    requests: [u64; COUNTERS as usize],
    /// Requests of every kind.
    all: u64,
    /// Reads of the directory and of page tables until then.
    reads: (u64, u64),
}

impl Runner {
    /// Whether the register belongs to what is compared here.
    pub fn monitors(&self, offset: u16) -> bool {
        let counters = 8 * COUNTERS;
        self.features.has(30)
            && (offset == INHIBIT
                || (COUNTER..COUNTER + counters).contains(&offset)
                || (EVENT..EVENT + counters).contains(&offset))
    }

    /// A write to a counter or its event, with nothing in flight.
    pub fn write_monitor(&mut self, offset: u16, wide: bool, value: u64) -> Check {
        self.rest()?;
        self.check_monitor()?;
        self.poke(offset, wide, value)?;
        self.model.write(offset, wide, value);
        Ok(())
    }

    /// A request has been answered.
    pub fn tally(&mut self, request: &model::Request) {
        for counter in 0..usize::from(COUNTERS) {
            self.monitor.requests[counter] +=
                u64::from(self.model.counts_request(counter, request));
        }
        self.monitor.all += 1;
    }

    /// At rest: every counter has counted what it should.
    pub fn check_monitor(&mut self) -> Check {
        if !self.features.has(30) {
            return Ok(());
        }
        let traffic = self.h.counters().traffic;
        let now = (traffic.reads(Purpose::Ddt), traffic.reads(Purpose::Pte));
        let done = std::mem::replace(
            &mut self.monitor,
            Monitor {
                reads: now,
                ..Monitor::default()
            },
        );
        let (ddt, pte) = (now.0 - done.reads.0, now.1 - done.reads.1);
        let stopped = self.model.read(INHIBIT, false);
        for n in 0..COUNTERS {
            let (counter, event) = (COUNTER + 8 * n, EVENT + 8 * n);
            let selector = self.model.read(event, true);
            let seen = self.read(counter, true)?;
            let counted = (seen as u32).wrapping_sub(self.model.read(counter, true) as u32);
            let free = selector >> 60 & 7 == 0;
            let still = stopped >> (n + 1) & 1 == 1;
            let (least, most) = match selector & 0x7fff {
                _ if still => (0, 0),
                1..=3 => {
                    let exact = done.requests[usize::from(n)];
                    (exact, exact)
                }
                4 => (0, pte + done.all),
                5 => (if free { ddt } else { 0 }, ddt),
                7 => (if free { pte } else { 0 }, pte),
                _ => (0, 0),
            };
            if !(least..=most).contains(&u64::from(counted)) {
                return Err(format!(
                    "counter {} of event {selector:#x} counted {counted}, expected {least} to {most} ({done:?})",
                    n + 1
                ));
            }
            self.model.write(counter, true, seen);
        }
        Ok(())
    }
}
