//! What a cluster's control plane does between objects. So far: binding pods to nodes.

pub mod scheduler;
