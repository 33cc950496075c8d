//! Kubernetes objects as text and as types: strict parsing with positions, names, quantities.
//!
//! Owns how a manifest's text becomes typed objects, and every word said about a text that
//! does not. Opens no file and reads no clock; `cli` brings the text, `registry` judges what
//! the objects mean.

mod decode;
pub mod duration;
pub mod emit;
pub mod expansion;
pub mod formats;
pub mod go;
mod header;
mod issue;
mod kinds;
mod manifest;
#[cfg(test)]
mod mutations;
pub mod names;
pub mod outcome;
pub mod pods;
pub mod printed;
#[cfg(any(test, feature = "properties"))]
pub mod properties;
pub mod quantity;
mod scalars;
pub mod schema;
pub mod selector;
mod strict;
mod text;
mod tree;
pub mod version;
mod workload;
mod yaml;

pub use decode::{DecodeError, Decoded, TextFormat, decode_object};
pub use issue::{Diagnostics, Issue, Issues, Position, Rule, Severity};
pub use kinds::{Kind, Object, is_known, of_resource};
pub use manifest::{Fault, Manifest, parse};
pub use text::decode;
pub use workload::{Template, restart_policies, template};
