//! `cargo xtask mutants`: plants the defects of `tests/mutants.toml` one by one in a copy of the workspace and sees
//! that the test, or the step of `cargo xtask verify`, named beside each fails. The copy and its builds live under the
//! target directory.

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
    test: Option<String>,
    verify: Option<String>,
}

/// What must fail.
enum Catcher<'a> {
    /// A test target.
    Test(&'a str),
    /// A step of `cargo xtask verify`.
    Step(&'a str),
}

impl Mutant {
    fn catcher(&self) -> Result<Catcher<'_>, String> {
        match (&self.test, &self.verify) {
            (Some(test), None) => Ok(Catcher::Test(test)),
            (None, Some(step)) => Ok(Catcher::Step(step)),
            _ => Err(format!(
                "`{}` wants either `test` or `verify`, to say what must fail",
                self.name
            )),
        }
    }

    fn matches(&self, filter: &str) -> bool {
        [Some(&self.name), self.test.as_ref(), self.verify.as_ref()]
            .into_iter()
            .flatten()
            .any(|text| text.contains(filter))
    }
}

fn tests() -> String {
    "portcullis-tests".into()
}

/// Runs the mutants whose name, or the name of whose test or step, contains `filter`.
pub fn run(report: &mut Report, root: &Path, target: &Path, filter: &str) {
    let tree = target.join("mutants/tree");
    let mut list = vec![];
    report.step("mutants: list and copy", || {
        let path = root.join("tests/mutants.toml");
        let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let all: List = toml::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
        list = all.mutant;
        for mutant in &list {
            mutant.catcher()?;
        }
        list.retain(|m| m.matches(filter));
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
    let (build, run) = match mutant.catcher()? {
        Catcher::Test(test) => {
            let run = ["test", "--quiet", "-p", &mutant.package, "--test", test];
            ([&run[..], &["--no-run"]].concat(), run.to_vec())
        }
        Catcher::Step(step) => {
            let programs = ["-p", "xtask", "-p", "portcullis-sim"];
            let build = [&["build", "--quiet", "--release"][..], &programs].concat();
            (build, vec!["xtask", "verify", "--only", step])
        }
    };
    let built = cargo(&build);
    let ran = cargo(&run);
    write(&sound)?;
    if !built?.status.success() {
        return Err("does not compile".into());
    }
    let ran = ran?;
    match (mutant.catcher()?, ran.status.success()) {
        (Catcher::Test(test), true) => Err(format!("survives the test target {test}")),
        (Catcher::Step(step), true) => Err(format!("survives the step {step} of verify")),
        (Catcher::Test(test), false) => Ok(format!("caught by {test}")),
        (Catcher::Step(step), false) => {
            let first = failed(&String::from_utf8_lossy(&ran.stdout), step);
            first.map(|name| format!("caught by {name}"))
        }
    }
}

/// The first failed part of a step of `verify`. A tool that is missing, or Verilog that cannot be made, catches nothing.
fn failed(text: &str, step: &str) -> Result<String, String> {
    let mut lines = text.lines().filter_map(|l| l.split_once(" FAILED "));
    let (name, why) = lines.next().ok_or("fails, and no part of it says why")?;
    let name = name.trim();
    if name.split(' ').next() == Some(step) {
        return Ok(name.into());
    }
    Err(format!(
        "the step {step} did not come to its tests, for {name} failed: {}",
        why.trim()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_catches_is_a_part_of_the_step_itself() {
        let text = "cocotb: tools                ok        0.1 s  cocotb\n\
                    cocotb tiny                  FAILED    9.1 s  exit status: 1\n";
        assert_eq!(failed(text, "cocotb"), Ok("cocotb tiny".into()));
        let tools = "cocotb: tools                FAILED    0.1 s  no network\n";
        let e = failed(tools, "cocotb").expect_err("nothing has run");
        assert!(e.contains("cocotb: tools failed: 0.1 s  no network"), "{e}");
        assert!(failed("", "cocotb").is_err());
    }

    #[test]
    fn a_mutant_names_what_must_fail() {
        let text = |keys: &str| {
            format!("[[mutant]]\nname = \"n\"\nfile = \"f\"\nfind = \"a\"\nreplace = \"b\"\n{keys}")
        };
        for (keys, good) in [
            ("test = \"t\"", true),
            ("verify = \"cosim\"", true),
            ("", false),
            ("test = \"t\"\nverify = \"cosim\"", false),
        ] {
            let list: List = toml::from_str(&text(keys)).expect("a list");
            assert_eq!(list.mutant[0].catcher().is_ok(), good, "{keys}");
        }
    }
}
