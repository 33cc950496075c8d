//! ResourceQuotas: bounds of what the objects of a namespace may use together.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ResourceQuota, ResourceQuotaSpec, ResourceQuotaStatus};
use serde_json::Value;

use crate::model::formats;
use crate::registry::columns::{self, Column, age};
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::metadata;
use crate::registry::resource_lists::{self, Quantities, is_standard_quota_resource};
use crate::registry::strategy::{KindInfo, Strategy, SubresourceInfo};

const UNSUPPORTED: &str = "unsupported scope applied to resource";

impl Strategy for ResourceQuota {
    const INFO: KindInfo = KindInfo {
        short_names: &["quota"],
        subresources: &[SubresourceInfo::status("ResourceQuota")],
        ..KindInfo::new("resourcequota", "8uhSgffRX6w=")
    };
    const RETURNS_DELETED_OBJECT: bool = true;
    const COLUMNS: &'static [Column] = &[
        Column::NAME,
        Column::text("Request", "Used and permitted amount of each resource, except limits."),
        Column::text("Limit", "Used and permitted amount of each limit."),
        Column::AGE,
    ];

    fn cells(&self, now: Timestamp) -> Vec<Value> {
        vec![
            columns::name(&self.metadata),
            usage(self, |name| !name.starts_with("limits.")).into(),
            usage(self, |name| name.starts_with("limits.")).into(),
            age(&self.metadata, now).into(),
        ]
    }

    fn set_defaults(&mut self) {
        resource_lists::canonicalize(&mut self.spec.get_or_insert_default().hard);
        let status = self.status.get_or_insert_default();
        resource_lists::canonicalize(&mut status.hard);
        resource_lists::canonicalize(&mut status.used);
    }

    fn prepare_for_create(&mut self) {
        self.status = Some(ResourceQuotaStatus::default());
    }

    fn validate(&self, errors: &mut ErrorList) {
        metadata::validate_object_meta(errors, &self.metadata, formats::dns_subdomain);
        validate_spec(errors, self.spec.as_ref());
    }

    fn prepare_for_update(&mut self, old: &Self) {
        self.status.clone_from(&old.status);
    }

    fn validate_update(&self, old: &Self, errors: &mut ErrorList) {
        metadata::validate_object_meta_update(errors, &self.metadata, &old.metadata);
        validate_spec(errors, self.spec.as_ref());
        if BTreeSet::from_iter(scopes(self.spec.as_ref())) != BTreeSet::from_iter(scopes(old.spec.as_ref())) {
            errors.invalid(FieldPath::root("spec").child("scopes"), scopes(self.spec.as_ref()), "field is immutable");
        }
    }

    fn prepare_for_status_update(&mut self, old: &Self) {
        self.spec.clone_from(&old.spec);
    }

    fn validate_status_update(&self, old: &Self, errors: &mut ErrorList) {
        metadata::validate_object_meta_update(errors, &self.metadata, &old.metadata);
        let path = FieldPath::root("status");
        let status = self.status.as_ref();
        let hard = status.and_then(|status| status.hard.as_ref());
        resource_lists::validate_quota_resources(errors, path.child("hard"), hard);
        let used = status.and_then(|status| status.used.as_ref());
        resource_lists::validate_quota_resources(errors, path.child("used"), used);
    }
}

fn scopes(spec: Option<&ResourceQuotaSpec>) -> &[String] {
    spec.and_then(|spec| spec.scopes.as_deref()).unwrap_or_default()
}

/// Returns the REQUEST or LIMIT cell: `pods: 1/4, requests.cpu: 100m/1`.
fn usage(quota: &ResourceQuota, is_shown: fn(&str) -> bool) -> String {
    let Some(status) = &quota.status else { return String::new() };
    let used = |name: &str| status.used.as_ref().and_then(|used| used.get(name)).map_or("0", |used| used.0.as_str());
    let shown = status.hard.iter().flatten().filter(|(name, _)| is_shown(name));
    let cells: Vec<String> = shown.map(|(name, hard)| format!("{name}: {}/{}", used(name), hard.0)).collect();
    cells.join(", ")
}

fn validate_spec(errors: &mut ErrorList, spec: Option<&ResourceQuotaSpec>) {
    let Some(spec) = spec else { return };
    let path = FieldPath::root("spec");
    resource_lists::validate_quota_resources(errors, path.child("hard"), spec.hard.as_ref());
    validate_scopes(errors, path.child("scopes"), spec);
    validate_scope_selector(errors, path.child("scopeSelector"), spec);
}

fn validate_scopes(errors: &mut ErrorList, path: FieldPath<'_>, spec: &ResourceQuotaSpec) {
    let scopes = scopes(Some(spec));
    for scope in scopes {
        if !is_standard_scope(scope) {
            errors.invalid(path, scopes, "unsupported scope");
        }
        for _ in resources_out_of_scope(scope, spec.hard.as_ref()) {
            errors.invalid(path, scopes, UNSUPPORTED);
        }
    }
    let names: Vec<&str> = scopes.iter().map(String::as_str).collect();
    for _ in 0..count_conflicts(&names) {
        errors.invalid(path, scopes, "conflicting scopes");
    }
}

/// Validates `spec.scopeSelector`. The paths of its errors have no index, as in Kubernetes.
fn validate_scope_selector(errors: &mut ErrorList, path: FieldPath<'_>, spec: &ResourceQuotaSpec) {
    let Some(selector) = &spec.scope_selector else { return };
    let path = path.child("matchExpressions");
    let requirements = selector.match_expressions.as_deref().unwrap_or_default();
    for requirement in requirements {
        let scope = requirement.scope_name.as_str();
        if !is_standard_scope(scope) {
            errors.invalid(path.child("scopeName"), scope, "unsupported scope");
        }
        for _ in resources_out_of_scope(scope, spec.hard.as_ref()) {
            errors.invalid(path, selector, UNSUPPORTED);
        }
        let operator = requirement.operator.as_str();
        let needs_exists = is_standard_scope(scope) && !matches!(scope, "PriorityClass" | "VolumeAttributesClass");
        if needs_exists && operator != "Exists" {
            let detail = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, \
                          ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, \
                          ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
            errors.invalid(path.child("operator"), operator, detail);
        }
        let values = requirement.values.as_deref().unwrap_or_default();
        match operator {
            "In" | "NotIn" if values.is_empty() => {
                let detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
                errors.required(path.child("values"), detail);
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                let detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
                errors.invalid(path.child("values"), values, detail);
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => errors.invalid(path.child("operator"), other, "not a valid selector operator"),
        }
    }
    let names: Vec<&str> = requirements.iter().map(|requirement| requirement.scope_name.as_str()).collect();
    for _ in 0..count_conflicts(&names) {
        errors.invalid(path, &spec.scopes, "conflicting scopes");
    }
}

fn is_standard_scope(scope: &str) -> bool {
    matches!(
        scope,
        "Terminating"
            | "NotTerminating"
            | "BestEffort"
            | "NotBestEffort"
            | "PriorityClass"
            | "CrossNamespacePodAffinity"
            | "VolumeAttributesClass"
    )
}

/// Returns the limited resources to which the scope does not apply.
fn resources_out_of_scope<'q>(scope: &str, hard: Option<&'q Quantities>) -> impl Iterator<Item = &'q str> {
    let applies: fn(&str) -> bool = match scope {
        "Terminating" | "NotTerminating" | "NotBestEffort" | "PriorityClass" | "CrossNamespacePodAffinity" => |name| {
            let compute =
                ["cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"].contains(&name);
            name == "pods" || compute
        },
        "BestEffort" => |name| name == "pods",
        "VolumeAttributesClass" => |name| matches!(name, "persistentvolumeclaims" | "requests.storage"),
        _ => |_| true,
    };
    let names = hard.into_iter().flatten().map(|(name, _)| name.as_str());
    names.filter(move |name| is_standard_quota_resource(name) && !applies(name))
}

/// Returns the number of pairs of scopes of which an object can match only one.
fn count_conflicts(scopes: &[&str]) -> usize {
    let pairs = [("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating")];
    pairs.iter().filter(|(a, b)| scopes.contains(a) && scopes.contains(b)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn causes(spec: serde_json::Value) -> Vec<String> {
        let mut errors = ErrorList::default();
        validate_spec(&mut errors, Some(&serde_json::from_value(spec).expect("a spec")));
        errors.into_causes().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn scopes_apply_to_their_resources_only() {
        let hard = serde_json::json!({"pods": "1", "services": "1", "count/jobs.batch": "1"});
        let spec = serde_json::json!({"hard": hard, "scopes": ["BestEffort"]});
        let want = ["spec.scopes: Invalid value: [\"BestEffort\"]: unsupported scope applied to resource"];
        assert_eq!(causes(spec), want);
        let spec = serde_json::json!({"hard": {"requests.storage": "1"}, "scopes": ["VolumeAttributesClass"]});
        assert_eq!(causes(spec), [""; 0]);
    }

    #[test]
    fn scope_selectors_need_values_for_their_operator() {
        let spec = |scope: &str, operator: &str, values: serde_json::Value| {
            let requirement = serde_json::json!({"scopeName": scope, "operator": operator, "values": values});
            causes(serde_json::json!({"scopeSelector": {"matchExpressions": [requirement]}}))
        };
        assert_eq!(spec("PriorityClass", "In", serde_json::json!(["a"])), [""; 0]);
        assert_eq!(spec("Terminating", "Exists", serde_json::json!([])), [""; 0]);
        assert_eq!(spec("Terminating", "DoesNotExist", serde_json::json!(["a"])).len(), 2);
        let path = "spec.scopeSelector.matchExpressions";
        let want = [
            format!("{path}.scopeName: Invalid value: \"Odd\": unsupported scope"),
            format!("{path}.operator: Invalid value: \"Is\": not a valid selector operator"),
        ];
        assert_eq!(spec("Odd", "Is", serde_json::Value::Null), want);
    }
}
