//! Jobs: pods that run until enough of them have succeeded.

mod indexes;
mod policies;
mod spec;
mod status;
mod update;

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobCondition, JobSpec, JobStatus};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde_json::Value;

use crate::control::Propagation;
use crate::model::selector::SelectableField;
use crate::model::{duration, formats};
use crate::registry::columns::{self, Column, age};
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::label_selector::{LabelMatcher, OrderedSelector, format_label_selector};
use crate::registry::pod::template;
use crate::registry::strategy::{KindInfo, Strategy, SubresourceInfo};
use crate::registry::{metadata, workload_rules};

pub(super) use spec::validate_template as validate_template_spec;

/// Labels of a job's pods, which select them.
const CONTROLLER_UID: &str = "batch.kubernetes.io/controller-uid";
const JOB_NAME: &str = "batch.kubernetes.io/job-name";
/// The same labels in older versions of Kubernetes.
const LEGACY_CONTROLLER_UID: &str = "controller-uid";
const LEGACY_JOB_NAME: &str = "job-name";

impl Strategy for Job {
    const INFO: KindInfo = KindInfo {
        categories: &["all"],
        subresources: &[SubresourceInfo::status("Job")],
        ..KindInfo::new("job", "mudhfqk/qZY=")
    };
    const DEFAULT_PROPAGATION: Propagation = Propagation::Orphan;
    const PROPAGATION_WARNING: Option<&'static str> = Some(
        "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set \
         propagationPolicy=Orphan to suppress this warning",
    );
    const COLUMNS: &'static [Column] = &[
        Column::NAME,
        Column::text("Status", "Status of the job."),
        Column::text("Completions", "Number of pods that have succeeded and of those that must."),
        Column::text("Duration", "Time that the job has run."),
        Column::AGE,
        workload_rules::CONTAINERS,
        workload_rules::IMAGES,
        workload_rules::SELECTOR,
    ];
    const FIELDS: &'static [SelectableField<Self>] = &[("status.successful", |job| {
        let succeeded = job.status.as_ref().and_then(|status| status.succeeded);
        Some(succeeded.unwrap_or(0).to_string().into())
    })];
    const HAS_GENERATION: bool = true;
    const TEMPLATE_PATH: Option<&'static str> = Some(workload_rules::TEMPLATE_PATH);

    fn cells(&self, now: Timestamp) -> Vec<Value> {
        let [containers, images] = workload_rules::container_cells(self);
        vec![
            columns::name(&self.metadata),
            state(self).into(),
            completions(self).into(),
            running_time(self, now).into(),
            age(&self.metadata, now).into(),
            containers,
            images,
            format_label_selector(self.spec.as_ref().and_then(|spec| spec.selector.as_ref())).into(),
        ]
    }

    fn set_defaults(&mut self) {
        spec::set_defaults(self.spec.get_or_insert_default());
        // A new job's own labels come once those of its pods are complete.
        let has_manual_selector = self.spec.as_ref().is_some_and(|spec| spec.manual_selector == Some(true));
        if has_manual_selector || has_generated_labels(self) {
            default_labels(self);
        }
    }

    fn prepare_for_create(&mut self) {
        self.status = Some(JobStatus::default());
        if let Some(spec) = self.spec.as_mut().filter(|spec| spec.manual_selector != Some(true)) {
            generate_selector(spec, &self.metadata);
        }
        default_labels(self);
    }

    fn validate(&self, errors: &mut ErrorList) {
        validate(self, errors, true);
    }

    fn warnings_on_create(&self) -> Vec<String> {
        let mut warnings = workload_rules::warnings_on_name(&self.metadata);
        warnings.extend(self.spec.iter().flat_map(|spec| warnings_on_spec(FieldPath::root("spec"), spec)));
        warnings
    }

    fn prepare_for_update(&mut self, old: &Self) {
        self.status.clone_from(&old.status);
    }

    fn validate_update(&self, old: &Self, errors: &mut ErrorList) {
        // As in Kubernetes, the spec is validated twice. Jobs of older versions lack the newer labels.
        validate(self, errors, has_generated_labels(old));
        metadata::validate_object_meta_update(errors, &self.metadata, &old.metadata);
        update::validate_spec(errors, self, old);
    }

    fn warnings_on_update(&self, old: &Self) -> Vec<String> {
        if self.metadata.generation == old.metadata.generation {
            return Vec::new();
        }
        self.spec.iter().flat_map(|spec| warnings_on_spec(FieldPath::root("spec"), spec)).collect()
    }

    fn prepare_for_status_update(&mut self, old: &Self) {
        self.spec.clone_from(&old.spec);
    }

    fn validate_status_update(&self, old: &Self, errors: &mut ErrorList) {
        metadata::validate_object_meta_update(errors, &self.metadata, &old.metadata);
        status::validate_update(errors, self, old);
    }

    fn is_spec_changed(&self, old: &Self) -> bool {
        self.spec != old.spec
    }

    fn template(&self) -> Option<&PodTemplateSpec> {
        self.spec.as_ref().map(|spec| &spec.template)
    }
}

fn template_labels(job: &Job) -> Option<&BTreeMap<String, String>> {
    job.spec.as_ref().and_then(|spec| spec.template.metadata.as_ref()?.labels.as_ref())
}

/// Returns the STATUS cell.
fn state(job: &Job) -> &'static str {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    if has_condition(conditions, "Complete") {
        "Complete"
    } else if has_condition(conditions, "Failed") {
        "Failed"
    } else if job.metadata.deletion_timestamp.is_some() {
        "Terminating"
    } else if has_condition(conditions, "Suspended") {
        "Suspended"
    } else if has_condition(conditions, "FailureTarget") {
        "FailureTarget"
    } else if has_condition(conditions, "SuccessCriteriaMet") {
        "SuccessCriteriaMet"
    } else {
        "Running"
    }
}

fn has_condition(conditions: &[JobCondition], kind: &str) -> bool {
    conditions.iter().any(|condition| condition.type_ == kind && condition.status == "True")
}

/// Returns the COMPLETIONS cell: `1/3`, or `0/1 of 3` for a work queue.
fn completions(job: &Job) -> String {
    let succeeded = job.status.as_ref().and_then(|status| status.succeeded).unwrap_or(0);
    let spec = job.spec.as_ref();
    match (spec.and_then(|spec| spec.completions), spec.and_then(|spec| spec.parallelism).unwrap_or(0)) {
        (Some(completions), _) => format!("{succeeded}/{completions}"),
        (None, parallelism) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    }
}

/// Returns the DURATION cell.
fn running_time(job: &Job, now: Timestamp) -> String {
    let status = job.status.as_ref();
    let Some(Time(start)) = status.and_then(|status| status.start_time.as_ref()) else { return String::new() };
    let end = status.and_then(|status| status.completion_time.as_ref()).map_or(now, |Time(end)| *end);
    duration::human_duration(end.duration_since(*start).as_secs())
}

fn has_generated_labels(job: &Job) -> bool {
    template_labels(job).is_some_and(|labels| labels.contains_key(JOB_NAME) && labels.contains_key(CONTROLLER_UID))
}

/// Sets the labels of a job without labels to those of its pods.
fn default_labels(job: &mut Job) {
    if job.metadata.labels.as_ref().is_none_or(BTreeMap::is_empty) {
        job.metadata.labels = template_labels(job).cloned();
    }
}

/// Adds the labels that tell the job's pods from others, and the selector of them (`generateSelector`).
fn generate_selector(spec: &mut JobSpec, meta: &ObjectMeta) {
    let (name, uid) = (meta.name.clone().unwrap_or_default(), meta.uid.clone().unwrap_or_default());
    let labels = spec.template.metadata.get_or_insert_default().labels.get_or_insert_default();
    for (key, value) in
        [(LEGACY_JOB_NAME, &name), (JOB_NAME, &name), (LEGACY_CONTROLLER_UID, &uid), (CONTROLLER_UID, &uid)]
    {
        // A label of the client's stays, and fails validation.
        labels.entry(key.into()).or_insert_with(|| value.clone());
    }
    let selector = spec.selector.get_or_insert_default();
    selector.match_labels.get_or_insert_default().entry(CONTROLLER_UID.into()).or_insert(uid);
}

/// Upper bound of completions and parallelism up to which Kubernetes tracks indexes exactly.
const MAX_TRACKED_COMPLETIONS: i32 = 100_000;
const MAX_TRACKED_PARALLELISM: i32 = 10_000;

/// Returns the warnings about the spec at `path` (`WarningsForJobSpec`).
pub(super) fn warnings_on_spec(path: FieldPath<'_>, spec: &JobSpec) -> Vec<String> {
    let mut warnings = Vec::new();
    if spec.completion_mode.as_deref() == Some("Indexed")
        && spec.completions.unwrap_or(0) > MAX_TRACKED_COMPLETIONS
        && spec.parallelism.unwrap_or(0) > MAX_TRACKED_PARALLELISM
    {
        warnings.push(format!(
            "{path}: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, \
             Kubernetes might not be able to track completedIndexes when a big number of indexes fail"
        ));
    }
    warnings.extend(template::warnings(path.child("template"), &spec.template));
    warnings
}

/// Validates a job (`ValidateJob`).
fn validate(job: &Job, errors: &mut ErrorList, needs_prefixed_labels: bool) {
    let mut meta = job.metadata.clone();
    // Errors in labels that the job has from its pods are reported for these.
    meta.labels = meta.labels.filter(|labels| Some(labels) != template_labels(job));
    metadata::validate_object_meta(errors, &meta, formats::dns_subdomain);
    let Some(spec) = &job.spec else { return };
    validate_generated_selector(errors, job, spec, needs_prefixed_labels);
    spec::validate(errors, FieldPath::root("spec"), spec);
    let completions = spec.completions.filter(|completions| *completions > 0);
    if let (Some("Indexed"), Some(completions)) = (spec.completion_mode.as_deref(), completions) {
        let name = job.metadata.name.as_deref().unwrap_or_default();
        let host = format!("{name}-{}", completions - 1);
        if !formats::dns_label(&host).is_empty() {
            let detail = format!("will not able to create pod with invalid DNS label: {host}");
            let meta = FieldPath::root("metadata");
            errors.invalid(meta.child("name"), name, detail);
        }
    }
}

/// Validates that a generated selector selects the job's pods only (`validateGeneratedSelector`).
fn validate_generated_selector(errors: &mut ErrorList, job: &Job, spec: &JobSpec, needs_prefixed_labels: bool) {
    let Some(selector) = spec.selector.as_ref().filter(|_| spec.manual_selector != Some(true)) else { return };
    let uid = job.metadata.uid.as_deref().unwrap_or_default();
    let name = job.metadata.name.as_deref().unwrap_or_default();
    let all = [(LEGACY_CONTROLLER_UID, uid), (LEGACY_JOB_NAME, name), (CONTROLLER_UID, uid), (JOB_NAME, name)];
    let expected = if needs_prefixed_labels { all.as_slice() } else { all.get(..2).unwrap_or_default() };
    for (key, value) in expected {
        validate_label(errors, spec, key, value);
    }
    let labels: BTreeMap<String, String> = expected.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    if LabelMatcher::new(Some(selector)).is_some_and(|matcher| !matcher.matches(Some(&labels))) {
        let spec = FieldPath::root("spec");
        errors.invalid(spec.child("selector"), OrderedSelector(selector), "`selector` not auto-generated");
    }
}

/// Validates that the template has a label with this value.
fn validate_label(errors: &mut ErrorList, spec: &JobSpec, key: &str, value: &str) {
    let path = FieldPath::root("spec");
    let path = path.child("template");
    let path = path.child("metadata");
    let path = path.child("labels");
    let labels = spec.template.metadata.as_ref().and_then(|meta| meta.labels.as_ref());
    match labels.and_then(|labels| labels.get(key)) {
        None => errors.required(path.key(key), &format!("must be '{value}'")),
        Some(actual) if actual != value => errors.invalid(path.key(key), labels, format!("must be '{value}'")),
        Some(_) => {}
    }
}
