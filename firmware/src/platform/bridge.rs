//! A board at the other end of a serial line: the driver runs on a host, registers and memory are on the board.
//!
//! One request is on the way at a time, and each is answered once it is done: a memory write after the memory has taken
//! it, a register write after the register has. So every access is ordered before the next, and barriers are free.
//!
//! Requests and answers have a number and a checksum. What does not arrive whole does not count; the host then asks again
//! with the same number, and the board answers a number that it has carried out already by repeating its answer. So a
//! request is carried out as a whole and once, or not at all, whatever the line loses or invents.

pub mod frame;

use core::fmt::Debug;

use self::frame::{ANSWER, Decoder, Encoded, op, status};
use super::{Barrier, Barriers, Clock, DmaMemory, Region, Registers, StoreWidth};
use crate::PhysAddr;
use crate::types::Timeouts;

/// The line: bytes in both directions, and the host's time. A serial port, a socket, a pair of queues.
pub trait ByteStream {
    /// Why the line failed as such: unplugged, closed. Lost or wrong bytes are no such failure.
    type Error: Debug;

    /// Sends all bytes.
    ///
    /// # Errors
    /// The line failed.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;

    /// Waits for bytes, at most `wait_us` microseconds, and answers how many there were: at least one unless the time was
    /// over.
    ///
    /// # Errors
    /// The line failed.
    fn read(&mut self, bytes: &mut [u8], wait_us: u64) -> Result<usize, Self::Error>;

    /// Microseconds from any origin; as [`Clock::now_us`].
    fn now_us(&mut self) -> u64;
}

/// How long to wait, and how often to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// For an answer, in microseconds.
    pub answer_us: u64,
    /// Times a request is sent before it is given up; at least 1.
    pub tries: u32,
}

impl Default for Line {
    fn default() -> Self {
        Line {
            answer_us: 50_000,
            tries: 4,
        }
    }
}

/// Why the board did not do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The board does not know the request.
    Unknown,
    /// Misaligned, or nothing is there.
    Address,
    /// The board's bus answered with an error.
    Bus,
}

/// Why an access failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BridgeError<E> {
    /// The line failed. What was asked for may have been done.
    Line(E),
    /// No answer, however often it was asked. What was asked for may have been done, as a whole and once.
    NoAnswer,
    /// The board answered that it did not do it.
    Refused(Refusal),
    /// An answer with the right number and checksum, but not one of this format: something else is at the other end.
    Format,
}

/// Why a board cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectError<E> {
    /// Asking failed.
    Access(BridgeError<E>),
    /// What answers is not a Portcullis board: its first doubleword.
    Stranger(u64),
    /// It speaks another version of the format.
    Version(u16),
    /// Its memory has no whole page, or more than there are addresses.
    NoMemory,
    /// 8-byte stores were asked for, and it does not make them as one access.
    Narrow,
}

/// The platform. `WIDE`: 8-byte stores are one access on this board, as [`StoreWidth::W8`]; connecting checks that.
pub struct Bridge<S, const WIDE: bool = false> {
    stream: S,
    line: Line,
    decoder: Decoder,
    number: u8,
    /// What the board said of itself.
    who: u64,
    /// A request was given up. The board may be 256 requests behind, and would take the next one for a repetition.
    doubt: bool,
    region: Region,
    clock_hz: u64,
    round_trip_us: u64,
}

impl<S: ByteStream, const WIDE: bool> Bridge<S, WIDE> {
    /// Asks the board who it is and what memory the driver may use.
    ///
    /// # Errors
    /// The stream comes back, with the reason.
    pub fn connect(stream: S, line: Line) -> Result<Self, (S, ConnectError<S::Error>)> {
        let mut bridge = Bridge {
            stream,
            line,
            decoder: Decoder::default(),
            number: 0,
            who: 0,
            doubt: false,
            region: Region::new(PhysAddr(0), 0),
            clock_hz: 0,
            round_trip_us: 0,
        };
        match bridge.identify() {
            Ok(()) => Ok(bridge),
            Err(error) => Err((bridge.stream, error)),
        }
    }

    fn identify(&mut self) -> Result<(), ConnectError<S::Error>> {
        let mut words = [0; 4];
        for (index, word) in (0..).zip(&mut words) {
            let began = self.stream.now_us();
            let bytes = self.ask(op::IDENTIFY, &[index]);
            *word = u64::from_le_bytes(bytes.map_err(ConnectError::Access)?);
            let took = self.stream.now_us().saturating_sub(began);
            self.round_trip_us = self.round_trip_us.max(took);
        }
        let [who, start, bytes, clock_hz] = words;
        if who as u32 != frame::MAGIC {
            return Err(ConnectError::Stranger(who));
        }
        let version = (who >> 32) as u16;
        if version != frame::VERSION {
            return Err(ConnectError::Version(version));
        }
        if WIDE && who >> 48 & 1 == 0 {
            return Err(ConnectError::Narrow);
        }
        self.region = Region::new(PhysAddr(start), bytes);
        if start.checked_add(bytes).is_none() || self.region.bytes() == 0 {
            return Err(ConnectError::NoMemory);
        }
        (self.who, self.clock_hz) = (who, clock_hz);
        Ok(())
    }

    /// The board's clock in hertz, as it says; 0 if it does not.
    pub fn clock_hz(&self) -> u64 {
        self.clock_hz
    }

    /// The longest time from a request to its answer while connecting, in microseconds.
    pub fn round_trip_us(&self) -> u64 {
        self.round_trip_us
    }

    /// Waiting times of the driver that leave room for 100 round trips, or for one that has to be asked until the end.
    pub fn timeouts(&self) -> Timeouts {
        let worst = self.line.answer_us.saturating_mul(self.line.tries.into());
        let room = worst.max(self.round_trip_us.saturating_mul(100));
        let Timeouts {
            command_us,
            register_us,
        } = Timeouts::default();
        Timeouts {
            command_us: command_us.saturating_add(room),
            register_us: register_us.saturating_add(room),
        }
    }

    /// The interrupt wires: bit n is the wire of vector n. For a host that polls instead of having an interrupt.
    ///
    /// # Errors
    /// As any access.
    pub fn interrupts(&mut self) -> Result<u32, BridgeError<S::Error>> {
        self.access(op::INTERRUPTS, &[]).map(u32::from_le_bytes)
    }

    /// The line, for other uses.
    pub fn into_inner(self) -> S {
        self.stream
    }

    /// One request, until it is answered with exactly `N` bytes. After one that was given up, the board is asked first
    /// whether it is there and still the same: that is never taken for a repetition.
    fn access<const N: usize>(
        &mut self,
        op: u8,
        operands: &[u8],
    ) -> Result<[u8; N], BridgeError<S::Error>> {
        if self.doubt {
            let who = self.ask(op::IDENTIFY, &[0]).map(u64::from_le_bytes)?;
            if who != self.who {
                return Err(BridgeError::Format);
            }
            self.doubt = false;
        }
        let result = self.ask(op, operands);
        self.doubt = matches!(result, Err(BridgeError::NoAnswer | BridgeError::Line(_)));
        result
    }

    fn ask<const N: usize>(
        &mut self,
        op: u8,
        operands: &[u8],
    ) -> Result<[u8; N], BridgeError<S::Error>> {
        self.number = self.number.wrapping_add(1);
        let mut content = [0; frame::LONGEST - 2];
        (content[0], content[1]) = (op, self.number);
        content[2..2 + operands.len()].copy_from_slice(operands);
        let request = Encoded::new(&content[..2 + operands.len()]);
        for _ in 0..self.line.tries.max(1) {
            self.stream
                .write(request.bytes())
                .map_err(BridgeError::Line)?;
            if let Some(answer) = self.answer(op)? {
                return Ok(answer);
            }
        }
        Err(BridgeError::NoAnswer)
    }

    /// The answer to the request on the way; `None` if it does not come in time. Whatever else arrives is left over from
    /// requests before, or never was an answer.
    fn answer<const N: usize>(&mut self, op: u8) -> Result<Option<[u8; N]>, BridgeError<S::Error>> {
        let began = self.stream.now_us();
        loop {
            let passed = self.stream.now_us().saturating_sub(began);
            let Some(left) = self.line.answer_us.checked_sub(passed).filter(|l| *l > 0) else {
                return Ok(None);
            };
            let mut bytes = [0; frame::LONGEST_ON_LINE];
            let count = self
                .stream
                .read(&mut bytes, left)
                .map_err(BridgeError::Line)?;
            for &byte in bytes.iter().take(count) {
                let Some(&[tag, number, ref rest @ ..]) = self.decoder.push(byte) else {
                    continue;
                };
                if tag & ANSWER != 0 && number == self.number {
                    return judge(tag & !ANSWER == op, rest).map(Some);
                }
            }
        }
    }
}

/// What the board says behind the number of the request.
fn judge<const N: usize, E>(of_request: bool, rest: &[u8]) -> Result<[u8; N], BridgeError<E>> {
    let data = match rest {
        [status::OK, data @ ..] if of_request => data,
        [status::UNKNOWN] => return Err(BridgeError::Refused(Refusal::Unknown)),
        [status::ADDRESS] => return Err(BridgeError::Refused(Refusal::Address)),
        [status::BUS] => return Err(BridgeError::Refused(Refusal::Bus)),
        _ => return Err(BridgeError::Format),
    };
    data.try_into().map_err(|_| BridgeError::Format)
}

/// Operands one behind the other.
fn join<const A: usize, const B: usize, const AB: usize>(a: [u8; A], b: [u8; B]) -> [u8; AB] {
    const { assert!(A + B == AB) };
    let mut both = [0; AB];
    both[..A].copy_from_slice(&a);
    both[A..].copy_from_slice(&b);
    both
}

impl<S: ByteStream, const WIDE: bool> Registers for Bridge<S, WIDE> {
    type Error = BridgeError<S::Error>;

    fn read32(&mut self, offset: u16) -> Result<u32, Self::Error> {
        self.access(op::READ32, &offset.to_le_bytes())
            .map(u32::from_le_bytes)
    }

    fn write32(&mut self, offset: u16, value: u32) -> Result<(), Self::Error> {
        let operands: [u8; 6] = join(offset.to_le_bytes(), value.to_le_bytes());
        self.access(op::WRITE32, &operands).map(|[]| ())
    }
}

// SAFETY: the memory is on the board, out of reach of this program; `Region` gives no piece out twice before it is freed.
unsafe impl<S: ByteStream, const WIDE: bool> DmaMemory for Bridge<S, WIDE> {
    const STORE: StoreWidth = if WIDE { StoreWidth::W8 } else { StoreWidth::W4 };

    fn alloc(&mut self, bytes: usize, align: usize) -> Option<PhysAddr> {
        self.region.take(bytes, align)
    }

    unsafe fn free(&mut self, pa: PhysAddr, _: usize) {
        self.region.give_back(pa);
    }

    fn load64(&mut self, pa: PhysAddr) -> Result<u64, Self::Error> {
        self.access(op::LOAD64, &pa.0.to_le_bytes())
            .map(u64::from_le_bytes)
    }

    fn store64(&mut self, pa: PhysAddr, value: u64) -> Result<(), Self::Error> {
        let operands: [u8; 16] = join(pa.0.to_le_bytes(), value.to_le_bytes());
        self.access(op::STORE64, &operands).map(|[]| ())
    }

    fn store32(&mut self, pa: PhysAddr, value: u32) -> Result<(), Self::Error> {
        let operands: [u8; 12] = join(pa.0.to_le_bytes(), value.to_le_bytes());
        self.access(op::STORE32, &operands).map(|[]| ())
    }
}

impl<S, const WIDE: bool> Barriers for Bridge<S, WIDE> {
    /// Every access is over when it returns.
    fn barrier(&mut self, _: Barrier) {}
}

impl<S: ByteStream, const WIDE: bool> Clock for Bridge<S, WIDE> {
    fn now_us(&mut self) -> u64 {
        self.stream.now_us()
    }
}
