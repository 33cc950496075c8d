//! Reads a greeting from a file that the pod mounts from a ConfigMap. The source is ordinary Rust: only the target
//! `wasm32-wasip1` makes it a core module.

use std::error::Error;
use std::fs;

fn main() -> Result<(), Box<dyn Error>> {
    let greeting = fs::read_to_string("/config/greeting")?;
    println!("{}", greeting.trim_end());
    Ok(())
}
