//! Drivers of the kernel, replacement with and without interruption, types of default domains (sections 2.3, 3.4, 3.5).

mod common;

use common::{Step::*, *};
use portcullis::platform::{Event, Path, Platform};
use portcullis::*;

const DEV: DeviceId = DeviceId(0x25);
/// Commands of a SYNC for device 0x25 in slot 1.
const SYNC: [Step; 4] = [
    Command(0x2502_0000_0003, 0),
    Command(0x2, 0),
    Command(0x1_0000_1001, 0),
    Command(0x3002, 0),
];

type Owned<'i, P> = OwnedGroup<'i, P, 16, Attached<PagingDomain<'i, P>>>;

fn domain<P: Platform>(iommu: &Iommu<P>) -> PagingDomain<'_, P> {
    iommu.paging_domain(DomainConfig::default()).unwrap()
}

/// A domain in which the probe window has a colour of its own.
fn coloured<P: Platform>(iommu: &Iommu<P>, pa: u64) -> PagingDomain<'_, P> {
    let domain = domain(iommu);
    map(&domain, 0x7000, pa, 0x1000, Perm::READ_WRITE).unwrap();
    domain
}

fn owned<P: Platform>(iommu: &Iommu<P>) -> Owned<'_, P> {
    let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    owned.attach(coloured(iommu, 0x10_0000)).unwrap()
}

/// Context of the device in a 1LVL directory.
fn context(w: &Shared) -> u64 {
    (w.borrow().ddtp >> 10 << 12) + 32 * u64::from(DEV.0)
}

fn read(w: &Shared) -> Result<u64, u16> {
    w.borrow_mut().dma(DEV.0, 0x7000, Dma::Read)
}

fn token() -> TrustToken {
    // SAFETY: the device is part of the test.
    unsafe { TrustToken::new() }
}

#[test]
fn t02_claim_of_a_group_in_use() {
    let w = world();
    let (iommu, log) = traced(&w, dma_default());
    iommu.add_device(DEV.into()).unwrap();
    let group = iommu.group(DEV).unwrap();
    let user = group.use_default_domain().unwrap();
    log.borrow_mut().clear();
    assert_eq!(group.claim(&owner(1)).err(), Some(Error::NotPermitted));
    assert_eq!(
        iommu.claim_device(DEV, &owner(1)).err(),
        Some(Error::NotPermitted)
    );
    assert_eq!(bare_steps(&w, &log), []);
    assert_eq!(group.status(), Status::Kernel(1));
    user.unuse();
    group.claim(&owner(1)).unwrap().release();
}

#[test]
fn t05_t06_use_of_an_owned_or_managed_group() {
    let w = world();
    let iommu = start(&w, dma_default());
    iommu.add_device(DEV.into()).unwrap();
    let group = iommu.group(DEV).unwrap();
    let guard = group.claim(&owner(1)).unwrap();
    assert_eq!(group.use_default_domain().err(), Some(Error::Busy));
    let guard = guard.attach(domain(&iommu)).unwrap();
    assert_eq!(group.use_default_domain().err(), Some(Error::Busy));
    guard.release();

    let (first, second) = (
        group.use_default_domain().unwrap(),
        group.use_default_domain().unwrap(),
    );
    assert_eq!(group.status(), Status::Kernel(2));
    let managed = first.attach(coloured(&iommu, 0x10_0000)).unwrap();
    assert_eq!(group.status(), Status::DriverManaged(2));
    assert_eq!(group.use_default_domain().err(), Some(Error::Busy));
    let refused = second.attach(domain(&iommu)).expect_err("a sibling");
    assert_eq!(refused.error, Error::Busy);
    drop(refused);
    assert_eq!(
        (group.status(), read(&w)),
        (Status::DriverManaged(1), Ok(0x10_0000))
    );
    drop(managed);
    assert_eq!((group.status(), read(&w)), (Status::Idle, Err(13)));
}

#[test]
fn t14_driver_with_a_domain_of_its_own() {
    let w = world();
    let (iommu, log) = traced(&w, dma_default());
    iommu.add_device(DEV.into()).unwrap();
    let (group, dc) = (iommu.group(DEV).unwrap(), context(&w));
    let default = w.borrow().load(dc + 24);
    let user = group.use_default_domain().unwrap();
    let mine = coloured(&iommu, 0x10_0000);
    log.borrow_mut().clear();
    let managed = user.attach(mine).unwrap();
    let fsc = w.borrow().load(dc + 24);
    let swap = |fsc| [&[Store(dc + 24, fsc)][..], &SYNC, &[Wait]].concat();
    assert_eq!(bare_steps(&w, &log), swap(fsc), "default to user is SWAP");
    assert_eq!(read(&w), Ok(0x10_0000));
    let (user, mine) = managed.detach();
    assert_eq!(bare_steps(&w, &log), swap(default), "and back");
    assert_eq!((group.status(), read(&w)), (Status::Kernel(1), Err(13)));
    drop(user.attach(mine).unwrap());
    assert_eq!((group.status(), read(&w)), (Status::Idle, Err(13)));
    group.claim(&owner(1)).unwrap().release();
}

/// Dropping the guard frees the domain after the fence.
#[test]
fn t14_dropped_domain_is_out_of_reach() {
    let w = world();
    w.borrow_mut().hammer = vec![(DEV.0, 0x7000)];
    for default_domain in [DefaultDomainType::Blocked, DefaultDomainType::Dma] {
        let config = Config {
            default_domain,
            table_chunk: 1,
            ..Config::default()
        };
        let iommu = start(&w, config);
        iommu.add_device(DEV.into()).unwrap();
        let user = iommu.group(DEV).unwrap().use_default_domain().unwrap();
        w.borrow_mut().reached.clear();
        // The model panics if a walk ever reads a freed table.
        drop(user.attach(coloured(&iommu, 0x10_0000)).unwrap());
        assert_ne!(read(&w), Ok(0x10_0000));
        let allowed = [Ok(0x10_0000), Err(13), Err(258)];
        assert!(w.borrow().reached.iter().all(|r| allowed.contains(r)));
    }
}

/// Row "replace SWAP" of section 3.4, for both widths of stores.
#[test]
fn s34_trace_of_replace_swap() {
    fn swap<const WIDE: bool>() {
        let w = world();
        let (iommu, log) = traced_as::<WIDE>(&w, dma_default());
        iommu.add_device(DEV.into()).unwrap();
        let (guard, next, dc) = (owned(&iommu), coloured(&iommu, 0x20_0000), context(&w));
        assert_eq!(guard.hitless(&next), Ok(()));
        log.borrow_mut().clear();
        let (guard, old) = guard.replace(next).unwrap();
        let mut fsc = w.borrow().load(dc + 24);
        if !WIDE {
            fsc &= 0xffff_ffff;
        }
        let expected = [&[Store(dc + 24, fsc)][..], &SYNC, &[Wait]].concat();
        let mut got = bare_steps(&w, &log);
        if !WIDE {
            // Commands go out in halves; what matters is that the context takes one store.
            assert_eq!(got.remove(0), expected[0]);
            assert!(!got.iter().any(|s| matches!(s, Store(..))));
        } else {
            assert_eq!(got, expected);
        }
        assert_eq!(read(&w), Ok(0x20_0000));
        drop(old);
        assert_eq!(read(&w), Ok(0x20_0000));
        guard.release();
    }
    swap::<true>();
    swap::<false>();
}

/// Rows "replace SLOW" and "release (S5→S1)": eight commands, two waits. A change of format is SLOW.
#[test]
fn t25_s34_trace_of_replace_slow() {
    let w = world();
    w.borrow_mut().capabilities |= 1 << 10;
    let (iommu, log) = traced(&w, dma_default());
    assert!(iommu.limits().capabilities.sv48());
    iommu.add_device(DEV.into()).unwrap();
    let (guard, dc) = (owned(&iommu), context(&w));
    let deep = || {
        let deep = iommu
            .paging_domain(DomainConfig { mode: Mode::Sv48 })
            .unwrap();
        map(&deep, 0x7000, 0x20_0000, 0x1000, Perm::READ).unwrap();
        deep
    };
    let next = deep();
    assert_eq!(guard.hitless(&next), Err(NotHitless::Format));
    log.borrow_mut().clear();
    let AttachError {
        guard,
        target,
        error,
    } = guard.replace_hitless(next).expect_err("not by one store");
    assert_eq!((error, bare_steps(&w, &log)), (Error::NotSupported, vec![]));
    assert_eq!(read(&w), Ok(0x10_0000));
    w.borrow_mut().hammer = vec![(DEV.0, 0x7000)];
    w.borrow_mut().reached.clear();
    log.borrow_mut().clear();
    let (guard, _old) = guard.replace(target).unwrap();
    let fsc = w.borrow().load(dc + 24);
    let allowed = [Ok(0x10_0000), Err(258), Ok(0x20_0000)];
    assert!(w.borrow().reached.iter().all(|r| allowed.contains(r)));
    let steps = bare_steps(&w, &log);
    let stores: Vec<_> = steps.iter().filter(|s| matches!(s, Store(..))).collect();
    assert_eq!(stores.len(), 4, "tc; fsc scrubbed; fsc; tc");
    assert_eq!(
        (stores[0], stores[2], stores[3]),
        (&Store(dc, 0), &Store(dc + 24, fsc), &Store(dc, 1))
    );
    assert_eq!(steps.iter().filter(|s| matches!(s, Command(..))).count(), 8);
    assert_eq!(steps.iter().filter(|s| matches!(s, Wait)).count(), 2);
    assert_eq!(read(&w), Ok(0x20_0000));
    guard.release();
}

/// Ambiguity A4: with 4-byte stores, identity and a paging domain differ in both halves.
#[test]
fn r21_hitless_depends_on_the_width_of_stores() {
    fn to_identity<const WIDE: bool>(expected: Result<(), NotHitless>) {
        let w = world();
        w.borrow_mut().identity_wanted = true;
        let (iommu, _) = traced_as::<WIDE>(&w, dma_default());
        iommu.add_device(DEV.into()).unwrap();
        let (guard, token) = (owned(&iommu), token());
        assert_eq!(guard.hitless(&Identity(&token)), expected);
        let guard = match guard.replace_hitless(Identity(&token)) {
            Ok((guard, _)) => {
                assert!(expected.is_ok());
                guard
            }
            Err(refused) => {
                assert_eq!(
                    (refused.error, read(&w)),
                    (Error::NotSupported, Ok(0x10_0000))
                );
                refused.guard.replace(refused.target).unwrap().0
            }
        };
        assert_eq!(read(&w), Ok(0x7000));
        guard.release();
    }
    to_identity::<true>(Ok(()));
    to_identity::<false>(Err(NotHitless::StoreWidth));
}

/// what is attached already takes neither store nor command. Only identity can be named twice; a paging domain
/// inside a guard cannot be passed in again.
#[test]
fn t09_r14_replace_with_the_current_domain() {
    let w = world();
    let (iommu, log) = traced(&w, dma_default());
    iommu.add_device(DEV.into()).unwrap();
    let token = token();
    let guard = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    let guard = guard.attach(Identity(&token)).unwrap();
    log.borrow_mut().clear();
    let (guard, _) = guard.replace(Identity(&token)).unwrap();
    let (guard, _) = guard.replace_hitless(Identity(&token)).unwrap();
    assert_eq!(bare_steps(&w, &log), []);
    assert_eq!(read(&w), Ok(0x7000));
    guard.release();
}

#[test]
fn t20_ten_thousand_swaps_drop_nothing() {
    let w = world();
    let iommu = start(&w, dma_default());
    iommu.add_device(DEV.into()).unwrap();
    let (mut guard, mut spare) = (owned(&iommu), coloured(&iommu, 0x20_0000));
    let used = w.borrow().used();
    w.borrow_mut().hammer = vec![(DEV.0, 0x7000)];
    for round in 0..10_000 {
        w.borrow_mut().reached.clear();
        (guard, spare) = guard.replace_hitless(spare).unwrap();
        let (old, new) = if round % 2 == 0 {
            (0x10_0000, 0x20_0000)
        } else {
            (0x20_0000, 0x10_0000)
        };
        let colours = |r: &Result<u64, u16>| [Ok(old), Ok(new)].contains(r);
        assert!(w.borrow().reached.iter().all(colours), "round {round}");
        assert_eq!(read(&w), Ok(new));
    }
    assert_eq!(w.borrow().used(), used);
    guard.release();
}

/// T30: hardware that executes what lies between two fences in any order. The fence in the middle of a SYNC keeps a walk
/// that uses the old context from filling the cache behind the IOTINVAL.
#[test]
fn t30_reordered_commands() {
    let w = world();
    w.borrow_mut().reorder = true;
    let config = Config {
        table_chunk: 1,
        ..dma_default()
    };
    let iommu = start(&w, config);
    iommu.add_device(DEV.into()).unwrap();
    let mut guard = owned(&iommu);
    w.borrow_mut().hammer = vec![(DEV.0, 0x7000)];
    for n in 2..50 {
        let (old, new) = ((n - 1) * 0x10_0000, n * 0x10_0000);
        w.borrow_mut().reached.clear();
        let (next, gone) = guard.replace(coloured(&iommu, new)).unwrap();
        drop(gone);
        assert_eq!(read(&w), Ok(new), "round {n}");
        let reached = core::mem::take(&mut w.borrow_mut().reached);
        assert!(
            reached.iter().all(|r| [Ok(old), Ok(new)].contains(r)),
            "{reached:?}"
        );
        guard = next;
    }
}

/// T78, shortened: random transitions neither leak nor take longer as time goes by. `PORTCULLIS_CALLS` sets the number.
#[test]
fn t78_random_transitions_do_not_drift() {
    let calls = std::env::var("PORTCULLIS_CALLS").ok();
    let calls = calls.and_then(|n| n.parse().ok()).unwrap_or(5_000u64);
    let w = world();
    let iommu = start(&w, dma_default());
    iommu.add_device(DEV.into()).unwrap();
    let (mut random, mut costs) = (Random(78), std::collections::BTreeMap::new());
    let mut cost = |name: &'static str, before: u64| {
        let commands = iommu.stats().commands - before;
        let first = *costs.entry(name).or_insert(commands);
        assert_eq!(commands, first, "{name}");
    };
    let now = || iommu.stats().commands;
    let used = w.borrow().used();
    for round in 0..calls {
        let group = iommu.group(DEV).unwrap();
        let before = now();
        let guard = group.claim(&owner(1 + round)).unwrap();
        cost("claim", before);
        let domain = coloured(&iommu, 0x10_0000);
        let before = now();
        let mut guard = guard.attach(domain).unwrap();
        cost("attach", before);
        for _ in 0..random.below(4) {
            let domain = coloured(&iommu, 0x20_0000);
            let before = now();
            guard = guard.replace(domain).unwrap().0;
            cost("replace", before);
        }
        let before = now();
        if random.below(2) == 0 {
            guard.release();
            cost("release attached", before);
        } else {
            let (guard, _domain) = guard.detach();
            cost("detach", before);
            let before = now();
            guard.release();
            cost("release", before);
        }
        assert_eq!(w.borrow().used(), used, "round {round}");
        w.borrow_mut().events.clear();
        w.borrow_mut().executed.clear();
    }
    assert_eq!(costs.into_values().collect::<Vec<_>>(), [4, 4, 4, 4, 8, 4]);
}

#[test]
fn t22_group_of_four_is_replaced() {
    let w = world();
    let iommu = start(&w, dma_default());
    let id = iommu.add_device(DEV.into()).unwrap();
    let others = [1, 2, 3].map(DeviceId);
    for other in others {
        let info = DeviceInfo {
            group: Some(id),
            ..other.into()
        };
        iommu.add_device(info).unwrap();
    }
    let guard = owned(&iommu);
    w.borrow_mut().hammer = [DEV.0, 1, 2, 3].map(|d| (d, 0x7000)).to_vec();
    w.borrow_mut().reached.clear();
    let (guard, _old) = guard.replace(coloured(&iommu, 0x20_0000)).unwrap();
    let allowed = [Ok(0x10_0000), Ok(0x20_0000)];
    assert!(w.borrow().reached.iter().all(|r| allowed.contains(r)));
    for device in [DEV.0, 1, 2, 3] {
        assert_eq!(w.borrow_mut().dma(device, 0x7000, Dma::Read), Ok(0x20_0000));
    }
    guard.release();
}

/// T16 for replacement: nothing changes, everything comes back.
#[test]
fn t16_replace_with_a_stranger() {
    let (w, other) = (world(), world());
    let ((iommu, log), (stranger, other_log)) =
        (traced(&w, dma_default()), traced(&other, dma_default()));
    iommu.add_device(DEV.into()).unwrap();
    let guard = owned(&iommu);
    let foreign = domain(&stranger);
    for log in [&log, &other_log] {
        log.borrow_mut().clear();
    }
    assert_eq!(
        guard.hitless(&foreign),
        Err(NotHitless::Unfit(Error::Invalid))
    );
    let refused = guard.replace(foreign).expect_err("another instance");
    assert_eq!((refused.error, read(&w)), (Error::Invalid, Ok(0x10_0000)));
    assert_eq!(bare_steps(&w, &log), [], "neither store nor command");
    assert_eq!(bare_steps(&other, &other_log), []);
    let again = refused.guard.replace_hitless(refused.target);
    let refused = again.expect_err("another instance");
    assert_eq!((refused.error, read(&w)), (Error::Invalid, Ok(0x10_0000)));
    assert_eq!(bare_steps(&w, &log), []);
    assert!(refused.target.translate(Iova(0x7000)).is_none());
    refused.guard.release();
}

#[test]
fn t41_t42_r61_upgrade_to_deferred_touches_no_hardware() {
    let w = world();
    let log = Log::default();
    let tell = log.clone();
    let trace = platform::Trace::new(Machine::<true>(w.clone()), move |op| {
        tell.borrow_mut().push(op)
    });
    let mut iommu = Iommu::<_, 16>::new(trace, dma_default()).expect("starts");
    let admin = iommu.admin_token();
    iommu.add_device(DEV.into()).unwrap();
    let group = iommu.group(DEV).unwrap();
    let user = group.use_default_domain().unwrap();
    log.borrow_mut().clear();
    let set = |kind| group.set_default_domain_type(kind, &admin);
    assert_eq!(set(DefaultDomainType::DmaFq), Ok(()));
    assert_eq!(bare_steps(&w, &log), []);
    // T42: the way back needs an idle group.
    assert_eq!(set(DefaultDomainType::Dma), Err(Error::NotPermitted));
    assert_eq!(set(DefaultDomainType::DmaFq), Err(Error::NotPermitted));
    user.unuse();
    assert_eq!(set(DefaultDomainType::DmaFq), Ok(()));
    assert_eq!(set(DefaultDomainType::Dma), Ok(()));
    assert_eq!(bare_steps(&w, &log), []);
    let guard = group.claim(&owner(1)).unwrap();
    assert_eq!(set(DefaultDomainType::DmaFq), Ok(()));
    assert_eq!(set(DefaultDomainType::Blocked), Err(Error::NotPermitted));
    guard.release();
}

#[test]
fn r62_change_of_default_domains() {
    let w = world();
    w.borrow_mut().identity_wanted = true;
    let mut iommu = start(&w, dma_default());
    let admin = iommu.admin_token();
    iommu.add_device(DEV.into()).unwrap();
    let group = iommu.group(DEV).unwrap();
    let used = w.borrow().used();
    let kinds = [
        (DefaultDomainType::Identity(token()), Ok(0x7000)),
        (DefaultDomainType::Blocked, Err(258)),
        (DefaultDomainType::Dma, Err(13)),
        (DefaultDomainType::Blocked, Err(258)),
        (DefaultDomainType::DmaFq, Err(13)),
        (DefaultDomainType::Identity(token()), Ok(0x7000)),
        (DefaultDomainType::Dma, Err(13)),
    ];
    for (kind, reached) in kinds {
        assert_eq!(group.set_default_domain_type(kind, &admin), Ok(()));
        assert_eq!(
            (read(&w), group.status()),
            (reached, Status::Idle),
            "{kind:?}"
        );
    }
    assert_eq!(w.borrow().used(), used);
    // T43: without memory nothing changes.
    group
        .set_default_domain_type(DefaultDomainType::Blocked, &admin)
        .unwrap();
    w.borrow_mut().heap_limit = 0;
    let held: Vec<_> =
        core::iter::from_fn(|| iommu.paging_domain(DomainConfig::default()).ok()).collect();
    assert_eq!(
        group.set_default_domain_type(DefaultDomainType::Dma, &admin),
        Err(Error::NoMemory)
    );
    assert_eq!(read(&w), Err(258));
    drop(held);
}

/// Requirement R-27: one event per change, by whatever path, with old and new and the time that its fences took.
#[test]
fn r27_event_of_a_swap() {
    let w = world();
    w.borrow_mut().capabilities |= 1 << 10;
    let iommu = start(&w, dma_default());
    iommu.add_device(DEV.into()).unwrap();
    let (guard, next) = (owned(&iommu), domain(&iommu));
    let mode = Mode::Sv48;
    let deep = iommu.paging_domain(DomainConfig { mode }).unwrap();
    w.borrow_mut().stall = 3;
    w.borrow_mut().events.clear();
    let before = iommu.stats().fence_wait_us;
    let (guard, _old) = guard.replace(next).unwrap();
    let between = iommu.stats().fence_wait_us;
    w.borrow_mut().stall = 3;
    let (guard, _old) = guard.replace(deep).unwrap();
    let after = iommu.stats().fence_wait_us;
    let events = w.borrow().events.clone();
    let changes = events.iter().filter_map(|e| match e {
        Event::Changed(change) => Some(*change),
        _ => None,
    });
    let [swap, slow] = changes.collect::<Vec<_>>()[..] else {
        panic!("one event per change: {events:?}");
    };
    assert_eq!((swap.path, slow.path), (Path::Swap, Path::Slow));
    assert_eq!(
        (swap.group, swap.device, swap.pasid),
        (guard.id(), None, Pasid(0))
    );
    assert!(
        swap.old.is_some() && swap.old != swap.new && swap.new == slow.old && slow.new != slow.old
    );
    assert_eq!(
        (swap.wait_us, slow.wait_us),
        (between - before, after - between)
    );
    assert!(swap.wait_us > 0 && slow.wait_us > 0);
    guard.release();
}

/// Section 2.3, row `replace_hitless`, column S2: a driver leaves its default domain without losing DMA where that is
/// one store, and is refused with nothing changed where it is not.
#[test]
fn s2_replace_hitless_from_the_default_domain() {
    let w = world();
    w.borrow_mut().capabilities |= 1 << 10;
    let (iommu, log) = traced(&w, dma_default());
    iommu.add_device(DEV.into()).unwrap();
    let group = iommu.group(DEV).unwrap();
    let user = group.use_default_domain().unwrap();
    let mode = Mode::Sv48;
    let deep = iommu.paging_domain(DomainConfig { mode }).unwrap();
    let next = domain(&iommu);
    assert_eq!(user.hitless(&deep), Err(NotHitless::Format));
    assert_eq!(user.hitless(&next), Ok(()));
    log.borrow_mut().clear();
    let refused = user.attach_hitless(deep).expect_err("two formats");
    assert_eq!(refused.error, Error::NotSupported);
    assert_eq!(bare_steps(&w, &log), []);
    assert_eq!(group.status(), Status::Kernel(1));
    w.borrow_mut().events.clear();
    let managed = refused.guard.attach_hitless(next).unwrap();
    let swap = |e: &&Event| matches!(e, Event::Changed(c) if c.path == Path::Swap);
    assert_eq!(w.borrow().events.iter().filter(swap).count(), 1);
    assert_eq!(group.status(), Status::DriverManaged(1));
    let (user, _) = managed.detach();
    // A default domain of type Blocked has nothing to keep.
    drop(user);
    let other = start(&world(), Config::default());
    other.add_device(DEV.into()).unwrap();
    let user = other.group(DEV).unwrap().use_default_domain().unwrap();
    let next = other.paging_domain(DomainConfig::default()).unwrap();
    assert_eq!(user.hitless(&next), Err(NotHitless::Blocked));
    let refused = user.attach_hitless(next).expect_err("blocked");
    assert_eq!(refused.error, Error::NotSupported);
}
