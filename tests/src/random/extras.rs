//! What only some configurations have: interrupt messages and the debug interface.

use portcullis_model as model;
use portcullis_model::{Life, Outcome};
use portcullis_sim::core::{Access, Request};

use super::faults::Pending;
use super::runner::{Check, ON, Runner, convert};
use super::tables::MESSAGES;
use crate::reg;

const TR_IOVA: u16 = 600;
const TR_CTL: u16 = 608;
const TR_RESPONSE: u16 = 616;
/// Bytes of the messages' page that are compared.
const MESSAGE_BYTES: u64 = 32;

impl Runner {
    /// capabilities.IGS is not WSI.
    pub fn messages_exist(&self) -> bool {
        self.features.has(29) || !self.features.has(28)
    }

    /// Whether fctl must not change (FCTL-05).
    pub fn busy(&self) -> bool {
        let on = |csr: u16| self.told(csr) & (ON | 1) != 0;
        self.told(reg::DDTP) & 0xf != 0 || on(reg::CQCSR) || on(reg::FQCSR)
    }

    /// Whether a vector is masked, so that a message may be held back.
    pub fn masked(&self) -> bool {
        (0..16).any(|vector| self.model.read(768 + 16 * vector + 12, false) & 1 == 1)
    }

    /// Addresses in the message table that cannot be written.
    pub fn failing_messages(&self) -> Vec<u64> {
        if !self.messages_exist() {
            return Vec::new();
        }
        let addresses = (0..16).map(|vector| self.model.read(768 + 16 * vector, true));
        addresses
            .filter(|addr| !self.features.reaches(*addr) || self.memory.refuses(*addr))
            .collect()
    }

    /// At rest: the messages that were due have been written, and no others. `open`: writes of software raced with
    /// events, so that a message may be there or not.
    pub fn check_messages(&mut self, open: bool) -> Check {
        if !self.messages_exist() {
            return Ok(());
        }
        self.doubt |= open && self.masked();
        // What was there before: 0, or what a fence stored.
        let before: Vec<u64> = (MESSAGES..MESSAGES + MESSAGE_BYTES)
            .step_by(8)
            .map(|at| self.memory.get(at))
            .collect();
        let due = self.model.deliver(&mut self.memory);
        let lenient = open || self.doubt;
        // INT-16: a record for each message that could not be written.
        let mut failed: Vec<u64> = due.iter().filter(|m| !m.2).map(|m| m.0).collect();
        let mut recorded = std::mem::take(&mut self.lost_messages);
        let recording = self.recording();
        let certain = std::mem::replace(&mut self.all_recorded, recording);
        if certain && recording && !lenient {
            failed.sort_unstable();
            recorded.sort_unstable();
            if failed != recorded {
                return Err(format!(
                    "messages to {failed:x?} could not be written, records of cause 273 are for {recorded:x?}"
                ));
            }
        }
        for addr in (MESSAGES..MESSAGES + MESSAGE_BYTES).step_by(4) {
            let half = |word: u64| word >> (8 * (addr & 4)) & 0xffff_ffff;
            let seen = half(self.h.memory().load64(addr & !7));
            let mut sent: Vec<u64> = due
                .iter()
                .filter(|message| message.0 == addr && message.2)
                .map(|message| u64::from(message.1))
                .collect();
            if lenient {
                let table = (0..16).filter(|v| self.model.read(768 + 16 * v, true) == addr);
                sent.extend(table.map(|v| self.model.read(768 + 16 * v + 8, false)));
            }
            if sent.is_empty() || lenient {
                sent.push(half(before[((addr - MESSAGES) / 8) as usize]));
            }
            if !sent.contains(&seen) {
                return Err(format!(
                    "the message at {addr:#x} is {seen:#x} instead of {sent:x?}"
                ));
            }
        }
        // Software takes the messages, so that the next ones can be seen.
        for addr in (MESSAGES..MESSAGES + MESSAGE_BYTES).step_by(8) {
            if self.h.memory().load64(addr) != 0 || self.memory.get(addr) != 0 {
                self.store(addr, &[0]);
            }
        }
        Ok(())
    }

    /// Group 27: a translation through the debug interface, with nothing else in flight.
    pub fn debug(&mut self, request: &Request) -> Check {
        if !self.features.has(31) {
            return Ok(());
        }
        self.rest()?;
        self.note_device(request.device_id);
        let process = request
            .process_id
            .map_or(0, |pid| u64::from(pid) << 12 | 1 << 32);
        // DBG-03: read only, execute, or read and write.
        let kind = match request.access {
            Access::Read => 8,
            Access::Exec => 8 | 4,
            Access::Write => 0,
        };
        let control = 1
            | u64::from(request.privileged) << 1
            | kind
            | process
            | u64::from(request.device_id) << 40;
        let from = self.h.cycle();
        self.poke(TR_IOVA, true, request.iova)?;
        self.poke(TR_CTL, true, control)?;
        self.wait(TR_CTL, 1)?;
        let seen = self.read(TR_RESPONSE, true)?;
        let asked = model::Request {
            iova: request.iova & !0xfff,
            kind: model::Kind::Untranslated,
            ..convert(request)
        };
        let to = self.h.cycle();
        let legal = self.legal(&asked, Life { from, to })?;
        let fits = |outcome: &&Outcome| match outcome {
            Outcome::Refused(_) => seen & 1 == 1,
            Outcome::Granted { pa, page_shift } => {
                // DBG-06: 4 KiB is always right, else the size as the hardware has it.
                let mask = (1u64 << (page_shift - 12)) - 1;
                let page = pa >> 12 & ((1 << 44) - 1);
                let sized = (page & !mask | mask >> 1) << 10 | 1 << 9;
                seen == page << 10 || *page_shift > 12 && seen == sized
            }
        };
        let fitting: Vec<Outcome> = legal.iter().filter(fits).copied().collect();
        if fitting.is_empty() {
            return Err(format!(
                "debug {asked:x?}: tr_response {seen:#x}, legal are {legal:x?}"
            ));
        }
        // DBG-09: counted as untranslated here.
        self.tally(&asked);
        self.summary.requests += 1;
        if seen & 1 == 1 {
            let records = fitting.iter().filter_map(|outcome| match outcome {
                Outcome::Refused(fault) => Some(fault.record(&asked)),
                Outcome::Granted { .. } => None,
            });
            self.faults.push(Pending::new(&asked, records, false));
        }
        Ok(())
    }
}
