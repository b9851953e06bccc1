//! The system in simulation, with a host at the other end of its serial line: bits in, bits out.

use super::System;
use portcullis::platform::ByteStream;
use rust_hdl::prelude::*;
use std::collections::VecDeque;
use std::convert::Infallible;

/// Anything with the system's pins, a clock at a time.
pub trait Pins {
    /// One clock cycle with `rx` on the system's input; its output in that cycle.
    fn cycle(&mut self, reset: bool, rx: bool) -> bool;
}

/// The system in rust-hdl's simulation.
pub struct Simulated(Box<System>);

impl Simulated {
    /// At power-up; see [`System::new`].
    ///
    /// # Panics
    /// The kernels do not settle, which is a defect in them.
    #[must_use]
    pub fn new(hertz: u64, divider: u16) -> Self {
        let mut system = Box::new(System::new(hertz, divider));
        system.connect_all();
        let mut simulated = Simulated(system);
        simulated.settle();
        simulated
    }

    fn settle(&mut self) {
        assert!(simulate(&mut *self.0, 1000), "the system does not settle");
    }
}

impl Pins for Simulated {
    fn cycle(&mut self, reset: bool, rx: bool) -> bool {
        self.0.reset.next = reset;
        self.0.uart_rx.next = rx;
        self.settle();
        let tx = self.0.uart_tx.val();
        self.0.clock.next = Clock { clk: true };
        self.settle();
        self.0.clock.next = Clock { clk: false };
        self.settle();
        tx
    }
}

/// Clocks per bit of the simulated line: as few as the receiver can do with, for a real line's 48 and more only cost time.
pub const DIVIDER: u16 = 4;

/// A host's serial port at the system's pins. Time is the system's clock.
pub struct Port<P> {
    pins: P,
    hertz: u64,
    divider: u16,
    cycles: u64,
    /// Levels still to be sent, the next in front.
    sending: VecDeque<bool>,
    received: VecDeque<u8>,
    /// Clocks since the start bit of the byte that is coming in, and its bits so far.
    coming: Option<(u32, u16)>,
}

impl<P: Pins> Port<P> {
    /// Resets the system behind `pins`.
    pub fn new(mut pins: P, hertz: u64, divider: u16) -> Self {
        for _ in 0..4 {
            pins.cycle(true, true);
        }
        Port {
            pins,
            hertz,
            divider,
            cycles: 0,
            sending: VecDeque::new(),
            received: VecDeque::new(),
            coming: None,
        }
    }

    /// Clock cycles since reset.
    pub fn cycles(&self) -> u64 {
        self.cycles
    }

    /// Puts a level on the line for a number of clocks, whatever it means.
    pub fn level(&mut self, level: bool, clocks: usize) {
        self.sending.extend(std::iter::repeat_n(level, clocks));
        self.flush();
    }

    fn flush(&mut self) {
        while !self.sending.is_empty() {
            self.cycle();
        }
    }

    fn cycle(&mut self) {
        let rx = self.sending.pop_front().unwrap_or(true);
        let tx = self.pins.cycle(false, rx);
        self.cycles += 1;
        let Some((clocks, bits)) = self.coming else {
            if !tx {
                self.coming = Some((1, 0));
            }
            return;
        };
        let divider = u32::from(self.divider);
        let (bit, phase) = (clocks / divider, clocks % divider);
        self.coming = Some((clocks + 1, bits));
        if phase == divider / 2 {
            self.coming = Some((clocks + 1, bits | (u16::from(tx) << bit)));
            if bit == 9 {
                if tx {
                    self.received.push_back((bits >> 1) as u8);
                }
                self.coming = None;
            }
        }
    }
}

impl<P: Pins> ByteStream for Port<P> {
    type Error = Infallible;

    fn write(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        for &byte in bytes {
            let frame = (u16::from(byte) << 1) | 0x200;
            for bit in 0..10 {
                let level = frame >> bit & 1 == 1;
                let clocks = self.divider.into();
                self.sending.extend(std::iter::repeat_n(level, clocks));
            }
        }
        self.flush();
        Ok(())
    }

    fn read(&mut self, bytes: &mut [u8], wait_us: u64) -> Result<usize, Infallible> {
        let end = self.now_us().saturating_add(wait_us);
        while self.received.is_empty() && self.now_us() < end {
            self.cycle();
        }
        let count = bytes.len().min(self.received.len());
        for (place, byte) in bytes.iter_mut().zip(self.received.drain(..count)) {
            *place = byte;
        }
        Ok(count)
    }

    fn now_us(&mut self) -> u64 {
        (u128::from(self.cycles) * 1_000_000 / u128::from(self.hertz)) as u64
    }
}
