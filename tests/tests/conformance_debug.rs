//! The debug translation interface (DBG-01 to DBG-07).

use portcullis_sim::core::{Access, MemStatus, Request};
use portcullis_tests::conformance::*;
use portcullis_tests::*;

conformance!(
    ; linux:
    dbg_01_tr_req_iova_keeps_63_to_12,
    dbg_02_the_fields_of_tr_req_ctl_stand_where_they_should,
    dbg_03_nw_and_exe_choose_the_access,
    dbg_03_device_and_process_are_those_asked_for,
    dbg_03_priv_is_ignored_without_a_process_id,
    dbg_04_busy_ends_granted_or_refused,
    dbg_05_the_response_shows_fault_or_page,
    dbg_05_the_response_ignores_writes,
    dbg_06_the_size_covers_what_is_mapped_and_no_more,
    dbg_07_faults_are_recorded_as_of_an_untranslated_request,
    dbg_07_dtf_silences_them_too,
);

const IOVA: u16 = 600;
const CTL: u16 = 608;
const RESPONSE: u16 = 616;

const GO: u64 = 1;
const PRIV: u64 = 1 << 1;
const EXE: u64 = 1 << 2;
const NW: u64 = 1 << 3;

/// tr_req_ctl for an access: read, write (with read) or execute.
fn ctl(access: Access) -> u64 {
    GO | match access {
        Access::Read => NW,
        Access::Write => 0,
        Access::Exec => NW | EXE,
    }
}

/// A debug translation; what it answers.
#[track_caller]
fn debug(m: &mut Rig, did: u32, iova: u64, bits: u64) -> u64 {
    m.write64(IOVA, iova);
    m.write64(CTL, bits | (u64::from(did) << 40));
    m.wait(CTL, GO, 0);
    m.read64(RESPONSE)
}

/// Where a debug translation leads: the page around the address, by PPN and S, and its size; `None` for a fault.
#[track_caller]
fn leads(m: &mut Rig, did: u32, iova: u64, bits: u64) -> Option<(u64, u64)> {
    let response = debug(m, did, iova, bits);
    if response & 1 == 1 {
        return None;
    }
    assert_eq!(
        response & !0x003f_ffff_ffff_ff81,
        0,
        "reserved bits: {response:#x}"
    );
    assert_eq!(response >> 7 & 3, 0, "PBMT: {response:#x}");
    let ppn = response >> 10;
    let size = if response >> 9 & 1 == 1 {
        0x2000 << ppn.trailing_ones()
    } else {
        0x1000
    };
    Some(((ppn << 12) & !(size - 1), size))
}

fn dbg_01_tr_req_iova_keeps_63_to_12(m: &mut Rig) {
    for bit in 0..64 {
        m.write64(IOVA, 1 << bit);
        assert_eq!(m.read64(IOVA), (1 << bit) & !0xfff);
    }
    m.write32(IOVA, 0x8765_4321);
    m.write32(IOVA + 4, 0xfedc_ba98);
    assert_eq!(m.read64(IOVA), 0xfedc_ba98_8765_4000);
    // And every bit of it counts: a page for each bit of Sv57
    m.start();
    let root = m.sv(DEV, PSCID, 5);
    for bit in 12u32..56 {
        let slot = m.pte_in(5, root, 1 << bit, 0);
        m.store(slot, leaf(FRAME + u64::from(bit) * 0x1000, RWX));
        let (pa, _) = leads(m, DEV, 1 << bit, GO | NW).expect("a page");
        assert_eq!(pa, FRAME + u64::from(bit) * 0x1000);
    }
    for bit in 56u32..64 {
        assert_eq!(leads(m, DEV, 1 << bit, GO | NW), None);
    }
}

fn dbg_02_the_fields_of_tr_req_ctl_stand_where_they_should(m: &mut Rig) {
    // Given Priv 1, Exe 2, NW 3, PID 31:12, PV 32, DID 63:40: those are kept, the reserved bits read 0
    for bit in 1..64 {
        let reserved = (4..12).contains(&bit) || (33..40).contains(&bit);
        m.write64(CTL, 1 << bit);
        let want = if reserved { 0 } else { 1 << bit };
        assert_eq!(m.read64(CTL), want, "bit {bit}");
    }
    // ... by halves too; Go is the last
    m.start();
    m.dc(0x55, [TC_V, 0, 0, 0]);
    m.write64(IOVA, PAGE);
    m.write32(CTL + 4, 0x0000_5500);
    m.write32(CTL, GO | NW);
    m.wait(CTL, GO, 0);
    assert_eq!(m.read64(RESPONSE), PAGE >> 12 << 10);
}

fn dbg_03_nw_and_exe_choose_the_access(m: &mut Rig) {
    // Given pages with every legal set of permissions
    m.start();
    let root = m.sv39(DEV, PSCID);
    let sets = [
        pte::R,
        pte::X,
        pte::R | pte::W,
        pte::R | pte::X,
        pte::R | pte::W | pte::X,
    ];
    for (i, set) in (0..).zip(sets) {
        let flags = pte::V | pte::U | pte::A | pte::D | set;
        m.map(root, PAGE + i * 0x1000, FRAME + i * 0x1000, flags, 0);
        for access in ACCESSES {
            // When it asks for one of them, Then it passes where it should; a write asks for read and write
            let needs = match access {
                Access::Read => pte::R,
                Access::Write => pte::R | pte::W,
                Access::Exec => pte::X,
            };
            let passes = leads(m, DEV, PAGE + i * 0x1000, ctl(access)).is_some();
            assert_eq!(passes, set & needs == needs, "{access:?} of {set:#x}");
        }
    }
    // And a device is answered by the same table
    m.grants(request(DEV, Access::Read, PAGE), FRAME);
}

fn dbg_03_device_and_process_are_those_asked_for(m: &mut Rig) {
    m.queues(7, 7);
    m.ddtp(4);
    // Given a device whose id uses all levels, with a page table, and one that passes with a process_id only
    let table = m.page();
    m.map(table, PAGE, FRAME, RWX, 0);
    let at = m.context_in(DDT, 3, 0xab_cdef);
    m.dc_at(at, [TC_V, 0, 9 << 12, SV39 | (table >> 12)]);
    let at = m.context_in(DDT, 3, 0x54_3210);
    m.dc_at(at, [TC_V | TC_PDTV, 0, 0, 0]);
    let pid = |pid: u64| (1 << 32) | (pid << 12);
    // Then each is treated as it asks
    assert_eq!(leads(m, 0xab_cdef, PAGE, GO | NW).map(|l| l.0), Some(FRAME));
    assert_eq!(leads(m, 0xab_cdef, PAGE, GO | NW | pid(3)), None);
    assert!(leads(m, 0x54_3210, PAGE, GO | NW | pid(0xf_ffff)).is_some());
    assert_eq!(leads(m, 0xab_cdee, PAGE, GO | NW), None);
    let causes: Vec<_> = m.faults().iter().map(|r| r.cause()).collect();
    assert_eq!(causes, [260, 258]);
}

fn dbg_03_priv_is_ignored_without_a_process_id(m: &mut Rig) {
    m.start();
    let root = m.device_with_page();
    m.map(root, PAGE + 0x1000, OTHER, RWX & !pte::U, 0);
    // Given a user page and a supervisor page, Then Priv makes no difference
    assert!(leads(m, DEV, PAGE, GO | NW | PRIV).is_some());
    assert_eq!(leads(m, DEV, PAGE + 0x1000, GO | NW | PRIV), None);
    // And the record says that it was an ordinary request
    let records = m.faults();
    assert_eq!(records.len(), 1);
    let want = record_of(request(DEV, Access::Read, PAGE + 0x1000), 13);
    assert_eq!(comparable(records[0]), want);
}

fn dbg_04_busy_ends_granted_or_refused(m: &mut Rig) {
    m.queues(7, 7);
    // Given any mode and any outcome, Then Busy ends, and the interface is ready again
    for (mode, passes) in [(0, false), (1, true), (2, true), (0, false)] {
        if mode == 2 {
            m.ddtp(0);
            m.device_with_page();
        }
        m.ddtp(mode);
        for _ in 0..3 {
            assert_eq!(
                leads(m, DEV, PAGE, GO | NW).is_some(),
                passes,
                "mode {mode}"
            );
            assert_eq!(m.read64(CTL), NW | (u64::from(DEV) << 40));
        }
    }
    // And it does not disturb requests of devices
    m.ddtp(0);
    m.ddtp(2);
    for i in 0..8 {
        m.write64(IOVA, PAGE);
        m.write64(CTL, GO | NW | (u64::from(DEV) << 40));
        m.grants(request(DEV, Access::Read, PAGE + i), FRAME + i);
        m.wait(CTL, GO, 0);
    }
}

fn dbg_05_the_response_shows_fault_or_page(m: &mut Rig) {
    m.start();
    let root = m.sv39(DEV, PSCID);
    for bit in 12u32..56 {
        // Given a frame for each bit of PPN, Then PPN shows it
        m.map(root, PAGE, 1 << bit, RWX, 0);
        m.invalidate(Cmd::VMA);
        let (pa, _) = leads(m, DEV, PAGE, GO | NW).expect("a page");
        assert_eq!(pa, 1 << bit);
    }
    // Given a page that is not there, Then fault is 1; and 0 again afterwards
    assert_eq!(debug(m, DEV, PAGE + 0x1000, GO | NW) & 1, 1);
    assert_eq!(debug(m, DEV, PAGE, GO | NW) & 1, 0);
}

fn dbg_05_the_response_ignores_writes(m: &mut Rig) {
    m.start();
    m.device_with_page();
    let response = debug(m, DEV, PAGE, GO | NW);
    for value in [0, u64::MAX] {
        m.write64(RESPONSE, value);
        m.write32(RESPONSE, value & 0xffff_ffff);
        assert_eq!(m.read64(RESPONSE), response);
    }
}

fn dbg_06_the_size_covers_what_is_mapped_and_no_more(m: &mut Rig) {
    m.start();
    let root = m.sv(DEV, PSCID, 4);
    for level in 0..4 {
        // Given a page of any size
        let size = 1u64 << (12 + 9 * level);
        let (first, pa) = (3 * size, 0x00c0_0000_0000_0000 + 5 * size);
        let slot = m.pte_in(4, root, first, level);
        m.store(slot, leaf(pa, RWX));
        for offset in [0, size / 2, size - 0x1000] {
            // Then the response names a piece of it that contains the address
            let (at, shown) = leads(m, DEV, first + offset, GO | NW).expect("a page");
            assert!(shown <= size, "{shown:#x} of {size:#x}");
            let own = (pa + offset) & !(shown - 1);
            assert_eq!(at, own, "offset {offset:#x}");
        }
        m.store(slot, 0);
        m.invalidate(Cmd::VMA);
    }
    // The same with 64 KiB
    for i in 0..16 {
        let slot = m.pte_in(4, root, 0x10_0000 + i * 0x1000, 0);
        m.store(slot, leaf(0x8004_8000, RWX | pte::N));
    }
    for i in [0, 7, 8, 15] {
        let (at, shown) = leads(m, DEV, 0x10_0000 + i * 0x1000, GO | NW).expect("a page");
        assert!(shown <= 0x1_0000);
        assert_eq!(at, (0x8004_0000 + i * 0x1000) & !(shown - 1));
    }
}

/// The refusal of a debug translation leaves the record of this untranslated request.
fn is_recorded(m: &mut Rig, r: Request, bits: u64, cause: u64) {
    assert_eq!(leads(m, r.device_id, r.iova, bits), None);
    let records: Vec<_> = m.faults().into_iter().map(comparable).collect();
    assert_eq!(records, [record_of(r, cause)]);
}

fn dbg_07_faults_are_recorded_as_of_an_untranslated_request(m: &mut Rig) {
    m.queues(7, 7);
    for access in ACCESSES {
        is_recorded(m, request(DEV, access, PAGE), ctl(access), 256);
    }
    m.ddtp(2);
    let root = m.device_with_page();
    m.break_reads(root + 8 * 8, 8, MemStatus::Access);
    m.break_reads(root + 9 * 8, 8, MemStatus::Corrupt);
    for access in ACCESSES {
        is_recorded(
            m,
            request(DEV, access, PAGE + 0x1000),
            ctl(access),
            page_fault(access),
        );
        is_recorded(
            m,
            request(DEV, access, 1 << 50),
            ctl(access),
            page_fault(access),
        );
        is_recorded(
            m,
            request(DEV, access, 8 << 30),
            ctl(access),
            access_fault(access),
        );
        is_recorded(m, request(DEV, access, 9 << 30), ctl(access), 274);
        is_recorded(m, request(DEV + 1, access, PAGE), ctl(access), 258);
        is_recorded(m, request(0x80, access, PAGE), ctl(access), 260);
    }
    // And one with a process_id, with its privilege
    let r = with_process(request(DEV, Access::Read, PAGE), 0x1_2345, true);
    is_recorded(m, r, GO | NW | PRIV | (1 << 32) | (0x1_2345 << 12), 260);
    // While one that is granted leaves none
    assert!(leads(m, DEV, PAGE, GO | NW).is_some());
    m.no_faults();
}

fn dbg_07_dtf_silences_them_too(m: &mut Rig) {
    m.start();
    let root = m.page();
    m.dc(DEV, [TC_V | TC_DTF, 0, 0, SV39 | (root >> 12)]);
    assert_eq!(leads(m, DEV, PAGE, GO | NW), None);
    m.no_faults();
    m.dc(DEV, [TC_V, 0, 0, SV39 | (root >> 12)]);
    m.invalidate(Cmd::INVAL_DDT);
    is_recorded(m, request(DEV, Access::Read, PAGE), GO | NW, 13);
}
