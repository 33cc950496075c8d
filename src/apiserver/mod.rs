//! The Kubernetes API over HTTP.
//!
//! Uses the control plane through its trait and nodes through their handles; errors arrive from there as
//! [`Status`](crate::control::Status) and are returned as such. `server` accepts connections, `auth`
//! authorizes requests, and [`router`] dispatches them to `resource`, `reads` and `writes`.
//!
//! Independent of connections are content negotiation (`accept`), the table of resources and the documents
//! derived from it (`served`, `discovery`, `openapi`), and the encoding of objects (`representation`,
//! `tables`, `partial`). `compression` and `pretty` change finished responses.

pub mod accept;
mod api;
pub mod auth;
mod body;
mod compression;
mod connect;
pub mod credentials;
pub mod discovery;
pub mod health;
mod indentation;
mod list_body;
mod logs;
pub mod openapi;
mod openapi_paths;
mod openapi_v2;
mod options;
pub mod partial;
mod port_forward;
mod pretty;
mod proxy;
mod reads;
mod remote_command;
mod representation;
mod request;
mod resource;
mod response;
mod routes;
mod scheme;
pub mod served;
pub mod server;
pub mod tables;
mod unread_watches;
mod unserved;
mod watch;
mod websocket;
mod write_options;
mod writes;

#[cfg(test)]
mod document_tests;
#[cfg(test)]
mod kind_tests;
#[cfg(test)]
mod test_server;

pub use api::Api;
pub use routes::router;
