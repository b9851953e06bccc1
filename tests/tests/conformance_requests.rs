//! Request types and the flow of a translation (TRN, S2-24).

use portcullis_sim::core::{Access, Kind, Purpose};
use portcullis_tests::conformance::*;
use portcullis_tests::*;

conformance!(
    trn_01_every_kind_and_access_of_request_is_answered,
    trn_02_privilege_needs_a_process_id,
    trn_02_privilege_without_process_id_opens_no_supervisor_page,
    trn_03_off_refuses_every_request_with_256,
    trn_04_bare_passes_untranslated_requests_without_memory_access,
    trn_05_bare_refuses_translated_and_ats_requests,
    trn_06_translated_and_ats_requests_need_en_ats,
    trn_07_a_process_id_needs_pdtv,
    trn_09_an_unsupported_transaction_type_is_260,
    trn_09_an_unsupported_type_is_260_on_a_cached_page_too,
    trn_12_without_pdtv_the_context_names_table_and_pscid,
    trn_15_a_bare_process_directory_asks_for_nothing,
    trn_17_a_fault_of_the_first_stage_ends_the_process,
    trn_19_two_bare_stages_are_the_identity,
    trn_20_the_answer_has_the_size_of_the_page,
    trn_20_the_offset_in_the_page_is_that_of_the_iova,
    trn_21_a_fault_is_an_error_though_nothing_is_recorded,
    trn_21_a_fault_is_an_error_with_a_full_or_broken_queue,
    s2_24_a_bare_second_stage_is_the_identity_with_all_permissions,
);

/// Every kind and access, with and without process_id.
fn every_request(did: u32, iova: u64) -> Vec<portcullis_sim::core::Request> {
    let mut out = vec![];
    for kind in KINDS {
        for access in ACCESSES {
            let r = as_kind(request(did, access, iova), kind);
            out.push(r);
            out.push(with_process(r, 0x1_2345, false));
            out.push(with_process(r, 0xf_ffff, true));
        }
    }
    out
}

fn trn_01_every_kind_and_access_of_request_is_answered(m: &mut Rig) {
    // Given a device with a mapped page
    m.start();
    m.device_with_page();
    let all = every_request(DEV, PAGE);
    // When every kind of request comes at once
    let answers = m.dut.translate(&all);
    // Then plain untranslated reads, writes and executes pass, and everything that needs ATS or PDTV is refused
    for (r, answer) in all.iter().zip(answers) {
        let passes = r.kind == Kind::Untranslated && r.process_id.is_none();
        assert_eq!(answer.fault, !passes, "{r:x?}");
        assert_eq!(answer.pa, if passes { FRAME } else { 0 }, "{r:x?}");
    }
    assert_eq!(m.faults().len(), all.len() - 3);
}

fn trn_02_privilege_needs_a_process_id(m: &mut Rig) {
    // Given a device without PDTV, whose requests with a process_id are refused
    m.start();
    m.device_with_page();
    for access in ACCESSES {
        let r = request(DEV, access, PAGE);
        // Then the record says supervisor exactly if privilege and a process_id came together
        m.refuses(with_process(r, 7, true), 260);
        m.refuses(with_process(r, 7, false), 260);
        let mut bare = request(DEV, access, PAGE + 0x1000);
        bare.privileged = true;
        let plain = request(DEV, access, PAGE + 0x1000);
        assert!(m.ask(bare).fault);
        let records = m.faults();
        assert_eq!(records.len(), 1);
        assert_eq!(comparable(records[0]), record_of(plain, page_fault(access)));
    }
}

fn trn_02_privilege_without_process_id_opens_no_supervisor_page(m: &mut Rig) {
    // Given a supervisor page (U=0) and a user page
    m.start();
    let root = m.device_with_page();
    m.map(root, PAGE + 0x1000, FRAME, RWX & !pte::U, 0);
    for access in ACCESSES {
        // When a request without process_id asks for privilege, Then it is a user request all the same
        for privileged in [false, true] {
            let mut r = request(DEV, access, PAGE + 0x1000);
            r.privileged = privileged;
            m.refuses(r, page_fault(access));
            r.iova = PAGE;
            m.grants(r, FRAME);
        }
    }
}

fn trn_03_off_refuses_every_request_with_256(m: &mut Rig) {
    // Given a good directory and queues, but ddtp Off
    m.queues(7, 7);
    m.device_with_page();
    // Then every kind of request is refused with 256, whatever its device_id
    for did in [DEV, 0, 0xff_ffff] {
        let cases: Vec<_> = every_request(did, PAGE)
            .into_iter()
            .map(|r| (r, 256))
            .collect();
        m.refuses_each(&cases);
    }
    assert_eq!(m.dut.reads(Purpose::Ddt) + m.dut.reads(Purpose::Pte), 0);
}

fn trn_04_bare_passes_untranslated_requests_without_memory_access(m: &mut Rig) {
    // Given a directory with nothing valid in it, and ddtp Bare
    m.queues(7, 7);
    m.ddtp(1);
    for did in [0, DEV, 0x80, 0xff_ffff] {
        for iova in [
            0,
            0xfff,
            PAGE + 5,
            0xffff_ffff,
            0x0080_1234_5678_9abc,
            1 << 55,
        ] {
            // Then any device reaches the address it names, with every access
            let cases = ACCESSES.map(|access| (request(did, access, iova), iova));
            m.grants_each(&cases);
            let with: Vec<_> = cases
                .iter()
                .map(|(r, pa)| (with_process(*r, 5, true), *pa))
                .collect();
            m.grants_each(&with);
        }
    }
    // And nothing has been read
    assert_eq!(m.dut.reads(Purpose::Ddt) + m.dut.reads(Purpose::Pte), 0);
    m.no_faults();
}

fn trn_05_bare_refuses_translated_and_ats_requests(m: &mut Rig) {
    m.queues(7, 7);
    m.device_with_page();
    m.ddtp(1);
    for did in [DEV, 0, 0xff_ffff] {
        let wrong = every_request(did, PAGE)
            .into_iter()
            .filter(|r| r.kind != Kind::Untranslated);
        let cases: Vec<_> = wrong.map(|r| (r, 260)).collect();
        m.refuses_each(&cases);
        m.grants(request(did, Access::Read, PAGE), PAGE);
    }
}

fn trn_06_translated_and_ats_requests_need_en_ats(m: &mut Rig) {
    // Given contexts of every kind that is legal here; none can have EN_ATS
    m.start();
    let root = m.device_with_page();
    m.dc(1, [TC_V, 0, 0, 0]);
    m.dc(2, [TC_V | TC_PDTV, 0, 0, 0]);
    m.dc(3, [TC_V, 0, 0, SV39 | (root >> 12)]);
    for did in [1, 2, 3, DEV] {
        // Then translated and ATS requests are refused, cold and once the context is cached
        for _ in 0..2 {
            let wrong = every_request(did, PAGE)
                .into_iter()
                .filter(|r| r.kind != Kind::Untranslated);
            let cases: Vec<_> = wrong.map(|r| (r, 260)).collect();
            m.refuses_each(&cases);
            assert!(m.read(did, PAGE).is_some());
        }
    }
}

fn trn_07_a_process_id_needs_pdtv(m: &mut Rig) {
    // Given contexts without PDTV, Bare and Sv39, and one with PDTV
    m.start();
    m.device_with_page();
    m.dc(1, [TC_V, 0, 0, 0]);
    m.dc(2, [TC_V | TC_PDTV, 0, 0, 0]);
    for did in [1, DEV] {
        for _ in 0..2 {
            // Then a process_id is refused, be it 0 or not, cold or cached
            let mut cases = vec![];
            for access in ACCESSES {
                for pid in [0, 1, 0xf_ffff] {
                    cases.push((with_process(request(did, access, PAGE), pid, pid == 1), 260));
                }
            }
            m.refuses_each(&cases);
            assert!(m.read(did, PAGE).is_some());
        }
    }
    m.grants(with_process(request(2, Access::Read, PAGE), 1, true), PAGE);
}

fn trn_09_an_unsupported_transaction_type_is_260(m: &mut Rig) {
    // Given a device whose every access would be allowed, of a machine that supports untranslated requests only
    m.start();
    m.dc(DEV, [TC_V, 0, 0, 0]);
    m.grants(request(DEV, Access::Read, PAGE), PAGE);
    // When it sends the other types, Then each is refused with 260
    for kind in [Kind::Translated, Kind::Ats] {
        let cases = ACCESSES.map(|access| (as_kind(request(DEV, access, PAGE), kind), 260));
        m.refuses_each(&cases);
    }
}

fn trn_09_an_unsupported_type_is_260_on_a_cached_page_too(m: &mut Rig) {
    // Given a page that is cached with all permissions
    m.start();
    m.device_with_page();
    m.grants(request(DEV, Access::Write, PAGE), FRAME);
    for kind in [Kind::Translated, Kind::Ats] {
        for access in ACCESSES {
            // When the other types name it between hits, Then they are refused all the same
            m.refuses(as_kind(request(DEV, access, PAGE), kind), 260);
            m.grants(request(DEV, access, PAGE), FRAME);
        }
    }
}

fn trn_12_without_pdtv_the_context_names_table_and_pscid(m: &mut Rig) {
    // Given a device without PDTV
    m.start();
    let root = m.device_with_page();
    // Then its requests are translated by the table in fsc
    m.grants(request(DEV, Access::Read, PAGE + 0xabc), FRAME + 0xabc);
    // ... under the PSCID in ta
    m.map(root, PAGE, OTHER, RWX, 0);
    m.invalidate(Cmd::VMA.pscid(PSCID).at(PAGE));
    m.grants(request(DEV, Access::Read, PAGE), OTHER);
    // ... with user privilege
    m.map(root, PAGE + 0x1000, FRAME, RWX & !pte::U, 0);
    m.refuses(request(DEV, Access::Read, PAGE + 0x1000), 13);
}

fn trn_15_a_bare_process_directory_asks_for_nothing(m: &mut Rig) {
    // Given PDTV with pdtp Bare, with and without DPE
    m.start();
    m.dc(1, [TC_V | TC_PDTV, 0, 0, 0]);
    m.dc(2, [TC_V | TC_PDTV | (1 << 9), 0, 0, 0]);
    for did in [1, 2] {
        for iova in [PAGE, 0x1234_5678_9abc] {
            // Then any process_id, any privilege and none pass untranslated
            let passes = every_request(did, iova)
                .into_iter()
                .filter(|r| r.kind == Kind::Untranslated);
            let cases: Vec<_> = passes.map(|r| (r, iova)).collect();
            m.grants_each(&cases);
        }
    }
    // And no page table is read
    assert_eq!(m.dut.reads(Purpose::Pte), 0);
    m.no_faults();
}

fn trn_17_a_fault_of_the_first_stage_ends_the_process(m: &mut Rig) {
    // Given a table in which the root entry of one gigabyte is invalid
    m.start();
    let root = m.device_with_page();
    let before = m.dut.reads(Purpose::Pte);
    // When an address in it is read
    m.refuses(request(DEV, Access::Read, 0xc000_0000), 13);
    // Then one entry has been read and nothing more, and the record has no guest address
    assert_eq!(m.dut.reads(Purpose::Pte) - before, 1);
    // And the first fault on the way down is the one reported
    let slot = m.pte(root, 0x8020_0000, 1);
    m.store(slot, leaf(m.last_page() + 0x1000, TABLE));
    m.refuses(request(DEV, Access::Read, 0x8020_0000), 5);
    m.store(slot, leaf(m.last_page() + 0x1000, TABLE | pte::U));
    m.refuses(request(DEV, Access::Read, 0x8020_0000), 13);
}

fn trn_19_two_bare_stages_are_the_identity(m: &mut Rig) {
    // Given a context with both stages Bare
    m.start();
    m.dc(DEV, [TC_V, 0, 0xf_ffff << 12, 0xfff_ffff_ffff]);
    for iova in [
        0,
        0xfff,
        PAGE + 0x123,
        0xffff_ffff,
        0x8000_0000_0000,
        0x00ff_ffff_ffff_ffff,
    ] {
        // Then every access reaches the address it names
        m.grants_each(&ACCESSES.map(|access| (request(DEV, access, iova), iova)));
    }
    m.no_faults();
}

fn trn_20_the_answer_has_the_size_of_the_page(m: &mut Rig) {
    // Given a page of each size
    m.start();
    let root = m.device_with_page();
    m.map(root, 0x20_0000, 0x8020_0000, RWX, 1);
    m.map(root, 0x8000_0000, 0xc000_0000, RWX, 2);
    for i in 0..16 {
        m.map(root, 0x4001_0000 + i * 0x1000, 0x8004_8000, RWX | pte::N, 0);
    }
    // Then the answer names its size, on the walk and on the hit; less is allowed, more is not
    for _ in 0..2 {
        for (iova, pa, shift) in [
            (PAGE, FRAME, 12),
            (0x20_3456, 0x8020_3456, 21),
            (0x8765_4321, 0xc765_4321, 30),
            (0x4001_9876, 0x8004_9876, 16),
        ] {
            let answer = m.ask(request(DEV, Access::Read, iova));
            assert!(!answer.fault && answer.pa == pa, "{answer:x?}");
            assert!((12..=shift).contains(&answer.page_shift), "{answer:x?}");
            assert_eq!(answer.page_shift, shift, "this machine hides no size");
        }
    }
}

fn trn_20_the_offset_in_the_page_is_that_of_the_iova(m: &mut Rig) {
    // Given pages of 4 KiB, 2 MiB and 1 GiB
    m.start();
    let root = m.device_with_page();
    m.map(root, 0x20_0000, 0x8020_0000, RWX, 1);
    m.map(root, 0x8000_0000, 0xc000_0000, RWX, 2);
    for (iova, pa, bits) in [
        (PAGE, FRAME, 12),
        (0x20_0000, 0x8020_0000, 21),
        (0x8000_0000, 0xc000_0000, 30),
    ] {
        // Then each bit of the offset arrives
        let cases: Vec<_> = (0..bits)
            .map(|bit| {
                (
                    request(DEV, Access::Read, iova + (1 << bit)),
                    pa + (1 << bit),
                )
            })
            .collect();
        m.grants_each(&cases);
        m.grants(
            request(DEV, Access::Read, iova + (1 << bits) - 1),
            pa + (1 << bits) - 1,
        );
    }
    m.no_faults();
}

/// Requests that fail in every stage of the process: 258, 259, 260, 13, 15, 12, 5.
fn failing(m: &mut Rig, dtf: u64) -> Vec<portcullis_sim::core::Request> {
    let root = m.page();
    m.map(root, PAGE, FRAME, pte::V | pte::R | pte::U | pte::A, 0);
    m.store(root + 8 * 8, leaf(0x1_0000_0000, TABLE));
    m.dc(1, [TC_V | dtf, 0, 0, SV39 | (root >> 12)]);
    m.dc(2, [TC_V | dtf | 2, 0, 0, 0]);
    vec![
        request(3, Access::Read, PAGE),
        request(2, Access::Read, PAGE),
        request(0x80, Access::Read, PAGE),
        as_kind(request(1, Access::Read, PAGE), Kind::Translated),
        request(1, Access::Read, PAGE + 0x1000),
        request(1, Access::Write, PAGE),
        request(1, Access::Exec, PAGE),
        request(1, Access::Read, 8 << 30),
        request(1, Access::Read, 1 << 40),
    ]
}

fn trn_21_a_fault_is_an_error_though_nothing_is_recorded(m: &mut Rig) {
    // Given a machine whose fault queue is off
    m.command_queue_at(CQ, 7);
    m.ddtp(2);
    let wrong = failing(m, 0);
    // When requests of every defect come, Then each gets an error
    for _ in 0..2 {
        assert!(m.dut.translate(&wrong).iter().all(|a| a.fault && a.pa == 0));
    }
    // And good ones between them pass
    m.grants(request(1, Access::Read, PAGE), FRAME);
    // Given DTF, Then each still gets an error
    m.fault_queue_at(FQ, 7);
    let wrong = failing(m, TC_DTF);
    m.invalidate(Cmd::INVAL_DDT);
    m.invalidate(Cmd::VMA);
    assert!(m.dut.translate(&wrong).iter().all(|a| a.fault));
    m.grants(request(1, Access::Read, PAGE), FRAME);
}

fn trn_21_a_fault_is_an_error_with_a_full_or_broken_queue(m: &mut Rig) {
    // Given a fault queue for one record
    m.queues(7, 0);
    m.ddtp(2);
    let wrong = failing(m, 0);
    // When far more faults come, Then each gets an error
    for _ in 0..3 {
        assert!(m.dut.translate(&wrong).iter().all(|a| a.fault));
    }
    assert_eq!(m.read32(reg::FQCSR) & csr::FQOF, csr::FQOF);
    m.grants(request(1, Access::Read, PAGE), FRAME);
    // Given one whose memory refuses writes, Then likewise
    m.write32(reg::FQCSR, 0);
    m.wait(reg::FQCSR, csr::ON | csr::BUSY, 0);
    m.break_writes(FQ, 0x2000, portcullis_sim::core::MemStatus::Access);
    m.fault_queue_at(FQ, 7);
    for _ in 0..3 {
        assert!(m.dut.translate(&wrong).iter().all(|a| a.fault));
    }
    m.dut.settle();
    assert_eq!(m.read32(reg::FQCSR) & csr::MF, csr::MF);
    m.grants(request(1, Access::Read, PAGE), FRAME);
}

fn s2_24_a_bare_second_stage_is_the_identity_with_all_permissions(m: &mut Rig) {
    // Given pages that lead to addresses wider than any second stage
    m.start();
    let root = m.device_with_page();
    for (i, pa) in (1..).zip([1 << 40, 1 << 41, 1 << 50, 0x00ff_ffff_ffff_f000]) {
        m.map(root, PAGE + i * 0x1000, pa, RWX, 0);
        // Then every access that the first stage allows passes, to what it names
        let r = |access| request(DEV, access, PAGE + i * 0x1000 + 0x678);
        m.grants_each(&ACCESSES.map(|access| (r(access), pa + 0x678)));
    }
    m.no_faults();
}
