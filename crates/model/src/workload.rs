//! The pods that workloads make: their templates, as Pods.

use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::kinds::Object;

/// A workload's template as the Pod that it describes.
pub struct Template {
    /// The pod, named after the workload and in its namespace.
    pub pod: Pod,
    /// Where the template stands in the workload: `spec.template`.
    pub path: &'static str,
}

impl Template {
    /// The field of the workload that the pod's `field` comes from.
    pub fn field(&self, field: &str) -> String {
        match field {
            "metadata.name" | "metadata.namespace" => field.to_string(),
            _ => format!("{}.{field}", self.path),
        }
    }
}

/// The template of a workload, an empty one where it says none; nothing of all other objects.
pub fn template(object: &Object) -> Option<Template> {
    let (owner, template, path) = match object {
        Object::Deployment(owner) => (&owner.metadata, owner.spec.as_ref().map(|spec| &spec.template), "spec.template"),
        Object::ReplicaSet(owner) => {
            (&owner.metadata, owner.spec.as_ref().and_then(|spec| spec.template.as_ref()), "spec.template")
        }
        Object::StatefulSet(owner) => {
            (&owner.metadata, owner.spec.as_ref().map(|spec| &spec.template), "spec.template")
        }
        Object::DaemonSet(owner) => (&owner.metadata, owner.spec.as_ref().map(|spec| &spec.template), "spec.template"),
        Object::Job(owner) => (&owner.metadata, owner.spec.as_ref().map(|spec| &spec.template), "spec.template"),
        Object::CronJob(owner) => {
            let job = owner.spec.job_template.spec.as_ref();
            (&owner.metadata, job.map(|job| &job.template), "spec.jobTemplate.spec.template")
        }
        Object::Pod(_)
        | Object::ConfigMap(_)
        | Object::Secret(_)
        | Object::Service(_)
        | Object::PersistentVolumeClaim(_)
        | Object::Namespace(_)
        | Object::PodDisruptionBudget(_)
        | Object::NetworkPolicy(_) => return None,
    };
    let PodTemplateSpec { metadata, spec } = template.cloned().unwrap_or_default();
    let metadata = ObjectMeta {
        name: owner.name.clone(),
        generate_name: owner.generate_name.clone(),
        namespace: owner.namespace.clone(),
        ..metadata.unwrap_or_default()
    };
    Some(Template { pod: Pod { metadata, spec, status: None }, path })
}

/// The restart policies that a template may have: workloads that run for ever restart for ever, and
/// Jobs come to an end.
pub fn restart_policies(object: &Object) -> &'static [&'static str] {
    match object {
        Object::Deployment(_) | Object::ReplicaSet(_) | Object::StatefulSet(_) | Object::DaemonSet(_) => &["Always"],
        Object::Job(_) | Object::CronJob(_) => &["OnFailure", "Never"],
        _ => &["Always", "OnFailure", "Never"],
    }
}
