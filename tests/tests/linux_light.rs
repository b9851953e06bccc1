//! The first things that configuration `linux` must do beyond `tiny`.
use portcullis_regmap::config::LINUX;
use portcullis_sim::core::Access;
use portcullis_sim::memory::Timing;
use portcullis_tests::*;

fn machine() -> Machine {
    Machine::with_config(
        &LINUX,
        Timing {
            latency: 3,
            ..Timing::default()
        },
    )
}

#[test]
fn three_levels_of_directory_and_every_page_table_mode() {
    let mut m = machine();
    assert_eq!(m.read64(reg::CAPABILITIES), 0x0000_0c28_e000_0e10);
    m.queues(7, 7);
    m.ddtp(4);
    let did = 0x12_3456u32;
    // Directory: DDT -> l1 -> l0 -> DC
    let l1 = m.page();
    let l0 = m.page();
    let (d2, d1, d0) = (
        u64::from(did >> 16),
        u64::from(did >> 7 & 0x1ff),
        u64::from(did & 0x7f),
    );
    m.h.memory_mut().store64(DDT + d2 * 8, (l1 >> 12 << 10) | 1);
    m.h.memory_mut().store64(l1 + d1 * 8, (l0 >> 12 << 10) | 1);
    for (mode, levels) in [(8u64, 3u32), (9, 4), (10, 5)] {
        let root = m.page();
        let mut table = root;
        let iova: u64 = 0x0012_3456_789a_bcde & ((1u64 << (12 + 9 * levels - 1)) - 1);
        for l in (0..levels).rev() {
            let slot = table + ((iova >> (12 + 9 * l)) & 0x1ff) * 8;
            if l == 0 {
                m.h.memory_mut()
                    .store64(slot, (0xab_cdef_0123u64 << 10) | RWX);
            } else {
                let next = m.page();
                m.h.memory_mut().store64(slot, (next >> 12 << 10) | 1);
                table = next;
            }
        }
        for (i, w) in [1, 0, 9 << 12, (mode << 60) | (root >> 12)]
            .iter()
            .enumerate()
        {
            m.h.memory_mut().store64(l0 + d0 * 32 + 8 * i as u64, *w);
        }
        m.command(cmd::inval_ddt(u64::from(did)), 0);
        m.fence();
        let f = m.ask(request(did, Access::Read, iova));
        println!("mode {mode}: {} cycles, {:x?}", f.latency(), f.response);
        assert_eq!(f.response.pa, 0x000a_bcde_f012_3000 | (iova & 0xfff));
        assert_eq!(m.ask(request(did, Access::Read, iova)).latency(), 2);
        // not canonical
        assert!(
            m.ask(request(did, Access::Read, iova | 1 << (11 + 9 * levels)))
                .response
                .fault
                || levels == 9
        );
        assert_eq!(m.faults().len(), 1);
    }
}

#[test]
fn msi_debug_and_counters() {
    let mut m = machine();
    m.queues(7, 7);
    m.ddtp(2);
    let root = m.sv39(5, 7);
    m.map(root, 0x4000_3000, 0x8000_5000, RWX, 0);
    // msi: vector 2 for faults
    m.write64(760, 0x0321);
    assert_eq!(m.read64(760), 0x0321);
    m.write64(768 + 32, 0x2000_0044);
    m.write32(768 + 32 + 8, 0xabcd_1234);
    assert_eq!(m.read64(768 + 32), 0x2000_0044);
    assert_eq!(m.read32(768 + 32 + 8), 0xabcd_1234);
    m.write32(reg::FQCSR, csr::EN | csr::IE);
    assert_eq!(m.read(5, 0x9000), None);
    assert_eq!(m.faults().len(), 1);
    assert_eq!(m.h.memory().load64(0x2000_0040) >> 32, 0xabcd_1234);
    assert_eq!(m.read32(reg::IPSR), 2);
    // events: count page-table entries read
    m.write64(352, 7);
    m.write64(104, 0);
    m.write64(600, 0x4000_3000);
    m.write64(608, (5u64 << 40) | (1 << 3) | 1);
    while m.read64(608) & 1 == 1 {}
    assert_eq!(m.read64(616), 0x8000_5000 >> 12 << 10);
    assert_eq!(m.read64(104), 3);
    let a = m.read64(96);
    let b = m.read64(96);
    assert!(b > a && b - a < 10);
    // pmip by overflow
    m.write64(104, 0xffff_ffff);
    m.write64(608, (5u64 << 40) | (1 << 3) | 1);
    m.h.advance(50).unwrap();
    assert_eq!(m.read64(104), 0xffff_ffff, "hit: no entry read");
    m.command(cmd::VMA_ALL, 0);
    m.write64(608, (5u64 << 40) | (1 << 3) | 1);
    m.h.advance(50).unwrap();
    assert_eq!(m.read64(104), 2);
    assert_eq!(m.read32(88), 2);
    assert_eq!(m.read32(reg::IPSR), 6);
}
