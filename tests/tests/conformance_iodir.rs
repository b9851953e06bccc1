//! IODIR (DIR).
//!
//! A cache may hold less than a test hopes, and an invalidation may drop more than it must (INV-16): the bodies demand
//! the new value where the row does, and accept old or new elsewhere. What this machine promises beyond that (that it
//! keeps what it need not drop) is in the tests that count reads.

use portcullis_regmap::config::Config;
use portcullis_sim::core::{Access, Purpose};
use portcullis_tests::conformance::*;
use portcullis_tests::*;

conformance!(
    dir_01_the_operands_stand_where_they_should,
    dir_01_every_bit_of_did_counts,
    dir_02_all_contexts_are_dropped,
    dir_02_did_is_ignored_without_dv,
    dir_03_the_context_of_the_device_is_dropped,
    dir_04_inval_ddt_with_a_pid_is_illegal,
    dir_04_inval_ddt_with_each_bit_of_pid_is_illegal,
    dir_05_inval_pdt_without_dv_is_illegal,
    dir_06_inval_pdt_is_legal_and_harmless,
    dir_07_a_did_wider_than_the_directory_is_illegal,
    dir_08_a_pid_wider_than_supported_is_illegal,
    dir_09_stores_before_the_command_are_seen_after_it,
    dir_10_all_of_the_directory_is_dropped_without_dv,
    dir_10_a_new_root_is_used_after_it,
    dir_11_translations_live_on_as_old_or_new,
    ; cycles:
    dir_03_other_contexts_keep_their_place,
);

/// Devices 0, 1 and 2 with cached contexts that pass; in memory they have become invalid.
fn stale_contexts(m: &mut Rig) {
    for did in 0..3 {
        m.dc(did, [TC_V, 0, 0, 0]);
    }
    m.invalidate(Cmd::INVAL_DDT);
    for did in 0..3 {
        m.grants(request(did, Access::Read, PAGE), PAGE);
        m.dc(did, [0, 0, 0, 0]);
    }
}

/// After `c`, the contexts of `must` are gone; the others are old or new.
fn forgets(m: &mut Rig, c: Cmd, must: &[u32]) {
    stale_contexts(m);
    m.invalidate(c);
    for did in 0..3 {
        let reached = m.read(did, PAGE);
        let allowed: &[_] = if must.contains(&did) {
            &[None]
        } else {
            &[None, Some(PAGE)]
        };
        assert!(
            allowed.contains(&reached),
            "{c:x?}: device {did} {reached:x?}"
        );
    }
    m.faults();
}

fn dir_01_the_operands_stand_where_they_should(m: &mut Rig) {
    m.start();
    // Given the command in bits: func3 0, DV 33, DID 63:40
    let c = Cmd(0x003 | (1 << 33) | (2 << 40), 0);
    assert_eq!(c, Cmd::INVAL_DDT.did(2));
    forgets(m, c, &[2]);
    // And func3 1 with PID 31:12 is the other one
    m.accepts(Cmd(0x083 | (1 << 33) | (2 << 40) | (7 << 12), 0));
}

fn dir_01_every_bit_of_did_counts(m: &mut Rig) {
    m.start();
    for bit in 0..7 {
        // Given a cached context whose device_id has one bit
        let did = 1 << bit;
        m.dc(did, [TC_V, 0, 0, 0]);
        m.grants(request(did, Access::Read, PAGE), PAGE);
        m.dc(did, [0, 0, 0, 0]);
        // When exactly that device is invalidated, Then it is gone
        m.invalidate(Cmd(0x003 | (1 << 33) | (u64::from(did) << 40), 0));
        m.refuses(request(did, Access::Read, PAGE), 258);
    }
}

fn dir_02_all_contexts_are_dropped(m: &mut Rig) {
    m.start();
    forgets(m, Cmd::INVAL_DDT, &[0, 1, 2]);
}

fn dir_02_did_is_ignored_without_dv(m: &mut Rig) {
    m.start();
    // Given DID of one device, of none and wider than the directory, all without DV
    for did in [1u64, 77, 0xff_ffff] {
        forgets(m, Cmd::INVAL_DDT.with(did << 40), &[0, 1, 2]);
    }
}

fn dir_03_the_context_of_the_device_is_dropped(m: &mut Rig) {
    m.start();
    for did in 0..3 {
        forgets(m, Cmd::INVAL_DDT.did(did.into()), &[did]);
    }
}

fn dir_03_other_contexts_keep_their_place(config: &'static Config) {
    // Given as many devices as contexts are kept, up to three
    let mut m = Rig::rtl(config, 2);
    m.start();
    let devices = u32::from(config.context_entries).min(3);
    for did in 0..devices {
        m.dc(did, [TC_V, 0, 0, 0]);
        m.grants(request(did, Access::Read, PAGE), PAGE);
    }
    // When one device is invalidated, Then only its context is read again
    m.invalidate(Cmd::INVAL_DDT.did(1));
    let read = m.dut.reads(Purpose::Ddt);
    for did in (0..devices).filter(|did| *did != 1) {
        m.grants(request(did, Access::Read, PAGE), PAGE);
    }
    assert_eq!(m.dut.reads(Purpose::Ddt), read);
    m.grants(request(1, Access::Read, PAGE), PAGE);
    assert!(m.dut.reads(Purpose::Ddt) > read);
}

fn dir_04_inval_ddt_with_a_pid_is_illegal(m: &mut Rig) {
    m.start();
    for c in [Cmd::INVAL_DDT, Cmd::INVAL_DDT.did(DEV.into())] {
        m.accepts(c);
        for pid in [1, 0xff, 0xf_ffff] {
            m.rejects(c.pid(pid));
        }
    }
}

fn dir_04_inval_ddt_with_each_bit_of_pid_is_illegal(m: &mut Rig) {
    m.start();
    // Given a context that would have to go
    m.dc(1, [TC_V, 0, 0, 0]);
    for bit in 0..20 {
        m.rejects(Cmd::INVAL_DDT.did(1).pid(1 << bit));
        m.grants(request(1, Access::Read, PAGE), PAGE);
    }
}

fn dir_05_inval_pdt_without_dv_is_illegal(m: &mut Rig) {
    m.start();
    for c in [
        Cmd::INVAL_PDT,
        Cmd::INVAL_PDT.pid(3),
        Cmd::INVAL_PDT.with(5 << 40),
    ] {
        m.rejects(c);
        m.accepts(c.with(1 << 33));
    }
}

fn dir_06_inval_pdt_is_legal_and_harmless(m: &mut Rig) {
    m.start();
    for pid in [0, 1, 255] {
        forgets(m, Cmd::INVAL_PDT.did(1).pid(pid), &[]);
        assert_eq!(m.read32(reg::CQCSR), csr::EN | csr::ON);
    }
}

fn dir_07_a_did_wider_than_the_directory_is_illegal(m: &mut Rig) {
    m.start();
    // Given the width of the deepest directory, whatever the present mode of ddtp
    let (bits, modes) = m.pick(Each {
        tiny: (7, 0..=2),
        linux: (24, 0..=4),
    });
    for mode in modes {
        m.ddtp(0);
        m.ddtp(mode);
        for c in [Cmd::INVAL_DDT, Cmd::INVAL_PDT] {
            m.accepts(c.did((1 << bits) - 1));
            for bit in bits..24 {
                m.rejects(c.did(1 << bit));
                m.rejects(c.did(0xff_ffff));
            }
        }
    }
}

fn dir_08_a_pid_wider_than_supported_is_illegal(m: &mut Rig) {
    m.start();
    let c = Cmd::INVAL_PDT.did(DEV.into());
    // Given no PD17 and no PD20, Then eight bits are legal and each further one is not
    for pid in [0, 1, 0x80, 0xff] {
        m.accepts(c.pid(pid));
    }
    for bit in 8..20 {
        m.rejects(c.pid(1 << bit));
    }
}

fn dir_09_stores_before_the_command_are_seen_after_it(m: &mut Rig) {
    m.start();
    let roots = [m.page(), m.page()];
    m.map(roots[0], PAGE, FRAME, RWX, 0);
    m.map(roots[1], PAGE, OTHER, RWX, 0);
    // Given a context that goes through all kinds of values
    let states = [
        ([TC_V, 0, 0, 0], Some(PAGE)),
        ([0; 4], None),
        ([TC_V, 0, 1 << 12, SV39 | (roots[0] >> 12)], Some(FRAME)),
        ([TC_V, 0, 2 << 12, SV39 | (roots[1] >> 12)], Some(OTHER)),
        ([TC_V | 2, 0, 2 << 12, SV39 | (roots[1] >> 12)], None),
        ([TC_V | TC_PDTV, 0, 0, 0], Some(PAGE)),
    ];
    for c in [Cmd::INVAL_DDT, Cmd::INVAL_DDT.did(DEV.into())] {
        for (dw, reached) in states {
            // When each is followed by INVAL_DDT, Then the next access sees it
            m.dc(DEV, dw);
            m.invalidate(c);
            assert_eq!(m.read(DEV, PAGE), reached, "{dw:x?}");
        }
    }
}

fn dir_10_all_of_the_directory_is_dropped_without_dv(m: &mut Rig) {
    m.start();
    // Given more devices than any cache of contexts holds, all used and then made invalid
    for did in 0..128 {
        m.dc(did, [TC_V, 0, 0, 0]);
        m.dut.translate(&[request(did, Access::Read, PAGE)]);
    }
    for did in 0..128 {
        m.dc(did, [0, 0, 0, 0]);
    }
    // When INVAL_DDT has DV=0, Then none is used any more
    m.invalidate(Cmd::INVAL_DDT);
    let cases: Vec<_> = (0..128)
        .map(|did| (request(did, Access::Read, PAGE), 258))
        .collect();
    m.refuses_each(&cases);
}

fn dir_10_a_new_root_is_used_after_it(m: &mut Rig) {
    m.start();
    let fresh = m.page();
    m.dc(DEV, [TC_V, 0, 0, 0]);
    m.dc_at(fresh + u64::from(DEV) * 32, [TC_V, 0, 0, 1 << 60]);
    // Given a context of one directory, cached, When ddtp names another one and DV=0 is invalidated
    m.grants(request(DEV, Access::Read, PAGE), PAGE);
    m.ddtp(0);
    m.ddtp_at(fresh, 2);
    m.invalidate(Cmd::INVAL_DDT);
    // Then that one's context is used
    m.refuses(request(DEV, Access::Read, PAGE), 259);
}

fn dir_11_translations_live_on_as_old_or_new(m: &mut Rig) {
    m.start();
    let root = m.device_with_page();
    for c in [Cmd::INVAL_DDT, Cmd::INVAL_DDT.did(DEV.into())] {
        // Given a cached page that changes
        m.map(root, PAGE, FRAME, RWX, 0);
        m.invalidate(Cmd::VMA);
        m.grants(request(DEV, Access::Read, PAGE), FRAME);
        m.map(root, PAGE, OTHER, RWX, 0);
        // When only contexts are invalidated, Then the page is old or new
        m.invalidate(c);
        let reached = m.read(DEV, PAGE);
        assert!(
            [Some(FRAME), Some(OTHER)].contains(&reached),
            "{reached:x?}"
        );
        // When translations are, Then it is new
        m.invalidate(Cmd::VMA.pscid(PSCID));
        m.grants(request(DEV, Access::Read, PAGE), OTHER);
    }
    m.no_faults();
}
