//! First-stage translation: what a leaf allows, and pages of each size (S1-19 to S1-33, AD-11).

use portcullis_regmap::config::Config;
use portcullis_sim::core::{Access, Purpose};
use portcullis_tests::conformance::*;
use portcullis_tests::*;

conformance!(
    s1_19_a_read_needs_r,
    s1_20_a_write_needs_w,
    s1_21_an_execute_needs_x_only,
    s1_22_a_user_request_needs_u,
    s1_23_a_superpage_must_be_aligned,
    s1_24_superpages_of_both_sizes_work,
    s1_25_a_napot_page_covers_64_kib,
    s1_25_a_napot_page_works_cached,
    s1_26_n_with_another_size_code,
    s1_26_n_in_a_superpage,
    s1_27_a_clear_or_a_store_with_d_clear,
    s1_29_a_global_leaf_is_invalidated_as_global,
    s1_29_a_global_table_makes_its_pages_global,
    s1_31_page_faults_by_access_kind,
    s1_32_a_bare_first_stage_checks_nothing,
    s1_33_an_executable_page_is_not_readable,
    ad_11_a_store_to_a_page_cached_clean_is_refused,
    ad_11_a_store_passes_once_software_has_set_d,
    ; cycles:
    s1_29_global_pages_keep_their_place,
    ad_11_the_walk_of_the_first_store_is_the_last,
);

/// The three addresses of [`levels`]: pages of 4 KiB, 2 MiB and 1 GiB.
const IOVAS: [u64; 3] = [PAGE, 0x8020_0000, 0xc000_0000];

/// Their frames.
const FRAMES: [u64; 3] = [FRAME, 0xa020_0000, 0x1_4000_0000];

/// A device with a page of each size; where the three leaves stand.
fn levels(m: &mut Rig) -> [u64; 3] {
    m.start();
    let root = m.sv39(DEV, PSCID);
    [0, 1, 2].map(|l| m.map(root, IOVAS[l as usize], FRAMES[l as usize], RWX, l))
}

/// Changes each leaf of [`levels`] by `spoil`, for each of its results: every access is then a page fault, and passes
/// again with the good leaf.
fn spoilt_leaves(m: &mut Rig, spoil: impl Fn(u64) -> Vec<u64>) {
    let slots = levels(m);
    for (l, slot) in slots.into_iter().enumerate() {
        let good = m.load(slot);
        for bad in spoil(good) {
            m.store(slot, bad);
            let cases = ACCESSES.map(|access| (request(DEV, access, IOVAS[l]), page_fault(access)));
            m.refuses_each(&cases);
        }
        m.store(slot, good);
        m.grants_each(&ACCESSES.map(|access| (request(DEV, access, IOVAS[l]), FRAMES[l])));
    }
}

/// A device with a page for each combination of `flags`; each of them passes exactly with the accesses of `allowed`.
fn permissions(m: &mut Rig, cases: &[(u64, &[Access])]) {
    m.start();
    let root = m.sv39(DEV, PSCID);
    for (i, (flags, allowed)) in (0..).zip(cases) {
        let iova = PAGE + i * 0x1000;
        m.map(root, iova, FRAME, *flags, 0);
        // Twice: a permission that one access has brought into a cache must not serve another
        for _ in 0..2 {
            for access in ACCESSES {
                if allowed.contains(&access) {
                    m.grants(request(DEV, access, iova), FRAME);
                } else {
                    m.refuses(request(DEV, access, iova), page_fault(access));
                }
            }
        }
    }
}

/// V, U, A and D.
const BASE: u64 = pte::V | pte::U | pte::A | pte::D;

fn s1_19_a_read_needs_r(m: &mut Rig) {
    permissions(
        m,
        &[
            (BASE | pte::R, &[Access::Read]),
            (BASE | pte::X, &[Access::Exec]),
            (BASE | pte::R | pte::X, &[Access::Read, Access::Exec]),
        ],
    );
}

fn s1_20_a_write_needs_w(m: &mut Rig) {
    permissions(
        m,
        &[
            (BASE | pte::R, &[Access::Read]),
            (BASE | pte::R | pte::W, &[Access::Read, Access::Write]),
            (BASE | pte::R | pte::X, &[Access::Read, Access::Exec]),
            (RWX, &ACCESSES),
        ],
    );
}

fn s1_21_an_execute_needs_x_only(m: &mut Rig) {
    permissions(
        m,
        &[
            (BASE | pte::X, &[Access::Exec]),
            (BASE | pte::R | pte::W, &[Access::Read, Access::Write]),
            (RWX, &ACCESSES),
        ],
    );
}

fn s1_33_an_executable_page_is_not_readable(m: &mut Rig) {
    permissions(m, &[(BASE | pte::X, &[Access::Exec])]);
    // Nor is it to a request that asks for privilege, which has none without process_id
    let mut r = request(DEV, Access::Read, PAGE);
    r.privileged = true;
    m.refuses(r, 13);
}

fn s1_22_a_user_request_needs_u(m: &mut Rig) {
    spoilt_leaves(m, |good| vec![good & !pte::U]);
}

fn s1_23_a_superpage_must_be_aligned(m: &mut Rig) {
    let slots = levels(m);
    for (l, slot) in slots.into_iter().enumerate().skip(1) {
        // When one bit of the page number below the superpage's size is set
        for bit in 0..9 * l {
            m.store(slot, leaf(FRAMES[l] | (1 << (12 + bit)), RWX));
            // Then it is a page fault
            let access = ACCESSES[bit % 3];
            m.refuses(request(DEV, access, IOVAS[l]), page_fault(access));
        }
        m.store(slot, leaf(FRAMES[l], RWX));
        m.grants(request(DEV, Access::Read, IOVAS[l]), FRAMES[l]);
    }
}

fn s1_24_superpages_of_both_sizes_work(m: &mut Rig) {
    levels(m);
    for (l, size) in [(1, 0x20_0000), (2, 0x4000_0000)] {
        for offset in [0, 0x1000, size / 2 + 0x5678, size - 1] {
            // Then any address in it leads to the corresponding one, cold and cached
            let cases = ACCESSES
                .map(|access| (request(DEV, access, IOVAS[l] + offset), FRAMES[l] + offset));
            m.grants_each(&cases);
        }
        // And the next address does not belong to it
        m.refuses(request(DEV, Access::Read, IOVAS[l] + size), 13);
    }
}

/// A device with a 64 KiB page at 0x4001_0000 that leads to 0x8004_0000; returns its root.
fn napot(m: &mut Rig) -> u64 {
    m.start();
    let root = m.sv39(DEV, PSCID);
    for i in 0..16 {
        m.map(root, 0x4001_0000 + i * 0x1000, 0x8004_8000, RWX | pte::N, 0);
    }
    root
}

fn s1_25_a_napot_page_covers_64_kib(m: &mut Rig) {
    napot(m);
    for i in 0..16 {
        // When each of its sixteen entries is the one walked, Then it leads to the corresponding frame
        let offset = i * 0x1000 + 0x321;
        m.grants(
            request(DEV, Access::Read, 0x4001_0000 + offset),
            0x8004_0000 + offset,
        );
        m.invalidate(Cmd::VMA);
    }
    m.refuses(request(DEV, Access::Read, 0x4002_0000), 13);
    m.refuses(request(DEV, Access::Read, 0x4000_f000), 13);
}

fn s1_25_a_napot_page_works_cached(m: &mut Rig) {
    napot(m);
    // Given that one of its entries has been walked
    m.grants(request(DEV, Access::Read, 0x4001_5000), 0x8004_5000);
    // Then every address in it leads to the corresponding one, and none beside it
    for i in 0..16 {
        let offset = i * 0x1000 + 0x700;
        m.grants_each(&ACCESSES.map(|access| {
            (
                request(DEV, access, 0x4001_0000 + offset),
                0x8004_0000 + offset,
            )
        }));
    }
    m.refuses(request(DEV, Access::Read, 0x4002_0000), 13);
    m.refuses(request(DEV, Access::Read, 0x4000_f000), 13);
}

fn s1_26_n_with_another_size_code(m: &mut Rig) {
    m.start();
    let root = m.sv39(DEV, PSCID);
    for code in (0..16).filter(|code| *code != 8) {
        // When N=1 and PPN[3:0] is not 1000b, Then it is a page fault
        m.map(root, PAGE, 0x8004_0000 + code * 0x1000, RWX | pte::N, 0);
        let access = ACCESSES[code as usize % 3];
        m.refuses(request(DEV, access, PAGE), page_fault(access));
        // And with N=0 it is a page
        m.map(root, PAGE, 0x8004_0000 + code * 0x1000, RWX, 0);
        m.grants(request(DEV, access, PAGE), 0x8004_0000 + code * 0x1000);
        m.invalidate(Cmd::VMA);
    }
}

fn s1_26_n_in_a_superpage(m: &mut Rig) {
    // All codes of a superpage with N are reserved, those that would be a size at level 0 included
    let slots = levels(m);
    for (l, slot) in slots.into_iter().enumerate().skip(1) {
        for code in [0, 8, 1 << 9] {
            m.store(slot, leaf(FRAMES[l] + code * 0x1000, RWX | pte::N));
            m.refuses_each(
                &ACCESSES.map(|access| (request(DEV, access, IOVAS[l]), page_fault(access))),
            );
        }
        m.store(slot, leaf(FRAMES[l], RWX));
        m.grants(request(DEV, Access::Read, IOVAS[l]), FRAMES[l]);
    }
}

fn s1_27_a_clear_or_a_store_with_d_clear(m: &mut Rig) {
    spoilt_leaves(m, |good| vec![good & !pte::A, good & !(pte::A | pte::D)]);
    // With A=1 and D=0 a store alone is refused
    let root = m.sv39(6, 6);
    m.map(root, PAGE, FRAME, RWX & !pte::D, 0);
    m.refuses(request(6, Access::Write, PAGE), 15);
    m.grants(request(6, Access::Read, PAGE), FRAME);
    m.grants(request(6, Access::Exec, PAGE), FRAME);
    // And the machine has changed neither bit
    let slot = m.pte(root, PAGE, 0);
    assert_eq!(m.load(slot), leaf(FRAME, RWX & !pte::D));
}

/// A page made global by `level`'s entry (0 is the leaf). Old or new after an invalidation by PSCID, which need not reach
/// global pages; new after one that must.
fn global_by(m: &mut Rig, level: u32) {
    m.start();
    let root = m.device_with_page();
    let slot = m.pte(root, PAGE, level);
    m.store(slot, m.load(slot) | pte::G);
    let g = if level == 0 { pte::G } else { 0 };
    for must in [Cmd::VMA, Cmd::VMA.at(PAGE)] {
        for may in [Cmd::VMA.pscid(PSCID), Cmd::VMA.pscid(PSCID).at(PAGE)] {
            m.map(root, PAGE, FRAME, RWX | g, 0);
            m.invalidate(Cmd::VMA);
            m.grants(request(DEV, Access::Read, PAGE), FRAME);
            m.map(root, PAGE, OTHER, RWX | g, 0);
            m.invalidate(may);
            let reached = m.read(DEV, PAGE);
            assert!(
                [Some(FRAME), Some(OTHER)].contains(&reached),
                "{reached:x?}"
            );
            m.invalidate(must);
            m.grants(request(DEV, Access::Read, PAGE), OTHER);
        }
    }
    m.no_faults();
}

fn s1_29_a_global_leaf_is_invalidated_as_global(m: &mut Rig) {
    global_by(m, 0);
}

fn s1_29_a_global_table_makes_its_pages_global(m: &mut Rig) {
    global_by(m, 1);
    m.reset();
    global_by(m, 2);
}

/// What this machine promises beyond the row: an invalidation by PSCID costs no global page its place.
fn s1_29_global_pages_keep_their_place(config: &'static Config) {
    for level in 0..3 {
        let mut m = Rig::rtl(config, 2);
        m.start();
        let root = m.device_with_page();
        let slot = m.pte(root, PAGE, level);
        m.store(slot, m.load(slot) | pte::G);
        // Given a cached page, global by the entry of one level
        m.grants(request(DEV, Access::Read, PAGE), FRAME);
        let read = m.dut.reads(Purpose::Pte);
        // When its PSCID is invalidated, Then it is still a hit
        m.invalidate(Cmd::VMA.pscid(PSCID));
        m.invalidate(Cmd::VMA.pscid(PSCID).at(PAGE));
        m.grants(request(DEV, Access::Read, PAGE), FRAME);
        assert_eq!(m.dut.reads(Purpose::Pte), read, "level {level}");
        // When everything is invalidated, Then it is not
        m.invalidate(Cmd::VMA);
        m.grants(request(DEV, Access::Read, PAGE), FRAME);
        assert!(m.dut.reads(Purpose::Pte) > read);
    }
}

fn s1_31_page_faults_by_access_kind(m: &mut Rig) {
    m.start();
    m.device_with_page();
    let absent = PAGE + 0x1000;
    m.refuses(request(DEV, Access::Exec, absent), 12);
    m.refuses(request(DEV, Access::Read, absent), 13);
    m.refuses(request(DEV, Access::Write, absent), 15);
    m.grants_each(&ACCESSES.map(|access| (request(DEV, access, PAGE), FRAME)));
}

fn s1_32_a_bare_first_stage_checks_nothing(m: &mut Rig) {
    // Given a device without a first stage, and a page table that would refuse everything
    m.start();
    let table = m.page();
    m.dc(DEV, [TC_V, 0, PSCID << 12, table >> 12]);
    // Then every access passes, also to addresses that Sv39 would call bad
    for iova in [0, PAGE, 1 << 39, 1 << 40, 0x0012_3456_789a_bcde] {
        m.grants_each(&ACCESSES.map(|access| (request(DEV, access, iova), iova)));
    }
    assert_eq!(m.dut.reads(Purpose::Pte), 0);
    m.no_faults();
}

fn ad_11_a_store_to_a_page_cached_clean_is_refused(m: &mut Rig) {
    let slots = levels(m);
    for (l, slot) in slots.into_iter().enumerate() {
        // Given a page of each size with D=0 that a load and an execute have brought into the cache
        let clean = leaf(FRAMES[l], RWX & !pte::D);
        m.store(slot, clean);
        m.grants(request(DEV, Access::Read, IOVAS[l]), FRAMES[l]);
        m.grants(request(DEV, Access::Exec, IOVAS[l]), FRAMES[l]);
        // Then a store is refused, and refused again, and the PTE stays as it is
        m.refuses(request(DEV, Access::Write, IOVAS[l]), 15);
        m.refuses(request(DEV, Access::Write, IOVAS[l]), 15);
        assert_eq!(m.load(slot), clean);
        m.grants(request(DEV, Access::Read, IOVAS[l]), FRAMES[l]);
    }
}

fn ad_11_a_store_passes_once_software_has_set_d(m: &mut Rig) {
    // Given a page cached with D=0
    m.start();
    let root = m.device_with_page();
    m.map(root, PAGE, FRAME, RWX & !pte::D, 0);
    m.grants(request(DEV, Access::Read, PAGE), FRAME);
    m.refuses(request(DEV, Access::Write, PAGE), 15);
    // When software sets D, without any invalidation
    m.map(root, PAGE, FRAME, RWX, 0);
    // Then the next store walks again and passes
    m.grants(request(DEV, Access::Write, PAGE), FRAME);
}

/// What this machine promises beyond the row: the new entry takes the place of the old one.
fn ad_11_the_walk_of_the_first_store_is_the_last(config: &'static Config) {
    for before in 0..8 {
        // Given a page cached with D=0, behind some others, of which software has then set D
        let mut m = Rig::rtl(config, 2);
        m.start();
        let root = m.device_with_page();
        for i in 0..before {
            m.map(root, 0x8000_0000 + i * 0x1000, OTHER, RWX, 0);
            m.grants(request(DEV, Access::Read, 0x8000_0000 + i * 0x1000), OTHER);
        }
        m.map(root, PAGE, FRAME, RWX & !pte::D, 0);
        m.grants(request(DEV, Access::Read, PAGE), FRAME);
        m.map(root, PAGE, FRAME, RWX, 0);
        // When a store has walked again, Then the next ones are hits
        m.grants(request(DEV, Access::Write, PAGE), FRAME);
        let read = m.dut.reads(Purpose::Pte);
        for access in ACCESSES {
            m.grants(request(DEV, access, PAGE), FRAME);
        }
        assert_eq!(m.dut.reads(Purpose::Pte), read, "{before} pages before");
    }
}
