//! The first things that must work.
use portcullis_sim::core::Access;
use portcullis_tests::*;

#[test]
fn a_mapped_page_translates_and_costs_what_the_design_says() {
    for l in [1, 10, 50] {
        // Given a device with a 4 KiB page mapped
        let mut m = Machine::started(l);
        let root = m.sv39(5, 7);
        m.map(root, 0x4000_3000, 0x8000_5000, RWX, 0);
        m.map(root, 0x4000_4000, 0x8000_6000, RWX, 0);
        // When it reads cold, again, and from the neighbouring page
        let cold = m.ask(request(5, Access::Read, 0x4000_3123));
        let hit = m.ask(request(5, Access::Write, 0x4000_3456));
        let miss = m.ask(request(5, Access::Read, 0x4000_4001));
        // Then the addresses are right and the latencies within their bounds
        assert_eq!(cold.response.pa, 0x8000_5123);
        assert_eq!(hit.response.pa, 0x8000_5456);
        assert_eq!(miss.response.pa, 0x8000_6001);
        println!(
            "L={l}: cold {} hit {} miss {}",
            cold.latency(),
            hit.latency(),
            miss.latency()
        );
        assert!(cold.latency() <= 4 * l + 12);
        assert_eq!(hit.latency(), 2);
        assert!(miss.latency() <= 3 * l + 6);
        assert!(m.faults().is_empty());
        m.command(cmd::VMA_ALL, 0);
        m.fence();
        assert_eq!(m.read(5, 0x4000_3000), Some(0x8000_5000));
        assert_eq!(m.read(5, 0x4000_9000), None);
        let f = m.faults();
        assert_eq!(f.len(), 1);
        assert_eq!(
            (f[0].cause(), f[0].ttyp(), f[0].did(), f[0].dw[2]),
            (13, 2, 5, 0x4000_9000)
        );
    }
}
