//! The golden model as a machine: the model, its memory, and a little of what a simulated machine counts.
//!
//! It has no clock and no caches. Everything that is due is done within the call that makes it due: commands within the
//! register write that rings them, records within the request that is refused, messages within the event. Where the
//! specification leaves a choice, it takes what memory and registers hold at that moment, as an IOMMU without caches
//! does (MEM-01); see `docs/play.md` for the choices that remain.

use portcullis_model::{self as model, MemError, Model, Outcome, Versions};
use portcullis_regmap::config::Config;

use crate::core::{Access, Kind, MemStatus, Purpose, Request, Response};
use crate::memory::FaultOn;

/// The model with its memory.
pub struct Golden {
    config: &'static Config,
    model: Model,
    memory: Counted,
}

/// The model's memory; counts what the model does there. What a read is for shows in who does it and where.
#[derive(Default)]
struct Counted {
    memory: Versions,
    /// The page that the directory walk reads next, and how many pointers are still to follow; a context comes last.
    directory: u64,
    pointers: u64,
    translating: bool,
    reads: [u64; 3],
    writes: [u64; 2],
}

impl model::Memory for Counted {
    fn load(&mut self, addr: u64) -> Result<u64, MemError> {
        let (ddt, pte, command) = (0, 1, 2);
        let purpose = if !self.translating {
            command
        } else if addr >> 12 == self.directory {
            ddt
        } else {
            pte
        };
        let pointer = purpose == ddt && self.pointers > 0;
        // A context or a command is one read, though the model takes it in doublewords.
        let unit = match purpose {
            0 if !pointer => 32,
            2 => 16,
            _ => 8,
        };
        if addr.is_multiple_of(unit) {
            self.reads[purpose] += 1;
        }
        let value = self.memory.load(addr);
        if pointer {
            self.pointers -= 1;
            self.directory = value.map_or(0, |entry| entry >> 10 & 0xfff_ffff_ffff);
        }
        value
    }
    fn store(&mut self, addr: u64, bytes: &[u8]) -> Result<(), MemError> {
        // Records have 32 bytes, what fences and messages store has 4.
        self.writes[usize::from(bytes.len() == 4)] += 1;
        self.memory.store(addr, bytes)
    }
}

impl Golden {
    /// A model of the configuration, after reset, with empty memory.
    ///
    /// # Errors
    /// One line: the model does not know the configuration.
    pub fn new(config: &'static Config) -> Result<Self, String> {
        Ok(Self {
            config,
            model: Model::new(config).map_err(|error| error.to_string())?,
            memory: Counted::default(),
        })
    }

    /// Resets the model; the contents of its memory stay.
    pub fn reset(&mut self) {
        if let Ok(fresh) = Self::new(self.config) {
            let memory = std::mem::take(&mut self.memory.memory);
            *self = fresh;
            self.memory.memory = memory;
        }
    }

    /// Does everything that is due.
    pub fn work(&mut self) {
        self.memory.translating = false;
        self.model.work(&mut self.memory);
    }

    /// Reads 4 or (`wide`) 8 bytes of a register.
    #[must_use]
    pub fn reg_read(&self, offset: u16, wide: bool) -> u64 {
        self.model.read(offset, wide)
    }

    /// Writes 4 or (`wide`) 8 bytes of a register, and does what follows from it.
    pub fn reg_write(&mut self, offset: u16, wide: bool, data: u64) {
        self.model.write(offset, wide, data);
        self.work();
    }

    /// Reads memory as software does.
    pub fn mem_read(&self, addr: u64, out: &mut [u8]) {
        for (i, byte) in (0u64..).zip(out) {
            let at = addr.wrapping_add(i);
            *byte = self.memory.memory.get(at).to_le_bytes()[(at & 7) as usize];
        }
    }

    /// Writes memory as software does.
    pub fn mem_write(&mut self, addr: u64, data: &[u8]) {
        for (i, byte) in (0u64..).zip(data) {
            let at = addr.wrapping_add(i);
            let mut word = self.memory.memory.get(at).to_le_bytes();
            word[(at & 7) as usize] = *byte;
            self.memory.memory.set(at, u64::from_le_bytes(word));
        }
    }

    /// Accesses of the model that touch the range end with `status` from now on.
    pub fn mem_fault(&mut self, addr: u64, len: u64, on: FaultOn, status: MemStatus) {
        let error = match status {
            MemStatus::Ok => None,
            MemStatus::Access => Some(MemError::Access),
            MemStatus::Corrupt => Some(MemError::Corrupt),
        };
        let (reads, writes) = (on != FaultOn::Write, on != FaultOn::Read);
        self.memory.memory.plant(addr, len, reads, writes, error);
    }

    /// The answer to a request; a record, and the message about it, are written at once.
    pub fn translate(&mut self, r: &Request) -> Response {
        let request = model::Request {
            device_id: r.device_id,
            process_id: r.process_id,
            privileged: r.privileged,
            access: match r.access {
                Access::Read => model::Access::Read,
                Access::Write => model::Access::Write,
                Access::Exec => model::Access::Exec,
            },
            kind: match r.kind {
                Kind::Untranslated => model::Kind::Untranslated,
                Kind::Translated => model::Kind::Translated,
                Kind::Ats => model::Kind::Ats,
            },
            iova: r.iova,
        };
        let ddtp = self.model.read(16, true);
        self.memory.directory = (ddtp >> 10) & 0xfff_ffff_ffff;
        self.memory.pointers = (ddtp & 0xf).saturating_sub(2);
        self.memory.translating = true;
        let outcome = self.model.translate(&mut self.memory, &request);
        self.work();
        let (fault, pa, page_shift) = match outcome {
            Outcome::Granted { pa, page_shift } => (false, pa, page_shift),
            Outcome::Refused(_) => (true, 0, 12),
        };
        Response {
            tag: r.tag,
            fault,
            pa,
            page_shift,
        }
    }

    /// Lets time pass for the cycle counter, which is all that knows time here.
    pub fn step(&mut self, cycles: u64) {
        self.model.tick(cycles);
        self.work();
    }

    /// The interrupt wires.
    #[must_use]
    pub fn irq(&self) -> u32 {
        self.model.irq()
    }

    /// Reads of memory since reset, by purpose.
    #[must_use]
    pub fn reads(&self, purpose: Purpose) -> u64 {
        let [ddt, pte, command] = self.memory.reads;
        match purpose {
            Purpose::Ddt => ddt,
            Purpose::Pte => pte,
            Purpose::Command => command,
            Purpose::Fault | Purpose::Fence | Purpose::Msi | Purpose::Line => 0,
        }
    }

    /// Writes of memory since reset: of fault records, and of fences, messages included.
    #[must_use]
    pub fn writes(&self, purpose: Purpose) -> u64 {
        let [records, words] = self.memory.writes;
        match purpose {
            Purpose::Fault => records,
            Purpose::Fence => words,
            Purpose::Ddt | Purpose::Pte | Purpose::Command | Purpose::Msi | Purpose::Line => 0,
        }
    }
}
