//! Static pods: the manifests of a folder, kept running on one node.
//!
//! The folder is the truth. A file that appears brings its pods, one that changes replaces them,
//! one that goes takes them with it; a file that can't be read or understood keeps what it last
//! brought, harms no other and is told of once. Pods are named and marked as a kubelet marks them
//! (K74): `NAME-NODE`, `kubernetes.io/config.*`.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Toleration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use notify::{RecursiveMode, Watcher};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::control::{Body, ControlPlane, DeleteOptions, Key, Reason, Resource, Status};
use crate::model::pods::MIRROR_ANNOTATION;

/// Reads the pods of one file; `Err` tells what is wrong with it.
pub type ReadPods = Box<dyn Fn(&Path) -> Result<Vec<Pod>, String> + Send + Sync>;

/// A folder whose manifests run on a node.
pub struct StaticPods {
    /// Where pods are created and deleted.
    pub control: Arc<dyn ControlPlane>,
    /// When a manifest was seen.
    pub clock: Clock,
    /// The folder.
    pub folder: PathBuf,
    /// The node that its pods run on.
    pub node: String,
    /// Reads a manifest.
    pub read: ReadPods,
}

/// A kubelet looks every twenty seconds, whether or not it was told of a change.
const LOOK: Duration = Duration::from_secs(20);
/// A folder that is not there can't tell that it is back: it is looked for so often.
const ABSENT: Duration = Duration::from_millis(500);
/// While something is still on its way (an old pod that ends), it is looked for so often.
const PENDING: Duration = Duration::from_millis(50);
/// A node registers at once; one that can't is no reason to run nothing.
const REGISTRATION: Duration = Duration::from_secs(1);
/// Several writes of one save are looked at together.
const SETTLE: Duration = Duration::from_millis(30);

const SOURCE: &str = "kubernetes.io/config.source";
const HASH: &str = "kubernetes.io/config.hash";
const SEEN: &str = "kubernetes.io/config.seen";

/// What is known of the folder and of what became of it.
#[derive(Default)]
struct Known {
    files: BTreeMap<PathBuf, File>,
    /// Pods that were created.
    running: BTreeMap<Key, Running>,
    /// Pods that can't be, and what was told of each: it is told once.
    troubles: BTreeMap<Key, String>,
    /// Whether the folder could not be read when it was last looked at.
    absent: bool,
}

/// A pod that was created.
struct Running {
    /// What its manifest said.
    hash: String,
    /// The manifest.
    path: PathBuf,
}

/// What was last seen of a file.
struct File {
    /// By which a change is noticed.
    stamp: Stamp,
    pods: Vec<(Key, DesiredPod)>,
}

#[derive(PartialEq, Eq, Clone, Copy)]
struct Stamp {
    is_file: bool,
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

#[derive(Clone)]
struct DesiredPod {
    pod: Arc<Pod>,
    hash: String,
}

impl StaticPods {
    /// Keeps the folder's pods running until cancelled.
    pub async fn run(self) {
        let (told, mut changes) = mpsc::channel(1);
        let mut watched = None;
        let mut known = Known::default();
        loop {
            // Another folder in the old one's place is another to be watched. It is watched before it is read.
            let folder = identity(&self.folder);
            if watched.as_ref().is_none_or(|(of, _)| *of != folder) {
                watched = Some((folder, folder.and_then(|_| self.watch(told.clone()))));
            }
            self.look(&mut known);
            let pending = self.bring_about(&mut known).await;
            let wait = match (pending, known.absent) {
                (true, _) => PENDING,
                (false, true) => ABSENT,
                (false, false) => LOOK,
            };
            if let Ok(Some(())) = tokio::time::timeout(wait, changes.recv()).await {
                tokio::time::sleep(SETTLE).await;
            }
        }
    }

    /// Tells of changes where the system can; the folder is looked at from time to time anyway.
    fn watch(&self, told: mpsc::Sender<()>) -> Option<notify::RecommendedWatcher> {
        let tell = move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !event.kind.is_access()) {
                // Full: somebody will look already.
                let _ = told.try_send(());
            }
        };
        let begun = notify::recommended_watcher(tell).and_then(|mut watcher| {
            watcher.watch(&self.folder, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        begun.map_err(|error| tracing::warn!(folder = %self.folder.display(), %error, "changes are noticed late")).ok()
    }

    /// Reads what has changed in the folder.
    fn look(&self, known: &mut Known) {
        let entries = std::fs::read_dir(&self.folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => {
                // A folder on a disk that is not there for a while is no wish to end everything.
                if !std::mem::replace(&mut known.absent, true) {
                    let folder = self.folder.display();
                    tracing::warn!(%folder, %error, "cannot read the folder of manifests: its pods stay as they are");
                }
                return;
            }
        };
        known.absent = false;
        let files = &mut known.files;
        let mut found = BTreeSet::new();
        for path in entries.into_iter().map(|entry| entry.path()).filter(|path| is_manifest(path)) {
            let Some(stamp) = stamp(&path).filter(|stamp| stamp.is_file) else { continue };
            found.insert(path.clone());
            if files.get(&path).is_some_and(|file| file.stamp == stamp) {
                continue;
            }
            let pods = match (self.read)(&path) {
                Ok(pods) => pods.into_iter().map(|pod| self.wanted(pod)).collect(),
                Err(why) => {
                    tracing::warn!("{}: not taken; what it brought before stays\n{why}", path.display());
                    files.remove(&path).map(|file| file.pods).unwrap_or_default()
                }
            };
            files.insert(path, File { stamp, pods });
        }
        files.retain(|path, _| found.contains(path));
    }

    /// The pod as a static pod of this node.
    fn wanted(&self, mut pod: Pod) -> (Key, DesiredPod) {
        let hash = hash(&pod, &self.node);
        let meta = &mut pod.metadata;
        let name = format!("{}-{}", meta.name.as_deref().unwrap_or_default(), self.node);
        let namespace = meta.namespace.clone().filter(|ns| !ns.is_empty()).unwrap_or("default".into());
        let key = Key::pod(&namespace, &name);
        (meta.name, meta.namespace) = (Some(name), Some(namespace));
        let annotations = meta.annotations.get_or_insert_default();
        let marks = [(SOURCE, "file".to_string()), (HASH, hash.clone()), (MIRROR_ANNOTATION, hash.clone())];
        annotations.extend(marks.map(|(name, value)| (name.to_string(), value)));
        annotations.insert(SEEN.into(), format!("{:.9}", self.clock.now().wall));
        if let Some(spec) = &mut pod.spec {
            spec.node_name = Some(self.node.clone());
            let stays = Toleration {
                effect: Some("NoExecute".into()),
                operator: Some("Exists".into()),
                ..Toleration::default()
            };
            let tolerations = spec.tolerations.get_or_insert_default();
            if !tolerations.contains(&stays) {
                tolerations.push(stays);
            }
        }
        (key, DesiredPod { pod: Arc::new(pod), hash })
    }

    /// Creates and deletes what differs; whether something is still on its way.
    async fn bring_about(&self, known: &mut Known) -> bool {
        let Known { files, running, troubles, .. } = known;
        let mut wanted: BTreeMap<&Key, (&Path, &DesiredPod)> = BTreeMap::new();
        let mut found = BTreeMap::new();
        for (path, file) in &*files {
            for (key, pod) in &file.pods {
                // The file has it whose pod runs, else the first by name; the others are passed over.
                let passed_over = match wanted.entry(key) {
                    Entry::Vacant(vacant) => {
                        vacant.insert((path, pod));
                        continue;
                    }
                    Entry::Occupied(mut first) if running.get(key).is_some_and(|r| r.path == *path) => {
                        let (before, _) = first.insert((path, pod));
                        (before, path.as_path())
                    }
                    Entry::Occupied(first) => (path.as_path(), first.get().0),
                };
                let (other, has) = (passed_over.0.display(), passed_over.1.display());
                found.insert(key.clone(), format!("{other}: pod {key} is in {has} already, which has it"));
            }
        }
        let mut pending = false;
        let outdated =
            |(key, running): &(&Key, &Running)| wanted.get(*key).is_none_or(|(_, wanted)| wanted.hash != running.hash);
        let outdated: Vec<Key> = running.iter().filter(outdated).map(|(key, _)| key.clone()).collect();
        for key in outdated {
            match self.control.delete(&key, DeleteOptions::default()).await {
                Err(status) if status.reason == Reason::NotFound => drop(running.remove(&key)),
                Ok(_) => pending = true,
                Err(error) => {
                    found.insert(key, format!("cannot delete a static pod: {error}"));
                    pending = true;
                }
            }
        }
        for (key, (path, wanted)) in wanted {
            // What is running and outdated is ending; what runs and is wanted stays, unless somebody deleted it.
            if running.get(key).is_some_and(|running| running.hash != wanted.hash)
                || running.contains_key(key) && self.control.get(key).await.is_ok()
            {
                continue;
            }
            match self.create(key, wanted).await {
                Ok(()) => {
                    running.insert(key.clone(), Running { hash: wanted.hash.clone(), path: path.into() });
                }
                Err(status) => {
                    found.insert(key.clone(), format!("{}: cannot create a static pod: {status}", path.display()));
                }
            }
        }
        for (key, trouble) in &found {
            if troubles.get(key) != Some(trouble) {
                tracing::warn!("{trouble}");
            }
        }
        *troubles = found;
        pending
    }

    async fn create(&self, key: &Key, wanted: &DesiredPod) -> Result<(), Status> {
        ensure_namespace(&*self.control, &key.namespace).await?;
        let mut pod = (*wanted.pod).clone();
        pod.metadata.owner_references = self.owner().await.map(|node| vec![node]);
        self.control.create(Body::Pod(Box::new(pod))).await.map(drop)
    }
}

impl StaticPods {
    /// The node, as the owner of its pods, as soon as it has registered; `None` where it does not in time.
    async fn owner(&self) -> Option<OwnerReference> {
        let key = Key::new(Resource::NODES, "", &self.node);
        let registered = async {
            loop {
                match self.control.get(&key).await {
                    Ok(object) => return object,
                    Err(_not_yet) => tokio::time::sleep(Duration::from_millis(1)).await,
                }
            }
        };
        let object = tokio::time::timeout(REGISTRATION, registered).await.ok()?;
        let node = object.decode::<Node>().ok()?;
        Some(OwnerReference {
            api_version: "v1".into(),
            kind: Resource::NODES.kind.into(),
            name: self.node.clone(),
            uid: node.metadata.uid.clone()?,
            controller: Some(true),
            ..OwnerReference::default()
        })
    }
}

/// Makes the namespace that a local manifest names, where it is not there yet.
pub async fn ensure_namespace(control: &dyn ControlPlane, name: &str) -> Result<(), Status> {
    let mut namespace = Namespace::default();
    namespace.metadata.name = Some(name.into());
    match control.create(Body::Namespace(Box::new(namespace))).await {
        Err(status) if status.reason != Reason::AlreadyExists => Err(status),
        _ => Ok(()),
    }
}

fn is_manifest(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    !hidden && path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json")
}

/// Which folder it is: numbers alone are given again.
fn identity(folder: &Path) -> Option<(u64, Option<SystemTime>)> {
    use std::os::unix::fs::MetadataExt;
    let found = std::fs::metadata(folder).ok()?;
    Some((found.ino(), found.created().ok()))
}

fn stamp(path: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt;
    let found = std::fs::metadata(path).ok()?;
    let modified = found.modified().ok();
    Some(Stamp { is_file: found.is_file(), modified, length: found.len(), inode: found.ino() })
}

/// Names a manifest by what it says, and where it runs.
fn hash(pod: &Pod, node: &str) -> String {
    let mut digest = Sha256::new();
    // A typed pod always encodes.
    digest.update(serde_json::to_vec(pod).unwrap_or_default());
    digest.update(node);
    let whole = digest.finalize();
    whole.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
