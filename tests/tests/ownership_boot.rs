//! Starting behind devices that work already, and handing over to the next kernel (section 3.13 of the protocol): every
//! access of every device watched from before the start until after the stop, on the cycle-accurate hardware.

use portcullis::DefaultDomainType::Dma;
use portcullis::platform::Registers;
use portcullis::{
    BootDevice, Config as DriverConfig, DeviceId, DeviceInfo, DeviceRegion, Error, Iommu, Perm,
    RegionKind,
};
use portcullis_regmap::Config;
use portcullis_regmap::config::{LINUX, TINY};
use portcullis_regmap::regs::{Ddtp, Fctl, igs, iommu_mode, offset};
use portcullis_sim::own::paint::{Colour, Colours};
use portcullis_sim::own::stage::{Bus, Stage};
use portcullis_tests::ownership::*;

/// Firmware lets it read its frame buffer, which is the probe window.
const DISPLAY: DeviceId = DEV;
/// In one group with the display.
const CODEC: DeviceId = BYSTANDER;
/// Gets a default domain, in which nothing is mapped.
const DISK: DeviceId = SECOND;
/// Nobody tells the driver of it.
const STRANGER: DeviceId = DeviceId(0x2c);

static FRAME_BUFFER: [DeviceRegion; 1] = [DeviceRegion {
    start: 0x2000_0000,
    bytes: 9 * PAGE as u64,
    kind: RegionKind::Direct(Perm::READ_WRITE),
}];

fn display() -> DeviceInfo {
    DeviceInfo {
        regions: &FRAME_BUFFER,
        ..DISPLAY.into()
    }
}

fn known() -> [BootDevice; 3] {
    [
        display().into(),
        BootDevice {
            info: CODEC.into(),
            with: Some(DISPLAY),
            keeps: None,
        },
        DeviceInfo::from(DISK).into(),
    ]
}

/// Engines of all four, hammering, behind an IOMMU as firmware leaves it.
struct Scene {
    stage: Stage,
    identity: Colour,
    display: usize,
    codec: usize,
    disk: usize,
    stranger: usize,
}

impl Scene {
    /// In Bare everybody reaches the window's own frames, in Off nobody anything.
    fn new(config: &'static Config, seed: u64, mode: u8) -> Self {
        let stage = small(config, seed);
        let identity = stage.identity();
        leave(&stage, config, mode);
        let reached = if mode == iommu_mode::BARE {
            identity
        } else {
            BLOCKED
        };
        let [display, codec, disk, stranger] =
            [DISPLAY, CODEC, DISK, STRANGER].map(|device| stage.engine(device.0, reached));
        run(&stage, 300);
        let scene = Self {
            stage,
            identity,
            display,
            codec,
            disk,
            stranger,
        };
        for engine in scene.all() {
            assert!(scene.stage.count(engine, reached) > 0);
        }
        scene
    }

    fn all(&self) -> [usize; 4] {
        [self.display, self.codec, self.disk, self.stranger]
    }

    /// Mode of translation, and pages that the driver holds.
    fn left(&self) -> (u8, usize) {
        let ddtp = self.stage.platform().read64(offset::DDTP).expect("answers");
        (Ddtp::from_bits(ddtp).iommu_mode(), held(&self.stage))
    }

    /// `lost` pages were so before it started.
    fn stop(&self, iommu: Iommu<Bus>, lost: usize) {
        let during = [self.identity, BLOCKED];
        let stopped = self
            .stage
            .call("stop", &self.all(), during, BLOCKED, || iommu.stop());
        assert!(stopped.is_ok());
        run(&self.stage, 300);
        self.left_at_once("stop", &[self.display, self.codec], self.identity);
        assert_eq!(self.left(), (iommu_mode::OFF, lost));
    }

    /// From one moment on, the same for these engines, none of them reaches `from` any more: what one of them issues
    /// after another has met something else in the last call of this name meets something else too.
    fn left_at_once(&self, call: &str, engines: &[usize], from: Colour) {
        let steps = self.stage.steps();
        let step = steps.iter().rev().find(|step| step.name == call);
        let called = step.expect("a call").called;
        self.stage.with(|_, scene| {
            let touches = scene.load.touches().iter();
            let touches: Vec<_> = touches
                .filter(|touch| engines.contains(&touch.engine) && touch.answered >= called)
                .collect();
            let first = touches.iter().filter(|touch| touch.colour != from);
            let first = first.map(|touch| touch.answered).min();
            let first = first.expect("something else was met");
            let late = touches
                .iter()
                .find(|touch| touch.colour == from && touch.issued > first);
            assert_eq!(late, None, "{call}: {first} was the end of {from:?}");
        });
    }

    /// Starts the driver while DMA goes on: who has a direct region is never refused anything, and the others reach
    /// `before` until it ends for all of them at once.
    fn start(&self, platform: Bus, before: Colour) -> Iommu<Bus> {
        let (confined, any) = ([self.disk, self.stranger], Colours::from([before, BLOCKED]));
        let iommu = self.stage.call("start", &confined, any, BLOCKED, || {
            Iommu::with_devices(platform, driver(Dma), &known()).expect("starts")
        });
        run(&self.stage, 300);
        iommu
    }

    fn end(self) {
        self.stage.drain().expect("no hang");
        self.stage.verdict();
    }
}

/// What firmware leaves: the kind of interrupts that the driver wants, so that nothing must change in Off; and a mode.
fn leave(stage: &Stage, config: &Config, mode: u8) {
    let mut bus = stage.platform();
    let wires = config.capabilities().igs() != igs::MSI;
    let features = Fctl::new().with_wsi(wires).into_bits();
    bus.write32(offset::FCTL, features).expect("answers");
    let wanted = Ddtp::new().with_iommu_mode(mode).into_bits();
    bus.write64(offset::DDTP, wanted).expect("answers");
    while bus.read64(offset::DDTP).expect("answers") != wanted {}
}

/// Given hardware in Bare behind which four devices hammer; when the driver starts with three of them; then whoever has a
/// direct region reaches it before, during and after, and everybody else is confined from one moment on; when it hands
/// over in Bare; then DMA is off in between, nobody reaches a domain of old afterwards, and the next start is alike.
#[test]
fn s_3_13_start_in_bare_without_a_gap_and_hand_over() {
    for (config, seed) in [(&TINY, 313), (&LINUX, 314)] {
        let scene = Scene::new(config, seed, iommu_mode::BARE);
        let (stage, identity) = (&scene.stage, scene.identity);
        let mut platform = stage.platform();
        for round in 0..2 {
            let iommu = scene.start(platform, identity);
            scene.left_at_once("start", &[scene.disk, scene.stranger], identity);
            // Devices like others from now on.
            let owned = iommu.group(DISK).unwrap().claim(&owner(1)).unwrap();
            let (red, is_red) = coloured(stage, &iommu, &format!("red {round}"));
            let owned = stage.call("attach", &[scene.disk], [BLOCKED, is_red], is_red, || {
                owned.attach(red).unwrap()
            });
            run(stage, 300);
            assert!(stage.count(scene.disk, is_red) > 0);
            let refused = stage.count(scene.display, BLOCKED) + stage.count(scene.codec, BLOCKED);
            // It is attached until the end.
            std::mem::forget(owned);
            let during = [is_red, BLOCKED, identity];
            platform = stage.call("hand over", &scene.all(), during, identity, || {
                iommu.stop_in_bare(&token()).expect("stops")
            });
            stage.give_back(is_red);
            run(stage, 300);
            scene.left_at_once("hand over", &[scene.disk], is_red);
            scene.left_at_once("hand over", &[scene.stranger], BLOCKED);
            assert!(
                refused < stage.count(scene.display, BLOCKED) + stage.count(scene.codec, BLOCKED),
                "by way of Off"
            );
            assert_eq!(scene.left(), (iommu_mode::BARE, 0));
            stage.verdict();
        }
        // And once more, with an end in Off.
        let iommu = scene.start(platform, identity);
        scene.stop(iommu, 0);
        scene.end();
    }
}

/// Given hardware in Off; when the driver starts; then those with direct regions are the first that reach anything.
#[test]
fn s_3_13_start_in_off() {
    for (config, seed) in [(&TINY, 315), (&LINUX, 316)] {
        let scene = Scene::new(config, seed, iommu_mode::OFF);
        let (stage, identity) = (&scene.stage, scene.identity);
        let together = [scene.display, scene.codec];
        let iommu = stage.call("boot", &together, [BLOCKED, identity], identity, || {
            scene.start(stage.platform(), BLOCKED)
        });
        run(stage, 300);
        assert!(together.iter().all(|at| stage.count(*at, identity) > 0));
        scene.left_at_once("boot", &together, BLOCKED);
        scene.stop(iommu, 0);
        scene.end();
    }
}

/// Given a kernel that is gone without a stop, whose contexts and translations the core has cached; when the next one
/// takes over; then everything is blocked at once, and what is left is never used: neither by the device that it was for
/// nor by the one that has its PSCID now.
#[test]
fn s_3_13_take_over_uses_no_leftovers() {
    for (config, seed) in [(&TINY, 317), (&LINUX, 318)] {
        let scene = Scene::new(config, seed, iommu_mode::OFF);
        let (stage, identity) = (&scene.stage, scene.identity);
        let first = stage.start(driver(Dma)).expect("starts");
        first.add_device(DISK.into()).unwrap();
        let owned = first.group(DISK).unwrap().claim(&owner(1)).unwrap();
        let (red, is_red) = coloured(stage, &first, "red");
        let owned = stage.call("attach", &[scene.disk], [BLOCKED, is_red], is_red, || {
            owned.attach(red).unwrap()
        });
        run(stage, 300);
        std::mem::forget(owned);
        std::mem::forget(first);
        let lost = held(stage);
        let refused = Iommu::<_, 16>::with_devices(stage.platform(), driver(Dma), &known());
        assert_eq!(refused.err().map(|e| e.error), Some(Error::Busy));
        run(stage, 300);
        let config = DriverConfig {
            take_over: true,
            ..driver(Dma)
        };
        let together = [scene.display, scene.codec];
        let iommu = stage.call("boot", &together, [BLOCKED, identity], identity, || {
            let (disk, either) = ([scene.disk], [is_red, BLOCKED]);
            stage.call("take over", &disk, either, BLOCKED, || {
                Iommu::<_, 16>::with_devices(stage.platform(), config, &known()).expect("starts")
            })
        });
        stage.give_back(is_red);
        run(stage, 300);
        scene.left_at_once("take over", &[scene.disk], is_red);
        scene.left_at_once("boot", &together, BLOCKED);
        assert!(together.iter().all(|at| stage.count(*at, identity) > 0));
        scene.stop(iommu, lost);
        scene.end();
    }
}

/// Given hardware in Bare; when the driver is started with a list that it refuses, or without the memory for it; then
/// every device goes on without one access refused, hardware is as it was found, and no memory is kept.
#[test]
fn s_3_13_refused_start_is_not_noticed() {
    for (config, seed) in [(&TINY, 319), (&LINUX, 320)] {
        let scene = Scene::new(config, seed, iommu_mode::BARE);
        let stage = &scene.stage;
        let disk = DeviceInfo::from(DISK);
        let twice = [display().into(), disk.into(), disk.into()];
        let orphan = BootDevice {
            info: CODEC.into(),
            with: Some(STRANGER),
            keeps: None,
        };
        let lists: [(&[BootDevice], Option<usize>, Error); 5] = [
            (&twice, None, Error::Exists),
            (&[display().into(), orphan], None, Error::NotFound),
            (&known(), Some(0), Error::NoMemory),
            (&known(), Some(4), Error::NoMemory),
            (&known(), Some(7), Error::NoMemory),
        ];
        for (list, spare, expected) in lists {
            stage.spare_pages(spare);
            let refused = Iommu::<_, 16>::with_devices(stage.platform(), driver(Dma), list);
            assert_eq!(refused.err().map(|e| e.error), Some(expected));
            stage.spare_pages(None);
            run(stage, 100);
            assert_eq!(scene.left(), (iommu_mode::BARE, 0));
            stage.verdict();
        }
        for engine in scene.all() {
            assert_eq!(stage.count(engine, BLOCKED), 0);
        }
        scene.end();
    }
}

/// Given hardware in Bare; when the driver starts with two devices that keep what they have there; then neither is refused
/// anything until its first use; that leads the one with a direct region to its default domain with nothing refused either,
/// and a claim blocks the other. Everybody else is confined from one moment on.
#[test]
fn s_3_13_kept_until_the_first_use() {
    for (config, seed) in [(&TINY, 321), (&LINUX, 322)] {
        let scene = Scene::new(config, seed, iommu_mode::BARE);
        let (stage, identity) = (&scene.stage, scene.identity);
        let list = [display(), DISK.into()].map(|info| BootDevice {
            info: DeviceInfo {
                deferred: true,
                ..info
            },
            with: None,
            keeps: Some(token()),
        });
        let others = [scene.codec, scene.stranger];
        let iommu = stage.call("start", &others, [identity, BLOCKED], BLOCKED, || {
            Iommu::<_, 16>::with_devices(stage.platform(), driver(Dma), &list).expect("starts")
        });
        run(stage, 300);
        scene.left_at_once("start", &others, identity);
        assert!(!iommu.isolation());
        let user = iommu.group(DISPLAY).unwrap().use_default_domain().unwrap();
        run(stage, 300);
        for kept in [scene.display, scene.disk] {
            assert_eq!(stage.count(kept, BLOCKED), 0);
        }
        let group = iommu.group(DISK).unwrap();
        let either = [identity, BLOCKED];
        let owned = stage.call("claim", &[scene.disk], either, BLOCKED, || {
            group.claim(&owner(1)).unwrap()
        });
        run(stage, 300);
        scene.left_at_once("claim", &[scene.disk], identity);
        assert!(iommu.isolation() && stage.count(scene.disk, BLOCKED) > 0);
        assert_eq!(stage.count(scene.display, BLOCKED), 0);
        drop((owned, user));
        let stopped = stage.call("stop", &[scene.display], either, BLOCKED, || iommu.stop());
        assert!(stopped.is_ok());
        run(stage, 300);
        scene.left_at_once("stop", &[scene.display], identity);
        assert_eq!(scene.left(), (iommu_mode::OFF, 0));
        scene.end();
    }
}
