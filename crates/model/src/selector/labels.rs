//! Label selectors: `app in (x,y),tier!=db,!canary,generation>3`.
//!
//! The text is split into tokens and parsed into requirements, all of which must hold.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::vec::IntoIter;

use super::SelectorError;
use crate::formats;

/// Requirements on an object's labels; an empty selector selects everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector(Vec<LabelRequirement>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct LabelRequirement {
    key: String,
    operator: Operator,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Operator {
    Exists,
    DoesNotExist,
    In(BTreeSet<String>),
    NotIn(BTreeSet<String>),
    GreaterThan(i64),
    LessThan(i64),
}

impl Selector {
    /// Parses a selector; an empty text selects everything.
    pub fn parse(text: &str) -> Result<Selector, SelectorError> {
        Parser(tokenize(text).into_iter().peekable()).selector().map(Selector)
    }

    /// Returns whether the selector selects every object.
    pub fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether the selector matches an object with these labels.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|requirement| requirement.matches(labels.get(&requirement.key).map(String::as_str)))
    }
}

impl LabelRequirement {
    fn matches(&self, value: Option<&str>) -> bool {
        // A label that is not a number satisfies no comparison.
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match &self.operator {
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::In(values) => value.is_some_and(|value| values.contains(value)),
            Operator::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            Operator::GreaterThan(bound) => number().is_some_and(|number| number > *bound),
            Operator::LessThan(bound) => number().is_some_and(|number| number < *bound),
        }
    }
}

// ---------------------------------------------------------------- tokens

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'t> {
    End,
    /// A key, a value, `in` or `notin`, depending on the position.
    Word(&'t str),
    Symbol(&'static str),
}

impl<'t> Token<'t> {
    /// Returns the token's text for messages; empty at the end.
    fn text(self) -> &'t str {
        match self {
            Token::End => "",
            Token::Word(text) | Token::Symbol(text) => text,
        }
    }
}

/// Longer symbols first.
const SYMBOLS: [&str; 9] = ["==", "!=", "=", "!", "(", ")", ",", ">", "<"];

/// Splits a text into tokens; the last one is [`Token::End`].
fn tokenize(text: &str) -> Vec<Token<'_>> {
    // Kubernetes' lexer stops at NUL.
    let mut rest = text.split('\0').next().unwrap_or(text);
    let mut tokens = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        if let Some((symbol, after)) = SYMBOLS.iter().find_map(|s| Some((*s, rest.strip_prefix(s)?))) {
            tokens.push(Token::Symbol(symbol));
            rest = after;
            continue;
        }
        let end = rest.find([' ', '\t', '\r', '\n', '=', '!', '(', ')', ',', '>', '<']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            tokens.push(Token::End);
            return tokens;
        }
        tokens.push(Token::Word(word));
        rest = after;
    }
}

// ---------------------------------------------------------------- grammar

struct Parser<'t>(Peekable<IntoIter<Token<'t>>>);

const COMMA: Token<'static> = Token::Symbol(",");
const CLOSE: Token<'static> = Token::Symbol(")");

impl<'t> Parser<'t> {
    fn peek(&mut self) -> Token<'t> {
        self.0.peek().copied().unwrap_or(Token::End)
    }

    fn next(&mut self) -> Token<'t> {
        self.0.next().unwrap_or(Token::End)
    }

    fn selector(mut self) -> Result<Vec<LabelRequirement>, SelectorError> {
        let mut requirements = Vec::new();
        loop {
            match self.peek() {
                Token::End => return Ok(requirements),
                Token::Word(_) | Token::Symbol("!") => {}
                other => {
                    return Err(error(format!(
                        "found '{}', expected: !, identifier, or 'end of string'",
                        other.text()
                    )));
                }
            }
            let requirement = self.requirement();
            requirements.push(requirement.map_err(|reason| error(format!("unable to parse requirement: {reason}")))?);
            match self.next() {
                Token::End => return Ok(requirements),
                COMMA => {}
                other => return Err(error(format!("found '{}', expected: ',' or 'end of string'", other.text()))),
            }
            let next = self.peek();
            if !matches!(next, Token::Word(_) | Token::Symbol("!")) {
                return Err(error(format!("found '{}', expected: identifier after ','", next.text())));
            }
        }
    }

    fn requirement(&mut self) -> Result<LabelRequirement, SelectorError> {
        let negated = self.peek() == Token::Symbol("!");
        if negated {
            self.next();
        }
        let key = match self.next() {
            Token::Word(key) => key.to_string(),
            other => return Err(error(format!("found '{}', expected: identifier", other.text()))),
        };
        let violations = formats::qualified_name(&key);
        if !violations.is_empty() {
            // Kubernetes prints the key's missing path as `<nil>`.
            return Err(error(format!("<nil>: Invalid value: {key:?}: {}", violations.join("; "))));
        }
        if negated {
            return Ok(LabelRequirement { key, operator: Operator::DoesNotExist });
        }
        if matches!(self.peek(), Token::End | COMMA) {
            return Ok(LabelRequirement { key, operator: Operator::Exists });
        }
        let operator = self.next();
        let values = match operator.text() {
            "in" | "notin" => self.values()?,
            "=" | "==" | "!=" | ">" | "<" => BTreeSet::from([self.exact_value()?]),
            other => return Err(error(format!("found '{other}', expected: in, notin, =, ==, !=, gt, lt"))),
        };
        check_values(&key, &values)?;
        let test = match operator.text() {
            "notin" | "!=" => Operator::NotIn(values),
            ">" => Operator::GreaterThan(integer_bound(&values)?),
            "<" => Operator::LessThan(integer_bound(&values)?),
            _ => Operator::In(values),
        };
        Ok(LabelRequirement { key, operator: test })
    }

    fn exact_value(&mut self) -> Result<String, SelectorError> {
        if matches!(self.peek(), Token::End | COMMA) {
            return Ok(String::new());
        }
        match self.next() {
            Token::Word(value) => Ok(value.into()),
            other => Err(error(format!("found '{}', expected: identifier", other.text()))),
        }
    }

    /// Parses `(a,b)`. A missing value is the empty string.
    fn values(&mut self) -> Result<BTreeSet<String>, SelectorError> {
        let open = self.next();
        if open != Token::Symbol("(") {
            return Err(error(format!("found '{}' expected: '('", open.text())));
        }
        let first = self.peek();
        if !matches!(first, Token::Word(_) | COMMA | CLOSE) {
            return Err(error(format!("found '{}', expected: ',', ')' or identifier", first.text())));
        }
        let mut values = BTreeSet::new();
        loop {
            match self.peek() {
                Token::Word(value) => {
                    self.next();
                    values.insert(value.into());
                }
                COMMA | CLOSE => {
                    values.insert(String::new());
                }
                other => return Err(error(format!("found '{}', expected: ',', or identifier", other.text()))),
            }
            match self.next() {
                COMMA => {}
                CLOSE => return Ok(values),
                other => return Err(error(format!("found '{}', expected: ',' or ')'", other.text()))),
            }
        }
    }
}

fn error(message: String) -> SelectorError {
    SelectorError(message)
}

fn check_values(key: &str, values: &BTreeSet<String>) -> Result<(), SelectorError> {
    let mut invalid = Vec::new();
    for (index, value) in values.iter().enumerate() {
        let violations = formats::label_value(value);
        if !violations.is_empty() {
            invalid.push(format!("values[{index}][{key}]: Invalid value: {value:?}: {}", violations.join("; ")));
        }
    }
    match invalid.as_slice() {
        [] => Ok(()),
        [only] => Err(error(only.clone())),
        several => Err(error(format!("[{}]", several.join(", ")))),
    }
}

fn integer_bound(values: &BTreeSet<String>) -> Result<i64, SelectorError> {
    let value = values.first().map(String::as_str).unwrap_or_default();
    value.parse().map_err(|_| {
        error(format!("values[0]: Invalid value: {value:?}: for 'Gt', 'Lt' operators, the value must be an integer"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> BTreeMap<String, String> {
        let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
        pairs.map(|(key, value)| (key.to_string(), value.to_string())).collect()
    }

    #[test]
    fn label_selectors_match_as_in_kubernetes() {
        for (selector, yes, no) in [
            ("", &["", "a=1"][..], &[][..]),
            ("a", &["a=", "a=1"], &["", "b=1"]),
            ("!a", &["", "b=1"], &["a="]),
            ("! a", &["b=1"], &["a=1"]),
            ("a=1", &["a=1", "a=1 b=2"], &["", "a=2"]),
            ("a==1", &["a=1"], &["a=2"]),
            ("a=", &["a="], &["", "a=1"]),
            ("a!=1", &["", "a=2"], &["a=1"]),
            ("a!=", &["", "a=2"], &["a="]),
            ("a in (1,2)", &["a=1", "a=2"], &["", "a=3"]),
            ("a in ()", &["a="], &["", "a=1"]),
            ("a in (,)", &["a="], &["a=1"]),
            ("a in (1,)", &["a=1", "a="], &["", "a=2"]),
            ("a in (1,,2)", &["a=1", "a=", "a=2"], &["a=3"]),
            ("a notin (1,2)", &["", "a=3"], &["a=1", "a=2"]),
            ("a>5", &["a=6"], &["", "a=5", "a=x"]),
            ("a < 5", &["a=4", "a=-7"], &["", "a=5", "a="]),
            ("a=1,b,!c", &["a=1 b=2"], &["a=1", "a=1 b=2 c=3"]),
            (" a\t=\n1 , b ", &["a=1 b="], &["a=1"]),
            ("in", &["in=1"], &[""]),
            ("in in (in,notin)", &["in=in"], &["in=1"]),
            ("a=in", &["a=in"], &["a=1"]),
            ("example.com/a=1.b_c-d", &["example.com/a=1.b_c-d"], &[""]),
        ] {
            let parsed = Selector::parse(selector).unwrap_or_else(|error| panic!("{selector:?}: {error}"));
            assert_eq!(parsed.is_everything(), selector.is_empty(), "{selector:?}");
            for (text, expected) in yes.iter().map(|text| (text, true)).chain(no.iter().map(|text| (text, false))) {
                assert_eq!(parsed.matches(&labels(text)), expected, "{selector:?} on {text:?}");
            }
        }
    }

    #[test]
    fn invalid_label_selectors_get_kubernetes_messages() {
        let requirement = "unable to parse requirement: ";
        for (selector, expected) in [
            ("a===x", "unable to parse requirement: found '=', expected: identifier"),
            ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
            ("!", "unable to parse requirement: found '', expected: identifier"),
            ("!a=b", "found '=', expected: ',' or 'end of string'"),
            ("=a", "found '=', expected: !, identifier, or 'end of string'"),
            (",a", "found ',', expected: !, identifier, or 'end of string'"),
            ("a,", "found '', expected: identifier after ','"),
            ("a,,b", "found ',', expected: identifier after ','"),
            ("a=b c", "found 'c', expected: ',' or 'end of string'"),
            ("a in b", "unable to parse requirement: found 'b' expected: '('"),
            ("a in (", "unable to parse requirement: found '', expected: ',', ')' or identifier"),
            ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
            ("a in (b c)", "unable to parse requirement: found 'c', expected: ',' or ')'"),
            ("a in (b,", "unable to parse requirement: found '', expected: ',', or identifier"),
            (
                "a>x",
                "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value \
                 must be an integer",
            ),
        ] {
            assert_eq!(Selector::parse(selector).map_err(|e| e.to_string()), Err(expected.into()), "{selector:?}");
        }
        for (selector, start, part) in [
            ("-a=b", "<nil>: Invalid value: \"-a\": name part must consist of alphanumeric", "'MyName',  or 'my.name'"),
            ("/a", "<nil>: Invalid value: \"/a\": prefix part must be non-empty", ""),
            ("a=-b", "values[0][a]: Invalid value: \"-b\": a valid label must be an empty string", "'MyValue',  or"),
            ("a in (b,*,c)", "values[0][a]: Invalid value: \"*\": a valid label", ""),
        ] {
            let error = Selector::parse(selector).expect_err(selector).to_string();
            assert!(
                error.starts_with(&format!("{requirement}{start}")) && error.contains(part),
                "{selector:?}: {error}"
            );
        }
    }
}
