//! Commands of the command queue (groups 17-21 of the matrix; Queues: CQ).

use crate::PAGE_SHIFT;
use crate::regs::Capabilities;

/// Values of the opcode field (CQ-06).
pub mod opcode {
    /// IOTINVAL.
    pub const IOTINVAL: u8 = 1;
    /// IOFENCE.
    pub const IOFENCE: u8 = 2;
    /// IODIR.
    pub const IODIR: u8 = 3;
    /// ATS.
    pub const ATS: u8 = 4;
}

/// Values of the func3 field, by opcode.
pub mod func3 {
    /// IOTINVAL.VMA (INV-01).
    pub const VMA: u8 = 0;
    /// IOTINVAL.GVMA (INV-01).
    pub const GVMA: u8 = 1;
    /// IOFENCE.C (FEN-01).
    pub const FENCE_C: u8 = 0;
    /// IODIR.INVAL_DDT (DIR-01).
    pub const INVAL_DDT: u8 = 0;
    /// IODIR.INVAL_PDT (DIR-01).
    pub const INVAL_PDT: u8 = 1;
    /// ATS.INVAL (ATC-01).
    pub const ATS_INVAL: u8 = 0;
    /// ATS.PRGR (ATC-01).
    pub const ATS_PRGR: u8 = 1;
}

/// Bytes of a command (CQ-01).
pub const BYTES: u64 = 16;

layout! {
    /// What all first doublewords share (CQ-01).
    pub struct Head: u64 {
        /// Kind; see [`opcode`]
        opcode: u8 [7] Rw "opcode",
        /// Form; see [`func3`]
        func3: u8 [3] Rw "func3",
        /// By opcode
        operands: u64 [54] Rw "operands",
    }
}

layout! {
    /// First doubleword of IOTINVAL (INV-01).
    pub struct Iotinval0: u64 {
        /// Opcode 1
        opcode: u8 [7] Rw "opcode",
        /// 0 VMA, 1 GVMA
        func3: u8 [3] Rw "func3",
        /// ADDR is meant
        av: bool [1] Rw "AV",
        /// Reserved
        __: bool [1] Wpri "",
        /// Process soft-context id
        pscid: u32 [20] Rw "PSCID",
        /// PSCID is meant; illegal on GVMA (INV-13)
        pscv: bool [1] Rw "PSCV",
        /// GSCID is meant
        gv: bool [1] Rw "GV",
        /// Non-leaf entries too, if capabilities.NL (INV-23..25)
        nl: bool [1] Rw "NL",
        /// Reserved
        __: u16 [9] Wpri "",
        /// Guest soft-context id
        gscid: u16 [16] Rw "GSCID",
        /// Reserved
        __: u8 [4] Wpri "",
    }
}

layout! {
    /// Second doubleword of IOTINVAL (INV-01).
    pub struct Iotinval1: u64 {
        /// Reserved
        __: u16 [9] Wpri "",
        /// ADDR encodes a range, if capabilities.S (INV-26..28)
        s: bool [1] Rw "S",
        /// Address bits 63:12
        addr: u64 [52] Rw "ADDR",
        /// Reserved
        __: u8 [2] Wpri "",
    }
}

layout! {
    /// First doubleword of IOFENCE.C (FEN-01).
    pub struct Iofence0: u64 {
        /// Opcode 2
        opcode: u8 [7] Rw "opcode",
        /// 0
        func3: u8 [3] Rw "func3",
        /// Store DATA at ADDR on completion (FEN-06)
        av: bool [1] Rw "AV",
        /// Set fence_w_ip on completion (FEN-08, FEN-09)
        wsi: bool [1] Rw "WSI",
        /// Processed reads are globally ordered first (FEN-03)
        pr: bool [1] Rw "PR",
        /// Processed writes are globally ordered first (FEN-04)
        pw: bool [1] Rw "PW",
        /// Reserved
        __: u32 [18] Wpri "",
        /// The 4 bytes to store
        data: u32 [32] Rw "DATA",
    }
}

layout! {
    /// Second doubleword of IOFENCE.C (FEN-01).
    pub struct Iofence1: u64 {
        /// Address bits 63:2
        addr: u64 [62] Rw "ADDR",
        /// Reserved
        __: u8 [2] Wpri "",
    }
}

layout! {
    /// First doubleword of IODIR; the second is reserved (DIR-01).
    pub struct Iodir0: u64 {
        /// Opcode 3
        opcode: u8 [7] Rw "opcode",
        /// 0 INVAL_DDT, 1 INVAL_PDT
        func3: u8 [3] Rw "func3",
        /// Reserved
        __: u8 [2] Wpri "",
        /// Process id; 0 on INVAL_DDT (DIR-04)
        pid: u32 [20] Rw "PID",
        /// Reserved
        __: bool [1] Wpri "",
        /// DID is meant; must be 1 on INVAL_PDT (DIR-05)
        dv: bool [1] Rw "DV",
        /// Reserved
        __: u8 [6] Wpri "",
        /// Device id
        did: u32 [24] Rw "DID",
    }
}

layout! {
    /// First doubleword of an ATS command; the second is the payload (ATC-01, ATC-08).
    pub struct Ats0: u64 {
        /// Opcode 4
        opcode: u8 [7] Rw "opcode",
        /// 0 INVAL, 1 PRGR
        func3: u8 [3] Rw "func3",
        /// Reserved
        __: u8 [2] Wpri "",
        /// Process id, meant if PV (ATC-07)
        pid: u32 [20] Rw "PID",
        /// PID is meant
        pv: bool [1] Rw "PV",
        /// DSEG is meant
        dsv: bool [1] Rw "DSV",
        /// Reserved
        __: u8 [6] Wpri "",
        /// Requester id
        rid: u16 [16] Rw "RID",
        /// Destination segment
        dseg: u8 [8] Rw "DSEG",
    }
}

/// One command as it lies in the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Command {
    /// Bytes 0-7.
    pub dw0: u64,
    /// Bytes 8-15.
    pub dw1: u64,
}

impl Command {
    /// IODIR.INVAL_DDT: one device, or all (DIR-02, DIR-03).
    pub const fn inval_ddt(device_id: Option<u32>) -> Self {
        let dw0 = Iodir0::new()
            .with_opcode(opcode::IODIR)
            .with_func3(func3::INVAL_DDT);
        let dw0 = match device_id {
            Some(did) => dw0.with_dv(true).with_did(did & 0x00ff_ffff),
            None => dw0,
        };
        Command {
            dw0: dw0.into_bits(),
            dw1: 0,
        }
    }

    /// IODIR.INVAL_PDT: one process context of one device (DIR-06).
    pub const fn inval_pdt(device_id: u32, process_id: u32) -> Self {
        let dw0 = Iodir0::new()
            .with_opcode(opcode::IODIR)
            .with_func3(func3::INVAL_PDT)
            .with_pid(process_id & 0x000f_ffff)
            .with_dv(true)
            .with_did(device_id & 0x00ff_ffff);
        Command {
            dw0: dw0.into_bits(),
            dw1: 0,
        }
    }

    /// IOTINVAL.VMA of everything, global mappings included (INV-02).
    pub const fn iotinval_vma_all() -> Self {
        let dw0 = Iotinval0::new()
            .with_opcode(opcode::IOTINVAL)
            .with_func3(func3::VMA);
        Command {
            dw0: dw0.into_bits(),
            dw1: 0,
        }
    }

    /// IOTINVAL.VMA of one address space (INV-03).
    pub const fn iotinval_vma_pscid(pscid: u32) -> Self {
        let dw0 = Iotinval0::new()
            .with_opcode(opcode::IOTINVAL)
            .with_func3(func3::VMA)
            .with_pscid(pscid & 0x000f_ffff)
            .with_pscv(true);
        Command {
            dw0: dw0.into_bits(),
            dw1: 0,
        }
    }

    /// IOTINVAL.VMA of the leaf entries for one page of one address space (INV-05).
    pub const fn iotinval_vma_page(pscid: u32, iova: u64) -> Self {
        let all = Self::iotinval_vma_pscid(pscid);
        let dw1 = Iotinval1::new().with_addr(iova >> PAGE_SHIFT);
        Command {
            dw0: Iotinval0::from_bits(all.dw0).with_av(true).into_bits(),
            dw1: dw1.into_bits(),
        }
    }

    /// IOTINVAL.VMA of an aligned range of 2^`shift` bytes, `shift` from 13 to 63, of one address space (INV-27).
    /// Needs `capabilities.S`.
    pub const fn iotinval_vma_range(pscid: u32, iova: u64, shift: u32) -> Self {
        let page = Self::iotinval_vma_page(pscid, iova);
        // X, the lowest 0 bit, says 2^(X+1) pages: all bits below it are 1.
        let pages_log2 = shift - PAGE_SHIFT;
        let ones = (1u64 << (pages_log2 - 1)) - 1;
        let addr = ((iova >> PAGE_SHIFT) & !((1u64 << pages_log2) - 1)) | ones;
        Command {
            dw0: page.dw0,
            dw1: Iotinval1::new().with_s(true).with_addr(addr).into_bits(),
        }
    }

    /// The same IOTINVAL with NL=1: non-leaf entries for the address too (INV-24). Needs `capabilities.NL`.
    pub const fn with_non_leaf(self) -> Self {
        Command {
            dw0: Iotinval0::from_bits(self.dw0).with_nl(true).into_bits(),
            dw1: self.dw1,
        }
    }

    /// IOTINVAL.GVMA: everything of one guest, or of all (INV-10, INV-11).
    pub const fn iotinval_gvma(gscid: Option<u16>) -> Self {
        let dw0 = Iotinval0::new()
            .with_opcode(opcode::IOTINVAL)
            .with_func3(func3::GVMA);
        let dw0 = match gscid {
            Some(gscid) => dw0.with_gv(true).with_gscid(gscid),
            None => dw0,
        };
        Command {
            dw0: dw0.into_bits(),
            dw1: 0,
        }
    }

    /// IOFENCE.C, ordering reads (`pr`) and writes (`pw`) of devices too if asked (FEN-02..04).
    pub const fn iofence(pr: bool, pw: bool) -> Self {
        let dw0 = Iofence0::new()
            .with_opcode(opcode::IOFENCE)
            .with_func3(func3::FENCE_C);
        Command {
            dw0: dw0.with_pr(pr).with_pw(pw).into_bits(),
            dw1: 0,
        }
    }

    /// IOFENCE.C that also stores 4 bytes at a 4-byte aligned address on completion (FEN-06).
    pub const fn iofence_store(pr: bool, pw: bool, addr: u64, data: u32) -> Self {
        let plain = Self::iofence(pr, pw);
        let dw0 = Iofence0::from_bits(plain.dw0).with_av(true).with_data(data);
        Command {
            dw0: dw0.into_bits(),
            dw1: Iofence1::new().with_addr(addr >> 2).into_bits(),
        }
    }

    /// ATS.INVAL with its payload (ATC-03, ATC-08).
    pub const fn ats_inval(rid: u16, payload: u64) -> Self {
        let dw0 = Ats0::new()
            .with_opcode(opcode::ATS)
            .with_func3(func3::ATS_INVAL)
            .with_rid(rid);
        Command {
            dw0: dw0.into_bits(),
            dw1: payload,
        }
    }

    /// ATS.PRGR with its payload (ATC-06, ATC-08).
    pub const fn ats_prgr(rid: u16, payload: u64) -> Self {
        let dw0 = Ats0::new()
            .with_opcode(opcode::ATS)
            .with_func3(func3::ATS_PRGR)
            .with_rid(rid);
        Command {
            dw0: dw0.into_bits(),
            dw1: payload,
        }
    }

    /// What the command means, or that its form alone is illegal: opcode, func3, reserved bits and the rules that
    /// no capability lifts (CQ-06, CQ-07, INV-13, DIR-04, DIR-05).
    pub const fn decode(self) -> Result<Op, Illegal> {
        let head = Head::from_bits(self.dw0);
        match (head.opcode(), head.func3()) {
            (opcode::IOTINVAL, func3::VMA | func3::GVMA) => {
                let (a, b) = (
                    Iotinval0::from_bits(self.dw0),
                    Iotinval1::from_bits(self.dw1),
                );
                let reserved = self.dw0 & Iotinval0::RESERVED | self.dw1 & Iotinval1::RESERVED;
                let gvma = a.func3() == func3::GVMA;
                if reserved != 0 || gvma && a.pscv() {
                    return Err(Illegal);
                }
                let pscid = if a.pscv() { Some(a.pscid()) } else { None };
                let gscid = if a.gv() { Some(a.gscid()) } else { None };
                let addr = if a.av() {
                    Some(b.addr() << PAGE_SHIFT)
                } else {
                    None
                };
                Ok(Op::Iotinval {
                    gvma,
                    addr,
                    pscid,
                    gscid,
                    nl: a.nl(),
                    s: b.s(),
                })
            }
            (opcode::IOFENCE, func3::FENCE_C) => {
                let (a, b) = (Iofence0::from_bits(self.dw0), Iofence1::from_bits(self.dw1));
                if self.dw0 & Iofence0::RESERVED | self.dw1 & Iofence1::RESERVED != 0 {
                    return Err(Illegal);
                }
                let store = if a.av() {
                    Some((b.addr() << 2, a.data()))
                } else {
                    None
                };
                Ok(Op::Iofence {
                    pr: a.pr(),
                    pw: a.pw(),
                    wsi: a.wsi(),
                    store,
                })
            }
            (opcode::IODIR, func3::INVAL_DDT | func3::INVAL_PDT) => {
                let a = Iodir0::from_bits(self.dw0);
                if self.dw0 & Iodir0::RESERVED | self.dw1 != 0 {
                    return Err(Illegal);
                }
                match (a.func3(), a.dv(), a.pid()) {
                    (func3::INVAL_DDT, true, 0) => Ok(Op::InvalDdt { did: Some(a.did()) }),
                    (func3::INVAL_DDT, false, 0) => Ok(Op::InvalDdt { did: None }),
                    (func3::INVAL_PDT, true, pid) => Ok(Op::InvalPdt { did: a.did(), pid }),
                    _ => Err(Illegal),
                }
            }
            (opcode::ATS, func3::ATS_INVAL | func3::ATS_PRGR) => {
                let a = Ats0::from_bits(self.dw0);
                if self.dw0 & Ats0::RESERVED != 0 {
                    return Err(Illegal);
                }
                let pid = if a.pv() { Some(a.pid()) } else { None };
                let segment = if a.dsv() { Some(a.dseg()) } else { None };
                let prgr = a.func3() == func3::ATS_PRGR;
                Ok(Op::Ats {
                    prgr,
                    pid,
                    rid: a.rid(),
                    segment,
                    payload: self.dw1,
                })
            }
            _ => Err(Illegal),
        }
    }
}

/// `cmd_ill` (CQ-06..08).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Illegal;

/// A decoded command; operands that the command ignores are `None` (INV-14, ATC-07).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// IOTINVAL.VMA, or GVMA if `gvma`.
    Iotinval {
        /// Second-stage form.
        gvma: bool,
        /// Address in bytes, page aligned; with `s` it encodes a range (INV-27).
        addr: Option<u64>,
        /// Process soft-context id.
        pscid: Option<u32>,
        /// Guest soft-context id.
        gscid: Option<u16>,
        /// Non-leaf entries too.
        nl: bool,
        /// `addr` is a range.
        s: bool,
    },
    /// IOFENCE.C.
    Iofence {
        /// Order reads.
        pr: bool,
        /// Order writes.
        pw: bool,
        /// Raise fence_w_ip.
        wsi: bool,
        /// Address in bytes and value to store.
        store: Option<(u64, u32)>,
    },
    /// IODIR.INVAL_DDT.
    InvalDdt {
        /// One device; all if `None`.
        did: Option<u32>,
    },
    /// IODIR.INVAL_PDT.
    InvalPdt {
        /// Device id.
        did: u32,
        /// Process id.
        pid: u32,
    },
    /// ATS.INVAL, or PRGR if `prgr`.
    Ats {
        /// Page-request group response.
        prgr: bool,
        /// Process id.
        pid: Option<u32>,
        /// Requester id.
        rid: u16,
        /// Segment.
        segment: Option<u8>,
        /// Passed on unchecked.
        payload: u64,
    },
}

impl Op {
    /// Whether this IOMMU executes the command, or answers `cmd_ill` (CQ-08, INV-23, INV-26, FEN-09, DIR-07, DIR-08).
    /// `wsi` is the current `fctl.WSI`, `device_id_bits` the width of the largest mode implemented.
    pub const fn supported(&self, caps: Capabilities, wsi: bool, device_id_bits: u32) -> bool {
        match *self {
            Op::Iotinval { nl, s, .. } => (!nl || caps.nl()) && (!s || caps.s()),
            Op::Iofence { wsi: raise, .. } => !raise || wsi,
            Op::InvalDdt { did: None } => true,
            Op::InvalDdt { did: Some(did) } => did >> device_id_bits == 0,
            Op::InvalPdt { did, pid } => {
                let pid_bits = if caps.pd20() {
                    20
                } else if caps.pd17() {
                    17
                } else {
                    8
                };
                did >> device_id_bits == 0 && pid >> pid_bits == 0
            }
            Op::Ats { .. } => caps.ats(),
        }
    }
}
