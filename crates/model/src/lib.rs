//! Kubernetes objects as text and as types: strict parsing with positions, names, quantities, selectors.
//!
//! Owns the conversion of a manifest into typed objects and the diagnostics of invalid ones. Opens no
//! file and reads no clock: `cli` reads the files, `registry` validates the objects.

pub mod cron;
mod decode;
mod diagnostic;
pub mod duration;
pub mod emit;
pub mod expansion;
pub mod extensions;
pub mod formats;
pub mod go;
pub mod go_json;
pub mod go_scanner;
mod header;
pub mod hex;
pub mod host_ports;
mod kinds;
mod manifest;
pub mod names;
pub mod object;
pub mod openapi_v2;
pub mod outcome;
pub mod pod_row;
pub mod pods;
#[cfg(any(test, feature = "properties"))]
pub mod properties;
#[cfg(test)]
mod property_tests;
pub mod protobuf;
pub mod quantity;
mod scalars;
pub mod schema;
pub mod selector;
mod strict;
mod text;
mod tree;
pub mod version;
mod yaml;

pub use decode::{BodyFormat, DecodeError, Decoded, TextFormat, decode_body, decode_object};
pub use diagnostic::{Diagnostic, DiagnosticSink, Diagnostics, Position, Rule, Severity};
pub use kinds::{KindType, ManifestObject, is_kubernetes_kind};
pub use manifest::{FieldDiagnostic, Manifest, parse};
pub use text::decode_text;
