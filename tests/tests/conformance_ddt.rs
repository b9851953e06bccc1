//! The device directory (DDT).

use portcullis_regmap::config::Config;
use portcullis_sim::core::{Access, MemStatus, Purpose};
use portcullis_tests::conformance::*;
use portcullis_tests::*;

conformance!(
    ddt_01_contexts_are_32_bytes_apart,
    ddt_01_a_context_ends_after_32_bytes,
    ddt_02_seven_bits_of_device_id_index_the_directory,
    ddt_04_a_wide_device_id_is_refused_before_any_memory_access,
    ddt_04_each_upper_bit_of_device_id_counts,
    ddt_05_the_walk_starts_at_the_page_number_of_ddtp,
    ddt_06_the_context_is_read_directly,
    ddt_06_exactly_the_32_bytes_of_the_context_are_read,
    ddt_14_a_refused_read_of_any_doubleword_is_257,
    ddt_14_poison_in_any_doubleword_is_268,
    ddt_14_an_invalid_context_is_258_whatever_else_it_holds,
    ddt_14_refusal_precedes_poison_precedes_invalid_precedes_misconfigured,
    ddt_15_the_whole_doubleword_of_fsc_counts,
    ddt_16_contexts_are_little_endian,
    ddt_17_a_directory_anywhere_in_main_memory_works,
    ddt_17_a_directory_beside_other_tables_works,
    ddt_18_a_table_beyond_pas_is_refused_by_access_kind_or_as_misconfigured,
    ddt_18_a_directory_beyond_pas_is_refused_or_cannot_be_named,
    ; cycles:
    ddt_15_a_context_that_changes_during_the_walk_is_read_whole,
);

/// tc of a context with both stages Bare.
const BARE: [u64; 4] = [TC_V, 0, 0, 0];

fn ddt_01_contexts_are_32_bytes_apart(m: &mut Rig) {
    // Given a directory in which only the bytes 32 n hold a valid context
    m.start();
    m.store(DDT + 3 * 32, TC_V);
    // Then device n uses it, and the devices that another size would give it to do not
    m.grants(request(3, Access::Read, 0x1000), 0x1000);
    let others = [0, 1, 2, 4, 6, 12].map(|did| (request(did, Access::Read, 0x1000), 258));
    m.refuses_each(&others);
}

fn ddt_01_a_context_ends_after_32_bytes(m: &mut Rig) {
    // Given a context, and in the 32 bytes behind it what an extended context could not hold
    m.start();
    m.dc(4, BARE);
    m.dc(5, [u64::MAX; 4]);
    // Then the first is complete without them
    m.grants(request(4, Access::Read, 0x1000), 0x1000);
    m.refuses(request(5, Access::Read, 0x1000), 259);
}

fn ddt_02_seven_bits_of_device_id_index_the_directory(m: &mut Rig) {
    // Given a page table of its own for each device whose id has one bit, no bit or all bits set
    m.start();
    let dids = [0, 1, 2, 4, 8, 16, 32, 64, 127];
    let mut cases = vec![];
    for did in dids {
        let root = m.sv39(did, u64::from(did));
        let frame = FRAME + u64::from(did) * 0x1000;
        m.map(root, PAGE, frame, RWX, 0);
        cases.push((request(did, Access::Read, PAGE + 8), frame + 8));
    }
    // Then each device reaches its own page
    m.grants_each(&cases);
    // And the others have no context
    let others = [3, 63, 126, 96].map(|did| (request(did, Access::Read, PAGE), 258));
    m.refuses_each(&others);
}

fn ddt_04_a_wide_device_id_is_refused_before_any_memory_access(m: &mut Rig) {
    // Given valid contexts at every index
    m.start();
    for did in 0..128 {
        m.dc(did, BARE);
    }
    m.grants(request(0, Access::Read, 0x1000), 0x1000);
    let read = m.dut.reads(Purpose::Ddt);
    // When device ids are too wide, though their low bits name a context, cached or not
    let cases =
        [0x80, 0x81, 0xff, 0x8000, 0xff_ffff].map(|did| (request(did, Access::Read, 0x1000), 260));
    m.refuses_each(&cases);
    // Then the directory has not been read for them
    assert_eq!(m.dut.reads(Purpose::Ddt), read);
    m.grants(request(127, Access::Read, 0x1000), 0x1000);
}

fn ddt_04_each_upper_bit_of_device_id_counts(m: &mut Rig) {
    m.start();
    m.dc(0, BARE);
    m.dc(127, BARE);
    let mut cases = vec![];
    for bit in 7..24 {
        // When a single bit of DDI1 or DDI2 is set, with DDI0 all zeros or all ones
        for low in [0, 127] {
            for access in ACCESSES {
                cases.push((request((1 << bit) | low, access, 0x1000), 260));
            }
        }
    }
    // Then it is refused
    m.refuses_each(&cases);
    m.grants(request(127, Access::Read, 0x1000), 0x1000);
}

fn ddt_05_the_walk_starts_at_the_page_number_of_ddtp(m: &mut Rig) {
    // Given directories at several pages, each with another context for the same device
    m.queues(7, 7);
    for (i, root) in (0..).zip([0x0u64, 0x1000, 0x5555_5000, 0xaaaa_a000, 0xffff_f000]) {
        let table = m.page();
        m.map(table, PAGE, FRAME + i * 0x1000, RWX, 0);
        m.dc_at(
            root + u64::from(DEV) * 32,
            [TC_V, 0, 0, SV39 | (table >> 12)],
        );
    }
    for (i, root) in (0..).zip([0x0u64, 0x1000, 0x5555_5000, 0xaaaa_a000, 0xffff_f000]) {
        // When ddtp names one of them
        m.invalidate(Cmd::INVAL_DDT);
        m.invalidate(Cmd::VMA);
        m.ddtp_at(root, 2);
        // Then its context is used
        m.grants(request(DEV, Access::Read, PAGE), FRAME + i * 0x1000);
        m.ddtp(0);
    }
}

fn ddt_06_the_context_is_read_directly(m: &mut Rig) {
    // Given a directory page whose first doubleword would be a non-leaf entry with more levels
    m.start();
    let next = m.page();
    m.store(DDT, (next >> 12 << 10) | 1);
    m.dc_at(next + u64::from(DEV) * 32, [0, 0, 0, 0]);
    m.dc(DEV, BARE);
    // When a device is looked up
    let before = m.dut.reads(Purpose::Ddt);
    m.grants(request(DEV, Access::Read, 0x1000), 0x1000);
    // Then its context comes from the root page itself; hardware with a burst port reads it at once
    let reads = m.dut.reads(Purpose::Ddt) - before;
    assert!(
        (1..=4).contains(&reads),
        "{reads} reads for a context of four doublewords"
    );
}

fn ddt_06_exactly_the_32_bytes_of_the_context_are_read(m: &mut Rig) {
    // Given a context in the only readable 32 bytes of memory beside the queues
    m.start();
    for did in [0, DEV, 127] {
        let at = DDT + u64::from(did) * 32;
        m.dc(did, BARE);
        m.break_reads(0, CQ, MemStatus::Access);
        m.break_reads(CQ + 0x1000, u64::MAX - CQ - 0x1000, MemStatus::Access);
        m.break_reads(at, 32, MemStatus::Ok);
        // Then the device passes, and its neighbours' contexts cannot be read
        m.grants(request(did, Access::Read, 0x1000), 0x1000);
        let near = (did + 1) & 127;
        m.refuses(request(near, Access::Read, 0x1000), 257);
        m.invalidate(Cmd::INVAL_DDT);
    }
}

/// Every doubleword of the context in turn ends with `status`; the device gets `cause`.
fn a_broken_doubleword(m: &mut Rig, status: MemStatus, cause: u64) {
    m.start();
    let at = DDT + u64::from(DEV) * 32;
    for word in 0..4 {
        for tc in [TC_V, TC_V | TC_DTF] {
            // Given a context that is good, but of which one doubleword cannot be had
            m.dc(DEV, [tc, 0, 0, 0]);
            m.break_reads(at + 8 * word, 8, status);
            // Then every access is refused and recorded, whatever DTF says
            m.refuses_each(&ACCESSES.map(|access| (request(DEV, access, 0x1000), cause)));
            m.break_reads(at, 32, MemStatus::Ok);
        }
    }
    // And nothing of it is kept
    m.grants(request(DEV, Access::Read, 0x1000), 0x1000);
}

fn ddt_14_a_refused_read_of_any_doubleword_is_257(m: &mut Rig) {
    a_broken_doubleword(m, MemStatus::Access, 257);
}

fn ddt_14_poison_in_any_doubleword_is_268(m: &mut Rig) {
    a_broken_doubleword(m, MemStatus::Corrupt, 268);
}

fn ddt_14_an_invalid_context_is_258_whatever_else_it_holds(m: &mut Rig) {
    // Given contexts with V=0: empty, full of ones, with a usable table, with DTF, with each field wrong
    m.start();
    let root = m.page();
    m.map(root, PAGE, FRAME, RWX, 0);
    let contexts = [
        [0; 4],
        [!1, u64::MAX, u64::MAX, u64::MAX],
        [0, 0, 0, SV39 | (root >> 12)],
        [TC_DTF, 0, 0, 0],
        [0, 8 << 60, 0, 0],
        [0, 0, u64::MAX, 0],
    ];
    let mut cases = vec![];
    for (did, dw) in (0..).zip(contexts) {
        m.dc(did, dw);
        for access in ACCESSES {
            cases.push((request(did, access, PAGE), 258));
        }
    }
    // Then the cause is 258
    m.refuses_each(&cases);
    // When one becomes valid, Then it works
    m.dc(2, [TC_V, 0, 0, SV39 | (root >> 12)]);
    m.grants(request(2, Access::Read, PAGE), FRAME);
}

fn ddt_14_refusal_precedes_poison_precedes_invalid_precedes_misconfigured(m: &mut Rig) {
    m.start();
    let at = |did: u64| DDT + did * 32;
    let bad = [0, u64::MAX, u64::MAX, u64::MAX];
    // Given contexts with several defects each
    m.dc(0, bad);
    m.break_reads(at(0), 8, MemStatus::Corrupt);
    m.break_reads(at(0) + 24, 8, MemStatus::Access);
    m.dc(1, bad);
    m.break_reads(at(1), 8, MemStatus::Access);
    m.break_reads(at(1) + 8, 8, MemStatus::Corrupt);
    m.dc(2, bad);
    m.break_reads(at(2) + 16, 8, MemStatus::Corrupt);
    m.dc(3, bad);
    m.dc(4, [TC_V, u64::MAX, u64::MAX, u64::MAX]);
    // Then the first of 257, 268, 258, 259 is reported
    let cases = [257, 257, 268, 258, 259];
    let cases: Vec<_> = (0..)
        .zip(cases)
        .map(|(did, cause)| (request(did, Access::Read, 0), cause))
        .collect();
    m.refuses_each(&cases);
}

fn ddt_15_the_whole_doubleword_of_fsc_counts(m: &mut Rig) {
    // Given two page tables whose page numbers differ in as many bits as possible
    m.start();
    let tables = [0x5a5a_5000u64, 0xa5a5_a000];
    for (i, table) in (0..).zip(tables) {
        m.map(table, PAGE, FRAME + i * 0x1000, RWX, 0);
    }
    for round in 0..8 {
        // When fsc is changed by one 8-byte store between them and Bare
        let (fsc, pa) = match round % 3 {
            0 => (SV39 | (tables[0] >> 12), FRAME),
            1 => (SV39 | (tables[1] >> 12), FRAME + 0x1000),
            _ => (0, PAGE),
        };
        m.dc(DEV, [TC_V, 0, 0, fsc]);
        m.invalidate(Cmd::INVAL_DDT.did(u64::from(DEV)));
        m.invalidate(Cmd::VMA);
        // Then mode and page number have changed together
        m.grants(request(DEV, Access::Read, PAGE), pa);
    }
}

fn ddt_15_a_context_that_changes_during_the_walk_is_read_whole(config: &'static Config) {
    for latency in [1, 6] {
        // Given a device whose fsc alternates between two tables and Bare, each by one 8-byte store
        let mut m = Rig::rtl(config, latency);
        m.start();
        let tables = [m.page(), m.page()];
        m.map(tables[0], PAGE, FRAME, RWX, 0);
        m.map(tables[1], PAGE, OTHER, RWX, 0);
        let values = [SV39 | (tables[0] >> 12), SV39 | (tables[1] >> 12), 0];
        m.dc(DEV, [TC_V, 0, 0, values[0]]);
        for delay in 0..40 {
            m.invalidate(Cmd::INVAL_DDT);
            m.invalidate(Cmd::VMA);
            // When the store falls `delay` cycles into a cold translation
            m.dut.h.submit(request(DEV, Access::Read, PAGE));
            m.dut.step(delay);
            m.store(
                DDT + u64::from(DEV) * 32 + 24,
                values[(delay as usize + 1) % 3],
            );
            m.dut.h.finish_requests().expect("an answer");
            let answer = m.dut.h.take_finished().expect("one").response;
            // Then the request is translated by the old value or by the new one
            let old_or_new = [delay % 3, (delay + 1) % 3].map(|i| [FRAME, OTHER, PAGE][i as usize]);
            assert!(
                !answer.fault && old_or_new.contains(&answer.pa),
                "delay {delay}: {answer:x?}"
            );
        }
        m.no_faults();
    }
}

fn ddt_16_contexts_are_little_endian(m: &mut Rig) {
    // Given a context in little-endian bytes, and one whose doublewords are in big-endian bytes
    m.start();
    let table = m.page();
    m.map(table, PAGE, FRAME, RWX, 0);
    let dw = [TC_V, 0, 3 << 12, SV39 | (table >> 12)];
    for (i, w) in (0..).zip(dw) {
        m.dut.mem_write(DDT + 32 + 8 * i, &w.to_le_bytes());
        m.dut.mem_write(DDT + 64 + 8 * i, &w.to_be_bytes());
    }
    // Then the first is valid; in the second V is not where it should be
    m.grants(request(1, Access::Read, PAGE), FRAME);
    m.refuses(request(2, Access::Read, PAGE), 258);
}

fn ddt_17_a_directory_anywhere_in_main_memory_works(m: &mut Rig) {
    // Given directories at the ends and in the middle of the memory that 32 bits reach
    m.queues(7, 7);
    for root in [0x0, 0x7fff_f000, 0x8000_0000, 0xffff_f000] {
        for did in [0, 127] {
            m.dc_at(root + did * 32, BARE);
        }
        m.ddtp_at(root, 2);
        // Then first and last context are found
        for did in [0, 127] {
            m.grants(request(did, Access::Write, 0x1000), 0x1000);
        }
        m.refuses(request(64, Access::Read, 0x1000), 258);
        m.ddtp(0);
        m.invalidate(Cmd::INVAL_DDT);
    }
}

fn ddt_17_a_directory_beside_other_tables_works(m: &mut Rig) {
    // Given a root page that is a page table too: its upper half holds PTEs, its lower half contexts
    m.queues(7, 7);
    let root = m.page();
    m.dc_at(
        root + u64::from(DEV) * 32,
        [TC_V, 0, 0, SV39 | (root >> 12)],
    );
    // When a gigabyte page stands in one of the upper entries (index 511 lies behind the contexts of 0 to 126)
    let iova = 0xffff_ffff_c000_0000u64;
    m.store(root + 511 * 8, leaf(0x4000_0000, RWX));
    m.ddtp_at(root, 2);
    // Then directory and table are both found there
    m.grants(request(DEV, Access::Read, iova + 0x1234), 0x4000_1234);
    // And an entry that is a context as well is no PTE: tc of device 5 is entry 20, a pointer to page 0
    m.refuses(request(DEV, Access::Read, 20 << 30), 13);
}

fn ddt_18_a_table_beyond_pas_is_refused_by_access_kind_or_as_misconfigured(m: &mut Rig) {
    // Given contexts whose root table lies beyond PAS, each by one bit of the page number, over a good table at
    // what a truncated address would reach
    m.start();
    let table = m.page();
    m.map(table, PAGE, FRAME, RWX, 0);
    for (did, bit) in (0..).zip(m.pas() - 12..44) {
        m.dc(did, [TC_V, 0, 0, SV39 | (1 << bit) | (table >> 12)]);
        for access in ACCESSES {
            // When it is used
            let r = request(did, access, PAGE);
            assert!(m.ask(r).fault, "{r:x?} passed");
            // Then it is an access fault by kind, or 259
            let records = m.faults();
            let allowed = [record_of(r, access_fault(access)), record_of(r, 259)];
            assert_eq!(records.len(), 1);
            assert!(allowed.contains(&comparable(records[0])), "{records:x?}");
        }
    }
    m.dc(100, [TC_V, 0, 0, SV39 | (table >> 12)]);
    m.grants(request(100, Access::Read, PAGE), FRAME);
}

fn ddt_18_a_directory_beyond_pas_is_refused_or_cannot_be_named(m: &mut Rig) {
    // Given a good directory in memory that PAS reaches
    m.queues(7, 7);
    m.dc(DEV, BARE);
    for bit in m.pas()..56 {
        // When ddtp is to name a page beyond that
        m.ddtp_at(DDT | (1 << bit), 2);
        let ppn = (m.read64(reg::DDTP) >> 10) & 0xfff_ffff_ffff;
        // Then either that bit reads 0 (DDTP-11), and the page that reads back is used, or the walk is refused
        if ppn == DDT >> 12 {
            m.grants(request(DEV, Access::Read, 0x1000), 0x1000);
        } else {
            m.refuses(request(DEV, Access::Read, 0x1000), 257);
        }
        m.ddtp(0);
        m.invalidate(Cmd::INVAL_DDT);
    }
}
