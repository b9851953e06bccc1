//! What the ownership tests share: the driver on the simulated hardware, with engines that hammer it.

use portcullis::platform::Platform;
use portcullis::{DefaultDomainType, DeviceId, Iommu, Mode, Owner, PagingDomain, TrustToken};
use portcullis_regmap::Config;
use portcullis_regmap::command::Op;
use portcullis_sim::backend::Backend;
use portcullis_sim::memory::Timing;
use portcullis_sim::own::monitor::BusEvent;
use portcullis_sim::own::paint::Colour;
use portcullis_sim::own::stage::{Bus, Setting, Stage};

/// The device that changes hands.
pub const DEV: DeviceId = DeviceId(0x25);
/// A device that has nothing to do with it.
pub const BYSTANDER: DeviceId = DeviceId(0x26);

/// `rtl`, or `verilog` if PORTCULLIS_OWN_BACKEND says so (`cargo xtask verify` does): fifty times faster.
#[must_use]
pub fn backend() -> Backend {
    match std::env::var("PORTCULLIS_OWN_BACKEND").as_deref() {
        Err(_) | Ok("rtl") => Backend::Rtl,
        Ok("verilog") => Backend::Verilog,
        Ok(other) => panic!("PORTCULLIS_OWN_BACKEND is rtl or verilog, not {other}"),
    }
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
pub fn coloured<'i, P: Platform>(
    stage: &Stage,
    iommu: &'i Iommu<P>,
    name: &str,
) -> (PagingDomain<'i, P>, Colour) {
    stage.domain(iommu, name, Mode::Sv39).expect("a domain")
}

/// A started driver, an engine for [`DEV`] that hammers, and one for [`BYSTANDER`], which has a domain of its own for
/// good: whatever else it reaches fails the test.
///
/// # Panics
/// The driver refused.
#[must_use]
pub fn begin(stage: &Stage, config: portcullis::Config) -> (Iommu<Bus>, usize) {
    let iommu = stage.start(config).expect("starts");
    let dev = stage.engine(DEV.0, Colour::BLOCKED);
    protect_bystander(stage, &iommu);
    (iommu, dev)
}

fn protect_bystander(stage: &Stage, iommu: &Iommu<Bus>) {
    let bystander = stage.engine(BYSTANDER.0, Colour::BLOCKED);
    iommu.add_device(BYSTANDER.into()).expect("added");
    let group = iommu.group(BYSTANDER).expect("a group");
    let owned = group.claim(&owner(2)).expect("claimed");
    let (domain, own) = coloured(stage, iommu, "the bystander's");
    let during = [Colour::BLOCKED, own];
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
        BusEvent::Command(Some(Op::InvalDdt { .. })) => "INVAL_DDT",
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
