//! Paths of what `make test` builds, and of the repository's test files.

use std::path::{Path, PathBuf};

/// Returns the root of the repository, in which this crate is two levels down.
fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("two levels")
}

/// Returns Cargo's target directory, where guests and third-party programs are built, too.
pub fn target() -> PathBuf {
    let set = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    set.unwrap_or_else(|| repository().join("target"))
}

/// Returns the program under test.
pub fn binary() -> PathBuf {
    let set = std::env::var_os("WASMPOD_BIN").map(PathBuf::from);
    existing(set.unwrap_or_else(|| target().join("release/wasmpod")))
}

/// Returns a guest that `make guests` built for `platform` (`wasm32-wasip1` or `wasm32-wasip2`).
pub fn guest(platform: &str, name: &str) -> PathBuf {
    existing(target().join(format!("guests/{platform}/release/{name}.wasm")))
}

/// Returns `path`.
///
/// # Panics
/// If it does not exist, with the way to build it.
pub fn existing(path: PathBuf) -> PathBuf {
    assert!(path.exists(), "{} is missing: run `make test`, which builds all that the tests need", path.display());
    path
}

/// Returns a file of the repository's `tests` directory.
pub fn test_file(path: &str) -> PathBuf {
    existing(repository().join("tests").join(path))
}

/// Returns the tests' home directory. It outlives a test run, so that guests are compiled once.
pub fn home() -> PathBuf {
    let home = target().join("test-home");
    std::fs::create_dir_all(&home).expect("the tests' home directory");
    home
}
