//! Keeps the table row → tests complete and current; see `docs/conformance.md`.

use std::fs;
use std::path::Path;
use std::process::Command;

use portcullis_tests::conformance::table::{
    CONFIGS, Results, Tests, all_passed, complaints, parse, render, results, row_of, scan,
};

/// Runs the tests of these files; what they came to.
fn run(files: &[String]) -> Results {
    let programs = files
        .iter()
        .flat_map(|file| ["--test", file.trim_end_matches(".rs")]);
    let done = Command::new(env!("CARGO"))
        .args(["test", "-p", "portcullis-tests", "--no-fail-fast"])
        .args(programs)
        .env_remove("PORTCULLIS_BLESS")
        // The page is about `linux` itself.
        .env_remove("PORTCULLIS_LINUX_AS")
        .env_remove("PORTCULLIS_TEST_BACKEND")
        .output()
        .expect("cargo, which runs the tests");
    let seen = results(&String::from_utf8_lossy(&done.stdout));
    assert!(
        !seen.is_empty(),
        "no test ran:\n{}",
        String::from_utf8_lossy(&done.stderr)
    );
    seen
}

#[test]
fn conformance_table_is_complete() {
    // Given the list of rows and the sources of the tests
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = fs::read_to_string(here.join("data/matrix-rows.tsv")).expect("the list of rows");
    let rows = parse(&list).expect("a list of rows");
    let mut files: Vec<String> = fs::read_dir(here.join("tests"))
        .expect("the test sources")
        .map(|entry| entry.expect("a directory entry").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| name.starts_with("conformance_") && name.ends_with(".rs"))
        .filter(|name| name != "conformance_table.rs")
        .collect();
    files.sort();
    let mut tests = Tests::new();
    for file in &files {
        let source = fs::read_to_string(here.join("tests").join(file)).expect("a test source");
        scan(file, &source, &mut tests).expect("tests that run");
    }
    // Then each applicable row of each configuration has its tests there, and each test its row
    let missing: Vec<String> = CONFIGS
        .iter()
        .flat_map(|config| complaints(&rows, config, &tests))
        .collect();
    assert!(missing.is_empty(), "\n{}", missing.join("\n"));
    // And the page says so, with what the tests came to
    let path = here.join("../docs/conformance.md");
    if std::env::var_os("PORTCULLIS_BLESS").is_some() {
        let page = render(&rows, &tests, &run(&files));
        fs::write(&path, &page).expect("docs/conformance.md");
    }
    let current = fs::read_to_string(&path).unwrap_or_default();
    let want = render(&rows, &tests, &all_passed(&tests));
    assert!(
        current == want,
        "docs/conformance.md is out of date or names a failure: run this test with PORTCULLIS_BLESS=1"
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
    let source = "conformance!(\n a_01_one,\n ; linux:\n a_02_one, b_01_one,\n ; cycles:\n a_02_two);\n\
                  fn a_01_one(m: &mut Rig) {\n}\nfn a_02_one() {}\nfn a_02_two() {}\nfn b_01_one() {}\n";
    scan("f.rs", source, &mut tests).expect("scan");
    // Then the row with too few, the stray one and one of another configuration are named
    let of = |config| complaints(&rows, config, &tests);
    assert_eq!(of("tiny").len(), 2, "{:?}", of("tiny"));
    assert!(of("tiny")[0].starts_with("A-02: 1 of 2"));
    assert!(of("tiny")[1].starts_with("B-01: no such row"));
    assert_eq!(of("linux").len(), 2, "{:?}", of("linux"));
    assert!(of("linux")[0].starts_with("A-01: does not apply"));
    assert_eq!(complaints(&rows[..1], "linux", &Tests::new()).len(), 0);
    assert_eq!(complaints(&rows[..1], "tiny", &Tests::new()).len(), 1);
    // And lists that cannot be read are refused, as are tests that do not run
    for bad in [
        "",
        "id\n",
        "id\tclass\ttiny\tlinux\tleast\trequirement\nA-01\tM\tmaybe\tno\t1\tx\n",
    ] {
        assert!(parse(bad).is_err(), "{bad:?}");
    }
    for bad in [
        "fn a_01_one() {}",
        "conformance!(a_01_two);\nfn a_01_one() {}",
        "conformance!(a_01_one, a_01_one);\nfn a_01_one() {}",
        "conformance!(a_01_one);\n#[ignore]\nfn a_01_one() {}",
        "conformance!(a_01_one);\nfn a_01_one() {}\n#[test]\nfn a_01_two() {}",
    ] {
        assert!(scan("f.rs", bad, &mut Tests::new()).is_err(), "{bad}");
    }
}

#[test]
fn a_failed_or_missing_run_shows_in_the_page() {
    // Given a row with one test on both configurations
    let list = "id\tclass\ttiny\tlinux\tleast\trequirement\nA-01\tM\tyes\tyes\t1\tx\n";
    let rows = parse(list).expect("a list");
    let mut tests = Tests::new();
    scan(
        "f.rs",
        "conformance!(a_01_one);\nfn a_01_one() {}\n",
        &mut tests,
    )
    .expect("scan");
    let good = all_passed(&tests);
    assert_eq!(good.len(), 4);
    let page = render(&rows, &tests, &good);
    // When one run fails, or is missing, Then the page names it
    let output = "test tiny::rtl::a_01_one ... ok\ntest tiny::model::a_01_one ... ok\n\
                  test linux::rtl::a_01_one ... FAILED\ntest linux::model::a_01_one ... ok\n";
    for seen in [
        results(output),
        results(&output.replace("linux::rtl", "linux::no")),
    ] {
        let bad = render(&rows, &tests, &seen);
        assert_ne!(bad, page);
        assert!(
            bad.contains("1 of 2 FAILED**: `linux::rtl::a_01_one`"),
            "{bad}"
        );
    }
    assert_eq!(
        render(&rows, &tests, &results(&output.replace("FAILED", "ok"))),
        page
    );
}
