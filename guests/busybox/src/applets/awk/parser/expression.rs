//! The grammar of expressions, from the loosest to the tightest binding.

use super::Parser;
use crate::applets::awk::error::Problem;
use crate::applets::awk::lexer::Token;
use crate::applets::awk::regex;
use crate::applets::awk::syntax::{Arithmetic, Builtin, Comparison, Expr, Source};
use crate::applets::awk::value::Bytes;

/// The most operators in a row: each deepens the tree.
const MAX_CHAIN: usize = 300;

/// What joins two operands. Each precedence in a function of its own would take three times the stack.
#[derive(Clone, Copy)]
enum Infix {
    Or,
    And,
    In,
    Match {
        negated: bool,
    },
    Compare(Comparison),
    /// `command | getline`.
    Getline,
    /// Nothing between the operands.
    Concat,
    Arithmetic(Arithmetic),
}

/// The precedence of concatenation.
const CONCATENATION: u8 = 7;

impl Infix {
    /// Returns the precedence; a larger one binds more tightly.
    fn precedence(self) -> u8 {
        match self {
            Infix::Or => 1,
            Infix::And => 2,
            Infix::In => 3,
            Infix::Match { .. } => 4,
            Infix::Compare(_) => 5,
            Infix::Getline => 6,
            Infix::Concat => CONCATENATION,
            Infix::Arithmetic(Arithmetic::Add | Arithmetic::Subtract) => 8,
            Infix::Arithmetic(_) => 9,
        }
    }
}

impl Parser {
    pub(super) fn parse_expr(&mut self) -> Result<Expr, Problem> {
        self.nested(Parser::parse_conditional)
    }

    /// Parses within parentheses or brackets, where `>` is an operator.
    fn enclosed<T>(&mut self, parse: impl FnOnce(&mut Parser) -> Result<T, Problem>) -> Result<T, Problem> {
        let before = std::mem::replace(&mut self.greater_redirects, false);
        let parsed = parse(self);
        self.greater_redirects = before;
        parsed
    }

    /// Parses expressions up to the closing mark.
    pub(super) fn parse_list(&mut self, end: &str) -> Result<Vec<Expr>, Problem> {
        self.enclosed(|parser| {
            let mut list = Vec::new();
            parser.skip_lines();
            while !parser.take(end) {
                if !list.is_empty() {
                    parser.expect(",")?;
                    parser.skip_lines();
                }
                list.push(parser.parse_expr()?);
                parser.skip_lines();
            }
            Ok(list)
        })
    }

    fn parse_conditional(&mut self) -> Result<Expr, Problem> {
        let condition = self.parse_binary(0)?;
        if !self.take("?") {
            return Ok(condition);
        }
        self.skip_lines();
        let then = self.parse_expr()?;
        self.skip_lines();
        self.expect(":")?;
        self.skip_lines();
        let otherwise = self.parse_expr()?;
        Ok(Expr::Conditional(Box::new([condition, then, otherwise])))
    }

    /// Parses an operand of `print >`.
    pub(super) fn parse_concatenation(&mut self) -> Result<Expr, Problem> {
        self.parse_binary(CONCATENATION)
    }

    /// Parses operands that are joined by operators of at least this precedence.
    fn parse_binary(&mut self, least: u8) -> Result<Expr, Problem> {
        let mut left = self.parse_unary()?;
        let mut operators = 0;
        while let Some(infix) = self.peek_infix().filter(|infix| infix.precedence() >= least) {
            if !matches!(infix, Infix::Concat) {
                operators += 1;
                self.next += 1;
            }
            if operators > MAX_CHAIN {
                return Err(Problem::TooDeep);
            }
            left = self.parse_right(left, infix)?;
        }
        Ok(left)
    }

    fn parse_right(&mut self, left: Expr, infix: Infix) -> Result<Expr, Problem> {
        match infix {
            Infix::In => {
                let array = self.take_name()?;
                return Ok(match left {
                    Expr::List(key) => Expr::In(key, array),
                    key => Expr::In(vec![key], array),
                });
            }
            Infix::Getline => {
                self.next += 1;
                let target = self.parse_getline_target()?;
                return Ok(Expr::Getline(Source::Command(Box::new(left)), target));
            }
            Infix::Or | Infix::And => self.skip_lines(),
            Infix::Match { .. } | Infix::Compare(_) | Infix::Concat | Infix::Arithmetic(_) => {}
        }
        let right = self.parse_binary(infix.precedence() + 1)?;
        Ok(match (infix, left) {
            (Infix::Concat, Expr::Concat(mut parts)) => {
                parts.push(right);
                Expr::Concat(parts)
            }
            (Infix::Concat, left) => Expr::Concat(vec![left, right]),
            (Infix::Or, left) => Expr::Or(Box::new([left, right])),
            (Infix::Match { negated }, left) => Expr::Match { negated, operands: Box::new([left, right]) },
            (Infix::Compare(comparison), left) => Expr::Compare(comparison, Box::new([left, right])),
            (Infix::Arithmetic(operator), left) => Expr::Arithmetic(operator, Box::new([left, right])),
            (Infix::And | Infix::In | Infix::Getline, left) => Expr::And(Box::new([left, right])),
        })
    }

    /// Returns what the next token does between two operands.
    fn peek_infix(&self) -> Option<Infix> {
        let mark = match self.peek() {
            Token::Mark(mark) => *mark,
            Token::Number(_) | Token::Text(_) | Token::Regex(_) | Token::Name(_) | Token::Call(_) => {
                return Some(Infix::Concat);
            }
            Token::Builtin(_) => return Some(Infix::Concat),
            Token::End => return None,
        };
        Some(match mark {
            "||" => Infix::Or,
            "&&" => Infix::And,
            "in" => Infix::In,
            "~" => Infix::Match { negated: false },
            "!~" => Infix::Match { negated: true },
            "<" => Infix::Compare(Comparison::Less),
            "<=" => Infix::Compare(Comparison::LessOrEqual),
            "==" => Infix::Compare(Comparison::Equal),
            "!=" => Infix::Compare(Comparison::NotEqual),
            ">=" => Infix::Compare(Comparison::GreaterOrEqual),
            ">" if !self.greater_redirects => Infix::Compare(Comparison::Greater),
            "|" if *self.peek_at(1) == Token::Mark("getline") => Infix::Getline,
            "+" => Infix::Arithmetic(Arithmetic::Add),
            "-" => Infix::Arithmetic(Arithmetic::Subtract),
            "*" => Infix::Arithmetic(Arithmetic::Multiply),
            "/" => Infix::Arithmetic(Arithmetic::Divide),
            "%" => Infix::Arithmetic(Arithmetic::Remainder),
            "$" | "(" | "++" | "--" => Infix::Concat,
            _ => return None,
        })
    }

    fn parse_unary(&mut self) -> Result<Expr, Problem> {
        let Some(mark) = self.take_any(&["!", "-", "+"]) else { return self.parse_power() };
        let operand = Box::new(self.nested(Parser::parse_unary)?);
        Ok(match mark {
            "!" => Expr::Not(operand),
            "-" => Expr::Negative(operand),
            _ => Expr::Positive(operand),
        })
    }

    fn parse_power(&mut self) -> Result<Expr, Problem> {
        let base = self.parse_postfix(true)?;
        if !self.take("^") {
            return Ok(base);
        }
        let exponent = self.nested(Parser::parse_unary)?;
        Ok(Expr::Arithmetic(Arithmetic::Power, Box::new([base, exponent])))
    }

    /// Parses an operand with `++`, `--` or, where `assigns`, an assignment to it: an assignment has only one reading,
    /// so that `a && b = c` needs no parentheses.
    fn parse_postfix(&mut self, assigns: bool) -> Result<Expr, Problem> {
        if let Some(mark) = self.take_any(&["++", "--"]) {
            let target = Box::new(self.parse_target()?);
            return Ok(Expr::Step { target, by: if mark == "++" { 1.0 } else { -1.0 }, prefix: true });
        }
        let operand = self.parse_operand()?;
        if !matches!(operand, Expr::Variable(_) | Expr::Field(_) | Expr::Element(..)) {
            return Ok(operand);
        }
        if let Some(mark) = self.take_any(&["++", "--"]) {
            let by = if mark == "++" { 1.0 } else { -1.0 };
            return Ok(Expr::Step { target: Box::new(operand), by, prefix: false });
        }
        if !assigns {
            return Ok(operand);
        }
        let operator = match self.take_any(&["=", "+=", "-=", "*=", "/=", "%=", "^="]) {
            None => return Ok(operand),
            Some("=") => None,
            Some("+=") => Some(Arithmetic::Add),
            Some("-=") => Some(Arithmetic::Subtract),
            Some("*=") => Some(Arithmetic::Multiply),
            Some("/=") => Some(Arithmetic::Divide),
            Some("%=") => Some(Arithmetic::Remainder),
            Some(_) => Some(Arithmetic::Power),
        };
        self.skip_lines();
        let value = self.parse_expr()?;
        Ok(Expr::Assign(Box::new(operand), operator, Box::new(value)))
    }

    /// Parses a variable, a field or an element.
    fn parse_target(&mut self) -> Result<Expr, Problem> {
        match self.parse_operand()? {
            target @ (Expr::Variable(_) | Expr::Field(_) | Expr::Element(..)) => Ok(target),
            _ => Err(self.unexpected()),
        }
    }

    fn parse_operand(&mut self) -> Result<Expr, Problem> {
        let token = self.peek().clone();
        self.next += 1;
        match token {
            Token::Number(number) => Ok(Expr::Number(number)),
            Token::Text(text) => Ok(Expr::Text(Bytes::from(text))),
            Token::Regex(text) => {
                regex::compile(&text, false)?;
                Ok(Expr::Regex(Bytes::from(text)))
            }
            Token::Name(name) => match self.take("[") {
                true => Ok(Expr::Element(name, self.parse_key()?)),
                false => Ok(Expr::Variable(name)),
            },
            Token::Call(name) => {
                self.next += 1;
                Ok(Expr::Call(name, self.parse_list(")")?))
            }
            Token::Builtin(builtin) => self.parse_builtin(builtin),
            Token::Mark("$") => Ok(Expr::Field(Box::new(self.nested(Parser::parse_field_number)?))),
            Token::Mark("getline") => {
                let target = self.parse_getline_target()?;
                if !self.take("<") {
                    return Ok(Expr::Getline(Source::Main, target));
                }
                let file = self.parse_postfix(false)?;
                Ok(Expr::Getline(Source::File(Box::new(file)), target))
            }
            Token::Mark("(") => {
                let mut list = self.parse_list(")")?;
                match list.len() {
                    0 => Err(self.unexpected()),
                    1 => Ok(list.remove(0)),
                    _ => Ok(Expr::List(list)),
                }
            }
            _ => {
                self.next -= 1;
                Err(self.unexpected())
            }
        }
    }

    fn parse_field_number(&mut self) -> Result<Expr, Problem> {
        match self.take_any(&["-", "+", "!"]) {
            Some("-") => Ok(Expr::Negative(Box::new(self.nested(Parser::parse_field_number)?))),
            Some("!") => Ok(Expr::Not(Box::new(self.nested(Parser::parse_field_number)?))),
            Some(_) => self.nested(Parser::parse_field_number),
            None if self.is("++") || self.is("--") => self.parse_postfix(false),
            // `$i++` increments the field.
            None => self.parse_operand(),
        }
    }

    fn parse_key(&mut self) -> Result<Vec<Expr>, Problem> {
        let key = self.parse_list("]")?;
        if key.is_empty() { Err(self.unexpected()) } else { Ok(key) }
    }

    fn parse_builtin(&mut self, builtin: Builtin) -> Result<Expr, Problem> {
        let arguments = match self.take("(") {
            true => self.parse_list(")")?,
            false if builtin == Builtin::Length => vec![],
            false => return Err(self.unexpected()),
        };
        let (least, most) = builtin.arguments();
        if arguments.len() < least {
            return Err(Problem::TooFewArguments);
        }
        if arguments.len() > most {
            return Err(Problem::UnexpectedToken);
        }
        Ok(Expr::Builtin(builtin, arguments))
    }

    fn parse_getline_target(&mut self) -> Result<Option<Box<Expr>>, Problem> {
        match self.peek() {
            Token::Name(_) | Token::Mark("$") => Ok(Some(Box::new(self.parse_target()?))),
            _ => Ok(None),
        }
    }
}
