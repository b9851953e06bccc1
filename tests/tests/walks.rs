//! Several walks in flight: what overlaps, what waits, and what must not be mixed up.

use portcullis_regmap::config::{Config, LINUX, TINY};
use portcullis_sim::core::{Access, Purpose};
use portcullis_sim::harness::Finished;
use portcullis_sim::memory::Timing;
use portcullis_tests::*;

const PAGE: u64 = 0x4000_0000;
const FRAME: u64 = 0x8_0000_0000;

fn machine(config: &'static Config, latency: u64, jitter: u64) -> Machine {
    let timing = Timing {
        latency,
        jitter,
        seed: 1,
        ..Timing::default()
    };
    let mut m = Machine::with_config(config, timing);
    m.start();
    m
}

/// A device with `pages` pages from [`PAGE`] on, whose frames tell the device.
fn device(m: &mut Machine, did: u32, pages: u64) -> u64 {
    let root = m.sv39(did, 100 + u64::from(did));
    for n in 0..pages {
        m.map(root, PAGE + 0x1000 * n, frame(did) + 0x1000 * n, RWX, 0);
    }
    root
}

fn frame(did: u32) -> u64 {
    FRAME + (u64::from(did) << 28)
}

fn answers(m: &mut Machine) -> Vec<Finished> {
    m.h.finish_requests().expect("no hang");
    let mut all: Vec<Finished> = std::iter::from_fn(|| m.h.take_finished()).collect();
    all.sort_by_key(|f| f.id);
    all
}

/// Cycles from the first request to the last answer of reads of `pages` pages that are not cached, each with a read.
fn misses(config: &'static Config, latency: u64, pages: u64) -> u64 {
    let mut m = machine(config, latency, 0).without_lines();
    device(&mut m, 1, pages + 1);
    assert!(m.read(1, PAGE + 0x1000 * pages).is_some());
    for n in 0..pages {
        m.h.submit(request(1, Access::Read, PAGE + 0x1000 * n));
    }
    let all = answers(&mut m);
    for (n, f) in all.iter().enumerate() {
        assert_eq!(f.response.pa, frame(1) + 0x1000 * n as u64);
    }
    let last = all.iter().map(|f| f.answered).max();
    last.expect("answers") - all[0].issued
}

#[test]
fn four_walks_of_linux_take_hardly_longer_than_one() {
    for latency in [10, 50] {
        let one = misses(&LINUX, latency, 1);
        let four = misses(&LINUX, latency, 4);
        assert!(four <= one + 12, "L={latency}: one {one}, four {four}");
        let tiny = misses(&TINY, latency, 4);
        assert!(tiny >= 4 * (one - 6), "L={latency}: tiny {tiny}");
    }
}

#[test]
fn a_hit_is_not_delayed_by_the_walks_of_another_device() {
    // Given a page of device 2 that is cached
    let mut m = machine(&LINUX, 30, 0).without_lines();
    device(&mut m, 1, 8);
    device(&mut m, 2, 1);
    assert_eq!(m.read(2, PAGE), Some(frame(2)));
    assert_eq!(m.read(1, PAGE), Some(frame(1)));
    // When device 1 has four walks in flight
    for n in 1..5 {
        m.h.submit(request(1, Access::Read, PAGE + 0x1000 * n));
    }
    m.h.advance(8).expect("no hang");
    m.h.submit(request(2, Access::Read, PAGE));
    // Then device 2 has its answer two cycles after the request
    let all = answers(&mut m);
    assert_eq!(all[4].latency(), 2);
    assert!(all[4].answered < all[0].answered);
}

#[test]
fn a_storm_of_misses_does_not_starve_another_device() {
    for config in [&TINY, &LINUX] {
        // Given device 1, which asks for a new page in every cycle
        let latency = 10;
        let mut m = machine(config, latency, 0);
        device(&mut m, 1, 300);
        device(&mut m, 2, 1);
        for n in 0..150 {
            m.h.submit(request(1, Access::Read, PAGE + 0x1000 * n));
        }
        // When device 2 asks once
        m.h.submit(request(2, Access::Read, PAGE));
        for n in 150..300 {
            m.h.submit(request(1, Access::Read, PAGE + 0x1000 * n));
        }
        // Then it waits for what was there before it, and no longer
        let all = answers(&mut m);
        let walks = u64::from(config.walkers);
        let before = u64::from(config.miss_queue) + walks + 2;
        let bound = (before / walks + 1) * (4 * latency + 20);
        assert_eq!(all[150].response.pa, frame(2));
        let waited = all[150].latency();
        assert!(waited <= bound, "{}: {waited} > {bound}", config.name);
    }
}

#[test]
fn requests_of_a_device_that_is_not_known_fetch_its_context_once() {
    for apart in 0..12 {
        // Given a device without anything cached
        let mut m = machine(&LINUX, 10, 0);
        device(&mut m, 1, 8);
        let before = m.h.counters().traffic.reads(Purpose::Ddt);
        // When requests for different pages follow each other
        for n in 0..6 {
            m.h.submit(request(1, Access::Read, PAGE + 0x1000 * n));
            m.h.advance(apart).expect("no hang");
        }
        answers(&mut m);
        // Then its context is read once
        let reads = m.h.counters().traffic.reads(Purpose::Ddt) - before;
        assert_eq!(reads, 1, "{apart} cycles apart");
    }
}

#[test]
fn faults_of_a_device_are_recorded_in_the_order_of_its_requests() {
    for (seed, times) in (0..8).flat_map(|seed| [(seed, 1), (seed, 2)]) {
        // Given a memory that answers in any order
        let timing = Timing {
            latency: 3,
            jitter: 40,
            seed,
            ..Timing::default()
        };
        let mut m = Machine::with_config(&LINUX, timing);
        m.start();
        device(&mut m, 1, 1);
        assert!(m.read(1, PAGE).is_some());
        // When many requests fault, each of a page of its own or in pairs
        let page = |n: u64| PAGE + 0x1000 * (1 + n / times);
        let pages: Vec<u64> = (0..12).map(page).collect();
        for page in &pages {
            m.h.submit(request(1, Access::Read, *page));
        }
        assert!(answers(&mut m).iter().all(|f| f.response.fault));
        // Then their records lie in the queue as the requests came
        let seen: Vec<u64> = m.faults().iter().map(|r| r.dw[2]).collect();
        assert_eq!(seen, pages, "seed {seed}, {times} of each page");
    }
}

#[test]
fn a_walk_whose_context_is_evicted_fills_nothing() {
    let contexts = u32::from(LINUX.context_entries);
    for delay in 0..40 {
        // Given as many devices as there are contexts: the next one takes the place of the first
        let mut m = machine(&LINUX, 10, 0);
        for did in 1..contexts + 2 {
            device(&mut m, did, 3);
        }
        for did in 1..=contexts {
            assert_eq!(m.read(did, PAGE), Some(frame(did)));
        }
        // When that happens at any moment of a walk for the first
        m.h.submit(request(1, Access::Read, PAGE + 0x1000));
        m.h.advance(delay).expect("no hang");
        m.h.submit(request(contexts + 1, Access::Read, PAGE));
        answers(&mut m);
        // Then the page found for the first device is not the new one's
        let page = m.read(contexts + 1, PAGE + 0x1000);
        assert_eq!(page, Some(frame(contexts + 1) + 0x1000), "delay {delay}");
        assert_eq!(m.read(1, PAGE + 0x1000), Some(frame(1) + 0x1000));
    }
}

#[test]
fn a_walk_that_begins_while_its_context_is_evicted_fills_nothing() {
    let contexts = u32::from(LINUX.context_entries);
    for delay in 0..40 {
        // Given as many devices as there are contexts
        let mut m = machine(&LINUX, 10, 0);
        for did in 1..contexts + 2 {
            device(&mut m, did, 3);
        }
        for did in 1..=contexts {
            assert_eq!(m.read(did, PAGE), Some(frame(did)));
        }
        // When a new one takes the place of the first just as that asks
        m.h.submit(request(contexts + 1, Access::Read, PAGE));
        m.h.advance(delay).expect("no hang");
        m.h.submit(request(1, Access::Read, PAGE + 0x1000));
        answers(&mut m);
        // Then the page found for the first device is not the new one's
        let page = m.read(contexts + 1, PAGE + 0x1000);
        assert_eq!(page, Some(frame(contexts + 1) + 0x1000), "delay {delay}");
        assert_eq!(m.read(1, PAGE + 0x1000), Some(frame(1) + 0x1000));
    }
}

#[test]
fn more_devices_than_contexts_get_their_own_pages_each() {
    for seed in 1..5u64 {
        // Given twelve devices that use the same addresses
        let timing = Timing {
            latency: 1 + seed,
            jitter: 3 * seed,
            seed,
            ..Timing::default()
        };
        let mut m = Machine::with_config(&LINUX, timing);
        m.start();
        for did in 1..13 {
            device(&mut m, did, 4);
        }
        // When they ask in any order, without a pause
        let mut random = seed;
        for _ in 0..400 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let (did, n) = (1 + (random >> 33) as u32 % 12, random >> 50 & 3);
            m.h.submit(request(did, Access::Read, PAGE + 0x1000 * n));
        }
        // Then each gets its own page
        for f in answers(&mut m) {
            let own = frame(f.request.device_id) + (f.request.iova - PAGE);
            assert_eq!(f.response.pa, own, "seed {seed}: {f:x?}");
        }
    }
}

#[test]
fn a_storm_of_misses_does_not_hold_up_the_command_queue() {
    // Given a memory that takes a read every 40 cycles, and walks of five levels of which one always asks
    let interval = 40;
    let timing = Timing {
        latency: 1,
        interval,
        ..Timing::default()
    };
    let mut m = Machine::with_config(&LINUX, timing);
    m.start();
    for did in 1..=60 {
        five_levels(&mut m, did);
        m.h.submit(request(did, Access::Read, PAGE));
    }
    m.h.advance(200).expect("no hang");
    for n in 0..20 {
        // When software rings for a command
        let before = m.h.cycle();
        m.command(cmd::vma_pscid(5), 0);
        // Then it is fetched behind the read that is waiting, and one more
        let took = m.h.cycle() - before;
        assert!(took <= 3 * interval + 20, "command {n}: {took} cycles");
    }
    assert!(m.h.outstanding() > 0);
    answers(&mut m);
}

/// A device with one page in a table of five levels.
fn five_levels(m: &mut Machine, did: u32) {
    let mut table = m.page();
    let sv57 = 10 << 60 | table >> 12;
    m.dc(did, [TC_V, 0, u64::from(did) << 12, sv57]);
    for level in (1..5).rev() {
        let next = m.page();
        let at = table + (PAGE >> (12 + 9 * level) & 0x1ff) * 8;
        m.h.memory_mut().store64(at, next >> 12 << 10 | 1);
        table = next;
    }
    let leaf = table + (PAGE >> 12 & 0x1ff) * 8;
    m.h.memory_mut().store64(leaf, frame(did) >> 12 << 10 | RWX);
}
