//! The `wasmpod` binary. The command line is implemented by the library's module `cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    wasmpod::cli::main()
}
