//! Proposals of WebAssembly: those that the engine has, and the names of those that a program lacks.

use std::fmt;

use wasmparser::types::Types;
use wasmparser::{Validator, WasmFeatures};

/// The proposals that programs may use: wasmtime's defaults and wide arithmetic. Threads need shared memories, whose growth
/// no limiter sees.
pub const FEATURES: WasmFeatures = WasmFeatures::WASM3
    .union(WasmFeatures::GC_TYPES)
    .union(WasmFeatures::WIDE_ARITHMETIC)
    .union(WasmFeatures::COMPONENT_MODEL)
    .union(WasmFeatures::CM_ASYNC)
    .difference(WasmFeatures::THREADS);

/// Names of proposals beyond [`FEATURES`], and how to build without them.
const PROPOSALS: [(WasmFeatures, &str, &str); 19] = [
    (WasmFeatures::THREADS, "WebAssembly threads proposal", "build it without threads"),
    (
        WasmFeatures::SHARED_EVERYTHING_THREADS,
        "WebAssembly shared-everything-threads proposal",
        "build it without threads",
    ),
    (
        WasmFeatures::LEGACY_EXCEPTIONS,
        "WebAssembly legacy exception-handling proposal",
        "build it with `-wasm-use-legacy-eh=false`",
    ),
    (WasmFeatures::STACK_SWITCHING, "WebAssembly stack-switching proposal", "build it without stack switching"),
    (WasmFeatures::MEMORY_CONTROL, "WebAssembly memory-control proposal", "build it without memory control"),
    (WasmFeatures::CUSTOM_PAGE_SIZES, "WebAssembly custom-page-sizes proposal", "build it with pages of 64 KiB"),
    (WasmFeatures::CUSTOM_DESCRIPTORS, "WebAssembly custom-descriptors proposal", "build it without descriptors"),
    (WasmFeatures::COMPACT_IMPORTS, "WebAssembly compact-import-section proposal", "build it without compact imports"),
    (WasmFeatures::CM_VALUES, "component model's values", "build it without them"),
    (WasmFeatures::CM_NESTED_NAMES, "component model's nested names", "build it without them"),
    (WasmFeatures::CM_ASYNC_STACKFUL, "component model's stackful async functions", "build it with callbacks"),
    (WasmFeatures::CM_MORE_ASYNC_BUILTINS, "component model's further async built-ins", "build it without them"),
    (WasmFeatures::CM_THREADING, "component model's threads", "build it without threads"),
    (WasmFeatures::CM_ERROR_CONTEXT, "component model's error-context", "build it without error contexts"),
    (WasmFeatures::CM_FIXED_LENGTH_LISTS, "component model's fixed-length lists", "build it with lists"),
    (WasmFeatures::CM_GC, "component model's garbage-collected types", "build it without them"),
    (WasmFeatures::CM_MAP, "component model's maps", "build it with lists"),
    (WasmFeatures::CM64, "component model's 64-bit memories", "build it for a 32-bit memory"),
    (WasmFeatures::CM_IMPLEMENTS, "component model's `implements` names", "build it without them"),
];

/// Proposals that a program needs and wasmpod does not support.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsupportedProposals(WasmFeatures);

impl fmt::Display for UnsupportedProposals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let needed: Vec<_> = PROPOSALS.iter().filter(|(feature, ..)| self.0.contains(*feature)).collect();
        let names: Vec<&str> = needed.iter().map(|(_, name, _)| *name).collect();
        let mut remedies: Vec<&str> = needed.iter().map(|(.., remedy)| *remedy).collect();
        remedies.dedup();
        match names.is_empty() {
            true => write!(f, "needs a WebAssembly proposal that wasmpod does not support; build it without"),
            false => write!(
                f,
                "needs the {}, which wasmpod does not support; {}",
                names.join(" and the "),
                remedies.join(" and ")
            ),
        }
    }
}

/// The result of a failed validation.
#[derive(Debug, Clone)]
pub enum Fault {
    Unsupported(UnsupportedProposals),
    Invalid(wasmparser::Error),
}

/// Checks that a program is valid with [`FEATURES`]. Returns its types.
///
/// # Errors
/// Names the proposals that the program lacks if it is valid with these, and the fault otherwise.
pub fn validate(bytes: &[u8]) -> Result<Types, Fault> {
    let fault = match validate_with(bytes, FEATURES) {
        Ok(types) => return Ok(types),
        Err(fault) => fault,
    };
    let mut features = FEATURES;
    let mut next = fault.clone();
    // Each round adds a feature, so there are at most as many rounds as features.
    while let Some(missing) = next.missing_wasm_feature().filter(|missing| !features.contains(*missing)) {
        features = features.union(missing);
        match validate_with(bytes, features) {
            Ok(_) => return Err(Fault::Unsupported(UnsupportedProposals(features.difference(FEATURES)))),
            Err(error) => next = error,
        }
    }
    match validate_with(bytes, WasmFeatures::all()) {
        Ok(_) => Err(Fault::Unsupported(UnsupportedProposals(features.difference(FEATURES)))),
        Err(_) => Err(Fault::Invalid(fault)),
    }
}

fn validate_with(bytes: &[u8], features: WasmFeatures) -> wasmparser::Result<Types> {
    Validator::new_with_features(features).validate_all(bytes)
}
