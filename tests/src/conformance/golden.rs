//! The golden model as something to test.

use portcullis_model::{self as model, MemError, Model, Outcome, Versions};
use portcullis_regmap::config::Config;
use portcullis_sim::core::{Access, Kind, MemStatus, Purpose, Request, Response};
use portcullis_sim::memory::FaultOn;

use super::Dut;

/// The model with its memory. It does everything at once: commands run within the register write that rings them.
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
    reads: Vec<Purpose>,
    writes: Vec<Purpose>,
}

impl model::Memory for Counted {
    fn load(&mut self, addr: u64) -> Result<u64, MemError> {
        let purpose = if !self.translating {
            Purpose::Command
        } else if addr >> 12 == self.directory {
            Purpose::Ddt
        } else {
            Purpose::Pte
        };
        let pointer = purpose == Purpose::Ddt && self.pointers > 0;
        // A context or a command is one read, though the model takes it in doublewords.
        let unit = match purpose {
            Purpose::Ddt if !pointer => 32,
            Purpose::Command => 16,
            _ => 8,
        };
        if addr.is_multiple_of(unit) {
            self.reads.push(purpose);
        }
        let value = self.memory.load(addr);
        if pointer {
            self.pointers -= 1;
            self.directory = value.map_or(0, |entry| entry >> 10 & 0xfff_ffff_ffff);
        }
        value
    }
    fn store(&mut self, addr: u64, bytes: &[u8]) -> Result<(), MemError> {
        self.writes.push(if self.translating {
            Purpose::Fault
        } else {
            Purpose::Fence
        });
        self.memory.store(addr, bytes)
    }
}

fn count(seen: &[Purpose], purpose: Purpose) -> u64 {
    seen.iter().filter(|p| **p == purpose).count() as u64
}

impl Golden {
    /// A model of the configuration, after reset.
    ///
    /// # Panics
    /// The model does not know the configuration.
    #[must_use]
    pub fn new(config: &'static Config) -> Self {
        Self {
            config,
            model: Model::new(config).expect("a configuration that the model knows"),
            memory: Counted::default(),
        }
    }

    fn work(&mut self) {
        self.model.work(&mut self.memory);
    }

    fn answer(&mut self, r: &Request) -> Response {
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
        self.memory.translating = false;
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
}

impl Dut for Golden {
    fn reset(&mut self) {
        let memory = std::mem::take(&mut self.memory.memory);
        *self = Self::new(self.config);
        self.memory.memory = memory;
    }
    fn reg_read(&mut self, offset: u16, wide: bool) -> u64 {
        self.model.read(offset, wide)
    }
    fn reg_write(&mut self, offset: u16, wide: bool, data: u64) {
        self.model.write(offset, wide, data);
        self.work();
    }
    fn mem_read(&self, addr: u64, out: &mut [u8]) {
        for (at, byte) in (addr..).zip(out) {
            *byte = self.memory.memory.get(at).to_le_bytes()[(at & 7) as usize];
        }
    }
    fn mem_write(&mut self, addr: u64, data: &[u8]) {
        for (at, byte) in (addr..).zip(data) {
            let mut word = self.memory.memory.get(at).to_le_bytes();
            word[(at & 7) as usize] = *byte;
            self.memory.memory.set(at, u64::from_le_bytes(word));
        }
    }
    fn mem_fault(&mut self, addr: u64, len: u64, on: FaultOn, status: MemStatus) {
        let error = match status {
            MemStatus::Ok => None,
            MemStatus::Access => Some(MemError::Access),
            MemStatus::Corrupt => Some(MemError::Corrupt),
        };
        let (reads, writes) = (on != FaultOn::Write, on != FaultOn::Read);
        self.memory.memory.plant(addr, len, reads, writes, error);
    }
    fn translate(&mut self, requests: &[Request]) -> Vec<Response> {
        let answers = requests.iter().map(|r| self.answer(r)).collect();
        self.work();
        answers
    }
    fn step(&mut self, cycles: u64) {
        self.model.tick(cycles);
        self.work();
    }
    fn settle(&mut self) {
        self.work();
    }
    fn irq(&self) -> u32 {
        self.model.irq()
    }
    fn reads(&self, purpose: Purpose) -> u64 {
        count(&self.memory.reads, purpose)
    }
    fn writes(&self, purpose: Purpose) -> u64 {
        count(&self.memory.writes, purpose)
    }
}
