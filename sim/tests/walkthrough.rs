//! The example runs to its end.

#[path = "../examples/walkthrough.rs"]
#[allow(dead_code, reason = "an example has a main of its own")]
mod walkthrough;

#[test]
fn walkthrough_reaches_its_end() {
    assert_eq!(walkthrough::walk(), Ok(()));
}
