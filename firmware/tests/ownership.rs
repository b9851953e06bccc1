//! Ownership, attach and detach (sections 2.3, 3.3 and 3.4 of the protocol; scenarios of section 5).

mod common;

use common::{Step::*, *};
use portcullis::platform::{Barrier::*, Event, Path};
use portcullis::*;
use portcullis_regmap::command::Op;
use portcullis_regmap::config::TINY;

const DEV: DeviceId = DeviceId(0x25);
/// Commands of a SYNC for device 0x25 in slot 1.
const SYNC: [Step; 4] = [
    Command(0x2502_0000_0003, 0),
    Command(0x2, 0),
    Command(0x1_0000_1001, 0),
    Command(0x3002, 0),
];

/// Address of a device's context in a 1LVL directory, and the `fsc` of idle contexts.
fn context(w: &Shared, id: DeviceId) -> (u64, u64) {
    let m = w.borrow();
    let root = m.ddtp >> 10 << 12;
    let unused = (0..128).find(|&n| m.load(root + 32 * n) == 0 && m.load(root + 32 * n + 16) == 0);
    (
        root + 32 * u64::from(id.0),
        m.load(root + 32 * unused.expect("not all used") + 24),
    )
}

fn domain<P: platform::Platform, const N: usize>(iommu: &Iommu<P, N>) -> PagingDomain<'_, P, N> {
    iommu.paging_domain(DomainConfig::default()).unwrap()
}

/// The example of section 3.3 to the letter: device 0x25, PSCID 7, barriers and doorbell included.
#[test]
fn worked_example_claim_attach() {
    let w = world();
    let (iommu, log) = traced(&w, dma_default());
    (0..6).for_each(|n| assert!(iommu.add_device(DeviceId(n).into()).is_ok()));
    iommu.add_device(DEV.into()).unwrap();
    let sync = [
        Command(0x0000_2502_0000_0003, 0),
        Command(0x0000_0000_0000_0002, 0),
        Command(0x0000_0001_0000_7001, 0),
        Command(0x0000_0000_0000_3002, 0),
    ];
    let (dc, empty) = context(&w, DEV);
    let tail = u64::from(w.borrow().cqt);

    log.borrow_mut().clear();
    let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    let mut claim = vec![Store(dc, 0), Barrier(MemToMem)];
    claim.extend(sync);
    claim.extend([
        Barrier(MemToReg),
        Bell(tail + 4),
        Wait,
        Barrier(RegToMem),
        Store(dc + 24, empty),
    ]);
    assert_eq!(steps(&w, &log), claim);

    let domain = domain(&iommu);
    log.borrow_mut().clear();
    let owned = owned.attach(domain).unwrap();
    let fsc = w.borrow().load(dc + 24);
    let mut attach = vec![Store(dc + 24, fsc), Barrier(MemToMem)];
    attach.extend(sync);
    attach.extend([
        Barrier(MemToReg),
        Bell(tail + 8),
        Wait,
        Barrier(RegToMem),
        Store(dc, 1),
        Barrier(MemToReg),
    ]);
    assert_eq!(steps(&w, &log), attach);
    assert_eq!((fsc >> 60, w.borrow().load(dc + 16)), (8, 7 << 12));
    drop(owned);
}

/// Rows of section 3.4 for one device.
#[test]
fn traces_of_claim_attach_detach_release() {
    let w = world();
    let (iommu, log) = traced(&w, dma_default());
    iommu.add_device(DEV.into()).unwrap();
    let (dc, empty) = context(&w, DEV);
    let default = w.borrow().load(dc + 24);
    let block = [&[Store(dc, 0)][..], &SYNC, &[Wait, Store(dc + 24, empty)]].concat();
    let publish = |fsc| [&[Store(dc + 24, fsc)][..], &SYNC, &[Wait, Store(dc, 1)]].concat();

    let domain = domain(&iommu);
    log.borrow_mut().clear();
    let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    assert_eq!(bare_steps(&w, &log), block, "claim");

    let owned = owned.attach(domain).unwrap();
    let user = w.borrow().load(dc + 24);
    assert_eq!(bare_steps(&w, &log), publish(user), "attach");
    let (owned, domain) = owned.detach();
    assert_eq!(bare_steps(&w, &log), block, "detach");
    owned.release();
    assert_eq!(
        bare_steps(&w, &log),
        publish(default),
        "release of a blocked group"
    );

    let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    let owned = owned.attach(domain).unwrap();
    log.borrow_mut().clear();
    owned.release();
    let got = bare_steps(&w, &log);
    assert_eq!(
        got,
        [block, publish(default)].concat(),
        "release of an attached group: by way of blocked (T10)"
    );
}

#[test]
fn traces_of_add_device() {
    let w = world();
    let (iommu, log) = traced(&w, dma_default());
    log.borrow_mut().clear();
    iommu.add_device(DEV.into()).unwrap();
    assert_eq!(commands(&w, &log).len(), 4);
    drop(iommu);
    let (iommu, log) = traced(&w, Config::default());
    log.borrow_mut().clear();
    iommu.add_device(DEV.into()).unwrap();
    assert_eq!(commands(&w, &log), [], "blocked already");
}

#[test]
fn t01_claim_is_one_block() {
    for default_domain in [
        DefaultDomainType::Dma,
        // SAFETY: the device is part of the test.
        DefaultDomainType::Identity(unsafe { TrustToken::new() }),
    ] {
        let w = world();
        let (iommu, log) = traced(
            &w,
            Config {
                default_domain,
                ..Config::default()
            },
        );
        iommu.add_device(DEV.into()).unwrap();
        log.borrow_mut().clear();
        let owned = iommu.group(DEV).unwrap().claim(&owner(9)).unwrap();
        assert_eq!(commands(&w, &log).len(), 4);
        assert_eq!(iommu.group(DEV).unwrap().status(), Status::Owned(owner(9)));
        assert_eq!(w.borrow_mut().dma(DEV.0, 0x1000, Dma::Read), Err(258));
        drop(owned);
        assert_eq!(iommu.group(DEV).unwrap().status(), Status::Idle);
    }
}

#[test]
fn t03_claim_twice() {
    let w = world();
    let (iommu, log) = traced(&w, dma_default());
    iommu.add_device(DEV.into()).unwrap();
    let group = iommu.group(DEV).unwrap();
    let _owned = group.claim(&owner(1)).unwrap();
    log.borrow_mut().clear();
    for n in [1, 2] {
        assert_eq!(group.claim(&owner(n)).err(), Some(Error::NotPermitted));
    }
    assert_eq!(bare_steps(&w, &log), []);
    assert_eq!(group.status(), Status::Owned(owner(1)));
}

/// Attaching over something attached cannot be written (see the doctests); what is left to run time is the state.
#[test]
fn t05_t07_status_while_attached() {
    let w = world();
    let iommu = start(&w, dma_default());
    iommu.add_device(DEV.into()).unwrap();
    let group = iommu.group(DEV).unwrap();
    let owned = group
        .claim(&owner(1))
        .unwrap()
        .attach(domain(&iommu))
        .unwrap();
    assert_eq!(group.status(), Status::Attached(owner(1)));
    assert_eq!(group.claim(&owner(1)).err(), Some(Error::NotPermitted));
    owned.release();
}

#[test]
fn t08_thousand_rounds_leak_nothing() {
    let w = world();
    let (iommu, log) = traced(&w, dma_default());
    iommu.add_device(DEV.into()).unwrap();
    let mut owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    let used = w.borrow().used();
    let mut free_standing = domain(&iommu);
    log.borrow_mut().clear();
    let mut first = None;
    for round in 0..1000 {
        let attached = owned.attach(free_standing).unwrap();
        (owned, free_standing) = attached.detach();
        let trace = bare_steps(&w, &log);
        assert_eq!(&trace, first.get_or_insert(trace.clone()), "round {round}");
    }
    drop(free_standing);
    assert_eq!(w.borrow().used(), used);
}

#[test]
fn t12_null_owner() {
    assert_eq!(Owner::new(0).err(), Some(Error::Invalid));
}

#[test]
fn t16_unfit_domains() {
    let (w, other) = (world(), world());
    let ((iommu, log), (stranger, other_log)) = (
        traced(&w, Config::default()),
        traced(&other, Config::default()),
    );
    iommu.add_device(DEV.into()).unwrap();
    let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    let foreign = domain(&stranger);
    for log in [&log, &other_log] {
        log.borrow_mut().clear();
    }
    let refused = owned.attach(foreign).expect_err("another instance");
    assert_eq!(refused.error, Error::Invalid);
    assert_eq!(bare_steps(&w, &log), [], "neither store nor command");
    assert_eq!(bare_steps(&other, &other_log), []);
    let AttachError { guard, target, .. } = refused;
    map(&target, 0x1000, 0x1000, 0x1000, Perm::READ).unwrap();
    guard.attach(domain(&iommu)).unwrap().release();
    for mode in [Mode::Sv48, Mode::Sv57] {
        assert_eq!(
            iommu.paging_domain(DomainConfig { mode }).err(),
            Some(Error::NoDevice)
        );
    }
}

#[test]
fn t18_t19_t26_colour_rule() {
    let w = world();
    let iommu = start(&w, dma_default());
    iommu.add_device(DEV.into()).unwrap();
    let dma = |kind| w.borrow_mut().dma(DEV.0, 0x7000, kind);
    let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    assert_eq!(dma(Dma::Read), Err(258));
    let (red, blue) = (domain(&iommu), domain(&iommu));
    map(&red, 0x7000, 0x10_0000, 0x1000, Perm::READ_WRITE).unwrap();
    map(&blue, 0x7000, 0x20_0000, 0x1000, Perm::READ_WRITE).unwrap();
    let owned = owned.attach(red).unwrap();
    assert_eq!(dma(Dma::Write), Ok(0x10_0000));
    let (owned, red) = owned.detach();
    assert_eq!(dma(Dma::Write), Err(258));
    // The model panics if it ever reads a page of a freed table.
    drop(red);
    let owned = owned.attach(blue).unwrap();
    assert_eq!(dma(Dma::Write), Ok(0x20_0000));
    owned.release();
    assert_eq!(dma(Dma::Write), Err(15), "the empty default domain");
}

#[test]
fn t21_identity_default() {
    let w = world();
    // SAFETY: the device is part of the test.
    let token = unsafe { TrustToken::new() };
    let iommu = start(
        &w,
        Config {
            default_domain: DefaultDomainType::Identity(token),
            ..Config::default()
        },
    );
    assert!(iommu.isolation());
    iommu.add_device(DEV.into()).unwrap();
    let dma = || w.borrow_mut().dma(DEV.0, 0x7000, Dma::Write);
    assert_eq!((dma(), iommu.isolation()), (Ok(0x7000), false));
    let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    assert_eq!((dma(), iommu.isolation()), (Err(258), true));
    let owned = owned.attach(Identity(&token)).unwrap();
    assert_eq!((dma(), iommu.isolation()), (Ok(0x7000), false));
    let (owned, _) = owned.detach();
    assert_eq!((dma(), iommu.isolation()), (Err(258), true));
    owned.release();
    assert_eq!((dma(), iommu.isolation()), (Ok(0x7000), false));
}

#[test]
fn t28_blocked_default() {
    let w = world();
    let (iommu, log) = traced(&w, Config::default());
    iommu.add_device(DEV.into()).unwrap();
    let group = iommu.group(DEV).unwrap();
    log.borrow_mut().clear();
    let owned = group.claim(&owner(1)).unwrap();
    assert_eq!(bare_steps(&w, &log), [], "nothing to block");
    let domain = domain(&iommu);
    log.borrow_mut().clear();
    let owned = owned.attach(domain).unwrap();
    assert_eq!(
        commands(&w, &log),
        SYNC.map(|c| if let Command(a, b) = c {
            (a, b)
        } else {
            (0, 0)
        })
    );
    owned.release();
    assert_eq!(commands(&w, &log).len(), 4, "BLOCK only");
}

/// Requirements and scenario T47: a group of several devices, and a queue much smaller than a batch.
#[test]
fn r01_r02_t47_group_of_devices() {
    for log2_max in [0, 1, 4, 7] {
        let w = world();
        w.borrow_mut().log2_max = log2_max;
        let iommu = start(&w, dma_default());
        let id = iommu.add_device(DeviceId(0).into()).unwrap();
        for n in 1..16 {
            assert_eq!(
                iommu.add_device(DeviceInfo {
                    group: Some(id),
                    ..DeviceId(n).into()
                }),
                Ok(id)
            );
        }
        assert_eq!(iommu.group(DeviceId(15)).unwrap().id(), id);
        let all = |expected| {
            (0..16).for_each(|n| assert_eq!(w.borrow_mut().dma(n, 0x7000, Dma::Read), expected))
        };
        all(Err(13));
        let owned = iommu.group(id).unwrap().claim(&owner(1)).unwrap();
        all(Err(258));
        let domain = domain(&iommu);
        map(&domain, 0x7000, 0x10_0000, 0x1000, Perm::READ).unwrap();
        let owned = owned.attach(domain).unwrap();
        all(Ok(0x10_0000));
        let before = w.borrow().executed.len();
        let (owned, _domain) = owned.detach();
        all(Err(258));
        let executed = w.borrow().executed[before..].to_vec();
        let expected = if log2_max >= 4 { 16 + 3 } else { 1 + 3 };
        assert_eq!(
            executed.len(),
            expected,
            "one by one, or all at once if more than half the queue"
        );
        owned.release();
        assert_eq!(iommu.health(), Health::Good);
    }
}

/// Scenarios T59 and T60: a device that joins an owned group goes where the group goes.
#[test]
fn t59_t60_device_joins_owned_group() {
    let w = world();
    let iommu = start(&w, dma_default());
    let id = iommu.add_device(DeviceId(1).into()).unwrap();
    let owned = iommu.group(id).unwrap().claim(&owner(1)).unwrap();
    iommu
        .add_device(DeviceInfo {
            group: Some(id),
            ..DeviceId(2).into()
        })
        .unwrap();
    assert_eq!(w.borrow_mut().dma(2, 0x7000, Dma::Read), Err(258));
    let domain = domain(&iommu);
    map(&domain, 0x7000, 0x10_0000, 0x1000, Perm::READ).unwrap();
    let owned = owned.attach(domain).unwrap();
    iommu
        .add_device(DeviceInfo {
            group: Some(id),
            ..DeviceId(3).into()
        })
        .unwrap();
    assert!((1..4).all(|n| w.borrow_mut().dma(n, 0x7000, Dma::Read) == Ok(0x10_0000)));
    owned.release();
}

/// Scenario T23: transitions of one group are invisible to another.
#[test]
fn t23_bystander() {
    let w = world();
    let iommu = start(&w, dma_default());
    iommu.add_device(DeviceId(1).into()).unwrap();
    iommu.add_device(DeviceId(2).into()).unwrap();
    let bystander = domain(&iommu);
    map(&bystander, 0x7000, 0x50_0000, 0x1000, Perm::READ).unwrap();
    let bystander = iommu
        .group(DeviceId(2))
        .unwrap()
        .claim(&owner(2))
        .unwrap()
        .attach(bystander)
        .unwrap();
    let undisturbed = || assert_eq!(w.borrow_mut().dma(2, 0x7000, Dma::Read), Ok(0x50_0000));
    for _ in 0..100 {
        let mine = domain(&iommu);
        map(&mine, 0x7000, 0x10_0000, 0x1000, Perm::READ).unwrap();
        let owned = iommu.group(DeviceId(1)).unwrap().claim(&owner(1)).unwrap();
        undisturbed();
        let owned = owned.attach(mine).unwrap();
        assert_eq!(w.borrow_mut().dma(1, 0x7000, Dma::Read), Ok(0x10_0000));
        undisturbed();
        drop(owned);
        undisturbed();
    }
    bystander.release();
}

/// Requirement R-33: taking and giving back needs no memory.
#[test]
fn r33_no_allocation_after_preparation() {
    let w = world();
    // Every frame is an allocation of its own.
    let config = Config {
        table_chunk: 1,
        ..dma_default()
    };
    let iommu = start(&w, config);
    iommu.add_device(DEV.into()).unwrap();
    let domain = domain(&iommu);
    w.borrow_mut().heap_limit = 0;
    let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    let (owned, domain) = owned.attach(domain).unwrap().detach();
    owned.attach(domain).unwrap().release();
}

/// Scenario T77: a forgotten guard keeps the group; the IOMMU still goes Off before its memory is freed.
#[test]
fn t77_forgotten_guard() {
    let w = world();
    let iommu = start(&w, dma_default());
    iommu.add_device(DEV.into()).unwrap();
    let owned = iommu
        .group(DEV)
        .unwrap()
        .claim(&owner(1))
        .unwrap()
        .attach(domain(&iommu))
        .unwrap();
    core::mem::forget(owned);
    assert_eq!(
        iommu.group(DEV).unwrap().status(),
        Status::Attached(owner(1))
    );
    assert_eq!(
        iommu.group(DEV).unwrap().claim(&owner(2)).err(),
        Some(Error::NotPermitted)
    );
    drop(iommu);
    assert_eq!((w.borrow().mode(), w.borrow().used()), (0, 0));
}

/// The hardware lets go of a domain before the domain's tables are freed, also when the guard is just dropped.
#[test]
fn dropping_a_guard_frees_after_the_fence() {
    let w = world();
    let (iommu, log) = traced(
        &w,
        Config {
            table_chunk: 1,
            ..Config::default()
        },
    );
    iommu.add_device(DEV.into()).unwrap();
    let owned = iommu
        .group(DEV)
        .unwrap()
        .claim(&owner(1))
        .unwrap()
        .attach(domain(&iommu))
        .unwrap();
    log.borrow_mut().clear();
    drop(owned);
    let fence = |op: &platform::Op| matches!(op, platform::Op::Event(Event::FenceEnd { .. }));
    let free = |op: &platform::Op| matches!(op, platform::Op::Free(..));
    let log = log.borrow();
    assert!(log.iter().position(fence).expect("waits") < log.iter().position(free).expect("frees"));
}

/// Requirement R-27: one event per change.
#[test]
fn r27_events() {
    let w = world();
    let iommu = start(&w, dma_default());
    let id = iommu.add_device(DEV.into()).unwrap();
    let domain = domain(&iommu);
    w.borrow_mut().events.clear();
    iommu
        .group(id)
        .unwrap()
        .claim(&owner(1))
        .unwrap()
        .attach(domain)
        .unwrap()
        .release();
    let m = w.borrow();
    let changes = m.events.iter().filter_map(|e| match e {
        Event::Changed(c) if c.group == id && c.pasid == Pasid(0) => Some(c.path),
        _ => None,
    });
    let [block, publish] = [Path::Block, Path::Publish];
    assert_eq!(
        changes.collect::<Vec<_>>(),
        [block, publish, block, publish],
        "claim, attach, and release by way of blocked"
    );
    drop(m);
    // One device that comes and goes.
    w.borrow_mut().events.clear();
    let joining = DeviceInfo {
        group: Some(id),
        ..DeviceId(9).into()
    };
    iommu.add_device(joining).unwrap();
    iommu.remove_device(DeviceId(9)).unwrap();
    let m = w.borrow();
    let changes = m.events.iter().filter_map(|e| match e {
        Event::Changed(c) => Some((c.device, c.path)),
        _ => None,
    });
    let device = Some(DeviceId(9));
    assert_eq!(
        changes.collect::<Vec<_>>(),
        [(device, publish), (device, block)]
    );
}

/// Slots keep their PSCID; 0 is nobody's (section 3.2).
#[test]
fn pscids_are_of_slots() {
    let w = world();
    let iommu = start(&w, dma_default());
    (0..16).for_each(|n| {
        iommu.add_device(DeviceId(n).into()).unwrap();
        let (dc, _) = context(&w, DeviceId(n));
        assert_eq!(w.borrow().load(dc + 16), u64::from(n + 1) << 12);
    });
    let pscid_zero = |op: &Op| matches!(op, Op::Iotinval { pscid: Some(0), .. });
    assert!(!w.borrow().executed.iter().any(pscid_zero));
    assert_eq!(w.borrow().capabilities, TINY.capabilities);
}

#[test]
fn error_numbers_are_linux() {
    use Error::*;
    let all = [
        (NotPermitted, 1),
        (NotFound, 2),
        (Io, 5),
        (NoMemory, 12),
        (AccessDenied, 13),
        (Busy, 16),
        (Exists, 17),
        (NoDevice, 19),
        (Invalid, 22),
        (NoSpace, 28),
        (OutOfRange, 34),
        (Overflow, 75),
        (NotSupported, 95),
        (AddressInUse, 98),
        (TimedOut, 110),
        (ProbeDefer, 517),
    ];
    all.iter().for_each(|(e, n)| assert_eq!(e.errno(), *n));
}
