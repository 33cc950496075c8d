//! Decides whether a resized pod fits on the node, and which of its containers the resize restarts (K26).
//!
//! Pure: the agent keeps the allocations, and `worker::resize` applies them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::admission::{self, Rejection, ResourceAmounts};

/// The agent's answer to the resources that one generation of a pod's spec requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PodResize {
    pub(super) generation: i64,
    pub(super) fit: ResizeFit,
}

/// Whether requested resources fit on the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ResizeFit {
    /// They fit.
    Fits,
    /// They will fit once other pods have gone; with kubelet's message.
    Deferred(String),
    /// They exceed the node's capacity; with kubelet's message.
    Infeasible(String),
}

impl ResizeFit {
    /// Checks `requested` against `capacity`, of which `others` is allocated to other pods.
    pub(super) fn check(requested: &ResourceAmounts, others: &ResourceAmounts, capacity: &ResourceAmounts) -> Self {
        let Err(rejection) = admission::check(requested, others, capacity) else { return ResizeFit::Fits };
        let lacking = |rejection: &Rejection| rejection.reason.trim_start_matches("OutOf").to_string();
        match admission::check(requested, &ResourceAmounts::default(), capacity) {
            Ok(()) => ResizeFit::Deferred(format!("Node didn't have enough resource: {}", lacking(&rejection))),
            Err(alone) => {
                let name = lacking(&alone);
                let (requested, capacity) = (requested.amount(&name), capacity.amount(&name));
                ResizeFit::Infeasible(format!(
                    "Node didn't have enough capacity: {name}, requested: {requested}, capacity: {capacity}"
                ))
            }
        }
    }
}

/// The resources of a pod's containers, by container name.
pub(super) type ContainerResources = BTreeMap<String, Option<ResourceRequirements>>;

/// Returns the resources that the pod's spec gives to its containers.
pub(super) fn container_resources(pod: &Pod) -> ContainerResources {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    containers.map(|c| (c.name.clone(), c.resources.clone())).collect()
}

/// Returns the containers whose `resizePolicy` demands a restart for what has changed since `old`: the pod's
/// grace period in seconds and the container's name.
pub(super) fn restarts(pod: &Pod, old: &ContainerResources) -> Vec<(u64, String)> {
    let Some(spec) = &pod.spec else { return vec![] };
    let grace = spec.termination_grace_period_seconds.and_then(|s| u64::try_from(s).ok()).unwrap_or(30);
    let needs_restart = |container: &&Container| {
        let before = old.get(&container.name).and_then(Option::as_ref);
        let after = container.resources.as_ref();
        let policies = container.resize_policy.iter().flatten().filter(|p| p.restart_policy == "RestartContainer");
        policies.into_iter().any(|p| quantities(before, &p.resource_name) != quantities(after, &p.resource_name))
    };
    spec.containers.iter().filter(needs_restart).map(|c| (grace, c.name.clone())).collect()
}

/// Returns the request and the limit of one resource.
fn quantities<'r>(resources: Option<&'r ResourceRequirements>, name: &str) -> [Option<&'r Quantity>; 2] {
    let get = |map: Option<&'r BTreeMap<String, Quantity>>| map.and_then(|map| map.get(name));
    [get(resources.and_then(|r| r.requests.as_ref())), get(resources.and_then(|r| r.limits.as_ref()))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resize_fits_is_deferred_or_is_infeasible() {
        let amounts = |cpu_milli, memory| ResourceAmounts {
            cpu_milli,
            memory,
            pods: 1,
            containers: 1,
            ..ResourceAmounts::default()
        };
        let capacity = ResourceAmounts { pods: 10, containers: 10, ..amounts(2000, 1000) };
        let infeasible = |lack: &str| ResizeFit::Infeasible(format!("Node didn't have enough capacity: {lack}"));
        for (requested, fit) in [
            (amounts(1000, 100), ResizeFit::Fits),
            (amounts(1500, 100), ResizeFit::Deferred("Node didn't have enough resource: cpu".into())),
            (amounts(6000, 100), infeasible("cpu, requested: 6000, capacity: 2000")),
            (amounts(100, 5000), infeasible("memory, requested: 5000, capacity: 1000")),
        ] {
            assert_eq!(ResizeFit::check(&requested, &amounts(1000, 100), &capacity), fit, "{requested:?}");
        }
    }

    #[test]
    fn resize_restarts_containers_whose_policy_names_the_resource() {
        let pod = |cpu: &str, memory: &str| {
            let yaml = format!(
                "{{spec: {{containers: [{{name: c, resizePolicy: [{{resourceName: memory, restartPolicy: \
                 RestartContainer}}, {{resourceName: cpu, restartPolicy: NotRequired}}], \
                 resources: {{limits: {{cpu: {cpu}, memory: {memory}}}}}}}]}}}}"
            );
            serde_yaml::from_str(&yaml).expect("a pod")
        };
        let old = container_resources(&pod("1", "1Mi"));
        assert!(restarts(&pod("2", "1Mi"), &old).is_empty());
        assert_eq!(restarts(&pod("1", "2Mi"), &old), [(30, "c".to_string())]);
    }
}
