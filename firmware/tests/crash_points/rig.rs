//! One operation of the driver under failure: which accesses it makes, and what must hold when one of them fails.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::common::*;
use portcullis::platform::{Faulty, Op, Trace};
use portcullis::*;

pub const DEV: DeviceId = DeviceId(3);
/// A device that comes when all is over.
const LATER: DeviceId = DeviceId(9);
pub const IOVA: u64 = 0x7000;
pub const PASID: Pasid = Pasid(5);

/// What [`DEV`] reaches: without a process id, and with [`PASID`].
pub type Look = [Option<u64>; 2];
pub const NOTHING: Look = [None, None];

pub type P = Trace<Faulty<Machine, Box<dyn FnMut(u64) -> bool>>, Box<dyn FnMut(Op)>>;
pub type I = Iommu<P>;

/// Which accesses fail: `width` of them from number `from`, counted while armed.
#[derive(Default)]
struct Gun {
    armed: Cell<bool>,
    calls: Cell<u64>,
    from: Cell<u64>,
    width: Cell<u64>,
    hit: Cell<bool>,
}

/// One life of a driver, of which one operation is disturbed, or none.
pub struct Rig {
    pub world: Shared,
    /// Where the device looks.
    pub iova: Cell<u64>,
    gun: Rc<Gun>,
    log: Log,
    /// The operation to disturb, by its number.
    aim: Option<usize>,
    next: Cell<usize>,
    /// Name and accesses to fail of each operation so far.
    seen: RefCell<Vec<(&'static str, Vec<u64>)>>,
    quiet: RefCell<BTreeSet<&'static str>>,
    wedged: Cell<bool>,
    /// The next operation finds something broken besides.
    pub repairs: Cell<bool>,
}

/// What an operation answers when it fails.
pub trait Refusal {
    fn error(&self) -> Error;
}

impl Refusal for Error {
    fn error(&self) -> Error {
        *self
    }
}

impl<T> Refusal for (T, Error) {
    fn error(&self) -> Error {
        self.1
    }
}

impl<G, D> Refusal for AttachError<G, D> {
    fn error(&self) -> Error {
        self.error
    }
}

impl Refusal for InitError<P> {
    fn error(&self) -> Error {
        self.error
    }
}

/// For operations that cannot fail.
pub fn sure<T>(call: impl FnOnce() -> T) -> Result<T, Error> {
    Ok(call())
}

impl Rig {
    fn new(capabilities: u64, aim: Option<usize>, from: u64, width: u64) -> Self {
        let world = world();
        world.borrow_mut().capabilities |= capabilities;
        let gun = Gun {
            from: Cell::new(from),
            width: Cell::new(width),
            ..Gun::default()
        };
        Self {
            world,
            iova: Cell::new(IOVA),
            gun: Rc::new(gun),
            log: Log::default(),
            aim,
            next: Cell::new(0),
            seen: RefCell::default(),
            quiet: RefCell::default(),
            wedged: Cell::new(false),
            repairs: Cell::new(false),
        }
    }

    fn platform(&self) -> P {
        let gun = self.gun.clone();
        let fails = move |_| {
            if !gun.armed.get() {
                return false;
            }
            let n = gun.calls.replace(gun.calls.get() + 1);
            let hit = (gun.from.get()..gun.from.get().saturating_add(gun.width.get())).contains(&n);
            gun.hit.set(gun.hit.get() || hit);
            hit
        };
        let (gun, log) = (self.gun.clone(), self.log.clone());
        let tell = move |op| {
            if gun.armed.get() {
                log.borrow_mut().push(op);
            }
        };
        let faulty = Faulty::new(Machine(self.world.clone()), Box::new(fails) as Box<_>);
        Trace::new(faulty, Box::new(tell) as Box<_>)
    }

    pub fn look(&self) -> Look {
        let mut world = self.world.borrow_mut();
        let process = world.dma_of(DEV.0, Some(PASID.0), self.iova.get(), Dma::Read);
        let plain = world.dma(DEV.0, self.iova.get(), Dma::Read);
        [plain.ok(), process.ok()]
    }

    /// Runs an operation, disturbed if it is the one aimed at.
    fn fire<T>(&self, name: &'static str, call: impl FnOnce() -> T) -> (T, bool) {
        let number = self.next.replace(self.next.get() + 1);
        let aimed = self.aim == Some(number);
        if self.aim.is_none() {
            self.gun.width.set(0);
        }
        self.log.borrow_mut().clear();
        self.gun.armed.set(aimed || self.aim.is_none());
        self.gun.calls.set(0);
        self.gun.hit.set(false);
        let result = call();
        self.gun.armed.set(false);
        let points = points(&self.log.borrow());
        self.seen.borrow_mut().push((name, points));
        (result, aimed)
    }

    /// Whether something failed in the last operation.
    pub fn hit(&self) -> bool {
        self.gun.hit.get()
    }

    fn context(&self, name: &str) -> String {
        let (from, width) = (self.gun.from.get(), self.gun.width.get());
        format!("{name}, access {from} fails, {width} times")
    }

    /// An operation. Before it the device reaches `old[0]`; after it one of `new`, or one of `old` if it fails.
    pub fn act<T, E: Refusal>(
        &self,
        iommu: &I,
        name: &'static str,
        old: &[Look],
        new: &[Look],
        call: impl FnOnce() -> Result<T, E>,
    ) -> Option<T> {
        let context = self.context(name);
        assert_eq!(self.look(), old[0], "before {context}");
        let began = {
            let mut world = self.world.borrow_mut();
            world.hammer = vec![(DEV.0, self.iova.get())];
            world.reached.clear();
            world.now
        };
        let (result, aimed) = self.fire(name, call);
        let hit = self.hit();
        assert!(aimed || result.is_ok(), "{name}: refused undisturbed");
        let (reached, took) = {
            let mut world = self.world.borrow_mut();
            world.hammer.clear();
            (std::mem::take(&mut world.reached), world.now - began)
        };
        // While it runs: old, new, or nothing; and it ends.
        for pa in reached.iter().filter_map(|r| r.ok()) {
            let known = old.iter().chain(new).any(|look| look[0] == Some(pa));
            assert!(known, "{context}: reached {pa:#x} in between");
        }
        let keeps = old.iter().chain(new).all(|look| look[0].is_some());
        if name.ends_with("hitless") && keeps && !hit {
            assert!(reached.iter().all(Result::is_ok), "{context}: dropped DMA");
        }
        assert!(took < 10 * 100_000, "{context}: took {took} us");
        let health = iommu.health();
        let error = result.as_ref().err().map(Refusal::error);
        assert!(
            matches!(error, None | Some(Error::Io | Error::NoMemory)),
            "{context}: {error:?}"
        );
        if self.gun.width.get() == 1 {
            let fine = [Health::Good, Health::Degraded];
            let fine = &fine[..1 + usize::from(self.repairs.get())];
            assert!(fine.contains(&health), "{context}: one failure is repeated");
            assert!(matches!(error, None | Some(Error::NoMemory)), "{context}");
        }
        let mut expected: Vec<Look> = if result.is_ok() { new } else { old }.to_vec();
        match health {
            Health::Closed => {
                assert_eq!(self.look(), NOTHING, "{context}: closed");
                // SAFETY: the transport failed, not the hardware; memory is as it was.
                unsafe { iommu.recover() }.expect("recovered");
            }
            Health::Wedged => {
                self.wedged.set(true);
                // Given up in the middle: how far it came, nobody knows.
                expected.extend(new);
                self.world.borrow_mut().reset();
                // SAFETY: it was reset, and memory is as the driver left it.
                unsafe { iommu.assume_reset() }.expect("works after a reset");
            }
            Health::Good | Health::Degraded => {}
        }
        assert!(
            expected.contains(&self.look()),
            "{context}, {health:?}, {error:?}: {:x?} instead of {expected:x?}",
            self.look()
        );
        result.ok()
    }

    /// An operation that never touches registers or memory.
    pub fn quiet<T>(&self, name: &'static str, call: impl FnOnce() -> T) -> T {
        self.log.borrow_mut().clear();
        self.gun.armed.set(true);
        self.gun.calls.set(0);
        let width = self.gun.width.replace(0);
        let result = call();
        self.gun.armed.set(false);
        self.gun.width.set(width);
        assert_eq!(self.gun.calls.get(), 0, "{name} touches the machine");
        self.quiet.borrow_mut().insert(name);
        result
    }

    /// After whatever failed, everything works: a device comes, changes hands, and goes.
    fn works(&self, iommu: &I) {
        let context = self.context("afterwards");
        let reads = || self.world.borrow_mut().dma(LATER.0, IOVA, Dma::Read).ok();
        iommu.add_device(LATER.into()).expect("added");
        let group = iommu.group(LATER).expect("a group");
        let owned = group.claim(&owner(7)).expect("claimed");
        let owned = owned.attach(coloured(iommu, 0x70_0000)).expect("attached");
        assert_eq!(reads(), Some(0x70_0000), "{context}");
        let (owned, domain) = owned.detach();
        assert_eq!(reads(), None, "{context}");
        drop(domain);
        owned.release();
        iommu.remove_device(LATER).expect("removed");
    }

    /// After the IOMMU was dropped: all memory is back.
    fn nothing_left(&self) {
        if !self.wedged.get() {
            let used = self.world.borrow().used();
            assert_eq!(used, 0, "{}: memory is lost", self.context("dropped"));
        }
    }
}

/// Accesses that count, by number; of the zeroing and reading of whole pages only a few.
fn points(log: &[Op]) -> Vec<u64> {
    let (mut points, mut number, mut next) = (Vec::new(), 0, None);
    for op in log {
        let place = match op {
            Op::Free(..) | Op::Barrier(_) | Op::Event(_) => continue,
            Op::Store(pa, bytes, 0) => Some((pa.0, u64::from(*bytes))),
            Op::Load(pa, 0) => Some((pa.0, 8)),
            _ => None,
        };
        let dull = place.is_some_and(|(pa, _)| next == Some(pa));
        if !dull || number % 97 == 0 {
            points.push(number);
        }
        next = place.map(|(pa, bytes)| pa + bytes);
        number += 1;
    }
    points
}

/// A life in which operations are disturbed.
#[derive(Clone, Copy)]
pub struct Scenario {
    pub name: &'static str,
    /// Capabilities beyond the model's.
    pub capabilities: u64,
    pub config: Config,
    /// With which it starts in Bare; none: in Off.
    pub known: &'static [BootDevice],
    pub run: for<'i> fn(&Rig, &'i I, &AdminToken) -> Option<()>,
}

impl Scenario {
    fn once(&self, aim: Option<usize>, from: u64, width: u64) -> Rig {
        let rig = Rig::new(self.capabilities, aim, from, width);
        let mut iommu = match self.name {
            "starting" => match start(&rig, self.config) {
                Some(iommu) => iommu,
                None => return rig,
            },
            _ => {
                let bare = !self.known.is_empty();
                rig.world.borrow_mut().ddtp = bare.into();
                rig.world.borrow_mut().identity_wanted |= bare;
                I::with_devices(rig.platform(), self.config, self.known)
                    .map_err(|e| e.error)
                    .expect("starts")
            }
        };
        let admin = rig.quiet("Iommu::admin_token", || iommu.admin_token());
        let done = (self.run)(&rig, &iommu, &admin);
        assert!(
            aim.is_some() || done.is_some(),
            "{}: stopped on the way",
            self.name
        );
        rig.works(&iommu);
        if self.name == "starting" {
            stop(&rig, iommu);
        } else {
            drop(iommu);
        }
        rig.nothing_left();
        rig
    }
}

/// A device that works before there is an IOMMU, with what it relies on.
const KNOWN: DeviceInfo = DeviceInfo {
    id: DeviceId(12),
    group: None,
    regions: &[DeviceRegion {
        start: 0x40_0000,
        bytes: 0x1000,
        kind: RegionKind::DirectRelaxable(Perm::READ),
    }],
    policy: Policy::Dma,
    untrusted: false,
    process_ids: false,
    deferred: false,
};

/// Nobody has to be told what happens before there is an IOMMU.
fn start(rig: &Rig, config: Config) -> Option<I> {
    type Start = fn(P, Config) -> Result<I, InitError<P>>;
    let starts: [(&'static str, Start); 4] = [
        ("Iommu::new", I::new),
        ("Iommu::with_capacity", I::with_capacity),
        ("Iommu::with_devices", |platform, config| {
            I::with_devices(platform, config, &[KNOWN.into()])
        }),
        ("Iommu::start_in", |platform, config| {
            let mut place = None;
            let result = I::start_in(&mut place, platform, config, &[KNOWN.into()]);
            assert_eq!(place.is_some(), result.is_ok());
            result.map(|()| place.expect("started"))
        }),
    ];
    let mut started = None;
    for (name, start) in starts {
        drop(started.take());
        let context = rig.context(name);
        let (result, aimed) = rig.fire(name, || start(rig.platform(), config));
        match result {
            Ok(iommu) => started = Some(iommu),
            Err(refused) => {
                assert!(aimed, "{context}: refused undisturbed");
                refused_start(rig, config, refused, &context);
                return None;
            }
        }
    }
    started
}

fn refused_start(rig: &Rig, config: Config, refused: InitError<P>, context: &str) {
    let error = refused.error();
    assert!(
        matches!(error, Error::Io | Error::NoMemory),
        "{context}: {error:?}"
    );
    assert_eq!(rig.look(), NOTHING, "{context}");
    // Where it cannot even switch translation off, it keeps what may still be used.
    let (used, off) = (rig.world.borrow().used(), rig.world.borrow().mode() == 0);
    let kept = used > 0 && rig.gun.width.get() > 1;
    assert!(
        if off { used == 0 || kept } else { kept },
        "{context}: {used}"
    );
    drop(refused);
    let take_over = Config {
        take_over: true,
        ..config
    };
    let again = I::new(rig.platform(), take_over).map_err(|e| e.error);
    rig.works(&again.expect("starts"));
}

/// Memory goes back after translation is off, or not at all; and Bare comes after that, if anybody asked for it.
fn stop(rig: &Rig, iommu: I) {
    type End = fn(I) -> Result<(), Error>;
    let ends: [(&'static str, u8, End); 4] = [
        ("Iommu::drop", 0, |iommu| {
            drop(iommu);
            Ok(())
        }),
        ("Iommu::stop", 0, |iommu| {
            iommu.stop().map(drop).map_err(|e| e.error)
        }),
        ("Iommu::stop_in_bare", 1, |iommu| {
            let end = iommu.stop_in_bare(&identity());
            end.map(drop).map_err(|e| e.error)
        }),
        ("Iommu::stop_in", 1, |iommu| {
            let mut place = Some(iommu);
            let end = I::stop_in(&mut place, Some(&identity()));
            assert!(place.is_none());
            let end = end.map_err(|e| e.error);
            end.map(|platform| drop(platform.expect("one that ran")))
        }),
    ];
    let mut running = Some(iommu);
    for (name, mode, end) in ends {
        let iommu = running.take().unwrap_or_else(|| {
            let take_over = Config {
                take_over: true,
                ..Config::default()
            };
            let again = I::new(rig.platform(), take_over).map_err(|e| e.error);
            again.expect("starts")
        });
        iommu.add_device(DEV.into()).expect("added");
        let group = iommu.group(DEV).expect("a group");
        let owned = group.claim(&owner(1)).expect("claimed");
        let owned = owned.attach(coloured(&iommu, 0x10_0000)).expect("attached");
        std::mem::forget(owned);
        let used = rig.world.borrow().used();
        let (result, aimed) = rig.fire(name, || end(iommu));
        let context = rig.context(name);
        assert!(aimed || result.is_ok(), "{context}: {result:?}");
        let (now, left) = (rig.world.borrow().mode(), rig.world.borrow().used());
        assert!(
            now <= 1 || left == used,
            "{context}: memory given back while translating"
        );
        assert!(now != 0 || rig.look() == NOTHING, "{context}");
        assert!(now != 1 || mode == 1, "{context}: Bare");
        let told = result.is_ok() && name != "Iommu::drop";
        assert!(
            !told || (now == mode && left < used),
            "{context}: mode {now}"
        );
    }
    // The domain was forgotten with its guard; what the driver does not know to be off it keeps as well.
    rig.wedged.set(true);
}

/// The points of failure of each operation of a scenario.
pub struct Found {
    pub points: BTreeMap<&'static str, usize>,
    pub quiet: BTreeSet<&'static str>,
}

/// Every operation of a scenario, every access of it: it fails `width` times in a row.
pub fn enumerate(scenario: &Scenario, width: u64, step: usize) -> usize {
    let clean = scenario.once(None, 0, 0);
    let mut tried = 0;
    for (number, (_, points)) in clean.seen.borrow().iter().enumerate() {
        for from in points.iter().step_by(step) {
            scenario.once(Some(number), *from, width);
            tried += 1;
        }
    }
    tried
}

/// What a scenario covers.
pub fn found(scenario: &Scenario) -> Found {
    let clean = scenario.once(None, 0, 0);
    let mut points = BTreeMap::new();
    for (name, of_it) in clean.seen.borrow().iter() {
        *points.entry(*name).or_insert(0) += of_it.len();
    }
    Found {
        points,
        quiet: clean.quiet.take(),
    }
}
