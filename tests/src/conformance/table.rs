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
    /// It looks at single cycles, so it runs on the hardware only and not on the golden model.
    pub hardware_only: bool,
}

/// Row → its tests.
pub type Tests = BTreeMap<String, Vec<Test>>;

/// Adds the tests of one source file.
///
/// # Errors
/// A test that does not run does not count.
pub fn scan(file: &str, source: &str, tests: &mut Tests) -> Result<(), String> {
    let mut last = "";
    for line in source.lines() {
        let hardware_only = std::mem::replace(&mut last, line) == "#[test]";
        if line.trim_start().starts_with("#[ignore") {
            return Err(format!("{file}: an ignored test"));
        }
        let Some(name) = line
            .strip_prefix("fn ")
            .and_then(|l| l.split(['(', '<']).next())
        else {
            continue;
        };
        if let Some(row) = row_of(name) {
            tests.entry(row).or_default().push(Test {
                name: name.to_owned(),
                file: file.to_owned(),
                hardware_only,
            });
        }
    }
    Ok(())
}

/// What is missing: applicable rows with too few tests, tests of no row.
#[must_use]
pub fn complaints(rows: &[Row], config: &str, tests: &Tests) -> Vec<String> {
    let mut out = vec![];
    for row in rows
        .iter()
        .filter(|r| r.configs.iter().any(|c| c == config))
    {
        let n = tests.get(&row.id).map_or(0, Vec::len);
        if n < row.least {
            out.push(format!(
                "{}: {n} of {} tests ({})",
                row.id, row.least, row.requirement
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

/// The page.
#[must_use]
pub fn render(rows: &[Row], config: &str, tests: &Tests) -> String {
    let applies = |row: &Row| row.configs.iter().any(|c| c == config);
    let applicable = rows.iter().filter(|r| applies(r)).count();
    let of_rows: Vec<&Test> = rows
        .iter()
        .filter(|r| applies(r))
        .filter_map(|r| tests.get(&r.id))
        .flatten()
        .collect();
    let count = of_rows.len();
    let both = of_rows.iter().filter(|t| !t.hardware_only).count();
    let mut out = String::new();
    let _ = write!(
        out,
        "# Conformance\n\n\
         Generated from `tests/data/matrix-rows.tsv` and the names of the tests; do not edit. Refresh it with \
         `PORTCULLIS_BLESS=1 cargo test -p portcullis-tests --test conformance_table`; `cargo test` fails while it is \
         out of date or an applicable row lacks a test.\n\n\
         A row is one requirement of the RISC-V IOMMU specification (version 20260222), restated. *Class*: `M` \
         mandatory, `M if` mandatory for this choice, `O` mandatory once the named capability is offered. Each test \
         runs on the simulated hardware and on the golden model; those marked *cycles* look at single cycles, which \
         only the hardware has.\n\n\
         | configuration | applicable rows | tests on the hardware | of these on the model too |\n\
         |---|---|---|---|\n\
         | `{config}` | {applicable} | {count} | {both} |\n"
    );
    let mut group = "";
    for row in rows.iter().filter(|r| applies(r)) {
        let this = row.id.split('-').next().unwrap_or_default();
        if this != group {
            group = this;
            let _ = write!(
                out,
                "\n## {group}\n\n| row | class | requirement | configuration | tests |\n|---|---|---|---|---|\n"
            );
        }
        let named: Vec<String> = tests
            .get(&row.id)
            .into_iter()
            .flatten()
            .map(|test| {
                let mark = if test.hardware_only { " *cycles*" } else { "" };
                format!("[`{}`](../tests/tests/{}){mark}", test.name, test.file)
            })
            .collect();
        let _ = writeln!(
            out,
            "| {} | {} | {} | `{config}` | {} |",
            row.id,
            row.class,
            row.requirement.replace('|', "\\|"),
            named.join("<br>")
        );
    }
    out
}
