//! The Verilog of every configuration: lint-free, named after it, without `$`, the same each time.

use portcullis_hdl::emit::lint;
use portcullis_hdl::verilog::{emit, module_name};
use portcullis_regmap::config::{CONFIGS, TINY};
use rust_hdl::prelude::Block;

fn assert_lint_free(mut uut: impl Block) {
    uut.connect_all();
    let problems = lint(&uut).expect("a block");
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "\n{}", lines.join("\n"));
}

#[test]
fn tiny_passes_the_lint() {
    assert_lint_free(portcullis_hdl::Tiny::new());
}

#[test]
fn linux_passes_the_lint() {
    assert_lint_free(portcullis_hdl::Linux::new());
}

#[test]
fn file_is_clean() {
    for config in CONFIGS {
        let text = emit(config).unwrap_or_else(|e| panic!("{e}"));
        let top = module_name(config);
        assert!(text.contains(&format!("\nmodule {top} (\n")));
        assert!(!text.contains('$'), "a `$` in a name of {top}");
        for line in text.lines().filter(|l| l.starts_with("module ")) {
            assert!(line.starts_with(&format!("module {top}")), "{line}");
        }
    }
}

#[test]
fn header_names_configuration_version_and_licence() {
    let text = emit(&TINY).unwrap_or_else(|e| panic!("{e}"));
    let header: Vec<&str> = text.lines().take(3).collect();
    assert!(header[0].contains("configuration tiny"), "{header:?}");
    assert!(header[0].contains(env!("CARGO_PKG_VERSION")), "{header:?}");
    assert!(header[1].contains("MIT OR Apache-2.0"), "{header:?}");
}

#[test]
fn the_same_each_time() {
    assert_eq!(emit(&TINY), emit(&TINY));
}
