//! The core as the harness sees it: one cycle's pins in plain Rust types, whatever simulates them.
//!
//! A back end ([`crate::backend`]) implements [`Core`]. Each simulated cycle is: build [`Inputs`], [`Core::settle`]
//! to see the outputs that those inputs produce in the same cycle, decide the handshakes (`valid && ready`), then
//! [`Core::clock`]. No input may depend on an output of the same cycle: the core's outputs may depend
//! combinationally on `ready` inputs, so a loop would form.

use std::io;
use std::path::Path;

/// What a device does: the access kind of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Read.
    Read,
    /// Write or atomic.
    Write,
    /// Read for execute.
    Exec,
}

/// Which kind of transaction the request is (TRN-01).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Untranslated request.
    Untranslated,
    /// Translated request.
    Translated,
    /// PCIe ATS translation request.
    Ats,
}

/// One beat of the translation port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Returned with the response; tags in flight must differ.
    pub tag: u8,
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

/// One beat of the response port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    /// Tag of the request.
    pub tag: u8,
    /// The request was refused; `pa` is 0 then.
    pub fault: bool,
    /// System physical address with the offset of the IOVA.
    pub pa: u64,
    /// log2 of the size in bytes of the page that `pa` lies in (12, 16, 21, 30, 39 or 48).
    pub page_shift: u8,
}

/// One access of the register port: valid until answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegAccess {
    /// Write if set, else read.
    pub write: bool,
    /// Byte offset in the 4 KiB page.
    pub offset: u16,
    /// 8 bytes if set, else 4.
    pub wide: bool,
    /// Data to write; a 4-byte access uses the low half.
    pub data: u64,
}

/// What a memory access of the IOMMU itself is for; carried beside the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Device directory.
    Ddt,
    /// First-stage page table.
    Pte,
    /// Command queue fetch.
    Command,
    /// Fault record.
    Fault,
    /// Data of an IOFENCE.C.
    Fence,
    /// Message of an interrupt.
    Msi,
    /// Line of page-table entries that no walk waits for.
    Line,
}

/// Read request of the memory port: `beats` doublewords from `addr`, answered in order per `id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadRequest {
    /// Byte address, 8-byte aligned.
    pub addr: u64,
    /// Number of 8-byte beats, 1 to 8.
    pub beats: u8,
    /// Returned with each beat.
    pub id: u8,
    /// What it is for.
    pub purpose: Purpose,
}

/// How a memory access ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum MemStatus {
    /// Done.
    #[default]
    Ok,
    /// Refused: access fault (PMA/PMP violation, bus error).
    Access,
    /// Data poisoned.
    Corrupt,
}

/// One beat of read data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadBeat {
    /// The doubleword.
    pub data: u64,
    /// `id` of the request.
    pub id: u8,
    /// Last beat of the request.
    pub last: bool,
    /// Status of this beat.
    pub status: MemStatus,
}

/// One beat of a memory write. The beats of one burst follow each other; `addr` is the beat's own address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteBeat {
    /// Byte address of this doubleword, 8-byte aligned.
    pub addr: u64,
    /// The doubleword.
    pub data: u64,
    /// Byte enables.
    pub strobe: u8,
    /// Last beat of the burst: one answer follows.
    pub last: bool,
    /// What it is for.
    pub purpose: Purpose,
}

/// The IOMMU asks that device accesses granted so far become globally visible (IOFENCE.C PR/PW, ddtp).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SyncRequest {
    /// Wait for granted reads.
    pub reads: bool,
    /// Wait for granted writes.
    pub writes: bool,
}

/// Inputs of one cycle.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inputs {
    /// Synchronous reset.
    pub reset: bool,
    /// Translation request; keep it stable until `req_ready`.
    pub req: Option<Request>,
    /// The response port's consumer is ready.
    pub rsp_ready: bool,
    /// Register access; keep it stable until `reg_done`.
    pub reg: Option<RegAccess>,
    /// Memory takes a read request.
    pub ar_ready: bool,
    /// Read data.
    pub r: Option<ReadBeat>,
    /// Memory takes a write beat.
    pub w_ready: bool,
    /// Answer to the oldest unanswered write burst.
    pub b: Option<MemStatus>,
    /// Everything asked for by `sync` is visible.
    pub sync_ack: bool,
}

/// Events of one cycle, for statistics; a pulse each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// A request looked into the context cache and found its context.
    pub context_hit: bool,
    /// ... and did not.
    pub context_miss: bool,
    /// A request that needs the first stage looked into the IOTLB and found its page.
    pub iotlb_hit: bool,
    /// ... and did not.
    pub iotlb_miss: bool,
    /// A walk started.
    pub walk: bool,
}

/// Outputs of one cycle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outputs {
    /// The request is taken at the end of this cycle.
    pub req_ready: bool,
    /// Response; stable until `rsp_ready`.
    pub rsp: Option<Response>,
    /// The register access ends with this cycle; read data if it was a read.
    pub reg_done: Option<u64>,
    /// Read request; stable until `ar_ready`.
    pub ar: Option<ReadRequest>,
    /// Write beat; stable until `w_ready`.
    pub w: Option<WriteBeat>,
    /// Visibility asked for; held until `sync_ack`.
    pub sync: Option<SyncRequest>,
    /// Interrupt wires, bit n = wire n.
    pub irq: u32,
    /// Statistics.
    pub events: Events,
}

/// A simulated core.
pub trait Core {
    /// Outputs that these inputs produce in the current cycle.
    fn settle(&mut self, inputs: &Inputs) -> Outputs;
    /// The rising clock edge with the inputs of the last [`Core::settle`].
    fn clock(&mut self);
    /// Records a VCD of every signal from now on.
    ///
    /// # Errors
    /// The file cannot be created or written, or the back end has no waves.
    fn record_waves(&mut self, path: &Path) -> io::Result<()>;
}
