//! The main job: a log's DMA through the driver and the simulated hardware, every address checked.
//!
//! The IOMMU is brought up by the driver; each device of the log is a group of its own with a paging domain of its
//! own. The steps of the [`Plan`] then map, unmap and issue DMA at the translation port. DMAs that follow one another
//! without an unmap in between are issued back to back, as fast as the port takes them; before an unmap all are
//! answered, because the log says that the device was done with the page.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Instant;

use portcullis::{
    Attached, Config as DriverConfig, DeviceId, DomainConfig, Iommu, Iova, Mode, OwnedGroup, Owner,
    PagingDomain, Perm, PhysAddr, Timeouts,
};
use portcullis_regmap::Config;

use crate::backend::Factory;
use crate::core::{Kind, Request};
use crate::failure::Failure;
use crate::harness::{Counters, Finished, Harness, WATCHDOG};
use crate::memory::{Memory, Timing};
use crate::plan::{Action, Extent, Plan, Step, Touch};
use crate::platform::{Frames, MHZ, SimPlatform};
use crate::trace::{EventKind, LineCounts, PAGE, Trace, TraceError, device_name};

/// Cycles of a hit from request to answer: waiting is what comes on top.
pub const HIT_CYCLES: u64 = 2;
/// Most devices of one log: what a directory of one level holds.
const DEVICES: usize = 128;
/// Most DMAs issued in one go.
const BATCH: usize = 1024;
/// The driver's tables lie in one piece of this size.
const FRAMES_BYTES: u64 = 64 << 20;
/// Points of the hit rate over time.
const SAMPLES: u64 = 200;
/// Wrong addresses that are described, not only counted.
const EXAMPLES: usize = 5;

/// How to simulate.
#[derive(Clone, Debug)]
pub struct Options {
    /// Configuration of the hardware.
    pub config: &'static Config,
    /// The memory.
    pub timing: Timing,
    /// Where to record waves.
    pub waves: Option<PathBuf>,
}

/// Counters at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The moment.
    pub cycle: u64,
    /// The counters.
    pub counters: Counters,
}

/// What a replay found.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Name of the log.
    pub name: String,
    /// DMA page touches.
    pub touches: u64,
    /// Touches refused or answered with another address than the log's.
    pub wrong: u64,
    /// The first of them, in words.
    pub examples: Vec<String>,
    /// Cycles from request to answer, of each touch.
    pub latencies: Vec<u64>,
    /// Cycles between request and answer beyond a hit's, summed.
    pub stall_cycles: u64,
    /// Counters of the hardware, from reset to the last touch.
    pub counters: Counters,
    /// The same over time.
    pub samples: Vec<Sample>,
    /// Commands that the driver queued.
    pub commands: u64,
    /// Cycles that the driver waited for fences.
    pub fence_wait_cycles: u64,
    /// Pieces mapped.
    pub maps: u64,
    /// Pieces unmapped strictly.
    pub strict_unmaps: u64,
    /// Pieces unmapped through the flush queue.
    pub deferred_unmaps: u64,
    /// Flushes of the flush queue.
    pub flushes: u64,
    /// Simulated cycles.
    pub cycles: u64,
    /// Seconds they took.
    pub seconds: f64,
    /// The devices and whose domain is whose, as inferred.
    pub devices: Vec<String>,
    /// Lines of the log by kind.
    pub lines: LineCounts,
    /// Page invalidations for which nothing was mapped.
    pub empty_invalidations: u64,
    /// Invalidations of domains without a device.
    pub foreign_invalidations: u64,
    /// Flushes that the log does not have.
    pub extra_flushes: u64,
}

/// Checks that a configuration can hold what the log needs, before anything is simulated.
///
/// # Errors
/// The line that asks for more.
pub fn check(trace: &Trace, plan: &Plan, config: &Config) -> Result<(), TraceError> {
    if plan.devices.len() > DEVICES {
        return Err(TraceError {
            line: None,
            cause: format!(
                "{} devices: this version replays at most {DEVICES}",
                plan.devices.len()
            ),
        });
    }
    for device in &plan.devices {
        if device.id >> config.device_id_bits() != 0 {
            return Err(TraceError::at(
                device.line,
                format!(
                    "device {} has the id {:#x}, but configuration {} knows ids of {} bits: choose a larger one with \
                     --config",
                    device_name(device.id),
                    device.id,
                    config.name,
                    config.device_id_bits()
                ),
            ));
        }
    }
    let aperture = Mode::Sv39.aperture_end();
    for event in &trace.events {
        let EventKind::Dma {
            process,
            iova,
            target,
            ..
        } = event.kind
        else {
            continue;
        };
        let cause = if process != 0 {
            format!("DMA of process {process}: this version replays DMA without process ids only")
        } else if iova >= aperture {
            format!("IOVA {iova:#x} is beyond the {aperture:#x} bytes of a domain")
        } else if target >> config.pas_bits() != 0 {
            format!(
                "target {target:#x} is beyond the {} address bits of configuration {}: choose a larger one with --config",
                config.pas_bits(),
                config.name
            )
        } else {
            continue;
        };
        return Err(TraceError::at(event.line, cause));
    }
    frames(plan, config).map(|_| ())
}

/// Memory for the driver's tables that no DMA of the log reaches.
fn frames(plan: &Plan, config: &Config) -> Result<Frames, TraceError> {
    let used: HashSet<u64> = touches(plan)
        .map(|touch| touch.target / FRAMES_BYTES)
        .collect();
    let pieces = (1_u64 << config.pas_bits().min(40)) / FRAMES_BYTES;
    let free = (1..pieces).rev().find(|piece| !used.contains(piece));
    let free = free.ok_or_else(|| TraceError {
        line: None,
        cause: format!(
            "its DMA leaves no {} MiB free for the IOMMU's tables",
            FRAMES_BYTES >> 20
        ),
    })?;
    Ok(Frames::new(free * FRAMES_BYTES, FRAMES_BYTES))
}

/// A page of the IOVA space that the log does not use, near the top.
fn spare_page(plan: &Plan) -> Option<u64> {
    let used: HashSet<u64> = touches(plan).map(|touch| touch.iova >> 30).collect();
    let gigabytes = Mode::Sv39.aperture_end() >> 30;
    (0..gigabytes)
        .rev()
        .find(|at| !used.contains(at))
        .map(|at| at << 30)
}

fn touches(plan: &Plan) -> impl Iterator<Item = &Touch> {
    plan.steps.iter().filter_map(|step| match &step.action {
        Action::Touch(touch) => Some(touch),
        _ => None,
    })
}

type Sim = SimPlatform;
type Guard<'i> = OwnedGroup<'i, Sim, DEVICES, Attached<PagingDomain<'i, Sim, DEVICES>>>;

/// Replays a log. `progress` is told now and then how many touches are done.
///
/// # Errors
/// One line that says why the replay could not be finished: always a defect of the hardware, the driver or this
/// program, since [`check`] has seen the input.
pub fn replay(
    name: &str,
    trace: &Trace,
    plan: &Plan,
    options: &Options,
    factory: Factory<'_>,
    progress: &dyn Fn(u64),
) -> Result<Outcome, String> {
    let start = Instant::now();
    let frames = frames(plan, options.config).map_err(|error| error.describe(name))?;
    let mut harness = Harness::new(factory(options.config)?, Memory::new(options.timing));
    if let Some(path) = &options.waves {
        harness
            .record_waves(path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let platform = SimPlatform::new(harness, frames);
    let blame = |what: &str, error: portcullis::Error| match platform.world().failure() {
        Some(failure) => format!("{name}: {what}: {failure}"),
        None => format!("{name}: {what}: the driver answered `{error}`"),
    };
    // The simulation's own watchdog is the first to see a hang, and says more about it.
    let timeout = 2 * WATCHDOG / MHZ;
    let settings = DriverConfig {
        flush_queue: u32::MAX,
        timeouts: Timeouts {
            command_us: timeout,
            register_us: timeout,
        },
        ..DriverConfig::default()
    };
    let iommu = Iommu::<Sim, DEVICES>::with_capacity(platform.clone(), settings)
        .map_err(|error| blame("starting the IOMMU", error.error))?;
    let mut guards: Vec<Guard<'_>> = Vec::with_capacity(plan.devices.len());
    for (at, device) in plan.devices.iter().enumerate() {
        let guard =
            attach(&iommu, device.id, at).map_err(|error| blame("attaching a domain", error))?;
        guards.push(guard);
    }
    let mut replayer = Replayer {
        plan,
        platform: &platform,
        domains: guards.iter().map(OwnedGroup::domain).collect(),
        spare: spare_page(plan),
        batch: Vec::with_capacity(BATCH),
        sample_at: 0,
        outcome: Outcome {
            name: name.to_owned(),
            lines: trace.lines,
            empty_invalidations: plan.empty_invalidations,
            foreign_invalidations: plan.foreign_invalidations,
            extra_flushes: plan.extra_flushes,
            devices: plan.devices.iter().map(describe).collect(),
            ..Outcome::default()
        },
        progress,
    };
    for step in &plan.steps {
        replayer
            .step(step)
            .map_err(|error| blame(&format!("line {}", step.line), error))?;
    }
    replayer
        .finish_batch()
        .map_err(|error| blame("the last DMA", error))?;
    let mut outcome = replayer.outcome;
    {
        let world = platform.world();
        outcome.counters = world.harness.counters();
        outcome.cycles = world.harness.cycle();
        outcome.fence_wait_cycles = world.fence_wait_cycles();
    }
    outcome.commands = iommu.stats().commands;
    // Letting go is part of the job, though not of the figures: it must not hang either.
    drop(guards);
    drop(iommu);
    if let Some(failure) = platform.world().failure() {
        return Err(format!("{name}: switching off: {failure}"));
    }
    outcome.seconds = start.elapsed().as_secs_f64();
    Ok(outcome)
}

fn describe(device: &crate::plan::Device) -> String {
    let name = device_name(device.id);
    match device.domain {
        Some(domain) => format!("{name} has {domain}"),
        None => format!("{name} has no invalidations"),
    }
}

/// Claims a device as a group of its own and gives it an empty domain of its own.
fn attach(iommu: &Iommu<Sim, DEVICES>, id: u32, at: usize) -> Result<Guard<'_>, portcullis::Error> {
    let id = DeviceId(id);
    iommu.add_device(id.into())?;
    let owner = Owner::new(at as u64 + 1)?;
    let owned = iommu.group(id)?.claim(&owner)?;
    let domain = iommu.paging_domain(DomainConfig::default())?;
    owned.attach(domain).map_err(|refused| refused.error)
}

struct Replayer<'a, 'i> {
    plan: &'a Plan,
    platform: &'a SimPlatform,
    domains: Vec<&'a PagingDomain<'i, Sim, DEVICES>>,
    /// A page that no touch uses, for flushes whose pages the log does not tell.
    spare: Option<u64>,
    /// Touches not issued yet, with their lines.
    batch: Vec<(u32, Touch)>,
    /// Number of touches at which the counters are sampled next.
    sample_at: u64,
    outcome: Outcome,
    progress: &'a dyn Fn(u64),
}

impl Replayer<'_, '_> {
    fn step(&mut self, step: &Step) -> Result<(), portcullis::Error> {
        match &step.action {
            Action::Touch(touch) => {
                // Mapping changes nothing for DMA to other pages, so it does not end a batch.
                if let Some(size) = touch.map {
                    self.map(
                        touch.device,
                        touch.iova & !(size - 1),
                        touch.target & !(size - 1),
                        size,
                    )?;
                }
                self.batch.push((step.line, *touch));
                if self.batch.len() >= BATCH {
                    self.finish_batch()?;
                }
                Ok(())
            }
            Action::Unmap(extents) => {
                self.finish_batch()?;
                self.unmap(extents)
            }
            Action::Drain {
                unmaps, devices, ..
            } => {
                self.finish_batch()?;
                self.drain(unmaps, devices)
            }
        }
    }

    fn map(
        &mut self,
        device: usize,
        iova: u64,
        target: u64,
        size: u64,
    ) -> Result<(), portcullis::Error> {
        self.outcome.maps += 1;
        // SAFETY: devices of the simulation reach simulated memory only.
        unsafe {
            self.domains[device].map(
                Iova(iova),
                PhysAddr(target),
                length(size)?,
                Perm::READ_WRITE,
            )
        }
    }

    fn unmap(&mut self, extents: &[Extent]) -> Result<(), portcullis::Error> {
        for extent in extents {
            self.outcome.strict_unmaps += 1;
            let len = length(extent.len)?;
            whole(
                self.domains[extent.device].unmap(Iova(extent.iova), len)?,
                len,
            )?;
        }
        Ok(())
    }

    fn drain(&mut self, unmaps: &[Extent], devices: &[usize]) -> Result<(), portcullis::Error> {
        for device in devices {
            let domain = self.domains[*device];
            let mine = unmaps.iter().filter(|extent| extent.device == *device);
            let mut pending = Vec::new();
            for extent in mine {
                self.outcome.deferred_unmaps += 1;
                let len = length(extent.len)?;
                let deferred = domain.unmap_deferred(Iova(extent.iova), len)?;
                whole(deferred.bytes, len)?;
                pending.push(deferred);
            }
            // The machine flushed here, for pages that no DMA touched. A driver with nothing pending would not, so
            // a page that nobody uses stands for them.
            if pending.is_empty()
                && let Some(spare) = self.spare
            {
                let len = length(PAGE)?;
                // SAFETY: devices of the simulation reach simulated memory only.
                unsafe { domain.map(Iova(spare), PhysAddr(0), len, Perm::READ)? };
                pending.push(domain.unmap_deferred(Iova(spare), len)?);
            }
            domain.flush()?;
            self.outcome.flushes += 1;
            if !pending.iter().all(|deferred| domain.reusable(deferred)) {
                return Err(portcullis::Error::Busy);
            }
        }
        Ok(())
    }

    /// Issues the waiting touches back to back and checks every answer.
    fn finish_batch(&mut self) -> Result<(), portcullis::Error> {
        let mut world = self.platform.world();
        let mut first = None;
        for (_, touch) in &self.batch {
            let id = world.harness.submit(Request {
                tag: 0,
                device_id: self.plan.devices[touch.device].id,
                process_id: None,
                privileged: false,
                access: touch.access,
                kind: Kind::Untranslated,
                iova: touch.iova,
            });
            first.get_or_insert(id);
        }
        let Some(first) = first else {
            return Ok(());
        };
        // The cause is kept in the world, where the caller finds it.
        let hung = |_: Failure| portcullis::Error::TimedOut;
        world.run(Harness::finish_requests).map_err(hung)?;
        while let Some(finished) = world.harness.take_finished() {
            let touch = usize::try_from(finished.id - first)
                .ok()
                .and_then(|at| self.batch.get(at));
            if let Some((line, touch)) = touch {
                self.outcome.record(self.plan, *line, touch, &finished);
            }
        }
        self.batch.clear();
        let done = self.outcome.touches;
        if done >= self.sample_at {
            self.sample_at = done + (self.plan.touches / SAMPLES).max(1);
            self.outcome.samples.push(Sample {
                cycle: world.harness.cycle(),
                counters: world.harness.counters(),
            });
        }
        (self.progress)(done);
        Ok(())
    }
}

impl Outcome {
    fn record(&mut self, plan: &Plan, line: u32, touch: &Touch, finished: &Finished) {
        self.touches += 1;
        self.latencies.push(finished.latency());
        self.stall_cycles += finished.latency().saturating_sub(HIT_CYCLES);
        let response = &finished.response;
        if response.fault || response.pa != touch.target {
            self.wrong += 1;
            if self.examples.len() < EXAMPLES {
                let got = if response.fault {
                    "was refused".to_owned()
                } else {
                    format!("reached {:#x}", response.pa)
                };
                self.examples.push(format!(
                    "{}:{line}: {} {got} for {:#x}, the log says {:#x}",
                    self.name,
                    device_name(plan.devices[touch.device].id),
                    touch.iova,
                    touch.target
                ));
            }
        }
    }
}

fn length(bytes: u64) -> Result<usize, portcullis::Error> {
    usize::try_from(bytes).map_err(|_| portcullis::Error::OutOfRange)
}

/// What was mapped as a whole must be unmapped as a whole.
fn whole(bytes: usize, asked: usize) -> Result<(), portcullis::Error> {
    if bytes == asked {
        Ok(())
    } else {
        Err(portcullis::Error::NotFound)
    }
}
