//! IOTINVAL (INV).
//!
//! A cache may hold less than a test hopes, and an invalidation may drop more than it must (INV-16): the bodies demand
//! the new value where the row does, and accept old or new elsewhere. What this machine promises beyond that (that it
//! keeps what it need not drop) is in the tests that count reads.

use portcullis_regmap::config::Config;
use portcullis_sim::core::{Access, Purpose};
use portcullis_tests::conformance::*;
use portcullis_tests::*;

conformance!(
    inv_01_the_operands_stand_where_they_should,
    inv_02_vma_of_everything_drops_all_pages,
    inv_03_vma_of_a_pscid_drops_its_pages,
    inv_04_vma_of_an_address_drops_its_page_in_every_space,
    inv_05_vma_of_address_and_pscid_drops_that_page,
    inv_05_vma_of_address_and_pscid_drops_superpages_of_that_space,
    inv_05_vma_of_address_and_pscid_leaves_the_rest_old_or_new,
    inv_06_vma_of_a_guest_is_legal_and_harmless,
    inv_06_vma_of_a_guest_is_legal_with_every_operand,
    inv_10_gvma_is_legal_and_harmless,
    inv_13_gvma_with_pscv_is_illegal,
    inv_14_operands_that_are_not_valid_are_ignored,
    inv_15_stores_before_the_command_are_seen_after_it,
    inv_15_stores_to_every_level_are_seen_after_it,
    inv_19_an_address_that_cannot_exist_completes,
    inv_19_an_address_that_cannot_exist_breaks_nothing,
    inv_20_after_an_invalidation_by_address_the_leaf_is_new,
    inv_20_table_entries_may_stay_but_only_old_or_new,
    inv_21_iotinval_is_not_needed_for_and_does_not_replace_iodir,
    inv_22_any_address_in_a_superpage_drops_it,
    inv_22_any_address_in_a_napot_page_drops_it,
    ; tiny:
    inv_23_nl_is_illegal_in_vma,
    inv_23_nl_is_illegal_in_gvma,
    inv_26_s_is_illegal_in_vma,
    inv_26_s_is_illegal_in_gvma,
    ; cycles:
    inv_03_vma_of_a_pscid_spares_other_spaces_and_globals,
    inv_04_vma_of_an_address_spares_other_addresses,
    inv_05_vma_with_address_and_pscid_spares_globals,
    inv_21_iotinval_keeps_contexts,
);

/// The page of [`Spaces`] that all devices share the number of, and a superpage.
const BIG: u64 = 0x8020_0000;

/// Three devices with spaces of their own, each with a page, a second page and a 2 MiB page.
struct Spaces {
    roots: [u64; 3],
}

/// Where page `page` of device `n` leads in generation `generation`.
fn frame(n: usize, page: usize, generation: u64) -> u64 {
    let base = [0x8000_0000, 0x8000_1000, 0xa000_0000][page];
    base + ((n as u64 + 1) << 24) + (generation << 28)
}

const PAGES: [u64; 3] = [PAGE, PAGE + 0x1000, BIG];

const PSCIDS: [u64; 3] = [7, 8, 0xf_ffff];

impl Spaces {
    fn new(m: &mut Rig, flags: u64) -> Self {
        m.start();
        let roots = [0, 1, 2].map(|n| m.sv39(n as u32, PSCIDS[n]));
        let spaces = Self { roots };
        spaces.map(m, flags, 0);
        spaces
    }

    /// Changes every page to another generation, in memory.
    fn map(&self, m: &mut Rig, flags: u64, generation: u64) {
        for (n, root) in self.roots.into_iter().enumerate() {
            for (page, iova) in PAGES.into_iter().enumerate() {
                m.map(
                    root,
                    iova,
                    frame(n, page, generation),
                    flags,
                    u32::from(page == 2),
                );
            }
        }
    }

    /// The page is reached, in one of these generations.
    #[track_caller]
    fn expect(&self, m: &mut Rig, n: usize, page: usize, generations: &[u64]) {
        let reached = m.read(n as u32, PAGES[page]);
        let allowed: Vec<_> = generations
            .iter()
            .map(|g| Some(frame(n, page, *g)))
            .collect();
        assert!(
            allowed.contains(&reached),
            "device {n} page {page}: {reached:x?} of {allowed:x?}"
        );
    }
}

/// Given three spaces, cached, that change; when `c` is executed, then the pages of `must` are new and the others old or
/// new.
fn drops(m: &mut Rig, flags: u64, c: Cmd, must: impl Fn(usize, usize) -> bool) {
    let spaces = Spaces::new(m, flags);
    for n in 0..3 {
        for page in 0..3 {
            spaces.expect(m, n, page, &[0]);
        }
    }
    spaces.map(m, flags, 1);
    m.invalidate(c);
    for n in 0..3 {
        for page in 0..3 {
            spaces.expect(m, n, page, if must(n, page) { &[1] } else { &[0, 1] });
        }
    }
    // And everything is new after everything has been dropped
    m.invalidate(Cmd::VMA);
    for n in 0..3 {
        for page in 0..3 {
            spaces.expect(m, n, page, &[1]);
        }
    }
    m.no_faults();
}

fn inv_01_the_operands_stand_where_they_should(m: &mut Rig) {
    // Given the command in bits: AV 10, PSCID 31:12, PSCV 32, GV 33, GSCID 59:44, ADDR[63:12] in 61:10
    let c = Cmd(
        0x001 | (1 << 10) | (8 << 12) | (1 << 32),
        (PAGE >> 12) << 10,
    );
    assert_eq!(c, Cmd::VMA.at(PAGE).pscid(8));
    // Then it drops the page of PSCID 8, which is device 1
    drops(m, RWX, c, |n, page| n == 1 && page == 0);
    // And func3 1, GV and GSCID are legal
    m.accepts(Cmd(0x081, 0));
    m.accepts(Cmd(0x001 | (1 << 33) | (0xffff << 44), 0));
}

fn inv_02_vma_of_everything_drops_all_pages(m: &mut Rig) {
    drops(m, RWX, Cmd::VMA, |_, _| true);
    m.reset();
    drops(m, RWX | pte::G, Cmd::VMA, |_, _| true);
}

fn inv_03_vma_of_a_pscid_drops_its_pages(m: &mut Rig) {
    for (n, pscid) in PSCIDS.into_iter().enumerate() {
        drops(m, RWX, Cmd::VMA.pscid(pscid), |d, _| d == n);
        m.reset();
    }
    // Global pages need not go
    drops(m, RWX | pte::G, Cmd::VMA.pscid(8), |_, _| false);
}

fn inv_04_vma_of_an_address_drops_its_page_in_every_space(m: &mut Rig) {
    for (page, iova) in PAGES.into_iter().enumerate() {
        drops(m, RWX, Cmd::VMA.at(iova), |_, p| p == page);
        m.reset();
        // Global ones too
        drops(m, RWX | pte::G, Cmd::VMA.at(iova), |_, p| p == page);
        m.reset();
    }
}

fn inv_05_vma_of_address_and_pscid_drops_that_page(m: &mut Rig) {
    for (n, pscid) in PSCIDS.into_iter().enumerate() {
        drops(m, RWX, Cmd::VMA.at(PAGE).pscid(pscid), |d, p| {
            (d, p) == (n, 0)
        });
        m.reset();
    }
}

fn inv_05_vma_of_address_and_pscid_drops_superpages_of_that_space(m: &mut Rig) {
    drops(m, RWX, Cmd::VMA.at(BIG + 0x12_3000).pscid(8), |d, p| {
        (d, p) == (1, 2)
    });
}

fn inv_05_vma_of_address_and_pscid_leaves_the_rest_old_or_new(m: &mut Rig) {
    // Given a PSCID that nobody has, an address that nobody maps, and global pages: nothing must go
    drops(m, RWX, Cmd::VMA.at(PAGE).pscid(9), |_, _| false);
    m.reset();
    drops(m, RWX, Cmd::VMA.at(0x7000).pscid(8), |_, _| false);
    m.reset();
    drops(m, RWX | pte::G, Cmd::VMA.at(PAGE).pscid(8), |_, _| false);
}

const EIGHT_PAGES: under_test::Need = under_test::Need {
    what: "room for eight pages",
    of: |c| c.iotlb_entries >= 8,
};

/// Reads of page tables that the cached pages of [`Spaces`] cost after `c`.
fn reads_after(config: &'static Config, flags: u64, c: Cmd) -> [[u64; 3]; 3] {
    // Four pages: the cache of `tiny` holds them together, and again with what is walked anew
    let mut m = Rig::rtl(under_test::with(config, EIGHT_PAGES), 2);
    let spaces = Spaces::new(&mut m, flags);
    for (n, page) in [(0, 0), (1, 0), (0, 2), (1, 2)] {
        spaces.expect(&mut m, n, page, &[0]);
    }
    m.invalidate(c);
    let mut out = [[0; 3]; 3];
    for (n, page) in [(0, 0), (1, 0), (0, 2), (1, 2)] {
        let before = m.dut.reads(Purpose::Pte);
        spaces.expect(&mut m, n, page, &[0]);
        out[n][page] = m.dut.reads(Purpose::Pte) - before;
    }
    out
}

/// What this machine promises beyond INV-16: selectivity.
fn inv_03_vma_of_a_pscid_spares_other_spaces_and_globals(config: &'static Config) {
    let left = reads_after(config, RWX, Cmd::VMA.pscid(8));
    assert_eq!((left[0][0], left[0][2]), (0, 0), "the other space");
    assert!(left[1][0] > 0 && left[1][2] > 0, "the space itself");
    let left = reads_after(config, RWX | pte::G, Cmd::VMA.pscid(8));
    assert_eq!((left[1][0], left[1][2]), (0, 0), "its global pages");
}

fn inv_04_vma_of_an_address_spares_other_addresses(config: &'static Config) {
    let left = reads_after(config, RWX, Cmd::VMA.at(PAGE));
    assert_eq!((left[0][2], left[1][2]), (0, 0));
    assert!(left[0][0] > 0 && left[1][0] > 0);
}

fn inv_05_vma_with_address_and_pscid_spares_globals(config: &'static Config) {
    let left = reads_after(config, RWX, Cmd::VMA.at(PAGE).pscid(8));
    assert_eq!(
        (left[0][0], left[0][2], left[1][2]),
        (0, 0, 0),
        "other pages"
    );
    assert!(left[1][0] > 0, "the page itself");
    let left = reads_after(config, RWX | pte::G, Cmd::VMA.at(PAGE).pscid(8));
    assert_eq!(left[1][0], 0, "the page itself, if it is global");
}

fn inv_06_vma_of_a_guest_is_legal_and_harmless(m: &mut Rig) {
    // Given cached pages, When first-stage entries of a guest are dropped, Then nothing must go and nothing breaks
    for c in [Cmd::VMA.gscid(0), Cmd::VMA.gscid(0xffff)] {
        drops(m, RWX, c, |_, _| false);
        m.reset();
    }
}

fn inv_06_vma_of_a_guest_is_legal_with_every_operand(m: &mut Rig) {
    m.start();
    m.device_with_page();
    for g in [0, 1, 0x8000, 0xffff] {
        for c in [
            Cmd::VMA,
            Cmd::VMA.at(PAGE),
            Cmd::VMA.pscid(PSCID),
            Cmd::VMA.at(PAGE).pscid(PSCID),
        ] {
            m.accepts(c.gscid(g));
            m.grants(request(DEV, Access::Read, PAGE), FRAME);
        }
    }
    m.fence();
    m.no_faults();
}

fn inv_10_gvma_is_legal_and_harmless(m: &mut Rig) {
    for c in [
        Cmd::GVMA,
        Cmd::GVMA.at(PAGE),
        Cmd::GVMA.gscid(3),
        Cmd::GVMA.gscid(0xffff).at(PAGE),
    ] {
        drops(m, RWX, c, |_, _| false);
        assert_eq!(m.read32(reg::CQCSR), csr::EN | csr::ON);
        m.reset();
    }
}

fn inv_13_gvma_with_pscv_is_illegal(m: &mut Rig) {
    m.start();
    for c in [
        Cmd::GVMA,
        Cmd::GVMA.at(PAGE),
        Cmd::GVMA.gscid(3),
        Cmd::GVMA.gscid(3).at(PAGE),
    ] {
        m.accepts(c);
        m.rejects(c.with(1 << 32));
        m.rejects(c.pscid(5));
        // PSCID without PSCV is ignored
        m.accepts(c.with(5 << 12));
    }
}

fn inv_14_operands_that_are_not_valid_are_ignored(m: &mut Rig) {
    // Given VMA of everything with GSCID, PSCID and ADDR that are not valid, Then everything goes
    let c = Cmd::VMA
        .with((0x1234 << 44) | (99 << 12))
        .with_second((0x7_7777) << 10);
    drops(m, RWX, c, |_, _| true);
    m.reset();
    // Given VMA of a PSCID with ADDR and GSCID that are not valid, Then all its pages go
    let c = Cmd::VMA
        .pscid(8)
        .with(0x8000 << 44)
        .with_second((PAGE >> 12) << 10);
    drops(m, RWX, c, |n, _| n == 1);
    m.reset();
    // Given VMA of an address with a PSCID that is not valid, Then that page goes everywhere
    drops(m, RWX, Cmd::VMA.at(PAGE).with(99 << 12), |_, p| p == 0);
}

fn inv_15_stores_before_the_command_are_seen_after_it(m: &mut Rig) {
    m.start();
    let root = m.device_with_page();
    let slot = m.pte(root, PAGE, 0);
    // Given a page that is mapped, unmapped, mapped elsewhere, made read-only and writable again
    let states = [
        (leaf(FRAME, RWX), Some(FRAME), Some(FRAME)),
        (0, None, None),
        (leaf(OTHER, RWX), Some(OTHER), Some(OTHER)),
        (leaf(OTHER, RWX & !pte::W), Some(OTHER), None),
        (leaf(FRAME, RWX), Some(FRAME), Some(FRAME)),
        (leaf(FRAME, RWX & !pte::R & !pte::W), None, None),
    ];
    for c in [
        Cmd::VMA,
        Cmd::VMA.at(PAGE),
        Cmd::VMA.pscid(PSCID),
        Cmd::VMA.at(PAGE).pscid(PSCID),
    ] {
        for (value, read, write) in states {
            // When each store is followed by any VMA that covers it
            m.store(slot, value);
            m.invalidate(c);
            // Then the next accesses see it
            assert_eq!(m.read(DEV, PAGE), read, "{c:x?}");
            assert_eq!(m.reach(DEV, Access::Write, PAGE), write, "{c:x?}");
        }
    }
}

fn inv_15_stores_to_every_level_are_seen_after_it(m: &mut Rig) {
    m.start();
    let root = m.device_with_page();
    for c in [Cmd::VMA, Cmd::VMA.pscid(PSCID)] {
        for level in [2, 1, 0] {
            // Given a cached page, and another path to another frame prepared from `level` down
            m.map(root, PAGE, FRAME, RWX, 0);
            m.invalidate(Cmd::VMA);
            m.grants(request(DEV, Access::Read, PAGE), FRAME);
            let slot = m.pte(root, PAGE, level);
            let old = m.load(slot);
            m.store(slot, 0);
            m.map(root, PAGE, OTHER, RWX, 0);
            // When it is invalidated without an address, Then the new path is used
            m.invalidate(c);
            m.grants(request(DEV, Access::Read, PAGE), OTHER);
            m.store(slot, old);
        }
    }
}

/// Addresses that no page of Sv39 has.
const IMPOSSIBLE: [u64; 4] = [1 << 39, 1 << 45, 1 << 63, 0x7fff_ffff_ffff_f000];

fn inv_19_an_address_that_cannot_exist_completes(m: &mut Rig) {
    m.start();
    for addr in IMPOSSIBLE {
        for c in [
            Cmd::VMA.at(addr),
            Cmd::VMA.at(addr).pscid(PSCID),
            Cmd::GVMA.at(addr).gscid(1),
        ] {
            m.accepts(c);
        }
    }
    m.fence();
}

fn inv_19_an_address_that_cannot_exist_breaks_nothing(m: &mut Rig) {
    for addr in IMPOSSIBLE {
        drops(m, RWX, Cmd::VMA.at(addr | PAGE), |_, _| false);
        m.reset();
    }
}

fn inv_20_after_an_invalidation_by_address_the_leaf_is_new(m: &mut Rig) {
    m.start();
    let root = m.device_with_page();
    m.map(root, BIG, 0xa000_0000, RWX, 1);
    m.map(root, 0xc000_0000, 0xc000_0000, RWX, 2);
    for (level, iova, frames) in [
        (0, PAGE, [FRAME, OTHER]),
        (1, BIG, [0xa000_0000, 0xb000_0000]),
        (2, 0xc000_0000, [0xc000_0000, 0x1_0000_0000]),
    ] {
        for round in 0..4 {
            // Given a cached leaf of any level, When it changes and its address is invalidated, Then it is new
            m.grants(request(DEV, Access::Read, iova), frames[round % 2]);
            m.map(root, iova, frames[(round + 1) % 2], RWX, level);
            m.invalidate([Cmd::VMA.at(iova), Cmd::VMA.at(iova).pscid(PSCID)][round / 2]);
            m.grants(request(DEV, Access::Read, iova), frames[(round + 1) % 2]);
        }
    }
}

fn inv_20_table_entries_may_stay_but_only_old_or_new(m: &mut Rig) {
    for level in [1, 2] {
        // Given a page whose table entry at `level` is changed to a path to another frame
        m.start();
        let root = m.device_with_page();
        m.grants(request(DEV, Access::Read, PAGE), FRAME);
        let slot = m.pte(root, PAGE, level);
        m.store(slot, 0);
        m.map(root, PAGE, OTHER, RWX, 0);
        // When its address is invalidated, Then the old path or the new one is used
        m.invalidate(Cmd::VMA.at(PAGE).pscid(PSCID));
        let reached = m.read(DEV, PAGE);
        assert!(
            [Some(FRAME), Some(OTHER)].contains(&reached),
            "{reached:x?}"
        );
        // When the whole space is, Then the new one
        m.invalidate(Cmd::VMA.pscid(PSCID));
        m.grants(request(DEV, Access::Read, PAGE), OTHER);
        m.reset();
    }
}

fn inv_21_iotinval_is_not_needed_for_and_does_not_replace_iodir(m: &mut Rig) {
    m.start();
    for c in [Cmd::VMA, Cmd::GVMA, Cmd::VMA.pscid(0), Cmd::VMA.at(PAGE)] {
        // Given a cached context that changes
        m.dc(DEV, [TC_V, 0, 0, 0]);
        m.invalidate(Cmd::INVAL_DDT);
        m.grants(request(DEV, Access::Read, PAGE), PAGE);
        m.dc(DEV, [0, 0, 0, 0]);
        // When translations are invalidated, Then the old context may be used, or the new one
        m.invalidate(c);
        let reached = m.read(DEV, PAGE);
        assert!([Some(PAGE), None].contains(&reached), "{reached:x?}");
        // When contexts are, Then only the new one
        m.invalidate(Cmd::INVAL_DDT.did(DEV.into()));
        assert_eq!(m.read(DEV, PAGE), None);
    }
}

fn inv_21_iotinval_keeps_contexts(config: &'static Config) {
    let mut m = Rig::rtl(config, 2);
    m.start();
    m.device_with_page();
    m.grants(request(DEV, Access::Read, PAGE), FRAME);
    let read = m.dut.reads(Purpose::Ddt);
    for c in [
        Cmd::VMA,
        Cmd::GVMA,
        Cmd::VMA.pscid(PSCID),
        Cmd::VMA.at(PAGE).pscid(PSCID),
    ] {
        // When translations of the device are invalidated, Then its context need not be read again
        m.invalidate(c);
        m.grants(request(DEV, Access::Read, PAGE), FRAME);
        assert_eq!(m.dut.reads(Purpose::Ddt), read, "{c:x?}");
    }
}

fn inv_22_any_address_in_a_superpage_drops_it(m: &mut Rig) {
    m.start();
    let root = m.device_with_page();
    for (level, iova, frames) in [
        (1, BIG, [0xa000_0000, 0xb000_0000]),
        (2, 0xc000_0000, [0xc000_0000, 0x1_0000_0000u64]),
    ] {
        let bits = 12 + 9 * level;
        m.map(root, iova, frames[0], RWX, level);
        for (round, bit) in (0..).zip(12..bits) {
            // Given a cached superpage that changes
            m.grants(
                request(DEV, Access::Read, iova + 0x123),
                frames[round % 2] + 0x123,
            );
            m.map(root, iova, frames[(round + 1) % 2], RWX, level);
            // When another address in it is invalidated, Then it is gone
            let c = Cmd::VMA.at(iova | (1 << bit));
            m.invalidate(if round % 2 == 0 { c } else { c.pscid(PSCID) });
            m.grants(
                request(DEV, Access::Read, iova + 0x123),
                frames[(round + 1) % 2] + 0x123,
            );
        }
    }
}

fn inv_22_any_address_in_a_napot_page_drops_it(m: &mut Rig) {
    m.start();
    let root = m.sv39(DEV, PSCID);
    let frames = [0x8004_8000u64, 0x9004_8000];
    for round in 0..16u64 {
        // Given a 64 KiB page, cached through one of its entries, that changes
        let (old, new) = (frames[round as usize % 2], frames[(round as usize + 1) % 2]);
        for (frame, last) in [(old, false), (new, true)] {
            for i in 0..16 {
                m.map(root, 0x4001_0000 + i * 0x1000, frame, RWX | pte::N, 0);
            }
            if !last {
                m.grants(
                    request(DEV, Access::Read, 0x4001_3000),
                    (old & !0xffff) + 0x3000,
                );
            }
        }
        // When any address in it is invalidated, Then it is gone
        let c = Cmd::VMA.at(0x4001_0000 + round * 0x1000);
        m.invalidate(if round % 2 == 0 { c } else { c.pscid(PSCID) });
        m.grants(
            request(DEV, Access::Read, 0x4001_3000),
            (new & !0xffff) + 0x3000,
        );
    }
}

/// This bit is illegal in the command, whatever its operands.
fn illegal_bit(m: &mut Rig, base: Cmd, first: u64, second: u64) {
    m.start();
    let mut forms = vec![base, base.at(PAGE), base.gscid(1), base.gscid(1).at(PAGE)];
    if base == Cmd::VMA {
        forms.extend([base.pscid(PSCID), base.pscid(PSCID).at(PAGE)]);
    }
    for c in forms {
        m.accepts(c);
        m.rejects(c.with(first).with_second(second));
    }
}

fn inv_23_nl_is_illegal_in_vma(m: &mut Rig) {
    illegal_bit(m, Cmd::VMA, 1 << 34, 0);
}

fn inv_23_nl_is_illegal_in_gvma(m: &mut Rig) {
    illegal_bit(m, Cmd::GVMA, 1 << 34, 0);
}

fn inv_26_s_is_illegal_in_vma(m: &mut Rig) {
    illegal_bit(m, Cmd::VMA, 0, 1 << 9);
}

fn inv_26_s_is_illegal_in_gvma(m: &mut Rig) {
    illegal_bit(m, Cmd::GVMA, 0, 1 << 9);
}
