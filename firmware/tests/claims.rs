//! Claims by device, removal and surprise removal (section 2.3; scenarios T04, T59 to T62).

mod common;

use common::*;
use portcullis::platform::Platform;
use portcullis::*;

const A: DeviceId = DeviceId(1);
const B: DeviceId = DeviceId(2);

fn read(w: &Shared, device: DeviceId) -> Result<u64, u16> {
    w.borrow_mut().dma(device.0, 0x7000, Dma::Read)
}

/// Two devices in one group.
fn pair<P: Platform>(iommu: &Iommu<P>) -> Group<'_, P> {
    let group = iommu.add_device(A.into()).unwrap();
    let info = DeviceInfo {
        group: Some(group),
        ..B.into()
    };
    iommu.add_device(info).unwrap();
    iommu.group(group).unwrap()
}

#[test]
fn t04_r08_claims_are_counted() {
    let w = world();
    let (iommu, log) = traced(&w, dma_default());
    let group = pair(&iommu);
    log.borrow_mut().clear();
    let first = iommu.claim_device(A, &owner(1)).unwrap();
    assert_eq!(commands(&w, &log).len(), 2 + 3, "BLOCK of two devices");
    let second = iommu.claim_device(B, &owner(1)).unwrap();
    assert_eq!(bare_steps(&w, &log), [], "counting needs no hardware");
    assert_eq!(
        (group.users(), group.status()),
        (2, Status::Owned(owner(1)))
    );
    for stranger in [A, B] {
        assert_eq!(
            iommu.claim_device(stranger, &owner(2)).err(),
            Some(Error::NotPermitted)
        );
    }
    assert_eq!(group.claim(&owner(1)).err(), Some(Error::NotPermitted));
    drop(first);
    assert_eq!(bare_steps(&w, &log), []);
    assert_eq!(
        (group.users(), read(&w, A), read(&w, B)),
        (1, Err(258), Err(258))
    );
    second.release_device();
    assert_eq!(
        (group.status(), read(&w, A), read(&w, B)),
        (Status::Idle, Err(13), Err(13))
    );
    let unknown = iommu.claim_device(DeviceId(9), &owner(1));
    assert_eq!(unknown.err(), Some(Error::NoDevice));
}

#[test]
fn t04_guard_and_claims() {
    let w = world();
    let iommu = start(&w, dma_default());
    let group = pair(&iommu);
    let (first, second) = (
        iommu.claim_device(A, &owner(1)).unwrap(),
        iommu.claim_device(B, &owner(1)).unwrap(),
    );
    let guard = first.guard().unwrap();
    let (second, error) = second.guard().expect_err("one guard");
    assert_eq!(error, Error::Busy);
    let guard = guard.attach(coloured(&iommu, 0x10_0000)).unwrap();
    let third = iommu.claim_device(A, &owner(1)).unwrap();
    assert_eq!(
        (group.users(), group.status()),
        (3, Status::Attached(owner(1)))
    );
    drop(third);
    assert_eq!(
        (group.users(), read(&w, B)),
        (2, Ok(0x10_0000)),
        "S5: n-1, nothing else"
    );
    let (guard, _domain) = guard.detach();
    guard.release_device();
    assert_eq!(
        (group.users(), group.status()),
        (1, Status::Owned(owner(1)))
    );
    let guard = second.guard().unwrap();
    guard.release_device();
    assert_eq!(group.status(), Status::Idle);
}

/// Release at group level ends every claim; claims left over count nothing in a later ownership.
#[test]
fn r08_r09_release_ends_all_claims() {
    let w = world();
    let iommu = start(&w, dma_default());
    let group = pair(&iommu);
    let guard = group.claim(&owner(1)).unwrap();
    let (stale, staler) = (
        iommu.claim_device(A, &owner(1)).unwrap(),
        iommu.claim_device(B, &owner(1)).unwrap(),
    );
    guard.release();
    assert_eq!((group.users(), group.status()), (0, Status::Idle));
    let later = group.claim(&owner(1)).unwrap();
    drop(stale);
    assert_eq!(group.status(), Status::Owned(owner(1)));
    let (staler, error) = staler.guard().expect_err("that ownership is over");
    assert_eq!((error, staler.device()), (Error::NotPermitted, B));
    drop(staler);
    assert_eq!((group.users(), read(&w, A)), (1, Err(258)));
    later.release();
}

#[test]
fn t61_one_of_two_is_removed() {
    let w = world();
    let (iommu, log) = traced(&w, dma_default());
    let group = pair(&iommu);
    let guard = group.claim(&owner(1)).unwrap();
    let guard = guard.attach(coloured(&iommu, 0x10_0000)).unwrap();
    w.borrow_mut().hammer = vec![(B.0, 0x7000)];
    w.borrow_mut().reached.clear();
    log.borrow_mut().clear();
    iommu.remove_device(A).unwrap();
    let steps = bare_steps(&w, &log);
    assert_eq!(
        steps
            .iter()
            .filter(|s| matches!(s, Step::Store(..)))
            .count(),
        2
    );
    assert_eq!(
        steps
            .iter()
            .filter(|s| matches!(s, Step::Command(..)))
            .count(),
        4
    );
    assert_eq!((read(&w, A), read(&w, B)), (Err(258), Ok(0x10_0000)));
    assert_eq!(
        w.borrow().reached,
        [Ok(0x10_0000)],
        "the other is undisturbed"
    );
    assert_eq!(iommu.remove_device(A), Err(Error::NoDevice));
    assert_eq!(
        iommu.remove_device(B),
        Err(Error::Busy),
        "the last one of an owned group"
    );
    guard.release();
    iommu.remove_device(B).unwrap();
    assert_eq!((group.status(), read(&w, B)), (Status::Empty, Err(258)));
}

#[test]
fn t62_last_device_takes_the_group_along() {
    let w = world();
    let mut iommu = start(&w, dma_default());
    let admin = iommu.admin_token();
    let used = w.borrow().used();
    for _ in 0..100 {
        let id = iommu.add_device(A.into()).unwrap();
        let group = iommu.group(id).unwrap();
        let user = group.use_default_domain().unwrap();
        assert_eq!(iommu.remove_device(A), Err(Error::Busy));
        drop(user);
        iommu.remove_device(A).unwrap();
        assert_eq!((read(&w, A), w.borrow().used()), (Err(258), used));
        // S0, by a name kept from before. The slot may be somebody else's by now.
        let successor = iommu.add_device(B.into()).unwrap();
        assert_ne!(successor, id);
        assert_eq!(group.status(), Status::Empty);
        assert_eq!(group.use_default_domain().err(), Some(Error::NoDevice));
        assert_eq!(group.claim(&owner(1)).err(), Some(Error::NoDevice));
        let kind = DefaultDomainType::DmaFq;
        assert_eq!(
            group.set_default_domain_type(kind, &admin),
            Err(Error::Invalid)
        );
        let joining = DeviceInfo {
            group: Some(id),
            ..A.into()
        };
        assert_eq!(iommu.add_device(joining), Err(Error::NotFound));
        iommu.remove_device(B).unwrap();
    }
}

#[test]
fn s6_surprise_removal_under_an_owner() {
    let w = world();
    let iommu = start(&w, dma_default());
    let id = iommu.add_device(A.into()).unwrap();
    let group = iommu.group(id).unwrap();
    let guard = group.claim(&owner(1)).unwrap();
    let guard = guard.attach(coloured(&iommu, 0x10_0000)).unwrap();
    iommu.device_gone(A).unwrap();
    assert_eq!(iommu.device_gone(A), Err(Error::NoDevice));
    assert_eq!(
        (group.status(), read(&w, A)),
        (Status::Orphan(owner(1)), Err(258))
    );
    let refused = guard
        .replace(coloured(&iommu, 0x20_0000))
        .expect_err("nothing there");
    assert_eq!(refused.error, Error::NoDevice);
    let (guard, domain) = refused.guard.detach();
    let refused = guard.attach(domain).expect_err("nothing there");
    assert_eq!(refused.error, Error::NoDevice);
    // A device that joins is blocked, and the guard works again.
    let joining = DeviceInfo {
        group: Some(id),
        ..B.into()
    };
    iommu.add_device(joining).unwrap();
    assert_eq!(
        (group.status(), read(&w, B)),
        (Status::Owned(owner(1)), Err(258))
    );
    let guard = refused.guard.attach(refused.target).unwrap();
    assert_eq!(read(&w, B), Ok(0x10_0000));
    iommu.device_gone(B).unwrap();
    iommu
        .add_device(DeviceInfo {
            group: Some(id),
            ..A.into()
        })
        .unwrap();
    assert_eq!(read(&w, A), Err(258), "held, but not attached");
    let (guard, _old) = guard.replace(coloured(&iommu, 0x30_0000)).unwrap();
    assert_eq!(read(&w, A), Ok(0x30_0000));
    iommu.device_gone(A).unwrap();
    drop(guard);
    assert_eq!(
        (group.status(), iommu.health()),
        (Status::Empty, Health::Good)
    );
}

#[test]
fn s0_surprise_removal_under_a_driver() {
    let w = world();
    let iommu = start(&w, dma_default());
    let used = w.borrow().used();
    iommu.add_device(A.into()).unwrap();
    let group = iommu.group(A).unwrap();
    let user = group.use_default_domain().unwrap();
    let managed = user.attach(coloured(&iommu, 0x10_0000)).unwrap();
    iommu.device_gone(A).unwrap();
    assert_eq!((group.status(), read(&w, A)), (Status::Empty, Err(258)));
    // The slot goes to somebody else, which the old guard must not disturb.
    iommu.add_device(B.into()).unwrap();
    let other = iommu.group(B).unwrap().use_default_domain().unwrap();
    let other = other.attach(coloured(&iommu, 0x20_0000)).unwrap();
    let executed = w.borrow().executed.len();
    assert_eq!(managed.domain().unmap(Iova(0x7000), 0x1000), Ok(0x1000));
    let deferred = managed
        .domain()
        .unmap_deferred(Iova(0x7000), 0x1000)
        .unwrap();
    assert!(managed.domain().reusable(&deferred));
    assert_eq!(managed.domain().flush(), Ok(()));
    assert_eq!(w.borrow().executed.len(), executed, "nothing leads there");
    let refused = managed
        .replace(coloured(&iommu, 0x30_0000))
        .expect_err("gone");
    assert_eq!(refused.error, Error::NoDevice);
    drop(refused.target);
    let (user, domain) = refused.guard.detach();
    let refused = user.attach(domain).expect_err("gone");
    assert_eq!(refused.error, Error::NoDevice);
    drop(refused);
    assert_eq!(read(&w, B), Ok(0x20_0000));
    assert_eq!(iommu.group(B).unwrap().users(), 1);
    drop(other);
    iommu.remove_device(B).unwrap();
    assert_eq!(w.borrow().used(), used);
}
