//! What the ownership tests share: the driver on the simulated hardware, with engines that hammer it.

use portcullis::platform::{Event, Op as DriverOp, Platform, Registers};
use portcullis::{
    DefaultDomainType, DeviceId, DeviceInfo, DmaBuffer, DomainConfig, Error, GroupId, Health,
    Iommu, Iova, Mapped, Mode, OwnedGroup, Owner, PagingDomain, Perm, PhysAddr, Stats, Status,
    TrustToken,
};
use portcullis_regmap::Config;
use portcullis_regmap::command::{self, Op};
use portcullis_regmap::regs::offset;
use portcullis_sim::backend::Backend;
use portcullis_sim::memory::Timing;
use portcullis_sim::own::load::Habits;
use portcullis_sim::own::monitor::{BusEvent, Footprint};
use portcullis_sim::own::paint::{Colour, Colours};
use portcullis_sim::own::stage::{Bus, Setting, Stage};

use crate::under_test;

/// The device that changes hands.
pub const DEV: DeviceId = DeviceId(0x25);
/// A device that has nothing to do with it.
pub const BYSTANDER: DeviceId = DeviceId(0x26);
/// A second one of the same group, or of another.
pub const SECOND: DeviceId = DeviceId(0x27);
/// Nothing is reached.
pub const BLOCKED: Colour = Colour::BLOCKED;
/// Bytes of a page.
pub const PAGE: usize = 4096;

/// `rtl`, or `verilog` if PORTCULLIS_OWN_BACKEND says so (`cargo xtask verify` does): fifty times faster.
#[must_use]
pub fn backend() -> Backend {
    under_test::backend("PORTCULLIS_OWN_BACKEND")
}

/// How often a test repeats what it does: PORTCULLIS_OWN_ROUNDS, or `default`.
#[must_use]
pub fn rounds(default: u64) -> u64 {
    std::env::var("PORTCULLIS_OWN_ROUNDS").map_or(default, |n| n.parse().expect("a number"))
}

/// A setting with a memory that answers after 3 to 7 cycles.
#[must_use]
pub fn setting(config: &'static Config, seed: u64) -> Setting {
    Setting {
        timing: Timing {
            latency: 3,
            jitter: 4,
            seed,
            ..Timing::default()
        },
        ..Setting::new(config, seed)
    }
}

/// A window of three pages, which are hit again and again, with writes that land late; the bus is kept.
#[must_use]
pub fn small(config: &'static Config, seed: u64) -> Stage {
    stage(Setting {
        pages: 3,
        keep: true,
        habits: Habits {
            delay: 60,
            ..Habits::default()
        },
        ..setting(config, seed)
    })
}

/// The stage.
#[must_use]
pub fn stage(setting: Setting) -> Stage {
    let core = backend().core(setting.config).expect("a core");
    Stage::new(core, setting)
}

/// An owner.
#[must_use]
pub fn owner(n: u64) -> Owner {
    Owner::new(n).expect("not 0")
}

/// Identity as a wish.
#[must_use]
pub fn token() -> TrustToken {
    // SAFETY: the devices are part of the test.
    unsafe { TrustToken::new() }
}

/// A domain in which the window has a colour of its own.
///
/// # Panics
/// The driver refused.
pub fn coloured<'i, P: Platform, const N: usize>(
    stage: &Stage,
    iommu: &'i Iommu<P, N>,
    name: &str,
) -> (PagingDomain<'i, P, N>, Colour) {
    stage.domain(iommu, name, Mode::Sv39).expect("a domain")
}

/// A started driver, an engine for [`DEV`] that hammers, and one as [`protect_bystander`] makes it.
///
/// # Panics
/// The driver refused.
#[must_use]
pub fn begin(stage: &Stage, config: portcullis::Config) -> (Iommu<Bus>, usize) {
    begin_on(stage, stage.platform(), config)
}

/// As [`begin`], on a platform around [`Stage::platform`].
///
/// # Panics
/// The driver refused.
#[must_use]
pub fn begin_on<P: Platform>(
    stage: &Stage,
    platform: P,
    config: portcullis::Config,
) -> (Iommu<P>, usize) {
    let iommu = Iommu::new(platform, config).expect("starts");
    let dev = stage.engine(DEV.0, BLOCKED);
    protect_bystander(stage, &iommu);
    (iommu, dev)
}

/// An engine for [`BYSTANDER`] with a domain of its own for good: whatever else it reaches fails the test.
///
/// # Panics
/// The driver refused.
pub fn protect_bystander<P: Platform, const N: usize>(stage: &Stage, iommu: &Iommu<P, N>) {
    let bystander = stage.engine(BYSTANDER.0, BLOCKED);
    iommu.add_device(BYSTANDER.into()).expect("added");
    let group = iommu.group(BYSTANDER).expect("a group");
    let owned = group.claim(&owner(2)).expect("claimed");
    let (domain, own) = coloured(stage, iommu, "the bystander's");
    let during = [BLOCKED, own];
    let owned = stage.call("attach bystander", &[bystander], during, own, || {
        owned.attach(domain).expect("attached")
    });
    // It is owned until the IOMMU goes.
    std::mem::forget(owned);
}

/// Settings of the driver on a stage, with a type of default domain.
#[must_use]
pub fn driver(default_domain: DefaultDomainType) -> portcullis::Config {
    portcullis::Config {
        default_domain,
        ..Stage::driver_config()
    }
}

/// Ends a test: nothing hangs, nothing was wrong, neither before nor while the IOMMU is switched off.
///
/// # Panics
/// Something was.
pub fn end<P: Platform>(stage: &Stage, iommu: Iommu<P>) {
    stage.drain().expect("no hang");
    stage.verdict();
    drop(iommu);
    stage.verdict();
}

/// What went over the bus during the last call of a name, in the words of the protocol. Needs a setting that keeps.
///
/// # Panics
/// There was no such call.
#[must_use]
pub fn bus(stage: &Stage, call: &str) -> Vec<&'static str> {
    let steps = stage.steps();
    let step = steps
        .iter()
        .rev()
        .find(|step| step.name == call)
        .expect("a call");
    stage.with(|_, scene| {
        let events = &scene.monitor.events()[step.bus.clone()];
        events.iter().map(|(_, event)| word(event)).collect()
    })
}

fn word(event: &BusEvent) -> &'static str {
    match event {
        BusEvent::Store(_, 0, value) if value & 1 == 0 => "tc.V=0",
        BusEvent::Store(_, 0, _) => "tc.V=1",
        BusEvent::Store(_, 24, _) => "fsc",
        BusEvent::Store(..) => "other field",
        BusEvent::Doorbell => "doorbell",
        BusEvent::Command(Some(Op::InvalDdt { did: None })) => "INVAL_DDT of all",
        BusEvent::Command(Some(Op::InvalDdt { .. })) => "INVAL_DDT",
        BusEvent::Command(Some(Op::Iotinval {
            gvma: false,
            addr: None,
            pscid: None,
            ..
        })) => "IOTINVAL.VMA of all",
        BusEvent::Command(Some(Op::Iotinval { gvma: false, .. })) => "IOTINVAL.VMA",
        BusEvent::Command(Some(Op::Iotinval { gvma: true, .. })) => "IOTINVAL.GVMA",
        BusEvent::Command(Some(Op::Iofence {
            pr: true, pw: true, ..
        })) => "IOFENCE.C PR PW",
        BusEvent::Command(Some(Op::Iofence { .. })) => "IOFENCE.C",
        BusEvent::Command(_) => "another command",
        BusEvent::Synced => "fence passed",
    }
}

/// The commands of a SYNC of one device.
pub const SYNC: [&str; 6] = [
    "doorbell",
    "INVAL_DDT",
    "IOFENCE.C",
    "IOTINVAL.VMA",
    "IOFENCE.C PR PW",
    "fence passed",
];

/// BLOCK of one device.
#[must_use]
pub fn block() -> Vec<&'static str> {
    [&["tc.V=0"][..], &SYNC, &["fsc"]].concat()
}

/// PUB of one device.
#[must_use]
pub fn publish() -> Vec<&'static str> {
    [&["fsc"][..], &SYNC, &["tc.V=1"]].concat()
}

/// SWAP of one device.
#[must_use]
pub fn swap() -> Vec<&'static str> {
    [&["fsc"][..], &SYNC].concat()
}

/// What follows a reset of the command queue: everything is invalidated.
pub const BLANKET: [&str; 4] = [
    "INVAL_DDT of all",
    "IOFENCE.C",
    "IOTINVAL.VMA of all",
    "IOFENCE.C PR PW",
];

/// A flush of deferred unmaps.
pub const FLUSH: [&str; 3] = ["doorbell", "IOTINVAL.VMA", "IOFENCE.C PR PW"];

/// A device for a group that is there.
#[must_use]
pub fn joining(device: DeviceId, group: GroupId) -> DeviceInfo {
    DeviceInfo {
        group: Some(group),
        ..device.into()
    }
}

/// Lets the engines run.
///
/// # Panics
/// The hardware hangs.
pub fn run(stage: &Stage, cycles: u64) {
    stage.run(cycles).expect("no hang");
}

/// Of a device: its context in memory, state and number of users of its group.
type OfDevice = (u32, Option<[u64; 4]>, Option<(Status, u32)>);

/// Pages that the driver holds.
#[must_use]
pub fn held(stage: &Stage) -> usize {
    stage.with(|_, scene| scene.monitor.footprint().pages)
}

/// What a call does to memory and registers, whichever slots of the queue it uses: kind, place and value of each step.
#[must_use]
pub fn shape(log: &[DriverOp], ring: u64) -> Vec<(&'static str, u64, u64)> {
    let words = log.iter().filter_map(|op| match op {
        DriverOp::Store(pa, _, value) if pa.0 & !0xfff == ring => {
            Some(("command", pa.0 % command::BYTES, *value))
        }
        DriverOp::Store(pa, _, value) => Some(("store", pa.0, *value)),
        DriverOp::Write(offset::CQT, ..) => Some(("doorbell", 0, 0)),
        DriverOp::Write(at, _, value) => Some(("write", u64::from(*at), *value)),
        DriverOp::Alloc(..) | DriverOp::Free(..) => Some(("memory", 0, 0)),
        DriverOp::Event(Event::FenceEnd { .. }) => Some(("wait", 0, 0)),
        _ => None,
    });
    words.collect()
}

/// Everything that a refused call must leave as it is.
#[derive(Debug, PartialEq)]
struct Everything {
    footprint: Footprint,
    registers: Vec<u64>,
    devices: Vec<OfDevice>,
    health: Health,
    stats: Stats,
    isolation: bool,
}

impl Everything {
    /// Registers that only the driver changes.
    const REGISTERS: [u16; 5] = [
        offset::DDTP,
        offset::CQB,
        offset::CQCSR,
        offset::FQB,
        offset::ICVEC,
    ];

    fn of<P: Platform>(stage: &Stage, iommu: &Iommu<P>) -> Self {
        let mut platform = stage.platform();
        let mut read = |at| platform.read64(at).expect("no hang");
        let registers = Self::REGISTERS.map(&mut read).to_vec();
        let (footprint, contexts) = stage.with(|harness, scene| {
            let devices = scene.load.engines().iter().map(|engine| engine.device);
            let context = |device| (device, scene.monitor.context(device, harness.memory()));
            (
                scene.monitor.footprint(),
                devices.map(context).collect::<Vec<_>>(),
            )
        });
        let group = |device| {
            let group = iommu.group(DeviceId(device)).ok()?;
            Some((group.status(), group.users()))
        };
        Self {
            footprint,
            registers,
            devices: contexts
                .into_iter()
                .map(|(device, context)| (device, context, group(device)))
                .collect(),
            health: iommu.health(),
            stats: iommu.stats(),
            isolation: iommu.isolation(),
        }
    }
}

/// A call that changes nothing, under DMA: no store, no register write, no memory taken or given back, every context,
/// register and state as before; before, during and after it the engines reach `reached` and do not stop.
///
/// # Panics
/// Something changed.
pub fn nothing_changes<P: Platform, T>(
    stage: &Stage,
    iommu: &Iommu<P>,
    name: &str,
    engines: &[usize],
    reached: impl Into<Colours>,
    call: impl FnOnce() -> T,
) -> T {
    let reached = reached.into();
    let touches = |engine: usize| -> u64 {
        let all = reached.iter().map(|colour| stage.count(engine, colour));
        all.sum()
    };
    let first: Vec<u64> = engines.iter().map(|engine| touches(*engine)).collect();
    let answer = stage.call(name, engines, reached, reached, || {
        run(stage, 200);
        let before = Everything::of(stage, iommu);
        let answer = call();
        assert_eq!(Everything::of(stage, iommu), before, "{name}");
        run(stage, 200);
        answer
    });
    for (engine, first) in engines.iter().zip(first) {
        assert!(touches(*engine) > first, "{name}: engine {engine} stopped");
    }
    answer
}

/// A group with an owner and a domain.
pub type Guard<'i, P = Bus> = OwnedGroup<'i, P, 16, portcullis::Attached<PagingDomain<'i, P>>>;

/// The group of [`DEV`], added and claimed, with an empty domain.
///
/// # Panics
/// The driver refused.
pub fn empty<P: Platform>(iommu: &Iommu<P>) -> Guard<'_, P> {
    iommu.add_device(DEV.into()).expect("added");
    let owned = iommu.group(DEV).expect("a group").claim(&owner(1));
    let domain = iommu.paging_domain(DomainConfig::default()).expect("room");
    owned.expect("claimed").attach(domain).expect("attached")
}

/// What tests of a domain begin and end with: a [`small`] stage, the driver with [`DEV`] hammering and the bystander, and
/// the group of [`DEV`] with an empty domain, which `test` gets with the engine.
///
/// # Panics
/// The driver refused, or something was wrong.
pub fn with_empty_domain(
    config: &'static Config,
    seed: u64,
    test: impl FnOnce(&Stage, &Iommu<Bus>, usize, Guard<'_>),
) {
    let stage = small(config, seed);
    let (iommu, dev) = begin(&stage, driver(DefaultDomainType::Blocked));
    let owned = stage.call("attach", &[dev], BLOCKED, BLOCKED, || empty(&iommu));
    test(&stage, &iommu, dev, owned);
    end(&stage, iommu);
}

/// Maps a new colour page by page while the engine hammers these pages; on return it has reached it. Answers the IOVAs and
/// frames too.
///
/// # Panics
/// The driver refused.
pub fn map_window<P: Platform>(
    stage: &Stage,
    owned: &Guard<'_, P>,
    dev: usize,
    name: &str,
) -> (Colour, Vec<(u64, u64)>) {
    let (colour, frames) = stage.paint(name);
    let either = [BLOCKED, colour];
    stage.call("map", &[dev], either, either, || {
        map_frames(owned.domain(), &frames)
    });
    // What was judged before the map may still be answered; from then on every page is there.
    stage.call("settle", &[dev], either, colour, || run(stage, 100));
    stage.call("mapped", &[dev], colour, colour, || run(stage, 300));
    assert!(stage.count(dev, colour) > 0);
    (colour, frames)
}

/// Maps memory of the simulation.
///
/// # Errors
/// The driver's answer.
pub fn map<P: Platform, const N: usize>(
    domain: &PagingDomain<'_, P, N>,
    iova: u64,
    pa: u64,
    bytes: usize,
    perm: Perm,
) -> Result<(), Error> {
    // SAFETY: the memory is simulated; nothing of this process is there.
    unsafe { domain.map(Iova(iova), PhysAddr(pa), bytes, perm) }
}

/// Maps frames of a colour page by page.
///
/// # Panics
/// The driver refused.
pub fn map_frames<P: Platform>(domain: &PagingDomain<'_, P>, frames: &[(u64, u64)]) {
    for (iova, pa) in frames {
        map(domain, *iova, *pa, PAGE, Perm::READ_WRITE).expect("mapped");
    }
}

/// A domain in which `pages` lead to frames of a new colour.
///
/// # Panics
/// The driver refused.
pub fn coloured_at<'i, P: Platform>(
    stage: &Stage,
    iommu: &'i Iommu<P>,
    name: &str,
    pages: &[u64],
) -> (PagingDomain<'i, P>, Colour) {
    let (colour, frames) = stage.paint(name);
    let domain = iommu.paging_domain(DomainConfig::default()).expect("room");
    for (iova, (_, pa)) in pages.iter().zip(&frames) {
        stage.with(|_, scene| scene.load.palette.move_to(*iova, *pa));
        map(&domain, *iova, *pa, PAGE, Perm::READ_WRITE).expect("mapped");
    }
    (domain, colour)
}

/// Unmaps them page by page, strictly.
///
/// # Panics
/// The driver refused.
pub fn unmap_frames<P: Platform>(domain: &PagingDomain<'_, P>, frames: &[(u64, u64)]) {
    for (iova, _) in frames {
        assert_eq!(domain.unmap(Iova(*iova), PAGE), Ok(PAGE));
    }
}

/// A painted page.
#[derive(Debug)]
pub struct Buffer(pub u64);

// SAFETY: the memory is simulated; nothing of this process is there.
unsafe impl DmaBuffer for Buffer {
    fn address(&self) -> PhysAddr {
        PhysAddr(self.0)
    }

    fn bytes(&self) -> usize {
        PAGE
    }
}

/// Buffers of a driver.
pub type Buffers<'i, P = Bus> = Vec<Mapped<'i, P, 16, Buffer>>;

/// Maps the frames of a new colour where the driver likes, and lets the engine hammer them.
///
/// # Panics
/// The driver refused.
pub fn map_buffers<'i, P: Platform>(
    stage: &Stage,
    user: &portcullis::KernelUse<'i, P>,
    dev: usize,
    name: &str,
) -> (Buffers<'i, P>, Colour) {
    let (colour, frames) = stage.paint(name);
    let mapped: Buffers<'_, P> = stage.call("map", &[dev], BLOCKED, BLOCKED, || {
        let buffers = frames.iter().map(|(_, pa)| Buffer(*pa));
        buffers
            .map(|b| user.map(b, portcullis::Direction::Both).expect("room"))
            .collect()
    });
    stage.with(|_, scene| {
        for (buffer, (_, pa)) in mapped.iter().zip(&frames) {
            scene.load.palette.move_to(buffer.iova().0, *pa);
        }
        scene.load.engine_mut(dev).pages = mapped.iter().map(|b| b.iova().0).collect();
    });
    stage.call("mapped", &[dev], [BLOCKED, colour], colour, || {
        run(stage, 400)
    });
    (mapped, colour)
}
