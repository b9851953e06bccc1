//! Page tables of four and five levels (S1-03, S1-04).

use portcullis_sim::core::{Access, MemStatus, Purpose};
use portcullis_tests::conformance::*;
use portcullis_tests::*;

conformance!(
    ; linux:
    s1_03_sv48_each_bit_of_the_virtual_page_number_indexes_its_table,
    s1_03_sv48_has_four_levels_of_512_entries,
    s1_03_sv48_leaves_of_every_level_work,
    s1_04_sv57_each_bit_of_the_virtual_page_number_indexes_its_table,
    s1_04_sv57_has_five_levels_of_512_entries,
    s1_04_sv57_leaves_of_every_level_work,
    s1_05_bits_above_bit_47_or_56_must_equal_it,
    s1_07_the_walk_of_each_mode_starts_at_its_root,
    s1_09_a_refused_read_of_an_upper_level_is_an_access_fault,
    s1_16_upper_levels_point_or_end_as_the_others_do,
    s1_23_a_misaligned_leaf_of_an_upper_level_is_a_page_fault,
);

/// A page for each bit of the virtual page number reaches its own frame.
fn each_bit(m: &mut Rig, levels: u32) {
    m.start();
    let root = m.sv(DEV, PSCID, levels);
    let top = 11 + 9 * levels;
    let mut cases = vec![];
    for (i, bit) in (0..).zip(12..=top) {
        let iova = if bit == top { !0 << top } else { 1 << bit };
        let slot = m.pte_in(levels, root, iova, 0);
        m.store(slot, leaf(FRAME + i * 0x1000, RWX));
        cases.push((request(DEV, Access::Read, iova), FRAME + i * 0x1000));
    }
    m.grants_each(&cases);
    m.refuses_each(&[
        (request(DEV, Access::Read, 0), 13),
        (request(DEV, Access::Read, (1 << top) - 0x1000), 13),
    ]);
}

fn s1_03_sv48_each_bit_of_the_virtual_page_number_indexes_its_table(m: &mut Rig) {
    each_bit(m, 4);
}

fn s1_04_sv57_each_bit_of_the_virtual_page_number_indexes_its_table(m: &mut Rig) {
    each_bit(m, 5);
}

/// The last page of the address space is reached through the last entry of each table, with a read for each level.
fn last_entries(m: &mut Rig, levels: u32) {
    m.start();
    let root = m.sv(DEV, PSCID, levels);
    let slot = m.pte_in(levels, root, !0xfff, 0);
    assert_eq!(slot & 0xfff, 0xff8);
    m.store(slot, leaf(FRAME, RWX));
    m.store(slot - 8, leaf(OTHER, RWX));
    m.store(slot + 8, leaf(OTHER, RWX));
    let before = m.dut.reads(Purpose::Pte);
    m.grants(request(DEV, Access::Read, !0xfff), FRAME);
    assert_eq!(m.dut.reads(Purpose::Pte) - before, u64::from(levels));
    m.grants(request(DEV, Access::Read, !0x1fff), OTHER);
    // The same page without the upper bits is another one
    m.refuses(
        request(DEV, Access::Read, (1 << (11 + 9 * levels)) - 0x1000),
        13,
    );
}

fn s1_03_sv48_has_four_levels_of_512_entries(m: &mut Rig) {
    last_entries(m, 4);
}

fn s1_04_sv57_has_five_levels_of_512_entries(m: &mut Rig) {
    last_entries(m, 5);
}

/// An address in the page of each level: the bit above its offset is set.
fn iova_of(level: u32) -> u64 {
    1 << (12 + 9 * level)
}

/// Leaves at each level cover their size, and no more.
fn leaves(m: &mut Rig, levels: u32) {
    m.start();
    let root = m.sv(DEV, PSCID, levels);
    for level in 0..levels {
        // Given a leaf at that level for the second page of its size
        let size = iova_of(level);
        let slot = m.pte_in(levels, root, size, level);
        let pa = (0x00c0_0000_0000_0000 + 3 * size) & 0x00ff_ffff_ffff_ffff & !(size - 1);
        m.store(slot, leaf(pa, RWX));
        // Then its first and last bytes, and one in the middle, lead where they should
        for offset in [0, size / 2 + 0x10, size - 1] {
            m.grants(request(DEV, Access::Write, size + offset), pa + offset);
        }
        // ... cached too, and what lies behind it is not mapped
        m.grants(request(DEV, Access::Read, size + 0x123), pa + 0x123);
        m.refuses(request(DEV, Access::Read, 2 * size), 13);
        m.store(slot, 0);
        m.invalidate(Cmd::VMA.at(size + size / 2));
        m.refuses(request(DEV, Access::Read, size), 13);
        m.invalidate(Cmd::VMA);
    }
}

fn s1_03_sv48_leaves_of_every_level_work(m: &mut Rig) {
    leaves(m, 4);
}

fn s1_04_sv57_leaves_of_every_level_work(m: &mut Rig) {
    leaves(m, 5);
}

fn s1_05_bits_above_bit_47_or_56_must_equal_it(m: &mut Rig) {
    for levels in [4, 5] {
        // Given pages in the lower and the upper half
        m.start();
        let root = m.sv(DEV, PSCID, levels);
        let top = 11 + 9 * levels;
        let upper = (!0 << top) | PAGE;
        for (iova, frame) in [(PAGE, FRAME), (upper, OTHER)] {
            let slot = m.pte_in(levels, root, iova, 0);
            m.store(slot, leaf(frame, RWX));
            m.grants(request(DEV, Access::Read, iova), frame);
        }
        let read = m.dut.reads(Purpose::Pte);
        for bit in top..64 {
            // When one of the upper bits differs from the others, Then it is a page fault without memory access, though
            // the rest is cached
            m.refuses_each(&[
                (request(DEV, Access::Read, PAGE ^ (1 << bit)), 13),
                (request(DEV, Access::Write, upper ^ (1 << bit)), 15),
            ]);
        }
        assert_eq!(m.dut.reads(Purpose::Pte), read);
        m.reset();
    }
}

fn s1_07_the_walk_of_each_mode_starts_at_its_root(m: &mut Rig) {
    m.start();
    for levels in 3..=5 {
        for (i, root) in (0..).zip([0x0u64, 0x8000_0000, m.last_page()]) {
            // Given a root at either end of memory, with a leaf of the top level
            let did = levels * 8 + i;
            let index = u64::from(did);
            m.store(root + index * 8, leaf(u64::from(did) << 48, RWX));
            m.dc(did, [TC_V, 0, u64::from(did) << 12, iosatp(levels, root)]);
            // Then the entry at root + VPN x 8 is used
            let iova = index << (3 + 9 * levels);
            m.grants(request(did, Access::Read, iova), u64::from(did) << 48);
            m.refuses(
                request(did, Access::Read, iova ^ (1 << (3 + 9 * levels))),
                13,
            );
        }
    }
}

fn s1_09_a_refused_read_of_an_upper_level_is_an_access_fault(m: &mut Rig) {
    m.start();
    let root = m.sv(DEV, PSCID, 5);
    let slot = m.pte_in(5, root, PAGE, 0);
    m.store(slot, leaf(FRAME, RWX));
    for level in 0..5 {
        let slot = m.pte_in(5, root, PAGE, level);
        for (status, poison) in [(MemStatus::Access, false), (MemStatus::Corrupt, true)] {
            // Given that the entry of one level cannot be had and nothing that led past it is kept, Then every access is
            // refused by its kind, or as poisoned
            m.invalidate(Cmd::VMA);
            m.break_reads(slot, 8, status);
            let cause = |access| if poison { 274 } else { access_fault(access) };
            m.refuses_each(&ACCESSES.map(|access| (request(DEV, access, PAGE), cause(access))));
            m.break_reads(slot, 8, MemStatus::Ok);
        }
    }
    m.grants(request(DEV, Access::Read, PAGE), FRAME);
}

fn s1_16_upper_levels_point_or_end_as_the_others_do(m: &mut Rig) {
    m.start();
    let root = m.sv(DEV, PSCID, 5);
    let slot = m.pte_in(5, root, PAGE, 0);
    m.store(slot, leaf(FRAME, RWX));
    for level in [3, 4] {
        let slot = m.pte_in(5, root, PAGE, level);
        let good = m.load(slot);
        // Given a pointer of an upper level with what only a leaf may have, with reserved bits, with W alone, or
        // invalid, Then it is a page fault
        for bad in [
            good & !pte::V,
            good | pte::D,
            good | pte::A,
            good | pte::U,
            good | pte::W,
            good | pte::N,
            good | (1 << 61),
            good | (1 << 59),
            good | (1 << 54),
        ] {
            m.store(slot, bad);
            m.refuses_each(
                &ACCESSES.map(|access| (request(DEV, access, PAGE), page_fault(access))),
            );
        }
        // Given a leaf there, Then the walk ends
        m.store(slot, leaf(0, RWX));
        m.grants(request(DEV, Access::Read, PAGE), PAGE);
        m.invalidate(Cmd::VMA);
        m.store(slot, good);
        m.grants(request(DEV, Access::Read, PAGE), FRAME);
        m.invalidate(Cmd::VMA);
    }
}

fn s1_23_a_misaligned_leaf_of_an_upper_level_is_a_page_fault(m: &mut Rig) {
    m.start();
    let root = m.sv(DEV, PSCID, 5);
    for level in [3, 4] {
        let iova = iova_of(level);
        let slot = m.pte_in(5, root, iova, level);
        for bit in 12..12 + 9 * level {
            // Given a leaf whose page number has a bit below its size, Then it is a page fault
            m.store(slot, leaf(1 << bit, RWX));
            m.refuses(request(DEV, Access::Write, iova), 15);
        }
        m.store(slot, leaf(iova, RWX));
        m.grants(request(DEV, Access::Write, iova + 0x77), iova + 0x77);
        m.store(slot, 0);
        m.invalidate(Cmd::VMA);
    }
}
