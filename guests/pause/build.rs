//! Sets a stack of 1 KiB, so that stack and data share the first 4 KiB page: the host then needs one memory mapping
//! less for each idle pod.

fn main() {
    println!("cargo:rustc-link-arg-cdylib=-zstack-size=1024");
    println!("cargo:rerun-if-changed=build.rs");
}
