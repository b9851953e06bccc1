//! ddtp and the state after reset (DDTP, RST).

use portcullis_regmap::config::Config;
use portcullis_sim::core::{Access, Purpose};
use portcullis_tests::conformance::*;
use portcullis_tests::*;

conformance!(
    ddtp_01_mode_and_ppn_are_kept_and_the_rest_reads_zero,
    ddtp_02_off_bare_and_the_directories_that_there_are_and_no_other_mode,
    ddtp_03_off_and_bare_are_there_and_at_least_one_directory,
    ddtp_04_an_unsupported_mode_changes_nothing,
    ddtp_04_a_probe_for_more_levels_reads_back_off_or_bare,
    ddtp_05_busy_is_only_read_and_ends,
    ddtp_10_invalidations_in_off_reach_the_caches,
    ddtp_10_invalidations_in_bare_reach_the_caches,
    ddtp_10_without_invalidation_old_or_new_is_used_after_off,
    ddtp_12_the_low_half_alone_starts_the_directory,
    ddtp_12_the_low_half_alone_switches_off,
    rst_01_everything_that_reset_clears_reads_zero,
    rst_01_a_second_reset_clears_it_again,
    rst_02_ddtp_is_off_after_reset,
    rst_02_a_second_reset_switches_off,
    rst_03_no_translation_survives_a_reset,
    rst_03_no_context_survives_a_reset,
    ; cycles:
    ddtp_05_busy_lasts_as_long_as_the_switch,
    ddtp_07_requests_in_flight_at_off_are_finished_or_aborted,
    ddtp_07_granted_accesses_are_visible_before_busy_clears,
);

/// ddtp.PPN, with the bits above PAS that may be fixed.
const PPN: u64 = 0xfff_ffff_ffff << 10;

fn ddtp_01_mode_and_ppn_are_kept_and_the_rest_reads_zero(m: &mut Rig) {
    for root in [0x1000, 0x8765_4000, 0xffff_f000, 0] {
        for mode in [1, 2, 0] {
            // When a mode and a root are written, with ones everywhere else
            m.write64(reg::DDTP, !(PPN | 0xf) | (root >> 12 << 10) | mode);
            m.wait(reg::DDTP, 1 << 4, 0);
            // Then exactly mode and root are kept
            assert_eq!(m.read64(reg::DDTP), (root >> 12 << 10) | mode);
            m.ddtp(0);
        }
    }
    // And busy cannot be written
    m.write64(reg::DDTP, 1 << 4);
    m.wait(reg::DDTP, 1 << 4, 0);
}

fn ddtp_02_off_bare_and_the_directories_that_there_are_and_no_other_mode(m: &mut Rig) {
    // Given a directory of each depth, in which the device has a page of its own
    m.start();
    let roots = [1, 2, 3].map(|levels| {
        let (root, table) = (m.page(), m.page());
        m.map(table, PAGE, FRAME + u64::from(levels) * 0x1000, RWX, 0);
        let at = m.context_in(root, levels, DEV);
        m.dc_at(at, [TC_V, 0, u64::from(levels) << 12, SV39 | (table >> 12)]);
        root
    });
    let deepest = m.pick(Each { tiny: 2, linux: 4 });
    for mode in 0..16u64 {
        // Given Off, When the mode is written
        m.ddtp(0);
        m.invalidate(Cmd::INVAL_DDT);
        let levels = mode.clamp(2, 4) - 1;
        m.ddtp_at(roots[levels as usize - 1], mode);
        // Then Off, Bare and the directories that there are do what they say; deeper, reserved and custom ones are not
        // taken
        let kept = if mode <= deepest { mode } else { 0 };
        assert_eq!(m.read64(reg::DDTP) & 0xf, kept);
        let reached = m.read(DEV, PAGE);
        let want = match kept {
            0 => None,
            1 => Some(PAGE),
            _ => Some(FRAME + levels * 0x1000),
        };
        assert_eq!(reached, want, "mode {mode}");
    }
}

fn ddtp_03_off_and_bare_are_there_and_at_least_one_directory(m: &mut Rig) {
    let mut taken = vec![];
    for mode in 0..5 {
        m.ddtp(0);
        m.ddtp(mode);
        if m.read64(reg::DDTP) & 0xf == mode {
            taken.push(mode);
        }
    }
    assert!(taken.starts_with(&[0, 1]), "{taken:?}");
    assert!(taken.len() >= 3, "{taken:?}");
}

fn ddtp_04_an_unsupported_mode_changes_nothing(m: &mut Rig) {
    m.start();
    m.device_with_page();
    let bare = m.page();
    let first = m.pick(Each { tiny: 3, linux: 5 });
    for mode in first..16 {
        for before in [0, 1, 2] {
            // Given a mode that works
            m.ddtp(0);
            m.ddtp(before);
            let old = m.read64(reg::DDTP);
            // When an unsupported one is written, with another root
            m.write64(reg::DDTP, (bare >> 12 << 10) | mode);
            m.wait(reg::DDTP, 1 << 4, 0);
            // Then the old value stays whole
            assert_eq!(m.read64(reg::DDTP), old, "mode {mode} over {before}");
        }
        m.grants(request(DEV, Access::Read, PAGE), FRAME);
    }
}

fn ddtp_04_a_probe_for_more_levels_reads_back_off_or_bare(m: &mut Rig) {
    // Given Off or Bare, as a driver that looks for the deepest directory leaves it between its attempts
    for before in [0, 1] {
        m.ddtp(before);
        let deepest = m.pick(Each { tiny: 2, linux: 4 });
        for mode in [4, 3].into_iter().filter(|mode| *mode > deepest) {
            // When it tries more levels than there are, Then it reads back what was there and not another level
            m.write64(reg::DDTP, ddtp_of(mode));
            m.wait(reg::DDTP, 1 << 4, 0);
            assert_eq!(m.read64(reg::DDTP) & 0xf, before);
        }
        // And the deepest is found
        m.ddtp(deepest);
        assert_eq!(m.read64(reg::DDTP), ddtp_of(deepest));
        m.ddtp(0);
    }
}

fn ddtp_05_busy_is_only_read_and_ends(m: &mut Rig) {
    m.start();
    m.device_with_page();
    for mode in [0, 1, 0, 2, 0, 2] {
        // When the mode changes
        m.write64(reg::DDTP, ddtp_of(mode));
        // Then busy ends by itself (it may have been 0 all the time), and then the mode is in force
        m.wait(reg::DDTP, 1 << 4, 0);
        assert_eq!(m.read64(reg::DDTP), ddtp_of(mode));
        let reached = m.read(DEV, PAGE);
        assert_eq!(reached, [None, Some(PAGE), Some(FRAME)][mode as usize]);
    }
}

/// Only with single cycles can it be seen that busy covers the whole switch.
fn ddtp_05_busy_lasts_as_long_as_the_switch(config: &'static Config) {
    for wait in [40, 200] {
        // Given a write that was granted and takes `wait` cycles to become visible
        let mut m = Rig::rtl(config, 2);
        m.start();
        m.device_with_page();
        m.dut.h.set_dma_latency(0, wait);
        m.grants(request(DEV, Access::Write, PAGE), FRAME);
        let visible = m.dut.h.cycle() + wait;
        // When ddtp is switched off
        m.write64(reg::DDTP, ddtp_of(0));
        // Then busy reads 1 until it is visible
        assert_eq!(m.read64(reg::DDTP) & (1 << 4), 1 << 4);
        m.wait(reg::DDTP, 1 << 4, 0);
        assert!(
            m.dut.h.cycle() + 3 >= visible,
            "{} before {visible}",
            m.dut.h.cycle()
        );
    }
}

fn ddtp_07_requests_in_flight_at_off_are_finished_or_aborted(config: &'static Config) {
    for latency in [1, 10] {
        let mut m = Rig::rtl(config, latency);
        m.queues(7, 7);
        m.device_with_page();
        for delay in (0..50).step_by(1 + latency as usize / 5) {
            // Given four requests, cold or warm, of which some are in flight when Off is written `delay` cycles later
            m.ddtp(2);
            m.invalidate(Cmd::VMA);
            m.invalidate(Cmd::INVAL_DDT);
            for i in 0..4 {
                m.dut.h.submit(request(DEV, Access::Read, PAGE + i));
            }
            m.dut.step(delay);
            m.write64(reg::DDTP, ddtp_of(0));
            let written = m.dut.h.cycle();
            // When busy has cleared
            m.wait(reg::DDTP, 1 << 4, 0);
            let off = m.dut.h.cycle();
            m.dut.h.finish_requests().expect("answers");
            // Then each request was finished by the old configuration before busy cleared, or ended with an error (a
            // request that was waiting for its turn may get that a little later)
            while let Some(f) = m.dut.h.take_finished() {
                if f.response.fault {
                    continue;
                }
                assert!(
                    f.answered <= off,
                    "delay {delay}: issued {}, written {written}, Off {off}, passed {}",
                    f.issued,
                    f.answered
                );
                assert_eq!(f.response.pa, FRAME + (f.request.iova & 0xfff));
            }
            assert_eq!(m.read(DEV, PAGE), None);
            m.faults();
        }
    }
}

fn ddtp_07_granted_accesses_are_visible_before_busy_clears(config: &'static Config) {
    for (reads, writes, access) in [
        (300, 0, Access::Read),
        (0, 300, Access::Write),
        (300, 0, Access::Exec),
    ] {
        for stopped in [false, true] {
            // Given a granted access that takes 300 cycles, and a command queue that runs or was stopped by an error
            let mut m = Rig::rtl(config, 2);
            m.start();
            m.device_with_page();
            if stopped {
                m.push(Cmd(0, 0));
                m.ring();
                m.wait(reg::CQCSR, csr::CMD_ILL, csr::CMD_ILL);
            }
            m.dut.h.set_dma_latency(reads, writes);
            m.grants(request(DEV, access, PAGE), FRAME);
            let granted = m.dut.h.cycle();
            // When ddtp is switched off
            m.write64(reg::DDTP, ddtp_of(0));
            m.wait(reg::DDTP, 1 << 4, 0);
            // Then busy clears when the access is visible and not before
            assert!(
                m.dut.h.cycle() >= granted + 299,
                "{} cycles",
                m.dut.h.cycle() - granted
            );
        }
    }
}

/// Caches a page, switches to `mode`, changes page and context there and invalidates, and looks again.
fn invalidations_reach_the_caches(m: &mut Rig, mode: u64) {
    // Given a cached page of one device and a cached context of another
    m.start();
    let root = m.device_with_page();
    m.dc(6, [TC_V, 0, 0, 0]);
    m.grants(request(DEV, Access::Read, PAGE), FRAME);
    m.grants(request(6, Access::Read, 0x9000), 0x9000);
    // When ddtp leaves the directory, both change, and software invalidates as after every change of mode
    m.ddtp(mode);
    m.map(root, PAGE, OTHER, RWX, 0);
    m.dc(6, [0, 0, 0, 0]);
    m.push(Cmd::INVAL_DDT);
    m.push(Cmd::VMA);
    m.fence();
    // Then the queue has done that in this mode, and the directory is used afresh when it is back
    m.ddtp(0);
    m.ddtp(2);
    m.grants(request(DEV, Access::Read, PAGE), OTHER);
    m.refuses(request(6, Access::Read, 0x9000), 258);
}

fn ddtp_10_invalidations_in_off_reach_the_caches(m: &mut Rig) {
    invalidations_reach_the_caches(m, 0);
}

fn ddtp_10_invalidations_in_bare_reach_the_caches(m: &mut Rig) {
    invalidations_reach_the_caches(m, 1);
}

fn ddtp_10_without_invalidation_old_or_new_is_used_after_off(m: &mut Rig) {
    // Given a cached page that changes while ddtp is Off, and another directory beside it
    m.start();
    let root = m.device_with_page();
    m.grants(request(DEV, Access::Read, PAGE), FRAME);
    m.ddtp(0);
    m.map(root, PAGE, OTHER, RWX, 0);
    // Then nothing passes while it is Off
    assert_eq!(m.read(DEV, PAGE), None);
    // When it is on again without any invalidation, Then the page leads to its old or its new place
    m.ddtp(2);
    let reached = m.read(DEV, PAGE);
    assert!(
        [Some(FRAME), Some(OTHER)].contains(&reached),
        "{reached:x?}"
    );
    // And a new directory is used once the old one has been invalidated
    let fresh = m.page();
    m.ddtp(0);
    m.invalidate(Cmd::INVAL_DDT);
    m.dc_at(fresh + u64::from(DEV) * 32, [TC_V, 0, 0, 0]);
    m.ddtp_at(fresh, 2);
    m.grants(request(DEV, Access::Read, PAGE), PAGE);
}

fn ddtp_12_the_low_half_alone_starts_the_directory(m: &mut Rig) {
    // Given a directory in the last page of 4 GiB, and queues
    m.queues(7, 7);
    m.dc_at(0xffff_f000 + u64::from(DEV) * 32, [TC_V, 0, 0, 0]);
    // When only the low half of ddtp is written
    m.write32(reg::DDTP, (0xf_ffff << 10) | 2);
    m.wait(reg::DDTP, 1 << 4, 0);
    // Then the directory is in force with its whole page number
    assert_eq!(m.read64(reg::DDTP), (0xf_ffff << 10) | 2);
    m.grants(request(DEV, Access::Read, 0x5678), 0x5678);
    m.refuses(request(DEV + 1, Access::Read, 0x5678), 258);
}

fn ddtp_12_the_low_half_alone_switches_off(m: &mut Rig) {
    // Given a directory in force
    m.start();
    m.device_with_page();
    m.grants(request(DEV, Access::Read, PAGE), FRAME);
    // When only the low half is written, to Off and then to Bare
    m.write32(reg::DDTP, ddtp_of(0));
    m.wait(reg::DDTP, 1 << 4, 0);
    // Then these are in force
    m.refuses(request(DEV, Access::Read, PAGE), 256);
    m.write32(reg::DDTP, 1);
    m.wait(reg::DDTP, 1 << 4, 0);
    m.grants(request(DEV, Access::Read, PAGE), PAGE);
    // And the high half alone changes no mode
    m.write32(reg::DDTP + 4, 0);
    m.wait(reg::DDTP, 1 << 4, 0);
    assert_eq!(m.read64(reg::DDTP) & 0xf, 1);
}

/// RST-01 of everything that exists here: cqen, cie, cqon, busy; fqen, fie, fqon, busy; ddtp.busy; ipsr.
fn is_reset(m: &mut Rig) {
    assert_eq!(
        m.read32(reg::CQCSR) & (csr::EN | csr::IE | csr::ON | csr::BUSY),
        0
    );
    assert_eq!(
        m.read32(reg::FQCSR) & (csr::EN | csr::IE | csr::ON | csr::BUSY),
        0
    );
    assert_eq!(m.read32(80), 0, "pqcsr");
    assert_eq!(m.read64(reg::DDTP) & (1 << 4), 0);
    assert_eq!(m.read32(reg::IPSR), 0);
    assert_eq!(m.read64(608) & 1, 0, "tr_req_ctl");
    assert_eq!(m.dut.irq(), 0);
}

fn rst_01_everything_that_reset_clears_reads_zero(m: &mut Rig) {
    is_reset(m);
    // And no queue touches memory
    m.write32(reg::CQT, 3);
    m.ask(request(DEV, Access::Read, PAGE));
    m.dut.settle();
    assert_eq!(
        (m.dut.reads(Purpose::Command), m.dut.writes(Purpose::Fault)),
        (0, 0)
    );
    is_reset(m);
}

fn rst_01_a_second_reset_clears_it_again(m: &mut Rig) {
    // Given a machine with both queues on, both interrupts enabled and pending, and an error in each queue
    m.queues(7, 0);
    m.ddtp(2);
    m.write32(reg::CQCSR, csr::EN | csr::IE);
    m.write32(reg::FQCSR, csr::EN | csr::IE);
    m.push(Cmd(0, 0));
    m.ring();
    m.ask(request(1, Access::Read, 0));
    m.ask(request(2, Access::Read, 0));
    m.dut.settle();
    assert_eq!(m.read32(reg::IPSR), 3);
    assert_eq!(
        m.read32(reg::FQCSR),
        csr::EN | csr::IE | csr::ON | csr::FQOF
    );
    // When it is reset
    m.reset();
    // Then all is clear
    is_reset(m);
}

fn rst_02_ddtp_is_off_after_reset(m: &mut Rig) {
    // Given a valid directory at whatever root a reset may leave
    m.dc_at(u64::from(DEV) * 32, [TC_V, 0, 0, 0]);
    // Then the mode is Off, and requests are refused
    assert_eq!(m.read64(reg::DDTP) & 0xf, 0);
    m.fault_queue_at(FQ, 7);
    for access in ACCESSES {
        m.refuses(request(DEV, access, PAGE), 256);
    }
}

fn rst_02_a_second_reset_switches_off(m: &mut Rig) {
    for mode in [1, 2] {
        // Given Bare or a directory
        m.queues(7, 7);
        m.dc(DEV, [TC_V, 0, 0, 0]);
        m.ddtp(mode);
        m.grants(request(DEV, Access::Read, PAGE), PAGE);
        // When the machine is reset, Then it is Off
        m.reset();
        assert_eq!(m.read64(reg::DDTP) & 0xf, 0);
        assert_eq!(m.read(DEV, PAGE), None);
    }
}

fn rst_03_no_translation_survives_a_reset(m: &mut Rig) {
    // Given cached pages of all sizes
    m.start();
    let root = m.device_with_page();
    m.map(root, 0x20_0000, 0x8020_0000, RWX, 1);
    m.map(root, 0x8000_0000, 0xc000_0000, RWX, 2);
    m.grants(request(DEV, Access::Read, PAGE), FRAME);
    m.grants(request(DEV, Access::Read, 0x20_0000), 0x8020_0000);
    m.grants(request(DEV, Access::Read, 0x8000_0000), 0xc000_0000);
    // When they change and the machine is reset
    m.map(root, PAGE, OTHER, RWX, 0);
    m.map(root, 0x20_0000, 0xa020_0000, RWX, 1);
    m.map(root, 0x8000_0000, 0x1_4000_0000, RWX, 2);
    m.reset();
    m.start();
    // Then the new ones are used without any invalidation
    m.grants(request(DEV, Access::Read, PAGE), OTHER);
    m.grants(request(DEV, Access::Read, 0x20_0000), 0xa020_0000);
    m.grants(request(DEV, Access::Read, 0x8000_0000), 0x1_4000_0000);
}

fn rst_03_no_context_survives_a_reset(m: &mut Rig) {
    // Given cached contexts of as many devices as fit and more
    m.start();
    for did in 0..6 {
        m.dc(did, [TC_V, 0, 0, 0]);
        m.grants(request(did, Access::Read, PAGE), PAGE);
    }
    // When all become invalid and the machine is reset
    for did in 0..6 {
        m.dc(did, [0, 0, 0, 0]);
    }
    m.reset();
    m.start();
    // Then none is used any more
    let cases: Vec<_> = (0..6)
        .map(|did| (request(did, Access::Read, PAGE), 258))
        .collect();
    m.refuses_each(&cases);
}
