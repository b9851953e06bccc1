//! The register page: table of all registers and typed values (groups 1-6 and 25-28 of the matrix).

mod table;
mod values;

pub use table::*;
pub use values::*;

/// Values of `ddtp.iommu_mode` (DDTP-02).
pub mod iommu_mode {
    /// No transaction passes.
    pub const OFF: u8 = 0;
    /// No translation: SPA = IOVA.
    pub const BARE: u8 = 1;
    /// Directory of one level.
    pub const LVL1: u8 = 2;
    /// Directory of two levels.
    pub const LVL2: u8 = 3;
    /// Directory of three levels.
    pub const LVL3: u8 = 4;
}

/// Values of `capabilities.IGS` (CAP-07).
pub mod igs {
    /// Interrupts by message only.
    pub const MSI: u8 = 0;
    /// Interrupts by wire only.
    pub const WSI: u8 = 1;
    /// Both, chosen by `fctl.WSI`.
    pub const BOTH: u8 = 2;
}

/// Values of `iohpmevt.eventID` (HPM-07).
pub mod event {
    /// Counts nothing.
    pub const NONE: u16 = 0;
    /// Untranslated requests.
    pub const UNTRANSLATED: u16 = 1;
    /// Translated requests.
    pub const TRANSLATED: u16 = 2;
    /// ATS translation requests.
    pub const ATS_REQUEST: u16 = 3;
    /// Misses of the address-translation cache.
    pub const TLB_MISS: u16 = 4;
    /// Device directory walks, one per entry read.
    pub const DDT_WALK: u16 = 5;
    /// Process directory walks.
    pub const PDT_WALK: u16 = 6;
    /// First-stage page-table walks.
    pub const S1_WALK: u16 = 7;
    /// Second-stage page-table walks.
    pub const S2_WALK: u16 = 8;
}

/// `capabilities.version` of the supported specification, 1.0 (CAP-02).
pub const VERSION_1_0: u8 = 0x10;
