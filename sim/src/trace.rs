//! Parser of QEMU's IOMMU trace logs (`-trace 'vtd_*'`, `-trace 'riscv_iommu_*'`, `-D FILE`).
//!
//! Known lines become [`Event`]s or are counted; lines of any other kind are counted and skipped. A line of a known
//! kind that does not have its exact form is an error that names the line and the cause. A log without a single DMA
//! is an error too: there would be nothing to replay.
//!
//! QEMU's `PID@SECONDS.MICROS:` prefix (`-msg timestamp=on`) is accepted on each line.

use std::fmt;

use portcullis_regmap::command::{Command, Op};

use crate::core::Access;

/// Smallest page.
pub const PAGE: u64 = 4096;
/// Largest mapping that a log may name: the largest leaf of the first stage's three-level format.
const LARGEST_PAGE: u64 = 1 << 30;

/// A translation domain by the name that the log gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Domain {
    /// VT-d domain id.
    Vtd(u64),
    /// RISC-V PSCID, of the host's address space or of a guest's.
    Pscid(Option<u16>, u32),
    /// RISC-V GSCID.
    Gscid(u16),
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vtd(id) => write!(f, "domain {id:#x}"),
            Self::Pscid(None, pscid) => write!(f, "PSCID {pscid:#x}"),
            Self::Pscid(Some(gscid), pscid) => write!(f, "GSCID {gscid:#x} PSCID {pscid:#x}"),
            Self::Gscid(gscid) => write!(f, "GSCID {gscid:#x}"),
        }
    }
}

/// What a line of the log says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A device touched `iova` and reached `target`; both lie in a mapping of `size` bytes, and at the same offset.
    Dma {
        /// Device id: bus, device and function.
        device: u32,
        /// Process id; 0 is DMA without one.
        process: u32,
        /// Address that the device used.
        iova: u64,
        /// Address that it reached.
        target: u64,
        /// Size of the mapping, a power of two.
        size: u64,
        /// Read or write, if the log says it.
        access: Option<Access>,
    },
    /// The mappings of these pages are gone in one domain, or in all if the line names none.
    Pages {
        /// The domain.
        domain: Option<Domain>,
        /// First byte.
        addr: u64,
        /// Last byte.
        last: u64,
    },
    /// Everything that was unmapped in one domain since its last such line is gone; all domains if none is named.
    Drain {
        /// The domain.
        domain: Option<Domain>,
    },
}

/// An event with the line that it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Line number, from 1.
    pub line: u32,
    /// The event.
    pub kind: EventKind,
}

/// How many lines of which kind a log has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineCounts {
    /// DMA page touches.
    pub dma: u64,
    /// Page-selective invalidations.
    pub pages: u64,
    /// Domain-wide and global invalidations.
    pub drains: u64,
    /// Invalidations of cached contexts.
    pub contexts: u64,
    /// Fences.
    pub fences: u64,
    /// RISC-V commands with no meaning for a replay, or illegal ones.
    pub other_commands: u64,
    /// Lines of other kinds.
    pub skipped: u64,
}

/// A parsed log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// What happened, in order.
    pub events: Vec<Event>,
    /// Lines by kind.
    pub lines: LineCounts,
}

/// Why a log cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceError {
    /// The line, if one is to blame.
    pub line: Option<u32>,
    /// What is wrong.
    pub cause: String,
}

impl TraceError {
    /// An error of one line.
    pub(crate) fn at(line: u32, cause: impl Into<String>) -> Self {
        Self {
            line: Some(line),
            cause: cause.into(),
        }
    }
}

impl TraceError {
    /// One line for the user: `FILE:LINE: cause`, or `FILE: cause`.
    #[must_use]
    pub fn describe(&self, file: &str) -> String {
        match self.line {
            Some(line) => format!("{file}:{line}: {}", self.cause),
            None => format!("{file}: {}", self.cause),
        }
    }
}

/// Name of a device id as the logs write it.
#[must_use]
pub fn device_name(device: u32) -> String {
    format!(
        "{:02x}:{:02x}.{:x}",
        device >> 8,
        (device >> 3) & 0x1f,
        device & 7
    )
}

/// Parses a whole log.
///
/// # Errors
/// A malformed line of a known kind, or no DMA at all.
pub fn parse(log: &[u8]) -> Result<Trace, TraceError> {
    let mut trace = Trace::default();
    let mut number: u32 = 0;
    // The part behind the last newline is not a line.
    let lines = log.strip_suffix(b"\n").unwrap_or(log);
    for line in lines.split(|byte| *byte == b'\n') {
        number = number
            .checked_add(1)
            .ok_or_else(|| TraceError::at(u32::MAX, "too many lines: split the log"))?;
        // A log may hold anything in lines that are not ours, so bytes that are no text are replaced, not refused.
        let line = String::from_utf8_lossy(line);
        parse_line(&line, number, &mut trace).map_err(|cause| TraceError::at(number, cause))?;
    }
    if trace.lines.dma == 0 {
        return Err(TraceError {
            line: None,
            cause: format!(
                "no DMA in its {number} lines: expected vtd_dmar_translate or riscv_iommu_dma lines (QEMU with -trace \
                 'vtd_*' or -trace 'riscv_iommu_*')"
            ),
        });
    }
    Ok(trace)
}

fn parse_line(line: &str, number: u32, trace: &mut Trace) -> Result<(), String> {
    let line = strip_timestamp(line.trim_end_matches('\r'));
    let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
    let mut words = Words {
        kind,
        rest: rest.split_ascii_whitespace(),
    };
    let event = match kind {
        "vtd_dmar_translate" => Some(words.vtd_dma()?),
        "vtd_inv_desc_iotlb_pages" => Some(words.vtd_pages()?),
        "vtd_inv_desc_iotlb_domain" => {
            words.literal("iotlb invalidate whole domain")?;
            let domain = words.hex("domain")?;
            words.end()?;
            Some(EventKind::Drain {
                domain: Some(Domain::Vtd(domain)),
            })
        }
        "vtd_inv_desc_iotlb_global" => {
            words.literal("iotlb invalidate global")?;
            words.end()?;
            Some(EventKind::Drain { domain: None })
        }
        "vtd_inv_desc_wait_sw" => {
            words.literal("wait invalidate status write addr")?;
            words.hex("address")?;
            words.literal("data")?;
            words.hex("data")?;
            words.end()?;
            trace.lines.fences += 1;
            None
        }
        kind if kind.starts_with("vtd_inv_desc_cc_") => {
            words.literal("context invalidate")?;
            trace.lines.contexts += 1;
            None
        }
        "riscv_iommu_dma" => Some(words.riscv_dma()?),
        "riscv_iommu_cmd" => words.riscv_command(&mut trace.lines)?,
        _ => {
            trace.lines.skipped += 1;
            None
        }
    };
    if let Some(kind) = event {
        match kind {
            EventKind::Dma { .. } => trace.lines.dma += 1,
            EventKind::Pages { .. } => trace.lines.pages += 1,
            EventKind::Drain { .. } => trace.lines.drains += 1,
        }
        trace.events.push(Event { line: number, kind });
    }
    Ok(())
}

/// Removes `PID@SECONDS.MICROS:`.
fn strip_timestamp(line: &str) -> &str {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let strip = || {
        let (pid, rest) = line.split_once('@')?;
        let (time, rest) = rest.split_once(':')?;
        let (seconds, fraction) = time.split_once('.')?;
        (digits(pid) && digits(seconds) && digits(fraction)).then_some(rest)
    };
    strip().unwrap_or(line)
}

/// The words of a line behind its kind.
struct Words<'a> {
    kind: &'a str,
    rest: std::str::SplitAsciiWhitespace<'a>,
}

impl<'a> Words<'a> {
    fn next(&mut self, what: &str) -> Result<&'a str, String> {
        self.rest
            .next()
            .ok_or_else(|| format!("{}: the line ends where {what} should be", self.kind))
    }

    fn wrong(&self, what: &str, word: &str) -> String {
        // A damaged log can hold a "word" of any length.
        let shown: String = word.chars().take(40).collect();
        format!("{}: expected {what}, found `{shown}`", self.kind)
    }

    fn literal(&mut self, words: &str) -> Result<(), String> {
        for expected in words.split(' ') {
            let word = self.next(&format!("`{expected}`"))?;
            if word != expected {
                return Err(self.wrong(&format!("`{expected}`"), word));
            }
        }
        Ok(())
    }

    fn hex(&mut self, what: &str) -> Result<u64, String> {
        let word = self.next(what)?;
        word.strip_prefix("0x")
            .and_then(hex_digits)
            .ok_or_else(|| self.wrong(&format!("{what} as 0x and up to 16 hex digits"), word))
    }

    fn end(&mut self) -> Result<(), String> {
        match self.rest.next() {
            None => Ok(()),
            Some(word) => Err(self.wrong("the end of the line", word)),
        }
    }

    /// `BUS:DEVICE.FUNCTION` in hex digits.
    fn device(&mut self, bus_max: u64) -> Result<u32, String> {
        let word = self.next("a device")?;
        let parse = || {
            let (bus, rest) = word.split_once(':')?;
            let (device, function) = rest.split_once('.')?;
            let (bus, device, function) =
                (hex_digits(bus)?, hex_digits(device)?, hex_digits(function)?);
            (bus <= bus_max && device < 32 && function < 8)
                .then(|| u32::try_from(bus << 8 | device << 3 | function).ok())?
        };
        parse().ok_or_else(|| self.wrong("a device as BUS:DEVICE.FUNCTION in hex", word))
    }

    /// `dev BB:DD.FF iova X -> gpa Y mask M`
    fn vtd_dma(&mut self) -> Result<EventKind, String> {
        self.literal("dev")?;
        let device = self.device(0xff)?;
        self.literal("iova")?;
        let iova = self.hex("an address")?;
        self.literal("-> gpa")?;
        let target = self.hex("an address")?;
        self.literal("mask")?;
        let mask = self.hex("a mask")?;
        self.end()?;
        let size = mask
            .checked_add(1)
            .filter(|size| size.is_power_of_two() && (PAGE..=LARGEST_PAGE).contains(size))
            .ok_or_else(|| {
                format!(
                    "{}: mask {mask:#x} is not that of a page of 4 KiB to 1 GiB",
                    self.kind
                )
            })?;
        self.dma(device, 0, iova, target, size, None)
    }

    /// `ID: translate BUS:DEVICE.FUNCTION #PROCESS RO|WR X -> Y`
    fn riscv_dma(&mut self) -> Result<EventKind, String> {
        self.name()?;
        self.literal("translate")?;
        let device = self.device(0xffff)?;
        let word = self.next("a process id")?;
        let process = word
            .strip_prefix('#')
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .filter(|process| *process < 1 << 20)
            .ok_or_else(|| self.wrong("# and a process id of 20 bits", word))?;
        let word = self.next("RO or WR")?;
        let access = match word {
            "RO" => Access::Read,
            "WR" => Access::Write,
            _ => return Err(self.wrong("RO or WR", word)),
        };
        let iova = self.hex("an address")?;
        self.literal("->")?;
        let target = self.hex("an address")?;
        self.end()?;
        self.dma(device, process, iova, target, PAGE, Some(access))
    }

    fn dma(
        &self,
        device: u32,
        process: u32,
        iova: u64,
        target: u64,
        size: u64,
        access: Option<Access>,
    ) -> Result<EventKind, String> {
        if (iova ^ target) & (size - 1) != 0 {
            return Err(format!(
                "{}: {iova:#x} and {target:#x} differ in their offset within a page of {size:#x} bytes",
                self.kind
            ));
        }
        Ok(EventKind::Dma {
            device,
            process,
            iova,
            target,
            size,
            access,
        })
    }

    /// `iotlb invalidate domain D addr A mask m`
    fn vtd_pages(&mut self) -> Result<EventKind, String> {
        self.literal("iotlb invalidate domain")?;
        let domain = self.hex("a domain")?;
        self.literal("addr")?;
        let addr = self.hex("an address")?;
        self.literal("mask")?;
        let mask = self.hex("an address mask")?;
        self.end()?;
        let size = u32::try_from(mask)
            .ok()
            .filter(|mask| *mask < 52)
            .map(|mask| PAGE << mask)
            .ok_or_else(|| {
                format!(
                    "{}: 2^{mask:#x} pages are more than there are addresses",
                    self.kind
                )
            })?;
        let addr = addr & !(size - 1);
        Ok(EventKind::Pages {
            domain: Some(Domain::Vtd(domain)),
            addr,
            last: addr + (size - 1),
        })
    }

    /// `ID: command W0 W1`
    fn riscv_command(&mut self, lines: &mut LineCounts) -> Result<Option<EventKind>, String> {
        self.name()?;
        self.literal("command")?;
        let dw0 = self.hex("a command word")?;
        let dw1 = self.hex("a command word")?;
        self.end()?;
        Ok(match (Command { dw0, dw1 }).decode() {
            Ok(Op::Iotinval {
                gvma,
                addr,
                pscid,
                gscid,
                s,
                ..
            }) => {
                let domain = match (gvma, pscid, gscid) {
                    (false, Some(pscid), gscid) => Some(Domain::Pscid(gscid, pscid)),
                    (_, _, Some(gscid)) => Some(Domain::Gscid(gscid)),
                    _ => None,
                };
                // The address of a GVMA is a guest-physical one: which IOVAs it covers the log does not say, so it
                // counts as covering the guest.
                Some(match addr.filter(|_| !gvma) {
                    Some(addr) => {
                        let (addr, last) = covered(addr, s);
                        EventKind::Pages { domain, addr, last }
                    }
                    None => EventKind::Drain { domain },
                })
            }
            Ok(Op::InvalDdt { .. } | Op::InvalPdt { .. }) => {
                lines.contexts += 1;
                None
            }
            Ok(Op::Iofence { .. }) => {
                lines.fences += 1;
                None
            }
            Ok(Op::Ats { .. }) | Err(_) => {
                lines.other_commands += 1;
                None
            }
        })
    }

    /// The IOMMU's name and a colon. QEMU prints `(null)` for one without a name.
    fn name(&mut self) -> Result<(), String> {
        let word = self.next("the IOMMU's name")?;
        if word.ends_with(':') {
            Ok(())
        } else {
            Err(self.wrong("the IOMMU's name and a colon", word))
        }
    }
}

/// First and last byte that the address of an IOTINVAL covers. With S=1 the lowest 0 bit of the page number, at
/// position X, says 2^(X+1) pages (INV-27).
fn covered(addr: u64, range: bool) -> (u64, u64) {
    if !range {
        return (addr, addr | (PAGE - 1));
    }
    let page = addr / PAGE;
    let below = page ^ page.wrapping_add(1);
    let first = (page & !below) * PAGE;
    (first, first | below.saturating_mul(PAGE) | (PAGE - 1))
}

fn hex_digits(text: &str) -> Option<u64> {
    let hex =
        !text.is_empty() && text.len() <= 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    hex.then(|| u64::from_str_radix(text, 16).ok())?
}
