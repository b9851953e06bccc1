//! Commands and fault records against literal tables taken from the requirement matrix (groups 16-22) and from the
//! driver's protocol.

use portcullis_regmap::Field;
use portcullis_regmap::command::{self, *};
use portcullis_regmap::fault::{self, *};
use portcullis_regmap::regs::Capabilities;

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
fn inv_01_fields() {
    check(
        Iotinval0::FIELDS,
        64,
        &[
            ("opcode", 0, 6),
            ("func3", 7, 9),
            ("AV", 10, 10),
            ("PSCID", 12, 31),
            ("PSCV", 32, 32),
            ("GV", 33, 33),
            ("NL", 34, 34),
            ("GSCID", 44, 59),
        ],
    );
    check(Iotinval1::FIELDS, 64, &[("S", 9, 9), ("ADDR", 10, 61)]);
    assert_eq!(
        (Iotinval0::RESERVED, Iotinval1::RESERVED),
        (0xf000_0ff8_0000_0800, 0xc000_0000_0000_01ff)
    );
}

#[test]
fn fen_01_fields() {
    check(
        Iofence0::FIELDS,
        64,
        &[
            ("opcode", 0, 6),
            ("func3", 7, 9),
            ("AV", 10, 10),
            ("WSI", 11, 11),
            ("PR", 12, 12),
            ("PW", 13, 13),
            ("DATA", 32, 63),
        ],
    );
    check(Iofence1::FIELDS, 64, &[("ADDR", 0, 61)]);
    assert_eq!(
        (Iofence0::RESERVED, Iofence1::RESERVED),
        (0xffff_c000, 0xc000_0000_0000_0000)
    );
}

#[test]
fn dir_01_fields() {
    check(
        Iodir0::FIELDS,
        64,
        &[
            ("opcode", 0, 6),
            ("func3", 7, 9),
            ("PID", 12, 31),
            ("DV", 33, 33),
            ("DID", 40, 63),
        ],
    );
    assert_eq!(Iodir0::RESERVED, 0x0000_00fd_0000_0c00);
}

#[test]
fn atc_01_fields() {
    check(
        Ats0::FIELDS,
        64,
        &[
            ("opcode", 0, 6),
            ("func3", 7, 9),
            ("PID", 12, 31),
            ("PV", 32, 32),
            ("DSV", 33, 33),
            ("RID", 40, 55),
            ("DSEG", 56, 63),
        ],
    );
    assert_eq!(Ats0::RESERVED, 0x0000_00fc_0000_0c00);
}

#[test]
fn cq_01_opcodes() {
    assert_eq!(
        [
            opcode::IOTINVAL,
            opcode::IOFENCE,
            opcode::IODIR,
            opcode::ATS
        ],
        [1, 2, 3, 4]
    );
    assert_eq!(
        [
            func3::VMA,
            func3::GVMA,
            func3::FENCE_C,
            func3::INVAL_DDT,
            func3::INVAL_PDT
        ],
        [0, 1, 0, 0, 1]
    );
    assert_eq!([func3::ATS_INVAL, func3::ATS_PRGR], [0, 1]);
    assert_eq!(command::BYTES, 16);
}

#[test]
fn inv_dir_fen_encodings() {
    let c = |dw0, dw1| Command { dw0, dw1 };
    assert_eq!(Command::inval_ddt(Some(0x25)), c(0x0000_2502_0000_0003, 0));
    assert_eq!(Command::inval_ddt(None), c(0x3, 0));
    assert_eq!(Command::inval_pdt(0x25, 0x5), c(0x0000_2502_0000_5083, 0));
    assert_eq!(Command::iofence(false, false), c(0x2, 0));
    assert_eq!(Command::iofence(true, true), c(0x3002, 0));
    assert_eq!(
        Command::iofence_store(false, true, 0x1_2344, 0xdead_beef),
        c(0xdead_beef_0000_2402, 0x48d1)
    );
    assert_eq!(Command::iotinval_vma_all(), c(0x1, 0));
    assert_eq!(Command::iotinval_vma_pscid(7), c(0x0000_0001_0000_7001, 0));
    assert_eq!(
        Command::iotinval_vma_page(7, 0x1_2345_6000),
        c(0x0000_0001_0000_7401, 0x0000_0000_48d1_5800)
    );
    assert_eq!(
        Command::iotinval_vma_pscid(7).with_non_leaf(),
        c(0x0000_0005_0000_7001, 0)
    );
    assert_eq!(Command::iotinval_gvma(None), c(0x81, 0));
    assert_eq!(Command::iotinval_gvma(Some(3)), c(0x0000_3002_0000_0081, 0));
    assert_eq!(
        Command::ats_inval(0x1234, 0xffff),
        c(0x0012_3400_0000_0004, 0xffff)
    );
    assert_eq!(
        Command::ats_prgr(0x1234, 0xffff),
        c(0x0012_3400_0000_0084, 0xffff)
    );
}

#[test]
fn inv_27_range() {
    // 64 KiB at 0x1_2345_0000: 16 pages, so ADDR bits 2:0 are 111 and bit 3 is 0.
    let c = Command::iotinval_vma_range(7, 0x1_2345_6000, 16);
    assert_eq!(c.dw0, 0x0000_0001_0000_7401);
    assert_eq!(c.dw1, (0x12_3457 << 10) | (1 << 9));
    // 8 KiB: bit 0 is 0.
    assert_eq!(
        Command::iotinval_vma_range(7, 0x1_2345_7000, 13).dw1,
        (0x12_3456 << 10) | (1 << 9)
    );
}

#[test]
fn cq_06_cq_07_decode() {
    let ill = |dw0: u64, dw1: u64| {
        assert_eq!(
            Command { dw0, dw1 }.decode(),
            Err(Illegal),
            "{dw0:#x} {dw1:#x}"
        )
    };
    for op in [0, 5, 6, 63, 64, 127] {
        ill(op, 0);
    }
    for (op, first_bad) in [(1, 2), (2, 1), (3, 2), (4, 2)] {
        (first_bad..8).for_each(|f| ill(op | f << 7, 0));
    }
    for bit in [11, 35, 43, 60, 63] {
        ill(0x1 | 1 << bit, 0);
    }
    for bit in [0, 8, 62, 63] {
        ill(0x1, 1 << bit);
    }
    for bit in [14, 31] {
        ill(0x2 | 1 << bit, 0);
    }
    ill(0x2, 1 << 62);
    for bit in [10, 11, 32, 34, 39] {
        ill(0x3 | 1 << bit, 0);
    }
    ill(0x3, 1);
    for bit in [10, 11, 34, 39] {
        ill(0x4 | 1 << bit, 0);
    }
}

#[test]
fn inv_13_dir_04_dir_05_illegal_forms() {
    assert_eq!(
        Command {
            dw0: 0x81 | 1 << 32,
            dw1: 0
        }
        .decode(),
        Err(Illegal)
    );
    assert_eq!(
        Command {
            dw0: 0x3 | 1 << 33 | 1 << 12,
            dw1: 0
        }
        .decode(),
        Err(Illegal)
    );
    assert_eq!(
        Command {
            dw0: 0x3 | 1 << 12,
            dw1: 0
        }
        .decode(),
        Err(Illegal)
    );
    assert_eq!(Command { dw0: 0x83, dw1: 0 }.decode(), Err(Illegal));
}

#[test]
fn inv_14_decode_operands() {
    let vma = Command::iotinval_vma_page(7, 0x1_2345_6000).decode();
    let expected = Op::Iotinval {
        gvma: false,
        addr: Some(0x1_2345_6000),
        pscid: Some(7),
        gscid: None,
        nl: false,
        s: false,
    };
    assert_eq!(vma, Ok(expected));
    let all = Command {
        dw0: 0x1 | 0x7000,
        dw1: 0x400,
    }
    .decode();
    assert_eq!(
        all,
        Ok(Op::Iotinval {
            gvma: false,
            addr: None,
            pscid: None,
            gscid: None,
            nl: false,
            s: false
        })
    );
    let fence = Command::iofence_store(true, false, 0x1_2344, 5).decode();
    assert_eq!(
        fence,
        Ok(Op::Iofence {
            pr: true,
            pw: false,
            wsi: false,
            store: Some((0x1_2344, 5))
        })
    );
    assert_eq!(
        Command::inval_ddt(Some(9)).decode(),
        Ok(Op::InvalDdt { did: Some(9) })
    );
    assert_eq!(
        Command {
            dw0: 0x3 | 9 << 40,
            dw1: 0
        }
        .decode(),
        Ok(Op::InvalDdt { did: None })
    );
    assert_eq!(
        Command::inval_pdt(9, 2).decode(),
        Ok(Op::InvalPdt { did: 9, pid: 2 })
    );
    let ats = Command {
        dw0: 0x84 | 3 << 32 | 2 << 12 | 5 << 40 | 6 << 56,
        dw1: 1,
    }
    .decode();
    assert_eq!(
        ats,
        Ok(Op::Ats {
            prgr: true,
            pid: Some(2),
            rid: 5,
            segment: Some(6),
            payload: 1
        })
    );
}

#[test]
fn cq_08_inv_23_inv_26_fen_09_dir_07_dir_08_atc_02_supported() {
    let ok = |c: Command, caps: u64, wsi, did_bits| {
        c.decode()
            .unwrap()
            .supported(Capabilities::from_bits(caps), wsi, did_bits)
    };
    let (nl, s, ats, pd8, pd17, pd20) = (1 << 42, 1 << 43, 1 << 25, 1u64 << 38, 1 << 39, 1 << 40);
    let page = Command::iotinval_vma_page(1, 0);
    assert!(ok(page, 0, false, 7));
    assert!(!ok(page.with_non_leaf(), s, false, 7) && ok(page.with_non_leaf(), nl, false, 7));
    let range = Command::iotinval_vma_range(1, 0, 21);
    assert!(!ok(range, nl, false, 7) && ok(range, s, false, 7));
    let raise = Command { dw0: 0x802, dw1: 0 };
    assert!(!ok(raise, 0, false, 7) && ok(raise, 0, true, 7));
    assert!(
        ok(Command::inval_ddt(Some(127)), 0, false, 7)
            && !ok(Command::inval_ddt(Some(128)), 0, false, 7)
    );
    assert!(ok(Command::inval_ddt(None), 0, false, 7));
    let pdt = |pid, caps| ok(Command::inval_pdt(1, pid), caps, false, 7);
    assert!(pdt(255, 0) && !pdt(256, 0) && !pdt(256, pd8));
    assert!(pdt(0x1_ffff, pd17) && !pdt(0x2_0000, pd17) && pdt(0xf_ffff, pd20));
    assert!(!ok(Command::inval_pdt(128, 0), 0, false, 7));
    assert!(
        !ok(Command::ats_inval(0, 0), 0, false, 7) && ok(Command::ats_inval(0, 0), ats, false, 7)
    );
    assert!(
        ok(Command::iotinval_gvma(None), 0, false, 7),
        "a legal no-op without second stage (A-48)"
    );
}

#[test]
fn flt_07_record() {
    check(
        FaultInfo::FIELDS,
        64,
        &[
            ("CAUSE", 0, 11),
            ("PID", 12, 31),
            ("PV", 32, 32),
            ("PRIV", 33, 33),
            ("TTYP", 34, 39),
            ("DID", 40, 63),
        ],
    );
    let r = Record {
        dw: [0x0000_250c_0000_000f, 0, 0x1000, 0x2000],
    };
    assert_eq!(
        (r.cause(), r.info().ttyp(), r.info().did()),
        (Cause::WRITE_PAGE, ttyp::UNTRANSLATED_WRITE, 0x25)
    );
    assert_eq!((r.iotval(), r.iotval2()), (0x1000, 0x2000));
    assert_eq!(fault::BYTES, 32);
}

#[test]
fn flt_02_causes() {
    let defined: Vec<u16> = Cause::DEFINED.iter().map(|c| c.0).collect();
    let expected: Vec<u16> = [1, 4, 5, 6, 7, 12, 13, 15, 20, 21, 23]
        .into_iter()
        .chain(256..=274)
        .collect();
    assert_eq!(defined, expected);
    assert!(Cause::DEFINED.iter().all(|c| {
        c.describe()
            .is_some_and(|d| !d.is_empty() && !d.starts_with(' '))
    }));
    assert!(
        [0, 2, 3, 8, 14, 16, 22, 24, 255, 275, 2047, 4095]
            .iter()
            .all(|&c| Cause(c).describe().is_none())
    );
}

#[test]
fn flt_03_dtf() {
    let kept: Vec<u16> = (0..4096).filter(|&c| Cause(c).despite_dtf()).collect();
    assert_eq!(kept, [256, 257, 258, 259, 268, 272, 273]);
}

#[test]
fn flt_09_ttyp() {
    use ttyp::*;
    assert_eq!(
        [
            NONE,
            UNTRANSLATED_EXEC,
            UNTRANSLATED_READ,
            UNTRANSLATED_WRITE
        ],
        [0, 1, 2, 3]
    );
    assert_eq!(
        [
            TRANSLATED_EXEC,
            TRANSLATED_READ,
            TRANSLATED_WRITE,
            ATS_REQUEST,
            MESSAGE
        ],
        [5, 6, 7, 8, 9]
    );
}
