//! Controllers: the scheduler, which binds pods to nodes; the static pods of a manifest directory; the content of
//! namespaces; and the garbage collection of objects whose owners are gone, and of finished pods.
//!
//! Each works through the control plane, like any client.

pub mod garbage_collector;
mod host_ports;
mod manifest_directory;
pub mod namespaces;
mod object_metadata;
pub mod pod_gc;
mod references;
mod runner;
pub mod scheduler;
pub mod static_pods;
mod work_queue;
