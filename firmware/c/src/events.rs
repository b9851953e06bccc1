//! What the driver did and found: counts, and events that wait to be read.

use core::ffi::c_int;

use portcullis::GroupId;
use portcullis::platform::{Event, Path};

use crate::handle::Kind;
use crate::library::{Out, Records, Running, enter, number_events};
use crate::types::*;

/// Events that nobody has read yet, oldest first.
pub struct Events {
    ring: [Option<Event>; PORTCULLIS_EVENTS],
    /// Place of the oldest one.
    first: usize,
    used: usize,
    lost: bool,
}

impl Events {
    pub const fn new() -> Self {
        Events {
            ring: [None; PORTCULLIS_EVENTS],
            first: 0,
            used: 0,
            lost: false,
        }
    }

    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// Fences are not kept: there is one per change, and the statistics count them.
    pub fn add(&mut self, event: Event) {
        if matches!(event, Event::FenceBegin { .. } | Event::FenceEnd { .. }) {
            return;
        }
        if self.used == PORTCULLIS_EVENTS {
            self.lost = true;
            return;
        }
        self.ring[(self.first + self.used) % PORTCULLIS_EVENTS] = Some(event);
        self.used += 1;
    }

    fn take(&mut self) -> Option<Event> {
        let event = self.ring[self.first].take()?;
        self.first = (self.first + 1) % PORTCULLIS_EVENTS;
        self.used -= 1;
        Some(event)
    }
}

impl Running {
    /// The handle of a group that may have gone meanwhile.
    fn name_if_there(&mut self, id: GroupId) -> portcullis_group {
        if self.unit.group(id).is_ok() {
            return self.name(id);
        }
        let found = self.objects.groups.find(|g| *g == id);
        self.handle(Kind::Group, found).unwrap_or(PORTCULLIS_NONE)
    }

    fn tell(&mut self, event: Event) -> portcullis_event {
        let mut told = portcullis_event::default();
        match event {
            Event::Changed(change) => {
                told.kind = PORTCULLIS_EVENT_CHANGED;
                told.group = self.name_if_there(change.group);
                told.device = change.device.map_or(PORTCULLIS_ALL_DEVICES, |d| d.0);
                told.process = change.pasid.0;
                told.from = change.old.unwrap_or(PORTCULLIS_BLOCKED);
                told.to = change.new.unwrap_or(PORTCULLIS_BLOCKED);
                told.wait_us = change.wait_us;
                told.path = match change.path {
                    Path::Block => PORTCULLIS_PATH_BLOCK,
                    Path::Publish => PORTCULLIS_PATH_PUBLISH,
                    Path::Swap => PORTCULLIS_PATH_SWAP,
                    Path::Slow => PORTCULLIS_PATH_SLOW,
                };
            }
            Event::Quieted { device } => {
                (told.kind, told.device) = (PORTCULLIS_EVENT_QUIETED, device.0);
            }
            Event::PolicyConflict { group, device } => {
                (told.kind, told.device) = (PORTCULLIS_EVENT_POLICY_CONFLICT, device.0);
                told.group = self.name_if_there(group);
            }
            Event::Recovered => told.kind = PORTCULLIS_EVENT_RECOVERED,
            Event::QueueReset { cqcsr, cqh } => {
                told.kind = PORTCULLIS_EVENT_QUEUE_RESET;
                (told.cqcsr, told.cqh) = (cqcsr, cqh);
            }
            Event::Closed => told.kind = PORTCULLIS_EVENT_CLOSED,
            Event::Wedged => told.kind = PORTCULLIS_EVENT_WEDGED,
            _ => {}
        }
        told
    }
}

/// Writes at most `room` events to `events`, oldest first. `drained`, which may be null, tells how many, whether some were
/// lost because `PORTCULLIS_EVENTS` waited, and whether there are more. Touches no hardware. `PORTCULLIS_EINVAL`,
/// `PORTCULLIS_EBADF`.
///
/// # Safety
/// `events` is good for writing `room` elements, or null with `room` 0. `drained` is null or good for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn portcullis_events(
    iommu: portcullis_iommu,
    events: *mut portcullis_event,
    room: usize,
    drained: *mut portcullis_drained,
) -> c_int {
    enter(|call| {
        // SAFETY: the caller's contract.
        let mut records = unsafe { Records::new(events, room, drained)? };
        let mut running = call.iommu(iommu)?;
        let number = running.number;
        while !records.is_full()
            && let Some(event) = number_events(number, Events::take)
        {
            records.add(running.tell(event));
        }
        let (lost, more) = number_events(number, |e| (core::mem::take(&mut e.lost), e.used > 0));
        records.end(lost, more);
        Ok(0)
    })
}

/// Counts since start. `PORTCULLIS_EINVAL`, `PORTCULLIS_EBADF`.
///
/// # Safety
/// `stats` is null, which is refused, or good for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn portcullis_statistics(
    iommu: portcullis_iommu,
    stats: *mut portcullis_stats,
) -> c_int {
    enter(|call| {
        // SAFETY: the caller's contract.
        let out = unsafe { Out::needed(stats)? };
        let found = call.iommu(iommu)?.unit.stats();
        out.set(portcullis_stats {
            commands: found.commands,
            fences: found.fences,
            fence_waits: found.fence_waits,
            fence_polls: found.fence_polls,
            fence_wait_us: found.fence_wait_us,
            queue_resets: found.queue_resets,
            faults: found.faults,
            unknown_faults: found.unknown_faults,
            fault_losses: found.fault_losses,
        });
        Ok(0)
    })
}
