//! Plugin `Priority`: sets the priority of a pod's priority class.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::scheduling::v1::PriorityClass;

use super::{AdmissionContext, AdmissionError};
use crate::registry::kinds::priority_class::SYSTEM_CLASSES;

/// The preemption policy of the system classes and of pods without a class.
const PREEMPTION_POLICY: &str = "PreemptLowerPriority";

/// Sets the priority of the pod's class; zero without a class.
pub fn admit(pod: &mut Pod, context: &AdmissionContext<'_>) -> Result<(), AdmissionError> {
    let Some(spec) = &mut pod.spec else { return Ok(()) };
    let class = spec.priority_class_name.as_deref().unwrap_or_default();
    let known = SYSTEM_CLASSES.iter().find(|known| known.name == class);
    let (priority, policy) = match known {
        Some(known) => (known.value, None),
        None if class.is_empty() => (0, None),
        // Its priority is not known.
        None if context.accepts_unknown_names() => return Ok(()),
        None => match context.find::<PriorityClass>("", class) {
            Some(class) => (class.value.unwrap_or(0), class.preemption_policy.clone()),
            None => return Err(AdmissionError::UnknownPriorityClass(class.to_string())),
        },
    };
    if let Some(requested) = spec.priority.filter(|requested| *requested != priority) {
        return Err(AdmissionError::PriorityMismatch { requested, computed: priority });
    }
    spec.priority = Some(priority);
    let computed = policy.unwrap_or_else(|| PREEMPTION_POLICY.into());
    let policy = spec.preemption_policy.get_or_insert_with(|| computed.clone());
    // Validation reports unknown policies of manifests, at their positions.
    let is_reported = context.accepts_unknown_names() && policy != "Never";
    if *policy != computed && !is_reported {
        return Err(AdmissionError::PreemptionPolicyMismatch { requested: policy.clone(), computed });
    }
    Ok(())
}

/// Restores the old values where an update leaves them out.
pub fn restore_priority(old: &Pod, new: &mut Pod) {
    let (Some(old), Some(new)) = (&old.spec, &mut new.spec) else { return };
    new.priority = new.priority.or(old.priority);
    if new.preemption_policy.is_none() {
        new.preemption_policy.clone_from(&old.preemption_policy);
    }
}
