//! `portcullis play`: one JSON object per line in, exactly one per line out.
//!
//! The protocol is described in the book; what it leaves open is settled here:
//! * `config` of `reset` is `tiny` if absent, `priv` is false, `kind` is `untranslated`, `pace` is `pipelined`;
//!   memory has a latency of 10 cycles, interval 1, no jitter, seed 0.
//! * addresses, data and register values are answered as `0x` and 16 digits, whatever the size; `size`, cycles and
//!   counters as integers. A refused request has `pa` and `size` 0.
//! * `irq` is that of the last simulated cycle.
//! * `wait` reads 8 bytes if the mask or the value needs them, else 4.
//! * errors carry nothing but `error` and `line`, and change nothing.

mod ops;

use std::fmt;
use std::io::{self, BufRead, Read, Write};

use portcullis_regmap::Config;
use serde_json::{Map, Value, json};

use crate::backend::Factory;
use crate::core::{MemStatus, RegAccess};
use crate::failure::Failure;
use crate::harness::{Finished, Harness};
use crate::memory::{FaultOn, Memory, PURPOSES, purpose_name};
use ops::{FaultField, MemoryFields, Number, OnField, Op, Pace, RequestFields, timing};

/// Longest line that is read.
const MAX_LINE: u64 = 16 << 20;
/// Most bytes that `mem_read` returns.
const MAX_READ: u64 = 1 << 20;

/// Why a run ended before its input did.
#[derive(Debug)]
pub enum PlayError {
    /// Reading or writing failed.
    Io(io::Error),
    /// The simulated hardware hung or broke a contract.
    Hardware(Failure),
}

impl fmt::Display for PlayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::Hardware(failure) => write!(f, "{failure}"),
        }
    }
}

impl std::error::Error for PlayError {}

impl From<io::Error> for PlayError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Why one line got no proper answer.
enum Refusal {
    /// The line is to blame; the run goes on.
    Line(String),
    /// The hardware is; the run ends.
    Hardware(Failure),
}

impl From<String> for Refusal {
    fn from(cause: String) -> Self {
        Self::Line(cause)
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Hardware(failure)
    }
}

type Answer = Result<Map<String, Value>, Refusal>;

/// Holds a conversation until the input ends.
///
/// # Errors
/// See [`PlayError`]; the conversation partner has been answered before.
pub fn play(
    mut input: impl BufRead,
    mut output: impl Write,
    factory: Factory<'_>,
) -> Result<(), PlayError> {
    let mut session = Session {
        factory,
        harness: None,
    };
    let mut number: u64 = 0;
    let mut line = Vec::new();
    loop {
        line.clear();
        if (&mut input).take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        number += 1;
        let answer = if line.len() as u64 == MAX_LINE && line.last() != Some(&b'\n') {
            skip_line(&mut input)?;
            Err(Refusal::Line(format!(
                "a line longer than {MAX_LINE} bytes"
            )))
        } else {
            session.line(&line)
        };
        let (answer, failure) = match answer {
            Ok(answer) => (Value::Object(answer), None),
            Err(Refusal::Line(cause)) => (json!({ "error": cause, "line": number }), None),
            Err(Refusal::Hardware(failure)) => (
                json!({ "error": failure.to_string(), "line": number }),
                Some(failure),
            ),
        };
        writeln!(output, "{answer}")?;
        output.flush()?;
        if let Some(failure) = failure {
            return Err(PlayError::Hardware(failure));
        }
    }
}

fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        match buffer.iter().position(|byte| *byte == b'\n') {
            Some(end) => {
                input.consume(end + 1);
                return Ok(());
            }
            None => {
                let all = buffer.len();
                input.consume(all);
            }
        }
    }
}

struct Session<'a> {
    factory: Factory<'a>,
    harness: Option<Harness>,
}

impl Session<'_> {
    fn line(&mut self, line: &[u8]) -> Answer {
        let op: Op = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        let mut answer = if let Op::Reset { config, mem } = op {
            self.reset(config.as_deref(), mem)?
        } else {
            let harness = self
                .harness
                .as_mut()
                .ok_or_else(|| "the first op must be reset".to_owned())?;
            perform(harness, op)?
        };
        if let Some(harness) = &self.harness {
            answer.insert("cycle".into(), harness.cycle().into());
            answer.insert("irq".into(), harness.irq().into());
        }
        Ok(answer)
    }

    fn reset(&mut self, config: Option<&str>, mem: Option<MemoryFields>) -> Answer {
        let config = named_config(config.unwrap_or("tiny"))?;
        let harness = Harness::new((self.factory)(config)?, Memory::new(timing(mem)?));
        self.harness = Some(harness);
        Ok(object([
            ("config", config.name.into()),
            ("capabilities", word(config.capabilities)),
        ]))
    }
}

/// The configuration of that name.
///
/// # Errors
/// One line with the names that exist.
pub fn named_config(name: &str) -> Result<&'static Config, String> {
    portcullis_regmap::config(name).ok_or_else(|| {
        let names: Vec<&str> = portcullis_regmap::CONFIGS
            .iter()
            .map(|config| config.name)
            .collect();
        format!(
            "unknown configuration `{name}`: choose one of {}",
            names.join(", ")
        )
    })
}

fn perform(harness: &mut Harness, op: Op) -> Answer {
    match op {
        // Handled by the caller: it makes a new harness.
        Op::Reset { .. } => Ok(Map::new()),
        Op::MemWrite { addr, data } => {
            let data = bytes(&data)?;
            in_memory(addr.0, data.len() as u64)?;
            harness.memory_mut().write(addr.0, &data);
            Ok(Map::new())
        }
        Op::MemRead { addr, len } => {
            if len.0 > MAX_READ {
                return Err(format!(
                    "len {} is more than {MAX_READ} bytes: read in pieces",
                    len.0
                )
                .into());
            }
            in_memory(addr.0, len.0)?;
            let mut data = vec![0; usize::try_from(len.0).unwrap_or(0)];
            harness.memory().read(addr.0, &mut data);
            Ok(object([("data", hex(&data).into())]))
        }
        Op::MemFault {
            addr,
            len,
            kind,
            on,
        } => {
            in_memory(addr.0, len.0)?;
            let status = match kind {
                FaultField::Access => MemStatus::Access,
                FaultField::Corrupt => MemStatus::Corrupt,
                FaultField::None => MemStatus::Ok,
            };
            let on = match on {
                OnField::Read => FaultOn::Read,
                OnField::Write => FaultOn::Write,
                OnField::Both => FaultOn::Both,
            };
            harness.memory_mut().set_fault(addr.0, len.0, on, status);
            Ok(Map::new())
        }
        Op::RegWrite {
            offset,
            size,
            value,
        } => {
            let access = register(offset, size, Some(value))?;
            harness.register(access)?;
            Ok(Map::new())
        }
        Op::RegRead { offset, size } => {
            let access = register(offset, size, None)?;
            Ok(object([("value", word(harness.register(access)?))]))
        }
        Op::Translate { reqs, pace } => translate(harness, &reqs, pace),
        Op::Step { cycles } => {
            harness.advance(cycles.0)?;
            Ok(Map::new())
        }
        Op::Wait {
            offset,
            mask,
            value,
            timeout,
        } => {
            let wide = (mask.0 | value.0) >> 32 != 0;
            let access = register(offset, Number(if wide { 8 } else { 4 }), None)?;
            let start = harness.cycle();
            loop {
                let read = harness.register(access)?;
                let met = read & mask.0 == value.0;
                if met || harness.cycle() - start >= timeout.0 {
                    return Ok(object([
                        ("value", word(read)),
                        ("timed_out", (!met).into()),
                    ]));
                }
            }
        }
        Op::Stats {} => Ok(stats(harness)),
    }
}

fn translate(harness: &mut Harness, reqs: &[RequestFields], pace: Pace) -> Answer {
    // All are checked before the first is issued: a line that cannot be understood changes nothing.
    let requests = reqs
        .iter()
        .map(RequestFields::request)
        .collect::<Result<Vec<_>, _>>()?;
    let mut first = None;
    for request in &requests {
        let id = harness.submit(*request);
        first.get_or_insert(id);
        if pace == Pace::Serial {
            harness.finish_requests()?;
        }
    }
    harness.finish_requests()?;
    let first = first.unwrap_or(0);
    let mut rsps = vec![Value::Null; requests.len()];
    while let Some(finished) = harness.take_finished() {
        let slot = usize::try_from(finished.id - first)
            .ok()
            .and_then(|at| rsps.get_mut(at));
        if let Some(slot) = slot {
            *slot = response(&finished);
        }
    }
    Ok(object([("rsps", rsps.into())]))
}

fn response(finished: &Finished) -> Value {
    let Finished { response, .. } = finished;
    let size = 1_u64.checked_shl(response.page_shift.into()).unwrap_or(0);
    json!({
        "status": if response.fault { "fault" } else { "ok" },
        "pa": word(if response.fault { 0 } else { response.pa }),
        "size": if response.fault { 0 } else { size },
        "issued": finished.issued,
        "answered": finished.answered,
    })
}

fn register(offset: Number, size: Number, value: Option<Number>) -> Result<RegAccess, String> {
    let offset = u16::try_from(offset.0)
        .ok()
        .filter(|offset| *offset < 4096)
        .ok_or_else(|| format!("offset {:#x} is beyond the 4 KiB of registers", offset.0))?;
    let wide = match size.0 {
        4 => false,
        8 => true,
        size => return Err(format!("size {size} is neither 4 nor 8")),
    };
    let data = value.map_or(0, |value| value.0);
    if !wide && data >> 32 != 0 {
        return Err(format!("value {data:#x} does not fit 4 bytes"));
    }
    Ok(RegAccess {
        write: value.is_some(),
        offset,
        wide,
        data,
    })
}

/// The counters, by name.
fn stats(harness: &Harness) -> Map<String, Value> {
    let counters = harness.counters();
    // Purposes that no configuration has yet are listed too, so that a script finds every name of the protocol.
    let mut reads = object([("pdt", 0.into()), ("msi", 0.into())]);
    let mut writes = reads.clone();
    for purpose in PURPOSES {
        let name = purpose_name(purpose);
        reads.insert(name.into(), counters.traffic.reads(purpose).into());
        writes.insert(name.into(), counters.traffic.writes(purpose).into());
    }
    object([
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
    ])
}

fn in_memory(addr: u64, len: u64) -> Result<(), String> {
    match len.checked_sub(1).map(|rest| addr.checked_add(rest)) {
        None | Some(Some(_)) => Ok(()),
        Some(None) => Err(format!(
            "{len} bytes from {addr:#x} reach beyond the last address"
        )),
    }
}

fn object<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn word(value: u64) -> Value {
    format!("{value:#018x}").into()
}

fn hex(data: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let nibbles = data.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles
        .map(|nibble| char::from(DIGITS[usize::from(nibble)]))
        .collect()
}

fn bytes(hex: &str) -> Result<Vec<u8>, String> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    if !hex.len().is_multiple_of(2) {
        return Err("data has an odd number of hex digits".to_owned());
    }
    let pairs = hex.as_bytes().chunks_exact(2);
    pairs
        .map(|pair| {
            let value = digit(pair[0])? << 4 | digit(pair[1])?;
            u8::try_from(value).ok()
        })
        .collect::<Option<Vec<u8>>>()
        .ok_or_else(|| "data is not hex digits".to_owned())
}
