//! Steps a core cycle by cycle beside its memory, its devices' requests and its register port.
//!
//! One [`Harness::step`] is one clock cycle: drive the inputs, settle, decide every handshake, clock. All else here is
//! written in terms of it. Cycle numbers count from the end of reset; cycle 0 is the first one after it.
//!
//! * A request is *issued* in the first cycle with valid and ready, *answered* in the cycle in which its response is
//!   valid and taken. Requests wait in a queue; the next one is offered in the cycle after the port took the last.
//! * A granted request stands for a device access that is in flight for `dma_latency` cycles after its answer. When
//!   the core asks for visibility (`sync`), the acknowledge comes when every access granted until then is done.
//! * Nothing may wait for more than [`WATCHDOG`] cycles: a hang is a defect and ends the run with a [`Failure`].
//! * [`Devices`] act by themselves in every cycle, whoever makes the simulation step; requests of [`Harness::submit`] go
//!   before theirs.
//! * The core's side of the handshakes is checked: an offer that changes or vanishes before it is taken, a response
//!   without a request, a malformed burst are failures too.

use std::collections::VecDeque;
use std::io;
use std::path::Path;

use crate::core::{
    Access, Core, Inputs, Kind, Outputs, ReadRequest, RegAccess, Request, Response, SyncRequest,
};
use crate::failure::Failure;
use crate::memory::{Memory, Traffic};

/// Cycles after which something unanswered is a hang.
pub const WATCHDOG: u64 = 1_000_000;
/// Cycles for which reset is held.
const RESET_CYCLES: u32 = 4;
/// The port's tags have six bits.
const TAGS: u8 = 64;

/// Devices beside the core that act in every cycle, and see all of its pins.
pub trait Devices {
    /// The next request, asked for in each cycle in which the translation port is free.
    fn request(&mut self, cycle: u64) -> Option<Request>;
    /// An answer to one of these requests; `finished.id` counts them from 0 in the order of [`Devices::request`].
    /// Returns the cycle in which the access that the answer allows is done: `sync` waits for it.
    fn answered(&mut self, finished: &Finished) -> u64;
    /// The end of a cycle with its pins.
    fn cycle(&mut self, cycle: u64, memory: &mut Memory, inputs: &Inputs, outputs: &Outputs);
}

/// A request with its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    /// What [`Harness::submit`] returned.
    pub id: u64,
    /// The request, with the tag that it got.
    pub request: Request,
    /// The answer.
    pub response: Response,
    /// Cycle in which the port took the request.
    pub issued: u64,
    /// Cycle in which the response was taken.
    pub answered: u64,
}

impl Finished {
    /// Cycles from request to answer.
    #[must_use]
    pub fn latency(&self) -> u64 {
        self.answered - self.issued
    }
}

/// What happened since reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Look-ups of the context cache that found their context.
    pub context_hits: u64,
    /// ... and that did not.
    pub context_misses: u64,
    /// Look-ups of the IOTLB that found their page.
    pub iotlb_hits: u64,
    /// ... and that did not.
    pub iotlb_misses: u64,
    /// Walks started.
    pub walks: u64,
    /// Requests and bursts at the memory port.
    pub traffic: Traffic,
}

#[derive(Clone, Copy, Debug)]
struct Flight {
    id: u64,
    /// A request of [`Devices`], with an id of its own count.
    of_devices: bool,
    request: Request,
    offered: u64,
    issued: Option<u64>,
}

/// A core with everything around it.
pub struct Harness {
    core: Box<dyn Core>,
    memory: Memory,
    cycle: u64,
    inputs: Inputs,
    last_irq: u32,
    waiting: VecDeque<Request>,
    next_id: u64,
    offered: u64,
    devices: Option<Box<dyn Devices>>,
    device_requests: u64,
    next_tag: u8,
    flights: [Option<Flight>; TAGS as usize],
    in_flight: usize,
    /// How many of these are requests of the devices.
    of_devices: usize,
    finished: VecDeque<Finished>,
    reg_since: u64,
    reg_done: Option<u64>,
    held_ar: Option<ReadRequest>,
    held_rsp: Option<Response>,
    hold_responses: bool,
    dma_latency_reads: u64,
    dma_latency_writes: u64,
    reads_done_at: u64,
    writes_done_at: u64,
    sync: Option<Sync>,
    watchdog: u64,
    check_at: u64,
    counters: Counters,
}

#[derive(Clone, Copy, Debug)]
struct Sync {
    request: SyncRequest,
    since: u64,
    ack_at: u64,
}

impl Harness {
    /// A core in its state after reset.
    #[must_use]
    pub fn new(core: Box<dyn Core>, memory: Memory) -> Self {
        let mut harness = Self {
            core,
            memory,
            cycle: 0,
            inputs: Inputs::default(),
            last_irq: 0,
            waiting: VecDeque::new(),
            next_id: 0,
            offered: 0,
            devices: None,
            device_requests: 0,
            next_tag: 0,
            flights: [None; TAGS as usize],
            in_flight: 0,
            of_devices: 0,
            finished: VecDeque::new(),
            reg_since: 0,
            reg_done: None,
            held_ar: None,
            held_rsp: None,
            hold_responses: false,
            dma_latency_reads: 0,
            dma_latency_writes: 0,
            reads_done_at: 0,
            writes_done_at: 0,
            sync: None,
            watchdog: WATCHDOG,
            check_at: u64::MAX,
            counters: Counters::default(),
        };
        harness.reset();
        harness
    }

    /// Resets the core and forgets everything in flight; the contents of the memory stay.
    pub fn reset(&mut self) {
        self.memory.reset_port();
        self.inputs = Inputs {
            reset: true,
            ..Inputs::default()
        };
        for _ in 0..RESET_CYCLES {
            self.core.settle(&self.inputs);
            self.core.clock();
        }
        self.inputs.reset = false;
        self.cycle = 0;
        self.last_irq = 0;
        self.waiting.clear();
        self.next_id = 0;
        self.offered = 0;
        self.device_requests = 0;
        self.next_tag = 0;
        self.flights.fill(None);
        self.in_flight = 0;
        self.of_devices = 0;
        self.finished.clear();
        self.reg_done = None;
        self.held_ar = None;
        self.held_rsp = None;
        self.reads_done_at = 0;
        self.writes_done_at = 0;
        self.sync = None;
        self.check_at = u64::MAX;
        self.counters = Counters::default();
    }

    /// Simulated cycles since reset.
    #[must_use]
    pub fn cycle(&self) -> u64 {
        self.cycle
    }

    /// The interrupt wires in the last simulated cycle.
    #[must_use]
    pub fn irq(&self) -> u32 {
        self.last_irq
    }

    /// The memory.
    #[must_use]
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// The memory.
    pub fn memory_mut(&mut self) -> &mut Memory {
        &mut self.memory
    }

    /// What happened since reset.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters {
            traffic: self.memory.traffic(),
            ..self.counters
        }
    }

    /// How long a granted device access stays in flight after its answer (for `sync`).
    pub fn set_dma_latency(&mut self, reads: u64, writes: u64) {
        self.dma_latency_reads = reads;
        self.dma_latency_writes = writes;
    }

    /// Puts devices beside the core.
    pub fn set_devices(&mut self, devices: Box<dyn Devices>) {
        self.devices = Some(devices);
    }

    /// Does not take responses while set.
    pub fn hold_responses(&mut self, hold: bool) {
        self.hold_responses = hold;
    }

    /// Changes the number of cycles after which something unanswered is a hang.
    pub fn set_watchdog(&mut self, cycles: u64) {
        self.watchdog = cycles;
    }

    /// Records a VCD from now on.
    ///
    /// # Errors
    /// The file cannot be written, or the back end has no waves.
    pub fn record_waves(&mut self, path: &Path) -> io::Result<()> {
        self.core.record_waves(path)
    }

    /// Queues a translation request; its `tag` is chosen here. Returns the id under which [`Harness::take_finished`]
    /// reports it: ids count up from 0 in the order of submission.
    pub fn submit(&mut self, request: Request) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.waiting.push_back(request);
        id
    }

    /// Requests submitted and not yet answered; those of [`Devices`] do not count.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.waiting.len() + self.in_flight - self.of_devices
    }

    /// The next answered request, in the order of the answers.
    pub fn take_finished(&mut self) -> Option<Finished> {
        self.finished.pop_front()
    }

    /// Steps until every submitted request is answered.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn finish_requests(&mut self) -> Result<(), Failure> {
        while self.outstanding() > 0 {
            self.step()?;
        }
        Ok(())
    }

    /// Steps `cycles` cycles.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn advance(&mut self, cycles: u64) -> Result<(), Failure> {
        for _ in 0..cycles {
            self.step()?;
        }
        Ok(())
    }

    /// Performs one register access; returns the data of a read.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn register(&mut self, access: RegAccess) -> Result<u64, Failure> {
        self.inputs.reg = Some(access);
        self.reg_since = self.cycle;
        self.reg_done = None;
        loop {
            self.step()?;
            if let Some(data) = self.reg_done.take() {
                return Ok(data);
            }
            if self.cycle - self.reg_since >= self.watchdog {
                return Err(Failure::Register {
                    access,
                    since: self.reg_since,
                    cycle: self.cycle,
                });
            }
        }
    }

    /// One clock cycle.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn step(&mut self) -> Result<(), Failure> {
        let cycle = self.cycle;
        if cycle >= self.check_at {
            self.check_requests()?;
        }
        if self.inputs.req.is_none() {
            self.offer();
        }
        let port = self.memory.drive(cycle);
        self.inputs.ar_ready = port.ar_ready;
        self.inputs.r = port.r;
        self.inputs.w_ready = port.w_ready;
        self.inputs.b = port.b;
        self.inputs.rsp_ready = !self.hold_responses;
        self.inputs.sync_ack = self.sync.is_some_and(|sync| sync.ack_at <= cycle);
        let inputs = self.inputs;

        let out = self.core.settle(&self.inputs);
        self.last_irq = out.irq;
        self.count(&out);
        self.check_held(&out, port.ar_ready)?;
        self.memory
            .accept(cycle, port.ar_ready, &out)
            .map_err(|what| Failure::Contract { what, cycle })?;
        if out.req_ready
            && let Some(request) = self.inputs.req.take()
            && let Some(flight) = &mut self.flights[usize::from(request.tag)]
        {
            flight.issued = Some(cycle);
        }
        if let Some(response) = out.rsp
            && !self.hold_responses
        {
            self.answer(response)?;
        }
        if let Some(data) = out.reg_done
            && self.inputs.reg.take().is_some()
        {
            self.reg_done = Some(data);
        }
        self.track_sync(out.sync)?;
        if let Some(devices) = &mut self.devices {
            devices.cycle(cycle, &mut self.memory, &inputs, &out);
        }

        self.core.clock();
        self.cycle += 1;
        Ok(())
    }

    /// Puts the next waiting request on the port, under a tag that is free.
    fn offer(&mut self) {
        if self.in_flight == usize::from(TAGS) {
            return;
        }
        let (of_devices, request) = match self.waiting.pop_front() {
            Some(request) => (false, Some(request)),
            None => {
                let cycle = self.cycle;
                let devices = self.devices.as_mut();
                (true, devices.and_then(|devices| devices.request(cycle)))
            }
        };
        let Some(mut request) = request else {
            return;
        };
        while self.flights[usize::from(self.next_tag)].is_some() {
            self.next_tag = (self.next_tag + 1) % TAGS;
        }
        let count = if of_devices {
            &mut self.device_requests
        } else {
            &mut self.offered
        };
        let id = *count;
        *count += 1;
        request.tag = self.next_tag;
        self.next_tag = (self.next_tag + 1) % TAGS;
        self.flights[usize::from(request.tag)] = Some(Flight {
            id,
            of_devices,
            request,
            offered: self.cycle,
            issued: None,
        });
        self.in_flight += 1;
        self.of_devices += usize::from(of_devices);
        self.inputs.req = Some(request);
        self.check_at = self.check_at.min(self.cycle.saturating_add(self.watchdog));
    }

    fn count(&mut self, out: &Outputs) {
        let events = out.events;
        self.counters.context_hits += u64::from(events.context_hit);
        self.counters.context_misses += u64::from(events.context_miss);
        self.counters.iotlb_hits += u64::from(events.iotlb_hit);
        self.counters.iotlb_misses += u64::from(events.iotlb_miss);
        self.counters.walks += u64::from(events.walk);
    }

    /// An offer that was not taken must still be there, unchanged.
    fn check_held(&mut self, out: &Outputs, ar_ready: bool) -> Result<(), Failure> {
        let broken = |what: &str| Failure::Contract {
            what: what.to_owned(),
            cycle: self.cycle,
        };
        if self.held_ar.is_some() && out.ar != self.held_ar {
            return Err(broken("a memory read request changed before it was taken"));
        }
        if self.held_rsp.is_some() && out.rsp != self.held_rsp {
            return Err(broken("a response changed before it was taken"));
        }
        self.held_ar = out.ar.filter(|_| !ar_ready);
        self.held_rsp = out.rsp.filter(|_| self.hold_responses);
        Ok(())
    }

    fn answer(&mut self, response: Response) -> Result<(), Failure> {
        let cycle = self.cycle;
        let tag = usize::from(response.tag);
        let flight = self.flights.get(tag).copied().flatten();
        let Some((flight, issued)) = flight.and_then(|flight| Some((flight, flight.issued?)))
        else {
            return Err(Failure::Contract {
                what: format!("a response with tag {tag} that no request in flight has"),
                cycle,
            });
        };
        let Flight { id, request, .. } = flight;
        self.flights[tag] = None;
        self.in_flight -= 1;
        self.of_devices -= usize::from(flight.of_devices);
        let finished = Finished {
            id,
            request,
            response,
            issued,
            answered: cycle,
        };
        let done = match &mut self.devices {
            Some(devices) if flight.of_devices => Some(devices.answered(&finished)),
            _ => None,
        };
        // An ATS translation request asks for an address and moves no data, so no fence waits for it.
        if !response.fault && request.kind != Kind::Ats {
            match request.access {
                Access::Read | Access::Exec => {
                    let done = done.unwrap_or(cycle.saturating_add(self.dma_latency_reads));
                    self.reads_done_at = self.reads_done_at.max(done);
                }
                Access::Write => {
                    let done = done.unwrap_or(cycle.saturating_add(self.dma_latency_writes));
                    self.writes_done_at = self.writes_done_at.max(done);
                }
            }
        }
        if !flight.of_devices {
            self.finished.push_back(finished);
        }
        Ok(())
    }

    /// Follows the visibility handshake. Accesses granted in the cycle of the request itself are waited for as well:
    /// the core may have granted them just before it asked.
    fn track_sync(&mut self, asked: Option<SyncRequest>) -> Result<(), Failure> {
        let Some(request) = asked else {
            self.sync = None;
            return Ok(());
        };
        match self.sync {
            // Acknowledged in this cycle: the next cycle starts a new request or none.
            Some(sync) if sync.ack_at <= self.cycle => self.sync = None,
            Some(sync) if sync.request == request => {
                if self.cycle - sync.since >= self.watchdog {
                    return Err(Failure::Sync {
                        since: sync.since,
                        cycle: self.cycle,
                    });
                }
            }
            Some(_) => {
                return Err(Failure::Contract {
                    what: "a visibility request changed before it was acknowledged".to_owned(),
                    cycle: self.cycle,
                });
            }
            None => {
                let mut ack_at = self.cycle + 1;
                if request.reads {
                    ack_at = ack_at.max(self.reads_done_at);
                }
                if request.writes {
                    ack_at = ack_at.max(self.writes_done_at);
                }
                self.sync = Some(Sync {
                    request,
                    since: self.cycle,
                    ack_at,
                });
            }
        }
        Ok(())
    }

    /// Looks for a request that waits too long. The requests in flight are scanned only when the oldest one known at
    /// the last scan would be late, so this costs nothing per cycle.
    fn check_requests(&mut self) -> Result<(), Failure> {
        let oldest = self
            .flights
            .iter()
            .flatten()
            .min_by_key(|flight| flight.offered);
        let Some(flight) = oldest else {
            self.check_at = u64::MAX;
            return Ok(());
        };
        if self.cycle - flight.offered >= self.watchdog {
            return Err(Failure::Request {
                request: flight.request,
                offered: flight.offered,
                issued: flight.issued,
                cycle: self.cycle,
            });
        }
        self.check_at = flight.offered + self.watchdog;
        Ok(())
    }
}
