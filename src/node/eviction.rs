//! What the node does when memory runs out: it ends pods, those first that take more than they asked for
//! (K72; kubelet's `eviction/helpers.go`).

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod, Toleration};
use parking_lot::Mutex;

use super::admission::{Rejection, Resources};
use crate::budget::Account;
use crate::model::{pods, quantity};

/// A pod is ended for what it takes of the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Eviction {
    /// As the pod's status says it.
    pub(super) message: String,
    /// How long its containers may take.
    pub(super) grace: Duration,
    /// Whether the node's needs end it, rather than its own limits.
    pub(super) disrupts: bool,
}

/// What evicted pods get: there is no time to wait.
pub(super) const GRACE: Duration = Duration::from_secs(1);
/// How often memory is looked at.
pub(super) const INTERVAL: Duration = Duration::from_secs(10);
/// So long after it was last too little, memory counts as too little still.
const TRANSITION: Duration = Duration::from_secs(5 * 60);
/// The taint of a node whose memory is short.
const TAINT: &str = "node.kubernetes.io/memory-pressure";
/// Less memory than this is too little.
const THRESHOLD: u64 = 100 << 20;

/// Pods that run on the node, and what they hold.
#[derive(Default)]
pub(super) struct Accounts {
    /// Protects the table, by UID.
    running: Mutex<HashMap<String, Holder>>,
}

/// A pod, and where what it holds is counted: in all, and by the names of its containers.
struct Holder {
    pod: Arc<Pod>,
    account: Arc<Account>,
    containers: BTreeMap<String, Arc<Account>>,
}

impl Accounts {
    pub(super) fn enter(&self, pod: &Arc<Pod>, account: &Arc<Account>) {
        let holder = Holder { pod: pod.clone(), account: account.clone(), containers: BTreeMap::new() };
        self.running.lock().insert(pods::uid(pod).into(), holder);
    }

    /// A container of the pod begins an attempt.
    pub(super) fn begin(&self, pod: &Pod, container: &str, account: &Arc<Account>) {
        if let Some(holder) = self.running.lock().get_mut(pods::uid(pod)) {
            holder.containers.insert(container.into(), account.clone());
        }
    }

    pub(super) fn leave(&self, uid: &str) {
        self.running.lock().remove(uid);
    }

    /// What every pod takes that runs and may be ended.
    pub(super) fn candidates(&self) -> Vec<Candidate> {
        let running = self.running.lock();
        let candidate = |(uid, holder): (&String, &Holder)| {
            let used = holder.account.usage().memory;
            let requested = u64::try_from(Resources::of(&holder.pod).memory).unwrap_or(0);
            let priority = holder.pod.spec.as_ref().and_then(|spec| spec.priority).unwrap_or(0);
            Candidate { uid: uid.clone(), used, requested, priority, greedy: greedy(holder) }
        };
        running.iter().filter(|(_, holder)| !pods::is_critical(&holder.pod)).map(candidate).collect()
    }
}

/// A pod that might be ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) uid: String,
    /// Bytes of memory.
    pub(super) used: u64,
    pub(super) requested: u64,
    pub(super) priority: i32,
    /// What there is to say of its containers that hold more than they asked for.
    pub(super) greedy: Vec<String>,
}

fn greedy(holder: &Holder) -> Vec<String> {
    let containers = holder.pod.spec.iter().flat_map(|spec| &spec.containers);
    let says = |container: &Container| {
        let used = holder.containers.get(&container.name)?.usage().memory;
        let asked = container.resources.as_ref().and_then(|resources| resources.requests.as_ref()?.get("memory"));
        let bytes = asked.and_then(|asked| quantity::units(asked).ok()).unwrap_or(0);
        let (name, asked) = (&container.name, asked.map_or("0", |asked| asked.0.as_str()));
        (i128::from(used) > bytes).then(|| {
            let used = binary(used);
            format!("Container {name} was using {used}, request is {asked}, has larger consumption of memory. ")
        })
    };
    containers.filter_map(says).collect()
}

/// Bytes as Kubernetes writes them in powers of 1024.
fn binary(bytes: u64) -> String {
    let steps = (bytes.trailing_zeros() / 10).min(6);
    let unit = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].get(steps as usize).filter(|_| bytes > 0);
    unit.map_or_else(|| bytes.to_string(), |unit| format!("{}{unit}", bytes >> (steps * 10)))
}

/// Whom of the `candidates` to end, and what to tell it, where `available` bytes of memory are left of `capacity`.
pub(super) fn choose(
    candidates: impl FnOnce() -> Vec<Candidate>,
    available: u64,
    capacity: u64,
) -> Option<(String, Eviction)> {
    let threshold = threshold(capacity);
    if available >= threshold {
        return None;
    }
    let rank = |c: &&Candidate| (c.used > c.requested, Reverse(c.priority), c.used.saturating_sub(c.requested));
    let candidates = candidates();
    let victim = candidates.iter().filter(|c| c.used > 0).max_by_key(rank)?;
    let message = format!(
        "The node was low on resource: memory. Threshold quantity: {}, available: {}. {}",
        binary(threshold),
        binary(available),
        victim.greedy.concat(),
    );
    Some((victim.uid.clone(), Eviction { message, grace: GRACE, disrupts: true }))
}

/// Whether `available` bytes of memory of `capacity` are too few.
pub(super) fn is_short(available: u64, capacity: u64) -> bool {
    available < threshold(capacity)
}

/// Kubernetes' threshold; a small node keeps a tenth of what it has.
fn threshold(capacity: u64) -> u64 {
    THRESHOLD.min(capacity / 10)
}

/// Too little memory, as the node shows it: for longer than it lasts, so that pods don't come and go.
#[derive(Debug, Default)]
pub(super) struct Pressure {
    until: Option<Duration>,
}

impl Pressure {
    /// Takes in whether memory is `short` now. Whether there is something else to show than before.
    pub(super) fn observe(&mut self, short: bool, now: Duration) -> bool {
        let held = self.holds();
        if short {
            self.until = Some(now + TRANSITION);
        } else if self.until.is_some_and(|until| now >= until) {
            self.until = None;
        }
        self.holds() != held
    }

    pub(super) fn holds(&self) -> bool {
        self.until.is_some()
    }

    /// Why `pod` is not let in: it promises no bounds, and would be the first to go again (K14).
    pub(super) fn refuses(&self, pod: &Pod) -> Option<Rejection> {
        let best_effort = pod.status.as_ref().and_then(|status| status.qos_class.as_deref()) == Some("BestEffort");
        let spec = pod.spec.as_ref();
        let tolerations = spec.and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default();
        (self.holds() && best_effort && !pods::is_critical(pod) && !tolerations.iter().any(tolerates)).then(|| {
            Rejection { reason: "Evicted".into(), message: "The node had condition: [MemoryPressure]. ".into() }
        })
    }
}

/// Whether a pod with this toleration bears the taint of a node that is short of memory.
fn tolerates(toleration: &Toleration) -> bool {
    let empty = |text: &Option<String>| text.as_deref().unwrap_or_default().is_empty();
    let any = toleration.operator.as_deref() == Some("Exists");
    let key = match toleration.key.as_deref() {
        None | Some("") => any,
        Some(key) => key == TAINT,
    };
    let effect = empty(&toleration.effect) || toleration.effect.as_deref() == Some("NoSchedule");
    key && effect && (any || empty(&toleration.value))
}

/// `MemAvailable` of /proc/meminfo in bytes; `None` where the system does not tell.
pub(super) fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::{AccountLimits, Resource};

    #[test]
    fn k72_who_takes_more_than_he_asked_for_goes_first_then_the_least_important() {
        const MIB: u64 = 1 << 20;
        let of = |uid: &str, used, requested, priority| Candidate {
            uid: uid.into(),
            used: used * MIB,
            requested: requested * MIB,
            priority,
            greedy: vec![format!("Container {uid} is greedy. ")],
        };
        let all =
            [of("guaranteed", 900, 900, 0), of("burst", 300, 100, 0), of("effort", 100, 0, 0), of("high", 500, 0, 9)];
        let chosen = |all: &[Candidate]| choose(|| all.to_vec(), 50 * MIB, 4096 * MIB).map(|(uid, _)| uid);
        assert_eq!(chosen(&all).as_deref(), Some("burst"), "of those above their requests the one furthest above");
        assert_eq!(chosen(&[all[0].clone(), all[3].clone()]).as_deref(), Some("high"), "above its request");
        assert_eq!(chosen(&all[..1]).as_deref(), Some("guaranteed"), "the last resort");
        assert_eq!(chosen(&[]), None);
        assert_eq!(choose(|| all.to_vec(), 100 * MIB, 4096 * MIB), None, "enough is left");
        let (_, eviction) = choose(|| all.to_vec(), 50 * MIB, 4096 * MIB).expect("too little");
        let words = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. \
                     Container burst is greedy. ";
        assert_eq!(eviction.message, words);
        assert_eq!(choose(|| all.to_vec(), 50 * MIB, 64 * MIB), None, "a small node keeps a tenth");
    }

    #[test]
    fn k72_of_an_evicted_pod_those_containers_are_told_that_hold_more_than_they_asked_for() {
        let pod = |yaml: &str| -> Arc<Pod> { Arc::new(serde_yaml::from_str(yaml).expect("a pod")) };
        let accounts = Accounts::default();
        let plain = pod(
            "{metadata: {uid: plain}, spec: {containers: [{name: c, resources: {requests: {memory: 1Mi}}}, {name: d}, {name: e}]}}",
        );
        let root = Account::root(AccountLimits::NONE);
        accounts.enter(&plain, &root);
        let held = ["c", "d", "e"].map(|name| {
            let account = root.child(AccountLimits::NONE);
            accounts.begin(&plain, name, &account);
            account
        });
        let _charges = [(&held[0], 1 << 20), (&held[1], 3 << 10)]
            .map(|(account, bytes)| account.charge(Resource::Memory, bytes).expect("room"));
        accounts.enter(&pod("{metadata: {uid: vital}, spec: {priority: 2000001000, containers: []}}"), &root);
        let candidates = accounts.candidates();
        assert_eq!(candidates.len(), 1, "the node can't do without the other: {candidates:?}");
        let words = "Container d was using 3Ki, request is 0, has larger consumption of memory. ";
        assert_eq!(candidates[0].greedy, [words]);
        for (bytes, written) in [(0, "0"), (1, "1"), (1024, "1Ki"), (1536, "1536"), (5 << 20, "5Mi"), (3 << 40, "3Ti")]
        {
            assert_eq!(binary(bytes), written);
        }
    }

    #[test]
    fn k14_while_memory_is_short_pods_without_bounds_are_refused_unless_they_bear_it() {
        let mut pressure = Pressure::default();
        let pod = |class: &str, spec: &str| -> Pod {
            serde_yaml::from_str(&format!("{{status: {{qosClass: {class}}}, spec: {{{spec}, containers: []}}}}"))
                .expect("a pod")
        };
        let plain = pod("BestEffort", "priority: 0");
        assert_eq!(pressure.refuses(&plain), None, "there is enough");
        let seconds = Duration::from_secs;
        assert!(pressure.observe(true, seconds(10)) && !pressure.observe(true, seconds(20)));
        let refused = pressure.refuses(&plain).expect("a refusal");
        assert_eq!(
            (refused.reason.as_str(), refused.message.as_str()),
            ("Evicted", "The node had condition: [MemoryPressure]. ")
        );
        for (class, spec, refused) in [
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
            assert_eq!(pressure.refuses(&pod(class, spec)).is_some(), refused, "{class} {spec}");
        }
        assert!(!pressure.observe(false, seconds(319)) && pressure.holds(), "for five minutes more");
        assert!(pressure.observe(false, seconds(320)) && !pressure.holds());
    }
}
