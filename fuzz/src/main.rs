//! Fuzzes the reader of manifests: `make fuzz`. Only that room is built, without the engine.
#![no_main]
#![allow(dead_code, unused_imports, reason = "the fuzzer uses a part of the room")]

mod laws;
#[path = "../../src/model/mod.rs"]
mod model;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| laws::hold(bytes));
