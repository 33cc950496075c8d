//! wasmpod runs Kubernetes Pods whose containers are WebAssembly programs, in one process.

pub mod clock;
pub mod control;
pub mod lifecycle;
pub mod model;
pub mod registry;
pub mod store;
