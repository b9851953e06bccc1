//! Fault records (section 3.12 of the protocol; scenarios T54, T55 and T57).

mod common;

use common::*;
use portcullis::*;
use portcullis_regmap::fault::Cause;

const DEV: DeviceId = DeviceId(3);

fn with_queue(fault_queue: u32) -> (Shared, Iommu<Machine>) {
    let w = world();
    let iommu = start(
        &w,
        Config {
            fault_queue,
            ..dma_default()
        },
    );
    iommu.add_device(DEV.into()).unwrap();
    (w, iommu)
}

fn drain(iommu: &Iommu<Machine>, budget: usize) -> (Vec<FaultRecord>, Drained) {
    let mut records = Vec::new();
    let drained = iommu.faults().drain(budget, |r| records.push(*r)).unwrap();
    assert_eq!(records.len(), drained.records);
    (records, drained)
}

#[test]
fn faults_tell_device_address_and_group() {
    let (w, iommu) = with_queue(8);
    assert!(!iommu.poll().unwrap().faults);
    w.borrow_mut().dma(DEV.0, 0x7000, Dma::Write).unwrap_err();
    assert_eq!(w.borrow().ipsr & 2, 2);
    assert!(iommu.poll().unwrap().faults);
    let (records, drained) = drain(&iommu, 16);
    assert_eq!(
        drained,
        Drained {
            records: 1,
            lost: false,
            more: false
        }
    );
    let r = records[0];
    assert_eq!(
        (r.device(), r.record.cause(), r.record.iotval()),
        (DEV, Cause::WRITE_PAGE, 0x7000)
    );
    assert_eq!(
        (r.group, r.stale),
        (Some(iommu.group(DEV).unwrap().id()), false)
    );
    assert_eq!(w.borrow().ipsr & 2, 0);
    assert!(!iommu.poll().unwrap().faults);
}

#[test]
fn faults_of_a_blocked_group_are_stale() {
    let (w, iommu) = with_queue(8);
    w.borrow_mut().dma(DEV.0, 0x7000, Dma::Read).unwrap_err();
    let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    assert!(drain(&iommu, 16).0[0].stale);
    owned.release();
}

#[test]
fn t54_overflow() {
    let (w, iommu) = with_queue(8);
    for n in 0..10 {
        w.borrow_mut().dma(DEV.0, n << 12, Dma::Read).unwrap_err();
    }
    let (records, drained) = drain(&iommu, 100);
    assert_eq!(
        drained,
        Drained {
            records: 7,
            lost: true,
            more: false
        }
    );
    assert_eq!(
        records
            .iter()
            .map(|r| r.record.iotval() >> 12)
            .collect::<Vec<_>>(),
        [0, 1, 2, 3, 4, 5, 6]
    );
    assert_eq!(w.borrow().fqcsr, 0x1_0003, "still on, error cleared");
    w.borrow_mut().dma(DEV.0, 0x99_9000, Dma::Read).unwrap_err();
    let (records, drained) = drain(&iommu, 100);
    assert_eq!(
        (records[0].record.iotval(), drained.lost),
        (0x99_9000, false),
        "reporting goes on"
    );
    assert_eq!((iommu.stats().faults, iommu.stats().fault_losses), (8, 1));
}

#[test]
fn t55_budget() {
    let (w, iommu) = with_queue(32);
    let (mut sent, mut seen) = (0u64, Vec::new());
    for round in 0..50 {
        for _ in 0..10 {
            w.borrow_mut()
                .dma(DEV.0, sent << 12, Dma::Read)
                .unwrap_err();
            sent += 1;
        }
        let (records, drained) = drain(&iommu, 16);
        assert!(drained.records <= 16 && !drained.lost, "round {round}");
        seen.extend(records.iter().map(|r| r.record.iotval() >> 12));
    }
    assert_eq!(
        drain(&iommu, 0).1,
        Drained {
            records: 0,
            lost: false,
            more: false
        }
    );
    assert_eq!(
        seen,
        (0..sent).collect::<Vec<_>>(),
        "every record once, in order"
    );
    w.borrow_mut().dma(DEV.0, 0, Dma::Read).unwrap_err();
    assert_eq!(
        drain(&iommu, 0).1,
        Drained {
            records: 0,
            lost: false,
            more: true
        }
    );
}

#[test]
fn t57_anything_in_a_record() {
    let (w, iommu) = with_queue(8);
    let mut random = Random(57);
    let mut unknown = 0;
    for _ in 0..200 {
        let record = [0; 4].map(|_| random.below(u64::MAX));
        w.borrow_mut().report(record);
        let (records, _) = drain(&iommu, 1);
        assert_eq!(records[0].record.dw, record, "delivered as it is");
        assert_eq!(records[0].group, None);
        unknown += u64::from(record[0] >> 34 & 0x3f != 0);
        let _ = format!(
            "{:?} {:?}",
            records[0],
            records[0].record.cause().describe()
        );
    }
    assert_eq!(iommu.stats().unknown_faults, unknown);
    w.borrow_mut().report([273, 0, 0x1000, 0]);
    drain(&iommu, 1);
    assert_eq!(
        iommu.stats().unknown_faults,
        unknown,
        "TTYP 0: of no device"
    );
}

#[test]
fn faults_with_impossible_index() {
    let (w, iommu) = with_queue(8);
    w.borrow_mut().fqt = 8;
    assert_eq!(
        iommu.faults().drain(16, |_| panic!("nothing to deliver")),
        Err(Error::Io)
    );
    assert_eq!(iommu.health(), Health::Good, "isolation is not in doubt");
}

/// The closure may call the driver, even drain again.
#[test]
fn faults_closure_may_use_the_driver() {
    let (w, iommu) = with_queue(8);
    for n in 0..4 {
        w.borrow_mut().dma(DEV.0, n << 12, Dma::Read).unwrap_err();
    }
    let mut seen = Vec::new();
    let group = iommu.group(DEV).unwrap();
    let outer = iommu.faults().drain(1, |r| {
        seen.push(r.record.iotval() >> 12);
        group.claim(&owner(1)).unwrap().release();
    });
    assert_eq!(
        outer.unwrap(),
        Drained {
            records: 1,
            lost: false,
            more: true
        }
    );
    let rest = iommu.faults().drain(2, |r| {
        seen.push(r.record.iotval() >> 12);
        iommu.faults().drain(1, |_| {}).unwrap();
    });
    assert!(rest.is_ok());
    assert_eq!(seen[..2], [0, 1]);
}

/// Behind a processor cache that does not see what the IOMMU writes.
#[test]
fn faults_noncoherent() {
    let w = world();
    w.borrow_mut().noncoherent = true;
    let iommu = start(
        &w,
        Config {
            fault_queue: 4,
            ..dma_default()
        },
    );
    iommu.add_device(DEV.into()).unwrap();
    for n in 0..20 {
        w.borrow_mut().dma(DEV.0, n << 12, Dma::Read).unwrap_err();
        assert_eq!(drain(&iommu, 8).0[0].record.iotval(), n << 12);
    }
}

/// Section 3.12: the loss is cleared after room was made, so a drain without budget leaves it for the next one.
#[test]
fn s312_loss_is_cleared_when_there_is_room() {
    let w = world();
    let config = Config {
        fault_queue: 4,
        ..dma_default()
    };
    let iommu = start(&w, config);
    iommu.add_device(DEV.into()).unwrap();
    for n in 0..5 {
        w.borrow_mut().dma(DEV.0, n << 12, Dma::Read).unwrap_err();
    }
    let nothing = iommu.faults().drain(0, |_| panic!("no budget")).unwrap();
    assert_eq!(
        (nothing.records, nothing.lost, nothing.more),
        (0, false, true)
    );
    assert_eq!(iommu.stats().fault_losses, 0);
    let all = iommu.faults().drain(8, |_| {}).unwrap();
    assert_eq!((all.records, all.lost, all.more), (3, true, false));
    assert_eq!(iommu.stats().fault_losses, 1);
}
