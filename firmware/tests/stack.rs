//! Stack of each call: the distance between the caller's frame and the deepest call of the platform. What the driver does
//! without calling the platform is shallower. The goal is 1 KiB; on x86-64 a few calls need somewhat more, the ranges of
//! an unmap and the tables on the way of a walk being most of it.

mod common;

use std::cell::Cell;
use std::rc::Rc;

use common::*;
use portcullis::platform::Trace;
use portcullis::*;

const DEV: DeviceId = DeviceId(3);
const MOST: usize = 1280;

/// Address of the frame that calls this.
#[inline(never)]
fn here() -> usize {
    let local = 0u8;
    std::hint::black_box(&raw const local) as usize
}

#[test]
fn stack_of_every_call() {
    let w = world();
    w.borrow_mut().capabilities |= 1 << 38;
    let deepest = Rc::new(Cell::new(usize::MAX));
    let lowest = deepest.clone();
    let trace = Trace::new(Machine::<true>(w.clone()), move |_| {
        lowest.set(lowest.get().min(here()));
    });
    let config = Config {
        flush_queue: 1,
        default_domain: DefaultDomainType::DmaFq,
        ..Config::default()
    };
    let iommu = Iommu::<_, 16>::with_capacity(trace, config).unwrap();
    let worst = Cell::new(0);
    macro_rules! measure {
        ($name:literal, $call:expr) => {{
            deepest.set(usize::MAX);
            let base = here();
            let result = $call;
            if deepest.get() != usize::MAX {
                let used = base.saturating_sub(deepest.get());
                println!("{:>6} bytes of stack: {}", used, $name);
                worst.set(worst.get().max(used));
            }
            result
        }};
    }
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
    let domain = |mode| iommu.paging_domain(DomainConfig { mode });
    let one = measure!("paging_domain", domain(Mode::Sv39)).unwrap();
    let two = domain(Mode::Sv39).unwrap();
    measure!("map", map(&one, 0x7000, 0x10_0000, 0x40_0000, Perm::READ)).unwrap();
    let owned = measure!("claim", group.claim(&owner(1))).unwrap();
    let owned = measure!("attach", owned.attach(one)).unwrap();
    measure!("unmap", owned.domain().unmap(Iova(0), 0x80_0000)).unwrap();
    let (owned, old) = measure!("replace", owned.replace(two)).unwrap();
    let guard = measure!("attach_pasid", owned.attach_pasid(Pasid(5), old)).unwrap();
    measure!("detach a process", drop(guard));
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
    measure!("remove_device", iommu.remove_device(DEV)).unwrap();
    println!("{:>6} bytes at most", worst.get());
    assert!(worst.get() > 100, "nothing was measured");
    assert!(worst.get() <= MOST, "{} bytes", worst.get());
}
