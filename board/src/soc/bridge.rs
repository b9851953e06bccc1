//! Carries out the host's requests (docs/serial-bridge.md), each as a whole and once.
//!
//! A request with the number of the last one is answered again and not carried out again; `identify` always is. Register
//! and memory accesses are held on their ports until they are done, and the answer is sent after that. A request that
//! comes while an answer is being sent is dropped: the host has asked again too early.

use super::map;
use portcullis::platform::frame::{ANSWER, MAGIC, VERSION, op, status};
use portcullis_hdl::widen::unsigned_cast_to;
use rust_hdl::prelude::*;

/// States of the bridge.
#[derive(LogicState, Debug, Copy, Clone, PartialEq)]
pub enum BridgeState {
    /// Looks for a request.
    Rest,
    /// Decides what it is.
    Decode,
    /// Waits for the registers.
    Register,
    /// Waits for the memory.
    Memory,
    /// Hands the answer over.
    Reply,
}

/// See the module.
#[derive(LogicBlock)]
pub struct Bridge {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Forgets the last request.
    pub reset: Signal<In, Bit>,
    /// A frame is offered ...
    pub frame_valid: Signal<In, Bit>,
    /// ... and not needed any more.
    pub frame_taken: Signal<Out, Bit>,
    /// Its bytes.
    pub frame: Signal<In, Bits<160>>,
    /// How many, with checksum.
    pub frame_size: Signal<In, Bits<5>>,
    /// Keep this answer ...
    pub answer_load: Signal<Out, Bit>,
    /// ... its bytes ...
    pub answer: Signal<Out, Bits<88>>,
    /// ... and how many.
    pub answer_size: Signal<Out, Bits<4>>,
    /// Send the kept answer.
    pub answer_send: Signal<Out, Bit>,
    /// One is being sent.
    pub answer_busy: Signal<In, Bit>,
    /// Register access, held until `reg_done`.
    pub reg_valid: Signal<Out, Bit>,
    /// It writes.
    pub reg_write: Signal<Out, Bit>,
    /// Offset in the register page.
    pub reg_offset: Signal<Out, Bits<12>>,
    /// What it writes.
    pub reg_data: Signal<Out, Bits<32>>,
    /// It ends with this cycle.
    pub reg_done: Signal<In, Bit>,
    /// What it read.
    pub reg_rdata: Signal<In, Bits<32>>,
    /// Memory access, held until `mem_done`.
    pub mem_valid: Signal<Out, Bit>,
    /// It writes.
    pub mem_write: Signal<Out, Bit>,
    /// Byte address.
    pub mem_addr: Signal<Out, Bits<64>>,
    /// What it writes.
    pub mem_data: Signal<Out, Bits<64>>,
    /// Which bytes.
    pub mem_strobe: Signal<Out, Bits<8>>,
    /// All of them.
    pub mem_whole: Signal<Out, Bit>,
    /// It ends with this cycle.
    pub mem_done: Signal<In, Bit>,
    /// Nothing is there.
    pub mem_missing: Signal<In, Bit>,
    /// What it read.
    pub mem_rdata: Signal<In, Bits<64>>,
    /// The IOMMU's interrupt wires.
    pub irq: Signal<In, Bits<4>>,
    state: DFF<BridgeState>,
    seen: DFF<Bit>,
    last: DFF<Bits<8>>,
    status: DFF<Bits<8>>,
    data: DFF<Bits<64>>,
    size: DFF<Bits<4>>,
    op: Signal<Local, Bits<8>>,
    number: Signal<Local, Bits<8>>,
    offset: Signal<Local, Bits<16>>,
    address: Signal<Local, Bits<64>>,
    store4: Signal<Local, Bits<64>>,
    store8: Signal<Local, Bits<64>>,
    offset_good: Signal<Local, Bit>,
    index: Signal<Local, Bits<8>>,
    answer_op: Constant<Bits<8>>,
    low_bytes: Constant<Bits<8>>,
    high_bytes: Constant<Bits<8>>,
    all_bytes: Constant<Bits<8>>,
    who: Constant<Bits<64>>,
    first: Constant<Bits<64>>,
    bytes: Constant<Bits<64>>,
    hertz: Constant<Bits<64>>,
    identify: Constant<Bits<8>>,
    read32: Constant<Bits<8>>,
    write32: Constant<Bits<8>>,
    load64: Constant<Bits<8>>,
    store32: Constant<Bits<8>>,
    store64: Constant<Bits<8>>,
    interrupts: Constant<Bits<8>>,
    unknown: Constant<Bits<8>>,
    bad_address: Constant<Bits<8>>,
}

impl Bridge {
    /// A board whose clock has `hertz`.
    #[must_use]
    pub fn new(hertz: u64) -> Self {
        let byte = |b: u8| Constant::new(u64::from(b).into());
        let word = |w: u64| Constant::new(w.into());
        // Bit 48: an 8-byte memory write is one access.
        let who = u64::from(MAGIC) | (u64::from(VERSION) << 32) | (1 << 48);
        Self {
            clock: Default::default(),
            reset: Default::default(),
            frame_valid: Default::default(),
            frame_taken: Default::default(),
            frame: Default::default(),
            frame_size: Default::default(),
            answer_load: Default::default(),
            answer: Default::default(),
            answer_size: Default::default(),
            answer_send: Default::default(),
            answer_busy: Default::default(),
            reg_valid: Default::default(),
            reg_write: Default::default(),
            reg_offset: Default::default(),
            reg_data: Default::default(),
            reg_done: Default::default(),
            reg_rdata: Default::default(),
            mem_valid: Default::default(),
            mem_write: Default::default(),
            mem_addr: Default::default(),
            mem_data: Default::default(),
            mem_strobe: Default::default(),
            mem_whole: Default::default(),
            mem_done: Default::default(),
            mem_missing: Default::default(),
            mem_rdata: Default::default(),
            irq: Default::default(),
            state: Default::default(),
            seen: Default::default(),
            last: Default::default(),
            status: Default::default(),
            data: Default::default(),
            size: Default::default(),
            op: Default::default(),
            number: Default::default(),
            offset: Default::default(),
            address: Default::default(),
            store4: Default::default(),
            store8: Default::default(),
            offset_good: Default::default(),
            index: Default::default(),
            answer_op: byte(ANSWER),
            low_bytes: byte(0x0f),
            high_bytes: byte(0xf0),
            all_bytes: byte(0xff),
            who: word(who),
            first: word(map::MEMORY),
            bytes: word(1 << map::MEMORY_BITS),
            hertz: word(hertz),
            identify: byte(op::IDENTIFY),
            read32: byte(op::READ32),
            write32: byte(op::WRITE32),
            load64: byte(op::LOAD64),
            store32: byte(op::STORE32),
            store64: byte(op::STORE64),
            interrupts: byte(op::INTERRUPTS),
            unknown: byte(status::UNKNOWN),
            bad_address: byte(status::ADDRESS),
        }
    }
}

impl Logic for Bridge {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, state, seen, last, status, data, size);

        // Fields of the request.
        self.op.next = self.frame.val().get_bits::<8>(0);
        self.number.next = self.frame.val().get_bits::<8>(8);
        self.index.next = self.frame.val().get_bits::<8>(16);
        self.offset.next = self.frame.val().get_bits::<16>(16);
        self.address.next = self.frame.val().get_bits::<64>(16);
        self.store8.next = self.frame.val().get_bits::<64>(80);
        self.store4.next = unsigned_cast_to::<64, 32>(self.frame.val().get_bits::<32>(80));
        self.offset_good.next =
            (self.offset.val().get_bits::<2>(0) == 0) & (self.offset.val().get_bits::<4>(12) == 0);

        self.reg_valid.next = self.state.q.val() == BridgeState::Register;
        self.reg_write.next = self.op.val() == self.write32.val();
        self.reg_offset.next = self.offset.val().get_bits::<12>(0);
        self.reg_data.next = self.frame.val().get_bits::<32>(32);
        self.mem_valid.next = self.state.q.val() == BridgeState::Memory;
        self.mem_write.next = self.op.val() != self.load64.val();
        self.mem_addr.next = self.address.val();
        self.mem_data.next = self.store8.val();
        self.mem_strobe.next = self.all_bytes.val();
        self.mem_whole.next = self.op.val() != self.store32.val();
        if self.op.val() == self.store32.val() {
            self.mem_data.next = self.store4.val() | (self.store4.val() << 32);
            self.mem_strobe.next = self.low_bytes.val();
            if self.address.val().get_bit(2) {
                self.mem_strobe.next = self.high_bytes.val();
            }
        }

        self.answer.next = (unsigned_cast_to::<88, 64>(self.data.q.val()) << 24)
            | (unsigned_cast_to::<88, 8>(self.status.q.val()) << 16)
            | (unsigned_cast_to::<88, 8>(self.number.val()) << 8)
            | unsigned_cast_to::<88, 8>(self.op.val() | self.answer_op.val());
        self.answer_size.next = self.size.q.val();
        self.answer_load.next = false;
        self.answer_send.next = false;
        self.frame_taken.next = false;

        match self.state.q.val() {
            BridgeState::Rest => {
                if self.frame_valid.val() {
                    if self.answer_busy.val() {
                        self.frame_taken.next = true;
                    } else if self.seen.q.val()
                        & (self.number.val() == self.last.q.val())
                        & (self.op.val() != self.identify.val())
                    {
                        self.answer_send.next = true;
                        self.frame_taken.next = true;
                    } else {
                        self.state.d.next = BridgeState::Decode;
                    }
                }
            }
            BridgeState::Decode => {
                // Unless it turns out to be something that is known: unknown, without data.
                self.status.d.next = self.unknown.val();
                self.size.d.next = 3.into();
                self.state.d.next = BridgeState::Reply;
                if (self.op.val() == self.identify.val()) & (self.frame_size.val() == 5) {
                    self.status.d.next = 0.into();
                    self.size.d.next = 11.into();
                    self.data.d.next = self.who.val();
                    if self.index.val() == 1 {
                        self.data.d.next = self.first.val();
                    }
                    if self.index.val() == 2 {
                        self.data.d.next = self.bytes.val();
                    }
                    if self.index.val() == 3 {
                        self.data.d.next = self.hertz.val();
                    }
                    if self.index.val() > 3 {
                        self.status.d.next = self.bad_address.val();
                        self.size.d.next = 3.into();
                    }
                }
                if (self.op.val() == self.interrupts.val()) & (self.frame_size.val() == 4) {
                    self.status.d.next = 0.into();
                    self.size.d.next = 7.into();
                    self.data.d.next = unsigned_cast_to::<64, 4>(self.irq.val());
                }
                if ((self.op.val() == self.read32.val()) & (self.frame_size.val() == 6))
                    | ((self.op.val() == self.write32.val()) & (self.frame_size.val() == 10))
                {
                    self.status.d.next = self.bad_address.val();
                    if self.offset_good.val() {
                        self.state.d.next = BridgeState::Register;
                    }
                }
                if ((self.op.val() == self.load64.val()) & (self.frame_size.val() == 12))
                    | ((self.op.val() == self.store64.val()) & (self.frame_size.val() == 20))
                {
                    self.status.d.next = self.bad_address.val();
                    if self.address.val().get_bits::<3>(0) == 0 {
                        self.state.d.next = BridgeState::Memory;
                    }
                }
                if (self.op.val() == self.store32.val()) & (self.frame_size.val() == 16) {
                    self.status.d.next = self.bad_address.val();
                    if self.address.val().get_bits::<2>(0) == 0 {
                        self.state.d.next = BridgeState::Memory;
                    }
                }
            }
            BridgeState::Register => {
                if self.reg_done.val() {
                    self.status.d.next = 0.into();
                    if !self.reg_write.val() {
                        self.size.d.next = 7.into();
                        self.data.d.next = unsigned_cast_to::<64, 32>(self.reg_rdata.val());
                    }
                    self.state.d.next = BridgeState::Reply;
                }
            }
            BridgeState::Memory => {
                if self.mem_done.val() {
                    if !self.mem_missing.val() {
                        self.status.d.next = 0.into();
                        if !self.mem_write.val() {
                            self.size.d.next = 11.into();
                            self.data.d.next = self.mem_rdata.val();
                        }
                    }
                    self.state.d.next = BridgeState::Reply;
                }
            }
            BridgeState::Reply => {
                self.answer_load.next = true;
                self.answer_send.next = true;
                self.frame_taken.next = true;
                self.seen.d.next = true;
                self.last.d.next = self.number.val();
                self.state.d.next = BridgeState::Rest;
            }
            _ => {
                self.state.d.next = BridgeState::Rest;
            }
        }
        if self.reset.val() {
            self.state.d.next = BridgeState::Rest;
            self.seen.d.next = false;
        }
    }
}
