//! IOTINVAL with S while the pages of its range still stand in the IOTLB of `linux`: they leave in the background, up to
//! two cycles for each of the 64 sets. The fence does not wait for that; so they must be gone in every other respect.

use portcullis_sim::core::{Access, Request};
use portcullis_sim::harness::Finished;
use portcullis_tests::under_test::SETS;
use portcullis_tests::*;

/// First page.
const IOVA: u64 = 0x4000_0000;
/// A page.
const PAGE: u64 = 0x1000;
/// Where pages lead before ...
const OLD: u64 = 0x80_0000_0000;
/// ... and after a change.
const NEW: u64 = 0x90_0000_0000;
/// PTE bit N: the page is one of 16 (Svnapot).
const NAPOT: u64 = 1 << 63;
/// Cycles that a range may take to leave all sets.
const LEAVES: u64 = 2 * 64;

/// Queues IOTINVAL.VMA of `pages` pages from page `first` (a power of two, aligned) in space `pscid`.
fn range(m: &mut Machine, pscid: u64, first: u64, pages: u64) {
    let (dw0, dw1) = cmd::vma_range(pscid, IOVA + first * PAGE, pages);
    m.queue(dw0, dw1);
}

fn page(did: u32, n: u64) -> Request {
    request(did, Access::Read, IOVA + n * PAGE)
}

/// Maps these pages.
fn map(m: &mut Machine, root: u64, pages: std::ops::Range<u64>, pa: u64) {
    for n in pages {
        m.map(root, IOVA + n * PAGE, pa + n * PAGE, RWX, 0);
    }
}

/// Asks for all these pages of a device in one go, each in the cycle after the one before while the port takes them.
fn ask(m: &mut Machine, did: u32, pages: impl Iterator<Item = u64>) -> Vec<Finished> {
    for n in pages {
        m.h.submit(page(did, n));
    }
    m.h.finish_requests().expect("no hang");
    std::iter::from_fn(|| m.h.take_finished()).collect()
}

/// All answers must lead to `pa`.
#[track_caller]
fn lead_to(answers: &[Finished], pa: u64) {
    for f in answers {
        let n = (f.request.iova - IOVA) / PAGE;
        assert_eq!(f.response.pa, pa + n * PAGE, "page {n}");
    }
}

/// A device with these pages cached.
fn cached(m: &mut Machine, did: u32, pscid: u64, pages: std::ops::Range<u64>) -> u64 {
    let root = m.sv39(did, pscid);
    map(m, root, pages.clone(), OLD);
    let first = ask(m, did, pages.clone());
    lead_to(&first, OLD);
    let before = m.pte_reads();
    lead_to(&ask(m, did, pages), OLD);
    assert_eq!(m.pte_reads(), before, "all pages cached");
    root
}

#[test]
fn requests_right_behind_the_fence_of_a_range_find_none_of_it() {
    for pages in [2, 8, 64, 128, 512] {
        // Given cached pages that have changed
        let mut m = Machine::linux_with(SETS, 1);
        let held = pages.min(128);
        let root = cached(&mut m, 3, 7, 0..held);
        map(&mut m, root, 0..held, NEW);
        // When they are invalidated as a range, and all asked for at once, those that leave last first
        range(&mut m, 7, 0, pages);
        m.fence();
        let answers = ask(&mut m, 3, (0..held).rev());
        // Then each is new, though few can have left their sets
        lead_to(&answers, NEW);
    }
}

#[test]
fn requests_in_the_cycles_around_a_range_are_old_before_its_fence_and_new_after() {
    for delay in 0..21 {
        // Given requests that go on while a range is invalidated
        let mut m = Machine::linux_with(SETS, 2);
        let root = cached(&mut m, 3, 7, 0..32);
        map(&mut m, root, 0..32, NEW);
        range(&mut m, 7, 0, 32);
        m.queue(0x3002, 0);
        for n in 0..96 {
            m.h.submit(page(3, (n * 37 + delay) % 32));
        }
        m.h.advance(delay).expect("no hang");
        m.doorbell();
        m.wait(reg::CQH, u64::MAX, 2);
        let passed = m.h.cycle();
        m.h.finish_requests().expect("no hang");
        // Then an answer behind the fence is new, and no page is old again after it has been new
        let mut new = [false; 32];
        while let Some(f) = m.h.take_finished() {
            let n = (f.request.iova - IOVA) / PAGE;
            let is_new = f.response.pa == NEW + n * PAGE;
            assert!(is_new || f.response.pa == OLD + n * PAGE);
            assert!(is_new || f.answered < passed, "delay={delay} page={n}");
            assert!(is_new || !new[n as usize], "delay={delay} page={n}");
            new[n as usize] |= is_new;
        }
    }
}

#[test]
fn ranges_one_behind_the_other_all_act() {
    for (count, size, gap) in [(2, 64, 1), (8, 16, 3), (64, 2, 1)] {
        // Given 128 cached pages of two spaces that have changed
        let mut m = Machine::linux_with(SETS, 1);
        let (root, other) = (cached(&mut m, 3, 7, 0..128), cached(&mut m, 4, 8, 0..64));
        map(&mut m, root, 0..128, NEW);
        map(&mut m, other, 0..64, NEW);
        // When ranges stand behind each other in the queue, at first all of one space, then of both
        for k in 0..count {
            let at = k * gap % count;
            range(&mut m, 7, at * size, size);
            if k % 2 == 1 && at * size < 64 {
                range(&mut m, 8, at * size, size);
            }
        }
        range(&mut m, 8, 0, 64);
        m.fence();
        // Then not one of them is forgotten
        lead_to(&ask(&mut m, 3, (0..128).rev()), NEW);
        lead_to(&ask(&mut m, 4, (0..64).rev()), NEW);
    }
}

#[test]
fn a_range_leaves_in_time_among_hits_that_never_stop() {
    // Given a device that hits in every cycle, and the pages of another that have changed
    let mut m = Machine::linux_with(SETS, 1).without_lines();
    let root = cached(&mut m, 3, 7, 0..64);
    cached(&mut m, 4, 8, 0..4);
    map(&mut m, root, 0..64, NEW);
    let hit = |m: &mut Machine, count: u64| {
        for n in 0..count {
            m.h.submit(page(4, n % 4));
        }
    };
    // When they are invalidated as a range
    range(&mut m, 7, 0, 64);
    hit(&mut m, 4000);
    m.fence();
    let done = m.h.cycle();
    let hits = |m: &Machine| m.h.counters().iotlb_hits;
    let before = hits(&m);
    m.h.advance(LEAVES).expect("no hang");
    // Then the hits go on at half their rate or more while it leaves ...
    assert!(hits(&m) - before >= LEAVES / 2 - 2);
    let before = hits(&m);
    m.h.advance(100).expect("no hang");
    // ... and at their full rate when it has left ...
    assert!(hits(&m) - before >= 98, "{} hits", hits(&m) - before);
    assert!(m.h.outstanding() > 1000, "the hits did not last");
    assert!(m.h.cycle() < done + LEAVES + 200);
    m.h.finish_requests().expect("no hang");
    while m.h.take_finished().is_some() {}
    // ... as the pages in it show, which are cached again.
    hit(&mut m, 400);
    range(&mut m, 7, 0, 64);
    m.doorbell();
    for round in 0..3 {
        m.h.advance(LEAVES).expect("no hang");
        let reads = m.pte_reads();
        m.h.submit(page(3, 63));
        hit(&mut m, 400);
        while m.h.outstanding() > 300 {
            m.h.advance(1).expect("no hang");
        }
        assert_eq!(m.pte_reads() - reads, u64::from(round == 0), "{round}");
    }
}

#[test]
fn a_range_leaves_while_responses_are_not_taken() {
    // Given an answer that waits for its device, with a request behind it
    let mut m = Machine::linux_with(SETS, 1);
    let root = cached(&mut m, 3, 7, 0..64);
    map(&mut m, root, 0..64, NEW);
    m.h.hold_responses(true);
    for n in [5, 6, 7] {
        m.h.submit(page(3, n));
    }
    m.h.advance(20).expect("no hang");
    // When a range comes, Then it waits for its turn, and the answers given before it are old
    range(&mut m, 7, 0, 64);
    m.queue(0x3002, 0);
    m.doorbell();
    m.h.advance(500).expect("no hang");
    assert_ne!(m.read32(reg::CQH), 2);
    m.h.hold_responses(false);
    m.wait(reg::CQH, u64::MAX, 2);
    m.h.finish_requests().expect("no hang");
    let early: Vec<Finished> = std::iter::from_fn(|| m.h.take_finished()).collect();
    lead_to(&early[..2], OLD);
    lead_to(&ask(&mut m, 3, (0..64).rev()), NEW);
}

#[test]
fn one_page_is_invalidated_while_a_range_leaves() {
    for set in [0, 30, 63] {
        for wait in [0, 2] {
            // Given a page outside a range, in any set
            let mut m = Machine::linux_with(SETS, 1);
            let root = cached(&mut m, 3, 7, 0..128);
            map(&mut m, root, 0..128, NEW);
            // When its invalidation follows the range
            range(&mut m, 7, 0, 64);
            m.doorbell();
            m.h.advance(20 * wait).expect("no hang");
            range(&mut m, 7, 64 + set, 1);
            m.fence();
            // Then it is new, as all in the range, and its neighbours were spared
            lead_to(&ask(&mut m, 3, std::iter::once(64 + set)), NEW);
            lead_to(&ask(&mut m, 3, 64..64 + set), OLD);
            lead_to(&ask(&mut m, 3, 65 + set..128), OLD);
            lead_to(&ask(&mut m, 3, (0..64).rev()), NEW);
        }
    }
}

#[test]
fn pages_filled_while_their_range_leaves_are_right_then_and_later() {
    for wait in [0, 1, 5, 17] {
        // Given a range that is leaving, and pages of it that are walked again meanwhile
        let mut m = Machine::linux_with(SETS, 1).without_lines();
        let root = cached(&mut m, 3, 7, 0..64);
        map(&mut m, root, 0..64, NEW);
        range(&mut m, 7, 0, 512);
        m.fence();
        m.h.advance(wait).expect("no hang");
        lead_to(&ask(&mut m, 3, (0..64).rev().step_by(5)), NEW);
        // When it has left, Then they can be cached, once each
        m.h.advance(LEAVES).expect("no hang");
        lead_to(&ask(&mut m, 3, 0..64), NEW);
        let before = m.pte_reads();
        lead_to(&ask(&mut m, 3, 0..64), NEW);
        assert_eq!(m.pte_reads(), before);
        // And another invalidation finds them, wherever they stand
        map(&mut m, root, 0..64, OLD);
        range(&mut m, 7, 0, 64);
        m.fence();
        lead_to(&ask(&mut m, 3, (0..64).rev()), OLD);
    }
}

#[test]
fn a_slot_that_changes_hands_while_a_range_leaves() {
    // Given a range of a device's pages that is leaving
    for wait in [0, 9] {
        let mut m = Machine::linux_with(SETS, 1);
        let root = cached(&mut m, 3, 7, 0..64);
        map(&mut m, root, 0..64, NEW);
        range(&mut m, 7, 0, 64);
        m.fence();
        m.h.advance(wait).expect("no hang");
        // When more devices come than the context cache holds, and go again
        for did in 10..19 {
            let other = m.sv39(did, 100 + u64::from(did));
            map(&mut m, other, 0..64, OLD + (u64::from(did) << 24));
        }
        for _ in 0..2 {
            for did in 10..19 {
                let answers = ask(&mut m, did, [63, 5, 62].into_iter());
                lead_to(&answers, OLD + (u64::from(did) << 24));
            }
        }
        // Then each has its own pages, and the first device its new ones
        lead_to(&ask(&mut m, 3, (0..64).rev()), NEW);
    }
}

#[test]
fn a_range_drops_larger_pages_that_it_touches() {
    // Pages of 64 KiB, 2 MiB and 1 GiB, at the beginning of an aligned GiB
    for (level, flags, size) in [(0, NAPOT, 16), (1, 0, 512), (2, 0, 512 * 512)] {
        let sizes = [1, 2, 16, 512, 1024, 512 * 1024];
        for (pages, waits) in sizes.into_iter().flat_map(|p| [(p, false), (p, true)]) {
            let mut m = Machine::linux(1);
            let root = m.sv39(3, 7);
            let put = |m: &mut Machine, pa: u64| {
                let ppn = (pa >> 12) | if flags == NAPOT { 8 } else { 0 };
                for n in 0..if level == 0 { size } else { 1 } {
                    m.map(root, IOVA + n * PAGE, ppn << 12, RWX | flags, level);
                }
            };
            // Given a page that is cached, and one of 4 KiB beside it that keeps the sets busy
            put(&mut m, OLD);
            lead_to(&ask(&mut m, 3, [0, 7].into_iter()), OLD);
            put(&mut m, NEW);
            // When a range touches it, at once or after it has waited for another
            if waits {
                range(&mut m, 8, 0, 64);
            }
            range(&mut m, 7, 0, pages);
            m.fence();
            // Then it is new
            let answers = ask(&mut m, 3, [7, 0].into_iter());
            lead_to(&answers, NEW);
        }
    }
}

#[test]
fn nothing_is_found_while_a_generation_that_came_round_is_cleared() {
    // Given a page in the set that is cleared last
    for times in 58..70 {
        let mut m = Machine::linux(1);
        let root = cached(&mut m, 3, 7, 63..64);
        map(&mut m, root, 63..64, NEW);
        // When its space is dropped about as often as there are generations, and it is asked for at once
        for _ in 0..times {
            m.queue(cmd::vma_pscid(7), 0);
        }
        m.fence();
        // Then it is new
        lead_to(&ask(&mut m, 3, 63..64), NEW);
    }
}
