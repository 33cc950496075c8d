//! Pods: `NAME READY STATUS RESTARTS AGE`, and with `-o wide` where they are.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::{Column, RowCondition, Tabular, age, or};
use crate::model::pods;
use crate::model::printed::Printed;

const SUCCEEDED: [RowCondition; 1] = [RowCondition {
    kind: "Completed",
    status: "True",
    reason: "Succeeded",
    message: "The pod has completed successfully.",
}];
const FAILED: [RowCondition; 1] =
    [RowCondition { kind: "Completed", status: "True", reason: "Failed", message: "The pod failed." }];

impl Tabular for Pod {
    const COLUMNS: &'static [Column] = &[
        Column::NAME,
        Column::text("Ready", "How many of the pod's containers are ready, and how many there are."),
        Column::text("Status", "What the pod is doing, in a word."),
        Column::text("Restarts", "How often its containers have been restarted, and when last."),
        Column::AGE,
        Column::wide("IP", "The pod's address in the pod network."),
        Column::wide("Node", "The node that the pod is bound to."),
        Column::wide("Nominated Node", "The node that makes room for the pod."),
        Column::wide("Readiness Gates", "How many of the pod's readiness gates are open, and how many there are."),
    ];

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn cells(&self, now: Timestamp) -> Vec<Value> {
        let printed = Printed::of(self);
        let (spec, status) = (self.spec.as_ref(), self.status.as_ref());
        let ips = status.and_then(|status| status.pod_ips.as_deref()).unwrap_or_default();
        let node = spec.and_then(|spec| spec.node_name.as_deref());
        let nominated = status.and_then(|status| status.nominated_node_name.as_deref());
        vec![
            pods::name(self).into(),
            printed.ready_of_all().into(),
            printed.status.as_str().into(),
            printed.restarts_at(now).into(),
            age(&self.metadata, now).into(),
            or(ips.first().map(|ip| ip.ip.as_str()), "<none>").into(),
            or(node, "<none>").into(),
            or(nominated, "<none>").into(),
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

/// `1/2`
fn readiness_gates(pod: &Pod) -> String {
    let gates = pod.spec.as_ref().and_then(|spec| spec.readiness_gates.as_deref()).unwrap_or_default();
    if gates.is_empty() {
        return "<none>".into();
    }
    let open = gates.iter().filter(|gate| pods::has_condition(pod, &gate.condition_type)).count();
    format!("{open}/{}", gates.len())
}
