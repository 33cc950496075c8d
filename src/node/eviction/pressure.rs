//! The pressures that a node reports, and the pods that it rejects then.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, Toleration};

use super::super::admission::Rejection;
use crate::lifecycle::MonoTime;
use crate::model::pods;

/// The time that a pressure stays reported after a resource was last scarce (`evictionPressureTransitionPeriod`).
const TRANSITION_PERIOD: Duration = Duration::from_secs(5 * 60);
/// The taint of a node under memory pressure.
const MEMORY_PRESSURE_TAINT: &str = "node.kubernetes.io/memory-pressure";

/// A pressure, longer than its resource is scarce, so that pods are not admitted only to be evicted again.
#[derive(Debug, Default)]
pub struct Pressure {
    until: Option<MonoTime>,
}

impl Pressure {
    /// Records whether the resource is scarce now. Returns whether the reported condition changes.
    pub fn observe(&mut self, is_scarce: bool, now: MonoTime) -> bool {
        let was_active = self.is_active();
        if is_scarce {
            self.until = Some(now + TRANSITION_PERIOD);
        } else if self.until.is_some_and(|until| now >= until) {
            self.until = None;
        }
        self.is_active() != was_active
    }

    /// Returns whether the node reports the pressure.
    pub fn is_active(&self) -> bool {
        self.until.is_some()
    }
}

/// The pressures of a node.
#[derive(Debug, Default)]
pub struct Pressures {
    pub memory: Pressure,
    pub disk: Pressure,
}

impl Pressures {
    /// Records whether memory and disk are scarce now. Returns whether a reported condition changes.
    pub fn observe(&mut self, is_memory_scarce: bool, is_disk_scarce: bool, now: MonoTime) -> bool {
        let memory_changes = self.memory.observe(is_memory_scarce, now);
        self.disk.observe(is_disk_scarce, now) || memory_changes
    }

    /// Rejects pods under pressure by kubelet's rules (K14): under memory pressure alone the best-effort ones, which would
    /// be evicted first, otherwise all but the critical ones.
    pub fn admit(&self, pod: &Pod) -> Result<(), Rejection> {
        let conditions: Vec<&str> = [("MemoryPressure", &self.memory), ("DiskPressure", &self.disk)]
            .into_iter()
            .filter_map(|(name, pressure)| pressure.is_active().then_some(name))
            .collect();
        if conditions.is_empty() || pods::is_critical(pod) || (!self.disk.is_active() && bears_memory_pressure(pod)) {
            return Ok(());
        }
        let message = format!("The node had condition: [{}]. ", conditions.join(" "));
        Err(Rejection { reason: "Evicted".into(), message })
    }
}

fn bears_memory_pressure(pod: &Pod) -> bool {
    let best_effort = pod.status.as_ref().and_then(|status| status.qos_class.as_deref()) == Some("BestEffort");
    let spec = pod.spec.as_ref();
    let tolerations = spec.and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default();
    !best_effort || tolerations.iter().any(tolerates_pressure)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_pressure_rejects_best_effort_pods_without_toleration() {
        let mut pressure = Pressures::default();
        let pod = |class: &str, spec: &str| -> Pod {
            serde_yaml::from_str(&format!("{{status: {{qosClass: {class}}}, spec: {{{spec}, containers: []}}}}"))
                .expect("a pod")
        };
        let plain = pod("BestEffort", "priority: 0");
        assert_eq!(pressure.admit(&plain), Ok(()), "memory suffices");
        let seconds = |n| MonoTime::from_origin(Duration::from_secs(n));
        assert!(pressure.memory.observe(true, seconds(10)) && !pressure.memory.observe(true, seconds(20)));
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
        assert!(!pressure.memory.observe(false, seconds(319)) && pressure.memory.is_active(), "for five more minutes");
        assert!(pressure.memory.observe(false, seconds(320)) && !pressure.memory.is_active());
    }

    #[test]
    fn disk_pressure_rejects_all_but_critical_pods() {
        let mut pressures = Pressures::default();
        let pod = |spec: &str| -> Pod {
            serde_yaml::from_str(&format!("{{status: {{qosClass: Guaranteed}}, spec: {{{spec}, containers: []}}}}"))
                .expect("a pod")
        };
        let now = MonoTime::from_origin(Duration::from_secs(10));
        assert!(pressures.disk.observe(true, now));
        let message = |pressures: &Pressures| pressures.admit(&pod("priority: 0")).expect_err("rejected").message;
        assert_eq!(message(&pressures), "The node had condition: [DiskPressure]. ");
        assert_eq!(pressures.admit(&pod("priority: 2000000000")), Ok(()));
        assert!(pressures.memory.observe(true, now));
        assert_eq!(message(&pressures), "The node had condition: [MemoryPressure DiskPressure]. ");
    }
}
