//! The generated Verilog under Verilator, stepped cycle by cycle like [`super::rtl`].
//!
//! The first core of a configuration costs a build of some seconds: the Verilog goes through Verilator and the C++
//! compiler into a shared library, which is kept in `verilated/` of cargo's target directory (of a program installed
//! elsewhere: in `$XDG_CACHE_HOME/portcullis/verilated`). Nobody has to remove what is out of date: a library is found
//! by a hash of all it is made of. Cores are independent of each other; several threads may have some.
//!
//! Waves need a library of their own, because one that can record them is slower. So [`Core::record_waves`] starts a
//! second core, brings it to the same state by repeating the inputs so far, and goes on with that one. It has to be
//! asked for early: within [`HISTORY`] cycles of power-up.

pub(crate) mod build;
mod library;

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use portcullis_hdl::types::{access, kind};
use portcullis_hdl::verilog::{Bus, emit, module_name};
use portcullis_regmap::Config;

use super::rtl::{PAGE_SHIFT, code, meaning};
use crate::core::{
    Access, Core, Events, Inputs, Kind, MemStatus, Outputs, ReadRequest, Response, SyncRequest,
    WriteBeat,
};
use build::Recipe;
use library::{Instance, Levels, Library, Pins};

/// The core's C interface.
const SHIM: &str = include_str!("verilog/shim.cpp");

/// Cycles after power-up within which waves can be asked for. A reset of the harness takes four.
pub const HISTORY: usize = 64;

/// A core of a configuration, simulated by Verilator.
#[derive(Debug)]
pub struct Verilog {
    config: &'static Config,
    instance: Instance,
    pins: Pins,
    history: Vec<Pins>,
    cycle: u64,
}

/// Whether Verilator and a C++ compiler are there.
///
/// # Errors
/// One sentence that says which is not, and how to get it.
pub fn available() -> Result<(), String> {
    build::available()
}

impl Verilog {
    /// A core at power-up. The first one of a configuration may have to be built.
    ///
    /// # Errors
    /// One line: the configuration has no hardware, a tool is missing, or the library cannot be built or loaded.
    pub fn new(config: &'static Config) -> Result<Self, String> {
        Ok(Self {
            config,
            instance: Instance::new(library(config, false)?, None)?,
            pins: Pins::default(),
            history: Vec::new(),
            cycle: 0,
        })
    }

    /// Pins of a port without a valid beat keep their values, as in `rtl`.
    fn drive(&mut self, inputs: &Inputs) {
        let pins = &mut self.pins;
        pins.reset = inputs.reset.into();
        pins.req_valid = inputs.req.is_some().into();
        if let Some(req) = inputs.req {
            pins.req_tag = (req.tag & 0x3f).into();
            pins.req_device_id = req.device_id & 0xff_ffff;
            pins.req_process_valid = req.process_id.is_some().into();
            pins.req_process_id = req.process_id.unwrap_or(0) & 0xf_ffff;
            pins.req_privileged = req.privileged.into();
            pins.req_access = match req.access {
                Access::Read => access::READ,
                Access::Write => access::WRITE,
                Access::Exec => access::EXEC,
            } as u32;
            pins.req_kind = match req.kind {
                Kind::Untranslated => kind::UNTRANSLATED,
                Kind::Translated => kind::TRANSLATED,
                Kind::Ats => kind::ATS,
            } as u32;
            pins.req_iova = req.iova;
        }
        pins.rsp_ready = inputs.rsp_ready.into();
        pins.reg_valid = inputs.reg.is_some().into();
        if let Some(reg) = inputs.reg {
            pins.reg_write = reg.write.into();
            pins.reg_offset = (reg.offset & 0xfff).into();
            pins.reg_wide = reg.wide.into();
            pins.reg_wdata = reg.data;
        }
        pins.mem_ar_ready = inputs.ar_ready.into();
        pins.mem_r_valid = inputs.r.is_some().into();
        if let Some(r) = inputs.r {
            pins.mem_r_data = r.data;
            pins.mem_r_id = r.id.into();
            pins.mem_r_last = r.last.into();
            pins.mem_r_status = code(r.status) as u32;
        }
        pins.mem_w_ready = inputs.w_ready.into();
        pins.mem_b_valid = inputs.b.is_some().into();
        pins.mem_b_error = inputs
            .b
            .is_some_and(|status| status != MemStatus::Ok)
            .into();
        pins.sync_ack = inputs.sync_ack.into();
    }
}

impl Core for Verilog {
    fn settle(&mut self, inputs: &Inputs) -> Outputs {
        self.drive(inputs);
        outputs(&self.instance.settle(&self.pins))
    }

    fn clock(&mut self) {
        if self.history.len() < HISTORY {
            self.history.push(self.pins);
        }
        self.cycle += 1;
        self.instance.clock();
    }

    fn record_waves(&mut self, path: &Path) -> io::Result<()> {
        if self.cycle > self.history.len() as u64 {
            return Err(io::Error::other(format!(
                "back end verilog can record waves only from the start: ask for them within {HISTORY} cycles"
            )));
        }
        // For the reason, if it cannot be written: the library only knows that.
        File::create(path)?;
        let library = library(self.config, true).map_err(io::Error::other)?;
        let mut instance = Instance::new(library, Some(path)).map_err(io::Error::other)?;
        for pins in &self.history {
            instance.settle(pins);
            instance.clock();
        }
        self.instance = instance;
        Ok(())
    }
}

/// The loaded libraries by configuration and by whether they record waves. They are few and stay until the end.
static LOADED: Mutex<Vec<(&str, bool, Arc<Library>)>> = Mutex::new(Vec::new());

/// The library of `config`, loaded once per process and built if this has never been done.
fn library(config: &'static Config, traced: bool) -> Result<Arc<Library>, String> {
    // Whoever holds the lock builds; the others wait for the result. A panic meanwhile leaves the list as it was.
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    let known = loaded
        .iter()
        .find(|(name, waves, _)| (*name, *waves) == (config.name, traced));
    if let Some((_, _, library)) = known {
        return Ok(Arc::clone(library));
    }
    let recipe = Recipe::new(
        emit(config, Bus::Core)?,
        module_name(config, Bus::Core),
        SHIM,
        traced,
    )?;
    let library = match Library::load(recipe.path()) {
        Ok(library) => library,
        // There is none, or one that another machine with the same home directory has built.
        Err(_) => {
            recipe.build()?;
            Library::load(recipe.path())?
        }
    };
    let library = Arc::new(library);
    loaded.push((config.name, traced, Arc::clone(&library)));
    Ok(library)
}

/// Pins narrower than their Rust type lose nothing by the casts.
fn outputs(levels: &Levels) -> Outputs {
    let sync = SyncRequest {
        reads: levels.sync_reads != 0,
        writes: levels.sync_writes != 0,
    };
    Outputs {
        req_ready: levels.req_ready != 0,
        rsp: (levels.rsp_valid != 0).then(|| Response {
            tag: levels.rsp_tag as u8,
            fault: levels.rsp_fault != 0,
            pa: levels.rsp_pa,
            page_shift: PAGE_SHIFT[levels.rsp_size as usize],
        }),
        reg_done: (levels.reg_done != 0).then_some(levels.reg_rdata),
        ar: (levels.mem_ar_valid != 0).then(|| ReadRequest {
            addr: levels.mem_ar_addr,
            beats: levels.mem_ar_len as u8 + 1,
            id: levels.mem_ar_id as u8,
            purpose: meaning(levels.mem_ar_purpose.into()),
        }),
        w: (levels.mem_w_valid != 0).then(|| WriteBeat {
            addr: levels.mem_w_addr,
            data: levels.mem_w_data,
            strobe: levels.mem_w_strobe as u8,
            last: levels.mem_w_last != 0,
            purpose: meaning(levels.mem_w_purpose.into()),
        }),
        sync: (sync.reads || sync.writes).then_some(sync),
        irq: levels.irq,
        events: Events {
            context_hit: levels.ev_context_hit != 0,
            context_miss: levels.ev_context_miss != 0,
            iotlb_hit: levels.ev_iotlb_hit != 0,
            iotlb_miss: levels.ev_iotlb_miss != 0,
            walk: levels.ev_walk != 0,
        },
    }
}
