//! IOTINVAL with NL and S (INV-24 to INV-29). More may always go than must (INV-16): what must is new, the rest old or
//! new.

use portcullis_sim::core::Access;
use portcullis_tests::conformance::*;
use portcullis_tests::*;

conformance!(
    ; linux:
    inv_24_nl_drops_the_pointers_on_the_way_to_an_address,
    inv_24_nl_drops_the_pointers_of_a_pscid,
    inv_24_nl_is_ignored_without_av,
    inv_24_pointers_that_nl_need_not_drop_are_old_or_new,
    inv_25_gvma_with_nl_is_legal_and_harmless,
    inv_27_s_makes_a_range_of_every_size,
    inv_27_s_with_pscv_drops_the_range_of_that_space,
    inv_27_s_drops_a_page_that_contains_the_range_or_lies_in_it,
    inv_27_s_is_ignored_without_av,
    inv_27_gvma_with_s_is_legal_and_harmless,
    inv_28_the_whole_space,
    inv_28_all_ones_complete,
    inv_29_nl_with_s_drops_the_pointers_of_the_whole_range,
    inv_29_nl_with_s_and_pscv_drops_those_of_that_space,
);

/// NL of IOTINVAL.
const NL: u64 = 1 << 34;
/// S of IOTINVAL, in the second doubleword.
const S: u64 = 1 << 9;

/// ADDR of the range of 2^(x+1) pages that contains `addr` (INV-27).
fn range(addr: u64, x: u32) -> u64 {
    let page = addr >> 12;
    let low = (1 << x) - 1;
    ((page & !(2 * low + 1)) | low) << 12
}

/// A table of `levels` levels with [`PAGE`] at [`FRAME`], and beside each pointer on the way a spare one to another
/// table, which leads to a frame that says which pointer was used.
struct Ways {
    root: u64,
    levels: u32,
}

impl Ways {
    /// Given the device with this context, its page cached.
    fn new(m: &mut Rig, levels: u32, flags: u64) -> Self {
        let root = m.sv(DEV, PSCID, levels);
        let slot = m.pte_in(levels, root, PAGE, 0);
        m.store(slot, leaf(FRAME, RWX));
        for level in 1..levels {
            let slot = m.pte_in(levels, root, PAGE, level);
            let pointer = m.load(slot);
            m.store(slot, pointer | flags);
        }
        let ways = Self { root, levels };
        m.grants(request(DEV, Access::Read, PAGE), FRAME);
        ways
    }

    /// When the pointer at `level` is replaced by one that leads to [`OTHER`].
    fn replace(&self, m: &mut Rig, level: u32, flags: u64) {
        let slot = m.pte_in(self.levels, self.root, PAGE, level);
        let mut table = m.page();
        m.store(slot, leaf(table, TABLE | flags));
        for l in (0..level).rev() {
            let entry = table + ((PAGE >> (12 + 9 * l)) & 0x1ff) * 8;
            if l == 0 {
                m.store(entry, leaf(OTHER, RWX));
            } else {
                table = m.page();
                m.store(entry, leaf(table, TABLE | flags));
            }
        }
    }
}

/// Each pointer on the way to [`PAGE`] in each mode is replaced, `c` executed: where the page leads then.
fn replaced(m: &mut Rig, flags: u64, c: Cmd, mut then: impl FnMut(Option<u64>)) {
    m.start();
    for levels in 3..=5 {
        for level in 1..levels {
            let ways = Ways::new(m, levels, flags);
            ways.replace(m, level, flags);
            m.invalidate(c);
            then(m.read(DEV, PAGE));
            // The next table starts with nothing cached
            m.invalidate(Cmd::INVAL_DDT);
            m.invalidate(Cmd::VMA);
        }
    }
    m.no_faults();
}

fn inv_24_nl_drops_the_pointers_on_the_way_to_an_address(m: &mut Rig) {
    // Global ones too
    for flags in [0, pte::G] {
        for addr in [PAGE, PAGE | 0xfff] {
            replaced(m, flags, Cmd::VMA.at(addr).with(NL), |reached| {
                assert_eq!(reached, Some(OTHER));
            });
            m.reset();
        }
    }
}

fn inv_24_nl_drops_the_pointers_of_a_pscid(m: &mut Rig) {
    replaced(m, 0, Cmd::VMA.at(PAGE).pscid(PSCID).with(NL), |reached| {
        assert_eq!(reached, Some(OTHER));
    });
}

fn inv_24_nl_is_ignored_without_av(m: &mut Rig) {
    // Given NL without AV, Then the command is the one without NL: it drops everything, or a whole space
    for c in [Cmd::VMA, Cmd::VMA.pscid(PSCID)] {
        replaced(m, 0, c.with(NL), |reached| assert_eq!(reached, Some(OTHER)));
        m.reset();
    }
}

fn inv_24_pointers_that_nl_need_not_drop_are_old_or_new(m: &mut Rig) {
    // Given another address, another PSCID, a global pointer with PSCV, or no NL
    for (flags, c) in [
        (0, Cmd::VMA.at(PAGE ^ (1 << 38)).with(NL)),
        (0, Cmd::VMA.at(PAGE).pscid(PSCID + 1).with(NL)),
        (pte::G, Cmd::VMA.at(PAGE).pscid(PSCID).with(NL)),
        (0, Cmd::VMA.at(PAGE)),
    ] {
        replaced(m, flags, c, |reached| {
            assert!(
                [Some(FRAME), Some(OTHER)].contains(&reached),
                "{reached:x?}"
            );
        });
        m.reset();
    }
}

/// GVMA with `bits` and operands is executed, and a page stays what it is.
fn guest_command_is_harmless(m: &mut Rig, nl: u64, s: u64) {
    m.start();
    m.device_with_page();
    m.grants(request(DEV, Access::Read, PAGE), FRAME);
    for c in [
        Cmd::GVMA,
        Cmd::GVMA.at(PAGE),
        Cmd::GVMA.gscid(3),
        Cmd::GVMA.at(PAGE).gscid(3),
        Cmd::VMA.at(PAGE).gscid(3),
        Cmd::VMA.at(PAGE).gscid(3).pscid(PSCID),
    ] {
        // Without a second stage there is nothing that it must drop
        m.accepts(c.with(nl).with_second(s));
        m.grants(request(DEV, Access::Read, PAGE), FRAME);
    }
    m.fence();
    m.no_faults();
    // And PSCV stays illegal
    m.rejects(Cmd::GVMA.at(PAGE).gscid(3).pscid(1).with(nl).with_second(s));
}

fn inv_25_gvma_with_nl_is_legal_and_harmless(m: &mut Rig) {
    guest_command_is_harmless(m, NL, 0);
}

fn inv_27_gvma_with_s_is_legal_and_harmless(m: &mut Rig) {
    guest_command_is_harmless(m, 0, S);
    m.reset();
    guest_command_is_harmless(m, NL, S);
}

/// Given cached pages at these addresses that change; when `c` is executed, then those in the range are new.
fn pages(m: &mut Rig, flags: u64, iovas: &[u64], c: Cmd, must: impl Fn(u64) -> bool) {
    let root = m.sv(DEV, PSCID, 5);
    m.invalidate(Cmd::INVAL_DDT);
    let place =
        |iova: u64, generation: u64| FRAME + (iova >> 12 & 0xff_ffff) * 0x1000 + (generation << 48);
    for (generation, access) in [(0, Some(Access::Read)), (1, None)] {
        for iova in iovas {
            let slot = m.pte_in(5, root, *iova, 0);
            m.store(slot, leaf(place(*iova, generation), flags));
            if let Some(access) = access {
                m.grants(request(DEV, access, *iova), place(*iova, 0));
            }
        }
    }
    m.invalidate(c);
    for iova in iovas {
        let reached = m.read(DEV, *iova);
        let new = Some(place(*iova, 1));
        let fine = reached == new || !must(*iova) && reached == Some(place(*iova, 0));
        assert!(fine, "{iova:#x} reached {reached:x?} after {c:x?}");
    }
    m.invalidate(Cmd::VMA);
}

fn inv_27_s_makes_a_range_of_every_size(m: &mut Rig) {
    m.start();
    // The base has bits at every position, so that a range never starts at 0
    let base = 0x0055_aaaa_aaaa_a000u64;
    for x in 0..43 {
        // Given pages at both ends of the range of 2^(x+1) pages, in its middle, and on both sides of it
        let size = 0x2000u64 << x;
        let first = base & !(size - 1);
        let iovas = [
            first,
            first + size / 2 - 0x1000,
            first + size / 2,
            first + size - 0x1000,
            first.wrapping_sub(0x1000) & 0x00ff_ffff_ffff_f000,
            (first + size) & 0x00ff_ffff_ffff_f000,
        ];
        let canonical: Vec<u64> = iovas
            .into_iter()
            .map(|iova| {
                if iova >> 56 & 1 == 1 {
                    iova | !0 << 56
                } else {
                    iova
                }
            })
            .map(|iova| iova & 0x007f_ffff_ffff_f000)
            .collect();
        let c = Cmd::VMA.at(range(base, x)).with_second(S);
        // Then those in the range are new
        pages(m, RWX, &canonical, c, |iova| {
            (first..first + size).contains(&iova)
        });
    }
    m.no_faults();
}

fn inv_27_s_with_pscv_drops_the_range_of_that_space(m: &mut Rig) {
    m.start();
    let base = 0x1234_5678_0000u64;
    let iovas: Vec<u64> = (0..8).map(|i| base + i * 0x1000).collect();
    let c = Cmd::VMA.at(range(base, 1)).with_second(S);
    // Then four pages of the space are new; of another space, and globals, none need be
    let within = |iova| iova < base + 0x4000;
    pages(m, RWX, &iovas, c.pscid(PSCID), within);
    pages(m, RWX, &iovas, c.pscid(PSCID + 1), |_| false);
    pages(m, RWX | pte::G, &iovas, c.pscid(PSCID), |_| false);
    // And without PSCV globals are
    pages(m, RWX | pte::G, &iovas, c, within);
    m.no_faults();
}

fn inv_27_s_drops_a_page_that_contains_the_range_or_lies_in_it(m: &mut Rig) {
    m.start();
    for (level, flags, iova, x) in [
        // Ranges within a page of 64 KiB, 2 MiB, 1 GiB and 512 GiB ...
        (0, RWX | pte::N, 0x4567_8000, 1),
        (1, RWX, 0x8000_0000, 3),
        (2, RWX, 0xc000_0000, 5),
        (3, RWX, 0x80_0000_0000, 12),
        // ... and around them
        (0, RWX | pte::N, 0x4567_8000, 8),
        (1, RWX, 0x8000_0000, 14),
        (2, RWX, 0xc000_0000, 20),
        (3, RWX, 0x80_0000_0000, 30),
    ] {
        let root = m.sv(DEV, PSCID, 4);
        m.invalidate(Cmd::INVAL_DDT);
        let napot = flags & pte::N != 0;
        let slots: Vec<u64> = (0..if napot { 16 } else { 1 })
            .map(|i| m.pte_in(4, root, (iova & !0xffff) + i * 0x1000, level))
            .collect();
        let size = if napot {
            1 << 16
        } else {
            1u64 << (12 + 9 * level)
        };
        let inside = (iova & !(size - 1)) + size / 2 + 0x3000;
        for (generation, pa) in [(0, 0x00a0_0000_0000_0000u64), (1, 0x00b0_0000_0000_0000)] {
            for slot in &slots {
                m.store(*slot, leaf(pa | if napot { 0x8000 } else { 0 }, flags));
            }
            if generation == 1 {
                // When a range that meets the page is invalidated, Then the new page is used
                m.invalidate(Cmd::VMA.at(range(inside, x)).with_second(S));
            }
            m.grants(request(DEV, Access::Read, inside), pa + size / 2 + 0x3000);
        }
        m.invalidate(Cmd::VMA);
    }
    m.no_faults();
}

fn inv_27_s_is_ignored_without_av(m: &mut Rig) {
    m.start();
    let iovas: Vec<u64> = (0..6).map(|i| PAGE + i * 0x4000_0000).collect();
    // Given S and an address but no AV, Then the command drops everything, or a whole space
    for c in [Cmd::VMA, Cmd::VMA.pscid(PSCID)] {
        let c = c.with_second(S | (range(PAGE, 0) >> 12 << 10));
        pages(m, RWX, &iovas, c, |_| true);
    }
}

fn inv_28_the_whole_space(m: &mut Rig) {
    m.start();
    // Given pages all over the space
    let iovas: Vec<u64> = (12..56).step_by(4).map(|bit| 1 << bit).collect();
    let all = Cmd::VMA.at(!(1 << 63)).with_second(S);
    // When the range has all bits but the top one, Then everything in it is new
    pages(m, RWX, &iovas, all, |_| true);
    pages(m, RWX | pte::G, &iovas, all, |_| true);
    pages(m, RWX, &iovas, all.pscid(PSCID), |_| true);
    // And globals of a space need not be
    pages(m, RWX | pte::G, &iovas, all.pscid(PSCID), |_| false);
}

fn inv_28_all_ones_complete(m: &mut Rig) {
    m.start();
    // What all ones mean is not specified; the command completes, and what is cached is old or new
    let iovas: Vec<u64> = (0..6).map(|i| PAGE + i * 0x4000_0000).collect();
    let c = Cmd::VMA.at(!0).with_second(S);
    m.accepts(c);
    m.accepts(c.with(NL));
    pages(m, RWX, &iovas, c, |_| false);
}

/// Pointers to the two halves of a range are replaced at once; with NL and S both new ones are followed.
fn pointers_of_a_range(m: &mut Rig, flags: u64, c: impl Fn(u64) -> Cmd) {
    m.start();
    for level in [1u32, 2] {
        // Given pages behind two neighbouring pointers of one table
        let root = m.sv(DEV, PSCID, 4);
        m.invalidate(Cmd::INVAL_DDT);
        let size = 1u64 << (12 + 9 * level);
        let iovas = [4 * size, 5 * size].map(|first| first + 0x3000);
        let mut slots = vec![];
        for (i, iova) in (0..).zip(iovas) {
            let slot = m.pte_in(4, root, iova, 0);
            m.store(slot, leaf(FRAME + i * 0x1000, RWX));
            let pointer = m.pte_in(4, root, iova, level);
            let value = m.load(pointer);
            m.store(pointer, value | flags);
            slots.push(pointer);
            m.grants(request(DEV, Access::Read, iova), FRAME + i * 0x1000);
        }
        // When both pointers are replaced and the range over both is invalidated
        for (i, slot) in (0..).zip(&slots) {
            m.store(*slot, 0);
            let new = m.pte_in(4, root, iovas[i as usize], 0);
            m.store(new, leaf(OTHER + i * 0x1000, RWX));
        }
        m.invalidate(c(range(iovas[0], 9 * level)));
        // Then the new ones are followed
        for (i, iova) in (0..).zip(iovas) {
            m.grants(request(DEV, Access::Read, iova), OTHER + i * 0x1000);
        }
        m.invalidate(Cmd::VMA);
    }
    m.no_faults();
}

fn inv_29_nl_with_s_drops_the_pointers_of_the_whole_range(m: &mut Rig) {
    pointers_of_a_range(m, 0, |addr| Cmd::VMA.at(addr).with(NL).with_second(S));
    m.reset();
    pointers_of_a_range(m, pte::G, |addr| Cmd::VMA.at(addr).with(NL).with_second(S));
}

fn inv_29_nl_with_s_and_pscv_drops_those_of_that_space(m: &mut Rig) {
    pointers_of_a_range(m, 0, |addr| {
        Cmd::VMA.at(addr).pscid(PSCID).with(NL).with_second(S)
    });
}
