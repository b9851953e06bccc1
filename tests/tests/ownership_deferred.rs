//! Deferred flushes and the upgrade to them, under devices that hammer the buffers, on the cycle-accurate hardware
//! (scenarios T38 to T43).

use std::collections::BTreeSet;

use portcullis::DefaultDomainType::{Dma, DmaFq};
use portcullis::{Direction, Error, Iommu, Pending, Status};
use portcullis_regmap::config::TINY;
use portcullis_sim::own::paint::Colour;
use portcullis_sim::own::stage::{Bus, Stage};
use portcullis_tests::ownership::*;

type Waiting<'i> = Vec<Pending<'i, Bus, 16, Buffer>>;

fn unmap_later(buffers: Buffers<'_>) -> Waiting<'_> {
    let queued = buffers.into_iter().map(|b| b.unmap_later());
    queued.map(|b| b.expect("queued")).collect()
}

/// Ends what is queued; the memory is its owner's from then on.
fn take_back(stage: &Stage, dev: usize, colour: Colour, waiting: Waiting<'_>) {
    stage.call("wait", &[dev], [colour, BLOCKED], BLOCKED, || {
        for buffer in waiting {
            buffer.wait().expect("the buffer");
        }
    });
    stage.give_back(colour);
    run(stage, 400);
}

/// Given DMA-FQ with a queue of two; when a third buffer is unmapped; then no command for the first two, one flush
/// before the third, and only the third still waits; the first two are out of reach.
#[test]
fn t_38_40_a_full_queue_flushes_first() {
    let stage = small(&TINY, 40);
    let config = portcullis::Config {
        flush_queue: 2,
        ..driver(DmaFq)
    };
    let (iommu, dev) = begin(&stage, config);
    iommu.add_device(DEV.into()).unwrap();
    let user = iommu.group(DEV).unwrap().use_default_domain().unwrap();
    for round in 0..rounds(3) {
        let (mut buffers, red) = map_buffers(&stage, &user, dev, &format!("red {round}"));
        let last = buffers.pop().expect("three");
        let either = [red, BLOCKED];
        let waiting = stage.call("two", &[dev], either, either, || {
            let waiting = unmap_later(buffers);
            run(&stage, 200);
            waiting
        });
        assert_eq!(bus(&stage, "two"), [""; 0], "no command");
        assert!(waiting.iter().all(|buffer| !buffer.ready()));
        // From now on the device goes to the first two only, whose end the flush must be.
        let _ = stage.with(|_, scene| scene.load.engine_mut(dev).pages.pop());
        let (mut first, pages) = (waiting, last.iova().0);
        run(&stage, 200);
        let third = stage.call("third", &[dev], either, BLOCKED, || {
            last.unmap_later().expect("queued")
        });
        assert_eq!(
            bus(&stage, "third"),
            FLUSH,
            "one flush, before it is queued"
        );
        assert!(first.iter().all(Pending::ready) && !third.ready());
        run(&stage, 200);
        first.push(third);
        stage.with(|_, scene| scene.load.engine_mut(dev).pages.push(pages));
        stage.call("last", &[dev], either, either, || run(&stage, 200));
        take_back(&stage, dev, red, first);
    }
    drop(user);
    end(&stage, iommu);
}

/// Given DMA-FQ with a queue of 64; when 1000 buffers are mapped and unmapped one after the other; then no command but one
/// flush for every 64, and no address is given out again before the flush that followed its unmap.
#[test]
fn t_38_thousand_unmaps() {
    let stage = small(&TINY, 38);
    let config = portcullis::Config {
        flush_queue: 64,
        flush_age_us: u64::MAX,
        ..driver(DmaFq)
    };
    let (iommu, dev) = begin(&stage, config);
    iommu.add_device(DEV.into()).unwrap();
    let user = iommu.group(DEV).unwrap().use_default_domain().unwrap();
    let (buffers, red) = map_buffers(&stage, &user, dev, "red");
    let mut waiting = Vec::new();
    let mut taken = BTreeSet::new();
    let mut flushes = 0;
    stage.call("all", &[dev], red, red, || {
        for n in 0..1000 {
            let buffer = Buffer(0x9000_0000 + n * PAGE as u64);
            let mapped = user.map(buffer, Direction::Both).expect("room");
            let iova = mapped.iova().0;
            assert!(
                taken.insert(iova),
                "unmap {n}: {iova:#x} came back too early"
            );
            let before = iommu.stats().commands;
            waiting.push(mapped.unmap_later().expect("queued"));
            match iommu.stats().commands - before {
                0 => assert!(taken.len() <= 64, "unmap {n}"),
                2 => {
                    flushes += 1;
                    // The flush came before this one was queued.
                    let last = waiting.pop().expect("this one");
                    assert!(waiting.iter().all(Pending::ready) && !last.ready());
                    taken = BTreeSet::from([iova]);
                    waiting = vec![last];
                }
                other => panic!("unmap {n}: {other} commands"),
            }
        }
    });
    let words = bus(&stage, "all");
    assert_eq!(words, FLUSH.repeat(flushes));
    assert_eq!(flushes, 999 / 64, "one for every 64");
    drop((waiting, user));
    stage.call("unmap", &[dev], [red, BLOCKED], BLOCKED, || drop(buffers));
    stage.give_back(red);
    end(&stage, iommu);
}

/// Given DMA-FQ and an unmap; when the clock moves on; then a poll before 10 ms does nothing, and one after it flushes
/// and the buffer is ready. (The age is set to 200 microseconds here, 10,000 cycles.)
#[test]
fn t_39_poll_flushes_what_is_old() {
    let stage = small(&TINY, 39);
    let config = portcullis::Config {
        flush_age_us: 200,
        ..driver(DmaFq)
    };
    let (iommu, dev) = begin(&stage, config);
    iommu.add_device(DEV.into()).unwrap();
    let user = iommu.group(DEV).unwrap().use_default_domain().unwrap();
    let (buffers, red) = map_buffers(&stage, &user, dev, "red");
    let either = [red, BLOCKED];
    let waiting = stage.call("later", &[dev], either, either, || unmap_later(buffers));
    stage.call("early poll", &[dev], either, either, || {
        run(&stage, 2000);
        assert_eq!(iommu.poll().unwrap().flushed, 0);
    });
    assert_eq!(bus(&stage, "early poll"), [""; 0]);
    assert!(waiting.iter().all(|buffer| !buffer.ready()));
    run(&stage, 9000);
    stage.call("poll", &[dev], either, BLOCKED, || {
        assert_eq!(iommu.poll().unwrap().flushed, 1);
    });
    assert_eq!(bus(&stage, "poll"), FLUSH);
    assert!(waiting.iter().all(Pending::ready));
    take_back(&stage, dev, red, waiting);
    drop(user);
    end(&stage, iommu);
}

/// Given a strict default domain with live mappings under load; when its type becomes DMA-FQ; then 0 without a store, a
/// command or a dropped access, in every state; the next unmap is queued. The way back needs that nobody uses the
/// group: EPERM, and after the last use 0.
#[test]
fn t_41_42_upgrade_and_the_way_back() {
    let stage = small(&TINY, 41);
    let mut iommu = stage.start(driver(Dma)).expect("starts");
    let admin = iommu.admin_token();
    let dev = stage.engine(DEV.0, BLOCKED);
    iommu.add_device(DEV.into()).unwrap();
    let group = iommu.group(DEV).unwrap();
    let user = group.use_default_domain().unwrap();
    let (buffers, red) = map_buffers(&stage, &user, dev, "red");
    let set = |kind| group.set_default_domain_type(kind, &admin);
    // Strict: the command comes with the unmap.
    let (more, blue) = {
        stage.with(|_, scene| scene.load.engine_mut(dev).running = false);
        stage.drain().expect("no hang");
        let second = stage.engine(DEV.0, BLOCKED);
        let (more, blue) = map_buffers(&stage, &user, second, "blue");
        let later = [blue, BLOCKED];
        let waiting = stage.call("strict", &[second], later, BLOCKED, || unmap_later(more));
        assert_eq!(bus(&stage, "strict").len(), 3 * FLUSH.len());
        (waiting, blue)
    };
    assert!(more.iter().all(Pending::ready));
    drop(more);
    stage.give_back(blue);
    // The upgrade.
    stage.with(|_, scene| scene.load.engine_mut(dev).running = true);
    run(&stage, 200);
    nothing_changes(&stage, &iommu, "upgrade", &[dev], red, || {
        assert_eq!(set(DmaFq), Ok(()));
    });
    nothing_changes(&stage, &iommu, "back", &[dev], red, || {
        assert_eq!(set(Dma), Err(Error::NotPermitted));
        assert_eq!(set(DmaFq), Err(Error::NotPermitted), "the same again");
    });
    let either = [red, BLOCKED];
    let waiting = stage.call("queued", &[dev], either, either, || {
        let waiting = unmap_later(buffers);
        run(&stage, 200);
        waiting
    });
    assert_eq!(bus(&stage, "queued"), [""; 0]);
    assert!(waiting.iter().all(|buffer| !buffer.ready()));
    // The way back: what is pending is flushed by it.
    user.unuse();
    assert_eq!(group.status(), Status::Idle);
    stage.call("strict again", &[dev], either, BLOCKED, || {
        assert_eq!(set(Dma), Ok(()));
    });
    assert_eq!(bus(&stage, "strict again"), FLUSH);
    assert!(waiting.iter().all(Pending::ready));
    take_back(&stage, dev, red, waiting);
    end(&stage, iommu);
}

/// Given a platform that has no page left; when the type becomes DMA-FQ, and unmaps are queued; then both work, for
/// deferring needs no memory; a device whose default domain cannot be made answers ENOMEM and stays blocked.
#[test]
fn t_43_deferring_without_memory() {
    let stage = small(&TINY, 43);
    let mut iommu: Iommu<Bus> = stage.start(driver(Dma)).expect("starts");
    let admin = iommu.admin_token();
    let dev = stage.engine(DEV.0, BLOCKED);
    let second = stage.engine(SECOND.0, BLOCKED);
    iommu.add_device(DEV.into()).unwrap();
    let group = iommu.group(DEV).unwrap();
    let user = group.use_default_domain().unwrap();
    let (buffers, red) = map_buffers(&stage, &user, dev, "red");
    stage.spare_pages(Some(0));
    nothing_changes(&stage, &iommu, "upgrade", &[dev], red, || {
        assert_eq!(group.set_default_domain_type(DmaFq, &admin), Ok(()));
    });
    nothing_changes(&stage, &iommu, "add", &[second], BLOCKED, || {
        assert_eq!(iommu.add_device(SECOND.into()), Err(Error::NoMemory));
    });
    let either = [red, BLOCKED];
    let held = stage.with(|_, scene| scene.monitor.footprint().pages);
    let waiting = stage.call("later", &[dev], either, either, || unmap_later(buffers));
    assert_eq!(bus(&stage, "later"), [""; 0]);
    assert_eq!(stage.with(|_, scene| scene.monitor.footprint().pages), held);
    take_back(&stage, dev, red, waiting);
    stage.spare_pages(None);
    assert!(iommu.add_device(SECOND.into()).is_ok());
    drop(user);
    end(&stage, iommu);
}
