//! Fixtures of the tests: the program as a child process, served nodes, clients, an API server and guests in this
//! process, waiting.
#![expect(clippy::panic, clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

pub mod api_server;
mod clients;
mod files;
pub mod guests;
mod manifests;
mod measure;
mod plain_client;
mod process;
mod serve;
mod terminal;
mod waiting;

pub use clients::{SecurityPolicy, chromium, connect, curl, javascript};
pub use files::{binary, existing, guest, home, target, test_file};
pub use manifests::{container_status, pod, scripts};
pub use measure::{in_the_best_of_three, measure};
pub use plain_client::PlainClient;
pub use process::{ProcessOutput, RunningProcess, TestCommand, command, on_path, program, run};
pub use serve::{NodeDirectory, ServedNode, serve_node};
pub use terminal::Terminal;
pub use waiting::{eventually, in_time, sleep_until};
