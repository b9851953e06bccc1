//! Pointers to tables that the walker keeps: what they save, and what must drop them (INV-20, INV-24, DIR-03, DIR-10).

use portcullis_sim::core::{Access, Purpose};
use portcullis_sim::memory::Timing;
use portcullis_tests::under_test::POINTERS;
use portcullis_tests::*;

const DEV: u32 = 5;
const PSCID: u64 = 7;
const PAGE: u64 = 0x4000_0000;
const OLD: u64 = 0x8_0000_0000;
const NEW: u64 = 0x9_0000_0000;
/// IOTINVAL.VMA bits: PSCV, NL, and ADDR with AV.
const PSCV: u64 = 1 << 32;
const NL: u64 = 1 << 34;

/// Eight pages from `iova` on.
fn map_eight(m: &mut Machine, root: u64, iova: u64, to: u64) {
    for n in 0..8 {
        m.map(root, iova + 0x1000 * n, to + 0x1000 * n, RWX, 0);
    }
}

/// A device whose first page has been walked, so that its tables are known.
fn walked(latency: u64) -> (Machine, u64) {
    let mut m = Machine::linux_with(POINTERS, latency).without_lines();
    let root = m.sv39(DEV, PSCID);
    map_eight(&mut m, root, PAGE, OLD);
    assert_eq!(m.read(DEV, PAGE), Some(OLD));
    (m, root)
}

fn reads(m: &Machine, purpose: Purpose) -> u64 {
    m.h.counters().traffic.reads(purpose)
}

/// A new table with other pages takes the place of the one at `level`.
fn replace_table(m: &mut Machine, root: u64, level: u32) {
    let slot = m.pte(root, PAGE, level);
    m.h.memory_mut().store64(slot, 0);
    map_eight(m, root, PAGE, NEW);
}

#[test]
fn a_miss_in_a_region_that_has_been_walked_costs_one_read() {
    for latency in [1, 10, 50] {
        let (mut m, _) = walked(latency);
        let before = reads(&m, Purpose::Pte);
        let f = m.ask(request(DEV, Access::Read, PAGE + 0x1000));
        assert_eq!(f.response.pa, OLD + 0x1000);
        assert_eq!(f.latency(), latency + 4);
        assert_eq!(reads(&m, Purpose::Pte) - before, 1);
    }
}

#[test]
fn a_miss_in_the_next_region_costs_two_reads() {
    for latency in [1, 10, 50] {
        let (mut m, root) = walked(latency);
        map_eight(&mut m, root, PAGE + (1 << 21), NEW);
        let f = m.ask(request(DEV, Access::Read, PAGE + (1 << 21)));
        assert_eq!(f.response.pa, NEW);
        assert_eq!(f.latency(), 2 * latency + 5);
    }
}

#[test]
fn a_cold_walk_takes_four_reads_and_ten_cycles() {
    for latency in [1, 10, 50] {
        let mut m = Machine::linux(latency).without_lines();
        let root = m.sv39(DEV, PSCID);
        map_eight(&mut m, root, PAGE, OLD);
        let f = m.ask(request(DEV, Access::Read, PAGE));
        assert_eq!(f.response.pa, OLD);
        assert_eq!(f.latency(), 4 * latency + 10);
    }
}

/// Every form that must drop pointers does, at both levels, for pages that are not in the IOTLB.
#[test]
fn iotinval_forms_that_cover_pointers_drop_them() {
    let forms = [
        ("all", cmd::VMA_ALL, 0),
        ("PSCID", cmd::vma_pscid(PSCID), 0),
        ("ADDR, NL", cmd::VMA_ADDR | NL, cmd::addr(PAGE)),
        (
            "ADDR, PSCID, NL",
            cmd::VMA_ADDR | NL | PSCV | (PSCID << 12),
            cmd::addr(PAGE + 0x2000),
        ),
        ("range, NL", cmd::VMA_ADDR | NL, cmd::addr(PAGE) | 1 << 9),
        (
            "everything as a range",
            cmd::VMA_ADDR | NL,
            ((1 << 51) - 1) << 10 | 1 << 9,
        ),
    ];
    for (name, dw0, dw1) in forms {
        for level in [1, 2] {
            let (mut m, root) = walked(3);
            // Given another device that uses the same address space
            m.dc(6, [TC_V, 0, PSCID << 12, SV39 | (root >> 12)]);
            assert_eq!(m.read(6, PAGE), Some(OLD));
            // When a table is replaced and invalidated
            replace_table(&mut m, root, level);
            m.command(dw0, dw1);
            m.fence();
            // Then pages that nobody has asked for come from the new one
            for did in [DEV, 6] {
                let page = m.read(did, PAGE + 0x3000);
                assert_eq!(page, Some(NEW + 0x3000), "{name}, level {level}");
            }
        }
    }
}

#[test]
fn iotinval_of_another_pscid_or_of_a_leaf_keeps_pointers() {
    let forms = [
        ("another PSCID", cmd::vma_pscid(PSCID + 1), 0),
        ("a leaf", cmd::VMA_ADDR, cmd::addr(PAGE)),
    ];
    for (name, dw0, dw1) in forms {
        let (mut m, _) = walked(3);
        m.command(dw0, dw1);
        m.fence();
        let before = reads(&m, Purpose::Pte);
        assert_eq!(m.read(DEV, PAGE + 0x1000), Some(OLD + 0x1000));
        assert_eq!(reads(&m, Purpose::Pte) - before, 1, "{name}");
    }
}

#[test]
fn pointers_go_with_the_context_they_were_found_for() {
    for (name, command) in [
        ("DV=1", cmd::inval_ddt(DEV.into())),
        ("DV=0", cmd::INVAL_DDT_ALL),
    ] {
        // Given a device whose tables are known
        let (mut m, _) = walked(3);
        // When it gets another page table under another PSCID
        let root = m.sv39(DEV, PSCID + 1);
        map_eight(&mut m, root, PAGE, NEW);
        m.command(command, 0);
        m.fence();
        // Then that is walked
        for n in 0..3 {
            let page = m.read(DEV, PAGE + 0x1000 * n);
            assert_eq!(page, Some(NEW + 0x1000 * n), "{name}");
        }
    }
}

#[test]
fn pointers_of_devices_and_regions_are_told_apart() {
    let contexts = u32::from(under_test::linux().context_entries);
    // Given as many devices as contexts, or more, with the same addresses in regions that have places of their own in
    // the cache, or share one
    for devices in [contexts, contexts + 2] {
        for apart in [21, 25] {
            let mut m = Machine::linux(2).without_lines();
            let region = |n: u64| PAGE + (n << apart);
            let frame = |did: u32, n: u64| OLD + (u64::from(did) << 30) + (n << 16);
            for did in 1..=devices {
                let root = m.sv39(did, 20 + u64::from(did));
                for n in 0..3 {
                    map_eight(&mut m, root, region(n), frame(did, n));
                }
            }
            // When they take turns, each time with a new page, Then each reaches its own
            for page in 0..4 {
                for did in 1..=devices {
                    for n in 0..3 {
                        let own = frame(did, n) + 0x1000 * page;
                        let got = m.read(did, region(n) + 0x1000 * page);
                        assert_eq!(got, Some(own), "device {did} of {devices}, region {n}");
                    }
                }
            }
        }
    }
}

/// A pointer changes at any moment of a walk that reads it; afterwards it must not be known in its old form. A memory
/// with jitter may bring what it read before the change after the invalidation has passed.
#[test]
fn hw2_a_pointer_read_before_an_invalidation_is_not_kept_after_it() {
    let steady = [1, 4, 9].map(|latency| (latency, 0, 0));
    let unsteady = (0..16).map(|seed| (2, 60, seed));
    for (latency, jitter, seed) in steady.into_iter().chain(unsteady) {
        let step = if jitter == 0 { 1 } else { 9 };
        let timing = Timing {
            latency,
            jitter,
            seed,
            ..Timing::default()
        };
        for delay in (0..4 * (latency + jitter / 2) + 24).step_by(step) {
            for (dw0, dw1) in [(cmd::VMA_ALL, 0), (cmd::VMA_ADDR | NL, cmd::addr(PAGE))] {
                // Given a walk in flight
                let mut m = Machine::with_config(under_test::linux(), timing);
                m.start();
                let root = m.sv39(DEV, PSCID);
                map_eight(&mut m, root, PAGE, OLD);
                m.h.submit(request(DEV, Access::Read, PAGE));
                m.h.advance(delay).expect("no hang");
                // When the table is replaced, with IOTINVAL and fence
                replace_table(&mut m, root, 1);
                m.command(dw0, dw1);
                m.fence();
                m.h.finish_requests().expect("no hang");
                // Then every page comes from the new one
                while m.h.take_finished().is_some() {}
                for n in 0..2 {
                    let page = m.read(DEV, PAGE + 0x1000 * n);
                    let new = Some(NEW + 0x1000 * n);
                    assert_eq!(page, new, "{timing:?} delay={delay}");
                }
            }
        }
    }
}

/// Two levels of directory whose upper entry for [`DEV`] leads to `page`.
fn directory(m: &mut Machine, root: u64, page: u64, did: u32, table: u64) {
    let dw = [TC_V, 0, PSCID << 12, SV39 | (table >> 12)];
    let slot = root + u64::from(did >> 7) * 8;
    m.h.memory_mut().store64(slot, page >> 12 << 10 | 1);
    for (i, w) in dw.iter().enumerate() {
        let at = page + u64::from(did & 0x7f) * 32 + 8 * i as u64;
        m.h.memory_mut().store64(at, *w);
    }
}

#[test]
fn directory_pointers_save_reads_and_go_with_inval_ddt_of_all() {
    let mut m = Machine::linux_with(POINTERS, 3).without_lines();
    let (old, new) = (m.page(), m.page());
    map_eight(&mut m, old, PAGE, OLD);
    map_eight(&mut m, new, PAGE, NEW);
    let (first, second) = (m.page(), m.page());
    directory(&mut m, DDT, first, 0x205, old);
    directory(&mut m, DDT, first, 0x206, old);
    m.ddtp(0);
    m.ddtp(3);
    // Given a device whose directory page is known
    assert_eq!(m.read(0x205, PAGE), Some(OLD));
    // When its neighbour asks, Then only the context is read
    let before = reads(&m, Purpose::Ddt);
    assert_eq!(m.read(0x206, PAGE), Some(OLD));
    assert_eq!(reads(&m, Purpose::Ddt) - before, 1);
    // When the page of contexts is replaced, with INVAL_DDT of all devices
    directory(&mut m, DDT, second, 0x205, new);
    directory(&mut m, DDT, second, 0x207, new);
    m.command(cmd::INVAL_DDT_ALL, 0);
    m.command(cmd::VMA_ALL, 0);
    m.fence();
    // Then the new one counts
    assert_eq!(m.read(0x207, PAGE), Some(NEW));
    assert_eq!(m.read(0x205, PAGE), Some(NEW));
}

#[test]
fn directory_pointers_go_with_another_directory() {
    let mut m = Machine::linux(3).without_lines();
    let (old, new) = (m.page(), m.page());
    map_eight(&mut m, old, PAGE, OLD);
    map_eight(&mut m, new, PAGE, NEW);
    let (first, second, root) = (m.page(), m.page(), m.page());
    directory(&mut m, DDT, first, 0x205, old);
    directory(&mut m, root, second, 0x206, new);
    m.ddtp(0);
    m.ddtp(3);
    assert_eq!(m.read(0x205, PAGE), Some(OLD));
    // When ddtp goes through Off to another root
    m.ddtp(0);
    m.write64(reg::DDTP, (root >> 12 << 10) | 3);
    m.wait(reg::DDTP, 1 << 4, 0);
    // Then its pages are found for a device that was not known
    assert_eq!(m.read(0x206, PAGE), Some(NEW));
}
