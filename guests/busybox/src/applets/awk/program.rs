//! Compiled programs: operations for a stack machine.

use std::collections::BTreeMap;

use super::error::Position;
use super::syntax::{Arithmetic, Builtin, Comparison, Redirect};
use super::value::Value;

/// The variables with a meaning, in the order of their indices.
pub const SPECIAL: [&str; 16] = [
    "NF",
    "FS",
    "NR",
    "FNR",
    "OFS",
    "ORS",
    "RS",
    "CONVFMT",
    "OFMT",
    "SUBSEP",
    "RSTART",
    "RLENGTH",
    "FILENAME",
    "IGNORECASE",
    "ENVIRON",
    "ARGV",
];
pub const NF: usize = 0;
pub const FS: usize = 1;
pub const NR: usize = 2;
pub const FNR: usize = 3;
pub const OFS: usize = 4;
pub const ORS: usize = 5;
pub const RS: usize = 6;
pub const CONVFMT: usize = 7;
pub const OFMT: usize = 8;
pub const SUBSEP: usize = 9;
pub const RSTART: usize = 10;
pub const RLENGTH: usize = 11;
pub const FILENAME: usize = 12;
pub const IGNORECASE: usize = 13;
pub const ENVIRON: usize = 14;
pub const ARGV: usize = 15;

/// A variable or an array.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Slot {
    Global(usize),
    /// Of the running function.
    Local(usize),
}

/// Where a value is; the number of a field and the key of an element are on the stack.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Place {
    Variable(Slot),
    Field,
    Element(Slot),
}

impl Place {
    /// Whether a key is on the stack.
    pub fn has_key(self) -> bool {
        !matches!(self, Place::Variable(_))
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Input {
    Main,
    /// The file's name is on the stack, below the key of the target.
    File,
    /// The command is on the stack, below the key of the target.
    Command,
}

/// An argument of a function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Argument {
    /// On the stack.
    Value,
    Array(Slot),
}

#[derive(Clone, Debug)]
pub enum Operation {
    Constant(usize),
    Load(Place),
    /// Stores the value on top of the key, and leaves it.
    Store(Place),
    /// Combines the place's value with the one on the stack, stores and leaves the result.
    Update(Place, Arithmetic),
    /// Adds to the place; leaves the new value, or the old one.
    Step {
        place: Place,
        by: f64,
        leaves_new: bool,
    },
    Pop,
    Arithmetic(Arithmetic),
    /// Concatenates this many values.
    Concat(usize),
    Compare(Comparison),
    /// Text, then expression.
    Match {
        negated: bool,
    },
    Not,
    Negate,
    ToNumber,
    ToBool,
    /// Joins this many values with SUBSEP.
    JoinKey(usize),
    Has(Slot),
    Delete(Slot),
    Clear(Slot),
    ArrayLength(Slot),
    Jump(usize),
    JumpIfFalse(usize),
    JumpIfTrue(usize),
    Call {
        function: usize,
        arguments: Vec<Argument>,
    },
    Return,
    Builtin(Builtin, usize),
    /// `split` with its text, and with its separator if it has one.
    Split {
        array: Slot,
        has_separator: bool,
    },
    /// `sub` and `gsub`: expression, replacement, and the key of the target.
    Substitute {
        place: Place,
        global: bool,
    },
    Getline {
        from: Input,
        target: Option<Place>,
    },
    /// The target's name is on top of the values.
    Print {
        values: usize,
        format: bool,
        redirect: Option<Redirect>,
    },
    /// Begins a loop over the keys.
    Keys(Slot),
    /// Stores the next key, or ends the loop and jumps.
    NextKey(Slot, usize),
    EndKeys,
    /// Jumps if the range is open.
    JumpInRange(usize, usize),
    SetInRange(usize, bool),
    Next,
    NextFile,
    Exit {
        has_code: bool,
    },
    EndSection,
}

#[derive(Debug)]
pub struct FunctionEntry {
    pub start: usize,
    /// Whether each parameter is an array.
    pub parameters: Vec<bool>,
}

#[derive(Debug, Default)]
pub struct Program {
    pub code: Vec<Operation>,
    /// The source of each operation.
    pub positions: Vec<Position>,
    pub constants: Vec<Value>,
    pub functions: Vec<FunctionEntry>,
    /// Indices of the global variables and arrays.
    pub globals: BTreeMap<String, usize>,
    /// Whether each of them is an array.
    pub global_arrays: Vec<bool>,
    pub ranges: usize,
    pub begin: usize,
    pub main: usize,
    pub end: usize,
    /// Whether records are read: there is a rule other than BEGIN.
    pub reads_input: bool,
}
