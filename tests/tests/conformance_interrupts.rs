//! Interrupts (INT).

use portcullis_sim::core::{Access, MemStatus};
use portcullis_tests::conformance::*;
use portcullis_tests::*;

conformance!(
    int_01_pending_bits_stand_where_they_should_and_one_clears_them,
    int_02_cip_follows_each_error_while_cie_is_set,
    int_02_cip_stays_clear_without_cie,
    int_03_fip_follows_records_and_errors_while_fie_is_set,
    int_03_fip_stays_clear_without_fie,
    int_06_a_condition_that_holds_sets_its_bit_again,
    int_06_a_record_alone_does_not,
    int_07_enabling_cie_with_an_error_sets_cip,
    int_07_enabling_fie_with_an_error_sets_fip,
    int_08_the_wire_is_high_while_a_bit_is_pending,
    int_08_both_sources_share_the_wire,
    int_11_vectors_of_absent_sources_read_0,
    ; tiny:
    int_10_icvec_is_one_vector_hardwired_to_0,
    int_13_the_message_table_reads_zero_and_ignores_writes,
    ; linux:
    int_10_icvec_has_two_bits_for_each_source,
);

const CIP: u64 = 1;
const FIP: u64 = 2;

/// The pending bits, with the wire that they drive.
#[track_caller]
fn pending(m: &mut Rig) -> u64 {
    m.dut.settle();
    let ipsr = m.read32(reg::IPSR);
    assert_eq!(
        m.dut.irq(),
        u32::from(ipsr != 0),
        "the wire, with ipsr {ipsr:#x}"
    );
    ipsr
}

/// Makes the command queue show cmd_ill, cqmf or fence_w_ip.
fn command_error(m: &mut Rig, bit: u64) {
    let c = match bit {
        csr::CMD_ILL => Cmd(0, 0),
        csr::MF => Cmd::FENCE.store(1 << 40, 0),
        _ => Cmd::FENCE.with(Cmd::WSI),
    };
    m.push(c);
    m.ring();
    m.wait(reg::CQCSR, bit, bit);
}

/// Clears that error; the queue goes on.
fn command_error_cured(m: &mut Rig, bit: u64, ie: u64) {
    if bit != csr::FENCE_W_IP {
        m.put(m.tail() - 1, Cmd::VMA);
    }
    m.write32(reg::CQCSR, csr::EN | ie | bit);
    m.finish();
}

const COMMAND_ERRORS: [u64; 3] = [csr::CMD_ILL, csr::MF, csr::FENCE_W_IP];

/// Makes the fault queue, which must have two entries, show fqof or fqmf; it is empty afterwards.
fn fault_error(m: &mut Rig, bit: u64) {
    let fqt = m.read32(reg::FQT);
    if bit == csr::MF {
        m.write32(reg::FQH, fqt);
        m.break_writes(FQ, 64, MemStatus::Access);
    } else {
        m.write32(reg::FQH, fqt ^ 1);
    }
    m.ask(request(1, Access::Read, PAGE));
    m.wait(reg::FQCSR, bit, bit);
    m.break_writes(FQ, 64, MemStatus::Ok);
    m.write32(reg::FQH, fqt);
}

fn int_01_pending_bits_stand_where_they_should_and_one_clears_them(m: &mut Rig) {
    m.wires();
    // Given both sources pending
    m.queues(7, 7);
    m.write32(reg::CQCSR, csr::EN | csr::IE);
    m.write32(reg::FQCSR, csr::EN | csr::IE);
    m.run(Cmd::FENCE.with(Cmd::WSI));
    m.write32(reg::CQCSR, csr::EN | csr::IE | csr::FENCE_W_IP);
    m.ask(request(1, Access::Read, PAGE));
    assert_eq!(pending(m), CIP | FIP);
    // When zeros are written, Then they stay; a one clears its own bit and no other
    m.write32(reg::IPSR, 0);
    assert_eq!(pending(m), CIP | FIP);
    m.write32(reg::IPSR, CIP);
    assert_eq!(pending(m), FIP);
    m.write32(reg::IPSR, CIP | 0xffff_fffc);
    assert_eq!(pending(m), FIP);
    m.write32(reg::IPSR, FIP);
    assert_eq!(pending(m), 0);
    // And ones are never set by software
    m.write32(reg::IPSR, 0xffff_ffff);
    assert_eq!(pending(m), 0);
}

fn int_02_cip_follows_each_error_while_cie_is_set(m: &mut Rig) {
    m.wires();
    m.command_queue_at(CQ, 7);
    m.write32(reg::CQCSR, csr::EN | csr::IE);
    for bit in COMMAND_ERRORS {
        // When an error bit of the command queue is set, Then cip
        assert_eq!(pending(m), 0);
        command_error(m, bit);
        assert_eq!(pending(m), CIP, "bit {bit:#x}");
        // When error and cip are cleared, Then it stays clear
        command_error_cured(m, bit, csr::IE);
        m.write32(reg::IPSR, CIP);
        assert_eq!(pending(m), 0, "bit {bit:#x}");
    }
    // And commands without error do not raise it
    for c in [
        Cmd::VMA,
        Cmd::FENCE,
        Cmd::INVAL_DDT,
        Cmd::FENCE.store(SCRATCH, 1),
    ] {
        m.run(c);
    }
    assert_eq!(pending(m), 0);
}

fn int_02_cip_stays_clear_without_cie(m: &mut Rig) {
    m.wires();
    m.command_queue_at(CQ, 7);
    for bit in COMMAND_ERRORS {
        command_error(m, bit);
        assert_eq!(pending(m), 0);
        command_error_cured(m, bit, 0);
    }
}

fn int_03_fip_follows_records_and_errors_while_fie_is_set(m: &mut Rig) {
    m.wires();
    m.fault_queue_at(FQ, 0);
    m.write32(reg::FQCSR, csr::EN | csr::IE);
    assert_eq!(pending(m), 0);
    // When a record is written, Then fip
    m.refuses(request(1, Access::Read, PAGE), 256);
    assert_eq!(pending(m), FIP);
    m.write32(reg::IPSR, FIP);
    assert_eq!(pending(m), 0);
    for bit in [csr::FQOF, csr::MF] {
        // When the queue overflows or cannot be written, Then fip
        fault_error(m, bit);
        assert_eq!(pending(m), FIP, "bit {bit:#x}");
        m.write32(reg::FQCSR, csr::EN | csr::IE | bit);
        m.write32(reg::IPSR, FIP);
        assert_eq!(pending(m), 0, "bit {bit:#x}");
    }
    // And a request that is granted does not raise it
    m.ddtp(1);
    m.grants(request(1, Access::Read, PAGE), PAGE);
    assert_eq!(pending(m), 0);
}

fn int_03_fip_stays_clear_without_fie(m: &mut Rig) {
    m.wires();
    m.fault_queue_at(FQ, 0);
    m.refuses(request(1, Access::Read, PAGE), 256);
    assert_eq!(pending(m), 0);
    for bit in [csr::FQOF, csr::MF] {
        fault_error(m, bit);
        assert_eq!(pending(m), 0);
        m.write32(reg::FQCSR, csr::EN | bit);
    }
}

fn int_06_a_condition_that_holds_sets_its_bit_again(m: &mut Rig) {
    m.wires();
    m.command_queue_at(CQ, 7);
    m.write32(reg::CQCSR, csr::EN | csr::IE);
    for bit in COMMAND_ERRORS {
        // Given an error of the command queue, When only cip is cleared, Then it comes back, each time
        command_error(m, bit);
        for _ in 0..3 {
            m.write32(reg::IPSR, CIP);
            assert_eq!(pending(m), CIP, "bit {bit:#x}");
        }
        // When the error is cleared but cip is not, Then cip stays; then it can be cleared
        command_error_cured(m, bit, csr::IE);
        assert_eq!(pending(m), CIP);
        m.write32(reg::IPSR, CIP);
        assert_eq!(pending(m), 0);
    }
    // The same for the fault queue
    m.fault_queue_at(FQ, 0);
    m.write32(reg::FQCSR, csr::EN | csr::IE);
    for bit in [csr::FQOF, csr::MF] {
        fault_error(m, bit);
        for _ in 0..3 {
            m.write32(reg::IPSR, FIP);
            assert_eq!(pending(m), FIP, "bit {bit:#x}");
        }
        m.write32(reg::FQCSR, csr::EN | csr::IE | bit);
        assert_eq!(pending(m), FIP);
        m.write32(reg::IPSR, FIP);
        assert_eq!(pending(m), 0);
    }
}

fn int_06_a_record_alone_does_not(m: &mut Rig) {
    m.wires();
    m.fault_queue_at(FQ, 7);
    m.write32(reg::FQCSR, csr::EN | csr::IE);
    for did in 0..4 {
        // Given a record that software has not consumed yet
        m.ask(request(did, Access::Read, PAGE));
        assert_eq!(pending(m), FIP);
        // When fip is cleared, Then it stays clear until the next record
        m.write32(reg::IPSR, FIP);
        assert_eq!(pending(m), 0);
    }
    assert_eq!((m.read32(reg::FQH), m.read32(reg::FQT)), (0, 4));
}

fn int_07_enabling_cie_with_an_error_sets_cip(m: &mut Rig) {
    m.wires();
    m.command_queue_at(CQ, 7);
    for bit in COMMAND_ERRORS {
        // Given an error that happened while cie was 0
        command_error(m, bit);
        assert_eq!(pending(m), 0);
        // When cie is set, Then cip
        m.write32(reg::CQCSR, csr::EN | csr::IE);
        assert_eq!(pending(m), CIP, "bit {bit:#x}");
        command_error_cured(m, bit, 0);
        m.write32(reg::IPSR, CIP);
        // When cie is set without an error, Then nothing
        m.write32(reg::CQCSR, csr::EN | csr::IE);
        assert_eq!(pending(m), 0);
        m.write32(reg::CQCSR, csr::EN);
    }
}

fn int_07_enabling_fie_with_an_error_sets_fip(m: &mut Rig) {
    m.wires();
    m.fault_queue_at(FQ, 0);
    for bit in [csr::FQOF, csr::MF] {
        // Given an error that happened while fie was 0, When fie is set, Then fip
        fault_error(m, bit);
        assert_eq!(pending(m), 0);
        m.write32(reg::FQCSR, csr::EN | csr::IE);
        assert_eq!(pending(m), FIP, "bit {bit:#x}");
        // When error and fip are cleared, Then nothing is left
        m.write32(reg::FQCSR, csr::EN | bit);
        m.write32(reg::IPSR, FIP);
        m.write32(reg::FQCSR, csr::EN | csr::IE);
        assert_eq!(pending(m), 0);
        m.write32(reg::FQCSR, csr::EN);
    }
}

fn int_08_the_wire_is_high_while_a_bit_is_pending(m: &mut Rig) {
    m.wires();
    m.fault_queue_at(FQ, 7);
    m.write32(reg::FQCSR, csr::EN | csr::IE);
    assert_eq!(m.dut.irq(), 0);
    for did in 0..3 {
        // When fip is set, Then wire 0 is high, and stays so without software
        m.ask(request(did, Access::Read, PAGE));
        m.dut.settle();
        for _ in 0..5 {
            assert_eq!(m.dut.irq(), 1);
            m.dut.step(40);
        }
        // When fie is cleared, Then what is pending stays pending
        m.write32(reg::FQCSR, csr::EN);
        m.dut.settle();
        assert_eq!((m.read32(reg::IPSR), m.dut.irq()), (FIP, 1));
        m.write32(reg::FQCSR, csr::EN | csr::IE);
        // When fip is cleared, Then it is low
        m.write32(reg::IPSR, FIP);
        m.dut.settle();
        assert_eq!((m.read32(reg::IPSR), m.dut.irq()), (0, 0));
    }
}

fn int_08_both_sources_share_the_wire(m: &mut Rig) {
    m.wires();
    m.queues(7, 7);
    m.write32(reg::CQCSR, csr::EN | csr::IE);
    m.write32(reg::FQCSR, csr::EN | csr::IE);
    for first in [CIP, FIP] {
        // Given both bits pending
        m.run(Cmd::FENCE.with(Cmd::WSI));
        m.write32(reg::CQCSR, csr::EN | csr::IE | csr::FENCE_W_IP);
        m.ask(request(1, Access::Read, PAGE));
        assert_eq!(pending(m), CIP | FIP);
        // When one is cleared, Then the wire stays high; when the other is too, it falls
        m.write32(reg::IPSR, first);
        assert_eq!(pending(m), (CIP | FIP) & !first);
        m.write32(reg::IPSR, (CIP | FIP) & !first);
        assert_eq!(pending(m), 0);
    }
}

fn int_10_icvec_is_one_vector_hardwired_to_0(m: &mut Rig) {
    // When a driver writes 15 to each field to find the number of vectors, Then it reads 0: there is one
    for value in [0xf, 0xff, 0xffff, u64::MAX, 0x1234_5678_9abc_def0] {
        m.write64(reg::ICVEC, value);
        assert_eq!(m.read64(reg::ICVEC), 0);
        m.write32(reg::ICVEC, value);
        m.write32(reg::ICVEC + 4, value);
        assert_eq!(m.read64(reg::ICVEC), 0);
        assert_eq!((m.read32(reg::ICVEC), m.read32(reg::ICVEC + 4)), (0, 0));
    }
    // And wire 0 is the one that both sources drive
    m.queues(7, 7);
    m.write32(reg::FQCSR, csr::EN | csr::IE);
    m.ask(request(1, Access::Read, PAGE));
    assert_eq!(pending(m), FIP);
}

fn int_10_icvec_has_two_bits_for_each_source(m: &mut Rig) {
    // When a driver writes 15 to each field to find the number of vectors, Then it reads 3: there are four
    for (value, reads) in [
        (0xf, 0x003),
        (0xf0, 0x030),
        (0xf00, 0x300),
        (u64::MAX, 0x333),
        (0x1234_5678_9abc_d120, 0x120),
        (0, 0),
    ] {
        m.write64(reg::ICVEC, value);
        assert_eq!(m.read64(reg::ICVEC), reads);
        // ... by halves too, of which the upper one holds nothing
        m.write32(reg::ICVEC, !value & 0xffff_ffff);
        m.write32(reg::ICVEC + 4, 0xffff_ffff);
        m.write32(reg::ICVEC, value & 0xffff_ffff);
        assert_eq!((m.read32(reg::ICVEC), m.read32(reg::ICVEC + 4)), (reads, 0));
    }
    // And each vector is a wire of its own
    m.wires();
    m.queues(7, 7);
    m.write32(reg::FQCSR, csr::EN | csr::IE);
    for vector in 0..4 {
        m.write64(reg::ICVEC, vector << 4);
        m.ask(request(1, Access::Read, PAGE));
        m.dut.settle();
        assert_eq!(m.dut.irq(), 1 << vector);
        m.write32(reg::IPSR, FIP);
        m.dut.settle();
        assert_eq!(m.dut.irq(), 0);
    }
}

fn int_11_vectors_of_absent_sources_read_0(m: &mut Rig) {
    // pmiv (11:8) needs HPM, piv (15:12) ATS
    let there = m.pick(Each {
        tiny: 0,
        linux: 0x0300,
    });
    m.write64(reg::ICVEC, 0xff00);
    assert_eq!(m.read64(reg::ICVEC) & 0xff00, there);
    m.write64(reg::ICVEC, 0);
    m.write32(reg::ICVEC, 0xff00);
    assert_eq!(m.read32(reg::ICVEC) & 0xff00, there);
}

fn int_13_the_message_table_reads_zero_and_ignores_writes(m: &mut Rig) {
    m.queues(7, 7);
    // When every entry is written, Then it reads 0
    for entry in 0..16u16 {
        let at = 768 + 16 * entry;
        m.write64(at, SCRATCH);
        m.write32(at + 8, 0x1234);
        m.write32(at + 12, 0);
        assert_eq!(
            (m.read64(at), m.read32(at + 8), m.read32(at + 12)),
            (0, 0, 0),
            "entry {entry}"
        );
    }
    // And an interrupt goes by the wire: nothing is stored
    m.write32(reg::FQCSR, csr::EN | csr::IE);
    m.ask(request(1, Access::Read, PAGE));
    assert_eq!(pending(m), FIP);
    assert_eq!(m.load(SCRATCH), 0);
}
