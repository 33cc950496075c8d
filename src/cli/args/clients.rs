//! The commands that query a running node: `ps`, `get`, `events`, `logs` and `describe`.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;

use super::values::parse_duration;

/// The server and the namespace.
///
/// Without flags, `$KUBECONFIG` selects the server; without that it is the only `wasmpod run` or `wasmpod serve` of this
/// user that runs here.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Connection options")]
pub struct ConnectionArgs {
    /// Path to a kubeconfig with the server and credentials [default: $KUBECONFIG; if it is not set, the only `wasmpod
    /// run` or `wasmpod serve` of this user is used]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// Private socket of a `wasmpod run` or `wasmpod serve` of this user
    #[arg(long, value_name = "FILE", conflicts_with = "kubeconfig")]
    pub socket: Option<PathBuf>,

    /// Namespace of the objects [default: that of the kubeconfig, or `default`]
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
}

impl ConnectionArgs {
    /// Returns the connection to the server of a kubeconfig.
    pub fn with_kubeconfig(path: PathBuf) -> ConnectionArgs {
        ConnectionArgs { kubeconfig: Some(path), socket: None, namespace: None }
    }
}

/// List the pods of a running node
///
/// The node is that of a `wasmpod serve` or `wasmpod run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wasmpod ps                      List the pods of the kubeconfig's namespace
  wasmpod ps -A -o wide           List the pods of all namespaces, with their addresses
  wasmpod ps -w                   List the pods, then print changes until Ctrl-C
  wasmpod ps web -o yaml          Print a pod as YAML

Exit codes:
  0    Success
  1    The server rejected the request or cannot be reached
  2    Bad input")]
pub struct PsArgs {
    /// Pod to list, instead of all pods
    #[arg(value_name = "POD", conflicts_with = "all_namespaces")]
    pub pod: Option<String>,

    #[command(flatten)]
    pub list: ListArgs,
}

/// List objects of any kind of a running node
///
/// `wasmpod get pods` is `wasmpod ps`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wasmpod get pods                List the pods of the kubeconfig's namespace
  wasmpod get cm settings -o yaml Print a ConfigMap as YAML
  wasmpod get nodes -o wide       Print the node

Exit codes:
  0    Success
  1    The server rejected the request or cannot be reached
  2    Bad input")]
pub struct GetArgs {
    /// Kind of the objects, such as pods, services or deployments; KIND/NAME for one object
    #[arg(value_name = "KIND")]
    pub resource: String,

    /// Object to print, instead of all
    #[arg(value_name = "NAME")]
    pub name: Option<String>,

    #[command(flatten)]
    pub list: ListArgs,
}

/// The namespaces to list, and the form of the output.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// List the objects of all namespaces
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub all_namespaces: bool,

    /// Output format
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<PsOutput>,

    /// Keep printing changes until Ctrl-C
    #[arg(short, long)]
    pub watch: bool,

    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Print the events of a running node
///
/// Prints what happened to pods and other objects, the newest last, in the format of `kubectl events`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wasmpod events                  Print the events of the kubeconfig's namespace
  wasmpod events web -w           Print the events of a pod, then those that follow until Ctrl-C

Exit codes:
  0    Success
  1    The server rejected the request or cannot be reached
  2    Bad input")]
pub struct EventsArgs {
    /// Pod to print the events of, instead of all objects
    #[arg(value_name = "POD", conflicts_with = "all_namespaces")]
    pub pod: Option<String>,

    /// Print the events of all namespaces
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub all_namespaces: bool,

    /// Keep printing events until Ctrl-C
    #[arg(short, long)]
    pub watch: bool,

    #[command(flatten)]
    pub connection: ConnectionArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PsOutput {
    Wide,
    Json,
    Yaml,
    Name,
}

/// Print the logs of a container on a running node
///
/// The node is that of a `wasmpod serve` or `wasmpod run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wasmpod logs web                         Print the logs of a pod's first container
  wasmpod logs web -c init --tail 20       Print the last 20 lines of the container `init`
  wasmpod logs web -f --since 5m           Print the last five minutes, then follow
  wasmpod logs web -p                      Print the logs from before the last restart

Exit codes:
  0    Success
  1    The server rejected the request or cannot be reached
  2    Bad input")]
pub struct LogsArgs {
    /// Pod to print the logs of
    #[arg(value_name = "POD")]
    pub pod: String,

    /// Container to print the logs of [default: the pod's default or first container]
    #[arg(short, long, value_name = "NAME")]
    pub container: Option<String>,

    /// Keep printing new lines until the container terminates
    #[arg(short, long)]
    pub follow: bool,

    /// Print the logs of the container before its last restart
    #[arg(short, long)]
    pub previous: bool,

    /// Number of most recent lines to print; -1 prints all
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub tail: Option<i64>,

    /// Maximum age of the lines to print, such as 30s or 1h30m
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub since: Option<Duration>,

    /// Prefix each line with its timestamp
    #[arg(long)]
    pub timestamps: bool,

    /// Print control characters on terminals as well, instead of making them visible; colours are always printed
    #[arg(long)]
    pub raw: bool,

    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Show the details of a pod on a running node
///
/// Prints the pod, its containers and their states, and its events, in the format of `kubectl describe pod`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wasmpod describe web
  wasmpod describe web -n shop

Exit codes:
  0    Success
  1    The server rejected the request or cannot be reached
  2    Bad input")]
pub struct DescribeArgs {
    /// Pod to show
    #[arg(value_name = "POD")]
    pub pod: String,

    /// Pod to show, after the word `pod`
    #[arg(value_name = "NAME", hide = true)]
    pub name: Option<String>,

    #[command(flatten)]
    pub connection: ConnectionArgs,
}
