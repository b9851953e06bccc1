//! Requests, outcomes and fault records.

/// What a device does (TRN-01).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Access {
    /// Read.
    Read,
    /// Write or atomic.
    Write,
    /// Read for execute.
    Exec,
}

/// Kind of transaction (TRN-01).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Untranslated request.
    Untranslated,
    /// Translated request.
    Translated,
    /// PCIe ATS translation request.
    Ats,
}

/// A request of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// Device id, 24 bits.
    pub device_id: u32,
    /// Process id, 20 bits, if the request carries one.
    pub process_id: Option<u32>,
    /// Supervisor privilege asked for; counts only with a process id (TRN-02).
    pub privileged: bool,
    /// Read, write or execute.
    pub access: Access,
    /// Untranslated, translated or ATS.
    pub kind: Kind,
    /// I/O virtual address.
    pub iova: u64,
}

/// Fault causes that an IOMMU of the covered configurations can raise (FLT-02).
pub mod cause {
    #![allow(missing_docs)]
    pub const INSTRUCTION_ACCESS: u16 = 1;
    pub const READ_ACCESS: u16 = 5;
    pub const WRITE_ACCESS: u16 = 7;
    pub const INSTRUCTION_PAGE: u16 = 12;
    pub const READ_PAGE: u16 = 13;
    pub const WRITE_PAGE: u16 = 15;
    pub const ALL_DISALLOWED: u16 = 256;
    pub const DDT_ACCESS: u16 = 257;
    pub const DDT_INVALID: u16 = 258;
    pub const DDT_MISCONFIGURED: u16 = 259;
    pub const TYPE_DISALLOWED: u16 = 260;
    pub const DDT_CORRUPT: u16 = 268;
    pub const INTERNAL: u16 = 272;
    pub const MSI_WRITE: u16 = 273;
    pub const PT_CORRUPT: u16 = 274;
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fault {
    /// CAUSE (FLT-02).
    pub cause: u16,
    /// tc.DTF of the device context that was found, false if none was (FLT-04).
    pub dtf: bool,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It may go on.
    Granted {
        /// System physical address, with the offset of the IOVA (TRN-20).
        pa: u64,
        /// log2 of the bytes of the page that `pa` lies in; 12 for identity translations.
        page_shift: u8,
    },
    /// It is aborted (TRN-21).
    Refused(Fault),
}

/// A fault record: the four doublewords in the order in which they lie in memory (FLT-07).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Record(pub [u64; 4]);

impl Record {
    /// CAUSE.
    #[must_use]
    pub fn cause(&self) -> u16 {
        (self.0[0] & 0xfff) as u16
    }
    /// DID.
    #[must_use]
    pub fn device_id(&self) -> u32 {
        (self.0[0] >> 40) as u32
    }
    /// Record 273 of an interrupt message that could not be written (INT-16).
    #[must_use]
    pub fn msi_write(addr: u64) -> Self {
        Self([u64::from(cause::MSI_WRITE), 0, addr, 0])
    }
}

impl Access {
    /// TTYP of an untranslated request; translated ones are 4 higher (FLT-09).
    fn ttyp(self) -> u64 {
        match self {
            Access::Exec => 1,
            Access::Read => 2,
            Access::Write => 3,
        }
    }

    /// FLT-05.
    pub(crate) fn access_fault(self) -> u16 {
        match self {
            Access::Exec => cause::INSTRUCTION_ACCESS,
            Access::Read => cause::READ_ACCESS,
            Access::Write => cause::WRITE_ACCESS,
        }
    }

    /// S1-31.
    pub(crate) fn page_fault(self) -> u16 {
        match self {
            Access::Exec => cause::INSTRUCTION_PAGE,
            Access::Read => cause::READ_PAGE,
            Access::Write => cause::WRITE_PAGE,
        }
    }
}

impl Fault {
    /// The record of this fault, or nothing if DTF holds it back (FLT-03, FLT-07..12).
    #[must_use]
    pub fn record(&self, request: &Request) -> Option<Record> {
        let despite_dtf = matches!(self.cause, 256..=259 | 268 | 272 | 273);
        if self.dtf && !despite_dtf {
            return None;
        }
        let ttyp = match request.kind {
            Kind::Untranslated => request.access.ttyp(),
            Kind::Translated => request.access.ttyp() + 4,
            Kind::Ats => 8,
        };
        // FLT-08: without a process id PID and PRIV are 0, whatever was asked for.
        let process = request.process_id.map_or(0, |pid| {
            u64::from(pid & 0xf_ffff) << 12 | 1 << 32 | u64::from(request.privileged) << 33
        });
        let did = u64::from(request.device_id & 0xff_ffff) << 40;
        // FLT-12: iotval2 is 0 for every cause that a single stage can raise.
        Some(Record([
            u64::from(self.cause) | process | ttyp << 34 | did,
            0,
            request.iova,
            0,
        ]))
    }
}

impl Outcome {
    /// Whether the request was refused.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        matches!(self, Outcome::Refused(_))
    }
}
