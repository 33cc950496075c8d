//! What a pod stores on the node's disk, held against what it may (K72; kubelet's `eviction_manager.go`).
//!
//! Only pods that have such limits are measured, at a kubelet's interval, away from the node's threads.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::PodSpec;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::eviction::{Eviction, GRACE};
use super::worker::{Worker, WorkerMessage};
use crate::model::{pods, quantity};
use crate::registry::pod::totals;
use crate::volumes::{VOLUMES, used};

/// How often a pod is measured.
const INTERVAL: Duration = Duration::from_secs(10);

/// A limit as its manifest writes it, and in bytes.
#[derive(Debug, Clone, PartialEq)]
struct Limit {
    written: String,
    bytes: u64,
}

impl Limit {
    fn of(quantity: &Quantity) -> Option<Limit> {
        let bytes = u64::try_from(quantity::units(quantity).ok()?).ok()?;
        Some(Limit { written: quantity.0.clone(), bytes })
    }
}

/// The resource that bounds it.
const STORAGE: &str = "ephemeral-storage";

/// What a pod may store.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Limits {
    /// By emptyDir.
    volumes: BTreeMap<String, Limit>,
    /// By container.
    containers: BTreeMap<String, Limit>,
    /// Of all containers together, as far as they have limits.
    total: Option<Limit>,
}

/// What it does store, in bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct Stored {
    volumes: BTreeMap<String, u64>,
    containers: BTreeMap<String, u64>,
}

impl Limits {
    /// What the pod of `spec` may store; `None` where nothing bounds it.
    pub(super) fn of(spec: &PodSpec) -> Option<Limits> {
        let mut limits = Limits::default();
        for volume in spec.volumes.iter().flatten() {
            let size = volume.empty_dir.as_ref().and_then(|dir| dir.size_limit.as_ref());
            limits.volumes.extend(size.and_then(Limit::of).map(|limit| (volume.name.clone(), limit)));
        }
        for container in &spec.containers {
            let limit = container.resources.as_ref().and_then(|r| r.limits.as_ref()?.get(STORAGE));
            limits.containers.extend(limit.and_then(Limit::of).map(|limit| (container.name.clone(), limit)));
        }
        let total = totals::aggregate_limits(spec).remove(STORAGE);
        limits.total = total.as_ref().and_then(Limit::of);
        (limits != Limits::default()).then_some(limits)
    }

    /// What is too much, in a kubelet's words.
    fn excess(&self, stored: &Stored) -> Option<String> {
        let over = |limits: &BTreeMap<String, Limit>, used: &BTreeMap<String, u64>| {
            let over = |(name, limit): (&String, &Limit)| {
                (used.get(name).copied().unwrap_or(0) > limit.bytes).then(|| (name.clone(), limit.written.clone()))
            };
            limits.iter().find_map(over)
        };
        if let Some((name, limit)) = over(&self.volumes, &stored.volumes) {
            return Some(format!("Usage of EmptyDir volume {name:?} exceeds the limit {limit:?}. "));
        }
        let all: u64 = stored.containers.values().chain(stored.volumes.values()).sum();
        if let Some(total) = self.total.as_ref().filter(|total| all > total.bytes) {
            let limit = &total.written;
            return Some(format!("Pod ephemeral local storage usage exceeds the total limit of containers {limit}. "));
        }
        let (name, limit) = over(&self.containers, &stored.containers)?;
        Some(format!("Container {name} exceeded its local ephemeral storage limit {limit:?}. "))
    }
}

/// Measures what the pod of `folder` stores; blocks its thread.
fn measure(folder: &Path, logs: Option<&Path>, limits: &Limits, spec: &PodSpec) -> Stored {
    let mut stored = Stored::default();
    for volume in spec.volumes.iter().flatten() {
        let lives_here = limits.volumes.contains_key(&volume.name) || limits.total.is_some();
        if lives_here && volume.host_path.is_none() {
            stored.volumes.insert(volume.name.clone(), used(&folder.join(VOLUMES).join(&volume.name)));
        }
    }
    let all = pods::init_containers(spec).iter().chain(&spec.containers).map(|container| &container.name);
    for name in all.filter(|name| limits.total.is_some() || limits.containers.contains_key(*name)) {
        let written = used(&folder.join("containers").join(name)) + logs.map_or(0, |logs| used(&logs.join(name)));
        stored.containers.insert(name.clone(), written);
    }
    stored
}

impl Worker {
    /// Has the pod measured in a while, where that means anything.
    pub(super) fn measure_later(&mut self) {
        let Some(limits) = self.pod.spec.as_ref().and_then(Limits::of) else { return };
        let Some(sandbox) = &self.sandbox else { return };
        let (folder, logs) = (sandbox.folder.clone(), self.shared.log_folder(&self.pod));
        let (pod, clock) = (Arc::clone(&self.pod), self.shared.clock);
        self.facts.push(Box::pin(async move {
            clock.sleep(INTERVAL).await;
            let measured = tokio::task::spawn_blocking(move || {
                let empty = PodSpec::default();
                let spec = pod.spec.as_ref().unwrap_or(&empty);
                limits.excess(&measure(&folder, logs.as_deref(), &limits, spec))
            });
            WorkerMessage::Measured(measured.await.unwrap_or_default())
        }));
    }

    /// Takes in what is too much of what the pod stores.
    pub(super) async fn measured(&mut self, excess: Option<String>) {
        match excess {
            // The node can't do without it, however much it stores.
            Some(_) if pods::is_critical(&self.pod) => self.measure_later(),
            Some(message) => self.see_eviction(Some(Eviction { message, grace: GRACE, disrupts: false })).await,
            None => self.measure_later(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_pods_own_files_are_measured() {
        let dir = tempfile::tempdir().expect("a folder");
        let write = |path: &str| {
            std::fs::create_dir_all(dir.path().join(path)).expect("made");
            std::fs::write(dir.path().join(path).join("f"), [1; 8192]).expect("written");
        };
        write("pod/containers/src/1");
        write("logs/src");
        // `src` is also a folder here, in the directory where the tests run.
        let spec = "{containers: [{name: src, resources: {limits: {ephemeral-storage: 1Mi}}}]}";
        let spec: PodSpec = serde_yaml::from_str(spec).expect("a spec");
        let limits = Limits::of(&spec).expect("limits");
        let (pod, logs) = (dir.path().join("pod"), dir.path().join("logs"));
        let bytes = |logs: Option<&Path>| measure(&pod, logs, &limits, &spec).containers["src"];
        assert_eq!((bytes(None), bytes(Some(&logs))), (8192, 16_384));
    }

    #[test]
    fn k72_what_a_pod_stores_beyond_its_limits_is_told_in_kubelets_words() {
        let spec: PodSpec = serde_yaml::from_str(
            "{volumes: [{name: v, emptyDir: {sizeLimit: 1Mi}}, {name: w, emptyDir: {}}], containers: [
              {name: c, resources: {limits: {ephemeral-storage: 2Mi}}}, {name: d, resources: {limits: {ephemeral-storage: 3Mi}}}]}",
        )
        .expect("a spec");
        let limits = Limits::of(&spec).expect("limits");
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
            let stored = Stored { volumes: own(volumes), containers: own(containers) };
            assert_eq!(limits.excess(&stored).as_deref(), words, "{stored:?}");
        }
        assert_eq!(Limits::of(&PodSpec::default()), None, "what nothing bounds is not measured");
        // What has no limit of its own counts all the same.
        let one = "{containers: [{name: c, resources: {limits: {ephemeral-storage: 1Mi}}}, {name: d}]}";
        let limits = Limits::of(&serde_yaml::from_str(one).expect("a spec")).expect("limits");
        let stored = Stored { containers: [("d".into(), MIB + 1)].into(), ..Stored::default() };
        let words = "Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. ";
        assert_eq!(limits.excess(&stored).as_deref(), Some(words));
    }
}
