//! The driver where there is no operating system: without `std` on this machine, and for RISC-V soft cores.
//!
//! The standard library of a bare-metal target comes with rustup's targets where rustc has them; otherwise it is built
//! from source, with the compiler and the source of Debian's `rustc-web`, unpacked into the target directory.

use crate::report::Report;
use portcullis_board::tools::{make_dir, run};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Soft cores without and with atomic instructions, with 4-byte and 8-byte stores, and with floating point (T74).
const TARGETS: [&str; 4] = [
    "riscv32imc-unknown-none-elf",
    "riscv32imac-unknown-none-elf",
    "riscv64imac-unknown-none-elf",
    "riscv64gc-unknown-none-elf",
];
/// Compiler, its libraries, and the source of the standard library. What they are linked with is found by `unpack`.
const PACKAGES: [&str; 3] = ["rustc-web", "libstd-rust-web-dev", "rust-web-src"];

/// A compiler for the bare-metal targets.
struct Toolchain {
    /// Debian's, and where it was unpacked; otherwise the usual one has the targets.
    prefix: Option<PathBuf>,
    linker: PathBuf,
}

/// Builds everything that has to build without an operating system.
pub fn check(report: &mut Report, root: &Path, target: &Path) {
    let out = target.join("no_std");
    report.step("firmware without std", || without_std(root, &out));
    let mut toolchain = None;
    report.step("firmware toolchain", || {
        let found = Toolchain::find(target)?;
        let text = match &found.prefix {
            Some(prefix) => format!("in {}", prefix.display()),
            None => "the installed one has the targets".into(),
        };
        toolchain = Some(found);
        Ok(text)
    });
    let Some(toolchain) = toolchain else { return };
    for name in TARGETS {
        report.step(&format!("firmware {name} (T74)"), || {
            toolchain.build(root, &out, name)
        });
    }
}

/// A static library that brings its own panic handler: a `std` anywhere below it would bring another, and stop the build.
pub fn freestanding(root: &Path, out: &Path) -> Command {
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(root)
        .args([
            "rustc",
            "--release",
            "-p",
            "portcullis-c",
            "--lib",
            "--locked",
        ])
        .args(["--no-default-features", "--crate-type", "staticlib"])
        .args(["--config", "profile.release.panic=\"abort\""])
        .env("CARGO_TARGET_DIR", out);
    cargo
}

fn without_std(root: &Path, out: &Path) -> Result<String, String> {
    run(&mut freestanding(root, out))?;
    Ok("portcullis-c needs neither std nor a libc".into())
}

fn rustc(args: &[&str]) -> Result<String, String> {
    let text = run(Command::new("rustc").args(args))?;
    Ok(text.trim().to_owned())
}

/// The first line of the output that begins so, without that.
fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines()
        .find_map(|line| line.trim().strip_prefix(name))
        .map(str::trim)
}

impl Toolchain {
    fn find(target: &Path) -> Result<Self, String> {
        let sysroot = PathBuf::from(rustc(&["--print", "sysroot"])?);
        let about = rustc(&["-vV"])?;
        let host = field(&about, "host:").ok_or("rustc does not say its host")?;
        let lld = sysroot.join(format!("lib/rustlib/{host}/bin/rust-lld"));
        let linker = if lld.is_file() { lld } else { "ld.lld".into() };
        let libraries = |name: &&str| sysroot.join(format!("lib/rustlib/{name}/lib")).is_dir();
        let prefix = if TARGETS.iter().all(libraries) {
            None
        } else {
            Some(unpack(&target.join("tools/rust-riscv"))?)
        };
        Ok(Toolchain { prefix, linker })
    }

    /// Makes a cargo command one for `name`.
    fn aim(&self, cargo: &mut Command, name: &str) {
        let flags = format!("-Clinker={} -Clinker-flavor=ld.lld", self.linker.display());
        let variable = name.to_uppercase().replace('-', "_");
        cargo
            .args(["--target", name])
            .env(format!("CARGO_TARGET_{variable}_RUSTFLAGS"), flags)
            // Those of the host say nothing about this target.
            .env_remove("RUSTFLAGS");
        if let Some(prefix) = &self.prefix {
            cargo
                .args(["-Zbuild-std=core,compiler_builtins"])
                .arg("-Zbuild-std-features=compiler-builtins-mem")
                .env("RUSTC_BOOTSTRAP", "1")
                .env("RUSTC", prefix.join("usr/bin/rustc"))
                .env("LD_LIBRARY_PATH", libraries(prefix));
        }
    }

    fn build(&self, root: &Path, out: &Path, name: &str) -> Result<String, String> {
        let mut example = Command::new("cargo");
        example
            .current_dir(root.join("firmware/examples/bare-metal"))
            .args(["build", "--release", "--locked"])
            .env("CARGO_TARGET_DIR", out);
        self.aim(&mut example, name);
        run(&mut example)?;
        let mut library = freestanding(root, out);
        self.aim(&mut library, name);
        run(&mut library)?;
        let program = out.join(name).join("release/portcullis-bare-metal");
        let file = std::fs::read(&program).map_err(|e| format!("{}: {e}", program.display()))?;
        Ok(format!(
            "bare-metal example ({} bytes loaded), portcullis-c",
            loaded(&file)
        ))
    }
}

/// Bytes that an ELF file puts into memory: the sizes in its program headers.
fn loaded(elf: &[u8]) -> u64 {
    let number = |at: usize, bytes: usize| {
        let found = elf.get(at..at + bytes).unwrap_or_default();
        found.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b))
    };
    let wide = number(4, 1) == 2;
    let (start, size, count, in_file) = if wide {
        (number(32, 8), number(54, 2), number(56, 2), (32, 8))
    } else {
        (number(28, 4), number(42, 2), number(44, 2), (16, 4))
    };
    let headers = (0..count).map(|n| (start + n * size) as usize);
    headers
        .filter(|at| number(*at, 4) == 1)
        .map(|at| number(at + in_file.0, in_file.1))
        .sum()
}

/// Where the compiler's shared libraries are: below the multiarch directory.
fn libraries(prefix: &Path) -> PathBuf {
    let lib = prefix.join("usr/lib");
    let dirs = std::fs::read_dir(&lib).into_iter().flatten().flatten();
    let found = dirs
        .map(|d| d.path())
        .find(|d| d.to_string_lossy().ends_with("-linux-gnu"));
    found.unwrap_or(lib)
}

/// Debian's compiler, unpacked into a directory of its own. Needs no rights, and does not touch the installed one.
fn unpack(dir: &Path) -> Result<PathBuf, String> {
    let done = dir.join("complete");
    let prefix = dir.join("prefix");
    if done.is_file() {
        return Ok(prefix);
    }
    let advice = |e: String| {
        format!(
            "no Rust library for {}; run `rustup target add {}`, or on Debian `sudo apt-get update` and try again: {e}",
            TARGETS[0],
            TARGETS.join(" ")
        )
    };
    make_dir(dir)?;
    let mut packages: Vec<String> = PACKAGES.map(String::from).to_vec();
    // The library's package has the version in its name, and so has LLVM's.
    for (of, name) in [(1, "libstd-rust-web-"), (3, "libllvm")] {
        let text =
            run(Command::new("apt-cache").args(["depends", &packages[of]])).map_err(advice)?;
        let found = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("Depends: "));
        let found = found
            .map(str::trim)
            .find(|package| package.starts_with(name));
        packages.push(
            found
                .ok_or_else(|| advice(format!("no package {name}…")))?
                .to_owned(),
        );
    }
    run(Command::new("apt-get")
        .current_dir(dir)
        .arg("download")
        .args(&packages))
    .map_err(advice)?;
    let files = std::fs::read_dir(dir).map_err(|e| e.to_string())?;
    for file in files.flatten().map(|f| f.path()) {
        if file.extension().is_some_and(|e| e == "deb") {
            run(Command::new("dpkg-deb").arg("-x").arg(&file).arg(&prefix)).map_err(advice)?;
            std::fs::remove_file(&file).map_err(|e| e.to_string())?;
        }
    }
    std::fs::write(&done, packages.join("\n")).map_err(|e| e.to_string())?;
    Ok(prefix)
}
