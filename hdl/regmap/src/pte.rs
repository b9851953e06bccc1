//! Page-table entries (group 12 of the matrix; Priv: Sv32, Sv39, Sv48, Sv57, Svnapot, Svpbmt).

layout! {
    /// 8-byte entry of Sv39, Sv48, Sv57 and their second-stage forms (S1-02..04, S1-11..18).
    pub struct Pte: u64 {
        /// Valid (S1-11)
        v: bool [1] Rw "V",
        /// Readable (S1-19)
        r: bool [1] Rw "R",
        /// Writable, needs R (S1-12, S1-20)
        w: bool [1] Rw "W",
        /// Executable (S1-21)
        x: bool [1] Rw "X",
        /// For user-privilege requests, which is all without a process id (S1-22)
        u: bool [1] Rw "U",
        /// Global: an invalidation by PSCID misses it (S1-29, INV-03)
        g: bool [1] Rw "G",
        /// Accessed (S1-27)
        a: bool [1] Rw "A",
        /// Dirty (S1-27)
        d: bool [1] Rw "D",
        /// For software
        rsw: u8 [2] Rw "RSW",
        /// Page number of the page or of the next table
        ppn: u64 [44] Rw "PPN",
        /// Reserved (S1-13)
        __: u8 [5] Wpri "",
        /// For software if capabilities.Svrsw60t59b, else must be 0 (S1-14)
        rsw60t59: u8 [2] Rw "RSW60T59",
        /// Memory type if capabilities.Svpbmt, else must be 0 (S1-15); see [`pbmt`]
        pbmt: u8 [2] Rw "PBMT",
        /// NAPOT: a 64 KiB page if PPN bits 3:0 are 1000b (S1-25, S1-26)
        n: bool [1] Rw "N",
    }
}

layout! {
    /// 4-byte entry of Sv32 (S1-01).
    pub struct Pte32: u32 {
        /// Valid
        v: bool [1] Rw "V",
        /// Readable
        r: bool [1] Rw "R",
        /// Writable, needs R
        w: bool [1] Rw "W",
        /// Executable
        x: bool [1] Rw "X",
        /// For user-privilege requests
        u: bool [1] Rw "U",
        /// Global
        g: bool [1] Rw "G",
        /// Accessed
        a: bool [1] Rw "A",
        /// Dirty
        d: bool [1] Rw "D",
        /// For software
        rsw: u8 [2] Rw "RSW",
        /// Page number of the page or of the next table
        ppn: u32 [22] Rw "PPN",
    }
}

/// Values of `PTE.PBMT` (S1-15, S1-28).
pub mod pbmt {
    /// As the physical memory attributes say.
    pub const PMA: u8 = 0;
    /// Non-cacheable main memory.
    pub const NC: u8 = 1;
    /// I/O.
    pub const IO: u8 = 2;
}

/// The only NAPOT size: 2^4 pages (S1-25).
pub const NAPOT_ORDER: u32 = 4;
/// Low PPN bits that mark a 64 KiB NAPOT page (S1-25).
pub const NAPOT_PPN_LOW: u64 = 0b1000;
/// PPN bits replaced by those of the address in a NAPOT page (S1-25).
pub const NAPOT_PPN_MASK: u64 = 0b1111;
/// VPN bits per level of an 8-byte format (S1-02).
pub const VPN_BITS: u32 = 9;
/// Entries of a table page.
pub const ENTRIES: u64 = 512;
/// Levels of Sv39 (S1-02).
pub const SV39_LEVELS: u8 = 3;
/// Levels of Sv48 (S1-03).
pub const SV48_LEVELS: u8 = 4;
/// Levels of Sv57 (S1-04).
pub const SV57_LEVELS: u8 = 5;

/// Index of an address in the table at a level, 0 being the one of 4 KiB leaves (S1-02..04).
pub const fn vpn(iova: u64, level: u8) -> u16 {
    ((iova >> level_shift(level)) & (ENTRIES - 1)) as u16
}

/// log2 of the bytes that an entry at a level covers: 12, 21, 30, 39, 48 (S1-24).
pub const fn level_shift(level: u8) -> u32 {
    crate::PAGE_SHIFT + VPN_BITS * level as u32
}

/// Whether an address is canonical in a mode with that many levels (S1-05).
pub const fn canonical(iova: u64, levels: u8) -> bool {
    let top = (iova as i64) >> (level_shift(levels) - 1);
    top == 0 || top == -1
}

impl Pte {
    /// R or X set: the entry maps memory (S1-16).
    pub const fn leaf(self) -> bool {
        self.r() || self.x()
    }
}
