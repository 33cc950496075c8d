//! The sections of a pod, except for its Events.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodSpec, PodStatus, Toleration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::prefix_writer::{PrefixWriter, format_date};
use super::{containers, volumes};
use crate::model::{duration, pods};

/// Writes everything except the Events.
pub fn describe(out: &mut PrefixWriter, pod: &Pod, now: Timestamp) {
    let (no_spec, no_status) = (PodSpec::default(), PodStatus::default());
    let spec = pod.spec.as_ref().unwrap_or(&no_spec);
    let status = pod.status.as_ref().unwrap_or(&no_status);
    out.field(0, "Name", pods::name(pod));
    out.field(0, "Namespace", pods::namespace(pod));
    scheduling(out, spec, status);
    out.labels("Labels", pod.metadata.labels.as_ref());
    out.annotations("Annotations", pod.metadata.annotations.as_ref());
    match &pod.metadata.deletion_timestamp {
        Some(Time(at)) if status.reason.as_deref() != Some("NodeLost") => {
            let ago = duration::human_duration(now.duration_since(*at).as_secs());
            out.field(0, "Status", format_args!("Terminating (lasts {ago})"));
            let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or_default();
            out.field(0, "Termination Grace Period", format_args!("{grace}s"));
        }
        _ => out.field(0, "Status", status.phase.as_deref().unwrap_or_default()),
    }
    out.field_if(0, "Reason", status.reason.as_deref());
    out.field_if(0, "Message", status.message.as_deref());
    addresses(out, status);
    let owners = pod.metadata.owner_references.iter().flatten();
    if let Some(owner) = owners.into_iter().find(|owner| owner.controller == Some(true)) {
        out.field(0, "Controlled By", format_args!("{}/{}", owner.kind, owner.name));
    }
    out.field_if(0, "NominatedNodeName", status.nominated_node_name.as_deref());
    if let Some(init) = spec.init_containers.as_deref().filter(|init| !init.is_empty()) {
        containers::describe(out, "Init Containers", pod, init, status.init_container_statuses.as_deref());
    }
    containers::describe(out, "Containers", pod, &spec.containers, status.container_statuses.as_deref());
    conditions(out, spec, status);
    volumes::describe(out, spec.volumes.as_deref().unwrap_or_default());
    out.field(0, "QoS Class", status.qos_class.as_deref().unwrap_or_default());
    out.labels("Node-Selectors", spec.node_selector.as_ref());
    let tolerations: Vec<String> = spec.tolerations.iter().flatten().map(toleration).collect();
    out.values("Tolerations", &tolerations);
}

fn scheduling(out: &mut PrefixWriter, spec: &PodSpec, status: &PodStatus) {
    if let Some(priority) = spec.priority {
        out.field(0, "Priority", priority);
        out.field_if(0, "Priority Class Name", spec.priority_class_name.as_deref());
    }
    out.field_if(0, "Runtime Class Name", spec.runtime_class_name.as_deref());
    out.field_if(0, "Service Account", spec.service_account_name.as_deref());
    match spec.node_name.as_deref().unwrap_or_default() {
        "" => out.field(0, "Node", "<none>"),
        name => out.field(0, "Node", format_args!("{name}/{}", status.host_ip.as_deref().unwrap_or_default())),
    }
    if let Some(start) = &status.start_time {
        out.field(0, "Start Time", format_date(Some(start)));
    }
}

fn addresses(out: &mut PrefixWriter, status: &PodStatus) {
    out.field(0, "IP", status.pod_ip.as_deref().unwrap_or_default());
    let ips = status.pod_ips.as_deref().unwrap_or_default();
    if ips.is_empty() {
        out.field(0, "IPs", "<none>");
        return;
    }
    out.line(0, "IPs:");
    for ip in ips {
        out.field(1, "IP", &ip.ip);
    }
}

fn conditions(out: &mut PrefixWriter, spec: &PodSpec, status: &PodStatus) {
    let all = status.conditions.as_deref().unwrap_or_default();
    let gates = spec.readiness_gates.as_deref().unwrap_or_default();
    if !gates.is_empty() {
        out.line(0, "Readiness Gates:");
        out.line(1, "Type\tStatus");
        for gate in gates {
            let found = all.iter().find(|condition| condition.type_ == gate.condition_type);
            let status = found.map_or("<none>", |condition| &condition.status);
            out.line(1, format_args!("{} \t{status} ", gate.condition_type));
        }
    }
    if !all.is_empty() {
        out.line(0, "Conditions:");
        out.line(1, "Type\tStatus");
        for condition in all {
            out.line(1, format_args!("{} \t{} ", condition.type_, condition.status));
        }
    }
}

/// Formats a toleration: `key=value:Effect op=Exists for 300s`.
fn toleration(toleration: &Toleration) -> String {
    let text_of = |part: &Option<String>| part.clone().unwrap_or_default();
    let (key, value, effect) = (text_of(&toleration.key), text_of(&toleration.value), text_of(&toleration.effect));
    let mut text = key;
    if !value.is_empty() {
        text += &format!("={value}");
    }
    if !effect.is_empty() {
        text += &format!(":{effect}");
    }
    if toleration.operator.as_deref() == Some("Exists") && value.is_empty() {
        text += if text.is_empty() { "op=Exists" } else { " op=Exists" };
    }
    if let Some(seconds) = toleration.toleration_seconds {
        text += &format!(" for {seconds}s");
    }
    text
}
