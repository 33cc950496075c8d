//! Quality of service classes (K71; `pkg/apis/core/v1/helper/qos`).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::model::{pods, quantity};

type Resources = Option<BTreeMap<String, Quantity>>;

/// Returns `Guaranteed`, `Burstable` or `BestEffort`. Pod-level resources decide if the pod has them, otherwise the
/// resources of all containers, init containers included.
pub fn compute_class(spec: &PodSpec) -> &'static str {
    let mut any = false;
    let mut all_guaranteed = true;
    let pod_level =
        spec.resources.as_ref().filter(|pod_level| pod_level.limits.is_some() || pod_level.requests.is_some());
    let containers = pods::init_containers(spec).iter().chain(&spec.containers);
    let each = containers.map(|container| container.resources.as_ref()).filter(|_| pod_level.is_none());
    for resources in each.chain(pod_level.map(Some)) {
        let (requests, limits) =
            (resources.and_then(|r| amounts(&r.requests)), resources.and_then(|r| amounts(&r.limits)));
        any |= requests.is_some() || limits.is_some();
        let limits = limits.unwrap_or_default();
        let both = ["cpu", "memory"].iter().all(|name| limits.contains_key(*name));
        all_guaranteed &= both && requests.is_none_or(|requests| requests == limits);
    }
    match (any, all_guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

/// Returns CPU and memory above zero; `None` if neither is set.
fn amounts(resources: &Resources) -> Option<BTreeMap<String, i128>> {
    let is_counted = |name: &str| matches!(name, "cpu" | "memory");
    let all = resources.iter().flatten().filter(|(name, _)| is_counted(name));
    let amounts: BTreeMap<String, i128> =
        all.filter_map(|(name, q)| Some((name.clone(), quantity::milli(q).ok()?))).filter(|(_, v)| *v > 0).collect();
    (!amounts.is_empty()).then_some(amounts)
}

/// Returns whether an update would change the QoS class, which is fixed at creation.
pub fn class_changes(old: &Pod, new: &Pod) -> bool {
    let class = |pod: &Pod| pod.spec.as_ref().map(compute_class);
    class(old) != class(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qos_class_follows_requests_and_limits() {
        for (resources, want) in [
            ("{}", "BestEffort"),
            ("{limits: {cpu: 1, memory: 1Mi}}", "Guaranteed"),
            ("{limits: {cpu: 1, memory: 1Mi}, requests: {cpu: 1000m, memory: 1Mi}}", "Guaranteed"),
            ("{limits: {cpu: 1, memory: 1Mi}, requests: {cpu: 500m}}", "Burstable"),
            ("{limits: {memory: 1Mi}}", "Burstable"),
            ("{requests: {cpu: 1}}", "Burstable"),
        ] {
            let spec = format!("{{containers: [{{name: a, resources: {resources}}}]}}");
            let spec: PodSpec = serde_yaml::from_str(&spec).expect("a spec");
            assert_eq!(compute_class(&spec), want, "{resources}");
        }
        let pod_level = "{containers: [{name: a}], resources: {limits: {cpu: 1, memory: 1Mi}}}";
        let pod_level: PodSpec = serde_yaml::from_str(pod_level).expect("a spec");
        assert_eq!(compute_class(&pod_level), "Guaranteed");
    }
}
