//! wasmpod runs Kubernetes Pods whose containers are WebAssembly programs, in one process.
#![doc = ""]
pub mod model;
