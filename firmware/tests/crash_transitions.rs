//! Section 2.6 for what `failure.rs` leaves out: replacement, drivers with domains of their own, changes of default
//! domains, removal. The N-th access of the platform fails, for every N; afterwards the IOMMU recovers if it can, and
//! everything is as the driver has it on record.

mod common;

use common::*;
use portcullis::platform::{Event, Faulty, Op, Platform};
use portcullis::*;

const A: DeviceId = DeviceId(1);
const B: DeviceId = DeviceId(2);
const OLD: u64 = 0x10_0000;
const NEW: u64 = 0x20_0000;

fn config() -> Config {
    Config {
        table_chunk: 1,
        command_queue: 8,
        fault_queue: 4,
        ..dma_default()
    }
}

fn coloured<P: Platform>(iommu: &Iommu<P>, pa: u64, mode: Mode) -> Option<PagingDomain<'_, P>> {
    let domain = iommu.paging_domain(DomainConfig { mode }).ok()?;
    map(&domain, 0x7000, pa, 0x1000, Perm::READ).ok()?;
    Some(domain)
}

/// What `A` may reach, and what it must reach at last.
type Expect<'a> = &'a dyn Fn(&str, &[Result<u64, u16>], Result<u64, u16>);

/// One scripted life. `None`: something was refused for want of memory or hardware.
fn script<P: Platform>(iommu: &mut Iommu<P>, expect: Expect<'_>) -> Option<()> {
    let admin = iommu.admin_token();
    let id = iommu.add_device(A.into()).ok()?;
    let joining = DeviceInfo {
        group: Some(id),
        ..B.into()
    };
    iommu.add_device(joining).ok()?;
    let group = iommu.group(id).ok()?;
    let first = coloured(iommu, OLD, Mode::Sv39)?;
    let second = coloured(iommu, NEW, Mode::Sv39)?;
    let deep = coloured(iommu, OLD, Mode::Sv48)?;

    let user = group.use_default_domain().ok()?;
    let managed = match user.attach(first) {
        Ok(managed) => managed,
        Err(refused) => {
            expect("driver's attach refused", &[Ok(OLD)], Err(13));
            drop(refused);
            return None;
        }
    };
    expect("driver's domain", &[], Ok(OLD));
    let (user, first) = managed.detach();
    expect("driver's detach", &[], Err(13));
    drop(user);

    let Ok(guard) = group.claim(&owner(1)) else {
        expect("claim refused", &[], Err(13));
        return None;
    };
    let guard = guard.attach(first).ok()?;
    let (guard, first) = match guard.replace_hitless(second) {
        Ok(replaced) => replaced,
        Err(refused) => {
            expect("swap refused", &[Ok(NEW)], Ok(OLD));
            drop(refused);
            return None;
        }
    };
    expect("swap", &[], Ok(NEW));
    drop(first);
    let (guard, second) = match guard.replace(deep) {
        Ok(replaced) => replaced,
        Err(refused) => {
            expect("slow refused", &[Ok(OLD)], Ok(NEW));
            drop(refused);
            return None;
        }
    };
    expect("slow", &[], Ok(OLD));
    drop(second);
    let _ = iommu.remove_device(B);
    expect("removal of the other", &[], Ok(OLD));
    guard.release();
    expect("release", &[], Err(13));
    let kind = DefaultDomainType::Blocked;
    match group.set_default_domain_type(kind, &admin) {
        Ok(()) => expect("default blocked", &[], Err(258)),
        Err(_) => expect("default stays", &[], Err(13)),
    }
    let _ = iommu.device_gone(A);
    expect("gone", &[], Err(258));
    Some(())
}

fn world48() -> Shared {
    let w = world();
    w.borrow_mut().capabilities |= 1 << 10;
    w
}

/// Accesses by number; of the zeroing of pages only a few.
fn points<const WIDE: bool>() -> Vec<u64> {
    let w = world48();
    let (mut iommu, log) = traced_as::<WIDE>(&w, config());
    let reached = |stage: &str, _: &[_], last| {
        assert_eq!(w.borrow_mut().dma(A.0, 0x7000, Dma::Read), last, "{stage}");
    };
    assert_eq!(script(&mut iommu, &reached), Some(()));
    drop(iommu);
    let (mut points, mut number) = (Vec::new(), 0);
    for op in log.borrow().iter() {
        match op {
            Op::Free(..) | Op::Barrier(_) | Op::Event(_) => continue,
            Op::Store(_, _, 0) if number % 97 != 0 => {}
            _ => points.push(number),
        }
        number += 1;
    }
    points
}

/// Every `step`-th access is tried.
fn crash_points<const WIDE: bool>(width: u64, step: usize) {
    let points = points::<WIDE>();
    assert!(points.len() > 300, "{} points", points.len());
    for n in points.into_iter().step_by(step) {
        let w = world48();
        let fails = move |call| (n..n.saturating_add(width)).contains(&call);
        let faulty = Faulty::new(Machine::<WIDE>(w.clone()), fails);
        let Ok(mut iommu) = Iommu::<_, 16>::with_capacity(faulty, config()) else {
            continue;
        };
        let reached = |stage: &str, also: &[Result<u64, u16>], last| {
            let got = w.borrow_mut().dma(A.0, 0x7000, Dma::Read);
            let closed = got == Err(256);
            // Wedged: whatever was reachable in this life may be, and none of it was freed (the model would panic).
            let unknown = [Ok(OLD), Ok(NEW), Err(13), Err(258)].contains(&got);
            let wedged =
                unknown && w.borrow().mode() != 0 && w.borrow().events.contains(&Event::Wedged);
            assert!(
                got == last || closed || wedged || also.contains(&got) && width > 1,
                "access {n} fails, {width} times: {stage}, {got:?} instead of {last:?}"
            );
        };
        let _ = script(&mut iommu, &reached);
        let health = iommu.health();
        if health == Health::Closed {
            // SAFETY: the transport failed, not the hardware; memory is as it was.
            let recovered = unsafe { iommu.recover() };
            assert!(recovered.is_ok() || width == u64::MAX, "access {n}");
            assert_ne!(w.borrow_mut().dma(A.0, 0x7000, Dma::Read), Ok(0x7000));
        }
        assert!(width > 1 || health == Health::Good, "access {n}: repeated");
    }
}

#[test]
fn crash_points_of_transitions_once() {
    crash_points::<true>(1, 2);
}

#[test]
fn crash_points_of_transitions_twice() {
    crash_points::<true>(2, 1);
    crash_points::<false>(2, 3);
}

#[test]
fn crash_points_of_transitions_for_good() {
    crash_points::<true>(u64::MAX, 2);
}
