//! Aggregate requests and limits of a pod's containers (`component-helpers/resource`).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::model::{pods, quantity};

/// Quantities by resource name.
pub type Quantities = BTreeMap<String, Quantity>;

/// Returns the aggregate requests of all containers.
pub fn aggregate_requests(spec: &PodSpec) -> Quantities {
    aggregate(spec, |resources| resources.requests.as_ref())
}

/// Returns the aggregate limits of all containers.
pub fn aggregate_limits(spec: &PodSpec) -> Quantities {
    aggregate(spec, |resources| resources.limits.as_ref())
}

/// Sums up containers that run at the same time and takes the maximum over time: app containers and sidecars run side by
/// side, an init container beside the sidecars before it.
fn aggregate(spec: &PodSpec, select: fn(&ResourceRequirements) -> Option<&Quantities>) -> Quantities {
    let quantities_of =
        |container: &Container| container.resources.as_ref().and_then(select).cloned().unwrap_or_default();
    let mut running = Quantities::new();
    for container in &spec.containers {
        add_quantities(&mut running, &quantities_of(container));
    }
    let (mut sidecars, mut starting) = (Quantities::new(), Quantities::new());
    for container in pods::init_containers(spec) {
        let mut current = quantities_of(container);
        if container.restart_policy.as_deref() == Some("Always") {
            add_quantities(&mut running, &current);
            add_quantities(&mut sidecars, &current);
            current.clone_from(&sidecars);
        } else {
            add_quantities(&mut current, &sidecars);
        }
        max_quantities(&mut starting, &current);
    }
    max_quantities(&mut running, &starting);
    running
}

fn add_quantities(total: &mut Quantities, more: &Quantities) {
    for (name, value) in more {
        let sum = total.get(name).and_then(|before| quantity::sum(before, value).ok());
        total.insert(name.clone(), sum.unwrap_or_else(|| value.clone()));
    }
}

/// Raises each quantity to the one in `other` if that is greater.
fn max_quantities(total: &mut Quantities, other: &Quantities) {
    for (name, value) in other {
        if total.get(name).is_none_or(|before| exceeds(value, before)) {
            total.insert(name.clone(), value.clone());
        }
    }
}

/// Returns whether `a` is greater than `b`; false if either does not parse.
pub fn exceeds(a: &Quantity, b: &Quantity) -> bool {
    match (quantity::nano(a), quantity::nano(b)) {
        (Ok(a), Ok(b)) => a > b,
        _ => false,
    }
}

/// Returns whether the requests of a resource may stay below its limits: true of native resources except huge pages.
pub fn is_overcommit_allowed(name: &str) -> bool {
    is_native_resource(name) && !name.starts_with("hugepages-")
}

/// Returns whether the resource is in Kubernetes' own namespace.
pub fn is_native_resource(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// Returns whether pods may have the resource at pod level.
pub fn is_pod_level_resource(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with("hugepages-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sidecars_add_up_and_init_containers_raise_the_maximum() {
        for (init, app, want) in [
            ("[]", "1", "1"),
            ("[{name: i, resources: {requests: {cpu: 3}}}]", "1", "3"),
            ("[{name: s, restartPolicy: Always, resources: {requests: {cpu: 1}}}]", "1", "2"),
            (
                "[{name: s, restartPolicy: Always, resources: {requests: {cpu: 1}}}, \
                  {name: i, resources: {requests: {cpu: 500m}}}]",
                "1",
                "2",
            ),
            (
                "[{name: s, restartPolicy: Always, resources: {requests: {cpu: 1}}}, \
                  {name: i, resources: {requests: {cpu: 2}}}]",
                "1",
                "3",
            ),
        ] {
            let text = format!(
                "{{initContainers: {init}, containers: [{{name: a, resources: {{requests: {{cpu: {app}}}}}}}]}}"
            );
            let spec: PodSpec = serde_yaml::from_str(&text).expect("a spec");
            assert_eq!(aggregate_requests(&spec).get("cpu").map(|q| q.0.as_str()), Some(want), "{init}");
        }
    }
}
