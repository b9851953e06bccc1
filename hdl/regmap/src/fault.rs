//! Fault records (groups 16 and 22 of the matrix; Queues: FQ).

/// Bytes of a record (FLT-07).
pub const BYTES: u64 = 32;

layout! {
    /// First doubleword of a record (FLT-07..10).
    pub struct FaultInfo: u64 {
        /// What happened (FLT-02); see [`Cause`]
        cause: u16 [12] Rw "CAUSE",
        /// Process id, 0 if PV=0 (FLT-08)
        pid: u32 [20] Rw "PID",
        /// The request carried a process id (FLT-08)
        pv: bool [1] Rw "PV",
        /// Supervisor privilege (FLT-08)
        privileged: bool [1] Rw "PRIV",
        /// Kind of transaction (FLT-09); see [`ttyp`]
        ttyp: u8 [6] Rw "TTYP",
        /// Device id (FLT-07)
        did: u32 [24] Rw "DID",
    }
}

/// A record as it lies in the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Record {
    /// Doubleword 0: [`FaultInfo`]; 1: custom and reserved, 0 here; 2: iotval; 3: iotval2 (FLT-07, FLT-11, FLT-12).
    pub dw: [u64; 4],
}

impl Record {
    /// Doubleword 0, typed.
    pub const fn info(&self) -> FaultInfo {
        FaultInfo::from_bits(self.dw[0])
    }

    /// IOVA, message code or MSI address (FLT-11).
    pub const fn iotval(&self) -> u64 {
        self.dw[2]
    }

    /// Guest physical address and implicit-access bits of causes 20, 21, 23 (FLT-12).
    pub const fn iotval2(&self) -> u64 {
        self.dw[3]
    }

    /// What happened.
    pub const fn cause(&self) -> Cause {
        Cause(self.info().cause())
    }
}

/// Values of TTYP (FLT-09); 6 bits.
pub mod ttyp {
    /// No transaction: DID, PV, PID and PRIV are 0 (FLT-10).
    pub const NONE: u8 = 0;
    /// Untranslated read for execute.
    pub const UNTRANSLATED_EXEC: u8 = 1;
    /// Untranslated read.
    pub const UNTRANSLATED_READ: u8 = 2;
    /// Untranslated write or AMO.
    pub const UNTRANSLATED_WRITE: u8 = 3;
    /// Translated read for execute.
    pub const TRANSLATED_EXEC: u8 = 5;
    /// Translated read.
    pub const TRANSLATED_READ: u8 = 6;
    /// Translated write or AMO.
    pub const TRANSLATED_WRITE: u8 = 7;
    /// PCIe ATS translation request.
    pub const ATS_REQUEST: u8 = 8;
    /// PCIe message request.
    pub const MESSAGE: u8 = 9;
}

/// A fault cause, 12 bits (FLT-02). A number and not an enumeration: records may carry reserved and custom values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cause(pub u16);

macro_rules! causes {
    ($($(#[doc = $doc:literal])* $name:ident = $value:literal, $dtf:literal;)*) => {
        impl Cause {
            $($(#[doc = $doc])* pub const $name: Cause = Cause($value);)*

            /// Every cause the specification defines.
            pub const DEFINED: &'static [Cause] = &[$(Cause($value)),*];

            /// One line, or `None` for reserved and custom values.
            pub const fn describe(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some(concat!($($doc),*).trim_ascii()),)*
                    _ => None,
                }
            }

            /// The record is written even if the device's `tc.DTF` is 1 (FLT-03).
            pub const fn despite_dtf(self) -> bool {
                match self.0 {
                    $($value => $dtf,)*
                    _ => false,
                }
            }
        }
    };
}

causes! {
    /// Instruction access fault
    INSTRUCTION_ACCESS = 1, false;
    /// Read address misaligned
    READ_MISALIGNED = 4, false;
    /// Read access fault
    READ_ACCESS = 5, false;
    /// Write or AMO address misaligned
    WRITE_MISALIGNED = 6, false;
    /// Write or AMO access fault
    WRITE_ACCESS = 7, false;
    /// Instruction page fault
    INSTRUCTION_PAGE = 12, false;
    /// Read page fault
    READ_PAGE = 13, false;
    /// Write or AMO page fault
    WRITE_PAGE = 15, false;
    /// Instruction guest-page fault
    INSTRUCTION_GUEST_PAGE = 20, false;
    /// Read guest-page fault
    READ_GUEST_PAGE = 21, false;
    /// Write or AMO guest-page fault
    WRITE_GUEST_PAGE = 23, false;
    /// All inbound transactions disallowed
    ALL_DISALLOWED = 256, true;
    /// Device directory entry: access fault
    DDT_LOAD_ACCESS = 257, true;
    /// Device directory entry: not valid
    DDT_INVALID = 258, true;
    /// Device directory entry: misconfigured
    DDT_MISCONFIGURED = 259, true;
    /// Transaction type disallowed
    TYPE_DISALLOWED = 260, false;
    /// MSI page-table entry: access fault
    MSI_PTE_ACCESS = 261, false;
    /// MSI page-table entry: not valid
    MSI_PTE_INVALID = 262, false;
    /// MSI page-table entry: misconfigured
    MSI_PTE_MISCONFIGURED = 263, false;
    /// Memory-resident interrupt file: access fault
    MRIF_ACCESS = 264, false;
    /// Process directory entry: access fault
    PDT_LOAD_ACCESS = 265, false;
    /// Process directory entry: not valid
    PDT_INVALID = 266, false;
    /// Process directory entry: misconfigured
    PDT_MISCONFIGURED = 267, false;
    /// Device directory: data corruption
    DDT_CORRUPT = 268, true;
    /// Process directory: data corruption
    PDT_CORRUPT = 269, false;
    /// MSI page table: data corruption
    MSI_PT_CORRUPT = 270, false;
    /// Memory-resident interrupt file: data corruption
    MRIF_CORRUPT = 271, false;
    /// Internal data-path error
    INTERNAL = 272, true;
    /// Write of the IOMMU's own MSI: access fault
    MSI_WRITE_ACCESS = 273, true;
    /// First- or second-stage page table: data corruption
    PT_CORRUPT = 274, false;
}
