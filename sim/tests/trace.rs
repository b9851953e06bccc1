//! Every known line of a log, malformed ones, and what is inferred from whole logs.

use portcullis_sim::core::Access;
use portcullis_sim::plan::{Action, Extent, Plan, plan};
use portcullis_sim::trace::{Domain, EventKind, Trace, parse};
use proptest::prelude::*;

const STRICT: &[u8] = include_bytes!("../../traces/linux-vtd-nvme-e1000e-strict.log");
const LAZY: &[u8] = include_bytes!("../../traces/linux-vtd-nvme-e1000e-lazy.log");
const RISCV: &[u8] = include_bytes!("../../traces/linux-riscv-iommu-identity.log");

const DMA: &str = "vtd_dmar_translate dev 00:04.00 iova 0xffffe000 -> gpa 0x68b5000 mask 0xfff";

/// The events of one line beside a DMA that makes the log a log.
fn event(line: &str) -> Option<EventKind> {
    let trace = parsed(&[DMA, line]);
    trace.events.get(1).map(|event| event.kind)
}

fn parsed(lines: &[&str]) -> Trace {
    parse(lines.join("\n").as_bytes()).expect("a good log")
}

#[test]
fn vtd_lines() {
    assert_eq!(
        event("vtd_dmar_translate dev 1f:1f.07 iova 0x201000 -> gpa 0x40001000 mask 0x1fffff"),
        Some(EventKind::Dma {
            device: 0x1fff,
            process: 0,
            iova: 0x20_1000,
            target: 0x4000_1000,
            size: 0x20_0000,
            access: None
        })
    );
    let pages = |addr, last| {
        Some(EventKind::Pages {
            domain: Some(Domain::Vtd(3)),
            addr,
            last,
        })
    };
    let line = |mask| {
        format!("vtd_inv_desc_iotlb_pages iotlb invalidate domain 0x3 addr 0xffffd000 mask {mask}")
    };
    assert_eq!(event(&line("0x0")), pages(0xffff_d000, 0xffff_dfff));
    assert_eq!(event(&line("0x4")), pages(0xffff_0000, 0xffff_ffff));
    assert_eq!(event(&line("0x33")), pages(0, (1 << 63) - 1));
    assert_eq!(
        event("vtd_inv_desc_iotlb_domain iotlb invalidate whole domain 0x4"),
        Some(EventKind::Drain {
            domain: Some(Domain::Vtd(4))
        })
    );
    assert_eq!(
        event("vtd_inv_desc_iotlb_global iotlb invalidate global"),
        Some(EventKind::Drain { domain: None })
    );
    let trace = parsed(&[
        DMA,
        "vtd_inv_desc_cc_global context invalidate globally",
        "vtd_inv_desc_cc_device context invalidate device 00:04.00",
        "vtd_inv_desc_wait_sw wait invalidate status write addr 0x11bac04 data 0x2",
        "pci_nvme_io_cmd cid 0 nsid 0x1 sqid 1 opc 0x2 opname 'NVME_NVM_CMD_READ'",
        "",
        "vtd_inv_desc_iotlb_pagesque nonsense",
    ]);
    assert_eq!((trace.events.len(), trace.lines.dma), (1, 1));
    assert_eq!(
        (
            trace.lines.contexts,
            trace.lines.fences,
            trace.lines.skipped
        ),
        (2, 1, 3)
    );
}

#[test]
fn riscv_lines() {
    assert_eq!(
        event("riscv_iommu_dma (null): translate 0000:01.0 #0 RO 0x85f85010 -> 0x12010"),
        Some(EventKind::Dma {
            device: 8,
            process: 0,
            iova: 0x85f8_5010,
            target: 0x1_2010,
            size: 4096,
            access: Some(Access::Read)
        })
    );
    let dma = event("riscv_iommu_dma 01:02.3: translate ffff:1f.7 #1048575 WR 0x0 -> 0x0");
    assert!(matches!(
        dma,
        Some(EventKind::Dma {
            device: 0xff_ffff,
            process: 0xf_ffff,
            access: Some(Access::Write),
            ..
        })
    ));
    let command = |words: &str| event(&format!("riscv_iommu_cmd (null): command {words}"));
    assert_eq!(command("0x1 0x0"), Some(EventKind::Drain { domain: None }));
    let domain = Some(Domain::Pscid(None, 5));
    assert_eq!(
        command("0x100005001 0x0"),
        Some(EventKind::Drain { domain })
    );
    assert_eq!(
        command("0x100005401 0x1400"),
        Some(EventKind::Pages {
            domain,
            addr: 0x5000,
            last: 0x5fff
        })
    );
    // S=1 and page number 0b...0111: 16 pages
    assert_eq!(
        command("0x100005401 0x5e00"),
        Some(EventKind::Pages {
            domain,
            addr: 0x1_0000,
            last: 0x1_ffff
        })
    );
    // S=1 and all ones: everything
    assert_eq!(
        command("0x401 0x3ffffffffffffe00"),
        Some(EventKind::Pages {
            domain: None,
            addr: 0,
            last: u64::MAX
        })
    );
    assert_eq!(
        command("0x700200000081 0x0"),
        Some(EventKind::Drain {
            domain: Some(Domain::Gscid(7))
        })
    );
    let trace = parsed(&[
        DMA,
        "riscv_iommu_cmd (null): command 0x80200000003 0x0",
        "riscv_iommu_cmd (null): command 0x3002 0x0",
        "riscv_iommu_cmd (null): command 0x7f 0x0",
        "riscv_iommu_new (null): device attached 0000:00.0",
    ]);
    let lines = trace.lines;
    assert_eq!(
        (
            lines.contexts,
            lines.fences,
            lines.other_commands,
            lines.skipped
        ),
        (1, 1, 1, 1)
    );
}

#[test]
fn timestamps_and_carriage_returns_are_accepted() {
    let trace = parsed(&[
        &format!("4711@1700000000.123456:{DMA}\r"),
        &format!("a@b.c:{DMA}"),
    ]);
    assert_eq!((trace.lines.dma, trace.lines.skipped), (1, 1));
}

#[test]
fn malformed_lines_of_known_kinds_are_errors() {
    let cases = [
        ("vtd_dmar_translate", "ends"),
        (
            "vtd_dmar_translate dev 00:04.00 iova 0xffffe000 -> gpa 0x68b5000",
            "`mask`",
        ),
        (
            "vtd_dmar_translate dev 00:04.00 iova ffffe000 -> gpa 0x68b5000 mask 0xfff",
            "`ffffe000`",
        ),
        (
            "vtd_dmar_translate dev 00:04.00 iova 0xffffe000 -> gpa 0x68b5000 mask 0xfff x",
            "`x`",
        ),
        (
            "vtd_dmar_translate dev 00:04.00 iova 0xffffe000 => gpa 0x68b5000 mask 0xfff",
            "`=>`",
        ),
        (
            "vtd_dmar_translate dev 00:04 iova 0xffffe000 -> gpa 0x68b5000 mask 0xfff",
            "`00:04`",
        ),
        (
            "vtd_dmar_translate dev 00:20.00 iova 0xffffe000 -> gpa 0x68b5000 mask 0xfff",
            "`00:20.00`",
        ),
        (
            "vtd_dmar_translate dev 100:04.00 iova 0xffffe000 -> gpa 0x68b5000 mask 0xfff",
            "`100:04.00`",
        ),
        (
            "vtd_dmar_translate dev 00:04.00 iova 0xffffe000 -> gpa 0x68b5000 mask 0xffe",
            "0xffe",
        ),
        (
            "vtd_dmar_translate dev 00:04.00 iova 0x0 -> gpa 0x0 mask 0xffffffffffffffff",
            "mask",
        ),
        (
            "vtd_dmar_translate dev 00:04.00 iova 0x10000000000000000 -> gpa 0x0 mask 0xfff",
            "16 hex digits",
        ),
        (
            "vtd_dmar_translate dev 00:04.00 iova 0x1000 -> gpa 0x10 mask 0xfff",
            "offset",
        ),
        (
            "vtd_inv_desc_iotlb_pages iotlb invalidate domain 0x3 addr 0xffffd000",
            "`mask`",
        ),
        (
            "vtd_inv_desc_iotlb_pages iotlb invalidate domain 0x3 addr 0xffffd000 mask 0x34",
            "2^0x34",
        ),
        (
            "vtd_inv_desc_iotlb_pages iotlb invalidate domain 0x3 addr 0xffffd000 mask 0xffffffffff",
            "pages",
        ),
        (
            "vtd_inv_desc_iotlb_domain iotlb invalidate domain 0x3",
            "`whole`",
        ),
        (
            "vtd_inv_desc_iotlb_global iotlb invalidate global 0x3",
            "`0x3`",
        ),
        ("vtd_inv_desc_cc_global nonsense", "`context`"),
        (
            "vtd_inv_desc_wait_sw wait invalidate status write addr 0x11bac04 data",
            "data",
        ),
        (
            "riscv_iommu_dma translate 0000:01.0 #0 RO 0x0 -> 0x0",
            "name",
        ),
        (
            "riscv_iommu_dma (null): translate 0000:01.0 0 RO 0x0 -> 0x0",
            "`0`",
        ),
        (
            "riscv_iommu_dma (null): translate 0000:01.0 #+1 RO 0x0 -> 0x0",
            "`#+1`",
        ),
        (
            "riscv_iommu_dma (null): translate 0000:01.0 #1048576 RO 0x0 -> 0x0",
            "20 bits",
        ),
        (
            "riscv_iommu_dma (null): translate 0000:01.0 #0 RW 0x0 -> 0x0",
            "`RW`",
        ),
        (
            "riscv_iommu_dma (null): translate 0000:01.0 #0 RO 0x1004 -> 0x1008",
            "offset",
        ),
        ("riscv_iommu_cmd (null): command 0x3", "ends"),
        (
            "riscv_iommu_cmd (null): command 0x3 0x0 0x0",
            "end of the line",
        ),
    ];
    for (line, cause) in cases {
        let log = format!("{DMA}\nsomething else\n{line}\n{DMA}\n");
        let error = parse(log.as_bytes()).expect_err(line);
        assert_eq!(error.line, Some(3), "{line}");
        assert!(error.cause.contains(cause), "{line}: {}", error.cause);
        let shown = error.describe("a.log");
        assert!(
            shown.starts_with("a.log:3: ") && !shown.contains('\n'),
            "{shown}"
        );
    }
    let error = parse(b"vtd_dmar_translate \xff\xfe\x00\n").expect_err("not text");
    assert_eq!(error.line, Some(1));
}

#[test]
fn a_log_without_dma_is_an_error() {
    for log in [
        &b""[..],
        b"\n",
        b"hello\nworld",
        b"vtd_inv_desc_iotlb_global iotlb invalidate global\n",
    ] {
        let error = parse(log).expect_err("no DMA");
        assert!(
            error.line.is_none() && error.describe("x").starts_with("x: no DMA"),
            "{}",
            error.cause
        );
    }
}

#[test]
fn the_logs_of_the_repository() {
    let strict = parse(STRICT).expect("strict");
    assert_eq!((strict.lines.dma, strict.lines.pages), (6880, 1063));
    let lazy = parse(LAZY).expect("lazy");
    assert_eq!((lazy.lines.dma, lazy.lines.drains), (6976, 79 + 1));
    let riscv = parse(RISCV).expect("riscv");
    assert_eq!(
        (
            riscv.lines.dma,
            riscv.lines.drains,
            riscv.lines.contexts,
            riscv.lines.fences
        ),
        (4086, 4, 4, 4)
    );
    for (trace, names) in [(&strict, true), (&lazy, true), (&riscv, false)] {
        let plan = plan(trace);
        assert_eq!((plan.touches, plan.extra_flushes), (trace.lines.dma, 0));
        assert_eq!(plan.foreign_invalidations, 0);
        let domains: Vec<_> = plan
            .devices
            .iter()
            .map(|device| (device.id, device.domain))
            .collect();
        if names {
            assert_eq!(
                domains,
                [(0x20, Some(Domain::Vtd(3))), (0x28, Some(Domain::Vtd(4)))]
            );
        } else {
            assert_eq!(domains, [(0x08, None), (0x10, None)]);
        }
        check(&plan);
    }
    // Each change of a target is a mapping made again.
    let maps = plan(&lazy)
        .steps
        .iter()
        .filter(|step| matches!(&step.action, Action::Touch(t) if t.map.is_some()))
        .count();
    assert_eq!(maps, 648 + 623);
}

/// A plan maps only what is not mapped, unmaps only what is, and touches only what leads to the target.
fn check(plan: &Plan) {
    let mut mapped = std::collections::BTreeMap::new();
    for step in &plan.steps {
        match &step.action {
            Action::Touch(touch) => {
                if let Some(size) = touch.map {
                    for offset in (0..size).step_by(4096) {
                        let page = (touch.iova & !(size - 1)) + offset;
                        let target = (touch.target & !(size - 1)) + offset;
                        assert_eq!(
                            mapped.insert((touch.device, page), target),
                            None,
                            "line {}",
                            step.line
                        );
                    }
                }
                let page = touch.iova & !4095;
                assert_eq!(
                    mapped.get(&(touch.device, page)),
                    Some(&(touch.target & !4095)),
                    "line {}",
                    step.line
                );
            }
            Action::Unmap(extents)
            | Action::Drain {
                unmaps: extents, ..
            } => {
                for Extent { device, iova, len } in extents {
                    for page in (*iova..iova + len).step_by(4096) {
                        assert!(
                            mapped.remove(&(*device, page)).is_some(),
                            "line {}",
                            step.line
                        );
                    }
                }
            }
        }
    }
}

fn dma(device: &str, iova: u64, target: u64) -> String {
    format!("vtd_dmar_translate dev {device} iova {iova:#x} -> gpa {target:#x} mask 0xfff")
}

fn pages(domain: u64, addr: u64) -> String {
    format!("vtd_inv_desc_iotlb_pages iotlb invalidate domain {domain:#x} addr {addr:#x} mask 0x0")
}

fn drain(domain: u64) -> String {
    format!("vtd_inv_desc_iotlb_domain iotlb invalidate whole domain {domain:#x}")
}

fn planned(lines: &[String]) -> Plan {
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let plan = plan(&parsed(&lines));
    check(&plan);
    plan
}

#[test]
fn the_domain_is_that_of_the_device_whose_pages_go() {
    // Both devices use the same addresses; only the first one's pages change at the invalidations.
    let plan = planned(&[
        dma("00:01.0", 0x1000, 0xa000),
        dma("00:02.0", 0x1000, 0xb000),
        pages(7, 0x1000),
        dma("00:01.0", 0x1000, 0xc000),
        dma("00:02.0", 0x1000, 0xb000),
        pages(8, 0x1000),
        dma("00:02.0", 0x1000, 0xd000),
        dma("00:01.0", 0x1000, 0xc000),
    ]);
    let domains: Vec<_> = plan.devices.iter().map(|device| device.domain).collect();
    assert_eq!(domains, [Some(Domain::Vtd(7)), Some(Domain::Vtd(8))]);
    assert_eq!((plan.extra_flushes, plan.foreign_invalidations), (0, 0));
    let unmaps = plan
        .steps
        .iter()
        .filter(|step| matches!(step.action, Action::Unmap(_)))
        .count();
    assert_eq!(unmaps, 2);
}

#[test]
fn a_changed_page_is_unmapped_at_the_first_drain_behind_its_last_use() {
    let plan = planned(&[
        dma("00:01.0", 0x1000, 0xa000),
        dma("00:01.0", 0x2000, 0xb000),
        dma("00:01.0", 0x3000, 0xe000),
        drain(3),
        dma("00:01.0", 0x3000, 0xe000),
        drain(3),
        dma("00:01.0", 0x1000, 0xc000),
        dma("00:01.0", 0x3000, 0xe000),
    ]);
    let drains: Vec<_> = plan
        .steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::Drain {
                unmaps,
                devices,
                extra: false,
            } => Some((unmaps.clone(), devices.clone())),
            _ => None,
        })
        .collect();
    // 0x1000 changes; 0x2000 is never seen again and is its neighbour; 0x3000 stays.
    let both = Extent {
        device: 0,
        iova: 0x1000,
        len: 0x2000,
    };
    assert_eq!(drains, [(vec![both], vec![0]), (vec![], vec![0])]);
}

#[test]
fn a_change_that_nothing_explains_is_an_extra_flush() {
    let plan = planned(&[
        dma("00:01.0", 0x1000, 0xa000),
        dma("00:01.0", 0x1000, 0xb000),
        drain(3),
    ]);
    assert_eq!((plan.extra_flushes, plan.foreign_invalidations), (1, 1));
    assert!(matches!(
        plan.steps[1].action,
        Action::Drain { extra: true, .. }
    ));
}

#[test]
fn invalidations_of_untouched_pages_are_counted() {
    let plan = planned(&[
        dma("00:01.0", 0x1000, 0xa000),
        pages(3, 0x1000),
        pages(3, 0x9000),
    ]);
    assert_eq!((plan.empty_invalidations, plan.steps.len()), (1, 2));
}

#[test]
fn larger_pages_replace_what_they_overlap() {
    let large =
        "vtd_dmar_translate dev 00:01.0 iova 0x205000 -> gpa 0x605000 mask 0x1fffff".to_owned();
    let plan = planned(&[
        dma("00:01.0", 0x20_1000, 0x9000),
        drain(3),
        large,
        dma("00:01.0", 0x20_4000, 0x60_4000),
        dma("00:01.0", 0x20_4000, 0x60_5000),
    ]);
    assert_eq!(plan.extra_flushes, 1);
}

#[test]
fn directions_alternate_where_the_log_has_none() {
    let plan = planned(&[
        dma("00:01.0", 0x1000, 0xa000),
        dma("00:01.0", 0x1000, 0xa000),
    ]);
    let accesses: Vec<_> = plan
        .steps
        .iter()
        .filter_map(|step| match step.action {
            Action::Touch(touch) => Some(touch.access),
            _ => None,
        })
        .collect();
    assert_eq!(accesses, [Access::Read, Access::Write]);
}

/// Lines that are nearly right reach further into the parser than random bytes.
fn nearly() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("dev".to_owned()),
        Just("iova".to_owned()),
        Just("->".to_owned()),
        Just("(null):".to_owned()),
        Just("translate".to_owned()),
        Just("command".to_owned()),
        Just("0000:01.0".to_owned()),
        Just("#0".to_owned()),
        Just("WR".to_owned()),
        Just("iotlb invalidate domain".to_owned()),
        Just("addr".to_owned()),
        Just("mask".to_owned()),
        any::<u64>().prop_map(|number| format!("{number:#x}")),
        ".{0,8}",
    ];
    let kind = prop_oneof![
        Just("vtd_dmar_translate"),
        Just("vtd_inv_desc_iotlb_pages"),
        Just("vtd_inv_desc_iotlb_domain"),
        Just("riscv_iommu_dma"),
        Just("riscv_iommu_cmd"),
    ];
    (kind, prop::collection::vec(word, 0..10))
        .prop_map(|(kind, words)| format!("{kind} {}", words.join(" ")))
}

/// Well-formed logs of few pages, so that everything collides.
fn colliding() -> impl Strategy<Value = Vec<String>> {
    let line = prop_oneof![
        4 => (1..3_u8, 0..6_u64, 0..3_u64, prop::bool::weighted(0.1)).prop_map(|(device, page, target, large)| {
            let (iova, target) = (page * 0x1000, (target * 0x20_0000) + page * 0x1000);
            let mask = if large { "0x1fffff" } else { "0xfff" };
            format!("vtd_dmar_translate dev 00:0{device}.0 iova {iova:#x} -> gpa {target:#x} mask {mask}")
        }),
        1 => (1..4_u64, 0..6_u64, 0..3_u8).prop_map(|(domain, page, mask)| {
            format!("vtd_inv_desc_iotlb_pages iotlb invalidate domain {domain:#x} addr {:#x} mask {mask:#x}", page << 12)
        }),
        1 => (1..4_u64).prop_map(drain),
        1 => Just("vtd_inv_desc_iotlb_global iotlb invalidate global".to_owned()),
    ];
    prop::collection::vec(line, 1..60)
}

proptest! {
    #[test]
    fn no_bytes_panic(log in prop::collection::vec(any::<u8>(), 0..2000)) {
        let _ = parse(&log);
    }

    #[test]
    fn no_line_panics(lines in prop::collection::vec(nearly(), 1..5)) {
        if let Ok(trace) = parse(lines.join("\n").as_bytes()) {
            check(&plan(&trace));
        }
    }

    #[test]
    fn every_plan_is_consistent(lines in colliding()) {
        if let Ok(trace) = parse(lines.join("\n").as_bytes()) {
            let plan = plan(&trace);
            prop_assert_eq!(plan.touches, trace.lines.dma);
            check(&plan);
        }
    }
}
