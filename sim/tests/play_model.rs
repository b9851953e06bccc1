//! The golden model behind the scripting interface: the same answers as the hardware, apart from time.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use portcullis_sim::backend::Backend;
use portcullis_sim::play::{play, play_model};
use serde_json::{Value, json};

fn lines(out: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(out).expect("UTF-8");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

fn on_model(script: &str) -> Vec<Value> {
    let mut out = Vec::new();
    play_model(Cursor::new(script), &mut out).expect("a conversation");
    lines(&out)
}

fn on_rtl(script: &str) -> Vec<Value> {
    let mut out = Vec::new();
    play(Cursor::new(script), &mut out, &|config| {
        Backend::Rtl.core(config)
    })
    .expect("no hang");
    lines(&out)
}

/// The answer to a line without what only time decides. A wire follows a write within cycles, here at once.
fn timeless(line: &str, answer: &Value) -> Value {
    let mut answer = answer.clone();
    let object = answer.as_object_mut().expect("an object");
    object.remove("cycle");
    if line.contains("reg_write") || line.contains("wait") {
        object.remove("irq");
    }
    for rsp in object
        .get_mut("rsps")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        let rsp = rsp.as_object_mut().expect("an object");
        assert!(rsp.remove("issued").is_some() && rsp.remove("answered").is_some());
    }
    answer
}

#[track_caller]
fn agree(script: &str) -> Vec<Value> {
    let (model, rtl) = (on_model(script), on_rtl(script));
    let asked: Vec<&str> = script.lines().collect();
    assert_eq!((model.len(), rtl.len()), (asked.len(), asked.len()));
    for ((line, model), rtl) in asked.iter().zip(&model).zip(&rtl) {
        assert_eq!(timeless(line, model), timeless(line, rtl), "{line}");
    }
    model
}

/// The scripts that the documentation shows: blocks of JSON, and what README pipes into `play`.
fn documented() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = |name: &str| fs::read_to_string(root.join(name)).expect("a page");
    let blocks = page("docs/play.md");
    let mut scripts: Vec<String> = blocks
        .split("```json\n")
        .skip(1)
        .filter_map(|rest| rest.split_once("```").map(|(script, _)| script.to_owned()))
        .collect();
    let readme = page("README.md");
    let piped = readme
        .lines()
        .filter(|line| line.contains("printf '") && line.contains("play -"))
        .filter_map(|line| line.split('\'').nth(1));
    scripts.extend(piped.map(|script| script.replace("\\n", "\n")));
    scripts
}

#[test]
fn the_scripts_of_the_documentation_agree_with_the_hardware() {
    let scripts = documented();
    assert!(scripts.len() >= 2, "{} scripts", scripts.len());
    for script in scripts {
        // As it stands, and with the other configuration
        for config in ["tiny", "linux"] {
            let answers = agree(&script.replace("\"tiny\"", &format!("{config:?}")));
            assert!(answers.iter().all(|answer| answer.get("error").is_none()));
        }
    }
}

#[test]
fn the_example_does_what_the_page_says() {
    let script = documented().swap_remove(0);
    let answers = on_model(&script);
    let rsps = answers
        .iter()
        .find_map(|answer| answer.get("rsps"))
        .expect("a translation");
    assert_eq!(rsps[0]["pa"], "0x0000000080005123");
    assert_eq!(rsps[1]["pa"], "0x0000000080005008");
    assert_eq!(rsps[2]["status"], "fault");
    // And its time is requests
    assert_eq!(
        (&rsps[0]["issued"], &rsps[2]["answered"]),
        (&json!(1), &json!(3))
    );
    assert_eq!(
        answers.last().map(|answer| &answer["cycle"]),
        Some(&json!(3))
    );
}

#[test]
fn errors_memory_faults_and_commands_agree_with_the_hardware() {
    // Given a script with mistakes, a queue that stops, planted errors, a fence that stores, and interrupts by wire
    let script = r#"{"op":"reg_read","offset":0,"size":8}
{"op":"reset","config":"huge"}
{"op":"reset","config":"linux","mem":{"latency":3}}
{"op":"reg_write","offset":8,"size":4,"value":2}
{"op":"reg_read","offset":8,"size":4}
{"op":"reg_read","offset":5000,"size":4}
nonsense
{"op":"mem_write","addr":"0x10002000","data":"0204000078563412002000040000000000000000000000000000000000000000"}
{"op":"reg_write","offset":24,"size":8,"value":"0x4000803"}
{"op":"reg_write","offset":72,"size":4,"value":3}
{"op":"wait","offset":72,"mask":"0x30000","value":"0x10000","timeout":1000}
{"op":"reg_write","offset":36,"size":4,"value":2}
{"op":"wait","offset":72,"mask":"0x400","value":"0x400","timeout":1000}
{"op":"reg_read","offset":32,"size":4}
{"op":"mem_read","addr":"0x10008000","len":8}
{"op":"reg_read","offset":84,"size":4}
{"op":"mem_fault","addr":"0x10000000","len":4096,"kind":"access","on":"read"}
{"op":"reg_write","offset":16,"size":8,"value":"0x4000004"}
{"op":"wait","offset":16,"mask":16,"value":0,"timeout":1000}
{"op":"translate","reqs":[{"device_id":5,"access":"x","iova":"0x1000"},{"device_id":"0x1000000","access":"x","iova":0}]}
{"op":"translate","reqs":[{"device_id":5,"access":"x","iova":"0x1000","kind":"ats","process_id":3,"priv":true}]}
{"op":"wait","offset":32,"mask":255,"value":9,"timeout":50}
{"op":"mem_read","addr":"0xffffffffffffffff","len":1}
{"op":"mem_read","addr":"0xffffffffffffffff","len":2}
{"op":"step","cycles":10}"#;
    // Then both say the same
    let answers = agree(script);
    assert_eq!(answers[0]["error"], "the first op must be reset");
    assert_eq!(answers[14]["data"], "7856341200000000");
    assert_eq!(answers[15]["irq"], 1);
    assert_eq!(answers[21]["timed_out"], true);
}

#[test]
fn what_makes_no_sense_without_a_clock_is_said_in_one_sentence() {
    let answers = on_model(
        "{\"op\":\"reset\"}\n{\"op\":\"stats\"}\n{\"op\":\"reg_read\",\"offset\":0,\"size\":8}\n",
    );
    let error = answers[1]["error"].as_str().expect("an error");
    assert!(
        error.contains("stats") && error.contains("--backend rtl"),
        "{error}"
    );
    assert_eq!(answers[1]["line"], 2);
    // And the conversation goes on
    assert_eq!(answers[2]["value"], "0x0000002010000210");
}

#[test]
fn time_moves_the_cycle_counter_only() {
    let answers = on_model(
        "{\"op\":\"reset\",\"config\":\"linux\"}\n{\"op\":\"step\",\"cycles\":1000}\n{\"op\":\"reg_read\",\"offset\":96,\"size\":8}\n\
         {\"op\":\"wait\",\"offset\":96,\"mask\":\"0xffffffff\",\"value\":3000,\"timeout\":2000}\n",
    );
    assert_eq!(answers[2]["value"], "0x00000000000003e8");
    assert_eq!(
        (&answers[3]["value"], &answers[3]["timed_out"]),
        (&json!("0x0000000000000bb8"), &json!(false))
    );
    assert_eq!(answers[3]["cycle"], 0);
}
