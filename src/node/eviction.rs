//! Decides which pod the node evicts when memory runs out (K72; kubelet's `eviction/helpers.go`).
//!
//! Pods that use more memory than they request go first. Owns the pods' usage and the node's memory
//! pressure; the agent hands an eviction to the pod's worker, which ends the pod.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod, Toleration};
use parking_lot::Mutex;

use super::admission::{Rejection, ResourceAmounts};
use crate::budget::Account;
use crate::lifecycle::MonoTime;
use crate::model::{pods, quantity};

/// An eviction of a pod, which the pod's worker performs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PodEviction {
    /// The message in the pod's status.
    pub(super) message: String,
    /// The time that its containers have to exit.
    pub(super) grace: Duration,
    /// Whether the node lacks memory, which sets the condition `DisruptionTarget`. False if the pod exceeds its own limits.
    pub(super) disrupts: bool,
}

/// The grace period of evicted pods: the node cannot wait.
pub(super) const EVICTION_GRACE: Duration = Duration::from_secs(1);
/// The period of memory checks.
pub(super) const CHECK_INTERVAL: Duration = Duration::from_secs(10);
/// The time that memory pressure stays reported after memory was last low (`evictionPressureTransitionPeriod`).
const PRESSURE_TRANSITION_PERIOD: Duration = Duration::from_secs(5 * 60);
/// The taint of a node under memory pressure.
const MEMORY_PRESSURE_TAINT: &str = "node.kubernetes.io/memory-pressure";
/// Kubernetes' threshold: memory is low when fewer bytes are available.
const MIN_AVAILABLE_BYTES: u64 = 100 << 20;

/// The resources that each running pod uses.
#[derive(Default)]
pub(super) struct PodUsages {
    /// Protects the table, by UID.
    pods: Mutex<HashMap<String, PodUsage>>,
}

/// A pod and the accounts of its resources: of the whole pod, and of each container by name.
struct PodUsage {
    pod: Arc<Pod>,
    account: Arc<Account>,
    containers: BTreeMap<String, Arc<Account>>,
}

impl PodUsages {
    pub(super) fn add_pod(&self, pod: &Arc<Pod>, account: &Arc<Account>) {
        let usage = PodUsage { pod: pod.clone(), account: account.clone(), containers: BTreeMap::new() };
        self.pods.lock().insert(pods::node_uid(pod).into(), usage);
    }

    /// Sets the account of a container's new attempt.
    pub(super) fn set_container(&self, pod: &Pod, container: &str, account: &Arc<Account>) {
        if let Some(usage) = self.pods.lock().get_mut(pods::node_uid(pod)) {
            usage.containers.insert(container.into(), account.clone());
        }
    }

    pub(super) fn remove_pod(&self, uid: &str) {
        self.pods.lock().remove(uid);
    }

    /// Returns the running pods that may be evicted.
    pub(super) fn eviction_candidates(&self) -> Vec<EvictionCandidate> {
        let pods = self.pods.lock();
        let candidate = |(uid, usage): (&String, &PodUsage)| {
            let used = usage.account.usage().memory;
            let requested = u64::try_from(ResourceAmounts::requested_by(&usage.pod).memory).unwrap_or(0);
            let priority = usage.pod.spec.as_ref().and_then(|spec| spec.priority).unwrap_or(0);
            EvictionCandidate { uid: uid.clone(), used, requested, priority, over_request: over_request(usage) }
        };
        pods.iter().filter(|(_, usage)| !pods::is_critical(&usage.pod)).map(candidate).collect()
    }
}

/// A pod that may be evicted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EvictionCandidate {
    pub(super) uid: String,
    /// Bytes of memory.
    pub(super) used: u64,
    /// Bytes of memory.
    pub(super) requested: u64,
    pub(super) priority: i32,
    /// Kubelet's messages about the containers that use more memory than they request.
    pub(super) over_request: Vec<String>,
}

fn over_request(usage: &PodUsage) -> Vec<String> {
    let containers = usage.pod.spec.iter().flat_map(|spec| &spec.containers);
    let message = |container: &Container| {
        let used = usage.containers.get(&container.name)?.usage().memory;
        let request = container.resources.as_ref().and_then(|resources| resources.requests.as_ref()?.get("memory"));
        let bytes = request.and_then(|request| quantity::units(request).ok()).unwrap_or(0);
        let (name, request) = (&container.name, request.map_or("0", |request| request.0.as_str()));
        (i128::from(used) > bytes).then(|| {
            let used = format_binary(used);
            format!("Container {name} was using {used}, request is {request}, has larger consumption of memory. ")
        })
    };
    containers.filter_map(message).collect()
}

/// Writes bytes as Kubernetes does, in powers of 1024.
fn format_binary(bytes: u64) -> String {
    let steps = (bytes.trailing_zeros() / 10).min(6);
    let unit = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].get(steps as usize).filter(|_| bytes > 0);
    unit.map_or_else(|| bytes.to_string(), |unit| format!("{}{unit}", bytes >> (steps * 10)))
}

/// Selects the pod to evict when only `available` bytes of memory are left of `capacity`: its UID and eviction.
///
/// `candidates` is called only if memory is low.
pub(super) fn select_victim(
    candidates: impl FnOnce() -> Vec<EvictionCandidate>,
    available: u64,
    capacity: u64,
) -> Option<(String, PodEviction)> {
    let threshold = threshold(capacity);
    if available >= threshold {
        return None;
    }
    let rank = |c: &&EvictionCandidate| (c.used > c.requested, Reverse(c.priority), c.used.saturating_sub(c.requested));
    let candidates = candidates();
    let victim = candidates.iter().filter(|c| c.used > 0).max_by_key(rank)?;
    let message = format!(
        "The node was low on resource: memory. Threshold quantity: {}, available: {}. {}",
        format_binary(threshold),
        format_binary(available),
        victim.over_request.concat(),
    );
    Some((victim.uid.clone(), PodEviction { message, grace: EVICTION_GRACE, disrupts: true }))
}

/// Returns whether `available` bytes of memory of `capacity` are below the threshold.
pub(super) fn is_memory_low(available: u64, capacity: u64) -> bool {
    available < threshold(capacity)
}

/// Returns Kubernetes' threshold, or a tenth of the capacity of a small node.
fn threshold(capacity: u64) -> u64 {
    MIN_AVAILABLE_BYTES.min(capacity / 10)
}

/// Memory pressure as the node reports it: longer than memory is low, so that pods are not admitted
/// only to be evicted again.
#[derive(Debug, Default)]
pub(super) struct MemoryPressure {
    until: Option<MonoTime>,
}

impl MemoryPressure {
    /// Records whether memory is low now. Returns whether the reported condition changes.
    pub(super) fn observe(&mut self, is_low: bool, now: MonoTime) -> bool {
        let was_active = self.is_active();
        if is_low {
            self.until = Some(now + PRESSURE_TRANSITION_PERIOD);
        } else if self.until.is_some_and(|until| now >= until) {
            self.until = None;
        }
        self.is_active() != was_active
    }

    /// Returns whether the node reports memory pressure.
    pub(super) fn is_active(&self) -> bool {
        self.until.is_some()
    }

    /// Rejects a best-effort pod under memory pressure, as it would be evicted first (K14).
    pub(super) fn admit(&self, pod: &Pod) -> Result<(), Rejection> {
        let best_effort = pod.status.as_ref().and_then(|status| status.qos_class.as_deref()) == Some("BestEffort");
        let spec = pod.spec.as_ref();
        let tolerations = spec.and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default();
        if !self.is_active() || !best_effort || pods::is_critical(pod) || tolerations.iter().any(tolerates_pressure) {
            return Ok(());
        }
        let message = "The node had condition: [MemoryPressure]. ".into();
        Err(Rejection { reason: "Evicted".into(), message })
    }
}

/// Returns whether the toleration matches the taint of a node under memory pressure.
fn tolerates_pressure(toleration: &Toleration) -> bool {
    let is_empty = |text: &Option<String>| text.as_deref().unwrap_or_default().is_empty();
    let is_exists = toleration.operator.as_deref() == Some("Exists");
    let key_matches = match toleration.key.as_deref() {
        None | Some("") => is_exists,
        Some(key) => key == MEMORY_PRESSURE_TAINT,
    };
    let effect_matches = is_empty(&toleration.effect) || toleration.effect.as_deref() == Some("NoSchedule");
    key_matches && effect_matches && (is_exists || is_empty(&toleration.value))
}

/// Returns the host's available memory in bytes (`MemAvailable` of /proc/meminfo), if the system reports it.
pub(super) fn host_available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::{AccountLimits, AccountResource};

    #[test]
    fn pods_over_their_request_are_evicted_first_then_by_priority() {
        const MIB: u64 = 1 << 20;
        let candidate = |uid: &str, used, requested, priority| EvictionCandidate {
            uid: uid.into(),
            used: used * MIB,
            requested: requested * MIB,
            priority,
            over_request: vec![format!("Container {uid} is greedy. ")],
        };
        let all = [
            candidate("guaranteed", 900, 900, 0),
            candidate("burst", 300, 100, 0),
            candidate("effort", 100, 0, 0),
            candidate("high", 500, 0, 9),
        ];
        let chosen =
            |all: &[EvictionCandidate]| select_victim(|| all.to_vec(), 50 * MIB, 4096 * MIB).map(|(uid, _)| uid);
        assert_eq!(chosen(&all).as_deref(), Some("burst"), "the pod furthest above its request");
        assert_eq!(chosen(&[all[0].clone(), all[3].clone()]).as_deref(), Some("high"), "above its request");
        assert_eq!(chosen(&all[..1]).as_deref(), Some("guaranteed"), "the last resort");
        assert_eq!(chosen(&[]), None);
        assert_eq!(select_victim(|| all.to_vec(), 100 * MIB, 4096 * MIB), None, "enough is left");
        let (_, eviction) = select_victim(|| all.to_vec(), 50 * MIB, 4096 * MIB).expect("too little");
        let words = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. \
                     Container burst is greedy. ";
        assert_eq!(eviction.message, words);
        assert_eq!(select_victim(|| all.to_vec(), 50 * MIB, 64 * MIB), None, "a small node keeps a tenth");
    }

    #[test]
    fn eviction_messages_name_the_containers_over_their_request() {
        let pod = |yaml: &str| -> Arc<Pod> { Arc::new(serde_yaml::from_str(yaml).expect("a pod")) };
        let usages = PodUsages::default();
        let plain = pod(
            "{metadata: {uid: plain}, spec: {containers: [{name: c, resources: {requests: {memory: 1Mi}}}, {name: d}, {name: e}]}}",
        );
        let root = Account::root(AccountLimits::NONE);
        usages.add_pod(&plain, &root);
        let held = ["c", "d", "e"].map(|name| {
            let account = root.child(AccountLimits::NONE);
            usages.set_container(&plain, name, &account);
            account
        });
        let _charges = [(&held[0], 1 << 20), (&held[1], 3 << 10)]
            .map(|(account, bytes)| account.charge(AccountResource::Memory, bytes).expect("charged"));
        usages.add_pod(&pod("{metadata: {uid: vital}, spec: {priority: 2000001000, containers: []}}"), &root);
        let candidates = usages.eviction_candidates();
        assert_eq!(candidates.len(), 1, "the other pod is critical: {candidates:?}");
        let words = "Container d was using 3Ki, request is 0, has larger consumption of memory. ";
        assert_eq!(candidates[0].over_request, [words]);
        for (bytes, written) in [(0, "0"), (1, "1"), (1024, "1Ki"), (1536, "1536"), (5 << 20, "5Mi"), (3 << 40, "3Ti")]
        {
            assert_eq!(format_binary(bytes), written);
        }
    }

    #[test]
    fn memory_pressure_rejects_best_effort_pods_without_toleration() {
        let mut pressure = MemoryPressure::default();
        let pod = |class: &str, spec: &str| -> Pod {
            serde_yaml::from_str(&format!("{{status: {{qosClass: {class}}}, spec: {{{spec}, containers: []}}}}"))
                .expect("a pod")
        };
        let plain = pod("BestEffort", "priority: 0");
        assert_eq!(pressure.admit(&plain), Ok(()), "memory suffices");
        let seconds = |n| MonoTime::from_origin(Duration::from_secs(n));
        assert!(pressure.observe(true, seconds(10)) && !pressure.observe(true, seconds(20)));
        let rejection = pressure.admit(&plain).expect_err("a rejection");
        assert_eq!(
            (rejection.reason.as_str(), rejection.message.as_str()),
            ("Evicted", "The node had condition: [MemoryPressure]. ")
        );
        for (class, spec, rejected) in [
            ("Burstable", "priority: 0", false),
            ("Guaranteed", "priority: 0", false),
            ("BestEffort", "priority: 2000000000", false),
            ("BestEffort", "tolerations: [{operator: Exists}]", false),
            ("BestEffort", "tolerations: [{key: node.kubernetes.io/memory-pressure, operator: Exists}]", false),
            ("BestEffort", "tolerations: [{key: node.kubernetes.io/memory-pressure, effect: NoSchedule}]", false),
            ("BestEffort", "tolerations: [{key: node.kubernetes.io/memory-pressure, effect: NoExecute}]", true),
            ("BestEffort", "tolerations: [{key: node.kubernetes.io/disk-pressure, operator: Exists}]", true),
            ("BestEffort", "tolerations: [{key: node.kubernetes.io/memory-pressure, value: x}]", true),
        ] {
            assert_eq!(pressure.admit(&pod(class, spec)).is_err(), rejected, "{class} {spec}");
        }
        assert!(!pressure.observe(false, seconds(319)) && pressure.is_active(), "for five more minutes");
        assert!(pressure.observe(false, seconds(320)) && !pressure.is_active());
    }
}
