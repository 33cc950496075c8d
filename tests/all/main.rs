//! End-to-end tests of the release binary with its built-in images, which `make test` builds, and of the library's API.
//!
//! Every wait has a deadline and is for something observable.
#![expect(clippy::panic, clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod api;
mod api_edges;
mod api_protobuf;
mod api_refusals;
mod api_workloads;
mod api_writes;
mod backups;
mod bad_input;
mod capacity;
mod client_commands;
mod clients;
mod compiling;
mod containers;
mod embedded;
mod ends;
mod examples;
mod exec;
mod guests;
mod habits;
mod host_ends;
mod hostile_sessions;
mod housekeeping;
mod informers;
mod kill;
mod kubectl;
mod kubectl_kinds;
mod kubectl_writes;
mod limits;
mod log_files;
mod network;
mod outside;
mod private_sockets;
mod probes;
mod programs;
mod proxy;
mod publish;
mod quota;
mod reports;
mod restarts;
mod runs;
mod serve;
mod service_accounts;
mod services;
mod sessions;
mod shell;
mod speed;
mod static_pods;
mod stopping;
mod third_party;
mod traces;
mod validate;
mod watching;

use wasmpod_test_support as support;
