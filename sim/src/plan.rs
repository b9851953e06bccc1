//! Turns a parsed log into the steps that a replay takes, and settles what the log leaves open.
//!
//! A log tells when a device touched which page and when something was invalidated. It does not tell when a page was
//! mapped, whose domain a domain number is, or which pages a domain-wide invalidation was for. So:
//!
//! * **Mapping.** A page is mapped when it is first touched, and when it is touched with another target than it has.
//! * **Whose domain.** Under the hypothesis that domain D is device d's, each change of a page's target on d needs an
//!   invalidation by D between the touch before and the touch after. A hypothesis is the better the fewer changes lack
//!   one; among equals, the more invalidations by D find pages that d has mapped and the more changes they explain.
//!   Best first, one domain for each device; a device that is left over may share a domain that explains all its
//!   changes. See [`associate`].
//! * **Page invalidation.** The pages of it that are mapped are unmapped strictly at that line. Pages that no DMA
//!   touched have no mapping in the replay and no entry in any cache, so they are only counted.
//! * **Domain-wide or global invalidation** (a drain of the flush queue). Two kinds of pages are unmapped, deferred,
//!   right before the first drain that follows their last use: those next touched with another target, which must
//!   have been unmapped there, and those never touched again, which the drain is as likely to be for. The drain then
//!   flushes, whether or not a page was found for it: the machine did flush there, and lost what it had cached.
//! * **A change without any invalidation in between** cannot come from a correct system. The page is unmapped and
//!   flushed all the same, as an extra flush that the log does not have.
//! * **Direction.** VT-d lines do not say whether the device read or wrote; touches then alternate.

use std::collections::{BTreeMap, HashMap};

use crate::core::Access;
use crate::trace::{Domain, EventKind, Trace};

/// One piece of the address space of one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Extent {
    /// Position of the device in [`Plan::devices`].
    pub device: usize,
    /// First byte.
    pub iova: u64,
    /// Bytes.
    pub len: u64,
}

/// One touch of one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touch {
    /// Position of the device in [`Plan::devices`].
    pub device: usize,
    /// Address that the device uses.
    pub iova: u64,
    /// Address that it must reach.
    pub target: u64,
    /// The mapping's size if the page has to be mapped first.
    pub map: Option<u64>,
    /// Read or write.
    pub access: Access,
}

/// What the replay does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Map if asked, then DMA.
    Touch(Touch),
    /// Unmap strictly: gone when this step is done.
    Unmap(Vec<Extent>),
    /// Unmap deferred, then flush these devices' domains.
    Drain {
        /// What is unmapped.
        unmaps: Vec<Extent>,
        /// Whose domains are flushed, as positions in [`Plan::devices`].
        devices: Vec<usize>,
        /// Not in the log.
        extra: bool,
    },
}

/// An action with the line of the log that causes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Line number, from 1.
    pub line: u32,
    /// The action.
    pub action: Action,
}

/// A device of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// Device id.
    pub id: u32,
    /// Line of its first DMA.
    pub line: u32,
    /// The domain that invalidates its pages, if the log shows one.
    pub domain: Option<Domain>,
}

/// What a replay does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The devices, in the order of their first DMA.
    pub devices: Vec<Device>,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// Touches among the steps.
    pub touches: u64,
    /// Page invalidations that found nothing mapped.
    pub empty_invalidations: u64,
    /// Invalidations of a domain that no device could be given.
    pub foreign_invalidations: u64,
    /// Changes of a target without any invalidation in between.
    pub extra_flushes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Mapping {
    target: u64,
    len: u64,
    /// Event of the last touch.
    last: usize,
}

/// What one device has mapped, by first byte.
#[derive(Debug, Default)]
struct Mappings(BTreeMap<u64, Mapping>);

impl Mappings {
    /// First bytes of the mappings that touch `first..=last`.
    fn overlapping(&self, first: u64, last: u64) -> Vec<u64> {
        let before = self.0.range(..first).next_back();
        before
            .filter(|(iova, mapping)| first - **iova < mapping.len)
            .into_iter()
            .chain(self.0.range(first..=last))
            .map(|(iova, _)| *iova)
            .collect()
    }

    /// The mapping that holds this address, if it leads to `target`.
    fn leading(&mut self, iova: u64, target: u64) -> Option<&mut Mapping> {
        let (base, mapping) = self.0.range_mut(..=iova).next_back()?;
        let offset = iova - base;
        (offset < mapping.len && mapping.target.checked_add(offset) == Some(target))
            .then_some(mapping)
    }
}

/// Settles everything that the log leaves open.
#[must_use]
pub fn plan(trace: &Trace) -> Plan {
    let devices = associate(trace);
    let index: HashMap<u32, usize> = devices
        .iter()
        .enumerate()
        .map(|(at, device)| (device.id, at))
        .collect();
    let drains: Vec<Vec<usize>> = devices
        .iter()
        .map(|device| drains_of(trace, device.domain))
        .collect();
    let mut planner = Planner {
        plan: Plan::default(),
        mapped: devices.iter().map(|_| Mappings::default()).collect(),
        drains,
        step_of_drain: HashMap::new(),
        devices,
    };
    for (at, event) in trace.events.iter().enumerate() {
        match event.kind {
            EventKind::Dma {
                device,
                iova,
                target,
                size,
                access,
                ..
            } => {
                if let Some(device) = index.get(&device) {
                    planner.touch(at, event.line, *device, (iova, target, size), access);
                }
            }
            EventKind::Pages { domain, addr, last } => {
                planner.pages(event.line, domain, addr, last)
            }
            EventKind::Drain { domain } => planner.drain(at, event.line, domain),
        }
    }
    planner.finish()
}

/// Events that drain a domain, in order.
fn drains_of(trace: &Trace, of: Option<Domain>) -> Vec<usize> {
    let drains = trace.events.iter().enumerate();
    drains
        .filter(|(_, event)| match event.kind {
            EventKind::Drain { domain: None } => true,
            EventKind::Drain { domain } => domain == of,
            _ => false,
        })
        .map(|(at, _)| at)
        .collect()
}

struct Planner {
    plan: Plan,
    devices: Vec<Device>,
    mapped: Vec<Mappings>,
    /// Per device, the events that drain its domain.
    drains: Vec<Vec<usize>>,
    step_of_drain: HashMap<usize, usize>,
}

impl Planner {
    fn push(&mut self, line: u32, action: Action) {
        self.plan.steps.push(Step { line, action });
    }

    fn touch(
        &mut self,
        at: usize,
        line: u32,
        device: usize,
        (iova, target, size): (u64, u64, u64),
        access: Option<Access>,
    ) {
        let access = access.unwrap_or(if self.plan.touches.is_multiple_of(2) {
            Access::Read
        } else {
            Access::Write
        });
        self.plan.touches += 1;
        let mut touch = Touch {
            device,
            iova,
            target,
            map: None,
            access,
        };
        if let Some(mapping) = self.mapped[device].leading(iova, target) {
            mapping.last = at;
            self.push(line, Action::Touch(touch));
            return;
        }
        let base = iova & !(size - 1);
        let mut extra = Vec::new();
        for old in self.mapped[device].overlapping(base, base + (size - 1)) {
            let Some(mapping) = self.mapped[device].0.remove(&old) else {
                continue;
            };
            let extent = Extent {
                device,
                iova: old,
                len: mapping.len,
            };
            if !self.unmap_at_drain(extent, mapping.last, at) {
                extra.push(extent);
            }
        }
        if !extra.is_empty() {
            self.plan.extra_flushes += 1;
            self.push(
                line,
                Action::Drain {
                    unmaps: extra,
                    devices: vec![device],
                    extra: true,
                },
            );
        }
        touch.map = Some(size);
        self.mapped[device].0.insert(
            base,
            Mapping {
                target: target & !(size - 1),
                len: size,
                last: at,
            },
        );
        self.push(line, Action::Touch(touch));
    }

    /// Unmaps at the first drain behind the event `after`, if there is one before the event `before`.
    fn unmap_at_drain(&mut self, extent: Extent, after: usize, before: usize) -> bool {
        let drains = &self.drains[extent.device];
        let next = drains.partition_point(|drain| *drain <= after);
        let step = drains
            .get(next)
            .filter(|drain| **drain < before)
            .and_then(|drain| self.step_of_drain.get(drain))
            .and_then(|step| self.plan.steps.get_mut(*step));
        let Some(Step {
            action: Action::Drain { unmaps, .. },
            ..
        }) = step
        else {
            return false;
        };
        unmaps.push(extent);
        true
    }

    /// Positions of the devices that a domain's invalidation concerns.
    fn concerned(&mut self, domain: Option<Domain>) -> Vec<usize> {
        let positions = 0..self.devices.len();
        let devices: Vec<usize> = positions
            .filter(|at| domain.is_none() || self.devices[*at].domain == domain)
            .collect();
        self.plan.foreign_invalidations += u64::from(devices.is_empty());
        devices
    }

    fn pages(&mut self, line: u32, domain: Option<Domain>, addr: u64, last: u64) {
        let devices = self.concerned(domain);
        if devices.is_empty() {
            return;
        }
        let mut unmaps = Vec::new();
        for device in devices {
            for iova in self.mapped[device].overlapping(addr, last) {
                if let Some(mapping) = self.mapped[device].0.remove(&iova) {
                    unmaps.push(Extent {
                        device,
                        iova,
                        len: mapping.len,
                    });
                }
            }
        }
        if unmaps.is_empty() {
            self.plan.empty_invalidations += 1;
        } else {
            self.push(line, Action::Unmap(merged(unmaps)));
        }
    }

    fn drain(&mut self, at: usize, line: u32, domain: Option<Domain>) {
        let devices = self.concerned(domain);
        if devices.is_empty() {
            return;
        }
        self.step_of_drain.insert(at, self.plan.steps.len());
        self.push(
            line,
            Action::Drain {
                unmaps: Vec::new(),
                devices,
                extra: false,
            },
        );
    }

    fn finish(mut self) -> Plan {
        for device in 0..self.devices.len() {
            for (iova, mapping) in std::mem::take(&mut self.mapped[device].0) {
                let extent = Extent {
                    device,
                    iova,
                    len: mapping.len,
                };
                self.unmap_at_drain(extent, mapping.last, usize::MAX);
            }
        }
        for step in &mut self.plan.steps {
            if let Action::Drain { unmaps, .. } = &mut step.action {
                *unmaps = merged(std::mem::take(unmaps));
            }
        }
        self.plan.devices = self.devices;
        self.plan
    }
}

/// Neighbours become one extent: that is how a driver unmaps a buffer.
fn merged(mut extents: Vec<Extent>) -> Vec<Extent> {
    extents.sort_unstable();
    let mut runs: Vec<Extent> = Vec::with_capacity(extents.len());
    for extent in extents {
        match runs.last_mut() {
            Some(run)
                if run.device == extent.device
                    && run.iova.checked_add(run.len) == Some(extent.iova) =>
            {
                run.len += extent.len;
            }
            _ => runs.push(extent),
        }
    }
    runs
}

/// How well a domain fits a device.
#[derive(Clone, Copy, Debug)]
struct Fit {
    device: usize,
    domain: Domain,
    /// Changes of a target without an invalidation by the domain in between.
    unexplained: u64,
    /// Invalidations that found a mapped page, and changes that an invalidation explains.
    support: u64,
}

/// Finds the devices of a log and whose domain is whose; the rule is in the description of this module.
#[must_use]
pub fn associate(trace: &Trace) -> Vec<Device> {
    let mut devices: Vec<Device> = Vec::new();
    let mut domains: Vec<Domain> = Vec::new();
    for event in &trace.events {
        match event.kind {
            EventKind::Dma { device: id, .. } => {
                if devices.iter().all(|device| device.id != id) {
                    devices.push(Device {
                        id,
                        line: event.line,
                        domain: None,
                    });
                }
            }
            EventKind::Pages { domain, .. } | EventKind::Drain { domain } => {
                if let Some(domain) = domain
                    && !domains.contains(&domain)
                {
                    domains.push(domain);
                }
            }
        }
    }
    let mut fits: Vec<Fit> = Vec::new();
    for (at, device) in devices.iter().enumerate() {
        for domain in &domains {
            let fit = fit(trace, at, device.id, *domain);
            if fit.support > 0 {
                fits.push(fit);
            }
        }
    }
    // Stable, so that equals stay in the order of their appearance in the log.
    fits.sort_by_key(|fit| (fit.unexplained, u64::MAX - fit.support));
    for fit in &fits {
        let taken = devices
            .iter()
            .any(|device| device.domain == Some(fit.domain));
        if !taken && devices[fit.device].domain.is_none() {
            devices[fit.device].domain = Some(fit.domain);
        }
    }
    for fit in &fits {
        if devices[fit.device].domain.is_none() && fit.unexplained == 0 {
            devices[fit.device].domain = Some(fit.domain);
        }
    }
    devices
}

fn fit(trace: &Trace, device: usize, id: u32, domain: Domain) -> Fit {
    let concerns = |of: Option<Domain>| of.is_none_or(|of| of == domain);
    let mut fit = Fit {
        device,
        domain,
        unexplained: 0,
        support: 0,
    };
    let mut mapped = Mappings::default();
    // The last drain by the domain itself or by a global one.
    let mut drained: Option<(usize, bool)> = None;
    for (at, event) in trace.events.iter().enumerate() {
        match event.kind {
            EventKind::Dma {
                device,
                iova,
                target,
                size,
                ..
            } if device == id => {
                if let Some(mapping) = mapped.leading(iova, target) {
                    mapping.last = at;
                    continue;
                }
                let base = iova & !(size - 1);
                for old in mapped.overlapping(base, base + (size - 1)) {
                    let last = mapped.0.remove(&old).map_or(at, |mapping| mapping.last);
                    match drained {
                        Some((drain, own)) if drain > last => fit.support += u64::from(own),
                        _ => fit.unexplained += 1,
                    }
                }
                mapped.0.insert(
                    base,
                    Mapping {
                        target: target & !(size - 1),
                        len: size,
                        last: at,
                    },
                );
            }
            EventKind::Pages { domain, addr, last } if concerns(domain) => {
                let found = mapped.overlapping(addr, last);
                fit.support += u64::from(domain.is_some() && !found.is_empty());
                for iova in found {
                    mapped.0.remove(&iova);
                }
            }
            EventKind::Drain { domain } if concerns(domain) => {
                drained = Some((at, domain.is_some()))
            }
            _ => {}
        }
    }
    fit
}
