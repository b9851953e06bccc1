//! What caches may and may not do (rows DDTP-07, DDTP-10, INV, DIR, MEM; guarantees HW1, HW2).

mod common;
use common::*;
use portcullis_model::{
    Access, Fault, Features, History, Invalidation, Life, MemError, Outcome, Request, Versions,
    allowed,
};
use portcullis_regmap::config::TINY;

const OLD: u64 = 0x111 << 10 | RWX;
const NEW: u64 = 0x222 << 10 | RWX;

struct Story {
    mem: Versions,
    history: History,
}

impl Story {
    /// Device 5 with tables down to the slot of a 4 KiB leaf, which is returned; ddtp in mode 1LVL.
    fn new() -> (Self, u64) {
        let mut b = Bench::tiny();
        let slot = b.sv39(0);
        let mut history = History::new();
        history.switch(0, 2, DDT >> 12);
        history.settled(1);
        history.device(5);
        (
            Self {
                mem: b.mem,
                history,
            },
            slot,
        )
    }

    fn set(&mut self, time: u64, addr: u64, value: u64) {
        self.mem.at(time);
        self.mem.set(addr, value);
    }

    fn ask(&self, request: &Request, from: u64, to: u64) -> Vec<Outcome> {
        let features = Features::of(&TINY);
        let life = Life { from, to };
        allowed(&features, &self.mem, &self.history, request, life).expect("few combinations")
    }

    /// Page numbers granted, 0 for a refusal, of a read of `IOVA` by device 5.
    fn read(&self, from: u64, to: u64) -> Vec<u64> {
        let mut pages: Vec<u64> = self
            .ask(&request(5, Access::Read, IOVA), from, to)
            .iter()
            .map(|outcome| match outcome {
                Outcome::Granted { pa, .. } => pa >> 12,
                Outcome::Refused(_) => 0,
            })
            .collect();
        pages.sort_unstable();
        pages.dedup();
        pages
    }

    fn pages(pscid: Option<u32>, page: Option<u64>) -> Invalidation {
        Invalidation::Pages {
            pscid,
            range: page.map(|page| (page, page)),
            non_leaf: false,
        }
    }
}

#[test]
fn mem_04_old_or_new_before_an_invalidation() {
    let (mut s, slot) = Story::new();
    s.set(10, slot, OLD);
    s.set(20, slot, NEW);
    assert_eq!(s.read(12, 15), [0x111]);
    assert_eq!(s.read(15, 25), [0x111, 0x222]);
    assert_eq!(s.read(30, 35), [0x111, 0x222]);
}

#[test]
fn inv_15_new_after_the_fence() {
    let (mut s, slot) = Story::new();
    s.set(10, slot, OLD);
    s.set(20, slot, NEW);
    s.history.invalidated(Story::pages(None, None), 25, 40);
    assert_eq!(s.read(30, 39), [0x111, 0x222]);
    assert_eq!(s.read(41, 45), [0x222]);
    // HW2: also for a request that was in flight all the while.
    assert_eq!(s.read(12, 45), [0x222]);
}

#[test]
fn inv_15_a_store_behind_the_command_may_be_missed() {
    let (mut s, slot) = Story::new();
    s.set(10, slot, OLD);
    s.set(30, slot, NEW);
    s.history.invalidated(Story::pages(None, None), 25, 40);
    assert_eq!(s.read(50, 55), [0x111, 0x222]);
}

#[test]
fn mem_02_what_is_not_valid_is_not_cached() {
    let (mut s, slot) = Story::new();
    s.set(10, slot, 0);
    s.set(20, slot, NEW);
    assert_eq!(s.read(12, 15), [0]);
    assert_eq!(s.read(15, 25), [0, 0x222]);
    assert_eq!(s.read(21, 25), [0x222]);
}

#[test]
fn ad_11_a_denied_access_reads_again() {
    let (mut s, slot) = Story::new();
    s.set(10, slot, OLD & !0x80);
    s.set(20, slot, NEW);
    let write = request(5, Access::Write, IOVA);
    let Outcome::Granted { pa, .. } = s.ask(&write, 30, 35)[0] else {
        panic!("D=0 is stale");
    };
    assert_eq!(pa >> 12, 0x222);
    assert_eq!(s.ask(&write, 30, 35).len(), 1);
}

#[test]
fn inv_03_by_pscid() {
    for (pscid, want) in [(7, vec![0x222]), (8, vec![0x111, 0x222])] {
        let (mut s, slot) = Story::new();
        s.set(10, slot, OLD);
        s.set(20, slot, NEW);
        s.history
            .invalidated(Story::pages(Some(pscid), None), 25, 40);
        assert_eq!(s.read(41, 45), want);
    }
}

#[test]
fn inv_03_globals_stay() {
    let (mut s, slot) = Story::new();
    s.set(10, slot, OLD | 1 << 5);
    s.set(20, slot, NEW);
    s.history.invalidated(Story::pages(Some(7), None), 25, 40);
    assert_eq!(s.read(41, 45), [0x111, 0x222]);
    s.history.invalidated(Story::pages(None, None), 46, 50);
    assert_eq!(s.read(51, 55), [0x222]);
}

#[test]
fn inv_04_and_05_by_address() {
    for (page, want) in [
        (IOVA >> 12, vec![0x222]),
        (IOVA >> 12 ^ 1, vec![0x111, 0x222]),
    ] {
        let (mut s, slot) = Story::new();
        s.set(10, slot, OLD);
        s.set(20, slot, NEW);
        s.history
            .invalidated(Story::pages(Some(7), Some(page)), 25, 40);
        assert_eq!(s.read(41, 45), want);
    }
}

#[test]
fn inv_20_pointers_survive_an_address() {
    let (mut s, slot) = Story::new();
    let pointer = ROOT + 0x1000 + (IOVA >> 21 & 0x1ff) * 8;
    let other = ROOT + 0x5000;
    s.set(10, slot, OLD);
    s.set(10, other + (slot & 0xfff), NEW);
    s.set(20, pointer, other >> 12 << 10 | 1);
    s.history
        .invalidated(Story::pages(Some(7), Some(IOVA >> 12)), 25, 40);
    assert_eq!(s.read(41, 45), [0x111, 0x222]);
    s.history.invalidated(Story::pages(Some(7), None), 46, 50);
    assert_eq!(s.read(51, 55), [0x222]);
}

#[test]
fn inv_22_superpage_goes_by_any_address_in_it() {
    let (mut s, _) = Story::new();
    let slot = ROOT + 0x1000 + (IOVA >> 21 & 0x1ff) * 8;
    s.set(10, slot, 0x200 << 10 | RWX);
    // The pointer that was there is gone.
    s.history.invalidated(Story::pages(None, None), 11, 12);
    s.set(20, slot, 0x400 << 10 | RWX);
    s.history
        .invalidated(Story::pages(None, Some(IOVA >> 12 ^ 0x1ff)), 25, 40);
    assert_eq!(s.read(41, 45), [0x400 | IOVA >> 12 & 0x1ff]);
}

#[test]
fn mem_07_neighbours_of_a_napot_page() {
    let (mut s, slot) = Story::new();
    let napot = |ppn: u64| 1 << 63 | ppn << 10 | RWX;
    s.set(10, slot, napot(0x118));
    s.set(10, slot ^ 8, napot(0x228));
    assert_eq!(
        s.read(12, 15),
        [0x110 | IOVA >> 12 & 0xf, 0x220 | IOVA >> 12 & 0xf]
    );
    // A neighbour may help, but not harm.
    s.set(20, slot ^ 8, napot(0x228) & !2);
    assert!(!s.read(30, 35).contains(&0));
}

#[test]
fn dir_03_context_old_or_new_until_iodir() {
    let (mut s, slot) = Story::new();
    s.set(10, slot, OLD);
    let tc = DDT + 5 * 32;
    s.set(20, tc, 0);
    assert_eq!(s.read(30, 35), [0, 0x111]);
    let other = Invalidation::Directory { device_id: Some(6) };
    s.history.invalidated(other, 36, 40);
    assert_eq!(s.read(41, 45), [0, 0x111]);
    let own = Invalidation::Directory { device_id: Some(5) };
    s.history.invalidated(own, 46, 50);
    assert_eq!(s.read(51, 55), [0]);
}

#[test]
fn dir_11_translations_outlive_iodir() {
    let (mut s, slot) = Story::new();
    s.set(10, slot, OLD);
    let other = ROOT + 0x8000;
    s.set(20, DDT + 5 * 32 + 24, SV39 | other >> 12);
    s.history
        .invalidated(Invalidation::Directory { device_id: None }, 25, 30);
    assert_eq!(s.read(31, 35), [0, 0x111]);
    s.history.invalidated(Story::pages(Some(7), None), 36, 40);
    assert_eq!(s.read(41, 45), [0]);
}

#[test]
fn dc_13_one_pscid_two_tables() {
    let (mut s, slot) = Story::new();
    s.set(10, slot, OLD);
    let other = ROOT + 0x8000;
    let tc = DDT + 6 * 32;
    for (at, word) in [(0, 1), (16, 7 << 12), (24, SV39 | other >> 12)] {
        s.set(10, tc + at, word);
    }
    let six = request(6, Access::Read, IOVA);
    let refused = Outcome::Refused(Fault {
        cause: 13,
        dtf: false,
    });
    assert_eq!(s.ask(&six, 12, 15).len(), 2);
    assert!(s.ask(&six, 12, 15).contains(&refused));
    // Another id: nothing is shared.
    s.set(20, tc + 16, 8 << 12);
    s.history
        .invalidated(Invalidation::Directory { device_id: None }, 25, 30);
    assert_eq!(s.ask(&six, 31, 35), [refused]);
}

#[test]
fn ddtp_07_either_setting_until_busy_clears() {
    let (mut s, slot) = Story::new();
    s.set(10, slot, OLD);
    s.history.switch(20, 0, DDT >> 12);
    assert_eq!(s.read(15, 25), [0, 0x111]);
    s.history.settled(30);
    assert_eq!(s.read(15, 29), [0, 0x111]);
    assert_eq!(s.read(15, 30), [0]);
}

#[test]
fn ddtp_10_contexts_outlive_a_switch() {
    let (mut s, slot) = Story::new();
    s.set(10, slot, OLD);
    s.history.switch(20, 0, DDT >> 12);
    s.history.settled(22);
    s.history.switch(24, 2, 0x7777);
    s.history.settled(26);
    assert_eq!(s.read(30, 35), [0, 0x111]);
    s.history
        .invalidated(Invalidation::Directory { device_id: Some(5) }, 36, 40);
    assert_eq!(s.read(41, 45), [0]);
}

#[test]
fn a_38_far_root_is_either_fault() {
    let (mut s, _) = Story::new();
    s.set(10, DDT + 5 * 32 + 24, SV39 | 1 << 30);
    s.history
        .invalidated(Invalidation::Directory { device_id: None }, 11, 12);
    s.history.invalidated(Story::pages(None, None), 11, 12);
    let mut causes: Vec<u16> = s
        .ask(&request(5, Access::Write, IOVA), 20, 25)
        .into_iter()
        .map(common::cause)
        .collect();
    causes.sort_unstable();
    assert_eq!(causes, [7, 259]);
}

#[test]
fn errors_count_only_while_they_last() {
    let (mut s, slot) = Story::new();
    s.set(10, slot, OLD);
    s.mem.at(20);
    s.mem.plant(slot, 8, true, false, Some(MemError::Corrupt));
    // A cached translation needs no read.
    assert_eq!(s.read(25, 30), [0, 0x111]);
    s.mem.at(40);
    s.mem.plant(slot, 8, true, false, None);
    assert_eq!(s.read(45, 50), [0x111]);
}

#[test]
fn ddtp_10_contexts_of_a_directory_of_other_levels() {
    let (mut s, slot) = Story::new();
    s.set(10, slot, OLD);
    s.history.switch(20, 0, DDT >> 12);
    s.history.settled(22);
    s.history.switch(24, 4, 0x7777);
    s.history.settled(26);
    assert_eq!(s.read(30, 35), [0, 0x111]);
}
