//! IOFENCE.C (FEN).

use portcullis_regmap::config::Config;
use portcullis_sim::core::{Access, MemStatus, Purpose};
use portcullis_tests::conformance::*;
use portcullis_tests::*;

conformance!(
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
    ; tiny:
    fen_09_wsi_cannot_be_cleared_without_messages,
    ; linux:
    fen_09_wsi_is_illegal_with_messages,
    ; cycles:
    fen_03_pr_waits_for_reads_granted_before_it,
    fen_04_pw_waits_for_writes_granted_before_it,
    fen_06_the_store_comes_after_the_accesses_it_waits_for,
);

fn fen_01_the_operands_stand_where_they_should(m: &mut Rig) {
    m.wires();
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
    for bit in 2..u64::from(m.pas()) {
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
fn waits_for(config: &'static Config, access: Access, bits: u64) {
    for (latency, wait) in [(1, 50), (1, 400), (5, 200)] {
        let mut m = Rig::rtl(config, latency);
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

fn fen_03_pr_waits_for_reads_granted_before_it(config: &'static Config) {
    waits_for(config, Access::Read, Cmd::PR);
    waits_for(config, Access::Exec, Cmd::PR);
    waits_for(config, Access::Read, Cmd::PR | Cmd::PW);
}

fn fen_04_pw_waits_for_writes_granted_before_it(config: &'static Config) {
    waits_for(config, Access::Write, Cmd::PW);
    waits_for(config, Access::Write, Cmd::PR | Cmd::PW);
}

fn fen_06_the_store_comes_after_the_accesses_it_waits_for(config: &'static Config) {
    // Given a write that takes 150 cycles, and a fence with PW that stores
    let mut m = Rig::rtl(config, 2);
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
    m.wires();
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
    for bit in m.pas()..64 {
        // Given an address with one bit that PAS does not reach
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
    let end = m.last_page() + 0x1000;
    m.run(Cmd::FENCE.store(end - 4, 0x77));
    assert_eq!(m.load(end - 8) >> 32, 0x77);
}

fn fen_08_wsi_sets_fence_w_ip_on_completion(m: &mut Rig) {
    m.wires();
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

/// Forms of the fence.
const FENCES: [Cmd; 3] = [
    Cmd::FENCE,
    Cmd::FENCE.store(SCRATCH, 1),
    Cmd::FENCE.with(Cmd::PR | Cmd::PW),
];

fn fen_09_wsi_is_legal_with_wires(m: &mut Rig) {
    // Given fctl.WSI = 1
    m.wires();
    m.start();
    // Then WSI=1 is legal in every form of the fence
    for c in FENCES {
        m.accepts(c.with(Cmd::WSI));
        assert_eq!(m.read32(reg::CQCSR), csr::EN | csr::ON | csr::FENCE_W_IP);
        m.write32(reg::CQCSR, csr::EN | csr::FENCE_W_IP);
    }
}

fn fen_09_wsi_is_illegal_with_messages(m: &mut Rig) {
    // Given fctl.WSI = 0
    m.write32(reg::FCTL, 0);
    assert_eq!(m.read32(reg::FCTL) & 2, 0);
    m.start();
    // Then WSI=1 is illegal in every form of the fence, which stores nothing and sets nothing else
    for c in FENCES {
        m.rejects(c.with(Cmd::WSI));
        assert_eq!(m.read32(reg::CQCSR), csr::EN | csr::ON);
        assert_eq!(m.load(SCRATCH), 0);
    }
    for c in FENCES {
        m.accepts(c);
    }
}

fn fen_09_wsi_cannot_be_cleared_without_messages(m: &mut Rig) {
    // Given wires only, When software clears fctl.WSI, Then it stays set, and a fence with WSI legal
    m.write32(reg::FCTL, 0);
    assert_eq!(m.read32(reg::FCTL) & 2, 2);
    m.start();
    m.accepts(Cmd::FENCE.with(Cmd::WSI));
}
