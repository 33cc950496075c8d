//! DaemonSets: one pod on each matching node.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetSpec, DaemonSetStatus, RollingUpdateDaemonSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;

use crate::model::formats;
use crate::registry::columns::{self, Column, age};
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::label_selector::{LabelMatcher, format_label_selector, format_labels};
use crate::registry::pod::{set_default, template, unset_if_zero};
use crate::registry::strategy::{KindInfo, Strategy, SubresourceInfo};
use crate::registry::{int_or_percent, metadata, workload_rules};

/// The annotation that counts the changes of the template. Clients cannot set it.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

impl Strategy for DaemonSet {
    const INFO: KindInfo = KindInfo {
        short_names: &["ds"],
        categories: &["all"],
        subresources: &[SubresourceInfo::status("DaemonSet")],
        ..KindInfo::new("daemonset", "dd7pWHUlMKQ=")
    };
    const COLUMNS: &'static [Column] = &[
        Column::NAME,
        Column::integer("Desired", "Number of nodes that should run a pod."),
        Column::integer("Current", "Number of nodes that run a pod and should."),
        Column::integer("Ready", "Number of nodes with a ready pod."),
        Column::integer("Up-to-date", "Number of nodes with a pod of the current template."),
        Column::integer("Available", "Number of nodes with an available pod."),
        Column::text("Node Selector", "Labels of the nodes that should run a pod."),
        Column::AGE,
        workload_rules::CONTAINERS,
        workload_rules::IMAGES,
        workload_rules::SELECTOR,
    ];
    const HAS_GENERATION: bool = true;
    const TEMPLATE_PATH: Option<&'static str> = Some(workload_rules::TEMPLATE_PATH);

    fn cells(&self, now: Timestamp) -> Vec<Value> {
        let empty = DaemonSetStatus::default();
        let status = self.status.as_ref().unwrap_or(&empty);
        let nodes = self.template().and_then(|template| template.spec.as_ref()?.node_selector.as_ref());
        let [containers, images] = workload_rules::container_cells(self);
        vec![
            columns::name(&self.metadata),
            status.desired_number_scheduled.into(),
            status.current_number_scheduled.into(),
            status.number_ready.into(),
            status.updated_number_scheduled.unwrap_or(0).into(),
            status.number_available.unwrap_or(0).into(),
            format_labels(nodes).into(),
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
        spec.revision_history_limit.get_or_insert(10);
        let strategy = spec.update_strategy.get_or_insert_default();
        set_default(&mut strategy.type_, "RollingUpdate");
        if strategy.type_.as_deref() == Some("RollingUpdate") {
            let rolling = strategy.rolling_update.get_or_insert_default();
            rolling.max_unavailable.get_or_insert(IntOrString::Int(1));
            rolling.max_surge.get_or_insert(IntOrString::Int(0));
        }
        template::set_defaults(&mut spec.template);
    }

    fn prepare_for_create(&mut self) {
        self.status = Some(DaemonSetStatus::default());
        set_template_generation(&mut self.metadata, 1);
    }

    fn validate(&self, errors: &mut ErrorList) {
        metadata::validate_object_meta(errors, &self.metadata, formats::dns_subdomain);
        validate_spec(errors, self.spec.as_ref());
    }

    fn warnings_on_create(&self) -> Vec<String> {
        workload_rules::warnings_on_template(self)
    }

    fn prepare_for_update(&mut self, old: &Self) {
        self.status.clone_from(&old.status);
        let is_changed = self.template() != old.template();
        set_template_generation(&mut self.metadata, template_generation(&old.metadata) + i64::from(is_changed));
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
        set_template_generation(&mut self.metadata, template_generation(&old.metadata));
    }

    fn validate_status_update(&self, old: &Self, errors: &mut ErrorList) {
        metadata::validate_object_meta_update(errors, &self.metadata, &old.metadata);
        let empty = DaemonSetStatus::default();
        let status = self.status.as_ref().unwrap_or(&empty);
        validate_status(errors, status);
        let old = old.status.as_ref().and_then(|status| status.collision_count);
        workload_rules::validate_collision_count(errors, old, status.collision_count);
    }

    fn is_spec_changed(&self, old: &Self) -> bool {
        self.spec != old.spec
    }

    fn template(&self) -> Option<&PodTemplateSpec> {
        self.spec.as_ref().map(|spec| &spec.template)
    }
}

fn selector(set: &DaemonSet) -> Option<&LabelSelector> {
    set.spec.as_ref().and_then(|spec| workload_rules::given_selector(&spec.selector))
}

fn template_generation(meta: &ObjectMeta) -> i64 {
    let annotation = meta.annotations.as_ref().and_then(|annotations| annotations.get(TEMPLATE_GENERATION));
    annotation.and_then(|number| number.parse().ok()).unwrap_or(1)
}

fn set_template_generation(meta: &mut ObjectMeta, generation: i64) {
    meta.annotations.get_or_insert_default().insert(TEMPLATE_GENERATION.into(), generation.to_string());
}

/// Validates the spec (`ValidateDaemonSetSpec`).
fn validate_spec(errors: &mut ErrorList, spec: Option<&DaemonSetSpec>) {
    let Some(spec) = spec else { return };
    let path = FieldPath::root("spec");
    let selector = workload_rules::given_selector(&spec.selector);
    metadata::validate_label_selector(errors, path.child("selector"), selector);
    if let Some(matcher) = LabelMatcher::new(selector) {
        workload_rules::validate_matching_labels(errors, path.child("template"), &matcher, &spec.template);
    }
    if let Some(selector) = selector {
        workload_rules::reject_empty_selector(errors, path.child("selector"), selector, "daemonset");
    }
    template::validate(errors, path.child("template"), &spec.template);
    workload_rules::validate_restarted_forever(errors, path.child("template"), &spec.template, "DaemonSet");
    errors.check_non_negative(path.child("minReadySeconds"), i64::from(spec.min_ready_seconds.unwrap_or(0)));
    validate_strategy(errors, path.child("updateStrategy"), spec);
    if let Some(limit) = spec.revision_history_limit {
        errors.check_non_negative(path.child("revisionHistoryLimit"), i64::from(limit));
    }
}

fn validate_strategy(errors: &mut ErrorList, path: FieldPath<'_>, spec: &DaemonSetSpec) {
    let Some(strategy) = &spec.update_strategy else { return };
    match (strategy.type_.as_deref().unwrap_or_default(), &strategy.rolling_update) {
        ("OnDelete", _) => {}
        ("RollingUpdate", None) => errors.required(path.child("rollingUpdate"), ""),
        ("RollingUpdate", Some(update)) => validate_rolling_update(errors, path.child("rollingUpdate"), update),
        _ => errors.not_supported(path, strategy, &["RollingUpdate", "OnDelete"]),
    }
}

fn validate_rolling_update(errors: &mut ErrorList, path: FieldPath<'_>, update: &RollingUpdateDaemonSet) {
    let zero = IntOrString::Int(0);
    let (unavailable, surge) =
        (update.max_unavailable.as_ref().unwrap_or(&zero), update.max_surge.as_ref().unwrap_or(&zero));
    let (unavailable_path, surge_path) = (path.child("maxUnavailable"), path.child("maxSurge"));
    int_or_percent::validate(errors, unavailable_path, unavailable);
    int_or_percent::validate(errors, surge_path, surge);
    int_or_percent::validate_at_most_100_percent(errors, unavailable_path, unavailable);
    int_or_percent::validate_at_most_100_percent(errors, surge_path, surge);
    match (int_or_percent::is_zero(unavailable), int_or_percent::is_zero(surge)) {
        (false, false) => errors.invalid(surge_path, surge, "may not be set when maxUnavailable is non-zero"),
        (true, true) => errors.required(unavailable_path, "cannot be 0 when maxSurge is 0"),
        _ => {}
    }
}

/// Validates the status (`validateDaemonSetStatus`).
fn validate_status(errors: &mut ErrorList, status: &DaemonSetStatus) {
    let number = |count: Option<i32>| i64::from(count.unwrap_or(0));
    let counts = [
        ("currentNumberScheduled", i64::from(status.current_number_scheduled)),
        ("numberMisscheduled", i64::from(status.number_misscheduled)),
        ("desiredNumberScheduled", i64::from(status.desired_number_scheduled)),
        ("numberReady", i64::from(status.number_ready)),
        ("observedGeneration", status.observed_generation.unwrap_or(0)),
        ("updatedNumberScheduled", number(status.updated_number_scheduled)),
        ("numberAvailable", number(status.number_available)),
        ("numberUnavailable", number(status.number_unavailable)),
        ("collisionCount", number(status.collision_count)),
    ];
    workload_rules::validate_counts(errors, FieldPath::root("status"), &counts);
}
