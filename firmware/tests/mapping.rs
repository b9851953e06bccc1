//! Map and strict unmap (sections 3.7 and 3.8 of the protocol; scenarios of section 5).

mod common;

use common::{Step::*, *};
use portcullis::platform::Barrier::*;
use portcullis::*;
use portcullis_regmap::pte::Pte;

const DEV: DeviceId = DeviceId(0x25);
const PAGE: usize = 0x1000;
const MIB2: usize = 0x20_0000;
const GIB: usize = 0x4000_0000;

type Owned<'i, P> = OwnedGroup<'i, P, 16, Attached<PagingDomain<'i, P>>>;

fn attached<P: platform::Platform>(iommu: &Iommu<P>) -> Owned<'_, P> {
    iommu.add_device(DEV.into()).unwrap();
    let domain = iommu.paging_domain(DomainConfig::default()).unwrap();
    iommu
        .group(DEV)
        .unwrap()
        .claim(&owner(1))
        .unwrap()
        .attach(domain)
        .unwrap()
}

fn dma(w: &Shared, iova: u64, kind: Dma) -> Result<u64, u16> {
    w.borrow_mut().dma(DEV.0, iova, kind)
}

/// Every PTE below the root of the attached domain, with the size of a leaf at its level.
fn entries(w: &Shared) -> Vec<(Pte, usize)> {
    let m = w.borrow();
    let context = (m.ddtp >> 10 << 12) + 32 * u64::from(DEV.0);
    let mut tables = vec![(m.load(context + 24) << 12, GIB)];
    let mut found = Vec::new();
    while let Some((table, size)) = tables.pop() {
        for at in (table..table + 4096).step_by(8) {
            let pte = Pte::from_bits(m.load(at));
            if pte.v() && !pte.leaf() {
                tables.push((pte.ppn() << 12, size >> 9));
            }
            if pte.v() {
                found.push((pte, size));
            }
        }
    }
    found
}

fn leaf_sizes(w: &Shared) -> Vec<usize> {
    let mut sizes: Vec<_> = entries(w)
        .iter()
        .filter(|(p, _)| p.leaf())
        .map(|(_, size)| *size)
        .collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

#[test]
fn t31_map_issues_no_command() {
    let w = world();
    let (iommu, log) = traced(&w, dma_default());
    let owned = attached(&iommu);
    assert_eq!(dma(&w, 0x7000, Dma::Read), Err(13));
    log.borrow_mut().clear();
    map(owned.domain(), 0x7000, 0x1234_5000, PAGE, Perm::READ).unwrap();
    assert_eq!(commands(&w, &log), []);
    assert_eq!(dma(&w, 0x7abc, Dma::Read), Ok(0x1234_5abc));
    assert_eq!(dma(&w, 0x7abc, Dma::Write), Err(15));
    assert_eq!(
        owned.domain().translate(Iova(0x7abc)),
        Some((PhysAddr(0x1234_5abc), Perm::READ))
    );
    assert_eq!(owned.domain().translate(Iova(0x8000)), None);
    assert_eq!(owned.domain().translate(Iova(u64::MAX)), None);
}

/// New tables are zeroed, filled, published, and linked last, with an ordering before each link.
#[test]
fn map_links_last() {
    let w = world();
    let (iommu, log) = traced(&w, dma_default());
    let owned = attached(&iommu);
    log.borrow_mut().clear();
    map(owned.domain(), 0x7000, 0x1234_5000, PAGE, Perm::READ).unwrap();
    let trace = steps(&w, &log);
    let valid = |s: &Step| matches!(s, Store(_, v) if Pte::from_bits(*v).v());
    let first = trace.iter().position(valid).expect("a leaf");
    let [
        Store(leaf_at, leaf),
        Barrier(MemToMem),
        Store(low_at, low),
        Barrier(MemToMem),
        Store(_, high),
        Barrier(MemToMem),
    ] = trace[first..]
    else {
        panic!("{:?}", &trace[first..]);
    };
    assert!(Pte::from_bits(leaf).leaf());
    assert_eq!(
        (Pte::from_bits(low).ppn(), Pte::from_bits(high).ppn()),
        (leaf_at >> 12, low_at >> 12)
    );
}

/// With 4-byte stores an entry becomes valid by its low half, last, and invalid by its low half alone.
#[test]
fn narrow_stores_keep_order() {
    let w = world();
    let (iommu, log) = traced_as::<false>(&w, dma_default());
    iommu.add_device(DEV.into()).unwrap();
    let halves = |log: &Log| -> Vec<(u64, u64)> {
        let (ring, bytes) = w.borrow().ring();
        let stores = log
            .borrow_mut()
            .split_off(0)
            .into_iter()
            .filter_map(|op| match op {
                platform::Op::Store(pa, 4, v) if !(ring..ring + bytes).contains(&pa.0) => {
                    Some((pa.0, v))
                }
                _ => None,
            });
        stores.collect()
    };
    let dc = (w.borrow().ddtp >> 10 << 12) + 32 * u64::from(DEV.0);
    let domain = iommu.paging_domain(DomainConfig::default()).unwrap();
    map(&domain, 0x7000, 0x12_3456_7000, PAGE, Perm::READ).unwrap();
    halves(&log);
    let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    assert_eq!(halves(&log)[0], (dc, 0));
    let owned = owned.attach(domain).unwrap();
    let stores = halves(&log);
    assert_eq!(
        (stores[0].0, stores[1].0, &stores[2..]),
        (dc + 28, dc + 24, &[(dc + 4, 0), (dc, 1)][..])
    );
    map(owned.domain(), 0x8000, 0x12_3456_8000, PAGE, Perm::READ).unwrap();
    let stores = halves(&log);
    let at = stores[1].0;
    assert_eq!(
        stores,
        [
            (at + 4, 0x12_3456_8000 >> 12 << 10 >> 32),
            (at, 0x12_3456_8000 >> 2 & 0xffff_ffff | 0x53)
        ]
    );
    assert_eq!(owned.domain().unmap(Iova(0x8000), PAGE), Ok(PAGE));
    assert_eq!(halves(&log), [(at, 0)]);
}

#[test]
fn t32_strict_unmap() {
    let w = world();
    let (iommu, log) = traced(&w, dma_default());
    let owned = attached(&iommu);
    map(
        owned.domain(),
        0x7000,
        0x10_0000,
        3 * PAGE,
        Perm::READ_WRITE,
    )
    .unwrap();
    (0..3).for_each(|n| {
        assert_eq!(
            dma(&w, 0x7000 + n * 0x1000, Dma::Write),
            Ok(0x10_0000 + n * 0x1000)
        )
    });
    log.borrow_mut().clear();
    assert_eq!(owned.domain().unmap(Iova(0x7000), 2 * PAGE), Ok(2 * PAGE));
    let trace = bare_steps(&w, &log);
    assert!(
        matches!(trace[..2], [Store(a, 0), Store(b, 0)] if b == a + 8),
        "leaf PTEs := 0"
    );
    let by_page = |iova: u64| Command(0x1_0000_1401, iova >> 12 << 10);
    assert_eq!(
        trace[2..],
        [by_page(0x7000), by_page(0x8000), Command(0x3002, 0), Wait]
    );
    assert_eq!(
        [0x7000, 0x8000, 0x9000].map(|a| dma(&w, a, Dma::Write)),
        [Err(15), Err(15), Ok(0x10_2000)]
    );
}

#[test]
fn unmap_of_nothing_or_unattached_issues_no_command() {
    let w = world();
    let (iommu, log) = traced(&w, dma_default());
    let owned = attached(&iommu);
    log.borrow_mut().clear();
    assert_eq!(owned.domain().unmap(Iova(0x7000), PAGE), Ok(0));
    let (_owned, domain) = owned.detach();
    map(&domain, 0x7000, 0x10_0000, PAGE, Perm::READ).unwrap();
    log.borrow_mut().clear();
    assert_eq!(domain.unmap(Iova(0), GIB), Ok(PAGE));
    assert_eq!(commands(&w, &log), []);
}

#[test]
fn unmap_by_page_up_to_64_then_whole_space() {
    let w = world();
    let (iommu, log) = traced(&w, dma_default());
    let owned = attached(&iommu);
    for (pages, expected) in [
        (1, 1 + 1),
        (63, 63 + 1),
        (64, 64 + 1),
        (65, 1 + 1),
        (511, 1 + 1),
    ] {
        map(
            owned.domain(),
            0x4000_0000,
            0x10_0000,
            pages * PAGE,
            Perm::READ,
        )
        .unwrap();
        log.borrow_mut().clear();
        assert_eq!(
            owned.domain().unmap(Iova(0x4000_0000), pages * PAGE),
            Ok(pages * PAGE)
        );
        let commands = commands(&w, &log);
        assert_eq!(commands.len(), expected, "{pages} pages");
        if expected == 2 && pages > 1 {
            assert_eq!(commands[0], (0x1_0000_1001, 0), "PSCID form");
        }
    }
}

#[test]
fn unmap_with_ranges_needs_few_commands() {
    let w = world();
    w.borrow_mut().capabilities |= 1 << 43;
    let (iommu, log) = traced(&w, dma_default());
    let owned = attached(&iommu);
    map(
        owned.domain(),
        0x4000_3000,
        0x10_3000,
        300 * PAGE,
        Perm::READ,
    )
    .unwrap();
    (0..300).for_each(|n| assert!(dma(&w, 0x4000_3000 + n * 0x1000, Dma::Read).is_ok()));
    log.borrow_mut().clear();
    assert_eq!(
        owned.domain().unmap(Iova(0x4000_3000), 300 * PAGE),
        Ok(300 * PAGE)
    );
    // 3..303 = 3 | 4..8 | 8..16 | 16..32 | 32..64 | 64..128 | 128..256 | 256..288 | 288..296 | 296..300 | 300..302 | 302
    let got = commands(&w, &log);
    assert!(got.len() < 15, "{got:?}");
    assert!((0..300).all(|n| dma(&w, 0x4000_3000 + n * 0x1000, Dma::Read) == Err(13)));
}

#[test]
fn t33_superpage_is_unmapped_whole_or_not_at_all() {
    let w = world();
    let (iommu, log) = traced(&w, dma_default());
    let owned = attached(&iommu);
    map(owned.domain(), 0x4000_0000, 0x4000_0000, MIB2, Perm::READ).unwrap();
    assert_eq!(leaf_sizes(&w), [MIB2]);
    assert_eq!(dma(&w, 0x4012_3456, Dma::Read), Ok(0x4012_3456));
    log.borrow_mut().clear();
    assert_eq!(owned.domain().unmap(Iova(0x4010_0000), PAGE), Ok(0));
    assert_eq!(bare_steps(&w, &log), []);
    assert_eq!(dma(&w, 0x4010_0000, Dma::Read), Ok(0x4010_0000));
    assert_eq!(owned.domain().unmap(Iova(0x4000_0000), MIB2), Ok(MIB2));
    assert_eq!(dma(&w, 0x4010_0000, Dma::Read), Err(13));
}

#[test]
fn t34_map_over_present() {
    let w = world();
    let (iommu, log) = traced(&w, dma_default());
    let owned = attached(&iommu);
    map(owned.domain(), 0x4000_0000, 0x1_0000_0000, MIB2, Perm::READ).unwrap();
    map(owned.domain(), 0x4030_0000, 0x2_0000_0000, PAGE, Perm::READ).unwrap();
    let used = w.borrow().used();
    log.borrow_mut().clear();
    for (iova, len) in [
        (0x4000_0000, PAGE),
        (0x3ffff000, 2 * PAGE),
        (0x4030_0000, PAGE),
        (0x4020_0000, MIB2),
        (0, 4 * GIB),
    ] {
        let result = map(owned.domain(), iova, 0x5_0000_0000, len, Perm::READ);
        assert_eq!(result, Err(Error::AddressInUse), "{iova:#x} {len:#x}");
    }
    assert_eq!(bare_steps(&w, &log), [], "refused before the first store");
    assert_eq!(w.borrow().used(), used);
    assert_eq!(dma(&w, 0x4000_1000, Dma::Read), Ok(0x1_0000_1000));
    assert_eq!(dma(&w, 0x4030_0000, Dma::Read), Ok(0x2_0000_0000));
    assert_eq!(dma(&w, 0x4020_0000, Dma::Read), Err(13));
}

#[test]
fn t35_bad_ranges() {
    let w = world();
    let iommu = start(&w, Config::default());
    let domain = iommu.paging_domain(DomainConfig::default()).unwrap();
    let end = Mode::Sv39.aperture_end();
    let cases = [
        (u64::MAX - 0xfff, 0, 2 * PAGE, Perm::READ, Error::Overflow),
        (0, u64::MAX - 0xfff, 2 * PAGE, Perm::READ, Error::Overflow),
        (end, 0, PAGE, Perm::READ, Error::OutOfRange),
        (end - 0x1000, 0, 2 * PAGE, Perm::READ, Error::OutOfRange),
        (0, 1 << 56, PAGE, Perm::READ, Error::OutOfRange),
        (0x123, 0x1000, PAGE, Perm::READ, Error::Invalid),
        (0x1000, 0x123, PAGE, Perm::READ, Error::Invalid),
        (0x1000, 0x1000, 0x123, Perm::READ, Error::Invalid),
        (0x1000, 0x1000, 0, Perm::READ, Error::Invalid),
        (0x1000, 0x1000, PAGE, Perm::NONE, Error::Invalid),
    ];
    for (iova, pa, len, perm, error) in cases {
        assert_eq!(
            map(&domain, iova, pa, len, perm),
            Err(error),
            "{iova:#x} {pa:#x} {len:#x}"
        );
    }
    assert_eq!(
        domain.unmap(Iova(u64::MAX - 0xfff), 2 * PAGE),
        Err(Error::Overflow)
    );
    assert_eq!(domain.unmap(Iova(end), PAGE), Err(Error::OutOfRange));
    assert_eq!(domain.unmap(Iova(1), PAGE), Err(Error::Invalid));
    assert_eq!(domain.unmap(Iova(0), 0), Err(Error::Invalid));
    map(&domain, end - 0x1000, (1 << 56) - 0x1000, PAGE, Perm::READ).unwrap();
}

#[test]
fn t36_table_is_freed_after_an_invalidation_that_reaches_it() {
    let w = world();
    let (iommu, log) = traced(
        &w,
        Config {
            table_chunk: 1,
            ..dma_default()
        },
    );
    let owned = attached(&iommu);
    let used = w.borrow().used();
    // Physically misaligned, so only 4 KiB pages fit.
    map(owned.domain(), 0x4000_0000, 0x1_0000_1000, MIB2, Perm::READ).unwrap();
    assert_eq!(
        (leaf_sizes(&w), w.borrow().used()),
        (vec![PAGE], used + 0x2000)
    );
    assert!(
        dma(&w, 0x4000_0000, Dma::Read).is_ok(),
        "the walk caches hold the table now"
    );
    log.borrow_mut().clear();
    assert_eq!(owned.domain().unmap(Iova(0x4000_0000), MIB2), Ok(MIB2));
    let trace = log.borrow().clone();
    let at = |f: &dyn Fn(&platform::Op) -> bool| trace.iter().position(f).expect("happens");
    let fence = at(&|op| matches!(op, platform::Op::Event(platform::Event::FenceEnd { .. })));
    let freed = at(&|op| matches!(op, platform::Op::Free(..)));
    assert!(fence < freed);
    assert_eq!(
        commands(&w, &log),
        [(0x1_0000_1001, 0), (0x3002, 0)],
        "AV=0 reaches non-leaf entries"
    );
    map(owned.domain(), 0x4000_0000, 0x4000_0000, MIB2, Perm::READ).unwrap();
    assert_eq!(leaf_sizes(&w), [MIB2]);
    assert_eq!(dma(&w, 0x401f_f000, Dma::Read), Ok(0x401f_f000));
    assert_eq!(owned.domain().unmap(Iova(0), 4 * GIB), Ok(MIB2));
    assert_eq!(w.borrow().used(), used);
}

/// A table without leaves that is unlinked is invalidated all the same: the walker may hold it.
#[test]
fn t36_empty_table() {
    let w = world();
    let (iommu, log) = traced(&w, dma_default());
    let owned = attached(&iommu);
    map(owned.domain(), 0x4000_0000, 0x1_0000_0000, PAGE, Perm::READ).unwrap();
    assert!(dma(&w, 0x4000_0000, Dma::Read).is_ok());
    assert_eq!(owned.domain().unmap(Iova(0x4000_0000), PAGE), Ok(PAGE));
    // The emptied table still occupies the place, and map may not issue commands: smaller pages are used.
    map(owned.domain(), 0x4000_0000, 0x4000_0000, MIB2, Perm::READ).unwrap();
    assert_eq!(leaf_sizes(&w), [PAGE]);
    assert_eq!(
        owned.domain().unmap(Iova(0x4000_0000), MIB2 - PAGE),
        Ok(MIB2 - PAGE)
    );
    assert_eq!(owned.domain().unmap(Iova(0x401f_f000), PAGE), Ok(PAGE));
    log.borrow_mut().clear();
    assert_eq!(owned.domain().unmap(Iova(0x4000_0000), MIB2), Ok(0));
    assert_eq!(commands(&w, &log), [(0x1_0000_1001, 0), (0x3002, 0)]);
}

#[test]
fn t37_out_of_memory_changes_nothing() {
    let w = world();
    let iommu = start(
        &w,
        Config {
            table_chunk: 1,
            ..dma_default()
        },
    );
    let owned = attached(&iommu);
    let used = w.borrow().used();
    // 1000 pages across a 1 GiB border: 2 + 3 tables.
    let (iova, len) = (0x7ff0_0000, 1000 * PAGE);
    for spare in 0..5 {
        w.borrow_mut().heap_limit = used + spare * 0x1000;
        assert_eq!(
            map(owned.domain(), iova, 0x1000, len, Perm::READ),
            Err(Error::NoMemory)
        );
        assert_eq!(w.borrow().used(), used, "frames back");
        assert!((0..1000).all(|n| owned.domain().translate(Iova(iova + n * 0x1000)).is_none()));
    }
    w.borrow_mut().heap_limit = used + 5 * 0x1000;
    map(owned.domain(), iova, 0x1000, len, Perm::READ).unwrap();
    assert!((0..1000).all(|n| dma(&w, iova + n * 0x1000, Dma::Read) == Ok(0x1000 + n * 0x1000)));
    assert_eq!(iommu.health(), Health::Good);
}

#[test]
fn t45_own_frames_cannot_be_mapped() {
    let w = world();
    let iommu = start(&w, dma_default());
    let owned = attached(&iommu);
    map(owned.domain(), 0x7000, 0x1000, PAGE, Perm::READ).unwrap();
    let live = w.borrow().live.clone();
    for (&base, &bytes) in &live {
        for pa in (base..base + bytes).step_by(PAGE) {
            assert_eq!(
                map(owned.domain(), 0x8000, pa, PAGE, Perm::READ),
                Err(Error::Invalid),
                "{pa:#x}"
            );
        }
        let around = base - 0x1000;
        assert_eq!(
            map(owned.domain(), 0x8000, around, 2 * PAGE, Perm::READ),
            Err(Error::Invalid)
        );
    }
    assert_eq!(
        map(owned.domain(), 0x4000_0000, 0x8000_0000, GIB, Perm::READ),
        Err(Error::Invalid)
    );
    assert!(owned.domain().translate(Iova(0x8000)).is_none());
}

#[test]
fn t46_pte_bits() {
    let w = world();
    let iommu = start(&w, dma_default());
    let owned = attached(&iommu);
    let mut random = Random(46);
    for n in 0..200 {
        let perm = [
            Perm::READ,
            Perm::WRITE,
            Perm::EXEC,
            Perm::READ_WRITE,
            Perm::READ | Perm::EXEC,
        ][n % 5];
        let len = PAGE << random.below(10);
        let iova = random.below(1 << 26) << 12;
        let _ = map(owned.domain(), iova, random.below(1 << 19) << 12, len, perm);
    }
    let all = entries(&w);
    assert!(all.iter().any(|(p, _)| p.w()) && all.iter().any(|(p, _)| p.x() && !p.r()));
    for (pte, _) in all {
        assert!(
            !pte.g(),
            "a global mapping would survive invalidation by PSCID"
        );
        if pte.leaf() {
            assert!(pte.u() && pte.a() && (!pte.w() || pte.r() && pte.d()));
        } else {
            assert!(!pte.u() && !pte.a() && !pte.d());
        }
    }
}

#[test]
fn sizes_are_the_largest_that_fit() {
    let w = world();
    let iommu = start(&w, dma_default());
    let owned = attached(&iommu);
    // From 1 GiB - 2 MiB - 4 KiB: a page, 2 MiB, 1 GiB, 2 MiB, a page.
    let start = (GIB - MIB2 - PAGE) as u64;
    map(
        owned.domain(),
        start,
        0x1_0000_0000 + start,
        2 * PAGE + 2 * MIB2 + GIB,
        Perm::READ_WRITE,
    )
    .unwrap();
    let mut leaves: Vec<_> = entries(&w)
        .iter()
        .filter(|(p, _)| p.leaf())
        .map(|(_, size)| *size)
        .collect();
    leaves.sort_unstable();
    assert_eq!(leaves, [PAGE, PAGE, MIB2, MIB2, GIB]);
    for offset in [
        0,
        PAGE,
        PAGE + MIB2,
        PAGE + MIB2 + GIB - 1,
        PAGE + 2 * MIB2 + GIB,
    ] {
        let iova = start + offset as u64;
        assert_eq!(dma(&w, iova, Dma::Write), Ok(0x1_0000_0000 + iova));
    }
}

#[test]
fn napot_leaves() {
    let w = world();
    let (iommu, log) = traced(
        &w,
        Config {
            napot: true,
            ..dma_default()
        },
    );
    let owned = attached(&iommu);
    map(owned.domain(), 0x3_f000, 0x8_f000, 18 * PAGE, Perm::READ).unwrap();
    let napot = entries(&w).iter().filter(|(p, _)| p.n()).count();
    assert_eq!(napot, 16, "one NAPOT leaf in 16 entries");
    (0..18).for_each(|n| {
        assert_eq!(
            dma(&w, 0x3_f010 + n * 0x1000, Dma::Read),
            Ok(0x8_f010 + n * 0x1000)
        )
    });
    assert_eq!(
        owned.domain().translate(Iova(0x4_2010)),
        Some((PhysAddr(0x9_2010), Perm::READ))
    );
    assert_eq!(
        owned.domain().unmap(Iova(0x4_0000), PAGE),
        Ok(0),
        "part of a leaf"
    );
    log.borrow_mut().clear();
    assert_eq!(
        owned.domain().unmap(Iova(0x3_f000), 17 * PAGE),
        Ok(17 * PAGE)
    );
    assert_eq!(commands(&w, &log).len(), 17 + 1, "every page of the leaf");
    assert!((0..17).all(|n| dma(&w, 0x3_f000 + n * 0x1000, Dma::Read) == Err(13)));
    assert_eq!(dma(&w, 0x5_0000, Dma::Read), Ok(0xa_0000));
}

#[test]
fn deeper_formats() {
    let w = world();
    w.borrow_mut().capabilities |= 0b1100 << 8;
    let iommu = start(&w, dma_default());
    iommu.add_device(DEV.into()).unwrap();
    for mode in [Mode::Sv48, Mode::Sv57] {
        let domain = iommu.paging_domain(DomainConfig { mode }).unwrap();
        let top = mode.aperture_end() - MIB2 as u64;
        map(&domain, top, 0x1_0000_0000, MIB2, Perm::READ).unwrap();
        map(&domain, top - 0x1000, 0x2_0000_0000, PAGE, Perm::READ).unwrap();
        let owned = iommu
            .group(DEV)
            .unwrap()
            .claim(&owner(1))
            .unwrap()
            .attach(domain)
            .unwrap();
        assert_eq!(dma(&w, top + 0x1234, Dma::Read), Ok(0x1_0000_1234));
        assert_eq!(dma(&w, top - 0x1000, Dma::Read), Ok(0x2_0000_0000));
        assert_eq!(
            owned.domain().unmap(Iova(top - 0x1000), PAGE + MIB2),
            Ok(PAGE + MIB2)
        );
        assert_eq!(dma(&w, top, Dma::Read), Err(13));
    }
    drop(iommu);
    assert_eq!(w.borrow().used(), 0);
}

/// Requirement R-49: map needs no invalidation, but emulated IOMMUs learn of it by one (`notify_on_map`).
#[test]
fn r49_notification_of_a_map() {
    for notify_on_map in [false, true] {
        let w = world();
        let config = Config {
            notify_on_map,
            ..dma_default()
        };
        let (iommu, log) = traced(&w, config);
        iommu.add_device(DEV.into()).unwrap();
        let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
        let domain = iommu.paging_domain(DomainConfig::default()).unwrap();
        log.borrow_mut().clear();
        map(&domain, 0x7000, 0x10_0000, 0x2000, Perm::READ).unwrap();
        assert_eq!(commands(&w, &log), [], "nothing leads there");
        let owned = owned.attach(domain).unwrap();
        log.borrow_mut().clear();
        map(owned.domain(), 0xa000, 0x10_0000, 0x2000, Perm::READ).unwrap();
        let page = |iova: u64| (0x1_0000_1401, iova >> 12 << 10);
        let expected = [page(0xa000), page(0xb000), (0x3002, 0)];
        let expected: &[_] = if notify_on_map { &expected } else { &[] };
        assert_eq!(commands(&w, &log), expected);
    }
}
