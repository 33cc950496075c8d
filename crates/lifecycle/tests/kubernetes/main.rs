//! Kubernetes' behaviour (docs/kubernetes-behaviour.md), as far as `lifecycle` decides it.
//!
//! A test simulates a pod: it gives the spec, [`script`]s of how the containers behave, and interventions with their
//! times, and checks the [`observations`]. The [`simulation`] runs in virtual time around `lifecycle` alone, so that hours
//! take milliseconds.
#![expect(clippy::panic, clippy::expect_used, reason = "a test fails by panicking")]

mod observations;
mod script;
mod simulation;

mod backoff;
mod conditions;
mod init;
mod phase;
mod probes;
mod start;
mod status;
mod termination;
