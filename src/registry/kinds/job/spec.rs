//! The spec of a job: defaults and rules of its numbers, modes and template.

use k8s_openapi::api::batch::v1::{Job, JobSpec, JobTemplateSpec};

use super::policies;
use crate::model::formats;
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::label_selector::{LabelMatcher, OrderedSelector};
use crate::registry::pod::{template, unset_if_zero};
use crate::registry::{metadata, workload_rules};

/// Upper bound of `parallelism` and `maxFailedIndexes` of an indexed job.
const MAX_INDEXED: i32 = 100_000;
/// The number of completions from which backoff limits per index have lower bounds.
const HIGH_COMPLETIONS: i32 = 100_000;
/// Upper bound of `parallelism` and `maxFailedIndexes` with that many completions.
const MAX_WITH_HIGH_COMPLETIONS: i32 = 10_000;
const MAX_MANAGED_BY: usize = 63;

const DEFAULT_BACKOFF_LIMIT: i32 = 6;

/// Sets the defaults of a job's spec (`SetDefaults_Job`).
pub fn set_defaults(spec: &mut JobSpec) {
    if spec.parallelism.is_none() {
        spec.completions.get_or_insert(1);
        spec.parallelism = Some(1);
    }
    let backoff_limit = if spec.backoff_limit_per_index.is_some() { i32::MAX } else { DEFAULT_BACKOFF_LIMIT };
    spec.backoff_limit.get_or_insert(backoff_limit);
    spec.completion_mode.get_or_insert_with(|| "NonIndexed".into());
    spec.suspend.get_or_insert(false);
    spec.manual_selector.get_or_insert(false);
    let replacement = if spec.pod_failure_policy.is_some() { "Failed" } else { "TerminatingOrFailed" };
    spec.pod_replacement_policy.get_or_insert_with(|| replacement.into());
    spec.selector.iter_mut().for_each(workload_rules::set_selector_defaults);
    for rule in spec.pod_failure_policy.iter_mut().flat_map(|policy| &mut policy.rules) {
        unset_if_zero(&mut rule.on_pod_conditions);
        for pattern in rule.on_pod_conditions.iter_mut().flatten() {
            if pattern.status.as_deref().unwrap_or_default().is_empty() {
                pattern.status = Some("True".into());
            }
        }
    }
    template::set_defaults(&mut spec.template);
}

/// Validates the spec of a job (`ValidateJobSpec`).
pub fn validate(errors: &mut ErrorList, path: FieldPath<'_>, spec: &JobSpec) {
    validate_common(errors, path, spec);
    match &spec.selector {
        None => errors.required(path.child("selector"), ""),
        Some(selector) => metadata::validate_label_selector(errors, path.child("selector"), Some(selector)),
    }
    if let Some(matcher) = LabelMatcher::new(spec.selector.as_ref()) {
        workload_rules::validate_matching_labels(errors, path.child("template"), &matcher, &spec.template);
    }
}

/// Validates the template of jobs at `path`, which has no selector (`ValidateJobTemplateSpec`).
pub fn validate_template(errors: &mut ErrorList, path: FieldPath<'_>, template: &JobTemplateSpec) {
    let Some(spec) = &template.spec else { return };
    let path = path.child("spec");
    validate_common(errors, path, spec);
    if let Some(selector) = &spec.selector {
        errors.invalid(path.child("selector"), OrderedSelector(selector), "`selector` will be auto-generated");
    }
    if spec.manual_selector == Some(true) {
        errors.not_supported(path.child("manualSelector"), true, &["nil", "false"]);
    }
}

/// Validates what jobs and templates of jobs have in common (`validateJobSpec`).
fn validate_common(errors: &mut ErrorList, path: FieldPath<'_>, spec: &JobSpec) {
    validate_numbers(errors, path, spec);
    if let Some(manager) = &spec.managed_by {
        validate_domain_prefixed_path(errors, path.child("managedBy"), manager);
        if manager.len() > MAX_MANAGED_BY {
            errors.too_long(path.child("managedBy"), MAX_MANAGED_BY);
        }
    }
    validate_completion_mode(errors, path, spec);
    if let Some(policy) = &spec.pod_failure_policy {
        policies::validate_pod_failure_policy(errors, path.child("podFailurePolicy"), policy, spec);
    }
    if let Some(policy) = &spec.success_policy {
        policies::validate_success_policy(errors, path.child("successPolicy"), policy, spec);
    }
    validate_pod_replacement_policy(errors, path.child("podReplacementPolicy"), spec);
    template::validate(errors, path.child("template"), &spec.template);
    validate_restart_policy(errors, path, spec);
}

fn validate_numbers(errors: &mut ErrorList, path: FieldPath<'_>, spec: &JobSpec) {
    let numbers = [
        ("parallelism", spec.parallelism.map(i64::from)),
        ("completions", spec.completions.map(i64::from)),
        ("activeDeadlineSeconds", spec.active_deadline_seconds),
        ("backoffLimit", spec.backoff_limit.map(i64::from)),
        ("ttlSecondsAfterFinished", spec.ttl_seconds_after_finished.map(i64::from)),
        ("backoffLimitPerIndex", spec.backoff_limit_per_index.map(i64::from)),
        ("maxFailedIndexes", spec.max_failed_indexes.map(i64::from)),
    ];
    for (field, number) in numbers {
        errors.check_non_negative(path.child(field), number.unwrap_or(0));
    }
    if spec.max_failed_indexes.is_some() && spec.backoff_limit_per_index.is_none() {
        errors.required(path.child("backoffLimitPerIndex"), "when maxFailedIndexes is specified");
    }
}

/// Validates a path that begins with a domain: `acme.io/foo` (`IsDomainPrefixedPath`).
fn validate_domain_prefixed_path(errors: &mut ErrorList, path: FieldPath<'_>, value: &str) {
    if value.is_empty() {
        return errors.required(path, "");
    }
    match value.split_once('/') {
        Some((host, rest)) if !host.is_empty() && !rest.is_empty() => {
            errors.invalid_each(path, host, formats::dns_subdomain(host));
            let is_path_char = |c: char| c.is_ascii_alphanumeric() || "/-._~%!$&'()*+,;=:".contains(c);
            if !rest.chars().all(is_path_char) {
                let regex = "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+";
                errors.invalid(path, rest, format!("Invalid path (regex used for validation is '{regex}')"));
            }
        }
        _ => errors.invalid(path, value, "must be a domain-prefixed path (such as \"acme.io/foo\")"),
    }
}

fn validate_completion_mode(errors: &mut ErrorList, path: FieldPath<'_>, spec: &JobSpec) {
    match spec.completion_mode.as_deref() {
        None | Some("NonIndexed") => {
            for (field, number) in
                [("backoffLimitPerIndex", spec.backoff_limit_per_index), ("maxFailedIndexes", spec.max_failed_indexes)]
            {
                if let Some(number) = number {
                    errors.invalid(path.child(field), number, "requires indexed completion mode");
                }
            }
        }
        Some("Indexed") => validate_indexed(errors, path, spec),
        Some(other) => errors.check_one_of(path.child("completionMode"), other, &["NonIndexed", "Indexed"]),
    }
}

fn validate_indexed(errors: &mut ErrorList, path: FieldPath<'_>, spec: &JobSpec) {
    let (parallelism, max_failed) = (spec.parallelism.unwrap_or(0), spec.max_failed_indexes.unwrap_or(0));
    if spec.completions.is_none() {
        errors.required(path.child("completions"), "when completion mode is Indexed");
    }
    if parallelism > MAX_INDEXED {
        let detail = format!("must be less than or equal to {MAX_INDEXED} when completion mode is Indexed");
        errors.invalid(path.child("parallelism"), parallelism, detail);
    }
    if spec.completions.is_some_and(|completions| max_failed > completions) && spec.max_failed_indexes.is_some() {
        let detail = "must be less than or equal to completions";
        errors.invalid(path.child("maxFailedIndexes"), max_failed, detail);
    }
    if max_failed > MAX_INDEXED {
        let detail = format!("must be less than or equal to {MAX_INDEXED}");
        errors.invalid(path.child("maxFailedIndexes"), max_failed, detail);
    }
    let has_many = spec.completions.is_some_and(|completions| completions > HIGH_COMPLETIONS);
    if !has_many || spec.backoff_limit_per_index.is_none() {
        return;
    }
    if spec.max_failed_indexes.is_none() {
        let detail = format!("must be specified when completions is above {HIGH_COMPLETIONS}");
        errors.required(path.child("maxFailedIndexes"), &detail);
    }
    for (field, number) in [("parallelism", parallelism), ("maxFailedIndexes", max_failed)] {
        if number > MAX_WITH_HIGH_COMPLETIONS {
            let detail = format!(
                "must be less than or equal to {MAX_WITH_HIGH_COMPLETIONS} when completions are above \
                 {HIGH_COMPLETIONS} and used with backoff limit per index"
            );
            errors.invalid(path.child(field), number, detail);
        }
    }
}

fn validate_pod_replacement_policy(errors: &mut ErrorList, path: FieldPath<'_>, spec: &JobSpec) {
    let Some(policy) = spec.pod_replacement_policy.as_deref() else { return };
    let supported: &[&str] =
        if spec.pod_failure_policy.is_some() { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] };
    errors.check_one_of(path, policy, supported);
}

fn validate_restart_policy(errors: &mut ErrorList, path: FieldPath<'_>, spec: &JobSpec) {
    let template = path.child("template");
    let pod = template.child("spec");
    let path = pod.child("restartPolicy");
    let policy = spec.template.spec.as_ref().and_then(|pod| pod.restart_policy.as_deref()).unwrap_or_default();
    match policy {
        "" | "Always" => errors.required(path, "valid values: \"OnFailure\", \"Never\""),
        "Never" => {}
        "OnFailure" if spec.pod_failure_policy.is_some() => {
            errors.invalid(path, policy, "only \"Never\" is supported when podFailurePolicy is specified");
        }
        "OnFailure" => {}
        _ => errors.not_supported(path, policy, &["OnFailure", "Never"]),
    }
}

/// Returns whether the job runs a pod for each index.
pub fn is_indexed(job: &Job) -> bool {
    job.spec.as_ref().is_some_and(|spec| spec.completion_mode.as_deref() == Some("Indexed"))
}
