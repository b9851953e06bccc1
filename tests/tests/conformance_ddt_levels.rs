//! Directories of two and three levels (DDT-07 to DDT-13, and what DDT-02, DDT-04, DDT-18, DIR-09, DIR-10 and MEM-02
//! mean there).

use portcullis_sim::core::{Access, MemStatus, Purpose};
use portcullis_tests::conformance::*;
use portcullis_tests::*;

conformance!(
    ; linux:
    ddt_02_nine_and_eight_more_bits_index_the_upper_levels,
    ddt_04_an_id_too_wide_for_two_levels_is_refused_before_any_memory_access,
    ddt_04_no_id_is_too_wide_for_three_levels,
    ddt_07_with_two_levels_one_pointer_is_followed,
    ddt_07_each_pointer_of_two_levels_leads_to_its_own_page,
    ddt_08_with_three_levels_two_pointers_are_followed,
    ddt_08_each_pointer_of_three_levels_leads_to_its_own_page,
    ddt_09_every_bit_of_a_pointers_page_number_counts,
    ddt_10_a_refused_read_of_a_pointer_is_257_and_poison_268,
    ddt_10_refusal_precedes_poison_precedes_invalid_precedes_misconfigured,
    ddt_11_a_pointer_with_v_clear_is_258_whatever_else_it_holds,
    ddt_12_each_of_bits_9_to_1_of_a_pointer_is_259,
    ddt_12_bits_9_to_1_are_checked_for_every_access_and_kind,
    ddt_13_each_of_bits_63_to_54_of_a_pointer_is_259,
    ddt_18_a_pointer_beyond_pas_is_refused,
    dir_09_stores_to_pointers_before_the_command_are_seen_after_it,
    dir_10_pointers_go_with_a_command_for_all_devices,
    dir_10_a_command_for_one_device_drops_its_context_below_them,
    mem_02_a_pointer_with_v_clear_is_not_kept,
);

/// A device whose id has bits in each of DDI0, DDI1 and DDI2 ...
const DEEP: u32 = 0x12_3456;
/// ... and one for two levels.
const FLAT: u32 = 0x3456;

/// A context with both stages Bare.
const BARE: [u64; 4] = [TC_V, 0, 0, 0];

/// ddtp in the mode of `levels` levels, with queues.
fn levels(m: &mut Rig, levels: u32) {
    m.queues(7, 7);
    m.ddtp(u64::from(levels) + 1);
}

/// A context with Sv39 and one page, [`PAGE`] to `frame`; where it stands in a directory at the usual root.
fn deep_device(m: &mut Rig, levels: u32, did: u32, frame: u64) -> u64 {
    let table = m.page();
    m.map(table, PAGE, frame, RWX, 0);
    let at = m.context_in(DDT, levels, did);
    m.dc_at(
        at,
        [
            TC_V,
            0,
            u64::from(did & 0xf_ffff) << 12,
            SV39 | (table >> 12),
        ],
    );
    at
}

/// Where the pointers for `did` stand, root first.
fn pointers(m: &mut Rig, levels: u32, did: u32) -> Vec<u64> {
    let did = u64::from(did);
    let indices = [did >> 16, (did >> 7) & 0x1ff];
    let mut table = DDT;
    let mut out = vec![];
    for index in &indices[3 - levels as usize..] {
        out.push(table + index * 8);
        table = m.load(table + index * 8) >> 10 << 12;
    }
    out
}

/// For each pointer of a walk by two and by three levels: changes it by `spoil`, for each of its results, and the
/// device is refused with `cause`; with the good pointer it passes.
fn spoilt_pointers(m: &mut Rig, spoil: impl Fn(u64) -> Vec<u64>, cause: u64) {
    for (n, did) in [(2, FLAT), (3, DEEP)] {
        levels(m, n);
        let at = m.context_in(DDT, n, did);
        m.dc_at(at, BARE);
        for slot in pointers(m, n, did) {
            let good = m.load(slot);
            for bad in spoil(good) {
                m.store(slot, bad);
                m.refuses(request(did, Access::Read, PAGE), cause);
            }
            m.store(slot, good);
            m.grants(request(did, Access::Read, PAGE), PAGE);
            m.invalidate(Cmd::INVAL_DDT);
        }
        m.reset();
        m.dut.mem_write(DDT, &[0; 0x1000]);
    }
}

fn ddt_02_nine_and_eight_more_bits_index_the_upper_levels(m: &mut Rig) {
    // Given a page of its own for each device whose id has one bit, no bit or all bits set
    levels(m, 3);
    let dids: Vec<u32> = (0..24).map(|bit| 1 << bit).chain([0, 0xff_ffff]).collect();
    let mut cases = vec![];
    for (i, did) in (0..).zip(&dids) {
        deep_device(m, 3, *did, FRAME + i * 0x1000);
        cases.push((
            request(*did, Access::Read, PAGE + 8),
            FRAME + i * 0x1000 + 8,
        ));
    }
    // Then each device reaches it
    m.grants_each(&cases);
    m.no_faults();
}

fn ddt_04_an_id_too_wide_for_two_levels_is_refused_before_any_memory_access(m: &mut Rig) {
    // Given two levels and good contexts at the first and the last index
    levels(m, 2);
    for did in [0, 0xffff] {
        let at = m.context_in(DDT, 2, did);
        m.dc_at(at, BARE);
        m.grants(request(did, Access::Read, 0x1000), 0x1000);
    }
    let read = m.dut.reads(Purpose::Ddt);
    // When a single bit of DDI2 is set, Then it is refused, and the directory is not read
    let wide = (16..24).flat_map(|bit| [0, 0xffff].map(|low| (1 << bit) | low));
    let cases: Vec<_> = wide
        .map(|did| (request(did, Access::Write, 0x1000), 260))
        .collect();
    m.refuses_each(&cases);
    assert_eq!(m.dut.reads(Purpose::Ddt), read);
    m.grants(request(0xffff, Access::Read, 0x1000), 0x1000);
}

fn ddt_04_no_id_is_too_wide_for_three_levels(m: &mut Rig) {
    // Given three levels and an empty directory, Then each upper bit leads to an entry that is merely invalid
    levels(m, 3);
    let cases: Vec<_> = (7..24)
        .map(|bit| (request(1 << bit, Access::Read, PAGE), 258))
        .collect();
    m.refuses_each(&cases);
}

/// A cold walk of the directory reads a context and one pointer fewer than it has levels.
fn follows(m: &mut Rig, n: u32, did: u32) {
    levels(m, n);
    deep_device(m, n, did, FRAME);
    let before = m.dut.reads(Purpose::Ddt);
    m.grants(request(did, Access::Read, PAGE), FRAME);
    // A context may be read at once or in its four doublewords
    let reads = m.dut.reads(Purpose::Ddt) - before;
    let pointers = u64::from(n - 1);
    assert!((1..=4).contains(&(reads - pointers)), "{reads} reads");
    // And neighbours in the same pages are not valid
    m.refuses(request(did ^ 1, Access::Read, PAGE), 258);
    m.refuses(request(did ^ 0x80, Access::Read, PAGE), 258);
}

fn ddt_07_with_two_levels_one_pointer_is_followed(m: &mut Rig) {
    follows(m, 2, FLAT);
}

fn ddt_08_with_three_levels_two_pointers_are_followed(m: &mut Rig) {
    follows(m, 3, DEEP);
    m.refuses(request(DEEP ^ 0x1_0000, Access::Read, PAGE), 258);
}

/// Devices in the first, the last and some other entry of every page reach their own pages, and again when cached.
fn own_pages(m: &mut Rig, n: u32, dids: &[u32]) {
    levels(m, n);
    let mut cases = vec![];
    for (i, did) in (0..).zip(dids) {
        deep_device(m, n, *did, FRAME + i * 0x1000);
        cases.push((request(*did, Access::Read, PAGE), FRAME + i * 0x1000));
    }
    m.grants_each(&cases);
    m.grants_each(&cases);
    m.no_faults();
}

fn ddt_07_each_pointer_of_two_levels_leads_to_its_own_page(m: &mut Rig) {
    own_pages(m, 2, &[0, 0x7f, 0x80, 0xff, 0x5555, 0xff80, 0xffff]);
}

fn ddt_08_each_pointer_of_three_levels_leads_to_its_own_page(m: &mut Rig) {
    own_pages(
        m,
        3,
        &[
            0, 0x7f, 0x80, 0xffff, 0x1_0000, 0x55_5555, 0xff_0000, 0xff_ffff,
        ],
    );
}

fn ddt_09_every_bit_of_a_pointers_page_number_counts(m: &mut Rig) {
    // Given two levels, and a context page for each bit that PAS allows, each behind a pointer of its own
    levels(m, 2);
    let mut cases = vec![];
    for bit in 12..m.pas() {
        let did = (bit << 7) | 5;
        // Page 0x1000_0000 is the directory itself: its contexts stand in other entries than its pointers
        m.store(DDT + u64::from(bit) * 8, ((1u64 << bit) >> 12 << 10) | 1);
        let table = m.page();
        m.map(table, PAGE, FRAME + u64::from(bit) * 0x1000, RWX, 0);
        m.dc_at(
            (1 << bit) + 127 * 32,
            [TC_V, 0, u64::from(bit) << 12, SV39 | (table >> 12)],
        );
        cases.push((
            request(did | 127, Access::Read, PAGE),
            FRAME + u64::from(bit) * 0x1000,
        ));
    }
    // Then each device finds its context
    m.grants_each(&cases);
    m.no_faults();
}

fn ddt_10_a_refused_read_of_a_pointer_is_257_and_poison_268(m: &mut Rig) {
    for (n, did) in [(2, FLAT), (3, DEEP)] {
        levels(m, n);
        let at = m.context_in(DDT, n, did);
        m.dc_at(at, BARE);
        for slot in pointers(m, n, did) {
            for (status, cause) in [(MemStatus::Access, 257), (MemStatus::Corrupt, 268)] {
                // Given a pointer that cannot be had, Then every access is refused
                m.break_reads(slot, 8, status);
                m.refuses_each(&ACCESSES.map(|access| (request(did, access, PAGE), cause)));
                m.break_reads(slot, 8, MemStatus::Ok);
            }
        }
        // And nothing of it is kept
        m.grants(request(did, Access::Read, PAGE), PAGE);
        m.reset();
        m.dut.mem_write(DDT, &[0; 0x1000]);
    }
}

fn ddt_10_refusal_precedes_poison_precedes_invalid_precedes_misconfigured(m: &mut Rig) {
    levels(m, 2);
    let next = m.page();
    m.dc_at(next, BARE);
    // Given pointers with several defects each
    let good = (next >> 12 << 10) | 1;
    let reserved = (1 << 54) | (1 << 1);
    for (index, entry, status) in [
        (0, reserved, MemStatus::Access),
        (1, reserved, MemStatus::Corrupt),
        (2, (good | reserved) & !1, MemStatus::Ok),
        (3, good | reserved, MemStatus::Ok),
        (4, good, MemStatus::Ok),
    ] {
        m.store(DDT + 8 * index, entry);
        m.break_reads(DDT + 8 * index, 8, status);
    }
    // Then the first of 257, 268, 258, 259 is reported
    let cases = [257, 268, 258, 259];
    let cases: Vec<_> = (0..)
        .zip(cases)
        .map(|(index, cause)| (request(index << 7, Access::Read, PAGE), cause))
        .collect();
    m.refuses_each(&cases);
    m.grants(request(4 << 7, Access::Read, PAGE), PAGE);
}

fn ddt_11_a_pointer_with_v_clear_is_258_whatever_else_it_holds(m: &mut Rig) {
    spoilt_pointers(m, |good| vec![0, good & !1, !1], 258);
}

fn ddt_12_each_of_bits_9_to_1_of_a_pointer_is_259(m: &mut Rig) {
    spoilt_pointers(
        m,
        |good| (1..10).map(|bit| good | (1 << bit)).collect(),
        259,
    );
}

fn ddt_12_bits_9_to_1_are_checked_for_every_access_and_kind(m: &mut Rig) {
    levels(m, 2);
    let next = m.page();
    m.dc_at(next, BARE);
    let mut cases = vec![];
    for (index, bit) in (0..).zip(1..10) {
        // Given pointers to a good context that each have one of the bits
        m.store(DDT + 8 * index, (next >> 12 << 10) | 1 | (1 << bit));
        for (access, kind) in ACCESSES.into_iter().zip(KINDS) {
            let r = request((index as u32) << 7, access, PAGE);
            cases.push((as_kind(r, kind), 259));
            cases.push((with_process(r, 3, true), 259));
        }
    }
    // Then whatever asks is refused for that and not for what else is wrong
    m.refuses_each(&cases);
}

fn ddt_13_each_of_bits_63_to_54_of_a_pointer_is_259(m: &mut Rig) {
    spoilt_pointers(
        m,
        |good| (54..64).map(|bit| good | (1 << bit)).collect(),
        259,
    );
}

fn ddt_18_a_pointer_beyond_pas_is_refused(m: &mut Rig) {
    levels(m, 3);
    let at = m.context_in(DDT, 3, DEEP);
    m.dc_at(at, BARE);
    for slot in pointers(m, 3, DEEP) {
        let good = m.load(slot);
        for bit in m.pas()..56 {
            // Given a pointer with one bit beyond PAS, over a good page where a truncated one would lead
            m.store(slot, good | (1 << (bit - 2)));
            let r = request(DEEP, Access::Read, PAGE);
            assert!(m.ask(r).fault, "bit {bit}");
            // Then its use is an access fault, or it is misconfigured
            let cause = m.faults()[0].cause();
            assert!([257, 259].contains(&cause), "bit {bit}: cause {cause}");
        }
        m.store(slot, good);
    }
    m.grants(request(DEEP, Access::Read, PAGE), PAGE);
}

/// Given a cached context behind cached pointers: what pointer `at` (root first) leads to is replaced, `c` executed;
/// where the device reaches then.
fn replaced_pointer(m: &mut Rig, n: u32, did: u32, at: usize, c: Cmd) -> Option<u64> {
    levels(m, n);
    deep_device(m, n, did, FRAME);
    let slots = pointers(m, n, did);
    m.grants(request(did, Access::Read, PAGE), FRAME);
    // The new pages below the pointer lead to another context
    let table = m.page();
    m.map(table, PAGE, OTHER, RWX, 0);
    let mut next = m.page();
    m.store(slots[at], (next >> 12 << 10) | 1);
    if n == 3 && at == 0 {
        let last = m.page();
        m.store(
            next + u64::from((did >> 7) & 0x1ff) * 8,
            (last >> 12 << 10) | 1,
        );
        next = last;
    }
    m.dc_at(
        next + u64::from(did & 0x7f) * 32,
        [TC_V, 0, 77 << 12, SV39 | (table >> 12)],
    );
    m.invalidate(c);
    let reached = m.read(did, PAGE);
    m.no_faults();
    m.reset();
    m.dut.mem_write(DDT, &[0; 0x1000]);
    reached
}

fn dir_09_stores_to_pointers_before_the_command_are_seen_after_it(m: &mut Rig) {
    for (n, did, at) in [(2, FLAT, 0), (3, DEEP, 0), (3, DEEP, 1)] {
        // When a pointer changes and everything is invalidated, Then the new one is followed
        let reached = replaced_pointer(m, n, did, at, Cmd::INVAL_DDT);
        assert_eq!(reached, Some(OTHER), "{n} levels, pointer {at}");
    }
}

fn dir_10_pointers_go_with_a_command_for_all_devices(m: &mut Rig) {
    // Given two devices behind the same pointers, of which one has never been looked up
    for (n, did, at) in [(2, FLAT, 0), (3, DEEP, 0), (3, DEEP, 1)] {
        levels(m, n);
        deep_device(m, n, did, FRAME);
        let twin = m.context_in(DDT, n, did ^ 1);
        m.dc_at(twin, BARE);
        m.grants(request(did, Access::Read, PAGE), FRAME);
        let slot = pointers(m, n, did)[at];
        // When the pointer becomes invalid and everything is invalidated
        m.store(slot, 0);
        m.invalidate(Cmd::INVAL_DDT);
        // Then neither passes
        m.refuses(request(did, Access::Read, PAGE), 258);
        m.refuses(request(did ^ 1, Access::Read, PAGE), 258);
        m.reset();
        m.dut.mem_write(DDT, &[0; 0x1000]);
    }
}

fn dir_10_a_command_for_one_device_drops_its_context_below_them(m: &mut Rig) {
    for (n, did) in [(2, FLAT), (3, DEEP)] {
        // Given a cached context, When a pointer changes and only the device is invalidated
        for at in 0..n as usize - 1 {
            let reached = replaced_pointer(m, n, did, at, Cmd::INVAL_DDT.did(did.into()));
            // Then the old pointer or the new one is followed
            assert!(
                [Some(FRAME), Some(OTHER)].contains(&reached),
                "{reached:x?}"
            );
        }
        // When its context itself changes, Then the new one is used
        levels(m, n);
        let context = deep_device(m, n, did, FRAME);
        m.grants(request(did, Access::Read, PAGE), FRAME);
        m.dc_at(context, BARE);
        m.invalidate(Cmd::INVAL_DDT.did(did.into()));
        m.grants(request(did, Access::Read, PAGE), PAGE);
        m.reset();
        m.dut.mem_write(DDT, &[0; 0x1000]);
    }
}

fn mem_02_a_pointer_with_v_clear_is_not_kept(m: &mut Rig) {
    for (n, did) in [(2, FLAT), (3, DEEP)] {
        levels(m, n);
        let context = m.context_in(DDT, n, did);
        m.dc_at(context, BARE);
        for slot in pointers(m, n, did) {
            // Given a device that was refused for an invalid pointer
            let good = m.load(slot);
            m.store(slot, good & !1);
            m.invalidate(Cmd::INVAL_DDT);
            m.refuses(request(did, Access::Read, PAGE), 258);
            // When the pointer becomes valid, Then no invalidation is needed (SW-18)
            m.store(slot, good);
            m.grants(request(did, Access::Read, PAGE), PAGE);
        }
        m.reset();
        m.dut.mem_write(DDT, &[0; 0x1000]);
    }
}
