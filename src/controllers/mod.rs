//! Controllers: the scheduler, which binds pods to nodes, and the static pods of a manifest directory.
//!
//! Each works through the control plane, like any client.

mod host_ports;
mod manifest_directory;
mod references;
pub mod scheduler;
pub mod static_pods;
