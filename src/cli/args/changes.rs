//! The commands that change the objects of a running node: `apply` and `delete`.

use std::path::PathBuf;

use clap::{ArgAction, ValueEnum};

use super::ConnectionArgs;

/// Create or change the objects of manifests on a running node
///
/// Changes existing objects as `kubectl apply` does: what is no longer in the manifest is removed, and what others have
/// added is kept.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wasmpod apply -f pod.yaml                    Create the pod, or change it
  wasmpod apply -f manifests/ --dry-run=server Check what the server would do
  cat pod.yaml | wasmpod apply -f -            Read a manifest from standard input

Exit codes:
  0    Success
  1    The server rejected an object or cannot be reached
  2    Bad input")]
pub struct ApplyArgs {
    /// Manifests: YAML or JSON files, directories, or `-` for standard input
    #[arg(short, long = "filename", required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Let the server check the objects without storing them
    #[arg(long, value_enum, value_name = "WHERE")]
    pub dry_run: Option<DryRun>,

    #[command(flatten)]
    pub connection: ConnectionArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DryRun {
    /// The server does everything but storing
    Server,
}

/// Delete objects of a running node
///
/// Waits until the objects are gone: a pod's containers get its grace period to exit.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wasmpod delete web db             Delete pods
  wasmpod delete cm settings        Delete a ConfigMap
  wasmpod delete -f pod.yaml --now  Delete the objects of a manifest, with a grace period of one second

Exit codes:
  0    Success
  1    The server rejected a request or cannot be reached
  2    Bad input")]
pub struct DeleteArgs {
    /// Names of pods; or a kind and names of its objects; or KIND/NAME
    #[arg(value_name = "POD | KIND NAME")]
    pub objects: Vec<String>,

    /// Manifests with the objects to delete: files, directories, or `-` for standard input
    #[arg(short, long = "filename", value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Seconds for pods to exit [default: the pod's own]
    #[arg(long, value_name = "SECONDS")]
    pub grace_period: Option<u32>,

    /// Use a grace period of one second
    #[arg(long)]
    pub now: bool,

    /// Delete pods at once, without waiting for their containers
    #[arg(long)]
    pub force: bool,

    /// Wait until the objects are gone
    #[arg(
        long,
        value_name = "BOOL",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value = "true",
        default_missing_value = "true"
    )]
    pub wait: bool,

    /// Treat objects that do not exist as deleted
    #[arg(long)]
    pub ignore_not_found: bool,

    #[command(flatten)]
    pub connection: ConnectionArgs,
}
