//! Formats of numbers and of `printf`.

use super::error::Problem;
use super::value::Value;
use crate::applets::numbers::FormatSpec;

/// The widest field and the most digits of a conversion.
const MAX_WIDTH: f64 = (1 << 20) as f64;

/// Formats a number as text; integers have no decimals whatever `format` (CONVFMT or OFMT) is.
pub fn format_number(number: f64, format: &[u8]) -> Vec<u8> {
    const EXACT: f64 = 9.2e18;
    if number.fract() == 0.0 && number.abs() < EXACT {
        return (number as i64).to_string().into_bytes();
    }
    format_values(format, &[Value::Number(number)], b"%.6g").unwrap_or_default()
}

/// Formats `values` by a template; missing values are empty.
///
/// # Errors
/// `InvalidFormat` for a conversion that is not known.
pub fn format_values(template: &[u8], values: &[Value], convfmt: &[u8]) -> Result<Vec<u8>, Problem> {
    let mut out = Vec::new();
    let mut values = values.iter();
    let mut at = 0;
    while let Some(byte) = template.get(at) {
        at += 1;
        if *byte != b'%' {
            out.push(*byte);
        } else if template.get(at) == Some(&b'%') {
            out.push(b'%');
            at += 1;
        } else {
            let (spec, end) = parse_spec(template, at, &mut values);
            let conversion = *template.get(end).ok_or(Problem::InvalidFormat)?;
            apply(&spec, conversion, values.next().unwrap_or(&Value::Unset), convfmt, &mut out)?;
            at = end + 1;
        }
    }
    Ok(out)
}

/// Parses flags, width and precision; returns the position of the conversion's letter.
fn parse_spec(template: &[u8], start: usize, values: &mut std::slice::Iter<'_, Value>) -> (FormatSpec, usize) {
    let mut spec = FormatSpec::default();
    let mut at = start + spec.read_flags(template.get(start..).unwrap_or_default());
    let mut count = |at: &mut usize| -> f64 {
        if template.get(*at) == Some(&b'*') {
            *at += 1;
            return values.next().map_or(0.0, Value::number);
        }
        let mut number = 0.0;
        while let Some(digit) = template.get(*at).filter(|b| b.is_ascii_digit()) {
            number = number * 10.0 + f64::from(digit - b'0');
            *at += 1;
        }
        number
    };
    let width = count(&mut at);
    spec.left |= width < 0.0;
    spec.width = width.abs().min(MAX_WIDTH) as usize;
    if template.get(at) == Some(&b'.') {
        at += 1;
        let precision = count(&mut at);
        spec.precision = (precision >= 0.0).then_some(precision.min(MAX_WIDTH) as usize);
    }
    while matches!(template.get(at), Some(b'l' | b'h' | b'L')) {
        at += 1;
    }
    (spec, at)
}

fn apply(spec: &FormatSpec, conversion: u8, value: &Value, convfmt: &[u8], out: &mut Vec<u8>) -> Result<(), Problem> {
    match conversion {
        b'd' | b'i' | b'u' | b'o' | b'x' | b'X' => {
            let number = value.number();
            if number.is_finite() {
                spec.integer(number as i128, char::from(conversion), out);
            } else {
                spec.float(number, 'g', out);
            }
        }
        b'e' | b'E' | b'f' | b'F' | b'g' | b'G' => spec.float(value.number(), char::from(conversion), out),
        b'c' => match value {
            Value::Number(number) => spec.pad(&[*number as i64 as u8], false, out),
            other => spec.pad(other.bytes(convfmt).get(..1).unwrap_or_default(), false, out),
        },
        b's' => {
            let text = value.bytes(convfmt);
            let length = spec.precision.unwrap_or(text.len()).min(text.len());
            spec.pad(text.get(..length).unwrap_or_default(), false, out);
        }
        _ => return Err(Problem::InvalidFormat),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(template: &str, values: &[Value], expected: &str) {
        let formatted = format_values(template.as_bytes(), values, b"%.6g").expect("a valid format");
        assert_eq!(String::from_utf8_lossy(&formatted), expected, "{template}");
    }

    #[test]
    fn conversions_follow_c() {
        let number = |number: f64| Value::Number(number);
        check("%d|%5d|%-5d|%05d", &[number(3.9), number(42.0), number(42.0), number(-42.0)], "3|   42|42   |-0042");
        check("%x %X %o %u", &[number(255.0), number(255.0), number(8.0), number(7.0)], "ff FF 10 7");
        check("%.2f %e %g", &[number(1.0 / 3.0), number(12345.0), number(0.0001)], "0.33 1.234500e+04 0.0001");
        check("%s|%10s|%-4s|%.2s", &["a", "b", "c", "defg"].map(Value::text), "a|         b|c   |de");
        check("%c%c%c", &[number(65.0), Value::text("hello"), Value::from_input("66")], "Ah6");
        check("%*d|%.*f", &[number(4.0), number(1.0), number(1.0), number(0.25)], "   1|0.2");
        check("100%% %s", &[], "100% ");
    }

    #[test]
    fn unknown_conversions_are_errors() {
        assert_eq!(format_values(b"%z", &[], b"%.6g"), Err(Problem::InvalidFormat));
        assert_eq!(format_values(b"%5", &[], b"%.6g"), Err(Problem::InvalidFormat));
    }
}
