//! Embeds the built-in images. If they were not built with `make guests`, embeds empty files; the binary then explains
//! how to build them when a pod needs one.

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
    Ok(())
}
