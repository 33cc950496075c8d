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

/// The template of a workload; nothing of all other objects.
pub fn template(object: &Object) -> Option<Template> {
    match object {
        Object::Deployment(owner) => make(&owner.metadata, &owner.spec.as_ref()?.template, "spec.template"),
        Object::ReplicaSet(owner) => make(&owner.metadata, owner.spec.as_ref()?.template.as_ref()?, "spec.template"),
        Object::StatefulSet(owner) => make(&owner.metadata, &owner.spec.as_ref()?.template, "spec.template"),
        Object::DaemonSet(owner) => make(&owner.metadata, &owner.spec.as_ref()?.template, "spec.template"),
        Object::Job(owner) => make(&owner.metadata, &owner.spec.as_ref()?.template, "spec.template"),
        Object::CronJob(owner) => {
            let job = owner.spec.job_template.spec.as_ref()?;
            make(&owner.metadata, &job.template, "spec.jobTemplate.spec.template")
        }
        Object::Pod(_)
        | Object::ConfigMap(_)
        | Object::Secret(_)
        | Object::Service(_)
        | Object::PersistentVolumeClaim(_)
        | Object::Namespace(_)
        | Object::PodDisruptionBudget(_)
        | Object::NetworkPolicy(_) => None,
    }
}

fn make(owner: &ObjectMeta, template: &PodTemplateSpec, path: &'static str) -> Option<Template> {
    let metadata = ObjectMeta {
        name: owner.name.clone(),
        generate_name: owner.generate_name.clone(),
        namespace: owner.namespace.clone(),
        ..template.metadata.clone().unwrap_or_default()
    };
    Some(Template { pod: Pod { metadata, spec: template.spec.clone(), status: None }, path })
}
