//! Account limits of pods and containers, from the resources in their manifests.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::ResourceAmounts;
use crate::budget::{AccountLimits, cpu_weight};
use crate::model::quantity;

/// Returns the limits of all pods of a node together. Pods without limits of their own share what the node has.
pub(super) fn node_limits(capacity: &ResourceAmounts) -> AccountLimits {
    AccountLimits { memory: u64::try_from(capacity.memory).ok(), ..AccountLimits::NONE }
}

/// Returns the limits of a container; unset limits have default maxima.
pub(super) fn container_limits(resources: Option<&ResourceRequirements>) -> AccountLimits {
    from_requirements(resources).with_container_defaults()
}

/// Returns the limits of all of a pod's containers together.
pub(super) fn pod_limits(spec: &PodSpec) -> AccountLimits {
    from_requirements(spec.resources.as_ref())
}

fn from_requirements(resources: Option<&ResourceRequirements>) -> AccountLimits {
    let limits = resources.and_then(|r| r.limits.as_ref());
    let requests = resources.and_then(|r| r.requests.as_ref());
    let memory = limits.and_then(|l| l.get("memory")).and_then(|q| quantity::units(q).ok());
    AccountLimits {
        memory: memory.and_then(|bytes| u64::try_from(bytes).ok()),
        cpu_millis: cpu_millis(limits),
        cpu_weight: cpu_weight(cpu_millis(requests).unwrap_or(0)),
        instances: None,
    }
}

fn cpu_millis(amounts: Option<&BTreeMap<String, Quantity>>) -> Option<u64> {
    amounts
        .and_then(|amounts| amounts.get("cpu"))
        .and_then(|q| quantity::milli(q).ok())
        .and_then(|m| u64::try_from(m).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_become_maxima_and_cpu_requests_weights() {
        let resources = |yaml: &str| -> ResourceRequirements { serde_yaml::from_str(yaml).expect("resources") };
        let all = resources("{limits: {cpu: 250m, memory: 16Mi}, requests: {cpu: 500m}}");
        let limits = container_limits(Some(&all));
        assert_eq!((limits.memory, limits.cpu_millis, limits.cpu_weight), (Some(16 << 20), Some(250), 512));
        let none = container_limits(None);
        assert_eq!((none.cpu_millis, none.cpu_weight), (None, 2), "no quota and the minimum weight");
        assert!(none.memory.is_some() && none.instances.is_some(), "every container has maxima");
        assert_eq!(pod_limits(&PodSpec::default()).memory, None, "only the containers have maxima");
    }
}
