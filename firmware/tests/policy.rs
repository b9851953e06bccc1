//! Policy per device, deferred attach, readiness (section 1.4 of the protocol; scenarios T66 to T68).

mod common;

use common::*;
use portcullis::platform::Event;
use portcullis::*;

const DEV: DeviceId = DeviceId(3);
const OTHER: DeviceId = DeviceId(4);
const PAGE: u64 = 0x1000;

/// R-70, T66.
#[test]
fn t66_r70_policies() {
    let token = identity();
    let w = world();
    w.borrow_mut().identity_wanted = true;
    let mut iommu = start(&w, dma_default());
    let admin = iommu.admin_token();
    let must_identity = Policy::Identity(token);
    let info = |id: DeviceId, policy, untrusted| DeviceInfo {
        policy,
        untrusted,
        ..id.into()
    };
    assert_eq!(
        iommu.add_device(info(DEV, must_identity, true)),
        Err(Error::Invalid)
    );
    // One of each in a group: identity wins, and that is reported.
    let id = iommu.add_device(info(DEV, Policy::Dma, false)).unwrap();
    let joining = DeviceInfo {
        group: Some(id),
        ..info(OTHER, must_identity, false)
    };
    let group = iommu.group(id).unwrap();
    let user = group.use_default_domain().unwrap();
    assert_eq!(
        iommu.add_device(joining),
        Err(Error::Busy),
        "not under a driver"
    );
    user.unuse();
    w.borrow_mut().events.clear();
    assert_eq!(iommu.add_device(joining), Ok(id));
    let conflict = Event::PolicyConflict {
        group: id,
        device: OTHER,
    };
    assert!(w.borrow().events.contains(&conflict));
    assert_eq!([DEV, OTHER].map(|d| read(&w, d, 0x5000)), [Ok(0x5000); 2]);
    let set = |kind| group.set_default_domain_type(kind, &admin);
    assert_eq!(set(DefaultDomainType::Dma), Err(Error::Invalid));
    assert_eq!(set(DefaultDomainType::Blocked), Err(Error::Invalid));
    assert_eq!(set(DefaultDomainType::Identity(token)), Ok(()));
    // An untrusted device does not get in.
    let stranger = DeviceInfo {
        group: Some(id),
        ..info(DeviceId(9), Policy::Any, true)
    };
    assert_eq!(iommu.add_device(stranger), Err(Error::Invalid));
    assert_eq!(read(&w, DeviceId(9), 0x5000), Err(258));
}

#[test]
fn r71_untrusted_devices_never_get_identity() {
    let w = world();
    w.borrow_mut().identity_wanted = true;
    let default_domain = DefaultDomainType::Identity(identity());
    let mut iommu = start(
        &w,
        Config {
            default_domain,
            ..Config::default()
        },
    );
    let admin = iommu.admin_token();
    let untrusted = DeviceInfo {
        untrusted: true,
        ..DEV.into()
    };
    let id = iommu.add_device(untrusted).unwrap();
    assert_eq!(read(&w, DEV, 0x5000), Err(13), "DMA instead");
    let refused = iommu
        .group(id)
        .unwrap()
        .set_default_domain_type(default_domain, &admin);
    assert_eq!(refused, Err(Error::Invalid));
    // It joins others: their group changes, if nobody uses it.
    let other = iommu.add_device(OTHER.into()).unwrap();
    assert_eq!(read(&w, OTHER, 0x5000), Ok(0x5000));
    let user = iommu.group(other).unwrap().use_default_domain().unwrap();
    let joining = DeviceInfo {
        untrusted: true,
        group: Some(other),
        ..DeviceId(9).into()
    };
    assert_eq!(iommu.add_device(joining), Err(Error::Busy));
    user.unuse();
    assert_eq!(iommu.add_device(joining), Ok(other));
    assert_eq!(read(&w, OTHER, 0x5000), Err(13));
    assert!(iommu.isolation());
}

/// R-72, T67: who comes too early is asked to come again.
#[test]
fn t67_r72_iommu_is_not_ready() {
    let w = world();
    let iommu = start(&w, dma_default());
    let expected = Expected::new();
    assert_eq!(
        expected.use_default_domain(DEV).err(),
        Some(Error::ProbeDefer)
    );
    assert_eq!(expected.iommu().err(), Some(Error::ProbeDefer));
    expected.ready(&iommu);
    assert_eq!(
        expected.use_default_domain(DEV).err(),
        Some(Error::ProbeDefer),
        "not added yet"
    );
    iommu.add_device(DEV.into()).unwrap();
    let user = expected.use_default_domain(DEV).unwrap();
    assert_eq!(iommu.group(DEV).unwrap().status(), Status::Kernel(1));
    drop(user);
}

/// R-77, T68.
#[test]
fn t68_r77_deferred_attach() {
    let w = world();
    let (mut iommu, log) = traced(&w, dma_default());
    let admin = iommu.admin_token();
    let deferred = DeviceInfo {
        deferred: true,
        ..DEV.into()
    };
    let waits = || iommu.stats().fence_waits;
    let before = waits();
    let id = iommu.add_device(deferred).unwrap();
    assert_eq!(
        (waits(), read(&w, DEV, 0x5000)),
        (before, Err(258)),
        "as it was"
    );
    // Attaching the default is no hardware, and neither is removal.
    let group = iommu.group(id).unwrap();
    let set = |kind| group.set_default_domain_type(kind, &admin);
    log.borrow_mut().clear();
    assert_eq!(set(DefaultDomainType::DmaFq), Ok(()));
    iommu.remove_device(DEV).unwrap();
    assert_eq!(bare_steps(&w, &log), []);
    // First use.
    let id = iommu.add_device(deferred).unwrap();
    let user = iommu.group(id).unwrap().use_default_domain().unwrap();
    assert_eq!(read(&w, DEV, 0x5000), Err(13));
    user.unuse();
    iommu.remove_device(DEV).unwrap();
    // Anything else acts at once, and clears the flag.
    let id = iommu.add_device(deferred).unwrap();
    log.borrow_mut().clear();
    let owned = iommu.group(id).unwrap().claim(&owner(1)).unwrap();
    let waits = |steps: &[Step]| steps.iter().filter(|s| **s == Step::Wait).count();
    assert_eq!(waits(&bare_steps(&w, &log)), 1, "one BLOCK");
    owned.release();
    assert_eq!(read(&w, DEV, 0x5000), Err(13), "not deferred any more");
}

/// A deferred device that joins a group in use follows at the next attach, which is not hitless for it.
#[test]
fn r77_deferred_device_joins_drivers() {
    let w = world();
    let iommu = start(&w, dma_default());
    let id = iommu.add_device(OTHER.into()).unwrap();
    let user = iommu.group(id).unwrap().use_default_domain().unwrap();
    let joining = DeviceInfo {
        deferred: true,
        group: Some(id),
        ..DEV.into()
    };
    iommu.add_device(joining).unwrap();
    assert_eq!(
        [DEV, OTHER].map(|d| read(&w, d, 0x7000)),
        [Err(258), Err(13)]
    );
    let managed = user.attach(coloured(&iommu, 0x10_0000)).unwrap();
    assert_eq!(
        [DEV, OTHER].map(|d| read(&w, d, 0x7000)),
        [Ok(0x10_0000); 2]
    );
    drop(managed);
    iommu.remove_device(DEV).unwrap();
    // A mapping is a use.
    let user = iommu.group(id).unwrap().use_default_domain().unwrap();
    iommu.add_device(joining).unwrap();
    let mapped = user
        .map(buffer(0x30_0000, PAGE).0, Direction::Both)
        .unwrap();
    assert_eq!(read(&w, DEV, mapped.iova().0), Ok(0x30_0000));
}

/// A change that the hardware refuses leaves the group as it was, deferral included (section 2.6).
#[test]
fn r77_failed_attach_defers_as_before() {
    for claims in [false, true] {
        let w = world();
        let iommu = start(&w, dma_default());
        let id = iommu.add_device(OTHER.into()).unwrap();
        let joining = DeviceInfo {
            deferred: true,
            group: Some(id),
            ..DEV.into()
        };
        iommu.add_device(joining).unwrap();
        let group = iommu.group(id).unwrap();
        w.borrow_mut().stall = u64::MAX;
        if claims {
            assert_eq!(group.claim(&owner(1)).err(), Some(Error::Io));
        } else {
            assert_eq!(group.use_default_domain().err(), Some(Error::Io));
        }
        w.borrow_mut().stall = 0;
        // SAFETY: the model's memory is as it was.
        assert_eq!(unsafe { iommu.recover() }, Ok(()));
        let both = [DEV, OTHER].map(|d| read(&w, d, 0x7000));
        assert_eq!(both, [Err(258), Err(13)], "claims: {claims}");
        let user = group.use_default_domain().unwrap();
        assert_eq!(read(&w, DEV, 0x7000), Err(13));
        user.unuse();
    }
}

/// What a group reaches in its default domain when nothing is mapped, by the type of that.
fn reached_by_default(kind: DefaultDomainType) -> Result<u64, u16> {
    match kind {
        DefaultDomainType::Blocked => Err(258),
        DefaultDomainType::Identity(_) => Ok(0x5000),
        DefaultDomainType::Dma | DefaultDomainType::DmaFq | DefaultDomainType::Auto => Err(13),
    }
}

fn kinds() -> [DefaultDomainType; 5] {
    [
        DefaultDomainType::Blocked,
        DefaultDomainType::Dma,
        DefaultDomainType::DmaFq,
        DefaultDomainType::Auto,
        DefaultDomainType::Identity(identity()),
    ]
}

/// Given each type of default domain; when a device is added; then its group has a default domain of that type by the
/// time the call returns, and drivers can use it. Given too little memory for one; then the device is not added, there is no
/// group, and its DMA stays blocked; the same for one that would change the default domain of the group it joins.
#[test]
fn r30_no_group_without_a_default_domain() {
    for default_domain in kinds() {
        let config = Config {
            default_domain,
            table_chunk: 1,
            ..Config::default()
        };
        let w = world();
        w.borrow_mut().identity_wanted = true;
        let iommu = start(&w, config);
        let before = w.borrow().used();
        let mut refused = 0;
        let id = loop {
            w.borrow_mut().heap_limit = before + refused * PAGE;
            match iommu.add_device(DEV.into()) {
                Ok(id) => break id,
                Err(error) => assert_eq!(error, Error::NoMemory),
            }
            refused += 1;
            assert_eq!(iommu.group(DEV).err(), Some(Error::NoDevice));
            assert_eq!(w.borrow().used(), before, "nothing is kept");
            assert_eq!(read(&w, DEV, 0x5000), Err(258), "{default_domain:?}");
        };
        let needs_table = reached_by_default(default_domain) == Err(13);
        assert_eq!(refused > 0, needs_table, "{default_domain:?}");
        assert_eq!(read(&w, DEV, 0x5000), reached_by_default(default_domain));
        w.borrow_mut().heap_limit = u64::MAX;
        let group = iommu.group(id).unwrap();
        let user = group.use_default_domain().unwrap();
        let mapped = user.map(buffer(0x10_0000, PAGE).0, Direction::Both);
        match default_domain {
            DefaultDomainType::Blocked => {
                assert_eq!(mapped.err().map(|(_, e)| e), Some(Error::NotSupported));
            }
            _ => {
                let mapped = mapped.ok().unwrap();
                assert_eq!(read(&w, DEV, mapped.iova().0), Ok(0x10_0000));
            }
        }
        user.unuse();
        // One that wants another type joins, and there is no memory for that.
        let policy = match needs_table {
            true => continue,
            false => Policy::Dma,
        };
        let used = w.borrow().used();
        w.borrow_mut().heap_limit = used;
        let joining = DeviceInfo {
            group: Some(id),
            policy,
            ..OTHER.into()
        };
        let joined = iommu.add_device(joining);
        if let DefaultDomainType::Blocked = default_domain {
            assert_eq!(joined, Err(Error::NoMemory));
            assert_eq!(iommu.group(OTHER).err(), Some(Error::NoDevice));
            assert_eq!(read(&w, OTHER, 0x5000), Err(258));
        }
        assert_eq!(read(&w, DEV, 0x5000), reached_by_default(default_domain));
    }
}

/// the policy is chosen when the program is built, [`Config::default`], and by whoever starts it. Given each choice; then
/// it decides for every group that nothing else decides for, those that come later included: neither the administrator's word
/// on one group nor a device's wish reaches another.
#[test]
fn r71_default_policy_when_built_and_when_run() {
    let built = Config::default().default_domain;
    assert!(matches!(built, DefaultDomainType::Blocked));
    for default_domain in kinds() {
        let w = world();
        w.borrow_mut().identity_wanted = true;
        let config = Config {
            default_domain,
            ..Config::default()
        };
        let mut iommu = start(&w, config);
        let admin = iommu.admin_token();
        let id = iommu.add_device(DEV.into()).unwrap();
        let wish = DeviceInfo {
            policy: Policy::Dma,
            ..DeviceId(7).into()
        };
        iommu.add_device(wish).unwrap();
        assert_eq!(read(&w, wish.id, 0x5000), Err(13), "as it wishes");
        let policy = reached_by_default(default_domain);
        assert_eq!(read(&w, DEV, 0x5000), policy);
        for changed in kinds() {
            let group = iommu.group(id).unwrap();
            group.set_default_domain_type(changed, &admin).unwrap();
            assert_eq!(read(&w, DEV, 0x5000), reached_by_default(changed));
            iommu.add_device(OTHER.into()).unwrap();
            assert_eq!(read(&w, OTHER, 0x5000), policy, "{default_domain:?}");
            assert_eq!(read(&w, wish.id, 0x5000), Err(13));
            iommu.remove_device(OTHER).unwrap();
        }
    }
}
