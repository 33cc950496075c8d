//! The commands that connect to running pods: `exec`, `attach`, `cp` and `port-forward`.

use super::ConnectionArgs;

/// The streams of a session.
#[derive(Debug, Clone, clap::Args)]
pub struct SessionArgs {
    /// Pass standard input to the container
    #[arg(short = 'i', long)]
    pub stdin: bool,

    /// Use a terminal; needs --stdin
    #[arg(short, long)]
    pub tty: bool,
}

/// Run a program in a running container
///
/// Exits with the exit code of the program. Programs of the built-in busybox, such as `sh`, run in containers of any
/// image.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wasmpod exec web -- ls /www                 Run a program in the pod's first container
  wasmpod exec web -it -- sh                  Open a shell
  wasmpod exec web -c log -- cat /logs/today  Run a program in the container `log`
  wasmpod exec web -i -- wc -l < file         Pass a file to a program

Exit codes:
  0    Success
  1    The server rejected the request or cannot be reached
  2    Bad input

Otherwise exits with the exit code of the program.")]
pub struct ExecArgs {
    /// Pod to run the program in
    #[arg(value_name = "POD")]
    pub pod: String,

    /// Program to run, and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    pub command: Vec<String>,

    /// Container to run the program in [default: the pod's default or first container]
    #[arg(short, long, value_name = "NAME")]
    pub container: Option<String>,

    #[command(flatten)]
    pub session: SessionArgs,

    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Attach to the main program of a running container
///
/// Prints the program's output from now on and, with --stdin, passes standard input to it. The container must have
/// `stdin: true` for input, and `tty: true` for a terminal.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wasmpod attach web                Print the output of the pod's first container
  wasmpod attach shell -it          Use a container with `stdin: true` and `tty: true` from this terminal

Exit codes:
  0    Success
  1    The server rejected the request or cannot be reached
  2    Bad input")]
pub struct AttachArgs {
    /// Pod to attach to
    #[arg(value_name = "POD")]
    pub pod: String,

    /// Container to attach to [default: the pod's default or first container]
    #[arg(short, long, value_name = "NAME")]
    pub container: Option<String>,

    #[command(flatten)]
    pub session: SessionArgs,

    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Copy files between this machine and a container
///
/// Copies files, directories and links by `tar` in the container; the `tar` of the built-in busybox runs in containers
/// of any image. As with `kubectl cp`, a source is copied into an existing directory of the container, and the content
/// of a container's directory into an existing local directory. Nothing is written outside of a local destination:
/// links that lead out of it are skipped.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wasmpod cp site web:/www                   Copy a directory to /www/site in the pod's first container
  wasmpod cp web:/var/log/app.log .          Copy a file to this directory
  wasmpod cp -c db shop/web:/data backup     Copy a directory of a container in the namespace `shop`

Exit codes:
  0    Success
  1    A file cannot be copied, or the server cannot be reached
  2    Bad input")]
pub struct CpArgs {
    /// File or directory to copy; a path in a container is POD:PATH or NAMESPACE/POD:PATH
    #[arg(value_name = "SRC")]
    pub source: String,

    /// Destination
    #[arg(value_name = "DST")]
    pub destination: String,

    /// Container to copy from or to [default: the pod's default or first container]
    #[arg(short, long, value_name = "NAME")]
    pub container: Option<String>,

    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Forward ports of this machine to a pod
///
/// Connections reach the pod as from inside: programs that listen on its loopback are reached, too. Runs until Ctrl-C.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wasmpod port-forward web 8080:80               Forward http://localhost:8080 to port 80 of the pod
  wasmpod port-forward web :80                   Choose a free port, and print it
  wasmpod port-forward web 5432 8080:http        Forward several ports; `http` is a name in the pod's manifest
  wasmpod port-forward web 80 --address 0.0.0.0  Accept connections from other machines

Exit codes:
  0    Stopped by Ctrl-C or SIGTERM
  1    The server rejected the request or cannot be reached
  2    Bad input")]
pub struct PortForwardArgs {
    /// Pod to forward to
    #[arg(value_name = "POD")]
    pub pod: String,

    /// Ports: REMOTE for the same port on both sides, :REMOTE for any free local port
    #[arg(required = true, value_name = "[LOCAL:]REMOTE")]
    pub ports: Vec<String>,

    /// Addresses to listen on: IP addresses or localhost
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',', default_value = "localhost")]
    pub address: Vec<String>,

    #[command(flatten)]
    pub connection: ConnectionArgs,
}
