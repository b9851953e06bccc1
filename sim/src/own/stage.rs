//! The stage: driver and hardware with engines that hammer it during every call of the driver, everything judged.
//!
//! Every access of the driver takes simulated cycles: register accesses what the port takes, each store that the core
//! could see a random few, so that it can look between any two of them. [`Stage::call`] runs one call and says what the
//! engines may reach meanwhile and afterwards; [`Stage::verdict`] is the first thing that was wrong, if anything was.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use portcullis::platform::{Op, Trace};
use portcullis::{
    Config as DriverConfig, DomainConfig, Error, Iommu, Iova, Mode, PagingDomain, Perm, PhysAddr,
    Timeouts,
};
use portcullis_regmap::Config;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::load::{Habits, Load, Violation};
use super::monitor::Monitor;
use super::paint::{Colour, Colours, PAGE, POISON, Palette};
use super::sabotage::{Sabotage, Saboteur};
use crate::core::{Core, Inputs, Outputs, Request};
use crate::failure::Failure;
use crate::harness::{Devices, Finished, Harness, WATCHDOG};
use crate::memory::{Memory, Timing};
use crate::platform::{Frames, MHZ, SimPlatform};

/// Where the driver's memory lies: far from every colour.
const DRIVER: u64 = 0x1000_0000;
const DRIVER_BYTES: u64 = 64 << 20;

/// How to set the stage.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Configuration of the hardware.
    pub config: &'static Config,
    /// The memory.
    pub timing: Timing,
    /// Of everything random.
    pub seed: u64,
    /// Pages of the probe window: more than the IOTLB has entries make engines miss.
    pub pages: u64,
    /// How engines behave.
    pub habits: Habits,
    /// A store of the driver takes 0 to this many cycles.
    pub store_cycles: u32,
    /// Keep touches and bus events, for pictures.
    pub keep: bool,
    /// What to break.
    pub sabotage: Option<Sabotage>,
}

impl Setting {
    /// A window twice as large as the IOTLB.
    #[must_use]
    pub fn new(config: &'static Config, seed: u64) -> Self {
        Self {
            config,
            timing: Timing::default(),
            seed,
            pages: 2 * u64::from(config.iotlb_entries),
            habits: Habits::default(),
            store_cycles: 2,
            keep: false,
            sabotage: None,
        }
    }
}

/// Engines and watcher, shared between the harness, the platform and whoever directs.
#[derive(Debug)]
pub struct Scene {
    /// The engines.
    pub load: Load,
    /// The watcher.
    pub monitor: Monitor,
}

/// Handle of a scene.
pub type Shared = Rc<RefCell<Scene>>;

struct OnStage(Shared);

impl Devices for OnStage {
    fn request(&mut self, _: u64) -> Option<Request> {
        self.0.borrow_mut().load.request()
    }

    fn answered(&mut self, finished: &Finished) -> u64 {
        self.0.borrow_mut().load.answered(finished)
    }

    fn cycle(&mut self, cycle: u64, memory: &mut Memory, inputs: &Inputs, outputs: &Outputs) {
        let scene = &mut *self.0.borrow_mut();
        scene.monitor.cycle(cycle, memory, inputs, outputs);
        scene.load.land(cycle, memory);
    }
}

/// Told what the driver does.
type Tell = Box<dyn FnMut(Op)>;
/// The platform of the driver on a stage.
pub type Bus = Saboteur<Trace<SimPlatform, Tell>>;
/// A domain there.
pub type Domain<'i, P = Bus> = PagingDomain<'i, P>;

/// A call of the driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What was called.
    pub name: String,
    /// Engines of the devices that it is about.
    pub engines: Vec<usize>,
    /// First cycle of the call.
    pub called: u64,
    /// First cycle after it.
    pub returned: u64,
    /// What went over the bus meanwhile, as a range of [`Monitor::events`].
    pub bus: Range<usize>,
}

/// The stage.
pub struct Stage {
    platform: SimPlatform,
    scene: Shared,
    setting: Setting,
    steps: RefCell<Vec<Step>>,
}

impl Stage {
    /// A core with its memory, engines still to come.
    #[must_use]
    pub fn new(core: Box<dyn Core>, setting: Setting) -> Self {
        let scene = Rc::new(RefCell::new(Scene {
            load: Load::new(Palette::new(setting.pages), setting.seed, setting.keep),
            monitor: Monitor::new(setting.config, setting.keep),
        }));
        let mut harness = Harness::new(core, Memory::new(setting.timing));
        harness.set_devices(Box::new(OnStage(scene.clone())));
        let platform = SimPlatform::new(harness, Frames::new(DRIVER, DRIVER_BYTES));
        Self {
            platform,
            scene,
            setting,
            steps: RefCell::default(),
        }
    }

    /// The simulation. The driver must not be called while the result lives.
    pub fn with<T>(&self, work: impl FnOnce(&mut Harness, &mut Scene) -> T) -> T {
        let mut world = self.platform.world();
        work(&mut world.harness, &mut self.scene.borrow_mut())
    }

    /// Another handle of the driver's platform; everything through it is watched.
    #[must_use]
    pub fn platform(&self) -> Bus {
        let (sim, scene) = (self.platform.clone(), self.scene.clone());
        let mut rng = ChaCha8Rng::seed_from_u64(self.setting.seed ^ 0x5707e);
        let most = u64::from(self.setting.store_cycles) + 1;
        let tell: Tell = Box::new(move |op| {
            let mut world = sim.world();
            let cycle = world.harness.cycle();
            if let Op::Free(pa, bytes) = op {
                // A walk that still goes there is led to where nobody may go.
                for at in (pa.0..pa.0 + bytes as u64).step_by(8) {
                    world.harness.memory_mut().store64(at, POISON);
                }
            }
            let mut scene = scene.borrow_mut();
            scene.monitor.driver(cycle, op, world.harness.memory());
            let takes_time = match op {
                // Most stores of 0 clear a new table, in which the core sees no difference.
                Op::Store(pa, _, value) => value != 0 || scene.monitor.is_context(pa.0),
                _ => false,
            };
            drop(scene);
            if takes_time {
                let cycles = u64::from(rng.next_u32()) % most;
                // A failure is remembered; the driver meets it at its next register access.
                let _ = world.run(|harness| harness.advance(cycles));
            }
        });
        let traced = Trace::new(self.platform.clone(), tell);
        Saboteur::new(traced, self.scene.clone(), self.setting.sabotage)
    }

    /// Settings of the driver for a stage: memory goes back page by page, so that a use after free shows, and the
    /// simulation's own watchdog is the first to see a hang.
    #[must_use]
    pub fn driver_config() -> DriverConfig {
        let timeout = 2 * WATCHDOG / MHZ;
        DriverConfig {
            table_chunk: 1,
            timeouts: Timeouts {
                command_us: timeout,
                register_us: timeout,
            },
            ..DriverConfig::default()
        }
    }

    /// Starts the driver.
    ///
    /// # Errors
    /// Its answer.
    pub fn start(&self, config: DriverConfig) -> Result<Iommu<Bus>, Error> {
        Iommu::new(self.platform(), config).map_err(|error| error.error)
    }

    /// A new engine for a device, which hammers from now on.
    pub fn engine(&self, device: u32, allowed: impl Into<Colours>) -> usize {
        let mut scene = self.scene.borrow_mut();
        if !scene.load.engines().iter().any(|e| e.device == device) {
            scene.monitor.watch(device);
        }
        let habits = self.setting.habits;
        scene.load.engine(device, None, habits, allowed.into())
    }

    /// A domain in which the window has a colour of its own.
    ///
    /// # Errors
    /// The driver's answer.
    pub fn domain<'i, P: portcullis::platform::Platform, const N: usize>(
        &self,
        iommu: &'i Iommu<P, N>,
        name: &str,
        mode: Mode,
    ) -> Result<(PagingDomain<'i, P, N>, Colour), Error> {
        let (colour, frames) = self.paint(name);
        let domain = iommu.paging_domain(DomainConfig { mode })?;
        for (iova, pa) in frames {
            // SAFETY: the memory is simulated, and painted for this.
            unsafe { domain.map(Iova(iova), PhysAddr(pa), PAGE as usize, Perm::READ_WRITE)? };
        }
        Ok((domain, colour))
    }

    /// Frames of a new colour: IOVA and physical address of each page of the window.
    pub fn paint(&self, name: &str) -> (Colour, Vec<(u64, u64)>) {
        self.with(|harness, scene| scene.load.palette.paint(name, harness.memory_mut()))
    }

    /// The colour of whoever is translated by identity.
    pub fn identity(&self) -> Colour {
        self.with(|harness, scene| scene.load.palette.paint_identity(harness.memory_mut()))
    }

    /// The memory of a colour goes back to its owner, who overwrites it.
    pub fn give_back(&self, colour: Colour) {
        self.with(|harness, scene| scene.load.palette.give_back(colour, harness.memory_mut()));
    }

    /// Runs a call of the driver. Each engine named may reach `during` until it returns, and `after` from then on; other
    /// engines go on as they were.
    pub fn call<T>(
        &self,
        name: &str,
        engines: &[usize],
        during: impl Into<Colours>,
        after: impl Into<Colours>,
        call: impl FnOnce() -> T,
    ) -> T {
        let (during, after) = (during.into(), after.into());
        let expect = |allowed| {
            self.with(|harness, scene| {
                for engine in engines {
                    let timeline = &mut scene.load.engine_mut(*engine).timeline;
                    timeline.change(harness.cycle(), allowed);
                }
                harness.cycle()
            })
        };
        let events = || self.scene.borrow().monitor.events().len();
        let (called, first) = (expect(during), events());
        let result = call();
        let (returned, end) = (expect(after), events());
        self.with(|_, scene| {
            scene.monitor.returned(returned);
            scene.collect();
        });
        self.steps.borrow_mut().push(Step {
            name: name.to_owned(),
            engines: engines.to_vec(),
            called,
            returned,
            bus: first..end,
        });
        result
    }

    /// Lets the engines run for some cycles.
    ///
    /// # Errors
    /// The hardware failed.
    pub fn run(&self, cycles: u64) -> Result<(), Failure> {
        self.platform.world().run(|harness| harness.advance(cycles))
    }

    /// Issues one request beside those of the engines and waits for its answer. Nobody judges it.
    ///
    /// # Errors
    /// The hardware failed.
    pub fn ask(&self, request: Request) -> Result<Finished, Failure> {
        self.platform.world().run(|harness| {
            let id = harness.submit(request);
            loop {
                harness.step()?;
                match harness.take_finished() {
                    Some(finished) if finished.id == id => return Ok(finished),
                    _ => {}
                }
            }
        })
    }

    /// Stops all engines and waits until nothing is in flight.
    ///
    /// # Errors
    /// The hardware failed.
    pub fn drain(&self) -> Result<(), Failure> {
        let count = self.scene.borrow().load.engines().len();
        for at in 0..count {
            self.scene.borrow_mut().load.engine_mut(at).running = false;
        }
        while self.scene.borrow().load.in_flight() > 0 {
            self.run(1)?;
        }
        Ok(())
    }

    /// From now on the driver gets at most so many pages more than it has; `None` ends that.
    pub fn spare_pages(&self, pages: Option<usize>) {
        let bytes = pages.map_or(usize::MAX, |pages| pages * PAGE as usize);
        self.platform.world().limit_frames(bytes);
    }

    /// The cycle.
    #[must_use]
    pub fn cycle(&self) -> u64 {
        self.platform.world().harness.cycle()
    }

    /// Touches of an engine that had a colour, so far.
    #[must_use]
    pub fn count(&self, engine: usize, colour: Colour) -> u64 {
        self.scene.borrow().load.count(engine, colour)
    }

    /// The calls so far.
    #[must_use]
    pub fn steps(&self) -> Vec<Step> {
        self.steps.borrow().clone()
    }

    /// The first thing that was wrong, in one line, with what repeats it.
    #[must_use]
    pub fn wrong(&self) -> Option<String> {
        self.first(|_| true)
    }

    /// The first thing that was wrong with where an access went, whatever was seen on the bus.
    #[must_use]
    pub fn wrong_colour(&self) -> Option<String> {
        self.first(|violation| !violation.on_bus)
    }

    fn first(&self, counts: impl Fn(&Violation) -> bool) -> Option<String> {
        self.with(|harness, scene| {
            scene.collect();
            if let Some(at) = scene.load.palette.dead_canary(harness.memory()) {
                let what = format!("somebody wrote to {at:#x} after it was given back");
                scene.load.blame(Violation {
                    cycle: harness.cycle(),
                    on_bus: false,
                    what,
                });
            }
        });
        if let Some(failure) = self.platform.world().failure() {
            return Some(failure.to_string());
        }
        let scene = self.scene.borrow();
        let all = scene.load.violations().iter().filter(|v| counts(v));
        let first = all.min_by_key(|v| v.cycle)?;
        let steps = self.steps.borrow();
        let place = steps.iter().rev().find(|step| step.called <= first.cycle);
        let place = match place {
            Some(step) if first.cycle < step.returned => format!("during {}", step.name),
            Some(step) => format!("{} cycles after {}", first.cycle - step.returned, step.name),
            None => "before the first call".to_owned(),
        };
        Some(format!(
            "cycle {}, {place}: {} (seed {})",
            first.cycle, first.what, self.setting.seed
        ))
    }

    /// Panics with the first thing that was wrong.
    ///
    /// # Panics
    /// See above: for tests.
    pub fn verdict(&self) {
        if let Some(wrong) = self.wrong() {
            panic!("{wrong}");
        }
    }
}

impl Scene {
    /// Takes what the watcher found.
    fn collect(&mut self) {
        for (cycle, what) in self.monitor.take_found() {
            self.load.blame(Violation {
                cycle,
                on_bus: true,
                what,
            });
        }
    }
}
