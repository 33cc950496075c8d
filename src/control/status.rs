//! A refusal, as Kubernetes words it.

use std::fmt;

/// The machine-readable reason; clients act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// An object of this name is there already.
    AlreadyExists,
    /// The request can't be understood.
    BadRequest,
    /// The object's state or the request's preconditions forbid the change.
    Conflict,
    /// The history no longer reaches back to the revision asked for: list again.
    Expired,
    /// A fault of wasmpod's own.
    InternalError,
    /// The object breaks rules; the causes tell which.
    Invalid,
    /// There is no such object.
    NotFound,
}

impl Reason {
    /// The HTTP code that goes with it.
    pub fn code(self) -> u16 {
        match self {
            Reason::BadRequest => 400,
            Reason::NotFound => 404,
            Reason::AlreadyExists | Reason::Conflict => 409,
            Reason::Expired => 410,
            Reason::Invalid => 422,
            Reason::InternalError => 500,
        }
    }
}

/// One fault of an object: its field, a reason and the words behind the field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// `spec.containers[0].name`
    pub field: String,
    /// `FieldValueRequired`
    pub reason: &'static str,
    /// `Required value`
    pub message: String,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Status {
    /// What clients act on.
    pub reason: Reason,
    /// The refusal in words, with all causes.
    pub message: String,
    /// Every fault of the object; empty but for [`Reason::Invalid`].
    pub causes: Vec<Cause>,
}

impl Status {
    /// A refusal without causes.
    pub fn new(reason: Reason, message: impl Into<String>) -> Status {
        Status { reason, message: message.into(), causes: Vec::new() }
    }

    /// 422: the object breaks rules. `causes` is not empty.
    pub fn invalid(kind: &str, name: &str, causes: Vec<Cause>) -> Status {
        let all: Vec<String> = causes.iter().map(Cause::to_string).collect();
        let faults = match all.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        Status { reason: Reason::Invalid, message: format!("{kind} {name:?} is invalid: {faults}"), causes }
    }

    /// A fault of our own.
    pub fn internal(error: impl fmt::Display) -> Status {
        Status::new(Reason::InternalError, format!("internal error: {error}"))
    }
}
