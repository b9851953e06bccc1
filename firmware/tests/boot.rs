//! Starting behind devices that work already, and handing over to the next kernel (section 3.13 of the protocol).

mod common;

use std::cell::Cell;
use std::rc::Rc;

use common::*;
use portcullis::platform::{Change, Event, Faulty, Path, Trace};
use portcullis::*;
use portcullis_regmap::regs::iommu_mode;

/// What firmware lets the display engine read: its frame buffer.
const FRAME_BUFFER: u64 = 0x8_0000_0000;
const DISPLAY: DeviceId = DeviceId(3);
const CODEC: DeviceId = DeviceId(4);
const DISK: DeviceId = DeviceId(5);
const STRANGER: DeviceId = DeviceId(9);
const KEEPER: DeviceId = DeviceId(10);
const REGIONS: &[DeviceRegion] = &[DeviceRegion {
    start: FRAME_BUFFER,
    bytes: 0x20_3000,
    kind: RegionKind::Direct(Perm::READ_WRITE),
}];
const SECOND: &[DeviceRegion] = &[DeviceRegion {
    start: FRAME_BUFFER + 0x40_0000,
    bytes: 0x1000,
    kind: RegionKind::DirectRelaxable(Perm::READ),
}];

fn display() -> DeviceInfo {
    DeviceInfo {
        regions: REGIONS,
        ..DISPLAY.into()
    }
}

/// The display with its codec in one group, and a disk.
fn known() -> [BootDevice; 3] {
    let codec = DeviceInfo {
        regions: SECOND,
        ..CODEC.into()
    };
    [
        display().into(),
        BootDevice {
            info: codec,
            with: Some(DISPLAY),
            keeps: None,
        },
        DeviceInfo::from(DISK).into(),
    ]
}

/// Given hardware in Bare with directories of so many levels at most; when it starts with known devices; then at every
/// access of the driver the direct regions are reached, and from one access on nobody reaches anything else.
fn without_a_gap(levels: u8) {
    let w = world();
    (w.borrow_mut().ddtp, w.borrow_mut().modes) = (1, (4 << levels) - 1);
    let (watched, bare) = (w.clone(), Rc::new(Cell::new(true)));
    let switches = Rc::new(Cell::new(0));
    let (open, count, started) = (bare.clone(), switches.clone(), Rc::new(Cell::new(false)));
    let over = started.clone();
    let trace = Trace::new(Machine::<true>(w.clone()), move |_| {
        if over.get() {
            return;
        }
        for (device, offset) in [(DISPLAY, 0), (DISPLAY, 0x20_2000), (CODEC, 0x40_0000)] {
            let at = FRAME_BUFFER + offset;
            assert_eq!(read(&watched, device, at), Ok(at), "{device:?}");
        }
        let free = read(&watched, STRANGER, 0x1000) == Ok(0x1000);
        let confined = read(&watched, DISK, 0x1000) == Err(13)
            && read(&watched, DISPLAY, 0x1000) == Err(13)
            && read(&watched, STRANGER, 0x1000) == Err(258);
        assert!(free != confined, "all of them at once");
        count.set(count.get() + u32::from(open.replace(free) != free));
    });
    let iommu = Iommu::<_, 16>::with_devices(trace, dma_default(), &known()).expect("starts");
    started.set(true);
    assert_eq!((bare.get(), switches.get()), (false, 1));
    assert_eq!(w.borrow().mode(), levels + 1);
    assert!(iommu.isolation());
    // One event per device, and only for what is so by now.
    let expected = [DISPLAY, CODEC, DISK];
    let told = w.borrow().events.clone();
    let told: Vec<_> = told
        .into_iter()
        .filter_map(|event| match event {
            Event::Changed(Change { device, path, .. }) => {
                assert_eq!(path, Path::Publish);
                device
            }
            _ => None,
        })
        .collect();
    assert_eq!(told, expected);
    // They are devices like others from now on.
    let group = iommu.group(DISPLAY).unwrap();
    assert_eq!(group.id(), iommu.group(CODEC).unwrap().id());
    assert_ne!(group.id(), iommu.group(DISK).unwrap().id());
    assert_eq!(group.claim(&owner(1)).err(), Some(Error::Invalid));
    let disk = iommu.group(DISK).unwrap().claim(&owner(1)).unwrap();
    assert_eq!(read(&w, DISK, 0x1000), Err(258));
    disk.release();
}

#[test]
fn boot_from_bare_without_a_gap() {
    (1..=3).for_each(without_a_gap);
}

/// Given hardware in Off, where all DMA is blocked; when it starts with known devices; then these are the first that pass.
#[test]
fn boot_from_off() {
    let w = world();
    let watched = w.clone();
    let trace = Trace::new(Machine::<true>(w.clone()), move |_| {
        assert!(read(&watched, STRANGER, FRAME_BUFFER).is_err());
        assert!(read(&watched, DISPLAY, 0x1000).is_err());
    });
    let iommu = Iommu::<_, 16>::with_devices(trace, dma_default(), &known()).unwrap();
    assert_eq!(read(&w, DISPLAY, FRAME_BUFFER), Ok(FRAME_BUFFER));
    drop(iommu);
    assert_eq!((w.borrow().mode(), w.borrow().used()), (iommu_mode::OFF, 0));
}

/// Given caches with the context that a previous kernel had for a device; when it starts anew; then the device never goes
/// there: what is left is purged before the directory is in use.
#[test]
fn boot_leftovers_are_never_used() {
    let w = world();
    let first = start(&w, dma_default());
    first.add_device(DISK.into()).unwrap();
    let guard = first.group(DISK).unwrap().claim(&owner(1)).unwrap();
    let guard = guard.attach(coloured(&first, 0x66_0000)).unwrap();
    assert_eq!(read(&w, DISK, 0x7000), Ok(0x66_0000));
    // A kernel that is gone, without a stop.
    std::mem::forget(guard);
    std::mem::forget(first);
    let (watched, off) = (w.clone(), Rc::new(Cell::new(false)));
    let seen = off.clone();
    let trace = Trace::new(Machine::<true>(w.clone()), move |_| {
        seen.set(seen.get() || watched.borrow().mode() == iommu_mode::OFF);
        let reached = read(&watched, DISK, 0x7000);
        assert!(!seen.get() || reached.is_err(), "{reached:?}");
    });
    let config = Config {
        take_over: true,
        ..dma_default()
    };
    let iommu = Iommu::<_, 16>::with_devices(trace, config, &[display().into()]).unwrap();
    assert!(off.get());
    assert_eq!(read(&w, DISK, 0x7000), Err(258));
    drop(iommu);
}

/// Every reason to refuse a list; DMA goes on as before, and nothing leaks.
#[test]
fn boot_refusals_leave_everything_as_it_was() {
    let reserved = DeviceInfo {
        regions: &[DeviceRegion {
            start: FRAME_BUFFER,
            bytes: 0x1000,
            kind: RegionKind::Reserved,
        }],
        ..DISK.into()
    };
    let named = {
        let w = world();
        let other = start(&w, Config::default());
        other.add_device(DISK.into()).unwrap()
    };
    let with = |info, with| BootDevice {
        info,
        with,
        keeps: None,
    };
    let lists: [(&[BootDevice], Error); 8] = [
        (&[with(display(), Some(DISK))], Error::NotFound),
        (
            &[with(display(), None), with(display(), None)],
            Error::Exists,
        ),
        (
            &[with(display(), None), with(reserved, Some(DISPLAY))],
            Error::AddressInUse,
        ),
        (&[with(DeviceId(1 << 24).into(), None)], Error::OutOfRange),
        (&[with(DeviceId(128).into(), None)], Error::OutOfRange),
        (
            &[with(
                DeviceInfo {
                    group: Some(named),
                    ..DISK.into()
                },
                None,
            )],
            Error::Invalid,
        ),
        (
            &[with(
                DeviceInfo {
                    untrusted: true,
                    policy: Policy::Identity(identity()),
                    ..DISK.into()
                },
                None,
            )],
            Error::Invalid,
        ),
        (
            &[0, 1, 2].map(|n| with(DeviceId(n).into(), None)),
            Error::NoSpace,
        ),
    ];
    for (list, expected) in lists {
        for mode in [iommu_mode::OFF, iommu_mode::BARE] {
            let w = world();
            w.borrow_mut().ddtp = mode.into();
            let platform = Machine::<true>(w.clone());
            let error = Iommu::<_, 2>::with_devices(platform, dma_default(), list);
            assert_eq!(error.err().map(|e| e.error), Some(expected));
            assert_eq!((w.borrow().mode(), w.borrow().used()), (mode, 0));
        }
    }
    // A device that cannot be blocked, where unowned groups are.
    let w = world();
    w.borrow_mut().ddtp = 1;
    let blocked = Config::default();
    let result = Iommu::<_, 2>::with_devices(Machine::<true>(w.clone()), blocked, &known());
    assert_eq!(result.err().map(|e| e.error), Some(Error::Invalid));
    assert_eq!(read(&w, DISPLAY, FRAME_BUFFER), Ok(FRAME_BUFFER));
}

/// Whichever access fails for good: either it works, or DMA is off or goes where it went; and nothing is lost unless the
/// hardware did not confirm that it is off.
#[test]
fn boot_fails_at_any_access() {
    let mut at = 0;
    loop {
        let w = world();
        w.borrow_mut().ddtp = 1;
        let faulty = Faulty::new(Machine::<true>(w.clone()), move |n| n >= at);
        let [display, codec, disk] = known();
        let keeps = BootDevice {
            info: DeviceInfo {
                deferred: true,
                ..KEEPER.into()
            },
            with: None,
            keeps: Some(identity()),
        };
        let list = [keeps, display, codec, disk];
        let done = match Iommu::<_, 16>::with_devices(faulty, dma_default(), &list) {
            Ok(iommu) => {
                std::mem::forget(iommu);
                true
            }
            Err(_) => false,
        };
        let seen = read(&w, STRANGER, 0x1000);
        assert_eq!(seen == Err(258), w.borrow().mode() > 1, "access {at}");
        let kept = read(&w, KEEPER, 0x1000);
        assert_eq!(kept == Ok(0x1000), w.borrow().mode() > 0, "access {at}");
        if done {
            break;
        }
        // Most accesses are stores to fresh pages, alike.
        at += if at < 300 { 1 } else { 19 };
    }
    assert!(at > 1000, "{at}");
}

/// Memory ends at any allocation: `ENOMEM`, and DMA as before.
#[test]
fn boot_without_memory() {
    let mut left = 0;
    loop {
        let w = world();
        (w.borrow_mut().ddtp, w.borrow_mut().heap_limit) = (1, left);
        let platform = Machine::<true>(w.clone());
        match Iommu::<_, 16>::with_devices(platform, dma_default(), &known()) {
            Ok(_) => break,
            Err(e) => assert_eq!(e.error, Error::NoMemory),
        }
        assert_eq!((w.borrow().mode(), w.borrow().used()), (1, 0));
        assert_eq!(read(&w, DISPLAY, FRAME_BUFFER), Ok(FRAME_BUFFER));
        left += 4096;
    }
    assert!(left > 5 * 4096);
}

/// Given devices and mappings; when the driver hands over; then hardware is in Bare, by way of Off, without queues, and all
/// memory is back; and the platform serves the next start, which has no gap either.
#[test]
fn hand_over_in_bare_and_start_again() {
    let w = world();
    let iommu =
        Iommu::<_, 16>::with_devices(Machine::<true>(w.clone()), dma_default(), &known()).unwrap();
    let user = iommu.group(DISK).unwrap().use_default_domain().unwrap();
    drop(
        user.map(buffer(1 << 20, 0x1000).0, Direction::Both)
            .unwrap(),
    );
    drop(user);
    assert_eq!(read(&w, STRANGER, 0x1000), Err(258));
    let platform = iommu.stop_in_bare(&identity()).unwrap();
    let m = w.borrow();
    assert_eq!((m.mode(), m.used()), (iommu_mode::BARE, 0));
    assert_eq!((m.cqcsr & 0x1_0001, m.fqcsr & 0x1_0001), (0, 0));
    drop(m);
    assert_eq!(read(&w, STRANGER, 0x1000), Ok(0x1000));
    let again = Iommu::<_, 16>::with_devices(platform, dma_default(), &known()).unwrap();
    assert_eq!(read(&w, DISPLAY, FRAME_BUFFER), Ok(FRAME_BUFFER));
    assert_eq!(read(&w, STRANGER, 0x1000), Err(258));
    drop(again.stop().unwrap());
    assert_eq!((w.borrow().mode(), w.borrow().used()), (iommu_mode::OFF, 0));
}

/// Given hardware that does not take Bare, or does not confirm Off; when the driver hands over; then DMA stays off, or the
/// memory stays taken.
#[test]
fn hand_over_fails_closed() {
    let w = world();
    let iommu = start(&w, dma_default());
    iommu.add_device(DISK.into()).unwrap();
    w.borrow_mut().modes = 1 << 2 | 1;
    let failed = iommu.stop_in_bare(&identity()).err().expect("fails");
    assert_eq!(failed.error, Error::NotSupported);
    assert_eq!((w.borrow().mode(), w.borrow().used()), (iommu_mode::OFF, 0));

    let w = world();
    let iommu = start(&w, dma_default());
    iommu.add_device(DISK.into()).unwrap();
    w.borrow_mut().off_hangs = true;
    let failed = iommu.stop_in_bare(&identity()).err().expect("fails");
    assert_eq!(failed.error, Error::TimedOut);
    assert!(w.borrow().used() > 0, "the IOMMU may still read it");
}
