//! Stack of each call: the distance between the caller's frame and the deepest call of the platform, at most 1 KiB. What
//! the driver does without calling the platform is shallower. Failures count too: repairing the command queue happens at
//! the bottom of the call that met its failure. The bound holds in the test profile (`opt-level = 1`) and in `--release`;
//! on RISC-V too, see `cargo xtask verify --only riscv`, which also reads it off the machine code.
//!
//! Starting and stopping count, in `--release`. A start that answers the IOMMU by value has it on its stack besides, on
//! its way to the caller: `Iommu::start_in` is for whoever has no room for that.

mod common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use common::*;
use portcullis::platform::Trace;
use portcullis::*;

const DEV: DeviceId = DeviceId(3);
const MOST: usize = 1024;

const REGIONS: &[DeviceRegion] = &[
    DeviceRegion {
        start: 0x10_0000,
        bytes: 0x20_1000,
        kind: RegionKind::DirectRelaxable(Perm::READ_WRITE),
    },
    DeviceRegion {
        start: 0x80_0000,
        bytes: 0x1000,
        kind: RegionKind::Reserved,
    },
];

/// Address of the frame that calls this.
#[inline(never)]
fn here() -> usize {
    let local = 0u8;
    std::hint::black_box(&raw const local) as usize
}

thread_local! {
    /// Where the deepest call of the platform had its frame.
    static DEEPEST: Cell<usize> = const { Cell::new(usize::MAX) };
    static WORST: Cell<usize> = const { Cell::new(0) };
}

/// What a call of the driver needs: no function, which would have a frame of its own.
macro_rules! measure {
    ($name:literal, $call:expr) => {
        measure!($name, besides 0, $call)
    };
    ($name:literal, besides $bytes:expr, $call:expr) => {{
        DEEPEST.set(usize::MAX);
        let base = here();
        let result = $call;
        if DEEPEST.get() != usize::MAX {
            let used = base.saturating_sub(DEEPEST.get());
            let besides: usize = $bytes;
            match besides {
                0 => println!("{used:>6} bytes of stack: {}", $name),
                _ => println!("{used:>6} bytes of stack, {besides} of them the IOMMU: {}", $name),
            }
            WORST.set(WORST.get().max(used.saturating_sub(besides)));
        }
        result
    }};
}

/// A closure with a type of its own, so that it is compiled into the platform as a platform's own code would be.
fn probe(w: &Rc<RefCell<World>>) -> Trace<Machine<true>, impl FnMut(portcullis::platform::Op)> {
    Trace::new(Machine(w.clone()), |_| {
        DEEPEST.set(DEEPEST.get().min(here()));
    })
}

/// Bytes of an IOMMU by value, with the settings that it is made of.
fn size_of_unit<P: portcullis::platform::Platform>(_: &Iommu<P, 16>) -> usize {
    size_of::<Iommu<P, 16>>() + size_of::<Config>()
}

/// A device with regions, one that joins it with another wish, and one that keeps what it has.
fn known() -> [BootDevice; 3] {
    let first = DeviceInfo {
        regions: REGIONS,
        ..DEV.into()
    };
    let second = DeviceInfo {
        policy: Policy::Identity(identity()),
        ..DeviceId(7).into()
    };
    let third = DeviceInfo {
        deferred: true,
        ..DeviceId(8).into()
    };
    [
        first.into(),
        BootDevice {
            with: Some(DEV),
            ..second.into()
        },
        BootDevice {
            keeps: Some(identity()),
            ..third.into()
        },
    ]
}

/// Starting, from Bare and behind somebody else, and stopping, by value and in a place of the caller's.
fn start_and_stop() {
    let config = Config {
        take_over: true,
        default_domain: DefaultDomainType::Dma,
        ..Config::default()
    };
    let w = world();
    w.borrow_mut().capabilities |= 1 << 38;
    let devices = known();
    let [bare, off] = [true, false];
    let size = size_of_unit(&Iommu::new(probe(&w), config).unwrap());
    for (found_bare, stop_bare) in [(bare, off), (off, bare)] {
        w.borrow_mut().ddtp = u64::from(found_bare);
        let probe = probe(&w);
        let started = measure!(
            "with_devices", besides size,
            Iommu::<_, 16>::with_devices(probe, config, &devices)
        );
        let iommu = started.unwrap();
        let token = identity();
        let stopped = match stop_bare {
            true => measure!("stop_in_bare", iommu.stop_in_bare(&token)),
            false => measure!("stop", iommu.stop()),
        };
        stopped.map(drop).unwrap();
    }
    // Somebody else's directory is in use, and the queue stops on the way.
    std::mem::forget(Iommu::new(probe(&w), config).unwrap());
    w.borrow_mut().illegal_in = Some(2);
    let (mut place, probe) = (None, probe(&w));
    let started = measure!(
        "start_in",
        Iommu::<_, 16>::start_in(&mut place, probe, config, &devices)
    );
    started.unwrap();
    let stopped = measure!("stop_in", Iommu::stop_in(&mut place, None));
    assert!(stopped.unwrap().is_some() && place.is_none());
}

#[test]
fn stack_of_every_call() {
    start_and_stop();
    if cfg!(debug_assertions) {
        // Told, but not bounded: what is one frame in a release are several here.
        WORST.set(0);
    }
    let w = world();
    w.borrow_mut().capabilities |= 1 << 38;
    let config = Config {
        flush_queue: 1,
        default_domain: DefaultDomainType::DmaFq,
        ..Config::default()
    };
    let mut iommu = Iommu::new(probe(&w), config).unwrap();
    let admin = iommu.admin_token();
    let iommu = &iommu;
    let info = DeviceInfo {
        process_ids: true,
        ..DEV.into()
    };
    measure!("add_device", iommu.add_device(info)).unwrap();
    let group = iommu.group(DEV).unwrap();
    let user = measure!("use_default_domain", group.use_default_domain()).unwrap();
    let [a, b, c] = [1, 2, 3].map(|n| buffer(n << 20, 0x1000).0);
    let a = measure!("map a buffer", user.map(a, Direction::Both)).unwrap();
    let [b, c] = [b, c].map(|b| user.map(b, Direction::Both).unwrap());
    measure!("unmap a buffer", a.unmap()).unwrap();
    let pending = measure!("unmap_later", b.unmap_later()).unwrap();
    let flushed = measure!("unmap_later with a flush", c.unmap_later()).unwrap();
    measure!("wait for a buffer", flushed.wait()).unwrap();
    drop((pending, user));
    let new = || iommu.paging_domain(DomainConfig::default());
    let one = measure!("paging_domain", new()).unwrap();
    let two = new().unwrap();
    measure!("map", map(&one, 0x7000, 0x10_0000, 0x40_0000, Perm::READ)).unwrap();
    let owned = measure!("claim", group.claim(&owner(1))).unwrap();
    let owned = measure!("attach", owned.attach(one)).unwrap();
    measure!("unmap", owned.domain().unmap(Iova(0), 0x80_0000)).unwrap();
    let (owned, old) = measure!("replace", owned.replace(two)).unwrap();
    let (owned, old) = measure!("replace_hitless", owned.replace_hitless(old)).unwrap();
    let three = new().unwrap();
    let guard = measure!("attach_pasid", owned.attach_pasid(Pasid(5), old)).unwrap();
    let (guard, _) = measure!("replace a process's", guard.replace(three)).unwrap();
    measure!("detach a process", drop(guard));
    let domain = owned.domain();
    map(domain, 0, 0x10_0000, 0x40_0000, Perm::READ).unwrap();
    let deferred = measure!("unmap_deferred", domain.unmap_deferred(Iova(0), 0x20_0000));
    assert!(!domain.reusable(&deferred.unwrap()));
    measure!("flush", domain.flush()).unwrap();
    let mut gather = domain.gather();
    measure!(
        "unmap_gather",
        domain.unmap_gather(Iova(0), 0x80_0000, &mut gather)
    )
    .unwrap();
    measure!("sync", gather.sync()).unwrap();
    let reset = measure!("reset_device", iommu.reset_device(DEV)).unwrap();
    measure!("end of a reset", reset.done());
    let (owned, old) = measure!("detach", owned.detach());
    measure!("drop a domain", drop(old));
    measure!("release", owned.release());
    measure!("poll", iommu.poll()).unwrap();
    w.borrow_mut().dma(DEV.0, 0x5000, Dma::Read).unwrap_err();
    measure!("drain", iommu.faults().drain(8, |_| {})).unwrap();
    w.borrow_mut().stall = u64::MAX;
    measure!("claim of stuck hardware", group.claim(&owner(1)).err());
    w.borrow_mut().stall = 0;
    // SAFETY: the model's memory is as it was.
    measure!("recover", unsafe { iommu.recover() }).unwrap();
    // Devices with regions, of which the second changes the default domain of the first.
    let regions = DeviceInfo {
        regions: REGIONS,
        ..DeviceId(7).into()
    };
    let peculiar = measure!("add_device with regions", iommu.add_device(regions)).unwrap();
    let picky = DeviceInfo {
        group: Some(peculiar),
        policy: Policy::Identity(identity()),
        ..DeviceId(8).into()
    };
    measure!("add_device to another type", iommu.add_device(picky)).unwrap();
    measure!("device_gone", iommu.device_gone(DeviceId(8))).unwrap();
    let group = iommu.group(peculiar).unwrap();
    for kind in [DefaultDomainType::Blocked, DefaultDomainType::Dma] {
        let result = measure!(
            "set_default_domain_type",
            group.set_default_domain_type(kind, &admin)
        );
        result.unwrap();
    }
    let claim = measure!("claim_device", iommu.claim_device(DEV, &owner(2))).unwrap();
    measure!("release_device", claim.release_device());
    let group = iommu.group(DEV).unwrap();

    // The command queue stops at every step, is reset, and the call succeeds all the same.
    let user = group.use_default_domain().unwrap();
    for (name, bytes) in [("a page", 0x1000), ("2 MiB and a page", 0x20_1000)] {
        let mapped = user.map(buffer(1 << 30, bytes).0, Direction::Both).unwrap();
        w.borrow_mut().illegal_in = Some(0);
        println!("the queue stops, {name}:");
        measure!("unmap a buffer", mapped.unmap()).unwrap();
    }
    w.borrow_mut().illegal_in = Some(0);
    let spare = iommu.paging_domain(DomainConfig::default()).unwrap();
    let managed = measure!("attach, repaired", user.attach(spare)).unwrap();
    w.borrow_mut().illegal_in = Some(0);
    measure!("end of use, repaired", drop(managed));
    measure!("remove_device", iommu.remove_device(DEV)).unwrap();
    let worst = WORST.get();
    println!("{worst:>6} bytes at most");
    assert!(worst > 100, "nothing was measured");
    assert!(worst <= MOST, "{worst} bytes");
}
