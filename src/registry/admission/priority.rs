//! Priorities by class. There are no classes but Kubernetes' own two.

use k8s_openapi::api::core::v1::Pod;

use super::AdmissionSettings;

const SYSTEM_CLASSES: &[(&str, i32)] =
    &[("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)];

/// Gives the pod its class's priority, or zero.
pub fn admit(pod: &mut Pod, _: &AdmissionSettings) -> Result<(), String> {
    let Some(spec) = &mut pod.spec else { return Ok(()) };
    let class = spec.priority_class_name.as_deref().unwrap_or_default();
    let known = SYSTEM_CLASSES.iter().find(|(name, _)| *name == class);
    let priority = match known {
        Some((_, priority)) => *priority,
        None if class.is_empty() => 0,
        None => return Err(format!("no PriorityClass with name {class} was found")),
    };
    if spec.priority.is_some_and(|asked| asked != priority) {
        return Err(format!(
            "the integer value of priority ({}) must not be provided in pod spec; priority admission controller computed {priority} from the given PriorityClass name",
            spec.priority.unwrap_or_default()
        ));
    }
    spec.priority = Some(priority);
    spec.preemption_policy.get_or_insert_with(|| "PreemptLowerPriority".into());
    Ok(())
}

/// A pod keeps what it was given, where an update says nothing of it.
pub fn keep(old: &Pod, new: &mut Pod) {
    let (Some(old), Some(new)) = (&old.spec, &mut new.spec) else { return };
    new.priority = new.priority.or(old.priority);
    if new.preemption_policy.is_none() {
        new.preemption_policy.clone_from(&old.preemption_policy);
    }
}
