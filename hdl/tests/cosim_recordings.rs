//! Every co-simulation case runs in Rust: no input without stimulus, no loop, and the core's run reaches everything.
//! The Verilog side needs Icarus and is run by `cargo xtask verify`.

use portcullis_hdl::cosim::{Case, cells, top_cases};

#[test]
fn cells_record() {
    for case in cells::cases() {
        let files = case.run(50, 1).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(files.rows.lines().count(), 50, "{}", case.name);
        assert!(files.verilog.contains(&format!("module {} (", case.name)));
        assert!(files.testbench.contains("!=="), "{}", case.name);
    }
}

#[test]
fn every_own_cell_is_listed() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cells");
    let listed: Vec<&str> = cells::cases().iter().map(|c: &Case| c.name).collect();
    for entry in std::fs::read_dir(dir).expect("the cells") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_string_lossy();
        assert!(
            name == "mod" || listed.contains(&name.as_ref()),
            "{name} has no co-simulation case in cosim/cells.rs"
        );
    }
}

#[test]
fn every_configuration_reaches_everything() {
    for case in top_cases() {
        let files = case.run(10000, 1).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(files.cycles, 10000);
    }
}
