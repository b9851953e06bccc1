//! The performance monitor (HPM-01 to HPM-13).
//!
//! What is cached decides how many walks there are, so walk events are counted on cold translations only: the first
//! one after everything has been invalidated.

use portcullis_sim::core::{Access, Kind};
use portcullis_tests::conformance::*;
use portcullis_tests::*;

conformance!(
    ; linux:
    hpm_01_a_cycle_counter_and_event_counters_of_32_bits_at_least,
    hpm_02_iocountovf_shows_the_of_bits,
    hpm_03_iocountinh_stops_counters,
    hpm_03_iocountinh_stops_the_cycle_counter_alone,
    hpm_04_iohpmcycles_counts_cycles,
    hpm_04_iohpmcycles_wraps_into_of,
    hpm_05_counters_wrap_and_go_on,
    hpm_06_the_fields_of_iohpmevt_stand_where_they_should,
    hpm_06_event_ids_are_legal_values,
    hpm_07_requests_are_counted_by_kind,
    hpm_07_a_cold_translation_counts_its_walks,
    hpm_07_nothing_is_counted_that_did_not_happen,
    hpm_08_filters_by_device,
    hpm_08_filters_by_process,
    hpm_09_filters_by_pscid,
    hpm_09_no_gscid_ever_matches_without_a_second_stage,
    hpm_10_dmask_makes_the_device_filter_a_range,
    hpm_11_events_of_requests_and_directories_have_no_soft_context,
    hpm_12_of_is_sticky,
    hpm_13_a_change_of_event_keeps_the_count,
    hpm_13_event_0_counts_nothing,
);

const INHIBIT: u16 = 92;
const CYCLES: u16 = 96;
const COUNTERS: u16 = 4;
const OF: u64 = 1 << 63;
const IDT: u64 = 1 << 62;
const DV: u64 = 1 << 61;
const PV: u64 = 1 << 60;
const DMASK: u64 = 1 << 15;

/// iohpmctr, from 0.
fn counter(n: u16) -> u16 {
    104 + 8 * n
}

/// iohpmevt, from 0.
fn event(n: u16) -> u16 {
    352 + 8 * n
}

/// Programs the first counters with these events and sets them to 0.
fn count(m: &mut Rig, events: &[u64]) {
    for (n, value) in (0..).zip(events) {
        m.write64(event(n), *value);
        m.write64(counter(n), 0);
    }
}

/// What the first `n` counters say.
fn counts(m: &mut Rig, n: u16) -> Vec<u64> {
    m.dut.settle();
    (0..n).map(|i| m.read64(counter(i))).collect()
}

/// Nothing is cached any more.
fn cold(m: &mut Rig) {
    m.invalidate(Cmd::INVAL_DDT);
    m.invalidate(Cmd::VMA);
}

/// The largest value of a counter.
fn largest(m: &mut Rig, n: u16) -> u64 {
    m.write64(counter(n), u64::MAX);
    m.read64(counter(n))
}

fn hpm_01_a_cycle_counter_and_event_counters_of_32_bits_at_least(m: &mut Rig) {
    // Then iohpmcycles moves, and every counter holds at least 32 bits
    m.write64(CYCLES, 0);
    m.dut.step(10);
    assert!(m.read64(CYCLES) > 0);
    for n in 0..COUNTERS {
        let most = largest(m, n);
        assert!(
            most >= 0xffff_ffff && (most & most.wrapping_add(1)) == 0,
            "{most:#x}"
        );
        for value in [0, 0x5555_5555, 0xaaaa_aaaa] {
            m.write64(counter(n), value);
            assert_eq!(m.read64(counter(n)), value);
        }
        m.write64(event(n), 1);
        m.ask(request(1, Access::Read, PAGE));
        assert_eq!(m.read64(counter(n)), 0xaaaa_aaab);
    }
    // And those that do not exist read 0
    for n in COUNTERS..31 {
        m.write64(counter(n), 77);
        m.write64(event(n), 1);
        assert_eq!((m.read64(counter(n)), m.read64(event(n))), (0, 0));
    }
}

fn hpm_02_iocountovf_shows_the_of_bits(m: &mut Rig) {
    assert_eq!(m.read32(88), 0);
    for n in 0..COUNTERS {
        // When OF of a counter is set, Then its bit, which cannot be written
        m.write64(event(n), OF);
        assert_eq!(m.read32(88), 2 << n);
        m.write32(88, 0);
        m.write32(88, 0xffff_ffff);
        assert_eq!(m.read32(88), 2 << n);
        m.write64(event(n), 0);
        assert_eq!(m.read32(88), 0);
    }
    // And bit 0 is that of iohpmcycles
    m.write64(CYCLES, OF);
    assert_eq!(m.read32(88), 1);
    for n in 0..COUNTERS {
        m.write64(event(n), OF);
    }
    assert_eq!(m.read32(88), 0x1f);
}

fn hpm_03_iocountinh_stops_counters(m: &mut Rig) {
    // Given every counter on untranslated requests, When any of them are stopped, Then exactly the others count
    for stopped in 0..16u64 {
        m.write32(INHIBIT, stopped << 1);
        assert_eq!(m.read32(INHIBIT), stopped << 1);
        count(m, &[1; 4]);
        for _ in 0..3 {
            m.ask(request(1, Access::Read, PAGE));
        }
        let want: Vec<u64> = (0..4)
            .map(|n| if stopped >> n & 1 == 1 { 0 } else { 3 })
            .collect();
        assert_eq!(counts(m, 4), want);
    }
    // And bits of counters that do not exist read 0
    m.write32(INHIBIT, 0xffff_ffff);
    assert_eq!(m.read32(INHIBIT), 0x1f);
}

fn hpm_03_iocountinh_stops_the_cycle_counter_alone(m: &mut Rig) {
    m.write32(INHIBIT, 1);
    m.write64(CYCLES, 1000);
    count(m, &[1]);
    m.ask(request(1, Access::Read, PAGE));
    m.dut.step(50);
    assert_eq!(m.read64(CYCLES), 1000);
    assert_eq!(counts(m, 1), [1]);
    // When it is let go, Then it goes on from there
    m.write32(INHIBIT, 0);
    m.dut.step(50);
    assert!((1050..1200).contains(&m.read64(CYCLES)));
}

fn hpm_04_iohpmcycles_counts_cycles(m: &mut Rig) {
    // Given the time that reading takes
    m.write64(CYCLES, 0);
    let first = m.read64(CYCLES);
    for n in [1, 10, 300] {
        // When n cycles pass, Then the counter has moved by them and the time of one access
        m.write64(CYCLES, 0);
        m.dut.step(n);
        let seen = m.read64(CYCLES);
        assert_eq!(seen - n, first, "after {n} cycles");
    }
    // And it carries into its upper half, which can be read apart
    m.write64(CYCLES, 0xffff_fff0);
    m.dut.step(40);
    assert_eq!(m.read32(CYCLES + 4), 1);
    assert_eq!(m.read64(CYCLES) >> 32, 1);
}

fn hpm_04_iohpmcycles_wraps_into_of(m: &mut Rig) {
    // Given the counter just before its 63 bits end
    m.write64(CYCLES, (1 << 63) - 8);
    m.dut.step(40);
    // Then it wraps to 0 and goes on, with OF set, and stays so when it wraps again
    let seen = m.read64(CYCLES);
    assert!(
        seen & OF != 0 && (30..200).contains(&(seen & !OF)),
        "{seen:#x}"
    );
    m.write64(CYCLES, u64::MAX - 8);
    m.dut.step(40);
    let seen = m.read64(CYCLES);
    assert!(
        seen & OF != 0 && (30..200).contains(&(seen & !OF)),
        "{seen:#x}"
    );
    // And software clears it
    m.write64(CYCLES, 5);
    assert_eq!(m.read32(88), 0);
}

fn hpm_05_counters_wrap_and_go_on(m: &mut Rig) {
    for n in 0..COUNTERS {
        // Given a counter one before its end, When three requests are counted, Then it has wrapped and gone on
        let most = largest(m, n);
        m.write64(event(n), 1);
        m.write64(counter(n), most - 1);
        for _ in 0..3 {
            m.ask(request(1, Access::Read, PAGE));
        }
        m.dut.settle();
        assert_eq!(m.read64(counter(n)), 1);
        m.write64(event(n), 0);
    }
}

fn hpm_06_the_fields_of_iohpmevt_stand_where_they_should(m: &mut Rig) {
    for n in 0..COUNTERS {
        // Given eventID 14:0, DMASK 15, PID_PSCID 35:16, DID_GSCID 59:36, PV_PSCV 60, DV_GSCV 61, IDT 62, OF 63: every
        // bit is kept
        for bit in 15..64 {
            m.write64(event(n), 1 << bit);
            assert_eq!(m.read64(event(n)), 1 << bit);
            // ... by halves too
            m.write32(event(n), 0);
            m.write32(event(n) + 4, 0);
            assert_eq!(m.read64(event(n)), 0);
            m.write32(event(n), (1u64 << bit) & 0xffff_ffff);
            m.write32(event(n) + 4, (1u64 << bit) >> 32);
            assert_eq!(m.read64(event(n)), 1 << bit);
        }
        m.write64(event(n), 0x1234_5678_9abc_0001 + u64::from(n));
    }
    // And the counters do not touch each other
    for n in 0..COUNTERS {
        assert_eq!(m.read64(event(n)), 0x1234_5678_9abc_0001 + u64::from(n));
    }
}

fn hpm_06_event_ids_are_legal_values(m: &mut Rig) {
    for id in (0..9).chain([9, 15, 16, 255, 0x7fff]) {
        // When any eventID is written, Then a listed one is kept, and another one reads back as a listed one
        m.write64(event(0), id);
        let read = m.read64(event(0)) & 0x7fff;
        if id <= 8 {
            assert_eq!(read, id);
        } else {
            assert!(read <= 8, "{id} became {read}");
        }
    }
}

fn hpm_07_requests_are_counted_by_kind(m: &mut Rig) {
    m.start();
    m.device_with_page();
    count(m, &[1, 2, 3]);
    // When requests of every kind and access come, granted and refused, Then each counts once, for its kind
    for (n, kind) in (1..).zip(KINDS) {
        for access in ACCESSES {
            for _ in 0..n {
                m.ask(as_kind(request(DEV, access, PAGE), kind));
            }
        }
    }
    assert_eq!(counts(m, 3), [3, 6, 9]);
    // And many at once count as many
    count(m, &[1, 2, 3]);
    let many: Vec<_> = (0..60)
        .map(|i| request(DEV, Access::Read, PAGE + i * 0x400))
        .collect();
    m.dut.translate(&many);
    assert_eq!(counts(m, 3), [60, 0, 0]);
}

fn hpm_07_a_cold_translation_counts_its_walks(m: &mut Rig) {
    for levels in 1..=3 {
        for table in 3..=5 {
            // Given a directory and a table of any depth, and nothing cached
            m.queues(7, 7);
            let did = [5, 0x1205, 0x34_1205][levels as usize - 1];
            let root = m.page();
            let slot = m.pte_in(table, root, PAGE, 0);
            m.store(slot, leaf(FRAME, RWX));
            let at = m.context_in(DDT, levels, did);
            m.dc_at(at, [TC_V, 0, PSCID << 12, iosatp(table, root)]);
            m.ddtp(u64::from(levels) + 1);
            count(m, &[4, 5, 7, 8]);
            // When one page is translated
            m.grants(request(did, Access::Read, PAGE), FRAME);
            // Then one miss, one event for each entry of the directory, one for each entry of the table
            let want = [1, u64::from(levels), u64::from(table), 0];
            assert_eq!(counts(m, 4), want, "{levels} levels, table of {table}");
            m.reset();
            m.dut.mem_write(DDT, &[0; 0x1000]);
        }
    }
}

fn hpm_07_nothing_is_counted_that_did_not_happen(m: &mut Rig) {
    m.start();
    m.dc(DEV, [TC_V, 0, 0, 0]);
    // Given a device without translation, Then its requests read at most the directory
    count(m, &[4, 6, 7, 8]);
    for _ in 0..3 {
        m.grants(request(DEV, Access::Read, PAGE), PAGE);
    }
    assert_eq!(counts(m, 4), [0; 4]);
    // And nor do commands, register accesses and time
    count(m, &[1, 2, 3, 5]);
    cold(m);
    m.fence();
    m.dut.step(100);
    assert_eq!(counts(m, 4), [0; 4]);
}

fn hpm_08_filters_by_device(m: &mut Rig) {
    // Given filters for a device with bits all over its id, and for its neighbours
    let did = 0x12_3456u64;
    count(
        m,
        &[
            1 | DV | (did << 36),
            1 | DV | ((did ^ 1) << 36),
            1 | DV | ((did ^ 0x80_0000) << 36),
            1 | (did << 36),
        ],
    );
    // When it and others send requests, Then only the first counts it, and the one without DV counts all
    m.ask(request(0x12_3456, Access::Read, PAGE));
    m.ask(request(0x12_3456, Access::Write, PAGE));
    m.ask(request(0x12_3454, Access::Read, PAGE));
    assert_eq!(counts(m, 4), [2, 0, 0, 3]);
    // And walks are filtered by the device that they are for
    m.start();
    m.device_with_page();
    let (own, other) = (DV | (u64::from(DEV) << 36), DV | (6 << 36));
    count(m, &[4 | own, 7 | own, 4 | other, 7 | other]);
    m.grants(request(DEV, Access::Read, PAGE), FRAME);
    assert_eq!(counts(m, 4), [1, 3, 0, 0]);
}

fn hpm_08_filters_by_process(m: &mut Rig) {
    m.start();
    m.dc(DEV, [TC_V | TC_PDTV, 0, 0, 0]);
    let pid = 0xa_bcdeu64;
    count(
        m,
        &[
            1 | PV | (pid << 16),
            1 | PV | ((pid ^ 0x8_0000) << 16),
            1 | PV,
            1 | PV | (pid << 16) | DV | (6 << 36),
        ],
    );
    // When requests come with it, with another and with none, Then it counts once; no process_id is not process_id 0
    m.ask(with_process(
        request(DEV, Access::Read, PAGE),
        0xa_bcde,
        false,
    ));
    m.ask(with_process(
        request(DEV, Access::Read, PAGE),
        0xa_bcdf,
        true,
    ));
    m.ask(request(DEV, Access::Read, PAGE));
    assert_eq!(counts(m, 4), [1, 0, 0, 0]);
    m.ask(with_process(request(DEV, Access::Read, PAGE), 0, false));
    assert_eq!(counts(m, 4), [1, 0, 1, 0]);
}

fn hpm_09_filters_by_pscid(m: &mut Rig) {
    m.start();
    let pscid = 0xa_5a5au64;
    for (did, pscid) in [(1, pscid), (2, pscid ^ 0x8_0000), (3, pscid)] {
        let root = m.sv39(did, pscid);
        m.map(root, PAGE + u64::from(did) * 0x4000_0000, FRAME, RWX, 0);
    }
    let filter = IDT | PV | (pscid << 16);
    count(
        m,
        &[4 | filter, 7 | filter, 4 | IDT, 4 | PV | (pscid << 16)],
    );
    // When devices with it and with another one walk, Then exactly the walks with it count
    for did in 1..4 {
        let iova = PAGE + u64::from(did) * 0x4000_0000;
        cold(m);
        m.grants(request(did, Access::Read, iova), FRAME);
    }
    // And the last one asks for a process_id, which nobody sent
    assert_eq!(counts(m, 4), [2, 6, 3, 0]);
}

fn hpm_09_no_gscid_ever_matches_without_a_second_stage(m: &mut Rig) {
    m.start();
    let root = m.page();
    m.map(root, PAGE, FRAME, RWX, 0);
    // Given a context with a GSCID, which means nothing while iohgatp is Bare
    m.dc(DEV, [TC_V, 3 << 44, PSCID << 12, SV39 | (root >> 12)]);
    let gscv = IDT | DV | (3 << 36);
    count(
        m,
        &[4 | gscv, 7 | gscv, 7 | gscv | PV | (PSCID << 16), 7 | IDT],
    );
    m.grants(request(DEV, Access::Read, PAGE), FRAME);
    assert_eq!(counts(m, 4), [0, 0, 0, 3]);
}

fn hpm_10_dmask_makes_the_device_filter_a_range(m: &mut Rig) {
    for x in [0, 1, 7, 22] {
        // Given a filter whose lowest 0 bit is bit x
        let base = 0x55_5555u64 & !((2 << x) - 1);
        let filter = base | ((1 << x) - 1);
        count(
            m,
            &[1 | DV | DMASK | (filter << 36), 1 | DV | (filter << 36)],
        );
        // When devices in and around its range send requests
        let inside = [base, base + (1 << x), base + (2 << x) - 1];
        let outside = [
            base ^ (2 << x),
            base.wrapping_sub(1) & 0xff_ffff,
            (base + (2 << x)) & 0xff_ffff,
        ];
        for did in inside.into_iter().chain(outside) {
            m.ask(request(did as u32, Access::Read, PAGE));
        }
        // Then those in it count; without DMASK only the one of that id does
        let exact = inside
            .iter()
            .chain(&outside)
            .filter(|did| **did == filter)
            .count();
        assert_eq!(counts(m, 2), [3, exact as u64], "x = {x}");
    }
    // And a filter of ones is everybody
    count(m, &[1 | DV | DMASK | (0xff_ffff << 36)]);
    for did in [0, 1, 0xff_ffff, 0x80_0000] {
        m.ask(request(did, Access::Read, PAGE));
    }
    assert_eq!(counts(m, 1), [4]);
}

fn hpm_11_events_of_requests_and_directories_have_no_soft_context(m: &mut Rig) {
    m.start();
    m.device_with_page();
    for filter in [0, PV | (PSCID << 16), DV] {
        // Given IDT=1 with events 1, 2, 3 and 5, filters on or off, When all of them happen
        count(
            m,
            &[
                1 | IDT | filter,
                2 | IDT | filter,
                3 | IDT | filter,
                5 | IDT | filter,
            ],
        );
        cold(m);
        for kind in KINDS {
            m.ask(as_kind(request(DEV, Access::Read, PAGE), kind));
        }
        // Then none counts
        assert_eq!(counts(m, 4), [0; 4]);
    }
    // And with IDT=0 they do
    count(m, &[1, 2, 3, 5]);
    cold(m);
    m.ask(as_kind(
        request(DEV, Access::Read, PAGE),
        Kind::Untranslated,
    ));
    assert_eq!(counts(m, 4), [1, 0, 0, 1]);
}

fn hpm_12_of_is_sticky(m: &mut Rig) {
    for n in 0..COUNTERS {
        // Given a counter at its end, When it overflows, Then OF is set and the rest of iohpmevt is not touched
        let most = largest(m, n);
        m.write64(event(n), 1 | DV | DMASK | (0xff_ffff << 36));
        m.write64(counter(n), most);
        m.ask(request(1, Access::Read, PAGE));
        m.dut.settle();
        assert_eq!(m.read64(event(n)), OF | 1 | DV | DMASK | (0xff_ffff << 36));
        assert_eq!(m.read32(88), 2 << n);
        // And stays, whatever is counted, until software clears it
        m.ask(request(1, Access::Read, PAGE));
        m.write64(counter(n), 0);
        m.ask(request(1, Access::Read, PAGE));
        m.dut.settle();
        assert_eq!((m.read32(88), m.read64(counter(n))), (2 << n, 1));
        m.write64(event(n), 0);
        assert_eq!(m.read32(88), 0);
    }
}

fn hpm_13_a_change_of_event_keeps_the_count(m: &mut Rig) {
    m.start();
    count(m, &[1]);
    for _ in 0..5 {
        m.ask(request(1, Access::Read, PAGE));
    }
    // When the event changes, Then the count stays and goes on with the new one
    m.write64(event(0), 2);
    assert_eq!(counts(m, 1), [5]);
    m.ask(request(1, Access::Read, PAGE));
    m.ask(as_kind(request(1, Access::Read, PAGE), Kind::Translated));
    assert_eq!(counts(m, 1), [6]);
    m.write64(event(0), 0);
    assert_eq!(counts(m, 1), [6]);
}

fn hpm_13_event_0_counts_nothing(m: &mut Rig) {
    m.start();
    m.device_with_page();
    // Given event 0 with and without filters, When everything happens, Then nothing is counted
    count(
        m,
        &[
            0,
            DV | (u64::from(DEV) << 36),
            IDT,
            IDT | PV | (PSCID << 16),
        ],
    );
    for kind in KINDS {
        m.ask(as_kind(request(DEV, Access::Read, PAGE), kind));
    }
    assert_eq!(counts(m, 4), [0; 4]);
}
