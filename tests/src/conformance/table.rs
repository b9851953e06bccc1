//! The table row → tests: read from the list of rows and the test sources, written to `docs/conformance.md`.

use std::collections::BTreeMap;
use std::fmt::Write;

/// One requirement row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its id, such as `INV-05`.
    pub id: String,
    /// `M`, `M if ...` or `O: ...`.
    pub class: String,
    /// The configurations that it applies to.
    pub configs: Vec<String>,
    /// How many tests it must have at least.
    pub least: usize,
    /// What it asks for.
    pub requirement: String,
}

impl Row {
    /// Whether a configuration must keep it.
    #[must_use]
    pub fn applies(&self, config: &str) -> bool {
        self.configs.iter().any(|c| c == config)
    }
}

/// Reads the list: a heading line, then one row per line with the columns id, class, tiny, linux, least, requirement.
///
/// # Errors
/// What is wrong, with the line.
pub fn parse(list: &str) -> Result<Vec<Row>, String> {
    let mut lines = list.lines();
    let names: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
    if names != ["id", "class", "tiny", "linux", "least", "requirement"] {
        return Err(format!("unexpected columns {names:?}"));
    }
    let mut rows: Vec<Row> = vec![];
    for line in lines {
        let fields: Vec<&str> = line.split('\t').collect();
        let [id, class, tiny, linux, least, requirement] = fields[..] else {
            return Err(format!("{} columns: {line}", fields.len()));
        };
        let mut configs = vec![];
        for (flag, config) in [(tiny, names[2]), (linux, names[3])] {
            match flag {
                "yes" => configs.push(config.to_owned()),
                "no" => {}
                _ => return Err(format!("neither yes nor no: {line}")),
            }
        }
        if rows.iter().any(|r| r.id == id) {
            return Err(format!("twice: {line}"));
        }
        rows.push(Row {
            id: id.to_owned(),
            class: class.to_owned(),
            configs,
            least: least.parse().map_err(|e| format!("{e}: {line}"))?,
            requirement: requirement.to_owned(),
        });
    }
    Ok(rows)
}

/// The row that a test is for, from its name: `inv_05_...` is for `INV-05`.
#[must_use]
pub fn row_of(name: &str) -> Option<String> {
    let mut parts = name.splitn(3, '_');
    let (group, number, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let is_row = group.starts_with(|c: char| c.is_ascii_lowercase())
        && number.len() == 2
        && number.bytes().all(|b| b.is_ascii_digit())
        && !rest.is_empty();
    is_row.then(|| format!("{}-{number}", group.to_uppercase()))
}

/// One test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// Its name.
    pub name: String,
    /// Its file.
    pub file: String,
    /// The configurations that it runs on.
    pub configs: Vec<&'static str>,
    /// It looks at single cycles, so it runs on the hardware only and not on the golden model.
    pub hardware_only: bool,
}

impl Test {
    fn runs_on(&self, config: &str) -> bool {
        self.configs.contains(&config)
    }

    /// Its name in a run, for each implementation of a configuration.
    fn runs(&self, config: &str) -> Vec<String> {
        let duts: &[&str] = match (self.runs_on(config), self.hardware_only) {
            (false, _) => &[],
            (true, false) => &["rtl", "model"],
            (true, true) => &["rtl"],
        };
        let run = |dut: &&str| format!("{config}::{dut}::{}", self.name);
        duts.iter().map(run).collect()
    }
}

/// Row → its tests.
pub type Tests = BTreeMap<String, Vec<Test>>;

/// Lists of `conformance!`: what stands before the names, the configurations, whether only the hardware has it.
const LISTS: [(&str, &[&str], bool); 5] = [
    ("", &["tiny", "linux"], false),
    ("tiny:", &["tiny"], false),
    ("linux:", &["linux"], false),
    ("cycles:", &["tiny", "linux"], true),
    ("linux cycles:", &["linux"], true),
];

/// Adds the tests of one source file: those that its `conformance!` lists.
///
/// # Errors
/// A test that does not run does not count: a body that is not listed, an ignored one, a file without list.
pub fn scan(file: &str, source: &str, tests: &mut Tests) -> Result<(), String> {
    let listed = source
        .split_once("conformance!(")
        .and_then(|(_, rest)| rest.split_once(");"))
        .ok_or_else(|| format!("{file}: no list of tests"))?
        .0;
    let mut all: Vec<&str> = vec![];
    for list in listed.split(';').map(str::trim) {
        let (label, configs, hardware_only) = LISTS
            .into_iter()
            .rev()
            .find(|(label, ..)| list.starts_with(label))
            .ok_or_else(|| format!("{file}: a list that is not known: {list}"))?;
        let names = list[label.len()..].split(',').map(str::trim);
        for name in names.filter(|name| !name.is_empty()) {
            if all.contains(&name) {
                return Err(format!("{file}: {name} is listed twice"));
            }
            all.push(name);
            if let Some(row) = row_of(name) {
                tests.entry(row).or_default().push(Test {
                    name: name.to_owned(),
                    file: file.to_owned(),
                    configs: configs.to_vec(),
                    hardware_only,
                });
            }
        }
    }
    for line in source.lines() {
        let what = line.trim_start();
        if what.starts_with("#[ignore") || what.starts_with("#[test]") {
            return Err(format!("{file}: {what} beside the list"));
        }
        let body = line
            .strip_prefix("fn ")
            .and_then(|l| l.split(['(', '<']).next());
        if let Some(name) = body.filter(|name| row_of(name).is_some() && !all.contains(name)) {
            return Err(format!("{file}: {name} is not listed, so it does not run"));
        }
    }
    Ok(())
}

/// What is missing: applicable rows with too few tests, tests of no row.
#[must_use]
pub fn complaints(rows: &[Row], config: &str, tests: &Tests) -> Vec<String> {
    let mut out = vec![];
    for row in rows {
        let named = tests.get(&row.id).into_iter().flatten();
        let named: Vec<&Test> = named.filter(|test| test.runs_on(config)).collect();
        if !row.applies(config) {
            let stray = named.iter().map(|test| {
                format!(
                    "{}: does not apply to `{config}`, but {} runs there",
                    row.id, test.name
                )
            });
            out.extend(stray);
        } else if named.len() < row.least {
            out.push(format!(
                "{}: {} of {} tests on `{config}` ({})",
                row.id,
                named.len(),
                row.least,
                row.requirement
            ));
        }
    }
    for (id, named) in tests {
        if !rows.iter().any(|r| r.id == *id) {
            out.push(format!(
                "{id}: no such row, but {} is named after it",
                named[0].name
            ));
        }
    }
    out
}

/// Result of each test that was run, by its name in the run: whether it passed.
pub type Results = BTreeMap<String, bool>;

/// Reads the results out of what the test programs print.
#[must_use]
pub fn results(output: &str) -> Results {
    let result = |line: &str| {
        let (name, result) = line.strip_prefix("test ")?.split_once(" ... ")?;
        Some((name.to_owned(), result == "ok"))
    };
    output.lines().filter_map(result).collect()
}

/// Every test of the lists has run and passed.
#[must_use]
pub fn all_passed(tests: &Tests) -> Results {
    let runs = tests
        .values()
        .flatten()
        .flat_map(|test| CONFIGS.iter().flat_map(|config| test.runs(config)));
    runs.map(|run| (run, true)).collect()
}

/// What a row's tests came to on a configuration.
fn verdict(row: &Row, config: &str, tests: &Tests, results: &Results) -> String {
    if !row.applies(config) {
        return "does not apply".to_owned();
    }
    let named = tests.get(&row.id).into_iter().flatten();
    let runs: Vec<String> = named.flat_map(|test| test.runs(config)).collect();
    let bad: Vec<&String> = runs
        .iter()
        .filter(|run| results.get(*run) != Some(&true))
        .collect();
    match bad.first() {
        None => format!("passed {}", runs.len()),
        Some(first) => format!("**{} of {} FAILED**: `{first}`", bad.len(), runs.len()),
    }
}

/// The configurations, in the order of the page.
pub const CONFIGS: [&str; 2] = ["tiny", "linux"];

/// The page.
#[must_use]
pub fn render(rows: &[Row], tests: &Tests, results: &Results) -> String {
    let mut out = String::from(
        "# Conformance\n\n\
         Generated from `tests/data/matrix-rows.tsv`, the lists of tests and a run of them; do not edit. Refresh it with \
         `PORTCULLIS_BLESS=1 cargo test -p portcullis-tests --test conformance_table`, which runs the tests and writes \
         down what they came to. `cargo test` runs them all again; it fails if one fails, if a row that applies to a \
         configuration lacks a test there, and if this page is out of date or names a failure.\n\n\
         A row is one requirement of the RISC-V IOMMU specification (version 20260222), restated. *Class*: `M` \
         mandatory, `M if` mandatory for this choice, `O` mandatory once the named capability is offered. Each test \
         runs on both configurations, on the simulated hardware and on the golden model, unless it is marked: \
         *tiny* or *linux* run on that configuration only, *cycles* look at single cycles, which only the hardware \
         has. Under each configuration stands how many runs of the row's tests passed, hardware and model together.\n\n\
         | configuration | applicable rows | ... of them with all tests passed | tests on the hardware | of these on the \
         model too |\n\
         |---|---|---|---|---|\n",
    );
    for config in CONFIGS {
        let applicable: Vec<&Row> = rows.iter().filter(|r| r.applies(config)).collect();
        let passed = applicable
            .iter()
            .filter(|row| verdict(row, config, tests, results).starts_with("passed"))
            .count();
        let named: Vec<&Test> = applicable
            .iter()
            .filter_map(|row| tests.get(&row.id))
            .flatten()
            .filter(|test| test.runs_on(config))
            .collect();
        let model = named.iter().filter(|test| !test.hardware_only).count();
        let _ = writeln!(
            out,
            "| `{config}` | {} | {passed} | {} | {model} |",
            applicable.len(),
            named.len()
        );
    }
    let mut group = "";
    for row in rows {
        let this = row.id.split('-').next().unwrap_or_default();
        if this != group {
            group = this;
            let _ = write!(
                out,
                "\n## {group}\n\n| row | class | requirement | tests | `tiny` | `linux` |\n|---|---|---|---|---|---|\n"
            );
        }
        let named = tests.get(&row.id).into_iter().flatten().map(|test| {
            let only = match test.configs[..] {
                [one] => format!(" *{one}*"),
                _ => String::new(),
            };
            let mark = if test.hardware_only { " *cycles*" } else { "" };
            format!(
                "[`{}`](../tests/tests/{}){only}{mark}",
                test.name, test.file
            )
        });
        let [tiny, linux] = CONFIGS.map(|config| verdict(row, config, tests, results));
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {tiny} | {linux} |",
            row.id,
            row.class,
            row.requirement.replace('|', "\\|"),
            named.collect::<Vec<_>>().join("<br>"),
        );
    }
    out
}
