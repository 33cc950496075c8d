//! The create, update and delete paths of the kinds without paths of their own: events, nodes, namespaces, ConfigMaps
//! and Secrets.
//!
//! [`Strategy`] holds what distinguishes a kind, under the method names of Kubernetes' `registry/rest` strategies; the
//! paths are Kubernetes' generic ones (`rest.BeforeCreate`, `BeforeUpdate`, `BeforeDelete`). Pods have more
//! subresources and their own path in `pod`.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, NamespaceStatus, Node, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::fields::ErrorList;
use super::storage::{self, Storage, Stored, WriteDecision};
use super::{config_map, identity, metadata, patch, preconditions, secret};
use crate::control::{
    Body, Cause, DeleteOptions, DeleteResult, Key, Object, Preconditions, Reason, Resource, Status, Update,
};
use crate::model::{formats, pods};

/// The rules of one kind. Metadata common to all kinds is handled by the callers.
trait Strategy: Stored {
    /// Returns the object of `body` if it is of this kind.
    fn from_body(body: &Body) -> Option<&Self>;

    /// Sets the defaults of new and updated objects (`SetDefaults_*` in Kubernetes).
    fn set_defaults(&mut self) {}

    /// Sets the fields of a new object that clients do not control.
    fn prepare_for_create(&mut self) {}

    /// Restores the fields that clients must not change from the stored object.
    fn prepare_for_update(&mut self, _old: &Self) {}

    /// Returns why a new object is not valid; empty if it is.
    fn validate(&self) -> Vec<Cause> {
        Vec::new()
    }

    /// Returns why the object must not replace `old`; empty if it may.
    fn validate_update(&self, _old: &Self) -> Vec<Cause> {
        Vec::new()
    }
}

macro_rules! strategies {
    ($($kind:ident { $($rules:tt)* })*) => {
        $(
            impl Stored for $kind {}

            impl Strategy for $kind {
                fn from_body(body: &Body) -> Option<&Self> {
                    match body { Body::$kind(object) => Some(object), _ => None }
                }
                $($rules)*
            }
        )*
    };
}

strategies! {
    Event {}
    Node {}
    Namespace {
        fn set_defaults(&mut self) {
            let name = self.metadata.name.clone().unwrap_or_default();
            self.metadata.labels.get_or_insert_default().insert(NAME_LABEL.into(), name);
        }
        fn prepare_for_create(&mut self) {
            let active = NamespaceStatus { phase: Some("Active".into()), ..NamespaceStatus::default() };
            self.status.get_or_insert(active);
        }
        fn prepare_for_update(&mut self, old: &Self) {
            self.spec.clone_from(&old.spec);
            self.status.clone_from(&old.status);
        }
        fn validate(&self) -> Vec<Cause> {
            let mut errors = ErrorList::default();
            metadata::validate_cluster_scoped_object_meta(&mut errors, &self.metadata, formats::dns_label);
            errors.into_causes()
        }
        fn validate_update(&self, old: &Self) -> Vec<Cause> {
            let mut errors = ErrorList::default();
            metadata::validate_object_meta_update(&mut errors, &self.metadata, &old.metadata);
            errors.into_causes()
        }
    }
    ConfigMap {
        fn validate(&self) -> Vec<Cause> {
            config_map::validate(self)
        }
        fn validate_update(&self, old: &Self) -> Vec<Cause> {
            config_map::validate_update(old, self)
        }
    }
    Secret {
        fn set_defaults(&mut self) {
            secret::set_defaults(self);
        }
        fn validate(&self) -> Vec<Cause> {
            secret::validate(self)
        }
        fn validate_update(&self, old: &Self) -> Vec<Cause> {
            secret::validate_update(old, self)
        }
    }
}

/// The label by which selectors match a namespace's name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Stores a new object of any kind except Pod.
pub(super) fn create(storage: &Storage, body: Body, now: Timestamp) -> Result<Arc<Object>, Status> {
    match body {
        Body::Event(object) => create_object(storage, Resource::EVENTS, *object, now),
        Body::Node(object) => create_object(storage, Resource::NODES, *object, now),
        Body::Namespace(object) => create_object(storage, Resource::NAMESPACES, *object, now),
        Body::ConfigMap(object) => create_object(storage, Resource::CONFIG_MAPS, *object, now),
        Body::Secret(object) => create_object(storage, Resource::SECRETS, *object, now),
        Body::Pod(_) => Err(Status::internal("pods are not created by the generic strategy")),
    }
}

/// Replaces or patches the object at `key`.
pub(super) fn update(
    storage: &Storage,
    key: &Key,
    update: Update,
    preconditions: &Preconditions,
) -> Result<Arc<Object>, Status> {
    match key.resource {
        Resource::EVENTS => update_object::<Event>(storage, key, &update, preconditions),
        Resource::NODES => update_object::<Node>(storage, key, &update, preconditions),
        Resource::NAMESPACES => update_object::<Namespace>(storage, key, &update, preconditions),
        Resource::CONFIG_MAPS => update_object::<ConfigMap>(storage, key, &update, preconditions),
        Resource::SECRETS => update_object::<Secret>(storage, key, &update, preconditions),
        _ => Err(storage::not_found(key)),
    }
}

/// Removes the object at `key`, or marks it for deletion if it has finalizers.
pub(super) fn delete(
    storage: &Storage,
    key: &Key,
    options: &DeleteOptions,
    now: Timestamp,
) -> Result<DeleteResult, Status> {
    match key.resource {
        Resource::EVENTS => delete_object::<Event>(storage, key, options, now),
        Resource::NODES => delete_object::<Node>(storage, key, options, now),
        Resource::NAMESPACES => delete_object::<Namespace>(storage, key, options, now),
        Resource::CONFIG_MAPS => delete_object::<ConfigMap>(storage, key, options, now),
        Resource::SECRETS => delete_object::<Secret>(storage, key, options, now),
        _ => Err(storage::not_found(key)),
    }
}

fn create_object<O: Strategy>(
    storage: &Storage,
    resource: Resource,
    mut object: O,
    now: Timestamp,
) -> Result<Arc<Object>, Status> {
    let meta = object.metadata_mut();
    identity::fill_system_fields(meta, now);
    if !resource.is_namespaced() {
        meta.namespace = None;
    }
    meta.generation = None;
    object.set_defaults();
    object.prepare_for_create();
    reject_invalid(&object, resource.kind, object.validate())?;
    storage.create(resource, object)
}

fn update_object<O: Strategy>(
    storage: &Storage,
    key: &Key,
    update: &Update,
    preconditions: &Preconditions,
) -> Result<Arc<Object>, Status> {
    let (_, stored) = storage.guaranteed_update(key, preconditions, |current: &O| {
        let mut new = requested_object(key, current, update)?;
        preconditions::check_resource_version(key, current.metadata(), new.metadata())?;
        identity::check_name_and_namespace(current.metadata(), new.metadata_mut())?;
        identity::keep_system_fields(current.metadata(), new.metadata_mut());
        new.set_defaults();
        new.prepare_for_update(current);
        reject_invalid(&new, key.resource.kind, new.validate_update(current))?;
        Ok(if new == *current {
            WriteDecision::Keep(())
        } else if new.metadata().deletion_timestamp.is_some() && !has_finalizers(new.metadata()) {
            WriteDecision::Delete(Box::new(new), ())
        } else {
            WriteDecision::Put(Box::new(new), ())
        })
    })?;
    Ok(stored)
}

/// Returns the object that `update` asks for in place of `current`.
fn requested_object<O: Strategy>(key: &Key, current: &O, update: &Update) -> Result<O, Status> {
    let unsupported = || Status::new(Reason::BadRequest, format!("{key} does not support this update"));
    match update {
        Update::Replace { body, .. } => {
            let mut new = O::from_body(body).ok_or_else(unsupported)?.clone();
            identity::check_name_and_namespace(current.metadata(), new.metadata_mut())?;
            preconditions::check_uid(key, current.metadata(), new.metadata())?;
            Ok(new)
        }
        Update::Patch { patch, .. } => patch::apply(key.resource.kind, current, patch),
        Update::PodStatus(_) | Update::Bind { .. } => Err(unsupported()),
    }
}

fn delete_object<O: Strategy>(
    storage: &Storage,
    key: &Key,
    options: &DeleteOptions,
    now: Timestamp,
) -> Result<DeleteResult, Status> {
    let (removed, object) = storage.guaranteed_update(key, &Preconditions::default(), |current: &O| {
        preconditions::check_for_delete(&options.preconditions, key, current.metadata())?;
        let mut last = current.clone();
        if !has_finalizers(current.metadata()) {
            return Ok(WriteDecision::Delete(Box::new(last), true));
        }
        if current.metadata().deletion_timestamp.is_some() {
            return Ok(WriteDecision::Keep(false));
        }
        let meta = last.metadata_mut();
        meta.deletion_timestamp = Some(pods::api_time(now));
        meta.deletion_grace_period_seconds = Some(0);
        Ok(WriteDecision::Put(Box::new(last), false))
    })?;
    Ok(if removed { DeleteResult::Removed(object) } else { DeleteResult::Marked(object) })
}

fn has_finalizers(meta: &ObjectMeta) -> bool {
    meta.finalizers.as_ref().is_some_and(|finalizers| !finalizers.is_empty())
}

fn reject_invalid<O: Strategy>(object: &O, kind: &str, causes: Vec<Cause>) -> Result<(), Status> {
    let name = object.metadata().name.as_deref().unwrap_or_default();
    if causes.is_empty() { Ok(()) } else { Err(Status::invalid(kind, name, causes)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::control::{ControlPlane, FieldValidation, Patch, PatchKind, Subresource};
    use crate::registry::Registry;
    use crate::store::ObjectStore;

    fn registry() -> Registry {
        Registry::new(ObjectStore::new(100), Clock::starting_at("2026-01-01T00:00:00Z".parse().expect("a time")))
    }

    fn map(yaml: &str) -> Body {
        Body::from(serde_yaml::from_str::<ConfigMap>(yaml).expect("a ConfigMap"))
    }

    #[tokio::test(start_paused = true)]
    async fn config_maps_follow_immutability_and_finalizers() {
        let registry = registry();
        registry.create(map("{metadata: {name: m}, data: {a: x}, immutable: true}")).await.expect("created");
        let key = Key::new(Resource::CONFIG_MAPS, "default", "m");
        let replace = |yaml: &str| Update::Replace { body: map(yaml), subresource: Subresource::Main };
        let same = replace("{metadata: {name: m}, data: {a: x}, immutable: true}");
        let revision = registry.update(&key, same, Preconditions::default()).await.expect("unchanged").revision;
        assert_eq!(revision, registry.storage.objects().revision(), "nothing was stored");
        let other = replace("{metadata: {name: m}, data: {a: y}, immutable: true}");
        let error = registry.update(&key, other, Preconditions::default()).await.expect_err("immutable");
        assert_eq!(error.reason, Reason::Invalid, "{error}");
        let body = br#"{"metadata": {"labels": {"a": "b"}, "finalizers": ["x.y/z"]}}"#.to_vec();
        let patch = Patch { kind: PatchKind::StrategicMerge, body, field_validation: FieldValidation::Strict };
        let patch = Update::Patch { patch, subresource: Subresource::Main };
        registry.update(&key, patch, Preconditions::default()).await.expect("a label");
        let deleted = registry.delete(&key, DeleteOptions::default()).await.expect("marked");
        assert!(matches!(deleted, DeleteResult::Marked(_)), "its finalizer delays the deletion");
        let body = br#"[{"op": "remove", "path": "/metadata/finalizers"}]"#.to_vec();
        let patch = Patch { kind: PatchKind::Json, body, field_validation: FieldValidation::Strict };
        let patch = Update::Patch { patch, subresource: Subresource::Main };
        registry.update(&key, patch, Preconditions::default()).await.expect("the last finalizer");
        assert_eq!(registry.get(&key).await.expect_err("gone").reason, Reason::NotFound);
    }

    #[tokio::test(start_paused = true)]
    async fn dry_run_stores_nothing() {
        let registry = registry();
        registry.create(map("{metadata: {name: m}}")).await.expect("created");
        let before = registry.storage.objects().revision();
        let dry_run = registry.dry_run();
        let new = dry_run.create(map("{metadata: {name: n}}")).await.expect("it would succeed");
        assert_eq!((new.revision, String::from_utf8_lossy(&new.json).contains("resourceVersion")), (0, false));
        let exists = dry_run.create(map("{metadata: {name: m}}")).await.expect_err("exists");
        assert_eq!(exists.reason, Reason::AlreadyExists);
        let key = Key::new(Resource::CONFIG_MAPS, "default", "m");
        let deleted = dry_run.delete(&key, DeleteOptions::default()).await.expect("it would succeed");
        assert!(matches!(deleted, DeleteResult::Removed(_)));
        assert_eq!(registry.storage.objects().revision(), before);
        registry.get(&key).await.expect("the object still exists");
    }

    #[tokio::test(start_paused = true)]
    async fn namespace_names_are_dns_labels() {
        let namespace = |name: &str| {
            let mut namespace = Namespace::default();
            namespace.metadata.name = Some(name.into());
            Body::from(namespace)
        };
        let error = registry().create(namespace("Bad_NS")).await.expect_err("an invalid name");
        let words =
            "Namespace \"Bad_NS\" is invalid: metadata.name: Invalid value: \"Bad_NS\": a lowercase RFC 1123 label";
        assert!(error.message.starts_with(words), "{error}");
        let created = registry().create(namespace("shop")).await.expect("created").decode::<Namespace>().expect("one");
        assert_eq!(created.metadata.namespace, None);
        assert_eq!(created.metadata.labels, Some([(NAME_LABEL.to_string(), "shop".to_string())].into()));
        assert_eq!(created.status.as_ref().and_then(|status| status.phase.as_deref()), Some("Active"));
    }
}
