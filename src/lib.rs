//! wasmpod runs Kubernetes Pods whose containers are WebAssembly programs, in one process.

pub mod apiserver;
pub mod cli;
pub mod clock;
pub mod control;
pub mod controllers;
pub mod embedded;
pub mod files;
pub mod images;
pub mod lifecycle;
pub mod logs;
pub mod model;
pub mod network;
pub mod node;
pub mod registry;
pub mod runtime;
pub mod store;
pub mod volumes;
