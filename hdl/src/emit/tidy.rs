//! Text-level clean-up: names without `$`, hand-written bodies brought into line.

use super::design::{Port, Scope};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Verilog spelling of every name of a scope: `a$b` becomes `a_b`, or `a__b` where that is taken.
pub(super) fn spellings<'a>(names: impl Iterator<Item = &'a String>) -> HashMap<String, String> {
    let names: BTreeSet<&String> = names.collect();
    let plain = names.iter().filter(|n| !n.contains('$'));
    let mut taken: HashSet<String> = plain.map(|n| n.to_string()).collect();
    let mut out = HashMap::new();
    for name in names {
        let mut flat = name.clone();
        let mut glue = String::from("_");
        while flat.contains('$') {
            let candidate = name.replace('$', &glue);
            if taken.insert(candidate.clone()) {
                flat = candidate;
            }
            glue.push('_');
        }
        out.insert(name.clone(), flat);
    }
    out
}

fn in_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$'
}

/// Replaces the words of `text` for which `f` has something better.
pub(super) fn map_words(text: &str, mut f: impl FnMut(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let n = match rest.find(|c| in_word(c) != in_word(rest.chars().next().unwrap_or(' '))) {
            Some(n) => n,
            None => rest.len(),
        };
        let (piece, tail) = rest.split_at(n);
        match in_word(c).then(|| f(piece)).flatten() {
            Some(better) => out += &better,
            None => out += piece,
        }
        rest = tail;
    }
    out
}

/// A hand-written body: indented by one step, `$` out of its names, assigned numbers as wide as their target.
///
/// rust-hdl prints the initial value of an enum register as a 64-bit number; that is what the last point is for.
pub(super) fn body(text: &str, scope: &Scope, spelling: &HashMap<String, String>) -> String {
    let text = map_words(text, |w| spelling.get(w).cloned());
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let common = lines
        .iter()
        .filter(|l| !l.is_empty())
        .map(|l| l.len() - l.trim_start().len())
        .min()
        .unwrap_or(0);
    let mut out = String::new();
    for line in lines {
        if line.is_empty() {
            continue;
        }
        out += "  ";
        out += &sized_assignments(&line[common..], &scope.atoms);
        out.push('\n');
    }
    out
}

/// Gives the numbers of `port = 64'h5;` and `port <= 64'h5;` the width of the port.
fn sized_assignments(line: &str, ports: &[Port]) -> String {
    let mut out = line.to_string();
    for p in ports {
        for op in ["<=", "="] {
            for width in [32, 64] {
                let (from, to) = (
                    format!("{} {op} {width}'h", p.name),
                    format!("{} {op} {}'h", p.name, p.width),
                );
                let starts_word = |at: usize| !out[..at].chars().next_back().is_some_and(in_word);
                if p.width != width && out.match_indices(&from).any(|(at, _)| starts_word(at)) {
                    out = out.replace(&from, &to);
                }
            }
        }
    }
    out
}
