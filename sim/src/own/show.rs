//! The demonstration: a device's DMA is claimed, attached, replaced, detached and given back while it never stops.

use std::fmt::Write;

use portcullis::{
    Attached, Config as DriverConfig, DefaultDomainType, DeviceId, Error, Iommu, Mode, OwnedGroup,
    Owner, TrustToken,
};
use portcullis_regmap::Config;
use serde_json::{Value, json};

use super::load::Touch;
use super::monitor::BusEvent;
use super::paint::{Colour, Colours, Palette};
use super::stage::{Bus, Domain, Setting, Stage, Step};
use crate::core::Core;
use std::path::Path;

/// The device that changes hands.
pub const DEVICE: u32 = 0x25;
/// The device beside it.
pub const BYSTANDER: u32 = 0x26;
/// Cycles between two calls.
const REST: u64 = 300;

/// What a device reached in a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    /// The colour.
    pub colour: Colour,
    /// Accesses.
    pub count: u64,
    /// Cycle of the first.
    pub first: u64,
    /// Cycle of the last.
    pub last: u64,
}

/// What the demonstration showed.
#[derive(Debug)]
pub struct Show {
    /// How the stage was set.
    pub setting: Setting,
    /// The calls.
    pub steps: Vec<Step>,
    /// Every access.
    pub touches: Vec<Touch>,
    /// Every event on the bus.
    pub events: Vec<(u64, BusEvent)>,
    /// Names of the colours.
    pub palette: Palette,
    /// What must not be, if anything.
    pub wrong: Option<String>,
    /// The same, but only where accesses went.
    pub wrong_colour: Option<String>,
    /// What this configuration cannot show.
    pub notes: Vec<String>,
    /// Cycles in all.
    pub cycles: u64,
}

/// Performs it. Waves of all signals go to `wave`.
///
/// # Errors
/// One line: the waves cannot be written, or the driver or the hardware failed, which nothing explains but a defect or
/// a sabotage.
pub fn perform(core: Box<dyn Core>, setting: Setting, wave: Option<&Path>) -> Result<Show, String> {
    let stage = Stage::new(core, setting);
    if let Some(path) = wave {
        let recorded = stage.with(|harness, _| harness.record_waves(path));
        recorded.map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let mut notes = Vec::new();
    let result = act(&stage, setting.config, &mut notes);
    let wrong = match (stage.wrong(), result) {
        (Some(wrong), _) => Some(wrong),
        (None, Err(error)) => return Err(format!("the driver answered `{error}`")),
        (None, Ok(())) => None,
    };
    let cycles = stage.cycle();
    let steps = stage.steps();
    let (touches, events, palette) = stage.with(|_, scene| {
        (
            scene.load.touches().to_vec(),
            scene.monitor.events().to_vec(),
            scene.load.palette.clone(),
        )
    });
    Ok(Show {
        setting,
        steps,
        touches,
        events,
        palette,
        wrong,
        wrong_colour: stage.wrong_colour(),
        notes,
        cycles,
    })
}

type Guard<'i> = OwnedGroup<'i, Bus, 16, Attached<Domain<'i>>>;

fn act(stage: &Stage, config: &Config, notes: &mut Vec<String>) -> Result<(), Error> {
    let rest = || stage.run(REST).map_err(|_| Error::Io);
    let blocked = Colour::BLOCKED;
    // SAFETY: the devices are simulated, and so is all that they reach.
    let token = unsafe { TrustToken::new() };
    let iommu = stage.start(DriverConfig {
        default_domain: DefaultDomainType::Identity(token),
        ..Stage::driver_config()
    })?;
    let identity = stage.identity();
    // Both devices issue from now on. Before they are added they reach nothing.
    let dev = stage.engine(DEVICE, blocked);
    let beside = stage.engine(BYSTANDER, blocked);
    rest()?;

    let both = [blocked, identity];
    stage.call("add bystander", &[beside], both, identity, || {
        iommu.add_device(DeviceId(BYSTANDER).into())
    })?;
    let group = iommu.group(DeviceId(BYSTANDER))?;
    let owned = stage.call("claim bystander", &[beside], both, blocked, || {
        group.claim(&Owner::new(2)?)
    })?;
    let (domain, grey) = stage.domain(&iommu, "grey", Mode::Sv39)?;
    let bystander: Guard<'_> = stage.call(
        "attach grey to bystander",
        &[beside],
        [blocked, grey],
        grey,
        || owned.attach(domain).map_err(|refused| refused.error),
    )?;

    stage.call("add_device", &[dev], both, identity, || {
        iommu.add_device(DeviceId(DEVICE).into())
    })?;
    rest()?;
    let group = iommu.group(DeviceId(DEVICE))?;
    let owned = stage.call("claim", &[dev], both, blocked, || {
        group.claim(&Owner::new(1)?)
    })?;
    let (red, is_red) = stage.domain(&iommu, "red", Mode::Sv39)?;
    let (blue, is_blue) = stage.domain(&iommu, "blue", Mode::Sv39)?;
    rest()?;
    let owned = stage.call("attach red", &[dev], [blocked, is_red], is_red, || {
        owned.attach(red).map_err(|refused| refused.error)
    })?;
    rest()?;
    // Hitless: blocked is not among what may be reached.
    let (owned, red) = stage.call(
        "replace_hitless red by blue",
        &[dev],
        [is_red, is_blue],
        is_blue,
        || owned.replace_hitless(blue).map_err(|refused| refused.error),
    )?;
    stage.give_back(is_red);
    drop(red);
    rest()?;
    let (owned, current) = if config.capabilities().sv48() {
        slow(stage, &iommu, owned, dev, is_blue)?
    } else {
        notes.push(format!(
            "Configuration {} knows one page-table format, so every replacement of one domain by another is hitless; \
             --config linux shows one that is not.",
            config.name
        ));
        (owned, is_blue)
    };
    let (owned, domain) = stage.call("detach", &[dev], [current, blocked], blocked, || {
        owned.detach()
    });
    stage.give_back(current);
    drop(domain);
    rest()?;
    stage.call("release", &[dev], both, identity, || owned.release());
    rest()?;
    stage.call("remove_device", &[dev], both, blocked, || {
        iommu.remove_device(DeviceId(DEVICE))
    })?;
    stage.call(
        "release bystander",
        &[beside],
        [grey, blocked, identity],
        identity,
        || {
            bystander.release();
        },
    );
    stage.drain().map_err(|_| Error::Io)
}

/// Another page-table format: not hitless, so `replace_hitless` refuses and changes nothing, and `replace` goes by way
/// of blocked.
fn slow<'i>(
    stage: &Stage,
    iommu: &'i Iommu<Bus>,
    owned: Guard<'i>,
    dev: usize,
    old: Colour,
) -> Result<(Guard<'i>, Colour), Error> {
    let (green, is_green) = stage.domain(iommu, "green", Mode::Sv48)?;
    let refused = stage.call(
        "replace_hitless blue by green (Sv48), refused",
        &[dev],
        old,
        old,
        || owned.replace_hitless(green),
    );
    let Err(refused) = refused else {
        return Err(Error::Invalid);
    };
    stage.run(REST).map_err(|_| Error::Io)?;
    let (owned, blue) = stage.call(
        "replace blue by green (Sv48)",
        &[dev],
        [old, Colour::BLOCKED, is_green],
        is_green,
        || {
            refused
                .guard
                .replace(refused.target)
                .map_err(|refused| refused.error)
        },
    )?;
    stage.give_back(old);
    drop(blue);
    stage.run(REST).map_err(|_| Error::Io)?;
    Ok((owned, is_green))
}

/// A stretch of time between two calls or returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch<'s> {
    /// The call that goes on, if one does.
    pub call: Option<&'s Step>,
    /// First cycle.
    pub first: u64,
    /// First cycle after it.
    pub end: u64,
    /// What the device reached, in the order of the first access.
    pub reached: Vec<Reached>,
}

impl Stretch<'_> {
    /// Name of the call, or nothing.
    #[must_use]
    pub fn name(&self) -> &str {
        self.call.map_or("", |step| &step.name)
    }
}

impl Show {
    /// Time of a device, cut at every call and return.
    #[must_use]
    pub fn stretches(&self, engine: usize) -> Vec<Stretch<'_>> {
        let mut cuts = vec![(0, None)];
        for step in &self.steps {
            cuts.push((step.called, Some(step)));
            cuts.push((step.returned, None));
        }
        let ends = cuts.iter().skip(1).map(|(cycle, _)| *cycle);
        let ends: Vec<u64> = ends.chain([self.cycles]).collect();
        let stretches = cuts.iter().zip(ends);
        // A call that was refused at once took no time, and is shown all the same.
        let stretches = stretches.filter(|((first, call), end)| first < end || call.is_some());
        stretches
            .map(|(&(first, call), end)| Stretch {
                call,
                first,
                end,
                reached: self.reached(engine, first, end),
            })
            .collect()
    }

    fn reached(&self, engine: usize, first: u64, end: u64) -> Vec<Reached> {
        let mut all: Vec<Reached> = Vec::new();
        for touch in &self.touches {
            let at = touch.landed;
            if touch.engine != engine || at < first || at >= end {
                continue;
            }
            match all.iter_mut().find(|r| r.colour == touch.colour) {
                Some(reached) => {
                    reached.count += 1;
                    reached.first = reached.first.min(at);
                    reached.last = reached.last.max(at);
                }
                None => all.push(Reached {
                    colour: touch.colour,
                    count: 1,
                    first: at,
                    last: at,
                }),
            }
        }
        all.sort_by_key(|reached| reached.first);
        all
    }

    /// Accesses that were refused during a hitless replacement.
    #[must_use]
    pub fn refused_while_hitless(&self) -> u64 {
        let stretches = self.stretches(0);
        let hitless = stretches.iter().filter(|s| {
            s.call
                .is_some_and(|call| call.name.starts_with("replace_hitless"))
        });
        let reached = hitless.flat_map(|s| &s.reached);
        reached
            .filter(|r| r.colour == Colour::BLOCKED)
            .map(|r| r.count)
            .sum()
    }

    /// The timeline as text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!(
            "Configuration {}, memory latency {} cycles, seed {}. Device {DEVICE:#x} hammers {} pages with up to {} \
             accesses in flight; so\ndoes device {BYSTANDER:#x} beside it, which has grey for itself. What device \
             {DEVICE:#x} reached, how often, and in which cycles first and last:\n\n",
            self.setting.config.name,
            self.setting.timing.latency,
            self.setting.seed,
            self.setting.pages,
            self.setting.habits.outstanding,
        );
        let _ = writeln!(
            text,
            "{:>6}  {:>6}  {:<46}  reached",
            "cycle", "cycles", "call"
        );
        for stretch in self.stretches(0) {
            let reached: Vec<String> = stretch
                .reached
                .iter()
                .map(|r| {
                    let name = self.palette.name(r.colour);
                    format!("{name} {} ({}..{})", r.count, r.first, r.last)
                })
                .collect();
            let _ = writeln!(
                text,
                "{:>6}  {:>6}  {:<46}  {}",
                stretch.first,
                stretch.end - stretch.first,
                stretch.name(),
                reached.join(", ")
            );
        }
        text.push('\n');
        for note in &self.notes {
            let _ = writeln!(text, "{note}");
        }
        if self.wrong.is_none() {
            let _ = writeln!(
                text,
                "{} accesses, every one where it may go: old, blocked or new during a call, new after it. Refused during \
                 hitless replacements: {}.",
                self.touches.len(),
                self.refused_while_hitless()
            );
        }
        text
    }

    /// The timeline as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let reached = |all: &[Reached]| -> Vec<Value> {
            all.iter()
                .map(|r| {
                    json!({"colour": self.palette.name(r.colour), "accesses": r.count, "first": r.first, "last": r.last})
                })
                .collect()
        };
        let timeline = |engine: usize| -> Vec<Value> {
            self.stretches(engine)
                .iter()
                .map(|s| {
                    json!({"call": s.call.map(|step| &step.name), "first": s.first, "end": s.end, "reached": reached(&s.reached)})
                })
                .collect()
        };
        json!({
            "config": self.setting.config.name,
            "latency": self.setting.timing.latency,
            "seed": self.setting.seed,
            "cycles": self.cycles,
            "accesses": self.touches.len(),
            "refused_while_hitless": self.refused_while_hitless(),
            "wrong": self.wrong,
            "wrong_colour": self.wrong_colour,
            "notes": self.notes,
            "device": timeline(0),
            "bystander": timeline(1),
        })
    }

    /// Colours that the devices reached.
    #[must_use]
    pub fn colours(&self) -> Vec<Colour> {
        let all = self.touches.iter().map(|touch| touch.colour);
        all.fold(Colours::from([]), Colours::or).iter().collect()
    }
}
