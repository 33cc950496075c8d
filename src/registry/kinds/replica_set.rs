//! ReplicaSets: a number of equal pods. Deployments create them.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetSpec, ReplicaSetStatus};
use k8s_openapi::api::autoscaling::v1::Scale;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::Value;

use crate::model::formats;
use crate::registry::columns::{self, Column, age};
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::label_selector::{LabelMatcher, OrderedSelector, format_label_selector};
use crate::registry::metadata;
use crate::registry::pod::{template, unset_if_zero};
use crate::registry::strategy::{KindInfo, Strategy, SubresourceInfo};
use crate::registry::workload_rules::{self, ReplicaCounts};

impl Strategy for ReplicaSet {
    const INFO: KindInfo = KindInfo {
        short_names: &["rs"],
        categories: &["all"],
        subresources: &[SubresourceInfo::SCALE, SubresourceInfo::status("ReplicaSet")],
        ..KindInfo::new("replicaset", "P1RzHs8/mWQ=")
    };
    const COLUMNS: &'static [Column] = &[
        Column::NAME,
        Column::integer("Desired", "Number of wanted pods."),
        Column::integer("Current", "Number of pods."),
        Column::integer("Ready", "Number of ready pods."),
        Column::AGE,
        workload_rules::CONTAINERS,
        workload_rules::IMAGES,
        workload_rules::SELECTOR,
    ];
    const HAS_GENERATION: bool = true;
    const TEMPLATE_PATH: Option<&'static str> = Some(workload_rules::TEMPLATE_PATH);

    fn cells(&self, now: Timestamp) -> Vec<Value> {
        let status = self.status.as_ref();
        let [containers, images] = workload_rules::container_cells(self);
        vec![
            columns::name(&self.metadata),
            self.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0).into(),
            status.map_or(0, |status| status.replicas).into(),
            status.and_then(|status| status.ready_replicas).unwrap_or(0).into(),
            age(&self.metadata, now).into(),
            containers,
            images,
            format_label_selector(selector(self)).into(),
        ]
    }

    fn set_defaults(&mut self) {
        let spec = self.spec.get_or_insert_default();
        unset_if_zero(&mut spec.min_ready_seconds);
        workload_rules::set_selector_defaults(&mut spec.selector);
        spec.replicas.get_or_insert(1);
        template::set_defaults(spec.template.get_or_insert_default());
    }

    fn prepare_for_create(&mut self) {
        self.status = Some(ReplicaSetStatus::default());
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
    }

    fn validate_status_update(&self, old: &Self, errors: &mut ErrorList) {
        metadata::validate_object_meta_update(errors, &self.metadata, &old.metadata);
        if let Some(status) = &self.status {
            counts(status).validate(errors);
        }
    }

    fn is_spec_changed(&self, old: &Self) -> bool {
        self.spec != old.spec
    }

    fn template(&self) -> Option<&PodTemplateSpec> {
        self.spec.as_ref().and_then(|spec| spec.template.as_ref())
    }

    fn scale(&self) -> Option<Scale> {
        let spec = self.spec.as_ref()?;
        let observed = self.status.as_ref().map_or(0, |status| status.replicas);
        Some(workload_rules::scale(spec.replicas, observed, LabelMatcher::new(Some(&spec.selector)).as_ref()))
    }

    fn set_replicas(&mut self, replicas: i32) {
        self.spec.get_or_insert_default().replicas = Some(replicas);
    }
}

fn selector(set: &ReplicaSet) -> Option<&LabelSelector> {
    set.spec.as_ref().and_then(|spec| workload_rules::given_selector(&spec.selector))
}

fn counts(status: &ReplicaSetStatus) -> ReplicaCounts {
    ReplicaCounts {
        replicas: status.replicas,
        fully_labeled: status.fully_labeled_replicas,
        ready: status.ready_replicas,
        available: status.available_replicas,
        observed_generation: status.observed_generation,
    }
}

/// Validates the spec (`ValidateReplicaSetSpec`).
fn validate_spec(errors: &mut ErrorList, spec: Option<&ReplicaSetSpec>) {
    let Some(spec) = spec else { return };
    let path = FieldPath::root("spec");
    errors.check_non_negative(path.child("replicas"), i64::from(spec.replicas.unwrap_or(0)));
    errors.check_non_negative(path.child("minReadySeconds"), i64::from(spec.min_ready_seconds.unwrap_or(0)));
    let selector = workload_rules::given_selector(&spec.selector);
    // The word is Kubernetes'.
    workload_rules::validate_required_selector(errors, path.child("selector"), selector, "deployment");
    match (LabelMatcher::new(selector), &spec.template) {
        (None, _) => errors.invalid(path.child("selector"), OrderedSelector(&spec.selector), "invalid label selector"),
        (Some(matcher), Some(template)) => {
            workload_rules::validate_replica_template(errors, path.child("template"), &matcher, template, "ReplicaSet");
        }
        (Some(_), None) => {}
    }
}
