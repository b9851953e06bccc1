//! Recovery after failures, fault storms, interrupts (sections 3.11 and 3.12; scenarios T49, T50, T56, T58).

mod common;

use common::*;
use portcullis::platform::{Event, Op};
use portcullis::*;

const DEV: DeviceId = DeviceId(0x25);

fn read(w: &Shared, device: u32) -> Result<u64, u16> {
    w.borrow_mut().dma(device, 0x7000, Dma::Read)
}

fn coloured(iommu: &Iommu<Machine>, pa: u64) -> PagingDomain<'_, Machine> {
    let domain = iommu.paging_domain(DomainConfig::default()).unwrap();
    map(&domain, 0x7000, pa, 0x1000, Perm::READ_WRITE).unwrap();
    domain
}

#[test]
fn t49_s7_recover_returns_to_the_state_on_record() {
    let w = world();
    let iommu = start(&w, dma_default());
    let devices = [1, 2, 3, 4, 5].map(DeviceId);
    devices
        .iter()
        .for_each(|d| assert!(iommu.add_device((*d).into()).is_ok()));
    let group = |n: usize| iommu.group(devices[n]).unwrap();
    let attached = group(0).claim(&owner(1)).unwrap();
    let attached = attached.attach(coloured(&iommu, 0x10_0000)).unwrap();
    let detached = group(1).claim(&owner(2)).unwrap();
    let detached = detached.attach(coloured(&iommu, 0x20_0000)).unwrap();
    let released = group(2).claim(&owner(3)).unwrap();
    let user = group(3).use_default_domain().unwrap();
    let managed = user.attach(coloured(&iommu, 0x40_0000)).unwrap();

    w.borrow_mut().stall = u64::MAX;
    let (detached, _domain) = detached.detach();
    assert_eq!(iommu.health(), Health::Closed);
    // What cannot fail still counts, and what vanishes must not come back.
    released.release();
    let (user, _mine) = managed.detach();
    iommu.device_gone(devices[4]).unwrap();
    assert_eq!(iommu.remove_device(devices[3]), Err(Error::Io));
    // SAFETY: the model's memory is as it was.
    assert_eq!(unsafe { iommu.recover() }, Err(Error::Io), "still stuck");
    assert_eq!((iommu.health(), read(&w, 1)), (Health::Closed, Err(256)));

    w.borrow_mut().stall = 0;
    // SAFETY: as before.
    assert_eq!(unsafe { iommu.recover() }, Ok(()));
    assert_eq!(iommu.health(), Health::Degraded);
    let reached = [1, 2, 3, 4, 5].map(|d| read(&w, d));
    assert_eq!(
        reached,
        [Ok(0x10_0000), Err(258), Err(13), Err(13), Err(258)]
    );
    assert!(w.borrow().events.contains(&Event::Recovered));
    // And everything works as if nothing had happened.
    let (attached, _old) = attached.replace(coloured(&iommu, 0x50_0000)).unwrap();
    let detached = detached.attach(coloured(&iommu, 0x60_0000)).unwrap();
    assert_eq!((read(&w, 1), read(&w, 2)), (Ok(0x50_0000), Ok(0x60_0000)));
    // SAFETY: as before; nothing to do.
    assert_eq!(unsafe { iommu.recover() }, Ok(()));
    // SAFETY: refused, since it works.
    assert_eq!(unsafe { iommu.assume_reset() }, Err(Error::Invalid));
    drop((attached, detached, user));
}

#[test]
fn t50_s8_assume_reset() {
    let w = world();
    let iommu = start(&w, dma_default());
    iommu.add_device(DEV.into()).unwrap();
    iommu.add_device(DeviceId(1).into()).unwrap();
    let guard = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    let guard = guard.attach(coloured(&iommu, 0x10_0000)).unwrap();
    w.borrow_mut().lost = true;
    let (guard, _domain) = guard.detach();
    assert_eq!(iommu.health(), Health::Wedged);
    // SAFETY: refused, since it was not reset.
    assert_eq!(
        unsafe { (iommu.recover(), iommu.assume_reset()) },
        (Err(Error::Io), Err(Error::Io))
    );
    w.borrow_mut().reset();
    // SAFETY: the model was reset.
    assert_eq!(unsafe { iommu.assume_reset() }, Ok(()));
    assert_eq!((read(&w, DEV.0), read(&w, 1)), (Err(258), Err(13)));
    let guard = guard.attach(coloured(&iommu, 0x20_0000)).unwrap();
    assert_eq!(read(&w, DEV.0), Ok(0x20_0000));
    guard.release();
    assert_eq!(iommu.faults().drain(100, |_| {}).unwrap().records, 1 + 1);
}

/// S8: everything answers `EIO`, and memory that the hardware may still use is not even read (3.11, L4).
#[test]
fn t50_s8_wedged_hardware_answers_eio() {
    let w = world();
    let (iommu, log) = traced(&w, dma_default());
    iommu.add_device(DEV.into()).unwrap();
    let user = iommu.group(DEV).unwrap().use_default_domain().unwrap();
    let domain = iommu.paging_domain(DomainConfig::default()).unwrap();
    map(&domain, 0x7000, 0x10_0000, 0x1000, Perm::READ).unwrap();
    w.borrow_mut().lost = true;
    assert_eq!(iommu.poll().err(), Some(Error::Io));
    assert_eq!(iommu.health(), Health::Wedged);
    log.borrow_mut().clear();
    let mapped = map(&domain, 0x9000, 0x10_0000, 0x1000, Perm::READ);
    let gather = domain.gather();
    let answers = [
        iommu.add_device(DeviceId(7).into()).err(),
        iommu.remove_device(DEV).err(),
        iommu.reset_device(DEV).err(),
        iommu.group(DEV).unwrap().use_default_domain().err(),
        iommu.group(DEV).unwrap().claim(&owner(1)).err(),
        iommu.claim_device(DEV, &owner(1)).err(),
        iommu.paging_domain(DomainConfig::default()).err(),
        iommu.poll().err(),
        iommu.on_interrupt().err(),
        iommu.faults().drain(1, |_| {}).err(),
        mapped.err(),
        domain.unmap(Iova(0x7000), 0x1000).err(),
        domain.unmap_deferred(Iova(0x7000), 0x1000).err(),
        domain.flush().err(),
        gather.sync().err(),
    ];
    assert_eq!(answers, [Some(Error::Io); 15]);
    assert_eq!(domain.translate(Iova(0x7000)), None);
    let refused = user.attach(domain).expect_err("wedged");
    assert_eq!(refused.error, Error::Io);
    let (buffer, _) = buffer(0x30_0000, 0x1000);
    let (_, error) = refused
        .guard
        .map(buffer, Direction::Both)
        .expect_err("wedged");
    assert_eq!(error, Error::Io);
    assert_eq!(bare_steps(&w, &log), []);
    let touched = |op: &Op| matches!(op, Op::Load(..) | Op::Store(..) | Op::Free(..));
    assert!(!log.borrow().iter().any(touched), "{:?}", log.borrow());
}

/// Faults until the driver no longer wants to hear of them; answers the polls that took.
fn storm(w: &Shared, iommu: &Iommu<Machine>, cause: u16) -> usize {
    for polls in 1..50 {
        for _ in 0..5 {
            assert_eq!(read(w, DEV.0), Err(cause));
        }
        assert_eq!(read(w, 1), Err(13));
        iommu.faults().drain(100, |_| {}).unwrap();
        let polled = iommu.poll().unwrap();
        if polled.quieted > 0 {
            return polls;
        }
    }
    panic!("never quiet");
}

#[test]
fn t56_blocked_device_in_a_storm() {
    let w = world();
    let iommu = start(
        &w,
        Config {
            storm_polls: 10,
            ..dma_default()
        },
    );
    iommu.add_device(DEV.into()).unwrap();
    iommu.add_device(DeviceId(1).into()).unwrap();
    let group = iommu.group(DEV).unwrap();
    let mut guard = group.claim(&owner(1)).unwrap();
    // Device 1 faults as often and is quieted as well, in another round.
    assert_eq!(storm(&w, &iommu, 258), 10);
    for again in 0..2 {
        for _ in 0..100 {
            assert_eq!(read(&w, DEV.0), Err(13), "still blocked");
        }
        assert_eq!(iommu.faults().drain(1000, |_| {}).unwrap().records, 0);
        assert!(iommu.isolation());
        assert_eq!(group.status(), Status::Owned(owner(1)));
        w.borrow_mut().hammer = vec![(DEV.0, 0x7000)];
        w.borrow_mut().reached.clear();
        let attached = guard.attach(coloured(&iommu, 0x10_0000)).unwrap();
        assert_eq!(read(&w, DEV.0), Ok(0x10_0000), "attach afterwards works");
        let allowed = [Err(13), Err(258), Ok(0x10_0000)];
        assert!(w.borrow().reached.iter().all(|r| allowed.contains(r)));
        w.borrow_mut().hammer.clear();
        let (back, _domain) = attached.detach();
        iommu.faults().drain(1000, |_| {}).unwrap();
        assert_eq!(read(&w, DEV.0), Err(258), "loud again");
        assert_eq!(iommu.faults().drain(1000, |_| {}).unwrap().records, 1);
        guard = back;
        iommu.poll().unwrap();
        iommu.poll().unwrap();
        if again == 0 {
            for _ in 0..10 {
                read(&w, DEV.0).unwrap_err();
                iommu.faults().drain(1000, |_| {}).unwrap();
                iommu.poll().unwrap();
            }
        }
    }
    guard.release();
    assert_eq!(read(&w, DEV.0), Err(13));
}

#[test]
fn t56_release_and_removal_of_a_quiet_device() {
    let w = world();
    let iommu = start(
        &w,
        Config {
            storm_polls: 3,
            ..dma_default()
        },
    );
    iommu.add_device(DEV.into()).unwrap();
    iommu.add_device(DeviceId(1).into()).unwrap();
    let guard = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    storm(&w, &iommu, 258);
    iommu.device_gone(DEV).unwrap();
    assert_eq!(read(&w, DEV.0), Err(258));
    drop(guard);
}

#[test]
fn t29_t56_attached_device_in_a_storm() {
    let w = world();
    let iommu = start(
        &w,
        Config {
            storm_polls: 3,
            ..dma_default()
        },
    );
    iommu.add_device(DEV.into()).unwrap();
    let guard = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    let guard = guard.attach(coloured(&iommu, 0x10_0000)).unwrap();
    let miss = || w.borrow_mut().dma(DEV.0, 0x9000, Dma::Read);
    for n in 0..3 {
        assert_eq!(miss(), Err(13));
        assert_eq!(
            iommu.faults().drain(10, |_| {}).unwrap().records,
            1,
            "poll {n}"
        );
        w.borrow_mut().hammer = vec![(DEV.0, 0x7000)];
        w.borrow_mut().reached.clear();
        assert_eq!(iommu.poll().unwrap().quieted, usize::from(n == 2));
        assert_eq!(
            w.borrow().reached,
            [Ok(0x10_0000)],
            "what works is not disturbed"
        );
        w.borrow_mut().hammer.clear();
    }
    assert_eq!((miss(), read(&w, DEV.0)), (Err(13), Ok(0x10_0000)));
    assert_eq!(iommu.faults().drain(10, |_| {}).unwrap().records, 0);
    // T29: replacement with DTF set.
    let (guard, _old) = guard.replace_hitless(coloured(&iommu, 0x20_0000)).unwrap();
    assert_eq!(read(&w, DEV.0), Ok(0x20_0000));
    assert_eq!(iommu.faults().drain(10, |_| {}).unwrap().records, 0);
    guard.release();
}

#[test]
fn t56_occasional_faults_are_no_storm() {
    let w = world();
    let iommu = start(
        &w,
        Config {
            storm_polls: 3,
            ..dma_default()
        },
    );
    iommu.add_device(DEV.into()).unwrap();
    for n in 0..30 {
        if n % 3 != 2 {
            read(&w, DEV.0).unwrap_err();
        }
        iommu.faults().drain(10, |_| {}).unwrap();
        assert_eq!(iommu.poll().unwrap().quieted, 0);
    }
}

#[test]
fn t58_interrupts() {
    let w = world();
    let iommu = start(&w, dma_default());
    iommu.add_device(DEV.into()).unwrap();
    assert_eq!(iommu.on_interrupt(), Ok(Events::default()));
    read(&w, DEV.0).unwrap_err();
    let faults = Events {
        faults: true,
        commands: false,
    };
    assert_eq!(iommu.on_interrupt(), Ok(faults));
    assert_eq!(w.borrow().ipsr & 2, 0);
    // Not drained yet: a record that arrives now raises it again, and one that had arrived is not forgotten.
    assert_eq!(iommu.on_interrupt(), Ok(faults));
    iommu.faults().drain(10, |_| {}).unwrap();
    assert_eq!(iommu.on_interrupt(), Ok(Events::default()));
    // A stopped command queue is repaired.
    w.borrow_mut().cqcsr |= 1 << 10;
    w.borrow_mut().ipsr |= 1;
    assert_eq!(
        iommu.on_interrupt(),
        Ok(Events {
            faults: false,
            commands: true
        })
    );
    assert_eq!((iommu.health(), w.borrow().ipsr & 1), (Health::Degraded, 0));
    w.borrow_mut().lost = true;
    assert_eq!(iommu.on_interrupt(), Err(Error::Io));
}

/// T65, as far as this hardware goes: ids beyond the directory reach nothing, and nobody needs to know them.
#[test]
fn t65_device_id_beyond_the_directory() {
    let w = world();
    let iommu = start(&w, dma_default());
    let beyond = 1 << iommu.limits().device_id_bits;
    assert_eq!(read(&w, beyond), Err(260));
    assert_eq!(read(&w, beyond - 1), Err(258));
    let mut causes = Vec::new();
    let drained = iommu.faults().drain(10, |r| {
        assert_eq!(r.group, None);
        causes.push(r.record.info().cause());
    });
    assert_eq!((drained.unwrap().records, causes), (2, vec![260, 258]));
    assert_eq!(iommu.stats().unknown_faults, 2);
}
