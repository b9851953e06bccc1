//! Typed register values.

layout! {
    /// `capabilities`: what this IOMMU can do (CAP-01..10; Regs: capabilities).
    pub struct Capabilities: u64 {
        /// Specification version, major in the high nibble (CAP-02)
        version: u8 [8] Ro "version",
        /// Page-based 32-bit first stage (CAP-03)
        sv32: bool [1] Ro "Sv32",
        /// Page-based 39-bit first stage (CAP-03)
        sv39: bool [1] Ro "Sv39",
        /// Page-based 48-bit first stage, implies Sv39 (CAP-03)
        sv48: bool [1] Ro "Sv48",
        /// Page-based 57-bit first stage, implies Sv48 (CAP-03)
        sv57: bool [1] Ro "Sv57",
        /// Reserved (CAP-10)
        __: u8 [2] Wpri "",
        /// PTE bits 60:59 are for software (CAP-05)
        svrsw60t59b: bool [1] Ro "Svrsw60t59b",
        /// Page-based memory types (CAP-05)
        svpbmt: bool [1] Ro "Svpbmt",
        /// 34-bit second stage (CAP-04)
        sv32x4: bool [1] Ro "Sv32x4",
        /// 41-bit second stage (CAP-04)
        sv39x4: bool [1] Ro "Sv39x4",
        /// 50-bit second stage (CAP-04)
        sv48x4: bool [1] Ro "Sv48x4",
        /// 59-bit second stage (CAP-04)
        sv57x4: bool [1] Ro "Sv57x4",
        /// Reserved (CAP-10)
        __: bool [1] Wpri "",
        /// Atomic updates of MRIFs (CAP-06)
        amo_mrif: bool [1] Ro "AMO_MRIF",
        /// MSI address translation by a flat table, and with it 64-byte device contexts (CAP-06, DDT-01)
        msi_flat: bool [1] Ro "MSI_FLAT",
        /// MSI translation to memory-resident interrupt files (CAP-06)
        msi_mrif: bool [1] Ro "MSI_MRIF",
        /// Atomic updates of the A and D bits (CAP-06)
        amo_hwad: bool [1] Ro "AMO_HWAD",
        /// PCIe address translation services and page requests (CAP-06)
        ats: bool [1] Ro "ATS",
        /// ATS replies may carry guest physical addresses (CAP-06)
        t2gpa: bool [1] Ro "T2GPA",
        /// Both byte orders, chosen by fctl.BE (CAP-06)
        end: bool [1] Ro "END",
        /// How interrupts are signalled: 0 MSI, 1 WSI, 2 both (CAP-07)
        igs: u8 [2] Ro "IGS",
        /// Performance counters (CAP-08)
        hpm: bool [1] Ro "HPM",
        /// Debug translation interface (CAP-08)
        dbg: bool [1] Ro "DBG",
        /// Physical address bits the IOMMU itself can address (CAP-09)
        pas: u8 [6] Ro "PAS",
        /// One-level process directories (CAP-08)
        pd8: bool [1] Ro "PD8",
        /// Two-level process directories (CAP-08)
        pd17: bool [1] Ro "PD17",
        /// Three-level process directories (CAP-08)
        pd20: bool [1] Ro "PD20",
        /// Quality-of-service identifiers (CAP-08)
        qosid: bool [1] Ro "QOSID",
        /// Non-leaf invalidation (CAP-08)
        nl: bool [1] Ro "NL",
        /// Address-range invalidation (CAP-08)
        s: bool [1] Ro "S",
        /// Reserved (CAP-10)
        __: u16 [12] Wpri "",
        /// Custom (CAP-10)
        __: u8 [8] Custom "",
    }
}

layout! {
    /// `fctl`: features control (FCTL-01..05; Regs: fctl).
    pub struct Fctl: u32 {
        /// Byte order of the IOMMU's own structures: 1 big-endian (FCTL-02)
        be: bool [1] Warl "BE",
        /// Interrupts by wire (FCTL-03)
        wsi: bool [1] Warl "WSI",
        /// iohgatp mode 8 means Sv32x4 (FCTL-04)
        gxl: bool [1] Warl "GXL",
        /// Reserved (FCTL-01)
        __: u16 [13] Wpri "",
        /// Custom (REG-08)
        __: u16 [16] Custom "",
    }
}

layout! {
    /// `ddtp`: device directory table pointer (DDTP-01..12; Regs: ddtp).
    pub struct Ddtp: u64 {
        /// Off, Bare or the number of directory levels (DDTP-02); see [`iommu_mode`](super::iommu_mode)
        iommu_mode: u8 [4] Warl "iommu_mode",
        /// A change of mode is not complete yet (DDTP-05)
        busy: bool [1] Ro "busy",
        /// Reserved (DDTP-01)
        __: u8 [5] Wpri "",
        /// Page number of the root page (DDTP-01)
        ppn: u64 [44] Warl "PPN",
        /// Reserved (DDTP-01)
        __: u16 [10] Wpri "",
    }
}

layout! {
    /// `cqb`, `fqb`, `pqb`: base and size of a queue (CQB-01, FQB-01, PQB-01; Regs: cqb).
    pub struct QueueBase: u64 {
        /// log2 of the number of entries, minus 1 (CQB-01)
        log2sz_minus_1: u8 [5] Warl "LOG2SZ-1",
        /// Reserved (CQB-01)
        __: u8 [5] Wpri "",
        /// Page number of the queue, aligned to its size (CQB-02)
        ppn: u64 [44] Warl "PPN",
        /// Reserved (CQB-01)
        __: u16 [10] Wpri "",
    }
}

layout! {
    /// `cqh`, `cqt`, `fqh`, `fqt`, `pqh`, `pqt`: an index into a queue (CQH-01, CQT-01, FQH-01).
    pub struct QueueIndex: u32 {
        /// Entry number; bits at and above LOG2SZ read 0
        index: u32 [32] Warl "index",
    }
}

layout! {
    /// `cqcsr`: command queue control and status (CQCSR-01..05; Regs: cqcsr).
    pub struct Cqcsr: u32 {
        /// Enable (CQCSR-02, CQCSR-03)
        cqen: bool [1] Rw "cqen",
        /// Interrupt enable (CQ-10)
        cie: bool [1] Rw "cie",
        /// Reserved
        __: u8 [6] Wpri "",
        /// Memory fault on a fetch or on a fence's store (CQ-05, FEN-07)
        cqmf: bool [1] Rw1c "cqmf",
        /// An ATS.INVAL timed out (FEN-11)
        cmd_to: bool [1] Rw1c "cmd_to",
        /// Illegal or unsupported command at cqh (CQ-06..09)
        cmd_ill: bool [1] Rw1c "cmd_ill",
        /// A fence with WSI=1 completed (FEN-08, CQCSR-05)
        fence_w_ip: bool [1] Rw1c "fence_w_ip",
        /// Reserved
        __: u8 [4] Wpri "",
        /// The queue is on: it may access its memory (CQCSR-02, CQCSR-03)
        cqon: bool [1] Ro "cqon",
        /// The last write is not complete yet (CQCSR-04)
        busy: bool [1] Ro "busy",
        /// Reserved
        __: u16 [10] Wpri "",
        /// Custom (REG-08)
        __: u8 [4] Custom "",
    }
}

layout! {
    /// `fqcsr`: fault queue control and status (FQCSR-01..04; Regs: fqcsr).
    pub struct Fqcsr: u32 {
        /// Enable (FQCSR-02, FQCSR-03)
        fqen: bool [1] Rw "fqen",
        /// Interrupt enable (FQ-05)
        fie: bool [1] Rw "fie",
        /// Reserved
        __: u8 [6] Wpri "",
        /// Memory fault on a record's write (FQ-03)
        fqmf: bool [1] Rw1c "fqmf",
        /// The queue was full: records were dropped (FQ-02)
        fqof: bool [1] Rw1c "fqof",
        /// Reserved
        __: u8 [6] Wpri "",
        /// The queue is on (FQCSR-02, FQCSR-03)
        fqon: bool [1] Ro "fqon",
        /// The last write is not complete yet (FQCSR-04)
        busy: bool [1] Ro "busy",
        /// Reserved
        __: u16 [10] Wpri "",
        /// Custom (REG-08)
        __: u8 [4] Custom "",
    }
}

layout! {
    /// `pqcsr`: page-request queue control and status (PQCSR-01..02; Regs: pqcsr).
    pub struct Pqcsr: u32 {
        /// Enable (PQCSR-02)
        pqen: bool [1] Rw "pqen",
        /// Interrupt enable (PRI-06)
        pie: bool [1] Rw "pie",
        /// Reserved
        __: u8 [6] Wpri "",
        /// Memory fault on a message's write (PRI-05)
        pqmf: bool [1] Rw1c "pqmf",
        /// The queue was full (PRI-05)
        pqof: bool [1] Rw1c "pqof",
        /// Reserved
        __: u8 [6] Wpri "",
        /// The queue is on (PQCSR-02)
        pqon: bool [1] Ro "pqon",
        /// The last write is not complete yet (PQCSR-01)
        busy: bool [1] Ro "busy",
        /// Reserved
        __: u16 [10] Wpri "",
        /// Custom (REG-08)
        __: u8 [4] Custom "",
    }
}

layout! {
    /// `ipsr`: pending interrupts (INT-01..07; Regs: ipsr).
    pub struct Ipsr: u32 {
        /// Command queue (INT-02)
        cip: bool [1] Rw1c "cip",
        /// Fault queue (INT-03)
        fip: bool [1] Rw1c "fip",
        /// Performance counters (INT-05)
        pmip: bool [1] Rw1c "pmip",
        /// Page-request queue (INT-04)
        pip: bool [1] Rw1c "pip",
        /// Reserved
        __: u8 [4] Wpri "",
        /// Custom (REG-08)
        __: u8 [8] Custom "",
        /// Reserved
        __: u16 [16] Wpri "",
    }
}

layout! {
    /// `iocountovf`: a copy of all overflow bits (HPM-02; Regs: iocountovf).
    pub struct Iocountovf: u32 {
        /// Overflow of iohpmcycles (HPM-02)
        cy: bool [1] Ro "CY",
        /// Bit X-1: overflow of iohpmctrX (HPM-02)
        hpm: u32 [31] Ro "HPM",
    }
}

layout! {
    /// `iocountinh`: which counters stand still (HPM-03; Regs: iocountinh).
    pub struct Iocountinh: u32 {
        /// Stop iohpmcycles (HPM-03)
        cy: bool [1] Warl "CY",
        /// Bit X-1: stop iohpmctrX (HPM-03, A-02)
        hpm: u32 [31] Warl "HPM",
    }
}

layout! {
    /// `iohpmcycles`: clock cycles (HPM-04; Regs: iohpmcycles).
    pub struct Iohpmcycles: u64 {
        /// Free-running count of clock cycles (HPM-04)
        counter: u64 [63] Warl "counter",
        /// Sticky overflow (HPM-04)
        of: bool [1] Rw "OF",
    }
}

layout! {
    /// `iohpmctr1`…`iohpmctr31`: event counters (HPM-05; Regs: iohpmctr).
    pub struct Iohpmctr: u64 {
        /// Number of events, wraps (HPM-05)
        counter: u64 [64] Warl "counter",
    }
}

layout! {
    /// `iohpmevt1`…`iohpmevt31`: what a counter counts (HPM-06..13; Regs: iohpmevt).
    pub struct Iohpmevt: u64 {
        /// Event (HPM-07); see [`event`](super::event)
        event_id: u16 [15] Warl "eventID",
        /// Compare DID_GSCID only above its lowest 0 bit (HPM-10)
        dmask: bool [1] Rw "DMASK",
        /// Process id, or PSCID if IDT=1 (HPM-08, HPM-09)
        pid_pscid: u32 [20] Rw "PID_PSCID",
        /// Device id, or GSCID if IDT=1 (HPM-08, HPM-09)
        did_gscid: u32 [24] Rw "DID_GSCID",
        /// Filter by PID_PSCID (HPM-08, HPM-09)
        pv_pscv: bool [1] Rw "PV_PSCV",
        /// Filter by DID_GSCID (HPM-08, HPM-09)
        dv_gscv: bool [1] Rw "DV_GSCV",
        /// The filters hold soft-context ids instead of device and process ids (HPM-09)
        idt: bool [1] Rw "IDT",
        /// Sticky overflow (HPM-12)
        of: bool [1] Rw "OF",
    }
}

layout! {
    /// `tr_req_iova`: address of a debug translation (DBG-01; Regs: tr_req_iova).
    pub struct TrReqIova: u64 {
        /// Reserved
        __: u16 [12] Wpri "",
        /// Page number of the IOVA (DBG-01)
        vpn: u64 [52] Rw "vpn",
    }
}

layout! {
    /// `tr_req_ctl`: start and kind of a debug translation (DBG-02..04; Regs: tr_req_ctl).
    pub struct TrReqCtl: u64 {
        /// Write 1 to start; reads 1 until done (DBG-03, DBG-04)
        go_busy: bool [1] Rw1s "Go/Busy",
        /// Supervisor privilege, ignored if PV=0 (DBG-03)
        privileged: bool [1] Rw "Priv",
        /// Execute, needs NW=1 (DBG-03)
        exe: bool [1] Rw "Exe",
        /// 1 read only, 0 read and write (DBG-03)
        nw: bool [1] Rw "NW",
        /// Reserved
        __: u8 [8] Wpri "",
        /// Process id (DBG-02)
        pid: u32 [20] Rw "PID",
        /// The process id is valid (DBG-02)
        pv: bool [1] Rw "PV",
        /// Reserved or custom (REG-07, REG-08)
        __: u8 [7] Wpri "",
        /// Device id (DBG-02)
        did: u32 [24] Rw "DID",
    }
}

layout! {
    /// `tr_response`: result of a debug translation (DBG-05..06; Regs: tr_response).
    pub struct TrResponse: u64 {
        /// The translation faulted; the rest is unspecified then (DBG-05)
        fault: bool [1] Ro "fault",
        /// Reserved
        __: u8 [6] Wpri "",
        /// Memory type (DBG-05)
        pbmt: u8 [2] Ro "PBMT",
        /// PPN encodes a size NAPOT-wise (DBG-06)
        s: bool [1] Ro "S",
        /// Page number of the SPA (DBG-05)
        ppn: u64 [44] Ro "PPN",
        /// Reserved or custom (REG-07, REG-08)
        __: u16 [10] Wpri "",
    }
}

layout! {
    /// `iommu_qosid`: QoS ids of the IOMMU's own accesses (QOS-01..02; Regs: iommu_qosid).
    pub struct IommuQosid: u32 {
        /// Resource control id (QOS-01)
        rcid: u16 [12] Warl "RCID",
        /// Reserved
        __: u8 [4] Wpri "",
        /// Monitoring counter id (QOS-01)
        mcid: u16 [12] Warl "MCID",
        /// Reserved
        __: u8 [4] Wpri "",
    }
}

layout! {
    /// `linectl`: lines of page-table entries (custom).
    pub struct Linectl: u32 {
        /// Lines are neither fetched nor used, and what is there is dropped
        off: bool [1] Warl "off",
        /// Reserved
        __: u32 [31] Wpri "",
    }
}

layout! {
    /// `icvec`: interrupt cause to vector (INT-10, INT-11; Regs: icvec).
    pub struct Icvec: u64 {
        /// Vector of the command queue (INT-10)
        civ: u8 [4] Warl "civ",
        /// Vector of the fault queue (INT-10)
        fiv: u8 [4] Warl "fiv",
        /// Vector of the performance counters; 0 without HPM (INT-11)
        pmiv: u8 [4] Warl "pmiv",
        /// Vector of the page-request queue; 0 without ATS (INT-11)
        piv: u8 [4] Warl "piv",
        /// Reserved
        __: u16 [16] Wpri "",
        /// Custom (REG-08)
        __: u32 [32] Custom "",
    }
}

layout! {
    /// `msi_addr_x`: where vector x's message goes (INT-12; Regs: msi_cfg_tbl).
    pub struct MsiAddr: u64 {
        /// Zero: messages are 4-byte aligned
        __: u8 [2] Wpri "",
        /// Address bits 55:2 (INT-12)
        addr: u64 [54] Warl "ADDR",
        /// Zero
        __: u8 [8] Wpri "",
    }
}

layout! {
    /// `msi_data_x`: what vector x's message says (INT-12; Regs: msi_cfg_tbl).
    pub struct MsiData: u32 {
        /// The 4 bytes written (INT-12)
        data: u32 [32] Rw "data",
    }
}

layout! {
    /// `msi_vec_ctl_x`: mask of vector x (INT-12, INT-15; Regs: msi_cfg_tbl).
    pub struct MsiVecCtl: u32 {
        /// Masked: the message is held back (INT-15)
        m: bool [1] Rw "M",
        /// Reserved
        __: u32 [31] Wpri "",
    }
}
