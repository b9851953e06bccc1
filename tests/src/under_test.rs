//! What the tests run on, where the environment may choose: which builds, and what simulates them.
//!
//! A test of a rule takes its build from [`any`] or [`linux`] and a simulation of it from [`core`], so that it also runs on
//! the variants with the smallest and the largest caches, on the Verilog, and on both back ends side by side. A test that
//! needs something that a variant may be without names it ([`with`]).

use portcullis_regmap::config::{CONFIGS, Config, LINUX, TINY, VARIANTS};
use portcullis_sim::backend::Backend;
use portcullis_sim::core::Core;

/// The build of tests that hold for every one: `tiny`, or what PORTCULLIS_ANY_AS names.
///
/// # Panics
/// There is no build of that name.
#[must_use]
pub fn any() -> &'static Config {
    let builds: Vec<_> = CONFIGS.iter().chain(VARIANTS).collect();
    chosen("PORTCULLIS_ANY_AS", &TINY, &builds)
}

/// The build of tests that hold for `linux` and its variants: `linux`, or the variant that PORTCULLIS_LINUX_AS names.
///
/// # Panics
/// There is no variant of that name.
#[must_use]
pub fn linux() -> &'static Config {
    let builds: Vec<_> = std::iter::once(&LINUX).chain(VARIANTS).collect();
    chosen("PORTCULLIS_LINUX_AS", &LINUX, &builds)
}

fn chosen(variable: &str, usual: &'static Config, builds: &[&'static Config]) -> &'static Config {
    let name = std::env::var(variable);
    let name = name.as_deref().unwrap_or(usual.name);
    named(variable, name, builds, |c| c.name).unwrap_or_else(|e| panic!("{e}"))
}

/// The one of `all` with that name.
fn named<T: Copy>(
    variable: &str,
    name: &str,
    all: &[T],
    name_of: impl Fn(&T) -> &'static str,
) -> Result<T, String> {
    let found = all.iter().find(|one| name_of(one) == name);
    found.copied().ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(name_of).collect();
        let names = names.join(", ");
        format!("{variable}={name} cannot be: choose one of {names}")
    })
}

/// What a test needs of a build of `linux`.
#[derive(Clone, Copy, Debug)]
pub struct Need {
    /// What it is called.
    pub what: &'static str,
    /// Whether a build has it.
    pub of: fn(&Config) -> bool,
}

/// Sets of pages in the IOTLB.
pub const SETS: Need = Need {
    what: "sets of pages",
    of: |c| c.iotlb_pages != 0,
};
/// Pointers to page tables.
pub const POINTERS: Need = Need {
    what: "pointers to tables",
    of: |c| c.table_pointers != 0,
};
/// Lines of page-table entries.
pub const LINES: Need = Need {
    what: "lines of page-table entries",
    of: |c| c.pte_lines != 0,
};
/// Several walks at the same time.
pub const WALKS: Need = Need {
    what: "several walks",
    of: |c| c.walkers > 1,
};
/// Several commands in a burst.
pub const BURSTS: Need = Need {
    what: "bursts of commands",
    of: |c| c.command_burst > 1,
};

/// `config`, or `linux` itself in the place of a variant that lacks what the test is about; the test's output says so.
///
/// # Panics
/// `config` is not a build of `linux`, and lacks it.
#[must_use]
pub fn with(config: &'static Config, need: Need) -> &'static Config {
    if (need.of)(config) {
        return config;
    }
    assert!(
        VARIANTS.contains(config) && (need.of)(&LINUX),
        "{} lacks {}, and nothing can stand in for it",
        config.name,
        need.what
    );
    println!("on linux: {} lacks {}", config.name, need.what);
    &LINUX
}

/// A core of `config` on `rtl`, or on what PORTCULLIS_TEST_BACKEND says: `verilog`, or `both`, which compares the two in
/// every cycle.
///
/// # Panics
/// There is no such back end, or its tools are missing.
#[must_use]
pub fn core(config: &'static Config) -> Box<dyn Core> {
    backend("PORTCULLIS_TEST_BACKEND")
        .core(config)
        .unwrap_or_else(|e| panic!("{e}"))
}

const BACKENDS: [(&str, Backend); 3] = [
    ("rtl", Backend::Rtl),
    ("verilog", Backend::Verilog),
    ("both", Backend::Both),
];

/// The back end that the environment variable names, `rtl` without it.
///
/// # Panics
/// There is no such back end.
#[must_use]
pub fn backend(variable: &str) -> Backend {
    let name = std::env::var(variable);
    let name = name.as_deref().unwrap_or("rtl");
    match named(variable, name, &BACKENDS, |b| b.0) {
        Ok((_, backend)) => backend,
        Err(e) => panic!("{e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_regmap::config::variant;

    #[test]
    fn a_name_that_there_is_not_is_refused_with_those_that_there_are() {
        let e = named("PORTCULLIS_TEST_BACKEND", "model", &BACKENDS, |b| b.0);
        let want = "PORTCULLIS_TEST_BACKEND=model cannot be: choose one of rtl, verilog, both";
        assert_eq!(e.expect_err("it has no clock"), want);
    }

    #[test]
    fn linux_itself_stands_in_for_a_variant_that_lacks_something_and_for_no_other() {
        let [smallest, largest] =
            ["linux-smallest", "linux-largest"].map(|name| variant(name).expect("a variant"));
        for need in [SETS, POINTERS, LINES, WALKS, BURSTS] {
            assert_eq!(with(smallest, need).name, "linux");
            assert_eq!(with(largest, need).name, "linux-largest");
        }
    }

    #[test]
    #[should_panic(expected = "tiny lacks sets of pages, and nothing can stand in for it")]
    fn linux_does_not_stand_in_for_tiny() {
        let _ = with(&TINY, SETS);
    }
}
