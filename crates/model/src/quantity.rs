//! Parsing and formatting of quantities: `500m`, `128Mi`, `1e3`.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// The text is not a valid quantity; the message is Kubernetes'.
#[derive(Debug, thiserror::Error)]
#[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
pub struct ParseQuantityError;

const NANO: i128 = 1_000_000_000;

/// The notation of a quantity, which formatting preserves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Notation {
    /// `500m`, `1k`
    Decimal,
    /// `1Ki`
    Binary,
    /// `1e3`
    Exponent,
}

/// Parses the value in billionths, rounded away from zero as in Kubernetes; saturates at the limits of `i128`.
fn parse(quantity: &Quantity) -> Result<(i128, Notation), ParseQuantityError> {
    let text = quantity.0.as_str();
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '+' || c == '-')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (negative, digits) = match number.as_bytes().first() {
        Some(b'-') => (true, &number[1..]),
        Some(b'+') => (false, &number[1..]),
        _ => (false, number),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
        return Err(ParseQuantityError);
    }
    let (base, exponent, notation) = parse_suffix(suffix)?;
    let mantissa: i128 = format!("0{whole}{fraction}").parse().map_err(|_| ParseQuantityError)?;
    let mut value = mantissa.saturating_mul(NANO);
    for _ in 0..exponent.max(0) {
        value = value.saturating_mul(base);
    }
    let ten =
        10i128.checked_pow(u32::try_from(fraction.len()).map_err(|_| ParseQuantityError)?).ok_or(ParseQuantityError)?;
    let small = base.checked_pow(exponent.min(0).unsigned_abs()).ok_or(ParseQuantityError)?;
    let divisor = ten.checked_mul(small).ok_or(ParseQuantityError)?;
    let rounded = round_up(value, divisor);
    Ok((if negative { -rounded } else { rounded }, notation))
}

/// Divides and rounds away from zero.
fn round_up(value: i128, divisor: i128) -> i128 {
    value / divisor + if value % divisor == 0 { 0 } else { value.signum() }
}

/// Returns the quantity in thousandths, rounded away from zero as in Kubernetes; saturates at the limits of `i128`.
pub fn milli(quantity: &Quantity) -> Result<i128, ParseQuantityError> {
    Ok(round_up(parse(quantity)?.0, NANO / 1000))
}

/// Returns the quantity in billionths, precise enough for comparisons.
pub fn nano(quantity: &Quantity) -> Result<i128, ParseQuantityError> {
    Ok(parse(quantity)?.0)
}

/// Returns the quantity in Kubernetes' canonical form: in its own notation, with the largest suffix that leaves a
/// whole number.
pub fn canonical(quantity: &Quantity) -> Result<Quantity, ParseQuantityError> {
    let (value, notation) = parse(quantity)?;
    Ok(Quantity(format_nano(value, notation)))
}

/// Returns the same as [`canonical`], rounded up to whole thousandths, the finest unit of resources.
pub fn canonical_in_milli(quantity: &Quantity) -> Result<Quantity, ParseQuantityError> {
    let (value, notation) = parse(quantity)?;
    let milli = NANO / 1000;
    Ok(Quantity(format_nano(round_up(value, milli).saturating_mul(milli), notation)))
}

/// Returns the sum of two quantities in the notation of the first non-zero one.
pub fn sum(a: &Quantity, b: &Quantity) -> Result<Quantity, ParseQuantityError> {
    let ((a, a_notation), (b, b_notation)) = (parse(a)?, parse(b)?);
    Ok(Quantity(format_nano(a.saturating_add(b), if a == 0 { b_notation } else { a_notation })))
}

fn format_nano(value: i128, notation: Notation) -> String {
    let whole = value % NANO == 0;
    if notation == Notation::Binary && whole && value.abs() >= 1024 * NANO {
        let mut units = value / NANO;
        let mut suffix = "";
        for next in ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"] {
            if units % 1024 != 0 {
                break;
            }
            units /= 1024;
            suffix = next;
        }
        return format!("{units}{suffix}");
    }
    let steps = [
        ("n", "e-9"),
        ("u", "e-6"),
        ("m", "e-3"),
        ("", ""),
        ("k", "e3"),
        ("M", "e6"),
        ("G", "e9"),
        ("T", "e12"),
        ("P", "e15"),
        ("E", "e18"),
    ];
    if value == 0 {
        return "0".into();
    }
    let mut rest = value;
    let mut suffix = "n";
    for (i, (decimal, exponent)) in steps.into_iter().enumerate() {
        if i > 0 {
            if rest % 1000 != 0 {
                break;
            }
            rest /= 1000;
        }
        suffix = if notation == Notation::Exponent { exponent } else { decimal };
    }
    format!("{rest}{suffix}")
}

/// Returns the quantity in whole units (bytes, cores), rounded up.
pub fn units(quantity: &Quantity) -> Result<i128, ParseQuantityError> {
    let milli = milli(quantity)?;
    Ok(milli.div_euclid(1000) + i128::from(milli.rem_euclid(1000) != 0))
}

/// Returns the quantity that a misspelt one probably means: `64Mb` is `64M`, `1 gi` is `1Gi`.
pub fn nearest(text: &str) -> Option<String> {
    let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let end = compact.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(compact.len());
    let (number, suffix) = compact.split_at_checked(end)?;
    let suffix = suffix.trim_end_matches(['b', 'B']);
    let meant = SUFFIXES.iter().find(|known| known.eq_ignore_ascii_case(suffix))?;
    Some(format!("{number}{meant}")).filter(|meant| milli(&Quantity(meant.clone())).is_ok())
}

/// Suffixes, the most probable first.
const SUFFIXES: [&str; 16] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "k", "M", "G", "T", "P", "E", "m", "u", "n"];

fn parse_suffix(suffix: &str) -> Result<(i128, i32, Notation), ParseQuantityError> {
    let decimal = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"].iter().position(|known| *known == suffix);
    if let Some(step) = decimal.and_then(|step| i32::try_from(step).ok()) {
        return Ok((10, 3 * (step - 3), Notation::Decimal));
    }
    let binary = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].iter().position(|known| *known == suffix);
    if let Some(step) = binary.and_then(|step| i32::try_from(step).ok()) {
        return Ok((1024, step + 1, Notation::Binary));
    }
    let exponent = suffix.strip_prefix(['e', 'E']).ok_or(ParseQuantityError)?;
    let exponent: i32 = exponent.parse().map_err(|_| ParseQuantityError)?;
    Ok((10, exponent.clamp(-30, 30), Notation::Exponent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_quantities_get_a_suggestion() {
        for (typed, meant) in [
            ("64Mb", Some("64M")),
            ("64MiB", Some("64Mi")),
            ("1 gi", Some("1Gi")),
            ("2KB", Some("2k")),
            ("1mi", Some("1Mi")),
            ("lots", None),
            ("1 2 3x", None),
        ] {
            assert_eq!(nearest(typed).as_deref(), meant, "{typed}");
        }
    }

    #[test]
    fn quantities_parse_as_in_kubernetes() {
        for (text, want) in [
            ("1", Some(1000)),
            ("500m", Some(500)),
            ("0.5", Some(500)),
            ("1.5Gi", Some(1_610_612_736_000)),
            ("128Mi", Some(134_217_728_000)),
            ("1e3", Some(1_000_000)),
            ("1E", Some(1_000_000_000_000_000_000_000)),
            ("100n", Some(1)),
            ("-1", Some(-1000)),
            (".5", Some(500)),
            ("", None),
            ("1 Mi", None),
            ("1mi", None),
            ("abc", None),
            ("--1", None),
        ] {
            assert_eq!(milli(&Quantity(text.into())).ok(), want, "{text:?}");
        }
    }

    #[test]
    fn canonical_form_matches_kubernetes() {
        for (text, want) in [
            ("1", "1"),
            ("0.5", "500m"),
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("0.5Gi", "512Mi"),
            ("1000Mi", "1000Mi"),
            ("1024Ki", "1Mi"),
            ("1Ki", "1Ki"),
            ("0.5Ki", "512"),
            ("0.1Ki", "102400m"),
            ("1e3", "1e3"),
            ("1.5M", "1500k"),
            ("2000k", "2M"),
            ("0Mi", "0"),
            ("-1", "-1"),
            ("0.0001", "100u"),
        ] {
            assert_eq!(canonical(&Quantity(text.into())).expect(text).0, want, "{text:?}");
        }
        assert_eq!(canonical_in_milli(&Quantity("0.0001".into())).expect("a quantity").0, "1m");
        assert_eq!(sum(&Quantity("1Gi".into()), &Quantity("512Mi".into())).expect("a sum").0, "1536Mi");
    }
}
