//! What the recorded logs allow at best: how many of their touches must walk, whatever the hardware.
//!
//! An IOTLB of so many entries, fully associative, least recently used out first, that loses at each invalidation exactly
//! what it must. A touch that finds nothing there walks. With line fill, a walk also brings the other mapped pages whose
//! entries lie in the same 64 bytes. As in the replay, the touches between two unmaps come after all their maps.

use std::collections::{HashSet, VecDeque};

use crate::plan::{Action, Plan};

/// Entries of one 64-byte line, as a shift.
const LINE_SHIFT: u32 = 3;
/// Bytes of a page, as a shift.
const PAGE_SHIFT: u32 = 12;

/// A page of a device.
type Page = (usize, u64);

/// An IOTLB.
struct Ideal {
    entries: usize,
    line_fill: bool,
    /// Least recently used first.
    cached: VecDeque<Page>,
    mapped: HashSet<Page>,
    waiting: Vec<Page>,
    walks: u64,
}

/// Walks of a plan with an IOTLB of so many entries.
#[must_use]
pub fn walks(plan: &Plan, entries: usize, line_fill: bool) -> u64 {
    let mut ideal = Ideal {
        entries,
        line_fill,
        cached: VecDeque::new(),
        mapped: HashSet::new(),
        waiting: Vec::new(),
        walks: 0,
    };
    for step in &plan.steps {
        match &step.action {
            Action::Touch(touch) => {
                if let Some(size) = touch.map {
                    ideal
                        .mapped
                        .extend(pages(touch.device, touch.iova & !(size - 1), size));
                }
                ideal.waiting.push((touch.device, touch.iova >> PAGE_SHIFT));
            }
            Action::Unmap(extents) => {
                ideal.touch();
                for extent in extents {
                    for page in pages(extent.device, extent.iova, extent.len) {
                        ideal.mapped.remove(&page);
                        ideal.cached.retain(|cached| *cached != page);
                    }
                }
            }
            Action::Drain {
                unmaps, devices, ..
            } => {
                ideal.touch();
                for extent in unmaps {
                    for page in pages(extent.device, extent.iova, extent.len) {
                        ideal.mapped.remove(&page);
                    }
                }
                ideal.cached.retain(|(device, _)| !devices.contains(device));
            }
        }
    }
    ideal.touch();
    ideal.walks
}

fn pages(device: usize, iova: u64, len: u64) -> impl Iterator<Item = Page> {
    let end = (iova + len).div_ceil(1 << PAGE_SHIFT);
    (iova >> PAGE_SHIFT..end).map(move |page| (device, page))
}

impl Ideal {
    fn touch(&mut self) {
        for page in std::mem::take(&mut self.waiting) {
            if !self.cached.contains(&page) {
                self.walks += 1;
                if self.line_fill {
                    let first = page.1 >> LINE_SHIFT << LINE_SHIFT;
                    for other in first..first + (1 << LINE_SHIFT) {
                        let other = (page.0, other);
                        if self.mapped.contains(&other) && !self.cached.contains(&other) {
                            self.fill(other);
                        }
                    }
                }
            }
            self.fill(page);
        }
    }

    /// Makes a page the most recently used one.
    fn fill(&mut self, page: Page) {
        self.cached.retain(|cached| *cached != page);
        if self.cached.len() == self.entries {
            self.cached.pop_front();
        }
        self.cached.push_back(page);
    }
}
