//! Domains that several groups are attached to (scenario T24), and nested ones.

mod common;

use common::*;
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
