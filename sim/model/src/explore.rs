//! Tries every combination of versions that a path of reads may be made of; see [`crate::allowed()`].

use crate::allowed::{Deadline, History, Life, NEVER, Space};
use crate::command::{Invalidation, Tag};
use crate::memory::{Checked, Version, Versions};
use crate::translate::{DdtRead, PteRead, Root, Source};
use crate::types::Outcome;

/// Depth-first enumeration of all choices, by running the same thing again and again.
#[derive(Debug, Default)]
pub(crate) struct Choices {
    taken: Vec<(usize, usize)>,
    at: usize,
}

impl Choices {
    fn pick(&mut self, options: usize) -> usize {
        if self.at == self.taken.len() {
            self.taken.push((0, options));
        }
        self.at += 1;
        self.taken[self.at - 1].0
    }

    /// Moves on to the next combination, if there is one.
    pub fn next(&mut self) -> bool {
        self.at = 0;
        while let Some((chosen, options)) = self.taken.pop() {
            if chosen + 1 < options {
                self.taken.push((chosen + 1, options));
                return true;
            }
        }
        false
    }
}

/// A page-table read that was chosen.
#[derive(Clone, Copy, Debug)]
struct Entry {
    version: Version,
    level: u8,
    iova: u64,
    /// Another entry of the same 64 KiB page: any of them may have filled the cache.
    neighbour: bool,
}

impl Entry {
    /// Pages that the entry is about: at level 0 with N=1 a group of 16.
    fn pages(&self) -> (u64, u64) {
        let napot = self.level == 0 && self.version.value.is_ok_and(|pte| pte >> 63 == 1);
        let order = if napot { 4 } else { 9 * u32::from(self.level) };
        let mask = (1u64 << order) - 1;
        let page = self.iova >> 12;
        (page & !mask, page | mask)
    }

    fn global(&self) -> bool {
        self.version.value.is_ok_and(|pte| pte & 1 << 5 != 0)
    }
}

/// A source that tries every version.
pub(crate) struct Explorer<'a> {
    memory: &'a Versions,
    history: &'a History,
    life: Life,
    spaces: &'a [Space],
    choices: &'a mut Choices,
    device: u32,
    /// The setting of ddtp that the request sees, and the one under which its context was read.
    span: usize,
    pub directory: usize,
    directory_entries: Vec<Version>,
    context: Option<(u64, u64)>,
    own: Option<Root>,
    space: Option<(usize, Space)>,
    entries: Vec<Entry>,
}

/// When the last read of a path may have been made.
#[derive(Clone, Copy)]
pub(crate) struct Reach {
    /// First moment.
    pub first: u64,
    /// First moment after.
    pub end: Deadline,
}

impl<'a> Explorer<'a> {
    pub fn new(
        memory: &'a Versions,
        history: &'a History,
        life: Life,
        spaces: &'a [Space],
        choices: &'a mut Choices,
        device: u32,
    ) -> Self {
        Self {
            memory,
            history,
            life,
            spaces,
            choices,
            device,
            span: 0,
            directory: 0,
            directory_entries: Vec::new(),
            context: None,
            own: None,
            space: None,
            entries: Vec::new(),
        }
    }

    /// When the last read of the directory path may have been made; nothing if never.
    pub fn directory_reach(&self) -> Option<Reach> {
        let span_end = self.history.end(self.directory);
        let mut pointers = self.directory_entries.clone();
        let leaf = match self.context {
            Some((start, end)) => Some((start, end)),
            None => pointers.pop().map(|entry| (entry.start, entry.end)),
        };
        let (start, end) = leaf?;
        let mut first = start.max(self.history.spans[self.directory].start);
        let mut end = Deadline::at(end.min(self.life.to.saturating_add(1)));
        if pointers.is_empty() {
            end = end.min(span_end);
        }
        for (at, pointer) in pointers.iter().enumerate() {
            first = first.max(pointer.start);
            let mut replaced = Deadline::at(pointer.end);
            if at == 0 {
                replaced = replaced.min(span_end);
            }
            let history = self.history;
            end = end.min(history.dropped(replaced, Invalidation::covers_directory));
        }
        (first < end.time).then_some(Reach { first, end })
    }

    /// When what was read of the directory before `deadline` is gone for certain.
    pub fn context_gone(&self, deadline: Deadline) -> Deadline {
        let covers = |what: &Invalidation| what.covers_context(self.device);
        self.history.dropped(deadline, covers)
    }

    /// Whether the directory part of the path may lead to `outcome`.
    pub fn directory_legal(&self, outcome: &Outcome) -> bool {
        if self.directory_entries.is_empty() && self.context.is_none() {
            return true;
        }
        let Some(reach) = self.directory_reach() else {
            return false;
        };
        if self.context_gone(reach.end).time <= self.life.to {
            return false;
        }
        // The entries themselves fault: then they were read for this request.
        let own_fault =
            matches!(outcome, Outcome::Refused(fault) if matches!(fault.cause, 257..=259 | 268));
        !own_fault || self.directory == self.span && reach.end.time > self.life.from
    }

    /// Whether the page-table part of the path may lead to `outcome`.
    pub fn table_legal(&self, outcome: &Outcome) -> bool {
        let Some((index, space)) = self.space else {
            return true;
        };
        let Some((leaf, pointers)) = self.entries.split_last() else {
            // The root is out of reach: nothing was read, so it is the context's own.
            return index == 0;
        };
        let pscid = space.root.pscid;
        let mut global = false;
        let mut first = leaf.version.start;
        let mut end = Deadline::at(leaf.version.end.min(self.life.to.saturating_add(1)));
        if pointers.is_empty() {
            first = first.max(space.start);
            end = end.min(space.end);
        }
        for (at, pointer) in pointers.iter().enumerate() {
            global |= pointer.global();
            first = first.max(pointer.version.start);
            let mut replaced = Deadline::at(pointer.version.end);
            if at == 0 {
                first = first.max(space.start);
                replaced = replaced.min(space.end);
            }
            let tag = tag(pscid, global, pointer);
            let history = self.history;
            end = end.min(history.dropped(replaced, |what| what.covers_pointer(&tag)));
        }
        global |= leaf.global();
        if first >= end.time {
            return false;
        }
        let tag = tag(pscid, global, leaf);
        let gone = self.history.dropped(end, |what| what.covers_leaf(&tag));
        if gone.time <= self.life.to {
            return false;
        }
        let foreign = self.own.is_some_and(|own| own.pscid != pscid);
        if outcome.is_fault() {
            // Another table's pointers may still be cached, its root is not read again.
            let walked = index == 0 || !pointers.is_empty() && !foreign;
            return walked && !leaf.neighbour && end.time > self.life.from;
        }
        // Global mappings belong to every address space.
        !foreign || global
    }
}

fn tag(pscid: u32, global: bool, entry: &Entry) -> Tag {
    let (first, last) = entry.pages();
    Tag {
        pscid,
        global,
        first,
        last,
    }
}

impl Source for Explorer<'_> {
    fn ddtp(&mut self) -> (u8, u64) {
        let to = self.life.to;
        let live: Vec<usize> = (0..self.history.spans.len())
            .filter(|span| {
                self.history.spans[*span].start <= to && to < self.history.end(*span).time
            })
            .collect();
        let chosen = self.choices.pick(live.len());
        self.span = live.get(chosen).copied().unwrap_or(0);
        let span = &self.history.spans[self.span];
        (span.mode, span.ppn)
    }

    fn directory(&mut self, _own: (u8, u64)) -> (u8, u64) {
        let known: Vec<usize> = (0..self.history.spans.len())
            .filter(|span| {
                let span = &self.history.spans[*span];
                span.mode >= 2 && span.start <= self.life.to
            })
            .collect();
        let chosen = self.choices.pick(known.len());
        self.directory = known.get(chosen).copied().unwrap_or(self.span);
        let span = &self.history.spans[self.directory];
        (span.mode.saturating_sub(1), span.ppn)
    }

    fn ddt_entry(&mut self, read: &DdtRead) -> Checked {
        let versions = self.memory.versions(read.addr, self.life.to);
        let version = versions[self.choices.pick(versions.len())];
        self.directory_entries.push(version);
        version.value
    }

    fn context(&mut self, read: &DdtRead) -> [Checked; 4] {
        let bursts = self.memory.bursts::<4>(read.addr, self.life.to);
        let burst = bursts[self.choices.pick(bursts.len())];
        self.context = Some((burst.start, burst.end));
        burst.values
    }

    fn far_is_misconfigured(&mut self) -> bool {
        self.choices.pick(2) == 1
    }

    fn root(&mut self, own: Root) -> Root {
        self.own = Some(own);
        let chosen = self.choices.pick(1 + self.spaces.len());
        let space = match chosen.checked_sub(1) {
            Some(at) => self.spaces[at],
            None => Space {
                root: own,
                start: self.directory_reach().map_or(0, |reach| reach.first),
                end: Deadline::at(NEVER),
            },
        };
        self.space = Some((chosen, space));
        space.root
    }

    fn pte(&mut self, read: &PteRead) -> Checked {
        let entry = |version: Version, neighbour: bool| Entry {
            version,
            level: read.level,
            iova: read.iova,
            neighbour,
        };
        let own = self.memory.versions(read.addr, self.life.to);
        let mut entries: Vec<Entry> = own
            .into_iter()
            .map(|version| entry(version, false))
            .collect();
        if read.level == 0 {
            let others = neighbours(self.memory, read.addr, self.life.to);
            entries.extend(others.into_iter().map(|version| entry(version, true)));
        }
        let chosen = entries[self.choices.pick(entries.len())];
        self.entries.push(chosen);
        chosen.version.value
    }
}

/// Valid 64 KiB entries of the group of 16 around `addr`, each value once, the one that lived longest.
fn neighbours(memory: &Versions, addr: u64, until: u64) -> Vec<Version> {
    let group = addr & !0x7f;
    let mut found: Vec<Version> = Vec::new();
    for slot in (0..16)
        .map(|at| group + 8 * at)
        .filter(|slot| *slot != addr)
    {
        for version in memory.versions(slot, until) {
            let napot = version
                .value
                .is_ok_and(|pte| pte >> 63 == 1 && pte & 1 == 1 && pte >> 10 & 0xf == 8);
            if !napot {
                continue;
            }
            match found.iter_mut().find(|other| other.value == version.value) {
                Some(other) if other.end < version.end => *other = version,
                Some(_) => {}
                None => found.push(version),
            }
        }
    }
    found
}

/// An explorer whose directory is given.
pub(crate) struct Fixed<'a, 'b>(pub &'a mut Explorer<'b>);

impl Source for Fixed<'_, '_> {
    fn ddtp(&mut self) -> (u8, u64) {
        self.0.ddtp()
    }
    fn directory(&mut self, own: (u8, u64)) -> (u8, u64) {
        own
    }
    fn ddt_entry(&mut self, read: &DdtRead) -> Checked {
        self.0.ddt_entry(read)
    }
    fn context(&mut self, read: &DdtRead) -> [Checked; 4] {
        self.0.context(read)
    }
    fn far_is_misconfigured(&mut self) -> bool {
        false
    }
    fn root(&mut self, own: Root) -> Root {
        own
    }
    fn pte(&mut self, read: &PteRead) -> Checked {
        self.0.pte(read)
    }
}
