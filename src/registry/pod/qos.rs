//! Quality of service classes (K71; `pkg/apis/core/v1/helper/qos`).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PodSpec;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::model::{pods, quantity};

type Resources = Option<BTreeMap<String, Quantity>>;

/// `Guaranteed`, `Burstable` or `BestEffort`. Init containers count, and where the pod has resources as a
/// whole, these alone do.
pub fn class(spec: &PodSpec) -> &'static str {
    let mut any = false;
    let mut all_guaranteed = true;
    let whole = spec.resources.as_ref().filter(|whole| whole.limits.is_some() || whole.requests.is_some());
    let containers = pods::init_containers(spec).iter().chain(&spec.containers);
    let each = containers.map(|container| container.resources.as_ref()).filter(|_| whole.is_none());
    for resources in each.chain(whole.map(Some)) {
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

/// CPU and memory above zero; `None` where there are none.
fn amounts(resources: &Resources) -> Option<BTreeMap<String, i128>> {
    let counted = |name: &str| matches!(name, "cpu" | "memory");
    let all = resources.iter().flatten().filter(|(name, _)| counted(name));
    let amounts: BTreeMap<String, i128> =
        all.filter_map(|(name, q)| Some((name.clone(), quantity::milli(q).ok()?))).filter(|(_, v)| *v > 0).collect();
    (!amounts.is_empty()).then_some(amounts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_follow_requests_and_limits() {
        for (resources, class_wanted) in [
            ("{}", "BestEffort"),
            ("{limits: {cpu: 1, memory: 1Mi}}", "Guaranteed"),
            ("{limits: {cpu: 1, memory: 1Mi}, requests: {cpu: 1000m, memory: 1Mi}}", "Guaranteed"),
            ("{limits: {cpu: 1, memory: 1Mi}, requests: {cpu: 500m}}", "Burstable"),
            ("{limits: {memory: 1Mi}}", "Burstable"),
            ("{requests: {cpu: 1}}", "Burstable"),
        ] {
            let spec = format!("{{containers: [{{name: a, resources: {resources}}}]}}");
            let spec: PodSpec = serde_yaml::from_str(&spec).expect("a spec");
            assert_eq!(class(&spec), class_wanted, "{resources}");
        }
        let whole = "{containers: [{name: a}], resources: {limits: {cpu: 1, memory: 1Mi}}}";
        let whole: PodSpec = serde_yaml::from_str(whole).expect("a spec");
        assert_eq!(class(&whole), "Guaranteed");
    }
}
