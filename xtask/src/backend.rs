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

/// The back end keeps its promises: speed, threads, waves, messages.
pub fn works(report: &mut Report) {
    report.step("back end verilog", || {
        let mut cargo = test("portcullis-sim", "verilog_backend");
        let text = tool(cargo.env("PORTCULLIS_VERILATOR", "1"))?;
        Ok(passed(&text))
    });
}

/// What cargo says about the tests that ran.
fn passed(text: &str) -> String {
    let line = text.lines().rfind(|l| l.starts_with("test result: "));
    let count = line.and_then(|l| l.split_whitespace().nth(3));
    format!("{} tests", count.unwrap_or("no"))
}

/// Kernels and Verilog side by side on random machines, every output compared in every cycle, until each configuration
/// has lived for `cycles`.
pub fn equal(report: &mut Report, cycles: u64) {
    report.step("rtl equals verilog", || {
        let mut cargo = test("portcullis-tests", "random_lockstep");
        cargo
            // The variants of a configuration have its kernels.
            .args(["--skip", "caches"])
            .env("PORTCULLIS_RANDOM_BACKEND", "both")
            .env("PORTCULLIS_RANDOM_N", u64::MAX.to_string())
            .env("PORTCULLIS_RANDOM_CYCLES", cycles.to_string());
        let text = tool(&mut cargo)?;
        let mut all = vec![];
        for config in portcullis_regmap::config::CONFIGS {
            let compared = compared(&text, config.name)
                .filter(|n| *n >= cycles)
                .ok_or(format!("{}: no {cycles} cycles were compared", config.name))?;
            all.push(format!("{} {compared} cycles", config.name));
        }
        Ok(format!("{}, no difference", all.join(", ")))
    });
}

/// The cycles in the summary that the test prints for a configuration.
fn compared(text: &str, config: &str) -> Option<u64> {
    let begin = format!("{config}: Summary {{ cycles: ");
    let summary = text.lines().find_map(|line| line.split_once(&begin))?.1;
    summary.split(',').next()?.parse().ok()
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
            "boot",
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
            "platforms",
        ];
        for file in files {
            let mut cargo = test("portcullis-tests", &format!("ownership_{file}"));
            // What is ignored without Verilator: the board.
            cargo.arg("--include-ignored");
            tool(cargo.env("PORTCULLIS_OWN_BACKEND", "verilog"))?;
        }
        // As often as the scenarios ask, for which `cargo test` has no time.
        let long = [
            ("transitions", "t_08_rounds", 1000),
            ("transitions", "t_23_bystander", 10_000),
            ("refusals", "t_11_two_contenders", 1000),
            ("random", "t_15_53_random_calls_agree_with_the_table", 20_000),
            ("random", "t_78_random_transitions_do_not_drift", 1000),
            (
                "transitions",
                "t_20_hitless_replacements_refuse_nothing",
                replacements,
            ),
        ];
        for (file, name, rounds) in long {
            let mut cargo = test("portcullis-tests", &format!("ownership_{file}"));
            cargo
                .args(["--exact", name])
                .env("PORTCULLIS_OWN_BACKEND", "verilog")
                .env("PORTCULLIS_OWN_ROUNDS", rounds.to_string());
            let text = tool(&mut cargo)?;
            if passed(&text) != "1 tests" {
                return Err(format!("{name}: {}", passed(&text)));
            }
        }
        Ok(format!(
            "all scenarios; {replacements} hitless replacements of each configuration, no access refused"
        ))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_of_a_configuration() {
        let text = "test x ... tiny: Summary { cycles: 1234, requests: 5 }\nlinux: Summary { cycles: 99, requests: 1 }";
        assert_eq!(compared(text, "tiny"), Some(1234));
        assert_eq!(compared(text, "linux"), Some(99));
        assert_eq!(compared(text, "huge"), None);
        assert_eq!(compared("tiny: Summary {", "tiny"), None);
    }

    #[test]
    fn the_number_of_tests() {
        let text = "test result: ok. 9 passed; 0 failed; 0 ignored";
        assert_eq!(passed(text), "9 tests");
        assert_eq!(passed(""), "no tests");
    }
}
