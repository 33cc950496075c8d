//! What shells and manual readers want to know of the command line, from its own description.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use clap::CommandFactory;

use super::args::Args;
use super::exit::Outcome;

/// Prints a completion script.
pub fn completions(shell: clap_complete::Shell) -> anyhow::Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "wasmpod", &mut script);
    print(&script)
}

/// Prints the manual page, or writes one for each command into a folder.
pub fn man(folder: Option<&Path>) -> anyhow::Result<Outcome> {
    let command = Args::command().disable_help_subcommand(true);
    match folder {
        Some(folder) => {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make folder {}", folder.display()))?;
            let written = clap_mangen::generate_to(command, folder);
            written.with_context(|| format!("cannot write manual pages to {}", folder.display()))?;
            Ok(Outcome::Success)
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page).context("cannot write the manual page")?;
            print(&page)
        }
    }
}

fn print(bytes: &[u8]) -> anyhow::Result<Outcome> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).context("cannot write to standard output")?;
    Ok(Outcome::Success)
}
