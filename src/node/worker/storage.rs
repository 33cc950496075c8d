//! Evicts a pod that stores more on the node's disk than its limits allow (K72; kubelet's `eviction_manager.go`).
//!
//! Only pods with such limits are measured, at kubelet's interval, on a blocking thread.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::PodSpec;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::super::eviction::{EVICTION_GRACE, PodEviction};
use super::super::pod_directories::PodDirectories;
use super::{Worker, WorkerMessage};
use crate::model::{pods, quantity};
use crate::registry::pod::totals;

/// The period of measurements.
const MEASURE_INTERVAL: Duration = Duration::from_secs(10);

/// A limit as its manifest writes it, and in bytes.
#[derive(Debug, Clone, PartialEq)]
struct StorageLimit {
    written: String,
    bytes: u64,
}

impl StorageLimit {
    fn from_quantity(quantity: &Quantity) -> Option<StorageLimit> {
        let bytes = u64::try_from(quantity::units(quantity).ok()?).ok()?;
        Some(StorageLimit { written: quantity.0.clone(), bytes })
    }
}

/// The resource that limits containers.
const EPHEMERAL_STORAGE: &str = "ephemeral-storage";

/// The storage limits of a pod.
#[derive(Debug, Clone, PartialEq, Default)]
struct StorageLimits {
    /// The `sizeLimit` of each emptyDir that has one.
    volumes: BTreeMap<String, StorageLimit>,
    /// The limit of each container that has one.
    containers: BTreeMap<String, StorageLimit>,
    /// The sum of the containers' limits.
    total: Option<StorageLimit>,
}

/// The bytes that a pod's volumes and containers store.
#[derive(Debug, Clone, Default)]
struct StorageUsage {
    volumes: BTreeMap<String, u64>,
    containers: BTreeMap<String, u64>,
}

impl StorageLimits {
    /// Returns the limits in `spec`, if it sets any.
    fn from_spec(spec: &PodSpec) -> Option<StorageLimits> {
        let mut limits = StorageLimits::default();
        for volume in spec.volumes.iter().flatten() {
            let size = volume.empty_dir.as_ref().and_then(|dir| dir.size_limit.as_ref());
            limits.volumes.extend(size.and_then(StorageLimit::from_quantity).map(|limit| (volume.name.clone(), limit)));
        }
        for container in &spec.containers {
            let limit = container.resources.as_ref().and_then(|r| r.limits.as_ref()?.get(EPHEMERAL_STORAGE));
            limits
                .containers
                .extend(limit.and_then(StorageLimit::from_quantity).map(|limit| (container.name.clone(), limit)));
        }
        let total = totals::aggregate_limits(spec).remove(EPHEMERAL_STORAGE);
        limits.total = total.as_ref().and_then(StorageLimit::from_quantity);
        (limits != StorageLimits::default()).then_some(limits)
    }

    /// Returns kubelet's message about the first limit that `usage` exceeds.
    fn exceeded(&self, usage: &StorageUsage) -> Option<String> {
        let first_exceeded = |limits: &BTreeMap<String, StorageLimit>, used: &BTreeMap<String, u64>| {
            let exceeded = |(name, limit): (&String, &StorageLimit)| {
                (used.get(name).copied().unwrap_or(0) > limit.bytes).then(|| (name.clone(), limit.written.clone()))
            };
            limits.iter().find_map(exceeded)
        };
        if let Some((name, limit)) = first_exceeded(&self.volumes, &usage.volumes) {
            return Some(format!("Usage of EmptyDir volume {name:?} exceeds the limit {limit:?}. "));
        }
        let sum: u64 = usage.containers.values().chain(usage.volumes.values()).sum();
        if let Some(total) = self.total.as_ref().filter(|total| sum > total.bytes) {
            let limit = &total.written;
            return Some(format!("Pod ephemeral local storage usage exceeds the total limit of containers {limit}. "));
        }
        let (name, limit) = first_exceeded(&self.containers, &usage.containers)?;
        Some(format!("Container {name} exceeded its local ephemeral storage limit {limit:?}. "))
    }
}

/// Measures what a pod stores, its log files included. Blocks the thread.
fn measure(directories: &PodDirectories, limits: &StorageLimits, spec: &PodSpec) -> StorageUsage {
    let mut usage = StorageUsage::default();
    for volume in spec.volumes.iter().flatten() {
        let is_limited = limits.volumes.contains_key(&volume.name) || limits.total.is_some();
        if is_limited && volume.host_path.is_none() {
            usage.volumes.insert(volume.name.clone(), directories.volume_usage(&volume.name));
        }
    }
    let names = pods::init_containers(spec).iter().chain(&spec.containers).map(|container| &container.name);
    for name in names.filter(|name| limits.total.is_some() || limits.containers.contains_key(*name)) {
        usage.containers.insert(name.clone(), directories.container_usage(name));
    }
    usage
}

impl Worker {
    /// Schedules the next measurement of a pod that has limits.
    pub(super) fn schedule_storage_measurement(&mut self) {
        let pod = &self.stored.pod;
        let Some(limits) = pod.spec.as_ref().and_then(StorageLimits::from_spec) else { return };
        if self.live.sandbox.is_none() {
            return;
        }
        let directories = self.node.pod_directories(pod);
        let (pod, clock) = (Arc::clone(pod), self.node.clock);
        self.live.pending.push(Box::pin(async move {
            clock.sleep(MEASURE_INTERVAL).await;
            let measured = tokio::task::spawn_blocking(move || {
                let empty = PodSpec::default();
                let spec = pod.spec.as_ref().unwrap_or(&empty);
                limits.exceeded(&measure(&directories, &limits, spec))
            });
            WorkerMessage::StorageMeasured(measured.await.unwrap_or_default())
        }));
    }

    /// Evicts the pod if it exceeds a limit, unless it is critical to the node.
    pub(super) async fn on_storage_measured(&mut self, exceeded: Option<String>) {
        match exceeded {
            Some(message) if !pods::is_critical(&self.stored.pod) => {
                self.evict(PodEviction { message, grace: EVICTION_GRACE, disrupts: false }).await;
            }
            Some(_) | None => self.schedule_storage_measurement(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn only_the_pods_own_files_are_measured() {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |path: &str| {
            std::fs::create_dir_all(dir.path().join(path)).expect("made");
            std::fs::write(dir.path().join(path).join("f"), [1; 8192]).expect("written");
        };
        write("pod/containers/src/1");
        write("logs/src");
        // The tests' working directory has a `src` as well.
        let spec = "{containers: [{name: src, resources: {limits: {ephemeral-storage: 1Mi}}}]}";
        let spec: PodSpec = serde_yaml::from_str(spec).expect("a spec");
        let limits = StorageLimits::from_spec(&spec).expect("limits");
        let bytes = |logs: Option<PathBuf>| {
            let directories = PodDirectories { pod: dir.path().join("pod"), logs };
            measure(&directories, &limits, &spec).containers["src"]
        };
        assert_eq!((bytes(None), bytes(Some(dir.path().join("logs")))), (8192, 16_384));
    }

    #[test]
    fn exceeded_storage_limits_are_reported_in_kubelets_words() {
        let spec: PodSpec = serde_yaml::from_str(
            "{volumes: [{name: v, emptyDir: {sizeLimit: 1Mi}}, {name: w, emptyDir: {}}], containers: [
              {name: c, resources: {limits: {ephemeral-storage: 2Mi}}}, {name: d, resources: {limits: {ephemeral-storage: 3Mi}}}]}",
        )
        .expect("a spec");
        let limits = StorageLimits::from_spec(&spec).expect("limits");
        const MIB: u64 = 1 << 20;
        for (volumes, containers, words) in [
            (vec![("v", MIB)], vec![("c", MIB)], None),
            (vec![("v", MIB + 1)], vec![], Some("Usage of EmptyDir volume \"v\" exceeds the limit \"1Mi\". ")),
            (
                vec![],
                vec![("c", 2 * MIB + 1)],
                Some("Container c exceeded its local ephemeral storage limit \"2Mi\". "),
            ),
            (
                vec![("w", 3 * MIB)],
                vec![("c", MIB), ("d", 2 * MIB)],
                Some("Pod ephemeral local storage usage exceeds the total limit of containers 5Mi. "),
            ),
        ] {
            let own = |all: Vec<(&str, u64)>| all.into_iter().map(|(name, bytes)| (name.into(), bytes)).collect();
            let usage = StorageUsage { volumes: own(volumes), containers: own(containers) };
            assert_eq!(limits.exceeded(&usage).as_deref(), words, "{usage:?}");
        }
        assert_eq!(StorageLimits::from_spec(&PodSpec::default()), None, "no limits, no measurement");
        // A container without a limit counts towards the total.
        let one = "{containers: [{name: c, resources: {limits: {ephemeral-storage: 1Mi}}}, {name: d}]}";
        let limits = StorageLimits::from_spec(&serde_yaml::from_str(one).expect("a spec")).expect("limits");
        let usage = StorageUsage { containers: [("d".into(), MIB + 1)].into(), ..StorageUsage::default() };
        let words = "Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. ";
        assert_eq!(limits.exceeded(&usage).as_deref(), Some(words));
    }
}
