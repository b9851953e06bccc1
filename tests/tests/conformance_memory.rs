//! Caching and memory rules (MEM).

use portcullis_regmap::config::Config;
use portcullis_sim::core::{Access, Purpose};
use portcullis_tests::conformance::*;
use portcullis_tests::*;

conformance!(
    mem_02_an_invalid_context_is_not_kept,
    mem_02_an_invalid_entry_of_any_level_is_not_kept,
    mem_02_a_refused_entry_is_not_kept,
    mem_03_translations_are_tagged_by_space_and_address,
    mem_03_contexts_are_tagged_by_the_whole_device_id,
    mem_04_a_changed_page_is_old_or_new,
    mem_04_a_changed_context_is_old_or_new,
    mem_05_permissions_are_checked_on_hits,
    mem_05_the_kind_of_request_is_checked_on_hits,
    mem_06_a_whole_entry_changes_at_once,
    mem_07_a_promoted_page_uses_either_entry,
    mem_07_a_demoted_page_uses_either_entry,
    mem_07_overlapping_entries_anywhere_in_the_cache_are_not_mixed,
    mem_07_a_napot_page_over_small_ones_uses_either_entry,
    mem_09_everything_in_the_first_and_last_pages_of_memory_works,
    mem_09_everything_in_one_region_works,
    ; cycles:
    mem_06_an_entry_that_changes_during_the_walk_is_read_whole,
    mem_06_a_command_that_changes_after_the_doorbell_is_not_mixed,
    mem_07_two_requests_for_a_page_make_one_walk,
);

fn mem_02_an_invalid_context_is_not_kept(m: &mut Rig) {
    m.start();
    let root = m.page();
    m.map(root, PAGE, FRAME, RWX, 0);
    for did in 0..10 {
        // Given a context that was found invalid, whatever it held
        let rest = [0, 0, 0, SV39 | (root >> 12)];
        m.dc(did, rest);
        m.refuses(request(did, Access::Read, PAGE), 258);
        m.refuses(request(did, Access::Write, PAGE), 258);
        // When it becomes valid, without any invalidation, Then the next request uses it
        m.dc(did, [TC_V, 0, 0, SV39 | (root >> 12)]);
        m.grants(request(did, Access::Read, PAGE), FRAME);
    }
}

fn mem_02_an_invalid_entry_of_any_level_is_not_kept(m: &mut Rig) {
    m.start();
    let root = m.device_with_page();
    let slots = [2, 1, 0].map(|l| m.pte(root, PAGE, l));
    let good = slots.map(|slot| m.load(slot));
    for (slot, good) in slots.into_iter().zip(good) {
        // Given entries with V=0, empty or with everything else in place, that a walk has found
        for bad in [0, good & !pte::V] {
            m.store(slot, bad);
            m.invalidate(Cmd::VMA);
            m.refuses(request(DEV, Access::Read, PAGE), 13);
            m.refuses(request(DEV, Access::Write, PAGE), 15);
            // When they become valid, without any invalidation, Then the next request uses them
            m.store(slot, good);
            m.grants(request(DEV, Access::Read, PAGE), FRAME);
        }
    }
}

fn mem_02_a_refused_entry_is_not_kept(m: &mut Rig) {
    m.start();
    let root = m.device_with_page();
    // Given leaves that a walk has found unusable though V=1
    for flags in [
        RWX & !pte::A,
        RWX & !pte::U,
        RWX | (1 << 60),
        RWX & !pte::R,
        RWX & !pte::D,
    ] {
        m.map(root, PAGE, FRAME, flags, 0);
        m.invalidate(Cmd::VMA);
        m.refuses(request(DEV, Access::Write, PAGE), 15);
        // When they become good, Then a store walks again and passes (AD-11 asks it of D; nothing else was ever granted)
        m.map(root, PAGE, FRAME, RWX, 0);
        m.invalidate(Cmd::VMA.at(PAGE));
        m.grants(request(DEV, Access::Write, PAGE), FRAME);
    }
}

fn mem_03_translations_are_tagged_by_space_and_address(m: &mut Rig) {
    m.start();
    // Given four devices in spaces of their own that map the same pages elsewhere
    let pages = [PAGE, PAGE + 0x1000, 0x8020_0000, !0 << 38];
    let mut cases = vec![];
    for did in 0..4 {
        let root = m.sv39(did, 1 + u64::from(did));
        for (i, iova) in (0..).zip(pages) {
            let pa = FRAME + (u64::from(did) << 24) + i * 0x1000;
            m.map(root, iova, pa, RWX, 0);
            cases.push((request(did, Access::Read, iova + 0x10), pa + 0x10));
        }
    }
    // When they are used again and again, in different orders, Then each reaches its own
    m.grants_each(&cases);
    cases.reverse();
    m.grants_each(&cases);
    for i in 0..8 {
        m.grants_each(&[cases[i], cases[i + 8], cases[i], cases[15 - i]]);
    }
    // And what differs only above the address space is not the same page
    m.refuses(request(0, Access::Read, PAGE | (1 << 39)), 13);
}

fn mem_03_contexts_are_tagged_by_the_whole_device_id(m: &mut Rig) {
    m.start();
    // Given devices whose ids differ in one bit each, every other one with a valid context
    for bit in 0..7 {
        let (valid, invalid) = (1 << bit, (1 << bit) ^ (1 << ((bit + 1) % 7)));
        m.dc(valid, [TC_V, 0, 0, 0]);
        m.dc(invalid, [0; 4]);
        m.invalidate(Cmd::INVAL_DDT);
        // When one is cached, Then the other does not hit it
        m.grants(request(valid, Access::Read, PAGE), PAGE);
        m.refuses(request(invalid, Access::Read, PAGE), 258);
        m.refuses(request(valid | 0x80, Access::Read, PAGE), 260);
        m.refuses(request(valid | 0x80_0000, Access::Read, PAGE), 260);
        m.grants(request(valid, Access::Read, PAGE), PAGE);
    }
}

fn mem_04_a_changed_page_is_old_or_new(m: &mut Rig) {
    m.start();
    let root = m.device_with_page();
    let other = m.page();
    let l1 = m.pte(root, PAGE, 1);
    let old_table = m.load(l1);
    // Given a cached page, When software changes its leaf or a table above it and does not invalidate
    m.grants(request(DEV, Access::Read, PAGE), FRAME);
    m.map(root, PAGE, OTHER, RWX, 0);
    for _ in 0..6 {
        // Then each access uses the old or the new value, and nothing else
        let reached = m.read(DEV, PAGE);
        assert!(
            [Some(FRAME), Some(OTHER)].contains(&reached),
            "{reached:x?}"
        );
    }
    m.store(other + 24, leaf(0xc000_0000, RWX));
    m.store(l1, leaf(other, TABLE));
    for _ in 0..6 {
        let reached = m.read(DEV, PAGE);
        let allowed = [Some(FRAME), Some(OTHER), Some(0xc000_0000)];
        assert!(allowed.contains(&reached), "{reached:x?}");
    }
    // When it does, Then the new one
    m.invalidate(Cmd::VMA);
    m.grants(request(DEV, Access::Read, PAGE), 0xc000_0000);
    m.store(l1, old_table);
    m.invalidate(Cmd::VMA);
    m.grants(request(DEV, Access::Read, PAGE), OTHER);
    m.no_faults();
}

fn mem_04_a_changed_context_is_old_or_new(m: &mut Rig) {
    m.start();
    let roots = [m.page(), m.page()];
    m.map(roots[0], PAGE, FRAME, RWX, 0);
    m.map(roots[1], PAGE, OTHER, RWX, 0);
    // Given a cached context, When software changes it and does not invalidate
    m.dc(DEV, [TC_V, 0, 1 << 12, SV39 | (roots[0] >> 12)]);
    m.grants(request(DEV, Access::Read, PAGE), FRAME);
    m.dc(DEV, [TC_V, 0, 2 << 12, SV39 | (roots[1] >> 12)]);
    for _ in 0..6 {
        let reached = m.read(DEV, PAGE);
        assert!(
            [Some(FRAME), Some(OTHER)].contains(&reached),
            "{reached:x?}"
        );
    }
    m.dc(DEV, [0; 4]);
    for _ in 0..6 {
        let reached = m.read(DEV, PAGE);
        assert!(
            [Some(FRAME), Some(OTHER), None].contains(&reached),
            "{reached:x?}"
        );
    }
    // When it does, Then the new one
    m.faults();
    m.invalidate(Cmd::INVAL_DDT);
    m.refuses(request(DEV, Access::Read, PAGE), 258);
}

fn mem_05_permissions_are_checked_on_hits(m: &mut Rig) {
    m.start();
    let root = m.sv39(DEV, PSCID);
    let base = pte::V | pte::U | pte::A | pte::D;
    let kinds = [
        (base | pte::R, Access::Read),
        (base | pte::X, Access::Exec),
        (base | pte::R | pte::W, Access::Write),
    ];
    for (i, (flags, first)) in (0..).zip(kinds) {
        let iova = PAGE + i * 0x1000;
        m.map(root, iova, FRAME, flags, 0);
        // Given a page that an allowed access has brought into the cache
        m.grants(request(DEV, first, iova), FRAME);
        for _ in 0..2 {
            for access in ACCESSES {
                let bit = [pte::R, pte::W, pte::X][access as usize];
                // Then others are allowed as its leaf says, and by nothing else
                if flags & bit != 0 {
                    m.grants(request(DEV, access, iova), FRAME);
                } else {
                    m.refuses(request(DEV, access, iova), page_fault(access));
                }
                m.grants(request(DEV, first, iova), FRAME);
            }
        }
    }
}

fn mem_05_the_kind_of_request_is_checked_on_hits(m: &mut Rig) {
    m.start();
    m.device_with_page();
    for access in ACCESSES {
        // Given a page in the cache
        m.grants(request(DEV, access, PAGE), FRAME);
        let r = request(DEV, access, PAGE);
        // Then a process_id, another kind of request, another device and a wide address are refused all the same
        m.refuses(with_process(r, 0, true), 260);
        m.refuses(as_kind(r, KINDS[1]), 260);
        m.refuses(as_kind(r, KINDS[2]), 260);
        m.refuses(request(DEV + 1, access, PAGE), 258);
        m.refuses(request(DEV | 0x80, access, PAGE), 260);
        m.refuses(request(DEV, access, PAGE | (1 << 40)), page_fault(access));
    }
}

fn mem_06_a_whole_entry_changes_at_once(m: &mut Rig) {
    m.start();
    let root = m.sv39(DEV, PSCID);
    // Given a leaf that one 8-byte store changes in as many bits as possible
    let values = [0x55_5555_5555_5000u64, 0xaa_aaaa_aaaa_a000];
    for round in 0..6 {
        m.map(root, PAGE, values[round % 2], RWX, 0);
        m.invalidate(Cmd::VMA);
        m.grants(
            request(DEV, Access::Read, PAGE + 0xfff),
            values[round % 2] + 0xfff,
        );
    }
}

/// One word changes while a walk reads it, at every distance: the answer is one of its values.
fn mem_06_an_entry_that_changes_during_the_walk_is_read_whole(config: &'static Config) {
    for latency in [1, 7] {
        let mut m = Rig::rtl(config, latency);
        m.start();
        let root = m.sv39(DEV, PSCID);
        let frames = [0x55_5555_5555_5000u64, 0xaa_aaaa_aaaa_a000];
        let slot = m.map(root, PAGE, frames[0], RWX, 0);
        let l1 = m.pte(root, PAGE, 1);
        let tables = [m.load(l1), leaf(m.page(), TABLE)];
        m.store((tables[1] >> 10 << 12) + 24, leaf(OTHER, RWX));
        for delay in 0..40 {
            // Given a cold walk, When its leaf and the table above it change `delay` cycles after it began
            let old = delay as usize % 2;
            m.store(slot, leaf(frames[old], RWX));
            m.store(l1, tables[0]);
            m.invalidate(Cmd::VMA);
            m.dut.h.submit(request(DEV, Access::Read, PAGE));
            m.dut.step(delay);
            m.store(slot, leaf(frames[1 - old], RWX));
            m.store(l1, tables[1]);
            m.dut.h.finish_requests().expect("an answer");
            let answer = m.dut.h.take_finished().expect("one").response;
            // Then the answer is what some of the values lead to, whole
            let allowed = [frames[0], frames[1], OTHER];
            assert!(
                !answer.fault && allowed.contains(&answer.pa),
                "delay {delay}: {answer:x?}"
            );
        }
        m.no_faults();
    }
}

fn mem_06_a_command_that_changes_after_the_doorbell_is_not_mixed(config: &'static Config) {
    // Given a command of which both doublewords matter, and software that breaks the rules by changing it too late
    let mut m = Rig::rtl(config, 3);
    m.start();
    for delay in 0..16u64 {
        m.store(SCRATCH, 0);
        m.store(SCRATCH + 8, 0);
        let index = m.push(Cmd::FENCE.store(SCRATCH, 1));
        m.ring();
        m.dut.step(delay);
        m.put(index, Cmd::FENCE.store(SCRATCH + 8, 2));
        m.finish();
        // Then it was the old command or the new one: this machine fetches both doublewords at once
        let stored = (m.load(SCRATCH), m.load(SCRATCH + 8));
        assert!(
            [(1, 0), (0, 2)].contains(&stored),
            "delay {delay}: {stored:?}"
        );
    }
}

/// Hardware that keeps pointers to tables may use an old one until NL drops it (INV-24). Leaves of other pages may stay.
fn forget_pointers(m: &mut Rig, iova: u64) {
    let nl = m.pick(Each {
        tiny: 0,
        linux: 1 << 34,
    });
    if nl != 0 {
        m.invalidate(Cmd::VMA.at(iova).with(nl));
    }
}

fn mem_07_a_promoted_page_uses_either_entry(m: &mut Rig) {
    m.start();
    let root = m.sv39(DEV, PSCID);
    let region = 0x4000_0000;
    // Given small pages of a region in the cache, which software turns into one superpage that leads elsewhere
    for i in [0, 3, 5] {
        m.map(root, region + i * 0x1000, 0x8000_0000 + i * 0x1000, RWX, 0);
        m.grants(
            request(DEV, Access::Read, region + i * 0x1000),
            0x8000_0000 + i * 0x1000,
        );
    }
    m.map(root, region, 0xc540_0000, RWX, 1);
    forget_pointers(m, region + 0x7000);
    for round in 0..3 {
        for i in [7, 3, 0, 5, 9] {
            // Then each access uses one entry or the other: never a fault, never a mixture
            let reached = m.read(DEV, region + i * 0x1000 + 0x20);
            let offset = i * 0x1000 + 0x20;
            let allowed = [Some(0x8000_0000 + offset), Some(0xc540_0000 + offset)];
            assert!(allowed.contains(&reached), "round {round}: {reached:x?}");
            if i > 5 {
                assert_eq!(reached, allowed[1], "this page has only the superpage");
            }
        }
    }
    // And only the superpage once the region has been invalidated
    m.invalidate(Cmd::VMA.pscid(PSCID));
    for i in [0, 3, 5, 7] {
        m.grants(
            request(DEV, Access::Read, region + i * 0x1000),
            0xc540_0000 + i * 0x1000,
        );
    }
    m.no_faults();
}

fn mem_07_a_demoted_page_uses_either_entry(m: &mut Rig) {
    m.start();
    let root = m.sv39(DEV, PSCID);
    let region = 0x4000_0000;
    // Given a superpage in the cache, of which software makes small pages that lead elsewhere
    let slot = m.map(root, region, 0xc540_0000, RWX, 1);
    m.grants(request(DEV, Access::Read, region), 0xc540_0000);
    let table = m.page();
    for i in 0..512 {
        m.store(table + 8 * i, leaf(0x8000_0000 + i * 0x1000, RWX));
    }
    m.store(slot, leaf(table, TABLE));
    // Then each access uses one or the other
    for i in [0, 1, 511, 1, 256] {
        let reached = m.read(DEV, region + i * 0x1000);
        let allowed = [0x8000_0000, 0xc540_0000].map(|base| Some(base + i * 0x1000));
        assert!(allowed.contains(&reached), "{reached:x?}");
    }
    // And only the small ones once any address of it has been invalidated
    m.invalidate(Cmd::VMA.at(region + 0x7_7000));
    for i in [0, 1, 511, 1, 256] {
        m.grants(
            request(DEV, Access::Read, region + i * 0x1000),
            0x8000_0000 + i * 0x1000,
        );
    }
    m.no_faults();
}

fn mem_07_overlapping_entries_anywhere_in_the_cache_are_not_mixed(m: &mut Rig) {
    m.start();
    let root = m.sv39(DEV, PSCID);
    let region = 0x4000_0000;
    let other = 0x8000_0000;
    for i in 0..16 {
        m.map(root, other + i * 0x1000, 0x1_0000_0000 + i * 0x1000, RWX, 0);
    }
    for before in 0..8 {
        for between in 0..4 {
            // Given some pages, then a small page of the region, then some more in the cache
            m.invalidate(Cmd::VMA);
            let small = m.pte(root, region, 1);
            m.store(small, 0);
            m.map(root, region + 0x3000, 0x8000_0000, RWX, 0);
            for i in 0..before {
                m.read(DEV, other + i * 0x1000);
            }
            m.grants(request(DEV, Access::Read, region + 0x3000), 0x8000_0000);
            for i in 0..between {
                m.read(DEV, other + (8 + i) * 0x1000);
            }
            // When the region becomes a superpage, which another address brings in
            m.map(root, region, 0xc540_0000, RWX, 1);
            forget_pointers(m, region + 0x7000);
            m.grants(request(DEV, Access::Read, region + 0x7000), 0xc540_7000);
            // Then each access to the small page uses one entry or the other, whole
            for access in ACCESSES {
                let reached = m.reach(DEV, access, region + 0x3010);
                assert!(
                    [Some(0x8000_0010), Some(0xc540_3010)].contains(&reached),
                    "{before} before, {between} between: {reached:x?}"
                );
            }
            // And the pages around it are what they were
            for i in 0..before {
                m.grants(
                    request(DEV, Access::Read, other + i * 0x1000),
                    0x1_0000_0000 + i * 0x1000,
                );
            }
        }
    }
    m.no_faults();
}

fn mem_07_a_napot_page_over_small_ones_uses_either_entry(m: &mut Rig) {
    m.start();
    let root = m.sv39(DEV, PSCID);
    let region = 0x4001_0000;
    for order in [[2, 5, 9], [9, 2, 5], [5, 9, 2]] {
        // Given three small pages in the cache, which software turns into a 64 KiB page that leads elsewhere
        m.invalidate(Cmd::VMA);
        for i in 0..16 {
            m.map(root, region + i * 0x1000, 0x8000_0000 + i * 0x1000, RWX, 0);
        }
        for i in order {
            m.grants(
                request(DEV, Access::Read, region + i * 0x1000),
                0x8000_0000 + i * 0x1000,
            );
        }
        for i in 0..16 {
            m.map(root, region + i * 0x1000, 0x9004_8000, RWX | pte::N, 0);
        }
        // Then each access uses one or the other
        for i in [12, 2, 5, 9, 13, 5] {
            let reached = m.read(DEV, region + i * 0x1000);
            let allowed = [0x8000_0000, 0x9004_0000].map(|base| Some(base + i * 0x1000));
            assert!(allowed.contains(&reached), "page {i}: {reached:x?}");
        }
    }
    m.no_faults();
}

/// Queues, directory and tables at these pages (command queue, fault queue, directory, three tables).
fn works_at(m: &mut Rig, pages: [u64; 6]) {
    let [cq, fq, ddt, root, middle, last] = pages;
    m.command_queue_at(cq, 4);
    m.fault_queue_at(fq, 3);
    m.dc_at(ddt + 7 * 32, [TC_V, 0, PSCID << 12, SV39 | (root >> 12)]);
    m.store(root + 0x40, leaf(middle, TABLE));
    m.store(middle + 0x48, leaf(last, TABLE));
    m.store(last + 0x50, leaf(FRAME, RWX));
    m.ddtp_at(ddt, 2);
    let iova = (8 << 30) | (9 << 21) | (10 << 12);
    // Then translations, records and commands work
    m.grants(request(7, Access::Write, iova + 4), FRAME + 4);
    m.refuses(request(7, Access::Read, iova + 0x1000), 13);
    m.refuses(request(6, Access::Read, iova), 258);
    m.store(last + 0x50, leaf(OTHER, RWX));
    m.invalidate(Cmd::VMA.at(iova));
    m.grants(request(7, Access::Write, iova), OTHER);
    m.run(Cmd::FENCE.store(last + 0xff8, 0x55));
    assert_eq!(m.load(last + 0xff8), 0x55);
    assert!(m.dut.reads(Purpose::Command) > 0);
}

fn mem_09_everything_in_the_first_and_last_pages_of_memory_works(m: &mut Rig) {
    works_at(m, [0x0, 0x1000, 0x2000, 0x3000, 0x4000, 0x5000]);
    m.reset();
    let top = 0xffff_f000;
    works_at(
        m,
        [
            top,
            top - 0x1000,
            top - 0x2000,
            top - 0x3000,
            top - 0x4000,
            top - 0x5000,
        ],
    );
}

fn mem_09_everything_in_one_region_works(m: &mut Rig) {
    // Pages close together, in an order that makes each a neighbour of another kind
    let at = |n: u64| 0x8765_0000 + n * 0x1000;
    works_at(m, [at(3), at(1), at(5), at(0), at(4), at(2)]);
    // And with the tables far from each other
    m.reset();
    works_at(
        m,
        [
            0x1000_0000,
            0xf000_0000,
            0x7fff_f000,
            0x8000_0000,
            0x0fff_f000,
            0xefff_f000,
        ],
    );
}

/// What this machine promises beyond the row: a page is never walked into two entries, however requests for it fall.
fn mem_07_two_requests_for_a_page_make_one_walk(config: &'static Config) {
    for latency in [1, 10] {
        let mut m = Rig::rtl(config, latency);
        m.start();
        m.device_with_page();
        for delay in 0..50 {
            // Given nothing cached
            m.invalidate(Cmd::INVAL_DDT);
            m.invalidate(Cmd::VMA);
            let reads = |m: &Rig<Rtl>| [Purpose::Ddt, Purpose::Pte].map(|p| m.dut.reads(p));
            let before = reads(&m);
            // When two requests for one page are `delay` cycles apart
            m.dut.h.submit(request(DEV, Access::Read, PAGE));
            m.dut.step(delay);
            m.dut.h.submit(request(DEV, Access::Write, PAGE + 8));
            m.dut.h.finish_requests().expect("answers");
            while let Some(f) = m.dut.h.take_finished() {
                assert_eq!(f.response.pa, FRAME + (f.request.iova & 0xfff));
            }
            // Then the context was read once and each level once
            let after = reads(&m);
            assert_eq!(
                (after[0] - before[0], after[1] - before[1]),
                (1, 3),
                "L={latency} delay={delay}"
            );
        }
        m.no_faults();
    }
}
