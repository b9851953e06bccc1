//! Translation with caches that keep everything until told otherwise.

use std::collections::HashMap;

use portcullis_regmap::command::Op;
use portcullis_regmap::ddt::{Format, Iosatp, NonLeaf, Pdtp, Ta, Tc};
use portcullis_regmap::fault::{FaultInfo, ttyp};
use portcullis_regmap::pdt::{PcTa, pdi};
use portcullis_regmap::pte::{Pte, level_shift, vpn};
use portcullis_regmap::regs::{Ddtp, iommu_mode};

use super::World;

/// What the driver may set in `tc`: V and DTF, and with a process directory PDTV and DPE.
const TC_KNOWN: u64 = 1 | 1 << 4 | 1 << 5 | 1 << 9;

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
    /// `ta` and `fsc` by device id and process id.
    processes: HashMap<(u32, u32), (u64, u64)>,
    /// Leaf by PSCID, level and page; the page is the address above the level's shift.
    leaves: HashMap<(u32, u8, u64), u64>,
    /// Table below by PSCID, level of that table, and address above its reach.
    tables: HashMap<(u32, u8, u64), u64>,
}

impl Caches {
    pub fn execute(&mut self, op: &Op) {
        match *op {
            Op::InvalDdt { did: Some(did) } => {
                self.contexts.remove(&did);
                self.processes.retain(|k, _| k.0 != did);
            }
            Op::InvalDdt { did: None } => {
                self.contexts.clear();
                self.processes.clear();
            }
            Op::InvalPdt { did, pid } => drop(self.processes.remove(&(did, pid))),
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
        self.dma_of(did, None, iova, dma)
    }

    /// The same with a process id.
    pub fn dma_of(&mut self, did: u32, pid: Option<u32>, iova: u64, dma: Dma) -> Result<u64, u16> {
        self.translate(did, pid, iova, dma).inspect_err(|&cause| {
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

    fn translate(&mut self, did: u32, pid: Option<u32>, iova: u64, dma: Dma) -> Result<u64, u16> {
        let ddtp = Ddtp::from_bits(self.ddtp);
        match ddtp.iommu_mode() {
            iommu_mode::OFF => return Err(256),
            iommu_mode::BARE => return Ok(iova),
            _ => {}
        }
        let (tc, ta, fsc) = match self.caches.contexts.get(&did) {
            Some(&found) => found,
            None => self.context(ddtp, did)?,
        };
        let tc = Tc::from_bits(tc);
        let (ta, fsc) = match (tc.pdtv(), pid) {
            (false, None) => (ta, fsc),
            (false, Some(_)) => return Err(260),
            (true, None) if !tc.dpe() => return Ok(iova),
            (true, pid) => self.process(did, pid.unwrap_or(0), fsc)?,
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
        let caps = self.caps();
        let pdtv = Tc::from_bits(tc).pdtv();
        if tc & !TC_KNOWN != 0
            || pdtv && !(caps.pd8() || caps.pd17() || caps.pd20())
            || iohgatp != 0
            || ta & Ta::RESERVED != 0
            || fsc & Iosatp::RESERVED != 0
        {
            return Err(259);
        }
        self.caches.contexts.insert(did, (tc, ta, fsc));
        Ok((tc, ta, fsc))
    }

    /// Process context: `ta` and `fsc`.
    fn process(&mut self, did: u32, pid: u32, pdtp: u64) -> Result<(u64, u64), u16> {
        if let Some(&found) = self.caches.processes.get(&(did, pid)) {
            return Ok(found);
        }
        let pdtp = Pdtp::from_bits(pdtp);
        let levels = pdtp.mode();
        assert!((1..=3).contains(&levels), "a directory without a mode");
        if pid >> [8, 17, 20][usize::from(levels) - 1] != 0 {
            return Err(260);
        }
        let mut table = pdtp.ppn() << 12;
        for level in (1..levels).rev() {
            let entry = NonLeaf::from_bits(self.load(table + 8 * u64::from(pdi(pid, level))));
            if !entry.v() {
                return Err(266);
            }
            assert_eq!(entry.into_bits() & NonLeaf::RESERVED, 0);
            table = entry.ppn() << 12;
        }
        let at = table + 16 * u64::from(pdi(pid, 0));
        let (ta, fsc) = (self.load(at), self.load(at + 8));
        if !PcTa::from_bits(ta).v() {
            assert!(
                fsc != 0 || self.identity_wanted,
                "an idle process context must not be one store away from identity"
            );
            return Err(266);
        }
        if ta & PcTa::RESERVED != 0 || fsc & Iosatp::RESERVED != 0 {
            return Err(267);
        }
        let ta = Ta::new()
            .with_pscid(PcTa::from_bits(ta).pscid())
            .into_bits();
        self.caches.processes.insert((did, pid), (ta, fsc));
        Ok((ta, fsc))
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
