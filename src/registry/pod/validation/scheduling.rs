//! Scheduling: affinity, topology spread, tolerations, gates, priority.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{
    Affinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodAffinityTerm, PodSpec, Toleration,
    WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::or_empty;
use crate::model::formats;
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::metadata;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// Validates `spec.affinity`.
pub fn validate_affinity(errors: &mut ErrorList, path: FieldPath<'_>, affinity: Option<&Affinity>) {
    let Some(affinity) = affinity else { return };
    if let Some(node) = &affinity.node_affinity {
        let path = path.child("nodeAffinity");
        if let Some(selector) = &node.required_during_scheduling_ignored_during_execution {
            validate_node_selector(errors, path.child(REQUIRED), selector);
        }
        let preferred = node.preferred_during_scheduling_ignored_during_execution.iter().flatten();
        for (i, term) in preferred.enumerate() {
            let list = path.child(PREFERRED);
            let path = list.index(i);
            validate_weight(errors, path, term.weight);
            validate_node_selector_term(errors, path.child("preference"), &term.preference, false);
        }
    }
    if let Some(pod) = &affinity.pod_affinity {
        let required = pod.required_during_scheduling_ignored_during_execution.as_deref();
        let preferred = pod.preferred_during_scheduling_ignored_during_execution.as_deref();
        validate_pod_affinity_terms(errors, path.child("podAffinity"), required, preferred);
    }
    if let Some(pod) = &affinity.pod_anti_affinity {
        let required = pod.required_during_scheduling_ignored_during_execution.as_deref();
        let preferred = pod.preferred_during_scheduling_ignored_during_execution.as_deref();
        validate_pod_affinity_terms(errors, path.child("podAntiAffinity"), required, preferred);
    }
}

fn validate_weight(errors: &mut ErrorList, path: FieldPath<'_>, weight: i32) {
    if !(1..=100).contains(&weight) {
        errors.invalid(path.child("weight"), weight, "must be in the range 1-100");
    }
}

/// Validates a selector of nodes.
pub fn validate_node_selector(errors: &mut ErrorList, path: FieldPath<'_>, selector: &NodeSelector) {
    let list = path.child("nodeSelectorTerms");
    if selector.node_selector_terms.is_empty() {
        errors.required(list, "must have at least one node selector term");
    }
    for (i, term) in selector.node_selector_terms.iter().enumerate() {
        validate_node_selector_term(errors, list.index(i), term, true);
    }
}

/// Validates a term; label values only with `check_values`, which is set for required terms.
fn validate_node_selector_term(
    errors: &mut ErrorList,
    path: FieldPath<'_>,
    term: &NodeSelectorTerm,
    check_values: bool,
) {
    for (i, rule) in term.match_expressions.iter().flatten().enumerate() {
        let list = path.child("matchExpressions");
        validate_node_selector_requirement(errors, list.index(i), rule, check_values);
    }
    for (i, rule) in term.match_fields.iter().flatten().enumerate() {
        let list = path.child("matchFields");
        validate_node_field_selector_requirement(errors, list.index(i), rule);
    }
}

const INVALID_OPERATOR: &str = "not a valid selector operator";

fn validate_node_selector_requirement(
    errors: &mut ErrorList,
    path: FieldPath<'_>,
    rule: &NodeSelectorRequirement,
    check_values: bool,
) {
    let values = rule.values.as_deref().unwrap_or_default();
    metadata::validate_selector_values(errors, path, &rule.operator, values);
    match rule.operator.as_str() {
        "Gt" | "Lt" if values.len() != 1 => {
            errors.required(path.child("values"), "must be specified single value when `operator` is 'Lt' or 'Gt'");
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        other => errors.invalid(path.child("operator"), other, INVALID_OPERATOR),
    }
    errors.invalid_each(path.child("key"), &rule.key, formats::qualified_name(&rule.key));
    for (i, value) in values.iter().enumerate().filter(|_| check_values) {
        errors.invalid_each(path.child("values").index(i), value, formats::label_value(value));
    }
}

fn validate_node_field_selector_requirement(
    errors: &mut ErrorList,
    path: FieldPath<'_>,
    rule: &NodeSelectorRequirement,
) {
    let values = rule.values.as_deref().unwrap_or_default();
    match rule.operator.as_str() {
        "In" | "NotIn" if values.len() == 1 => {}
        "In" | "NotIn" => {
            let detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
            errors.required(path.child("values"), detail);
        }
        other => errors.invalid(path.child("operator"), other, INVALID_OPERATOR),
    }
    if rule.key != "metadata.name" {
        errors.invalid(path.child("key"), &rule.key, "not a valid field selector key");
        return;
    }
    for (i, value) in values.iter().enumerate() {
        errors.invalid_each(path.child("values").index(i), value, formats::dns_subdomain(value));
    }
}

fn validate_pod_affinity_terms(
    errors: &mut ErrorList,
    path: FieldPath<'_>,
    required: Option<&[PodAffinityTerm]>,
    preferred: Option<&[WeightedPodAffinityTerm]>,
) {
    for (i, term) in required.unwrap_or_default().iter().enumerate() {
        let list = path.child(REQUIRED);
        validate_pod_affinity_term(errors, list.index(i), term);
    }
    for (i, term) in preferred.unwrap_or_default().iter().enumerate() {
        let list = path.child(PREFERRED);
        let path = list.index(i);
        validate_weight(errors, path, term.weight);
        validate_pod_affinity_term(errors, path.child("podAffinityTerm"), &term.pod_affinity_term);
    }
}

fn validate_pod_affinity_term(errors: &mut ErrorList, path: FieldPath<'_>, term: &PodAffinityTerm) {
    metadata::validate_label_selector(errors, path.child("labelSelector"), term.label_selector.as_ref());
    metadata::validate_label_selector(errors, path.child("namespaceSelector"), term.namespace_selector.as_ref());
    for namespace in term.namespaces.iter().flatten() {
        errors.invalid_each(path.child("namespace"), namespace, formats::dns_label(namespace));
    }
    let matched = term.match_label_keys.as_deref().unwrap_or_default();
    let mismatched = term.mismatch_label_keys.as_deref().unwrap_or_default();
    validate_label_keys(errors, path, matched, mismatched, term.label_selector.as_ref());
    if term.topology_key.is_empty() {
        errors.required(path.child("topologyKey"), "can not be empty");
    }
    errors.invalid_each(path.child("topologyKey"), &term.topology_key, formats::qualified_name(&term.topology_key));
}

fn validate_label_keys(
    errors: &mut ErrorList,
    path: FieldPath<'_>,
    matched: &[String],
    mismatched: &[String],
    selector: Option<&LabelSelector>,
) {
    for (field, keys) in [("matchLabelKeys", matched), ("mismatchLabelKeys", mismatched)] {
        let list = path.child(field);
        if selector.is_none() && !keys.is_empty() {
            errors.forbidden(list, "must not be specified when labelSelector is not set");
            continue;
        }
        for (i, key) in keys.iter().enumerate() {
            errors.invalid_each(list.index(i), key, formats::qualified_name(key));
        }
    }
    // As in Kubernetes, a key conflicts when an expression repeats a key that the selector has already.
    if let Some(selector) = selector {
        let mut known: BTreeSet<&String> = selector.match_labels.iter().flatten().map(|(key, _)| key).collect();
        for rule in selector.match_expressions.iter().flatten() {
            let position = matched.iter().position(|key| *key == rule.key);
            if let Some(i) = position.filter(|_| known.contains(&rule.key)) {
                errors.invalid(path.index(i), &rule.key, "exists in both matchLabelKeys and labelSelector");
            }
            known.insert(&rule.key);
        }
    }
    for (i, key) in matched.iter().enumerate().filter(|(_, key)| mismatched.contains(key)) {
        let list = path.child("matchLabelKeys");
        errors.invalid(list.index(i), key, "exists in both matchLabelKeys and mismatchLabelKeys");
    }
}

/// Validates `spec.readinessGates` and `spec.schedulingGates`.
pub fn validate_gates(errors: &mut ErrorList, path: FieldPath<'_>, spec: &PodSpec) {
    for (i, gate) in spec.readiness_gates.iter().flatten().enumerate() {
        let list = path.child("readinessGates");
        let kind = &gate.condition_type;
        errors.invalid_each(list.index(i).child("conditionType"), kind, formats::qualified_name(kind));
    }
    let mut names = BTreeSet::new();
    for (i, gate) in spec.scheduling_gates.iter().flatten().enumerate() {
        let list = path.child("schedulingGates");
        errors.invalid_each(list.index(i), &gate.name, formats::qualified_name(&gate.name));
        if !names.insert(&gate.name) {
            errors.duplicate(list.index(i), &gate.name);
        }
    }
}

/// Validates `spec.topologySpreadConstraints`.
pub fn validate_topology_spread_constraints(errors: &mut ErrorList, list: FieldPath<'_>, spec: &PodSpec) {
    let constraints = spec.topology_spread_constraints.as_deref().unwrap_or_default();
    for (i, constraint) in constraints.iter().enumerate() {
        let path = list.index(i);
        if constraint.max_skew <= 0 {
            errors.invalid(path.child("maxSkew"), constraint.max_skew, "must be greater than zero");
        }
        if constraint.topology_key.is_empty() {
            errors.required(path.child("topologyKey"), "can not be empty");
        }
        let action = constraint.when_unsatisfiable.as_str();
        errors.check_one_of(path.child("whenUnsatisfiable"), action, &["DoNotSchedule", "ScheduleAnyway"]);
        let is_duplicate = constraints.iter().skip(i + 1).any(|other| {
            other.topology_key == constraint.topology_key && other.when_unsatisfiable == constraint.when_unsatisfiable
        });
        if is_duplicate {
            let pair = format!("{{{}, {action}}}", constraint.topology_key);
            errors.duplicate(path.child("{topologyKey, whenUnsatisfiable}"), pair);
        }
        if let Some(domains) = constraint.min_domains {
            if domains <= 0 {
                errors.invalid(path.child("minDomains"), domains, "must be greater than zero");
            }
            if action != "DoNotSchedule" {
                let detail = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}");
                errors.invalid(path.child("minDomains"), domains, detail);
            }
        }
        for (field, policy) in [
            ("nodeAffinityPolicy", &constraint.node_affinity_policy),
            ("nodeTaintsPolicy", &constraint.node_taints_policy),
        ] {
            if let Some(policy) = policy {
                errors.check_one_of(path.child(field), policy, &["Honor", "Ignore"]);
            }
        }
        let keys = constraint.match_label_keys.as_deref().unwrap_or_default();
        validate_label_keys(errors, path, keys, &[], constraint.label_selector.as_ref());
        metadata::validate_label_selector(errors, path.child("labelSelector"), constraint.label_selector.as_ref());
    }
}

/// Validates `spec.tolerations`.
pub fn validate_tolerations(errors: &mut ErrorList, list: FieldPath<'_>, tolerations: &[Toleration]) {
    for (i, toleration) in tolerations.iter().enumerate() {
        let path = list.index(i);
        let (key, operator) = (or_empty(&toleration.key), or_empty(&toleration.operator));
        let (value, effect) = (or_empty(&toleration.value), or_empty(&toleration.effect));
        if !key.is_empty() {
            errors.invalid_each(path.child("key"), key, formats::qualified_name(key));
        } else if operator != "Exists" {
            let detail = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            errors.invalid(path.child("operator"), operator, detail);
        }
        if toleration.toleration_seconds.is_some() && effect != "NoExecute" {
            let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            errors.invalid(path.child("effect"), effect, detail);
        }
        match operator {
            "" | "Equal" => {
                let messages = formats::label_value(value).join(";");
                if !messages.is_empty() {
                    errors.invalid(path.child("operator"), value, messages);
                }
            }
            "Exists" if !value.is_empty() => {
                errors.invalid(path.child("operator"), value, "value must be empty when `operator` is 'Exists'");
            }
            "Exists" => {}
            // The feature gate of comparison operators is off.
            "Lt" | "Gt" => {
                errors.not_supported(path.child("operator"), operator, &["Equal", "Exists", "Lt", "Gt"]);
            }
            other => errors.check_one_of(path.child("operator"), other, &["Equal", "Exists"]),
        }
        if !effect.is_empty() {
            errors.check_one_of(path.child("effect"), effect, &["NoSchedule", "PreferNoSchedule", "NoExecute"]);
        }
    }
}

/// Validates `priorityClassName`, `runtimeClassName` and `preemptionPolicy`.
pub fn validate_classes(errors: &mut ErrorList, path: FieldPath<'_>, spec: &PodSpec) {
    let priority = or_empty(&spec.priority_class_name);
    if !priority.is_empty() {
        errors.invalid_each(path.child("priorityClassName"), priority, formats::dns_subdomain(priority));
    }
    if let Some(class) = &spec.runtime_class_name {
        errors.invalid_each(path.child("runtimeClassName"), class, formats::dns_subdomain(class));
    }
    if let Some(policy) = &spec.preemption_policy {
        errors.require_one_of(path.child("preemptionPolicy"), policy, &["PreemptLowerPriority", "Never"]);
    }
}
