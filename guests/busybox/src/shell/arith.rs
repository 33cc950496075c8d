//! Arithmetic expansion: C's integer operators on 64-bit numbers and the shell's variables. Expects parameters and
//! substitutions in the expression to be expanded.

use std::fmt;

use super::variables::{ReadonlyError, Variables};

/// Why an expression has no value.
#[derive(Debug)]
pub enum ArithmeticError {
    Syntax,
    TooDeep,
    RecursionLoop,
    NegativeExponent,
    DivisionByZero,
    Readonly(ReadonlyError),
}

impl fmt::Display for ArithmeticError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ArithmeticError::Syntax => "arithmetic syntax error",
            ArithmeticError::TooDeep => "expression too deep",
            ArithmeticError::RecursionLoop => "expression recursion loop detected",
            ArithmeticError::NegativeExponent => "exponent less than 0",
            ArithmeticError::DivisionByZero => "divide by zero",
            ArithmeticError::Readonly(error) => return error.fmt(f),
        })
    }
}

type Value = Result<i64, ArithmeticError>;

/// Evaluates `expression`; assignments in it change `variables`.
pub fn evaluate(expression: &str, variables: &mut Variables) -> Value {
    let mut evaluation = Evaluation { text: expression, variables, live: true, depth: 0 };
    if evaluation.peek().is_none() {
        return Ok(0);
    }
    let value = evaluation.evaluate_comma()?;
    match evaluation.peek() {
        None => Ok(value),
        Some(_) => Err(ArithmeticError::Syntax),
    }
}

/// The deepest nesting; beyond it is an error instead of a stack overflow.
const MAX_DEPTH: usize = 200;

struct Evaluation<'a> {
    text: &'a str,
    variables: &'a mut Variables,
    /// False in the branch of `&&`, `||` and `?:` that is not taken, which has no effects.
    live: bool,
    depth: usize,
}

/// Binary operators by falling precedence; within a level, longer ones precede their prefixes.
const LEVELS: [&[&str]; 10] = [
    &["||"],
    &["&&"],
    &["|"],
    &["^"],
    &["&"],
    &["==", "!="],
    &["<=", ">=", "<", ">"],
    &["<<", ">>"],
    &["+", "-"],
    &["*", "/", "%"],
];

const ASSIGNMENTS: [&str; 11] = ["<<=", ">>=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "="];

impl Evaluation<'_> {
    fn peek(&mut self) -> Option<char> {
        self.text = self.text.trim_start();
        self.text.chars().next()
    }

    fn take(&mut self, symbol: &str) -> bool {
        self.peek();
        match self.text.strip_prefix(symbol) {
            Some(rest) => {
                self.text = rest;
                true
            }
            None => false,
        }
    }

    fn evaluate_comma(&mut self) -> Value {
        let mut value = self.evaluate_assignment()?;
        while self.take(",") {
            value = self.evaluate_assignment()?;
        }
        Ok(value)
    }

    fn evaluate_assignment(&mut self) -> Value {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(ArithmeticError::TooDeep);
        }
        let value = self.assign_or_choose();
        self.depth -= 1;
        value
    }

    fn assign_or_choose(&mut self) -> Value {
        let start = self.text;
        if let Some(name) = self.take_name() {
            self.peek();
            if !self.text.starts_with("==")
                && let Some(op) = ASSIGNMENTS.into_iter().find(|op| self.text.starts_with(op))
            {
                self.take(op);
                let right = self.evaluate_assignment()?;
                let value = match op.trim_end_matches('=') {
                    "" => right,
                    op => {
                        let left = self.value_of(&name)?;
                        self.apply_operator(op, left, right)?
                    }
                };
                self.assign(&name, value)?;
                return Ok(value);
            }
            self.text = start;
        }
        let condition = self.evaluate_level(0)?;
        if !self.take("?") {
            return Ok(condition);
        }
        let live = self.live;
        self.live = live && condition != 0;
        let then = self.evaluate_assignment()?;
        if !self.take(":") {
            return Err(ArithmeticError::Syntax);
        }
        self.live = live && condition == 0;
        let otherwise = self.evaluate_assignment()?;
        self.live = live;
        Ok(if condition != 0 { then } else { otherwise })
    }

    fn evaluate_level(&mut self, level: usize) -> Value {
        let Some(operators) = LEVELS.get(level) else {
            return self.evaluate_power();
        };
        let mut left = self.evaluate_level(level + 1)?;
        loop {
            self.peek();
            let Some(op) = operators.iter().copied().find(|op| self.text.starts_with(op)) else {
                return Ok(left);
            };
            let next = self.text.get(op.len()..).and_then(|rest| rest.chars().next());
            let another = match op {
                "|" | "&" => next == op.chars().next() || next == Some('='),
                "<" | ">" => next == op.chars().next(),
                "<=" | ">=" | "==" | "!=" => false,
                "*" => next == Some('*'),
                "||" | "&&" => false,
                _ => next == Some('='),
            };
            if another {
                return Ok(left);
            }
            self.take(op);
            let live = self.live;
            match op {
                "||" => self.live = live && left == 0,
                "&&" => self.live = live && left != 0,
                _ => {}
            }
            let right = self.evaluate_level(level + 1)?;
            self.live = live;
            left = self.apply_operator(op, left, right)?;
        }
    }

    fn evaluate_power(&mut self) -> Value {
        let base = self.evaluate_unary()?;
        if !self.take("**") {
            return Ok(base);
        }
        let exponent = self.evaluate_power()?;
        match u32::try_from(exponent) {
            Ok(exponent) => Ok(base.wrapping_pow(exponent)),
            Err(_) => Err(ArithmeticError::NegativeExponent),
        }
    }

    fn evaluate_unary(&mut self) -> Value {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(ArithmeticError::TooDeep);
        }
        let value = self.evaluate_prefix();
        self.depth -= 1;
        value
    }

    fn evaluate_prefix(&mut self) -> Value {
        for (op, step) in [("++", 1), ("--", -1)] {
            let start = self.text;
            if self.take(op) {
                if let Some(name) = self.take_name() {
                    let value = self.value_of(&name)?.wrapping_add(step);
                    self.assign(&name, value)?;
                    return Ok(value);
                }
                self.text = start;
            }
        }
        match self.peek() {
            Some('!') => {
                self.take("!");
                Ok(i64::from(self.evaluate_unary()? == 0))
            }
            Some('~') => {
                self.take("~");
                Ok(!self.evaluate_unary()?)
            }
            Some('+') => {
                self.take("+");
                self.evaluate_unary()
            }
            Some('-') => {
                self.take("-");
                Ok(self.evaluate_unary()?.wrapping_neg())
            }
            Some('(') => {
                self.take("(");
                let value = self.evaluate_comma()?;
                match self.take(")") {
                    true => Ok(value),
                    false => Err(ArithmeticError::Syntax),
                }
            }
            Some(c) if c.is_ascii_digit() => self.take_number(),
            _ => {
                let name = self.take_name().ok_or(ArithmeticError::Syntax)?;
                let value = self.value_of(&name)?;
                for (op, step) in [("++", 1), ("--", -1)] {
                    if self.take(op) {
                        self.assign(&name, value.wrapping_add(step))?;
                    }
                }
                Ok(value)
            }
        }
    }

    fn take_number(&mut self) -> Value {
        let end = self.text.find(|c: char| !c.is_ascii_alphanumeric() && c != '#' && c != '_');
        let (digits, rest) = self.text.split_at(end.unwrap_or(self.text.len()));
        self.text = rest;
        parse_integer(digits).ok_or(ArithmeticError::Syntax)
    }

    fn take_name(&mut self) -> Option<String> {
        self.peek();
        let end = self.text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let (name, rest) = self.text.split_at(end.unwrap_or(self.text.len()));
        if !super::word::is_name(name) {
            return None;
        }
        self.text = rest;
        Some(name.to_string())
    }

    /// Evaluates a variable, whose value is itself an expression; unset or empty is 0.
    fn value_of(&mut self, name: &str) -> Value {
        let Some(text) = self.variables.get(name) else {
            return Ok(0);
        };
        let text = text.trim().to_string();
        if text.is_empty() || !self.live {
            return Ok(0);
        }
        if let Some(number) = parse_integer(&text) {
            return Ok(number);
        }
        let depth = self.depth + 10;
        if depth > MAX_DEPTH {
            return Err(ArithmeticError::RecursionLoop);
        }
        let mut inner = Evaluation { text: &text, variables: self.variables, live: self.live, depth };
        let value = inner.evaluate_comma()?;
        match inner.peek() {
            None => Ok(value),
            Some(_) => Err(ArithmeticError::Syntax),
        }
    }

    fn assign(&mut self, name: &str, value: i64) -> Result<(), ArithmeticError> {
        if !self.live {
            return Ok(());
        }
        self.variables.set(name, value.to_string()).map_err(ArithmeticError::Readonly)
    }

    fn apply_operator(&self, op: &str, a: i64, b: i64) -> Value {
        Ok(match op {
            "||" => i64::from(a != 0 || b != 0),
            "&&" => i64::from(a != 0 && b != 0),
            "|" => a | b,
            "^" => a ^ b,
            "&" => a & b,
            "==" => i64::from(a == b),
            "!=" => i64::from(a != b),
            "<=" => i64::from(a <= b),
            ">=" => i64::from(a >= b),
            "<" => i64::from(a < b),
            ">" => i64::from(a > b),
            "<<" => a.wrapping_shl(b as u32),
            ">>" => a.wrapping_shr(b as u32),
            "+" => a.wrapping_add(b),
            "-" => a.wrapping_sub(b),
            "*" => a.wrapping_mul(b),
            "/" | "%" if b == 0 && !self.live => 0,
            "/" | "%" if b == 0 => return Err(ArithmeticError::DivisionByZero),
            "/" => a.wrapping_div(b),
            _ => a.wrapping_rem(b),
        })
    }
}

/// Parses a number: decimal, 0x hexadecimal, 0 octal, or base#digits.
fn parse_integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (radix, digits) = if let Some((base, digits)) = digits.split_once('#') {
        (base.parse().ok().filter(|base| (2..=36).contains(base))?, digits)
    } else if let Some(hex) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        (16, hex)
    } else if digits.len() > 1 && digits.starts_with('0') {
        (8, digits.trim_start_matches('0'))
    } else {
        (10, digits)
    };
    if digits.is_empty() && radix == 8 {
        return Some(0);
    }
    if !digits.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    let value = u64::from_str_radix(digits, radix).ok()? as i64;
    Some(if negative { value.wrapping_neg() } else { value })
}
