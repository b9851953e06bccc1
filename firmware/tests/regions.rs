//! Reserved and direct regions, policy per device, deferred attach, resets, shared domains, readiness (sections 1.4,
//! 2.3 and 3.9 of the protocol; scenarios T24, T63, T64, T66 to T68, T72).

mod common;

use common::*;
use portcullis::platform::{Event, Platform};
use portcullis::*;

const DEV: DeviceId = DeviceId(3);
const OTHER: DeviceId = DeviceId(4);
const PAGE: u64 = 0x1000;

const fn region(start: u64, kind: RegionKind) -> DeviceRegion {
    let bytes = 2 * PAGE;
    DeviceRegion { start, bytes, kind }
}

static RESERVED: [DeviceRegion; 1] = [region(0x2000, RegionKind::Reserved)];
static DIRECT: [DeviceRegion; 1] = [region(0x7000, RegionKind::Direct(Perm::READ_WRITE))];
static RELAXABLE: [DeviceRegion; 1] = [region(
    0x7000,
    RegionKind::DirectRelaxable(Perm::READ_WRITE),
)];

fn with(regions: &'static [DeviceRegion]) -> DeviceInfo {
    DeviceInfo {
        regions,
        ..DEV.into()
    }
}

fn read(w: &Shared, device: DeviceId, iova: u64) -> Result<u64, u16> {
    w.borrow_mut().dma(device.0, iova, Dma::Read)
}

fn coloured<P: Platform>(iommu: &Iommu<P>, pa: u64) -> PagingDomain<'_, P> {
    let domain = iommu.paging_domain(DomainConfig::default()).unwrap();
    map(&domain, 0x7000, pa, 0x1000, Perm::READ_WRITE).unwrap();
    domain
}

fn identity() -> TrustToken {
    // SAFETY: the devices are part of the test.
    unsafe { TrustToken::new() }
}

/// mapped before the device's context leads there; the device hammers from the start.
#[test]
fn r78_direct_regions_are_mapped_first() {
    let w = world();
    let mut iommu = start(&w, dma_default());
    let admin = iommu.admin_token();
    w.borrow_mut().hammer = vec![(DEV.0, 0x8000)];
    let id = iommu.add_device(with(&DIRECT)).unwrap();
    w.borrow_mut().reached.dedup();
    assert_eq!(
        w.borrow().reached,
        [Err(258), Ok(0x8000)],
        "blocked, then mapped"
    );
    // The same for a new default domain, from identity by one store: never anything else.
    let group = iommu.group(id).unwrap();
    w.borrow_mut().identity_wanted = true;
    for kind in [
        DefaultDomainType::Identity(identity()),
        DefaultDomainType::Dma,
    ] {
        w.borrow_mut().reached.clear();
        group.set_default_domain_type(kind, &admin).unwrap();
        assert_eq!(w.borrow().reached, [Ok(0x8000)]);
    }
    w.borrow_mut().hammer.clear();
    assert_eq!(read(&w, DEV, 0x9000), Err(13), "and nothing else is");
}

/// who must stay direct cannot be blocked.
#[test]
fn r79_direct_devices_cannot_be_blocked() {
    let w = world();
    let mut iommu = start(&w, dma_default());
    let admin = iommu.admin_token();
    let id = iommu.add_device(with(&DIRECT)).unwrap();
    let group = iommu.group(id).unwrap();
    let before = iommu.stats().commands;
    assert_eq!(group.claim(&owner(1)).err(), Some(Error::Invalid));
    assert_eq!(
        iommu.claim_device(DEV, &owner(1)).err(),
        Some(Error::Invalid)
    );
    let blocked = group.set_default_domain_type(DefaultDomainType::Blocked, &admin);
    assert_eq!(blocked, Err(Error::Invalid));
    assert_eq!(iommu.stats().commands, before, "neither store nor command");
    assert_eq!(
        (group.status(), read(&w, DEV, 0x7000)),
        (Status::Idle, Ok(0x7000))
    );
    drop(iommu);
    let iommu = start(&world(), Config::default());
    assert_eq!(iommu.add_device(with(&DIRECT)), Err(Error::Invalid));
    assert!(iommu.add_device(with(&RELAXABLE)).is_ok());
}

#[test]
fn r79_direct_device_joins_an_owned_group() {
    let w = world();
    let iommu = start(&w, dma_default());
    let id = iommu.add_device(OTHER.into()).unwrap();
    let joining = DeviceInfo {
        group: Some(id),
        ..with(&DIRECT)
    };
    let owned = iommu.group(id).unwrap().claim(&owner(1)).unwrap();
    assert_eq!(iommu.add_device(joining), Err(Error::Invalid), "S4");
    let owned = owned.attach(coloured(&iommu, 0x10_0000)).unwrap();
    assert_eq!(
        iommu.add_device(joining),
        Err(Error::Invalid),
        "S5, mapped elsewhere"
    );
    owned.domain().unmap(Iova(0x7000), 0x1000).unwrap();
    map(owned.domain(), 0x7000, 0x7000, 0x2000, Perm::READ).unwrap();
    assert_eq!(
        iommu.add_device(joining),
        Err(Error::Invalid),
        "S5, read only"
    );
    owned.domain().unmap(Iova(0x7000), 0x2000).unwrap();
    map(owned.domain(), 0x7000, 0x7000, 0x2000, Perm::READ_WRITE).unwrap();
    assert_eq!(iommu.add_device(joining), Ok(id), "S5, mapped 1:1");
    assert_eq!(read(&w, DEV, 0x8000), Ok(0x8000));
    assert_eq!(
        map(owned.domain(), 0x4000_7000, 0x7000, 0x1000, Perm::READ),
        Ok(()),
        "elsewhere the owner is free"
    );
}

#[test]
fn t63_relaxable_region_does_not_prevent_a_claim() {
    let w = world();
    let iommu = start(&w, dma_default());
    let id = iommu.add_device(with(&RELAXABLE)).unwrap();
    assert_eq!(read(&w, DEV, 0x7000), Ok(0x7000));
    let owned = iommu.group(id).unwrap().claim(&owner(1)).unwrap();
    assert_eq!(read(&w, DEV, 0x7000), Err(258));
    let owned = owned.attach(coloured(&iommu, 0x10_0000)).unwrap();
    assert_eq!(
        (read(&w, DEV, 0x7000), read(&w, DEV, 0x8000)),
        (Ok(0x10_0000), Err(13))
    );
    owned.release();
    assert_eq!(read(&w, DEV, 0x7000), Ok(0x7000));
}

#[test]
fn t64_r80_reserved_regions_cannot_be_mapped() {
    let w = world();
    let (iommu, log) = traced(&w, dma_default());
    let id = iommu.add_device(with(&RESERVED)).unwrap();
    // By hand: neither when attached nor before.
    let owned = iommu.group(id).unwrap().claim(&owner(1)).unwrap();
    let domain = iommu.paging_domain(DomainConfig::default()).unwrap();
    map(&domain, 0x3000, 0x10_0000, 0x1000, Perm::READ).unwrap();
    log.borrow_mut().clear();
    let refused = owned.attach(domain).expect_err("reserved");
    assert_eq!(
        (refused.error, bare_steps(&w, &log).len()),
        (Error::Invalid, 0)
    );
    refused.target.unmap(Iova(0x3000), 0x1000).unwrap();
    let owned = refused.guard.attach(refused.target).unwrap();
    for (iova, len) in [
        (0x2000, 0x1000),
        (0x1000, 0x2000),
        (0x3000, 0x2000),
        (0, 0x20_0000),
    ] {
        assert_eq!(
            map(owned.domain(), iova, 0x10_0000, len, Perm::READ),
            Err(Error::Invalid)
        );
    }
    assert_eq!(
        map(owned.domain(), 0x1000, 0x10_0000, 0x1000, Perm::READ),
        Ok(())
    );
    owned.release();
    // By the allocator: never handed out, not even in the middle of something larger.
    let user = iommu.group(id).unwrap().use_default_domain().unwrap();
    let taken: Vec<_> = (0..100)
        .map(|n| {
            // The first would straddle the region.
            let pages = 3 - n % 3;
            user.map(buffer(n << 20, pages * PAGE).0, Direction::Both)
                .unwrap()
        })
        .collect();
    let mut pages: Vec<u64> = taken
        .iter()
        .flat_map(|m| (m.iova().0..m.iova().0 + m.bytes()).step_by(0x1000))
        .collect();
    assert!(
        pages
            .iter()
            .all(|p| !(0x2000..0x4000).contains(p) && *p != 0)
    );
    let count = pages.len();
    pages.sort_unstable();
    pages.dedup();
    assert_eq!(pages.len(), count, "and nothing twice");
}

#[test]
fn regions_that_make_no_sense() {
    static ODD: [&[DeviceRegion]; 4] = [
        &[DeviceRegion {
            start: 0x800,
            bytes: PAGE,
            kind: RegionKind::Reserved,
        }],
        &[DeviceRegion {
            start: 0,
            bytes: 0,
            kind: RegionKind::Reserved,
        }],
        &[DeviceRegion {
            start: u64::MAX - 0xfff,
            bytes: 2 * PAGE,
            kind: RegionKind::Reserved,
        }],
        &[region(1 << 38, RegionKind::Direct(Perm::READ))],
    ];
    let w = world();
    let iommu = start(&w, dma_default());
    let used = w.borrow().used();
    for regions in ODD {
        assert_eq!(iommu.add_device(with(regions)), Err(Error::Invalid));
    }
    assert_eq!(w.borrow().used(), used, "nothing is left");
    assert!(iommu.group(DEV).is_err());
}

/// A device that joins a group in use must not find its regions mapped otherwise; nothing of the attempt stays.
#[test]
fn regions_of_a_device_that_joins() {
    static BOTH: [DeviceRegion; 2] = [
        region(0x4000_0000, RegionKind::DirectRelaxable(Perm::READ)),
        region(0x1000, RegionKind::Reserved),
    ];
    let w = world();
    let iommu = start(&w, dma_default());
    let id = iommu.add_device(OTHER.into()).unwrap();
    let user = iommu.group(id).unwrap().use_default_domain().unwrap();
    let mapped = user
        .map(buffer(0x10_0000, PAGE).0, Direction::Both)
        .unwrap();
    let joining = DeviceInfo {
        group: Some(id),
        ..with(&BOTH)
    };
    assert_eq!(iommu.add_device(joining), Err(Error::AddressInUse));
    assert_eq!(
        read(&w, OTHER, 0x4000_0000),
        Err(13),
        "the first region is unmapped again"
    );
    mapped.unmap().unwrap();
    assert_eq!(iommu.add_device(joining), Ok(id));
    assert_eq!(read(&w, OTHER, 0x4000_0000), Ok(0x4000_0000));
    let mapped = user
        .map(buffer(0x10_0000, PAGE).0, Direction::Both)
        .unwrap();
    assert_eq!(mapped.iova(), Iova(0x3000), "behind the reserved region");
}

/// Addresses of a deferred unmap may still lead elsewhere: a flush comes before a region is mapped there.
#[test]
fn r78_direct_region_where_an_unmap_is_pending() {
    static AT: [DeviceRegion; 1] = [region(0x1000, RegionKind::Direct(Perm::READ))];
    let w = world();
    let default_domain = DefaultDomainType::DmaFq;
    let config = Config {
        default_domain,
        ..Config::default()
    };
    let iommu = start(&w, config);
    let id = iommu.add_device(OTHER.into()).unwrap();
    let user = iommu.group(id).unwrap().use_default_domain().unwrap();
    let mapped = user
        .map(buffer(0x10_0000, PAGE).0, Direction::Both)
        .unwrap();
    assert_eq!(read(&w, OTHER, 0x1000), Ok(0x10_0000));
    let pending = mapped.unmap_later().unwrap();
    w.borrow_mut().hammer = vec![(OTHER.0, 0x1000)];
    w.borrow_mut().reached.clear();
    let joining = DeviceInfo {
        group: Some(id),
        ..with(&AT)
    };
    assert_eq!(iommu.add_device(joining), Ok(id));
    assert!(pending.ready());
    // Old, nothing, new: the old mapping is never seen once the region is there.
    let reached = w.borrow().reached.clone();
    assert_eq!(reached, [Ok(0x10_0000), Err(13), Ok(0x1000)]);
}

/// R-70, T66.
#[test]
fn t66_r70_policies() {
    let token = identity();
    let w = world();
    w.borrow_mut().identity_wanted = true;
    let mut iommu = start(&w, dma_default());
    let admin = iommu.admin_token();
    let must_identity = Policy::Identity(token);
    let info = |id: DeviceId, policy, untrusted| DeviceInfo {
        policy,
        untrusted,
        ..id.into()
    };
    assert_eq!(
        iommu.add_device(info(DEV, must_identity, true)),
        Err(Error::Invalid)
    );
    // One of each in a group: identity wins, and that is reported.
    let id = iommu.add_device(info(DEV, Policy::Dma, false)).unwrap();
    let joining = DeviceInfo {
        group: Some(id),
        ..info(OTHER, must_identity, false)
    };
    let group = iommu.group(id).unwrap();
    let user = group.use_default_domain().unwrap();
    assert_eq!(
        iommu.add_device(joining),
        Err(Error::Busy),
        "not under a driver"
    );
    user.unuse();
    w.borrow_mut().events.clear();
    assert_eq!(iommu.add_device(joining), Ok(id));
    let conflict = Event::PolicyConflict {
        group: id,
        device: OTHER,
    };
    assert!(w.borrow().events.contains(&conflict));
    assert_eq!([DEV, OTHER].map(|d| read(&w, d, 0x5000)), [Ok(0x5000); 2]);
    let set = |kind| group.set_default_domain_type(kind, &admin);
    assert_eq!(set(DefaultDomainType::Dma), Err(Error::Invalid));
    assert_eq!(set(DefaultDomainType::Blocked), Err(Error::Invalid));
    assert_eq!(set(DefaultDomainType::Identity(token)), Ok(()));
    // An untrusted device does not get in.
    let stranger = DeviceInfo {
        group: Some(id),
        ..info(DeviceId(9), Policy::Any, true)
    };
    assert_eq!(iommu.add_device(stranger), Err(Error::Invalid));
    assert_eq!(read(&w, DeviceId(9), 0x5000), Err(258));
}

#[test]
fn r71_untrusted_devices_never_get_identity() {
    let w = world();
    w.borrow_mut().identity_wanted = true;
    let default_domain = DefaultDomainType::Identity(identity());
    let mut iommu = start(
        &w,
        Config {
            default_domain,
            ..Config::default()
        },
    );
    let admin = iommu.admin_token();
    let untrusted = DeviceInfo {
        untrusted: true,
        ..DEV.into()
    };
    let id = iommu.add_device(untrusted).unwrap();
    assert_eq!(read(&w, DEV, 0x5000), Err(13), "DMA instead");
    let refused = iommu
        .group(id)
        .unwrap()
        .set_default_domain_type(default_domain, &admin);
    assert_eq!(refused, Err(Error::Invalid));
    // It joins others: their group changes, if nobody uses it.
    let other = iommu.add_device(OTHER.into()).unwrap();
    assert_eq!(read(&w, OTHER, 0x5000), Ok(0x5000));
    let user = iommu.group(other).unwrap().use_default_domain().unwrap();
    let joining = DeviceInfo {
        untrusted: true,
        group: Some(other),
        ..DeviceId(9).into()
    };
    assert_eq!(iommu.add_device(joining), Err(Error::Busy));
    user.unuse();
    assert_eq!(iommu.add_device(joining), Ok(other));
    assert_eq!(read(&w, OTHER, 0x5000), Err(13));
    assert!(iommu.isolation());
}

/// R-72, T67: who comes too early is asked to come again.
#[test]
fn t67_r72_iommu_is_not_ready() {
    let w = world();
    let iommu = start(&w, dma_default());
    let expected = Expected::new();
    assert_eq!(
        expected.use_default_domain(DEV).err(),
        Some(Error::ProbeDefer)
    );
    assert_eq!(expected.iommu().err(), Some(Error::ProbeDefer));
    expected.ready(&iommu);
    assert_eq!(
        expected.use_default_domain(DEV).err(),
        Some(Error::ProbeDefer),
        "not added yet"
    );
    iommu.add_device(DEV.into()).unwrap();
    let user = expected.use_default_domain(DEV).unwrap();
    assert_eq!(iommu.group(DEV).unwrap().status(), Status::Kernel(1));
    drop(user);
}

/// R-77, T68.
#[test]
fn t68_r77_deferred_attach() {
    let w = world();
    let (mut iommu, log) = traced(&w, dma_default());
    let admin = iommu.admin_token();
    let deferred = DeviceInfo {
        deferred: true,
        ..DEV.into()
    };
    let waits = || iommu.stats().fence_waits;
    let before = waits();
    let id = iommu.add_device(deferred).unwrap();
    assert_eq!(
        (waits(), read(&w, DEV, 0x5000)),
        (before, Err(258)),
        "as it was"
    );
    // Attaching the default is no hardware, and neither is removal.
    let group = iommu.group(id).unwrap();
    let set = |kind| group.set_default_domain_type(kind, &admin);
    log.borrow_mut().clear();
    assert_eq!(set(DefaultDomainType::DmaFq), Ok(()));
    iommu.remove_device(DEV).unwrap();
    assert_eq!(bare_steps(&w, &log), []);
    // First use.
    let id = iommu.add_device(deferred).unwrap();
    let user = iommu.group(id).unwrap().use_default_domain().unwrap();
    assert_eq!(read(&w, DEV, 0x5000), Err(13));
    user.unuse();
    iommu.remove_device(DEV).unwrap();
    // Anything else acts at once, and clears the flag.
    let id = iommu.add_device(deferred).unwrap();
    log.borrow_mut().clear();
    let owned = iommu.group(id).unwrap().claim(&owner(1)).unwrap();
    let waits = |steps: &[Step]| steps.iter().filter(|s| **s == Step::Wait).count();
    assert_eq!(waits(&bare_steps(&w, &log)), 1, "one BLOCK");
    owned.release();
    assert_eq!(read(&w, DEV, 0x5000), Err(13), "not deferred any more");
}

/// A deferred device that joins a group in use follows at the next attach, which is not hitless for it.
#[test]
fn r77_deferred_device_joins_drivers() {
    let w = world();
    let iommu = start(&w, dma_default());
    let id = iommu.add_device(OTHER.into()).unwrap();
    let user = iommu.group(id).unwrap().use_default_domain().unwrap();
    let joining = DeviceInfo {
        deferred: true,
        group: Some(id),
        ..DEV.into()
    };
    iommu.add_device(joining).unwrap();
    assert_eq!(
        [DEV, OTHER].map(|d| read(&w, d, 0x7000)),
        [Err(258), Err(13)]
    );
    let managed = user.attach(coloured(&iommu, 0x10_0000)).unwrap();
    assert_eq!(
        [DEV, OTHER].map(|d| read(&w, d, 0x7000)),
        [Ok(0x10_0000); 2]
    );
    drop(managed);
    iommu.remove_device(DEV).unwrap();
    // A mapping is a use.
    let user = iommu.group(id).unwrap().use_default_domain().unwrap();
    iommu.add_device(joining).unwrap();
    let mapped = user
        .map(buffer(0x30_0000, PAGE).0, Direction::Both)
        .unwrap();
    assert_eq!(read(&w, DEV, mapped.iova().0), Ok(0x30_0000));
}

/// T72: a device that is being reset is blocked; nothing is attached meanwhile, and everything else works around it.
#[test]
fn t72_device_reset() {
    let w = world();
    let iommu = start(&w, dma_default());
    let id = iommu.add_device(DEV.into()).unwrap();
    let joining = DeviceInfo {
        group: Some(id),
        ..OTHER.into()
    };
    iommu.add_device(joining).unwrap();
    let both = || [DEV, OTHER].map(|d| read(&w, d, 0x7000));
    let group = iommu.group(id).unwrap();
    let owned = group.claim(&owner(1)).unwrap();
    let owned = owned.attach(coloured(&iommu, 0x10_0000)).unwrap();
    let reset = iommu.reset_device(DEV).unwrap();
    assert_eq!(both(), [Err(258), Ok(0x10_0000)]);
    assert_eq!(iommu.reset_device(DEV).err(), Some(Error::Busy));
    assert_eq!(iommu.reset_device(DeviceId(9)).err(), Some(Error::NoDevice));
    let refused = owned
        .replace(coloured(&iommu, 0x20_0000))
        .expect_err("reset");
    assert_eq!(
        (refused.error, both()),
        (Error::Busy, [Err(258), Ok(0x10_0000)])
    );
    let (owned, domain) = refused.guard.detach();
    assert_eq!(both(), [Err(258); 2]);
    let refused = owned.attach(domain).expect_err("reset");
    assert_eq!(refused.error, Error::Busy);
    refused.guard.release();
    assert_eq!(both(), [Err(258), Err(13)], "released around it");
    reset.done();
    assert_eq!(both(), [Err(13); 2], "where the group goes by then");
    // Removal during a reset, and a newcomer of the same name.
    let reset = iommu.reset_device(DEV).unwrap();
    iommu.remove_device(DEV).unwrap();
    drop(reset);
    assert_eq!(both(), [Err(258), Err(13)]);
}

/// A failure during a reset: the device stays blocked when the others come back.
#[test]
fn t72_reset_and_recovery() {
    let w = world();
    let iommu = start(&w, dma_default());
    iommu.add_device(DEV.into()).unwrap();
    iommu.add_device(OTHER.into()).unwrap();
    let reset = iommu.reset_device(DEV).unwrap();
    w.borrow_mut().stall = u64::MAX;
    assert_eq!(
        iommu.group(OTHER).unwrap().claim(&owner(1)).err(),
        Some(Error::Io)
    );
    w.borrow_mut().stall = 0;
    // SAFETY: the model's memory is as it was.
    assert_eq!(unsafe { iommu.recover() }, Ok(()));
    assert_eq!(
        [DEV, OTHER].map(|d| read(&w, d, 0x7000)),
        [Err(258), Err(13)]
    );
    drop(reset);
    assert_eq!(read(&w, DEV, 0x7000), Err(13));
}

/// T24: two groups share a domain; one detaches while both hammer, and the other notices nothing.
#[test]
fn t24_shared_domain() {
    let w = world();
    let iommu = start(
        &w,
        Config {
            table_chunk: 1,
            ..dma_default()
        },
    );
    iommu.add_device(DEV.into()).unwrap();
    iommu.add_device(OTHER.into()).unwrap();
    let used = w.borrow().used();
    let shared = coloured(&iommu, 0x10_0000).into_shared().unwrap();
    let attach = |id, n| {
        let guard = iommu.group(id).unwrap().claim(&owner(n)).unwrap();
        guard.attach(shared.clone()).unwrap()
    };
    let (one, two) = (attach(DEV, 1), attach(OTHER, 2));
    assert_eq!(
        [DEV, OTHER].map(|d| read(&w, d, 0x7000)),
        [Ok(0x10_0000); 2]
    );
    // An unmap reaches both, with one fence.
    map(&shared, 0x9000, 0x30_0000, 0x1000, Perm::READ).unwrap();
    assert_eq!(
        [DEV, OTHER].map(|d| read(&w, d, 0x9000)),
        [Ok(0x30_0000); 2]
    );
    let before = iommu.stats();
    shared.unmap(Iova(0x9000), 0x1000).unwrap();
    let after = iommu.stats();
    assert_eq!(
        (
            after.commands - before.commands,
            after.fence_waits - before.fence_waits
        ),
        (3, 1)
    );
    assert_eq!([DEV, OTHER].map(|d| read(&w, d, 0x9000)), [Err(13); 2]);
    // A deferred one is over when both slots are purged.
    map(&shared, 0x9000, 0x30_0000, 0x1000, Perm::READ).unwrap();
    assert!([DEV, OTHER].iter().all(|d| read(&w, *d, 0x9000).is_ok()));
    let later = shared.unmap_deferred(Iova(0x9000), 0x1000).unwrap();
    w.borrow_mut().hammer = vec![(OTHER.0, 0x7000)];
    w.borrow_mut().reached.clear();
    let (one, clone) = one.detach();
    assert!(
        !shared.reusable(&later),
        "the other may still have it cached"
    );
    drop(clone);
    assert_eq!(w.borrow().reached, [Ok(0x10_0000)], "undisturbed");
    shared.flush().unwrap();
    assert!(shared.reusable(&later));
    assert_eq!(read(&w, OTHER, 0x9000), Err(13));
    w.borrow_mut().hammer.clear();
    // The tables go with the last clone.
    drop(shared);
    assert_eq!(read(&w, OTHER, 0x7000), Ok(0x10_0000));
    let (two, last) = two.detach();
    assert!(w.borrow().used() > used);
    drop(last);
    assert_eq!(w.borrow().used(), used);
    drop((one, two));
}

#[test]
fn shared_domains_have_room_and_forgetting_leaks() {
    let w = world();
    let iommu = Iommu::<_, 1>::with_capacity(Machine::<true>(w.clone()), dma_default()).unwrap();
    let domain = || iommu.paging_domain(DomainConfig::default()).unwrap();
    let shared = domain().into_shared().unwrap();
    let (back, error) = domain().into_shared().expect_err("full");
    assert_eq!(error, Error::NoSpace);
    drop(back);
    core::mem::forget(shared.clone());
    drop(shared);
    assert!(
        domain().into_shared().is_err(),
        "a forgotten clone may be attached"
    );
}

///
#[test]
fn r47_nested_is_refused() {
    let w = world();
    let (iommu, log) = traced(&w, dma_default());
    iommu.add_device(DEV.into()).unwrap();
    let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    log.borrow_mut().clear();
    let parent = iommu.paging_domain(DomainConfig::default()).unwrap();
    let refused = owned.attach(Nested(parent)).expect_err("no second stage");
    assert_eq!(refused.error, Error::NotSupported);
    assert_eq!(commands(&w, &log), []);
}
