//! Translation with caches that keep everything until told otherwise.

use std::collections::HashMap;

use portcullis_regmap::command::Op;
use portcullis_regmap::ddt::{Format, Iosatp, NonLeaf, Ta, Tc};
use portcullis_regmap::fault::{FaultInfo, ttyp};
use portcullis_regmap::pte::{Pte, level_shift, vpn};
use portcullis_regmap::regs::{Ddtp, iommu_mode};

use super::World;

/// What the driver may set in `tc`: V and DTF.
const TC_KNOWN: u64 = 1 | 1 << 4;

/// Reads or writes of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dma {
    Read,
    Write,
}

#[derive(Default)]
pub struct Caches {
    /// `tc`, `ta` and `fsc` by device id.
    contexts: HashMap<u32, (u64, u64, u64)>,
    /// Leaf by PSCID, level and page; the page is the address above the level's shift.
    leaves: HashMap<(u32, u8, u64), u64>,
    /// Table below by PSCID, level of that table, and address above its reach.
    tables: HashMap<(u32, u8, u64), u64>,
}

impl Caches {
    pub fn execute(&mut self, op: &Op) {
        match *op {
            Op::InvalDdt { did: Some(did) } => drop(self.contexts.remove(&did)),
            Op::InvalDdt { did: None } => self.contexts.clear(),
            Op::Iotinval {
                gvma: false,
                addr,
                pscid,
                s,
                ..
            } => {
                let of = |tag: u32| pscid.is_none_or(|p| p == tag);
                let Some(addr) = addr else {
                    self.leaves.retain(|k, _| !of(k.0));
                    self.tables.retain(|k, _| !of(k.0));
                    return;
                };
                let bytes = if s {
                    8192u64 << (addr >> 12).trailing_ones()
                } else {
                    4096
                };
                let first = addr & !(bytes - 1);
                // Leaves only: cached non-leaf entries may stay (INV-20).
                self.leaves.retain(|&(tag, level, page), _| {
                    let start = page << level_shift(level);
                    let overlaps =
                        start < first + bytes && first < start + (1 << level_shift(level));
                    !(of(tag) && overlaps)
                });
            }
            _ => {}
        }
    }
}

impl World {
    /// A device access: the physical address, or the cause of the fault, which is recorded too.
    pub fn dma(&mut self, did: u32, iova: u64, dma: Dma) -> Result<u64, u16> {
        self.translate(did, iova, dma).inspect_err(|&cause| {
            let kind = if dma == Dma::Write {
                ttyp::UNTRANSLATED_WRITE
            } else {
                ttyp::UNTRANSLATED_READ
            };
            let info = FaultInfo::new()
                .with_cause(cause)
                .with_ttyp(kind)
                .with_did(did);
            // DTF counts only in a context that was found valid.
            let quiet = |c: &(u64, u64, u64)| Tc::from_bits(c.0).dtf();
            if !self.caches.contexts.get(&did).is_some_and(quiet) {
                self.report([info.into_bits(), 0, iova, 0]);
            }
        })
    }

    fn translate(&mut self, did: u32, iova: u64, dma: Dma) -> Result<u64, u16> {
        let ddtp = Ddtp::from_bits(self.ddtp);
        match ddtp.iommu_mode() {
            iommu_mode::OFF => return Err(256),
            iommu_mode::BARE => return Ok(iova),
            _ => {}
        }
        let (_, ta, fsc) = match self.caches.contexts.get(&did) {
            Some(&found) => found,
            None => self.context(ddtp, did)?,
        };
        let (pscid, fsc) = (Ta::from_bits(ta).pscid(), Iosatp::from_bits(fsc));
        let levels = match fsc.mode() {
            0 => return Ok(iova),
            mode @ 8..=10 => mode - 5,
            _ => return Err(259),
        };
        let fault = if dma == Dma::Write { 15 } else { 13 };
        let (level, pte) = self
            .leaf(pscid, fsc.ppn() << 12, levels, iova)
            .ok_or(fault)?;
        let pte = Pte::from_bits(pte);
        let allowed = pte.u()
            && pte.a()
            && if dma == Dma::Write {
                pte.w() && pte.d()
            } else {
                pte.r()
            };
        if !allowed || pte.w() && !pte.r() {
            return Err(fault);
        }
        if pte.n() {
            assert_eq!((level, pte.ppn() & 0xf), (0, 8), "malformed NAPOT leaf");
            return Ok((pte.ppn() & !0xf) << 12 | iova & 0xffff);
        }
        let offset = (1 << level_shift(level)) - 1;
        assert_eq!(pte.ppn() << 12 & offset, 0, "misaligned superpage");
        Ok(pte.ppn() << 12 | iova & offset)
    }

    fn context(&mut self, ddtp: Ddtp, did: u32) -> Result<(u64, u64, u64), u16> {
        let format = Format::of(self.caps().msi_flat());
        let levels = ddtp.iommu_mode() - 1;
        if did >> format.device_id_bits(levels) != 0 {
            return Err(260);
        }
        let mut table = ddtp.ppn() << 12;
        for level in (1..levels).rev() {
            let entry =
                NonLeaf::from_bits(self.load(table + 8 * u64::from(format.ddi(did, level))));
            if !entry.v() {
                return Err(258);
            }
            assert_eq!(entry.into_bits() & NonLeaf::RESERVED, 0);
            table = entry.ppn() << 12;
        }
        let at = table + format.dc_bytes() * u64::from(format.ddi(did, 0));
        let [tc, iohgatp, ta, fsc] = [0, 8, 16, 24].map(|n| self.load(at + n));
        if !Tc::from_bits(tc).v() {
            assert!(
                fsc != 0 || self.identity_wanted,
                "an idle context must not be one store away from identity"
            );
            return Err(258);
        }
        if tc & !TC_KNOWN != 0
            || iohgatp != 0
            || ta & Ta::RESERVED != 0
            || fsc & Iosatp::RESERVED != 0
        {
            return Err(259);
        }
        self.caches.contexts.insert(did, (tc, ta, fsc));
        Ok((tc, ta, fsc))
    }

    fn leaf(&mut self, pscid: u32, root: u64, levels: u8, iova: u64) -> Option<(u8, u64)> {
        let cached = (0..3).find_map(|l| {
            Some((
                l,
                *self
                    .caches
                    .leaves
                    .get(&(pscid, l, iova >> level_shift(l)))?,
            ))
        });
        if cached.is_some() {
            return cached;
        }
        let above = |level: u8| iova >> level_shift(level + 1);
        let lowest =
            (0..levels - 1).find(|&l| self.caches.tables.contains_key(&(pscid, l, above(l))));
        let (mut level, mut table) = match lowest {
            Some(l) => (l, self.caches.tables[&(pscid, l, above(l))]),
            None => (levels - 1, root),
        };
        loop {
            let bits = self.load(table + 8 * u64::from(vpn(iova, level)));
            let pte = Pte::from_bits(bits);
            if !pte.v() {
                return None;
            }
            assert_eq!(bits & Pte::RESERVED, 0);
            if pte.leaf() {
                self.caches
                    .leaves
                    .insert((pscid, level, iova >> level_shift(level)), bits);
                return Some((level, bits));
            }
            assert!(
                level > 0 && !pte.a() && !pte.d() && !pte.u() && !pte.n(),
                "malformed non-leaf entry"
            );
            level -= 1;
            table = pte.ppn() << 12;
            self.caches
                .tables
                .insert((pscid, level, above(level)), table);
        }
    }
}
