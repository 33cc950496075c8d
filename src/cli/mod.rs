//! The command line: flags, messages, signals and exit codes, with a module for each command.
//!
//! Builds the other layers and connects them; makes no decisions about pods.

/// Prints a line to standard error. A closed standard error is ignored.
macro_rules! stderrln {
    ($($text:tt)*) => {
        crate::cli::terminal_text::print_error(format_args!($($text)*))
    };
}

mod api_server;
mod apply;
mod args;
mod attach;
mod backup;
mod check;
mod client;
mod columns;
mod cp;
mod database;
mod delete;
mod describe;
mod documents;
mod events;
mod exec;
mod exit;
mod explain;
mod habits;
mod limits;
mod logs;
mod manifest_objects;
mod manifest_source;
mod manifests;
mod port_forward;
mod private_socket;
mod ps;
mod recovery;
mod remote_command;
mod report;
mod resource_names;
mod run;
mod serve;
mod signals;
mod state;
mod state_directory;
mod target_pod;
mod terminal_text;
mod validate;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

use args::{Args, Command};
use exit::Outcome;
use habits::ForeignCommand;

use crate::runtime::shorten_time_slice;

/// Runs the command line and returns the exit code of the process.
pub fn main() -> ExitCode {
    match Args::try_parse().map_or_else(|usage| print_usage(&usage), run_command) {
        Ok(outcome) => outcome.code(),
        Err(error) if report::is_broken_pipe(&error) => Outcome::BrokenPipe.code(),
        Err(error) => {
            stderrln!("error: {}", report::error_chain(&error));
            Outcome::from_error(&error).code()
        }
    }
}

/// Prints what clap has to say. `--help` and `--version` are errors to clap, but print to standard output and succeed.
fn print_usage(usage: &clap::Error) -> anyhow::Result<Outcome> {
    let printed = usage.print().and_then(|()| std::io::stdout().flush());
    if usage.use_stderr() {
        return Ok(Outcome::BadInput);
    }
    printed.context("cannot write the help")?;
    Ok(Outcome::Success)
}

fn run_command(args: Args) -> anyhow::Result<Outcome> {
    init_tracing(args.verbose);
    limits::raise_file_limit();
    match args.command {
        Command::Run(args) => run::main(args),
        Command::Validate(args) => validate::main(&args),
        Command::Explain(args) => explain::main(&args),
        Command::Serve(args) => serve::main(args),
        Command::Ps(args) => ps::main(args),
        Command::Get(args) => ps::get(args),
        Command::Events(args) => events::main(args),
        Command::Apply(args) => apply::main(args),
        Command::Delete(args) => delete::main(args),
        Command::Logs(args) => logs::main(args),
        Command::Describe(args) => describe::main(args),
        Command::Exec(args) => exec::main(args),
        Command::Attach(args) => attach::main(args),
        Command::Cp(args) => cp::main(args),
        Command::PortForward(args) => port_forward::main(args),
        Command::Backup(args) => backup::main(args),
        Command::Restore(args) => backup::restore(&args),
        Command::State(args) => state::main(args),
        Command::Version => habits::print_version(),
        Command::Up(_) => Err(ForeignCommand::Up.error()),
        Command::Down(_) => Err(ForeignCommand::Down.error()),
        Command::Compose(_) => Err(ForeignCommand::Compose.error()),
        Command::Stop(_) => Err(ForeignCommand::Stop.error()),
        Command::Rm(_) => Err(ForeignCommand::Rm.error()),
        Command::Completions { shell } => documents::print_completions(shell),
        Command::Man { dir } => documents::write_manual(dir.as_deref()),
    }
}

/// Starts the threads of a node, beside those of its guests.
fn node_threads() -> anyhow::Result<tokio::runtime::Runtime> {
    let mut threads = tokio::runtime::Builder::new_multi_thread();
    threads.enable_all().thread_name("wasmpod").on_thread_start(shorten_time_slice);
    threads.build().context("cannot start threads")
}

fn init_tracing(verbose: u8) {
    use tracing_subscriber::EnvFilter;
    let default = match verbose {
        0 => "warn",
        1 => "wasmpod=info,warn",
        _ => "wasmpod=debug,info",
    };
    let filter = EnvFilter::try_from_env("WASMPOD_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let output = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colour);
    let output = output.with_target(false);
    // Fails if a subscriber is set already, as in tests; that one is kept.
    let _ = output.without_time().try_init();
}
