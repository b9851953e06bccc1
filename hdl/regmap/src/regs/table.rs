//! The table of all registers (REG-01).

use super::values::*;
use crate::{Access, Field};

/// Byte offsets in the register page (REG-01). Array members are `BASE + index * STRIDE` of the table row.
pub mod offset {
    /// `capabilities`, 8 bytes.
    pub const CAPABILITIES: u16 = 0;
    /// `fctl`, 4 bytes.
    pub const FCTL: u16 = 8;
    /// Custom, 4 bytes, read-only 0.
    pub const CUSTOM0: u16 = 12;
    /// `ddtp`, 8 bytes.
    pub const DDTP: u16 = 16;
    /// `cqb`, 8 bytes.
    pub const CQB: u16 = 24;
    /// `cqh`, 4 bytes.
    pub const CQH: u16 = 32;
    /// `cqt`, 4 bytes.
    pub const CQT: u16 = 36;
    /// `fqb`, 8 bytes.
    pub const FQB: u16 = 40;
    /// `fqh`, 4 bytes.
    pub const FQH: u16 = 48;
    /// `fqt`, 4 bytes.
    pub const FQT: u16 = 52;
    /// `pqb`, 8 bytes.
    pub const PQB: u16 = 56;
    /// `pqh`, 4 bytes.
    pub const PQH: u16 = 64;
    /// `pqt`, 4 bytes.
    pub const PQT: u16 = 68;
    /// `cqcsr`, 4 bytes.
    pub const CQCSR: u16 = 72;
    /// `fqcsr`, 4 bytes.
    pub const FQCSR: u16 = 76;
    /// `pqcsr`, 4 bytes.
    pub const PQCSR: u16 = 80;
    /// `ipsr`, 4 bytes.
    pub const IPSR: u16 = 84;
    /// `iocountovf`, 4 bytes.
    pub const IOCOUNTOVF: u16 = 88;
    /// `iocountinh`, 4 bytes.
    pub const IOCOUNTINH: u16 = 92;
    /// `iohpmcycles`, 8 bytes.
    pub const IOHPMCYCLES: u16 = 96;
    /// `iohpmctr1`, 8 bytes, first of 31.
    pub const IOHPMCTR1: u16 = 104;
    /// `iohpmevt1`, 8 bytes, first of 31.
    pub const IOHPMEVT1: u16 = 352;
    /// `tr_req_iova`, 8 bytes.
    pub const TR_REQ_IOVA: u16 = 600;
    /// `tr_req_ctl`, 8 bytes.
    pub const TR_REQ_CTL: u16 = 608;
    /// `tr_response`, 8 bytes.
    pub const TR_RESPONSE: u16 = 616;
    /// `iommu_qosid`, 4 bytes.
    pub const IOMMU_QOSID: u16 = 624;
    /// Reserved for standard use, up to [`LINECTL`].
    pub const RESERVED0: u16 = 628;
    /// `linectl`, 4 bytes; the first of the custom registers.
    pub const LINECTL: u16 = 688;
    /// Custom, read-only 0, up to [`ICVEC`].
    pub const CUSTOM1: u16 = 692;
    /// `icvec`, 8 bytes.
    pub const ICVEC: u16 = 760;
    /// `msi_cfg_tbl`, 256 bytes: 16 entries of [`MSI_ENTRY_BYTES`].
    pub const MSI_CFG_TBL: u16 = 768;
    /// Bytes of one entry of `msi_cfg_tbl`.
    pub const MSI_ENTRY_BYTES: u16 = 16;
    /// Reserved for standard use, up to [`PAGE`].
    pub const RESERVED1: u16 = 1024;
    /// Bytes of the register page.
    pub const PAGE: u16 = 4096;
}

/// The capability a register depends on; without it the register reads 0 and ignores writes (REG-06).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Always there.
    Nothing,
    /// `capabilities.ATS`.
    Ats,
    /// `capabilities.HPM`.
    Hpm,
    /// `capabilities.DBG`.
    Dbg,
    /// `capabilities.QOSID`.
    Qosid,
    /// `capabilities.IGS` not WSI (INT-13).
    Msi,
}

impl Needs {
    /// Whether an IOMMU with these capabilities has the register.
    pub const fn met(self, caps: Capabilities) -> bool {
        match self {
            Needs::Nothing => true,
            Needs::Ats => caps.ats(),
            Needs::Hpm => caps.hpm(),
            Needs::Dbg => caps.dbg(),
            Needs::Qosid => caps.qosid(),
            Needs::Msi => caps.igs() != super::igs::WSI,
        }
    }
}

/// Value after reset (RST-01..05).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// 0 by the specification, at least in the bits that RST-01 and RST-02 name.
    Zero,
    /// Given by the configuration.
    Config,
    /// Unspecified (RST-04): 0 in this implementation, never relied on by the driver.
    Unspecified,
}

/// One row of the register table.
#[derive(Clone, Copy, Debug)]
pub struct Register {
    /// The specification's name; array rows carry the stem.
    pub name: &'static str,
    /// Byte offset of the (first) register.
    pub offset: u16,
    /// Width in bytes, 4 or 8.
    pub width: u8,
    /// Number of registers of this kind, 1 except for arrays.
    pub count: u8,
    /// Bytes from one array member to the next.
    pub stride: u16,
    /// Index of the first array member in the names: `iohpmctr` starts at 1, `msi_addr_` at 0.
    pub first: u8,
    /// What a write does to the register as a whole; fields say it exactly.
    pub access: Access,
    /// Value after reset.
    pub reset: Reset,
    /// Capability without which it is not there.
    pub needs: Needs,
    /// One line.
    pub doc: &'static str,
    /// Section of the specification.
    pub section: &'static str,
    /// Its fields.
    pub fields: &'static [Field],
}

impl Register {
    const fn new(
        name: &'static str,
        offset: u16,
        width: u8,
        access: Access,
        fields: &'static [Field],
    ) -> Self {
        let (doc, section) = ("", "");
        let (count, stride, first) = (1, width as u16, 0);
        let (reset, needs) = (Reset::Unspecified, Needs::Nothing);
        Register {
            name,
            offset,
            width,
            count,
            stride,
            first,
            access,
            reset,
            needs,
            doc,
            section,
            fields,
        }
    }

    const fn doc(self, section: &'static str, doc: &'static str) -> Self {
        Register {
            doc,
            section,
            ..self
        }
    }

    const fn reset(self, reset: Reset) -> Self {
        Register { reset, ..self }
    }

    const fn needs(self, needs: Needs) -> Self {
        Register { needs, ..self }
    }

    const fn array(self, first: u8, count: u8, stride: u16) -> Self {
        Register {
            first,
            count,
            stride,
            ..self
        }
    }
}

/// Every register, by offset.
pub const REGISTERS: &[Register] = &[
    Register::new(
        "capabilities",
        offset::CAPABILITIES,
        8,
        Access::Ro,
        Capabilities::FIELDS,
    )
    .reset(Reset::Config)
    .doc("Regs: capabilities", "Supported features"),
    Register::new("fctl", offset::FCTL, 4, Access::Warl, Fctl::FIELDS)
        .reset(Reset::Config)
        .doc(
            "Regs: fctl",
            "Features control: byte order, kind of interrupts, guest width",
        ),
    Register::new("ddtp", offset::DDTP, 8, Access::Warl, Ddtp::FIELDS)
        .reset(Reset::Zero)
        .doc("Regs: ddtp", "Device directory: mode and root page"),
    Register::new("cqb", offset::CQB, 8, Access::Warl, QueueBase::FIELDS)
        .doc("Regs: cqb", "Command queue: base and size"),
    Register::new("cqh", offset::CQH, 4, Access::Ro, QueueIndex::FIELDS)
        .doc("Regs: cqh", "Command queue: next command to fetch"),
    Register::new("cqt", offset::CQT, 4, Access::Warl, QueueIndex::FIELDS).doc(
        "Regs: cqt",
        "Command queue: first free entry, written by software",
    ),
    Register::new("fqb", offset::FQB, 8, Access::Warl, QueueBase::FIELDS)
        .doc("Regs: fqb", "Fault queue: base and size"),
    Register::new("fqh", offset::FQH, 4, Access::Warl, QueueIndex::FIELDS).doc(
        "Regs: fqh",
        "Fault queue: next record to read, written by software",
    ),
    Register::new("fqt", offset::FQT, 4, Access::Ro, QueueIndex::FIELDS)
        .doc("Regs: fqt", "Fault queue: first free entry"),
    Register::new("pqb", offset::PQB, 8, Access::Warl, QueueBase::FIELDS)
        .needs(Needs::Ats)
        .doc("Regs: pqb", "Page-request queue: base and size"),
    Register::new("pqh", offset::PQH, 4, Access::Warl, QueueIndex::FIELDS)
        .needs(Needs::Ats)
        .doc(
            "Regs: pqh",
            "Page-request queue: next message to read, written by software",
        ),
    Register::new("pqt", offset::PQT, 4, Access::Ro, QueueIndex::FIELDS)
        .needs(Needs::Ats)
        .doc("Regs: pqt", "Page-request queue: first free entry"),
    Register::new("cqcsr", offset::CQCSR, 4, Access::Rw, Cqcsr::FIELDS)
        .reset(Reset::Zero)
        .doc("Regs: cqcsr", "Command queue: control and status"),
    Register::new("fqcsr", offset::FQCSR, 4, Access::Rw, Fqcsr::FIELDS)
        .reset(Reset::Zero)
        .doc("Regs: fqcsr", "Fault queue: control and status"),
    Register::new("pqcsr", offset::PQCSR, 4, Access::Rw, Pqcsr::FIELDS)
        .reset(Reset::Zero)
        .needs(Needs::Ats)
        .doc("Regs: pqcsr", "Page-request queue: control and status"),
    Register::new("ipsr", offset::IPSR, 4, Access::Rw1c, Ipsr::FIELDS)
        .reset(Reset::Zero)
        .doc("Regs: ipsr", "Pending interrupts"),
    Register::new(
        "iocountovf",
        offset::IOCOUNTOVF,
        4,
        Access::Ro,
        Iocountovf::FIELDS,
    )
    .needs(Needs::Hpm)
    .doc("Regs: iocountovf", "Copies of the counters' overflow bits"),
    Register::new(
        "iocountinh",
        offset::IOCOUNTINH,
        4,
        Access::Warl,
        Iocountinh::FIELDS,
    )
    .needs(Needs::Hpm)
    .doc("Regs: iocountinh", "Which counters stand still"),
    Register::new(
        "iohpmcycles",
        offset::IOHPMCYCLES,
        8,
        Access::Warl,
        Iohpmcycles::FIELDS,
    )
    .needs(Needs::Hpm)
    .doc("Regs: iohpmcycles", "Clock cycles"),
    Register::new(
        "iohpmctr",
        offset::IOHPMCTR1,
        8,
        Access::Warl,
        Iohpmctr::FIELDS,
    )
    .array(1, 31, 8)
    .needs(Needs::Hpm)
    .doc("Regs: iohpmctr", "Event counter"),
    Register::new(
        "iohpmevt",
        offset::IOHPMEVT1,
        8,
        Access::Warl,
        Iohpmevt::FIELDS,
    )
    .array(1, 31, 8)
    .needs(Needs::Hpm)
    .doc("Regs: iohpmevt", "What the event counter counts"),
    Register::new(
        "tr_req_iova",
        offset::TR_REQ_IOVA,
        8,
        Access::Rw,
        TrReqIova::FIELDS,
    )
    .needs(Needs::Dbg)
    .doc("Regs: tr_req_iova", "Debug translation: address"),
    Register::new(
        "tr_req_ctl",
        offset::TR_REQ_CTL,
        8,
        Access::Rw,
        TrReqCtl::FIELDS,
    )
    .reset(Reset::Zero)
    .needs(Needs::Dbg)
    .doc(
        "Regs: tr_req_ctl",
        "Debug translation: device, kind and start",
    ),
    Register::new(
        "tr_response",
        offset::TR_RESPONSE,
        8,
        Access::Ro,
        TrResponse::FIELDS,
    )
    .needs(Needs::Dbg)
    .doc("Regs: tr_response", "Debug translation: result"),
    Register::new(
        "iommu_qosid",
        offset::IOMMU_QOSID,
        4,
        Access::Warl,
        IommuQosid::FIELDS,
    )
    .needs(Needs::Qosid)
    .doc(
        "Regs: iommu_qosid",
        "Quality-of-service ids of the IOMMU's own accesses",
    ),
    Register::new("linectl", offset::LINECTL, 4, Access::Warl, Linectl::FIELDS)
        .reset(Reset::Zero)
        .doc(
            "custom",
            "Lines of page-table entries that are fetched ahead; of no effect in a build without",
        ),
    Register::new("icvec", offset::ICVEC, 8, Access::Warl, Icvec::FIELDS)
        .doc("Regs: icvec", "Interrupt cause to vector"),
    Register::new(
        "msi_addr_",
        offset::MSI_CFG_TBL,
        8,
        Access::Warl,
        MsiAddr::FIELDS,
    )
    .array(0, 16, offset::MSI_ENTRY_BYTES)
    .needs(Needs::Msi)
    .doc("Regs: msi_cfg_tbl", "Message address of a vector"),
    Register::new(
        "msi_data_",
        offset::MSI_CFG_TBL + 8,
        4,
        Access::Rw,
        MsiData::FIELDS,
    )
    .array(0, 16, offset::MSI_ENTRY_BYTES)
    .needs(Needs::Msi)
    .doc("Regs: msi_cfg_tbl", "Message data of a vector"),
    Register::new(
        "msi_vec_ctl_",
        offset::MSI_CFG_TBL + 12,
        4,
        Access::Rw,
        MsiVecCtl::FIELDS,
    )
    .array(0, 16, offset::MSI_ENTRY_BYTES)
    .needs(Needs::Msi)
    .doc("Regs: msi_cfg_tbl", "Mask of a vector"),
];

/// The row that covers a byte offset, with the index of the array member.
pub fn find(offset: u16) -> Option<(&'static Register, u16)> {
    REGISTERS.iter().find_map(|r| {
        let index = offset.checked_sub(r.offset)? / r.stride;
        let within = (offset - r.offset) % r.stride;
        (index < u16::from(r.count) && within < u16::from(r.width)).then_some((r, index))
    })
}
