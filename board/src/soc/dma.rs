//! A DMA engine: the device behind the IOMMU.
//!
//! The host writes IOVA, data and then the control register ([`super::map`]); the engine asks the IOMMU for each access
//! of 8 bytes and carries it out where the answer says. It stops at the first refusal. `sync_ack` tells the IOMMU that
//! no access that it has granted is under way.

use portcullis_hdl::types::access;
use portcullis_hdl::widen::unsigned_cast_to;
use rust_hdl::prelude::*;

/// States of the engine.
#[derive(LogicState, Debug, Copy, Clone, PartialEq)]
pub enum DmaState {
    /// Nothing to do.
    Rest,
    /// Offers a request.
    Ask,
    /// Waits for the answer.
    Hear,
    /// Accesses the memory.
    Access,
}

/// See the module.
#[derive(LogicBlock)]
pub struct Dma {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Stops.
    pub reset: Signal<In, Bit>,
    /// The host accesses a register; it is done at once.
    pub reg_valid: Signal<In, Bit>,
    /// It writes.
    pub reg_write: Signal<In, Bit>,
    /// Which: the doubleword.
    pub reg_index: Signal<In, Bits<2>>,
    /// What it writes.
    pub reg_wdata: Signal<In, Bits<64>>,
    /// What it reads.
    pub reg_rdata: Signal<Out, Bits<64>>,
    /// A request is offered.
    pub req_valid: Signal<Out, Bit>,
    /// It is taken.
    pub req_ready: Signal<In, Bit>,
    /// device_id.
    pub req_device_id: Signal<Out, Bits<24>>,
    /// 0 read, 1 write.
    pub req_access: Signal<Out, Bits<2>>,
    /// IOVA.
    pub req_iova: Signal<Out, Bits<64>>,
    /// An answer is there.
    pub rsp_valid: Signal<In, Bit>,
    /// It is refused.
    pub rsp_fault: Signal<In, Bit>,
    /// Physical address.
    pub rsp_pa: Signal<In, Bits<64>>,
    /// Memory access, held until `mem_done`.
    pub mem_valid: Signal<Out, Bit>,
    /// It writes.
    pub mem_write: Signal<Out, Bit>,
    /// Byte address.
    pub mem_addr: Signal<Out, Bits<56>>,
    /// What it writes.
    pub mem_data: Signal<Out, Bits<64>>,
    /// It ends with this cycle.
    pub mem_done: Signal<In, Bit>,
    /// Nothing is there.
    pub mem_missing: Signal<In, Bit>,
    /// What it read.
    pub mem_rdata: Signal<In, Bits<64>>,
    /// No granted access is under way.
    pub sync_ack: Signal<Out, Bit>,
    /// An access is under way.
    pub busy: Signal<Out, Bit>,
    /// The last one was refused.
    pub refused: Signal<Out, Bit>,
    state: DFF<DmaState>,
    iova: DFF<Bits<64>>,
    data: DFF<Bits<64>>,
    place: DFF<Bits<56>>,
    device: DFF<Bits<24>>,
    writes: DFF<Bit>,
    left: DFF<Bits<8>>,
    fault: DFF<Bit>,
    nowhere: DFF<Bit>,
    status: Signal<Local, Bits<64>>,
    write_code: Constant<Bits<2>>,
}

impl Default for Dma {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            reg_valid: Default::default(),
            reg_write: Default::default(),
            reg_index: Default::default(),
            reg_wdata: Default::default(),
            reg_rdata: Default::default(),
            req_valid: Default::default(),
            req_ready: Default::default(),
            req_device_id: Default::default(),
            req_access: Default::default(),
            req_iova: Default::default(),
            rsp_valid: Default::default(),
            rsp_fault: Default::default(),
            rsp_pa: Default::default(),
            mem_valid: Default::default(),
            mem_write: Default::default(),
            mem_addr: Default::default(),
            mem_data: Default::default(),
            mem_done: Default::default(),
            mem_missing: Default::default(),
            mem_rdata: Default::default(),
            sync_ack: Default::default(),
            busy: Default::default(),
            refused: Default::default(),
            state: Default::default(),
            iova: Default::default(),
            data: Default::default(),
            place: Default::default(),
            device: Default::default(),
            writes: Default::default(),
            left: Default::default(),
            fault: Default::default(),
            nowhere: Default::default(),
            status: Default::default(),
            write_code: Constant::new(access::WRITE.into()),
        }
    }
}

impl Logic for Dma {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self, clock, state, iova, data, place, device, writes, left, fault, nowhere
        );
        self.busy.next = self.state.q.val() != DmaState::Rest;
        self.refused.next = self.fault.q.val();
        self.req_valid.next = self.state.q.val() == DmaState::Ask;
        self.req_device_id.next = self.device.q.val();
        self.req_iova.next = self.iova.q.val();
        self.req_access.next = 0.into();
        if self.writes.q.val() {
            self.req_access.next = self.write_code.val();
        }
        self.mem_valid.next = self.state.q.val() == DmaState::Access;
        self.mem_write.next = self.writes.q.val();
        self.mem_addr.next = self.place.q.val();
        self.mem_data.next = self.data.q.val();
        // An answer that comes in this very cycle is granted already.
        self.sync_ack.next = (self.state.q.val() != DmaState::Access) & !self.rsp_valid.val();

        match self.state.q.val() {
            DmaState::Rest => {
                if self.reg_valid.val() & self.reg_write.val() {
                    if self.reg_index.val() == 0 {
                        self.iova.d.next = self.reg_wdata.val();
                    }
                    if self.reg_index.val() == 2 {
                        self.data.d.next = self.reg_wdata.val();
                    }
                    if self.reg_index.val() == 1 {
                        self.device.d.next = self.reg_wdata.val().get_bits::<24>(0);
                        self.writes.d.next = self.reg_wdata.val().get_bit(24);
                        self.left.d.next = self.reg_wdata.val().get_bits::<8>(32);
                        self.fault.d.next = false;
                        self.nowhere.d.next = false;
                        self.state.d.next = DmaState::Ask;
                    }
                }
            }
            DmaState::Ask => {
                if self.req_ready.val() {
                    self.state.d.next = DmaState::Hear;
                }
            }
            DmaState::Hear => {
                if self.rsp_valid.val() {
                    self.fault.d.next = self.rsp_fault.val();
                    self.place.d.next = self.rsp_pa.val().get_bits::<56>(0);
                    self.state.d.next = DmaState::Access;
                    if self.rsp_fault.val() {
                        self.state.d.next = DmaState::Rest;
                    }
                }
            }
            DmaState::Access => {
                if self.mem_done.val() {
                    self.nowhere.d.next = self.nowhere.q.val() | self.mem_missing.val();
                    if !self.writes.q.val() {
                        self.data.d.next = self.mem_rdata.val();
                    }
                    self.state.d.next = DmaState::Rest;
                    if self.left.q.val() != 0 {
                        self.left.d.next = self.left.q.val() - 1;
                        self.iova.d.next = self.iova.q.val() + 8;
                        if self.writes.q.val() {
                            self.data.d.next = self.data.q.val() + 1;
                        }
                        self.state.d.next = DmaState::Ask;
                    }
                }
            }
            _ => {
                self.state.d.next = DmaState::Rest;
            }
        }

        self.status.next = (unsigned_cast_to::<64, 1>(self.nowhere.q.val().into()) << 2)
            | (unsigned_cast_to::<64, 1>(self.fault.q.val().into()) << 1)
            | unsigned_cast_to::<64, 1>(self.busy.val().into());
        self.reg_rdata.next = self.iova.q.val();
        if self.reg_index.val() == 1 {
            self.reg_rdata.next = self.status.val();
        }
        if self.reg_index.val() == 2 {
            self.reg_rdata.next = self.data.q.val();
        }
        if self.reg_index.val() == 3 {
            self.reg_rdata.next = unsigned_cast_to::<64, 56>(self.place.q.val());
        }
        if self.reset.val() {
            self.state.d.next = DmaState::Rest;
        }
    }
}
