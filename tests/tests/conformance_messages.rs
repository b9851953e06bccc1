//! Interrupts by message (INT-05, INT-09, INT-12, INT-15, INT-16).

use portcullis_sim::core::{Access, MemStatus};
use portcullis_tests::conformance::*;
use portcullis_tests::*;

conformance!(
    ; linux:
    int_01_pmip_stands_at_bit_2_and_one_clears_it,
    int_05_an_overflow_sets_pmip,
    int_05_nothing_but_an_overflow_sets_pmip,
    int_06_a_condition_that_holds_sends_another_message,
    int_07_enabling_with_an_error_sends_a_message,
    int_08_each_source_drives_the_wire_of_its_vector,
    int_09_each_pending_bit_sends_one_message,
    int_09_each_source_uses_the_entry_of_its_vector,
    int_12_the_fields_of_every_entry_stand_where_they_should,
    int_15_a_masked_message_is_held_back_and_sent_once,
    int_15_it_is_sent_though_ipsr_was_cleared_meanwhile,
    int_15_unmasking_without_a_pending_message_sends_nothing,
    int_15_each_vector_has_its_own_mask,
    int_15_a_message_keeps_its_vector_when_icvec_changes,
    int_15_messages_of_several_vectors_of_one_source_are_all_sent,
    int_16_a_message_that_cannot_be_written_is_273,
    int_16_a_message_beyond_pas_is_273,
);

const CIP: u64 = 1;
const FIP: u64 = 2;
const PMIP: u64 = 4;

/// No message.
const NONE: [u64; 0] = [];

/// Where the message of a vector goes.
fn slot(vector: u64) -> u64 {
    SCRATCH + 0x100 * vector + 4
}

/// What it says.
fn data(vector: u64) -> u64 {
    0x5a00_0000 + vector
}

/// Entry of msi_cfg_tbl: offset of its address, its data and its mask.
fn entry(vector: u64) -> (u16, u16, u16) {
    let at = 768 + 16 * vector as u16;
    (at, at + 8, at + 12)
}

/// Both queues on with their interrupts, a message for each vector, cip, fip and pmip with vectors 0, 1 and 2.
fn messages(m: &mut Rig) {
    m.write32(reg::FCTL, 0);
    for vector in 0..4 {
        let (addr, word, mask) = entry(vector);
        m.write64(addr, slot(vector));
        m.write32(word, data(vector));
        m.write32(mask, 0);
    }
    m.write64(reg::ICVEC, 0x0210);
    m.queues(7, 7);
    m.write32(reg::CQCSR, csr::EN | csr::IE);
    m.write32(reg::FQCSR, csr::EN | csr::IE);
}

/// Which messages have been sent since the last call; more than one of a vector shows as one.
fn sent(m: &mut Rig) -> Vec<u64> {
    m.dut.settle();
    m.dut.settle();
    assert_eq!(m.dut.irq(), 0, "no wire is driven");
    let arrived = (0..4).filter(|v| m.load(slot(*v) & !7) == data(*v) << 32);
    let arrived: Vec<u64> = arrived.collect();
    for vector in 0..4 {
        m.store(slot(vector) & !7, 0);
    }
    arrived
}

/// A fault that is recorded.
fn fault(m: &mut Rig) {
    assert!(m.ask(request(1, Access::Read, PAGE)).fault);
    m.dut.settle();
}

/// A command error, cured at once; cip stays pending.
fn command_error(m: &mut Rig) {
    m.rejects_with(Cmd(0, 0), csr::IE);
}

/// A counter overflows: the first counts untranslated requests.
fn overflow(m: &mut Rig) {
    m.write64(352, 1);
    m.write64(104, u64::MAX);
    m.ask(request(1, Access::Read, PAGE));
    m.dut.settle();
    m.write64(352, 0);
}

fn int_01_pmip_stands_at_bit_2_and_one_clears_it(m: &mut Rig) {
    m.wires();
    overflow(m);
    assert_eq!(m.read32(reg::IPSR), PMIP);
    m.write32(reg::IPSR, !PMIP & 0xffff_ffff);
    assert_eq!(m.read32(reg::IPSR), PMIP);
    m.write32(reg::IPSR, PMIP);
    assert_eq!(m.read32(reg::IPSR), 0);
}

fn int_05_an_overflow_sets_pmip(m: &mut Rig) {
    for counter in 0..4u16 {
        // Given each counter, just before its end
        m.write64(352 + 8 * counter, 1);
        m.write64(104 + 8 * counter, u64::MAX);
        assert_eq!(m.read32(reg::IPSR), 0);
        // When it passes it, Then pmip
        m.ask(request(1, Access::Read, PAGE));
        m.dut.settle();
        assert_eq!(m.read32(reg::IPSR), PMIP, "counter {counter}");
        m.write32(reg::IPSR, PMIP);
        // When it does so again while OF is still set, Then not
        m.write64(104 + 8 * counter, u64::MAX);
        m.ask(request(1, Access::Read, PAGE));
        m.dut.settle();
        assert_eq!(m.read32(reg::IPSR), 0, "counter {counter}, OF set");
        m.write64(352 + 8 * counter, 0);
    }
    // And the cycle counter too
    m.write64(96, (1 << 63) - 10);
    m.dut.step(40);
    assert_eq!(m.read32(reg::IPSR), PMIP);
    m.write32(reg::IPSR, PMIP);
    m.write64(96, u64::MAX - 10);
    m.dut.step(40);
    assert_eq!(m.read32(reg::IPSR), 0, "OF set");
}

fn int_05_nothing_but_an_overflow_sets_pmip(m: &mut Rig) {
    // When software sets OF bits, or writes counters at their end
    for counter in 0..4u16 {
        m.write64(352 + 8 * counter, 1 << 63);
        m.write64(104 + 8 * counter, u64::MAX);
        m.write64(104 + 8 * counter, 0);
    }
    m.write64(96, 1 << 63);
    m.write64(96, 0);
    m.dut.settle();
    // Then pmip stays 0, and so with events that are counted without overflow
    assert_eq!(m.read32(reg::IPSR), 0);
    m.write64(352, 1);
    for _ in 0..4 {
        m.ask(request(1, Access::Read, PAGE));
    }
    m.dut.settle();
    assert_eq!((m.read32(reg::IPSR), m.read64(104)), (0, 4));
}

fn int_09_each_pending_bit_sends_one_message(m: &mut Rig) {
    messages(m);
    assert_eq!(sent(m), NONE);
    // When a bit goes from 0 to 1, Then one message; while it stays, none
    for (bit, vector, cause) in [
        (FIP, 1, fault as fn(&mut Rig)),
        (CIP, 0, command_error),
        (PMIP, 2, |m: &mut Rig| {
            m.write32(reg::FQCSR, csr::EN);
            overflow(m);
            m.write32(reg::FQCSR, csr::EN | csr::IE);
        }),
    ] {
        for _ in 0..2 {
            m.write32(reg::IPSR, 7);
            assert_eq!(sent(m), NONE);
            cause(m);
            assert_eq!(sent(m), [vector], "bit {bit}");
            assert_eq!(m.read32(reg::IPSR), bit);
            cause(m);
            assert_eq!(sent(m), NONE, "bit {bit} was pending already");
            m.write64(352, 0);
        }
    }
}

fn int_09_each_source_uses_the_entry_of_its_vector(m: &mut Rig) {
    messages(m);
    for vector in 0..4 {
        // Given fiv anywhere, and the others elsewhere
        let other = (vector + 1) % 4;
        m.write64(reg::ICVEC, (vector << 4) | other | (other << 8));
        // When fip rises, Then the message of that vector: 4 bytes, little-endian, and nothing beside them
        let at = slot(vector) & !7;
        m.store(at, u64::MAX);
        m.store(at + 8, u64::MAX);
        fault(m);
        m.dut.settle();
        assert_eq!(m.load(at), (data(vector) << 32) | 0xffff_ffff);
        assert_eq!(m.load(at + 8), u64::MAX);
        m.store(at, data(vector) << 32);
        assert_eq!(sent(m), [vector]);
        m.write32(reg::IPSR, FIP);
    }
    // And sources that share a vector send a message each: the second arrives though the first has
    m.write64(reg::ICVEC, 0x0333);
    fault(m);
    assert_eq!(sent(m), [3]);
    command_error(m);
    assert_eq!(sent(m), [3]);
}

fn int_06_a_condition_that_holds_sends_another_message(m: &mut Rig) {
    messages(m);
    // Given an error of the command queue that stays
    m.push(Cmd(0, 0));
    m.ring();
    assert_eq!(sent(m), [0]);
    for _ in 0..3 {
        // When software clears cip alone, Then it is set again, with a new message
        m.write32(reg::IPSR, CIP);
        assert_eq!(sent(m), [0]);
        assert_eq!(m.read32(reg::IPSR), CIP);
    }
}

fn int_07_enabling_with_an_error_sends_a_message(m: &mut Rig) {
    messages(m);
    // Given an error that happened while cie was 0
    m.write32(reg::CQCSR, csr::EN);
    m.push(Cmd(0, 0));
    m.ring();
    assert_eq!(sent(m), NONE);
    // When cie is set, Then cip and its message
    m.write32(reg::CQCSR, csr::EN | csr::IE);
    assert_eq!(sent(m), [0]);
    assert_eq!(m.read32(reg::IPSR), CIP);
}

fn int_08_each_source_drives_the_wire_of_its_vector(m: &mut Rig) {
    m.wires();
    m.write64(reg::ICVEC, 0x0213);
    m.queues(7, 7);
    m.write32(reg::CQCSR, csr::EN | csr::IE);
    m.write32(reg::FQCSR, csr::EN | csr::IE);
    // When each source becomes pending, Then its own wire rises, and falls when it is cleared
    for (bit, wire, cause) in [(CIP, 3, command_error as fn(&mut Rig)), (FIP, 1, fault)] {
        cause(m);
        m.dut.settle();
        assert_eq!((m.read32(reg::IPSR), m.dut.irq()), (bit, 1 << wire));
        m.write32(reg::IPSR, bit);
        m.dut.settle();
        assert_eq!(m.dut.irq(), 0);
    }
    m.write32(reg::FQCSR, csr::EN);
    overflow(m);
    assert_eq!((m.read32(reg::IPSR), m.dut.irq()), (PMIP, 1 << 2));
    // When icvec moves it, Then the level follows; and no message is sent
    m.write64(reg::ICVEC, 0x0000);
    m.dut.settle();
    assert_eq!(m.dut.irq(), 1);
}

fn int_12_the_fields_of_every_entry_stand_where_they_should(m: &mut Rig) {
    // When every entry is written, Then msi_addr keeps 55:2, msi_data 31:0, msi_vec_ctl bit 0
    for vector in 0..4 {
        let (addr, word, mask) = entry(vector);
        for value in [u64::MAX, 0, 0x0012_3456_789a_bcdc + (vector << 48)] {
            m.write64(addr, value);
            assert_eq!(m.read64(addr), value & 0x00ff_ffff_ffff_fffc);
            m.write32(word, !value & 0xffff_ffff);
            assert_eq!(m.read32(word), !value & 0xffff_ffff);
            m.write32(mask, value & 0xffff_ffff);
            assert_eq!(m.read32(mask), value & 1);
            // ... by halves too
            m.write32(addr, !value & 0xffff_ffff);
            m.write32(addr + 4, !value >> 32);
            assert_eq!(m.read64(addr), !value & 0x00ff_ffff_ffff_fffc);
            m.write64(addr, value);
        }
        m.write32(word, 0x1111 * (vector + 1));
    }
    // And the entries do not touch each other
    for vector in 0..4 {
        let (addr, word, mask) = entry(vector);
        let kept = (0x0012_3456_789a_bcdc + (vector << 48)) & 0x00ff_ffff_ffff_fffc;
        assert_eq!(m.read64(addr), kept);
        assert_eq!((m.read32(word), m.read32(mask)), (0x1111 * (vector + 1), 0));
    }
}

fn int_15_a_masked_message_is_held_back_and_sent_once(m: &mut Rig) {
    messages(m);
    let (_, _, mask) = entry(1);
    // Given a masked vector, When its source becomes pending, several times, Then no message
    m.write32(mask, 1);
    for _ in 0..3 {
        fault(m);
        m.write32(reg::IPSR, FIP);
    }
    fault(m);
    assert_eq!(sent(m), NONE);
    assert_eq!(m.read32(reg::IPSR), FIP);
    // When it is unmasked, Then one message; masking and unmasking again sends no more
    m.write32(mask, 0);
    assert_eq!(sent(m), [1]);
    m.write32(mask, 1);
    m.write32(mask, 0);
    assert_eq!(sent(m), NONE);
    // And the next edge sends one as before
    m.write32(reg::IPSR, FIP);
    fault(m);
    assert_eq!(sent(m), [1]);
}

fn int_15_it_is_sent_though_ipsr_was_cleared_meanwhile(m: &mut Rig) {
    messages(m);
    let (_, _, mask) = entry(1);
    m.write32(mask, 1);
    fault(m);
    m.write32(reg::IPSR, FIP);
    assert_eq!(m.read32(reg::IPSR), 0);
    assert_eq!(sent(m), NONE);
    // When it is unmasked with nothing pending any more, Then the message is sent all the same
    m.write32(mask, 0);
    assert_eq!(sent(m), [1]);
    assert_eq!(m.read32(reg::IPSR), 0);
}

fn int_15_unmasking_without_a_pending_message_sends_nothing(m: &mut Rig) {
    messages(m);
    // Given a bit whose message has been sent, and bits that never were set
    fault(m);
    assert_eq!(sent(m), [1]);
    for vector in 0..4 {
        let (_, _, mask) = entry(vector);
        m.write32(mask, 1);
        m.write32(mask, 0);
        assert_eq!(sent(m), NONE, "vector {vector}");
    }
}

fn int_15_each_vector_has_its_own_mask(m: &mut Rig) {
    messages(m);
    // Given only the vector of the command queue masked
    let (_, _, mask) = entry(0);
    m.write32(mask, 1);
    command_error(m);
    fault(m);
    // Then the other source is not held back
    assert_eq!(sent(m), [1]);
    m.write32(mask, 0);
    assert_eq!(sent(m), [0]);
}

fn int_15_a_message_keeps_its_vector_when_icvec_changes(m: &mut Rig) {
    messages(m);
    // Given a message of vector 1 that is held back
    let (_, _, mask) = entry(1);
    m.write32(mask, 1);
    fault(m);
    for vector in [0, 2, 3] {
        // When icvec names another vector, which is not masked, Then nothing is sent: the message was made by the edge,
        // of the vector that icvec named then (ipsr)
        m.write64(reg::ICVEC, vector << 4);
        assert_eq!(sent(m), NONE);
    }
    // When vector 1 is unmasked, Then its message is sent
    m.write32(mask, 0);
    assert_eq!(sent(m), [1]);
    // And the next edge makes one of the new vector
    m.write32(reg::IPSR, FIP);
    fault(m);
    assert_eq!(sent(m), [3]);
}

fn int_15_messages_of_several_vectors_of_one_source_are_all_sent(m: &mut Rig) {
    messages(m);
    for vector in 0..4 {
        let (_, _, mask) = entry(vector);
        m.write32(mask, 1);
        // Given an edge of the same source while icvec names each vector, all masked
        m.write64(reg::ICVEC, vector << 4);
        fault(m);
        m.write32(reg::IPSR, FIP);
    }
    assert_eq!(sent(m), NONE);
    // When they are unmasked, Then each is sent
    for vector in (0..4).rev() {
        let (_, _, mask) = entry(vector);
        m.write32(mask, 0);
        assert_eq!(sent(m), [vector]);
    }
}

/// The record of a message that could not be written (INT-16, FLT-10).
fn is_273(m: &mut Rig, addr: u64) {
    let records = m.faults();
    let failed: Vec<_> = records.iter().filter(|r| r.cause() == 273).collect();
    assert_eq!(failed.len(), 1, "{records:x?}");
    // CAUSE 273, TTYP 0 and no ids; iotval is the address
    assert_eq!(failed[0].dw[0], 273);
    assert_eq!(failed[0].dw[2], addr);
    assert_eq!(failed[0].dw[3], 0);
}

fn int_16_a_message_that_cannot_be_written_is_273(m: &mut Rig) {
    messages(m);
    for status in [MemStatus::Access, MemStatus::Corrupt] {
        // Given an address that refuses the message
        m.break_writes(slot(0) & !7, 8, status);
        command_error(m);
        // Then a record says so, and the record itself raises fip
        is_273(m, slot(0));
        m.break_writes(slot(0) & !7, 8, MemStatus::Ok);
        assert_eq!(sent(m), [1]);
        assert_eq!(m.read32(reg::IPSR), CIP | FIP);
        // When the memory works, Then the message is not sent late, and the next edge sends one
        m.write32(reg::IPSR, CIP | FIP);
        command_error(m);
        assert_eq!(sent(m), [0]);
        m.write32(reg::IPSR, CIP);
    }
}

fn int_16_a_message_beyond_pas_is_273(m: &mut Rig) {
    messages(m);
    let (at, _, _) = entry(0);
    for bit in m.pas()..56 {
        // Given an address with one bit that PAS does not reach, over one that would do
        let addr = slot(0) | (1 << bit);
        m.write64(at, addr);
        command_error(m);
        // Then the same
        is_273(m, addr);
        assert_eq!(m.load(slot(0) & !7), 0);
        m.write32(reg::IPSR, CIP | FIP);
    }
}
