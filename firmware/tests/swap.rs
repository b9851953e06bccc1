//! Domains that are exchanged where they lie: the operation `replace` of section 2.3 of the protocol, without moving guards.

mod common;

use common::*;
use portcullis::*;

const DEV: DeviceId = DeviceId(3);
const A: u64 = 0x10_0000;
const B: u64 = 0x20_0000;

/// Given an owner with a domain attached; when it is swapped for another; then DMA reaches the other, and the first is where
/// the other was, free to be dropped. A refused swap changes neither.
#[test]
fn swap_exchanges_and_a_refusal_changes_nothing() {
    let w = world();
    w.borrow_mut().capabilities |= 1 << 10;
    let (iommu, other) = (start(&w, dma_default()), start(&world(), dma_default()));
    iommu.add_device(DEV.into()).unwrap();
    let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    let mut owned = owned.attach(coloured(&iommu, A)).unwrap();
    let mut domain = coloured(&iommu, B);
    assert_eq!(owned.swap(&mut domain), Ok(()));
    let leads_to = |d: &PagingDomain<'_, _>| d.translate(Iova(0x7000)).map(|(pa, _)| pa.0);
    let state = (read(&w, DEV, 0x7000), leads_to(&domain));
    assert_eq!(state, (Ok(B), Some(A)));
    assert_eq!(leads_to(owned.domain()), Some(B));
    assert_eq!(owned.swap_hitless(&mut domain), Ok(()));
    let state = (read(&w, DEV, 0x7000), leads_to(&domain));
    assert_eq!(state, (Ok(A), Some(B)));
    drop(domain);

    let mut stranger = coloured(&other, B);
    let deep = DomainConfig { mode: Mode::Sv48 };
    let mut deep = iommu.paging_domain(deep).unwrap();
    let before = iommu.stats().commands;
    assert_eq!(owned.swap(&mut stranger), Err(Error::Invalid));
    assert_eq!(owned.swap_hitless(&mut deep), Err(Error::NotSupported));
    assert_eq!(iommu.stats().commands, before);
    assert_eq!((leads_to(&stranger), leads_to(&deep)), (Some(B), None));
    assert_eq!(read(&w, DEV, 0x7000), Ok(A));
    drop(owned);
}

/// The same for a driver's domain, and for one attached for a process id: what is swapped out can be dropped while the other
/// is in use.
#[test]
fn swap_of_drivers_and_processes() {
    let w = world();
    w.borrow_mut().capabilities |= 1 << 38;
    let iommu = start(&w, dma_default());
    let with_processes = DeviceInfo {
        process_ids: true,
        ..DEV.into()
    };
    iommu.add_device(with_processes).unwrap();
    let user = iommu.group(DEV).unwrap().use_default_domain().unwrap();
    let mut managed = user.attach(coloured(&iommu, A)).unwrap();
    let mut process = managed.attach_pasid(Pasid(5), coloured(&iommu, B)).unwrap();
    let reach = || {
        let process = w.borrow_mut().dma_of(DEV.0, Some(5), 0x7000, Dma::Read);
        (read(&w, DEV, 0x7000), process)
    };
    assert_eq!(reach(), (Ok(A), Ok(B)));
    let (mut one, mut two) = (coloured(&iommu, 0x30_0000), coloured(&iommu, 0x40_0000));
    managed.swap(&mut one).unwrap();
    drop(one);
    assert_eq!(reach(), (Ok(0x30_0000), Ok(B)));
    process.swap(&mut two).unwrap();
    drop(two);
    assert_eq!(reach(), (Ok(0x30_0000), Ok(0x40_0000)));
    let mut three = coloured(&iommu, A);
    managed.swap_hitless(&mut three).unwrap();
    drop(three);
    assert_eq!(reach(), (Ok(A), Ok(0x40_0000)));
    drop(process);
    drop(managed);
}
