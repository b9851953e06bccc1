//! The IOTLB of configuration `linux`: 256 pages of 4 KiB in 64 sets of four, beside 8 pages of any size. What it must
//! forget, what it must keep, and what one device can do to another.
//!
//! Reads of page tables are counted to see what was kept: a page that is cached costs none. So that one that is not costs
//! some, lines of page-table entries are off where reads are counted.

use portcullis_sim::core::Access;
use portcullis_tests::under_test::SETS;
use portcullis_tests::*;

/// First page.
const IOVA: u64 = 0x4000_0000;
/// A page.
const PAGE: u64 = 0x1000;
/// Where pages lead before ...
const OLD: u64 = 0x8000_0000;
/// ... and after a change.
const NEW: u64 = 0x9000_0000;
/// PTE bit G.
const GLOBAL: u64 = 1 << 5;
/// PTE bits of [`RWX`] without W.
const READ_ONLY: u64 = RWX & !0x84;

fn run(m: &mut Machine, (dw0, dw1): (u64, u64)) {
    m.queue(dw0, dw1);
    m.fence();
}

/// Maps page `n` of a device, and all up to `to`.
fn map(m: &mut Machine, root: u64, pages: std::ops::Range<u64>, pa: u64, flags: u64) {
    for n in pages {
        m.map(root, IOVA + n * PAGE, pa + n * PAGE, flags, 0);
    }
}

/// Reads page `n` of the device; the address must be one of `pa`. Returns whether the page was cached.
#[track_caller]
fn cached(m: &mut Machine, did: u32, n: u64, pa: u64) -> bool {
    let before = m.pte_reads();
    let reached = m.read(did, IOVA + n * PAGE);
    assert_eq!(reached, Some(pa + n * PAGE), "device {did}, page {n}");
    m.pte_reads() == before
}

/// How many of these pages are cached.
#[track_caller]
fn count(m: &mut Machine, did: u32, pages: impl Iterator<Item = u64>, pa: u64) -> usize {
    pages.filter(|n| cached(m, did, *n, pa)).count()
}

#[test]
fn two_hundred_and_fifty_six_pages_of_one_device_stay() {
    let mut m = Machine::linux_with(SETS, 2).without_lines();
    let root = m.sv39(3, 7);
    map(&mut m, root, 0..256, OLD, RWX);
    assert_eq!(count(&mut m, 3, 0..256, OLD), 0);
    assert_eq!(count(&mut m, 3, 0..256, OLD), 256);
}

#[test]
fn pages_whose_numbers_differ_in_one_bit_are_different_pages() {
    // Given pages that share a set, or nearly all of their number, each leading elsewhere
    let mut m = Machine::linux(2);
    let root = m.sv39(3, 7);
    let mut numbers = vec![0];
    numbers.extend((0..26).map(|bit| 1u64 << bit));
    for (k, n) in numbers.iter().enumerate() {
        m.map(root, n * PAGE, OLD + k as u64 * PAGE, RWX, 0);
    }
    // Then each leads there, however often it is asked, in any order
    for step in [1, 5, 11] {
        for i in 0..numbers.len() {
            let k = i * step % numbers.len();
            let reached = m.read(3, numbers[k] * PAGE);
            assert_eq!(
                reached,
                Some(OLD + k as u64 * PAGE),
                "page {:#x}",
                numbers[k]
            );
        }
    }
}

#[test]
fn inv_27_a_range_drops_its_pages_and_no_others() {
    const CACHED: u64 = 128;
    for pages in [1, 2, 8, 32, 64, 128, 512] {
        // Ranges at the beginning and at the end of what is cached
        for first in [0, CACHED.saturating_sub(pages)] {
            let mut m = Machine::linux_with(SETS, 1).without_lines();
            let root = m.sv39(3, 7);
            map(&mut m, root, 0..CACHED, OLD, RWX);
            count(&mut m, 3, 0..CACHED, OLD);
            // Given cached pages that have changed in memory
            map(&mut m, root, 0..CACHED, NEW, RWX);
            // When a range of them is invalidated
            run(&mut m, cmd::vma_range(7, IOVA + first * PAGE, pages));
            // Then those outside are still cached, and those inside are new
            let inside = |n: &u64| (first..first + pages).contains(n);
            let kept = (0..CACHED).filter(|n| !inside(n));
            let (want, what) = (kept.clone().count(), format!("{first}+{pages}"));
            assert_eq!(count(&mut m, 3, kept, OLD), want, "{what}");
            assert_eq!(
                count(&mut m, 3, (0..CACHED).filter(inside), NEW),
                0,
                "{what}"
            );
        }
    }
}

#[test]
fn inv_27_a_range_spares_other_spaces_and_globals() {
    // Given a space with a global page, and another space
    let mut m = Machine::linux_with(SETS, 1).without_lines();
    let (root, other) = (m.sv39(3, 7), m.sv39(4, 8));
    map(&mut m, root, 0..7, OLD, RWX);
    map(&mut m, root, 7..8, OLD, RWX | GLOBAL);
    map(&mut m, other, 0..8, NEW, RWX);
    count(&mut m, 3, 0..8, OLD);
    count(&mut m, 4, 0..8, NEW);
    // When all of the first is invalidated as a range, Then the global page and the other space stay
    run(&mut m, cmd::vma_range(7, IOVA, 512));
    assert_eq!(count(&mut m, 4, 0..8, NEW), 8);
    assert!(cached(&mut m, 3, 7, OLD));
    assert_eq!(count(&mut m, 3, 0..7, OLD), 0);
}

#[test]
fn inv_22_one_page_is_dropped_in_the_slot_of_its_context_and_no_other() {
    // Given as many spaces as contexts are cached, with a page in each, in sets of their own
    let spaces = u64::from(under_test::linux().context_entries);
    let mut m = Machine::linux(1).without_lines();
    let roots: Vec<u64> = (0..spaces).map(|n| m.sv39(n as u32, 7 + n)).collect();
    for (n, root) in (0..).zip(&roots) {
        map(&mut m, *root, n..n + 1, OLD, RWX);
        cached(&mut m, n as u32, n, OLD);
    }
    // When it changes in all of them and is invalidated in one after the other
    for (n, root) in (0..).zip(&roots) {
        map(&mut m, *root, n..n + 1, NEW, RWX);
    }
    for n in 0..spaces {
        run(&mut m, cmd::vma_range(7 + n, IOVA + n * PAGE, 1));
        // Then it is new there, and those that are still to come have it cached.
        assert!(!cached(&mut m, n as u32, n, NEW), "space {n}");
        for later in n + 1..spaces {
            assert!(cached(&mut m, later as u32, later, OLD), "space {later}");
        }
    }
}

#[test]
fn inv_28_the_whole_space_as_a_range() {
    for ones in [9, 18, 27, 36, 51] {
        let mut m = Machine::linux(1).without_lines();
        let root = m.sv39(3, 7);
        map(&mut m, root, 0..64, OLD, RWX);
        count(&mut m, 3, 0..64, OLD);
        map(&mut m, root, 0..64, NEW, RWX);
        let dw1 = (((IOVA >> 12) | ((1 << ones) - 1)) << 10) | cmd::RANGE;
        run(&mut m, (cmd::vma_pscid(7) | (1 << 10), dw1));
        assert_eq!(count(&mut m, 3, 0..64, NEW), 0, "{ones} ones");
    }
}

#[test]
fn a_range_of_512_pages_takes_less_than_512_cycles_and_the_latency() {
    for latency in [1, 10, 50] {
        let mut m = Machine::linux(latency);
        let (dw0, dw1) = cmd::vma_range(7, IOVA, 512);
        let before = m.h.cycle();
        m.command(dw0, dw1);
        let took = m.h.cycle() - before;
        assert!(took <= 512 + latency, "L={latency}: {took} cycles");
    }
}

#[test]
fn inv_03_a_space_that_is_dropped_64_times_stays_dropped() {
    for drop in [cmd::vma_pscid(7), cmd::VMA_ALL] {
        // Given a cached page that changes
        let mut m = Machine::linux(1).without_lines();
        let (root, other) = (m.sv39(3, 7), m.sv39(4, 8));
        map(&mut m, root, 0..2, OLD, RWX);
        map(&mut m, other, 0..1, OLD, RWX);
        for times in [1, 2, 31, 63, 64, 65, 128] {
            m.map(root, IOVA, OLD, RWX, 0);
            run(&mut m, (drop, 0));
            // In case this was the time that clears the sets
            m.h.advance(64).expect("quiet machine");
            cached(&mut m, 3, 0, OLD);
            assert!(cached(&mut m, 3, 0, OLD));
            m.map(root, IOVA, NEW, RWX, 0);
            // When its space is dropped any number of times, Then it is new
            for _ in 0..times {
                m.queue(drop, 0);
                if m.h.cycle().is_multiple_of(3) {
                    m.fence();
                }
            }
            m.fence();
            assert!(!cached(&mut m, 3, 0, NEW), "{times} times");
        }
    }
}

#[test]
fn inv_03_a_dropped_space_spares_the_others_and_globals() {
    let mut m = Machine::linux_with(SETS, 1).without_lines();
    let (root, other) = (m.sv39(3, 7), m.sv39(4, 8));
    map(&mut m, root, 0..30, OLD, RWX);
    map(&mut m, root, 30..32, OLD, RWX | GLOBAL);
    map(&mut m, other, 0..32, NEW, RWX);
    count(&mut m, 3, 0..32, OLD);
    count(&mut m, 4, 0..32, NEW);
    run(&mut m, (cmd::vma_pscid(7), 0));
    assert_eq!(count(&mut m, 4, 0..32, NEW), 32);
    assert_eq!(count(&mut m, 3, 30..32, OLD), 2);
    assert_eq!(count(&mut m, 3, 0..30, OLD), 0);
}

#[test]
fn a_context_that_loses_its_slot_takes_its_pages_along() {
    // Given more devices than the context cache holds, all with the same page number
    let mut m = Machine::linux(1);
    for did in 0..20 {
        let root = m.sv39(did, 7);
        map(&mut m, root, 0..4, OLD + (u64::from(did) << 20), RWX);
    }
    // Then each reaches its own pages, in any order
    for step in [1, 3, 7] {
        for i in 0..60 {
            let did = i * step % 20;
            for n in 0..4 {
                cached(&mut m, did, n, OLD + (u64::from(did) << 20));
            }
        }
    }
}

#[test]
fn a_device_with_many_pages_leaves_others_theirs() {
    for greedy_first in [false, true] {
        let mut m = Machine::linux_with(SETS, 1).without_lines();
        let (root, greedy) = (m.sv39(3, 7), m.sv39(4, 8));
        map(&mut m, root, 0..64, OLD, RWX);
        map(&mut m, greedy, 0..512, NEW, RWX);
        // Given a device with a page in each set, before or after another has used twice the IOTLB
        if greedy_first {
            count(&mut m, 4, 0..512, NEW);
        }
        count(&mut m, 3, 0..64, OLD);
        // When that one goes on
        count(&mut m, 4, 0..512, NEW);
        // Then the first has lost nothing
        assert_eq!(count(&mut m, 3, 0..64, OLD), 64, "{greedy_first}");
    }
}

#[test]
fn a_page_that_becomes_writable_is_cached_anew() {
    // Given a cached page that may not be written
    let mut m = Machine::linux(1).without_lines();
    let root = m.sv39(3, 7);
    map(&mut m, root, 0..1, OLD, READ_ONLY);
    cached(&mut m, 3, 0, OLD);
    // When it may, without invalidation (AD-11)
    map(&mut m, root, 0..1, OLD, RWX);
    let write = |m: &mut Machine| {
        let before = m.pte_reads();
        let answer = m.ask(request(3, Access::Write, IOVA));
        assert!(!answer.response.fault);
        m.pte_reads() == before
    };
    // Then the first write finds out, and the second one has it cached.
    assert!(!write(&mut m));
    assert!(write(&mut m));
}

#[test]
fn hw2_a_range_during_every_stage_of_a_walk() {
    let (latency, device, page) = (3, 3, 5);
    for delay in 0..4 * latency + 16 {
        for size in [1, 8, 64, 512] {
            // Given a walk in flight
            let mut m = Machine::linux(latency);
            let root = m.sv39(device, 7);
            map(&mut m, root, 0..8, OLD, RWX);
            cached(&mut m, device, 6, OLD);
            m.h.submit(request(device, Access::Read, IOVA + page * PAGE));
            m.h.advance(delay).expect("no hang");
            // When the page changes and a range around it is invalidated
            map(&mut m, root, 0..8, NEW, RWX);
            run(
                &mut m,
                cmd::vma_range(7, IOVA + page / size * size * PAGE, size),
            );
            let passed = m.h.cycle();
            m.h.finish_requests().expect("no hang");
            // Then the old page is not granted after the fence, nor to anybody later
            let first = m.h.take_finished().expect("one answer");
            if first.response.pa != NEW + page * PAGE {
                assert_eq!(first.response.pa, OLD + page * PAGE);
                assert!(first.answered < passed, "delay={delay} size={size}");
            }
            let reached = m.read(device, IOVA + page * PAGE);
            assert_eq!(
                reached,
                Some(NEW + page * PAGE),
                "delay={delay} size={size}"
            );
        }
    }
}

#[test]
fn requests_before_a_range_are_answered_once_and_those_behind_it_see_its_effect() {
    for delay in 0..80 {
        // Given a stream of hits
        let mut m = Machine::linux(1);
        let root = m.sv39(3, 7);
        map(&mut m, root, 0..4, OLD, RWX);
        count(&mut m, 3, 0..4, OLD);
        let (dw0, dw1) = cmd::vma_range(7, IOVA, 512);
        m.queue(dw0, dw1);
        m.queue(0x3002, 0);
        map(&mut m, root, 0..4, NEW, RWX);
        m.doorbell();
        // When a range is invalidated in the midst of it
        for n in 0..4 + delay / 8 {
            let mut r = request(3, Access::Read, IOVA + n % 4 * PAGE);
            r.tag = n as u8;
            m.h.submit(r);
            m.h.advance(1 + delay % 8).expect("no hang");
        }
        m.h.finish_requests().expect("no hang");
        m.wait(reg::CQH, u64::MAX, 2);
        // Then each is answered once, with the old page or the new one
        let mut seen = 0;
        while let Some(f) = m.h.take_finished() {
            let n = (f.request.iova - IOVA) / PAGE;
            let pa = f.response.pa - n * PAGE;
            assert!(pa == OLD || pa == NEW, "delay={delay}: {pa:#x}");
            seen += 1;
        }
        assert_eq!(seen, 4 + delay / 8);
        for n in 0..4 {
            cached(&mut m, 3, n, NEW);
        }
    }
}
