//! The TARGETS cell of an autoscaler (`pkg/printers/internalversion/printers.go`).

use k8s_openapi::api::autoscaling::v2::{MetricSpec, MetricStatus, MetricTarget, MetricValueStatus};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// Upper bound of the metrics in the cell.
const MAX_SHOWN: usize = 2;

/// Returns the cell: `cpu: 40%/80%, 3/10 (avg) + 1 more...`.
pub fn cell(specs: &[MetricSpec], statuses: &[MetricStatus]) -> String {
    if specs.is_empty() {
        return "<none>".into();
    }
    let shown = specs.iter().enumerate().take(MAX_SHOWN).map(|(i, spec)| metric(spec, statuses.get(i)));
    let shown = shown.collect::<Vec<_>>().join(", ");
    match specs.len().checked_sub(MAX_SHOWN) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} + {more} more..."),
    }
}

fn metric(spec: &MetricSpec, status: Option<&MetricStatus>) -> String {
    match spec.type_.as_str() {
        "External" => {
            let current = status.and_then(|status| status.external.as_ref()).map(|status| &status.current);
            spec.external.as_ref().map(|source| value_or_average(&source.target, current))
        }
        "Object" => {
            let current = status.and_then(|status| status.object.as_ref()).map(|status| &status.current);
            spec.object.as_ref().map(|source| value_or_average(&source.target, current))
        }
        "Pods" => {
            let current = status.and_then(|status| status.pods.as_ref()).map(|status| &status.current);
            let pair = |target| format!("{}/{}", average(current), text(target));
            spec.pods.as_ref().map(|source| pair(source.target.average_value.as_ref()))
        }
        "Resource" => {
            let current = status.and_then(|status| status.resource.as_ref()).map(|status| &status.current);
            spec.resource.as_ref().map(|source| resource(&source.name, &source.target, current))
        }
        "ContainerResource" => {
            let current = status.and_then(|status| status.container_resource.as_ref()).map(|status| &status.current);
            spec.container_resource.as_ref().map(|source| resource(&source.name, &source.target, current))
        }
        _ => None,
    }
    .unwrap_or_else(|| "<unknown type>".into())
}

fn value_or_average(target: &MetricTarget, current: Option<&MetricValueStatus>) -> String {
    if let Some(target) = &target.average_value {
        return format!("{}/{} (avg)", average(current), target.0);
    }
    let current = current.map_or("<unknown>", |current| text(current.value.as_ref()));
    format!("{current}/{}", text(target.value.as_ref()))
}

fn resource(name: &str, target: &MetricTarget, current: Option<&MetricValueStatus>) -> String {
    if let Some(target) = &target.average_value {
        let current = current.map_or("<unknown>", |current| text(current.average_value.as_ref()));
        return format!("{name}: {current}/{}", target.0);
    }
    let percent = |percent: Option<i32>| percent.map(|percent| format!("{percent}%"));
    let current = percent(current.and_then(|current| current.average_utilization));
    let target = percent(target.average_utilization).unwrap_or_else(|| "<auto>".into());
    format!("{name}: {}/{target}", current.as_deref().unwrap_or("<unknown>"))
}

fn average(current: Option<&MetricValueStatus>) -> &str {
    current.and_then(|current| current.average_value.as_ref()).map_or("<unknown>", |value| value.0.as_str())
}

fn text(quantity: Option<&Quantity>) -> &str {
    quantity.map_or("0", |quantity| quantity.0.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_printed_as_in_kubernetes() {
        let specs: Vec<MetricSpec> = serde_json::from_value(serde_json::json!([
            {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}},
            {"type": "External", "external": {"metric": {"name": "q"}, "target": {"type": "AverageValue", "averageValue": "10"}}},
            {"type": "Object", "object": {"metric": {"name": "q"}, "describedObject": {"kind": "K", "name": "n"},
                "target": {"type": "Value", "value": "2k"}}},
        ]))
        .expect("metrics");
        let statuses: Vec<MetricStatus> = serde_json::from_value(serde_json::json!([
            {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 40, "averageValue": "4m"}}},
            {"type": "External", "external": {"metric": {"name": "q"}, "current": {"averageValue": "3"}}},
        ]))
        .expect("statuses");
        assert_eq!(cell(&[], &[]), "<none>");
        assert_eq!(cell(&specs, &statuses), "cpu: 40%/80%, 3/10 (avg) + 1 more...");
        assert_eq!(cell(&specs[2..], &[]), "<unknown>/2k");
    }
}
