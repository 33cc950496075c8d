//! CronJobs: jobs that are created by a schedule.

use jiff::Timestamp;
use jiff::tz::{self, TimeZone};
use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, CronJobStatus};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::Value;

use super::job;
use crate::model::{cron, formats};
use crate::registry::columns::{self, Column, age, age_since};
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::label_selector::format_label_selector;
use crate::registry::pod::{set_default, template};
use crate::registry::strategy::{KindInfo, Strategy, SubresourceInfo};
use crate::registry::{metadata, workload_rules};

/// Upper bound of a name, in bytes: the names of its jobs are 11 bytes longer.
const MAX_NAME: usize = 52;
/// Upper bound of each part of a time zone's name, in bytes.
const MAX_TIME_ZONE_PART: usize = 14;

impl Strategy for CronJob {
    const INFO: KindInfo = KindInfo {
        short_names: &["cj"],
        categories: &["all"],
        subresources: &[SubresourceInfo::status("CronJob")],
        ..KindInfo::new("cronjob", "sd5LIXh4Fjs=")
    };
    const COLUMNS: &'static [Column] = &[
        Column::NAME,
        Column::text("Schedule", "The schedule in the format of cron."),
        Column::text("Timezone", "The time zone of the schedule."),
        Column {
            name: "Suspend",
            kind: "boolean",
            format: "",
            description: "Whether new jobs are not created.",
            priority: 0,
        },
        Column::integer("Active", "Number of running jobs."),
        Column::text("Last Schedule", "Time since a job was created last."),
        Column::AGE,
        workload_rules::CONTAINERS,
        workload_rules::IMAGES,
        workload_rules::SELECTOR,
    ];
    const HAS_GENERATION: bool = true;
    const TEMPLATE_PATH: Option<&'static str> = Some("spec.jobTemplate.spec.template");

    fn cells(&self, now: Timestamp) -> Vec<Value> {
        let status = self.status.as_ref();
        let selector = self.spec.job_template.spec.as_ref().and_then(|job| job.selector.as_ref());
        let [containers, images] = workload_rules::container_cells(self);
        let last = status.and_then(|status| status.last_schedule_time.as_ref());
        let suspend = match self.spec.suspend {
            None => "<unset>",
            Some(false) => "False",
            Some(true) => "True",
        };
        vec![
            columns::name(&self.metadata),
            self.spec.schedule.as_str().into(),
            self.spec.time_zone.as_deref().unwrap_or("<none>").into(),
            suspend.into(),
            status.and_then(|status| status.active.as_ref()).map_or(0, Vec::len).into(),
            last.map_or_else(|| "<none>".into(), |Time(at)| age_since(Some(*at), now)).into(),
            age(&self.metadata, now).into(),
            containers,
            images,
            format_label_selector(selector).into(),
        ]
    }

    fn set_defaults(&mut self) {
        let spec = &mut self.spec;
        set_default(&mut spec.concurrency_policy, "Allow");
        spec.suspend.get_or_insert(false);
        spec.successful_jobs_history_limit.get_or_insert(3);
        spec.failed_jobs_history_limit.get_or_insert(1);
        // The job's own defaults are set when it is created.
        spec.job_template.metadata.get_or_insert_default();
        template::set_defaults(&mut spec.job_template.spec.get_or_insert_default().template);
    }

    fn prepare_for_create(&mut self) {
        self.status = Some(CronJobStatus::default());
    }

    fn validate(&self, errors: &mut ErrorList) {
        metadata::validate_object_meta(errors, &self.metadata, formats::dns_subdomain);
        validate_spec(errors, &self.spec, None);
        let name = self.metadata.name.as_deref().unwrap_or_default();
        if name.len() > MAX_NAME {
            let meta = FieldPath::root("metadata");
            errors.invalid(meta.child("name"), name, format!("must be no more than {MAX_NAME} bytes"));
        }
    }

    fn warnings_on_create(&self) -> Vec<String> {
        let mut warnings = workload_rules::warnings_on_name(&self.metadata);
        warnings.extend(warnings_on_job(&self.spec));
        warnings
    }

    fn prepare_for_update(&mut self, old: &Self) {
        self.status.clone_from(&old.status);
    }

    fn validate_update(&self, old: &Self, errors: &mut ErrorList) {
        metadata::validate_object_meta_update(errors, &self.metadata, &old.metadata);
        validate_spec(errors, &self.spec, Some(&old.spec));
    }

    fn warnings_on_update(&self, old: &Self) -> Vec<String> {
        if self.metadata.generation == old.metadata.generation { Vec::new() } else { warnings_on_job(&self.spec) }
    }

    fn prepare_for_status_update(&mut self, old: &Self) {
        self.spec.clone_from(&old.spec);
    }

    fn validate_status_update(&self, old: &Self, errors: &mut ErrorList) {
        metadata::validate_object_meta_update(errors, &self.metadata, &old.metadata);
    }

    fn is_spec_changed(&self, old: &Self) -> bool {
        self.spec != old.spec
    }

    fn template(&self) -> Option<&PodTemplateSpec> {
        self.spec.job_template.spec.as_ref().map(|job| &job.template)
    }
}

fn warnings_on_job(spec: &CronJobSpec) -> Vec<String> {
    let path = FieldPath::root("spec");
    let path = path.child("jobTemplate");
    let job = spec.job_template.spec.as_ref();
    job.map(|job| job::warnings_on_spec(path.child("spec"), job)).unwrap_or_default()
}

/// Validates the spec (`validateCronJobSpec`).
fn validate_spec(errors: &mut ErrorList, spec: &CronJobSpec, old: Option<&CronJobSpec>) {
    let path = FieldPath::root("spec");
    if spec.schedule.is_empty() {
        errors.required(path.child("schedule"), "");
    } else {
        validate_schedule(errors, path.child("schedule"), spec, old);
    }
    if let Some(seconds) = spec.starting_deadline_seconds {
        errors.check_non_negative(path.child("startingDeadlineSeconds"), seconds);
    }
    if old.is_none_or(|old| old.time_zone != spec.time_zone)
        && let Some(name) = &spec.time_zone
    {
        validate_time_zone(errors, path.child("timeZone"), name);
    }
    let policy = spec.concurrency_policy.as_deref().unwrap_or_default();
    errors.require_one_of(path.child("concurrencyPolicy"), policy, &["Allow", "Forbid", "Replace"]);
    job::validate_template_spec(errors, path.child("jobTemplate"), &spec.job_template);
    for (field, limit) in [
        ("successfulJobsHistoryLimit", spec.successful_jobs_history_limit),
        ("failedJobsHistoryLimit", spec.failed_jobs_history_limit),
    ] {
        errors.check_non_negative(path.child(field), i64::from(limit.unwrap_or(0)));
    }
}

/// Validates the schedule. A time zone within it, which older versions of Kubernetes accepted, may only stay.
fn validate_schedule(errors: &mut ErrorList, path: FieldPath<'_>, spec: &CronJobSpec, old: Option<&CronJobSpec>) {
    let schedule = spec.schedule.as_str();
    if let Err(error) = cron::check_schedule(schedule) {
        errors.invalid(path, schedule, error);
    }
    if !schedule.contains("TZ") {
        return;
    }
    if old.is_none_or(|old| !old.schedule.contains("TZ")) {
        errors.invalid(path, schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead");
    } else if spec.time_zone.is_some() {
        errors.invalid(path, schedule, "cannot use both timeZone field and TZ or CRON_TZ in schedule");
    }
}

fn validate_time_zone(errors: &mut ErrorList, path: FieldPath<'_>, name: &str) {
    if name.is_empty() {
        return errors.invalid(path, name, "timeZone must be nil or non-empty string");
    }
    if !name.split('/').all(is_time_zone_part) {
        return errors.invalid(path, name, format!("unknown time zone {name}"));
    }
    if name.eq_ignore_ascii_case("Local") {
        let detail = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        errors.invalid(path, name, detail);
    }
    if name != "Local" && !is_time_zone(name) {
        errors.invalid(path, name, format!("unknown time zone {name}"));
    }
}

fn is_time_zone_part(part: &str) -> bool {
    let is_char = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_' | b'+');
    let has_length = (1..=MAX_TIME_ZONE_PART).contains(&part.len());
    has_length && part.bytes().all(is_char) && !part.starts_with('-') && !matches!(part, "." | "..")
}

/// Returns whether the system knows the time zone; names are case-sensitive. A system without time zones accepts all.
fn is_time_zone(name: &str) -> bool {
    tz::db().is_definitively_empty() || TimeZone::get(name).is_ok_and(|zone| zone.iana_name() == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_zones_are_names_of_the_database() {
        for (name, is_valid) in [
            ("UTC", true),
            ("Europe/Zurich", true),
            ("Etc/GMT+5", true),
            ("", false),
            ("Local", false),
            ("europe/zurich", false),
            ("Europe/Atlantis", false),
            ("../etc/passwd", false),
            ("A//B", false),
            ("Averylongname/x", false),
        ] {
            let mut errors = ErrorList::default();
            validate_time_zone(&mut errors, FieldPath::root("timeZone"), name);
            assert_eq!(errors.count() == 0, is_valid, "{name}");
        }
    }
}
