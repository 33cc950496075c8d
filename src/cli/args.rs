//! Flags and their help.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

use crate::embedded::Capacity;

pub use clients::{Connection, DescribeArgs, LogsArgs, PsArgs, PsOutput};

mod clients;

/// Runs Kubernetes Pods whose containers are WebAssembly programs, in one process, without Linux
/// namespaces. It runs no Linux images and sends nothing anywhere.
#[derive(Debug, Parser)]
#[command(
    version,
    max_term_width = 100,
    after_help = "\
Examples:
  wasmpod run pod.yaml               run a pod and follow its logs
  wasmpod run app.wasm               run one program
  wasmpod run pod.yaml --watch       run it again whenever something changes
  wasmpod run --help                 all that `run` can do
  wasmpod serve                      keep a node, for kubectl
  wasmpod ps                         … and look at it without kubectl

Colours are left out where NO_COLOR is set; WASMPOD_LOG=debug says what happens inside."
)]
pub struct Args {
    /// Say more about what happens; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Run(RunArgs),
    Serve(ServeArgs),
    Validate(ValidateArgs),
    Explain(ExplainArgs),
    Ps(PsArgs),
    Logs(LogsArgs),
    Describe(DescribeArgs),
    /// Print a completion script for a shell
    #[command(after_help = "\
Examples:
  wasmpod completions bash > ~/.local/share/bash-completion/completions/wasmpod
  wasmpod completions zsh > ~/.zfunc/_wasmpod     (a folder of your fpath)
  wasmpod completions fish > ~/.config/fish/completions/wasmpod.fish")]
    Completions {
        /// The shell that will read it
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    #[command(after_help = "\
Examples:
  wasmpod man | man -l -                          read it
  wasmpod man --dir ~/.local/share/man/man1       install it, a page for each command")]
    Man {
        /// Write a page for each command into this folder
        #[arg(long, value_name = "FOLDER")]
        dir: Option<PathBuf>,
    },
}

/// Keep a node running and serve the Kubernetes API
///
/// kubectl works with the kubeconfig that this command writes. Pods come from the manifests that are
/// named here and from the folder of --pod-manifest-path, which is watched. SIGTERM and Ctrl-C end the
/// pods gracefully; a second one kills them.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wasmpod serve                                        an empty node on https://127.0.0.1:6443
  wasmpod serve pod.yaml --builtin-images              … that runs a pod
  wasmpod serve --pod-manifest-path /etc/wasmpod/pods  … that runs a folder's pods
  wasmpod serve --listen 0.0.0.0:6443 --tls-san edge7  … for other machines, too (TLS only)

  export KUBECONFIG=~/.local/state/wasmpod/node/kubeconfig
  kubectl get pods

Exit codes:
  0    ended by SIGTERM or Ctrl-C
  2    bad input
  125  wasmpod itself failed")]
pub struct ServeArgs {
    /// Manifests to run from the beginning (YAML or JSON; files, folders, or - for standard input)
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Run the manifests of DIR as static pods; what changes there takes effect within a second
    #[arg(long, value_name = "DIR")]
    pub pod_manifest_path: Option<PathBuf>,

    /// Where to serve; port 0 takes a free one. Plain HTTP is answered on loopback only
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:6443")]
    pub listen: SocketAddr,

    /// Another name or address under which clients reach this node
    #[arg(long = "tls-san", value_name = "NAME")]
    pub names: Vec<String>,

    /// Where keys, the kubeconfig, logs and compiled programs lie [default: $XDG_STATE_HOME/wasmpod/node, and the
    /// user's own cache]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,

    /// The node's name [default: this machine's]
    #[arg(long, value_name = "NAME")]
    pub node_name: Option<String>,

    /// Use FILE for containers with `image: NAME`
    #[arg(long = "image", value_name = "NAME=FILE", value_parser = name_and_file)]
    pub images: Vec<(String, PathBuf)>,

    /// Let built-in programs stand in for busybox, alpine, nginx and pause
    #[arg(long)]
    pub builtin_images: bool,

    /// What pods may request together: cpu, memory, pods, ephemeral-storage, as in cpu=4,memory=8Gi [default: what the
    /// machine has]
    #[arg(long, value_name = "NAME=AMOUNT,…")]
    pub capacity: Option<Capacity>,

    /// No container waits longer for its next restart: 1s to 5m [default: 5m, as Kubernetes]
    #[arg(long, value_name = "TIME", value_parser = restart_period)]
    pub max_container_restart_period: Option<Duration>,

    /// Write the containers' logs below DIR, in CRI format under kubelet's names, for log shippers. It may
    /// hold no pods' logs of others; what this node left there goes when it starts again [default: logs, in the folder for state]
    #[arg(long, value_name = "DIR")]
    pub log_dir: Option<PathBuf>,

    /// How long pods may take to end after SIGTERM or Ctrl-C; a second signal kills them at once
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30s")]
    pub shutdown_grace: Duration,
}

/// Run the pods of manifests, or one WebAssembly program
///
/// Pods run until all of them are done or Ctrl-C is pressed: once ends them gracefully, twice kills
/// them. A WebAssembly file runs like a native program, with this terminal as its own.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wasmpod run pod.yaml                        run a pod and follow its logs
  wasmpod run manifests/ --until ready        run a folder's pods until all are ready
  cat pod.yaml | wasmpod run -                read a manifest from standard input
  wasmpod run pod.yaml --watch                run it again whenever a program or manifest changes
  wasmpod run app.wasm -- --port 80           run one program
  wasmpod run app.wasm --volume .:/work       … that sees a folder
  wasmpod run tests.yaml --report junit=report.xml --timeout 5m
                                              in CI: a report with each container's outcome
  wasmpod run pod.yaml --image web=web.wasm   run web.wasm for `image: web`

Exit codes:
  0    all pods succeeded (or are ready)
  1    a pod failed
  2    bad input
  124  the time was up (--timeout)
  125  wasmpod itself failed
  130  Ctrl-C")]
#[derive(Clone)]
pub struct RunArgs {
    /// Manifests (YAML or JSON; files, folders, or - for standard input), or one .wasm file
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// What the program of a .wasm file sees as its arguments
    #[arg(last = true, value_name = "ARGS")]
    pub args: Vec<String>,

    /// Use FILE for containers with `image: NAME`
    #[arg(long = "image", value_name = "NAME=FILE", value_parser = name_and_file)]
    pub images: Vec<(String, PathBuf)>,

    /// End when all pods are complete, or all are ready
    #[arg(long, value_enum, value_name = "STATE", default_value = "complete")]
    pub until: Until,

    /// Watch the manifests and the .wasm files that their containers use, and run what changes
    ///
    /// A new program begins again in exactly the containers that use it, without back-off; what
    /// ran before gets one second to end. A pod whose manifest has changed is replaced, one that is new
    /// begins, one that is no longer there ends. Volumes stay. What is broken is told of, and what runs
    /// goes on. A .wasm file that is run alone is watched, too. The run ends with Ctrl-C.
    #[arg(short, long, conflicts_with_all = ["until", "max_restarts"])]
    pub watch: bool,

    /// Give up after this time, as in 30s, 5m or 1h30m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,

    /// Let time go N times as fast, for programs, too: a back-off of 5 minutes takes 0.3 s at 1000
    ///
    /// What the pods show (times, ages, events) is told in their time; --timeout is in yours.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), default_value = "1")]
    pub speed: u32,

    /// Use this restart policy for all pods
    #[arg(long, value_enum, value_name = "POLICY")]
    pub restart: Option<Restart>,

    /// A pod fails when one of its containers is restarted more often
    #[arg(long, value_name = "N")]
    pub max_restarts: Option<u32>,

    /// What pods may request together: cpu, memory, pods, ephemeral-storage, as in cpu=4,memory=8Gi [default: what the
    /// machine has]
    #[arg(long, value_name = "NAME=AMOUNT,…")]
    pub capacity: Option<Capacity>,

    /// No container waits longer for its next restart: 1s to 5m [default: 5m, as Kubernetes]
    #[arg(long, value_name = "TIME", value_parser = restart_period)]
    pub max_container_restart_period: Option<Duration>,

    /// Print the final Pod objects to standard output (logs go to standard error then)
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<Output>,

    /// Write what became of each container to a file that CI systems read
    #[arg(long, value_name = "junit=FILE", value_parser = report)]
    pub report: Option<PathBuf>,

    /// Set a variable for the program of a .wasm file
    #[arg(short, long = "env", value_name = "NAME=VALUE", value_parser = variable)]
    pub env: Vec<(String, String)>,

    /// Set the variables of a file (NAME=VALUE a line) for the program of a .wasm file
    #[arg(long, value_name = "FILE")]
    pub env_file: Vec<PathBuf>,

    /// Show a folder to the program of a .wasm file
    #[arg(long = "volume", value_name = "HOST:GUEST[:ro]", value_parser = volume)]
    pub volumes: Vec<VolumeArg>,
}

/// Check manifests as the Kubernetes API would, and say what wasmpod makes of them
///
/// Every fault of every file is told with its place and the way out. Nothing is run, and nothing is
/// asked of a cluster.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wasmpod validate pod.yaml                   check one file
  wasmpod validate manifests/ --strict        check a folder; warnings fail, too
  helm template chart | wasmpod validate -    check standard input
  wasmpod validate . --output sarif           for code scanning

Exit codes:
  0    no faults
  2    faults (with --strict: or warnings)")]
pub struct ValidateArgs {
    /// Manifests (YAML or JSON; files, folders, or - for standard input)
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Print a report for other programs
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<Report>,

    /// Let warnings count as faults
    #[arg(long)]
    pub strict: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Report {
    Json,
    Sarif,
}

/// Explain a field of a kind, and say whether wasmpod supports it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wasmpod explain pod                                    a kind and its fields
  wasmpod explain pod.spec.containers.livenessProbe      one field
  wasmpod explain deployment.spec --recursive            all fields below it, in short")]
pub struct ExplainArgs {
    /// A kind, and a field of it
    #[arg(value_name = "KIND[.FIELD]")]
    pub field: String,

    /// Print the names of all fields below, too
    #[arg(long)]
    pub recursive: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Until {
    Complete,
    Ready,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Restart {
    Never,
    #[value(name = "onfailure", alias = "OnFailure")]
    OnFailure,
    Always,
}

impl Restart {
    /// As manifests write it.
    pub fn name(self) -> &'static str {
        match self {
            Restart::Never => "Never",
            Restart::OnFailure => "OnFailure",
            Restart::Always => "Always",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Json,
    Yaml,
}

/// A folder of the host and where the guest sees it.
#[derive(Debug, Clone)]
pub struct VolumeArg {
    pub host: PathBuf,
    pub guest: String,
    pub read_only: bool,
}

fn name_and_file(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, file)) if !name.is_empty() && !file.is_empty() => Ok((name.into(), file.into())),
        _ => Err("write NAME=FILE, as in web=target/web.wasm".into()),
    }
}

fn report(text: &str) -> Result<PathBuf, String> {
    match text.split_once('=') {
        Some(("junit", file)) if !file.is_empty() => Ok(file.into()),
        _ => Err("write junit=FILE, as in junit=target/wasmpod.xml".into()),
    }
}

pub fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.into(), value.into())),
        Some(_) => Err("the variable has no name".into()),
        // As docker and podman do: the variable of this process.
        None => std::env::var(text).map(|value| (text.into(), value)).map_err(|_| format!("{text} is not set here")),
    }
}

fn volume(text: &str) -> Result<VolumeArg, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let (host, guest, mode) = match parts.as_slice() {
        [host, guest] => (host, guest, "rw"),
        [host, guest, mode] => (host, guest, *mode),
        _ => return Err("write HOST:GUEST or HOST:GUEST:ro, as in ./data:/data:ro".into()),
    };
    if host.is_empty() || !guest.starts_with('/') {
        return Err("HOST must not be empty and GUEST must be an absolute path, as in ./data:/data".into());
    }
    let read_only = match mode {
        "ro" => true,
        "rw" => false,
        other => return Err(format!("unknown mode {other:?}: write ro or rw")),
    };
    Ok(VolumeArg { host: host.into(), guest: guest.to_string(), read_only })
}

/// As a kubelet's `maxContainerRestartPeriod`.
fn restart_period(text: &str) -> Result<Duration, String> {
    let period = duration(text)?;
    let allowed = Duration::from_secs(1)..=Duration::from_secs(300);
    if allowed.contains(&period) { Ok(period) } else { Err("must be between 1s and 5m".into()) }
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time: write 30s, 5m or 1h30m");
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        let (number, behind) = rest.split_at(digits);
        let letters = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, next) = behind.split_at(letters);
        let seconds = match unit {
            "ms" => 0.001,
            "s" | "" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(wrong()),
        };
        let number: f64 = number.parse().map_err(|_| wrong())?;
        total += Duration::try_from_secs_f64(number * seconds).map_err(|_| wrong())?;
        rest = next;
    }
    if text.is_empty() { Err(wrong()) } else { Ok(total) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restart_periods_are_those_that_a_kubelet_takes() {
        for (text, taken) in [("1s", true), ("5m", true), ("999ms", false), ("5m1s", false), ("soon", false)] {
            assert_eq!(restart_period(text).is_ok(), taken, "{text}");
        }
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, millis) in [
            ("30s", Some(30_000)),
            ("1h30m", Some(5_400_000)),
            ("500ms", Some(500)),
            ("2", Some(2_000)),
            ("1.5m", Some(90_000)),
            ("", None),
            ("x", None),
            ("5d", None),
        ] {
            assert_eq!(duration(text).ok().map(|d| d.as_millis()), millis, "{text:?}");
        }
    }

    #[test]
    fn volumes_name_a_folder_and_a_place() {
        for (text, fine) in
            [("a:/b", true), ("a:/b:ro", true), ("a:b", false), ("a", false), ("a:/b:x", false), (":/b", false)]
        {
            assert_eq!(volume(text).is_ok(), fine, "{text:?}");
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }
}
