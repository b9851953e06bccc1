//! The Verilog of every configuration: lint-free, named after it, without `$`, the same each time.

use portcullis_hdl::emit::lint;
use portcullis_hdl::verilog::{BUSES, Bus, emit, module_name, ports};
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
    for (config, bus) in CONFIGS.iter().flat_map(|c| BUSES.map(|b| (c, b))) {
        let text = emit(config, bus).unwrap_or_else(|e| panic!("{e}"));
        let top = module_name(config, bus);
        assert!(text.contains(&format!("\nmodule {top} (\n")));
        assert!(!text.contains('$'), "a `$` in a name of {top}");
        for line in text.lines().filter(|l| l.starts_with("module ")) {
            assert!(line.starts_with(&format!("module {top}")), "{line}");
        }
    }
}

#[test]
fn header_names_configuration_version_and_licence() {
    let text = emit(&TINY, Bus::Core).unwrap_or_else(|e| panic!("{e}"));
    let header: Vec<&str> = text.lines().take(3).collect();
    assert!(header[0].contains("configuration tiny"), "{header:?}");
    assert!(header[0].contains(env!("CARGO_PKG_VERSION")), "{header:?}");
    assert!(header[1].contains("MIT OR Apache-2.0"), "{header:?}");
}

#[test]
fn the_same_each_time() {
    for bus in BUSES {
        assert_eq!(emit(&TINY, bus), emit(&TINY, bus));
    }
}

#[test]
fn axi_ports_have_the_names_that_bus_models_look_for() {
    let text = emit(&TINY, Bus::Axi).unwrap_or_else(|e| panic!("{e}"));
    let top = text.split("module portcullis_tiny_axi (").nth(1);
    let ports = top.and_then(|t| t.split(");").next()).expect("the ports");
    for name in [
        "s_axi_araddr",
        "s_axi_armmusid",
        "s_axi_awmmussidv",
        "m_axi_wlast",
        "m_axi_ptw_arid",
        "s_axil_wstrb",
    ] {
        assert!(ports.contains(&format!(" {name}")), "{name} in {ports}");
    }
}

#[test]
fn the_port_list_is_that_of_the_file() {
    for (config, bus) in CONFIGS.iter().flat_map(|c| BUSES.map(|b| (c, b))) {
        let text = emit(config, bus).unwrap_or_else(|e| panic!("{e}"));
        let head = format!("module {} (\n", module_name(config, bus));
        let list = text
            .split(&head)
            .last()
            .and_then(|t| t.split("\n);").next());
        let written: Vec<String> = list
            .expect("the ports")
            .lines()
            .map(|l| l.trim().trim_end_matches(',').replace(" reg ", " wire "))
            .collect();
        let pins = ports(config, bus).unwrap_or_else(|e| panic!("{e}"));
        let told: Vec<String> = pins
            .iter()
            .map(|p| {
                let direction = if p.input { "input" } else { "output" };
                let range = match p.width {
                    1 => String::new(),
                    n => format!("[{}:0] ", n - 1),
                };
                format!("{direction} wire {range}{}", p.name)
            })
            .collect();
        assert_eq!(written, told);
    }
}
