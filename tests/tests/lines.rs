//! Lines of page-table entries that `linux` fetches beside and ahead of what walks read: what they save, and what they
//! must never do. An entry from a line can only allow; it goes with any invalidation (HW2, HW5, AD-11).

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::rc::Rc;

use portcullis_regmap::Config;
use portcullis_regmap::regs::offset;
use portcullis_sim::core::{Access, Core, Inputs, MemStatus, Outputs, Purpose, ReadBeat};
use portcullis_sim::memory::{FaultOn, Timing};
use portcullis_tests::under_test::LINES;
use portcullis_tests::*;

const DEV: u32 = 5;
const PSCID: u64 = 7;
const PAGE: u64 = 0x4000_0000;
const OLD: u64 = 0x8_0000_0000;
const NEW: u64 = 0x9_0000_0000;
/// PTE bits of [`RWX`] without W and D.
const READ_ONLY: u64 = RWX & !0x84;
/// Places for lines that the memory port's ids can tell.
const PLACES: usize = 8;

fn build() -> &'static Config {
    under_test::with(under_test::linux(), LINES)
}

fn machine(timing: Timing) -> Machine {
    let mut m = Machine::with_config(build(), timing);
    m.start();
    m
}

fn steady(latency: u64) -> Timing {
    Timing {
        latency,
        ..Timing::default()
    }
}

fn page(n: u64) -> u64 {
    PAGE + 0x1000 * n
}

fn map(m: &mut Machine, root: u64, pages: std::ops::Range<u64>, to: u64) {
    for n in pages {
        m.map(root, page(n), to + 0x1000 * n, RWX, 0);
    }
}

/// A device with 64 pages, the first of which has been read; its line has come.
fn with_line(timing: Timing) -> (Machine, u64) {
    let mut m = machine(timing);
    let root = m.sv39(DEV, PSCID);
    map(&mut m, root, 0..64, OLD);
    assert_eq!(m.read(DEV, PAGE), Some(OLD));
    m.h.advance(timing.latency + timing.jitter + 16)
        .expect("quiet machine");
    (m, root)
}

fn reads(m: &Machine) -> u64 {
    m.h.counters().traffic.reads(Purpose::Pte)
}

#[test]
fn neighbours_of_what_was_read_cost_no_read() {
    for latency in [1, 10, 50] {
        let (mut m, _) = with_line(steady(latency));
        let before = reads(&m);
        for n in [1, 5, 7, 2] {
            let f = m.ask(request(DEV, Access::Read, page(n)));
            assert_eq!(f.response.pa, OLD + 0x1000 * n);
            assert_eq!(f.latency(), 3, "L={latency}, page {n}");
        }
        assert_eq!(reads(&m), before, "L={latency}");
    }
}

#[test]
fn ascending_pages_are_there_when_they_are_asked_for() {
    let (mut m, _) = with_line(steady(20));
    let mut waited = 0;
    for n in 1..64 {
        let f = m.ask(request(DEV, Access::Read, page(n)));
        assert_eq!(f.response.pa, OLD + 0x1000 * n);
        waited += u64::from(f.latency() > 3);
        m.h.advance(8).expect("quiet machine");
    }
    // The first line of the run may still be on its way
    assert!(waited <= 1, "{waited} pages were waited for");
}

#[test]
fn linectl_switches_lines_off_and_on() {
    let (mut m, _) = with_line(steady(3));
    assert_eq!(m.read32(offset::LINECTL), 0);
    // When lines are off, Then what was there is gone, and every page costs a read
    m.write32(offset::LINECTL, 0xffff_ffff);
    assert_eq!(m.read32(offset::LINECTL), 1);
    for n in 1..4 {
        let before = reads(&m);
        assert_eq!(m.read(DEV, page(n)), Some(OLD + 0x1000 * n));
        m.h.advance(30).expect("quiet machine");
        assert_eq!(reads(&m) - before, 1, "page {n}");
    }
    // When they are on again, Then they come again
    m.write32(offset::LINECTL, 0);
    assert_eq!(m.read(DEV, page(4)), Some(OLD + 0x4000));
    m.h.advance(30).expect("quiet machine");
    let before = reads(&m);
    assert_eq!(m.read(DEV, page(5)), Some(OLD + 0x5000));
    assert_eq!(reads(&m), before);
}

/// HW5, AD-11: what does not allow a request is read again.
#[test]
fn an_entry_that_did_not_allow_counts_as_soon_as_it_does() {
    for latency in [1, 9] {
        let mut m = machine(steady(latency));
        let root = m.sv39(DEV, PSCID);
        // Given a line with an entry that is not valid, and one that is read-only
        m.map(root, page(0), OLD, RWX, 0);
        m.map(root, page(2), OLD + 0x2000, READ_ONLY, 0);
        assert_eq!(m.read(DEV, page(0)), Some(OLD));
        m.h.advance(latency + 16).expect("quiet machine");
        // When they change without an invalidation
        m.map(root, page(1), NEW, RWX, 0);
        m.map(root, page(2), OLD + 0x2000, RWX, 0);
        // Then the change counts
        assert_eq!(m.read(DEV, page(1)), Some(NEW), "L={latency}");
        let f = m.ask(request(DEV, Access::Write, page(2)));
        assert!(!f.response.fault, "L={latency}");
        assert_eq!(f.response.pa, OLD + 0x2000);
        assert!(m.faults().is_empty());
    }
}

/// Pages that are mapped while they are used are new to the line that has come.
#[test]
fn a_line_that_did_not_have_what_was_asked_for_is_read_anew() {
    for latency in [1, 9] {
        // Given a line that came when one page of it was mapped
        let mut m = machine(steady(latency));
        let root = m.sv39(DEV, PSCID);
        map(&mut m, root, 0..1, OLD);
        assert_eq!(m.read(DEV, page(0)), Some(OLD));
        m.h.advance(latency + 16).expect("quiet machine");
        // When its others are mapped and one is read
        map(&mut m, root, 1..8, OLD);
        let before = reads(&m);
        assert_eq!(m.read(DEV, page(1)), Some(OLD + 0x1000));
        m.h.advance(latency + 16).expect("quiet machine");
        assert_eq!(reads(&m), before + 1, "L={latency}");
        // Then the rest cost no read
        for n in 2..8 {
            assert_eq!(m.read(DEV, page(n)), Some(OLD + 0x1000 * n));
        }
        assert_eq!(reads(&m), before + 1, "L={latency}");
    }
}

#[test]
fn invalidations_that_cover_an_entry_of_a_line_drop_it() {
    let forms = [
        ("all", cmd::VMA_ALL, 0),
        ("PSCID", cmd::vma_pscid(PSCID), 0),
        ("ADDR", cmd::VMA_ADDR, cmd::addr(page(3))),
        (
            "ADDR, PSCID",
            cmd::vma_pscid(PSCID) | 1 << 10,
            cmd::addr(page(3)),
        ),
        (
            "range",
            cmd::VMA_ADDR,
            cmd::addr(page(3) | 3 << 12) | 1 << 9,
        ),
    ];
    for (name, dw0, dw1) in forms {
        for used in [false, true] {
            // Given an entry in a line, and in the IOTLB from there if it was used
            let (mut m, root) = with_line(steady(3));
            if used {
                assert_eq!(m.read(DEV, page(3)), Some(OLD + 0x3000));
            }
            // When it changes, with IOTINVAL and fence
            map(&mut m, root, 0..8, NEW);
            m.command(dw0, dw1);
            m.fence();
            // Then the new one counts
            let got = m.read(DEV, page(3));
            assert_eq!(got, Some(NEW + 0x3000), "{name}, used: {used}");
        }
    }
}

/// The line is on its way at any moment of the invalidation; a memory with jitter brings it late.
#[test]
fn hw2_a_line_read_before_an_invalidation_is_not_used_after_it() {
    let calm = [1, 4, 9].map(|latency| (latency, 0, 0));
    let uneasy = (0..6).map(|seed| (2, 60, seed));
    for (latency, jitter, seed) in calm.into_iter().chain(uneasy) {
        let timing = Timing {
            latency,
            jitter,
            seed,
            ..Timing::default()
        };
        let step = if jitter == 0 { 2 } else { 11 };
        for delay in (0..5 * latency + 2 * jitter + 24).step_by(step) {
            // Given a page that is read, whose line follows
            let mut m = machine(timing);
            let root = m.sv39(DEV, PSCID);
            map(&mut m, root, 0..8, OLD);
            m.h.submit(request(DEV, Access::Read, page(0)));
            m.h.advance(delay).expect("no hang");
            // When a neighbour changes, with IOTINVAL and fence
            m.map(root, page(1), NEW, RWX, 0);
            m.command(cmd::VMA_ADDR, cmd::addr(page(1)));
            m.fence();
            m.h.finish_requests().expect("no hang");
            while m.h.take_finished().is_some() {}
            // Then the new one counts, at once and later
            for wait in [0, 100] {
                m.h.advance(wait).expect("no hang");
                let got = m.read(DEV, page(1));
                assert_eq!(got, Some(NEW), "{timing:?} delay={delay} wait={wait}");
                m.command(cmd::VMA_ADDR | 1 << 34, cmd::addr(page(9)));
                m.fence();
            }
        }
    }
}

/// Counts reads of lines of one table that are on their way.
struct Watched {
    core: Box<dyn Core>,
    /// The page of the table.
    table: Rc<Cell<u64>>,
    under_way: Rc<Cell<i64>>,
    /// Line reads that are on their way: whether each is of the table.
    lines: [bool; PLACES],
    asked: Option<(usize, bool)>,
    came: Option<usize>,
}

/// Which line a read with this id is for: 4 to 7 and 12 to 15.
fn line(id: u8) -> Option<usize> {
    (id & 4 != 0).then(|| usize::from((id & 3) | (id & 8) >> 1))
}

impl Core for Watched {
    fn settle(&mut self, inputs: &Inputs) -> Outputs {
        let out = self.core.settle(inputs);
        let taken = out.ar.filter(|_| inputs.ar_ready);
        self.asked = taken.and_then(|ar| Some((line(ar.id)?, ar.addr >> 12 == self.table.get())));
        self.came = inputs.r.filter(|r| r.last).and_then(|r| line(r.id));
        out
    }
    fn clock(&mut self) {
        if let Some(at) = self.came {
            self.lines[at] = false;
        }
        if let Some((at, of_table)) = self.asked {
            self.lines[at] = of_table;
        }
        let count = self.lines.iter().filter(|of_table| **of_table).count();
        self.under_way.set(count as i64);
        self.core.clock();
    }
    fn record_waves(&mut self, path: &Path) -> io::Result<()> {
        self.core.record_waves(path)
    }
}

/// After the fence, software may give the table's memory to somebody else, whoever is still being answered.
#[test]
fn no_line_of_a_table_that_was_taken_out_is_on_its_way_after_the_fence() {
    let (mut met, mut others) = (0, 0);
    for seed in 0..40 {
        let timing = Timing {
            latency: 2,
            jitter: 90,
            seed,
            ..Timing::default()
        };
        let (table, under_way) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let core = Watched {
            core: under_test::core(build()),
            table: Rc::clone(&table),
            under_way: Rc::clone(&under_way),
            lines: [false; PLACES],
            asked: None,
            came: None,
        };
        let mut m = Machine::with_core(Box::new(core), timing);
        m.start();
        let root = m.sv39(DEV, PSCID);
        map(&mut m, root, 0..64, OLD);
        table.set(m.pte(root, PAGE, 0) >> 12);
        // Given lines of a table on their way
        for n in 0..6 {
            m.h.submit(request(DEV, Access::Read, page(8 * n)));
        }
        m.h.advance(seed * 5).expect("no hang");
        // When another takes its place, and an invalidation with its fence passes
        let pointer = m.pte(root, PAGE, 1);
        m.h.memory_mut().store64(pointer, 0);
        map(&mut m, root, 0..64, NEW);
        assert_ne!(table.get(), m.pte(root, PAGE, 0) >> 12);
        m.command(cmd::VMA_ALL, 0);
        met += i64::from(under_way.get() > 0);
        m.fence();
        // Then none is on its way any more; a request that waits may have asked for lines of the other
        assert_eq!(under_way.get(), 0, "seed {seed}");
        others += i64::from(m.h.outstanding() > 0);
        m.h.finish_requests().expect("no hang");
        assert_eq!(under_way.get(), 0, "seed {seed}");
    }
    assert!(
        met > 5 && others > 0,
        "{met} invalidations met a line, {others} fences had requests waiting"
    );
}

/// Read data of lines comes after everything else, and not before `hold` ends; a word that is refused looks like an entry
/// that grants everything.
struct Late {
    core: Box<dyn Core>,
    hold: Rc<Cell<bool>>,
    late: VecDeque<ReadBeat>,
}

impl Late {
    const REFUSED: u64 = ((OLD + 0x9000) >> 12 << 10) | RWX;

    fn machine(timing: Timing) -> (Machine, Rc<Cell<bool>>) {
        let hold = Rc::new(Cell::new(false));
        let core = Self {
            core: under_test::core(build()),
            hold: Rc::clone(&hold),
            late: VecDeque::new(),
        };
        let mut m = Machine::with_core(Box::new(core), timing);
        m.start();
        (m, hold)
    }
}

impl Core for Late {
    fn settle(&mut self, inputs: &Inputs) -> Outputs {
        let mut seen = *inputs;
        if let Some(beat) = &mut seen.r {
            if beat.status != MemStatus::Ok {
                beat.data = Self::REFUSED;
            }
            if line(beat.id).is_some() {
                self.late.extend(seen.r.take());
            }
        }
        if seen.r.is_none() && !self.hold.get() {
            seen.r = self.late.pop_front();
        }
        self.core.settle(&seen)
    }
    fn clock(&mut self) {
        self.core.clock();
    }
    fn record_waves(&mut self, path: &Path) -> io::Result<()> {
        self.core.record_waves(path)
    }
}

/// A line belongs to a slot of the context cache: what was asked for before the slot got another context is not its.
#[test]
fn a_line_that_comes_after_its_context_lost_its_slot_is_not_used() {
    let contexts = u32::from(build().context_entries);
    let own = |did: u32, n: u64| OLD + (u64::from(did) << 30) + 0x1000 * n;
    for heir in contexts + 1..=2 * contexts {
        // Given more devices with the same addresses than there are contexts
        let (mut m, hold) = Late::machine(steady(2));
        for did in 1..=2 * contexts {
            let root = m.sv39(did, 20 + u64::from(did));
            for n in 0..8 {
                m.map(root, page(n), own(did, n), RWX, 0);
            }
        }
        // When lines of the first come after all contexts have been replaced
        hold.set(true);
        for did in 1..=2 * contexts {
            assert_eq!(m.read(did, page(0)), Some(own(did, 0)), "device {did}");
        }
        hold.set(false);
        m.h.advance(100).expect("quiet machine");
        // Then whoever has their slots does not find its entries in them
        for n in 1..8 {
            let got = m.read(heir, page(n));
            assert_eq!(got, Some(own(heir, n)), "device {heir}, page {n}");
        }
    }
}

#[test]
fn an_entry_that_cannot_be_read_harms_only_who_asks_for_it() {
    for (status, cause) in [(MemStatus::Access, 5), (MemStatus::Corrupt, 274)] {
        let (mut m, _) = Late::machine(steady(4));
        let root = m.sv39(DEV, PSCID);
        map(&mut m, root, 0..8, OLD);
        let slot = m.pte(root, page(2), 0);
        m.h.memory_mut().set_fault(slot, 8, FaultOn::Read, status);
        // When a neighbour is read, Then nobody hears of it
        for n in [0, 1, 3, 7] {
            assert_eq!(m.read(DEV, page(n)), Some(OLD + 0x1000 * n));
            m.h.advance(30).expect("quiet machine");
        }
        assert!(m.faults().is_empty());
        // When the page itself is asked for, Then its own read decides
        assert_eq!(m.read(DEV, page(2)), None);
        assert_eq!(m.faults().last().map(FaultRecord::cause), Some(cause));
        m.h.memory_mut()
            .set_fault(slot, 8, FaultOn::Read, MemStatus::Ok);
        assert_eq!(m.read(DEV, page(2)), Some(OLD + 0x2000));
    }
}

#[test]
fn lines_of_devices_and_regions_are_told_apart() {
    let contexts = u32::from(build().context_entries);
    // Given devices with the same addresses: few that share the lines, or more than there are contexts
    for devices in [2, contexts + 2] {
        let mut m = machine(steady(2));
        let region = |n: u64| PAGE + (n << 21);
        let frame = |did: u32, n: u64| OLD + (u64::from(did) << 30) + (n << 20);
        for did in 1..=devices {
            let root = m.sv39(did, 20 + u64::from(did));
            for n in 0..2 {
                for at in 0..24 {
                    let to = frame(did, n) + 0x1000 * at;
                    m.map(root, region(n) + 0x1000 * at, to, RWX, 0);
                }
            }
        }
        // When they take turns in ascending order, Then each reaches its own
        for at in 0..24 {
            for did in 1..=devices {
                for n in 0..2 {
                    let got = m.read(did, region(n) + 0x1000 * at);
                    let own = frame(did, n) + 0x1000 * at;
                    assert_eq!(got, Some(own), "device {did} of {devices}, region {n}");
                }
            }
        }
    }
}

/// An entry of a line answers for what the request wants.
#[test]
fn entries_of_a_line_are_judged_for_each_request() {
    let mut m = machine(steady(2));
    let root = m.sv39(DEV, PSCID);
    for n in 0..8 {
        m.map(root, page(n), OLD + 0x1000 * n, READ_ONLY & !8, 0);
    }
    assert_eq!(m.read(DEV, page(0)), Some(OLD));
    m.h.advance(30).expect("quiet machine");
    for (n, access, cause) in [(1, Access::Write, 15), (2, Access::Exec, 12)] {
        assert!(m.ask(request(DEV, access, page(n))).response.fault);
        assert_eq!(m.faults().last().map(FaultRecord::cause), Some(cause));
        assert_eq!(m.read(DEV, page(n)), Some(OLD + 0x1000 * n));
    }
}
