//! Pods: groups of containers. Their rules are those of [`pod`](crate::registry::pod).

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodSpec, PodStatus};
use serde_json::Value;

use crate::control::{
    DeleteOptions, DeleteResult, Key, Object, Preconditions, Reason, Status, Subresource, UnversionedObject, Update,
};
use crate::model::pod_row::PodRow;
use crate::model::pods;
use crate::model::selector::{SelectableField, bool_text};
use crate::registry::admission::AdmissionContext;
use crate::registry::columns::{Column, RowCondition, age, non_empty_or};
use crate::registry::fields::ErrorList;
use crate::registry::pod::{self, DeletionStep, warnings};
use crate::registry::storage::WriteDecision;
use crate::registry::strategy::{KindInfo, READ_WRITE, Strategy, SubresourceInfo};
use crate::registry::{Registry, identity, patch, preconditions};
use crate::store::Durability;

const SUCCEEDED: [RowCondition; 1] = [RowCondition {
    kind: "Completed",
    status: "True",
    reason: "Succeeded",
    message: "The pod has completed successfully.",
}];
const FAILED: [RowCondition; 1] =
    [RowCondition { kind: "Completed", status: "True", reason: "Failed", message: "The pod failed." }];

/// Verbs of streams: GET upgrades to WebSocket, POST to SPDY.
const CONNECT: &[&str] = &["create", "get"];

impl Strategy for Pod {
    const INFO: KindInfo = KindInfo {
        short_names: &["po"],
        categories: &["all"],
        subresources: &[
            SubresourceInfo::new("attach", "PodAttachOptions", CONNECT),
            SubresourceInfo::new("binding", "Binding", &["create"]),
            SubresourceInfo::new("ephemeralcontainers", "Pod", READ_WRITE),
            SubresourceInfo { name: "eviction", group: "policy", version: "v1", kind: "Eviction", verbs: &["create"] },
            SubresourceInfo::new("exec", "PodExecOptions", CONNECT),
            SubresourceInfo::new("log", "Pod", &["get"]),
            SubresourceInfo::new("portforward", "PodPortForwardOptions", CONNECT),
            SubresourceInfo::new("proxy", "PodProxyOptions", &["create", "delete", "get", "patch", "update"]),
            SubresourceInfo::new("resize", "Pod", READ_WRITE),
            SubresourceInfo::status("Pod"),
        ],
        is_acted_on: true,
        ..KindInfo::new("pod", "xPOwRZ+Yhw8=")
    };
    const COLUMNS: &'static [Column] = &[
        Column::NAME,
        Column::text("Ready", "Number of ready containers and of all containers."),
        Column::text("Status", "Status of the pod."),
        Column::text("Restarts", "Number of container restarts and time since the last one."),
        Column::AGE,
        Column::wide("IP", "Address of the pod in the pod network."),
        Column::wide("Node", "The node that the pod is bound to."),
        Column::wide("Nominated Node", "The node on which preemption frees resources for the pod."),
        Column::wide("Readiness Gates", "Number of passed readiness gates and of all readiness gates."),
    ];
    const FIELDS: &'static [SelectableField<Self>] = &[
        ("spec.nodeName", |p| spec(p)?.node_name.as_deref().map(Cow::Borrowed)),
        ("spec.restartPolicy", |p| spec(p)?.restart_policy.as_deref().map(Cow::Borrowed)),
        ("spec.schedulerName", |p| spec(p)?.scheduler_name.as_deref().map(Cow::Borrowed)),
        ("spec.serviceAccountName", |p| spec(p)?.service_account_name.as_deref().map(Cow::Borrowed)),
        ("spec.hostNetwork", |p| Some(bool_text(spec(p)?.host_network).into())),
        ("status.phase", |p| status(p)?.phase.as_deref().map(Cow::Borrowed)),
        ("status.podIP", pod_ip),
        // As in Kubernetes, the field is selectable but always empty.
        ("status.podIPs", |_| None),
        ("status.nominatedNodeName", |p| status(p)?.nominated_node_name.as_deref().map(Cow::Borrowed)),
    ];
    const RETURNS_DELETED_OBJECT: bool = true;
    // Older clients select by `spec.host`.
    const FIELD_ALIASES: &'static [(&'static str, &'static str)] = &[("spec.host", "spec.nodeName")];

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

    fn row_conditions(&self) -> &'static [RowCondition] {
        match pods::phase(self) {
            "Succeeded" => &SUCCEEDED,
            "Failed" => &FAILED,
            _ => &[],
        }
    }

    // The generic paths do not apply to pods: these rules come with their admission.

    fn validate(&self, _errors: &mut ErrorList) {}

    fn validate_update(&self, _old: &Self, _errors: &mut ErrorList) {}

    fn warnings_on_create(&self) -> Vec<String> {
        warnings::warnings_on_create(self)
    }

    fn warnings_on_update(&self, _old: &Self) -> Vec<String> {
        Vec::new()
    }

    fn encode(self) -> Result<UnversionedObject, serde_json::Error> {
        pod::encode(self)
    }

    fn create(self, registry: &Registry) -> Result<Arc<Object>, Status> {
        let context = AdmissionContext { settings: registry.admission, objects: Some(registry.storage.objects()) };
        let pod = pod::before_create_with(self, &context, registry.clock.now().wall)?;
        registry.storage.create(pod)
    }

    fn update(
        registry: &Registry,
        key: &Key,
        update: Update,
        preconditions: &Preconditions,
    ) -> Result<Arc<Object>, Status> {
        // What a node or the scheduler found out, it finds out again.
        let durability = match update {
            Update::PodStatus(_) | Update::Bind { .. } => Durability::Delayed,
            Update::Replace { .. } | Update::Patch { .. } => Durability::Durable,
        };
        let decide = |current: &Pod| match &update {
            Update::PodStatus(status) => Ok(pod::replace_status(current, status)),
            Update::Bind { node } => pod::bind(current, node, registry.clock.now().wall)
                .map_err(|error| Status::conflict("pods/binding", &key.name, error)),
            Update::Replace { body, subresource } => {
                let other =
                    || Status::new(Reason::BadRequest, format!("{key} is a pod: the request holds another kind"));
                let mut new = body.downcast_ref::<Pod>().ok_or_else(other)?.clone();
                identity::check_name_and_namespace(&current.metadata, &mut new.metadata)?;
                preconditions::check_uid(key, &current.metadata, &new.metadata)?;
                replace(key, current, new, *subresource)
            }
            Update::Patch { patch, subresource } => replace(key, current, patch::apply(current, patch)?, *subresource),
        };
        let (_, stored) = registry.storage.guaranteed_update_with(durability, key, preconditions, decide)?;
        Ok(stored)
    }

    fn delete(registry: &Registry, key: &Key, options: &DeleteOptions) -> Result<DeleteResult, Status> {
        let (storage, now) = (&registry.storage, registry.clock.now().wall);
        let mut required = options.preconditions.clone();
        let mut ready_to_remove = None;
        loop {
            let try_delete = |current: &Pod| {
                preconditions::check_for_delete(&required, key, &current.metadata)?;
                Ok(pod::before_delete(current, options, now))
            };
            let (step, object) = match storage.guaranteed_update(key, &Preconditions::default(), try_delete) {
                Ok(updated) => updated,
                // The node may remove the pod between the two steps of this deletion.
                Err(status) if status.reason == Reason::NotFound => {
                    return ready_to_remove.map(DeleteResult::Removed).ok_or(status);
                }
                Err(status) => return Err(status),
            };
            match step {
                DeletionStep::Marked => return Ok(DeleteResult::Marked(object)),
                // A dry run stores no mark, so the next step would be this one again.
                DeletionStep::ReadyToRemove if storage.is_dry_run() => return Ok(DeleteResult::Removed(object)),
                DeletionStep::ReadyToRemove => {
                    // This step has changed the revision that the client required.
                    required.revision = required.revision.map(|_| object.revision.to_string());
                    ready_to_remove = Some(object);
                }
                DeletionStep::Removed => return Ok(DeleteResult::Removed(object)),
            }
        }
    }
}

/// Decides on `new` in place of `current`; its `resourceVersion`, if set, must be the current one.
fn replace(key: &Key, current: &Pod, new: Pod, subresource: Subresource) -> Result<WriteDecision<Pod>, Status> {
    preconditions::check_resource_version(key, &current.metadata, &new.metadata)?;
    Ok(pod::put_or_delete(current, pod::before_update(current, new, subresource)?))
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

fn spec(pod: &Pod) -> Option<&PodSpec> {
    pod.spec.as_ref()
}

fn status(pod: &Pod) -> Option<&PodStatus> {
    pod.status.as_ref()
}

fn pod_ip(pod: &Pod) -> Option<Cow<'_, str>> {
    let status = status(pod)?;
    let first = status.pod_ips.as_deref().unwrap_or_default().first();
    first.map(|ip| ip.ip.as_str()).or(status.pod_ip.as_deref()).map(Cow::Borrowed)
}
