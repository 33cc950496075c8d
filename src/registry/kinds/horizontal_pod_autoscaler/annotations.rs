//! The values of the annotations by which `autoscaling/v1` carries metrics and behavior, in Kubernetes' shapes
//! (`MetricSpec` and `MetricStatus` of `k8s.io/api/autoscaling/v1`, and the API server's own type of behaviors).

use k8s_openapi::api::autoscaling::v2;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Whether values are desired (`targetValue`) or current ones (`currentValue`).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Values {
    Target,
    Current,
}

impl Values {
    fn prefix(self) -> &'static str {
        match self {
            Values::Target => "target",
            Values::Current => "current",
        }
    }
}

/// The values of a metric.
#[derive(Default)]
struct MetricValues {
    value: Option<Quantity>,
    average_value: Option<Quantity>,
    average_utilization: Option<i32>,
}

impl MetricValues {
    fn of_target(target: &v2::MetricTarget) -> MetricValues {
        MetricValues {
            value: target.value.clone(),
            average_value: target.average_value.clone(),
            average_utilization: target.average_utilization,
        }
    }

    fn of_current(current: &v2::MetricValueStatus) -> MetricValues {
        MetricValues {
            value: current.value.clone(),
            average_value: current.average_value.clone(),
            average_utilization: current.average_utilization,
        }
    }

    /// Returns the target, whose type follows from the values.
    fn into_target(self) -> v2::MetricTarget {
        let kind = match (&self.average_utilization, &self.average_value) {
            (Some(_), _) => "Utilization",
            (None, Some(_)) => "AverageValue",
            (None, None) => "Value",
        };
        v2::MetricTarget {
            type_: kind.into(),
            value: self.value,
            average_value: self.average_value,
            average_utilization: self.average_utilization,
        }
    }

    fn into_current(self) -> v2::MetricValueStatus {
        v2::MetricValueStatus {
            value: self.value,
            average_value: self.average_value,
            average_utilization: self.average_utilization,
        }
    }

    /// Adds the values to a source, under the names that sources of this field have.
    fn write(&self, source: &mut Map<String, Value>, field: &str, values: Values) {
        let prefix = values.prefix();
        if let Some(value) = &self.value {
            source.insert(format!("{prefix}Value"), value.0.clone().into());
        } else if field == "object" {
            source.insert(format!("{prefix}Value"), "0".into());
        }
        if let Some(value) = &self.average_value {
            source.insert(average_value_name(field, prefix), value.0.clone().into());
        }
        if let Some(percent) = self.average_utilization {
            source.insert(format!("{prefix}AverageUtilization"), percent.into());
        }
    }

    fn read(source: &Map<String, Value>, field: &str, values: Values) -> MetricValues {
        let prefix = values.prefix();
        let quantity = |name: &str| source.get(name).and_then(Value::as_str).map(|text| Quantity(text.into()));
        let average_value = quantity(&average_value_name(field, prefix));
        let value = quantity(&format!("{prefix}Value"));
        // An object's value is written even if only its average is set.
        let value = value.filter(|value| field != "object" || average_value.is_none() || value.0 != "0");
        let percent = source.get(&format!("{prefix}AverageUtilization")).and_then(Value::as_i64);
        MetricValues { value, average_value, average_utilization: percent.and_then(|percent| percent.try_into().ok()) }
    }
}

fn average_value_name(field: &str, prefix: &str) -> String {
    if field == "object" { "averageValue".into() } else { format!("{prefix}AverageValue") }
}

/// Returns the metric as `autoscaling/v1` writes it.
pub fn write_spec(metric: &v2::MetricSpec) -> Value {
    let (field, mut source, values) = if let Some(object) = &metric.object {
        ("object", object_source(&object.described_object, &object.metric), MetricValues::of_target(&object.target))
    } else if let Some(pods) = &metric.pods {
        ("pods", named_source("pods", &pods.metric), MetricValues::of_target(&pods.target))
    } else if let Some(resource) = &metric.resource {
        ("resource", resource_source(&resource.name, None), MetricValues::of_target(&resource.target))
    } else if let Some(resource) = &metric.container_resource {
        let source = resource_source(&resource.name, Some(&resource.container));
        ("containerResource", source, MetricValues::of_target(&resource.target))
    } else if let Some(external) = &metric.external {
        ("external", named_source("external", &external.metric), MetricValues::of_target(&external.target))
    } else {
        return json!({"type": metric.type_});
    };
    values.write(&mut source, field, Values::Target);
    json!({"type": metric.type_, field: source})
}

/// Returns the current metric as `autoscaling/v1` writes it.
pub fn write_status(metric: &v2::MetricStatus) -> Value {
    let (field, mut source, values) = if let Some(object) = &metric.object {
        ("object", object_source(&object.described_object, &object.metric), MetricValues::of_current(&object.current))
    } else if let Some(pods) = &metric.pods {
        ("pods", named_source("pods", &pods.metric), MetricValues::of_current(&pods.current))
    } else if let Some(resource) = &metric.resource {
        ("resource", resource_source(&resource.name, None), MetricValues::of_current(&resource.current))
    } else if let Some(resource) = &metric.container_resource {
        let source = resource_source(&resource.name, Some(&resource.container));
        ("containerResource", source, MetricValues::of_current(&resource.current))
    } else if let Some(external) = &metric.external {
        ("external", named_source("external", &external.metric), MetricValues::of_current(&external.current))
    } else {
        return json!({"type": metric.type_});
    };
    values.write(&mut source, field, Values::Current);
    json!({"type": metric.type_, field: source})
}

fn resource_source(name: &str, container: Option<&str>) -> Map<String, Value> {
    let container = container.map(|container| ("container".to_string(), container.into()));
    [("name".to_string(), Value::from(name))].into_iter().chain(container).collect()
}

fn named_source(field: &str, metric: &v2::MetricIdentifier) -> Map<String, Value> {
    let selector = metric.selector.as_ref().and_then(|selector| serde_json::to_value(selector).ok());
    let selector = selector.map(|selector| (selector_name(field).to_string(), selector));
    [("metricName".to_string(), Value::from(metric.name.as_str()))].into_iter().chain(selector).collect()
}

fn object_source(object: &v2::CrossVersionObjectReference, metric: &v2::MetricIdentifier) -> Map<String, Value> {
    let mut source = named_source("object", metric);
    source.insert("target".into(), serde_json::to_value(object).unwrap_or_default());
    source
}

fn selector_name(field: &str) -> &'static str {
    if field == "external" { "metricSelector" } else { "selector" }
}

/// Returns the metric that `autoscaling/v1` wrote.
pub fn read_spec(metric: &Value) -> Option<v2::MetricSpec> {
    let mut spec = v2::MetricSpec { type_: kind(metric)?, ..v2::MetricSpec::default() };
    let (field, source) = source(metric)?;
    let target = MetricValues::read(source, field, Values::Target).into_target();
    let name = string(source, "name");
    match field {
        "object" => {
            let described_object = described_object(source);
            spec.object = Some(v2::ObjectMetricSource { described_object, metric: identifier(source, field), target });
        }
        "pods" => spec.pods = Some(v2::PodsMetricSource { metric: identifier(source, field), target }),
        "resource" => spec.resource = Some(v2::ResourceMetricSource { name, target }),
        "containerResource" => {
            let container = string(source, "container");
            spec.container_resource = Some(v2::ContainerResourceMetricSource { container, name, target });
        }
        _ => spec.external = Some(v2::ExternalMetricSource { metric: identifier(source, field), target }),
    }
    Some(spec)
}

/// Returns the current metric that `autoscaling/v1` wrote.
pub fn read_status(metric: &Value) -> Option<v2::MetricStatus> {
    let mut status = v2::MetricStatus { type_: kind(metric)?, ..v2::MetricStatus::default() };
    let (field, source) = source(metric)?;
    let current = MetricValues::read(source, field, Values::Current).into_current();
    let name = string(source, "name");
    match field {
        "object" => {
            let described_object = described_object(source);
            status.object =
                Some(v2::ObjectMetricStatus { current, described_object, metric: identifier(source, field) });
        }
        "pods" => status.pods = Some(v2::PodsMetricStatus { current, metric: identifier(source, field) }),
        "resource" => status.resource = Some(v2::ResourceMetricStatus { current, name }),
        "containerResource" => {
            let container = string(source, "container");
            status.container_resource = Some(v2::ContainerResourceMetricStatus { container, current, name });
        }
        _ => status.external = Some(v2::ExternalMetricStatus { current, metric: identifier(source, field) }),
    }
    Some(status)
}

fn kind(metric: &Value) -> Option<String> {
    metric.get("type").and_then(Value::as_str).map(String::from)
}

/// Returns the first source of a metric and its field.
fn source(metric: &Value) -> Option<(&'static str, &Map<String, Value>)> {
    let fields = ["object", "pods", "resource", "containerResource", "external"];
    fields.into_iter().find_map(|field| Some((field, metric.get(field)?.as_object()?)))
}

fn string(source: &Map<String, Value>, name: &str) -> String {
    source.get(name).and_then(Value::as_str).unwrap_or_default().into()
}

fn identifier(source: &Map<String, Value>, field: &str) -> v2::MetricIdentifier {
    let selector = source.get(selector_name(field)).and_then(|selector| serde_json::from_value(selector.clone()).ok());
    v2::MetricIdentifier { name: string(source, "metricName"), selector }
}

fn described_object(source: &Map<String, Value>) -> v2::CrossVersionObjectReference {
    source.get("target").and_then(|target| serde_json::from_value(target.clone()).ok()).unwrap_or_default()
}

/// A behavior with the API server's own names of fields.
#[derive(Serialize, Deserialize, Default, PartialEq)]
#[serde(rename_all = "PascalCase", default)]
pub struct Behavior {
    scale_up: Option<ScalingRules>,
    scale_down: Option<ScalingRules>,
}

#[derive(Serialize, Deserialize, Default, PartialEq)]
#[serde(rename_all = "PascalCase", default)]
struct ScalingRules {
    stabilization_window_seconds: Option<i32>,
    select_policy: Option<String>,
    policies: Option<Vec<ScalingPolicy>>,
    tolerance: Option<Quantity>,
}

#[derive(Serialize, Deserialize, Default, PartialEq)]
#[serde(rename_all = "PascalCase", default)]
struct ScalingPolicy {
    #[serde(rename = "Type")]
    kind: String,
    value: i32,
    period_seconds: i32,
}

impl Behavior {
    /// Converts a behavior of `autoscaling/v2`.
    pub fn from_v2(behavior: &v2::HorizontalPodAutoscalerBehavior) -> Behavior {
        let policy = |policy: &v2::HPAScalingPolicy| ScalingPolicy {
            kind: policy.type_.clone(),
            value: policy.value,
            period_seconds: policy.period_seconds,
        };
        let rules = |rules: &v2::HPAScalingRules| ScalingRules {
            stabilization_window_seconds: rules.stabilization_window_seconds,
            select_policy: rules.select_policy.clone(),
            policies: rules.policies.as_ref().map(|policies| policies.iter().map(policy).collect()),
            tolerance: rules.tolerance.clone(),
        };
        Behavior {
            scale_up: behavior.scale_up.as_ref().map(rules),
            scale_down: behavior.scale_down.as_ref().map(rules),
        }
    }

    /// Converts to a behavior of `autoscaling/v2`.
    pub fn into_v2(self) -> v2::HorizontalPodAutoscalerBehavior {
        let policy = |policy: ScalingPolicy| v2::HPAScalingPolicy {
            type_: policy.kind,
            value: policy.value,
            period_seconds: policy.period_seconds,
        };
        let rules = |rules: ScalingRules| v2::HPAScalingRules {
            stabilization_window_seconds: rules.stabilization_window_seconds,
            select_policy: rules.select_policy,
            policies: rules.policies.map(|policies| policies.into_iter().map(policy).collect()),
            tolerance: rules.tolerance,
        };
        v2::HorizontalPodAutoscalerBehavior {
            scale_up: self.scale_up.map(rules),
            scale_down: self.scale_down.map(rules),
        }
    }
}
