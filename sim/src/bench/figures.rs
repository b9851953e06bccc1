//! What each figure means, in words, with its bound and what the other open IOMMU takes.
//!
//! L is the memory latency: cycles from the cycle in which a read request is accepted to the one with its first data. A
//! figure from A to B is the number of the cycle of B less that of A. A request is *offered* in the first cycle with
//! `req_valid`, and *answered* in the cycle with `rsp_valid` and `rsp_ready`; measured requests are offered at an idle port
//! whose answers are always taken. Commands start in the cycle in which the write of cqt is offered at the register port,
//! and end in the first cycle in which a read of cqh may be offered that returns the new index.

use portcullis_regmap::Config;

use super::rig::Measured;
use super::{Bench, commands, traces, translations};

/// A number of cycles that depends on L.
#[derive(Clone, Copy, Debug)]
pub struct Formula {
    /// As text.
    pub text: &'static str,
    /// As a function.
    pub at: fn(f64) -> f64,
}

/// A figure.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// Its name in JSON.
    pub name: &'static str,
    /// Its name in tables.
    pub title: &'static str,
    /// Of what.
    pub unit: &'static str,
    /// Set-up, and from where to where.
    pub what: &'static str,
    /// The other IOMMU, measured the same way.
    pub peer: Option<Formula>,
    /// What it may be at most on a configuration for which speed is the aim; elsewhere it is the peer's.
    pub bound: Option<Formula>,
    /// Whether a configuration can have it.
    pub has: fn(&Config) -> bool,
    /// Takes it at a memory latency.
    pub measure: fn(&Bench<'_>, u64) -> Measured<f64>,
}

impl Definition {
    /// The bound on `config`. The figures to reach are those of `linux` and beyond; `tiny` must be no slower than the peer.
    #[must_use]
    pub fn bound_for(&self, config: &Config) -> Option<Formula> {
        if config.name == "tiny" {
            self.peer
        } else {
            self.bound.or(self.peer)
        }
    }

    /// Its value at a memory latency.
    #[must_use]
    pub fn bound_of(&self, config: &Config, latency: u64) -> Option<f64> {
        self.bound_for(config)
            .map(|formula| (formula.at)(latency as f64))
    }

    /// The peer's value at a memory latency.
    #[must_use]
    pub fn peer_at(&self, latency: u64) -> Option<f64> {
        self.peer.map(|formula| (formula.at)(latency as f64))
    }
}

/// Names of all figures.
#[must_use]
pub fn names() -> Vec<&'static str> {
    let names = FIGURES.iter().map(|one| one.name);
    names.chain(traces::NAMES).collect()
}

const fn formula(text: &'static str, at: fn(f64) -> f64) -> Option<Formula> {
    Some(Formula { text, at })
}

fn always(_: &Config) -> bool {
    true
}

fn two_levels(config: &Config) -> bool {
    config.accepts_mode(3)
}

fn three_levels(config: &Config) -> bool {
    config.accepts_mode(4)
}

fn ranges(config: &Config) -> bool {
    config.capabilities().s()
}

fn non_leaf(config: &Config) -> bool {
    config.capabilities().s() && config.capabilities().nl()
}

const CYCLES: &str = "cycles";

/// Every figure but those of the replays.
pub const FIGURES: &[Definition] = &[
    Definition {
        name: "hit_latency",
        title: "IOTLB hit",
        unit: CYCLES,
        what: "A page that was read before, Sv39, 4 KiB: from the offer of the request to its answer.",
        peer: formula("2", |_| 2.0),
        bound: formula("2", |_| 2.0),
        has: always,
        measure: translations::hit_latency,
    },
    Definition {
        name: "hit_interval",
        title: "hits back to back",
        unit: "cycles/request",
        what: "1,000 requests to four pages that were read before, a request offered in every cycle in which the port may \
               take one: from the first answer to the last, divided by 999.",
        peer: formula("3.03", |_| 3.03),
        bound: formula("1", |_| 1.0),
        has: always,
        measure: translations::hit_interval,
    },
    Definition {
        name: "miss_4k",
        title: "4 KiB miss, context cached",
        unit: CYCLES,
        what: "The device's context is cached, and nothing of its page tables (after an IOTINVAL.VMA of everything): from the \
               offer to the answer. Sv39, three reads.",
        peer: formula("3L+6", |l| 3.0 * l + 6.0),
        bound: formula("3L+6", |l| 3.0 * l + 6.0),
        has: always,
        measure: translations::miss_4k,
    },
    Definition {
        name: "miss_4k_walk_cached",
        title: "4 KiB miss, region walked before",
        unit: CYCLES,
        what: "As before, but another page of the same 2 MiB, 200 pages away, was read before: from the offer to the answer.",
        peer: formula("3L+6", |l| 3.0 * l + 6.0),
        bound: formula("L+4", |l| l + 4.0),
        has: always,
        measure: translations::miss_4k_walk_cached,
    },
    Definition {
        name: "miss_2m",
        title: "2 MiB miss, context cached",
        unit: CYCLES,
        what: "As `miss_4k`, for a page of 2 MiB: two reads.",
        peer: formula("2L+5", |l| 2.0 * l + 5.0),
        bound: None,
        has: always,
        measure: translations::miss_2m,
    },
    Definition {
        name: "miss_1g",
        title: "1 GiB miss, context cached",
        unit: CYCLES,
        what: "As `miss_4k`, for a page of 1 GiB: one read.",
        peer: formula("L+4", |l| l + 4.0),
        bound: None,
        has: always,
        measure: translations::miss_1g,
    },
    Definition {
        name: "cold_1lvl",
        title: "cold, directory of one level",
        unit: CYCLES,
        what: "The first request after reset, Sv39, 4 KiB: from the offer to the answer. Four reads, one of them of the context.",
        peer: formula("4L+12", |l| 4.0 * l + 12.0),
        bound: formula("4L+8", |l| 4.0 * l + 8.0),
        has: always,
        measure: translations::cold_1lvl,
    },
    Definition {
        name: "cold_2lvl",
        title: "cold, directory of two levels",
        unit: CYCLES,
        what: "As `cold_1lvl`, five reads.",
        peer: formula("5L+13", |l| 5.0 * l + 13.0),
        bound: None,
        has: two_levels,
        measure: translations::cold_2lvl,
    },
    Definition {
        name: "cold_3lvl",
        title: "cold, directory of three levels",
        unit: CYCLES,
        what: "As `cold_1lvl`, six reads.",
        peer: formula("6L+14", |l| 6.0 * l + 14.0),
        bound: None,
        has: three_levels,
        measure: translations::cold_3lvl,
    },
    Definition {
        name: "stream_page",
        title: "new pages in ascending order",
        unit: "cycles/page",
        what: "576 pages of 4 KiB that were never read, in ascending order, one request each, offered as fast as the port takes \
               them: from the 64th answer to the last, divided by 512.",
        peer: formula("3L+7", |l| 3.0 * l + 7.0),
        bound: formula("2", |_| 2.0),
        has: always,
        measure: translations::stream_page,
    },
    Definition {
        name: "stream_page_16",
        title: "the same, 16 requests a page",
        unit: "cycles/request",
        what: "As `stream_page`, 128 pages with 16 requests each: from the 1,024th answer to the last, divided by 1,024.",
        peer: formula("(3L+52)/16", |l| (3.0 * l + 52.0) / 16.0),
        bound: None,
        has: always,
        measure: translations::stream_page_16,
    },
    Definition {
        name: "random_page",
        title: "new pages at random in walked regions",
        unit: "cycles/page",
        what: "252 pages that were never read, in random order, in four regions of 2 MiB of each of which the first page was \
               read; no two entries lie in the same 64 bytes. One request each, as fast as the port takes them: from the 32nd \
               answer to the last, divided by 220.",
        peer: formula("3L+7", |l| 3.0 * l + 7.0),
        bound: formula("(L+6)/4", |l| (l + 6.0) / 4.0),
        has: always,
        measure: translations::random_page,
    },
    Definition {
        name: "hit_under_miss_delay",
        title: "delay of a hit by another device's miss",
        unit: CYCLES,
        what: "Three cycles after the offer of a request that misses (as `miss_4k`), another device offers one that hits: from \
               that offer to its answer, less the 2 of a hit.",
        peer: formula("3L+6", |l| 3.0 * l + 6.0),
        bound: formula("0", |_| 0.0),
        has: always,
        measure: translations::hit_under_miss_delay,
    },
    Definition {
        name: "fault_latency",
        title: "fault, answer",
        unit: CYCLES,
        what: "As `miss_4k`, with V=0 in the last entry: from the offer to the answer that refuses.",
        peer: formula("3L+8", |l| 3.0 * l + 8.0),
        bound: None,
        has: always,
        measure: translations::fault_latency,
    },
    Definition {
        name: "fault_record",
        title: "fault, record written",
        unit: CYCLES,
        what: "The same, to the cycle in which memory takes the last doubleword of the fault record.",
        peer: formula("3L+10", |l| 3.0 * l + 10.0),
        bound: None,
        has: always,
        measure: translations::fault_record,
    },
    Definition {
        name: "inval_command",
        title: "IOTINVAL.VMA in a batch",
        unit: "cycles/command",
        what: "32 IOTINVAL.VMA, each of one page of one address space, without other traffic: from the write of cqt to the index \
               behind the last, divided by 32.",
        peer: formula("L+4", |l| l + 4.0),
        bound: formula("(L+8)/4+1", |l| (l + 8.0) / 4.0 + 1.0),
        has: always,
        measure: commands::inval_command,
    },
    Definition {
        name: "unmap_512_pages",
        title: "512 pages unmapped, range form",
        unit: CYCLES,
        what: "One IOTINVAL.VMA of 2 MiB (S=1) and an IOFENCE.C with PR and PW: from the write of cqt to the index behind the \
               fence. Before, one page of each line of entries was read and all entries were cleared; afterwards requests to \
               these pages are refused.",
        peer: formula("513(L+4)+1", |l| 513.0 * (l + 4.0) + 1.0),
        bound: formula("512+L", |l| 512.0 + l),
        has: ranges,
        measure: commands::unmap_512_pages,
    },
    Definition {
        name: "unmap_512_table",
        title: "512 pages unmapped with their table",
        unit: CYCLES,
        what: "As `unmap_512_pages`, with NL=1, after the entry of the table that held the 512 pages was cleared.",
        peer: formula("513(L+4)+1", |l| 513.0 * (l + 4.0) + 1.0),
        bound: formula("512+L", |l| 512.0 + l),
        has: non_leaf,
        measure: commands::unmap_512_table,
    },
    Definition {
        name: "unmap_512_single",
        title: "512 pages unmapped one by one",
        unit: CYCLES,
        what: "As `unmap_512_pages`, with 512 IOTINVAL.VMA of a page each. A queue that is too small for them is filled up as \
               soon as there is room.",
        peer: formula("513(L+4)+1", |l| 513.0 * (l + 4.0) + 1.0),
        bound: None,
        has: always,
        measure: commands::unmap_512_single,
    },
];
