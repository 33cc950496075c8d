//! Label selectors of objects: matching, printing (`metav1.LabelSelectorAsSelector`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::model::formats;

type Labels = BTreeMap<String, String>;

/// A valid label selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelMatcher {
    /// A missing selector matches no object.
    Nothing,
    /// All requirements must hold, in the order of their keys.
    All(Vec<LabelRequirement>),
}

/// A requirement on one label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelRequirement {
    key: String,
    operator: LabelOperator,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum LabelOperator {
    Equals(String),
    In(BTreeSet<String>),
    NotIn(BTreeSet<String>),
    Exists,
    DoesNotExist,
}

impl LabelMatcher {
    /// Parses a selector. Returns `None` if it is not valid.
    pub fn new(selector: Option<&LabelSelector>) -> Option<LabelMatcher> {
        let Some(selector) = selector else { return Some(LabelMatcher::Nothing) };
        let mut requirements = Vec::new();
        for (key, value) in selector.match_labels.iter().flatten() {
            requirements.push(LabelRequirement::new(key, LabelOperator::Equals(value.clone()))?);
        }
        for requirement in selector.match_expressions.iter().flatten() {
            let values: BTreeSet<String> = requirement.values.iter().flatten().cloned().collect();
            let operator = match (requirement.operator.as_str(), values.is_empty()) {
                ("In", false) => LabelOperator::In(values),
                ("NotIn", false) => LabelOperator::NotIn(values),
                ("Exists", true) => LabelOperator::Exists,
                ("DoesNotExist", true) => LabelOperator::DoesNotExist,
                _ => return None,
            };
            requirements.push(LabelRequirement::new(&requirement.key, operator)?);
        }
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Some(LabelMatcher::All(requirements))
    }

    /// Returns the matcher of equal labels.
    pub fn of_labels(labels: Option<&Labels>) -> LabelMatcher {
        let requirement = |(key, value): (&String, &String)| LabelRequirement {
            key: key.clone(),
            operator: LabelOperator::Equals(value.clone()),
        };
        LabelMatcher::All(labels.into_iter().flatten().map(requirement).collect())
    }

    /// Returns whether the selector matches every object.
    pub fn is_everything(&self) -> bool {
        matches!(self, LabelMatcher::All(requirements) if requirements.is_empty())
    }

    /// Returns whether the selector matches an object with these labels.
    pub fn matches(&self, labels: Option<&Labels>) -> bool {
        match self {
            LabelMatcher::Nothing => false,
            LabelMatcher::All(requirements) => requirements.iter().all(|requirement| {
                let value = labels.and_then(|labels| labels.get(&requirement.key));
                requirement.operator.matches(value)
            }),
        }
    }
}

impl LabelRequirement {
    fn new(key: &str, operator: LabelOperator) -> Option<LabelRequirement> {
        let is_valid = formats::qualified_name(key).is_empty()
            && operator.values().all(|value| formats::label_value(value).is_empty());
        is_valid.then(|| LabelRequirement { key: key.to_string(), operator })
    }
}

impl LabelOperator {
    fn values(&self) -> impl Iterator<Item = &String> {
        let (one, many) = match self {
            LabelOperator::Equals(value) => (Some(value), None),
            LabelOperator::In(values) | LabelOperator::NotIn(values) => (None, Some(values)),
            LabelOperator::Exists | LabelOperator::DoesNotExist => (None, None),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    fn matches(&self, value: Option<&String>) -> bool {
        match self {
            LabelOperator::Equals(wanted) => value == Some(wanted),
            LabelOperator::In(values) => value.is_some_and(|value| values.contains(value)),
            LabelOperator::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            LabelOperator::Exists => value.is_some(),
            LabelOperator::DoesNotExist => value.is_none(),
        }
    }
}

/// Prints the selector as clients write it: `app=web,tier in (a,b),!canary`.
impl fmt::Display for LabelMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LabelMatcher::All(requirements) = self else { return Ok(()) };
        for (i, LabelRequirement { key, operator }) in requirements.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            let list = |values: &BTreeSet<String>| values.iter().map(String::as_str).collect::<Vec<_>>().join(",");
            match operator {
                LabelOperator::Equals(value) => write!(f, "{key}={value}"),
                LabelOperator::In(values) => write!(f, "{key} in ({})", list(values)),
                LabelOperator::NotIn(values) => write!(f, "{key} notin ({})", list(values)),
                LabelOperator::Exists => f.write_str(key),
                LabelOperator::DoesNotExist => write!(f, "!{key}"),
            }?;
        }
        Ok(())
    }
}

/// Formats a selector for a cell (`metav1.FormatLabelSelector`).
pub fn format_label_selector(selector: Option<&LabelSelector>) -> String {
    match LabelMatcher::new(selector).map(|matcher| matcher.to_string()) {
        None => "<error>".into(),
        Some(text) if text.is_empty() => "<none>".into(),
        Some(text) => text,
    }
}

/// Formats labels for a cell (`labels.FormatLabels`).
pub fn format_labels(labels: Option<&Labels>) -> String {
    let text = LabelMatcher::of_labels(labels).to_string();
    if text.is_empty() { "<none>".into() } else { text }
}

/// A selector with its fields in Kubernetes' order, for messages.
pub struct OrderedSelector<'s>(pub &'s LabelSelector);

impl Serialize for OrderedSelector<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(labels) = self.0.match_labels.as_ref().filter(|labels| !labels.is_empty()) {
            map.serialize_entry("matchLabels", labels)?;
        }
        if let Some(expressions) = self.0.match_expressions.as_ref().filter(|list| !list.is_empty()) {
            map.serialize_entry("matchExpressions", expressions)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(yaml: &str) -> LabelSelector {
        serde_yaml::from_str(yaml).expect("a selector")
    }

    #[test]
    fn selectors_match_and_print_like_kubernetes() {
        let labels: Labels = [("app", "web"), ("tier", "db")].map(|(k, v)| (k.to_string(), v.to_string())).into();
        for (yaml, text, matches) in [
            ("{}", "<none>", true),
            ("{matchLabels: {tier: db, app: web}}", "app=web,tier=db", true),
            ("{matchLabels: {app: x}}", "app=x", false),
            ("{matchExpressions: [{key: z, operator: DoesNotExist}, {key: app, operator: Exists}]}", "app,!z", true),
            ("{matchExpressions: [{key: app, operator: In, values: [x, web]}]}", "app in (web,x)", true),
            ("{matchExpressions: [{key: app, operator: NotIn, values: [web]}]}", "app notin (web)", false),
            ("{matchExpressions: [{key: z, operator: NotIn, values: [web]}]}", "z notin (web)", true),
        ] {
            let selector = selector(yaml);
            assert_eq!(format_label_selector(Some(&selector)), text, "{yaml}");
            let matcher = LabelMatcher::new(Some(&selector)).expect("a valid selector");
            assert_eq!(matcher.matches(Some(&labels)), matches, "{yaml}");
        }
    }

    #[test]
    fn missing_selectors_match_nothing_and_invalid_ones_fail() {
        assert_eq!(LabelMatcher::new(None), Some(LabelMatcher::Nothing));
        assert!(!LabelMatcher::Nothing.matches(None) && !LabelMatcher::Nothing.is_everything());
        for yaml in [
            "{matchLabels: {a b: c}}",
            "{matchLabels: {a: b c}}",
            "{matchExpressions: [{key: a, operator: In}]}",
            "{matchExpressions: [{key: a, operator: Exists, values: [b]}]}",
            "{matchExpressions: [{key: a, operator: Near, values: [b]}]}",
        ] {
            assert_eq!(LabelMatcher::new(Some(&selector(yaml))), None, "{yaml}");
            assert_eq!(format_label_selector(Some(&selector(yaml))), "<error>", "{yaml}");
        }
    }

    #[test]
    fn selectors_are_quoted_in_kubernetes_order() {
        let both = selector("{matchExpressions: [{key: a, operator: Exists}], matchLabels: {b: c}}");
        let json = serde_json::to_string(&OrderedSelector(&both)).expect("JSON");
        assert_eq!(json, r#"{"matchLabels":{"b":"c"},"matchExpressions":[{"key":"a","operator":"Exists"}]}"#);
    }
}
