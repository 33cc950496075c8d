//! Deployments: replicas of a pod that are replaced step by step when their template changes.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStatus, RollingUpdateDeployment};
use k8s_openapi::api::autoscaling::v1::Scale;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;

use crate::model::formats;
use crate::registry::columns::{self, Column, age};
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::label_selector::{LabelMatcher, OrderedSelector};
use crate::registry::pod::{set_default, template, unset_if_zero};
use crate::registry::strategy::{KindInfo, Strategy, SubresourceInfo};
use crate::registry::{int_or_percent, metadata, workload_rules};

impl Strategy for Deployment {
    const INFO: KindInfo = KindInfo {
        short_names: &["deploy"],
        categories: &["all"],
        subresources: &[SubresourceInfo::SCALE, SubresourceInfo::status("Deployment")],
        ..KindInfo::new("deployment", "8aSe+NMegvE=")
    };
    const COLUMNS: &'static [Column] = &[
        Column::NAME,
        Column::text("Ready", "Number of ready pods and of wanted pods."),
        Column::text("Up-to-date", "Number of pods of the current template."),
        Column::text("Available", "Number of available pods."),
        Column::AGE,
        workload_rules::CONTAINERS,
        workload_rules::IMAGES,
        workload_rules::SELECTOR,
    ];
    const HAS_GENERATION: bool = true;
    const TEMPLATE_PATH: Option<&'static str> = Some(workload_rules::TEMPLATE_PATH);

    fn cells(&self, now: Timestamp) -> Vec<Value> {
        let status = self.status.as_ref();
        let count = |field: fn(&DeploymentStatus) -> Option<i32>| status.and_then(field).unwrap_or(0);
        let wanted = self.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0);
        let selector = self.spec.as_ref().map(|spec| LabelMatcher::new(workload_rules::given_selector(&spec.selector)));
        let [containers, images] = workload_rules::container_cells(self);
        vec![
            columns::name(&self.metadata),
            format!("{}/{wanted}", count(|status| status.ready_replicas)).into(),
            count(|status| status.updated_replicas).into(),
            count(|status| status.available_replicas).into(),
            age(&self.metadata, now).into(),
            containers,
            images,
            selector.flatten().map_or_else(|| "<invalid>".into(), |selector| selector.to_string()).into(),
        ]
    }

    fn set_defaults(&mut self) {
        let spec = self.spec.get_or_insert_default();
        unset_if_zero(&mut self.metadata.annotations);
        unset_if_zero(&mut spec.min_ready_seconds);
        unset_if_zero(&mut spec.paused);
        workload_rules::set_selector_defaults(&mut spec.selector);
        spec.replicas.get_or_insert(1);
        spec.revision_history_limit.get_or_insert(10);
        spec.progress_deadline_seconds.get_or_insert(600);
        let strategy = spec.strategy.get_or_insert_default();
        set_default(&mut strategy.type_, "RollingUpdate");
        if strategy.type_.as_deref() == Some("RollingUpdate") {
            let rolling = strategy.rolling_update.get_or_insert_default();
            rolling.max_unavailable.get_or_insert_with(|| IntOrString::String("25%".into()));
            rolling.max_surge.get_or_insert_with(|| IntOrString::String("25%".into()));
        }
        template::set_defaults(&mut spec.template);
    }

    fn prepare_for_create(&mut self) {
        self.status = Some(DeploymentStatus::default());
    }

    fn validate(&self, errors: &mut ErrorList) {
        metadata::validate_object_meta(errors, &self.metadata, formats::dns_subdomain);
        validate_spec(errors, self.spec.as_ref());
    }

    fn warnings_on_create(&self) -> Vec<String> {
        workload_rules::warnings_on_create(self)
    }

    fn prepare_for_update(&mut self, old: &Self) {
        self.status.clone_from(&old.status);
    }

    fn validate_update(&self, old: &Self, errors: &mut ErrorList) {
        metadata::validate_object_meta_update(errors, &self.metadata, &old.metadata);
        validate_spec(errors, self.spec.as_ref());
        workload_rules::validate_immutable_selector(errors, selector(self), selector(old));
    }

    fn warnings_on_update(&self, old: &Self) -> Vec<String> {
        workload_rules::warnings_on_changed_template(self, old)
    }

    fn prepare_for_status_update(&mut self, old: &Self) {
        self.spec.clone_from(&old.spec);
        self.metadata.labels.clone_from(&old.metadata.labels);
    }

    fn validate_status_update(&self, old: &Self, errors: &mut ErrorList) {
        metadata::validate_object_meta_update(errors, &self.metadata, &old.metadata);
        let empty = DeploymentStatus::default();
        let status = self.status.as_ref().unwrap_or(&empty);
        validate_status(errors, status);
        let old = old.status.as_ref().and_then(|status| status.collision_count);
        workload_rules::validate_collision_count(errors, old, status.collision_count);
    }

    fn is_spec_changed(&self, old: &Self) -> bool {
        self.spec != old.spec || self.metadata.annotations != old.metadata.annotations
    }

    fn template(&self) -> Option<&PodTemplateSpec> {
        self.spec.as_ref().map(|spec| &spec.template)
    }

    fn scale(&self) -> Option<Scale> {
        let spec = self.spec.as_ref()?;
        let observed = self.status.as_ref().and_then(|status| status.replicas).unwrap_or(0);
        Some(workload_rules::scale(spec.replicas, observed, LabelMatcher::new(Some(&spec.selector)).as_ref()))
    }

    fn set_replicas(&mut self, replicas: i32) {
        self.spec.get_or_insert_default().replicas = Some(replicas);
    }
}

fn selector(deployment: &Deployment) -> Option<&LabelSelector> {
    deployment.spec.as_ref().map(|spec| &spec.selector)
}

/// Validates the spec (`ValidateDeploymentSpec`).
fn validate_spec(errors: &mut ErrorList, spec: Option<&DeploymentSpec>) {
    let Some(spec) = spec else { return };
    let path = FieldPath::root("spec");
    errors.check_non_negative(path.child("replicas"), i64::from(spec.replicas.unwrap_or(0)));
    let selector = workload_rules::given_selector(&spec.selector);
    workload_rules::validate_required_selector(errors, path.child("selector"), selector, "deployment");
    match LabelMatcher::new(selector) {
        None => errors.invalid(path.child("selector"), OrderedSelector(&spec.selector), "invalid label selector"),
        Some(matcher) => {
            workload_rules::validate_replica_template(
                errors,
                path.child("template"),
                &matcher,
                &spec.template,
                "ReplicaSet",
            );
        }
    }
    validate_strategy(errors, path.child("strategy"), spec);
    let min_ready = spec.min_ready_seconds.unwrap_or(0);
    errors.check_non_negative(path.child("minReadySeconds"), i64::from(min_ready));
    if let Some(limit) = spec.revision_history_limit {
        errors.check_non_negative(path.child("revisionHistoryLimit"), i64::from(limit));
    }
    if let Some(seconds) = spec.progress_deadline_seconds {
        let path = path.child("progressDeadlineSeconds");
        errors.check_non_negative(path, i64::from(seconds));
        if seconds <= min_ready {
            errors.invalid(path, seconds, "must be greater than minReadySeconds");
        }
    }
}

fn validate_strategy(errors: &mut ErrorList, path: FieldPath<'_>, spec: &DeploymentSpec) {
    let Some(strategy) = &spec.strategy else { return };
    let rolling = path.child("rollingUpdate");
    match (strategy.type_.as_deref().unwrap_or_default(), &strategy.rolling_update) {
        ("Recreate", None) => {}
        ("Recreate", Some(_)) => {
            errors.forbidden(rolling, "may not be specified when strategy `type` is 'Recreate'");
        }
        ("RollingUpdate", None) => errors.required(rolling, "this should be defaulted and never be nil"),
        ("RollingUpdate", Some(update)) => validate_rolling_update(errors, rolling, update),
        _ => errors.not_supported(path, strategy, &["Recreate", "RollingUpdate"]),
    }
}

fn validate_rolling_update(errors: &mut ErrorList, path: FieldPath<'_>, update: &RollingUpdateDeployment) {
    let zero = IntOrString::Int(0);
    let (unavailable, surge) =
        (update.max_unavailable.as_ref().unwrap_or(&zero), update.max_surge.as_ref().unwrap_or(&zero));
    int_or_percent::validate(errors, path.child("maxUnavailable"), unavailable);
    int_or_percent::validate(errors, path.child("maxSurge"), surge);
    if int_or_percent::is_zero(unavailable) && int_or_percent::is_zero(surge) {
        errors.invalid(path.child("maxUnavailable"), unavailable, "may not be 0 when `maxSurge` is 0");
    }
    int_or_percent::validate_at_most_100_percent(errors, path.child("maxUnavailable"), unavailable);
}

/// Validates the status (`ValidateDeploymentStatus`).
fn validate_status(errors: &mut ErrorList, status: &DeploymentStatus) {
    let path = FieldPath::root("status");
    let number = |count: Option<i32>| i64::from(count.unwrap_or(0));
    let counts = [
        ("observedGeneration", status.observed_generation.unwrap_or(0)),
        ("replicas", number(status.replicas)),
        ("updatedReplicas", number(status.updated_replicas)),
        ("readyReplicas", number(status.ready_replicas)),
        ("availableReplicas", number(status.available_replicas)),
        ("unavailableReplicas", number(status.unavailable_replicas)),
        ("terminatingReplicas", number(status.terminating_replicas)),
        ("collisionCount", number(status.collision_count)),
    ];
    workload_rules::validate_counts(errors, path, &counts);
    let counts = [
        ("updatedReplicas", status.updated_replicas),
        ("readyReplicas", status.ready_replicas),
        ("availableReplicas", status.available_replicas),
    ];
    workload_rules::validate_at_most_replicas(errors, path, status.replicas.unwrap_or(0), &counts);
    let available = status.available_replicas.unwrap_or(0);
    if available > status.ready_replicas.unwrap_or(0) {
        errors.invalid(path.child("availableReplicas"), available, "cannot be greater than readyReplicas");
    }
}
