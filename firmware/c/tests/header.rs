//! `include/portcullis.h` is made of the source by cbindgen. Fails when it is out of date; `PORTCULLIS_BLESS=1` writes it.

use std::fs;
use std::path::Path;

use cbindgen::{Builder, Config, Language, Style};

const ABOUT: &str = "\
/*
 * C interface of the Portcullis RISC-V IOMMU driver. Generated from firmware/c/src by
 * `PORTCULLIS_BLESS=1 cargo test -p portcullis-c --test header`: do not edit.
 *
";

/// The text at the top of lib.rs, which holds for the header too.
fn about(lib: &str) -> String {
    let text: String = lib
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .skip(1)
        .map(|line| format!(" *{}\\n", line.replace('`', "").trim_end()).replace("\\n", "\n"))
        .collect();
    format!("{ABOUT}{} */", text.trim_start_matches(" *\n"))
}

#[test]
fn header_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = Config {
        language: Language::C,
        style: Style::Both,
        include_guard: Some("PORTCULLIS_H".into()),
        header: Some(about(include_str!("../src/lib.rs"))),
        no_includes: true,
        sys_includes: ["stddef.h", "stdint.h"].map(String::from).to_vec(),
        cpp_compat: true,
        usize_is_size_t: true,
        documentation: true,
        line_length: 120,
        ..Config::default()
    };
    let mut builder = Builder::new().with_config(config);
    for file in [
        "types", "platform", "iommu", "boot", "device", "group", "pasid", "domain", "gather",
        "dma", "events",
    ] {
        builder = builder.with_src(root.join(format!("src/{file}.rs")));
    }
    let mut made = Vec::new();
    builder.generate().expect("parses").write(&mut made);
    // "Safety" sections name the duties of the caller; in C everything is unsafe, so they are ordinary text.
    let made = String::from_utf8(made).expect("text");
    let made = made
        .replace(" * # Safety\n", " * The caller's duty:\n")
        .replace('`', "");
    let path = root.join("include/portcullis.h");
    if std::env::var_os("PORTCULLIS_BLESS").is_some() {
        fs::write(&path, &made).expect("writes");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == made,
        "include/portcullis.h is out of date; `PORTCULLIS_BLESS=1 cargo test -p portcullis-c --test header` writes it"
    );
}
