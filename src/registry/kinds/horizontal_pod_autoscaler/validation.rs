//! Validation of autoscalers (`pkg/apis/autoscaling/validation`).

use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HPAScalingPolicy, HPAScalingRules, HorizontalPodAutoscalerSpec, MetricIdentifier,
    MetricSpec, MetricTarget,
};

use crate::model::{formats, quantity};
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::metadata::path_segment_name;
use crate::registry::pod::validation::validate_container_resource_name;

const MAX_PERIOD_SECONDS: i32 = 1800;
const MAX_STABILIZATION_WINDOW_SECONDS: i32 = 3600;
const METRIC_TYPES: &[&str] = &["ContainerResource", "External", "Object", "Pods", "Resource"];

/// The API versions that a reference may have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ReferencedVersions {
    /// Versions of any group but the core group.
    Groups,
    /// Versions of any group.
    All,
    /// Anything, because the reference was stored already.
    Unchecked,
}

/// Validates the spec of a new autoscaler, or one that replaces `old`.
pub fn validate_spec(
    errors: &mut ErrorList,
    spec: &HorizontalPodAutoscalerSpec,
    old: Option<&HorizontalPodAutoscalerSpec>,
) {
    let path = FieldPath::root("spec");
    let lowest = if old.is_some_and(|old| old.min_replicas == Some(0)) { 0 } else { 1 };
    if let Some(min) = spec.min_replicas.filter(|min| *min < lowest) {
        errors.invalid(path.child("minReplicas"), min, format!("must be greater than or equal to {lowest}"));
    }
    match spec.max_replicas {
        0 => errors.required(path.child("maxReplicas"), "must be set and greater than 0"),
        ..0 => errors.invalid(path.child("maxReplicas"), spec.max_replicas, "must be greater than 0"),
        _ => {}
    }
    if spec.min_replicas.is_some_and(|min| spec.max_replicas < min) {
        let detail = "must be greater than or equal to `minReplicas`";
        errors.invalid(path.child("maxReplicas"), spec.max_replicas, detail);
    }
    let target = &spec.scale_target_ref;
    let is_same_kind =
        |old: &CrossVersionObjectReference| (&old.api_version, &old.kind) == (&target.api_version, &target.kind);
    let versions = match old {
        Some(old) if is_same_kind(&old.scale_target_ref) => ReferencedVersions::Unchecked,
        _ if target.kind == "ReplicationController" => ReferencedVersions::All,
        _ => ReferencedVersions::Groups,
    };
    validate_reference(errors, path.child("scaleTargetRef"), target, versions);
    validate_metrics(errors, path.child("metrics"), spec, old);
    if let Some(behavior) = &spec.behavior {
        let path = path.child("behavior");
        for (field, rules) in [("scaleUp", &behavior.scale_up), ("scaleDown", &behavior.scale_down)] {
            if let Some(rules) = rules {
                validate_rules(errors, path.child(field), rules);
            }
        }
    }
}

fn validate_reference(
    errors: &mut ErrorList,
    path: FieldPath<'_>,
    reference: &CrossVersionObjectReference,
    versions: ReferencedVersions,
) {
    for (field, value) in [("kind", &reference.kind), ("name", &reference.name)] {
        if errors.require_non_empty(path.child(field), value) {
            errors.invalid_each(path.child(field), value, path_segment_name(value));
        }
    }
    let version = reference.api_version.as_deref().unwrap_or_default();
    let path = path.child("apiVersion");
    match (versions, version.matches('/').count()) {
        (ReferencedVersions::Unchecked, _) => {}
        (_, 2..) => errors.invalid(path, version, format!("unexpected GroupVersion string: {version}")),
        (ReferencedVersions::Groups, _) if !has_group(version) => {
            errors.invalid(path, version, "apiVersion must specify API group");
        }
        (ReferencedVersions::Groups | ReferencedVersions::All, _) => {}
    }
}

fn has_group(version: &str) -> bool {
    version.split_once('/').is_some_and(|(group, _)| !group.is_empty())
}

fn validate_metrics(
    errors: &mut ErrorList,
    list: FieldPath<'_>,
    spec: &HorizontalPodAutoscalerSpec,
    old: Option<&HorizontalPodAutoscalerSpec>,
) {
    let references = |spec: &HorizontalPodAutoscalerSpec| {
        let objects = spec.metrics.iter().flatten().filter_map(|metric| metric.object.as_ref());
        objects.map(|object| object.described_object.api_version.clone().unwrap_or_default()).collect::<Vec<_>>()
    };
    let is_unreadable = |version: &String| version.matches('/').count() > 1;
    let versions = match old.map(references) {
        Some(old) if old.iter().any(is_unreadable) => ReferencedVersions::Unchecked,
        _ => ReferencedVersions::All,
    };
    for (i, metric) in spec.metrics.iter().flatten().enumerate() {
        validate_metric(errors, list.index(i), metric, versions);
    }
    let mut types = spec.metrics.iter().flatten().map(|metric| metric.type_.as_str());
    if spec.min_replicas == Some(0) && !types.any(|kind| matches!(kind, "Object" | "External")) {
        errors
            .forbidden(list, "must specify at least one Object or External metric to support scaling to zero replicas");
    }
}

fn validate_metric(errors: &mut ErrorList, path: FieldPath<'_>, metric: &MetricSpec, versions: ReferencedVersions) {
    if metric.type_.is_empty() {
        errors.required(path.child("type"), "must specify a metric source type");
    }
    errors.check_one_of(path.child("type"), &metric.type_, METRIC_TYPES);
    let sources = [
        ("object", metric.object.is_some()),
        ("external", metric.external.is_some()),
        ("pods", metric.pods.is_some()),
        ("resource", metric.resource.is_some()),
        ("containerResource", metric.container_resource.is_some()),
    ];
    let present: Vec<&str> = sources.into_iter().filter_map(|(source, is_set)| is_set.then_some(source)).collect();
    if let Some(source) = present.first() {
        validate_source(errors, path.child(source), metric, source, versions);
    }
    let expected = match metric.type_.as_str() {
        "Object" => "object",
        "Pods" => "pods",
        "Resource" => "resource",
        "External" => "external",
        "ContainerResource" => "containerResource",
        _ => {
            // Kubernetes reports the type twice.
            errors.not_supported(path.child("type"), &metric.type_, METRIC_TYPES);
            ""
        }
    };
    if !expected.is_empty() && !present.contains(&expected) {
        errors.required(path.child(expected), "must populate information for the given metric source");
    }
    if present.len() > 1 {
        for source in present.iter().filter(|source| **source != expected) {
            errors.forbidden(path.child(source), "must populate the given metric source only");
        }
    }
}

/// Validates the metric's first source, whose field is `source`.
fn validate_source(
    errors: &mut ErrorList,
    path: FieldPath<'_>,
    metric: &MetricSpec,
    source: &str,
    versions: ReferencedVersions,
) {
    let target_path = path.child("target");
    if let Some(object) = metric.object.as_ref().filter(|_| source == "object") {
        validate_reference(errors, path.child("describedObject"), &object.described_object, versions);
        validate_identifier(errors, path.child("metric"), &object.metric);
        validate_target(errors, target_path, &object.target);
        if object.target.value.is_none() && object.target.average_value.is_none() {
            errors.required(target_path.child("averageValue"), "must set either a target value or averageValue");
        }
    } else if let Some(external) = metric.external.as_ref().filter(|_| source == "external") {
        validate_identifier(errors, path.child("metric"), &external.metric);
        validate_target(errors, target_path, &external.target);
        let words = "a target value for metric";
        match (&external.target.value, &external.target.average_value) {
            (None, None) => {
                let detail = format!("must set either {words} or a per-pod target");
                errors.required(target_path.child("averageValue"), &detail);
            }
            (Some(_), Some(_)) => {
                let detail = format!("may not set both {words} and a per-pod target");
                errors.forbidden(target_path.child("value"), detail);
            }
            _ => {}
        }
    } else if let Some(pods) = metric.pods.as_ref().filter(|_| source == "pods") {
        validate_identifier(errors, path.child("metric"), &pods.metric);
        validate_target(errors, target_path, &pods.target);
        if pods.target.average_value.is_none() {
            errors.required(target_path.child("averageValue"), "must specify a positive target averageValue");
        }
    } else if let Some(resource) = metric.resource.as_ref().filter(|_| source == "resource") {
        validate_resource_name(errors, path.child("name"), &resource.name);
        validate_resource_target(errors, target_path, &resource.target);
    } else if let Some(resource) = &metric.container_resource {
        if validate_resource_name(errors, path.child("name"), &resource.name) {
            validate_container_resource_name(errors, path.child("name"), &resource.name);
        }
        if resource.container.is_empty() {
            errors.required(path.child("container"), "must specify a container");
        } else {
            errors.invalid_each(path.child("container"), &resource.container, formats::dns_label(&resource.container));
        }
        validate_resource_target(errors, target_path, &resource.target);
    }
}

/// Requires the name of a resource. Returns whether it is set.
fn validate_resource_name(errors: &mut ErrorList, path: FieldPath<'_>, name: &str) -> bool {
    if name.is_empty() {
        errors.required(path, "must specify a resource name");
    }
    !name.is_empty()
}

/// Validates the target of a resource: a utilization or a value.
fn validate_resource_target(errors: &mut ErrorList, path: FieldPath<'_>, target: &MetricTarget) {
    validate_target(errors, path, target);
    match (target.average_utilization, &target.average_value) {
        (None, None) => {
            let detail = "must set either a target raw value or a target utilization";
            errors.required(path.child("averageUtilization"), detail);
        }
        (Some(_), Some(_)) => {
            let detail = "may not set both a target raw value and a target utilization";
            errors.forbidden(path.child("averageValue"), detail);
        }
        _ => {}
    }
}

fn validate_target(errors: &mut ErrorList, path: FieldPath<'_>, target: &MetricTarget) {
    if target.type_.is_empty() {
        errors.required(path.child("type"), "must specify a metric target type");
    }
    if !matches!(target.type_.as_str(), "Utilization" | "Value" | "AverageValue") {
        errors.invalid(path.child("type"), &target.type_, "must be either Utilization, Value, or AverageValue");
    }
    for (field, value) in [("value", &target.value), ("averageValue", &target.average_value)] {
        if let Some(value) = value
            && quantity::nano(value).is_ok_and(|nano| nano <= 0)
        {
            errors.invalid(path.child(field), &value.0, "must be positive");
        }
    }
    if let Some(percent) = target.average_utilization.filter(|percent| *percent < 1) {
        errors.invalid(path.child("averageUtilization"), percent, "must be greater than 0");
    }
}

fn validate_identifier(errors: &mut ErrorList, path: FieldPath<'_>, metric: &MetricIdentifier) {
    if metric.name.is_empty() {
        errors.required(path.child("name"), "must specify a metric name");
    }
    errors.invalid_each(path.child("name"), &metric.name, path_segment_name(&metric.name));
}

fn validate_rules(errors: &mut ErrorList, path: FieldPath<'_>, rules: &HPAScalingRules) {
    if let Some(seconds) = rules.stabilization_window_seconds {
        let path = path.child("stabilizationWindowSeconds");
        if seconds < 0 {
            errors.invalid(path, seconds, "must be greater than or equal to zero");
        }
        check_at_most(errors, path, seconds, MAX_STABILIZATION_WINDOW_SECONDS);
    }
    if let Some(policy) = &rules.select_policy {
        errors.check_one_of(path.child("selectPolicy"), policy, &["Disabled", "Max", "Min"]);
    }
    let list = path.child("policies");
    let policies = rules.policies.as_deref().unwrap_or_default();
    if policies.is_empty() {
        errors.required(list, "must specify at least one Policy");
    }
    for (i, policy) in policies.iter().enumerate() {
        validate_policy(errors, list.index(i), policy);
    }
    if let Some(tolerance) = &rules.tolerance
        && quantity::nano(tolerance).is_ok_and(|nano| nano < 0)
    {
        errors.invalid(path.child("tolerance"), &tolerance.0, "must be greater than or equal to 0");
    }
}

fn validate_policy(errors: &mut ErrorList, path: FieldPath<'_>, policy: &HPAScalingPolicy) {
    errors.check_one_of(path.child("type"), &policy.type_, &["Percent", "Pods"]);
    for (field, number) in [("value", policy.value), ("periodSeconds", policy.period_seconds)] {
        if number <= 0 {
            errors.invalid(path.child(field), number, "must be greater than zero");
        }
    }
    check_at_most(errors, path.child("periodSeconds"), policy.period_seconds, MAX_PERIOD_SECONDS);
}

fn check_at_most(errors: &mut ErrorList, path: FieldPath<'_>, number: i32, max: i32) {
    if number > max {
        errors.invalid(path, number, format!("must be less than or equal to {max}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn causes(spec: serde_json::Value, old: Option<serde_json::Value>) -> Vec<String> {
        let read = |spec| serde_json::from_value::<HorizontalPodAutoscalerSpec>(spec).expect("a spec");
        let mut errors = ErrorList::default();
        validate_spec(&mut errors, &read(spec), old.map(read).as_ref());
        errors.into_causes().iter().map(ToString::to_string).collect()
    }

    fn spec(api_version: &str, kind: &str, metrics: serde_json::Value) -> serde_json::Value {
        let target = serde_json::json!({"apiVersion": api_version, "kind": kind, "name": "web"});
        serde_json::json!({"maxReplicas": 5, "scaleTargetRef": target, "metrics": metrics})
    }

    #[test]
    fn references_need_the_group_of_their_version() {
        let none = serde_json::json!([]);
        let path = "spec.scaleTargetRef.apiVersion: Invalid value";
        for (version, kind, want) in [
            ("apps/v1", "Deployment", vec![]),
            ("v1", "ReplicationController", vec![]),
            ("v1", "Deployment", vec![format!("{path}: \"v1\": apiVersion must specify API group")]),
            ("", "Deployment", vec![format!("{path}: \"\": apiVersion must specify API group")]),
            ("a/b/c", "Deployment", vec![format!("{path}: \"a/b/c\": unexpected GroupVersion string: a/b/c")]),
        ] {
            assert_eq!(causes(spec(version, kind, none.clone()), None), want, "{version}");
            let unchanged = spec(version, kind, none.clone());
            assert_eq!(causes(unchanged.clone(), Some(unchanged)), [""; 0], "{version}");
        }
    }

    #[test]
    fn metrics_have_the_source_of_their_type() {
        let pods =
            serde_json::json!({"metric": {"name": "q"}, "target": {"type": "AverageValue", "averageValue": "1"}});
        let resource = serde_json::json!({"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 5}});
        for (metric, want) in [
            (serde_json::json!({"type": "Pods", "pods": pods}), vec![]),
            (
                serde_json::json!({"type": "Pods", "resource": resource}),
                vec!["spec.metrics[0].pods: Required value: must populate information for the given metric source"],
            ),
            (
                serde_json::json!({"type": "Pods", "pods": pods, "resource": resource}),
                vec!["spec.metrics[0].resource: Forbidden: must populate the given metric source only"],
            ),
        ] {
            assert_eq!(causes(spec("apps/v1", "Deployment", serde_json::json!([metric])), None), want, "{metric}");
        }
    }
}
