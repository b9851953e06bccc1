//! First-stage translation: the walk (S1-02 to S1-18, S1-30).

use portcullis_sim::core::{Access, MemStatus, Purpose};
use portcullis_tests::conformance::*;
use portcullis_tests::*;

conformance!(
    s1_02_each_bit_of_the_virtual_page_number_indexes_its_table,
    s1_02_tables_have_512_entries_of_8_bytes_on_three_levels,
    s1_05_bits_63_to_38_must_be_equal,
    s1_05_a_bad_address_is_refused_while_its_truncation_is_cached,
    s1_07_the_walk_starts_at_the_root_of_the_context,
    s1_09_a_refused_read_of_any_level_is_an_access_fault,
    s1_09_a_table_beyond_pas_is_an_access_fault,
    s1_10_a_poisoned_entry_is_274,
    s1_11_v_clear_at_any_level,
    s1_12_writable_without_readable,
    s1_13_bits_58_to_54,
    s1_14_bits_60_and_59,
    s1_15_bits_62_and_61,
    s1_16_readable_or_executable_is_a_leaf_and_the_rest_a_table,
    s1_16_a_table_at_level_0,
    s1_17_a_table_entry_with_d_a_or_u,
    s1_18_a_table_entry_with_pbmt_or_n,
    s1_30_entries_are_little_endian,
);

/// The three addresses of [`levels`]: pages of 4 KiB, 2 MiB and 1 GiB.
const IOVAS: [u64; 3] = [PAGE, 0x8020_0000, 0xc000_0000];

/// Their frames.
const FRAMES: [u64; 3] = [FRAME, 0xa020_0000, 0x1_4000_0000];

/// A device with a page of each size; where the three leaves stand.
fn levels(m: &mut Rig) -> [u64; 3] {
    m.start();
    let root = m.sv39(DEV, PSCID);
    [0, 1, 2].map(|l| m.map(root, IOVAS[l as usize], FRAMES[l as usize], RWX, l))
}

/// Changes each leaf of [`levels`] by `spoil`, for each of its results: every access is then a page fault, and passes
/// again with the good leaf.
fn spoilt_leaves(m: &mut Rig, spoil: impl Fn(u64) -> Vec<u64>) {
    let slots = levels(m);
    for (l, slot) in slots.into_iter().enumerate() {
        let good = m.load(slot);
        for bad in spoil(good) {
            m.store(slot, bad);
            let cases = ACCESSES.map(|access| (request(DEV, access, IOVAS[l]), page_fault(access)));
            m.refuses_each(&cases);
        }
        m.store(slot, good);
        m.grants_each(&ACCESSES.map(|access| (request(DEV, access, IOVAS[l]), FRAMES[l])));
    }
}

/// The same for the table entries on the way to [`PAGE`].
fn spoilt_tables(m: &mut Rig, spoil: impl Fn(u64) -> Vec<u64>) {
    m.start();
    let root = m.device_with_page();
    for l in [1, 2] {
        let slot = m.pte(root, PAGE, l);
        let good = m.load(slot);
        for bad in spoil(good) {
            m.store(slot, bad);
            let cases = ACCESSES.map(|access| (request(DEV, access, PAGE), page_fault(access)));
            m.refuses_each(&cases);
        }
        m.store(slot, good);
        m.grants(request(DEV, Access::Write, PAGE), FRAME);
        m.invalidate(Cmd::VMA);
    }
}

fn s1_02_each_bit_of_the_virtual_page_number_indexes_its_table(m: &mut Rig) {
    // Given a page for each bit of VPN2, VPN1 and VPN0 (bit 38 with the sign bits above it)
    m.start();
    let root = m.sv39(DEV, PSCID);
    let mut cases = vec![];
    for (i, bit) in (0..).zip(12..39) {
        let iova = if bit == 38 { !0 << 38 } else { 1 << bit };
        m.map(root, iova, FRAME + i * 0x1000, RWX, 0);
        cases.push((request(DEV, Access::Read, iova), FRAME + i * 0x1000));
    }
    // Then each reaches its own frame, and address 0 and the sum of all are not mapped
    m.grants_each(&cases);
    m.refuses_each(&[
        (request(DEV, Access::Read, 0), 13),
        (request(DEV, Access::Read, 0x3f_ffff_f000), 13),
    ]);
}

fn s1_02_tables_have_512_entries_of_8_bytes_on_three_levels(m: &mut Rig) {
    // Given a walk through entry 511 of each table, and entries beside it that lead elsewhere
    m.start();
    let root = m.sv39(DEV, PSCID);
    let (middle, last) = (m.page(), m.page());
    m.store(root + 0xff8, leaf(middle, TABLE));
    m.store(middle + 0xff8, leaf(last, TABLE));
    m.store(last + 0xff8, leaf(FRAME, RWX));
    m.store(last + 0x1000, leaf(OTHER, RWX));
    m.store(last + 0xff0, leaf(OTHER, RWX));
    let before = m.dut.reads(Purpose::Pte);
    // Then the last page of the address space leads where it should, by three reads at most
    m.grants(request(DEV, Access::Read, 0xffff_ffff_ffff_f000), FRAME);
    assert!(m.dut.reads(Purpose::Pte) - before <= 3);
    m.grants(request(DEV, Access::Read, 0xffff_ffff_ffff_e000), OTHER);
}

fn s1_05_bits_63_to_38_must_be_equal(m: &mut Rig) {
    // Given pages in the lower and the upper half
    m.start();
    let root = m.device_with_page();
    let upper = (!0 << 38) | PAGE;
    m.map(root, upper, OTHER, RWX, 0);
    m.grants(request(DEV, Access::Read, PAGE), FRAME);
    m.grants(request(DEV, Access::Read, upper), OTHER);
    let read = m.dut.reads(Purpose::Pte);
    for bit in 38..64 {
        // When one of the upper bits differs from the others
        let mut cases = vec![];
        for iova in [PAGE ^ (1 << bit), upper ^ (1 << bit)] {
            for access in ACCESSES {
                cases.push((request(DEV, access, iova), page_fault(access)));
            }
        }
        // Then it is a page fault
        m.refuses_each(&cases);
    }
    // ... for which no table was read
    assert_eq!(m.dut.reads(Purpose::Pte), read);
    m.grants(request(DEV, Access::Read, PAGE), FRAME);
}

fn s1_05_a_bad_address_is_refused_while_its_truncation_is_cached(m: &mut Rig) {
    // Given cached pages of all sizes
    levels(m);
    for (iova, frame) in IOVAS.into_iter().zip(FRAMES) {
        m.grants(request(DEV, Access::Read, iova), frame);
        for bit in [39, 40, 45, 60, 63] {
            // When an address that differs only above bit 38 follows, Then it does not hit
            m.refuses(request(DEV, Access::Read, iova | (1 << bit)), 13);
            m.grants(request(DEV, Access::Read, iova), frame);
        }
    }
}

fn s1_07_the_walk_starts_at_the_root_of_the_context(m: &mut Rig) {
    // Given roots at the ends of memory, each with a gigabyte page in another entry
    m.start();
    for (did, root) in (1..).zip([0x0u64, 0x1000, 0x8000_0000, 0xffff_f000]) {
        let entry = u64::from(did) * 100;
        m.store(root + entry * 8, leaf(u64::from(did) << 30, RWX));
        m.dc(did, [TC_V, 0, u64::from(did) << 12, SV39 | (root >> 12)]);
        // Then the entry at root + VPN x 8 is used
        let iova = if entry < 256 {
            entry << 30
        } else {
            (entry << 30) | (!0 << 39)
        };
        m.grants(
            request(did, Access::Read, iova + 0x123),
            (u64::from(did) << 30) + 0x123,
        );
        m.refuses(request(did, Access::Read, iova ^ (1 << 30)), 13);
    }
}

/// Reads of each level's entry end with `status`: the cause is as `cause` says.
fn a_broken_entry(m: &mut Rig, status: MemStatus, cause: fn(Access) -> u64) {
    m.start();
    let root = m.device_with_page();
    for l in 0..3 {
        // Given that the entry of one level cannot be had
        let slot = m.pte(root, PAGE, l);
        m.break_reads(slot, 8, status);
        // Then every access is refused
        m.refuses_each(&ACCESSES.map(|access| (request(DEV, access, PAGE), cause(access))));
        // And its neighbour does not matter
        m.break_reads(slot, 8, MemStatus::Ok);
        m.break_reads(slot ^ 8, 8, status);
        m.grants_each(&ACCESSES.map(|access| (request(DEV, access, PAGE), FRAME)));
        m.break_reads(slot ^ 8, 8, MemStatus::Ok);
        m.invalidate(Cmd::VMA);
    }
}

fn s1_09_a_refused_read_of_any_level_is_an_access_fault(m: &mut Rig) {
    a_broken_entry(m, MemStatus::Access, access_fault);
}

fn s1_10_a_poisoned_entry_is_274(m: &mut Rig) {
    a_broken_entry(m, MemStatus::Corrupt, |_| 274);
}

fn s1_09_a_table_beyond_pas_is_an_access_fault(m: &mut Rig) {
    m.start();
    let root = m.device_with_page();
    for l in [1, 2] {
        let slot = m.pte(root, PAGE, l);
        let good = m.load(slot);
        for bit in m.pas()..56 {
            // When a pointer has a bit beyond PAS set, over a good table where a truncated one would lead
            m.store(slot, good | (1 << (bit - 2)));
            // Then its use is an access fault by kind
            m.refuses_each(
                &ACCESSES.map(|access| (request(DEV, access, PAGE), access_fault(access))),
            );
        }
        m.store(slot, good);
        m.grants(request(DEV, Access::Read, PAGE), FRAME);
        m.invalidate(Cmd::VMA);
    }
}

fn s1_11_v_clear_at_any_level(m: &mut Rig) {
    spoilt_leaves(m, |good| vec![good & !pte::V, 0, !pte::V]);
    let root = m.sv39(6, 6);
    m.map(root, PAGE, FRAME, RWX, 0);
    for l in [1, 2] {
        let slot = m.pte(root, PAGE, l);
        let good = m.load(slot);
        m.store(slot, good & !pte::V);
        m.invalidate(Cmd::VMA);
        m.refuses_each(&ACCESSES.map(|access| (request(6, access, PAGE), page_fault(access))));
        m.store(slot, good);
    }
    m.grants(request(6, Access::Read, PAGE), FRAME);
}

fn s1_12_writable_without_readable(m: &mut Rig) {
    // xwr = 010 (shadow stack) and 110
    spoilt_leaves(m, |good| vec![good & !(pte::R | pte::X), good & !pte::R]);
}

fn s1_13_bits_58_to_54(m: &mut Rig) {
    spoilt_leaves(m, |good| (54..59).map(|bit| good | (1 << bit)).collect());
    m.reset();
    spoilt_tables(m, |good| (54..59).map(|bit| good | (1 << bit)).collect());
}

fn s1_14_bits_60_and_59(m: &mut Rig) {
    spoilt_leaves(m, |good| {
        vec![good | (1 << 59), good | (1 << 60), good | (3 << 59)]
    });
    m.reset();
    spoilt_tables(m, |good| vec![good | (1 << 59), good | (1 << 60)]);
}

fn s1_15_bits_62_and_61(m: &mut Rig) {
    spoilt_leaves(m, |good| (1..4).map(|pbmt| good | (pbmt << 61)).collect());
}

fn s1_16_readable_or_executable_is_a_leaf_and_the_rest_a_table(m: &mut Rig) {
    let slots = levels(m);
    for (l, slot) in slots.into_iter().enumerate().skip(1) {
        // Given entries above level 0 with R or X: they are leaves
        for (bits, access) in [(pte::R, Access::Read), (pte::X, Access::Exec)] {
            m.store(slot, leaf(FRAMES[l], pte::V | bits | pte::U | pte::A));
            m.grants(request(DEV, access, IOVAS[l]), FRAMES[l]);
            m.invalidate(Cmd::VMA);
        }
        // Given one without either, Then it points to a table
        let table = m.page();
        let mut frame = FRAMES[l];
        m.store(slot, leaf(table, TABLE));
        if l == 2 {
            frame = 0xb020_0000;
        }
        m.store(table, leaf(frame, RWX));
        m.grants(request(DEV, Access::Read, IOVAS[l]), frame);
        m.invalidate(Cmd::VMA);
    }
}

fn s1_16_a_table_at_level_0(m: &mut Rig) {
    // Given a pointer where only a leaf may stand, to a page full of good leaves
    m.start();
    let root = m.device_with_page();
    let beyond = m.page();
    for i in 0..512 {
        m.store(beyond + 8 * i, leaf(FRAME, RWX));
    }
    let slot = m.pte(root, PAGE, 0);
    m.store(slot, leaf(beyond, TABLE));
    // Then it is a page fault
    m.refuses_each(&ACCESSES.map(|access| (request(DEV, access, PAGE), page_fault(access))));
    m.map(root, PAGE, FRAME, RWX, 0);
    m.grants(request(DEV, Access::Read, PAGE), FRAME);
}

fn s1_17_a_table_entry_with_d_a_or_u(m: &mut Rig) {
    spoilt_tables(m, |good| vec![good | pte::D, good | pte::A, good | pte::U]);
}

fn s1_18_a_table_entry_with_pbmt_or_n(m: &mut Rig) {
    spoilt_tables(m, |good| {
        vec![
            good | (1 << 61),
            good | (2 << 61),
            good | (3 << 61),
            good | pte::N,
        ]
    });
}

fn s1_30_entries_are_little_endian(m: &mut Rig) {
    // Given a gigabyte leaf in little-endian bytes, and one in big-endian bytes
    m.start();
    let root = m.sv39(DEV, PSCID);
    let good = leaf(0xc000_0000, RWX);
    m.dut.mem_write(root + 8, &good.to_le_bytes());
    m.dut.mem_write(root + 16, &good.to_be_bytes());
    // Then the first is a leaf; in the second V is not where it should be
    m.grants(request(DEV, Access::Read, 0x4000_0000), 0xc000_0000);
    m.refuses(request(DEV, Access::Read, 0x8000_0000), 13);
}
