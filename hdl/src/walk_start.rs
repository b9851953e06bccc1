//! What a walk does first. Combinational, asked in the cycle in which a walk starts.
//!
//! All that follows from the request, its lookup and the pointers that are kept is decided here and stored with the walk
//! ([`Started`]): a refusal with its cause, an answer without a page table, or where the first read goes. The cycle in which
//! the walk is served only has to do it. The order of the checks is that of FLT-01.

use crate::canonical::Canonical;
use crate::causes::Causes;
use crate::types::*;
use crate::widen::unsigned_cast_to;
use portcullis_regmap::config::Config;
use rust_hdl::prelude::*;

/// See the module.
#[derive(LogicBlock)]
pub struct WalkStart {
    /// The request.
    pub req: Signal<In, Req>,
    /// ddtp.iommu_mode at its lookup: 0 Off, 1 Bare, 2 1LVL, 3 2LVL, 4 3LVL.
    pub mode: Signal<In, Bits<3>>,
    /// ddtp.PPN.
    pub ddt_root: Signal<In, Bits<28>>,
    /// The device_id is too wide.
    pub wide: Signal<In, Bit>,
    /// The context is known ...
    pub found: Signal<In, Bit>,
    /// ... with this PSCID ...
    pub pscid: Signal<In, Bits<20>>,
    /// ... as this.
    pub info: Signal<In, Context>,
    /// A pointer is known, with a context to a page table, without one to a page of contexts: ...
    pub near: Signal<In, Bit>,
    /// ... this page ...
    pub near_frame: Signal<In, Bits<28>>,
    /// ... of this level ...
    pub near_level: Signal<In, Bits<3>>,
    /// ... to which a global pointer leads.
    pub near_global: Signal<In, Bit>,
    /// What the walk does first; what it knows of lines is not said here.
    pub begins: Signal<Out, Started>,
    /// What counts of the request when its context comes.
    pub fits: Signal<Out, Fits>,

    canonical: Canonical,
    causes: Causes,
    fit: Signal<Local, Bit>,
    root_vpn: Signal<Local, Bits<9>>,
    did: Signal<Local, Bits<24>>,
    dir_off: Signal<Local, Bits<12>>,
    dir_level: Signal<Local, Bits<2>>,
    nothing: Constant<Started>,
    has_levels: Constant<Bit>,
    cause_off: Constant<Bits<9>>,
    cause_type: Constant<Bits<9>>,
}

impl WalkStart {
    /// For a configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            req: Default::default(),
            mode: Default::default(),
            ddt_root: Default::default(),
            wide: Default::default(),
            found: Default::default(),
            pscid: Default::default(),
            info: Default::default(),
            near: Default::default(),
            near_frame: Default::default(),
            near_level: Default::default(),
            near_global: Default::default(),
            begins: Default::default(),
            fits: Default::default(),
            canonical: Default::default(),
            causes: Default::default(),
            fit: Default::default(),
            root_vpn: Default::default(),
            did: Default::default(),
            dir_off: Default::default(),
            dir_level: Default::default(),
            nothing: Constant::new(Started::default()),
            has_levels: Constant::new(config.accepts_mode(3)),
            cause_off: Constant::new(256u64.into()),
            cause_type: Constant::new(260u64.into()),
        }
    }
}

impl Logic for WalkStart {
    #[hdl_gen]
    fn update(&mut self) {
        self.canonical.req.next = self.req.val();
        self.causes.access.next = self.req.val().access;
        self.fits.next.special = self.req.val().kind != 0;
        self.fits.next.pv = self.req.val().pv;
        self.fits.next.sv39 = self.canonical.sv39.val();
        self.fits.next.sv48 = self.canonical.sv48.val();
        self.fits.next.sv57 = self.canonical.sv57.val();
        self.fit.next = self.canonical.sv39.val();
        self.root_vpn.next = self.req.val().vpn2;
        if self.info.val().extra == 1 {
            self.fit.next = self.canonical.sv48.val();
            self.root_vpn.next = self.req.val().vpn3;
        }
        if self.info.val().extra == 2 {
            self.fit.next = self.canonical.sv57.val();
            self.root_vpn.next = self.req.val().vpn4;
        }

        // Where the directory is entered.
        self.did.next = self.req.val().did;
        self.dir_level.next = 0.into();
        self.dir_off.next = unsigned_cast_to::<12, 7>(self.did.val().get_bits::<7>(0)) << 5;
        if self.has_levels.val() & !self.near.val() {
            if self.mode.val() == 3 {
                self.dir_level.next = 1.into();
                self.dir_off.next = unsigned_cast_to::<12, 9>(self.did.val().get_bits::<9>(7)) << 3;
            }
            if self.mode.val() == 4 {
                self.dir_level.next = 2.into();
                self.dir_off.next =
                    unsigned_cast_to::<12, 8>(self.did.val().get_bits::<8>(16)) << 3;
            }
        }

        // The first read.
        self.begins.next = self.nothing.val();
        self.begins.next.dtf = self.found.val() & self.info.val().dtf;
        self.begins.next.pscid = self.pscid.val();
        self.begins.next.dir_level = self.dir_level.val();
        self.begins.next.frame = self.ddt_root.val();
        self.begins.next.off = self.dir_off.val();
        self.begins.next.level = unsigned_cast_to::<3, 2>(self.info.val().extra) + 2;
        if self.found.val() {
            self.begins.next.frame = self.info.val().root;
            self.begins.next.off = unsigned_cast_to::<12, 9>(self.root_vpn.val()) << 3;
            if self.near.val() {
                self.begins.next.level = self.near_level.val();
                self.begins.next.globally = self.near_global.val();
                self.begins.next.off = unsigned_cast_to::<12, 9>(self.req.val().vpn0) << 3;
                if self.near_level.val() == 1 {
                    self.begins.next.off = unsigned_cast_to::<12, 9>(self.req.val().vpn1) << 3;
                }
            }
        }
        if self.near.val() {
            self.begins.next.frame = self.near_frame.val();
        }

        // Or why there is none.
        self.begins.next.cause = self.cause_type.val();
        if self.mode.val() == 0 {
            self.begins.next.denied = true;
            self.begins.next.cause = self.cause_off.val();
        } else if (self.mode.val() == 1) | self.wide.val() {
            self.begins.next.denied = true;
        } else if !self.found.val() {
            self.begins.next.directory = true;
        } else if (self.req.val().kind != 0) | (self.req.val().pv & !self.info.val().pdtv) {
            self.begins.next.denied = true;
        } else if !self.info.val().paged {
            self.begins.next.identity = true;
        } else if !self.fit.val() {
            self.begins.next.denied = true;
            self.begins.next.cause = self.causes.page_fault.val();
        } else if self.info.val().far {
            self.begins.next.denied = true;
            self.begins.next.cause = self.causes.access_fault.val();
        } else {
            self.begins.next.table = true;
        }
    }
}
