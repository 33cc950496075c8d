//! Plugin `Priority`: sets the priority of a pod's priority class. Only Kubernetes' two system classes exist.

use k8s_openapi::api::core::v1::Pod;

use super::{AdmissionError, AdmissionSettings};

const SYSTEM_CLASSES: &[(&str, i32)] =
    &[("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)];

/// The preemption policy of the system classes and of pods without a class.
const PREEMPTION_POLICY: &str = "PreemptLowerPriority";

/// Sets the priority of the pod's class; zero without a class.
pub fn admit(pod: &mut Pod, settings: &AdmissionSettings) -> Result<(), AdmissionError> {
    let Some(spec) = &mut pod.spec else { return Ok(()) };
    let class = spec.priority_class_name.as_deref().unwrap_or_default();
    let known = SYSTEM_CLASSES.iter().find(|(name, _)| *name == class);
    let priority = match known {
        Some((_, priority)) => *priority,
        None if class.is_empty() => 0,
        // Its priority is not known.
        None if settings.accept_unknown_names => return Ok(()),
        None => return Err(AdmissionError::UnknownPriorityClass(class.to_string())),
    };
    if let Some(requested) = spec.priority.filter(|requested| *requested != priority) {
        return Err(AdmissionError::PriorityMismatch { requested, computed: priority });
    }
    spec.priority = Some(priority);
    let policy = spec.preemption_policy.get_or_insert_with(|| PREEMPTION_POLICY.into());
    // Validation reports unknown policies of manifests, at their positions.
    let is_reported = settings.accept_unknown_names && policy != "Never";
    if policy != PREEMPTION_POLICY && !is_reported {
        return Err(AdmissionError::PreemptionPolicyMismatch {
            requested: policy.clone(),
            computed: PREEMPTION_POLICY,
        });
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
