//! Decides which pod the node evicts when memory or disk runs out (K72; kubelet's `eviction/helpers.go`).
//!
//! Pods that use more than they request go first. Owns the pods' usage; the agent hands an eviction to the pod's worker,
//! which ends the pod. `thresholds` says when a resource is scarce, `pressure` what the node reports and admits then.

mod pressure;
mod thresholds;

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod};
use parking_lot::Mutex;

use super::admission::ResourceAmounts;
use super::pod_directories::PodDirectories;
use crate::budget::Account;
use crate::model::{pods, quantity};

pub use self::thresholds::{EvictionThresholds, Threshold, ThresholdError};

pub(super) use self::pressure::Pressures;
pub(super) use self::thresholds::{FileSystem, ScarceResource, Shortage, Supply};

/// An eviction of a pod, which the pod's worker performs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PodEviction {
    /// The message in the pod's status.
    pub(super) message: String,
    /// The time that its containers have to exit.
    pub(super) grace: Duration,
    /// Whether the node lacks a resource, which sets the condition `DisruptionTarget`. False if the pod exceeds its own limits.
    pub(super) disrupts: bool,
}

/// The grace period of evicted pods: the node cannot wait.
pub(super) const EVICTION_GRACE: Duration = Duration::from_secs(1);
/// The period of checks.
pub(super) const CHECK_INTERVAL: Duration = Duration::from_secs(10);

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

    /// Returns the running pods that may be evicted, with their memory.
    pub(super) fn memory_candidates(&self) -> Vec<EvictionCandidate> {
        let pods = self.pods.lock();
        let candidate = |(uid, usage): (&String, &PodUsage)| {
            let used = |container: &str| usage.containers.get(container).map(|account| account.usage().memory);
            EvictionCandidate {
                used: usage.account.usage().memory,
                over_request: over_request(&usage.pod, ScarceResource::Memory, used),
                ..EvictionCandidate::new(uid, &usage.pod, ResourceAmounts::requested_by(&usage.pod).memory)
            }
        };
        pods.iter().filter(|(_, usage)| !pods::is_critical(&usage.pod)).map(candidate).collect()
    }

    /// Returns the running pods that may be evicted, with their directories and those of their logs.
    pub(super) fn evictable(&self, directories: impl Fn(&Pod) -> PodDirectories) -> Vec<EvictablePod> {
        let pods = self.pods.lock();
        let usages = pods.iter().filter(|(_, usage)| !pods::is_critical(&usage.pod));
        let evictable = |(uid, usage): (&String, &PodUsage)| {
            let directories = directories(&usage.pod);
            EvictablePod { uid: uid.clone(), pod: usage.pod.clone(), directories }
        };
        usages.map(evictable).collect()
    }
}

/// A running pod that may be evicted because of what it stores.
#[derive(Debug)]
pub(super) struct EvictablePod {
    uid: String,
    pod: Arc<Pod>,
    directories: PodDirectories,
}

impl EvictablePod {
    /// Measures what the pod stores: its volumes, the roots of its containers and their logs. Blocks the thread.
    pub(super) fn measure(&self) -> EvictionCandidate {
        let names = pods::container_names(&self.pod);
        let containers: BTreeMap<&str, u64> =
            names.map(|name| (name, self.directories.container_usage(name))).collect();
        let volumes = self.directories.volumes_usage();
        let requested = ResourceAmounts::requested_by(&self.pod).ephemeral_storage;
        EvictionCandidate {
            used: containers.values().sum::<u64>() + volumes,
            over_request: over_request(&self.pod, ScarceResource::EphemeralStorage, |name| {
                containers.get(name).copied()
            }),
            ..EvictionCandidate::new(&self.uid, &self.pod, requested)
        }
    }
}

/// A pod that may be evicted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EvictionCandidate {
    pub(super) uid: String,
    /// Bytes of the scarce resource.
    pub(super) used: u64,
    /// Bytes of it.
    pub(super) requested: u64,
    pub(super) priority: i32,
    /// Kubelet's messages about the containers that use more of it than they request.
    pub(super) over_request: Vec<String>,
}

impl EvictionCandidate {
    /// Returns a pod that uses nothing.
    fn new(uid: &str, pod: &Pod, requested: i128) -> EvictionCandidate {
        EvictionCandidate {
            uid: uid.into(),
            used: 0,
            requested: u64::try_from(requested).unwrap_or(0),
            priority: pod.spec.as_ref().and_then(|spec| spec.priority).unwrap_or(0),
            over_request: Vec::new(),
        }
    }
}

fn over_request(pod: &Pod, resource: ScarceResource, used: impl Fn(&str) -> Option<u64>) -> Vec<String> {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let message = |container: &Container| {
        let used = used(&container.name)?;
        let requests = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
        let request = requests.and_then(|requests| requests.get(resource.to_string().as_str()));
        let bytes = request.and_then(|request| quantity::units(request).ok()).unwrap_or(0);
        let (name, request) = (&container.name, request.map_or("0", |request| request.0.as_str()));
        (i128::from(used) > bytes).then(|| {
            let used = format_binary(used);
            format!("Container {name} was using {used}, request is {request}, has larger consumption of {resource}. ")
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

/// Selects the pod to evict: its UID and eviction. `None` if no pod uses any of the scarce resource.
pub(super) fn select_victim(candidates: &[EvictionCandidate], shortage: &Shortage) -> Option<(String, PodEviction)> {
    let rank = |c: &&EvictionCandidate| (c.used > c.requested, Reverse(c.priority), c.used.saturating_sub(c.requested));
    let victim = candidates.iter().filter(|c| c.used > 0).max_by_key(rank)?;
    let Shortage { resource, threshold, available } = shortage;
    let amount = |amount: u64| match resource {
        ScarceResource::Inodes => amount.to_string(),
        ScarceResource::Memory | ScarceResource::EphemeralStorage => format_binary(amount),
    };
    // Of inodes, nobody counts what containers use.
    let over_request = match resource {
        ScarceResource::Inodes => String::new(),
        ScarceResource::Memory | ScarceResource::EphemeralStorage => victim.over_request.concat(),
    };
    let message = format!(
        "The node was low on resource: {resource}. Threshold quantity: {}, available: {}. {}",
        amount(*threshold),
        amount(*available),
        over_request,
    );
    Some((victim.uid.clone(), PodEviction { message, grace: EVICTION_GRACE, disrupts: true }))
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
        let shortage = Shortage { resource: ScarceResource::Memory, threshold: 100 * MIB, available: 50 * MIB };
        let chosen = |all: &[EvictionCandidate]| select_victim(all, &shortage).map(|(uid, _)| uid);
        assert_eq!(chosen(&all).as_deref(), Some("burst"), "the pod furthest above its request");
        assert_eq!(chosen(&[all[0].clone(), all[3].clone()]).as_deref(), Some("high"), "above its request");
        assert_eq!(chosen(&all[..1]).as_deref(), Some("guaranteed"), "the last resort");
        assert_eq!(chosen(&[]), None);
        let (_, eviction) = select_victim(&all, &shortage).expect("a victim");
        let words = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. \
                     Container burst is greedy. ";
        assert_eq!(eviction.message, words);
        let inodes = Shortage { resource: ScarceResource::Inodes, threshold: 50, available: 49 };
        let (_, eviction) = select_victim(&all, &inodes).expect("a victim");
        assert_eq!(eviction.message, "The node was low on resource: inodes. Threshold quantity: 50, available: 49. ");
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
        let candidates = usages.memory_candidates();
        assert_eq!(candidates.len(), 1, "the other pod is critical: {candidates:?}");
        let words = "Container d was using 3Ki, request is 0, has larger consumption of memory. ";
        assert_eq!(candidates[0].over_request, [words]);
        for (bytes, written) in [(0, "0"), (1, "1"), (1024, "1Ki"), (1536, "1536"), (5 << 20, "5Mi"), (3 << 40, "3Ti")]
        {
            assert_eq!(format_binary(bytes), written);
        }
    }

    #[test]
    fn pods_are_measured_with_volumes_roots_and_logs() {
        let directory = tempfile::tempdir().expect("a directory");
        let write = |path: &str| {
            let path = directory.path().join(path);
            std::fs::create_dir_all(&path).expect("made");
            std::fs::write(path.join("f"), [1; 8192]).expect("written");
        };
        ["pod/containers/c/1", "pod/volumes/v", "logs/c"].into_iter().for_each(write);
        let pod: Pod = serde_yaml::from_str("{metadata: {uid: p}, spec: {containers: [{name: c}]}}").expect("a pod");
        let account = Account::root(AccountLimits::NONE);
        let usages = PodUsages::default();
        usages.add_pod(&Arc::new(pod), &account);
        let path = |name: &str| directory.path().join(name);
        let evictable = usages.evictable(|_| PodDirectories { pod: path("pod"), logs: Some(path("logs")) });
        let candidates: Vec<EvictionCandidate> = evictable.iter().map(EvictablePod::measure).collect();
        assert_eq!((candidates[0].used, candidates[0].requested), (3 * 8192, 0));
        let words = "Container c was using 16Ki, request is 0, has larger consumption of ephemeral-storage. ";
        assert_eq!(candidates[0].over_request, [words]);
    }
}
