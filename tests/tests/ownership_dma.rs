//! Buffers of a kernel driver and shared domains under devices that hammer them, on the cycle-accurate hardware
//! (scenarios T10, T24, T38, T39).

use portcullis::DefaultDomainType::{Blocked, Dma, DmaFq};
use portcullis_regmap::config::TINY;
use portcullis_tests::ownership::*;

/// A driver's buffers are reachable until unmap returns. Mappings made before a claim are blocked while it lasts, whatever
/// its owner attaches, and work again after a release from S4 or S5.
#[test]
fn t_10_buffers_survive_a_claim() {
    let stage = small(&TINY, 10);
    let (iommu, dev) = begin(&stage, driver(Dma));
    iommu.add_device(DEV.into()).unwrap();
    let group = iommu.group(DEV).unwrap();
    let user = group.use_default_domain().unwrap();
    let (buffers, red) = map_buffers(&stage, &user, dev, "red");
    user.unuse();
    let owned = stage.call("claim", &[dev], [red, BLOCKED], BLOCKED, || {
        group.claim(&owner(1)).unwrap()
    });
    run(&stage, 400);
    stage.call("release", &[dev], [red, BLOCKED], red, || owned.release());
    run(&stage, 400);
    let owned = stage.call("claim", &[dev], [red, BLOCKED], BLOCKED, || {
        group.claim(&owner(1)).unwrap()
    });
    // The same addresses lead elsewhere in the owner's domain.
    let pages: Vec<u64> = buffers.iter().map(|buffer| buffer.iova().0).collect();
    let (domain, blue) = coloured_at(&stage, &iommu, "blue", &pages);
    let owned = stage.call("attach", &[dev], [blue, BLOCKED], blue, || {
        owned.attach(domain).unwrap()
    });
    run(&stage, 400);
    assert!(stage.count(dev, blue) > 0);
    let any = [blue, BLOCKED, red];
    stage.call("release attached", &[dev], any, red, || owned.release());
    assert_eq!(
        bus(&stage, "release attached"),
        [block(), publish()].concat()
    );
    stage.give_back(blue);
    run(&stage, 400);
    stage.call("unmap", &[dev], [red, BLOCKED], BLOCKED, || {
        for buffer in buffers {
            buffer.unmap().expect("the buffer");
        }
    });
    stage.give_back(red);
    run(&stage, 400);
    end(&stage, iommu);
}

/// Deferred: no command until the flush, and the buffer comes back only after it.
#[test]
fn t_38_39_buffers_come_back_after_the_flush() {
    let stage = small(&TINY, 38);
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
    run(&stage, 400);
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
        run(&stage, 400);
    }
    let last = guards.pop().expect("two");
    for guard in guards {
        let (owned, _) = stage.call("detach first", &[dev], [is_red, BLOCKED], BLOCKED, || {
            guard.detach()
        });
        run(&stage, 400);
        owned.release();
    }
    assert!(stage.count(dev, is_red) > 0 && stage.count(second, is_red) > 0);
    let (owned, domain) = stage.call("detach last", &[second], [is_red, BLOCKED], BLOCKED, || {
        last.detach()
    });
    drop((domain, shared));
    stage.give_back(is_red);
    run(&stage, 400);
    owned.release();
    end(&stage, iommu);
}
