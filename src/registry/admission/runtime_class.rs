//! Plugin `RuntimeClass`: wasmpod has no runtime classes.

use k8s_openapi::api::core::v1::Pod;

use super::{AdmissionError, AdmissionSettings};

/// Rejects a pod that names a class.
pub fn admit(pod: &mut Pod, settings: &AdmissionSettings) -> Result<(), AdmissionError> {
    let class = pod.spec.as_ref().and_then(|spec| spec.runtime_class_name.as_deref());
    match class {
        Some(class) if !class.is_empty() && !settings.accept_unknown_names => {
            Err(AdmissionError::UnknownRuntimeClass(class.to_string()))
        }
        _ => Ok(()),
    }
}

/// Rejects a pod with an overhead: only a class defines one.
pub fn check(pod: &Pod, settings: &AdmissionSettings) -> Result<(), AdmissionError> {
    let has_overhead = pod.spec.as_ref().is_some_and(|spec| spec.overhead.is_some());
    match has_overhead && !settings.accept_unknown_names {
        true => Err(AdmissionError::OverheadWithoutClass),
        false => Ok(()),
    }
}
