//! Performance counters (group 26).

use crate::types::Request;

/// Highest event of the list (HPM-07).
const LAST_EVENT: u64 = 8;
/// OF, the sticky overflow bit (HPM-04, HPM-06).
const OF: u64 = 1 << 63;

/// The counters of an IOMMU with HPM; without, there are none and everything reads 0 (HPM-14).
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters {
    cycles: u64,
    inhibit: u32,
    /// 32 bits each, the least that HPM-01 asks for and what the hardware has (HPM-05).
    counts: Vec<u32>,
    events: Vec<u64>,
}

/// Something that counters may count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event<'a> {
    /// eventID (HPM-07).
    pub id: u64,
    /// How often it happened.
    pub times: u64,
    /// For whom.
    pub request: &'a Request,
    /// PSCID of the address space, if one is known.
    pub pscid: Option<u32>,
}

impl Counters {
    /// `n` counters beside iohpmcycles, at most 31.
    pub fn new(n: usize) -> Self {
        Self {
            counts: vec![0; n.min(31)],
            events: vec![0; n.min(31)],
            ..Self::default()
        }
    }

    fn present(&self) -> bool {
        !self.counts.is_empty()
    }

    /// HPM-02.
    pub fn overflows(&self) -> u32 {
        let first = u32::from(self.cycles & OF != 0);
        let others = self.events.iter().enumerate();
        others.fold(first, |bits, (i, event)| {
            bits | u32::from(event & OF != 0) << (i + 1)
        })
    }

    /// iocountinh.
    pub fn inhibit(&self) -> u32 {
        self.inhibit
    }

    /// HPM-03: WARL, a bit for each counter that exists.
    pub fn set_inhibit(&mut self, value: u32) {
        if self.present() {
            let mask = u32::MAX >> (31 - self.counts.len());
            self.inhibit = value & mask;
        }
    }

    /// iohpmcycles, or at `index` from 1 a counter.
    pub fn count(&self, index: usize) -> u64 {
        match index {
            0 => self.cycles,
            _ => self
                .counts
                .get(index - 1)
                .map_or(0, |count| u64::from(*count)),
        }
    }

    /// HPM-04, HPM-05.
    pub fn set_count(&mut self, index: usize, value: u64) {
        match index {
            0 if self.present() => self.cycles = value,
            0 => {}
            _ => {
                if let Some(count) = self.counts.get_mut(index - 1) {
                    *count = value as u32;
                }
            }
        }
    }

    /// iohpmevt, `index` from 1.
    pub fn event(&self, index: usize) -> u64 {
        self.events.get(index - 1).copied().unwrap_or(0)
    }

    /// HPM-06, HPM-13: eventID is WARL; an unknown event counts nothing.
    pub fn set_event(&mut self, index: usize, value: u64) {
        if let Some(event) = self.events.get_mut(index - 1) {
            let known = value & 0x7fff <= LAST_EVENT;
            *event = if known { value } else { value & !0x7fff };
        }
    }

    /// Lets clock cycles pass; returns whether OF went from 0 to 1 (HPM-04, A-10).
    pub fn tick(&mut self, cycles: u64) -> bool {
        if !self.present() || self.inhibit & 1 != 0 {
            return false;
        }
        let sum = (self.cycles & !OF).wrapping_add(cycles);
        let before = self.cycles & OF;
        let overflow = sum & OF;
        self.cycles = (sum & !OF) | before | overflow;
        before == 0 && overflow != 0
    }

    /// Whether the counter at `index`, from 0, counts the event (HPM-03, HPM-08..11).
    pub fn takes(&self, index: usize, event: &Event<'_>) -> bool {
        let stopped = self.inhibit >> (index + 1) & 1 == 1;
        !stopped && matches(self.event(index + 1), event)
    }

    /// Counts an event; returns whether any OF went from 0 to 1 (HPM-07..12).
    pub fn happened(&mut self, event: &Event<'_>) -> bool {
        let mut interrupt = false;
        for index in 0..self.counts.len() {
            if !self.takes(index, event) {
                continue;
            }
            let sum = u64::from(self.counts[index]) + event.times;
            self.counts[index] = sum as u32;
            if sum >> 32 != 0 {
                interrupt |= self.events[index] & OF == 0;
                self.events[index] |= OF;
            }
        }
        interrupt
    }
}

/// Whether the selector in an iohpmevt takes the event.
fn matches(selector: u64, event: &Event<'_>) -> bool {
    let bit = |at: u32| selector >> at & 1 == 1;
    if event.id == 0 || selector & 0x7fff != event.id {
        return false;
    }
    let pid = (selector >> 16 & 0xf_ffff) as u32;
    let did = selector >> 36 & 0xff_ffff;
    let (idt, dv, pv, dmask) = (bit(62), bit(61), bit(60), bit(15));
    if idt {
        // HPM-11, A-09: only events of a walk know soft-context ids. HPM-09: no GSCID is ever valid here.
        let known = matches!(event.id, 4 | 7 | 8);
        return known && !dv && (!pv || event.pscid == Some(pid));
    }
    // HPM-10: bits up to and including the lowest 0 are not compared.
    let ignored = if dmask {
        (2u64 << did.trailing_ones()) - 1
    } else {
        0
    };
    let device = (u64::from(event.request.device_id) ^ did) & 0xff_ffff & !ignored == 0;
    (!dv || device) && (!pv || event.request.process_id == Some(pid))
}
