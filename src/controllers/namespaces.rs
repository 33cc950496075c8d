//! Namespaces: what each one gets when it is created, and the deletion of its content.
//!
//! An active namespace has the ServiceAccount `default` and the ConfigMap `kube-root-ca.crt`; they are restored when a
//! client deletes or changes them. A namespace that is marked for deletion loses its pods first, by their grace periods,
//! and then everything else; its conditions report what remains. When it is empty, the finalizer `kubernetes` is removed,
//! and with it the namespace (Kubernetes' `pkg/controller/{namespace,serviceaccount,certificates/rootcacertpublisher}`).

mod content;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, NamespaceSpec, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use self::content::RemainingContent;
use super::object_metadata::ObjectMetadata;
use super::runner::{Controller, Runner};
use super::work_queue::WorkQueue;
use crate::clock::Clock;
use crate::control::{
    ChangeKind, ControlPlane, DeleteOptions, DeleteResult, Key, Object, Propagation, Reason, Resource, Scope, Status,
    Subresource,
};
use crate::lifecycle::MonoTime;
use crate::registry::kinds::KINDS;

const ROOT_CA: &str = "kube-root-ca.crt";
const ROOT_CA_KEY: &str = "ca.crt";
const DESCRIPTION: &str = "kubernetes.io/description";
/// The description of the ConfigMap, in Kubernetes' words.
const ROOT_CA_DESCRIPTION: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal \
    endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across \
    distributions of Kubernetes clusters.";
const ACCOUNT: &str = "default";
const SERVICE_ACCOUNTS: Resource = Resource::of::<ServiceAccount>();
/// The finalizer of namespaces that this controller removes.
const FINALIZER: &str = "kubernetes";
/// The time for which changes of a namespace's content gather before the next pass over it.
const CONTENT_DELAY: Duration = Duration::from_millis(50);

/// Provides for namespaces, and deletes their content.
pub struct Namespaces {
    /// The control plane of the namespaces.
    pub control: Arc<dyn ControlPlane>,
    /// The time of conditions and retries.
    pub clock: Clock,
    /// The certificate authority of the API server as PEM; empty if there is none.
    pub root_ca: String,
}

impl Namespaces {
    /// Works until cancelled.
    pub async fn run(self) {
        let Namespaces { control, clock, root_ca } = self;
        let controller = NamespaceController { control: control.clone(), clock, root_ca, terminating: HashMap::new() };
        Runner::new(control, clock, vec![Resource::NAMESPACES], controller).run().await;
    }
}

struct NamespaceController {
    control: Arc<dyn ControlPlane>,
    clock: Clock,
    root_ca: String,
    /// The namespaces that are marked for deletion, each with the objects that are, too.
    terminating: HashMap<Arc<str>, HashSet<Key>>,
}

impl Controller for NamespaceController {
    type Key = Arc<str>;
    const SETTLE_DELAY: Duration = Duration::ZERO;

    fn reset(&mut self) {
        self.terminating.clear();
    }

    fn observe(&mut self, kind: ChangeKind, object: &Object, queue: &mut WorkQueue<Arc<str>>, now: MonoTime) {
        let Key { resource, namespace, name } = &object.key;
        if *resource == Resource::NAMESPACES {
            if kind == ChangeKind::Deleted {
                self.terminating.remove(name);
                return;
            }
            if ObjectMetadata::of(object).is_some_and(|metadata| metadata.is_deleted()) {
                self.terminating.entry(name.clone()).or_default();
            }
            return queue.add(name.clone(), now);
        }
        if self.terminating.contains_key(namespace) {
            return queue.add(namespace.clone(), now + CONTENT_DELAY);
        }
        let is_provided = match &**name {
            ROOT_CA => *resource == Resource::CONFIG_MAPS && kind != ChangeKind::Added,
            ACCOUNT => *resource == SERVICE_ACCOUNTS && kind == ChangeKind::Deleted,
            _ => false,
        };
        if is_provided {
            queue.add(namespace.clone(), now);
        }
    }

    async fn reconcile(&mut self, name: &Arc<str>) -> Result<(), Status> {
        let Some(namespace) = self.control.api::<Namespace>("").get_opt(name).await? else { return Ok(()) };
        if namespace.metadata.deletion_timestamp.is_some() {
            return ignore_missing(self.delete_content(name, &namespace).await);
        }
        if phase(&namespace) == Some("Active") {
            ignore_missing(self.provide_root_ca(name).await)?;
            ignore_missing(self.provide_account(name).await)?;
        }
        Ok(())
    }
}

impl NamespaceController {
    /// Creates or restores the ConfigMap with the certificate authority.
    async fn provide_root_ca(&self, namespace: &str) -> Result<(), Status> {
        let maps = self.control.api::<ConfigMap>(namespace);
        let stored = maps.get_opt(ROOT_CA).await?;
        let Some(map) = restored_root_ca(stored.as_deref(), &self.root_ca) else { return Ok(()) };
        match stored {
            None => maps.create(map).await.map(drop),
            Some(_) => maps.replace(map, Subresource::Main).await.map(drop),
        }
    }

    /// Creates the ServiceAccount `default` if it is missing.
    async fn provide_account(&self, namespace: &str) -> Result<(), Status> {
        let accounts = self.control.api::<ServiceAccount>(namespace);
        if accounts.get_opt(ACCOUNT).await?.is_none() {
            accounts.create(ServiceAccount { metadata: named(ACCOUNT), ..ServiceAccount::default() }).await?;
        }
        Ok(())
    }

    /// Deletes what a namespace contains, reports what remains, and releases the namespace when it is empty.
    async fn delete_content(&mut self, name: &Arc<str>, namespace: &Namespace) -> Result<(), Status> {
        let Some(mut finalized) = without_finalizer(namespace) else { return Ok(()) };
        let mut marked = self.terminating.remove(name).unwrap_or_default();
        let content = self.delete_objects(name, &mut marked).await;
        self.terminating.insert(name.clone(), marked);
        let content = content?;
        let old = namespace.status.clone().unwrap_or_default();
        let conditions = content.conditions(old.conditions.as_deref().unwrap_or_default(), self.clock.wall());
        let control = self.control.clone();
        let namespaces = control.api::<Namespace>("");
        if let Some(conditions) = conditions {
            let mut reported = namespace.clone();
            let status = reported.status.get_or_insert_default();
            status.conditions = Some(conditions);
            status.phase = Some("Terminating".into());
            let stored = namespaces.replace(reported, Subresource::Status).await?;
            finalized.metadata.resource_version.clone_from(&stored.metadata.resource_version);
        }
        if content.is_empty() {
            namespaces.replace(finalized, Subresource::Finalize).await?;
        }
        match content.failures.into_iter().next() {
            Some(failure) => Err(Status::internal(failure)),
            None => Ok(()),
        }
    }

    /// Deletes the pods of a namespace, and when there are none, everything else.
    async fn delete_objects(&self, namespace: &str, marked: &mut HashSet<Key>) -> Result<RemainingContent, Status> {
        let mut content = RemainingContent::default();
        content.pods = self.delete_all(&Resource::PODS, namespace, marked, &mut content).await?;
        if content.pods > 0 || !content.failures.is_empty() {
            // As in Kubernetes, the finalizers of pods are not reported.
            content.finalizers.clear();
            return Ok(content);
        }
        let deletable = KINDS.iter().filter(|kind| kind.info().verbs.contains(&"delete"));
        for resource in deletable.map(|kind| kind.resource()) {
            if !resource.is_namespaced() || resource == Resource::PODS {
                continue;
            }
            let count = self.delete_all(&resource, namespace, marked, &mut content).await?;
            if count > 0 {
                content.objects.push((resource, count));
            }
        }
        Ok(content)
    }

    /// Deletes all objects of a kind in a namespace, each once. Returns how many remain.
    async fn delete_all(
        &self,
        resource: &Resource,
        namespace: &str,
        marked: &mut HashSet<Key>,
        content: &mut RemainingContent,
    ) -> Result<usize, Status> {
        let list = self.control.list(&Scope::all(resource.clone()).in_namespace(namespace)).await?;
        let mut remaining = 0;
        for object in list.items {
            let mut object = object;
            if !marked.contains(&object.key) {
                let options = DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::default() };
                match self.control.delete(&object.key, options).await {
                    Ok(DeleteResult::Removed(_)) => continue,
                    Ok(DeleteResult::Marked(latest)) => {
                        marked.insert(latest.key.clone());
                        object = latest;
                    }
                    Err(status) if status.reason == Reason::NotFound => continue,
                    Err(status) => content.failures.push(status.to_string()),
                }
            }
            remaining += 1;
            if *resource != Resource::PODS {
                for finalizer in ObjectMetadata::of(&object).into_iter().flat_map(|metadata| metadata.finalizers) {
                    *content.finalizers.entry(finalizer).or_default() += 1;
                }
            }
        }
        Ok(remaining)
    }
}

/// Treats as success that an object was deleted or created, or its namespace marked for deletion, by someone else.
fn ignore_missing(result: Result<(), Status>) -> Result<(), Status> {
    let is_terminating = |status: &Status| status.causes.iter().any(|cause| cause.reason == "NamespaceTerminating");
    match result {
        Err(status) if matches!(status.reason, Reason::NotFound | Reason::AlreadyExists) => Ok(()),
        Err(status) if is_terminating(&status) => Ok(()),
        other => other,
    }
}

/// Returns the ConfigMap with the certificate authority to store in place of `stored`; `None` if that is as it should be.
fn restored_root_ca(stored: Option<&ConfigMap>, root_ca: &str) -> Option<ConfigMap> {
    let data = Some(BTreeMap::from([(ROOT_CA_KEY.to_string(), root_ca.to_string())]));
    let mut map = match stored {
        None => ConfigMap { metadata: named(ROOT_CA), ..ConfigMap::default() },
        Some(map) => {
            let annotations = map.metadata.annotations.as_ref();
            let is_described = annotations.and_then(|all| all.get(DESCRIPTION)).is_some_and(|text| !text.is_empty());
            if map.data == data && is_described {
                return None;
            }
            map.clone()
        }
    };
    map.data = data;
    map.metadata.annotations.get_or_insert_default().insert(DESCRIPTION.into(), ROOT_CA_DESCRIPTION.into());
    Some(map)
}

/// Returns the namespace without the finalizer; `None` if it has none.
fn without_finalizer(namespace: &Namespace) -> Option<Namespace> {
    let finalizers = namespace.spec.as_ref()?.finalizers.as_ref()?;
    let others: Vec<String> = finalizers.iter().filter(|finalizer| *finalizer != FINALIZER).cloned().collect();
    if others.len() == finalizers.len() {
        return None;
    }
    let spec = NamespaceSpec { finalizers: Some(others).filter(|others| !others.is_empty()) };
    Some(Namespace { spec: Some(spec), ..namespace.clone() })
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() }
}

fn phase(namespace: &Namespace) -> Option<&str> {
    namespace.status.as_ref()?.phase.as_deref()
}

#[cfg(test)]
mod tests;
