//! The lines of a script as serde reads them, field by field as in the protocol.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};

use crate::core::{Access, Kind, Request};
use crate::memory::Timing;

/// Largest value of each timing parameter of the memory.
const MAX_TIMING: u64 = 100_000;

/// A JSON integer or a string `"0x..."`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number(pub(super) u64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Numbers;
        impl Visitor<'_> for Numbers {
            type Value = Number;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an integer from 0 to 2^64 - 1 or a string \"0x...\"")
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Number, E> {
                Ok(Number(value))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Number, E> {
                u64::try_from(value)
                    .map(Number)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(value), &self))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
                text.strip_prefix("0x")
                    .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
                    .and_then(|digits| u64::from_str_radix(digits, 16).ok())
                    .map(Number)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Numbers)
    }
}

/// One line.
#[derive(serde::Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Op {
    Reset {
        config: Option<String>,
        mem: Option<MemoryFields>,
    },
    MemWrite {
        addr: Number,
        data: String,
    },
    MemRead {
        addr: Number,
        len: Number,
    },
    MemFault {
        addr: Number,
        len: Number,
        kind: FaultField,
        on: OnField,
    },
    RegWrite {
        offset: Number,
        size: Number,
        value: Number,
    },
    RegRead {
        offset: Number,
        size: Number,
    },
    Translate {
        reqs: Vec<RequestFields>,
        #[serde(default)]
        pace: Pace,
    },
    Step {
        cycles: Number,
    },
    Wait {
        offset: Number,
        mask: Number,
        value: Number,
        timeout: Number,
    },
    Stats {},
}

/// Timing of the memory.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MemoryFields {
    latency: Option<Number>,
    interval: Option<Number>,
    jitter: Option<Number>,
    seed: Option<Number>,
}

/// How accesses end from now on.
#[derive(serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FaultField {
    Access,
    Corrupt,
    None,
}

/// Which accesses.
#[derive(serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum OnField {
    Read,
    Write,
    Both,
}

/// One translation request.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RequestFields {
    device_id: Number,
    process_id: Option<Number>,
    #[serde(rename = "priv", default)]
    privileged: bool,
    access: AccessField,
    #[serde(default)]
    kind: KindField,
    iova: Number,
}

/// What the device does.
#[derive(serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum AccessField {
    R,
    W,
    X,
}

/// Kind of transaction.
#[derive(Default, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum KindField {
    #[default]
    Untranslated,
    Translated,
    Ats,
}

/// When the next request is offered.
#[derive(Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Pace {
    #[default]
    Pipelined,
    Serial,
}

impl RequestFields {
    /// The request that the fields describe.
    pub(super) fn request(&self) -> Result<Request, String> {
        let narrow = |name: &str, number: Number, bits: u32| {
            u32::try_from(number.0)
                .ok()
                .filter(|value| value >> bits == 0)
                .ok_or_else(|| format!("{name} {:#x} has more than {bits} bits", number.0))
        };
        Ok(Request {
            tag: 0,
            device_id: narrow("device_id", self.device_id, 24)?,
            process_id: self
                .process_id
                .map(|number| narrow("process_id", number, 20))
                .transpose()?,
            privileged: self.privileged,
            access: match self.access {
                AccessField::R => Access::Read,
                AccessField::W => Access::Write,
                AccessField::X => Access::Exec,
            },
            kind: match self.kind {
                KindField::Untranslated => Kind::Untranslated,
                KindField::Translated => Kind::Translated,
                KindField::Ats => Kind::Ats,
            },
            iova: self.iova.0,
        })
    }
}

/// The memory that a reset asks for.
pub(super) fn timing(mem: Option<MemoryFields>) -> Result<Timing, String> {
    let mut timing = Timing::default();
    let Some(mem) = mem else {
        return Ok(timing);
    };
    let set = |name: &str, field: &mut u64, value: Option<Number>, least: u64| {
        let Some(Number(value)) = value else {
            return Ok(());
        };
        if !(least..=MAX_TIMING).contains(&value) {
            return Err(format!(
                "{name} {value} is not from {least} to {MAX_TIMING}"
            ));
        }
        *field = value;
        Ok(())
    };
    set("latency", &mut timing.latency, mem.latency, 1)?;
    set("interval", &mut timing.interval, mem.interval, 1)?;
    set("jitter", &mut timing.jitter, mem.jitter, 0)?;
    timing.seed = mem.seed.map_or(0, |seed| seed.0);
    Ok(timing)
}
