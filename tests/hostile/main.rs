//! Attacks on a node, by its guests and by its clients.
//!
//! Each attack runs against a process of its own, with a `TMPDIR` of its own and a bound on its memory. Beside a guest's
//! attack, the latency of a neighbour is measured, and printed. `WASMPOD_SOAK=1` makes the attacks last longer.
#![expect(clippy::print_stdout, reason = "the figures of an attack are read by people")]
#![expect(clippy::panic, clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod attacked_node;
mod client;
mod computing;
mod connections;
mod descriptors;
mod machine_time;
mod manifests;
mod output;
mod requests;
mod watches;
