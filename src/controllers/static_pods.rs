//! Static pods: keeps the pods of a manifest directory running on one node.
//!
//! The directory is the source of truth: a new file creates its pods, a changed file replaces them, a removed
//! file deletes them. A file that cannot be read or parsed keeps its previous pods, does not affect other
//! files, and is reported once. Pods are named and annotated as kubelet's static pods (K74): `NAME-NODE`,
//! `kubernetes.io/config.*`. Parsing is left to the caller ([`ReadPods`]).

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Toleration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use notify::{RecursiveMode, Watcher};
use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, oneshot};

use super::manifest_directory::{ChangedManifest, FileFingerprint, ManifestDirectory};
pub use super::manifest_directory::{InvalidManifest, ReadPods};
use super::references::referenced_resource;
use crate::clock::Clock;
use crate::control::{
    Body, ControlPlane, DeleteOptions, FieldValidation, Key, Patch, PatchKind, Preconditions, Reason, Resource, Scope,
    Status, Subresource, Update,
};
use crate::model::hex;
use crate::model::pods::{self, MIRROR_ANNOTATION};

/// A directory whose manifests run on a node.
pub struct StaticPods {
    /// The control plane in which pods are created and deleted.
    pub control: Arc<dyn ControlPlane>,
    /// The clock that dates the manifests.
    pub clock: Clock,
    /// The manifest directory.
    pub directory: PathBuf,
    /// The node that runs the pods.
    pub node: String,
    /// Reads a manifest.
    pub read: ReadPods,
    /// Requests to scan the directory at once, each of which is answered when its pods are up to date.
    pub rescans: mpsc::Receiver<oneshot::Sender<()>>,
}

/// The period of scans, with or without a notification of a change; kubelet's default.
const SCAN_INTERVAL: Duration = Duration::from_secs(20);
/// The period of scans while the directory is missing, since its return is not notified.
const MISSING_DIR_SCAN_INTERVAL: Duration = Duration::from_millis(500);
/// The period of checks while an outdated pod is ending.
const PENDING_INTERVAL: Duration = Duration::from_millis(50);
/// The time to wait for the node's registration. Pods of a node that does not register run without an owner.
const REGISTRATION_TIMEOUT: Duration = Duration::from_secs(1);
/// The delay that collects several writes of one save.
const DEBOUNCE_DELAY: Duration = Duration::from_millis(30);

const SOURCE_ANNOTATION: &str = "kubernetes.io/config.source";
const HASH_ANNOTATION: &str = "kubernetes.io/config.hash";
const SEEN_ANNOTATION: &str = "kubernetes.io/config.seen";

/// The last scan of the directory, and the pods that were created for it.
#[derive(Default)]
struct DirectoryState {
    files: BTreeMap<PathBuf, ManifestFile>,
    created: BTreeMap<Key, CreatedPod>,
    /// The last message about each pod that has a problem; repeated messages are not logged.
    problems: BTreeMap<Key, String>,
    /// The files that could not be read at the last scan, each with the reason.
    unreadable: BTreeMap<PathBuf, String>,
    /// Whether the directory could not be read at the last scan.
    is_missing: bool,
}

/// A pod that was created.
struct CreatedPod {
    /// The hash of its definition; empty for one that has to be created anew.
    hash: String,
    /// The manifest that defines it; unknown for a pod of the node's former life that no manifest has defined since.
    path: Option<PathBuf>,
}

/// A manifest as it was last read.
struct ManifestFile {
    fingerprint: FileFingerprint,
    pods: Vec<(Key, StaticPod)>,
    /// Whether it is valid; otherwise, the pods are its previous ones.
    is_valid: bool,
}

/// A pod as a manifest defines it.
#[derive(Clone)]
struct StaticPod {
    pod: Arc<Pod>,
    hash: String,
}

impl StaticPods {
    /// Keeps the directory's pods running until cancelled.
    pub async fn run(mut self) {
        let (notify, mut changes) = mpsc::channel(1);
        let mut watched = None;
        let mut answers = Vec::new();
        let mut state = DirectoryState { created: self.existing_pods().await, ..DirectoryState::default() };
        let mut directory = ManifestDirectory::new(self.directory.clone(), self.read.clone());
        loop {
            // A directory that replaces the watched one is watched anew, before it is scanned.
            let identity = directory.identity().await;
            if watched.as_ref().is_none_or(|(watched, _)| *watched != identity) {
                watched = Some((identity, identity.and_then(|_| self.watch(notify.clone()))));
            }
            answers.extend(self.rescans.try_recv());
            self.scan(&mut directory, &mut state).await;
            let pending = self.reconcile(&mut state).await;
            // The sender of a request may have gone.
            answers.drain(..).for_each(|answer: oneshot::Sender<()>| _ = answer.send(()));
            let wait = match (pending, state.is_missing) {
                (true, _) => PENDING_INTERVAL,
                (false, true) => MISSING_DIR_SCAN_INTERVAL,
                (false, false) => SCAN_INTERVAL,
            };
            tokio::select! {
                Some(()) = changes.recv() => tokio::time::sleep(DEBOUNCE_DELAY).await,
                Some(answer) = self.rescans.recv() => answers.push(answer),
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Returns the static pods of the node's former life. Those that ended with it are to be created anew.
    async fn existing_pods(&self) -> BTreeMap<Key, CreatedPod> {
        let list = match self.control.list(&Scope::all(Resource::PODS)).await {
            Ok(list) => list,
            Err(error) => {
                tracing::warn!(%error, "cannot list the static pods that exist");
                return BTreeMap::new();
            }
        };
        let created = list.items.iter().filter_map(|object| {
            let pod = object.decode::<Pod>().ok()?;
            let hash = pods::annotation(&pod, MIRROR_ANNOTATION)?;
            let node = pod.spec.as_ref()?.node_name.as_deref();
            let is_own = node == Some(&self.node) && pods::annotation(&pod, SOURCE_ANNOTATION) == Some("file");
            let reason = pod.status.as_ref().and_then(|status| status.reason.as_deref());
            let has_ended = matches!(reason, Some("Terminated" | "NodeShutdown")) && pods::is_terminal(&pod);
            let hash = if has_ended { String::new() } else { hash.into() };
            is_own.then(|| (object.key.clone(), CreatedPod { hash, path: None }))
        });
        created.collect()
    }

    /// Notifies of changes in the directory, if the system supports it; it is scanned periodically in any case.
    fn watch(&self, notify: mpsc::Sender<()>) -> Option<notify::RecommendedWatcher> {
        let on_event = move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !event.kind.is_access()) {
                // A full channel holds a notification already.
                let _ = notify.try_send(());
            }
        };
        let watcher = notify::recommended_watcher(on_event).and_then(|mut watcher| {
            watcher.watch(&self.directory, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        let directory = self.directory.display();
        watcher
            .map_err(|error| {
                tracing::warn!(%directory, %error, "cannot watch the manifest directory; polling it every 20 s");
            })
            .ok()
    }

    /// Reads the manifests that have changed.
    async fn scan(&self, directory: &mut ManifestDirectory, state: &mut DirectoryState) {
        let known = state.files.iter().map(|(path, file)| (path.clone(), file.fingerprint)).collect();
        let scan = match directory.scan(known).await {
            Ok(scan) => scan,
            Err(error) => {
                // A disk that is unavailable for a while must not end the pods.
                if !std::mem::replace(&mut state.is_missing, true) {
                    let directory = self.directory.display();
                    tracing::warn!(%directory, %error, "cannot read the manifest directory; keeping its pods");
                }
                return;
            }
        };
        state.is_missing = false;
        for manifest in scan.changed {
            self.apply(manifest, &mut state.files);
        }
        state.files.retain(|path, _| scan.present.contains(path));
        for (path, reason) in &scan.unreadable {
            if state.unreadable.get(path) != Some(reason) {
                tracing::warn!("{}: {reason}; pods that were created from it keep running", path.display());
            }
        }
        state.unreadable = scan.unreadable;
    }

    /// Takes over the pods of a manifest; an invalid one keeps its previous pods.
    fn apply(&self, manifest: ChangedManifest, files: &mut BTreeMap<PathBuf, ManifestFile>) {
        let ChangedManifest { path, fingerprint, pods } = manifest;
        let (pods, is_valid) = match pods.and_then(without_references) {
            Ok(pods) => (pods.into_iter().map(|pod| self.desired(pod)).collect(), true),
            Err(error) => {
                tracing::warn!(
                    "{}: the manifest is not valid; its previous pods keep running\n{error}",
                    path.display()
                );
                (files.remove(&path).map(|file| file.pods).unwrap_or_default(), false)
            }
        };
        files.insert(path, ManifestFile { fingerprint, pods, is_valid });
    }

    /// Returns the pod as a static pod of this node.
    fn desired(&self, mut pod: Pod) -> (Key, StaticPod) {
        let hash = hash(&pod, &self.node);
        let meta = &mut pod.metadata;
        let name = format!("{}-{}", meta.name.as_deref().unwrap_or_default(), self.node);
        let namespace = meta.namespace.clone().filter(|ns| !ns.is_empty()).unwrap_or("default".into());
        let key = Key::pod(&namespace, &name);
        (meta.name, meta.namespace) = (Some(name), Some(namespace));
        let annotations = meta.annotations.get_or_insert_default();
        let seen = format!("{:.9}", self.clock.now().wall);
        for (name, value) in [
            (SOURCE_ANNOTATION, "file"),
            (HASH_ANNOTATION, &hash),
            (MIRROR_ANNOTATION, &hash),
            (SEEN_ANNOTATION, &seen),
        ] {
            annotations.insert(name.into(), value.into());
        }
        if let Some(spec) = &mut pod.spec {
            spec.node_name = Some(self.node.clone());
            let no_execute = Toleration {
                effect: Some("NoExecute".into()),
                operator: Some("Exists".into()),
                ..Toleration::default()
            };
            let tolerations = spec.tolerations.get_or_insert_default();
            if !tolerations.contains(&no_execute) {
                tolerations.push(no_execute);
            }
        }
        (key, StaticPod { pod: Arc::new(pod), hash })
    }

    /// Deletes outdated pods and creates missing ones. Returns whether an outdated pod is still ending.
    async fn reconcile(&self, state: &mut DirectoryState) -> bool {
        let is_complete = !state.is_missing && state.unreadable.is_empty() && state.files.values().all(|f| f.is_valid);
        let DirectoryState { files, created, problems: reported, .. } = state;
        let mut problems = BTreeMap::new();
        let desired = resolve_conflicts(files, created, &mut problems);
        let pending = self.delete_outdated(&desired, is_complete, created, &mut problems).await;
        self.create_missing(&desired, created, &mut problems).await;
        for (key, problem) in &problems {
            if reported.get(key) != Some(problem) {
                tracing::warn!("{problem}");
            }
        }
        *reported = problems;
        pending
    }

    /// Deletes created pods that are no longer desired. Returns whether one of them is still ending. Unless the
    /// manifests are `complete`, a pod whose manifest is unknown may be that of a broken one.
    async fn delete_outdated(
        &self,
        desired: &BTreeMap<&Key, (&Path, &StaticPod)>,
        complete: bool,
        created: &mut BTreeMap<Key, CreatedPod>,
        problems: &mut BTreeMap<Key, String>,
    ) -> bool {
        let is_outdated = |(key, created): &(&Key, &CreatedPod)| match desired.get(*key) {
            Some((_, desired)) => desired.hash != created.hash,
            None => complete || created.path.is_some(),
        };
        let outdated: Vec<Key> = created.iter().filter(is_outdated).map(|(key, _)| key.clone()).collect();
        let mut pending = false;
        for key in outdated {
            match self.delete(&key).await {
                Err(status) if status.reason == Reason::NotFound => drop(created.remove(&key)),
                Ok(_) => pending = true,
                Err(error) => {
                    problems.insert(key, format!("cannot delete a static pod: {error}"));
                    pending = true;
                }
            }
        }
        pending
    }

    /// Deletes a pod for good: marked as removed, it does not outlive its mirror object.
    async fn delete(&self, key: &Key) -> Result<(), Status> {
        let object = self.control.get(key).await?;
        if object.decode::<Pod>().is_ok_and(|pod| pods::outlives_mirror(&pod)) {
            let body = serde_json::json!({"metadata": {"annotations": {pods::REMOVED_ANNOTATION: "true"}}});
            let (kind, field_validation) = (PatchKind::Merge, FieldValidation::Ignore);
            let patch = Patch { kind, body: body.to_string().into_bytes(), field_validation };
            let update = Update::Patch { patch, subresource: Subresource::Main };
            self.control.update(key, update, Preconditions::default()).await?;
        }
        self.control.delete(key, DeleteOptions::default()).await.map(drop)
    }

    /// Creates desired pods that do not exist, those that another client has deleted included.
    async fn create_missing(
        &self,
        desired: &BTreeMap<&Key, (&Path, &StaticPod)>,
        created: &mut BTreeMap<Key, CreatedPod>,
        problems: &mut BTreeMap<Key, String>,
    ) {
        for (&key, (path, pod)) in desired {
            if let Some(created) = created.get_mut(key) {
                if created.hash != pod.hash {
                    // It is ending.
                    continue;
                }
                created.path.get_or_insert_with(|| path.to_path_buf());
                if self.control.get(key).await.is_ok() {
                    continue;
                }
            }
            match self.create(key, pod).await {
                Ok(()) => {
                    created.insert(key.clone(), CreatedPod { hash: pod.hash.clone(), path: Some(path.to_path_buf()) });
                }
                Err(status) => {
                    problems.insert(key.clone(), format!("{}: cannot create a static pod: {status}", path.display()));
                }
            }
        }
    }

    async fn create(&self, key: &Key, desired: &StaticPod) -> Result<(), Status> {
        ensure_namespace(&*self.control, &key.namespace).await?;
        let mut pod = (*desired.pod).clone();
        pod.metadata.owner_references = self.owner().await.map(|node| vec![node]);
        self.control.create(Body::from(pod)).await.map(drop)
    }

    /// Returns the node as the owner of its pods, once it has registered; `None` if it does not in time.
    async fn owner(&self) -> Option<OwnerReference> {
        let key = Key::new(Resource::NODES, "", &self.node);
        let registered = async {
            loop {
                match self.control.get(&key).await {
                    Ok(object) => return object,
                    Err(_not_registered) => tokio::time::sleep(Duration::from_millis(1)).await,
                }
            }
        };
        let object = tokio::time::timeout(REGISTRATION_TIMEOUT, registered).await.ok()?;
        let node = object.decode::<Node>().ok()?;
        Some(OwnerReference {
            api_version: "v1".into(),
            kind: Resource::NODES.kind().into(),
            name: self.node.clone(),
            uid: node.metadata.uid.clone()?,
            controller: Some(true),
            ..OwnerReference::default()
        })
    }
}

/// Returns the pods unless one of them refers to API objects, which it would wait for.
fn without_references(pods: Vec<Pod>) -> Result<Vec<Pod>, InvalidManifest> {
    match pods.iter().find_map(referenced_resource) {
        None => Ok(pods),
        Some(resource) => {
            let remedy = "create the pod through the API instead (`kubectl apply -f`)";
            Err(InvalidManifest(format!("static pods may not reference {resource}; {remedy}")))
        }
    }
}

/// Selects the definition of each pod: the first file's, or the one that its running pod was created from.
///
/// Reports the other definitions in `problems`.
fn resolve_conflicts<'f>(
    files: &'f BTreeMap<PathBuf, ManifestFile>,
    created: &BTreeMap<Key, CreatedPod>,
    problems: &mut BTreeMap<Key, String>,
) -> BTreeMap<&'f Key, (&'f Path, &'f StaticPod)> {
    let mut desired: BTreeMap<&Key, (&Path, &StaticPod)> = BTreeMap::new();
    for (path, file) in files {
        for (key, pod) in &file.pods {
            let (ignored, winner) = match desired.entry(key) {
                Entry::Vacant(vacant) => {
                    vacant.insert((path, pod));
                    continue;
                }
                Entry::Occupied(mut first)
                    if created.get(key).is_some_and(|created| created.path.as_ref() == Some(path)) =>
                {
                    let (before, _) = first.insert((path, pod));
                    (before, path.as_path())
                }
                Entry::Occupied(first) => (path.as_path(), first.get().0),
            };
            let (ignored, winner) = (ignored.display(), winner.display());
            let problem = format!("{ignored}: pod {key} is already defined in {winner}; ignoring this definition");
            problems.insert(key.clone(), problem);
        }
    }
    desired
}

/// Creates the namespace that a local manifest names, unless it exists.
pub async fn ensure_namespace(control: &dyn ControlPlane, name: &str) -> Result<(), Status> {
    let mut namespace = Namespace::default();
    namespace.metadata.name = Some(name.into());
    match control.create(Body::from(namespace)).await {
        Err(status) if status.reason != Reason::AlreadyExists => Err(status),
        _ => Ok(()),
    }
}

/// Returns a hash of a pod's definition and its node.
fn hash(pod: &Pod, node: &str) -> String {
    let mut digest = Sha256::new();
    // A typed pod always encodes.
    digest.update(serde_json::to_vec(pod).unwrap_or_default());
    digest.update(node);
    hex::encode(digest.finalize().iter().take(16))
}

#[cfg(test)]
mod tests;
