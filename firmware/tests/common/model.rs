//! Registers, queues and memory of the behavioural IOMMU.

use std::collections::{BTreeMap, HashMap};

use portcullis::platform::Event;
use portcullis_regmap::command::{Command, Op};
use portcullis_regmap::regs::{Capabilities, Cqcsr, Ddtp, Fqcsr, QueueBase, iommu_mode, offset};

/// Where allocations come from.
const HEAP: u64 = 0x8000_0000;

#[derive(Default)]
pub struct World {
    pub now: u64,
    pub events: Vec<Event>,
    /// Every command executed.
    pub executed: Vec<Op>,
    pub capabilities: u64,
    pub fctl: u32,
    pub fctl_writable: u32,
    pub ddtp: u64,
    ddtp_high: u32,
    /// Bit n: iommu_mode n is accepted.
    pub modes: u16,
    pub cqb: u64,
    pub fqb: u64,
    queue_high: u32,
    /// Largest LOG2SZ-1 of both queues.
    pub log2_max: u64,
    pub cqh: u32,
    pub cqt: u32,
    pub fqh: u32,
    pub fqt: u32,
    pub cqcsr: u32,
    pub fqcsr: u32,
    pub ipsr: u32,

    /// Reads of cqh for which the command queue stands still.
    pub stall: u64,
    /// Fetches until the next one faults, or executions until the next command is called illegal.
    pub fault_in: Option<u32>,
    pub illegal_in: Option<u32>,
    /// Commands between two fences are executed last to first.
    pub reorder: bool,
    /// Every batch of commands is called illegal.
    pub always_illegal: bool,
    /// ddtp.busy never clears after a switch to Off.
    pub off_hangs: bool,
    /// Nothing answers: all ones.
    pub lost: bool,

    pub memory: HashMap<u64, u64>,
    /// The processor has a cache that the IOMMU does not see: value, and whether it is newer than memory.
    pub noncoherent: bool,
    cache: HashMap<u64, (u64, bool)>,
    /// Allocations: address and bytes.
    pub live: BTreeMap<u64, u64>,
    heap: u64,
    /// Bytes that may be allocated at the same time.
    pub heap_limit: u64,
    pub caches: super::walk::Caches,
    /// Contexts are made identity by the driver's user; then V=0 with a zeroed `fsc` is a step on the way.
    pub identity_wanted: bool,
    /// Reads that a device issues around everything the driver does: device and address.
    pub hammer: Vec<(u32, u64)>,
    /// What they led to since somebody looked, without repetitions.
    pub reached: Vec<Result<u64, u16>>,
}

impl World {
    pub fn new(capabilities: u64) -> Self {
        World {
            capabilities,
            fctl: 2,
            modes: 0b111,
            log2_max: 7,
            heap: HEAP,
            heap_limit: u64::MAX,
            ..World::default()
        }
    }

    pub fn caps(&self) -> Capabilities {
        Capabilities::from_bits(self.capabilities)
    }

    pub fn mode(&self) -> u8 {
        Ddtp::from_bits(self.ddtp).iommu_mode()
    }

    /// Reset from outside: registers as after power-on, caches empty, memory as it was.
    pub fn reset(&mut self) {
        (self.fctl, self.ddtp, self.cqb, self.fqb) = (2, 0, 0, 0);
        (self.cqh, self.cqt, self.fqh, self.fqt) = (0, 0, 0, 0);
        (self.cqcsr, self.fqcsr, self.ipsr) = (0, 0, 0);
        (self.stall, self.lost, self.off_hangs) = (0, false, false);
        self.caches = super::walk::Caches::default();
    }

    // Memory.

    /// Bytes allocated now.
    pub fn used(&self) -> u64 {
        self.live.values().sum()
    }

    pub fn alloc(&mut self, bytes: u64, align: u64) -> Option<u64> {
        assert!(
            bytes > 0 && bytes.is_multiple_of(4096) && align >= 4096 && align.is_power_of_two()
        );
        if self.used() + bytes > self.heap_limit {
            return None;
        }
        let pa = self.heap.next_multiple_of(align);
        // Never the same address twice, so that any use after free is noticed; fresh memory holds noise.
        self.heap = pa + bytes;
        self.live.insert(pa, bytes);
        (pa..pa + bytes).step_by(8).for_each(|a| {
            self.memory.insert(a, 0xdead_beef_dead_beef);
        });
        Some(pa)
    }

    pub fn free(&mut self, pa: u64, bytes: u64) {
        self.strike();
        assert_eq!(
            self.live.remove(&pa),
            Some(bytes),
            "free of what was not allocated: {pa:#x}"
        );
        (pa..pa + bytes).step_by(8).for_each(|a| {
            self.memory.remove(&a);
            self.cache.remove(&a);
        });
    }

    /// The devices' turn.
    pub fn strike(&mut self) {
        for n in 0..self.hammer.len() {
            let (did, iova) = self.hammer[n];
            let reached = self.dma(did, iova, super::Dma::Read);
            if self.reached.last() != Some(&reached) {
                self.reached.push(reached);
            }
        }
    }

    pub fn cpu_load(&mut self, pa: u64) -> u64 {
        let value = self.load(pa);
        if self.noncoherent {
            self.cache.entry(pa).or_insert((value, false)).0
        } else {
            value
        }
    }

    #[track_caller]
    pub fn cpu_store(&mut self, pa: u64, value: u64) {
        assert!(
            self.memory.contains_key(&pa),
            "write of memory that is not allocated: {pa:#x}"
        );
        if self.noncoherent {
            self.cache.insert(pa, (value, true));
        } else {
            self.store(pa, value);
            self.strike();
        }
    }

    /// Writes cached values back.
    pub fn clean(&mut self, pa: u64, bytes: u64) {
        for a in (pa & !7..pa + bytes).step_by(8) {
            if let Some((value, dirty)) = self.cache.get_mut(&a).filter(|c| c.1) {
                *dirty = false;
                let value = *value;
                self.store(a, value);
                self.strike();
            }
        }
    }

    /// Forgets cached values.
    pub fn invalidate(&mut self, pa: u64, bytes: u64) {
        for a in (pa & !7..pa + bytes).step_by(8) {
            let line = self.cache.remove(&a);
            assert!(
                line.is_none_or(|(_, dirty)| !dirty),
                "a store is lost: {a:#x}"
            );
        }
    }

    #[track_caller]
    pub fn load(&self, pa: u64) -> u64 {
        assert!(pa.is_multiple_of(8));
        *self
            .memory
            .get(&pa)
            .unwrap_or_else(|| panic!("read of memory that is not allocated: {pa:#x}"))
    }

    #[track_caller]
    pub fn store(&mut self, pa: u64, value: u64) {
        assert!(pa.is_multiple_of(8));
        let cell = self.memory.get_mut(&pa);
        *cell.unwrap_or_else(|| panic!("write of memory that is not allocated: {pa:#x}")) = value;
    }

    // Registers.

    /// Base and size in bytes of the command queue.
    pub fn ring(&self) -> (u64, u64) {
        (base(self.cqb), 16 << log2(self.cqb))
    }

    pub fn read(&mut self, at: u16) -> u32 {
        if self.lost {
            return u32::MAX;
        }
        self.strike();
        let half = |value: u64| (value >> (8 * u32::from(at & 4))) as u32;
        match at & !7 {
            offset::CAPABILITIES => return half(self.capabilities),
            offset::DDTP => return half(self.ddtp),
            offset::CQB => return half(self.cqb),
            offset::FQB => return half(self.fqb),
            _ => {}
        }
        match at {
            offset::FCTL => self.fctl,
            offset::CQH => {
                self.stall = self.stall.saturating_sub(1);
                self.work();
                self.cqh
            }
            offset::CQT => self.cqt,
            offset::FQH => self.fqh,
            offset::FQT => self.fqt,
            offset::CQCSR => self.cqcsr,
            offset::FQCSR => self.fqcsr,
            offset::IPSR => self.ipsr,
            _ => 0,
        }
    }

    pub fn write(&mut self, at: u16, value: u32) {
        if self.lost {
            return;
        }
        match at {
            offset::FCTL => {
                self.fctl = self.fctl & !self.fctl_writable | value & self.fctl_writable
            }
            0x14 => self.ddtp_high = value,
            offset::DDTP => self.write_ddtp(u64::from(self.ddtp_high) << 32 | u64::from(value)),
            0x1c | 0x2c => self.queue_high = value,
            offset::CQB => {
                assert!(
                    !Cqcsr::from_bits(self.cqcsr).cqon(),
                    "cqb written while the queue is on (CQB-03)"
                );
                self.cqb = self.warl_base(value);
                self.cqt = 0;
            }
            offset::FQB => {
                assert!(
                    !Fqcsr::from_bits(self.fqcsr).fqon(),
                    "fqb written while the queue is on (FQB-02)"
                );
                self.fqb = self.warl_base(value);
                self.fqh = 0;
            }
            offset::CQT => {
                self.cqt = value & ((1 << log2(self.cqb)) - 1);
                self.work();
            }
            offset::FQH => self.fqh = value & ((1 << log2(self.fqb)) - 1),
            offset::CQCSR => self.write_cqcsr(Cqcsr::from_bits(value)),
            offset::FQCSR => self.write_fqcsr(Fqcsr::from_bits(value)),
            offset::IPSR => self.ipsr &= !value,
            _ => {}
        }
    }

    fn warl_base(&self, low: u32) -> u64 {
        let wanted = QueueBase::from_bits(u64::from(self.queue_high) << 32 | u64::from(low));
        let log2 = u64::from(wanted.log2sz_minus_1()).min(self.log2_max);
        let ppn = wanted.ppn() & ((1 << (self.caps().pas() - 12)) - 1);
        QueueBase::new()
            .with_log2sz_minus_1(log2 as u8)
            .with_ppn(ppn)
            .into_bits()
    }

    fn write_ddtp(&mut self, value: u64) {
        let (old, new) = (Ddtp::from_bits(self.ddtp), Ddtp::from_bits(value));
        assert!(!old.busy(), "ddtp written while busy (DDTP-05)");
        if self.modes >> new.iommu_mode() & 1 == 0 {
            return;
        }
        let table = |d: Ddtp| d.iommu_mode() > iommu_mode::BARE;
        assert!(
            !table(old) || new.iommu_mode() == iommu_mode::OFF,
            "only Off may follow a directory (DDTP-06)"
        );
        assert!(
            !table(old) || new.ppn() == old.ppn(),
            "PPN changed in the write that selects Off (DDTP-09)"
        );
        let ppn = new.ppn() & ((1 << (self.caps().pas() - 12)) - 1);
        let busy = self.off_hangs && new.iommu_mode() == iommu_mode::OFF && table(old);
        self.ddtp = new.with_ppn(ppn).with_busy(busy).into_bits();
    }

    fn write_cqcsr(&mut self, value: Cqcsr) {
        let old = Cqcsr::from_bits(self.cqcsr);
        let cleared = value.into_bits() & 0xf00;
        let mut new = Cqcsr::from_bits(self.cqcsr & !cleared)
            .with_cqen(value.cqen())
            .with_cie(value.cie());
        if value.cqen() && !old.cqen() {
            self.cqh = 0;
            new = Cqcsr::from_bits(new.into_bits() & !0xf00);
        }
        self.cqcsr = new.with_cqon(value.cqen()).into_bits();
        self.work();
    }

    fn write_fqcsr(&mut self, value: Fqcsr) {
        let old = Fqcsr::from_bits(self.fqcsr);
        let cleared = value.into_bits() & 0x300;
        let mut new = Fqcsr::from_bits(self.fqcsr & !cleared)
            .with_fqen(value.fqen())
            .with_fie(value.fie());
        if value.fqen() && !old.fqen() {
            self.fqt = 0;
            new = Fqcsr::from_bits(new.into_bits() & !0x300);
        }
        self.fqcsr = new.with_fqon(value.fqen()).into_bits();
    }

    // Queues.

    /// Executes commands until the queue is empty or stopped.
    fn work(&mut self) {
        let running = |w: &World| {
            let c = Cqcsr::from_bits(w.cqcsr);
            c.cqon() && !c.cqmf() && !c.cmd_to() && !c.cmd_ill() && w.cqh != w.cqt
        };
        while self.stall == 0 && running(self) {
            if tick(&mut self.fault_in) {
                self.cqcsr = Cqcsr::from_bits(self.cqcsr).with_cqmf(true).into_bits();
                self.ipsr |= 1;
                return;
            }
            let at = base(self.cqb) + 16 * u64::from(self.cqh);
            let command = Command {
                dw0: self.load(at),
                dw1: self.load(at + 8),
            };
            let op = command
                .decode()
                .ok()
                .filter(|op| op.supported(self.caps(), self.fctl & 2 != 0, 24));
            let op = op.filter(|_| !self.always_illegal && !tick(&mut self.illegal_in));
            let Some(op) = op else {
                self.cqcsr = Cqcsr::from_bits(self.cqcsr).with_cmd_ill(true).into_bits();
                self.ipsr |= 1;
                return;
            };
            let mask = (1 << log2(self.cqb)) - 1;
            let mut block = vec![op];
            self.cqh = (self.cqh + 1) & mask;
            while self.reorder
                && self.cqh != self.cqt
                && !matches!(block.last(), Some(Op::Iofence { .. }))
            {
                let at = base(self.cqb) + 16 * u64::from(self.cqh);
                let (dw0, dw1) = (self.load(at), self.load(at + 8));
                block.push(Command { dw0, dw1 }.decode().expect("a command"));
                self.cqh = (self.cqh + 1) & mask;
            }
            let fence = block.pop_if(|op| matches!(op, Op::Iofence { .. }));
            for op in block.into_iter().rev().chain(fence) {
                self.strike();
                self.caches.execute(&op);
                self.strike();
                self.executed.push(op);
            }
        }
    }

    /// Writes a fault record, or loses it.
    pub fn report(&mut self, record: [u64; 4]) {
        let fqcsr = Fqcsr::from_bits(self.fqcsr);
        if !fqcsr.fqon() || fqcsr.fqof() || fqcsr.fqmf() {
            return;
        }
        let mask = (1 << log2(self.fqb)) - 1;
        if (self.fqt + 1) & mask == self.fqh {
            self.fqcsr = fqcsr.with_fqof(true).into_bits();
        } else {
            let at = base(self.fqb) + 32 * u64::from(self.fqt);
            (0..4).for_each(|n| self.store(at + 8 * n, record[n as usize]));
            self.fqt = (self.fqt + 1) & mask;
        }
        self.ipsr |= u32::from(fqcsr.fie()) << 1;
    }
}

/// Counts down to an event.
fn tick(counter: &mut Option<u32>) -> bool {
    let due = *counter == Some(0);
    *counter = counter.and_then(|n| n.checked_sub(1));
    due
}

fn base(register: u64) -> u64 {
    QueueBase::from_bits(register).ppn() << 12
}

fn log2(register: u64) -> u32 {
    u32::from(QueueBase::from_bits(register).log2sz_minus_1()) + 1
}
