//! What maps and unmaps must refuse, keep whole, and never encode, while devices hammer exactly those pages, on the
//! cycle-accurate hardware (scenarios T33 to T35, T37, T45, T46).

use portcullis::DefaultDomainType::Blocked;
use portcullis::{Error, Health, Iova, Mode, Perm};
use portcullis_regmap::config::{LINUX, TINY};
use portcullis_regmap::pte::Pte;
use portcullis_sim::core::Access;
use portcullis_sim::own::paint::Colour;
use portcullis_sim::own::stage::Stage;
use portcullis_tests::ownership::*;
use portcullis_tests::request;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

const MIB2: usize = 2 << 20;
const GIB: usize = 1 << 30;
/// Where a large page is mapped.
const LARGE: u64 = 0x4000_0000;

/// Frames of a new colour, seen through one leaf of 2 MiB at [`LARGE`]: the engine goes there from now on. Answers the
/// colour, the memory that the leaf maps, and the IOVAs of the pages in it.
fn large_page(stage: &Stage, engine: usize, name: &str) -> (Colour, u64, Vec<u64>) {
    let (colour, frames) = stage.paint(name);
    let base = frames[0].1 & !(MIB2 as u64 - 1);
    let pages: Vec<u64> = frames.iter().map(|(_, pa)| LARGE + (pa - base)).collect();
    stage.with(|_, scene| {
        for (iova, (_, pa)) in pages.iter().zip(&frames) {
            scene.load.palette.move_to(*iova, *pa);
        }
        scene.load.engine_mut(engine).pages.clone_from(&pages);
    });
    // What was on its way to the pages before.
    run(stage, 200);
    (colour, base, pages)
}

/// Given a leaf of 2 MiB under load; when a page in its middle is unmapped; then 0 bytes, and nothing changes; when the
/// whole is; then its size, and nothing of it is reached any more.
#[test]
fn t_33_superpage_whole_or_not_at_all() {
    for (config, seed) in [(&TINY, 33), (&LINUX, 34)] {
        with_empty_domain(config, seed, |stage, iommu, dev, owned| {
            for round in 0..2 {
                let (red, base, pages) = large_page(stage, dev, &format!("red {round}"));
                stage.call("map", &[dev], [BLOCKED, red], [BLOCKED, red], || {
                    map(owned.domain(), LARGE, base, MIB2, Perm::READ_WRITE).unwrap()
                });
                stage.call("mapped", &[dev], [BLOCKED, red], red, || run(stage, 400));
                // Pages that are hammered, that are not, and a range that holds all but the last page.
                for (iova, bytes) in [
                    (pages[0], PAGE),
                    (LARGE + 0x10_0000, 8 * PAGE),
                    (LARGE, MIB2 - PAGE),
                ] {
                    nothing_changes(stage, iommu, "unmap a part", &[dev], red, || {
                        assert_eq!(owned.domain().unmap(Iova(iova), bytes), Ok(0));
                    });
                }
                stage.call("unmap", &[dev], [red, BLOCKED], BLOCKED, || {
                    assert_eq!(owned.domain().unmap(Iova(LARGE), MIB2), Ok(MIB2));
                });
                stage.give_back(red);
                run(stage, 400);
            }
        });
    }
}

/// Given pages and a leaf of 2 MiB under load; when something is mapped over them, over a part, or across; then
/// EADDRINUSE before the first store, and the old mapping is not disturbed for a cycle.
#[test]
fn t_34_map_over_something() {
    with_empty_domain(&TINY, 34, |stage, iommu, dev, owned| {
        let second = stage.engine(DEV.0, BLOCKED);
        let both = [dev, second];
        let (red, base, _) = large_page(stage, second, "red");
        stage.call("map", &[second], [BLOCKED, red], [BLOCKED, red], || {
            map(owned.domain(), LARGE, base, MIB2, Perm::READ_WRITE).unwrap()
        });
        let (blue, frames) = map_window(stage, &owned, dev, "blue");
        let (other, elsewhere) = stage.paint("green");
        let pa = elsewhere[2].1;
        for (iova, bytes) in [
            (frames[0].0, PAGE),
            (frames[1].0 - PAGE as u64, 3 * PAGE),
            (LARGE, PAGE),
            (LARGE, MIB2),
            (LARGE - PAGE as u64, 2 * PAGE),
            (LARGE + (MIB2 - PAGE) as u64, 2 * PAGE),
            (0, 4 * GIB),
        ] {
            nothing_changes(stage, iommu, "map over", &both, [red, blue], || {
                let refused = map(owned.domain(), iova, pa & !0xfff, bytes, Perm::READ);
                assert_eq!(refused, Err(Error::AddressInUse), "{iova:#x} {bytes:#x}");
            });
        }
        assert_eq!(stage.count(second, other) + stage.count(dev, other), 0);
        stage.call("drop", &both, [red, blue, BLOCKED], BLOCKED, || drop(owned));
        stage.give_back(red);
        stage.give_back(blue);
        run(stage, 400);
    });
}

/// Given a domain in use; when a range wraps, leaves the aperture, is misaligned, empty or without permission; then
/// EOVERFLOW, ERANGE and EINVAL, and nothing changes.
#[test]
fn t_35_bad_ranges() {
    with_empty_domain(&TINY, 35, |stage, iommu, dev, owned| {
        let (red, frames) = map_window(stage, &owned, dev, "red");
        let end_of_domain = Mode::Sv39.aperture_end();
        let last = u64::MAX - 0xfff;
        let cases = [
            (last, 0, 2 * PAGE, Perm::READ, Error::Overflow),
            (0, last, 2 * PAGE, Perm::READ, Error::Overflow),
            (end_of_domain, 0, PAGE, Perm::READ, Error::OutOfRange),
            (
                end_of_domain - 0x1000,
                0,
                2 * PAGE,
                Perm::READ,
                Error::OutOfRange,
            ),
            (0, 1 << 56, PAGE, Perm::READ, Error::OutOfRange),
            (0x123, 0x1000, PAGE, Perm::READ, Error::Invalid),
            (0x1000, 0x123, PAGE, Perm::READ, Error::Invalid),
            (0x1000, 0x1000, 0x123, Perm::READ, Error::Invalid),
            (0x1000, 0x1000, 0, Perm::READ, Error::Invalid),
            (0x1000, 0x1000, PAGE, Perm::NONE, Error::Invalid),
        ];
        nothing_changes(stage, iommu, "maps", &[dev], red, || {
            for (iova, pa, bytes, perm, error) in cases {
                let refused = map(owned.domain(), iova, pa, bytes, perm);
                assert_eq!(refused, Err(error), "{iova:#x} {pa:#x} {bytes:#x}");
            }
        });
        nothing_changes(stage, iommu, "unmaps", &[dev], red, || {
            let unmap = |iova, bytes| owned.domain().unmap(Iova(iova), bytes);
            assert_eq!(unmap(last, 2 * PAGE), Err(Error::Overflow));
            assert_eq!(unmap(end_of_domain, PAGE), Err(Error::OutOfRange));
            assert_eq!(unmap(1, PAGE), Err(Error::Invalid));
            assert_eq!(unmap(frames[0].0, 0), Err(Error::Invalid));
        });
        stage.call("drop", &[dev], [red, BLOCKED], BLOCKED, || drop(owned));
    });
}

/// Given 1000 pages to map and a platform that runs out of memory for tables on the way; then ENOMEM, no page of them is
/// reached, the frames are back, and what was mapped before works; with one page more to spare, all are there.
#[test]
fn t_37_out_of_memory_on_the_way() {
    with_empty_domain(&TINY, 37, |stage, iommu, dev, owned| {
        let (red, _) = map_window(stage, &owned, dev, "red");
        let second = stage.engine(DEV.0, BLOCKED);
        let both = [dev, second];
        // Across a border of 1 GiB, and not aligned alike: two upper tables and three of pages. The second engine goes there.
        let (iova, bytes) = (0x7fef_f000u64, 1000 * PAGE);
        let (green, elsewhere) = stage.paint("green");
        let first = elsewhere.iter().map(|(_, pa)| *pa).min().expect("frames");
        let pages: Vec<u64> = elsewhere
            .iter()
            .map(|(_, pa)| iova + (pa - first))
            .collect();
        stage.with(|_, scene| {
            for (iova, (_, pa)) in pages.iter().zip(&elsewhere) {
                scene.load.palette.move_to(*iova, *pa);
            }
            scene.load.engine_mut(second).pages.clone_from(&pages);
        });
        run(stage, 200);
        let domain = owned.domain();
        let before = held(stage);
        for spare in 0..5 {
            stage.spare_pages(Some(spare));
            stage.call("map", &[second], BLOCKED, BLOCKED, || {
                run(stage, 100);
                let refused = map(domain, iova, first, bytes, Perm::READ_WRITE);
                assert_eq!(refused, Err(Error::NoMemory), "{spare} pages to spare");
                run(stage, 100);
            });
            assert_eq!(held(stage), before, "frames back");
            let mapped = (0..1000).filter(|n| domain.translate(Iova(iova + n * 0x1000)).is_some());
            assert_eq!(mapped.count(), 0);
        }
        stage.spare_pages(Some(5));
        stage.call(
            "map all",
            &[second],
            [BLOCKED, green],
            [BLOCKED, green],
            || map(domain, iova, first, bytes, Perm::READ_WRITE).unwrap(),
        );
        stage.call("mapped", &[second], [BLOCKED, green], green, || {
            run(stage, 400)
        });
        assert!(stage.count(second, green) > 0);
        assert_eq!((held(stage), iommu.health()), (before + 5, Health::Good));
        stage.call("drop", &both, [red, green, BLOCKED], BLOCKED, || {
            drop(owned)
        });
    });
}

/// Given every page that the driver holds: directory, queues, tables; when it is mapped, alone or with its neighbours;
/// then EINVAL, and a device that hammers the IOVA reaches nothing, least of all the IOMMU's own memory.
#[test]
fn t_45_frames_of_the_iommu() {
    with_empty_domain(&TINY, 45, |stage, iommu, dev, owned| {
        let own: Vec<u64> = stage.with(|_, scene| scene.monitor.pages_taken().collect());
        assert!(own.len() > 8, "{own:?}");
        let iova = 0x3000_0000;
        stage.with(|_, scene| scene.load.engine_mut(dev).pages = vec![iova, iova + PAGE as u64]);
        nothing_changes(stage, iommu, "map", &[dev], BLOCKED, || {
            for page in &own {
                let pa = page * PAGE as u64;
                for (pa, bytes) in [(pa, PAGE), (pa - PAGE as u64, 2 * PAGE)] {
                    let refused = map(owned.domain(), iova, pa, bytes, Perm::READ_WRITE);
                    assert_eq!(refused, Err(Error::Invalid), "{pa:#x}");
                }
            }
            let around = (own[0] * PAGE as u64) & !(GIB as u64 - 1);
            let refused = map(owned.domain(), LARGE, around, GIB, Perm::READ);
            assert_eq!(refused, Err(Error::Invalid));
        });
    });
}

/// Every entry of the tables below a root, with its level.
fn entries(stage: &Stage, root: u64, level: u8, found: &mut Vec<Pte>) {
    let words: Vec<u64> = stage.with(|harness, _| {
        let memory = harness.memory();
        (0..512).map(|n| memory.load64(root + 8 * n)).collect()
    });
    for pte in words.into_iter().map(Pte::from_bits).filter(Pte::v) {
        found.push(pte);
        if !pte.leaf() {
            assert!(level > 0, "a pointer at the last level");
            entries(stage, pte.ppn() << 12, level - 1, found);
        }
    }
}

/// Given random mappings of all sizes and permissions; then no entry is global, each is a user's and accessed, what may
/// be written may be read and is dirty; and the hardware, which has them cached, lets exactly what they say happen, and
/// nothing after they were unmapped.
#[test]
fn t_46_bits_of_entries() {
    let stage = small(&TINY, 46);
    let config = portcullis::Config {
        table_chunk: 64,
        ..driver(Blocked)
    };
    let (iommu, dev) = begin(&stage, config);
    // The device asks page by page here.
    stage.with(|_, scene| scene.load.engine_mut(dev).running = false);
    let owned = empty(&iommu);
    let mut rng = ChaCha8Rng::seed_from_u64(46);
    let mut below = |n: u64| u64::from(rng.next_u32()) % n;
    let perms = [
        Perm::READ,
        Perm::WRITE,
        Perm::EXEC,
        Perm::READ_WRITE,
        Perm::READ | Perm::EXEC,
        Perm::READ_WRITE | Perm::EXEC,
    ];
    let mut mapped = Vec::new();
    for n in 0..36 {
        let (perm, bytes) = (perms[n % perms.len()], PAGE << below(11));
        let iova = below(1 << 25) << 12;
        // Sometimes aligned alike, so that large pages fit.
        let skew = if n % 3 == 0 { 0 } else { below(1 << 9) << 12 };
        let pa = 0x8000_0000 + (iova & 0xfff_ffff) + skew;
        if map(owned.domain(), iova, pa, bytes, perm).is_ok() {
            mapped.push((iova, pa, bytes, perm));
        }
    }
    assert!(mapped.len() > 30, "{}", mapped.len());
    let fsc = stage.with(|harness, scene| scene.monitor.context(DEV.0, harness.memory()));
    let root = (fsc.expect("a context")[3] & ((1 << 44) - 1)) << 12;
    let mut all = Vec::new();
    entries(&stage, root, 2, &mut all);
    let leaves: Vec<&Pte> = all.iter().filter(|pte| pte.leaf()).collect();
    assert!(leaves.len() > mapped.len());
    for pte in &all {
        assert!(
            !pte.g(),
            "a global entry would survive an invalidation by PSCID"
        );
        if pte.leaf() {
            assert!(
                pte.u() && pte.a() && (!pte.w() || pte.r() && pte.d()),
                "{pte:?}"
            );
        } else {
            assert!(!pte.u() && !pte.a() && !pte.d(), "{pte:?}");
        }
    }
    let ask = |access, iova| {
        let response = stage
            .ask(request(DEV.0, access, iova))
            .expect("no hang")
            .response;
        (!response.fault).then_some(response.pa)
    };
    let probe = |gone: bool| {
        for (iova, pa, bytes, perm) in &mapped {
            for at in [0x18, *bytes as u64 - 8] {
                // What may be written may be read.
                let may = [
                    (
                        Access::Read,
                        perm.contains(Perm::READ) || perm.contains(Perm::WRITE),
                    ),
                    (Access::Write, perm.contains(Perm::WRITE)),
                    (Access::Exec, perm.contains(Perm::EXEC)),
                ];
                for (access, allowed) in may {
                    let expected = (allowed && !gone).then_some(pa + at);
                    assert_eq!(
                        ask(access, iova + at),
                        expected,
                        "{access:?} {iova:#x} + {at:#x}"
                    );
                }
            }
        }
    };
    probe(false);
    for (iova, _, bytes, _) in &mapped {
        assert_eq!(owned.domain().unmap(Iova(*iova), *bytes), Ok(*bytes));
    }
    probe(true);
    drop(owned);
    end(&stage, iommu);
}
