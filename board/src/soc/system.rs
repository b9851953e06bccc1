//! The blocks of the demonstration system wired together. See [`super`].

use super::bridge::Bridge;
use super::dma::Dma;
use super::frame_rx::FrameRx;
use super::frame_tx::FrameTx;
use super::map;
use super::memory::Memory;
use super::uart_rx::UartRx;
use super::uart_tx::UartTx;
use portcullis_hdl::Tiny;
use portcullis_hdl::widen::unsigned_cast_to;
use rust_hdl::prelude::*;

/// See the module.
#[derive(LogicBlock)]
pub struct System {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous reset.
    pub reset: Signal<In, Bit>,
    /// From the host.
    pub uart_rx: Signal<In, Bit>,
    /// To the host.
    pub uart_tx: Signal<Out, Bit>,
    /// 0 the clock runs, 1 frames come in, 2 answers go out, 3 DMA under way, 4 the last DMA was refused, 5 interrupt,
    /// 6 changes with every walk, 7 out of reset.
    pub leds: Signal<Out, Bits<8>>,
    core: Tiny,
    receiver: UartRx,
    sender: UartTx,
    frames: FrameRx,
    answers: FrameTx,
    bridge: Bridge,
    dma: Dma,
    memory: Memory,
    blink: DFF<Bits<25>>,
    walks: DFF<Bit>,
    for_dma: Signal<Local, Bit>,
    beyond: Signal<Local, Bit>,
    dma_refuses: Signal<Local, Bit>,
    dma_page: Constant<Bits<59>>,
}

impl System {
    /// A system on a clock of `hertz`, with a line of `divider` clocks per bit (4 to 1023).
    #[must_use]
    pub fn new(hertz: u64, divider: u16) -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            uart_rx: Default::default(),
            uart_tx: Default::default(),
            leds: Default::default(),
            core: Default::default(),
            receiver: UartRx::new(divider),
            sender: UartTx::new(divider),
            frames: Default::default(),
            answers: Default::default(),
            bridge: Bridge::new(hertz),
            dma: Default::default(),
            memory: Default::default(),
            blink: Default::default(),
            walks: Default::default(),
            for_dma: Default::default(),
            beyond: Default::default(),
            dma_refuses: Default::default(),
            dma_page: Constant::new((map::DMA >> 5).into()),
        }
    }
}

impl Logic for System {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, blink, walks);
        clock!(
            self, clock, core, receiver, sender, frames, answers, bridge, dma, memory
        );
        self.core.reset.next = self.reset.val();
        self.receiver.reset.next = self.reset.val();
        self.sender.reset.next = self.reset.val();
        self.frames.reset.next = self.reset.val();
        self.answers.reset.next = self.reset.val();
        self.bridge.reset.next = self.reset.val();
        self.dma.reset.next = self.reset.val();
        self.memory.reset.next = self.reset.val();

        // Serial line, frames, bridge.
        self.receiver.line.next = self.uart_rx.val();
        self.frames.octet_valid.next = self.receiver.valid.val();
        self.frames.octet.next = self.receiver.data.val();
        self.frames.taken.next = self.bridge.frame_taken.val();
        self.bridge.frame_valid.next = self.frames.valid.val();
        self.bridge.frame.next = self.frames.content.val();
        self.bridge.frame_size.next = self.frames.size.val();
        self.answers.load.next = self.bridge.answer_load.val();
        self.answers.content.next = self.bridge.answer.val();
        self.answers.size.next = self.bridge.answer_size.val();
        self.answers.send.next = self.bridge.answer_send.val();
        self.bridge.answer_busy.next = self.answers.busy.val();
        self.sender.valid.next = self.answers.octet_valid.val();
        self.answers.octet_ready.next = self.sender.ready.val();
        self.sender.data.next = self.answers.octet.val();
        self.uart_tx.next = self.sender.line.val();

        // Bridge to the IOMMU's registers.
        self.core.reg_valid.next = self.bridge.reg_valid.val();
        self.core.reg_write.next = self.bridge.reg_write.val();
        self.core.reg_offset.next = self.bridge.reg_offset.val();
        self.core.reg_wide.next = false;
        self.core.reg_wdata.next = unsigned_cast_to::<64, 32>(self.bridge.reg_data.val());
        self.bridge.reg_done.next = self.core.reg_done.val();
        self.bridge.reg_rdata.next = self.core.reg_rdata.val().get_bits::<32>(0);
        self.bridge.irq.next = self.core.irq.val();

        // Bridge to the DMA engine's registers or the memory.
        self.for_dma.next = self.bridge.mem_addr.val().get_bits::<59>(5) == self.dma_page.val();
        // Registers are 8 bytes, and a running engine takes no writes: what is refused is not done.
        self.dma_refuses.next = self.for_dma.val()
            & self.bridge.mem_write.val()
            & (!self.bridge.mem_whole.val() | self.dma.busy.val());
        self.dma.reg_valid.next =
            self.bridge.mem_valid.val() & self.for_dma.val() & !self.dma_refuses.val();
        self.dma.reg_write.next = self.bridge.mem_write.val();
        self.dma.reg_index.next = self.bridge.mem_addr.val().get_bits::<2>(3);
        self.dma.reg_wdata.next = self.bridge.mem_data.val();
        // The memory's addresses are shorter than the host's.
        self.beyond.next = self.bridge.mem_addr.val().get_bits::<8>(56) != 0;
        self.memory.host_valid.next =
            self.bridge.mem_valid.val() & !self.for_dma.val() & !self.beyond.val();
        self.memory.host_write.next = self.bridge.mem_write.val();
        self.memory.host_addr.next = self.bridge.mem_addr.val().get_bits::<56>(0);
        self.memory.host_data.next = self.bridge.mem_data.val();
        self.memory.host_strobe.next = self.bridge.mem_strobe.val();
        self.bridge.mem_done.next = self.memory.host_done.val() | self.beyond.val();
        self.bridge.mem_missing.next = self.memory.host_missing.val() | self.beyond.val();
        self.bridge.mem_rdata.next = self.memory.rdata.val();
        if self.for_dma.val() {
            self.bridge.mem_done.next = true;
            self.bridge.mem_missing.next = self.dma_refuses.val();
            self.bridge.mem_rdata.next = self.dma.reg_rdata.val();
        }

        // DMA engine to the IOMMU and to the memory.
        self.core.req_valid.next = self.dma.req_valid.val();
        self.dma.req_ready.next = self.core.req_ready.val();
        self.core.req_tag.next = 0.into();
        self.core.req_device_id.next = self.dma.req_device_id.val();
        self.core.req_process_valid.next = false;
        self.core.req_process_id.next = 0.into();
        self.core.req_privileged.next = false;
        self.core.req_access.next = self.dma.req_access.val();
        self.core.req_kind.next = 0.into();
        self.core.req_iova.next = self.dma.req_iova.val();
        self.core.rsp_ready.next = true;
        self.dma.rsp_valid.next = self.core.rsp_valid.val();
        self.dma.rsp_fault.next = self.core.rsp_fault.val();
        self.dma.rsp_pa.next = self.core.rsp_pa.val();
        self.memory.dma_valid.next = self.dma.mem_valid.val();
        self.memory.dma_write.next = self.dma.mem_write.val();
        self.memory.dma_addr.next = self.dma.mem_addr.val();
        self.memory.dma_data.next = self.dma.mem_data.val();
        self.dma.mem_done.next = self.memory.dma_done.val();
        self.dma.mem_missing.next = self.memory.dma_missing.val();
        self.dma.mem_rdata.next = self.memory.rdata.val();
        self.core.sync_ack.next =
            self.dma.sync_ack.val() & (self.core.sync_reads.val() | self.core.sync_writes.val());

        // The IOMMU's own reads and writes.
        self.memory.ar_valid.next = self.core.mem_ar_valid.val();
        self.core.mem_ar_ready.next = self.memory.ar_ready.val();
        self.memory.ar_addr.next = self.core.mem_ar_addr.val();
        self.memory.ar_len.next = self.core.mem_ar_len.val();
        self.memory.ar_id.next = self.core.mem_ar_id.val();
        self.core.mem_r_valid.next = self.memory.r_valid.val();
        self.core.mem_r_data.next = self.memory.r_data.val();
        self.core.mem_r_id.next = self.memory.r_id.val();
        self.core.mem_r_last.next = self.memory.r_last.val();
        self.core.mem_r_status.next = self.memory.r_status.val();
        self.memory.w_valid.next = self.core.mem_w_valid.val();
        self.core.mem_w_ready.next = self.memory.w_ready.val();
        self.memory.w_addr.next = self.core.mem_w_addr.val();
        self.memory.w_data.next = self.core.mem_w_data.val();
        self.memory.w_strobe.next = self.core.mem_w_strobe.val();
        self.memory.w_last.next = self.core.mem_w_last.val();
        self.core.mem_b_valid.next = self.memory.b_valid.val();
        self.core.mem_b_error.next = self.memory.b_error.val();

        self.blink.d.next = self.blink.q.val() + 1;
        self.walks.d.next = self.walks.q.val() ^ self.core.ev_walk.val();
        self.leds.next = unsigned_cast_to::<8, 1>(self.blink.q.val().get_bits::<1>(24))
            | (unsigned_cast_to::<8, 1>(self.frames.valid.val().into()) << 1)
            | (unsigned_cast_to::<8, 1>(self.answers.busy.val().into()) << 2)
            | (unsigned_cast_to::<8, 1>(self.dma.busy.val().into()) << 3)
            | (unsigned_cast_to::<8, 1>(self.dma.refused.val().into()) << 4)
            | (unsigned_cast_to::<8, 1>(self.core.irq.val().get_bits::<1>(0)) << 5)
            | (unsigned_cast_to::<8, 1>(self.walks.q.val().into()) << 6)
            | (unsigned_cast_to::<8, 1>((!self.reset.val()).into()) << 7);
    }
}
