//! Decides whether a pod fits on the node beside the admitted pods (K13, K14; `pkg/kubelet/lifecycle/predicate.go`).
//!
//! Requests count, not usage. Finished pods request nothing; init containers and sidecars count as Kubernetes
//! adds them up. Pure: the agent keeps the allocations.

use std::collections::BTreeMap;
use std::ops::{AddAssign, SubAssign};

use k8s_openapi::api::core::v1::{Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::model::host_ports::HostPort;
use crate::model::{pods, quantity};
use crate::registry::pod::totals;

/// Amounts of the resources that pods share.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ResourceAmounts {
    /// CPU in thousandths of a core.
    pub cpu_milli: i128,
    /// Memory in bytes.
    pub memory: i128,
    /// Ephemeral storage in bytes.
    pub ephemeral_storage: i128,
    /// Number of pods.
    pub pods: i128,
    /// Number of containers that run at once: each takes memory maps, which a process has few of.
    pub containers: i128,
}

/// The reason why a pod is not admitted, as its status shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rejection {
    /// A word such as `OutOfmemory`.
    pub reason: String,
    /// The requested, used and available amounts.
    pub message: String,
}

impl Rejection {
    /// Returns the rejection of a node that shuts down (`pkg/kubelet/nodeshutdown`).
    pub(super) fn shutting_down() -> Rejection {
        Rejection { reason: "NodeShutdown".into(), message: "Pod was rejected as the node is shutting down.".into() }
    }
}

impl ResourceAmounts {
    /// Returns the resources that `pod` requests; nothing once it has finished.
    pub(super) fn requested_by(pod: &Pod) -> ResourceAmounts {
        let Some(spec) = pod.spec.as_ref().filter(|_| !pods::is_terminal(pod)) else {
            return ResourceAmounts::default();
        };
        let requests = pod_requests(spec);
        let amount = |name: &str, read: fn(&Quantity) -> Result<i128, quantity::ParseQuantityError>| {
            requests.get(name).and_then(|quantity| read(quantity).ok()).unwrap_or(0)
        };
        ResourceAmounts {
            cpu_milli: amount("cpu", quantity::milli),
            memory: amount("memory", quantity::units),
            ephemeral_storage: amount("ephemeral-storage", quantity::units),
            pods: 1,
            // Init containers run one after the other.
            containers: i128::try_from(spec.containers.len().max(1)).unwrap_or(i128::MAX),
        }
    }

    /// Returns the amounts as a Node's `capacity`.
    pub(super) fn to_resource_list(self) -> BTreeMap<String, Quantity> {
        let cpu = match self.cpu_milli % 1000 {
            0 => (self.cpu_milli / 1000).to_string(),
            _ => format!("{}m", self.cpu_milli),
        };
        let kibibytes = |bytes: i128| if bytes % 1024 == 0 { format!("{}Ki", bytes / 1024) } else { bytes.to_string() };
        [
            ("cpu", cpu),
            ("ephemeral-storage", kibibytes(self.ephemeral_storage)),
            ("memory", kibibytes(self.memory)),
            ("pods", self.pods.to_string()),
        ]
        .map(|(name, amount)| (name.to_string(), Quantity(amount)))
        .into()
    }

    /// Returns the amount of a resource by its Kubernetes name; of an unknown one the number of pods.
    pub(super) fn amount(&self, name: &str) -> i128 {
        match name {
            "cpu" => self.cpu_milli,
            "memory" => self.memory,
            "ephemeral-storage" => self.ephemeral_storage,
            _ => self.pods,
        }
    }
}

/// Returns the pod's requests: those of its containers, replaced by pod-level requests, plus its overhead.
fn pod_requests(spec: &PodSpec) -> totals::Quantities {
    let mut requests = totals::aggregate_requests(spec);
    let pod_level = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    let pod_level = pod_level.into_iter().flatten().filter(|(name, _)| totals::is_pod_level_resource(name));
    requests.extend(pod_level.map(|(name, amount)| (name.clone(), amount.clone())));
    for (name, overhead) in spec.overhead.iter().flatten() {
        let sum = requests.get(name).map_or_else(|| Ok(overhead.clone()), |amount| quantity::sum(amount, overhead));
        requests.extend(sum.ok().map(|sum| (name.clone(), sum)));
    }
    requests
}

/// Checks that no pod holds one of the `requested` host ports. A pod that the scheduler binds never fails.
pub(super) fn check_host_ports<'p>(
    requested: &[HostPort],
    mut held: impl Iterator<Item = &'p HostPort>,
) -> Result<(), Rejection> {
    match held.any(|held| requested.iter().any(|port| port.conflicts_with(held))) {
        true => Err(Rejection {
            reason: "NodePorts".into(),
            message: "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports".into(),
        }),
        false => Ok(()),
    }
}

/// Checks that `requested` fits into `capacity`, of which `allocated` is taken. The rejection names the first
/// resource that does not.
pub(super) fn check(
    requested: &ResourceAmounts,
    allocated: &ResourceAmounts,
    capacity: &ResourceAmounts,
) -> Result<(), Rejection> {
    for name in ["pods", "cpu", "memory", "ephemeral-storage"] {
        let (requested, used, capacity) = (requested.amount(name), allocated.amount(name), capacity.amount(name));
        // A pod that requests none of a resource fits even where the resource is overcommitted.
        if requested > 0 && requested > capacity - used {
            return Err(out_of(name, requested, used, capacity));
        }
    }
    if requested.containers > capacity.containers - allocated.containers {
        let mut rejection = out_of("pods", requested.containers, allocated.containers, capacity.containers);
        rejection.message += " (a container counts as one: each takes memory maps, of which this process has few)";
        return Err(rejection);
    }
    Ok(())
}

fn out_of(name: &str, requested: i128, used: i128, capacity: i128) -> Rejection {
    let message =
        format!("Node didn't have enough resource: {name}, requested: {requested}, used: {used}, capacity: {capacity}");
    Rejection { reason: format!("OutOf{name}"), message }
}

impl AddAssign for ResourceAmounts {
    fn add_assign(&mut self, other: ResourceAmounts) {
        self.cpu_milli += other.cpu_milli;
        self.memory += other.memory;
        self.ephemeral_storage += other.ephemeral_storage;
        self.pods += other.pods;
        self.containers += other.containers;
    }
}

impl SubAssign for ResourceAmounts {
    fn sub_assign(&mut self, other: ResourceAmounts) {
        self.cpu_milli -= other.cpu_milli;
        self.memory -= other.memory;
        self.ephemeral_storage -= other.ephemeral_storage;
        self.pods -= other.pods;
        self.containers -= other.containers;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: i128 = 1 << 20;
    const CAPACITY: ResourceAmounts =
        ResourceAmounts { cpu_milli: 2000, memory: 512 * MIB, ephemeral_storage: 1024 * MIB, pods: 3, containers: 4 };

    fn requests(spec: &str) -> ResourceAmounts {
        ResourceAmounts::requested_by(&serde_yaml::from_str(&format!("{{spec: {spec}}}")).expect("a pod"))
    }

    #[test]
    fn pod_requests_the_sum_of_its_containers() {
        let container = "resources: {requests: {cpu: 250m, memory: 64Mi}}";
        for (spec, cpu_milli, memory, containers) in [
            (format!("{{containers: [{{name: a, {container}}}, {{name: b, {container}}}]}}"), 500, 128 * MIB, 2),
            ("{containers: [{name: a}]}".into(), 0, 0, 1),
            (format!("{{initContainers: [{{name: i, {container}}}], containers: [{{name: a}}]}}"), 250, 64 * MIB, 1),
            (
                format!("{{containers: [{{name: a, {container}}}], resources: {{requests: {{cpu: 1}}}}}}"),
                1000,
                64 * MIB,
                1,
            ),
            (format!("{{containers: [{{name: a, {container}}}], overhead: {{cpu: 50m}}}}"), 300, 64 * MIB, 1),
        ] {
            let want = ResourceAmounts { cpu_milli, memory, ephemeral_storage: 0, pods: 1, containers };
            assert_eq!(requests(&spec), want, "{spec}");
        }
        let finished: Pod =
            serde_yaml::from_str("{spec: {containers: [{name: a}]}, status: {phase: Failed}}").expect("a pod");
        assert_eq!(ResourceAmounts::requested_by(&finished), ResourceAmounts::default());
    }

    #[test]
    fn pods_that_do_not_fit_are_rejected_in_kubelets_words() {
        let used = ResourceAmounts { cpu_milli: 1500, memory: 500 * MIB, ephemeral_storage: 0, pods: 2, containers: 2 };
        let one = ResourceAmounts { pods: 1, containers: 1, ..ResourceAmounts::default() };
        let lacks = |name: &str, requested: i128, used: i128, capacity: i128| {
            let detail = format!("{name}, requested: {requested}, used: {used}, capacity: {capacity}");
            Some((format!("OutOf{name}"), format!("Node didn't have enough resource: {detail}")))
        };
        for (requested, want) in [
            (one, None),
            (ResourceAmounts { cpu_milli: 500, memory: 12 * MIB, ..one }, None),
            (ResourceAmounts { cpu_milli: 501, ..one }, lacks("cpu", 501, 1500, 2000)),
            (ResourceAmounts { memory: 13 * MIB, ..one }, lacks("memory", 13 * MIB, 500 * MIB, 512 * MIB)),
            (
                ResourceAmounts { ephemeral_storage: 2048 * MIB, ..one },
                lacks("ephemeral-storage", 2048 * MIB, 0, 1024 * MIB),
            ),
            (ResourceAmounts { cpu_milli: 501, memory: 13 * MIB, ..one }, lacks("cpu", 501, 1500, 2000)),
        ] {
            let rejected =
                check(&requested, &used, &CAPACITY).err().map(|rejection| (rejection.reason, rejection.message));
            assert_eq!(rejected, want, "{requested:?}");
        }
        let full = ResourceAmounts { pods: 3, ..used };
        let rejected = check(&one, &full, &CAPACITY).err().map(|rejection| (rejection.reason, rejection.message));
        assert_eq!(rejected, lacks("pods", 1, 3, 3));
        let overcommitted = ResourceAmounts { cpu_milli: 9000, ..used };
        assert_eq!(check(&one, &overcommitted, &CAPACITY), Ok(()), "it requests none");
        let wide = ResourceAmounts { containers: 3, ..one };
        let rejection = check(&wide, &used, &CAPACITY).expect_err("too many containers");
        assert!(rejection.message.contains("(a container counts as one"), "{}", rejection.message);
    }

    #[test]
    fn taken_host_ports_are_rejected_in_kubelets_words() {
        let port = |port| HostPort { host_ip: "".into(), port, container_port: 80, protocol: "TCP".into() };
        let held = [port(8080), port(8081)];
        assert_eq!(check_host_ports(&[port(80)], held.iter()), Ok(()));
        assert_eq!(check_host_ports(&[], held.iter()), Ok(()));
        let rejection = check_host_ports(&[port(80), port(8081)], held.iter()).expect_err("it is taken");
        let message = "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports";
        assert_eq!((rejection.reason.as_str(), rejection.message.as_str()), ("NodePorts", message));
    }

    #[test]
    fn amounts_are_printed_as_a_nodes_capacity() {
        let printed = |amounts: ResourceAmounts| -> Vec<String> {
            amounts.to_resource_list().into_values().map(|q| q.0).collect()
        };
        assert_eq!(printed(CAPACITY), ["2", "1048576Ki", "524288Ki", "3"]);
        assert_eq!(printed(ResourceAmounts { cpu_milli: 1500, memory: 1000, ..CAPACITY })[0], "1500m");
    }
}
