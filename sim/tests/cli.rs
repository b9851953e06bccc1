//! The command as a user meets it: results, bad input, exit statuses, files.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const STRICT: &str = include_str!("../../traces/linux-vtd-nvme-e1000e-strict.log");

/// A directory of one test, empty at its start.
fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).expect("a directory");
    path
}

fn portcullis(args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command");
    // A command that does not read its input may be gone already.
    let _ = child
        .stdin
        .take()
        .expect("stdin")
        .write_all(input.as_bytes());
    child.wait_with_output().expect("the command")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// Exit status 2, nothing on standard output, one line on standard error that has all these words.
fn refused(args: &[&str], words: &[&str]) {
    let output = portcullis(args, "");
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {error}");
    assert_eq!(text(&output.stdout), "", "{args:?}");
    assert_eq!(error.lines().count(), 1, "{args:?}: {error}");
    assert!(error.starts_with("portcullis: "), "{error}");
    for word in words {
        assert!(error.contains(word), "{word} in {error}");
    }
}

/// A log of the first DMAs of the recorded one.
fn small_log(directory: &Path) -> String {
    let path = directory.join("small.log");
    let lines: Vec<&str> = STRICT.lines().take(60).collect();
    fs::write(&path, lines.join("\n")).expect("a log");
    path.display().to_string()
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

#[test]
fn a_run_prints_a_table_and_writes_its_files() {
    let directory = directory("run");
    let log = small_log(&directory);
    let at = |name: &str| directory.join(name).display().to_string();
    let output = portcullis(
        &[
            "run",
            "--trace",
            &log,
            "--trace",
            &log,
            "--latency",
            "5",
            "--json",
            &at("a.json"),
            "--report",
            &at("a.html"),
            "--waves",
            &at("a.vcd"),
        ],
        "",
    );
    let table = text(&output.stdout);
    assert_eq!(
        (output.status.code(), text(&output.stderr).as_str()),
        (Some(0), ""),
        "{table}"
    );
    assert!(
        table.contains("wrong addresses") && table.contains("tiny, L = 5"),
        "{table}"
    );
    assert_eq!(
        names(&directory),
        ["a-2.vcd", "a.html", "a.json", "a.vcd", "small.log"]
    );
    let json: Value = serde_json::from_slice(&fs::read(at("a.json")).expect("JSON")).expect("JSON");
    assert_eq!(
        (&json["wrong"], &json["traces"][1]),
        (&0.into(), &"small".into())
    );
    assert!(json["touches"].as_u64() > Some(10));
    assert!(
        fs::read_to_string(at("a.html"))
            .expect("HTML")
            .contains("</html>")
    );
    for waves in ["a.vcd", "a-2.vcd"] {
        assert!(
            fs::read_to_string(at(waves))
                .expect("VCD")
                .contains("$enddefinitions")
        );
    }
}

#[test]
fn logs_that_cannot_be_used_are_refused() {
    let directory = directory("logs");
    let json = directory.join("out.json").display().to_string();
    let log = |name: &str, content: &[u8]| {
        let path = directory.join(name);
        fs::write(&path, content).expect("a log");
        path.display().to_string()
    };
    let run = |log: &str, words: &[&str]| {
        refused(&["run", "--json", &json, "--trace", log], words);
        assert!(!names(&directory).iter().any(|name| name.contains("json")));
    };
    let missing = directory.join("missing.log").display().to_string();
    run(&missing, &["missing.log", "No such file", "--trace"]);
    run(&directory.display().to_string(), &["logs", "directory"]);
    run(&log("empty.log", b""), &["empty.log", "no DMA"]);
    run(&log("none.log", b"hello\n"), &["none.log", "no DMA"]);
    run(&log("bytes.log", &[0xff; 100]), &["bytes.log", "no DMA"]);
    run(
        &log("bad.log", b"x\nvtd_dmar_translate dev 00:04.00\n"),
        &["bad.log:2:", "iova"],
    );
    run(
        &log(
            "far.log",
            b"vtd_dmar_translate dev 80:04.00 iova 0x0 -> gpa 0x0 mask 0xfff\n",
        ),
        &["far.log:1:", "80:04.0", "tiny"],
    );
    // A good log does not help a bad one.
    let good = small_log(&directory);
    refused(
        &["run", "--trace", &good, "--trace", &missing],
        &["missing.log"],
    );
}

#[test]
fn arguments_that_cannot_be_used_are_refused() {
    let directory = directory("arguments");
    let log = small_log(&directory);
    let nowhere = directory.join("no/such/place").display().to_string();
    refused(&["run", "--config", "huge"], &["`huge`", "tiny"]);
    refused(
        &["run", "--trace", &log, "--json", &nowhere],
        &["no/such/place", "No such file"],
    );
    refused(
        &["run", "--trace", &log, "--report", &nowhere],
        &["no/such/place"],
    );
    refused(
        &["run", "--trace", &log, "--waves", &nowhere],
        &["no/such/place"],
    );
    refused(
        &[
            "run",
            "--trace",
            &log,
            "--json",
            &directory.display().to_string(),
        ],
        &["directory"],
    );
    let same = directory.join("same").display().to_string();
    refused(
        &["run", "--trace", &log, "--json", &same, "--report", &same],
        &["same file"],
    );
    refused(
        &["run", "--backend", "model"],
        &["model", "no clock", "--backend rtl"],
    );
    refused(&["play", &nowhere], &["no/such/place"]);
    refused(&["play", &directory.display().to_string()], &["directory"]);
    refused(
        &["verilog", "--config", "huge", "-o", &nowhere],
        &["`huge`"],
    );
    refused(&["verilog", "--config", "tiny", "-o", &log], &["small.log"]);
    // These are clap's own words.
    for args in [
        &["fly"][..],
        &["run", "--latency", "0"],
        &["run", "--latency", "x"],
        &["run", "--speed", "9"],
    ] {
        assert_eq!(portcullis(args, "").status.code(), Some(2), "{args:?}");
    }
    assert_eq!(names(&directory), ["small.log"]);
}

#[test]
fn an_existing_report_survives_a_refused_run() {
    let directory = directory("survives");
    let json = directory.join("a.json");
    fs::write(&json, "old").expect("a file");
    let missing = directory.join("missing.log").display().to_string();
    refused(
        &[
            "run",
            "--trace",
            &missing,
            "--json",
            &json.display().to_string(),
        ],
        &["missing.log"],
    );
    assert_eq!(fs::read_to_string(&json).expect("a file"), "old");
    assert_eq!(names(&directory), ["a.json"]);
}

#[test]
fn play_answers_the_script_of_the_readme() {
    let script = "{\"op\":\"reset\",\"config\":\"tiny\"}\n{\"op\":\"reg_read\",\"offset\":0,\"size\":8}\nnonsense\n";
    let directory = directory("play");
    let path = directory.join("script.jsonl");
    fs::write(&path, script).expect("a script");
    let file = path.display().to_string();
    for (args, input) in [
        (&["play"][..], script),
        (&["play", "-"], script),
        (&["play", "--backend", "rtl", &file], ""),
        (&["play", "--backend", "model", &file], ""),
    ] {
        let output = portcullis(args, input);
        assert_eq!(
            (output.status.code(), text(&output.stderr).as_str()),
            (Some(0), ""),
            "{args:?}"
        );
        let answers: Vec<Value> = text(&output.stdout)
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        assert_eq!(answers.len(), 3);
        assert_eq!(answers[0]["capabilities"], "0x0000002010000210");
        assert_eq!(answers[1]["value"], "0x0000002010000210");
        assert_eq!(answers[2]["line"], 3);
    }
    let nothing = portcullis(&["play"], "");
    assert_eq!((nothing.status.code(), nothing.stdout.len()), (Some(0), 0));
}

#[test]
fn verilog_is_written_whole() {
    let directory = directory("verilog");
    let into = directory.join("a/b").display().to_string();
    let output = portcullis(&["verilog", "--config", "tiny", "-o", &into], "");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(names(&directory.join("a/b")), ["portcullis_tiny.v"]);
    let verilog = fs::read_to_string(directory.join("a/b/portcullis_tiny.v")).expect("Verilog");
    assert!(verilog.contains("module portcullis_tiny") && verilog.contains("endmodule"));
}

#[test]
fn build_systems_get_their_files_beside_the_verilog() {
    let directory = directory("cores");
    let into = directory.display().to_string();
    let mut args = vec!["verilog", "--config", "tiny", "--fusesoc", "--litex"];
    args.extend(["-o", &into]);
    refused(&args, &["--litex", "--bus axi"]);
    assert!(names(&directory).is_empty());
    args.extend(["--bus", "axi"]);
    let output = portcullis(&args, "");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let wanted = ["core", "py", "v", "vlt"].map(|e| format!("portcullis_tiny_axi.{e}"));
    assert_eq!(names(&directory), wanted);
}

#[test]
fn the_table_of_areas_is_that_of_the_readme() {
    let output = portcullis(&["area", "--table"], "");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    assert!(table.lines().count() > 8, "{table}");
    assert!(include_str!("../../README.md").contains(&table), "{table}");
    let missing = ["area", "--config", "tiny", "--record", "/nowhere/figures"];
    refused(&missing, &["/nowhere/figures"]);
}

#[test]
fn bench_prints_figures_with_their_bounds() {
    let bench = |more: &[&str]| {
        let mut args = vec![
            "bench",
            "--config",
            "tiny",
            "--latency",
            "3",
            "--only",
            "hit_latency",
        ];
        args.extend(more);
        portcullis(&args, "")
    };
    let directory = directory("bench");
    let record = directory.join("record.json").display().to_string();
    let table = bench(&["--check", "--record", &record]);
    assert_eq!(table.status.code(), Some(0), "{}", text(&table.stderr));
    let table = text(&table.stdout);
    assert!(
        table.contains("tiny on rtl") && table.contains("all 1 figures with a bound are within it"),
        "{table}"
    );
    let kept = fs::read_to_string(&record).expect("a record");
    let kept: Value = serde_json::from_str(&kept).expect("JSON");
    assert_eq!(kept["tiny"]["figures"]["hit_latency"]["3"], 2.0);

    let same = bench(&["--record", &record, "--unchanged"]);
    assert_eq!(same.status.code(), Some(0), "{}", text(&same.stderr));
    fs::write(&record, r#"{"tiny":{"figures":{"hit_latency":{"3":3.0}}}}"#).expect("a record");
    let other = bench(&["--record", &record, "--unchanged"]);
    assert_eq!(other.status.code(), Some(1));
    let error = text(&other.stderr);
    assert!(error.contains("faster than 3"), "{error}");

    let json: Value = serde_json::from_slice(&bench(&["--json"]).stdout).expect("JSON");
    assert_eq!(json["config"], "tiny");
    let figure = &json["figures"][0];
    assert_eq!(
        (
            &figure["name"],
            &figure["L"],
            &figure["value"],
            &figure["bound"],
            &figure["met"]
        ),
        (
            &"hit_latency".into(),
            &3.into(),
            &2.0.into(),
            &2.0.into(),
            &true.into()
        )
    );
}

#[test]
fn bench_refuses_what_it_cannot_measure() {
    refused(
        &["bench", "--only", "speed"],
        &["no figure speed", "hit_latency"],
    );
    refused(&["bench", "--config", "huge"], &["huge", "tiny, linux"]);
    refused(
        &["bench", "--config", "tiny", "--only", "cold_3lvl"],
        &["tiny", "cold_3lvl"],
    );
    let directory = directory("bench-refused");
    let record = directory.join("record.json").display().to_string();
    refused(
        &[
            "bench", "--record", &record, "--as", "tiny", "--note", "slow",
        ],
        &["--as tiny", "configuration"],
    );
    assert_eq!(names(&directory), [""; 0]);
    let bad = directory.join("bad.json");
    fs::write(&bad, "[]").expect("a file");
    let bad = bad.display().to_string();
    refused(&["bench", "--record", &bad], &["bad.json", "record"]);
    let nowhere = directory.join("none/record.json").display().to_string();
    refused(&["bench", "--record", &nowhere], &["none"]);
}
