//! A small behavioural IOMMU with memory: enough to watch and to disturb the driver. Commands execute at once unless
//! told otherwise; caches are as lazy about forgetting as the specification allows.

#![allow(dead_code, reason = "every test file uses another part")]

mod model;
mod walk;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

pub use model::World;
use portcullis::platform::{
    Barrier, Barriers, Clock, DmaMemory, Event, Op, Platform, Registers, StoreWidth, Trace,
};
use portcullis::*;
pub use walk::Dma;

/// Handle to a [`World`], as a platform with 8-byte or 4-byte stores.
pub struct Machine<const WIDE: bool = true>(pub Rc<RefCell<World>>);

/// Transport errors are injected by [`portcullis::platform::Faulty`], not here.
#[derive(Debug)]
pub struct Never;

impl<const WIDE: bool> Registers for Machine<WIDE> {
    type Error = Never;

    fn read32(&mut self, offset: u16) -> Result<u32, Never> {
        Ok(self.0.borrow_mut().read(offset))
    }

    fn write32(&mut self, offset: u16, value: u32) -> Result<(), Never> {
        self.0.borrow_mut().write(offset, value);
        Ok(())
    }
}

// SAFETY: the memory is a map of its own; every address outside of allocations is refused by a panic of the test.
unsafe impl<const WIDE: bool> DmaMemory for Machine<WIDE> {
    const STORE: StoreWidth = if WIDE { StoreWidth::W8 } else { StoreWidth::W4 };

    fn alloc(&mut self, bytes: usize, align: usize) -> Option<PhysAddr> {
        self.0
            .borrow_mut()
            .alloc(bytes as u64, align as u64)
            .map(PhysAddr)
    }

    unsafe fn free(&mut self, pa: PhysAddr, bytes: usize) {
        self.0.borrow_mut().free(pa.0, bytes as u64);
    }

    fn load64(&mut self, pa: PhysAddr) -> Result<u64, Never> {
        Ok(self.0.borrow_mut().cpu_load(pa.0))
    }

    fn store64(&mut self, pa: PhysAddr, value: u64) -> Result<(), Never> {
        assert!(
            WIDE,
            "the driver must split what it wants to be seen in order"
        );
        self.0.borrow_mut().cpu_store(pa.0, value);
        Ok(())
    }

    fn store32(&mut self, pa: PhysAddr, value: u32) -> Result<(), Never> {
        let mut world = self.0.borrow_mut();
        let old = world.cpu_load(pa.0 & !7);
        let new = if pa.0 & 4 == 0 {
            old & !0xffff_ffff | u64::from(value)
        } else {
            old & 0xffff_ffff | u64::from(value) << 32
        };
        world.cpu_store(pa.0 & !7, new);
        Ok(())
    }

    fn publish(&mut self, pa: PhysAddr, bytes: usize) -> Result<(), Never> {
        self.0.borrow_mut().clean(pa.0, bytes as u64);
        Ok(())
    }

    fn acquire(&mut self, pa: PhysAddr, bytes: usize) -> Result<(), Never> {
        self.0.borrow_mut().invalidate(pa.0, bytes as u64);
        Ok(())
    }
}

impl<const WIDE: bool> Barriers for Machine<WIDE> {
    fn barrier(&mut self, _: Barrier) {}
}

impl<const WIDE: bool> Clock for Machine<WIDE> {
    fn now_us(&mut self) -> u64 {
        self.0.borrow().now
    }

    fn relax(&mut self) {
        self.0.borrow_mut().now += 10;
    }

    fn event(&mut self, event: Event) {
        self.0.borrow_mut().events.push(event);
    }
}

pub type Shared = Rc<RefCell<World>>;

/// A world with the capabilities of the configuration `tiny`.
pub fn world() -> Shared {
    Rc::new(RefCell::new(World::new(
        portcullis_regmap::config::TINY.capabilities,
    )))
}

/// Settings under which unowned groups have a paging domain.
pub fn dma_default() -> Config {
    Config {
        default_domain: DefaultDomainType::Dma,
        ..Config::default()
    }
}

/// A domain whose page 0x7000 leads to `pa`, which tells it from others.
pub fn coloured<P: Platform>(iommu: &Iommu<P>, pa: u64) -> PagingDomain<'_, P> {
    let domain = iommu.paging_domain(DomainConfig::default()).unwrap();
    map(&domain, 0x7000, pa, 0x1000, Perm::READ_WRITE).unwrap();
    domain
}

/// What a read of the device finds.
pub fn read(w: &Shared, device: DeviceId, iova: u64) -> Result<u64, u16> {
    w.borrow_mut().dma(device.0, iova, Dma::Read)
}

/// The promise that identity asks for.
pub fn identity() -> TrustToken {
    // SAFETY: the devices are part of the test.
    unsafe { TrustToken::new() }
}

pub fn start(world: &Shared, config: Config) -> Iommu<Machine> {
    Iommu::new(Machine(world.clone()), config).expect("starts")
}

pub fn owner(n: u64) -> Owner {
    Owner::new(n).expect("not 0")
}

pub type Log = Rc<RefCell<Vec<Op>>>;

/// A started IOMMU whose platform writes down what the driver does.
pub fn traced(
    world: &Shared,
    config: Config,
) -> (Iommu<Trace<Machine, impl FnMut(Op) + use<>>>, Log) {
    traced_as::<true>(world, config)
}

/// The same with 8-byte or 4-byte stores.
pub fn traced_as<const WIDE: bool>(
    world: &Shared,
    config: Config,
) -> (Iommu<Trace<Machine<WIDE>, impl FnMut(Op) + use<WIDE>>>, Log) {
    let log = Log::default();
    let tell = log.clone();
    let trace = Trace::new(Machine(world.clone()), move |op| tell.borrow_mut().push(op));
    (Iommu::new(trace, config).expect("starts"), log)
}

/// What section 3.4 of the protocol compares: stores to contexts and tables, commands, waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Store outside the command queue: address, value.
    Store(u64, u64),
    /// Command: both doublewords.
    Command(u64, u64),
    /// Doorbell: new tail.
    Bell(u64),
    /// One wait for a fence.
    Wait,
    /// Ordering.
    Barrier(Barrier),
}

/// Empties the log and boils it down.
pub fn steps(world: &Shared, log: &Log) -> Vec<Step> {
    let (ring, bytes) = world.borrow().ring();
    let mut steps = Vec::new();
    for op in log.borrow_mut().drain(..) {
        match op {
            Op::Store(pa, _, value) if (ring..ring + bytes).contains(&pa.0) => {
                match (pa.0 % 16, steps.last_mut()) {
                    (8, Some(Step::Command(_, dw1))) => *dw1 = value,
                    _ => steps.push(Step::Command(value, 0)),
                }
            }
            Op::Store(pa, _, value) => steps.push(Step::Store(pa.0, value)),
            Op::Write(36, _, tail) => steps.push(Step::Bell(tail)),
            Op::Event(Event::FenceEnd { .. }) => steps.push(Step::Wait),
            Op::Barrier(barrier) => steps.push(Step::Barrier(barrier)),
            _ => {}
        }
    }
    steps
}

/// The same without barriers and doorbells.
pub fn bare_steps(world: &Shared, log: &Log) -> Vec<Step> {
    let keep = |s: &Step| !matches!(s, Step::Barrier(_) | Step::Bell(_));
    steps(world, log).into_iter().filter(keep).collect()
}

/// The commands among them.
pub fn commands(world: &Shared, log: &Log) -> Vec<(u64, u64)> {
    let command = |s| {
        if let Step::Command(dw0, dw1) = s {
            Some((dw0, dw1))
        } else {
            None
        }
    };
    steps(world, log).into_iter().filter_map(command).collect()
}

/// Maps memory of which only the model's devices know.
pub fn map<P: platform::Platform, const N: usize>(
    domain: &AddressSpace<'_, P, N>,
    iova: u64,
    pa: u64,
    len: usize,
    perm: Perm,
) -> Result<(), Error> {
    // SAFETY: physical memory is a map inside the test; devices cannot reach anything of the process.
    unsafe { domain.map(Iova(iova), PhysAddr(pa), len, perm) }
}

/// Reproducible random numbers.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// Memory of which only the model's devices know, and a count of its drops.
#[derive(Debug)]
pub struct Buffer {
    at: u64,
    bytes: u64,
    drops: Rc<Cell<u32>>,
}

/// A buffer, and how often it was dropped.
pub fn buffer(at: u64, bytes: u64) -> (Buffer, Rc<Cell<u32>>) {
    let drops = Rc::new(Cell::new(0));
    let buffer = Buffer {
        at,
        bytes,
        drops: drops.clone(),
    };
    (buffer, drops)
}

// SAFETY: physical memory is a map inside the test; devices cannot reach anything of the process.
unsafe impl DmaBuffer for Buffer {
    fn address(&self) -> PhysAddr {
        PhysAddr(self.at)
    }

    fn bytes(&self) -> usize {
        self.bytes as usize
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.drops.set(self.drops.get() + 1);
    }
}
