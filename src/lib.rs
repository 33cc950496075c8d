//! wasmpod runs Kubernetes Pods whose containers are WebAssembly programs, in one process.

pub mod control;
pub mod model;
pub mod store;
