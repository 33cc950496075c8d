//! Shell completions and manual pages, generated from the definition of the command line.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use clap::CommandFactory;

use super::args::Args;
use super::exit::Outcome;

/// Prints a completion script.
pub fn print_completions(shell: clap_complete::Shell) -> anyhow::Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "wasmpod", &mut script);
    print(&script)
}

/// Writes a manual page for each command to `directory`, or prints the main page.
pub fn write_manual(directory: Option<&Path>) -> anyhow::Result<Outcome> {
    let command = Args::command().disable_help_subcommand(true);
    match directory {
        Some(directory) => {
            let path = directory.display();
            std::fs::create_dir_all(directory).with_context(|| format!("cannot create directory {path}"))?;
            let written = clap_mangen::generate_to(command, directory);
            written.with_context(|| format!("cannot write manual pages to {path}"))?;
            Ok(Outcome::Success)
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page).context("cannot generate the manual page")?;
            print(&page)
        }
    }
}

fn print(bytes: &[u8]) -> anyhow::Result<Outcome> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).context("cannot write to standard output")?;
    Ok(Outcome::Success)
}
