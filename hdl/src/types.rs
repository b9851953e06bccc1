//! Shapes that travel between the blocks: a request, a context, a leaf, a fault record.
//!
//! Addresses travel as page-number fields rather than as one wide number. Superpages then merge by choosing
//! fields, and every field fits in 32 bits, which the simulator handles an order of magnitude faster.
//! In every struct the first field holds the least significant bits.

use rust_hdl::prelude::*;

/// Width of a request tag, bits: up to 64 requests of one port in flight.
pub const TAG_BITS: usize = 6;
/// Width of a page number that the IOMMU itself can address, bits: capabilities.PAS is at most 40 here.
pub const FRAME_BITS: usize = 28;

/// A translation request in flight (TRN-01), or the operand of an invalidation on its way through the pipeline.
///
/// As an operand: `pid` = PSCID and `pv` = PSCV, `did` = DID and `sup` = DV, `kind[0]` = AV, `vpn*` = ADDR,
/// `access` = 0, or S and how far the range of ADDR reaches: 1 into `vpn0`, 2 into `vpn1`, 3 further; `tag[0]` = NL.
#[derive(LogicStruct, Debug, Copy, Clone, PartialEq, Default)]
pub struct Req {
    /// IOVA[11:0].
    pub off: Bits<12>,
    /// IOVA[20:12].
    pub vpn0: Bits<9>,
    /// IOVA[29:21].
    pub vpn1: Bits<9>,
    /// IOVA[38:30].
    pub vpn2: Bits<9>,
    /// IOVA[47:39].
    pub vpn3: Bits<9>,
    /// IOVA[56:48].
    pub vpn4: Bits<9>,
    /// IOVA[63:57].
    pub hi: Bits<7>,
    /// Chosen by the requester, returned with the answer.
    pub tag: Bits<6>,
    /// device_id.
    pub did: Bits<24>,
    /// A process_id is valid.
    pub pv: Bit,
    /// process_id.
    pub pid: Bits<20>,
    /// Supervisor privilege asked for.
    pub sup: Bit,
    /// 0 read, 1 write, 2 execute; 3 counts as a write.
    pub access: Bits<2>,
    /// 0 untranslated, 1 translated, 2 ATS translation request.
    pub kind: Bits<2>,
    /// It comes from the debug interface and is answered there.
    pub debug: Bit,
}

/// What the translation needs of a valid device context (DC-01, DC-02, DC-07, DC-08).
#[derive(LogicStruct, Debug, Copy, Clone, PartialEq, Default)]
pub struct Context {
    /// tc.DTF.
    pub dtf: Bit,
    /// tc.PDTV; pdtp is Bare then, for no configuration here has PD8/17/20.
    pub pdtv: Bit,
    /// The first stage is not Bare.
    pub paged: Bit,
    /// Levels beyond three: 0 Sv39, 1 Sv48, 2 Sv57.
    pub extra: Bits<2>,
    /// The root table lies beyond capabilities.PAS: its first use is an access fault (DDT-18, S1-09).
    pub far: Bit,
    /// Page number of the root table.
    pub root: Bits<28>,
}

/// What is known of a device context, as much of it as has come.
#[derive(LogicStruct, Debug, Copy, Clone, PartialEq, Default)]
pub struct Partial {
    /// A doubleword was refused.
    pub refused: Bit,
    /// One was poisoned.
    pub poisoned: Bit,
    /// tc.V.
    pub valid: Bit,
    /// Misconfigured.
    pub bad: Bit,
    /// tc.DTF.
    pub dtf: Bit,
    /// tc.PDTV.
    pub pdtv: Bit,
    /// ta.PSCID.
    pub pscid: Bits<20>,
    /// [`Context::paged`].
    pub paged: Bit,
    /// [`Context::extra`].
    pub extra: Bits<2>,
    /// [`Context::far`].
    pub far: Bit,
    /// The request that it comes for is of another type than it allows ...
    pub wrong_type: Bit,
    /// ... or its IOVA is not one of the mode.
    pub outside: Bit,
}

/// What a device context means for the request that it was fetched for.
#[derive(LogicStruct, Debug, Copy, Clone, PartialEq, Default)]
pub struct Verdict {
    /// The context is good: it is stored, whatever becomes of the request.
    pub good: Bit,
    /// The request goes on with the page table.
    pub table: Bit,
    /// It needs none.
    pub identity: Bit,
}

/// What a walk begins with: what follows from its lookup, decided when it starts. One of `denied`, `directory`, `identity`
/// and `table` holds.
#[derive(LogicStruct, Debug, Copy, Clone, PartialEq, Default)]
pub struct Started {
    /// It is refused without a read ...
    pub denied: Bit,
    /// ... for this cause.
    pub cause: Bits<9>,
    /// It reads the device directory.
    pub directory: Bit,
    /// It needs no page table.
    pub identity: Bit,
    /// It reads a page table, unless a line has its entry.
    pub table: Bit,
    /// What it reads first lies in this page ...
    pub frame: Bits<28>,
    /// ... at this offset ...
    pub off: Bits<12>,
    /// ... and is this level of the directory, 0 a context ...
    pub dir_level: Bits<2>,
    /// ... or of a page table ...
    pub level: Bits<3>,
    /// ... to which a global pointer leads.
    pub globally: Bit,
    /// DTF of its context, 0 without one ...
    pub dtf: Bit,
    /// ... and PSCID.
    pub pscid: Bits<20>,
    /// The leaf entry has been found in a line, and is what the walk has read ...
    pub in_line: Bit,
    /// ... to which a global pointer leads.
    pub line_global: Bit,
}

/// What a walk carries from one memory read to the next.
#[derive(LogicStruct, Debug, Copy, Clone, PartialEq, Default)]
pub struct Walk {
    /// Level of the page-table entry asked for, 0 the last.
    pub level: Bits<3>,
    /// Level of the directory entry asked for, 0 the context.
    pub dir_level: Bits<2>,
    /// A pointer on the way was global.
    pub globally: Bit,
    /// DTF of its context; 0 while it has none.
    pub dtf: Bit,
    /// PSCID of its context.
    pub pscid: Bits<20>,
    /// Of the fault to be reported.
    pub cause: Bits<9>,
}

/// A doubleword that was read for a walk, and what it is in its place: judged as it came.
#[derive(LogicStruct, Debug, Copy, Clone, PartialEq, Default)]
pub struct Raw {
    /// The doubleword.
    pub data: Bits<64>,
    /// 0 good, 1 access fault, 2 poisoned.
    pub status: Bits<2>,
    /// A good leaf entry ...
    pub leaf: Bit,
    /// ... of this size.
    pub size: Bits<3>,
    /// A good pointer to a page table.
    pub table: Bit,
    /// Its page number lies beyond capabilities.PAS.
    pub far: Bit,
    /// As a non-leaf directory entry: a reserved bit is set.
    pub directory_bad: Bit,
    /// A good non-leaf directory entry.
    pub directory: Bit,
    /// As the last of a device context.
    pub context: Verdict,
}

/// What counts of a request when its context comes.
#[derive(LogicStruct, Debug, Copy, Clone, PartialEq, Default)]
pub struct Fits {
    /// It is not an untranslated one.
    pub special: Bit,
    /// It has a process_id.
    pub pv: Bit,
    /// Its IOVA is one of Sv39 ...
    pub sv39: Bit,
    /// ... of Sv48 ...
    pub sv48: Bit,
    /// ... of Sv57.
    pub sv57: Bit,
}

/// A leaf as the IOTLB holds it. `w` is W and D, so that a store to a clean page walks again (AD-11).
/// A=1 and U=1 hold for every cached leaf.
#[derive(LogicStruct, Debug, Copy, Clone, PartialEq, Default)]
pub struct Leaf {
    /// PPN[8:0].
    pub p0: Bits<9>,
    /// PPN[17:9].
    pub p1: Bits<9>,
    /// PPN[26:18].
    pub p2: Bits<9>,
    /// PPN[35:27].
    pub p3: Bits<9>,
    /// PPN[43:36].
    pub p4: Bits<8>,
    /// Readable.
    pub r: Bit,
    /// Writable and dirty.
    pub w: Bit,
    /// Executable.
    pub x: Bit,
}

/// What a cached leaf allows.
#[derive(LogicStruct, Debug, Copy, Clone, PartialEq, Default)]
pub struct Rights {
    /// [`Leaf::r`].
    pub r: Bit,
    /// [`Leaf::w`].
    pub w: Bit,
    /// [`Leaf::x`].
    pub x: Bit,
}

impl Rights {
    /// Whether an access may pass: 0 reads, 2 executes, 1 and 3 write.
    pub(crate) fn allow(self, access: Bits<2>) -> bool {
        [self.r, self.w, self.x, self.w][access.index()]
    }
}

/// A page-table entry of Sv39, Sv48 or Sv57 (S1-02..S1-04, S1-13..S1-15, S1-25).
#[derive(LogicStruct, Debug, Copy, Clone, PartialEq, Default)]
pub struct Pte {
    /// Valid.
    pub v: Bit,
    /// Readable.
    pub r: Bit,
    /// Writable.
    pub w: Bit,
    /// Executable.
    pub x: Bit,
    /// User.
    pub u: Bit,
    /// Global.
    pub g: Bit,
    /// Accessed.
    pub a: Bit,
    /// Dirty.
    pub d: Bit,
    /// For software.
    pub rsw: Bits<2>,
    /// PPN[8:0].
    pub p0: Bits<9>,
    /// PPN[17:9].
    pub p1: Bits<9>,
    /// PPN[26:18].
    pub p2: Bits<9>,
    /// PPN[35:27].
    pub p3: Bits<9>,
    /// PPN[43:36].
    pub p4: Bits<8>,
    /// Bits 62:54: reserved, Svrsw60t59b and Svpbmt, none of which exists here: all must be 0.
    pub resv: Bits<9>,
    /// Svnapot.
    pub n: Bit,
}

impl From<Bits<64>> for Pte {
    fn from(b: Bits<64>) -> Pte {
        let w = u64::from(b);
        let bit = |i: u32| (w >> i) & 1 == 1;
        Pte {
            v: bit(0),
            r: bit(1),
            w: bit(2),
            x: bit(3),
            u: bit(4),
            g: bit(5),
            a: bit(6),
            d: bit(7),
            rsw: ((w >> 8) & 0x3).into(),
            p0: ((w >> 10) & 0x1ff).into(),
            p1: ((w >> 19) & 0x1ff).into(),
            p2: ((w >> 28) & 0x1ff).into(),
            p3: ((w >> 37) & 0x1ff).into(),
            p4: ((w >> 46) & 0xff).into(),
            resv: ((w >> 54) & 0x1ff).into(),
            n: bit(63),
        }
    }
}

/// The fields of a fault record that differ from record to record (FLT-07); the rest is 0.
#[derive(LogicStruct, Debug, Copy, Clone, PartialEq, Default)]
pub struct Record {
    /// CAUSE; 9 bits reach 274.
    pub cause: Bits<9>,
    /// PID, 0 without PV.
    pub pid: Bits<20>,
    /// PV.
    pub pv: Bit,
    /// PRIV, 0 without PV.
    pub sup: Bit,
    /// TTYP.
    pub ttyp: Bits<4>,
    /// DID.
    pub did: Bits<24>,
    /// iotval = the IOVA.
    pub iova: Bits<64>,
}

/// First doubleword of a fault record in memory (FLT-07).
#[derive(LogicStruct, Debug, Copy, Clone, PartialEq, Default)]
pub struct RecordHead {
    /// CAUSE[8:0].
    pub cause: Bits<9>,
    /// CAUSE[11:9].
    pub cause_hi: Bits<3>,
    /// PID.
    pub pid: Bits<20>,
    /// PV.
    pub pv: Bit,
    /// PRIV.
    pub sup: Bit,
    /// TTYP[3:0].
    pub ttyp: Bits<4>,
    /// TTYP[5:4].
    pub ttyp_hi: Bits<2>,
    /// DID.
    pub did: Bits<24>,
}

/// An address inside the IOVA, as its fields.
#[derive(LogicStruct, Debug, Copy, Clone, PartialEq, Default)]
pub struct Iova {
    /// Bits 11:0.
    pub off: Bits<12>,
    /// Bits 20:12.
    pub vpn0: Bits<9>,
    /// Bits 29:21.
    pub vpn1: Bits<9>,
    /// Bits 38:30.
    pub vpn2: Bits<9>,
    /// Bits 47:39.
    pub vpn3: Bits<9>,
    /// Bits 56:48.
    pub vpn4: Bits<9>,
    /// Bits 63:57.
    pub hi: Bits<7>,
}

impl From<Bits<64>> for Iova {
    fn from(b: Bits<64>) -> Iova {
        let w = u64::from(b);
        Iova {
            off: (w & 0xfff).into(),
            vpn0: ((w >> 12) & 0x1ff).into(),
            vpn1: ((w >> 21) & 0x1ff).into(),
            vpn2: ((w >> 30) & 0x1ff).into(),
            vpn3: ((w >> 39) & 0x1ff).into(),
            vpn4: ((w >> 48) & 0x1ff).into(),
            hi: (w >> 57).into(),
        }
    }
}

/// A system physical address, as its fields.
#[derive(LogicStruct, Debug, Copy, Clone, PartialEq, Default)]
pub struct Spa {
    /// Bits 11:0.
    pub off: Bits<12>,
    /// Bits 20:12.
    pub p0: Bits<9>,
    /// Bits 29:21.
    pub p1: Bits<9>,
    /// Bits 38:30.
    pub p2: Bits<9>,
    /// Bits 47:39.
    pub p3: Bits<9>,
    /// Bits 55:48.
    pub p4: Bits<8>,
    /// Bits 63:56: only an identity mapping of an IOVA that wide sets them.
    pub hi: Bits<8>,
}

/// A byte address of the memory port.
#[derive(LogicStruct, Debug, Copy, Clone, PartialEq, Default)]
pub struct MemAddr {
    /// Bits 11:0.
    pub off: Bits<12>,
    /// Page number.
    pub frame: Bits<28>,
    /// Above capabilities.PAS of every configuration: always 0.
    pub zero: Bits<16>,
}

/// Encodings of [`Req::access`].
pub mod access {
    /// Read.
    pub const READ: u64 = 0;
    /// Write or atomic.
    pub const WRITE: u64 = 1;
    /// Read for execute.
    pub const EXEC: u64 = 2;
}

/// Encodings of [`Req::kind`].
pub mod kind {
    /// Untranslated request.
    pub const UNTRANSLATED: u64 = 0;
    /// Translated request.
    pub const TRANSLATED: u64 = 1;
    /// ATS translation request.
    pub const ATS: u64 = 2;
}

/// What travels through the lookup pipeline.
#[derive(LogicState, Debug, Copy, Clone, PartialEq)]
pub enum PipeOp {
    /// A translation request.
    Translate,
    /// IOTINVAL.VMA with GV=0.
    InvalVma,
    /// IODIR.INVAL_DDT.
    InvalDdt,
    /// Nothing by itself: when it leaves, everything before it has left.
    Fence,
}

/// Status of a memory answer: `mem_r_status` and `mem_b_status`.
pub mod status {
    /// Done.
    pub const OK: u64 = 0;
    /// Access fault.
    pub const ACCESS: u64 = 1;
    /// Poisoned data.
    pub const CORRUPT: u64 = 2;
}

/// What a memory access is for: `mem_ar_purpose` and `mem_w_purpose`.
pub mod purpose {
    /// Device directory.
    pub const DDT: u64 = 0;
    /// First-stage page table.
    pub const PTE: u64 = 1;
    /// Command queue.
    pub const COMMAND: u64 = 2;
    /// Fault record.
    pub const FAULT: u64 = 3;
    /// IOFENCE.C data.
    pub const FENCE: u64 = 4;
    /// Interrupt message.
    pub const MSI: u64 = 5;
    /// Line of page-table entries that no walk waits for.
    pub const LINE: u64 = 6;
}

/// Who a memory read is for: `mem_ar_id` and `mem_r_id`. Walks have the ids of their slots.
pub mod read_id {
    /// Command queue.
    pub const COMMAND: u64 = 8;
    /// The first of the lines of page-table entries, in a build that fetches them (it has four walks at most): 4 to 7, then
    /// 12 to 15.
    pub const LINE: u64 = 4;
}
