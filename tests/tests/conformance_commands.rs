//! The command queue and ATS commands (CQ, ATC).

use portcullis_sim::core::{MemStatus, Purpose};
use portcullis_tests::conformance::*;
use portcullis_tests::*;

conformance!(
    cq_01_opcode_and_func3_stand_where_they_should,
    cq_02_commands_are_fetched_in_order_from_cqh,
    cq_02_nothing_is_fetched_while_cqh_is_cqt,
    cq_03_cqh_advances_by_one_modulo_the_size,
    cq_04_no_fetch_after_an_illegal_command,
    cq_04_no_fetch_after_a_memory_fault,
    cq_04_fence_w_ip_does_not_stop_the_queue,
    cq_05_a_failed_fetch_sets_cqmf_and_cqh_stays,
    cq_06_every_undefined_opcode_is_illegal,
    cq_06_every_undefined_func3_is_illegal,
    cq_07_each_reserved_bit_of_iotinval_is_illegal,
    cq_07_each_reserved_bit_of_iofence_is_illegal,
    cq_07_each_reserved_bit_of_iodir_is_illegal,
    cq_08_commands_of_absent_features_are_illegal,
    cq_09_cqh_stays_and_clearing_fetches_the_same_entry_again,
    cq_10_each_error_raises_cip,
    cq_11_the_queue_runs_in_off_and_bare,
    cq_12_a_queue_of_n_takes_n_minus_1_commands,
    cq_12_equal_indices_mean_empty,
    atc_02_ats_commands_are_illegal,
);

fn cq_01_opcode_and_func3_stand_where_they_should(m: &mut Rig) {
    m.start();
    // Given commands in bytes: opcode in bits 6:0, func3 in 9:7, operands in two little-endian doublewords
    let fence = [
        0x02, 0x04, 0, 0, 0x78, 0x56, 0x34, 0x12, 0x00, 0x20, 0, 0x04, 0, 0, 0, 0,
    ];
    m.dut.mem_write(CQ, &fence);
    m.push(Cmd(m.load(CQ), m.load(CQ + 8)));
    m.finish();
    // Then a fence with AV stores 0x12345678 at 4 x 0x0400_2000
    assert_eq!(m.load(SCRATCH), 0x1234_5678);
    // And func3 is the bits 9:7: 1 makes IOTINVAL.GVMA, IODIR.INVAL_PDT and an undefined fence
    m.accepts(Cmd(0x081, 0));
    m.accepts(Cmd::INVAL_PDT.did(DEV.into()));
    m.rejects(Cmd(0x082, 0));
}

fn cq_02_commands_are_fetched_in_order_from_cqh(m: &mut Rig) {
    m.start();
    // Given fences that each overwrite the same word
    for i in 1..=100 {
        m.push(Cmd::FENCE.store(SCRATCH, i));
    }
    // When the queue runs, Then the word counts up and never back
    m.ring();
    let mut last = 0;
    for _ in 0..5_000 {
        let now = m.load(SCRATCH);
        assert!(now >= last, "{now} after {last}");
        last = now;
        if m.read32(reg::CQH) == 100 {
            break;
        }
    }
    assert_eq!(m.load(SCRATCH), 100);
    // And each was fetched once, unless the machine fetches several at a time
    assert!(m.dut.reads(Purpose::Command) <= 100);
}

fn cq_02_nothing_is_fetched_while_cqh_is_cqt(m: &mut Rig) {
    m.start();
    m.dut.settle();
    assert_eq!(m.dut.reads(Purpose::Command), 0);
    // Given three commands in memory of which cqt covers one
    for i in 0..3 {
        m.push(Cmd::FENCE.store(SCRATCH + 8 * i, 1));
    }
    m.write32(reg::CQT, 1);
    m.dut.settle();
    // Then that one is executed, and the others when cqt covers them
    assert_eq!((m.load(SCRATCH), m.load(SCRATCH + 8)), (1, 0));
    assert_eq!(m.read32(reg::CQH), 1);
    m.write32(reg::CQT, 3);
    m.wait(reg::CQH, u64::MAX, 3);
    assert_eq!((m.load(SCRATCH + 8), m.load(SCRATCH + 16)), (1, 1));
}

fn cq_03_cqh_advances_by_one_modulo_the_size(m: &mut Rig) {
    // Given a queue of 8 entries
    m.command_queue_at(CQ, 2);
    for i in 1..=20 {
        // When one command of any kind is executed, Then cqh is one further, and 0 after 7
        let c = [Cmd::VMA, Cmd::FENCE, Cmd::INVAL_DDT, Cmd::GVMA][i as usize % 4];
        m.run(c);
        assert_eq!(m.read32(reg::CQH), i % 8);
    }
}

/// The queue has stopped with `error` at `index`: nothing more is fetched, whatever cqt does, until it is cleared.
fn is_stopped(m: &mut Rig, error: u64, index: u64) {
    m.dut.settle();
    assert_eq!(m.read32(reg::CQCSR) & error, error);
    let fetched = m.dut.reads(Purpose::Command);
    m.push(Cmd::FENCE.store(SCRATCH, 7));
    m.ring();
    m.dut.settle();
    assert_eq!(m.dut.reads(Purpose::Command), fetched);
    assert_eq!(m.read32(reg::CQH), index);
    assert_eq!(m.load(SCRATCH), 0);
    // Then it is not busy and not off
    assert_eq!(m.read32(reg::CQCSR) & (csr::ON | csr::BUSY), csr::ON);
    // When the command has been put right and the bit cleared, Then it goes on
    m.put(index, Cmd::VMA);
    m.write32(reg::CQCSR, csr::EN | error);
    m.finish();
    assert_eq!(m.load(SCRATCH), 7);
}

fn cq_04_no_fetch_after_an_illegal_command(m: &mut Rig) {
    m.start();
    m.run(Cmd::VMA);
    m.push(Cmd(0x7f, 0));
    m.ring();
    is_stopped(m, csr::CMD_ILL, 1);
}

fn cq_04_no_fetch_after_a_memory_fault(m: &mut Rig) {
    m.start();
    m.run(Cmd::VMA);
    m.break_reads(CQ + 16, 16, MemStatus::Access);
    m.push(Cmd::VMA);
    m.ring();
    m.dut.settle();
    m.break_reads(CQ + 16, 16, MemStatus::Ok);
    is_stopped(m, csr::MF, 1);
}

fn cq_04_fence_w_ip_does_not_stop_the_queue(m: &mut Rig) {
    m.wires();
    m.start();
    m.run(Cmd::FENCE.with(Cmd::WSI));
    assert_eq!(m.read32(reg::CQCSR) & csr::FENCE_W_IP, csr::FENCE_W_IP);
    m.run(Cmd::FENCE.store(SCRATCH, 5));
    m.run(Cmd::VMA);
    assert_eq!(m.load(SCRATCH), 5);
    assert_eq!(m.read32(reg::CQH), 3);
}

fn cq_05_a_failed_fetch_sets_cqmf_and_cqh_stays(m: &mut Rig) {
    m.start();
    for status in [MemStatus::Access, MemStatus::Corrupt] {
        for word in 0..2 {
            // Given two good commands, and one of which a doubleword cannot be read
            m.run(Cmd::VMA);
            m.push(Cmd::FENCE.store(SCRATCH, 1));
            let index = m.push(Cmd::FENCE.store(SCRATCH, 2));
            m.break_reads(CQ + 16 * index + 8 * word, 8, status);
            m.ring();
            m.dut.settle();
            // Then cqmf is set and nothing else, cqh names that one, and only those before it have run
            assert_eq!(m.read32(reg::CQCSR), csr::EN | csr::ON | csr::MF);
            assert_eq!(m.read32(reg::CQH), index);
            assert_eq!(m.load(SCRATCH), 1);
            // When it can be read and cqmf is cleared, Then it runs
            m.break_reads(CQ, 4096, MemStatus::Ok);
            m.write32(reg::CQCSR, csr::EN | csr::MF);
            m.finish();
            assert_eq!(m.load(SCRATCH), 2);
            m.store(SCRATCH, 0);
        }
    }
}

fn cq_06_every_undefined_opcode_is_illegal(m: &mut Rig) {
    m.start();
    for opcode in (0..128).filter(|o| !(1..=3).contains(o)) {
        m.rejects(Cmd(opcode, 0));
    }
    for good in [
        Cmd::VMA,
        Cmd::GVMA,
        Cmd::FENCE,
        Cmd::INVAL_DDT,
        Cmd::INVAL_PDT.did(DEV.into()),
    ] {
        m.accepts(good);
    }
}

fn cq_06_every_undefined_func3_is_illegal(m: &mut Rig) {
    m.start();
    for (opcode, defined) in [(1, 2), (2, 1), (3, 2)] {
        for func3 in defined..8 {
            m.rejects(Cmd(opcode | (func3 << 7), 0).with(if opcode == 3 { 1 << 33 } else { 0 }));
        }
    }
}

/// Each of these bits alone makes each of the commands illegal, which is legal without it.
fn reserved(m: &mut Rig, commands: &[Cmd], first: &[u32], second: &[u32]) {
    m.start();
    for c in commands {
        m.accepts(*c);
        for bit in first {
            m.rejects(c.with(1 << bit));
        }
        for bit in second {
            m.rejects(c.with_second(1 << bit));
        }
    }
}

fn cq_07_each_reserved_bit_of_iotinval_is_illegal(m: &mut Rig) {
    let first: Vec<u32> = [11].into_iter().chain(35..44).chain(60..64).collect();
    let second: Vec<u32> = (0..9).chain([62, 63]).collect();
    reserved(
        m,
        &[Cmd::VMA.at(PAGE).pscid(3), Cmd::GVMA.at(PAGE)],
        &first,
        &second,
    );
}

fn cq_07_each_reserved_bit_of_iofence_is_illegal(m: &mut Rig) {
    let first: Vec<u32> = (14..32).collect();
    reserved(
        m,
        &[Cmd::FENCE, Cmd::FENCE.store(SCRATCH, 1)],
        &first,
        &[62, 63],
    );
    // And a fence that is illegal stores nothing
    m.store(SCRATCH, 0);
    m.rejects(Cmd::FENCE.store(SCRATCH, 9).with(1 << 20));
    m.rejects(Cmd::FENCE.store(SCRATCH, 9).with_second(1 << 63));
    assert_eq!(m.load(SCRATCH), 0);
}

fn cq_07_each_reserved_bit_of_iodir_is_illegal(m: &mut Rig) {
    let first: Vec<u32> = [10, 11, 32].into_iter().chain(34..40).collect();
    let second: Vec<u32> = (0..64).collect();
    reserved(m, &[Cmd::INVAL_DDT.did(DEV.into())], &first, &second);
    let (first, second) = (&first, &[0, 31, 32, 63]);
    for c in [Cmd::INVAL_DDT, Cmd::INVAL_PDT.did(DEV.into()).pid(3)] {
        first.iter().for_each(|bit| m.rejects(c.with(1 << bit)));
        second
            .iter()
            .for_each(|bit| m.rejects(c.with_second(1 << bit)));
    }
}

fn cq_08_commands_of_absent_features_are_illegal(m: &mut Rig) {
    m.start();
    // ATS.INVAL and ATS.PRGR; NL and S of both IOTINVAL commands, with and without the AV that they need, where they
    // are absent
    m.rejects(Cmd(0x004, 0));
    m.rejects(Cmd(0x084, 0));
    for c in [
        Cmd::VMA,
        Cmd::GVMA,
        Cmd::VMA.at(PAGE),
        Cmd::GVMA.at(PAGE).gscid(1),
    ] {
        m.accepts(c);
        for nl_or_s in [c.with(1 << 34), c.with_second(1 << 9)] {
            if m.pick(Each {
                tiny: true,
                linux: false,
            }) {
                m.rejects(nl_or_s);
            } else {
                m.accepts(nl_or_s);
            }
        }
    }
}

fn cq_09_cqh_stays_and_clearing_fetches_the_same_entry_again(m: &mut Rig) {
    m.start();
    m.run(Cmd::VMA);
    // Given an illegal command, which is still there when software clears cmd_ill
    let index = m.push(Cmd(0x3f, 0));
    m.push(Cmd::FENCE.store(SCRATCH, 1));
    m.ring();
    for _ in 0..3 {
        m.dut.settle();
        // Then it is found illegal again, and nothing behind it runs
        assert_eq!(m.read32(reg::CQCSR), csr::EN | csr::ON | csr::CMD_ILL);
        assert_eq!(m.read32(reg::CQH), index);
        assert_eq!(m.load(SCRATCH), 0);
        m.write32(reg::CQCSR, csr::EN | csr::CMD_ILL);
    }
    // When software overwrites it first, Then the queue goes on with the new one
    m.dut.settle();
    m.put(index, Cmd::FENCE.store(SCRATCH + 8, 2));
    m.write32(reg::CQCSR, csr::EN | csr::CMD_ILL);
    m.finish();
    assert_eq!((m.load(SCRATCH), m.load(SCRATCH + 8)), (1, 2));
    assert_eq!(m.read32(reg::CQCSR), csr::EN | csr::ON);
}

fn cq_10_each_error_raises_cip(m: &mut Rig) {
    m.wires();
    for (bit, bad) in [
        (csr::CMD_ILL, Cmd(0, 0)),
        (csr::MF, Cmd::FENCE.store(1 << 40, 1)),
        (csr::FENCE_W_IP, Cmd::FENCE.with(Cmd::WSI)),
    ] {
        for ie in [0, csr::IE] {
            // Given the queue with and without its interrupt
            m.command_queue_at(CQ, 7);
            m.write32(reg::CQCSR, csr::EN | ie);
            assert_eq!(m.read32(reg::IPSR), 0);
            // When the bit is set, Then cip is set if cie is
            m.push(bad);
            m.ring();
            m.dut.settle();
            assert_eq!(m.read32(reg::CQCSR) & bit, bit);
            assert_eq!(m.read32(reg::IPSR), ie >> 1);
            m.write32(reg::CQCSR, 0);
            m.wait(reg::CQCSR, csr::ON | csr::BUSY, 0);
            m.write32(reg::CQCSR, bit);
            m.write32(reg::IPSR, 1);
            assert_eq!(m.read32(reg::IPSR), 0);
        }
    }
}

fn cq_11_the_queue_runs_in_off_and_bare(m: &mut Rig) {
    m.queues(7, 7);
    for (i, mode) in (1u32..).zip([0, 1, 0, 2, 0]) {
        m.ddtp(mode);
        // Given any mode, Then every command is executed
        for c in [Cmd::VMA, Cmd::GVMA, Cmd::INVAL_DDT, Cmd::INVAL_PDT.did(1)] {
            m.accepts(c);
        }
        m.run(Cmd::FENCE.with(Cmd::PR | Cmd::PW).store(SCRATCH, i));
        assert_eq!(m.load(SCRATCH), u64::from(i));
        m.rejects(Cmd(0, 0));
    }
}

fn cq_12_a_queue_of_n_takes_n_minus_1_commands(m: &mut Rig) {
    for n in [0, 1, 3, 7] {
        // Given an empty queue of 2^(n+1) entries, with cqh at its end
        m.command_queue_at(CQ, n);
        let entries: u64 = 2 << n;
        for _ in 0..entries - 1 {
            m.run(Cmd::VMA);
        }
        // When N-1 commands are put in at once, Then all of them run
        for i in 0..entries - 1 {
            m.push(Cmd::FENCE.store(SCRATCH + 8 * i, n as u32 + 1));
        }
        m.finish();
        assert!((0..entries - 1).all(|i| m.load(SCRATCH + 8 * i) == n + 1));
        assert_eq!(m.read32(reg::CQH), (2 * entries - 2) % entries);
        m.write32(reg::CQCSR, 0);
        m.wait(reg::CQCSR, csr::ON | csr::BUSY, 0);
    }
}

fn cq_12_equal_indices_mean_empty(m: &mut Rig) {
    // Given a queue of 4 entries full of commands, with cqh anywhere
    m.command_queue_at(CQ, 1);
    for i in 0..4 {
        m.put(i, Cmd::FENCE.store(SCRATCH, 1));
    }
    for at in 0..4 {
        m.store(SCRATCH, 0);
        let fetched = m.dut.reads(Purpose::Command);
        // When cqt is written with the value of cqh, as a queue with N commands would have it, Then none runs
        m.write32(reg::CQT, at);
        m.dut.settle();
        assert_eq!(m.dut.reads(Purpose::Command), fetched);
        assert_eq!((m.load(SCRATCH), m.read32(reg::CQH)), (0, at));
        // When it is one further, Then one does
        m.write32(reg::CQT, (at + 1) % 4);
        m.dut.settle();
        assert_eq!((m.load(SCRATCH), m.read32(reg::CQH)), (1, (at + 1) % 4));
    }
}

fn atc_02_ats_commands_are_illegal(m: &mut Rig) {
    m.start();
    for func3 in 0..8 {
        // Given opcode 4 with and without the operands that ATS.INVAL and ATS.PRGR take
        m.rejects(Cmd(0x004 | (func3 << 7), 0));
        m.rejects(Cmd(
            0x004 | (func3 << 7) | (1 << 32) | (3 << 12) | (5 << 40),
            0x1000,
        ));
    }
    m.fence();
}
