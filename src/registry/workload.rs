//! The pod templates of workloads.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Pod, PodTemplate, PodTemplateSpec, ReplicationController};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::model::object::AnyObject;

/// The Pod that a workload's template describes.
pub struct TemplatePod {
    /// The pod, with the workload's name and namespace.
    pub pod: Pod,
    /// Field path of the template in the workload, such as `spec.template`.
    pub path: &'static str,
}

impl TemplatePod {
    /// Returns the path in the workload of the pod's `field`.
    pub fn workload_field(&self, field: &str) -> String {
        match field {
            "metadata.name" | "metadata.namespace" => field.to_string(),
            _ => format!("{}.{field}", self.path),
        }
    }
}

/// Returns the pod of a workload's template, which may be empty; `None` for objects that are not workloads.
pub fn template_pod(object: &dyn AnyObject) -> Option<TemplatePod> {
    let (template, path) = template_of(object)?;
    let owner = object.metadata();
    let PodTemplateSpec { metadata, spec } = template.cloned().unwrap_or_default();
    let metadata = ObjectMeta {
        name: owner.name.clone(),
        generate_name: owner.generate_name.clone(),
        namespace: owner.namespace.clone(),
        ..metadata.unwrap_or_default()
    };
    Some(TemplatePod { pod: Pod { metadata, spec, status: None }, path })
}

/// Returns the path of the pod template in objects of `kind`; `None` for kinds without one.
pub fn template_path(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "DaemonSet" | "Deployment" | "Job" | "ReplicaSet" | "ReplicationController" | "StatefulSet" => "spec.template",
        "CronJob" => "spec.jobTemplate.spec.template",
        "PodTemplate" => "template",
        _ => return None,
    })
}

/// Returns the template of a workload, and its path.
fn template_of(object: &dyn AnyObject) -> Option<(Option<&PodTemplateSpec>, &'static str)> {
    const TEMPLATE: &str = "spec.template";
    let any = object.as_any();
    if let Some(owner) = any.downcast_ref::<Deployment>() {
        Some((owner.spec.as_ref().map(|spec| &spec.template), TEMPLATE))
    } else if let Some(owner) = any.downcast_ref::<ReplicaSet>() {
        Some((owner.spec.as_ref().and_then(|spec| spec.template.as_ref()), TEMPLATE))
    } else if let Some(owner) = any.downcast_ref::<StatefulSet>() {
        Some((owner.spec.as_ref().map(|spec| &spec.template), TEMPLATE))
    } else if let Some(owner) = any.downcast_ref::<DaemonSet>() {
        Some((owner.spec.as_ref().map(|spec| &spec.template), TEMPLATE))
    } else if let Some(owner) = any.downcast_ref::<Job>() {
        Some((owner.spec.as_ref().map(|spec| &spec.template), TEMPLATE))
    } else if let Some(owner) = any.downcast_ref::<CronJob>() {
        let job = owner.spec.job_template.spec.as_ref();
        Some((job.map(|job| &job.template), "spec.jobTemplate.spec.template"))
    } else if let Some(owner) = any.downcast_ref::<ReplicationController>() {
        Some((owner.spec.as_ref().and_then(|spec| spec.template.as_ref()), TEMPLATE))
    } else {
        let owner = any.downcast_ref::<PodTemplate>()?;
        Some((owner.template.as_ref(), "template"))
    }
}
