//! The kernels of this crate keep to the rules that only their text shows.

use portcullis_hdl::emit::source::check;
use std::path::{Path, PathBuf};

fn rust_files(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            rust_files(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

#[test]
fn every_kernel() {
    let mut files = vec![];
    rust_files(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut files,
    );
    let (mut findings, mut kernels) = (vec![], 0);
    for file in files {
        // The checker names what it looks for.
        if file.ends_with("emit/source.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&file).expect("a text file");
        let (found, n) = check(&text);
        kernels += n;
        findings.extend(found.iter().map(|f| format!("{}: {f}", file.display())));
    }
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
    assert!(kernels > 0, "no kernel found: the search is broken");
}
