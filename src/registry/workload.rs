//! The pod templates of workloads.

use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::kinds;
use crate::model::ManifestObject;

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

/// Returns the pod of an object's template, which may be empty; `None` for objects without a template.
pub fn template_pod(object: &ManifestObject) -> Option<TemplatePod> {
    let kind = kinds::of_manifest(object)?;
    let path = kind.template_path()?;
    let owner = object.metadata();
    let PodTemplateSpec { metadata, spec } = kind.template(object.object()).cloned().unwrap_or_default();
    let metadata = ObjectMeta {
        name: owner.name.clone(),
        generate_name: owner.generate_name.clone(),
        namespace: owner.namespace.clone(),
        ..metadata.unwrap_or_default()
    };
    Some(TemplatePod { pod: Pod { metadata, spec, status: None }, path })
}
