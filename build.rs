//! Embeds the built-in guests. Where they were not built (`make guests`), it embeds empty files, and
//! the binary says how to get them when one is asked for.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

const GUESTS: [&str; 3] = ["busybox", "httpd", "pause"];

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-env-changed=WASMPOD_GUESTS");
    let folder = env::var_os("WASMPOD_GUESTS").map_or_else(
        || {
            Path::new(&env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default())
                .join("target/guests/wasm32-wasip2/release")
        },
        PathBuf::from,
    );
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    for guest in GUESTS {
        let name = format!("{guest}.wasm");
        let built = folder.join(&name);
        println!("cargo::rerun-if-changed={}", built.display());
        let bytes = match fs::read(&built) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        fs::write(out.join(name), bytes)?;
    }
    Ok(())
}
