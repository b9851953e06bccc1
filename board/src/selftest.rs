//! The self-test of a board: the driver's whole way from bring-up to release, with a DMA engine that says at every step
//! what it reaches.

use crate::soc::map;
use portcullis::platform::{
    Barrier, Barriers, Bridge, ByteStream, Clock, DmaMemory, Registers, StoreWidth,
};
use portcullis::{
    Config, DefaultDomainType, DeviceId, DomainConfig, Iommu, Iova, Owner, PagingDomain, Perm,
    PhysAddr,
};
use portcullis_regmap::config::TINY;
use portcullis_regmap::regs::offset;
use std::cell::RefCell;
use std::fmt::Debug;
use std::rc::Rc;

/// A board that the driver owns while the test looks at it too.
pub struct Shared<S>(Rc<RefCell<Bridge<S, true>>>);

impl<S> Clone for Shared<S> {
    fn clone(&self) -> Self {
        Shared(Rc::clone(&self.0))
    }
}

impl<S: ByteStream> Shared<S> {
    /// The board behind `bridge`.
    pub fn new(bridge: Bridge<S, true>) -> Self {
        Shared(Rc::new(RefCell::new(bridge)))
    }

    fn with<R>(&self, f: impl FnOnce(&mut Bridge<S, true>) -> R) -> R {
        f(&mut self.0.borrow_mut())
    }
}

impl<S: ByteStream> Registers for Shared<S> {
    type Error = <Bridge<S, true> as Registers>::Error;

    fn read32(&mut self, offset: u16) -> Result<u32, Self::Error> {
        self.with(|b| b.read32(offset))
    }

    fn write32(&mut self, offset: u16, value: u32) -> Result<(), Self::Error> {
        self.with(|b| b.write32(offset, value))
    }
}

// SAFETY: the memory is on the board; `Bridge` gives no piece out twice before it is freed.
unsafe impl<S: ByteStream> DmaMemory for Shared<S> {
    const STORE: StoreWidth = StoreWidth::W8;

    fn alloc(&mut self, bytes: usize, align: usize) -> Option<PhysAddr> {
        self.with(|b| b.alloc(bytes, align))
    }

    unsafe fn free(&mut self, pa: PhysAddr, bytes: usize) {
        // SAFETY: the caller's promise, passed on.
        self.with(|b| unsafe { b.free(pa, bytes) });
    }

    fn load64(&mut self, pa: PhysAddr) -> Result<u64, Self::Error> {
        self.with(|b| b.load64(pa))
    }

    fn store64(&mut self, pa: PhysAddr, value: u64) -> Result<(), Self::Error> {
        self.with(|b| b.store64(pa, value))
    }

    fn store32(&mut self, pa: PhysAddr, value: u32) -> Result<(), Self::Error> {
        self.with(|b| b.store32(pa, value))
    }
}

impl<S: ByteStream> Barriers for Shared<S> {
    fn barrier(&mut self, barrier: Barrier) {
        self.with(|b| b.barrier(barrier));
    }
}

impl<S: ByteStream> Clock for Shared<S> {
    fn now_us(&mut self) -> u64 {
        self.with(Clock::now_us)
    }
}

/// What a DMA access met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Met {
    /// The IOMMU refused it.
    Refused,
    /// It went to this physical address.
    Memory(u64),
}

/// The device of the test, and another one that nobody ever adds.
const DEVICE: DeviceId = DeviceId(3);
const STRANGER: DeviceId = DeviceId(4);
/// IOVA of the page under test.
const IOVA: u64 = 0x5000;

struct Test<'t, S> {
    board: Shared<S>,
    note: &'t mut dyn FnMut(&str),
}

fn said<E: Debug>(doing: &str) -> impl Fn(E) -> String + '_ {
    move |error| format!("{doing}: {error:?}")
}

impl<S: ByteStream> Test<'_, S> {
    fn store(&mut self, address: u64, value: u64) -> Result<(), String> {
        let stored = self.board.store64(PhysAddr(address), value);
        stored.map_err(said("writing memory"))
    }

    fn load(&mut self, address: u64) -> Result<u64, String> {
        let loaded = self.board.load64(PhysAddr(address));
        loaded.map_err(said("reading memory"))
    }

    /// One access of 8 bytes.
    fn dma(&mut self, device: DeviceId, iova: u64, write: Option<u64>) -> Result<Met, String> {
        self.store(map::DMA_IOVA, iova)?;
        self.store(map::DMA_DATA, write.unwrap_or(0))?;
        let direction = write.map_or(0, |_| map::CONTROL_WRITE);
        self.store(map::DMA_CONTROL, u64::from(device.0) | direction)?;
        for _ in 0..1000 {
            let status = self.load(map::DMA_CONTROL)?;
            if status & map::STATUS_BUSY != 0 {
                continue;
            }
            if status & map::STATUS_REFUSED != 0 {
                return Ok(Met::Refused);
            }
            let address = self.load(map::DMA_ADDRESS)?;
            if status & map::STATUS_NOWHERE != 0 {
                return Err(format!("DMA went to {address:#x}, where no memory is"));
            }
            return Ok(Met::Memory(address));
        }
        Err("a DMA access is never answered".into())
    }

    fn expect(&mut self, what: &str, iova: u64, expected: Met) -> Result<(), String> {
        static VALUES: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        let value =
            0x7e00_0000_0000_7d00 + VALUES.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let wrote = self.dma(DEVICE, iova, Some(value))?;
        if wrote != expected {
            return Err(format!("{what}: a write met {wrote:x?}, not {expected:x?}"));
        }
        if let Met::Memory(address) = expected {
            let found = self.load(address)?;
            if found != value {
                return Err(format!(
                    "{what}: {address:#x} holds {found:#x}, not {value:#x}"
                ));
            }
        }
        let read = self.dma(DEVICE, iova, None)?;
        if read != expected {
            return Err(format!("{what}: a read met {read:x?}, not {expected:x?}"));
        }
        if expected != Met::Refused {
            let data = self.load(map::DMA_DATA)?;
            if data != value {
                return Err(format!("{what}: DMA read {data:#x}, not {value:#x}"));
            }
        }
        (self.note)(what);
        Ok(())
    }

    fn page(&mut self) -> Result<u64, String> {
        let page = self.board.alloc(4096, 4096);
        page.map(|p| p.0)
            .ok_or("the board has no memory left".into())
    }
}

/// Runs the test on a board; `note` hears of every step that passed.
///
/// # Errors
/// The first step that did not, in one sentence.
pub fn run<S: ByteStream>(
    bridge: Bridge<S, true>,
    note: &mut dyn FnMut(&str),
) -> Result<(), String> {
    let timeouts = bridge.timeouts();
    let mut test = Test {
        board: Shared::new(bridge),
        note,
    };
    let low = test.board.read32(offset::CAPABILITIES);
    let low = low.map_err(said("reading capabilities"))?;
    if u64::from(low) != TINY.capabilities & 0xffff_ffff {
        return Err(format!(
            "capabilities are {low:#x} in the low half, configuration tiny has {:#x}",
            TINY.capabilities & 0xffff_ffff
        ));
    }
    (test.note)("the board is there and has a core of configuration tiny");
    let (first, second) = (test.page()?, test.page()?);

    let config = Config {
        default_domain: DefaultDomainType::Blocked,
        command_queue: 16,
        fault_queue: 16,
        table_chunk: 1,
        timeouts,
        ..Config::default()
    };
    let iommu: Iommu<Shared<S>> = Iommu::new(test.board.clone(), config)
        .map_err(|e| format!("starting the IOMMU: {:?}", e.error))?;
    test.expect(
        "before it is added, a device reaches nothing",
        IOVA,
        Met::Refused,
    )?;
    iommu
        .add_device(DEVICE.into())
        .map_err(said("adding a device"))?;
    test.expect("added and blocked, it reaches nothing", IOVA, Met::Refused)?;

    let domain = |page: u64| -> Result<PagingDomain<'_, Shared<S>>, String> {
        let domain = iommu
            .paging_domain(DomainConfig::default())
            .map_err(said("making a domain"))?;
        // SAFETY: the page was taken from the board for this test and is used by nothing else.
        unsafe { domain.map(Iova(IOVA), PhysAddr(page), 4096, Perm::READ_WRITE) }
            .map_err(said("mapping a page"))?;
        Ok(domain)
    };
    let owner = Owner::new(1).map_err(said("naming an owner"))?;
    let group = iommu.group(DEVICE).map_err(said("finding the group"))?;
    let owned = group.claim(&owner).map_err(said("claiming the group"))?;
    test.expect("claimed, it reaches nothing", IOVA, Met::Refused)?;
    let owned = owned
        .attach(domain(first)?)
        .map_err(|e| format!("attaching: {:?}", e.error))?;
    test.expect(
        "attached, it reaches its page",
        IOVA + 8,
        Met::Memory(first + 8),
    )?;
    test.expect("and not the page beside it", IOVA + 4096, Met::Refused)?;
    if test.dma(STRANGER, IOVA, Some(1))? != Met::Refused {
        return Err("a device that nobody added reaches memory".into());
    }
    (test.note)("another device reaches nothing");
    let replaced = owned
        .replace(domain(second)?)
        .map_err(|e| format!("replacing: {:?}", e.error))?;
    let (owned, old) = replaced;
    drop(old);
    test.expect(
        "replaced, it reaches the new page",
        IOVA + 16,
        Met::Memory(second + 16),
    )?;
    owned
        .domain()
        .unmap(Iova(IOVA), 4096)
        .map_err(said("unmapping"))?;
    test.expect("unmapped, it reaches nothing", IOVA + 16, Met::Refused)?;
    let (owned, old) = owned.detach();
    drop(old);
    test.expect("detached, it reaches nothing", IOVA, Met::Refused)?;
    owned.release();
    let mut faults = 0;
    let drained = iommu
        .faults()
        .drain(64, |fault| faults += u64::from(fault.device() == DEVICE))
        .map_err(said("reading the fault queue"))?;
    if faults == 0 || drained.records == 0 {
        return Err("refused accesses left no fault record".into());
    }
    (test.note)("refused accesses left fault records of the device");
    iommu
        .remove_device(DEVICE)
        .map_err(said("removing the device"))?;
    test.expect("removed, it reaches nothing", IOVA, Met::Refused)?;
    Ok(())
}
