//! Validation of conditions in a status (`apimachinery/pkg/apis/meta/v1/validation`).

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::fields::{ErrorList, FieldPath};
use crate::model::formats;

const MAX_REASON_BYTES: usize = 1024;
const MAX_MESSAGE_BYTES: usize = 32 * 1024;

/// Validates the conditions of a status.
pub fn validate(errors: &mut ErrorList, list: FieldPath<'_>, conditions: &[Condition]) {
    let mut types = BTreeSet::new();
    for (i, condition) in conditions.iter().enumerate() {
        let path = list.index(i);
        if !types.insert(condition.type_.as_str()) {
            errors.duplicate(path.child("type"), &condition.type_);
        }
        validate_condition(errors, path, condition);
    }
}

fn validate_condition(errors: &mut ErrorList, path: FieldPath<'_>, condition: &Condition) {
    errors.invalid_each(path.child("type"), &condition.type_, formats::qualified_name(&condition.type_));
    errors.check_one_of(path.child("status"), &condition.status, &["False", "True", "Unknown"]);
    if let Some(generation) = condition.observed_generation.filter(|generation| *generation < 0) {
        errors.invalid(path.child("observedGeneration"), generation, "must be greater than or equal to zero");
    }
    // A missing time is read as this one.
    if condition.last_transition_time.0 == Timestamp::UNIX_EPOCH {
        errors.required(path.child("lastTransitionTime"), "must be set");
    }
    let reason = condition.reason.as_str();
    if reason.is_empty() {
        errors.required(path.child("reason"), "must be set");
    } else if !is_reason(reason) {
        let detail = "a condition reason must start with alphabetic character, optionally followed by a string of \
                      alphanumeric characters or '_,:', and must end with an alphanumeric character or '_' (e.g. \
                      'my_name',  or 'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used \
                      for validation is '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')";
        errors.invalid(path.child("reason"), reason, detail);
    }
    if reason.len() > MAX_REASON_BYTES {
        errors.too_long(path.child("reason"), MAX_REASON_BYTES);
    }
    if condition.message.len() > MAX_MESSAGE_BYTES {
        errors.too_long(path.child("message"), MAX_MESSAGE_BYTES);
    }
}

fn is_reason(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.ends_with(is_word)
        && text.chars().all(|c| is_word(c) || matches!(c, ',' | ':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_validated_as_in_kubernetes() {
        let condition = |kind: &str, status: &str, reason: &str, time: &str| {
            let json = serde_json::json!({"type": kind, "status": status, "reason": reason, "message": "",
                "lastTransitionTime": time});
            serde_json::from_value::<Condition>(json).expect("a condition")
        };
        let (now, never) = ("2026-01-01T00:00:00Z", "1970-01-01T00:00:00Z");
        let conditions =
            [condition("A", "True", "A:b", now), condition("A", "Maybe", "", now), condition("B", "False", "1", never)];
        let mut errors = ErrorList::default();
        validate(&mut errors, FieldPath::root("c"), &conditions);
        let causes: Vec<String> = errors.into_causes().iter().map(ToString::to_string).collect();
        let want = [
            "c[1].type: Duplicate value: \"A\"",
            "c[1].status: Unsupported value: \"Maybe\": supported values: \"False\", \"True\", \"Unknown\"",
            "c[1].reason: Required value: must be set",
            "c[2].lastTransitionTime: Required value: must be set",
        ];
        assert_eq!(causes.get(..4).expect("four causes"), want);
        assert!(causes[4].starts_with("c[2].reason: Invalid value: \"1\": a condition reason must"), "{causes:?}");
    }
}
