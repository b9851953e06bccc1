//! capabilities and fctl (CAP, FCTL).

use portcullis_sim::core::{Access, Kind};
use portcullis_tests::conformance::*;
use portcullis_tests::*;

conformance!(
    cap_01_capabilities_hold_from_reset_on_and_ignore_writes,
    cap_02_version_is_1_0,
    cap_02_version_ignores_writes,
    cap_03_each_first_stage_mode_has_its_bit,
    cap_03_offered_modes_translate_and_the_others_are_refused,
    cap_04_no_second_stage_is_offered,
    cap_04_contexts_with_a_second_stage_are_refused,
    cap_05_neither_svpbmt_nor_svrsw60t59b_is_offered,
    cap_05_their_pte_bits_are_refused,
    cap_06_msi_ats_ad_and_end_are_not_offered,
    cap_06_contexts_and_commands_that_need_them_are_refused,
    cap_07_igs_says_which_interrupts_there_are,
    cap_07_a_wire_does_signal,
    cap_08_hpm_dbg_pd_qosid_nl_and_s_have_a_bit_each,
    cap_08_what_needs_an_absent_one_is_refused,
    cap_09_pas_is_the_width_of_physical_addresses,
    cap_09_they_bound_walks_but_not_the_translated_address,
    cap_10_reserved_and_custom_bits_read_zero,
    cap_10_reserved_and_custom_bits_ignore_writes,
    cap_11_napot_pages_work_without_a_capability_bit,
    fctl_01_fctl_is_32_bits_and_its_reserved_bits_read_zero,
    fctl_02_be_is_fixed_at_zero,
    fctl_04_gxl_is_fixed_at_zero,
    ; tiny:
    fctl_03_wsi_is_fixed_at_one,
    ; linux:
    fctl_03_wsi_is_writable_with_both_kinds,
);

/// What each configuration offers.
const CAPABILITIES: Each<u64> = Each {
    tiny: 0x0000_0020_1000_0210,
    linux: 0x0000_0c28_e000_0e10,
};

fn cap_01_capabilities_hold_from_reset_on_and_ignore_writes(m: &mut Rig) {
    let capabilities = m.pick(CAPABILITIES);
    // Given a machine straight after reset, Then capabilities hold
    assert_eq!(m.read64(reg::CAPABILITIES), capabilities);
    // When anything is written, Then they still do, also while everything runs and after another reset
    m.write64(reg::CAPABILITIES, u64::MAX);
    m.write64(reg::CAPABILITIES, 0);
    m.write32(reg::CAPABILITIES + 4, 0);
    assert_eq!(m.read64(reg::CAPABILITIES), capabilities);
    m.start();
    assert_eq!(m.read64(reg::CAPABILITIES), capabilities);
    m.reset();
    assert_eq!(m.read64(reg::CAPABILITIES), capabilities);
}

/// Bits `high:low` of capabilities.
fn offered(m: &mut Rig, high: u32, low: u32) -> u64 {
    (m.read64(reg::CAPABILITIES) >> low) & ((1 << (high - low + 1)) - 1)
}

fn cap_02_version_is_1_0(m: &mut Rig) {
    assert_eq!(offered(m, 7, 4), 1, "major");
    assert_eq!(offered(m, 3, 0), 0, "minor");
}

fn cap_02_version_ignores_writes(m: &mut Rig) {
    m.write32(reg::CAPABILITIES, 0x20);
    m.write64(reg::CAPABILITIES, 0xff);
    assert_eq!(m.read32(reg::CAPABILITIES) & 0xff, 0x10);
}

fn cap_03_each_first_stage_mode_has_its_bit(m: &mut Rig) {
    // Bits 8 to 11: Sv32, Sv39, Sv48, Sv57
    let modes = m.pick(Each {
        tiny: 0b0010,
        linux: 0b1110,
    });
    assert_eq!(offered(m, 11, 8), modes);
}

/// Devices 0.. with these contexts are each refused with `cause`; device 100 with `good` passes.
fn contexts_are_refused(m: &mut Rig, bad: &[[u64; 4]], cause: u64, good: [u64; 4]) {
    m.start();
    m.dc(100, good);
    let mut cases = vec![];
    for (did, dw) in (0u32..).zip(bad) {
        m.dc(did, *dw);
        cases.push((request(did, Access::Read, PAGE), cause));
    }
    m.refuses_each(&cases);
    m.grants(request(100, Access::Read, PAGE), PAGE);
}

fn cap_03_offered_modes_translate_and_the_others_are_refused(m: &mut Rig) {
    // Given contexts with Sv48 and Sv57 where they are not offered, and with tc.SXL for Sv32
    let root = TABLES >> 12;
    let sv32 = [TC_V | (1 << 11), 0, 0, (8 << 60) | root];
    let sv48 = [TC_V, 0, 0, (9 << 60) | root];
    let sv57 = [TC_V, 0, 0, (10 << 60) | root];
    let modes = m.pick(Each {
        tiny: vec![sv32, sv48, sv57],
        linux: vec![sv32],
    });
    // Then they are misconfigured, and each mode that is offered works
    contexts_are_refused(m, &modes, 259, [TC_V, 0, 0, 0]);
    let levels = m.pick(Each {
        tiny: 3..=3,
        linux: 3..=5,
    });
    for levels in levels {
        let root = m.sv(DEV, PSCID, levels);
        let slot = m.pte_in(levels, root, PAGE, 0);
        m.store(slot, leaf(FRAME, RWX));
        m.invalidate(Cmd::INVAL_DDT);
        m.invalidate(Cmd::VMA);
        m.grants(request(DEV, Access::Read, PAGE), FRAME);
    }
}

fn cap_04_no_second_stage_is_offered(m: &mut Rig) {
    // Bits 16 to 19: Sv32x4, Sv39x4, Sv48x4, Sv57x4
    assert_eq!(offered(m, 19, 16), 0);
}

fn cap_04_contexts_with_a_second_stage_are_refused(m: &mut Rig) {
    let bad = [8u64, 9, 10].map(|mode| [TC_V, (mode << 60) | (TABLES >> 12), 0, 0]);
    contexts_are_refused(m, &bad, 259, [TC_V, 0, 0, 0]);
}

fn cap_05_neither_svpbmt_nor_svrsw60t59b_is_offered(m: &mut Rig) {
    assert_eq!(offered(m, 15, 14), 0);
}

fn cap_05_their_pte_bits_are_refused(m: &mut Rig) {
    // Given pages with one of PTE[62:59] set each, and one without
    m.start();
    let root = m.device_with_page();
    let mut cases = vec![];
    for (i, bit) in (1..).zip(59..=62) {
        m.map(root, PAGE + i * 0x1000, FRAME, RWX | (1 << bit), 0);
        cases.push((request(DEV, Access::Read, PAGE + i * 0x1000), 13));
    }
    // Then those are page faults
    m.refuses_each(&cases);
    m.grants(request(DEV, Access::Read, PAGE), FRAME);
}

fn cap_06_msi_ats_ad_and_end_are_not_offered(m: &mut Rig) {
    // AMO_MRIF, MSI_FLAT, MSI_MRIF, AMO_HWAD, ATS, T2GPA, END
    assert_eq!(offered(m, 27, 21), 0);
}

fn cap_06_contexts_and_commands_that_need_them_are_refused(m: &mut Rig) {
    // EN_ATS, T2GPA with EN_ATS, GADE, SADE, SBE
    let bad = [1 << 1, (1 << 1) | (1 << 3), 1 << 7, 1 << 8, 1 << 10].map(|tc| [TC_V | tc, 0, 0, 0]);
    contexts_are_refused(m, &bad, 259, [TC_V, 0, 0, 0]);
    // ATS.INVAL and ATS.PRGR
    m.rejects(Cmd(0x004, 0));
    m.rejects(Cmd(0x084, 0));
    // And the context is 32 bytes, as without MSI_FLAT: device 1 stands 32 bytes behind device 0
    m.dc(101, [TC_V, 0, 0, 0]);
    m.grants(request(101, Access::Read, 0x4321), 0x4321);
}

fn cap_07_igs_says_which_interrupts_there_are(m: &mut Rig) {
    // IGS = 1: wires only; 2: both
    let igs = m.pick(Each { tiny: 1, linux: 2 });
    assert_eq!(offered(m, 29, 28), igs);
}

fn cap_07_a_wire_does_signal(m: &mut Rig) {
    m.wires();
    // Given a fault queue with its interrupt on
    m.start();
    m.write32(reg::FQCSR, csr::EN | csr::IE);
    assert_eq!(m.dut.irq(), 0);
    // When a fault is recorded
    m.refuses(request(DEV, Access::Read, 0), 258);
    // Then the wire is high until software clears the pending bit
    m.dut.step(2);
    assert_eq!(m.dut.irq(), 1);
    m.write32(reg::IPSR, 2);
    m.dut.step(2);
    assert_eq!(m.dut.irq(), 0);
}

fn cap_08_hpm_dbg_pd_qosid_nl_and_s_have_a_bit_each(m: &mut Rig) {
    // HPM 30, DBG 31; PD8 38, PD17 39, PD20 40, QOSID 41, NL 42, S 43
    let (low, high) = m.pick(Each {
        tiny: (0, 0),
        linux: (0b11, 0b11_0000),
    });
    assert_eq!(offered(m, 31, 30), low, "HPM, DBG");
    assert_eq!(offered(m, 43, 38), high, "PD8, PD17, PD20, QOSID, NL, S");
}

fn cap_08_what_needs_an_absent_one_is_refused(m: &mut Rig) {
    // PDTV with PD8, PD17 and PD20; RCID and MCID
    let bad = [
        [TC_V | TC_PDTV, 0, 0, 1 << 60],
        [TC_V | TC_PDTV, 0, 0, 2 << 60],
        [TC_V | TC_PDTV, 0, 0, 3 << 60],
        [TC_V, 0, 1 << 40, 0],
        [TC_V, 0, 1 << 52, 0],
    ];
    contexts_are_refused(m, &bad, 259, [TC_V | TC_PDTV, 0, 0, 0]);
    // NL and S
    let (nl, s) = (
        Cmd::VMA.at(PAGE).with(1 << 34),
        Cmd::VMA.at(PAGE).with_second(1 << 9),
    );
    // Debug interface and counters: a debug translation of device 0, which is misconfigured
    let debug = [(600, PAGE), (608, 1 | (1 << 3))];
    for (offset, value) in debug {
        m.write64(offset, value);
    }
    m.write32(92, 1);
    m.dut.settle();
    let seen = (m.read64(600), m.read64(616) & 1, m.read32(92));
    let there = m.pick(Each {
        tiny: (0, 0, 0),
        linux: (PAGE, 1, 1),
    });
    assert_eq!(seen, there, "tr_req_iova, tr_response.fault, iocountinh");
    for c in [nl, s] {
        if m.config().capabilities().nl() {
            m.accepts(c);
        } else {
            m.rejects(c);
        }
    }
}

fn cap_09_pas_is_the_width_of_physical_addresses(m: &mut Rig) {
    let pas = m.pick(Each {
        tiny: 32,
        linux: 40,
    });
    assert_eq!(offered(m, 37, 32), pas);
}

fn cap_09_they_bound_walks_but_not_the_translated_address(m: &mut Rig) {
    // Given tables in the last page that PAS reaches, and a leaf that leads beyond it
    m.start();
    let root = m.device_with_page();
    let last = m.last_page();
    let slot = m.pte(root, 0x20_0000, 1);
    m.store(slot, leaf(last, TABLE));
    m.store(last, leaf(FRAME, RWX));
    m.store(last + 8, leaf(0x00ff_ffff_ffff_f000, RWX));
    // Then the walk reaches the tables, and the address handed out has all its 56 bits
    m.grants(request(DEV, Access::Read, 0x20_0010), FRAME + 0x10);
    m.grants(request(DEV, Access::Read, 0x20_1fff), 0x00ff_ffff_ffff_ffff);
    // When a table lies one page further, Then its use is an access fault
    let slot = m.pte(root, 0x40_0000, 1);
    m.store(slot, leaf(last + 0x1000, TABLE));
    m.store(last + 0x1000, leaf(FRAME, RWX));
    m.refuses(request(DEV, Access::Read, 0x40_0000), 5);
}

fn cap_10_reserved_and_custom_bits_read_zero(m: &mut Rig) {
    assert_eq!(offered(m, 13, 12), 0);
    assert_eq!(offered(m, 20, 20), 0);
    assert_eq!(offered(m, 55, 44), 0);
    assert_eq!(offered(m, 63, 56), 0);
}

fn cap_10_reserved_and_custom_bits_ignore_writes(m: &mut Rig) {
    let bits = 0xffff_f000_0010_3000;
    m.write64(reg::CAPABILITIES, bits);
    m.write32(reg::CAPABILITIES + 4, bits >> 32);
    assert_eq!(m.read64(reg::CAPABILITIES) & bits, 0);
}

fn cap_11_napot_pages_work_without_a_capability_bit(m: &mut Rig) {
    // Given a 64 KiB page: sixteen equal leaves with N=1 and PPN[3:0]=1000b
    m.start();
    let root = m.sv39(DEV, PSCID);
    for i in 0..16 {
        m.map(root, 0x10_0000 + i * 0x1000, 0x8004_8000, RWX | pte::N, 0);
    }
    // Then an address anywhere in it reaches the corresponding one
    for i in [0, 7, 8, 15] {
        let iova = 0x10_0000 + i * 0x1000 + 0x123;
        m.grants(request(DEV, Access::Write, iova), 0x8004_0123 + i * 0x1000);
    }
    m.no_faults();
}

fn fctl_01_fctl_is_32_bits_and_its_reserved_bits_read_zero(m: &mut Rig) {
    // Given any machine, Then fctl shows WSI where wires are all there is, at offset 8, also while everything runs
    let fixed = m.pick(Each { tiny: 2, linux: 0 });
    assert_eq!(m.read32(reg::FCTL), fixed);
    m.start();
    assert_eq!(m.read32(reg::FCTL), fixed);
    // When anything is written to it, Then each field holds a legal value: the fixed one, or WSI as written
    m.reset();
    let writable = m.pick(Each { tiny: 0, linux: 2 });
    for value in [0, 0xffff_ffff, 0x5555_5555, 0xaaaa_aaaa] {
        m.write32(reg::FCTL, value);
        let legal = fixed | (value & writable);
        assert_eq!(m.read32(reg::FCTL), legal, "after {value:#x}");
    }
    assert_eq!(m.read32(reg::FCTL + 4), 0, "the custom word behind it");
}

fn fctl_02_be_is_fixed_at_zero(m: &mut Rig) {
    // When software asks for big-endian memory, Then BE stays 0 ...
    m.write32(reg::FCTL, 1);
    assert_eq!(m.read32(reg::FCTL) & 1, 0);
    // ... and a little-endian context and command still work
    m.start();
    m.dc(DEV, [TC_V, 0, 0, 0]);
    m.run(Cmd::FENCE.store(SCRATCH, 0x1234_5678));
    assert_eq!(m.load(SCRATCH), 0x1234_5678);
    m.grants(request(DEV, Access::Read, 0x77), 0x77);
}

fn fctl_03_wsi_is_fixed_at_one(m: &mut Rig) {
    // When software asks for messages, Then WSI stays 1 ...
    m.write32(reg::FCTL, 0);
    assert_eq!(m.read32(reg::FCTL) & 2, 2);
    // ... and a fence may signal by wire
    m.start();
    m.run(Cmd::FENCE.with(Cmd::WSI));
    assert_eq!(m.read32(reg::CQCSR) & csr::FENCE_W_IP, csr::FENCE_W_IP);
}

fn fctl_03_wsi_is_writable_with_both_kinds(m: &mut Rig) {
    for wsi in [2, 0, 2] {
        // When software chooses, Then WSI is what it chose ...
        m.write32(reg::FCTL, wsi);
        assert_eq!(m.read32(reg::FCTL) & 2, wsi);
        // ... and a fence may signal by wire, or may not
        m.start();
        if wsi == 2 {
            m.accepts(Cmd::FENCE.with(Cmd::WSI));
        } else {
            m.rejects(Cmd::FENCE.with(Cmd::WSI));
        }
        m.reset();
    }
}

fn fctl_04_gxl_is_fixed_at_zero(m: &mut Rig) {
    // When software asks for GXL=1, Then it stays 0 ...
    m.write32(reg::FCTL, 4);
    assert_eq!(m.read32(reg::FCTL) & 4, 0);
    // ... iohgatp mode 8 is not Sv32x4, which is not offered either, and SXL must be 0
    let bad = [[TC_V, 8 << 60, 0, 0], [TC_V | (1 << 11), 0, 0, 0]];
    contexts_are_refused(m, &bad, 259, [TC_V, 0, 0, 0]);
    // And no kind of request gets around it
    m.refuses(
        as_kind(request(0, Access::Read, PAGE), Kind::Translated),
        259,
    );
}
