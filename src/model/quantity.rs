//! Quantities: `500m`, `128Mi`, `1e3`.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// A text that is no quantity.
#[derive(Debug, thiserror::Error)]
#[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
pub struct NotAQuantity;

/// The quantity in thousandths, rounded up as Kubernetes does; saturates at the ends of `i128`.
pub fn milli(quantity: &Quantity) -> Result<i128, NotAQuantity> {
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
        return Err(NotAQuantity);
    }
    let (base, exponent) = scale(suffix)?;
    let mantissa: i128 = format!("0{whole}{fraction}").parse().map_err(|_| NotAQuantity)?;
    let mut value = mantissa.saturating_mul(1000);
    for _ in 0..exponent.max(0) {
        value = value.saturating_mul(base);
    }
    let ten = 10i128.checked_pow(u32::try_from(fraction.len()).map_err(|_| NotAQuantity)?).ok_or(NotAQuantity)?;
    let small = base.checked_pow(exponent.min(0).unsigned_abs()).ok_or(NotAQuantity)?;
    let divisor = ten.checked_mul(small).ok_or(NotAQuantity)?;
    let rounded = value / divisor + i128::from(value % divisor != 0);
    Ok(if negative { -rounded } else { rounded })
}

/// The quantity in whole units (bytes, cores), rounded up.
pub fn units(quantity: &Quantity) -> Result<i128, NotAQuantity> {
    let milli = milli(quantity)?;
    Ok(milli.div_euclid(1000) + i128::from(milli.rem_euclid(1000) != 0))
}

/// The quantity that a typing error most likely meant: `64Mb` is `64M`, `1 gi` is `1Gi`.
pub fn nearest(text: &str) -> Option<String> {
    let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let end = compact.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(compact.len());
    let (number, suffix) = compact.split_at_checked(end)?;
    let suffix = suffix.trim_end_matches(['b', 'B']);
    let meant = SUFFIXES.iter().find(|known| known.eq_ignore_ascii_case(suffix))?;
    Some(format!("{number}{meant}")).filter(|meant| milli(&Quantity(meant.clone())).is_ok())
}

/// Suffixes by how probable they are.
const SUFFIXES: [&str; 16] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "k", "M", "G", "T", "P", "E", "m", "u", "n"];

fn scale(suffix: &str) -> Result<(i128, i32), NotAQuantity> {
    Ok(match suffix {
        "" => (10, 0),
        "n" => (10, -9),
        "u" => (10, -6),
        "m" => (10, -3),
        "k" => (10, 3),
        "M" => (10, 6),
        "G" => (10, 9),
        "T" => (10, 12),
        "P" => (10, 15),
        "E" => (10, 18),
        "Ki" => (1024, 1),
        "Mi" => (1024, 2),
        "Gi" => (1024, 3),
        "Ti" => (1024, 4),
        "Pi" => (1024, 5),
        "Ei" => (1024, 6),
        other => {
            let exponent = other.strip_prefix(['e', 'E']).ok_or(NotAQuantity)?;
            let exponent: i32 = exponent.parse().map_err(|_| NotAQuantity)?;
            (10, exponent.clamp(-30, 30))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_have_a_way_out() {
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
    fn quantities_are_read_as_kubernetes_reads_them() {
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
}
