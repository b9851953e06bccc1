//! `cargo xtask mutants`: plants the defects of `tests/mutants.toml` one by one in a copy of the workspace and sees
//! that the test named beside each fails. The copy and its builds live under the target directory.

use crate::report::Report;
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    mutant: Vec<Mutant>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mutant {
    name: String,
    file: String,
    find: String,
    replace: String,
    #[serde(default = "tests")]
    package: String,
    test: String,
}

fn tests() -> String {
    "portcullis-tests".into()
}

/// Runs the mutants whose name, or the name of whose test, contains `filter`.
pub fn run(report: &mut Report, root: &Path, target: &Path, filter: &str) {
    let tree = target.join("mutants/tree");
    let mut list = vec![];
    report.step("mutants: list and copy", || {
        let path = root.join("tests/mutants.toml");
        let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let all: List = toml::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
        list = all.mutant;
        list.retain(|m| m.name.contains(filter) || m.test.contains(filter));
        copy(root, &tree)?;
        Ok(format!("{} mutants", list.len()))
    });
    for mutant in &list {
        report.step(&mutant.name, || {
            caught(mutant, &tree, &target.join("mutants/target"))
        });
    }
}

/// Copies what git knows or would add, so that uncommitted work is tested too.
fn copy(root: &Path, tree: &Path) -> Result<(), String> {
    let listed = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root)
        .output()
        .map_err(|e| format!("git: {e}"))?;
    if !listed.status.success() {
        return Err("git cannot list the files of this checkout: run it in a clone".into());
    }
    for name in listed.stdout.split(|b| *b == 0).filter(|n| !n.is_empty()) {
        let name = PathBuf::from(String::from_utf8_lossy(name).into_owned());
        let (from, to) = (root.join(&name), tree.join(&name));
        let Ok(new) = fs::read(&from) else { continue };
        // Unchanged files keep their time, or everything would be built again.
        if fs::read(&to).is_ok_and(|old| old == new) {
            continue;
        }
        let dir = to.parent().unwrap_or(tree);
        fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        fs::write(&to, new).map_err(|e| format!("{}: {e}", to.display()))?;
    }
    Ok(())
}

fn caught(mutant: &Mutant, tree: &Path, target: &Path) -> Result<String, String> {
    let path = tree.join(&mutant.file);
    let sound = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let times = sound.matches(&mutant.find).count();
    if times != 1 {
        return Err(format!("`find` occurs {times} times in {}", mutant.file));
    }
    let write = |text: &str| fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()));
    write(&sound.replace(&mutant.find, &mutant.replace))?;
    let cargo = |args: &[&str]| {
        Command::new("cargo")
            .args(args)
            .current_dir(tree)
            .env("CARGO_TARGET_DIR", target)
            .output()
            .map_err(|e| format!("cargo: {e}"))
    };
    let test = [
        "test",
        "--quiet",
        "-p",
        &mutant.package,
        "--test",
        &mutant.test,
    ];
    let built = cargo(&[&test[..], &["--no-run"]].concat());
    let ran = cargo(&test);
    write(&sound)?;
    if !built?.status.success() {
        return Err("does not compile".into());
    }
    if ran?.status.success() {
        return Err(format!("survives the test target {}", mutant.test));
    }
    Ok(format!("caught by {}", mutant.test))
}
