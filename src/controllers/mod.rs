//! What a cluster's control plane does between objects: binding pods to nodes. And what brings
//! objects to a node without a client: the static pods of a folder.

pub mod scheduler;
pub mod static_pods;
