//! Resolves plain scalars as kubectl does: YAML 1.1 by the rules of go-yaml v2, which
//! `sigs.k8s.io/yaml` uses.
//!
//! `yes`, `on` and `y` are true; `0644` is octal; underscores within numbers are ignored; base 60
//! (`12:30`) and dates stay strings. Quoted scalars are always strings and are not resolved here.

/// The value of a plain scalar.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scalar {
    /// `null`, `~` or an empty scalar.
    Null,
    /// A boolean in any of YAML 1.1's spellings.
    Bool(bool),
    /// An integer of up to 64 bits.
    Int(i128),
    /// Any other number.
    Float(f64),
    /// Any other scalar.
    String,
}

/// Resolves the plain scalar `text`.
pub fn resolve(text: &str) -> Scalar {
    match text.as_bytes().first() {
        None => Scalar::Null,
        Some(b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~') => word(text),
        Some(b'.' | b'+' | b'-' | b'0'..=b'9') => number(text),
        Some(_) => Scalar::String,
    }
}

fn word(text: &str) -> Scalar {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Scalar::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Scalar::Bool(false),
        "~" | "null" | "Null" | "NULL" => Scalar::Null,
        _ => Scalar::String,
    }
}

fn number(text: &str) -> Scalar {
    match text {
        ".nan" | ".NaN" | ".NAN" => return Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY),
        _ => {}
    }
    // A date begins with four digits and a dash.
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 4 && text.as_bytes().get(4) == Some(&b'-') {
        return Scalar::String;
    }
    let plain: std::borrow::Cow<'_, str> = if text.contains('_') { text.replace('_', "").into() } else { text.into() };
    if let Some(value) = integer(&plain) {
        return Scalar::Int(value);
    }
    if is_decimal(&plain) { plain.parse().map_or(Scalar::String, Scalar::Float) } else { Scalar::String }
}

/// Parses an integer with Go's prefixes (`0x`, `0b`, `0o`, and `0` for octal) within 64 bits.
fn integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let (base, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, digits.get(2..)?),
        [b'0', b'b' | b'B', ..] => (2, digits.get(2..)?),
        [b'0', b'o' | b'O', ..] => (8, digits.get(2..)?),
        [b'0', _, ..] => (8, digits.get(1..)?),
        _ => (10, digits),
    };
    // `from_str_radix` would accept a second sign.
    if !digits.chars().all(|c| c.is_digit(base)) {
        return None;
    }
    let value = i128::from_str_radix(digits, base).ok()?;
    let value = if negative { -value } else { value };
    (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&value).then_some(value)
}

/// Matches `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_decimal(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let has_digits = !whole.is_empty() || !fraction.is_empty();
    has_digits && digits(whole) && digits(fraction) && exponent.is_none_or(|e| !e.is_empty() && digits(e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_resolve_as_in_kubectl() {
        use Scalar::{Bool, Float, Int, Null, String};
        for (text, want) in [
            ("", Null),
            ("~", Null),
            ("NULL", Null),
            ("nUll", String),
            ("y", Bool(true)),
            ("Yes", Bool(true)),
            ("yEs", String),
            ("on", Bool(true)),
            ("off", Bool(false)),
            ("N", Bool(false)),
            ("none", String),
            ("0", Int(0)),
            ("-7", Int(-7)),
            ("+7", Int(7)),
            ("0644", Int(420)),
            ("-0644", Int(-420)),
            ("0o644", Int(420)),
            ("0x1F", Int(31)),
            ("0b101", Int(5)),
            ("1_000", Int(1000)),
            ("0888", Float(888.0)),
            ("1e3", Float(1000.0)),
            ("1E-3", Float(0.001)),
            ("1.", Float(1.0)),
            (".5", Float(0.5)),
            (".", String),
            ("-", String),
            ("--1", String),
            ("1-1", String),
            ("12:30", String),
            ("2024-01-31", String),
            ("2024-01-31T10:00:00Z", String),
            ("1.14.2", String),
            ("64Mi", String),
            ("1e", String),
            ("18446744073709551615", Int(18_446_744_073_709_551_615)),
            ("18446744073709551616", Float(18_446_744_073_709_551_616.0)),
            (".inf", Float(f64::INFINITY)),
            ("-.Inf", Float(f64::NEG_INFINITY)),
            ("inf", String),
            ("nginx", String),
            ("/bin/sh", String),
        ] {
            assert_eq!(resolve(text), want, "{text:?}");
        }
        assert!(matches!(resolve(".NaN"), Float(x) if x.is_nan()));
    }
}
