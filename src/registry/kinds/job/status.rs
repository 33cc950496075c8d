//! Updates of a job's status. A rule applies to the parts that the update changes, so that a status that breaks one can
//! still be updated elsewhere.

use std::collections::BTreeSet;

use k8s_openapi::api::batch::v1::{Job, JobCondition, JobStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{has_condition, indexes, spec};
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::workload_rules;

/// The status before and after an update.
struct Change<'c> {
    job: &'c Job,
    new: &'c JobStatus,
    old: &'c JobStatus,
}

impl Change<'_> {
    fn has(&self, condition: &str) -> bool {
        has_condition(conditions(self.new), condition)
    }

    fn had(&self, condition: &str) -> bool {
        has_condition(conditions(self.old), condition)
    }

    fn is_changed(&self, condition: &str) -> bool {
        self.has(condition) != self.had(condition)
    }

    fn is_finished(&self) -> bool {
        self.has("Complete") || self.has("Failed")
    }

    fn is_finished_changed(&self) -> bool {
        self.is_finished() != (self.had("Complete") || self.had("Failed"))
    }

    fn is_suspended(&self) -> bool {
        self.job.spec.as_ref().is_some_and(|spec| spec.suspend == Some(true))
    }

    fn completions(&self) -> Option<i32> {
        self.job.spec.as_ref().and_then(|spec| spec.completions)
    }
}

fn conditions(status: &JobStatus) -> &[JobCondition] {
    status.conditions.as_deref().unwrap_or_default()
}

/// Validates that the job's status may replace that of `old` (`ValidateJobStatusUpdate`).
pub fn validate_update(errors: &mut ErrorList, job: &Job, old: &Job) {
    let empty = JobStatus::default();
    let new = job.status.as_ref().unwrap_or(&empty);
    let change = Change { job, new, old: old.status.as_ref().unwrap_or(&empty) };
    let path = FieldPath::root("status");
    validate_counts(errors, path, new);
    validate_completion(errors, path, &change);
    validate_terminal_conditions(errors, path, &change);
    validate_finished(errors, path, &change);
    validate_indexes(errors, path, &change);
    validate_pods(errors, path, &change);
    validate_success_criteria(errors, path, &change);
    validate_progress(errors, path, &change);
}

fn validate_counts(errors: &mut ErrorList, path: FieldPath<'_>, status: &JobStatus) {
    let number = |count: Option<i32>| i64::from(count.unwrap_or(0));
    let counts = [
        ("active", number(status.active)),
        ("succeeded", number(status.succeeded)),
        ("failed", number(status.failed)),
        ("ready", number(status.ready)),
        ("terminating", number(status.terminating)),
    ];
    workload_rules::validate_counts(errors, path, &counts);
    let Some(pods) = &status.uncounted_terminated_pods else { return };
    let path = path.child("uncountedTerminatedPods");
    let mut seen = BTreeSet::new();
    for (field, uids) in [("succeeded", &pods.succeeded), ("failed", &pods.failed)] {
        for (i, uid) in uids.iter().flatten().enumerate() {
            let list = path.child(field);
            if uid.is_empty() {
                errors.invalid(list.index(i), uid, "must not be empty");
            } else if !seen.insert(uid) {
                errors.duplicate(list.index(i), uid);
            }
        }
    }
}

fn is_before(time: &Time, other: &Time) -> bool {
    time.0 < other.0
}

/// Validates that a complete job says when it completed, and has not failed.
fn validate_completion(errors: &mut ErrorList, path: FieldPath<'_>, change: &Change<'_>) {
    let Change { new, old, .. } = change;
    let conditions = path.child("conditions");
    let is_complete = change.has("Complete");
    if (change.is_changed("Complete") || change.is_changed("Failed")) && is_complete && change.has("Failed") {
        errors.invalid_unprinted(conditions, "cannot set Complete=True and Failed=true conditions");
    }
    let is_target_changed = change.is_changed("Complete") || change.is_changed("FailureTarget");
    if is_target_changed && is_complete && change.has("FailureTarget") {
        errors.invalid_unprinted(conditions, "cannot set Complete=True and FailureTarget=true conditions");
    }
    let path = path.child("completionTime");
    if change.is_changed("Complete") || new.completion_time != old.completion_time {
        match (&new.completion_time, is_complete) {
            (Some(time), false) => {
                errors.invalid(path, time, "cannot set completionTime when there is no Complete=True condition");
            }
            (None, true) => errors.required(path, "completionTime is required for Complete jobs"),
            _ => {}
        }
    }
    if (new.start_time != old.start_time || new.completion_time != old.completion_time)
        && let (Some(start), Some(completion)) = (&new.start_time, &new.completion_time)
        && is_before(completion, start)
    {
        errors.invalid(path, completion, "completionTime cannot be set before startTime");
    }
}

/// Validates that a finished job has decided on its outcome before.
fn validate_terminal_conditions(errors: &mut ErrorList, path: FieldPath<'_>, change: &Change<'_>) {
    let path = path.child("conditions");
    let are_failures_changed = change.is_changed("Failed") || change.new.failed_indexes != change.old.failed_indexes;
    if are_failures_changed && change.has("Failed") && !change.has("FailureTarget") {
        let detail = "cannot set Failed=True condition without the FailureTarget=true condition";
        errors.invalid_unprinted(path, detail);
    }
    let is_success_changed = change.is_changed("Complete") || change.is_changed("SuccessCriteriaMet");
    if is_success_changed && change.has("Complete") && !change.has("SuccessCriteriaMet") {
        let detail = "cannot set Complete=True condition without the SuccessCriteriaMet=true condition";
        errors.invalid_unprinted(path, detail);
    }
}

/// Validates that a finished job was started and has no pods left.
fn validate_finished(errors: &mut ErrorList, path: FieldPath<'_>, change: &Change<'_>) {
    if !change.is_finished() {
        return;
    }
    let Change { new, old, .. } = change;
    let is_finished_changed = change.is_finished_changed();
    let active = new.active.unwrap_or(0);
    if (is_finished_changed || new.active != old.active) && active > 0 {
        errors.invalid(path.child("active"), active, "active>0 is invalid for finished job");
    }
    let needs_start = !(change.is_suspended() && change.completions() == Some(0));
    if (is_finished_changed || new.start_time != old.start_time) && needs_start && new.start_time.is_none() {
        errors.required(path.child("startTime"), "startTime is required for finished job");
    }
    let uncounted = new.uncounted_terminated_pods.as_ref();
    let has_uncounted = uncounted
        .is_some_and(|pods| [&pods.succeeded, &pods.failed].into_iter().flatten().any(|list| !list.is_empty()));
    let is_changed = is_finished_changed || new.uncounted_terminated_pods != old.uncounted_terminated_pods;
    if is_changed && has_uncounted {
        let detail = "uncountedTerminatedPods needs to be empty for finished job";
        errors.invalid(path.child("uncountedTerminatedPods"), uncounted, detail);
    }
}

/// Validates the lists of completed and failed indexes.
fn validate_indexes(errors: &mut ErrorList, path: FieldPath<'_>, change: &Change<'_>) {
    let Change { job, new, old } = change;
    let completed = new.completed_indexes.as_deref().unwrap_or_default();
    let is_completed_changed = completed != old.completed_indexes.as_deref().unwrap_or_default();
    let is_failed_changed = new.failed_indexes != old.failed_indexes;
    let (completed_path, failed_path) = (path.child("completedIndexes"), path.child("failedIndexes"));
    let completions = change.completions();
    let has_limit = job.spec.as_ref().is_some_and(|spec| spec.backoff_limit_per_index.is_some());
    if is_completed_changed && let Some(Err(error)) = completions.map(|max| indexes::count(completed, max)) {
        errors.invalid(completed_path, completed, format!("error parsing completedIndexes: {error}"));
    }
    let failed = new.failed_indexes.as_deref();
    let parsed = failed.zip(completions).map(|(failed, max)| indexes::count(failed, max));
    if is_failed_changed
        && has_limit
        && let Some(Err(error)) = parsed
    {
        errors.invalid(failed_path, failed, format!("error parsing failedIndexes: {error}"));
    }
    if is_completed_changed && !completed.is_empty() && !spec::is_indexed(job) {
        let detail = "cannot set non-empty completedIndexes when non-indexed completion mode";
        errors.invalid(completed_path, completed, detail);
    }
    if is_failed_changed && !has_limit && failed.is_some() {
        let detail = "cannot set non-null failedIndexes when backoffLimitPerIndex is null";
        errors.invalid(failed_path, failed, detail);
    }
    if (is_failed_changed || is_completed_changed)
        && let Some((failed, max)) = failed.zip(completions)
        && let Some(index) = indexes::find_overlap(completed, failed, max)
    {
        let detail = format!("failedIndexes and completedIndexes overlap at index: {index}");
        errors.invalid(failed_path, failed, detail);
    }
}

/// Validates the counts of terminating and ready pods.
fn validate_pods(errors: &mut ErrorList, path: FieldPath<'_>, change: &Change<'_>) {
    let Change { new, old, .. } = change;
    let is_terminating_changed = change.is_finished_changed() || new.terminating != old.terminating;
    if is_terminating_changed && change.is_finished() && new.terminating.unwrap_or(0) > 0 {
        errors.invalid(path.child("terminating"), new.terminating, "terminating>0 is invalid for finished job");
    }
    let is_ready_changed = new.ready != old.ready || new.active != old.active;
    if is_ready_changed && new.ready.is_some_and(|ready| ready > new.active.unwrap_or(0)) {
        errors.invalid(path.child("ready"), new.ready, "cannot set more ready pods than active");
    }
}

/// Validates the condition `SuccessCriteriaMet`.
fn validate_success_criteria(errors: &mut ErrorList, path: FieldPath<'_>, change: &Change<'_>) {
    let path = path.child("conditions");
    if change.has("SuccessCriteriaMet") {
        for (condition, name) in [("Failed", "Failed=true"), ("FailureTarget", "FailureTarget=true")] {
            if change.has(condition) {
                errors.invalid_unprinted(path, format!("cannot set SuccessCriteriaMet=True and {name} conditions"));
            }
        }
    } else if change.has("Complete") && change.job.spec.as_ref().is_some_and(|spec| spec.success_policy.is_some()) {
        let detail = "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True";
        errors.invalid_unprinted(path, detail);
    }
}

/// Validates that terminal conditions, counters and times are not taken back.
fn validate_progress(errors: &mut ErrorList, path: FieldPath<'_>, change: &Change<'_>) {
    let Change { job, new, old } = change;
    let conditions = path.child("conditions");
    for condition in ["Failed", "Complete", "FailureTarget"] {
        if change.had(condition) && !change.has(condition) {
            errors.invalid_unprinted(conditions, format!("cannot disable the terminal {condition}=True condition"));
        }
    }
    let count = |count: Option<i32>| count.unwrap_or(0);
    if count(new.failed) < count(old.failed) {
        errors.invalid(path.child("failed"), count(new.failed), "cannot decrease the failed counter");
    }
    let is_elastic =
        spec::is_indexed(job) && job.spec.as_ref().is_some_and(|spec| spec.completions == spec.parallelism);
    if !is_elastic && count(new.succeeded) < count(old.succeeded) {
        errors.invalid(path.child("succeeded"), count(new.succeeded), "cannot decrease the succeeded counter");
    }
    let (completion, was) = (&new.completion_time, &old.completion_time);
    if completion.is_some() && was.is_some() && completion != was {
        errors.invalid(path.child("completionTime"), completion, "field is immutable");
    }
    let is_resumed = change.had("Suspended") && !change.has("Suspended");
    if old.start_time.is_some() && new.start_time != old.start_time && !change.is_suspended() && !is_resumed {
        errors.required(path.child("startTime"), "startTime cannot be removed for unsuspended job");
    }
    if change.had("SuccessCriteriaMet") && !change.has("SuccessCriteriaMet") {
        errors.invalid_unprinted(conditions, "cannot disable the SuccessCriteriaMet=True condition");
    }
    if change.had("Complete") && !change.had("SuccessCriteriaMet") && change.has("SuccessCriteriaMet") {
        let detail = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions";
        errors.invalid_unprinted(conditions, detail);
    }
}
