//! Process ids (sections 2.3, 3.3 to 3.5 of the protocol; scenarios T13, T69 to T71, T73), on a model of hardware that
//! has process directories.

mod common;

use common::*;
use portcullis::platform::{Event, Faulty, Path, Platform};
use portcullis::*;

const DEV: DeviceId = DeviceId(3);
const OTHER: DeviceId = DeviceId(4);
const PD: [u64; 3] = [1 << 38, 1 << 39, 1 << 40];

fn world_with(bits: u64) -> Shared {
    let w = world();
    w.borrow_mut().capabilities |= bits;
    w
}

fn info(id: DeviceId) -> DeviceInfo {
    DeviceInfo {
        process_ids: true,
        ..id.into()
    }
}

fn read(w: &Shared, pasid: Option<u32>) -> Result<u64, u16> {
    w.borrow_mut().dma_of(DEV.0, pasid, 0x7000, Dma::Read)
}

/// Contexts of all widths, both store widths.
#[test]
fn t69_attach_replace_detach_under_traffic() {
    fn run<const WIDE: bool>(bits: u64, pasid: u32) {
        let w = world_with(bits);
        let config = Config {
            table_chunk: 1,
            ..dma_default()
        };
        let iommu = Iommu::<_, 16>::new(Machine::<WIDE>(w.clone()), config).unwrap();
        iommu.add_device(info(DEV)).unwrap();
        let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
        assert_eq!([None, Some(pasid)].map(|p| read(&w, p)), [Err(258); 2]);
        let owned = owned.attach(coloured(&iommu, 0x10_0000)).unwrap();
        assert_eq!(read(&w, Some(pasid)), Err(266));
        let used = w.borrow().used();
        // RID traffic hammers, and is never disturbed.
        w.borrow_mut().hammer = vec![(DEV.0, 0x7000)];
        w.borrow_mut().reached.clear();
        let guard = owned
            .attach_pasid(Pasid(pasid), coloured(&iommu, 0x20_0000))
            .unwrap();
        assert_eq!(read(&w, Some(pasid)), Ok(0x20_0000));
        let (guard, old) = guard.replace(coloured(&iommu, 0x30_0000)).unwrap();
        drop(old);
        assert_eq!(read(&w, Some(pasid)), Ok(0x30_0000));
        map(guard.domain(), 0x9000, 0x5000, 0x1000, Perm::READ).unwrap();
        let other = |at| w.borrow_mut().dma_of(DEV.0, Some(pasid), at, Dma::Read);
        assert_eq!(other(0x9000), Ok(0x5000));
        let deferred = guard.domain().unmap_deferred(Iova(0x9000), 0x1000).unwrap();
        assert!(guard.domain().reusable(&deferred), "strict here");
        assert_eq!(other(0x9000), Err(13));
        drop(guard.detach());
        assert_eq!(read(&w, Some(pasid)), Err(266));
        assert_eq!(w.borrow().reached, [Ok(0x10_0000)]);
        w.borrow_mut().hammer.clear();
        assert!(
            w.borrow().used() <= used + 2 * 0x1000,
            "directory pages only"
        );
        owned.release();
        assert_eq!(read(&w, None), Err(13));
        iommu.remove_device(DEV).unwrap();
        drop(iommu);
        assert_eq!(w.borrow().used(), 0);
    }
    for (bits, pasid) in [
        (PD[0], 0xff),
        (PD[1], 0x1_ffff),
        (PD[2], 0xf_ffff),
        (PD[2], 1),
    ] {
        run::<true>(bits, pasid);
        run::<false>(bits, pasid);
    }
}

#[test]
fn t70_t73_rid_blocked_with_and_without_a_process() {
    let w = world_with(PD[0]);
    w.borrow_mut().identity_wanted = true;
    let iommu = start(&w, dma_default());
    iommu.add_device(info(DEV)).unwrap();
    let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    assert_eq!(
        [None, Some(5)].map(|p| read(&w, p)),
        [Err(258); 2],
        "T73, without"
    );
    let guard = owned
        .attach_pasid(Pasid(5), coloured(&iommu, 0x20_0000))
        .unwrap();
    let all = || [None, Some(5), Some(6)].map(|p| read(&w, p));
    assert_eq!(all(), [Err(266), Ok(0x20_0000), Err(266)], "T70; T73, with");
    let owned = owned.attach(coloured(&iommu, 0x10_0000)).unwrap();
    assert_eq!(all(), [Ok(0x10_0000), Ok(0x20_0000), Err(266)]);
    let (owned, domain) = owned.detach();
    assert_eq!(all(), [Err(266), Ok(0x20_0000), Err(266)]);
    drop(domain);
    let last = guard.detach();
    assert_eq!(all(), [Err(258); 3]);
    drop(last);
    // Identity for processes only: isolation is honest.
    // SAFETY: the device is part of the test.
    let token = unsafe { TrustToken::new() };
    let guard = owned.attach_pasid(Pasid(5), Identity(&token)).unwrap();
    assert_eq!((read(&w, Some(5)), iommu.isolation()), (Ok(0x7000), false));
    drop(guard);
    assert!(iommu.isolation());
    owned.release();
}

#[test]
fn t71_answers() {
    // Without process directories in the hardware, or without process ids in the device.
    for (bits, info) in [(0, info(DEV)), (PD[0], DEV.into())] {
        let w = world_with(bits);
        let (iommu, log) = traced(&w, dma_default());
        iommu.add_device(info).unwrap();
        let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
        let domain = iommu.paging_domain(DomainConfig::default()).unwrap();
        log.borrow_mut().clear();
        let refused = owned.attach_pasid(Pasid(1), domain).expect_err("none");
        assert_eq!(
            (refused.error, bare_steps(&w, &log).len()),
            (Error::NotSupported, 0)
        );
    }
    let w = world_with(PD[0]);
    let iommu = start(&w, dma_default());
    assert_eq!(iommu.limits().process_id_bits, 8);
    iommu.add_device(info(DEV)).unwrap();
    let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    let attach = |pasid| owned.attach_pasid(Pasid(pasid), coloured(&iommu, 0x20_0000));
    let guard = attach(1).unwrap();
    for (pasid, error) in [
        (0, Error::Invalid),
        (256, Error::Invalid),
        (u32::MAX, Error::Invalid),
        (1, Error::Busy),
    ] {
        assert_eq!(attach(pasid).expect_err("refused").error, error);
    }
    // Resets (T72), and the current domain again.
    let reset = iommu.reset_device(DEV).unwrap();
    assert_eq!(attach(2).expect_err("reset").error, Error::Busy);
    let refused = guard
        .replace(coloured(&iommu, 0x30_0000))
        .expect_err("reset");
    assert_eq!((refused.error, read(&w, Some(1))), (Error::Busy, Err(258)));
    drop(reset);
    assert_eq!(read(&w, Some(1)), Ok(0x20_0000));
    // Release detaches first; what is left of the guard does nothing to a successor.
    let guard = refused.guard;
    let stale = guard;
    let room: Vec<_> = (2..17).map(|p| attach(p).unwrap()).collect();
    assert_eq!(attach(17).expect_err("full").error, Error::NoSpace);
    drop(room);
    owned.release();
    assert_eq!([None, Some(1)].map(|p| read(&w, p)), [Err(13), Err(266)]);
    let refused = stale
        .replace(coloured(&iommu, 0x60_0000))
        .expect_err("stale");
    assert_eq!(refused.error, Error::NotPermitted, "nobody owns the group");
    let stale = refused.guard;
    let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    let next = owned
        .attach_pasid(Pasid(1), coloured(&iommu, 0x50_0000))
        .unwrap();
    let refused = stale
        .replace(coloured(&iommu, 0x60_0000))
        .expect_err("stale");
    assert_eq!(refused.error, Error::Invalid, "T71: not attached");
    drop(refused.guard);
    assert_eq!(read(&w, Some(1)), Ok(0x50_0000));
    drop((next, owned));
}

/// T13, and the other answers of section 2.3 while processes are attached.
#[test]
fn t13_drivers_with_processes() {
    let w = world_with(PD[1]);
    let iommu = start(&w, dma_default());
    let id = iommu.add_device(info(DEV)).unwrap();
    let group = iommu.group(id).unwrap();
    let user = group.use_default_domain().unwrap();
    let guard = user
        .attach_pasid(Pasid(300), coloured(&iommu, 0x20_0000))
        .unwrap();
    assert_eq!(group.use_default_domain().err(), Some(Error::Busy));
    // A device that joins gets them too.
    let joining = DeviceInfo {
        group: Some(id),
        ..OTHER.into()
    };
    iommu.add_device(joining).unwrap();
    let other = |p| w.borrow_mut().dma_of(OTHER.0, p, 0x7000, Dma::Read);
    assert_eq!([None, Some(300)].map(other), [Err(13), Ok(0x20_0000)]);
    user.unuse();
    assert_eq!(group.claim(&owner(1)).err(), Some(Error::Busy));
    let user = group.use_default_domain().unwrap();
    let managed = user.attach(coloured(&iommu, 0x10_0000)).unwrap();
    let more = managed
        .attach_pasid(Pasid(7), coloured(&iommu, 0x40_0000))
        .unwrap();
    let reached = [None, Some(300), Some(7)].map(|p| read(&w, p));
    assert_eq!(reached, [Ok(0x10_0000), Ok(0x20_0000), Ok(0x40_0000)]);
    // Surprise removal of all devices: guards are husks.
    iommu.device_gone(DEV).unwrap();
    iommu.device_gone(OTHER).unwrap();
    assert_eq!(
        [None, Some(300), Some(7)].map(|p| read(&w, p)),
        [Err(258); 3]
    );
    drop((guard, more, managed));
}

/// S6: the owner's guard survives its devices; a newcomer starts blocked, with nothing of the old processes.
#[test]
fn s6_processes_of_vanished_devices() {
    let w = world_with(PD[0]);
    let iommu = start(&w, dma_default());
    let id = iommu.add_device(info(DEV)).unwrap();
    let owned = iommu.group(id).unwrap().claim(&owner(1)).unwrap();
    let owned = owned.attach(coloured(&iommu, 0x10_0000)).unwrap();
    let guard = owned
        .attach_pasid(Pasid(5), coloured(&iommu, 0x20_0000))
        .unwrap();
    iommu.device_gone(DEV).unwrap();
    let refused = guard
        .replace(coloured(&iommu, 0x30_0000))
        .expect_err("no device");
    assert_eq!(refused.error, Error::NoDevice);
    let (owned, first) = owned.detach();
    drop(first);
    let second = refused.guard.detach();
    drop(second);
    let joining = DeviceInfo {
        group: Some(id),
        ..info(DEV)
    };
    iommu.add_device(joining).unwrap();
    assert_eq!([None, Some(5)].map(|p| read(&w, p)), [Err(258); 2]);
    let guard = owned
        .attach_pasid(Pasid(6), coloured(&iommu, 0x30_0000))
        .unwrap();
    let reached = [None, Some(5), Some(6)].map(|p| read(&w, p));
    assert_eq!(reached, [Err(266), Err(266), Ok(0x30_0000)]);
    drop(guard);
    owned.release();
}

/// Requirement R-80 for processes: a device that must not see what a domain maps does not join a group in which a
/// process has it; until then it is blocked.
#[test]
fn r80_s23_reserved_region_against_a_process() {
    static RESERVED: [DeviceRegion; 1] = [DeviceRegion {
        start: 0x7000,
        bytes: 0x1000,
        kind: RegionKind::Reserved,
    }];
    let w = world_with(PD[0]);
    let (iommu, log) = traced(&w, dma_default());
    let id = iommu.add_device(info(DEV)).unwrap();
    let owned = iommu.group(id).unwrap().claim(&owner(1)).unwrap();
    let guard = owned
        .attach_pasid(Pasid(5), coloured(&iommu, 0x10_0000))
        .unwrap();
    let joining = DeviceInfo {
        group: Some(id),
        regions: &RESERVED,
        ..OTHER.into()
    };
    log.borrow_mut().clear();
    assert_eq!(iommu.add_device(joining), Err(Error::Invalid));
    assert_eq!(commands(&w, &log), []);
    let other = |p| w.borrow_mut().dma_of(OTHER.0, p, 0x7000, Dma::Read);
    assert_eq!([None, Some(5)].map(other), [Err(258); 2]);
    drop(guard);
    assert_eq!(iommu.add_device(joining), Ok(id));
    let refused = owned
        .attach_pasid(Pasid(5), coloured(&iommu, 0x10_0000))
        .expect_err("reserved by now");
    assert_eq!(refused.error, Error::Invalid);
}

/// Requirement R-27 for processes: the event names the process id.
#[test]
fn r27_events_of_a_process() {
    let w = world_with(PD[0]);
    let iommu = start(&w, dma_default());
    iommu.add_device(info(DEV)).unwrap();
    let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    let [a, b] = [1, 2].map(|n| coloured(&iommu, n << 20));
    w.borrow_mut().events.clear();
    let guard = owned.attach_pasid(Pasid(5), a).unwrap();
    let (guard, a) = guard.replace(b).unwrap();
    drop(guard.detach());
    let m = w.borrow();
    let changes = m.events.iter().filter_map(|e| match e {
        Event::Changed(c) => Some((c.pasid, c.old.is_some(), c.new.is_some(), c.path)),
        _ => None,
    });
    let expected = [
        (Pasid(5), false, true, Path::Publish),
        (Pasid(5), true, true, Path::Swap),
        (Pasid(5), true, false, Path::Block),
    ];
    assert_eq!(changes.collect::<Vec<_>>(), expected);
    drop(m);
    drop(a);
}

/// Section 2.6 for processes: the N-th access fails, for every N, once, twice or for good; after recovery everything is
/// as on record, and the model panics if anything freed is reached.
#[test]
fn crash_points_of_processes() {
    fn script<P: Platform>(iommu: &Iommu<P>) -> Option<()> {
        let domain = |pa| {
            let domain = iommu.paging_domain(DomainConfig::default()).ok()?;
            map(&domain, 0x7000, pa, 0x1000, Perm::READ).ok()?;
            Some(domain)
        };
        iommu.add_device(info(DEV)).ok()?;
        let owned = iommu.group(DEV).ok()?.claim(&owner(1)).ok()?;
        let guard = owned.attach_pasid(Pasid(9), domain(0x10_0000)?).ok()?;
        let owned = owned.attach(domain(0x20_0000)?).ok()?;
        let (guard, old) = guard.replace(domain(0x30_0000)?).ok()?;
        drop(old);
        drop(guard.detach());
        let guard = owned.attach_pasid(Pasid(8), domain(0x40_0000)?).ok()?;
        owned.release();
        drop(guard);
        iommu.remove_device(DEV).ok()
    }
    let config = Config {
        table_chunk: 1,
        command_queue: 8,
        fault_queue: 4,
        ..dma_default()
    };
    for width in [1, 2, u64::MAX] {
        // The zeroing of pages makes most of the accesses: it is passed over in larger steps.
        for n in (0u64..).step_by(if width == 2 { 7 } else { 23 }) {
            let w = world_with(PD[0]);
            let calls = std::rc::Rc::new(std::cell::Cell::new(0u64));
            let seen = calls.clone();
            let fails = move |call| {
                seen.set(call);
                (n..n.saturating_add(width)).contains(&call)
            };
            let faulty = Faulty::new(Machine::<true>(w.clone()), fails);
            let Ok(iommu) = Iommu::<_, 16>::with_capacity(faulty, config) else {
                continue;
            };
            w.borrow_mut().hammer = vec![(DEV.0, 0x7000)];
            let done = script(&iommu);
            if iommu.health() == Health::Closed {
                // SAFETY: the transport failed, not the hardware; memory is as it was.
                let recovered = unsafe { iommu.recover() };
                assert!(recovered.is_ok() || width == u64::MAX, "access {n}");
            }
            for pasid in [None, Some(8), Some(9)] {
                let got = read(&w, pasid);
                assert!(
                    got.is_err() || iommu.health() == Health::Wedged,
                    "access {n}: {pasid:?} {got:?}"
                );
            }
            w.borrow_mut().hammer.clear();
            assert!(
                width > 1 || done.is_some() || iommu.health() == Health::Good,
                "access {n}"
            );
            drop(iommu);
            if calls.get() < n {
                break;
            }
        }
    }
}
