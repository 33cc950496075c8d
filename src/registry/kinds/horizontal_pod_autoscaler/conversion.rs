//! Autoscalers in `autoscaling/v1`, which has one metric: the utilization of CPU. Annotations carry what it lacks
//! (`pkg/apis/autoscaling/v1/conversion.go`).

use std::collections::BTreeMap;

use k8s_openapi::api::autoscaling::{v1, v2};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::annotations::{self, Behavior};
use super::{DEFAULT_CPU_UTILIZATION, cpu_utilization};
use crate::control::{Body, Object, Patch, Status};
use crate::model::{BodyFormat, DecodeError, Decoded, KindType, decode_body};
use crate::registry::patch;
use crate::registry::strategy::OtherVersion;

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

/// Autoscalers of `autoscaling/v1`.
pub const VERSION: OtherVersion = OtherVersion {
    group: "autoscaling",
    version: "v1",
    kind_type: KindType::of::<v1::HorizontalPodAutoscaler>(),
    convert: |object| {
        let hpa: &v1::HorizontalPodAutoscaler = object.as_any().downcast_ref()?;
        Some(from_v1(hpa.clone()).into())
    },
    encode: |object| serde_json::to_vec(&to_v1(&*object.decode::<v2::HorizontalPodAutoscaler>()?)),
    decode,
    patch: apply_patch,
    validate: None,
    fields: &[],
};

/// Decodes an autoscaler of `autoscaling/v1` as one of `autoscaling/v2`.
fn decode(format: BodyFormat, body: &[u8]) -> Result<Decoded<Body>, DecodeError> {
    let Decoded { object, ignored_fields } =
        decode_body::<v1::HorizontalPodAutoscaler>("autoscaling/v1", "HorizontalPodAutoscaler", format, body)?;
    Ok(Decoded { object: from_v1(object).into(), ignored_fields })
}

/// Applies a patch of an autoscaler of `autoscaling/v1`.
fn apply_patch(object: &Object, patch: &Patch) -> Result<Body, Status> {
    let stored = object.decode::<v2::HorizontalPodAutoscaler>().map_err(Status::internal)?;
    patch::apply(&to_v1(&stored), patch).map(|patched| from_v1(patched).into())
}

/// Returns the autoscaler in `autoscaling/v1`.
fn to_v1(hpa: &v2::HorizontalPodAutoscaler) -> v1::HorizontalPodAutoscaler {
    let mut metadata = hpa.metadata.clone();
    remove_annotations(&mut metadata);
    let status = hpa.status.as_ref();
    let metrics = hpa.spec.metrics.as_deref().unwrap_or_default();
    let others = metrics.iter().filter(|metric| cpu_percent(metric).is_none()).map(annotations::write_spec);
    annotate(&mut metadata, METRICS, &others.collect::<Vec<_>>());
    let current = status.and_then(|status| status.current_metrics.as_deref()).unwrap_or_default();
    annotate(&mut metadata, CURRENT_METRICS, &current.iter().map(annotations::write_status).collect::<Vec<_>>());
    let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    annotate(&mut metadata, CONDITIONS, conditions);
    if let Some(behavior) = &hpa.spec.behavior {
        insert(&mut metadata, BEHAVIOR, &Behavior::from_v2(behavior));
    }
    let first_cpu = metrics.iter().find(|metric| is_cpu(metric));
    let current_cpu = current.iter().filter_map(|metric| metric.resource.as_ref()).rfind(|metric| metric.name == "cpu");
    let target = &hpa.spec.scale_target_ref;
    v1::HorizontalPodAutoscaler {
        metadata,
        spec: v1::HorizontalPodAutoscalerSpec {
            max_replicas: hpa.spec.max_replicas,
            min_replicas: hpa.spec.min_replicas,
            scale_target_ref: v1::CrossVersionObjectReference {
                api_version: target.api_version.clone(),
                kind: target.kind.clone(),
                name: target.name.clone(),
            },
            target_cpu_utilization_percentage: first_cpu.and_then(cpu_percent),
        },
        status: status.map(|status| v1::HorizontalPodAutoscalerStatus {
            current_cpu_utilization_percentage: current_cpu.and_then(|metric| metric.current.average_utilization),
            current_replicas: status.current_replicas.unwrap_or(0),
            desired_replicas: status.desired_replicas,
            last_scale_time: status.last_scale_time.clone(),
            observed_generation: status.observed_generation,
        }),
    }
}

/// Returns the autoscaler in `autoscaling/v2`. Annotations that do not parse are ignored.
fn from_v1(hpa: v1::HorizontalPodAutoscaler) -> v2::HorizontalPodAutoscaler {
    let v1::HorizontalPodAutoscaler { mut metadata, spec, status } = hpa;
    let others: Vec<Value> = parse(&metadata, METRICS).unwrap_or_default();
    let mut metrics: Vec<v2::MetricSpec> = others.iter().filter_map(annotations::read_spec).collect();
    metrics.extend(spec.target_cpu_utilization_percentage.map(cpu_utilization));
    if metrics.is_empty() {
        metrics.push(cpu_utilization(DEFAULT_CPU_UTILIZATION));
    }
    let behavior = parse::<Behavior>(&metadata, BEHAVIOR).filter(|behavior| *behavior != Behavior::default());
    let current: Option<Vec<Value>> = parse(&metadata, CURRENT_METRICS);
    let conditions = parse(&metadata, CONDITIONS);
    remove_annotations(&mut metadata);
    let target = spec.scale_target_ref;
    v2::HorizontalPodAutoscaler {
        metadata,
        spec: v2::HorizontalPodAutoscalerSpec {
            behavior: behavior.map(Behavior::into_v2),
            max_replicas: spec.max_replicas,
            metrics: Some(metrics),
            min_replicas: spec.min_replicas,
            scale_target_ref: v2::CrossVersionObjectReference {
                api_version: target.api_version,
                kind: target.kind,
                name: target.name,
            },
        },
        status: status.map(|status| v2::HorizontalPodAutoscalerStatus {
            conditions,
            current_metrics: match current {
                Some(current) => Some(current.iter().filter_map(annotations::read_status).collect()),
                None => status.current_cpu_utilization_percentage.map(|percent| vec![current_cpu_utilization(percent)]),
            },
            current_replicas: Some(status.current_replicas),
            desired_replicas: status.desired_replicas,
            last_scale_time: status.last_scale_time,
            observed_generation: status.observed_generation,
        }),
    }
}

/// Removes the annotations that only `autoscaling/v1` has.
pub fn remove_annotations(metadata: &mut ObjectMeta) {
    if let Some(annotations) = &mut metadata.annotations {
        for key in [METRICS, CURRENT_METRICS, CONDITIONS, BEHAVIOR] {
            annotations.remove(key);
        }
        metadata.annotations.take_if(|annotations| annotations.is_empty());
    }
}

fn annotate<T: Serialize>(metadata: &mut ObjectMeta, key: &str, list: &[T]) {
    if !list.is_empty() {
        insert(metadata, key, &list);
    }
}

fn insert<T: Serialize>(metadata: &mut ObjectMeta, key: &str, value: &T) {
    if let Ok(json) = serde_json::to_string(value) {
        metadata.annotations.get_or_insert_with(BTreeMap::new).insert(key.into(), json);
    }
}

fn parse<T: for<'de> Deserialize<'de>>(metadata: &ObjectMeta, key: &str) -> Option<T> {
    metadata.annotations.as_ref()?.get(key).and_then(|json| serde_json::from_str(json).ok())
}

fn is_cpu(metric: &v2::MetricSpec) -> bool {
    metric.type_ == "Resource" && metric.resource.as_ref().is_some_and(|resource| resource.name == "cpu")
}

/// Returns the desired utilization if the metric is that of CPU.
fn cpu_percent(metric: &v2::MetricSpec) -> Option<i32> {
    metric.resource.as_ref().filter(|_| is_cpu(metric))?.target.average_utilization
}

fn current_cpu_utilization(percent: i32) -> v2::MetricStatus {
    let current = v2::MetricValueStatus { average_utilization: Some(percent), ..v2::MetricValueStatus::default() };
    v2::MetricStatus {
        type_: "Resource".into(),
        resource: Some(v2::ResourceMetricStatus { name: "cpu".into(), current }),
        ..v2::MetricStatus::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn v1_keeps_what_it_lacks_in_annotations() {
        let stored: v2::HorizontalPodAutoscaler = serde_json::from_value(json!({
            "metadata": {"name": "h", "annotations": {"a": "b"}},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                "minReplicas": 1, "maxReplicas": 5,
                "metrics": [
                    {"type": "Pods", "pods": {"metric": {"name": "q", "selector": {"matchLabels": {"a": "b"}}},
                        "target": {"type": "AverageValue", "averageValue": "10"}}},
                    {"type": "Object", "object": {"metric": {"name": "q"}, "describedObject": {"kind": "K", "name": "n"},
                        "target": {"type": "AverageValue", "averageValue": "2k"}}},
                    {"type": "Resource", "resource": {"name": "cpu",
                        "target": {"type": "Utilization", "averageUtilization": 50}}},
                ],
                "behavior": {"scaleUp": {"selectPolicy": "Max", "stabilizationWindowSeconds": 0,
                    "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}]}},
            },
            "status": {
                "currentReplicas": 2, "desiredReplicas": 3,
                "conditions": [{"type": "AbleToScale", "status": "True"}],
                "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu",
                    "current": {"averageUtilization": 40, "averageValue": "4m"}}}],
            },
        }))
        .expect("an autoscaler");
        let v1 = to_v1(&stored);
        assert_eq!(v1.spec.target_cpu_utilization_percentage, Some(50));
        assert_eq!(v1.status.as_ref().and_then(|status| status.current_cpu_utilization_percentage), Some(40));
        let annotations = v1.metadata.annotations.clone().expect("annotations");
        let behavior = r#"{"ScaleUp":{"StabilizationWindowSeconds":0,"SelectPolicy":"Max","Policies":[{"Type":"Pods","Value":4,"PeriodSeconds":15}],"Tolerance":null},"ScaleDown":null}"#;
        assert_eq!(annotations[BEHAVIOR], behavior);
        let metrics: Value = serde_json::from_str(&annotations[METRICS]).expect("JSON");
        let pods = json!({"metricName": "q", "selector": {"matchLabels": {"a": "b"}}, "targetAverageValue": "10"});
        assert_eq!(metrics[0], json!({"type": "Pods", "pods": pods}));
        assert_eq!(from_v1(v1), stored);
    }

    #[test]
    fn v1_without_metrics_aims_at_the_default_utilization() {
        let v1: v1::HorizontalPodAutoscaler = serde_json::from_value(json!({
            "metadata": {"name": "h", "annotations": {METRICS: "not JSON"}},
            "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "maxReplicas": 5},
        }))
        .expect("an autoscaler");
        let v2 = from_v1(v1);
        assert_eq!(v2.metadata.annotations, None);
        assert_eq!(v2.spec.metrics, Some(vec![cpu_utilization(DEFAULT_CPU_UTILIZATION)]));
    }
}
