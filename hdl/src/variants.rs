//! The builds of [`portcullis_regmap::VARIANTS`], `linux` in other sizes, and the one place that finds a build by its name.

use crate::linux::LinuxOf;
use crate::ports::Top;
use crate::{Linux, Tiny};
use portcullis_regmap::Config;

/// One walk at a time.
pub type OneWalk = LinuxOf<8, 3, 4, 9, 8, 3, 1, 1, 16, 4, 6, 3, 3, 4, 4>;
/// No pointers to leaf tables are kept (places for two are the fewest, and stay empty).
pub type NoPointers = LinuxOf<8, 3, 4, 9, 8, 3, 4, 2, 2, 1, 6, 3, 3, 4, 4>;
/// No lines of page-table entries.
pub type NoLines = LinuxOf<8, 3, 4, 9, 8, 3, 4, 2, 16, 4, 0, 1, 3, 4, 4>;
/// 16 IOTLB entries of any size, no sets.
pub type NoSets = LinuxOf<16, 4, 0, 8, 8, 3, 4, 2, 16, 4, 6, 3, 3, 4, 4>;
/// Commands are read one by one.
pub type NoBursts = LinuxOf<8, 3, 4, 9, 8, 3, 4, 2, 16, 4, 6, 3, 3, 4, 1>;
/// One walk at a time, neither pointers to tables nor lines.
pub type Plain = LinuxOf<8, 3, 4, 9, 8, 3, 1, 1, 2, 1, 0, 1, 3, 4, 4>;
/// Two of what there must be more than one of (indices have a bit at least), and nothing that can be left out.
pub type Smallest = LinuxOf<2, 1, 0, 8, 2, 1, 1, 1, 2, 1, 0, 1, 1, 2, 1>;
/// As much as the blocks have been made for.
pub type Largest = LinuxOf<32, 5, 4, 9, 16, 4, 4, 2, 32, 5, 8, 3, 4, 5, 4>;

/// What is done with the top block of a configuration or variant, whatever its type is.
pub trait WithTop {
    /// What comes of it.
    type Output;
    /// Does it.
    fn with<T: Top + 'static>(self, top: T) -> Self::Output;
}

/// Makes the top block of `config` and hands it over; `None` if there is none of that name.
pub fn with_top<W: WithTop>(config: &Config, then: W) -> Option<W::Output> {
    Some(match config.name {
        "tiny" => then.with(Tiny::new()),
        "linux" => then.with(Linux::new()),
        "linux-one-walk" => then.with(OneWalk::of(config)),
        "linux-no-pointers" => then.with(NoPointers::of(config)),
        "linux-no-lines" => then.with(NoLines::of(config)),
        "linux-no-sets" => then.with(NoSets::of(config)),
        "linux-no-bursts" => then.with(NoBursts::of(config)),
        "linux-plain" => then.with(Plain::of(config)),
        "linux-smallest" => then.with(Smallest::of(config)),
        "linux-largest" => then.with(Largest::of(config)),
        _ => return None,
    })
}
