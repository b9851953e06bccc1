//! A behavioural core for tests of the simulator itself: real walks, commands and faults through the memory port, one
//! thing at a time. It shares nothing with the HDL, cannot be reached from the command, and can be broken on purpose.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::Path;

use portcullis_regmap::command::{Command, Op};
use portcullis_regmap::ddt::{Iosatp, Ta, Tc};
use portcullis_regmap::pte::{Pte, level_shift, vpn};
use portcullis_regmap::regs::offset;
use portcullis_regmap::{Config, config};
use portcullis_sim::core::{
    Access, Core, Events, Inputs, MemStatus, Outputs, Purpose, ReadRequest, RegAccess, Request,
    Response, SyncRequest, WriteBeat,
};

/// Ways to be broken.
#[derive(Clone, Copy, Debug, Default)]
pub struct Defects {
    /// Takes requests and never answers.
    pub mute: bool,
    /// Never takes requests.
    pub deaf: bool,
    /// Never ends a register access.
    pub frozen_registers: bool,
    /// Executes invalidations without effect.
    pub keeps_stale: bool,
    /// Answers with another tag.
    pub wrong_tag: bool,
    /// Changes a read request before it is taken.
    pub restless: bool,
    /// Never executes a command.
    pub no_commands: bool,
}

/// A factory of whole cores, as the commands take it.
pub fn fake(config: &'static Config) -> Result<Box<dyn Core>, String> {
    Ok(Box::new(Fake::new(config, Defects::default())))
}

/// A broken core of the smallest configuration.
pub fn broken(defects: Defects) -> Box<dyn Core> {
    Box::new(Fake::new(config("tiny").expect("tiny"), defects))
}

#[derive(Clone, Copy, Debug)]
struct Context {
    root: u64,
    paged: bool,
    pscid: u32,
}

#[derive(Clone, Copy, Debug)]
enum Then {
    Context(Request),
    Table(Request, Context, u8),
    Command,
    Refuse(Request),
    FenceDone,
}

#[derive(Clone, Debug)]
enum State {
    Idle,
    Read {
        request: ReadRequest,
        taken: bool,
        data: Vec<u64>,
        bad: bool,
        then: Then,
    },
    Sync {
        request: SyncRequest,
        store: Option<(u64, u32)>,
    },
    Write {
        beats: VecDeque<WriteBeat>,
        then: Then,
    },
    Answer {
        then: Then,
    },
    Mute,
}

/// The core.
pub struct Fake {
    config: &'static Config,
    defects: Defects,
    registers: HashMap<u16, u64>,
    state: State,
    contexts: HashMap<u32, Context>,
    tlb: HashMap<(u32, u64), (u64, u8)>,
    responses: VecDeque<(u64, Response)>,
    cycle: u64,
    inputs: Inputs,
    outputs: Outputs,
}

impl Fake {
    pub fn new(config: &'static Config, defects: Defects) -> Self {
        Self {
            config,
            defects,
            registers: HashMap::new(),
            state: State::Idle,
            contexts: HashMap::new(),
            tlb: HashMap::new(),
            responses: VecDeque::new(),
            cycle: 0,
            inputs: Inputs::default(),
            outputs: Outputs::default(),
        }
    }

    fn get(&self, offset: u16) -> u64 {
        self.registers.get(&offset).copied().unwrap_or(0)
    }

    fn read_register(&self, access: RegAccess) -> u64 {
        let word = |at: u16| {
            let base = at & !7;
            let wide = |value: u64| {
                if at & 4 == 0 {
                    value & 0xffff_ffff
                } else {
                    value >> 32
                }
            };
            match base {
                offset::CAPABILITIES => wide(self.config.capabilities),
                offset::FCTL if at == offset::FCTL => u64::from(self.config.fctl),
                offset::DDTP | offset::CQB | offset::FQB => wide(self.get(base)),
                _ => self.get(at),
            }
        };
        if access.wide {
            word(access.offset) | word(access.offset + 4) << 32
        } else {
            word(access.offset)
        }
    }

    fn write_register(&mut self, access: RegAccess) {
        let halves = if access.wide { 2 } else { 1 };
        for half in 0..halves {
            let at = access.offset + 4 * half;
            let value = (access.data >> (32 * half)) & 0xffff_ffff;
            let base = at & !7;
            match base {
                offset::DDTP | offset::CQB | offset::FQB => {
                    let shift = if at & 4 == 0 { 0 } else { 32 };
                    let old = self.get(base);
                    let mask = 0xffff_ffff_u64 << shift;
                    let mut new = old & !mask | value << shift;
                    if base != offset::DDTP {
                        new &= 0x003f_ffff_ffff_fc07 | 0x1f;
                    } else {
                        // busy is never seen; modes of more than one level are not accepted
                        let mode = if new & 0xf > 2 { old & 0xf } else { new & 0xf };
                        new = new & !0x1f | mode;
                    }
                    self.registers.insert(base, new);
                }
                _ => {
                    let new = match at {
                        // on follows the enable at once; the rest is interrupt enable and W1C errors that never rise
                        offset::CQCSR | offset::FQCSR => value & 3 | (value & 1) << 16,
                        offset::IPSR => self.get(at) & !value,
                        offset::CQT | offset::FQH | offset::FCTL => value,
                        _ => self.get(at),
                    };
                    self.registers.insert(at, new);
                }
            }
        }
    }

    fn read(&mut self, addr: u64, beats: u8, purpose: Purpose, then: Then) {
        let request = ReadRequest {
            addr,
            beats,
            id: 0,
            purpose,
        };
        self.state = State::Read {
            request,
            taken: false,
            data: Vec::new(),
            bad: false,
            then,
        };
    }

    fn respond(&mut self, request: &Request, target: Option<(u64, u8)>) {
        let mut response = Response {
            tag: request.tag,
            fault: target.is_none(),
            pa: 0,
            page_shift: 12,
        };
        if let Some((page, shift)) = target {
            response.pa = page | request.iova & ((1 << shift) - 1);
            response.page_shift = shift;
        }
        if self.defects.wrong_tag {
            response.tag ^= 1;
        }
        self.responses.push_back((self.cycle + 2, response));
        self.state = State::Idle;
    }

    /// Refuses a request: a record if the fault queue is on and has room.
    fn refuse(&mut self, request: &Request, cause: u64) {
        let fqb = self.get(offset::FQB);
        let entries = 2_u64 << (fqb & 0x1f);
        let tail = self.get(offset::FQT);
        if self.get(offset::FQCSR) & 1 == 0 || (tail + 1) % entries == self.get(offset::FQH) {
            self.respond(request, None);
            return;
        }
        let addr = (fqb >> 10 << 12) + tail * 32;
        self.registers.insert(offset::FQT, (tail + 1) % entries);
        let words = [
            cause | u64::from(request.device_id) << 40 | 2 << 34,
            0,
            request.iova,
            0,
        ];
        let beats = words.iter().enumerate();
        let beats = beats.map(|(at, data)| WriteBeat {
            addr: addr + 8 * at as u64,
            data: *data,
            strobe: 0xff,
            last: at == 3,
            purpose: Purpose::Fault,
        });
        self.state = State::Write {
            beats: beats.collect(),
            then: Then::Refuse(*request),
        };
    }

    fn translate(&mut self, request: Request) {
        if self.defects.mute {
            self.state = State::Mute;
            return;
        }
        let ddtp = self.get(offset::DDTP);
        match ddtp & 15 {
            0 => return self.refuse(&request, 256),
            1 => return self.respond(&request, Some((request.iova & !4095, 12))),
            _ if request.device_id >> 7 != 0 || request.process_id.is_some() => {
                return self.refuse(&request, 260);
            }
            _ => {}
        }
        match self.contexts.get(&request.device_id).copied() {
            Some(context) => {
                self.outputs.events.context_hit = true;
                self.look_up(request, context);
            }
            None => {
                self.outputs.events.context_miss = true;
                let addr = (ddtp >> 10 << 12) + 32 * u64::from(request.device_id);
                self.read(addr, 4, Purpose::Ddt, Then::Context(request));
            }
        }
    }

    fn look_up(&mut self, request: Request, context: Context) {
        if !context.paged {
            return self.respond(&request, Some((request.iova & !4095, 12)));
        }
        if request.iova >> 38 != 0 {
            return self.refuse(&request, 13);
        }
        for shift in [12, 16, 21, 30] {
            let key = (context.pscid, request.iova >> shift << 6 | shift);
            if let Some(target) = self.tlb.get(&key).copied() {
                self.outputs.events.iotlb_hit = true;
                return self.respond(&request, Some(target));
            }
        }
        self.outputs.events.iotlb_miss = true;
        self.outputs.events.walk = true;
        self.table(request, context, context.root, 2);
    }

    fn table(&mut self, request: Request, context: Context, table: u64, level: u8) {
        let addr = table + 8 * u64::from(vpn(request.iova, level));
        self.read(addr, 1, Purpose::Pte, Then::Table(request, context, level));
    }

    fn arrived(&mut self, data: &[u64], bad: bool, then: Then) {
        match then {
            Then::Context(request) => {
                let (tc, ta, fsc) = (
                    Tc::from_bits(data[0]),
                    Ta::from_bits(data[2]),
                    Iosatp::from_bits(data[3]),
                );
                if bad {
                    return self.refuse(&request, 257);
                }
                if !tc.v() {
                    return self.refuse(&request, 258);
                }
                let context = Context {
                    root: fsc.ppn() << 12,
                    paged: fsc.mode() != 0,
                    pscid: ta.pscid(),
                };
                self.contexts.insert(request.device_id, context);
                self.look_up(request, context);
            }
            Then::Table(request, context, level) => {
                let pte = Pte::from_bits(data[0]);
                let write = request.access == Access::Write;
                if bad
                    || !pte.v()
                    || pte.leaf() && (!pte.a() || write && !(pte.w() && pte.d()) || !pte.u())
                {
                    return self.refuse(&request, if write { 15 } else { 13 });
                }
                if !pte.leaf() {
                    if level == 0 {
                        return self.refuse(&request, 13);
                    }
                    return self.table(request, context, pte.ppn() << 12, level - 1);
                }
                let napot = level == 0 && pte.n();
                let shift = if napot { 16 } else { level_shift(level) as u8 };
                let page = pte.ppn() << 12 >> shift << shift;
                self.tlb.insert(
                    (context.pscid, request.iova >> shift << 6 | u64::from(shift)),
                    (page, shift),
                );
                self.respond(&request, Some((page, shift)));
            }
            Then::Command => self.execute(Command {
                dw0: data[0],
                dw1: data[1],
            }),
            Then::Refuse(_) | Then::FenceDone => {}
        }
    }

    fn execute(&mut self, command: Command) {
        let keep = self.defects.keeps_stale;
        self.state = State::Idle;
        match command.decode().expect("a legal command") {
            Op::Iofence { pr, pw, store, .. } => {
                self.state = State::Sync {
                    request: SyncRequest {
                        reads: pr,
                        writes: pw,
                    },
                    store,
                };
                return;
            }
            Op::InvalDdt { did } => self
                .contexts
                .retain(|held, _| keep || did.is_some_and(|did| did != *held)),
            Op::Iotinval { addr, pscid, .. } => self.tlb.retain(|(held, key), _| {
                let shift = key & 63;
                let page = addr.is_none_or(|addr| addr >> shift == key >> 6);
                keep || !(page && pscid.is_none_or(|pscid| pscid == *held))
            }),
            _ => {}
        }
        self.next_command();
    }

    fn next_command(&mut self) {
        let entries = 2 << (self.get(offset::CQB) & 0x1f);
        let head = (self.get(offset::CQH) + 1) % entries;
        self.registers.insert(offset::CQH, head);
    }

    /// Starts something new if there is something to do; commands first.
    fn start(&mut self) {
        let pending =
            self.get(offset::CQH) != self.get(offset::CQT) && self.get(offset::CQCSR) & 1 != 0;
        if pending && !self.defects.no_commands {
            let addr = (self.get(offset::CQB) >> 10 << 12) + 16 * self.get(offset::CQH);
            self.read(addr, 2, Purpose::Command, Then::Command);
        }
    }
}

impl Core for Fake {
    fn settle(&mut self, inputs: &Inputs) -> Outputs {
        self.inputs = *inputs;
        let mut out = Outputs::default();
        if let Some((due, response)) = self.responses.front()
            && *due <= self.cycle
        {
            out.rsp = Some(*response);
        }
        if let Some(access) = inputs.reg
            && !self.defects.frozen_registers
        {
            out.reg_done = Some(if access.write {
                0
            } else {
                self.read_register(access)
            });
        }
        match &self.state {
            State::Idle => out.req_ready = !self.defects.deaf,
            State::Read { request, taken, .. } if !taken => {
                out.ar = Some(*request);
                if self.defects.restless && self.cycle.is_multiple_of(2) {
                    out.ar = Some(ReadRequest {
                        addr: request.addr ^ 8,
                        ..*request
                    });
                }
            }
            State::Sync { request, .. } => out.sync = Some(*request),
            State::Write { beats, .. } => out.w = beats.front().copied(),
            _ => {}
        }
        // Events belong to the cycle after the request is taken.
        out.events = self.outputs.events;
        self.outputs = out;
        out
    }

    fn clock(&mut self) {
        let (inputs, out) = (self.inputs, self.outputs);
        self.outputs.events = Events::default();
        if inputs.reset {
            *self = Self::new(self.config, self.defects);
            return;
        }
        if out.rsp.is_some() && inputs.rsp_ready {
            self.responses.pop_front();
        }
        if out.reg_done.is_some()
            && let Some(access) = inputs.reg.filter(|access| access.write)
        {
            self.write_register(access);
        }
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle => match inputs.req {
                Some(request) if out.req_ready => self.translate(request),
                _ => self.start(),
            },
            State::Read {
                request,
                mut taken,
                mut data,
                mut bad,
                then,
            } => {
                taken |= out.ar.is_some() && inputs.ar_ready;
                let mut last = false;
                if let Some(beat) = inputs.r {
                    data.push(beat.data);
                    bad |= beat.status != MemStatus::Ok;
                    last = beat.last;
                }
                if last {
                    self.arrived(&data, bad, then);
                } else {
                    self.state = State::Read {
                        request,
                        taken,
                        data,
                        bad,
                        then,
                    };
                }
            }
            State::Sync {
                store: Some((addr, data)),
                ..
            } if inputs.sync_ack => {
                let high = addr & 4 != 0;
                let beat = WriteBeat {
                    addr: addr & !7,
                    data: u64::from(data) << if high { 32 } else { 0 },
                    strobe: if high { 0xf0 } else { 0x0f },
                    last: true,
                    purpose: Purpose::Fence,
                };
                self.state = State::Write {
                    beats: VecDeque::from([beat]),
                    then: Then::FenceDone,
                };
            }
            State::Sync { .. } if inputs.sync_ack => self.next_command(),
            State::Write { mut beats, then } => {
                if inputs.w_ready {
                    beats.pop_front();
                }
                self.state = if beats.is_empty() {
                    State::Answer { then }
                } else {
                    State::Write { beats, then }
                };
            }
            State::Answer { then } => match (inputs.b, then) {
                (Some(_), Then::Refuse(request)) => self.respond(&request, None),
                (Some(_), _) => self.next_command(),
                (None, _) => self.state = State::Answer { then },
            },
            other => self.state = other,
        }
        self.cycle += 1;
    }

    fn record_waves(&mut self, path: &Path) -> io::Result<()> {
        std::fs::write(path, "$comment no signals $end\n")
    }
}
