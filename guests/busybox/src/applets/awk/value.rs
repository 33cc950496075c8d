//! awk's values: numbers, byte strings, and strings from the input that look like numbers.

use std::cmp::Ordering;
use std::rc::Rc;

use super::format::format_number;

/// A string, which need not be UTF-8.
pub type Bytes = Rc<[u8]>;

#[derive(Clone, Debug, Default)]
pub enum Value {
    /// A variable without a value: empty as a string, 0 as a number.
    #[default]
    Unset,
    Number(f64),
    Text(Bytes),
    /// Text from the input that looks like a number and compares as one.
    Numeric(Bytes, f64),
}

impl Value {
    pub fn text(bytes: impl AsRef<[u8]>) -> Value {
        Value::Text(Bytes::from(bytes.as_ref()))
    }

    pub fn bool(holds: bool) -> Value {
        Value::Number(f64::from(u8::from(holds)))
    }

    /// Returns the value of text from the input.
    pub fn from_input(bytes: impl AsRef<[u8]>) -> Value {
        let bytes = Bytes::from(bytes.as_ref());
        match numeric_value(&bytes) {
            Some(number) => Value::Numeric(bytes, number),
            None => Value::Text(bytes),
        }
    }

    pub fn number(&self) -> f64 {
        match self {
            Value::Unset => 0.0,
            Value::Number(number) | Value::Numeric(_, number) => *number,
            Value::Text(bytes) => parse_prefix(bytes).0,
        }
    }

    /// Returns the value as text; `format` is CONVFMT or OFMT.
    pub fn bytes(&self, format: &[u8]) -> Bytes {
        match self {
            Value::Unset => Bytes::from(&[][..]),
            Value::Number(number) => Bytes::from(format_number(*number, format)),
            Value::Text(bytes) | Value::Numeric(bytes, _) => bytes.clone(),
        }
    }

    pub fn is_true(&self) -> bool {
        match self {
            Value::Unset => false,
            Value::Number(number) | Value::Numeric(_, number) => *number != 0.0,
            Value::Text(bytes) => !bytes.is_empty(),
        }
    }

    /// Compares as numbers unless one of both is a string. `None` if one is not a number (NaN).
    pub fn compare(&self, other: &Value, format: &[u8]) -> Option<Ordering> {
        match (self, other) {
            (Value::Text(_), _) | (_, Value::Text(_)) => Some(self.bytes(format).cmp(&other.bytes(format))),
            _ => self.number().partial_cmp(&other.number()),
        }
    }
}

/// Returns the number if the whole text looks like one, apart from blanks around it.
fn numeric_value(text: &[u8]) -> Option<f64> {
    let (number, used) = parse_prefix(text);
    let rest = text.get(used..).unwrap_or_default();
    (used > 0 && rest.iter().all(u8::is_ascii_whitespace)).then_some(number)
}

/// Parses the decimal number that text begins with, after blanks; returns it and its end, which is 0 without a number.
pub fn parse_prefix(text: &[u8]) -> (f64, usize) {
    let start = text.iter().take_while(|b| b.is_ascii_whitespace()).count();
    let digits_from = |at: usize| text.iter().skip(at).take_while(|b| b.is_ascii_digit()).count();
    let mut end = start + usize::from(matches!(text.get(start), Some(b'+' | b'-')));
    let mut digits = digits_from(end);
    end += digits;
    if text.get(end) == Some(&b'.') {
        let decimals = digits_from(end + 1);
        digits += decimals;
        end += decimals + 1;
    }
    if digits == 0 {
        return (0.0, 0);
    }
    if matches!(text.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits_from(end + 1 + sign);
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    let number = text.get(start..end).and_then(|number| std::str::from_utf8(number).ok());
    (number.and_then(|number| number.parse().ok()).unwrap_or(0.0), end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_from_the_beginning_of_text() {
        for (text, number, used) in [
            ("", 0.0, 0),
            ("abc", 0.0, 0),
            ("12abc", 12.0, 2),
            (" -3.5e2x", -350.0, 7),
            (".5", 0.5, 2),
            ("5.", 5.0, 2),
            ("1e", 1.0, 1),
            ("1e+", 1.0, 1),
            (".", 0.0, 0),
            ("+7", 7.0, 2),
        ] {
            assert_eq!(parse_prefix(text.as_bytes()), (number, used), "{text:?}");
        }
    }

    #[test]
    fn input_that_looks_numeric_compares_as_a_number() {
        let compare = |a: Value, b: Value| a.compare(&b, b"%.6g");
        assert_eq!(compare(Value::from_input("10"), Value::from_input(" 9 ")), Some(Ordering::Greater));
        assert_eq!(compare(Value::from_input("10"), Value::text("9")), Some(Ordering::Less));
        assert_eq!(compare(Value::from_input("10x"), Value::from_input("9")), Some(Ordering::Less));
        assert_eq!(compare(Value::Unset, Value::Number(0.0)), Some(Ordering::Equal));
        assert_eq!(compare(Value::Unset, Value::text("")), Some(Ordering::Equal));
    }

    #[test]
    fn integers_print_without_decimals() {
        let text = |number: f64| String::from_utf8_lossy(&Value::Number(number).bytes(b"%.6g")).into_owned();
        assert_eq!(text(1e6), "1000000");
        assert_eq!(text(-0.0), "0");
        assert_eq!(text(0.1 + 0.2), "0.3");
        assert_eq!(text(1e30), "1e+30");
        assert_eq!(text(1234567.5), "1.23457e+06");
    }
}
