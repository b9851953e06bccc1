//! Process directory and process context (group 10 of the matrix). Non-leaf entries are [`crate::ddt::NonLeaf`].

pub use crate::ddt::Iosatp;

layout! {
    /// `ta` of a process context: first doubleword (PDT-12; Data: PC ta).
    pub struct PcTa: u64 {
        /// Valid; everything else is don't-care while 0 (PDT-08)
        v: bool [1] Rw "V",
        /// Supervisor requests are allowed (PDT-14)
        ens: bool [1] Rw "ENS",
        /// Supervisor reads and writes may use U=1 pages (PDT-15)
        sum: bool [1] Rw "SUM",
        /// Reserved (PCM-01)
        __: u16 [9] Wpri "",
        /// Process soft-context id
        pscid: u32 [20] Rw "PSCID",
        /// Reserved (PCM-01)
        __: u32 [32] Wpri "",
    }
}

/// Byte offsets of the doublewords of a process context (PDT-12).
pub mod pc {
    /// Bytes of a process context.
    pub const BYTES: u64 = 16;
    /// [`PcTa`](super::PcTa).
    pub const TA: u64 = 0;
    /// [`Iosatp`](super::Iosatp).
    pub const FSC: u64 = 8;
}

/// Index of a process id at directory level 0 (the page of contexts), 1 or 2 (PDT-01).
pub const fn pdi(process_id: u32, level: u8) -> u16 {
    let pid = process_id & 0x000f_ffff;
    let index = match level {
        0 => pid & 0xff,
        1 => (pid >> 8) & 0x1ff,
        _ => pid >> 17,
    };
    index as u16
}
