//! A stack of 4 KiB: with it the whole linear memory is one page or two.

fn main() {
    println!("cargo:rustc-link-arg-cdylib=-zstack-size=4096");
    println!("cargo:rerun-if-changed=build.rs");
}
