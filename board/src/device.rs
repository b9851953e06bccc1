//! FPGAs: what Yosys, nextpnr and the budgets call them.

/// A family as Yosys and nextpnr see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Lattice iCE40.
    Ice40,
    /// Lattice ECP5.
    Ecp5,
}

/// An FPGA.
#[derive(Clone, Copy, Debug)]
pub struct Device {
    /// Its name in budgets and on command lines.
    pub name: &'static str,
    /// Its maker's name for it, with the speed grade.
    pub title: &'static str,
    /// Family.
    pub family: Family,
    /// nextpnr's options that name the die, package and speed grade.
    pub place: &'static [&'static str],
}

/// What is known.
pub const DEVICES: [Device; 4] = [
    Device {
        name: "hx8k",
        title: "iCE40 HX8K",
        family: Family::Ice40,
        place: &["--hx8k", "--package", "cb132"],
    },
    Device {
        name: "ecp5",
        title: "LFE5U-85F-6",
        family: Family::Ecp5,
        place: &["--85k", "--package", "CABGA381", "--speed", "6"],
    },
    Device {
        name: "ecp5-25",
        title: "LFE5U-25F-6",
        family: Family::Ecp5,
        place: &["--25k", "--package", "CABGA381", "--speed", "6"],
    },
    Device {
        name: "ecp5-25-mg285",
        title: "LFE5U-25F-8",
        family: Family::Ecp5,
        place: &["--25k", "--package", "CSFBGA285", "--speed", "8"],
    },
];

/// The device of that name.
///
/// # Errors
/// There is none; the message lists those there are.
pub fn device(name: &str) -> Result<&'static Device, String> {
    let found = DEVICES.iter().find(|d| d.name == name);
    found.ok_or_else(|| {
        let names: Vec<&str> = DEVICES.iter().map(|d| d.name).collect();
        format!(
            "no device is called `{name}`: choose one of {}",
            names.join(", ")
        )
    })
}

impl Family {
    /// What Yosys calls it.
    #[must_use]
    pub fn architecture(self) -> &'static str {
        match self {
            Family::Ice40 => "ice40",
            Family::Ecp5 => "ecp5",
        }
    }

    /// The pass of Yosys that maps to it.
    #[must_use]
    pub fn synthesis(self) -> &'static str {
        match self {
            // The fast cells' delays, and a mapper that looks at them.
            Family::Ice40 => "synth_ice40 -device hx -abc9",
            Family::Ecp5 => "synth_ecp5 -abc9 -nowidelut",
        }
    }

    /// The command of Yosys that declares its cells, for designs that instantiate some.
    #[must_use]
    pub fn library(self) -> &'static str {
        match self {
            Family::Ice40 => "read_verilog -D ICE40_HX -lib -specify +/ice40/cells_sim.v",
            Family::Ecp5 => "read_verilog -lib -specify +/ecp5/cells_sim.v +/ecp5/cells_bb.v",
        }
    }

    /// Beginnings of cell names, and what budgets call those cells.
    #[must_use]
    pub fn cells(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Family::Ice40 => &[
                ("SB_LUT4", "lut4"),
                ("SB_DFF", "ff"),
                ("SB_RAM40", "bram"),
                ("SB_CARRY", "carry"),
            ],
            Family::Ecp5 => &[
                ("LUT4", "lut4"),
                ("TRELLIS_FF", "ff"),
                ("DP16KD", "bram"),
                ("CCU2C", "carry"),
                ("TRELLIS_DPR16X4", "dram"),
            ],
        }
    }

    /// nextpnr for it.
    #[must_use]
    pub fn router(self) -> &'static str {
        match self {
            Family::Ice40 => "nextpnr-ice40",
            Family::Ecp5 => "nextpnr-ecp5",
        }
    }

    /// Extension of its bitstreams.
    #[must_use]
    pub fn bitstream(self) -> &'static str {
        match self {
            Family::Ice40 => "bin",
            Family::Ecp5 => "bit",
        }
    }

    /// nextpnr's option that lets signals without a pin in the constraints be placed anywhere.
    #[must_use]
    pub fn unconstrained(self) -> &'static str {
        match self {
            Family::Ice40 => "--pcf-allow-unconstrained",
            Family::Ecp5 => "--lpf-allow-unconstrained",
        }
    }
}
