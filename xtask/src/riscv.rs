//! Stack of the driver on RISC-V, its real target: measured by the test that measures it on this machine, under QEMU; and
//! read off the machine code, which finds the paths that no test takes.
//!
//! The reading adds up the frames of every call that a function can make. What the platform takes is not counted, nor are
//! calls that do not return. Starting and stopping are among the calls, in the form that the library has them:
//! `Iommu::start_in`, which does not move the IOMMU.

use crate::firmware::freestanding;
use crate::report::Report;
use portcullis_board::tools::run;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

const TARGET: &str = "riscv64gc-unknown-linux-gnu";
/// Bytes of stack that a call may use.
const MOST: u64 = 1024;
/// The same of the interface for C, whose tables and handles come on top.
const MOST_C: u64 = 1360;
/// The same of its calls that start an IOMMU: platform and settings are copied besides.
const MOST_C_START: u64 = 1600;

pub fn check(report: &mut Report, root: &Path, target: &Path) {
    let ready = report.step("riscv toolchain", || {
        let advice = |e| format!("run `rustup target add {TARGET}`: {e}");
        run(Command::new("rustup").args(["target", "add", TARGET])).map_err(advice)?;
        Ok(format!("rustc has {TARGET}"))
    });
    if !ready {
        return;
    }
    let out = target.join("riscv");
    report.step("riscv stack, measured", || measured(root, &out));
    report.step("riscv stack, read", || read(root, &out));
}

/// The linker is that of Debian's cross compiler, whose libraries QEMU finds below its own directory.
fn aim(cargo: &mut Command, out: &Path) {
    let variable = format!("CARGO_TARGET_{}", TARGET.to_uppercase().replace('-', "_"));
    cargo
        .args(["--target", TARGET])
        .env(format!("{variable}_LINKER"), "riscv64-linux-gnu-gcc")
        .env(
            format!("{variable}_RUNNER"),
            "qemu-riscv64 -L /usr/riscv64-linux-gnu",
        )
        .env("CARGO_TARGET_DIR", out)
        .env_remove("RUSTFLAGS");
}

fn measured(root: &Path, out: &Path) -> Result<String, String> {
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(root)
        .args(["test", "--release", "--locked", "-p", "portcullis"])
        .args(["--test", "stack"]);
    aim(&mut cargo, out);
    let text = run(cargo.args(["--", "--nocapture"]))?;
    let line = text.lines().find(|line| line.ends_with("bytes at most"));
    let line = line.ok_or("the test says no `bytes at most`")?;
    Ok(format!("{} under QEMU", line.trim()))
}

fn read(root: &Path, out: &Path) -> Result<String, String> {
    let mut cargo = freestanding(root, out);
    aim(&mut cargo, out);
    run(&mut cargo)?;
    let library = out.join(TARGET).join("release/libportcullis_c.a");
    let text = run(Command::new("riscv64-linux-gnu-objdump")
        .args(["-dr", "--no-show-raw-insn"])
        .arg(&library))?;
    let code = Code::parse(&text);
    let (driver, of) = code.deepest(is_driver)?;
    if driver > MOST {
        let path = code.path(of).join(" > ");
        return Err(format!("{driver} bytes, {MOST} allowed: {path}"));
    }
    let begins = |name: &str| name.starts_with("portcullis_start");
    let (c, name) = code.deepest(|name| name.starts_with("portcullis_") && !begins(name))?;
    let (start, start_name) = code.deepest(begins)?;
    for (bytes, most, name) in [(c, MOST_C, name), (start, MOST_C_START, start_name)] {
        if bytes > most {
            let path = code.path(name).join(" > ");
            return Err(format!(
                "interface for C: {bytes} bytes, {most} allowed: {path}"
            ));
        }
    }
    // A name that changed must not take the bound along.
    let begin = code
        .deepest(|name| is_driver(name) && name.contains("8start_in"))?
        .0;
    let end = code.deepest(|name| name == "portcullis_stop_in_bare")?.0;
    Ok(format!(
        "driver {driver} bytes (start {begin}), interface for C {c} ({name}), {start} to start, {end} to stop"
    ))
}

/// A function of the crate `portcullis` with a bound.
fn is_driver(name: &str) -> bool {
    name.contains("10portcullis") && !name.contains("12portcullis_c")
}

/// A function in machine code: its frame, and what it calls.
#[derive(Default)]
struct Function<'t> {
    frame: u64,
    calls: Vec<&'t str>,
}

/// The functions of a library, as `objdump -dr` tells them.
struct Code<'t>(BTreeMap<&'t str, Function<'t>>);

impl<'t> Code<'t> {
    fn parse(text: &'t str) -> Self {
        let mut code: BTreeMap<&str, Function> = BTreeMap::new();
        let mut name = None;
        for line in text.lines() {
            let header = line.strip_suffix(">:").and_then(|l| l.split_once(" <"));
            if let Some((_, found)) = header {
                // Labels within functions begin with a dot.
                if !found.starts_with(".L") {
                    name = Some(found);
                    code.entry(found).or_default();
                }
                continue;
            }
            let Some(function) = name.and_then(|name| code.get_mut(name)) else {
                continue;
            };
            if let Some((_, bytes)) = line.split_once("sp,sp,-") {
                function.frame += bytes.trim().parse::<u64>().unwrap_or(0);
            }
            let mut words = line.split_whitespace().skip(1);
            if let (Some("R_RISCV_CALL" | "R_RISCV_CALL_PLT" | "R_RISCV_JAL"), Some(callee)) =
                (words.next(), words.next())
                && !callee.starts_with(".L")
                && !returns_never(callee)
            {
                function.calls.push(callee);
            }
        }
        Code(code)
    }

    /// Bytes from the entry of a function on; an error if it can call itself.
    fn depth(
        &self,
        name: &'t str,
        above: &mut Vec<&'t str>,
        known: &mut BTreeMap<&'t str, u64>,
    ) -> Result<u64, String> {
        let Some(function) = self.0.get(name) else {
            // The platform's, or the compiler's.
            return Ok(0);
        };
        if let Some(depth) = known.get(name) {
            return Ok(*depth);
        }
        if above.contains(&name) {
            return Err(format!("{name} can call itself"));
        }
        above.push(name);
        let mut below = 0;
        for callee in &function.calls {
            below = below.max(self.depth(callee, above, known)?);
        }
        above.pop();
        known.insert(name, function.frame + below);
        Ok(function.frame + below)
    }

    /// The function that needs most, of those wanted.
    fn deepest(&self, wanted: impl Fn(&str) -> bool) -> Result<(u64, &'t str), String> {
        let mut known = BTreeMap::new();
        let mut all = vec![];
        for name in self.0.keys().filter(|name| wanted(name)) {
            all.push((self.depth(name, &mut vec![], &mut known)?, *name));
        }
        let most = all.into_iter().max();
        most.filter(|(depth, _)| *depth > 0)
            .ok_or("no such function in the library".into())
    }

    /// The calls below a function that need most, with their frames.
    fn path(&self, name: &'t str) -> Vec<String> {
        let mut known = BTreeMap::new();
        let (mut path, mut at) = (vec![], Some(name));
        while let Some(name) = at {
            let Some(function) = self.0.get(name) else {
                break;
            };
            path.push(format!("{name} ({})", function.frame));
            let depth =
                |callee: &&&'t str| self.depth(callee, &mut vec![], &mut known).unwrap_or(0);
            at = function.calls.iter().max_by_key(depth).copied();
        }
        path
    }
}

fn returns_never(name: &str) -> bool {
    [
        "panic",
        "unwrap_failed",
        "expect_failed",
        "slice_index_fail",
    ]
    .iter()
    .any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
0000000000000000 <outer>:
   0:\taddi\tsp,sp,-32
   2:\tauipc\tra,0x0
\t\t\t2: R_RISCV_CALL_PLT\tinner
   a:\tauipc\tra,0x0
\t\t\ta: R_RISCV_CALL_PLT\tcore_panic
0000000000000000 <.Lpart>:
   c:\tj\t0
\t\t\tc: R_RISCV_JAL\tlast
0000000000000000 <inner>:
   0:\taddi\tsp,sp,-2032
   2:\taddi\tsp,sp,-16
0000000000000000 <last>:
   0:\taddi\tsp,sp,-64
0000000000000000 <core_panic>:
   0:\taddi\tsp,sp,-512
";

    #[test]
    fn frames_add_up() {
        let code = Code::parse(TEXT);
        assert_eq!(code.deepest(|_| true), Ok((2080, "outer")));
        assert_eq!(code.deepest(|name| name == "last"), Ok((64, "last")));
        assert_eq!(code.path("outer"), ["outer (32)", "inner (2048)"]);
        assert!(code.deepest(|name| name == "missing").is_err());
    }

    #[test]
    fn recursion_is_refused() {
        let text = TEXT.replace("\tlast", "\touter");
        let answer = Code::parse(&text).deepest(|_| true);
        assert_eq!(answer, Err("outer can call itself".into()));
    }
}
