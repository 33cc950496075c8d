//! wasmpod runs Kubernetes Pods whose containers are WebAssembly programs, inside one process.
//!
//! The `wasmpod` binary is for people; this library is for the tests of other projects. [`Node::in_memory`] starts a
//! whole node, with its own control plane, in a few milliseconds. Dropping the node stops its pods and removes their
//! files, so that tests can run in parallel with a node each.
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
//! [`Node::builder`] configures a node. Programs under test are given by name, as files or as bytes, and pods as YAML or
//! as typed objects:
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
//!
//! The other modules are public for wasmpod's own tests and benchmarks only, and may change at any time.

#[doc(hidden)]
pub mod apiserver;
#[doc(hidden)]
pub mod budget;
#[doc(hidden)]
pub mod cli;
#[doc(hidden)]
pub mod clock;
#[doc(hidden)]
pub mod control;
#[doc(hidden)]
pub mod controllers;
#[doc(hidden)]
pub mod embedded;
#[doc(hidden)]
pub mod events;
#[doc(hidden)]
pub mod files;
#[doc(hidden)]
pub mod gateway;
#[doc(hidden)]
pub mod images;
#[doc(hidden)]
pub mod logs;
#[doc(hidden)]
pub mod network;
#[doc(hidden)]
pub mod node;
#[doc(hidden)]
pub mod prober;
#[doc(hidden)]
pub mod registry;
#[doc(hidden)]
pub mod runtime;
#[doc(hidden)]
pub mod store;
#[doc(hidden)]
pub mod streams;
#[doc(hidden)]
pub mod volumes;

#[doc(inline)]
pub use control::{Reason, Status};
#[doc(inline)]
pub use embedded::{ApplyError, Capacity, CapacityError, Node, NodeBuilder, NodeStartError, PodSource, WaitError};
#[doc(inline)]
pub use images::{ImageError, ImageSource};
/// The Kubernetes API types, such as the [`Pod`](k8s_openapi::api::core::v1::Pod) that [`Node::apply`] accepts.
pub use k8s_openapi;
#[doc(inline)]
pub use model::Diagnostics;
#[doc(inline)]
pub use runtime::RuntimeError;
#[doc(inline)]
pub use volumes::HostPaths;

#[doc(hidden)]
pub use wasmpod_lifecycle as lifecycle;
#[doc(hidden)]
pub use wasmpod_model as model;
