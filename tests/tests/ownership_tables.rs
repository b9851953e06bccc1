//! Page tables change under devices that hammer exactly those pages, on the cycle-accurate hardware (scenarios T27,
//! T31, T32, T36, T38, T44).

use portcullis::DefaultDomainType::Dma;
use portcullis::{Direction, Doorbell, Iova, Perm, PhysAddr};
use portcullis_regmap::config::{LINUX, TINY};
use portcullis_sim::own::stage::Stage;
use portcullis_tests::ownership::*;

/// An empty domain faults; a map makes the pages reachable without a command; a strict unmap ends that, and the memory
/// is its owner's again when it returns.
#[test]
fn t_31_32_map_and_strict_unmap() {
    with_empty_domain(&TINY, 31, |stage, _, dev, owned| {
        for round in 0..rounds(4) {
            let refused = stage.count(dev, BLOCKED);
            run(stage, 400);
            assert!(stage.count(dev, BLOCKED) > refused);
            let (red, frames) = map_window(stage, &owned, dev, &format!("red {round}"));
            assert_eq!(bus(stage, "map"), [""; 0], "a map needs no command");
            stage.call("unmap", &[dev], [red, BLOCKED], BLOCKED, || {
                unmap_frames(owned.domain(), &frames)
            });
            stage.give_back(red);
        }
        run(stage, 400);
    });
}

/// Given pages of 4 KiB that cover 2 MiB, hammered; when all are unmapped; then their table is freed, after an
/// invalidation that reaches entries above leaves, and nobody reads it any more; when a leaf of 2 MiB is mapped in its
/// place; then it is reached, and no access sees anything of before. So it is with the tables of a whole gigabyte.
#[test]
fn t_36_unmap_with_tables() {
    const MIB2: u64 = 2 << 20;
    // Where 2 MiB are, and the memory that one leaf maps there.
    const LARGE: u64 = 0x4000_0000;
    for config in [&TINY, &LINUX] {
        with_empty_domain(config, 36, |stage, _, dev, owned| {
            let domain = owned.domain();
            for round in 0..rounds(2) {
                // Memory that is not aligned as the addresses are, so that no leaf of 2 MiB fits: the engine's pages go to
                // red, the others to memory that nobody looks at.
                let (red, frames) = stage.paint(&format!("red {round}"));
                let pages: Vec<u64> = (0..)
                    .map(|n| LARGE + n * 0x4_1000)
                    .take(frames.len())
                    .collect();
                aim(stage, dev, &pages, &frames);
                let before = held(stage);
                stage.call("map", &[dev], [BLOCKED, red], [BLOCKED, red], || {
                    for at in (LARGE..LARGE + MIB2).step_by(PAGE) {
                        let painted = pages.iter().position(|page| *page == at);
                        let pa = painted.map_or(0x9000_0000 + 0x1000 + at - LARGE, |n| frames[n].1);
                        map(domain, at, pa, PAGE, Perm::READ_WRITE).expect("mapped");
                    }
                });
                stage.call("settle", &[dev], [BLOCKED, red], red, || run(stage, 300));
                stage.call("mapped", &[dev], red, red, || run(stage, 300));
                let with_table = held(stage);
                assert!(with_table > before, "a table for the pages");
                stage.call("unmap", &[dev], [red, BLOCKED], BLOCKED, || {
                    assert_eq!(domain.unmap(Iova(LARGE), MIB2 as usize), Ok(MIB2 as usize));
                });
                // All of the slot, with tables: no address.
                assert_eq!(bus(stage, "unmap"), FLUSH);
                assert!(held(stage) < with_table, "the table is freed");
                stage.give_back(red);
                // One leaf in the place of the table.
                let (blue, frames) = stage.paint(&format!("blue {round}"));
                let base = frames[0].1 & !(MIB2 - 1);
                let pages: Vec<u64> = frames.iter().map(|(_, pa)| LARGE + (pa - base)).collect();
                aim(stage, dev, &pages, &frames);
                run(stage, 200);
                stage.call("leaf", &[dev], [BLOCKED, blue], [BLOCKED, blue], || {
                    map(domain, LARGE, base, MIB2 as usize, Perm::READ_WRITE).expect("mapped");
                });
                assert_eq!(bus(stage, "leaf"), [""; 0]);
                stage.call("settle", &[dev], [BLOCKED, blue], blue, || run(stage, 300));
                stage.call("mapped", &[dev], blue, blue, || run(stage, 300));
                assert!(stage.count(dev, red) > 0 && stage.count(dev, blue) > 0);
                stage.call("unmap", &[dev], [blue, BLOCKED], BLOCKED, || {
                    assert_eq!(domain.unmap(Iova(LARGE), 1 << 30), Ok(MIB2 as usize));
                });
                stage.give_back(blue);
                run(stage, 300);
            }
        });
    }
}

/// Lets the engine go to `pages`, which lead to `frames`.
fn aim(stage: &Stage, dev: usize, pages: &[u64], frames: &[(u64, u64)]) {
    stage.with(|_, scene| {
        for (iova, (_, pa)) in pages.iter().zip(frames) {
            scene.load.palette.move_to(*iova, *pa);
        }
        scene.load.engine_mut(dev).pages = pages.to_vec();
    });
    // What was on its way to the pages before.
    run(stage, 200);
}

/// Deferred unmaps issue no command and leave the pages reachable, at most until the flush.
#[test]
fn t_38_deferred_unmap() {
    with_empty_domain(&TINY, 38, |stage, _, dev, owned| {
        let (red, frames) = map_window(stage, &owned, dev, "red");
        let either = [red, BLOCKED];
        let pending = stage.call("unmap_deferred", &[dev], either, either, || {
            let all = frames
                .iter()
                .map(|(iova, _)| owned.domain().unmap_deferred(Iova(*iova), PAGE));
            all.map(Result::unwrap).collect::<Vec<_>>()
        });
        assert_eq!(bus(stage, "unmap_deferred"), [""; 0]);
        run(stage, 400);
        assert!(pending.iter().all(|unmap| !owned.domain().reusable(unmap)));
        stage.call("flush", &[dev], either, BLOCKED, || {
            owned.domain().flush().unwrap()
        });
        assert_eq!(bus(stage, "flush"), FLUSH, "one for all");
        assert!(pending.iter().all(|unmap| owned.domain().reusable(unmap)));
        stage.give_back(red);
        run(stage, 400);
    });
}

/// Gathered unmaps end with the sync, or when the collection is dropped.
#[test]
fn t_44_gather() {
    with_empty_domain(&TINY, 44, |stage, _, dev, owned| {
        for dropped in [false, true] {
            let (red, frames) = map_window(stage, &owned, dev, "red");
            stage.call("gather", &[dev], [red, BLOCKED], BLOCKED, || {
                let mut gather = owned.domain().gather();
                for (iova, _) in &frames {
                    owned
                        .domain()
                        .unmap_gather(Iova(*iova), PAGE, &mut gather)
                        .unwrap();
                }
                match dropped {
                    true => drop(gather),
                    false => gather.sync().unwrap(),
                }
            });
            stage.give_back(red);
            run(stage, 400);
        }
    });
}

/// Given a doorbell page, and a device that raises MSIs without a pause; when a driver has mapped it in its default domain
/// (S2); then they arrive there; when the group is claimed (S4); then not one; when a domain is attached (S5); then only
/// from when it maps the page, until it does no more; after the release they arrive again.
#[test]
fn t_27_msi_doorbell() {
    for config in [&TINY, &LINUX] {
        let stage = small(config, 27);
        let (iommu, dev) = begin(&stage, driver(Dma));
        stage.call("add", &[dev], BLOCKED, BLOCKED, || {
            iommu.add_device(DEV.into()).unwrap()
        });
        let group = iommu.group(DEV).unwrap();
        let user = group.use_default_domain().unwrap();
        let (msi, frames) = stage.paint("the doorbell");
        let doorbell = frames[0].1;
        // SAFETY: nothing but the test uses the page.
        let page = unsafe { Doorbell::new(PhysAddr(doorbell)) };
        let mapped = user.map(page, Direction::FromDevice).expect("room");
        let iova = mapped.iova().0;
        let either = [BLOCKED, msi];
        stage.with(|_, scene| scene.load.engine_mut(dev).habits.writes = 255);
        stage.call("aim", &[dev], either, either, || {
            aim(&stage, dev, &[iova], &frames[..1])
        });
        let delivered = || {
            let before = stage.count(dev, msi);
            stage.call("settle", &[dev], either, msi, || run(&stage, 200));
            stage.call("delivered", &[dev], msi, msi, || run(&stage, 300));
            assert!(stage.count(dev, msi) > before);
            // Stamps of the device lie in the page.
            let word = |harness: &portcullis_sim::harness::Harness, n: u64| {
                harness.memory().load64(doorbell + 8 * n) >> 56
            };
            let stamps = stage.with(|h, _| (0..512).filter(|n| word(h, *n) == 0x57).count());
            assert!(stamps > 0);
        };
        let blocked = |when| {
            let before = [msi, BLOCKED].map(|colour| stage.count(dev, colour));
            stage.call(when, &[dev], BLOCKED, BLOCKED, || run(&stage, 300));
            assert_eq!(stage.count(dev, msi), before[0], "{when}");
            assert!(stage.count(dev, BLOCKED) > before[1], "{when}");
        };
        delivered();
        user.unuse();
        let owned = stage.call("claim", &[dev], either, BLOCKED, || {
            group.claim(&owner(1)).unwrap()
        });
        blocked("owned");
        let domain = iommu.paging_domain(Default::default()).unwrap();
        let owned = stage.call("attach", &[dev], BLOCKED, BLOCKED, || {
            owned.attach(domain).unwrap()
        });
        blocked("a domain without it");
        stage.call("map", &[dev], either, either, || {
            map(owned.domain(), iova, doorbell, PAGE, Perm::WRITE).unwrap()
        });
        delivered();
        stage.call("unmap", &[dev], either, BLOCKED, || {
            assert_eq!(owned.domain().unmap(Iova(iova), PAGE), Ok(PAGE))
        });
        blocked("unmapped");
        stage.call("release", &[dev], either, msi, || owned.release());
        delivered();
        stage.call("the driver unmaps", &[dev], either, BLOCKED, || {
            mapped.unmap().expect("the page")
        });
        blocked("unmapped by the driver");
        end(&stage, iommu);
    }
}
