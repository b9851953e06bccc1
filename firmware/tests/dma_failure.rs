//! The DMA API of drivers when the hardware fails (section 2.6 of the protocol), and at random (section 3.8).

mod common;

use common::*;
use portcullis::*;

const DEV: DeviceId = DeviceId(3);
const PAGE: u64 = 0x1000;

fn fq_default() -> Config {
    Config {
        default_domain: DefaultDomainType::DmaFq,
        ..Config::default()
    }
}

fn read(w: &Shared, iova: Iova) -> Result<u64, u16> {
    w.borrow_mut().dma(DEV.0, iova.0, Dma::Read)
}

fn user<P: platform::Platform>(iommu: &Iommu<P>) -> KernelUse<'_, P> {
    iommu.add_device(DEV.into()).unwrap();
    iommu.group(DEV).unwrap().use_default_domain().unwrap()
}

/// A buffer that devices might still reach is never given back.
#[test]
fn wedged_hardware_keeps_buffers() {
    let w = world();
    let iommu = start(&w, fq_default());
    let user = user(&iommu);
    let (one, freed) = buffer(0x10_0000, PAGE);
    let one = user.map(one, Direction::Both).unwrap();
    let (two, freed_too) = buffer(0x20_0000, PAGE);
    let pending = user
        .map(two, Direction::Both)
        .unwrap()
        .unmap_later()
        .unwrap();
    w.borrow_mut().lost = true;
    assert_eq!(iommu.poll(), Err(Error::Io));
    assert_eq!(iommu.health(), Health::Wedged);
    let (one, error) = one.unmap().expect_err("wedged");
    assert_eq!(error, Error::Io);
    let (pending, error) = pending.wait().expect_err("wedged");
    assert_eq!((error, pending.ready()), (Error::Io, false));
    drop((one, pending));
    assert_eq!((freed.get(), freed_too.get()), (0, 0));
}

/// Given a transport that dies for good at the N-th access of a map, for every N; then the buffer comes back only if no
/// device reaches it, neither now nor when the hardware is back; where that cannot be known, it is never dropped.
#[test]
fn a_map_that_fails_keeps_what_devices_may_reach() {
    use std::cell::Cell;
    use std::rc::Rc;
    const PA: u64 = 0x8_0000_1000;
    const BYTES: u64 = 0x20_1000;
    let reached = |w: &Shared| {
        let mut pages = (0..0x40_0000).step_by(PAGE as usize);
        pages.any(|at| read(w, Iova(at)).is_ok_and(|pa| (PA..PA + BYTES).contains(&pa)))
    };
    let (mut back, mut kept, mut leads_there) = (0, 0, 0);
    for n in 0.. {
        let w = world();
        // From the N-th access on once it is armed.
        let accesses = Rc::new(Cell::new(None));
        let seen = accesses.clone();
        let dies = move |_| match seen.get() {
            None => false,
            Some(count) => {
                seen.set(Some(count + 1));
                count >= n
            }
        };
        let faulty = platform::Faulty::new(Machine::<true>(w.clone()), dies);
        let iommu = Iommu::<_, 16>::with_capacity(faulty, dma_default()).unwrap();
        let user = user(&iommu);
        let (buffer, drops) = buffer(PA, BYTES);
        accesses.set(Some(0));
        let result = user.map(buffer, Direction::Both);
        accesses.set(None);
        let (buffer, error) = match result {
            Ok(mapped) => {
                assert!(reached(&w));
                drop(mapped);
                break;
            }
            Err(failed) => failed,
        };
        assert_eq!(error, Error::Io, "access {n}");
        let Some(buffer) = buffer else {
            assert_eq!((iommu.health(), drops.get()), (Health::Wedged, 0));
            kept += 1;
            leads_there += u32::from(reached(&w));
            continue;
        };
        back += 1;
        assert!(!reached(&w), "access {n}: {:?}", iommu.health());
        if iommu.health() == Health::Wedged {
            w.borrow_mut().reset();
            // SAFETY: it has been reset.
            unsafe { iommu.assume_reset() }.unwrap();
        } else {
            // SAFETY: the transport failed, and memory is as it was.
            unsafe { iommu.recover() }.unwrap();
        }
        assert!(!reached(&w), "access {n}");
        drop(buffer);
    }
    println!("{back} buffers came back, {kept} did not, of which {leads_there} were in reach");
    assert!(back > 0 && leads_there > 0 && kept > leads_there);
}

#[test]
fn closed_hardware_gives_buffers_back() {
    let w = world();
    let iommu = start(&w, fq_default());
    let user = user(&iommu);
    let [a, b] = [1, 2].map(|n| user.map(buffer(n << 20, PAGE).0, Direction::Both).unwrap());
    let pending = a.unmap_later().unwrap();
    w.borrow_mut().stall = u64::MAX;
    b.unmap().unwrap();
    assert_eq!(iommu.health(), Health::Closed);
    assert!(pending.take().is_ok(), "Off is a stronger fence");
    // S7: map and unmap act on memory.
    let c = user.map(buffer(3 << 20, PAGE).0, Direction::Both).unwrap();
    w.borrow_mut().stall = 0;
    // SAFETY: the model's memory is as it was.
    assert_eq!(unsafe { iommu.recover() }, Ok(()));
    assert_eq!(read(&w, c.iova()), Ok(3 << 20));
}

/// Section 2.6 for the DMA API, upgrades, resets and shared domains: the N-th access fails, for every N, once, twice or
/// for good. No buffer comes back that a device reaches, and after recovery everything is as on record.
#[test]
fn crash_points_of_the_dma_api() {
    const RESET: DeviceId = DeviceId(4);
    fn script<P: platform::Platform>(
        iommu: &mut Iommu<P>,
        buffers: [Buffer; 3],
        check: &dyn Fn(u64),
    ) -> Option<()> {
        static REGIONS: [DeviceRegion; 1] = [DeviceRegion {
            start: 0x40_0000,
            bytes: 0x1000,
            kind: RegionKind::DirectRelaxable(Perm::READ),
        }];
        let admin = iommu.admin_token();
        let iommu = &*iommu;
        let regions = DeviceInfo {
            regions: &REGIONS,
            ..DEV.into()
        };
        let id = iommu.add_device(regions).ok()?;
        let joining = DeviceInfo {
            group: Some(id),
            ..RESET.into()
        };
        iommu.add_device(joining).ok()?;
        let group = iommu.group(id).ok()?;
        let user = group.use_default_domain().ok()?;
        let [a, b, c] = buffers.map(|buffer| user.map(buffer, Direction::Both).ok());
        let a = a?.unmap().ok()?;
        check(a.address().0);
        let fq = DefaultDomainType::DmaFq;
        group.set_default_domain_type(fq, &admin).ok()?;
        let b = b?.unmap_later().ok()?;
        let reset = iommu.reset_device(RESET).ok()?;
        let b = b.wait().ok()?;
        check(b.address().0);
        drop(c);
        user.unuse();
        let owned = group.claim(&owner(1)).ok()?;
        reset.done();
        let domain = iommu.paging_domain(DomainConfig::default()).ok()?;
        let shared = domain.into_shared().ok()?;
        map(&shared, PAGE, 4 << 32, 0x1000, Perm::READ).ok()?;
        let owned = owned.attach(shared.clone()).ok()?;
        shared.unmap(Iova(PAGE), 0x1000).ok()?;
        check(4 << 32);
        owned.release();
        Some(())
    }
    let config = Config {
        table_chunk: 1,
        command_queue: 8,
        fault_queue: 4,
        ..dma_default()
    };
    for width in [1, 2, u64::MAX] {
        // The zeroing of pages makes most of the accesses: it is passed over in larger steps.
        for n in (0u64..).step_by(if width == 2 { 7 } else { 23 }) {
            let w = world();
            let calls = std::rc::Rc::new(std::cell::Cell::new(0u64));
            let seen = calls.clone();
            let fails = move |call| {
                seen.set(call);
                (n..n.saturating_add(width)).contains(&call)
            };
            let faulty = platform::Faulty::new(Machine::<true>(w.clone()), fails);
            let Ok(mut iommu) = Iommu::<_, 16>::with_capacity(faulty, config) else {
                continue;
            };
            // Both devices look at all pages around everything the driver does, and fill the caches.
            let pages = [DEV.0, RESET.0].into_iter();
            w.borrow_mut().hammer = pages
                .flat_map(|d| (1..4).map(move |page| (d, page * PAGE)))
                .collect();
            let check = |pa: u64| {
                let looks = w.borrow().hammer.clone();
                for (device, iova) in looks {
                    let got = w.borrow_mut().dma(device, iova, Dma::Read);
                    assert_ne!(got, Ok(pa), "access {n} fails, {width} times");
                }
            };
            let made = [1, 2, 3].map(|n| buffer(n << 32, PAGE));
            let drops = made.each_ref().map(|(_, drops)| drops.clone());
            let done = script(&mut iommu, made.map(|(buffer, _)| buffer), &check);
            w.borrow_mut().hammer.clear();
            let health = iommu.health();
            if health == Health::Closed {
                // SAFETY: the transport failed, not the hardware; memory is as it was.
                let recovered = unsafe { iommu.recover() };
                assert!(recovered.is_ok() || width == u64::MAX, "access {n}");
            }
            if iommu.health() != Health::Wedged {
                for page in 1..4 {
                    let got = [DEV, RESET].map(|d| w.borrow_mut().dma(d.0, page * PAGE, Dma::Read));
                    // What could not be unmapped is leaked, and may stay.
                    let leaked = |pa: u64| matches!(drops.get((pa >> 32) as usize - 1), Some(d) if d.get() == 0);
                    let fine = got.iter().all(|g| g.is_err() || g.is_ok_and(leaked));
                    assert!(fine, "access {n}: {got:?}");
                }
            }
            assert!(
                width > 1 || done.is_some() || health == Health::Good,
                "access {n}"
            );
            drop(iommu);
            if calls.get() < n {
                break;
            }
        }
    }
}

/// Section 3.8 at random: an address is given out again, and a buffer given back, only when no device reaches what was
/// there before; devices look at every step and fill the model's caches.
#[test]
fn random_buffers_are_out_of_reach_when_they_come_back() {
    for seed in 1..=30 {
        let w = world();
        let config = Config {
            flush_queue: 6,
            table_chunk: 1,
            ..fq_default()
        };
        let iommu = start(&w, config);
        let user = user(&iommu);
        let mut random = Random(seed);
        let (mut live, mut waiting, mut next) = (Vec::new(), Vec::new(), 0u64);
        for step in 0..1500 {
            match random.below(8) {
                0..3 if live.len() < 24 => {
                    let pages = [1, 1, 1, 3, 16, 512][random.below(6) as usize];
                    next += 1;
                    let pa = next << 32;
                    let mapped = user
                        .map(buffer(pa, pages * PAGE).0, Direction::Both)
                        .unwrap();
                    let iova = mapped.iova().0;
                    for page in [0, pages - 1] {
                        let got = read(&w, Iova(iova + page * PAGE));
                        assert_eq!(got, Ok(pa + page * PAGE), "seed {seed}, step {step}");
                    }
                    live.push((mapped, pa));
                }
                3..6 if !live.is_empty() => {
                    let (mapped, pa) = live.swap_remove(random.below(live.len() as u64) as usize);
                    let iova = mapped.iova();
                    if random.below(4) == 0 {
                        mapped.unmap().unwrap();
                        assert_eq!(read(&w, iova).ok().filter(|at| at >> 32 == pa >> 32), None);
                    } else {
                        waiting.push((mapped.unmap_later().unwrap(), iova, pa));
                    }
                }
                6 if !waiting.is_empty() => {
                    let at = random.below(waiting.len() as u64) as usize;
                    let (pending, iova, pa) = waiting.swap_remove(at);
                    match pending.take() {
                        Ok(_) => {
                            let reached = read(&w, iova).ok();
                            assert_ne!(reached.map(|at| at >> 32), Some(pa >> 32), "seed {seed}");
                        }
                        Err(pending) => waiting.push((pending, iova, pa)),
                    }
                }
                _ => {
                    w.borrow_mut().now += 3_000;
                    let _ = iommu.poll().unwrap();
                }
            }
        }
        drop((live, waiting));
        drop(user);
    }
}
