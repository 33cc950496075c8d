//! Embeds the built-in images, compressed. If they were not built with `make guests`, embeds empty files; the binary then
//! explains how to build them when a pod needs one. Lets the linker make the binary smaller where it can.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

use flate2::Compression;
use flate2::write::DeflateEncoder;

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
        let built = guests_dir.join(format!("{guest}.wasm"));
        println!("cargo::rerun-if-changed={}", built.display());
        let bytes = match fs::read(&built) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        fs::write(out_dir.join(format!("{guest}.wasm.deflate")), compress(&bytes)?)?;
    }
    if env::var_os("PROFILE").is_some_and(|profile| profile == "release") {
        fold_identical_code();
        pack_relocations();
    }
    Ok(())
}

/// Returns the bytes compressed with DEFLATE; nothing stays nothing.
fn compress(bytes: &[u8]) -> io::Result<Vec<u8>> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// Keeps one of several functions with the same machine code, which makes the binary 1.3 MB smaller. Rust promises no
/// distinct addresses of functions. Only lld can, which is rustc's linker for this target unless something else is chosen.
fn fold_identical_code() {
    let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
    let links_with_lld = env::var_os("TARGET").is_some_and(|target| target == "x86_64-unknown-linux-gnu")
        && !set("RUSTC_LINKER")
        && !set("CARGO_ENCODED_RUSTFLAGS");
    if links_with_lld {
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
    }
}

/// The first glibc whose loader reads packed relocations.
const PACKED_RELOCATIONS_SINCE: (u32, u32) = (2, 36);

/// Packs relocations, which makes the binary 1.7 MB smaller. Older loaders refuse such a binary, so it is done only if
/// this system's loader does not, and the binary is for this system.
fn pack_relocations() {
    let is_native = env::var_os("TARGET") == env::var_os("HOST");
    if is_native && glibc_version().is_some_and(|version| version >= PACKED_RELOCATIONS_SINCE) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// Returns the version of this system's glibc; `None` without one.
fn glibc_version() -> Option<(u32, u32)> {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let (major, minor) = std::str::from_utf8(&output.stdout).ok()?.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
}
