//! Section 2.6, operation by operation: the N-th access of the platform that an operation makes fails, for every N, once,
//! twice or for good. Devices look on at every step: old, new or nothing; a refusal leaves the state as it was; nothing
//! reachable is freed; after recovery everything is as on record, and whatever comes next works.
//!
//! [`every_operation_is_enumerated`] reads the driver's sources: a public operation that no scenario disturbs fails it.

#[path = "../common/mod.rs"]
mod common;
mod rig;
mod scenarios;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rig::{enumerate, found};
use scenarios::scenarios;

fn all(width: u64, step: usize) {
    let tried: usize = scenarios().iter().map(|s| enumerate(s, width, step)).sum();
    println!("{tried} accesses failed, {width} times each");
    assert!(tried > 500 / step, "{tried}");
}

#[test]
fn crash_points_of_operations_once() {
    all(1, 1);
}

#[test]
fn crash_points_of_operations_twice() {
    all(2, 1);
}

#[test]
fn crash_points_of_operations_for_good() {
    all(u64::MAX, 1);
}

/// Public operations in a source file: methods of types that have a platform, and what their destructors do.
fn operations(stem: &str, text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let (mut header, mut of) = (None::<String>, None::<String>);
    for line in text.lines() {
        if line.starts_with("impl") {
            header = Some(String::new());
        }
        if let Some(lines) = &mut header {
            *lines += line.trim();
            lines.push(' ');
            if line.contains('{') {
                of = owner(lines);
                header = None;
                if let Some(name) = of.as_deref().and_then(|of| of.strip_suffix("::drop")) {
                    let private = name == "Lease";
                    let name = if private {
                        format!("{stem}::{name}")
                    } else {
                        name.to_owned()
                    };
                    found.insert(format!("{name}::drop"));
                    of = None;
                }
            }
            continue;
        }
        if line == "}" {
            of = None;
        }
        let public = line.strip_prefix("    pub ");
        let public = public.map(|rest| {
            let rest = rest.trim_start_matches("const ");
            rest.trim_start_matches("unsafe ")
        });
        if let (Some(of), Some(name)) = (&of, public.and_then(|rest| rest.strip_prefix("fn "))) {
            let name = name.split(['(', '<']).next().unwrap_or_default();
            found.insert(format!("{of}::{name}"));
        }
    }
    found
}

/// The type of an `impl` that has a platform; with `::drop` behind it if that is what it implements.
fn owner(header: &str) -> Option<String> {
    if !header.contains("P: Platform") {
        return None;
    }
    // Behind the parameters of the `impl`.
    let mut depth = 0;
    let end = header.char_indices().find_map(|(at, c)| {
        depth += i32::from(c == '<') - i32::from(c == '>');
        (c == '>' && depth == 0).then_some(at + 1)
    })?;
    let rest = header[end..].trim();
    let name = |text: &str| {
        text.split(['<', ' ', '{'])
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    match rest.split_once(" for ") {
        Some(("Drop", of)) => Some(format!("{}::drop", name(of))),
        Some(_) => None,
        None => Some(name(rest)),
    }
}

/// Given the driver's sources; when its public operations are listed; then some scenario makes each fail at every access
/// that it makes, or has seen that it makes none. What scenarios name exists.
#[test]
fn every_operation_is_enumerated() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut listed = BTreeSet::new();
    for entry in std::fs::read_dir(sources).expect("sources") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|e| e == "rs") {
            let stem = path.file_stem().expect("a name").to_string_lossy();
            let text = std::fs::read_to_string(&path).expect("text");
            listed.extend(operations(&stem, &text));
        }
    }
    assert!(listed.len() > 70, "{listed:?}");
    let (mut disturbed, mut quiet) = (BTreeMap::new(), BTreeSet::new());
    for scenario in &scenarios() {
        let of_it = found(scenario);
        for (name, points) in of_it.points {
            *disturbed.entry(name).or_insert(0) += points;
        }
        quiet.extend(of_it.quiet);
    }
    let idle: Vec<_> = disturbed
        .iter()
        .filter(|(_, points)| **points == 0)
        .collect();
    assert!(idle.is_empty(), "no access to fail: {idle:?}");
    let covered: BTreeSet<String> = disturbed
        .keys()
        .chain(&quiet)
        .map(|name| (*name).to_owned())
        .collect();
    let missing: Vec<_> = listed.difference(&covered).collect();
    assert!(missing.is_empty(), "without points of failure: {missing:?}");
    let unknown: Vec<_> = covered.difference(&listed).collect();
    assert!(
        unknown.is_empty(),
        "no operations of the driver: {unknown:?}"
    );
    let points: usize = disturbed.values().sum();
    println!(
        "{} operations, {points} points of failure in {} of them",
        listed.len(),
        disturbed.len()
    );
}

#[test]
fn operations_are_found() {
    let text = "impl<'i, P: Platform, const N: usize>\n    Thing<'i, P, N>\n{\n    pub unsafe fn go<B: X>(\n    }\n    \
                pub(crate) fn not(\n    fn nor(\n}\nimpl Plain {\n    pub fn no(\n}\nimpl<P: Platform> Drop for Thing<'_, P> \
                {\n    fn drop(&mut self) {\n    }\n}\n";
    let found: Vec<_> = operations("file", text).into_iter().collect();
    assert_eq!(found, ["Thing::drop", "Thing::go"]);
}
