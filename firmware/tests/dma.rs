//! The DMA API of drivers (sections 1.3, 2.3 and 3.8 of the protocol; scenarios T10, T27, T38 to T43).

mod common;

use common::*;
use portcullis::*;

const DEV: DeviceId = DeviceId(3);
const PAGE: u64 = 0x1000;
const MIB2: u64 = 0x20_0000;
/// IOTINVAL of the slot's whole address space, and the fence that waits for reads and writes.
const PURGE: [(u64, u64); 2] = [(0x1_0000_1001, 0), (0x3002, 0)];

fn fq_default() -> Config {
    Config {
        default_domain: DefaultDomainType::DmaFq,
        ..Config::default()
    }
}

fn read(w: &Shared, iova: Iova) -> Result<u64, u16> {
    w.borrow_mut().dma(DEV.0, iova.0, Dma::Read)
}

fn write(w: &Shared, iova: Iova) -> Result<u64, u16> {
    w.borrow_mut().dma(DEV.0, iova.0, Dma::Write)
}

fn user<P: platform::Platform>(iommu: &Iommu<P>) -> KernelUse<'_, P> {
    iommu.add_device(DEV.into()).unwrap();
    iommu.group(DEV).unwrap().use_default_domain().unwrap()
}

#[test]
fn buffers_are_mapped_where_there_is_room() {
    let w = world();
    let (iommu, log) = traced(&w, dma_default());
    let user = user(&iommu);
    log.borrow_mut().clear();
    let (to, dropped) = buffer(0x10_0000, 2 * PAGE);
    let to = user.map(to, Direction::ToDevice).unwrap();
    let (from, _) = buffer(0x20_0000, PAGE);
    let from = user.map(from, Direction::FromDevice).unwrap();
    assert_eq!(commands(&w, &log), [], "map issues no command");
    assert_eq!(
        (to.iova(), from.iova()),
        (Iova(PAGE), Iova(3 * PAGE)),
        "never page 0"
    );
    assert_eq!(
        (read(&w, to.iova()), write(&w, to.iova())),
        (Ok(0x10_0000), Err(15))
    );
    assert_eq!(write(&w, from.iova()), Ok(0x20_0000));
    // Strictly: after the call, faults only, and the buffer is back.
    let iova = to.iova();
    let to = to.unmap().unwrap();
    assert_eq!((read(&w, iova), dropped.get()), (Err(13), 0));
    drop(to);
    assert_eq!(dropped.get(), 1);
    // The addresses are used again, lowest first; dropping a mapping unmaps it.
    let (again, gone) = buffer(0x30_0000, PAGE);
    let again = user.map(again, Direction::Both).unwrap();
    assert_eq!(again.iova(), Iova(PAGE));
    drop(again);
    assert_eq!((read(&w, Iova(PAGE)), gone.get()), (Err(13), 1));
}

#[test]
fn large_buffers_get_large_pages() {
    let w = world();
    let iommu = start(&w, dma_default());
    let user = user(&iommu);
    let small = user
        .map(buffer(0x10_0000, PAGE).0, Direction::Both)
        .unwrap();
    let used = w.borrow().used();
    let large = user
        .map(buffer(0x4000_3000, 2 * MIB2).0, Direction::Both)
        .unwrap();
    assert_eq!(large.iova().0 % MIB2, 0x3000, "congruent to the memory");
    assert_eq!(
        read(&w, Iova(large.iova().0 + MIB2)),
        Ok(0x4000_3000 + MIB2)
    );
    assert_eq!(w.borrow().used(), used, "one chunk of tables is enough");
    drop((small, large));
}

#[test]
fn bad_buffers_come_back() {
    let w = world();
    let iommu = start(&w, dma_default());
    let user = user(&iommu);
    let own = w.borrow().ring().0;
    for (at, bytes, expected) in [
        (0x10_0800, PAGE, Error::Invalid),
        (0x10_0000, 0x800, Error::Invalid),
        (0x10_0000, 0, Error::Invalid),
        (own, PAGE, Error::Invalid),
        (u64::MAX - PAGE + 1, 2 * PAGE, Error::Overflow),
        (1 << 56, PAGE, Error::OutOfRange),
        (0, 1 << 38, Error::NoSpace),
    ] {
        let (buffer, dropped) = buffer(at, bytes);
        let (buffer, error) = user.map(buffer, Direction::Both).expect_err("refused");
        assert_eq!((error, dropped.get()), (expected, 0), "{at:#x}");
        drop(buffer);
    }
    // Nothing is left of the refusals.
    assert_eq!(
        user.map(buffer(0, PAGE).0, Direction::Both).unwrap().iova(),
        Iova(PAGE)
    );
}

#[test]
fn default_types_and_the_dma_api() {
    for (kind, expected) in [
        (DefaultDomainType::Blocked, Err(Error::NotSupported)),
        // SAFETY: the device is part of the test.
        (
            DefaultDomainType::Identity(unsafe { TrustToken::new() }),
            Ok(Iova(0x10_0000)),
        ),
        (DefaultDomainType::Dma, Ok(Iova(PAGE))),
    ] {
        let w = world();
        w.borrow_mut().identity_wanted = true;
        let iommu = start(
            &w,
            Config {
                default_domain: kind,
                ..Config::default()
            },
        );
        let user = user(&iommu);
        let result = user.map(buffer(0x10_0000, PAGE).0, Direction::Both);
        assert_eq!(result.as_ref().map(Mapped::iova).map_err(|e| e.1), expected);
        if let Ok(mapped) = result {
            assert_eq!(read(&w, mapped.iova()), Ok(0x10_0000));
            mapped.unmap().unwrap();
        }
    }
}

/// R-25, T10: what a driver mapped before its group was claimed works again after the release.
#[test]
fn t10_r25_mappings_survive_an_owner() {
    let w = world();
    let (iommu, log) = traced(&w, dma_default());
    let user = user(&iommu);
    let mapped = user
        .map(buffer(0x10_0000, PAGE).0, Direction::Both)
        .unwrap();
    user.unuse();
    let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    assert_eq!(read(&w, mapped.iova()), Err(258));
    let domain = iommu.paging_domain(DomainConfig::default()).unwrap();
    map(&domain, mapped.iova().0, 0x20_0000, 0x1000, Perm::READ).unwrap();
    let owned = owned.attach(domain).unwrap();
    assert_eq!(read(&w, mapped.iova()), Ok(0x20_0000));
    log.borrow_mut().clear();
    owned.release();
    // BLOCK, then PUB: two batches of four, two waits.
    let steps = bare_steps(&w, &log);
    let stores: Vec<_> = steps
        .iter()
        .filter(|s| matches!(s, Step::Store(..)))
        .collect();
    assert_eq!(steps.iter().filter(|s| **s == Step::Wait).count(), 2);
    let [Step::Store(tc, 0), .., Step::Store(last, 1)] = stores[..] else {
        panic!("{stores:?}");
    };
    assert_eq!(tc, last);
    assert_eq!(read(&w, mapped.iova()), Ok(0x10_0000));
    // And while somebody owns the group, unmapping is memory work only.
    let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    log.borrow_mut().clear();
    let (iova, _) = (mapped.iova(), mapped.unmap().unwrap());
    assert_eq!(commands(&w, &log), []);
    owned.release();
    assert_eq!(read(&w, iova), Err(13));
}

/// R-81, T27: a message is a write like others.
#[test]
fn t27_r81_doorbell_must_be_mapped() {
    let w = world();
    let iommu = start(&w, dma_default());
    let user = user(&iommu);
    let ring = |iova| w.borrow_mut().dma(DEV.0, iova, Dma::Write);
    const BELL: u64 = 0x2800_0000;
    assert_eq!(ring(BELL), Err(15), "S2, not mapped");
    // SAFETY: the doorbell is part of the test.
    let doorbell = unsafe { Doorbell::new(PhysAddr(BELL)) };
    let doorbell = user.map(doorbell, Direction::FromDevice).unwrap();
    let at = doorbell.iova().0;
    assert_eq!(ring(at + 4), Ok(BELL + 4), "S2, mapped");
    user.unuse();
    let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    assert_eq!(ring(at), Err(258), "S4");
    let domain = iommu.paging_domain(DomainConfig::default()).unwrap();
    let owned = owned.attach(domain).unwrap();
    assert_eq!(ring(BELL), Err(15), "S5, not mapped");
    map(owned.domain(), BELL, BELL, 0x1000, Perm::READ_WRITE).unwrap();
    assert_eq!(ring(BELL), Ok(BELL), "S5, mapped");
    owned.release();
    assert_eq!(ring(at), Ok(BELL));
}

#[test]
fn r55_t38_thousand_unmaps_and_one_flush() {
    let w = world();
    let (iommu, log) = traced(
        &w,
        Config {
            flush_queue: u32::MAX,
            ..fq_default()
        },
    );
    let user = user(&iommu);
    let mapped: Vec<_> = (0..1000)
        .map(|n| {
            user.map(buffer(0x100_0000 + n * PAGE, PAGE).0, Direction::Both)
                .unwrap()
        })
        .collect();
    let iovas: Vec<_> = mapped.iter().map(Mapped::iova).collect();
    iovas.iter().for_each(|i| assert!(read(&w, *i).is_ok()));
    log.borrow_mut().clear();
    let before = iommu.stats().commands;
    let pending: Vec<_> = mapped
        .into_iter()
        .map(|m| m.unmap_later().unwrap())
        .collect();
    assert_eq!(commands(&w, &log), [], "no command per unmap");
    assert_eq!(
        read(&w, iovas[7]),
        Ok(0x100_0000 + 7 * PAGE),
        "still cached"
    );
    // No address comes back before the flush.
    let other = user
        .map(buffer(0x20_0000, PAGE).0, Direction::Both)
        .unwrap();
    assert!(!iovas.contains(&other.iova()));
    log.borrow_mut().clear();
    let mut pending = pending.into_iter();
    let first = pending.next().unwrap();
    assert!(!first.ready());
    let first = first.take().expect_err("too early");
    first.wait().unwrap();
    assert_eq!(commands(&w, &log), PURGE);
    assert!(pending.all(|p| p.ready() && p.take().is_ok()));
    assert!(iovas.iter().all(|i| read(&w, *i) == Err(13)));
    let commands = iommu.stats().commands - before;
    assert!(commands * 64 <= 1000, "{commands} commands for 1000 pages");
    let again = user
        .map(buffer(0x30_0000, PAGE).0, Direction::Both)
        .unwrap();
    assert_eq!(again.iova(), iovas[0], "and are used again after it");
}

#[test]
fn t39_t40_age_and_number_bring_the_flush() {
    let w = world();
    let (iommu, log) = traced(
        &w,
        Config {
            flush_queue: 4,
            ..fq_default()
        },
    );
    let user = user(&iommu);
    let unmap = |n: u64| {
        let mapped = user
            .map(buffer(0x10_0000 * n, PAGE).0, Direction::Both)
            .unwrap();
        mapped.unmap_later().unwrap()
    };
    let old = unmap(1);
    log.borrow_mut().clear();
    w.borrow_mut().now += 10_000;
    assert_eq!(iommu.poll().unwrap().flushed, 1);
    assert_eq!(commands(&w, &log), PURGE);
    assert!(old.take().is_ok());
    let four: Vec<_> = (2..6).map(unmap).collect();
    assert_eq!(commands(&w, &log), []);
    let fifth = unmap(6);
    assert_eq!(commands(&w, &log), PURGE, "synchronously, before the fifth");
    assert!(four.iter().all(Pending::ready) && !fifth.ready());
}

/// R-61, T41: the upgrade works with a driver bound and mappings live; from then on unmaps are queued.
#[test]
fn t41_t42_r61_upgrade_under_a_driver() {
    let w = world();
    let (mut iommu, log) = traced(&w, dma_default());
    let admin = iommu.admin_token();
    let user = user(&iommu);
    let group = iommu.group(DEV).unwrap();
    let [one, two] = [1, 2].map(|n| {
        user.map(buffer(n * 0x10_0000, PAGE).0, Direction::Both)
            .unwrap()
    });
    w.borrow_mut().hammer = vec![(DEV.0, two.iova().0)];
    w.borrow_mut().reached.clear();
    let strict = one.unmap_later().unwrap();
    assert!(strict.ready(), "type DMA is strict");
    log.borrow_mut().clear();
    assert_eq!(
        group.set_default_domain_type(DefaultDomainType::DmaFq, &admin),
        Ok(())
    );
    assert_eq!(bare_steps(&w, &log), []);
    let iova = two.iova();
    let queued = two.unmap_later().unwrap();
    assert_eq!(commands(&w, &log), []);
    assert_eq!((queued.ready(), read(&w, iova)), (false, Ok(0x20_0000)));
    assert_eq!(w.borrow().reached, [Ok(0x20_0000)], "undisturbed");
    w.borrow_mut().hammer.clear();
    let back = |kind| group.set_default_domain_type(kind, &admin);
    assert_eq!(back(DefaultDomainType::Dma), Err(Error::NotPermitted));
    drop(queued);
    user.unuse();
    assert_eq!(back(DefaultDomainType::Dma), Ok(()));
}

/// T43: deferring keeps its record in the page tables, so that it cannot fail for want of memory, and
/// nothing is there while the type is another.
#[test]
fn t43_r63_r64_deferring_needs_no_memory() {
    let w = world();
    let mut iommu = start(&w, dma_default());
    let admin = iommu.admin_token();
    let user = user(&iommu);
    let mapped = user
        .map(buffer(0x10_0000, PAGE).0, Direction::Both)
        .unwrap();
    let used = w.borrow().used();
    w.borrow_mut().heap_limit = used;
    let group = iommu.group(DEV).unwrap();
    assert_eq!(
        group.set_default_domain_type(DefaultDomainType::DmaFq, &admin),
        Ok(())
    );
    let pending = mapped.unmap_later().unwrap();
    assert_eq!(w.borrow().used(), used);
    drop(pending);
    // A default domain of its own is another matter: without memory for its root the device is not added.
    let w = world();
    let iommu = start(
        &w,
        Config {
            table_chunk: 1,
            ..fq_default()
        },
    );
    let used = w.borrow().used();
    w.borrow_mut().heap_limit = used;
    assert_eq!(iommu.add_device(DEV.into()), Err(Error::NoMemory));
    assert_eq!(w.borrow().used(), used);
}

#[test]
fn out_of_tables_changes_nothing() {
    let w = world();
    let iommu = start(
        &w,
        Config {
            table_chunk: 1,
            ..dma_default()
        },
    );
    let user = user(&iommu);
    let used = w.borrow().used();
    w.borrow_mut().heap_limit = used;
    let (back, error) = user
        .map(buffer(0x10_0000, PAGE).0, Direction::Both)
        .expect_err("refused");
    assert_eq!(error, Error::NoMemory);
    w.borrow_mut().heap_limit = u64::MAX;
    assert_eq!(
        user.map(back.expect("comes back"), Direction::Both)
            .unwrap()
            .iova(),
        Iova(PAGE)
    );
}

/// the automatic choice looks at the flag, an explicit wish does not.
#[test]
fn r59_r60_automatic_choice_of_deferring() {
    for deferred_flush in [false, true] {
        for (kind, untrusted) in [
            (DefaultDomainType::Auto, false),
            (DefaultDomainType::Auto, true),
            (DefaultDomainType::DmaFq, false),
        ] {
            let w = world();
            let config = Config {
                deferred_flush,
                default_domain: kind,
                ..Config::default()
            };
            let iommu = start(&w, config);
            assert_eq!(iommu.limits().deferred_flush, deferred_flush);
            iommu
                .add_device(DeviceInfo {
                    untrusted,
                    ..DEV.into()
                })
                .unwrap();
            let user = iommu.group(DEV).unwrap().use_default_domain().unwrap();
            let mapped = user
                .map(buffer(0x10_0000, PAGE).0, Direction::Both)
                .unwrap();
            let queued = !mapped.unmap_later().unwrap().ready();
            let explicit = matches!(kind, DefaultDomainType::DmaFq);
            assert_eq!(queued, explicit || deferred_flush && !untrusted);
        }
    }
}

/// A mapping whose default domain has gone is nowhere; nothing of a later domain is touched by unmapping it.
#[test]
fn mappings_of_a_default_domain_that_has_gone() {
    let w = world();
    let mut iommu = start(&w, dma_default());
    let admin = iommu.admin_token();
    let user = user(&iommu);
    let group = iommu.group(DEV).unwrap();
    let old = user
        .map(buffer(0x10_0000, PAGE).0, Direction::Both)
        .unwrap();
    user.unuse();
    for kind in [DefaultDomainType::Blocked, DefaultDomainType::Dma] {
        group.set_default_domain_type(kind, &admin).unwrap();
    }
    let user = group.use_default_domain().unwrap();
    let new = user
        .map(buffer(0x20_0000, PAGE).0, Direction::Both)
        .unwrap();
    assert_eq!(new.iova(), old.iova());
    old.unmap().unwrap();
    assert_eq!(read(&w, new.iova()), Ok(0x20_0000));
    iommu.device_gone(DEV).unwrap();
    assert!(new.unmap_later().unwrap().ready());
    let refused = user.map(buffer(0x30_0000, PAGE).0, Direction::Both);
    assert_eq!(refused.expect_err("gone").1, Error::NoDevice);
}
