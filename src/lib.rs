//! wasmpod runs Kubernetes Pods whose containers are WebAssembly programs, in one process.
//!
//! The binary is the way in for people; this library is the way in for tests of other projects.
//! [`Node::in_memory`] is a whole node, up in milliseconds and gone when it is dropped; tests that run
//! side by side have one each.
//!
//! ```
//! use wasmpod::Node;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let node = Node::in_memory()?;
//! node.apply(
//!     "
//!     apiVersion: v1
//!     kind: Pod
//!     metadata: {name: hello}
//!     spec:
//!       restartPolicy: Never
//!       containers:
//!       - {name: greet, image: busybox, command: [echo, 'Hello, pod']}
//!     ",
//! )
//! .await?;
//! node.wait_complete("hello").await?;
//! assert_eq!(node.logs("hello", "greet").await?, "Hello, pod\n");
//! # Ok(())
//! # }
//! ```
//!
//! Programs under test come by name, as a file or as bytes, and a typed Pod does as well as YAML:
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use wasmpod::Node;
//! use wasmpod::k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
//!
//! let node = Node::builder().image("web", "target/wasm32-wasip2/release/web.wasm").start()?;
//! let mut pod = Pod::default();
//! pod.metadata.name = Some("web".into());
//! let container = Container { name: "web".into(), image: Some("web".into()), ..Container::default() };
//! pod.spec = Some(PodSpec { containers: vec![container], ..PodSpec::default() });
//! node.apply(pod).await?;
//! node.wait_ready("web").await?;
//! node.delete("web").await?;
//! # Ok(())
//! # }
//! ```

pub mod apiserver;
pub mod budget;
pub mod cli;
pub mod clock;
pub mod control;
pub mod controllers;
pub mod embedded;
pub mod events;
pub mod files;
pub mod images;
pub mod logs;
pub mod network;
pub mod node;
pub mod prober;
pub mod registry;
pub mod runtime;
pub mod store;
pub mod volumes;

pub use embedded::Node;
/// The Kubernetes types that [`Node::apply`] takes and [`Node::status`] gives.
pub use k8s_openapi;

#[doc(hidden)]
pub use wasmpod_lifecycle as lifecycle;
#[doc(hidden)]
pub use wasmpod_model as model;
