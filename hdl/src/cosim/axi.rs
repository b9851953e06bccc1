//! Random life for the configurations with AXI ports: devices, memory and software at the ends of the buses.
//!
//! All keep to AXI4: an offer stays until it is taken, and answers of one id come in order. What the memory answers to
//! walks and queues is plausible by address, as in [`super::top`].

use super::top::{Access, RESET, any_access, command, context_word, directory_word, entry};
use super::top::{first_steps, iova};
use super::{Case, Files, Recorder, Rng, settle};
use crate::bus::shapes::{AxiDevice, AxiLite, AxiMaster};
use crate::bus::{LinuxAxi, TinyAxi};
use portcullis_regmap::command::Command;
use portcullis_regmap::regs::offset;
use rust_hdl::prelude::*;
use std::collections::VecDeque;

/// Page of the command queue that [`first_steps`] sets up.
const COMMANDS: u64 = 0x100;

/// fctl.WSI: interrupts by wire.
const WSI: u64 = 1 << 1;

/// The configurations.
pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("portcullis_tiny_axi", |cycles, seed| {
            run(TinyAxi::default(), "portcullis_tiny_axi", cycles, seed)
        })
        .warm_up(RESET as usize),
        Case::new("portcullis_linux_axi", |cycles, seed| {
            run(LinuxAxi::default(), "portcullis_linux_axi", cycles, seed)
        })
        .warm_up(RESET as usize),
    ]
}

/// The ports of a configuration, borrowed. `D` data bits of the registers, `B` = `D` / 8.
struct View<'a, const D: usize, const B: usize> {
    clock: &'a mut Signal<In, Clock>,
    reset: &'a mut Signal<In, Bit>,
    device: &'a mut AxiDevice,
    memory: &'a mut AxiMaster,
    tables: &'a mut AxiMaster,
    registers: &'a mut AxiLite<D, B>,
    irq: &'a Signal<Out, Bits<4>>,
}

trait Top<const D: usize, const B: usize>: Block {
    fn view(&mut self) -> View<'_, D, B>;
}

macro_rules! top {
    ($block:ty, $d:literal, $b:literal) => {
        impl Top<$d, $b> for $block {
            fn view(&mut self) -> View<'_, $d, $b> {
                View {
                    clock: &mut self.clock,
                    reset: &mut self.reset,
                    device: &mut self.s_axi,
                    memory: &mut self.m_axi,
                    tables: &mut self.m_axi_ptw,
                    registers: &mut self.s_axil,
                    irq: &self.irq,
                }
            }
        }
    };
}

top!(TinyAxi, 32, 4);
top!(LinuxAxi, 64, 8);

/// A burst that a memory has been asked to read.
struct Read {
    id: u64,
    page: u64,
    first: u64,
    beat: u64,
    beats: u64,
    command: Command,
}

/// A memory behind an AXI4 master: bursts of different ids are mixed.
#[derive(Default)]
struct Slave {
    reads: Vec<Read>,
    /// Writes of which the address has come, and the bursts of data that have.
    writes: VecDeque<u64>,
    bursts: usize,
    /// Ids of complete writes.
    written: Vec<u64>,
    reading: bool,
    answering: bool,
}

/// The first of each id.
fn heads(ids: impl Iterator<Item = u64>) -> Vec<usize> {
    let ids: Vec<u64> = ids.collect();
    let first = |at: &usize| !ids[..*at].contains(&ids[*at]);
    (0..ids.len()).filter(first).collect()
}

impl Slave {
    /// `word` makes read data.
    fn drive(
        &mut self,
        bus: &mut AxiMaster,
        rng: &mut Rng,
        word: impl Fn(&mut Rng, &mut Read) -> u64,
    ) {
        bus.arready.next = !rng.one_in(4);
        bus.awready.next = !rng.one_in(4);
        bus.wready.next = !rng.one_in(4);
        let status = if rng.one_in(24) { 1 + rng.below(3) } else { 0 };
        if !self.reading {
            bus.rvalid.next = false;
            let heads = heads(self.reads.iter().map(|r| r.id));
            if !heads.is_empty() && rng.one_in(2) {
                let at = rng.pick(&heads);
                let read = &mut self.reads[at];
                bus.rvalid.next = true;
                bus.rdata.next = word(rng, read).into();
                bus.rid.next = read.id.into();
                bus.rresp.next = status.into();
                read.beat += 1;
                bus.rlast.next = read.beat == read.beats;
                if read.beat == read.beats {
                    self.reads.remove(at);
                }
            }
        }
        if !self.answering {
            bus.bvalid.next = false;
            let heads = heads(self.written.iter().copied());
            if !heads.is_empty() && rng.one_in(3) {
                let id = self.written.remove(rng.pick(&heads));
                bus.bvalid.next = true;
                bus.bid.next = id.into();
                bus.bresp.next = status.into();
            }
        }
    }

    fn observe(&mut self, bus: &AxiMaster) {
        self.reading = bus.rvalid.val() && !bus.rready.val();
        self.answering = bus.bvalid.val() && !bus.bready.val();
        if bus.arvalid.val() && bus.arready.val() {
            let address = u64::from(bus.araddr.val());
            self.reads.push(Read {
                id: bus.arid.val().index() as u64,
                page: address >> 12,
                first: address >> 3,
                beat: 0,
                beats: bus.arlen.val().index() as u64 + 1,
                command: Command::default(),
            });
        }
        if bus.awvalid.val() && bus.awready.val() {
            self.writes.push_back(bus.awid.val().index() as u64);
        }
        self.bursts += usize::from(bus.wvalid.val() && bus.wready.val() && bus.wlast.val());
        while self.bursts > 0
            && let Some(id) = self.writes.pop_front()
        {
            self.bursts -= 1;
            self.written.push(id);
        }
    }
}

/// What walks and queues read: commands in the command queue, contexts in longer bursts, and entries of tables.
fn table_word(rng: &mut Rng, read: &mut Read) -> u64 {
    let index = read.first + read.beat;
    if read.page == COMMANDS {
        if index & 1 == 0 {
            read.command = command(rng);
            return read.command.dw0;
        }
        return read.command.dw1;
    }
    match (read.beats, rng.below(8)) {
        (1, 0) => directory_word(rng),
        (1, _) => entry(rng),
        _ => context_word(rng, index & 3),
    }
}

/// An address channel of a device and its data.
#[derive(Default)]
struct Master {
    asking_reads: bool,
    asking_writes: bool,
    sending: bool,
}

macro_rules! ask {
    ($bus:ident, $rng:ident, $valid:ident, [$id:ident, $addr:ident, $len:ident, $size:ident, $burst:ident, $lock:ident,
     $cache:ident, $prot:ident, $qos:ident, $did:ident, $pid:ident, $pv:ident]) => {
        $bus.$valid.next = $rng.one_in(4);
        $bus.$id.next = $rng.below(3).into();
        $bus.$len.next = $rng.pick(&[0u64, 0, 1, 1, 3, 7]).into();
        let odd = $rng.one_in(16);
        $bus.$size.next = if odd { $rng.below(8) } else { 3 }.into();
        $bus.$burst.next = if odd { $rng.below(4) } else { 1 }.into();
        let address = iova($rng);
        $bus.$addr.next = if odd { address } else { address & !0xff }.into();
        $bus.$lock.next = $rng.one_in(16);
        $bus.$cache.next = $rng.below(16).into();
        $bus.$prot.next = $rng.pick(&[0u64, 0, 1, 2, 4]).into();
        $bus.$qos.next = $rng.below(16).into();
        $bus.$did.next = ($rng.below(3) | (($rng.below(256) / 255) << 9)).into();
        $bus.$pid.next = $rng.below(4).into();
        $bus.$pv.next = $rng.one_in(32);
    };
}

impl Master {
    fn drive(&mut self, bus: &mut AxiDevice, rng: &mut Rng) {
        if !self.asking_reads {
            ask!(
                bus,
                rng,
                arvalid,
                [
                    arid, araddr, arlen, arsize, arburst, arlock, arcache, arprot, arqos, armmusid,
                    armmussid, armmussidv
                ]
            );
        }
        if !self.asking_writes {
            ask!(
                bus,
                rng,
                awvalid,
                [
                    awid, awaddr, awlen, awsize, awburst, awlock, awcache, awprot, awqos, awmmusid,
                    awmmussid, awmmussidv
                ]
            );
        }
        if !self.sending {
            // The wrapper counts beats by the address: the sign of the last says nothing to it.
            bus.wvalid.next = !rng.one_in(4);
            bus.wdata.next = rng.bits().into();
            bus.wstrb.next = rng.below(256).into();
            bus.wlast.next = rng.one_in(2);
        }
        bus.rready.next = !rng.one_in(4);
        bus.bready.next = !rng.one_in(4);
    }

    fn observe(&mut self, bus: &AxiDevice) {
        self.asking_reads = bus.arvalid.val() && !bus.arready.val();
        self.asking_writes = bus.awvalid.val() && !bus.awready.val();
        self.sending = bus.wvalid.val() && !bus.wready.val();
    }
}

/// Software at the registers: one access after the other.
#[derive(Default)]
struct Software {
    script: VecDeque<Access>,
    addressing: bool,
    sending: bool,
    reading: bool,
    waiting: bool,
}

impl Software {
    fn begin<const D: usize, const B: usize>(&mut self, bus: &mut AxiLite<D, B>, rng: &mut Rng) {
        let random = |rng: &mut Rng| rng.one_in(8).then(|| any_access(rng));
        let Some(a) = self.script.pop_front().or_else(|| random(rng)) else {
            return;
        };
        if !a.write {
            bus.araddr.next = a.offset.into();
            self.reading = true;
            return;
        }
        let upper = 8 * (a.offset & 4);
        bus.awaddr.next = a.offset.into();
        (self.addressing, self.sending) = (true, true);
        if D == 32 {
            bus.wdata.next = (a.data & 0xffff_ffff).into();
            bus.wstrb.next = 0xf.into();
            if a.wide {
                let (offset, data) = (a.offset + 4, a.data >> 32);
                self.script.push_front(Access {
                    offset,
                    data,
                    wide: false,
                    ..a
                });
            }
        } else if a.wide {
            bus.wdata.next = a.data.into();
            bus.wstrb.next = 0xff.into();
        } else {
            bus.wdata.next = ((a.data & 0xffff_ffff) << upper).into();
            bus.wstrb.next = (0xf << (a.offset & 4)).into();
        }
    }

    fn drive<const D: usize, const B: usize>(&mut self, bus: &mut AxiLite<D, B>, rng: &mut Rng) {
        if !(self.waiting || self.reading || self.addressing || self.sending) {
            self.begin(bus, rng);
            self.waiting = self.reading || self.addressing;
        }
        bus.arvalid.next = self.reading;
        bus.awvalid.next = self.addressing;
        bus.wvalid.next = self.sending;
        bus.rready.next = !rng.one_in(4);
        bus.bready.next = !rng.one_in(4);
    }

    fn observe<const D: usize, const B: usize>(&mut self, bus: &AxiLite<D, B>) {
        self.reading &= !bus.arready.val();
        self.addressing &= !bus.awready.val();
        self.sending &= !bus.wready.val();
        let read = bus.rvalid.val() && bus.rready.val();
        let written = bus.bvalid.val() && bus.bready.val();
        self.waiting &= !(read || written);
    }
}

/// Everything at the ends of the buses.
#[derive(Default)]
struct World {
    device: Master,
    memory: Slave,
    tables: Slave,
    software: Software,
}

/// What a run must have reached to be worth comparing.
#[derive(Default)]
struct Seen {
    granted_reads: u64,
    granted_writes: u64,
    refused_reads: u64,
    refused_writes: u64,
    walks: u64,
    commands: u64,
    records: u64,
    stores: u64,
    register_reads: u64,
    register_writes: u64,
    interrupts: u64,
}

impl Seen {
    fn note<const D: usize, const B: usize>(&mut self, u: &View<'_, D, B>) {
        let one = |valid: bool, ready: bool| u64::from(valid && ready);
        let (m, t) = (&u.memory, &u.tables);
        self.granted_reads += one(m.arvalid.val(), m.arready.val());
        self.granted_writes += one(m.awvalid.val(), m.awready.val());
        let d = &u.device;
        let error = |resp: Bits<2>| resp.index() == 2;
        self.refused_reads += one(d.rvalid.val() && error(d.rresp.val()), d.rready.val());
        self.refused_writes += one(d.bvalid.val() && error(d.bresp.val()), d.bready.val());
        let command = u64::from(t.araddr.val()) >> 12 == COMMANDS;
        let read = one(t.arvalid.val(), t.arready.val());
        self.walks += if command { 0 } else { read };
        self.commands += if command { read } else { 0 };
        let write = one(t.awvalid.val(), t.awready.val());
        let record = t.awlen.val().index() == 3;
        self.records += if record { write } else { 0 };
        self.stores += if record { 0 } else { write };
        let r = &u.registers;
        self.register_reads += one(r.rvalid.val(), r.rready.val());
        self.register_writes += one(r.bvalid.val(), r.bready.val());
        self.interrupts += u64::from(u.irq.val().any());
    }

    fn check(&self) -> Result<(), String> {
        let all = [
            ("granted reads", self.granted_reads),
            ("granted writes", self.granted_writes),
            ("refused reads", self.refused_reads),
            ("refused writes", self.refused_writes),
            ("reads of tables", self.walks),
            ("reads of commands", self.commands),
            ("fault records", self.records),
            ("stores of fences", self.stores),
            ("register reads", self.register_reads),
            ("register writes", self.register_writes),
            ("interrupts", self.interrupts),
        ];
        super::reached(&all)
    }
}

fn run<const D: usize, const B: usize, T: Top<D, B>>(
    top: T,
    name: &str,
    cycles: usize,
    seed: u64,
) -> Result<Files, String> {
    let mut uut = Box::new(top);
    uut.connect_all();
    let mut recorder = Recorder::new(uut.as_ref(), name)?;
    let mut rng = Rng::new(seed);
    let mut world = World::default();
    let mut seen = Seen::default();
    let (mut reset, mut lives) = (RESET, 0);
    settle(uut.as_mut())?;
    for _ in 0..cycles {
        let u = uut.view();
        if rng.one_in(3000) {
            reset = RESET;
            lives += 1;
        }
        u.reset.next = reset > 0;
        if reset > 0 {
            // Nothing is on its way any more, and software starts over.
            world = World::default();
            world.software.script = first_steps();
            // Interrupts by wire in every other life, by message in the rest, where there is a choice.
            let wires = if lives & 1 == 0 { WSI } else { 0 };
            let choice = Access::write(offset::FCTL, false, wires);
            world.software.script.push_front(choice);
            reset -= 1;
        }
        world.device.drive(u.device, &mut rng);
        let data = |rng: &mut Rng, _: &mut Read| rng.bits();
        world.memory.drive(u.memory, &mut rng, data);
        world.tables.drive(u.tables, &mut rng, table_word);
        world.software.drive(u.registers, &mut rng);
        settle(uut.as_mut())?;
        recorder.sample(uut.as_ref());
        let u = uut.view();
        if !u.reset.val() {
            seen.note(&u);
            world.device.observe(u.device);
            world.memory.observe(u.memory);
            world.tables.observe(u.tables);
            world.software.observe(u.registers);
        }
        u.clock.next.clk = true;
        settle(uut.as_mut())?;
        uut.view().clock.next.clk = false;
        settle(uut.as_mut())?;
    }
    seen.check()?;
    Ok(recorder.finish())
}
