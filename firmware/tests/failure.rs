//! Failing hardware and failing transports (sections 2.6, 3.10 and 3.11 of the protocol; scenarios T48 to T51).

mod common;

use common::*;
use portcullis::platform::{Event, Faulty};
use portcullis::*;
use portcullis_regmap::command::Op;

const DEV: DeviceId = DeviceId(0x25);
const BYSTANDER: DeviceId = DeviceId(0x26);
const PAGE: usize = 0x1000;

type Attachment<'i, P> = OwnedGroup<'i, P, 16, Attached<PagingDomain<'i, P>>>;

fn attached<P: platform::Platform>(iommu: &Iommu<P>) -> Attachment<'_, P> {
    iommu.add_device(DEV.into()).unwrap();
    let domain = iommu.paging_domain(DomainConfig::default()).unwrap();
    map(&domain, 0x7000, 0x10_0000, 8 * PAGE, Perm::READ_WRITE).unwrap();
    iommu
        .group(DEV)
        .unwrap()
        .claim(&owner(1))
        .unwrap()
        .attach(domain)
        .unwrap()
}

fn dma(w: &Shared, iova: u64) -> Result<u64, u16> {
    w.borrow_mut().dma(DEV.0, iova, Dma::Read)
}

/// A queue reset and what it invalidates: nothing lost before it can matter.
fn blanket(w: &Shared, from: usize) -> bool {
    let executed = &w.borrow().executed[from..];
    let everything = Op::Iotinval {
        gvma: false,
        addr: None,
        pscid: None,
        gscid: None,
        nl: false,
        s: false,
    };
    let fence = |pr, pw| Op::Iofence {
        pr,
        pw,
        wsi: false,
        store: None,
    };
    executed.windows(4).any(|x| {
        x == [
            Op::InvalDdt { did: None },
            fence(false, false),
            everything,
            fence(true, true),
        ]
    })
}

#[test]
fn t48_slow_hardware() {
    let w = world();
    let iommu = start(&w, dma_default());
    iommu.add_device(DEV.into()).unwrap();
    let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    w.borrow_mut().stall = 5000;
    let before = iommu.stats();
    let owned = owned
        .attach(iommu.paging_domain(DomainConfig::default()).unwrap())
        .unwrap();
    assert_eq!(iommu.health(), Health::Good);
    let after = iommu.stats();
    assert_eq!(
        (
            after.fence_waits - before.fence_waits,
            after.fences - before.fences
        ),
        (1, 2)
    );
    assert_eq!(
        (
            after.commands - before.commands,
            after.fence_polls - before.fence_polls
        ),
        (4, 5000)
    );
    assert!((49_000..51_000).contains(&(after.fence_wait_us - before.fence_wait_us)));
    owned.release();
}

#[test]
fn t49_stuck_hardware() {
    let w = world();
    let iommu = start(&w, dma_default());
    let owned = attached(&iommu);
    w.borrow_mut().stall = u64::MAX;
    let begin = w.borrow().now;
    let (owned, domain) = owned.detach();
    let took = w.borrow().now - begin;
    assert_eq!((iommu.health(), w.borrow().mode()), (Health::Closed, 0));
    assert!(
        took <= 3 * 100_000 + 1000,
        "one timeout and two resets: {took} us"
    );
    assert_eq!(dma(&w, 0x7000), Err(256));
    // Off reaches no table: everything may be freed, and memory may still be edited.
    map(&domain, 0x4000_0000, 0x100_0000, PAGE, Perm::READ).unwrap();
    assert_eq!(domain.unmap(Iova(0x7000), PAGE), Ok(PAGE));
    let AttachError {
        guard,
        target,
        error,
    } = owned.attach(domain).expect_err("closed");
    assert_eq!(error, Error::Io);
    drop(target);
    guard.release();
    let group = iommu.group(DEV).unwrap();
    assert_eq!(
        (group.status(), group.claim(&owner(2)).err()),
        (Status::Idle, Some(Error::Io))
    );
    assert_eq!(iommu.add_device(DeviceId(1).into()), Err(Error::Io));
    assert_eq!(iommu.poll(), Err(Error::Io));
    drop(iommu);
    assert_eq!(w.borrow().used(), 0);
}

#[test]
fn t49_fallible_calls_answer_eio() {
    let w = world();
    let iommu = start(&w, dma_default());
    iommu.add_device(DEV.into()).unwrap();
    let domain = iommu.paging_domain(DomainConfig::default()).unwrap();
    w.borrow_mut().stall = u64::MAX;
    let group = iommu.group(DEV).unwrap();
    assert_eq!(group.claim(&owner(1)).err(), Some(Error::Io));
    assert_eq!(
        (group.status(), iommu.health()),
        (Status::Idle, Health::Closed),
        "not owned, and all is off"
    );
    drop(domain);

    let w = world();
    let iommu = start(&w, dma_default());
    iommu.add_device(DEV.into()).unwrap();
    let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    w.borrow_mut().stall = u64::MAX;
    let refused = owned
        .attach(iommu.paging_domain(DomainConfig::default()).unwrap())
        .expect_err("stuck");
    assert_eq!(refused.error, Error::Io);
    assert_eq!(iommu.group(DEV).unwrap().status(), Status::Owned(owner(1)));
}

#[test]
fn t49_unmap_while_closing() {
    let w = world();
    let iommu = start(&w, dma_default());
    let owned = attached(&iommu);
    let later = owned.domain().unmap_deferred(Iova(0x8000), PAGE).unwrap();
    w.borrow_mut().stall = u64::MAX;
    assert_eq!(
        owned.domain().unmap(Iova(0x7000), PAGE),
        Ok(PAGE),
        "Off is a stronger fence"
    );
    assert_eq!(iommu.health(), Health::Closed);
    assert!(owned.domain().reusable(&later));
    owned.domain().flush().unwrap();
}

#[test]
fn t50_wedged_hardware_frees_nothing() {
    let w = world();
    let iommu = start(
        &w,
        Config {
            table_chunk: 1,
            ..dma_default()
        },
    );
    let owned = attached(&iommu);
    map(
        owned.domain(),
        0x4000_0000,
        0x1_0000_1000,
        512 * PAGE,
        Perm::READ,
    )
    .unwrap();
    let later = owned
        .domain()
        .unmap_deferred(Iova(0x4000_0000), 512 * PAGE)
        .unwrap();
    (w.borrow_mut().stall, w.borrow_mut().off_hangs) = (u64::MAX, true);
    let used = w.borrow().used();
    let (owned, domain) = owned.detach();
    assert_eq!((iommu.health(), iommu.isolation()), (Health::Wedged, false));
    assert_eq!(map(&domain, 0, 0, PAGE, Perm::READ), Err(Error::Io));
    assert_eq!(domain.unmap(Iova(0x7000), PAGE), Err(Error::Io));
    assert!(!domain.reusable(&later));
    assert!(iommu.faults().drain(1, |_| ()).is_err());
    drop(domain);
    drop(owned);
    drop(iommu);
    assert_eq!(w.borrow().used(), used, "quarantined");
    assert!(w.borrow().events.contains(&Event::Wedged));
}

#[test]
fn t50_lost_hardware() {
    let w = world();
    let iommu = start(&w, dma_default());
    let owned = attached(&iommu);
    w.borrow_mut().lost = true;
    let begin = w.borrow().now;
    let later = owned.domain().unmap_deferred(Iova(0x8000), PAGE).unwrap();
    assert_eq!(owned.domain().unmap(Iova(0x7000), PAGE), Err(Error::Io));
    assert_eq!(iommu.health(), Health::Wedged);
    assert!(!owned.domain().reusable(&later));
    assert_eq!(w.borrow().now, begin, "given up at once");
}

#[test]
fn t51_fetch_fault_and_illegal_command() {
    for illegal in [false, true] {
        for nth in 0..4 {
            let w = world();
            let iommu = start(&w, dma_default());
            iommu.add_device(DEV.into()).unwrap();
            let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
            let domain = iommu.paging_domain(DomainConfig::default()).unwrap();
            map(&domain, 0x7000, 0x10_0000, PAGE, Perm::READ).unwrap();
            let from = w.borrow().executed.len();
            match illegal {
                true => w.borrow_mut().illegal_in = Some(nth),
                false => w.borrow_mut().fault_in = Some(nth),
            }
            w.borrow_mut().events.clear();
            let begin = w.borrow().now;
            let owned = owned.attach(domain).unwrap();
            assert!(
                w.borrow().now - begin <= 16 * 10,
                "the status is read every 16 polls, not at the timeout"
            );
            assert_eq!(
                (iommu.health(), iommu.stats().queue_resets),
                (Health::Degraded, 1)
            );
            assert!(blanket(&w, from));
            assert_eq!(w.borrow().ipsr & 1, 0);
            let bit = if illegal { 1 << 10 } else { 1 << 8 };
            let culprit =
                |e: &Event| matches!(e, Event::QueueReset { cqcsr, .. } if cqcsr & bit != 0);
            assert!(w.borrow().events.iter().any(culprit));
            assert_eq!(dma(&w, 0x7000), Ok(0x10_0000));
            assert_eq!(owned.domain().unmap(Iova(0x7000), PAGE), Ok(PAGE));
            assert_eq!(dma(&w, 0x7000), Err(13), "works as if nothing had happened");
        }
    }
}

#[test]
fn t51_repeated_errors_end_in_off() {
    let w = world();
    let iommu = start(&w, dma_default());
    let owned = attached(&iommu);
    assert!(dma(&w, 0x7000).is_ok());
    w.borrow_mut().always_illegal = true;
    let (owned, _domain) = owned.detach();
    assert_eq!(
        (iommu.health(), iommu.stats().queue_resets),
        (Health::Closed, 2)
    );
    assert_eq!(dma(&w, 0x7000), Err(256));
    owned.release();
}

#[test]
fn poll_repairs_a_stopped_queue() {
    let w = world();
    let iommu = start(&w, dma_default());
    w.borrow_mut().cqcsr |= 1 << 8;
    iommu.poll().unwrap();
    assert_eq!(
        (iommu.health(), w.borrow().cqcsr),
        (Health::Degraded, 0x1_0003)
    );
}

/// One scripted life, with whatever goes wrong answered by errors and not by panics.
fn script<P: platform::Platform>(
    iommu: &Iommu<P>,
    w: &Shared,
    allowed: impl Fn(&str, u64, Result<u64, u16>),
) {
    let look = |stage| {
        for iova in [0x7000, 0x40_0000] {
            let reached = w.borrow_mut().dma(DEV.0, iova, Dma::Read);
            allowed(stage, iova, reached);
        }
    };
    let Ok(_) = iommu.add_device(DEV.into()) else {
        return;
    };
    let _ = iommu.add_device(BYSTANDER.into());
    let Ok(group) = iommu.group(DEV) else { return };
    look("idle");
    let Ok(owned) = group.claim(&owner(1)) else {
        return look("idle");
    };
    look("owned");
    let Ok(domain) = iommu.paging_domain(DomainConfig::default()) else {
        return;
    };
    let mapped = map(&domain, 0x7000, 0x10_0000, PAGE, Perm::READ).is_ok();
    match owned.attach(domain) {
        Ok(owned) => {
            look("attached");
            let d = owned.domain();
            if map(d, 0x40_0000, 0x20_0000, 3 * PAGE, Perm::READ).is_ok() {
                look("attached");
            }
            let _ = iommu.poll();
            let _ = iommu.faults().drain(4, |_| ());
            let gone = d.unmap(Iova(0x40_0000), PAGE);
            if gone.is_ok() {
                look("unmapped");
            }
            if d.unmap_deferred(Iova(0x40_1000), PAGE)
                .is_ok_and(|later| d.flush().is_ok() && d.reusable(&later))
            {
                assert!(w.borrow_mut().dma(DEV.0, 0x40_1000, Dma::Read).is_err());
            }
            let (owned, domain) = owned.detach();
            look("owned");
            drop(domain);
            owned.release();
            look("idle");
        }
        Err(refused) => {
            look("owned");
            drop(refused);
            look("idle");
        }
    }
    let _ = mapped;
}

fn crash_config() -> Config {
    Config {
        table_chunk: 1,
        command_queue: 8,
        fault_queue: 4,
        ..dma_default()
    }
}

/// The accesses of an undisturbed script by number. Of the stores that zero pages only every 97th is tried: what
/// differs between them is nothing.
fn points<const WIDE: bool>() -> Vec<u64> {
    let w = world();
    let (iommu, log) = traced_as::<WIDE>(&w, crash_config());
    script(&iommu, &w, |_, _, _| ());
    drop(iommu);
    let (mut points, mut number, mut zeroed) = (Vec::new(), 0, 0);
    for op in log.borrow().iter() {
        match op {
            platform::Op::Free(..) | platform::Op::Barrier(_) | platform::Op::Event(_) => continue,
            platform::Op::Store(pa, bytes, 0) if pa.0 == zeroed => zeroed += u64::from(*bytes),
            platform::Op::Store(pa, bytes, 0) => {
                zeroed = pa.0 + u64::from(*bytes);
                points.push(number);
            }
            _ => points.push(number),
        }
        if number % 97 == 0 {
            points.push(number);
        }
        number += 1;
    }
    points.dedup();
    points
}

/// Section 2.6: the N-th access fails, for every N, once or for good. Old, new or blocked; never identity, never a freed
/// table (the model panics), never memory returned while it is reachable.
fn crash_points<const WIDE: bool>(width: u64) {
    let points = points::<WIDE>();
    assert!(points.len() > 300, "{} points", points.len());
    for n in points {
        let w = world();
        let fails = move |call| (n..n.saturating_add(width)).contains(&call);
        let faulty = Faulty::new(Machine::<WIDE>(w.clone()), fails);
        let Ok(iommu) = Iommu::<_, 16>::with_capacity(faulty, crash_config()) else {
            continue;
        };
        script(&iommu, &w, |stage, iova, reached| {
            let ok = match (stage, iova, reached) {
                (_, _, Err(_)) => true,
                ("attached" | "unmapped", 0x7000, Ok(pa)) => pa == 0x10_0000,
                ("attached", 0x40_0000, Ok(pa)) => pa == 0x20_0000,
                // Not even Off could be confirmed: what was reachable may stay so, and nothing of it is freed.
                (_, 0x7000, Ok(0x10_0000)) | (_, 0x40_0000, Ok(0x20_0000)) => {
                    iommu.health() == Health::Wedged
                }
                _ => false,
            };
            assert!(
                ok,
                "access {n} fails, {width} times: {stage} {iova:#x} {reached:?}"
            );
        });
        let (health, used) = (iommu.health(), w.borrow().used());
        assert!(
            width > 1 || health == Health::Good,
            "access {n}: one failure is repeated"
        );
        assert!(
            health != Health::Closed || w.borrow().mode() == 0,
            "closed means off"
        );
        drop(iommu);
        // The last calls are those of the drop itself, which may find the transport dead.
        let (off, kept) = (w.borrow().mode() == 0, w.borrow().used() == used);
        assert!(
            off || kept,
            "access {n}: memory given back while translating"
        );
        assert!(health != Health::Wedged || kept);
    }
}

/// One failure is repeated and does not show, except that an allocation that fails is an allocation that failed.
#[test]
fn crash_points_once() {
    crash_points::<true>(1);
}

#[test]
fn crash_points_twice() {
    crash_points::<true>(2);
    crash_points::<false>(2);
}

#[test]
fn crash_points_burst() {
    crash_points::<true>(9);
}

#[test]
fn crash_points_for_good() {
    crash_points::<true>(u64::MAX);
}
