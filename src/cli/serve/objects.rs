//! The objects that `serve` creates: those that every cluster has, and those of the manifests given as FILEs. Objects
//! of an earlier life may exist already.

use std::path::PathBuf;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::cli::args::ServeArgs;
use crate::cli::exit::bad_input;
use crate::cli::manifests::{self, LoadOptions, LoadedManifests, WorkloadHandling};
use crate::control::{
    Body, ControlPlane, DeleteOptions, FieldValidation, Key, Patch, PatchKind, Preconditions, Reason, Resource, Scope,
    Status, Subresource, Update,
};
use crate::controllers::static_pods::ensure_namespace;
use crate::images::Images;
use crate::model::pods;
use crate::registry::kinds::priority_class::SYSTEM_CLASSES;

/// The namespaces that every cluster has.
const NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// Creates the objects that every cluster has, unless they exist.
pub async fn create_system_objects(control: &dyn ControlPlane) -> Result<(), Status> {
    for namespace in NAMESPACES {
        ensure_namespace(control, namespace).await?;
    }
    for class in SYSTEM_CLASSES {
        match control.create(Body::from(class.object())).await {
            Err(status) if status.reason != Reason::AlreadyExists => return Err(status),
            _ => {}
        }
    }
    Ok(())
}

/// Completes deletions without grace that the end of an earlier life has cut in half: a pod is marked first, then
/// removed.
pub async fn complete_deletions(control: &dyn ControlPlane) -> Result<(), Status> {
    for object in control.list(&Scope::all(Resource::PODS)).await?.items {
        let pod = object.decode::<Pod>().map_err(Status::internal)?;
        let meta = &pod.metadata;
        let is_marked = meta.deletion_timestamp.is_some() && meta.deletion_grace_period_seconds == Some(0);
        if is_marked && meta.finalizers.as_ref().is_none_or(Vec::is_empty) {
            let preconditions = Preconditions { uid: meta.uid.clone(), revision: None };
            let options = DeleteOptions { grace_seconds: Some(0), preconditions, ..DeleteOptions::default() };
            control.delete(&object.key, options).await?;
        }
    }
    Ok(())
}

/// The manifests given as FILEs.
#[derive(Clone)]
pub struct ManifestFiles {
    files: Vec<PathBuf>,
    is_strict: bool,
    images: Arc<Images>,
}

impl ManifestFiles {
    /// Returns the files that the command line names.
    pub fn new(args: &ServeArgs, images: Arc<Images>) -> ManifestFiles {
        ManifestFiles { files: args.files.clone(), is_strict: args.strict, images }
    }

    /// Reads the manifests. The error reports all errors of all files.
    pub fn load(&self) -> anyhow::Result<LoadedManifests> {
        if self.files.is_empty() {
            return Ok(LoadedManifests::default());
        }
        let options = LoadOptions {
            images: Some(&self.images),
            is_strict: self.is_strict,
            workloads: WorkloadHandling::Store,
            ..LoadOptions::default()
        };
        manifests::load_files(&self.files, options)
    }

    /// Reads the manifests again and stores what has changed. Nothing changes if a manifest is not valid.
    ///
    /// # Errors
    /// Fails if a manifest is not valid or an object is rejected.
    pub async fn reload(&self, control: &dyn ControlPlane) -> anyhow::Result<()> {
        // Pipes, standard input among them, have been read to their end.
        let is_readable_again = |path: &PathBuf| path.is_dir() || path.is_file() || !path.exists();
        let files = self.files.iter().filter(|path| path.as_os_str() != "-" && is_readable_again(path)).cloned();
        let again = ManifestFiles { files: files.collect(), ..self.clone() };
        let mut loaded = tokio::task::spawn_blocking(move || again.load()).await??;
        // Each creation of an object without a name is another object.
        loaded.objects.retain(|body| body.metadata().name.is_some());
        loaded.pods.retain(|pod| pod.metadata.name.is_some());
        store(control, loaded).await
    }
}

/// Stores the objects of manifests and the namespaces that they need: creates them, or changes those that exist. Pods
/// that exist and cannot change are only reported.
///
/// # Errors
/// Fails if objects are rejected, after all others are stored.
pub async fn store(control: &dyn ControlPlane, loaded: LoadedManifests) -> anyhow::Result<()> {
    loaded.warnings.iter().for_each(|warning| stderrln!("warning: {warning}"));
    let mut rejected = Vec::new();
    for body in loaded.objects {
        let stored = async {
            ensure_namespace_of(control, body.metadata()).await?;
            manifests::store_objects(control, vec![body]).await
        };
        rejected.extend(stored.await.err().map(|status| status.to_string()));
    }
    for pod in loaded.pods {
        match store_pod(control, pod).await {
            Ok(()) => {}
            Err(StorePodError::Unchangeable(message)) => stderrln!("warning: {message}"),
            Err(StorePodError::Rejected(status)) => rejected.push(status.to_string()),
        }
    }
    if rejected.is_empty() { Ok(()) } else { Err(bad_input(rejected.join("\n"))) }
}

/// The reason why a pod of a manifest is not stored.
enum StorePodError {
    /// It exists, and the change is not possible.
    Unchangeable(String),
    Rejected(Status),
}

impl From<Status> for StorePodError {
    fn from(status: Status) -> StorePodError {
        StorePodError::Rejected(status)
    }
}

/// Creates a pod, or changes the fields of an existing one that its manifest sets.
async fn store_pod(control: &dyn ControlPlane, pod: Pod) -> Result<(), StorePodError> {
    ensure_namespace_of(control, &pod.metadata).await?;
    match control.create(Body::from(pod.clone())).await {
        Ok(_) => return Ok(()),
        Err(status) if status.reason == Reason::AlreadyExists => {}
        Err(status) => return Err(status.into()),
    }
    let namespace = Some(pods::namespace(&pod)).filter(|namespace| !namespace.is_empty()).unwrap_or("default");
    let key = Key::pod(namespace, pods::name(&pod));
    let existing = control.get(&key).await?;
    if existing.decode::<Pod>().is_ok_and(|pod| pod.metadata.deletion_timestamp.is_some()) {
        let message = format!("pod {key} is being deleted; send SIGHUP once it is gone to create it anew");
        return Err(StorePodError::Unchangeable(message));
    }
    let update = Update::Patch { patch: manifest_patch(pod), subresource: Subresource::Main };
    match control.update(&key, update, Preconditions::default()).await {
        Err(status) if status.reason == Reason::Invalid => {
            let (reason, remedy) = (status.to_string(), "delete it and send SIGHUP to create it anew");
            // A diff follows.
            let reason = reason.lines().next().unwrap_or_default();
            Err(StorePodError::Unchangeable(format!("pod {key} keeps its former definition; {remedy}: {reason}")))
        }
        updated => Ok(updated.map(drop)?),
    }
}

/// Returns a patch with the fields that a pod's manifest sets. Unlike a replacement, it leaves alone what defaults,
/// admission, the scheduler and clients have added, so that an unchanged manifest changes nothing.
fn manifest_patch(pod: Pod) -> Patch {
    let metadata =
        ObjectMeta { labels: pod.metadata.labels, annotations: pod.metadata.annotations, ..ObjectMeta::default() };
    let changes = Pod { metadata, spec: pod.spec, status: None };
    // A typed pod always encodes.
    let body = serde_json::to_vec(&changes).unwrap_or_default();
    Patch { kind: PatchKind::StrategicMerge, body, field_validation: FieldValidation::Ignore }
}

async fn ensure_namespace_of(control: &dyn ControlPlane, metadata: &ObjectMeta) -> Result<(), Status> {
    match metadata.namespace.as_deref().filter(|namespace| !namespace.is_empty()) {
        Some(namespace) => ensure_namespace(control, namespace).await,
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::control::{Object, UnversionedObject};
    use crate::registry::Registry;
    use crate::store::{Durability, ObjectStore, Operation, Precondition};

    /// A control plane, and a manifest file whose content tests replace.
    struct Server {
        control: Registry,
        store: Arc<ObjectStore>,
        directory: tempfile::TempDir,
    }

    impl Server {
        async fn new() -> Server {
            let store = ObjectStore::new(64);
            let control = Registry::new(store.clone(), Clock::system());
            create_system_objects(&control).await.expect("created");
            Server { control, store, directory: tempfile::tempdir().expect("a directory") }
        }

        async fn reload(&self, manifest: &str) -> Result<(), String> {
            let file = self.directory.path().join("manifest.yaml");
            std::fs::write(&file, manifest).expect("written");
            let images = Arc::new(Images::new(Default::default(), true));
            let manifests = ManifestFiles { files: vec![file], is_strict: false, images };
            manifests.reload(&self.control).await.map_err(|error| error.to_string())
        }

        async fn get(&self, resource: Resource, name: &str) -> Arc<Object> {
            self.control.get(&Key::new(resource, "default", name)).await.expect("it exists")
        }
    }

    fn pod(name: &str, image: &str, label: &str) -> String {
        format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, labels: {{app: {label}}}}}, spec: {{containers: \
             [{{name: c, image: {image}, command: [sleep, '9']}}]}}}}\n"
        )
    }

    #[tokio::test]
    async fn system_objects_of_an_earlier_life_are_kept() {
        let server = Server::new().await;
        let revision = server.control.revision().await.expect("a revision");
        create_system_objects(&server.control).await.expect("they exist");
        assert_eq!(server.control.revision().await.expect("a revision"), revision);
    }

    #[tokio::test]
    async fn deletions_cut_in_half_are_completed() {
        let server = Server::new().await;
        for (name, finalizers) in [("half", ""), ("held", "finalizers: [a.b/c], ")] {
            let metadata = format!(
                "{{name: {name}, namespace: default, {finalizers}deletionTimestamp: '2026-01-01T00:00:00Z', \
                 deletionGracePeriodSeconds: 0}}"
            );
            let pod = format!("{{metadata: {metadata}, spec: {{containers: [{{name: c, image: x}}]}}}}");
            let pod = serde_yaml::from_str::<Pod>(&pod).expect("a pod");
            let object = UnversionedObject::encode(&pod).expect("it encodes");
            let operation =
                Operation::Put { key: Key::pod("default", name), precondition: Precondition::Absent, object };
            server.store.commit(vec![operation], Durability::Durable).expect("stored");
        }
        complete_deletions(&server.control).await.expect("completed");
        let pods = server.control.list(&Scope::all(Resource::PODS)).await.expect("a list").items;
        assert_eq!(pods.iter().map(|pod| pod.key.to_string()).collect::<Vec<_>>(), ["default/held"]);
    }

    #[tokio::test]
    async fn reload_changes_what_the_files_change() {
        let server = Server::new().await;
        let map = |value: &str| {
            format!("---\n{{apiVersion: v1, kind: ConfigMap, metadata: {{name: m}}, data: {{key: {value}}}}}\n")
        };
        let manifest = |label: &str, value: &str| pod("p", "busybox", label) + &map(value);
        server.reload(&manifest("a", "one")).await.expect("stored");
        let bound = Update::Bind { node: "n1".into() };
        server.control.update(&Key::pod("default", "p"), bound, Preconditions::default()).await.expect("bound");
        let revision = server.control.revision().await.expect("a revision");
        server.reload(&manifest("a", "one")).await.expect("stored");
        assert_eq!(server.control.revision().await.expect("a revision"), revision, "unchanged manifests store nothing");

        server.reload(&manifest("b", "two")).await.expect("stored");
        let changed = server.get(Resource::PODS, "p").await.decode::<Pod>().expect("a pod");
        assert_eq!(changed.metadata.labels.as_ref().expect("labels")["app"], "b");
        assert_eq!(changed.spec.as_ref().and_then(|spec| spec.node_name.as_deref()), Some("n1"));
        let map = server.get(Resource::CONFIG_MAPS, "m").await;
        assert!(String::from_utf8_lossy(&map.json).contains("two"));
    }

    #[tokio::test]
    async fn reload_loses_nothing_to_errors() {
        let server = Server::new().await;
        server.reload(&pod("p", "busybox", "a")).await.expect("stored");
        let revision = server.control.revision().await.expect("a revision");
        let error = server.reload("{apiVersion: v1, kind: Pod, metadata: {nam: p}}").await.expect_err("not valid");
        assert!(error.contains("nam"), "{error}");
        // Its command cannot change: a warning, and the pods after it are stored.
        let immutable = pod("p", "busybox", "a").replace("sleep", "echo");
        server.reload(&immutable).await.expect("a warning");
        assert_eq!(server.control.revision().await.expect("a revision"), revision);
        server.reload(&format!("{immutable}---\n{}", pod("q", "busybox", "a"))).await.expect("a warning");
        server.get(Resource::PODS, "q").await;
    }
}
