//! The fault queue (FQ).

use portcullis_sim::core::{Access, MemStatus, Purpose};
use portcullis_tests::conformance::*;
use portcullis_tests::*;

conformance!(
    fq_01_the_record_is_in_memory_before_fqt_moves,
    fq_01_records_fill_the_queue_in_order,
    fq_02_a_full_queue_sets_fqof_and_drops_the_record,
    fq_03_a_failed_write_sets_fqmf_and_drops_the_record,
    fq_04_while_fqof_is_set_records_are_dropped,
    fq_04_while_fqmf_is_set_records_are_dropped,
    fq_05_a_record_and_each_error_raise_fip,
    fq_06_records_are_little_endian,
    fq_06_asking_for_big_endian_does_not_turn_them,
    fq_07_a_queue_of_n_holds_n_minus_1_records,
);

fn fq_01_the_record_is_in_memory_before_fqt_moves(m: &mut Rig) {
    m.start();
    for did in 10..30 {
        // When a fault happens and software polls fqt
        let index = m.read32(reg::FQT);
        let r = request(did, Access::Read, PAGE);
        assert!(m.ask(r).fault);
        m.wait_for(reg::FQT, |fqt| fqt != index);
        // Then the whole record is there in the very moment in which fqt has moved, and fqt has moved by one
        assert_eq!(comparable(m.record(index)), record_of(r, 258));
        assert_eq!(m.read32(reg::FQT), index + 1);
    }
}

fn fq_01_records_fill_the_queue_in_order(m: &mut Rig) {
    // Given a queue of 16 entries
    m.queues(7, 3);
    // When one device is refused 40 times, a few at a time
    for round in 0..8u64 {
        let requests: Vec<_> = (0..5)
            .map(|i| request(DEV, Access::Read, (round * 5 + i) << 12))
            .collect();
        m.dut.translate(&requests);
        m.dut.settle();
        // Then its records stand in the order of the requests, modulo the size of the queue
        for i in 0..5 {
            let n = round * 5 + i;
            assert_eq!(m.record(n % 16).dw[2], n << 12);
        }
        assert_eq!(m.read32(reg::FQT), (round * 5 + 5) % 16);
        m.write32(reg::FQH, (round * 5 + 5) % 16);
    }
}

fn fq_02_a_full_queue_sets_fqof_and_drops_the_record(m: &mut Rig) {
    for fqh in 0..4u32 {
        // Given a queue of 4 entries whose fqh is anywhere
        m.fault_queue_at(FQ, 1);
        for did in 0..fqh {
            m.refuses(request(did, Access::Read, PAGE), 256);
        }
        assert_eq!(m.read32(reg::FQT), u64::from(fqh));
        // When three faults happen, Then they are recorded and fqof stays 0
        m.write32(reg::FQH, u64::from(fqh));
        for i in 0..3 {
            m.ask(request(100 + i, Access::Read, PAGE));
        }
        m.dut.settle();
        assert_eq!(m.read32(reg::FQCSR), csr::EN | csr::ON);
        assert_eq!(m.read32(reg::FQT), u64::from(fqh + 3) % 4);
        // When a fourth happens, Then fqof is set, fqt stays, and no record changes
        let records: Vec<_> = (0..4).map(|i| m.record(i)).collect();
        m.ask(request(200, Access::Read, PAGE));
        m.dut.settle();
        assert_eq!(m.read32(reg::FQCSR), csr::EN | csr::ON | csr::FQOF);
        assert_eq!(m.read32(reg::FQT), u64::from(fqh + 3) % 4);
        assert_eq!((0..4).map(|i| m.record(i)).collect::<Vec<_>>(), records);
        m.write32(reg::FQCSR, 0);
        m.wait(reg::FQCSR, csr::ON | csr::BUSY, 0);
    }
}

fn fq_03_a_failed_write_sets_fqmf_and_drops_the_record(m: &mut Rig) {
    for status in [MemStatus::Access, MemStatus::Corrupt] {
        for word in 0..4 {
            // Given that one doubleword of the second record cannot be written
            m.fault_queue_at(FQ, 7);
            m.refuses(request(1, Access::Read, PAGE), 256);
            m.break_writes(FQ + 32 + 8 * word, 8, status);
            // When a second fault happens, Then fqmf is set and fqt stays
            m.ask(request(2, Access::Read, PAGE));
            m.dut.settle();
            assert_eq!(m.read32(reg::FQCSR), csr::EN | csr::ON | csr::MF);
            assert_eq!(m.read32(reg::FQT), 1);
            // When the memory works and software clears fqmf, Then the next fault takes that place
            m.break_writes(FQ, 0x1000, MemStatus::Ok);
            m.write32(reg::FQCSR, csr::EN | csr::MF);
            m.refuses(request(3, Access::Read, PAGE), 256);
            assert_eq!(m.read32(reg::FQT), 2);
            m.write32(reg::FQCSR, 0);
            m.wait(reg::FQCSR, csr::ON | csr::BUSY, 0);
        }
    }
}

fn fq_04_while_fqof_is_set_records_are_dropped(m: &mut Rig) {
    // Given a queue of two entries that has overflowed
    m.fault_queue_at(FQ, 0);
    for did in [1, 2] {
        m.ask(request(did, Access::Read, PAGE));
    }
    m.dut.settle();
    assert_eq!(m.read32(reg::FQCSR), csr::EN | csr::ON | csr::FQOF);
    // When software has made room but has not cleared fqof, Then faults are still dropped
    m.write32(reg::FQH, 1);
    for did in 3..6 {
        assert!(m.ask(request(did, Access::Read, PAGE)).fault);
    }
    m.dut.settle();
    assert_eq!((m.read32(reg::FQT), m.dut.writes(Purpose::Fault)), (1, 1));
    // When it clears fqof, Then the next one is recorded, and none of the dropped ones
    m.write32(reg::FQCSR, csr::EN | csr::FQOF);
    m.ask(request(7, Access::Read, PAGE));
    m.dut.settle();
    assert_eq!((m.read32(reg::FQT), m.dut.writes(Purpose::Fault)), (0, 2));
    assert_eq!(
        comparable(m.record(1)),
        record_of(request(7, Access::Read, PAGE), 256)
    );
}

fn fq_04_while_fqmf_is_set_records_are_dropped(m: &mut Rig) {
    // Given a queue whose write has failed once
    m.break_writes(FQ, 32, MemStatus::Access);
    m.fault_queue_at(FQ, 7);
    m.ask(request(1, Access::Read, PAGE));
    m.dut.settle();
    m.break_writes(FQ, 32, MemStatus::Ok);
    let written = m.dut.writes(Purpose::Fault);
    // When the memory works but fqmf has not been cleared, Then faults are still dropped
    for did in 2..6 {
        assert!(m.ask(request(did, Access::Read, PAGE)).fault);
    }
    m.dut.settle();
    assert_eq!(
        (m.read32(reg::FQT), m.dut.writes(Purpose::Fault)),
        (0, written)
    );
    assert_eq!(m.read32(reg::FQCSR), csr::EN | csr::ON | csr::MF);
    // When it has, Then the next one is recorded
    m.write32(reg::FQCSR, csr::EN | csr::MF);
    m.refuses(request(7, Access::Read, PAGE), 256);
}

fn fq_05_a_record_and_each_error_raise_fip(m: &mut Rig) {
    // Given a queue of two entries with its interrupt on
    m.fault_queue_at(FQ, 0);
    m.write32(reg::FQCSR, csr::EN | csr::IE);
    assert_eq!(m.read32(reg::IPSR), 0);
    // When a record is written, Then fip
    m.ask(request(1, Access::Read, PAGE));
    m.dut.settle();
    assert_eq!(m.read32(reg::IPSR), 2);
    m.write32(reg::IPSR, 2);
    assert_eq!(m.read32(reg::IPSR), 0);
    // When it overflows, Then fip
    m.ask(request(2, Access::Read, PAGE));
    m.dut.settle();
    assert_eq!(m.read32(reg::IPSR), 2);
    m.write32(reg::FQH, 1);
    m.write32(reg::FQCSR, csr::EN | csr::IE | csr::FQOF);
    m.write32(reg::IPSR, 2);
    assert_eq!(m.read32(reg::IPSR), 0);
    // When a write fails, Then fip
    m.break_writes(FQ, 64, MemStatus::Access);
    m.ask(request(3, Access::Read, PAGE));
    m.dut.settle();
    assert_eq!(m.read32(reg::IPSR), 2);
}

/// The bytes of a record, one by one.
fn is_little_endian(m: &mut Rig) {
    let r = with_process(
        request(0x12_3456, Access::Exec, 0x8877_6655_4433_2000),
        0xa_bcde,
        true,
    );
    assert!(m.ask(r).fault);
    m.dut.settle();
    let mut bytes = [0; 32];
    m.dut.mem_read(FQ, &mut bytes);
    // CAUSE 0x100 and PID share bytes 1 to 3; PV, PRIV and TTYP 1 make byte 4
    assert_eq!(bytes[..8], [0x00, 0xe1, 0xcd, 0xab, 0x07, 0x56, 0x34, 0x12]);
    assert_eq!(bytes[12..16], [0; 4]);
    assert_eq!(bytes[17] & 0xf0, 0x20);
    assert_eq!(bytes[18..24], [0x33, 0x44, 0x55, 0x66, 0x77, 0x88]);
    assert_eq!(bytes[24..], [0; 8]);
}

fn fq_06_records_are_little_endian(m: &mut Rig) {
    m.queues(7, 7);
    is_little_endian(m);
}

fn fq_06_asking_for_big_endian_does_not_turn_them(m: &mut Rig) {
    m.write32(reg::FCTL, 3);
    m.queues(7, 7);
    is_little_endian(m);
}

fn fq_07_a_queue_of_n_holds_n_minus_1_records(m: &mut Rig) {
    for n in [0, 1, 2, 4, 7] {
        // Given an empty queue of 2^(n+1) entries
        m.fault_queue_at(FQ, n);
        let holds = (2 << n) - 1;
        // When as many faults happen as it holds, Then all are recorded and nothing overflows
        let requests: Vec<_> = (0..holds)
            .map(|did| request(did, Access::Read, PAGE))
            .collect();
        m.dut.translate(&requests);
        m.dut.settle();
        assert_eq!(m.read32(reg::FQT), u64::from(holds));
        assert_eq!(m.read32(reg::FQCSR), csr::EN | csr::ON);
        // Records of several devices may stand in any order.
        let sorted = |mut records: Vec<FaultRecord>| {
            records.sort_by_key(|r| r.dw);
            records
        };
        let got = (0..holds).map(|i| comparable(m.record(i.into())));
        let want = requests.iter().map(|r| record_of(*r, 256));
        assert_eq!(sorted(got.collect()), sorted(want.collect()));
        // When one more happens, Then it overflows
        m.ask(request(0xffff, Access::Read, PAGE));
        m.dut.settle();
        assert_eq!(m.read32(reg::FQCSR), csr::EN | csr::ON | csr::FQOF);
        assert_eq!(m.read32(reg::FQT), u64::from(holds));
        m.write32(reg::FQCSR, 0);
        m.wait(reg::FQCSR, csr::ON | csr::BUSY, 0);
    }
}
