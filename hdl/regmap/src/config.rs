//! The named configurations of the hardware: the one place that says what a build contains.

use crate::ddt::Format;
use crate::regs::{Capabilities, Fctl};

/// What one build of the hardware contains. Each parameter says what it does and what it costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The name that CI, docs, benches and boards use. Costs nothing.
    pub name: &'static str,
    /// Value of the capabilities register, from which everything optional follows. Each bit costs the logic of its
    /// rows in the matrix.
    pub capabilities: u64,
    /// Value of fctl after reset. Costs nothing.
    pub fctl: u32,
    /// Bits of fctl that software may change. Each costs a flip-flop and the muxes behind it.
    pub fctl_writable: u32,
    /// Largest number of device-directory levels, the smaller ones included if [`Self::ddt_all_levels`]. Each level
    /// beyond the first costs a read per cold walk and the state for it.
    pub ddt_levels: u8,
    /// Directories of fewer levels than [`Self::ddt_levels`] are accepted too. Costs a comparison per level.
    pub ddt_all_levels: bool,
    /// Largest LOG2SZ-1 of the command queue: it holds 2^(n+1) entries of 16 bytes. Each bit costs three flip-flops
    /// and an index mask.
    pub cq_log2sz_minus_1: u8,
    /// Commands that one burst may bring, 1 or 4. A batch of invalidations waits for memory once a burst; each
    /// command costs 128 bits of storage.
    pub command_burst: u8,
    /// Largest LOG2SZ-1 of the fault queue: it holds 2^(n+1) entries of 32 bytes. Cost as for the command queue.
    pub fq_log2sz_minus_1: u8,
    /// Entries of the address-translation cache that hold a page of any size. A hit saves the whole page-table walk; each entry costs about 90
    /// bits of storage and a share of the comparators.
    pub iotlb_entries: u16,
    /// Further entries of the address-translation cache, for 4 KiB pages only: 0, or 256 in 64 sets of four. They cost block
    /// RAM for the data, and distributed RAM and four comparators for the tags.
    pub iotlb_pages: u16,
    /// Entries of the device-context cache. A hit saves the directory walk; each entry costs about 60 bits of storage
    /// and a comparator.
    pub context_entries: u16,
    /// Requests that may wait for a walk while others pass. Each costs the storage of a request, about 80 bits.
    pub miss_queue: u8,
    /// Page-table walks in flight at the same time: 1, 2, 4 or 8. Each costs a walk's state, about 350 bits of
    /// storage, and a comparator; the logic that judges is there once.
    pub walkers: u8,
    /// Pointers to page tables that are kept, so that a miss in a 2 MiB region that has been walked costs one read; a
    /// few pointers to upper tables and to pages of device contexts with them. 0: none is kept. Each costs about 70
    /// bits of storage.
    pub table_pointers: u16,
    /// 64-byte lines of page-table entries that are fetched beside and ahead of what walks read: 0, or 5 to 8. Each costs
    /// 304 bits of storage and two comparators; six keep up with a device that reads on and on from a memory that takes 50
    /// cycles; with any of them there are at most four walks.
    pub pte_lines: u8,
    /// Writable bits of each icvec field: 2^n interrupt vectors. Costs the wires or message-table entries of the
    /// vectors.
    pub icvec_bits: u8,
}

impl Config {
    /// The capabilities register, typed.
    pub const fn capabilities(&self) -> Capabilities {
        Capabilities::from_bits(self.capabilities)
    }

    /// fctl after reset, typed.
    pub const fn fctl(&self) -> Fctl {
        Fctl::from_bits(self.fctl)
    }

    /// Width in bits of the physical addresses the IOMMU itself can use (CAP-09).
    pub const fn pas_bits(&self) -> u32 {
        self.capabilities().pas() as u32
    }

    /// Width in bits of the page numbers the IOMMU itself can use: PPN bits above read 0 (DDTP-11).
    pub const fn ppn_bits(&self) -> u32 {
        self.pas_bits() - crate::PAGE_SHIFT
    }

    /// Format of the device contexts (DDT-01).
    pub const fn dc_format(&self) -> Format {
        Format::of(self.capabilities().msi_flat())
    }

    /// Device-id bits of the largest directory: wider ids are illegal in commands (DIR-07).
    pub const fn device_id_bits(&self) -> u32 {
        self.dc_format().device_id_bits(self.ddt_levels)
    }

    /// Whether ddtp accepts the mode (DDTP-03, DDTP-04).
    pub const fn accepts_mode(&self, iommu_mode: u8) -> bool {
        match iommu_mode {
            0 | 1 => true,
            2..=4 => {
                let levels = iommu_mode - 1;
                levels == self.ddt_levels || levels < self.ddt_levels && self.ddt_all_levels
            }
            _ => false,
        }
    }
}

/// Smallest build with Sv39: profile `cu39`, for an iCE40 HX8K together with the demo system.
pub const TINY: Config = Config {
    name: "tiny",
    capabilities: 0x0000_0020_1000_0210,
    fctl: 0x2,
    fctl_writable: 0,
    ddt_levels: 1,
    ddt_all_levels: true,
    cq_log2sz_minus_1: 7,
    command_burst: 1,
    fq_log2sz_minus_1: 7,
    iotlb_entries: 8,
    iotlb_pages: 0,
    context_entries: 4,
    miss_queue: 4,
    walkers: 1,
    table_pointers: 0,
    pte_lines: 0,
    icvec_bits: 0,
};

/// What mainline Linux needs: profile `base` with HPM, DBG, NL and S, for ECP5 boards.
pub const LINUX: Config = Config {
    name: "linux",
    capabilities: 0x0000_0c28_e000_0e10,
    fctl: 0x0,
    fctl_writable: 0x2,
    ddt_levels: 3,
    ddt_all_levels: true,
    cq_log2sz_minus_1: 12,
    command_burst: 4,
    fq_log2sz_minus_1: 12,
    iotlb_entries: 8,
    iotlb_pages: 256,
    context_entries: 8,
    miss_queue: 8,
    walkers: 4,
    table_pointers: 16,
    pte_lines: 6,
    icvec_bits: 2,
};

/// Builds of [`LINUX`] without one of its techniques, to tell what each gains and costs, and with everything as small and as
/// large as it can be, for tests. Software sees no difference but time.
pub const VARIANTS: &[Config] = &[
    Config {
        name: "linux-one-walk",
        walkers: 1,
        ..LINUX
    },
    Config {
        name: "linux-no-pointers",
        table_pointers: 0,
        ..LINUX
    },
    Config {
        name: "linux-no-lines",
        pte_lines: 0,
        ..LINUX
    },
    Config {
        name: "linux-no-sets",
        iotlb_entries: 16,
        iotlb_pages: 0,
        ..LINUX
    },
    Config {
        name: "linux-no-bursts",
        command_burst: 1,
        ..LINUX
    },
    Config {
        name: "linux-plain",
        walkers: 1,
        table_pointers: 0,
        pte_lines: 0,
        ..LINUX
    },
    Config {
        name: "linux-smallest",
        command_burst: 1,
        iotlb_entries: 2,
        iotlb_pages: 0,
        context_entries: 2,
        miss_queue: 2,
        walkers: 1,
        table_pointers: 0,
        pte_lines: 0,
        ..LINUX
    },
    Config {
        name: "linux-largest",
        iotlb_entries: 32,
        context_entries: 16,
        miss_queue: 16,
        table_pointers: 32,
        pte_lines: 8,
        ..LINUX
    },
];

/// Every named configuration.
pub const CONFIGS: &[Config] = &[TINY, LINUX];

/// The configuration or variant of that name.
pub fn variant(name: &str) -> Option<&'static Config> {
    config(name).or_else(|| VARIANTS.iter().find(|c| c.name == name))
}

/// The configuration of that name.
pub fn config(name: &str) -> Option<&'static Config> {
    CONFIGS.iter().find(|c| c.name == name)
}
