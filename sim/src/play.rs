//! `portcullis play`: one JSON object per line in, exactly one per line out.
//!
//! The protocol is described in the book; what it leaves open is settled here:
//! * `config` of `reset` is `tiny` if absent, `priv` is false, `kind` is `untranslated`, `pace` is `pipelined`;
//!   memory has a latency of 10 cycles, interval 1, no jitter, seed 0.
//! * addresses, data and register values are answered as `0x` and 16 digits, whatever the size; `size`, cycles and
//!   counters as integers. A refused request has `pa` and `size` 0.
//! * `irq` is that of the last simulated cycle.
//! * `wait` reads 8 bytes if the mask or the value needs them, else 4.
//! * the golden model answers the same lines; what has no meaning without a clock is said in one sentence.
//! * errors carry nothing but `error` and `line`, and change nothing.

mod machine;
mod ops;

use std::fmt;
use std::io::{self, BufRead, Read, Write};

use portcullis_regmap::{CONFIGS, Config, VARIANTS};
use serde_json::{Map, Value, json};

use crate::backend::Factory;
use crate::backend::model::Golden;
use crate::core::{MemStatus, RegAccess};
use crate::failure::Failure;
use crate::harness::Harness;
use crate::memory::{FaultOn, Memory, Timing};
use machine::{Machine, Modelled, Until};
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

/// Makes the machine that answers after a `reset`.
type Maker<'a> = &'a dyn Fn(&'static Config, Timing) -> Result<Box<dyn Machine>, String>;

/// Holds a conversation with simulated hardware until the input ends.
///
/// # Errors
/// See [`PlayError`]; the conversation partner has been answered before.
pub fn play(
    input: impl BufRead,
    output: impl Write,
    factory: Factory<'_>,
) -> Result<(), PlayError> {
    converse(input, output, &|config, timing| {
        Ok(Box::new(Harness::new(
            factory(config)?,
            Memory::new(timing),
        )))
    })
}

/// Holds a conversation with the golden model until the input ends. Memory has no timing there.
///
/// # Errors
/// See [`PlayError`].
pub fn play_model(input: impl BufRead, output: impl Write) -> Result<(), PlayError> {
    converse(input, output, &|config, _| {
        let golden = Golden::new(config)?;
        Ok(Box::new(Modelled {
            golden,
            requests: 0,
        }))
    })
}

fn converse(
    mut input: impl BufRead,
    mut output: impl Write,
    make: Maker<'_>,
) -> Result<(), PlayError> {
    let mut session = Session {
        make,
        machine: None,
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
    make: Maker<'a>,
    machine: Option<Box<dyn Machine>>,
}

impl Session<'_> {
    fn line(&mut self, line: &[u8]) -> Answer {
        let op: Op = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        let mut answer = if let Op::Reset { config, mem } = op {
            self.reset(config.as_deref(), mem)?
        } else {
            let machine = self
                .machine
                .as_mut()
                .ok_or_else(|| "the first op must be reset".to_owned())?;
            perform(machine.as_mut(), op)?
        };
        if let Some(machine) = &self.machine {
            answer.insert("cycle".into(), machine.cycle().into());
            answer.insert("irq".into(), machine.irq().into());
        }
        Ok(answer)
    }

    fn reset(&mut self, config: Option<&str>, mem: Option<MemoryFields>) -> Answer {
        let config = named_config(config.unwrap_or("tiny"))?;
        self.machine = Some((self.make)(config, timing(mem)?)?);
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
    portcullis_regmap::config(name).ok_or_else(|| unknown(name, CONFIGS.iter()))
}

/// A configuration, or one of the variants that are there to be measured.
///
/// # Errors
/// There is none of that name.
pub fn named_variant(name: &str) -> Result<&'static Config, String> {
    portcullis_regmap::variant(name).ok_or_else(|| unknown(name, CONFIGS.iter().chain(VARIANTS)))
}

fn unknown(name: &str, known: impl Iterator<Item = &'static Config>) -> String {
    let names: Vec<&str> = known.map(|config| config.name).collect();
    format!(
        "unknown configuration `{name}`: choose one of {}",
        names.join(", ")
    )
}

fn perform(machine: &mut dyn Machine, op: Op) -> Answer {
    match op {
        // Handled by the caller: it makes a new harness.
        Op::Reset { .. } => Ok(Map::new()),
        Op::MemWrite { addr, data } => {
            let data = bytes(&data)?;
            in_memory(addr.0, data.len() as u64)?;
            machine.mem_write(addr.0, &data);
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
            machine.mem_read(addr.0, &mut data);
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
            machine.mem_fault(addr.0, len.0, on, status);
            Ok(Map::new())
        }
        Op::RegWrite {
            offset,
            size,
            value,
        } => {
            let access = register(offset, size, Some(value))?;
            machine.register(access)?;
            Ok(Map::new())
        }
        Op::RegRead { offset, size } => {
            let access = register(offset, size, None)?;
            Ok(object([("value", word(machine.register(access)?))]))
        }
        Op::Translate { reqs, pace } => translate(machine, &reqs, pace),
        Op::Step { cycles } => {
            machine.step(cycles.0)?;
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
            let until = Until {
                mask: mask.0,
                want: value.0,
                timeout: timeout.0,
            };
            let (read, met) = machine.wait(access, until)?;
            Ok(object([
                ("value", word(read)),
                ("timed_out", (!met).into()),
            ]))
        }
        Op::Stats {} => Ok(machine.stats()?),
    }
}

fn translate(machine: &mut dyn Machine, reqs: &[RequestFields], pace: Pace) -> Answer {
    // All are checked before the first is issued: a line that cannot be understood changes nothing.
    let requests = reqs
        .iter()
        .map(RequestFields::request)
        .collect::<Result<Vec<_>, _>>()?;
    Ok(object([(
        "rsps",
        machine.translate(&requests, pace)?.into(),
    )]))
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
