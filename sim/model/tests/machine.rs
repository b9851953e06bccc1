//! Rows of groups 1 to 6 and 17 to 27.

mod common;
use common::*;
use portcullis_model::{Access, Command, Invalidation, MemError, Model, Step, decode};
use portcullis_regmap::config::{LINUX, TINY};

const ILL: u64 = 1 << 10;
const MF: u64 = 1 << 8;
const FQOF: u64 = 1 << 9;

fn illegal(config: &portcullis_regmap::Config, words: [u64; 2]) -> bool {
    Bench::new(config).run(words) == (0, ILL)
}

fn legal(config: &portcullis_regmap::Config, words: [u64; 2]) -> bool {
    Bench::new(config).run(words) == (1, 0)
}

#[test]
fn cap_01_capabilities_are_fixed() {
    let mut b = Bench::off(&TINY);
    b.m.write(0, true, u64::MAX);
    assert_eq!(b.m.read(0, true), 0x20_1000_0210);
    assert_eq!(b.m.read(4, false), 0x20);
}

#[test]
fn reg_04_awkward_accesses_do_nothing() {
    let mut b = Bench::tiny();
    for (offset, wide) in [
        (18, false),
        (20, true),
        (32, true),
        (72, true),
        (12, true),
        (37, false),
    ] {
        b.m.write(offset, wide, u64::MAX);
        assert_eq!(b.m.read(offset, wide), 0, "{offset}");
    }
    assert_eq!(b.m.read(72, false), 1 | 1 << 16);
}

#[test]
fn reg_06_absent_registers() {
    let mut b = Bench::off(&TINY);
    for offset in (56..72)
        .chain(80..84)
        .chain(88..760)
        .chain(768..4096)
        .step_by(4)
    {
        b.m.write(offset, false, 0xffff_ffff);
        assert_eq!(b.m.read(offset, false), 0, "{offset}");
    }
}

#[test]
fn fctl_03_wsi() {
    let mut b = Bench::off(&TINY);
    b.m.write(8, false, 0);
    assert_eq!(b.m.read(8, false), 2);
    let mut b = Bench::off(&LINUX);
    b.m.write(8, false, 7);
    assert_eq!(b.m.read(8, false), 2);
}

#[test]
fn ddtp_04_unsupported_modes_are_dropped_whole() {
    let mut b = Bench::off(&TINY);
    b.m.write(16, true, 0x5 << 10 | 1);
    for mode in 3..16 {
        b.m.write(16, true, 0x7 << 10 | mode);
        assert_eq!(b.m.read(16, true), 0x5 << 10 | 1);
    }
}

#[test]
fn ddtp_06_level_to_level_is_dropped() {
    let mut b = Bench::off(&LINUX);
    b.m.write(16, true, 0x5 << 10 | 4);
    b.m.write(16, true, 0x7 << 10 | 2);
    assert_eq!(b.m.read(16, true), 0x5 << 10 | 4);
}

#[test]
fn ddtp_11_page_number_up_to_pas() {
    let mut b = Bench::off(&TINY);
    b.m.write(16, true, u64::MAX << 10 | 1);
    assert_eq!(b.m.read(16, true), 0xf_ffff << 10 | 1);
}

#[test]
fn cqb_03_dropped_while_on_and_04_cqt_starts_again() {
    let mut b = Bench::tiny();
    b.m.write(36, false, 9);
    let before = b.m.read(24, true);
    b.m.write(24, true, 0);
    assert_eq!((b.m.read(24, true), b.m.read(36, false)), (before, 9));
    b.m.write(72, false, 0);
    b.m.write(28, false, 0);
    assert_eq!(b.m.read(36, false), 0);
}

#[test]
fn cqb_05_size_clamps_and_page_number_reads_back() {
    let mut b = Bench::off(&TINY);
    b.m.write(24, true, 0x1234 << 10 | 31);
    assert_eq!(b.m.read(24, true), 0x1234 << 10 | 7);
}

#[test]
fn cqt_01_only_index_bits() {
    let mut b = Bench::off(&TINY);
    b.queues(2, 2);
    b.m.write(36, false, 0xffff_fffd);
    b.m.write(48, false, 0xffff_fffb);
    assert_eq!((b.m.read(36, false), b.m.read(48, false)), (5, 3));
}

#[test]
fn cqcsr_02_enabling_clears() {
    let mut b = Bench::tiny();
    assert_eq!(b.run([0, 0]), (0, ILL));
    b.m.write(72, false, 0);
    assert_eq!(b.m.read(72, false), ILL);
    b.m.write(72, false, 1);
    assert_eq!(b.m.read(72, false), 1 | 1 << 16);
}

#[test]
fn fqcsr_02_enabling_clears() {
    let mut b = Bench::off(&TINY);
    b.queues(7, 0);
    for _ in 0..2 {
        b.ask(Access::Read);
    }
    assert_eq!(
        (b.m.read(52, false), b.m.read(76, false)),
        (1, 1 | 1 << 16 | FQOF)
    );
    b.m.write(76, false, 0);
    b.m.write(76, false, 1);
    assert_eq!((b.m.read(52, false), b.m.read(76, false)), (0, 1 | 1 << 16));
}

#[test]
fn fqcsr_03_silent_while_off() {
    let mut b = Bench::tiny();
    b.m.write(76, false, 2);
    b.ask(Access::Read);
    assert_eq!((b.m.read(76, false), b.m.read(84, false)), (2, 0));
}

#[test]
fn fq_02_and_07_full_queue_and_04_sticky() {
    let mut b = Bench::off(&TINY);
    b.queues(7, 1);
    for _ in 0..5 {
        b.ask(Access::Read);
    }
    assert_eq!(
        (b.m.read(52, false), b.m.read(76, false) & 0x300),
        (3, FQOF)
    );
    b.m.write(48, false, 2);
    b.ask(Access::Read);
    assert_eq!(b.m.read(52, false), 3);
    b.m.write(76, false, 1 | FQOF);
    b.ask(Access::Read);
    assert_eq!((b.m.read(52, false), b.m.read(76, false) & 0x300), (0, 0));
}

#[test]
fn fq_03_write_fault() {
    for error in [MemError::Access, MemError::Corrupt] {
        let mut b = Bench::tiny();
        b.ask(Access::Read);
        b.plant(FQ + 32 + 24, 1, error);
        b.ask(Access::Read);
        assert_eq!((b.m.read(52, false), b.m.read(76, false) & 0x300), (1, MF));
    }
}

#[test]
fn fq_03_beyond_pas() {
    let mut b = Bench::off(&LINUX);
    b.m.write(40, true, 0xfff_ffff << 10);
    assert_eq!(b.m.read(40, true), 0xfff_ffff << 10);
    b.m.write(76, false, 1);
    for _ in 0..3 {
        b.ask(Access::Read);
    }
    assert_eq!(b.mem.get(0xff_ffff_f000) & 0xfff, 256);
}

#[test]
fn cq_05_fetch_fault_keeps_cqh() {
    for error in [MemError::Access, MemError::Corrupt] {
        let mut b = Bench::tiny();
        b.plant(CQ + 8, 8, error);
        assert_eq!(b.run([3, 0]), (0, MF));
    }
}

#[test]
fn cq_06_opcodes_and_functions() {
    for opcode in (0..128).filter(|opcode| !(1..=3).contains(opcode)) {
        assert!(illegal(&TINY, [opcode, 0]), "opcode {opcode}");
    }
    for (opcode, legal_ones) in [(1, 2), (2, 1), (3, 2)] {
        for func3 in 0..8 {
            let words = [
                opcode | func3 << 7 | if opcode == 3 { 1 << 33 } else { 0 },
                0,
            ];
            assert_eq!(
                illegal(&TINY, words),
                func3 >= legal_ones,
                "{opcode} {func3}"
            );
        }
    }
}

#[test]
fn cq_07_reserved_bits() {
    let reserved: [(u64, Vec<u32>, Vec<u32>); 3] = [
        (
            1,
            [11].into_iter().chain(35..44).chain(60..64).collect(),
            (0..9).chain(62..64).collect(),
        ),
        (2, (14..32).collect(), (62..64).collect()),
        (
            3,
            [10, 11, 32].into_iter().chain(34..40).collect(),
            (0..64).collect(),
        ),
    ];
    for (opcode, first, second) in reserved {
        assert!(legal(&TINY, [opcode, 0]));
        assert!(
            first
                .into_iter()
                .all(|bit| illegal(&TINY, [opcode | 1 << bit, 0]))
        );
        assert!(
            second
                .into_iter()
                .all(|bit| illegal(&TINY, [opcode, 1 << bit]))
        );
    }
}

#[test]
fn cq_09_same_entry_again_after_clearing() {
    let mut b = Bench::tiny();
    b.run([0, 0]);
    b.m.write(36, false, 1);
    b.m.write(72, false, 1 | ILL);
    assert_eq!(b.m.step_command(&mut b.mem), Step::Stopped);
    b.command(0, [3, 0]);
    b.m.write(72, false, 1 | ILL);
    assert!(matches!(b.m.step_command(&mut b.mem), Step::Done(_)));
    assert_eq!(b.m.read(32, false), 1);
}

#[test]
fn cq_11_runs_while_off() {
    let mut b = Bench::off(&TINY);
    b.queues(0, 0);
    assert_eq!(b.run([2, 0]), (1, 0));
}

#[test]
fn inv_13_gvma_with_pscv() {
    assert!(illegal(&TINY, [1 | 1 << 7 | 1 << 32, 0]));
}

#[test]
fn inv_23_and_26_nl_and_s() {
    assert!(illegal(&TINY, [1 | 1 << 34, 0]) && legal(&LINUX, [1 | 1 << 34, 0]));
    assert!(illegal(&TINY, [1, 1 << 9]) && legal(&LINUX, [1, 1 << 9]));
}

#[test]
fn inv_27_and_28_ranges() {
    let features = *Model::new(&LINUX).expect("supported").features();
    let range = |pages: u64| match decode(&features, 24, false, [1 | 1 << 10, pages << 10 | 1 << 9])
    {
        Ok(Command::Invalidate(Invalidation::Pages { range, .. })) => range,
        other => panic!("{other:?}"),
    };
    assert_eq!(range(0x1230), Some((0x1230, 0x1231)));
    assert_eq!(range(0x1237), Some((0x1230, 0x123f)));
    assert_eq!(range((1 << 51) - 1), Some((0, u64::MAX)));
    assert_eq!(range((1 << 52) - 1), Some((0, u64::MAX)));
}

#[test]
fn inv_14_ignored_operands() {
    assert!(legal(
        &TINY,
        [1 | 0xf_ffff << 12 | 0xffff << 44, ((1 << 52) - 1) << 10]
    ));
}

#[test]
fn fen_06_stores_four_bytes() {
    let mut b = Bench::tiny();
    b.mem.set(0x5000, u64::MAX);
    assert_eq!(
        b.run([2 | 1 << 10 | 0x1234_5678 << 32, 0x5004 >> 2]),
        (1, 0)
    );
    assert_eq!(b.mem.get(0x5000), 0x1234_5678_ffff_ffff);
}

#[test]
fn fen_07_store_fault_and_a_24_address_beyond_pas() {
    let mut b = Bench::tiny();
    b.plant(0x5000, 4, MemError::Access);
    assert_eq!(b.run([2 | 1 << 10, 0x5000 >> 2]), (0, MF));
    for bit in 32..64 {
        assert_eq!(
            Bench::tiny().run([2 | 1 << 10, 1 << (bit - 2)]),
            (0, MF),
            "bit {bit}"
        );
    }
    assert_eq!(Bench::tiny().run([2, 1 << 61]), (1, 0));
}

#[test]
fn fen_08_and_09_fence_interrupt() {
    let mut b = Bench::tiny();
    assert_eq!(b.run([2 | 1 << 11, 0]), (1, 1 << 11));
    assert_eq!((b.m.read(84, false), b.m.irq()), (1, 1));
    assert!(illegal(&LINUX, [2 | 1 << 11, 0]));
}

#[test]
fn dir_04_to_08_operands_of_iodir() {
    assert!(illegal(&TINY, [3 | 1 << 12, 0]));
    assert!(illegal(&TINY, [3 | 1 << 7, 0]));
    assert!(
        illegal(&TINY, [3 | 1 << 33 | 1 << 47, 0]) && legal(&TINY, [3 | 1 << 33 | 127 << 40, 0])
    );
    assert!(legal(&TINY, [3 | 1 << 47, 0]));
    assert!(legal(&TINY, [3 | 1 << 7 | 1 << 33 | 255 << 12, 0]));
    assert!(illegal(&TINY, [3 | 1 << 7 | 1 << 33 | 256 << 12, 0]));
    assert!(legal(&LINUX, [3 | 1 << 33 | 0xff_ffff << 40, 0]));
}

#[test]
fn int_02_and_07_enabling_with_an_error_set() {
    let mut b = Bench::tiny();
    b.command(0, [0, 0]);
    b.m.write(36, false, 1);
    b.m.work(&mut b.mem);
    assert_eq!(b.m.read(84, false), 0);
    b.m.write(72, false, 3);
    assert_eq!(b.m.read(84, false), 1);
}

#[test]
fn int_03_record_raises_only_while_enabled() {
    let mut b = Bench::off(&TINY);
    b.queues(7, 7);
    b.ask(Access::Read);
    b.m.write(76, false, 3);
    assert_eq!(b.m.read(84, false), 0);
    b.ask(Access::Read);
    assert_eq!((b.m.read(84, false), b.m.irq()), (2, 1));
    b.m.write(84, false, 2);
    assert_eq!((b.m.read(84, false), b.m.irq()), (0, 0));
}

#[test]
fn int_06_clearing_with_the_condition_left() {
    let mut b = Bench::tiny();
    b.run([0, 0]);
    b.m.write(84, false, 1);
    assert_eq!(b.m.read(84, false), 1);
    b.m.write(72, false, 3 | ILL);
    b.m.write(84, false, 1);
    assert_eq!(b.m.read(84, false), 0);
}

#[test]
fn int_09_messages_and_15_masks() {
    let mut b = Bench::off(&LINUX);
    b.m.write(760, true, 0x3333_3333_3333_3301);
    assert_eq!(b.m.read(760, true), 0x301);
    b.queues(7, 7);
    b.m.write(768 + 16, true, u64::MAX);
    assert_eq!(b.m.read(768 + 16, true), 0x00ff_ffff_ffff_fffc);
    b.m.write(768 + 16, true, 0x9000);
    b.m.write(768 + 24, false, 0xcafe);
    b.m.write(768 + 28, false, 1);
    b.run([0, 0]);
    assert_eq!((b.mem.get(0x9000), b.m.irq()), (0, 0));
    b.m.write(84, false, 1);
    b.m.write(768 + 28, false, 0);
    b.m.work(&mut b.mem);
    assert_eq!(b.mem.get(0x9000), 0xcafe);
}

#[test]
fn int_16_message_that_cannot_be_written() {
    let mut b = Bench::off(&LINUX);
    b.queues(7, 7);
    b.m.write(768, true, 1 << 40);
    b.run([0, 0]);
    assert_eq!(b.record(0), [273, 0, 1 << 40, 0]);
}

#[test]
fn int_14_entries_beyond_the_vectors() {
    let mut b = Bench::off(&LINUX);
    b.m.write(768 + 4 * 16, true, 0x9000);
    assert_eq!(b.m.read(768 + 4 * 16, true), 0);
}

#[test]
fn hpm_03_to_13_counters() {
    let mut b = Bench::new(&LINUX);
    // Untranslated requests of devices 4 to 7 (DMASK), stopped, running, overflowing.
    b.m.write(352, true, 1 | 1 << 15 | 5 << 36 | 1 << 61);
    b.m.write(92, false, u64::MAX);
    assert_eq!(b.m.read(92, false), 0x1f);
    b.ask(Access::Read);
    assert_eq!(b.m.read(104, true), 0);
    b.m.write(92, false, 0);
    for did in 3..9 {
        b.m.translate(&mut b.mem, &request(did, Access::Read, 0));
    }
    assert_eq!(b.m.read(104, true), 4);
    b.m.write(104, true, u64::MAX);
    b.ask(Access::Read);
    assert_eq!(
        (
            b.m.read(104, true),
            b.m.read(88, false),
            b.m.read(84, false)
        ),
        (0, 2, 4)
    );
    b.m.tick(10);
    assert_eq!(b.m.read(96, true), 10);
}

#[test]
fn dbg_03_to_07_debug_translation() {
    let mut b = Bench::new(&LINUX);
    let slot = b.sv39(0);
    b.mem.set(slot, 0x42 << 10 | RWX & !0x80);
    b.m.write(600, true, IOVA);
    assert_eq!(b.m.read(600, true), IOVA & !0xfff);
    b.m.write(608, true, 1 | 1 << 3 | 5 << 40);
    b.m.work(&mut b.mem);
    assert_eq!(
        (b.m.read(608, true) & 1, b.m.read(616, true)),
        (0, 0x42 << 10)
    );
    // D=0: a write faults, and is recorded as an untranslated write.
    b.m.write(608, true, 1 | 5 << 40);
    b.m.work(&mut b.mem);
    assert_eq!(b.m.read(616, true) & 1, 1);
    assert_eq!(b.record(0)[0] & 0xfff, 15);
    assert_eq!(b.record(0)[0] >> 34 & 0x3f, 3);
}

#[test]
fn unsupported_configurations_are_refused() {
    let mut config = TINY;
    config.capabilities |= 1 << 17;
    assert!(Model::new(&config).is_err());
}
