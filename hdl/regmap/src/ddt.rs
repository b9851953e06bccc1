//! Device directory: entries, device contexts and the split of a device id (groups 7-9 of the matrix).

layout! {
    /// Non-leaf directory entry, 8 bytes (DDT-09; Data: Non-leaf DDT entry). The process directory's is the same
    /// (PDT-06).
    pub struct NonLeaf: u64 {
        /// Valid
        v: bool [1] Rw "V",
        /// Reserved (DDT-12)
        __: u16 [9] Wpri "",
        /// Page number of the next level
        ppn: u64 [44] Rw "PPN",
        /// Reserved (DDT-13)
        __: u16 [10] Wpri "",
    }
}

layout! {
    /// `tc`, translation control: first doubleword of a device context (DC-01; Data: tc).
    pub struct Tc: u64 {
        /// Valid; everything else is don't-care while 0 (DDT-14)
        v: bool [1] Rw "V",
        /// ATS requests and translated requests are allowed
        en_ats: bool [1] Rw "EN_ATS",
        /// Page requests are allowed
        en_pri: bool [1] Rw "EN_PRI",
        /// ATS replies carry guest physical addresses
        t2gpa: bool [1] Rw "T2GPA",
        /// Disable translation-fault reporting (DC-08)
        dtf: bool [1] Rw "DTF",
        /// fsc holds a pdtp (DC-07)
        pdtv: bool [1] Rw "PDTV",
        /// Page-request group responses carry the process id
        prpr: bool [1] Rw "PRPR",
        /// Hardware updates A and D in the second stage
        gade: bool [1] Rw "GADE",
        /// Hardware updates A and D in the first stage
        sade: bool [1] Rw "SADE",
        /// Requests without process id use process id 0 (DC-09)
        dpe: bool [1] Rw "DPE",
        /// Byte order of first-stage tables and the process directory (DC-11)
        sbe: bool [1] Rw "SBE",
        /// First stage in its 32-bit formats (DC-10)
        sxl: bool [1] Rw "SXL",
        /// Reserved (DCM-01)
        __: u16 [12] Wpri "",
        /// Custom (DCM-42)
        __: u8 [8] Custom "",
        /// Reserved (DCM-02)
        __: u32 [32] Wpri "",
    }
}

layout! {
    /// `iohgatp`, second-stage root: second doubleword (DC-02, DC-04; Data: iohgatp).
    pub struct Iohgatp: u64 {
        /// Page number of the root, 16-KiB aligned (DC-12)
        ppn: u64 [44] Rw "PPN",
        /// Guest soft-context id
        gscid: u16 [16] Rw "GSCID",
        /// Mode; see [`iohgatp_mode`]
        mode: u8 [4] Rw "MODE",
    }
}

layout! {
    /// `ta`, translation attributes: third doubleword (DC-02; Data: ta).
    pub struct Ta: u64 {
        /// Reserved (DCM-03)
        __: u16 [12] Wpri "",
        /// Process soft-context id: the tag of cached first-stage translations while PDTV=0 (DC-07)
        pscid: u32 [20] Rw "PSCID",
        /// Reserved (DCM-04)
        __: u8 [8] Wpri "",
        /// Resource control id (DC-14, DCM-11)
        rcid: u16 [12] Rw "RCID",
        /// Monitoring counter id (DC-14, DCM-11)
        mcid: u16 [12] Rw "MCID",
    }
}

layout! {
    /// `fsc` as `iosatp`, first-stage root: fourth doubleword (DC-02, DC-05; Data: fsc). Also the second doubleword
    /// of a process context (PDT-12).
    pub struct Iosatp: u64 {
        /// Page number of the root table
        ppn: u64 [44] Rw "PPN",
        /// Reserved (DCM-06, PCM-02)
        __: u16 [16] Wpri "",
        /// Mode; see [`iosatp_mode`]
        mode: u8 [4] Rw "MODE",
    }
}

layout! {
    /// `fsc` as `pdtp`, process directory root: fourth doubleword if PDTV=1 (DC-06, DC-07; Data: pdtp).
    pub struct Pdtp: u64 {
        /// Page number of the root page
        ppn: u64 [44] Rw "PPN",
        /// Reserved (DCM-05)
        __: u16 [16] Wpri "",
        /// Mode; see [`pdtp_mode`]
        mode: u8 [4] Rw "MODE",
    }
}

layout! {
    /// `msiptp`, MSI page-table root: fifth doubleword of the extended format (DC-03; Data: msiptp).
    pub struct Msiptp: u64 {
        /// Page number of the table
        ppn: u64 [44] Rw "PPN",
        /// Reserved (DCM-07)
        __: u16 [16] Wpri "",
        /// 0 Off, 1 Flat; see [`msiptp_mode`]
        mode: u8 [4] Rw "MODE",
    }
}

layout! {
    /// `msi_addr_mask` and `msi_addr_pattern`: sixth and seventh doubleword of the extended format (DC-03).
    pub struct MsiPages: u64 {
        /// Bits 63:12 of a guest physical address
        pages: u64 [52] Rw "mask/pattern",
        /// Reserved (DCM-08, DCM-09)
        __: u16 [12] Wpri "",
    }
}

/// Values of `iohgatp.MODE` while `fctl.GXL` is 0 (DC-04).
pub mod iohgatp_mode {
    /// No second stage.
    pub const BARE: u8 = 0;
    /// 41-bit guest physical addresses.
    pub const SV39X4: u8 = 8;
    /// 50-bit guest physical addresses.
    pub const SV48X4: u8 = 9;
    /// 59-bit guest physical addresses.
    pub const SV57X4: u8 = 10;
    /// 34-bit guest physical addresses, while `fctl.GXL` is 1.
    pub const SV32X4: u8 = 8;
}

/// Values of `iosatp.MODE` while `tc.SXL` is 0 (DC-05).
pub mod iosatp_mode {
    /// No first stage.
    pub const BARE: u8 = 0;
    /// 39-bit virtual addresses.
    pub const SV39: u8 = 8;
    /// 48-bit virtual addresses.
    pub const SV48: u8 = 9;
    /// 57-bit virtual addresses.
    pub const SV57: u8 = 10;
    /// 32-bit virtual addresses, while `tc.SXL` is 1.
    pub const SV32: u8 = 8;
}

/// Values of `pdtp.MODE` (DC-06).
pub mod pdtp_mode {
    /// No process directory: the first stage is Bare.
    pub const BARE: u8 = 0;
    /// 8-bit process ids, one level.
    pub const PD8: u8 = 1;
    /// 17-bit process ids, two levels.
    pub const PD17: u8 = 2;
    /// 20-bit process ids, three levels.
    pub const PD20: u8 = 3;
}

/// Values of `msiptp.MODE` (DC-03).
pub mod msiptp_mode {
    /// No address is an MSI page.
    pub const OFF: u8 = 0;
    /// Flat table.
    pub const FLAT: u8 = 1;
}

/// Byte offsets of the doublewords of a device context (DC-01..03).
pub mod dc {
    /// Bytes of a base-format context (DDT-01).
    pub const BASE_BYTES: u64 = 32;
    /// Bytes of an extended-format context (DDT-01).
    pub const EXTENDED_BYTES: u64 = 64;
    /// [`Tc`](super::Tc).
    pub const TC: u64 = 0;
    /// [`Iohgatp`](super::Iohgatp).
    pub const IOHGATP: u64 = 8;
    /// [`Ta`](super::Ta).
    pub const TA: u64 = 16;
    /// [`Iosatp`](super::Iosatp) or [`Pdtp`](super::Pdtp).
    pub const FSC: u64 = 24;
    /// [`Msiptp`](super::Msiptp), extended format only.
    pub const MSIPTP: u64 = 32;
    /// [`MsiPages`](super::MsiPages), extended format only.
    pub const MSI_ADDR_MASK: u64 = 40;
    /// [`MsiPages`](super::MsiPages), extended format only.
    pub const MSI_ADDR_PATTERN: u64 = 48;
    /// Must be 0, extended format only (DCM-10).
    pub const RESERVED: u64 = 56;
}

/// The two formats of a device context; `capabilities.MSI_FLAT` decides (DDT-01).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// 32 bytes.
    Base,
    /// 64 bytes.
    Extended,
}

impl Format {
    /// The format of an IOMMU with or without `capabilities.MSI_FLAT`.
    pub const fn of(msi_flat: bool) -> Self {
        if msi_flat {
            Format::Extended
        } else {
            Format::Base
        }
    }

    /// Bytes of a context.
    pub const fn dc_bytes(self) -> u64 {
        match self {
            Format::Base => dc::BASE_BYTES,
            Format::Extended => dc::EXTENDED_BYTES,
        }
    }

    /// Index of a device id at directory level 0 (the page of contexts), 1 or 2 (DDT-02, DDT-03).
    pub const fn ddi(self, device_id: u32, level: u8) -> u16 {
        let did = device_id & 0x00ff_ffff;
        let index = match (self, level) {
            (Format::Base, 0) => did & 0x7f,
            (Format::Base, 1) => (did >> 7) & 0x1ff,
            (Format::Base, _) => did >> 16,
            (Format::Extended, 0) => did & 0x3f,
            (Format::Extended, 1) => (did >> 6) & 0x1ff,
            (Format::Extended, _) => did >> 15,
        };
        index as u16
    }

    /// Device-id bits that a directory of 1, 2 or 3 levels covers (DDT-04, SW-05).
    pub const fn device_id_bits(self, levels: u8) -> u32 {
        match (self, levels) {
            (_, 0) => 0,
            (Format::Base, 1) => 7,
            (Format::Base, 2) => 16,
            (Format::Extended, 1) => 6,
            (Format::Extended, 2) => 15,
            (_, _) => 24,
        }
    }
}
