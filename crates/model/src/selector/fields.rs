//! Field selectors: `metadata.name=a,status.phase!=Running`.
//!
//! Each kind lists its selectable fields, which are the same as in Kubernetes.

use std::borrow::Cow;

use super::SelectorError;

/// Requirements on an object's fields; an empty selector selects everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSelector(Vec<FieldRequirement>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct FieldRequirement {
    field: &'static str,
    value: String,
    /// `!=`
    negated: bool,
}

impl FieldSelector {
    /// Parses a selector whose labels `field_of_label` resolves; an empty text selects everything.
    pub fn parse(
        text: &str,
        field_of_label: impl Fn(&str) -> Result<&'static str, SelectorError>,
    ) -> Result<FieldSelector, SelectorError> {
        let mut terms = split_terms(text);
        // Kubernetes reports the first error in this order.
        terms.sort_unstable();
        let mut requirements = Vec::new();
        for term in terms {
            requirements.push(parse_requirement(text, term)?);
        }
        let known = |(label, value, negated)| {
            let field = field_of_label(label)?;
            Ok(FieldRequirement { field, value, negated })
        };
        requirements.into_iter().map(known).collect::<Result<_, _>>().map(FieldSelector)
    }

    /// Returns whether the selector selects every object.
    pub fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the value that the selector requires of `field`, such as the name in `metadata.name=a`.
    pub fn required_value(&self, field: &str) -> Option<&str> {
        let requirement = self.0.iter().find(|requirement| requirement.field == field && !requirement.negated)?;
        Some(&requirement.value)
    }

    /// Returns the fields that the selector uses.
    pub fn fields(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|requirement| requirement.field)
    }

    /// Returns whether the selector matches an object with the fields that `value_of` returns; a missing field is
    /// empty.
    pub fn matches<'o>(&self, value_of: impl Fn(&str) -> Option<Cow<'o, str>>) -> bool {
        let holds = |r: &FieldRequirement| (value_of(r.field).unwrap_or_default() == r.value.as_str()) != r.negated;
        self.0.iter().all(holds)
    }
}

/// A field that selectors may name, and the accessor of its value.
pub type SelectableField<T> = (&'static str, fn(&T) -> Option<Cow<'_, str>>);

/// Returns the text of a boolean field.
pub fn bool_text(value: Option<bool>) -> &'static str {
    if value == Some(true) { "true" } else { "false" }
}

// ---------------------------------------------------------------- grammar

/// Splits at unescaped commas; drops empty terms.
fn split_terms(text: &str) -> Vec<&str> {
    let mut escaped = false;
    let at_comma = |c: char| {
        let ends = c == ',' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    };
    text.split(at_comma).filter(|term| !term.is_empty()).collect()
}

/// Parses `field=value`, `field==value` or `field!=value` into field, value and negation.
fn parse_requirement<'t>(text: &str, term: &'t str) -> Result<(&'t str, String, bool), SelectorError> {
    let at = term.find("!=").into_iter().chain(term.find('=')).min();
    let error = || SelectorError(format!("invalid selector: '{text}'; can't understand '{term}'"));
    let (field, rest) = at.and_then(|at| term.split_at_checked(at)).ok_or_else(error)?;
    let operators = [("!=", true), ("==", false), ("=", false)];
    let operator = operators.iter().find_map(|(operator, negated)| Some((rest.strip_prefix(operator)?, *negated)));
    let (value, negated) = operator.ok_or_else(error)?;
    Ok((field, unescape(value)?, negated))
}

/// Removes backslashes, which may escape only `,`, `=` and `\`.
fn unescape(value: &str) -> Result<String, SelectorError> {
    let error = |reason: String| SelectorError(format!("invalid field selector: {reason}"));
    let (mut plain, mut chars) = (String::with_capacity(value.len()), value.chars());
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(escaped @ ('\\' | ',' | '=')) => plain.push(escaped),
                other => {
                    let other = other.map(String::from).unwrap_or_default();
                    return Err(error(format!("invalid escape sequence: \\{other}")));
                }
            },
            // Kubernetes prints the character's number here.
            ',' | '=' => return Err(error(format!("unescaped character in value: {c}"))),
            c => plain.push(c),
        }
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: [&str; 2] = ["metadata.name", "status.phase"];

    fn parse(text: &str) -> Result<FieldSelector, String> {
        let resolve = |label: &str| {
            let field = FIELDS.into_iter().find(|field| *field == label);
            field.ok_or_else(|| SelectorError::unsupported_label(label))
        };
        FieldSelector::parse(text, resolve).map_err(|error| error.to_string())
    }

    #[test]
    fn field_selectors_match_as_in_kubernetes() {
        let value_of = |field: &str| (field == "metadata.name").then_some("a".into());
        for (selector, expected) in [
            ("", true),
            (",,", true),
            ("metadata.name=a", true),
            ("metadata.name==a", true),
            ("metadata.name!=a", false),
            ("metadata.name=b", false),
            ("metadata.name=a,status.phase=", true),
            ("metadata.name=a,status.phase=Running", false),
            ("status.phase!=Running,metadata.name=a", true),
            (r"metadata.name=a\,b", false),
            (r"metadata.name!=a\=b\\c\,d", true),
        ] {
            let parsed = parse(selector).unwrap_or_else(|error| panic!("{selector:?}: {error}"));
            assert_eq!(parsed.matches(value_of), expected, "{selector:?}");
        }
    }

    #[test]
    fn values_are_unescaped() {
        let selector = parse(r"metadata.name=a\=b\\c\,d").expect("a selector");
        assert_eq!(selector.required_value("metadata.name"), Some(r"a=b\c,d"));
        assert_eq!(selector.required_value("status.phase"), None);
        assert_eq!(parse("metadata.name!=a").expect("a selector").required_value("metadata.name"), None);
    }

    #[test]
    fn invalid_field_selectors_get_kubernetes_messages() {
        for (selector, expected) in [
            ("metadata.name", "invalid selector: 'metadata.name'; can't understand 'metadata.name'"),
            ("z,metadata.name", "invalid selector: 'z,metadata.name'; can't understand 'metadata.name'"),
            ("a!b", "invalid selector: 'a!b'; can't understand 'a!b'"),
            ("spec.hostname=x", "field label not supported: spec.hostname"),
            ("=x", "field label not supported: "),
            ("metadata.name===x", "invalid field selector: unescaped character in value: ="),
            (r"metadata.name=a\b", r"invalid field selector: invalid escape sequence: \b"),
            (r"metadata.name=a\", r"invalid field selector: invalid escape sequence: \"),
        ] {
            assert_eq!(parse(selector), Err(expected.into()), "{selector:?}");
        }
    }
}
