//! Fields of the device context and the checks that make it misconfigured (DC, DCM).

use portcullis_regmap::config::Config;
use portcullis_sim::core::{Access, Kind};
use portcullis_tests::conformance::*;
use portcullis_tests::*;

conformance!(
    dc_01_the_bits_of_tc_stand_where_they_should,
    dc_01_the_custom_bits_of_tc_mean_nothing,
    dc_02_every_bit_of_the_root_page_number_counts,
    dc_02_every_bit_of_pscid_counts,
    dc_02_gscid_is_free_without_a_second_stage,
    dc_04_only_bare_is_a_second_stage_mode,
    dc_05_bare_and_the_offered_modes_are_first_stage_modes,
    dc_07_with_pdtv_fsc_is_a_process_directory,
    dc_07_without_pdtv_pscid_tags_the_space,
    dc_08_dtf_silences_faults_but_not_the_error_response,
    dc_13_two_contexts_of_one_pscid_use_either_table,
    dcm_01_tc_bits_23_to_12,
    dcm_02_tc_bits_63_to_32,
    dcm_03_ta_bits_11_to_0,
    dcm_04_ta_bits_39_to_32,
    dcm_05_fsc_bits_59_to_44_as_pdtp,
    dcm_06_fsc_bits_59_to_44_as_iosatp,
    dcm_11_each_bit_of_rcid,
    dcm_11_each_bit_of_mcid,
    dcm_13_en_ats,
    dcm_14_en_pri_and_prpr_with_en_ats,
    dcm_14_prpr_and_en_pri_alone,
    dcm_15_t2gpa_without_en_ats,
    dcm_16_en_pri_without_en_ats,
    dcm_17_prpr_without_en_pri,
    dcm_18_t2gpa_without_the_capability,
    dcm_19_t2gpa_with_a_bare_second_stage,
    dcm_20_pdtp_modes_that_do_not_exist,
    dcm_21_pd20,
    dcm_22_pd17,
    dcm_23_pd8,
    dcm_24_iosatp_modes_that_do_not_exist,
    dcm_28_dpe_without_pdtv,
    dcm_29_iohgatp_modes_that_do_not_exist,
    dcm_31_sv39x4_sv48x4_and_sv57x4,
    dcm_35_sade_and_gade,
    dcm_36_sbe_against_a_fixed_little_endian,
    dcm_36_sbe_clear_is_the_fixed_order,
    dcm_38_sxl_with_gxl_fixed_at_zero,
    dcm_39_sbe_stays_wrong_after_asking_for_big_endian,
    ; tiny:
    dcm_26_sv48_and_sv57,
    ; linux:
    dcm_26_no_mode_that_is_offered,
    ; cycles:
    dc_13_two_contexts_of_one_pscid_do_not_mix_in_flight,
);

/// Given device 0.. with these contexts and device 127 with `good`, then each of the former is refused as misconfigured
/// for every access and request kind, the same context with V=0 is merely invalid, and the good one passes.
fn misconfigured(m: &mut Rig, bad: &[[u64; 4]], good: [u64; 4]) {
    m.start();
    let table = m.page();
    m.map(table, PAGE, FRAME, RWX, 0);
    let mut cases = vec![];
    for (did, dw) in (0u32..).zip(bad) {
        m.dc(did, *dw);
        let r = request(did, ACCESSES[did as usize % 3], PAGE);
        cases.push((r, 259));
        cases.push((as_kind(r, KINDS[1 + did as usize % 2]), 259));
        cases.push((with_process(r, 9, true), 259));
    }
    for some in cases.chunks(200) {
        m.refuses_each(some);
    }
    let [tc, rest @ ..] = bad[0];
    m.dc(126, [tc & !TC_V, rest[0], rest[1], rest[2]]);
    m.refuses(request(126, Access::Read, PAGE), 258);
    m.dc(127, good);
    m.grants(
        request(127, Access::Read, PAGE),
        if good[3] >> 60 == 8 { FRAME } else { PAGE },
    );
}

/// The context with both stages Bare that differs from a good one only by this bit of doubleword `word`.
fn with_bit(word: usize, bit: u32) -> [u64; 4] {
    let mut dw = [TC_V, 0, 0, 0];
    dw[word] |= 1 << bit;
    dw
}

const BARE: [u64; 4] = [TC_V, 0, 0, 0];
/// A good context with Sv39 and everything set that may be; its table is the first page that a rig hands out.
const SV39_FULL: [u64; 4] = [TC_V, 0xffff << 44, 0xf_ffff << 12, SV39 | (TABLES >> 12)];

fn dc_01_the_bits_of_tc_stand_where_they_should(m: &mut Rig) {
    m.start();
    // Given V (0), DTF (4), PDTV (5) and DPE (9), Then each has its meaning
    m.dc(0, [0, 0, 0, 0]);
    m.refuses(request(0, Access::Read, PAGE), 258);
    m.dc(1, [1, 0, 0, 0]);
    m.grants(request(1, Access::Read, PAGE), PAGE);
    m.refuses(with_process(request(1, Access::Read, PAGE), 3, false), 260);
    m.dc(2, [1 | (1 << 4), 0, 0, 0]);
    assert!(
        m.ask(with_process(request(2, Access::Read, PAGE), 3, false))
            .fault
    );
    m.no_faults();
    m.dc(3, [1 | (1 << 5), 0, 0, 0]);
    m.grants(with_process(request(3, Access::Read, PAGE), 3, false), PAGE);
    m.dc(4, [1 | (1 << 5) | (1 << 9), 0, 0, 0]);
    m.grants(request(4, Access::Read, PAGE), PAGE);
    // And every other bit below 32 that is not custom turns the context off: its feature is absent or it is reserved
    let mut cases = vec![];
    for (did, bit) in (10..).zip((1..4).chain(6..9).chain(10..24)) {
        m.dc(did, with_bit(0, bit));
        cases.push((request(did, Access::Read, PAGE), 259));
    }
    m.refuses_each(&cases);
}

fn dc_01_the_custom_bits_of_tc_mean_nothing(m: &mut Rig) {
    // Given contexts with one custom bit (31:24) each
    m.start();
    let mut cases = vec![];
    for (did, bit) in (0..).zip(24..32) {
        m.dc(did, with_bit(0, bit));
        cases.push((request(did, Access::Read, PAGE), PAGE));
    }
    // Then they are good
    m.grants_each(&cases);
    m.no_faults();
}

fn dc_02_every_bit_of_the_root_page_number_counts(m: &mut Rig) {
    // Given a table for each bit of fsc.PPN that 32 address bits have, and one at page 0
    m.start();
    let mut cases = vec![];
    for (did, bit) in (0..).zip(0..20u32) {
        // The table lies where only this bit says. Its last entry is far from the contexts of the directory, which
        // is one of these pages.
        let table = 0x1000u64 << bit;
        m.store(table + 511 * 8, leaf(u64::from(did) << 30, RWX));
        m.dc(did, [TC_V, 0, u64::from(did) << 12, SV39 | (1 << bit)]);
        cases.push((
            request(did, Access::Read, 0xffff_ffff_c000_0000),
            u64::from(did) << 30,
        ));
    }
    // Then each device walks its own
    m.grants_each(&cases);
    // And all 44 bits of the leaf's page number arrive
    let table = m.page();
    let mut cases = vec![];
    for bit in 0..44 {
        m.map(table, PAGE + bit * 0x1000, 1 << (12 + bit), RWX, 0);
        cases.push((
            request(100, Access::Read, PAGE + bit * 0x1000),
            1 << (12 + bit),
        ));
    }
    m.dc(100, [TC_V, 0, 0, SV39 | (table >> 12)]);
    m.grants_each(&cases);
    m.no_faults();
}

fn dc_02_every_bit_of_pscid_counts(m: &mut Rig) {
    m.start();
    let root = m.page();
    for bit in 0..20 {
        // Given a cached page of a space whose PSCID has one bit
        let (old, new) = (FRAME + bit * 0x1000, OTHER + bit * 0x1000);
        m.map(root, PAGE, old, RWX, 0);
        m.dc(DEV, [TC_V, 0, 0x1000 << bit, SV39 | (root >> 12)]);
        m.invalidate(Cmd::INVAL_DDT);
        m.invalidate(Cmd::VMA);
        m.grants(request(DEV, Access::Read, PAGE), old);
        // When it changes and exactly that PSCID is invalidated
        m.map(root, PAGE, new, RWX, 0);
        m.invalidate(Cmd::VMA.pscid(1 << bit));
        // Then the new one is used
        m.grants(request(DEV, Access::Read, PAGE), new);
    }
}

fn dc_02_gscid_is_free_without_a_second_stage(m: &mut Rig) {
    // Given contexts with each bit of GSCID and of iohgatp.PPN, which mean nothing while MODE is Bare
    m.start();
    let mut cases = vec![];
    for (did, bit) in (0..).zip(0..60) {
        m.dc(did, with_bit(1, bit));
        cases.push((request(did, Access::Read, PAGE), PAGE));
    }
    m.grants_each(&cases);
    m.no_faults();
}

fn dc_04_only_bare_is_a_second_stage_mode(m: &mut Rig) {
    let bad: Vec<_> = (1..16u64)
        .map(|mode| [TC_V, (mode << 60) | (TABLES >> 12), 0, 0])
        .collect();
    misconfigured(m, &bad, [TC_V, 0, 0, 0]);
}

fn dc_05_bare_and_the_offered_modes_are_first_stage_modes(m: &mut Rig) {
    let last = m.pick(Each { tiny: 8, linux: 10 });
    let bad: Vec<_> = (1..16u64)
        .filter(|mode| !(8..=last).contains(mode))
        .map(|mode| [TC_V, 0, 0, (mode << 60) | (TABLES >> 12)])
        .collect();
    misconfigured(m, &bad, SV39_FULL);
    m.dc(125, BARE);
    m.grants(request(125, Access::Read, PAGE), PAGE);
}

fn dc_07_with_pdtv_fsc_is_a_process_directory(m: &mut Rig) {
    // Given PDTV=1 and pdtp Bare, with any PSCID
    m.start();
    let root = m.page();
    m.map(root, PAGE, FRAME, RWX, 0);
    m.dc(1, [TC_V | TC_PDTV, 0, 0xf_ffff << 12, 0]);
    // Then requests with and without process_id pass untranslated
    m.grants(request(1, Access::Read, PAGE), PAGE);
    m.grants(
        with_process(request(1, Access::Write, PAGE), 0xf_ffff, true),
        PAGE,
    );
    // Given what would be Sv39 as iosatp, Then as pdtp it is a mode that does not exist
    m.dc(2, [TC_V | TC_PDTV, 0, 0, SV39 | (root >> 12)]);
    m.refuses(request(2, Access::Read, PAGE), 259);
    m.dc(3, [TC_V, 0, 0, SV39 | (root >> 12)]);
    m.grants(request(3, Access::Read, PAGE), FRAME);
}

fn dc_07_without_pdtv_pscid_tags_the_space(m: &mut Rig) {
    // Given two devices with spaces of their own, both cached
    m.start();
    let roots = [m.sv39(1, 11), m.sv39(2, 22)];
    m.map(roots[0], PAGE, FRAME, RWX, 0);
    m.map(roots[1], PAGE, OTHER, RWX, 0);
    m.grants(request(1, Access::Read, PAGE), FRAME);
    m.grants(request(2, Access::Read, PAGE), OTHER);
    // When both change and the PSCID of the second is invalidated
    m.map(roots[0], PAGE, FRAME + 0x1000, RWX, 0);
    m.map(roots[1], PAGE, OTHER + 0x1000, RWX, 0);
    m.invalidate(Cmd::VMA.pscid(22));
    // Then the second uses its new page, and the first its old or new one
    m.grants(request(2, Access::Read, PAGE), OTHER + 0x1000);
    let first = m.read(1, PAGE);
    assert!(
        [Some(FRAME), Some(FRAME + 0x1000)].contains(&first),
        "{first:x?}"
    );
}

fn dc_08_dtf_silences_faults_but_not_the_error_response(m: &mut Rig) {
    // Given twin devices, one with DTF
    m.start();
    let root = m.page();
    m.map(root, PAGE, FRAME, pte::V | pte::R | pte::U | pte::A, 0);
    m.dc(1, [TC_V, 0, 0, SV39 | (root >> 12)]);
    m.dc(2, [TC_V | TC_DTF, 0, 0, SV39 | (root >> 12)]);
    let wrong = [
        (request(1, Access::Write, PAGE), 15),
        (request(1, Access::Exec, PAGE), 12),
        (request(1, Access::Read, PAGE + 0x1000), 13),
        (
            as_kind(request(1, Access::Read, PAGE), Kind::Translated),
            260,
        ),
        (with_process(request(1, Access::Read, PAGE), 1, false), 260),
    ];
    // When they do what is refused, Then both get an error, and only the one without DTF a record
    for (r, cause) in wrong {
        m.refuses(r, cause);
        let mut silent = r;
        silent.device_id = 2;
        assert!(m.ask(silent).fault, "{silent:x?}");
        m.no_faults();
    }
    m.grants(request(2, Access::Read, PAGE), FRAME);
}

fn dc_13_two_contexts_of_one_pscid_use_either_table(m: &mut Rig) {
    // Given two devices with the same PSCID and different tables
    m.start();
    let roots = [m.sv39(1, PSCID), m.sv39(2, PSCID)];
    m.map(roots[0], PAGE, FRAME, RWX, 0);
    m.map(roots[1], PAGE, OTHER, RWX, 0);
    for did in [1, 2, 2, 1, 1, 2] {
        // Then each access is translated by one of them, and by nothing else
        let reached = m.read(did, PAGE);
        assert!(
            [Some(FRAME), Some(OTHER)].contains(&reached),
            "{reached:x?}"
        );
    }
    m.no_faults();
    // And an address that neither maps is refused
    m.refuses(request(1, Access::Read, PAGE + 0x1000), 13);
}

fn dc_13_two_contexts_of_one_pscid_do_not_mix_in_flight(config: &'static Config) {
    for latency in [1, 10] {
        // Given the same, with page tables that differ from the first level on
        let mut m = Rig::rtl(config, latency);
        m.start();
        let roots = [m.sv39(1, PSCID), m.sv39(2, PSCID)];
        for i in 0..8 {
            m.map(roots[0], PAGE + i * 0x1000, FRAME + i * 0x1000, RWX, 0);
            m.map(roots[1], PAGE + i * 0x1000, OTHER + i * 0x1000, RWX, 0);
        }
        // When both stream over the same pages at once
        let requests: Vec<_> = (0..32)
            .map(|i| request(1 + i % 2, Access::Read, PAGE + u64::from(i / 4) * 0x1000))
            .collect();
        let answers = m.dut.translate(&requests);
        // Then each answer is that of one of the tables
        for (r, answer) in requests.iter().zip(answers) {
            let page = r.iova - PAGE;
            assert!(
                !answer.fault && [FRAME + page, OTHER + page].contains(&answer.pa),
                "{r:x?}: {answer:x?}"
            );
        }
        m.no_faults();
    }
}

fn dcm_01_tc_bits_23_to_12(m: &mut Rig) {
    let bad: Vec<_> = (12..24).map(|bit| with_bit(0, bit)).collect();
    misconfigured(m, &bad, SV39_FULL);
}

fn dcm_02_tc_bits_63_to_32(m: &mut Rig) {
    let bad: Vec<_> = (32..64).map(|bit| with_bit(0, bit)).collect();
    misconfigured(m, &bad, SV39_FULL);
}

fn dcm_03_ta_bits_11_to_0(m: &mut Rig) {
    let bad: Vec<_> = (0..12).map(|bit| with_bit(2, bit)).collect();
    misconfigured(m, &bad, SV39_FULL);
}

fn dcm_04_ta_bits_39_to_32(m: &mut Rig) {
    let bad: Vec<_> = (32..40).map(|bit| with_bit(2, bit)).collect();
    misconfigured(m, &bad, SV39_FULL);
}

fn dcm_05_fsc_bits_59_to_44_as_pdtp(m: &mut Rig) {
    let bad: Vec<_> = (44..60)
        .map(|bit| [TC_V | TC_PDTV, 0, 0, 1 << bit])
        .collect();
    misconfigured(m, &bad, [TC_V | TC_PDTV, 0, 0, 0xfff_ffff_ffff]);
}

fn dcm_06_fsc_bits_59_to_44_as_iosatp(m: &mut Rig) {
    let bare = (44..60).map(|bit| with_bit(3, bit));
    let sv39 = (44..60).map(|bit| [TC_V, 0, 0, SV39 | (TABLES >> 12) | (1 << bit)]);
    let bad: Vec<_> = bare.chain(sv39).collect();
    misconfigured(m, &bad, SV39_FULL);
}

fn dcm_11_each_bit_of_rcid(m: &mut Rig) {
    let bad: Vec<_> = (40..52).map(|bit| with_bit(2, bit)).collect();
    misconfigured(m, &bad, SV39_FULL);
}

fn dcm_11_each_bit_of_mcid(m: &mut Rig) {
    let bad: Vec<_> = (52..64).map(|bit| with_bit(2, bit)).collect();
    misconfigured(m, &bad, SV39_FULL);
}

const EN_ATS: u64 = 1 << 1;
const EN_PRI: u64 = 1 << 2;
const T2GPA: u64 = 1 << 3;
const PRPR: u64 = 1 << 6;
const GADE: u64 = 1 << 7;
const SADE: u64 = 1 << 8;
const DPE: u64 = 1 << 9;
const SBE: u64 = 1 << 10;
const SXL: u64 = 1 << 11;

/// Contexts that add these bits to tc, with both stages Bare and with Sv39.
fn tc(m: &mut Rig, sets: &[u64]) {
    let bare = sets.iter().map(|bits| [TC_V | bits, 0, 0, 0]);
    let sv39 = sets
        .iter()
        .map(|bits| [TC_V | bits, 0, 0, SV39 | (TABLES >> 12)]);
    let bad: Vec<_> = bare.chain(sv39).collect();
    misconfigured(m, &bad, SV39_FULL);
}

fn dcm_13_en_ats(m: &mut Rig) {
    tc(m, &[EN_ATS]);
}

fn dcm_14_en_pri_and_prpr_with_en_ats(m: &mut Rig) {
    tc(m, &[EN_ATS | EN_PRI, EN_ATS | EN_PRI | PRPR, EN_ATS | PRPR]);
}

fn dcm_14_prpr_and_en_pri_alone(m: &mut Rig) {
    tc(
        m,
        &[EN_PRI, PRPR, EN_PRI | PRPR, EN_PRI | TC_DTF, PRPR | TC_PDTV],
    );
}

fn dcm_15_t2gpa_without_en_ats(m: &mut Rig) {
    tc(m, &[T2GPA]);
}

fn dcm_16_en_pri_without_en_ats(m: &mut Rig) {
    tc(m, &[EN_PRI]);
}

fn dcm_17_prpr_without_en_pri(m: &mut Rig) {
    tc(m, &[PRPR]);
}

fn dcm_18_t2gpa_without_the_capability(m: &mut Rig) {
    tc(m, &[T2GPA, EN_ATS | T2GPA]);
}

fn dcm_19_t2gpa_with_a_bare_second_stage(m: &mut Rig) {
    misconfigured(m, &[[TC_V | EN_ATS | T2GPA, 0xffff << 44, 0, 0]], SV39_FULL);
}

fn dcm_28_dpe_without_pdtv(m: &mut Rig) {
    tc(m, &[DPE]);
    // And with PDTV it is legal
    m.dc(120, [TC_V | TC_PDTV | DPE, 0, 0, 0]);
    m.grants(request(120, Access::Read, PAGE), PAGE);
}

fn dcm_35_sade_and_gade(m: &mut Rig) {
    tc(m, &[SADE, GADE, SADE | GADE]);
}

fn dcm_36_sbe_against_a_fixed_little_endian(m: &mut Rig) {
    tc(m, &[SBE]);
    // And with a process directory too
    m.dc(120, [TC_V | TC_PDTV | SBE, 0, 0, 0]);
    m.refuses(request(120, Access::Read, PAGE), 259);
}

fn dcm_36_sbe_clear_is_the_fixed_order(m: &mut Rig) {
    // Given a device with SBE=0 and little-endian tables, and one with SBE=1 and big-endian ones
    m.start();
    let roots = [m.sv39(1, 1), m.sv39(2, 2)];
    m.store(roots[0] + 8, leaf(0x8000_0000, RWX));
    m.store(roots[1] + 8, leaf(0x8000_0000, RWX).swap_bytes());
    m.dc(2, [TC_V | SBE, 0, 2 << 12, SV39 | (roots[1] >> 12)]);
    // Then the first works, and the second is not translated at all
    m.grants(request(1, Access::Read, PAGE), 0x8000_3000);
    m.refuses(request(2, Access::Read, PAGE), 259);
}

fn dcm_38_sxl_with_gxl_fixed_at_zero(m: &mut Rig) {
    tc(m, &[SXL]);
    // And in a process directory too
    m.dc(120, [TC_V | TC_PDTV | SXL, 0, 0, 0]);
    m.refuses(request(120, Access::Read, PAGE), 259);
}

fn dcm_39_sbe_stays_wrong_after_asking_for_big_endian(m: &mut Rig) {
    // Given that software has asked for fctl.BE, which cannot be written
    m.write32(reg::FCTL, 3);
    assert_eq!(m.read32(reg::FCTL) & 1, 0);
    // Then SBE=1 still differs from it
    tc(m, &[SBE]);
}

/// Contexts with PDTV and these modes of pdtp.
fn pdtp(m: &mut Rig, modes: &[u64]) {
    let bad: Vec<_> = modes
        .iter()
        .map(|mode| [TC_V | TC_PDTV, 0, 0, (mode << 60) | (TABLES >> 12)])
        .collect();
    misconfigured(m, &bad, [TC_V | TC_PDTV, 0, 0, 0]);
}

fn dcm_20_pdtp_modes_that_do_not_exist(m: &mut Rig) {
    pdtp(m, &[4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
}

fn dcm_21_pd20(m: &mut Rig) {
    pdtp(m, &[3]);
}

fn dcm_22_pd17(m: &mut Rig) {
    pdtp(m, &[2]);
}

fn dcm_23_pd8(m: &mut Rig) {
    pdtp(m, &[1]);
}

/// Contexts with these modes of iosatp.
fn first_stage(m: &mut Rig, modes: &[u64]) {
    let bad: Vec<_> = modes
        .iter()
        .map(|mode| [TC_V, 0, 0, (mode << 60) | (TABLES >> 12)])
        .collect();
    misconfigured(m, &bad, SV39_FULL);
}

fn dcm_24_iosatp_modes_that_do_not_exist(m: &mut Rig) {
    first_stage(m, &[1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 14, 15]);
}

fn dcm_26_sv48_and_sv57(m: &mut Rig) {
    first_stage(m, &[9, 10]);
}

fn dcm_26_no_mode_that_is_offered(m: &mut Rig) {
    // Given Sv39, Sv48 and Sv57, all of which are offered, Then none is misconfigured
    m.start();
    for levels in 3..=5 {
        let root = m.sv(levels, u64::from(levels), levels);
        let slot = m.pte_in(levels, root, PAGE, 0);
        m.store(slot, leaf(FRAME, RWX));
        m.grants(request(levels, Access::Read, PAGE), FRAME);
    }
    m.no_faults();
}

/// Contexts with these modes of iohgatp.
fn iohgatp(m: &mut Rig, modes: &[u64]) {
    let bare = modes
        .iter()
        .map(|mode| [TC_V, (mode << 60) | (TABLES >> 12), 0, 0]);
    let sv39 = modes
        .iter()
        .map(|mode| [TC_V, mode << 60, 0, SV39 | (TABLES >> 12)]);
    let bad: Vec<_> = bare.chain(sv39).collect();
    misconfigured(m, &bad, SV39_FULL);
}

fn dcm_29_iohgatp_modes_that_do_not_exist(m: &mut Rig) {
    iohgatp(m, &[1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 14, 15]);
}

fn dcm_31_sv39x4_sv48x4_and_sv57x4(m: &mut Rig) {
    iohgatp(m, &[8, 9, 10]);
}
