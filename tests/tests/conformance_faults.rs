//! Fault reporting: cause, priority, record (FLT).

use portcullis_sim::core::{Access, Kind, MemStatus, Purpose, Request};
use portcullis_tests::conformance::*;
use portcullis_tests::*;

conformance!(
    flt_01_off_comes_before_everything,
    flt_01_bare_and_width_come_before_the_directory,
    flt_01_the_directory_comes_before_the_type_of_request,
    flt_01_the_type_of_request_comes_before_the_address,
    flt_01_the_address_comes_before_the_page_table,
    flt_01_an_entry_is_fetched_checked_and_only_then_followed,
    flt_02_every_cause_is_one_of_those_that_apply,
    flt_03_dtf_drops_the_causes_that_it_should,
    flt_03_dtf_keeps_the_others,
    flt_04_dtf_of_a_context_that_is_not_valid_counts_as_0,
    flt_05_access_faults_by_access_kind,
    flt_06_poisoned_data_has_causes_of_its_own,
    flt_07_every_field_of_a_record_stands_where_it_should,
    flt_07_device_and_process_ids_arrive_whole,
    flt_08_without_process_id_pid_and_priv_are_0,
    flt_09_ttyp_names_kind_and_access,
    flt_10_no_record_without_a_transaction_is_made_here,
    flt_11_iotval_is_the_iova,
    flt_12_iotval2_is_0_without_a_second_stage,
    flt_14_an_error_is_answered_recorded_or_not,
);

fn flt_01_off_comes_before_everything(m: &mut Rig) {
    // Given ddtp Off, a directory that cannot be read and requests with every defect
    m.queues(7, 7);
    m.break_reads(DDT, 0x1000, MemStatus::Access);
    let wide = request(0xff_ffff, Access::Write, 1 << 60);
    m.refuses_each(&[
        (wide, 256),
        (with_process(wide, 3, true), 256),
        (as_kind(wide, Kind::Translated), 256),
        (as_kind(request(DEV, Access::Read, PAGE), Kind::Ats), 256),
    ]);
}

fn flt_01_bare_and_width_come_before_the_directory(m: &mut Rig) {
    // Given Bare, Then the type of request is judged, and nothing else
    m.queues(7, 7);
    m.break_reads(DDT, 0x1000, MemStatus::Access);
    m.ddtp(1);
    m.refuses(
        as_kind(request(0xff_ffff, Access::Read, PAGE), Kind::Translated),
        260,
    );
    m.grants(request(0xff_ffff, Access::Read, PAGE), PAGE);
    // Given a directory that cannot be read, Then a wide device_id is 260 and a narrow one 257
    m.ddtp(0);
    m.ddtp(2);
    m.refuses(request(0x80, Access::Read, PAGE), 260);
    m.refuses(as_kind(request(0x80, Access::Read, PAGE), Kind::Ats), 260);
    m.refuses(request(0x7f, Access::Read, PAGE), 257);
}

fn flt_01_the_directory_comes_before_the_type_of_request(m: &mut Rig) {
    m.start();
    // Given contexts that are unreadable, poisoned, invalid and misconfigured
    m.break_reads(DDT, 32, MemStatus::Access);
    m.break_reads(DDT + 32, 32, MemStatus::Corrupt);
    m.dc(2, [0; 4]);
    m.dc(3, [TC_V | 2, 0, 0, 0]);
    for (did, cause) in (0..).zip([257, 268, 258, 259]) {
        // When requests come that would be refused by their type too, or by their address
        let r = request(did, Access::Read, 1 << 60);
        // Then the context is what is reported
        m.refuses_each(&[
            (r, cause),
            (with_process(r, 3, true), cause),
            (as_kind(r, Kind::Translated), cause),
            (as_kind(r, Kind::Ats), cause),
        ]);
    }
}

fn flt_01_the_type_of_request_comes_before_the_address(m: &mut Rig) {
    // Given a good context with Sv39 whose root table cannot be read
    m.start();
    let root = m.device_with_page();
    m.break_reads(root, 0x1000, MemStatus::Access);
    for iova in [PAGE, 1 << 40] {
        // When the type of request is wrong too, Then 260
        let r = request(DEV, Access::Write, iova);
        m.refuses_each(&[
            (with_process(r, 0, false), 260),
            (as_kind(r, Kind::Translated), 260),
        ]);
    }
}

fn flt_01_the_address_comes_before_the_page_table(m: &mut Rig) {
    // Given a root table that cannot be read, and one beyond PAS
    m.start();
    let root = m.device_with_page();
    m.break_reads(root, 0x1000, MemStatus::Access);
    m.dc(6, [TC_V, 0, 0, SV39 | ((m.last_page() >> 12) + 1)]);
    // Then an address that is not canonical is a page fault, another one an access fault
    m.refuses_each(&[
        (request(DEV, Access::Write, 1 << 40), 15),
        (request(DEV, Access::Write, PAGE), 7),
    ]);
    let answer = m.ask(request(6, Access::Write, 1 << 40));
    assert!(answer.fault);
    let cause = m.faults()[0].cause();
    assert!([15, 259].contains(&cause), "cause {cause} (259 by A-38)");
}

fn flt_01_an_entry_is_fetched_checked_and_only_then_followed(m: &mut Rig) {
    m.start();
    let root = m.device_with_page();
    let [l0, l1, l2] = [0, 1, 2].map(|l| m.pte(root, PAGE, l));
    let read = request(DEV, Access::Read, PAGE);
    // Given every entry bad in another way, Then the first on the way down counts
    m.break_reads(l0, 8, MemStatus::Corrupt);
    m.store(l1, 0);
    m.break_reads(l2, 8, MemStatus::Access);
    m.refuses(read, 5);
    m.break_reads(l2, 8, MemStatus::Corrupt);
    m.refuses(read, 274);
    m.break_reads(l2, 8, MemStatus::Ok);
    m.refuses(read, 13);
    m.store(l1, leaf(l0 & !0xfff, TABLE));
    m.refuses(read, 274);
    m.break_reads(l0, 8, MemStatus::Access);
    m.refuses(read, 5);
    m.break_reads(l0, 8, MemStatus::Ok);
    m.grants(read, FRAME);
    // And a bad pointer is a page fault though what it points to is out of reach
    m.invalidate(Cmd::VMA);
    m.store(l1, leaf(1 << 40, TABLE | pte::A));
    m.refuses(read, 13);
    m.store(l1, leaf(1 << 40, TABLE));
    m.refuses(read, 5);
}

/// One request for each cause that a directory and page tables without second stage can have, with the cause.
fn one_of_each(m: &mut Rig, dtf: u64) -> Vec<(Request, u64)> {
    let root = m.page();
    m.map(root, PAGE, FRAME, pte::V | pte::R | pte::U | pte::A, 0);
    m.store(root + 8 * 8, leaf(m.last_page() + 0x1000, TABLE));
    m.break_reads(root + 9 * 8, 8, MemStatus::Corrupt);
    m.dc(1, [TC_V | dtf, 0, 0, SV39 | (root >> 12)]);
    m.dc(2, [dtf, 0, 0, 0]);
    m.dc(3, [TC_V | dtf | 2, 0, 0, 0]);
    m.dc(4, [TC_V | dtf, 0, 0, 0]);
    m.break_reads(DDT + 4 * 32 + 24, 8, MemStatus::Access);
    m.dc(5, [TC_V | dtf, 0, 0, 0]);
    m.break_reads(DDT + 5 * 32 + 24, 8, MemStatus::Corrupt);
    let good = |access, iova| request(1, access, iova);
    vec![
        (good(Access::Exec, 8 << 30), 1),
        (good(Access::Read, 8 << 30), 5),
        (good(Access::Write, 8 << 30), 7),
        (good(Access::Exec, PAGE), 12),
        (good(Access::Read, PAGE + 0x1000), 13),
        (good(Access::Write, PAGE), 15),
        (good(Access::Read, 9 << 30), 274),
        (as_kind(good(Access::Read, PAGE), Kind::Translated), 260),
        (request(4, Access::Read, PAGE), 257),
        (request(2, Access::Read, PAGE), 258),
        (request(3, Access::Read, PAGE), 259),
        (request(5, Access::Read, PAGE), 268),
    ]
}

fn flt_02_every_cause_is_one_of_those_that_apply(m: &mut Rig) {
    m.start();
    let cases = one_of_each(m, 0);
    // When requests of every defect come, Then each cause has its value
    m.refuses_each(&cases);
    m.ddtp(0);
    m.refuses(request(1, Access::Read, PAGE), 256);
    // And whatever else comes has one of these causes
    m.ddtp(2);
    let mut x = 1u64;
    let mut requests = vec![];
    for _ in 0..150 {
        x = x
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        let r = request(
            (x >> 40) as u32 & 0xff,
            ACCESSES[(x >> 20) as usize % 3],
            x >> (x & 0x1f),
        );
        requests.push(as_kind(r, KINDS[(x >> 30) as usize % 3]));
    }
    m.dut.translate(&requests);
    let allowed = [1, 5, 7, 12, 13, 15, 257, 258, 259, 260, 268, 274];
    let records = m.faults();
    assert!(records.len() > 50);
    for record in records {
        assert!(allowed.contains(&record.cause()), "{record:x?}");
    }
}

/// The causes that DTF does not touch.
const KEPT: [u64; 4] = [257, 258, 259, 268];

fn flt_03_dtf_drops_the_causes_that_it_should(m: &mut Rig) {
    m.start();
    let silent: Vec<_> = one_of_each(m, TC_DTF)
        .into_iter()
        .filter(|c| !KEPT.contains(&c.1))
        .collect();
    assert_eq!(silent.len(), 8);
    // When a device with DTF does what is refused, cold and cached
    for _ in 0..2 {
        let requests: Vec<_> = silent.iter().map(|c| c.0).collect();
        // Then it gets its errors, and there is no record
        assert!(m.dut.translate(&requests).iter().all(|a| a.fault));
        m.no_faults();
        assert_eq!(m.dut.writes(Purpose::Fault), 0);
    }
    m.grants(request(1, Access::Read, PAGE), FRAME);
}

fn flt_03_dtf_keeps_the_others(m: &mut Rig) {
    m.start();
    let loud: Vec<_> = one_of_each(m, TC_DTF)
        .into_iter()
        .filter(|c| KEPT.contains(&c.1))
        .collect();
    // When a context with DTF cannot be used, Then it is recorded; and 256 is too
    m.refuses_each(&loud);
    m.ddtp(0);
    m.refuses(request(1, Access::Read, PAGE), 256);
}

fn flt_04_dtf_of_a_context_that_is_not_valid_counts_as_0(m: &mut Rig) {
    m.start();
    // Given contexts with DTF=1: V=0, misconfigured, unreadable behind tc
    m.dc(0, [TC_DTF, 0, 0, 0]);
    m.dc(1, [TC_V | TC_DTF, 0, 1, 0]);
    m.dc(2, [TC_V | TC_DTF, 0, 0, 0]);
    m.break_reads(DDT + 2 * 32 + 8, 8, MemStatus::Access);
    // Then their faults are recorded, and so is a device_id that is too wide over a context with DTF
    m.dc(3, [TC_V | TC_DTF, 0, 0, 0]);
    m.refuses_each(&[
        (request(0, Access::Read, PAGE), 258),
        (request(1, Access::Read, PAGE), 259),
        (request(2, Access::Read, PAGE), 257),
        (request(0x83, Access::Read, PAGE), 260),
    ]);
    // And the DTF of one device means nothing for the next
    m.grants(request(3, Access::Read, PAGE), PAGE);
    m.refuses(request(4, Access::Read, PAGE), 258);
}

fn flt_05_access_faults_by_access_kind(m: &mut Rig) {
    m.start();
    let root = m.device_with_page();
    m.break_reads(root, 0x1000, MemStatus::Access);
    m.refuses(request(DEV, Access::Exec, PAGE), 1);
    m.refuses(request(DEV, Access::Read, PAGE), 5);
    m.refuses(request(DEV, Access::Write, PAGE), 7);
}

fn flt_06_poisoned_data_has_causes_of_its_own(m: &mut Rig) {
    // Given a bus that tells poison from refusal
    m.start();
    let root = m.device_with_page();
    m.break_reads(root, 0x1000, MemStatus::Corrupt);
    m.break_reads(DDT + 6 * 32, 32, MemStatus::Corrupt);
    // Then a poisoned context is 268 and a poisoned PTE 274, for every access
    for access in ACCESSES {
        m.refuses(request(6, access, PAGE), 268);
        m.refuses(request(DEV, access, PAGE), 274);
    }
}

fn flt_07_every_field_of_a_record_stands_where_it_should(m: &mut Rig) {
    // Given a queue in memory full of ones
    for i in 0..8 {
        m.store(FQ + 8 * i, u64::MAX);
    }
    m.queues(7, 7);
    // When a request with a process_id is refused
    let mut r = request(0xab_cdef, Access::Write, 0x0123_4567_89ab_c000);
    r.process_id = Some(0x9_8765);
    r.privileged = true;
    assert!(m.ask(r).fault);
    m.dut.settle();
    // Then the record is: CAUSE 11:0, PID 31:12, PV 32, PRIV 33, TTYP 39:34, DID 63:40; reserved; iotval; iotval2
    let [dw0, dw1, dw2, dw3] = m.record(0).dw;
    assert_eq!(dw0 & 0xfff, 256);
    assert_eq!((dw0 >> 12) & 0xf_ffff, 0x9_8765);
    assert_eq!((dw0 >> 32) & 1, 1);
    assert_eq!((dw0 >> 33) & 1, 1);
    assert_eq!((dw0 >> 34) & 0x3f, 3);
    assert_eq!(dw0 >> 40, 0xab_cdef);
    assert_eq!(dw1 >> 32, 0);
    assert_eq!(dw2 & !0xfff, 0x0123_4567_89ab_c000);
    assert_eq!(dw3, 0);
    assert_eq!(m.load(FQ + 32), u64::MAX, "32 bytes and no more");
}

fn flt_07_device_and_process_ids_arrive_whole(m: &mut Rig) {
    m.queues(7, 7);
    // When ids with each single bit are refused, Then the records name them
    let dids = (0..24).map(|bit| {
        (
            with_process(request(1 << bit, Access::Read, PAGE), 0, false),
            256,
        )
    });
    m.refuses_each(&dids.collect::<Vec<_>>());
    let pids = (0..20).map(|bit| {
        (
            with_process(request(DEV, Access::Read, PAGE), 1 << bit, false),
            256,
        )
    });
    m.refuses_each(&pids.collect::<Vec<_>>());
}

fn flt_08_without_process_id_pid_and_priv_are_0(m: &mut Rig) {
    m.queues(7, 7);
    for (privileged, process_id, want) in [
        (false, None, 0),
        (true, None, 0),
        (false, Some(0x5_5555), 0x5_5555 | (1 << 20)),
        (true, Some(0xa_aaaa), 0xa_aaaa | (1 << 20) | (1 << 21)),
        (true, Some(0), (1 << 20) | (1 << 21)),
    ] {
        // When a request is refused, Then PID, PV and PRIV are as it had them, and 0 without a process_id
        let mut r = request(DEV, Access::Read, PAGE);
        (r.privileged, r.process_id) = (privileged, process_id);
        assert!(m.ask(r).fault);
        let records = m.faults();
        assert_eq!(records.len(), 1);
        assert_eq!((records[0].dw[0] >> 12) & 0x3f_ffff, want, "{r:x?}");
    }
}

fn flt_09_ttyp_names_kind_and_access(m: &mut Rig) {
    m.queues(7, 7);
    for (kind, access, ttyp) in [
        (Kind::Untranslated, Access::Exec, 1),
        (Kind::Untranslated, Access::Read, 2),
        (Kind::Untranslated, Access::Write, 3),
        (Kind::Translated, Access::Exec, 5),
        (Kind::Translated, Access::Read, 6),
        (Kind::Translated, Access::Write, 7),
        (Kind::Ats, Access::Read, 8),
    ] {
        for (mode, cause) in [(0, 256), (2, 258)] {
            m.ddtp(mode);
            assert!(m.ask(as_kind(request(DEV, access, PAGE), kind)).fault);
            let records = m.faults();
            assert_eq!(records.len(), 1);
            assert_eq!(
                (records[0].ttyp(), records[0].cause()),
                (ttyp, cause),
                "{kind:?} {access:?}"
            );
            m.ddtp(0);
        }
    }
}

fn flt_10_no_record_without_a_transaction_is_made_here(m: &mut Rig) {
    // Given a machine without messages, whose own accesses go wrong: commands, fences, records
    m.start();
    m.break_reads(CQ + 16, 16, MemStatus::Access);
    m.break_writes(SCRATCH, 8, MemStatus::Access);
    m.push(Cmd::FENCE.store(SCRATCH, 1));
    m.ring();
    m.dut.settle();
    m.put(0, Cmd::VMA);
    m.push(Cmd::VMA);
    m.write32(reg::CQCSR, csr::EN | csr::MF);
    m.ring();
    m.dut.settle();
    assert_eq!(m.read32(reg::CQCSR) & csr::MF, csr::MF);
    // Then none of that makes a record (TTYP 0 is left to cause 273, a message that cannot be written)
    m.no_faults();
    // And the records of requests have another TTYP
    let cases = one_of_each(m, 0);
    m.dut
        .translate(&cases.iter().map(|c| c.0).collect::<Vec<_>>());
    let records = m.faults();
    assert_eq!(records.len(), cases.len());
    assert!(
        records.iter().all(|r| r.ttyp() != 0 && r.did() != 0),
        "{records:x?}"
    );
}

fn flt_11_iotval_is_the_iova(m: &mut Rig) {
    m.queues(7, 7);
    // When addresses with each single bit are refused
    let cases: Vec<_> = (12..64)
        .map(|bit| (request(DEV, Access::Read, 1 << bit), 256))
        .collect();
    m.refuses_each(&cases);
    // ... and one with an offset
    assert!(
        m.ask(request(DEV, Access::Read, 0x1234_5678_9abc_def5))
            .fault
    );
    let records = m.faults();
    // Then the record names the page; the offset may be 0
    assert!(
        [0x1234_5678_9abc_def5, 0x1234_5678_9abc_d000].contains(&records[0].dw[2]),
        "{records:x?}"
    );
}

fn flt_12_iotval2_is_0_without_a_second_stage(m: &mut Rig) {
    m.start();
    let cases = one_of_each(m, 0);
    // Given a queue in memory full of ones
    for i in 0..cases.len() as u64 {
        m.store(FQ + 32 * i + 24, u64::MAX);
    }
    // When requests of every defect come, Then iotval2 is 0 in each record
    m.dut
        .translate(&cases.iter().map(|c| c.0).collect::<Vec<_>>());
    let records = m.faults();
    assert_eq!(records.len(), cases.len());
    assert!(records.iter().all(|r| r.dw[3] == 0), "{records:x?}");
}

fn flt_14_an_error_is_answered_recorded_or_not(m: &mut Rig) {
    m.start();
    for dtf in [0, TC_DTF] {
        let cases = one_of_each(m, dtf);
        m.invalidate(Cmd::INVAL_DDT);
        m.invalidate(Cmd::VMA);
        // When every kind of fault happens, with and without DTF, Then each request gets an error
        let answers = m
            .dut
            .translate(&cases.iter().map(|c| c.0).collect::<Vec<_>>());
        assert!(answers.iter().all(|a| a.fault && a.pa == 0));
        // And as many are recorded as DTF allows
        let kept = cases
            .iter()
            .filter(|c| dtf == 0 || KEPT.contains(&c.1))
            .count();
        assert_eq!(m.faults().len(), kept);
        m.grants(request(1, Access::Read, PAGE), FRAME);
    }
}
