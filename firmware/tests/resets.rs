//! Devices that are reset: modifier +R of section 2.3 of the protocol (scenario T72).

mod common;

use common::*;
use portcullis::*;

const DEV: DeviceId = DeviceId(3);
const OTHER: DeviceId = DeviceId(4);

/// T72: a device that is being reset is blocked; nothing is attached meanwhile, and everything else works around it.
#[test]
fn t72_device_reset() {
    let w = world();
    let iommu = start(&w, dma_default());
    let id = iommu.add_device(DEV.into()).unwrap();
    let joining = DeviceInfo {
        group: Some(id),
        ..OTHER.into()
    };
    iommu.add_device(joining).unwrap();
    let both = || [DEV, OTHER].map(|d| read(&w, d, 0x7000));
    let group = iommu.group(id).unwrap();
    let owned = group.claim(&owner(1)).unwrap();
    let owned = owned.attach(coloured(&iommu, 0x10_0000)).unwrap();
    let reset = iommu.reset_device(DEV).unwrap();
    assert_eq!(both(), [Err(258), Ok(0x10_0000)]);
    assert_eq!(iommu.reset_device(DEV).err(), Some(Error::Busy));
    assert_eq!(iommu.reset_device(DeviceId(9)).err(), Some(Error::NoDevice));
    let refused = owned
        .replace(coloured(&iommu, 0x20_0000))
        .expect_err("reset");
    assert_eq!(
        (refused.error, both()),
        (Error::Busy, [Err(258), Ok(0x10_0000)])
    );
    let (owned, domain) = refused.guard.detach();
    assert_eq!(both(), [Err(258); 2]);
    let refused = owned.attach(domain).expect_err("reset");
    assert_eq!(refused.error, Error::Busy);
    refused.guard.release();
    assert_eq!(both(), [Err(258), Err(13)], "released around it");
    reset.done();
    assert_eq!(both(), [Err(13); 2], "where the group goes by then");
    // Removal during a reset, and a newcomer of the same name.
    let reset = iommu.reset_device(DEV).unwrap();
    iommu.remove_device(DEV).unwrap();
    drop(reset);
    assert_eq!(both(), [Err(258), Err(13)]);
}

/// A failure during a reset: the device stays blocked when the others come back.
#[test]
fn t72_reset_and_recovery() {
    let w = world();
    let iommu = start(&w, dma_default());
    iommu.add_device(DEV.into()).unwrap();
    iommu.add_device(OTHER.into()).unwrap();
    let reset = iommu.reset_device(DEV).unwrap();
    w.borrow_mut().stall = u64::MAX;
    assert_eq!(
        iommu.group(OTHER).unwrap().claim(&owner(1)).err(),
        Some(Error::Io)
    );
    w.borrow_mut().stall = 0;
    // SAFETY: the model's memory is as it was.
    assert_eq!(unsafe { iommu.recover() }, Ok(()));
    assert_eq!(
        [DEV, OTHER].map(|d| read(&w, d, 0x7000)),
        [Err(258), Err(13)]
    );
    drop(reset);
    assert_eq!(read(&w, DEV, 0x7000), Err(13));
}

/// A guard kept past the removal of its device ends nothing of a successor, which may be reset itself by then.
#[test]
fn t72_guard_of_a_reset_outlives_its_device() {
    let w = world();
    let iommu = start(&w, dma_default());
    iommu.add_device(DEV.into()).unwrap();
    let old = iommu.reset_device(DEV).unwrap();
    iommu.remove_device(DEV).unwrap();
    iommu.add_device(DEV.into()).unwrap();
    let new = iommu.reset_device(DEV).unwrap();
    let waits = iommu.stats().fence_waits;
    drop(old);
    assert_eq!(iommu.stats().fence_waits, waits, "nothing to do");
    assert_eq!(read(&w, DEV, 0x7000), Err(258), "still being reset");
    assert_eq!(iommu.reset_device(DEV).err(), Some(Error::Busy));
    new.done();
    assert_eq!(read(&w, DEV, 0x7000), Err(13));
}

/// +R and +D: a device whose attach was deferred is deferred again after a reset, unless somebody used or owned the
/// group meanwhile.
#[test]
fn r77_t72_deferred_attach_survives_a_reset() {
    let w = world();
    let iommu = start(&w, dma_default());
    let deferred = DeviceInfo {
        deferred: true,
        ..DEV.into()
    };
    let id = iommu.add_device(deferred).unwrap();
    let waits = || iommu.stats().fence_waits;
    let before = waits();
    iommu.reset_device(DEV).unwrap().done();
    assert_eq!((read(&w, DEV, 0x7000), waits()), (Err(258), before));
    // First use during a reset: the default domain follows when that ends.
    let reset = iommu.reset_device(DEV).unwrap();
    let user = iommu.group(id).unwrap().use_default_domain().unwrap();
    assert_eq!(read(&w, DEV, 0x7000), Err(258));
    reset.done();
    assert_eq!(read(&w, DEV, 0x7000), Err(13));
    user.unuse();
    iommu.remove_device(DEV).unwrap();
    // An owner comes and goes during a reset.
    let id = iommu.add_device(deferred).unwrap();
    let reset = iommu.reset_device(DEV).unwrap();
    iommu.group(id).unwrap().claim(&owner(1)).unwrap().release();
    reset.done();
    assert_eq!(read(&w, DEV, 0x7000), Err(13), "not deferred any more");
}
