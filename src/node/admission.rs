//! Whether a pod fits on the node beside those that it has admitted (K13, K14; `pkg/kubelet/lifecycle/predicate.go`).
//!
//! Requests count, not what is used: of pods that are not over, of init containers and sidecars as Kubernetes adds
//! them up. Nothing here remembers: the agent keeps what it has promised.

use std::collections::BTreeMap;
use std::ops::{AddAssign, SubAssign};

use k8s_openapi::api::core::v1::{Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::model::{pods, quantity};
use crate::registry::pod::totals;

/// Amounts of what pods share.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resources {
    /// Thousandths of a processor.
    pub cpu_milli: i128,
    /// Bytes of memory.
    pub memory: i128,
    /// Bytes of files.
    pub ephemeral_storage: i128,
    /// Pods.
    pub pods: i128,
    /// Containers that run side by side: each takes memory maps, of which a process has few.
    pub containers: i128,
}

/// Why a pod is not admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rejection {
    /// `OutOfmemory`
    pub reason: String,
    /// What is asked for, used and there.
    pub message: String,
}

impl Rejection {
    /// The node goes down (`pkg/kubelet/nodeshutdown`).
    pub(super) fn shutting_down() -> Rejection {
        Rejection { reason: "NodeShutdown".into(), message: "Pod was rejected as the node is shutting down.".into() }
    }
}

impl Resources {
    /// What `pod` asks for; nothing once it is over.
    pub(super) fn of(pod: &Pod) -> Resources {
        let Some(spec) = pod.spec.as_ref().filter(|_| !pods::is_terminal(pod)) else { return Resources::default() };
        let asked = asked(spec);
        let amount = |name: &str, read: fn(&Quantity) -> Result<i128, quantity::NotAQuantity>| {
            asked.get(name).and_then(|quantity| read(quantity).ok()).unwrap_or(0)
        };
        Resources {
            cpu_milli: amount("cpu", quantity::milli),
            memory: amount("memory", quantity::units),
            ephemeral_storage: amount("ephemeral-storage", quantity::units),
            pods: 1,
            // Init containers run one by one.
            containers: i128::try_from(spec.containers.len().max(1)).unwrap_or(i128::MAX),
        }
    }

    /// The same as a Node object tells it.
    pub(super) fn told(&self) -> BTreeMap<String, Quantity> {
        let cpu = match self.cpu_milli % 1000 {
            0 => (self.cpu_milli / 1000).to_string(),
            _ => format!("{}m", self.cpu_milli),
        };
        let binary = |bytes: i128| if bytes % 1024 == 0 { format!("{}Ki", bytes / 1024) } else { bytes.to_string() };
        [
            ("cpu", cpu),
            ("ephemeral-storage", binary(self.ephemeral_storage)),
            ("memory", binary(self.memory)),
            ("pods", self.pods.to_string()),
        ]
        .map(|(name, amount)| (name.to_string(), Quantity(amount)))
        .into()
    }
}

/// Requests of the containers; what the pod asks for as a whole stands in their place, and its overhead is added.
fn asked(spec: &PodSpec) -> totals::Quantities {
    let mut asked = totals::aggregate_requests(spec);
    let whole = spec.resources.as_ref().and_then(|whole| whole.requests.as_ref());
    let whole = whole.into_iter().flatten().filter(|(name, _)| totals::is_pod_level_resource(name));
    asked.extend(whole.map(|(name, amount)| (name.clone(), amount.clone())));
    for (name, more) in spec.overhead.iter().flatten() {
        let sum = asked.get(name).map_or_else(|| Ok(more.clone()), |so_far| quantity::sum(so_far, more));
        asked.extend(sum.ok().map(|sum| (name.clone(), sum)));
    }
    asked
}

/// Whether there is room for `asked` where `used` of `capacity` is promised. Of several lacks the first is told.
pub(super) fn check(asked: &Resources, used: &Resources, capacity: &Resources) -> Result<(), Rejection> {
    let lacks = |name: &str, asked: i128, used: i128, capacity: i128| Rejection {
        reason: format!("OutOf{name}"),
        message: format!(
            "Node didn't have enough resource: {name}, requested: {asked}, used: {used}, capacity: {capacity}"
        ),
    };
    for (name, asked, used, capacity) in [
        ("pods", asked.pods, used.pods, capacity.pods),
        ("cpu", asked.cpu_milli, used.cpu_milli, capacity.cpu_milli),
        ("memory", asked.memory, used.memory, capacity.memory),
        ("ephemeral-storage", asked.ephemeral_storage, used.ephemeral_storage, capacity.ephemeral_storage),
    ] {
        // Who asks for nothing gets it even where more is promised than there is.
        if asked > 0 && asked > capacity - used {
            return Err(lacks(name, asked, used, capacity));
        }
    }
    if asked.containers > capacity.containers - used.containers {
        let mut refusal = lacks("pods", asked.containers, used.containers, capacity.containers);
        refusal.message += " (a container counts as one: each takes memory maps, of which this process has few)";
        return Err(refusal);
    }
    Ok(())
}

impl AddAssign for Resources {
    fn add_assign(&mut self, more: Resources) {
        self.cpu_milli += more.cpu_milli;
        self.memory += more.memory;
        self.ephemeral_storage += more.ephemeral_storage;
        self.pods += more.pods;
        self.containers += more.containers;
    }
}

impl SubAssign for Resources {
    fn sub_assign(&mut self, less: Resources) {
        self.cpu_milli -= less.cpu_milli;
        self.memory -= less.memory;
        self.ephemeral_storage -= less.ephemeral_storage;
        self.pods -= less.pods;
        self.containers -= less.containers;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: i128 = 1 << 20;
    const CAPACITY: Resources =
        Resources { cpu_milli: 2000, memory: 512 * MIB, ephemeral_storage: 1024 * MIB, pods: 3, containers: 4 };

    fn asked_by(spec: &str) -> Resources {
        Resources::of(&serde_yaml::from_str(&format!("{{spec: {spec}}}")).expect("a pod"))
    }

    #[test]
    fn a_pod_asks_for_what_its_containers_request_together() {
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
            let want = Resources { cpu_milli, memory, ephemeral_storage: 0, pods: 1, containers };
            assert_eq!(asked_by(&spec), want, "{spec}");
        }
        let over: Pod =
            serde_yaml::from_str("{spec: {containers: [{name: a}]}, status: {phase: Failed}}").expect("a pod");
        assert_eq!(Resources::of(&over), Resources::default());
    }

    #[test]
    fn k14_what_does_not_fit_is_refused_in_kubelets_words() {
        let used = Resources { cpu_milli: 1500, memory: 500 * MIB, ephemeral_storage: 0, pods: 2, containers: 2 };
        let one = Resources { pods: 1, containers: 1, ..Resources::default() };
        let lacks = |name: &str, asked: i128, used: i128, capacity: i128| {
            let why = format!("{name}, requested: {asked}, used: {used}, capacity: {capacity}");
            Some((format!("OutOf{name}"), format!("Node didn't have enough resource: {why}")))
        };
        for (asked, want) in [
            (one, None),
            (Resources { cpu_milli: 500, memory: 12 * MIB, ..one }, None),
            (Resources { cpu_milli: 501, ..one }, lacks("cpu", 501, 1500, 2000)),
            (Resources { memory: 13 * MIB, ..one }, lacks("memory", 13 * MIB, 500 * MIB, 512 * MIB)),
            (Resources { ephemeral_storage: 2048 * MIB, ..one }, lacks("ephemeral-storage", 2048 * MIB, 0, 1024 * MIB)),
            (Resources { cpu_milli: 501, memory: 13 * MIB, ..one }, lacks("cpu", 501, 1500, 2000)),
        ] {
            let refused = check(&asked, &used, &CAPACITY).err().map(|refusal| (refusal.reason, refusal.message));
            assert_eq!(refused, want, "{asked:?}");
        }
        let full = Resources { pods: 3, ..used };
        let refused = check(&one, &full, &CAPACITY).err().map(|refusal| (refusal.reason, refusal.message));
        assert_eq!(refused, lacks("pods", 1, 3, 3));
        let promised = Resources { cpu_milli: 9000, ..used };
        assert_eq!(check(&one, &promised, &CAPACITY), Ok(()), "it asks for none");
        let wide = Resources { containers: 3, ..one };
        let refused = check(&wide, &used, &CAPACITY).expect_err("too many containers");
        assert!(refused.message.contains("(a container counts as one"), "{}", refused.message);
    }

    #[test]
    fn amounts_are_told_as_a_node_tells_them() {
        let told = |resources: Resources| -> Vec<String> { resources.told().into_values().map(|q| q.0).collect() };
        assert_eq!(told(CAPACITY), ["2", "1048576Ki", "524288Ki", "3"]);
        assert_eq!(told(Resources { cpu_milli: 1500, memory: 1000, ..CAPACITY })[0], "1500m");
    }
}
