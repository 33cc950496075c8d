//! Embeds the built-in images. If they were not built with `make guests`, embeds empty files; the binary then explains
//! how to build them when a pod needs one. Lets the linker make the binary smaller where it can.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

const GUESTS: [&str; 3] = ["busybox", "httpd", "pause"];

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-env-changed=WASMPOD_GUESTS");
    let guests_dir = env::var_os("WASMPOD_GUESTS").map_or_else(
        || {
            Path::new(&env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default())
                .join("target/guests/wasm32-wasip2/release")
        },
        PathBuf::from,
    );
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    for guest in GUESTS {
        let file_name = format!("{guest}.wasm");
        let built = guests_dir.join(&file_name);
        println!("cargo::rerun-if-changed={}", built.display());
        let bytes = match fs::read(&built) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        fs::write(out_dir.join(file_name), bytes)?;
    }
    fold_identical_code();
    Ok(())
}

/// Keeps one of several functions with the same machine code, which makes the binary 1.3 MB smaller. Rust promises no
/// distinct addresses of functions. Only lld can, which is rustc's linker for this target unless something else is chosen.
fn fold_identical_code() {
    let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_release = env::var_os("PROFILE").is_some_and(|profile| profile == "release");
    let links_with_lld = env::var_os("TARGET").is_some_and(|target| target == "x86_64-unknown-linux-gnu")
        && !set("RUSTC_LINKER")
        && !set("CARGO_ENCODED_RUSTFLAGS");
    if is_release && links_with_lld {
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
    }
}
