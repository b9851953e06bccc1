//! Directories, page tables and configurations against literal tables taken from the requirement matrix (groups 2,
//! 7-10, 12).

use portcullis_regmap::config::{TINY, config};
use portcullis_regmap::ddt::{self, *};
use portcullis_regmap::pdt::{self, *};
use portcullis_regmap::pte::{self, *};
use portcullis_regmap::{Access, CONFIGS, Field};

#[track_caller]
fn check(fields: &[Field], width: u32, rows: &[(&str, u32, u32)]) {
    let named: Vec<_> = fields.iter().filter(|f| !f.name.is_empty()).collect();
    let got: Vec<_> = named
        .iter()
        .map(|f| (f.name, f.lsb, f.lsb + f.bits - 1))
        .collect();
    assert_eq!(got, rows);
    assert_eq!(
        fields.iter().map(|f| f.bits).sum::<u32>(),
        width,
        "fields fill the word"
    );
}

#[test]
fn ddt_01_ddt_02_ddt_03_split() {
    assert_eq!(
        (Format::of(false).dc_bytes(), Format::of(true).dc_bytes()),
        (32, 64)
    );
    let split = |f: Format, did| [f.ddi(did, 0), f.ddi(did, 1), f.ddi(did, 2)];
    assert_eq!(split(Format::Base, 0x00_0025), [0x25, 0, 0]);
    assert_eq!(split(Format::Base, 0xab_cdef), [0x6f, 0x19b, 0xab]);
    assert_eq!(split(Format::Extended, 0xab_cdef), [0x2f, 0x137, 0x157]);
    assert_eq!(split(Format::Base, 0xff_ffff), [0x7f, 0x1ff, 0xff]);
    assert_eq!(split(Format::Extended, 0xff_ffff), [0x3f, 0x1ff, 0x1ff]);
}

#[test]
fn ddt_04_sw_05_device_id_widths() {
    assert_eq!(
        [1, 2, 3].map(|l| Format::Base.device_id_bits(l)),
        [7, 16, 24]
    );
    assert_eq!(
        [1, 2, 3].map(|l| Format::Extended.device_id_bits(l)),
        [6, 15, 24]
    );
}

#[test]
fn ddt_09_non_leaf() {
    check(NonLeaf::FIELDS, 64, &[("V", 0, 0), ("PPN", 10, 53)]);
    assert_eq!(NonLeaf::RESERVED, 0xffc0_0000_0000_03fe);
}

#[test]
fn dc_01_tc() {
    check(
        Tc::FIELDS,
        64,
        &[
            ("V", 0, 0),
            ("EN_ATS", 1, 1),
            ("EN_PRI", 2, 2),
            ("T2GPA", 3, 3),
            ("DTF", 4, 4),
            ("PDTV", 5, 5),
            ("PRPR", 6, 6),
            ("GADE", 7, 7),
            ("SADE", 8, 8),
            ("DPE", 9, 9),
            ("SBE", 10, 10),
            ("SXL", 11, 11),
        ],
    );
    assert_eq!(
        (Tc::RESERVED, Tc::mask_of(Access::Custom)),
        (0xffff_ffff_00ff_f000, 0xff00_0000)
    );
}

#[test]
fn dc_02_iohgatp_ta_fsc() {
    check(
        Iohgatp::FIELDS,
        64,
        &[("PPN", 0, 43), ("GSCID", 44, 59), ("MODE", 60, 63)],
    );
    check(
        Ta::FIELDS,
        64,
        &[("PSCID", 12, 31), ("RCID", 40, 51), ("MCID", 52, 63)],
    );
    check(ddt::Iosatp::FIELDS, 64, &[("PPN", 0, 43), ("MODE", 60, 63)]);
    check(Pdtp::FIELDS, 64, &[("PPN", 0, 43), ("MODE", 60, 63)]);
    assert_eq!(Ta::RESERVED, 0x0000_00ff_0000_0fff);
    assert_eq!(
        (ddt::Iosatp::RESERVED, Pdtp::RESERVED),
        (0x0fff_f000_0000_0000, 0x0fff_f000_0000_0000)
    );
    assert_eq!((dc::TC, dc::IOHGATP, dc::TA, dc::FSC), (0, 8, 16, 24));
}

#[test]
fn dc_03_extended() {
    check(Msiptp::FIELDS, 64, &[("PPN", 0, 43), ("MODE", 60, 63)]);
    check(MsiPages::FIELDS, 64, &[("mask/pattern", 0, 51)]);
    assert_eq!(
        (
            dc::MSIPTP,
            dc::MSI_ADDR_MASK,
            dc::MSI_ADDR_PATTERN,
            dc::RESERVED
        ),
        (32, 40, 48, 56)
    );
    assert_eq!((msiptp_mode::OFF, msiptp_mode::FLAT), (0, 1));
}

#[test]
fn dc_04_dc_05_dc_06_modes() {
    use iohgatp_mode as g;
    assert_eq!(
        [g::BARE, g::SV39X4, g::SV48X4, g::SV57X4, g::SV32X4],
        [0, 8, 9, 10, 8]
    );
    use iosatp_mode as s;
    assert_eq!(
        [s::BARE, s::SV39, s::SV48, s::SV57, s::SV32],
        [0, 8, 9, 10, 8]
    );
    use pdtp_mode as p;
    assert_eq!([p::BARE, p::PD8, p::PD17, p::PD20], [0, 1, 2, 3]);
}

#[test]
fn pdt_01_pdt_12_split_and_context() {
    assert_eq!([0, 1, 2].map(|l| pdi(0xb_bcde, l)), [0xde, 0x1bc, 0x5]);
    check(
        PcTa::FIELDS,
        64,
        &[("V", 0, 0), ("ENS", 1, 1), ("SUM", 2, 2), ("PSCID", 12, 31)],
    );
    assert_eq!(PcTa::RESERVED, 0xffff_ffff_0000_0ff8);
    assert_eq!((pdt::pc::BYTES, pdt::pc::TA, pdt::pc::FSC), (16, 0, 8));
}

#[test]
fn s1_02_to_05_addresses() {
    let iova = 0x01ab_cdef_0123_4567;
    assert_eq!(
        [0, 1, 2, 3, 4].map(|l| vpn(iova, l)),
        [0x034, 0x009, 0x1bc, 0x19b, 0x1ab]
    );
    assert_eq!([0, 1, 2, 3, 4].map(level_shift), [12, 21, 30, 39, 48]);
    assert_eq!((SV39_LEVELS, SV48_LEVELS, SV57_LEVELS), (3, 4, 5));
    assert!(canonical(0x3f_ffff_ffff, 3) && !canonical(0x40_0000_0000, 3));
    assert!(canonical(0xffff_ffc0_0000_0000, 3) && !canonical(0xffff_ff80_0000_0000, 3));
    assert!(canonical(0x7fff_ffff_ffff, 4) && !canonical(0x8000_0000_0000, 4));
}

#[test]
fn s1_11_to_18_pte() {
    check(
        Pte::FIELDS,
        64,
        &[
            ("V", 0, 0),
            ("R", 1, 1),
            ("W", 2, 2),
            ("X", 3, 3),
            ("U", 4, 4),
            ("G", 5, 5),
            ("A", 6, 6),
            ("D", 7, 7),
            ("RSW", 8, 9),
            ("PPN", 10, 53),
            ("RSW60T59", 59, 60),
            ("PBMT", 61, 62),
            ("N", 63, 63),
        ],
    );
    assert_eq!(Pte::RESERVED, 0x07c0_0000_0000_0000);
    assert!(
        Pte::from_bits(0b0011).leaf()
            && Pte::from_bits(0b1001).leaf()
            && !Pte::from_bits(0b0001).leaf()
    );
}

#[test]
fn s1_01_pte32() {
    check(
        Pte32::FIELDS,
        32,
        &[
            ("V", 0, 0),
            ("R", 1, 1),
            ("W", 2, 2),
            ("X", 3, 3),
            ("U", 4, 4),
            ("G", 5, 5),
            ("A", 6, 6),
            ("D", 7, 7),
            ("RSW", 8, 9),
            ("PPN", 10, 31),
        ],
    );
}

#[test]
fn s1_25_napot() {
    assert_eq!(
        (NAPOT_ORDER, NAPOT_PPN_LOW, NAPOT_PPN_MASK),
        (4, 0b1000, 0b1111)
    );
    assert_eq!((pte::pbmt::PMA, pte::pbmt::NC, pte::pbmt::IO), (0, 1, 2));
}

#[test]
fn config_tiny_is_profile_cu39() {
    let c = config("tiny").unwrap();
    assert_eq!(c, &TINY);
    assert_eq!((c.capabilities, c.fctl), (0x0000_0020_1000_0210, 0x2));
    assert_eq!(
        (c.pas_bits(), c.ppn_bits(), c.device_id_bits()),
        (32, 20, 7)
    );
    assert_eq!(
        (c.cq_log2sz_minus_1, c.fq_log2sz_minus_1),
        (7, 7),
        "256 entries"
    );
    assert_eq!(
        (0..16).filter(|&m| c.accepts_mode(m)).collect::<Vec<_>>(),
        [0, 1, 2]
    );
    assert!(
        c.capabilities().sv39() && !c.capabilities().sv32() && c.fctl().wsi() && !c.fctl().gxl()
    );
    assert!(config("no-such-name").is_none());
    assert!(CONFIGS.iter().all(|c| config(c.name) == Some(c)));
}
