//! Kinds of domains (section 1.2 of the protocol): what blocked, identity and paging mean, and what they cost.

mod common;

use common::*;
use portcullis::platform::{Event, Op};
use portcullis::*;
use std::mem::needs_drop;

const DEV: DeviceId = DeviceId(3);
const PAGE: usize = 0x1000;

/// given a device that is blocked because it is not there yet, is owned, has stood aside, or has gone; when it reads or
/// writes anywhere, with a process id or without; then nothing is reached.
#[test]
fn r31_blocked_means_every_kind_of_access() {
    let w = world();
    w.borrow_mut().capabilities |= 1 << 38;
    let iommu = start(&w, dma_default());
    let blocked = |when: &str| {
        for iova in [0, 0x7000, 0x2800_0000, 1 << 40, u64::MAX - 0xfff] {
            for kind in [Dma::Read, Dma::Write] {
                for process in [None, Some(0), Some(5)] {
                    let reached = w.borrow_mut().dma_of(DEV.0, process, iova, kind);
                    assert!(reached.is_err(), "{when}: {iova:#x} {process:?}");
                }
            }
        }
    };
    blocked("not there");
    for process_ids in [false, true] {
        let info = DeviceInfo {
            process_ids,
            ..DEV.into()
        };
        let id = iommu.add_device(info).unwrap();
        let owned = iommu.group(id).unwrap().claim(&owner(1)).unwrap();
        blocked("claimed");
        let owned = owned.attach(coloured(&iommu, 0x10_0000)).unwrap();
        assert_eq!(read(&w, DEV, 0x7000), Ok(0x10_0000));
        let reset = iommu.reset_device(DEV).unwrap();
        blocked("reset");
        reset.done();
        let (owned, domain) = owned.detach();
        blocked("detached");
        drop(domain);
        owned.release();
        iommu.remove_device(DEV).unwrap();
        blocked("removed");
    }
}

/// one group or many, blocked by default, by a claim or by a detach: the memory in use is what it was before.
#[test]
fn r34_blocking_costs_no_memory_per_group() {
    assert_eq!(size_of::<Blocked>(), 0);
    let w = world();
    let config = Config {
        table_chunk: 1,
        ..Config::default()
    };
    let iommu = start(&w, config);
    let used = w.borrow().used();
    let groups = (0..16).map(|n| iommu.add_device(DeviceId(n).into()).unwrap());
    let groups: Vec<_> = groups.collect();
    assert_eq!(w.borrow().used(), used, "16 groups with nothing by default");
    w.borrow_mut().heap_limit = 0;
    let owned = |id: &GroupId| iommu.group(*id).unwrap().claim(&owner(1)).unwrap();
    let owned: Vec<_> = groups.iter().map(owned).collect();
    assert_eq!(w.borrow().used(), used, "16 groups that are owned");
    drop(owned);
}

/// both can be statics, there is nothing to free, and no code that would.
#[test]
fn r35_r36_statics_without_destructors() {
    // SAFETY: the devices are part of the test.
    static TOKEN: TrustToken = unsafe { TrustToken::new() };
    static WHOLE: Identity<'static> = Identity(&TOKEN);
    const { assert!(!needs_drop::<Blocked>() && !needs_drop::<Identity<'static>>()) };
    const { assert!(needs_drop::<PagingDomain<'static, Machine>>()) };
    // One of them serves any number of groups.
    let w = world();
    let iommu = start(&w, dma_default());
    let owned = [3, 4].map(|n| {
        iommu.add_device(DeviceId(n).into()).unwrap();
        let owned = iommu.group(DeviceId(n)).unwrap().claim(&owner(1)).unwrap();
        owned.attach(WHOLE).unwrap()
    });
    let both = || [3, 4].map(|n| read(&w, DeviceId(n), 0x7000));
    assert_eq!(both(), [Ok(0x7000); 2]);
    drop(owned);
    assert_eq!(both(), [Err(13); 2]);
}

/// given a device in the deepest leaf of a directory of three levels; when it is blocked by a claim, a detach, a reset or
/// its removal; then the driver looks nothing up but the context itself and its own queue: no level of the directory.
#[test]
fn r38_blocking_looks_nothing_up() {
    let w = world();
    w.borrow_mut().modes = 0x1f;
    let (iommu, log) = traced(&w, dma_default());
    let far = DeviceId(0xab_cdef);
    iommu.add_device(far.into()).unwrap();
    let domain = iommu.paging_domain(DomainConfig::default()).unwrap();
    assert_eq!(iommu.limits().device_id_bits, 24);
    let (root, ring) = ((w.borrow().ddtp >> 10) << 12, w.borrow().ring());
    let load = |at: u64| w.borrow().load(at) >> 10 << 12;
    let id = u64::from(far.0);
    let leaf = load(load(root + 8 * (id >> 16)) + 8 * (id >> 7 & 0x1ff));
    let context = leaf + 32 * (id & 0x7f);
    let looks = |what: &str| {
        for op in log.borrow_mut().drain(..) {
            if let Op::Event(Event::FenceEnd { .. }) = op {
                // Blocked. What comes now gives memory back.
                break;
            }
            if let Op::Load(pa, _) = op {
                let queue = (ring.0..ring.0 + ring.1).contains(&pa.0);
                let own = (context..context + 32).contains(&pa.0);
                assert!(queue || own, "{what}: {pa:?}");
            }
        }
    };
    log.borrow_mut().clear();
    let owned = iommu.group(far).unwrap().claim(&owner(1)).unwrap();
    looks("claim");
    let owned = owned.attach(domain).unwrap();
    log.borrow_mut().clear();
    let (owned, _domain) = owned.detach();
    looks("detach");
    owned.release();
    log.borrow_mut().clear();
    let reset = iommu.reset_device(far).unwrap();
    looks("reset");
    reset.done();
    log.borrow_mut().clear();
    iommu.remove_device(far).unwrap();
    looks("removal");
}

/// tables that a gathered unmap takes out are freed by the invalidation, and not before.
#[test]
fn r56_gather_keeps_tables_until_the_sync() {
    let w = world();
    let config = Config {
        table_chunk: 1,
        ..dma_default()
    };
    let iommu = start(&w, config);
    iommu.add_device(DEV.into()).unwrap();
    let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    let domain = iommu.paging_domain(DomainConfig::default()).unwrap();
    let owned = owned.attach(domain).unwrap();
    let domain = owned.domain();
    for dropped in [false, true] {
        let before = w.borrow().used();
        map(domain, 0x4000_0000, 0x1_0000_1000, 512 * PAGE, Perm::READ).unwrap();
        assert!(read(&w, DEV, 0x4000_0000).is_ok(), "held by the walker");
        let used = w.borrow().used();
        assert!(used > before);
        let mut gather = domain.gather();
        let unmapped = domain.unmap_gather(Iova(0x4000_0000), 512 * PAGE, &mut gather);
        assert_eq!((unmapped, w.borrow().used()), (Ok(512 * PAGE), used));
        match dropped {
            true => drop(gather),
            false => gather.sync().unwrap(),
        }
        assert!(w.borrow().used() < used);
        assert_eq!(read(&w, DEV, 0x4000_0000), Err(13));
    }
    drop(owned);
}

/// whatever the default domain is, a driver and an owner may attach a domain of any kind.
#[test]
fn r74_any_kind_over_any_default() {
    let defaults = [
        DefaultDomainType::Blocked,
        DefaultDomainType::Dma,
        DefaultDomainType::DmaFq,
        DefaultDomainType::Identity(identity()),
    ];
    for default_domain in defaults {
        let w = world();
        w.borrow_mut().identity_wanted = true;
        let config = Config {
            default_domain,
            ..Config::default()
        };
        let iommu = start(&w, config);
        iommu.add_device(DEV.into()).unwrap();
        let group = iommu.group(DEV).unwrap();
        let shared = coloured(&iommu, 0x20_0000).into_shared();
        let shared = shared.map_err(|(_, error)| error).expect("shared");
        let kinds = || {
            [
                (AnyTarget::Paging(coloured(&iommu, 0x10_0000)), 0x10_0000),
                (AnyTarget::Shared(shared.clone()), 0x20_0000),
                (AnyTarget::Identity(identity()), 0x7000),
            ]
        };
        for (kind, reached) in kinds() {
            let managed = group.use_default_domain().unwrap().attach(kind);
            let managed = managed.map_err(|e| e.error).expect("a driver's");
            assert_eq!(read(&w, DEV, 0x7000), Ok(reached), "{default_domain:?}");
            drop(managed);
        }
        for (kind, reached) in kinds() {
            let owned = group.claim(&owner(1)).unwrap().attach(kind);
            let owned = owned.map_err(|e| e.error).expect("an owner's");
            assert_eq!(read(&w, DEV, 0x7000), Ok(reached), "{default_domain:?}");
            drop(owned);
        }
    }
}

/// every address is itself, to the last one of the memory, also those that no page table could express.
#[test]
fn r75_identity_at_every_address() {
    let w = world();
    let default_domain = DefaultDomainType::Identity(identity());
    let config = Config {
        default_domain,
        ..Config::default()
    };
    let iommu = start(&w, config);
    iommu.add_device(DEV.into()).unwrap();
    let widest = 1u64 << w.borrow().caps().pas();
    let powers = (12..widest.ilog2()).map(|bit| 1u64 << bit);
    for at in powers.flat_map(|at| [0, at, at | 0xabc, widest - at]) {
        for kind in [Dma::Read, Dma::Write] {
            let reached = w.borrow_mut().dma(DEV.0, at, kind);
            assert_eq!(reached, Ok(at), "{at:#x}");
        }
    }
}
