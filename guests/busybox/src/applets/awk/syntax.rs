//! The syntax tree of awk programs.

use super::error::Position;
use super::value::Bytes;

#[derive(Debug)]
pub enum Expr {
    Number(f64),
    Text(Bytes),
    /// An expression between slashes: matched against the record unless an operator takes it.
    Regex(Bytes),
    Variable(String),
    Field(Box<Expr>),
    Element(String, Vec<Expr>),
    /// `(a, b)`, before `in` or after `print`.
    List(Vec<Expr>),
    /// The target is a variable, field or element.
    Assign(Box<Expr>, Option<Arithmetic>, Box<Expr>),
    /// `++` or `--`.
    Step {
        target: Box<Expr>,
        by: f64,
        prefix: bool,
    },
    Conditional(Box<[Expr; 3]>),
    And(Box<[Expr; 2]>),
    Or(Box<[Expr; 2]>),
    Not(Box<Expr>),
    Negative(Box<Expr>),
    Positive(Box<Expr>),
    Arithmetic(Arithmetic, Box<[Expr; 2]>),
    Concat(Vec<Expr>),
    Compare(Comparison, Box<[Expr; 2]>),
    Match {
        negated: bool,
        operands: Box<[Expr; 2]>,
    },
    In(Vec<Expr>, String),
    Call(String, Vec<Expr>),
    Builtin(Builtin, Vec<Expr>),
    Getline(Source, Option<Box<Expr>>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Power,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Comparison {
    Less,
    LessOrEqual,
    Equal,
    NotEqual,
    GreaterOrEqual,
    Greater,
}

/// The source that `getline` reads.
#[derive(Debug)]
pub enum Source {
    Main,
    File(Box<Expr>),
    Command(Box<Expr>),
}

#[derive(Debug)]
pub struct Statement {
    pub at: Position,
    pub kind: StatementKind,
}

#[derive(Debug)]
pub enum StatementKind {
    Expr(Expr),
    Print { format: bool, values: Vec<Expr>, redirect: Option<(Redirect, Expr)> },
    Block(Vec<Statement>),
    If(Expr, Box<Statement>, Option<Box<Statement>>),
    While(Expr, Box<Statement>),
    DoWhile(Box<Statement>, Expr),
    For { first: Option<Box<Statement>>, condition: Option<Expr>, step: Option<Box<Statement>>, body: Box<Statement> },
    ForIn { variable: String, array: String, body: Box<Statement> },
    Delete(String, Vec<Expr>),
    Break,
    Continue,
    Next,
    NextFile,
    Exit(Option<Expr>),
    Return(Option<Expr>),
}

/// The target of `print`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Redirect {
    /// `>`
    Write,
    /// `>>`
    Append,
    /// `|`
    Pipe,
}

#[derive(Debug)]
pub enum Trigger {
    Begin,
    End,
    Always,
    When(Expr),
    Range(Box<[Expr; 2]>),
}

#[derive(Debug)]
pub struct Rule {
    pub at: Position,
    pub trigger: Trigger,
    /// `None` prints the record.
    pub body: Option<Statement>,
}

#[derive(Debug)]
pub struct Function {
    pub name: String,
    pub parameters: Vec<String>,
    pub body: Statement,
}

#[derive(Debug, Default)]
pub struct Tree {
    pub rules: Vec<Rule>,
    pub functions: Vec<Function>,
}

macro_rules! builtins {
    ($($variant:ident $name:literal $least:literal $most:literal,)*) => {
        /// awk's own functions.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub enum Builtin {
            $($variant,)*
        }

        impl Builtin {
            pub fn find(name: &str) -> Option<Builtin> {
                match name {
                    $($name => Some(Builtin::$variant),)*
                    _ => None,
                }
            }

            /// Returns the smallest and largest numbers of arguments.
            pub fn arguments(self) -> (usize, usize) {
                match self {
                    $(Builtin::$variant => ($least, $most),)*
                }
            }
        }
    };
}

builtins! {
    And "and" 2 2,
    Atan2 "atan2" 2 2,
    Close "close" 1 2,
    Compl "compl" 1 1,
    Cos "cos" 1 1,
    Exp "exp" 1 1,
    Fflush "fflush" 0 1,
    Gensub "gensub" 3 4,
    Gsub "gsub" 2 3,
    Index "index" 2 2,
    Int "int" 1 1,
    Length "length" 0 1,
    Log "log" 1 1,
    Lshift "lshift" 2 2,
    Match "match" 2 2,
    Mktime "mktime" 1 1,
    Or "or" 2 2,
    Rand "rand" 0 0,
    Rshift "rshift" 2 2,
    Sin "sin" 1 1,
    Split "split" 2 3,
    Sprintf "sprintf" 1 999,
    Sqrt "sqrt" 1 1,
    Srand "srand" 0 1,
    Strftime "strftime" 0 3,
    Sub "sub" 2 3,
    Substr "substr" 2 3,
    System "system" 1 1,
    Systime "systime" 0 0,
    Tolower "tolower" 1 1,
    Toupper "toupper" 1 1,
    Xor "xor" 2 2,
}
