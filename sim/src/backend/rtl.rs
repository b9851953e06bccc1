//! The stepping loop of the Rust HDL: one thread, no testbench machinery.
//!
//! A cycle costs two settlings of the design: one with the clock low and the inputs of the cycle (its outputs are
//! then read), one with the clock high. The falling edge needs none of its own, because nothing in the design listens
//! to it.

use crate::core::{
    Access, Core, Events, Inputs, Kind, MemStatus, Outputs, Purpose, ReadBeat, ReadRequest,
    RegAccess, Request, Response, SyncRequest, WriteBeat,
};
use portcullis_hdl::ports::{Ports, Top};
use portcullis_hdl::types::{access, kind, purpose, status};
use portcullis_hdl::variants::{WithTop, with_top};
use portcullis_regmap::Config;
use rust_hdl::core::vcd_probe::VCDProbe;
use rust_hdl::prelude::{
    Clock, check_all, simulate, write_vcd_change, write_vcd_dump, write_vcd_header,
};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Rounds of evaluation after which a design that still changes has a combinational loop.
const MAX_ROUNDS: usize = 400;
/// log2 of the page sizes that `rsp_size` names; 6 and 7 do not occur.
pub(super) const PAGE_SHIFT: [u8; 8] = [12, 16, 21, 30, 39, 48, 48, 48];
/// Time units of a waveform per clock cycle.
const PERIOD: u64 = 10;

/// rust-hdl's waveform writer panics when a write fails; a full disk is to end the recording, not the run.
struct Lossy(Option<BufWriter<File>>);

impl Write for Lossy {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if let Some(Err(e)) = self.0.as_mut().map(|f| f.write_all(buf)) {
            eprintln!("waves end early: {e}");
            self.0 = None;
        }
        Ok(buf.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        self.0.as_mut().map_or(Ok(()), Write::flush)
    }
}

/// A core, simulated from its kernels.
pub struct Rtl<T: Top> {
    top: Box<T>,
    held: Inputs,
    cycle: u64,
    waves: Option<VCDProbe<Lossy>>,
}

/// As a simulated core.
struct Simulated;

impl WithTop for Simulated {
    type Output = Result<Box<dyn Core>, String>;
    fn with<T: Top + 'static>(self, top: T) -> Self::Output {
        Ok(Box::new(Rtl::new(top)?))
    }
}

/// A core of a configuration, in reset state.
///
/// # Errors
/// There is no such core, or the design fails rust-hdl's own checks (a defect of this program).
pub fn core(config: &Config) -> Result<Box<dyn Core>, String> {
    with_top(config, Simulated)
        .unwrap_or_else(|| Err(format!("back end rtl has no configuration {}", config.name)))
}

impl<T: Top> Rtl<T> {
    fn new(top: T) -> Result<Self, String> {
        let mut top = Box::new(top);
        top.connect_all();
        check_all(top.as_ref()).map_err(|e| format!("the design does not check: {e:?}"))?;
        let mut rtl = Self {
            top,
            held: Inputs::default(),
            cycle: 0,
            waves: None,
        };
        // The power-up values must have settled before the first edge.
        rtl.settle_now();
        Ok(rtl)
    }

    fn settle_now(&mut self) {
        assert!(
            simulate(self.top.as_mut(), MAX_ROUNDS),
            "the design does not settle: combinational loop"
        );
    }

    fn dump(&mut self, time: u64) {
        if let Some(mut waves) = self.waves.take()
            && waves.timestamp(time).is_ok()
        {
            self.waves = Some(write_vcd_change(waves, self.top.as_ref()));
        }
    }

    fn drive_request(&mut self, req: Option<Request>) {
        let t = self.top.ports();
        t.req_valid.next = req.is_some();
        let Some(r) = req else { return };
        t.req_tag.next = u64::from(r.tag & 0x3f).into();
        t.req_device_id.next = u64::from(r.device_id & 0xff_ffff).into();
        t.req_process_valid.next = r.process_id.is_some();
        t.req_process_id.next = u64::from(r.process_id.unwrap_or(0) & 0xf_ffff).into();
        t.req_privileged.next = r.privileged;
        t.req_access.next = match r.access {
            Access::Read => access::READ,
            Access::Write => access::WRITE,
            Access::Exec => access::EXEC,
        }
        .into();
        t.req_kind.next = match r.kind {
            Kind::Untranslated => kind::UNTRANSLATED,
            Kind::Translated => kind::TRANSLATED,
            Kind::Ats => kind::ATS,
        }
        .into();
        t.req_iova.next = r.iova.into();
    }

    fn drive_register(&mut self, reg: Option<RegAccess>) {
        let t = self.top.ports();
        t.reg_valid.next = reg.is_some();
        let Some(r) = reg else { return };
        t.reg_write.next = r.write;
        t.reg_offset.next = u64::from(r.offset & 0xfff).into();
        t.reg_wide.next = r.wide;
        t.reg_wdata.next = r.data.into();
    }

    fn drive_read(&mut self, r: Option<ReadBeat>) {
        let t = self.top.ports();
        t.mem_r_valid.next = r.is_some();
        let Some(r) = r else { return };
        t.mem_r_data.next = r.data.into();
        t.mem_r_id.next = u64::from(r.id & 0xf).into();
        t.mem_r_last.next = r.last;
        t.mem_r_status.next = code(r.status).into();
    }

    fn outputs(&mut self) -> Outputs {
        let t: Ports<'_> = self.top.ports();
        let rsp = t.rsp_valid.val().then(|| Response {
            tag: t.rsp_tag.val().index() as u8,
            fault: t.rsp_fault.val(),
            pa: t.rsp_pa.val().into(),
            page_shift: PAGE_SHIFT[t.rsp_size.val().index()],
        });
        let ar = t.mem_ar_valid.val().then(|| ReadRequest {
            addr: t.mem_ar_addr.val().into(),
            beats: t.mem_ar_len.val().index() as u8 + 1,
            id: t.mem_ar_id.val().index() as u8,
            purpose: meaning(t.mem_ar_purpose.val().index() as u64),
        });
        let w = t.mem_w_valid.val().then(|| WriteBeat {
            addr: t.mem_w_addr.val().into(),
            data: t.mem_w_data.val().into(),
            strobe: t.mem_w_strobe.val().index() as u8,
            last: t.mem_w_last.val(),
            purpose: meaning(t.mem_w_purpose.val().index() as u64),
        });
        let sync = SyncRequest {
            reads: t.sync_reads.val(),
            writes: t.sync_writes.val(),
        };
        Outputs {
            req_ready: t.req_ready.val(),
            rsp,
            reg_done: t.reg_done.val().then(|| t.reg_rdata.val().into()),
            ar,
            w,
            sync: (sync.reads || sync.writes).then_some(sync),
            irq: t.irq.val().index() as u32,
            events: Events {
                context_hit: t.ev_context_hit.val(),
                context_miss: t.ev_context_miss.val(),
                iotlb_hit: t.ev_iotlb_hit.val(),
                iotlb_miss: t.ev_iotlb_miss.val(),
                walk: t.ev_walk.val(),
            },
        }
    }
}

pub(super) fn code(s: MemStatus) -> u64 {
    match s {
        MemStatus::Ok => status::OK,
        MemStatus::Access => status::ACCESS,
        MemStatus::Corrupt => status::CORRUPT,
    }
}

pub(super) fn meaning(code: u64) -> Purpose {
    match code {
        purpose::DDT => Purpose::Ddt,
        purpose::PTE => Purpose::Pte,
        purpose::COMMAND => Purpose::Command,
        purpose::FAULT => Purpose::Fault,
        purpose::MSI => Purpose::Msi,
        purpose::LINE => Purpose::Line,
        _ => Purpose::Fence,
    }
}

impl<T: Top> Core for Rtl<T> {
    fn settle(&mut self, inputs: &Inputs) -> Outputs {
        let old = self.held;
        let t = self.top.ports();
        t.clock.next = Clock { clk: false };
        t.reset.next = inputs.reset;
        // Wide inputs are slow to convert, and most cycles change none of them.
        if inputs.req != old.req {
            self.drive_request(inputs.req);
        }
        if inputs.reg != old.reg {
            self.drive_register(inputs.reg);
        }
        if inputs.r != old.r {
            self.drive_read(inputs.r);
        }
        let t = self.top.ports();
        t.rsp_ready.next = inputs.rsp_ready;
        t.mem_ar_ready.next = inputs.ar_ready;
        t.mem_w_ready.next = inputs.w_ready;
        t.mem_b_valid.next = inputs.b.is_some();
        t.mem_b_error.next = inputs.b.is_some_and(|s| s != MemStatus::Ok);
        t.sync_ack.next = inputs.sync_ack;
        self.held = *inputs;
        self.settle_now();
        self.dump(self.cycle * PERIOD);
        self.outputs()
    }

    fn clock(&mut self) {
        self.top.ports().clock.next = Clock { clk: true };
        self.settle_now();
        self.dump(self.cycle * PERIOD + PERIOD / 2);
        self.cycle += 1;
    }

    fn record_waves(&mut self, path: &Path) -> io::Result<()> {
        let file = BufWriter::new(File::create(path)?);
        let waves = write_vcd_header(Lossy(Some(file)), self.top.as_ref());
        self.waves = Some(write_vcd_dump(waves, self.top.as_ref()));
        Ok(())
    }
}
