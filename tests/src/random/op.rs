//! What a random machine does: a list of operations that can be shortened and still makes sense.

use std::fmt::Write as _;

use portcullis_sim::core::{Access, Kind, MemStatus, RegAccess, Request};
use portcullis_sim::memory::{FaultOn, Timing};

/// One step. Operations that would be unspecified in the state they meet are skipped by the runner, so that any
/// shorter list is as legal as the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Software writes doublewords, all at one moment.
    Store {
        /// Address of the first.
        addr: u64,
        /// Values.
        words: Vec<u64>,
    },
    /// Accesses of the IOMMU to a range fail from now on, or no longer.
    Plant {
        /// First byte.
        addr: u64,
        /// Bytes.
        len: u64,
        /// Reads, writes or both.
        on: FaultOn,
        /// How they end.
        status: MemStatus,
    },
    /// Register write.
    Write {
        /// Byte offset.
        offset: u16,
        /// 8 bytes.
        wide: bool,
        /// Value.
        value: u64,
    },
    /// Register read, compared as far as its value is certain.
    Read {
        /// Byte offset.
        offset: u16,
        /// 8 bytes.
        wide: bool,
    },
    /// Requests, pipelined; nobody waits for the answers.
    Submit(Vec<Request>),
    /// Cycles pass.
    Step(u64),
    /// Cycles pass in which no response is taken.
    Hold(u64),
    /// A command is put behind the last one, unless the queue is full.
    Command([u64; 2]),
    /// cqt moves behind the last command.
    Ring,
    /// If an error bit stops the queue, the command at cqh is overwritten and the bits cleared.
    Repair([u64; 2]),
    /// A translation through the debug interface; only device, process, privilege, access and address count.
    Debug(Request),
    /// fqh moves to fqt.
    Consume,
    /// Waits until nothing is busy.
    Settle,
    /// Waits until nothing is in flight, and compares everything.
    Quiesce,
}

/// A machine and what it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Where it came from.
    pub seed: u64,
    /// Speed of the memory.
    pub timing: Timing,
    /// Cycles for which a granted read, and a granted write, is in flight.
    pub dma: (u64, u64),
    /// What it does.
    pub ops: Vec<Op>,
}

/// The same as lines for `portcullis play`, as far as the protocol can say it: `translate` there waits for its
/// answers, so a script shows a race only if the difference does not need one.
#[derive(Clone, Debug, Default)]
pub struct Script {
    text: String,
}

impl Script {
    /// `reset`.
    pub fn reset(&mut self, config: &str, timing: &Timing) {
        let Timing {
            latency,
            interval,
            jitter,
            seed,
        } = timing;
        let _ = writeln!(
            self.text,
            r#"{{"op":"reset","config":"{config}","mem":{{"latency":{latency},"interval":{interval},"jitter":{jitter},"seed":{seed}}}}}"#
        );
    }

    /// `mem_write`.
    pub fn mem_write(&mut self, addr: u64, words: &[u64]) {
        let bytes = words.iter().flat_map(|word| word.to_le_bytes());
        let mut hex = String::new();
        for byte in bytes {
            let _ = write!(hex, "{byte:02x}");
        }
        let _ = writeln!(
            self.text,
            r#"{{"op":"mem_write","addr":"{addr:#x}","data":"{hex}"}}"#
        );
    }

    /// `mem_fault`.
    pub fn mem_fault(&mut self, addr: u64, len: u64, on: FaultOn, status: MemStatus) {
        let kind = match status {
            MemStatus::Ok => "none",
            MemStatus::Access => "access",
            MemStatus::Corrupt => "corrupt",
        };
        let on = match on {
            FaultOn::Read => "read",
            FaultOn::Write => "write",
            FaultOn::Both => "both",
        };
        let _ = writeln!(
            self.text,
            r#"{{"op":"mem_fault","addr":"{addr:#x}","len":{len},"kind":"{kind}","on":"{on}"}}"#
        );
    }

    /// `reg_write` or `reg_read`.
    pub fn register(&mut self, access: &RegAccess) {
        let RegAccess {
            offset, wide, data, ..
        } = access;
        let size = if *wide { 8 } else { 4 };
        let _ = if access.write {
            writeln!(
                self.text,
                r#"{{"op":"reg_write","offset":{offset},"size":{size},"value":"{data:#x}"}}"#
            )
        } else {
            writeln!(
                self.text,
                r#"{{"op":"reg_read","offset":{offset},"size":{size}}}"#
            )
        };
    }

    /// `translate`.
    pub fn translate(&mut self, requests: &[Request]) {
        let requests: Vec<String> = requests.iter().map(request).collect();
        let _ = writeln!(
            self.text,
            r#"{{"op":"translate","pace":"pipelined","reqs":[{}]}}"#,
            requests.join(",")
        );
    }

    /// `wait` until the bits of `mask` are 0.
    pub fn wait(&mut self, offset: u16, mask: u64) {
        let _ = writeln!(
            self.text,
            r#"{{"op":"wait","offset":{offset},"mask":"{mask:#x}","value":0,"timeout":50000}}"#
        );
    }

    /// `step`.
    pub fn step(&mut self, cycles: u64) {
        let _ = writeln!(self.text, r#"{{"op":"step","cycles":{cycles}}}"#);
    }

    /// The lines.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

fn request(request: &Request) -> String {
    let access = match request.access {
        Access::Read => "r",
        Access::Write => "w",
        Access::Exec => "x",
    };
    let kind = match request.kind {
        Kind::Untranslated => "untranslated",
        Kind::Translated => "translated",
        Kind::Ats => "ats",
    };
    let process = request
        .process_id
        .map_or(String::new(), |pid| format!(r#""process_id":{pid},"#));
    format!(
        r#"{{"device_id":{},{process}"priv":{},"access":"{access}","kind":"{kind}","iova":"{:#x}"}}"#,
        request.device_id, request.privileged, request.iova
    )
}
