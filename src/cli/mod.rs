//! The command line: flags, tracing, signals. Builds everything, decides nothing about pods.

/// Prints a line on standard error. Where nobody can read it, there is nobody to tell.
macro_rules! tell {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr().lock(), $($text)*);
    }};
}

mod args;
mod bare;
mod changes;
mod check;
mod client;
mod describe;
mod desired;
mod documents;
mod exit;
mod explain;
mod follow;
mod input;
mod junit;
mod limits;
mod live;
mod logs;
mod plain;
mod programs;
mod progress;
mod ps;
mod report;
mod run;
mod serve;
mod show;
mod signals;
mod source;
mod state;
mod tabs;
mod validate;
mod watching;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};
use exit::Outcome;

/// Runs the command line and gives the process's exit code.
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // clap's own exit code for wrong usage is ours too; help and version go to stdout with 0.
            let _ = error.print();
            return if error.use_stderr() { Outcome::BadInput.code() } else { ExitCode::SUCCESS };
        }
    };
    set_up_tracing(args.verbose);
    limits::raise_file_limit();
    let done = match args.command {
        Command::Run(args) => run::main(args),
        Command::Validate(args) => validate::main(&args),
        Command::Explain(args) => explain::main(&args),
        Command::Serve(args) => serve::main(args),
        Command::Ps(args) => ps::main(args),
        Command::Logs(args) => logs::main(args),
        Command::Describe(args) => describe::main(args),
        Command::Completions { shell } => documents::completions(shell),
        Command::Man { dir } => documents::man(dir.as_deref()),
    };
    match done {
        Ok(outcome) => outcome.code(),
        Err(error) if report::reader_is_gone(&error) => Outcome::ReaderGone.code(),
        Err(error) => {
            tell!("error: {}", report::chain(&error));
            exit::outcome(&error).code()
        }
    }
}

fn set_up_tracing(verbose: u8) {
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
    // A subscriber that is there already (a test's) stays.
    let _ = output.without_time().try_init();
}
