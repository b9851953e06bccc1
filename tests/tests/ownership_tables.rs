//! Page tables change under devices that hammer exactly those pages, on the cycle-accurate hardware (scenarios T27,
//! T31 to T33, T36, T38, T44, T53).

use portcullis::DefaultDomainType::Blocked;
use portcullis::{Iova, Perm, PhysAddr};
use portcullis_regmap::config::TINY;
use portcullis_sim::core::Access;
use portcullis_tests::ownership::*;
use portcullis_tests::request;

/// An empty domain faults; a map makes the pages reachable without a command; a strict unmap ends that, and the memory
/// is its owner's again when it returns.
#[test]
fn t_31_32_map_and_strict_unmap() {
    let stage = small(&TINY, 31);
    let (iommu, dev) = begin(&stage, driver(Blocked));
    let owned = stage.call("attach", &[dev], BLOCKED, BLOCKED, || empty(&iommu));
    for round in 0..rounds(4) {
        run(&stage, 400);
        let (red, frames) = stage.paint(&format!("red {round}"));
        stage.call("map", &[dev], [BLOCKED, red], [BLOCKED, red], || {
            map_frames(owned.domain(), &frames)
        });
        assert_eq!(bus(&stage, "map"), [""; 0], "a map needs no command");
        // What was judged before the map may still be answered; from now on every page is there.
        stage.call("mapped", &[dev], red, red, || run(&stage, 400));
        assert!(stage.count(dev, red) > 0);
        stage.call("unmap", &[dev], [red, BLOCKED], BLOCKED, || {
            unmap_frames(owned.domain(), &frames)
        });
        stage.give_back(red);
    }
    run(&stage, 400);
    drop(owned);
    end(&stage, iommu);
}

/// The tables of a whole gigabyte go at once: their pages are freed, and nobody reads them any more.
#[test]
fn t_36_unmap_with_tables() {
    let stage = small(&TINY, 36);
    let (iommu, dev) = begin(&stage, driver(Blocked));
    let owned = stage.call("attach", &[dev], BLOCKED, BLOCKED, || empty(&iommu));
    for round in 0..rounds(3) {
        let (red, frames) = stage.paint(&format!("red {round}"));
        stage.call("map", &[dev], [BLOCKED, red], [BLOCKED, red], || {
            map_frames(owned.domain(), &frames)
        });
        run(&stage, 400);
        let start = Iova(frames[0].0 & !0x3fff_ffff);
        stage.call("unmap", &[dev], [red, BLOCKED], BLOCKED, || {
            assert_eq!(
                owned.domain().unmap(start, 1 << 30),
                Ok(frames.len() * PAGE)
            );
        });
        stage.give_back(red);
        run(&stage, 400);
    }
    drop(owned);
    end(&stage, iommu);
}

/// Deferred unmaps issue no command and leave the pages reachable, at most until the flush.
#[test]
fn t_38_deferred_unmap() {
    let stage = small(&TINY, 38);
    let (iommu, dev) = begin(&stage, driver(Blocked));
    let owned = stage.call("attach", &[dev], BLOCKED, BLOCKED, || empty(&iommu));
    let (red, frames) = stage.paint("red");
    stage.call("map", &[dev], [BLOCKED, red], [BLOCKED, red], || {
        map_frames(owned.domain(), &frames)
    });
    run(&stage, 400);
    let either = [red, BLOCKED];
    let pending = stage.call("unmap_deferred", &[dev], either, either, || {
        let all = frames
            .iter()
            .map(|(iova, _)| owned.domain().unmap_deferred(Iova(*iova), PAGE));
        all.map(Result::unwrap).collect::<Vec<_>>()
    });
    assert_eq!(bus(&stage, "unmap_deferred"), [""; 0]);
    run(&stage, 400);
    assert!(pending.iter().all(|unmap| !owned.domain().reusable(unmap)));
    stage.call("flush", &[dev], either, BLOCKED, || {
        owned.domain().flush().unwrap()
    });
    assert_eq!(
        bus(&stage, "flush"),
        ["doorbell", "IOTINVAL.VMA", "IOFENCE.C PR PW"],
        "one for all"
    );
    assert!(pending.iter().all(|unmap| owned.domain().reusable(unmap)));
    stage.give_back(red);
    run(&stage, 400);
    drop(owned);
    end(&stage, iommu);
}

/// Gathered unmaps end with the sync, or when the collection is dropped.
#[test]
fn t_44_53_gather() {
    let stage = small(&TINY, 44);
    let (iommu, dev) = begin(&stage, driver(Blocked));
    let owned = stage.call("attach", &[dev], BLOCKED, BLOCKED, || empty(&iommu));
    for dropped in [false, true] {
        let (red, frames) = stage.paint("red");
        stage.call("map", &[dev], [BLOCKED, red], [BLOCKED, red], || {
            map_frames(owned.domain(), &frames)
        });
        run(&stage, 400);
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
        run(&stage, 400);
    }
    drop(owned);
    // T53: without a second stage no IOTINVAL.GVMA is ever issued.
    for step in stage.steps() {
        assert!(
            !bus(&stage, &step.name).contains(&"IOTINVAL.GVMA"),
            "{}",
            step.name
        );
    }
    end(&stage, iommu);
}

/// An MSI is a write to the doorbell's page: it arrives only where that page is mapped, and not at all while blocked.
#[test]
fn t_27_msi_doorbell() {
    const DOORBELL: u64 = 0x2800_0000;
    let stage = small(&TINY, 27);
    let (iommu, dev) = begin(&stage, driver(Blocked));
    let raise = || {
        let request = request(DEV.0, Access::Write, DOORBELL + 0x40);
        let response = stage.ask(request).expect("no hang").response;
        (!response.fault).then_some(response.pa)
    };
    assert_eq!(raise(), None, "before the device is added");
    let owned = stage.call("attach", &[dev], BLOCKED, BLOCKED, || empty(&iommu));
    assert_eq!(raise(), None, "a domain without the doorbell");
    // SAFETY: nothing but the test uses the page.
    unsafe {
        owned
            .domain()
            .map(Iova(DOORBELL), PhysAddr(DOORBELL), PAGE, Perm::WRITE)
            .unwrap()
    };
    assert_eq!(raise(), Some(DOORBELL + 0x40), "a domain with it");
    let (owned, domain) = owned.detach();
    assert_eq!(raise(), None, "blocked");
    drop((owned, domain));
    end(&stage, iommu);
}
