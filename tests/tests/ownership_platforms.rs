//! One script of the driver on machines with the same core: beside it, at the other end of a serial line, and on the
//! demonstration board, where every bit of each access goes through the UART's pins (scenario T76, and T01, T08, T17 on
//! the board). A page of zeros is a million clock cycles of the line, so the board is the one of generated Verilog.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::rc::Rc;

use portcullis::DefaultDomainType::Dma;
use portcullis::platform::{
    Barrier, Barriers, Bridge, BridgeError, ByteStream, Change, Clock, DmaMemory, Event, Line, Op,
    Platform, Region, Registers, StoreWidth, Trace, frame,
};
use portcullis::{
    Config, DeviceId, Direction, DomainConfig, Health, Iommu, Iova, PagingDomain, Perm, PhysAddr,
    Stats, Status,
};
use portcullis_board::soc::line::{DIVIDER, Port};
use portcullis_board::soc::map as board;
use portcullis_regmap::command::{Command, Op as Decoded};
use portcullis_regmap::config::TINY;
use portcullis_regmap::regs::offset;
use portcullis_sim::board::Verilated;
use portcullis_sim::core::Access;
use portcullis_sim::harness::Harness;
use portcullis_sim::memory::{Memory, Timing};
use portcullis_sim::platform::{Frames, SimPlatform};
use portcullis_tests::ownership::{Buffer, PAGE, backend, map, owner, rounds, shape};
use portcullis_tests::request;

/// The group of the script, and a device with a group of its own.
const FIRST: DeviceId = DeviceId(3);
const OTHER: DeviceId = DeviceId(4);
const IOVA: u64 = 0x5000;
/// Cycles in which the core ends whatever one access of a driver begins; the line takes longer than that for each.
const AT_REST: u64 = 150;
const HERTZ: u64 = 48_000_000;

/// A device's access: where it went, and what was read; `None` if it was refused.
type Reached = Option<(u64, u64)>;

/// What a machine has beside the driver's platform.
trait Machine {
    /// One access of 8 bytes.
    fn dma(&self, device: DeviceId, iova: u64, write: Option<u64>) -> Reached;
    /// The interrupt wires.
    fn wires(&self) -> u32;
}

// The simulation.

/// The simulation with the board's memory. A slow one lets the hardware get on before every register access, as a line
/// does.
#[derive(Clone)]
struct Beside {
    sim: SimPlatform,
    region: Rc<RefCell<Region>>,
    slow: bool,
}

impl Beside {
    fn new(slow: bool) -> Self {
        let core = backend().core(&TINY).expect("a core");
        let harness = Harness::new(core, Memory::new(Timing::default()));
        let bytes = 1 << board::MEMORY_BITS;
        Self {
            sim: SimPlatform::new(harness, Frames::new(board::MEMORY, bytes)),
            region: Rc::new(RefCell::new(Region::new(PhysAddr(board::MEMORY), bytes))),
            slow,
        }
    }

    fn wait(&self) {
        if self.slow {
            let mut world = self.sim.world();
            world
                .run(|harness| harness.advance(AT_REST))
                .expect("no hang");
        }
    }
}

impl Registers for Beside {
    type Error = <SimPlatform as Registers>::Error;

    fn read32(&mut self, at: u16) -> Result<u32, Self::Error> {
        self.wait();
        self.sim.read32(at)
    }

    fn write32(&mut self, at: u16, value: u32) -> Result<(), Self::Error> {
        self.wait();
        self.sim.write32(at, value)
    }
}

// SAFETY: as the simulation's; the region gives no piece out twice before it is freed.
unsafe impl DmaMemory for Beside {
    const STORE: StoreWidth = StoreWidth::W8;

    fn alloc(&mut self, bytes: usize, align: usize) -> Option<PhysAddr> {
        self.region.borrow_mut().take(bytes, align)
    }

    unsafe fn free(&mut self, pa: PhysAddr, _: usize) {
        self.region.borrow_mut().give_back(pa);
    }

    fn load64(&mut self, pa: PhysAddr) -> Result<u64, Self::Error> {
        self.sim.load64(pa)
    }

    fn store64(&mut self, pa: PhysAddr, value: u64) -> Result<(), Self::Error> {
        self.sim.store64(pa, value)
    }

    fn store32(&mut self, pa: PhysAddr, value: u32) -> Result<(), Self::Error> {
        self.sim.store32(pa, value)
    }
}

impl Barriers for Beside {
    fn barrier(&mut self, barrier: Barrier) {
        self.sim.barrier(barrier);
    }
}

impl Clock for Beside {
    fn now_us(&mut self) -> u64 {
        self.sim.now_us()
    }

    fn relax(&mut self) {
        self.sim.relax();
    }
}

impl Machine for Beside {
    fn dma(&self, device: DeviceId, iova: u64, write: Option<u64>) -> Reached {
        let mut world = self.sim.world();
        let access = if write.is_some() {
            Access::Write
        } else {
            Access::Read
        };
        let finished = world.run(|harness| {
            harness.submit(request(device.0, access, iova));
            harness.finish_requests()?;
            // What a refusal leaves in the fault queue.
            harness.advance(AT_REST)?;
            Ok(harness.take_finished())
        });
        let response = finished.expect("no hang").expect("an answer").response;
        if response.fault {
            return None;
        }
        let memory = world.harness.memory_mut();
        if let Some(value) = write {
            memory.store64(response.pa, value);
        }
        Some((response.pa, memory.load64(response.pa)))
    }

    fn wires(&self) -> u32 {
        self.sim.world().harness.irq()
    }
}

// The line.

/// The board's side of the line in software, as docs/serial-bridge.md has it, around the simulation.
struct LoopBack {
    board: Beside,
    decoder: frame::Decoder,
    answers: VecDeque<u8>,
}

impl LoopBack {
    /// What the answer to a request holds behind its number.
    fn carry_out(&mut self, op: u8, operands: &[u8]) -> Vec<u8> {
        let number = |bytes: &[u8]| {
            let all = bytes.iter().rev();
            all.fold(0, |sum, byte| sum << 8 | u64::from(*byte))
        };
        let board = &mut self.board;
        let data = match (op, operands) {
            (frame::op::IDENTIFY, [0]) => u64::from(frame::MAGIC) | 1 << 32 | 1 << 48,
            (frame::op::IDENTIFY, [1]) => board::MEMORY,
            (frame::op::IDENTIFY, [2]) => 1 << board::MEMORY_BITS,
            (frame::op::IDENTIFY, [3]) => HERTZ,
            (frame::op::LOAD64, at) => board.load64(PhysAddr(number(at))).expect("memory"),
            (frame::op::READ32, at) => {
                let value = board.read32(number(at) as u16).expect("no hang");
                return [&[frame::status::OK], &value.to_le_bytes()[..]].concat();
            }
            (frame::op::INTERRUPTS, []) => {
                let wires = board.wires();
                return [&[frame::status::OK], &wires.to_le_bytes()[..]].concat();
            }
            (frame::op::WRITE32, operands) => {
                let (at, value) = operands.split_at(2);
                let done = board.write32(number(at) as u16, number(value) as u32);
                done.expect("no hang");
                return vec![frame::status::OK];
            }
            (frame::op::STORE64, operands) => {
                let (at, value) = operands.split_at(8);
                let done = board.store64(PhysAddr(number(at)), number(value));
                done.expect("memory");
                return vec![frame::status::OK];
            }
            _ => return vec![frame::status::UNKNOWN],
        };
        [&[frame::status::OK], &data.to_le_bytes()[..]].concat()
    }
}

impl ByteStream for LoopBack {
    type Error = Infallible;

    fn write(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        for byte in bytes {
            let Some(content) = self.decoder.push(*byte) else {
                continue;
            };
            let content = content.to_vec();
            let [op, number, operands @ ..] = &content[..] else {
                panic!("a short request: {content:x?}");
            };
            let answer = self.carry_out(*op, operands);
            let answer = [&[op | frame::ANSWER, *number], &answer[..]].concat();
            self.answers.extend(frame::Encoded::new(&answer).bytes());
        }
        Ok(())
    }

    fn read(&mut self, bytes: &mut [u8], _: u64) -> Result<usize, Infallible> {
        let count = bytes.len().min(self.answers.len());
        for (place, byte) in bytes.iter_mut().zip(self.answers.drain(..count)) {
            *place = byte;
        }
        Ok(count)
    }

    fn now_us(&mut self) -> u64 {
        Clock::now_us(&mut self.board)
    }
}

/// What is at the end of a line: registers, memory, and devices that are asked over the line or beside it.
struct OverTheLine<S> {
    bridge: Rc<RefCell<Bridge<S, true>>>,
    devices: Option<Beside>,
}

impl<S> Clone for OverTheLine<S> {
    fn clone(&self) -> Self {
        Self {
            bridge: Rc::clone(&self.bridge),
            devices: self.devices.clone(),
        }
    }
}

fn looped_back() -> OverTheLine<LoopBack> {
    let board = Beside::new(true);
    let stream = LoopBack {
        board: board.clone(),
        decoder: frame::Decoder::default(),
        answers: VecDeque::new(),
    };
    OverTheLine::new(stream, Some(board))
}

/// The board's generated Verilog, its registers, memory and DMA engine at the end of the simulated line.
fn on_the_board() -> OverTheLine<Port<Verilated>> {
    let system = Verilated::new(HERTZ, DIVIDER).expect("the system's Verilog");
    OverTheLine::new(Port::new(system, HERTZ, DIVIDER), None)
}

impl<S: ByteStream> OverTheLine<S> {
    fn new(stream: S, devices: Option<Beside>) -> Self {
        let line = Line {
            answer_us: 1000,
            tries: 2,
        };
        let bridge = Bridge::connect(stream, line).map_err(|(_, error)| error);
        Self {
            bridge: Rc::new(RefCell::new(bridge.expect("a board"))),
            devices,
        }
    }

    fn load(&self, at: u64) -> u64 {
        let loaded = self.bridge.borrow_mut().load64(PhysAddr(at));
        loaded.expect("an answer")
    }

    fn store(&self, at: u64, value: u64) {
        let stored = self.bridge.borrow_mut().store64(PhysAddr(at), value);
        stored.expect("an answer");
    }

    /// Lets the engine of the board begin.
    fn start(&self, device: DeviceId, iova: u64, write: Option<u64>, times: u64) {
        self.store(board::DMA_IOVA, iova);
        self.store(board::DMA_DATA, write.unwrap_or(0));
        let direction = write.map_or(0, |_| board::CONTROL_WRITE);
        let control = u64::from(device.0) | direction | (times - 1) << 32;
        self.store(board::DMA_CONTROL, control);
    }
}

impl<S: ByteStream> Registers for OverTheLine<S> {
    type Error = BridgeError<S::Error>;

    fn read32(&mut self, at: u16) -> Result<u32, Self::Error> {
        self.bridge.borrow_mut().read32(at)
    }

    fn write32(&mut self, at: u16, value: u32) -> Result<(), Self::Error> {
        self.bridge.borrow_mut().write32(at, value)
    }
}

// SAFETY: the memory is on the board; `Bridge` gives no piece out twice before it is freed.
unsafe impl<S: ByteStream> DmaMemory for OverTheLine<S> {
    const STORE: StoreWidth = StoreWidth::W8;

    fn alloc(&mut self, bytes: usize, align: usize) -> Option<PhysAddr> {
        self.bridge.borrow_mut().alloc(bytes, align)
    }

    unsafe fn free(&mut self, pa: PhysAddr, bytes: usize) {
        // SAFETY: the caller's promise, passed on.
        unsafe { self.bridge.borrow_mut().free(pa, bytes) }
    }

    fn load64(&mut self, pa: PhysAddr) -> Result<u64, Self::Error> {
        self.bridge.borrow_mut().load64(pa)
    }

    fn store64(&mut self, pa: PhysAddr, value: u64) -> Result<(), Self::Error> {
        self.bridge.borrow_mut().store64(pa, value)
    }

    fn store32(&mut self, pa: PhysAddr, value: u32) -> Result<(), Self::Error> {
        self.bridge.borrow_mut().store32(pa, value)
    }
}

impl<S> Barriers for OverTheLine<S> {
    fn barrier(&mut self, barrier: Barrier) {
        self.bridge.borrow_mut().barrier(barrier);
    }
}

impl<S: ByteStream> Clock for OverTheLine<S> {
    fn now_us(&mut self) -> u64 {
        self.bridge.borrow_mut().now_us()
    }
}

impl<S: ByteStream> Machine for OverTheLine<S> {
    fn dma(&self, device: DeviceId, iova: u64, write: Option<u64>) -> Reached {
        if let Some(devices) = &self.devices {
            return devices.dma(device, iova, write);
        }
        self.start(device, iova, write, 1);
        let status = self.load(board::DMA_CONTROL);
        assert_eq!(status & !board::STATUS_REFUSED, 0, "{iova:#x}");
        if status & board::STATUS_REFUSED != 0 {
            return None;
        }
        let pa = self.load(board::DMA_ADDRESS);
        Some((pa, self.load(pa)))
    }

    fn wires(&self) -> u32 {
        self.bridge.borrow_mut().interrupts().expect("an answer")
    }
}

// The script.

/// What the script saw: of each step what both devices reached, in the end what the driver says of itself.
#[derive(Debug, PartialEq)]
struct Seen {
    reached: Vec<(&'static str, [Reached; 3])>,
    faults: Vec<[u64; 4]>,
    wires: Vec<u32>,
    health: Health,
    counters: [u64; 5],
}

/// A driver that the memory of the demonstration board suffices for.
fn started<P: Platform>(platform: P) -> Iommu<P> {
    let config = Config {
        default_domain: Dma,
        command_queue: 16,
        fault_queue: 16,
        table_chunk: 1,
        ..Config::default()
    };
    Iommu::new(platform, config)
        .map_err(|e| e.error)
        .expect("starts")
}

/// Everything that a driver does, in the words of its platform.
fn script<P: Platform>(mut platform: P, machine: &dyn Machine) -> Seen {
    let mut page = || platform.alloc(PAGE, PAGE).expect("room").0;
    let [red, blue, buffer] = [page(), page(), page()];
    let iommu = started(platform);
    let (mut reached, mut faults) = (Vec::new(), Vec::new());
    let mut wires = Vec::new();
    let mut stamp = 0x57_0000;
    let mut look_at = |step, iova: u64| {
        stamp += 1;
        let write = machine.dma(FIRST, iova + 8, Some(stamp));
        let read = machine.dma(FIRST, iova + 8, None);
        let other = machine.dma(OTHER, iova, None);
        reached.push((step, [write, read, other]));
        wires.push(machine.wires());
        if machine.wires() != 0 {
            let events = iommu.on_interrupt().expect("no failure");
            assert!(events.faults, "{step}: {events:?}");
        }
        let drained = iommu
            .faults()
            .drain(16, |fault| faults.push(fault.record.dw));
        drained.expect("no failure");
    };
    look_at("before it is added", IOVA);
    for device in [FIRST, OTHER] {
        iommu.add_device(device.into()).expect("added");
    }
    look_at("default", IOVA);
    let domain = |page| -> PagingDomain<'_, P> {
        let domain = iommu.paging_domain(DomainConfig::default()).expect("room");
        map(&domain, IOVA, page, PAGE, Perm::READ_WRITE).expect("mapped");
        domain
    };
    let group = iommu.group(FIRST).expect("a group");
    let owned = group.claim(&owner(1)).expect("claimed");
    assert_eq!(group.status(), Status::Owned(owner(1)));
    look_at("claimed", IOVA);
    let owned = owned.attach(domain(red)).expect("attached");
    look_at("attached", IOVA);
    let (owned, old) = owned.replace_hitless(domain(blue)).expect("replaced");
    drop(old);
    look_at("replaced", IOVA);
    assert_eq!(owned.domain().unmap(Iova(IOVA), PAGE), Ok(PAGE));
    look_at("unmapped", IOVA);
    map(owned.domain(), IOVA, red, PAGE, Perm::READ).expect("mapped");
    look_at("read only", IOVA);
    let later = owned
        .domain()
        .unmap_deferred(Iova(IOVA), PAGE)
        .expect("queued");
    owned.domain().flush().expect("flushed");
    assert!(owned.domain().reusable(&later));
    look_at("flushed", IOVA);
    map(owned.domain(), IOVA, red, PAGE, Perm::READ_WRITE).expect("mapped");
    let (mut owned, mut domain) = owned.detach();
    look_at("detached", IOVA);
    for _ in 0..2 {
        let attached = owned.attach(domain).expect("attached");
        look_at("attached again", IOVA);
        (owned, domain) = attached.detach();
    }
    drop(domain);
    owned.release();
    look_at("released", IOVA);
    let user = group.use_default_domain().expect("nobody's");
    let mapped = user.map(Buffer(buffer), Direction::Both).expect("room");
    look_at("a buffer", mapped.iova().0);
    let iova = mapped.iova().0;
    mapped.unmap().expect("the buffer");
    look_at("no buffer", iova);
    user.unuse();
    iommu.remove_device(FIRST).expect("removed");
    look_at("removed", IOVA);
    let Stats {
        commands,
        fences,
        fence_waits,
        faults: delivered,
        queue_resets,
        ..
    } = iommu.stats();
    let (health, counters) = (
        iommu.health(),
        [commands, fences, fence_waits, delivered, queue_resets],
    );
    drop(iommu);
    Seen {
        reached,
        faults,
        wires,
        health,
        counters,
    }
}

/// The script on a machine, and all that its driver did.
fn traced<P: Platform + Machine + Clone>(machine: P) -> (Seen, Vec<Op>) {
    let log = RefCell::new(Vec::new());
    let beside = machine.clone();
    let seen = script(
        Trace::new(machine, |op| log.borrow_mut().push(timeless(op))),
        &beside,
    );
    (seen, log.into_inner())
}

/// Machines may differ in how long they take.
fn timeless(op: Op) -> Op {
    match op {
        Op::Event(Event::Changed(change)) => Op::Event(Event::Changed(Change {
            wait_us: 0,
            ..change
        })),
        Op::Event(Event::FenceBegin { .. }) => Op::Event(Event::FenceBegin { commands: 0 }),
        Op::Event(Event::FenceEnd { .. }) => Op::Event(Event::FenceEnd { polls: 0 }),
        op => op,
    }
}

/// The same without the polls of a fence or a busy bit, of which a slow machine needs fewer: the last one is kept.
fn without_polls(log: &[Op]) -> Vec<Op> {
    let mut waiting = false;
    let keep = |op: &&Op| {
        match op {
            Op::Event(Event::FenceBegin { .. }) => waiting = true,
            Op::Event(Event::FenceEnd { .. }) => waiting = false,
            _ => {}
        }
        !waiting || !matches!(op, Op::Read(..))
    };
    let mut rest: Vec<Op> = Vec::new();
    for op in log.iter().filter(keep) {
        match (rest.last_mut(), op) {
            (Some(Op::Read(last, ..)), Op::Read(now, ..)) if last == now => rest.pop(),
            _ => None,
        };
        rest.push(*op);
    }
    rest
}

/// Panics at the first difference; the whole lists would tell nobody anything.
fn same(what: &str, a: &[Op], b: &[Op]) {
    for (n, (a, b)) in a.iter().zip(b).enumerate() {
        assert_eq!(a, b, "{what}: access {n}");
    }
    assert_eq!(a.len(), b.len(), "{what}");
}

/// The script's outcome by page, so that machines are not equal in being wrong.
fn right(seen: &Seen) {
    let (red, blue, buffer) = (
        board::MEMORY,
        board::MEMORY + 0x1000,
        board::MEMORY + 0x2000,
    );
    let none = [None; 3];
    let both = |page| [Some(page), Some(page), None];
    let expected = [
        ("before it is added", none),
        ("default", none),
        ("claimed", none),
        ("attached", both(red)),
        ("replaced", both(blue)),
        ("unmapped", none),
        ("read only", [None, Some(red), None]),
        ("flushed", none),
        ("detached", none),
        ("attached again", both(red)),
        ("attached again", both(red)),
        ("released", none),
        ("a buffer", both(buffer)),
        ("no buffer", none),
        ("removed", none),
    ];
    assert_eq!(seen.reached.len(), expected.len());
    let mut refused = 0;
    for ((step, reached), (name, pages)) in seen.reached.iter().zip(expected) {
        let found = reached.map(|r| r.map(|(pa, _)| pa & !0xfff));
        assert_eq!((*step, found), (name, pages));
        refused += reached.iter().filter(|r| r.is_none()).count();
        if let [Some(_), Some((_, read)), _] = reached {
            let [Some((_, written)), ..] = reached else {
                unreachable!()
            };
            assert_eq!(read, written, "{step}");
        }
    }
    assert_eq!(seen.faults.len(), refused, "each refusal left a record");
    assert_eq!((seen.health, seen.counters[4]), (Health::Good, 0));
}

/// Given one script of everything that a driver does, and the same core in two machines; when it runs beside the core, and
/// at the other end of a serial line; then each register access, each access to memory, each barrier and each event is
/// the same, in the same order and with the same values; devices reach the same addresses and data; the records of what
/// was refused are the same. So it is where the driver is faster than any line, except that it asks more often whether
/// the hardware is done.
#[test]
fn t_76_one_script_beside_the_core_and_over_a_line() {
    let (seen, fast) = traced(Beside::new(false));
    right(&seen);
    let (of_slow, slow) = traced(Beside::new(true));
    assert_eq!(of_slow, seen);
    same("slow", &without_polls(&slow), &without_polls(&fast));
    let (of_line, line) = traced(looped_back());
    assert_eq!(of_line, seen);
    same("over the line", &line, &slow);
    assert!(line.len() > 9000, "{}", line.len());
}

/// The same script on the board's Verilog, every bit of each access through the UART's pins: what the driver does and
/// sees is what it does and sees beside the simulated core, access by access.
#[ignore = "needs Verilator: cargo xtask verify --only ownership"]
#[test]
fn t_76_one_script_on_the_board() {
    let (of_slow, slow) = traced(Beside::new(true));
    let (of_board, board) = traced(on_the_board());
    right(&of_board);
    assert_eq!(of_board, of_slow);
    same("on the board", &board, &slow);
    println!("{} accesses of the driver are the same", board.len());
}

/// On the board. T17: given a DMA domain, and an engine that writes as fast as it can while the group is claimed; then
/// each access went to the domain or was refused, and none lands after the return. T01: that was one BLOCK. T08: when a
/// domain is attached and detached again and again; then each round is the same, and takes no memory.
#[ignore = "needs Verilator: cargo xtask verify --only ownership"]
#[test]
fn t_01_08_17_on_the_board() {
    const TIMES: u64 = 256;
    let board = on_the_board();
    let log: RefCell<Vec<Op>> = RefCell::default();
    // The engine starts when the driver has stored its last command and is about to ring the doorbell.
    let (commands, iova) = (Cell::new(None::<u32>), Cell::new(0));
    let tell = |op| {
        log.borrow_mut().push(op);
        if let (Op::Store(..), Some(left)) = (op, commands.get()) {
            commands.set(left.checked_sub(1));
            if left == 0 {
                board.start(FIRST, iova.get(), Some(1), TIMES);
            }
        }
    };
    let mut platform = Trace::new(board.clone(), tell);
    let page = platform.alloc(PAGE, PAGE).expect("room").0;
    let iommu = started(platform);
    let ring = log.borrow().iter().rev().find_map(|op| match op {
        Op::Write(offset::CQB, _, base) => Some((base >> 10) << 12),
        _ => None,
    });
    let ring = ring.expect("a queue");
    iommu.add_device(FIRST.into()).expect("added");
    let group = iommu.group(FIRST).expect("a group");
    let user = group.use_default_domain().expect("nobody's");
    let mapped = user.map(Buffer(page), Direction::Both).expect("room");
    iova.set(mapped.iova().0);
    let last = page + PAGE as u64 - 8;
    let reached = board.dma(FIRST, iova.get() + PAGE as u64 - 8, Some(7));
    assert_eq!(reached, Some((last, 7)));
    user.unuse();
    log.borrow_mut().clear();
    // V, then four commands of two doublewords.
    commands.set(Some(8));
    let owned = group.claim(&owner(1)).expect("claimed");
    let claim = shape(&log.take(), ring);
    let status = board.load(board::DMA_CONTROL);
    assert_eq!(status, board::STATUS_REFUSED, "it was cut off");
    let landed = (0..TIMES)
        .take_while(|n| board.load(page + 8 * n) == n + 1)
        .count() as u64;
    assert!((1..TIMES).contains(&landed), "{landed} before the block");
    let told = board.load(board::DMA_ADDRESS);
    assert_eq!(told, 0, "a refusal tells no address");
    println!("{landed} accesses landed before the block");
    // Another use of the page: what is in it stays.
    for n in 0..TIMES {
        board.store(page + 8 * n, !n);
    }
    board.start(FIRST, iova.get(), Some(1), TIMES);
    assert_eq!(board.load(board::DMA_CONTROL), board::STATUS_REFUSED);
    assert!((0..TIMES).all(|n| board.load(page + 8 * n) == !n));
    let words: Vec<_> = claim.iter().map(|(word, ..)| *word).collect();
    let block = [
        &["store"][..],
        &["command"; 8],
        &["doorbell", "wait", "store"],
    ]
    .concat();
    assert_eq!(words, block);
    let dw0 = |n: usize| {
        Command {
            dw0: claim[1 + 2 * n].2,
            dw1: 0,
        }
        .decode()
        .expect("a command")
    };
    assert_eq!(dw0(0), Decoded::InvalDdt { did: Some(FIRST.0) });
    assert!(matches!(
        dw0(1),
        Decoded::Iofence {
            pr: false,
            pw: false,
            ..
        }
    ));
    assert!(matches!(
        dw0(2),
        Decoded::Iotinval {
            gvma: false,
            addr: None,
            pscid: Some(_),
            ..
        }
    ));
    assert!(matches!(
        dw0(3),
        Decoded::Iofence {
            pr: true,
            pw: true,
            ..
        }
    ));

    let domain = iommu.paging_domain(DomainConfig::default()).expect("room");
    map(&domain, IOVA, page, PAGE, Perm::READ_WRITE).expect("mapped");
    let (mut owned, mut domain) = (owned, domain);
    let mut first = None;
    for round in 0..rounds(200) {
        log.borrow_mut().clear();
        let attached = owned.attach(domain).expect("attached");
        (owned, domain) = attached.detach();
        let now = shape(&log.borrow(), ring);
        let first = first.get_or_insert_with(|| now.clone());
        assert_eq!(now, *first, "round {round}");
    }
    let first = first.expect("a round");
    let count = |word| first.iter().filter(|(w, ..)| *w == word).count();
    assert_eq!(
        ["store", "command", "wait", "memory"].map(count),
        [4, 16, 2, 0]
    );
    assert_eq!(board.dma(FIRST, IOVA, None), None);
    drop((owned, domain));
    assert_eq!(iommu.health(), Health::Good);
    drop(mapped);
}
