//! Domains that several groups are attached to (scenario T24), and nested ones.

mod common;

use common::*;
use portcullis::platform::{Op, Platform};
use portcullis::*;

const DEV: DeviceId = DeviceId(3);
const OTHER: DeviceId = DeviceId(4);

/// T24: two groups share a domain; one detaches while both hammer, and the other notices nothing.
#[test]
fn t24_shared_domain() {
    let w = world();
    let iommu = start(
        &w,
        Config {
            table_chunk: 1,
            ..dma_default()
        },
    );
    iommu.add_device(DEV.into()).unwrap();
    iommu.add_device(OTHER.into()).unwrap();
    let used = w.borrow().used();
    let shared = coloured(&iommu, 0x10_0000).into_shared().unwrap();
    let attach = |id, n| {
        let guard = iommu.group(id).unwrap().claim(&owner(n)).unwrap();
        guard.attach(shared.clone()).unwrap()
    };
    let (one, two) = (attach(DEV, 1), attach(OTHER, 2));
    assert_eq!(
        [DEV, OTHER].map(|d| read(&w, d, 0x7000)),
        [Ok(0x10_0000); 2]
    );
    // An unmap reaches both, with one fence.
    map(&shared, 0x9000, 0x30_0000, 0x1000, Perm::READ).unwrap();
    assert_eq!(
        [DEV, OTHER].map(|d| read(&w, d, 0x9000)),
        [Ok(0x30_0000); 2]
    );
    let before = iommu.stats();
    shared.unmap(Iova(0x9000), 0x1000).unwrap();
    let after = iommu.stats();
    assert_eq!(
        (
            after.commands - before.commands,
            after.fence_waits - before.fence_waits
        ),
        (3, 1)
    );
    assert_eq!([DEV, OTHER].map(|d| read(&w, d, 0x9000)), [Err(13); 2]);
    // A deferred one is over when both slots are purged.
    map(&shared, 0x9000, 0x30_0000, 0x1000, Perm::READ).unwrap();
    assert!([DEV, OTHER].iter().all(|d| read(&w, *d, 0x9000).is_ok()));
    let later = shared.unmap_deferred(Iova(0x9000), 0x1000).unwrap();
    w.borrow_mut().hammer = vec![(OTHER.0, 0x7000)];
    w.borrow_mut().reached.clear();
    let (one, clone) = one.detach();
    assert!(
        !shared.reusable(&later),
        "the other may still have it cached"
    );
    drop(clone);
    assert_eq!(w.borrow().reached, [Ok(0x10_0000)], "undisturbed");
    shared.flush().unwrap();
    assert!(shared.reusable(&later));
    assert_eq!(read(&w, OTHER, 0x9000), Err(13));
    w.borrow_mut().hammer.clear();
    // The tables go with the last clone.
    drop(shared);
    assert_eq!(read(&w, OTHER, 0x7000), Ok(0x10_0000));
    let (two, last) = two.detach();
    assert!(w.borrow().used() > used);
    drop(last);
    assert_eq!(w.borrow().used(), used);
    drop((one, two));
}

#[test]
fn shared_domains_have_room_and_forgetting_leaks() {
    let w = world();
    let iommu = Iommu::<_, 1>::with_capacity(Machine::<true>(w.clone()), dma_default()).unwrap();
    let domain = || iommu.paging_domain(DomainConfig::default()).unwrap();
    let shared = domain().into_shared().unwrap();
    let (back, error) = domain().into_shared().expect_err("full");
    assert_eq!(error, Error::NoSpace);
    drop(back);
    core::mem::forget(shared.clone());
    drop(shared);
    assert!(
        domain().into_shared().is_err(),
        "a forgotten clone may be attached"
    );
}

///
#[test]
fn r47_nested_is_refused() {
    let w = world();
    let (iommu, log) = traced(&w, dma_default());
    iommu.add_device(DEV.into()).unwrap();
    let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    log.borrow_mut().clear();
    let parent = iommu.paging_domain(DomainConfig::default()).unwrap();
    let refused = owned.attach(Nested(parent)).expect_err("no second stage");
    assert_eq!(refused.error, Error::NotSupported);
    assert_eq!(commands(&w, &log), []);
}

/// Given a domain that is attached and can be named again; when whoever holds the guard replaces it by itself, hitless or
/// not, by value or in place, for all DMA or for a process id; then the answer is success, nothing is stored, no command is
/// issued, no register is written and nobody is told of a change.
#[test]
fn r14_setting_the_current_domain_again_does_nothing() {
    let w = world();
    w.borrow_mut().capabilities |= 1 << 38;
    let (iommu, log) = traced(&w, dma_default());
    let processes = DeviceInfo {
        process_ids: true,
        ..OTHER.into()
    };
    iommu.add_device(DEV.into()).unwrap();
    iommu.add_device(processes).unwrap();
    let shared = coloured_in(&iommu, 0x10_0000);
    let nothing = |what: &str, device: DeviceId| {
        let told = |op: &Op| matches!(op, Op::Write(..) | Op::Event(_));
        assert_eq!(log.borrow().iter().find(|op| told(op)), None, "{what}");
        assert_eq!(bare_steps(&w, &log), [], "{what}");
        assert_eq!(read(&w, device, 0x7000), Ok(0x10_0000), "{what}");
    };
    for device in [DEV, OTHER] {
        let group = || iommu.group(device).unwrap();
        let mut owned = group()
            .claim(&owner(1))
            .unwrap()
            .attach(shared.clone())
            .unwrap();
        log.borrow_mut().clear();
        (owned, _) = owned.replace(shared.clone()).unwrap();
        nothing("an owner's replace", device);
        (owned, _) = owned.replace_hitless(shared.clone()).unwrap();
        nothing("an owner's replace_hitless", device);
        owned.swap(&mut shared.clone()).unwrap();
        nothing("an owner's swap", device);
        owned.swap_hitless(&mut shared.clone()).unwrap();
        nothing("an owner's swap_hitless", device);
        owned.release();
        let user = group().use_default_domain().unwrap();
        let mut managed = user.attach(shared.clone()).unwrap();
        log.borrow_mut().clear();
        (managed, _) = managed.replace(shared.clone()).unwrap();
        nothing("a driver's replace", device);
        (managed, _) = managed.replace_hitless(shared.clone()).unwrap();
        nothing("a driver's replace_hitless", device);
        managed.swap(&mut shared.clone()).unwrap();
        managed.swap_hitless(&mut shared.clone()).unwrap();
        nothing("a driver's swap", device);
        drop(managed);
    }
    let owned = iommu.group(OTHER).unwrap().claim(&owner(1)).unwrap();
    let mut process = owned.attach_pasid(Pasid(5), shared.clone()).unwrap();
    let nothing = |what: &str| {
        assert_eq!(bare_steps(&w, &log), [], "{what}");
        let read = w.borrow_mut().dma_of(OTHER.0, Some(5), 0x7000, Dma::Read);
        assert_eq!(read, Ok(0x10_0000), "{what}");
    };
    log.borrow_mut().clear();
    (process, _) = process.replace(shared.clone()).unwrap();
    nothing("replace for a process id");
    process.swap(&mut shared.clone()).unwrap();
    nothing("swap for a process id");
    drop(process);
    // Blocked already: a claim of a group whose default is Blocked is tested by T28, and detaching by the type of the guard.
    owned.release();
}

fn coloured_in<P: Platform>(iommu: &Iommu<P>, pa: u64) -> SharedDomain<'_, P, 16> {
    coloured(iommu, pa).into_shared().unwrap()
}
