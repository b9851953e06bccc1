//! Switching the queues on and off (CQCSR, FQCSR).

use portcullis_regmap::config::Config;
use portcullis_sim::core::{Access, MemStatus, Purpose};
use portcullis_tests::conformance::*;
use portcullis_tests::*;

conformance!(
    cqcsr_01_each_bit_stands_where_it_should,
    cqcsr_02_enabling_starts_at_0_and_clears_the_errors,
    cqcsr_02_disabling_clears_nothing,
    cqcsr_03_a_disabled_queue_fetches_nothing,
    cqcsr_04_busy_ends_and_on_follows_en,
    cqcsr_05_fence_w_ip_exists_with_wires,
    fqcsr_01_each_bit_stands_where_it_should,
    fqcsr_02_enabling_starts_at_0_and_clears_the_errors,
    fqcsr_02_disabling_clears_nothing,
    fqcsr_03_faults_of_a_disabled_queue_are_dropped_silently,
    fqcsr_04_busy_ends_and_on_follows_en,
    fqcsr_04_busy_ends_with_a_broken_memory_too,
    ; linux:
    cqcsr_05_fence_w_ip_does_not_exist_with_messages,
    ; cycles:
    cqcsr_03_nothing_is_fetched_or_stored_once_cqon_is_clear,
    fqcsr_03_nothing_is_written_once_fqon_is_clear,
);

fn cqcsr_01_each_bit_stands_where_it_should(m: &mut Rig) {
    m.wires();
    // Given a queue, Then cqen is bit 0, cie bit 1, cqon bit 16
    m.write64(reg::CQB, (CQ >> 12 << 10) | 7);
    m.write32(reg::CQT, 0);
    m.write32(reg::CQCSR, 3);
    assert_eq!(m.wait(reg::CQCSR, 1 << 17, 0), 3 | (1 << 16));
    // When a fence asks for an interrupt, Then bit 11 is set and written 1 to clear
    m.run(Cmd::FENCE.with(Cmd::WSI));
    assert_eq!(m.read32(reg::CQCSR), 3 | (1 << 16) | (1 << 11));
    m.write32(reg::CQCSR, 3 | (1 << 11));
    assert_eq!(m.read32(reg::CQCSR), 3 | (1 << 16));
    // When a command is illegal, Then bit 10
    let index = m.push(Cmd(0, 0));
    m.ring();
    m.dut.settle();
    assert_eq!(m.read32(reg::CQCSR), 3 | (1 << 16) | (1 << 10));
    m.put(index, Cmd::VMA);
    m.write32(reg::CQCSR, 3 | (1 << 10));
    m.finish();
    assert_eq!(m.read32(reg::CQCSR), 3 | (1 << 16));
    // When a fetch fails, Then bit 8
    m.break_reads(CQ, 4096, MemStatus::Access);
    m.push(Cmd::VMA);
    m.ring();
    m.dut.settle();
    assert_eq!(m.read32(reg::CQCSR), 3 | (1 << 16) | (1 << 8));
    m.break_reads(CQ, 4096, MemStatus::Ok);
    m.write32(reg::CQCSR, 3 | (1 << 8));
    m.finish();
    assert_eq!(m.read32(reg::CQCSR), 3 | (1 << 16));
}

fn cqcsr_02_enabling_starts_at_0_and_clears_the_errors(m: &mut Rig) {
    m.wires();
    for (mark, cqmf) in [(2, false), (3, true)] {
        // Given a queue with fence_w_ip and an error bit, stopped at entry 3 with cqt = 4
        m.command_queue_at(CQ, 7);
        m.push(Cmd::VMA);
        m.push(Cmd::FENCE.with(Cmd::WSI));
        m.push(Cmd::FENCE.store(SCRATCH, 1));
        m.finish();
        let error = if cqmf {
            m.break_reads(CQ + 48, 16, MemStatus::Access);
            csr::MF
        } else {
            csr::CMD_ILL
        };
        m.push(Cmd(0, 0));
        m.ring();
        m.wait(reg::CQCSR, error | csr::FENCE_W_IP, error | csr::FENCE_W_IP);
        assert_eq!(m.read32(reg::CQH), 3);
        m.write32(reg::CQCSR, 0);
        m.wait(reg::CQCSR, csr::ON | csr::BUSY, 0);
        // When it is enabled again, with four legal commands in it
        m.break_reads(CQ, 4096, MemStatus::Ok);
        for i in 0..4 {
            m.put(i, Cmd::FENCE.store(SCRATCH + 8 * i, mark));
        }
        m.write32(reg::CQCSR, csr::EN);
        // Then it is on, the errors are gone, and it runs from entry 0 to the old cqt
        assert_eq!(m.wait(reg::CQCSR, csr::BUSY, 0), csr::EN | csr::ON);
        assert_eq!(m.read32(reg::CQT), 4);
        m.wait(reg::CQH, u64::MAX, 4);
        for i in 0..4 {
            assert_eq!(m.load(SCRATCH + 8 * i), u64::from(mark), "entry {i}");
        }
        m.write32(reg::CQCSR, 0);
        m.wait(reg::CQCSR, csr::ON | csr::BUSY, 0);
    }
}

fn cqcsr_02_disabling_clears_nothing(m: &mut Rig) {
    m.wires();
    // Given a queue with fence_w_ip and cmd_ill, stopped at entry 2
    m.command_queue_at(CQ, 7);
    m.push(Cmd::VMA);
    m.push(Cmd::FENCE.with(Cmd::WSI));
    m.push(Cmd(0, 0));
    m.outcome();
    let errors = csr::CMD_ILL | csr::FENCE_W_IP;
    for value in [0, csr::IE, 0] {
        // When it is switched off, and written again while it is off
        m.write32(reg::CQCSR, value);
        m.wait(reg::CQCSR, csr::ON | csr::BUSY, 0);
        // Then errors and indices stay
        assert_eq!(m.read32(reg::CQCSR), errors | value);
        assert_eq!((m.read32(reg::CQH), m.read32(reg::CQT)), (2, 3));
    }
    // And a one still clears a bit
    m.write32(reg::CQCSR, csr::CMD_ILL);
    assert_eq!(m.read32(reg::CQCSR), csr::FENCE_W_IP);
}

fn cqcsr_03_a_disabled_queue_fetches_nothing(m: &mut Rig) {
    // Given a queue that has been switched off
    m.start();
    m.run(Cmd::VMA);
    m.write32(reg::CQCSR, 0);
    m.wait(reg::CQCSR, csr::ON | csr::BUSY, 0);
    // When commands are put into it and cqt moves
    let fetched = m.dut.reads(Purpose::Command);
    m.push(Cmd::FENCE.store(SCRATCH, 1));
    m.ring();
    m.dut.settle();
    // Then memory is not touched
    assert_eq!(m.dut.reads(Purpose::Command), fetched);
    assert_eq!(m.dut.writes(Purpose::Fence), 0);
    assert_eq!(m.load(SCRATCH), 0);
}

fn cqcsr_03_nothing_is_fetched_or_stored_once_cqon_is_clear(config: &'static Config) {
    for latency in [1, 30] {
        let mut m = Rig::rtl(config, latency);
        for delay in (0..60).step_by(1 + latency as usize / 10) {
            // Given a queue of fences that store
            m.command_queue_at(CQ, 7);
            for i in 0..8 {
                m.push(Cmd::FENCE.store(SCRATCH + 8 * i, delay as u32 + 1));
            }
            // When it is switched off `delay` cycles after it started
            m.ring();
            m.dut.step(delay);
            m.write32(reg::CQCSR, 0);
            m.wait(reg::CQCSR, csr::ON, 0);
            // Then at the moment in which cqon reads 0 the last access to memory has been made
            let seen = (m.dut.reads(Purpose::Command), m.dut.writes(Purpose::Fence));
            let done = (0..8)
                .filter(|i| m.load(SCRATCH + 8 * i) == delay + 1)
                .count() as u64;
            let cqh = m.read32(reg::CQH);
            m.dut.step(3 * latency + 20);
            assert_eq!(
                (m.dut.reads(Purpose::Command), m.dut.writes(Purpose::Fence)),
                seen
            );
            let later = (0..8)
                .filter(|i| m.load(SCRATCH + 8 * i) == delay + 1)
                .count() as u64;
            assert_eq!(later, done, "delay {delay}: a store after cqon cleared");
            // And cqh says how far it came
            assert_eq!(cqh, done, "delay {delay}");
            assert_eq!(m.read32(reg::CQCSR) & csr::BUSY, 0);
        }
    }
}

fn cqcsr_04_busy_ends_and_on_follows_en(m: &mut Rig) {
    m.write64(reg::CQB, (CQ >> 12 << 10) | 7);
    m.write32(reg::CQT, 0);
    for i in 0..4 {
        // When the queue is switched on and off, with commands under way
        m.write32(reg::CQCSR, csr::EN);
        assert_eq!(m.wait(reg::CQCSR, csr::BUSY, 0), csr::EN | csr::ON);
        m.restarted();
        for _ in 0..i {
            m.push(Cmd::FENCE);
        }
        m.ring();
        m.write32(reg::CQCSR, 0);
        // Then busy ends, and cqon is what cqen is
        assert_eq!(m.wait(reg::CQCSR, csr::BUSY, 0), 0);
        m.write32(reg::CQT, 0);
    }
}

fn cqcsr_05_fence_w_ip_exists_with_wires(m: &mut Rig) {
    m.wires();
    // Given fctl.WSI = 1
    m.start();
    assert_eq!(m.read32(reg::FCTL) & 2, 2);
    // When a fence without WSI completes, Then fence_w_ip stays 0; with WSI it is set
    m.run(Cmd::FENCE);
    assert_eq!(m.read32(reg::CQCSR) & csr::FENCE_W_IP, 0);
    m.run(Cmd::FENCE.with(Cmd::WSI));
    assert_eq!(m.read32(reg::CQCSR) & csr::FENCE_W_IP, csr::FENCE_W_IP);
    // And software cannot set it
    m.write32(reg::CQCSR, csr::EN | csr::FENCE_W_IP);
    m.write32(reg::CQCSR, csr::EN | csr::FENCE_W_IP);
    assert_eq!(m.read32(reg::CQCSR), csr::EN | csr::ON);
}

fn cqcsr_05_fence_w_ip_does_not_exist_with_messages(m: &mut Rig) {
    // Given fctl.WSI = 0
    m.start();
    assert_eq!(m.read32(reg::FCTL) & 2, 0);
    // When a fence asks for it, and when software writes it, Then fence_w_ip reads 0
    m.rejects(Cmd::FENCE.with(Cmd::WSI));
    m.write32(reg::CQCSR, csr::EN | csr::FENCE_W_IP);
    assert_eq!(m.read32(reg::CQCSR), csr::EN | csr::ON);
}

fn fqcsr_01_each_bit_stands_where_it_should(m: &mut Rig) {
    // Given a queue of two entries, Then fqen is bit 0, fie bit 1, fqon bit 16
    m.write64(reg::FQB, FQ >> 12 << 10);
    m.write32(reg::FQH, 0);
    m.write32(reg::FQCSR, 3);
    assert_eq!(m.wait(reg::FQCSR, 1 << 17, 0), 3 | (1 << 16));
    // When it overflows, Then bit 9 is set and written 1 to clear
    for did in [1, 2] {
        m.ask(request(did, Access::Read, 0x1000));
    }
    m.dut.settle();
    assert_eq!(m.read32(reg::FQCSR), 3 | (1 << 16) | (1 << 9));
    m.write32(reg::FQH, 1);
    m.write32(reg::FQCSR, 3 | (1 << 9));
    assert_eq!(m.read32(reg::FQCSR), 3 | (1 << 16));
    // When a record cannot be written, Then bit 8
    m.break_writes(FQ, 64, MemStatus::Access);
    m.ask(request(3, Access::Read, 0x1000));
    m.dut.settle();
    assert_eq!(m.read32(reg::FQCSR), 3 | (1 << 16) | (1 << 8));
    m.write32(reg::FQCSR, 3 | (1 << 8));
    assert_eq!(m.read32(reg::FQCSR), 3 | (1 << 16));
}

fn fqcsr_02_enabling_starts_at_0_and_clears_the_errors(m: &mut Rig) {
    for fqmf in [false, true] {
        // Given a queue with two records, fqh = 1 and an error bit, switched off
        m.fault_queue_at(FQ, 1);
        for did in [1, 2] {
            m.ask(request(did, Access::Read, 0x1000));
        }
        m.dut.settle();
        m.write32(reg::FQH, if fqmf { 1 } else { 3 });
        let error = if fqmf {
            m.break_writes(FQ, 128, MemStatus::Access);
            csr::MF
        } else {
            csr::FQOF
        };
        m.ask(request(3, Access::Read, 0x1000));
        m.dut.settle();
        assert_eq!(m.read32(reg::FQCSR), csr::EN | csr::ON | error);
        assert_eq!(m.read32(reg::FQT), 2);
        m.write32(reg::FQCSR, 0);
        m.wait(reg::FQCSR, csr::ON | csr::BUSY, 0);
        m.break_writes(FQ, 128, MemStatus::Ok);
        // When it is enabled again
        let fqh = m.read32(reg::FQH);
        m.write32(reg::FQCSR, csr::EN);
        // Then it is on, fqt is 0, the error is gone, fqh is untouched
        assert_eq!(m.wait(reg::FQCSR, csr::BUSY, 0), csr::EN | csr::ON);
        assert_eq!((m.read32(reg::FQT), m.read32(reg::FQH)), (0, fqh));
        // And the next record goes to entry 0, unless fqh makes that the last free one
        if fqh != 1 {
            m.ask(request(9, Access::Read, 0x1000));
            m.dut.settle();
            assert_eq!(m.load(FQ) >> 40, 9);
            assert_eq!(m.read32(reg::FQT), 1);
        }
        m.write32(reg::FQCSR, 0);
        m.wait(reg::FQCSR, csr::ON | csr::BUSY, 0);
    }
}

fn fqcsr_02_disabling_clears_nothing(m: &mut Rig) {
    // Given a queue of two entries with a record and fqof
    m.fault_queue_at(FQ, 0);
    for did in [1, 2] {
        m.ask(request(did, Access::Read, 0x1000));
    }
    m.wait(reg::FQCSR, csr::FQOF, csr::FQOF);
    for value in [0, csr::IE, 0] {
        // When it is switched off, and written again while it is off, Then error and indices stay
        m.write32(reg::FQCSR, value);
        m.wait(reg::FQCSR, csr::ON | csr::BUSY, 0);
        assert_eq!(m.read32(reg::FQCSR), csr::FQOF | value);
        assert_eq!((m.read32(reg::FQH), m.read32(reg::FQT)), (0, 1));
    }
    // And a one still clears the bit
    m.write32(reg::FQCSR, csr::FQOF);
    assert_eq!(m.read32(reg::FQCSR), 0);
}

fn fqcsr_03_faults_of_a_disabled_queue_are_dropped_silently(m: &mut Rig) {
    m.wires();
    // Given a machine whose fault queue has been switched off
    m.start();
    m.refuses(request(1, Access::Read, 0x1000), 258);
    m.write32(reg::FQCSR, csr::IE);
    m.wait(reg::FQCSR, csr::ON | csr::BUSY, 0);
    let written = m.dut.writes(Purpose::Fault);
    // When requests are refused
    for did in 0..8 {
        assert_eq!(m.read(did, 0x1000), None);
    }
    m.dut.settle();
    // Then nothing is written and no bit shows it
    assert_eq!(m.dut.writes(Purpose::Fault), written);
    assert_eq!(m.read32(reg::FQCSR), csr::IE);
    assert_eq!((m.read32(reg::IPSR), m.dut.irq()), (0, 0));
    // When it is switched on again, Then only later faults are recorded
    m.fault_queue_at(FQ, 7);
    m.refuses(request(11, Access::Read, 0x1000), 258);
    assert_eq!(m.read32(reg::FQT), 1);
}

fn fqcsr_03_nothing_is_written_once_fqon_is_clear(config: &'static Config) {
    for latency in [1, 30] {
        let mut m = Rig::rtl(config, latency);
        m.ddtp(2);
        for delay in (0..48).step_by(1 + latency as usize / 10) {
            // Given six requests that are refused
            m.fault_queue_at(FQ, 7);
            let before = m.dut.writes(Purpose::Fault);
            for did in 0..6 {
                m.dut.h.submit(request(did, Access::Read, 0x1000));
            }
            // When the queue is switched off `delay` cycles later
            m.dut.step(delay);
            m.write32(reg::FQCSR, 0);
            m.wait(reg::FQCSR, csr::ON, 0);
            // Then at the moment in which fqon reads 0 the last record is in memory
            let written = m.dut.writes(Purpose::Fault);
            let fqt = m.read32(reg::FQT);
            let records: Vec<_> = (0..8).map(|i| m.record(i)).collect();
            m.dut.step(3 * latency + 20);
            assert_eq!(m.dut.writes(Purpose::Fault), written, "delay {delay}");
            assert_eq!((0..8).map(|i| m.record(i)).collect::<Vec<_>>(), records);
            // And fqt counts them
            assert_eq!(fqt, written - before, "delay {delay}");
            m.dut.h.finish_requests().expect("answers");
            while let Some(f) = m.dut.h.take_finished() {
                assert!(f.response.fault);
            }
            assert_eq!(
                m.read32(reg::FQCSR),
                0,
                "delay {delay}: no error bit of a queue that is off"
            );
        }
    }
}

fn fqcsr_04_busy_ends_and_on_follows_en(m: &mut Rig) {
    m.write64(reg::FQB, (FQ >> 12 << 10) | 7);
    for n in 0..4 {
        // When the queue is switched on, used and switched off
        m.write32(reg::FQCSR, csr::EN);
        assert_eq!(m.wait(reg::FQCSR, csr::BUSY, 0), csr::EN | csr::ON);
        for did in 0..n {
            m.ask(request(did, Access::Read, 0x1000));
        }
        m.write32(reg::FQCSR, 0);
        // Then busy ends, and fqon is what fqen is
        assert_eq!(m.wait(reg::FQCSR, csr::BUSY, 0), 0);
    }
}

fn fqcsr_04_busy_ends_with_a_broken_memory_too(m: &mut Rig) {
    // Given a queue whose memory refuses writes
    m.break_writes(FQ, 0x2000, MemStatus::Access);
    m.fault_queue_at(FQ, 7);
    // When it is switched off straight after a fault
    m.ask(request(1, Access::Read, 0x1000));
    m.write32(reg::FQCSR, 0);
    // Then busy ends, and the queue is off
    let fqcsr = m.wait(reg::FQCSR, csr::BUSY, 0);
    assert_eq!(fqcsr & (csr::EN | csr::ON), 0);
    // And it can be switched on again and works once the memory does
    m.break_writes(FQ, 0x2000, MemStatus::Ok);
    m.fault_queue_at(FQ, 7);
    m.refuses(request(1, Access::Read, 0x1000), 256);
}
