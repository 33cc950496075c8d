//! The pods that the manifests of a run describe: creates them, and brings them in line with changed files.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;

use super::changes::{Change, file_name};
use super::compile;
use super::output::RunOutput;
use super::pod_watcher::PodWatcher;
use crate::cli::manifests::{self, LoadedManifests};
use crate::control::{Body, ControlPlane, DeleteOptions, Key, Reason, Status};
use crate::images::Images;
use crate::model::{outcome, pods};
use crate::node::Handle;

/// The grace period of a container or program that is replaced by a newer one.
pub const REPLACE_GRACE: Duration = Duration::from_secs(1);

/// A pod of the manifests that was created.
struct RunPod {
    pod: Pod,
    key: Key,
    /// Container IDs of the attempts that were asked to stop because their program changed.
    outdated: BTreeSet<String>,
}

/// The pods of a run.
pub struct RunPods {
    control: Arc<dyn ControlPlane>,
    handle: Handle,
    images: Arc<Images>,
    pods: Vec<RunPod>,
    /// Pods to create when the pod at the key is gone.
    pending: Vec<(Key, Pod)>,
}

impl RunPods {
    /// Returns an empty set, whose pods will be created in `control` and run by the node of `handle`.
    pub fn new(control: Arc<dyn ControlPlane>, handle: Handle, images: Arc<Images>) -> RunPods {
        RunPods { control, handle, images, pods: Vec::new(), pending: Vec::new() }
    }

    /// Returns the number of pods that were created and are still desired.
    pub fn len(&self) -> usize {
        self.pods.len()
    }

    /// Returns whether pods wait for their predecessors to be gone.
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Returns whether the pod at `key` is desired.
    pub fn contains(&self, key: &Key) -> bool {
        self.pods.iter().any(|desired| desired.key == *key)
    }

    /// Creates a pod.
    pub async fn create(&mut self, pod: Pod) -> Result<(), Status> {
        let object = self.control.create(Body::from(pod.clone())).await?;
        self.pods.push(RunPod { pod, key: object.key.clone(), outdated: BTreeSet::new() });
        Ok(())
    }

    /// Applies a change of the files.
    pub async fn apply(&mut self, change: Change, watcher: &PodWatcher, output: &mut RunOutput) -> anyhow::Result<()> {
        match change {
            Change::Programs(files) => self.restart_users_of(&files, watcher, output).await,
            Change::Manifests(loaded, notices) => {
                notices.iter().for_each(|notice| output.note(notice));
                self.replace_manifests(loaded, output).await
            }
            Change::Broken(message) => {
                output.note(&format!("error: {message}"));
                Ok(())
            }
        }
    }

    /// Handles the deletion of the pod at `key`: creates its successor.
    pub async fn on_deleted(&mut self, key: &Key, output: &mut RunOutput) {
        let successor = self.pending.iter().position(|(predecessor, _)| predecessor == key);
        if let Some((_, pod)) = successor.map(|index| self.pending.remove(index)) {
            self.create_or_report(pod, output).await;
        }
    }

    /// Handles a change of the pod at `key`. A pod that finished just before a restart for a newer program runs again.
    pub async fn on_changed(&mut self, key: &Key, watcher: &PodWatcher, output: &mut RunOutput) -> anyhow::Result<()> {
        let finished = watcher.pod(key).filter(|pod| pods::is_terminal(&pod.pod) && !pod.is_deleted);
        let Some(observed) = finished else { return Ok(()) };
        let ids: Vec<String> =
            outcome::container_statuses(&observed.pod).filter_map(|s| s.container_id.clone()).collect();
        let is_outdated = |desired: &RunPod| desired.key == *key && ids.iter().any(|id| desired.outdated.contains(id));
        match self.pods.iter().position(is_outdated) {
            Some(index) => self.recreate(index, output).await,
            None => Ok(()),
        }
    }

    async fn create_or_report(&mut self, pod: Pod, output: &mut RunOutput) {
        let name = pods::name(&pod).to_string();
        if let Err(status) = self.create(pod).await {
            output.note(&format!("error: cannot create pod {name}: {status}"));
        }
    }

    /// Restarts the containers that use the programs in `files`, and recreates the finished pods that do.
    async fn restart_users_of(
        &mut self,
        files: &[PathBuf],
        watcher: &PodWatcher,
        output: &mut RunOutput,
    ) -> anyhow::Result<()> {
        let mut finished = Vec::new();
        let mut restarts = Vec::new();
        for (index, desired) in self.pods.iter_mut().enumerate() {
            let used = compile::program_files(&desired.pod, &self.images);
            let changed = used.iter().filter(|(_, file)| files.contains(file));
            let Some(observed) = watcher.pod(&desired.key).filter(|pod| !pod.is_deleted) else { continue };
            let pod = pods::name(&observed.pod);
            for (container, file) in changed {
                let (file, container) = (file_name(file), &container.name);
                if pods::is_terminal(&observed.pod) {
                    finished.push((index, format!("{file} changed: running pod {pod} again")));
                    break;
                }
                let status = outcome::container_statuses(&observed.pod).find(|status| status.name == *container);
                desired.outdated.extend(status.and_then(|status| status.container_id.clone()));
                let note = format!("{file} changed: restarting container {container} of pod {pod}");
                restarts.push((pods::node_uid(&observed.pod).to_string(), container.clone(), note));
            }
        }
        for (uid, container, note) in restarts {
            output.note(&note);
            self.handle.restart(&uid, &container, REPLACE_GRACE).await;
        }
        // In reverse order, so that removals do not shift the remaining indexes.
        for (index, note) in finished.into_iter().rev() {
            output.note(&note);
            self.recreate(index, output).await?;
        }
        Ok(())
    }

    /// Makes the objects of `loaded` the desired ones.
    async fn replace_manifests(&mut self, loaded: LoadedManifests, output: &mut RunOutput) -> anyhow::Result<()> {
        loaded.warnings.iter().for_each(|warning| output.note(&format!("warning: {warning}")));
        if let Err(status) = manifests::store_objects(&*self.control, loaded.objects).await {
            output.note(&format!("error: {status}"));
        }
        let mut previous = std::mem::take(&mut self.pods);
        let mut added = Vec::new();
        // Pods that are not created yet are replaced in place.
        let mut pending = std::mem::take(&mut self.pending);
        for pod in loaded.pods {
            if let Some(index) = previous.iter().position(|desired| has_same_name(&desired.pod, &pod)) {
                let desired = previous.remove(index);
                if desired.pod == pod {
                    self.pods.push(desired);
                } else {
                    output.note(&format!("pod {} changed: replacing it", pods::name(&pod)));
                    self.delete(desired.key, Some(pod), output).await?;
                }
            } else if let Some(index) = pending.iter().position(|(_, old)| has_same_name(old, &pod)) {
                self.pending.push((pending.remove(index).0, pod));
            } else {
                added.push(pod);
            }
        }
        for desired in previous {
            output.note(&format!("pod {} was removed: stopping it", desired.key.name));
            self.delete(desired.key, None, output).await?;
        }
        for pod in added {
            output.note(&format!("pod {} was added: starting it", pods::name(&pod)));
            self.create_or_report(pod, output).await;
        }
        Ok(())
    }

    /// Deletes the pod at `index` and creates it again.
    async fn recreate(&mut self, index: usize, output: &mut RunOutput) -> anyhow::Result<()> {
        let RunPod { pod, key, .. } = self.pods.remove(index);
        self.delete(key, Some(pod), output).await
    }

    /// Deletes the pod at `key`, and creates `successor` when it is gone.
    async fn delete(&mut self, key: Key, successor: Option<Pod>, output: &mut RunOutput) -> anyhow::Result<()> {
        self.pending.extend(successor.map(|pod| (key.clone(), pod)));
        let grace_seconds = i64::try_from(REPLACE_GRACE.as_secs()).ok();
        let options = DeleteOptions { grace_seconds, ..DeleteOptions::default() };
        match self.control.delete(&key, options).await {
            Ok(_) => Ok(()),
            Err(status) if status.reason == Reason::NotFound => {
                self.on_deleted(&key, output).await;
                Ok(())
            }
            Err(status) => Err(status.into()),
        }
    }
}

/// Returns whether two pods have the same namespace and the same name, or prefix of a generated name.
fn has_same_name(a: &Pod, b: &Pod) -> bool {
    let name =
        |pod: &Pod| (pod.metadata.namespace.clone(), pod.metadata.name.clone(), pod.metadata.generate_name.clone());
    name(a) == name(b)
}
