//! Deferred devices that keep what they have in Bare until their first use (requirement R-77; modifier +D of section 2.3 and
//! section 3.13 of the protocol).

mod common;

use std::cell::Cell;
use std::rc::Rc;

use common::*;
use portcullis::platform::{Change, Event, Path, Trace};
use portcullis::*;

const DEV: DeviceId = DeviceId(3);
const OTHER: DeviceId = DeviceId(4);
const STRANGER: DeviceId = DeviceId(9);
/// What its driver will map to itself.
const FRAMES: u64 = 0x8_0000_0000;
const REGIONS: &[DeviceRegion] = &[DeviceRegion {
    start: FRAMES,
    bytes: 0x1000,
    kind: RegionKind::DirectRelaxable(Perm::READ),
}];
/// Any address, as the device finds it without translation.
const FREE: Result<u64, u16> = Ok(0x5000);
const BLOCKED: Result<u64, u16> = Err(258);
const UNMAPPED: Result<u64, u16> = Err(13);

fn deferred() -> DeviceInfo {
    DeviceInfo {
        deferred: true,
        regions: REGIONS,
        ..DEV.into()
    }
}

fn kept(info: DeviceInfo, with: Option<DeviceId>) -> BootDevice {
    let keeps = Some(identity());
    BootDevice { info, with, keeps }
}

/// Started in Bare, with one device that keeps what it has, and another.
fn started(w: &Shared, config: Config) -> Iommu<Machine> {
    w.borrow_mut().ddtp = 1;
    let list = [kept(deferred(), None), DeviceInfo::from(OTHER).into()];
    Iommu::with_devices(Machine(w.clone()), config, &list).expect("starts")
}

fn look(w: &Shared) -> Result<u64, u16> {
    read(w, DEV, 0x5000)
}

/// Given hardware in Bare, stores of 8 or of 4 bytes and directories of any depth; when it starts, changes the default
/// domain, and then a driver comes; then the device reaches all of memory at every access until that call, and no other
/// device does once translation is on; and where one store leads it to the default domain, what that maps to itself is
/// reached throughout.
fn until_the_first_use<const WIDE: bool>(levels: u8) {
    let w = world();
    (w.borrow_mut().ddtp, w.borrow_mut().modes) = (1, (4 << levels) - 1);
    w.borrow_mut().identity_wanted = true;
    let (watched, used) = (w.clone(), Rc::new(Cell::new(false)));
    let (using, over) = (used.clone(), Rc::new(Cell::new(false)));
    let done = over.clone();
    let trace = Trace::new(Machine::<WIDE>(w.clone()), move |_| {
        if done.get() {
            return;
        }
        let frames = read(&watched, DEV, FRAMES);
        assert!(
            frames == Ok(FRAMES) || (!WIDE && using.get() && frames == BLOCKED),
            "{frames:?}"
        );
        assert!(using.get() || look(&watched) == FREE);
        let [other, stranger] = [OTHER, STRANGER].map(|d| read(&watched, d, 0x5000));
        let free = (other, stranger) == (FREE, FREE);
        assert!(free || (other, stranger) == (UNMAPPED, BLOCKED));
        assert!(!free || !using.get());
    });
    let list = [kept(deferred(), None), DeviceInfo::from(OTHER).into()];
    let mut iommu = Iommu::<_, 16>::with_devices(trace, dma_default(), &list).expect("starts");
    let admin = iommu.admin_token();
    assert!(!iommu.isolation());
    let group = iommu.group(DEV).unwrap();
    assert_eq!(group.status(), Status::Idle);
    let before = iommu.stats().commands;
    for kind in [DefaultDomainType::Blocked, DefaultDomainType::Dma] {
        group.set_default_domain_type(kind, &admin).unwrap();
    }
    assert_eq!(iommu.stats().commands, before, "attaching the default");
    assert_eq!((look(&w), iommu.isolation()), (FREE, false));
    w.borrow_mut().events.clear();
    used.set(true);
    let user = group.use_default_domain().unwrap();
    assert_eq!((look(&w), iommu.isolation()), (UNMAPPED, true));
    assert_eq!(read(&w, DEV, FRAMES), Ok(FRAMES));
    let told = w.borrow().events.clone();
    let told: Vec<_> = told
        .into_iter()
        .filter_map(|event| match event {
            Event::Changed(Change {
                device, old, path, ..
            }) => Some((device, old, path)),
            _ => None,
        })
        .collect();
    let (identity, nothing) = (Some(0), None);
    if WIDE {
        assert_eq!(told, [(Some(DEV), identity, Path::Swap)]);
    } else {
        let by_way = [
            (Some(DEV), identity, Path::Block),
            (Some(DEV), nothing, Path::Publish),
        ];
        assert_eq!(told, by_way);
    }
    // Not deferred any more.
    drop(user);
    assert_eq!(look(&w), UNMAPPED);
    over.set(true);
    // Blocked now, its context is not one store away from identity.
    w.borrow_mut().identity_wanted = false;
    let owned = group.claim(&owner(1)).unwrap();
    assert_eq!(look(&w), BLOCKED);
    drop(owned);
}

#[test]
fn r77_kept_until_the_first_use() {
    (1..=3).for_each(until_the_first_use::<true>);
    until_the_first_use::<false>(3);
}

/// Whatever else is attached to the group acts at once; removal and resets block it too, and a reset leaves nothing to keep.
#[test]
fn r77_kept_translation_is_taken_away_by_blocking() {
    let w = world();
    let iommu = started(&w, dma_default());
    let waits = || iommu.stats().fence_waits;
    let before = waits();
    let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    assert_eq!((look(&w), waits()), (BLOCKED, before + 1), "one BLOCK");
    assert!(iommu.isolation());
    let owned = owned.attach(coloured(&iommu, 0x10_0000)).unwrap();
    assert_eq!(read(&w, DEV, 0x7000), Ok(0x10_0000));
    owned.release();
    assert_eq!(look(&w), UNMAPPED, "not deferred any more");

    for gone in [false, true] {
        let w = world();
        let iommu = started(&w, dma_default());
        if gone {
            iommu.device_gone(DEV).unwrap();
        } else {
            iommu.remove_device(DEV).unwrap();
        }
        assert_eq!((look(&w), iommu.isolation()), (BLOCKED, true));
        iommu.add_device(deferred()).unwrap();
        assert_eq!(look(&w), BLOCKED, "what it had is over");
    }

    let w = world();
    let iommu = started(&w, dma_default());
    let reset = iommu.reset_device(DEV).unwrap();
    assert_eq!((look(&w), iommu.isolation()), (BLOCKED, true));
    reset.done();
    assert_eq!(look(&w), BLOCKED, "deferred, and nothing to keep");
    let user = iommu.group(DEV).unwrap().use_default_domain().unwrap();
    assert_eq!(look(&w), UNMAPPED);
    drop(user);
}

/// The default domain is nothing, or everything: the first use leads there as well.
#[test]
fn r77_kept_with_other_default_domains() {
    let w = world();
    let iommu = started(&w, Config::default());
    assert_eq!(look(&w), FREE);
    let user = iommu.group(DEV).unwrap().use_default_domain().unwrap();
    assert_eq!((look(&w), iommu.isolation()), (BLOCKED, true));
    drop(user);

    let w = world();
    let config = Config {
        default_domain: DefaultDomainType::Identity(identity()),
        ..Config::default()
    };
    let iommu = started(&w, config);
    let before = iommu.stats().commands;
    let user = iommu.group(DEV).unwrap().use_default_domain().unwrap();
    assert_eq!((look(&w), iommu.stats().commands), (FREE, before));
    drop(user);
    let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    assert_eq!(look(&w), BLOCKED);
    drop(owned);
}

/// Found in Off, or in a directory of somebody else that only Off leads away from, a device has nothing to keep.
#[test]
fn r77_nothing_to_keep_but_bare() {
    for taken_over in [false, true] {
        let w = world();
        if taken_over {
            let first = start(&w, dma_default());
            first.add_device(DEV.into()).unwrap();
            std::mem::forget(first);
        }
        let config = Config {
            take_over: true,
            ..dma_default()
        };
        let list = [kept(deferred(), None)];
        let machine = Machine::<true>(w.clone());
        let iommu = Iommu::<_, 16>::with_devices(machine, config, &list).unwrap();
        assert_eq!((look(&w), iommu.isolation()), (BLOCKED, true));
    }
}

/// Every reason to refuse it; DMA goes on as before, and nothing leaks.
#[test]
fn r77_refusals() {
    let with_processes = DeviceInfo {
        process_ids: true,
        ..deferred()
    };
    let untrusted = |id: DeviceId| DeviceInfo {
        untrusted: true,
        deferred: true,
        ..id.into()
    };
    let joins = |info, with| BootDevice {
        info,
        with: Some(with),
        keeps: None,
    };
    let lists: [(&[BootDevice], Error); 5] = [
        (&[kept(DEV.into(), None)], Error::Invalid),
        (&[kept(untrusted(DEV), None)], Error::Invalid),
        (
            &[kept(deferred(), None), joins(untrusted(OTHER), DEV)],
            Error::Invalid,
        ),
        (
            &[untrusted(OTHER).into(), kept(deferred(), Some(OTHER))],
            Error::Invalid,
        ),
        (&[kept(with_processes, None)], Error::NotSupported),
    ];
    for (list, expected) in lists {
        for mode in [0, 1] {
            let w = world();
            w.borrow_mut().capabilities |= 1 << 38;
            w.borrow_mut().ddtp = mode;
            let machine = Machine::<true>(w.clone());
            let refused = Iommu::<_, 16>::with_devices(machine, dma_default(), list);
            assert_eq!(refused.err().map(|e| e.error), Some(expected));
            assert_eq!((w.borrow().ddtp & 15, w.borrow().used()), (mode, 0));
        }
    }
    // One that comes later.
    let w = world();
    let iommu = started(&w, dma_default());
    let joining = DeviceInfo {
        group: Some(iommu.group(DEV).unwrap().id()),
        ..untrusted(DeviceId(5))
    };
    assert_eq!(iommu.add_device(joining), Err(Error::Invalid));
    let user = iommu.group(DEV).unwrap().use_default_domain().unwrap();
    iommu.add_device(joining).expect("nothing is kept any more");
    drop(user);
}

/// A change that the hardware refuses leaves the device as it was: recovery writes identity again. Until then nothing passes.
#[test]
fn r77_failed_attach_keeps_as_before() {
    for claims in [false, true] {
        let w = world();
        let iommu = started(&w, dma_default());
        let group = iommu.group(DEV).unwrap();
        w.borrow_mut().stall = u64::MAX;
        let error = if claims {
            group.claim(&owner(1)).err()
        } else {
            group.use_default_domain().err()
        };
        assert_eq!(error, Some(Error::Io));
        assert!(look(&w).is_err() && iommu.isolation(), "off");
        w.borrow_mut().stall = 0;
        // SAFETY: the model's memory is as it was.
        assert_eq!(unsafe { iommu.recover() }, Ok(()));
        assert_eq!((look(&w), iommu.isolation()), (FREE, false), "{claims}");
        let user = group.use_default_domain().unwrap();
        assert_eq!((look(&w), iommu.isolation()), (UNMAPPED, true));
        drop(user);
    }
}
