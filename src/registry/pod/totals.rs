//! What the containers of a pod ask for together (`component-helpers/resource`).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::model::{pods, quantity};

/// Amounts by the resource's name.
pub type Amounts = BTreeMap<String, Quantity>;

/// Requests of all containers together.
pub fn requests(spec: &PodSpec) -> Amounts {
    together(spec, |resources| resources.requests.as_ref())
}

/// Limits of all containers together.
pub fn limits(spec: &PodSpec) -> Amounts {
    together(spec, |resources| resources.limits.as_ref())
}

/// App containers and sidecars run side by side; an init container beside the sidecars before it.
fn together(spec: &PodSpec, which: fn(&ResourceRequirements) -> Option<&Amounts>) -> Amounts {
    let of = |container: &Container| container.resources.as_ref().and_then(which).cloned().unwrap_or_default();
    let mut running = Amounts::new();
    for container in &spec.containers {
        add(&mut running, &of(container));
    }
    let (mut sidecars, mut starting) = (Amounts::new(), Amounts::new());
    for container in pods::init_containers(spec) {
        let mut now = of(container);
        if container.restart_policy.as_deref() == Some("Always") {
            add(&mut running, &now);
            add(&mut sidecars, &now);
            now.clone_from(&sidecars);
        } else {
            add(&mut now, &sidecars);
        }
        raise(&mut starting, &now);
    }
    raise(&mut running, &starting);
    running
}

fn add(total: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let sum = total.get(name).and_then(|so_far| quantity::sum(so_far, amount).ok());
        total.insert(name.clone(), sum.unwrap_or_else(|| amount.clone()));
    }
}

/// The greater of both, name by name.
fn raise(total: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        if total.get(name).is_none_or(|so_far| is_more(amount, so_far)) {
            total.insert(name.clone(), amount.clone());
        }
    }
}

/// Whether `a` is more than `b`; what is no quantity is more than nothing.
pub fn is_more(a: &Quantity, b: &Quantity) -> bool {
    match (quantity::nano(a), quantity::nano(b)) {
        (Ok(a), Ok(b)) => a > b,
        _ => false,
    }
}

/// Whether more may be promised of a resource than there is: of Kubernetes' own, but for huge pages.
pub fn may_be_overcommitted(name: &str) -> bool {
    is_native(name) && !name.starts_with("hugepages-")
}

/// A resource of Kubernetes' own.
pub fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// A resource that a pod can have as a whole.
pub fn is_of_pods(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with("hugepages-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sidecars_add_up_and_plain_init_containers_only_raise() {
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
            assert_eq!(requests(&spec).get("cpu").map(|q| q.0.as_str()), Some(want), "{init}");
        }
    }
}
