//! A small machine for the whole-system tests: the core, its memory, and the tables a driver would write, set up by
//! hand so that a test can also set up what no driver would.

pub mod conformance;
pub mod ownership;
pub mod random;
pub mod under_test;

use portcullis_hdl as _;
use portcullis_regmap::config::Config;
use portcullis_regmap::regs::offset;
use portcullis_sim::core::{Access, Core, Kind, Purpose, RegAccess, Request};
use portcullis_sim::harness::{Finished, Harness};
use portcullis_sim::memory::{Memory, Timing};

use under_test::Need;

/// Directory root.
pub const DDT: u64 = 0x1000_0000;
/// Command queue.
pub const CQ: u64 = 0x1000_2000;
/// Fault queue (8 KiB aligned: 256 records fill two pages).
pub const FQ: u64 = 0x1000_4000;
/// Where page tables are taken from.
pub const TABLES: u64 = 0x1001_0000;

/// PTE bits: a readable, writable, executable user leaf with A and D set.
pub const RWX: u64 = 0xdf;
/// PTE bits of a pointer to the next table.
pub const TABLE: u64 = 0x01;
/// tc.V.
pub const TC_V: u64 = 1;
/// tc.DTF.
pub const TC_DTF: u64 = 1 << 4;
/// tc.PDTV.
pub const TC_PDTV: u64 = 1 << 5;
/// iosatp.MODE = Sv39.
pub const SV39: u64 = 8 << 60;

/// Register offsets that the tests use, as the specification gives them (REG-01).
pub mod reg {
    #![allow(missing_docs)]
    pub const CAPABILITIES: u16 = 0;
    pub const FCTL: u16 = 8;
    pub const DDTP: u16 = 16;
    pub const CQB: u16 = 24;
    pub const CQH: u16 = 32;
    pub const CQT: u16 = 36;
    pub const FQB: u16 = 40;
    pub const FQH: u16 = 48;
    pub const FQT: u16 = 52;
    pub const CQCSR: u16 = 72;
    pub const FQCSR: u16 = 76;
    pub const IPSR: u16 = 84;
    pub const ICVEC: u16 = 760;
}

/// cqcsr and fqcsr bits.
pub mod csr {
    #![allow(missing_docs)]
    pub const EN: u64 = 1;
    pub const IE: u64 = 2;
    pub const MF: u64 = 1 << 8;
    pub const FQOF: u64 = 1 << 9;
    pub const CMD_ILL: u64 = 1 << 10;
    pub const FENCE_W_IP: u64 = 1 << 11;
    pub const ON: u64 = 1 << 16;
    pub const BUSY: u64 = 1 << 17;
}

/// A fault record as it lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultRecord {
    /// Its four doublewords.
    pub dw: [u64; 4],
}

impl FaultRecord {
    /// CAUSE.
    #[must_use]
    pub fn cause(&self) -> u64 {
        self.dw[0] & 0xfff
    }
    /// TTYP.
    #[must_use]
    pub fn ttyp(&self) -> u64 {
        (self.dw[0] >> 34) & 0x3f
    }
    /// DID.
    #[must_use]
    pub fn did(&self) -> u64 {
        self.dw[0] >> 40
    }
}

/// A request by device `did`: untranslated, user, without process_id.
#[must_use]
pub fn request(did: u32, access: Access, iova: u64) -> Request {
    Request {
        tag: 0,
        device_id: did,
        process_id: None,
        privileged: false,
        access,
        kind: Kind::Untranslated,
        iova,
    }
}

/// The machine.
pub struct Machine {
    /// Core and memory.
    pub h: Harness,
    tables: u64,
    tail: u64,
    cq_entries: u64,
    fq_entries: u64,
    fq_read: u64,
}

impl Machine {
    /// A `tiny` core, or what stands for it ([`under_test::any`]), after reset, with memory latency `latency`.
    #[must_use]
    pub fn new(latency: u64) -> Self {
        Self::with_timing(Timing {
            latency,
            ..Timing::default()
        })
    }

    /// The same with any memory timing.
    #[must_use]
    pub fn with_timing(timing: Timing) -> Self {
        Self::with_config(under_test::any(), timing)
    }

    /// The same with any configuration.
    #[must_use]
    pub fn with_config(config: &'static Config, timing: Timing) -> Self {
        Self::with_core(under_test::core(config), timing)
    }

    /// A machine around any core, for instance one behind an unruly bus.
    #[must_use]
    pub fn with_core(core: Box<dyn Core>, timing: Timing) -> Self {
        Self {
            h: Harness::new(core, Memory::new(timing)),
            tables: TABLES,
            tail: 0,
            cq_entries: 256,
            fq_entries: 256,
            fq_read: 0,
        }
    }

    /// A machine with both queues on and ddtp in mode 1LVL.
    #[must_use]
    pub fn started(latency: u64) -> Self {
        let mut m = Self::new(latency);
        m.start();
        m
    }

    /// The same of `linux` or what stands for it ([`under_test::linux`]), its IOTLB cleared as after any reset.
    #[must_use]
    pub fn linux(latency: u64) -> Self {
        Self::cleared(under_test::linux(), latency)
    }

    /// The same for a test that needs something that not every variant has.
    #[must_use]
    pub fn linux_with(need: Need, latency: u64) -> Self {
        Self::cleared(under_test::with(under_test::linux(), need), latency)
    }

    fn cleared(config: &'static Config, latency: u64) -> Self {
        let timing = Timing {
            latency,
            ..Timing::default()
        };
        let mut m = Self::with_config(config, timing);
        m.start();
        m.h.advance(64).expect("quiet machine");
        m
    }

    /// Without lines of page-table entries: walks read every entry that they need, so that reads tell what was cached.
    #[must_use]
    pub fn without_lines(mut self) -> Self {
        self.write32(offset::LINECTL, 1);
        self
    }

    /// Reads of page-table entries that walks made.
    #[must_use]
    pub fn pte_reads(&self) -> u64 {
        self.h.memory().traffic().reads(Purpose::Pte)
    }

    /// Switches the queues on and ddtp to 1LVL.
    pub fn start(&mut self) {
        self.queues(7, 7);
        self.ddtp(2);
    }

    /// Programs both queues (LOG2SZ-1 as given) and switches them on, without interrupts.
    pub fn queues(&mut self, cq: u64, fq: u64) {
        self.write64(reg::CQB, (CQ >> 12 << 10) | cq);
        self.write64(reg::FQB, (FQ >> 12 << 10) | fq);
        self.cq_entries = 2 << cq;
        self.fq_entries = 2 << fq;
        self.tail = 0;
        self.fq_read = 0;
        self.write32(reg::CQT, 0);
        self.write32(reg::FQH, 0);
        self.write32(reg::CQCSR, csr::EN);
        self.write32(reg::FQCSR, csr::EN);
    }

    /// Writes ddtp with the standard root and waits until it is not busy.
    pub fn ddtp(&mut self, mode: u64) {
        self.write64(reg::DDTP, (DDT >> 12 << 10) | mode);
        self.wait(reg::DDTP, 1 << 4, 0);
    }

    /// 4-byte register read.
    pub fn read32(&mut self, offset: u16) -> u64 {
        self.access(offset, false, false, 0)
    }
    /// 8-byte register read.
    pub fn read64(&mut self, offset: u16) -> u64 {
        self.access(offset, false, true, 0)
    }
    /// 4-byte register write.
    pub fn write32(&mut self, offset: u16, data: u64) {
        self.access(offset, true, false, data);
    }
    /// 8-byte register write.
    pub fn write64(&mut self, offset: u16, data: u64) {
        self.access(offset, true, true, data);
    }
    fn access(&mut self, offset: u16, write: bool, wide: bool, data: u64) -> u64 {
        self.h
            .register(RegAccess {
                write,
                offset,
                wide,
                data,
            })
            .expect("register access")
    }

    /// Polls a 4-byte register until `value & mask == want`; panics after 100,000 reads.
    pub fn wait(&mut self, offset: u16, mask: u64, want: u64) -> u64 {
        for _ in 0..100_000 {
            let v = self.read32(offset);
            if v & mask == want {
                return v;
            }
        }
        panic!("register {offset:#x} never became {want:#x} under {mask:#x}");
    }

    /// Writes the four doublewords of a device context.
    pub fn dc(&mut self, did: u32, dw: [u64; 4]) {
        for (i, w) in dw.iter().enumerate() {
            self.h
                .memory_mut()
                .store64(DDT + u64::from(did) * 32 + 8 * i as u64, *w);
        }
    }

    /// A fresh zeroed table page.
    pub fn page(&mut self) -> u64 {
        let p = self.tables;
        self.tables += 0x1000;
        p
    }

    /// A valid Sv39 context for `did` with an empty root; returns the root.
    pub fn sv39(&mut self, did: u32, pscid: u64) -> u64 {
        let root = self.page();
        self.dc(did, [TC_V, 0, pscid << 12, SV39 | (root >> 12)]);
        root
    }

    /// Address of the PTE for `iova` at `level`, making tables on the way.
    pub fn pte(&mut self, root: u64, iova: u64, level: u32) -> u64 {
        let mut table = root;
        for l in (level..=2).rev() {
            let slot = table + ((iova >> (12 + 9 * l)) & 0x1ff) * 8;
            if l == level {
                return slot;
            }
            let old = self.h.memory().load64(slot);
            table = if old & 1 == 1 {
                old >> 10 << 12
            } else {
                let next = self.page();
                self.h
                    .memory_mut()
                    .store64(slot, (next >> 12 << 10) | TABLE);
                next
            };
        }
        unreachable!()
    }

    /// Maps `iova` to `pa` with the PTE bits `flags` at `level` (0: 4 KiB).
    pub fn map(&mut self, root: u64, iova: u64, pa: u64, flags: u64, level: u32) {
        let slot = self.pte(root, iova, level);
        self.h.memory_mut().store64(slot, (pa >> 12 << 10) | flags);
    }

    /// Issues one request and waits for its answer.
    pub fn ask(&mut self, r: Request) -> Finished {
        self.h.submit(r);
        self.h.finish_requests().expect("answer");
        self.h.take_finished().expect("one answer")
    }

    /// The physical address that a read by `did` reaches, or `None` for a fault.
    pub fn read(&mut self, did: u32, iova: u64) -> Option<u64> {
        let f = self.ask(request(did, Access::Read, iova));
        (!f.response.fault).then_some(f.response.pa)
    }

    /// Puts a command into the queue without moving cqt.
    pub fn queue(&mut self, dw0: u64, dw1: u64) {
        let at = CQ + self.tail * 16;
        self.h.memory_mut().store64(at, dw0);
        self.h.memory_mut().store64(at + 8, dw1);
        self.tail = (self.tail + 1) % self.cq_entries;
    }

    /// Moves cqt behind the last queued command.
    pub fn doorbell(&mut self) {
        self.write32(reg::CQT, self.tail);
    }

    /// Queues a command, rings, and waits until cqh has passed it.
    pub fn command(&mut self, dw0: u64, dw1: u64) {
        self.queue(dw0, dw1);
        self.doorbell();
        let tail = self.tail;
        self.wait(reg::CQH, u64::MAX, tail);
    }

    /// IOFENCE.C with PR and PW, waited for.
    pub fn fence(&mut self) {
        self.command(0x3002, 0);
    }

    /// Fault records written since the last call, after what is under way has landed.
    pub fn faults(&mut self) -> Vec<FaultRecord> {
        self.h.advance(400).expect("quiet machine");
        let tail = self.read32(reg::FQT);
        let mut out = vec![];
        while self.fq_read != tail {
            let at = FQ + self.fq_read * 32;
            let mut dw = [0; 4];
            for (i, w) in dw.iter_mut().enumerate() {
                *w = self.h.memory().load64(at + 8 * i as u64);
            }
            out.push(FaultRecord { dw });
            self.fq_read = (self.fq_read + 1) % self.fq_entries;
        }
        self.write32(reg::FQH, tail);
        out
    }
}

/// Encodings of commands, by hand (INV-01, DIR-01), so that a slip in `portcullis-regmap` cannot hide.
pub mod cmd {
    /// IODIR.INVAL_DDT of one device.
    #[must_use]
    pub fn inval_ddt(did: u64) -> u64 {
        0x003 | (1 << 33) | (did << 40)
    }
    /// IODIR.INVAL_DDT of all.
    pub const INVAL_DDT_ALL: u64 = 0x003;
    /// IOTINVAL.VMA of everything.
    pub const VMA_ALL: u64 = 0x001;
    /// IOTINVAL.VMA of a PSCID.
    #[must_use]
    pub fn vma_pscid(pscid: u64) -> u64 {
        0x001 | (pscid << 12) | (1 << 32)
    }
    /// IOTINVAL.VMA of an address (second doubleword: [`addr`]).
    pub const VMA_ADDR: u64 = 0x001 | (1 << 10);
    /// Second doubleword of an IOTINVAL with AV.
    #[must_use]
    pub fn addr(a: u64) -> u64 {
        (a >> 12) << 10
    }

    /// S, in the second doubleword of an IOTINVAL.
    pub const RANGE: u64 = 1 << 9;

    /// IOTINVAL.VMA of `pages` pages at `iova` (a power of two, aligned) in space `pscid`; with S if there are several.
    #[must_use]
    pub fn vma_range(pscid: u64, iova: u64, pages: u64) -> (u64, u64) {
        let dw0 = vma_pscid(pscid) | VMA_ADDR;
        if pages == 1 {
            return (dw0, addr(iova));
        }
        (dw0, addr(iova | ((pages / 2 - 1) << 12)) | RANGE)
    }
}
