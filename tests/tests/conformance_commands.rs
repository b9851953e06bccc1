//! The command queue, IOFENCE.C and ATS commands (CQ, FEN, ATC).

use portcullis_sim::core::{Access, MemStatus, Purpose};
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
    fen_01_the_operands_stand_where_they_should,
    fen_02_a_fence_is_passed_after_everything_before_it,
    fen_03_a_fence_with_pr_completes,
    fen_04_a_fence_with_pw_completes,
    fen_06_data_is_stored_at_addr_in_four_bytes,
    fen_06_without_av_nothing_is_stored,
    fen_07_a_failed_store_sets_cqmf_and_cqh_stays,
    fen_07_a_store_beyond_pas_sets_cqmf,
    fen_08_wsi_sets_fence_w_ip_on_completion,
    fen_09_wsi_is_legal_with_wires,
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
    // ATS.INVAL and ATS.PRGR; NL and S of both IOTINVAL commands, with and without the AV that they need
    m.rejects(Cmd(0x004, 0));
    m.rejects(Cmd(0x084, 0));
    for c in [
        Cmd::VMA,
        Cmd::GVMA,
        Cmd::VMA.at(PAGE),
        Cmd::GVMA.at(PAGE).gscid(1),
    ] {
        m.accepts(c);
        m.rejects(c.with(1 << 34));
        m.rejects(c.with_second(1 << 9));
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

fn fen_01_the_operands_stand_where_they_should(m: &mut Rig) {
    m.start();
    // Given AV 10, WSI 11, PR 12, PW 13, DATA 63:32 and ADDR[63:2] in 61:0, Then each has its effect
    m.run(Cmd(0x002 | (1 << 10) | (0xdead_beef << 32), SCRATCH >> 2));
    assert_eq!(m.load(SCRATCH), 0xdead_beef);
    m.run(Cmd(0x002 | (1 << 11), 0));
    assert_eq!(m.read32(reg::CQCSR), csr::EN | csr::ON | csr::FENCE_W_IP);
    m.run(Cmd(0x002 | (1 << 12), 0));
    m.run(Cmd(0x002 | (1 << 13), 0));
    // And each bit of DATA and of ADDR below PAS arrives
    for bit in 0..32 {
        m.run(Cmd(0x002 | (1 << 10) | (1 << (32 + bit)), SCRATCH >> 2));
        assert_eq!(m.load(SCRATCH), 1 << bit);
    }
    for bit in 2..32u64 {
        let at = 1 << bit;
        m.run(Cmd::FENCE.store(at, 0x5a00_0000 | bit as u32));
        let mut word = [0; 4];
        m.dut.mem_read(at, &mut word);
        assert_eq!(
            u32::from_le_bytes(word),
            0x5a00_0000 | bit as u32,
            "address {at:#x}"
        );
    }
}

fn fen_02_a_fence_is_passed_after_everything_before_it(m: &mut Rig) {
    m.start();
    let root = m.device_with_page();
    for round in 0..12 {
        // Given a cached page that changes
        m.grants(request(DEV, Access::Read, PAGE), [FRAME, OTHER][round % 2]);
        m.map(root, PAGE, [OTHER, FRAME][round % 2], RWX, 0);
        // When invalidations, with a fence behind them, are rung in at once
        for _ in 0..round {
            m.push(Cmd::VMA.pscid(99));
        }
        m.push(Cmd::VMA.pscid(PSCID).at(PAGE));
        m.push(Cmd::INVAL_DDT.did(DEV.into()));
        let fence = m.push(Cmd::FENCE.store(SCRATCH, round as u32 + 1));
        m.push(Cmd::VMA);
        m.ring();
        m.wait_for(reg::CQH, |cqh| cqh > fence);
        // Then at the moment in which cqh has passed the fence all of them have taken effect, the store included
        assert_eq!(m.load(SCRATCH), round as u64 + 1);
        m.grants(request(DEV, Access::Read, PAGE), [OTHER, FRAME][round % 2]);
    }
}

fn fen_03_a_fence_with_pr_completes(m: &mut Rig) {
    fences_complete(m, Cmd::FENCE.with(Cmd::PR));
}

fn fen_04_a_fence_with_pw_completes(m: &mut Rig) {
    fences_complete(m, Cmd::FENCE.with(Cmd::PW));
    fences_complete(m, Cmd::FENCE.with(Cmd::PR | Cmd::PW));
}

/// Fences complete with and without anything to wait for, and requests go on behind them.
fn fences_complete(m: &mut Rig, fence: Cmd) {
    if m.read64(reg::DDTP) & 0xf == 0 {
        m.start();
        m.device_with_page();
    }
    m.run(fence);
    for access in ACCESSES {
        m.grants(request(DEV, access, PAGE), FRAME);
        m.run(fence.store(SCRATCH, 3));
        assert_eq!(m.load(SCRATCH), 3);
        m.store(SCRATCH, 0);
    }
    assert_eq!(m.read32(reg::CQCSR), csr::EN | csr::ON);
}

/// A fence with these bits waits until an access of this kind, granted before it, is globally visible.
fn waits_for(access: Access, bits: u64) {
    for (latency, wait) in [(1, 50), (1, 400), (5, 200)] {
        let mut m = Rig::rtl(latency);
        m.start();
        m.device_with_page();
        m.grants(request(DEV, access, PAGE), FRAME);
        // Given granted accesses that take `wait` cycles
        let slow = |on: bool| if on { wait } else { 0 };
        let write = access == Access::Write;
        m.dut.h.set_dma_latency(slow(!write), slow(write));
        for _ in 0..5 {
            m.grants(request(DEV, access, PAGE), FRAME);
        }
        let granted = m.dut.h.cycle();
        // When the fence is passed
        m.run(Cmd::FENCE.with(bits).store(SCRATCH, 1));
        // Then they are visible, and its store did not come before
        let passed = m.dut.h.cycle();
        assert!(
            passed + 1 >= granted + wait,
            "passed after {} of {wait} cycles",
            passed - granted
        );
        assert_eq!(m.load(SCRATCH), 1);
    }
}

#[test]
fn fen_03_pr_waits_for_reads_granted_before_it() {
    waits_for(Access::Read, Cmd::PR);
    waits_for(Access::Exec, Cmd::PR);
    waits_for(Access::Read, Cmd::PR | Cmd::PW);
}

#[test]
fn fen_04_pw_waits_for_writes_granted_before_it() {
    waits_for(Access::Write, Cmd::PW);
    waits_for(Access::Write, Cmd::PR | Cmd::PW);
}

#[test]
fn fen_06_the_store_comes_after_the_accesses_it_waits_for() {
    // Given a write that takes 150 cycles, and a fence with PW that stores
    let mut m = Rig::rtl(2);
    m.start();
    m.device_with_page();
    m.dut.h.set_dma_latency(0, 150);
    m.grants(request(DEV, Access::Write, PAGE), FRAME);
    let visible = m.dut.h.cycle() + 149;
    m.push(Cmd::FENCE.with(Cmd::PW).store(SCRATCH, 1));
    m.ring();
    // When time passes, Then the word is not there before the write is visible, and cqh not before the word
    for _ in 0..500 {
        if m.read32(reg::CQH) == 1 {
            break;
        }
        assert!(m.load(SCRATCH) == 0 || m.dut.h.cycle() >= visible);
    }
    assert_eq!(m.load(SCRATCH), 1);
}

fn fen_06_data_is_stored_at_addr_in_four_bytes(m: &mut Rig) {
    m.start();
    for offset in (0..32).step_by(4) {
        // Given memory full of ones
        for i in 0..4 {
            m.store(SCRATCH + 8 * i, u64::MAX);
        }
        // When a fence stores at any multiple of 4
        m.run(Cmd::FENCE.store(SCRATCH + offset, 0x0403_0201));
        // Then exactly those four bytes change, the lowest first
        let mut bytes = [0; 32];
        m.dut.mem_read(SCRATCH, &mut bytes);
        let mut want = [0xff; 32];
        want[offset as usize..][..4].copy_from_slice(&[1, 2, 3, 4]);
        assert_eq!(bytes, want, "offset {offset}");
    }
}

fn fen_06_without_av_nothing_is_stored(m: &mut Rig) {
    m.start();
    // Given a fence with DATA and ADDR but without AV, also with an address that would fail
    for addr in [SCRATCH, 1 << 40] {
        let c = Cmd::FENCE.store(addr, 0x1234_5678);
        m.accepts(Cmd(c.0 & !(1 << 10), c.1));
        m.accepts(Cmd(c.0 & !(1 << 10), c.1).with(Cmd::PR | Cmd::PW));
    }
    // Then nothing is stored
    assert_eq!(m.load(SCRATCH), 0);
    assert_eq!(m.dut.writes(Purpose::Fence), 0);
}

fn fen_07_a_failed_store_sets_cqmf_and_cqh_stays(m: &mut Rig) {
    m.start();
    for status in [MemStatus::Access, MemStatus::Corrupt] {
        // Given an address that refuses the store
        m.break_writes(SCRATCH, 8, status);
        m.run(Cmd::VMA);
        let index = m.push(Cmd::FENCE.with(Cmd::WSI).store(SCRATCH, 1));
        m.push(Cmd::FENCE.store(SCRATCH + 8, 1));
        m.ring();
        m.dut.settle();
        // Then cqmf is set, cqh names the fence, which has not completed, and nothing behind it has run
        assert_eq!(m.read32(reg::CQCSR), csr::EN | csr::ON | csr::MF);
        assert_eq!(m.read32(reg::CQH), index);
        assert_eq!((m.load(SCRATCH), m.load(SCRATCH + 8)), (0, 0));
        // When the memory works and cqmf is cleared, Then it completes
        m.break_writes(SCRATCH, 8, MemStatus::Ok);
        m.write32(reg::CQCSR, csr::EN | csr::MF);
        m.finish();
        assert_eq!((m.load(SCRATCH), m.load(SCRATCH + 8)), (1, 1));
        assert_eq!(m.read32(reg::CQCSR), csr::EN | csr::ON | csr::FENCE_W_IP);
        m.write32(reg::CQCSR, csr::EN | csr::FENCE_W_IP);
        m.store(SCRATCH, 0);
        m.store(SCRATCH + 8, 0);
    }
}

fn fen_07_a_store_beyond_pas_sets_cqmf(m: &mut Rig) {
    m.start();
    for bit in 32..64 {
        // Given an address with one bit that 32 bits do not reach
        let index = m.push(Cmd::FENCE.store(SCRATCH | (1 << bit), 1));
        m.ring();
        m.dut.settle();
        // Then cqmf is set, cqh stays, and the truncated address keeps its content
        assert_eq!(
            m.read32(reg::CQCSR),
            csr::EN | csr::ON | csr::MF,
            "bit {bit}"
        );
        assert_eq!((m.read32(reg::CQH), m.load(SCRATCH)), (index, 0));
        m.put(index, Cmd::VMA);
        m.write32(reg::CQCSR, csr::EN | csr::MF);
        m.finish();
    }
    m.run(Cmd::FENCE.store(0xffff_fffc, 0x77));
    assert_eq!(m.load(0xffff_fff8) >> 32, 0x77);
}

fn fen_08_wsi_sets_fence_w_ip_on_completion(m: &mut Rig) {
    m.start();
    m.write32(reg::CQCSR, csr::EN | csr::IE);
    // Given a fence with WSI that stores first
    m.run(Cmd::FENCE.with(Cmd::WSI).store(SCRATCH, 1));
    // Then fence_w_ip and cip are set, and the store is done
    m.dut.settle();
    assert_eq!(
        m.read32(reg::CQCSR),
        csr::EN | csr::IE | csr::ON | csr::FENCE_W_IP
    );
    assert_eq!(
        (m.read32(reg::IPSR), m.dut.irq(), m.load(SCRATCH)),
        (1, 1, 1)
    );
    // When it is cleared, Then a fence without WSI leaves it so, and the next one with WSI sets it again
    m.write32(reg::CQCSR, csr::EN | csr::IE | csr::FENCE_W_IP);
    m.write32(reg::IPSR, 1);
    m.run(Cmd::FENCE);
    m.dut.settle();
    assert_eq!((m.read32(reg::IPSR), m.dut.irq()), (0, 0));
    m.run(Cmd::FENCE.with(Cmd::WSI));
    m.dut.settle();
    assert_eq!((m.read32(reg::IPSR), m.dut.irq()), (1, 1));
}

fn fen_09_wsi_is_legal_with_wires(m: &mut Rig) {
    // Given fctl.WSI = 1, which software cannot clear
    m.write32(reg::FCTL, 0);
    assert_eq!(m.read32(reg::FCTL) & 2, 2);
    m.start();
    // Then WSI=1 is legal in every form of the fence; it would be illegal with fctl.WSI = 0
    for c in [
        Cmd::FENCE,
        Cmd::FENCE.store(SCRATCH, 1),
        Cmd::FENCE.with(Cmd::PR | Cmd::PW),
    ] {
        m.accepts(c.with(Cmd::WSI));
        assert_eq!(m.read32(reg::CQCSR), csr::EN | csr::ON | csr::FENCE_W_IP);
        m.write32(reg::CQCSR, csr::EN | csr::FENCE_W_IP);
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
