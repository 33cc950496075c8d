//! `wasmpod run`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;

use super::habits::ForeignRunArgs;
use super::publish::PublishArgs;
use super::values::{
    VolumeArg, parse_duration, parse_image, parse_report, parse_restart_period, parse_retained_memory, parse_variable,
    parse_volume,
};
use crate::budget::RetainedMemory;
use crate::embedded::Capacity;

/// Run pods from manifests, or a single WebAssembly program
///
/// Runs until all pods have finished, printing their logs and state changes. Ctrl-C stops the pods gracefully; a second
/// Ctrl-C cuts their grace period to two seconds. A single .wasm file runs like a native program, attached to this
/// terminal.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
Examples:
  wasmpod run pod.yaml                        Run a pod and follow its logs
  wasmpod run manifests/ --until ready        Run the pods of a directory until all are ready
  cat pod.yaml | wasmpod run -                Read a manifest from standard input
  wasmpod run pod.yaml --watch                Restart containers when programs or manifests change
  wasmpod run pod.yaml --publish 8080:80      Open port 80 of the pod on http://127.0.0.1:8080
  wasmpod run pod.yaml --image web=web.wasm   Use web.wasm for containers with `image: web`
  wasmpod run app.wasm -- --port 80           Run a single program with arguments
  wasmpod run app.wasm --volume .:/work       Run a single program that can access a directory
  wasmpod run tests.yaml --report junit=report.xml --timeout 5m
                                              Run tests in CI and write a report

Exit codes:
  0    All pods succeeded, or became ready (--until ready)
  1    A pod failed
  2    Bad input
  124  Timed out (--timeout)
  125  Internal error
  130  Interrupted by Ctrl-C
  143  Terminated by SIGTERM

A single .wasm file exits with the exit code of its program.")]
pub struct RunArgs {
    /// Manifests to run (YAML or JSON files, directories, or `-` for standard input), or a single .wasm file
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Arguments for the program of a single .wasm file
    #[arg(last = true, value_name = "ARGS")]
    pub args: Vec<String>,

    /// Program to use for containers with `image: NAME`
    #[arg(long = "image", value_name = "NAME=FILE", value_parser = parse_image)]
    pub images: Vec<(String, PathBuf)>,

    /// Pod state to wait for before exiting
    #[arg(long, value_enum, value_name = "STATE", default_value = "complete")]
    pub until: Until,

    /// Watch manifests and local .wasm files, and apply changes
    ///
    /// A changed program restarts only the containers that use it, without back-off; a replaced container gets one
    /// second to exit. A changed manifest replaces its pod; added pods are started and removed pods are stopped.
    /// Volumes are kept. If a program or manifest is broken, wasmpod reports the error and keeps the running containers.
    /// A single .wasm file can be watched as well. Press Ctrl-C to stop.
    #[arg(short, long, conflicts_with_all = ["until", "max_restarts"])]
    pub watch: bool,

    /// Maximum time to run, such as 30s, 5m or 1h30m
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub timeout: Option<Duration>,

    /// Factor by which to speed up time for pods and their programs
    ///
    /// At 1000, a restart back-off of 5 minutes takes 0.3 s. Times, ages and events of pods use the accelerated
    /// clock; --timeout uses real time.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), default_value = "1")]
    pub speed: u32,

    /// Restart policy to use for all pods, instead of their own
    #[arg(long, value_enum, value_name = "POLICY")]
    pub restart: Option<RestartPolicyArg>,

    /// Maximum restarts of a container before its pod counts as failed
    #[arg(long, value_name = "N")]
    pub max_restarts: Option<u32>,

    /// Treat objects of kinds that do not work entirely yet as errors, instead of storing them with a warning
    #[arg(long)]
    pub strict: bool,

    #[command(flatten)]
    pub limits: NodeLimits,

    /// Print the final Pod objects in this format; logs go to standard error
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<ObjectFormat>,

    /// JUnit report file to write, with the outcome of each container
    #[arg(long, value_name = "junit=FILE", value_parser = parse_report)]
    pub report: Option<PathBuf>,

    #[command(flatten)]
    pub publish: PublishArgs,

    #[command(flatten)]
    pub program: ProgramArgs,

    #[command(flatten)]
    pub foreign: ForeignRunArgs,
}

/// Limits of a node.
#[derive(Debug, Clone, clap::Args)]
pub struct NodeLimits {
    /// Resources that pods may request in total (cpu, memory, pods, ephemeral-storage), such as cpu=4,memory=8Gi
    /// [default: the machine's]
    #[arg(long, value_name = "NAME=QUANTITY,…")]
    pub capacity: Option<Capacity>,

    /// Memory for what is kept for clients: changes that watches can still read, events, logs of ended containers, and
    /// what watches have not read. The oldest is dropped beyond that
    #[arg(long, value_name = "QUANTITY", value_parser = parse_retained_memory, default_value = "64Mi")]
    pub retained_memory: u64,

    /// Maximum restart back-off, between 1s and 5m [default: 5m]
    #[arg(long, value_name = "DURATION", value_parser = parse_restart_period)]
    pub max_container_restart_period: Option<Duration>,
}

impl NodeLimits {
    /// Returns the account of what the node keeps for its clients.
    pub fn retained_memory(&self) -> Arc<RetainedMemory> {
        RetainedMemory::new(self.retained_memory)
    }
}

/// Options for the program of a single .wasm file.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Options for a single .wasm file")]
pub struct ProgramArgs {
    /// Environment variable to set; NAME alone inherits its current value
    #[arg(short, long = "env", value_name = "NAME=VALUE", value_parser = parse_variable)]
    pub env: Vec<(String, String)>,

    /// File of environment variables to set, one NAME=VALUE per line
    #[arg(long, value_name = "FILE")]
    pub env_file: Vec<PathBuf>,

    /// Host directory to mount
    #[arg(long = "volume", value_name = "HOST:GUEST[:ro]", value_parser = parse_volume)]
    pub volumes: Vec<VolumeArg>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Until {
    /// All pods have finished
    Complete,
    /// All pods are ready
    Ready,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RestartPolicyArg {
    Never,
    #[value(name = "onfailure", alias = "OnFailure")]
    OnFailure,
    Always,
}

impl RestartPolicyArg {
    /// Returns the value of `spec.restartPolicy`.
    pub fn name(self) -> &'static str {
        match self {
            RestartPolicyArg::Never => "Never",
            RestartPolicyArg::OnFailure => "OnFailure",
            RestartPolicyArg::Always => "Always",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ObjectFormat {
    Json,
    Yaml,
}
