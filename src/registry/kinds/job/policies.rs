//! The policies of a job: which failures of pods count, and which successes suffice.

use std::collections::BTreeSet;

use k8s_openapi::api::batch::v1::{
    JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyOnPodConditionsPattern,
    PodFailurePolicyRule, SuccessPolicy, SuccessPolicyRule,
};

use super::indexes;
use crate::model::{formats, pods};
use crate::registry::fields::{ErrorList, FieldPath};

const MAX_RULES: usize = 20;
const MAX_EXIT_CODES: usize = 255;
const MAX_CONDITIONS: usize = 20;
/// Upper bound of `succeededIndexes`, in bytes.
const MAX_INDEXES_BYTES: usize = 64 * 1024;

const ACTIONS: &[&str] = &["Count", "FailIndex", "FailJob", "Ignore"];
const OPERATORS: &[&str] = &["In", "NotIn"];
const CONDITION_STATUSES: &[&str] = &["False", "True", "Unknown"];

/// Requires one of `supported`; as in Kubernetes, the error about an empty value lists them in Go's notation.
fn require_one_of(errors: &mut ErrorList, path: FieldPath<'_>, value: &str, supported: &[&str]) {
    if value.is_empty() {
        let names: Vec<String> = supported.iter().map(|name| format!("{name:?}")).collect();
        errors.required(path, &format!("valid values: [{}]", names.join(" ")));
    } else {
        errors.check_one_of(path, value, supported);
    }
}

/// Validates `podFailurePolicy`.
pub fn validate_pod_failure_policy(
    errors: &mut ErrorList,
    path: FieldPath<'_>,
    policy: &PodFailurePolicy,
    spec: &JobSpec,
) {
    let list = path.child("rules");
    if policy.rules.len() > MAX_RULES {
        errors.too_many(list, policy.rules.len(), MAX_RULES);
    }
    for (i, rule) in policy.rules.iter().enumerate() {
        validate_failure_rule(errors, list.index(i), rule, spec);
    }
}

fn validate_failure_rule(errors: &mut ErrorList, path: FieldPath<'_>, rule: &PodFailurePolicyRule, spec: &JobSpec) {
    let action = path.child("action");
    if rule.action != "FailIndex" {
        require_one_of(errors, action, &rule.action, ACTIONS);
    } else if spec.backoff_limit_per_index.is_none() {
        errors.invalid(action, &rule.action, "requires the backoffLimitPerIndex to be set");
    }
    let conditions = rule.on_pod_conditions.as_deref().unwrap_or_default();
    if let Some(codes) = &rule.on_exit_codes {
        validate_exit_codes(errors, path.child("onExitCodes"), codes, spec);
    }
    validate_conditions(errors, path.child("onPodConditions"), conditions);
    match (&rule.on_exit_codes, conditions) {
        (Some(_), [_, ..]) => {
            errors.invalid_unprinted(path, "specifying both OnExitCodes and OnPodConditions is not supported");
        }
        (None, []) => {
            errors.invalid_unprinted(path, "specifying one of OnExitCodes and OnPodConditions is required");
        }
        _ => {}
    }
}

fn validate_conditions(
    errors: &mut ErrorList,
    list: FieldPath<'_>,
    conditions: &[PodFailurePolicyOnPodConditionsPattern],
) {
    if conditions.len() > MAX_CONDITIONS {
        errors.too_many(list, conditions.len(), MAX_CONDITIONS);
    }
    for (i, pattern) in conditions.iter().enumerate() {
        let path = list.index(i);
        errors.invalid_each(path.child("type"), &pattern.type_, formats::qualified_name(&pattern.type_));
        let status = pattern.status.as_deref().unwrap_or_default();
        require_one_of(errors, path.child("status"), status, CONDITION_STATUSES);
    }
}

fn validate_exit_codes(
    errors: &mut ErrorList,
    path: FieldPath<'_>,
    codes: &PodFailurePolicyOnExitCodesRequirement,
    spec: &JobSpec,
) {
    require_one_of(errors, path.child("operator"), &codes.operator, OPERATORS);
    if let Some(name) = &codes.container_name {
        let pod = spec.template.spec.as_ref();
        let mut containers = pod.into_iter().flat_map(|pod| pod.containers.iter().chain(pods::init_containers(pod)));
        if !containers.any(|container| container.name == *name) {
            let detail = "must be one of the container or initContainer names in the pod template";
            errors.invalid(path.child("containerName"), name, detail);
        }
    }
    let list = path.child("values");
    match codes.values.len() {
        0 => errors.invalid(list, &codes.values, "at least one value is required"),
        count if count > MAX_EXIT_CODES => errors.too_many(list, count, MAX_EXIT_CODES),
        _ => {}
    }
    let mut unique = BTreeSet::new();
    for (i, code) in codes.values.iter().enumerate() {
        if codes.operator == "In" && *code == 0 {
            errors.invalid(list.index(i), code, "must not be 0 for the In operator");
        }
        if !unique.insert(code) {
            errors.duplicate(list.index(i), code);
        }
    }
    if !codes.values.is_sorted() {
        errors.invalid(list, &codes.values, "must be ordered");
    }
}

/// Validates `successPolicy`.
pub fn validate_success_policy(errors: &mut ErrorList, path: FieldPath<'_>, policy: &SuccessPolicy, spec: &JobSpec) {
    if spec.completion_mode.as_deref() != Some("Indexed") {
        return errors.invalid(path, policy, "requires indexed completion mode");
    }
    let list = path.child("rules");
    if policy.rules.is_empty() {
        errors.required(list, "at least one rules must be specified when the successPolicy is specified");
    }
    if policy.rules.len() > MAX_RULES {
        errors.too_many(list, policy.rules.len(), MAX_RULES);
    }
    // Missing completions are an error of their own.
    let completions = spec.completions.unwrap_or(0);
    for (i, rule) in policy.rules.iter().enumerate() {
        validate_success_rule(errors, list.index(i), rule, completions);
    }
}

fn validate_success_rule(errors: &mut ErrorList, path: FieldPath<'_>, rule: &SuccessPolicyRule, completions: i32) {
    if rule.succeeded_count.is_none() && rule.succeeded_indexes.is_none() {
        errors.required(path, "at least one of succeededCount or succeededIndexes must be specified");
    }
    let mut total = 0;
    if let Some(text) = &rule.succeeded_indexes {
        let path = path.child("succeededIndexes");
        if text.len() > MAX_INDEXES_BYTES {
            errors.too_long(path, MAX_INDEXES_BYTES);
        }
        match indexes::count(text, completions) {
            Ok(count) => total = count,
            Err(error) => errors.invalid(path, text, format!("error parsing succeededIndexes: {error}")),
        }
    }
    let Some(count) = rule.succeeded_count else { return };
    let path = path.child("succeededCount");
    errors.check_non_negative(path, i64::from(count));
    if count > completions {
        let detail = format!("must be less than or equal to {completions} (the number of specified completions)");
        errors.invalid(path, count, detail);
    }
    if rule.succeeded_indexes.is_some() && i64::from(count) > total {
        let detail = format!(
            "must be less than or equal to {total} (the number of indexes in the specified succeededIndexes field)"
        );
        errors.invalid(path, count, detail);
    }
}
