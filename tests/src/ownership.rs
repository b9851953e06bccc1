//! What the ownership tests share: the driver on the simulated hardware, with engines that hammer it.

use portcullis::{DeviceId, Owner, TrustToken};
use portcullis_regmap::Config;
use portcullis_sim::backend::Backend;
use portcullis_sim::memory::Timing;
use portcullis_sim::own::stage::{Setting, Stage};

/// The device that changes hands.
pub const DEV: DeviceId = DeviceId(0x25);
/// A device that has nothing to do with it.
pub const BYSTANDER: DeviceId = DeviceId(0x26);

/// `rtl`, or `verilog` if PORTCULLIS_OWN_BACKEND says so (`cargo xtask verify` does): fifty times faster.
#[must_use]
pub fn backend() -> Backend {
    match std::env::var("PORTCULLIS_OWN_BACKEND").as_deref() {
        Err(_) | Ok("rtl") => Backend::Rtl,
        Ok("verilog") => Backend::Verilog,
        Ok(other) => panic!("PORTCULLIS_OWN_BACKEND is rtl or verilog, not {other}"),
    }
}

/// How often a test repeats what it does: PORTCULLIS_OWN_ROUNDS, or `default`.
#[must_use]
pub fn rounds(default: u64) -> u64 {
    std::env::var("PORTCULLIS_OWN_ROUNDS").map_or(default, |n| n.parse().expect("a number"))
}

/// A setting with a memory that answers after 3 to 7 cycles.
#[must_use]
pub fn setting(config: &'static Config, seed: u64) -> Setting {
    Setting {
        timing: Timing {
            latency: 3,
            jitter: 4,
            seed,
            ..Timing::default()
        },
        ..Setting::new(config, seed)
    }
}

/// The stage.
#[must_use]
pub fn stage(setting: Setting) -> Stage {
    let core = backend().core(setting.config).expect("a core");
    Stage::new(core, setting)
}

/// An owner.
#[must_use]
pub fn owner(n: u64) -> Owner {
    Owner::new(n).expect("not 0")
}

/// Identity as a wish.
#[must_use]
pub fn token() -> TrustToken {
    // SAFETY: the devices are part of the test.
    unsafe { TrustToken::new() }
}
