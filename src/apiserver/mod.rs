//! The Kubernetes API over HTTP: who may ask, what a URL means, and answers as kubectl reads them.
//!
//! Sees the control plane through its trait and nodes through their handles; refusals come from
//! below as [`Status`](crate::control::Status) and leave as such. [`router`] answers requests,
//! `server` has the connections they come on, `gate` decides who comes in.
//!
//! What can be decided without a connection stands in files of its own: what a client accepts
//! (`accept`), what is served and told of it (`served`, `discovery`, `openapi`), and how objects are shown
//! (`representation`: `tables`, `partial`, `events_v1`).

pub mod accept;
mod answer;
pub mod auth;
mod body;
pub mod credentials;
pub mod discovery;
mod events_v1;
pub mod health;
mod list_body;
mod logs;
pub mod openapi;
mod openapi_paths;
mod options;
pub mod partial;
mod reads;
mod representation;
mod request;
mod routes;
pub mod served;
pub mod server;
pub mod tables;
mod watch;
mod write_options;
mod writes;

pub use routes::{Api, router};
