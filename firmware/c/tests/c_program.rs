//! `tests/c/program.c`, `tests/c/sharing.c` and `tests/c/later.c`, compiled with the header and linked with the library as a C user would, and
//! run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// What `rustc` calls the machine that this runs on.
fn host() -> String {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output().expect("rustc runs");
    let text = String::from_utf8(output.stdout).expect("text");
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.expect("rustc says its host").into()
}

/// The static library that was built with this test: the newest of that name beside it.
fn library() -> PathBuf {
    let dir = std::env::current_exe().expect("has a path");
    let dir = dir.parent().expect("is in a directory");
    let files = fs::read_dir(dir).expect("reads").flatten();
    let found = files
        .filter(|file| {
            let name = file.file_name();
            let name = name.to_string_lossy();
            name.starts_with("libportcullis_c") && name.ends_with(".a")
        })
        .max_by_key(|file| {
            let changed = file.metadata().and_then(|m| m.modified());
            changed.unwrap_or(SystemTime::UNIX_EPOCH)
        });
    found.expect("cargo has built it").path()
}

/// Compiles, runs, and answers the number of checks it made.
fn run(name: &str) -> u32 {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let host = host();
    let compiler = cc::Build::new()
        .target(&host)
        .host(&host)
        .opt_level(1)
        .cargo_metadata(false)
        .get_compiler();
    let status = compiler
        .to_command()
        .args([
            "-std=c11",
            "-pedantic",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-Wconversion",
        ])
        .arg("-I")
        .arg(root.join("include"))
        .args([&*format!("{name}.c"), "mock.c"].map(|file| root.join("tests/c").join(file)))
        .arg(library())
        .args(["-lpthread", "-ldl", "-lm", "-lgcc_s"])
        .arg("-o")
        .arg(&out)
        .status()
        .expect("needs a C compiler: apt-get install gcc");
    assert!(status.success(), "the C program does not compile");
    let output = Command::new(&out).output().expect("runs");
    println!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let checks = String::from_utf8_lossy(&output.stdout).into_owned();
    let checks = checks.split_whitespace().next();
    checks.expect("a number").parse().expect("a number")
}

#[test]
fn c_program_uses_and_misuses_the_interface() {
    assert!(run("program") >= 200);
}

#[test]
fn c_program_shares_domains_and_has_peculiar_devices() {
    assert!(run("sharing") >= 200);
}

#[test]
fn c_program_unmaps_later_counts_and_boots() {
    assert!(run("later") >= 300);
}

/// The header stands alone, also where there is no library of C.
#[test]
fn header_is_freestanding() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let host = host();
    let compiler = cc::Build::new()
        .target(&host)
        .host(&host)
        .opt_level(0)
        .cargo_metadata(false)
        .get_compiler();
    let status = compiler
        .to_command()
        .args(["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror"])
        .args(["-ffreestanding", "-fsyntax-only", "-x", "c"])
        .arg(root.join("include/portcullis.h"))
        .status()
        .expect("needs a C compiler: apt-get install gcc");
    assert!(status.success());
}
