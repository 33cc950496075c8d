//! The Kubernetes API over HTTP.
//!
//! What can be decided without a connection stands in files of its own: what a client accepts
//! (`accept`) and how objects are shown to it (`tables`, `partial`).

pub mod accept;
pub mod partial;
pub mod tables;
