//! The scripting interface, line by line.

mod support;

use std::io::{self, BufReader, Cursor, Read};

use portcullis_sim::core::Core;
use portcullis_sim::play::{PlayError, play};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::{Defects, broken, fake};

/// Plays a script on the behavioural core; returns the answers.
fn answers(script: &[u8]) -> Vec<Value> {
    let mut out = Vec::new();
    play(Cursor::new(script), &mut out, &fake).expect("no hang");
    lines(&out)
}

fn lines(out: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(out).expect("UTF-8");
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// Answers of lines that follow a reset.
fn after_reset(lines: &[&str]) -> Vec<Value> {
    let script = format!("{{\"op\":\"reset\"}}\n{}\n", lines.join("\n"));
    let mut all = answers(script.as_bytes());
    assert_eq!(all.len(), lines.len() + 1);
    all.remove(0);
    all
}

const SET_UP: [&str; 8] = [
    r#"{"op":"mem_write","addr":"0x100020","data":"0100000000000000"}"#,
    r#"{"op":"mem_write","addr":"0x100038","data":"0102000000000080"}"#,
    r#"{"op":"mem_write","addr":"0x201000","data":"0108080000000000"}"#,
    r#"{"op":"mem_write","addr":"0x202000","data":"010c080000000000"}"#,
    r#"{"op":"mem_write","addr":"0x203028","data":"d700002000000000"}"#,
    r#"{"op":"reg_write","offset":24,"size":8,"value":"0x80003"}"#,
    r#"{"op":"reg_write","offset":72,"size":4,"value":1}"#,
    r#"{"op":"reg_write","offset":16,"size":8,"value":"0x40002"}"#,
];

#[test]
fn the_first_lines_of_the_readme() {
    let got = answers(
        b"{\"op\":\"reset\",\"config\":\"tiny\"}\n{\"op\":\"reg_read\",\"offset\":0,\"size\":8}\n",
    );
    assert_eq!(
        got[0],
        json!({"config": "tiny", "capabilities": "0x0000002010000210", "cycle": 0, "irq": 0})
    );
    assert_eq!(got[1]["value"], "0x0000002010000210");
    assert!(got[1]["cycle"].as_u64().is_some_and(|cycle| cycle >= 1));
}

#[test]
fn a_whole_conversation() {
    let mut script = SET_UP.to_vec();
    script.extend([
        r#"{"op":"translate","reqs":[{"device_id":1,"priv":false,"access":"r","kind":"untranslated","iova":"0x5678"},
           {"device_id":1,"priv":false,"access":"w","kind":"untranslated","iova":20480},
           {"device_id":1,"priv":false,"access":"r","kind":"untranslated","iova":"0x6000"}],"pace":"pipelined"}"#,
        r#"{"op":"stats"}"#,
        r#"{"op":"mem_read","addr":"0x203028","len":8}"#,
        r#"{"op":"step","cycles":100}"#,
        r#"{"op":"wait","offset":16,"mask":"0xf","value":2,"timeout":10}"#,
        r#"{"op":"wait","offset":16,"mask":"0xf","value":3,"timeout":10}"#,
        r#"{"op":"wait","offset":0,"mask":"0x3f00000000","value":"0x2000000000","timeout":0}"#,
    ]);
    let script: Vec<String> = script.iter().map(|line| line.replace('\n', " ")).collect();
    let got = after_reset(&script.iter().map(String::as_str).collect::<Vec<_>>());
    for answer in &got {
        assert!(answer["error"].is_null(), "{answer}");
        assert!(
            answer["cycle"].is_u64() && answer["irq"].is_u64(),
            "{answer}"
        );
    }
    let rsps = &got[8]["rsps"];
    assert_eq!(rsps[0]["pa"], "0x0000000080000678");
    assert_eq!(
        (&rsps[0]["status"], &rsps[0]["size"]),
        (&json!("ok"), &json!(4096))
    );
    assert_eq!(rsps[1]["pa"], "0x0000000080000000");
    assert_eq!(
        rsps[1]["answered"]
            .as_u64()
            .zip(rsps[1]["issued"].as_u64())
            .map(|(to, from)| to - from),
        Some(2)
    );
    assert_eq!(
        (&rsps[2]["status"], &rsps[2]["size"]),
        (&json!("fault"), &json!(0))
    );
    assert_eq!(rsps[2]["pa"], "0x0000000000000000");
    let stats = &got[9];
    assert_eq!(stats["reads"]["ddt"], 1);
    assert_eq!(stats["reads"]["pte"], 6);
    for purpose in ["ddt", "pdt", "pte", "msi", "command", "fault", "fence"] {
        assert!(stats["reads"][purpose].is_u64() && stats["writes"][purpose].is_u64());
    }
    assert_eq!(
        (
            &stats["walks"],
            &stats["hits"]["iotlb"],
            &stats["misses"]["context"]
        ),
        (&json!(2), &json!(1), &json!(1))
    );
    assert_eq!(got[10]["data"], "d700002000000000");
    assert_eq!(
        got[11]["cycle"].as_u64(),
        got[10]["cycle"].as_u64().map(|cycle| cycle + 100)
    );
    assert_eq!(
        (&got[12]["timed_out"], &got[12]["value"]),
        (&json!(false), &json!("0x0000000000040002"))
    );
    assert_eq!(got[13]["timed_out"], true);
    assert_eq!(
        (&got[14]["timed_out"], &got[14]["value"]),
        (&json!(false), &json!("0x0000002010000210"))
    );
}

#[test]
fn serial_requests_follow_answers() {
    let mut script = SET_UP.to_vec();
    let two = r#"{"device_id":1,"access":"r","iova":"0x5000"},{"device_id":1,"access":"r","iova":"0x5000"}"#;
    let line = format!(r#"{{"op":"translate","reqs":[{two}],"pace":"serial"}}"#);
    script.push(&line);
    let got = after_reset(&script);
    let rsps = got.last().map(|answer| &answer["rsps"]).expect("answer");
    assert!(rsps[1]["issued"].as_u64() > rsps[0]["answered"].as_u64());
    assert_eq!(
        after_reset(&[r#"{"op":"translate","reqs":[]}"#])[0]["rsps"],
        json!([])
    );
}

#[test]
fn injected_faults_reach_the_walk() {
    let mut script = SET_UP.to_vec();
    let translate = r#"{"op":"translate","reqs":[{"device_id":1,"access":"r","iova":"0x5000"}]}"#;
    script.extend([
        r#"{"op":"mem_fault","addr":"0x203000","len":4096,"kind":"access","on":"read"}"#,
        translate,
        r#"{"op":"mem_fault","addr":"0x203000","len":4096,"kind":"none","on":"both"}"#,
        translate,
    ]);
    let got = after_reset(&script);
    assert_eq!(got[9]["rsps"][0]["status"], "fault");
    assert_eq!(got[11]["rsps"][0]["status"], "ok");
}

#[test]
fn nothing_but_reset_is_understood_first() {
    let got = answers(b"{\"op\":\"stats\"}\n{\"op\":\"reset\",\"config\":\"huge\"}\n{\"op\":\"step\",\"cycles\":1}\n");
    for (at, answer) in got.iter().enumerate() {
        assert_eq!(answer["line"], at + 1);
        assert_eq!(
            answer.as_object().map(serde_json::Map::len),
            Some(2),
            "{answer}"
        );
    }
    assert_eq!(got[0]["error"], "the first op must be reset");
    assert!(
        got[1]["error"]
            .as_str()
            .is_some_and(|text| text.contains("`huge`") && text.contains("tiny"))
    );
}

#[test]
fn what_is_not_understood_is_an_error_and_changes_nothing() {
    let bad = [
        "",
        "nonsense",
        "[]",
        "{}",
        r#"{"op":"stats""#,
        r#"{"op":"fly"}"#,
        r#"{"op":"stats","x":1}"#,
        r#"{"op":"stats"} {"op":"stats"}"#,
        r#"{"op":"step"}"#,
        r#"{"op":"step","cycles":-1}"#,
        r#"{"op":"step","cycles":1.5}"#,
        r#"{"op":"step","cycles":"7"}"#,
        r#"{"op":"step","cycles":"0x"}"#,
        r#"{"op":"step","cycles":"0x+1"}"#,
        r#"{"op":"step","cycles":"0x10000000000000000"}"#,
        r#"{"op":"step","cycles":99999999999999999999}"#,
        r#"{"op":"step","cycles":1,"cycles":1}"#,
        r#"{"op":"reset","mem":{"latency":0}}"#,
        r#"{"op":"reset","mem":{"latency":100001}}"#,
        r#"{"op":"reset","mem":{"speed":1}}"#,
        r#"{"op":"mem_write","addr":0,"data":"1"}"#,
        r#"{"op":"mem_write","addr":0,"data":"zz"}"#,
        r#"{"op":"mem_write","addr":0,"data":"ää"}"#,
        r#"{"op":"mem_write","addr":"0xffffffffffffffff","data":"0000"}"#,
        r#"{"op":"mem_read","addr":0,"len":1048577}"#,
        r#"{"op":"mem_read","addr":"0xfffffffffffffff8","len":9}"#,
        r#"{"op":"mem_fault","addr":0,"len":8,"kind":"nice","on":"read"}"#,
        r#"{"op":"mem_fault","addr":0,"len":8,"kind":"access","on":"never"}"#,
        r#"{"op":"reg_read","offset":0,"size":2}"#,
        r#"{"op":"reg_read","offset":4096,"size":4}"#,
        r#"{"op":"reg_write","offset":8,"size":4,"value":"0x100000000"}"#,
        r#"{"op":"translate","reqs":[{"device_id":"0x1000000","access":"r","iova":0}]}"#,
        r#"{"op":"translate","reqs":[{"device_id":1,"process_id":1048576,"access":"r","iova":0}]}"#,
        r#"{"op":"translate","reqs":[{"device_id":1,"access":"rw","iova":0}]}"#,
        r#"{"op":"translate","reqs":[{"device_id":1,"access":"r","iova":0,"colour":1}]}"#,
        r#"{"op":"translate","reqs":[{"device_id":1,"access":"r","iova":0}],"pace":"slow"}"#,
        r#"{"op":"translate","reqs":[{"device_id":1,"access":"r","iova":0},{"device_id":1}]}"#,
    ];
    let got = after_reset(&bad);
    for (at, (answer, line)) in got.iter().zip(bad).enumerate() {
        assert!(answer["error"].is_string(), "{line}: {answer}");
        assert_eq!(answer["line"], at + 2, "{line}");
    }
    let mut script: Vec<u8> = b"{\"op\":\"reset\"}\n".to_vec();
    script.extend(bad.join("\n").bytes());
    script.extend(b"\n\xff\xfe\n{\"op\":\"stats\"}");
    let got = answers(&script);
    assert_eq!(got.len(), bad.len() + 3);
    assert_eq!(got.last().map(|answer| &answer["cycle"]), Some(&json!(0)));
}

#[test]
fn a_refused_reset_keeps_the_session() {
    let got = after_reset(&[
        r#"{"op":"step","cycles":5}"#,
        r#"{"op":"reset","config":"none"}"#,
        r#"{"op":"stats"}"#,
        r#"{"op":"reset","mem":{"latency":1,"interval":2,"jitter":3,"seed":"0xffffffffffffffff"}}"#,
    ]);
    assert_eq!((&got[2]["cycle"], &got[3]["cycle"]), (&json!(5), &json!(0)));
}

#[test]
fn an_endless_line_is_refused_and_skipped() {
    let long = io::repeat(b'x').take(40 << 20);
    let rest = Cursor::new(b"\n{\"op\":\"reset\"}\n".to_vec());
    let mut out = Vec::new();
    play(BufReader::new(long.chain(rest)), &mut out, &fake).expect("no hang");
    let got = lines(&out);
    assert_eq!(got.len(), 2);
    assert_eq!(
        (&got[0]["line"], &got[1]["config"]),
        (&json!(1), &json!("tiny"))
    );
}

#[test]
fn a_hang_ends_the_run_with_one_error() {
    let mute = |_: &'static _| {
        Ok::<Box<dyn Core>, String>(broken(Defects {
            mute: true,
            ..Defects::default()
        }))
    };
    let script = concat!(
        "{\"op\":\"reset\"}\n",
        "{\"op\":\"translate\",\"reqs\":[{\"device_id\":1,\"access\":\"r\",\"iova\":0}]}\n",
        "{\"op\":\"stats\"}\n"
    );
    let mut out = Vec::new();
    let error = play(Cursor::new(script), &mut out, &mute).expect_err("a hang");
    assert!(matches!(error, PlayError::Hardware(_)));
    let got = lines(&out);
    assert_eq!(got.len(), 2);
    assert!(
        got[1]["error"]
            .as_str()
            .is_some_and(|text| text.starts_with("hang"))
    );
}

proptest! {
    #[test]
    fn any_bytes_are_answered_line_by_line(script in prop::collection::vec(any::<u8>(), 0..400)) {
        let count = script.strip_suffix(b"\n").unwrap_or(&script).split(|byte| *byte == b'\n').count();
        let expected = if script.is_empty() { 0 } else { count };
        prop_assert_eq!(answers(&script).len(), expected);
    }

    #[test]
    fn numbers_are_read_in_both_forms(value in any::<u64>()) {
        let line = format!(r#"{{"op":"mem_read","addr":{},"len":0}}"#, value);
        let hex = format!(r#"{{"op":"mem_read","addr":"{value:#x}","len":"0x0"}}"#);
        let got = after_reset(&[&line, &hex]);
        prop_assert_eq!(&got[0], &got[1]);
        prop_assert_eq!(&got[0]["data"], "");
    }
}
