//! Turns requests into stored objects: identity, defaults, validation, update rules, deletion.
//!
//! Implements [`ControlPlane`] over the store. What Kubernetes' API server does between a
//! request and etcd happens here; HTTP is `apiserver`'s, decisions about running are `lifecycle`'s.

pub mod admission;
pub mod config_map;
mod difference;
mod fields;
mod identity;
mod metadata;
mod patch;
mod plain;
pub mod pod;
mod reads;
pub mod secret;
pub mod support;

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use k8s_openapi::api::core::v1::Pod;

use crate::clock::Clock;
use crate::control::{
    Body, ControlPlane, DeleteOptions, Deleted, Draft, Key, List, Object, Preconditions, Reason, Resource, Revision,
    Scope, Status, Subresource, Update, WatchStream,
};
use crate::store::{CommitError, Expect, ObjectStore, Op};

/// A change that lost a race is tried again on the newer object; more losses than this are a fault.
const MAX_RACES: usize = 64;

const STALE: &str = "the object has been modified; please apply your changes to the latest version and try again";

/// The control plane of this process.
pub struct Registry {
    store: Arc<ObjectStore>,
    clock: Clock,
    admission: admission::Settings,
}

impl Registry {
    /// A registry over `store`.
    pub fn new(store: Arc<ObjectStore>, clock: Clock) -> Registry {
        Registry { store, clock, admission: admission::Settings::default() }
    }

    /// The registry, with these settings of admission.
    #[must_use]
    pub fn admitting(self, admission: admission::Settings) -> Registry {
        Registry { admission, ..self }
    }

    fn stored(&self, key: &Key) -> Result<Arc<Object>, Status> {
        self.store.get(key).ok_or_else(|| not_found(key))
    }

    /// Reads the object, lets `change` decide, commits; again where somebody else was faster.
    fn change<T>(
        &self,
        key: &Key,
        preconditions: &Preconditions,
        change: impl Fn(&Pod) -> Result<Decision<T>, Status>,
    ) -> Result<(T, Arc<Object>), Status> {
        for _ in 0..MAX_RACES {
            let current = self.stored(key)?;
            let pod = current.decode::<Pod>().map_err(Status::internal)?;
            check(preconditions, key, &current, &pod)?;
            let (op, answer) = match change(&pod)? {
                Decision::Keep(answer) => return Ok((answer, current)),
                Decision::Put(next, answer) => {
                    let expect = Expect::At(current.revision);
                    (Op::Put { key: key.clone(), expect, draft: draft(*next)? }, answer)
                }
                Decision::Delete(last, answer) => {
                    (Op::Delete { key: key.clone(), expect: current.revision, last: draft(*last)? }, answer)
                }
            };
            match self.store.commit(vec![op]) {
                Ok(mut stored) => {
                    let stored = stored.pop().ok_or_else(|| Status::internal("the store lost an object"))?;
                    return Ok((answer, stored));
                }
                Err(CommitError::Modified(_)) => continue,
                Err(CommitError::Gone(key)) => return Err(not_found(&key)),
                Err(error @ CommitError::Exists(_)) => return Err(Status::internal(error)),
            }
        }
        Err(conflict(key, STALE))
    }

    fn create_pod(&self, pod: Pod) -> Result<Arc<Object>, Status> {
        let pod = pod::prepare(pod, &self.admission, self.clock.now().wall)?;
        let key = Key::pod(crate::model::pods::namespace(&pod), crate::model::pods::name(&pod));
        let op = Op::Put { key, expect: Expect::Absent, draft: draft(pod)? };
        match self.store.commit(vec![op]) {
            Ok(mut stored) => stored.pop().ok_or_else(|| Status::internal("the store lost an object")),
            Err(CommitError::Exists(key)) => Err(Status::already_exists(key.resource.plural, &key.name)),
            Err(error) => Err(Status::internal(error)),
        }
    }

    fn update_now(&self, key: &Key, update: Update, preconditions: &Preconditions) -> Result<Arc<Object>, Status> {
        let update = match update {
            Update::Replace { body, .. } if key.resource != Resource::PODS => {
                return plain::replace(&self.store, key, body, preconditions);
            }
            pods => pods,
        };
        let changed = self.change(key, preconditions, |current| match &update {
            Update::PodStatus(status) => Ok(pod::with_status(current, status)),
            Update::Bind { node } => {
                pod::bound_to(current, node, self.clock.now().wall).map_err(|message| conflict(key, &message))
            }
            Update::Replace { body: Body::Pod(pod), subresource } => {
                self.replaced(key, current, (**pod).clone(), *subresource)
            }
            Update::Replace { body: Body::Event(_) | Body::Node(_) | Body::Namespace(_), .. } => {
                Err(Status::new(Reason::BadRequest, format!("{key} is a pod: only a pod takes its place")))
            }
            Update::Patch { patch, subresource } => {
                let patched = patch::apply(key.resource.kind, current, patch)?;
                self.replaced(key, current, patched, *subresource)
            }
        })?;
        Ok(changed.1)
    }

    /// `new` in the place of `current`, if it was made of this very state of it.
    fn replaced(&self, key: &Key, current: &Pod, new: Pod, subresource: Subresource) -> Result<Decision<()>, Status> {
        let wanted = new.metadata.resource_version.as_deref().unwrap_or_default();
        if !wanted.is_empty() && current.metadata.resource_version.as_deref() != Some(wanted) {
            return Err(match wanted.parse::<Revision>() {
                Ok(_) => conflict(key, STALE),
                Err(_) => Status::new(Reason::BadRequest, format!("resourceVersion: Invalid value: {wanted:?}")),
            });
        }
        Ok(pod::put_or_end(current, pod::replaced(current, new, subresource)?))
    }

    fn delete_now(&self, key: &Key, options: &DeleteOptions) -> Result<Deleted, Status> {
        if key.resource != Resource::PODS {
            return plain::delete(&self.store, key).map(Deleted::Gone);
        }
        let now = self.clock.now().wall;
        let deletion = |current: &Pod| {
            check_deletion(&options.preconditions, key, current)?;
            Ok(pod::deletion(current, options.grace_seconds, now))
        };
        let (gone, object) = self.change(key, &Preconditions::default(), deletion)?;
        Ok(if gone { Deleted::Gone(object) } else { Deleted::Marked(object) })
    }
}

/// What a request makes of the object as it stands.
pub(crate) enum Decision<T> {
    /// Nothing is to be written.
    Keep(T),
    Put(Box<Pod>, T),
    Delete(Box<Pod>, T),
}

fn draft(mut pod: Pod) -> Result<Draft, Status> {
    // The store stamps the revision that the commit gets.
    pod.metadata.resource_version = None;
    Draft::of(&pod).map_err(Status::internal)
}

fn not_found(key: &Key) -> Status {
    Status::not_found(key.resource.plural, &key.name)
}

fn conflict(key: &Key, why: &str) -> Status {
    Status::conflict(key.resource.plural, &key.name, why)
}

fn check(wanted: &Preconditions, key: &Key, object: &Object, pod: &Pod) -> Result<(), Status> {
    let uid = crate::model::pods::uid(pod);
    if let Some(wanted) = wanted.uid.as_deref().filter(|wanted| *wanted != uid) {
        let why = format!("Precondition failed: UID in precondition: {wanted}, UID in object meta: {uid}");
        return Err(conflict(key, &why));
    }
    if wanted.revision.is_some_and(|wanted| wanted != object.revision) {
        return Err(conflict(key, STALE));
    }
    Ok(())
}

/// A deletion's preconditions, which have words of their own.
fn check_deletion(wanted: &Preconditions, key: &Key, pod: &Pod) -> Result<(), Status> {
    let differs = |what: &str, wanted: &str, found: &str, happened: &str| {
        let why = format!(
            "the {what} in the precondition ({wanted}) does not match the {what} in record ({found}). The object \
             might have been {happened}"
        );
        Err(Status::conflict(key.resource.kind, &key.name, why))
    };
    let uid = crate::model::pods::uid(pod);
    if let Some(wanted) = wanted.uid.as_deref().filter(|wanted| *wanted != uid) {
        return differs("UID", wanted, uid, "deleted and then recreated");
    }
    let revision = pod.metadata.resource_version.as_deref().unwrap_or_default();
    if let Some(wanted) = wanted.revision.map(|wanted| wanted.to_string()).filter(|wanted| wanted != revision) {
        return differs("ResourceVersion", &wanted, revision, "modified");
    }
    Ok(())
}

impl ControlPlane for Registry {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Arc<Object>, Status>> {
        std::future::ready(self.stored(key)).boxed()
    }

    fn list<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<List, Status>> {
        std::future::ready(Ok(reads::list(&self.store, scope))).boxed()
    }

    fn list_at<'a>(&'a self, scope: &'a Scope, at: Revision) -> BoxFuture<'a, Result<List, Status>> {
        std::future::ready(reads::list_at(&self.store, scope, at)).boxed()
    }

    fn watch<'a>(&'a self, scope: &'a Scope, from: Revision) -> BoxFuture<'a, Result<WatchStream, Status>> {
        std::future::ready(reads::watch(&self.store, scope, from)).boxed()
    }

    fn revision(&self) -> BoxFuture<'_, Result<Revision, Status>> {
        std::future::ready(Ok(self.store.revision())).boxed()
    }

    fn create(&self, body: Body) -> BoxFuture<'_, Result<Arc<Object>, Status>> {
        let created = match body {
            Body::Pod(pod) => self.create_pod(*pod),
            Body::Event(_) | Body::Node(_) | Body::Namespace(_) => {
                plain::create(&self.store, body, self.clock.now().wall)
            }
        };
        std::future::ready(created).boxed()
    }

    fn update<'a>(
        &'a self,
        key: &'a Key,
        update: Update,
        preconditions: Preconditions,
    ) -> BoxFuture<'a, Result<Arc<Object>, Status>> {
        std::future::ready(self.update_now(key, update, &preconditions)).boxed()
    }

    fn delete<'a>(&'a self, key: &'a Key, options: DeleteOptions) -> BoxFuture<'a, Result<Deleted, Status>> {
        std::future::ready(self.delete_now(key, &options)).boxed()
    }
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
