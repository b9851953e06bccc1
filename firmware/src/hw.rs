//! The hardware as the driver's core sees it: accesses that retry once, entries that change in one step, waits that end.

use portcullis_regmap::PAGE_SIZE;
use portcullis_regmap::command::Command;
use portcullis_regmap::pte;
use portcullis_regmap::regs::Capabilities;

use crate::directory::Unlinked;
use crate::fault::FaultQueue;
use crate::platform::{Barrier, Platform, StoreWidth};
use crate::pool::{PageList, Pool};
use crate::queue::Ring;
use crate::table::Table;
use crate::types::{Config, Health, Mode, Stats};
use crate::{Error, PhysAddr};

/// How the hardware failed; [`Hw::settle`] turns it into a state of the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fail {
    /// No progress within the timeout, and no reason given.
    Stuck,
    /// The command queue stopped with an error.
    Stopped,
    /// A register reads all ones: nothing is there any more.
    Lost,
    /// The transport failed twice, or memory does not hold what the driver put there.
    Platform,
}

/// Platform, queues and bookkeeping of one IOMMU.
pub(crate) struct Hw<P> {
    pub(crate) p: P,
    pub(crate) config: Config,
    pub(crate) caps: Capabilities,
    pub(crate) pool: Pool,
    pub(crate) ring: Ring,
    pub(crate) faults: FaultQueue,
    /// Value of ddtp while translating; its PPN must also be in the write that selects Off (DDTP-09).
    pub(crate) ddtp: u64,
    /// Levels of the directory.
    pub(crate) levels: u8,
    /// The hardware was told of the directory.
    pub(crate) in_use: bool,
    /// Pages for the context of a device that is being added.
    pub(crate) unlinked: Option<Unlinked>,
    /// Page without any valid PTE: what idle contexts point to, since a zeroed `fsc` with V=1 would be identity.
    pub(crate) empty: PhysAddr,
    pub(crate) health: Health,
    pub(crate) stats: Stats,
}

impl<P: Platform> Hw<P> {
    #[inline(always)]
    pub(crate) fn new(p: P, config: Config) -> Self {
        Hw {
            p,
            config,
            caps: Capabilities::new(),
            pool: Pool::new(config.table_chunk),
            ring: Ring::default(),
            faults: FaultQueue::default(),
            ddtp: 0,
            levels: 0,
            in_use: false,
            unlinked: None,
            empty: PhysAddr(0),
            health: Health::Good,
            stats: Stats::default(),
        }
    }

    /// Refuses while the hardware is out of use.
    pub(crate) fn usable(&self) -> Result<(), Error> {
        match self.health {
            Health::Good | Health::Degraded => Ok(()),
            Health::Closed | Health::Wedged => Err(Error::Io),
        }
    }

    /// Whether translation is known to be off.
    pub(crate) fn closed(&self) -> bool {
        self.health == Health::Closed
    }

    /// Whether what the hardware does is unknown.
    pub(crate) fn wedged(&self) -> bool {
        self.health == Health::Wedged
    }

    /// A transport error may be a glitch, and every access here can be repeated without harm.
    fn retry<T>(
        &mut self,
        mut access: impl FnMut(&mut P) -> Result<T, P::Error>,
    ) -> Result<T, Fail> {
        access(&mut self.p)
            .or_else(|_| access(&mut self.p))
            .map_err(|_| Fail::Platform)
    }

    /// No register of 4 bytes can be all ones: each has reserved bits or is an index of a smaller queue.
    #[inline(never)]
    pub(crate) fn read32(&mut self, offset: u16) -> Result<u32, Fail> {
        match self.retry(|p| p.read32(offset))? {
            u32::MAX => Err(Fail::Lost),
            value => Ok(value),
        }
    }

    #[inline(never)]
    pub(crate) fn write32(&mut self, offset: u16, value: u32) -> Result<(), Fail> {
        self.retry(|p| p.write32(offset, value))
    }

    #[inline(never)]
    pub(crate) fn read64(&mut self, offset: u16) -> Result<u64, Fail> {
        match self.retry(|p| p.read64(offset))? {
            u64::MAX => Err(Fail::Lost),
            value => Ok(value),
        }
    }

    #[inline(never)]
    pub(crate) fn write64(&mut self, offset: u16, value: u64) -> Result<(), Fail> {
        self.retry(|p| p.write64(offset, value))
    }

    /// Reads until `done`, at most as long as registers may take.
    pub(crate) fn wait32(&mut self, offset: u16, done: impl Fn(u32) -> bool) -> Result<u32, Fail> {
        self.wait(|hw| hw.read32(offset), done)
    }

    /// Reads until `done`, at most as long as registers may take.
    pub(crate) fn wait64(&mut self, offset: u16, done: impl Fn(u64) -> bool) -> Result<u64, Fail> {
        self.wait(|hw| hw.read64(offset), done)
    }

    fn wait<T: Copy>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, Fail>,
        done: impl Fn(T) -> bool,
    ) -> Result<T, Fail> {
        let start = self.p.now_us();
        loop {
            // The time is taken before the read, so that a read made after the deadline still counts.
            let late = self.p.now_us().saturating_sub(start) > self.config.timeouts.register_us;
            let value = read(self)?;
            if done(value) {
                return Ok(value);
            }
            if late {
                return Err(Fail::Stuck);
            }
            self.p.relax();
        }
    }

    pub(crate) fn barrier(&mut self, barrier: Barrier) {
        self.p.barrier(barrier);
    }

    #[inline(never)]
    pub(crate) fn load(&mut self, pa: PhysAddr) -> Result<u64, Fail> {
        self.retry(|p| p.load64(pa))
    }

    /// Writes an entry that is invalid now. With 4-byte stores the half with V comes last.
    #[inline(never)]
    pub(crate) fn store(&mut self, pa: PhysAddr, value: u64) -> Result<(), Fail> {
        match P::STORE {
            StoreWidth::W8 => self.retry(|p| p.store64(pa, value)),
            StoreWidth::W4 => {
                self.retry(|p| p.store32(PhysAddr(pa.0 + 4), (value >> 32) as u32))?;
                self.retry(|p| p.store32(pa, value as u32))
            }
        }
    }

    /// Writes an invalid value over an entry that may be valid. With 4-byte stores the half with V comes first.
    #[inline(never)]
    pub(crate) fn store_invalid(&mut self, pa: PhysAddr, value: u64) -> Result<(), Fail> {
        match P::STORE {
            StoreWidth::W8 => self.retry(|p| p.store64(pa, value)),
            StoreWidth::W4 => {
                self.retry(|p| p.store32(pa, value as u32))?;
                self.retry(|p| p.store32(PhysAddr(pa.0 + 4), (value >> 32) as u32))
            }
        }
    }

    /// Clears V of an entry, `value` being the entry without it. With 4-byte stores the other half stays as it is:
    /// nobody looks at it while V=0.
    #[inline(never)]
    pub(crate) fn clear_valid(&mut self, pa: PhysAddr, value: u64) -> Result<(), Fail> {
        match P::STORE {
            StoreWidth::W8 => self.retry(|p| p.store64(pa, value)),
            StoreWidth::W4 => self.retry(|p| p.store32(pa, value as u32)),
        }
    }

    /// Changes an entry in use from `old` to `new` by one store. With 4-byte stores they must differ in one half only.
    #[inline(never)]
    pub(crate) fn store_live(&mut self, pa: PhysAddr, old: u64, new: u64) -> Result<(), Fail> {
        match P::STORE {
            StoreWidth::W8 => self.retry(|p| p.store64(pa, new)),
            StoreWidth::W4 if (old ^ new) >> 32 == 0 => self.retry(|p| p.store32(pa, new as u32)),
            StoreWidth::W4 => self.retry(|p| p.store32(PhysAddr(pa.0 + 4), (new >> 32) as u32)),
        }
    }

    #[inline(never)]
    pub(crate) fn publish(&mut self, pa: PhysAddr, bytes: u64) -> Result<(), Fail> {
        self.retry(|p| p.publish(pa, bytes as usize))
    }

    pub(crate) fn acquire(&mut self, pa: PhysAddr, bytes: u64) -> Result<(), Fail> {
        self.retry(|p| p.acquire(pa, bytes as usize))
    }

    /// A zeroed frame, on record as the driver's, not yet published.
    #[inline(never)]
    pub(crate) fn zeroed_frame(&mut self) -> Result<PhysAddr, Error> {
        let pa = self.pool.frame(&mut self.p).ok_or(Error::NoMemory)?;
        for entry in 0..pte::ENTRIES {
            if self.store(PhysAddr(pa.0 + entry * 8), 0).is_err() {
                self.pool.free(&mut self.p, pa);
                return Err(Error::Io);
            }
        }
        Ok(pa)
    }

    /// Takes a frame back that the IOMMU cannot reach any more.
    pub(crate) fn free_frame(&mut self, pa: PhysAddr) {
        self.pool.free(&mut self.p, pa);
    }

    /// Takes frames back that the IOMMU cannot reach any more. What a failing transport hides is lost.
    pub(crate) fn free_list(&mut self, list: &mut PageList) {
        while let Ok(Some(pa)) = list.pop(self) {
            self.free_frame(pa);
        }
    }

    /// `fsc` of a context that leads nowhere.
    pub(crate) fn empty_fsc(&self) -> u64 {
        let (root, mode) = (self.empty, Mode::Sv39);
        Table { root, mode }.fsc()
    }

    /// Everything cached is gone, and what was granted has landed.
    pub(crate) fn blanket(&mut self) -> Result<(), Fail> {
        let second_stage =
            self.caps.sv39x4() || self.caps.sv48x4() || self.caps.sv57x4() || self.caps.msi_flat();
        self.push(Command::inval_ddt(None))?;
        self.push(Command::iofence(false, false))?;
        self.push(Command::iotinval_vma_all())?;
        if second_stage {
            self.push(Command::iotinval_gvma(None))?;
        }
        self.finish()
    }

    /// Fills a page of contexts with idle ones.
    #[inline(never)]
    pub(crate) fn fill_contexts(&mut self, page: PhysAddr, dc_bytes: u64) -> Result<(), Fail> {
        let fsc = self.empty_fsc();
        for offset in (0..PAGE_SIZE).step_by(8) {
            let value = if offset % dc_bytes == portcullis_regmap::ddt::dc::FSC {
                fsc
            } else {
                0
            };
            self.store(PhysAddr(page.0 + offset), value)?;
        }
        Ok(())
    }
}
