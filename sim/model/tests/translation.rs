//! Rows of groups 7 to 13 and 16.

mod common;
use common::*;
use portcullis_model::{Access, Kind, MemError, Outcome, Request};
use portcullis_regmap::config::{LINUX, TINY};

const FAR: u64 = 1 << 20;

fn misconfigured(words: [u64; 4]) -> bool {
    let mut b = Bench::tiny();
    b.context(5, words);
    cause(b.ask(Access::Read)) == MISCONFIGURED
}

fn with(word: usize, bits: u64) -> [u64; 4] {
    let mut words = [1, 0, 0, 0];
    words[word] |= bits;
    words
}

#[test]
fn trn_03_off_refuses_everything() {
    let mut b = Bench::off(&TINY);
    assert_eq!(cause(b.ask(Access::Read)), 256);
}

#[test]
fn trn_04_bare_is_identity_of_all_64_bits() {
    let mut b = Bench::off(&TINY);
    b.m.write(16, true, 1);
    let r = request(0xff_ffff, Access::Write, u64::MAX - 5);
    assert_eq!(granted(b.m.translate(&mut b.mem, &r)), (u64::MAX - 5, 12));
}

#[test]
fn trn_05_bare_refuses_translated_and_ats() {
    let mut b = Bench::off(&TINY);
    b.m.write(16, true, 1);
    for kind in [Kind::Translated, Kind::Ats] {
        let r = Request {
            kind,
            ..request(5, Access::Read, 0)
        };
        assert_eq!(cause(b.m.translate(&mut b.mem, &r)), 260);
    }
}

#[test]
fn trn_06_translated_without_en_ats() {
    let mut b = Bench::tiny();
    b.context(5, [1, 0, 0, 0]);
    let r = Request {
        kind: Kind::Translated,
        ..request(5, Access::Read, 0)
    };
    assert_eq!(cause(b.m.translate(&mut b.mem, &r)), 260);
}

#[test]
fn trn_07_process_id_without_pdtv() {
    let mut b = Bench::tiny();
    b.context(5, [1, 0, 0, 0]);
    let r = Request {
        process_id: Some(3),
        ..request(5, Access::Read, 0)
    };
    assert_eq!(cause(b.m.translate(&mut b.mem, &r)), 260);
}

#[test]
fn trn_15_bare_pdtp_takes_any_process_id() {
    let mut b = Bench::tiny();
    b.context(5, [1 | 1 << 5, 0, 0, 0x1234]);
    let r = Request {
        process_id: Some(0xf_ffff),
        privileged: true,
        ..request(5, Access::Read, 0x77)
    };
    assert_eq!(granted(b.m.translate(&mut b.mem, &r)), (0x77, 12));
}

#[test]
fn trn_19_both_stages_bare() {
    let mut b = Bench::tiny();
    b.context(5, [1, 0xfff, 7 << 12, 99]);
    assert_eq!(granted(b.ask(Access::Exec)), (IOVA, 12));
}

#[test]
fn ddt_04_one_level_takes_seven_bits() {
    let mut b = Bench::tiny();
    b.context(127, [1, 0, 0, 0]);
    let r = request(127, Access::Read, 1);
    assert_eq!(granted(b.m.translate(&mut b.mem, &r)).0, 1);
    // Bit 15 too: defect D-1 of the reference model.
    for did in [128, 0x8000, 1 << 16, 1 << 23] {
        let r = request(did, Access::Read, 1);
        assert_eq!(cause(b.m.translate(&mut b.mem, &r)), 260);
    }
}

#[test]
fn ddt_08_three_levels() {
    let mut b = Bench::off(&LINUX);
    b.m.write(16, true, DDT >> 12 << 10 | 4);
    let did = 0x12_3456_u32;
    b.mem.set(DDT + 0x12 * 8, (DDT + 0x1000) >> 12 << 10 | 1);
    b.mem.set(
        DDT + 0x1000 + (0x3456 >> 7) * 8,
        (DDT + 0x2000) >> 12 << 10 | 1,
    );
    b.mem.set(DDT + 0x2000 + (0x56) * 32, 1);
    let r = request(did, Access::Read, 0x99);
    assert_eq!(granted(b.m.translate(&mut b.mem, &r)).0, 0x99);
}

#[test]
fn ddt_10_order_of_checks_of_a_pointer() {
    let mut b = Bench::off(&LINUX);
    b.m.write(16, true, DDT >> 12 << 10 | 3);
    let r = request(5, Access::Read, 0);
    b.mem.set(DDT, 0x3fe);
    assert_eq!(cause(b.m.translate(&mut b.mem, &r)), 258);
    b.mem.set(DDT, 3);
    assert_eq!(cause(b.m.translate(&mut b.mem, &r)), 259);
    b.mem.set(DDT, 1 << 54 | 1);
    assert_eq!(cause(b.m.translate(&mut b.mem, &r)), 259);
    b.plant(DDT, 8, MemError::Corrupt);
    assert_eq!(cause(b.m.translate(&mut b.mem, &r)), 268);
    b.plant(DDT, 8, MemError::Access);
    assert_eq!(cause(b.m.translate(&mut b.mem, &r)), 257);
}

#[test]
fn ddt_14_order_of_checks_of_a_context() {
    let mut b = Bench::tiny();
    b.context(5, [!1, 0, 0, 0]);
    assert_eq!(cause(b.ask(Access::Read)), 258);
    b.plant(DDT + 5 * 32 + 8, 8, MemError::Corrupt);
    assert_eq!(cause(b.ask(Access::Read)), 268);
    b.plant(DDT + 5 * 32 + 24, 8, MemError::Access);
    assert_eq!(cause(b.ask(Access::Read)), 257);
}

#[test]
fn ddt_18_pointer_beyond_pas() {
    let mut b = Bench::off(&LINUX);
    b.m.write(16, true, DDT >> 12 << 10 | 3);
    b.mem.set(DDT, 1 << 40 | 1);
    assert_eq!(
        cause(b.m.translate(&mut b.mem, &request(5, Access::Read, 0))),
        257
    );
}

#[test]
fn dcm_01_reserved_bits_of_tc() {
    assert!((12..24).all(|bit| misconfigured(with(0, 1 << bit))));
}

#[test]
fn dcm_02_upper_half_of_tc() {
    assert!((32..64).all(|bit| misconfigured(with(0, 1 << bit))));
}

#[test]
fn dcm_03_low_bits_of_ta() {
    assert!((0..12).all(|bit| misconfigured(with(2, 1 << bit))));
}

#[test]
fn dcm_04_middle_bits_of_ta() {
    assert!((32..40).all(|bit| misconfigured(with(2, 1 << bit))));
}

#[test]
fn dcm_05_reserved_bits_of_pdtp() {
    assert!((44..60).all(|bit| misconfigured([1 | 1 << 5, 0, 0, 1 << bit])));
}

#[test]
fn dcm_06_reserved_bits_of_iosatp() {
    assert!((44..60).all(|bit| misconfigured(with(3, 1 << bit))));
}

#[test]
fn dcm_11_qos_ids() {
    assert!((40..64).all(|bit| misconfigured(with(2, 1 << bit))));
}

#[test]
fn dcm_13_to_18_ats_bits() {
    assert!(
        [1, 2, 3, 6]
            .iter()
            .all(|bit| misconfigured(with(0, 1 << bit)))
    );
}

#[test]
fn dcm_20_modes_of_pdtp() {
    assert!((1..16).all(|mode| misconfigured([1 | 1 << 5, 0, 0, mode << 60])));
}

#[test]
fn dcm_24_and_26_modes_of_iosatp() {
    assert!(
        (1..16)
            .filter(|mode| *mode != 8)
            .all(|mode| misconfigured(with(3, mode << 60)))
    );
    let mut b = Bench::new(&LINUX);
    b.context(5, [1, 0, 0, 10 << 60 | ROOT >> 12]);
    assert_eq!(cause(b.ask(Access::Read)), 13);
}

#[test]
fn dcm_28_dpe_needs_pdtv() {
    assert!(misconfigured(with(0, 1 << 9)));
    let mut b = Bench::tiny();
    b.context(5, [1 | 1 << 5 | 1 << 9, 0, 0, 0]);
    assert_eq!(granted(b.ask(Access::Read)).0, IOVA);
}

#[test]
fn dcm_29_modes_of_iohgatp() {
    assert!((1..16).all(|mode| misconfigured(with(1, mode << 60))));
}

#[test]
fn dcm_35_36_38_hardware_a_d_byte_order_sxl() {
    assert!(
        [7, 8, 10, 11]
            .iter()
            .all(|bit| misconfigured(with(0, 1 << bit)))
    );
}

#[test]
fn dcm_42_custom_bits_are_ignored() {
    let mut b = Bench::tiny();
    b.context(5, with(0, 0xff << 24));
    assert_eq!(granted(b.ask(Access::Read)).0, IOVA);
}

#[test]
fn s1_02_three_levels() {
    let pte = 0xab_cdef_0123 << 10 | RWX;
    assert_eq!(
        granted(Bench::through(0, pte, Access::Read)),
        (0x00abcdef0123123, 12)
    );
}

#[test]
fn s1_03_and_04_more_levels() {
    for (mode, levels) in [(9, 4), (10, 5)] {
        let mut b = Bench::new(&LINUX);
        b.context(5, [1, 0, 0, mode << 60 | ROOT >> 12]);
        let slot = b.tables(ROOT, levels, 0);
        b.mem.set(slot, 0x42 << 10 | RWX);
        assert_eq!(granted(b.ask(Access::Read)), (0x42_123, 12));
    }
}

#[test]
fn s1_05_canonical_addresses() {
    let mut b = Bench::tiny();
    b.sv39(2);
    for index in 0..512 {
        b.mem.set(ROOT + 8 * index, RWX);
    }
    let mut ask = |iova| b.m.translate(&mut b.mem, &request(5, Access::Write, iova));
    for iova in [0x3f_ffff_ffff, 0xffff_ffc0_0000_0000, u64::MAX] {
        assert_eq!(granted(ask(iova)).1, 30);
    }
    for iova in [0x40_0000_0000, 1 << 63, 0xffff_ff80_0000_0000, 1 << 39] {
        assert_eq!(cause(ask(iova)), 15);
    }
}

#[test]
fn s1_09_access_faults_by_kind_of_access() {
    for (access, want) in [(Access::Exec, 1), (Access::Read, 5), (Access::Write, 7)] {
        assert_eq!(cause(Bench::through(1, FAR << 10 | 1, access)), want);
        let mut b = Bench::tiny();
        let slot = b.sv39(0);
        b.plant(slot, 8, MemError::Access);
        assert_eq!(cause(b.ask(access)), want);
    }
}

#[test]
fn s1_10_poisoned_entry() {
    let mut b = Bench::tiny();
    let slot = b.sv39(1);
    b.plant(slot, 1, MemError::Corrupt);
    assert_eq!(cause(b.ask(Access::Write)), 274);
}

#[test]
fn s1_11_invalid() {
    assert_eq!(cause(Bench::through(0, RWX & !1, Access::Read)), 13);
}

#[test]
fn s1_12_write_without_read() {
    for pte in [RWX & !0xa, RWX & !2] {
        assert_eq!(cause(Bench::through(0, pte, Access::Write)), 15);
    }
}

#[test]
fn s1_13_to_15_reserved_bits_and_memory_types() {
    for bit in 54..63 {
        assert_eq!(
            cause(Bench::through(0, RWX | 1 << bit, Access::Exec)),
            12,
            "bit {bit}"
        );
        assert_eq!(
            cause(Bench::through(
                1,
                0x10011 << 10 | 1 | 1 << bit,
                Access::Read
            )),
            13
        );
    }
}

#[test]
fn s1_16_pointer_at_level_0() {
    assert_eq!(
        cause(Bench::through(0, 0x10011 << 10 | 1, Access::Read)),
        13
    );
}

#[test]
fn s1_17_and_18_pointers_with_bits_of_leaves() {
    for bit in [4, 6, 7, 61, 62, 63] {
        assert_eq!(
            cause(Bench::through(
                1,
                0x10012 << 10 | 1 | 1 << bit,
                Access::Read
            )),
            13
        );
    }
}

#[test]
fn s1_19_to_21_and_33_permissions() {
    let granted_for = |flags: u64| {
        let pte = RWX & !0xe | flags;
        let ok = |access| !Bench::through(0, pte, access).is_fault();
        [ok(Access::Read), ok(Access::Write), ok(Access::Exec)]
    };
    assert_eq!(granted_for(0x2), [true, false, false]);
    assert_eq!(granted_for(0x6), [true, true, false]);
    // Execute-only: not readable (no MXR).
    assert_eq!(granted_for(0x8), [false, false, true]);
    assert_eq!(granted_for(0xa), [true, false, true]);
    assert_eq!(granted_for(0xe), [true, true, true]);
}

#[test]
fn s1_22_supervisor_page() {
    assert_eq!(cause(Bench::through(0, RWX & !0x10, Access::Read)), 13);
}

#[test]
fn s1_23_misaligned_superpage() {
    assert_eq!(cause(Bench::through(1, 1 << 10 | RWX, Access::Read)), 13);
    assert_eq!(
        cause(Bench::through(2, 0x200 << 10 | RWX, Access::Read)),
        13
    );
}

#[test]
fn s1_24_superpages() {
    let two_mib = Bench::through(1, 0x200 << 10 | RWX, Access::Read);
    assert_eq!(granted(two_mib), (0x20_0000 | IOVA & 0x1f_ffff, 21));
    let one_gib = Bench::through(2, 0x40000 << 10 | RWX, Access::Read);
    assert_eq!(granted(one_gib), (0x4000_0000 | IOVA & 0x3fff_ffff, 30));
}

#[test]
fn s1_25_and_26_napot() {
    let good = 1 << 63 | 0x1238 << 10 | RWX;
    assert_eq!(
        granted(Bench::through(0, good, Access::Read)),
        (0x123_3123, 16)
    );
    for low in (0..16).filter(|low| *low != 8) {
        let bad = 1 << 63 | (0x1230 | low) << 10 | RWX;
        assert_eq!(cause(Bench::through(0, bad, Access::Read)), 13);
    }
    assert_eq!(
        cause(Bench::through(1, 1 << 63 | 0x200 << 10 | RWX, Access::Read)),
        13
    );
}

#[test]
fn s1_27_accessed_and_dirty() {
    assert_eq!(cause(Bench::through(0, RWX & !0x40, Access::Read)), 13);
    assert_eq!(cause(Bench::through(0, RWX & !0x80, Access::Write)), 15);
    assert!(!Bench::through(0, RWX & !0x80, Access::Exec).is_fault());
}

#[test]
fn a_17_leaf_beyond_pas_is_granted() {
    assert_eq!(
        granted(Bench::through(0, 0xfff_ffff_ffff << 10 | RWX, Access::Read)).0,
        0xff_ffff_ffff_f123
    );
}

#[test]
fn flt_03_dtf_holds_back_some_records() {
    let mut b = Bench::tiny();
    b.context(5, [1 | 1 << 4, 0, 0, SV39 | ROOT >> 12]);
    assert_eq!(cause(b.ask(Access::Read)), 13);
    assert_eq!(b.m.read(52, false), 0);
    b.context(5, [1 | 1 << 4 | 1 << 12, 0, 0, 0]);
    assert_eq!(cause(b.ask(Access::Read)), 259);
    assert_eq!(b.m.read(52, false), 1);
}

#[test]
fn flt_04_dtf_counts_only_in_a_valid_context() {
    let mut b = Bench::tiny();
    b.context(5, [1 << 4, 0, 0, 0]);
    assert_eq!(cause(b.ask(Access::Read)), 258);
    assert_eq!(b.m.read(52, false), 1);
}

#[test]
fn flt_07_to_12_fields_of_a_record() {
    let mut b = Bench::tiny();
    let r = Request {
        device_id: 0xab_cdef,
        process_id: Some(0x5_4321),
        privileged: true,
        access: Access::Write,
        kind: Kind::Translated,
        iova: 0x1234_5678_9abc_def1,
    };
    assert_eq!(cause(b.m.translate(&mut b.mem, &r)), 260);
    let info = 260 | 0x5_4321 << 12 | 1 << 32 | 1 << 33 | 7 << 34 | 0xab_cdef << 40;
    assert_eq!(b.record(0), [info, 0, r.iova, 0]);
}

#[test]
fn flt_08_no_privilege_without_process() {
    let r = Request {
        privileged: true,
        kind: Kind::Ats,
        ..request(5, Access::Read, 0)
    };
    let mut b = Bench::off(&TINY);
    let Outcome::Refused(fault) = b.m.translate(&mut b.mem, &r) else {
        panic!("Off");
    };
    let record = fault.record(&r).expect("256 despite anything");
    assert_eq!(record.0[0], 256 | 8 << 34 | 5 << 40);
}

#[test]
fn flt_09_transaction_types() {
    for (kind, access, ttyp) in [
        (Kind::Untranslated, Access::Exec, 1),
        (Kind::Untranslated, Access::Read, 2),
        (Kind::Untranslated, Access::Write, 3),
        (Kind::Translated, Access::Exec, 5),
        (Kind::Translated, Access::Read, 6),
        (Kind::Translated, Access::Write, 7),
        (Kind::Ats, Access::Write, 8),
    ] {
        let mut b = Bench::off(&TINY);
        b.queues(7, 7);
        let r = Request {
            kind,
            ..request(0, access, 0)
        };
        b.m.translate(&mut b.mem, &r);
        assert_eq!(b.record(0)[0] >> 34 & 0x3f, ttyp);
    }
}
