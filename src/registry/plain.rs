//! Kinds that have an identity and no rules beyond it so far: events, nodes, namespaces.
//!
//! Only this process writes them.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

use super::identity;
use crate::control::{Body, Draft, Key, Object, Preconditions, Resource, Status};
use crate::store::{CommitError, Expect, ObjectStore, Op};

/// Stores a new object.
pub(super) fn create(store: &ObjectStore, mut body: Body, now: Timestamp) -> Result<Arc<Object>, Status> {
    let (resource, meta) = parts(&mut body)?;
    let namespaced = meta.namespace.is_some() || resource == Resource::EVENTS;
    identity::assign(meta, now);
    if !namespaced {
        meta.namespace = None;
    }
    meta.generation = None;
    let key = key(resource, meta);
    commit(store, key, Expect::Absent, &body)
}

/// Puts an object in the place of the one at `key`, whose identity stays.
pub(super) fn replace(
    store: &ObjectStore,
    key: &Key,
    mut body: Body,
    preconditions: &Preconditions,
) -> Result<Arc<Object>, Status> {
    let current = store.get(key).ok_or_else(|| Status::not_found(key.resource.plural, &key.name))?;
    if preconditions.revision.is_some_and(|wanted| wanted != current.revision) {
        return Err(Status::conflict(key.resource.plural, &key.name, super::STALE));
    }
    #[derive(serde::Deserialize)]
    struct Known {
        metadata: ObjectMeta,
    }
    let known: Known = serde_json::from_slice(&current.json).map_err(Status::internal)?;
    let (_, meta) = parts(&mut body)?;
    meta.uid = known.metadata.uid;
    meta.creation_timestamp = known.metadata.creation_timestamp;
    meta.resource_version = None;
    commit(store, key.clone(), Expect::At(current.revision), &body)
}

/// Removes an object.
pub(super) fn delete(store: &ObjectStore, key: &Key) -> Result<Arc<Object>, Status> {
    let not_found = || Status::not_found(key.resource.plural, &key.name);
    let current = store.get(key).ok_or_else(not_found)?;
    let last: serde_json::Value = serde_json::from_slice(&current.json).map_err(Status::internal)?;
    let op = Op::Delete { key: key.clone(), expect: current.revision, last: draft(&without_revision(last))? };
    let gone = store.commit(vec![op]).map_err(|_| Status::conflict(key.resource.plural, &key.name, super::STALE))?;
    gone.into_iter().next().ok_or_else(not_found)
}

fn without_revision(mut object: serde_json::Value) -> serde_json::Value {
    if let Some(meta) = object.get_mut("metadata").and_then(serde_json::Value::as_object_mut) {
        meta.remove("resourceVersion");
    }
    object
}

fn parts(body: &mut Body) -> Result<(Resource, &mut ObjectMeta), Status> {
    match body {
        Body::Event(event) => Ok((Resource::EVENTS, &mut event.metadata)),
        Body::Node(node) => Ok((Resource::NODES, &mut node.metadata)),
        Body::Namespace(namespace) => Ok((Resource::NAMESPACES, &mut namespace.metadata)),
        Body::Pod(_) => Err(Status::internal("pods have rules of their own")),
    }
}

fn key(resource: Resource, meta: &ObjectMeta) -> Key {
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    Key::of(resource, &text(&meta.namespace), &text(&meta.name))
}

fn commit(store: &ObjectStore, key: Key, expect: Expect, body: &Body) -> Result<Arc<Object>, Status> {
    let (plural, name) = (key.resource.plural, key.name.clone());
    let draft = match body {
        Body::Event(event) => draft(&**event),
        Body::Node(node) => draft(&**node),
        Body::Namespace(namespace) => draft(&**namespace),
        Body::Pod(pod) => draft(&**pod),
    }?;
    match store.commit(vec![Op::Put { key, expect, draft }]) {
        Ok(mut stored) => stored.pop().ok_or_else(|| Status::internal("the store lost an object")),
        Err(CommitError::Exists(_)) => Err(Status::already_exists(plural, &name)),
        Err(CommitError::Gone(_)) => Err(Status::not_found(plural, &name)),
        Err(CommitError::Modified(_)) => Err(Status::conflict(plural, &name, super::STALE)),
    }
}

fn draft<T: Serialize>(object: &T) -> Result<Draft, Status> {
    Draft::of(object).map_err(Status::internal)
}
