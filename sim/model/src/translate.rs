//! The way of a request from its IOVA to an outcome (groups 7 and 11 to 13), over whatever supplies what is read.

use portcullis_regmap::Config;

use crate::context::{Context, check_context};
use crate::memory::{Checked, MemError};
use crate::types::{Access, Fault, Kind, Outcome, Request, cause};

/// What the rules depend on, from the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    capabilities: u64,
}

impl Features {
    /// Capabilities beyond the scope of this model: Sv32, Svpbmt, second stages, MRIF, MSI_FLAT, AMO_HWAD, ATS, T2GPA,
    /// END, PD8/17/20, QOSID (CAP-03..08).
    const BEYOND: u64 = 1 << 8
        | 1 << 15
        | 0xf << 16
        | 1 << 21
        | 1 << 22
        | 1 << 23
        | 1 << 24
        | 1 << 25
        | 1 << 26
        | 1 << 27
        | 0xf << 38;

    /// The features of a configuration.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self {
            capabilities: config.capabilities,
        }
    }

    /// Whether the model knows all of them.
    #[must_use]
    pub fn supported(&self) -> bool {
        self.capabilities & Self::BEYOND == 0
    }

    /// Whether a bit of `capabilities` is set.
    #[must_use]
    pub fn has(&self, bit: u32) -> bool {
        self.capabilities >> bit & 1 == 1
    }

    /// Whether the IOMMU can address this byte (CAP-09, DDT-18).
    #[must_use]
    pub fn reaches(&self, addr: u64) -> bool {
        addr >> (self.capabilities >> 32 & 0x3f) == 0
    }
}

/// A first-stage page table and the tag of what is cached from it (DC-07, MEM-03).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Root {
    /// 3, 4 or 5 for Sv39, Sv48, Sv57.
    pub levels: u8,
    /// Page number of the root table.
    pub ppn: u64,
    /// Soft-context id.
    pub pscid: u32,
}

/// One read of the device directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DdtRead {
    /// Where.
    pub addr: u64,
    /// For which device.
    pub device_id: u32,
    /// 0 for the context itself.
    pub level: u8,
}

/// One read of a page table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PteRead {
    /// Where.
    pub addr: u64,
    /// Level, 0 being that of 4 KiB leaves.
    pub level: u8,
    /// In which address space.
    pub root: Root,
    /// For which address.
    pub iova: u64,
}

/// Supplies what a translation reads. A source may answer from memory or from what a cache may legally hold.
pub trait Source {
    /// ddtp: iommu_mode and page number.
    fn ddtp(&mut self) -> (u8, u64);
    /// The directory in which the context is looked up, levels and page number: ddtp's, or an earlier one that a cache
    /// still knows (DDTP-10).
    fn directory(&mut self, own: (u8, u64)) -> (u8, u64);
    /// A non-leaf directory entry (DDT-09).
    fn ddt_entry(&mut self, read: &DdtRead) -> Checked;
    /// A device context, its doublewords read in one burst (HW4).
    fn context(&mut self, read: &DdtRead) -> [Checked; 4];
    /// A page number beyond PAS counts as misconfigured, instead of as an access fault when used.
    fn far_is_misconfigured(&mut self) -> bool;
    /// The page table that is walked: the context's, or another whose translations a cache holds under the same tag
    /// (DC-13, DIR-11).
    fn root(&mut self, own: Root) -> Root;
    /// A page-table entry.
    fn pte(&mut self, read: &PteRead) -> Checked;
}

/// Translates one request.
pub fn translate(features: &Features, request: &Request, source: &mut impl Source) -> Outcome {
    let refuse = |cause: u16, dtf: bool| Outcome::Refused(Fault { cause, dtf });
    let identity = Outcome::Granted {
        pa: request.iova,
        page_shift: 12,
    };
    let (mode, ppn) = source.ddtp();
    // FLT-04: DTF counts as 0 until a valid context is found.
    let context = match mode {
        // TRN-03.
        0 => return refuse(cause::ALL_DISALLOWED, false),
        // TRN-04, TRN-05.
        1 if request.kind == Kind::Untranslated => return identity,
        1 => return refuse(cause::TYPE_DISALLOWED, false),
        _ => match find_context(features, request.device_id, mode - 1, ppn, source) {
            Ok(context) => context,
            Err(cause) => return refuse(cause, false),
        },
    };
    // TRN-06 (EN_ATS is always 0 here), TRN-07.
    if request.kind != Kind::Untranslated || request.process_id.is_some() && !context.pdtv {
        return refuse(cause::TYPE_DISALLOWED, context.dtf);
    }
    // TRN-15, TRN-19.
    let Some(own) = context.root else {
        return identity;
    };
    match walk(features, request, own, source) {
        Ok(outcome) => outcome,
        Err(cause) => refuse(cause, context.dtf),
    }
}

/// Index of a device id in the directory, base format (DDT-02).
fn ddi(device_id: u32, level: u8) -> u64 {
    u64::from(match level {
        0 => device_id & 0x7f,
        1 => device_id >> 7 & 0x1ff,
        _ => device_id >> 16 & 0xff,
    })
}

/// Locates, reads and checks the device context (DDT-04..14).
pub(crate) fn find_context(
    features: &Features,
    device_id: u32,
    levels: u8,
    ppn: u64,
    source: &mut impl Source,
) -> Result<Context, u16> {
    // DDT-04: all nine bits of an index count.
    if (levels..3).any(|level| ddi(device_id, level) != 0) {
        return Err(cause::TYPE_DISALLOWED);
    }
    let (levels, ppn) = source.directory((levels, ppn));
    let mut table = ppn << 12;
    for level in (1..levels).rev() {
        let addr = table + ddi(device_id, level) * 8;
        if !features.reaches(addr) {
            return Err(cause::DDT_ACCESS);
        }
        let read = DdtRead {
            addr,
            device_id,
            level,
        };
        // DDT-10: access violation, poison, V=0, reserved bits, in this order.
        let entry = source.ddt_entry(&read).map_err(ddt_error)?;
        if entry & 1 == 0 {
            return Err(cause::DDT_INVALID);
        }
        if entry >> 54 != 0 || entry & 0x3fe != 0 {
            return Err(cause::DDT_MISCONFIGURED);
        }
        table = (entry >> 10 & ((1 << 44) - 1)) << 12;
        // DDT-18, A-38.
        if !features.reaches(table) && source.far_is_misconfigured() {
            return Err(cause::DDT_MISCONFIGURED);
        }
    }
    let addr = table + ddi(device_id, 0) * 32;
    if !features.reaches(addr) {
        return Err(cause::DDT_ACCESS);
    }
    let read = DdtRead {
        addr,
        device_id,
        level: 0,
    };
    let words = source.context(&read);
    // DDT-14: a violation anywhere in the context comes before poison.
    for error in [MemError::Access, MemError::Corrupt] {
        if words.contains(&Err(error)) {
            return Err(ddt_error(error));
        }
    }
    let context = check_context(features, words.map(|word| word.unwrap_or(0)))?;
    if let Some(root) = context.root
        && !features.reaches(root.ppn << 12)
        && source.far_is_misconfigured()
    {
        return Err(cause::DDT_MISCONFIGURED);
    }
    Ok(context)
}

fn ddt_error(error: MemError) -> u16 {
    match error {
        MemError::Access => cause::DDT_ACCESS,
        MemError::Corrupt => cause::DDT_CORRUPT,
    }
}

/// First stage (S1-02..33).
fn walk(
    features: &Features,
    request: &Request,
    own: Root,
    source: &mut impl Source,
) -> Result<Outcome, u16> {
    let page_fault = request.access.page_fault();
    let iova = request.iova;
    // S1-05: before any memory access. All bits from the top one of the address on are equal.
    let top = (iova as i64) >> (12 + 9 * u32::from(own.levels) - 1);
    if top != 0 && top != -1 {
        return Err(page_fault);
    }
    let root = source.root(own);
    let mut table = root.ppn << 12;
    for level in (0..own.levels).rev() {
        let shift = 12 + 9 * u32::from(level);
        let addr = table + (iova >> shift & 0x1ff) * 8;
        // S1-09.
        if !features.reaches(addr) {
            return Err(request.access.access_fault());
        }
        let read = PteRead {
            addr,
            level,
            root,
            iova,
        };
        let pte = source.pte(&read).map_err(|error| match error {
            MemError::Access => request.access.access_fault(),
            MemError::Corrupt => cause::PT_CORRUPT,
        })?;
        match examine(features, request.access, pte, level) {
            Entry::Fault => return Err(page_fault),
            Entry::Table(next) => table = next << 12,
            Entry::Leaf { napot } => {
                let shift = if napot { 16 } else { shift };
                let page = (pte >> 10 & ((1 << 44) - 1)) << 12;
                let offset = (1u64 << shift) - 1;
                return Ok(Outcome::Granted {
                    pa: page & !offset | iova & offset,
                    page_shift: shift as u8,
                });
            }
        }
    }
    // S1-16: a pointer at level 0.
    Err(page_fault)
}

enum Entry {
    Fault,
    Table(u64),
    Leaf { napot: bool },
}

/// What one entry says (S1-11..27, S1-33).
fn examine(features: &Features, access: Access, pte: u64, level: u8) -> Entry {
    let flag = |bit: u32| pte >> bit & 1 == 1;
    let [v, r, w, x, u] = [0, 1, 2, 3, 4].map(flag);
    let [a, d, n] = [6, 7, 63].map(flag);
    let ppn = pte >> 10 & ((1 << 44) - 1);
    // S1-11, S1-12.
    if !v || w && !r {
        return Entry::Fault;
    }
    // S1-13, S1-14, S1-15 (Svpbmt is beyond this model).
    let reserved = if features.has(14) {
        0x67c0_0000_0000_0000
    } else {
        0x7fc0_0000_0000_0000
    };
    if pte & reserved != 0 {
        return Entry::Fault;
    }
    // S1-16.
    if !r && !x {
        // S1-17, S1-18.
        return if level == 0 || d || a || u || n {
            Entry::Fault
        } else {
            Entry::Table(ppn)
        };
    }
    // S1-19..21, S1-33; S1-22: the request is always user, for a process id never reaches a first stage here.
    let permitted = match access {
        Access::Read => r,
        Access::Write => w,
        Access::Exec => x,
    };
    // S1-23; S1-25, S1-26: NAPOT exists at level 0 only, and only as 64 KiB.
    let aligned = if n {
        level == 0 && ppn & 0xf == 8
    } else {
        ppn & ((1 << (9 * u32::from(level))) - 1) == 0
    };
    // S1-27.
    let usable = a && (access != Access::Write || d);
    if permitted && u && aligned && usable {
        Entry::Leaf { napot: n }
    } else {
        Entry::Fault
    }
}
