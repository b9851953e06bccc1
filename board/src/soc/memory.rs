//! The board's memory: the IOMMU's read and write ports, the DMA engine and the host share one RAM.
//!
//! The driver wants pages of 4 KiB and uses most of them sparsely. So the RAM is given out in pieces of
//! [`map::PIECE`] bytes: one is taken when something other than 0 is first written to its place, and kept until
//! power-up. What has no piece reads 0. When none is left, and outside of the range, an access is `missing` (an access
//! fault for the IOMMU).
//!
//! One access each cycle enters a pipeline of three stages: which piece (a table in block RAM), the access, its
//! result. A read burst of the IOMMU goes first, then its writes, the DMA engine, the host. A user's access is held until
//! `done`. While a write is in the second stage nothing enters, because it may change the table.
//!
//! A write of the IOMMU waits in a register of its own for at least a cycle: whether there is one is known late in a
//! cycle, and who is next would wait for it.

use super::map;
use super::ram::Ram;
use portcullis_hdl::cells::SyncRam;
use portcullis_hdl::widen::unsigned_cast_to;
use rust_hdl::prelude::*;

/// Bits of an address above the memory's range. The kernel's slices are written for it.
const ABOVE: usize = 56 - map::MEMORY_BITS;
const _: () = assert!(ABOVE == 39 && map::PIECE == 512 && map::PIECES < 32);

/// See the module.
#[derive(LogicBlock)]
pub struct Memory {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Forgets what is under way.
    pub reset: Signal<In, Bit>,
    /// Read burst of the IOMMU.
    pub ar_valid: Signal<In, Bit>,
    /// Taken.
    pub ar_ready: Signal<Out, Bit>,
    /// Byte address.
    pub ar_addr: Signal<In, Bits<56>>,
    /// Doublewords, less one.
    pub ar_len: Signal<In, Bits<3>>,
    /// Comes back with the data.
    pub ar_id: Signal<In, Bits<4>>,
    /// Read data.
    pub r_valid: Signal<Out, Bit>,
    /// The doubleword.
    pub r_data: Signal<Out, Bits<64>>,
    /// Whose.
    pub r_id: Signal<Out, Bits<4>>,
    /// Last of its burst.
    pub r_last: Signal<Out, Bit>,
    /// 0 good, 1 access fault.
    pub r_status: Signal<Out, Bits<2>>,
    /// Write of the IOMMU.
    pub w_valid: Signal<In, Bit>,
    /// Taken.
    pub w_ready: Signal<Out, Bit>,
    /// Byte address.
    pub w_addr: Signal<In, Bits<56>>,
    /// The doubleword.
    pub w_data: Signal<In, Bits<64>>,
    /// Bytes of it.
    pub w_strobe: Signal<In, Bits<8>>,
    /// Last of its burst.
    pub w_last: Signal<In, Bit>,
    /// The burst is written.
    pub b_valid: Signal<Out, Bit>,
    /// Some of it is not.
    pub b_error: Signal<Out, Bit>,
    /// Access of the DMA engine.
    pub dma_valid: Signal<In, Bit>,
    /// It writes.
    pub dma_write: Signal<In, Bit>,
    /// Byte address.
    pub dma_addr: Signal<In, Bits<56>>,
    /// What it writes.
    pub dma_data: Signal<In, Bits<64>>,
    /// It ends with this cycle.
    pub dma_done: Signal<Out, Bit>,
    /// Access of the host.
    pub host_valid: Signal<In, Bit>,
    /// It writes.
    pub host_write: Signal<In, Bit>,
    /// Byte address.
    pub host_addr: Signal<In, Bits<56>>,
    /// What it writes.
    pub host_data: Signal<In, Bits<64>>,
    /// Bytes of it.
    pub host_strobe: Signal<In, Bits<8>>,
    /// It ends with this cycle.
    pub host_done: Signal<Out, Bit>,
    /// What a user has read, with its `done`.
    pub rdata: Signal<Out, Bits<64>>,
    /// Nothing is where the DMA engine's access went to, with its `done`.
    pub dma_missing: Signal<Out, Bit>,
    /// Likewise for the host.
    pub host_missing: Signal<Out, Bit>,

    ram: Ram,
    index: SyncRam<Bits<6>, 8>,
    // Pieces given out.
    next: DFF<Bits<5>>,
    // The IOMMU's read burst.
    left: DFF<Bits<4>>,
    addr: DFF<Bits<56>>,
    id: DFF<Bits<4>>,
    // The IOMMU's write.
    kept: DFF<Bit>,
    kept_addr: DFF<Bits<56>>,
    kept_data: DFF<Bits<64>>,
    kept_strobe: DFF<Bits<8>>,
    kept_last: DFF<Bit>,
    // Second stage: for whom, where, what.
    s1_read: DFF<Bit>,
    s1_write: DFF<Bit>,
    s1_core: DFF<Bit>,
    s1_dma: DFF<Bit>,
    s1_host: DFF<Bit>,
    s1_last: DFF<Bit>,
    s1_id: DFF<Bits<4>>,
    s1_missing: DFF<Bit>,
    s1_place: DFF<Bits<8>>,
    s1_word: DFF<Bits<6>>,
    s1_data: DFF<Bits<64>>,
    s1_strobe: DFF<Bits<8>>,
    s1_some: DFF<Bit>,
    // Third stage.
    s2_core: DFF<Bit>,
    s2_dma: DFF<Bit>,
    s2_host: DFF<Bit>,
    s2_last: DFF<Bit>,
    s2_id: DFF<Bits<4>>,
    s2_missing: DFF<Bit>,
    s2_blank: DFF<Bit>,
    // Answer to a write burst.
    answer: DFF<Bit>,
    error: DFF<Bit>,
    failed: DFF<Bit>,

    open: Signal<Local, Bit>,
    takes: Signal<Local, Bit>,
    burst: Signal<Local, Bit>,
    pick_write: Signal<Local, Bit>,
    dma_wants: Signal<Local, Bit>,
    host_wants: Signal<Local, Bit>,
    pick_dma: Signal<Local, Bit>,
    pick_host: Signal<Local, Bit>,
    where_to: Signal<Local, Bits<56>>,
    entry: Signal<Local, Bits<6>>,
    held: Signal<Local, Bit>,
    piece: Signal<Local, Bits<5>>,
    wdata: Signal<Local, Bits<64>>,
    wstrobe: Signal<Local, Bits<8>>,
    some: Signal<Local, Bit>,
    wants_piece: Signal<Local, Bit>,
    none_left: Signal<Local, Bit>,
    write_missing: Signal<Local, Bit>,

    base: Constant<Bits<ABOVE>>,
    pieces: Constant<Bits<5>>,
    all_bytes: Constant<Bits<8>>,
    in_use: Constant<Bits<6>>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            ar_valid: Default::default(),
            ar_ready: Default::default(),
            ar_addr: Default::default(),
            ar_len: Default::default(),
            ar_id: Default::default(),
            r_valid: Default::default(),
            r_data: Default::default(),
            r_id: Default::default(),
            r_last: Default::default(),
            r_status: Default::default(),
            w_valid: Default::default(),
            w_ready: Default::default(),
            w_addr: Default::default(),
            w_data: Default::default(),
            w_strobe: Default::default(),
            w_last: Default::default(),
            b_valid: Default::default(),
            b_error: Default::default(),
            dma_valid: Default::default(),
            dma_write: Default::default(),
            dma_addr: Default::default(),
            dma_data: Default::default(),
            dma_done: Default::default(),
            host_valid: Default::default(),
            host_write: Default::default(),
            host_addr: Default::default(),
            host_data: Default::default(),
            host_strobe: Default::default(),
            host_done: Default::default(),
            rdata: Default::default(),
            dma_missing: Default::default(),
            host_missing: Default::default(),
            ram: Default::default(),
            index: Default::default(),
            next: Default::default(),
            left: Default::default(),
            addr: Default::default(),
            id: Default::default(),
            kept: Default::default(),
            kept_addr: Default::default(),
            kept_data: Default::default(),
            kept_strobe: Default::default(),
            kept_last: Default::default(),
            s1_read: Default::default(),
            s1_write: Default::default(),
            s1_core: Default::default(),
            s1_dma: Default::default(),
            s1_host: Default::default(),
            s1_last: Default::default(),
            s1_id: Default::default(),
            s1_missing: Default::default(),
            s1_place: Default::default(),
            s1_word: Default::default(),
            s1_data: Default::default(),
            s1_strobe: Default::default(),
            s1_some: Default::default(),
            s2_core: Default::default(),
            s2_dma: Default::default(),
            s2_host: Default::default(),
            s2_last: Default::default(),
            s2_id: Default::default(),
            s2_missing: Default::default(),
            s2_blank: Default::default(),
            answer: Default::default(),
            error: Default::default(),
            failed: Default::default(),
            open: Default::default(),
            takes: Default::default(),
            burst: Default::default(),
            pick_write: Default::default(),
            dma_wants: Default::default(),
            host_wants: Default::default(),
            pick_dma: Default::default(),
            pick_host: Default::default(),
            where_to: Default::default(),
            entry: Default::default(),
            held: Default::default(),
            piece: Default::default(),
            wdata: Default::default(),
            wstrobe: Default::default(),
            some: Default::default(),
            wants_piece: Default::default(),
            none_left: Default::default(),
            write_missing: Default::default(),
            base: Constant::new((map::MEMORY >> map::MEMORY_BITS).into()),
            pieces: Constant::new(map::PIECES.into()),
            all_bytes: Constant::new(0xffu64.into()),
            in_use: Constant::new(0x20u64.into()),
        }
    }
}

impl Logic for Memory {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            next,
            left,
            addr,
            id,
            kept,
            kept_addr,
            kept_data,
            kept_strobe,
            kept_last,
            s1_read,
            s1_write,
            s1_core,
            s1_dma,
            s1_host,
            s1_last,
            s1_id,
            s1_missing,
            s1_place,
            s1_word,
            s1_data,
            s1_strobe,
            s1_some,
            s2_core,
            s2_dma,
            s2_host,
            s2_last,
            s2_id,
            s2_missing,
            s2_blank,
            answer,
            error,
            failed
        );
        clock!(self, clock, ram, index);

        // First stage: who is next.
        self.open.next = !self.s1_write.q.val();
        self.burst.next = self.open.val() & (self.left.q.val() != 0);
        self.takes.next = self.open.val() & !self.burst.val();
        self.pick_write.next = self.takes.val() & self.kept.q.val();
        self.dma_wants.next = self.dma_valid.val() & !self.s1_dma.q.val() & !self.s2_dma.q.val();
        self.pick_dma.next =
            self.open.val() & !self.burst.val() & !self.pick_write.val() & self.dma_wants.val();
        self.host_wants.next =
            self.host_valid.val() & !self.s1_host.q.val() & !self.s2_host.q.val();
        self.pick_host.next = self.open.val()
            & !self.burst.val()
            & !self.pick_write.val()
            & !self.pick_dma.val()
            & self.host_wants.val();
        self.where_to.next = self.host_addr.val();
        if self.pick_dma.val() {
            self.where_to.next = self.dma_addr.val();
        }
        if self.pick_write.val() {
            self.where_to.next = self.kept_addr.q.val();
        }
        if self.burst.val() {
            self.where_to.next = self.addr.q.val();
        }
        self.index.re.next = true;
        self.index.ra.next = self.where_to.val().get_bits::<8>(9);
        self.s1_place.d.next = self.where_to.val().get_bits::<8>(9);
        self.s1_word.d.next = self.where_to.val().get_bits::<6>(3);
        self.s1_missing.d.next = self.where_to.val().get_bits::<39>(17) != self.base.val();
        self.s1_core.d.next = self.burst.val() | self.pick_write.val();
        self.s1_dma.d.next = self.pick_dma.val();
        self.s1_host.d.next = self.pick_host.val();
        self.s1_write.d.next = self.pick_write.val()
            | (self.pick_dma.val() & self.dma_write.val())
            | (self.pick_host.val() & self.host_write.val());
        self.s1_read.d.next = self.burst.val()
            | (self.pick_dma.val() & !self.dma_write.val())
            | (self.pick_host.val() & !self.host_write.val());
        self.s1_last.d.next = self.left.q.val() == 1;
        if self.pick_write.val() {
            self.s1_last.d.next = self.kept_last.q.val();
        }
        self.s1_id.d.next = self.id.q.val();

        self.ar_ready.next = self.left.q.val() == 0;
        if self.burst.val() {
            self.left.d.next = self.left.q.val() - 1;
            self.addr.d.next = self.addr.q.val() + 8;
        }
        if self.ar_valid.val() & self.ar_ready.val() {
            self.left.d.next = unsigned_cast_to::<4, 3>(self.ar_len.val()) + 1;
            self.addr.d.next = self.ar_addr.val();
            self.id.d.next = self.ar_id.val();
        }

        // Who writes is known late: whether there is anything but 0 is found for each of them before.
        self.wdata.next = self.host_data.val();
        self.wstrobe.next = self.host_strobe.val();
        self.some.next = self.host_data.val() != 0;
        if self.pick_dma.val() {
            self.wdata.next = self.dma_data.val();
            self.wstrobe.next = self.all_bytes.val();
            self.some.next = self.dma_data.val() != 0;
        }
        if self.pick_write.val() {
            self.wdata.next = self.kept_data.q.val();
            self.wstrobe.next = self.kept_strobe.q.val();
            self.some.next = self.kept_data.q.val() != 0;
        }
        self.s1_data.d.next = self.wdata.val();
        self.s1_strobe.d.next = self.wstrobe.val();
        self.s1_some.d.next = self.some.val();
        // Whether there is a write or not: the core's writers wait for this, and the path through them is long.
        self.w_ready.next = self.takes.val() | !self.kept.q.val();
        if self.w_ready.val() {
            self.kept.d.next = self.w_valid.val();
            self.kept_addr.d.next = self.w_addr.val();
            self.kept_data.d.next = self.w_data.val();
            self.kept_strobe.d.next = self.w_strobe.val();
            self.kept_last.d.next = self.w_last.val();
        }

        // Second stage: the access.
        self.entry.next = self.index.rd.val();
        self.held.next = self.entry.val().get_bit(5);
        self.piece.next = self.next.q.val();
        if self.held.val() {
            self.piece.next = self.entry.val().get_bits::<5>(0);
        }
        self.wants_piece.next = self.s1_write.q.val()
            & !self.s1_missing.q.val()
            & !self.held.val()
            & self.s1_some.q.val();
        self.none_left.next = self.next.q.val() == self.pieces.val();
        self.index.we.next = self.wants_piece.val() & !self.none_left.val();
        self.index.wa.next = self.s1_place.q.val();
        self.index.wd.next = unsigned_cast_to::<6, 5>(self.next.q.val()) | self.in_use.val();
        if self.wants_piece.val() & !self.none_left.val() {
            self.next.d.next = self.next.q.val() + 1;
        }
        self.write_missing.next =
            self.s1_missing.q.val() | (self.wants_piece.val() & self.none_left.val());
        self.ram.ra.next = (unsigned_cast_to::<11, 5>(self.piece.val()) << 6)
            | unsigned_cast_to::<11, 6>(self.s1_word.q.val());
        self.ram.wa.next = self.ram.ra.val();
        self.ram.wd.next = self.s1_data.q.val();
        self.ram.we.next = 0.into();
        if self.s1_write.q.val()
            & !self.write_missing.val()
            & (self.held.val() | self.wants_piece.val())
        {
            self.ram.we.next = self.s1_strobe.q.val();
        }
        self.answer.d.next = false;
        if self.s1_write.q.val() & self.s1_core.q.val() {
            self.error.d.next = self.error.q.val() | self.write_missing.val();
            if self.s1_last.q.val() {
                self.answer.d.next = true;
                self.failed.d.next = self.error.q.val() | self.write_missing.val();
                self.error.d.next = false;
            }
        }
        self.b_valid.next = self.answer.q.val();
        self.b_error.next = self.failed.q.val();

        // Third stage: what was read, or that it is written.
        self.s2_core.d.next = self.s1_read.q.val() & self.s1_core.q.val();
        self.s2_dma.d.next = self.s1_dma.q.val();
        self.s2_host.d.next = self.s1_host.q.val();
        self.s2_last.d.next = self.s1_last.q.val();
        self.s2_id.d.next = self.s1_id.q.val();
        self.s2_missing.d.next =
            self.s1_missing.q.val() | (self.s1_write.q.val() & self.write_missing.val());
        self.s2_blank.d.next = self.s1_missing.q.val() | !self.held.val();
        self.rdata.next = self.ram.rd.val();
        if self.s2_blank.q.val() {
            self.rdata.next = 0.into();
        }
        self.r_status.next = unsigned_cast_to::<2, 1>(self.s2_missing.q.val().into());
        self.r_valid.next = self.s2_core.q.val();
        self.r_data.next = self.rdata.val();
        self.r_id.next = self.s2_id.q.val();
        self.r_last.next = self.s2_last.q.val();

        self.dma_done.next = self.s2_dma.q.val();
        self.host_done.next = self.s2_host.q.val();
        self.dma_missing.next = self.s2_missing.q.val();
        self.host_missing.next = self.s2_missing.q.val();

        if self.reset.val() {
            self.left.d.next = 0.into();
            self.kept.d.next = false;
            self.s1_read.d.next = false;
            self.s1_write.d.next = false;
            self.s1_dma.d.next = false;
            self.s1_host.d.next = false;
            self.s2_core.d.next = false;
            self.s2_dma.d.next = false;
            self.s2_host.d.next = false;
            self.answer.d.next = false;
            self.error.d.next = false;
        }
    }
}
