//! The generated Verilog as a back end of the simulator: tests that need Verilator.

use crate::report::Report;
use crate::{root, tools::run as tool};
use std::process::Command;

fn test(package: &str, name: &str) -> Command {
    let mut cargo = Command::new("cargo");
    cargo
        .args([
            "test",
            "--release",
            "--locked",
            "-p",
            package,
            "--test",
            name,
        ])
        .args(["--", "--nocapture"])
        .current_dir(root());
    cargo
}

/// The back end agrees with the kernels in every cycle.
pub fn agrees(report: &mut Report) {
    report.step("back end verilog", || {
        let mut cargo = test("portcullis-sim", "verilog_backend");
        tool(cargo.env("PORTCULLIS_VERILATOR", "1"))?;
        Ok("equal to rtl in every cycle".into())
    });
}

/// `machines` random machines of each configuration against the golden model.
pub fn random(report: &mut Report, machines: usize) {
    report.step("random machines on verilog", || {
        let mut cargo = test("portcullis-tests", "random_lockstep");
        cargo
            .env("PORTCULLIS_RANDOM_BACKEND", "verilog")
            .env("PORTCULLIS_RANDOM_N", machines.to_string());
        tool(&mut cargo)?;
        Ok(format!("{machines} of each configuration, no difference"))
    });
}

/// The driver's scenarios under DMA, and `replacements` hitless replacements of each configuration.
pub fn ownership(report: &mut Report, replacements: usize) {
    report.step("ownership on verilog", || {
        let files = [
            "transitions",
            "tables",
            "mappings",
            "dma",
            "deferred",
            "hotplug",
            "policy",
            "refusals",
            "random",
            "faults",
            "recovery",
        ];
        for file in files {
            let mut cargo = test("portcullis-tests", &format!("ownership_{file}"));
            tool(cargo.env("PORTCULLIS_OWN_BACKEND", "verilog"))?;
        }
        let mut cargo = test("portcullis-tests", "ownership_transitions");
        cargo
            .arg("t_20_hitless_replacements_refuse_nothing")
            .env("PORTCULLIS_OWN_BACKEND", "verilog")
            .env("PORTCULLIS_OWN_ROUNDS", replacements.to_string());
        tool(&mut cargo)?;
        Ok(format!(
            "all scenarios; {replacements} hitless replacements of each configuration, no access refused"
        ))
    });
}
