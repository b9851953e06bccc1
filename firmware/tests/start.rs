//! Start and stop (section 3.13 of the protocol).

mod common;

use common::*;
use portcullis::platform::Event;
use portcullis::*;
use portcullis_regmap::command::Op;
use portcullis_regmap::config::TINY;

fn fails(world: &Shared, config: Config) -> Error {
    let result = Iommu::<_, 16>::with_capacity(Machine::<true>(world.clone()), config);
    let error = result.err().expect("must not start").error;
    assert_eq!(world.borrow().used(), 0, "nothing leaks");
    error
}

#[test]
fn start_tiny() {
    let w = world();
    let iommu = start(&w, Config::default());
    let limits = iommu.limits();
    assert_eq!(limits.device_id_bits, 7);
    assert_eq!((limits.command_queue, limits.fault_queue), (256, 256));
    assert_eq!((iommu.health(), iommu.isolation()), (Health::Good, true));
    let m = w.borrow();
    assert_eq!(m.mode(), 2, "1LVL is all that tiny has");
    assert_eq!(
        (m.cqcsr, m.fqcsr),
        (0x1_0003, 0x1_0003),
        "on, with interrupts by wire"
    );
    let fence = Op::Iofence {
        pr: true,
        pw: true,
        wsi: false,
        store: None,
    };
    assert_eq!(m.executed.first(), Some(&Op::InvalDdt { did: None }));
    assert_eq!(m.executed.last(), Some(&fence), "caches may hold leftovers");
}

#[test]
fn start_contexts_are_idle() {
    let w = world();
    let _iommu = start(&w, Config::default());
    let m = w.borrow();
    let root = m.ddtp >> 10 << 12;
    for context in (root..root + 4096).step_by(32) {
        assert_eq!([0, 8, 16].map(|n| m.load(context + n)), [0, 0, 0]);
        let fsc = m.load(context + 24);
        assert_eq!(fsc >> 60, 8, "a real mode: zero would be identity");
        let empty = fsc << 12;
        assert!((empty..empty + 4096).step_by(8).all(|pa| m.load(pa) == 0));
    }
}

#[test]
fn start_stop_gives_everything_back() {
    let w = world();
    let iommu = start(&w, dma_default());
    iommu.add_device(DeviceId(5).into()).unwrap();
    assert!(w.borrow().used() > 0);
    drop(iommu);
    let m = w.borrow();
    assert_eq!(
        (m.mode(), m.cqcsr & 0x1_0001, m.fqcsr & 0x1_0001),
        (0, 0, 0)
    );
    assert_eq!(m.used(), 0);
}

/// Given a place of the caller's; when an IOMMU is started in it and stopped; then it works like one by value, the platform
/// comes back, and the place is empty.
#[test]
fn start_in_place() {
    let (w, mut place) = (world(), None);
    let machine = || Machine::<true>(w.clone());
    let devices = [DeviceInfo::from(DeviceId(5)).into()];
    let end = |place: &mut _, bare: Option<&TrustToken>| {
        Iommu::<Machine<true>, 16>::stop_in(place, bare).expect("stops")
    };
    assert!(end(&mut place, None).is_none(), "nothing is there");
    Iommu::start_in(&mut place, machine(), dma_default(), &devices).unwrap();
    let iommu = place.as_ref().unwrap();
    iommu.group(DeviceId(5)).unwrap();
    assert_eq!(w.borrow().mode(), 2);
    // In the place of one that runs: that is stopped before.
    Iommu::start_in(&mut place, machine(), Config::default(), &[]).unwrap();
    assert!(place.as_ref().unwrap().group(DeviceId(5)).is_err());
    assert!(end(&mut place, None).is_some() && place.is_none());
    assert_eq!((w.borrow().mode(), w.borrow().used()), (0, 0));
    Iommu::start_in(&mut place, machine(), Config::default(), &[]).unwrap();
    assert!(end(&mut place, Some(&identity())).is_some() && place.is_none());
    assert_eq!((w.borrow().mode(), w.borrow().used()), (1, 0), "Bare");
}

/// Given a start that is refused, or a stop that the hardware does not confirm; then the platform comes back, once, and the
/// place is empty.
#[test]
fn start_in_place_refused() {
    let (w, mut place) = (world(), None);
    let known = BootDevice {
        with: Some(DeviceId(9)),
        ..DeviceInfo::from(DeviceId(5)).into()
    };
    let machine = Machine::<true>(w.clone());
    let refused = Iommu::<_, 16>::start_in(&mut place, machine, dma_default(), &[known]);
    let refused = refused.expect_err("joins nobody");
    assert_eq!(refused.error, Error::NotFound);
    assert!(place.is_none());
    assert_eq!(w.borrow().used(), 0);
    Iommu::start_in(&mut place, refused.platform, dma_default(), &[]).unwrap();
    w.borrow_mut().off_hangs = true;
    let stuck = Iommu::stop_in(&mut place, None).err().expect("fails");
    assert_eq!(stuck.error, Error::TimedOut);
    assert!(place.is_none() && w.borrow().used() > 0);
    // Nobody but the test and the platform that came back.
    assert_eq!(std::rc::Rc::strong_count(&w), 2);
}

#[test]
fn start_version_and_features() {
    let with = |caps| {
        let w = world();
        w.borrow_mut().capabilities = caps;
        w
    };
    assert_eq!(
        fails(&with(TINY.capabilities & !0xff | 0x20), Config::default()),
        Error::NotSupported
    );
    assert_eq!(
        fails(&with(TINY.capabilities & !0x200), Config::default()),
        Error::NotSupported,
        "needs Sv39"
    );
    let newer = with(TINY.capabilities | 0x01);
    start(&newer, Config::default());
}

#[test]
fn start_fctl() {
    let w = world();
    (w.borrow_mut().fctl, w.borrow_mut().fctl_writable) = (0x7, 0x7);
    let iommu = start(&w, Config::default());
    assert_eq!(w.borrow().fctl, 0x2);
    drop(iommu);
    let w = world();
    (w.borrow_mut().fctl, w.borrow_mut().fctl_writable) = (0x6, 0);
    assert_eq!(
        fails(&w, Config::default()),
        Error::NotSupported,
        "GXL fixed at 1 rules Sv39 out"
    );
}

#[test]
fn start_without_wires_polls() {
    let w = world();
    w.borrow_mut().capabilities &= !(3 << 28);
    w.borrow_mut().fctl = 0;
    let _iommu = start(&w, Config::default());
    assert_eq!((w.borrow().cqcsr, w.borrow().fqcsr), (0x1_0001, 0x1_0001));
}

#[test]
fn start_over_a_directory_in_use() {
    let w = world();
    w.borrow_mut().ddtp = 0x1234 << 10 | 2;
    assert_eq!(fails(&w, Config::default()), Error::Busy);
    assert_eq!(w.borrow().mode(), 2, "left alone");
    let iommu = start(
        &w,
        Config {
            take_over: true,
            ..Config::default()
        },
    );
    assert_ne!(w.borrow().ddtp >> 10, 0x1234);
    drop(iommu);
}

#[test]
fn start_with_queues_left_on() {
    let w = world();
    (w.borrow_mut().cqcsr, w.borrow_mut().fqcsr) = (0x1_0001, 0x1_0001);
    start(&w, Config::default());
}

#[test]
fn start_from_bare() {
    let w = world();
    w.borrow_mut().ddtp = 1;
    start(&w, Config::default());
}

#[test]
fn start_probes_directory_levels() {
    for (modes, levels, bits) in [
        (0b1_1111, 3, 24),
        (0b0_1111, 2, 16),
        (0b0_1011, 2, 16),
        (0b0_0111, 1, 7),
    ] {
        let w = world();
        w.borrow_mut().modes = modes;
        let iommu = start(&w, Config::default());
        assert_eq!(
            (w.borrow().mode(), iommu.limits().device_id_bits),
            (levels + 1, bits)
        );
    }
    let w = world();
    w.borrow_mut().modes = 0b11;
    assert_eq!(fails(&w, Config::default()), Error::NotSupported);
}

#[test]
fn start_queue_sizes_follow_the_hardware() {
    let w = world();
    w.borrow_mut().log2_max = 2;
    let iommu = start(
        &w,
        Config {
            command_queue: 100,
            fault_queue: 3,
            ..Config::default()
        },
    );
    assert_eq!(
        (iommu.limits().command_queue, iommu.limits().fault_queue),
        (8, 4)
    );
    let w = world();
    let iommu = start(
        &w,
        Config {
            command_queue: 0,
            fault_queue: 1000,
            ..Config::default()
        },
    );
    assert_eq!(
        (iommu.limits().command_queue, iommu.limits().fault_queue),
        (2, 256)
    );
    iommu.add_device(DeviceId(1).into()).unwrap();
}

#[test]
fn start_without_memory() {
    let mut limit = 0;
    loop {
        let w = world();
        w.borrow_mut().heap_limit = limit;
        let config = Config {
            table_chunk: 1,
            ..Config::default()
        };
        let result = Iommu::<_, 16>::with_capacity(Machine::<true>(w.clone()), config);
        let Err(failed) = result else { break };
        assert_eq!(failed.error, Error::NoMemory);
        assert_eq!(w.borrow().used(), 0);
        limit += 4096;
    }
    assert_eq!(
        limit,
        5 * 4096,
        "empty root, commands, two pages of faults, directory"
    );
}

#[test]
fn start_memory_beyond_reach_is_refused() {
    let w = world();
    w.borrow_mut().capabilities = TINY.capabilities & !(0x3f << 32) | 31 << 32;
    assert_eq!(
        fails(&w, Config::default()),
        Error::NoMemory,
        "the heap begins at 2 GiB"
    );
}

#[test]
fn start_nothing_there() {
    let w = world();
    w.borrow_mut().lost = true;
    assert_eq!(fails(&w, Config::default()), Error::Io);
}

#[test]
fn start_without_working_queue_ends_in_off() {
    let w = world();
    w.borrow_mut().always_illegal = true;
    assert_eq!(fails(&w, Config::default()), Error::Io);
    assert_eq!(w.borrow().mode(), 0);
    assert!(w.borrow().events.contains(&Event::Closed));
}

#[test]
fn add_device_refusals() {
    let w = world();
    let iommu = Iommu::<_, 2>::with_capacity(Machine::<true>(w.clone()), dma_default()).unwrap();
    let id = iommu.add_device(DeviceId(127).into()).unwrap();
    assert_eq!(
        iommu.add_device(DeviceId(128).into()),
        Err(Error::OutOfRange),
        "wider than 1LVL"
    );
    assert_eq!(
        iommu.add_device(DeviceId(1 << 24).into()),
        Err(Error::OutOfRange)
    );
    assert_eq!(
        iommu.add_device(DeviceId(u32::MAX).into()),
        Err(Error::OutOfRange)
    );
    assert_eq!(iommu.add_device(DeviceId(127).into()), Err(Error::Exists));
    assert_eq!(
        iommu.add_device(DeviceInfo {
            group: Some(id),
            ..DeviceId(127).into()
        }),
        Err(Error::Exists)
    );
    iommu.add_device(DeviceId(3).into()).unwrap();
    assert_eq!(iommu.add_device(DeviceId(4).into()), Err(Error::NoSpace));
    assert_eq!(iommu.group(DeviceId(4)).err(), Some(Error::NoDevice));
    assert_eq!(iommu.group(DeviceId(3)).unwrap().status(), Status::Idle);
    assert_eq!(w.borrow_mut().dma(4, 0, Dma::Read), Err(258));
}

#[test]
fn add_device_deep_directories() {
    for modes in [0b0_1111, 0b1_1111] {
        let w = world();
        w.borrow_mut().modes = modes;
        let iommu = start(&w, dma_default());
        let top = (1 << iommu.limits().device_id_bits) - 1;
        for id in [0, 0x7f, 0x80, 0x8025, top] {
            iommu.add_device(DeviceId(id).into()).unwrap();
            assert_eq!(
                w.borrow_mut().dma(id, 0x1000, Dma::Read),
                Err(13),
                "an empty default domain"
            );
        }
        assert_eq!(w.borrow_mut().dma(0x81, 0x1000, Dma::Read), Err(258));
        drop(iommu);
        assert_eq!(w.borrow().used(), 0);
    }
}

#[test]
fn add_device_extended_contexts() {
    let w = world();
    w.borrow_mut().capabilities |= 1 << 22;
    let iommu = start(&w, dma_default());
    assert_eq!(iommu.limits().device_id_bits, 6);
    iommu.add_device(DeviceId(63).into()).unwrap();
    assert_eq!(w.borrow_mut().dma(63, 0x1000, Dma::Write), Err(15));
    let gvma = |op: &Op| matches!(op, Op::Iotinval { gvma: true, .. });
    assert!(
        w.borrow().executed.iter().any(gvma),
        "cached MSI entries go by GVMA"
    );
}

/// Scenario T53.
#[test]
fn t53_no_second_stage_no_gvma() {
    let w = world();
    let iommu = start(&w, dma_default());
    iommu.add_device(DeviceId(1).into()).unwrap();
    let owned = iommu.group(DeviceId(1)).unwrap().claim(&owner(1)).unwrap();
    let owned = owned
        .attach(iommu.paging_domain(DomainConfig::default()).unwrap())
        .unwrap();
    owned.release();
    w.borrow_mut().illegal_in = Some(0);
    iommu
        .group(DeviceId(1))
        .unwrap()
        .claim(&owner(1))
        .unwrap()
        .release();
    assert_eq!(iommu.health(), Health::Degraded);
    let gvma = |op: &Op| matches!(op, Op::Iotinval { gvma: true, .. });
    assert!(!w.borrow().executed.iter().any(gvma));
}
