//! Register access rules (REG, HPM-14).

use portcullis_sim::core::Access;
use portcullis_tests::conformance::*;
use portcullis_tests::*;

conformance!(
    reg_01_every_register_stands_at_its_offset_and_nothing_else_answers,
    reg_01_the_queue_pointers_stand_at_their_offsets,
    reg_02_words_are_read_whole_while_they_change,
    reg_02_words_are_written_whole,
    reg_03_halves_and_wholes_of_64_bit_registers_agree,
    reg_03_halves_are_written_in_either_order,
    reg_05_the_low_half_stands_at_the_low_address,
    reg_05_asking_for_big_endian_changes_no_register,
    reg_06_registers_of_absent_features_read_zero_and_ignore_writes,
    reg_07_reserved_offsets_read_zero_and_ignore_writes,
    reg_07_reserved_fields_read_zero,
    reg_09_ones_in_reserved_fields_have_no_effect,
    reg_10_one_clears_and_zero_keeps,
    reg_10_bits_without_their_feature_and_status_bits_ignore_ones,
    reg_11_any_write_leaves_a_legal_value,
    accesses_across_registers_or_unaligned_do_nothing,
    ; tiny:
    hpm_14_counters_read_zero_and_ignore_writes,
);

/// capabilities (REG-01, REG-03, REG-05).
const CAPABILITIES: Each<u64> = Each {
    tiny: 0x0000_0020_1000_0210,
    linux: 0x0000_0c28_e000_0e10,
};

/// Offsets of the 4-byte words that every configuration implements (REG-01).
const WORDS: [u16; 16] = [0, 4, 8, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 72, 76, 84];

/// Registers that `linux` has beyond that, each with a value that it keeps: an entry of msi_cfg_tbl for each of four
/// vectors, four counters with their events, the debug interface, icvec.
fn more_registers() -> Vec<(u16, bool, u64)> {
    let mut all = vec![
        (92, false, 0x1f),
        (600, true, 0xabcd_e000),
        (608, true, (77 << 40) | (3 << 12) | (1 << 32) | 0xa),
    ];
    all.push((760, true, 0x0321));
    for i in 0..4 {
        let n = u64::from(i);
        all.push((104 + 8 * i, true, 0x1111_0000 + n));
        all.push((352 + 8 * i, true, (n + 1) | (1 << 60) | (n << 36)));
        all.push((768 + 16 * i, true, 0x12_3456_7890 + 4 * n));
        all.push((776 + 16 * i, false, 0x9876_0000 + n));
        all.push((780 + 16 * i, false, 1));
    }
    all
}

fn reg_01_every_register_stands_at_its_offset_and_nothing_else_answers(m: &mut Rig) {
    // Given a distinct value in every register that takes one
    m.write64(reg::CQB, (0x1_2345 << 10) | 3);
    m.write64(reg::FQB, (0x5_4321 << 10) | 4);
    m.write32(reg::CQT, 9);
    m.write32(reg::FQH, 17);
    m.ddtp_at(0x7777_7000, 1);
    let more = m.pick(Each {
        tiny: vec![],
        linux: more_registers(),
    });
    for (offset, wide, value) in &more {
        m.dut.reg_write(*offset, *wide, *value);
    }
    // When every word of the page is read
    let words: Vec<u64> = (0..4096).step_by(4).map(|o| m.read32(o)).collect();
    let at = |offset: u16| words[usize::from(offset / 4)];
    // Then each register shows its value at its offset, and everything else 0
    assert_eq!(at(0) | (at(4) << 32), m.pick(CAPABILITIES));
    assert_eq!(at(8), m.pick(Each { tiny: 2, linux: 0 }));
    assert_eq!(at(16) | (at(20) << 32), (0x7_7777 << 10) | 1);
    assert_eq!(at(24) | (at(28) << 32), (0x1_2345 << 10) | 3);
    assert_eq!((at(32), at(36)), (0, 9));
    assert_eq!(at(40) | (at(44) << 32), (0x5_4321 << 10) | 4);
    assert_eq!((at(48), at(52)), (17, 0));
    assert_eq!((at(72), at(76), at(84)), (0, 0, 0));
    let mut known = WORDS.to_vec();
    for (offset, wide, value) in more {
        assert_eq!(at(offset), value & 0xffff_ffff, "offset {offset}");
        known.push(offset);
        if wide {
            assert_eq!(at(offset + 4), value >> 32, "offset {}", offset + 4);
            known.push(offset + 4);
        }
    }
    // iohpmcycles has been counting since reset
    known.extend(m.pick(Each {
        tiny: [0; 2],
        linux: [96, 100],
    }));
    for offset in (0..4096u16).step_by(4).filter(|o| !known.contains(o)) {
        assert_eq!(at(offset), 0, "offset {offset}");
    }
}

fn reg_01_the_queue_pointers_stand_at_their_offsets(m: &mut Rig) {
    // Given a machine that has executed three commands and recorded two faults
    m.start();
    for _ in 0..3 {
        m.run(Cmd::VMA);
    }
    m.ask(request(1, Access::Read, 0x1000));
    m.ask(request(2, Access::Read, 0x2000));
    m.dut.settle();
    // Then the pointers show it at 32, 36, 48 and 52, the control registers at 72 and 76
    assert_eq!((m.read32(32), m.read32(36)), (3, 3));
    assert_eq!((m.read32(48), m.read32(52)), (0, 2));
    assert_eq!(
        (m.read32(72), m.read32(76)),
        (csr::EN | csr::ON, csr::EN | csr::ON)
    );
    // When fie is set, Then the next record shows in ipsr at 84
    m.write32(76, csr::EN | csr::IE);
    m.ask(request(3, Access::Read, 0x3000));
    m.dut.settle();
    assert_eq!(m.read32(84), 2);
}

fn reg_02_words_are_read_whole_while_they_change(m: &mut Rig) {
    // Given 200 commands
    m.start();
    for _ in 0..200 {
        m.push(Cmd::VMA);
    }
    // When cqh is read again and again while the queue runs
    m.ring();
    let last = std::cell::Cell::new(0);
    m.wait_for(reg::CQH, |cqh| {
        // Then it only counts up: no mixture of an old and a new value shows
        assert!(
            (last.get()..=200).contains(&cqh),
            "cqh went from {} to {cqh}",
            last.get()
        );
        last.set(cqh);
        cqh == 200
    });
}

fn reg_02_words_are_written_whole(m: &mut Rig) {
    // Given two directories, of which only the second has a valid context
    m.dc_at(0x1fff_f000 + 5 * 32, [TC_V, 0, 0, 0]);
    m.queues(7, 7);
    for _ in 0..3 {
        // When one 4-byte write changes both the mode and every bit of the PPN
        m.ddtp_at(0xe000_0000, 1);
        m.write32(reg::DDTP, (0x1_ffff << 10) | 2);
        // Then both have changed together
        assert_eq!(m.wait(reg::DDTP, 1 << 4, 0), (0x1_ffff << 10) | 2);
        m.grants(request(DEV, Access::Read, 0x1234), 0x1234);
        m.ddtp(0);
    }
    m.no_faults();
    // And the same for the size and the page number of a queue
    m.write32(reg::CQCSR, 0);
    m.wait(reg::CQCSR, csr::ON | csr::BUSY, 0);
    for value in [
        (0xa_a5a5 << 10) | 2,
        (0x5_5a5a << 10) | 5,
        (0xa_a5a5 << 10) | 2,
    ] {
        m.write32(reg::CQB, value);
        assert_eq!(m.read32(reg::CQB), value);
    }
}

fn reg_03_halves_and_wholes_of_64_bit_registers_agree(m: &mut Rig) {
    for (offset, value) in [
        (reg::DDTP, (0xa_bcde << 10) | 1),
        (reg::CQB, (0xd_cba9 << 10) | 6),
        (reg::FQB, (0x8_7654 << 10) | 7),
    ] {
        // When all 8 bytes are written at once
        m.write64(offset, value);
        m.wait(reg::DDTP, 1 << 4, 0);
        // Then both halves and the whole show it
        assert_eq!(m.read64(offset), value);
        assert_eq!(m.read32(offset), value & 0xffff_ffff);
        assert_eq!(m.read32(offset + 4), value >> 32);
    }
    // And read-only registers can be read both ways too
    let capabilities = m.pick(CAPABILITIES);
    assert_eq!(m.read64(reg::CAPABILITIES), capabilities);
    assert_eq!(m.read32(reg::CAPABILITIES), capabilities & 0xffff_ffff);
    assert_eq!(m.read32(reg::CAPABILITIES + 4), capabilities >> 32);
    assert_eq!(m.read64(reg::ICVEC), 0);
}

fn reg_03_halves_are_written_in_either_order(m: &mut Rig) {
    for (offset, low) in [(reg::CQB, 3), (reg::FQB, 5), (reg::DDTP, 1)] {
        for high_first in [true, false] {
            // Given another value in the register
            m.write64(offset, (0xf_0f0f << 10) | 1);
            m.wait(reg::DDTP, 1 << 4, 0);
            // When the two halves of a new value are written one by one
            let value = (0x6_6999 << 10) | low;
            let halves = [(offset, value & 0xffff_ffff), (offset + 4, value >> 32)];
            let order = if high_first { [1, 0] } else { [0, 1] };
            for i in order {
                m.write32(halves[i].0, halves[i].1);
                m.wait(reg::DDTP, 1 << 4, 0);
            }
            // Then the register holds it
            assert_eq!(
                m.read64(offset),
                value,
                "offset {offset}, high first {high_first}"
            );
        }
    }
}

fn reg_05_the_low_half_stands_at_the_low_address(m: &mut Rig) {
    // Given a value whose bytes all differ
    let value = (0x3_1b2f << 10) | 5;
    m.write64(reg::CQB, value);
    // Then the 4-byte word at the register's own offset is the low one
    assert_eq!(m.read32(reg::CQB), value & 0xffff_ffff);
    assert_eq!(m.read32(reg::CQB + 4), value >> 32);
    // And capabilities.version, the lowest byte, shows in the word at 0 and PAS in that at 4
    assert_eq!(m.read32(reg::CAPABILITIES) & 0xff, 0x10);
    let pas = u64::from(m.pas());
    assert_eq!(m.read32(reg::CAPABILITIES + 4) & 0x3f, pas);
}

fn reg_05_asking_for_big_endian_changes_no_register(m: &mut Rig) {
    // Given registers with values
    m.write64(reg::FQB, (0x9_8765 << 10) | 2);
    // When software asks for big-endian memory
    m.write32(reg::FCTL, 1);
    // Then registers read as before, and take values as before
    assert_eq!(m.read64(reg::FQB), (0x9_8765 << 10) | 2);
    m.write32(reg::FQB, (0x1_2345 << 10) | 3);
    assert_eq!(m.read32(reg::FQB), (0x1_2345 << 10) | 3);
    assert_eq!(m.read64(reg::CAPABILITIES), m.pick(CAPABILITIES));
}

/// Words in `first..end` read 0 and stay so when ones are written, 4 and 8 bytes at a time.
fn is_void(m: &mut Rig, first: u16, end: u16) {
    let before = (m.read64(reg::DDTP), m.read64(reg::CQB), m.read64(reg::FQB));
    for offset in (first..end).step_by(4) {
        m.write32(offset, 0xffff_ffff);
        assert_eq!(m.read32(offset), 0, "offset {offset}");
        if offset % 8 == 0 && offset + 4 < end {
            m.write64(offset, u64::MAX);
            assert_eq!(m.read64(offset), 0, "offset {offset}");
        }
    }
    let after = (m.read64(reg::DDTP), m.read64(reg::CQB), m.read64(reg::FQB));
    assert_eq!(
        after, before,
        "a write to {first}..{end} reached another register"
    );
}

fn reg_06_registers_of_absent_features_read_zero_and_ignore_writes(m: &mut Rig) {
    // Given a running machine without ATS and QoS, and without debug interface and message interrupts
    m.start();
    // Then pqb, pqh, pqt, pqcsr, iommu_qosid, the debug registers and msi_cfg_tbl are not there; nor, where there are
    // counters and messages, those beyond their number
    let absent = m.pick(Each {
        tiny: vec![(600, 628), (768, 1024)],
        linux: vec![(136, 352), (384, 600), (624, 628), (832, 1024)],
    });
    is_void(m, 56, 72);
    is_void(m, 80, 84);
    for (first, end) in absent {
        is_void(m, first, end);
    }
    // And the machine runs on
    m.fence();
    assert_eq!(m.read32(reg::IPSR), 0);
}

fn hpm_14_counters_read_zero_and_ignore_writes(m: &mut Rig) {
    m.wires();
    // Given a machine without counters that has work
    m.start();
    m.device_with_page();
    m.grants(request(DEV, Access::Read, PAGE), FRAME);
    // Then 88 to 599 are not there
    is_void(m, 88, 600);
    assert_eq!(m.read32(reg::IPSR), 0);
    assert_eq!(m.dut.irq(), 0);
}

fn reg_07_reserved_offsets_read_zero_and_ignore_writes(m: &mut Rig) {
    m.start();
    is_void(m, 12, 16);
    is_void(m, 628, 688);
    // The one custom register, linectl: one bit in `linux` and its variants (REG-08)
    let bits = m.pick(Each { tiny: 0, linux: 1 });
    m.write32(688, 0xffff_ffff);
    assert_eq!(m.read32(688), bits);
    m.write64(688, 0);
    assert_eq!(m.read64(688), 0, "it has 4 bytes");
    assert_eq!(m.read32(688), bits, "it has 4 bytes");
    is_void(m, 692, 760);
    is_void(m, 1024, 4096);
    m.fence();
}

fn reg_07_reserved_fields_read_zero(m: &mut Rig) {
    // When ones are written to every implemented register (ddtp in a mode that it takes)
    m.write64(reg::CQB, u64::MAX);
    m.write64(reg::FQB, u64::MAX);
    m.write32(reg::CQT, 0xffff_ffff);
    m.write32(reg::FQH, 0xffff_ffff);
    m.write64(reg::DDTP, !0xf | 1);
    m.wait(reg::DDTP, 1 << 4, 0);
    m.write32(reg::FCTL, 0xffff_ffff);
    m.write64(reg::ICVEC, u64::MAX);
    m.write32(reg::IPSR, 0xffff_ffff);
    // Then reserved bits read 0: 63:54 and those between PPN and the low fields
    assert_eq!(m.read64(reg::DDTP) & !0x003f_ffff_ffff_fc1f, 0);
    assert_eq!(m.read64(reg::CQB) & !0x003f_ffff_ffff_fc1f, 0);
    assert_eq!(m.read64(reg::FQB) & !0x003f_ffff_ffff_fc1f, 0);
    assert_eq!(m.read32(reg::FCTL) & !0x7, 0);
    assert_eq!(m.read64(reg::ICVEC) & !0xffff, 0);
    assert_eq!(m.read32(reg::IPSR) & !0xf, 0);
    // And so they do in the control registers, switched on last; cqt = 0 keeps the queue still
    m.write32(reg::CQT, 0);
    m.write32(reg::CQCSR, 0xffff_ffff);
    m.write32(reg::FQCSR, 0xffff_ffff);
    assert_eq!(m.read32(reg::CQCSR) & !0x3_0f03, 0);
    assert_eq!(m.read32(reg::FQCSR) & !0x3_0303, 0);
}

fn reg_09_ones_in_reserved_fields_have_no_effect(m: &mut Rig) {
    m.wires();
    // Given a running machine with a mapped page
    m.start();
    m.device_with_page();
    // When software sets every reserved bit of the control registers along with the bits it means
    m.write32(reg::CQCSR, 0xfff0_f0fc | csr::EN);
    m.write32(reg::FQCSR, 0xfff0_fcfc | csr::EN);
    // Then exactly the meant bits are set
    assert_eq!(m.read32(reg::CQCSR), csr::EN | csr::ON);
    assert_eq!(m.read32(reg::FQCSR), csr::EN | csr::ON);
    // And both queues do their work
    m.fence();
    m.grants(request(DEV, Access::Read, PAGE), FRAME);
    m.refuses(request(DEV, Access::Read, PAGE + 0x1000), 13);
    assert_eq!((m.read32(reg::IPSR), m.dut.irq()), (0, 0));
}

fn reg_10_one_clears_and_zero_keeps(m: &mut Rig) {
    m.wires();
    // Given cmd_ill, then fence_w_ip set beside it, and their pending bit
    m.start();
    m.write32(reg::CQCSR, csr::EN | csr::IE);
    m.push(Cmd::FENCE.with(Cmd::WSI));
    m.push(Cmd(0, 0));
    m.ring();
    m.wait(reg::CQCSR, csr::CMD_ILL, csr::CMD_ILL);
    let both = csr::CMD_ILL | csr::FENCE_W_IP;
    assert_eq!(m.read32(reg::CQCSR) & both, both);
    // When zeros are written, Then they stay
    m.write32(reg::CQCSR, csr::EN);
    assert_eq!(m.read32(reg::CQCSR) & both, both);
    m.write32(reg::IPSR, 0);
    assert_eq!(m.read32(reg::IPSR), 1);
    // When a one is written to one of them, Then that one goes and the other stays
    m.write32(reg::CQCSR, csr::EN | csr::FENCE_W_IP);
    assert_eq!(m.read32(reg::CQCSR) & both, csr::CMD_ILL);
    m.put(1, Cmd::VMA);
    m.write32(reg::CQCSR, csr::EN | csr::CMD_ILL);
    assert_eq!(m.read32(reg::CQCSR) & both, 0);
    m.write32(reg::IPSR, 1);
    assert_eq!(m.read32(reg::IPSR), 0);
}

fn reg_10_bits_without_their_feature_and_status_bits_ignore_ones(m: &mut Rig) {
    // When ones are written to cmd_to (no ATS), pmip (no HPM) and pip (no ATS), Then they read 0
    m.write32(reg::CQCSR, 1 << 9);
    m.write32(reg::IPSR, 0xc);
    assert_eq!(m.read32(reg::CQCSR), 0);
    assert_eq!(m.read32(reg::IPSR), 0);
    // When ones are written to on and busy, Then the queues stay off
    m.write32(reg::CQCSR, csr::ON | csr::BUSY);
    m.write32(reg::FQCSR, csr::ON | csr::BUSY);
    m.write64(reg::DDTP, 1 << 4);
    m.wait(reg::DDTP, 1 << 4, 0);
    assert_eq!(m.read32(reg::CQCSR), 0);
    assert_eq!(m.read32(reg::FQCSR), 0);
    // And zeros there do not switch a running queue off
    m.queues(7, 7);
    m.write32(reg::CQCSR, csr::EN);
    m.write32(reg::FQCSR, csr::EN);
    assert_eq!(m.read32(reg::CQCSR), csr::EN | csr::ON);
    assert_eq!(m.read32(reg::FQCSR), csr::EN | csr::ON);
    m.fence();
}

fn reg_11_any_write_leaves_a_legal_value(m: &mut Rig) {
    // When anything at all is written to fields that take only some values
    let mut x = 0x9e37_79b9_7f4a_7c15u64;
    for _ in 0..48 {
        x = x
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        let value = x ^ (x >> 29);
        for offset in [reg::DDTP, reg::CQB, reg::FQB, reg::ICVEC] {
            m.write64(offset, value);
        }
        for offset in [reg::FCTL, reg::CQT, reg::FQH] {
            m.write32(offset, value);
        }
        // Then what reads back is legal
        let ddtp = m.wait(reg::DDTP, 1 << 4, 0);
        let deepest = m.pick(Each { tiny: 2, linux: 4 });
        assert!(
            (0..=deepest).contains(&(ddtp & 0xf)),
            "{value:#x}: ddtp {ddtp:#x}"
        );
        let (cqb, fqb) = (m.read64(reg::CQB), m.read64(reg::FQB));
        let (cqt, fqh) = (m.read32(reg::CQT), m.read32(reg::FQH));
        assert!(
            cqt < 2 << (cqb & 0x1f),
            "{value:#x}: cqb {cqb:#x} cqt {cqt:#x}"
        );
        assert!(
            fqh < 2 << (fqb & 0x1f),
            "{value:#x}: fqb {fqb:#x} fqh {fqh:#x}"
        );
        let (fctl, icvec) = m.pick(Each {
            tiny: (vec![2], 0),
            linux: (vec![0, 2], 0x333),
        });
        assert!(fctl.contains(&m.read32(reg::FCTL)));
        assert_eq!(m.read64(reg::ICVEC) & !icvec, 0);
    }
}

/// The specification leaves these accesses open; here they end, read 0 and change nothing.
fn accesses_across_registers_or_unaligned_do_nothing(m: &mut Rig) {
    // Given a running machine whose cycle counter, if there is one, stands still
    m.start();
    m.write32(92, 1);
    let word = |m: &mut Rig| {
        (0..4096)
            .step_by(4)
            .map(|o| m.read32(o))
            .collect::<Vec<_>>()
    };
    let before = word(m);
    // When 8 bytes are accessed at a 4-byte register or between two registers, or anything at an odd address
    for offset in [8, 12, 20, 32, 36, 48, 52, 72, 76, 80, 84] {
        m.write64(offset, u64::MAX);
        assert_eq!(m.read64(offset), 0, "8 bytes at {offset}");
    }
    for offset in [1, 2, 3, 17, 18, 25, 33, 38, 42, 73, 77, 86] {
        for wide in [false, true] {
            m.dut.reg_write(offset, wide, u64::MAX);
            assert_eq!(m.dut.reg_read(offset, wide), 0, "at {offset}, wide {wide}");
        }
    }
    // Then nothing has changed
    assert_eq!(word(m), before);
    m.fence();
}
