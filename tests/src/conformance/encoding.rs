//! Encodings by hand, and what a refusal leaves behind: commands, PTE bits, causes, fault records.

use portcullis_sim::core::{Access, Kind, Request};

use crate::{DDT, FaultRecord};

/// PTE bits by name.
pub mod pte {
    #![allow(missing_docs)]
    pub const V: u64 = 1;
    pub const R: u64 = 1 << 1;
    pub const W: u64 = 1 << 2;
    pub const X: u64 = 1 << 3;
    pub const U: u64 = 1 << 4;
    pub const G: u64 = 1 << 5;
    pub const A: u64 = 1 << 6;
    pub const D: u64 = 1 << 7;
    pub const N: u64 = 1 << 63;
}

/// A command: its two doublewords, by hand (INV-01, FEN-01, DIR-01), so that a slip in `portcullis-regmap` cannot hide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cmd(pub u64, pub u64);

impl Cmd {
    /// IOTINVAL.VMA of everything.
    pub const VMA: Self = Self(0x001, 0);
    /// IOTINVAL.GVMA of everything.
    pub const GVMA: Self = Self(0x081, 0);
    /// IOFENCE.C.
    pub const FENCE: Self = Self(0x002, 0);
    /// IODIR.INVAL_DDT of all devices.
    pub const INVAL_DDT: Self = Self(0x003, 0);
    /// IODIR.INVAL_PDT; needs [`Cmd::did`].
    pub const INVAL_PDT: Self = Self(0x083, 0);
    /// PR of a fence: device reads first.
    pub const PR: u64 = 1 << 12;
    /// PW of a fence: device writes first.
    pub const PW: u64 = 1 << 13;
    /// WSI of a fence.
    pub const WSI: u64 = 1 << 11;

    /// IOTINVAL: PSCV and PSCID.
    #[must_use]
    pub const fn pscid(self, pscid: u64) -> Self {
        Self(self.0 | (1 << 32) | (pscid << 12), self.1)
    }
    /// IOTINVAL: AV and ADDR.
    #[must_use]
    pub const fn at(self, addr: u64) -> Self {
        Self(self.0 | (1 << 10), self.1 | ((addr >> 12) << 10))
    }
    /// IOTINVAL: GV and GSCID.
    #[must_use]
    pub const fn gscid(self, gscid: u64) -> Self {
        Self(self.0 | (1 << 33) | (gscid << 44), self.1)
    }
    /// IODIR: DV and DID.
    #[must_use]
    pub const fn did(self, did: u64) -> Self {
        Self(self.0 | (1 << 33) | (did << 40), self.1)
    }
    /// IODIR: PID.
    #[must_use]
    pub const fn pid(self, pid: u64) -> Self {
        Self(self.0 | (pid << 12), self.1)
    }
    /// IOFENCE.C: AV, ADDR and DATA.
    #[must_use]
    pub const fn store(self, addr: u64, data: u32) -> Self {
        Self(
            self.0 | (1 << 10) | ((data as u64) << 32),
            self.1 | (addr >> 2),
        )
    }
    /// More bits of the first doubleword.
    #[must_use]
    pub const fn with(self, bits: u64) -> Self {
        Self(self.0 | bits, self.1)
    }
    /// More bits of the second doubleword.
    #[must_use]
    pub const fn with_second(self, bits: u64) -> Self {
        Self(self.0, self.1 | bits)
    }
}

/// Page-fault cause by access kind (S1-31).
#[must_use]
pub fn page_fault(access: Access) -> u64 {
    match access {
        Access::Exec => 12,
        Access::Read => 13,
        Access::Write => 15,
    }
}

/// Access-fault cause by access kind (FLT-05).
#[must_use]
pub fn access_fault(access: Access) -> u64 {
    match access {
        Access::Exec => 1,
        Access::Read => 5,
        Access::Write => 7,
    }
}

/// The same request with a process_id.
#[must_use]
pub fn with_process(r: Request, process_id: u32, privileged: bool) -> Request {
    Request {
        process_id: Some(process_id),
        privileged,
        ..r
    }
}

/// The same request as another kind.
#[must_use]
pub fn as_kind(r: Request, kind: Kind) -> Request {
    Request { kind, ..r }
}

/// The record that the refusal of `r` with `cause` leaves in a machine without second stage (FLT-07..FLT-12), in the
/// form of [`comparable`].
#[must_use]
pub fn record_of(r: Request, cause: u64) -> FaultRecord {
    let row = match r.access {
        Access::Exec => 1,
        Access::Read => 2,
        Access::Write => 3,
    };
    let ttyp = match r.kind {
        Kind::Untranslated => row,
        Kind::Translated => row + 4,
        Kind::Ats => 8,
    };
    let process = r.process_id.map_or(0, |pid| {
        (u64::from(pid) << 12) | (1 << 32) | (u64::from(r.privileged) << 33)
    });
    let dw0 = cause | process | (ttyp << 34) | (u64::from(r.device_id) << 40);
    comparable(FaultRecord {
        dw: [dw0, 0, r.iova, 0],
    })
}

/// A record without what implementations may choose: custom bits, and the page offset of iotval.
#[must_use]
pub fn comparable(record: FaultRecord) -> FaultRecord {
    let [a, b, c, d] = record.dw;
    FaultRecord {
        dw: [a, b & !0xffff_ffff, c & !0xfff, d],
    }
}

/// A PTE that leads to `pa`, with these bits.
#[must_use]
pub const fn leaf(pa: u64, flags: u64) -> u64 {
    (pa >> 12 << 10) | flags
}

/// iosatp of a page table of `levels` levels: Sv39 (3), Sv48 (4) or Sv57 (5).
#[must_use]
pub const fn iosatp(levels: u32, root: u64) -> u64 {
    ((levels as u64 + 5) << 60) | (root >> 12)
}

/// The value of ddtp for a mode at the usual root.
#[must_use]
pub const fn ddtp_of(mode: u64) -> u64 {
    (DDT >> 12 << 10) | mode
}
