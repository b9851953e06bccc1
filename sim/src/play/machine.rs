//! What answers a script: simulated hardware, or the golden model.

use serde_json::{Map, Value, json};

use super::ops::Pace;
use super::{object, word};
use crate::backend::model::Golden;
use crate::core::{MemStatus, RegAccess, Request, Response};
use crate::failure::Failure;
use crate::harness::Harness;
use crate::memory::{FaultOn, PURPOSES, purpose_name};

/// A machine that a script talks to.
pub(super) trait Machine {
    fn mem_read(&self, addr: u64, out: &mut [u8]);
    fn mem_write(&mut self, addr: u64, data: &[u8]);
    fn mem_fault(&mut self, addr: u64, len: u64, on: FaultOn, status: MemStatus);
    /// A register access; what was read.
    fn register(&mut self, access: RegAccess) -> Result<u64, Failure>;
    /// Reads until `value & mask == want` or time is up; what was read last, and whether it was that.
    fn wait(&mut self, read: RegAccess, until: Until) -> Result<(u64, bool), Failure>;
    /// The answers, in the order of the requests.
    fn translate(&mut self, requests: &[Request], pace: Pace) -> Result<Vec<Value>, Failure>;
    fn step(&mut self, cycles: u64) -> Result<(), Failure>;
    fn cycle(&self) -> u64;
    fn irq(&self) -> u32;
    /// The counters, or one line why there are none.
    fn stats(&self) -> Result<Map<String, Value>, String>;
}

/// What `wait` waits for.
#[derive(Clone, Copy)]
pub(super) struct Until {
    pub mask: u64,
    pub want: u64,
    pub timeout: u64,
}

impl Machine for Harness {
    fn mem_read(&self, addr: u64, out: &mut [u8]) {
        self.memory().read(addr, out);
    }
    fn mem_write(&mut self, addr: u64, data: &[u8]) {
        self.memory_mut().write(addr, data);
    }
    fn mem_fault(&mut self, addr: u64, len: u64, on: FaultOn, status: MemStatus) {
        self.memory_mut().set_fault(addr, len, on, status);
    }
    fn register(&mut self, access: RegAccess) -> Result<u64, Failure> {
        Harness::register(self, access)
    }
    fn wait(&mut self, read: RegAccess, until: Until) -> Result<(u64, bool), Failure> {
        let start = Harness::cycle(self);
        loop {
            let value = Harness::register(self, read)?;
            let met = value & until.mask == until.want;
            if met || Harness::cycle(self) - start >= until.timeout {
                return Ok((value, met));
            }
        }
    }
    fn translate(&mut self, requests: &[Request], pace: Pace) -> Result<Vec<Value>, Failure> {
        let mut first = None;
        for request in requests {
            let id = self.submit(*request);
            first.get_or_insert(id);
            if pace == Pace::Serial {
                self.finish_requests()?;
            }
        }
        self.finish_requests()?;
        let first = first.unwrap_or(0);
        let mut rsps = vec![Value::Null; requests.len()];
        while let Some(finished) = self.take_finished() {
            let slot = usize::try_from(finished.id - first)
                .ok()
                .and_then(|at| rsps.get_mut(at));
            if let Some(slot) = slot {
                *slot = response(&finished.response, finished.issued, finished.answered);
            }
        }
        Ok(rsps)
    }
    fn step(&mut self, cycles: u64) -> Result<(), Failure> {
        self.advance(cycles)
    }
    fn cycle(&self) -> u64 {
        Harness::cycle(self)
    }
    fn irq(&self) -> u32 {
        Harness::irq(self)
    }
    fn stats(&self) -> Result<Map<String, Value>, String> {
        let counters = self.counters();
        // Purposes that no configuration has yet are listed too, so that a script finds every name of the protocol.
        let mut reads = object([("pdt", 0.into()), ("msi", 0.into())]);
        let mut writes = reads.clone();
        for purpose in PURPOSES {
            let name = purpose_name(purpose);
            reads.insert(name.into(), counters.traffic.reads(purpose).into());
            writes.insert(name.into(), counters.traffic.writes(purpose).into());
        }
        Ok(object([
            ("reads", reads.into()),
            ("writes", writes.into()),
            ("walks", counters.walks.into()),
            (
                "hits",
                json!({ "context": counters.context_hits, "iotlb": counters.iotlb_hits }),
            ),
            (
                "misses",
                json!({ "context": counters.context_misses, "iotlb": counters.iotlb_misses }),
            ),
        ]))
    }
}

/// The golden model, which counts requests where the hardware counts cycles.
pub(super) struct Modelled {
    pub golden: Golden,
    pub requests: u64,
}

impl Machine for Modelled {
    fn mem_read(&self, addr: u64, out: &mut [u8]) {
        self.golden.mem_read(addr, out);
    }
    fn mem_write(&mut self, addr: u64, data: &[u8]) {
        self.golden.mem_write(addr, data);
    }
    fn mem_fault(&mut self, addr: u64, len: u64, on: FaultOn, status: MemStatus) {
        self.golden.mem_fault(addr, len, on, status);
    }
    fn register(&mut self, access: RegAccess) -> Result<u64, Failure> {
        if access.write {
            self.golden
                .reg_write(access.offset, access.wide, access.data);
            return Ok(0);
        }
        Ok(self.golden.reg_read(access.offset, access.wide))
    }
    fn wait(&mut self, read: RegAccess, until: Until) -> Result<(u64, bool), Failure> {
        // Nothing is ever under way here; only the cycle counter moves with time.
        let look = |golden: &Golden| {
            let value = golden.reg_read(read.offset, read.wide);
            (value, value & until.mask == until.want)
        };
        let now = look(&self.golden);
        if now.1 {
            return Ok(now);
        }
        self.golden.step(until.timeout);
        Ok(look(&self.golden))
    }
    fn translate(&mut self, requests: &[Request], _pace: Pace) -> Result<Vec<Value>, Failure> {
        let answer = |request: &Request| {
            let answered = self.golden.translate(request);
            self.requests += 1;
            response(&answered, self.requests, self.requests)
        };
        Ok(requests.iter().map(answer).collect())
    }
    fn step(&mut self, cycles: u64) -> Result<(), Failure> {
        self.golden.step(cycles);
        Ok(())
    }
    fn cycle(&self) -> u64 {
        self.requests
    }
    fn irq(&self) -> u32 {
        self.golden.irq()
    }
    fn stats(&self) -> Result<Map<String, Value>, String> {
        Err(
            "stats counts what walkers and caches do, and the model has neither: use --backend rtl"
                .to_owned(),
        )
    }
}

fn response(response: &Response, issued: u64, answered: u64) -> Value {
    let size = 1_u64.checked_shl(response.page_shift.into()).unwrap_or(0);
    json!({
        "status": if response.fault { "fault" } else { "ok" },
        "pa": word(if response.fault { 0 } else { response.pa }),
        "size": if response.fault { 0 } else { size },
        "issued": issued,
        "answered": answered,
    })
}
