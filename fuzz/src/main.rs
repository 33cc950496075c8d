//! Fuzzes the manifest reader: `make fuzz`. Builds the model crate alone, without the engine.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wasmpod_model::properties;

fuzz_target!(|bytes: &[u8]| properties::check(bytes));
