//! Kubernetes objects as text and as types: strict parsing with positions, names, quantities.
//!
//! Owns how a manifest's text becomes typed objects, and every word said about a text that
//! does not. Opens no file and reads no clock; `cli` brings the text, `registry` judges what
//! the objects mean.

pub mod expansion;
mod issue;
mod kinds;
mod manifest;
pub mod names;
pub mod outcome;
pub mod pods;
pub mod quantity;
mod strict;
mod tree;

pub use issue::{Issue, Issues, Position};
pub use manifest::{Manifest, parse};
