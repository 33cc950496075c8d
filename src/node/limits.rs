//! What pods and containers may hold and use, from the resources that their manifests ask for.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::budget::{AccountLimits, weight};
use crate::model::quantity;

/// The limits of a container with such resources; what they do not say has default maxima.
pub(super) fn of_container(resources: Option<&ResourceRequirements>) -> AccountLimits {
    asked(resources).of_container()
}

/// The limits of a pod's containers together.
pub(super) fn of_pod(spec: &PodSpec) -> AccountLimits {
    asked(spec.resources.as_ref())
}

fn asked(resources: Option<&ResourceRequirements>) -> AccountLimits {
    let limits = resources.and_then(|r| r.limits.as_ref());
    let requests = resources.and_then(|r| r.requests.as_ref());
    let memory = limits.and_then(|l| l.get("memory")).and_then(|q| quantity::units(q).ok());
    AccountLimits {
        memory: memory.and_then(|bytes| u64::try_from(bytes).ok()),
        cpu_millis: millis(limits),
        cpu_weight: weight(millis(requests).unwrap_or(0)),
        instances: None,
    }
}

fn millis(of: Option<&BTreeMap<String, Quantity>>) -> Option<u64> {
    of.and_then(|of| of.get("cpu")).and_then(|q| quantity::milli(q).ok()).and_then(|m| u64::try_from(m).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_bound_and_requests_weigh() {
        let resources = |yaml: &str| -> ResourceRequirements { serde_yaml::from_str(yaml).expect("resources") };
        let all = resources("{limits: {cpu: 250m, memory: 16Mi}, requests: {cpu: 500m}}");
        let limits = of_container(Some(&all));
        assert_eq!((limits.memory, limits.cpu_millis, limits.cpu_weight), (Some(16 << 20), Some(250), 512));
        let none = of_container(None);
        assert_eq!((none.cpu_millis, none.cpu_weight), (None, 2), "no quota, the least weight");
        assert!(none.memory.is_some() && none.instances.is_some(), "every container has maxima");
        assert_eq!(of_pod(&PodSpec::default()).memory, None, "a pod's containers have their own");
    }
}
