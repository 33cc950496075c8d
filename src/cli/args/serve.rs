//! `wasmpod serve`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::run::NodeLimits;
use super::values::{parse_duration, parse_image};
use crate::controllers::pod_gc;
use crate::node::EvictionThresholds;

/// Start a node and serve the Kubernetes API
///
/// Writes a kubeconfig for kubectl. Pods are created through the API, from the manifests given here, and from the
/// static pods in --pod-manifest-path.
///
/// SIGTERM and Ctrl-C stop the pods gracefully; a second signal kills them. SIGUSR2, for an upgrade, stops them within
/// a second and without preStop hooks. In each case, the pods go on when the node starts again. SIGHUP reads the
/// manifests again.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wasmpod serve                                        Start an empty node at https://127.0.0.1:6443
  wasmpod serve pod.yaml --builtin-images              Start a node and create a pod
  wasmpod serve --pod-manifest-path /etc/wasmpod/pods  Run the static pods of a directory
  wasmpod serve --listen 0.0.0.0:6443 --tls-san edge7  Accept remote connections (TLS only)

  export KUBECONFIG=~/.local/state/wasmpod/node/kubeconfig
  kubectl get pods

Exit codes:
  0    Stopped by SIGTERM, SIGUSR2 or Ctrl-C
  2    Bad input
  125  Internal error")]
pub struct ServeArgs {
    /// Manifests to create at startup: YAML or JSON files, directories, or `-` for standard input
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Treat objects of kinds that do not work entirely yet as errors, instead of storing them with a warning
    #[arg(long)]
    pub strict: bool,

    /// Directory of static pod manifests; changes take effect within a second
    #[arg(long, value_name = "DIR")]
    pub pod_manifest_path: Option<PathBuf>,

    /// Program to use for containers with `image: NAME`
    #[arg(long = "image", value_name = "NAME=FILE", value_parser = parse_image)]
    pub images: Vec<(String, PathBuf)>,

    /// Use built-in programs for the images busybox, alpine, nginx and pause
    #[arg(long)]
    pub builtin_images: bool,

    /// Name of the node [default: the host name]
    #[arg(long, value_name = "NAME")]
    pub node_name: Option<String>,

    #[command(flatten)]
    pub limits: NodeLimits,

    /// Amounts below which pods are evicted, as kubelet's: a list of memory.available, nodefs.available and
    /// nodefs.inodesFree, each with a quantity or a percentage; what is not listed does not lead to evictions [default:
    /// memory.available<100Mi,nodefs.available<1Gi,nodefs.inodesFree<5%, and 10% where memory or disk are small]
    #[arg(long, value_name = "SIGNAL<AMOUNT,…")]
    pub eviction_hard: Option<EvictionThresholds>,

    /// IP address on which to open the `hostPort`s of pods, unless they name one
    #[arg(long, value_name = "IP", default_value_t = Ipv4Addr::LOCALHOST.into())]
    pub publish_address: IpAddr,

    /// Maximum time for pods to stop after SIGTERM or Ctrl-C
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "30s")]
    pub shutdown_grace: Duration,

    /// End the pods at SIGTERM and Ctrl-C, with the reason `Terminated`, as a kubelet does when its machine shuts down;
    /// otherwise they go on when the node starts again
    #[arg(long)]
    pub terminate_pods: bool,

    #[command(flatten)]
    pub api: ApiServerArgs,

    #[command(flatten)]
    pub storage: StorageArgs,
}

/// Where the API server listens.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "API server options")]
pub struct ApiServerArgs {
    /// Address and port to listen on; port 0 selects a free port. Plain HTTP is served on loopback addresses only
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:6443")]
    pub listen: SocketAddr,

    /// Additional host name or IP address for the server certificate
    #[arg(long = "tls-san", value_name = "NAME")]
    pub names: Vec<String>,
}

/// Directories that the node writes to.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Storage options")]
pub struct StorageArgs {
    /// Directory for objects, keys, the kubeconfig, logs, volumes and compiled programs [default: $STATE_DIRECTORY (set
    /// by systemd), or $XDG_STATE_HOME/wasmpod/node with compiled programs in the user's cache]
    ///
    /// Compiled programs are stored in $CACHE_DIRECTORY instead if systemd has set it.
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,

    /// If the database is damaged, set it aside and start from the newest file in `backups` of the state directory, or
    /// with an empty node if there is none, instead of not starting
    #[arg(long)]
    pub recover: bool,

    /// Directory for container logs [default: $LOGS_DIRECTORY (set by systemd), or `logs` in the
    /// state directory]
    ///
    /// Logs are written in CRI format under kubelet's file names, for log shippers: NAMESPACE_POD_UID/CONTAINER/N.log,
    /// with links in `containers`, as kubelet's /var/log/pods and /var/log/containers. The directory must not contain
    /// the pod logs of another node. Logs of a previous run are kept as long as their pods exist.
    #[arg(long, value_name = "DIR")]
    pub log_dir: Option<PathBuf>,

    /// Finished pods to keep; beyond that, the oldest are deleted. 0 keeps all
    #[arg(long, value_name = "COUNT", default_value_t = pod_gc::DEFAULT_THRESHOLD)]
    pub terminated_pod_gc_threshold: usize,
}
