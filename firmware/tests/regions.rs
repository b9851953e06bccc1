//! Reserved and direct regions (sections 1.4, 2.3 and 3.9 of the protocol; scenarios T63, T64).

mod common;

use common::*;
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

/// Given a group and devices far apart in the directory; when they are refused, as they want a region that their group
/// cannot give or there is no memory for it, alone or in that group, a thousand times; then no page is kept, nothing is
/// stored where the hardware looks, and no command is issued.
#[test]
fn r04_refused_devices_leave_no_page() {
    static BEYOND: [DeviceRegion; 1] = [DeviceRegion {
        start: 1 << 40,
        bytes: 0x1000,
        kind: RegionKind::DirectRelaxable(Perm::READ),
    }];
    static TAKEN: [DeviceRegion; 2] = [
        DeviceRegion {
            start: 0x9000_0000,
            bytes: 0x1000,
            kind: RegionKind::DirectRelaxable(Perm::READ),
        },
        DeviceRegion {
            start: 0x1000,
            bytes: 0x1000,
            kind: RegionKind::Reserved,
        },
    ];
    static LARGE: [DeviceRegion; 1] = [DeviceRegion {
        start: 0x5000_1000,
        bytes: 0x1000,
        kind: RegionKind::Direct(Perm::READ_WRITE),
    }];
    let w = world();
    // Directories of three levels.
    w.borrow_mut().modes = 0x1f;
    let config = Config {
        table_chunk: 1,
        ..dma_default()
    };
    let iommu = start(&w, config);
    let group = iommu.add_device(DeviceId(3).into()).unwrap();
    let user = iommu.group(group).unwrap().use_default_domain().unwrap();
    let mapped = user
        .map(buffer(1 << 30, 0x1000).0, Direction::Both)
        .unwrap();
    assert_eq!(mapped.iova(), Iova(0x1000));
    let (used, tail) = (w.borrow().used(), w.borrow().cqt);
    let (all, commands) = (w.borrow().heap_limit, iommu.stats().commands);
    for n in 1..=1000 {
        let refused = |regions, group, error| {
            let info = DeviceInfo {
                regions,
                group,
                // In a leaf of the directory of its own.
                ..DeviceId(n << 9 | 3).into()
            };
            assert_eq!(iommu.add_device(info), Err(error), "device {n}");
            assert_eq!(w.borrow().used(), used, "device {n}");
        };
        refused(&BEYOND[..], None, Error::Invalid);
        refused(&BEYOND[..], Some(group), Error::Invalid);
        if n % 50 == 0 {
            for spare in 0..4 {
                w.borrow_mut().heap_limit = used + spare * 0x1000;
                refused(&LARGE[..], None, Error::NoMemory);
                if spare < 3 {
                    refused(&LARGE[..], Some(group), Error::NoMemory);
                }
            }
            w.borrow_mut().heap_limit = all;
        }
    }
    assert_eq!((w.borrow().cqt, iommu.stats().commands), (tail, commands));
    // Where the second region is the one that cannot be had, the first has been mapped, and is taken back; the table it
    // needed stays in the default domain, once.
    let mut with_table = None;
    for n in 1..=1000 {
        let info = DeviceInfo {
            regions: &TAKEN,
            group: Some(group),
            ..DeviceId(n << 9 | 3).into()
        };
        assert_eq!(iommu.add_device(info), Err(Error::AddressInUse));
        let first = *with_table.get_or_insert(w.borrow().used());
        assert_eq!(w.borrow().used(), first, "device {n}");
        assert!(read(&w, DEV, TAKEN[0].start).is_err());
    }
    drop((mapped, user));
    iommu.remove_device(DEV).unwrap();
    assert!(w.borrow().used() < used);
}

/// given a group of three, of which only the last one minds a domain; when that is attached, replaced or replaced
/// without interruption; then EINVAL, and neither a store nor a command for the first two either.
#[test]
fn r20_refusal_by_the_last_device_touches_none() {
    let w = world();
    let (iommu, log) = traced(&w, dma_default());
    let id = iommu.add_device(DEV.into()).unwrap();
    let joining = |id: DeviceId, regions, group| DeviceInfo {
        regions,
        group: Some(group),
        ..id.into()
    };
    iommu.add_device(joining(OTHER, &[], id)).unwrap();
    iommu
        .add_device(joining(DeviceId(5), &RESERVED, id))
        .unwrap();
    let domain = |iova, pa| {
        let domain = iommu.paging_domain(DomainConfig::default()).unwrap();
        map(&domain, iova, pa, 0x1000, Perm::READ).unwrap();
        domain
    };
    let (fit, bad) = (domain(0x9000, 0x10_0000), domain(0x3000, 0x20_0000));
    let untouched = |iova, expected| {
        assert_eq!(bare_steps(&w, &log), []);
        for device in [DEV, OTHER, DeviceId(5)] {
            assert_eq!(read(&w, device, iova), expected, "{device:?}");
        }
    };
    let owned = iommu.group(id).unwrap().claim(&owner(1)).unwrap();
    log.borrow_mut().clear();
    let refused = owned.attach(bad).expect_err("reserved");
    assert_eq!(refused.error, Error::Invalid);
    untouched(0x3000, Err(258));
    let owned = refused.guard.attach(fit).unwrap();
    log.borrow_mut().clear();
    let refused = owned.replace(refused.target).expect_err("reserved");
    assert_eq!(refused.error, Error::Invalid);
    untouched(0x9000, Ok(0x10_0000));
    let refused = refused
        .guard
        .replace_hitless(refused.target)
        .expect_err("reserved");
    assert_eq!(refused.error, Error::Invalid);
    untouched(0x9000, Ok(0x10_0000));
    refused.guard.release();
}

/// Given a device with direct regions of both kinds that hammers one of them; when it comes into a default domain in any
/// way; then it never meets that domain without the region: what it reached before, then the region, with the rights that the
/// region has and at the same address.
#[test]
fn r78_regions_are_there_in_every_way_to_a_default_domain() {
    static BOTH: [DeviceRegion; 2] = [
        region(0x7000, RegionKind::DirectRelaxable(Perm::READ)),
        region(0xa000, RegionKind::DirectRelaxable(Perm::READ_WRITE)),
    ];
    // Blocked, a page fault of the default domain without the region, and what the region leads to.
    let (blocked, lacking, there) = (Err(258), Err(13), Ok(0x8000));
    let judge = |w: &Shared, way: &str, before: Result<u64, u16>| {
        w.borrow_mut().hammer.clear();
        w.borrow_mut().reached.dedup();
        let reached = w.borrow().reached.clone();
        assert!(!reached.contains(&lacking), "{way}: {reached:x?}");
        let expected = [before, there];
        let expected = if before == there {
            &expected[1..]
        } else {
            &expected
        };
        assert_eq!(reached, expected, "{way}");
        let mut world = w.borrow_mut();
        for page in [0x7000, 0x8000, 0xa000, 0xb000] {
            let write = if page < 0xa000 { Err(15) } else { Ok(page) };
            assert_eq!(world.dma(DEV.0, page, Dma::Read), Ok(page), "{way}");
            assert_eq!(world.dma(DEV.0, page, Dma::Write), write, "{way}");
        }
        assert_eq!(world.dma(DEV.0, 0x9000, Dma::Read), lacking, "{way}");
    };
    let hammer = |w: &Shared| {
        w.borrow_mut().reached.clear();
        w.borrow_mut().hammer = vec![(DEV.0, 0x8000)];
    };
    // From a list, when the IOMMU starts: found in Off, or in Bare, where it reaches memory all the time.
    for (found, before) in [(0, Err(256)), (1, there)] {
        let w = world();
        w.borrow_mut().ddtp = found;
        w.borrow_mut().identity_wanted = true;
        hammer(&w);
        let machine = Machine::<true>(w.clone());
        let known = [with(&BOTH).into()];
        let _iommu = Iommu::<_, 16>::with_devices(machine, dma_default(), &known).unwrap();
        judge(&w, "in a list", before);
    }
    for joins in [false, true] {
        let w = world();
        let mut iommu = start(&w, dma_default());
        let admin = iommu.admin_token();
        let iommu = &iommu;
        let mut info = with(&BOTH);
        if joins {
            info.group = Some(iommu.add_device(OTHER.into()).unwrap());
        }
        hammer(&w);
        let id = iommu.add_device(info).unwrap();
        judge(&w, "added", blocked);
        let group = || iommu.group(id).unwrap();
        // It does without while somebody owns it, and has it back afterwards, as after a driver's own domain.
        let owned = group().claim(&owner(1)).unwrap();
        hammer(&w);
        owned.release();
        judge(&w, "released", blocked);
        let user = group().use_default_domain().unwrap();
        let domain = iommu.paging_domain(DomainConfig::default()).unwrap();
        map(&domain, 0x8000, 0x8000, PAGE as usize, Perm::READ).unwrap();
        let managed = user.attach(domain).unwrap();
        hammer(&w);
        drop(managed);
        judge(&w, "after a driver's own", there);
        let reset = iommu.reset_device(DEV).unwrap();
        hammer(&w);
        reset.done();
        judge(&w, "after a reset", blocked);
        let set = |kind| group().set_default_domain_type(kind, &admin).unwrap();
        set(DefaultDomainType::Blocked);
        hammer(&w);
        set(DefaultDomainType::DmaFq);
        judge(&w, "another type", blocked);
    }
    let w = world();
    let iommu = start(&w, dma_default());
    let deferred = DeviceInfo {
        deferred: true,
        ..with(&BOTH)
    };
    let id = iommu.add_device(deferred).unwrap();
    hammer(&w);
    let user = iommu.group(id).unwrap().use_default_domain().unwrap();
    let mapped = user.map(buffer(0x10_0000, PAGE).0, Direction::Both);
    drop(mapped.unwrap());
    judge(&w, "first use", blocked);
}
