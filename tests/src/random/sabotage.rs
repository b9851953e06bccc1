//! A core that does something wrong on purpose, to see that the comparison notices.

use std::collections::VecDeque;
use std::io;
use std::path::Path;

use portcullis_sim::core::{Core, Inputs, Outputs, Purpose};

/// What goes wrong, from some moment on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// A bit of a granted address is flipped.
    FlipAddress(u32),
    /// A refused request is granted.
    Grant,
    /// A granted request is refused.
    Refuse,
    /// The page size is wrong.
    PageSize,
    /// Every record but the first is not stored.
    DropRecord,
    /// A bit of a record's doubleword is flipped.
    FlipRecord(u32),
    /// The data of a fence is not stored.
    DropFence,
    /// The wires never rise.
    MuteWires,
    /// The wires never fall once they have risen.
    StuckWires,
    /// Invalidations are fetched as GVMA, which drops nothing.
    IgnoreInvalidations,
    /// IOFENCE does not wait: visibility counts as given at once.
    SkipVisibility,
    /// Reserved bits of commands are fetched as 0, so that illegal ones pass.
    IgnoreReserved,
    /// Failed reads of page tables look like data.
    HideReadErrors,
    /// A register reads a wrong bit 0 (offset).
    Register(u16),
}

/// A core with a saboteur in front of its pins.
pub struct Saboteur {
    core: Box<dyn Core>,
    how: Sabotage,
    /// Read bursts in flight: purpose, beats left, beats done.
    reads: VecDeque<(Purpose, u8, u8)>,
    inputs: Inputs,
    outputs: Outputs,
    records: u64,
    risen: bool,
}

impl Saboteur {
    /// Sabotages a core.
    #[must_use]
    pub fn new(core: Box<dyn Core>, how: Sabotage) -> Self {
        Self {
            core,
            how,
            reads: VecDeque::new(),
            inputs: Inputs::default(),
            outputs: Outputs::default(),
            records: 0,
            risen: false,
        }
    }

    fn forge_inputs(&self, inputs: &Inputs) -> Inputs {
        let mut forged = *inputs;
        let read = self.reads.front();
        if let (Some(beat), Some((purpose, _, done))) = (&mut forged.r, read) {
            let first = done % 2 == 0;
            match (self.how, purpose) {
                (Sabotage::IgnoreInvalidations, Purpose::Command) if first => {
                    let opcode = beat.data & 0x7f;
                    // IOTINVAL.GVMA with GV=1; of a VMA all operands but the legality are kept.
                    if opcode == 1 && beat.data >> 7 & 7 == 0 {
                        beat.data |= 1 << 33;
                    }
                    // IODIR of a device that does not exist is legal: another one is named.
                    if opcode == 3 && beat.data >> 7 & 7 == 0 {
                        beat.data = beat.data & !(0x7f << 40) | 1 << 33 | 0x55 << 40;
                    }
                }
                (Sabotage::IgnoreReserved, Purpose::Command) if first => {
                    beat.data &= match beat.data & 0x7f {
                        1 => !(1 << 11 | 0x1ff << 35 | 0xf << 60),
                        2 => !(0x3_ffff << 14),
                        3 => !(3 << 10 | 1 << 32 | 0x3f << 34),
                        _ => u64::MAX,
                    };
                }
                (Sabotage::HideReadErrors, Purpose::Pte) => {
                    beat.status = portcullis_sim::core::MemStatus::Ok;
                }
                _ => {}
            }
        }
        if self.how == Sabotage::SkipVisibility && self.outputs.sync.is_some() {
            forged.sync_ack = true;
        }
        forged
    }

    fn forge_outputs(&mut self, out: Outputs) -> Outputs {
        let mut forged = out;
        if let Some(response) = &mut forged.rsp {
            match self.how {
                Sabotage::FlipAddress(bit) if !response.fault => response.pa ^= 1 << bit,
                Sabotage::Grant if response.fault => response.fault = false,
                Sabotage::Refuse if !response.fault => {
                    response.fault = true;
                    response.pa = 0;
                }
                Sabotage::PageSize if !response.fault => response.page_shift ^= 1,
                _ => {}
            }
        }
        if let Some(beat) = &mut forged.w {
            match (self.how, beat.purpose) {
                (Sabotage::DropRecord, Purpose::Fault) if self.records > 0 => beat.strobe = 0,
                (Sabotage::FlipRecord(bit), Purpose::Fault) => beat.data ^= 1 << bit,
                (Sabotage::DropFence, Purpose::Fence) => beat.strobe = 0,
                _ => {}
            }
        }
        match self.how {
            Sabotage::MuteWires => forged.irq = 0,
            Sabotage::StuckWires if self.risen => forged.irq |= 1,
            Sabotage::Register(offset) => {
                if let (Some(data), Some(access)) = (&mut forged.reg_done, self.inputs.reg)
                    && access.offset == offset
                    && !access.write
                {
                    *data ^= 1;
                }
            }
            _ => {}
        }
        forged
    }
}

impl Core for Saboteur {
    fn settle(&mut self, inputs: &Inputs) -> Outputs {
        self.inputs = *inputs;
        let forged = self.forge_inputs(inputs);
        let out = self.core.settle(&forged);
        self.outputs = out;
        self.forge_outputs(out)
    }

    fn clock(&mut self) {
        let (inputs, out) = (self.inputs, self.outputs);
        if inputs.reset {
            self.reads.clear();
        }
        if let (Some(beat), Some(read)) = (inputs.r, self.reads.front_mut()) {
            read.2 += 1;
            if beat.last {
                self.reads.pop_front();
            }
        }
        if let Some(request) = out.ar
            && inputs.ar_ready
        {
            self.reads.push_back((request.purpose, request.beats, 0));
        }
        if let Some(beat) = out.w
            && inputs.w_ready
            && beat.last
            && beat.purpose == Purpose::Fault
        {
            self.records += 1;
        }
        self.risen |= out.irq != 0;
        self.core.clock();
    }

    fn record_waves(&mut self, path: &Path) -> io::Result<()> {
        self.core.record_waves(path)
    }
}
