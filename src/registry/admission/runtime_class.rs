//! Plugin `RuntimeClass`: the class of a pod must exist. That classes have no effect is up to the table of fields.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::node::v1::RuntimeClass;

use super::{AdmissionContext, AdmissionError};

/// Rejects a pod that names a class that does not exist.
pub fn admit(pod: &mut Pod, context: &AdmissionContext<'_>) -> Result<(), AdmissionError> {
    let class = pod.spec.as_ref().and_then(|spec| spec.runtime_class_name.as_deref());
    match class {
        Some(class)
            if !class.is_empty()
                && !context.accepts_unknown_names()
                && context.find::<RuntimeClass>("", class).is_none() =>
        {
            Err(AdmissionError::UnknownRuntimeClass(class.to_string()))
        }
        _ => Ok(()),
    }
}

/// Rejects a pod with an overhead: only a class defines one.
pub fn check(pod: &Pod, context: &AdmissionContext<'_>) -> Result<(), AdmissionError> {
    let has_overhead = pod.spec.as_ref().is_some_and(|spec| spec.overhead.is_some());
    match has_overhead && !context.accepts_unknown_names() {
        true => Err(AdmissionError::OverheadWithoutClass),
        false => Ok(()),
    }
}
