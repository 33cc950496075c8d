//! Exit codes and what they mean.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Success,
    PodFailed,
    /// The server that was asked refuses, or can't be reached.
    Refused,
    BadInput,
    Timeout,
    OurFailure,
    Interrupted,
    Terminated,
    /// The terminal was closed.
    HungUp,
    /// Whoever read our output has gone.
    ReaderGone,
    /// The exit code of the one program that ran.
    Guest(u8),
}

impl Outcome {
    pub fn code(self) -> ExitCode {
        ExitCode::from(match self {
            Outcome::Success => 0,
            Outcome::PodFailed | Outcome::Refused => 1,
            Outcome::BadInput => 2,
            Outcome::Timeout => 124,
            Outcome::OurFailure => 125,
            Outcome::Interrupted => 130,
            Outcome::Terminated => 143,
            Outcome::HungUp => 129,
            // As a program that SIGPIPE ends.
            Outcome::ReaderGone => 141,
            Outcome::Guest(code) => code,
        })
    }
}

/// What the user gave can't be used. Holds the whole explanation.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadInput(pub String);

/// `message` as an error that ends with [`Outcome::BadInput`].
pub fn bad_input(message: impl Into<String>) -> anyhow::Error {
    BadInput(message.into()).into()
}

/// A server said no, or nothing. Holds the whole explanation.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// How a command ends that failed with `error`.
pub fn outcome(error: &anyhow::Error) -> Outcome {
    if error.is::<BadInput>() {
        Outcome::BadInput
    } else if error.is::<Refused>() {
        Outcome::Refused
    } else {
        Outcome::OurFailure
    }
}
