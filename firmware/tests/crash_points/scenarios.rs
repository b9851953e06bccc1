//! Lives of a driver that make every public operation.

use std::cell::Cell;

use super::common::*;
use super::rig::{DEV, I, IOVA, Look, NOTHING, P, PASID, Rig, Scenario, sure};
use portcullis::*;

const A: u64 = 0x10_0000;
const B: u64 = 0x20_0000;
const PAGE: usize = 0x1000;
const SV48: u64 = 1 << 10;
const PD8: u64 = 1 << 38;

const fn plain(pa: u64) -> Look {
    [Some(pa), None]
}

fn config(default_domain: DefaultDomainType) -> Config {
    Config {
        default_domain,
        table_chunk: 1,
        command_queue: 8,
        fault_queue: 4,
        ..Config::default()
    }
}

/// The group of [`DEV`], which has no owner yet.
fn added<'i>(iommu: &'i I, info: DeviceInfo) -> Group<'i, P> {
    let id = iommu.add_device(info).expect("added");
    iommu.group(id).expect("a group")
}

fn claimed(iommu: &I) -> OwnedGroup<'_, P, 16, Blocked> {
    added(iommu, DEV.into()).claim(&owner(1)).expect("claimed")
}

fn devices(rig: &Rig, iommu: &I, _: &AdminToken) -> Option<()> {
    let add = || iommu.add_device(DEV.into());
    let id = rig.act(iommu, "Iommu::add_device", &[NOTHING], &[NOTHING], add)?;
    let group = rig.quiet("Iommu::group", || iommu.group(id)).ok()?;
    assert_eq!(rig.quiet("Group::id", || group.id()), id);
    rig.quiet("Group::status", || group.status());
    rig.quiet("Group::users", || group.users());
    rig.quiet("Iommu::limits", || iommu.limits());
    rig.quiet("Iommu::health", || iommu.health());
    rig.quiet("Iommu::stats", || iommu.stats());
    rig.quiet("Iommu::isolation", || iommu.isolation());
    let remove = || iommu.remove_device(DEV);
    rig.act(
        iommu,
        "Iommu::remove_device",
        &[NOTHING],
        &[NOTHING],
        remove,
    )?;
    rig.act(iommu, "Iommu::add_device", &[NOTHING], &[NOTHING], add)?;
    let gone = || iommu.device_gone(DEV);
    rig.act(iommu, "Iommu::device_gone", &[NOTHING], &[NOTHING], gone)
}

/// A device that reaches all of memory until its first use.
const KEPT: [BootDevice; 1] = [BootDevice {
    info: DeviceInfo {
        id: DEV,
        group: None,
        regions: &[],
        policy: Policy::Any,
        untrusted: false,
        process_ids: false,
        deferred: true,
    },
    with: None,
    // SAFETY: the device is part of the test.
    keeps: Some(unsafe { TrustToken::new() }),
}];

fn kept_use(rig: &Rig, iommu: &I, _: &AdminToken) -> Option<()> {
    let group = iommu.group(DEV).expect("a group");
    let name = "Group::use_default_domain";
    let begin = || group.use_default_domain();
    let user = rig.act(iommu, name, &[plain(IOVA)], &[NOTHING], begin)?;
    drop(user);
    Some(())
}

fn kept_claim(rig: &Rig, iommu: &I, _: &AdminToken) -> Option<()> {
    let group = iommu.group(DEV).expect("a group");
    let claim = || group.claim(&owner(1));
    let owned = rig.act(iommu, "Group::claim", &[plain(IOVA)], &[NOTHING], claim)?;
    drop(owned);
    Some(())
}

fn kept_removal(rig: &Rig, iommu: &I, _: &AdminToken) -> Option<()> {
    let name = "Iommu::remove_device";
    let remove = || iommu.remove_device(DEV);
    rig.act(iommu, name, &[plain(IOVA)], &[NOTHING], remove)
}

fn kept_reset(rig: &Rig, iommu: &I, _: &AdminToken) -> Option<()> {
    let name = "Iommu::reset_device";
    let begin = || iommu.reset_device(DEV);
    let reset = rig.act(iommu, name, &[plain(IOVA)], &[NOTHING], begin)?;
    drop(reset);
    assert_eq!(rig.look(), NOTHING, "nothing to keep");
    Some(())
}

/// Devices that come and go while their group reaches something.
fn hotplug(rig: &Rig, iommu: &I, _: &AdminToken) -> Option<()> {
    let first = DeviceId(4);
    let id = iommu.add_device(first.into()).expect("added");
    let owned = iommu.group(id).ok()?.claim(&owner(1)).ok()?;
    let owned = owned.attach(coloured(iommu, A)).ok()?;
    let info = DeviceInfo {
        group: Some(id),
        ..DEV.into()
    };
    let add = || iommu.add_device(info);
    rig.act(iommu, "Iommu::add_device", &[NOTHING], &[plain(A)], add)?;
    let remove = || iommu.remove_device(DEV);
    rig.act(
        iommu,
        "Iommu::remove_device",
        &[plain(A)],
        &[NOTHING],
        remove,
    )?;
    rig.act(iommu, "Iommu::add_device", &[NOTHING], &[plain(A)], add)?;
    let gone = || iommu.device_gone(DEV);
    rig.act(iommu, "Iommu::device_gone", &[plain(A)], &[NOTHING], gone)?;
    drop(owned);
    Some(())
}

fn owners(rig: &Rig, iommu: &I, _: &AdminToken) -> Option<()> {
    let group = added(iommu, DEV.into());
    let claim = || group.claim(&owner(1));
    let guard = rig.act(iommu, "Group::claim", &[NOTHING], &[NOTHING], claim)?;
    rig.quiet("OwnedGroup::id", || guard.id());
    let make = || iommu.paging_domain(DomainConfig::default());
    let first = rig.act(iommu, "Iommu::paging_domain", &[NOTHING], &[NOTHING], make)?;
    rig.quiet("AddressSpace::mode", || first.mode());
    let fill = || map(&first, IOVA, A, PAGE, Perm::READ);
    rig.act(iommu, "AddressSpace::map", &[NOTHING], &[NOTHING], fill)?;
    let second = coloured(iommu, B);
    let attach = || guard.attach(first);
    let guard = rig.act(iommu, "OwnedGroup::attach", &[NOTHING], &[plain(A)], attach)?;
    let domain = rig.quiet("OwnedGroup::domain", || guard.domain());
    // An unmap that fails may have unmapped.
    let either = [plain(A), NOTHING];
    let find = || sure(|| domain.translate(Iova(IOVA)));
    rig.act(
        iommu,
        "AddressSpace::translate",
        &[plain(A)],
        &[plain(A)],
        find,
    )?;
    let unmap = || domain.unmap(Iova(IOVA), PAGE);
    rig.act(iommu, "AddressSpace::unmap", &either, &[NOTHING], unmap)?;
    let fill = || map(domain, IOVA, A, PAGE, Perm::READ);
    rig.act(iommu, "AddressSpace::map", &[NOTHING], &[plain(A)], fill)?;
    rig.quiet("OwnedGroup::hitless", || guard.hitless(&second))
        .ok()?;
    let swap = || guard.replace_hitless(second);
    let swapped = [plain(B)];
    let (guard, first) = rig.act(
        iommu,
        "OwnedGroup::replace_hitless",
        &[plain(A)],
        &swapped,
        swap,
    )?;
    let replace = || guard.replace(first);
    let (guard, second) = rig.act(
        iommu,
        "OwnedGroup::replace",
        &[plain(B)],
        &[plain(A)],
        replace,
    )?;
    let (mut guard, mut second) = (guard, second);
    let swap = || guard.swap(&mut second);
    rig.act(iommu, "OwnedGroup::swap", &[plain(A)], &[plain(B)], swap)?;
    let swap = || guard.swap_hitless(&mut second);
    let name = "OwnedGroup::swap_hitless";
    rig.act(iommu, name, &[plain(B)], &[plain(A)], swap)?;
    let discard = || sure(|| drop(second));
    rig.act(
        iommu,
        "PagingDomain::drop",
        &[plain(A)],
        &[plain(A)],
        discard,
    )?;
    // Not by one store.
    let deep = DomainConfig { mode: Mode::Sv48 };
    let deep = iommu.paging_domain(deep).ok()?;
    map(&deep, IOVA, B, PAGE, Perm::READ).ok()?;
    let replace = || guard.replace(deep);
    let (guard, _) = rig.act(
        iommu,
        "OwnedGroup::replace",
        &[plain(A)],
        &[plain(B)],
        replace,
    )?;
    let detach = || sure(|| guard.detach());
    let (guard, deep) = rig.act(iommu, "OwnedGroup::detach", &[plain(B)], &[NOTHING], detach)?;
    let guard = guard.attach(deep).ok()?;
    let release = || sure(|| guard.release());
    rig.act(
        iommu,
        "OwnedGroup::release",
        &[plain(B)],
        &[NOTHING],
        release,
    )?;
    // Dropped like anything else.
    let guard = group
        .claim(&owner(2))
        .ok()?
        .attach(coloured(iommu, A))
        .ok()?;
    let discard = || sure(|| drop(guard));
    rig.act(iommu, "own::Lease::drop", &[plain(A)], &[NOTHING], discard)
}

/// What is unmapped may be reached until the invalidation, wherever it is cached.
fn unmaps(rig: &Rig, iommu: &I, _: &AdminToken) -> Option<()> {
    let guard = claimed(iommu).attach(coloured(iommu, A)).ok()?;
    let domain = guard.domain();
    let again = || map(domain, IOVA, A, PAGE, Perm::READ).ok();
    let either = [plain(A), NOTHING];
    for dropped in [false, true] {
        let mut gather = rig.quiet("AddressSpace::gather", || domain.gather());
        let unmap = || domain.unmap_gather(Iova(IOVA), PAGE, &mut gather);
        rig.act(iommu, "AddressSpace::unmap_gather", &either, &either, unmap)?;
        let mut aside = rig.quiet("Gather::suspend", || gather.suspend());
        let gather = rig.quiet("AddressSpace::resume", || domain.resume(&mut aside));
        let gather = gather.ok()?;
        let before = [rig.look(), plain(A), NOTHING];
        if dropped {
            let discard = || sure(|| drop(gather));
            rig.act(iommu, "Gather::drop", &before, &[NOTHING], discard)?;
        } else {
            let sync = || gather.sync();
            rig.act(iommu, "Gather::sync", &before, &[NOTHING], sync)?;
        }
        again()?;
    }
    let mut aside = domain.gather().suspend();
    let unmap = || domain.unmap_suspended(Iova(IOVA), PAGE, &mut aside);
    let name = "AddressSpace::unmap_suspended";
    rig.act(iommu, name, &either, &either, unmap)?;
    domain.resume(&mut aside).ok()?.sync().ok()?;
    assert_eq!(rig.look(), NOTHING, "synced");
    again()?;
    let unmap = || domain.unmap_deferred(Iova(IOVA), PAGE);
    let later = rig.act(
        iommu,
        "AddressSpace::unmap_deferred",
        &either,
        &either,
        unmap,
    )?;
    rig.quiet("AddressSpace::reusable", || domain.reusable(&later));
    let before = [rig.look(), plain(A), NOTHING];
    let flush = || domain.flush();
    rig.act(iommu, "AddressSpace::flush", &before, &[NOTHING], flush)?;
    assert!(domain.reusable(&later));
    Some(())
}

/// Emulated hardware: a map is followed by an invalidation.
fn notified(rig: &Rig, iommu: &I, _: &AdminToken) -> Option<()> {
    let empty = iommu.paging_domain(DomainConfig::default()).ok()?;
    let guard = claimed(iommu).attach(empty).ok()?;
    let commands = iommu.stats().commands;
    let fill = || map(guard.domain(), IOVA, A, PAGE, Perm::READ);
    rig.act(iommu, "AddressSpace::map", &[NOTHING], &[plain(A)], fill)?;
    assert!(iommu.stats().commands > commands, "told");
    let (guard, domain) = guard.detach();
    drop((guard, domain));
    // The DMA API tells as well.
    let user = iommu.group(DEV).ok()?.use_default_domain().ok()?;
    rig.iova.set(PAGE as u64);
    let fill = || user.map(buffer(B, PAGE as u64).0, Direction::Both);
    let mapped = rig.act(iommu, "KernelUse::map", &[NOTHING], &[plain(B)], fill)?;
    assert_eq!(mapped.iova().0, PAGE as u64);
    Some(())
}

fn buffers(rig: &Rig, iommu: &I, _: &AdminToken) -> Option<()> {
    let group = added(iommu, DEV.into());
    let user = group.use_default_domain().ok()?;
    rig.quiet("KernelUse::id", || user.id());
    // The addresses that the driver finds, lowest first; nothing comes back before a flush.
    let first = PAGE as u64;
    rig.iova.set(first);
    let fill = || user.map(buffer(A, PAGE as u64).0, Direction::Both);
    let mapped = rig.act(iommu, "KernelUse::map", &[NOTHING], &[plain(A)], fill)?;
    assert_eq!(rig.quiet("Mapped::iova", || mapped.iova()).0, first);
    rig.quiet("Mapped::bytes", || mapped.bytes());
    let either = [plain(A), NOTHING];
    let unmap = || mapped.unmap();
    rig.act(iommu, "Mapped::unmap", &either, &[NOTHING], unmap)?;
    let next = || {
        let (buffer, drops) = buffer(A, PAGE as u64);
        let mapped = user.map(buffer, Direction::Both).ok()?;
        rig.iova.set(mapped.iova().0);
        Some((mapped, drops))
    };
    // A buffer that could not be unmapped stays where it is, and nobody gets it.
    let safe = |drops: &Cell<u32>| {
        let reached = rig.look() != NOTHING;
        assert!(!reached || rig.hit() && drops.get() == 0);
    };
    let (mapped, drops) = next()?;
    let discard = || sure(|| drop(mapped));
    rig.act(iommu, "Mapped::drop", &either, &either, discard)?;
    safe(&drops);
    let (mapped, _) = next()?;
    let unmap = || mapped.unmap_later();
    let pending = rig.act(iommu, "Mapped::unmap_later", &either, &either, unmap)?;
    rig.quiet("Pending::ready", || pending.ready());
    let before = [rig.look(), plain(A), NOTHING];
    let wait = || pending.wait();
    rig.act(iommu, "Pending::wait", &before, &[NOTHING], wait)?;
    let (mapped, drops) = next()?;
    let pending = mapped.unmap_later().ok()?;
    let before = [rig.look(), plain(A), NOTHING];
    let discard = || sure(|| drop(pending));
    rig.act(iommu, "Pending::drop", &before, &either, discard)?;
    safe(&drops);
    let (mapped, _) = next()?;
    // SAFETY: nothing that matters is in it.
    let unmap = || unsafe { mapped.unmap_lazy() };
    rig.act(iommu, "Mapped::unmap_lazy", &either, &either, unmap)?;
    let other = user.map(buffer(B, PAGE as u64).0, Direction::Both).ok()?;
    let pending = other.unmap_later().ok()?;
    rig.world.borrow_mut().now += 1_000_000;
    let before = [rig.look(), plain(A), NOTHING];
    let poll = || iommu.poll();
    rig.act(iommu, "Iommu::poll", &before, &[NOTHING], poll)?;
    rig.quiet("Pending::take", || pending.take()).ok()?;
    rig.quiet("KernelUse::unuse", || user.unuse());
    let user = group.use_default_domain().ok()?;
    rig.quiet("KernelUse::drop", || drop(user));
    Some(())
}

fn drivers(rig: &Rig, iommu: &I, _: &AdminToken) -> Option<()> {
    let group = added(iommu, DEV.into());
    let user = group.use_default_domain().ok()?;
    let (first, second) = (coloured(iommu, A), coloured(iommu, B));
    let attach = || user.attach(first);
    let managed = rig.act(iommu, "KernelUse::attach", &[NOTHING], &[plain(A)], attach)?;
    rig.quiet("DriverManaged::id", || managed.id());
    rig.quiet("DriverManaged::domain", || managed.domain().mode());
    rig.quiet("DriverManaged::hitless", || managed.hitless(&second))
        .ok()?;
    let replace = || managed.replace(second);
    let swapped = [plain(B)];
    let (managed, first) = rig.act(
        iommu,
        "DriverManaged::replace",
        &[plain(A)],
        &swapped,
        replace,
    )?;
    let swap = || managed.replace_hitless(first);
    let name = "DriverManaged::replace_hitless";
    let (mut managed, mut second) = rig.act(iommu, name, &[plain(B)], &[plain(A)], swap)?;
    let swap = || managed.swap(&mut second);
    let name = "DriverManaged::swap";
    rig.act(iommu, name, &[plain(A)], &[plain(B)], swap)?;
    let swap = || managed.swap_hitless(&mut second);
    let name = "DriverManaged::swap_hitless";
    rig.act(iommu, name, &[plain(B)], &[plain(A)], swap)?;
    let detach = || sure(|| managed.detach());
    let (user, first) = rig.act(
        iommu,
        "DriverManaged::detach",
        &[plain(A)],
        &[NOTHING],
        detach,
    )?;
    drop(first);
    rig.quiet("KernelUse::hitless", || user.hitless(&second))
        .ok()?;
    let attach = || user.attach_hitless(second);
    let managed = rig.act(
        iommu,
        "KernelUse::attach_hitless",
        &[NOTHING],
        &[plain(B)],
        attach,
    )?;
    let discard = || sure(|| drop(managed));
    rig.act(
        iommu,
        "kernel::Lease::drop",
        &[plain(B)],
        &[NOTHING],
        discard,
    )
}

/// From one identity to a domain without a gap.
fn hitless(rig: &Rig, iommu: &I, _: &AdminToken) -> Option<()> {
    rig.world.borrow_mut().identity_wanted = true;
    let own = [Some(IOVA), None];
    let add = || iommu.add_device(DEV.into());
    rig.act(iommu, "Iommu::add_device", &[NOTHING], &[own], add)?;
    let user = iommu.group(DEV).ok()?.use_default_domain().ok()?;
    let domain = coloured(iommu, A);
    let attach = || user.attach_hitless(domain);
    let managed = rig.act(
        iommu,
        "KernelUse::attach_hitless",
        &[own],
        &[plain(A)],
        attach,
    )?;
    let detach = || sure(|| managed.detach());
    let (user, _) = rig.act(iommu, "DriverManaged::detach", &[plain(A)], &[own], detach)?;
    drop(user);
    let group = iommu.group(DEV).ok()?;
    let claim = || group.claim(&owner(1));
    let guard = rig.act(iommu, "Group::claim", &[own], &[NOTHING], claim)?;
    let release = || sure(|| guard.release());
    rig.act(iommu, "OwnedGroup::release", &[NOTHING], &[own], release)
}

/// The first use attaches; so it does to a device that is being reset, once that is over.
fn deferred(rig: &Rig, iommu: &I, _: &AdminToken) -> Option<()> {
    rig.world.borrow_mut().identity_wanted = true;
    let own = [Some(IOVA), None];
    let info = DeviceInfo {
        deferred: true,
        ..DEV.into()
    };
    let group = added(iommu, info);
    let user = || group.use_default_domain();
    drop(rig.act(iommu, "Group::use_default_domain", &[NOTHING], &[own], user)?);
    iommu.remove_device(DEV).ok()?;

    let expected: Expected<'_, P> = rig.quiet("Expected::new", Expected::new);
    rig.quiet("Expected::ready", || expected.ready(iommu));
    rig.quiet("Expected::iommu", || expected.iommu().is_ok());
    added(iommu, info);
    let user = || expected.use_default_domain(DEV);
    drop(rig.act(
        iommu,
        "Expected::use_default_domain",
        &[NOTHING],
        &[own],
        user,
    )?);
    iommu.remove_device(DEV).ok()?;

    // A reset does not count as use; a use during it is made good when it ends.
    let group = added(iommu, info);
    let begin = || iommu.reset_device(DEV);
    let reset = rig.act(iommu, "Iommu::reset_device", &[NOTHING], &[NOTHING], begin)?;
    let user = || group.use_default_domain();
    let user = rig.act(
        iommu,
        "Group::use_default_domain",
        &[NOTHING],
        &[NOTHING],
        user,
    )?;
    let done = || sure(|| reset.done());
    rig.act(iommu, "DeviceReset::done", &[NOTHING], &[own], done)?;
    drop(user);
    Some(())
}

fn resets(rig: &Rig, iommu: &I, _: &AdminToken) -> Option<()> {
    let guard = claimed(iommu).attach(coloured(iommu, A)).ok()?;
    let begin = || iommu.reset_device(DEV);
    let reset = rig.act(iommu, "Iommu::reset_device", &[plain(A)], &[NOTHING], begin)?;
    let done = || sure(|| reset.done());
    rig.act(iommu, "DeviceReset::done", &[NOTHING], &[plain(A)], done)?;
    let reset = iommu.reset_device(DEV).ok()?;
    let discard = || sure(|| drop(reset));
    rig.act(iommu, "DeviceReset::drop", &[NOTHING], &[plain(A)], discard)?;
    drop(guard);
    Some(())
}

fn claims(rig: &Rig, iommu: &I, _: &AdminToken) -> Option<()> {
    rig.world.borrow_mut().identity_wanted = true;
    let own = [Some(IOVA), None];
    added(iommu, DEV.into());
    let claim = || iommu.claim_device(DEV, &owner(1));
    let first = rig.act(iommu, "Iommu::claim_device", &[own], &[NOTHING], claim)?;
    let second = iommu.claim_device(DEV, &owner(1)).ok()?;
    rig.quiet("DeviceClaim::device", || first.device());
    rig.quiet("DeviceClaim::group", || first.group());
    let guard = rig.quiet("DeviceClaim::guard", || first.guard()).ok()?;
    rig.quiet("OwnedGroup::release_device", || guard.release_device());
    let release = || sure(|| second.release_device());
    rig.act(
        iommu,
        "DeviceClaim::release_device",
        &[NOTHING],
        &[own],
        release,
    )?;
    let last = iommu.claim_device(DEV, &owner(1)).ok()?;
    let discard = || sure(|| drop(last));
    rig.act(iommu, "DeviceClaim::drop", &[NOTHING], &[own], discard)?;
    // The last claim is a guard.
    let guard = iommu.claim_device(DEV, &owner(1)).ok()?.guard().ok()?;
    let release = || sure(|| guard.release_device());
    rig.act(
        iommu,
        "OwnedGroup::release_device",
        &[NOTHING],
        &[own],
        release,
    )
}

fn types(rig: &Rig, iommu: &I, admin: &AdminToken) -> Option<()> {
    let own = [Some(IOVA), None];
    let group = added(iommu, DEV.into());
    let set = |kind| group.set_default_domain_type(kind, admin);
    let name = "Group::set_default_domain_type";
    rig.world.borrow_mut().identity_wanted = true;
    let user = group.use_default_domain().ok()?;
    let fq = rig.quiet(name, || set(DefaultDomainType::DmaFq));
    fq.ok()?;
    user.unuse();
    let kind = DefaultDomainType::Identity(identity());
    rig.act(iommu, name, &[NOTHING], &[own], || set(kind))?;
    rig.act(iommu, name, &[own], &[NOTHING], || {
        set(DefaultDomainType::Blocked)
    })?;
    rig.act(iommu, name, &[NOTHING], &[NOTHING], || {
        set(DefaultDomainType::Dma)
    })
}

fn sharing(rig: &Rig, iommu: &I, _: &AdminToken) -> Option<()> {
    let domain = coloured(iommu, A);
    let shared = rig.quiet("PagingDomain::into_shared", || domain.into_shared());
    let shared = shared.ok()?;
    let guard = claimed(iommu);
    let other = iommu.add_device(DeviceId(4).into()).ok()?;
    let other = iommu.group(other).ok()?.claim(&owner(2)).ok()?;
    let attach = || guard.attach(shared.clone());
    let guard = rig.act(iommu, "OwnedGroup::attach", &[NOTHING], &[plain(A)], attach)?;
    let other = other.attach(shared.clone()).ok()?;
    // One fence for both.
    let either = [plain(A), NOTHING];
    let unmap = || shared.unmap(Iova(IOVA), PAGE);
    rig.act(iommu, "AddressSpace::unmap", &either, &[NOTHING], unmap)?;
    let (guard, clone) = guard.detach();
    drop((guard, clone, other));
    // The last one takes the tables along.
    let discard = || sure(|| drop(shared));
    rig.act(iommu, "SharedDomain::drop", &[NOTHING], &[NOTHING], discard)
}

fn processes(rig: &Rig, iommu: &I, _: &AdminToken) -> Option<()> {
    let info = DeviceInfo {
        process_ids: true,
        ..DEV.into()
    };
    let group = added(iommu, info);
    let guard = group
        .claim(&owner(1))
        .ok()?
        .attach(coloured(iommu, A))
        .ok()?;
    let both = |pa| [[Some(A), Some(pa)]];
    let (first, second) = (coloured(iommu, B), coloured(iommu, 0x30_0000));
    let attach = || guard.attach_pasid(PASID, first);
    let process = rig.act(
        iommu,
        "OwnedGroup::attach_pasid",
        &[plain(A)],
        &both(B),
        attach,
    )?;
    rig.quiet("PasidGuard::domain", || process.domain().mode());
    let replace = || process.replace(second);
    let name = "PasidGuard::replace";
    let (mut process, mut first) = rig.act(iommu, name, &both(B), &both(0x30_0000), replace)?;
    for (from, to) in [(0x30_0000, B), (B, 0x30_0000)] {
        let swap = || process.swap(&mut first);
        rig.act(iommu, "PasidGuard::swap", &both(from), &both(to), swap)?;
    }
    let detach = || sure(|| process.detach());
    rig.act(
        iommu,
        "PasidGuard::detach",
        &both(0x30_0000),
        &[plain(A)],
        detach,
    )?;
    let process = guard.attach_pasid(PASID, first).map_err(|e| e.error).ok()?;
    let discard = || sure(|| drop(process));
    rig.act(
        iommu,
        "process::Lease::drop",
        &both(B),
        &[plain(A)],
        discard,
    )?;
    // With processes attached it goes as a whole.
    let process = guard.attach_pasid(PASID, coloured(iommu, B));
    let process = process.map_err(|e| e.error).ok()?;
    let release = || sure(|| guard.release());
    rig.act(iommu, "OwnedGroup::release", &both(B), &[NOTHING], release)?;
    drop(process);

    let user = group.use_default_domain().ok()?;
    let domain = coloured(iommu, B);
    let attach = || user.attach_pasid(PASID, domain);
    let only = [[None, Some(B)]];
    let process = rig.act(iommu, "KernelUse::attach_pasid", &[NOTHING], &only, attach)?;
    drop(process);
    let managed = user.attach(coloured(iommu, A)).ok()?;
    let domain = coloured(iommu, B);
    let attach = || managed.attach_pasid(PASID, domain);
    let name = "DriverManaged::attach_pasid";
    drop(rig.act(iommu, name, &[plain(A)], &both(B), attach)?);
    drop(managed);
    Some(())
}

fn faults(rig: &Rig, iommu: &I, _: &AdminToken) -> Option<()> {
    added(iommu, DEV.into());
    // Each look leaves a record.
    let drain = || rig.quiet("Iommu::faults", || iommu.faults());
    let queue = drain();
    for _ in 0..6 {
        rig.look();
    }
    let pending = || iommu.on_interrupt();
    rig.act(
        iommu,
        "Iommu::on_interrupt",
        &[NOTHING],
        &[NOTHING],
        pending,
    )?;
    let all = || queue.drain(64, |_| ());
    rig.act(iommu, "Faults::drain", &[NOTHING], &[NOTHING], all)?;
    // Found by two polls in a row, it is quieted.
    for _ in 0..2 {
        rig.look();
        queue.drain(64, |_| ()).ok()?;
        let poll = || iommu.poll();
        rig.act(iommu, "Iommu::poll", &[NOTHING], &[NOTHING], poll)?;
    }
    // A stopped queue is repaired.
    rig.world.borrow_mut().cqcsr |= 1 << 8;
    rig.repairs.set(true);
    let poll = || iommu.poll();
    rig.act(iommu, "Iommu::poll", &[NOTHING], &[NOTHING], poll)?;
    Some(())
}

fn recoveries(rig: &Rig, iommu: &I, _: &AdminToken) -> Option<()> {
    let guard = claimed(iommu).attach(coloured(iommu, A)).ok()?;
    rig.world.borrow_mut().stall = u64::MAX;
    let unmapped = guard.domain().unmap(Iova(0x9000), PAGE);
    assert_eq!((unmapped, iommu.health()), (Ok(0), Health::Good));
    assert!(map(guard.domain(), 0x9000, B, PAGE, Perm::READ).is_ok());
    let _ = guard.domain().unmap(Iova(0x9000), PAGE);
    assert_eq!(iommu.health(), Health::Closed);
    rig.world.borrow_mut().stall = 0;
    rig.repairs.set(true);
    // Closed, it is blocked; what fails while it recovers leaves it so, or Off is not confirmed.
    let closed = [NOTHING, plain(A)];
    // SAFETY: it works again, and memory is as it was.
    let recover = || unsafe { iommu.recover() };
    rig.act(iommu, "Iommu::recover", &closed, &[plain(A)], recover)?;
    rig.world.borrow_mut().lost = true;
    assert_eq!(iommu.poll(), Err(Error::Io));
    assert_eq!(iommu.health(), Health::Wedged);
    rig.world.borrow_mut().reset();
    // SAFETY: it was reset.
    let again = || unsafe { iommu.assume_reset() };
    rig.act(iommu, "Iommu::assume_reset", &closed, &[plain(A)], again)?;
    drop(guard);
    Some(())
}

fn nothing(_: &Rig, _: &I, _: &AdminToken) -> Option<()> {
    Some(())
}

/// All of them.
pub fn scenarios() -> Vec<Scenario> {
    type Run = for<'i> fn(&Rig, &'i I, &AdminToken) -> Option<()>;
    let dma = || config(DefaultDomainType::Dma);
    let own = || config(DefaultDomainType::Identity(identity()));
    let fq = || config(DefaultDomainType::DmaFq);
    let storm = || Config {
        storm_polls: 2,
        ..dma()
    };
    let notify = || Config {
        notify_on_map: true,
        ..dma()
    };
    let all: [(&'static str, u64, Config, Run); 17] = [
        ("starting", 0, dma(), nothing),
        ("devices", 0, dma(), devices),
        ("hotplug", 0, dma(), hotplug),
        ("owners", SV48, dma(), owners),
        ("unmaps", 0, dma(), unmaps),
        ("notified", 0, notify(), notified),
        ("buffers", 0, fq(), buffers),
        ("drivers", 0, dma(), drivers),
        ("hitless", 0, own(), hitless),
        ("deferred", 0, own(), deferred),
        ("resets", 0, dma(), resets),
        ("claims", 0, own(), claims),
        ("types", 0, dma(), types),
        ("sharing", 0, dma(), sharing),
        ("processes", PD8, dma(), processes),
        ("faults", 0, storm(), faults),
        ("recoveries", 0, dma(), recoveries),
    ];
    let scenario = |(name, capabilities, config, run)| Scenario {
        name,
        capabilities,
        config,
        known: &[],
        run,
    };
    let keeping: [(_, Run); 4] = [
        ("first use of what is kept", kept_use),
        ("claim of what is kept", kept_claim),
        ("removal of what is kept", kept_removal),
        ("reset of what is kept", kept_reset),
    ];
    let keeping = keeping.map(|(name, run)| Scenario {
        known: &KEPT,
        ..scenario((name, 0, dma(), run))
    });
    all.map(scenario).into_iter().chain(keeping).collect()
}
