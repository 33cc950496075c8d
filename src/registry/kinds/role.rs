//! Roles: permissions in a namespace. They are stored but grant nothing yet.

use jiff::Timestamp;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role};
use serde_json::Value;

use crate::registry::columns;
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::metadata;
use crate::registry::strategy::{KindInfo, Strategy};

impl Strategy for Role {
    const INFO: KindInfo = KindInfo::new("role", "7FuwZcIIItM=");
    const ALLOW_CREATE_ON_UPDATE: bool = true;

    fn cells(&self, _now: Timestamp) -> Vec<Value> {
        columns::name_and_creation(&self.metadata)
    }

    fn validate(&self, errors: &mut ErrorList) {
        metadata::validate_object_meta(errors, &self.metadata, metadata::path_segment_name);
        validate_rules(errors, self.rules.as_deref().unwrap_or_default(), true);
    }

    fn validate_update(&self, old: &Self, errors: &mut ErrorList) {
        self.validate(errors);
        metadata::validate_object_meta_update(errors, &self.metadata, &old.metadata);
    }
}

/// Validates the rules of a role.
pub fn validate_rules(errors: &mut ErrorList, rules: &[PolicyRule], is_namespaced: bool) {
    let list = FieldPath::root("rules");
    for (i, rule) in rules.iter().enumerate() {
        validate_rule(errors, list.index(i), rule, is_namespaced);
    }
}

fn validate_rule(errors: &mut ErrorList, path: FieldPath<'_>, rule: &PolicyRule, is_namespaced: bool) {
    let is_empty = |list: &Option<Vec<String>>| list.as_ref().is_none_or(Vec::is_empty);
    if rule.verbs.is_empty() {
        errors.required(path.child("verbs"), "verbs must contain at least one value");
    }
    if !is_empty(&rule.non_resource_urls) {
        let path = path.child("nonResourceURLs");
        if is_namespaced {
            errors.invalid(path, &rule.non_resource_urls, "namespaced rules cannot apply to non-resource URLs");
        }
        if !is_empty(&rule.api_groups) || !is_empty(&rule.resources) || !is_empty(&rule.resource_names) {
            let detail = "rules cannot apply to both regular resources and non-resource URLs";
            errors.invalid(path, &rule.non_resource_urls, detail);
        }
        return;
    }
    if is_empty(&rule.api_groups) {
        errors.required(path.child("apiGroups"), "resource rules must supply at least one api group");
    }
    if is_empty(&rule.resources) {
        errors.required(path.child("resources"), "resource rules must supply at least one resource");
    }
}
