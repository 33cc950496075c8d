//! HorizontalPodAutoscalers: numbers of replicas that follow metrics.

mod annotations;
mod conversion;
mod targets;
mod validation;

use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v2::{
    HPAScalingPolicy, HPAScalingRules, HorizontalPodAutoscaler, HorizontalPodAutoscalerStatus, MetricSpec,
    MetricTarget, ResourceMetricSource,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde_json::Value;

use crate::model::{formats, quantity};
use crate::registry::columns::{self, Column, age};
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::metadata;
use crate::registry::strategy::{KindInfo, OtherVersion, Strategy, SubresourceInfo};

/// The share of the requested CPU, in percent, at which autoscalers without metrics aim.
const DEFAULT_CPU_UTILIZATION: i32 = 80;

impl Strategy for HorizontalPodAutoscaler {
    const INFO: KindInfo = KindInfo {
        short_names: &["hpa"],
        categories: &["all"],
        subresources: &[SubresourceInfo::status("HorizontalPodAutoscaler")],
        ..KindInfo::new("horizontalpodautoscaler", "qwQve8ut294=")
    };
    const COLUMNS: &'static [Column] = &[
        Column::NAME,
        Column::text("Reference", "Kind and name of the scaled object."),
        Column::text("Targets", "Current and desired value of each metric."),
        Column::text("MinPods", "Lowest number of replicas."),
        Column::text("MaxPods", "Highest number of replicas."),
        Column::text("Replicas", "Current number of replicas."),
        Column::AGE,
    ];
    const OTHER_VERSIONS: &'static [OtherVersion] = &[conversion::VERSION];

    fn cells(&self, now: Timestamp) -> Vec<Value> {
        let (spec, status) = (&self.spec, self.status.as_ref());
        let current_metrics = status.and_then(|status| status.current_metrics.as_deref()).unwrap_or_default();
        vec![
            columns::name(&self.metadata),
            format!("{}/{}", spec.scale_target_ref.kind, spec.scale_target_ref.name).into(),
            targets::cell(spec.metrics.as_deref().unwrap_or_default(), current_metrics).into(),
            spec.min_replicas.map_or("<unset>".into(), |number| number.to_string()).into(),
            spec.max_replicas.into(),
            status.and_then(|status| status.current_replicas).unwrap_or(0).into(),
            age(&self.metadata, now).into(),
        ]
    }

    fn set_defaults(&mut self) {
        conversion::remove_annotations(&mut self.metadata);
        let spec = &mut self.spec;
        spec.min_replicas.get_or_insert(1);
        if spec.metrics.as_ref().is_none_or(Vec::is_empty) {
            spec.metrics = Some(vec![cpu_utilization(DEFAULT_CPU_UTILIZATION)]);
        }
        spec.metrics.iter_mut().flatten().for_each(canonicalize);
        if let Some(behavior) = &mut spec.behavior {
            behavior.scale_up = Some(complete_rules(behavior.scale_up.take(), default_scale_up_rules()));
            behavior.scale_down = Some(complete_rules(behavior.scale_down.take(), default_scale_down_rules()));
        }
        self.status.get_or_insert_default();
    }

    fn prepare_for_create(&mut self) {
        self.status = Some(HorizontalPodAutoscalerStatus::default());
    }

    fn validate(&self, errors: &mut ErrorList) {
        metadata::validate_object_meta(errors, &self.metadata, formats::dns_subdomain);
        validation::validate_spec(errors, &self.spec, None);
    }

    fn prepare_for_update(&mut self, old: &Self) {
        self.status.clone_from(&old.status);
    }

    fn validate_update(&self, old: &Self, errors: &mut ErrorList) {
        metadata::validate_object_meta_update(errors, &self.metadata, &old.metadata);
        validation::validate_spec(errors, &self.spec, Some(&old.spec));
    }

    fn prepare_for_status_update(&mut self, old: &Self) {
        self.spec.clone_from(&old.spec);
    }

    fn validate_status_update(&self, old: &Self, errors: &mut ErrorList) {
        metadata::validate_object_meta_update(errors, &self.metadata, &old.metadata);
        let Some(status) = &self.status else { return };
        let path = FieldPath::root("status");
        errors.check_non_negative(path.child("currentReplicas"), status.current_replicas.unwrap_or(0).into());
        errors.check_non_negative(path.child("desiredReplicas"), status.desired_replicas.into());
    }
}

/// Returns the metric of a share of the requested CPU, in percent.
fn cpu_utilization(percent: i32) -> MetricSpec {
    let target =
        MetricTarget { type_: "Utilization".into(), average_utilization: Some(percent), ..MetricTarget::default() };
    MetricSpec {
        type_: "Resource".into(),
        resource: Some(ResourceMetricSource { name: "cpu".into(), target }),
        ..MetricSpec::default()
    }
}

/// Writes the quantities of a metric in canonical form.
fn canonicalize(metric: &mut MetricSpec) {
    let sources = [
        metric.object.as_mut().map(|source| &mut source.target),
        metric.external.as_mut().map(|source| &mut source.target),
        metric.pods.as_mut().map(|source| &mut source.target),
        metric.resource.as_mut().map(|source| &mut source.target),
        metric.container_resource.as_mut().map(|source| &mut source.target),
    ];
    for target in sources.into_iter().flatten() {
        for value in [&mut target.value, &mut target.average_value].into_iter().flatten() {
            canonicalize_quantity(value);
        }
    }
}

fn canonicalize_quantity(value: &mut Quantity) {
    if let Ok(canonical) = quantity::canonical(value) {
        *value = canonical;
    }
}

/// Returns `rules` with the defaults of unset fields.
fn complete_rules(rules: Option<HPAScalingRules>, defaults: HPAScalingRules) -> HPAScalingRules {
    let Some(mut rules) = rules else { return defaults };
    rules.tolerance.iter_mut().for_each(canonicalize_quantity);
    HPAScalingRules {
        policies: rules.policies.or(defaults.policies),
        select_policy: rules.select_policy.or(defaults.select_policy),
        stabilization_window_seconds: rules.stabilization_window_seconds.or(defaults.stabilization_window_seconds),
        tolerance: rules.tolerance,
    }
}

/// Scales up by four pods or to the double in 15 s, whichever is more.
fn default_scale_up_rules() -> HPAScalingRules {
    HPAScalingRules {
        policies: Some(vec![policy("Pods", 4), policy("Percent", 100)]),
        select_policy: Some("Max".into()),
        stabilization_window_seconds: Some(0),
        tolerance: None,
    }
}

/// Scales down by any number of pods; the time window is the controller's.
fn default_scale_down_rules() -> HPAScalingRules {
    HPAScalingRules {
        policies: Some(vec![policy("Percent", 100)]),
        select_policy: Some("Max".into()),
        stabilization_window_seconds: None,
        tolerance: None,
    }
}

fn policy(kind: &str, value: i32) -> HPAScalingPolicy {
    HPAScalingPolicy { type_: kind.into(), value, period_seconds: 15 }
}
