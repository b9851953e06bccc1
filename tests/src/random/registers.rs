//! Register accesses: which of them race with something, and which would be unspecified and are left out.

use portcullis_sim::core::RegAccess;

use super::runner::{BUSY, CIP, CQ_EVENTS, Check, DDTP_BUSY, FIP, ON, Runner};
use crate::reg;

impl Runner {
    pub fn write(&mut self, offset: u16, wide: bool, value: u64) -> Check {
        let aligned = offset.is_multiple_of(if wide { 8 } else { 4 });
        let (monitor, debug) = (self.features.has(30), self.features.has(31));
        if self.monitors(offset) {
            return self.write_monitor(offset, wide, value);
        }
        if monitor && (88..600).contains(&offset) || debug && (600..624).contains(&offset) {
            // iohpmcycles counts time, and the debug interface has an operation of its own.
            return Ok(());
        }
        if offset == reg::FCTL && self.busy() {
            // FCTL-05.
            return Ok(());
        }
        if (reg::ICVEC..1024).contains(&offset) && self.messages_exist() {
            // Which vector and which message meet an event must not be a matter of a few cycles.
            self.rest()?;
        }
        let double = wide && matches!(offset, reg::DDTP | reg::CQB | reg::FQB);
        match offset {
            reg::DDTP..24 if aligned => self.write_ddtp(offset, wide, value),
            reg::CQB..32 if aligned && (double || !wide) => {
                self.wait(reg::CQCSR, BUSY)?;
                self.sync()?;
                self.poke(offset, wide, value)?;
                self.model.write(offset, wide, value);
                // CQB-04; dropped while the queue is on (CQB-03).
                if self.told(reg::CQCSR) & ON == 0 {
                    self.tail = self.told(reg::CQT) as u32;
                }
                Ok(())
            }
            reg::CQT if !wide => self.ring(offset, wide, value),
            reg::FQB..48 if aligned && (double || !wide) => {
                self.wait(reg::FQCSR, BUSY)?;
                self.write_fault_queue(offset, wide, value)
            }
            reg::FQH | reg::FQCSR if !wide => {
                self.wait(reg::FQCSR, BUSY)?;
                self.write_fault_queue(offset, wide, value)
            }
            reg::CQCSR if !wide => self.write_cqcsr(offset, value),
            reg::IPSR if !wide => {
                if !self.failing_messages().is_empty() {
                    self.rest()?;
                }
                self.sync()?;
                if self.running() {
                    self.open_ipsr |= CIP;
                }
                self.absorb()?;
                if self.h.outstanding() > 0 || !self.faults.is_empty() {
                    self.open_ipsr |= FIP;
                }
                self.poke(offset, wide, value)?;
                self.model.write(offset, wide, value);
                Ok(())
            }
            _ => {
                self.poke(offset, wide, value)?;
                self.model.write(offset, wide, value);
                Ok(())
            }
        }
    }

    fn write_ddtp(&mut self, offset: u16, wide: bool, value: u64) -> Check {
        self.settle_ddtp()?;
        let before = self.model.read(reg::DDTP, true);
        let mut next = self.model.clone();
        next.write(offset, wide, value);
        let after = next.read(reg::DDTP, true);
        let (old, new) = (before & 0xf, after & 0xf);
        // DDTP-08: to Bare only from Off. DDTP-09: the page number stays while Off is selected.
        let unspecified = old != 0 && new == 1 && before != after
            || old != 0 && new == 0 && before >> 10 != after >> 10;
        if unspecified {
            return Ok(());
        }
        let now = self.h.cycle();
        self.poke(offset, wide, value)?;
        self.model = next;
        if before != after {
            self.history.switch(now, new as u8, after >> 10);
            self.off = (new == 0).then_some(now);
        }
        Ok(())
    }

    fn settle_ddtp(&mut self) -> Check {
        self.wait(reg::DDTP, DDTP_BUSY)?;
        self.absorb()?;
        if self.history.switching() {
            self.history.settled(self.h.cycle());
        }
        if let Some(kick) = self.off.take() {
            self.visible(kick, true, true, "ddtp Off")?;
        }
        Ok(())
    }

    pub fn settle(&mut self) -> Check {
        self.settle_ddtp()?;
        self.wait(reg::CQCSR, BUSY)?;
        self.wait(reg::FQCSR, BUSY)
    }

    /// A read at any moment: what can be in motion is not compared.
    pub fn look(&mut self, offset: u16, wide: bool) -> Check {
        if (88..624).contains(&offset) && self.features.has(30) {
            return Ok(());
        }
        self.script.register(&RegAccess {
            write: false,
            offset,
            wide,
            data: 0,
        });
        let seen = self.read(offset, wide)?;
        let aligned = offset & !3;
        let moving = match (aligned, wide) {
            (reg::DDTP, _) => DDTP_BUSY,
            (reg::CQH | reg::FQT, false) => 0xff,
            (reg::CQCSR, false) => CQ_EVENTS | ON | BUSY,
            (reg::FQCSR, false) => 0x300 | ON | BUSY,
            (reg::IPSR, false) => CIP | FIP,
            _ => 0,
        };
        let want = self.model.read(offset, wide);
        if (seen ^ want) & !moving != 0 {
            return Err(format!(
                "register {offset:#x}: {seen:#x} instead of {want:#x}"
            ));
        }
        Ok(())
    }
}
