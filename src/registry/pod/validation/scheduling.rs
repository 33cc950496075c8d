//! Where a pod may run: affinity, spread, tolerations, gates, priority.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{
    Affinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodAffinityTerm, PodSpec, Toleration,
    WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::text;
use crate::model::formats;
use crate::registry::fields::{Faults, Path};
use crate::registry::metadata;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// `spec.affinity`.
pub fn check_affinity(faults: &mut Faults, at: Path<'_>, affinity: Option<&Affinity>) {
    let Some(affinity) = affinity else { return };
    if let Some(node) = &affinity.node_affinity {
        let at = at.child("nodeAffinity");
        if let Some(selector) = &node.required_during_scheduling_ignored_during_execution {
            check_node_selector(faults, at.child(REQUIRED), selector);
        }
        let preferred = node.preferred_during_scheduling_ignored_during_execution.iter().flatten();
        for (i, term) in preferred.enumerate() {
            let list = at.child(PREFERRED);
            let at = list.index(i);
            check_weight(faults, at, term.weight);
            check_node_term(faults, at.child("preference"), &term.preference, false);
        }
    }
    if let Some(pod) = &affinity.pod_affinity {
        let required = pod.required_during_scheduling_ignored_during_execution.as_deref();
        let preferred = pod.preferred_during_scheduling_ignored_during_execution.as_deref();
        check_pod_terms(faults, at.child("podAffinity"), required, preferred);
    }
    if let Some(pod) = &affinity.pod_anti_affinity {
        let required = pod.required_during_scheduling_ignored_during_execution.as_deref();
        let preferred = pod.preferred_during_scheduling_ignored_during_execution.as_deref();
        check_pod_terms(faults, at.child("podAntiAffinity"), required, preferred);
    }
}

fn check_weight(faults: &mut Faults, at: Path<'_>, weight: i32) {
    if !(1..=100).contains(&weight) {
        faults.invalid(at.child("weight"), weight, "must be in the range 1-100");
    }
}

fn check_node_selector(faults: &mut Faults, at: Path<'_>, selector: &NodeSelector) {
    let list = at.child("nodeSelectorTerms");
    if selector.node_selector_terms.is_empty() {
        faults.required(list, "must have at least one node selector term");
    }
    for (i, term) in selector.node_selector_terms.iter().enumerate() {
        check_node_term(faults, list.index(i), term, true);
    }
}

/// Labels that only are preferred may have values that no node can have.
fn check_node_term(faults: &mut Faults, at: Path<'_>, term: &NodeSelectorTerm, strict: bool) {
    for (i, rule) in term.match_expressions.iter().flatten().enumerate() {
        let list = at.child("matchExpressions");
        check_node_rule(faults, list.index(i), rule, strict);
    }
    for (i, rule) in term.match_fields.iter().flatten().enumerate() {
        let list = at.child("matchFields");
        check_node_field(faults, list.index(i), rule);
    }
}

const NO_OPERATOR: &str = "not a valid selector operator";

fn check_node_rule(faults: &mut Faults, at: Path<'_>, rule: &NodeSelectorRequirement, strict: bool) {
    let values = rule.values.as_deref().unwrap_or_default();
    metadata::check_values(faults, at, &rule.operator, values);
    match rule.operator.as_str() {
        "Gt" | "Lt" if values.len() != 1 => {
            faults.required(at.child("values"), "must be specified single value when `operator` is 'Lt' or 'Gt'");
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        other => faults.invalid(at.child("operator"), other, NO_OPERATOR),
    }
    faults.invalid_for(at.child("key"), &rule.key, formats::qualified_name(&rule.key));
    for (i, value) in values.iter().enumerate().filter(|_| strict) {
        faults.invalid_for(at.child("values").index(i), value, formats::label_value(value));
    }
}

fn check_node_field(faults: &mut Faults, at: Path<'_>, rule: &NodeSelectorRequirement) {
    let values = rule.values.as_deref().unwrap_or_default();
    match rule.operator.as_str() {
        "In" | "NotIn" if values.len() == 1 => {}
        "In" | "NotIn" => {
            let why = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
            faults.required(at.child("values"), why);
        }
        other => faults.invalid(at.child("operator"), other, NO_OPERATOR),
    }
    if rule.key != "metadata.name" {
        faults.invalid(at.child("key"), &rule.key, "not a valid field selector key");
        return;
    }
    for (i, value) in values.iter().enumerate() {
        faults.invalid_for(at.child("values").index(i), value, formats::dns_subdomain(value));
    }
}

fn check_pod_terms(
    faults: &mut Faults,
    at: Path<'_>,
    required: Option<&[PodAffinityTerm]>,
    preferred: Option<&[WeightedPodAffinityTerm]>,
) {
    for (i, term) in required.unwrap_or_default().iter().enumerate() {
        let list = at.child(REQUIRED);
        check_pod_term(faults, list.index(i), term);
    }
    for (i, term) in preferred.unwrap_or_default().iter().enumerate() {
        let list = at.child(PREFERRED);
        let at = list.index(i);
        check_weight(faults, at, term.weight);
        check_pod_term(faults, at.child("podAffinityTerm"), &term.pod_affinity_term);
    }
}

fn check_pod_term(faults: &mut Faults, at: Path<'_>, term: &PodAffinityTerm) {
    metadata::check_selector(faults, at.child("labelSelector"), term.label_selector.as_ref());
    metadata::check_selector(faults, at.child("namespaceSelector"), term.namespace_selector.as_ref());
    for namespace in term.namespaces.iter().flatten() {
        faults.invalid_for(at.child("namespace"), namespace, formats::dns_label(namespace));
    }
    let matched = term.match_label_keys.as_deref().unwrap_or_default();
    let mismatched = term.mismatch_label_keys.as_deref().unwrap_or_default();
    check_label_keys(faults, at, matched, mismatched, term.label_selector.as_ref());
    if term.topology_key.is_empty() {
        faults.required(at.child("topologyKey"), "can not be empty");
    }
    faults.invalid_for(at.child("topologyKey"), &term.topology_key, formats::qualified_name(&term.topology_key));
}

fn check_label_keys(
    faults: &mut Faults,
    at: Path<'_>,
    matched: &[String],
    mismatched: &[String],
    selector: Option<&LabelSelector>,
) {
    for (field, keys) in [("matchLabelKeys", matched), ("mismatchLabelKeys", mismatched)] {
        let list = at.child(field);
        if selector.is_none() && !keys.is_empty() {
            faults.forbidden(list, "must not be specified when labelSelector is not set");
            continue;
        }
        for (i, key) in keys.iter().enumerate() {
            faults.invalid_for(list.index(i), key, formats::qualified_name(key));
        }
    }
    // A key that the selector has already is looked for from its expressions, as Kubernetes does.
    if let Some(selector) = selector {
        let mut known: BTreeSet<&String> = selector.match_labels.iter().flatten().map(|(key, _)| key).collect();
        for rule in selector.match_expressions.iter().flatten() {
            let position = matched.iter().position(|key| *key == rule.key);
            if let Some(i) = position.filter(|_| known.contains(&rule.key)) {
                faults.invalid(at.index(i), &rule.key, "exists in both matchLabelKeys and labelSelector");
            }
            known.insert(&rule.key);
        }
    }
    for (i, key) in matched.iter().enumerate().filter(|(_, key)| mismatched.contains(key)) {
        let list = at.child("matchLabelKeys");
        faults.invalid(list.index(i), key, "exists in both matchLabelKeys and mismatchLabelKeys");
    }
}

/// `spec.readinessGates` and `spec.schedulingGates`.
pub fn check_gates(faults: &mut Faults, at: Path<'_>, spec: &PodSpec) {
    for (i, gate) in spec.readiness_gates.iter().flatten().enumerate() {
        let list = at.child("readinessGates");
        let kind = &gate.condition_type;
        faults.invalid_for(list.index(i).child("conditionType"), kind, formats::qualified_name(kind));
    }
    let mut names = BTreeSet::new();
    for (i, gate) in spec.scheduling_gates.iter().flatten().enumerate() {
        let list = at.child("schedulingGates");
        faults.invalid_for(list.index(i), &gate.name, formats::qualified_name(&gate.name));
        if !names.insert(&gate.name) {
            faults.duplicate(list.index(i), &gate.name);
        }
    }
}

/// `spec.topologySpreadConstraints`.
pub fn check_spread(faults: &mut Faults, list: Path<'_>, spec: &PodSpec) {
    let constraints = spec.topology_spread_constraints.as_deref().unwrap_or_default();
    for (i, constraint) in constraints.iter().enumerate() {
        let at = list.index(i);
        if constraint.max_skew <= 0 {
            faults.invalid(at.child("maxSkew"), constraint.max_skew, "must be greater than zero");
        }
        if constraint.topology_key.is_empty() {
            faults.required(at.child("topologyKey"), "can not be empty");
        }
        let action = constraint.when_unsatisfiable.as_str();
        faults.one_of(at.child("whenUnsatisfiable"), action, &["DoNotSchedule", "ScheduleAnyway"]);
        let again = constraints.iter().skip(i + 1).any(|other| {
            other.topology_key == constraint.topology_key && other.when_unsatisfiable == constraint.when_unsatisfiable
        });
        if again {
            let pair = format!("{{{}, {action}}}", constraint.topology_key);
            faults.duplicate(at.child("{topologyKey, whenUnsatisfiable}"), pair);
        }
        if let Some(domains) = constraint.min_domains {
            if domains <= 0 {
                faults.invalid(at.child("minDomains"), domains, "must be greater than zero");
            }
            if action != "DoNotSchedule" {
                let why = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}");
                faults.invalid(at.child("minDomains"), domains, why);
            }
        }
        for (field, policy) in [
            ("nodeAffinityPolicy", &constraint.node_affinity_policy),
            ("nodeTaintsPolicy", &constraint.node_taints_policy),
        ] {
            if let Some(policy) = policy {
                faults.one_of(at.child(field), policy, &["Honor", "Ignore"]);
            }
        }
        let keys = constraint.match_label_keys.as_deref().unwrap_or_default();
        check_label_keys(faults, at, keys, &[], constraint.label_selector.as_ref());
        metadata::check_selector(faults, at.child("labelSelector"), constraint.label_selector.as_ref());
    }
}

/// `spec.tolerations`.
pub fn check_tolerations(faults: &mut Faults, list: Path<'_>, tolerations: &[Toleration]) {
    for (i, toleration) in tolerations.iter().enumerate() {
        let at = list.index(i);
        let (key, operator) = (text(&toleration.key), text(&toleration.operator));
        let (value, effect) = (text(&toleration.value), text(&toleration.effect));
        if !key.is_empty() {
            faults.invalid_for(at.child("key"), key, formats::qualified_name(key));
        } else if operator != "Exists" {
            let why = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            faults.invalid(at.child("operator"), operator, why);
        }
        if toleration.toleration_seconds.is_some() && effect != "NoExecute" {
            let why = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            faults.invalid(at.child("effect"), effect, why);
        }
        match operator {
            "" | "Equal" => {
                let wrongs = formats::label_value(value).join(";");
                if !wrongs.is_empty() {
                    faults.invalid(at.child("operator"), value, wrongs);
                }
            }
            "Exists" if !value.is_empty() => {
                faults.invalid(at.child("operator"), value, "value must be empty when `operator` is 'Exists'");
            }
            "Exists" => {}
            // Comparing operators are behind a gate that is closed.
            "Lt" | "Gt" => {
                faults.not_supported(at.child("operator"), operator, &["Equal", "Exists", "Lt", "Gt"]);
            }
            other => faults.one_of(at.child("operator"), other, &["Equal", "Exists"]),
        }
        if !effect.is_empty() {
            faults.one_of(at.child("effect"), effect, &["NoSchedule", "PreferNoSchedule", "NoExecute"]);
        }
    }
}

/// Classes of priority and runtime, and preemption.
pub fn check_classes(faults: &mut Faults, at: Path<'_>, spec: &PodSpec) {
    let priority = text(&spec.priority_class_name);
    if !priority.is_empty() {
        faults.invalid_for(at.child("priorityClassName"), priority, formats::dns_subdomain(priority));
    }
    if let Some(class) = &spec.runtime_class_name {
        faults.invalid_for(at.child("runtimeClassName"), class, formats::dns_subdomain(class));
    }
    if let Some(policy) = &spec.preemption_policy {
        faults.require_one_of(at.child("preemptionPolicy"), policy, &["PreemptLowerPriority", "Never"]);
    }
}
