//! Commands: legality and meaning (groups 17 to 21), decoded by hand from the matrix.

use crate::translate::Features;

/// The command is answered by cmd_ill (CQ-06..08).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotLegal;

/// A legal command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// IOTINVAL or IODIR.
    Invalidate(Invalidation),
    /// IOFENCE.C.
    Fence {
        /// PR: reads of devices are ordered first (FEN-03).
        reads: bool,
        /// PW: so are writes (FEN-04).
        writes: bool,
        /// WSI: raise fence_w_ip on completion (FEN-08).
        interrupt: bool,
        /// AV: byte address and data to store on completion (FEN-06).
        store: Option<(u64, u32)>,
    },
}

/// What an invalidation is bound to drop. Dropping more is always legal (INV-16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalidation {
    /// Directory caches of one device, or of all with the non-leaf entries (DIR-02, DIR-03, DIR-10).
    Directory {
        /// The device.
        device_id: Option<u32>,
    },
    /// First-stage translations without a guest (INV-02..05).
    Pages {
        /// PSCV: this space only, and no globals.
        pscid: Option<u32>,
        /// AV: leaf entries for these page numbers only, first and last.
        range: Option<(u64, u64)>,
        /// NL: with a range the non-leaf entries used for it too (INV-24).
        non_leaf: bool,
    },
    /// A legal command about something that does not exist here: process directories, second stages.
    Nothing,
}

/// Page numbers that a tag covers: those of the IOVA, 52 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    pub pscid: u32,
    pub global: bool,
    pub first: u64,
    pub last: u64,
}

impl Invalidation {
    /// Whether a cached translation must go.
    pub(crate) fn covers_leaf(&self, tag: &Tag) -> bool {
        let Invalidation::Pages { pscid, range, .. } = *self else {
            return false;
        };
        let space = pscid.is_none_or(|pscid| pscid == tag.pscid && !tag.global);
        // INV-22: a superpage or NAPOT entry goes if it contains the address.
        space && range.is_none_or(|(first, last)| first <= tag.last && tag.first <= last)
    }

    /// Whether a cached pointer to a table must go (INV-20, INV-24).
    pub(crate) fn covers_pointer(&self, tag: &Tag) -> bool {
        let Invalidation::Pages {
            range, non_leaf, ..
        } = *self
        else {
            return false;
        };
        (range.is_none() || non_leaf) && self.covers_leaf(tag)
    }

    /// Whether a cached context must go.
    pub(crate) fn covers_context(&self, device: u32) -> bool {
        matches!(self, Invalidation::Directory { device_id } if device_id.is_none_or(|id| id == device))
    }

    /// Whether cached non-leaf directory entries must go (DIR-10).
    pub(crate) fn covers_directory(&self) -> bool {
        matches!(self, Invalidation::Directory { device_id: None })
    }
}

/// Pages that ADDR means, S given (INV-27, INV-28): the position of its lowest 0 bit is the size.
fn range(page: u64, s: bool) -> (u64, u64) {
    if !s {
        return (page, page);
    }
    let order = page.trailing_ones() + 1;
    if order >= 52 {
        return (0, u64::MAX);
    }
    let mask = (1 << order) - 1;
    (page & !mask, page | mask)
}

/// Decodes a command. `device_id_bits` belongs to the largest directory implemented, `wsi` is fctl.WSI.
///
/// # Errors
/// It is illegal, or legal in general but not for this IOMMU.
pub fn decode(
    features: &Features,
    device_id_bits: u32,
    wsi: bool,
    dw: [u64; 2],
) -> Result<Command, NotLegal> {
    let [a, b] = dw;
    let field = |high: u32, low: u32| a >> low & (u64::MAX >> (63 - (high - low)));
    let bit = |at: u32| a >> at & 1 == 1;
    let legal = |ok: bool| if ok { Ok(()) } else { Err(NotLegal) };
    match (field(6, 0), field(9, 7)) {
        (1, func3 @ 0..=1) => {
            // INV-01, INV-13, INV-23, INV-26.
            let (gvma, pscv, s) = (func3 == 1, bit(32), b >> 9 & 1 == 1);
            legal(!bit(11) && field(43, 35) == 0 && field(63, 60) == 0)?;
            legal(b & 0x1ff == 0 && b >> 62 == 0)?;
            legal(!(gvma && pscv))?;
            legal(!bit(34) || features.has(42))?;
            legal(!s || features.has(43))?;
            // INV-10, A-48: without a second stage GVMA and GV=1 have nothing to drop.
            if gvma || bit(33) {
                return Ok(Command::Invalidate(Invalidation::Nothing));
            }
            Ok(Command::Invalidate(Invalidation::Pages {
                pscid: pscv.then_some(field(31, 12) as u32),
                range: bit(10).then(|| range(b >> 10, s)),
                non_leaf: bit(34),
            }))
        }
        (2, 0) => {
            // FEN-01, FEN-09.
            legal(field(31, 14) == 0 && b >> 62 == 0)?;
            legal(!bit(11) || wsi)?;
            Ok(Command::Fence {
                reads: bit(12),
                writes: bit(13),
                interrupt: bit(11),
                store: bit(10).then_some((b << 2, field(63, 32) as u32)),
            })
        }
        (3, func3 @ 0..=1) => {
            // DIR-01, DIR-04, DIR-05, DIR-07, DIR-08 with A-22.
            let (pid, dv, did) = (field(31, 12), bit(33), field(63, 40) as u32);
            legal(field(11, 10) == 0 && !bit(32) && field(39, 34) == 0 && b == 0)?;
            legal(!dv || did >> device_id_bits == 0)?;
            if func3 == 1 {
                legal(dv && pid <= 0xff)?;
                return Ok(Command::Invalidate(Invalidation::Nothing));
            }
            legal(pid == 0)?;
            Ok(Command::Invalidate(Invalidation::Directory {
                device_id: dv.then_some(did),
            }))
        }
        // CQ-06, CQ-08, ATC-02.
        _ => Err(NotLegal),
    }
}
