//! The pin files agree with the boards' own crates.

use rust_hdl::prelude::{Atom, Constraint};
use rust_hdl_bsp_alchitry_cu::pins;
use std::collections::{BTreeMap, BTreeSet};

/// Pins of a .pcf file by signal.
fn pcf(name: &str) -> BTreeMap<String, String> {
    let path = format!("{}/../constraints/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the pin file");
    let mut out = BTreeMap::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or("").trim();
        if line.is_empty() {
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let ["set_io", signal, pin] = words[..] else {
            panic!("`{line}` is not `set_io SIGNAL PIN`");
        };
        let before = out.insert(signal.to_string(), pin.to_string());
        assert!(before.is_none(), "{signal} has two pins");
    }
    out
}

/// What the crate of the board says about one signal.
fn board(name: &str, signal: &dyn Atom) -> BTreeMap<String, String> {
    let one = signal.bits() == 1;
    signal
        .constraints()
        .into_iter()
        .filter_map(|c| match c.constraint {
            Constraint::Location(pin) if one => Some((name.to_string(), pin)),
            Constraint::Location(pin) => Some((format!("{name}[{}]", c.index), pin)),
            _ => None,
        })
        .collect()
}

#[test]
fn alchitry_cu() {
    let file = pcf("alchitry-cu.pcf");
    let mut expected = board("clock", &pins::clock());
    expected.extend(board("leds", &pins::leds()));
    assert_eq!(expected.len(), 9, "the board's crate changed");
    for (signal, pin) in &expected {
        assert_eq!(file.get(signal), Some(pin), "{signal}");
    }
    let rest: Vec<&str> = file
        .keys()
        .filter(|s| !expected.contains_key(*s))
        .map(String::as_str)
        .collect();
    assert_eq!(rest, ["reset_n", "uart_rx", "uart_tx"]);
}

#[test]
fn no_pin_twice() {
    let file = pcf("alchitry-cu.pcf");
    let distinct: BTreeSet<&String> = file.values().collect();
    assert_eq!(distinct.len(), file.len());
}
