//! Kubernetes' behaviour, row by row: each test carries the number of the row that it proves (`k27_…`), and
//! ARCHITECTURE.md lists the rows.
//!
//! A test is a story: a pod, a [`script`] of how its containers behave, what befalls it and when, and what is then to
//! be [`seen`]. [`play`] runs it in virtual time around `lifecycle` alone, so that hours take milliseconds. Rows that other
//! rooms own are tested through those rooms. This suite is compiled with the library's unit tests.
#![expect(clippy::panic, clippy::expect_used, reason = "a test fails by panicking")]

mod play;
mod script;
mod seen;

mod backoff;
mod conditions;
mod init;
mod phase;
mod probes;
mod start;
mod status;
mod termination;
