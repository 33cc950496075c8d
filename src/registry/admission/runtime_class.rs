//! Runtime classes: there are none.

use k8s_openapi::api::core::v1::Pod;

use super::AdmissionSettings;

/// Refuses a pod that names a class.
pub fn admit(pod: &mut Pod, _: &AdmissionSettings) -> Result<(), String> {
    let class = pod.spec.as_ref().and_then(|spec| spec.runtime_class_name.as_deref());
    match class {
        Some(class) if !class.is_empty() => Err(format!("pod rejected: RuntimeClass {class:?} not found")),
        _ => Ok(()),
    }
}
