//! The Kubernetes API over HTTP.
//!
//! What can be decided without a connection stands in files of its own: what a client accepts
//! (`accept`), what is served and told of it (`served`, `discovery`, `openapi`), how objects are shown
//! (`tables`, `partial`, `events_v1`).

pub mod accept;
pub mod discovery;
pub mod events_v1;
pub mod openapi;
mod openapi_paths;
pub mod partial;
pub mod served;
pub mod tables;
