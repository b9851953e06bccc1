//! The command queue: the model executes what the hardware has executed, and no more.

use portcullis_model::{Command, Step};

use super::runner::{BUSY, CIP, CQ_EVENTS, CQ_STOP, Check, EN, IE, ON, PATIENCE, Runner};
use super::tables::{COMMAND_QUEUES, END, FENCE_BYTES, FENCES};
use crate::reg;

impl Runner {
    /// The model as its registers tell.
    pub fn told(&self, offset: u16) -> u64 {
        self.model.read(offset, false)
    }

    /// Whether the hardware may be executing commands.
    pub fn running(&self) -> bool {
        self.model.has_command()
    }

    /// Executes in the model what the hardware has executed.
    pub fn sync(&mut self) -> Check {
        if self.told(reg::CQCSR) & ON == 0 {
            return Ok(());
        }
        let head = self.read(reg::CQH, false)?;
        self.absorb()?;
        self.follow(head)
    }

    /// Executes commands until cqh is `head`.
    fn follow(&mut self, head: u64) -> Check {
        let mut stored = Vec::new();
        while self.told(reg::CQH) != head {
            let at = self.told(reg::CQH);
            let slot = self.model.cq_slot();
            let words = [self.memory.get(slot), self.memory.get(slot + 8)];
            let kick = self.kicks.get(at as usize).copied().unwrap_or(0);
            match self.model.step_command(&mut self.memory) {
                Step::Done(command) => {
                    self.executed(command, kick)?;
                    if let Command::Fence {
                        store: Some((addr, _)),
                        ..
                    } = command
                    {
                        stored.push(addr);
                    }
                }
                Step::Idle | Step::Stopped => {
                    return Err(format!(
                        "cqh is {head}, but the command at {at}, {words:x?}, stops the queue (cqcsr {:#x})",
                        self.told(reg::CQCSR)
                    ));
                }
            }
        }
        stored
            .into_iter()
            .try_for_each(|addr| self.check_fence(addr))
    }

    fn executed(&mut self, command: Command, kick: u64) -> Check {
        self.summary.commands += 1;
        match command {
            Command::Invalidate(what) => self.executed.push((what, kick)),
            Command::Fence { reads, writes, .. } => {
                self.visible(kick, reads, writes, "a fence")?;
                let now = self.h.cycle();
                for (what, kick) in self.executed.drain(..) {
                    self.history.invalidated(what, kick, now);
                }
            }
        }
        Ok(())
    }

    /// FEN-06: the data is there once cqh has moved on; the next fence may already have stored its own.
    fn check_fence(&self, addr: u64) -> Check {
        let shift = 8 * (addr & 4);
        let half = |word: u64| word >> shift & 0xffff_ffff;
        let (seen, want) = (self.h.memory().load64(addr & !7), self.memory.get(addr));
        let slot = self.model.cq_slot();
        let next = (self.memory.get(slot), self.memory.get(slot + 8));
        let by_next = next.0 & 0x7ff == 0x402 && next.1 << 2 == addr && next.0 >> 32 == half(seen);
        if half(seen) == half(want) || by_next {
            return Ok(());
        }
        Err(format!(
            "a fence is complete, but its data {:#x} is not at {addr:#x}: {:#x}",
            half(want),
            half(seen)
        ))
    }

    /// Waits until the command queue has nothing to do, and the model neither.
    pub fn drain(&mut self) -> Check {
        let start = self.h.cycle();
        while self.running() {
            let csr = self.read(reg::CQCSR, false)?;
            self.sync()?;
            if csr & CQ_STOP != 0 && self.running() {
                // It stands at a command that cannot be executed: the model must see that too.
                let at = self.told(reg::CQH);
                if self.model.step_command(&mut self.memory) != Step::Stopped {
                    return Err(format!(
                        "cqcsr is {csr:#x}, but nothing is wrong with the command at {at}"
                    ));
                }
            } else if self.running() {
                self.advance(8)?;
                self.absorb()?;
            }
            if self.h.cycle() - start > PATIENCE {
                return Err(format!(
                    "the command queue hangs at {} (cqcsr {csr:#x})",
                    self.told(reg::CQH)
                ));
            }
        }
        Ok(())
    }

    /// A slot that the hardware does not own.
    fn free_slot(&self, slot: u32) -> bool {
        let (size, _) = self.model.queue_sizes();
        let (head, tail) = (self.told(reg::CQH) as u32, self.told(reg::CQT) as u32);
        self.told(reg::CQCSR) & ON == 0
            || slot.wrapping_sub(head) % size >= tail.wrapping_sub(head) % size
    }

    pub fn command(&mut self, words: [u64; 2]) -> Check {
        self.sync()?;
        let (size, _) = self.model.queue_sizes();
        let next = (self.tail + 1) % size;
        let on = self.told(reg::CQCSR) & ON != 0;
        let full = on && u64::from(next) == self.told(reg::CQH);
        // A fence may store anywhere, but not into what the machine is made of: nobody could tell when.
        let addr = words[1] << 2;
        let elsewhere = (FENCES..FENCES + FENCE_BYTES).contains(&addr)
            || !(COMMAND_QUEUES[0]..END).contains(&addr);
        let harmful = words[0] & 0x7f == 2 && !elsewhere;
        if full || harmful || self.tail >= size || !self.free_slot(self.tail) {
            return Ok(());
        }
        let base = self.model.read(reg::CQB, true) >> 10 << 12;
        self.store(base + 16 * u64::from(self.tail), &words);
        self.tail = next;
        Ok(())
    }

    /// Writes cqt; the slots up to it are handed over now.
    pub fn ring(&mut self, offset: u16, wide: bool, value: u64) -> Check {
        self.sync()?;
        let now = self.h.cycle();
        let (head, old) = (self.told(reg::CQH), self.told(reg::CQT));
        self.poke(offset, wide, value)?;
        self.model.write(offset, wide, value);
        let tail = self.told(reg::CQT);
        let size = u64::from(self.model.queue_sizes().0);
        let distance = |to: u64| to.wrapping_sub(head) % size;
        for at in 0..size {
            if at >= distance(old) && at < distance(tail) {
                self.hand_over((head + at) % size, now);
            }
        }
        self.tail = tail as u32;
        Ok(())
    }

    fn hand_over(&mut self, slot: u64, now: u64) {
        if let Some(kick) = self.kicks.get_mut(slot as usize) {
            *kick = now;
        }
    }

    pub fn repair(&mut self, words: [u64; 2]) -> Check {
        self.drain()?;
        let csr = self.told(reg::CQCSR);
        if csr & ON == 0 || csr & CQ_STOP == 0 {
            return Ok(());
        }
        self.store(self.model.cq_slot(), &words);
        self.hand_over(self.told(reg::CQH), self.h.cycle());
        self.write(reg::CQCSR, false, csr & (EN | IE) | CQ_EVENTS)
    }

    pub fn write_cqcsr(&mut self, offset: u16, value: u64) -> Check {
        self.wait(reg::CQCSR, BUSY)?;
        self.sync()?;
        let was_on = self.told(reg::CQCSR) & ON != 0;
        let raced = self.running();
        let now = self.h.cycle();
        self.poke(offset, false, value)?;
        if raced {
            self.open_ipsr |= CIP;
            self.open_cqcsr |= value & CQ_EVENTS;
        }
        if was_on && value & EN == 0 {
            // The hardware stops somewhere: the model stops there too (CQCSR-03).
            self.wait(reg::CQCSR, BUSY | ON)?;
            let head = self.read(reg::CQH, false)?;
            let csr = self.read(reg::CQCSR, false)?;
            self.absorb()?;
            self.follow(head)?;
            self.adopt_fence();
            if csr & CQ_STOP != 0
                && self.running()
                && self.model.step_command(&mut self.memory) != Step::Stopped
            {
                return Err(format!(
                    "cqcsr is {csr:#x}, but nothing is wrong with the command at {head}"
                ));
            }
        }
        self.model.write(offset, false, value);
        if was_on && value & EN == 0 && raced {
            // Error bits were set before the write or after it; follow() has shown that they are due.
            let seen = self.read(reg::CQCSR, false)?;
            self.model.adopt_cqcsr(CQ_EVENTS as u32, seen as u32);
        }
        if !was_on && value & EN != 0 {
            for slot in 0..self.told(reg::CQT) {
                self.hand_over(slot, now);
            }
        }
        Ok(())
    }

    /// The queue was switched off while a fence was under way: its store may have been done (FEN-06 says nothing).
    fn adopt_fence(&mut self) {
        if !self.running() {
            return;
        }
        let slot = self.model.cq_slot();
        let (dw0, addr) = (self.memory.get(slot), self.memory.get(slot + 8) << 2);
        if dw0 & 0x3ff == 2 && dw0 >> 10 & 1 == 1 {
            let seen = self.h.memory().load64(addr & !7);
            if seen >> (8 * (addr & 4)) & 0xffff_ffff == dw0 >> 32 {
                self.memory.set(addr, seen);
            }
        }
    }
}
