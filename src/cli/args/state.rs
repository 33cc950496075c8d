//! The commands about the durable state of a node: `backup`, `restore` and `state`.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

/// Write all objects of a node to a file
///
/// The file is consistent, also while the node runs: it holds all objects as they were at one revision, one per line in
/// JSON. Secrets are among them, in plain text, and marked; only this user can read the file. Keys, logs and the
/// content of volumes are not part of it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wasmpod backup                                   Write to `backups` in the state directory
  wasmpod backup node.backup                       Write to a file
  wasmpod backup node.backup --kubeconfig edge7    Write the objects of a node on another machine

Exit codes:
  0    Success
  1    The node rejected a request or cannot be reached
  2    Bad input")]
pub struct BackupArgs {
    /// File to write, which must not exist [default: a dated file in `backups` of the state directory]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// State directory of the node, which may run or not [default: that of `wasmpod serve`]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,

    /// Path to a kubeconfig of a running node, instead of its state directory
    #[arg(long, value_name = "FILE", conflicts_with = "state_dir", requires = "file")]
    pub kubeconfig: Option<PathBuf>,
}

/// Replace all objects of a node by those of a backup
///
/// The node must not run. It continues with the objects as they were, after a revision that is above all that clients
/// have seen, so that they list again.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wasmpod restore node.backup                            Restore into an empty state directory
  wasmpod restore node.backup --force                    Replace the objects; the old database is kept aside
  wasmpod restore node.backup --state-dir /srv/wasmpod   Restore another node's state

Exit codes:
  0    Success
  2    Bad input")]
pub struct RestoreArgs {
    /// File that `wasmpod backup` has written
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// State directory of the node [default: that of `wasmpod serve`]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,

    /// Replace an existing database, which is kept under another name
    #[arg(long)]
    pub force: bool,
}

/// Show the durable state of a node
#[derive(Debug, clap::Args)]
pub struct StateArgs {
    #[command(subcommand)]
    pub command: StateCommand,
}

#[derive(Debug, Subcommand)]
pub enum StateCommand {
    Inspect(StateInspectArgs),
}

/// Show what a state directory holds and how large it is
///
/// Shows the revision, the objects by kind, the history that watches can read, the last compaction, and the size of each
/// part of the directory. The node may run or not.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wasmpod state inspect                              Show the state of the default node
  wasmpod state inspect --state-dir DIR -o json      Print it as JSON

Exit codes:
  0    Success
  1    The node rejected a request or cannot be reached
  2    Bad input")]
pub struct StateInspectArgs {
    /// State directory of the node [default: that of `wasmpod serve`]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,

    /// Output format
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<StateFormat>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StateFormat {
    Json,
}
