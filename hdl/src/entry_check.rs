//! Judges one doubleword as it comes for a walk: as a page-table entry of a level, and as a non-leaf directory entry.
//! Combinational; whoever asks looks only at the outputs that fit the doubleword's place. What a good leaf grants is
//! compared with what the request wants later ([`crate::entry_fields`]).

use crate::types::Pte;
use crate::widen::unsigned_cast_to;
use portcullis_regmap::config::Config;
use rust_hdl::prelude::*;

/// See the module.
#[derive(LogicBlock)]
pub struct EntryCheck {
    /// The doubleword.
    pub word: Signal<In, Bits<64>>,
    /// Its status: with another than 0 it is neither.
    pub status: Signal<In, Bits<2>>,
    /// Level of the page-table entry, 0 the last.
    pub level: Signal<In, Bits<3>>,
    /// A good leaf.
    pub leaf_good: Signal<Out, Bit>,
    /// Its size: 0 4 KiB, 1 64 KiB, 2 2 MiB, 3 1 GiB, 4 512 GiB, 5 256 TiB.
    pub size: Signal<Out, Bits<3>>,
    /// A good pointer to the next table.
    pub table_good: Signal<Out, Bit>,
    /// The page number lies beyond capabilities.PAS.
    pub far: Signal<Out, Bit>,
    /// Of a non-leaf directory entry: a reserved bit is set (DDT-12, DDT-13).
    pub directory_bad: Signal<Out, Bit>,
    /// A good non-leaf directory entry.
    pub directory_good: Signal<Out, Bit>,
    pte: Signal<Local, Pte>,
    p0: Signal<Local, Bits<9>>,
    p3: Signal<Local, Bits<9>>,
    came: Signal<Local, Bit>,
    is_leaf: Signal<Local, Bit>,
    encoded: Signal<Local, Bit>,
    table_bits: Signal<Local, Bit>,
    misaligned: Signal<Local, Bit>,
    napot_bad: Signal<Local, Bit>,
    napot_bits: Signal<Local, Bits<4>>,
    napot_code: Constant<Bits<4>>,
    far_p2: Constant<Bits<9>>,
    far_p3: Constant<Bits<9>>,
}

impl EntryCheck {
    /// For the physical address width of a configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let far = ((1u64 << 44) - 1) & !((1u64 << (config.pas_bits() - 12)) - 1);
        Self {
            word: Default::default(),
            status: Default::default(),
            level: Default::default(),
            leaf_good: Default::default(),
            size: Default::default(),
            table_good: Default::default(),
            far: Default::default(),
            directory_bad: Default::default(),
            directory_good: Default::default(),
            pte: Default::default(),
            p0: Default::default(),
            p3: Default::default(),
            came: Default::default(),
            is_leaf: Default::default(),
            encoded: Default::default(),
            table_bits: Default::default(),
            misaligned: Default::default(),
            napot_bad: Default::default(),
            napot_bits: Default::default(),
            // S1-25: the only NAPOT size is 64 KiB.
            napot_code: Constant::new(8u64.into()),
            far_p2: Constant::new(((far >> 18) & 0x1ff).into()),
            far_p3: Constant::new(((far >> 27) & 0x1ff).into()),
        }
    }
}

impl Logic for EntryCheck {
    #[hdl_gen]
    fn update(&mut self) {
        self.pte.next = self.word.val().into();
        self.p0.next = self.pte.val().p0;
        self.p3.next = self.pte.val().p3;
        self.came.next = self.status.val() == 0;
        self.far.next = (self.pte.val().p4 != 0)
            | ((self.p3.val() & self.far_p3.val()) != 0)
            | ((self.pte.val().p2 & self.far_p2.val()) != 0);

        // S1-11..S1-15.
        self.encoded.next = self.came.val()
            & self.pte.val().v
            & !(self.pte.val().w & !self.pte.val().r)
            & (self.pte.val().resv == 0);
        self.is_leaf.next = self.pte.val().r | self.pte.val().x;

        // S1-16..S1-18.
        self.table_bits.next =
            self.pte.val().a | self.pte.val().d | self.pte.val().u | self.pte.val().n;
        self.table_good.next = self.encoded.val()
            & !self.is_leaf.val()
            & !self.table_bits.val()
            & (self.level.val() != 0);

        // DDT-09: V and PPN are all there is.
        self.directory_bad.next = self.table_bits.val()
            | self.pte.val().r
            | self.pte.val().w
            | self.pte.val().x
            | self.pte.val().g
            | (self.pte.val().rsw != 0)
            | (self.pte.val().resv != 0);
        self.directory_good.next =
            self.came.val() & self.pte.val().v & !self.directory_bad.val() & !self.far.val();

        // S1-19..S1-23, S1-25..S1-27, S1-33. Every request here has user privilege (TRN-02, TRN-12).
        self.misaligned.next = ((self.level.val() > 0) & (self.p0.val() != 0))
            | ((self.level.val() > 1) & (self.pte.val().p1 != 0))
            | ((self.level.val() > 2) & (self.pte.val().p2 != 0))
            | ((self.level.val() > 3) & (self.p3.val() != 0));
        self.napot_bits.next = self.p0.val().get_bits::<4>(0);
        self.napot_bad.next = self.pte.val().n
            & ((self.level.val() != 0) | (self.napot_bits.val() != self.napot_code.val()));
        self.leaf_good.next = self.encoded.val()
            & self.is_leaf.val()
            & self.pte.val().u
            & self.pte.val().a
            & !self.misaligned.val()
            & !self.napot_bad.val();
        self.size.next = self.level.val() + 1;
        if self.level.val() == 0 {
            self.size.next = unsigned_cast_to::<3, 1>(self.pte.val().n.into());
        }
    }
}
