//! Sparse memory behind the core's memory port, with latency, bandwidth, jitter, injected faults and counters.
//!
//! Timing, counted in cycles between the two signals being high:
//! * a read request accepted in cycle `n` has its data sampled in `n` (as in the peer's measurement: a slow memory
//!   returns old data, which is the harder case for invalidations) and delivers its first beat in `n + latency`,
//!   then one beat per cycle. Several may be outstanding. They are answered in the order of acceptance, but one that is
//!   not due lets those of other ids pass (only `jitter` makes that happen); the beats of a burst stay together;
//! * a write burst whose last beat is accepted in cycle `n` is answered, and becomes visible to reads, in
//!   `n + latency`;
//! * two read requests are accepted at least `interval` cycles apart;
//! * `jitter` adds 0 to `jitter` cycles to each latency, from a generator that `seed` starts.
//!
//! Software (the driver, a script) goes around the port with [`Memory::read`] and [`Memory::write`].

use std::collections::{HashMap, VecDeque};

use crate::core::{MemStatus, Outputs, Purpose, ReadBeat, ReadRequest, WriteBeat};

const PAGE_BYTES: usize = 4096;
const PAGE_SHIFT: u32 = 12;
/// Longest read burst of the port, in doublewords.
pub const MAX_BEATS: usize = 8;

/// Every purpose, in the order of the counters.
pub const PURPOSES: [Purpose; 7] = [
    Purpose::Ddt,
    Purpose::Pte,
    Purpose::Command,
    Purpose::Fault,
    Purpose::Fence,
    Purpose::Msi,
    Purpose::Line,
];

/// Position of a purpose in [`PURPOSES`].
fn purpose_index(purpose: Purpose) -> usize {
    match purpose {
        Purpose::Ddt => 0,
        Purpose::Pte => 1,
        Purpose::Command => 2,
        Purpose::Fault => 3,
        Purpose::Fence => 4,
        Purpose::Msi => 5,
        Purpose::Line => 6,
    }
}

/// Name of a purpose in reports.
#[must_use]
pub fn purpose_name(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Ddt => "ddt",
        Purpose::Pte => "pte",
        Purpose::Command => "command",
        Purpose::Fault => "fault",
        Purpose::Fence => "fence",
        Purpose::Msi => "msi",
        Purpose::Line => "line",
    }
}

/// How fast the memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Cycles from a read request to its first beat, and from a write's last beat to its answer; at least 1.
    pub latency: u64,
    /// Least number of cycles between two accepted read requests; at least 1.
    pub interval: u64,
    /// Up to this many cycles are added to each latency.
    pub jitter: u64,
    /// Start of the jitter's generator.
    pub seed: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            latency: 10,
            interval: 1,
            jitter: 0,
            seed: 0,
        }
    }
}

/// Which accesses a fault rule hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultOn {
    /// Reads only.
    Read,
    /// Writes only.
    Write,
    /// Both.
    Both,
}

impl FaultOn {
    fn reads(self) -> bool {
        self != Self::Write
    }
    fn writes(self) -> bool {
        self != Self::Read
    }
    fn covers(self, other: Self) -> bool {
        self == Self::Both || self == other
    }
}

/// Accesses that touch `first..=last` end with `status`; a later rule overrides an earlier one.
#[derive(Clone, Copy, Debug)]
struct FaultRule {
    first: u64,
    last: u64,
    on: FaultOn,
    status: MemStatus,
}

/// Reads and writes of the port by purpose. A burst counts once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    reads: [u64; PURPOSES.len()],
    writes: [u64; PURPOSES.len()],
}

impl Traffic {
    /// Read requests of one purpose.
    #[must_use]
    pub fn reads(&self, purpose: Purpose) -> u64 {
        self.reads[purpose_index(purpose)]
    }
    /// Write bursts of one purpose.
    #[must_use]
    pub fn writes(&self, purpose: Purpose) -> u64 {
        self.writes[purpose_index(purpose)]
    }
}

/// What the memory drives into the core in one cycle.
#[derive(Clone, Copy, Debug, Default)]
pub struct PortOutputs {
    /// A read request would be taken.
    pub ar_ready: bool,
    /// Read data.
    pub r: Option<ReadBeat>,
    /// A write beat would be taken.
    pub w_ready: bool,
    /// Answer to a write burst.
    pub b: Option<MemStatus>,
}

#[derive(Clone, Copy, Debug)]
struct ReadBurst {
    due: u64,
    id: u8,
    beats: u8,
    sent: u8,
    data: [u64; MAX_BEATS],
    status: [MemStatus; MAX_BEATS],
}

#[derive(Clone, Copy, Debug)]
struct WriteBurst {
    due: u64,
    beats: usize,
}

/// The memory.
#[derive(Debug)]
pub struct Memory {
    pages: HashMap<u64, Box<[u8; PAGE_BYTES]>>,
    timing: Timing,
    random: u64,
    faults: Vec<FaultRule>,
    reads: VecDeque<ReadBurst>,
    next_read_at: u64,
    beats: VecDeque<WriteBeat>,
    open_beats: usize,
    writes: VecDeque<WriteBurst>,
    last_answer: u64,
    traffic: Traffic,
}

impl Memory {
    /// An empty memory: every byte reads 0. Latency and interval below 1 count as 1.
    #[must_use]
    pub fn new(timing: Timing) -> Self {
        let timing = Timing {
            latency: timing.latency.max(1),
            interval: timing.interval.max(1),
            ..timing
        };
        Self {
            pages: HashMap::new(),
            timing,
            random: timing.seed,
            faults: Vec::new(),
            reads: VecDeque::new(),
            next_read_at: 0,
            beats: VecDeque::new(),
            open_beats: 0,
            writes: VecDeque::new(),
            last_answer: 0,
            traffic: Traffic::default(),
        }
    }

    /// Reads and writes seen at the port.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Copies memory to `out`; addresses wrap at 2^64.
    pub fn read(&self, addr: u64, out: &mut [u8]) {
        let mut at = addr;
        let mut rest = out;
        while !rest.is_empty() {
            let offset = page_offset(at);
            let (now, later) = rest.split_at_mut(rest.len().min(PAGE_BYTES - offset));
            match self.pages.get(&(at >> PAGE_SHIFT)) {
                Some(page) => now.copy_from_slice(&page[offset..offset + now.len()]),
                None => now.fill(0),
            }
            at = at.wrapping_add(now.len() as u64);
            rest = later;
        }
    }

    /// Copies `data` to memory; addresses wrap at 2^64.
    pub fn write(&mut self, addr: u64, data: &[u8]) {
        let mut at = addr;
        let mut rest = data;
        while !rest.is_empty() {
            let offset = page_offset(at);
            let (now, later) = rest.split_at(rest.len().min(PAGE_BYTES - offset));
            self.page(at)[offset..offset + now.len()].copy_from_slice(now);
            at = at.wrapping_add(now.len() as u64);
            rest = later;
        }
    }

    /// The doubleword at `addr`.
    #[must_use]
    pub fn load64(&self, addr: u64) -> u64 {
        let mut bytes = [0; 8];
        self.read(addr, &mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// Writes a doubleword.
    pub fn store64(&mut self, addr: u64, value: u64) {
        self.write(addr, &value.to_le_bytes());
    }

    fn page(&mut self, addr: u64) -> &mut [u8; PAGE_BYTES] {
        self.pages
            .entry(addr >> PAGE_SHIFT)
            .or_insert_with(|| Box::new([0; PAGE_BYTES]))
    }

    /// Accesses of the port that touch `addr..addr + len` end with `status` from now on; [`MemStatus::Ok`] takes
    /// earlier rules back. A faulting read returns no data, a faulting write stores nothing.
    pub fn set_fault(&mut self, addr: u64, len: u64, on: FaultOn, status: MemStatus) {
        if len == 0 {
            return;
        }
        let last = addr.saturating_add(len - 1);
        // Rules that can no longer be seen go, so that a long script cannot grow the list without end.
        self.faults
            .retain(|rule| !(addr <= rule.first && rule.last <= last && on.covers(rule.on)));
        if status != MemStatus::Ok || !self.faults.is_empty() {
            self.faults.push(FaultRule {
                first: addr,
                last,
                on,
                status,
            });
        }
    }

    fn status(&self, addr: u64, write: bool) -> MemStatus {
        let last = addr.saturating_add(7);
        self.faults
            .iter()
            .rev()
            .find(|rule| {
                rule.first <= last
                    && addr <= rule.last
                    && (if write {
                        rule.on.writes()
                    } else {
                        rule.on.reads()
                    })
            })
            .map_or(MemStatus::Ok, |rule| rule.status)
    }

    /// What the memory drives in `cycle`; call once per cycle, before [`Memory::accept`]. Writes due now are visible
    /// from here on.
    pub fn drive(&mut self, cycle: u64) -> PortOutputs {
        let mut out = PortOutputs {
            ar_ready: cycle >= self.next_read_at,
            r: None,
            w_ready: true,
            b: None,
        };
        if let Some(burst) = self.writes.front().copied()
            && burst.due <= cycle
        {
            self.writes.pop_front();
            out.b = Some(self.perform(burst.beats));
        }
        if let Some(at) = self.next_read(cycle) {
            let burst = &mut self.reads[at];
            let beat = usize::from(burst.sent);
            burst.sent += 1;
            let last = burst.sent == burst.beats;
            out.r = Some(ReadBeat {
                data: burst.data[beat],
                id: burst.id,
                last,
                status: burst.status[beat],
            });
            if last {
                self.reads.remove(at);
            }
        }
        out
    }

    /// The read that sends a beat in `cycle`: the one that has begun, or the oldest that is due and the oldest of its id.
    fn next_read(&self, cycle: u64) -> Option<usize> {
        if let Some(begun) = self.reads.iter().position(|burst| burst.sent > 0) {
            return Some(begun);
        }
        (0..self.reads.len()).find(|at| {
            let burst = &self.reads[*at];
            let overtakes = self.reads.iter().take(*at).any(|old| old.id == burst.id);
            burst.due <= cycle && !overtakes
        })
    }

    /// Takes what the core sends in `cycle`, as announced by the ready signals of [`Memory::drive`].
    ///
    /// # Errors
    /// The core breaks the contract of the port.
    pub fn accept(&mut self, cycle: u64, ar_ready: bool, outputs: &Outputs) -> Result<(), String> {
        if let Some(request) = outputs.ar
            && ar_ready
        {
            self.accept_read(cycle, request)?;
        }
        if let Some(beat) = outputs.w {
            if !beat.addr.is_multiple_of(8) {
                return Err(format!("write to unaligned address {:#x}", beat.addr));
            }
            self.beats.push_back(beat);
            self.open_beats += 1;
            if beat.last {
                self.traffic.writes[purpose_index(beat.purpose)] += 1;
                let due = cycle.saturating_add(self.latency());
                self.last_answer = due.max(self.last_answer.saturating_add(1));
                self.writes.push_back(WriteBurst {
                    due: self.last_answer,
                    beats: self.open_beats,
                });
                self.open_beats = 0;
            }
        }
        Ok(())
    }

    fn accept_read(&mut self, cycle: u64, request: ReadRequest) -> Result<(), String> {
        let beats = usize::from(request.beats);
        if beats == 0 || beats > MAX_BEATS {
            return Err(format!("read of {beats} beats"));
        }
        if !request.addr.is_multiple_of(8) {
            return Err(format!("read from unaligned address {:#x}", request.addr));
        }
        self.traffic.reads[purpose_index(request.purpose)] += 1;
        self.next_read_at = cycle.saturating_add(self.timing.interval);
        let mut burst = ReadBurst {
            due: cycle.saturating_add(self.latency()),
            id: request.id,
            beats: request.beats,
            sent: 0,
            data: [0; MAX_BEATS],
            status: [MemStatus::Ok; MAX_BEATS],
        };
        for (beat, (data, status)) in burst
            .data
            .iter_mut()
            .zip(&mut burst.status)
            .take(beats)
            .enumerate()
        {
            let addr = request.addr.wrapping_add(8 * beat as u64);
            if !self.faults.is_empty() {
                *status = self.status(addr, false);
            }
            if *status == MemStatus::Ok {
                *data = self.load64(addr);
            }
        }
        self.reads.push_back(burst);
        Ok(())
    }

    /// Performs the oldest write burst: all its beats that no rule refuses.
    fn perform(&mut self, beats: usize) -> MemStatus {
        let mut worst = MemStatus::Ok;
        for _ in 0..beats {
            let Some(beat) = self.beats.pop_front() else {
                break;
            };
            match self.status(beat.addr, true) {
                MemStatus::Ok => {
                    let bytes = beat.data.to_le_bytes();
                    let offset = page_offset(beat.addr);
                    let page = self.page(beat.addr);
                    for (lane, byte) in bytes.iter().enumerate() {
                        if beat.strobe & (1 << lane) != 0 {
                            page[offset + lane] = *byte;
                        }
                    }
                }
                // A refused access tells more than poisoned data, so it wins within a burst.
                MemStatus::Access => worst = MemStatus::Access,
                MemStatus::Corrupt => {
                    if worst == MemStatus::Ok {
                        worst = MemStatus::Corrupt;
                    }
                }
            }
        }
        worst
    }

    fn latency(&mut self) -> u64 {
        if self.timing.jitter == 0 {
            return self.timing.latency;
        }
        let extra = match self.timing.jitter.checked_add(1) {
            Some(n) => self.next_random() % n,
            None => self.next_random(),
        };
        self.timing.latency.saturating_add(extra)
    }

    /// splitmix64: small, and the same on every machine.
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Forgets everything in flight at the port, as a reset of the whole system does; contents stay.
    pub fn reset_port(&mut self) {
        self.reads.clear();
        self.beats.clear();
        self.open_beats = 0;
        self.writes.clear();
        self.next_read_at = 0;
        self.last_answer = 0;
        self.traffic = Traffic::default();
    }
}

fn page_offset(addr: u64) -> usize {
    (addr & (PAGE_BYTES as u64 - 1)) as usize
}
