//! Numbers or percentages: `maxSurge: 25%`, `maxUnavailable: 1`.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::fields::{ErrorList, FieldPath};

/// Returns the percentage if the value is one.
fn percentage(value: &IntOrString) -> Option<i64> {
    let IntOrString::String(text) = value else { return None };
    let digits = text.strip_suffix('%').filter(|digits| !digits.is_empty())?;
    let is_number = digits.bytes().all(|c| c.is_ascii_digit());
    // A number beyond the range is too high in any case.
    is_number.then(|| digits.parse().unwrap_or(i64::MAX))
}

/// Validates that the value is a number of at least zero or a percentage.
pub fn validate(errors: &mut ErrorList, path: FieldPath<'_>, value: &IntOrString) {
    match value {
        IntOrString::Int(number) => errors.check_non_negative(path, i64::from(*number)),
        IntOrString::String(text) if percentage(value).is_none() => {
            let detail = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or \
                          '93%', regex used for validation is '[0-9]+%')";
            errors.invalid(path, text, detail);
        }
        IntOrString::String(_) => {}
    }
}

/// Validates that a percentage is at most 100%.
pub fn validate_at_most_100_percent(errors: &mut ErrorList, path: FieldPath<'_>, value: &IntOrString) {
    if percentage(value).is_some_and(|percent| percent > 100) {
        errors.invalid(path, value, "must not be greater than 100%");
    }
}

/// Returns whether the value is zero, as a number or as a percentage. As in Kubernetes, a text that is neither is zero.
pub fn is_zero(value: &IntOrString) -> bool {
    match value {
        IntOrString::Int(number) => *number == 0,
        IntOrString::String(text) => percentage(value).or_else(|| text.parse().ok()).unwrap_or(0) == 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_percentages_are_checked() {
        let text = |text: &str| IntOrString::String(text.into());
        for (value, is_valid, fits, zero) in [
            (IntOrString::Int(0), true, true, true),
            (IntOrString::Int(-1), false, true, false),
            (text("0%"), true, true, true),
            (text("100%"), true, true, false),
            (text("101%"), true, false, false),
            (text("99999999999999999999%"), true, false, false),
            (text("%"), false, true, true),
            (text("5"), false, true, false),
            (text("-5%"), false, true, true),
        ] {
            let mut errors = ErrorList::default();
            validate(&mut errors, FieldPath::root("a"), &value);
            assert_eq!(errors.count() == 0, is_valid, "{value:?}");
            let mut errors = ErrorList::default();
            validate_at_most_100_percent(&mut errors, FieldPath::root("a"), &value);
            assert_eq!((errors.count() == 0, is_zero(&value)), (fits, zero), "{value:?}");
        }
    }
}
