//! Keeps the table row → tests complete and current; see `docs/conformance.md`.

use std::fs;
use std::path::Path;

use portcullis_tests::conformance::table::{Tests, complaints, parse, render, row_of, scan};

const CONFIG: &str = "tiny";

#[test]
fn conformance_table_is_complete() {
    // Given the list of rows and the sources of the tests
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = fs::read_to_string(here.join("data/matrix-rows.tsv")).expect("the list of rows");
    let rows = parse(&list).expect("a list of rows");
    let mut files: Vec<_> = fs::read_dir(here.join("tests"))
        .expect("the test sources")
        .map(|entry| entry.expect("a directory entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "rs"))
        .collect();
    files.sort();
    let mut tests = Tests::new();
    for file in files {
        let name = file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.starts_with("conformance_") {
            let source = fs::read_to_string(&file).expect("a test source");
            scan(&name, &source, &mut tests).expect("tests that run");
        }
    }
    // Then each applicable row has its tests, and each test its row
    let missing = complaints(&rows, CONFIG, &tests);
    assert!(missing.is_empty(), "\n{}", missing.join("\n"));
    // And the page says so
    let page = render(&rows, CONFIG, &tests);
    let path = here.join("../docs/conformance.md");
    if std::env::var_os("PORTCULLIS_BLESS").is_some() {
        fs::write(&path, &page).expect("docs/conformance.md");
    }
    let current = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        current == page,
        "docs/conformance.md is out of date: run this test with PORTCULLIS_BLESS=1"
    );
}

#[test]
fn names_lead_to_rows() {
    assert_eq!(row_of("inv_05_vma_spares"), Some("INV-05".to_owned()));
    assert_eq!(row_of("s1_02_x"), Some("S1-02".to_owned()));
    for other in ["given_a_page", "inv_5_x", "inv_05", "inv_05_", "peer_x"] {
        assert_eq!(row_of(other), None, "{other}");
    }
}

#[test]
fn a_missing_test_and_a_stray_one_are_named() {
    // Given a list of two rows, and a source with tests of the first and of a row that is not in it
    let list = "id\tclass\ttiny\tlinux\tleast\trequirement\nA-01\tM\tyes\tno\t1\tx\nA-02\tM\tyes\tyes\t2\ty\n";
    let rows = parse(list).expect("a list");
    let mut tests = Tests::new();
    scan(
        "f.rs",
        "fn a_01_one(m: &mut Rig) {\n}\nfn a_02_one() {}\nfn b_01_one() {}\n",
        &mut tests,
    )
    .expect("scan");
    // Then the row with too few and the stray one are named, and a row of another configuration is not asked for
    assert_eq!(complaints(&rows, "tiny", &tests).len(), 2);
    assert_eq!(complaints(&rows, "linux", &tests).len(), 2);
    assert_eq!(complaints(&rows[..1], "linux", &Tests::new()).len(), 0);
    // And lists that cannot be read are refused, as are tests that do not run
    for bad in [
        "",
        "id\n",
        "id\tclass\ttiny\tlinux\tleast\trequirement\nA-01\tM\tmaybe\tno\t1\tx\n",
    ] {
        assert!(parse(bad).is_err(), "{bad:?}");
    }
    assert!(scan("f.rs", "#[ignore]\nfn a_01_one() {}", &mut tests).is_err());
}
