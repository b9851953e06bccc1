//! One driver on several platforms: what it does must not depend on how it reaches the hardware (T76), nor on how long
//! that takes.

#[path = "bridge/board.rs"]
mod board;
mod common;

use std::alloc::{Layout, alloc_zeroed};
use std::cell::RefCell;
use std::rc::Rc;

use board::Bench;
use common::*;
use portcullis::platform::*;
use portcullis::*;
use portcullis_regmap::regs::offset;

const DEVICES: [DeviceId; 2] = [DeviceId(5), DeviceId(6)];
const IOVA: u64 = 0x40_0000;
const RED: u64 = 0x1100_0000;
const BLUE: u64 = 0x2200_0000;
/// Memory for the driver.
const BYTES: usize = 64 * 4096;

/// Asks the hardware model where a device's read goes.
type Probe<'p> = &'p dyn Fn(u32) -> Result<u64, u16>;

/// Everything a driver does, and what a device reaches after each step.
fn script<P: Platform>(platform: P, probe: Probe) -> Vec<Result<u64, u16>> {
    let mut reached = Vec::new();
    let mut look = || reached.extend(DEVICES.map(|d| probe(d.0)));
    let config = Config {
        table_chunk: 4,
        interrupts: false,
        ..dma_default()
    };
    let iommu = Iommu::<P>::new(platform, config).expect("starts");
    for device in DEVICES {
        iommu.add_device(device.into()).unwrap();
    }
    look();
    let domain = |colour| {
        let domain = iommu.paging_domain(DomainConfig::default()).unwrap();
        map(&domain, IOVA, colour, 0x20_0000, Perm::READ).unwrap();
        domain
    };
    let owned = iommu.group(DEVICES[0]).unwrap().claim(&owner(1)).unwrap();
    look();
    let owned = owned.attach(domain(RED)).unwrap();
    look();
    let (owned, old) = owned.replace(domain(BLUE)).unwrap();
    look();
    drop(old);
    owned.domain().unmap(Iova(IOVA), 0x20_0000).unwrap();
    look();
    map(owned.domain(), IOVA, RED, 4096, Perm::READ_WRITE).unwrap();
    look();
    let _ = owned.domain().unmap_deferred(Iova(IOVA), 4096).unwrap();
    owned.domain().flush().unwrap();
    look();
    let (owned, _) = owned.detach();
    owned.release();
    iommu.remove_device(DEVICES[1]).unwrap();
    look();
    assert_eq!(iommu.health(), Health::Good);
    reached
}

/// The behavioural model, with memory taken as the other platforms take it.
struct Direct {
    machine: Machine,
    region: Region,
}

impl Registers for Direct {
    type Error = Never;
    fn read32(&mut self, offset: u16) -> Result<u32, Never> {
        self.machine.read32(offset)
    }
    fn write32(&mut self, offset: u16, value: u32) -> Result<(), Never> {
        self.machine.write32(offset, value)
    }
}

// SAFETY: the memory is a map inside the model.
unsafe impl DmaMemory for Direct {
    const STORE: StoreWidth = StoreWidth::W8;
    fn alloc(&mut self, bytes: usize, align: usize) -> Option<PhysAddr> {
        self.region.take(bytes, align)
    }
    unsafe fn free(&mut self, pa: PhysAddr, _: usize) {
        self.region.give_back(pa);
    }
    fn load64(&mut self, pa: PhysAddr) -> Result<u64, Never> {
        self.machine.load64(pa)
    }
    fn store64(&mut self, pa: PhysAddr, value: u64) -> Result<(), Never> {
        self.machine.store64(pa, value)
    }
    fn store32(&mut self, pa: PhysAddr, value: u32) -> Result<(), Never> {
        self.machine.store32(pa, value)
    }
}

impl Barriers for Direct {
    fn barrier(&mut self, _: Barrier) {}
}

impl Clock for Direct {
    fn now_us(&mut self) -> u64 {
        self.machine.now_us()
    }
    fn relax(&mut self) {
        self.machine.relax();
    }
}

/// Memory and a register page of this process, with the behavioural model behind them: whenever the driver looks at its
/// clock, the model takes note of what was written and answers in the registers.
struct Page {
    world: Shared,
    registers: *mut u32,
    memory: *mut u64,
    physical: u64,
    /// What the registers and the memory held when the model last looked.
    seen: [u32; 1024],
    known: Vec<u64>,
}

impl Page {
    fn new(world: &Shared, physical: u64) -> Self {
        let pages = |bytes| {
            let layout = Layout::from_size_align(bytes, 4096).unwrap();
            // SAFETY: the layout is not empty. The pages are never given back.
            unsafe { alloc_zeroed(layout) }
        };
        let mut page = Page {
            world: world.clone(),
            registers: pages(4096).cast(),
            memory: pages(BYTES).cast(),
            physical,
            seen: [0; 1024],
            known: vec![0; BYTES / 8],
        };
        (0..BYTES / 8).for_each(|n| world.borrow_mut().store(physical + 8 * n as u64, 0));
        page.tick();
        page
    }

    fn tick(&mut self) {
        for (n, known) in self.known.iter_mut().enumerate() {
            // SAFETY: inside of the pages allocated above, aligned.
            let now = unsafe { self.memory.add(n).read_volatile() };
            if now != *known {
                *known = now;
                self.world
                    .borrow_mut()
                    .store(self.physical + 8 * n as u64, now);
            }
        }
        let mut changed = Vec::new();
        for (n, seen) in self.seen.iter().enumerate() {
            // SAFETY: as above.
            let now = unsafe { self.registers.add(n).read_volatile() };
            if now != *seen {
                changed.push((4 * n as u16, now));
            }
        }
        // High halves first, as the driver writes them.
        changed.sort_by_key(|(at, _)| (at & !7, !at & 4 != 0));
        for (at, value) in changed {
            self.world.borrow_mut().write(at, value);
        }
        for (n, seen) in self.seen.iter_mut().enumerate() {
            let at = 4 * n as u16;
            *seen = match at {
                // Reading this one lets the model work; it has by now.
                offset::CQH => self.world.borrow().cqh,
                _ => self.world.borrow_mut().read(at),
            };
            // SAFETY: as above.
            unsafe { self.registers.add(n).write_volatile(*seen) };
        }
        self.world.borrow_mut().now += 1;
    }
}

/// The driver reads and writes the same memory and registers in the same order on all platforms, and devices reach the
/// same.
#[test]
fn t76_one_script_three_platforms() {
    let fresh = || {
        let w = world();
        w.borrow_mut().log2_max = 31;
        w
    };
    let traced = |log: &Log| {
        let log = log.clone();
        move |op| log.borrow_mut().push(op)
    };
    let probe = |w: &Shared, did| w.borrow_mut().dma(did, IOVA, Dma::Read);
    let mut runs = Vec::new();

    let (w, log) = (fresh(), Log::default());
    let start = w.borrow_mut().alloc(BYTES as u64, 4096).unwrap();
    let direct = Direct {
        machine: Machine(w.clone()),
        region: Region::new(PhysAddr(start), BYTES as u64),
    };
    let reached = script(Trace::new(direct, traced(&log)), &|did| probe(&w, did));
    runs.push(("direct", reached, log.take()));

    let (w, log) = (fresh(), Log::default());
    let bench = Bench::new(&w);
    bench.board.borrow_mut().region.1 = BYTES as u64;
    let bridge = bench.connect::<true>(1, 0).expect("connects");
    let reached = script(Trace::new(bridge, traced(&log)), &|did| probe(&w, did));
    runs.push(("bridge", reached, log.take()));

    let (w, log) = (fresh(), Log::default());
    let start = w.borrow_mut().alloc(BYTES as u64, 4096).unwrap();
    let page = Rc::new(RefCell::new(Page::new(&w, start)));
    let (registers, memory) = (page.borrow().registers, page.borrow().memory);
    let ticking = page.clone();
    let now = move || {
        ticking.borrow_mut().tick();
        ticking.borrow().world.borrow().now
    };
    // SAFETY: both pieces are never given back, and only the model beside them looks at them, while the driver waits.
    let mmio = unsafe { Mmio::new(registers.cast(), memory.cast(), PhysAddr(start), BYTES, now) };
    let reached = script(Trace::new(mmio, traced(&log)), &|did| {
        page.borrow_mut().tick();
        probe(&w, did)
    });
    runs.push(("mmio", reached, log.take()));

    let fault = Err(13);
    let expected = [
        [fault, fault],
        [Err(258), fault],
        [Ok(RED), fault],
        [Ok(BLUE), fault],
        [fault, fault],
        [Ok(RED), fault],
        [fault, fault],
        [fault, Err(258)],
    ];
    // The machines differ in nothing but time.
    let timeless = |op: &Op| match *op {
        Op::Event(Event::Changed(change)) => Op::Event(Event::Changed(Change {
            wait_us: 0,
            ..change
        })),
        op => op,
    };
    for (name, reached, log) in &runs {
        assert_eq!(reached, &expected.as_flattened(), "{name}");
        assert!(log.len() > 1000);
        for (n, (op, direct)) in log.iter().zip(&runs[0].2).enumerate() {
            assert_eq!(timeless(op), timeless(direct), "{name}, access {n}");
        }
        assert_eq!(log.len(), runs[0].2.len(), "{name}");
    }
}

/// An access outside of what the platform was given is refused, and memory is as it was.
#[test]
fn mmio_stays_inside() {
    let mut registers = vec![0u64; 512];
    let mut memory = vec![0u64; 1024 + 512];
    let skew = memory.as_ptr() as u64 % 4096;
    let physical = PhysAddr(0x8000_0000 + skew);
    let bytes = memory.len() * 8;
    // SAFETY: both vectors live longer than the platform and are not touched meanwhile.
    let mut mmio = unsafe {
        let (registers, memory) = (registers.as_mut_ptr(), memory.as_mut_ptr());
        Mmio::new(registers.cast(), memory.cast(), physical, bytes, || 7)
    };
    assert_eq!(mmio.now_us(), 7);
    mmio.write32(8, 5).unwrap();
    assert_eq!((mmio.read32(8), mmio.read64(8)), (Ok(5), Ok(5)));
    assert!(mmio.read32(2).is_err() && mmio.write32(4096, 1).is_err());
    let pa = mmio.alloc(8192, 4096).expect("two whole pages");
    assert!(pa.0.is_multiple_of(4096) && mmio.alloc(4096, 4096).is_none() || skew == 0);
    mmio.store64(pa, 0x1122_3344_5566_7788).unwrap();
    mmio.store32(PhysAddr(pa.0 + 4), 9).unwrap();
    assert_eq!(mmio.load64(pa), Ok(0x9_5566_7788));
    for outside in [0, physical.0 - 8, physical.0 + bytes as u64, pa.0 + 4] {
        assert!(mmio.load64(PhysAddr(outside)).is_err());
        assert!(mmio.store64(PhysAddr(outside), 1).is_err());
    }
    assert!(mmio.store32(PhysAddr(pa.0 + 2), 1).is_err());
    // SAFETY: taken above.
    unsafe { mmio.free(pa, 8192) };
    assert_eq!(mmio.alloc(8192, 4096), Some(pa));
    assert_eq!(registers[1], 5);
    assert_eq!(memory.iter().filter(|w| **w != 0).count(), 1);
}

/// However long an access takes, devices that hammer meanwhile reach what they should, and nothing else.
#[test]
fn slow_accesses_change_nothing() {
    let w = world();
    let config = Config {
        timeouts: Timeouts {
            command_us: 100_000,
            register_us: 100_000,
        },
        ..dma_default()
    };
    let iommu: Iommu<_> =
        Iommu::new(Slow::new(Machine::<true>(w.clone()), 1000), config).expect("starts");
    iommu.add_device(DEVICES[0].into()).unwrap();
    w.borrow_mut().hammer = vec![(DEVICES[0].0, IOVA)];
    let during = || std::mem::take(&mut w.borrow_mut().reached);
    let before = w.borrow().now;
    let owned = iommu.group(DEVICES[0]).unwrap().claim(&owner(1)).unwrap();
    let took = w.borrow().now - before;
    assert!((8_000..100_000).contains(&took), "claim took {took} us");
    assert!(during().iter().all(|r| matches!(r, Err(13 | 258))));
    let domain = iommu.paging_domain(DomainConfig::default()).unwrap();
    map(&domain, IOVA, RED, 4096, Perm::READ).unwrap();
    during();
    let owned = owned.attach(domain).unwrap();
    assert!(during().iter().all(|r| matches!(r, Err(258) | Ok(RED))));
    let domain = iommu.paging_domain(DomainConfig::default()).unwrap();
    map(&domain, IOVA, BLUE, 4096, Perm::READ).unwrap();
    during();
    let (owned, _red) = owned.replace_hitless(domain).unwrap();
    assert!(during().iter().all(|r| matches!(r, Ok(RED | BLUE))));
    let (_owned, _blue) = owned.detach();
    assert!(during().iter().all(|r| matches!(r, Err(258) | Ok(BLUE))));
    assert_eq!(iommu.health(), Health::Good);
}

/// Hardware behind a slow line that never answers: calls still end, and say so.
#[test]
fn slow_and_stuck_still_ends() {
    let w = world();
    let slow = Slow::new(Machine::<true>(w.clone()), 500);
    let iommu: Iommu<_> = Iommu::new(slow, Config::default()).expect("starts");
    iommu.add_device(DEVICES[0].into()).unwrap();
    let owned = iommu.group(DEVICES[0]).unwrap().claim(&owner(1)).unwrap();
    let domain = iommu.paging_domain(DomainConfig::default()).unwrap();
    w.borrow_mut().stall = u64::MAX;
    w.borrow_mut().always_illegal = true;
    let refused = owned.attach(domain).expect_err("stuck");
    assert_eq!((refused.error, iommu.health()), (Error::Io, Health::Closed));
}
