//! The command line's definition: commands, flags and their help.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

pub use changes::{ApplyArgs, DeleteArgs};
pub use clients::{ConnectionArgs, DescribeArgs, EventsArgs, GetArgs, ListArgs, LogsArgs, PsArgs, PsOutput};
pub use habits::{ForeignArgs, ForeignRunArgs};
pub use publish::{PublishArgs, PublishedPortArg};
pub use run::{ObjectFormat, ProgramArgs, RestartPolicyArg, RunArgs, Until};
pub use serve::{ServeArgs, StorageArgs};
pub use sessions::{AttachArgs, CpArgs, ExecArgs, PortForwardArgs};
pub use state::{BackupArgs, RestoreArgs, StateArgs, StateCommand, StateFormat, StateInspectArgs};
use values::parse_image;
pub use values::{VolumeArg, parse_variable};

mod changes;
mod clients;
mod habits;
mod publish;
mod run;
mod serve;
mod sessions;
mod state;
mod values;

/// Run Kubernetes Pods whose containers are WebAssembly programs
///
/// All pods run inside one process, without Linux namespaces, root or a container daemon. wasmpod does not run Linux
/// container images and sends no telemetry.
#[derive(Debug, Parser)]
#[command(
    version,
    max_term_width = 100,
    after_help = "\
Examples:
  wasmpod run pod.yaml               Run a pod and follow its logs
  wasmpod run app.wasm               Run a single program
  wasmpod run pod.yaml --watch       Restart containers when their programs or manifests change
  wasmpod run pod.yaml -p 8080:80    Open port 80 of the pod on http://127.0.0.1:8080
  wasmpod serve                      Start a node that kubectl can use
  wasmpod ps                         List the pods of that node
  wasmpod exec web -it -- sh         Open a shell in one of them

Environment variables:
  WASMPOD_LOG  Log filter, such as `debug`; overrides --verbose
  NO_COLOR     Disables colours when set

Use `wasmpod COMMAND --help` for more information about a command."
)]
pub struct Args {
    /// Use verbose logging (-v for info, -vv for debug)
    #[arg(short, long, global = true, action = clap::ArgAction::Count, display_order = 900)]
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
    Get(GetArgs),
    Events(EventsArgs),
    Apply(ApplyArgs),
    Delete(DeleteArgs),
    Logs(LogsArgs),
    Describe(DescribeArgs),
    Exec(ExecArgs),
    Attach(AttachArgs),
    Cp(CpArgs),
    PortForward(PortForwardArgs),
    Backup(BackupArgs),
    Restore(RestoreArgs),
    State(StateArgs),
    /// Print the version
    #[command(hide = true)]
    Version,
    #[command(hide = true)]
    Up(ForeignArgs),
    #[command(hide = true)]
    Down(ForeignArgs),
    #[command(hide = true)]
    Compose(ForeignArgs),
    #[command(hide = true)]
    Stop(ForeignArgs),
    #[command(hide = true)]
    Rm(ForeignArgs),
    /// Generate a shell completion script
    #[command(after_help = "\
Examples:
  wasmpod completions bash > ~/.local/share/bash-completion/completions/wasmpod
  wasmpod completions zsh > ~/.zfunc/_wasmpod     # ~/.zfunc must be in $fpath
  wasmpod completions fish > ~/.config/fish/completions/wasmpod.fish")]
    Completions {
        /// Shell to generate the script for
        shell: clap_complete::Shell,
    },
    /// Generate the manual pages
    #[command(after_help = "\
Examples:
  wasmpod man | man -l -                          Read the manual page
  wasmpod man --dir ~/.local/share/man/man1       Install a manual page for each command")]
    Man {
        /// Directory to write a page for each command to, instead of printing the main page
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

/// Check manifests without running them
///
/// Validates each object as the Kubernetes API server does and reports the fields that wasmpod ignores or does not
/// support, each with its position and a suggestion. Does not contact a cluster.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wasmpod validate pod.yaml                   Check one file
  wasmpod validate manifests/ --strict        Check a directory and fail on warnings
  helm template chart | wasmpod validate -    Check standard input
  wasmpod validate . --output sarif           Print a report for code scanning

Exit codes:
  0    No errors
  2    Errors (with --strict, errors or warnings)")]
pub struct ValidateArgs {
    /// Manifests to check: YAML or JSON files, directories, or `-` for standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Print a machine-readable report in this format
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<ReportFormat>,

    /// Treat warnings as errors
    #[arg(long)]
    pub strict: bool,

    /// Leave out objects of kinds that Kubernetes does not have, such as custom resources and kustomizations
    #[arg(long)]
    pub ignore_unknown_kinds: bool,

    /// Program that `wasmpod run` will be given for containers with `image: NAME`
    #[arg(long = "image", value_name = "NAME=FILE", value_parser = parse_image)]
    pub images: Vec<(String, PathBuf)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    Json,
    Sarif,
}

/// Show the documentation of a field and whether wasmpod supports it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wasmpod explain pod                                    Show a kind and its fields
  wasmpod explain pod.spec.containers.livenessProbe      Show one field
  wasmpod explain deployment.spec --recursive            List all fields below a field")]
pub struct ExplainArgs {
    /// Kind, optionally followed by the path of a field
    #[arg(value_name = "KIND[.FIELD]")]
    pub field: String,

    /// List the fields of all levels, without their documentation
    #[arg(long)]
    pub recursive: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_definition_is_valid() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }
}
