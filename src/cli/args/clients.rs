//! The commands that ask a node which `wasmpod serve` keeps.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;

/// Which node is asked, and of what.
#[derive(Debug, Clone, clap::Args)]
pub struct Connection {
    /// Names the server and proves who asks [default: $KUBECONFIG, else what `wasmpod serve` wrote
    /// into its default state folder]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// The pods' namespace [default: the kubeconfig's]
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
}

/// List the pods of a node that `wasmpod serve` keeps
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wasmpod ps                      the pods of the kubeconfig's namespace
  wasmpod ps -A -o wide           all pods, with their addresses
  wasmpod ps -w                   … and every change, until Ctrl-C
  wasmpod ps web -o yaml          one pod, whole

Exit codes:
  0    printed
  1    the node refuses, or can't be reached
  2    bad input")]
pub struct PsArgs {
    /// One pod
    #[arg(value_name = "POD", conflicts_with = "all_namespaces")]
    pub pod: Option<String>,

    #[command(flatten)]
    pub connection: Connection,

    /// Pods of all namespaces
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub all_namespaces: bool,

    /// Print more columns, whole objects or names
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<PsOutput>,

    /// Go on with every change, until Ctrl-C
    #[arg(short, long)]
    pub watch: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PsOutput {
    Wide,
    Json,
    Yaml,
    Name,
}

/// Print the log of a container on a node that `wasmpod serve` keeps
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wasmpod logs web                         the log of a pod's only container
  wasmpod logs web -c init --tail 20       the last lines of one of several
  wasmpod logs web -f --since 5m           … since five minutes ago, and what comes
  wasmpod logs web -p                      what it wrote before its last restart

Exit codes:
  0    printed
  1    the node refuses, or can't be reached
  2    bad input")]
pub struct LogsArgs {
    /// The pod
    #[arg(value_name = "POD")]
    pub pod: String,

    #[command(flatten)]
    pub connection: Connection,

    /// The container, where the pod has several
    #[arg(short, long, value_name = "NAME")]
    pub container: Option<String>,

    /// Go on with what is written, until the container ends
    #[arg(short, long)]
    pub follow: bool,

    /// The log of the container before its last restart
    #[arg(short, long)]
    pub previous: bool,

    /// Only the last N lines; -1 for all
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub tail: Option<i64>,

    /// Only what is younger than this time, as in 30s or 1h30m
    #[arg(long, value_name = "TIME", value_parser = super::duration)]
    pub since: Option<Duration>,

    /// Begin each line with the time it was written
    #[arg(long)]
    pub timestamps: bool,
}

/// Tell everything about a pod on a node that `wasmpod serve` keeps
///
/// It reads as what kubectl tells: the pod, its containers and their states, and what happened to it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wasmpod describe web
  wasmpod describe web -n shop

Exit codes:
  0    printed
  1    the node refuses, or can't be reached
  2    bad input")]
pub struct DescribeArgs {
    /// The pod
    #[arg(value_name = "POD")]
    pub pod: String,

    #[command(flatten)]
    pub connection: Connection,
}
