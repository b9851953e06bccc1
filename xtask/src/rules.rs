//! The tests of the rules, on the builds and back ends for which `cargo test` has no time. They are the programs that
//! `cargo test` has built; what they run on, they learn from the environment (`portcullis_tests::under_test`).

use crate::report::Report;
use crate::root;
use crate::tools::{make_dir, run_within};
use portcullis_board::tools::{read, target};
use std::fs;
use std::process::Command;
use std::time::Duration;

/// A machine that never comes to rest ends too: ten times what the longest step takes.
const LIMIT: Duration = Duration::from_secs(1800);

/// What stands for `linux` in its tests, and for `tiny` in those that hold for every build.
const BUILDS: [&str; 3] = ["linux", "linux-smallest", "linux-largest"];

/// Every test of a rule or of a technique on each build, on the generated Verilog.
pub fn builds(report: &mut Report) {
    for build in BUILDS {
        report.step(&format!("rules on {build}"), || {
            let mut tests = cargo(&files(|_| true)?);
            tests
                .env("PORTCULLIS_ANY_AS", build)
                .env("PORTCULLIS_LINUX_AS", build)
                .env("PORTCULLIS_TEST_BACKEND", "verilog")
                .env("PORTCULLIS_STORM_BACKEND", "verilog");
            run(&mut tests, build)
        });
    }
}

/// The conformance tests on kernels and Verilog side by side, every output compared in every cycle. The other tests take
/// as long again: docs/verification.md has the command.
pub fn equal(report: &mut Report) {
    report.step("rules: rtl equals verilog", || {
        let mut tests = cargo(&files(|name| name.starts_with("conformance_"))?);
        tests.env("PORTCULLIS_TEST_BACKEND", "both");
        Ok(format!("{}, no difference", run(&mut tests, "both")?))
    });
}

/// Test programs whose machine the environment may choose.
fn files(chosen: impl Fn(&str) -> bool) -> Result<Vec<String>, String> {
    let dir = root().join("tests/tests");
    let entries = fs::read_dir(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let names = entries.flatten().map(|e| e.file_name());
    let mut names: Vec<String> = names
        .filter_map(|n| Some(n.to_str()?.strip_suffix(".rs")?.to_string()))
        .filter(|n| !n.starts_with("ownership_") && !n.starts_with("random_"))
        .filter(|n| n != "conformance_table" && chosen(n))
        .collect();
    names.sort();
    Ok(names)
}

fn cargo(files: &[String]) -> Command {
    let mut command = Command::new("cargo");
    command
        .args(["test", "--locked", "--no-fail-fast"])
        .args(["-p", "portcullis-tests"])
        .args(files.iter().flat_map(|file| ["--test", file]))
        .current_dir(root());
    command
}

/// Runs them; what they say is kept under that name.
fn run(tests: &mut Command, name: &str) -> Result<String, String> {
    let log = make_dir(&target().join("rules"))?.join(format!("{name}.log"));
    let outcome = run_within(tests, LIMIT, &log);
    let text = read(&log).unwrap_or_default();
    outcome.map_err(|e| format!("{e}: {}; see {}", failed(&text), log.display()))?;
    passed(&text)
}

/// The tests that failed, or why there are none.
fn failed(text: &str) -> String {
    let names: Vec<&str> = text
        .lines()
        .filter_map(|l| l.strip_prefix("test ")?.strip_suffix(" ... FAILED"))
        .collect();
    match names[..] {
        [] => text
            .lines()
            .find(|l| l.starts_with("error"))
            .unwrap_or("no test says why")
            .into(),
        _ => names.join(", "),
    }
}

/// How many tests passed in all.
fn passed(text: &str) -> Result<String, String> {
    let results = text
        .lines()
        .filter_map(|l| l.strip_prefix("test result: ok. "))
        .filter_map(|l| l.split_once(" passed")?.0.parse::<u64>().ok());
    match results.sum::<u64>() {
        0 => Err("no test ran".into()),
        n => Ok(format!("{n} tests")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_of_all_programs_are_counted() {
        let text =
            "test result: ok. 9 passed; 0 failed\nrunning\ntest result: ok. 30 passed; 0 failed";
        assert_eq!(passed(text), Ok("39 tests".into()));
        assert_eq!(passed(""), Err("no test ran".into()));
    }

    #[test]
    fn what_failed_is_named() {
        let text = "test a::each_error ... ok\ntest a::b ... FAILED\ntest c ... FAILED\nerror: test failed";
        assert_eq!(failed(text), "a::b, c");
        assert_eq!(failed("error: no such command"), "error: no such command");
        assert_eq!(failed(""), "no test says why");
    }

    #[test]
    fn the_programs_are_those_of_rules() {
        let all = files(|_| true).expect("sources");
        for name in ["conformance_dc", "peer", "races", "lines", "walks"] {
            assert!(all.iter().any(|n| n == name), "{name}");
        }
        for name in ["conformance_table", "random_lockstep", "ownership_dma"] {
            assert!(all.iter().all(|n| n != name), "{name}");
        }
    }
}
