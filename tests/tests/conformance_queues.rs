//! Base, head and tail registers of the queues (CQB, CQH, CQT, FQB, FQH).

use portcullis_sim::core::Access;
use portcullis_tests::conformance::*;
use portcullis_tests::*;

conformance!(
    cqb_01_every_size_from_2_entries_wraps_where_it_should,
    cqb_01_commands_come_from_where_cqb_points,
    cqb_04_cqt_fits_the_queue_after_a_new_size,
    cqb_04_a_queue_starts_empty_after_cqb_and_cqt_are_written,
    cqb_05_the_largest_size_is_found_by_asking_for_31,
    cqb_05_the_page_number_reads_back_as_written,
    cqh_01_cqh_counts_commands_and_ignores_writes,
    cqt_01_only_index_bits_of_the_size_are_kept,
    cqt_01_the_machine_obeys_what_reads_back,
    fqb_01_records_of_32_bytes_go_where_fqb_points,
    fqb_01_every_size_from_2_entries_wraps_where_it_should,
    fqb_02_fqh_fits_the_queue_after_a_new_size,
    fqh_01_fqh_keeps_index_bits_and_fqt_ignores_writes,
);

/// The largest LOG2SZ-1 of both queues.
const LARGEST: Each<u64> = Each { tiny: 7, linux: 12 };

fn cqb_01_every_size_from_2_entries_wraps_where_it_should(m: &mut Rig) {
    for n in 0..=7 {
        // Given a queue of 2^(n+1) entries
        m.command_queue_at(CQ, n);
        let entries = 2 << n;
        assert_eq!(m.read64(reg::CQB) & 0x1f, n);
        // When as many commands as it has entries and two more go through it, N-1 at a time
        for i in 0..entries + 2 {
            m.push(Cmd::FENCE.store(SCRATCH + 8 * (i % 4), i as u32));
            if (i + 1) % (entries - 1) == 0 {
                m.finish();
            }
        }
        m.finish();
        // Then cqh has wrapped at its size, and the last command was executed
        assert_eq!(m.read32(reg::CQH), 2 % entries);
        assert_eq!(m.load(SCRATCH + 8 * ((entries + 1) % 4)), entries + 1);
        m.write32(reg::CQCSR, 0);
        m.wait(reg::CQCSR, csr::ON | csr::BUSY, 0);
    }
}

fn cqb_01_commands_come_from_where_cqb_points(m: &mut Rig) {
    for (i, at) in (1..).zip([0x0, 0x1000, 0x1234_5000, 0x8000_0000, 0xffff_f000]) {
        // Given queues at several places, in memory whose zeros are illegal commands
        m.command_queue_at(at, 4);
        // When a command is put there
        m.run(Cmd::FENCE.store(SCRATCH, i));
        // Then that one was executed
        assert_eq!(m.load(SCRATCH), u64::from(i), "queue at {at:#x}");
        assert_eq!(m.read64(reg::CQB), (at >> 12 << 10) | 4);
        m.write32(reg::CQCSR, 0);
        m.wait(reg::CQCSR, csr::ON | csr::BUSY, 0);
    }
}

fn cqb_04_cqt_fits_the_queue_after_a_new_size(m: &mut Rig) {
    let largest = m.pick(LARGEST);
    let all = (2 << largest) - 1;
    for n in 0..=largest {
        for halves in [false, true] {
            // Given cqt with all bits of the largest queue
            m.write64(reg::CQB, (CQ >> 12 << 10) | largest);
            m.write32(reg::CQT, all);
            assert_eq!(m.read32(reg::CQT), all);
            // When cqb is written with a smaller size, whole or by halves
            let cqb = (CQ >> 12 << 10) | n;
            if halves {
                m.write32(reg::CQB + 4, cqb >> 32);
                m.write32(reg::CQB, cqb & 0xffff_ffff);
            } else {
                m.write64(reg::CQB, cqb);
            }
            // Then cqt is an index of it
            assert!(
                m.read32(reg::CQT) < 2 << n,
                "size {n}: cqt {:#x}",
                m.read32(reg::CQT)
            );
        }
    }
}

fn cqb_04_a_queue_starts_empty_after_cqb_and_cqt_are_written(m: &mut Rig) {
    // Given a queue that was used up to entry 5 and switched off
    m.command_queue_at(CQ, 3);
    for i in 0..5 {
        m.run(Cmd::FENCE.store(SCRATCH, i));
    }
    m.write32(reg::CQCSR, 0);
    m.wait(reg::CQCSR, csr::ON | csr::BUSY, 0);
    m.store(SCRATCH, 77);
    // When a smaller one starts at the same place, with cqb, cqt = 0 and cqen
    m.command_queue_at(CQ, 0);
    m.dut.settle();
    // Then none of the old commands runs again, and the next one put there does
    assert_eq!((m.read32(reg::CQH), m.read32(reg::CQT)), (0, 0));
    assert_eq!(m.load(SCRATCH), 77);
    m.run(Cmd::FENCE.store(SCRATCH, 99));
    assert_eq!(m.load(SCRATCH), 99);
}

fn cqb_05_the_largest_size_is_found_by_asking_for_31(m: &mut Rig) {
    for offset in [reg::CQB, reg::FQB] {
        // When a driver asks for the largest size with page number 0
        m.write64(offset, 0x1f);
        // Then it reads back 256 or 8192 entries, and page number 0: the buffer is not fixed
        let largest = m.pick(LARGEST);
        assert_eq!(m.read64(offset), largest);
        // And any size above is cut to it
        for n in largest + 1..32 {
            m.write64(offset, n);
            assert_eq!(m.read64(offset), largest);
        }
    }
}

fn cqb_05_the_page_number_reads_back_as_written(m: &mut Rig) {
    for offset in [reg::CQB, reg::FQB] {
        let all = (1 << (m.pas() - 12)) - 1;
        for bit in 0..u64::from(m.pas() - 12) {
            // When one bit of PPN, or all but one, are written
            for ppn in [1u64 << bit, all & !(1 << bit)] {
                let value = (ppn << 10) | (bit % 8);
                m.write64(offset, value);
                // Then the register holds it
                assert_eq!(m.read64(offset), value);
            }
        }
        // And bits above PAS read 0 or as written
        m.write64(offset, (0xfff_ffff_ffff << 10) | 1);
        let read = m.read64(offset);
        assert_eq!(read & ((1 << (m.pas() - 2)) - 1), (all << 10) | 1);
        assert_eq!(read & !0x003f_ffff_ffff_fc1f, 0);
    }
}

fn cqh_01_cqh_counts_commands_and_ignores_writes(m: &mut Rig) {
    m.start();
    for i in 1..=4 {
        // When a command has run, Then cqh is one further, whatever is written there
        m.run(Cmd::VMA);
        m.write32(reg::CQH, 0xff);
        m.write32(reg::CQH, 0);
        assert_eq!(m.read32(reg::CQH), i);
    }
}

fn cqt_01_only_index_bits_of_the_size_are_kept(m: &mut Rig) {
    for n in 0..=m.pick(LARGEST) {
        // Given a queue of 2^(n+1) entries that is off
        m.write64(reg::CQB, (CQ >> 12 << 10) | n);
        // When more bits are written to cqt, Then only those of an index are kept
        for value in [0xffff_ffff, 0xaaaa_aaaa, 0x5555_5555, 0x1_0000, 1] {
            m.write32(reg::CQT, value);
            assert_eq!(m.read32(reg::CQT), value & ((2 << n) - 1));
        }
    }
}

fn cqt_01_the_machine_obeys_what_reads_back(m: &mut Rig) {
    // Given a queue of 4 entries with commands in three of them
    m.command_queue_at(CQ, 1);
    for i in 0..3 {
        m.push(Cmd::FENCE.store(SCRATCH + 8 * i, 1));
    }
    // When cqt is written with bits above the size, Then it means the index below them
    m.write32(reg::CQT, 0xffff_fff2);
    assert_eq!(m.read32(reg::CQT), 2);
    m.wait(reg::CQH, u64::MAX, 2);
    m.dut.settle();
    assert_eq!(
        (m.load(SCRATCH), m.load(SCRATCH + 8), m.load(SCRATCH + 16)),
        (1, 1, 0)
    );
    assert_eq!(m.read32(reg::CQH), 2);
    m.write32(reg::CQT, 0x8000_0003);
    m.wait(reg::CQH, u64::MAX, 3);
    m.dut.settle();
    assert_eq!(m.load(SCRATCH + 16), 1);
}

fn fqb_01_records_of_32_bytes_go_where_fqb_points(m: &mut Rig) {
    for at in [0x0, 0x1234_4000, 0x8000_0000, 0xffff_e000] {
        // Given a fault queue there, in memory full of ones
        for i in 0..6 {
            m.store(at + 24 + 8 * i, u64::MAX);
        }
        m.fault_queue_at(at, 7);
        // When two requests are refused
        m.refuses(request(1, Access::Read, 0x1000), 256);
        m.refuses(request(2, Access::Write, 0x2000), 256);
        // Then the second record lies 32 bytes behind the first, and nothing behind it has changed
        assert_eq!(m.load(at) >> 40, 1);
        assert_eq!(m.load(at + 32) >> 40, 2);
        assert_eq!(m.load(at + 48) & !0xfff, 0x2000);
        assert_eq!(m.load(at + 64), u64::MAX);
        m.write32(reg::FQCSR, 0);
        m.wait(reg::FQCSR, csr::ON | csr::BUSY, 0);
    }
}

fn fqb_01_every_size_from_2_entries_wraps_where_it_should(m: &mut Rig) {
    for n in [0, 1, 2, 3, 5] {
        // Given a fault queue of 2^(n+1) entries
        m.fault_queue_at(FQ, n);
        assert_eq!(m.read64(reg::FQB) & 0x1f, n);
        let entries = 2 << n;
        let beyond = FQ + entries * 32;
        m.store(beyond, 0x1234);
        // When one more request is refused than it has entries, N-1 at a time
        let mut left = (0..=entries as u32)
            .map(|did| (request(did, Access::Read, 0x1000), 256))
            .peekable();
        while left.peek().is_some() {
            let some: Vec<_> = left.by_ref().take(entries as usize - 1).collect();
            m.refuses_each(&some);
        }
        // Then fqt has wrapped, and nothing was written behind the last entry
        assert_eq!(m.read32(reg::FQT), 1);
        assert_eq!(m.load(beyond), 0x1234);
        m.write32(reg::FQCSR, 0);
        m.wait(reg::FQCSR, csr::ON | csr::BUSY, 0);
    }
}

fn fqb_02_fqh_fits_the_queue_after_a_new_size(m: &mut Rig) {
    let largest = m.pick(LARGEST);
    let all = (2 << largest) - 1;
    for n in 0..=largest {
        for halves in [false, true] {
            // Given fqh with all bits of the largest queue
            m.write64(reg::FQB, (FQ >> 12 << 10) | largest);
            m.write32(reg::FQH, all);
            assert_eq!(m.read32(reg::FQH), all);
            // When fqb is written with a smaller size, whole or by halves, Then fqh is an index of it
            let fqb = (FQ >> 12 << 10) | n;
            if halves {
                m.write32(reg::FQB + 4, fqb >> 32);
                m.write32(reg::FQB, fqb & 0xffff_ffff);
            } else {
                m.write64(reg::FQB, fqb);
            }
            assert!(
                m.read32(reg::FQH) < 2 << n,
                "size {n}: fqh {:#x}",
                m.read32(reg::FQH)
            );
        }
    }
}

fn fqh_01_fqh_keeps_index_bits_and_fqt_ignores_writes(m: &mut Rig) {
    for n in 0..=m.pick(LARGEST) {
        m.write64(reg::FQB, (FQ >> 12 << 10) | n);
        for value in [0xffff_ffff, 0xaaaa_aaaa, 0x5555_5555, 0x1_0000, 1] {
            m.write32(reg::FQH, value);
            assert_eq!(m.read32(reg::FQH), value & ((2 << n) - 1));
        }
    }
    // Given two records, When fqt is written, Then it still counts them
    m.fault_queue_at(FQ, 7);
    m.refuses_each(&[
        (request(1, Access::Read, 0x1000), 256),
        (request(2, Access::Read, 0x1000), 256),
    ]);
    for value in [0, 1, 0xff] {
        m.write32(reg::FQT, value);
        assert_eq!(m.read32(reg::FQT), 2);
    }
}
