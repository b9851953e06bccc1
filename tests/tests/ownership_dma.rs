//! Buffers of a kernel driver and shared domains under devices that hammer them, on the cycle-accurate hardware
//! (scenarios T10, T24, T38, T39).

use portcullis::DefaultDomainType::{Blocked, Dma, DmaFq};
use portcullis::{Direction, DmaBuffer, Mapped, PhysAddr};
use portcullis_regmap::config::TINY;
use portcullis_sim::own::load::Habits;
use portcullis_sim::own::paint::Colour;
use portcullis_sim::own::stage::{Bus, Setting, Stage};
use portcullis_tests::ownership::*;

const BLOCKED: Colour = Colour::BLOCKED;

/// A painted page.
#[derive(Debug)]
struct Buffer(u64);

// SAFETY: the memory is simulated; nothing of this process is there.
unsafe impl DmaBuffer for Buffer {
    fn address(&self) -> PhysAddr {
        PhysAddr(self.0)
    }

    fn bytes(&self) -> usize {
        4096
    }
}

type Buffers<'i> = Vec<Mapped<'i, Bus, 16, Buffer>>;

fn run(stage: &Stage) {
    stage.run(400).expect("no hang");
}

fn machine(seed: u64) -> Stage {
    stage(Setting {
        pages: 3,
        keep: true,
        habits: Habits {
            delay: 60,
            ..Habits::default()
        },
        ..setting(&TINY, seed)
    })
}

/// Maps the frames of a new colour where the driver likes, and lets the engine hammer them.
fn map_buffers<'i>(
    stage: &Stage,
    user: &portcullis::KernelUse<'i, Bus>,
    dev: usize,
    name: &str,
) -> (Buffers<'i>, Colour) {
    let (colour, frames) = stage.paint(name);
    let mapped: Buffers<'_> = stage.call("map", &[dev], BLOCKED, BLOCKED, || {
        let buffers = frames.iter().map(|(_, pa)| Buffer(*pa));
        buffers
            .map(|b| user.map(b, Direction::Both).expect("room"))
            .collect()
    });
    stage.with(|_, scene| {
        for (buffer, (_, pa)) in mapped.iter().zip(&frames) {
            scene.load.palette.move_to(buffer.iova().0, *pa);
        }
        scene.load.engine_mut(dev).pages = mapped.iter().map(|b| b.iova().0).collect();
    });
    stage.call("mapped", &[dev], [BLOCKED, colour], colour, || run(stage));
    (mapped, colour)
}

/// A driver's buffers are reachable until unmap returns. Mappings made before a claim are blocked while it lasts, and
/// work again after it.
#[test]
fn t_10_buffers_survive_a_claim() {
    let stage = machine(10);
    let (iommu, dev) = begin(&stage, driver(Dma));
    iommu.add_device(DEV.into()).unwrap();
    let group = iommu.group(DEV).unwrap();
    let user = group.use_default_domain().unwrap();
    let (buffers, red) = map_buffers(&stage, &user, dev, "red");
    user.unuse();
    let owned = stage.call("claim", &[dev], [red, BLOCKED], BLOCKED, || {
        group.claim(&owner(1)).unwrap()
    });
    run(&stage);
    stage.call("release", &[dev], [red, BLOCKED], red, || owned.release());
    run(&stage);
    stage.call("unmap", &[dev], [red, BLOCKED], BLOCKED, || {
        for buffer in buffers {
            buffer.unmap().expect("the buffer");
        }
    });
    stage.give_back(red);
    run(&stage);
    end(&stage, iommu);
}

/// Deferred: no command until the flush, and the buffer comes back only after it.
#[test]
fn t_38_39_buffers_come_back_after_the_flush() {
    let stage = machine(38);
    let (iommu, dev) = begin(&stage, driver(DmaFq));
    iommu.add_device(DEV.into()).unwrap();
    let user = iommu.group(DEV).unwrap().use_default_domain().unwrap();
    let (buffers, red) = map_buffers(&stage, &user, dev, "red");
    let either = [red, BLOCKED];
    let pending: Vec<_> = stage.call("unmap_later", &[dev], either, either, || {
        buffers
            .into_iter()
            .map(|b| b.unmap_later().expect("queued"))
            .collect()
    });
    assert_eq!(bus(&stage, "unmap_later"), [""; 0], "no command");
    assert!(pending.iter().all(|buffer| !buffer.ready()));
    stage.call("wait", &[dev], either, BLOCKED, || {
        for buffer in pending {
            buffer.wait().expect("the buffer");
        }
    });
    assert_eq!(
        bus(&stage, "wait"),
        ["doorbell", "IOTINVAL.VMA", "IOFENCE.C PR PW"],
        "one flush for all"
    );
    stage.give_back(red);
    run(&stage);
    drop(user);
    end(&stage, iommu);
}

/// Two groups share a domain; one detaches under load, the other does not notice.
#[test]
fn t_24_shared_domain() {
    let stage = stage(setting(&TINY, 24));
    let (iommu, dev) = begin(&stage, driver(Blocked));
    let other = portcullis::DeviceId(0x27);
    let second = stage.engine(other.0, BLOCKED);
    let (red, is_red) = coloured(&stage, &iommu, "red");
    let shared = red.into_shared().expect("room");
    let mut guards = Vec::new();
    for (number, (device, engine)) in [(DEV, dev), (other, second)].into_iter().enumerate() {
        iommu.add_device(device.into()).unwrap();
        let owned = iommu
            .group(device)
            .unwrap()
            .claim(&owner(10 + number as u64))
            .unwrap();
        guards.push(
            stage.call("attach", &[engine], [BLOCKED, is_red], is_red, || {
                owned.attach(shared.clone()).unwrap()
            }),
        );
        run(&stage);
    }
    let last = guards.pop().expect("two");
    for guard in guards {
        let (owned, _) = stage.call("detach first", &[dev], [is_red, BLOCKED], BLOCKED, || {
            guard.detach()
        });
        run(&stage);
        owned.release();
    }
    assert!(stage.count(dev, is_red) > 0 && stage.count(second, is_red) > 0);
    let (owned, domain) = stage.call("detach last", &[second], [is_red, BLOCKED], BLOCKED, || {
        last.detach()
    });
    drop((domain, shared));
    stage.give_back(is_red);
    run(&stage);
    owned.release();
    end(&stage, iommu);
}
