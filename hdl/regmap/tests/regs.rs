//! Register table and register fields against literal tables taken from the requirement matrix (groups 1-6, 25-28).

use portcullis_regmap::regs::{self, *};
use portcullis_regmap::{Access, Field};

/// Name, lowest bit, highest bit.
type Rows = &'static [(&'static str, u32, u32)];

#[track_caller]
fn check(fields: &[Field], width: u32, rows: Rows) {
    let named: Vec<_> = fields.iter().filter(|f| !f.name.is_empty()).collect();
    let got: Vec<_> = named
        .iter()
        .map(|f| (f.name, f.lsb, f.lsb + f.bits - 1))
        .collect();
    assert_eq!(got, rows);
    assert_eq!(
        fields.iter().map(|f| f.bits).sum::<u32>(),
        width,
        "fields fill the register"
    );
    assert!(
        fields
            .iter()
            .all(|f| f.name.is_empty() == matches!(f.access, Access::Wpri | Access::Custom))
    );
    assert!(fields.iter().all(|f| !f.doc.is_empty()));
}

#[track_caller]
fn access(fields: &[Field], name: &str, access: Access) {
    let field = fields.iter().find(|f| f.name == name).expect(name);
    assert_eq!(field.access, access, "{name}");
}

#[test]
fn reg_01_map() {
    let map: &[(&str, u16, u8, u8, u16)] = &[
        ("capabilities", 0, 8, 1, 8),
        ("fctl", 8, 4, 1, 4),
        ("ddtp", 16, 8, 1, 8),
        ("cqb", 24, 8, 1, 8),
        ("cqh", 32, 4, 1, 4),
        ("cqt", 36, 4, 1, 4),
        ("fqb", 40, 8, 1, 8),
        ("fqh", 48, 4, 1, 4),
        ("fqt", 52, 4, 1, 4),
        ("pqb", 56, 8, 1, 8),
        ("pqh", 64, 4, 1, 4),
        ("pqt", 68, 4, 1, 4),
        ("cqcsr", 72, 4, 1, 4),
        ("fqcsr", 76, 4, 1, 4),
        ("pqcsr", 80, 4, 1, 4),
        ("ipsr", 84, 4, 1, 4),
        ("iocountovf", 88, 4, 1, 4),
        ("iocountinh", 92, 4, 1, 4),
        ("iohpmcycles", 96, 8, 1, 8),
        ("iohpmctr", 104, 8, 31, 8),
        ("iohpmevt", 352, 8, 31, 8),
        ("tr_req_iova", 600, 8, 1, 8),
        ("tr_req_ctl", 608, 8, 1, 8),
        ("tr_response", 616, 8, 1, 8),
        ("iommu_qosid", 624, 4, 1, 4),
        ("linectl", 688, 4, 1, 4),
        ("icvec", 760, 8, 1, 8),
        ("msi_addr_", 768, 8, 16, 16),
        ("msi_data_", 776, 4, 16, 16),
        ("msi_vec_ctl_", 780, 4, 16, 16),
    ];
    let got: Vec<_> = REGISTERS
        .iter()
        .map(|r| (r.name, r.offset, r.width, r.count, r.stride))
        .collect();
    assert_eq!(got, map);
}

#[test]
fn reg_01_offset_constants() {
    use regs::offset::*;
    let low = [
        CAPABILITIES,
        FCTL,
        CUSTOM0,
        DDTP,
        CQB,
        CQH,
        CQT,
        FQB,
        FQH,
        FQT,
        PQB,
        PQH,
        PQT,
    ];
    assert_eq!(low, [0, 8, 12, 16, 24, 32, 36, 40, 48, 52, 56, 64, 68]);
    let control = [
        CQCSR,
        FQCSR,
        PQCSR,
        IPSR,
        IOCOUNTOVF,
        IOCOUNTINH,
        IOHPMCYCLES,
        IOHPMCTR1,
        IOHPMEVT1,
    ];
    assert_eq!(control, [72, 76, 80, 84, 88, 92, 96, 104, 352]);
    let high = [
        TR_REQ_IOVA,
        TR_REQ_CTL,
        TR_RESPONSE,
        IOMMU_QOSID,
        RESERVED0,
        LINECTL,
        CUSTOM1,
        ICVEC,
        MSI_CFG_TBL,
        RESERVED1,
    ];
    assert_eq!(high, [600, 608, 616, 624, 628, 688, 692, 760, 768, 1024]);
    assert_eq!((MSI_ENTRY_BYTES, PAGE), (16, 4096));
}

#[test]
fn reg_01_find_covers_every_byte_once() {
    let covered = |o: u16| {
        REGISTERS
            .iter()
            .filter(|r| {
                (0..u16::from(r.count)).any(|i| {
                    let base = r.offset + i * r.stride;
                    (base..base + u16::from(r.width)).contains(&o)
                })
            })
            .count()
    };
    for o in 0..4096 {
        let gap = matches!(o, 12..16 | 628..688 | 692..760 | 1024..);
        assert_eq!(covered(o), usize::from(!gap), "offset {o}");
        assert_eq!(regs::find(o).is_some(), !gap, "offset {o}");
    }
    let (ctr31, index) = regs::find(104 + 8 * 30 + 4).unwrap();
    assert_eq!((ctr31.name, index, ctr31.first), ("iohpmctr", 30, 1));
    let (ctl2, index) = regs::find(780 + 32).unwrap();
    assert_eq!((ctl2.name, index), ("msi_vec_ctl_", 2));
}

#[test]
fn reg_06_optional_registers() {
    let needs = |caps: u64| -> Vec<&str> {
        let caps = Capabilities::from_bits(caps);
        REGISTERS
            .iter()
            .filter(|r| !r.needs.met(caps))
            .map(|r| r.name)
            .collect()
    };
    let ats = ["pqb", "pqh", "pqt", "pqcsr"];
    let hpm = [
        "iocountovf",
        "iocountinh",
        "iohpmcycles",
        "iohpmctr",
        "iohpmevt",
    ];
    let dbg = ["tr_req_iova", "tr_req_ctl", "tr_response"];
    let msi = ["msi_addr_", "msi_data_", "msi_vec_ctl_"];
    let all = [&ats[..], &hpm, &dbg, &["iommu_qosid"], &msi].concat();
    assert_eq!(needs(1 << 28), all, "nothing optional, wires only");
    assert_eq!(needs(1 << 25 | 1 << 30 | 1 << 31 | 1 << 41), [""; 0]);
    assert_eq!(
        needs(1 << 25 | 1 << 30 | 1 << 31 | 1 << 41 | 2 << 28),
        [""; 0]
    );
    assert_eq!(needs(1 << 30 | 1 << 31 | 1 << 41), ats);
}

#[test]
fn reg_08_reserved_and_custom_masks() {
    assert_eq!(Capabilities::RESERVED, 0x00ff_f000_0010_3000);
    assert_eq!(Capabilities::mask_of(Access::Custom), 0xff00_0000_0000_0000);
    assert_eq!(
        (Fctl::RESERVED, Fctl::mask_of(Access::Custom)),
        (0xfff8, 0xffff_0000)
    );
    assert_eq!(Ddtp::RESERVED, 0xffc0_0000_0000_03e0);
    assert_eq!(QueueBase::RESERVED, 0xffc0_0000_0000_03e0);
    assert_eq!(
        (Cqcsr::RESERVED, Cqcsr::mask_of(Access::Custom)),
        (0x0ffc_f0fc, 0xf000_0000)
    );
    assert_eq!(
        (Fqcsr::RESERVED, Fqcsr::mask_of(Access::Custom)),
        (0x0ffc_fcfc, 0xf000_0000)
    );
    assert_eq!(
        (Pqcsr::RESERVED, Pqcsr::mask_of(Access::Custom)),
        (0x0ffc_fcfc, 0xf000_0000)
    );
    assert_eq!(
        (Ipsr::RESERVED, Ipsr::mask_of(Access::Custom)),
        (0xffff_00f0, 0xff00)
    );
    assert_eq!(
        (Icvec::RESERVED, Icvec::mask_of(Access::Custom)),
        (0xffff_0000, 0xffff_ffff_0000_0000)
    );
}

#[test]
fn reg_10_write_one_to_clear_masks() {
    assert_eq!(Cqcsr::mask_of(Access::Rw1c), 0x0f00);
    assert_eq!(Fqcsr::mask_of(Access::Rw1c), 0x0300);
    assert_eq!(Pqcsr::mask_of(Access::Rw1c), 0x0300);
    assert_eq!(Ipsr::mask_of(Access::Rw1c), 0x000f);
}

#[test]
fn cap_01_to_10_capabilities() {
    check(
        Capabilities::FIELDS,
        64,
        &[
            ("version", 0, 7),
            ("Sv32", 8, 8),
            ("Sv39", 9, 9),
            ("Sv48", 10, 10),
            ("Sv57", 11, 11),
            ("Svrsw60t59b", 14, 14),
            ("Svpbmt", 15, 15),
            ("Sv32x4", 16, 16),
            ("Sv39x4", 17, 17),
            ("Sv48x4", 18, 18),
            ("Sv57x4", 19, 19),
            ("AMO_MRIF", 21, 21),
            ("MSI_FLAT", 22, 22),
            ("MSI_MRIF", 23, 23),
            ("AMO_HWAD", 24, 24),
            ("ATS", 25, 25),
            ("T2GPA", 26, 26),
            ("END", 27, 27),
            ("IGS", 28, 29),
            ("HPM", 30, 30),
            ("DBG", 31, 31),
            ("PAS", 32, 37),
            ("PD8", 38, 38),
            ("PD17", 39, 39),
            ("PD20", 40, 40),
            ("QOSID", 41, 41),
            ("NL", 42, 42),
            ("S", 43, 43),
        ],
    );
    assert!(
        Capabilities::FIELDS
            .iter()
            .all(|f| matches!(f.access, Access::Ro | Access::Wpri | Access::Custom))
    );
}

#[test]
fn cap_02_cap_07_values() {
    assert_eq!(regs::VERSION_1_0, 0x10);
    assert_eq!((igs::MSI, igs::WSI, igs::BOTH), (0, 1, 2));
}

#[test]
fn fctl_01_fields() {
    check(
        Fctl::FIELDS,
        32,
        &[("BE", 0, 0), ("WSI", 1, 1), ("GXL", 2, 2)],
    );
    ["BE", "WSI", "GXL"]
        .iter()
        .for_each(|f| access(Fctl::FIELDS, f, Access::Warl));
}

#[test]
fn ddtp_01_fields() {
    check(
        Ddtp::FIELDS,
        64,
        &[("iommu_mode", 0, 3), ("busy", 4, 4), ("PPN", 10, 53)],
    );
    access(Ddtp::FIELDS, "iommu_mode", Access::Warl);
    access(Ddtp::FIELDS, "busy", Access::Ro);
    access(Ddtp::FIELDS, "PPN", Access::Warl);
}

#[test]
fn ddtp_02_modes() {
    use iommu_mode::*;
    assert_eq!([OFF, BARE, LVL1, LVL2, LVL3], [0, 1, 2, 3, 4]);
}

#[test]
fn cqb_01_fqb_01_pqb_01_fields() {
    check(
        QueueBase::FIELDS,
        64,
        &[("LOG2SZ-1", 0, 4), ("PPN", 10, 53)],
    );
    check(QueueIndex::FIELDS, 32, &[("index", 0, 31)]);
    for (name, kind) in [
        ("cqh", Access::Ro),
        ("cqt", Access::Warl),
        ("fqh", Access::Warl),
        ("fqt", Access::Ro),
        ("pqh", Access::Warl),
        ("pqt", Access::Ro),
    ] {
        assert_eq!(
            REGISTERS.iter().find(|r| r.name == name).unwrap().access,
            kind,
            "{name}"
        );
    }
}

#[test]
fn cqcsr_01_fields() {
    check(
        Cqcsr::FIELDS,
        32,
        &[
            ("cqen", 0, 0),
            ("cie", 1, 1),
            ("cqmf", 8, 8),
            ("cmd_to", 9, 9),
            ("cmd_ill", 10, 10),
            ("fence_w_ip", 11, 11),
            ("cqon", 16, 16),
            ("busy", 17, 17),
        ],
    );
    access(Cqcsr::FIELDS, "cqen", Access::Rw);
    access(Cqcsr::FIELDS, "cie", Access::Rw);
    ["cqon", "busy"]
        .iter()
        .for_each(|f| access(Cqcsr::FIELDS, f, Access::Ro));
}

#[test]
fn fqcsr_01_fields() {
    check(
        Fqcsr::FIELDS,
        32,
        &[
            ("fqen", 0, 0),
            ("fie", 1, 1),
            ("fqmf", 8, 8),
            ("fqof", 9, 9),
            ("fqon", 16, 16),
            ("busy", 17, 17),
        ],
    );
}

#[test]
fn pqcsr_01_fields() {
    check(
        Pqcsr::FIELDS,
        32,
        &[
            ("pqen", 0, 0),
            ("pie", 1, 1),
            ("pqmf", 8, 8),
            ("pqof", 9, 9),
            ("pqon", 16, 16),
            ("busy", 17, 17),
        ],
    );
}

#[test]
fn rst_01_rst_02_rst_04_reset_kinds() {
    for r in REGISTERS {
        let expected = match r.name {
            "capabilities" | "fctl" => Reset::Config,
            "ddtp" | "cqcsr" | "fqcsr" | "pqcsr" | "ipsr" | "tr_req_ctl" | "linectl" => Reset::Zero,
            _ => Reset::Unspecified,
        };
        assert_eq!(r.reset, expected, "{}", r.name);
    }
}

#[test]
fn int_01_fields() {
    check(
        Ipsr::FIELDS,
        32,
        &[("cip", 0, 0), ("fip", 1, 1), ("pmip", 2, 2), ("pip", 3, 3)],
    );
}

#[test]
fn int_10_int_12_fields() {
    check(
        Icvec::FIELDS,
        64,
        &[
            ("civ", 0, 3),
            ("fiv", 4, 7),
            ("pmiv", 8, 11),
            ("piv", 12, 15),
        ],
    );
    check(MsiAddr::FIELDS, 64, &[("ADDR", 2, 55)]);
    check(MsiData::FIELDS, 32, &[("data", 0, 31)]);
    check(MsiVecCtl::FIELDS, 32, &[("M", 0, 0)]);
}

#[test]
fn hpm_02_to_07_fields() {
    check(Iocountovf::FIELDS, 32, &[("CY", 0, 0), ("HPM", 1, 31)]);
    check(Iocountinh::FIELDS, 32, &[("CY", 0, 0), ("HPM", 1, 31)]);
    check(
        Iohpmcycles::FIELDS,
        64,
        &[("counter", 0, 62), ("OF", 63, 63)],
    );
    check(Iohpmctr::FIELDS, 64, &[("counter", 0, 63)]);
    check(
        Iohpmevt::FIELDS,
        64,
        &[
            ("eventID", 0, 14),
            ("DMASK", 15, 15),
            ("PID_PSCID", 16, 35),
            ("DID_GSCID", 36, 59),
            ("PV_PSCV", 60, 60),
            ("DV_GSCV", 61, 61),
            ("IDT", 62, 62),
            ("OF", 63, 63),
        ],
    );
    use event::*;
    let events = [
        NONE,
        UNTRANSLATED,
        TRANSLATED,
        ATS_REQUEST,
        TLB_MISS,
        DDT_WALK,
        PDT_WALK,
        S1_WALK,
        S2_WALK,
    ];
    assert_eq!(events, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn dbg_01_dbg_02_dbg_05_fields() {
    check(TrReqIova::FIELDS, 64, &[("vpn", 12, 63)]);
    check(
        TrReqCtl::FIELDS,
        64,
        &[
            ("Go/Busy", 0, 0),
            ("Priv", 1, 1),
            ("Exe", 2, 2),
            ("NW", 3, 3),
            ("PID", 12, 31),
            ("PV", 32, 32),
            ("DID", 40, 63),
        ],
    );
    check(
        TrResponse::FIELDS,
        64,
        &[
            ("fault", 0, 0),
            ("PBMT", 7, 8),
            ("S", 9, 9),
            ("PPN", 10, 53),
        ],
    );
}

#[test]
fn qos_01_fields() {
    check(IommuQosid::FIELDS, 32, &[("RCID", 0, 11), ("MCID", 16, 27)]);
}

#[test]
fn typed_values_follow_the_table() {
    assert_eq!(
        Ddtp::new()
            .with_iommu_mode(2)
            .with_ppn(0x8_1234)
            .into_bits(),
        0x2048_d002
    );
    assert_eq!(
        Cqcsr::new()
            .with_cqen(true)
            .with_cie(true)
            .with_cqmf(true)
            .into_bits(),
        0x103
    );
    assert_eq!(Capabilities::from_bits(0x0000_0c28_e000_0e10).pas(), 40);
    assert_eq!(
        Iohpmevt::new().with_did_gscid(0xff_ffff).into_bits(),
        0x0fff_fff0_0000_0000
    );
}
