//! The errors of awk programs, with busybox's messages.

use std::fmt;

/// A line of a program's source.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Position {
    /// The index of the source: one per `-f`.
    pub source: usize,
    pub line: usize,
}

/// Why a program ends: it is not valid, or an operation in it failed.
#[derive(Debug, PartialEq)]
pub struct Error {
    pub at: Position,
    pub problem: Problem,
}

#[derive(Debug, PartialEq)]
pub enum Problem {
    UnexpectedToken,
    UnexpectedEnd,
    TooFewArguments,
    TooDeep,
    UndefinedFunction,
    NotAnArray,
    DivisionByZero,
    NegativeField,
    InvalidFormat,
    /// The expression, and why it is not valid.
    BadRegex(String, &'static str),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Problem::UnexpectedToken => "Unexpected token",
            Problem::UnexpectedEnd => "Unexpected end of string",
            Problem::TooFewArguments => "Too few arguments",
            Problem::TooDeep => "Too deeply nested",
            Problem::UndefinedFunction => "Call to undefined function",
            Problem::NotAnArray => "Not an array",
            Problem::DivisionByZero => "Division by zero",
            Problem::NegativeField => "Access to negative field",
            Problem::InvalidFormat => "Invalid format specifier",
            Problem::BadRegex(text, why) => return write!(f, "bad regex '{text}': {why}"),
        })
    }
}
