//! Fault records: which ones must be in the queue, in which order, and what happens when it is full or broken.

use portcullis_model as model;
use portcullis_model::Record;

use super::runner::{BUSY, Check, Difference, EN, FIP, ON, Runner};
use crate::reg;

/// fqmf and fqof.
const STOP: u64 = 0x300;

/// A refused request whose record is not accounted for yet.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    device: u32,
    /// Records that it may have; none if DTF may hold it back.
    records: Vec<Option<Record>>,
    /// The record may be missing: the queue went off or on, or was cleared, while the request was in flight or after it.
    may: bool,
    done: bool,
}

impl Pending {
    pub fn new(
        request: &model::Request,
        records: impl Iterator<Item = Option<Record>>,
        may: bool,
    ) -> Self {
        Self {
            device: request.device_id,
            records: records.collect(),
            may,
            done: false,
        }
    }

    fn skippable(&self) -> bool {
        self.may || self.records.contains(&None)
    }
}

/// Finds for each record of one device the request that it belongs to, in order; `blocked` means that everything
/// after the last record was dropped. Returns the position of each record's request.
fn align(pending: &[&Pending], records: &[Record], blocked: bool) -> Option<Vec<usize>> {
    let Some((first, rest)) = records.split_first() else {
        let complete = blocked || pending.iter().all(|p| p.skippable());
        return complete.then(Vec::new);
    };
    for (at, candidate) in pending.iter().enumerate() {
        if candidate.records.contains(&Some(*first))
            && let Some(others) = align(&pending[at + 1..], rest, blocked)
        {
            let others = others.into_iter().map(|other| other + at + 1);
            return Some(std::iter::once(at).chain(others).collect());
        }
        if !candidate.skippable() {
            return None;
        }
    }
    None
}

impl Runner {
    /// The records written since the last look.
    fn new_records(&mut self) -> Result<Vec<Record>, Difference> {
        if self.told(reg::FQCSR) & ON == 0 {
            return Ok(Vec::new());
        }
        let tail = self.read(reg::FQT, false)?;
        self.absorb()?;
        let (_, size) = self.model.queue_sizes();
        let count = (tail as u32).wrapping_sub(self.told(reg::FQT) as u32) % size;
        let base = self.model.read(reg::FQB, true) >> 10 << 12;
        let first = self.told(reg::FQT);
        let record = |at: u64| {
            let slot = base + (first + at) % u64::from(size) * 32;
            Record([0, 8, 16, 24].map(|word| self.h.memory().load64(slot + word)))
        };
        Ok((0..u64::from(count)).map(record).collect())
    }

    /// Accounts for the records in the queue. `finally`: nothing is in flight, so whatever is not there is missing.
    fn account(&mut self, finally: bool) -> Check {
        let records = self.new_records()?;
        let stopped = self.told(reg::FQCSR) & (STOP | ON) != ON;
        let seen = self.read(reg::FQCSR, false)? & STOP;
        let newly = !stopped && seen != 0 && finally;
        // Mid-way, and when the queue stopped or is off, what comes after the last record may be missing.
        let blocked = stopped || newly || !finally || self.open_overflow;
        let failing = self.failing_messages();
        for record in &records {
            let before = self.told(reg::FQT);
            self.model.report(&mut self.memory, record);
            if self.told(reg::FQT) == before {
                return Err(format!(
                    "a record {record:x?} that the queue has no place for"
                ));
            }
        }
        // Records of messages that could not be written come whenever the message does (INT-16).
        let message = |record: &Record| record.cause() == model::cause::MSI_WRITE;
        for record in records.iter().filter(|record| message(record)) {
            if !failing.contains(&record.0[2]) || *record != Record::msi_write(record.0[2]) {
                return Err(format!(
                    "a record {record:x?} of a message that does not fail"
                ));
            }
        }
        let lost = records.iter().filter(|record| message(record));
        self.lost_messages.extend(lost.map(|record| record.0[2]));
        let records: Vec<Record> = records.into_iter().filter(|r| !message(r)).collect();
        let mut devices: Vec<u32> = self.faults.iter().map(|fault| fault.device).collect();
        devices.extend(records.iter().map(Record::device_id));
        devices.sort_unstable();
        devices.dedup();
        for device in devices {
            let own: Vec<Record> = records
                .iter()
                .filter(|record| record.device_id() == device)
                .copied()
                .collect();
            let at: Vec<usize> = (0..self.faults.len())
                .filter(|at| self.faults[*at].device == device && !self.faults[*at].done)
                .collect();
            let pending: Vec<&Pending> = at.iter().map(|at| &self.faults[*at]).collect();
            let Some(found) = align(&pending, &own, blocked) else {
                return Err(format!(
                    "fault records of device {device:#x} are {own:x?}, expected in this order {:x?}",
                    pending.iter().map(|p| &p.records).collect::<Vec<_>>()
                ));
            };
            for position in found {
                self.faults[at[position]].done = true;
            }
        }
        self.summary.records += records.len() as u64;
        if newly && self.open_overflow {
            self.model.adopt_fqcsr(STOP as u32, seen as u32);
        } else if newly {
            // One more record found no place, for a reason that the model sees as well (FQ-02, FQ-03).
            if self.faults.iter().all(|fault| fault.done) && failing.is_empty() {
                return Err(format!(
                    "fqcsr is {seen:#x}, but every record is in the queue"
                ));
            }
            self.model.report(&mut self.memory, &Record([0; 4]));
            let want = self.told(reg::FQCSR) & STOP;
            if want != seen {
                return Err(format!(
                    "fqcsr has {seen:#x} instead of {want:#x} after a record was dropped"
                ));
            }
        }
        if finally {
            self.faults.clear();
            self.open_overflow = false;
        } else {
            self.faults.retain(|fault| !fault.done);
        }
        Ok(())
    }

    /// The fault queue takes records.
    pub fn recording(&self) -> bool {
        self.told(reg::FQCSR) & (STOP | ON) == ON
    }

    /// Nothing is in flight: everything is accounted for.
    pub fn check_faults(&mut self) -> Check {
        self.account(true)
    }

    /// Writes fqb, fqh or fqcsr at any moment.
    pub fn write_fault_queue(&mut self, offset: u16, wide: bool, value: u64) -> Check {
        self.all_recorded &= offset != reg::FQCSR;
        let (_, size) = self.model.queue_sizes();
        if offset == reg::FQH && size <= 4 || !self.failing_messages().is_empty() {
            // So few entries can be written and read twice over unseen; and nobody counts messages on their way.
            self.rest()?;
        }
        self.absorb()?;
        if self.h.outstanding() == 0 && self.faults.is_empty() {
            self.poke(offset, wide, value)?;
            self.model.write(offset, wide, value);
            return Ok(());
        }
        self.open_ipsr |= FIP;
        self.account(false)?;
        // Who was answered meanwhile is counted below.
        self.absorb()?;
        let was_on = self.told(reg::FQCSR) & ON != 0;
        if offset != reg::FQCSR {
            let head = self.told(reg::FQH) as u32;
            let used = (self.told(reg::FQT) as u32).wrapping_sub(head) % size;
            let coming = (self.h.outstanding() + self.faults.len()) as u32;
            // The last record before the write may still have met the old fqh.
            self.open_overflow |= size - 1 - used < coming;
            self.poke(offset, wide, value)?;
            self.model.write(offset, wide, value);
            return Ok(());
        }
        self.poke(offset, wide, value)?;
        let on = value & EN != 0;
        if on == was_on {
            // Error bits were set before the write or after it: both are right. Once one is set no record follows, so
            // the records are looked at after the bits.
            let seen = self.read(reg::FQCSR, false)?;
            self.account(false)?;
            self.model.write(offset, wide, value);
            self.model.adopt_fqcsr(STOP as u32, seen as u32);
            self.open_overflow = true;
        } else {
            self.wait(reg::FQCSR, if on { BUSY } else { BUSY | ON })?;
            if !on {
                self.account(false)?;
            }
            self.model.write(offset, wide, value);
        }
        self.absorb()?;
        self.loosen();
        Ok(())
    }

    /// Records of what is in flight, or refused by now, may be missing.
    fn loosen(&mut self) {
        self.queue_changed = self.h.cycle();
        for fault in &mut self.faults {
            fault.may = true;
        }
    }
}
