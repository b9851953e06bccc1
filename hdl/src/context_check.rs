//! Judges the doublewords of a device context, and takes from them what the translation needs (group 9 of the matrix).
//! Combinational; they come through `word` one by one, and whoever asks looks only at the outputs that fit the doubleword's
//! place.

use portcullis_regmap::config::Config;
use rust_hdl::prelude::*;

/// See the module.
#[derive(LogicBlock)]
pub struct ContextCheck {
    /// The doubleword.
    pub word: Signal<In, Bits<64>>,
    /// As tc: misconfigured.
    pub tc_bad: Signal<Out, Bit>,
    /// As iohgatp: misconfigured.
    pub iohgatp_bad: Signal<Out, Bit>,
    /// As ta: misconfigured.
    pub ta_bad: Signal<Out, Bit>,
    /// As ta: PSCID.
    pub pscid: Signal<Out, Bits<20>>,
    /// As fsc: misconfigured, whatever tc is.
    pub fsc_bad: Signal<Out, Bit>,
    /// As fsc: the first stage is not Bare ...
    pub paged: Signal<Out, Bit>,
    /// ... with so many levels beyond three.
    pub extra: Signal<Out, Bits<2>>,
    /// As fsc: the root lies beyond capabilities.PAS.
    pub far: Signal<Out, Bit>,
    iohgatp_mode: Signal<Local, Bits<4>>,
    mode: Signal<Local, Bits<4>>,
    ppn: Signal<Local, Bits<44>>,
    tc_reserved: Constant<Bits<64>>,
    ta_reserved: Constant<Bits<64>>,
    fsc_reserved: Constant<Bits<64>>,
    far_mask: Constant<Bits<44>>,
    bare: Constant<Bits<4>>,
    sv39: Constant<Bits<4>>,
    sv48: Constant<Bits<4>>,
    sv57: Constant<Bits<4>>,
    has_sv48: Constant<Bit>,
    has_sv57: Constant<Bit>,
}

impl ContextCheck {
    /// For the capabilities of a configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let frame_mask = (1u64 << (config.pas_bits() - 12)) - 1;
        let caps = config.capabilities();
        Self {
            word: Default::default(),
            tc_bad: Default::default(),
            iohgatp_bad: Default::default(),
            ta_bad: Default::default(),
            pscid: Default::default(),
            fsc_bad: Default::default(),
            paged: Default::default(),
            extra: Default::default(),
            far: Default::default(),
            iohgatp_mode: Default::default(),
            mode: Default::default(),
            ppn: Default::default(),
            // DCM-01, 02, 13..18, 35, 36, 38: reserved bits, and features that no configuration here has.
            // DTF (4), PDTV (5) and the custom bits 31:24 are free; DPE (9) is judged with PDTV.
            tc_reserved: Constant::new(0xffff_ffff_00ff_fdceu64.into()),
            // DCM-03, 04, 11: only PSCID may be set.
            ta_reserved: Constant::new(0xffff_ffff_0000_0fffu64.into()),
            // DCM-05, 06.
            fsc_reserved: Constant::new(0x0fff_f000_0000_0000u64.into()),
            far_mask: Constant::new((((1u64 << 44) - 1) & !frame_mask).into()),
            bare: Constant::new(0u64.into()),
            sv39: Constant::new(8u64.into()),
            sv48: Constant::new(9u64.into()),
            sv57: Constant::new(10u64.into()),
            has_sv48: Constant::new(caps.sv48()),
            has_sv57: Constant::new(caps.sv57()),
        }
    }
}

impl Logic for ContextCheck {
    #[hdl_gen]
    fn update(&mut self) {
        self.iohgatp_mode.next = self.word.val().get_bits::<4>(60);
        self.mode.next = self.word.val().get_bits::<4>(60);
        self.ppn.next = self.word.val().get_bits::<44>(0);
        // DCM-28: DPE needs PDTV.
        self.tc_bad.next = ((self.word.val() & self.tc_reserved.val()) != 0)
            | (self.word.val().get_bit(9) & !self.word.val().get_bit(5));
        // DCM-29, DCM-31: no second stage here.
        self.iohgatp_bad.next = self.iohgatp_mode.val() != self.bare.val();
        self.ta_bad.next = (self.word.val() & self.ta_reserved.val()) != 0;
        self.pscid.next = self.word.val().get_bits::<20>(12);

        // DCM-20..DCM-24, DCM-26.
        self.paged.next = self.mode.val() == self.sv39.val();
        self.extra.next = 0.into();
        if (self.mode.val() == self.sv48.val()) & self.has_sv48.val() {
            self.paged.next = true;
            self.extra.next = 1.into();
        }
        if (self.mode.val() == self.sv57.val()) & self.has_sv57.val() {
            self.paged.next = true;
            self.extra.next = 2.into();
        }
        self.fsc_bad.next = ((self.word.val() & self.fsc_reserved.val()) != 0)
            | ((self.mode.val() != self.bare.val()) & !self.paged.val());
        self.far.next = (self.ppn.val() & self.far_mask.val()) != 0;
    }
}
