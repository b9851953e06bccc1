//! Deferred and gathered unmaps (section 3.8 of the protocol; scenarios T38 to T40 and T44).

mod common;

use common::*;
use portcullis::*;

const DEV: DeviceId = DeviceId(3);
const PAGE: usize = 0x1000;
/// IOTINVAL of the slot's whole address space, and the fence that waits for reads and writes.
const PURGE: [(u64, u64); 2] = [(0x1_0000_1001, 0), (0x3002, 0)];

fn attached<P: platform::Platform>(
    iommu: &Iommu<P>,
) -> OwnedGroup<'_, P, 16, Attached<PagingDomain<'_, P>>> {
    iommu.add_device(DEV.into()).unwrap();
    let domain = iommu.paging_domain(DomainConfig::default()).unwrap();
    map(
        &domain,
        0x100_0000,
        0x100_0000,
        1000 * PAGE,
        Perm::READ_WRITE,
    )
    .unwrap();
    iommu
        .group(DEV)
        .unwrap()
        .claim(&owner(1))
        .unwrap()
        .attach(domain)
        .unwrap()
}

fn iova(n: u64) -> Iova {
    Iova(0x100_0000 + n * 0x1000)
}

#[test]
fn t38_no_command_until_the_flush() {
    let w = world();
    let (iommu, log) = traced(
        &w,
        Config {
            flush_queue: u32::MAX,
            ..dma_default()
        },
    );
    let owned = attached(&iommu);
    let d = owned.domain();
    assert!((0..1000).all(|n| w.borrow_mut().dma(DEV.0, iova(n).0, Dma::Read).is_ok()));
    log.borrow_mut().clear();
    // Only the pages beyond the first 2 MiB leaf are separate.
    let pages: Vec<_> = (512..1000)
        .map(|n| d.unmap_deferred(iova(n), PAGE).unwrap())
        .collect();
    assert!(pages.iter().all(|p| p.bytes == PAGE && !d.reusable(p)));
    assert_eq!(commands(&w, &log), []);
    assert_eq!(
        w.borrow_mut().dma(DEV.0, iova(600).0, Dma::Read),
        Ok(iova(600).0),
        "still cached"
    );
    d.flush().unwrap();
    assert_eq!(commands(&w, &log), PURGE);
    assert!(pages.iter().all(|p| d.reusable(p)));
    assert_eq!(w.borrow_mut().dma(DEV.0, iova(600).0, Dma::Read), Err(13));
    d.flush().unwrap();
    assert_eq!(commands(&w, &log), [], "nothing is pending");
}

/// A flush that was over before the unmap does not count (stamps of section 3.8).
#[test]
fn t38_stamps() {
    let w = world();
    let iommu = start(&w, dma_default());
    let owned = attached(&iommu);
    let first = owned.domain().unmap_deferred(iova(600), PAGE).unwrap();
    owned.domain().flush().unwrap();
    let second = owned.domain().unmap_deferred(iova(601), PAGE).unwrap();
    assert_eq!(
        [first, second].map(|p| owned.domain().reusable(&p)),
        [true, false]
    );
    // BLOCK purges the slot too, and a domain that no hardware leads to needs no flush.
    let (owned, domain) = owned.detach();
    assert!(domain.reusable(&second));
    let third = domain.unmap_deferred(iova(602), PAGE).unwrap();
    assert!(domain.reusable(&third));
    let owned = owned.attach(domain).unwrap();
    assert!(
        [first, second, third]
            .iter()
            .all(|p| owned.domain().reusable(p))
    );
    let fourth = owned.domain().unmap_deferred(iova(603), PAGE).unwrap();
    assert!(!owned.domain().reusable(&fourth));
    let nothing = owned.domain().unmap_deferred(iova(603), PAGE).unwrap();
    assert_eq!(
        (nothing.bytes, owned.domain().reusable(&nothing)),
        (0, false),
        "the fourth covers the same page"
    );
    owned.domain().flush().unwrap();
    let nothing = owned.domain().unmap_deferred(iova(603), PAGE).unwrap();
    assert_eq!(
        (nothing.bytes, owned.domain().reusable(&nothing)),
        (0, true)
    );
}

#[test]
fn t39_poll_flushes_what_is_old() {
    let w = world();
    let (iommu, log) = traced(&w, dma_default());
    let owned = attached(&iommu);
    let page = owned.domain().unmap_deferred(iova(600), PAGE).unwrap();
    log.borrow_mut().clear();
    w.borrow_mut().now += 9_999;
    assert_eq!(iommu.poll().unwrap().flushed, 0);
    w.borrow_mut().now += 1;
    assert_eq!(iommu.poll().unwrap().flushed, 1);
    assert_eq!(commands(&w, &log), PURGE);
    assert!(owned.domain().reusable(&page));
    assert_eq!(iommu.poll().unwrap().flushed, 0);
}

#[test]
fn t40_full_queue_flushes_first() {
    let w = world();
    let (iommu, log) = traced(
        &w,
        Config {
            flush_queue: 4,
            ..dma_default()
        },
    );
    let owned = attached(&iommu);
    log.borrow_mut().clear();
    let pages: Vec<_> = (600..604)
        .map(|n| owned.domain().unmap_deferred(iova(n), PAGE).unwrap())
        .collect();
    assert_eq!(commands(&w, &log), []);
    let last = owned.domain().unmap_deferred(iova(604), PAGE).unwrap();
    assert_eq!(commands(&w, &log), PURGE);
    assert!(pages.iter().all(|p| owned.domain().reusable(p)));
    assert!(!owned.domain().reusable(&last));
}

/// Tables taken out by deferred unmaps stay until the flush; the model notices if the walker finds a freed one.
#[test]
fn deferred_tables_live_until_the_flush() {
    let w = world();
    let iommu = start(
        &w,
        Config {
            table_chunk: 1,
            ..dma_default()
        },
    );
    let owned = attached(&iommu);
    let d = owned.domain();
    for n in 0..8 {
        map(
            d,
            0x4000_0000 + n * 0x20_0000,
            0x1_0000_1000,
            512 * PAGE,
            Perm::READ,
        )
        .unwrap();
        assert!(
            w.borrow_mut()
                .dma(DEV.0, 0x4000_0000 + n * 0x20_0000, Dma::Read)
                .is_ok()
        );
    }
    let used = w.borrow().used();
    for n in 0..8 {
        let page = d
            .unmap_deferred(Iova(0x4000_0000 + n * 0x20_0000), 512 * PAGE)
            .unwrap();
        assert_eq!(page.bytes, 512 * PAGE);
    }
    assert_eq!(w.borrow().used(), used);
    for n in 0..8 {
        // A page of the region that was never looked up: only the walk cache leads to its table, which is empty.
        assert_eq!(
            w.borrow_mut()
                .dma(DEV.0, 0x4000_0000 + n * 0x20_0000 + 0x5000, Dma::Read),
            Err(13)
        );
    }
    d.flush().unwrap();
    assert_eq!(w.borrow().used(), used - 8 * 0x1000);
    // The same again, ended by detach instead.
    map(d, 0x4000_0000, 0x1_0000_1000, 512 * PAGE, Perm::READ).unwrap();
    let page = d.unmap_deferred(Iova(0x4000_0000), 512 * PAGE).unwrap();
    let (_owned, domain) = owned.detach();
    assert!(domain.reusable(&page));
    assert_eq!(w.borrow().used(), used - 8 * 0x1000);
}

#[test]
fn r55_commands_per_page() {
    let w = world();
    let iommu = start(&w, dma_default());
    let owned = attached(&iommu);
    let before = iommu.stats();
    for n in 512..1000 {
        let _ = owned.domain().unmap_deferred(iova(n), PAGE).unwrap();
    }
    owned.domain().flush().unwrap();
    let commands = iommu.stats().commands - before.commands;
    assert!(commands * 64 <= 488, "{commands} commands for 488 pages");
}

#[test]
fn t44_gather_is_synced_when_dropped() {
    let w = world();
    let (iommu, log) = traced(&w, dma_default());
    let owned = attached(&iommu);
    let d = owned.domain();
    log.borrow_mut().clear();
    let mut gather = d.gather();
    assert_eq!(d.unmap_gather(iova(600), PAGE, &mut gather), Ok(PAGE));
    assert_eq!(
        d.unmap_gather(iova(700), 2 * PAGE, &mut gather),
        Ok(2 * PAGE)
    );
    assert_eq!(commands(&w, &log), []);
    drop(gather);
    let page = |n: u64| (0x1_0000_1401, iova(n).0 >> 12 << 10);
    assert_eq!(
        commands(&w, &log),
        [page(600), page(700), page(701), (0x3002, 0)]
    );
    drop(d.gather());
    d.gather().sync().unwrap();
    assert_eq!(commands(&w, &log), [], "an empty one costs nothing");
}

#[test]
fn gather_of_many_ranges_purges_everything() {
    let w = world();
    let (iommu, log) = traced(&w, dma_default());
    let owned = attached(&iommu);
    let mut gather = owned.domain().gather();
    for n in 0..17 {
        assert_eq!(
            owned
                .domain()
                .unmap_gather(iova(600 + 2 * n), PAGE, &mut gather),
            Ok(PAGE)
        );
    }
    log.borrow_mut().clear();
    gather.sync().unwrap();
    assert_eq!(commands(&w, &log), PURGE);
    assert!((0..17).all(|n| w.borrow_mut().dma(DEV.0, iova(600 + 2 * n).0, Dma::Read) == Err(13)));
}

#[test]
fn gather_of_another_domain() {
    let w = world();
    let iommu = start(&w, dma_default());
    let [one, other] = [0; 2].map(|_| iommu.paging_domain(DomainConfig::default()).unwrap());
    let mut gather = one.gather();
    assert_eq!(
        other.unmap_gather(Iova(0), PAGE, &mut gather),
        Err(Error::Invalid)
    );
}

/// Deferred unmaps at random against strict rules: nothing reusable while a device still reaches it.
#[test]
fn random_deferred() {
    for seed in 1..=20 {
        let w = world();
        let iommu = start(
            &w,
            Config {
                flush_queue: 8,
                table_chunk: 1,
                ..dma_default()
            },
        );
        let owned = attached(&iommu);
        let d = owned.domain();
        let mut random = Random(seed);
        let mut pending: Vec<(u64, Deferred)> = Vec::new();
        for _ in 0..2000 {
            let n = 512 + random.below(488);
            match random.below(8) {
                0..4 => {
                    let _ = w.borrow_mut().dma(DEV.0, iova(n).0, Dma::Read);
                }
                4..6 => pending.push((n, d.unmap_deferred(iova(n), PAGE).unwrap())),
                6 => {
                    let waiting = pending
                        .iter()
                        .any(|(p, deferred)| *p == n && !d.reusable(deferred));
                    if !waiting && d.translate(iova(n)).is_none() {
                        map(d, iova(n).0, iova(n).0, PAGE, Perm::READ).unwrap();
                        pending.retain(|(p, _)| *p != n);
                    }
                }
                _ if random.below(8) == 0 => d.flush().unwrap(),
                _ => {
                    let _ = iommu.poll().unwrap();
                }
            }
            for (n, deferred) in &pending {
                if d.reusable(deferred) {
                    assert_eq!(
                        w.borrow_mut().dma(DEV.0, iova(*n).0, Dma::Read),
                        Err(13),
                        "seed {seed}"
                    );
                }
            }
        }
    }
}

/// Given a gather that is put aside; when the domain is detached, or another one asks for it; then it is refused there, goes
/// on here, and all of it is invalidated at the end.
#[test]
fn r56_suspended_gather() {
    let w = world();
    let iommu = start(&w, Config::default());
    iommu.add_device(DEV.into()).unwrap();
    let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    let (one, other) = (coloured(&iommu, 0x10_0000), coloured(&iommu, 0x20_0000));
    map(&one, 0x8000, 0x11_0000, 0x1000, Perm::READ).unwrap();
    let owned = owned.attach(one).unwrap();
    for page in [0x7000, 0x8000] {
        read(&w, DEV, page).unwrap();
    }
    let mut gather = owned.domain().gather();
    owned
        .domain()
        .unmap_gather(Iova(0x7000), 0x1000, &mut gather)
        .unwrap();
    let before = iommu.stats().commands;
    let mut aside = gather.suspend();
    assert_eq!(other.resume(&mut aside).err(), Some(Error::Invalid));
    let refused = other.unmap_suspended(Iova(0x7000), 0x1000, &mut aside);
    assert_eq!(refused, Err(Error::Invalid));
    let mut gather = owned.domain().resume(&mut aside).unwrap();
    owned
        .domain()
        .unmap_gather(Iova(0x8000), 0x1000, &mut gather)
        .unwrap();
    assert_eq!(iommu.stats().commands, before);
    assert_eq!(read(&w, DEV, 0x7000), Ok(0x10_0000), "cached");
    gather.sync().unwrap();
    for page in [0x7000, 0x8000] {
        assert_eq!(read(&w, DEV, page), Err(13));
    }
    // What is left is empty.
    let commands = iommu.stats().commands;
    drop(owned.domain().resume(&mut aside));
    assert_eq!(iommu.stats().commands, commands);
    drop(owned);
}
