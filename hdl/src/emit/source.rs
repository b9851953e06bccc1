//! Rules that only the text of a kernel shows.
//!
//! `#[hdl_gen]` drops an inclusive range's `=` and a match arm's guard before anything else can see them: the
//! simulation obeys them, the Verilog does not. So the source itself is searched. The test `source_rules` applies
//! this to every file of the crate.

use std::fmt;

/// One finding in a source file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub text: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.text)
    }
}

/// Macros that a kernel may call; any other is either refused or runs on every simulation pass.
const MACROS: [&str; 2] = ["dff_setup", "clock"];

/// Findings in `text`, and how many kernels it has.
pub fn check(text: &str) -> (Vec<Finding>, usize) {
    let plain = blank(text);
    let mut findings = vec![];
    let mut kernels = 0;
    for (start, end) in kernel_spans(&plain) {
        kernels += 1;
        kernel(&plain, start, end, &mut findings);
    }
    for (at, word) in words(&plain) {
        let next = plain[at + word.len()..].trim_start().chars().next();
        let text = match word {
            "RAM" | "ROM" | "SyncROM" if next == Some('<') => {
                "library memories differ from their Verilog: use a cell of this crate"
            }
            "Simulation" | "Sim" if next == Some(':') || next == Some('<') => {
                "drive simulations with `simulate`, not with threads"
            }
            "generate_verilog" | "generate_verilog_unchecked" => {
                "`emit` is the one way to Verilog: it lints"
            }
            _ => continue,
        };
        let line = line_of(&plain, at);
        findings.push(Finding { line, text });
    }
    findings.sort_by_key(|f| f.line);
    (findings, kernels)
}

fn kernel(plain: &str, start: usize, end: usize, findings: &mut Vec<Finding>) {
    let body = &plain[start..end];
    let mut report = |at: usize, text| {
        let line = line_of(plain, start + at);
        findings.push(Finding { line, text });
    };
    for (at, _) in body.match_indices("..=") {
        report(at, "`..=` is `..` in the Verilog");
    }
    for (at, _) in body.match_indices("=>") {
        if guarded(&body[..at]) {
            report(at, "the guard of a match arm is lost in the Verilog");
        }
    }
    for (at, word) in words(body) {
        let rest = &body[at + word.len()..];
        if rest.starts_with('!') && !rest.starts_with("!=") && !MACROS.contains(&word) {
            report(at, "only `dff_setup!` and `clock!` belong into a kernel");
        }
    }
}

/// Whether the pattern that ends `before` has a guard.
fn guarded(before: &str) -> bool {
    let start = before.rfind(['{', '}', ';', ',']).map_or(0, |i| i + 1);
    words(&before[start..]).any(|(_, w)| w == "if")
}

/// The bodies of the functions under `#[hdl_gen]`, in text without comments and strings.
fn kernel_spans(plain: &str) -> Vec<(usize, usize)> {
    let mut out = vec![];
    for (at, _) in plain.match_indices("#[hdl_gen]") {
        let Some(open) = plain[at..].find('{').map(|i| at + i) else {
            continue;
        };
        let mut depth = 0;
        for (i, c) in plain[open..].char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                out.push((open, open + i));
                break;
            }
        }
    }
    out
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let in_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut rest = 0;
    std::iter::from_fn(move || {
        let start = rest + text[rest..].find(in_word)?;
        let tail = &text[start..];
        let len = tail.find(|c| !in_word(c)).unwrap_or(tail.len());
        rest = start + len;
        Some((start, &text[start..rest]))
    })
}

/// `text` with comments, strings and character literals blanked; offsets of lines stay.
fn blank(text: &str) -> String {
    let c: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut i = 0;
    while i < c.len() {
        let end = literal_end(&c, i);
        if end == i {
            out.push(c[i]);
            i += 1;
            continue;
        }
        for k in &c[i..end] {
            out.push(if *k == '\n' { '\n' } else { ' ' });
        }
        i = end;
    }
    out
}

/// Where the comment, string or character literal that starts at `i` ends; `i` if none does.
fn literal_end(c: &[char], i: usize) -> usize {
    let is = |at: usize, what: &str| {
        what.chars()
            .enumerate()
            .all(|(k, w)| c.get(at + k) == Some(&w))
    };
    let until = |from: usize, what: &str| {
        (from..c.len())
            .find(|k| is(*k, what))
            .map_or(c.len(), |k| k + what.chars().count())
    };
    if is(i, "//") {
        return (i..c.len()).find(|k| c[*k] == '\n').unwrap_or(c.len());
    }
    if is(i, "/*") {
        return until(i + 2, "*/");
    }
    let starts_word = i == 0 || !(c[i - 1].is_alphanumeric() || c[i - 1] == '_');
    if c[i] == 'r' && starts_word {
        let hashes = c[i + 1..].iter().take_while(|h| **h == '#').count();
        if c.get(i + 1 + hashes) == Some(&'"') {
            return until(i + 2 + hashes, &format!("\"{}", "#".repeat(hashes)));
        }
    }
    let closed_by = |quote: char, mut k: usize| {
        while k < c.len() && c[k] != quote {
            k += if c[k] == '\\' { 2 } else { 1 };
        }
        (k + 1).min(c.len())
    };
    match c[i] {
        '"' => closed_by('"', i + 1),
        // A lifetime has no closing quote right behind its first character.
        '\'' if c.get(i + 1) == Some(&'\\') || c.get(i + 2) == Some(&'\'') => {
            closed_by('\'', i + 1)
        }
        _ => i,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<(usize, &'static str)> {
        check(source)
            .0
            .into_iter()
            .map(|f| (f.line, f.text))
            .collect()
    }

    fn in_kernel(body: &str) -> Vec<usize> {
        let source = format!("#[hdl_gen]\nfn update(&mut self) {{\n{body}\n}}\n");
        texts(&source).into_iter().map(|(line, _)| line).collect()
    }

    #[test]
    fn inclusive_range() {
        assert_eq!(in_kernel("for i in 0..=3 { x(); }"), [3]);
        assert_eq!(in_kernel("for i in 0..4 { x(); }"), []);
    }

    #[test]
    fn match_guard() {
        assert_eq!(in_kernel("match s {\n1 if f => {}\n_ => {} }"), [4]);
        assert_eq!(
            in_kernel("match s {\n1 => { if f { x(); } }\n_ => {} }"),
            []
        );
        assert_eq!(
            in_kernel("match s {\nA::B\n if f\n => x(),\n_ => {} }"),
            [6]
        );
    }

    #[test]
    fn foreign_macro() {
        assert_eq!(in_kernel("assert!(x);\nclock!(self, clock, a);"), [3]);
        assert_eq!(in_kernel("self.y.next = a != b;"), []);
    }

    #[test]
    fn only_kernels_are_bound() {
        assert_eq!(texts("fn model() { for i in 0..=3 {} }"), []);
        assert_eq!(
            in_kernel("// for i in 0..=3\n/* x! */ let s = \"..= y!\";"),
            []
        );
    }

    #[test]
    fn library_parts() {
        assert_eq!(texts("struct A { m: RAM<Bits<4>, 2> }").len(), 1);
        assert_eq!(texts("struct A { m: SyncRam<4>, s: Simulator }").len(), 0);
        assert_eq!(texts("let s = Simulation::new();").len(), 1);
        assert_eq!(texts("let v = generate_verilog(&u);").len(), 1);
    }

    #[test]
    fn counts_kernels() {
        assert_eq!(check("#[hdl_gen] fn update(&mut self) {}").1, 1);
    }
}
