//! What builds, and what must not: the driver without `std` and without a heap (T74), and every misuse that the types
//! exclude, for the reason that they exclude it (T75). Both ask cargo, offline, in directories of their own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn own(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn cargo(dir: &Path, args: &[&str], target: &Path) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(dir).args(args).arg("--offline");
    // Flags of the surrounding run (coverage, sanitizers) would ask for `std` again.
    cargo
        .env_remove("RUSTFLAGS")
        .env("CARGO_TARGET_DIR", target);
    cargo
}

/// Names that only `std` or a heap bring along, in both manglings.
const OF_STD: [&[u8]; 3] = [b"_ZN3std", b"_3std", b"__rust_alloc"];

fn has(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|part| part == needle)
}

/// Given the driver and its C interface as a static library that brings its own panic handler; when it is built without
/// default features; then it builds, which a `std` anywhere below it would prevent, and names neither `std` nor a heap.
/// The same for RISC-V with and without atomics, 32 and 64 bits: `cargo xtask verify --only firmware`.
#[test]
fn t74_neither_std_nor_a_heap() {
    let target = own("t74");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let args = ["rustc", "-p", "portcullis-c", "--lib", "--locked"];
    let mut build = cargo(root, &args, &target);
    build.args(["--no-default-features", "--crate-type", "staticlib"]);
    build.args(["--config", "profile.dev.panic=\"abort\""]);
    let output = build.output().expect("cargo");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let library = fs::read(target.join("debug/libportcullis_c.a")).expect("a library");
    assert!(has(&library, b"portcullis_"), "it is the library");
    let this = fs::read(std::env::current_exe().expect("a path")).expect("this program");
    let found = |program: &[u8]| OF_STD.map(|name| has(program, name));
    assert_eq!(found(&library), [false; 3], "{OF_STD:?}");
    // What is looked for can be found.
    assert!(found(&this)[..2].contains(&true) && found(&this)[2]);
}

/// A misuse: what the documentation says of it, the error that it must be, the program.
struct Misuse {
    sentence: String,
    code: String,
    program: String,
}

fn misuses(docs: &str) -> Vec<Misuse> {
    let mut found = Vec::new();
    let lines: Vec<&str> = docs.lines().filter_map(|l| l.strip_prefix("//!")).collect();
    let mut sentence = "";
    let mut lines = lines
        .into_iter()
        .map(|line| line.strip_prefix(' ').unwrap_or(line));
    while let Some(line) = lines.next() {
        let Some(codes) = line.strip_prefix("```compile_fail") else {
            sentence = line;
            continue;
        };
        let body = lines.by_ref().take_while(|line| *line != "```");
        let body = body.map(|line| line.strip_prefix("# ").unwrap_or(line));
        found.push(Misuse {
            sentence: sentence.to_owned(),
            code: codes.trim_start_matches(',').to_owned(),
            program: body.map(|line| format!("{line}\n")).collect(),
        });
    }
    found
}

/// Section 4.3 of the protocol's design, in the order of its points.
const EXCLUDED: [&str; 12] = [
    "Freeing a domain that is attached: attach has moved it.",
    "Exchanging the attached domain behind the guard's back.",
    "Using a buffer that devices may write: mapping has moved it.",
    "Mapping a buffer that is only borrowed: forgetting the mapping would end the borrow, and not the mapping.",
    "Attaching without owning the group.",
    "Attaching a second domain, or the same one again.",
    "Detaching what is not attached.",
    "Using a group after releasing it.",
    "Keeping a domain longer than its IOMMU.",
    "Identity without a token, and a token without `unsafe`.",
    "A target of one's own making.",
    "Use from two threads at once.",
];

/// The errors that the compiler has in each program of a directory, by name.
fn errors(dir: &Path) -> BTreeMap<String, Vec<String>> {
    let args = [
        "check",
        "--examples",
        "--keep-going",
        "--message-format=json",
    ];
    let output = cargo(dir, &args, &own("t75")).output().expect("cargo");
    let text = String::from_utf8_lossy(&output.stdout);
    let between = |line: &str, from: &str| -> Option<String> {
        let rest = line.split_once(from)?.1;
        Some(rest.split_once('"')?.0.to_owned())
    };
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in text
        .lines()
        .filter(|line| line.contains("\"kind\":[\"example\"]"))
    {
        let name = between(line, "\"kind\":[\"example\"]")
            .and_then(|_| between(line.split_once("\"kind\":[\"example\"]")?.1, "\"name\":\""));
        let of_it = found.entry(name.expect("a name")).or_default();
        if line.contains("\"level\":\"error\"")
            && let Some(code) = between(line, "\"code\":{\"code\":\"")
        {
            of_it.push(code);
        }
    }
    assert!(
        !found.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    found
}

/// Given every misuse that the crate's documentation says does not compile; when each is compiled by itself, beside a
/// program that is right; then the right one compiles, and the first error of each of the others is the one that the
/// documentation gives: none fails for a slip of the pen. What the design excludes is among them.
#[test]
fn t75_misuse_does_not_compile() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_to_string(root.join("src/lib.rs")).expect("text");
    let misuses = misuses(&docs);
    for sentence in EXCLUDED {
        assert!(misuses.iter().any(|m| m.sentence == sentence), "{sentence}");
    }
    let dir = own("misuse");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(dir.join("examples")).expect("a directory");
    fs::create_dir_all(dir.join("src")).expect("a directory");
    let write = |name: &str, text: &str| fs::write(dir.join(name), text).expect("written");
    let manifest = format!(
        "[package]\nname = \"misuse\"\nedition = \"2024\"\n[dependencies]\nportcullis = {{ path = {root:?} }}\n\
         [workspace]\n"
    );
    write("Cargo.toml", &manifest);
    write("src/lib.rs", "");
    let program = |text: &str| format!("#![allow(warnings)]\nfn main() {{\n{text}}}\n");
    let right = "use portcullis::{Blocked, OwnedGroup, PagingDomain, platform::Platform};\n\
                 fn f<'i, P: Platform>(owned: OwnedGroup<'i, P, 16, Blocked>, domain: PagingDomain<'i, P>) {\n\
                 let _ = owned.attach(domain);\n}\n";
    write("examples/right.rs", &program(right));
    for (n, misuse) in misuses.iter().enumerate() {
        write(&format!("examples/misuse{n}.rs"), &program(&misuse.program));
    }
    // The workspace's lock file knows the versions that are there.
    let lock = root.join("../Cargo.lock");
    fs::copy(lock, dir.join("Cargo.lock")).expect("copied");
    let errors = errors(&dir);
    assert_eq!(errors["right"], [""; 0]);
    for (n, Misuse { sentence, code, .. }) in misuses.iter().enumerate() {
        let found = errors
            .get(&format!("misuse{n}"))
            .map_or(&[][..], Vec::as_slice);
        assert!(!found.is_empty(), "compiles: {sentence}");
        assert_eq!(found[0], *code, "{sentence} {found:?}");
    }
    println!("{} misuses, each refused for its reason", misuses.len());
}
