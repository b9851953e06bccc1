//! What the conformance tests are written against.
//!
//! A test body takes a [`Rig`]: a machine with tables, queues and expectations, built on the few primitives of [`Dut`].
//! The body says what the specification demands and nothing about what answers it, so it runs on everything that
//! implements [`Dut`]: the simulated hardware ([`Rtl`]) and the golden model ([`Golden`]). Where the specification leaves
//! a choice (an old or a new value before an invalidation, for instance) the body accepts exactly the allowed results.
//!
//! [`conformance!`](crate::conformance!) lists the bodies of a file and makes the tests. A body that is forgotten there
//! is dead code, which the lints refuse.

pub mod bus;
mod encoding;
mod golden;
pub mod table;

pub use encoding::*;
pub use portcullis_sim::backend::model::Golden;

use portcullis_regmap::config::{Config, TINY};
use portcullis_sim::core::{Access, Core, Kind, MemStatus, Purpose, RegAccess, Request, Response};
use portcullis_sim::harness::Harness;
use portcullis_sim::memory::{FaultOn, Memory, Timing};

use crate::{
    CQ, DDT, FQ, FaultRecord, RWX, SV39, TABLE, TABLES, TC_V, csr, reg, request, under_test,
};

/// Makes a `#[test]` of every named body, on each configuration and each implementation of [`Dut`].
///
/// The names before the first `;` are bodies for every configuration, run on the hardware and on the golden model. After
/// it may follow, in this order and each once: `tiny:` and `linux:` with bodies of one configuration only, `cycles:` with
/// bodies that look at single cycles, which only the hardware has (they take the configuration and build their own
/// machines), and `linux cycles:` with such bodies of `linux` only.
#[macro_export]
macro_rules! conformance {
    (
        $($both:ident),* $(,)?
        $(; tiny: $($tiny:ident),+ $(,)?)?
        $(; linux: $($linux:ident),+ $(,)?)?
        $(; cycles: $($cycles:ident),+ $(,)?)?
        $(; linux cycles: $($linux_cycles:ident),+ $(,)?)?
    ) => {
        mod tiny {
            $crate::conformance_bodies!(
                &portcullis_regmap::config::TINY;
                $($both)* $($($tiny)+)?;
                $($($cycles)+)?
            );
        }
        mod linux {
            $crate::conformance_bodies!(
                $crate::under_test::linux();
                $($both)* $($($linux)+)?;
                $($($cycles)+)? $($($linux_cycles)+)?
            );
        }
    };
}

/// The tests of one configuration; see [`conformance!`](crate::conformance!).
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_bodies {
    ($config:expr; $($body:ident)*; $($cycles:ident)*) => {
        mod rtl {
            $(
                #[test]
                fn $body() {
                    super::super::$body(&mut $crate::conformance::Rig::rtl($config, 2));
                }
            )*
            $(
                #[test]
                fn $cycles() {
                    super::super::$cycles($config);
                }
            )*
        }
        mod model {
            $(
                #[test]
                fn $body() {
                    super::super::$body(&mut $crate::conformance::Rig::golden($config));
                }
            )*
        }
    };
}

/// The device of most tests.
pub const DEV: u32 = 5;
/// Its PSCID.
pub const PSCID: u64 = 7;
/// The page that [`Rig::device_with_page`] maps ...
pub const PAGE: u64 = 0x4000_3000;
/// ... and where it leads.
pub const FRAME: u64 = 0x8000_5000;
/// Somewhere else that a page can lead.
pub const OTHER: u64 = 0x9000_a000;
/// Memory for what a test stores by itself.
pub const SCRATCH: u64 = 0x1000_8000;
/// The three access kinds.
pub const ACCESSES: [Access; 3] = [Access::Read, Access::Write, Access::Exec];
/// The three request kinds.
pub const KINDS: [Kind; 3] = [Kind::Untranslated, Kind::Translated, Kind::Ats];

/// What a test can do to a machine.
pub trait Dut {
    /// Resets the machine; the contents of its memory stay.
    fn reset(&mut self);
    /// Reads 4 or (`wide`) 8 bytes of a register.
    fn reg_read(&mut self, offset: u16, wide: bool) -> u64;
    /// Writes 4 or (`wide`) 8 bytes of a register.
    fn reg_write(&mut self, offset: u16, wide: bool, data: u64);
    /// Reads memory as software does.
    fn mem_read(&self, addr: u64, out: &mut [u8]);
    /// Writes memory as software does.
    fn mem_write(&mut self, addr: u64, data: &[u8]);
    /// Accesses by the machine that touch the range end with `status` from now on.
    fn mem_fault(&mut self, addr: u64, len: u64, on: FaultOn, status: MemStatus);
    /// Offers the requests as fast as they are taken; the answers in the order of the requests.
    fn translate(&mut self, requests: &[Request]) -> Vec<Response>;
    /// Lets time pass.
    fn step(&mut self, cycles: u64);
    /// Lets time pass until everything that the machine does by itself has come to rest.
    fn settle(&mut self);
    /// The interrupt wires.
    fn irq(&self) -> u32;
    /// Reads of memory since reset, by purpose.
    fn reads(&self, purpose: Purpose) -> u64;
    /// Writes of memory since reset, by purpose.
    fn writes(&self, purpose: Purpose) -> u64;
}

/// The simulated hardware.
pub struct Rtl {
    /// Core and memory, for tests that look at single cycles.
    pub h: Harness,
    rest: u64,
}

impl Dut for Rtl {
    fn reset(&mut self) {
        self.h.reset();
    }
    fn reg_read(&mut self, offset: u16, wide: bool) -> u64 {
        let access = RegAccess {
            write: false,
            offset,
            wide,
            data: 0,
        };
        self.h.register(access).expect("register read")
    }
    fn reg_write(&mut self, offset: u16, wide: bool, data: u64) {
        let access = RegAccess {
            write: true,
            offset,
            wide,
            data,
        };
        self.h.register(access).expect("register write");
    }
    fn mem_read(&self, addr: u64, out: &mut [u8]) {
        self.h.memory().read(addr, out);
    }
    fn mem_write(&mut self, addr: u64, data: &[u8]) {
        self.h.memory_mut().write(addr, data);
    }
    fn mem_fault(&mut self, addr: u64, len: u64, on: FaultOn, status: MemStatus) {
        self.h.memory_mut().set_fault(addr, len, on, status);
    }
    fn translate(&mut self, requests: &[Request]) -> Vec<Response> {
        for r in requests {
            self.h.submit(*r);
        }
        self.h
            .finish_requests()
            .expect("an answer to every request");
        let mut done: Vec<_> = std::iter::from_fn(|| self.h.take_finished()).collect();
        done.sort_by_key(|f| f.id);
        done.iter().map(|f| f.response).collect()
    }
    fn step(&mut self, cycles: u64) {
        self.h
            .advance(cycles)
            .expect("a machine that keeps its contracts");
    }
    fn settle(&mut self) {
        self.step(self.rest);
    }
    fn irq(&self) -> u32 {
        self.h.irq()
    }
    fn reads(&self, purpose: Purpose) -> u64 {
        self.h.counters().traffic.reads(purpose)
    }
    fn writes(&self, purpose: Purpose) -> u64 {
        self.h.counters().traffic.writes(purpose)
    }
}

/// A machine with its tables and queues, and with the bookkeeping of the software that drives it.
pub struct Rig<D: Dut + ?Sized = dyn Dut> {
    tables: u64,
    cq_at: u64,
    cq_entries: u64,
    tail: u64,
    fq_at: u64,
    fq_entries: u64,
    fq_read: u64,
    config: &'static Config,
    /// What is tested.
    pub dut: D,
}

impl Rig<Rtl> {
    /// The hardware after reset, with memory of that latency.
    #[must_use]
    pub fn rtl(config: &'static Config, latency: u64) -> Self {
        let timing = Timing {
            latency,
            ..Timing::default()
        };
        Self::rtl_with(config, timing)
    }

    /// The same with any memory timing.
    #[must_use]
    pub fn rtl_with(config: &'static Config, timing: Timing) -> Self {
        Self::rtl_around(config, under_test::core(config), timing)
    }

    /// The same around any core, for instance one behind an unruly bus.
    #[must_use]
    pub fn rtl_around(config: &'static Config, core: Box<dyn Core>, timing: Timing) -> Self {
        let mut h = Harness::new(core, Memory::new(timing));
        h.set_watchdog(50_000);
        let rest = 60 + 4 * (timing.latency + timing.interval + timing.jitter);
        Self::new(config, Rtl { h, rest })
    }
}

impl Rig<Golden> {
    /// The golden model after reset.
    #[must_use]
    pub fn golden(config: &'static Config) -> Self {
        Self::new(
            config,
            Golden::new(config).expect("a configuration that the model knows"),
        )
    }
}

impl<D: Dut> Rig<D> {
    /// Around a machine that has just been reset.
    #[must_use]
    pub fn new(config: &'static Config, dut: D) -> Self {
        Self {
            config,
            tables: TABLES,
            cq_at: CQ,
            cq_entries: 256,
            tail: 0,
            fq_at: FQ,
            fq_entries: 256,
            fq_read: 0,
            dut,
        }
    }
}

/// What a test expects of each configuration.
#[derive(Clone, Copy, Debug)]
pub struct Each<T> {
    /// Of configuration `tiny`.
    pub tiny: T,
    /// Of configuration `linux`.
    pub linux: T,
}

impl<T> Each<T> {
    /// What it says of this configuration.
    #[must_use]
    pub fn of(self, config: &Config) -> T {
        if *config == TINY {
            self.tiny
        } else {
            self.linux
        }
    }
}

impl<D: Dut + ?Sized> Rig<D> {
    /// The configuration that is tested.
    pub fn config(&self) -> &'static Config {
        self.config
    }
    /// Where the configurations differ: what holds for the one that is tested.
    pub fn pick<T>(&self, each: Each<T>) -> T {
        each.of(self.config)
    }
    /// Width of the addresses that the machine itself can use (CAP-09).
    pub fn pas(&self) -> u32 {
        self.pick(Each {
            tiny: 32,
            linux: 40,
        })
    }
    /// Address of the last page that the machine itself can use.
    pub fn last_page(&self) -> u64 {
        (1 << self.pas()) - 0x1000
    }
    /// Chooses wires for interrupts, where there is a choice (FCTL-03); everything must still be off.
    pub fn wires(&mut self) {
        self.write32(reg::FCTL, 2);
        assert_eq!(self.read32(reg::FCTL) & 2, 2, "fctl.WSI");
    }

    // Registers.

    /// 4-byte register read.
    pub fn read32(&mut self, offset: u16) -> u64 {
        self.dut.reg_read(offset, false)
    }
    /// 8-byte register read.
    pub fn read64(&mut self, offset: u16) -> u64 {
        self.dut.reg_read(offset, true)
    }
    /// 4-byte register write.
    pub fn write32(&mut self, offset: u16, data: u64) {
        self.dut.reg_write(offset, false, data);
    }
    /// 8-byte register write.
    pub fn write64(&mut self, offset: u16, data: u64) {
        self.dut.reg_write(offset, true, data);
    }
    /// Polls a 4-byte register until `value & mask == want`.
    #[track_caller]
    pub fn wait(&mut self, offset: u16, mask: u64, want: u64) -> u64 {
        self.wait_for(offset, |v| v & mask == want)
    }
    /// Polls a 4-byte register until its value is what is waited for.
    #[track_caller]
    pub fn wait_for(&mut self, offset: u16, done: impl Fn(u64) -> bool) -> u64 {
        for _ in 0..5_000 {
            let v = self.read32(offset);
            if done(v) {
                return v;
            }
        }
        panic!(
            "register {offset} never came to what is waited for: it reads {:#x}, cqcsr {:#x}, fqcsr {:#x}",
            self.read32(offset),
            self.read32(reg::CQCSR),
            self.read32(reg::FQCSR)
        );
    }

    // Memory.

    /// The doubleword at `addr`.
    pub fn load(&self, addr: u64) -> u64 {
        let mut bytes = [0; 8];
        self.dut.mem_read(addr, &mut bytes);
        u64::from_le_bytes(bytes)
    }
    /// Stores a doubleword.
    pub fn store(&mut self, addr: u64, value: u64) {
        self.dut.mem_write(addr, &value.to_le_bytes());
    }
    /// Reads of the range end with `status` from now on ([`MemStatus::Ok`] takes it back).
    pub fn break_reads(&mut self, addr: u64, len: u64, status: MemStatus) {
        self.dut.mem_fault(addr, len, FaultOn::Read, status);
    }
    /// The same for writes.
    pub fn break_writes(&mut self, addr: u64, len: u64, status: MemStatus) {
        self.dut.mem_fault(addr, len, FaultOn::Write, status);
    }

    // Starting.

    /// Both queues on with 256 entries and ddtp in mode 1LVL.
    pub fn start(&mut self) {
        self.queues(7, 7);
        self.ddtp(2);
    }
    /// Programs both queues at their usual places (LOG2SZ-1 as given) and switches them on, without interrupts.
    pub fn queues(&mut self, cq: u64, fq: u64) {
        self.command_queue_at(CQ, cq);
        self.fault_queue_at(FQ, fq);
    }
    /// Programs the command queue and switches it on.
    pub fn command_queue_at(&mut self, addr: u64, log2sz_minus_1: u64) {
        self.write64(reg::CQB, (addr >> 12 << 10) | log2sz_minus_1);
        self.write32(reg::CQT, 0);
        self.write32(reg::CQCSR, csr::EN);
        self.wait(reg::CQCSR, csr::ON | csr::BUSY, csr::ON);
        self.cq_at = addr;
        self.cq_entries = 2 << log2sz_minus_1;
        self.tail = 0;
    }
    /// Programs the fault queue and switches it on.
    pub fn fault_queue_at(&mut self, addr: u64, log2sz_minus_1: u64) {
        self.write64(reg::FQB, (addr >> 12 << 10) | log2sz_minus_1);
        self.write32(reg::FQH, 0);
        self.write32(reg::FQCSR, csr::EN);
        self.wait(reg::FQCSR, csr::ON | csr::BUSY, csr::ON);
        self.fq_at = addr;
        self.fq_entries = 2 << log2sz_minus_1;
        self.fq_read = 0;
    }
    /// Writes ddtp with the usual root and waits until the switch is complete.
    pub fn ddtp(&mut self, mode: u64) {
        self.ddtp_at(DDT, mode);
    }
    /// Writes ddtp with any root and waits until the switch is complete.
    pub fn ddtp_at(&mut self, root: u64, mode: u64) {
        self.write64(reg::DDTP, (root >> 12 << 10) | mode);
        self.wait(reg::DDTP, 1 << 4, 0);
    }
    /// Resets the machine and forgets where the queues were.
    pub fn reset(&mut self) {
        self.dut.reset();
        self.tail = 0;
        self.fq_read = 0;
    }

    // Tables.

    /// Writes the four doublewords of a device context (tc, iohgatp, ta, fsc).
    pub fn dc(&mut self, did: u32, dw: [u64; 4]) {
        self.dc_at(DDT + u64::from(did) * 32, dw);
    }
    /// The same at any address.
    pub fn dc_at(&mut self, addr: u64, dw: [u64; 4]) {
        for (i, w) in dw.iter().enumerate() {
            self.store(addr + 8 * i as u64, *w);
        }
    }
    /// Where the context of `did` stands in a directory of `levels` levels; makes pointers on the way (DDT-02, DDT-05).
    pub fn context_in(&mut self, root: u64, levels: u32, did: u32) -> u64 {
        let did = u64::from(did);
        let mut table = root;
        for index in [did >> 16, (did >> 7) & 0x1ff]
            .into_iter()
            .skip(3 - levels as usize)
        {
            let slot = table + index * 8;
            let old = self.load(slot);
            table = if old & 1 == 1 {
                old >> 10 << 12
            } else {
                let next = self.page();
                self.store(slot, (next >> 12 << 10) | 1);
                next
            };
        }
        table + (did & 0x7f) * 32
    }
    /// A fresh zeroed page for tables.
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
    /// A valid context for `did` with an empty root of `levels` levels: Sv39, Sv48 or Sv57; returns the root.
    pub fn sv(&mut self, did: u32, pscid: u64, levels: u32) -> u64 {
        let root = self.page();
        self.dc(did, [TC_V, 0, pscid << 12, iosatp(levels, root)]);
        root
    }
    /// Where the PTE for `iova` at `level` of an Sv39 table stands (0: 4 KiB); makes tables on the way.
    pub fn pte(&mut self, root: u64, iova: u64, level: u32) -> u64 {
        self.pte_in(3, root, iova, level)
    }
    /// The same in a table of `levels` levels.
    pub fn pte_in(&mut self, levels: u32, root: u64, iova: u64, level: u32) -> u64 {
        let mut table = root;
        for l in (level + 1..levels).rev() {
            let slot = table + ((iova >> (12 + 9 * l)) & 0x1ff) * 8;
            let old = self.load(slot);
            table = if old & 1 == 1 {
                old >> 10 << 12
            } else {
                let next = self.page();
                self.store(slot, (next >> 12 << 10) | TABLE);
                next
            };
        }
        table + ((iova >> (12 + 9 * level)) & 0x1ff) * 8
    }
    /// Maps `iova` to `pa` with the PTE bits `flags` at `level`; returns where the leaf stands.
    pub fn map(&mut self, root: u64, iova: u64, pa: u64, flags: u64, level: u32) -> u64 {
        let slot = self.pte(root, iova, level);
        self.store(slot, leaf(pa, flags));
        slot
    }
    /// Gives [`DEV`] a context with [`PAGE`] mapped to [`FRAME`]; returns its root.
    pub fn device_with_page(&mut self) -> u64 {
        let root = self.sv39(DEV, PSCID);
        self.map(root, PAGE, FRAME, RWX, 0);
        root
    }

    // Requests.

    /// One request and its answer.
    pub fn ask(&mut self, r: Request) -> Response {
        self.dut.translate(&[r])[0]
    }
    /// Where an access by `did` ends up, or `None` for a fault.
    pub fn reach(&mut self, did: u32, access: Access, iova: u64) -> Option<u64> {
        let answer = self.ask(request(did, access, iova));
        (!answer.fault).then_some(answer.pa)
    }
    /// [`Rig::reach`] of a read.
    pub fn read(&mut self, did: u32, iova: u64) -> Option<u64> {
        self.reach(did, Access::Read, iova)
    }
    /// The request passes, to exactly this address.
    #[track_caller]
    pub fn grants(&mut self, r: Request, pa: u64) {
        let answer = self.ask(r);
        assert!(!answer.fault, "{r:x?} was refused: {:x?}", self.faults());
        assert_eq!(
            answer.pa, pa,
            "{r:x?} reached {:#x} instead of {pa:#x}",
            answer.pa
        );
    }
    /// The request is refused and leaves exactly one record, with this cause.
    #[track_caller]
    pub fn refuses(&mut self, r: Request, cause: u64) {
        self.refuses_each(&[(r, cause)]);
    }
    /// Every request is refused, and the records are exactly these (in any order).
    #[track_caller]
    pub fn refuses_each(&mut self, cases: &[(Request, u64)]) {
        let requests: Vec<_> = cases.iter().map(|c| c.0).collect();
        let answers = self.dut.translate(&requests);
        for ((r, cause), answer) in cases.iter().zip(&answers) {
            assert!(
                answer.fault,
                "{r:x?} passed to {:#x} instead of cause {cause}",
                answer.pa
            );
        }
        let sorted = |mut records: Vec<FaultRecord>| {
            records.sort_by_key(|r| r.dw);
            records
        };
        let got = sorted(self.faults().into_iter().map(comparable).collect());
        let want = sorted(
            cases
                .iter()
                .map(|(r, cause)| record_of(*r, *cause))
                .collect(),
        );
        assert_eq!(got, want, "records {got:x?}, expected {want:x?}");
    }
    /// Every request of a batch passes, each to its address.
    #[track_caller]
    pub fn grants_each(&mut self, cases: &[(Request, u64)]) {
        let requests: Vec<_> = cases.iter().map(|c| c.0).collect();
        let answers = self.dut.translate(&requests);
        for ((r, pa), answer) in cases.iter().zip(&answers) {
            assert!(!answer.fault, "{r:x?} was refused: {:x?}", self.faults());
            assert_eq!(answer.pa, *pa, "{r:x?} reached {:#x}", answer.pa);
        }
    }

    // Commands.

    /// Puts a command into the queue without moving cqt; returns its index.
    pub fn push(&mut self, c: Cmd) -> u64 {
        let index = self.tail;
        self.put(index, c);
        self.tail = (self.tail + 1) % self.cq_entries;
        index
    }
    /// Overwrites the command at `index`.
    pub fn put(&mut self, index: u64, c: Cmd) {
        let at = self.cq_at + index * 16;
        self.store(at, c.0);
        self.store(at + 8, c.1);
    }
    /// Moves cqt behind the last pushed command.
    pub fn ring(&mut self) {
        self.write32(reg::CQT, self.tail);
    }
    /// The index behind the last pushed command.
    pub fn tail(&self) -> u64 {
        self.tail
    }
    /// Says that the queue was restarted with cqh = cqt = 0.
    pub fn restarted(&mut self) {
        self.tail = 0;
    }
    /// Rings and waits until cqh has passed every pushed command.
    pub fn finish(&mut self) {
        self.ring();
        self.wait(reg::CQH, u64::MAX, self.tail);
    }
    /// Pushes a command and waits until cqh has passed it.
    pub fn run(&mut self, c: Cmd) {
        self.push(c);
        self.finish();
    }
    /// IOFENCE.C with PR and PW, waited for.
    pub fn fence(&mut self) {
        self.run(Cmd::FENCE.with(Cmd::PR | Cmd::PW));
    }
    /// A command, and the fence that makes it take effect.
    pub fn invalidate(&mut self, c: Cmd) {
        self.push(c);
        self.fence();
    }
    /// Rings and waits until the queue is empty or has stopped; returns cqh and cqcsr.
    #[track_caller]
    pub fn outcome(&mut self) -> (u64, u64) {
        self.ring();
        for _ in 0..5_000 {
            let (cqcsr, cqh) = (self.read32(reg::CQCSR), self.read32(reg::CQH));
            if cqh == self.tail || cqcsr & (csr::CMD_ILL | csr::MF) != 0 {
                return (cqh, cqcsr);
            }
        }
        panic!(
            "the command queue neither runs nor stops: cqcsr {:#x}",
            self.read32(reg::CQCSR)
        );
    }
    /// The command must stop the queue with cmd_ill and cqh on it; afterwards the queue runs again.
    #[track_caller]
    pub fn rejects(&mut self, c: Cmd) {
        self.rejects_with(c, 0);
    }
    /// The same in a queue whose cqcsr has these bits beside cqen (cie).
    #[track_caller]
    pub fn rejects_with(&mut self, c: Cmd, bits: u64) {
        let index = self.push(c);
        let (cqh, cqcsr) = self.outcome();
        let shown = cqcsr & (csr::CMD_ILL | csr::MF | csr::ON);
        assert_eq!(shown, csr::CMD_ILL | csr::ON, "{c:x?}: cqcsr {cqcsr:#x}");
        assert_eq!(cqh, index, "{c:x?}: cqh");
        self.put(index, Cmd::VMA);
        self.write32(reg::CQCSR, csr::EN | bits | csr::CMD_ILL);
        self.wait(reg::CQH, u64::MAX, self.tail);
    }
    /// The command is legal: the queue passes it and shows no error.
    #[track_caller]
    pub fn accepts(&mut self, c: Cmd) {
        self.push(c);
        let (cqh, cqcsr) = self.outcome();
        assert_eq!(cqh, self.tail, "{c:x?}: cqh, with cqcsr {cqcsr:#x}");
        assert_eq!(
            cqcsr & (csr::CMD_ILL | csr::MF),
            0,
            "{c:x?}: cqcsr {cqcsr:#x}"
        );
    }

    // Faults.

    /// Records written since the last call, after what is under way has landed; frees their places.
    pub fn faults(&mut self) -> Vec<FaultRecord> {
        self.dut.settle();
        let tail = self.read32(reg::FQT);
        let mut out = vec![];
        while self.fq_read != tail {
            out.push(self.record(self.fq_read));
            self.fq_read = (self.fq_read + 1) % self.fq_entries;
        }
        self.write32(reg::FQH, tail);
        out
    }
    /// The record at an index, whether the queue has it or not.
    pub fn record(&self, index: u64) -> FaultRecord {
        let at = self.fq_at + index * 32;
        FaultRecord {
            dw: [0, 8, 16, 24].map(|o| self.load(at + o)),
        }
    }
    /// There is no new record.
    #[track_caller]
    pub fn no_faults(&mut self) {
        let records = self.faults();
        assert!(records.is_empty(), "{records:x?}");
    }
}
