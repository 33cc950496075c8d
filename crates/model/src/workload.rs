//! The pod templates of workloads.

use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::kinds::ManifestObject;

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
pub fn template_pod(object: &ManifestObject) -> Option<TemplatePod> {
    let (owner, template, path) = match object {
        ManifestObject::Deployment(owner) => {
            (&owner.metadata, owner.spec.as_ref().map(|spec| &spec.template), "spec.template")
        }
        ManifestObject::ReplicaSet(owner) => {
            (&owner.metadata, owner.spec.as_ref().and_then(|spec| spec.template.as_ref()), "spec.template")
        }
        ManifestObject::StatefulSet(owner) => {
            (&owner.metadata, owner.spec.as_ref().map(|spec| &spec.template), "spec.template")
        }
        ManifestObject::DaemonSet(owner) => {
            (&owner.metadata, owner.spec.as_ref().map(|spec| &spec.template), "spec.template")
        }
        ManifestObject::Job(owner) => {
            (&owner.metadata, owner.spec.as_ref().map(|spec| &spec.template), "spec.template")
        }
        ManifestObject::CronJob(owner) => {
            let job = owner.spec.job_template.spec.as_ref();
            (&owner.metadata, job.map(|job| &job.template), "spec.jobTemplate.spec.template")
        }
        ManifestObject::Pod(_)
        | ManifestObject::ConfigMap(_)
        | ManifestObject::Secret(_)
        | ManifestObject::Service(_)
        | ManifestObject::PersistentVolumeClaim(_)
        | ManifestObject::Namespace(_)
        | ManifestObject::PodDisruptionBudget(_)
        | ManifestObject::NetworkPolicy(_) => return None,
    };
    let PodTemplateSpec { metadata, spec } = template.cloned().unwrap_or_default();
    let metadata = ObjectMeta {
        name: owner.name.clone(),
        generate_name: owner.generate_name.clone(),
        namespace: owner.namespace.clone(),
        ..metadata.unwrap_or_default()
    };
    Some(TemplatePod { pod: Pod { metadata, spec, status: None }, path })
}

/// Returns the restart policies that Kubernetes allows in the object's pods.
pub fn allowed_restart_policies(object: &ManifestObject) -> &'static [&'static str] {
    match object {
        ManifestObject::Deployment(_)
        | ManifestObject::ReplicaSet(_)
        | ManifestObject::StatefulSet(_)
        | ManifestObject::DaemonSet(_) => &["Always"],
        ManifestObject::Job(_) | ManifestObject::CronJob(_) => &["OnFailure", "Never"],
        _ => &["Always", "OnFailure", "Never"],
    }
}
