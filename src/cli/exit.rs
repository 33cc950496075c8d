//! Exit codes, and the errors that select them.

use std::process::ExitCode;

/// The outcome of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Success,
    PodFailed,
    /// The server rejected the request or could not be reached.
    RequestFailed,
    BadInput,
    Timeout,
    InternalError,
    Interrupted,
    Terminated,
    /// The terminal was closed.
    HungUp,
    /// The reader of standard output closed it.
    BrokenPipe,
    /// The exit code of a single program.
    Program(u8),
}

impl Outcome {
    /// Returns the exit code, which the help pages document.
    pub fn code(self) -> ExitCode {
        ExitCode::from(match self {
            Outcome::Success => 0,
            Outcome::PodFailed | Outcome::RequestFailed => 1,
            Outcome::BadInput => 2,
            Outcome::Timeout => 124,
            Outcome::InternalError => 125,
            Outcome::Interrupted => 130,
            Outcome::Terminated => 143,
            Outcome::HungUp => 129,
            // The code of a program that SIGPIPE killed.
            Outcome::BrokenPipe => 141,
            Outcome::Program(code) => code,
        })
    }

    /// Returns the outcome of a command that failed with `error`.
    pub fn from_error(error: &anyhow::Error) -> Outcome {
        if error.is::<BadInput>() {
            Outcome::BadInput
        } else if error.is::<RequestFailed>() {
            Outcome::RequestFailed
        } else {
            Outcome::InternalError
        }
    }
}

impl From<()> for Outcome {
    /// Returns the outcome of a command whose only result is that it succeeds.
    fn from((): ()) -> Outcome {
        Outcome::Success
    }
}

/// The user's input cannot be used. Holds the whole message.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadInput(pub String);

/// Returns `message` as an error with the outcome [`Outcome::BadInput`].
pub fn bad_input(message: impl Into<String>) -> anyhow::Error {
    BadInput(message.into()).into()
}

/// A server rejected a request or could not be reached. Holds the whole message.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct RequestFailed(pub String);
