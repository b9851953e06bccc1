//! Tells the linker where memory is.

fn main() {
    let here = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    println!("cargo:rustc-link-arg=-T{here}/link.x");
    println!("cargo:rerun-if-changed=link.x");
}
