//! Pods: `NAME READY STATUS RESTARTS AGE`, and with `-o wide` addresses and nodes.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::{ColumnDefinition, RowCondition, Tabular, age, non_empty_or};
use crate::model::pod_row::PodRow;
use crate::model::pods;

const SUCCEEDED: [RowCondition; 1] = [RowCondition {
    kind: "Completed",
    status: "True",
    reason: "Succeeded",
    message: "The pod has completed successfully.",
}];
const FAILED: [RowCondition; 1] =
    [RowCondition { kind: "Completed", status: "True", reason: "Failed", message: "The pod failed." }];

impl Tabular for Pod {
    const COLUMNS: &'static [ColumnDefinition] = &[
        ColumnDefinition::NAME,
        ColumnDefinition::text("Ready", "Number of ready containers and of all containers."),
        ColumnDefinition::text("Status", "Status of the pod."),
        ColumnDefinition::text("Restarts", "Number of container restarts and time since the last one."),
        ColumnDefinition::AGE,
        ColumnDefinition::wide("IP", "Address of the pod in the pod network."),
        ColumnDefinition::wide("Node", "The node that the pod is bound to."),
        ColumnDefinition::wide("Nominated Node", "The node on which preemption frees resources for the pod."),
        ColumnDefinition::wide("Readiness Gates", "Number of passed readiness gates and of all readiness gates."),
    ];

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn cells(&self, now: Timestamp) -> Vec<Value> {
        let row = PodRow::from_pod(self);
        let (spec, status) = (self.spec.as_ref(), self.status.as_ref());
        let ips = status.and_then(|status| status.pod_ips.as_deref()).unwrap_or_default();
        let node = spec.and_then(|spec| spec.node_name.as_deref());
        let nominated = status.and_then(|status| status.nominated_node_name.as_deref());
        vec![
            pods::name(self).into(),
            row.ready_cell().into(),
            row.status.as_str().into(),
            row.restarts_cell(now).into(),
            age(&self.metadata, now).into(),
            non_empty_or(ips.first().map(|ip| ip.ip.as_str()), "<none>").into(),
            non_empty_or(node, "<none>").into(),
            non_empty_or(nominated, "<none>").into(),
            readiness_gates(self).into(),
        ]
    }

    fn conditions(&self) -> &'static [RowCondition] {
        match pods::phase(self) {
            "Succeeded" => &SUCCEEDED,
            "Failed" => &FAILED,
            _ => &[],
        }
    }
}

/// Returns the READINESS GATES cell: `1/2`.
fn readiness_gates(pod: &Pod) -> String {
    let gates = pod.spec.as_ref().and_then(|spec| spec.readiness_gates.as_deref()).unwrap_or_default();
    if gates.is_empty() {
        return "<none>".into();
    }
    let open = gates.iter().filter(|gate| pods::has_condition(pod, &gate.condition_type)).count();
    format!("{open}/{}", gates.len())
}
