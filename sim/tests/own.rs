//! `portcullis own` as a user meets it: timeline, files, exit statuses, and that it can fail.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).expect("a directory");
    path
}

fn own(args: &[&str]) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .arg("own")
        .args(args)
        .output()
        .expect("the command");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code(), text(stdout), text(stderr))
}

/// What the device reached in the call of that name, and how often.
fn reached(json: &Value, call: &str) -> Vec<(String, u64)> {
    let timeline = json["device"].as_array().expect("a timeline");
    let found = timeline.iter().find(|stretch| stretch["call"] == call);
    let reached = found.unwrap_or_else(|| panic!("no call {call}"))["reached"].as_array();
    reached
        .expect("what was reached")
        .iter()
        .map(|r| {
            (
                r["colour"].as_str().unwrap_or("").to_owned(),
                r["accesses"].as_u64().unwrap_or(0),
            )
        })
        .collect()
}

#[test]
fn a_device_changes_hands() {
    let directory = directory("own");
    let path = |name: &str| directory.join(name).display().to_string();
    let (json, html, wave) = (path("own.json"), path("own.html"), path("own.vcd"));
    let args = [
        "--config",
        "linux",
        "--latency",
        "4",
        "--json",
        &json,
        "--html",
        &html,
        "--wave",
        &wave,
    ];
    let (status, text, error) = own(&args);
    assert_eq!((status, error.as_str()), (Some(0), ""), "{text}");
    for call in [
        "claim",
        "attach red",
        "replace_hitless red by blue",
        "detach",
        "release",
    ] {
        assert!(text.contains(call), "{call} in {text}");
    }
    let json: Value =
        serde_json::from_str(&fs::read_to_string(json).expect("a file")).expect("JSON");
    assert_eq!(
        (&json["wrong"], &json["refused_while_hitless"]),
        (&Value::Null, &Value::from(0))
    );
    let only = |call: &str, colours: &[&str]| {
        let reached = reached(&json, call);
        assert!(!reached.is_empty(), "{call}: the device did not try");
        assert!(
            reached.iter().all(|(c, _)| colours.contains(&c.as_str())),
            "{call}: {reached:?}"
        );
    };
    only("claim", &["identity", "blocked"]);
    only("attach red", &["blocked", "red"]);
    only("replace_hitless red by blue", &["red", "blue"]);
    only(
        "replace blue by green (Sv48)",
        &["blue", "blocked", "green"],
    );
    only("detach", &["green", "blocked"]);
    let html = fs::read_to_string(html).expect("a page");
    assert!(html.starts_with("<!DOCTYPE html>") && html.ends_with("</html>\n"));
    assert!(
        html.contains("IODIR.INVAL_DDT 0x25") && !html.contains("http"),
        "self-contained"
    );
    assert!(fs::metadata(wave).expect("waves").len() > 100_000);
}

#[test]
fn the_same_seed_shows_the_same() {
    let first = own(&["--config", "tiny", "--seed", "7"]);
    assert_eq!(first, own(&["--config", "tiny", "--seed", "7"]));
    assert_ne!(first, own(&["--config", "tiny", "--seed", "8"]));
    assert!(
        first.1.contains("--config linux"),
        "says what tiny cannot show: {}",
        first.1
    );
}

#[test]
fn a_broken_protocol_is_one_sentence_and_status_1() {
    let (status, text, error) = own(&["--config", "tiny", "--sabotage", "no-wait"]);
    assert_eq!((status, error.lines().count()), (Some(1), 1), "{error}");
    assert!(
        error.starts_with("portcullis: cycle ") && error.contains("seed 1"),
        "{error}"
    );
    assert!(!text.contains("every one where it may go"), "{text}");
}

#[test]
fn bad_input_is_one_sentence_and_status_2() {
    for (args, word) in [
        (&["--config", "huge"][..], "huge"),
        (&["--html", "same", "--json", "same"], "same"),
        (&["--html", "/nowhere/page.html"], "/nowhere/page.html"),
        (&["--wave", "/nowhere/own.vcd"], "/nowhere/own.vcd"),
        (&["--backend", "model"], "model"),
    ] {
        let (status, text, error) = own(args);
        assert_eq!(
            (status, text.as_str(), error.lines().count()),
            (Some(2), "", 1),
            "{args:?}: {error}"
        );
        assert!(error.contains(word), "{args:?}: {error}");
    }
}
