//! Commands and flags of other tools, which are accepted only to name wasmpod's own.

/// Any arguments of a command that wasmpod does not have.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub struct ForeignArgs {
    /// The arguments, which do not matter
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    pub arguments: Vec<String>,
}

/// Flags of `docker run` and `podman run`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ForeignRunArgs {
    /// Keep standard input open
    #[arg(short = 'i', long, hide = true)]
    pub interactive: bool,

    /// Allocate a terminal
    #[arg(short = 't', long, hide = true)]
    pub tty: bool,

    /// Run in the background
    #[arg(short = 'd', long, hide = true)]
    pub detach: bool,
}
