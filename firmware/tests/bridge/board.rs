//! A board in software: the state machine that the format is made for, written byte by byte as hardware would be, and
//! independent of the host's code. And a cable that loses, invents and cuts.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use portcullis::PhysAddr;
use portcullis::platform::{Bridge, ByteStream, ConnectError, DmaMemory, Line, Registers};

use crate::common::{Machine, Random, Shared};

/// Registers of the board: what a small FPGA needs beside its UART.
pub struct Board {
    pub machine: Machine,
    /// Memory for the driver: first address, bytes.
    pub region: (u64, u64),
    pub magic: [u8; 4],
    pub version: u16,
    pub wide: bool,
    // Receiver: one CRC that swallows bit by bit, one shift register, a counter.
    crc: u16,
    escaped: bool,
    spoilt: bool,
    shift: [u8; 20],
    count: usize,
    // The last answer, kept for repetition.
    last: Option<(u8, Vec<u8>)>,
    /// Requests carried out, repetitions not counted: operation, number.
    pub done: Vec<(u8, u8)>,
    pub to_host: VecDeque<u8>,
}

impl Board {
    pub fn new(world: &Shared) -> Self {
        let bytes = 256 * 4096;
        let start = world.borrow_mut().alloc(bytes, 4096).expect("memory");
        Board {
            machine: Machine(world.clone()),
            region: (start, bytes),
            magic: *b"PCLS",
            version: 1,
            wide: true,
            crc: 0xffff,
            escaped: false,
            spoilt: false,
            shift: [0; 20],
            count: 0,
            last: None,
            done: Vec::new(),
            to_host: VecDeque::new(),
        }
    }

    /// A byte from the UART.
    pub fn receive(&mut self, byte: u8) {
        if byte == 0x7e {
            let whole = !self.spoilt && !self.escaped && self.count >= 4 && self.crc == 0;
            let count = self.count;
            (self.crc, self.count) = (0xffff, 0);
            (self.escaped, self.spoilt) = (false, false);
            if whole {
                self.request(count - 2);
            }
        } else if byte == 0x7d {
            self.escaped = true;
        } else {
            let byte = if self.escaped { byte ^ 0x20 } else { byte };
            self.escaped = false;
            for bit in 0..8 {
                let feedback = (self.crc & 1) ^ u16::from(byte >> bit & 1);
                self.crc = self.crc >> 1 ^ if feedback == 1 { 0x8408 } else { 0 };
            }
            match self.shift.get_mut(self.count) {
                Some(place) => (*place, self.count) = (byte, self.count + 1),
                None => self.spoilt = true,
            }
        }
    }

    fn request(&mut self, length: usize) {
        let content = self.shift;
        let (op, number) = (content[0], content[1]);
        let repeated = self.last.as_ref().is_some_and(|last| last.0 == number);
        if op == 0x01 || !repeated {
            let answer = self.carry_out(op, &content[2..length]);
            let answer = match answer {
                Ok(data) => [&[0], &data[..]].concat(),
                Err(status) => vec![status],
            };
            self.done.push((op, number));
            self.last = Some((number, answer));
        }
        let Some((_, answer)) = &self.last else {
            unreachable!()
        };
        let content = [&[op | 0x80, number], &answer[..]].concat();
        self.send(&content);
    }

    pub fn send(&mut self, content: &[u8]) {
        let mut crc = 0xffffu16;
        for bit in content.iter().flat_map(|b| (0..8).map(move |n| b >> n & 1)) {
            let feedback = (crc & 1) ^ u16::from(bit);
            crc = crc >> 1 ^ if feedback == 1 { 0x8408 } else { 0 };
        }
        self.to_host.push_back(0x7e);
        for byte in content.iter().copied().chain(crc.to_le_bytes()) {
            if byte == 0x7e || byte == 0x7d {
                self.to_host.extend([0x7d, byte ^ 0x20]);
            } else {
                self.to_host.push_back(byte);
            }
        }
        self.to_host.push_back(0x7e);
    }

    fn carry_out(&mut self, op: u8, operands: &[u8]) -> Result<Vec<u8>, u8> {
        let wanted = match op {
            0x01 => 1,
            0x02 => 2,
            0x03 => 6,
            0x04 => 8,
            0x05 => 12,
            0x06 => 16,
            0x07 => 0,
            _ => return Err(1),
        };
        if operands.len() != wanted {
            return Err(1);
        }
        let number = |from: usize, to: usize| {
            let take = |n| u64::from(operands[from + n]) << (8 * n);
            (0..to - from).map(take).sum::<u64>()
        };
        match op {
            0x01 => Ok(self.identity(operands[0])?.to_le_bytes().to_vec()),
            0x02 | 0x03 => {
                let offset = number(0, 2) as u16;
                if !offset.is_multiple_of(4) || offset >= 4096 {
                    return Err(2);
                }
                if op == 0x02 {
                    let value = self.machine.read32(offset).expect("never fails");
                    return Ok(value.to_le_bytes().to_vec());
                }
                let value = number(2, 6) as u32;
                self.machine.write32(offset, value).expect("never fails");
                Ok(vec![])
            }
            0x04..=0x06 => {
                let pa = number(0, 8);
                let align = if op == 0x05 { 4 } else { 8 };
                let (start, bytes) = self.region;
                if !pa.is_multiple_of(align) || !(start..start + bytes).contains(&pa) {
                    return Err(2);
                }
                let pa = PhysAddr(pa);
                match op {
                    0x04 => {
                        let value = self.machine.load64(pa).expect("never fails");
                        return Ok(value.to_le_bytes().to_vec());
                    }
                    0x05 => self.machine.store32(pa, number(8, 12) as u32),
                    _ => self.machine.store64(pa, number(8, 16)),
                }
                .expect("never fails");
                Ok(vec![])
            }
            _ => Ok(self.machine.0.borrow().ipsr.to_le_bytes().to_vec()),
        }
    }

    fn identity(&self, index: u8) -> Result<u64, u8> {
        let who = u64::from(u32::from_le_bytes(self.magic));
        match index {
            0 => Ok(who | u64::from(self.version) << 32 | u64::from(self.wide) << 48),
            1 => Ok(self.region.0),
            2 => Ok(self.region.1),
            3 => Ok(12_000_000),
            _ => Err(2),
        }
    }
}

/// What a line does to bytes on it.
pub struct Noise {
    pub random: Random,
    /// Of 1000 transmissions, so many are disturbed.
    pub rate: u64,
}

impl Noise {
    fn disturb(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        if bytes.is_empty() || self.random.below(1000) >= self.rate {
            return bytes;
        }
        let at = self.random.below(bytes.len() as u64) as usize;
        match self.random.below(6) {
            0 => bytes[at] ^= 1 << self.random.below(8),
            1 => drop(bytes.remove(at)),
            2 => bytes.truncate(at),
            3 => bytes.clear(),
            4 => drop(bytes.drain(..at)),
            _ => {
                let count = 1 + self.random.below(40);
                let garbage: Vec<u8> = (0..count).map(|_| self.random.below(256) as u8).collect();
                drop(bytes.splice(at..at, garbage));
            }
        }
        bytes
    }
}

/// The host's end of the cable.
pub struct Cable {
    pub board: Rc<RefCell<Board>>,
    pub noise: Noise,
    /// Nothing arrives at the board any more.
    pub cut: Rc<RefCell<bool>>,
}

/// The cable itself never fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Never;

impl ByteStream for Cable {
    type Error = Never;

    fn write(&mut self, bytes: &[u8]) -> Result<(), Never> {
        let mut board = self.board.borrow_mut();
        // One megabaud, ten bits a byte.
        board.machine.0.borrow_mut().now += 10 * bytes.len() as u64;
        if !*self.cut.borrow() {
            for byte in self.noise.disturb(bytes) {
                board.receive(byte);
            }
        }
        Ok(())
    }

    fn read(&mut self, bytes: &mut [u8], wait_us: u64) -> Result<usize, Never> {
        let mut board = self.board.borrow_mut();
        let arrived: Vec<u8> = board.to_host.drain(..).collect();
        let mut arrived = self.noise.disturb(&arrived);
        // What does not fit comes later.
        for &byte in arrived.iter().skip(bytes.len()).rev() {
            board.to_host.push_front(byte);
        }
        arrived.truncate(bytes.len());
        let took = if arrived.is_empty() {
            wait_us
        } else {
            10 * arrived.len() as u64
        };
        board.machine.0.borrow_mut().now += took;
        bytes[..arrived.len()].copy_from_slice(&arrived);
        Ok(arrived.len())
    }

    fn now_us(&mut self) -> u64 {
        self.board.borrow().machine.0.borrow().now
    }
}

/// A board and a cable to it.
pub struct Bench {
    pub board: Rc<RefCell<Board>>,
    pub cut: Rc<RefCell<bool>>,
}

pub type Connected<const WIDE: bool> = Result<Bridge<Cable, WIDE>, ConnectError<Never>>;

impl Bench {
    pub fn new(world: &Shared) -> Self {
        Bench {
            board: Rc::new(RefCell::new(Board::new(world))),
            cut: Rc::default(),
        }
    }

    pub fn cable(&self, seed: u64, rate: u64) -> Cable {
        Cable {
            board: self.board.clone(),
            noise: Noise {
                random: Random(seed),
                rate,
            },
            cut: self.cut.clone(),
        }
    }

    pub fn connect<const WIDE: bool>(&self, seed: u64, rate: u64) -> Connected<WIDE> {
        Bridge::connect(self.cable(seed, rate), Line::default()).map_err(|e| e.1)
    }
}
